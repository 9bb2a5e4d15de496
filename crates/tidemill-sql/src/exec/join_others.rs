//! The rows of the other side of a join that have one of the keys of a batch: no more than one call looks at.

use std::ops::Bound;

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use tidemill_runtime::OperatorError;
use tidemill_serialization::Record;
use tidemill_state::{KeyBatch, KeyedStateBackend, ValueState};

use super::groups::Groups;
use super::join::Rows;
use super::row::{Row, RowReader};

/// How far a row has got that has more matches than one call lets out.
#[derive(Clone, Debug, Default, PartialEq, Record)]
pub(super) struct Begun {
    /// The side that it came on.
    pub(super) is_right: bool,
    /// How many matches it has had.
    pub(super) found: i64,
    /// Of a list, how many rows at its end it has not met; of all rows none when it has not begun.
    pub(super) left: Option<u64>,
    /// Of a map, what the last row that it has met is kept by.
    pub(super) after: Option<Row>,
}

impl Begun {
    fn has_begun(&self) -> bool {
        self.left.is_some() || self.after.is_some()
    }
}

/// Some of the rows that one row meets.
pub(super) struct Part {
    pub(super) key: Row,
    pub(super) hash: u64,
    pub(super) had_begun: bool,
    /// The first of them, and the place behind the last.
    pub(super) places: (usize, usize),
    /// How far the row gets with them.
    pub(super) begun: Begun,
    /// Whether they are the last.
    pub(super) is_last: bool,
}

/// Rows of the other side, while they are read.
pub(super) struct Others {
    reader: RowReader,
    /// The first place and the one behind the last, for each key whose rows are all there.
    of_group: Vec<Option<(usize, usize)>>,
    counted: Vec<Other>,
}

/// Rows of the other side.
pub(super) struct OtherRows {
    pub(super) columns: Vec<ArrayRef>,
    /// What is counted of each, if the side counts.
    pub(super) counted: Vec<Other>,
}

/// What is counted of a row of the other side.
pub(super) struct Other {
    pub(super) group: usize,
    /// What it is kept by: its upsert key, or the row itself.
    pub(super) place: Row,
    /// The row, if it is kept by its upsert key.
    pub(super) row: Option<Row>,
    pub(super) count: i64,
    pub(super) matches: i64,
    pub(super) changed: bool,
}

impl Others {
    /// None of `groups` keys.
    pub(super) fn new(schema: &SchemaRef, groups: usize) -> Self {
        Self { reader: RowReader::new(schema), of_group: vec![None; groups], counted: Vec::new() }
    }

    /// Reads the rows of the keys that are asked for, but not those of a key that has more than `limit`, and no more keys when
    /// there are so many.
    pub(super) fn read(
        &mut self,
        backend: &mut KeyedStateBackend<Row>,
        side: Rows,
        groups: &Groups,
        asked: &[bool],
        limit: usize,
    ) -> Result<(), OperatorError> {
        let asked: Vec<usize> = (0..groups.len()).filter(|group| asked[*group]).collect();
        match side {
            Rows::List(list) => {
                let hashes: Vec<u64> = asked.iter().map(|group| groups.hashes[*group]).collect();
                let keys: Vec<&Row> = asked.iter().map(|group| &groups.keys[*group]).collect();
                let mut damage = None;
                list.read_batch(backend, &KeyBatch::new(&hashes, &keys)?, |index, rows| {
                    let first = self.reader.rows();
                    if rows.len() > limit || first > limit {
                        return;
                    }
                    for row in rows {
                        if let Err(error) = self.reader.push(row.bytes()) {
                            damage.get_or_insert(error);
                            return;
                        }
                    }
                    self.of_group[asked[index]] = Some((first, self.reader.rows()));
                })?;
                damage.map_or(Ok(()), |error| Err(error.into()))
            }
            Rows::Map(_) | Rows::Keyed(_) => {
                for group in asked {
                    if self.reader.rows() > limit {
                        break;
                    }
                    let key = (&groups.keys[group], groups.hashes[group]);
                    let part = self.read_on(backend, side, (group, key), Begun::default(), limit)?;
                    self.of_group[group] = part.is_last.then_some(part.places);
                }
                Ok(())
            }
        }
    }

    /// Reads at most `limit` rows of one key that a row has not met which has got as far as `begun`.
    pub(super) fn read_on(
        &mut self,
        backend: &mut KeyedStateBackend<Row>,
        side: Rows,
        (group, (key, hash)): (usize, (&Row, u64)),
        begun: Begun,
        limit: usize,
    ) -> Result<Part, OperatorError> {
        let first = self.reader.rows();
        let had_begun = begun.has_begun();
        let (mut begun, mut is_last) = (begun, true);
        let mut damage = None;
        match side {
            Rows::List(list) => {
                list.read_batch(backend, &KeyBatch::new(&[hash], &[key])?, |_, rows| {
                    let left =
                        begun.left.map_or(rows.len(), |left| usize::try_from(left).unwrap_or(usize::MAX));
                    // What was there first may have expired since.
                    let next = &rows[rows.len().saturating_sub(left)..];
                    let taken = next.len().min(limit);
                    is_last = taken == next.len();
                    begun.left = Some((next.len() - taken) as u64);
                    damage = next[..taken].iter().try_for_each(|row| self.reader.push(row.bytes())).err();
                })?;
            }
            Rows::Map(map) => {
                backend.set_current_key(key, hash)?;
                let from = begun.after.take().map_or(Bound::Unbounded, Bound::Excluded);
                map.scan(backend, (from, Bound::Unbounded), |row, (count, matches)| {
                    if self.reader.rows() - first == limit {
                        is_last = false;
                        return false;
                    }
                    damage = self.reader.push(row.bytes()).err();
                    let (place, count, matches) = (row.clone(), *count, *matches);
                    self.counted.push(Other { group, place, row: None, count, matches, changed: false });
                    damage.is_none()
                })?;
                begun.after = self.counted.last().map(|other| other.place.clone());
            }
            Rows::Keyed(map) => {
                backend.set_current_key(key, hash)?;
                let from = begun.after.take().map_or(Bound::Unbounded, Bound::Excluded);
                map.scan(backend, (from, Bound::Unbounded), |place, (row, matches)| {
                    if self.reader.rows() - first == limit {
                        is_last = false;
                        return false;
                    }
                    damage = self.reader.push(row.bytes()).err();
                    let (place, row, matches) = (place.clone(), Some(row.clone()), *matches);
                    self.counted.push(Other { group, place, row, count: 1, matches, changed: false });
                    damage.is_none()
                })?;
                begun.after = self.counted.last().map(|other| other.place.clone());
            }
        }
        if let Some(error) = damage {
            return Err(error.into());
        }
        let places = (first, self.reader.rows());
        Ok(Part { key: key.clone(), hash, had_begun, places, begun, is_last })
    }

    /// Leaves the rows out that a row has met in part which came on side `side`.
    pub(super) fn leave_begun(
        &mut self,
        backend: &mut KeyedStateBackend<Row>,
        state: ValueState<Begun>,
        side: usize,
        groups: &Groups,
    ) -> Result<(), OperatorError> {
        for (group, places) in self.of_group.iter_mut().enumerate() {
            backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
            if state.get(backend)?.is_some_and(|begun| begun.is_right == (side == 1)) {
                *places = None;
            }
        }
        Ok(())
    }

    /// The first place and the one behind the last of all rows of a key, unless some are not there.
    pub(super) fn of_group(&self, group: usize) -> Option<(usize, usize)> {
        self.of_group[group]
    }

    pub(super) fn finish(mut self) -> Result<OtherRows, OperatorError> {
        Ok(OtherRows { columns: self.reader.finish()?, counted: self.counted })
    }
}

impl OtherRows {
    /// How often the row at a place is there.
    pub(super) fn count(&self, place: u32) -> i64 {
        self.counted.get(place as usize).map_or(1, |other| other.count)
    }

    /// Counts a match more, or one less, of the row at a place; answers how many it had and has.
    pub(super) fn matched(&mut self, place: u32, more: i64) -> (i64, i64) {
        let Some(other) = self.counted.get_mut(place as usize) else { return (0, 0) };
        let before = other.matches;
        other.matches += more;
        other.changed = true;
        (before, other.matches)
    }
}
