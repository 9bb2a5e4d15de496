//! The embedded cluster: one TaskManager in this process.

pub(crate) mod deploy;
pub(crate) mod execution;
pub(crate) mod handle;
mod master;
mod rescale;
mod slots;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tidemill_checkpoint::storage::LeftBehind;
use tidemill_core::JobId;
use tidemill_core::budget::MemoryBudget;
use tidemill_network::NetworkBufferPool;
use tidemill_state::{Clock, HashMapStateBackend, StateBackendFactory, SystemClock};

use crate::checkpoint::{CheckpointEnvironment, CheckpointService, RestoreSettings, restore};
use crate::cluster::deploy::{Attempt, Deployment};
use crate::cluster::execution::Ends;
use crate::cluster::master::JobMaster;
use crate::cluster::slots::Slots;
use crate::error::JobError;
use crate::graph::ExecutionPlan;

pub use execution::SubtaskAddress;
pub use handle::{JobCanceller, JobHandle, JobStatus};
pub use rescale::Rescaled;

/// What the TaskManager has to give: the outcome of the memory model, as the runtime needs it.
///
/// ```
/// use tidemill_runtime::cluster::TaskManagerResources;
///
/// let four_slots = TaskManagerResources { slots: Some(4), ..TaskManagerResources::default() };
/// assert_eq!(four_slots.segment_size, 32 * 1024);
/// ```
#[derive(Clone, Debug)]
pub struct TaskManagerResources {
    /// `taskmanager.numberOfTaskSlots`, or `None` for as many as a job needs.
    pub slots: Option<u32>,
    /// Bytes of network memory.
    pub network_bytes: u64,
    /// `taskmanager.memory.segment-size`.
    pub segment_size: usize,
    /// Bytes of managed memory, shared evenly by the slots.
    pub managed_bytes: u64,
    /// Bytes of task heap: what state in memory and objects of functions may take.
    pub task_heap_bytes: u64,
    /// `taskmanager.network.memory.buffers-per-channel`.
    pub exclusive_buffers_per_channel: usize,
    /// `taskmanager.network.memory.floating-buffers-per-gate`.
    pub floating_buffers_per_gate: usize,
    /// `taskmanager.network.memory.max-buffers-per-channel`.
    pub max_buffers_per_channel: usize,
    /// `taskmanager.network.memory.max-overdraft-buffers-per-gate`.
    pub max_overdraft_buffers: usize,
    /// `taskmanager.network.memory.read-buffer.required-per-gate.max`.
    pub required_per_gate_max: Option<usize>,
    /// `task.cancellation.timeout`: how long a cancelled task may take before its thread is given up; zero waits for ever.
    pub cancellation_timeout: Duration,
}

impl Default for TaskManagerResources {
    /// What Flink's defaults make of a process of 1728 MiB.
    fn default() -> Self {
        Self {
            slots: None,
            network_bytes: 134_217_730,
            segment_size: 32 * 1024,
            managed_bytes: 536_870_920,
            task_heap_bytes: 402_653_174,
            exclusive_buffers_per_channel: 2,
            floating_buffers_per_gate: 8,
            max_buffers_per_channel: 10,
            max_overdraft_buffers: 20,
            required_per_gate_max: None,
            cancellation_timeout: Duration::from_secs(180),
        }
    }
}

/// A TaskManager and the part of a JobManager that deploys to it, in this process.
///
/// ```
/// # use tidemill_testkit::{Log, jobs::Job, sinks};
/// # let (sink, _collected) = sinks::collect::<u32>();
/// # let mut job = Job::new("numbers");
/// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
/// # let target = job.sink("collect", sink);
/// # job.connect::<u32>(source, target);
/// # let plan = job.plan()?;
/// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
///
/// let cluster = EmbeddedCluster::new(TaskManagerResources::default());
/// cluster.run(plan)?;
/// assert_eq!(cluster.network_buffers().used(), 0, "the job has given all back");
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
pub struct EmbeddedCluster {
    shared: Arc<ClusterShared>,
}

/// What the jobs of a cluster share.
#[derive(Clone)]
pub(crate) struct ClusterShared {
    resources: TaskManagerResources,
    buffers: Arc<NetworkBufferPool>,
    task_heap: MemoryBudget,
    pub(crate) clock: Arc<dyn Clock>,
    state_backends: Arc<dyn StateBackendFactory>,
    checkpoints: Option<CheckpointEnvironment>,
}

impl EmbeddedCluster {
    /// A cluster with these resources.
    ///
    /// ```
    /// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
    ///
    /// let resources = TaskManagerResources { task_heap_bytes: 1 << 20, ..TaskManagerResources::default() };
    /// assert_eq!(EmbeddedCluster::new(resources).task_heap().limit(), 1 << 20);
    /// ```
    pub fn new(resources: TaskManagerResources) -> Self {
        Self::with_clock(resources, Arc::new(SystemClock))
    }

    /// A cluster whose processing time comes from `clock`: for tests.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
    /// use tidemill_state::ManualClock;
    ///
    /// let clock = ManualClock::at(0);
    /// let cluster = EmbeddedCluster::with_clock(TaskManagerResources::default(), Arc::new(clock.clone()));
    /// clock.advance(1_000); // Whatever jobs run on the cluster, it is a second later for them.
    /// assert_eq!(cluster.task_heap().used(), 0);
    /// ```
    pub fn with_clock(resources: TaskManagerResources, clock: Arc<dyn Clock>) -> Self {
        let buffers = NetworkBufferPool::new(resources.network_bytes, resources.segment_size);
        let limit = usize::try_from(resources.task_heap_bytes).unwrap_or(usize::MAX);
        let task_heap = MemoryBudget::new("task heap", limit, "taskmanager.memory.task.heap.size");
        let state_backends = Arc::new(HashMapStateBackend);
        let shared =
            ClusterShared { resources, buffers, task_heap, clock, state_backends, checkpoints: None };
        Self { shared: Arc::new(shared) }
    }

    /// Has the slots keep keyed state in another way than in memory.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
    /// use tidemill_state::HashMapStateBackend;
    ///
    /// let cluster = EmbeddedCluster::new(TaskManagerResources::default());
    /// let cluster = cluster.with_state_backends(Arc::new(HashMapStateBackend)); // As it was.
    /// # drop(cluster);
    /// ```
    #[must_use]
    pub fn with_state_backends(self, state_backends: Arc<dyn StateBackendFactory>) -> Self {
        let shared = ClusterShared { state_backends, ..ClusterShared::clone(&self.shared) };
        Self { shared: Arc::new(shared) }
    }

    /// Gives the cluster a place for checkpoints and savepoints.
    #[must_use]
    pub fn with_checkpoints(self, environment: CheckpointEnvironment) -> Self {
        let shared = ClusterShared { checkpoints: Some(environment), ..ClusterShared::clone(&self.shared) };
        Self { shared: Arc::new(shared) }
    }

    /// What the cluster has.
    ///
    /// ```
    /// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
    ///
    /// let resources = TaskManagerResources { slots: Some(4), ..TaskManagerResources::default() };
    /// assert_eq!(EmbeddedCluster::new(resources).resources().slots, Some(4));
    /// ```
    pub fn resources(&self) -> &TaskManagerResources {
        &self.shared.resources
    }

    /// The network buffers of the TaskManager.
    pub fn network_buffers(&self) -> &Arc<NetworkBufferPool> {
        &self.shared.buffers
    }

    /// The memory that state in memory is taken from.
    ///
    /// ```
    /// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
    ///
    /// let cluster = EmbeddedCluster::new(TaskManagerResources::default());
    /// assert_eq!(cluster.task_heap().used(), 0, "no job, no state");
    /// ```
    pub fn task_heap(&self) -> &MemoryBudget {
        &self.shared.task_heap
    }

    /// Starts a job.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("numbers");
    /// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
    ///
    /// let job = EmbeddedCluster::new(TaskManagerResources::default()).submit(plan)?;
    /// job.wait()?;
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    ///
    /// # Errors
    /// When there are too few slots or network buffers, a source does not exist, or a thread cannot be started.
    pub fn submit(&self, plan: ExecutionPlan) -> Result<JobHandle, JobError> {
        self.submit_unless(plan, &|| false)
    }

    /// Starts a job, for somebody who may change his mind: `is_cancelled` is asked between one task and the next, for to
    /// deploy many of them takes its time. Once all run, the job is [cancelled](JobHandle::cancel) as any other.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("numbers");
    /// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// use tidemill_runtime::JobError;
    /// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
    ///
    /// let cluster = EmbeddedCluster::new(TaskManagerResources::default());
    /// assert!(matches!(cluster.submit_unless(plan, &|| true), Err(JobError::Cancelled(_))));
    /// # Ok::<(), JobError>(())
    /// ```
    ///
    /// # Errors
    /// As [`submit`](Self::submit), and [`JobError::Cancelled`] once `is_cancelled` says so: no task runs then.
    pub fn submit_unless(
        &self,
        plan: ExecutionPlan,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<JobHandle, JobError> {
        self.submit_restored(plan, None, is_cancelled)
    }

    /// As [`submit_unless`](Self::submit_unless), from where a checkpoint or savepoint has left off.
    ///
    /// # Errors
    /// As [`submit_unless`](Self::submit_unless), and when the state cannot be read or does not fit the job, or checkpoints are
    /// asked for and there is no place for them.
    pub fn submit_restored(
        &self,
        plan: ExecutionPlan,
        restore: Option<&RestoreSettings>,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<JobHandle, JobError> {
        self.start(plan, restore.map(From::Snapshot), random_job_id(), is_cancelled)
    }

    /// Goes on with an earlier run of a job as the same job: with its id, and with its checkpoints as its own. The newest that can
    /// be read is what it goes on from.
    ///
    /// # Errors
    /// As [`submit_restored`](Self::submit_restored), and when the earlier run has not ended.
    pub fn resume(
        &self,
        plan: ExecutionPlan,
        run: LeftBehind,
        allow_non_restored_state: bool,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<JobHandle, JobError> {
        let id = run.job_id;
        let from = From::Run { run, allow_non_restored_state };
        self.start(plan, Some(from), id, is_cancelled)
    }

    fn start(
        &self,
        plan: ExecutionPlan,
        from: Option<From<'_>>,
        id: JobId,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<JobHandle, JobError> {
        let ends = Arc::new(Ends::default());
        let job = launch(&self.shared, plan, from, id, &ends, is_cancelled)?;
        JobMaster::start(Arc::clone(&self.shared), id, ends, job).map(JobHandle)
    }

    /// Starts a job and waits for its end.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("numbers");
    /// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
    ///
    /// let job = EmbeddedCluster::new(TaskManagerResources::default()).run(plan)?;
    /// assert_eq!(job.graph().vertices.len(), 1, "source and sink are one chain");
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    ///
    /// # Errors
    /// As [`submit`](Self::submit), and when an operator fails.
    pub fn run(&self, plan: ExecutionPlan) -> Result<JobHandle, JobError> {
        let job = self.submit(plan)?;
        job.wait()?;
        Ok(job)
    }
}

/// From what a job goes on.
enum From<'a> {
    Snapshot(&'a RestoreSettings),
    Run { run: LeftBehind, allow_non_restored_state: bool },
}

/// A job that is deployed.
struct Launched {
    plan: Arc<ExecutionPlan>,
    service: Option<Arc<CheckpointService>>,
    slots: Arc<Slots>,
    /// The vertices of each region.
    regions: Arc<[Vec<usize>]>,
    /// The newest attempt of each region.
    attempts: Vec<Arc<Attempt>>,
}

/// Has the checkpoints of a job taken care of and deploys it, with what it goes on from.
fn launch(
    cluster: &Arc<ClusterShared>,
    mut plan: ExecutionPlan,
    from: Option<From<'_>>,
    id: JobId,
    ends: &Arc<Ends>,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<Launched, JobError> {
    let without = || JobError::Checkpoints {
        job: plan.job.name.clone(),
        reason: "the cluster was given no storage for checkpoints and savepoints".to_owned(),
    };
    let wants = from.is_some() || plan.settings.checkpointing.interval.is_some();
    let environment = match &cluster.checkpoints {
        None if wants => return Err(without()),
        environment => environment.clone(),
    };
    let found = match (from, &environment) {
        (Some(From::Snapshot(settings)), Some(environment)) => {
            Some(restore::from_settings(settings, environment, &mut plan)?)
        }
        (Some(From::Run { run, allow_non_restored_state }), Some(environment)) => {
            Some(restore::from_run(run, allow_non_restored_state, environment, &mut plan)?)
        }
        _ => None,
    };
    let plan = Arc::new(plan);
    let (restored, origin) = match found {
        Some((job, origin)) => (Some((job, origin.restored())), Some(origin)),
        None => (None, None),
    };
    deploy::check(cluster, &plan)?;
    let slots = Arc::new(Slots::new(cluster, &plan)?);
    let service = environment
        .map(|environment| CheckpointService::start(cluster, &plan, environment, id, origin))
        .transpose()?
        .map(Arc::new);
    let regions: Arc<[Vec<usize>]> = plan.regions().into();
    let deployment = Deployment {
        cluster,
        plan: &plan,
        slots: &slots,
        checkpoints: service.as_deref(),
        ends,
        is_cancelled,
    };
    let all: Vec<&[usize]> = regions.iter().map(Vec::as_slice).collect();
    let attempts = deployment.deploy(&all, restored).inspect_err(|_| {
        if let Some(service) = &service {
            service.never_started();
        }
    })?;
    let attempts = attempts.into_iter().map(Arc::new).collect();
    Ok(Launched { plan, service, slots, regions, attempts })
}

/// Another one for each submission, as in Flink.
fn random_job_id() -> JobId {
    let random = || u128::from(RandomState::new().build_hasher().finish());
    JobId(random() << 64 | random())
}
