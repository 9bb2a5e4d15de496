//! Checkpoints that are given up, held up or overtaken by the end of the job.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidemill_checkpoint::CheckpointSettings;
use tidemill_core::batch::Batch;
use tidemill_core::{AfterSavepoint, CheckpointId, Classified, SavepointFormat};
use tidemill_runtime::checkpoint::{ClaimMode, RestoreSettings};
use tidemill_runtime::cluster::{EmbeddedCluster, JobStatus, TaskManagerResources};
use tidemill_runtime::operator::stateful;
use tidemill_runtime::{Operator, OperatorError, OperatorFactory, Output, Progress};
use tidemill_testkit::jobs;
use tidemill_testkit::s3_server::{S3Fault, S3Server};
use tidemill_testkit::{Log, checkpoints, faults};

use crate::checkpoints::{
    SPLITS, assert_counted, cluster, counting, counting_into, fill, keys, restore, submit,
};

fn path_of(uri: &str) -> &Path {
    Path::new(uri.trim_start_matches("file://"))
}

#[test]
fn a_channel_that_a_newer_barrier_blocks_is_free_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(2);
    let (blocks, gate) = faults::blocks_at::<u32>(101);
    let settings = CheckpointSettings {
        timeout: Duration::from_millis(60),
        tolerable_failed_checkpoints: 1_000,
        ..checkpoints::often()
    };
    let (job, committed) = counting(&log, blocks, settings, 2);
    let cluster = cluster(folder.path());
    let handle = submit(&cluster, &job, None);
    // One of two subtasks is held up, so that each barrier comes through one channel of two.
    let some: Vec<u32> = keys(101).collect();
    log.push(0, some.iter().map(|key| (*key, 0)));
    gate.wait_for_arrivals(1);
    let counts = || handle.checkpoint_statistics().unwrap().counts();
    let failed = counts().failed;
    jobs::until("three checkpoints are given up", || counts().failed >= failed + 3);
    let completed = counts().completed;
    gate.open();
    jobs::until("one is complete after them", || counts().completed > completed);
    log.push(1, some.iter().map(|key| (*key, 0)));
    log.end_all();
    jobs::wait(&handle).unwrap();
    assert_counted(
        committed.values(),
        some.iter().chain(&some).copied(),
        "after checkpoints that were given up",
    );
    jobs::assert_clean(&cluster);
}

#[test]
fn a_job_that_cannot_be_started_keeps_the_savepoint_that_it_claims() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    let (job, committed) = counting(&log, faults::pass::<u32>(), checkpoints::often(), 1);
    let cluster = cluster(folder.path());
    let handle = submit(&cluster, &job, None);
    fill(&log, 500);
    jobs::until("all is read", || log.read_in_all() == 500);
    let savepoint = handle.savepoint(SavepointFormat::Canonical, AfterSavepoint::Stop, None).unwrap();
    jobs::wait(&handle).unwrap();
    let claim = RestoreSettings { claim: ClaimMode::Claim, ..restore(&savepoint) };

    let resources = TaskManagerResources { slots: Some(1), ..jobs::small_resources() };
    let narrow = EmbeddedCluster::new(resources).with_checkpoints(checkpoints::environment(folder.path()));
    fill(&log, 500);
    log.end_all();
    let pass = faults::pass::<u32>();
    let wide = counting_into(&log, pass, checkpoints::often(), 3, committed.sink());
    let error = narrow.submit_restored(wide.plan().unwrap(), Some(&claim), &|| false).err().unwrap();
    assert_eq!(error.code(), "TM-JOB-NOT-ENOUGH-SLOTS");
    assert!(path_of(&savepoint.external_path).join("_metadata").exists(), "it is still there");

    jobs::wait(&submit(&cluster, &wide, Some(&claim))).unwrap();
    assert_counted(committed.values(), keys(500).chain(keys(500)), "with the savepoint that was kept");
}

#[test]
fn what_a_job_was_restored_from_goes_only_when_it_was_claimed() {
    for claim in [ClaimMode::Claim, ClaimMode::NoClaim] {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(SPLITS);
        let (job, committed) = counting(&log, faults::pass::<u32>(), checkpoints::often(), 2);
        let cluster = cluster(folder.path());
        let handle = submit(&cluster, &job, None);
        fill(&log, 500);
        jobs::until("all is read", || log.read_in_all() == 500);
        let savepoint = handle.savepoint(SavepointFormat::Native, AfterSavepoint::Stop, None).unwrap();
        jobs::wait(&handle).unwrap();

        let settings = RestoreSettings { claim, ..restore(&savepoint) };
        let job = counting_into(&log, faults::pass::<u32>(), checkpoints::often(), 1, committed.sink());
        let handle = submit(&cluster, &job, Some(&settings));
        fill(&log, 500);
        jobs::until("all is read", || log.read_in_all() == 1_000);
        handle.checkpoint().unwrap();
        handle.checkpoint().unwrap();
        let there = path_of(&savepoint.external_path).join("_metadata");
        match claim {
            ClaimMode::Claim => jobs::until("the claimed one is deleted", || !there.exists()),
            ClaimMode::NoClaim => assert!(there.exists(), "it is somebody else's"),
        }
        log.end_all();
        jobs::wait(&handle).unwrap();
        assert_counted(committed.values(), keys(500).chain(keys(500)), &format!("{claim:?}"));
    }
}

/// Passes records on until it hears of a checkpoint: then it fails.
struct FailsOnCompletion;

impl Operator for FailsOnCompletion {
    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        out.emit(batch);
        Ok(Progress::Done)
    }

    fn checkpoint_complete(&mut self, _: CheckpointId) -> Result<(), OperatorError> {
        Err(OperatorError::user("it does not want to hear of it"))
    }
}

fn fails_on_completion() -> impl OperatorFactory + 'static {
    stateful(|| FailsOnCompletion)
}

#[test]
fn a_job_that_fails_after_the_savepoint_that_stops_it_is_not_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    let (job, committed) = counting(&log, fails_on_completion(), CheckpointSettings::default(), 2);
    let cluster = cluster(folder.path());
    let handle = submit(&cluster, &job, None);
    fill(&log, 500);
    jobs::until("all is read", || log.read_in_all() == 500);
    let savepoint = handle.savepoint(SavepointFormat::Canonical, AfterSavepoint::Stop, None);
    let ended = jobs::wait(&handle);
    // The restart strategy would have started it again three times.
    assert_eq!(handle.checkpoint_statistics().unwrap().counts().restored, 0);
    assert_eq!(handle.status(), JobStatus::Failed, "{ended:?}");
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("does not want to hear of it"), "{error}");
    let savepoint = savepoint.expect("the savepoint itself was complete");

    // Nothing is lost: another job goes on from it.
    fill(&log, 500);
    log.end_all();
    let job = counting_into(&log, faults::pass::<u32>(), checkpoints::often(), 1, committed.sink());
    jobs::wait(&submit(&cluster, &job, Some(&restore(&savepoint)))).unwrap();
    assert_counted(committed.values(), keys(500).chain(keys(500)), "after the savepoint");
}

#[test]
fn a_task_may_finish_while_its_part_of_a_checkpoint_is_being_stored() {
    let server = S3Server::start();
    let log = Log::new(SPLITS);
    let rarely = CheckpointSettings { interval: Some(Duration::from_secs(3600)), ..checkpoints::often() };
    let (job, committed) = counting(&log, faults::pass::<u32>(), rarely, 2);
    let cluster = jobs::small_cluster().with_checkpoints(checkpoints::environment_of(&server));
    let handle = Arc::new(submit(&cluster, &job, None));
    fill(&log, 500);
    jobs::until("all is read", || log.read_in_all() == 500);
    server.set(|method, _| (method.as_str() == "PUT").then_some(S3Fault::Held));
    let asking = Arc::clone(&handle);
    let checkpoint = std::thread::spawn(move || asking.checkpoint());
    jobs::until("something is being stored", || server.held() > 0);
    fill(&log, 300);
    log.end_all();
    jobs::until("the rest is read", || log.read_in_all() == 800);
    server.release();
    jobs::wait(&handle).unwrap();
    // Whether it has become complete or was given up: it is told.
    let _ = checkpoint.join().unwrap();
    assert_eq!(handle.status(), JobStatus::Finished);
    assert_counted(committed.values(), keys(500).chain(keys(300)), "the end while something was stored");
    jobs::assert_clean(&cluster);
}

#[test]
fn what_cannot_be_stored_is_tolerated_as_often_as_is_said() {
    for tolerable in [0, 1_000] {
        let server = S3Server::start();
        let log = Log::new(SPLITS);
        let settings = CheckpointSettings { tolerable_failed_checkpoints: tolerable, ..checkpoints::often() };
        let (mut job, committed) = counting(&log, faults::pass::<u32>(), settings, 2);
        job.settings.restarts = tidemill_checkpoint::RestartStrategy::none();
        let cluster = jobs::small_cluster().with_checkpoints(checkpoints::environment_of(&server));
        let handle = submit(&cluster, &job, None);
        fill(&log, 500);
        committed.wait_until(|values| values.len() == 500);
        // Not what is repeated: the server refuses.
        server.set(|method, _| (method.as_str() == "PUT").then_some(S3Fault::Status(403)));
        fill(&log, 300);
        let counts = || handle.checkpoint_statistics().unwrap().counts();
        jobs::until("checkpoints fail", || counts().failed >= 1);
        if tolerable == 0 {
            let error = jobs::wait(&handle).unwrap_err().to_string();
            for part in ["execution.checkpointing.tolerable-failed-checkpoints", "s3://bucket/checkpoints"] {
                assert!(error.contains(part), "'{part}' is missing in: {error}");
            }
            assert!(!error.contains("canary"), "{error}");
            continue;
        }
        jobs::until("more of them fail", || counts().failed >= 3);
        server.set(|_, _| None);
        log.end_all();
        jobs::wait(&handle).unwrap();
        assert_counted(committed.values(), keys(500).chain(keys(300)), "after the storage is back");
    }
}

#[test]
fn a_storage_that_is_too_slow_costs_the_checkpoint() {
    let server = S3Server::start();
    let log = Log::new(SPLITS);
    let settings = CheckpointSettings {
        timeout: Duration::from_millis(100),
        tolerable_failed_checkpoints: 1_000,
        ..checkpoints::often()
    };
    let (job, committed) = counting(&log, faults::pass::<u32>(), settings, 2);
    let cluster = jobs::small_cluster().with_checkpoints(checkpoints::environment_of(&server));
    let handle = submit(&cluster, &job, None);
    fill(&log, 500);
    committed.wait_until(|values| values.len() == 500);
    server.set(|method, _| (method.as_str() == "PUT").then_some(S3Fault::Held));
    fill(&log, 300);
    jobs::until("a checkpoint is given up", || handle.checkpoint_statistics().unwrap().counts().failed >= 1);
    let statistics = handle.checkpoint_statistics().unwrap();
    let message = statistics.latest_failed().unwrap().failure_message.clone().unwrap();
    assert!(message.contains("execution.checkpointing.timeout"), "{message}");
    server.release();
    log.end_all();
    jobs::wait(&handle).unwrap();
    assert_counted(committed.values(), keys(500).chain(keys(300)), "after the storage is quick again");
}
