//! A running job: cancelling it, waiting for it, watching it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use tidemill_checkpoint::coordinator::{CompletedSnapshot, ManualCheckpoint};
use tidemill_checkpoint::statistics::Statistics;
use tidemill_core::graph::JobGraph;
use tidemill_core::id::JobVertexId;
use tidemill_core::{AfterSavepoint, JobId, SavepointFormat};

use crate::checkpoint::{CheckpointService, Target};
use crate::cluster::master::JobMaster;
use crate::cluster::rescale::Rescaled;
use crate::error::JobError;
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
    /// It has failed and is about to be deployed again.
    Restarting,
    /// It is being cancelled.
    Cancelling,
    /// It came to its end.
    Finished,
    /// A task failed.
    Failed,
    /// It was cancelled.
    Canceled,
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
pub struct JobHandle(pub(crate) Arc<JobMaster>);

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
pub struct JobCanceller(Arc<JobMaster>);

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
        self.0.cancel();
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
        self.0.wait_ended()
    }
}

impl JobHandle {
    /// The job as data, as it is now: [`rescale`](Self::rescale) changes it.
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
    pub fn graph(&self) -> Arc<JobGraph> {
        Arc::clone(&self.0.plan().job)
    }

    /// What the job is told from others by, in the names of its checkpoints too. Another submission has another one.
    pub fn id(&self) -> JobId {
        self.0.id
    }

    /// What the job counts; stays readable after its end. After a restart the job counts anew.
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
    /// let metrics = job.metrics();
    /// let source = &metrics.tasks[0].operators[0].2;
    /// assert_eq!(source.records_out.get(), 2);
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn metrics(&self) -> Arc<JobMetrics> {
        self.0.metrics()
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
        JobCanceller(Arc::clone(&self.0))
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
        self.0.cancel();
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
        self.0.status()
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
        self.0.wait_for(timeout)
    }
}

impl JobHandle {
    /// Takes a savepoint into a new folder in `folder`, or in that of `execution.checkpointing.savepoint-dir`, and waits until
    /// it is complete. With [`AfterSavepoint::Stop`] and [`AfterSavepoint::Drain`] the job ends with it.
    ///
    /// # Errors
    /// When the job does not run, or has no place for savepoints, or the savepoint fails.
    pub fn savepoint(
        &self,
        format: SavepointFormat,
        after: AfterSavepoint,
        folder: Option<&str>,
    ) -> Result<CompletedSnapshot, JobError> {
        let (reply, answer) = channel();
        let target = Target::Folder(folder.map(str::to_owned));
        self.checkpoints()?.savepoint(format, after, target, move |result| {
            let _ = reply.send(result);
        });
        answer.recv().unwrap_or_else(|_| Err(self.0.nobody_answers()))
    }

    /// Takes a checkpoint now, and waits until it is complete.
    ///
    /// # Errors
    /// When the job does not run, or has no place for checkpoints, or the checkpoint fails.
    pub fn checkpoint(&self) -> Result<CompletedSnapshot, JobError> {
        self.checkpoint_of(ManualCheckpoint::Configured)
    }

    /// As [`checkpoint`](Self::checkpoint), with a choice of what it stores.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub fn checkpoint_of(&self, checkpoint: ManualCheckpoint) -> Result<CompletedSnapshot, JobError> {
        let (reply, answer) = channel();
        self.checkpoints()?.checkpoint(checkpoint, move |result| {
            let _ = reply.send(result);
        });
        answer.recv().unwrap_or_else(|_| Err(self.0.nobody_answers()))
    }

    fn checkpoints(&self) -> Result<Arc<CheckpointService>, JobError> {
        self.0.checkpoints_or_refuse()
    }

    /// Has the vertices that `parallelism` names run with other numbers of subtasks: stops the job with a native savepoint and
    /// starts it again from that. The others keep theirs. When it cannot be started that way, it is started as it was.
    ///
    /// The savepoint becomes the newest of the job's checkpoints. Without a folder for these it goes to
    /// `execution.checkpointing.savepoint-dir`, where it stays, or else to the folder for temporary files, until the job ends or is
    /// rescaled again.
    ///
    /// # Errors
    /// [`JobError::InvalidGraph`] when a vertex does not exist or cannot have that parallelism; when the job does not run, or is
    /// being rescaled; when the savepoint fails, after which the job runs on; when the job cannot be started with these numbers.
    pub fn rescale(&self, parallelism: &BTreeMap<JobVertexId, u32>) -> Result<Rescaled, JobError> {
        self.0.rescale(parallelism)
    }

    /// What is known of the job's checkpoints; `None` when it takes none.
    pub fn checkpoint_statistics(&self) -> Option<Statistics> {
        self.0.checkpoints().and_then(|checkpoints| checkpoints.statistics())
    }
}

impl Drop for JobHandle {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
