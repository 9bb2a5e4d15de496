//! Tasks that finish, jobs that restart and end, coordinators that restart.

use tidemill_checkpoint::coordinator::{
    AbortReason, CoordinatedTask, CoordinatorAction as Action, CoordinatorEvent as Event, JobOutcome,
    RequestId, RestoredCheckpoint, RetainedCheckpoint, SnapshotKind, TaskId,
};
use tidemill_checkpoint::{CheckpointCoordinator, CheckpointSettings, CoordinatorError};
use tidemill_core::Classified;
use tidemill_core::config::options::ExternalizedCheckpointRetention as Retention;
use tidemill_core::{AfterSavepoint, SavepointFormat};

use super::{Job, aborted, every_second, failed, kind, refused, tasks, triggered};

fn sources(actions: &[Action]) -> Vec<u32> {
    match actions {
        [Action::TriggerSources { tasks, .. }] => tasks.iter().map(|task| task.0).collect(),
        other => panic!("{other:?}"),
    }
}

fn savepoint(request: u64) -> Event {
    let (request, format) = (RequestId(request), SavepointFormat::Native);
    Event::TriggerSavepoint { request, format, stop: AfterSavepoint::GoOn }
}

fn retained(id: u64) -> RetainedCheckpoint {
    RetainedCheckpoint { id, external_path: format!("/chk-{id}") }
}

fn restored(id: u64, claimed: bool) -> Event {
    let external_path = format!("/chk-{id}");
    let checkpoint = Some(RestoredCheckpoint { id, savepoint: false, external_path, claimed });
    Event::Restored { checkpoint, finished: vec![] }
}

#[test]
fn a_task_that_finishes_without_acknowledging_counts_as_one_that_had_finished() {
    let mut job = Job::triggered(every_second());
    job.acknowledge(1, 0);
    assert_eq!(job.finish(0), [], "it has");
    assert_eq!(job.finish(2), [], "others have not");
    job.acknowledge(1, 1);
    let [Action::WriteMetadata { finished, .. }] = &job.finish(3)[..] else { panic!() };
    assert_eq!(finished, &[TaskId(2), TaskId(3)]);
    let discard = Action::DiscardState { checkpoint_id: 1, task: TaskId(3) };
    assert_eq!(job.acknowledge(1, 3), [discard], "too late");
    assert_eq!(job.written(1), [Action::NotifyCompleted { checkpoint_id: 1 }]);
}

#[test]
fn checkpoints_go_on_after_tasks_have_finished() {
    let mut job = Job::running(every_second());
    job.finish(0);
    assert_eq!(job.finish(0), [], "twice");
    assert_eq!(job.finish(99), [], "none of the job's");
    assert_eq!(sources(&job.at(1_000)), [1]);
    job.acknowledge(1, 1);
    job.acknowledge(1, 2);
    let [Action::WriteMetadata { finished, .. }] = &job.acknowledge(1, 3)[..] else { panic!() };
    assert_eq!(finished, &[TaskId(0)]);
    job.written(1);
    assert_eq!(job.coordinator.statistics().latest_completed().unwrap().acknowledged_subtasks(), 4);
    job.finish(1);
    assert_eq!(sources(&job.at(2_000)), [2, 3], "their inputs have all finished");
    job.acknowledge(2, 2);
    job.finish(2);
    job.acknowledge(2, 3);
    job.finish(3);
    assert_eq!(job.written(2)[0], Action::NotifyCompleted { checkpoint_id: 2 }, "the last one still counts");
    assert_eq!((job.at(3_000), job.deadline()), (vec![], None));
    assert!(matches!(refused(&job.tell(savepoint(1)))[..], [(1, CoordinatorError::TasksFinished(_))]));
}

#[test]
fn checkpoints_end_with_the_first_task_if_so_configured() {
    let settings = CheckpointSettings { checkpoints_after_tasks_finish: false, ..every_second() };
    let mut job = Job::triggered(settings.clone());
    assert_eq!(
        job.finish(2),
        aborted(1, AbortReason::Declined(tidemill_checkpoint::coordinator::DeclineReason::Closing)),
        "no failure"
    );
    assert_eq!((job.at(9_000), job.deadline()), (vec![], None));
    assert!(matches!(refused(&job.tell(savepoint(1)))[..], [(1, CoordinatorError::TasksFinished(_))]));
    // One that it has acknowledged may complete; what waits for room is refused.
    let mut job = Job::triggered(CheckpointSettings { unaligned: true, ..settings });
    job.tell(savepoint(2));
    job.acknowledge(1, 0);
    assert_eq!(refused(&job.finish(0))[0].0, 2);
    job.acknowledge_all(1);
    assert_eq!(job.written(1), [Action::NotifyCompleted { checkpoint_id: 1 }]);
}

#[test]
fn a_failing_job_aborts_all_and_goes_on_after_its_restart() {
    let mut job = Job::triggered(CheckpointSettings { num_retained: 2, incremental: true, ..every_second() });
    job.complete(1);
    job.at(2_000);
    job.tell(savepoint(5));
    let actions = job.tell(Event::JobFailing { message: "boom".into() });
    assert_eq!(actions[..2], aborted(2, AbortReason::JobFailing));
    assert_eq!(actions[2..4], aborted(3, AbortReason::JobFailing));
    assert_eq!((refused(&actions)[0].0, failed(&actions)), (5, None));
    assert_eq!((job.at(60_000), job.deadline()), (vec![], None));
    assert_eq!(job.retained(), [1]);

    assert_eq!(job.tell(Event::RestoreStarted), []);
    assert_eq!(job.tell(Event::Start { first_delay: 0 }), [], "not before it is restored");
    assert_eq!(job.tell(restored(1, false)), []);
    assert_eq!(job.coordinator.statistics().latest_restored().unwrap().id, 1);
    job.tell(Event::Start { first_delay: 500 });
    let actions = job.at(60_500);
    assert_eq!((triggered(&actions), sources(&actions)), (vec![4], vec![0, 1]));
    assert_eq!(kind(&actions), Some(SnapshotKind::Checkpoint { full: false }), "on its own files");
    // Late reports of the attempt before, had they come through.
    let discard = Action::DiscardState { checkpoint_id: 2, task: TaskId(0) };
    assert_eq!(job.acknowledge(2, 0), [discard]);
}

#[test]
fn finished_tasks_begin_again_unless_they_had_finished_in_the_checkpoint() {
    let mut job = Job::running(every_second());
    job.finish(0);
    job.tell(Event::JobFailing { message: "boom".into() });
    job.tell(Event::Start { first_delay: 10 });
    assert_eq!(sources(&job.at(10)), [0, 1]);
    job.tell(Event::JobFailing { message: "boom".into() });
    job.tell(Event::Restored { checkpoint: None, finished: vec![TaskId(1), TaskId(99)] });
    job.tell(Event::Start { first_delay: 10 });
    assert_eq!(sources(&job.at(20)), [0]);
}

#[test]
fn a_restore_that_fails_fails_the_job() {
    let mut job = Job::new(every_second());
    job.tell(Event::RestoreStarted);
    let actions = job.tell(Event::RestoreFailed { message: "file /chk-1/a is gone".into() });
    let Some(error @ CoordinatorError::RestoreFailed { .. }) = failed(&actions) else {
        panic!("{actions:?}")
    };
    assert!(error.retryable() && error.to_string().contains("/chk-1/a"), "{error}");
    assert_eq!(job.tell(Event::RestoreFailed { message: "again".into() }), [], "it is not restoring");
    // The job fails while it restores, and restarts.
    job.tell(Event::JobFailing { message: "cannot restore".into() });
    job.tell(Event::RestoreStarted);
    assert_eq!(job.tell(Event::JobFailing { message: "lost a worker".into() }), []);
    job.tell(Event::RestoreStarted);
    job.tell(Event::Restored { checkpoint: None, finished: vec![] });
    job.tell(Event::Start { first_delay: 0 });
    assert_eq!(job.pending(), [1]);
    assert_eq!(job.tell(restored(9, false)), [], "it runs");
    assert_eq!(job.coordinator.statistics().counts().restored, 0);
}

#[test]
fn a_coordinator_that_restarts_goes_on_with_what_the_storage_knows() {
    let mut job = Job::new(CheckpointSettings { num_retained: 2, ..every_second() });
    let checkpoints = [8, 5, 7].map(retained).to_vec();
    assert_eq!(job.tell(Event::RestoredRetained { checkpoints, next_id: 10 }), []);
    assert_eq!(job.retained(), [5, 7, 8]);
    job.tell(Event::RestoreStarted);
    job.tell(restored(8, true));
    assert_eq!(job.retained(), [5, 7, 8], "it is there already");
    job.tell(Event::Start { first_delay: 1_000 });
    let late = [retained(9)].to_vec();
    job.tell(Event::RestoredRetained { checkpoints: late, next_id: 50 });
    assert_eq!(triggered(&job.at(1_000)), [10], "too late to change anything");
    // What the coordinator before it had under way.
    let discard = Action::DiscardState { checkpoint_id: 9, task: TaskId(0) };
    assert_eq!(job.acknowledge(9, 0), [discard]);
    assert_eq!(job.written(9), [Action::DiscardPending { checkpoint_id: 9 }]);
    let actions = job.complete(10);
    let discards = [5, 7].map(|checkpoint_id| Action::Discard { checkpoint_id });
    assert_eq!(actions[1..], discards);
    assert_eq!(job.retained(), [8, 10]);
}

#[test]
fn the_first_checkpoint_after_a_foreign_one_is_full() {
    let settings = CheckpointSettings { incremental: true, ..every_second() };
    let mut job = Job::new(settings.clone());
    job.tell(restored(41, false));
    job.tell(Event::Start { first_delay: 1_000 });
    for (id, full) in [(42, true), (43, false)] {
        let actions = job.at(id as i64 * 1_000);
        assert_eq!(kind(&actions), Some(SnapshotKind::Checkpoint { full }), "{id}");
        job.complete(id);
    }
    assert_eq!(job.retained(), [43], "it was not claimed");

    let mut job = Job::new(settings);
    job.tell(restored(41, true));
    job.tell(Event::Start { first_delay: 1_000 });
    assert_eq!(kind(&job.at(1_000)), Some(SnapshotKind::Checkpoint { full: false }));
    assert_eq!(job.complete(42)[1], Action::Discard { checkpoint_id: 41 });
}

#[test]
fn what_is_kept_of_a_job_that_has_ended() {
    let kept = |retention, outcome| {
        let mut job = Job::triggered(CheckpointSettings { retention, ..every_second() });
        job.complete(1);
        job.at(2_000);
        let actions = job.tell(Event::Stop { outcome });
        assert_eq!(actions[..2], aborted(2, AbortReason::ShutDown));
        assert_eq!(job.tell(Event::Stop { outcome }), [], "once");
        assert_eq!(job.tell(Event::JobFailing { message: "late".into() }), []);
        assert_eq!((job.at(9_000), job.finish(0), job.deadline()), (vec![], vec![], None));
        actions.get(2) != Some(&Action::Discard { checkpoint_id: 1 })
    };
    use JobOutcome::{Canceled, Failed, Finished, Suspended};
    for (retention, expected) in [
        (Retention::NoExternalizedCheckpoints, [false, false, false, true]),
        (Retention::DeleteOnCancellation, [false, false, true, true]),
        (Retention::RetainOnCancellation, [false, true, true, true]),
    ] {
        let outcomes = [Finished, Canceled, Failed, Suspended].map(|outcome| kept(retention, outcome));
        assert_eq!(outcomes, expected, "{retention}");
    }
}

#[test]
fn tasks_that_are_no_job_are_refused() {
    let refused = |change: fn(&mut Vec<CoordinatedTask>), text: &str| {
        let mut tasks = tasks();
        change(&mut tasks);
        let error = CheckpointCoordinator::new(every_second(), tasks).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    };
    refused(|tasks| tasks.clear(), "none of them is a source");
    refused(|tasks| tasks[2].inputs.push(TaskId(4)), "4 is an input");
    refused(|tasks| tasks[1].subtask = 0, "two subtasks 0");
    refused(|tasks| tasks[1].subtask = u32::MAX, "not numbered from 0");
    let settings = CheckpointSettings { unaligned: true, max_concurrent: 2, ..every_second() };
    let error = CheckpointCoordinator::new(settings, tasks()).unwrap_err();
    assert_eq!(error.code(), "TM-CHECKPOINT-SETTINGS");
    let settings = CheckpointSettings { num_retained: 0, ..every_second() };
    let coordinator = CheckpointCoordinator::new(settings, tasks()).unwrap();
    assert_eq!((coordinator.settings().num_retained, coordinator.notes().len()), (1, 1));
}
