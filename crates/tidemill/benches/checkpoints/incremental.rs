//! What incremental checkpoints of RocksDB store, beside full ones, when a part of the state changes from one to the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill::datastream::WatermarkStrategy;
use tidemill::prelude::*;
use tidemill::runtime::cluster::JobHandle;

use crate::cluster::environment;
use crate::source::GoalSource;

/// Bytes of a value, which do not compress.
const VALUE: usize = 1_000;
const CHECKPOINTS: u64 = 10;

/// Keeps a value for each key, another one each time.
#[derive(Clone)]
struct Keep {
    state: Option<ValueState<Vec<u8>>>,
    kept: Arc<AtomicU64>,
}

impl KeyedProcessFunction<u64, u64, u64> for Keep {
    fn open(&mut self, states: &mut KeyedStateBackend<u64>) -> Result<(), BoxError> {
        self.state = Some(states.register_value(ValueStateDescriptor::new("value"))?);
        Ok(())
    }

    fn process(
        &mut self,
        key: u64,
        context: &mut KeyedContext<'_, u64>,
        _: &mut Collector<u64>,
    ) -> Result<(), BoxError> {
        let seed = key ^ self.kept.fetch_add(1, Ordering::Relaxed) << 32;
        let state = self.state.ok_or("it was not opened")?;
        Ok(state.update(context.state(), noise(seed))?)
    }
}

fn noise(seed: u64) -> Vec<u8> {
    let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        bits
    };
    (0..VALUE / 8).flat_map(|_| next().to_le_bytes()).collect()
}

/// Bytes that each checkpoint after the first has stored, and how large the state was that they describe, in all.
fn stored(keys: u64, churn: f64, incremental: bool, style: &str) -> (Vec<u64>, u64) {
    let (goal, kept) = (Arc::new(AtomicU64::new(keys)), Arc::new(AtomicU64::new(0)));
    let result = Arc::new(Mutex::new((Vec::new(), 0)));
    let changed = (keys as f64 * churn) as u64;
    let drive = {
        let (goal, kept, result) = (Arc::clone(&goal), Arc::clone(&kept), Arc::clone(&result));
        move |job: &JobHandle| {
            for number in 0..=CHECKPOINTS {
                let wanted = keys + number * changed;
                goal.store(wanted, Ordering::Relaxed);
                while kept.load(Ordering::Relaxed) < wanted {
                    std::thread::sleep(Duration::from_millis(5));
                }
                job.checkpoint().expect("a checkpoint");
                let statistics = job.checkpoint_statistics().expect("statistics");
                let newest = statistics.latest_completed().expect("a checkpoint");
                // The first stores all.
                if number > 0 {
                    let mut result = result.lock().expect("nobody else panics");
                    result.0.push(newest.checkpointed_size());
                    result.1 += newest.state_size();
                }
            }
        }
    };
    let options = [
        ("execution.checkpointing.interval", "1 d"),
        ("execution.checkpointing.incremental", if incremental { "true" } else { "false" }),
        ("state.backend.rocksdb.compaction.style", style),
    ];
    let (env, _folder) = environment(true, &options, drive);
    env.set_parallelism(1).expect("a job may set it");
    // Spread over all keys: the worst that can be for files of sorted keys.
    let record = |number: u64| tidemill::core::hash::int(number as i64) % KEYS.load(Ordering::Relaxed);
    KEYS.store(keys, Ordering::Relaxed);
    let source = GoalSource { goal, record, end: u64::MAX };
    let _ = env
        .from_source(source, WatermarkStrategy::no_watermarks(), "keys")
        .key_by(|key| *key)
        .process(Keep { state: None, kept });
    // It is cancelled when the last checkpoint is complete.
    env.execute("incremental").expect("the job runs");
    std::mem::take(&mut *result.lock().expect("nobody else panics"))
}

static KEYS: AtomicU64 = AtomicU64::new(1);

/// With one of RocksDB's ways to merge files.
pub(crate) fn run(megabytes: u64, style: &str) {
    let keys = megabytes * 1_000_000 / VALUE as u64;
    println!(
        "\nWhat {CHECKPOINTS} checkpoints store of {megabytes} MB of state in RocksDB ({style}), keys changed at random"
    );
    println!(
        "| changed in between | state, MB | stored in full, MB | stored incrementally, MB | saved | saved by the median one |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    for churn in [0.01, 0.10] {
        let (full, _) = stored(keys, churn, false, style);
        let (incremental, state) = stored(keys, churn, true, style);
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let saved = |incremental: u64, full: u64| (1.0 - incremental as f64 / full as f64) * 100.0;
        let medians = [&full, &incremental]
            .map(|stored| crate::median(stored.iter().map(|bytes| *bytes as f64).collect()) as u64);
        let [full, incremental]: [u64; 2] = [full, incremental].map(|stored| stored.into_iter().sum());
        println!(
            "| {:.0} % | {:.0} | {:.0} | {:.0} | {:.1} % | {:.1} % |",
            churn * 100.0,
            mb(state / CHECKPOINTS),
            mb(full),
            mb(incremental),
            saved(incremental, full),
            saved(medians[1], medians[0])
        );
    }
    println!("(aim: 90 % or more saved)");
}
