//! What the buffer timeout costs: latency over five hops that are not chained, and over the same five when they are.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidemill::core::batch::{Batch, TypedBatch};
use tidemill::core::config::{Configuration, Origin};
use tidemill::datastream::{LocalExecutor, StreamExecutionEnvironment, WatermarkStrategy};
use tidemill::runtime::operator::boxed;
use tidemill::runtime::source::{
    ReaderStatus, Source, SourceOutput, SourceReader, SourceSplit, SplitAssignment, SplitEnumerator,
};
use tidemill::runtime::{Operator, OperatorContext, OperatorError, Output, Progress};

const PER_SECOND: u64 = 10_000;
const HOPS: usize = 5;

/// Emits the nanoseconds since `start`, at a steady pace.
struct PacedSource {
    start: Instant,
    records: u64,
}

struct Enumerator;

impl SplitEnumerator for Enumerator {
    fn next_split(&mut self, _subtask: u32) -> Result<SplitAssignment, OperatorError> {
        Ok(SplitAssignment::Split(SourceSplit { id: "paced".into(), state: Vec::new() }))
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        Vec::new()
    }
}

struct Reader {
    start: Instant,
    begun: Option<Instant>,
    emitted: u64,
    records: u64,
    split: Option<Arc<str>>,
}

impl SourceReader for Reader {
    fn add_split(&mut self, split: SourceSplit) -> Result<(), OperatorError> {
        self.split = Some(split.id);
        Ok(())
    }

    fn no_more_splits(&mut self) {}

    fn poll(&mut self, out: &mut SourceOutput) -> Result<ReaderStatus, OperatorError> {
        let Some(split) = &self.split else { return Ok(ReaderStatus::NeedsSplit) };
        if self.emitted == self.records {
            return Ok(ReaderStatus::End);
        }
        let now = Instant::now();
        let begun = *self.begun.get_or_insert(now);
        let due =
            (now.duration_since(begun).as_nanos() as u64 * PER_SECOND / 1_000_000_000).min(self.records);
        if due <= self.emitted {
            let next = Duration::from_nanos((self.emitted + 1) * 1_000_000_000 / PER_SECOND);
            return Ok(ReaderStatus::Pending(Some(begun + next)));
        }
        let stamp = now.duration_since(self.start).as_nanos() as u64;
        let records = vec![stamp; (due - self.emitted) as usize];
        self.emitted = due;
        out.emit(split, Batch::new(TypedBatch::from_values(records)));
        Ok(ReaderStatus::Ready)
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        Vec::new()
    }
}

impl Source for PacedSource {
    fn create_enumerator(
        &self,
        _parallelism: u32,
        _restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        Ok(Box::new(Enumerator))
    }

    fn create_reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        let (start, records) = (self.start, self.records);
        Ok(Box::new(Reader { start, begun: None, emitted: 0, records, split: None }))
    }
}

struct LatencySink {
    start: Instant,
    latencies: Arc<Mutex<Vec<u64>>>,
}

impl Operator for LatencySink {
    fn process(&mut self, _input: usize, batch: Batch, _out: &mut Output) -> Result<Progress, OperatorError> {
        let now = self.start.elapsed().as_nanos() as u64;
        let records = batch.downcast_ref::<TypedBatch<u64>>()?;
        self.latencies.lock().unwrap().extend(records.values.iter().map(|stamp| now - stamp));
        Ok(Progress::Done)
    }
}

/// Median and 99th percentile in milliseconds.
fn measure(timeout: &str, chained: bool, seconds: u64) -> (f64, f64) {
    let start = Instant::now();
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let mut configuration = Configuration::new();
    configuration.set_raw("execution.buffer-timeout.interval", timeout, Origin::CommandLine);
    let env = StreamExecutionEnvironment::new(configuration, LocalExecutor::default());
    let mut stream = env.from_source(
        PacedSource { start, records: seconds * PER_SECOND },
        WatermarkStrategy::no_watermarks(),
        "paced",
    );
    for _ in 1..HOPS {
        stream = stream.map(|stamp: u64| stamp);
        if !chained {
            stream = stream.start_new_chain();
        }
    }
    let shared = Arc::clone(&latencies);
    let sink =
        stream.sink_to("latency", boxed(move || LatencySink { start, latencies: Arc::clone(&shared) }));
    if !chained {
        sink.disable_chaining();
    }
    env.execute("latency").expect("the job runs");
    let mut latencies = std::mem::take(&mut *latencies.lock().unwrap());
    // What the end of the input pushes out did not wait its time.
    latencies.truncate(latencies.len() * 9 / 10);
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize] as f64 / 1e6;
    (at(0.5), at(0.99))
}

pub(crate) fn run() {
    println!("\nLatency over {HOPS} hops at {PER_SECOND} records/s of 8 bytes, segment size 32 KiB");
    println!(
        "| execution.buffer-timeout | p50 ms, unchained | p99 ms, unchained | p50 ms, chained | p99 ms, chained |"
    );
    println!("|---:|---:|---:|---:|---:|");
    for (timeout, seconds) in [("0", 3), ("1 ms", 3), ("10 ms", 3), ("100 ms", 6), ("-1", 12)] {
        let (p50, p99) = measure(timeout, false, seconds);
        let (chained50, chained99) = measure(timeout, true, 2);
        println!("| {timeout} | {p50:.3} | {p99:.3} | {chained50:.3} | {chained99:.3} |");
    }
}
