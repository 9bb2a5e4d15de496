//! The loop of a task.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidemill_core::{CheckpointBarrier, CheckpointId};
use tidemill_network::{TaskWaker, Wake};
use tidemill_state::{Clock, SubtaskSnapshot};

use crate::checkpoint::CheckpointListener;
use crate::context::OperatorContext;
use crate::generic_types::GenericTypes;
use crate::metrics::{TaskMetrics, TaskState, Waiting};
use crate::operator::OperatorError;
use crate::source::SourcePoll;
use crate::task::chain::{Chain, ChainState, NodeFailure, Work};
use crate::task::commands::Commands;
use crate::task::input::{Gates, TaskInput};
use crate::task::panics;
use crate::valve::ValveOutput;

/// A subtask that is ready to run.
pub(crate) struct Task {
    pub(crate) chain: Chain,
    /// `None` when the head is a source.
    pub(crate) gates: Option<Gates>,
    pub(crate) contexts: Vec<OperatorContext>,
    pub(crate) restored: Vec<Option<SubtaskSnapshot>>,
    pub(crate) metrics: Arc<TaskMetrics>,
    pub(crate) waker: Arc<TaskWaker>,
    pub(crate) cancel: Arc<AtomicBool>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) generic_types: Arc<GenericTypes>,
    pub(crate) commands: Arc<Commands>,
    /// `None` without checkpoints.
    pub(crate) checkpoints: Option<Checkpoints>,
}

/// A task's part in the checkpoints of its job.
pub(crate) struct Checkpoints {
    /// Which task of the job this is.
    pub(crate) task: usize,
    pub(crate) listener: Arc<dyn CheckpointListener>,
    /// Whether a task that has finished waits for a checkpoint that says so.
    pub(crate) wait_for_last: bool,
    /// Triggered, but not begun yet.
    pub(crate) triggered: Vec<CheckpointBarrier>,
    /// The first checkpoint that was taken after the task had finished, or that is to stop it.
    pub(crate) last: Option<CheckpointId>,
    /// Whether it was told that the task waits for that.
    pub(crate) waits_for_last: bool,
    /// Whether a savepoint that stops the job has been taken: nothing is read any more.
    pub(crate) stopping: bool,
    /// Whether a savepoint that ends the job has been taken.
    pub(crate) ends_with_savepoint: bool,
}

impl Checkpoints {
    pub(crate) fn new(task: usize, listener: Arc<dyn CheckpointListener>, wait_for_last: bool) -> Self {
        Self {
            task,
            listener,
            wait_for_last,
            triggered: Vec::new(),
            last: None,
            waits_for_last: false,
            stopping: false,
            ends_with_savepoint: false,
        }
    }
}

/// How a task ended.
pub(crate) enum TaskEnd {
    Finished,
    Cancelled,
    Failed { node: usize, error: OperatorError, panicked_at: Option<Option<String>> },
}

impl TaskEnd {
    /// The end of a task that panicked outside of any call of an operator.
    pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Self {
        Self::of_panic(0, &*payload)
    }

    fn of_panic(node: usize, payload: &(dyn Any + Send)) -> Self {
        let panics::Panic { error, location } = panics::Panic::of(payload);
        TaskEnd::Failed { node, error, panicked_at: Some(location) }
    }
}

impl TaskEnd {
    /// The end in one word, by Flink's names.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            TaskEnd::Finished => "FINISHED",
            TaskEnd::Cancelled => "CANCELED",
            TaskEnd::Failed { .. } => "FAILED",
        }
    }
}

/// How long a task sleeps at most before it looks around: a safety net, not a way to be woken.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

impl Task {
    /// Runs to the end. Unwinds only when an operator panics while it is dropped.
    pub(crate) fn run(mut self) -> TaskEnd {
        self.waker.attach();
        panics::enter_task();
        let ran = catch_unwind(AssertUnwindSafe(|| self.open_and_loop()));
        let end = match ran {
            Ok(Ok(end)) => end,
            Ok(Err(NodeFailure { node, error })) => {
                // A consumer goes before its producers only when it failed or was cancelled, and says so itself.
                if error.code() == "TM-NETWORK-CONSUMER-GONE" {
                    TaskEnd::Cancelled
                } else {
                    TaskEnd::Failed { node, error, panicked_at: None }
                }
            }
            Err(payload) => TaskEnd::of_panic(self.chain.current(), &*payload),
        };
        // Their stores go with the operators.
        self.metrics.sample_stores();
        self.close();
        self.metrics.times.enter(Waiting::Input);
        self.metrics.times.finish();
        self.metrics.unwatch();
        self.metrics.set_state(match end {
            TaskEnd::Finished => TaskState::Finished,
            TaskEnd::Cancelled => TaskState::Canceled,
            TaskEnd::Failed { .. } => TaskState::Failed,
        });
        end
    }

    fn close(&mut self) {
        for node in &mut self.chain.nodes {
            // An operator that panicked may panic again when it is closed; the others are closed nevertheless.
            let _ = catch_unwind(AssertUnwindSafe(|| match &mut node.work {
                Work::Operator(operator) => operator.close(),
                Work::Source(source) => source.close(),
            }));
        }
    }

    fn open_and_loop(&mut self) -> Result<TaskEnd, NodeFailure> {
        self.metrics.set_state(TaskState::Initializing);
        for index in 0..self.chain.nodes.len() {
            self.chain.set_current(index);
            let context = &self.contexts[index];
            let restored = self.restored[index].take();
            let opened = match &mut self.chain.nodes[index].work {
                Work::Operator(operator) => operator.open(context, restored),
                Work::Source(source) => source.open(context, restored),
            };
            opened.map_err(|error| NodeFailure { node: index, error })?;
        }
        if !self.generic_types.opened(&self.cancel) {
            return Ok(TaskEnd::Cancelled);
        }
        self.metrics.set_state(TaskState::Running);
        self.process()
    }

    fn process(&mut self) -> Result<TaskEnd, NodeFailure> {
        loop {
            if self.cancel.load(Ordering::Relaxed) {
                return Ok(TaskEnd::Cancelled);
            }
            let now = Instant::now();
            if self.commands.any() && self.obey()? {
                return self.end();
            }
            self.chain.flush_due(now)?;
            let cancel = Arc::clone(&self.cancel);
            let state = self.chain.run(now, || cancel.load(Ordering::Relaxed))?;
            self.count_output();
            match state {
                ChainState::Cancelled => return Ok(TaskEnd::Cancelled),
                ChainState::Blocked => {
                    self.wait_for_room(Waiting::OutputWithin);
                    continue;
                }
                ChainState::Outside => {
                    // A wait that has a time limit ends by a timer.
                    if self.chain.push_timers(self.clock.now()) {
                        continue;
                    }
                    self.wait(Waiting::Outside, &[], None, |_| true);
                    continue;
                }
                ChainState::Idle => {}
            }
            if self.begin_triggered()? {
                continue;
            }
            if self.chain.is_finished() {
                if !self.waits_for_last() {
                    return self.end();
                }
                self.take_barrier(now)?;
                continue;
            }
            if self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.stopping) {
                self.take_barrier(now)?;
                continue;
            }
            if self.chain.push_woken() || self.chain.push_timers(self.clock.now()) {
                continue;
            }
            let has_room = self.chain.has_room();
            if !has_room || !self.chain.takes_input() {
                if self.take_notice(now)? {
                    continue;
                }
                let state = if has_room { Waiting::Outside } else { Waiting::Output };
                self.wait_without_input(state, has_room);
                continue;
            }
            self.take_input(now)?;
        }
    }

    fn take_input(&mut self, now: Instant) -> Result<(), NodeFailure> {
        if let Some(gates) = &mut self.gates {
            let polled = gates
                .poll(&self.metrics, now)
                .map_err(|error| NodeFailure { node: 0, error: error.into() })?;
            match polled {
                Some(TaskInput::Checkpoint(barrier, figures)) => self.checkpoint(barrier, figures)?,
                Some(TaskInput::Overtaken(overtaken)) => self.overtaken(overtaken),
                Some(TaskInput::Batch { input, batch }) => self.chain.push_batch(input, batch),
                Some(TaskInput::Status(outputs)) => {
                    // The stack runs the last first.
                    outputs.into_iter().rev().for_each(|output| self.push_valve(output));
                }
                Some(TaskInput::Nothing) => {}
                Some(TaskInput::End) => self.chain.push_finish(),
                None => {
                    gates.recycle();
                    let deadline = gates.barrier_deadline();
                    self.wait(Waiting::Input, &[Wake::Input], deadline, |task| {
                        task.gates.as_ref().is_none_or(|gates| !gates.has_input())
                    });
                }
            }
            return Ok(());
        }
        let Some((source, out)) = self.chain.source() else {
            // A chain without gates whose head is no source has no input and never will.
            self.chain.push_finish();
            return Ok(());
        };
        let polled = source.poll(out, now).map_err(|error| NodeFailure { node: 0, error })?;
        self.chain.after_source();
        match polled {
            SourcePoll::Ready => {}
            // What it said before it had to wait goes first.
            SourcePoll::Wait(_) if !self.chain.is_idle() => {}
            SourcePoll::Wait(deadline) => self.wait(Waiting::Input, &[], deadline, |_| true),
            SourcePoll::End => self.chain.push_finish_behind(),
        }
        Ok(())
    }

    fn push_valve(&mut self, output: ValveOutput) {
        match output {
            ValveOutput::Watermark(watermark) => {
                self.metrics.input_watermark.set(watermark.0);
                self.chain.push_watermark(watermark);
            }
            ValveOutput::Idle(idle) => self.chain.push_idle(idle),
        }
    }

    /// Waits for room or for the outside, but hears of barriers that may overtake what it does not take.
    fn wait_without_input(&mut self, state: Waiting, has_room: bool) {
        let overtakes = self.checkpoints.is_some() && self.gates.as_ref().is_some_and(Gates::may_overtake);
        let deadline = self.gates.as_ref().and_then(Gates::barrier_deadline);
        let interest: &[Wake] = match (has_room, overtakes) {
            (true, true) => &[Wake::Input],
            (true, false) => &[],
            (false, true) => &[Wake::Output, Wake::Input],
            (false, false) => &[Wake::Output],
        };
        self.wait(state, interest, deadline, |task| {
            let noticed = overtakes && task.gates.as_ref().is_some_and(Gates::has_notice);
            !noticed && (has_room || !task.chain.has_room())
        });
    }

    fn wait_for_room(&mut self, state: Waiting) {
        self.wait(state, &[Wake::Output], None, |task| !task.chain.has_room());
    }

    /// Sleeps until one of `interest` happens, a buffer or timer is due, or `deadline` passes.
    pub(super) fn wait(
        &mut self,
        state: Waiting,
        interest: &[Wake],
        deadline: Option<Instant>,
        still_waiting: impl FnOnce(&Self) -> bool,
    ) {
        let now = Instant::now();
        let mut until = now + LONGEST_SLEEP;
        for due in [deadline, self.chain.flush_deadline()].into_iter().flatten() {
            until = until.min(due);
        }
        // In the middle of some output neither timers are fired nor wakers looked at, so they must not cut the sleep
        // short either.
        let within = state == Waiting::OutputWithin || self.is_at_end();
        if let Some(timer) = self.chain.next_processing_time().filter(|_| !within) {
            let ms = timer.saturating_sub(self.clock.now()).max(0);
            until = until.min(now + Duration::from_millis(ms.unsigned_abs()).min(LONGEST_SLEEP));
        }
        self.metrics.times.enter(state);
        self.waker.wait(interest, Some(until), || {
            !self.cancel.load(Ordering::Relaxed)
                && !self.commands.any()
                && (within || !self.chain.is_woken())
                && still_waiting(self)
        });
        self.metrics.times.enter(Waiting::No);
    }

    fn count_output(&self) {
        let (mut buffers, mut bytes, mut records) = (0, 0, 0);
        for partition in &self.chain.partitions {
            let sent = partition.sent();
            buffers += sent.buffers;
            bytes += sent.bytes;
            records += sent.records;
        }
        self.metrics.buffers_out.set(buffers);
        self.metrics.bytes_out.set(bytes);
        self.metrics.records_out.set(records);
    }
}
