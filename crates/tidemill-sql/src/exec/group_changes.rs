//! What changes in a changelog of groups when their accumulators do.

use arrow_array::ArrayRef;
use arrow_data::ArrayData;
use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, RowKind};
use tidemill_runtime::OperatorError;

use super::accumulators::{Accumulators, Functions};
use super::output::changes;
use super::row::{Row, RowReader, RowWriter};
use crate::functions::aggregate::AggregateKind;

/// Groups whose accumulators have changed.
pub(crate) struct GroupChanges<'a> {
    pub(crate) functions: &'a Functions,
    /// The keys of the groups.
    pub(crate) keys: &'a [Row],
    /// The columns of the keys, then the results.
    pub(crate) output: &'a SchemaRef,
    /// Whether the old row of an update is wanted.
    pub(crate) update_before: bool,
}

impl GroupChanges<'_> {
    /// The changes from the accumulators `before`, of groups that were there, to those `after`.
    pub(crate) fn between(
        &self,
        before: &[Option<Accumulators>],
        after: &[Accumulators],
    ) -> Result<ArrowBatch, OperatorError> {
        let unchanged = self.unchanged(before, after)?;
        let of_keys = self.output.fields().len() - self.functions.all().len();
        let types = self.output.fields().iter().take(of_keys).map(|field| field.data_type());
        let mut keys = RowReader::of_types(types);
        let mut results = self.functions.results();
        let mut kinds = Vec::new();
        for (group, (old, new)) in before.iter().zip(after).enumerate() {
            let mut say = |accumulators: &Accumulators, kind: RowKind| -> Result<(), OperatorError> {
                keys.push(self.keys[group].bytes())?;
                results.push(self.functions, accumulators)?;
                kinds.push(kind);
                Ok(())
            };
            // Without keys too: as in Flink, the aggregate of no rows is taken away.
            let is_there = self.functions.rows(new) > 0;
            match old {
                None if is_there => say(new, RowKind::Insert)?,
                None => {}
                Some(old) if !is_there => say(old, RowKind::Delete)?,
                Some(_) if unchanged[group] => {}
                Some(old) => {
                    if self.update_before {
                        say(old, RowKind::UpdateBefore)?;
                    }
                    say(new, RowKind::UpdateAfter)?;
                }
            }
        }
        let mut columns: Vec<ArrayRef> = keys.finish()?;
        columns.extend(results.finish()?);
        changes(self.output, columns, kinds)
    }

    /// Of each group whether its results have stayed the same.
    fn unchanged(
        &self,
        before: &[Option<Accumulators>],
        after: &[Accumulators],
    ) -> Result<Vec<bool>, OperatorError> {
        let all = self.functions.all();
        let mut unchanged = vec![false; after.len()];
        let mut results = self.functions.results();
        let mut compared = Vec::new();
        for (group, (old, new)) in before.iter().zip(after).enumerate() {
            let Some(old) = old else { continue };
            // The number of rows is no result.
            if all.is_empty() || old.0[1..] == new.0[1..] {
                unchanged[group] = true;
                continue;
            }
            // A count is its own result, and most changes show there.
            let mut counts = all.iter().filter(|function| function.call.kind == AggregateKind::Count);
            if counts.any(|function| old.0[function.at] != new.0[function.at]) {
                continue;
            }
            results.push(self.functions, old)?;
            results.push(self.functions, new)?;
            compared.push(group);
        }
        if !compared.is_empty() {
            let columns = results.finish()?;
            let data: Vec<ArrayData> = columns.iter().map(arrow_array::Array::to_data).collect();
            let writer = RowWriter::new(&data, false);
            let (mut one, mut two) = (Vec::new(), Vec::new());
            for (index, group) in compared.into_iter().enumerate() {
                one.clear();
                two.clear();
                writer.write(2 * index, &mut one);
                writer.write(2 * index + 1, &mut two);
                unchanged[group] = one == two;
            }
        }
        Ok(unchanged)
    }
}
