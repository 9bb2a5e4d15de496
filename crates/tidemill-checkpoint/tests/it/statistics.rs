//! Figures of checkpoints.

use tidemill_checkpoint::coordinator::{CoordinatedTask, RestoredCheckpoint, SnapshotKind, TaskId};
use tidemill_checkpoint::statistics::{CheckpointStatus, Counts, Statistics, SubtaskStatistics, Summary};
use tidemill_core::JobVertexId;
use tidemill_core::{AfterSavepoint, SavepointFormat};

const CHECKPOINT: SnapshotKind = SnapshotKind::Checkpoint { full: false };
const SAVEPOINT: SnapshotKind =
    SnapshotKind::Savepoint { format: SavepointFormat::Canonical, stop: AfterSavepoint::GoOn };

/// A vertex of two subtasks and one of one.
fn tasks() -> Vec<CoordinatedTask> {
    let task = |name: &str, subtask, inputs: &[u32]| CoordinatedTask {
        vertex: JobVertexId::from_name(name),
        subtask,
        inputs: inputs.iter().copied().map(TaskId).collect(),
    };
    vec![task("source", 0, &[]), task("source", 1, &[]), task("sink", 0, &[0, 1])]
}

fn figures(state_size: u64, checkpointed_size: u64) -> SubtaskStatistics {
    SubtaskStatistics {
        state_size,
        checkpointed_size,
        start_delay: state_size / 10,
        alignment_duration: 4,
        sync_duration: 5,
        async_duration: 6,
        processed_data: 7,
        persisted_data: 8,
        unaligned: false,
    }
}

fn complete(statistics: &mut Statistics, id: u64, kind: SnapshotKind) {
    let at = id as i64 * 1_000;
    statistics.triggered(id, kind, at, &[]);
    for task in 0..3 {
        statistics.acknowledged(id, TaskId(task), at + 10 * i64::from(task + 1), figures(100 * id, id));
    }
    statistics.completed(id, at + 50, &format!("/chk-{id}"), 33);
}

#[test]
fn one_checkpoint_from_trigger_to_completion() {
    let mut statistics = Statistics::new(10, &tasks());
    statistics.triggered(7, CHECKPOINT, 1_000, &[TaskId(1)]);
    let checkpoint = statistics.get(7).unwrap();
    assert_eq!((checkpoint.subtasks(), checkpoint.acknowledged_subtasks()), (3, 1), "one had finished");
    assert_eq!(checkpoint.tasks[0].status(checkpoint.status), CheckpointStatus::InProgress);

    statistics.acknowledged(7, TaskId(0), 1_020, figures(100, 10));
    assert_eq!(statistics.get(7).unwrap().end_to_end_duration(), Some(20));
    statistics.acknowledged(7, TaskId(2), 1_050, SubtaskStatistics { unaligned: true, ..figures(300, 30) });
    statistics.completed(7, 1_060, "/chk-7", 99);

    let checkpoint = statistics.latest_completed().unwrap();
    assert_eq!((checkpoint.state_size(), checkpoint.checkpointed_size()), (400, 40));
    assert_eq!((checkpoint.processed_data(), checkpoint.persisted_data()), (14, 16));
    assert_eq!(
        (checkpoint.latest_ack_timestamp(), checkpoint.end_to_end_duration()),
        (Some(1_050), Some(50))
    );
    assert_eq!((checkpoint.end_timestamp, checkpoint.metadata_size), (Some(1_060), Some(99)));
    assert_eq!(checkpoint.external_path.as_deref(), Some("/chk-7"));
    assert_eq!(
        (checkpoint.type_name(), checkpoint.status),
        ("UNALIGNED_CHECKPOINT", CheckpointStatus::Completed)
    );
    assert_eq!(checkpoint.tasks[0].status(checkpoint.status), CheckpointStatus::Completed);
    let source = checkpoint.tasks[0].summary();
    assert_eq!((source.start_delay.snapshot().min, source.start_delay.snapshot().max), (0, 10));
    assert_eq!(source.sync_duration.snapshot().max, 5);
    assert_eq!(source.async_duration.snapshot().max, 6);
    assert_eq!(source.alignment_duration.snapshot().max, 4);
    assert_eq!(source.end_to_end_duration.snapshot().max, 20);
}

#[test]
fn a_failure_keeps_its_message() {
    let mut statistics = Statistics::new(10, &tasks());
    statistics.triggered(1, CHECKPOINT, 1_000, &[]);
    assert_eq!(statistics.get(1).unwrap().end_to_end_duration(), None);
    statistics.failed(1, 1_500, "Checkpoint expired before completing.");
    let failed = statistics.latest_failed().unwrap();
    assert_eq!((failed.status, failed.end_to_end_duration()), (CheckpointStatus::Failed, Some(500)));
    assert_eq!(failed.failure_message.as_deref(), Some("Checkpoint expired before completing."));
    statistics.completed(1, 1_600, "/chk-1", 1);
    statistics.failed(1, 1_600, "again");
    assert_eq!(statistics.counts(), Counts { failed: 1, ..Counts::default() }, "it ends once");
    assert!(statistics.latest_completed().is_none());
}

#[test]
fn history_is_bounded_and_the_latest_of_each_kind_stay() {
    let mut statistics = Statistics::new(3, &tasks());
    complete(&mut statistics, 1, SAVEPOINT);
    statistics.triggered(2, CHECKPOINT, 2_000, &[]);
    statistics.failed(2, 2_010, "no");
    statistics.triggered(3, CHECKPOINT, 3_000, &[]);
    for id in 4..=8 {
        complete(&mut statistics, id, CHECKPOINT);
    }
    let ids: Vec<u64> = statistics.history().map(|checkpoint| checkpoint.id).collect();
    assert_eq!(ids, [8, 7, 6]);
    assert_eq!(statistics.latest_savepoint().map(|checkpoint| checkpoint.id), Some(1));
    assert_eq!(statistics.latest_savepoint().unwrap().type_name(), "SAVEPOINT");
    assert_eq!(statistics.latest_failed().map(|checkpoint| checkpoint.id), Some(2));
    assert_eq!(statistics.latest_completed().map(|checkpoint| checkpoint.id), Some(8));
    assert!(statistics.get(3).is_some(), "it is under way");
    assert!(statistics.get(4).is_none() && statistics.get(5).is_none());
    assert_eq!(statistics.counts(), Counts { restored: 0, in_progress: 1, completed: 6, failed: 1 });
    assert_eq!(statistics.counts().total(), 8);
    statistics.discarded(7);
    assert!(statistics.get(7).unwrap().discarded && !statistics.get(8).unwrap().discarded);

    let mut none = Statistics::new(0, &tasks());
    complete(&mut none, 1, CHECKPOINT);
    complete(&mut none, 2, CHECKPOINT);
    assert_eq!(
        (none.history().count(), none.latest_completed().map(|checkpoint| checkpoint.id)),
        (0, Some(2))
    );
    assert!(none.get(1).is_none());
}

#[test]
fn summaries_and_what_was_restored() {
    let mut statistics = Statistics::new(2, &tasks());
    for id in 1..=4 {
        complete(&mut statistics, id, CHECKPOINT);
    }
    let state = statistics.summary().state_size.snapshot();
    assert_eq!((state.count, state.min, state.max, state.avg), (4, 300, 1_200, 750));
    assert_eq!((state.p50, state.p999), (Some(750.0), Some(1_200.0)));
    assert_eq!(statistics.summary().end_to_end_duration.snapshot().max, 30);
    let from = RestoredCheckpoint { id: 4, savepoint: false, external_path: "/chk-4".into(), claimed: true };
    statistics.restored(&from, 9_000);
    let restored = statistics.latest_restored().unwrap();
    assert_eq!((restored.id, restored.restore_timestamp, statistics.counts().restored), (4, 9_000, 1));
}

#[test]
fn quantiles_are_over_the_last_values_and_the_rest_over_all() {
    let mut summary = Summary::default();
    summary.add(u64::MAX);
    for value in 1..=10_000 {
        summary.add(value);
    }
    let snapshot = summary.snapshot();
    assert_eq!((snapshot.count, snapshot.min, snapshot.max), (10_001, 1, u64::MAX));
    assert_eq!((snapshot.p50, snapshot.p90), (Some(5_000.5), Some(9_000.9)));
    let mut one = Summary::default();
    one.add(5);
    assert_eq!((one.snapshot().p50, one.snapshot().p999), (Some(5.0), Some(5.0)));
}
