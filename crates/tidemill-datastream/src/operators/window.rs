//! The window operator.
//!
//! Elements go through one of two paths. When the trigger only fires at the end of windows that do not merge, whole batches
//! are added at once: one access to state a batch, and timers only for windows that are new. Otherwise each element
//! goes through the trigger. Both paths keep the same state, and fire from the same timers.

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_core::{Classified, Fault};
use tidemill_runtime::metrics::OperatorMetrics;
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress, SnapshotContext};
use tidemill_serialization::Data;
use tidemill_state::{Clock, KeyedStateBackend, SubtaskSnapshot, TimeDomain, Timers};

use crate::functions::{Collector, Sides};
use crate::key::KeySelector;
use crate::operators::support::{ensure_hashes, take_records};
use crate::operators::window_batch::Scratch;
use crate::operators::window_contents::WindowContents;
use crate::output_tag::OutputTag;
use crate::windows::assigner::millis;
use crate::windows::merging::{Merge, MergingWindowSet};
use crate::windows::{
    AssignerContext, Trigger, TriggerContext, TriggerResult, Window, WindowAssigner, WindowContext,
};

/// The name under which the timers of windows are stored.
const TIMERS: &str = "window-timers";

/// What becomes of elements that come late.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::OutputTag;
/// use tidemill_datastream::operators::Lateness;
///
/// let minute = Lateness::<u64>::default().allow(Duration::from_secs(60)).side_output(OutputTag::new("late"));
/// # let _ = minute;
/// ```
pub struct Lateness<T> {
    pub(crate) allowed: i64,
    pub(crate) side: Option<OutputTag<T>>,
}

impl<T> Clone for Lateness<T> {
    fn clone(&self) -> Self {
        Self { allowed: self.allowed, side: self.side.clone() }
    }
}

impl<T> Default for Lateness<T> {
    /// Late elements are dropped and counted.
    fn default() -> Self {
        Self { allowed: 0, side: None }
    }
}

impl<T> Lateness<T> {
    /// Windows stay for `lateness` after event time has passed their end.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::operators::Lateness;
    ///
    /// let minute = Lateness::<u64>::default().allow(Duration::from_secs(60));
    /// # let _ = minute;
    /// ```
    pub fn allow(self, lateness: Duration) -> Self {
        Self { allowed: millis(lateness), ..self }
    }

    /// What comes later than that goes to a side output.
    ///
    /// ```
    /// use tidemill_datastream::OutputTag;
    /// use tidemill_datastream::operators::Lateness;
    ///
    /// let kept = Lateness::<u64>::default().side_output(OutputTag::new("late"));
    /// # let _ = kept;
    /// ```
    pub fn side_output(self, tag: OutputTag<T>) -> Self {
        Self { side: Some(tag), ..self }
    }
}

/// A window would have to grow into the past.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "windows were merged into {window}, which ends before the current {time}; the end of a window cannot move back: \
     check how the window assigner merges"
)]
struct MergedTooLate {
    window: String,
    time: String,
}

impl Classified for MergedTooLate {
    fn code(&self) -> &'static str {
        "TM-WINDOW-MERGED-TOO-LATE"
    }

    fn fault(&self) -> Fault {
        Fault::User
    }
}

/// Assigns elements to windows and calls a function when those fire.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use tidemill_datastream::ByValue;
/// use tidemill_datastream::operators::window_contents::{Accumulated, Direct, Reduce};
/// use tidemill_datastream::operators::{Lateness, WindowOperator};
/// use tidemill_datastream::windows::{EventTimeTrigger, TumblingEventTimeWindows};
/// use tidemill_runtime::operator::stateful;
/// # use tidemill_testkit::{OperatorHarness, stamped};
///
/// let sums = stateful(|| {
///     let add = |sum: &mut (u32, u64), more: (u32, u64)| sum.1 += more.1;
///     WindowOperator::new(
///         ByValue::new(|record: &(u32, u64)| record.0),
///         TumblingEventTimeWindows::of(Duration::from_millis(10)),
///         EventTimeTrigger,
///         Accumulated::new(Reduce(Arc::new(add)), Direct),
///         Lateness::default(),
///     )
/// });
/// let mut harness = OperatorHarness::<(u32, u64)>::new(sums);
/// harness.process(0, stamped([((7u32, 1u64), 3), ((7, 2), 5), ((7, 4), 12)]))?;
/// harness.watermark(9)?;
/// assert_eq!(harness.take_records(), [((7, 3), 9)]);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub struct WindowOperator<T, U, S, A, R, C>
where
    T: Data,
    S: KeySelector<T>,
    A: WindowAssigner<T>,
{
    pub(crate) selector: S,
    pub(crate) assigner: A,
    trigger: R,
    pub(crate) contents: C,
    pub(crate) lateness: Lateness<T>,
    /// Whether elements are added without asking the trigger.
    batchwise: bool,
    pub(crate) opened: Option<Opened<S::Key, A::Window>>,
    pub(crate) watermark: Watermark,
    next_processing_time: Option<Timestamp>,
    sides: Sides,
    merging: MergingWindowSet<A::Window>,
    windows: Vec<A::Window>,
    merge: Merge<A::Window>,
    pub(crate) scratch: Scratch<T, S::Key, A::Window>,
    types: PhantomData<fn() -> U>,
}

pub(crate) struct Opened<K, W> {
    pub(crate) backend: KeyedStateBackend<K>,
    pub(crate) timers: Timers<W>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<OperatorMetrics>,
}

impl<T, U, S, A, R, C> WindowOperator<T, U, S, A, R, C>
where
    T: Data,
    U: Data,
    S: KeySelector<T>,
    A: WindowAssigner<T>,
    R: Trigger<T, A::Window>,
    C: WindowContents<T, U, S::Key, A::Window>,
{
    /// An operator for the keys that `selector` finds.
    pub fn new(selector: S, assigner: A, trigger: R, contents: C, lateness: Lateness<T>) -> Self {
        let domain = if assigner.is_event_time() { TimeDomain::Event } else { TimeDomain::Processing };
        let batchwise = !A::MERGING && trigger.fires_at_end() == Some(domain);
        Self {
            selector,
            assigner,
            trigger,
            contents,
            lateness,
            batchwise,
            opened: None,
            watermark: Watermark::MIN,
            next_processing_time: None,
            sides: Sides::default(),
            merging: MergingWindowSet::new(),
            windows: Vec::new(),
            merge: Merge::default(),
            scratch: Scratch::default(),
            types: PhantomData,
        }
    }

    /// The time at which the state of a window is removed, in the assigner's time domain; [`Timestamp::MAX`] for never.
    #[inline]
    pub(crate) fn cleanup_time(&self, window: &A::Window) -> Timestamp {
        let end = window.max_timestamp();
        if self.assigner.is_event_time() { end.saturating_add(self.lateness.allowed) } else { end }
    }

    #[inline]
    fn is_late(&self, window: &A::Window) -> bool {
        self.assigner.is_event_time() && self.cleanup_time(window) <= self.watermark.0
    }

    /// Takes an element that is in none of its windows, for all of them are gone.
    pub(crate) fn take_late(&mut self, element: T, timestamp: Timestamp) -> Result<(), OperatorError> {
        if !self.assigner.is_event_time()
            || timestamp.saturating_add(self.lateness.allowed) > self.watermark.0
        {
            return Ok(());
        }
        if let Some(tag) = &self.lateness.side {
            return self.sides.push(tag, element, timestamp).map_err(OperatorError::user);
        }
        if let Some(opened) = &self.opened {
            opened.metrics.late_records_dropped.add(1);
        }
        Ok(())
    }

    pub(crate) fn assigner_context(&self) -> AssignerContext {
        let now = match &self.opened {
            Some(opened) if !self.assigner.is_event_time() => opened.clock.now(),
            _ => 0,
        };
        AssignerContext::at(now)
    }

    /// Puts the element into its windows, asking the trigger for each.
    fn add_element(
        &mut self,
        element: T,
        timestamp: Timestamp,
        hash: u64,
        collector: &mut Collector<U>,
    ) -> Result<(), OperatorError> {
        let context = self.assigner_context();
        let mut windows = std::mem::take(&mut self.windows);
        windows.clear();
        self.assigner
            .assign_windows(&element, timestamp, &context, &mut windows)
            .map_err(OperatorError::user)?;
        let Some(opened) = &mut self.opened else { return Ok(()) };
        opened.backend.set_current_key(self.selector.key(&element).borrow(), hash)?;
        if A::MERGING {
            self.merging.load(&mut opened.backend)?;
        }
        let mut skipped = true;
        let mut element = Some(element);
        for (index, window) in windows.iter().enumerate() {
            let window = if A::MERGING { &self.merge_in(window.clone(), &context)? } else { window };
            if self.is_late(window) {
                if A::MERGING {
                    self.merging.retire(window);
                }
                continue;
            }
            skipped = false;
            // The trigger does not see the contents, so it may be asked before the element is moved into them.
            let Some(seen) = &element else { continue };
            let result =
                self.ask(window, |trigger, context| trigger.on_element(seen, timestamp, window, context))?;
            let added = if index + 1 == windows.len() { element.take() } else { element.clone() };
            let state_window = self.state_window(window).unwrap_or_else(|| window.clone());
            if let (Some(opened), Some(added)) = (&mut self.opened, added) {
                self.contents.add(&mut opened.backend, &state_window, added, timestamp)?;
            }
            self.act(result, window, &state_window, collector)?;
            self.register_cleanup(window)?;
        }
        if A::MERGING
            && let Some(opened) = &mut self.opened
        {
            self.merging.persist(&mut opened.backend)?;
        }
        self.windows = windows;
        match element {
            Some(element) if skipped => self.take_late(element, timestamp),
            _ => Ok(()),
        }
    }

    /// Where the contents of a window of the current key are.
    fn state_window(&self, window: &A::Window) -> Option<A::Window> {
        if A::MERGING { self.merging.state_window(window).cloned() } else { Some(window.clone()) }
    }

    /// Adds a window to those of the current key; answers which one it is in now.
    fn merge_in(
        &mut self,
        window: A::Window,
        assigned: &AssignerContext,
    ) -> Result<A::Window, OperatorError> {
        let mut merge = std::mem::take(&mut self.merge);
        let assigner = &self.assigner;
        let window = self.merging.add(window, |one, other| assigner.merge(one, other), &mut merge);
        if let Some((state_window, sources)) = merge.state_windows.split_first() {
            self.check_merged(&window, assigned)?;
            self.ask(&window, |trigger, context| trigger.on_merge(&window, &merge.merged, context))?;
            for merged in &merge.merged {
                self.ask(merged, |trigger, context| trigger.clear(merged, context))?;
                self.delete_cleanup(merged)?;
            }
            if let Some(opened) = &mut self.opened
                && !sources.is_empty()
            {
                self.contents.merge(&mut opened.backend, state_window, sources)?;
            }
        }
        self.merge = merge;
        Ok(window)
    }

    /// A window by the time of the machine is measured by the reading that it was assigned by: the clock has gone on since,
    /// maybe past the end of a short window. One that ends with that very reading holds the element, and is due at once.
    fn check_merged(&self, window: &A::Window, assigned: &AssignerContext) -> Result<(), OperatorError> {
        let too_late = |time: String| MergedTooLate { window: format!("{window:?}"), time };
        if self.assigner.is_event_time() {
            if self.cleanup_time(window) <= self.watermark.0 {
                return Err(too_late(format!("watermark {}", self.watermark)).into());
            }
        } else if window.max_timestamp() < assigned.processing_time {
            return Err(too_late(format!("processing time {}", assigned.processing_time)).into());
        }
        Ok(())
    }

    /// Calls the trigger for a window of the current key.
    fn ask<Q>(
        &mut self,
        window: &A::Window,
        call: impl FnOnce(
            &mut R,
            &mut TriggerContext<'_, S::Key, A::Window>,
        ) -> Result<Q, tidemill_runtime::BoxError>,
    ) -> Result<Q, OperatorError> {
        let Some(opened) = &mut self.opened else {
            return Err(OperatorError::new(
                "TM-WINDOW-NOT-OPEN",
                Fault::Internal,
                "the operator is not open",
            ));
        };
        let mut context = TriggerContext {
            backend: &mut opened.backend,
            timers: opened.timers,
            window,
            watermark: self.watermark,
            clock: &*opened.clock,
        };
        call(&mut self.trigger, &mut context).map_err(OperatorError::user)
    }

    /// Does what the trigger wants.
    fn act(
        &mut self,
        result: TriggerResult,
        window: &A::Window,
        state_window: &A::Window,
        collector: &mut Collector<U>,
    ) -> Result<(), OperatorError> {
        let Some(opened) = &mut self.opened else { return Ok(()) };
        if result.is_fire() {
            let mut context = WindowContext {
                backend: &mut opened.backend,
                window,
                watermark: self.watermark,
                clock: &*opened.clock,
                sides: &mut self.sides,
            };
            self.contents.fire(state_window, &mut context, collector)?;
        }
        if result.is_purge() {
            self.contents.clear(&mut opened.backend, state_window)?;
        }
        Ok(())
    }

    pub(crate) fn domain(&self) -> TimeDomain {
        if self.assigner.is_event_time() { TimeDomain::Event } else { TimeDomain::Processing }
    }

    fn register_cleanup(&mut self, window: &A::Window) -> Result<(), OperatorError> {
        let (time, domain) = (self.cleanup_time(window), self.domain());
        if let Some(opened) = &mut self.opened
            && time != Timestamp::MAX
        {
            opened.timers.register(&mut opened.backend, domain, time, window)?;
        }
        Ok(())
    }

    fn delete_cleanup(&mut self, window: &A::Window) -> Result<(), OperatorError> {
        let (time, domain) = (self.cleanup_time(window), self.domain());
        if let Some(opened) = &mut self.opened
            && time != Timestamp::MAX
        {
            opened.timers.delete(&mut opened.backend, domain, time, window)?;
        }
        Ok(())
    }

    /// Fires the timers that are due, until a batch is full.
    fn fire(
        &mut self,
        domain: TimeDomain,
        up_to: Timestamp,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let enough = out.batch_records();
        let mut collector = Collector::into(out.fresh());
        let (fired, more) = if self.batchwise && self.contents.is_batchwise() {
            self.fire_batch(domain, up_to, enough, &mut collector)?
        } else {
            self.fire_each(domain, up_to, enough, &mut collector)?
        };
        if let Some(opened) = &self.opened {
            opened.metrics.fired_timers.add(fired);
        }
        out.emit_typed(collector.batch);
        self.sides.emit(out);
        self.note_timer()?;
        Ok(if more { Progress::More } else { Progress::Done })
    }

    /// Fires timers one by one. Answers how many, and whether there may be more.
    fn fire_each(
        &mut self,
        domain: TimeDomain,
        up_to: Timestamp,
        enough: usize,
        collector: &mut Collector<U>,
    ) -> Result<(u64, bool), OperatorError> {
        let mut fired = 0;
        // A timer may remove a window without any output, so the number of timers is bounded, too.
        while collector.len() < enough && fired < enough as u64 {
            let Some(opened) = &mut self.opened else { return Ok((fired, false)) };
            let Some(timer) = opened.timers.pop_due(&mut opened.backend, domain, up_to)? else {
                return Ok((fired, false));
            };
            fired += 1;
            let window = &timer.namespace;
            if A::MERGING {
                self.merging.load(&mut opened.backend)?;
            }
            // A timer that the trigger has left behind when its window was merged or removed.
            let Some(state_window) = self.state_window(window) else { continue };
            let time = timer.timestamp;
            let result = self.ask(window, |trigger, context| match domain {
                TimeDomain::Event => trigger.on_event_time(time, window, context),
                TimeDomain::Processing => trigger.on_processing_time(time, window, context),
            })?;
            self.act(result, window, &state_window, collector)?;
            if domain == self.domain() && time == self.cleanup_time(window) {
                self.remove(window, &state_window)?;
            }
            if A::MERGING
                && let Some(opened) = &mut self.opened
            {
                self.merging.persist(&mut opened.backend)?;
            }
        }
        Ok((fired, true))
    }

    /// Removes all that is kept for a window of the current key.
    fn remove(&mut self, window: &A::Window, state_window: &A::Window) -> Result<(), OperatorError> {
        if let Some(opened) = &mut self.opened {
            self.contents.clear(&mut opened.backend, state_window)?;
        }
        self.ask(window, |trigger, context| trigger.clear(window, context))?;
        if let Some(opened) = &mut self.opened {
            let mut context = WindowContext {
                backend: &mut opened.backend,
                window,
                watermark: self.watermark,
                clock: &*opened.clock,
                sides: &mut self.sides,
            };
            self.contents.clear_window(&mut context)?;
        }
        if A::MERGING {
            self.merging.retire(window);
        }
        Ok(())
    }

    fn note_timer(&mut self) -> Result<(), OperatorError> {
        if let Some(opened) = &mut self.opened {
            let service = opened.timers.service(&mut opened.backend)?;
            self.next_processing_time = service.next_timestamp(TimeDomain::Processing);
        }
        Ok(())
    }

    /// Takes the elements of a batch one by one, until a batch of output is full.
    fn process_each(&mut self, mut batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let enough = out.batch_records();
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        // The hashes are looked up beside the records, which are taken out of the batch one by one.
        let hashes = records.hashes.clone();
        let mut collector = Collector::into(out.fresh());
        let mut index = 0;
        let progress = take_records(batch, out, |element: T, timestamp, _| {
            let hash = hashes[index];
            index += 1;
            self.add_element(element, timestamp, hash, &mut collector)?;
            Ok(collector.len() < enough)
        })?;
        out.emit_typed(collector.batch);
        Ok(progress)
    }
}

impl<T, U, S, A, R, C> Operator for WindowOperator<T, U, S, A, R, C>
where
    T: Data,
    U: Data,
    S: KeySelector<T>,
    A: WindowAssigner<T>,
    R: Trigger<T, A::Window>,
    C: WindowContents<T, U, S::Key, A::Window>,
{
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state(restored.as_ref())?;
        let timers = backend.register_timers(TIMERS)?;
        self.contents.open(&mut backend)?;
        if A::MERGING {
            self.merging.open(&mut backend)?;
        }
        self.trigger.open(&mut backend).map_err(OperatorError::user)?;
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
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        ensure_hashes(records, &self.selector);
        if self.batchwise {
            self.add_records(records)?;
        }
        let progress = if records.is_empty() {
            out.recycle(batch);
            Progress::Done
        } else {
            self.process_each(batch, out)?
        };
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

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        match &mut self.opened {
            Some(opened) => Ok(context.keyed(&mut opened.backend)?),
            None => Ok(SubtaskSnapshot::default()),
        }
    }

    fn close(&mut self) {
        self.contents.close();
    }
}
