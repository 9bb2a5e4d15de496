//! Flink's REST interface of a job that runs in this process: what `tidemill list`, `savepoint`, `stop`, `cancel`, `checkpoint` and
//! `rescale` of another process talk to, and Flink's own command line.
//!
//! It has threads of its own: no task waits for it, and it waits for none. docs/rest.md lists the paths.

mod address;
mod answer;
mod checkpoints;
mod cluster;
mod control;
mod guard;
mod job;
mod operations;
mod rescales;
mod routes;
mod server;
mod summary;
mod throwable;
mod timeline;

use std::sync::Arc;
use std::time::Duration;

use tidemill_checkpoint::{CheckpointSettings, CheckpointStorage};
use tidemill_core::config::{ConfigError, Configuration, options};
use tidemill_runtime::JobError;
use tidemill_runtime::cluster::JobHandle;

use crate::running_jobs::{self, Registered};
use operations::Operations;
use rescales::Rescales;
use timeline::Timeline;

/// How long results of requests can be asked for after the end of the job, unless they were asked for before.
const LINGER: Duration = Duration::from_secs(5);

/// A port that the interface will have.
pub(crate) struct Listener {
    socket: std::net::TcpListener,
    /// What clients are told to connect to.
    address: String,
    /// The names, beside addresses, by which it may be asked for.
    hosts: Vec<String>,
}

impl Listener {
    /// Takes a port, as the configuration says; `None` if there is to be no interface.
    ///
    /// # Errors
    /// When a configured port or address cannot be had, or an option has a bad value.
    pub(crate) fn bind(configuration: &Configuration) -> Result<Option<Self>, JobError> {
        if !configuration.get(&options::REST_ENABLED)? {
            return Ok(None);
        }
        let host = configuration.get(&options::REST_BIND_ADDRESS)?.trim().to_owned();
        let ports = configuration.get(&options::REST_BIND_PORT)?;
        let ranges = options::port_range_list(&ports).unwrap_or_default();
        let is_configured = [options::REST_BIND_PORT.key(), options::REST_PORT.key()]
            .iter()
            .any(|key| configuration.get_raw(key).is_some())
            || configuration.contains(&options::REST_BIND_PORT);
        let socket = match address::bind(&host, &ranges) {
            Ok(socket) => socket,
            Err(failure) => {
                let message = failure.message(&host, &ports);
                if is_configured || !failure.is_about_ports() {
                    return Err(JobError::Environment(message));
                }
                tracing::warn!("the job runs without its REST interface: {message}");
                return Ok(None);
            }
        };
        let at = socket
            .local_addr()
            .map_err(|error| JobError::Environment(format!("the REST interface has no address: {error}")))?;
        let advertised =
            configuration.get_optional(&options::REST_ADDRESS)?.map(|name| name.trim().to_owned());
        if !at.ip().is_loopback() {
            tracing::warn!(
                "the REST interface listens on {at}: whoever reaches that can stop the job ('{}')",
                options::REST_BIND_ADDRESS.key()
            );
        }
        let address = match &advertised {
            Some(name) if name.contains(':') && !name.starts_with('[') => format!("[{name}]:{}", at.port()),
            Some(name) => format!("{name}:{}", at.port()),
            None => address::reachable(at).to_string(),
        };
        Ok(Some(Self { socket, address, hosts: advertised.into_iter().chain([host]).collect() }))
    }
}

/// What the interface tells of its job beside what the job itself knows.
pub(crate) struct Description {
    /// How checkpoints are taken.
    pub(crate) checkpointing: CheckpointSettings,
    /// Flink's name of the state backend.
    pub(crate) state_backend: &'static str,
    /// Flink's name of the storage of checkpoints.
    pub(crate) checkpoint_storage: &'static str,
    /// How many slots there are; `None` for as many as the job needs.
    pub(crate) slots: Option<u32>,
    /// When the job was submitted, in milliseconds since 1970.
    pub(crate) submitted: i64,
    /// Where savepoints are that are to be disposed of.
    pub(crate) storage: CheckpointStorage,
}

impl Description {
    /// What the configuration says of a job.
    pub(crate) fn of(
        configuration: &Configuration,
        checkpointing: &CheckpointSettings,
        storage: &CheckpointStorage,
        slots: Option<u32>,
    ) -> Result<Self, ConfigError> {
        let state_backend = match configuration.get(&options::STATE_BACKEND)? {
            options::StateBackendType::HashMap => "HashMapStateBackend",
            options::StateBackendType::RocksDb => "EmbeddedRocksDBStateBackend",
        };
        let checkpoint_storage = match storage.settings().checkpoint_dir {
            Some(_) => "FileSystemCheckpointStorage",
            None => "JobManagerCheckpointStorage",
        };
        let submitted = timeline::now();
        let (checkpointing, storage) = (checkpointing.clone(), storage.clone());
        Ok(Self { checkpointing, state_backend, checkpoint_storage, slots, submitted, storage })
    }
}

/// What all requests share.
struct Shared {
    job: Arc<JobHandle>,
    description: Description,
    hosts: Vec<String>,
    timeline: Timeline,
    operations: Operations,
    rescales: Rescales,
}

/// The interface of a running job. Dropping it ends it.
pub(crate) struct RestServer {
    address: String,
    shared: Arc<Shared>,
    server: server::Server,
    /// Makes the job known to the commands of this machine while it runs.
    registered: Option<Registered>,
}

impl RestServer {
    /// Answers requests about a job, and makes it known to the commands of this machine.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub(crate) fn start(
        listener: Listener,
        job: &Arc<JobHandle>,
        description: Description,
    ) -> Result<Self, JobError> {
        let shared = Arc::new(Shared {
            timeline: Timeline::new(description.submitted),
            job: Arc::clone(job),
            description,
            hosts: listener.hosts,
            operations: Operations::default(),
            rescales: Rescales::default(),
        });
        shared.timeline.observe(job);
        let server = server::Server::start(listener.socket, routes::router(Arc::clone(&shared)))
            .map_err(|source| JobError::Thread { task: "the REST interface".to_owned(), source })?;
        let address: &str = &listener.address;
        tracing::info!(job = job.graph().name, id = %job.id(), "REST interface at http://{address}");
        let registered = running_jobs::register(&job.id().to_string(), &job.graph().name, address);
        let registered = registered
            .inspect_err(|error| {
                tracing::warn!("{error}; the commands of this machine find the job only with '-m {address}'");
            })
            .ok();
        Ok(Self { address: listener.address, shared, server, registered })
    }

    /// Where it is reached, as `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Takes note of where the job is in its life; to be called often.
    pub(crate) fn observe(&self) {
        self.shared.timeline.observe(&self.shared.job);
    }

    /// The job has ended: it is not known to the commands of this machine any more, and results of requests can be asked for a
    /// moment longer, if anybody has not heard his yet and `is_urgent` does not say that there is no time.
    pub(crate) fn job_ended(mut self, is_urgent: impl Fn() -> bool) {
        self.observe();
        self.registered = None;
        self.shared.operations.wait_until_told(LINGER, &is_urgent);
        self.server.stop();
    }
}
