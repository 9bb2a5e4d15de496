//! One run of a region of a job: its tasks, how they end, what ended them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tidemill_network::{TaskWaker, Wake};

use crate::cluster::handle::JobStatus;
use crate::error::{JobError, OperatorFailure};
use crate::generic_types::GenericTypes;
use crate::task::Task;

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

/// Wakes whoever waits for one of several attempts to end.
#[derive(Default)]
pub(crate) struct Ends {
    ended: Mutex<u64>,
    changed: Condvar,
}

impl Ends {
    /// How many have ended so far.
    pub(crate) fn count(&self) -> u64 {
        *self.ended.lock()
    }

    /// Waits until there are more than `known`, for `timeout` at most.
    pub(crate) fn wait_for_more_than(&self, known: u64, timeout: Duration) {
        let deadline = after(Instant::now(), timeout);
        let mut ended = self.ended.lock();
        while *ended <= known && Instant::now() < deadline {
            self.changed.wait_until(&mut ended, deadline);
        }
    }

    fn one_more(&self) {
        *self.ended.lock() += 1;
        self.changed.notify_all();
    }
}

/// One run of a region of a job, from its deployment to the end of its last task. A restart makes another.
pub(crate) struct Execution {
    pub(crate) name: String,
    pub(crate) cancel: Arc<AtomicBool>,
    pub(crate) wakers: Vec<Arc<TaskWaker>>,
    pub(crate) addresses: Vec<SubtaskAddress>,
    generic_types: Arc<GenericTypes>,
    cancellation_timeout: Duration,
    ends: Arc<Ends>,
    state: Mutex<ExecutionState>,
    changed: Condvar,
}

struct ExecutionState {
    running: Vec<bool>,
    /// How many of them run.
    left: usize,
    failure: Option<OperatorFailure>,
    /// Why the job as a whole failed, though none of its tasks did.
    failed_as_whole: Option<JobError>,
    cancelled_at: Option<Instant>,
    by_user: bool,
}

impl Execution {
    pub(crate) fn new(
        name: String,
        tasks: &[Task],
        generic_types: Arc<GenericTypes>,
        cancellation_timeout: Duration,
        ends: Arc<Ends>,
    ) -> Self {
        let wakers = tasks.iter().map(|task| Arc::clone(&task.waker)).collect();
        let address = |task: &Task| SubtaskAddress {
            vertex: Arc::clone(&task.metrics.name),
            subtask: task.metrics.subtask,
            parallelism: task.contexts.first().map_or(1, |context| context.parallelism),
        };
        let addresses = tasks.iter().map(address).collect();
        let (running, left) = (vec![true; tasks.len()], tasks.len());
        Self {
            name,
            cancel: Arc::new(AtomicBool::new(false)),
            wakers,
            addresses,
            generic_types,
            cancellation_timeout,
            ends,
            state: Mutex::new(ExecutionState {
                running,
                left,
                failure: None,
                failed_as_whole: None,
                cancelled_at: None,
                by_user: false,
            }),
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
            self.ends.one_more();
        }
    }

    /// Where the run is in its life.
    pub(crate) fn current_status(&self) -> JobStatus {
        self.status(&self.state.lock())
    }

    /// Waits until all tasks have ended, however long they take.
    pub(crate) fn wait_ended(&self) -> JobStatus {
        let mut state = self.state.lock();
        while state.left > 0 {
            self.changed.wait(&mut state);
        }
        self.status(&state)
    }

    /// The run fails, though none of its tasks did.
    pub(crate) fn fail(&self, error: JobError) {
        {
            let mut state = self.state.lock();
            if state.left == 0 || state.cancelled_at.is_some() {
                return;
            }
            state.failed_as_whole.get_or_insert(error);
        }
        self.cancel(false);
    }

    fn status(&self, state: &ExecutionState) -> JobStatus {
        let ended = state.left == 0;
        if !self.generic_types.forbidden().is_empty() {
            return if ended { JobStatus::Failed } else { JobStatus::Failing };
        }
        let failed = state.failure.is_some() || state.failed_as_whole.is_some();
        match (ended, failed, state.cancelled_at) {
            (false, true, _) => JobStatus::Failing,
            (false, false, Some(_)) => JobStatus::Cancelling,
            (false, false, None) => JobStatus::Running,
            (true, true, _) => JobStatus::Failed,
            (true, false, Some(_)) => JobStatus::Canceled,
            (true, false, None) => JobStatus::Finished,
        }
    }

    /// Marks tasks that were never started as ended.
    pub(crate) fn never_started(&self, from: usize) {
        {
            let mut state = self.state.lock();
            let ExecutionState { running, left, .. } = &mut *state;
            *left -= running[from..].iter().filter(|running| **running).count();
            running[from..].fill(false);
        }
        self.changed.notify_all();
        self.ends.one_more();
    }

    /// Waits for the end of all tasks, for `timeout` at most; true when it has come.
    pub(crate) fn wait_for(&self, timeout: Duration) -> Result<bool, JobError> {
        let deadline = after(Instant::now(), timeout);
        let mut state = self.state.lock();
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
            self.changed.wait_until(&mut state, until);
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
        if let Some(failure) = &mut state.failed_as_whole {
            let again = failure.again();
            return Err(std::mem::replace(failure, again));
        }
        let uses = self.generic_types.forbidden();
        if !uses.is_empty() {
            return Err(JobError::GenericTypes { job: self.name.clone(), uses });
        }
        if state.cancelled_at.is_some() {
            return Err(JobError::Cancelled(self.name.clone()));
        }
        Ok(true)
    }

    fn stuck(&self, state: &ExecutionState) -> JobError {
        let tasks: Vec<String> = state
            .running
            .iter()
            .zip(&self.addresses)
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
pub(crate) fn after(at: Instant, time: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    at.checked_add(time).unwrap_or_else(|| at + YEAR)
}
