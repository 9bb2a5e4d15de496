//! Each row with the elements of an array, map or multiset that it has.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, Int32Array, StructArray, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_runtime::{Operator, OperatorError, OperatorFactory, Output, Progress};

use super::correlate::batch_part;
use super::output::kind;
use crate::expr::Expr;
use crate::expr::compile::{Compiled, record_batch};

/// What is unnested.
#[derive(Clone, Debug)]
pub(crate) struct UnnestSpec {
    pub(crate) input: SchemaRef,
    /// The array, map or multiset.
    pub(crate) collection: Expr,
    /// Whether each element of a map is there as often as its value says.
    pub(crate) is_multiset: bool,
    pub(crate) with_ordinality: bool,
    /// Whether rows without elements stay, with NULLs.
    pub(crate) is_left: bool,
    /// The input's columns, then those of an element.
    pub(crate) output: SchemaRef,
}

impl OperatorFactory for UnnestSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let collection = Compiled::new(&self.collection, &self.input)?;
        Ok(Box::new(Unnest { spec: self.clone(), collection }))
    }
}

struct Unnest {
    spec: UnnestSpec,
    collection: Compiled,
}

/// The place of an element, its row, and its number within the row.
#[derive(Default)]
struct Elements {
    rows: Vec<u32>,
    places: Vec<Option<u32>>,
    numbers: Vec<Option<i32>>,
}

impl Elements {
    fn push(&mut self, row: usize, place: Option<usize>, number: Option<usize>) {
        self.rows.push(u32::try_from(row).unwrap_or(u32::MAX));
        self.places.push(place.and_then(|place| u32::try_from(place).ok()));
        self.numbers.push(number.and_then(|number| i32::try_from(number).ok()));
    }
}

impl Elements {
    fn split_off(&mut self, at: usize) -> Self {
        let (rows, places) = (self.rows.split_off(at), self.places.split_off(at));
        Self { rows, places, numbers: self.numbers.split_off(at) }
    }
}

fn failed(error: &dyn std::fmt::Display) -> OperatorError {
    OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string())
}

impl Operator for Unnest {
    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let batch = batch.downcast_ref::<ArrowBatch>()?;
        let collection = self.collection.evaluate(&batch.records)?;
        let (offsets, values) = match (collection.as_list_opt::<i32>(), collection.as_map_opt()) {
            (Some(list), _) => (list.value_offsets(), Arc::clone(list.values())),
            (_, Some(map)) => (map.value_offsets(), Arc::new(map.entries().clone()) as ArrayRef),
            _ => return Err(failed(&"UNNEST got neither an array nor a map")),
        };
        let counts = match values.as_struct_opt() {
            Some(entries) if self.spec.is_multiset => {
                let counts =
                    entries.columns().get(1).and_then(|counts| counts.as_primitive_opt::<Int32Type>());
                Some(counts.ok_or_else(|| failed(&"a multiset without counts"))?.clone())
            }
            _ => None,
        };
        let mut elements = Elements::default();
        let (all, wanted) = (batch.records.num_rows(), out.batch_records());
        let mut done = 0;
        while done < all && elements.rows.len() < wanted {
            let row = done;
            done += 1;
            let before = elements.rows.len();
            if collection.is_valid(row) {
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                for place in start..end {
                    let times = counts.as_ref().map_or(1, |counts| counts.value(place));
                    for _ in 0..times {
                        elements.push(row, Some(place), Some(elements.rows.len() - before + 1));
                    }
                }
            }
            if elements.rows.len() == before && self.spec.is_left {
                elements.push(row, None, None);
            }
        }
        // An array may be longer than a batch.
        while elements.rows.len() > wanted {
            let rest = elements.split_off(wanted);
            out.emit(Batch::new(self.rows(batch, elements, &values)?));
            elements = rest;
        }
        out.emit(Batch::new(self.rows(batch, elements, &values)?));
        if done == all {
            return Ok(Progress::Done);
        }
        out.keep(Batch::new(batch_part(batch, done, all - done)));
        Ok(Progress::More)
    }
}

impl Unnest {
    fn rows(
        &self,
        batch: &ArrowBatch,
        elements: Elements,
        values: &ArrayRef,
    ) -> Result<ArrowBatch, OperatorError> {
        let Elements { rows, places, numbers } = elements;
        let count = rows.len();
        let kinds = batch.kinds.as_ref().map(|_| rows.iter().map(|row| kind(batch, *row as usize)).collect());
        let rows = UInt32Array::from(rows);
        let of_input = batch.records.columns().iter().map(|column| take(column, &rows, None));
        let mut columns = of_input.collect::<Result<Vec<_>, _>>().map_err(|error| failed(&error))?;
        let taken = take(values, &UInt32Array::from(places), None).map_err(|error| failed(&error))?;
        let wanted = self.spec.output.fields().len() - columns.len() - usize::from(self.spec.with_ordinality);
        match taken.as_any().downcast_ref::<StructArray>() {
            // A multiset's elements stand before their counts.
            Some(entries) if self.spec.is_multiset => {
                match entries.columns().first().map(|first| first.as_struct_opt()) {
                    Some(Some(row)) => columns.extend(fields(row)?),
                    _ => columns.extend(fields(entries)?.into_iter().take(wanted)),
                }
            }
            Some(entries) => columns.extend(fields(entries)?),
            None => columns.push(taken),
        }
        if self.spec.with_ordinality {
            columns.push(Arc::new(Int32Array::from(numbers)));
        }
        Ok(ArrowBatch {
            records: record_batch(&self.spec.output, columns, count)?,
            kinds,
            timestamps: Vec::new(),
            hashes: Vec::new(),
        })
    }
}

/// The fields of rows, NULL where the row is.
fn fields(rows: &StructArray) -> Result<Vec<ArrayRef>, OperatorError> {
    let fields = rows.columns().iter().map(|column| {
        let nulls = arrow_buffer::NullBuffer::union(rows.nulls(), column.nulls());
        let data = column.to_data().into_builder().nulls(nulls).build();
        data.map(arrow_array::make_array).map_err(|error| failed(&error))
    });
    fields.collect()
}
