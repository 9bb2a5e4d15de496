//! Periodic checkpoints: when they are triggered, and how they end.

use std::time::Duration;

use tidemill_checkpoint::coordinator::{
    AbortReason, CoordinatorAction as Action, CoordinatorEvent as Event, DeclineReason, SnapshotKind, TaskId,
    TriggerOptions,
};
use tidemill_checkpoint::statistics::SubtaskStatistics;
use tidemill_checkpoint::{CheckpointSettings, CoordinatorError};
use tidemill_core::BarrierAlignment;
use tidemill_core::Classified;
use tidemill_core::config::options::CheckpointingMode;

use super::{Job, aborted, every_second, failed, triggered};

fn tolerant() -> CheckpointSettings {
    CheckpointSettings { tolerable_failed_checkpoints: 10, ..every_second() }
}

#[test]
fn from_trigger_to_completion() {
    let mut job = Job::running(every_second());
    assert_eq!(job.deadline(), Some(1_000));
    assert_eq!(job.at(999), []);
    let options = TriggerOptions {
        kind: SnapshotKind::Checkpoint { full: true },
        alignment: BarrierAlignment::Aligned,
    };
    let tasks = vec![TaskId(0), TaskId(1)];
    let trigger = Action::TriggerSources { checkpoint_id: 1, timestamp: 1_000, tasks, options };
    assert_eq!(job.at(1_000), [trigger]);
    assert_eq!(job.deadline(), Some(2_000));
    for task in [0, 2, 1] {
        assert_eq!(job.acknowledge(1, task), []);
    }
    let SnapshotKind::Checkpoint { .. } = options.kind else { panic!() };
    let write =
        Action::WriteMetadata { checkpoint_id: 1, timestamp: 1_000, kind: options.kind, finished: vec![] };
    assert_eq!(job.acknowledge(1, 3), [write]);
    assert_eq!(job.pending(), [1]);
    assert_eq!(job.written(1), [Action::NotifyCompleted { checkpoint_id: 1 }]);
    assert_eq!((job.pending(), job.retained()), (vec![], vec![1]));
    let latest = job.coordinator.statistics().latest_completed().unwrap();
    assert_eq!((latest.state_size(), latest.external_path.as_deref()), (40, Some("/chk-1")));

    assert_eq!(triggered(&job.at(2_000)), [2]);
    let actions = job.complete(2);
    assert_eq!(actions, [Action::NotifyCompleted { checkpoint_id: 2 }, Action::Discard { checkpoint_id: 1 }]);
    assert_eq!(job.retained(), [2]);
    assert!(job.coordinator.statistics().get(1).unwrap().discarded);
}

#[test]
fn without_interval_none_is_triggered() {
    let mut job = Job::running(CheckpointSettings::default());
    assert_eq!((job.at(1_000_000), job.deadline()), (vec![], None));
}

#[test]
fn so_many_are_retained() {
    let mut job = Job::running(CheckpointSettings { num_retained: 3, ..every_second() });
    for id in 1..=5 {
        assert_eq!(triggered(&job.at(id as i64 * 1_000)), [id]);
        job.complete(id);
    }
    assert_eq!(job.retained(), [3, 4, 5]);
}

#[test]
fn barriers_as_the_settings_say() {
    let alignment = |settings: CheckpointSettings| {
        let mut job = Job::running(settings);
        match &job.at(1_000)[..] {
            [Action::TriggerSources { options, .. }] => options.alignment,
            other => panic!("{other:?}"),
        }
    };
    let unaligned = CheckpointSettings { unaligned: true, ..every_second() };
    assert_eq!(alignment(unaligned.clone()), BarrierAlignment::Unaligned);
    let aligned_checkpoint_timeout = Duration::from_secs(3);
    let with_timeout = CheckpointSettings { aligned_checkpoint_timeout, ..unaligned.clone() };
    assert_eq!(alignment(with_timeout), BarrierAlignment::AlignedFor(3_000));
    let at_least_once = CheckpointSettings { mode: CheckpointingMode::AtLeastOnce, ..unaligned };
    assert_eq!(alignment(at_least_once), BarrierAlignment::AtLeastOnce);
}

#[test]
fn a_trigger_without_room_waits_and_several_become_one() {
    let mut job = Job::triggered(every_second());
    assert_eq!(job.at(2_000), []);
    assert_eq!(job.at(3_500), []);
    job.now = 3_700;
    let actions = job.complete(1);
    assert_eq!(actions[0], Action::NotifyCompleted { checkpoint_id: 1 });
    assert_eq!(triggered(&actions), [2]);
    job.now = 3_800;
    assert!(triggered(&job.complete(2)).is_empty());
    assert_eq!(job.deadline(), Some(4_700), "an interval after the last");
}

#[test]
fn overlapping_checkpoints_subsume_older_ones() {
    let mut job = Job::triggered(CheckpointSettings { max_concurrent: 3, ..every_second() });
    assert_eq!((triggered(&job.at(2_000)), triggered(&job.at(3_000))), (vec![2], vec![3]));
    assert_eq!(job.at(4_000), []);
    let writing = job.acknowledge_all(1);
    assert!(matches!(writing[..], [Action::WriteMetadata { checkpoint_id: 1, .. }]));
    let mut expected = aborted(1, AbortReason::Subsumed).to_vec();
    expected.push(Action::NotifyCompleted { checkpoint_id: 2 });
    let actions = job.complete(2);
    assert_eq!(actions[..3], expected);
    assert_eq!(triggered(&actions), [4], "room for the one that waited");
    assert_eq!(job.pending(), [3, 4]);
    assert_eq!(job.written(1), [Action::DiscardPending { checkpoint_id: 1 }]);
    assert_eq!(job.retained(), [2]);
    assert_eq!(failed(&actions), None);
}

#[test]
fn the_pause_counts_from_the_end_of_the_last() {
    let min_pause = Duration::from_millis(800);
    let mut job =
        Job::triggered(CheckpointSettings { min_pause, tolerable_failed_checkpoints: 1, ..every_second() });
    job.now = 1_900;
    job.complete(1);
    assert_eq!(job.at(2_000), []);
    assert_eq!(job.deadline(), Some(2_700));
    assert_eq!(job.at(2_699), []);
    assert_eq!(triggered(&job.at(2_700)), [2]);
    assert_eq!(job.deadline(), Some(3_700));
    job.now = 3_600;
    job.decline(2, DeclineReason::Failed);
    assert_eq!(job.at(3_700), []);
    assert_eq!(triggered(&job.at(4_400)), [3]);
}

#[test]
fn what_takes_too_long_expires() {
    let timeout = Duration::from_millis(1_500);
    let mut job = Job::triggered(CheckpointSettings { timeout, ..tolerant() });
    job.acknowledge(1, 0);
    assert_eq!(job.at(2_499), []);
    let actions = job.at(2_500);
    assert_eq!(actions[..2], aborted(1, AbortReason::Expired));
    assert_eq!(triggered(&actions), [2]);
    let failure = job.coordinator.statistics().latest_failed().unwrap();
    let message = failure.failure_message.as_deref().unwrap();
    assert!(message.starts_with("Checkpoint expired before completing. 3 of its tasks"), "{message}");
    // Late acknowledgements.
    let discard = Action::DiscardState { checkpoint_id: 1, task: TaskId(1) };
    assert_eq!(job.acknowledge(1, 1), [discard]);
    assert_eq!(job.decline(1, DeclineReason::Failed), []);
    // An acknowledgement in the last moment counts.
    (0..3).for_each(|task| assert_eq!(job.acknowledge(2, task), []));
    job.now = 4_000;
    let actions = job.acknowledge(2, 3);
    assert!(matches!(actions[0], Action::WriteMetadata { checkpoint_id: 2, .. }), "{actions:?}");
    assert_eq!(actions[1..3], aborted(2, AbortReason::Expired), "but the metadata are late");
    assert_eq!(job.written(2), [Action::DiscardPending { checkpoint_id: 2 }]);
}

#[test]
fn reports_that_come_twice_or_from_nowhere() {
    let mut job = Job::triggered(every_second());
    assert_eq!((job.acknowledge(1, 0), job.acknowledge(1, 0)), (vec![], vec![]));
    let unknown = Action::DiscardState { checkpoint_id: 1, task: TaskId(9) };
    assert_eq!(job.acknowledge(1, 9), [unknown]);
    assert_eq!(job.written(1), [], "not all have acknowledged");
    let failed = Event::MetadataFailed { checkpoint_id: 1, message: "no".into() };
    assert_eq!(job.tell(failed), [], "nor that");
    job.complete(1);
    assert_eq!(job.acknowledge(1, 0), [], "it is complete: its state stays");
    assert_eq!(job.written(1), []);
    let never = Action::DiscardState { checkpoint_id: 77, task: TaskId(0) };
    assert_eq!(job.acknowledge(77, 0), [never]);
    assert_eq!(job.retained(), [1]);
}

#[test]
fn failures_in_a_row_fail_the_job_and_a_success_forgets_them() {
    let mut job = Job::running(CheckpointSettings { tolerable_failed_checkpoints: 1, ..every_second() });
    let end = |job: &mut Job, id: u64, reason| {
        assert_eq!(triggered(&job.at(id as i64 * 1_000)), [id]);
        job.decline(id, reason)
    };
    assert_eq!(end(&mut job, 1, DeclineReason::Io), aborted(1, AbortReason::Declined(DeclineReason::Io)));
    job.at(2_000);
    job.complete(2);
    assert_eq!(failed(&end(&mut job, 3, DeclineReason::AsyncFailed)), None);
    let actions = end(&mut job, 4, DeclineReason::Failed);
    let Some(error @ CoordinatorError::TooManyFailures { tolerable: 1, last }) = failed(&actions) else {
        panic!("{actions:?}")
    };
    assert!(error.retryable());
    assert!(last.starts_with("Checkpoint was declined. Subtask 1 of the vertex "), "{last}");
    assert!(last.ends_with(": why"), "{last}");
    assert_eq!(failed(&end(&mut job, 5, DeclineReason::Failed)), None, "counted from the start again");
}

#[test]
fn only_what_the_checkpoint_is_to_blame_for_counts() {
    use DeclineReason::{
        AsyncFailed, CancellationBarrier, Closing, Failed, InputEnded, Io, NotReady, Subsumed,
    };
    for reason in [CancellationBarrier, Closing, InputEnded, NotReady, Subsumed] {
        let mut job = Job::triggered(every_second());
        assert_eq!(job.decline(1, reason), aborted(1, AbortReason::Declined(reason)), "{reason:?}");
    }
    for reason in [AsyncFailed, Failed, Io] {
        let mut job = Job::triggered(every_second());
        assert!(failed(&job.decline(1, reason)).is_some(), "{reason:?}");
    }
    let mut job = Job::triggered(every_second());
    let actions = job.tell(Event::TriggerFailed { checkpoint_id: 1, message: "no folder".into() });
    assert_eq!(actions[..2], aborted(1, AbortReason::TriggerFailed));
    assert!(failed(&actions).is_some());
    let mut job = Job::triggered(every_second());
    job.acknowledge_all(1);
    let actions = job.tell(Event::MetadataFailed { checkpoint_id: 1, message: "disk full".into() });
    assert_eq!(actions[..2], aborted(1, AbortReason::FinalizeFailed));
    assert!(failed(&actions).unwrap().to_string().contains("disk full"));
    assert_eq!(job.written(1), [Action::DiscardPending { checkpoint_id: 1 }]);
}

#[test]
fn a_backlog_changes_the_interval() {
    let interval_during_backlog = Some(Duration::from_secs(5));
    let mut job = Job::running(CheckpointSettings { interval_during_backlog, ..every_second() });
    job.tell(Event::BacklogChanged { backlog: true });
    assert_eq!(triggered(&job.at(1_000)), [1], "what was scheduled stays");
    job.complete(1);
    assert_eq!(job.deadline(), Some(6_000));
    job.now = 2_500;
    job.tell(Event::BacklogChanged { backlog: false });
    assert_eq!(job.deadline(), Some(3_500));
    job.tell(Event::BacklogChanged { backlog: false });
    assert_eq!(job.deadline(), Some(3_500));

    let none = CheckpointSettings { interval_during_backlog: Some(Duration::ZERO), ..every_second() };
    let mut job = Job::running(none.clone());
    job.tell(Event::BacklogChanged { backlog: true });
    assert_eq!((job.at(9_000), job.deadline()), (vec![], None));
    job.tell(Event::BacklogChanged { backlog: false });
    assert_eq!(job.deadline(), Some(10_000));
    let mut job = Job::new(none);
    job.tell(Event::BacklogChanged { backlog: true });
    job.tell(Event::Start { first_delay: 10 });
    assert_eq!(job.deadline(), None);
    job.tell(Event::JobFailing { message: "boom".into() });
    job.tell(Event::Start { first_delay: 10 });
    assert_eq!(job.deadline(), Some(10), "the sources of the next attempt have said nothing yet");
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut job = Job::triggered(every_second());
    let event =
        Event::Acknowledge { task: TaskId(0), checkpoint_id: 1, statistics: SubtaskStatistics::default() };
    job.coordinator.handle(-5_000, event);
    assert_eq!(job.coordinator.statistics().get(1).unwrap().end_to_end_duration(), Some(0));
    assert_eq!(job.deadline(), Some(2_000));
}
