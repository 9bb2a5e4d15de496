//! Jobs of several parts between which no records flow: what fails in one is not the others' business.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tidemill_checkpoint::RestartStrategy;
use tidemill_core::batch::Batch;
use tidemill_core::config::options::FailoverStrategy;
use tidemill_core::graph::ShipStrategy;
use tidemill_core::{AfterSavepoint, SavepointFormat};
use tidemill_runtime::cluster::{JobHandle, JobStatus};
use tidemill_runtime::metrics::TaskState;
use tidemill_runtime::operator::boxed;
use tidemill_runtime::{JobError, Operator, OperatorError, OperatorFactory, Output, Progress};
use tidemill_testkit::checkpoints::{self, counts, route};
use tidemill_testkit::commits::{self, Committed};
use tidemill_testkit::faults::Gate;
use tidemill_testkit::jobs::{self, Job};
use tidemill_testkit::{Log, faults};

use crate::checkpoints::{SPLITS, assert_counted, cluster, fill, keys, settings, submit};

/// Counts how many operators were made.
struct Made<F> {
    inner: F,
    times: Arc<AtomicUsize>,
}

impl<F: OperatorFactory> OperatorFactory for Made<F> {
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        self.times.fetch_add(1, Ordering::SeqCst);
        self.inner.create(subtask)
    }
}

/// One part of a job.
struct Part {
    log: Log<u32>,
    committed: Committed<(u32, u64)>,
    made: Arc<AtomicUsize>,
}

fn add_part(job: &mut Job, name: &str, pass: impl OperatorFactory + 'static) -> Part {
    let log = Log::new(SPLITS);
    let (sink, committed) = commits::sink::<(u32, u64)>();
    let made = Arc::new(AtomicUsize::new(0));
    let nodes = [
        job.source("log", log.source()),
        job.operator("pass", Made { inner: pass, times: Arc::clone(&made) }),
        job.operator("count", counts()),
        job.sink("commit", sink),
    ];
    for (node, uid) in nodes.iter().zip(["log", "pass", "count", "commit"]) {
        job.node(*node).uid = Some(format!("{name}-{uid}"));
    }
    job.connect::<u32>(nodes[0], nodes[1]);
    job.connect_keyed::<u32>(nodes[1], nodes[2], |key| route(*key));
    job.connect_by::<(u32, u64)>(nodes[2], nodes[3], ShipStrategy::Rebalance);
    Part { log, committed, made }
}

fn job(name: &str) -> Job {
    let mut job = Job::new(name).parallelism(2);
    job.settings.checkpointing = checkpoints::often();
    job.settings.restarts = RestartStrategy::fixed_delay(3, Duration::ZERO);
    job
}

fn is_finished(handle: &JobHandle, vertices: usize) -> bool {
    handle.metrics().tasks[..2 * vertices].iter().all(|task| task.state() == TaskState::Finished)
}

#[test]
fn only_the_part_that_fails_is_started_again() {
    for (name, settings) in settings() {
        for failover in [FailoverStrategy::Region, FailoverStrategy::Full] {
            let folder = tempfile::tempdir().unwrap();
            let mut job = job("two parts");
            job.settings.checkpointing = settings.clone();
            job.settings.failover = failover;
            let calm = add_part(&mut job, "calm", faults::pass::<u32>());
            let (fails, fuse) = faults::fails_once::<u32>("as the test wants");
            let wild = add_part(&mut job, "wild", fails);
            assert_eq!(job.plan().unwrap().regions(), [[0, 1, 2], [3, 4, 5]]);
            let cluster = cluster(folder.path());
            let handle = submit(&cluster, &job, None);
            for part in [&calm, &wild] {
                fill(&part.log, 1_000);
                part.committed.wait_until(|values| values.len() >= 500);
            }
            fuse.light();
            for part in [&calm, &wild] {
                fill(&part.log, 1_000);
                part.committed.wait_until(|values| values.len() >= 1_500);
                part.log.end_all();
            }
            jobs::wait(&handle).unwrap();
            for part in [&calm, &wild] {
                assert_counted(part.committed.values(), keys(1_000).chain(keys(1_000)), name);
            }
            let restarted = if failover == FailoverStrategy::Full { 4 } else { 2 };
            assert_eq!(calm.made.load(Ordering::SeqCst), restarted, "{name}, {failover:?}");
            assert_eq!(wild.made.load(Ordering::SeqCst), 4, "{name}, {failover:?}");
            assert_eq!(handle.status(), JobStatus::Finished);
            jobs::assert_clean(&cluster);
        }
    }
}

#[test]
fn a_part_that_has_finished_stays_finished() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job("one part is done");
    let done = add_part(&mut job, "done", faults::pass::<u32>());
    let (fails, fuse) = faults::fails_once::<u32>("as the test wants");
    let wild = add_part(&mut job, "wild", fails);
    let handle = submit(&cluster(folder.path()), &job, None);
    fill(&done.log, 500);
    done.log.end_all();
    jobs::until("the first part has finished", || is_finished(&handle, 3));
    fuse.light();
    fill(&wild.log, 1_000);
    wild.committed.wait_until(|values| values.len() >= 500);
    wild.log.end_all();
    jobs::wait(&handle).unwrap();
    assert_counted(done.committed.values(), keys(500), "done");
    assert_counted(wild.committed.values(), keys(1_000), "wild");
    assert_eq!(done.made.load(Ordering::SeqCst), 2);
    assert_eq!(handle.checkpoint_statistics().unwrap().counts().restored, 1);
}

#[test]
fn a_part_that_is_not_started_again_takes_the_others_along() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job("no restarts");
    job.settings.restarts = RestartStrategy::none();
    let calm = add_part(&mut job, "calm", faults::pass::<u32>());
    let (fails, fuse) = faults::fails_once::<u32>("as the test wants");
    let wild = add_part(&mut job, "wild", fails);
    let cluster = cluster(folder.path());
    let handle = submit(&cluster, &job, None);
    fill(&calm.log, 100);
    fuse.light();
    fill(&wild.log, 100);
    let error = handle.wait().unwrap_err();
    assert!(matches!(error, JobError::Operator(_)), "{error}");
    assert_eq!(handle.status(), JobStatus::Failed);
    jobs::assert_clean(&cluster);
}

#[test]
fn parts_are_rescaled_and_savepoints_are_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job("rescaled");
    let parts =
        [add_part(&mut job, "one", faults::pass::<u32>()), add_part(&mut job, "two", faults::pass::<u32>())];
    let handle = submit(&cluster(folder.path()), &job, None);
    parts.iter().for_each(|part| fill(&part.log, 500));
    let second = handle.graph().vertices[4].id;
    handle.rescale(&[(second, 3)].into()).unwrap();
    for part in &parts {
        fill(&part.log, 500);
        part.log.end_all();
    }
    jobs::wait(&handle).unwrap();
    for part in &parts {
        assert_counted(part.committed.values(), keys(500).chain(keys(500)), "rescaled");
    }
}

/// Holds its first batch up until the gate is opened, and fails at it, once.
struct HeldUp {
    gate: Gate,
    has_failed: Arc<AtomicBool>,
}

impl Operator for HeldUp {
    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        self.gate.pass();
        if !self.has_failed.swap(true, Ordering::SeqCst) {
            return Err(OperatorError::user("as the test wants"));
        }
        out.emit(batch);
        Ok(Progress::Done)
    }
}

#[test]
fn a_part_that_was_drained_in_vain_begins_again_with_the_one_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job("drained in vain");
    let calm = add_part(&mut job, "calm", faults::pass::<u32>());
    let (gate, has_failed) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let (inside, flag) = (gate.clone(), Arc::clone(&has_failed));
    let held = boxed(move || HeldUp { gate: inside.clone(), has_failed: Arc::clone(&flag) });
    let wild = add_part(&mut job, "wild", held);
    let handle = submit(&cluster(folder.path()), &job, None);
    fill(&wild.log, 1);
    gate.wait_for_arrivals(1);
    fill(&calm.log, 500);
    jobs::until("all is read", || calm.log.read_in_all() == 500);
    let (format, after) = (SavepointFormat::Canonical, AfterSavepoint::Drain);
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| handle.savepoint(format, after, None));
        // All six tasks of the one part, and the reader of the other that is not held up.
        let has_drained = || {
            let statistics = handle.checkpoint_statistics().unwrap();
            statistics
                .history()
                .any(|snapshot| snapshot.kind.is_savepoint() && snapshot.acknowledged_subtasks() == 7)
        };
        jobs::until("the calm part has drained", has_drained);
        gate.open();
        let error = drained.join().unwrap().unwrap_err();
        assert!(error.to_string().contains("as the test wants"), "{error}");
    });
    fill(&calm.log, 500);
    calm.log.end_all();
    wild.log.end_all();
    jobs::wait(&handle).unwrap();
    assert_counted(calm.committed.values(), keys(500).chain(keys(500)), "calm");
    assert_counted(wild.committed.values(), keys(1), "wild");
}
