//! A running job: cancelling it, waiting for it, watching it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tidemill_core::graph::JobGraph;
use tidemill_network::{TaskWaker, Wake};

use crate::error::{JobError, OperatorFailure};
use crate::generic_types::GenericTypes;
use crate::metrics::JobMetrics;

/// Where a job is in its life, by Flink's names.
///
/// ```
/// # use tidemill_testkit::{Log, jobs::Job, sinks};
/// # let (sink, _collected) = sinks::collect::<u32>();
/// # let mut job = Job::new("numbers");
/// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
/// # let target = job.sink("collect", sink);
/// # job.connect::<u32>(source, target);
/// # let plan = job.plan()?;
/// use tidemill_runtime::cluster::{EmbeddedCluster, JobStatus, TaskManagerResources};
///
/// let job = EmbeddedCluster::new(TaskManagerResources::default()).run(plan)?;
/// assert_eq!(job.status(), JobStatus::Finished);
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// Its tasks run.
    Running,
    /// A task has failed and the others are being cancelled.
    Failing,
    /// It is being cancelled.
    Cancelling,
    /// It came to its end.
    Finished,
    /// A task failed.
    Failed,
    /// It was cancelled.
    Canceled,
}

/// Which subtask of which vertex.
///
/// ```
/// use tidemill_runtime::cluster::SubtaskAddress;
///
/// let address = SubtaskAddress { vertex: "count".into(), subtask: 0, parallelism: 4 };
/// assert_eq!(address.to_string(), "count (1/4)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubtaskAddress {
    /// The name of the vertex.
    pub vertex: Arc<str>,
    /// The subtask, from 0.
    pub subtask: u32,
    /// How many subtasks the vertex has.
    pub parallelism: u32,
}

impl std::fmt::Display for SubtaskAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}/{})", self.vertex, self.subtask + 1, self.parallelism)
    }
}

/// What tasks and handle share.
pub(crate) struct JobShared {
    pub(crate) name: String,
    pub(crate) cancel: Arc<AtomicBool>,
    pub(crate) wakers: Vec<Arc<TaskWaker>>,
    pub(crate) addresses: Vec<SubtaskAddress>,
    generic_types: Arc<GenericTypes>,
    state: Mutex<JobState>,
    changed: Condvar,
}

struct JobState {
    running: Vec<bool>,
    /// How many of them run.
    left: usize,
    failure: Option<OperatorFailure>,
    cancelled_at: Option<Instant>,
    by_user: bool,
}

impl JobShared {
    pub(crate) fn new(
        name: String,
        wakers: Vec<Arc<TaskWaker>>,
        addresses: Vec<SubtaskAddress>,
        generic_types: Arc<GenericTypes>,
    ) -> Self {
        let (running, left) = (vec![true; wakers.len()], wakers.len());
        Self {
            name,
            cancel: Arc::new(AtomicBool::new(false)),
            wakers,
            addresses,
            generic_types,
            state: Mutex::new(JobState { running, left, failure: None, cancelled_at: None, by_user: false }),
            changed: Condvar::new(),
        }
    }

    /// Stops all tasks.
    pub(crate) fn cancel(&self, by_user: bool) {
        {
            let mut state = self.state.lock();
            if state.left == 0 {
                // What has come to its end stays as it ended.
                return;
            }
            if state.cancelled_at.is_none() {
                state.cancelled_at = Some(Instant::now());
                state.by_user = by_user;
            }
        }
        self.cancel.store(true, Ordering::SeqCst);
        for waker in &self.wakers {
            waker.wake(Wake::Command);
        }
        self.generic_types.wake();
        self.changed.notify_all();
    }

    /// A task has ended; its failure, if it is the first, is the job's.
    pub(crate) fn task_ended(&self, task: usize, failure: Option<OperatorFailure>) {
        let failed = failure.is_some();
        let left = {
            let mut state = self.state.lock();
            if std::mem::take(&mut state.running[task]) {
                state.left -= 1;
            }
            if let Some(failure) = failure
                && state.failure.is_none()
                && state.cancelled_at.is_none()
            {
                state.failure = Some(failure);
            }
            state.left
        };
        if failed {
            self.cancel(false);
        }
        // Whoever waits, waits for all of them, and is not to be woken thousands of times.
        if left == 0 {
            self.changed.notify_all();
        }
    }

    fn status(&self, state: &JobState) -> JobStatus {
        let ended = state.left == 0;
        if !self.generic_types.forbidden().is_empty() {
            return if ended { JobStatus::Failed } else { JobStatus::Failing };
        }
        match (ended, &state.failure, state.cancelled_at) {
            (false, Some(_), _) => JobStatus::Failing,
            (false, None, Some(_)) => JobStatus::Cancelling,
            (false, None, None) => JobStatus::Running,
            (true, Some(_), _) => JobStatus::Failed,
            (true, None, Some(_)) => JobStatus::Canceled,
            (true, None, None) => JobStatus::Finished,
        }
    }

    /// Marks tasks that were never started as ended.
    pub(crate) fn never_started(&self, from: usize) {
        {
            let mut state = self.state.lock();
            let JobState { running, left, .. } = &mut *state;
            *left -= running[from..].iter().filter(|running| **running).count();
            running[from..].fill(false);
        }
        self.changed.notify_all();
    }
}

/// A job that was started. Dropping the handle cancels the job.
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
/// assert_eq!(job.graph().name, "numbers");
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
pub struct JobHandle {
    pub(crate) shared: Arc<JobShared>,
    pub(crate) graph: JobGraph,
    pub(crate) metrics: Arc<JobMetrics>,
    pub(crate) cancellation_timeout: Duration,
}

/// Cancels a job from another thread, for example from a signal handler's.
///
/// ```
/// use tidemill_runtime::JobError;
/// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
/// # use tidemill_testkit::{Log, jobs::Job, sinks};
/// # let (sink, _collected) = sinks::collect::<u32>();
/// # let mut job = Job::new("endless");
/// # let source = job.source("numbers", Log::<u32>::new(1).source());
/// # let target = job.sink("collect", sink);
/// # job.connect::<u32>(source, target);
/// # let plan = job.plan()?;
///
/// let job = EmbeddedCluster::new(TaskManagerResources::default()).submit(plan)?;
/// let canceller = job.canceller();
/// std::thread::spawn(move || canceller.cancel());
/// assert!(matches!(job.wait(), Err(JobError::Cancelled(_))));
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
#[derive(Clone)]
pub struct JobCanceller(Arc<JobShared>);

impl JobCanceller {
    /// Stops all tasks of the job as soon as they come by.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("endless");
    /// # let source = job.source("numbers", Log::<u32>::new(1).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// use tidemill_runtime::JobError;
    /// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
    ///
    /// let job = EmbeddedCluster::new(TaskManagerResources::default()).submit(plan)?;
    /// let canceller = job.canceller();
    /// canceller.cancel();
    /// assert!(matches!(job.wait(), Err(JobError::Cancelled(_))));
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn cancel(&self) {
        self.0.cancel(true);
    }

    /// Waits until all tasks of the job have ended, however long they take, and says how the job ended.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("numbers");
    /// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// use tidemill_runtime::cluster::{EmbeddedCluster, JobStatus, TaskManagerResources};
    ///
    /// let job = EmbeddedCluster::new(TaskManagerResources::default()).submit(plan)?;
    /// assert_eq!(job.canceller().wait_ended(), JobStatus::Finished);
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn wait_ended(&self) -> JobStatus {
        let mut state = self.0.state.lock();
        while state.left > 0 {
            self.0.changed.wait(&mut state);
        }
        self.0.status(&state)
    }
}

impl JobHandle {
    /// The job as data.
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
    /// assert_eq!(job.graph().name, "numbers");
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn graph(&self) -> &JobGraph {
        &self.graph
    }

    /// What the job counts; stays readable after its end.
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
    /// let source = &job.metrics().tasks[0].operators[0].2;
    /// assert_eq!(source.records_out.get(), 2);
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn metrics(&self) -> &Arc<JobMetrics> {
        &self.metrics
    }

    /// Something that can cancel the job from elsewhere.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("endless");
    /// # let source = job.source("numbers", Log::<u32>::new(1).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// use tidemill_runtime::JobError;
    /// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
    ///
    /// let job = EmbeddedCluster::new(TaskManagerResources::default()).submit(plan)?;
    /// let canceller = job.canceller();
    /// std::thread::spawn(move || canceller.cancel());
    /// assert!(matches!(job.wait(), Err(JobError::Cancelled(_))));
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn canceller(&self) -> JobCanceller {
        JobCanceller(Arc::clone(&self.shared))
    }

    /// Stops all tasks as soon as they come by; [`wait`](Self::wait) tells when they have.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("endless");
    /// # let source = job.source("numbers", Log::<u32>::new(1).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// use tidemill_runtime::JobError;
    /// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
    ///
    /// let job = EmbeddedCluster::new(TaskManagerResources::default()).submit(plan)?;
    /// job.cancel();
    /// assert!(matches!(job.wait(), Err(JobError::Cancelled(_))));
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn cancel(&self) {
        self.shared.cancel(true);
    }

    /// Where the job is in its life.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("numbers");
    /// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// use tidemill_runtime::cluster::{EmbeddedCluster, JobStatus, TaskManagerResources};
    ///
    /// let job = EmbeddedCluster::new(TaskManagerResources::default()).submit(plan)?;
    /// job.wait()?;
    /// assert_eq!(job.status(), JobStatus::Finished);
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn status(&self) -> JobStatus {
        self.shared.status(&self.shared.state.lock())
    }

    /// Waits for the end of the job.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("numbers");
    /// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// use tidemill_runtime::cluster::{EmbeddedCluster, JobStatus, TaskManagerResources};
    ///
    /// let job = EmbeddedCluster::new(TaskManagerResources::default()).submit(plan)?;
    /// job.wait()?;
    /// assert_eq!(job.status(), JobStatus::Finished);
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    ///
    /// # Errors
    /// When an operator failed, the job was cancelled, or a cancelled task does not stop.
    pub fn wait(&self) -> Result<(), JobError> {
        while !self.wait_for(Duration::from_secs(3600))? {}
        Ok(())
    }

    /// Waits for the end of the job, for `timeout` at most; true when it has come.
    ///
    /// ```
    /// # use tidemill_testkit::{Log, jobs::Job, sinks};
    /// # let (sink, _collected) = sinks::collect::<u32>();
    /// # let mut job = Job::new("numbers");
    /// # let source = job.source("numbers", Log::bounded([vec![(1u32, 10), (2, 20)]]).source());
    /// # let target = job.sink("collect", sink);
    /// # job.connect::<u32>(source, target);
    /// # let plan = job.plan()?;
    /// use std::time::Duration;
    /// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
    ///
    /// let job = EmbeddedCluster::new(TaskManagerResources::default()).submit(plan)?;
    /// while !job.wait_for(Duration::from_secs(1))? {
    ///     println!("{:?}", job.status());
    /// }
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_for(&self, timeout: Duration) -> Result<bool, JobError> {
        let deadline = after(Instant::now(), timeout);
        let mut state = self.shared.state.lock();
        while state.left > 0 {
            let stuck_at = state
                .cancelled_at
                .filter(|_| !self.cancellation_timeout.is_zero())
                .map(|at| after(at, self.cancellation_timeout));
            let now = Instant::now();
            if stuck_at.is_some_and(|at| at <= now) {
                return Err(self.stuck(&state));
            }
            if now >= deadline {
                return Ok(false);
            }
            let until = stuck_at.map_or(deadline, |at| at.min(deadline));
            self.shared.changed.wait_until(&mut state, until);
        }
        if let Some(failure) = state.failure.take() {
            // The failure is told once; the status stays.
            let copy = OperatorFailure {
                error: crate::operator::OperatorError::new(
                    failure.error.code(),
                    failure.error.fault(),
                    failure.error.to_string(),
                ),
                job: failure.job.clone(),
                operator: failure.operator.clone(),
                location: failure.location.clone(),
                ..failure
            };
            state.failure = Some(copy);
            return Err(JobError::Operator(Box::new(failure)));
        }
        let uses = self.shared.generic_types.forbidden();
        if !uses.is_empty() {
            return Err(JobError::GenericTypes { job: self.shared.name.clone(), uses });
        }
        if state.cancelled_at.is_some() {
            return Err(JobError::Cancelled(self.shared.name.clone()));
        }
        Ok(true)
    }

    fn stuck(&self, state: &JobState) -> JobError {
        let tasks: Vec<String> = state
            .running
            .iter()
            .zip(&self.shared.addresses)
            .filter(|(running, _)| **running)
            .map(|(_, address)| address.to_string())
            .collect();
        let because = match &state.failure {
            Some(failure) => format!("The job was cancelled because {failure}"),
            None => "The job was cancelled from outside".to_owned(),
        };
        JobError::Stuck { seconds: self.cancellation_timeout.as_secs(), tasks: tasks.join(", "), because }
    }
}

/// `at + time`, or as good as never when that is beyond what can be represented.
fn after(at: Instant, time: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    at.checked_add(time).unwrap_or_else(|| at + YEAR)
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        if self.shared.state.lock().left > 0 {
            self.shared.cancel(true);
        }
    }
}
