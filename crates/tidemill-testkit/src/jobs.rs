//! Jobs put together by hand, and a small cluster to run them.

use std::fmt::Debug;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::graph::ShipStrategy;
use tidemill_runtime::JobError;
use tidemill_runtime::OperatorFactory;
use tidemill_runtime::cluster::{EmbeddedCluster, JobHandle, TaskManagerResources};
use tidemill_runtime::graph::{
    ExecutionPlan, JobSettings, NodeId, NodeKind, StreamEdge, StreamGraph, StreamNode, TypedEdge,
};
use tidemill_runtime::source::SourceSpec;
use tidemill_serialization::Data;

use crate::checker::checked;

/// A graph in the making. Every operator is wrapped in checks.
///
/// ```
/// use tidemill_testkit::{Log, jobs::Job, sinks};
///
/// let (sink, collected) = sinks::collect::<u64>();
/// let mut job = Job::new("numbers");
/// let source = job.source("numbers", Log::bounded([vec![(1u64, 10), (2, 20)]]).source());
/// let target = job.sink("collect", sink);
/// job.connect::<u64>(source, target);
/// job.run()?;
/// assert_eq!(collected.values(), [1, 2]);
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
pub struct Job {
    /// The graph so far.
    pub graph: StreamGraph,
    /// How it is to be planned.
    pub settings: JobSettings,
}

impl Job {
    /// A job without operators, with Flink's defaults but a buffer timeout of 1 ms.
    pub fn new(name: &str) -> Self {
        let graph = StreamGraph { name: name.to_owned(), ..StreamGraph::default() };
        let buffer_timeout = tidemill_network::BufferTimeout::After(Duration::from_millis(1));
        Self { graph, settings: JobSettings { buffer_timeout, ..JobSettings::default() } }
    }

    /// Sets the parallelism of operators without one of their own.
    #[must_use]
    pub fn parallelism(mut self, parallelism: u32) -> Self {
        self.settings.parallelism = parallelism;
        self
    }

    /// Has exchanges encode what they send, as between processes.
    #[must_use]
    pub fn encoded(mut self, encoded: bool) -> Self {
        self.settings.encoded_edges = encoded;
        self
    }

    /// Switches chaining off.
    #[must_use]
    pub fn unchained(mut self) -> Self {
        self.settings.chaining = false;
        self
    }

    /// Adds a source.
    #[track_caller]
    pub fn source(&mut self, name: &str, spec: Arc<SourceSpec>) -> NodeId {
        self.graph.add_node(StreamNode::new(name, NodeKind::Source(spec), Location::caller()))
    }

    /// Adds an operator.
    #[track_caller]
    pub fn operator(&mut self, name: &str, factory: impl OperatorFactory + 'static) -> NodeId {
        let kind = NodeKind::Operator(Arc::new(checked(factory)));
        self.graph.add_node(StreamNode::new(name, kind, Location::caller()))
    }

    /// Adds a sink.
    #[track_caller]
    pub fn sink(&mut self, name: &str, factory: impl OperatorFactory + 'static) -> NodeId {
        let kind = NodeKind::Sink(Arc::new(checked(factory)));
        self.graph.add_node(StreamNode::new(name, kind, Location::caller()))
    }

    /// The node, to be changed.
    pub fn node(&mut self, node: NodeId) -> &mut StreamNode {
        &mut self.graph.nodes[node]
    }

    /// Leads the main output of `source` to input 0 of `target`, forward or by rebalancing, as the parallelism demands.
    pub fn connect<T: Data + Debug>(&mut self, source: NodeId, target: NodeId) -> &mut StreamEdge {
        self.edge(source, target, TypedEdge::<T>::new())
    }

    /// As [`connect`](Self::connect), dealt as `strategy` says.
    pub fn connect_by<T: Data + Debug>(
        &mut self,
        source: NodeId,
        target: NodeId,
        strategy: ShipStrategy,
    ) -> &mut StreamEdge {
        let edge = self.connect::<T>(source, target);
        edge.strategy = Some(strategy);
        edge
    }

    /// As [`connect`](Self::connect), dealt by the routing hash of a key.
    pub fn connect_keyed<T: Data + Debug>(
        &mut self,
        source: NodeId,
        target: NodeId,
        hash: impl Fn(&T) -> u64 + Clone + Send + Sync + 'static,
    ) -> &mut StreamEdge {
        let edge = self.edge(source, target, TypedEdge::<T, _>::keyed(hash));
        edge.strategy = Some(ShipStrategy::Hash);
        edge
    }

    fn edge(
        &mut self,
        source: NodeId,
        target: NodeId,
        edge: impl tidemill_runtime::graph::EdgeType + 'static,
    ) -> &mut StreamEdge {
        let edge = Arc::new(edge);
        self.graph.add_edge(StreamEdge { source, side_output: None, target, input: 0, strategy: None, edge });
        self.graph.edges.last_mut().expect("it was just added")
    }

    /// The plan of the job.
    ///
    /// # Errors
    /// When the graph cannot be made into a job.
    pub fn plan(&self) -> Result<ExecutionPlan, JobError> {
        ExecutionPlan::new(self.graph.clone(), &self.settings)
    }

    /// Runs the job on a cluster to its end.
    ///
    /// # Errors
    /// As the job ends.
    pub fn run_on(&self, cluster: &EmbeddedCluster) -> Result<JobHandle, JobError> {
        let job = self.submit_to(cluster)?;
        wait(&job)?;
        Ok(job)
    }

    /// Starts the job on a cluster.
    ///
    /// # Errors
    /// When it cannot be planned or deployed.
    pub fn submit_to(&self, cluster: &EmbeddedCluster) -> Result<JobHandle, JobError> {
        cluster.submit(self.plan()?)
    }

    /// Runs the job on a small cluster of its own and checks that all buffers were given back.
    ///
    /// # Errors
    /// As the job ends.
    pub fn run(&self) -> Result<(), JobError> {
        let cluster = small_cluster();
        let ended = self.run_on(&cluster).map(|_| ());
        assert_clean(&cluster);
        ended
    }
}

/// Few and small buffers, so that a test soon runs out of them: 512 of 1 KiB.
pub fn small_resources() -> TaskManagerResources {
    TaskManagerResources {
        network_bytes: 512 * 1024,
        segment_size: 1024,
        max_overdraft_buffers: 2,
        managed_bytes: 1 << 20,
        task_heap_bytes: 64 << 20,
        ..TaskManagerResources::default()
    }
}

/// A cluster of [`small_resources`].
pub fn small_cluster() -> EmbeddedCluster {
    EmbeddedCluster::new(small_resources())
}

/// Waits for the end of a job, and fails the test when it does not come for a minute.
///
/// # Errors
/// As the job ends.
pub fn wait(job: &JobHandle) -> Result<(), JobError> {
    let ended = job.wait_for(Duration::from_secs(60))?;
    assert!(ended, "the job does not come to its end; its status is {:?}", job.status());
    Ok(())
}

/// Checks that no buffer and no memory of the cluster is taken any more.
pub fn assert_clean(cluster: &EmbeddedCluster) {
    assert_eq!(cluster.network_buffers().used(), 0, "network buffers were not given back");
    assert_eq!(cluster.task_heap().used(), 0, "task heap was not given back");
}

/// Blocks the test until a condition holds that nobody announces, such as a metric; fails it after a minute.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "it never came about that {what}");
        std::thread::yield_now();
    }
}
