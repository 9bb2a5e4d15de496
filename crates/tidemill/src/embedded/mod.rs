//! Jobs in this process: what a job's `main` begins with, and what happens when it executes.

mod arguments;
mod checkpoints;
mod logging;
mod progress;
mod signals;
mod state_backend;
mod summary;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::config::{Configuration, options};
use tidemill_core::memory::TaskManagerMemory;
use tidemill_core::{Classified, ScratchFolder};
use tidemill_datastream::{Executor, JobResult, StreamExecutionEnvironment};
use tidemill_runtime::JobError;
use tidemill_runtime::cluster::{EmbeddedCluster, JobHandle, TaskManagerResources};
use tidemill_runtime::graph::{ExecutionPlan, explain_json, explain_text};

use crate::cli::style::{error_tag, warning_tag};
use crate::config::{LoadedConfiguration, load, load_args};
use crate::memory::prepare;
use crate::{Error, cli, rest};

pub(crate) use arguments::JobArgs;
pub use arguments::job_help;
use arguments::{Explain, NoArguments, RecoveryArgs};

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
    let executor = EmbeddedExecutor { explain, summary, recovery };
    Ok(StreamExecutionEnvironment::new(loaded.configuration, executor))
}

/// Runs jobs in this process, sized by the configuration, with a live line and with signals that cancel.
/// What runs the jobs of a script with the arguments that every job takes.
pub(crate) fn sql_executor(job: &JobArgs) -> Result<(Configuration, impl Executor + use<>), Error> {
    let loaded = load_args(&job.config)?;
    cli::show_remarks(&loaded, &mut anstream::stderr())?;
    logging::start(&loaded.configuration)?;
    let executor =
        EmbeddedExecutor { explain: job.explain, summary: job.summary, recovery: job.recovery.clone() };
    Ok((loaded.configuration, executor))
}

struct EmbeddedExecutor {
    explain: Option<Explain>,
    summary: bool,
    recovery: RecoveryArgs,
}

/// How often the live line is drawn.
const REFRESH: Duration = Duration::from_millis(200);
/// How often the rates of a job are read, as in Flink.
const SAMPLE: Duration = Duration::from_secs(5);

impl Executor for EmbeddedExecutor {
    fn execute(&self, plan: ExecutionPlan, configuration: &Configuration) -> Result<JobResult, JobError> {
        if let Some(format) = self.explain {
            show_plan(&plan, format);
        }
        let mut configuration = configuration.clone();
        let prepared =
            prepare(&mut configuration).map_err(|error| JobError::Environment(error.to_string()))?;
        let chosen = prepared.embedded.as_ref().map(ToString::to_string);
        let warning = prepared.warning.map(|warning| format!("{} {warning}", warning_tag()));
        for line in [chosen, warning].into_iter().flatten() {
            // A closed stderr must not stop a job.
            let _ = writeln!(anstream::stderr(), "{line}");
        }
        let needed = plan.slots_by_group().values().sum();
        let resources = resources(&configuration, &prepared.memory, needed)?;
        tracing::info!(job = plan.job.name, slots = needed, "starting");
        let (backends, folders) = state_backend::factory(&configuration)?;
        let io = checkpoints::Io::start()?;
        let environment = checkpoints::environment(&configuration, &plan, &io)?;
        let temporary = Temporary(folders.into_iter().chain([environment.temporary.clone()]).collect());
        let origin = checkpoints::restore(&self.recovery, &configuration, &plan, &environment)?;
        let listener = rest::Listener::bind(&configuration)?;
        let checkpointing = &plan.settings.checkpointing;
        let description =
            rest::Description::of(&configuration, checkpointing, &environment.storage, resources.slots)?;
        let cluster = EmbeddedCluster::new(resources)
            .with_state_backends(backends)
            .with_checkpoints(environment.clone());
        let mut live = progress::LiveLine::new(configuration.get(&options::PROGRESS)?);
        let signals = signals::listen();
        let job = match origin.submit(&cluster, plan, &|| signals.has_come()) {
            Ok(job) => Arc::new(job),
            Err(error) => {
                log_failure(&error, &configuration);
                // The program may end here.
                drop((cluster, temporary));
                end_if_cancelled(&error, signals.stop());
                return Err(error);
            }
        };
        signals.cancel(job.canceller());
        let server = match listener {
            Some(listener) => Some(rest::RestServer::start(listener, &job, description)?),
            None => None,
        };
        let ended = watch(&job, server.as_ref(), &mut live);
        live.finish(&job, ended.is_ok());
        if let Some(server) = server {
            server.job_ended(|| signals.has_come());
        }
        let signal = signals.stop();
        if self.summary {
            let _ = summary::write(&job, &mut anstream::stderr());
        }
        tracing::info!(job = job.graph().name, status = ?job.status(), "ended");
        if let Err(error) = ended {
            log_failure(&error, &configuration);
            // The program may end here.
            drop((job, cluster, temporary));
            end_if_cancelled(&error, signal);
            return Err(error);
        }
        Ok(JobResult::of(&job))
    }
}

/// The folders of a job on this machine, which are deleted when it has ended, whoever holds them still.
struct Temporary(Vec<ScratchFolder>);

impl Drop for Temporary {
    fn drop(&mut self) {
        self.0.iter().for_each(ScratchFolder::delete);
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

fn watch(
    job: &JobHandle,
    server: Option<&rest::RestServer>,
    live: &mut progress::LiveLine,
) -> Result<(), JobError> {
    let mut next_sample = Instant::now() + SAMPLE;
    while !job.wait_for(REFRESH)? {
        if Instant::now() >= next_sample {
            next_sample += SAMPLE;
            job.metrics().sample();
        }
        if let Some(server) = server {
            server.observe();
        }
        live.update(job);
    }
    Ok(())
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
