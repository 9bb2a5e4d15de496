//! The join of records that lie close to each other in event time.

use std::marker::PhantomData;
use std::panic::Location;

use tidemill_core::time::Timestamp;
use tidemill_core::{Classified, Fault};
use tidemill_runtime::{BoxError, Operator, OperatorContext, OperatorError, OperatorFactory};
use tidemill_serialization::Data;

use crate::connected::add_two_input;
use crate::functions::{Collector, Sides};
use crate::key::KeySelector;
use crate::keyed_stream::KeyedStream;
use crate::operators::IntervalJoinOperator;
use crate::output_tag::OutputTag;
use crate::stream::DataStream;

/// Any number of records from each pair that a join has found.
///
/// ```
/// use tidemill_datastream::{Collector, JoinContext, ProcessJoinFunction};
/// use tidemill_runtime::BoxError;
///
/// /// Left records with the right ones that came within a second of them.
/// #[derive(Clone)]
/// struct Near;
///
/// impl ProcessJoinFunction<String, String, String> for Near {
///     fn process(
///         &mut self,
///         left: &String,
///         right: &String,
///         context: &mut JoinContext<'_>,
///         out: &mut Collector<String>,
///     ) -> Result<(), BoxError> {
///         if context.right_timestamp().abs_diff(context.left_timestamp()) <= 1_000 {
///             out.collect(format!("{left} {right}"));
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait ProcessJoinFunction<L, R, Out>: Clone + Send + Sync + 'static {
    /// Prepares one subtask.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Takes one pair. What is emitted has the later of the two timestamps.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn process(
        &mut self,
        left: &L,
        right: &R,
        context: &mut JoinContext<'_>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError>;

    /// Lets go of what `open` has taken.
    fn close(&mut self) {}
}

/// What a [`ProcessJoinFunction`] may know and do besides emitting.
///
/// ```
/// use tidemill_datastream::{JoinContext, OutputTag};
/// use tidemill_runtime::BoxError;
///
/// /// Tells how far apart a pair is.
/// fn tell_distance(context: &mut JoinContext<'_>, distances: &OutputTag<i64>) -> Result<(), BoxError> {
///     let distance = context.right_timestamp() - context.left_timestamp();
///     context.output(distances, distance)
/// }
/// ```
pub struct JoinContext<'a> {
    pub(crate) left: Timestamp,
    pub(crate) right: Timestamp,
    pub(crate) sides: &'a mut Sides,
}

impl JoinContext<'_> {
    /// The timestamp of the left record.
    ///
    /// ```
    /// use tidemill_datastream::JoinContext;
    ///
    /// /// How long after the left record the right one came, in milliseconds.
    /// fn delay(context: &JoinContext<'_>) -> i64 {
    ///     context.right_timestamp() - context.left_timestamp()
    /// }
    /// ```
    pub fn left_timestamp(&self) -> Timestamp {
        self.left
    }

    /// The timestamp of the right record.
    ///
    /// ```
    /// use tidemill_datastream::JoinContext;
    ///
    /// /// Which of the records came first.
    /// fn is_left_first(context: &JoinContext<'_>) -> bool {
    ///     context.left_timestamp() < context.right_timestamp()
    /// }
    /// ```
    pub fn right_timestamp(&self) -> Timestamp {
        self.right
    }

    /// The timestamp of the pair: the later of the two.
    ///
    /// ```
    /// use tidemill_datastream::{Collector, JoinContext};
    ///
    /// /// Emits the pair's timestamp, which the emitted record gets, too.
    /// fn emit_time(context: &JoinContext<'_>, out: &mut Collector<i64>) {
    ///     out.collect(context.timestamp());
    /// }
    /// ```
    pub fn timestamp(&self) -> Timestamp {
        self.left.max(self.right)
    }

    /// Emits a record to a side output, with the timestamp of the pair.
    ///
    /// ```
    /// use tidemill_datastream::{JoinContext, OutputTag};
    /// use tidemill_runtime::BoxError;
    ///
    /// /// Tells of pairs that are more than an hour apart.
    /// fn tell_far(context: &mut JoinContext<'_>, far: &OutputTag<i64>) -> Result<(), BoxError> {
    ///     let distance = context.right_timestamp() - context.left_timestamp();
    ///     if distance.abs() > 3_600_000 { context.output(far, distance) } else { Ok(()) }
    /// }
    /// ```
    ///
    /// # Errors
    /// When another tag of this name has another type.
    pub fn output<S: Data>(&mut self, tag: &OutputTag<S>, record: S) -> Result<(), BoxError> {
        self.sides.push(tag, record, self.timestamp())
    }
}

/// A function that makes one record of each pair.
struct EachPair<F, U> {
    function: F,
    result: PhantomData<fn() -> U>,
}

impl<F: Clone, U> Clone for EachPair<F, U> {
    fn clone(&self) -> Self {
        Self { function: self.function.clone(), result: PhantomData }
    }
}

impl<L, R, U, F> ProcessJoinFunction<L, R, U> for EachPair<F, U>
where
    U: Data,
    F: FnMut(&L, &R) -> U + Clone + Send + Sync + 'static,
{
    fn process(
        &mut self,
        left: &L,
        right: &R,
        _context: &mut JoinContext<'_>,
        out: &mut Collector<U>,
    ) -> Result<(), BoxError> {
        out.collect((self.function)(left, right));
        Ok(())
    }
}

impl<L: Data, S: KeySelector<L>> KeyedStream<L, S> {
    /// Joins each record with those of another stream that have the same key and are close to it in event time.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// /// Each payment with the orders of the hour before it.
    /// fn paid(orders: &DataStream<(u64, String)>, payments: &DataStream<(u64, i64)>) -> DataStream<(String, i64)> {
    ///     orders
    ///         .key_by(|order| order.0)
    ///         .interval_join(&payments.key_by(|payment| payment.0))
    ///         .between(0, 3_600_000)
    ///         .apply(|order, payment| (order.1.clone(), payment.1))
    /// }
    /// ```
    pub fn interval_join<R: Data, Q: KeySelector<R, Key = S::Key>>(
        &self,
        right: &KeyedStream<R, Q>,
    ) -> IntervalJoin<L, R, S, Q> {
        IntervalJoin { left: self.clone(), right: right.clone() }
    }
}

/// Two keyed streams that are to be joined: it is still to be said how far apart their records may be.
///
/// ```
/// use tidemill_datastream::{IntervalJoin, IntervalJoined, KeySelector};
///
/// /// Right records of the hour after a left one.
/// fn within_an_hour<S: KeySelector<u64>, Q: KeySelector<String, Key = S::Key>>(
///     join: IntervalJoin<u64, String, S, Q>,
/// ) -> IntervalJoined<u64, String, S, Q> {
///     join.between(0, 3_600_000)
/// }
/// ```
pub struct IntervalJoin<L, R, S, Q> {
    left: KeyedStream<L, S>,
    right: KeyedStream<R, Q>,
}

impl<L: Data, R: Data, S: KeySelector<L>, Q: KeySelector<R, Key = S::Key>> IntervalJoin<L, R, S, Q> {
    /// Joins a left record with the right ones whose timestamps are from `lower` after its own to `upper` after its own, in
    /// milliseconds, both included; negative numbers mean before.
    ///
    /// ```
    /// use tidemill_datastream::DataStream;
    ///
    /// /// Pairs at most a second apart.
    /// fn close(left: &DataStream<u64>, right: &DataStream<u64>) -> DataStream<(u64, u64)> {
    ///     let (left, right) = (left.key_by(|key| *key), right.key_by(|key| *key));
    ///     left.interval_join(&right).between(-1_000, 1_000).apply(|left, right| (*left, *right))
    /// }
    /// ```
    pub fn between(self, lower: i64, upper: i64) -> IntervalJoined<L, R, S, Q> {
        let bounds = Bounds { lower, upper, lower_exclusive: false, upper_exclusive: false };
        IntervalJoined { left: self.left, right: self.right, bounds, late: LateTags::default() }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    lower: i64,
    upper: i64,
    lower_exclusive: bool,
    upper_exclusive: bool,
}

/// Bounds between which there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the interval join is between {lower} ms and {upper} ms: the lower bound must not be above the upper one"
)]
struct InvalidBounds {
    lower: i64,
    upper: i64,
}

impl Classified for InvalidBounds {
    fn code(&self) -> &'static str {
        "TM-JOIN-INVALID-BOUNDS"
    }

    fn fault(&self) -> Fault {
        Fault::User
    }
}

impl Bounds {
    /// The first and the last distance that count.
    fn inclusive(self) -> Result<(i64, i64), InvalidBounds> {
        let Self { lower, upper, .. } = self;
        if lower > upper {
            return Err(InvalidBounds { lower, upper });
        }
        let first = lower.saturating_add(i64::from(self.lower_exclusive));
        let last = upper.saturating_sub(i64::from(self.upper_exclusive));
        Ok((first, last))
    }
}

/// Where records go that come too late.
pub(crate) struct LateTags<L, R> {
    pub(crate) left: Option<OutputTag<L>>,
    pub(crate) right: Option<OutputTag<R>>,
}

impl<L, R> Default for LateTags<L, R> {
    fn default() -> Self {
        Self { left: None, right: None }
    }
}

impl<L, R> Clone for LateTags<L, R> {
    fn clone(&self) -> Self {
        Self { left: self.left.clone(), right: self.right.clone() }
    }
}

/// A join of two keyed streams over an interval of event time. It keeps records until event time has passed all that they could be
/// joined with; those that come when event time has passed them already are dropped, or go to side outputs.
///
/// ```
/// use tidemill_datastream::{DataStream, IntervalJoined, KeySelector};
///
/// fn pairs<S: KeySelector<u64>, Q: KeySelector<String, Key = S::Key>>(
///     joined: IntervalJoined<u64, String, S, Q>,
/// ) -> DataStream<(u64, String)> {
///     joined.upper_bound_exclusive().apply(|left, right| (*left, right.clone()))
/// }
/// ```
pub struct IntervalJoined<L, R, S, Q> {
    left: KeyedStream<L, S>,
    right: KeyedStream<R, Q>,
    bounds: Bounds,
    late: LateTags<L, R>,
}

impl<L: Data, R: Data, S: KeySelector<L>, Q: KeySelector<R, Key = S::Key>> IntervalJoined<L, R, S, Q> {
    /// Leaves out pairs that are exactly the lower bound apart.
    ///
    /// ```
    /// # use tidemill_datastream::DataStream;
    /// fn after(left: &DataStream<u64>, right: &DataStream<u64>) -> DataStream<u64> {
    ///     let (left, right) = (left.key_by(|key| *key), right.key_by(|key| *key));
    ///     left.interval_join(&right).between(0, 500).lower_bound_exclusive().apply(|left, _| *left)
    /// }
    /// ```
    #[must_use]
    pub fn lower_bound_exclusive(mut self) -> Self {
        self.bounds.lower_exclusive = true;
        self
    }

    /// Leaves out pairs that are exactly the upper bound apart.
    ///
    /// ```
    /// # use tidemill_datastream::DataStream;
    /// fn before(left: &DataStream<u64>, right: &DataStream<u64>) -> DataStream<u64> {
    ///     let (left, right) = (left.key_by(|key| *key), right.key_by(|key| *key));
    ///     left.interval_join(&right).between(-500, 0).upper_bound_exclusive().apply(|left, _| *left)
    /// }
    /// ```
    #[must_use]
    pub fn upper_bound_exclusive(mut self) -> Self {
        self.bounds.upper_exclusive = true;
        self
    }

    /// Sends left records that come too late to a side output instead of dropping them.
    ///
    /// ```
    /// # use tidemill_datastream::{DataStream, OutputTag};
    /// fn late(left: &DataStream<u64>, right: &DataStream<u64>) -> DataStream<u64> {
    ///     let (left, right) = (left.key_by(|key| *key), right.key_by(|key| *key));
    ///     let late = OutputTag::new("late");
    ///     let join = left.interval_join(&right).between(-500, 500).side_output_left_late_data(&late);
    ///     join.apply(|left, _| *left).side_output(&late)
    /// }
    /// ```
    #[must_use]
    pub fn side_output_left_late_data(mut self, tag: &OutputTag<L>) -> Self {
        self.late.left = Some(tag.clone());
        self
    }

    /// Sends right records that come too late to a side output instead of dropping them.
    ///
    /// ```
    /// # use tidemill_datastream::{DataStream, OutputTag};
    /// fn late(left: &DataStream<u64>, right: &DataStream<u64>) -> DataStream<u64> {
    ///     let (left, right) = (left.key_by(|key| *key), right.key_by(|key| *key));
    ///     let late = OutputTag::new("late");
    ///     let join = left.interval_join(&right).between(-500, 500).side_output_right_late_data(&late);
    ///     join.apply(|left, _| *left).side_output(&late)
    /// }
    /// ```
    #[must_use]
    pub fn side_output_right_late_data(mut self, tag: &OutputTag<R>) -> Self {
        self.late.right = Some(tag.clone());
        self
    }

    /// One record from each pair.
    ///
    /// ```
    /// # use tidemill_datastream::DataStream;
    /// fn sums(left: &DataStream<(u64, i64)>, right: &DataStream<(u64, i64)>) -> DataStream<i64> {
    ///     let (left, right) = (left.key_by(|record| record.0), right.key_by(|record| record.0));
    ///     left.interval_join(&right).between(-500, 500).apply(|left, right| left.1 + right.1)
    /// }
    /// ```
    #[track_caller]
    pub fn apply<U: Data, F>(self, function: F) -> DataStream<U>
    where
        F: FnMut(&L, &R) -> U + Clone + Send + Sync + 'static,
    {
        self.process(EachPair { function, result: PhantomData })
    }

    /// Any number of records from each pair, with timestamps and side outputs.
    ///
    /// ```
    /// use tidemill_datastream::{Collector, DataStream, JoinContext, ProcessJoinFunction};
    /// use tidemill_runtime::BoxError;
    ///
    /// /// How far apart the records of a pair are, in milliseconds.
    /// #[derive(Clone)]
    /// struct Distances;
    ///
    /// impl ProcessJoinFunction<u64, u64, i64> for Distances {
    ///     fn process(
    ///         &mut self,
    ///         _: &u64,
    ///         _: &u64,
    ///         context: &mut JoinContext<'_>,
    ///         out: &mut Collector<i64>,
    ///     ) -> Result<(), BoxError> {
    ///         out.collect(context.right_timestamp() - context.left_timestamp());
    ///         Ok(())
    ///     }
    /// }
    ///
    /// fn distances(left: &DataStream<u64>, right: &DataStream<u64>) -> DataStream<i64> {
    ///     let (left, right) = (left.key_by(|key| *key), right.key_by(|key| *key));
    ///     left.interval_join(&right).between(-500, 500).process(Distances)
    /// }
    /// ```
    #[track_caller]
    pub fn process<U: Data, F: ProcessJoinFunction<L, R, U>>(self, function: F) -> DataStream<U> {
        let location = Location::caller();
        let Self { left, right, bounds, late } = self;
        let selectors = (left.selector.clone(), right.selector.clone());
        let factory = Checked(move || -> Result<Box<dyn Operator>, OperatorError> {
            let (first, last) = bounds.inclusive()?;
            let selectors = selectors.clone();
            Ok(Box::new(IntervalJoinOperator::new(selectors, (first, last), late.clone(), function.clone())))
        });
        add_two_input(&left.stream, &right.stream, "Interval Join", factory, location)
    }
}

/// A factory of stateful operators that checks before it makes one.
pub(crate) struct Checked<F>(pub(crate) F);

impl<F> OperatorFactory for Checked<F>
where
    F: Fn() -> Result<Box<dyn Operator>, OperatorError> + Send + Sync,
{
    fn create(&self, _subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        (self.0)()
    }

    fn is_stateful(&self) -> bool {
        true
    }
}
