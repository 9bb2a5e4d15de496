//! The general operator with keys, state and timers.

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{NO_TIMESTAMP, Timestamp, Watermark};
use tidemill_runtime::metrics::OperatorMetrics;
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress};
use tidemill_serialization::Data;
use tidemill_state::{Clock, KeyedStateBackend, SubtaskSnapshot, TimeDomain, Timers};

use crate::functions::{Collector, FiredTimer, KeyedContext, KeyedProcessFunction, ProcessContext, Sides};
use crate::key::KeySelector;
use crate::operators::support::{ensure_hashes, take_records};

/// The name under which the timers of functions are stored.
const TIMERS: &str = "user-timers";

/// Calls a [`KeyedProcessFunction`].
pub struct KeyedProcessOperator<T, U, S: KeySelector<T>, F> {
    selector: S,
    function: F,
    opened: Option<Opened<S::Key>>,
    watermark: Watermark,
    next_processing_time: Option<Timestamp>,
    sides: Sides,
    types: PhantomData<fn(T) -> U>,
}

struct Opened<K> {
    backend: KeyedStateBackend<K>,
    timers: Timers,
    clock: Arc<dyn Clock>,
    metrics: Arc<OperatorMetrics>,
}

impl<T, U, S: KeySelector<T>, F> KeyedProcessOperator<T, U, S, F> {
    /// Calls `function` with the key that `selector` finds.
    pub fn new(selector: S, function: F) -> Self {
        Self {
            selector,
            function,
            opened: None,
            watermark: Watermark::MIN,
            next_processing_time: None,
            sides: Sides::default(),
            types: PhantomData,
        }
    }
}

impl<T, U, S, F> KeyedProcessOperator<T, U, S, F>
where
    T: Data,
    U: Data,
    S: KeySelector<T>,
    F: KeyedProcessFunction<S::Key, T, U>,
{
    /// Fires the timers that are due, until a batch is full.
    fn fire(
        &mut self,
        domain: TimeDomain,
        up_to: Timestamp,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let enough = out.batch_records();
        let Some(opened) = &mut self.opened else { return Ok(Progress::Done) };
        let mut collector = Collector::into(out.fresh());
        let mut fired = 0;
        let mut progress = Progress::Done;
        while let Some(timer) = opened.timers.pop_due(&mut opened.backend, domain, up_to)? {
            fired += 1;
            let timestamp = if domain == TimeDomain::Event { timer.timestamp } else { NO_TIMESTAMP };
            collector.timestamp = timestamp;
            let mut context = KeyedContext {
                backend: &mut opened.backend,
                timers: opened.timers,
                base: ProcessContext {
                    timestamp,
                    watermark: self.watermark,
                    clock: &*opened.clock,
                    sides: &mut self.sides,
                },
            };
            let timer = FiredTimer { timestamp: timer.timestamp, domain };
            self.function.on_timer(timer, &mut context, &mut collector).map_err(OperatorError::user)?;
            // Timers that emit nothing are bounded too: one that registers the next for ever must not hold up a cancel.
            if collector.len() >= enough || fired as usize >= enough {
                progress = Progress::More;
                break;
            }
        }
        opened.metrics.fired_timers.add(fired);
        out.emit_typed(collector.batch);
        self.sides.emit(out);
        self.note_timer()?;
        Ok(progress)
    }

    fn note_timer(&mut self) -> Result<(), OperatorError> {
        if let Some(opened) = &mut self.opened {
            let service = opened.timers.service(&mut opened.backend)?;
            self.next_processing_time = service.next_timestamp(TimeDomain::Processing);
        }
        Ok(())
    }
}

impl<T, U, S, F> Operator for KeyedProcessOperator<T, U, S, F>
where
    T: Data,
    U: Data,
    S: KeySelector<T>,
    F: KeyedProcessFunction<S::Key, T, U>,
{
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state(restored.as_ref())?;
        let timers = backend.register_timers(TIMERS)?;
        self.function.open(&mut backend).map_err(OperatorError::user)?;
        self.opened = Some(Opened {
            backend,
            timers,
            clock: Arc::clone(&context.clock),
            metrics: Arc::clone(&context.metrics),
        });
        self.note_timer()
    }

    fn process(
        &mut self,
        _input: usize,
        mut batch: Batch,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let enough = out.batch_records();
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        ensure_hashes(records, &self.selector);
        // The hashes are looked up beside the records, which are taken out of the batch one by one.
        let hashes = std::mem::take(&mut records.hashes);
        let Some(opened) = &mut self.opened else { return Ok(Progress::Done) };
        opened.backend.prefetch(&hashes);
        let mut collector = Collector::into(out.fresh());
        let Self { selector, function, watermark, sides, .. } = self;
        let mut index = 0;
        let progress = take_records(batch, out, |record: T, timestamp, _| {
            opened.backend.set_current_key(selector.key(&record).borrow(), hashes[index])?;
            index += 1;
            collector.timestamp = timestamp;
            let mut context = KeyedContext {
                backend: &mut opened.backend,
                timers: opened.timers,
                base: ProcessContext { timestamp, watermark: *watermark, clock: &*opened.clock, sides },
            };
            function.process(record, &mut context, &mut collector).map_err(OperatorError::user)?;
            Ok(collector.len() < enough)
        })?;
        out.emit_typed(collector.batch);
        self.sides.emit(out);
        self.note_timer()?;
        Ok(progress)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.watermark = watermark;
        let progress = self.fire(TimeDomain::Event, watermark.0, out)?;
        if progress == Progress::Done {
            out.watermark(watermark);
        }
        Ok(progress)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.next_processing_time
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        self.fire(TimeDomain::Processing, now, out)
    }

    fn snapshot(&mut self) -> Result<SubtaskSnapshot, OperatorError> {
        match &mut self.opened {
            Some(opened) => Ok(opened.backend.snapshot()?),
            None => Ok(SubtaskSnapshot::default()),
        }
    }

    fn close(&mut self) {
        self.function.close();
    }
}
