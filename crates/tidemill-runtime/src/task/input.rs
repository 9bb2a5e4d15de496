//! Where a task gets its input from.

use tidemill_core::batch::Batch;
use tidemill_core::time::Watermark;
use tidemill_network::{Event, GateItem, InputGate, NetworkError};

use crate::metrics::TaskMetrics;
use crate::valve::{ValveOutput, WatermarkValve};

/// One input gate of a task.
pub(crate) struct GateInput {
    pub(crate) gate: InputGate,
    /// Which input of the head operator the gate belongs to.
    pub(crate) input: usize,
    /// Where the gate's channels begin among those of its input, which may have several gates (a union).
    first_channel: usize,
    open_channels: usize,
}

impl GateInput {
    pub(crate) fn new(gate: InputGate, input: usize) -> Self {
        let channels = gate.channels();
        Self { gate, input, first_channel: 0, open_channels: channels }
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
    /// All channels of all gates have ended.
    End,
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

/// All gates of a task, in turn.
pub(crate) struct Gates {
    gates: Vec<GateInput>,
    inputs: Inputs,
    next: usize,
    open_gates: usize,
}

impl Gates {
    pub(crate) fn new(mut gates: Vec<GateInput>) -> Self {
        let count = gates.iter().map(|gate| gate.input + 1).max().unwrap_or(0);
        let mut channels = vec![0; count];
        for gate in &mut gates {
            gate.first_channel = channels[gate.input];
            channels[gate.input] += gate.open_channels;
        }
        let valves = channels.iter().map(|channels| WatermarkValve::new(*channels)).collect();
        let inputs = Inputs::new(valves);
        let open_gates = gates.len();
        Self { gates, inputs, next: 0, open_gates }
    }

    /// Whether something waits.
    pub(crate) fn has_input(&self) -> bool {
        self.gates.iter().any(|gate| gate.gate.has_input())
    }

    /// The next item, or `None` when all queues are empty.
    pub(crate) fn poll(&mut self, metrics: &TaskMetrics) -> Result<Option<TaskInput>, NetworkError> {
        for _ in 0..self.gates.len() {
            let index = self.next;
            self.next = (self.next + 1) % self.gates.len();
            if let Some((channel, item)) = self.gates[index].gate.poll()? {
                return Ok(Some(self.take(index, channel, item, metrics)));
            }
        }
        Ok(None)
    }

    fn take(&mut self, index: usize, channel: usize, item: GateItem, metrics: &TaskMetrics) -> TaskInput {
        let gate = &mut self.gates[index];
        match item {
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
        }
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
