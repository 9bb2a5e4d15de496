//! Savepoints, and checkpoints by hand.

use tidemill_checkpoint::coordinator::{
    AbortReason, CompletedSnapshot, CoordinatorAction as Action, CoordinatorEvent as Event, DeclineReason,
    JobOutcome, ManualCheckpoint, RequestId, SnapshotKind,
};
use tidemill_checkpoint::{CheckpointSettings, CoordinatorError};
use tidemill_core::Classified;
use tidemill_core::{AfterSavepoint, BarrierAlignment, SavepointFormat};

use super::{Job, aborted, every_second, failed, kind, refused, triggered};

fn savepoint(request: u64, stop: AfterSavepoint) -> Event {
    Event::TriggerSavepoint { request: RequestId(request), format: SavepointFormat::Canonical, stop }
}

fn checkpoint(request: u64, checkpoint: ManualCheckpoint) -> Event {
    Event::TriggerCheckpoint { request: RequestId(request), checkpoint }
}

#[test]
fn a_savepoint_goes_beside_checkpoints() {
    let mut job = Job::triggered(every_second());
    job.now = 1_100;
    let actions = job.tell(savepoint(7, AfterSavepoint::GoOn));
    assert_eq!(triggered(&actions), [2]);
    let Some(kind) = kind(&actions) else { panic!() };
    assert!(kind.is_savepoint() && !kind.is_synchronous());
    assert_eq!(job.complete(1), [Action::NotifyCompleted { checkpoint_id: 1 }]);
    assert_eq!(job.at(2_000), [], "a savepoint under way takes room");
    job.now = 2_500;
    let actions = job.complete(2);
    let result = CompletedSnapshot {
        id: 2,
        kind,
        external_path: "/chk-2".into(),
        trigger_timestamp: 1_100,
        completion_timestamp: 2_500,
    };
    assert_eq!(actions[0], Action::CompleteRequest { request: RequestId(7), result });
    assert_eq!((triggered(&actions), actions.len()), (vec![3], 2), "no notice, nothing discarded");
    assert_eq!(job.retained(), [1]);
    assert_eq!(job.coordinator.statistics().latest_savepoint().unwrap().id, 2);
}

#[test]
fn a_younger_checkpoint_does_not_subsume_a_savepoint() {
    let mut job = Job::triggered(CheckpointSettings { max_concurrent: 9, ..every_second() });
    job.tell(savepoint(1, AfterSavepoint::GoOn));
    assert_eq!(triggered(&job.at(2_000)), [3]);
    let actions = job.complete(3);
    assert_eq!(actions[..2], aborted(1, AbortReason::Subsumed));
    assert_eq!(job.pending(), [2]);
    assert_eq!(triggered(&job.at(3_000)), [4]);
    assert!(matches!(job.complete(2)[..], [Action::CompleteRequest { .. }]));
    assert_eq!((job.pending(), job.retained()), (vec![4], vec![3]));
}

#[test]
fn a_savepoint_waits_where_checkpoints_cannot_overlap() {
    let mut job = Job::triggered(CheckpointSettings { unaligned: true, ..every_second() });
    assert_eq!(job.tell(checkpoint(1, ManualCheckpoint::Full)), []);
    assert_eq!(job.tell(savepoint(2, AfterSavepoint::GoOn)), []);
    assert_eq!(job.tell(savepoint(3, AfterSavepoint::GoOn)), []);
    let mut order = Vec::new();
    let mut actions = job.complete(1);
    while let Some(kind) = kind(&actions) {
        order.push(kind.is_savepoint());
        if kind.is_savepoint() {
            let aligned = |action: &Action| matches!(action, Action::TriggerSources { options, .. } if options.alignment == BarrierAlignment::Aligned);
            assert!(actions.iter().any(aligned), "{actions:?}");
        }
        actions = job.complete(triggered(&actions)[0]);
    }
    assert_eq!(order, [true, true, false], "savepoints first");
}

#[test]
fn a_checkpoint_by_hand_waits_for_room_and_not_for_the_pause() {
    let min_pause = std::time::Duration::from_millis(900);
    let mut job = Job::triggered(CheckpointSettings { min_pause, incremental: true, ..every_second() });
    for (request, wanted) in
        [(1, ManualCheckpoint::Configured), (2, ManualCheckpoint::Full), (3, ManualCheckpoint::Incremental)]
    {
        assert_eq!(job.tell(checkpoint(request, wanted)), []);
    }
    let mut kinds = Vec::new();
    for id in 1..=3 {
        let actions = job.complete(id);
        kinds.push(kind(&actions).unwrap());
    }
    assert_eq!(kinds, [false, true, false].map(|full| SnapshotKind::Checkpoint { full }));
    let actions = job.complete(4);
    assert!(
        matches!(&actions[..], [.., Action::CompleteRequest { request: RequestId(3), result }] if result.id == 4)
    );
    assert_eq!(job.retained(), [4], "they are checkpoints like others");
}

#[test]
fn requests_are_refused_while_the_job_does_not_run() {
    let mut job = Job::new(every_second());
    assert_eq!(refused(&job.tell(savepoint(1, AfterSavepoint::GoOn))), [(1, &CoordinatorError::NotRunning)]);
    job.tell(Event::RestoreStarted);
    let actions = job.tell(checkpoint(2, ManualCheckpoint::Full));
    assert_eq!(refused(&actions), [(2, &CoordinatorError::NotRunning)]);
    job.tell(Event::Stop { outcome: JobOutcome::Failed });
    assert_eq!(refused(&job.tell(savepoint(3, AfterSavepoint::Stop))), [(3, &CoordinatorError::ShutDown)]);
}

#[test]
fn not_more_than_a_thousand_wait() {
    let mut job = Job::triggered(every_second());
    for request in 0..1_000 {
        assert_eq!(job.tell(checkpoint(request, ManualCheckpoint::Configured)), []);
    }
    let actions = job.tell(checkpoint(1_000, ManualCheckpoint::Configured));
    assert_eq!(refused(&actions), [(1_000, &CoordinatorError::TooManyRequests { waiting: 1_000 })]);
    let actions = job.tell(savepoint(1_001, AfterSavepoint::Stop));
    assert_eq!(refused(&actions)[0].0, 1_001);
}

#[test]
fn failed_savepoints_are_answered_and_count_where_tasks_decline() {
    let mut job = Job::running(every_second());
    job.tell(savepoint(1, AfterSavepoint::GoOn));
    let actions = job.tell(Event::TriggerFailed { checkpoint_id: 1, message: "no folder".into() });
    assert_eq!(failed(&actions), None);
    let [(1, error)] = refused(&actions)[..] else { panic!("{actions:?}") };
    assert!(error.to_string().starts_with("the savepoint 1 did not complete: "), "{error}");
    assert!(error.to_string().ends_with(" no folder") && error.retryable(), "{error}");
    job.tell(savepoint(2, AfterSavepoint::GoOn));
    let actions = job.at(700_000);
    assert_eq!(actions[..2], aborted(2, AbortReason::Expired));
    assert_eq!((refused(&actions)[0].0, failed(&actions)), (2, None));
    job.tell(savepoint(3, AfterSavepoint::GoOn));
    let actions = job.decline(4, DeclineReason::Failed);
    assert_eq!(refused(&actions)[0].0, 3);
    assert!(matches!(failed(&actions), Some(CoordinatorError::TooManyFailures { .. })));
}

#[test]
fn a_failure_older_than_the_last_success_does_not_count() {
    let mut job = Job::running(CheckpointSettings { max_concurrent: 2, ..every_second() });
    job.tell(savepoint(1, AfterSavepoint::GoOn));
    assert_eq!(triggered(&job.at(1_000)), [2]);
    job.complete(2);
    let actions = job.decline(1, DeclineReason::Failed);
    assert_eq!((refused(&actions)[0].0, failed(&actions)), (1, None));
}

#[test]
fn stopping_suspends_everything_else() {
    let mut job = Job::triggered(CheckpointSettings { max_concurrent: 2, ..every_second() });
    job.tell(savepoint(1, AfterSavepoint::GoOn));
    job.tell(checkpoint(2, ManualCheckpoint::Full));
    let actions = job.tell(savepoint(3, AfterSavepoint::Drain));
    assert_eq!(actions[..2], aborted(1, AbortReason::Suspended));
    assert_eq!(actions[2..4], aborted(2, AbortReason::Suspended));
    assert_eq!(refused(&actions).iter().map(|(request, _)| *request).collect::<Vec<_>>(), [1, 2]);
    assert_eq!((triggered(&actions), failed(&actions)), (vec![3], None));
    assert!(kind(&actions).is_some_and(SnapshotKind::is_synchronous));
    for request in [savepoint(4, AfterSavepoint::Stop), checkpoint(4, ManualCheckpoint::Full)] {
        assert_eq!(refused(&job.tell(request)), [(4, &CoordinatorError::Stopping)]);
    }
    job.tell(Event::BacklogChanged { backlog: true });
    assert_eq!(job.at(9_000), [], "no periodic ones");
    let actions = job.complete(3);
    assert!(
        matches!(
            &actions[..],
            [
                Action::NotifyCompleted { checkpoint_id: 3 },
                Action::CompleteRequest { request: RequestId(3), .. }
            ]
        ),
        "{actions:?}"
    );
    assert_eq!((job.at(90_000), job.deadline()), (vec![], None));
    assert_eq!(refused(&job.tell(savepoint(5, AfterSavepoint::Stop))), [(5, &CoordinatorError::Stopping)]);
    for task in 0..4 {
        assert_eq!(job.finish(task), []);
    }
    assert_eq!(job.tell(Event::Stop { outcome: JobOutcome::Finished }), []);
}

#[test]
fn a_job_that_cannot_be_stopped_fails_and_may_restart() {
    let mut job = Job::running(every_second());
    job.tell(savepoint(1, AfterSavepoint::Stop));
    let actions = job.decline(1, DeclineReason::NotReady);
    assert_eq!(refused(&actions)[0].0, 1);
    let Some(error @ CoordinatorError::StopFailed { checkpoint_id: 1, .. }) = failed(&actions) else {
        panic!("{actions:?}")
    };
    assert!(error.retryable());
    assert_eq!(triggered(&job.at(1_000)), [2], "until then it goes on");

    let mut job = Job::running(every_second());
    job.tell(savepoint(1, AfterSavepoint::Stop));
    let actions = job.tell(Event::JobFailing { message: "boom".into() });
    assert_eq!((refused(&actions)[0].0, failed(&actions)), (1, None));
    assert_eq!(job.deadline(), None);
}

#[test]
fn a_failure_after_the_last_savepoint_is_final() {
    let mut job = Job::running(every_second());
    job.tell(savepoint(1, AfterSavepoint::Stop));
    job.complete(1);
    let actions = job.tell(Event::JobFailing { message: "boom".into() });
    let Some(error @ CoordinatorError::FailedAfterSavepoint { .. }) = failed(&actions) else {
        panic!("{actions:?}")
    };
    assert!(!error.retryable() && error.to_string().contains("/chk-1"), "{error}");
}
