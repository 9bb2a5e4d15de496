//! Where timestamps come from, and how far event time has got.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::ArrowBatch;
use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{NO_TIMESTAMP, Timestamp, Watermark};
use tidemill_runtime::OperatorError;
use tidemill_runtime::source::{SplitStage, SplitStageFactory, WatermarkAlignment, WatermarkSettings};
use tidemill_serialization::{ArrowRecord, Data};

/// Says, from the records it has seen, which timestamps will not come any more.
///
/// ```
/// use tidemill_core::{Timestamp, TypedBatch, Watermark};
/// use tidemill_datastream::WatermarkGenerator;
///
/// /// Event time goes by records that say so.
/// struct Punctuated;
///
/// impl WatermarkGenerator<(bool, String)> for Punctuated {
///     fn on_event(&mut self, record: &(bool, String), timestamp: Timestamp) -> Option<Watermark> {
///         record.0.then_some(Watermark(timestamp))
///     }
///
///     fn on_periodic(&mut self) -> Option<Watermark> {
///         None
///     }
/// }
///
/// let mut batch = TypedBatch::default();
/// batch.push((false, "a".to_owned()), 10);
/// batch.push((true, "b".to_owned()), 20);
/// assert_eq!(Punctuated.on_batch(&batch), Some(Watermark(20)));
/// ```
pub trait WatermarkGenerator<T>: Send {
    /// A record has passed. Answers a watermark that is to be sent behind it at once, if any.
    fn on_event(&mut self, record: &T, timestamp: Timestamp) -> Option<Watermark>;

    /// Asked every `pipeline.auto-watermark-interval`.
    fn on_periodic(&mut self) -> Option<Watermark>;

    /// A whole batch has passed; the default asks for each record and keeps the highest answer.
    fn on_batch(&mut self, batch: &TypedBatch<T>) -> Option<Watermark> {
        let mut highest = None;
        for (index, record) in batch.values.iter().enumerate() {
            let timestamp = batch.timestamps.get(index).copied().unwrap_or(NO_TIMESTAMP);
            highest = highest.max(self.on_event(record, timestamp));
        }
        highest
    }
}

/// Follows the largest timestamp at a fixed distance.
#[derive(Clone, Debug)]
struct BoundedOutOfOrderness {
    max: Timestamp,
    bound: i64,
}

impl<T> WatermarkGenerator<T> for BoundedOutOfOrderness {
    fn on_event(&mut self, _record: &T, timestamp: Timestamp) -> Option<Watermark> {
        self.max = self.max.max(timestamp);
        None
    }

    fn on_periodic(&mut self) -> Option<Watermark> {
        let seen = self.max > Timestamp::MIN + self.bound + 1;
        seen.then(|| Watermark(self.max - self.bound - 1))
    }

    fn on_batch(&mut self, batch: &TypedBatch<T>) -> Option<Watermark> {
        self.max = batch.timestamps.iter().copied().fold(self.max, Timestamp::max);
        None
    }
}

struct NoWatermarks;

impl<T> WatermarkGenerator<T> for NoWatermarks {
    fn on_event(&mut self, _record: &T, _timestamp: Timestamp) -> Option<Watermark> {
        None
    }

    fn on_periodic(&mut self) -> Option<Watermark> {
        None
    }

    fn on_batch(&mut self, _batch: &TypedBatch<T>) -> Option<Watermark> {
        None
    }
}

type Assigner<T> = Arc<dyn Fn(&T, Timestamp) -> Timestamp + Send + Sync>;
type GeneratorFactory<T> = Arc<dyn Fn() -> Box<dyn WatermarkGenerator<T>> + Send + Sync>;

/// How a stream gets its event time.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::WatermarkStrategy;
///
/// // (when, what), at most five seconds out of order; a file that pauses for a minute holds nobody back.
/// let strategy = WatermarkStrategy::<(i64, String)>::for_bounded_out_of_orderness(Duration::from_secs(5))
///     .with_timestamp_assigner(|event, _| event.0)
///     .with_idleness(Duration::from_secs(60));
/// # let _ = strategy;
/// ```
pub struct WatermarkStrategy<T> {
    generator: GeneratorFactory<T>,
    assigner: Option<Assigner<T>>,
    settings: WatermarkSettings,
}

impl<T> Clone for WatermarkStrategy<T> {
    fn clone(&self) -> Self {
        Self {
            generator: Arc::clone(&self.generator),
            assigner: self.assigner.clone(),
            settings: self.settings.clone(),
        }
    }
}

impl<T: Data> WatermarkStrategy<T> {
    /// Records are at most `bound` out of order: the watermark stays that far behind the largest timestamp.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::WatermarkStrategy;
    ///
    /// let five_seconds = WatermarkStrategy::<String>::for_bounded_out_of_orderness(Duration::from_secs(5));
    /// # let _ = five_seconds;
    /// ```
    pub fn for_bounded_out_of_orderness(bound: Duration) -> Self {
        let bound = i64::try_from(bound.as_millis()).unwrap_or(i64::MAX / 2);
        Self::for_generator(move || BoundedOutOfOrderness { max: Timestamp::MIN, bound })
    }

    /// Records come in order of time within each split.
    ///
    /// ```
    /// use tidemill_datastream::WatermarkStrategy;
    ///
    /// let in_order = WatermarkStrategy::<(i64, String)>::for_monotonous_timestamps()
    ///     .with_timestamp_assigner(|event, _| event.0);
    /// # let _ = in_order;
    /// ```
    pub fn for_monotonous_timestamps() -> Self {
        Self::for_bounded_out_of_orderness(Duration::ZERO)
    }

    /// No event time: the only watermark is the one at the end of bounded input.
    ///
    /// ```
    /// use tidemill_datastream::WatermarkStrategy;
    ///
    /// let none = WatermarkStrategy::<String>::no_watermarks();
    /// # let _ = none;
    /// ```
    pub fn no_watermarks() -> Self {
        Self::for_generator(|| NoWatermarks)
    }

    /// Watermarks by a generator of the user, one for each split.
    ///
    /// ```
    /// use tidemill_datastream::{WatermarkGenerator, WatermarkStrategy};
    ///
    /// fn own<G: WatermarkGenerator<String> + Clone + Sync + 'static>(generator: G) -> WatermarkStrategy<String> {
    ///     WatermarkStrategy::for_generator(move || generator.clone())
    /// }
    /// ```
    pub fn for_generator<G: WatermarkGenerator<T> + 'static>(
        make: impl Fn() -> G + Send + Sync + 'static,
    ) -> Self {
        Self {
            generator: Arc::new(move || Box::new(make())),
            assigner: None,
            settings: WatermarkSettings::default(),
        }
    }

    /// Takes the timestamp (milliseconds since the epoch) from the record; the second argument is the one that it has
    /// from its source.
    ///
    /// ```
    /// use tidemill_datastream::WatermarkStrategy;
    ///
    /// // Seconds in the record, milliseconds as a timestamp.
    /// let strategy = WatermarkStrategy::<(i64, String)>::for_monotonous_timestamps()
    ///     .with_timestamp_assigner(|event, _from_source| event.0 * 1000);
    /// # let _ = strategy;
    /// ```
    pub fn with_timestamp_assigner(
        mut self,
        assigner: impl Fn(&T, Timestamp) -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        self.assigner = Some(Arc::new(assigner));
        self
    }

    /// A split without records for so long does not hold the others back.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::WatermarkStrategy;
    ///
    /// let strategy = WatermarkStrategy::<String>::for_monotonous_timestamps().with_idleness(Duration::from_secs(60));
    /// # let _ = strategy;
    /// ```
    pub fn with_idleness(mut self, timeout: Duration) -> Self {
        self.settings.idleness = Some(timeout);
        self
    }

    /// Sources of one `group` wait for the slowest of them when they are more than `max_drift` ahead of it, in event
    /// time; they compare notes every `update_interval`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::WatermarkStrategy;
    ///
    /// let (drift, interval) = (Duration::from_secs(30), Duration::from_secs(1));
    /// let strategy = WatermarkStrategy::<String>::for_monotonous_timestamps()
    ///     .with_watermark_alignment("clicks", drift, interval);
    /// # let _ = strategy;
    /// ```
    pub fn with_watermark_alignment(
        mut self,
        group: impl Into<String>,
        max_drift: Duration,
        update_interval: Duration,
    ) -> Self {
        self.settings.alignment =
            Some(WatermarkAlignment { group: group.into(), max_drift, update_interval });
        self
    }

    pub(crate) fn settings(&self) -> &WatermarkSettings {
        &self.settings
    }

    /// One generator and the assigner, for one split or one operator subtask.
    pub(crate) fn tracker(&self) -> EventTimeTracker<T> {
        EventTimeTracker { generator: (self.generator)(), assigner: self.assigner.clone() }
    }
}

/// Gives timestamps and follows them.
pub(crate) struct EventTimeTracker<T> {
    generator: Box<dyn WatermarkGenerator<T>>,
    assigner: Option<Assigner<T>>,
}

impl<T: Data> EventTimeTracker<T> {
    pub(crate) fn track(&mut self, batch: &mut TypedBatch<T>) -> Option<Watermark> {
        if let Some(assigner) = &self.assigner {
            let TypedBatch { values, timestamps, .. } = batch;
            if timestamps.is_empty() {
                timestamps.extend(values.iter().map(|value| assigner(value, NO_TIMESTAMP)));
            } else {
                for (value, timestamp) in values.iter().zip(timestamps) {
                    *timestamp = assigner(value, *timestamp);
                }
            }
        }
        self.generator.on_batch(batch)
    }

    pub(crate) fn periodic(&mut self) -> Option<Watermark> {
        self.generator.on_periodic()
    }
}

/// What is done with the typed batches of a split.
pub(crate) struct TypedStages<T>(pub(crate) WatermarkStrategy<T>);

struct TypedStage<T>(EventTimeTracker<T>);

impl<T: Data> SplitStageFactory for TypedStages<T> {
    fn create(&self) -> Box<dyn SplitStage> {
        Box::new(TypedStage(self.0.tracker()))
    }
}

impl<T: Data> SplitStage for TypedStage<T> {
    fn process(&mut self, mut batch: Batch) -> Result<(Batch, Option<Watermark>), OperatorError> {
        let watermark = self.0.track(batch.downcast_mut::<TypedBatch<T>>()?);
        Ok((batch, watermark))
    }

    fn periodic(&mut self) -> Option<Watermark> {
        self.0.periodic()
    }
}

/// What is done with the columns of a split: they become records.
pub(crate) struct ArrowStages<T>(pub(crate) WatermarkStrategy<T>);

struct ArrowStage<T> {
    tracker: EventTimeTracker<T>,
    records: PhantomData<fn(T)>,
}

impl<T: ArrowRecord + Data> SplitStageFactory for ArrowStages<T> {
    fn create(&self) -> Box<dyn SplitStage> {
        Box::new(ArrowStage { tracker: self.0.tracker(), records: PhantomData::<fn(T)> })
    }
}

impl<T: ArrowRecord + Data> SplitStage for ArrowStage<T> {
    fn process(&mut self, batch: Batch) -> Result<(Batch, Option<Watermark>), OperatorError> {
        let columns = batch.downcast_ref::<ArrowBatch>()?;
        let rows = 0..columns.records.num_rows();
        let mut typed = TypedBatch {
            values: T::from_arrow(&columns.records, rows)?,
            timestamps: columns.timestamps.clone(),
            hashes: Vec::new(),
        };
        let watermark = self.tracker.track(&mut typed);
        Ok((Batch::new(typed), watermark))
    }

    fn periodic(&mut self) -> Option<Watermark> {
        self.tracker.periodic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each record is a watermark, 0 is none.
    struct AsTold;

    impl WatermarkGenerator<i64> for AsTold {
        fn on_event(&mut self, record: &i64, _timestamp: Timestamp) -> Option<Watermark> {
            (*record != 0).then_some(Watermark(*record))
        }

        fn on_periodic(&mut self) -> Option<Watermark> {
            None
        }
    }

    #[test]
    fn a_batch_answers_with_its_highest_watermark() {
        let of = |records: &[i64]| AsTold.on_batch(&TypedBatch::from_values(records.to_vec()));
        assert_eq!(of(&[3, 9, 0, 4, 0]), Some(Watermark(9)));
        assert_eq!(of(&[-7, 0]), Some(Watermark(-7)));
        assert_eq!(of(&[0, 0]), None);
    }
}
