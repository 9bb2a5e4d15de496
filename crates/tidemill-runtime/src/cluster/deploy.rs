//! From a plan to running threads: slots, gates, partitions, chains.

use std::collections::BTreeMap;
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

use tidemill_state::{HashMapStateBackend, StateBackend};

use crate::checkpoint::{CheckpointService, Restored, RestoredJob};
use crate::cluster::execution::{Execution, SubtaskAddress};
use crate::cluster::{ClusterShared, TaskManagerResources};
use crate::context::OperatorContext;
use crate::error::{JobError, OperatorFailure};
use crate::generic_types::GenericTypes;
use crate::graph::{
    Exchange, ExecutionPlan, NodeKind, Place, RouterContext, reached_subtasks, reaching_subtasks,
};
use crate::metrics::{JobMetrics, OperatorMetrics, TaskMetrics};
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

/// One run of a job: its tasks, what they count, and how to reach them.
pub(crate) struct Attempt {
    pub(crate) execution: Arc<Execution>,
    pub(crate) metrics: Arc<JobMetrics>,
    /// How each task is told of checkpoints.
    pub(crate) commands: Vec<Arc<Commands>>,
    /// The enumerators of the sources.
    pub(crate) sources: Vec<(OperatorId, u32, Arc<SourceCoordinator>)>,
}

/// Starts a job, with what an earlier run has left.
pub(crate) fn deploy(
    cluster: &ClusterShared,
    plan: &ExecutionPlan,
    restored: Option<(RestoredJob, Restored)>,
    checkpoints: Option<&CheckpointService>,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Attempt, JobError> {
    let go_on = || if is_cancelled() { Err(JobError::Cancelled(plan.job.name.clone())) } else { Ok(()) };
    let (mut restored, origin) = restored.unzip();
    check_slots(cluster, plan)?;
    check_buffers(cluster, plan)?;
    panics::install_hook();
    let first_task = plan.first_tasks();
    let mut drafts: Vec<Draft> = Vec::new();
    for (vertex, job_vertex) in plan.job.vertices.iter().enumerate() {
        for subtask in 0..job_vertex.parallelism {
            drafts.push(Draft {
                vertex,
                subtask,
                waker: Arc::new(TaskWaker::new()),
                gates: Vec::new(),
                partitions: Vec::new(),
            });
        }
    }
    connect(cluster, plan, &first_task, &mut drafts, &go_on)?;
    let slots = slots(cluster, plan)?;
    let coordinators = coordinate(plan, restored.as_mut())?;
    let groups = AlignmentGroups::default();
    let generic_types = Arc::new(GenericTypes::new(plan.settings.generic_types, drafts.len()));
    for edge in &plan.graph.edges {
        let name = |node: usize| plan.graph.nodes[node].name.as_str();
        generic_types.edge(name(edge.source), name(edge.target), &edge.edge.serializer().snapshot());
    }
    let mut tasks = Vec::new();
    for draft in drafts {
        go_on()?;
        let vertex = draft.vertex;
        let mut task = assemble(cluster, plan, draft, &coordinators, &groups, &slots, &generic_types)?;
        if let Some(restored) = &mut restored {
            restored.give_to(plan, &mut task, vertex)?;
        }
        task.checkpoints = checkpoints.map(|service| service.part_of(tasks.len()));
        tasks.push(task);
    }
    let ids = plan.operator_ids();
    let sources = coordinators
        .into_iter()
        .enumerate()
        .filter_map(|(node, coordinator)| Some((ids[node], plan.parallelism[node], coordinator?)))
        .collect();
    let tell = |attempt: &Attempt| {
        if let Some(checkpoints) = checkpoints {
            checkpoints.attempt_started(attempt, origin);
        }
    };
    start(cluster, plan, tasks, sources, generic_types, tell, is_cancelled)
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
        let ends = Ends::of(plan, exchange);
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
struct Ends {
    strategy: ShipStrategy,
    sources: u32,
    targets: u32,
}

impl Ends {
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

/// What the subtasks in a slot share.
struct Slot {
    managed_memory: MemoryBudget,
    state_backend: Arc<dyn StateBackend>,
}

/// The slots of each slot sharing group: subtask i of every vertex of a group runs in slot i of it.
fn slots<'a>(
    cluster: &ClusterShared,
    plan: &'a ExecutionPlan,
) -> Result<BTreeMap<&'a str, Vec<Slot>>, JobError> {
    let groups = plan.slots_by_group();
    let needed: u32 = groups.values().sum();
    let all = u64::from(cluster.resources.slots.unwrap_or(needed).max(1));
    let share = usize::try_from(cluster.resources.managed_bytes / all).unwrap_or(usize::MAX);
    let slot = |number: u32| {
        let managed_memory =
            MemoryBudget::new(format!("managed memory of slot {number}"), share, MANAGED_KEY);
        let state_backend = cluster
            .state_backends
            .of_slot(&managed_memory)
            .map_err(|source| JobError::StateBackend { job: plan.job.name.clone(), source })?;
        Ok(Slot { managed_memory, state_backend })
    };
    groups
        .into_iter()
        .map(|(group, count)| Ok((group, (0..count).map(slot).collect::<Result<_, JobError>>()?)))
        .collect()
}

/// The option that decides about managed memory.
const MANAGED_KEY: &str = "taskmanager.memory.managed.size";

fn connect(
    cluster: &ClusterShared,
    plan: &ExecutionPlan,
    first_task: &[usize],
    drafts: &mut [Draft],
    go_on: &dyn Fn() -> Result<(), JobError>,
) -> Result<(), JobError> {
    let refused = |source| JobError::Network { job: plan.job.name.clone(), source };
    let resources = &cluster.resources;
    let _once_for_all = cluster.buffers.deal_later();
    for exchange in &plan.exchanges {
        let edge = &plan.graph.edges[exchange.edge];
        let ends = Ends::of(plan, exchange);
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
            let waker = Arc::clone(&drafts[first_task[exchange.target] + target as usize].waker);
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
            let draft = &mut drafts[first_task[exchange.source] + source as usize];
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
        for (target, (gate, _)) in gates.into_iter().enumerate() {
            drafts[first_task[exchange.target] + target].gates.push(GateInput::new(gate, edge.input));
        }
    }
    Ok(())
}

fn coordinate(
    plan: &ExecutionPlan,
    mut restored: Option<&mut RestoredJob>,
) -> Result<Vec<Option<Arc<SourceCoordinator>>>, JobError> {
    let ids = plan.operator_ids();
    plan.graph
        .nodes
        .iter()
        .enumerate()
        .map(|(index, node)| match &node.kind {
            NodeKind::Source(spec) => {
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

fn assemble(
    cluster: &ClusterShared,
    plan: &ExecutionPlan,
    draft: Draft,
    coordinators: &[Option<Arc<SourceCoordinator>>],
    groups: &AlignmentGroups,
    slots: &BTreeMap<&str, Vec<Slot>>,
    generic_types: &Arc<GenericTypes>,
) -> Result<Task, JobError> {
    let vertex_plan = &plan.vertices[draft.vertex];
    let vertex = &plan.job.vertices[draft.vertex];
    let job_name: Arc<str> = plan.job.name.as_str().into();
    let mut nodes = Vec::new();
    let of_group = slots.get(vertex.slot_sharing_group.as_str());
    let slot = of_group.and_then(|slots| slots.get(draft.subtask as usize));
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
            state_backend: slot
                .map_or_else(|| Arc::new(HashMapStateBackend) as _, |slot| Arc::clone(&slot.state_backend)),
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

fn start(
    cluster: &ClusterShared,
    plan: &ExecutionPlan,
    tasks: Vec<Task>,
    sources: Vec<(OperatorId, u32, Arc<SourceCoordinator>)>,
    generic_types: Arc<GenericTypes>,
    tell: impl FnOnce(&Attempt),
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Attempt, JobError> {
    let addresses = tasks
        .iter()
        .map(|task| SubtaskAddress {
            vertex: Arc::clone(&task.metrics.name),
            subtask: task.metrics.subtask,
            parallelism: task.contexts.first().map_or(1, |context| context.parallelism),
        })
        .collect();
    let wakers = tasks.iter().map(|task| Arc::clone(&task.waker)).collect();
    let name = plan.job.name.clone();
    let timeout = cluster.resources.cancellation_timeout;
    let execution = Arc::new(Execution::new(name, wakers, addresses, generic_types, timeout));
    let metrics =
        Arc::new(JobMetrics { tasks: tasks.iter().map(|task| Arc::clone(&task.metrics)).collect() });
    let commands = tasks.iter().map(|task| Arc::clone(&task.commands)).collect();
    let attempt = Attempt { execution: Arc::clone(&execution), metrics, commands, sources };
    // Before any of them can say anything.
    tell(&attempt);
    // Those that did start must not outlive the answer.
    let stop = |from: usize, by_user: bool| {
        execution.never_started(from);
        execution.cancel(by_user);
        while matches!(execution.wait_for(Duration::from_secs(3600)), Ok(false)) {}
    };
    for (index, mut task) in tasks.into_iter().enumerate() {
        if is_cancelled() {
            stop(index, true);
            return Err(JobError::Cancelled(execution.name.clone()));
        }
        task.cancel = Arc::clone(&execution.cancel);
        let address = execution.addresses[index].clone();
        let job = Arc::clone(&execution);
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
            stop(index, false);
            return Err(JobError::Thread { task: name, source });
        }
    }
    Ok(attempt)
}
