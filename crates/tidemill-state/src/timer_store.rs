//! Timers as rows of an ordered store, for those that do not fit into memory.
//!
//! A row key is the key group, the time domain, the time so that rows are in its order, the key and the namespace; there is no
//! value. Timers have an order of their own in which they are in memory up to some place, the *horizon*, and rows from there on:
//! by time, then as rows are. So the timers of one time may lie in both places, and a time with any number of them takes no more
//! memory than others.

use std::ops::Range;
use std::sync::Arc;

use tidemill_core::{KeyGroup, Timestamp, key_group};
use tidemill_serialization::{DecodeError, Input, Key};

use crate::codec::{in_state, put_raw_entry, put_varint};
use crate::error::StateError;
use crate::pending::FrozenTable;
use crate::snapshot::{GroupWriter, StateKind};
use crate::store::{OrderedStore, Storage, TableId, TableView, TimerPlacement, WriteBatch};
use crate::table::Scope;
use crate::timers::TimeDomain;

/// How many rows are changed in one write.
const WRITE_AT_ONCE: usize = 1024;

/// What the tables of timers are called in a store, before their own name: states have tables too.
const TABLE: &str = "_timer_state/";

/// The bytes of a row key before key and namespace: key group, time domain and time.
const HEAD: usize = 2 + 1 + 8;

/// The place of rows among the timers of one time in canonical snapshots: behind those that were in memory.
const BEHIND: u64 = u32::MAX as u64;

/// What the table of a state, or of timers, is called in a store.
pub(crate) fn table_name(kind: StateKind, name: &str) -> String {
    if kind == StateKind::Timers { format!("{TABLE}{name}") } else { name.to_owned() }
}

/// Whether a state would get a table that may be that of timers.
pub(crate) fn is_taken(kind: StateKind, name: &str) -> bool {
    kind != StateKind::Timers && name.starts_with(TABLE)
}

/// A place in the order of timers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    time: Timestamp,
    /// Among those of the time: key group, key and namespace, encoded. Empty before all of them.
    address: Vec<u8>,
}

impl Place {
    /// Before all timers of a time.
    pub(crate) fn before(time: Timestamp) -> Self {
        Self { time, address: Vec::new() }
    }

    /// That of one timer.
    pub(crate) fn at(time: Timestamp, address: &[u8]) -> Self {
        Self { time, address: address.to_vec() }
    }
}

/// A number whose bytes, the highest one first, are in the order of times.
fn ordered(time: Timestamp) -> u64 {
    time.cast_unsigned() ^ (1 << 63)
}

/// Appends key group, key and namespace: what rows of one time differ in.
pub(crate) fn put_address<K: Key, N: Key>(out: &mut Vec<u8>, group: KeyGroup, key: &K, namespace: &N) {
    out.extend_from_slice(&group.to_be_bytes());
    key.encode(out);
    namespace.encode(out);
}

/// Appends what the rows of a key group, time domain and time begin with.
fn put_head(out: &mut Vec<u8>, group: KeyGroup, domain: TimeDomain, time: u64) {
    out.extend_from_slice(&group.to_be_bytes());
    out.push(domain as u8);
    out.extend_from_slice(&time.to_be_bytes());
}

/// The domain and time of a row; key and namespace are what is left of its key.
fn read_head(input: &mut Input<'_>) -> Result<(TimeDomain, Timestamp), DecodeError> {
    input.array::<2>("key group of a timer")?;
    let [domain] = input.array("time domain")?;
    let domain = if domain == 0 { TimeDomain::Event } else { TimeDomain::Processing };
    let time = u64::from_be_bytes(input.array("time of a timer")?);
    Ok((domain, (time ^ (1 << 63)).cast_signed()))
}

/// Writes a row as the entry of a canonical snapshot that it is.
pub(crate) fn put_canonical(row_key: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let (domain, time) = read_head(&mut Input::new(row_key))?;
    put_raw_entry(out, &row_key[HEAD..]);
    out.push(domain as u8);
    out.extend_from_slice(&time.to_le_bytes());
    put_varint(out, BEHIND);
    Ok(())
}

/// The row key without what is before its key, which `K` and others are read from.
pub(crate) fn key_of(row_key: &[u8]) -> &[u8] {
    row_key.get(HEAD..).unwrap_or_default()
}

/// The first timers from some place on.
#[derive(Default)]
pub(crate) struct Stretch {
    bytes: Vec<u8>,
    /// In order: the time, and where key group, key and namespace are in `bytes`.
    found: Vec<(Timestamp, Range<usize>)>,
    /// The one after these, if there is one.
    pub(crate) next: Option<Place>,
}

impl Stretch {
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// The place of the timer at `index`, if there is one.
    pub(crate) fn place(&self, index: usize) -> Option<Place> {
        let (time, address) = self.found.get(index)?;
        Some(Place::at(*time, &self.bytes[address.clone()]))
    }

    /// The timer at `index`, with its key group.
    pub(crate) fn get<K: Key, N: Key>(
        &self,
        index: usize,
    ) -> Result<(Timestamp, KeyGroup, K, N), DecodeError> {
        let (time, address) = &self.found[index];
        let mut input = Input::new(&self.bytes[address.clone()]);
        let group = KeyGroup::from_be_bytes(input.array("key group of a timer")?);
        Ok((*time, group, K::decode(&mut input)?, N::decode(&mut input)?))
    }

    fn add(&mut self, time: Timestamp, group: KeyGroup, key: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&group.to_be_bytes());
        self.bytes.extend_from_slice(key);
        self.found.push((time, start..self.bytes.len()));
    }

    /// Whether a row comes before the one that is known to be after these.
    fn wants(&self, time: Timestamp, group: KeyGroup, key: &[u8]) -> bool {
        self.next.as_ref().is_none_or(|next| {
            let first = time.cmp(&next.time).then_with(|| {
                let (next_group, next_key) = next.address.split_at(next.address.len().min(2));
                group.to_be_bytes()[..].cmp(next_group).then_with(|| key.cmp(next_key))
            });
            first.is_lt()
        })
    }

    /// Keeps the first `most`.
    fn cut(&mut self, most: usize) {
        if self.found.len() <= most {
            return;
        }
        let Self { bytes, found, next } = self;
        let by_place = |(a, x): &(Timestamp, Range<usize>), (b, y): &(Timestamp, Range<usize>)| {
            a.cmp(b).then_with(|| bytes[x.clone()].cmp(&bytes[y.clone()]))
        };
        let (_, (time, address), _) = found.select_nth_unstable_by(most, by_place);
        *next = Some(Place::at(*time, &bytes[address.clone()]));
        found.truncate(most);
        let mut kept = Vec::with_capacity(bytes.len());
        for (_, address) in found {
            let start = kept.len();
            kept.extend_from_slice(&bytes[address.clone()]);
            *address = start..kept.len();
        }
        *bytes = kept;
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.found.sort_unstable_by(|(a, x), (b, y)| {
            a.cmp(b).then_with(|| bytes[x.clone()].cmp(&bytes[y.clone()]))
        });
    }
}

/// The timers of one operator subtask that are rows.
pub(crate) struct StoredTimers {
    name: String,
    scope: Scope,
    /// How many timers of each domain are in memory at most.
    pub(crate) limit: usize,
    /// The table, once there were rows.
    table: Option<TableId>,
    /// By domain: the place from which on timers are rows; `None` when there are no rows.
    pub(crate) horizons: [Option<Place>; 2],
    /// Changes to be written.
    writes: WriteBatch,
    /// Whether timers were on their way between memory and rows when the store failed.
    lost: bool,
    address: Vec<u8>,
}

impl StoredTimers {
    /// Where timers are to lie in a store beyond some number; `None` where they lie in memory.
    pub(crate) fn new(name: &str, scope: &Scope) -> Option<Self> {
        let TimerPlacement::Store { in_memory } = scope.timers else { return None };
        scope.storage.store()?;
        Some(Self {
            name: name.to_owned(),
            scope: scope.clone(),
            // So that there is something in memory after half has left it.
            limit: in_memory.max(2),
            table: None,
            horizons: [None, None],
            writes: WriteBatch::default(),
            lost: false,
            address: Vec::new(),
        })
    }

    /// An error once it is not known where all timers are: any of them might be missing, or be there twice, from then on.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), StateError> {
        if self.lost { Err(self.lost_error()) } else { Ok(()) }
    }

    #[cold]
    fn lost_error(&self) -> StateError {
        StateError::Store {
            action: "keep timers",
            reason: format!(
                "the store failed when timers of '{}' went there, restart from a checkpoint",
                self.name
            ),
            retryable: false,
        }
    }

    pub(crate) fn set_lost(&mut self) {
        self.lost = true;
    }

    fn store(&self) -> Result<&Arc<dyn OrderedStore>, StateError> {
        match &*self.scope.storage {
            Storage::Ordered(store) | Storage::Cached(store, _) => Ok(store),
            // It is made for the others alone.
            Storage::Heap => Err(StateError::Store {
                action: "find a table",
                reason: "there is no store".to_owned(),
                retryable: false,
            }),
        }
    }

    /// The table, if there is one.
    pub(crate) fn table(&self) -> Option<TableId> {
        self.table
    }

    /// Opens the table, which is made if it is not there.
    pub(crate) fn open(&mut self) -> Result<TableId, StateError> {
        if let Some(table) = self.table {
            return Ok(table);
        }
        let table = self.store()?.open_table(&table_name(StateKind::Timers, &self.name))?;
        self.table = Some(table);
        Ok(table)
    }

    /// Whether a timer is, or would be, a row.
    #[inline]
    pub(crate) fn is_beyond<K: Key, N: Key>(
        &mut self,
        (domain, time): (TimeDomain, Timestamp),
        (key, hash): (&K, u64),
        namespace: &N,
    ) -> bool {
        let Some(horizon) = &self.horizons[domain as usize] else { return false };
        if time != horizon.time || horizon.address.is_empty() {
            return time >= horizon.time;
        }
        self.address.clear();
        let group = key_group::key_group(hash, self.scope.max_parallelism);
        put_address(&mut self.address, group, key, namespace);
        self.address >= horizon.address
    }

    /// Makes a timer a row, whether or not it is one.
    pub(crate) fn put<K: Key, N: Key>(
        &mut self,
        (domain, time): (TimeDomain, Timestamp),
        (key, hash): (&K, u64),
        namespace: &N,
    ) -> Result<(), StateError> {
        let group = key_group::key_group(hash, self.scope.max_parallelism);
        let row = |out: &mut Vec<u8>| {
            put_head(out, group, domain, ordered(time));
            key.encode(out);
            namespace.encode(out);
        };
        self.writes.put_with(row, |_| ());
        self.write_full()
    }

    /// Removes the row of a timer, if there is one.
    pub(crate) fn delete<K: Key, N: Key>(
        &mut self,
        (domain, time): (TimeDomain, Timestamp),
        (key, hash): (&K, u64),
        namespace: &N,
    ) -> Result<(), StateError> {
        let group = key_group::key_group(hash, self.scope.max_parallelism);
        self.writes.delete_with(|out| {
            put_head(out, group, domain, ordered(time));
            key.encode(out);
            namespace.encode(out);
        });
        self.write_full()
    }

    fn write_full(&mut self) -> Result<(), StateError> {
        if self.writes.len() < WRITE_AT_ONCE { Ok(()) } else { self.write() }
    }

    /// Writes the changes that were gathered.
    pub(crate) fn write(&mut self) -> Result<(), StateError> {
        self.check()?;
        if self.writes.is_empty() {
            return Ok(());
        }
        let table = self.open()?;
        // After an error they are still there, to be written by the next call; to do a change again does no harm.
        self.store()?.write(table, &self.writes)?;
        self.writes.clear();
        Ok(())
    }

    /// The first `most` rows of a domain, from the horizon or another place on. All that was changed has been written.
    pub(crate) fn stretch(
        &self,
        domain: TimeDomain,
        from: &Place,
        most: usize,
    ) -> Result<Stretch, StateError> {
        let mut stretch = Stretch::default();
        let Some(table) = self.table else { return Ok(stretch) };
        let (store, owned) = (self.store()?, self.scope.owned);
        let mut starts: Vec<(KeyGroup, Vec<u8>)> =
            owned.iter().filter_map(|group| Some((group, start(group, domain, from)?))).collect();
        // At first about as many of each key group as it is likely to have of them, so that what most have is known before
        // all of one are looked at.
        let mut at_once = 2 * most / owned.len().max(1) + 1;
        while !starts.is_empty() {
            let mut left = Vec::new();
            for (group, start) in starts {
                let mut end = Vec::with_capacity(3);
                end.extend_from_slice(&group.to_be_bytes());
                end.push(domain as u8 + 1);
                let (mut seen, mut damaged) = (0, None);
                store.scan(table, &start, Some(&end), &mut |row_key, _| {
                    let time = match read_head(&mut Input::new(row_key)) {
                        Ok((_, time)) => time,
                        Err(error) => {
                            damaged = Some(error);
                            return false;
                        }
                    };
                    let key = &row_key[HEAD..];
                    if !stretch.wants(time, group, key) {
                        return false;
                    }
                    if seen >= at_once {
                        left.push((group, row_key.to_vec()));
                        return false;
                    }
                    seen += 1;
                    stretch.add(time, group, key);
                    if stretch.len() >= 2 * most {
                        stretch.cut(most);
                    }
                    true
                })?;
                in_state(&self.name, damaged.map_or(Ok(()), Err))?;
            }
            starts = left;
            at_once = usize::MAX;
        }
        stretch.cut(most);
        stretch.sort();
        Ok(stretch)
    }

    /// Removes the first `count` rows of a stretch, which have become timers in memory, and has the horizon be after them.
    pub(crate) fn taken(
        &mut self,
        domain: TimeDomain,
        stretch: &Stretch,
        count: usize,
    ) -> Result<(), StateError> {
        for (time, address) in stretch.found.iter().take(count) {
            let (group, key) = stretch.bytes[address.clone()].split_at(2);
            self.writes.delete_with(|out| {
                out.extend_from_slice(group);
                out.push(domain as u8);
                out.extend_from_slice(&ordered(*time).to_be_bytes());
                out.extend_from_slice(key);
            });
            self.write_full()?;
        }
        self.horizons[domain as usize] = stretch.place(count).or_else(|| stretch.next.clone());
        Ok(())
    }

    /// How many rows a domain has. All that was changed has been written.
    pub(crate) fn count(&self, domain: TimeDomain) -> Result<usize, StateError> {
        let (Some(table), Some(horizon)) = (self.table, &self.horizons[domain as usize]) else {
            return Ok(0);
        };
        let mut count = 0;
        for group in self.scope.owned.iter() {
            let Some(start) = start(group, domain, horizon) else { continue };
            let mut end = group.to_be_bytes().to_vec();
            end.push(domain as u8 + 1);
            self.store()?.scan(table, &start, Some(&end), &mut |_, _| {
                count += 1;
                true
            })?;
        }
        Ok(count)
    }

    /// All rows as they are now, to be written into a canonical snapshot beside the task, if the store can show them.
    pub(crate) fn freeze(&mut self) -> Result<Option<Box<dyn FrozenTable>>, StateError> {
        self.write()?;
        let Some(table) = self.table else { return Ok(None) };
        let rows = self.store()?.view(table)?;
        let name = self.name.clone();
        Ok(rows.map(|rows| Box::new(TimerRows { name, rows }) as Box<dyn FrozenTable>))
    }

    /// Writes all rows into a canonical snapshot.
    pub(crate) fn snapshot(&mut self, out: &mut GroupWriter) -> Result<(), StateError> {
        self.write()?;
        let Some(table) = self.table else { return Ok(()) };
        for group in self.scope.owned.iter() {
            let to = group.checked_add(1).map(KeyGroup::to_be_bytes);
            let bytes = out.of_group(group)?;
            let mut damaged = None;
            let to = to.as_ref().map(<[u8; 2]>::as_slice);
            self.store()?.scan(table, &group.to_be_bytes(), to, &mut |row_key, _| {
                damaged = put_canonical(row_key, bytes).err();
                damaged.is_none()
            })?;
            in_state(&self.name, damaged.map_or(Ok(()), Err))?;
        }
        Ok(())
    }
}

/// Rows of timers at one moment.
struct TimerRows {
    name: String,
    rows: Box<dyn TableView>,
}

impl FrozenTable for TimerRows {
    fn encode(self: Box<Self>, out: &mut GroupWriter) -> Result<(), StateError> {
        let mut failure = None;
        self.rows.scan(&[], None, &mut |row_key, _| {
            let group = Input::new(row_key).array("key group of a timer");
            let written = in_state(&self.name, group).and_then(|group| {
                let bytes = out.of_group(KeyGroup::from_be_bytes(group))?;
                in_state(&self.name, put_canonical(row_key, bytes))
            });
            failure = written.err();
            failure.is_none()
        })?;
        failure.map_or(Ok(()), Err)
    }
}

/// Where the rows of a key group from a place on begin; `None` when it has none. What is before may be rows that were removed, which
/// a store may have to pass one by one.
fn start(group: KeyGroup, domain: TimeDomain, from: &Place) -> Option<Vec<u8>> {
    let mut start = Vec::with_capacity(HEAD + from.address.len());
    let (first, key) = from.address.split_at(from.address.len().min(2));
    let order = group.to_be_bytes()[..].cmp(first);
    // Those of an earlier key group and the same time come before the place.
    let passed = !first.is_empty() && order.is_lt();
    let time = ordered(from.time).checked_add(u64::from(passed))?;
    put_head(&mut start, group, domain, time);
    if order.is_eq() {
        start.extend_from_slice(key);
    }
    Some(start)
}
