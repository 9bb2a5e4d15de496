//! The functions that users implement, and what they are called with.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{NO_TIMESTAMP, Timestamp, Watermark};
use tidemill_runtime::{BoxError, OperatorContext, Output};
use tidemill_serialization::{Data, Key};
use tidemill_state::{Clock, KeyedStateBackend, StateError, TimeDomain, Timers};

use crate::output_tag::OutputTag;

/// Takes the records that a function emits.
///
/// ```
/// use tidemill_datastream::{Collector, DataStream};
///
/// fn words(lines: &DataStream<String>) -> DataStream<String> {
///     lines.flat_map(|line, out: &mut Collector<String>| {
///         line.split(' ').for_each(|word| out.collect(word.to_owned()));
///     })
/// }
/// ```
pub struct Collector<U> {
    pub(crate) batch: TypedBatch<U>,
    pub(crate) timestamp: Timestamp,
}

impl<U: Data> Collector<U> {
    pub(crate) fn into(batch: TypedBatch<U>) -> Self {
        Self { batch, timestamp: NO_TIMESTAMP }
    }

    /// Emits a record with the timestamp of the record, or timer, that the function was called for.
    ///
    /// ```
    /// use tidemill_datastream::Collector;
    /// use tidemill_datastream::operators::FlatMapOperator;
    /// use tidemill_runtime::BoxError;
    /// # use tidemill_runtime::operator::boxed;
    /// # use tidemill_testkit::{OperatorHarness, stamped};
    ///
    /// fn twice(number: u64, out: &mut Collector<u64>) -> Result<(), BoxError> {
    ///     out.collect(number);
    ///     out.collect(number);
    ///     Ok(())
    /// }
    /// # let mut harness = OperatorHarness::<u64>::new(boxed(move || FlatMapOperator::new(twice)));
    /// harness.process(0, stamped([(7u64, 100)]))?;
    /// assert_eq!(harness.take_records(), [(7, 100), (7, 100)]);
    /// # Ok::<(), tidemill_runtime::OperatorError>(())
    /// ```
    #[inline]
    pub fn collect(&mut self, record: U) {
        self.batch.push(record, self.timestamp);
    }

    /// Emits a record with a timestamp of its own.
    ///
    /// ```
    /// use tidemill_datastream::Collector;
    /// use tidemill_datastream::operators::FlatMapOperator;
    /// use tidemill_runtime::BoxError;
    /// # use tidemill_runtime::operator::boxed;
    /// # use tidemill_testkit::{OperatorHarness, stamped};
    ///
    /// fn own_time(number: u64, out: &mut Collector<u64>) -> Result<(), BoxError> {
    ///     out.collect_with_timestamp(number, number as i64);
    ///     Ok(())
    /// }
    /// # let mut harness = OperatorHarness::<u64>::new(boxed(move || FlatMapOperator::new(own_time)));
    /// harness.process(0, stamped([(7u64, 100)]))?;
    /// assert_eq!(harness.take_records(), [(7, 7)]);
    /// # Ok::<(), tidemill_runtime::OperatorError>(())
    /// ```
    #[inline]
    pub fn collect_with_timestamp(&mut self, record: U, timestamp: Timestamp) {
        self.batch.push(record, timestamp);
    }

    pub(crate) fn len(&self) -> usize {
        self.batch.len()
    }
}

trait AnySide: Send {
    fn as_any(&mut self) -> &mut dyn Any;
    fn take(&mut self) -> Option<Batch>;
}

impl<S: Data> AnySide for TypedBatch<S> {
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn take(&mut self) -> Option<Batch> {
        (!self.is_empty()).then(|| Batch::new(std::mem::take(self)))
    }
}

/// Records on their way to side outputs.
#[derive(Default)]
pub(crate) struct Sides(BTreeMap<Arc<str>, Box<dyn AnySide>>);

impl Sides {
    pub(crate) fn push<S: Data>(
        &mut self,
        tag: &OutputTag<S>,
        record: S,
        timestamp: Timestamp,
    ) -> Result<(), BoxError> {
        let side = self.0.entry(Arc::clone(tag.id())).or_insert_with(|| Box::new(TypedBatch::<S>::default()));
        match side.as_any().downcast_mut::<TypedBatch<S>>() {
            Some(batch) => {
                batch.push(record, timestamp);
                Ok(())
            }
            None => Err(format!("side output '{}' is used with two record types", tag.id()).into()),
        }
    }

    pub(crate) fn emit(&mut self, out: &mut Output) {
        for (tag, side) in &mut self.0 {
            if let Some(batch) = side.take() {
                out.emit_side(tag, batch);
            }
        }
    }
}

/// What a [`ProcessFunction`] may know and do besides emitting.
///
/// ```
/// use tidemill_datastream::{OutputTag, ProcessContext};
/// use tidemill_runtime::BoxError;
///
/// /// Tells of records that event time has passed already.
/// fn tell_late(text: &str, tag: &OutputTag<String>, context: &mut ProcessContext<'_>) -> Result<(), BoxError> {
///     if context.timestamp().is_some_and(|timestamp| timestamp <= context.current_watermark().0) {
///         context.output(tag, text.to_owned())?;
///     }
///     Ok(())
/// }
/// ```
pub struct ProcessContext<'a> {
    pub(crate) timestamp: Timestamp,
    pub(crate) watermark: Watermark,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) sides: &'a mut Sides,
}

impl ProcessContext<'_> {
    /// The timestamp of the record, if it has one.
    ///
    /// ```
    /// use tidemill_datastream::ProcessContext;
    ///
    /// /// The hour of the day that a record is of, in UTC.
    /// fn hour(context: &ProcessContext<'_>) -> Option<i64> {
    ///     context.timestamp().map(|timestamp| timestamp.rem_euclid(86_400_000) / 3_600_000)
    /// }
    /// ```
    pub fn timestamp(&self) -> Option<Timestamp> {
        (self.timestamp != NO_TIMESTAMP).then_some(self.timestamp)
    }

    /// How far event time has got.
    ///
    /// ```
    /// use tidemill_datastream::ProcessContext;
    ///
    /// /// Whether event time has passed a record.
    /// fn is_late(context: &ProcessContext<'_>) -> bool {
    ///     context.timestamp().is_some_and(|timestamp| timestamp <= context.current_watermark().0)
    /// }
    /// ```
    pub fn current_watermark(&self) -> Watermark {
        self.watermark
    }

    /// The time of the machine, in milliseconds since the epoch.
    ///
    /// ```
    /// use tidemill_datastream::ProcessContext;
    ///
    /// /// How long a record was under way, in milliseconds.
    /// fn lag(context: &ProcessContext<'_>) -> Option<i64> {
    ///     context.timestamp().map(|timestamp| context.current_processing_time() - timestamp)
    /// }
    /// ```
    pub fn current_processing_time(&self) -> Timestamp {
        self.clock.now()
    }

    /// Emits a record to a side output.
    ///
    /// ```
    /// use tidemill_datastream::{OutputTag, ProcessContext};
    /// use tidemill_runtime::BoxError;
    ///
    /// /// A number; what is none goes to a side output.
    /// fn number(text: &str, context: &mut ProcessContext<'_>) -> Result<Option<u64>, BoxError> {
    ///     let number = text.parse().ok();
    ///     if number.is_none() {
    ///         context.output(&OutputTag::new("malformed"), text.to_owned())?;
    ///     }
    ///     Ok(number)
    /// }
    /// ```
    ///
    /// # Errors
    /// When another tag of this name has another type.
    pub fn output<S: Data>(&mut self, tag: &OutputTag<S>, record: S) -> Result<(), BoxError> {
        self.sides.push(tag, record, self.timestamp)
    }
}

/// Any number of records from one, with side outputs.
///
/// ```
/// use tidemill_datastream::{Collector, ProcessContext, ProcessFunction};
/// use tidemill_runtime::BoxError;
///
/// /// How late records are processed, in milliseconds.
/// #[derive(Clone)]
/// struct Lag;
///
/// impl ProcessFunction<String, i64> for Lag {
///     fn process(
///         &mut self,
///         _: String,
///         context: &mut ProcessContext<'_>,
///         out: &mut Collector<i64>,
///     ) -> Result<(), BoxError> {
///         let timestamp = context.timestamp().ok_or("a record has no timestamp")?;
///         out.collect(context.current_processing_time() - timestamp);
///         Ok(())
///     }
/// }
/// ```
pub trait ProcessFunction<In, Out>: Clone + Send + Sync + 'static {
    /// Prepares one subtask.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Takes one record.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn process(
        &mut self,
        record: In,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError>;

    /// Lets go of what `open` has taken.
    fn close(&mut self) {}
}

/// What a keyed function may know and do besides emitting.
///
/// ```
/// use tidemill_datastream::KeyedContext;
/// use tidemill_state::{StateError, ValueState};
///
/// /// Counts a record of the key, and has the key called a minute after it.
/// fn count(counts: ValueState<u64>, context: &mut KeyedContext<'_, String>) -> Result<u64, StateError> {
///     if let Some(timestamp) = context.timestamp() {
///         context.register_event_time_timer(timestamp + 60_000)?;
///     }
///     counts.modify(context.state(), || 0, |count| {
///         *count += 1;
///         *count
///     })
/// }
/// ```
pub struct KeyedContext<'a, K> {
    pub(crate) backend: &'a mut KeyedStateBackend<K>,
    pub(crate) timers: Timers,
    pub(crate) base: ProcessContext<'a>,
}

impl<K: Key> KeyedContext<'_, K> {
    /// The key that the function is called for.
    ///
    /// ```
    /// use tidemill_datastream::{Collector, KeyedContext};
    /// use tidemill_state::StateError;
    ///
    /// fn emit_key(context: &KeyedContext<'_, String>, out: &mut Collector<String>) -> Result<(), StateError> {
    ///     out.collect(context.key()?.clone());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// When there is none, which does not happen while a record or a timer is processed.
    pub fn key(&self) -> Result<&K, StateError> {
        self.backend.current_key().map(|(key, _)| key).ok_or(StateError::NoCurrentKey)
    }

    /// The keyed state, to use the handles on that the function got when it was opened.
    ///
    /// ```
    /// use tidemill_datastream::KeyedContext;
    /// use tidemill_state::{StateError, ValueState};
    ///
    /// /// The number of the record among those of its key.
    /// fn number(counts: ValueState<u64>, context: &mut KeyedContext<'_, String>) -> Result<u64, StateError> {
    ///     let number = counts.get(context.state())?.unwrap_or(0) + 1;
    ///     counts.update(context.state(), number)?;
    ///     Ok(number)
    /// }
    /// ```
    pub fn state(&mut self) -> &mut KeyedStateBackend<K> {
        self.backend
    }

    /// The timestamp of the record or timer, if it has one.
    ///
    /// ```
    /// use tidemill_datastream::KeyedContext;
    ///
    /// fn minute(context: &KeyedContext<'_, String>) -> Option<i64> {
    ///     context.timestamp().map(|timestamp| timestamp.div_euclid(60_000))
    /// }
    /// ```
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.base.timestamp()
    }

    /// How far event time has got.
    ///
    /// ```
    /// use tidemill_datastream::KeyedContext;
    ///
    /// /// Whether event time has passed the record.
    /// fn is_late(context: &KeyedContext<'_, String>) -> bool {
    ///     context.timestamp().is_some_and(|timestamp| timestamp <= context.current_watermark().0)
    /// }
    /// ```
    pub fn current_watermark(&self) -> Watermark {
        self.base.current_watermark()
    }

    /// The time of the machine, in milliseconds since the epoch.
    ///
    /// ```
    /// use tidemill_datastream::KeyedContext;
    /// use tidemill_state::StateError;
    ///
    /// /// Has the key called ten seconds from now.
    /// fn call_back(context: &mut KeyedContext<'_, String>) -> Result<(), StateError> {
    ///     context.register_processing_time_timer(context.current_processing_time() + 10_000)
    /// }
    /// ```
    pub fn current_processing_time(&self) -> Timestamp {
        self.base.current_processing_time()
    }

    /// Emits a record to a side output.
    ///
    /// ```
    /// use tidemill_datastream::{KeyedContext, OutputTag};
    /// use tidemill_runtime::BoxError;
    ///
    /// /// Tells the key of a record that has no timestamp.
    /// fn tell(context: &mut KeyedContext<'_, String>, tag: &OutputTag<String>) -> Result<(), BoxError> {
    ///     if context.timestamp().is_none() {
    ///         let key = context.key()?.clone();
    ///         context.output(tag, key)?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// When another tag of this name has another type.
    pub fn output<S: Data>(&mut self, tag: &OutputTag<S>, record: S) -> Result<(), BoxError> {
        self.base.output(tag, record)
    }

    /// Has [`KeyedProcessFunction::on_timer`] called for this key when event time reaches `timestamp`. The same timer
    /// twice is one timer.
    ///
    /// ```
    /// use tidemill_datastream::KeyedContext;
    /// use tidemill_state::StateError;
    ///
    /// /// Has the key called at the end of the minute of the record.
    /// fn at_end_of_minute(context: &mut KeyedContext<'_, String>) -> Result<(), StateError> {
    ///     match context.timestamp() {
    ///         Some(timestamp) => context.register_event_time_timer(timestamp - timestamp % 60_000 + 59_999),
    ///         None => Ok(()),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// When the memory for state is used up.
    pub fn register_event_time_timer(&mut self, timestamp: Timestamp) -> Result<(), StateError> {
        self.timers.register(self.backend, TimeDomain::Event, timestamp, &())
    }

    /// Has [`KeyedProcessFunction::on_timer`] called for this key when the machine's time reaches `timestamp`.
    ///
    /// ```
    /// use tidemill_datastream::KeyedContext;
    /// use tidemill_state::StateError;
    ///
    /// fn in_a_second(context: &mut KeyedContext<'_, String>) -> Result<(), StateError> {
    ///     let now = context.current_processing_time();
    ///     context.register_processing_time_timer(now + 1_000)
    /// }
    /// ```
    ///
    /// # Errors
    /// When the memory for state is used up.
    pub fn register_processing_time_timer(&mut self, timestamp: Timestamp) -> Result<(), StateError> {
        self.timers.register(self.backend, TimeDomain::Processing, timestamp, &())
    }

    /// Takes back a timer in event time; nothing when there is none.
    ///
    /// ```
    /// use tidemill_datastream::KeyedContext;
    /// use tidemill_state::StateError;
    ///
    /// /// Puts off a call by a minute.
    /// fn put_off(due: i64, context: &mut KeyedContext<'_, String>) -> Result<(), StateError> {
    ///     context.delete_event_time_timer(due)?;
    ///     context.register_event_time_timer(due + 60_000)
    /// }
    /// ```
    ///
    /// # Errors
    /// When the state cannot be reached.
    pub fn delete_event_time_timer(&mut self, timestamp: Timestamp) -> Result<(), StateError> {
        self.timers.delete(self.backend, TimeDomain::Event, timestamp, &())
    }

    /// Takes back a timer in processing time; nothing when there is none.
    ///
    /// ```
    /// use tidemill_datastream::KeyedContext;
    /// use tidemill_state::{StateError, ValueState};
    ///
    /// /// Takes back the call that was ordered last.
    /// fn take_back(due: ValueState<i64>, context: &mut KeyedContext<'_, String>) -> Result<(), StateError> {
    ///     if let Some(due) = due.get(context.state())? {
    ///         context.delete_processing_time_timer(due)?;
    ///     }
    ///     due.clear(context.state())
    /// }
    /// ```
    ///
    /// # Errors
    /// When the state cannot be reached.
    pub fn delete_processing_time_timer(&mut self, timestamp: Timestamp) -> Result<(), StateError> {
        self.timers.delete(self.backend, TimeDomain::Processing, timestamp, &())
    }
}

/// A timer that has come due.
///
/// ```
/// use tidemill_datastream::FiredTimer;
/// use tidemill_state::TimeDomain;
///
/// let timer = FiredTimer { timestamp: 60_000, domain: TimeDomain::Event };
/// assert_ne!(timer.domain, TimeDomain::Processing);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiredTimer {
    /// What it was registered for, in milliseconds since the epoch.
    pub timestamp: Timestamp,
    /// Whether it went by event time or by the clock of the machine.
    pub domain: TimeDomain,
}

/// Any number of records from one, with the state and the timers of its key.
///
/// ```
/// use tidemill_datastream::{Collector, FiredTimer, KeyedContext, KeyedProcessFunction};
/// use tidemill_runtime::BoxError;
///
/// /// The key of each record, a minute of event time later.
/// #[derive(Clone)]
/// struct Echo;
///
/// impl KeyedProcessFunction<String, String, String> for Echo {
///     fn process(
///         &mut self,
///         _: String,
///         context: &mut KeyedContext<'_, String>,
///         _: &mut Collector<String>,
///     ) -> Result<(), BoxError> {
///         let timestamp = context.timestamp().ok_or("a record has no timestamp")?;
///         Ok(context.register_event_time_timer(timestamp + 60_000)?)
///     }
///
///     fn on_timer(
///         &mut self,
///         _: FiredTimer,
///         context: &mut KeyedContext<'_, String>,
///         out: &mut Collector<String>,
///     ) -> Result<(), BoxError> {
///         out.collect(context.key()?.clone());
///         Ok(())
///     }
/// }
/// ```
pub trait KeyedProcessFunction<K, In, Out>: Clone + Send + Sync + 'static {
    /// Declares the states of the function and keeps their handles.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn open(&mut self, states: &mut KeyedStateBackend<K>) -> Result<(), BoxError> {
        let _ = states;
        Ok(())
    }

    /// Takes one record.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn process(
        &mut self,
        record: In,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError>;

    /// A timer of this key has come due.
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
