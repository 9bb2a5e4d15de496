//! A job over 200 M generated records in constant memory: samples of the resident set while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidemill::core::batch::Batch;
use tidemill::core::config::{Configuration, MemorySize, OptionType, Origin};
use tidemill::core::memory::TaskManagerMemory;
use tidemill::datastream::{LocalExecutor, StreamExecutionEnvironment, WatermarkStrategy};
use tidemill::runtime::cluster::TaskManagerResources;
use tidemill::runtime::operator::boxed;
use tidemill::runtime::{Operator, OperatorError, Output, Progress};

use crate::source::TemplateSource;

const RECORDS: usize = 200_000_000;
const BATCH: usize = 4096;
const PROCESS: &str = "1100m";

struct Blackhole;

impl Operator for Blackhole {
    fn process(
        &mut self,
        _input: usize,
        _batch: Batch,
        _out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        Ok(Progress::Done)
    }
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}

pub(crate) fn run() {
    let mut configuration = Configuration::new();
    configuration.set_raw("taskmanager.memory.process.size", PROCESS, Origin::CommandLine);
    let memory = TaskManagerMemory::derive(&configuration).expect("fits");
    let resources = TaskManagerResources {
        network_bytes: memory.network.bytes(),
        managed_bytes: memory.managed.bytes(),
        task_heap_bytes: memory.task_heap.bytes(),
        ..TaskManagerResources::default()
    };
    let env = StreamExecutionEnvironment::new(configuration, LocalExecutor::new(resources));
    env.set_parallelism(2).expect("a job may set it");
    let templates = (0..16u64).map(|t| (0..BATCH as u64).map(|i| t * BATCH as u64 + i).collect()).collect();
    let source = TemplateSource { templates: Arc::new(templates), batches: RECORDS / 2 / BATCH };
    env.from_source(source, WatermarkStrategy::no_watermarks(), "records")
        .map(|record: u64| (record % 1000, record))
        .key_by(|record| record.0)
        .reduce(|sum, next| sum.1 = sum.1.wrapping_add(next.1))
        .sink_to("blackhole", boxed(|| Blackhole));
    let done = Arc::new(AtomicBool::new(false));
    let sampler = {
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            let start = Instant::now();
            let mut samples = Vec::new();
            while !done.load(Ordering::Relaxed) {
                samples.push((start.elapsed().as_secs_f64(), resident()));
                std::thread::sleep(Duration::from_millis(100));
            }
            samples
        })
    };
    env.execute("200 M records").expect("the job runs");
    done.store(true, Ordering::Relaxed);
    let samples = sampler.join().expect("no panic");
    println!(
        "\n{} M records through map, key by and reduce at parallelism 2, process size {PROCESS}",
        RECORDS / 1_000_000
    );
    println!("| second | resident MiB |\n|---:|---:|");
    let step = (samples.len() / 12).max(1);
    for (second, bytes) in samples.iter().step_by(step) {
        println!("| {second:.1} | {:.0} |", *bytes as f64 / 1048576.0);
    }
    let max = samples.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    let half = samples.len() / 2;
    let peak =
        |part: &[(f64, u64)]| part.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0) as f64 / 1048576.0;
    let limit = MemorySize::parse(PROCESS).expect("a size").bytes();
    println!(
        "Largest: {:.0} MiB of {:.0} MiB; in the first half {:.0} MiB, in the second {:.0} MiB",
        max as f64 / 1048576.0,
        limit as f64 / 1048576.0,
        peak(&samples[..half]),
        peak(&samples[half..])
    );
    assert!(max < limit, "the job stays within the process size");
}
