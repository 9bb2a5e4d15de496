//! Why a job could not be built, or did not come to its end.

use tidemill_core::config::ConfigError;
use tidemill_core::{Classified, Fault};
use tidemill_network::NetworkError;
use tidemill_state::StateError;

use crate::generic_types::GenericUse;
use crate::operator::OperatorError;

/// A job that cannot be built or has not finished.
///
/// ```
/// use tidemill_core::Classified;
/// use tidemill_runtime::graph::{ExecutionPlan, JobSettings, StreamGraph};
///
/// let error = ExecutionPlan::new(StreamGraph::default(), &JobSettings::default()).err().unwrap();
/// assert_eq!(error.code(), "TM-JOB-INVALID-GRAPH");
/// ```
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The graph cannot be made into a job.
    #[error("{0}")]
    InvalidGraph(String),
    /// The process cannot run the job: its memory cannot be divided, for example.
    #[error("{0}")]
    Environment(String),
    /// An option has a bad value.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// The job needs more slots than the TaskManager has.
    #[error(
        "the job needs {needed} task slots but there are only {available}: {missing} missing. {detail}. Raise \
         'taskmanager.numberOfTaskSlots', lower the parallelism, or leave the option out to get as many as the job needs",
        missing = needed - available
    )]
    NotEnoughSlots {
        /// Slots that the job needs.
        needed: u32,
        /// Slots that there are.
        available: u32,
        /// How many slots each slot sharing group needs.
        detail: String,
    },
    /// The channels of the job do not fit into the network memory.
    #[error("job '{job}' cannot be deployed: {source}")]
    Network {
        /// The job.
        job: String,
        /// What is missing.
        source: NetworkError,
    },
    /// The job uses the generic fallback of serialization, which it forbids.
    #[error(
        "job '{job}' does not start: 'pipeline.generic-types' is false, and these are of types that only the slow generic \
         fallback can write:{}\nDerive `Record` for them, or give them serializers of their own",
        uses.iter().map(|found| format!("\n  {found}")).collect::<String>()
    )]
    GenericTypes {
        /// The job.
        job: String,
        /// All places.
        uses: Vec<GenericUse>,
    },
    /// The state backend that the configuration chooses cannot be set up.
    #[error("job '{job}' cannot keep its state: {source}")]
    StateBackend {
        /// The job.
        job: String,
        /// What the backend says.
        source: StateError,
    },
    /// An operator failed; the rest of the job was cancelled.
    #[error("{0}")]
    Operator(Box<OperatorFailure>),
    /// The job was cancelled.
    #[error("job '{0}' was cancelled")]
    Cancelled(String),
    /// The system refused to start a thread.
    #[error(
        "a thread for {task} could not be started: {source}. The job has one thread per subtask; lower its parallelism"
    )]
    Thread {
        /// The task.
        task: String,
        /// Why.
        source: std::io::Error,
    },
    /// Too many checkpoints have failed.
    #[error("job '{job}' has failed: {reason}")]
    Checkpoints {
        /// The job.
        job: String,
        /// What the coordinator of checkpoints says.
        reason: String,
    },
    /// What a job was to go on from could not be read, or does not fit the job.
    #[error("job '{job}' cannot be restored: {reason}")]
    Restore {
        /// The job.
        job: String,
        /// What does not fit.
        reason: String,
        /// A stable code.
        code: &'static str,
        /// Whose fault it is.
        fault: Fault,
        /// Whether it is damaged or not there, so that an older one may do.
        damaged: bool,
    },
    /// A checkpoint or savepoint that somebody asked for was not taken; the job goes on.
    #[error("of job '{job}' no checkpoint or savepoint was taken: {reason}")]
    Snapshot {
        /// The job.
        job: String,
        /// Why.
        reason: String,
    },
    /// The numbers of subtasks of a job were not changed.
    #[error("job '{job}' was not rescaled: {reason}")]
    Rescale {
        /// The job.
        job: String,
        /// Why.
        reason: String,
    },
    /// The job has failed, and its restart strategy does not start it again.
    #[error("{failure}\n{reason}")]
    GaveUp {
        /// The last failure.
        failure: Box<JobError>,
        /// What the strategy says.
        reason: String,
    },
    /// A failure that was told in full before.
    #[error("{text}")]
    Again {
        /// What it said.
        text: String,
        /// Its code.
        code: &'static str,
        /// Whose fault it was.
        fault: Fault,
    },
    /// Subtasks did not react to their cancellation in time; their threads are left behind.
    #[error(
        "these subtasks did not stop within {seconds} s of the cancellation ('task.cancellation.timeout'): {tasks}. {because}"
    )]
    Stuck {
        /// How long was waited.
        seconds: u64,
        /// The subtasks.
        tasks: String,
        /// Why the job was being cancelled.
        because: String,
    },
}

/// Where and why an operator failed.
///
/// ```
/// use tidemill_runtime::{OperatorError, OperatorFailure};
///
/// let failure = OperatorFailure {
///     job: "flights".to_owned(),
///     operator: "parse".to_owned(),
///     subtask: 0,
///     parallelism: 4,
///     location: None,
///     panicked: false,
///     error: OperatorError::user("no such airport"),
/// };
/// assert_eq!(failure.to_string(), "operator 'parse' (subtask 1 of 4) failed: no such airport");
/// ```
#[derive(Debug)]
pub struct OperatorFailure {
    /// The job.
    pub job: String,
    /// The name of the operator.
    pub operator: String,
    /// Which of its subtasks, from 0.
    pub subtask: u32,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// Where in the program the operator was added to the job, or where it panicked.
    pub location: Option<String>,
    /// Whether it panicked.
    pub panicked: bool,
    /// What happened.
    pub error: OperatorError,
}

impl std::fmt::Display for OperatorFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = if self.panicked { "panicked" } else { "failed" };
        write!(
            f,
            "operator '{}' (subtask {} of {}) {verb}: {}",
            self.operator,
            self.subtask + 1,
            self.parallelism,
            self.error
        )?;
        for cause in self.error.causes() {
            write!(f, "\n  caused by: {cause}")?;
        }
        if let Some(location) = &self.location {
            let what = if self.panicked { "panicked at" } else { "added to the job at" };
            write!(f, "\n  {what} {location}")?;
        }
        Ok(())
    }
}

impl JobError {
    /// Whether another attempt may do better.
    pub(crate) fn is_failure_of_attempt(&self) -> bool {
        matches!(self, JobError::Operator(_) | JobError::Checkpoints { .. })
    }

    /// Whether what the job was to go on from is damaged or not there.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, JobError::Restore { damaged: true, .. })
    }

    /// The same failure, as text.
    pub(crate) fn again(&self) -> Self {
        match self {
            JobError::Cancelled(job) => JobError::Cancelled(job.clone()),
            other => JobError::Again { text: other.to_string(), code: other.code(), fault: other.fault() },
        }
    }
}

impl Classified for JobError {
    fn code(&self) -> &'static str {
        match self {
            JobError::InvalidGraph(_) => "TM-JOB-INVALID-GRAPH",
            JobError::Environment(_) => "TM-JOB-ENVIRONMENT",
            JobError::Configuration(error) => error.code(),
            JobError::NotEnoughSlots { .. } => "TM-JOB-NOT-ENOUGH-SLOTS",
            JobError::Network { source, .. } => source.code(),
            JobError::GenericTypes { .. } => "TM-SERIALIZATION-GENERIC-FORBIDDEN",
            JobError::StateBackend { source, .. } => source.code(),
            JobError::Operator(failure) => failure.error.code(),
            JobError::Cancelled(_) => "TM-JOB-CANCELLED",
            JobError::Thread { .. } => "TM-JOB-THREAD",
            JobError::Stuck { .. } => "TM-JOB-STUCK",
            JobError::Checkpoints { .. } => "TM-JOB-CHECKPOINTS",
            JobError::Snapshot { .. } => "TM-JOB-SNAPSHOT",
            JobError::Rescale { .. } => "TM-JOB-RESCALE",
            JobError::Restore { code, .. } | JobError::Again { code, .. } => code,
            JobError::GaveUp { failure, .. } => failure.code(),
        }
    }

    fn fault(&self) -> Fault {
        match self {
            JobError::StateBackend { source, .. } => source.fault(),
            JobError::Operator(failure) => failure.error.fault(),
            JobError::Thread { .. } | JobError::Checkpoints { .. } | JobError::Snapshot { .. } => {
                Fault::External
            }
            JobError::Restore { fault, .. } | JobError::Again { fault, .. } => *fault,
            JobError::GaveUp { failure, .. } => failure.fault(),
            _ => Fault::User,
        }
    }

    fn retryable(&self) -> bool {
        matches!(self, JobError::Operator(failure) if failure.error.retryable())
    }
}
