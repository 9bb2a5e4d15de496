//! The partitions that are worked on in one call, and their rows.

use std::collections::{BTreeSet, HashMap};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use tidemill_runtime::OperatorError;

use super::partition::Partition;
use crate::exec::row::{Row, RowReader};
use crate::exec::sort_key::write_sort_key;
use crate::expr::compile::record_batch;
use crate::plan::SortKey;

/// A partition with the rows that are due.
pub(super) struct Slot {
    pub(super) key: Row,
    pub(super) hash: u64,
    /// The rows with their times: first as they came, then in order.
    pub(super) rows: Vec<(i64, Row)>,
    /// The time up to which matches may be over without a further row.
    pub(super) timeout: Option<i64>,
    /// Of each of the rows its place among the decoded ones.
    places: Vec<u32>,
    /// The places of rows that came earlier, by their numbers.
    kept: HashMap<u64, u32>,
    /// The number of the first of `rows`.
    first: u64,
}

impl Slot {
    /// The place of a row, when it is decoded.
    pub(super) fn place(&self, number: u64) -> Option<u32> {
        match number.checked_sub(self.first) {
            Some(index) => self.places.get(usize::try_from(index).ok()?).copied(),
            None => self.kept.get(&number).copied(),
        }
    }

    /// A row that came in this call.
    pub(super) fn row(&self, number: u64) -> Option<&Row> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.rows.get(index).map(|(_, row)| row)
    }

    /// The number of the first row that came in this call.
    pub(super) fn first(&self) -> u64 {
        self.first
    }
}

/// The partitions of one call.
#[derive(Default)]
pub(super) struct Slots {
    pub(super) all: Vec<Slot>,
    by_key: HashMap<Row, usize>,
}

impl Slots {
    /// The partition with this key.
    pub(super) fn of(&mut self, key: &Row, hash: u64) -> &mut Slot {
        let index = match self.by_key.get(key) {
            Some(index) => *index,
            None => {
                self.by_key.insert(key.clone(), self.all.len());
                self.all.push(Slot {
                    key: key.clone(),
                    hash,
                    rows: Vec::new(),
                    timeout: None,
                    places: Vec::new(),
                    kept: HashMap::new(),
                    first: 0,
                });
                self.all.len() - 1
            }
        };
        &mut self.all[index]
    }

    /// The hashes and the keys.
    pub(super) fn keys(&self) -> (Vec<u64>, Vec<&Row>) {
        (self.all.iter().map(|slot| slot.hash).collect(), self.all.iter().map(|slot| &slot.key).collect())
    }

    /// Decodes the rows of all partitions and puts them in order; `kept` are rows of earlier calls, by slot and number.
    pub(super) fn decode(
        &mut self,
        partitions: &[Partition],
        kept: Vec<(usize, u64, Row)>,
        input: &SchemaRef,
        order: &[SortKey],
    ) -> Result<RecordBatch, OperatorError> {
        let mut reader = RowReader::new(input);
        let mut next = 0u32;
        for (slot, number, row) in kept {
            reader.push(row.bytes())?;
            self.all[slot].kept.insert(number, next);
            next += 1;
        }
        for (slot, partition) in self.all.iter_mut().zip(partitions) {
            slot.first = partition.next;
            for (_, row) in &slot.rows {
                reader.push(row.bytes())?;
                slot.places.push(next);
                next += 1;
            }
        }
        let rows = reader.rows();
        let columns = reader.finish()?;
        for slot in &mut self.all {
            slot.sort(&columns, order)?;
        }
        record_batch(input, columns, rows)
    }
}

impl Slot {
    /// Puts rows of the same time in the order of the further columns; those that are equal in all stay as they came.
    fn sort(&mut self, columns: &[ArrayRef], order: &[SortKey]) -> Result<(), OperatorError> {
        let further = order.get(1..).unwrap_or_default();
        let is_sorted = self.rows.windows(2).all(|pair| pair[0].0 <= pair[1].0);
        if is_sorted && (further.is_empty() || self.rows.windows(2).all(|pair| pair[0].0 < pair[1].0)) {
            return Ok(());
        }
        let mut keys: Vec<(i64, Vec<u8>, usize)> = Vec::with_capacity(self.rows.len());
        for (index, ((time, _), place)) in self.rows.iter().zip(&self.places).enumerate() {
            let mut key = Vec::new();
            write_sort_key(columns, further, *place as usize, &mut key)?;
            keys.push((*time, key, index));
        }
        keys.sort();
        let places = keys.iter().map(|(_, _, index)| self.places[*index]).collect();
        self.places = places;
        let mut rows: Vec<Option<(i64, Row)>> =
            std::mem::take(&mut self.rows).into_iter().map(Some).collect();
        self.rows = keys.iter().filter_map(|(_, _, index)| rows[*index].take()).collect();
        Ok(())
    }
}

/// Numbers of rows that are wanted of a partition.
pub(super) type Numbers = BTreeSet<u64>;
