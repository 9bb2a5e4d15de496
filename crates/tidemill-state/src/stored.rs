//! Rows of one state in an ordered store: how their keys are written, and what all stored tables do with them.
//!
//! A row key is the key group, the key, the namespace and, in maps, the user key, each encoded as
//! [`Data`](tidemill_serialization::Data). Encoded values tell where they end, so no address is a prefix of another, and
//! the rows of a map lie side by side.

use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_core::{KeyGroup, Timestamp, key_group};
use tidemill_serialization::{Data, DecodeError, Input, Key};

use crate::batch::Address;
use crate::cache::StateCache;
use crate::codec::in_state;
use crate::error::StateError;
use crate::frozen_rows::{EncodeRows, FrozenRows, LiveTable};
use crate::hot_rows::HotRows;
use crate::pending::FrozenTable;
use crate::snapshot::check_owned;
use crate::store::{OrderedStore, RowKeys, TableId, WriteBatch};
use crate::table::Scope;
use crate::ttl::Ttl;

/// How many rows are changed in one write when a whole table or map is gone through.
const WRITE_AT_ONCE: usize = 1024;

/// How many rows a sweep for what has expired looks at, where there is a cache.
const SWEEP_AT_ONCE: usize = 64;

pub(crate) struct StoredRows<K, N> {
    store: Arc<dyn OrderedStore>,
    table: TableId,
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) ttl: Option<Ttl>,
    /// Changes to be written.
    pub(crate) writes: WriteBatch,
    pub(crate) keys: RowKeys,
    /// Whether changes were lost because the store failed.
    lost: bool,
    /// After which row the sweep goes on.
    cursor: Vec<u8>,
    /// How many rows a sweep looks at, at least: to find the first costs more than the others.
    sweep_at_once: usize,
    /// How many rows are to be looked at.
    due: usize,
    types: PhantomData<fn() -> (K, N)>,
}

/// What is to become of a row.
pub(crate) enum Verdict {
    Keep,
    Delete,
    Replace(Vec<u8>),
}

impl<K: Key, N: Key> StoredRows<K, N> {
    pub(crate) fn new(
        name: &str,
        scope: Scope,
        ttl: Option<Ttl>,
        store: Arc<dyn OrderedStore>,
        cache: &StateCache,
    ) -> Result<Self, StateError> {
        let table = store.open_table(name)?;
        Ok(Self {
            store,
            table,
            name: name.to_owned(),
            scope,
            ttl,
            writes: WriteBatch::default(),
            keys: RowKeys::default(),
            lost: false,
            cursor: Vec::new(),
            sweep_at_once: if cache.limit() == 0 { 1 } else { SWEEP_AT_ONCE },
            due: 0,
            types: PhantomData,
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ttl.as_ref().map_or(0, Ttl::now)
    }

    /// The time stamp of what is written at `now`, when entries have one.
    pub(crate) fn stamp(&self, now: Timestamp) -> Option<Timestamp> {
        self.ttl.is_some().then_some(now)
    }

    fn write_key(scope: &Scope, at: Address<'_, K, N>, out: &mut Vec<u8>) {
        let group = key_group::key_group(at.hash, scope.max_parallelism);
        out.extend_from_slice(&group.to_be_bytes());
        at.key.encode(out);
        at.namespace.encode(out);
    }

    /// The key of the row at an address; in maps, what the keys of all its rows start with.
    pub(crate) fn row_key(&self, at: Address<'_, K, N>) -> Vec<u8> {
        let mut key = Vec::with_capacity(32);
        Self::write_key(&self.scope, at, &mut key);
        key
    }

    /// Adds the key of a row to [`keys`](Self::keys).
    pub(crate) fn push_key(&mut self, at: Address<'_, K, N>, rest: impl FnOnce(&mut Vec<u8>)) {
        let scope = &self.scope;
        self.keys.push_with(|out| {
            Self::write_key(scope, at, out);
            rest(out);
        });
    }

    /// Adds to [`writes`](Self::writes): set the row at an address to what `value` appends.
    pub(crate) fn put_at(&mut self, at: Address<'_, K, N>, value: impl FnOnce(&mut Vec<u8>)) {
        self.put_entry_at(at, &(), value);
    }

    /// As [`put_at`](Self::put_at), for the row of an entry of a map.
    pub(crate) fn put_entry_at<UK: Data>(
        &mut self,
        at: Address<'_, K, N>,
        user_key: &UK,
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        let scope = &self.scope;
        let key = |out: &mut Vec<u8>| {
            Self::write_key(scope, at, out);
            user_key.encode(out);
        };
        self.writes.put_with(key, value);
    }

    /// Adds to [`writes`](Self::writes): append to the row at an address what `value` appends.
    pub(crate) fn append_at(&mut self, at: Address<'_, K, N>, value: impl FnOnce(&mut Vec<u8>)) {
        let scope = &self.scope;
        self.writes.append_with(|out| Self::write_key(scope, at, out), value);
    }

    /// Adds to [`writes`](Self::writes): remove the row at an address.
    pub(crate) fn delete_at(&mut self, at: Address<'_, K, N>) {
        self.delete_entry_at(at, &());
    }

    /// As [`delete_at`](Self::delete_at), for the row of an entry of a map.
    pub(crate) fn delete_entry_at<UK: Data>(&mut self, at: Address<'_, K, N>, user_key: &UK) {
        let scope = &self.scope;
        self.writes.delete_with(|out| {
            Self::write_key(scope, at, out);
            user_key.encode(out);
        });
    }

    /// Looks up the row at an address.
    pub(crate) fn get<T>(
        &mut self,
        at: Address<'_, K, N>,
        decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, StateError> {
        self.keys.clear();
        self.push_key(at, |_| ());
        let mut value = None;
        self.get_all(decode, |_, found| value = Some(found))?;
        Ok(value)
    }

    /// Looks up [`keys`](Self::keys), decodes what is found, and passes it on with the index of its key.
    pub(crate) fn get_all<T>(
        &mut self,
        decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
        mut found: impl FnMut(usize, T),
    ) -> Result<(), StateError> {
        if self.keys.is_empty() {
            return Ok(());
        }
        self.check()?;
        let mut failure = None;
        self.store.multi_get(self.table, &self.keys, &mut |index, row| match row.map(&decode) {
            None => {}
            Some(Ok(value)) => found(index, value),
            Some(Err(error)) => failure = Some(error),
        })?;
        in_state(&self.name, failure.map_or(Ok(()), Err))
    }

    /// An error once changes were lost: what is in a cache or in the store is not to be believed any more then.
    pub(crate) fn check(&self) -> Result<(), StateError> {
        if !self.lost {
            return Ok(());
        }
        Err(StateError::Store {
            action: "keep changes",
            reason: format!(
                "an earlier write of the state '{}' failed, restart from a checkpoint",
                self.name
            ),
            retryable: false,
        })
    }

    /// Writes what `next` has gather in [`writes`](Self::writes) at each call, until it says `false`. All rows of one call come after
    /// those of the calls before. See [`OrderedStore::write_many`].
    pub(crate) fn write_many(
        &mut self,
        mut next: impl FnMut(&mut Self) -> Result<bool, StateError>,
    ) -> Result<(), StateError> {
        self.check()?;
        let (store, table) = (Arc::clone(&self.store), self.table);
        let result = store.write_many(table, &mut |batch| {
            self.writes.clear();
            let more = next(self)?;
            self.writes.sort();
            std::mem::swap(batch, &mut self.writes);
            Ok(more)
        });
        self.writes.clear();
        self.lost = result.is_err();
        result
    }

    /// Adds what has gathered in [`writes`](Self::writes) to the rows beside the files of a checkpoint.
    pub(crate) fn give_to(&mut self, out: &mut HotRows) -> Result<(), StateError> {
        let added = out.add(&self.writes);
        self.writes.clear();
        added
    }

    /// Writes what has gathered in [`writes`](Self::writes).
    pub(crate) fn flush(&mut self) -> Result<(), StateError> {
        if self.writes.is_empty() {
            return Ok(());
        }
        self.check()?;
        // Stores take sorted rows faster.
        self.writes.sort();
        let result = self.store.write(self.table, &self.writes);
        self.writes.clear();
        self.lost = result.is_err();
        result
    }

    /// Shows the rows whose keys start with `prefix`, until `visit` says `false`. An error of `visit` ends it.
    pub(crate) fn scan_prefix(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, DecodeError>,
    ) -> Result<(), StateError> {
        let end = successor(prefix);
        let mut failure = None;
        self.store.scan(self.table, prefix, end.as_deref(), &mut |key, value| match visit(key, value) {
            Ok(more) => more,
            Err(error) => {
                failure = Some(error);
                false
            }
        })?;
        in_state(&self.name, failure.map_or(Ok(()), Err))
    }

    /// The rows as they are in the store, to be written into a snapshot while they are not changed.
    pub(crate) fn as_they_are(&self) -> FrozenRows<'_> {
        let rows = LiveTable { store: &*self.store, table: self.table };
        FrozenRows::new(&self.name, self.ttl.as_ref(), Box::new(rows))
    }

    /// The rows as they are in the store now, to be written into a snapshot while they are changed; `None` when the store cannot do
    /// that, or fails.
    pub(crate) fn freeze(&self, encode: EncodeRows) -> Option<Box<dyn FrozenTable>> {
        let view = self.store.view(self.table).ok().flatten()?;
        Some(FrozenRows::new(&self.name, self.ttl.as_ref(), view).into_table(encode))
    }

    /// Shows all rows: key group, key, namespace, what follows them in the row key, value.
    pub(crate) fn for_each(
        &self,
        mut visit: impl FnMut(KeyGroup, K, N, &[u8], &[u8]) -> Result<(), DecodeError>,
    ) -> Result<(), StateError> {
        self.scan_prefix(&[], |row_key, value| {
            let (group, key, namespace, rest) = split::<K, N>(row_key)?;
            visit(group, key, namespace, &row_key[rest..], value)?;
            Ok(true)
        })
    }

    /// Removes all rows whose keys start with `prefix`.
    pub(crate) fn delete_prefix(&mut self, prefix: &[u8]) -> Result<(), StateError> {
        loop {
            let mut writes = std::mem::take(&mut self.writes);
            let deleted = self.scan_prefix(prefix, |key, _| {
                writes.delete(key);
                Ok(writes.len() < WRITE_AT_ONCE)
            });
            self.writes = writes;
            deleted?;
            let last = self.writes.len() < WRITE_AT_ONCE;
            self.flush()?;
            if last {
                return Ok(());
            }
        }
    }

    /// Looks at the next rows, round and round, and does what `judge` says; as many as the time to live tells.
    pub(crate) fn sweep(
        &mut self,
        judge: impl Fn(&Ttl, &[u8], Timestamp) -> Result<Verdict, DecodeError>,
    ) -> Result<(), StateError> {
        let Some(ttl) = &self.ttl else { return Ok(()) };
        self.due += ttl.incremental();
        if self.due == 0 || self.due < self.sweep_at_once {
            return Ok(());
        }
        let (now, count) = (ttl.now(), std::mem::take(&mut self.due));
        let mut writes = std::mem::take(&mut self.writes);
        let mut cursor = std::mem::take(&mut self.cursor);
        let mut seen = 0;
        let mut failure = None;
        let from = cursor.clone();
        let scanned = self.store.scan(self.table, &from, None, &mut |key, value| {
            seen += 1;
            match judge(ttl, value, now) {
                Ok(Verdict::Keep) => {}
                Ok(Verdict::Delete) => writes.delete(key),
                Ok(Verdict::Replace(bytes)) => writes.put(key, |out| out.extend_from_slice(&bytes)),
                Err(error) => failure = Some(error),
            }
            cursor.clear();
            cursor.extend_from_slice(key);
            // The next row has a key that is at least a little greater.
            cursor.push(0);
            failure.is_none() && seen < count
        });
        if seen < count {
            cursor.clear();
        }
        self.writes = writes;
        self.cursor = cursor;
        scanned?;
        in_state(&self.name, failure.map_or(Ok(()), Err))?;
        self.flush()
    }

    pub(crate) fn check_group(&self, group: KeyGroup) -> Result<(), StateError> {
        check_owned(self.scope.owned, group)
    }

    /// The keys that have a row in a namespace which `live` approves of.
    pub(crate) fn keys_in(
        &self,
        wanted: &N,
        keys: &mut Vec<K>,
        live: impl Fn(&[u8]) -> Result<bool, DecodeError>,
    ) -> Result<(), StateError> {
        self.for_each(|_, key, namespace, _, value| {
            if namespace == *wanted && live(value)? && keys.last() != Some(&key) {
                keys.push(key);
            }
            Ok(())
        })
    }
}

/// Takes a row key apart: key group, key, namespace, and where they end.
pub(crate) fn split<K: Data, N: Data>(row_key: &[u8]) -> Result<(KeyGroup, K, N, usize), DecodeError> {
    let mut input = Input::new(row_key);
    let group = KeyGroup::from_be_bytes(input.array("key group of a row")?);
    let key = K::decode(&mut input)?;
    let namespace = N::decode(&mut input)?;
    Ok((group, key, namespace, row_key.len() - input.remaining()))
}

/// The least key that is greater than all keys that start with `prefix`.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
