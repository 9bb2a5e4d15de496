//! The throughput of a counting job with a checkpoint every second, beside the same job without.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidemill::datastream::WatermarkStrategy;
use tidemill::prelude::*;
use tidemill::runtime::cluster::JobHandle;

use tidemill_checkpoint::statistics::{CheckpointStatistics, SubtaskStatistics};

use crate::cluster::environment;
use crate::median;
use crate::source::GoalSource;

const PARALLELISM: u32 = 2;
const ROUNDS: usize = 3;

/// Counts for each key.
#[derive(Clone, Default)]
struct Count(Option<ValueState<u64>>);

impl KeyedProcessFunction<u64, u64, u64> for Count {
    fn open(&mut self, states: &mut KeyedStateBackend<u64>) -> Result<(), BoxError> {
        self.0 = Some(states.register_value(ValueStateDescriptor::new("count"))?);
        Ok(())
    }

    fn process(
        &mut self,
        _: u64,
        context: &mut KeyedContext<'_, u64>,
        _: &mut Collector<u64>,
    ) -> Result<(), BoxError> {
        let state = self.0.ok_or("it was not opened")?;
        let count = state.get(context.state())?.unwrap_or(0);
        Ok(state.update(context.state(), count + 1)?)
    }
}

#[derive(Clone, Copy, Default)]
struct Figures {
    seconds: f64,
    checkpoints: u64,
    /// Bytes of the last checkpoint.
    stored: u64,
    /// Milliseconds that a subtask waited for each checkpoint, and then took beside its work; the mean of the slowest subtasks.
    sync: f64,
    after: f64,
}

fn count(rocksdb: bool, keys: u64, records: u64, interval: Option<&str>) -> Figures {
    let seen = Arc::new(Mutex::new(Figures::default()));
    // Nearly every key, several times.
    let warm = 4 * keys;
    let goal = Arc::new(AtomicU64::new(warm));
    let drive = {
        let (seen, goal) = (Arc::clone(&seen), Arc::clone(&goal));
        move |job: &JobHandle| {
            let read = || {
                let metrics = job.metrics();
                let last = metrics.tasks.iter().filter(|task| !task.name.starts_with("Source"));
                last.map(|task| task.records_in.get()).sum::<u64>()
            };
            let wait_for = |records: u64| {
                while read() < records * u64::from(PARALLELISM) {
                    std::thread::sleep(Duration::from_millis(2));
                }
            };
            // New keys cost other things than those that are counted again.
            wait_for(warm);
            let start = Instant::now();
            goal.store(warm + records, Ordering::Relaxed);
            wait_for(warm + records);
            let mut seen = seen.lock().expect("nobody else panics");
            seen.seconds = start.elapsed().as_secs_f64();
            let Some(statistics) = job.checkpoint_statistics() else { return };
            seen.checkpoints = statistics.counts().completed;
            seen.stored = statistics.latest_completed().map_or(0, |newest| newest.checkpointed_size());
            let slowest = |figure: fn(&SubtaskStatistics) -> u64| {
                let of = |checkpoint: &CheckpointStatistics| {
                    let subtasks = checkpoint.tasks.iter().flat_map(|task| task.acknowledged());
                    subtasks.map(|subtask| figure(&subtask.statistics)).max().unwrap_or(0)
                };
                let all: Vec<u64> = statistics.history().map(of).collect();
                all.iter().sum::<u64>() as f64 / all.len().max(1) as f64
            };
            seen.sync = slowest(|subtask| subtask.sync_duration);
            seen.after = slowest(|subtask| subtask.async_duration);
        }
    };
    let options: Vec<(&str, &str)> = interval
        .map(|interval| ("execution.checkpointing.interval", interval))
        .into_iter()
        .chain([("execution.checkpointing.incremental", "true")])
        .collect();
    let (env, _folder) = environment(rocksdb, &options, drive);
    env.set_parallelism(PARALLELISM).expect("a job may set it");
    KEYS.store(keys, Ordering::Relaxed);
    let record = |number: u64| tidemill::core::hash::int(number as i64) % KEYS.load(Ordering::Relaxed);
    // It stays after its last record, so that all that is measured is the same with checkpoints and without.
    let source = GoalSource { goal, record, end: u64::MAX };
    let _ = env
        .from_source(source, WatermarkStrategy::no_watermarks(), "keys")
        .key_by(|key| *key)
        .process(Count::default());
    env.execute("throughput").expect("the job runs");
    *seen.lock().expect("nobody else panics")
}

static KEYS: AtomicU64 = AtomicU64::new(1);

/// Of the states named, or of both.
pub(crate) fn run(named: &[String]) {
    println!(
        "\nCounting with a checkpoint every second against none, parallelism {PARALLELISM}, median of {ROUNDS}"
    );
    println!(
        "| state | keys | M records/s without | with | checkpoints | last stored, MB | ms waiting for one | ms after that | kept |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (rocksdb, keys, records) in [(false, 1_000_000, 40_000_000), (true, 1_000_000, 20_000_000)] {
        let name = if rocksdb { "rocksdb" } else { "hashmap" };
        if !named.is_empty() && !named.iter().any(|named| named == name) {
            continue;
        }
        let (mut without, mut with, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        let mut last = Figures::default();
        for round in 0..=ROUNDS {
            let plain = count(rocksdb, keys, records, None);
            let often = count(rocksdb, keys, records, Some("1 s"));
            // The first round warms up.
            if round > 0 {
                without.push(plain.seconds);
                with.push(often.seconds);
                kept.push(plain.seconds / often.seconds);
                last = often;
            }
        }
        let millions = (records * u64::from(PARALLELISM)) as f64 / 1e6;
        println!(
            "| {name} | {keys} | {:.2} | {:.2} | {} | {:.1} | {:.0} | {:.0} | {:.0} % |",
            millions / median(without),
            millions / median(with),
            last.checkpoints,
            last.stored as f64 / 1e6,
            last.sync,
            last.after,
            median(kept) * 100.0
        );
    }
    println!("(aim: 90 % or more, while at most 100 MB of state change in between)");
}
