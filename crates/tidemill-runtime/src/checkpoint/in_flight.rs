//! Records that were on their way, dealt out to the subtasks that there are now.

use tidemill_core::batch::Batch;
use tidemill_network::{
    Event, GateSnapshot, InFlight, InputChannelSnapshot, NetworkError, RouteTarget, Routed,
};

use crate::checkpoint::restore::Refused;
use crate::graph::{ExecutionPlan, RouterContext, reaching_subtasks};

/// Deals what was on its way to one gate of the subtasks of a vertex, which were `parallelism`, to those that there are now.
///
/// Where nothing has changed each channel goes on with its own. Else the records are routed again, those of one old channel
/// into one new one, so that what came from one subtask for one key stays in order. Watermarks are left out then: those that
/// follow say as much.
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
    let edge = &plan.graph.edges[exchange.edge].edge;
    let serializer = edge.serializer();
    let context = RouterContext {
        channels: targets as usize,
        subtask: 0,
        parallelism: targets,
        max_parallelism: plan.job.vertices[vertex].max_parallelism,
        segment_size: 32 * 1024,
    };
    let mut router = edge.router(exchange.strategy, &context)?;
    for (_, snapshot) in of_subtasks {
        let reader = serializer.reading(&snapshot.serializer).map_err(NetworkError::Migration)?;
        for (old_channel, channel) in snapshot.channels.into_iter().enumerate() {
            let mut routed = Collected(Vec::new());
            for item in channel.queued {
                let InFlight::Buffer(bytes) = item else { continue };
                let mut batch = reader.decode(&bytes).map_err(NetworkError::Migration)?;
                while let Routed::Rest = router.route(&mut batch, &mut routed)? {}
            }
            // The next old channel may go to another new one.
            router.flush(&mut routed);
            for (target, batch) in routed.0 {
                let channels = channels_of(target as u32).max(1);
                let gate = dealt[target].get_or_insert_with(|| GateSnapshot {
                    serializer: serializer.snapshot(),
                    channels: vec![InputChannelSnapshot::default(); channels],
                });
                let mut bytes = Vec::new();
                serializer.encode(&batch, &mut bytes).map_err(NetworkError::Migration)?;
                gate.channels[old_channel % channels].queued.push(InFlight::Buffer(bytes));
            }
        }
    }
    Ok(dealt)
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
