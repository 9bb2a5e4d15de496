//! Files as a sink, in jobs that take checkpoints.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema};
use tempfile::TempDir;
use tidemill_connectors::{CsvOutput, FileSink};
use tidemill_core::batch::TypedBatch;
use tidemill_core::config::{Configuration, Origin};
use tidemill_core::time::Timestamp;
use tidemill_core::{AfterSavepoint, ArrowBatch, Batch, CheckpointId, SavepointFormat};
use tidemill_runtime::checkpoint::{ClaimMode, RestoreSettings};
use tidemill_runtime::cluster::EmbeddedCluster;
use tidemill_runtime::graph::JobSettings;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::SubtaskSnapshot;
use tidemill_testkit::jobs::{self, Job};
use tidemill_testkit::{Log, checkpoints, faults};

const SPLITS: usize = 3;

/// Gives the numbers that come in to a file sink as rows.
struct Numbers<S>(S);

impl OperatorFactory for Numbers<FileSink> {
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(Numbers(self.0.create(subtask)?)))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

impl Operator for Numbers<Box<dyn Operator>> {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.0.open(context, restored)
    }

    fn process(
        &mut self,
        input: usize,
        mut batch: Batch,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let numbers = std::mem::take(&mut batch.downcast_mut::<TypedBatch<u32>>()?.values);
        let column: ArrayRef = Arc::new(UInt32Array::from(numbers));
        let rows = RecordBatch::try_from_iter([("number", column)]).unwrap();
        self.0.process(input, Batch::new(ArrowBatch::inserts(rows)), out)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.0.next_processing_time()
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        self.0.processing_time(now, out)
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.0.finish(out)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        self.0.snapshot(context)
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.0.checkpoint_complete(checkpoint)
    }

    fn checkpoint_aborted(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.0.checkpoint_aborted(checkpoint)
    }

    fn close(&mut self) {
        self.0.close();
    }
}

fn settings(interval: Option<&str>) -> JobSettings {
    let mut configuration = Configuration::new();
    let interval = interval.map(|interval| ("execution.checkpointing.interval", interval));
    let restarts = [("restart-strategy.type", "fixed-delay"), ("restart-strategy.fixed-delay.delay", "0 ms")];
    for (key, value) in restarts.into_iter().chain(interval) {
        configuration.set_raw(key, value, Origin::Api);
    }
    JobSettings::from_configuration(&configuration).unwrap()
}

/// Log → pass → files.
fn job(
    log: &Log<u32>,
    pass: impl OperatorFactory + 'static,
    folder: &Path,
    interval: Option<&str>,
    parallelism: u32,
) -> Job {
    let mut job = Job::new("files");
    job.settings = settings(interval);
    job.settings.parallelism = parallelism;
    let source = job.source("log", log.source());
    let passed = job.operator("pass", pass);
    let schema = Arc::new(Schema::new(vec![Field::new("number", DataType::UInt32, false)]));
    let files = job.sink("files", Numbers(FileSink::folder(folder, CsvOutput::new(), schema).unwrap()));
    for (node, uid) in [(source, "log"), (passed, "pass"), (files, "files")] {
        job.node(node).uid = Some(uid.to_owned());
    }
    job.connect::<u32>(source, passed);
    job.connect::<u32>(passed, files);
    job
}

fn cluster(folder: &Path) -> EmbeddedCluster {
    jobs::small_cluster().with_checkpoints(checkpoints::environment(folder))
}

fn fill(log: &Log<u32>, numbers: std::ops::Range<u32>) {
    for number in numbers {
        log.push(number as usize % SPLITS, [(number, i64::from(number))]);
    }
}

/// The rows that everyone may see.
fn visible(folder: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let shown = paths.filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'));
    let mut rows: Vec<u32> = shown
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            text.lines().map(|line| line.parse().unwrap()).collect::<Vec<u32>>()
        })
        .collect();
    rows.sort_unstable();
    rows
}

fn assert_all(folder: &Path, numbers: u32) {
    assert_eq!(visible(folder), (0..numbers).collect::<Vec<_>>());
    let hidden: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn the_last_checkpoint_of_a_bounded_job_shows_the_rest() {
    for interval in [Some("1 h"), None] {
        let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let log = Log::new(SPLITS);
        fill(&log, 0..500);
        log.end_all();
        let cluster = cluster(dir.path());
        job(&log, faults::pass::<u32>(), out.path(), interval, 2).run_on(&cluster).unwrap();
        assert_all(out.path(), 500);
    }
}

#[test]
fn a_job_that_fails_shows_each_row_once() {
    let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let log = Log::new(SPLITS);
    let (fails, fuse) = faults::fails_once::<u32>("as the test wants");
    let cluster = cluster(dir.path());
    let job = job(&log, fails, out.path(), Some("10 ms"), 2);
    let handle = job.submit_to(&cluster).unwrap();
    fill(&log, 0..1_000);
    jobs::until("the first rows are visible", || visible(out.path()).len() == 1_000);
    fill(&log, 1_000..1_500);
    fuse.light();
    fill(&log, 1_500..2_000);
    log.end_all();
    jobs::wait(&handle).unwrap();
    assert_eq!(handle.checkpoint_statistics().unwrap().counts().restored, 1);
    assert_all(out.path(), 2_000);
}

#[test]
fn a_savepoint_that_stops_the_job_shows_what_it_holds() {
    for interval in [Some("1 h"), None] {
        let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let log = Log::new(SPLITS);
        fill(&log, 0..500);
        let cluster = cluster(dir.path());
        let first = job(&log, faults::pass::<u32>(), out.path(), interval, 2);
        let handle = first.submit_to(&cluster).unwrap();
        jobs::until("all is read", || log.read_in_all() == 500);
        let savepoint = handle.savepoint(SavepointFormat::Canonical, AfterSavepoint::Stop, None).unwrap();
        jobs::wait(&handle).unwrap();
        assert_all(out.path(), 500);
        fill(&log, 500..800);
        log.end_all();
        let restore = RestoreSettings {
            path: savepoint.external_path.clone(),
            claim: ClaimMode::NoClaim,
            allow_non_restored_state: false,
        };
        let second = job(&log, faults::pass::<u32>(), out.path(), interval, 3);
        let handle = cluster.submit_restored(second.plan().unwrap(), Some(&restore), &|| false).unwrap();
        jobs::wait(&handle).unwrap();
        assert_all(out.path(), 800);
    }
}
