//! What of a filter a source may know, so that it does not read what is dropped anyway.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use datafusion_common::ScalarValue;

use crate::catalog::ColumnSource;
use crate::connector::{Compared, Condition, PartitionFilter};
use crate::error::{SqlError, SqlResult};
use crate::expr::Expr;
use crate::expr::compile::{Compiled, arrow_schema, record_batch};
use crate::plan::Scan;
use crate::types::arrow::data_type;

/// What a source is told of a filter. The filter itself is evaluated afterwards all the same.
#[derive(Default)]
pub(super) struct Pushed {
    pub(super) partitions: Option<PartitionFilter>,
    pub(super) conditions: Vec<Condition>,
}

/// What of `predicate`, over the columns of `scan`, its source may know.
pub(super) fn pushed(scan: &Scan, predicate: Option<&Expr>) -> SqlResult<Pushed> {
    let Some(predicate) = predicate else { return Ok(Pushed::default()) };
    let conjuncts = predicate.clone().conjuncts();
    let conditions = conjuncts.iter().filter_map(|conjunct| condition(scan, conjunct)).collect();
    Ok(Pushed { partitions: partition_filter(scan, &conjuncts)?, conditions })
}

/// The columns of a scan that its table is partitioned by.
fn partition_columns(scan: &Scan) -> Vec<usize> {
    let table = &scan.table;
    let stored: Vec<usize> = table.stored().map(|(index, _)| index).collect();
    let partitioned = |column: &usize| {
        scan.columns.get(*column).is_some_and(|column| {
            stored.get(column.index).is_some_and(|index| table.partitioned_by.contains(index))
        })
    };
    (0..scan.columns.len()).filter(partitioned).collect()
}

fn partition_filter(scan: &Scan, conjuncts: &[Expr]) -> SqlResult<Option<PartitionFilter>> {
    let columns = partition_columns(scan);
    let only_partitions = |conjunct: &&Expr| {
        let mut used = BTreeSet::new();
        conjunct.columns(&mut used);
        conjunct.is_deterministic() && !used.is_empty() && used.iter().all(|column| columns.contains(column))
    };
    let over: Vec<Expr> = conjuncts
        .iter()
        .filter(only_partitions)
        .map(|conjunct| {
            conjunct
                .map_columns(&|column| columns.iter().position(|known| *known == column).unwrap_or_default())
        })
        .collect();
    if over.is_empty() {
        return Ok(None);
    }
    let schema = arrow_schema(columns.iter().map(|column| &scan.columns[*column].logical));
    let compiled =
        Compiled::new(&Expr::all(over), &schema).map_err(|error| SqlError::internal(error.to_string()))?;
    Ok(Some(Arc::new(move |partitions: &RecordBatch| {
        let rows = partitions.num_rows();
        let batch = record_batch(&schema, partitions.columns().to_vec(), rows);
        let kept = batch.and_then(|batch| compiled.matches(&batch)).map_err(|error| error.to_string())?;
        Ok(kept.unwrap_or_else(|| BooleanArray::from(vec![true; rows])))
    })))
}

/// A comparison of a stored column with literals.
fn condition(scan: &Scan, conjunct: &Expr) -> Option<Condition> {
    let (column, compared, values) = match conjunct.wanted_values() {
        Some((column, values)) => (column, Compared::Equal, values),
        None => {
            let (column, compared, value) = compared(conjunct)?;
            (column, compared, vec![value])
        }
    };
    let read = scan.columns.get(column)?;
    let stored = scan.table.stored().nth(read.index)?.1;
    if values.iter().any(ScalarValue::is_null) || !matches!(stored.source, ColumnSource::Physical) {
        return None;
    }
    let values = ScalarValue::iter_to_array(values).ok()?;
    (*values.data_type() == data_type(&read.logical.root)).then_some(Condition { column, compared, values })
}

/// A column that is less or greater than a literal.
fn compared(conjunct: &Expr) -> Option<(usize, Compared, ScalarValue)> {
    let (name, arguments) = conjunct.as_call()?;
    let [one, other] = arguments else { return None };
    let compared = |flipped: bool| match (name, flipped) {
        ("<", false) | (">", true) => Some(Compared::Less),
        ("<=", false) | (">=", true) => Some(Compared::LessOrEqual),
        (">", false) | ("<", true) => Some(Compared::Greater),
        (">=", false) | ("<=", true) => Some(Compared::GreaterOrEqual),
        _ => None,
    };
    match (one.as_column(), other.as_column()) {
        (Some(column), None) => Some((column, compared(false)?, other.literal()?.clone())),
        (None, Some(column)) => Some((column, compared(true)?, one.literal()?.clone())),
        _ => None,
    }
}
