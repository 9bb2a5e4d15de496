//! Snapshots of a [`KeyedStateBackend`].

use std::sync::Weak;

use tidemill_serialization::Key;

use crate::error::StateError;
use crate::keyed::{Entry, KeyedStateBackend};
use crate::pending::{FrozenTable, PendingState};
use crate::snapshot::{GroupWriter, KeyedSnapshot, StateKind, SubtaskSnapshot};
use crate::table::Scope;

/// States in memory of fewer bytes are encoded as soon as a snapshot of them is taken.
const FROZEN: usize = 64 * 1024;

/// What is in memory, and behind it what is in rows.
struct WithRows {
    memory: Box<dyn FrozenTable>,
    rows: Box<dyn FrozenTable>,
}

impl FrozenTable for WithRows {
    fn encode(self: Box<Self>, out: &mut GroupWriter) -> Result<(), StateError> {
        // The task does not copy any more what it accesses in memory once that is written.
        self.memory.encode(out)?;
        self.rows.encode(out)
    }
}

impl<K: 'static> Entry<K> {
    /// Leaves what is in it now to a snapshot, or encodes it where that is not worth it or not possible. Without `rows`, what it
    /// has in a table beside memory is left out: the snapshot has the table.
    pub(crate) fn begin_snapshot(
        &mut self,
        scope: &Scope,
        snapshot: &mut SubtaskSnapshot,
        rows: bool,
    ) -> Result<(), StateError> {
        let timers = self.schema.kind == StateKind::Timers;
        let groups = (scope.owned, scope.max_parallelism);
        let table = self.state.table();
        let with_rows = rows && table.has_rows();
        let is_frozen = with_rows || table.is_stored() || table.bytes() >= FROZEN;
        let frozen_rows = if with_rows { table.freeze_rows()? } else { None };
        if is_frozen && with_rows == frozen_rows.is_some() {
            let stamped = table.is_stamped();
            let freeze = |pending: &Weak<PendingState>| {
                let memory = table.freeze(pending)?;
                Some(match frozen_rows {
                    Some(rows) => Box::new(WithRows { memory, rows }),
                    None => memory,
                })
            };
            if let Some(state) = PendingState::of(&self.name, &self.schema, stamped, groups, freeze) {
                let pending = &mut snapshot.pending;
                if timers { &mut pending.timers } else { &mut pending.keyed }.push(state);
                return Ok(());
            }
        }
        let state = self.snapshot(scope, rows)?;
        if timers { &mut snapshot.timers } else { &mut snapshot.keyed }.push(state);
        Ok(())
    }

    /// All that is in it now, also what it has in a table beside memory if `rows` says so.
    pub(crate) fn snapshot(&mut self, scope: &Scope, rows: bool) -> Result<KeyedSnapshot, StateError> {
        let mut writer = scope.writer();
        let table = self.state.table();
        if rows { table.snapshot(&mut writer) } else { table.snapshot_memory(&mut writer) }?;
        Ok(KeyedSnapshot {
            name: self.name.clone(),
            schema: self.schema.clone(),
            stamped: table.is_stamped(),
            groups: writer.finish(),
        })
    }
}

impl<K: Key> KeyedStateBackend<K> {
    /// All states and timers as they are now. What was restored and not asked for since is in it, too.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.update(&mut backend, 1)?;
    /// let snapshot = backend.snapshot()?;
    /// assert_eq!(snapshot.keyed[0].name, "visits");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When a store fails, or a key does not belong to this subtask.
    pub fn snapshot(&mut self) -> Result<SubtaskSnapshot, StateError> {
        let mut snapshot =
            SubtaskSnapshot { max_parallelism: self.scope.max_parallelism, ..Default::default() };
        for entry in &mut self.states {
            let state = entry.snapshot(&self.scope, true)?;
            let timers = state.schema.kind == StateKind::Timers;
            if timers { &mut snapshot.timers } else { &mut snapshot.keyed }.push(state);
        }
        self.add_native_parts(&mut snapshot)?;
        self.add_restored(&mut snapshot)?;
        Ok(snapshot)
    }

    /// Begins a snapshot: the same as [`snapshot`](Self::snapshot) once it is [completed](SubtaskSnapshot::complete), which may
    /// be done on another thread while states are changed. This takes no longer for more state, but for timers.
    ///
    /// What is accessed of states in memory until the snapshot is complete, or dropped, is copied first, and the copies are counted as
    /// state is; they are encoded at once when less than a sixteenth of it is left, or when an earlier snapshot is not complete yet.
    /// States in a store are written to it as far as they are only in a cache, and read from a [view](crate::TableView) of it; where
    /// it has none, they are encoded at once. So are timers of which some are in a store.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub fn begin_snapshot(&mut self) -> Result<SubtaskSnapshot, StateError> {
        let mut snapshot =
            SubtaskSnapshot { max_parallelism: self.scope.max_parallelism, ..Default::default() };
        let scope = &self.scope;
        self.states.iter_mut().try_for_each(|entry| entry.begin_snapshot(scope, &mut snapshot, true))?;
        self.begin_native_parts(&mut snapshot)?;
        self.add_restored(&mut snapshot)?;
        Ok(snapshot)
    }

    /// Adds what was restored as bytes and not asked for since, and puts all in order.
    pub(crate) fn add_restored(&self, snapshot: &mut SubtaskSnapshot) -> Result<(), StateError> {
        for ((timers, _), parts) in &self.restored {
            if *timers { &mut snapshot.timers } else { &mut snapshot.keyed }.extend(parts.iter().cloned());
        }
        snapshot.sort();
        join_timers(&mut snapshot.timers)
    }
}

/// Joins what of the same timers was restored from memory and from a table, so that each key group is in one place.
fn join_timers(timers: &mut Vec<KeyedSnapshot>) -> Result<(), StateError> {
    for state in std::mem::take(timers) {
        let same = |known: &&mut KeyedSnapshot| known.name == state.name && known.schema == state.schema;
        let Some(known) = timers.iter_mut().find(same) else {
            timers.push(state);
            continue;
        };
        for (group, bytes) in state.groups {
            match known.groups.binary_search_by_key(&group, |(group, _)| *group) {
                Ok(place) => known.groups[place].1.append(&bytes)?,
                Err(place) => known.groups.insert(place, (group, bytes)),
            }
        }
    }
    Ok(())
}
