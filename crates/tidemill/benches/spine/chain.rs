//! A chain of map and filter against one plain loop per operator over the same batches, with reused vectors.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tidemill::core::batch::{Batch, TypedBatch};
use tidemill::datastream::{LocalExecutor, StreamExecutionEnvironment, WatermarkStrategy};
use tidemill::runtime::operator::boxed;
use tidemill::runtime::{Operator, OperatorError, Output, Progress};

use crate::median;
use crate::source::TemplateSource;

const BATCH: usize = 4096;
const BATCHES: usize = 20_000;
const ROUNDS: usize = 7;

fn scramble(x: u64) -> u64 {
    x.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (x >> 29)
}

fn passes_first(x: &u64) -> bool {
    x & 7 != 0
}

fn shift(x: u64) -> u64 {
    x.rotate_left(17).wrapping_add(3)
}

fn passes_second(x: &u64) -> bool {
    x & 0xf0 != 0
}

/// Adds up what arrives, so that nothing can be optimized away.
struct SumSink {
    sum: Arc<AtomicU64>,
}

impl Operator for SumSink {
    fn process(
        &mut self,
        _input: usize,
        mut batch: Batch,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let records = batch.downcast_mut::<TypedBatch<u64>>()?;
        let sum = records.values.iter().fold(0u64, |sum, value| sum.wrapping_add(*value));
        self.sum.fetch_add(sum, Ordering::Relaxed);
        records.clear();
        out.recycle(batch);
        Ok(Progress::Done)
    }
}

fn engine(templates: &Arc<Vec<Vec<u64>>>) -> (f64, u64) {
    let sum = Arc::new(AtomicU64::new(0));
    let env = StreamExecutionEnvironment::new(Default::default(), LocalExecutor::default());
    let source = TemplateSource { templates: Arc::clone(templates), batches: BATCHES };
    let sink_sum = Arc::clone(&sum);
    env.from_source(source, WatermarkStrategy::no_watermarks(), "templates")
        .map(scramble)
        .filter(passes_first)
        .map(shift)
        .filter(passes_second)
        .sink_to("sum", boxed(move || SumSink { sum: Arc::clone(&sink_sum) }));
    let start = Instant::now();
    env.execute("chain").expect("the job runs");
    (start.elapsed().as_secs_f64(), sum.load(Ordering::Relaxed))
}

fn plain(templates: &[Vec<u64>]) -> (f64, u64) {
    let start = Instant::now();
    let (mut a, mut b): (Vec<u64>, Vec<u64>) = (Vec::new(), Vec::new());
    let mut sum = 0u64;
    for index in (0..BATCHES).rev() {
        a.clear();
        a.extend_from_slice(black_box(&templates[index % templates.len()]));
        b.clear();
        for x in black_box(&a) {
            b.push(scramble(*x));
        }
        a.clear();
        for x in black_box(&b) {
            if passes_first(x) {
                a.push(*x);
            }
        }
        b.clear();
        for x in black_box(&a) {
            b.push(shift(*x));
        }
        a.clear();
        for x in black_box(&b) {
            if passes_second(x) {
                a.push(*x);
            }
        }
        sum = black_box(&a).iter().fold(sum, |sum, value| sum.wrapping_add(*value));
    }
    (start.elapsed().as_secs_f64(), sum)
}

pub(crate) fn run() {
    let templates: Vec<Vec<u64>> =
        (0..16u64).map(|t| (0..BATCH as u64).map(|i| scramble(t * BATCH as u64 + i)).collect()).collect();
    let templates = Arc::new(templates);
    let (_, expected) = plain(&templates);
    let mut ratios = Vec::new();
    let (mut engines, mut plains) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (plain_seconds, _) = plain(&templates);
        let (engine_seconds, sum) = engine(&templates);
        assert_eq!(sum, expected, "both compute the same");
        ratios.push(plain_seconds / engine_seconds);
        engines.push(engine_seconds);
        plains.push(plain_seconds);
    }
    let records = (BATCH * BATCHES) as f64 / 1e6;
    println!(
        "\nA chain of map, filter, map, filter over {records:.0} M records of 8 bytes, batches of {BATCH}, median of {ROUNDS}"
    );
    println!("| what | seconds | M records/s |\n|---|---:|---:|");
    println!(
        "| one plain loop per operator, reused vectors | {:.3} | {:.0} |",
        median(plains.clone()),
        records / median(plains)
    );
    println!("| Tidemill | {:.3} | {:.0} |", median(engines.clone()), records / median(engines));
    println!(
        "Tidemill keeps {:.0} % of the plain loops' throughput (aim: 80 % or more)",
        median(ratios) * 100.0
    );
}
