//! A job that runs in this process, with all that it stands on.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidemill_core::ScratchFolder;
use tidemill_core::config::Configuration;
use tidemill_core::memory::TaskManagerMemory;
use tidemill_runtime::JobError;
use tidemill_runtime::cluster::{EmbeddedCluster, JobHandle};
use tidemill_runtime::graph::ExecutionPlan;

use super::arguments::RecoveryArgs;
use super::{checkpoints, log_failure, resources, state_backend};
use crate::cli::style::warning_tag;
use crate::memory::prepare;
use crate::rest;

/// How often the rates of a job are read, as in Flink.
const SAMPLE: Duration = Duration::from_secs(5);

/// A job for which everything is ready.
pub(super) struct Launch {
    plan: ExecutionPlan,
    memory: TaskManagerMemory,
    origin: checkpoints::Origin,
    listener: Option<rest::Listener>,
    description: rest::Description,
    configuration: Configuration,
    // Dropped in this order, behind the job.
    cluster: EmbeddedCluster,
    temporary: Temporary,
    io: checkpoints::Io,
}

impl Launch {
    /// Sizes this process, and takes what a job needs of it.
    pub(super) fn prepare(
        plan: ExecutionPlan,
        configuration: &Configuration,
        recovery: &RecoveryArgs,
    ) -> Result<Self, JobError> {
        let mut configuration = configuration.clone();
        let prepared =
            prepare(&mut configuration).map_err(|error| JobError::Environment(error.to_string()))?;
        // The same for all jobs of a process, so it is said once.
        static IS_SAID: AtomicBool = AtomicBool::new(false);
        let chosen = prepared.embedded.as_ref().map(ToString::to_string);
        let chosen = chosen.filter(|_| !IS_SAID.swap(true, Ordering::Relaxed));
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
        let origin = checkpoints::restore(recovery, &configuration, &plan, &environment)?;
        let listener = rest::Listener::bind(&configuration)?;
        let checkpointing = &plan.settings.checkpointing;
        let description =
            rest::Description::of(&configuration, checkpointing, &environment.storage, resources.slots)?;
        let cluster = EmbeddedCluster::new(resources)
            .with_state_backends(backends)
            .with_checkpoints(environment.clone());
        let memory = prepared.memory;
        Ok(Self { plan, memory, origin, listener, description, configuration, cluster, temporary, io })
    }

    /// The memory that it will have.
    pub(super) fn memory(&self) -> &TaskManagerMemory {
        &self.memory
    }

    /// Starts the job, unless `is_cancelled` says otherwise meanwhile.
    pub(super) fn submit(self, is_cancelled: &dyn Fn() -> bool) -> Result<EmbeddedJob, JobError> {
        let job = match self.origin.submit(&self.cluster, self.plan, is_cancelled) {
            Ok(job) => Arc::new(job),
            Err(error) => {
                log_failure(&error, &self.configuration);
                return Err(error);
            }
        };
        let server = match self.listener {
            Some(listener) => Some(rest::RestServer::start(listener, &job, self.description)?),
            None => None,
        };
        let (cluster, temporary, io) = (self.cluster, self.temporary, self.io);
        let configuration = self.configuration;
        Ok(EmbeddedJob { server, job, configuration, _cluster: cluster, _temporary: temporary, _io: io })
    }
}

/// A job that was started. What it stands on is dropped behind it.
pub(super) struct EmbeddedJob {
    server: Option<rest::RestServer>,
    pub(super) job: Arc<JobHandle>,
    configuration: Configuration,
    _cluster: EmbeddedCluster,
    _temporary: Temporary,
    _io: checkpoints::Io,
}

impl EmbeddedJob {
    /// Where its REST interface is.
    pub(super) fn address(&self) -> Option<&str> {
        self.server.as_ref().map(rest::RestServer::address)
    }

    /// Waits for the end, and calls `tick` every so often.
    pub(super) fn watch(&self, every: Duration, mut tick: impl FnMut(&JobHandle)) -> Result<(), JobError> {
        let mut next_sample = Instant::now() + SAMPLE;
        while !self.job.wait_for(every)? {
            if Instant::now() >= next_sample {
                next_sample += SAMPLE;
                self.job.metrics().sample();
            }
            if let Some(server) = &self.server {
                server.observe();
            }
            tick(&self.job);
        }
        Ok(())
    }

    /// Takes note of the end: those who have asked for something hear of it, unless that `is_urgent`.
    pub(super) fn ended(&mut self, result: &Result<(), JobError>, is_urgent: impl Fn() -> bool) {
        if let Some(server) = self.server.take() {
            server.job_ended(is_urgent);
        }
        tracing::info!(job = self.job.graph().name, status = ?self.job.status(), "ended");
        if let Err(error) = result {
            log_failure(error, &self.configuration);
        }
    }
}

/// The folders of a job on this machine, which are deleted when it has ended, whoever holds them still.
struct Temporary(Vec<ScratchFolder>);

impl Drop for Temporary {
    fn drop(&mut self) {
        self.0.iter().for_each(ScratchFolder::delete);
    }
}
