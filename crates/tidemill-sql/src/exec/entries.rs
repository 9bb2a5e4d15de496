//! Values of aggregate functions that are kept one by one, as entries of a map a group, so that a row costs what it changes and
//! not what the group has gathered:
//!
//! - the values of `MIN` and `MAX` over rows that are taken away again, in order, with a count each;
//! - the values of `FIRST_VALUE` and `LAST_VALUE` over such rows, by the number at which they came;
//! - whatever is [gathered](super::gathered): by the number at which it came, by value with a count, or by key.
//!
//! Values that came twice and go once go in the order in which they came, as in Flink.

use arrow_array::ArrayRef;
use tidemill_core::batch::ArrowBatch;
use tidemill_runtime::OperatorError;
use tidemill_serialization::{Data, Input};
use tidemill_state::{KeyedStateBackend, MapState, MapStateDescriptor, StateTtlConfig};

use super::accumulators::{Accumulators, Argument, Datum, Function, Functions, wrong_type};
use super::distinct::Skipped;
use super::folded::Folded;
use super::gathered;
use super::groups::RowOfGroup;
use super::output::{is_retraction, kind};
use super::row::{Row, RowWriter, column_data};
use super::sort_key::write_sort_key;
use crate::functions::aggregate::{AggregateCall, AggregateKind};
use crate::plan::SortKey;

/// How the values of a function are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryForm {
    /// In order, with counts: the first is the result.
    Extremes,
    /// By number, the first or the last one first: the first is the result.
    Ends,
    /// By number.
    List,
    /// By value, with counts.
    Counts,
    /// By key.
    Pairs,
}

impl EntryForm {
    /// How `call` keeps its values, over rows that may be taken away again or not; `None` when its accumulators are enough.
    pub(crate) fn of(call: &AggregateCall, retracting: bool) -> Option<Self> {
        match &call.kind {
            AggregateKind::Min | AggregateKind::Max => retracting.then_some(EntryForm::Extremes),
            AggregateKind::FirstValue | AggregateKind::LastValue => retracting.then_some(EntryForm::Ends),
            AggregateKind::ListAgg { .. }
            | AggregateKind::ArrayAgg { .. }
            | AggregateKind::JsonArrayAgg { .. } => Some(EntryForm::List),
            AggregateKind::Collect | AggregateKind::Percentile { .. } => Some(EntryForm::Counts),
            AggregateKind::JsonObjectAgg { .. } => Some(EntryForm::Pairs),
            _ => None,
        }
    }

    /// Whether the result is made of all entries.
    pub(super) fn is_gathered(self) -> bool {
        matches!(self, EntryForm::List | EntryForm::Counts | EntryForm::Pairs)
    }

    /// Whether its entries have numbers.
    fn is_numbered(self) -> bool {
        matches!(self, EntryForm::Ends | EntryForm::List)
    }
}

/// The first byte of an entry that is a value by its number.
const BY_NUMBER: u8 = 0;
/// The first byte of an entry that says the number of a value.
const BY_VALUE: u8 = 1;

struct EntryState {
    call: usize,
    form: EntryForm,
    map: MapState<Row, Row, i64>,
}

/// The entries of all functions of an aggregation.
pub(crate) struct Entries {
    all: Vec<EntryState>,
    retracting: bool,
}

/// A value that has come or gone, of `MIN` and `MAX`.
pub(crate) struct ExtremeChange {
    call: usize,
    group: u32,
    value: Datum,
    is_there: bool,
}

/// Values of groups that were found by looking for them.
pub(crate) struct Found {
    pub(crate) group: u32,
    pub(crate) call: usize,
    pub(crate) values: Vec<Datum>,
}

impl Entries {
    pub(crate) fn open(
        backend: &mut KeyedStateBackend<Row>,
        calls: &[AggregateCall],
        retracting: bool,
        ttl: Option<&StateTtlConfig>,
    ) -> Result<Self, OperatorError> {
        let mut all = Vec::new();
        for (call, form) in
            calls.iter().enumerate().filter_map(|(i, call)| Some((i, EntryForm::of(call, retracting)?)))
        {
            let mut descriptor = MapStateDescriptor::new(format!("values-{call}"));
            if let Some(ttl) = ttl {
                descriptor = descriptor.with_ttl(*ttl);
            }
            all.push(EntryState { call, form, map: backend.register_map(descriptor)? });
        }
        Ok(Self { all, retracting })
    }

    /// Whether results are made of all entries of a group.
    pub(crate) fn gathers(&self) -> bool {
        self.all.iter().any(|state| state.form.is_gathered())
    }

    /// Puts what was gathered in `namespaces` of the current key into `accumulators`, from which results are made.
    pub(crate) fn fill(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        functions: &Functions,
        namespaces: &[i64],
        accumulators: &mut Accumulators,
    ) -> Result<(), OperatorError> {
        for state in self.all.iter().filter(|state| state.form.is_gathered()) {
            let Some(function) = functions.all().get(state.call) else { continue };
            let mut all = Vec::new();
            for namespace in namespaces {
                state.map.scan_in(backend, namespace, .., |key, value| {
                    match (state.form, key.bytes()) {
                        (EntryForm::List, [BY_NUMBER, ..]) => gathered::push(&mut all, value.bytes(), &[]),
                        // Those that say numbers stand behind all others.
                        (EntryForm::List, _) => return false,
                        (_, key) => gathered::push(&mut all, key, value.bytes()),
                    }
                    true
                })?;
            }
            let datum = if all.is_empty() { Datum::Null } else { Datum::Bytes(all.into()) };
            function.set(&mut accumulators.0, &[datum]);
        }
        Ok(())
    }

    /// Counts the values of a batch, once each and group. Answers which values of `MIN` and `MAX` have come or gone.
    pub(crate) fn count<'a>(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        calls: &[AggregateCall],
        batch: &ArrowBatch,
        arguments: &[Argument],
        skipped: &Skipped,
        rows: impl Iterator<Item = RowOfGroup<'a>> + Clone,
    ) -> Result<Vec<ExtremeChange>, OperatorError> {
        let mut changes = Vec::new();
        for state in &self.all {
            if !matches!(state.form, EntryForm::Extremes | EntryForm::Counts) {
                continue;
            }
            let (call, argument) = (&calls[state.call], &arguments[state.call]);
            let mut folded = Folded::default();
            let mut times_of: Vec<i64> = Vec::new();
            let (mut key, mut rest) = (Vec::new(), Vec::new());
            for (place, row) in rows.clone().enumerate() {
                if is_skipped(skipped, state.call, place)
                    || !argument.counts(row.row)
                    || argument.is_null(row.row)
                {
                    continue;
                }
                key.clear();
                rest.clear();
                let times = if state.form == EntryForm::Extremes {
                    extreme_key(call, batch.records.columns(), row.row, &mut key)?;
                    1
                } else {
                    argument.gathered()?.write(row.row, &mut key, &mut rest)?;
                    gathered::count(&rest)?
                };
                let times = if is_retraction(kind(batch, row.row)) { -times } else { times };
                let place = folded.find(row, &key);
                times_of.resize(folded.changes().len(), 0);
                times_of[place] += times;
            }
            for (change, times) in folded.changes().iter().zip(&times_of).filter(|(_, times)| **times != 0) {
                backend.set_current_key(change.row.key, change.row.hash)?;
                let namespace = &change.row.namespace;
                let mut counts = (0, 0);
                let value = match state.form {
                    EntryForm::Extremes => Some(argument.datum(change.row.row)),
                    _ => None,
                };
                state.map.modify_in(backend, namespace, change.value.clone(), Row::default, |stored| {
                    counts.0 = stored.bytes().first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
                    counts.1 = counts.0 + times;
                    let mut bytes = counts.1.to_le_bytes().to_vec();
                    if let Some(value) = &value {
                        Accumulators(Box::from([value.clone()])).encode(&mut bytes);
                    }
                    *stored = Row::of(&bytes);
                })?;
                if counts.1 == 0 {
                    state.map.remove_in(backend, namespace, &change.value)?;
                }
                if let Some(value) = value
                    && (counts.0 > 0) != (counts.1 > 0)
                {
                    let (call, group) = (state.call, change.row.group);
                    changes.push(ExtremeChange { call, group, value, is_there: counts.1 > 0 });
                }
            }
        }
        // What has come is looked at before what has gone, which may be the best no longer then.
        changes.sort_by_key(|change| !change.is_there);
        Ok(changes)
    }

    #[allow(clippy::too_many_arguments)] // All that is known of a batch.
    /// Gives the rows of a batch their numbers, and takes the values of `MIN`, `MAX`, `FIRST_VALUE` and `LAST_VALUE` that come.
    /// `place_of` says where the accumulators of a group are. Answers the numbers, by function, and the groups and functions
    /// whose best value has gone.
    pub(crate) fn number<'a>(
        &self,
        functions: &Functions,
        batch: &ArrowBatch,
        arguments: &[Argument],
        skipped: &Skipped,
        rows: impl Iterator<Item = RowOfGroup<'a>> + Clone,
        extremes: &[ExtremeChange],
        values: &mut [Accumulators],
        place_of: impl Fn(u32) -> usize,
    ) -> (Vec<Vec<i64>>, Vec<(u32, usize)>) {
        let mut lost = Vec::new();
        for change in extremes {
            let Some(function) = functions.all().get(change.call) else { continue };
            let known = &mut values[place_of(change.group)].0;
            if change.is_there {
                function.take_extreme(known, &change.value);
            } else if is_same(&known[function.at], &change.value) {
                lost.push((change.group, change.call));
            }
        }
        let mut numbers = Vec::with_capacity(self.all.len());
        for state in &self.all {
            let mut of_rows = Vec::new();
            if state.form.is_numbered()
                && let Some(function) = functions.all().get(state.call)
            {
                let argument = &arguments[state.call];
                for (place, row) in rows.clone().enumerate() {
                    let comes = !is_retraction(kind(batch, row.row));
                    let counts = !is_skipped(skipped, state.call, place)
                        && argument.counts(row.row)
                        && !argument.is_null(row.row);
                    if !(comes && counts) {
                        of_rows.push(if counts { TAKEN_OUT } else { NOT_COUNTED });
                        continue;
                    }
                    let known = &mut values[place_of(row.group)].0[function.at..];
                    let next = if state.form == EntryForm::Ends { 2 } else { 1 };
                    let number = known[next].int();
                    known[next] = Datum::Int(number + 1);
                    of_rows.push(number);
                    let is_better = state.form == EntryForm::Ends
                        && (function.call.kind == AggregateKind::LastValue || known[1] == Datum::Null);
                    if is_better {
                        known[0] = argument.datum(row.row);
                        known[1] = Datum::Int(number);
                    }
                }
            }
            numbers.push(of_rows);
        }
        (numbers, lost)
    }

    /// Puts and takes the values that have numbers or keys, in the order of the rows. `after` are the accumulators of the groups.
    /// Answers the groups and functions, `FIRST_VALUE` and `LAST_VALUE`, whose value has gone.
    #[allow(clippy::too_many_arguments)] // All that is known of a batch.
    pub(crate) fn apply<'a>(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        functions: &Functions,
        batch: &ArrowBatch,
        arguments: &[Argument],
        skipped: &Skipped,
        rows: impl Iterator<Item = RowOfGroup<'a>> + Clone,
        numbers: &[Vec<i64>],
        after: &[Accumulators],
    ) -> Result<Vec<(u32, usize)>, OperatorError> {
        let mut lost = Vec::new();
        for (state, numbers) in self.all.iter().zip(numbers) {
            let (Some(function), argument) = (functions.all().get(state.call), &arguments[state.call]) else {
                continue;
            };
            match state.form {
                EntryForm::Pairs => {
                    let rows = rows.clone().enumerate();
                    let taken = rows.filter(|(place, row)| {
                        !is_skipped(skipped, state.call, *place)
                            && argument.counts(row.row)
                            && !argument.is_null(row.row)
                    });
                    for (_, row) in taken {
                        state.pair(backend, batch, argument, row)?;
                    }
                }
                EntryForm::List | EntryForm::Ends => {
                    state.list(
                        backend,
                        function,
                        batch,
                        rows.clone().zip(numbers.iter().copied()),
                        self.retracting,
                        |group, number| {
                            let known =
                                after.get(group as usize).and_then(|known| known.0.get(function.at + 1));
                            if known == Some(&Datum::Int(number)) {
                                lost.push((group, state.call));
                            }
                        },
                    )?;
                }
                EntryForm::Extremes | EntryForm::Counts => {}
            }
        }
        lost.sort_unstable();
        lost.dedup();
        Ok(lost)
    }

    /// The values that functions of groups have now that what they had has gone. `key_of` says the key of a group.
    pub(crate) fn find<'a>(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        functions: &Functions,
        lost: &[(u32, usize)],
        key_of: impl Fn(u32) -> (&'a Row, u64),
    ) -> Result<Vec<Found>, OperatorError> {
        let mut found = Vec::with_capacity(lost.len());
        for (group, call) in lost {
            let Some(state) = self.all.iter().find(|state| state.call == *call) else { continue };
            let Some(function) = functions.all().get(*call) else { continue };
            let (key, hash) = key_of(*group);
            backend.set_current_key(key, hash)?;
            let mut values = Ok(match state.form {
                EntryForm::Ends => vec![Datum::Null, Datum::Null],
                _ => vec![Datum::Null],
            });
            state.map.scan_in(backend, &0, .., |key, value| {
                match state.form {
                    EntryForm::Ends => {
                        if let [BY_NUMBER, number @ ..] = key.bytes() {
                            values = end(function, number, value.bytes());
                        }
                        false
                    }
                    _ => {
                        // One that was taken out before it came waits for that.
                        let (count, stored) = value.bytes().split_at_checked(8).unwrap_or_default();
                        let is_there = gathered::count(count).is_ok_and(|count| count > 0);
                        if is_there {
                            values = datum(stored).map(|datum| vec![datum]);
                        }
                        !is_there
                    }
                }
            })?;
            found.push(Found { group: *group, call: *call, values: values? });
        }
        Ok(found)
    }

    /// Forgets the values of a namespace of the current key.
    pub(crate) fn clear(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        namespace: i64,
    ) -> Result<(), OperatorError> {
        for state in &self.all {
            state.map.clear_in(backend, &namespace)?;
        }
        Ok(())
    }
}

/// Instead of a number: the row does not count.
const NOT_COUNTED: i64 = -1;
/// Instead of a number: the value of the row is taken out.
const TAKEN_OUT: i64 = -2;

impl EntryState {
    fn pair(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        batch: &ArrowBatch,
        argument: &Argument,
        row: RowOfGroup<'_>,
    ) -> Result<(), OperatorError> {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        argument.gathered()?.write(row.row, &mut key, &mut value)?;
        let stored = Row::of(&key);
        backend.set_current_key(row.key, row.hash)?;
        if is_retraction(kind(batch, row.row)) {
            self.map.remove_in(backend, &row.namespace, &stored)?;
        } else if self.map.contains_in(backend, &row.namespace, &stored)? {
            return Err(gathered::twice(&String::from_utf8_lossy(key.get(4..).unwrap_or_default())));
        } else {
            self.map.put_in(backend, &row.namespace, stored, Row::of(&value))?;
        }
        Ok(())
    }

    fn list<'a>(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        function: &Function,
        batch: &ArrowBatch,
        rows: impl Iterator<Item = (RowOfGroup<'a>, i64)>,
        retracting: bool,
        mut gone: impl FnMut(u32, i64),
    ) -> Result<(), OperatorError> {
        let newest_first = function.call.kind == AggregateKind::LastValue;
        let data = column_data(batch.records.columns(), function.call.arguments.iter().take(1));
        let (values, keys) = (RowWriter::new(&data, false), RowWriter::new(&data, true));
        let (mut scratch, mut by_value) = (Vec::new(), Vec::new());
        let numbered = |number: [u8; 8]| {
            let mut key = [BY_NUMBER; 9];
            key[1..].copy_from_slice(&number);
            Row::of(&key)
        };
        for (row, number) in rows {
            if number == NOT_COUNTED {
                continue;
            }
            backend.set_current_key(row.key, row.hash)?;
            by_value.clear();
            by_value.push(BY_VALUE);
            keys.write(row.row, &mut by_value);
            let length = by_value.len();
            if number != TAKEN_OUT {
                let place = if newest_first { !number } else { number }.to_be_bytes();
                self.map.put_in(
                    backend,
                    &row.namespace,
                    numbered(place),
                    values.row(row.row, &mut scratch),
                )?;
                if retracting {
                    by_value.extend_from_slice(&number.to_be_bytes());
                    self.map.put_in(backend, &row.namespace, Row::of(&by_value), Row::default())?;
                }
                continue;
            }
            // Of those that are the same the one that came first.
            by_value.extend_from_slice(&[0; 8]);
            let from = Row::of(&by_value);
            by_value[length..].fill(u8::MAX);
            let to = Row::of(&by_value);
            let mut first = None;
            self.map.scan_in(backend, &row.namespace, from..=to, |key, _| {
                first = Some(key.clone());
                false
            })?;
            let Some(first) = first else { continue };
            let number = first.bytes().last_chunk().map(|bytes| i64::from_be_bytes(*bytes));
            let number = number.ok_or_else(wrong_type)?;
            let place = if newest_first { !number } else { number }.to_be_bytes();
            self.map.remove_in(backend, &row.namespace, &first)?;
            self.map.remove_in(backend, &row.namespace, &numbered(place))?;
            if self.form == EntryForm::Ends {
                gone(row.group, number);
            }
        }
        Ok(())
    }
}

/// The value and the number of an entry of `FIRST_VALUE` or `LAST_VALUE`.
fn end(function: &Function, number: &[u8], value: &[u8]) -> Result<Vec<Datum>, OperatorError> {
    let number = number.first_chunk().map(|bytes| i64::from_be_bytes(*bytes)).ok_or_else(wrong_type)?;
    let number = if function.call.kind == AggregateKind::LastValue { !number } else { number };
    Ok(vec![function.datum_of_row(value)?, Datum::Int(number)])
}

fn datum(stored: &[u8]) -> Result<Datum, OperatorError> {
    let decoded = Accumulators::decode(&mut Input::new(stored)).map_err(|_| wrong_type())?;
    decoded.0.into_iter().next().ok_or_else(wrong_type)
}

/// Whether two values are in the same place of the order.
fn is_same(one: &Datum, two: &Datum) -> bool {
    match (one, two) {
        (Datum::Float(one), Datum::Float(two)) => one == two || (one.is_nan() && two.is_nan()),
        (one, two) => one == two,
    }
}

#[inline]
fn is_skipped(skipped: &Skipped, call: usize, place: usize) -> bool {
    skipped[call].as_ref().is_some_and(|skipped| skipped[place])
}

/// The key under which the best value comes first.
fn extreme_key(
    call: &AggregateCall,
    columns: &[ArrayRef],
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), OperatorError> {
    let column = call.arguments.first().copied().unwrap_or_default();
    let descending = call.kind == AggregateKind::Max;
    write_sort_key(columns, &[SortKey { column, descending, nulls_first: true }], row, out)
}
