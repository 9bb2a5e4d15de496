//! States of a snapshot that are encoded beside the task.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tidemill_core::KeyGroupRange;
use tidemill_core::budget::MemoryBudget;

use crate::error::StateError;
use crate::snapshot::{GroupWriter, KeyedSnapshot, StateSchema};
use crate::spill::SpillWriter;

/// A table as it was at one moment, which nobody changes.
pub(crate) trait FrozenTable: Send {
    /// Writes all entries, by key group, and lets go of the table.
    fn encode(self: Box<Self>, out: &mut GroupWriter) -> Result<(), StateError>;
}

/// Whether there is room for copies of what is accessed while a snapshot has a table: a sixteenth of all. With less a table is
/// encoded while the task waits, which takes no memory of the budget.
pub(crate) fn has_room(budget: &MemoryBudget) -> bool {
    budget.available() >= budget.limit() / 16
}

enum Work {
    Frozen(Box<dyn FrozenTable>),
    Encoded(KeyedSnapshot),
    /// It was given up or failed.
    Nothing,
}

/// One state, or set of timers, of a snapshot, which has been left as it was when the snapshot was taken.
pub(crate) struct PendingState {
    name: String,
    schema: StateSchema,
    stamped: bool,
    owned: KeyGroupRange,
    max_parallelism: u32,
    work: Mutex<Work>,
}

impl PendingState {
    /// Freezes a state by `freeze`, which gets what it will be a part of; `None` when it says so.
    pub(crate) fn of(
        name: &str,
        schema: &StateSchema,
        stamped: bool,
        (owned, max_parallelism): (KeyGroupRange, u32),
        freeze: impl FnOnce(&Weak<PendingState>) -> Option<Box<dyn FrozenTable>>,
    ) -> Option<Arc<Self>> {
        let (name, schema) = (name.to_owned(), schema.clone());
        let work = Mutex::new(Work::Nothing);
        let state = Arc::new(Self { name, schema, stamped, owned, max_parallelism, work });
        let frozen = freeze(&Arc::downgrade(&state))?;
        *state.work() = Work::Frozen(frozen);
        Some(state)
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        // Whoever panics while encoding leaves nothing.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Encodes the state unless that was done; waits if somebody is doing it.
    fn encode(
        &self,
        cancelled: &Arc<AtomicBool>,
        spill: Option<SpillWriter>,
    ) -> Result<Option<SpillWriter>, StateError> {
        let mut work = self.work();
        let frozen = match std::mem::replace(&mut *work, Work::Nothing) {
            Work::Frozen(frozen) => frozen,
            other => {
                *work = other;
                return Ok(spill);
            }
        };
        let mut writer = GroupWriter::cancellable(self.owned, self.max_parallelism, cancelled, spill);
        frozen.encode(&mut writer)?;
        let (name, schema, stamped) = (self.name.clone(), self.schema.clone(), self.stamped);
        let (groups, spill) = writer.finish_spilling()?;
        *work = Work::Encoded(KeyedSnapshot { name, schema, stamped, groups });
        Ok(spill)
    }

    /// Encodes the state on behalf of the task, which needs the memory. That it fails is noticed by who completes the snapshot.
    pub(crate) fn encode_now(&self) {
        let _ = self.encode(&Arc::default(), None);
    }

    fn complete(
        self: Arc<Self>,
        cancelled: &Arc<AtomicBool>,
        spill: &mut Option<SpillWriter>,
    ) -> Result<KeyedSnapshot, StateError> {
        *spill = self.encode(cancelled, spill.take())?;
        let work = match Arc::try_unwrap(self) {
            Ok(state) => state.work.into_inner().unwrap_or_else(PoisonError::into_inner),
            Err(shared) => match &*shared.work() {
                Work::Encoded(state) => Work::Encoded(state.clone()),
                _ => Work::Nothing,
            },
        };
        match work {
            Work::Encoded(state) => Ok(state),
            _ => Err(StateError::SnapshotGivenUp),
        }
    }
}

/// States of a [`SubtaskSnapshot`](crate::SubtaskSnapshot) that are not encoded yet. The tables that they are in are shared
/// with the task, which copies what it changes, until they are encoded or dropped.
///
/// ```
/// use tidemill_state::PendingStates;
///
/// assert!(PendingStates::default().is_empty());
/// ```
#[derive(Clone, Default)]
pub struct PendingStates {
    pub(crate) keyed: Vec<Arc<PendingState>>,
    pub(crate) timers: Vec<Arc<PendingState>>,
}

impl PendingStates {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keyed.is_empty() && self.timers.is_empty()
    }

    pub(crate) fn absorb(&mut self, other: PendingStates) {
        self.keyed.extend(other.keyed);
        self.timers.extend(other.timers);
    }

    /// Encodes all: those of states, and of timers.
    pub(crate) fn complete(
        self,
        cancelled: &Arc<AtomicBool>,
        mut spill: Option<SpillWriter>,
    ) -> Result<(Vec<KeyedSnapshot>, Vec<KeyedSnapshot>), StateError> {
        let mut all = |states: Vec<Arc<PendingState>>| {
            let states = states.into_iter().map(|state| state.complete(cancelled, &mut spill));
            states.collect::<Result<Vec<_>, _>>()
        };
        Ok((all(self.keyed)?, all(self.timers)?))
    }
}

impl fmt::Debug for PendingStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keyed.iter().chain(&self.timers).map(|state| &state.name)).finish()
    }
}

/// Whether they are the same, not whether they hold the same.
impl PartialEq for PendingStates {
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &[Arc<PendingState>], b: &[Arc<PendingState>]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        same(&self.keyed, &other.keyed) && same(&self.timers, &other.timers)
    }
}
