//! The slots of a job: what the subtasks in each share.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_core::budget::MemoryBudget;
use tidemill_state::StateBackend;

use crate::cluster::ClusterShared;
use crate::error::JobError;
use crate::graph::ExecutionPlan;

/// The option that decides about managed memory.
pub(super) const MANAGED_KEY: &str = "taskmanager.memory.managed.size";

/// What the subtasks in a slot share.
pub(super) struct Slot {
    pub(super) managed_memory: MemoryBudget,
    pub(super) state_backend: Arc<dyn StateBackend>,
}

/// The slots of each slot sharing group: subtask i of every vertex of a group runs in slot i of it, in every attempt.
#[derive(Default)]
pub(super) struct Slots(BTreeMap<String, Vec<Slot>>);

impl Slots {
    pub(super) fn new(cluster: &ClusterShared, plan: &ExecutionPlan) -> Result<Self, JobError> {
        let groups = plan.slots_by_group();
        let needed: u32 = groups.values().sum();
        let all = u64::from(cluster.resources.slots.unwrap_or(needed).max(1));
        let share = usize::try_from(cluster.resources.managed_bytes / all).unwrap_or(usize::MAX);
        let slot = |number: u32| {
            let managed_memory =
                MemoryBudget::new(format!("managed memory of slot {number}"), share, MANAGED_KEY);
            let state_backend = cluster
                .state_backends
                .of_slot(&managed_memory)
                .map_err(|source| JobError::StateBackend { job: plan.job.name.clone(), source })?;
            Ok(Slot { managed_memory, state_backend })
        };
        let slots = groups.into_iter().map(|(group, count)| {
            Ok((group.to_owned(), (0..count).map(slot).collect::<Result<_, JobError>>()?))
        });
        Ok(Self(slots.collect::<Result<_, JobError>>()?))
    }

    /// The slot of a subtask.
    pub(super) fn of(&self, group: &str, subtask: u32) -> Option<&Slot> {
        self.0.get(group)?.get(subtask as usize)
    }
}
