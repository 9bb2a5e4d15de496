//! Where a job begins: sources are added to an environment, which executes what was built.

use std::cell::RefCell;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use tidemill_core::config::{ConfigError, ConfigOption, Configuration, OptionType, options};
use tidemill_runtime::JobError;
use tidemill_runtime::cluster::{EmbeddedCluster, JobHandle, TaskManagerResources};
use tidemill_runtime::graph::{ExecutionPlan, JobSettings, NodeKind, StreamGraph, StreamNode};
use tidemill_runtime::metrics::JobMetrics;
use tidemill_runtime::source::{Source, SourceSpec};
use tidemill_serialization::{ArrowRecord, Data};

use crate::stream::DataStream;
use crate::watermark::{ArrowStages, TypedStages, WatermarkStrategy};

/// Runs a job to its end.
///
/// ```
/// use tidemill_core::config::Configuration;
/// use tidemill_datastream::{Executor, JobResult};
/// use tidemill_runtime::JobError;
/// use tidemill_runtime::cluster::{EmbeddedCluster, TaskManagerResources};
/// use tidemill_runtime::graph::{ExecutionPlan, explain_text};
///
/// /// Prints the plan of a job before it is run.
/// struct Explaining;
///
/// impl Executor for Explaining {
///     fn execute(&self, plan: ExecutionPlan, _: &Configuration) -> Result<JobResult, JobError> {
///         println!("{}", explain_text(&plan));
///         let job = EmbeddedCluster::new(TaskManagerResources::default()).run(plan)?;
///         Ok(JobResult::of(&job))
///     }
/// }
/// ```
pub trait Executor {
    /// Deploys the plan, waits for its end, and tells how it went. `configuration` is what the job was built with.
    ///
    /// # Errors
    /// When the job cannot be deployed, fails, or is cancelled.
    fn execute(&self, plan: ExecutionPlan, configuration: &Configuration) -> Result<JobResult, JobError>;
}

/// Runs jobs in this process with given resources and without any output: for tests and for programs that watch the job
/// themselves.
///
/// ```
/// use tidemill_core::config::Configuration;
/// use tidemill_datastream::{LocalExecutor, StreamExecutionEnvironment};
///
/// let env = StreamExecutionEnvironment::new(Configuration::new(), LocalExecutor::default());
/// assert!(env.execute("nothing").is_err(), "a job needs a source");
/// ```
#[derive(Clone, Debug, Default)]
pub struct LocalExecutor {
    resources: TaskManagerResources,
}

impl LocalExecutor {
    /// An executor with these resources.
    ///
    /// ```
    /// use tidemill_core::config::Configuration;
    /// use tidemill_datastream::{LocalExecutor, StreamExecutionEnvironment};
    /// use tidemill_runtime::cluster::TaskManagerResources;
    ///
    /// let four_slots = TaskManagerResources { slots: Some(4), ..TaskManagerResources::default() };
    /// let env = StreamExecutionEnvironment::new(Configuration::new(), LocalExecutor::new(four_slots));
    /// # let _ = env;
    /// ```
    pub fn new(resources: TaskManagerResources) -> Self {
        Self { resources }
    }
}

impl Executor for LocalExecutor {
    fn execute(&self, plan: ExecutionPlan, _configuration: &Configuration) -> Result<JobResult, JobError> {
        let job = EmbeddedCluster::new(self.resources.clone()).run(plan)?;
        Ok(JobResult::of(&job))
    }
}

/// A job that has come to its end.
///
/// ```
/// use tidemill_datastream::JobResult;
///
/// fn records_read(result: &JobResult) -> u64 {
///     let sources = result.metrics().tasks.iter().filter(|task| task.name.starts_with("Source: "));
///     sources.map(|task| task.operators[0].2.records_out.get()).sum()
/// }
/// ```
pub struct JobResult {
    metrics: Arc<JobMetrics>,
}

impl JobResult {
    /// The result of a job that has finished.
    ///
    /// ```
    /// use tidemill_datastream::JobResult;
    /// use tidemill_runtime::JobError;
    /// use tidemill_runtime::cluster::EmbeddedCluster;
    /// use tidemill_runtime::graph::ExecutionPlan;
    ///
    /// fn execute(cluster: &EmbeddedCluster, plan: ExecutionPlan) -> Result<JobResult, JobError> {
    ///     Ok(JobResult::of(&cluster.run(plan)?))
    /// }
    /// ```
    pub fn of(job: &JobHandle) -> Self {
        Self { metrics: job.metrics() }
    }

    /// What the job has counted.
    ///
    /// ```
    /// use tidemill_datastream::JobResult;
    ///
    /// /// Late records that windows have dropped.
    /// fn dropped(result: &JobResult) -> u64 {
    ///     let operators = result.metrics().tasks.iter().flat_map(|task| &task.operators);
    ///     operators.map(|(_, _, metrics)| metrics.late_records_dropped.get()).sum()
    /// }
    /// ```
    pub fn metrics(&self) -> &JobMetrics {
        &self.metrics
    }
}

pub(crate) struct Building {
    pub(crate) graph: StreamGraph,
    pub(crate) configuration: Configuration,
    /// Why the graph cannot be made into a job, when it is known while it is built.
    pub(crate) invalid: Option<String>,
}

/// The place where a job is put together.
///
/// ```
/// use tidemill_datastream::StreamExecutionEnvironment;
///
/// let env = StreamExecutionEnvironment::default();
/// env.set_parallelism(2)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct StreamExecutionEnvironment {
    pub(crate) building: Rc<RefCell<Building>>,
    executor: Rc<dyn Executor>,
}

impl Default for StreamExecutionEnvironment {
    /// Flink's defaults, run by a [`LocalExecutor`].
    fn default() -> Self {
        Self::new(Configuration::new(), LocalExecutor::default())
    }
}

impl StreamExecutionEnvironment {
    /// An environment with a configuration and something that runs its jobs.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, options};
    /// use tidemill_datastream::{LocalExecutor, StreamExecutionEnvironment};
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set(&options::PARALLELISM, &4);
    /// let env = StreamExecutionEnvironment::new(configuration, LocalExecutor::default());
    /// assert_eq!(env.configuration().get(&options::PARALLELISM)?, 4);
    /// # Ok::<(), tidemill_core::config::ConfigError>(())
    /// ```
    pub fn new(configuration: Configuration, executor: impl Executor + 'static) -> Self {
        let building = Building { graph: StreamGraph::default(), configuration, invalid: None };
        Self { building: Rc::new(RefCell::new(building)), executor: Rc::new(executor) }
    }

    /// Sets an option for this job, over what the cluster's configuration says.
    ///
    /// ```
    /// use tidemill_core::config::options;
    /// use tidemill_datastream::StreamExecutionEnvironment;
    ///
    /// let env = StreamExecutionEnvironment::default();
    /// env.set(&options::CHAINING, &false)?;
    /// assert!(!env.configuration().get(&options::CHAINING)?);
    /// # Ok::<(), tidemill_core::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// When a job may not set the option.
    pub fn set<T: OptionType>(&self, option: &ConfigOption<T>, value: &T) -> Result<(), ConfigError> {
        self.building.borrow_mut().configuration.set_by_job(option, value)
    }

    /// Sets the parallelism of all operators that have none of their own (`parallelism.default`).
    ///
    /// ```
    /// use tidemill_datastream::StreamExecutionEnvironment;
    ///
    /// let env = StreamExecutionEnvironment::default();
    /// assert!(env.set_parallelism(4).is_ok());
    /// ```
    ///
    /// # Errors
    /// When the parallelism is 0.
    pub fn set_parallelism(&self, parallelism: u32) -> Result<(), ConfigError> {
        self.set(&options::PARALLELISM, &parallelism)
    }

    /// Keeps the job from starting where records or state are of types that only the slow generic fallback can write
    /// (`pipeline.generic-types`); the error lists all places.
    ///
    /// ```
    /// use tidemill_core::config::options;
    /// use tidemill_datastream::StreamExecutionEnvironment;
    ///
    /// let env = StreamExecutionEnvironment::default();
    /// env.disable_generic_types()?;
    /// assert!(!env.configuration().get(&options::GENERIC_TYPES)?);
    /// # Ok::<(), tidemill_core::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// None: a job may set the option.
    pub fn disable_generic_types(&self) -> Result<(), ConfigError> {
        self.set(&options::GENERIC_TYPES, &false)
    }

    /// The configuration of the job so far.
    ///
    /// ```
    /// use tidemill_core::config::options;
    /// use tidemill_datastream::StreamExecutionEnvironment;
    ///
    /// let env = StreamExecutionEnvironment::default();
    /// env.set_parallelism(4)?;
    /// assert_eq!(env.configuration().get(&options::PARALLELISM)?, 4);
    /// # Ok::<(), tidemill_core::config::ConfigError>(())
    /// ```
    pub fn configuration(&self) -> Configuration {
        self.building.borrow().configuration.clone()
    }

    /// A stream of what a typed source reads.
    ///
    /// ```
    /// use tidemill_datastream::{DataStream, StreamExecutionEnvironment, WatermarkStrategy};
    /// use tidemill_runtime::source::Source;
    ///
    /// fn numbers(env: &StreamExecutionEnvironment, source: impl Source + 'static) -> DataStream<u64> {
    ///     env.from_source(source, WatermarkStrategy::no_watermarks(), "numbers")
    /// }
    /// ```
    #[track_caller]
    pub fn from_source<T: Data>(
        &self,
        source: impl Source + 'static,
        watermarks: WatermarkStrategy<T>,
        name: &str,
    ) -> DataStream<T> {
        let settings = watermarks.settings().clone();
        self.add_source(
            SourceSpec {
                source: Arc::new(source),
                stage: Arc::new(TypedStages(watermarks)),
                watermarks: settings,
            },
            name,
            Location::caller(),
        )
    }

    /// A stream of records from the columns that a connector reads.
    ///
    /// ```
    /// use tidemill_datastream::{DataStream, StreamExecutionEnvironment, WatermarkStrategy};
    /// use tidemill_runtime::source::Source;
    /// use tidemill_serialization::{Record, TimestampMs};
    ///
    /// #[derive(Record, Clone)]
    /// #[record(arrow)]
    /// struct Flight {
    ///     time_hour: TimestampMs,
    ///     dep_delay: Option<f64>,
    /// }
    ///
    /// fn flights(env: &StreamExecutionEnvironment, file: impl Source + 'static) -> DataStream<Flight> {
    ///     let in_order = WatermarkStrategy::for_monotonous_timestamps()
    ///         .with_timestamp_assigner(|flight: &Flight, _| flight.time_hour.0);
    ///     env.from_columns(file, in_order, "flights")
    /// }
    /// ```
    #[track_caller]
    pub fn from_columns<T: Data + ArrowRecord>(
        &self,
        source: impl Source + 'static,
        watermarks: WatermarkStrategy<T>,
        name: &str,
    ) -> DataStream<T> {
        let settings = watermarks.settings().clone();
        self.add_source(
            SourceSpec {
                source: Arc::new(source),
                stage: Arc::new(ArrowStages(watermarks)),
                watermarks: settings,
            },
            name,
            Location::caller(),
        )
    }

    /// Whether streams of `other` may be used with streams of this environment. Those of different ones may not: both jobs are
    /// invalid from then on, which is told when one of them is planned.
    pub(crate) fn is_same(
        &self,
        other: &StreamExecutionEnvironment,
        what: &str,
        location: &'static Location<'static>,
    ) -> bool {
        let same = Rc::ptr_eq(&self.building, &other.building);
        if !same {
            let invalid = format!(
                "{what} (at {location}) reads streams of two environments, but a job is built in one: get all its sources from the same \
                 StreamExecutionEnvironment"
            );
            for env in [self, other] {
                env.building.borrow_mut().invalid.get_or_insert_with(|| invalid.clone());
            }
        }
        same
    }

    fn add_source<T: Data>(
        &self,
        spec: SourceSpec,
        name: &str,
        location: &'static Location<'static>,
    ) -> DataStream<T> {
        let node = StreamNode::new(name, NodeKind::Source(Arc::new(spec)), location);
        let id = self.building.borrow_mut().graph.add_node(node);
        DataStream::of_node(self.clone(), id)
    }

    /// The plan of what has been built: chains, vertices, exchanges.
    ///
    /// ```
    /// use tidemill_datastream::StreamExecutionEnvironment;
    /// use tidemill_runtime::JobError;
    /// use tidemill_runtime::graph::explain_text;
    ///
    /// fn explain(env: &StreamExecutionEnvironment) -> Result<String, JobError> {
    ///     Ok(explain_text(&env.plan("flights")?))
    /// }
    /// ```
    ///
    /// # Errors
    /// When the graph cannot be made into a job, or an option has a bad value.
    pub fn plan(&self, job_name: &str) -> Result<ExecutionPlan, JobError> {
        let building = self.building.borrow();
        if let Some(invalid) = &building.invalid {
            return Err(JobError::InvalidGraph(invalid.clone()));
        }
        let settings = JobSettings::from_configuration(&building.configuration)?;
        let mut graph = building.graph.clone();
        graph.name = if job_name.is_empty() {
            settings.name.clone().unwrap_or_else(|| "Tidemill Streaming Job".to_owned())
        } else {
            job_name.to_owned()
        };
        ExecutionPlan::new(graph, &settings)
    }

    /// Runs what has been built, and waits for its end. Without a name the job has that of `pipeline.name`.
    ///
    /// ```
    /// use tidemill_datastream::StreamExecutionEnvironment;
    /// use tidemill_runtime::JobError;
    ///
    /// fn run(env: &StreamExecutionEnvironment) -> Result<(), JobError> {
    ///     let result = env.execute("flights")?;
    ///     println!("{} tasks have ended", result.metrics().tasks.len());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// When the job cannot be built or deployed, an operator fails, or the job is cancelled.
    pub fn execute(&self, job_name: &str) -> Result<JobResult, JobError> {
        let plan = self.plan(job_name)?;
        let configuration = self.configuration();
        self.executor.execute(plan, &configuration)
    }
}
