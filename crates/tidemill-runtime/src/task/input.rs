//! Where a task gets its input from.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::batch::Batch;
use tidemill_core::time::Watermark;
use tidemill_core::{CheckpointBarrier, CheckpointId};
use tidemill_network::{Event, GateItem, GateSnapshot, InFlight, InputGate, NetworkError};
use tidemill_state::Clock;

use crate::metrics::TaskMetrics;
use crate::task::barriers::{AlignmentFigures, BarrierHandler, Verdict};
use crate::valve::{ValveOutput, WatermarkValve};

/// One input gate of a task.
pub(crate) struct GateInput {
    pub(crate) gate: InputGate,
    /// Which input of the head operator the gate belongs to.
    pub(crate) input: usize,
    /// Where the gate's channels begin among those of its input, which may have several gates (a union).
    first_channel: usize,
    /// Where they begin among those of the task.
    first_of_task: usize,
    open_channels: usize,
}

impl GateInput {
    pub(crate) fn new(gate: InputGate, input: usize) -> Self {
        let channels = gate.channels();
        Self { gate, input, first_channel: 0, first_of_task: 0, open_channels: channels }
    }
}

/// What the gates of a task have for it.
pub(crate) enum TaskInput {
    Batch {
        input: usize,
        batch: Batch,
    },
    /// Event time has advanced, or the input has gone idle or is active again, in this order.
    Status(Vec<ValveOutput>),
    /// Something arrived that means nothing to the operators.
    Nothing,
    /// The records of all channels of all gates have ended.
    End,
    /// Take the snapshot of a checkpoint; what is on its way in the gates is part of it if its barriers overtook.
    Checkpoint(CheckpointBarrier, AlignmentFigures),
    /// All that the barriers of a checkpoint have overtaken is known.
    Overtaken(Overtaken),
}

/// What the barriers of a checkpoint have overtaken.
pub(crate) struct Overtaken {
    pub(crate) id: CheckpointId,
    /// For each gate.
    pub(crate) gates: Vec<GateSnapshot>,
    /// Bytes of records that the task took until all of it was known.
    pub(crate) processed_bytes: u64,
}

/// Watermark and idleness of the inputs of an operator made one: the minimum over the inputs that are not idle. One that has
/// ended does not count while another is open: what an idle one will bring is not late yet.
struct Inputs {
    /// One valve an input, over all channels of all its gates.
    valves: Vec<WatermarkValve>,
    watermarks: Vec<Watermark>,
    idle: Vec<bool>,
    last: Watermark,
    all_idle: bool,
}

impl Inputs {
    fn new(valves: Vec<WatermarkValve>) -> Self {
        let count = valves.len();
        Self {
            valves,
            watermarks: vec![Watermark::MIN; count],
            idle: vec![false; count],
            last: Watermark::MIN,
            all_idle: false,
        }
    }

    /// The watermark of all inputs, or `None` when all that are open are idle.
    fn watermark(&self) -> Option<Watermark> {
        let open =
            || self.watermarks.iter().zip(&self.idle).filter(|(watermark, _)| **watermark < Watermark::MAX);
        match open().next() {
            None => Some(Watermark::MAX),
            Some(_) => open().filter(|(_, idle)| !**idle).map(|(watermark, _)| *watermark).min(),
        }
    }

    fn combine(&mut self, input: usize, outputs: [Option<ValveOutput>; 2]) -> Vec<ValveOutput> {
        let mut combined = Vec::new();
        for output in outputs.into_iter().flatten() {
            match output {
                ValveOutput::Watermark(watermark) => self.watermarks[input] = watermark,
                ValveOutput::Idle(idle) => self.idle[input] = idle,
            }
            let watermark = self.watermark();
            let was_idle = std::mem::replace(&mut self.all_idle, watermark.is_none());
            if was_idle && !self.all_idle {
                combined.push(ValveOutput::Idle(false));
            }
            if let Some(watermark) = watermark.filter(|watermark| *watermark > self.last) {
                self.last = watermark;
                combined.push(ValveOutput::Watermark(watermark));
            }
            if !was_idle && self.all_idle {
                combined.push(ValveOutput::Idle(true));
            }
        }
        combined
    }
}

/// A checkpoint whose barriers have overtaken.
struct Overtaking {
    id: CheckpointId,
    /// How many gates do not know yet what.
    gates: usize,
    /// What each channel had reached, gate by gate.
    reached: Vec<Vec<Option<Watermark>>>,
}

/// All gates of a task, in turn.
pub(crate) struct Gates {
    gates: Vec<GateInput>,
    inputs: Inputs,
    next: usize,
    open_gates: usize,
    barriers: BarrierHandler,
    overtaking: Option<Overtaking>,
    /// The bytes that the task had taken when it first heard of a checkpoint.
    first_heard: Vec<(CheckpointId, u64)>,
    clock: Arc<dyn Clock>,
    /// What was on its way when the job was stopped, by gate and channel. All of it comes before anything new, and before any
    /// barrier is heard: what comes for a key may come through another channel now.
    recovered: VecDeque<(usize, usize, InFlight)>,
}

impl Gates {
    pub(crate) fn new(mut gates: Vec<GateInput>, clock: Arc<dyn Clock>) -> Self {
        let count = gates.iter().map(|gate| gate.input + 1).max().unwrap_or(0);
        let mut channels = vec![0; count];
        let mut of_task = 0;
        for gate in &mut gates {
            gate.first_channel = channels[gate.input];
            gate.first_of_task = of_task;
            channels[gate.input] += gate.open_channels;
            of_task += gate.open_channels;
        }
        let may_overtake = gates.iter().all(|gate| gate.gate.may_overtake());
        let valves = channels.iter().map(|channels| WatermarkValve::new(*channels)).collect();
        let inputs = Inputs::new(valves);
        let open_gates = gates.len();
        let barriers = BarrierHandler::new(of_task, may_overtake);
        Self {
            gates,
            inputs,
            next: 0,
            open_gates,
            barriers,
            overtaking: None,
            first_heard: Vec::new(),
            clock,
            recovered: VecDeque::new(),
        }
    }

    /// Whether something waits.
    pub(crate) fn has_input(&self) -> bool {
        !self.recovered.is_empty() || self.gates.iter().any(|gate| gate.gate.has_input())
    }

    /// The next item, or `None` when all queues are empty.
    pub(crate) fn poll(
        &mut self,
        metrics: &TaskMetrics,
        now: Instant,
    ) -> Result<Option<TaskInput>, NetworkError> {
        if let Some(checkpoint) = self.overdue(now, metrics) {
            return Ok(Some(checkpoint));
        }
        if let Some((index, channel, item)) = self.recovered.pop_front() {
            let item = self.gates[index].gate.read(item)?;
            return self.take(index, channel, item, metrics, now).map(Some);
        }
        for _ in 0..self.gates.len() {
            let index = self.next;
            self.next = (self.next + 1) % self.gates.len();
            if let Some((channel, item)) = self.gates[index].gate.poll()? {
                return self.take(index, channel, item, metrics, now).map(Some);
            }
        }
        Ok(None)
    }

    fn take(
        &mut self,
        index: usize,
        channel: usize,
        item: GateItem,
        metrics: &TaskMetrics,
        now: Instant,
    ) -> Result<TaskInput, NetworkError> {
        let gate = &mut self.gates[index];
        Ok(match item {
            GateItem::Batch(batch) => {
                metrics.buffers_in.add(1);
                metrics.records_in.add(batch.len() as u64);
                metrics.bytes_in.add(batch.byte_size() as u64);
                TaskInput::Batch { input: gate.input, batch }
            }
            GateItem::Event(Event::Watermark(watermark)) => {
                let (input, channel) = (gate.input, gate.first_channel + channel);
                let outputs = self.inputs.valves[input].watermark(channel, watermark);
                self.combine(input, outputs)
            }
            GateItem::Event(Event::Idle(idle)) => {
                let (input, channel) = (gate.input, gate.first_channel + channel);
                let outputs = self.inputs.valves[input].idle(channel, idle);
                self.combine(input, outputs)
            }
            GateItem::Event(Event::EndOfInput) => {
                gate.open_channels -= 1;
                if gate.open_channels == 0 {
                    self.open_gates -= 1;
                }
                if self.open_gates == 0 { TaskInput::End } else { TaskInput::Nothing }
            }
            GateItem::Event(Event::Barrier(barrier)) => {
                let channel_of_task = gate.first_of_task + channel;
                self.hear_of(barrier.id, metrics);
                let verdict =
                    self.barriers.barrier(channel_of_task, barrier, now, age(&*self.clock, barrier));
                if self.barriers.take_given_up() {
                    self.unblock();
                }
                if verdict == Verdict::Block {
                    self.gates[index].gate.block(channel);
                }
                self.follow(verdict, metrics)
            }
            GateItem::Event(Event::EndOfPartition) => {
                let verdict = self.barriers.end(gate.first_of_task + channel, now);
                self.follow(verdict, metrics)
            }
            GateItem::Announced(barrier) => {
                self.hear_of(barrier.id, metrics);
                let verdict = self.barriers.announced(barrier, now, age(&*self.clock, barrier));
                self.follow(verdict, metrics)
            }
            GateItem::Overtaken(id) => return self.overtaken(id, metrics),
        })
    }

    fn hear_of(&mut self, id: CheckpointId, metrics: &TaskMetrics) {
        if !self.barriers.is_over(id) && self.first_heard.iter().all(|(known, _)| *known != id) {
            self.first_heard.push((id, metrics.bytes_in.get()));
        }
    }

    /// The bytes that the task has taken since it first heard of a checkpoint, or since its part of it began.
    fn taken_since(&mut self, id: CheckpointId, metrics: &TaskMetrics) -> u64 {
        let first = self.first_heard.iter().find(|(known, _)| *known == id);
        let bytes = first.map_or(0, |(_, bytes)| metrics.bytes_in.get().saturating_sub(*bytes));
        self.first_heard.retain(|(known, _)| *known > id);
        bytes
    }

    fn follow(&mut self, verdict: Verdict, metrics: &TaskMetrics) -> TaskInput {
        match verdict {
            Verdict::Wait | Verdict::Block => TaskInput::Nothing,
            Verdict::Complete(barrier, mut figures) => {
                figures.processed_bytes = self.taken_since(barrier.id, metrics);
                self.unblock();
                TaskInput::Checkpoint(barrier, figures)
            }
            Verdict::Overtake(barrier, figures) => {
                for gate in &self.gates {
                    gate.gate.overtake(barrier.id);
                }
                let reached = self.reached();
                self.overtaking = Some(Overtaking { id: barrier.id, gates: self.gates.len(), reached });
                self.unblock();
                TaskInput::Checkpoint(barrier, figures)
            }
        }
    }

    /// What each channel has reached, gate by gate.
    fn reached(&self) -> Vec<Vec<Option<Watermark>>> {
        let of_gate = |gate: &GateInput| {
            let channels = gate.first_channel..gate.first_channel + gate.gate.channels();
            channels.map(|channel| self.inputs.valves[gate.input].reached(channel)).collect()
        };
        self.gates.iter().map(of_gate).collect()
    }

    fn overtaken(&mut self, id: CheckpointId, metrics: &TaskMetrics) -> Result<TaskInput, NetworkError> {
        match &mut self.overtaking {
            Some(overtaking) if overtaking.id == id => {
                overtaking.gates -= 1;
                if overtaking.gates > 0 {
                    return Ok(TaskInput::Nothing);
                }
            }
            _ => return Ok(TaskInput::Nothing),
        }
        let Some(Overtaking { reached, .. }) = self.overtaking.take() else { return Ok(TaskInput::Nothing) };
        let gates = self.gates.iter().map(|gate| gate.gate.take_overtaken(id));
        let mut gates: Vec<GateSnapshot> = gates.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        begin_at(&mut gates, reached);
        let processed_bytes = self.taken_since(id, metrics);
        Ok(TaskInput::Overtaken(Overtaken { id, gates, processed_bytes }))
    }

    /// What there is to hear of checkpoints, leaving records where they are.
    pub(crate) fn poll_notices(
        &mut self,
        now: Instant,
        metrics: &TaskMetrics,
    ) -> Result<Option<TaskInput>, NetworkError> {
        if let Some(checkpoint) = self.overdue(now, metrics) {
            return Ok(Some(checkpoint));
        }
        if !self.recovered.is_empty() {
            return Ok(None);
        }
        for index in 0..self.gates.len() {
            if let Some((channel, notice)) = self.gates[index].gate.poll_notice() {
                return self.take(index, channel, notice, metrics, now).map(Some);
            }
        }
        Ok(None)
    }

    /// Whether there is something to hear of checkpoints.
    pub(crate) fn has_notice(&self) -> bool {
        self.recovered.is_empty() && self.gates.iter().any(|gate| gate.gate.has_notice())
    }

    /// Whether barriers may overtake records on their way to the task.
    pub(crate) fn may_overtake(&self) -> bool {
        self.gates.iter().all(|gate| gate.gate.may_overtake())
    }

    /// The checkpoint whose barriers have waited long enough for the others.
    fn overdue(&mut self, now: Instant, metrics: &TaskMetrics) -> Option<TaskInput> {
        match self.barriers.overdue(now) {
            Verdict::Wait => None,
            verdict => Some(self.follow(verdict, metrics)),
        }
    }

    /// Puts back what was on its way to a gate, before anything is taken from it.
    pub(crate) fn restore(&mut self, gate: usize, snapshot: GateSnapshot) -> Result<(), NetworkError> {
        let Some(of) = self.gates.get(gate) else { return Ok(()) };
        let mut last = None;
        for (channel, item) in of.gate.recovered(snapshot)? {
            // What all channels had reached is known before the first record of any.
            let is_first = last.replace(channel) != Some(channel);
            let is_reached = is_first && matches!(item, InFlight::Event(Event::Watermark(_)));
            let item = (gate, channel, item);
            if is_reached { self.recovered.push_front(item) } else { self.recovered.push_back(item) }
        }
        Ok(())
    }

    /// When barriers have waited long enough for the others.
    pub(crate) fn barrier_deadline(&self) -> Option<Instant> {
        self.barriers.deadline()
    }

    /// Whether the producers of all channels have ended, so that no barrier will come.
    pub(crate) fn all_ended(&self) -> bool {
        self.barriers.all_ended()
    }

    /// Begins a checkpoint without barriers. False when the task has taken its part of it, or nobody wants it any more.
    pub(crate) fn begin_checkpoint(&mut self, id: CheckpointId) -> bool {
        let wanted = !self.barriers.is_over(id);
        if wanted {
            self.barriers.begin(id);
        }
        wanted
    }

    /// Nobody wants this checkpoint any more.
    pub(crate) fn abort_checkpoint(&mut self, id: CheckpointId) {
        self.barriers.abort(id);
        self.first_heard.retain(|(known, _)| *known != id);
        if !self.barriers.is_aligning() {
            self.unblock();
        }
        if self.overtaking.as_ref().is_some_and(|overtaking| overtaking.id == id) {
            self.overtaking = None;
            self.gates.iter().for_each(|gate| gate.gate.abort_overtaking(id));
        }
    }

    fn unblock(&self) {
        self.gates.iter().for_each(|gate| gate.gate.unblock_all());
    }

    fn combine(&mut self, input: usize, outputs: [Option<ValveOutput>; 2]) -> TaskInput {
        let combined = self.inputs.combine(input, outputs);
        if combined.is_empty() { TaskInput::Nothing } else { TaskInput::Status(combined) }
    }

    /// Gives the last batch's buffers back before the task sleeps.
    pub(crate) fn recycle(&mut self) {
        for gate in &mut self.gates {
            gate.gate.recycle_last();
        }
    }
}

/// Puts in front of what was on its way through each channel what the channel had reached, so that a record which was late is late
/// still when it is processed behind a restart. A task that nothing was on its way to has nothing to store.
fn begin_at(gates: &mut [GateSnapshot], reached: Vec<Vec<Option<Watermark>>>) {
    let mut channels = gates.iter().flat_map(|gate| &gate.channels);
    if channels.all(|channel| channel.queued.is_empty()) {
        return;
    }
    for (gate, reached) in gates.iter_mut().zip(reached) {
        for (channel, reached) in gate.channels.iter_mut().zip(reached) {
            // Said also where it is nothing, so that the first watermark of a channel is always this one.
            let watermark = reached.unwrap_or(Watermark::MIN);
            channel.queued.insert(0, InFlight::Event(Event::Watermark(watermark)));
        }
    }
}

/// How long ago the checkpoint was triggered.
fn age(clock: &dyn Clock, barrier: CheckpointBarrier) -> Duration {
    Duration::from_millis(clock.now().saturating_sub(barrier.timestamp).max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_comes_back_holds_event_time_where_it_is() {
        let mut inputs = Inputs::new(vec![WatermarkValve::new(1); 2]);
        let wm = |ms| [Some(ValveOutput::Watermark(Watermark(ms))), None];
        let idle = |idle| [Some(ValveOutput::Idle(idle)), None];
        assert!(inputs.combine(0, wm(100)).is_empty());
        assert_eq!(inputs.combine(1, idle(true)), [ValveOutput::Watermark(Watermark(100))]);
        assert!(inputs.combine(1, idle(false)).is_empty());
        assert!(inputs.combine(1, wm(50)).is_empty());
        assert!(inputs.combine(0, wm(200)).is_empty(), "the second input is at 50");
        assert_eq!(inputs.combine(1, wm(150)), [ValveOutput::Watermark(Watermark(150))]);
        // When all are idle, nothing more is known than before.
        assert!(inputs.combine(1, idle(true)).contains(&ValveOutput::Watermark(Watermark(200))));
        assert_eq!(inputs.combine(0, idle(true)), [ValveOutput::Idle(true)]);
        assert_eq!(inputs.combine(0, idle(false)), [ValveOutput::Idle(false)]);
    }
}
