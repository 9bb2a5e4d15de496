//! The throughput of a counting job with a checkpoint every second, beside the same job without.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidemill::datastream::WatermarkStrategy;
use tidemill::prelude::*;
use tidemill::runtime::cluster::JobHandle;

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

struct Figures {
    seconds: f64,
    checkpoints: u64,
    /// Of the last checkpoint.
    stored: u64,
}

fn count(rocksdb: bool, keys: u64, records: u64, interval: Option<&str>) -> Figures {
    let seen = Arc::new((AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)));
    let drive = {
        let seen = Arc::clone(&seen);
        move |job: &JobHandle| {
            let start = Instant::now();
            let read = || {
                let metrics = job.metrics();
                let last = metrics.tasks.iter().filter(|task| !task.name.starts_with("Source"));
                last.map(|task| task.records_in.get()).sum::<u64>()
            };
            while read() < records * u64::from(PARALLELISM) {
                std::thread::sleep(Duration::from_millis(2));
            }
            seen.0.store(start.elapsed().as_micros() as u64, Ordering::Relaxed);
            if let Some(statistics) = job.checkpoint_statistics() {
                seen.1.store(statistics.counts().completed, Ordering::Relaxed);
                let stored = statistics.latest_completed().map_or(0, |newest| newest.checkpointed_size());
                seen.2.store(stored, Ordering::Relaxed);
            }
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
    let source = GoalSource { goal: Arc::new(AtomicU64::new(records)), record, end: u64::MAX };
    let _ = env
        .from_source(source, WatermarkStrategy::no_watermarks(), "keys")
        .key_by(|key| *key)
        .process(Count::default());
    env.execute("throughput").expect("the job runs");
    Figures {
        seconds: seen.0.load(Ordering::Relaxed) as f64 / 1e6,
        checkpoints: seen.1.load(Ordering::Relaxed),
        stored: seen.2.load(Ordering::Relaxed),
    }
}

static KEYS: AtomicU64 = AtomicU64::new(1);

pub(crate) fn run() {
    println!(
        "\nCounting with a checkpoint every second against none, parallelism {PARALLELISM}, median of {ROUNDS}"
    );
    println!("| state | keys | M records/s without | with | checkpoints | last stored, MB | kept |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (rocksdb, keys, records) in [(false, 1_000_000, 40_000_000), (true, 1_000_000, 20_000_000)] {
        let (mut without, mut with, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        let (mut checkpoints, mut stored) = (0, 0);
        for round in 0..=ROUNDS {
            let plain = count(rocksdb, keys, records, None);
            let often = count(rocksdb, keys, records, Some("1 s"));
            // The first round warms up.
            if round > 0 {
                without.push(plain.seconds);
                with.push(often.seconds);
                kept.push(plain.seconds / often.seconds);
                (checkpoints, stored) = (often.checkpoints, often.stored);
            }
        }
        let millions = (records * u64::from(PARALLELISM)) as f64 / 1e6;
        println!(
            "| {} | {keys} | {:.2} | {:.2} | {checkpoints} | {:.1} | {:.0} % |",
            if rocksdb { "rocksdb" } else { "hashmap" },
            millions / median(without),
            millions / median(with),
            stored as f64 / 1e6,
            median(kept) * 100.0
        );
    }
    println!("(aim: 90 % or more, while at most 100 MB of state change in between)");
}
