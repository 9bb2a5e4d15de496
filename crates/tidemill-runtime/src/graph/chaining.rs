//! Cutting the graph into chains by Flink's rules, and giving everything its id and parallelism.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidemill_core::graph::{JobEdge, JobGraph, JobOperator, JobVertex, ShipStrategy};
use tidemill_core::id::{JobVertexId, OperatorId};
use tidemill_core::key_group::{UPPER_BOUND_MAX_PARALLELISM, default_max_parallelism};

use crate::error::JobError;
use crate::graph::place::Place;
use crate::graph::settings::JobSettings;
use crate::graph::stream_graph::{ChainingStrategy, NodeId, NodeKind, StreamEdge, StreamGraph};

/// One chain: which nodes, and how they are linked.
///
/// ```
/// # use tidemill_testkit::{Log, jobs::Job, sinks};
/// # let (sink, _collected) = sinks::collect::<u32>();
/// # let mut job = Job::new("numbers");
/// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
/// # let target = job.sink("collect", sink);
/// # job.connect::<u32>(source, target);
/// # let plan = job.plan()?;
/// let [vertex] = &plan.vertices[..] else { panic!("one chain was expected") };
/// assert_eq!((&vertex.nodes[..], &vertex.chained_by[..]), (&[0, 1][..], &[None, Some(0)][..]));
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
#[derive(Clone, Debug)]
pub struct VertexPlan {
    /// The nodes of the chain, the head first, each after the one it is chained to.
    pub nodes: Vec<NodeId>,
    /// For each node but the head: the edge that it is chained by.
    pub chained_by: Vec<Option<usize>>,
    /// The exchanges that end in this chain's head.
    pub inputs: Vec<usize>,
    /// The exchanges that begin in this chain.
    pub outputs: Vec<usize>,
}

/// An edge between two chains.
///
/// ```
/// # use tidemill_testkit::{Log, jobs::Job, sinks};
/// # let (sink, _collected) = sinks::collect::<u32>();
/// # let mut job = Job::new("numbers");
/// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
/// # let target = job.sink("collect", sink);
/// # job.connect::<u32>(source, target);
/// # let plan = job.plan()?;
/// use tidemill_core::graph::ShipStrategy;
///
/// # let mut job = job;
/// job.settings.chaining = false;
/// let exchange = &job.plan()?.exchanges[0];
/// assert_eq!((exchange.source, exchange.target, exchange.strategy), (0, 1, ShipStrategy::Forward));
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The edge of the stream graph.
    pub edge: usize,
    /// The producing vertex.
    pub source: usize,
    /// The consuming vertex.
    pub target: usize,
    /// How records are dealt.
    pub strategy: ShipStrategy,
}

/// A job that is ready to be deployed.
///
/// ```
/// # use tidemill_testkit::{Log, jobs::Job, sinks};
/// # let (sink, _collected) = sinks::collect::<u32>();
/// # let mut job = Job::new("numbers");
/// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
/// # let target = job.sink("collect", sink);
/// # job.connect::<u32>(source, target);
/// # let plan = job.plan()?;
/// assert_eq!(plan.job.vertices[0].name, "Source: numbers -> Sink: collect");
/// assert_eq!(plan.slots_by_group()["default"], 1);
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
#[derive(Clone)]
pub struct ExecutionPlan {
    /// The graph that the API built.
    pub graph: StreamGraph,
    /// What the job looks like to those who watch it.
    pub job: Arc<JobGraph>,
    /// One plan a vertex of `job`, in the same order.
    pub vertices: Vec<VertexPlan>,
    /// One exchange an edge of `job`, in the same order.
    pub exchanges: Vec<Exchange>,
    /// The resolved strategy of each edge of `graph`.
    pub strategies: Vec<ShipStrategy>,
    /// The resolved parallelism of each node of `graph`.
    pub parallelism: Vec<u32>,
    /// The settings that the plan was made with.
    pub settings: JobSettings,
}

struct Resolved {
    parallelism: Vec<u32>,
    max_parallelism: Vec<u32>,
    groups: Vec<String>,
    ids: Vec<OperatorId>,
    strategies: Vec<ShipStrategy>,
}

impl ExecutionPlan {
    /// For each vertex: the number of its first task, counted subtask by subtask and vertex by vertex.
    pub(crate) fn first_tasks(&self) -> Vec<usize> {
        let first = |next: &mut usize, vertex: &tidemill_core::graph::JobVertex| {
            let first = *next;
            *next += vertex.parallelism as usize;
            Some(first)
        };
        self.job.vertices.iter().scan(0, first).collect()
    }

    /// The id of each node of the graph: what its state is stored under.
    pub(crate) fn operator_ids(&self) -> Vec<OperatorId> {
        operator_ids(&self.graph)
    }

    /// Checks the graph and cuts it into chains.
    ///
    /// ```
    /// use tidemill_runtime::graph::{ExecutionPlan, JobSettings, StreamGraph};
    ///
    /// let nothing = ExecutionPlan::new(StreamGraph::default(), &JobSettings::default());
    /// assert!(nothing.err().unwrap().to_string().starts_with("the job has no operators"));
    /// ```
    ///
    /// # Errors
    /// [`JobError::InvalidGraph`] when the graph is empty, a uid is used twice or missing where one is demanded, a
    /// parallelism is out of range, a forward edge joins operators of different parallelism, or an edge has no function for
    /// its partitioning.
    pub fn new(graph: StreamGraph, settings: &JobSettings) -> Result<Self, JobError> {
        if graph.nodes.is_empty() {
            return Err(JobError::InvalidGraph(
                "the job has no operators: add a source and a sink before it is executed".into(),
            ));
        }
        check_edges(&graph)?;
        check_uids(&graph, settings)?;
        let ids = operator_ids(&graph);
        // Overrides are by vertex, and which vertices there are depends on the parallelism of the operators: the ids of
        // vertices come from their heads, which overrides do not change unless they break a chain, as in Flink.
        let mut resolved = resolve(&graph, settings, ids, &BTreeMap::new())?;
        if !settings.parallelism_overrides.is_empty() {
            let overrides = override_nodes(&graph, settings, &resolved)?;
            resolved = resolve(&graph, settings, resolved.ids, &overrides)?;
        }
        Ok(build(graph, settings, resolved))
    }

    /// The same job with other numbers of subtasks, as `pipeline.jobvertex-parallelism-overrides` would have it.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("numbers");
    /// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// let wider = plan.with_parallelism(&[(plan.job.vertices[0].id, 3)].into())?;
    /// assert_eq!(wider.job.vertices[0].parallelism, 3);
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    ///
    /// # Errors
    /// [`JobError::InvalidGraph`] when the job has no such vertex, or a parallelism is 0 or above the max parallelism that the
    /// vertex has: its state is divided into that many key groups.
    pub fn with_parallelism(&self, wanted: &BTreeMap<JobVertexId, u32>) -> Result<Self, JobError> {
        for vertex in &self.job.vertices {
            let above = wanted.get(&vertex.id).filter(|parallelism| **parallelism > vertex.max_parallelism);
            if let Some(parallelism) = above {
                return Err(JobError::InvalidGraph(format!(
                    "vertex {} ({}) cannot have parallelism {parallelism}: its max parallelism is {}, which its state was \
                     divided by when the job first started. Set 'pipeline.max-parallelism' before the first start to allow for more",
                    vertex.id, vertex.name, vertex.max_parallelism
                )));
            }
        }
        let mut settings = self.settings.clone();
        settings.parallelism_overrides.extend(wanted);
        let mut plan = Self::new(self.graph.clone(), &settings)?;
        // It is derived from the parallelism unless somebody has chosen one, and must stay what it was.
        for vertex in &mut Arc::make_mut(&mut plan.job).vertices {
            let before = self.job.vertices.iter().find(|before| before.id == vertex.id);
            vertex.max_parallelism = before.map_or(vertex.max_parallelism, |before| before.max_parallelism);
        }
        Ok(plan)
    }

    /// How many slots the job needs: in each slot sharing group as many as its widest vertex has subtasks.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("numbers");
    /// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// assert_eq!(plan.slots_by_group().into_iter().collect::<Vec<_>>(), [("default", 1)]);
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn slots_by_group(&self) -> BTreeMap<&str, u32> {
        let mut groups = BTreeMap::new();
        for vertex in &self.job.vertices {
            let slots = groups.entry(vertex.slot_sharing_group.as_str()).or_insert(0);
            *slots = vertex.parallelism.max(*slots);
        }
        groups
    }
}

fn check_edges(graph: &StreamGraph) -> Result<(), JobError> {
    for edge in &graph.edges {
        if edge.target >= graph.nodes.len() || edge.source >= edge.target {
            return Err(JobError::InvalidGraph(format!(
                "an edge leads from operator {} to operator {} of {}: it must lead to one that was added after the other",
                edge.source + 1,
                edge.target + 1,
                graph.nodes.len()
            )));
        }
        if matches!(graph.nodes[edge.target].kind, NodeKind::Source(_)) {
            let node = &graph.nodes[edge.target];
            return Err(JobError::InvalidGraph(format!(
                "source '{}' at {} has an input",
                node.name,
                Place(node.location)
            )));
        }
        if let Some(strategy) = edge.strategy.filter(|strategy| !edge.edge.supports(*strategy)) {
            let (source, target) = (&graph.nodes[edge.source], &graph.nodes[edge.target]);
            return Err(JobError::InvalidGraph(format!(
                "{strategy} partitioning from '{}' to '{}' at {} needs {}",
                source.name,
                target.name,
                target.location,
                match strategy {
                    ShipStrategy::Hash =>
                        "an edge with a key: make it by TypedEdge::keyed, or key the stream",
                    _ => "an edge with a partitioner: make it by TypedEdge::custom",
                }
            )));
        }
    }
    Ok(())
}

fn check_uids(graph: &StreamGraph, settings: &JobSettings) -> Result<(), JobError> {
    let mut seen = BTreeSet::new();
    for node in &graph.nodes {
        match &node.uid {
            Some(uid) if !seen.insert(uid) => {
                return Err(JobError::InvalidGraph(format!(
                    "the uid '{uid}' is given to more than one operator, last to '{}' at {}: state is found by it, \
                     so it must be unique",
                    node.name,
                    Place(node.location)
                )));
            }
            None if !settings.auto_generate_uids && node.is_stateful() => {
                return Err(JobError::InvalidGraph(format!(
                    "operator '{}' at {} keeps state but has no uid, and 'pipeline.auto-generate-uids' is false: \
                     give it one with .uid(\"…\")",
                    node.name,
                    Place(node.location)
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

fn operator_ids(graph: &StreamGraph) -> Vec<OperatorId> {
    let mut ids: Vec<OperatorId> = Vec::with_capacity(graph.nodes.len());
    for (index, node) in graph.nodes.iter().enumerate() {
        let id = match &node.uid {
            Some(uid) => OperatorId::from_name(uid),
            None => {
                // The place in the graph, not the name: renaming an operator keeps its state.
                let mut place = format!("node {index}");
                for (_, edge) in graph.inputs(index) {
                    place.push_str(&format!(" input {} from {}", edge.input, ids[edge.source]));
                }
                OperatorId::from_name(&place)
            }
        };
        ids.push(id);
    }
    ids
}

fn resolve(
    graph: &StreamGraph,
    settings: &JobSettings,
    ids: Vec<OperatorId>,
    overrides: &BTreeMap<NodeId, u32>,
) -> Result<Resolved, JobError> {
    let mut resolved = Resolved {
        parallelism: Vec::new(),
        max_parallelism: Vec::new(),
        groups: Vec::new(),
        ids,
        strategies: Vec::new(),
    };
    for (index, node) in graph.nodes.iter().enumerate() {
        let parallelism = overrides.get(&index).copied().or(node.parallelism).unwrap_or(settings.parallelism);
        let max = node
            .max_parallelism
            .or(settings.max_parallelism)
            .unwrap_or_else(|| default_max_parallelism(parallelism.clamp(1, UPPER_BOUND_MAX_PARALLELISM)));
        if parallelism == 0 || max > UPPER_BOUND_MAX_PARALLELISM || parallelism > max {
            return Err(JobError::InvalidGraph(format!(
                "operator '{}' at {} has parallelism {parallelism} and max parallelism {max}: the parallelism must be \
                 between 1 and the max parallelism, and that at most {UPPER_BOUND_MAX_PARALLELISM}",
                node.name,
                Place(node.location)
            )));
        }
        resolved.parallelism.push(parallelism);
        resolved.max_parallelism.push(max);
        let group = node.slot_sharing_group.clone().unwrap_or_else(|| {
            let mut inputs = graph.inputs(index).map(|(_, edge)| &resolved.groups[edge.source]);
            let first = inputs.next();
            match first {
                Some(group) if inputs.all(|other| other == group) => group.clone(),
                _ => "default".to_owned(),
            }
        });
        resolved.groups.push(group);
    }
    for edge in &graph.edges {
        let equal = resolved.parallelism[edge.source] == resolved.parallelism[edge.target];
        let strategy = match edge.strategy {
            None if equal => ShipStrategy::Forward,
            None => ShipStrategy::Rebalance,
            // An override from outside must not make a job fail that was right without it.
            Some(ShipStrategy::Forward) if !equal && !overrides.is_empty() => ShipStrategy::Rebalance,
            Some(ShipStrategy::Forward) if !equal => {
                return Err(JobError::InvalidGraph(format!(
                    "forward partitioning from '{}' (parallelism {}) to '{}' (parallelism {}) needs equal parallelism: \
                     set it, or use rebalance or rescale",
                    graph.nodes[edge.source].name,
                    resolved.parallelism[edge.source],
                    graph.nodes[edge.target].name,
                    resolved.parallelism[edge.target]
                )));
            }
            Some(strategy) => strategy,
        };
        resolved.strategies.push(strategy);
    }
    Ok(resolved)
}

fn is_chainable(graph: &StreamGraph, settings: &JobSettings, resolved: &Resolved, index: usize) -> bool {
    let edge: &StreamEdge = &graph.edges[index];
    let (up, down) = (&graph.nodes[edge.source], &graph.nodes[edge.target]);
    settings.chaining
        && resolved.strategies[index] == ShipStrategy::Forward
        && graph.inputs(edge.target).count() == 1
        && !matches!(down.kind, NodeKind::Source(_))
        && resolved.groups[edge.source] == resolved.groups[edge.target]
        && up.chaining != ChainingStrategy::Never
        && down.chaining == ChainingStrategy::Always
        && resolved.parallelism[edge.source] == resolved.parallelism[edge.target]
        && (settings.chain_different_max_parallelism
            || resolved.max_parallelism[edge.source] == resolved.max_parallelism[edge.target])
}

/// The head of the chain that each node belongs to.
fn heads(graph: &StreamGraph, settings: &JobSettings, resolved: &Resolved) -> Vec<NodeId> {
    let mut heads = Vec::with_capacity(graph.nodes.len());
    for index in 0..graph.nodes.len() {
        let chained = graph.inputs(index).find(|(edge, _)| is_chainable(graph, settings, resolved, *edge));
        heads.push(chained.map_or(index, |(_, edge)| heads[edge.source]));
    }
    heads
}

fn override_nodes(
    graph: &StreamGraph,
    settings: &JobSettings,
    resolved: &Resolved,
) -> Result<BTreeMap<NodeId, u32>, JobError> {
    let heads = heads(graph, settings, resolved);
    let mut known = BTreeMap::new();
    for head in &heads {
        known.insert(JobVertexId(resolved.ids[*head].0), *head);
    }
    let mut overrides = BTreeMap::new();
    for (vertex, parallelism) in &settings.parallelism_overrides {
        let Some(wanted) = known.get(vertex) else {
            let all: Vec<String> =
                known.iter().map(|(id, head)| format!("{id} ({})", graph.nodes[*head].name)).collect();
            return Err(JobError::InvalidGraph(format!(
                "'pipeline.jobvertex-parallelism-overrides' names vertex {vertex}, which this job does not have; it has {}",
                all.join(", ")
            )));
        };
        for (node, head) in heads.iter().enumerate() {
            if head == wanted {
                overrides.insert(node, *parallelism);
            }
        }
    }
    Ok(overrides)
}

fn build(graph: StreamGraph, settings: &JobSettings, resolved: Resolved) -> ExecutionPlan {
    let heads = heads(&graph, settings, &resolved);
    let mut vertex_of_head = BTreeMap::new();
    let mut vertices: Vec<VertexPlan> = Vec::new();
    let mut vertex_of = Vec::with_capacity(graph.nodes.len());
    for (index, head) in heads.iter().enumerate() {
        let vertex = *vertex_of_head.entry(*head).or_insert_with(|| {
            vertices.push(VertexPlan {
                nodes: Vec::new(),
                chained_by: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
            });
            vertices.len() - 1
        });
        let by = (*head != index).then(|| graph.inputs(index).next().map(|(edge, _)| edge)).flatten();
        vertices[vertex].nodes.push(index);
        vertices[vertex].chained_by.push(by);
        vertex_of.push(vertex);
    }
    let mut exchanges = Vec::new();
    for (index, edge) in graph.edges.iter().enumerate() {
        let (source, target) = (vertex_of[edge.source], vertex_of[edge.target]);
        if heads[edge.target] != edge.target {
            continue;
        }
        vertices[source].outputs.push(exchanges.len());
        vertices[target].inputs.push(exchanges.len());
        exchanges.push(Exchange { edge: index, source, target, strategy: resolved.strategies[index] });
    }
    let job_vertices = vertices
        .iter()
        .map(|vertex| {
            let head = vertex.nodes[0];
            let operators = vertex
                .nodes
                .iter()
                .map(|node| JobOperator {
                    id: resolved.ids[*node],
                    name: display_name(&graph, *node),
                    uid: graph.nodes[*node].uid.clone(),
                    chained_outputs: chained_outputs(&graph, vertex, *node),
                })
                .collect();
            JobVertex {
                id: JobVertexId(resolved.ids[head].0),
                name: chain_name(&graph, vertex, head),
                operators,
                parallelism: resolved.parallelism[head],
                max_parallelism: vertex
                    .nodes
                    .iter()
                    .map(|node| resolved.max_parallelism[*node])
                    .min()
                    .unwrap_or(128),
                slot_sharing_group: resolved.groups[head].clone(),
            }
        })
        .collect();
    let job_edges = exchanges
        .iter()
        .map(|exchange| {
            let edge = &graph.edges[exchange.edge];
            JobEdge {
                source: exchange.source,
                source_operator: resolved.ids[edge.source],
                side_output: edge.side_output.as_deref().map(str::to_owned),
                target: exchange.target,
                target_input: edge.input,
                ship_strategy: exchange.strategy,
            }
        })
        .collect();
    let job = JobGraph { name: graph.name.clone(), vertices: job_vertices, edges: job_edges };
    ExecutionPlan {
        graph,
        job: Arc::new(job),
        vertices,
        exchanges,
        strategies: resolved.strategies,
        parallelism: resolved.parallelism,
        settings: settings.clone(),
    }
}

fn chained_outputs(graph: &StreamGraph, vertex: &VertexPlan, node: NodeId) -> Vec<usize> {
    let chained = vertex.chained_by.iter().enumerate();
    chained
        .filter_map(|(place, by)| by.filter(|edge| graph.edges[*edge].source == node).map(|_| place))
        .collect()
}

/// The name of a node with Flink's prefixes for sources and sinks.
pub(crate) fn display_name(graph: &StreamGraph, node: NodeId) -> String {
    let name = &graph.nodes[node].name;
    match graph.nodes[node].kind {
        NodeKind::Source(_) => format!("Source: {name}"),
        NodeKind::Sink(_) => format!("Sink: {name}"),
        NodeKind::Operator(_) => name.clone(),
    }
}

fn chain_name(graph: &StreamGraph, vertex: &VertexPlan, node: NodeId) -> String {
    let name = display_name(graph, node);
    let next: Vec<String> = chained_outputs(graph, vertex, node)
        .into_iter()
        .map(|place| chain_name(graph, vertex, vertex.nodes[place]))
        .collect();
    match next.as_slice() {
        [] => name,
        [one] => format!("{name} -> {one}"),
        several => format!("{name} -> ({})", several.join(", ")),
    }
}
