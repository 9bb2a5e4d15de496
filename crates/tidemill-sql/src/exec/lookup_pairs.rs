//! What rows are joined with that were looked up.

use arrow_array::{ArrayRef, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use tidemill_core::Fault;
use tidemill_core::batch::ArrowBatch;
use tidemill_runtime::OperatorError;

use super::pair_condition::PairCondition;
use crate::expr::Expr;
use crate::expr::compile::record_batch;

/// How rows and what was looked up for them become rows.
#[derive(Clone)]
pub(crate) struct PairSpec {
    /// Whether rows that find nothing come out too.
    pub(crate) is_left: bool,
    /// What must hold besides the keys being equal, over the columns of both sides.
    pub(crate) condition: Option<Expr>,
    pub(crate) both: SchemaRef,
}

/// Joins rows.
pub(super) struct Pairs {
    spec: PairSpec,
    condition: Option<PairCondition>,
}

impl Pairs {
    pub(super) fn new(spec: &PairSpec) -> Result<Self, OperatorError> {
        let condition =
            spec.condition.as_ref().map(|expr| PairCondition::new(expr, &spec.both)).transpose()?;
        Ok(Self { spec: spec.clone(), condition })
    }

    /// Joins the rows of `batch` at `chosen` with rows of `table`: pairs of a number among `chosen`, ascending, and a place there.
    pub(super) fn join(
        &self,
        batch: &ArrowBatch,
        chosen: &[u32],
        table: &[ArrayRef],
        (mut of_chosen, mut places): (Vec<u32>, Vec<u32>),
    ) -> Result<ArrowBatch, OperatorError> {
        let columns = batch.records.columns();
        let rows_of =
            |of_chosen: &[u32]| -> Vec<u32> { of_chosen.iter().map(|row| chosen[*row as usize]).collect() };
        if let Some(condition) = &self.condition
            && !places.is_empty()
            && let Some(holds) = condition.matches([(columns, &rows_of(&of_chosen)), (table, &places)])?
        {
            let kept: Vec<usize> = (0..places.len()).filter(|pair| holds.value(*pair)).collect();
            of_chosen = kept.iter().map(|pair| of_chosen[*pair]).collect();
            places = kept.iter().map(|pair| places[*pair]).collect();
        }
        let (left, right) = if self.spec.is_left {
            with_unmatched(chosen.len(), &of_chosen, &places)
        } else {
            (of_chosen, places.into_iter().map(Some).collect())
        };
        let left = rows_of(&left);
        let kinds = batch.kinds.as_ref().map(|kinds| left.iter().map(|row| kinds[*row as usize]).collect());
        let rows = left.len();
        let (left, right) = (UInt32Array::from(left), UInt32Array::from(right));
        let of_left = columns.iter().map(|column| take(column, &left, None));
        let of_right = table.iter().map(|column| take(column, &right, None));
        let made = of_left.chain(of_right).collect::<Result<_, _>>().map_err(failed)?;
        let records = record_batch(&self.spec.both, made, rows)?;
        Ok(ArrowBatch { records, kinds, timestamps: Vec::new(), hashes: Vec::new() })
    }
}

/// The pairs of the first `rows` rows, and those rows that are in none.
fn with_unmatched(rows: usize, left: &[u32], right: &[u32]) -> (Vec<u32>, Vec<Option<u32>>) {
    let mut all = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    let mut pairs = left.iter().zip(right).peekable();
    for row in 0..u32::try_from(rows).unwrap_or(u32::MAX) {
        let before = all.0.len();
        while let Some((_, place)) = pairs.next_if(|(left, _)| **left == row) {
            all.0.push(row);
            all.1.push(Some(*place));
        }
        if all.0.len() == before {
            all.0.push(row);
            all.1.push(None);
        }
    }
    all
}

pub(super) fn failed(error: arrow_schema::ArrowError) -> OperatorError {
    OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string())
}
