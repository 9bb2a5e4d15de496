//! Native snapshots of a [`KeyedStateBackend`], and what it takes over from them.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Weak};

use tidemill_core::key_group;
use tidemill_serialization::{Input, Key};

use crate::error::StateError;
use crate::frozen_rows::LiveTable;
use crate::keyed::KeyedStateBackend;
use crate::migrate::StateMigration;
use crate::native::{NativeSnapshot, NativeTable};
use crate::native_rows::{FrozenPart, RowReader};
use crate::native_store::{NativeMetrics, NativeStore, RestoredTable};
use crate::pending::{FrozenTable, PendingState};
use crate::snapshot::{KeyedSnapshot, StateKind, StateSchema, SubtaskSnapshot};
use crate::store::{OrderedStore, Storage};
use crate::table::Table;
use crate::timer_store::{key_of, table_name};

/// How many rows of a table are looked at to find out whether keys still go where they went.
const SAMPLE: usize = 8;

/// What was restored as tables and not yet asked for, by what the store is to call the table of the state.
pub(crate) type NativeParts = BTreeMap<String, Vec<RestoredTable>>;

fn native_of(storage: &Storage) -> Option<(&dyn OrderedStore, &dyn NativeStore)> {
    let store = storage.store()?;
    Some((store, store.native()?))
}

impl<K: Key> KeyedStateBackend<K> {
    /// The store of the subtask, where it has one that can do native snapshots.
    fn native_store(&self) -> Option<(&dyn OrderedStore, &dyn NativeStore)> {
        native_of(&self.scope.storage)
    }

    /// All states and timers as they are now; those that lie in a store that can do it as its files, of which most are in
    /// earlier snapshots, too; values that change from snapshot to snapshot are rows in a file of this one alone. The others are
    /// canonical, as in [`snapshot`](Self::snapshot), so that in memory both are the same. So are timers in memory, and what was
    /// restored from a canonical snapshot and not declared since.
    ///
    /// This takes about as long as writing what has changed in memory to disk; it does not depend on how much there is.
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
    /// assert_eq!(backend.snapshot_native()?, backend.snapshot()?, "it lies in memory");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When a store fails.
    pub fn snapshot_native(&mut self) -> Result<SubtaskSnapshot, StateError> {
        let mut snapshot = self.begin_native_snapshot()?;
        snapshot.complete(&Arc::default())?;
        Ok(snapshot)
    }

    /// Begins a native snapshot: the same as [`snapshot_native`](Self::snapshot_native) once it is
    /// [completed](SubtaskSnapshot::complete). What lies in memory is left to that, as by
    /// [`begin_snapshot`](Self::begin_snapshot).
    ///
    /// # Errors
    /// When a store fails.
    pub fn begin_native_snapshot(&mut self) -> Result<SubtaskSnapshot, StateError> {
        if self.native_store().is_none() {
            return self.begin_snapshot();
        }
        let max_parallelism = self.scope.max_parallelism;
        let mut snapshot = SubtaskSnapshot { max_parallelism, ..Default::default() };
        // The files are to have what is only in a cache so far, but for what will have changed again by the next time.
        self.states.iter_mut().try_for_each(|entry| entry.state.table().flush_cold())?;
        for entry in self.states.iter_mut().filter(|entry| entry.schema.kind == StateKind::Timers) {
            entry.begin_snapshot(&self.scope, &mut snapshot, false)?;
        }
        self.add_restored(&mut snapshot)?;
        let storage = Arc::clone(&self.scope.storage);
        let Some((store, native)) = native_of(&storage) else { return Ok(snapshot) };
        let (mut tables, mut families) = (Vec::new(), Vec::new());
        for entry in &self.states {
            let table = match (entry.schema.kind, entry.state.table_ref().rows()) {
                (StateKind::Timers, None) => {
                    families.push(None);
                    continue;
                }
                (_, Some(table)) => table,
                (_, None) => store.open_table(&entry.name)?,
            };
            let family = native.family(table)?;
            families.push(Some(family.clone()));
            tables.push(NativeTable {
                state: entry.name.clone(),
                schema: entry.schema.clone(),
                stamped: entry.state.table_ref().is_stamped(),
                family,
            });
        }
        for part in self.native.values().flatten() {
            tables.push(NativeTable {
                state: part.state.clone(),
                schema: part.schema.clone(),
                stamped: part.stamped,
                family: native.family(part.table)?,
            });
        }
        if !tables.is_empty() {
            tables.sort_by(|a, b| (&a.state, &a.family).cmp(&(&b.state, &b.family)));
            let (backend, key_groups) = (native.backend().to_owned(), self.scope.owned);
            let files = native.checkpoint(&mut |hot| {
                for (entry, family) in self.states.iter_mut().zip(&families) {
                    if let Some(family) = family {
                        hot.begin(family)?;
                        entry.state.table().write_hot(hot)?;
                    }
                }
                Ok(())
            })?;
            let (files, folder) = (files.files, files.folder);
            snapshot.native.push(NativeSnapshot {
                backend,
                key_groups,
                max_parallelism,
                tables,
                files,
                folder,
            });
        }
        Ok(snapshot)
    }

    /// The figures of the store that the state lies in, for whoever shows them; `None` when it has none.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// let backend = KeyedStateBackend::<u64>::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// assert!(backend.native_metrics().is_none(), "it lies in memory");
    /// ```
    pub fn native_metrics(&self) -> Option<Arc<dyn NativeMetrics>> {
        self.scope.storage.store()?.metrics()
    }

    /// Adds what was restored as tables and not asked for since, to a canonical snapshot.
    pub(crate) fn add_native_parts(&self, snapshot: &mut SubtaskSnapshot) -> Result<(), StateError> {
        let Some((store, _)) = self.native_store() else { return Ok(()) };
        for part in self.native.values().flatten() {
            self.add_native_part(store, part, snapshot)?;
        }
        Ok(())
    }

    fn add_native_part(
        &self,
        store: &dyn OrderedStore,
        part: &RestoredTable,
        snapshot: &mut SubtaskSnapshot,
    ) -> Result<(), StateError> {
        let rows = LiveTable { store, table: part.table };
        let reader = RowReader::new(&rows, part);
        let mut groups = Vec::new();
        for group in self.scope.owned.iter() {
            let bytes = reader.group(group)?;
            if !bytes.is_empty() {
                groups.push((group, bytes.into()));
            }
        }
        let (name, schema) = (part.state.clone(), part.schema.clone());
        let timers = schema.kind == StateKind::Timers;
        let states = if timers { &mut snapshot.timers } else { &mut snapshot.keyed };
        states.push(KeyedSnapshot { name, schema, stamped: part.stamped, groups });
        Ok(())
    }

    /// As [`add_native_parts`](Self::add_native_parts), but that they are encoded beside the task; not timers, which are to be joined with
    /// those that were restored from memory.
    pub(crate) fn begin_native_parts(&self, snapshot: &mut SubtaskSnapshot) -> Result<(), StateError> {
        let Some((store, _)) = self.native_store() else { return Ok(()) };
        let mut frozen = Vec::new();
        let states = self.native.values().flatten().filter(|part| part.schema.kind != StateKind::Timers);
        for table in states {
            let Some(rows) = store.view(table.table)? else { return self.add_native_parts(snapshot) };
            let (owned, table) = (self.scope.owned, table.clone());
            let (name, schema, stamped) = (table.state.clone(), table.schema.clone(), table.stamped);
            let groups = (owned, self.scope.max_parallelism);
            let part = |_: &Weak<PendingState>| {
                Some(Box::new(FrozenPart { rows, table, owned }) as Box<dyn FrozenTable>)
            };
            frozen.extend(PendingState::of(&name, &schema, stamped, groups, part));
        }
        let is_timers = |part: &&RestoredTable| part.schema.kind == StateKind::Timers;
        for part in self.native.values().flatten().filter(is_timers) {
            self.add_native_part(store, part, snapshot)?;
        }
        snapshot.pending.keyed.extend(frozen);
        Ok(())
    }

    /// Takes over, from snapshots that are files, the key groups that this subtask owns.
    pub(crate) fn restore_native(&mut self, snapshots: &[&SubtaskSnapshot]) -> Result<(), StateError> {
        let owned = self.scope.owned;
        let all = || snapshots.iter().flat_map(|snapshot| &snapshot.native);
        let Some(first) = all().next() else { return Ok(()) };
        let Some((_, native)) = self.native_store() else {
            return Err(StateError::NativeBackend { stored: first.backend.clone(), now: None });
        };
        if let Some(other) = all().find(|source| source.backend != native.backend()) {
            let (stored, now) = (other.backend.clone(), Some(native.backend().to_owned()));
            return Err(StateError::NativeBackend { stored, now });
        }
        let declared = self.scope.max_parallelism;
        if let Some(other) = all().find(|source| source.max_parallelism != declared) {
            return Err(StateError::MaxParallelism { stored: other.max_parallelism, declared });
        }
        let sources: Vec<&NativeSnapshot> = all().filter(|source| source.overlap(owned) > 0).collect();
        let mut groups = HashSet::new();
        for group in sources.iter().flat_map(|source| source.key_groups.iter()) {
            if owned.contains(group) && !groups.insert(group) {
                let what = format!("key group {group} is in the files of two of them");
                return Err(StateError::Inconsistent(what));
            }
        }
        for state in snapshots.iter().flat_map(|snapshot| &snapshot.keyed) {
            let twice = |group| {
                let of = |source: &&NativeSnapshot| source.key_groups.contains(group);
                // Timers are not among these.
                let same =
                    |table: &NativeTable| table.state == state.name && table.schema.kind != StateKind::Timers;
                let holds = |source: &NativeSnapshot| source.tables.iter().any(same);
                sources.iter().any(|source| of(source) && holds(source))
            };
            if let Some((group, _)) =
                state.groups.iter().find(|(group, _)| owned.contains(*group) && twice(*group))
            {
                let what =
                    format!("key group {group} of the state '{}' is in the files of one as well", state.name);
                return Err(StateError::Inconsistent(what));
            }
        }
        for part in native.restore(&sources, owned)? {
            self.native.entry(table_name(part.schema.kind, &part.state)).or_default().push(part);
        }
        for entry in &mut self.states {
            let table_name = table_name(entry.schema.kind, &entry.name);
            if let Some(parts) = self.native.get(&table_name)
                && let Some(store) = self.scope.storage.store()
            {
                read_parts(&self.scope, store, parts, entry.state.table(), &entry.schema)?;
                self.native.remove(&table_name);
            }
        }
        Ok(())
    }

    /// Makes the restored table of a state that is about to be declared its table, when its rows are read as they are. The
    /// others that it has are left to [`finish_native`](Self::finish_native). Answers whether there was such a table.
    pub(crate) fn adopt_native(
        &mut self,
        name: &str,
        schema: &StateSchema,
        stamped: bool,
    ) -> Result<bool, StateError> {
        let table_name = table_name(schema.kind, name);
        let Some(parts) = self.native.get(&table_name) else { return Ok(false) };
        let Some((store, native)) = self.native_store() else { return Ok(false) };
        let mut fitting = None;
        for (place, part) in parts.iter().enumerate() {
            // Of all of them, before anything is changed.
            let migration = StateMigration::of(name, &part.schema, schema)?;
            if migration.is_none() && part.stamped == stamped {
                fitting = Some(place);
            }
        }
        let Some(place) = fitting else { return Ok(false) };
        self.check_routing(store, &parts[place])?;
        native.bind(parts[place].table, &table_name)?;
        if let Some(parts) = self.native.get_mut(&table_name) {
            parts.remove(place);
        }
        Ok(true)
    }

    /// Looks at some keys: rows that are taken over as they are would not be found under another routing hash.
    fn check_routing(&self, store: &dyn OrderedStore, part: &RestoredTable) -> Result<(), StateError> {
        let mut moved = None;
        let mut seen = 0;
        store.scan(part.table, &[], None, &mut |row_key, _| {
            seen += 1;
            let mut input = Input::new(row_key);
            let stored = input.array("key group of a row").map(u16::from_be_bytes);
            if part.schema.kind == StateKind::Timers {
                input = Input::new(key_of(row_key));
            }
            if let Ok(stored) = stored
                && let Ok(key) = K::decode(&mut input)
            {
                let now = key_group::key_group(key.routing_hash(), self.scope.max_parallelism);
                moved = (now != stored).then_some((stored, now));
            }
            moved.is_none() && seen < SAMPLE
        })?;
        match moved {
            None => Ok(()),
            Some((stored, now)) => Err(StateError::RoutingChanged { name: part.state.clone(), stored, now }),
        }
    }

    /// Reads the restored tables of a state that has just been declared into its own.
    pub(crate) fn finish_native(
        &mut self,
        name: &str,
        schema: &StateSchema,
        table: &mut dyn Table<K>,
    ) -> Result<(), StateError> {
        let table_name = table_name(schema.kind, name);
        if let Some(parts) = self.native.get(&table_name)
            && let Some(store) = self.scope.storage.store()
        {
            read_parts(&self.scope, store, parts, table, schema)?;
            self.native.remove(&table_name);
        }
        Ok(())
    }
}

/// Reads restored tables into the one of a state, key group by key group, and removes them.
fn read_parts<K: 'static>(
    scope: &crate::table::Scope,
    store: &dyn OrderedStore,
    parts: &[RestoredTable],
    table: &mut dyn Table<K>,
    declared: &StateSchema,
) -> Result<(), StateError> {
    for part in parts {
        let migration = StateMigration::of(&part.state, &part.schema, declared)?;
        let rows = LiveTable { store, table: part.table };
        let reader = RowReader::new(&rows, part);
        for group in scope.owned.iter() {
            let mut bytes = reader.group(group)?;
            if bytes.is_empty() {
                continue;
            }
            if let Some(migration) = &migration {
                bytes = migration.group(&part.state, &bytes, part.stamped)?;
            }
            table.restore_group(group, &bytes, part.stamped)?;
        }
        if let Some(native) = store.native() {
            native.drop_table(part.table)?;
        }
    }
    table.finish_restore()
}
