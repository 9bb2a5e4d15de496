//! Reads the figures of a job while it runs: of all of it, or of a part in its steady state, behind which the job is ended.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tidemill_checkpoint::coordinator::AbortReason;
use tidemill_checkpoint::statistics::{CheckpointStatistics, CheckpointStatus};
use tidemill_core::memory::TaskManagerMemory;
use tidemill_runtime::cluster::JobHandle;
use tidemill_runtime::metrics::OperatorMetrics;

use super::figures::{Figures, median};
use crate::embedded::JobObserver;

/// What is measured of a job that does not end by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct SteadyState {
    /// What is not measured first.
    pub(super) warm_up: Duration,
    /// The state that there is to be before measuring begins.
    pub(super) state_bytes: u64,
    /// How long it is waited for that state.
    pub(super) patience: Duration,
    /// How long is measured at least …
    pub(super) at_least: Duration,
    /// … and with so many complete checkpoints.
    pub(super) checkpoints: u64,
}

/// The figures of one job.
pub(super) struct Measurement {
    steady: Option<SteadyState>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// When the job began.
    began: Option<Instant>,
    /// What there was when the measured part began.
    from: Option<Reading>,
    managed: u64,
    result: Option<Figures>,
}

/// What can be read at a moment.
#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    /// Milliseconds since 1970, by which checkpoints are dated.
    epoch_millis: i64,
    cpu: Option<f64>,
    source_progress: u64,
    source_records: u64,
}

impl Measurement {
    pub(super) fn new(steady: Option<SteadyState>) -> Self {
        Self { steady, state: RefCell::default() }
    }

    /// The figures, when all that was to be measured was.
    pub(super) fn result(&self) -> Option<Figures> {
        self.state.borrow_mut().result.take()
    }
}

impl JobObserver for Measurement {
    fn begins(&self, memory: &TaskManagerMemory) {
        let mut state = self.state.borrow_mut();
        let now = Reading::now(0, 0);
        state.began = Some(now.at);
        state.managed = memory.managed.bytes();
        if self.steady.is_none() {
            state.from = Some(now);
        }
    }

    fn watch(&self, job: &JobHandle) {
        let (Some(steady), mut state) = (self.steady, self.state.borrow_mut()) else { return };
        if state.result.is_some() {
            return;
        }
        let from = state.from;
        match from {
            None => {
                let passed = state.began.map_or(Duration::ZERO, |began| began.elapsed());
                let latest = latest_state(job);
                let has_state = latest.is_some_and(|bytes| bytes >= steady.state_bytes);
                if passed >= steady.warm_up && (has_state || passed >= steady.warm_up + steady.patience) {
                    state.from = Some(Reading::of(job));
                }
            }
            Some(from) => {
                if from.at.elapsed() < steady.at_least {
                    return;
                }
                let figures = from.figures_until(Reading::of(job), job, state.managed);
                if figures.checkpoints >= steady.checkpoints {
                    state.result = Some(figures);
                    job.cancel();
                }
            }
        }
    }

    fn ended(&self, job: &JobHandle) {
        let mut state = self.state.borrow_mut();
        if let (None, Some(from)) = (self.steady, state.from) {
            state.result = Some(from.figures_until(Reading::of(job), job, state.managed));
        }
    }
}

fn latest_state(job: &JobHandle) -> Option<u64> {
    job.checkpoint_statistics()?.latest_completed().map(CheckpointStatistics::state_size)
}

impl Reading {
    fn now(source_progress: u64, source_records: u64) -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            at: Instant::now(),
            epoch_millis: i64::try_from(epoch.as_millis()).unwrap_or(i64::MAX),
            cpu: cpu_seconds(),
            source_progress,
            source_records,
        }
    }

    fn of(job: &JobHandle) -> Self {
        let progress =
            |metrics: &OperatorMetrics| metrics.own_value("sourceProgress").unwrap_or(0).max(0) as u64;
        Self::now(of_sources(job, progress), of_sources(job, |metrics| metrics.records_out.get()))
    }

    /// What was done between `self` and `end`.
    fn figures_until(self, end: Self, job: &JobHandle, managed_memory_bytes: u64) -> Figures {
        let statistics = job.checkpoint_statistics();
        let of_part = |checkpoint: &&CheckpointStatistics| checkpoint.trigger_timestamp >= self.epoch_millis;
        let checkpoints: Vec<&CheckpointStatistics> =
            statistics.iter().flat_map(|statistics| statistics.history()).filter(of_part).collect();
        let complete: Vec<&CheckpointStatistics> =
            checkpoints.iter().copied().filter(|it| it.status == CheckpointStatus::Completed).collect();
        let failed = checkpoints.iter().filter(|it| it.status == CheckpointStatus::Failed);
        // One that was under way when the others said that all is done was not needed any more.
        let ended = AbortReason::ShutDown.to_string();
        let failures = failed.map(|it| it.failure_message.clone().unwrap_or_default());
        let failures = failures.filter(|message| !message.starts_with(&ended)).collect();
        let durations = complete.iter().filter_map(|it| it.end_to_end_duration()).collect();
        let sizes: Vec<u64> = complete.iter().map(|it| it.state_size()).collect();
        // The newest is the first.
        let range = sizes.last().copied().zip(sizes.first().copied());
        Figures {
            source_progress: end.source_progress.saturating_sub(self.source_progress),
            source_records: end.source_records.saturating_sub(self.source_records),
            seconds: (end.at - self.at).as_secs_f64(),
            cpu_seconds: end.cpu.zip(self.cpu).map(|(end, start)| end - start),
            peak_memory_bytes: peak_memory_bytes(),
            managed_memory_bytes,
            checkpoints: complete.len() as u64,
            checkpoint_failures: failures,
            checkpoint_millis: median(durations).map(|millis| millis as f64),
            checkpointed_bytes: median(complete.iter().map(|it| it.checkpointed_size()).collect()),
            state_bytes: sizes.iter().copied().max(),
            state_bytes_range: range,
            sources: Vec::new(),
        }
    }
}

/// A figure of the source that got furthest: when a query reads a table twice, it is read by two sources at once.
fn of_sources(job: &JobHandle, figure: impl Fn(&OperatorMetrics) -> u64) -> u64 {
    let metrics = job.metrics();
    let graph = job.graph();
    let of_vertex = |vertex: &tidemill_core::graph::JobVertex| -> u64 {
        let tasks = metrics.tasks.iter().filter(|task| task.vertex == vertex.id);
        let sources = tasks.filter_map(|task| task.operators.first());
        sources
            .filter(|(_, _, metrics)| metrics.own_value("sourceProgress").is_some())
            .map(|(_, _, metrics)| figure(metrics))
            .sum()
    };
    graph.vertices.iter().map(of_vertex).max().unwrap_or(0)
}

/// What the threads of this process have computed so far.
fn cpu_seconds() -> Option<f64> {
    parse_cpu_seconds(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Linux counts in hundredths of a second, whatever its clock ticks by.
const TICKS_PER_SECOND: f64 = 100.0;

fn parse_cpu_seconds(stat: &str) -> Option<f64> {
    // The name of the program, in parentheses, may have blanks in it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND)
}

fn peak_memory_bytes() -> Option<u64> {
    parse_peak_memory_bytes(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_peak_memory_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says_of_a_process_is_read() {
        let stat = "4711 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(parse_cpu_seconds(stat), Some(3.0));
        assert_eq!(parse_cpu_seconds("nonsense"), None);
        assert_eq!(
            parse_peak_memory_bytes("VmPeak:\t 9 kB\nVmHWM:\t    1024 kB\nVmRSS: 1 kB"),
            Some(1 << 20)
        );
        assert_eq!(parse_peak_memory_bytes("VmRSS: 1 kB"), None);
    }
}
