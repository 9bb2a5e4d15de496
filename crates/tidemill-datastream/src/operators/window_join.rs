//! Pairs of the records of a window.
//!
//! The window operator finds the records of both streams that belong together; here pairs are made of them, a batch at a
//! time, so that a window with a million pairs holds nobody up.

use std::collections::VecDeque;
use std::marker::PhantomData;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::{
    BoxError, Emission, Operator, OperatorContext, OperatorError, Output, Progress, SnapshotContext,
};
use tidemill_serialization::Data;
use tidemill_state::{ListStateDescriptor, OperatorListState, OperatorStateBackend, SubtaskSnapshot};

use crate::functions::Collector;
use crate::joins::{Pairs, Tagged};
use crate::operators::support::operator_state;

/// How many pairs are looked at in one call at most.
const CALLS: usize = 1 << 16;

/// How many windows are taken at a time to make pairs of.
const WINDOWS: usize = 16;

/// Makes pairs of what a window operator finds.
pub(crate) struct WindowJoinOperator<A, B, U, F> {
    windows: Box<dyn Operator>,
    function: F,
    /// What the windows emit.
    found: Output,
    pending: VecDeque<Pending<A, B>>,
    /// Whether the windows are done with the call at hand, of which only pairs are left.
    windows_done: bool,
    state: Option<(OperatorStateBackend, OperatorListState<Stored<A, B>>)>,
    types: PhantomData<fn() -> U>,
}

/// A group of which pairs are left: its timestamp, the place of the next pair, and the group.
type Stored<A, B> = (Timestamp, (u64, u64), Pairs<A, B>);

enum Pending<A, B> {
    Group(Stored<A, B>),
    Watermark(Watermark),
    Idle(bool),
}

impl<A, B, U, F> WindowJoinOperator<A, B, U, F>
where
    A: Data,
    B: Data,
    U: Data,
    F: FnMut(&A, &B, &mut Collector<U>) -> Result<(), BoxError> + Send,
{
    /// Calls `function` with the pairs of each group that `windows` emits.
    pub(crate) fn new(windows: Box<dyn Operator>, function: F) -> Self {
        let mut found = Output::default();
        found.set_batch_records(WINDOWS);
        Self {
            windows,
            function,
            found,
            pending: VecDeque::new(),
            windows_done: false,
            state: None,
            types: PhantomData,
        }
    }

    /// Makes pairs of what is pending, until a batch is full.
    fn drive(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        if self.pending.is_empty() {
            return Ok(Progress::Done);
        }
        let enough = out.batch_records();
        let mut calls = 0;
        let mut collector = Collector::into(out.fresh());
        while let Some(next) = self.pending.front_mut() {
            match next {
                Pending::Group((timestamp, (i, j), Pairs { first, second })) => {
                    collector.timestamp = *timestamp;
                    while let Some(a) = first.get(*i as usize) {
                        while let Some(b) = second.get(*j as usize) {
                            // Pairs of which nothing comes are bounded too, so that a cancel is heard.
                            if collector.len() >= enough || calls >= CALLS {
                                out.emit_typed(collector.batch);
                                return Ok(Progress::More);
                            }
                            calls += 1;
                            (self.function)(a, b, &mut collector).map_err(OperatorError::user)?;
                            *j += 1;
                        }
                        (*i, *j) = (*i + 1, 0);
                    }
                }
                Pending::Watermark(watermark) => {
                    out.emit_typed(std::mem::take(&mut collector.batch));
                    out.watermark(*watermark);
                }
                Pending::Idle(idle) => {
                    out.emit_typed(std::mem::take(&mut collector.batch));
                    out.idle(*idle);
                }
            }
            self.pending.pop_front();
        }
        out.emit_typed(collector.batch);
        Ok(Progress::Done)
    }

    /// Takes over what the windows have emitted.
    fn gather(&mut self, out: &mut Output) -> Result<(), OperatorError> {
        for emission in self.found.take_emissions() {
            match emission {
                Emission::Batch(mut batch) => {
                    let groups = batch.downcast_mut::<TypedBatch<Pairs<A, B>>>()?;
                    for (index, group) in std::mem::take(&mut groups.values).into_iter().enumerate() {
                        self.pending.push_back(Pending::Group((groups.timestamp(index), (0, 0), group)));
                    }
                }
                Emission::Side(tag, batch) => out.emit_side(&tag, batch),
                Emission::Watermark(watermark) => self.pending.push_back(Pending::Watermark(watermark)),
                Emission::Idle(idle) => self.pending.push_back(Pending::Idle(idle)),
            }
        }
        Ok(())
    }

    /// What to answer when the windows have answered `progress`.
    fn answer(&mut self, progress: Progress, out: &mut Output) -> Result<Progress, OperatorError> {
        self.gather(out)?;
        Ok(match (progress, self.drive(out)?) {
            (progress, Progress::Done) => progress,
            (progress, left) => {
                self.windows_done = progress == Progress::Done;
                left
            }
        })
    }

    fn call(
        &mut self,
        out: &mut Output,
        call: impl FnOnce(&mut dyn Operator, &mut Output) -> Result<Progress, OperatorError>,
    ) -> Result<Progress, OperatorError> {
        if self.drive(out)? != Progress::Done {
            return Ok(Progress::More);
        }
        if std::mem::take(&mut self.windows_done) {
            return Ok(Progress::Done);
        }
        let progress = call(&mut *self.windows, &mut self.found)?;
        self.answer(progress, out)
    }
}

impl<A, B, U, F> Operator for WindowJoinOperator<A, B, U, F>
where
    A: Data,
    B: Data,
    U: Data,
    F: FnMut(&A, &B, &mut Collector<U>) -> Result<(), BoxError> + Send,
{
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut state = operator_state(context, restored.as_ref())?;
        let groups: OperatorListState<Stored<A, B>> =
            state.register_list(ListStateDescriptor::new("pending-pairs"))?;
        self.pending = groups.get(&state)?.iter().cloned().map(Pending::Group).collect();
        groups.clear(&mut state)?;
        self.state = Some((state, groups));
        self.windows.open(context, restored)
    }

    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        if self.drive(out)? != Progress::Done {
            out.keep(batch);
            return Ok(Progress::More);
        }
        if std::mem::take(&mut self.windows_done) {
            return Ok(Progress::Done);
        }
        let progress = self.windows.process(input, batch, &mut self.found)?;
        let kept = self.found.take_kept();
        let progress = self.answer(progress, out)?;
        if progress != Progress::Done {
            out.keep(kept.unwrap_or_else(|| Batch::new(TypedBatch::<Tagged<A, B>>::default())));
        }
        Ok(progress)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.call(out, |windows, found| windows.watermark(watermark, found))
    }

    fn idle(&mut self, idle: bool, out: &mut Output) -> Result<Progress, OperatorError> {
        self.call(out, |windows, found| windows.idle(idle, found))
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.windows.next_processing_time()
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        self.call(out, |windows, found| windows.processing_time(now, found))
    }

    fn woken(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.call(out, |windows, found| windows.woken(found))
    }

    fn has_room(&self) -> bool {
        self.windows.has_room()
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.call(out, |windows, found| windows.finish(found))
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        let mut snapshot = self.windows.snapshot(context)?;
        if let Some((state, groups)) = &mut self.state {
            let left = self.pending.iter().filter_map(|pending| match pending {
                Pending::Group(group) => Some(group.clone()),
                Pending::Watermark(_) | Pending::Idle(_) => None,
            });
            groups.update(state, left)?;
            snapshot.absorb(state.snapshot());
            groups.clear(state)?;
        }
        Ok(snapshot)
    }

    fn close(&mut self) {
        self.windows.close();
    }
}
