//! The table that a changelog describes, kept where it is shown: the newest rows of it.

use std::collections::{HashMap, VecDeque};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use smallvec::SmallVec;
use tidemill_core::batch::RowKind;
use tidemill_runtime::OperatorError;

use super::output::is_retraction;
use super::result_changes::ResultBatch;
use super::row::{Row, RowReader, RowWriter};
use crate::expr::compile::record_batch;

/// Rows in the order in which they came; an updated one stays where it was. Of more rows than it may have, the oldest are
/// forgotten.
#[derive(Debug)]
pub struct MaterializedTable {
    schema: SchemaRef,
    /// A place that is empty was that of a row that is gone.
    rows: VecDeque<Option<Row>>,
    /// The number of the first place.
    first: u64,
    /// The numbers of the places at which a row stands.
    places: HashMap<Row, SmallVec<[u64; 1]>>,
    count: usize,
    most: usize,
    /// Where the row stood that is about to be updated.
    updated: Option<u64>,
}

impl MaterializedTable {
    /// A table of columns `schema` with at most `most` rows.
    pub fn new(schema: SchemaRef, most: usize) -> Self {
        Self {
            schema,
            rows: VecDeque::new(),
            first: 0,
            places: HashMap::new(),
            count: 0,
            most: most.max(1),
            updated: None,
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Applies changes.
    pub fn apply(&mut self, changes: &ResultBatch) {
        let data: Vec<_> = changes.rows.columns().iter().map(arrow_array::Array::to_data).collect();
        let writer = RowWriter::new(&data, false);
        let mut scratch = Vec::new();
        for place in 0..changes.rows.num_rows() {
            let row = writer.row(place, &mut scratch);
            let kind = changes.kind(place);
            if is_retraction(kind) {
                self.remove(&row, kind == RowKind::UpdateBefore);
            } else {
                self.insert(row, kind == RowKind::UpdateAfter);
            }
        }
    }

    fn insert(&mut self, row: Row, is_update: bool) {
        let same = self.updated.take().filter(|_| is_update);
        let index = same.and_then(|number| usize::try_from(number.checked_sub(self.first)?).ok());
        let number = match (same, index.and_then(|index| self.rows.get_mut(index))) {
            (Some(number), Some(free)) if free.is_none() => {
                *free = Some(row.clone());
                number
            }
            _ => {
                self.rows.push_back(Some(row.clone()));
                self.first + self.rows.len() as u64 - 1
            }
        };
        self.places.entry(row).or_default().push(number);
        self.count += 1;
        while self.count > self.most {
            self.forget_first();
        }
    }

    fn remove(&mut self, row: &Row, is_update: bool) {
        self.updated = None;
        // It may have been forgotten.
        let Some(places) = self.places.get_mut(row) else { return };
        let Some(number) = places.pop() else { return };
        if places.is_empty() {
            self.places.remove(row);
        }
        let index = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        if let Some(place) = self.rows.get_mut(index) {
            *place = None;
        }
        self.count -= 1;
        self.updated = is_update.then_some(number);
        if self.rows.len() > 2 * self.count + 1024 {
            self.close_gaps();
        }
    }

    fn forget_first(&mut self) {
        let (number, row) = (self.first, self.rows.pop_front());
        self.first += 1;
        let Some(Some(row)) = row else { return };
        self.count -= 1;
        if let Some(places) = self.places.get_mut(&row) {
            places.retain(|place| *place != number);
            if places.is_empty() {
                self.places.remove(&row);
            }
        }
    }

    fn close_gaps(&mut self) {
        self.updated = None;
        self.rows.retain(Option::is_some);
        self.places.clear();
        for (row, number) in self.rows.iter().zip(self.first..) {
            if let Some(row) = row {
                self.places.entry(row.clone()).or_default().push(number);
            }
        }
    }

    /// At most `take` rows behind the first `skip`.
    ///
    /// # Errors
    /// When a row cannot be read, which is a fault of the program.
    pub fn rows(&self, skip: usize, take: usize) -> Result<RecordBatch, OperatorError> {
        let mut reader = RowReader::new(&self.schema);
        for row in self.rows.iter().flatten().skip(skip).take(take) {
            reader.push(row.bytes())?;
        }
        let rows = reader.rows();
        record_batch(&self.schema, reader.finish()?, rows)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Array, Int64Array};
    use proptest::prelude::*;

    use super::*;

    const I: RowKind = RowKind::Insert;
    const UB: RowKind = RowKind::UpdateBefore;
    const UA: RowKind = RowKind::UpdateAfter;
    const D: RowKind = RowKind::Delete;

    fn batch(changes: &[(RowKind, i64)]) -> ResultBatch {
        let numbers: Arc<dyn Array> =
            Arc::new(Int64Array::from_iter_values(changes.iter().map(|(_, value)| *value)));
        let rows = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        ResultBatch { rows, kinds: Some(changes.iter().map(|(kind, _)| *kind).collect()) }
    }

    fn table(most: usize) -> MaterializedTable {
        MaterializedTable::new(batch(&[]).rows.schema(), most)
    }

    fn all(table: &MaterializedTable) -> Vec<i64> {
        table.rows(0, usize::MAX).unwrap().column(0).as_primitive::<Int64Type>().values().to_vec()
    }

    #[test]
    fn an_updated_row_stays_where_it_was() {
        let mut table = table(100);
        table.apply(&batch(&[(I, 1), (I, 2), (I, 3), (UB, 2), (UA, 7), (D, 1), (I, 9)]));
        assert_eq!(all(&table), [7, 3, 9]);
        assert_eq!(table.rows(1, 1).unwrap().num_rows(), 1);
        // Of a row that is there twice one goes.
        table.apply(&batch(&[(I, 9), (D, 9)]));
        assert_eq!(all(&table), [7, 3, 9]);
    }

    #[test]
    fn the_oldest_rows_are_forgotten() {
        let mut table = table(3);
        table.apply(&batch(&[(I, 1), (I, 2), (I, 3), (I, 4), (D, 1), (UB, 2), (UA, 5)]));
        assert_eq!(all(&table), [5, 3, 4]);
        for number in 0..5000 {
            table.apply(&batch(&[(UB, number + 5), (UA, number + 6)]));
        }
        assert_eq!(all(&table), [5005, 3, 4]);
        assert!(table.rows.len() < 2000);
    }

    proptest! {
        #[test]
        fn the_rows_are_those_of_the_changelog(numbers in prop::collection::vec((0i64..12, any::<bool>()), 0..4000)) {
            let mut table = table(1_000_000);
            let mut model: Vec<i64> = Vec::new();
            for (number, update) in numbers {
                match model.iter().position(|known| *known == number) {
                    Some(place) if update => {
                        model.remove(place);
                        model.push(number + 1);
                        table.apply(&batch(&[(UB, number), (UA, number + 1)]));
                    }
                    Some(place) => {
                        model.remove(place);
                        table.apply(&batch(&[(D, number)]));
                    }
                    None => {
                        model.push(number);
                        table.apply(&batch(&[(I, number)]));
                    }
                }
            }
            let mut found = all(&table);
            found.sort_unstable();
            model.sort_unstable();
            prop_assert_eq!(table.len(), model.len());
            prop_assert_eq!(found, model);
        }
    }
}
