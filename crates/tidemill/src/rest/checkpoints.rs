//! Figures of checkpoints.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Map, Value, json};
use tidemill_checkpoint::coordinator::SnapshotKind;
use tidemill_checkpoint::statistics::{
    CheckpointStatistics, CheckpointStatus, RestoredStatistics, Statistics, SubtaskRecord, TaskStatistics,
};
use tidemill_core::SavepointFormat;
use tidemill_core::config::options::{CheckpointingMode, ExternalizedCheckpointRetention};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::routes::vertex;
use super::summary::{none, stat};

/// What is not known, as Flink has it.
const UNKNOWN: i64 = -1;

impl Shared {
    fn statistics(&self) -> Result<Statistics, Refusal> {
        self.job.checkpoint_statistics().ok_or_else(|| {
            Refusal::not_found(
                "nothing is known of checkpoints yet: the job has no place for them, or has just begun",
            )
        })
    }
}

pub(super) async fn overview(
    State(shared): State<Arc<Shared>>,
    Path(jid): Path<String>,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    let statistics = shared.statistics()?;
    let (counts, summary) = (statistics.counts(), statistics.summary());
    let brief = |checkpoint: Option<&CheckpointStatistics>| checkpoint.map(|it| describe(it, false));
    Ok(Answer::ok(json!({
        "counts": {
            "restored": counts.restored,
            "total": counts.total(),
            "in_progress": counts.in_progress,
            "completed": counts.completed,
            "failed": counts.failed,
        },
        "summary": {
            "checkpointed_size": stat(&summary.checkpointed_size),
            "state_size": stat(&summary.state_size),
            "end_to_end_duration": stat(&summary.end_to_end_duration),
            "alignment_buffered": none(),
            "processed_data": stat(&summary.processed_data),
            "persisted_data": stat(&summary.persisted_data),
        },
        "latest": {
            "completed": brief(statistics.latest_completed()),
            "savepoint": brief(statistics.latest_savepoint()),
            "failed": brief(statistics.latest_failed()),
            "restored": statistics.latest_restored().map(restored),
        },
        "history": statistics.history().map(|checkpoint| describe(checkpoint, false)).collect::<Vec<_>>(),
    })))
}

fn restored(restored: &RestoredStatistics) -> Value {
    json!({
        "id": restored.id,
        "restore_timestamp": restored.restore_timestamp,
        "is_savepoint": restored.savepoint,
        "external_path": restored.external_path,
    })
}

/// What Flink's reference calls CP.
fn describe(checkpoint: &CheckpointStatistics, with_tasks: bool) -> Value {
    let class = match checkpoint.status {
        CheckpointStatus::InProgress => "in_progress",
        CheckpointStatus::Completed => "completed",
        CheckpointStatus::Failed => "failed",
    };
    let format = match checkpoint.kind {
        SnapshotKind::Savepoint { format: SavepointFormat::Canonical, .. } => Some("CANONICAL"),
        SnapshotKind::Savepoint { format: SavepointFormat::Native, .. } => Some("NATIVE"),
        SnapshotKind::Checkpoint { .. } => None,
    };
    let mut tasks = Map::new();
    if with_tasks {
        tasks.extend(
            checkpoint
                .tasks
                .iter()
                .map(|task| (task.vertex.to_string(), Value::Object(describe_task(task, checkpoint)))),
        );
    }
    let mut fields = json!({
        "className": class,
        "id": checkpoint.id,
        "status": checkpoint.status.to_string(),
        "is_savepoint": checkpoint.kind.is_savepoint(),
        "savepointFormat": format,
        "trigger_timestamp": checkpoint.trigger_timestamp,
        "latest_ack_timestamp": checkpoint.latest_ack_timestamp().unwrap_or(UNKNOWN),
        "checkpointed_size": checkpoint.checkpointed_size(),
        "state_size": checkpoint.state_size(),
        "end_to_end_duration": signed(checkpoint.end_to_end_duration()),
        "alignment_buffered": 0,
        "processed_data": checkpoint.processed_data(),
        "persisted_data": checkpoint.persisted_data(),
        "num_subtasks": checkpoint.subtasks(),
        "num_acknowledged_subtasks": checkpoint.acknowledged_subtasks(),
        "checkpoint_type": checkpoint.type_name(),
        "tasks": tasks,
    });
    if let Some(fields) = fields.as_object_mut() {
        match checkpoint.status {
            CheckpointStatus::Completed => {
                fields.insert("external_path".to_owned(), json!(checkpoint.external_path));
                fields.insert("discarded".to_owned(), json!(checkpoint.discarded));
            }
            CheckpointStatus::Failed => {
                let at = checkpoint.end_timestamp.unwrap_or(UNKNOWN);
                fields.insert("failure_timestamp".to_owned(), json!(at));
                fields.insert("failure_message".to_owned(), json!(checkpoint.failure_message));
            }
            CheckpointStatus::InProgress => {}
        }
    }
    fields
}

fn signed(duration: Option<u64>) -> i64 {
    duration.map_or(UNKNOWN, |duration| i64::try_from(duration).unwrap_or(i64::MAX))
}

/// What Flink's reference calls T.
fn describe_task(task: &TaskStatistics, checkpoint: &CheckpointStatistics) -> Map<String, Value> {
    let duration = task.acknowledged().map(|record| record.end_to_end_duration).max();
    let fields = json!({
        "id": checkpoint.id,
        "status": task.status(checkpoint.status).to_string(),
        "latest_ack_timestamp": task.latest_ack_timestamp().unwrap_or(UNKNOWN),
        "checkpointed_size": task.sum(|statistics| statistics.checkpointed_size),
        "state_size": task.sum(|statistics| statistics.state_size),
        "end_to_end_duration": signed(duration),
        "alignment_buffered": 0,
        "processed_data": task.sum(|statistics| statistics.processed_data),
        "persisted_data": task.sum(|statistics| statistics.persisted_data),
        "num_subtasks": task.subtasks.len(),
        "num_acknowledged_subtasks": task.acknowledged().count(),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn find<'a>(statistics: &'a Statistics, text: &str) -> Result<&'a CheckpointStatistics, Refusal> {
    let id: u64 = text.parse().map_err(|_| {
        Refusal::bad(format!("'{text}' is no number of a checkpoint: expected a whole number"))
    })?;
    statistics
        .get(id)
        .ok_or_else(|| Refusal::not_found(format!("nothing is known of checkpoint {id}, or not any more")))
}

pub(super) async fn details(
    State(shared): State<Arc<Shared>>,
    Path((jid, cid)): Path<(String, String)>,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    let statistics = shared.statistics()?;
    Ok(Answer::ok(describe(find(&statistics, &cid)?, true)))
}

pub(super) async fn subtasks(
    State(shared): State<Arc<Shared>>,
    Path((jid, cid, vid)): Path<(String, String, String)>,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    let id = vertex(&vid)?;
    let statistics = shared.statistics()?;
    let checkpoint = find(&statistics, &cid)?;
    let task = checkpoint
        .tasks
        .iter()
        .find(|task| task.vertex == id)
        .ok_or_else(|| Refusal::not_found(format!("checkpoint {cid} has no vertex {vid}")))?;
    let summary = task.summary();
    let mut fields = describe_task(task, checkpoint);
    let of_all = json!({
        "checkpointed_size": stat(&summary.checkpointed_size),
        "state_size": stat(&summary.state_size),
        "end_to_end_duration": stat(&summary.end_to_end_duration),
        "checkpoint_duration": { "sync": stat(&summary.sync_duration), "async": stat(&summary.async_duration) },
        "alignment": {
            "buffered": none(),
            "processed": stat(&summary.processed_data),
            "persisted": stat(&summary.persisted_data),
            "duration": stat(&summary.alignment_duration),
        },
        "start_delay": stat(&summary.start_delay),
    });
    fields.insert("summary".to_owned(), of_all);
    let subtasks: Vec<Value> = task
        .subtasks
        .iter()
        .enumerate()
        .map(|(index, record)| subtask(index, record.as_ref(), checkpoint.status))
        .collect();
    fields.insert("subtasks".to_owned(), Value::Array(subtasks));
    Ok(Answer::ok(Value::Object(fields)))
}

fn subtask(index: usize, record: Option<&SubtaskRecord>, checkpoint: CheckpointStatus) -> Value {
    let Some(record) = record else {
        let status = match checkpoint {
            CheckpointStatus::Failed => CheckpointStatus::Failed,
            _ => CheckpointStatus::InProgress,
        };
        return json!({ "className": "pending", "index": index, "status": status.to_string() });
    };
    let statistics = &record.statistics;
    json!({
        "className": "completed",
        "index": index,
        "status": CheckpointStatus::Completed.to_string(),
        "ack_timestamp": record.ack_timestamp,
        "end_to_end_duration": record.end_to_end_duration,
        "checkpointed_size": statistics.checkpointed_size,
        "state_size": statistics.state_size,
        "checkpoint": { "sync": statistics.sync_duration, "async": statistics.async_duration },
        "alignment": {
            "buffered": 0,
            "processed": statistics.processed_data,
            "persisted": statistics.persisted_data,
            "duration": statistics.alignment_duration,
        },
        "start_delay": statistics.start_delay,
        "unaligned_checkpoint": statistics.unaligned,
        "aborted": false,
    })
}

pub(super) async fn config(
    State(shared): State<Arc<Shared>>,
    Path(jid): Path<String>,
) -> Result<Answer, Refusal> {
    shared.check_job(&jid)?;
    let description = &shared.description;
    let settings = &description.checkpointing;
    let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Ok(Answer::ok(json!({
        "mode": match settings.mode {
            CheckpointingMode::ExactlyOnce => "exactly_once",
            CheckpointingMode::AtLeastOnce => "at_least_once",
        },
        // Flink's way to say that none are taken by themselves.
        "interval": settings.interval.map_or(i64::MAX, millis),
        "timeout": millis(settings.timeout),
        "min_pause": millis(settings.min_pause),
        "max_concurrent": settings.max_concurrent,
        "externalization": {
            "enabled": settings.retention != ExternalizedCheckpointRetention::NoExternalizedCheckpoints,
            "delete_on_cancellation": settings.retention != ExternalizedCheckpointRetention::RetainOnCancellation,
        },
        "state_backend": description.state_backend,
        "checkpoint_storage": description.checkpoint_storage,
        "unaligned_checkpoints": settings.unaligned,
        "tolerable_failed_checkpoints": settings.tolerable_failed_checkpoints,
        "aligned_checkpoint_timeout": millis(settings.aligned_checkpoint_timeout),
        "checkpoints_after_tasks_finish": settings.checkpoints_after_tasks_finish,
        "state_changelog_enabled": false,
        "changelog_periodic_materialization_interval": 0,
        "changelog_storage": null,
    })))
}
