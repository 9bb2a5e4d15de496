//! A condition over pairs of rows of two sides.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, UInt32Array};
use arrow_schema::{Schema, SchemaRef};
use arrow_select::take::take;
use tidemill_core::Fault;
use tidemill_runtime::OperatorError;

use crate::expr::Expr;
use crate::expr::compile::{Compiled, record_batch};

/// A condition over the columns of both sides of a join. Of the pairs only the columns that it reads are made.
pub(crate) struct PairCondition {
    /// Which columns it reads, the left ones first.
    read: Vec<usize>,
    schema: SchemaRef,
    compiled: Compiled,
}

impl PairCondition {
    /// The condition `expr` over the columns `both` of both sides.
    pub(crate) fn new(expr: &Expr, both: &SchemaRef) -> Result<Self, OperatorError> {
        let mut read = BTreeSet::new();
        expr.columns(&mut read);
        let read: Vec<usize> = read.into_iter().collect();
        let place = |column: usize| read.iter().position(|read| *read == column).unwrap_or_default();
        let fields: Vec<_> = read.iter().filter_map(|column| both.fields().get(*column).cloned()).collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let compiled = Compiled::new(&expr.map_columns(&place), &schema)?;
        Ok(Self { read, schema, compiled })
    }

    /// Of each pair of places on the left and on the right whether it matches; `None` when all do.
    pub(crate) fn matches(
        &self,
        [left, right]: [(&[ArrayRef], &[u32]); 2],
    ) -> Result<Option<BooleanArray>, OperatorError> {
        let places = [left.1, right.1].map(|places| UInt32Array::from(places.to_vec()));
        let columns = self.read.iter().map(|column| {
            let (columns, places, column) = match column.checked_sub(left.0.len()) {
                Some(column) => (right.0, &places[1], column),
                None => (left.0, &places[0], *column),
            };
            take(&columns[column], places, None)
                .map_err(|error| OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string()))
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        self.compiled.matches(&record_batch(&self.schema, columns, left.1.len())?)
    }
}
