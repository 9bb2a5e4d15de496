//! The functions of two connected streams.

use tidemill_runtime::{BoxError, OperatorContext};
use tidemill_state::KeyedStateBackend;

use crate::functions::{Collector, FiredTimer, KeyedContext, ProcessContext};

/// Any number of records from each record of two streams, with side outputs.
///
/// ```
/// use tidemill_datastream::{CoProcessFunction, Collector, ProcessContext};
/// use tidemill_runtime::BoxError;
///
/// /// Numbers, in the unit that the other stream has named last.
/// #[derive(Clone)]
/// struct Scaled(f64);
///
/// impl CoProcessFunction<f64, f64, f64> for Scaled {
///     fn process1(
///         &mut self,
///         number: f64,
///         _: &mut ProcessContext<'_>,
///         out: &mut Collector<f64>,
///     ) -> Result<(), BoxError> {
///         out.collect(number * self.0);
///         Ok(())
///     }
///
///     fn process2(&mut self, unit: f64, _: &mut ProcessContext<'_>, _: &mut Collector<f64>) -> Result<(), BoxError> {
///         self.0 = unit;
///         Ok(())
///     }
/// }
/// ```
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
///
/// ```
/// use tidemill_datastream::{Collector, KeyedCoProcessFunction, KeyedContext};
/// use tidemill_runtime::BoxError;
/// use tidemill_state::{KeyedStateBackend, ListState, ListStateDescriptor, ValueState, ValueStateDescriptor};
///
/// /// Gives payments the name of their user, whichever comes first.
/// #[derive(Clone, Default)]
/// struct Named {
///     name: ValueState<String>,
///     waiting: ListState<i64>,
/// }
///
/// impl KeyedCoProcessFunction<u64, (u64, i64), (u64, String), (String, i64)> for Named {
///     fn open(&mut self, states: &mut KeyedStateBackend<u64>) -> Result<(), BoxError> {
///         self.name = states.register_value(ValueStateDescriptor::new("name"))?;
///         self.waiting = states.register_list(ListStateDescriptor::new("waiting"))?;
///         Ok(())
///     }
///
///     fn process1(
///         &mut self,
///         (_, amount): (u64, i64),
///         context: &mut KeyedContext<'_, u64>,
///         out: &mut Collector<(String, i64)>,
///     ) -> Result<(), BoxError> {
///         match self.name.get(context.state())? {
///             Some(name) => out.collect((name, amount)),
///             None => self.waiting.add(context.state(), amount)?,
///         }
///         Ok(())
///     }
///
///     fn process2(
///         &mut self,
///         (_, name): (u64, String),
///         context: &mut KeyedContext<'_, u64>,
///         out: &mut Collector<(String, i64)>,
///     ) -> Result<(), BoxError> {
///         for amount in self.waiting.get(context.state())? {
///             out.collect((name.clone(), amount));
///         }
///         self.waiting.clear(context.state())?;
///         Ok(self.name.update(context.state(), name)?)
///     }
/// }
/// ```
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
