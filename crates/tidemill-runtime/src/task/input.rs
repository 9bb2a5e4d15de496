//! Where a task gets its input from.

use tidemill_core::batch::Batch;
use tidemill_network::{Event, GateItem, InputGate, NetworkError};

use crate::metrics::TaskMetrics;
use crate::valve::{ValveOutput, WatermarkValve};

/// One input gate of a task.
pub(crate) struct GateInput {
    pub(crate) gate: InputGate,
    /// Which input of the head operator the gate belongs to.
    pub(crate) input: usize,
    valve: WatermarkValve,
    open_channels: usize,
}

impl GateInput {
    pub(crate) fn new(gate: InputGate, input: usize) -> Self {
        let channels = gate.channels();
        Self { gate, input, valve: WatermarkValve::new(channels), open_channels: channels }
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

/// All gates of a task, in turn.
pub(crate) struct Gates {
    gates: Vec<GateInput>,
    /// Combines the gates' watermarks.
    combined: WatermarkValve,
    next: usize,
    open_gates: usize,
}

impl Gates {
    pub(crate) fn new(gates: Vec<GateInput>) -> Self {
        let combined = WatermarkValve::new(gates.len());
        let open_gates = gates.len();
        Self { gates, combined, next: 0, open_gates }
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
                let outputs = gate.valve.watermark(channel, watermark);
                self.combine(index, outputs)
            }
            GateItem::Event(Event::Idle(idle)) => {
                let outputs = gate.valve.idle(channel, idle);
                self.combine(index, outputs)
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

    fn combine(&mut self, gate: usize, outputs: [Option<ValveOutput>; 2]) -> TaskInput {
        let mut combined: Vec<ValveOutput> = Vec::new();
        for output in outputs.into_iter().flatten() {
            let outputs = match output {
                ValveOutput::Watermark(watermark) => self.combined.watermark(gate, watermark),
                ValveOutput::Idle(idle) => self.combined.idle(gate, idle),
            };
            combined.extend(outputs.into_iter().flatten());
        }
        if combined.is_empty() { TaskInput::Nothing } else { TaskInput::Status(combined) }
    }

    /// Gives the last batch's buffers back before the task sleeps.
    pub(crate) fn recycle(&mut self) {
        for gate in &mut self.gates {
            gate.gate.recycle_last();
        }
    }
}
