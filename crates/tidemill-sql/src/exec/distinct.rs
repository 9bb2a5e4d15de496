//! Which values of `DISTINCT` a group has seen: one entry a group and value for all functions over the same columns, with a bit for
//! each of them; with retractions a count for each.

use tidemill_core::batch::ArrowBatch;
use tidemill_runtime::OperatorError;
use tidemill_state::{KeyedStateBackend, MapState, MapStateDescriptor, StateTtlConfig};

use super::accumulators::Argument;
use super::folded::Folded;
use super::groups::RowOfGroup;
use super::output::{is_retraction, kind};
use super::row::{Row, RowWriter, column_data};
use crate::functions::aggregate::AggregateCall;

/// Functions over the distinct values of the same columns.
struct DistinctSet {
    arguments: Vec<usize>,
    /// The functions, by number.
    calls: Vec<usize>,
    /// Whether NULL is a value.
    takes_null: bool,
    /// Whether the order in which values come and go matters to a function: then no changes of a batch are folded.
    is_ordered: bool,
    seen: MapState<Row, Vec<i64>, i64>,
}

/// All values that were seen.
pub(crate) struct Distinct {
    sets: Vec<DistinctSet>,
    calls: usize,
    retracting: bool,
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
        for (index, (arguments, found_calls)) in found.into_iter().enumerate() {
            let mut descriptor = MapStateDescriptor::new(format!("distinct-{index}"));
            if let Some(ttl) = ttl {
                descriptor = descriptor.with_ttl(*ttl);
            }
            let any = |is: &dyn Fn(&AggregateCall) -> bool| found_calls.iter().any(|call| is(&calls[*call]));
            sets.push(DistinctSet {
                arguments,
                takes_null: any(&|call| call.kind.takes_null()),
                is_ordered: any(&|call| call.kind.is_ordered()),
                calls: found_calls.clone(),
                seen: backend.register_map(descriptor)?,
            });
        }
        Ok(Self { sets, calls: calls.len(), retracting })
    }

    /// Whether no function is over distinct values.
    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty()
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
            let values = entries
                .clone()
                .enumerate()
                .filter(|(_, entry)| set.takes_null || !writer.has_null(entry.row));
            if self.retracting && set.is_ordered {
                for (place, entry) in values {
                    let change = if is_retraction(kind(batch, entry.row)) { -1 } else { 1 };
                    let of_call = |call: &usize| {
                        let times = if arguments[*call].counts(entry.row) { change } else { 0 };
                        Net { times, came: Some(place), went: Some(place) }
                    };
                    let nets: Vec<Net> = set.calls.iter().map(of_call).collect();
                    let value = writer.row(entry.row, &mut scratch);
                    set.change(backend, entry, value, &nets, true, &mut skipped)?;
                }
                continue;
            }
            // One change a group and value.
            let width = set.calls.len();
            let mut folded = Folded::default();
            let mut nets: Vec<Net> = Vec::new();
            for (place, entry) in values {
                scratch.clear();
                writer.write(entry.row, &mut scratch);
                let pair = folded.find(entry, &scratch);
                nets.resize_with(folded.changes().len() * width, Net::default);
                let retract = is_retraction(kind(batch, entry.row));
                for (net, call) in nets[pair * width..].iter_mut().zip(&set.calls) {
                    if arguments[*call].counts(entry.row) {
                        net.times += if retract { -1 } else { 1 };
                        let first = if retract { &mut net.went } else { &mut net.came };
                        first.get_or_insert(place);
                    }
                }
            }
            for (change, nets) in folded.changes().iter().zip(nets.chunks(width)) {
                if nets.iter().any(|net| net.times != 0) {
                    set.change(
                        backend,
                        change.row,
                        change.value.clone(),
                        nets,
                        self.retracting,
                        &mut skipped,
                    )?;
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

/// What happens to a value for one function in a batch.
#[derive(Default)]
struct Net {
    /// How often it comes, less how often it goes.
    times: i64,
    /// The first entry with which it comes.
    came: Option<usize>,
    /// The first entry with which it goes.
    went: Option<usize>,
}

impl DistinctSet {
    /// Changes a value, and marks the entries that functions take.
    fn change(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        entry: RowOfGroup<'_>,
        value: Row,
        nets: &[Net],
        retracting: bool,
        skipped: &mut Skipped,
    ) -> Result<(), OperatorError> {
        backend.set_current_key(entry.key, entry.hash)?;
        let width = if retracting { self.calls.len() } else { 1 };
        let stored = value.clone();
        let is_gone = self.seen.modify_in(
            backend,
            &entry.namespace,
            stored,
            || vec![0; width],
            |counts| {
                for (index, (call, net)) in self.calls.iter().zip(nets).enumerate() {
                    let taken = if retracting {
                        let before = counts[index];
                        counts[index] += net.times;
                        match (before > 0, counts[index] > 0) {
                            (false, true) => net.came,
                            (true, false) => net.went,
                            _ => None,
                        }
                    } else {
                        let bit = 1i64 << index;
                        let is_first = net.times > 0 && counts[0] & bit == 0;
                        counts[0] |= if net.times > 0 { bit } else { 0 };
                        net.came.filter(|_| is_first)
                    };
                    if let (Some(place), Some(skipped)) = (taken, &mut skipped[*call]) {
                        skipped[place] = false;
                    }
                }
                counts.iter().all(|count| *count == 0)
            },
        )?;
        if is_gone {
            self.seen.remove_in(backend, &entry.namespace, &value)?;
        }
        Ok(())
    }
}
