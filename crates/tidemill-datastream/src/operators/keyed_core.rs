//! What all operators do that call functions by key: state, timers and time.

use std::borrow::Borrow;
use std::sync::Arc;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{NO_TIMESTAMP, Timestamp, Watermark};
use tidemill_runtime::metrics::OperatorMetrics;
use tidemill_runtime::{BoxError, OperatorContext, OperatorError, Output, Progress, SnapshotContext};
use tidemill_serialization::{Data, Key};
use tidemill_state::{Clock, KeyedStateBackend, StateError, SubtaskSnapshot, TimeDomain, Timers};

use crate::functions::{Collector, FiredTimer, KeyedContext, ProcessContext, Sides};
use crate::key::KeySelector;
use crate::operators::support::{ensure_hashes, take_records};

/// The name under which the timers of functions are stored.
const TIMERS: &str = "user-timers";

/// State, timers and time of an operator that calls functions by key.
pub(crate) struct KeyedCore<K> {
    pub(crate) backend: KeyedStateBackend<K>,
    pub(crate) clock: Arc<dyn Clock>,
    timers: Timers,
    metrics: Arc<OperatorMetrics>,
    watermark: Watermark,
    next_processing_time: Option<Timestamp>,
    sides: Sides,
}

impl<K: Key> KeyedCore<K> {
    /// Restores state and timers, and has `open` declare the states of the function.
    pub(crate) fn open(
        context: &OperatorContext,
        restored: Option<&SubtaskSnapshot>,
        open: impl FnOnce(&mut KeyedStateBackend<K>) -> Result<(), BoxError>,
    ) -> Result<Self, OperatorError> {
        let mut backend = context.keyed_state(restored)?;
        let timers = backend.register_timers(TIMERS)?;
        open(&mut backend).map_err(OperatorError::user)?;
        let mut core = Self {
            backend,
            clock: Arc::clone(&context.clock),
            timers,
            metrics: Arc::clone(&context.metrics),
            watermark: Watermark::MIN,
            next_processing_time: None,
            sides: Sides::default(),
        };
        core.note_timer()?;
        Ok(core)
    }

    pub(crate) fn next_processing_time(&self) -> Option<Timestamp> {
        self.next_processing_time
    }

    pub(crate) fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, StateError> {
        context.keyed(&mut self.backend)
    }

    /// Calls `call` with each record and the state of its key, until a batch of output is full.
    pub(crate) fn take<T: Data, U: Data, S: KeySelector<T, Key = K>>(
        &mut self,
        mut batch: Batch,
        selector: &S,
        out: &mut Output,
        mut call: impl FnMut(T, &mut KeyedContext<'_, K>, &mut Collector<U>) -> Result<(), BoxError>,
    ) -> Result<Progress, OperatorError> {
        let enough = out.batch_records();
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        ensure_hashes(records, selector);
        // The hashes are looked up beside the records, which are taken out of the batch one by one.
        let hashes = std::mem::take(&mut records.hashes);
        let mut collector = Collector::into(out.fresh());
        let Self { backend, clock, timers, watermark, sides, .. } = self;
        backend.prefetch(&hashes);
        let mut hashes = hashes.into_iter();
        let progress = take_records(batch, out, |record: T, timestamp, _| {
            let hash = hashes.next().unwrap_or_default();
            backend.set_current_key(selector.key(&record).borrow(), hash)?;
            collector.timestamp = timestamp;
            let mut context = KeyedContext {
                backend,
                timers: *timers,
                base: ProcessContext { timestamp, watermark: *watermark, clock: &**clock, sides },
            };
            call(record, &mut context, &mut collector).map_err(OperatorError::user)?;
            Ok(collector.len() < enough)
        })?;
        out.emit_typed(collector.batch);
        self.sides.emit(out);
        self.note_timer()?;
        Ok(progress)
    }

    /// Calls `call` with each record, which has no key, and all keyed state, until a batch of output is full.
    pub(crate) fn take_unkeyed<T: Data, U: Data>(
        &mut self,
        batch: Batch,
        out: &mut Output,
        mut call: impl FnMut(
            T,
            &mut KeyedStateBackend<K>,
            &mut ProcessContext<'_>,
            &mut Collector<U>,
        ) -> Result<(), BoxError>,
    ) -> Result<Progress, OperatorError> {
        let enough = out.batch_records();
        let mut collector = Collector::into(out.fresh());
        let Self { backend, clock, watermark, sides, .. } = self;
        backend.clear_current_key();
        let progress = take_records(batch, out, |record: T, timestamp, _| {
            collector.timestamp = timestamp;
            let mut base = ProcessContext { timestamp, watermark: *watermark, clock: &**clock, sides };
            call(record, backend, &mut base, &mut collector).map_err(OperatorError::user)?;
            Ok(collector.len() < enough)
        })?;
        out.emit_typed(collector.batch);
        self.sides.emit(out);
        Ok(progress)
    }

    /// Calls `call` with each timer that is due and the state of its key, until a batch of output is full.
    pub(crate) fn fire<U: Data>(
        &mut self,
        domain: TimeDomain,
        up_to: Timestamp,
        out: &mut Output,
        mut call: impl FnMut(FiredTimer, &mut KeyedContext<'_, K>, &mut Collector<U>) -> Result<(), BoxError>,
    ) -> Result<Progress, OperatorError> {
        let enough = out.batch_records();
        let mut collector = Collector::into(out.fresh());
        let mut fired = 0;
        let mut progress = Progress::Done;
        let Self { backend, clock, timers, watermark, sides, .. } = self;
        while let Some(timer) = timers.pop_due(backend, domain, up_to)? {
            fired += 1;
            let timestamp = if domain == TimeDomain::Event { timer.timestamp } else { NO_TIMESTAMP };
            collector.timestamp = timestamp;
            let mut context = KeyedContext {
                backend,
                timers: *timers,
                base: ProcessContext { timestamp, watermark: *watermark, clock: &**clock, sides },
            };
            let timer = FiredTimer { timestamp: timer.timestamp, domain };
            call(timer, &mut context, &mut collector).map_err(OperatorError::user)?;
            // Timers that emit nothing are bounded too: one that registers the next for ever must not hold up a cancel.
            if collector.len() >= enough || fired as usize >= enough {
                progress = Progress::More;
                break;
            }
        }
        self.metrics.fired_timers.add(fired);
        out.emit_typed(collector.batch);
        self.sides.emit(out);
        self.note_timer()?;
        Ok(progress)
    }

    /// Fires the timers in event time that are due, and passes the watermark on behind what they have emitted.
    pub(crate) fn advance<U: Data>(
        &mut self,
        watermark: Watermark,
        out: &mut Output,
        call: impl FnMut(FiredTimer, &mut KeyedContext<'_, K>, &mut Collector<U>) -> Result<(), BoxError>,
    ) -> Result<Progress, OperatorError> {
        self.watermark = watermark;
        let progress = self.fire(TimeDomain::Event, watermark.0, out, call)?;
        if progress == Progress::Done {
            out.watermark(watermark);
        }
        Ok(progress)
    }

    pub(crate) fn note_timer(&mut self) -> Result<(), StateError> {
        let service = self.timers.service(&mut self.backend)?;
        self.next_processing_time = service.next_timestamp(TimeDomain::Processing);
        Ok(())
    }
}

/// What operators do alike whose `function` has state and timers by key, and whose `core` is there once they are open: all but
/// `process`. Names are those where it is used.
macro_rules! calls_by_key {
    () => {
        fn open(
            &mut self,
            context: &OperatorContext,
            restored: Option<SubtaskSnapshot>,
        ) -> Result<(), OperatorError> {
            let function = &mut self.function;
            self.core = Some(KeyedCore::open(context, restored.as_ref(), |states| function.open(states))?);
            Ok(())
        }

        fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
            let Self { function, core, .. } = self;
            let Some(core) = core else { return Ok(Progress::Done) };
            core.advance(watermark, out, |timer, context, out| function.on_timer(timer, context, out))
        }

        fn next_processing_time(&self) -> Option<Timestamp> {
            self.core.as_ref().and_then(KeyedCore::next_processing_time)
        }

        fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
            let Self { function, core, .. } = self;
            let Some(core) = core else { return Ok(Progress::Done) };
            core.fire(TimeDomain::Processing, now, out, |timer, context, out| {
                function.on_timer(timer, context, out)
            })
        }

        fn snapshot(
            &mut self,
            context: &tidemill_runtime::SnapshotContext,
        ) -> Result<SubtaskSnapshot, OperatorError> {
            match &mut self.core {
                Some(core) => Ok(core.snapshot(context)?),
                None => Ok(SubtaskSnapshot::default()),
            }
        }

        fn close(&mut self) {
            self.function.close();
        }
    };
}
pub(super) use calls_by_key;
