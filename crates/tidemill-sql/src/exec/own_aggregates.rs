//! Aggregate functions of the session's own: they take the rows of a batch together.

use arrow_array::{Array, UInt32Array};
use arrow_select::take::take;
use tidemill_core::Fault;
use tidemill_core::batch::ArrowBatch;
use tidemill_runtime::OperatorError;

use super::accumulators::{Accumulators, Argument, Datum, Functions, failed};
use super::distinct::Skipped;
use super::groups::RowOfGroup;
use super::output::{is_retraction, kind};
use crate::functions::aggregate::AggregateKind;
use crate::udf::{Input, Inputs};

/// Takes the rows of a batch: first all that come, then all that go. `place_of` says where the accumulators of the `groups` groups
/// are among `values`.
#[allow(clippy::too_many_arguments)] // All that is known of a batch.
pub(super) fn update<'a>(
    functions: &Functions,
    batch: &ArrowBatch,
    arguments: &[Argument],
    skipped: &Skipped,
    rows: impl Iterator<Item = RowOfGroup<'a>> + Clone,
    values: &mut [Accumulators],
    groups: usize,
    place_of: impl Fn(usize) -> usize,
) -> Result<(), OperatorError> {
    for (call, function) in functions.all().iter().enumerate() {
        let AggregateKind::User(own) = &function.call.kind else { continue };
        let argument = &arguments[call];
        let mut chosen = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
        for (place, row) in rows.clone().enumerate() {
            let is_skipped = skipped[call].as_ref().is_some_and(|skipped| skipped[place]);
            if !is_skipped && argument.counts(row.row) {
                let (of_rows, of_groups) = &mut chosen[usize::from(is_retraction(kind(batch, row.row)))];
                of_rows.push(u32::try_from(row.row).unwrap_or(u32::MAX));
                of_groups.push(row.group);
            }
        }
        if chosen.iter().all(|(rows, _)| rows.is_empty()) {
            continue;
        }
        let known: Vec<Option<&[u8]>> = (0..groups)
            .map(|group| match &values[place_of(group)].0[function.at] {
                Datum::Bytes(bytes) => Some(&bytes[..]),
                _ => None,
            })
            .collect();
        let mut accumulators = own.0.decode(&known).map_err(failed)?;
        for (retract, (of_rows, of_groups)) in chosen.into_iter().enumerate() {
            if of_rows.is_empty() {
                continue;
            }
            let count = of_rows.len();
            let indices = UInt32Array::from(of_rows);
            let is_all = count == batch.records.num_rows();
            let columns = argument.own()?.iter().map(|column| {
                if is_all && is_in_order(&indices) {
                    return Ok(Input::column(column.clone()));
                }
                take(column, &indices, None).map(Input::column).map_err(|error| {
                    OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string())
                })
            });
            let inputs = Inputs::new(columns.collect::<Result<_, _>>()?, count);
            own.0.update(&mut accumulators, &of_groups, &inputs, retract == 1).map_err(failed)?;
        }
        let encoded = own.0.encode(&accumulators).map_err(failed)?;
        for (group, bytes) in encoded.into_iter().enumerate().take(groups) {
            values[place_of(group)].0[function.at] = Datum::Bytes(bytes);
        }
    }
    Ok(())
}

fn is_in_order(indices: &UInt32Array) -> bool {
    indices.values().iter().enumerate().all(|(place, index)| place == *index as usize)
        && indices.null_count() == 0
}
