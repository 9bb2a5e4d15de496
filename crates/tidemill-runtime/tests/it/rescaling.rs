//! Jobs whose numbers of subtasks change while they run.

use std::collections::BTreeMap;
use std::time::Duration;

use tidemill_checkpoint::CheckpointSettings;
use tidemill_checkpoint::metadata::CheckpointKind;
use tidemill_core::batch::Batch;
use tidemill_core::config::options::ExternalizedCheckpointRetention;
use tidemill_core::id::JobVertexId;
use tidemill_core::{AfterSavepoint, Classified, SavepointFormat, ScratchFolder};
use tidemill_runtime::cluster::{EmbeddedCluster, JobHandle, JobStatus, TaskManagerResources};
use tidemill_runtime::operator::boxed;
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress};
use tidemill_state::SubtaskSnapshot;
use tidemill_testkit::checkpoints;
use tidemill_testkit::jobs;
use tidemill_testkit::{Log, faults};

use crate::checkpoints::{SPLITS, assert_counted, cluster, counting, fill, keys, settings, submit};

fn all(handle: &JobHandle, parallelism: u32) -> BTreeMap<JobVertexId, u32> {
    handle.graph().vertices.iter().map(|vertex| (vertex.id, parallelism)).collect()
}

fn parallelism(handle: &JobHandle) -> Vec<u32> {
    handle.graph().vertices.iter().map(|vertex| vertex.parallelism).collect()
}

#[test]
fn a_running_job_gets_other_numbers_of_subtasks() {
    for (name, settings) in settings() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(SPLITS);
        let (job, committed) = counting(&log, faults::pass::<u32>(), settings, 2);
        let cluster = cluster(folder.path());
        let handle = submit(&cluster, &job, None);
        let id = handle.id();
        for parallelism in [3, 1, 2] {
            fill(&log, 700);
            let rescaled = handle.rescale(&all(&handle, parallelism)).unwrap();
            assert!(rescaled.downtime > Duration::ZERO);
            assert_eq!(self::parallelism(&handle), [parallelism; 3], "{name}");
            assert_eq!(handle.status(), JobStatus::Running);
            assert_eq!(handle.metrics().tasks.len(), 3 * parallelism as usize);
        }
        // One vertex alone.
        let count = handle.graph().vertices[1].id;
        handle.rescale(&[(count, 3)].into()).unwrap();
        assert_eq!(parallelism(&handle), [2, 3, 2], "{name}");
        assert_eq!(handle.id(), id, "it is the same job");
        log.end_all();
        jobs::wait(&handle).unwrap();
        assert_counted(committed.values(), keys(700).chain(keys(700)).chain(keys(700)), name);
        jobs::assert_clean(&cluster);
    }
}

#[test]
fn without_periodic_checkpoints_too() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    let (job, committed) = counting(&log, faults::pass::<u32>(), CheckpointSettings::default(), 1);
    let handle = submit(&cluster(folder.path()), &job, None);
    fill(&log, 500);
    handle.rescale(&all(&handle, 3)).unwrap();
    fill(&log, 500);
    jobs::until("all is read", || log.read_in_all() == 1_000);
    handle.savepoint(SavepointFormat::Canonical, AfterSavepoint::Drain, None).unwrap();
    jobs::wait(&handle).unwrap();
    assert_counted(committed.values(), keys(500).chain(keys(500)), "without checkpoints");
}

#[test]
fn what_fails_after_it_was_rescaled_goes_on_as_it_is_now() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    let (fails, fuse) = faults::fails_once::<u32>("as the test wants");
    let rarely = CheckpointSettings { interval: Some(Duration::from_secs(3600)), ..checkpoints::often() };
    let (job, committed) = counting(&log, fails, rarely, 2);
    let handle = submit(&cluster(folder.path()), &job, None);
    fill(&log, 500);
    jobs::until("all is read", || log.read_in_all() == 500);
    handle.checkpoint().unwrap();
    handle.rescale(&all(&handle, 3)).unwrap();
    // Should the process end now, what is left is what the sinks have committed.
    let storage = checkpoints::environment(folder.path()).storage;
    let left = storage.block_on(storage.left_by("counting")).unwrap().unwrap();
    let found: Vec<_> = left.checkpoints.iter().map(|(_, found)| (found.checkpoint_id, found.kind)).collect();
    assert_eq!(found, [(2, CheckpointKind::SavepointNative), (1, CheckpointKind::Checkpoint)]);
    fuse.light();
    fill(&log, 500);
    log.end_all();
    jobs::wait(&handle).unwrap();
    assert_eq!(parallelism(&handle), [3, 3, 3]);
    assert_counted(committed.values(), keys(500).chain(keys(500)), "after the failure");
    assert_eq!(handle.checkpoint_statistics().unwrap().counts().restored, 2, "the savepoint, twice");
}

#[test]
fn what_does_not_fit_is_refused_and_the_job_runs_on() {
    let folder = tempfile::tempdir().unwrap();
    let resources = TaskManagerResources { slots: Some(2), ..TaskManagerResources::default() };
    let cluster = EmbeddedCluster::new(resources).with_checkpoints(checkpoints::environment(folder.path()));
    let log = Log::new(SPLITS);
    let (job, committed) = counting(&log, faults::pass::<u32>(), checkpoints::often(), 2);
    let handle = submit(&cluster, &job, None);
    fill(&log, 500);

    let unknown = handle.rescale(&[(JobVertexId(7), 1)].into()).unwrap_err();
    assert!(unknown.to_string().contains("which this job does not have"), "{unknown}");
    let none = handle.rescale(&all(&handle, 0)).unwrap_err();
    assert!(none.to_string().contains("between 1 and the max parallelism"), "{none}");
    let many = handle.rescale(&all(&handle, 129)).unwrap_err();
    assert!(many.to_string().contains("its max parallelism is 128"), "{many}");
    // This is found when it is deployed: it is started as it was.
    let slots = handle.rescale(&all(&handle, 3)).unwrap_err();
    assert_eq!(slots.code(), "TM-JOB-NOT-ENOUGH-SLOTS", "{slots}");
    assert_eq!(parallelism(&handle), [2, 2, 2]);

    fill(&log, 500);
    log.end_all();
    jobs::wait(&handle).unwrap();
    assert_counted(committed.values(), keys(500).chain(keys(500)), "as it was");
    let over = handle.rescale(&all(&handle, 1)).unwrap_err();
    assert!(over.to_string().contains("does not run any more"), "{over}");
    jobs::assert_clean(&cluster);
}

#[test]
fn a_job_that_is_cancelled_meanwhile_ends() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    let (job, _committed) = counting(&log, faults::pass::<u32>(), checkpoints::often(), 2);
    let cluster = cluster(folder.path());
    let handle = submit(&cluster, &job, None);
    fill(&log, 500);
    let canceller = handle.canceller();
    std::thread::scope(|scope| {
        let rescaling = scope.spawn(|| handle.rescale(&all(&handle, 3)));
        canceller.cancel();
        // Whichever came first.
        let _ = rescaling.join().unwrap();
    });
    handle.wait().unwrap_err();
    assert_eq!(handle.status(), JobStatus::Canceled);
    jobs::assert_clean(&cluster);
}

/// Passes records on where there are at most two subtasks.
struct AtMostTwo;

impl Operator for AtMostTwo {
    fn open(&mut self, context: &OperatorContext, _: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        match context.parallelism {
            0..=2 => Ok(()),
            many => Err(OperatorError::user(format!("{many} are too many"))),
        }
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        out.emit(batch);
        Ok(Progress::Done)
    }
}

#[test]
fn tasks_that_fail_when_they_are_opened_bring_the_job_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    let (job, committed) = counting(&log, boxed(|| AtMostTwo), checkpoints::often(), 2);
    let cluster = cluster(folder.path());
    let handle = submit(&cluster, &job, None);
    fill(&log, 500);
    let error = handle.rescale(&all(&handle, 3)).unwrap_err();
    assert!(error.to_string().contains("3 are too many"), "{error}");
    assert_eq!(parallelism(&handle), [2, 2, 2]);
    handle.rescale(&all(&handle, 1)).unwrap();
    fill(&log, 500);
    log.end_all();
    jobs::wait(&handle).unwrap();
    assert_counted(committed.values(), keys(500).chain(keys(500)), "as it was, then narrower");
    jobs::assert_clean(&cluster);
}

#[test]
fn checkpoints_below_the_folder_for_temporary_files_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut environment = checkpoints::environment(folder.path());
    environment.temporary = ScratchFolder::within(folder.path());
    let cluster = jobs::small_cluster().with_checkpoints(environment);
    let log = Log::new(SPLITS);
    let kept = CheckpointSettings {
        interval: Some(Duration::from_secs(3600)),
        retention: ExternalizedCheckpointRetention::RetainOnCancellation,
        ..checkpoints::often()
    };
    let (job, _committed) = counting(&log, faults::pass::<u32>(), kept, 2);
    let handle = submit(&cluster, &job, None);
    handle.rescale(&all(&handle, 1)).unwrap();
    handle.rescale(&all(&handle, 3)).unwrap();
    handle.cancel();
    handle.wait().unwrap_err();
    let storage = checkpoints::environment(folder.path()).storage;
    let left = storage.block_on(storage.left_by("counting")).unwrap();
    assert_eq!(left.unwrap().checkpoints[0].1.checkpoint_id, 2, "the last savepoint is the job's checkpoint");
}
