//! The job as an API builds it: one node an operator, one edge an exchange that may turn out to be a plain call.

use std::panic::Location;
use std::sync::Arc;

use tidemill_core::graph::ShipStrategy;
use tidemill_network::BufferTimeout;

use crate::graph::edge::EdgeType;
use crate::operator::OperatorFactory;
use crate::source::SourceSpec;

/// The index of a node in its [`StreamGraph`].
///
/// ```
/// use tidemill_runtime::graph::{NodeId, StreamGraph};
///
/// let first: NodeId = 0;
/// assert_eq!(StreamGraph::default().inputs(first).count(), 0);
/// ```
pub type NodeId = usize;

/// Whether an operator may be chained to its neighbours.
///
/// ```
/// use tidemill_runtime::graph::ChainingStrategy;
///
/// assert_eq!(ChainingStrategy::default(), ChainingStrategy::Always);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ChainingStrategy {
    /// To the one before and to those after it.
    #[default]
    Always,
    /// To neither.
    Never,
    /// Only to those after it: it starts a new chain.
    Head,
}

/// What a node does.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_runtime::OperatorFactory;
/// use tidemill_runtime::graph::NodeKind;
///
/// fn sink(factory: impl OperatorFactory + 'static) -> NodeKind {
///     NodeKind::Sink(Arc::new(factory))
/// }
/// ```
#[derive(Clone)]
pub enum NodeKind {
    /// It brings records in.
    Source(Arc<SourceSpec>),
    /// It works on records.
    Operator(Arc<dyn OperatorFactory>),
    /// It takes records out.
    Sink(Arc<dyn OperatorFactory>),
}

/// An operator of the graph.
///
/// ```
/// use std::panic::Location;
/// use std::sync::Arc;
/// use tidemill_runtime::graph::{NodeKind, StreamNode};
/// # use tidemill_testkit::faults;
///
/// let pass = NodeKind::Operator(Arc::new(faults::pass::<u32>()));
/// let node = StreamNode { parallelism: Some(4), ..StreamNode::new("pass", pass, Location::caller()) };
/// assert!(!node.is_stateful() && node.uid.is_none());
/// ```
#[derive(Clone)]
pub struct StreamNode {
    /// The name shown to people.
    pub name: String,
    /// The name that state is found by after the job was changed.
    pub uid: Option<String>,
    /// What it does.
    pub kind: NodeKind,
    /// Its own parallelism, if it has one.
    pub parallelism: Option<u32>,
    /// Its own max parallelism, if it has one.
    pub max_parallelism: Option<u32>,
    /// Its slot sharing group; without one it has that of its inputs.
    pub slot_sharing_group: Option<String>,
    /// Whether it may be chained.
    pub chaining: ChainingStrategy,
    /// Its own buffer timeout, if it has one.
    pub buffer_timeout: Option<BufferTimeout>,
    /// Where in the program it was added.
    pub location: &'static Location<'static>,
}

impl StreamNode {
    /// A node with nothing set but what it must have.
    pub fn new(name: impl Into<String>, kind: NodeKind, location: &'static Location<'static>) -> Self {
        Self {
            name: name.into(),
            uid: None,
            kind,
            parallelism: None,
            max_parallelism: None,
            slot_sharing_group: None,
            chaining: ChainingStrategy::default(),
            buffer_timeout: None,
            location,
        }
    }

    /// Whether it keeps state that a restart would lose without a uid.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("numbers");
    /// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// let is_stateful = |node: usize| plan.graph.nodes[node].is_stateful();
    /// assert!(is_stateful(0), "a source remembers how far it has read");
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn is_stateful(&self) -> bool {
        match &self.kind {
            NodeKind::Source(_) => true,
            NodeKind::Operator(factory) | NodeKind::Sink(factory) => factory.is_stateful(),
        }
    }
}

/// Records that go from one node to another.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_core::graph::ShipStrategy;
/// use tidemill_runtime::graph::{StreamEdge, TypedEdge};
///
/// let edge = StreamEdge {
///     source: 0,
///     side_output: None,
///     target: 1,
///     input: 0,
///     strategy: Some(ShipStrategy::Rebalance),
///     edge: Arc::new(TypedEdge::<u64>::new()),
/// };
/// assert_eq!(edge.edge.serializer().type_name(), "u64");
/// ```
#[derive(Clone)]
pub struct StreamEdge {
    /// The producing node.
    pub source: NodeId,
    /// The side output of the producing node that is meant, or `None` for the main one.
    pub side_output: Option<Arc<str>>,
    /// The consuming node.
    pub target: NodeId,
    /// Which input of the consuming node. Several edges may lead to one input (a union).
    pub input: usize,
    /// How records are dealt to subtasks; `None` is forward when the parallelism is equal, else rebalance.
    pub strategy: Option<ShipStrategy>,
    /// The type of the records.
    pub edge: Arc<dyn EdgeType>,
}

/// A job before it is cut into chains. A node's inputs have smaller indices than the node.
///
/// ```
/// # use tidemill_testkit::{Log, jobs::Job, sinks};
/// # let (sink, _collected) = sinks::collect::<u32>();
/// # let mut job = Job::new("numbers");
/// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
/// # let target = job.sink("collect", sink);
/// # job.connect::<u32>(source, target);
/// # let plan = job.plan()?;
/// let graph = &plan.graph;
/// let (_, edge) = graph.outputs(0).next().unwrap();
/// assert_eq!((graph.nodes[0].name.as_str(), edge.target), ("numbers", 1));
/// assert_eq!(graph.inputs(1).count(), 1);
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
#[derive(Clone, Default)]
pub struct StreamGraph {
    /// The name of the job.
    pub name: String,
    /// The operators.
    pub nodes: Vec<StreamNode>,
    /// What flows between them.
    pub edges: Vec<StreamEdge>,
}

impl StreamGraph {
    /// Adds a node and gives its index.
    pub fn add_node(&mut self, node: StreamNode) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Adds an edge.
    pub fn add_edge(&mut self, edge: StreamEdge) {
        self.edges.push(edge);
    }

    /// The edges that lead to a node.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("numbers");
    /// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// let sources: Vec<usize> = plan.graph.inputs(1).map(|(_, edge)| edge.source).collect();
    /// assert_eq!(sources, [0]);
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn inputs(&self, node: NodeId) -> impl Iterator<Item = (usize, &StreamEdge)> {
        self.edges.iter().enumerate().filter(move |(_, edge)| edge.target == node)
    }

    /// The edges that leave a node.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("numbers");
    /// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// let targets: Vec<usize> = plan.graph.outputs(0).map(|(_, edge)| edge.target).collect();
    /// assert_eq!(targets, [1]);
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn outputs(&self, node: NodeId) -> impl Iterator<Item = (usize, &StreamEdge)> {
        self.edges.iter().enumerate().filter(move |(_, edge)| edge.source == node)
    }
}
