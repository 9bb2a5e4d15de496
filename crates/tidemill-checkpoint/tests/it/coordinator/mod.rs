//! The coordinator, step by step, and over random sequences of events.

mod invariants;
mod job;
mod lifecycle;
mod requests;

use std::time::Duration;

use tidemill_checkpoint::coordinator::{
    AbortReason, CoordinatedTask, CoordinatorAction as Action, CoordinatorEvent as Event, DeclineReason,
    RequestId, SnapshotKind, TaskId,
};
use tidemill_checkpoint::statistics::SubtaskStatistics;
use tidemill_checkpoint::{CheckpointCoordinator, CheckpointSettings, CoordinatorError};
use tidemill_core::JobVertexId;

/// A coordinator of two sources and two sinks, each of which reads from both.
struct Job {
    coordinator: CheckpointCoordinator,
    now: i64,
}

const TASKS: u32 = 4;

fn tasks() -> Vec<CoordinatedTask> {
    let task = |name: &str, subtask, inputs: &[u32]| CoordinatedTask {
        vertex: JobVertexId::from_name(name),
        subtask,
        inputs: inputs.iter().copied().map(TaskId).collect(),
    };
    vec![task("source", 0, &[]), task("source", 1, &[]), task("sink", 0, &[0, 1]), task("sink", 1, &[0, 1])]
}

/// Every second, at once from the start.
fn every_second() -> CheckpointSettings {
    CheckpointSettings { interval: Some(Duration::from_secs(1)), ..CheckpointSettings::default() }
}

impl Job {
    fn new(settings: CheckpointSettings) -> Self {
        Self { coordinator: CheckpointCoordinator::new(settings, tasks()).unwrap(), now: 0 }
    }

    /// Running since 0, with the first checkpoint due at 1000.
    fn running(settings: CheckpointSettings) -> Self {
        let mut job = Self::new(settings);
        assert_eq!(job.tell(Event::Start { first_delay: 1_000 }), []);
        job
    }

    /// With checkpoint 1 under way since 1000.
    fn triggered(settings: CheckpointSettings) -> Self {
        let mut job = Self::running(settings);
        assert_eq!(triggered(&job.at(1_000)), [1]);
        job
    }

    fn tell(&mut self, event: Event) -> Vec<Action> {
        let actions = self.coordinator.handle(self.now, event);
        assert!(self.coordinator.next_deadline().is_none_or(|deadline| deadline > self.now));
        actions
    }

    fn at(&mut self, now: i64) -> Vec<Action> {
        self.now = now;
        self.tell(Event::Tick)
    }

    fn acknowledge(&mut self, checkpoint_id: u64, task: u32) -> Vec<Action> {
        let statistics = SubtaskStatistics { state_size: 10, ..SubtaskStatistics::default() };
        self.tell(Event::Acknowledge { task: TaskId(task), checkpoint_id, statistics })
    }

    /// By all tasks that have to.
    fn acknowledge_all(&mut self, checkpoint_id: u64) -> Vec<Action> {
        (0..TASKS).flat_map(|task| self.acknowledge(checkpoint_id, task)).collect()
    }

    fn written(&mut self, checkpoint_id: u64) -> Vec<Action> {
        let external_path = format!("/chk-{checkpoint_id}");
        self.tell(Event::MetadataWritten { checkpoint_id, external_path, bytes: 5 })
    }

    fn complete(&mut self, checkpoint_id: u64) -> Vec<Action> {
        let actions = self.acknowledge_all(checkpoint_id);
        assert!(matches!(actions[..], [Action::WriteMetadata { .. }]), "{actions:?}");
        self.written(checkpoint_id)
    }

    fn decline(&mut self, checkpoint_id: u64, reason: DeclineReason) -> Vec<Action> {
        self.tell(Event::Decline { task: TaskId(3), checkpoint_id, reason, message: "why".to_owned() })
    }

    fn finish(&mut self, task: u32) -> Vec<Action> {
        self.tell(Event::TaskFinished { task: TaskId(task) })
    }

    fn pending(&self) -> Vec<u64> {
        self.coordinator.pending().collect()
    }

    fn retained(&self) -> Vec<u64> {
        self.coordinator.retained().map(|checkpoint| checkpoint.id).collect()
    }

    fn deadline(&self) -> Option<i64> {
        self.coordinator.next_deadline()
    }
}

fn triggered(actions: &[Action]) -> Vec<u64> {
    let ids = actions.iter().filter_map(|action| match action {
        Action::TriggerSources { checkpoint_id, .. } => Some(*checkpoint_id),
        _ => None,
    });
    ids.collect()
}

/// What follows from each checkpoint that is aborted.
fn aborted(checkpoint_id: u64, reason: AbortReason) -> [Action; 2] {
    [Action::AbortCheckpoint { checkpoint_id, reason }, Action::DiscardPending { checkpoint_id }]
}

fn failed(actions: &[Action]) -> Option<&CoordinatorError> {
    actions.iter().find_map(|action| match action {
        Action::FailJob { error } => Some(error),
        _ => None,
    })
}

fn refused(actions: &[Action]) -> Vec<(u64, &CoordinatorError)> {
    let refused = actions.iter().filter_map(|action| match action {
        Action::FailRequest { request: RequestId(request), error } => Some((*request, error)),
        _ => None,
    });
    refused.collect()
}

fn kind(actions: &[Action]) -> Option<SnapshotKind> {
    actions.iter().find_map(|action| match action {
        Action::TriggerSources { options, .. } => Some(options.kind),
        _ => None,
    })
}
