//! An ordered store in a `BTreeMap`, to test the stored tables without a database.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use tidemill_state::*;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Default)]
pub(crate) struct TreeStore {
    tables: Mutex<Vec<(String, Rows)>>,
}

impl TreeStore {
    /// How many rows all tables have together.
    pub(crate) fn rows(&self) -> usize {
        self.tables.lock().unwrap().iter().map(|(_, rows)| rows.len()).sum()
    }
}

impl OrderedStore for TreeStore {
    fn open_table(&self, state: &str) -> Result<TableId, StateError> {
        let mut tables = self.tables.lock().unwrap();
        let place = tables.iter().position(|(name, _)| name == state).unwrap_or_else(|| {
            tables.push((state.to_owned(), Rows::new()));
            tables.len() - 1
        });
        Ok(TableId(place as u32))
    }

    fn multi_get(
        &self,
        table: TableId,
        keys: &RowKeys,
        found: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Result<(), StateError> {
        let tables = self.tables.lock().unwrap();
        let rows = &tables[table.0 as usize].1;
        // Any order is allowed, so the least likely one is used.
        for index in (0..keys.len()).rev() {
            found(index, rows.get(keys.get(index)).map(Vec::as_slice));
        }
        Ok(())
    }

    fn write(&self, table: TableId, batch: &WriteBatch) -> Result<(), StateError> {
        let mut tables = self.tables.lock().unwrap();
        let rows = &mut tables[table.0 as usize].1;
        for change in batch.iter() {
            match change {
                Write::Put(key, value) => {
                    rows.insert(key.to_vec(), value.to_vec());
                }
                Write::Append(key, value) => {
                    rows.entry(key.to_vec()).or_default().extend_from_slice(value);
                }
                Write::Delete(key) => {
                    rows.remove(key);
                }
            }
        }
        Ok(())
    }

    fn scan(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let tables = self.tables.lock().unwrap();
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rows = tables[table.0 as usize].1.range::<[u8], _>((Bound::Included(from), to));
        rows.all(|(key, value)| visit(key, value));
        Ok(())
    }
}

/// Keeps state in a [`TreeStore`]: the one given, or a new one.
#[derive(Default)]
pub(crate) struct TreeBackend(pub(crate) Option<Arc<TreeStore>>);

impl StateBackend for TreeBackend {
    fn name(&self) -> &'static str {
        "tree"
    }

    fn open(&self, _subtask: &SubtaskContext) -> Result<Storage, StateError> {
        Ok(Storage::Ordered(self.0.clone().unwrap_or_default()))
    }
}
