//! Each row with those that a table function of the session's own makes of it.

use arrow_array::{ArrayRef, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_runtime::{Operator, OperatorError, OperatorFactory, Output, Progress};

use super::accumulators::failed;
use super::output::kind;
use crate::expr::Expr;
use crate::expr::compile::{Compiled, record_batch};
use crate::udf::{Input, Inputs, UserTable};

/// A call of a table function.
#[derive(Clone, Debug)]
pub(crate) struct CorrelateSpec {
    pub(crate) input: SchemaRef,
    pub(crate) function: UserTable,
    pub(crate) arguments: Vec<Expr>,
    /// Whether rows of which nothing is made stay, with NULLs.
    pub(crate) is_left: bool,
    /// The input's columns, then those of the function.
    pub(crate) output: SchemaRef,
}

impl OperatorFactory for CorrelateSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let arguments = Compiled::all(&self.arguments, &self.input)?;
        Ok(Box::new(Correlate { spec: self.clone(), arguments, rows_a_call: 64 }))
    }
}

struct Correlate {
    spec: CorrelateSpec,
    arguments: Vec<Compiled>,
    /// How many rows the function gets at once: as many as make about one batch, by what they made so far.
    rows_a_call: usize,
}

/// Rows that a function gets at once, at most.
const MOST_ROWS_A_CALL: usize = 4096;

fn internal(error: &dyn std::fmt::Display) -> OperatorError {
    OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string())
}

impl Operator for Correlate {
    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let batch = batch.downcast_ref::<ArrowBatch>()?;
        let now = batch.records.num_rows().min(self.rows_a_call);
        let (of, columns) = self.made(&batch_part(batch, 0, now))?;
        let wanted = out.batch_records();
        for start in (0..of.len()).step_by(wanted) {
            let end = of.len().min(start + wanted);
            let columns: Vec<ArrayRef> =
                columns.iter().map(|column| column.slice(start, end - start)).collect();
            out.emit(Batch::new(self.rows(batch, &of[start..end], columns)?));
        }
        let a_row = of.len().div_ceil(now.max(1)).max(1);
        self.rows_a_call = (wanted / a_row).clamp(1, MOST_ROWS_A_CALL);
        if now == batch.records.num_rows() {
            return Ok(Progress::Done);
        }
        out.keep(Batch::new(batch_part(batch, now, batch.records.num_rows() - now)));
        Ok(Progress::More)
    }
}

impl Correlate {
    /// What is made of the rows of `batch`: the row of each, and the columns.
    fn made(&self, batch: &ArrowBatch) -> Result<(Vec<u32>, Vec<ArrayRef>), OperatorError> {
        let count = batch.records.num_rows();
        let arguments =
            self.arguments.iter().map(|argument| Ok(Input::column(argument.evaluate(&batch.records)?)));
        let inputs = Inputs::new(arguments.collect::<Result<_, OperatorError>>()?, count);
        let made = self.spec.function.rows(&inputs).map_err(failed)?;
        if !self.spec.is_left {
            return Ok((made.of, made.columns));
        }
        let (mut of, mut places) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut next = 0;
        for row in 0..count as u32 {
            let before = next;
            while made.of.get(next) == Some(&row) {
                of.push(row);
                places.push(u32::try_from(next).ok());
                next += 1;
            }
            if next == before {
                of.push(row);
                places.push(None);
            }
        }
        let places = UInt32Array::from(places);
        let columns = made.columns.iter().map(|column| take(column, &places, None));
        Ok((of, columns.collect::<Result<_, _>>().map_err(|error| internal(&error))?))
    }

    fn rows(&self, batch: &ArrowBatch, of: &[u32], made: Vec<ArrayRef>) -> Result<ArrowBatch, OperatorError> {
        let kinds = batch.kinds.as_ref().map(|_| of.iter().map(|row| kind(batch, *row as usize)).collect());
        let indices = UInt32Array::from(of.to_vec());
        let of_input = batch.records.columns().iter().map(|column| take(column, &indices, None));
        let mut columns = of_input.collect::<Result<Vec<_>, _>>().map_err(|error| internal(&error))?;
        columns.extend(made);
        Ok(ArrowBatch {
            records: record_batch(&self.spec.output, columns, of.len())?,
            kinds,
            timestamps: Vec::new(),
            hashes: Vec::new(),
        })
    }
}

/// `count` rows of `batch` from `start` on.
pub(super) fn batch_part(batch: &ArrowBatch, start: usize, count: usize) -> ArrowBatch {
    ArrowBatch {
        records: batch.records.slice(start, count),
        kinds: batch.kinds.as_ref().map(|kinds| kinds[start..start + count].into()),
        timestamps: Vec::new(),
        hashes: Vec::new(),
    }
}
