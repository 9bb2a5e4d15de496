//! Marks where bundles end: watermarks behind a table, at which the aggregations behind it let go of the rows that wait.
//!
//! The marks pass through all operators and exchanges as watermarks do, so that bundles of several aggregations, one behind the other, end
//! one after the other and rows wait no longer than one interval in all. Where event time matters to no operator, a mark stands
//! for the clock; what a table says of event time does not pass then. Else a mark is a watermark of the table, one in each
//! interval of event time.

use std::sync::Arc;

use tidemill_core::batch::Batch;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress};
use tidemill_state::{Clock, SubtaskSnapshot};

/// What marks are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarkMode {
    /// The clock.
    ProcTime,
    /// Watermarks.
    RowTime,
}

impl MarkMode {
    /// Its name, as plans show it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            MarkMode::ProcTime => "ProcTime",
            MarkMode::RowTime => "RowTime",
        }
    }
}

/// Marks in intervals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MiniBatchAssignerSpec {
    /// In milliseconds, more than 0.
    pub(crate) interval: i64,
    pub(crate) mode: MarkMode,
}

impl OperatorFactory for MiniBatchAssignerSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(match self.mode {
            MarkMode::ProcTime => {
                Box::new(ByClock { interval: self.interval, clock: None, last: Timestamp::MIN })
            }
            MarkMode::RowTime => {
                Box::new(ByWatermark { interval: self.interval, seen: Timestamp::MIN, said: Timestamp::MIN })
            }
        })
    }
}

/// When the interval that `time` is in began.
fn start(time: Timestamp, interval: i64) -> Timestamp {
    time - time.rem_euclid(interval)
}

struct ByClock {
    interval: i64,
    clock: Option<Arc<dyn Clock>>,
    last: Timestamp,
}

impl ByClock {
    fn mark(&mut self, now: Timestamp, out: &mut Output) {
        let begun = start(now, self.interval);
        if begun > self.last {
            self.last = begun;
            out.watermark(Watermark(begun));
        }
    }
}

impl Operator for ByClock {
    fn open(&mut self, context: &OperatorContext, _: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        self.last = start(context.clock.now(), self.interval);
        self.clock = Some(Arc::clone(&context.clock));
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        if let Some(now) = self.clock.as_ref().map(|clock| clock.now()) {
            self.mark(now, out);
        }
        out.emit(batch);
        Ok(Progress::Done)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        // The last one says that the input has ended.
        if watermark == Watermark::MAX {
            self.last = watermark.0;
            out.watermark(watermark);
        }
        Ok(Progress::Done)
    }

    fn idle(&mut self, _: bool, _: &mut Output) -> Result<Progress, OperatorError> {
        // The clock goes on whether rows come or not.
        Ok(Progress::Done)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.clock.as_ref()?;
        self.last.checked_add(self.interval)
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        self.mark(now, out);
        Ok(Progress::Done)
    }
}

struct ByWatermark {
    interval: i64,
    seen: Timestamp,
    said: Timestamp,
}

impl Operator for ByWatermark {
    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        out.emit(batch);
        Ok(Progress::Done)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.seen = self.seen.max(watermark.0);
        // The last moment of an interval ends it.
        let end = |time: Timestamp| start(time.saturating_add(1), self.interval);
        if watermark == Watermark::MAX || self.said == Timestamp::MIN || end(self.seen) > end(self.said) {
            self.said = self.seen;
            out.watermark(Watermark(self.seen));
        }
        Ok(Progress::Done)
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        if self.seen > self.said {
            self.said = self.seen;
            out.watermark(Watermark(self.seen));
        }
        Ok(Progress::Done)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use tidemill_core::batch::TypedBatch;
    use tidemill_runtime::Emission;

    use super::*;

    struct Hands(AtomicI64);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn marks(out: &mut Output) -> Vec<i64> {
        let said = out.take_emissions().into_iter();
        said.filter_map(|said| match said {
            Emission::Watermark(watermark) => Some(watermark.0),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn the_clock_marks_intervals_once_whether_rows_come_or_not() {
        let clock = Arc::new(Hands(AtomicI64::new(1_234)));
        let context = OperatorContext::detached(0, 1, 128, Arc::clone(&clock) as Arc<dyn Clock>);
        let spec = MiniBatchAssignerSpec { interval: 100, mode: MarkMode::ProcTime };
        let mut operator = spec.create(0).unwrap();
        operator.open(&context, None).unwrap();
        let mut out = Output::default();
        let rows = || Batch::new(TypedBatch::from_values(vec![1u32]));
        operator.process(0, rows(), &mut out).unwrap();
        assert!(marks(&mut out).is_empty(), "the interval had begun");
        assert_eq!(operator.next_processing_time(), Some(1_300));
        clock.0.store(1_305, Ordering::Relaxed);
        operator.process(0, rows(), &mut out).unwrap();
        assert!(matches!(
            &out.take_emissions()[..],
            [Emission::Watermark(Watermark(1_300)), Emission::Batch(_)]
        ));
        assert_eq!(operator.next_processing_time(), Some(1_400));
        operator.processing_time(1_650, &mut out).unwrap();
        operator.watermark(Watermark(7), &mut out).unwrap();
        operator.idle(true, &mut out).unwrap();
        assert_eq!(marks(&mut out), [1_600]);
        operator.watermark(Watermark::MAX, &mut out).unwrap();
        assert_eq!(marks(&mut out), [i64::MAX]);
        assert_eq!(operator.next_processing_time(), None);
    }

    #[test]
    fn of_the_watermarks_of_an_interval_one_passes() {
        let spec = MiniBatchAssignerSpec { interval: 100, mode: MarkMode::RowTime };
        let mut operator = spec.create(0).unwrap();
        let mut out = Output::default();
        for time in [10, 50, 98, 99, 150, 198, 420, 430] {
            operator.watermark(Watermark(time), &mut out).unwrap();
        }
        assert_eq!(marks(&mut out), [10, 99, 420]);
        operator.finish(&mut out).unwrap();
        assert_eq!(marks(&mut out), [430]);
        operator.watermark(Watermark::MAX, &mut out).unwrap();
        assert_eq!(marks(&mut out), [i64::MAX]);
    }
}
