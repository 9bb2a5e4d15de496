//! Reading the metrics of a job, by Flink's names and scopes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tidemill_core::id::{JobVertexId, OperatorId};
use tidemill_network::LocalBufferPool;
use tidemill_network::gate::GateProbe;

use crate::metrics::{Counter, Gauge, OperatorMetrics, TaskTimes, TimeTotals};

/// The life of a task, by Flink's names.
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
/// use tidemill_runtime::metrics::TaskState;
///
/// let job = EmbeddedCluster::new(TaskManagerResources::default()).run(plan)?;
/// assert!(job.metrics().tasks.iter().all(|task| task.state() == TaskState::Finished));
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TaskState {
    /// It has no thread yet.
    Created = 0,
    /// Its operators are being opened.
    Initializing = 1,
    /// It processes.
    Running = 2,
    /// It has come to its end.
    Finished = 3,
    /// It was cancelled.
    Canceled = 4,
    /// It failed.
    Failed = 5,
}

impl TaskState {
    const ALL: [TaskState; 6] = [
        TaskState::Created,
        TaskState::Initializing,
        TaskState::Running,
        TaskState::Finished,
        TaskState::Canceled,
        TaskState::Failed,
    ];
}

/// What one task (a subtask of a vertex) counts.
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
/// let task = &job.metrics().tasks[0];
/// let (_, name, source) = &task.operators[0];
/// assert_eq!((&**name, source.records_out.get()), ("Source: numbers", 2));
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
pub struct TaskMetrics {
    /// The vertex.
    pub vertex: JobVertexId,
    /// The name of the vertex.
    pub name: Arc<str>,
    /// Which subtask.
    pub subtask: u32,
    /// Where the time goes.
    pub times: TaskTimes,
    /// Records that came in over the network (`numRecordsIn`).
    pub records_in: Counter,
    /// Records that went out over the network (`numRecordsOut`).
    pub records_out: Counter,
    /// Logical bytes that came in (`numBytesIn`).
    pub bytes_in: Counter,
    /// Logical bytes that went out (`numBytesOut`).
    pub bytes_out: Counter,
    /// Buffers that came in (`numBuffersInLocal`).
    pub buffers_in: Counter,
    /// Buffers that went out (`numBuffersOut`).
    pub buffers_out: Counter,
    /// The watermark of the whole input (`currentInputWatermark`).
    pub input_watermark: Gauge,
    /// The operators of the chain, with their ids and names.
    pub operators: Vec<(OperatorId, Arc<str>, Arc<OperatorMetrics>)>,
    state: AtomicU8,
    probes: Mutex<Probes>,
    /// The longest that the window of the `…PerSecond` rates looks back: 12 readings of five seconds, as in Flink.
    readings: Mutex<VecDeque<Reading>>,
}

/// What a task had counted at some moment.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    times: TimeTotals,
    records_in: u64,
    records_out: u64,
    bytes_in: u64,
    bytes_out: u64,
    buffers_out: u64,
}

#[derive(Default)]
struct Probes {
    gates: Vec<GateProbe>,
    pools: Vec<Arc<LocalBufferPool>>,
}

/// A reading of one task.
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
/// let view = job.metrics().tasks[0].view();
/// assert_eq!((view.input_queue_length, view.out_pool_usage), (0, 0.0));
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TaskView {
    /// The state of the task.
    pub state: TaskState,
    /// Its times.
    pub times: TimeTotals,
    /// Buffers in use ÷ buffers there are, at the input.
    pub in_pool_usage: f64,
    /// Buffers in use ÷ buffers there are, at the output; above 1 with an overdraft.
    pub out_pool_usage: f64,
    /// Buffers that wait at the input.
    pub input_queue_length: usize,
    /// Their logical bytes.
    pub input_queue_size: usize,
    /// Buffers of the output that are in use.
    pub output_queue_length: usize,
}

/// What a metric is about.
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
/// use tidemill_runtime::metrics::MetricScope;
///
/// let job = EmbeddedCluster::new(TaskManagerResources::default()).run(plan)?;
/// let metrics = job.metrics().collect();
/// assert!(metrics.iter().any(|metric| matches!(metric.scope, MetricScope::Operator { .. })));
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricScope {
    /// A task: vertex and subtask.
    Task {
        /// The vertex.
        vertex: JobVertexId,
        /// Its name.
        name: Arc<str>,
        /// Which subtask.
        subtask: u32,
    },
    /// An operator subtask.
    Operator {
        /// The vertex it is chained in.
        vertex: JobVertexId,
        /// The operator.
        operator: OperatorId,
        /// Its name.
        name: Arc<str>,
        /// Which subtask.
        subtask: u32,
    },
}

/// One named value.
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
/// let metrics = job.metrics().collect();
/// assert!(metrics.iter().any(|metric| metric.name == "numRecordsOut" && metric.value == 2.0));
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Metric {
    /// What it is about.
    pub scope: MetricScope,
    /// Flink's name.
    pub name: String,
    /// Variables besides those of the scope, by name, that tell it from others of its name.
    pub variables: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

impl TaskMetrics {
    /// The metrics of a task that has not started.
    ///
    /// ```
    /// use tidemill_core::JobVertexId;
    /// use tidemill_runtime::metrics::{TaskMetrics, TaskState};
    ///
    /// let task = TaskMetrics::new(JobVertexId::from_name("count"), "count".into(), 0, Vec::new());
    /// assert_eq!((task.state(), task.records_in.get()), (TaskState::Created, 0));
    /// ```
    pub fn new(
        vertex: JobVertexId,
        name: Arc<str>,
        subtask: u32,
        operators: Vec<(OperatorId, Arc<str>, Arc<OperatorMetrics>)>,
    ) -> Self {
        Self {
            vertex,
            name,
            subtask,
            times: TaskTimes::default(),
            records_in: Counter::default(),
            records_out: Counter::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            buffers_in: Counter::default(),
            buffers_out: Counter::default(),
            input_watermark: Gauge::new(i64::MIN),
            operators,
            state: AtomicU8::new(0),
            probes: Mutex::default(),
            readings: Mutex::default(),
        }
    }

    pub(crate) fn watch(&self, gates: Vec<GateProbe>, pools: Vec<Arc<LocalBufferPool>>) {
        *self.probes.lock() = Probes { gates, pools };
    }

    /// Lets go of the task's pools, so that their buffers go back to the others.
    pub(crate) fn unwatch(&self) {
        *self.probes.lock() = Probes::default();
    }

    pub(crate) fn set_state(&self, state: TaskState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// The state of the task.
    ///
    /// ```
    /// use tidemill_core::JobVertexId;
    /// use tidemill_runtime::metrics::{TaskMetrics, TaskState};
    ///
    /// let task = TaskMetrics::new(JobVertexId::from_name("count"), "count".into(), 0, Vec::new());
    /// assert_eq!(task.state(), TaskState::Created);
    /// ```
    pub fn state(&self) -> TaskState {
        TaskState::ALL[usize::from(self.state.load(Ordering::Relaxed)).min(5)]
    }

    fn read(&self) -> Reading {
        Reading {
            times: self.times.totals(),
            records_in: self.records_in.get(),
            records_out: self.records_out.get(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            buffers_out: self.buffers_out.get(),
        }
    }

    /// Takes a reading for the rates; to be called every five seconds.
    ///
    /// ```
    /// use tidemill_core::JobVertexId;
    /// use tidemill_runtime::metrics::TaskMetrics;
    ///
    /// let task = TaskMetrics::new(JobVertexId::from_name("count"), "count".into(), 0, Vec::new());
    /// task.sample();
    /// assert!(task.recent_times().elapsed <= task.times.totals().elapsed);
    /// ```
    pub fn sample(&self) {
        self.sample_stores();
        let mut readings = self.readings.lock();
        if readings.len() > 12 {
            readings.pop_front();
        }
        readings.push_back(self.read());
    }

    /// Takes a reading of what the stores of its operators count.
    pub(crate) fn sample_stores(&self) {
        self.operators.iter().for_each(|(_, _, metrics)| metrics.sample_store());
    }

    /// What the task has counted in the last minute: since the oldest reading that is kept, or since the start.
    fn recent(&self) -> Reading {
        let now = self.read();
        let oldest = self.readings.lock().front().copied().unwrap_or_default();
        Reading {
            times: now.times.since(&oldest.times),
            records_in: now.records_in - oldest.records_in,
            records_out: now.records_out - oldest.records_out,
            bytes_in: now.bytes_in - oldest.bytes_in,
            bytes_out: now.bytes_out - oldest.bytes_out,
            buffers_out: now.buffers_out - oldest.buffers_out,
        }
    }

    /// The times of the last minute: since the oldest reading that is kept, or since the start.
    ///
    /// ```
    /// use tidemill_core::JobVertexId;
    /// use tidemill_runtime::metrics::TaskMetrics;
    ///
    /// let task = TaskMetrics::new(JobVertexId::from_name("count"), "count".into(), 0, Vec::new());
    /// let recent = task.recent_times();
    /// assert_eq!(recent.busy(), recent.elapsed, "it has never waited");
    /// ```
    pub fn recent_times(&self) -> TimeTotals {
        self.recent().times
    }

    /// A reading of this moment.
    ///
    /// ```
    /// use tidemill_core::JobVertexId;
    /// use tidemill_runtime::metrics::TaskMetrics;
    ///
    /// let task = TaskMetrics::new(JobVertexId::from_name("count"), "count".into(), 0, Vec::new());
    /// assert_eq!(task.view().input_queue_length, 0);
    /// ```
    pub fn view(&self) -> TaskView {
        let probes = self.probes.lock();
        let gates: Vec<_> = probes.gates.iter().map(GateProbe::usage).collect();
        let mean = |sum: f64, count: usize| if count == 0 { 0.0 } else { sum / count as f64 };
        let out_used: usize = probes.pools.iter().map(|pool| pool.used()).sum();
        let out_size: usize = probes.pools.iter().map(|pool| pool.size()).sum();
        TaskView {
            state: self.state(),
            times: self.times.totals(),
            in_pool_usage: mean(gates.iter().map(|gate| gate.pool_usage).sum(), gates.len()),
            out_pool_usage: mean(out_used as f64, out_size),
            input_queue_length: gates.iter().map(|gate| gate.queued_buffers).sum(),
            input_queue_size: gates.iter().map(|gate| gate.queued_bytes).sum(),
            output_queue_length: out_used,
        }
    }
}

/// The metrics of a running or ended job.
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
/// for metric in job.metrics().collect() {
///     println!("{:?} {} {}", metric.scope, metric.name, metric.value);
/// }
/// # Ok::<(), tidemill_runtime::JobError>(())
/// ```
pub struct JobMetrics {
    /// One entry a task, in the order of vertices and subtasks.
    pub tasks: Vec<Arc<TaskMetrics>>,
}

impl JobMetrics {
    /// Takes a reading of all tasks; see [`TaskMetrics::sample`].
    pub fn sample(&self) {
        for task in &self.tasks {
            task.sample();
        }
    }

    /// Every metric of the job at this moment.
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
    /// let metrics = job.metrics().collect();
    /// assert!(metrics.iter().any(|metric| metric.name == "numRecordsOut" && metric.value == 2.0));
    /// # Ok::<(), tidemill_runtime::JobError>(())
    /// ```
    pub fn collect(&self) -> Vec<Metric> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        self.tasks.iter().flat_map(|task| collect_task(task, now)).collect()
    }
}

fn collect_task(task: &TaskMetrics, now: i64) -> Vec<Metric> {
    let view = task.view();
    let minute = task.recent();
    let recent = minute.times;
    let scope =
        MetricScope::Task { vertex: task.vertex, name: Arc::clone(&task.name), subtask: task.subtask };
    let mut metrics = Vec::new();
    let mut add = |name: &str, value: f64| {
        metrics.push(Metric { scope: scope.clone(), name: name.to_owned(), variables: Vec::new(), value });
    };
    let rate = |part: u64| recent.ms_per_second(part) as f64;
    add("idleTimeMsPerSecond", rate(recent.idle()));
    add("softBackPressuredTimeMsPerSecond", rate(recent.soft_back_pressured()));
    add("hardBackPressuredTimeMsPerSecond", rate(recent.hard_back_pressured()));
    add("backPressuredTimeMsPerSecond", rate(recent.back_pressured()));
    add("busyTimeMsPerSecond", rate(recent.busy()));
    let ms = |nanos: u64| (nanos / 1_000_000) as f64;
    add("accumulateIdleTimeMs", ms(view.times.idle()));
    add("accumulateBackPressuredTimeMs", ms(view.times.back_pressured()));
    add("accumulateBusyTimeMs", ms(view.times.busy()));
    let waits_for_output =
        matches!(task.times.current().0, super::Waiting::Output | super::Waiting::OutputWithin);
    add("isBackPressured", f64::from(u8::from(waits_for_output)));
    let per_second = |count: u64| count as f64 * 1e9 / recent.elapsed.max(1) as f64;
    add("numRecordsInPerSecond", per_second(minute.records_in));
    add("numRecordsOutPerSecond", per_second(minute.records_out));
    add("numBytesInPerSecond", per_second(minute.bytes_in));
    add("numBytesOutPerSecond", per_second(minute.bytes_out));
    add("numBuffersOutPerSecond", per_second(minute.buffers_out));
    add("numRecordsIn", task.records_in.get() as f64);
    add("numRecordsOut", task.records_out.get() as f64);
    add("numBytesIn", task.bytes_in.get() as f64);
    add("numBytesInLocal", task.bytes_in.get() as f64);
    add("numBytesOut", task.bytes_out.get() as f64);
    add("numBuffersInLocal", task.buffers_in.get() as f64);
    add("numBuffersOut", task.buffers_out.get() as f64);
    add("currentInputWatermark", task.input_watermark.get() as f64);
    add("Shuffle.Netty.Input.Buffers.inPoolUsage", view.in_pool_usage);
    add("Shuffle.Netty.Input.Buffers.inputQueueLength", view.input_queue_length as f64);
    add("Shuffle.Netty.Input.Buffers.inputQueueSize", view.input_queue_size as f64);
    add("Shuffle.Netty.Output.Buffers.outPoolUsage", view.out_pool_usage);
    add("Shuffle.Netty.Output.Buffers.outputQueueLength", view.output_queue_length as f64);
    for (operator, name, counts) in &task.operators {
        let scope = MetricScope::Operator {
            vertex: task.vertex,
            operator: *operator,
            name: Arc::clone(name),
            subtask: task.subtask,
        };
        let mut add = |name: &str, value: f64| {
            metrics.push(Metric {
                scope: scope.clone(),
                name: name.to_owned(),
                variables: Vec::new(),
                value,
            });
        };
        add("numRecordsIn", counts.records_in.get() as f64);
        add("numRecordsOut", counts.records_out.get() as f64);
        add("numLateRecordsDropped", counts.late_records_dropped.get() as f64);
        add("numFiredTimers", counts.fired_timers.get() as f64);
        add("currentInputWatermark", counts.input_watermark.get() as f64);
        let output = counts.output_watermark.get();
        add("currentOutputWatermark", output as f64);
        if output > i64::MIN && output < i64::MAX {
            add("watermarkLag", (now - output) as f64);
        }
        for (name, value) in counts.own_values() {
            add(&name, value as f64);
        }
        for gauge in counts.store_gauges() {
            let variables = gauge.column_family.map(|state| ("column_family", state)).into_iter().collect();
            let (scope, value) = (scope.clone(), gauge.value as f64);
            metrics.push(Metric { scope, name: gauge.name, variables, value });
        }
    }
    metrics
}
