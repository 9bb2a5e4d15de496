//! The job as data: what the runtime schedules, what `explain` prints, what a REST server will answer.
//!
//! Nothing in here can be executed: the functions of the operators stay with whoever built the graph,
//! keyed by [`OperatorId`].

use serde::Serialize;

use crate::id::{JobVertexId, OperatorId};

/// A job: vertices in topological order, and how they exchange data.
///
/// ```
/// use tidemill_core::graph::{JobEdge, JobGraph, JobOperator, JobVertex, ShipStrategy};
/// use tidemill_core::{JobVertexId, OperatorId};
///
/// let vertex = |name: &str| JobVertex {
///     id: JobVertexId::from_name(name),
///     name: name.to_owned(),
///     operators: vec![JobOperator {
///         id: OperatorId::from_name(name),
///         name: name.to_owned(),
///         uid: None,
///         chained_outputs: Vec::new(),
///     }],
///     parallelism: 2,
///     max_parallelism: 128,
///     slot_sharing_group: "default".to_owned(),
/// };
/// let graph = JobGraph {
///     name: "flights".to_owned(),
///     vertices: vec![vertex("Source: flights"), vertex("Sink: delays")],
///     edges: vec![JobEdge {
///         source: 0,
///         source_operator: OperatorId::from_name("Source: flights"),
///         side_output: None,
///         target: 1,
///         target_input: 0,
///         ship_strategy: ShipStrategy::Hash,
///     }],
/// };
/// assert!(serde_json::to_string(&graph)?.contains(r#""ship_strategy":"HASH""#));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct JobGraph {
    /// The name of the job.
    pub name: String,
    /// The vertices; sources first, each after all that it reads from.
    pub vertices: Vec<JobVertex>,
    /// The exchanges between vertices.
    pub edges: Vec<JobEdge>,
}

/// A chain of operators that runs as one task per subtask.
///
/// ```
/// use tidemill_core::JobVertexId;
/// use tidemill_core::graph::JobVertex;
///
/// let vertex = JobVertex {
///     id: JobVertexId::from_name("count"),
///     name: "count -> print".to_owned(),
///     operators: Vec::new(),
///     parallelism: 4,
///     max_parallelism: 128,
///     slot_sharing_group: "default".to_owned(),
/// };
/// assert!(vertex.parallelism <= vertex.max_parallelism);
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct JobVertex {
    /// Stays the same from run to run as long as the head of the chain keeps its uid or place.
    pub id: JobVertexId,
    /// The names of the chained operators, joined as Flink does: `Source: a -> (b, c -> d)`.
    pub name: String,
    /// The operators; the first is the head, each after the one it is chained to.
    pub operators: Vec<JobOperator>,
    /// How many subtasks.
    pub parallelism: u32,
    /// How many key groups.
    pub max_parallelism: u32,
    /// Vertices of one group may share a slot.
    pub slot_sharing_group: String,
}

/// One operator of a chain.
///
/// ```
/// use tidemill_core::OperatorId;
/// use tidemill_core::graph::JobOperator;
///
/// let head = JobOperator {
///     id: OperatorId::from_name("count"),
///     name: "count".to_owned(),
///     uid: Some("count".to_owned()),
///     chained_outputs: vec![1, 2],
/// };
/// assert_eq!(head.chained_outputs.len(), 2, "it calls two operators behind it");
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct JobOperator {
    /// The id that state is matched by.
    pub id: OperatorId,
    /// The name shown to people.
    pub name: String,
    /// The id given by the user, if any.
    pub uid: Option<String>,
    /// Indices, within the chain, of the operators that this one passes its output to by a plain call.
    pub chained_outputs: Vec<usize>,
}

/// A result partition of one vertex that is an input gate of another.
///
/// ```
/// use tidemill_core::OperatorId;
/// use tidemill_core::graph::{JobEdge, ShipStrategy};
///
/// let late = JobEdge {
///     source: 0,
///     source_operator: OperatorId::from_name("windows"),
///     side_output: Some("late".to_owned()),
///     target: 1,
///     target_input: 0,
///     ship_strategy: ShipStrategy::Forward,
/// };
/// assert!(late.ship_strategy.is_pointwise());
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct JobEdge {
    /// Index of the producing vertex in [`JobGraph::vertices`].
    pub source: usize,
    /// The operator of the producing chain whose output this is.
    pub source_operator: OperatorId,
    /// The side output that is sent, or `None` for the main output.
    pub side_output: Option<String>,
    /// Index of the consuming vertex.
    pub target: usize,
    /// Which input of the consuming head operator.
    pub target_input: usize,
    /// How records are dealt to the subtasks of the target.
    pub ship_strategy: ShipStrategy,
}

/// How an edge deals records to the subtasks of its target, by Flink's names.
///
/// ```
/// use tidemill_core::graph::ShipStrategy;
///
/// assert_eq!(ShipStrategy::Rebalance.name(), "REBALANCE");
/// assert!(ShipStrategy::Rescale.is_pointwise() && !ShipStrategy::Hash.is_pointwise());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ShipStrategy {
    /// Subtask i to subtask i; both sides have the same parallelism.
    Forward,
    /// By the key group of each record's key.
    Hash,
    /// Round robin over all subtasks.
    Rebalance,
    /// Round robin over the subtasks that belong to this producer.
    Rescale,
    /// Every record to every subtask.
    Broadcast,
    /// A random subtask for each record.
    Shuffle,
    /// Everything to subtask 0.
    Global,
    /// A function of the user.
    Custom,
}

impl ShipStrategy {
    /// The name in Flink's plan.
    ///
    /// ```
    /// use tidemill_core::graph::ShipStrategy;
    ///
    /// assert_eq!(ShipStrategy::Rebalance.name(), "REBALANCE");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            ShipStrategy::Forward => "FORWARD",
            ShipStrategy::Hash => "HASH",
            ShipStrategy::Rebalance => "REBALANCE",
            ShipStrategy::Rescale => "RESCALE",
            ShipStrategy::Broadcast => "BROADCAST",
            ShipStrategy::Shuffle => "SHUFFLE",
            ShipStrategy::Global => "GLOBAL",
            ShipStrategy::Custom => "CUSTOM",
        }
    }

    /// Whether each producer reaches only some of the consumers (forward and rescale).
    ///
    /// ```
    /// use tidemill_core::graph::ShipStrategy;
    ///
    /// assert!(ShipStrategy::Rescale.is_pointwise() && !ShipStrategy::Rebalance.is_pointwise());
    /// ```
    pub const fn is_pointwise(self) -> bool {
        matches!(self, ShipStrategy::Forward | ShipStrategy::Rescale)
    }
}

impl std::fmt::Display for ShipStrategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
