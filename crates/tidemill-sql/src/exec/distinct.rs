//! Which values of `DISTINCT` a group has seen: one entry a group and value for all functions over the same columns, with a bit for
//! each of them; with retractions a count for each.

use tidemill_core::batch::ArrowBatch;
use tidemill_runtime::OperatorError;
use tidemill_state::{
    KeyBatch, KeyedStateBackend, MapState, MapStateDescriptor, Namespaces, Slots, StateTtlConfig, ValueState,
    ValueStateDescriptor,
};

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
    seen: Seen,
}

/// Where values lie.
#[derive(Clone, Copy)]
enum Seen {
    /// Each by itself, so that a batch looks all of its up at once: a bit for each function.
    Bits(ValueState<i64, Row>),
    /// As well, with a count for each function.
    Counts(ValueState<Vec<i64>, Row>),
    /// Those of a window in a map, to be forgotten with it: the bits.
    OfWindows(MapState<Row, i64, i64>),
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
    /// Of groups, which stay until nothing is left of them.
    pub(crate) fn of_groups(
        backend: &mut KeyedStateBackend<Row>,
        calls: &[AggregateCall],
        retracting: bool,
        ttl: Option<&StateTtlConfig>,
    ) -> Result<Self, OperatorError> {
        Self::open(calls, retracting, |name| {
            Ok(if retracting {
                let descriptor = ValueStateDescriptor::new(name);
                Seen::Counts(backend.register_value(match ttl {
                    Some(ttl) => descriptor.with_ttl(*ttl),
                    None => descriptor,
                })?)
            } else {
                let descriptor = ValueStateDescriptor::new(name);
                Seen::Bits(backend.register_value(match ttl {
                    Some(ttl) => descriptor.with_ttl(*ttl),
                    None => descriptor,
                })?)
            })
        })
    }

    /// Of windows of groups, which are forgotten as a whole.
    pub(crate) fn of_windows(
        backend: &mut KeyedStateBackend<Row>,
        calls: &[AggregateCall],
    ) -> Result<Self, OperatorError> {
        Self::open(calls, false, |name| {
            Ok(Seen::OfWindows(backend.register_map(MapStateDescriptor::new(name))?))
        })
    }

    fn open(
        calls: &[AggregateCall],
        retracting: bool,
        mut register: impl FnMut(String) -> Result<Seen, OperatorError>,
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
            let any = |is: &dyn Fn(&AggregateCall) -> bool| found_calls.iter().any(|call| is(&calls[*call]));
            sets.push(DistinctSet {
                arguments,
                takes_null: any(&|call| call.kind.takes_null()),
                is_ordered: any(&|call| call.kind.is_ordered()),
                calls: found_calls.clone(),
                seen: register(format!("distinct-{index}"))?,
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
            // One change a group and value, but where the order of changes matters.
            let is_folded = !(self.retracting && set.is_ordered);
            let width = set.calls.len();
            let mut folded = Folded::default();
            let mut changes = Changes::default();
            for (place, entry) in values {
                scratch.clear();
                writer.write(entry.row, &mut scratch);
                let change = if is_folded { folded.find(entry, &scratch) } else { changes.entries.len() };
                if change == changes.entries.len() {
                    changes.entries.push(entry);
                    changes.values.push(Row::of(&scratch));
                    changes.nets.resize_with((change + 1) * width, Net::default);
                }
                let retract = is_retraction(kind(batch, entry.row));
                for (net, call) in changes.nets[change * width..].iter_mut().zip(&set.calls) {
                    if arguments[*call].counts(entry.row) {
                        net.times += if retract { -1 } else { 1 };
                        let first = if retract { &mut net.went } else { &mut net.came };
                        first.get_or_insert(place);
                    }
                }
            }
            set.change(backend, changes, &mut skipped)?;
        }
        Ok(skipped)
    }

    /// Forgets the values of a window of the current key.
    pub(crate) fn clear(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        namespace: i64,
    ) -> Result<(), OperatorError> {
        for set in &self.sets {
            if let Seen::OfWindows(seen) = set.seen {
                seen.clear_in(backend, &namespace)?;
            }
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

/// What happens to values in a batch.
#[derive(Default)]
struct Changes<'a> {
    /// An entry that has the value.
    entries: Vec<RowOfGroup<'a>>,
    values: Vec<Row>,
    /// For each value one a function.
    nets: Vec<Net>,
}

impl DistinctSet {
    /// Changes values, and marks the entries that functions take.
    fn change(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        changes: Changes<'_>,
        skipped: &mut Skipped,
    ) -> Result<(), OperatorError> {
        let (mut hashes, mut keys, mut windows) = (Vec::new(), Vec::new(), Vec::new());
        let (mut values, mut all_nets) = (Vec::new(), Vec::new());
        let each = changes.entries.into_iter().zip(changes.values);
        for ((entry, value), nets) in each.zip(changes.nets.chunks(self.calls.len())) {
            // What no function counts, or what has come and gone, is no change.
            if nets.iter().any(|net| net.times != 0) {
                hashes.push(entry.hash);
                keys.push(entry.key);
                windows.push(entry.namespace);
                values.push(value);
                all_nets.push(nets);
            }
        }
        match self.seen {
            Seen::Bits(seen) => {
                let batch = KeyBatch::with_namespaces(&hashes, &keys, Namespaces::Each(&values))?;
                seen.update_batch(
                    backend,
                    &batch,
                    |_| 0,
                    |slots: Slots<'_>, seen: &mut [i64]| {
                        for (slot, nets) in slots.slots.iter().zip(&all_nets) {
                            self.note(&mut seen[*slot as usize], nets, skipped);
                        }
                    },
                )?;
            }
            Seen::OfWindows(seen) => {
                for (index, value) in values.into_iter().enumerate() {
                    backend.set_current_key(keys[index], hashes[index])?;
                    seen.modify_in(
                        backend,
                        &windows[index],
                        value,
                        || 0,
                        |bits| {
                            self.note(bits, all_nets[index], skipped);
                        },
                    )?;
                }
            }
            Seen::Counts(seen) => {
                let mut gone: (Vec<u64>, Vec<&Row>, Vec<Row>) = Default::default();
                let update = |slots: Slots<'_>, seen: &mut [Vec<i64>]| {
                    for (slot, nets) in slots.slots.iter().zip(&all_nets) {
                        self.count(&mut seen[*slot as usize], nets, skipped);
                    }
                    for (index, slot) in slots.slots.iter().enumerate() {
                        if seen[*slot as usize].iter().all(|count| *count == 0) {
                            gone.0.push(hashes[index]);
                            gone.1.push(keys[index]);
                            gone.2.push(values[index].clone());
                        }
                    }
                };
                let batch = KeyBatch::with_namespaces(&hashes, &keys, Namespaces::Each(&values))?;
                seen.update_batch(backend, &batch, |_| vec![0; self.calls.len()], update)?;
                if !gone.0.is_empty() {
                    let gone = KeyBatch::with_namespaces(&gone.0, &gone.1, Namespaces::Each(&gone.2))?;
                    seen.clear_batch(backend, &gone)?;
                }
            }
        }
        Ok(())
    }

    /// Notes a value that only comes.
    fn note(&self, bits: &mut i64, nets: &[Net], skipped: &mut Skipped) {
        for (index, (call, net)) in self.calls.iter().zip(nets).enumerate() {
            let bit = 1i64 << index;
            if net.times > 0 && *bits & bit == 0 {
                *bits |= bit;
                take(*call, net.came, skipped);
            }
        }
    }

    /// Counts a value that comes and goes.
    fn count(&self, counts: &mut [i64], nets: &[Net], skipped: &mut Skipped) {
        for ((count, call), net) in counts.iter_mut().zip(&self.calls).zip(nets) {
            let before = *count;
            *count += net.times;
            match (before > 0, *count > 0) {
                (false, true) => take(*call, net.came, skipped),
                (true, false) => take(*call, net.went, skipped),
                _ => {}
            }
        }
    }
}

/// Marks the entry at `place` as one that a function takes.
fn take(call: usize, place: Option<usize>, skipped: &mut Skipped) {
    if let (Some(place), Some(skipped)) = (place, &mut skipped[call]) {
        skipped[place] = false;
    }
}
