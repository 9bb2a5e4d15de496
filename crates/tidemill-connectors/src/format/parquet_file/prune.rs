//! Which groups of rows can have one that is asked for, by the least and greatest values that a file says.

use arrow_array::{Array, ArrayRef, BooleanArray, Scalar};
use arrow_ord::cmp;
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::errors::ParquetError;

/// How a column is compared with a value.
///
/// ```
/// use tidemill_connectors::Comparison;
///
/// assert_ne!(Comparison::Less, Comparison::LessOrEqual);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It is that value.
    Equal,
    /// It is less.
    Less,
    /// It is less or equal.
    LessOrEqual,
    /// It is greater.
    Greater,
    /// It is greater or equal.
    GreaterOrEqual,
}

/// What is asked of the rows of a file. NULL does not fulfil it.
///
/// ```
/// use std::sync::Arc;
/// use arrow_array::Int64Array;
/// use tidemill_connectors::{ColumnCondition, Comparison, ParquetOptions};
///
/// let value = Arc::new(Int64Array::from(vec![100]));
/// let condition = ColumnCondition { column: "id".to_owned(), comparison: Comparison::Less, value };
/// let options = ParquetOptions::new().conditions(vec![condition]);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct ColumnCondition {
    /// The column.
    pub column: String,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what: one value of the type of the column.
    pub value: ArrayRef,
}

/// Of each group, whether it can have a row that fulfils all conditions.
pub(super) fn groups_to_read(
    conditions: &[ColumnCondition],
    schema: &SchemaRef,
    file: &ArrowReaderMetadata,
) -> Result<Vec<bool>, ParquetError> {
    let mut read = vec![true; file.metadata().num_row_groups()];
    for condition in conditions {
        let Some((_, field)) = schema.column_with_name(&condition.column) else { continue };
        // Of types that a file has otherwise, such as timestamps, what it says is not compared.
        let same = file.schema().field_with_name(&condition.column).is_ok_and(|of_file| {
            of_file.data_type() == field.data_type() && condition.value.data_type() == field.data_type()
        });
        // NaN is greater than all numbers, but is not among what a file says.
        let is_float = field.data_type().is_floating();
        if !same || is_float || condition.value.len() != 1 || condition.value.is_null(0) {
            continue;
        }
        let statistics =
            StatisticsConverter::try_new(&condition.column, file.schema(), file.parquet_schema())?;
        let groups = file.metadata().row_groups();
        let least = statistics.row_group_mins(groups.iter())?;
        let greatest = statistics.row_group_maxes(groups.iter())?;
        let possible = possible(condition, &least, &greatest)?;
        for (group, read) in read.iter_mut().enumerate() {
            // What the file does not say may be anything.
            *read &= possible.is_null(group) || possible.value(group);
        }
    }
    Ok(read)
}

fn possible(
    condition: &ColumnCondition,
    least: &ArrayRef,
    greatest: &ArrayRef,
) -> Result<BooleanArray, ArrowError> {
    let value = Scalar::new(&condition.value);
    let value: &Scalar<&ArrayRef> = &value;
    let (least, greatest): (&dyn Array, &dyn Array) = (least.as_ref(), greatest.as_ref());
    let wide = |one: BooleanArray, other: BooleanArray| {
        let both = (0..one.len()).map(|row| {
            let known = one.is_valid(row) && other.is_valid(row);
            known.then(|| one.value(row) && other.value(row))
        });
        both.collect::<BooleanArray>()
    };
    match condition.comparison {
        Comparison::Equal => {
            Ok(wide(compare(cmp::lt_eq, least, value)?, compare(cmp::gt_eq, greatest, value)?))
        }
        Comparison::Less => compare(cmp::lt, least, value),
        Comparison::LessOrEqual => compare(cmp::lt_eq, least, value),
        Comparison::Greater => compare(cmp::gt, greatest, value),
        Comparison::GreaterOrEqual => compare(cmp::gt_eq, greatest, value),
    }
}

fn compare(
    with: fn(&dyn arrow_array::Datum, &dyn arrow_array::Datum) -> Result<BooleanArray, ArrowError>,
    bounds: &dyn Array,
    value: &Scalar<&ArrayRef>,
) -> Result<BooleanArray, ArrowError> {
    with(&bounds, value)
}
