//! Counting per key against two hand-written threads that partition, exchange through bounded queues, and count with the
//! same kind of hash map and the same hash.

use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Instant;

use hashbrown::HashMap;
use tidemill::core::batch::{Batch, TypedBatch};
use tidemill::core::config::Configuration;
use tidemill::core::hash::int;
use tidemill::core::key_group::{key_group, subtask_of};
use tidemill::datastream::{LocalExecutor, StreamExecutionEnvironment, WatermarkStrategy};
use tidemill::prelude::*;
use tidemill::runtime::operator::boxed;
use tidemill::runtime::{Operator, OperatorError, Output, Progress};

use crate::median;
use crate::source::TemplateSource;

const KEYS: u64 = 1_000_000;
const RECORDS: usize = 20_000_000;
const BATCH: usize = 4096;
const PARALLELISM: usize = 2;
const ROUNDS: usize = 5;
const BATCHES: usize = RECORDS / PARALLELISM / BATCH;

#[derive(Clone)]
struct Count;

impl AggregateFunction for Count {
    type In = u64;
    type Acc = u64;
    type Out = u64;

    fn create_accumulator(&self) -> u64 {
        0
    }

    fn add(&self, count: &mut u64, _record: u64) {
        *count += 1;
    }

    fn get_result(&self, count: &u64) -> u64 {
        *count
    }

    fn merge(&self, count: &mut u64, other: u64) {
        *count += other;
    }
}

/// Adds up keys and counts.
#[derive(Default)]
struct Totals {
    keys: AtomicU64,
    records: AtomicU64,
}

struct TotalSink(Arc<Totals>);

impl Operator for TotalSink {
    fn process(&mut self, _input: usize, batch: Batch, _out: &mut Output) -> Result<Progress, OperatorError> {
        let counts = batch.downcast_ref::<TypedBatch<u64>>()?;
        self.0.keys.fetch_add(counts.values.len() as u64, Ordering::Relaxed);
        self.0.records.fetch_add(counts.values.iter().sum(), Ordering::Relaxed);
        Ok(Progress::Done)
    }
}

fn engine(templates: &Arc<Vec<Vec<u64>>>) -> (f64, u64, u64) {
    let totals = Arc::new(Totals::default());
    let env = StreamExecutionEnvironment::new(Configuration::new(), LocalExecutor::default());
    env.set_parallelism(PARALLELISM as u32).expect("a job may set it");
    let source = TemplateSource { templates: Arc::clone(templates), batches: BATCHES };
    let sink = Arc::clone(&totals);
    env.from_source(source, WatermarkStrategy::no_watermarks(), "keys")
        .key_by(|key| *key)
        .window(GlobalWindows::create_with_end_of_stream_trigger())
        .aggregate(Count)
        .sink_to("totals", boxed(move || TotalSink(Arc::clone(&sink))));
    let start = Instant::now();
    env.execute("count").expect("the job runs");
    let seconds = start.elapsed().as_secs_f64();
    (seconds, totals.keys.load(Ordering::Relaxed), totals.records.load(Ordering::Relaxed))
}

/// The routing hash, as the hash of a hash map.
#[derive(Default)]
struct RoutingHasher(u64);

impl Hasher for RoutingHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("only numbers are hashed");
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = int(value as i64);
    }
}

type Counts = HashMap<u64, u64, BuildHasherDefault<RoutingHasher>>;

fn worker(
    templates: &[Vec<u64>],
    senders: Vec<SyncSender<Vec<u64>>>,
    receiver: &Receiver<Vec<u64>>,
) -> (u64, u64) {
    let mut counts = Counts::default();
    let mut builders: Vec<Vec<u64>> = (0..PARALLELISM).map(|_| Vec::with_capacity(BATCH)).collect();
    let mut count = |batch: Vec<u64>| {
        for key in batch {
            *counts.entry(key).or_insert(0) += 1;
        }
    };
    let mut unsent: VecDeque<(usize, Vec<u64>)> = VecDeque::new();
    let mut batch = Vec::new();
    for index in (0..BATCHES).rev() {
        batch.clear();
        batch.extend_from_slice(&templates[index % templates.len()]);
        for key in &batch {
            let group = key_group(int(*key as i64), 128);
            let target = subtask_of(group, PARALLELISM as u32, 128) as usize;
            let builder = &mut builders[target];
            builder.push(*key);
            if builder.len() == BATCH {
                let full = std::mem::replace(builder, Vec::with_capacity(BATCH));
                unsent.push_back((target, full));
            }
        }
        // Never block on a full queue: whoever does not take from its own could block the other for ever.
        while let Some((target, full)) = unsent.pop_front() {
            if let Err(TrySendError::Full(full)) = senders[target].try_send(full) {
                unsent.push_front((target, full));
                match receiver.try_recv() {
                    Ok(batch) => count(batch),
                    Err(_) => std::thread::yield_now(),
                }
            }
        }
        while let Ok(batch) = receiver.try_recv() {
            count(batch);
        }
    }
    for (target, rest) in builders.into_iter().enumerate() {
        let mut rest = Some(rest);
        while let Some(batch) = rest.take() {
            if let Err(TrySendError::Full(batch)) = senders[target].try_send(batch) {
                rest = Some(batch);
                if let Ok(batch) = receiver.try_recv() {
                    count(batch);
                }
            }
        }
    }
    drop(senders);
    loop {
        match receiver.try_recv() {
            Ok(batch) => count(batch),
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => std::thread::yield_now(),
        }
    }
    (counts.len() as u64, counts.values().sum())
}

fn hand_written(templates: &Arc<Vec<Vec<u64>>>) -> (f64, u64, u64) {
    let start = Instant::now();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..PARALLELISM).map(|_| sync_channel(16)).unzip();
    let workers: Vec<_> = receivers
        .into_iter()
        .map(|receiver| {
            let (templates, senders) = (Arc::clone(templates), senders.clone());
            std::thread::spawn(move || worker(&templates, senders, &receiver))
        })
        .collect();
    drop(senders);
    let results: Vec<(u64, u64)> =
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect();
    let seconds = start.elapsed().as_secs_f64();
    (seconds, results.iter().map(|(keys, _)| keys).sum(), results.iter().map(|(_, records)| records).sum())
}

pub(crate) fn run() {
    let templates: Vec<Vec<u64>> = (0..1000u64)
        .map(|t| (0..BATCH as u64).map(|i| int((t * BATCH as u64 + i) as i64) % KEYS).collect())
        .collect();
    let templates = Arc::new(templates);
    let (mut ratios, mut engines, mut hands) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (hand_seconds, hand_keys, hand_records) = hand_written(&templates);
        let (engine_seconds, keys, records) = engine(&templates);
        assert_eq!((keys, records), (hand_keys, hand_records), "both count the same");
        // The first round warms up.
        if round > 0 {
            ratios.push(hand_seconds / engine_seconds);
            engines.push(engine_seconds);
            hands.push(hand_seconds);
        }
    }
    let records = (BATCHES * BATCH * PARALLELISM) as f64 / 1e6;
    println!(
        "\nCounting {records:.0} M records over {KEYS} keys, parallelism {PARALLELISM}, median of {ROUNDS}"
    );
    println!("| what | seconds | M records/s |\n|---|---:|---:|");
    println!("| two hand-written threads | {:.3} | {:.1} |", median(hands.clone()), records / median(hands));
    println!("| Tidemill | {:.3} | {:.1} |", median(engines.clone()), records / median(engines));
    println!(
        "Tidemill keeps {:.0} % of the hand-written throughput (aim: 50 % or more)",
        median(ratios) * 100.0
    );
}
