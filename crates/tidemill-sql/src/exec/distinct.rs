//! Which values of `DISTINCT` a group has seen: one entry a group and value for all functions over the same columns, with a bit for
//! each of them; with retractions a count for each.

use tidemill_core::batch::ArrowBatch;
use tidemill_runtime::OperatorError;
use tidemill_state::{KeyedStateBackend, MapState, MapStateDescriptor, StateTtlConfig};

use super::accumulators::Argument;
use super::output::{is_retraction, kind};
use super::row::{Row, RowWriter, column_data};
use crate::functions::aggregate::AggregateCall;

/// Functions over the distinct values of the same columns.
struct DistinctSet {
    arguments: Vec<usize>,
    /// The functions, by number.
    calls: Vec<usize>,
    seen: MapState<Row, Vec<i64>, i64>,
}

/// All values that were seen.
pub(crate) struct Distinct {
    sets: Vec<DistinctSet>,
    calls: usize,
    retracting: bool,
}

/// A row of a batch, in a namespace of its group.
pub(crate) struct RowOfGroup<'a> {
    pub(crate) row: usize,
    pub(crate) key: &'a Row,
    pub(crate) hash: u64,
    pub(crate) namespace: i64,
}

/// For each function which entries it does not take, because their value was there already or is still there; `None` for
/// functions that take all.
pub(crate) type Skipped = Vec<Option<Vec<bool>>>;

impl Distinct {
    pub(crate) fn open(
        backend: &mut KeyedStateBackend<Row>,
        calls: &[AggregateCall],
        retracting: bool,
        ttl: Option<&StateTtlConfig>,
    ) -> Result<Self, OperatorError> {
        let mut found: Vec<(Vec<usize>, Vec<usize>)> = Vec::new();
        for (index, call) in calls.iter().enumerate().filter(|(_, call)| call.distinct) {
            // A bit of 63 for each.
            match found.iter_mut().find(|set| set.0 == call.arguments && set.1.len() < 63) {
                Some(set) => set.1.push(index),
                None => found.push((call.arguments.clone(), vec![index])),
            }
        }
        let mut sets = Vec::with_capacity(found.len());
        for (index, (arguments, calls)) in found.into_iter().enumerate() {
            let mut descriptor = MapStateDescriptor::new(format!("distinct-{index}"));
            if let Some(ttl) = ttl {
                descriptor = descriptor.with_ttl(*ttl);
            }
            sets.push(DistinctSet { arguments, calls, seen: backend.register_map(descriptor)? });
        }
        Ok(Self { sets, calls: calls.len(), retracting })
    }

    /// Notes the values of `entries`, and says which of them are new, or gone, for which function.
    pub(crate) fn note<'a>(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        batch: &ArrowBatch,
        arguments: &[Argument],
        entries: impl ExactSizeIterator<Item = RowOfGroup<'a>> + Clone,
    ) -> Result<Skipped, OperatorError> {
        let mut skipped: Skipped = vec![None; self.calls];
        let mut scratch = Vec::new();
        for set in &self.sets {
            for call in &set.calls {
                skipped[*call] = Some(vec![true; entries.len()]);
            }
            let data = column_data(batch.records.columns(), &set.arguments);
            let writer = RowWriter::new(&data, true);
            let width = if self.retracting { set.calls.len() } else { 1 };
            for (place, entry) in entries.clone().enumerate() {
                if writer.has_null(entry.row) {
                    continue;
                }
                backend.set_current_key(entry.key, entry.hash)?;
                let value = writer.row(entry.row, &mut scratch);
                let change = if is_retraction(kind(batch, entry.row)) { -1 } else { 1 };
                let mut is_gone = false;
                set.seen.modify_in(
                    backend,
                    &entry.namespace,
                    value.clone(),
                    || vec![0; width],
                    |counts| {
                        for (index, call) in set.calls.iter().enumerate() {
                            if !arguments[*call].counts(entry.row) {
                                continue;
                            }
                            let is_change = if self.retracting {
                                let before = counts[index];
                                counts[index] += change;
                                (before > 0) != (counts[index] > 0)
                            } else {
                                let bit = 1i64 << index;
                                let is_first = counts[0] & bit == 0;
                                counts[0] |= bit;
                                is_first
                            };
                            if is_change && let Some(skipped) = &mut skipped[*call] {
                                skipped[place] = false;
                            }
                        }
                        is_gone = counts.iter().all(|count| *count == 0);
                    },
                )?;
                if is_gone {
                    set.seen.remove_in(backend, &entry.namespace, &value)?;
                }
            }
        }
        Ok(skipped)
    }

    /// Forgets the values of a namespace of the current key.
    pub(crate) fn clear(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        namespace: i64,
    ) -> Result<(), OperatorError> {
        for set in &self.sets {
            set.seen.clear_in(backend, &namespace)?;
        }
        Ok(())
    }
}
