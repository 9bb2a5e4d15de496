//! What holds whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use tidemill_checkpoint::coordinator::{
    CoordinatorAction as Action, CoordinatorEvent as Event, DeclineReason, JobOutcome, ManualCheckpoint,
    RequestId, RestoredCheckpoint, TaskId,
};
use tidemill_checkpoint::statistics::SubtaskStatistics;
use tidemill_checkpoint::{CheckpointCoordinator, CheckpointSettings};
use tidemill_core::{AfterSavepoint, SavepointFormat};

use super::{TASKS, tasks};

/// An event whose checkpoint is counted back from the youngest.
#[derive(Clone, Debug)]
enum Step {
    Wait(i64),
    Until,
    Start(i64),
    Savepoint(u8),
    Checkpoint(u8),
    Acknowledge(u64, u32),
    AcknowledgeAll(u64),
    Written(u64),
    Decline(u64, u8),
    TriggerFailed(u64),
    MetadataFailed(u64),
    Finished(u32),
    Backlog(bool),
    Failing,
    RestoreStarted,
    Restored(Option<u64>, bool),
    RestoreFailed,
}

fn step() -> impl Strategy<Value = Step> {
    let back = || 0..4u64;
    prop_oneof![
        6 => (0..3_000i64).prop_map(Step::Wait),
        8 => Just(Step::Until),
        2 => (0..2_000i64).prop_map(Step::Start),
        2 => (0..6u8).prop_map(Step::Savepoint),
        1 => (0..3u8).prop_map(Step::Checkpoint),
        6 => (back(), 0..TASKS + 1).prop_map(|(back, task)| Step::Acknowledge(back, task)),
        8 => back().prop_map(Step::AcknowledgeAll),
        10 => back().prop_map(Step::Written),
        2 => (back(), 0..4u8).prop_map(|(back, reason)| Step::Decline(back, reason)),
        1 => back().prop_map(Step::TriggerFailed),
        1 => back().prop_map(Step::MetadataFailed),
        1 => (0..TASKS + 1).prop_map(Step::Finished),
        1 => any::<bool>().prop_map(Step::Backlog),
        1 => Just(Step::Failing),
        1 => Just(Step::RestoreStarted),
        2 => (proptest::option::of(back()), any::<bool>()).prop_map(|(id, claim)| Step::Restored(id, claim)),
        1 => Just(Step::RestoreFailed),
    ]
}

prop_compose! {
    fn settings()(
        interval in proptest::option::weighted(0.9, 10..2_000u64),
        backlog in proptest::option::of(Just(0u64)),
        min_pause in 0..1_000u64,
        timeout in 10..4_000u64,
        tolerable in 0..3u32,
        max_concurrent in 1..4u32,
        unaligned in any::<bool>(),
        num_retained in 1..4u32,
        checkpoints_after_tasks_finish in any::<bool>(),
        history in 0..4u32,
    ) -> CheckpointSettings {
        CheckpointSettings {
            interval: interval.map(Duration::from_millis),
            interval_during_backlog: backlog.map(Duration::from_millis),
            min_pause: Duration::from_millis(min_pause),
            timeout: Duration::from_millis(timeout),
            tolerable_failed_checkpoints: tolerable,
            max_concurrent: if unaligned { 1 } else { max_concurrent },
            unaligned,
            num_retained,
            checkpoints_after_tasks_finish,
            history,
            ..CheckpointSettings::default()
        }
    }
}

/// What an observer of events and actions knows.
struct Observer {
    coordinator: CheckpointCoordinator,
    settings: CheckpointSettings,
    now: i64,
    next_request: u64,
    open_requests: BTreeSet<u64>,
    last_id: u64,
    /// For each checkpoint under way: the tasks it waits for, and whether it is a savepoint.
    pending: BTreeMap<u64, (BTreeSet<TaskId>, bool)>,
    writing: BTreeSet<u64>,
    last_end: Option<i64>,
    /// The tasks that have finished in any attempt.
    finished: BTreeSet<TaskId>,
    stopped: bool,
}

impl Observer {
    fn request(&mut self) -> RequestId {
        self.next_request += 1;
        self.open_requests.insert(self.next_request);
        RequestId(self.next_request)
    }

    fn tell(&mut self, event: Event) {
        let by_hand = matches!(event, Event::TriggerCheckpoint { .. }) || !self.open_requests.is_empty();
        // An acknowledgement of a task that a checkpoint waits for.
        if let Event::Acknowledge { task, checkpoint_id, .. } = &event
            && let Some((missing, _)) = self.pending.get_mut(checkpoint_id)
        {
            missing.remove(task);
        }
        let written = match &event {
            Event::MetadataWritten { checkpoint_id, .. } => Some(*checkpoint_id),
            _ => None,
        };
        let complete = written.filter(|id| self.writing.contains(id));
        let finishing = match &event {
            Event::TaskFinished { task } => Some(*task),
            _ => None,
        };
        self.finished.extend(finishing);
        if let Some(task) = finishing.filter(|_| self.settings.checkpoints_after_tasks_finish) {
            self.pending.values_mut().for_each(|(missing, _)| missing.retain(|waiting| *waiting != task));
        }
        let actions = self.coordinator.handle(self.now, event);
        if let Some(id) = complete {
            let (missing, savepoint) = self.pending.remove(&id).unwrap();
            assert!(missing.is_empty());
            self.writing.remove(&id);
            self.last_end = Some(self.now);
            let kept = self.coordinator.retained().count();
            assert!(savepoint || kept <= self.settings.num_retained as usize);
            assert_eq!(!savepoint, self.coordinator.retained().any(|kept| kept.id == id));
        }
        for action in &actions {
            match action {
                Action::TriggerSources { checkpoint_id, timestamp, tasks, options } => {
                    assert!(*checkpoint_id > self.last_id, "ids increase");
                    assert!(!tasks.is_empty() && *timestamp == self.now && !self.stopped);
                    let savepoint = options.kind.is_savepoint();
                    if !savepoint || self.settings.unaligned {
                        assert!((self.pending.len() as u32) < self.settings.max_concurrent);
                    }
                    let pause = self.settings.min_pause.as_millis() as i64;
                    let too_early = self.last_end.is_some_and(|end| self.now < end + pause);
                    assert!(savepoint || by_hand || !too_early, "the pause is kept");
                    self.last_id = *checkpoint_id;
                    self.pending.insert(*checkpoint_id, ((0..TASKS).map(TaskId).collect(), savepoint));
                }
                Action::WriteMetadata { checkpoint_id, finished, .. } => {
                    let (missing, _) = self.pending.get_mut(checkpoint_id).unwrap();
                    for task in finished {
                        assert!(self.finished.contains(task));
                        missing.remove(task);
                    }
                    assert!(missing.is_empty(), "all have acknowledged");
                    assert!(self.writing.insert(*checkpoint_id), "once");
                }
                Action::AbortCheckpoint { checkpoint_id, .. } => {
                    let ended = self.pending.remove(checkpoint_id);
                    assert!(ended.is_some(), "it ends once");
                    self.writing.remove(checkpoint_id);
                    self.last_end = Some(self.now);
                    if let Some(task) = finishing {
                        assert!(ended.unwrap().0.contains(&task), "it still waited for the task");
                    }
                }
                Action::NotifyCompleted { checkpoint_id } => {
                    assert_eq!(Some(*checkpoint_id), complete, "its metadata are written");
                }
                Action::CompleteRequest { request, result } => {
                    assert_eq!(Some(result.id), complete);
                    assert!(self.open_requests.remove(&request.0), "answered once");
                }
                Action::FailRequest { request, .. } => {
                    assert!(self.open_requests.remove(&request.0), "answered once");
                }
                Action::Discard { checkpoint_id } => {
                    assert!(self.coordinator.retained().all(|kept| kept.id != *checkpoint_id));
                }
                Action::DiscardPending { checkpoint_id } => {
                    assert!(!self.pending.contains_key(checkpoint_id) && complete != Some(*checkpoint_id));
                }
                Action::DiscardState { .. } | Action::FailJob { .. } => {}
            }
        }
        self.check();
    }

    fn check(&self) {
        assert!(self.coordinator.next_deadline().is_none_or(|deadline| deadline > self.now));
        assert!(self.coordinator.pending().eq(self.pending.keys().copied()));
        assert!(self.coordinator.retained().is_sorted_by(|a, b| a.id < b.id));
        let counts = self.coordinator.statistics().counts();
        assert_eq!(counts.in_progress, self.pending.len() as u64);
        let history = self.coordinator.statistics().history();
        assert!(history.count() <= self.settings.history as usize);
    }

    fn take(&mut self, step: Step) {
        let id = |back: u64| self.last_id.saturating_sub(back).max(1);
        let message = || "why".to_owned();
        let event = match step {
            Step::Wait(millis) => {
                // Timers go off in order.
                let target = self.now + millis;
                while let Some(deadline) = self.coordinator.next_deadline().filter(|at| *at < target) {
                    self.now = deadline;
                    self.tell(Event::Tick);
                }
                self.now = target;
                Event::Tick
            }
            Step::Until => {
                self.now = self.coordinator.next_deadline().unwrap_or(self.now);
                Event::Tick
            }
            Step::Start(first_delay) => Event::Start { first_delay },
            Step::Savepoint(how) => {
                let request = self.request();
                let stop =
                    [AfterSavepoint::GoOn, AfterSavepoint::GoOn, AfterSavepoint::GoOn, AfterSavepoint::Stop]
                        .get(usize::from(how))
                        .copied()
                        .unwrap_or(if how == 4 { AfterSavepoint::Drain } else { AfterSavepoint::GoOn });
                Event::TriggerSavepoint { request, format: SavepointFormat::Canonical, stop }
            }
            Step::Checkpoint(how) => {
                let all =
                    [ManualCheckpoint::Configured, ManualCheckpoint::Full, ManualCheckpoint::Incremental];
                let request = self.request();
                Event::TriggerCheckpoint { request, checkpoint: all[usize::from(how)] }
            }
            Step::Acknowledge(back, task) => {
                let statistics = SubtaskStatistics::default();
                Event::Acknowledge { task: TaskId(task), checkpoint_id: id(back), statistics }
            }
            Step::AcknowledgeAll(back) => {
                let checkpoint_id = id(back);
                for task in (0..TASKS).map(TaskId) {
                    let statistics = SubtaskStatistics::default();
                    self.tell(Event::Acknowledge { task, checkpoint_id, statistics });
                }
                Event::Tick
            }
            Step::Written(back) => {
                let checkpoint_id = id(back);
                Event::MetadataWritten { checkpoint_id, external_path: "/chk".to_owned(), bytes: 1 }
            }
            Step::Decline(back, reason) => {
                let all = [
                    DeclineReason::Failed,
                    DeclineReason::NotReady,
                    DeclineReason::AsyncFailed,
                    DeclineReason::Closing,
                ];
                let reason = all[usize::from(reason)];
                Event::Decline { task: TaskId(0), checkpoint_id: id(back), reason, message: message() }
            }
            Step::TriggerFailed(back) => Event::TriggerFailed { checkpoint_id: id(back), message: message() },
            Step::MetadataFailed(back) => {
                Event::MetadataFailed { checkpoint_id: id(back), message: message() }
            }
            Step::Finished(task) => Event::TaskFinished { task: TaskId(task) },
            Step::Backlog(backlog) => Event::BacklogChanged { backlog },
            Step::Failing => Event::JobFailing { message: message() },
            Step::RestoreStarted => Event::RestoreStarted,
            Step::Restored(back, claimed) => {
                let checkpoint = back.map(|back| RestoredCheckpoint {
                    id: id(back),
                    savepoint: false,
                    external_path: "/chk".to_owned(),
                    claimed,
                });
                Event::Restored { checkpoint, finished: vec![] }
            }
            Step::RestoreFailed => Event::RestoreFailed { message: message() },
        };
        self.tell(event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(
        settings in settings(),
        steps in proptest::collection::vec(step(), 1..120),
        late in proptest::collection::vec(step(), 0..10),
    ) {
        let coordinator = CheckpointCoordinator::new(settings, tasks()).unwrap();
        let settings = coordinator.settings().clone();
        let mut observer = Observer {
            coordinator,
            settings,
            now: 0,
            next_request: 0,
            open_requests: BTreeSet::new(),
            last_id: 0,
            pending: BTreeMap::new(),
            writing: BTreeSet::new(),
            last_end: None,
            finished: BTreeSet::new(),
            stopped: false,
        };
        observer.tell(Event::Start { first_delay: 100 });
        steps.into_iter().for_each(|step| observer.take(step));
        observer.tell(Event::Stop { outcome: JobOutcome::Suspended });
        observer.stopped = true;
        late.into_iter().for_each(|step| observer.take(step));
        prop_assert!(observer.open_requests.is_empty(), "every request is answered");
        prop_assert!(observer.pending.is_empty() && observer.coordinator.next_deadline().is_none());
        let counts = observer.coordinator.statistics().counts();
        prop_assert_eq!((counts.in_progress, counts.total()), (0, counts.completed + counts.failed));
    }
}
