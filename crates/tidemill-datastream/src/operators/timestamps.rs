//! Timestamps and watermarks in the middle of a stream.

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress};
use tidemill_serialization::Data;
use tidemill_state::{Clock, SubtaskSnapshot};

use std::sync::Arc;
use std::time::Duration;

use crate::watermark::{EventTimeTracker, WatermarkStrategy};

/// Replaces the event time of a stream by that of a [`WatermarkStrategy`]. Watermarks from before are dropped, but for the
/// last one, which ends the stream.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::WatermarkStrategy;
/// use tidemill_datastream::operators::TimestampsOperator;
/// use tidemill_runtime::operator::boxed;
/// # use tidemill_testkit::{OperatorHarness, unstamped};
///
/// let own = WatermarkStrategy::for_monotonous_timestamps().with_timestamp_assigner(|number: &i64, _| *number);
/// let operator = boxed(move || TimestampsOperator::new(&own, Duration::from_millis(200)));
/// let mut harness = OperatorHarness::<i64>::new(operator);
/// harness.process(0, unstamped([10i64, 20]))?;
/// harness.processing_time(200)?;
/// assert_eq!(harness.take_watermarks(), [19]);
/// assert_eq!(harness.take_records(), [(10, 10), (20, 20)]);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub struct TimestampsOperator<T: Data> {
    tracker: EventTimeTracker<T>,
    interval: i64,
    idleness: Option<i64>,
    clock: Option<Arc<dyn Clock>>,
    next: Option<Timestamp>,
    last: Watermark,
    had_records: bool,
    quiet_since: Option<Timestamp>,
    idle: bool,
}

impl<T: Data> TimestampsOperator<T> {
    /// Goes by `strategy`, asking its generator every `interval`.
    pub fn new(strategy: &WatermarkStrategy<T>, interval: Duration) -> Self {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self {
            tracker: strategy.tracker(),
            interval: ms(interval),
            idleness: strategy.settings().idleness.map(ms),
            clock: None,
            next: None,
            last: Watermark::MIN,
            had_records: false,
            quiet_since: None,
            idle: false,
        }
    }

    /// The watermark of an idle stream is ignored, and the last one must not be.
    fn wake(&mut self, out: &mut Output) {
        if std::mem::take(&mut self.idle) {
            out.idle(false);
        }
    }

    fn advance(&mut self, watermark: Option<Watermark>, out: &mut Output) {
        if let Some(watermark) = watermark.filter(|watermark| *watermark > self.last) {
            self.last = watermark;
            out.watermark(watermark);
        }
    }
}

impl<T: Data> Operator for TimestampsOperator<T> {
    fn open(
        &mut self,
        context: &OperatorContext,
        _restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.clock = Some(Arc::clone(&context.clock));
        if self.interval > 0 {
            self.next = Some(context.clock.now().saturating_add(self.interval));
        }
        Ok(())
    }

    fn process(
        &mut self,
        _input: usize,
        mut batch: Batch,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.wake(out);
        self.had_records = true;
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        let watermark = self.tracker.track(records);
        out.emit(batch);
        self.advance(watermark, out);
        Ok(Progress::Done)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        if watermark == Watermark::MAX {
            self.wake(out);
            self.advance(Some(watermark), out);
        }
        Ok(Progress::Done)
    }

    fn idle(&mut self, _idle: bool, _out: &mut Output) -> Result<Progress, OperatorError> {
        // Whether this stream is idle is for its own strategy to say.
        Ok(Progress::Done)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.next
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        self.next = Some(now.saturating_add(self.interval));
        let watermark = self.tracker.periodic();
        self.advance(watermark, out);
        if let Some(timeout) = self.idleness {
            if std::mem::take(&mut self.had_records) {
                self.quiet_since = None;
            } else if let Some(since) = self.quiet_since {
                if now.saturating_sub(since) > timeout && !self.idle {
                    self.idle = true;
                    out.idle(true);
                }
            } else {
                self.quiet_since = Some(now);
            }
        }
        Ok(Progress::Done)
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        // The end of the input ends event time, whatever the generator thinks.
        self.wake(out);
        self.advance(Some(Watermark::MAX), out);
        Ok(Progress::Done)
    }
}
