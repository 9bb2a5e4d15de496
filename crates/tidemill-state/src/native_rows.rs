//! Rows of a stored table as entries of a canonical snapshot, by what they hold alone: for tables that no state of the program
//! has declared, or whose rows are another release's.
//!
//! What rows look like is decided where stored tables write them; this file follows them, as migrations do.

use tidemill_core::{KeyGroup, KeyGroupRange};
use tidemill_serialization::{Input, Migration, MigrationError};

use crate::codec::{put_bytes, put_raw_entry};
use crate::error::StateError;
use crate::heap_maps::put_raw_row;
use crate::native_store::RestoredTable;
use crate::pending::FrozenTable;
use crate::snapshot::{GroupWriter, StateKind};
use crate::store::TableView;
use crate::timer_store::put_canonical;

/// Takes apart the rows of one table.
pub(crate) struct RowReader<'a> {
    rows: &'a dyn TableView,
    table: &'a RestoredTable,
    key: Option<Migration>,
    namespace: Option<Migration>,
}

impl<'a> RowReader<'a> {
    /// For the table, whose rows these are.
    pub(crate) fn new(rows: &'a dyn TableView, table: &'a RestoredTable) -> Self {
        let mut types = table.schema.types.iter().map(|serializer| Migration::unchanged(&serializer.schema));
        Self { rows, table, key: types.next(), namespace: types.next() }
    }

    /// The entries of one key group.
    pub(crate) fn group(&self, group: KeyGroup) -> Result<Vec<u8>, StateError> {
        let from = group.to_be_bytes();
        let to = group.checked_add(1).map(KeyGroup::to_be_bytes);
        let mut out = Vec::new();
        let mut map = Map::default();
        let mut failure = None;
        self.rows.scan(&from, to.as_ref().map(<[u8; 2]>::as_slice), &mut |row_key, row| {
            let address = row_key.get(from.len()..).unwrap_or_default();
            match self.table.schema.kind {
                StateKind::Map => match self.prefix(address) {
                    Ok(prefix) => map.row(&address[..prefix], &address[prefix..], row, &mut out),
                    Err(error) => failure = Some(error),
                },
                StateKind::Timers => {
                    failure = put_canonical(row_key, &mut out).err().map(MigrationError::from);
                }
                StateKind::List => {
                    put_raw_entry(&mut out, address);
                    put_bytes(&mut out, row);
                }
                _ => {
                    put_raw_entry(&mut out, address);
                    out.extend_from_slice(row);
                }
            }
            failure.is_none()
        })?;
        map.finish(&mut out);
        match failure {
            None => Ok(out),
            Some(source) => Err(StateError::Migrate { name: self.table.state.clone(), source }),
        }
    }

    /// How long key and namespace are, which the user key follows.
    fn prefix(&self, address: &[u8]) -> Result<usize, MigrationError> {
        let mut input = Input::new(address);
        let mut passed = Vec::new();
        for part in self.key.iter().chain(&self.namespace) {
            passed.clear();
            part.value(&mut input, &mut passed)?;
        }
        Ok(address.len() - input.remaining())
    }
}

/// A table that no state has asked for since it was restored, as it was at one moment.
pub(crate) struct FrozenPart {
    pub(crate) rows: Box<dyn TableView>,
    pub(crate) table: RestoredTable,
    pub(crate) owned: KeyGroupRange,
}

impl FrozenTable for FrozenPart {
    fn encode(self: Box<Self>, out: &mut GroupWriter) -> Result<(), StateError> {
        let reader = RowReader::new(&*self.rows, &self.table);
        for group in self.owned.iter() {
            let entries = reader.group(group)?;
            out.of_group(group)?.extend_from_slice(&entries);
        }
        Ok(())
    }
}

/// A map whose rows are being gathered.
#[derive(Default)]
struct Map {
    at: Option<Vec<u8>>,
    rows: Vec<u8>,
}

impl Map {
    fn row(&mut self, at: &[u8], user_key: &[u8], row: &[u8], out: &mut Vec<u8>) {
        if self.at.as_deref() != Some(at) {
            self.finish(out);
            self.at = Some(at.to_vec());
        }
        put_raw_row(&mut self.rows, user_key, row);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(at) = self.at.take() {
            put_raw_entry(out, &at);
            put_bytes(out, &self.rows);
            self.rows.clear();
        }
    }
}
