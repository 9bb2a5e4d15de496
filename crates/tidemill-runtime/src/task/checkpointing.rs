//! A task's part in checkpoints: obeying the coordinator, passing barriers on, taking snapshots, ending after the last one.

use std::time::{Duration, Instant};

use tidemill_core::time::Watermark;
use tidemill_core::{AfterSavepoint, CheckpointBarrier, CheckpointId, OperatorId};
use tidemill_network::{Event, Wake};
use tidemill_state::SubtaskSnapshot;

use crate::checkpoint::{TaskFigures, TaskSnapshot};
use crate::metrics::Waiting;
use crate::operator::OperatorError;
use crate::snapshot_context::SnapshotContext;
use crate::task::barriers::AlignmentFigures;
use crate::task::chain::{NodeFailure, Work};
use crate::task::commands::TaskCommand;
use crate::task::input::{Overtaken, TaskInput};
use crate::task::run::{Task, TaskEnd};

impl Task {
    /// Does what the coordinator has told the task. True when the task has nothing more to do.
    pub(super) fn obey(&mut self) -> Result<bool, NodeFailure> {
        let mut ends = false;
        for command in self.commands.take() {
            let Some(checkpoints) = &mut self.checkpoints else { continue };
            match command {
                TaskCommand::Trigger(barrier) => checkpoints.triggered.push(barrier),
                TaskCommand::Completed(id) => {
                    let is_last = checkpoints.last.is_some_and(|last| last <= id);
                    ends |= is_last && (checkpoints.stopping || self.chain.is_finished());
                    self.completed(id)?;
                }
                TaskCommand::Aborted(id) => {
                    checkpoints.triggered.retain(|barrier| barrier.id != id);
                    if checkpoints.stopping && checkpoints.last == Some(id) {
                        (checkpoints.stopping, checkpoints.last) = (false, None);
                    }
                    checkpoints.ends_with_savepoint &= checkpoints.last.is_some_and(|last| last != id);
                    if let Some(gates) = &mut self.gates {
                        gates.abort_checkpoint(id);
                    }
                    self.for_each_operator(|work| match work {
                        Work::Operator(operator) => operator.checkpoint_aborted(id),
                        Work::Source(_) => Ok(()),
                    })?;
                }
            }
        }
        Ok(ends)
    }

    fn completed(&mut self, id: CheckpointId) -> Result<(), NodeFailure> {
        self.for_each_operator(|work| match work {
            Work::Operator(operator) => operator.checkpoint_complete(id),
            Work::Source(source) => source.checkpoint_complete(id),
        })
    }

    fn for_each_operator(
        &mut self,
        mut call: impl FnMut(&mut Work) -> Result<(), OperatorError>,
    ) -> Result<(), NodeFailure> {
        for node in 0..self.chain.nodes.len() {
            self.chain.set_current(node);
            call(&mut self.chain.nodes[node].work).map_err(|error| NodeFailure { node, error })?;
        }
        Ok(())
    }

    /// Begins the checkpoints that were triggered and whose barriers do not come from upstream. True when there was one.
    pub(super) fn begin_triggered(&mut self) -> Result<bool, NodeFailure> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(false) };
        if checkpoints.triggered.is_empty() || self.gates.as_ref().is_some_and(|gates| !gates.all_ended()) {
            return Ok(false);
        }
        let barrier = checkpoints.triggered[0];
        let drains = barrier.after == AfterSavepoint::Drain && !self.chain.is_finished();
        if drains {
            // The barrier follows when the operators have finished.
            self.drain();
            return Ok(true);
        }
        checkpoints.triggered.remove(0);
        if let Some(gates) = &mut self.gates
            && !gates.begin_checkpoint(barrier.id)
        {
            return Ok(true);
        }
        self.checkpoint(barrier, AlignmentFigures::default())?;
        Ok(true)
    }

    /// Has the operators finish as if the input had ended.
    fn drain(&mut self) {
        let now = Instant::now();
        match self.chain.source() {
            Some((source, out)) => {
                source.drain(out, now);
                self.chain.after_source();
                self.chain.push_finish_behind();
            }
            None => {
                self.chain.push_finish();
                self.chain.push_watermark(Watermark::MAX);
            }
        }
    }

    /// Whether the operators have nothing more to say: they have finished, or the job stops with a savepoint.
    pub(super) fn is_at_end(&self) -> bool {
        self.chain.is_finished() || self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.stopping)
    }

    /// Hears of barriers that overtake while no records are taken. True when there was something to hear.
    pub(super) fn take_notice(&mut self, now: Instant) -> Result<bool, NodeFailure> {
        let Some(gates) = &mut self.gates else { return Ok(false) };
        let polled = gates.poll_notices(now, &self.metrics);
        match polled.map_err(|error| NodeFailure { node: 0, error: error.into() })? {
            Some(TaskInput::Checkpoint(barrier, figures)) => self.checkpoint(barrier, figures)?,
            Some(TaskInput::Overtaken(overtaken)) => self.overtaken(overtaken),
            Some(_) => {}
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Passes the barrier on and takes the snapshot of all operators.
    pub(super) fn checkpoint(
        &mut self,
        barrier: CheckpointBarrier,
        alignment: AlignmentFigures,
    ) -> Result<(), NodeFailure> {
        let began = Instant::now();
        // Consumers can begin while this task is at work.
        self.chain.broadcast(Event::Barrier(barrier))?;
        let finished = self.chain.is_finished();
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        checkpoints.triggered.retain(|triggered| triggered.id > barrier.id);
        checkpoints.stopping |= barrier.after == AfterSavepoint::Stop;
        checkpoints.ends_with_savepoint |= barrier.after != AfterSavepoint::GoOn;
        if finished || checkpoints.stopping {
            checkpoints.last.get_or_insert(barrier.id);
        }
        let (task, listener) = (checkpoints.task, std::sync::Arc::clone(&checkpoints.listener));
        let age = self.clock.now().saturating_sub(barrier.timestamp).max(0).unsigned_abs();
        match self.snapshot_operators(SnapshotContext::of(barrier)) {
            Ok(states) => {
                let figures = TaskFigures {
                    start_delay: Duration::from_millis(age).saturating_sub(alignment.duration),
                    alignment: alignment.duration,
                    sync: began.elapsed(),
                    processed_bytes: alignment.processed_bytes,
                };
                let overtook = alignment.overtook;
                let subtask = self.metrics.subtask;
                listener
                    .snapshot(task, TaskSnapshot { barrier, subtask, states, overtook, finished, figures });
            }
            Err(NodeFailure { error, .. }) => listener.declined(task, barrier.id, error),
        }
        Ok(())
    }

    fn snapshot_operators(
        &mut self,
        context: SnapshotContext,
    ) -> Result<Vec<(OperatorId, SubtaskSnapshot)>, NodeFailure> {
        let mut states = Vec::with_capacity(self.chain.nodes.len());
        for node in 0..self.chain.nodes.len() {
            self.chain.set_current(node);
            let snapshot = match &mut self.chain.nodes[node].work {
                Work::Operator(operator) => operator.snapshot(&context),
                Work::Source(source) => Ok(source.checkpoint(context.checkpoint)),
            };
            let snapshot = snapshot.map_err(|error| NodeFailure { node, error })?;
            states.push((self.contexts[node].operator_id, snapshot));
        }
        Ok(states)
    }

    /// Whether the task, which has finished, waits for a checkpoint that says so: only then what its operators said last
    /// can be made visible outside.
    pub(super) fn waits_for_last(&mut self) -> bool {
        let Some(checkpoints) = &mut self.checkpoints else { return false };
        if checkpoints.wait_for_last && !checkpoints.waits_for_last {
            checkpoints.waits_for_last = true;
            checkpoints.listener.waits_for_last_checkpoint(checkpoints.task);
        }
        // A savepoint that ends the job is to be complete before; others may have barriers on their way to this task.
        let more_to_come = self.gates.as_ref().is_some_and(|gates| !gates.all_ended());
        checkpoints.wait_for_last || checkpoints.ends_with_savepoint || more_to_come
    }

    /// Takes what barriers there are; no records come any more, or none are taken.
    pub(super) fn take_barrier(&mut self, now: Instant) -> Result<(), NodeFailure> {
        let Some(gates) = &mut self.gates else {
            self.wait(Waiting::Input, &[], None, |_| true);
            return Ok(());
        };
        let polled =
            gates.poll(&self.metrics, now).map_err(|error| NodeFailure { node: 0, error: error.into() })?;
        match polled {
            Some(TaskInput::Checkpoint(barrier, figures)) => self.checkpoint(barrier, figures)?,
            Some(TaskInput::Overtaken(overtaken)) => self.overtaken(overtaken),
            Some(_) => {}
            None => {
                let deadline = gates.barrier_deadline();
                self.wait(Waiting::Input, &[Wake::Input], deadline, |task| {
                    task.gates.as_ref().is_none_or(|gates| !gates.has_input())
                });
            }
        }
        Ok(())
    }

    pub(super) fn overtaken(&self, overtaken: Overtaken) {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.listener.overtaken(checkpoints.task, overtaken);
        }
    }

    /// Tells the consumers that the task has ended.
    pub(super) fn end(&mut self) -> Result<TaskEnd, NodeFailure> {
        self.chain.broadcast(Event::EndOfPartition)?;
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.listener.finished(checkpoints.task);
        }
        Ok(TaskEnd::Finished)
    }
}
