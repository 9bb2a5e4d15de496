//! What one call to the outside is about: one record, or several.

use std::time::Duration;

use tidemill_core::time::Timestamp;
use tidemill_runtime::{BoxError, OperatorContext};
use tidemill_serialization::Data;

use crate::async_io::{AsyncFunction, timed_out};
use crate::functions::Collector;

/// Makes calls of records, and records of answers.
pub(crate) trait Calls<T, U>: Send + 'static {
    /// What a call is about.
    type Request: Data;
    /// The timestamps of the records of a call.
    type Stamp: Data;
    /// What comes back.
    type Answer: Send + 'static;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError>;

    /// The next call, if records are left.
    fn next(&self, records: &mut dyn Iterator<Item = (T, Timestamp)>)
    -> Option<(Self::Request, Self::Stamp)>;

    fn invoke(
        &self,
        request: Self::Request,
    ) -> impl Future<Output = Result<Self::Answer, BoxError>> + Send + 'static;

    fn timeout(&self, request: Self::Request, limit: Duration) -> Result<Self::Answer, BoxError>;

    fn emit(&self, answer: Self::Answer, stamp: &Self::Stamp, out: &mut Collector<U>)
    -> Result<(), BoxError>;

    fn close(&mut self);
}

/// A call for each record.
pub(crate) struct CallEach<F> {
    function: F,
}

impl<F> CallEach<F> {
    pub(crate) fn new(function: F) -> Self {
        Self { function }
    }
}

impl<T: Data, U: Data, F: AsyncFunction<T, U>> Calls<T, U> for CallEach<F> {
    type Request = T;
    type Stamp = Timestamp;
    type Answer = F::Results;

    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        self.function.open(context)
    }

    fn next(&self, records: &mut dyn Iterator<Item = (T, Timestamp)>) -> Option<(T, Timestamp)> {
        records.next()
    }

    fn invoke(&self, request: T) -> impl Future<Output = Result<F::Results, BoxError>> + Send + 'static {
        self.function.invoke(request)
    }

    fn timeout(&self, request: T, limit: Duration) -> Result<F::Results, BoxError> {
        self.function.timeout(request, limit)
    }

    fn emit(&self, answer: F::Results, stamp: &Timestamp, out: &mut Collector<U>) -> Result<(), BoxError> {
        out.timestamp = *stamp;
        answer.into_iter().for_each(|record| out.collect(record));
        Ok(())
    }

    fn close(&mut self) {
        self.function.close();
    }
}

/// A call for several records, which answers with as many.
pub(crate) struct CallBatch<F> {
    most: usize,
    function: F,
}

impl<F> CallBatch<F> {
    pub(crate) fn new(most: usize, function: F) -> Self {
        Self { most: most.max(1), function }
    }
}

impl<T, U, F, A> Calls<T, U> for CallBatch<F>
where
    T: Data,
    U: Data,
    F: Fn(Vec<T>) -> A + Send + 'static,
    A: Future<Output = Result<Vec<U>, BoxError>> + Send + 'static,
{
    type Request = Vec<T>;
    type Stamp = Vec<Timestamp>;
    type Answer = Vec<U>;

    fn open(&mut self, _context: &OperatorContext) -> Result<(), BoxError> {
        Ok(())
    }

    fn next(&self, records: &mut dyn Iterator<Item = (T, Timestamp)>) -> Option<(Vec<T>, Vec<Timestamp>)> {
        let (request, stamp): (Vec<T>, Vec<Timestamp>) = records.take(self.most).unzip();
        (!request.is_empty()).then_some((request, stamp))
    }

    fn invoke(&self, request: Vec<T>) -> impl Future<Output = Result<Vec<U>, BoxError>> + Send + 'static {
        (self.function)(request)
    }

    fn timeout(&self, _request: Vec<T>, limit: Duration) -> Result<Vec<U>, BoxError> {
        Err(timed_out(limit))
    }

    fn emit(&self, answer: Vec<U>, stamp: &Vec<Timestamp>, out: &mut Collector<U>) -> Result<(), BoxError> {
        if answer.len() != stamp.len() {
            let (got, wanted) = (answer.len(), stamp.len());
            return Err(format!(
                "a call about {wanted} records was answered with {got}: it must answer one for each, in their order"
            )
            .into());
        }
        for (record, timestamp) in answer.into_iter().zip(stamp) {
            out.collect_with_timestamp(record, *timestamp);
        }
        Ok(())
    }

    fn close(&mut self) {}
}
