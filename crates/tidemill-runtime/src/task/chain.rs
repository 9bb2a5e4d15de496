//! Driving a chain: what one operator emits is what the next is called with.
//!
//! The chain is a tree, walked depth first with a stack of its own instead of nested calls, so that it can stop
//! anywhere when an output has no room and go on from there.

use std::sync::Arc;
use std::time::Instant;

use tidemill_core::batch::Batch;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_network::{Event, ResultPartition, Written};

use crate::metrics::OperatorMetrics;
use crate::operator::{Emission, Operator, OperatorError, OperatorWaker, Output, Progress};
use crate::source::SourceOperator;

/// Where an output of an operator goes.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// The side output that is meant, or `None` for the main one.
    pub(crate) side: Option<Arc<str>>,
    pub(crate) target: Target,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// An operator of the same chain.
    Node(usize),
    /// A partition of the task.
    Partition(usize),
}

pub(crate) enum Work {
    Source(Box<SourceOperator>),
    Operator(Box<dyn Operator>),
}

/// One operator of the chain.
pub(crate) struct ChainNode {
    pub(crate) name: Arc<str>,
    pub(crate) work: Work,
    pub(crate) links: Vec<Link>,
    pub(crate) parent: Option<usize>,
    pub(crate) metrics: Arc<OperatorMetrics>,
    pub(crate) waker: OperatorWaker,
    pub(crate) location: String,
    /// The memory of a batch that the next operator has emptied.
    pub(crate) spare: Option<Batch>,
    /// Whether it had finished before the checkpoint that it goes on from: it has said its last.
    pub(crate) finished_before: bool,
}

/// An operator failed.
pub(crate) struct NodeFailure {
    pub(crate) node: usize,
    pub(crate) error: OperatorError,
}

/// What is to be done next; the last of the stack first.
enum Step {
    Batch {
        node: usize,
        input: usize,
        batch: Batch,
    },
    Watermark {
        node: usize,
        watermark: Watermark,
    },
    Idle {
        node: usize,
        idle: bool,
    },
    Timer {
        node: usize,
        now: Timestamp,
    },
    Woken {
        node: usize,
    },
    Finish {
        node: usize,
    },
    Route {
        node: usize,
        partition: usize,
        batch: Batch,
    },
    Event {
        node: usize,
        partition: usize,
        event: Event,
    },
    /// The step below waits for the outside. What its operator has emitted lies above and is passed on first.
    Wait,
}

/// Why [`Chain::run`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChainState {
    /// All is done.
    Idle,
    /// There is more to do, but an output has no room.
    Blocked,
    /// There is more to do, but an operator waits for the outside.
    Outside,
    /// There is more to do, but the task was cancelled.
    Cancelled,
}

pub(crate) struct Chain {
    pub(crate) nodes: Vec<ChainNode>,
    pub(crate) partitions: Vec<ResultPartition>,
    stack: Vec<Step>,
    out: Output,
    /// Whether the step on top waits for the outside.
    waiting_outside: bool,
    finished: bool,
    /// The operator that was called last: the one to blame for a panic.
    current: usize,
}

impl Chain {
    pub(crate) fn new(nodes: Vec<ChainNode>, partitions: Vec<ResultPartition>) -> Self {
        Self {
            nodes,
            partitions,
            stack: Vec::new(),
            out: Output::default(),
            waiting_outside: false,
            finished: false,
            current: 0,
        }
    }

    /// The operator that was called last.
    pub(crate) fn current(&self) -> usize {
        self.current
    }

    /// Notes which operator is being called.
    pub(crate) fn set_current(&mut self, node: usize) {
        self.current = node;
    }

    /// Whether an operator that may speak was woken from outside and has not been called since.
    pub(crate) fn is_woken(&self) -> bool {
        let waiting = self.waiting_node();
        let mut nodes = self.nodes.iter().enumerate();
        nodes.any(|(index, node)| node.waker.is_woken() && self.may_speak(index, waiting))
    }

    /// Whether all partitions have room.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.partitions.iter().all(ResultPartition::is_available)
    }

    /// Whether all operators would take a batch.
    pub(crate) fn takes_input(&self) -> bool {
        self.nodes.iter().all(|node| match &node.work {
            Work::Operator(operator) => operator.has_room(),
            Work::Source(_) => true,
        })
    }

    /// Whether there is nothing left to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.stack.is_empty()
    }

    /// Whether the last operator has finished and all outputs have been told so.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished && self.stack.is_empty()
    }

    pub(crate) fn push_batch(&mut self, input: usize, batch: Batch) {
        self.stack.push(Step::Batch { node: 0, input, batch });
    }

    pub(crate) fn push_watermark(&mut self, watermark: Watermark) {
        self.stack.push(Step::Watermark { node: 0, watermark });
    }

    pub(crate) fn push_idle(&mut self, idle: bool) {
        self.stack.push(Step::Idle { node: 0, idle });
    }

    pub(crate) fn push_finish(&mut self) {
        self.finished = true;
        self.stack.push(Step::Finish { node: 0 });
    }

    /// Sends an event to all consumers of the task, behind what was said before.
    pub(crate) fn broadcast(&mut self, event: Event) -> Result<(), NodeFailure> {
        for partition in &mut self.partitions {
            partition.broadcast(event).map_err(|error| NodeFailure { node: 0, error: error.into() })?;
        }
        Ok(())
    }

    /// Like [`push_finish`](Self::push_finish), behind what is on the stack already.
    pub(crate) fn push_finish_behind(&mut self) {
        self.finished = true;
        self.stack.insert(0, Step::Finish { node: 0 });
    }

    /// Pushes the processing-time timers that are due. True when there are any.
    pub(crate) fn push_timers(&mut self, now: Timestamp) -> bool {
        let before = self.stack.len();
        let waiting = self.waiting_node();
        for index in (0..self.nodes.len()).rev() {
            if self.may_speak(index, waiting) && self.timer_of(index).is_some_and(|due| due <= now) {
                self.stack.push(Step::Timer { node: index, now });
            }
        }
        self.stack.len() > before
    }

    /// When an operator's processing-time timer is due, unless it is being fired already.
    fn timer_of(&self, index: usize) -> Option<Timestamp> {
        if self.nodes[index].finished_before {
            return None;
        }
        let Work::Operator(operator) = &self.nodes[index].work else { return None };
        let due = operator.next_processing_time()?;
        let fires = |step: &Step| matches!(step, Step::Timer { node, .. } if *node == index);
        (!self.stack.iter().any(fires)).then_some(due)
    }

    /// Pushes the operators that were woken from outside. True when there are any.
    pub(crate) fn push_woken(&mut self) -> bool {
        let before = self.stack.len();
        let waiting = self.waiting_node();
        for index in (0..self.nodes.len()).rev() {
            if self.may_speak(index, waiting) && self.nodes[index].waker.take() {
                self.stack.push(Step::Woken { node: index });
            }
        }
        self.stack.len() > before
    }

    /// Whether what an operator says now would come in order: nothing waits on its way down the chain. While an operator
    /// waits in the middle of a batch, only it and those after it may speak.
    fn may_speak(&self, index: usize, waiting: Option<usize>) -> bool {
        let Some(waiting) = waiting else { return true };
        let mut at = Some(index);
        while let Some(node) = at {
            if node == waiting {
                return true;
            }
            at = self.nodes[node].parent;
        }
        false
    }

    /// The operator whose call is to be made again after a wait.
    fn waiting_node(&self) -> Option<usize> {
        self.stack.last().map(|step| match step {
            Step::Batch { node, .. }
            | Step::Watermark { node, .. }
            | Step::Idle { node, .. }
            | Step::Timer { node, .. }
            | Step::Woken { node }
            | Step::Finish { node }
            | Step::Route { node, .. }
            | Step::Event { node, .. } => *node,
            Step::Wait => 0,
        })
    }

    /// When the next processing-time timer is due.
    pub(crate) fn next_processing_time(&self) -> Option<Timestamp> {
        let waiting = self.waiting_node();
        (0..self.nodes.len())
            .filter(|index| self.may_speak(*index, waiting))
            .filter_map(|index| self.timer_of(index))
            .min()
    }

    /// The source at the head, if the chain has one, with the output to poll it with.
    pub(crate) fn source(&mut self) -> Option<(&mut SourceOperator, &mut Output)> {
        self.current = 0;
        let Self { nodes, out, .. } = self;
        let node = nodes.first_mut()?;
        match &mut node.work {
            Work::Source(source) => {
                out.exchange_spare(node.spare.take());
                Some((source, out))
            }
            Work::Operator(_) => None,
        }
    }

    /// Takes over what the source has emitted.
    pub(crate) fn after_source(&mut self) {
        self.nodes[0].spare = self.out.exchange_spare(None);
        self.dispatch(0);
    }

    /// Does what there is to do, until it is done or something is in the way.
    pub(crate) fn run(
        &mut self,
        now: Instant,
        cancelled: impl Fn() -> bool,
    ) -> Result<ChainState, NodeFailure> {
        if std::mem::take(&mut self.waiting_outside) {
            // Whoever was woken hears of it before the call that waited is made again.
            self.push_woken();
        }
        while let Some(step) = self.stack.pop() {
            if matches!(step, Step::Wait) {
                self.waiting_outside = true;
                return Ok(ChainState::Outside);
            }
            let needs_room = !matches!(step, Step::Event { .. });
            if needs_room && !self.has_room() {
                self.stack.push(step);
                return Ok(ChainState::Blocked);
            }
            if cancelled() {
                self.stack.push(step);
                return Ok(ChainState::Cancelled);
            }
            self.step(step, now)?;
            if let Some(deadline) = self.flush_deadline() {
                // Whoever has much to say must not hold back what it said first.
                let now = Instant::now();
                if deadline <= now {
                    self.flush_due(now)?;
                }
            }
        }
        Ok(ChainState::Idle)
    }

    fn step(&mut self, step: Step, now: Instant) -> Result<(), NodeFailure> {
        match step {
            Step::Batch { node, input, batch } => {
                let count = batch.len() as u64;
                let progress = self.call(node, |operator, out| operator.process(input, batch, out))?;
                let kept = self.out.take_kept();
                let left = kept.as_ref().map_or(0, Batch::len) as u64;
                self.nodes[node].metrics.records_in.add(count.saturating_sub(left));
                let again = match (progress, kept) {
                    (Progress::Done, None) => None,
                    (Progress::More | Progress::Wait, Some(batch)) => {
                        Some(Step::Batch { node, input, batch })
                    }
                    (Progress::More | Progress::Wait, None) => {
                        return Err(breach(node, "the operator has more to say but did not keep its batch"));
                    }
                    (Progress::Done, Some(_)) => {
                        return Err(breach(node, "the operator kept a batch although it was done with it"));
                    }
                };
                self.recycle(node);
                self.again(node, progress, again);
            }
            Step::Watermark { node, watermark } => {
                self.nodes[node].metrics.input_watermark.set(watermark.0);
                let progress =
                    self.call_without_batch(node, |operator, out| operator.watermark(watermark, out))?;
                self.again(node, progress, Some(Step::Watermark { node, watermark }));
            }
            Step::Idle { node, idle } => {
                let progress = self.call_without_batch(node, |operator, out| operator.idle(idle, out))?;
                self.again(node, progress, Some(Step::Idle { node, idle }));
            }
            Step::Timer { node, now } => {
                let progress =
                    self.call_without_batch(node, |operator, out| operator.processing_time(now, out))?;
                self.again(node, progress, Some(Step::Timer { node, now }));
            }
            Step::Woken { node } => {
                let progress = self.call_without_batch(node, |operator, out| operator.woken(out))?;
                // Having been woken is not a wait: whoever has nothing to say yet is woken again.
                let progress = if progress == Progress::Wait { Progress::Done } else { progress };
                self.again(node, progress, Some(Step::Woken { node }));
            }
            Step::Finish { node } => {
                let progress = match self.nodes[node].finished_before {
                    true => Progress::Done,
                    false => self.call_without_batch(node, |operator, out| operator.finish(out))?,
                };
                if progress != Progress::Done {
                    self.again(node, progress, Some(Step::Finish { node }));
                    return Ok(());
                }
                for index in (0..self.nodes[node].links.len()).rev() {
                    self.stack.push(match self.nodes[node].links[index].target {
                        Target::Node(next) => Step::Finish { node: next },
                        Target::Partition(partition) => {
                            Step::Event { node, partition, event: Event::EndOfInput }
                        }
                    });
                }
                self.dispatch(node);
            }
            Step::Route { node, partition, batch } => {
                let written = self.partitions[partition].write(batch, now);
                if let Written::Rest(batch) =
                    written.map_err(|error| NodeFailure { node, error: error.into() })?
                {
                    self.stack.push(Step::Route { node, partition, batch });
                }
            }
            Step::Event { node, partition, event } => {
                self.partitions[partition]
                    .broadcast(event)
                    .map_err(|error| NodeFailure { node, error: error.into() })?;
            }
            // Taken from the stack by `run`.
            Step::Wait => {}
        }
        Ok(())
    }

    fn call(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut dyn Operator, &mut Output) -> Result<Progress, OperatorError>,
    ) -> Result<Progress, NodeFailure> {
        self.current = node;
        let Self { nodes, out, .. } = self;
        let state = &mut nodes[node];
        match &mut state.work {
            // A source is polled; all that it could be called for is passed on in its place.
            Work::Source(_) => Ok(Progress::Done),
            Work::Operator(operator) => {
                out.exchange_spare(state.spare.take());
                let called = call(&mut **operator, out);
                state.spare = out.exchange_spare(None);
                called.map_err(|error| NodeFailure { node, error })
            }
        }
    }

    /// Like [`call`](Self::call), where there is no batch that could be kept or handed back.
    fn call_without_batch(
        &mut self,
        node: usize,
        call: impl FnOnce(&mut dyn Operator, &mut Output) -> Result<Progress, OperatorError>,
    ) -> Result<Progress, NodeFailure> {
        let progress = self.call(node, call)?;
        // Left here, it would pass for what another operator does with its batch.
        self.out.take_recycled();
        match self.out.take_kept() {
            None => Ok(progress),
            Some(_) => Err(breach(node, "the operator kept a batch in a call that was given none")),
        }
    }

    fn recycle(&mut self, node: usize) {
        if let Some(emptied) = self.out.take_recycled()
            && let Some(parent) = self.nodes[node].parent
        {
            self.nodes[parent].spare = Some(emptied);
        }
    }

    /// Sees that a call that is not done is made again, after what it has emitted so far was passed on.
    fn again(&mut self, node: usize, progress: Progress, step: Option<Step>) {
        match progress {
            Progress::Done => {}
            Progress::More => self.stack.extend(step),
            Progress::Wait => {
                self.stack.extend(step);
                self.stack.push(Step::Wait);
            }
        }
        self.dispatch(node);
    }

    /// Puts what the operator has emitted on the stack, so that the first is done first.
    fn dispatch(&mut self, node: usize) {
        let Self { nodes, out, stack, .. } = self;
        let ChainNode { links, metrics, .. } = &nodes[node];
        for emission in out.drain_reversed() {
            match emission {
                Emission::Batch(batch) => {
                    metrics.records_out.add(batch.len() as u64);
                    send(stack, node, links.iter().filter(|link| link.side.is_none()), batch);
                }
                Emission::Side(tag, batch) => {
                    metrics.records_out.add(batch.len() as u64);
                    send(stack, node, links.iter().filter(|link| link.side.as_ref() == Some(&tag)), batch);
                }
                Emission::Watermark(watermark) => {
                    metrics.output_watermark.set(watermark.0);
                    for link in links.iter().rev() {
                        stack.push(match link.target {
                            Target::Node(next) => Step::Watermark { node: next, watermark },
                            Target::Partition(partition) => {
                                Step::Event { node, partition, event: Event::Watermark(watermark) }
                            }
                        });
                    }
                }
                Emission::Idle(idle) => {
                    for link in links.iter().rev() {
                        stack.push(match link.target {
                            Target::Node(next) => Step::Idle { node: next, idle },
                            Target::Partition(partition) => {
                                Step::Event { node, partition, event: Event::Idle(idle) }
                            }
                        });
                    }
                }
            }
        }
    }

    /// Sends what waits longer than the buffer timeout.
    pub(crate) fn flush_due(&mut self, now: Instant) -> Result<(), NodeFailure> {
        for partition in &mut self.partitions {
            if partition.deadline().is_some() {
                partition.flush_due(now).map_err(|error| NodeFailure { node: 0, error: error.into() })?;
            }
        }
        Ok(())
    }

    /// When the next buffer is due to be sent.
    pub(crate) fn flush_deadline(&self) -> Option<Instant> {
        self.partitions.iter().filter_map(ResultPartition::deadline).min()
    }
}

/// The failure of an operator that does what operators must not do.
fn breach(node: usize, what: &str) -> NodeFailure {
    let error = OperatorError::new("TM-OPERATOR-CONTRACT", tidemill_core::Fault::Internal, what);
    NodeFailure { node, error }
}

fn send<'a>(
    stack: &mut Vec<Step>,
    node: usize,
    links: impl DoubleEndedIterator<Item = &'a Link>,
    batch: Batch,
) {
    let mut links = links.rev().peekable();
    let mut batch = Some(batch);
    while let Some(link) = links.next() {
        // The last one gets the batch itself, so that it may change it in place.
        let own = if links.peek().is_some() { batch.clone() } else { batch.take() };
        let Some(batch) = own else { return };
        stack.push(match link.target {
            Target::Node(next) => Step::Batch { node: next, input: 0, batch },
            Target::Partition(partition) => Step::Route { node, partition, batch },
        });
    }
}
