//! Jobs in this process: what a job's `main` begins with, and what happens when it executes.

mod arguments;
mod background;
mod checkpoints;
mod job;
mod logging;
mod progress;
pub(crate) mod signals;
mod state_backend;
mod summary;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::rc::Rc;
use std::time::Duration;

use tidemill_core::Classified;
use tidemill_core::config::{Configuration, options};
use tidemill_core::memory::TaskManagerMemory;
use tidemill_datastream::{Executor, JobResult, StreamExecutionEnvironment};
use tidemill_runtime::JobError;
use tidemill_runtime::cluster::{JobHandle, TaskManagerResources};
use tidemill_runtime::graph::{ExecutionPlan, explain_json, explain_text};

use crate::cli::style::error_tag;
use crate::config::{ConfigArgs, LoadedConfiguration, load, load_args};
use crate::{Error, cli};

pub(crate) use arguments::JobArgs;
pub use arguments::job_help;
use arguments::{Explain, NoArguments, RecoveryArgs};
pub(crate) use background::BackgroundJob;
use job::Launch;
pub(crate) use progress::LiveLine;
pub(crate) use signals::heard as heard_signals;

/// An environment for a job, configured by the command line of the process: `-c FILE`, `-D key=value`, and
/// `--explain` to show the plan instead of running it, `--summary` for a table of what each vertex did, and
/// `--from-savepoint PATH` or `--resume` to go on where an earlier run has left off.
///
/// With `--help`, and when the command line makes no sense, the process says so and ends.
///
/// ```no_run
/// # fn main() -> tidemill::Result<()> {
/// let env = tidemill::environment()?;
/// // Add sources, operators and sinks here.
/// env.execute("My job")?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When a file cannot be read, or an option is wrong.
pub fn environment() -> Result<StreamExecutionEnvironment, Error> {
    environment_with::<NoArguments>().map(|(environment, _)| environment)
}

/// Like [`environment`], for a job that has arguments of its own: those of a [`clap::Parser`]. `--help` shows both.
///
/// ```no_run
/// use clap::Parser;
///
/// /// Counts words.
/// #[derive(Parser)]
/// struct Arguments {
///     /// The file to read
///     #[arg(long)]
///     input: std::path::PathBuf,
/// }
///
/// # fn main() -> tidemill::Result<()> {
/// let (env, arguments) = tidemill::environment_with::<Arguments>()?;
/// # Ok(())
/// # }
/// ```
///
/// ```
/// use tidemill::core::config::options;
///
/// let args = ["-Dparallelism.default=2", "-Dtaskmanager.memory.process.size=2g", "flights.csv"];
/// let (env, rest) = tidemill::environment_from(args.map(Into::into))?;
/// assert_eq!(env.configuration().get(&options::PARALLELISM)?, 2);
/// assert_eq!(rest, ["flights.csv"]);
/// # Ok::<(), tidemill::Error>(())
/// ```
///
/// # Errors
/// As [`environment`], and when the job declares an argument that every job has.
pub fn environment_with<A: clap::Parser>() -> Result<(StreamExecutionEnvironment, A), Error> {
    let (job, own) = arguments::parse::<A>(std::env::args_os())?.unwrap_or_else(|error| error.exit());
    Ok((start(load_args(&job.config)?, job.explain, job.summary, job.recovery)?, own))
}

/// Like [`environment`] with arguments given, without the name of the program, of which those that are the job's own are
/// returned; `--help` is among them, and [`job_help`] a part of the answer.
///
/// # Errors
/// When an argument, a file or an option cannot be used.
pub fn environment_from(
    args: impl IntoIterator<Item = OsString>,
) -> Result<(StreamExecutionEnvironment, Vec<OsString>), Error> {
    let loaded = load(args)?;
    let mut explain = None;
    let mut summary = false;
    let mut recovery = RecoveryArgs::default();
    let mut arguments = loaded.rest.iter();
    let mut rest = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--resume") => recovery.resume = true,
            Some("--allow-non-restored-state") => recovery.allow_non_restored_state = true,
            Some("--from-savepoint") => {
                let path = arguments.next().and_then(|path| path.to_str());
                let path = path
                    .ok_or_else(|| Error::Argument("--from-savepoint must be followed by a path".into()))?;
                recovery.from_savepoint = Some(path.to_owned());
            }
            Some(other) if other.starts_with("--from-savepoint=") => {
                recovery.from_savepoint = other.split_once('=').map(|(_, path)| path.to_owned());
            }
            Some("--explain" | "--explain=text") => explain = Some(Explain::Text),
            Some("--explain=json") => explain = Some(Explain::Json),
            Some(other) if other.starts_with("--explain=") => {
                return Err(Error::Argument(format!("'{other}': a plan is shown as text or json")));
            }
            Some("--summary") => summary = true,
            _ => rest.push(argument.clone()),
        }
    }
    if recovery.resume && recovery.from_savepoint.is_some() {
        return Err(Error::Argument("--resume and --from-savepoint cannot be used together".into()));
    }
    Ok((start(loaded, explain, summary, recovery)?, rest))
}

fn start(
    loaded: LoadedConfiguration,
    explain: Option<Explain>,
    summary: bool,
    recovery: RecoveryArgs,
) -> Result<StreamExecutionEnvironment, Error> {
    // As from a variable of a shell that is not set.
    if recovery.from_savepoint.as_ref().is_some_and(|path| path.trim().is_empty()) {
        return Err(Error::Argument("--from-savepoint must be followed by a path".into()));
    }
    cli::show_remarks(&loaded, &mut anstream::stderr())?;
    logging::start(&loaded.configuration)?;
    let executor = EmbeddedExecutor { explain, summary, recovery, observer: None };
    Ok(StreamExecutionEnvironment::new(loaded.configuration, executor))
}

/// What runs the jobs of a script with the arguments that every job takes.
///
/// # Errors
/// When a file cannot be read, or an option is wrong.
pub(crate) fn sql_executor(job: &JobArgs) -> Result<(Configuration, impl Executor + use<>), Error> {
    let loaded = load_args(&job.config)?;
    cli::show_remarks(&loaded, &mut anstream::stderr())?;
    logging::start(&loaded.configuration)?;
    let executor = EmbeddedExecutor {
        explain: job.explain,
        summary: job.summary,
        recovery: job.recovery.clone(),
        observer: None,
    };
    Ok((loaded.configuration, executor))
}

/// What runs the jobs of a script while somebody looks on.
pub(crate) fn observed_executor(
    config: &ConfigArgs,
    observer: Rc<dyn JobObserver>,
) -> Result<(Configuration, impl Executor + use<>), Error> {
    let loaded = load_args(config)?;
    logging::start(&loaded.configuration)?;
    let recovery = RecoveryArgs::default();
    let executor = EmbeddedExecutor { explain: None, summary: false, recovery, observer: Some(observer) };
    Ok((loaded.configuration, executor))
}

/// Looks on while a job runs.
pub(crate) trait JobObserver {
    /// A job is about to begin, with this memory.
    fn begins(&self, memory: &TaskManagerMemory);

    /// The job runs, and may be read or cancelled. It is called some times a second.
    fn watch(&self, job: &JobHandle);

    /// The job has ended, well or not; its figures can still be read.
    fn ended(&self, job: &JobHandle);
}

/// Runs jobs in this process, sized by the configuration, with a live line and with signals that cancel.
struct EmbeddedExecutor {
    explain: Option<Explain>,
    summary: bool,
    recovery: RecoveryArgs,
    observer: Option<Rc<dyn JobObserver>>,
}

/// How often the live line is drawn.
const REFRESH: Duration = Duration::from_millis(200);
impl Executor for EmbeddedExecutor {
    fn execute(&self, plan: ExecutionPlan, configuration: &Configuration) -> Result<JobResult, JobError> {
        if let Some(format) = self.explain {
            show_plan(&plan, format);
        }
        let launch = Launch::prepare(plan, configuration, &self.recovery)?;
        let mut live = progress::LiveLine::new(configuration.get(&options::PROGRESS)?);
        let signals = signals::listen();
        if let Some(observer) = &self.observer {
            observer.begins(launch.memory());
        }
        let mut running = match launch.submit(&|| signals.has_come()) {
            Ok(running) => running,
            Err(error) => {
                // The program may end here.
                end_if_cancelled(&error, signals.stop());
                return Err(error);
            }
        };
        signals.cancel(running.job.canceller());
        if let Some(address) = running.address() {
            let (name, id) = (&running.job.graph().name, running.job.id());
            live.say(&format!("Job '{name}' runs as {id}, REST interface at http://{address}"));
        }
        let ended = running.watch(REFRESH, |job| {
            if let Some(observer) = &self.observer {
                observer.watch(job);
            }
            live.update(job);
        });
        if let Some(observer) = &self.observer {
            observer.ended(&running.job);
        }
        live.finish(&running.job, ended.is_ok());
        running.ended(&ended, || signals.has_come());
        let signal = signals.stop();
        if self.summary {
            let _ = summary::write(&running.job, &mut anstream::stderr());
        }
        let result = ended.map(|()| JobResult::of(&running.job));
        drop(running);
        // The program may end here.
        if let Err(error) = &result {
            end_if_cancelled(error, signal);
        }
        result
    }
}

/// Ends the program when a signal has cancelled its job.
fn end_if_cancelled(error: &JobError, signal: Option<signals::Signal>) {
    if let (JobError::Cancelled(_), Some(signal)) = (error, signal) {
        let _ = writeln!(anstream::stderr(), "{error} by {}", signal.name());
        // Whoever sent the signal wants the program to end, not to go on behind its job; and to see that this was why.
        std::process::exit(signal.exit_code());
    }
}

/// Tells the log why a job has ended early. Where the log is stderr, the program's own message says the same.
fn log_failure(error: &JobError, configuration: &Configuration) {
    match error {
        _ if !configuration.contains(&options::LOG_FILE) => {}
        // Somebody wanted it.
        JobError::Cancelled(job) => tracing::info!(job, "cancelled"),
        _ => tracing::error!(code = error.code(), fault = %error.fault(), "{error}"),
    }
}

fn show_plan(plan: &ExecutionPlan, format: Explain) -> ! {
    let text = match format {
        Explain::Text => explain_text(plan),
        Explain::Json => format!("{:#}\n", explain_json(plan)),
    };
    // Like `--help`: whoever asked for the plan does not want what the program does after its job.
    let mut out = anstream::stdout();
    let code = match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => 0,
        // Whoever reads has enough, as in `job --explain | head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => 0,
        Err(error) => {
            let _ = writeln!(anstream::stderr(), "{} {}", error_tag(), Error::Write(error));
            1
        }
    };
    std::process::exit(code);
}

fn resources(
    configuration: &Configuration,
    memory: &TaskManagerMemory,
    needed_slots: u32,
) -> Result<TaskManagerResources, JobError> {
    let get = |option| configuration.get(option).map(|buffers: u32| buffers as usize);
    let slots = configuration
        .contains(&options::TASK_SLOTS)
        .then(|| configuration.get(&options::TASK_SLOTS))
        .transpose()?;
    let memory = memory.clone().with_slots(slots.unwrap_or(needed_slots.max(1)));
    Ok(TaskManagerResources {
        slots,
        network_bytes: memory.network.bytes(),
        segment_size: usize::try_from(configuration.get(&options::SEGMENT_SIZE)?.bytes())
            .unwrap_or(usize::MAX),
        managed_bytes: memory.managed.bytes(),
        task_heap_bytes: memory.task_heap.bytes(),
        exclusive_buffers_per_channel: get(&options::BUFFERS_PER_CHANNEL)?,
        floating_buffers_per_gate: get(&options::FLOATING_BUFFERS_PER_GATE)?,
        max_buffers_per_channel: get(&options::MAX_BUFFERS_PER_CHANNEL)?,
        max_overdraft_buffers: get(&options::MAX_OVERDRAFT_BUFFERS_PER_GATE)?,
        required_per_gate_max: configuration
            .get_optional(&options::REQUIRED_BUFFERS_PER_GATE_MAX)?
            .map(|buffers| buffers as usize),
        cancellation_timeout: configuration.get(&options::TASK_CANCELLATION_TIMEOUT)?,
    })
}
