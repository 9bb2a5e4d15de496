//! What comes out of a match.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, TimestampMillisecondArray, new_null_array};
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave;
use tidemill_runtime::OperatorError;

use super::conditions::failed;
use super::partition::Found;
use super::reads::{AggregateSet, Computed, Source, at};
use super::slots::{Numbers, Slots};
use crate::exec::accumulators::Argument;
use crate::exec::row::{Row, RowReader};
use crate::expr::compile::record_batch;
use crate::plan::MatchExprs;

/// The measures of a pattern.
pub(super) struct Measures {
    computed: Computed,
    sets: Vec<AggregateSet>,
}

/// A row that is not decoded yet, by slot and number.
pub(super) type RowId = (usize, u64);

/// Where a row is: among those of the call, or those that were decoded for the measures.
type Place = (usize, usize);

/// The rows of the call, those decoded for the measures, and none.
const NONE: Place = (2, 0);

impl Measures {
    pub(super) fn new(measures: &MatchExprs, input: &SchemaRef) -> Result<Self, OperatorError> {
        let sets = AggregateSet::all(&measures.reads, input)?;
        Ok(Self { computed: Computed::new(measures, &sets)?, sets })
    }

    /// The rows of a match that are read.
    pub(super) fn wanted(&self, found: &Found, wanted: &mut Numbers) {
        for source in &self.computed.sources {
            match source {
                Source::Row { variable, place, .. } => wanted.extend(at(&found.run.rows(*variable), *place)),
                Source::Aggregate { set, .. } => wanted.extend(found.run.rows(self.sets[*set].variable)),
                Source::Time => {}
            }
        }
    }

    /// The columns of the measures of `found`, which are matches by their slots. `further` are the rows that are read and not
    /// among those of the call, `rows`.
    pub(super) fn compute(
        &self,
        found: &[(usize, Found)],
        slots: &Slots,
        rows: &RecordBatch,
        further: Vec<(RowId, Row)>,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        let mut reader = RowReader::new(&rows.schema());
        let mut places: HashMap<RowId, usize> = HashMap::with_capacity(further.len());
        for (id, row) in further {
            places.insert(id, reader.rows());
            reader.push(row.bytes())?;
        }
        let count = reader.rows();
        let further = record_batch(&rows.schema(), reader.finish()?, count)?;
        let place = |slot: usize, number: u64| match slots.all[slot].place(number) {
            Some(place) => (0, place as usize),
            None => places.get(&(slot, number)).map_or(NONE, |place| (1, *place)),
        };
        let mut aggregated: Vec<Vec<ArrayRef>> = Vec::with_capacity(self.sets.len());
        for set in &self.sets {
            aggregated.push(aggregate(set, found, [rows, &further], place)?);
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.computed.sources.len());
        for (index, source) in self.computed.sources.iter().enumerate() {
            let data_type = self.computed.schema.field(index).data_type();
            columns.push(match *source {
                Source::Row { variable, place: wanted, column } => {
                    let (of_call, others) = (rows.column(column), further.column(column));
                    let none = new_null_array(of_call.data_type(), 1);
                    let wanted: Vec<Place> = found
                        .iter()
                        .map(|(slot, found)| {
                            at(&found.run.rows(variable), wanted).map_or(NONE, |number| place(*slot, number))
                        })
                        .collect();
                    interleave(&[&**of_call, &**others, &*none], &wanted).map_err(|error| failed(&error))?
                }
                Source::Aggregate { set, function } => Arc::clone(&aggregated[set][function]),
                Source::Time => {
                    let times = found.iter().map(|(_, found)| found.time);
                    let times = TimestampMillisecondArray::from_iter_values(times);
                    Arc::new(times.with_data_type(data_type.clone()))
                }
            });
        }
        let read = record_batch(&self.computed.schema, columns, found.len())?;
        self.computed.exprs.iter().map(|expr| expr.evaluate(&read)).collect()
    }
}

/// The results of aggregates, for each match.
fn aggregate(
    set: &AggregateSet,
    found: &[(usize, Found)],
    rows: [&RecordBatch; 2],
    place: impl Fn(usize, u64) -> Place,
) -> Result<Vec<ArrayRef>, OperatorError> {
    let arguments: [Vec<Argument>; 2] = [set.arguments(rows[0])?, set.arguments(rows[1])?];
    let mut results = set.functions.results();
    for (slot, found) in found {
        let mut accumulators = set.functions.empty();
        for number in found.run.rows(set.variable) {
            let (of, row) = place(*slot, number);
            if let Some(arguments) = arguments.get(of) {
                set.accumulate(&mut accumulators, arguments, row)?;
            }
        }
        results.push(&set.functions, &accumulators)?;
    }
    results.finish()
}
