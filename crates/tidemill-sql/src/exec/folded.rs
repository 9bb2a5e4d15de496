//! The distinct pairs of a group and a value in a batch: what happens to one is one change of state.

use hashbrown::HashTable;
use tidemill_core::hash;

use super::groups::RowOfGroup;
use super::row::Row;

/// The pairs.
#[derive(Default)]
pub(super) struct Folded<'a> {
    changes: Vec<FoldedChange<'a>>,
    table: HashTable<u32>,
}

/// A pair.
pub(super) struct FoldedChange<'a> {
    /// The first row that has it.
    pub(super) row: RowOfGroup<'a>,
    pub(super) value: Row,
    hash: u64,
}

impl<'a> Folded<'a> {
    /// The number of the pair of the group of `row` and `value`, which may be a new one.
    pub(super) fn find(&mut self, row: RowOfGroup<'a>, value: &[u8]) -> usize {
        let hash = hash::combine(hash::bytes(value), hash::int(i64::from(row.group)));
        let changes = &mut self.changes;
        let is_it = |place: &u32| {
            let known = &changes[*place as usize];
            known.hash == hash && known.row.group == row.group && known.value.bytes() == value
        };
        if let Some(place) = self.table.find(hash, is_it) {
            return *place as usize;
        }
        let place = changes.len();
        changes.push(FoldedChange { row, value: Row::of(value), hash });
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        self.table.insert_unique(hash, number, |place| changes[*place as usize].hash);
        place
    }

    /// The pairs, by number.
    pub(super) fn changes(&self) -> &[FoldedChange<'a>] {
        &self.changes
    }
}
