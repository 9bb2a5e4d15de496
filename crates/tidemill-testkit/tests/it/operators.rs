//! Operators that are right, and some that are wrong in one way.

use std::sync::Arc;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::hash::RoutingHash;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress, SnapshotContext};
use tidemill_state::{
    KeyedStateBackend, SubtaskSnapshot, TimeDomain, Timers, ValueState, ValueStateDescriptor,
};

/// A key and a number.
pub(crate) type Record = (u32, i64);

pub(crate) fn key_hash(record: &Record) -> u64 {
    record.0.routing_hash()
}

/// Emits each record once for each unit of its number, so that it needs several calls; counts the records of each key, and
/// tells the count at a timer in event time and, to a side output, at one in processing time.
pub(crate) struct Copier {
    opened: Option<(KeyedStateBackend<u32>, ValueState<i64, ()>, Timers)>,
    left_of_first: Option<i64>,
    /// Whether what is left of a record is where no snapshot sees it.
    hides_progress: bool,
    greetings: Arc<str>,
    watermark: Timestamp,
    next_timer: Option<Timestamp>,
}

impl Copier {
    pub(crate) fn new(hides_progress: bool) -> Self {
        Self {
            opened: None,
            left_of_first: None,
            hides_progress,
            greetings: "greetings".into(),
            watermark: Timestamp::MIN,
            next_timer: None,
        }
    }

    fn note_timer(&mut self) -> Result<(), OperatorError> {
        let (backend, _, timers) = self.opened.as_mut().expect("open");
        self.next_timer = timers.service(backend)?.next_timestamp(TimeDomain::Processing);
        Ok(())
    }

    fn count(&mut self, key: u32, timestamp: Timestamp) -> Result<(), OperatorError> {
        let (backend, count, timers) = self.opened.as_mut().expect("open");
        backend.set_current_key(&key, key.routing_hash())?;
        let so_far = count.get(backend)?.unwrap_or(0);
        count.update(backend, so_far + 1)?;
        timers.register(backend, TimeDomain::Event, timestamp + 10, &())?;
        timers.register(backend, TimeDomain::Processing, timestamp / 10 * 10, &())?;
        self.note_timer()
    }

    fn fire(
        &mut self,
        domain: TimeDomain,
        up_to: Timestamp,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let (backend, count, timers) = self.opened.as_mut().expect("open");
        let mut emitted = TypedBatch::<Record>::default();
        let mut progress = Progress::Done;
        while let Some(timer) = timers.pop_due(backend, domain, up_to)? {
            let key = *backend.current_key().expect("a timer has a key").0;
            emitted.push((key, count.get(backend)?.unwrap_or(-1)), timer.timestamp);
            if emitted.len() >= out.batch_records() {
                progress = Progress::More;
                break;
            }
        }
        match domain {
            TimeDomain::Event => out.emit_typed(emitted),
            TimeDomain::Processing => out.emit_side(&self.greetings, Batch::new(emitted)),
        }
        self.note_timer()?;
        Ok(progress)
    }
}

impl Operator for Copier {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<u32>(restored.as_ref())?;
        let timers = backend.register_timers("timers")?;
        let count = backend.register_value::<(), i64>(ValueStateDescriptor::new("count"))?;
        self.opened = Some((backend, count, timers));
        self.note_timer()
    }

    fn process(&mut self, _: usize, mut batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let mut emitted = TypedBatch::<Record>::default();
        let records = batch.downcast_mut::<TypedBatch<Record>>()?;
        let mut taken = 0;
        while taken < records.len() && emitted.len() < out.batch_records() {
            let (key, number) = records.values[taken];
            let timestamp = records.timestamp(taken);
            let left = self.left_of_first.take().unwrap_or(number);
            if timestamp <= self.watermark {
                taken += 1;
            } else if left == 0 {
                self.count(key, timestamp)?;
                taken += 1;
            } else {
                emitted.push((key, left), timestamp);
                if self.hides_progress {
                    self.left_of_first = Some(left - 1);
                } else {
                    records.values[taken].1 = left - 1;
                }
            }
        }
        out.emit_typed(emitted);
        records.values.drain(..taken);
        records.timestamps.drain(..taken);
        records.hashes.clear();
        if records.is_empty() {
            return Ok(Progress::Done);
        }
        out.keep(batch);
        Ok(Progress::More)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.watermark = watermark.0;
        let progress = self.fire(TimeDomain::Event, watermark.0, out)?;
        if progress == Progress::Done {
            out.watermark(watermark);
        }
        Ok(progress)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.next_timer
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        self.fire(TimeDomain::Processing, now, out)
    }

    fn snapshot(&mut self, _: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        Ok(self.opened.as_mut().expect("open").0.snapshot()?)
    }
}

/// Does in `process` what a function says.
pub(crate) struct Doing<F>(pub(crate) F);

impl<F: FnMut(Batch, &mut Output) -> Progress + Send> Operator for Doing<F> {
    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        Ok((self.0)(batch, out))
    }
}
