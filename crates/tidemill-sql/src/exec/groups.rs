//! The distinct keys of a batch: each is looked up in state once, however many rows have it.

use arrow_array::ArrayRef;
use arrow_data::ArrayData;
use hashbrown::HashTable;
use tidemill_core::hash;

use super::row::{Row, RowWriter, column_data};

/// A row of a batch with its group, the `group`th of the batch's.
#[derive(Clone, Copy)]
pub(crate) struct RowOfGroup<'a> {
    pub(crate) row: usize,
    pub(crate) group: u32,
    pub(crate) key: &'a Row,
    pub(crate) hash: u64,
    pub(crate) namespace: i64,
}

/// The distinct keys of a batch, and which of them each row has.
#[derive(Default)]
pub(crate) struct Groups {
    /// The distinct keys.
    pub(crate) keys: Vec<Row>,
    /// Their hashes.
    pub(crate) hashes: Vec<u64>,
    /// The key of each row.
    pub(crate) of_row: Vec<u32>,
    /// Their namespaces, when they have any.
    pub(crate) namespaces: Vec<i64>,
    table: HashTable<u32>,
    scratch: Vec<u8>,
}

impl Groups {
    /// Finds the distinct values of the columns at `keys`.
    pub(crate) fn find(&mut self, columns: &[ArrayRef], keys: &[usize], rows: usize) {
        let data = column_data(columns, keys);
        self.find_all(&data, (0..rows).map(|row| (row, None)));
    }

    /// Finds the distinct pairs of a key and a namespace of `entries`, which are rows with a namespace each.
    pub(crate) fn find_entries(&mut self, data: &[ArrayData], entries: &[(u32, i64)]) {
        self.find_all(data, entries.iter().map(|(row, namespace)| (*row as usize, Some(*namespace))));
    }

    fn find_all(&mut self, data: &[ArrayData], entries: impl ExactSizeIterator<Item = (usize, Option<i64>)>) {
        let writer = RowWriter::new(data, true);
        self.keys.clear();
        self.hashes.clear();
        self.namespaces.clear();
        self.of_row.clear();
        self.of_row.reserve(entries.len());
        self.table.clear();
        for (row, namespace) in entries {
            self.scratch.clear();
            writer.write(row, &mut self.scratch);
            let of_key = hash::bytes(&self.scratch);
            let of_both = namespace.map_or(of_key, |namespace| hash::combine(of_key, hash::int(namespace)));
            let (keys, hashes, namespaces, scratch) =
                (&mut self.keys, &mut self.hashes, &mut self.namespaces, &self.scratch);
            let is_same = |known: &u32| {
                let known = *known as usize;
                hashes[known] == of_key
                    && namespace.is_none_or(|namespace| namespaces[known] == namespace)
                    && keys[known].bytes() == &scratch[..]
            };
            let group = match self.table.find(of_both, is_same) {
                Some(known) => *known,
                None => {
                    let group = u32::try_from(keys.len()).unwrap_or(u32::MAX);
                    keys.push(Row::of(scratch));
                    hashes.push(of_key);
                    namespaces.extend(namespace);
                    let (hashes, namespaces) = (&*hashes, &*namespaces);
                    self.table.insert_unique(of_both, group, |known| {
                        let known = *known as usize;
                        match namespaces.get(known) {
                            Some(namespace) => hash::combine(hashes[known], hash::int(*namespace)),
                            None => hashes[known],
                        }
                    });
                    group
                }
            };
            self.of_row.push(group);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The rows of a batch with their groups; `entries` says which rows they are and their namespaces, if not all in order.
    pub(crate) fn rows<'a>(
        &'a self,
        entries: Option<&'a [(u32, i64)]>,
    ) -> impl ExactSizeIterator<Item = RowOfGroup<'a>> + Clone {
        self.of_row.iter().enumerate().map(move |(place, group)| {
            let at = *group as usize;
            let (row, namespace) = match entries {
                Some(entries) => (entries[place].0 as usize, entries[place].1),
                None => (place, 0),
            };
            RowOfGroup { row, group: *group, key: &self.keys[at], hash: self.hashes[at], namespace }
        })
    }
}
