//! The functions of two connected streams.

use tidemill_runtime::{BoxError, OperatorContext};
use tidemill_state::KeyedStateBackend;

use crate::functions::{Collector, FiredTimer, KeyedContext, ProcessContext};

/// Any number of records from each record of two streams, with side outputs.
pub trait CoProcessFunction<A, B, Out>: Clone + Send + Sync + 'static {
    /// Prepares one subtask.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Takes one record of the first stream.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn process1(
        &mut self,
        record: A,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError>;

    /// Takes one record of the second stream.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn process2(
        &mut self,
        record: B,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError>;

    /// Lets go of what `open` has taken.
    fn close(&mut self) {}
}

/// Any number of records from each record of two keyed streams, which share the state and the timers of their keys.
///
/// Which of two records comes first, when they are of different streams, is open: a function that joins them keeps
/// either until the other comes.
pub trait KeyedCoProcessFunction<K, A, B, Out>: Clone + Send + Sync + 'static {
    /// Declares the states of the function and keeps their handles.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn open(&mut self, states: &mut KeyedStateBackend<K>) -> Result<(), BoxError> {
        let _ = states;
        Ok(())
    }

    /// Takes one record of the first stream.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn process1(
        &mut self,
        record: A,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError>;

    /// Takes one record of the second stream.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn process2(
        &mut self,
        record: B,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError>;

    /// A timer of this key has come due, whichever stream it was registered for.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn on_timer(
        &mut self,
        timer: FiredTimer,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError> {
        let _ = (timer, context, out);
        Ok(())
    }

    /// Lets go of what `open` has taken.
    fn close(&mut self) {}
}
