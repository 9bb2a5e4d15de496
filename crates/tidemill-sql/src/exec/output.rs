//! Batches of changes.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, RowKind};
use tidemill_runtime::OperatorError;

use crate::expr::compile::record_batch;

/// A batch of `columns` with `kinds`; all are inserts when they all say so.
pub(crate) fn changes(
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    kinds: Vec<RowKind>,
) -> Result<ArrowBatch, OperatorError> {
    let rows = kinds.len();
    let kinds: Option<Arc<[RowKind]>> =
        if kinds.iter().all(|kind| *kind == RowKind::Insert) { None } else { Some(kinds.into()) };
    Ok(ArrowBatch {
        records: record_batch(schema, columns, rows)?,
        kinds,
        timestamps: Vec::new(),
        hashes: Vec::new(),
    })
}

/// The kind of row `row`.
#[inline]
pub(crate) fn kind(batch: &ArrowBatch, row: usize) -> RowKind {
    batch.kinds.as_ref().and_then(|kinds| kinds.get(row)).copied().unwrap_or(RowKind::Insert)
}

/// Whether a change takes a row away.
#[inline]
pub(crate) fn is_retraction(kind: RowKind) -> bool {
    matches!(kind, RowKind::UpdateBefore | RowKind::Delete)
}

/// Those of `keys` in which NULL equals nothing.
pub(crate) fn strict(keys: &[usize], null_safe: &[bool]) -> Vec<usize> {
    keys.iter().zip(null_safe).filter(|(_, null_safe)| !**null_safe).map(|(key, _)| *key).collect()
}

/// An operator was called before it was opened.
pub(crate) fn not_open() -> OperatorError {
    OperatorError::new(
        "TM-SQL-OPERATOR",
        tidemill_core::Fault::Internal,
        "an operator was called before it was opened",
    )
}
