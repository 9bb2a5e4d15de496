//! From a plan to running threads: slots, gates, partitions, chains.

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::OperatorId;
use tidemill_core::budget::MemoryBudget;
use tidemill_core::graph::ShipStrategy;
use tidemill_network::{
    ChannelSender, GateBuffers, InputGate, LocalBufferPool, PartitionBuffers, ResultPartition, TaskWaker,
};

use tidemill_state::HashMapStateBackend;

use crate::checkpoint::{CheckpointService, Restored, RestoredJob};
use crate::cluster::execution::{Ends, Execution};
use crate::cluster::slots::{MANAGED_KEY, Slots};
use crate::cluster::{ClusterShared, TaskManagerResources};
use crate::context::OperatorContext;
use crate::error::{JobError, OperatorFailure};
use crate::generic_types::GenericTypes;
use crate::graph::{
    Exchange, ExecutionPlan, NodeKind, Place, RouterContext, reached_subtasks, reaching_subtasks,
};
use crate::metrics::{OperatorMetrics, TaskMetrics};
use crate::operator::{OperatorError, OperatorWaker};
use crate::source::{AlignmentGroups, SourceCoordinator, SourceOperator, SourceSpec};
use crate::task::panics::{self, Panic};
use crate::task::{Chain, ChainNode, Commands, GateInput, Gates, Link, Target, Task, TaskEnd, Work};

/// One subtask while it is being put together.
struct Draft {
    vertex: usize,
    subtask: u32,
    waker: Arc<TaskWaker>,
    gates: Vec<GateInput>,
    /// For each exchange that begins in the vertex, in its order: the partition.
    partitions: Vec<ResultPartition>,
}

/// One run of a region of a job: its tasks, what they count, and how to reach them.
pub(crate) struct Attempt {
    pub(crate) execution: Arc<Execution>,
    pub(crate) tasks: Vec<Deployed>,
    /// The enumerators of the sources.
    pub(crate) sources: Vec<(OperatorId, u32, Arc<SourceCoordinator>)>,
}

/// A task of an attempt.
pub(crate) struct Deployed {
    /// Its number among all tasks of the job.
    pub(crate) number: usize,
    pub(crate) metrics: Arc<TaskMetrics>,
    /// How it is told of checkpoints.
    pub(crate) commands: Arc<Commands>,
}

/// What a region is deployed with.
pub(super) struct Deployment<'a> {
    pub(super) cluster: &'a ClusterShared,
    pub(super) plan: &'a ExecutionPlan,
    pub(super) slots: &'a Slots,
    pub(super) checkpoints: Option<&'a CheckpointService>,
    /// Told when an attempt has ended.
    pub(super) ends: &'a Arc<Ends>,
    pub(super) is_cancelled: &'a dyn Fn() -> bool,
}

/// Whether a job can be deployed at all, before anything of its size is made.
pub(super) fn check(cluster: &ClusterShared, plan: &ExecutionPlan) -> Result<(), JobError> {
    check_slots(cluster, plan)?;
    check_buffers(cluster, plan)
}

impl Deployment<'_> {
    /// Starts regions of a job, each given by its vertices, with what an earlier run has left.
    pub(super) fn deploy(
        &self,
        regions: &[&[usize]],
        restored: Option<(RestoredJob, Restored)>,
    ) -> Result<Vec<Attempt>, JobError> {
        let (mut restored, origin) = restored.unzip();
        panics::install_hook();
        let prepared = regions.iter().map(|region| self.prepare(region, restored.as_mut()));
        let (attempts, tasks): (Vec<Attempt>, Vec<Vec<Task>>) =
            prepared.collect::<Result<Vec<_>, JobError>>()?.into_iter().unzip();
        if let Some(checkpoints) = self.checkpoints {
            // Before any of them can say anything.
            checkpoints.started(&attempts, origin);
        }
        let mut tasks = tasks.into_iter();
        for (index, (attempt, of_region)) in attempts.iter().zip(&mut tasks).enumerate() {
            if let Err(error) = start(attempt, of_region, self.is_cancelled) {
                // Those that did start must not outlive the answer.
                let by_user = matches!(error, JobError::Cancelled(_));
                for (other, attempt) in attempts.iter().enumerate() {
                    if other > index {
                        attempt.execution.never_started(0);
                    }
                    attempt.execution.cancel(by_user);
                    while matches!(attempt.execution.wait_for(Duration::from_secs(3600)), Ok(false)) {}
                }
                return Err(error);
            }
        }
        Ok(attempts)
    }

    fn go_on(&self) -> Result<(), JobError> {
        if (self.is_cancelled)() { Err(JobError::Cancelled(self.plan.job.name.clone())) } else { Ok(()) }
    }

    fn prepare(
        &self,
        region: &[usize],
        mut restored: Option<&mut RestoredJob>,
    ) -> Result<(Attempt, Vec<Task>), JobError> {
        let plan = self.plan;
        let mut drafts = Drafts { first: vec![0; plan.vertices.len()], drafts: Vec::new() };
        for vertex in region.iter().copied() {
            drafts.first[vertex] = drafts.drafts.len();
            for subtask in 0..plan.job.vertices[vertex].parallelism {
                drafts.drafts.push(Draft {
                    vertex,
                    subtask,
                    waker: Arc::new(TaskWaker::new()),
                    gates: Vec::new(),
                    partitions: Vec::new(),
                });
            }
        }
        connect(self.cluster, plan, region, &mut drafts, &|| self.go_on())?;
        let coordinators = coordinate(plan, region, restored.as_deref_mut())?;
        let groups = AlignmentGroups::default();
        let generic_types = Arc::new(GenericTypes::new(plan.settings.generic_types, drafts.drafts.len()));
        let nodes = region.iter().flat_map(|vertex| &plan.vertices[*vertex].nodes);
        let nodes: BTreeSet<usize> = nodes.copied().collect();
        for edge in plan.graph.edges.iter().filter(|edge| nodes.contains(&edge.source)) {
            let name = |node: usize| plan.graph.nodes[node].name.as_str();
            generic_types.edge(name(edge.source), name(edge.target), &edge.edge.serializer().snapshot());
        }
        let first_of_job = plan.first_tasks();
        let (mut tasks, mut deployed) = (Vec::new(), Vec::new());
        for draft in drafts.drafts {
            self.go_on()?;
            let (vertex, number) = (draft.vertex, first_of_job[draft.vertex] + draft.subtask as usize);
            let mut task = self.assemble(draft, &coordinators, &groups, &generic_types)?;
            if let Some(restored) = restored.as_deref_mut() {
                restored.give_to(plan, &mut task, vertex)?;
            }
            task.checkpoints = self.checkpoints.map(|service| service.part_of(number));
            let (metrics, commands) = (Arc::clone(&task.metrics), Arc::clone(&task.commands));
            deployed.push(Deployed { number, metrics, commands });
            tasks.push(task);
        }
        let ids = plan.operator_ids();
        let sources = coordinators
            .into_iter()
            .enumerate()
            .filter_map(|(node, coordinator)| Some((ids[node], plan.parallelism[node], coordinator?)))
            .collect();
        let timeout = self.cluster.resources.cancellation_timeout;
        let name = plan.job.name.clone();
        let execution = Arc::new(Execution::new(name, &tasks, generic_types, timeout, Arc::clone(self.ends)));
        Ok((Attempt { execution, tasks: deployed, sources }, tasks))
    }
}

/// The subtasks of a region.
struct Drafts {
    /// For each vertex of the region: where its subtasks begin.
    first: Vec<usize>,
    drafts: Vec<Draft>,
}

impl Drafts {
    fn of(&mut self, vertex: usize, subtask: u32) -> &mut Draft {
        &mut self.drafts[self.first[vertex] + subtask as usize]
    }
}

fn check_slots(cluster: &ClusterShared, plan: &ExecutionPlan) -> Result<(), JobError> {
    let groups = plan.slots_by_group();
    let needed: u32 = groups.values().sum();
    match cluster.resources.slots {
        Some(available) if needed > available => {
            let detail: Vec<String> = groups
                .iter()
                .map(|(group, slots)| format!("slot sharing group '{group}' needs {slots}"))
                .collect();
            Err(JobError::NotEnoughSlots { needed, available, detail: detail.join(", ") })
        }
        _ => Ok(()),
    }
}

/// Says what the whole job needs before anything of its size is made: channels are as many as the square of parallelism.
fn check_buffers(cluster: &ClusterShared, plan: &ExecutionPlan) -> Result<(), JobError> {
    let mut needed = 0usize;
    for exchange in &plan.exchanges {
        let ends = BothEnds::of(plan, exchange);
        for target in 0..ends.targets {
            let channels = ends.reaching(target).len();
            let buffers = gate_buffers(&cluster.resources, channels);
            needed = needed
                .saturating_add(buffers.exclusive_per_channel.saturating_mul(channels))
                .saturating_add(buffers.required_floating);
        }
        for source in 0..ends.sources {
            let channels = ends.reached(source).len();
            needed = needed.saturating_add(partition_buffers(&cluster.resources, channels).required);
        }
    }
    cluster.buffers.check(needed).map_err(|source| JobError::Network { job: plan.job.name.clone(), source })
}

/// The subtasks at both ends of an exchange, and who has channels to whom.
struct BothEnds {
    strategy: ShipStrategy,
    sources: u32,
    targets: u32,
}

impl BothEnds {
    fn of(plan: &ExecutionPlan, exchange: &Exchange) -> Self {
        Self {
            strategy: exchange.strategy,
            sources: plan.job.vertices[exchange.source].parallelism,
            targets: plan.job.vertices[exchange.target].parallelism,
        }
    }

    fn reached(&self, source: u32) -> Range<u32> {
        reached_subtasks(self.strategy, source, self.sources, self.targets)
    }

    fn reaching(&self, target: u32) -> Range<u32> {
        reaching_subtasks(self.strategy, target, self.sources, self.targets)
    }
}

fn gate_buffers(resources: &TaskManagerResources, channels: usize) -> GateBuffers {
    GateBuffers::of(
        channels,
        resources.exclusive_buffers_per_channel,
        resources.floating_buffers_per_gate,
        resources.required_per_gate_max,
    )
}

fn partition_buffers(resources: &TaskManagerResources, channels: usize) -> PartitionBuffers {
    PartitionBuffers::of(
        channels,
        resources.exclusive_buffers_per_channel,
        resources.floating_buffers_per_gate,
        resources.max_overdraft_buffers,
        resources.max_buffers_per_channel,
    )
}

/// Whether records that a barrier has overtaken could be dealt to another number of consumers: not where the place of a
/// record is not in the record, as in Flink.
fn may_overtake(strategy: ShipStrategy) -> bool {
    matches!(
        strategy,
        ShipStrategy::Hash | ShipStrategy::Rebalance | ShipStrategy::Shuffle | ShipStrategy::Global
    )
}

fn connect(
    cluster: &ClusterShared,
    plan: &ExecutionPlan,
    region: &[usize],
    drafts: &mut Drafts,
    go_on: &dyn Fn() -> Result<(), JobError>,
) -> Result<(), JobError> {
    let refused = |source| JobError::Network { job: plan.job.name.clone(), source };
    let resources = &cluster.resources;
    let _once_for_all = cluster.buffers.deal_later();
    // Both ends of an exchange are in one region.
    for exchange in plan.exchanges.iter().filter(|exchange| region.contains(&exchange.source)) {
        let edge = &plan.graph.edges[exchange.edge];
        let ends = BothEnds::of(plan, exchange);
        let serializer = edge.edge.serializer();
        // Gates first: a partition is made of their senders.
        let mut gates = Vec::new();
        for target in 0..ends.targets {
            let producers = ends.reaching(target);
            let buffers = gate_buffers(resources, producers.len());
            // Floating buffers never block the consumer, so nobody has to be woken when they are freed.
            let floating = cluster
                .buffers
                .create_pool(
                    buffers.exclusive_per_channel * producers.len(),
                    buffers.required_floating,
                    buffers.total_floating,
                    0,
                    Arc::new(TaskWaker::new()),
                )
                .map_err(refused)?;
            let waker = Arc::clone(&drafts.of(exchange.target, target).waker);
            let mut gate = InputGate::new(
                producers.len(),
                buffers.exclusive_per_channel,
                floating,
                Arc::clone(&serializer),
                waker,
            );
            if !may_overtake(exchange.strategy) {
                gate = gate.without_overtaking();
            }
            gates.push((gate, producers.start));
        }
        for source in 0..ends.sources {
            go_on()?;
            let draft = drafts.of(exchange.source, source);
            let reached = ends.reached(source);
            let buffers = partition_buffers(resources, reached.len());
            let pool = cluster
                .buffers
                .create_pool(0, buffers.required, buffers.max, buffers.overdraft, Arc::clone(&draft.waker))
                .map_err(refused)?;
            let senders: Vec<ChannelSender> = reached
                .map(|target| {
                    let (gate, first_producer) = &gates[target as usize];
                    let channel = (source - first_producer) as usize;
                    gate.sender(channel, Arc::clone(&pool), buffers.max_per_channel)
                })
                .collect();
            let context = RouterContext {
                channels: senders.len(),
                subtask: source,
                parallelism: ends.targets,
                max_parallelism: plan.job.vertices[exchange.target].max_parallelism,
                segment_size: resources.segment_size,
            };
            let router = edge.edge.router(exchange.strategy, &context).map_err(refused)?;
            let timeout =
                plan.graph.nodes[edge.source].buffer_timeout.unwrap_or(plan.settings.buffer_timeout);
            let encoder = plan.settings.encoded_edges.then(|| Arc::clone(&serializer));
            draft.partitions.push(ResultPartition::new(router, senders, pool, timeout, encoder));
        }
        for (target, (gate, _)) in (0..).zip(gates) {
            drafts.of(exchange.target, target).gates.push(GateInput::new(gate, edge.input));
        }
    }
    Ok(())
}

fn coordinate(
    plan: &ExecutionPlan,
    region: &[usize],
    mut restored: Option<&mut RestoredJob>,
) -> Result<Vec<Option<Arc<SourceCoordinator>>>, JobError> {
    let ids = plan.operator_ids();
    let is_here = |node: usize| region.iter().any(|vertex| plan.vertices[*vertex].nodes.contains(&node));
    plan.graph
        .nodes
        .iter()
        .enumerate()
        .map(|(index, node)| match &node.kind {
            NodeKind::Source(spec) if is_here(index) => {
                let left = restored.as_mut().and_then(|restored| restored.splits_left(ids[index]));
                let create = || spec.source.create_enumerator(plan.parallelism[index], left);
                let enumerator = call_user(plan, index, 0, create)?;
                Ok(Some(Arc::new(SourceCoordinator::new(enumerator))))
            }
            _ => Ok(None),
        })
        .collect()
}

/// Calls code of the user on the thread that deploys: neither its errors nor its panics are that thread's.
fn call_user<T>(
    plan: &ExecutionPlan,
    node: usize,
    subtask: u32,
    call: impl FnOnce() -> Result<T, OperatorError>,
) -> Result<T, JobError> {
    match panics::catch(call) {
        Ok(called) => called.map_err(|error| failure(plan, node, subtask, None, error)),
        Err(Panic { error, location }) => Err(failure(plan, node, subtask, Some(location), error)),
    }
}

fn failure(
    plan: &ExecutionPlan,
    node: usize,
    subtask: u32,
    panicked_at: Option<Option<String>>,
    error: OperatorError,
) -> JobError {
    JobError::Operator(Box::new(operator_failure(
        &plan.job.name,
        &plan.graph.nodes[node].name,
        subtask,
        plan.parallelism[node],
        &Place(plan.graph.nodes[node].location).to_string(),
        panicked_at,
        error,
    )))
}

fn operator_failure(
    job: &str,
    operator: &str,
    subtask: u32,
    parallelism: u32,
    location: &str,
    panicked_at: Option<Option<String>>,
    error: OperatorError,
) -> OperatorFailure {
    OperatorFailure {
        job: job.to_owned(),
        operator: operator.to_owned(),
        subtask,
        parallelism,
        panicked: panicked_at.is_some(),
        location: panicked_at.unwrap_or_else(|| Some(location.to_owned())),
        error,
    }
}

impl Deployment<'_> {
    fn assemble(
        &self,
        draft: Draft,
        coordinators: &[Option<Arc<SourceCoordinator>>],
        groups: &AlignmentGroups,
        generic_types: &Arc<GenericTypes>,
    ) -> Result<Task, JobError> {
        let (cluster, plan) = (self.cluster, self.plan);
        let vertex_plan = &plan.vertices[draft.vertex];
        let vertex = &plan.job.vertices[draft.vertex];
        let job_name: Arc<str> = plan.job.name.as_str().into();
        let mut nodes = Vec::new();
        let slot = self.slots.of(&vertex.slot_sharing_group, draft.subtask);
        let mut contexts = Vec::new();
        let checkpointing = &plan.settings.checkpointing;
        let checkpoints = checkpointing.interval.is_some() && checkpointing.checkpoints_after_tasks_finish;
        let mut operators = Vec::new();
        for (place, node) in vertex_plan.nodes.iter().enumerate() {
            let stream_node = &plan.graph.nodes[*node];
            let operator = &vertex.operators[place];
            let name: Arc<str> = operator.name.as_str().into();
            let metrics = Arc::new(OperatorMetrics::default());
            operators.push((operator.id, Arc::clone(&name), Arc::clone(&metrics)));
            let work = match &stream_node.kind {
                NodeKind::Source(spec) => {
                    let Some(coordinator) = &coordinators[*node] else { continue };
                    Work::Source(Box::new(source_operator(plan, spec, coordinator, groups)))
                }
                NodeKind::Operator(factory) | NodeKind::Sink(factory) => {
                    Work::Operator(call_user(plan, *node, draft.subtask, || factory.create(draft.subtask))?)
                }
            };
            let waker = OperatorWaker::new(Arc::clone(&draft.waker));
            contexts.push(OperatorContext {
                job_name: Arc::clone(&job_name),
                operator_id: operator.id,
                operator_name: Arc::clone(&name),
                subtask: draft.subtask,
                parallelism: vertex.parallelism,
                max_parallelism: vertex.max_parallelism,
                state_listener: Some(generic_types.listener(Arc::clone(&name))),
                checkpoints,
                state_budget: cluster.task_heap.clone(),
                managed_memory: slot
                    .map(|slot| slot.managed_memory.clone())
                    .unwrap_or_else(|| MemoryBudget::new("managed memory", 0, MANAGED_KEY)),
                state_backend: slot.map_or_else(
                    || Arc::new(HashMapStateBackend) as _,
                    |slot| Arc::clone(&slot.state_backend),
                ),
                clock: Arc::clone(&cluster.clock),
                metrics: Arc::clone(&metrics),
                waker: waker.clone(),
            });
            nodes.push(ChainNode {
                name,
                work,
                links: links(plan, draft.vertex, place),
                parent: vertex_plan.chained_by[place].and_then(|edge| {
                    let source = plan.graph.edges[edge].source;
                    vertex_plan.nodes.iter().position(|node| *node == source)
                }),
                metrics,
                waker,
                location: Place(stream_node.location).to_string(),
                spare: None,
                finished_before: false,
            });
        }
        let metrics =
            Arc::new(TaskMetrics::new(vertex.id, vertex.name.as_str().into(), draft.subtask, operators));
        let gate_probes = draft.gates.iter().map(|gate| gate.gate.probe()).collect();
        let pools: Vec<Arc<LocalBufferPool>> =
            draft.partitions.iter().map(|partition| Arc::clone(partition.pool())).collect();
        metrics.watch(gate_probes, pools);
        let restored = nodes.iter().map(|_| None).collect();
        let gates = (!draft.gates.is_empty()).then(|| Gates::new(draft.gates, Arc::clone(&cluster.clock)));
        let commands = Arc::new(Commands::new(Arc::clone(&draft.waker)));
        Ok(Task {
            chain: Chain::new(nodes, draft.partitions),
            gates,
            contexts,
            restored,
            metrics,
            waker: draft.waker,
            cancel: Arc::default(),
            clock: Arc::clone(&cluster.clock),
            generic_types: Arc::clone(generic_types),
            commands,
            checkpoints: None,
        })
    }
}

fn source_operator(
    plan: &ExecutionPlan,
    spec: &Arc<SourceSpec>,
    coordinator: &Arc<SourceCoordinator>,
    groups: &AlignmentGroups,
) -> SourceOperator {
    SourceOperator::new(
        Arc::clone(spec),
        Arc::clone(coordinator),
        spec.watermarks.alignment.as_ref().map(|settings| groups.group(settings)),
        plan.settings.auto_watermark_interval,
        plan.settings.alignment_buffer_size,
        crate::operator::DEFAULT_BATCH_RECORDS,
    )
}

/// Where the outputs of one operator of a chain go: to the next ones in the chain, and to partitions.
fn links(plan: &ExecutionPlan, vertex: usize, place: usize) -> Vec<Link> {
    let vertex_plan = &plan.vertices[vertex];
    let node = vertex_plan.nodes[place];
    let chained = vertex_plan.chained_by.iter().enumerate().filter_map(|(next, by)| {
        let edge = &plan.graph.edges[(*by)?];
        (edge.source == node).then(|| Link { side: edge.side_output.clone(), target: Target::Node(next) })
    });
    let sent = vertex_plan.outputs.iter().enumerate().filter_map(|(partition, exchange)| {
        let edge = &plan.graph.edges[plan.exchanges[*exchange].edge];
        (edge.source == node)
            .then(|| Link { side: edge.side_output.clone(), target: Target::Partition(partition) })
    });
    chained.chain(sent).collect()
}

/// Starts the threads of an attempt.
fn start(attempt: &Attempt, tasks: Vec<Task>, is_cancelled: &dyn Fn() -> bool) -> Result<(), JobError> {
    let execution = &attempt.execution;
    for (index, mut task) in tasks.into_iter().enumerate() {
        if is_cancelled() {
            execution.never_started(index);
            return Err(JobError::Cancelled(execution.name.clone()));
        }
        task.cancel = Arc::clone(&execution.cancel);
        let address = execution.addresses[index].clone();
        let job = Arc::clone(execution);
        let name = address.to_string();
        let blame: Vec<(Arc<str>, String)> =
            task.chain.nodes.iter().map(|node| (Arc::clone(&node.name), node.location.clone())).collect();
        let spawned = std::thread::Builder::new().name(name.clone()).spawn(move || {
            // An operator that panics while it is dropped must not leave the job waiting for ever.
            tracing::debug!(job = job.name, task = %address, "started");
            let end = catch_unwind(AssertUnwindSafe(|| task.run())).unwrap_or_else(TaskEnd::panicked);
            tracing::debug!(job = job.name, task = %address, end = end.name(), "ended");
            let failure = match end {
                TaskEnd::Finished | TaskEnd::Cancelled => None,
                TaskEnd::Failed { node, error, panicked_at } => {
                    let (operator, location) = &blame[node.min(blame.len() - 1)];
                    Some(operator_failure(
                        &job.name,
                        operator,
                        address.subtask,
                        address.parallelism,
                        location,
                        panicked_at,
                        error,
                    ))
                }
            };
            job.task_ended(index, failure);
        });
        if let Err(source) = spawned {
            execution.never_started(index);
            return Err(JobError::Thread { task: name, source });
        }
    }
    Ok(())
}
