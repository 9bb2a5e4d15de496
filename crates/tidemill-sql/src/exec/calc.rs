//! Filters rows and computes columns of them.

use std::sync::Arc;

use arrow_array::BooleanArray;
use arrow_schema::SchemaRef;
use arrow_select::filter::filter_record_batch;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_runtime::{Operator, OperatorError, OperatorFactory, Output, Progress};

use crate::expr::Expr;
use crate::expr::compile::{Compiled, arrow_schema, record_batch};

/// What a calculation does.
#[derive(Clone, Debug)]
pub(crate) struct CalcSpec {
    pub(crate) input: SchemaRef,
    pub(crate) predicate: Option<Expr>,
    /// The columns that come out; none means those of the input.
    pub(crate) exprs: Option<Vec<Expr>>,
}

/// A calculation that can be done.
pub(crate) struct Calc {
    predicate: Option<Compiled>,
    exprs: Option<(Vec<Compiled>, SchemaRef)>,
}

impl Calc {
    pub(crate) fn new(spec: &CalcSpec) -> Result<Self, OperatorError> {
        let predicate = spec.predicate.as_ref().map(|expr| Compiled::new(expr, &spec.input)).transpose()?;
        let exprs = match &spec.exprs {
            None => None,
            Some(exprs) => {
                let types: Vec<_> = exprs.iter().map(Expr::logical).collect();
                Some((Compiled::all(exprs, &spec.input)?, arrow_schema(&types)))
            }
        };
        Ok(Self { predicate, exprs })
    }

    /// What becomes of `batch`.
    pub(crate) fn apply(&self, batch: &ArrowBatch) -> Result<ArrowBatch, OperatorError> {
        let filtered;
        let input = match &self.predicate {
            None => batch,
            Some(predicate) => match predicate.matches(&batch.records)? {
                None => batch,
                Some(matches) => {
                    filtered = filter(batch, &matches)?;
                    &filtered
                }
            },
        };
        let Some((exprs, schema)) = &self.exprs else { return Ok(input.clone()) };
        let rows = input.records.num_rows();
        let columns = if rows == 0 {
            schema.fields().iter().map(|field| arrow_array::new_empty_array(field.data_type())).collect()
        } else {
            exprs.iter().map(|expr| expr.evaluate(&input.records)).collect::<Result<_, _>>()?
        };
        Ok(ArrowBatch {
            records: record_batch(schema, columns, rows)?,
            kinds: input.kinds.clone(),
            timestamps: Vec::new(),
            hashes: Vec::new(),
        })
    }
}

/// The rows of `batch` that `matches` says.
pub(crate) fn filter(batch: &ArrowBatch, matches: &BooleanArray) -> Result<ArrowBatch, OperatorError> {
    let records = if batch.records.num_columns() == 0 {
        record_batch(&batch.records.schema(), Vec::new(), matches.true_count())?
    } else {
        filter_record_batch(&batch.records, matches)
            .map_err(|error| OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string()))?
    };
    let kinds: Option<Arc<[RowKind]>> = batch.kinds.as_ref().map(|kinds| {
        kinds.iter().zip(matches.values()).filter(|(_, matches)| *matches).map(|(kind, _)| *kind).collect()
    });
    Ok(ArrowBatch { records, kinds, timestamps: Vec::new(), hashes: Vec::new() })
}

struct CalcOperator(Calc);

impl Operator for CalcOperator {
    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let result = self.0.apply(batch.downcast_ref::<ArrowBatch>()?)?;
        out.emit(Batch::new(result));
        Ok(Progress::Done)
    }
}

impl OperatorFactory for CalcSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(CalcOperator(Calc::new(self)?)))
    }
}
