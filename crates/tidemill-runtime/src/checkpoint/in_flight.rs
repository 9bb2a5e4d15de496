//! Records that were on their way, dealt out to the subtasks that there are now.

use std::sync::Arc;

use tidemill_core::batch::Batch;
use tidemill_core::time::Watermark;
use tidemill_network::{
    Event, GateSnapshot, InFlight, InputChannelSnapshot, NetworkError, RouteTarget, Routed, Router,
};
use tidemill_serialization::BatchSerializer;

use crate::checkpoint::restore::Refused;
use crate::graph::{ExecutionPlan, RouterContext, reaching_subtasks};

/// Deals what was on its way to one gate of the subtasks of a vertex, which were `parallelism`, to those that there are now.
///
/// Where nothing has changed each channel goes on with its own. Else the records are routed again, those of one old channel
/// into one new one, so that what came from one subtask for one key stays in order. So do watermarks, where a new channel is from
/// one and the same subtask as an old one; else they are left out, and those that follow say as much.
pub(super) fn deal(
    plan: &ExecutionPlan,
    vertex: usize,
    gate: usize,
    parallelism: u32,
    of_subtasks: Vec<(u32, GateSnapshot)>,
) -> Result<Vec<Option<GateSnapshot>>, Refused> {
    let vertex_plan = &plan.vertices[vertex];
    let Some(exchange) = vertex_plan.inputs.get(gate).map(|exchange| &plan.exchanges[*exchange]) else {
        return Err(Refused::user(
            "TM-RESTORE-NO-INPUT",
            format!(
                "it holds records on their way to input {gate} of '{}', which has fewer inputs now: restore the job from a \
                 savepoint",
                plan.job.vertices[vertex].name
            ),
        ));
    };
    let targets = plan.job.vertices[vertex].parallelism;
    let sources = plan.job.vertices[exchange.source].parallelism;
    let channels_of = |target| reaching_subtasks(exchange.strategy, target, sources, targets).len();
    let fits = |(subtask, gate): &(u32, GateSnapshot)| gate.channels.len() == channels_of(*subtask);
    let mut dealt: Vec<Option<GateSnapshot>> = (0..targets).map(|_| None).collect();
    if parallelism == targets && of_subtasks.iter().all(fits) {
        for (subtask, mut snapshot) in of_subtasks {
            for channel in &mut snapshot.channels {
                // Producers say again whether they are idle or at their end.
                channel.ended = false;
                channel
                    .queued
                    .retain(|item| !matches!(item, InFlight::Event(Event::Idle(_) | Event::EndOfInput)));
            }
            dealt[subtask as usize] = Some(snapshot);
        }
        return Ok(dealt);
    }
    if parallelism == targets {
        // The senders are others in number, but each record is where it belongs: routed again, it could come to a subtask that has said
        // more about event time than the one it was sent to.
        for (subtask, snapshot) in of_subtasks {
            let channels = channels_of(subtask).max(1);
            let (serializer, mut gate) =
                (snapshot.serializer, vec![InputChannelSnapshot::default(); channels]);
            // So much the subtask had reached, whoever its senders are now.
            let reached = snapshot.channels.iter().map(|channel| match channel.queued.first() {
                Some(InFlight::Event(Event::Watermark(reached))) => *reached,
                _ => Watermark::MIN,
            });
            let reached = InFlight::Event(Event::Watermark(reached.min().unwrap_or(Watermark::MIN)));
            gate.iter_mut().for_each(|channel| channel.queued.push(reached.clone()));
            for (old_channel, channel) in snapshot.channels.into_iter().enumerate() {
                let records = channel.queued.into_iter().filter(|item| matches!(item, InFlight::Buffer(_)));
                gate[old_channel % channels].queued.extend(records);
            }
            dealt[subtask as usize] = Some(GateSnapshot { serializer, channels: gate });
        }
        return Ok(dealt);
    }
    let edge = &plan.graph.edges[exchange.edge].edge;
    let serializer = edge.serializer();
    let context = RouterContext {
        channels: targets as usize,
        subtask: 0,
        parallelism: targets,
        max_parallelism: plan.job.vertices[vertex].max_parallelism,
        segment_size: 32 * 1024,
    };
    let mut dealing = Dealing {
        serializer: Arc::clone(&serializer),
        router: edge.router(exchange.strategy, &context)?,
        channels: (0..targets).map(|target| channels_of(target).max(1)).collect(),
        dealt,
    };
    let knows_all = |count: usize| count == sources as usize;
    let keeps_watermarks = of_subtasks.iter().all(|(_, gate)| knows_all(gate.channels.len()))
        && dealing.channels.iter().copied().all(knows_all);
    let mut of_channels: Vec<Vec<Queue>> = Vec::new();
    for (_, snapshot) in of_subtasks {
        let reader = serializer.reading(&snapshot.serializer).map_err(NetworkError::Migration)?;
        for (channel, found) in snapshot.channels.into_iter().enumerate() {
            if of_channels.len() <= channel {
                of_channels.resize_with(channel + 1, Vec::new);
            }
            of_channels[channel].push(Queue::new(Arc::clone(&reader), found.queued, keeps_watermarks));
        }
    }
    for (channel, queues) in of_channels.into_iter().enumerate() {
        dealing.merge(channel, queues)?;
    }
    Ok(dealing.dealt)
}

/// What was on its way through one channel of an old subtask: records, each time with the watermark that they came behind.
struct Queue {
    reader: Arc<dyn BatchSerializer>,
    segments: Vec<(Watermark, Vec<Vec<u8>>)>,
}

impl Queue {
    fn new(reader: Arc<dyn BatchSerializer>, items: Vec<InFlight>, keeps_watermarks: bool) -> Self {
        let mut segments = vec![(Watermark::MIN, Vec::new())];
        let mut reached = Watermark::MIN;
        for item in items {
            match item {
                InFlight::Buffer(bytes) => {
                    if let Some((_, records)) = segments.last_mut() {
                        records.push(bytes);
                    }
                }
                InFlight::Event(Event::Watermark(watermark)) if keeps_watermarks => {
                    // A sender that was started again may have said less than before, which counts for nothing.
                    reached = reached.max(watermark);
                    segments.push((reached, Vec::new()));
                }
                InFlight::Event(_) => {}
            }
        }
        // What the channel had reached stands first.
        if segments.len() > 1 && segments.first().is_some_and(|(_, records)| records.is_empty()) {
            segments.remove(0);
        }
        Self { reader, segments }
    }
}

/// Deals the records of old channels to new ones.
struct Dealing {
    serializer: Arc<dyn BatchSerializer>,
    router: Box<dyn Router>,
    /// How many channels each new subtask has.
    channels: Vec<usize>,
    dealt: Vec<Option<GateSnapshot>>,
}

impl Dealing {
    /// Deals what one subtask had sent to all old ones. It had sent them all the same watermarks, of which some may have been left out
    /// where nothing was between them; so each record is put behind the one that it came behind, whomever it was sent to.
    fn merge(&mut self, channel: usize, queues: Vec<Queue>) -> Result<(), Refused> {
        let mut segments: Vec<_> = queues
            .into_iter()
            .flat_map(|queue| {
                let reader = queue.reader;
                queue
                    .segments
                    .into_iter()
                    .map(move |(behind, records)| (behind, Arc::clone(&reader), records))
            })
            .collect();
        // Those of one queue stay in order: its watermarks ascend.
        segments.sort_by_key(|(behind, ..)| *behind);
        let mut said = None;
        for (behind, reader, records) in segments {
            if said < Some(behind) {
                said = Some(behind);
                let event = InFlight::Event(Event::Watermark(behind));
                (0..self.dealt.len()).for_each(|target| self.push(target, channel, event.clone()));
            }
            self.route(channel, &*reader, records)?;
        }
        Ok(())
    }

    fn route(
        &mut self,
        channel: usize,
        reader: &dyn BatchSerializer,
        records: Vec<Vec<u8>>,
    ) -> Result<(), Refused> {
        let mut routed = Collected(Vec::new());
        for bytes in records {
            let mut batch = reader.decode(&bytes).map_err(NetworkError::Migration)?;
            while let Routed::Rest = self.router.route(&mut batch, &mut routed)? {}
        }
        // The next records may go to another channel.
        self.router.flush(&mut routed);
        for (target, batch) in routed.0 {
            let mut bytes = Vec::new();
            self.serializer.encode(&batch, &mut bytes).map_err(NetworkError::Migration)?;
            self.push(target, channel, InFlight::Buffer(bytes));
        }
        Ok(())
    }

    fn push(&mut self, target: usize, old_channel: usize, item: InFlight) {
        let channels = self.channels[target];
        let gate = self.dealt[target].get_or_insert_with(|| GateSnapshot {
            serializer: self.serializer.snapshot(),
            channels: vec![InputChannelSnapshot::default(); channels],
        });
        gate.channels[old_channel % channels].queued.push(item);
    }
}

/// Takes what a router deals.
struct Collected(Vec<(usize, Batch)>);

impl RouteTarget for Collected {
    fn begin(&mut self, _channel: usize) -> bool {
        true
    }

    fn full(&mut self, channel: usize, batch: Batch, _bytes: usize) {
        self.0.push((channel, batch));
    }
}
