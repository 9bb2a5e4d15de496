//! What can go wrong before a job runs.

use std::fmt;
use std::path::PathBuf;

use tidemill_core::config::ConfigError;
use tidemill_core::memory::MemoryError;
use tidemill_core::{Classified, Fault};

/// A problem with the command line, the configuration or the machine.
///
/// ```
/// use tidemill::config::split;
///
/// let error = split(["-D".into()]).unwrap_err();
/// assert!(matches!(error, tidemill::Error::Argument(_)));
/// ```
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that cannot be written to.
    #[error("cannot open {} for writing ({option}): {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The option that names it.
        option: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that is too large to be a configuration.
    #[error("{} is larger than {limit} bytes; is it a configuration?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
    },
    /// A folder in which no configuration is.
    #[error("{named_by} is {}, in which there is neither config.yaml nor flink-conf.yaml", folder.display())]
    NoFileInFolder {
        /// What named the folder: an option or a variable of the environment.
        named_by: &'static str,
        /// The folder.
        folder: PathBuf,
    },
    /// A file that is no YAML, or not of the shape that a configuration has.
    #[error("{path}:{line}:{column}: {message}")]
    Syntax {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// An argument that cannot be used.
    #[error("{0}")]
    Argument(String),
    /// A script that is wrong.
    #[error(transparent)]
    Sql(#[from] tidemill_sql::SqlError),
    /// A job of a script that failed.
    #[error(transparent)]
    Job(#[from] tidemill_runtime::JobError),
    /// A result that cannot be read.
    #[error("{0}")]
    Result(tidemill_runtime::OperatorError),
    /// Keys or values that are wrong: all of them.
    #[error("{}", lines(.0))]
    Configuration(Vec<ConfigError>),
    /// Memory that cannot be divided.
    #[error("TaskManager memory configuration failed: {0}")]
    Memory(#[from] MemoryError),
    /// The machine does not say how much memory it has.
    #[error(
        "cannot find out how much memory this machine has ({reason}); set taskmanager.memory.process.size, in \
         config.yaml or with -D taskmanager.memory.process.size=4g"
    )]
    MachineMemory {
        /// Why not.
        reason: String,
    },
    /// A program that cannot be started.
    #[error("cannot start {}: {source}; give the path of the job's program, as in ./target/release/my-job", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A program that has ended well, but is no job.
    #[error(
        "{} has ended without showing a plan: is it a job, whose main begins with tidemill::environment() and executes something?",
        program.display()
    )]
    NoPlan {
        /// The program.
        program: PathBuf,
    },
    /// Nobody answers where a job should.
    #[error(
        "nobody answers at {address} ({reason}): does the job run, and is this its REST interface? 'tidemill list' shows what runs"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// Why not.
        reason: String,
    },
    /// What answers is no REST interface of a job.
    #[error("what answers at {address} is not the REST interface of a job: {reason}")]
    NoInterface {
        /// Where.
        address: String,
        /// What it does instead.
        reason: String,
    },
    /// A job does not take a request.
    #[error("cannot {what}: {message} ({address} answers {status})")]
    Refused {
        /// What was asked for.
        what: String,
        /// Of whom.
        address: String,
        /// The status of the answer.
        status: u16,
        /// The reason.
        message: String,
    },
    /// A job has not done what it was asked for.
    #[error("cannot {what}: {message}")]
    JobRequest {
        /// What was asked for.
        what: String,
        /// The reason.
        message: String,
    },
    /// It takes longer than the command waits.
    #[error(
        "cannot {what} within {seconds} s: it goes on; 'tidemill list' shows the job, and --timeout has a command wait longer"
    )]
    StillWaiting {
        /// What was asked for.
        what: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The folder in which running jobs are known cannot be used.
    #[error("{0}")]
    RunningJobs(String),
    /// There is no such job.
    #[error("no job is called '{text}'; {}", if jobs.is_empty() { "no jobs run".to_owned() } else { format!("these run:{jobs}") })]
    NoJob {
        /// What it was asked for by.
        text: String,
        /// What there is, a line each.
        jobs: String,
    },
    /// Several jobs are meant.
    #[error("'{text}' may be any of these jobs; give the id of one, or enough of its beginning:{jobs}")]
    AmbiguousJob {
        /// What they were asked for by.
        text: String,
        /// The jobs, a line each.
        jobs: String,
    },
    /// A checkpoint or savepoint that cannot be read.
    #[error("cannot read {path}: {reason}")]
    Checkpoint {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        reason: String,
        /// A stable code.
        code: &'static str,
        /// Whose fault it is.
        fault: Fault,
    },
    /// No SQL Gateway of Apache Flink answers.
    #[error("no SQL Gateway of Apache Flink answers at {address}: {reason}")]
    NoGateway {
        /// Where.
        address: String,
        /// What happens instead.
        reason: String,
    },
    /// A gateway of another Flink than scripts are written for.
    #[error(
        "the SQL Gateway at {address} is of Apache Flink {version}, and scripts are in the SQL of Flink 2: submit to a cluster of Flink 2"
    )]
    FlinkVersion {
        /// Where.
        address: String,
        /// Its version.
        version: String,
    },
    /// A statement that Apache Flink refuses, or a job that fails there.
    #[error("{0}")]
    Flink(String),
    /// Output that cannot be written.
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Error::Configuration(vec![error])
    }
}

impl Classified for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Read { .. } => "TM-CONFIG-READ",
            Error::Open { .. } => "TM-FILE-OPEN",
            Error::TooLarge { .. } => "TM-CONFIG-TOO-LARGE",
            Error::NoFileInFolder { .. } => "TM-CONFIG-NO-FILE",
            Error::Syntax { .. } => "TM-CONFIG-SYNTAX",
            Error::Argument(_) => "TM-ARGUMENT",
            Error::Sql(error) => error.code(),
            Error::Job(error) => error.code(),
            Error::Result(error) => error.code(),
            Error::Configuration(errors) => errors.first().map_or("TM-CONFIG", Classified::code),
            Error::Memory(error) => error.code(),
            Error::MachineMemory { .. } => "TM-MEMORY-MACHINE",
            Error::Start { .. } => "TM-START",
            Error::NoPlan { .. } => "TM-NO-PLAN",
            Error::Unreachable { .. } => "TM-JOB-UNREACHABLE",
            Error::NoInterface { .. } => "TM-JOB-NO-INTERFACE",
            Error::Refused { .. } => "TM-JOB-REFUSED",
            Error::JobRequest { .. } => "TM-JOB-REQUEST",
            Error::StillWaiting { .. } => "TM-JOB-STILL-WAITING",
            Error::RunningJobs(_) => "TM-RUNNING-JOBS",
            Error::NoJob { .. } => "TM-NO-JOB",
            Error::AmbiguousJob { .. } => "TM-AMBIGUOUS-JOB",
            Error::Checkpoint { code, .. } => code,
            Error::NoGateway { .. } => "TM-FLINK-NO-GATEWAY",
            Error::FlinkVersion { .. } => "TM-FLINK-VERSION",
            Error::Flink(_) => "TM-FLINK-FAILED",
            Error::Write(_) => "TM-WRITE",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Error::Write(_)
            | Error::MachineMemory { .. }
            | Error::Unreachable { .. }
            | Error::NoInterface { .. }
            | Error::JobRequest { .. }
            | Error::StillWaiting { .. }
            | Error::RunningJobs(_)
            | Error::NoGateway { .. } => Fault::External,
            Error::Checkpoint { fault, .. } => *fault,
            Error::Sql(error) => error.fault(),
            Error::Job(error) => error.fault(),
            Error::Result(error) => error.fault(),
            _ => Fault::User,
        }
    }
}

fn lines(errors: &[ConfigError]) -> impl fmt::Display {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
