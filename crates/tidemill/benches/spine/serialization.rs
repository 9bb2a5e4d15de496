//! What the serializer of an edge costs in a whole job: a keyed job whose exchange is encoded and decoded, as between
//! processes, with records and with the generic fallback; beside it the same job with batches passed by pointer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tidemill::core::batch::{Batch, TypedBatch};
use tidemill::core::config::Configuration;
use tidemill::core::hash::int;
use tidemill::datastream::{LocalExecutor, StreamExecutionEnvironment, WatermarkStrategy};
use tidemill::prelude::*;
use tidemill::runtime::cluster::{EmbeddedCluster, TaskManagerResources};
use tidemill::runtime::operator::boxed;
use tidemill::runtime::{Operator, OperatorError, Output, Progress};
use tidemill::serialization::Generic;

use crate::median;
use crate::source::TemplateSource;

const CUSTOMERS: u64 = 1_000;
const BATCH: usize = 4096;
const TEMPLATES: usize = 20;
const PARALLELISM: usize = 2;
const BATCHES: usize = 300;
const ROUNDS: usize = 5;

/// An order as a shop has it.
#[derive(Record, Serialize, Deserialize, Clone)]
struct Order {
    id: u64,
    customer: u64,
    article: String,
    time: i64,
    amount: f64,
    pieces: u32,
    note: Option<String>,
}

impl Order {
    fn make(i: u64) -> Self {
        let random = int(i as i64);
        Order {
            id: i,
            customer: random % CUSTOMERS,
            article: format!("article-{}", random % 5000),
            time: 1_357_000_000_000 + i as i64,
            amount: (random % 100_000) as f64 / 100.0,
            pieces: 1 + (random >> 20) as u32 % 9,
            note: random.is_multiple_of(5).then(|| format!("note {}", random % 1000)),
        }
    }
}

#[derive(Clone)]
struct Sum<T>(fn(&T) -> f64);

impl<T: Clone + Send + Sync + 'static> AggregateFunction for Sum<T> {
    type In = T;
    type Acc = f64;
    type Out = f64;

    fn create_accumulator(&self) -> f64 {
        0.0
    }

    fn add(&self, sum: &mut f64, record: T) {
        *sum += self.0(&record);
    }

    fn get_result(&self, sum: &f64) -> f64 {
        *sum
    }

    fn merge(&self, sum: &mut f64, other: f64) {
        *sum += other;
    }
}

struct CountSink(Arc<AtomicU64>);

impl Operator for CountSink {
    fn process(&mut self, _input: usize, batch: Batch, _out: &mut Output) -> Result<Progress, OperatorError> {
        self.0.fetch_add(batch.downcast_ref::<TypedBatch<f64>>()?.values.len() as u64, Ordering::Relaxed);
        Ok(Progress::Done)
    }
}

/// Seconds of one run.
fn job<T: Data>(
    templates: &Arc<Vec<Vec<T>>>,
    encoded: bool,
    customer: fn(&T) -> u64,
    amount: fn(&T) -> f64,
) -> f64 {
    let env = StreamExecutionEnvironment::new(Configuration::new(), LocalExecutor::default());
    env.set_parallelism(PARALLELISM as u32).expect("a job may set it");
    let source = TemplateSource { templates: Arc::clone(templates), batches: BATCHES };
    let customers = Arc::new(AtomicU64::new(0));
    let sink = Arc::clone(&customers);
    env.from_source(source, WatermarkStrategy::no_watermarks(), "orders")
        .key_by(customer)
        .window(GlobalWindows::create_with_end_of_stream_trigger())
        .aggregate(Sum(amount))
        .sink_to("customers", boxed(move || CountSink(Arc::clone(&sink))));
    let mut plan = env.plan("serialization").expect("a graph");
    plan.settings.encoded_edges = encoded;
    let start = Instant::now();
    EmbeddedCluster::new(TaskManagerResources::default()).run(plan).expect("the job runs");
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(customers.load(Ordering::Relaxed), CUSTOMERS);
    seconds
}

pub(crate) fn run() {
    let records: Vec<Vec<Order>> =
        (0..TEMPLATES).map(|t| (0..BATCH).map(|i| Order::make((t * BATCH + i) as u64)).collect()).collect();
    let generic = records.iter().map(|batch| batch.iter().cloned().map(Generic::new).collect()).collect();
    let (records, generic): (_, Arc<Vec<Vec<Generic<Order>>>>) = (Arc::new(records), Arc::new(generic));
    let mut times: [Vec<f64>; 3] = Default::default();
    for round in 0..=ROUNDS {
        let seconds = [
            job(&records, false, |order: &Order| order.customer, |order| order.amount),
            job(&records, true, |order: &Order| order.customer, |order| order.amount),
            job(&generic, true, |order: &Generic<Order>| order.customer, |order| order.amount),
        ];
        // The first round warms up.
        if round > 0 {
            times.iter_mut().zip(seconds).for_each(|(times, seconds)| times.push(seconds));
        }
    }
    let ratio = |slow: usize, fast: usize| {
        median(times[slow].iter().zip(&times[fast]).map(|(slow, fast)| slow / fast).collect())
    };
    let millions = (BATCHES * BATCH * PARALLELISM) as f64 / 1e6;
    println!("\nA keyed job over {millions:.1} M orders, parallelism {PARALLELISM}, median of {ROUNDS}");
    println!("| exchange | seconds | M records/s |\n|---|---:|---:|");
    for (name, times) in ["by pointer", "encoded, Record", "encoded, Generic"].into_iter().zip(&times) {
        let seconds = median(times.clone());
        println!("| {name} | {seconds:.3} | {:.2} |", millions / seconds);
    }
    println!("Records let the encoded job run {:.1} times as fast as the generic fallback", ratio(2, 1));
    println!("An encoded exchange of records takes {:.1} times as long as one by pointer", ratio(1, 0));
}
