//! The frames of functions of `OVER`: what each key keeps, and the results of rows that come in order.

use std::collections::{BTreeMap, HashSet, VecDeque};

use arrow_array::{Array, ArrayRef, Int64Array, UInt32Array};
use arrow_data::ArrayData;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;
use arrow_select::take::take;
use datafusion_common::ScalarValue;
use std::sync::Arc;
use tidemill_core::Fault;
use tidemill_core::batch::ArrowBatch;
use tidemill_runtime::OperatorError;
use tidemill_state::{
    KeyBatch, KeyedStateBackend, MapState, MapStateDescriptor, NO_SLOT, Slots, StateTtlConfig, ValueState,
    ValueStateDescriptor,
};

use super::accumulators::{Accumulators, Argument, Functions};
use super::distinct::{Distinct, Skipped};
use super::groups::RowOfGroup;
use super::over::{columns_read, projected};
use super::row::{Row, RowReader, RowWriter, column_data};
use crate::expr::compile::record_batch;
use crate::functions::aggregate::{AggregateCall, AggregateKind};
use crate::plan::{Frame, OverCall};
use crate::types::arrow::data_type;

/// A row whose time has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Its key, among those of the call.
    pub(super) group: u32,
    /// Its place among the columns of the call.
    pub(super) row: u32,
    pub(super) time: i64,
}

/// The functions, over the columns that they read alone.
pub(super) struct OverCalls {
    /// Which columns of the input they read.
    read: Vec<usize>,
    kept: SchemaRef,
    functions: Functions,
    aggregates: Vec<AggregateCall>,
    calls: Vec<Call>,
    /// How many rows `LAG` looks back at most.
    lag: usize,
}

enum Call {
    /// By its number among the aggregates.
    Aggregate(usize),
    RowNumber,
    Rank,
    DenseRank,
    Lag {
        column: usize,
        offset: usize,
        default: ScalarValue,
    },
}

impl OverCalls {
    pub(super) fn new(calls: &[OverCall], input: &SchemaRef) -> Self {
        let read = columns_read(calls);
        let place = |column: usize| read.iter().position(|read| *read == column).unwrap_or_default();
        let mut aggregates = Vec::new();
        let mut lag = 0;
        let found = calls.iter().map(|call| match call {
            OverCall::Aggregate(call) => {
                let mut call = call.clone();
                call.arguments.iter_mut().for_each(|argument| *argument = place(*argument));
                call.filter = call.filter.map(place);
                aggregates.push(call);
                Call::Aggregate(aggregates.len() - 1)
            }
            OverCall::RowNumber => Call::RowNumber,
            OverCall::Rank => Call::Rank,
            OverCall::DenseRank => Call::DenseRank,
            OverCall::Lag { argument, offset, default, logical } => {
                let offset = usize::try_from(*offset).unwrap_or_default();
                lag = lag.max(offset);
                let of_type = ScalarValue::try_from(&data_type(&logical.root)).unwrap_or(ScalarValue::Null);
                let default = if default.is_null() { of_type } else { default.clone() };
                Call::Lag { column: place(*argument), offset, default }
            }
        });
        let calls = found.collect();
        let kept = projected(input, &read);
        Self { read, kept, functions: Functions::new(&aggregates), aggregates, calls, lag }
    }
}

/// What a key keeps: the accumulators of the frame of its last row, that row's time, then how many rows there were, the rank
/// of the last one, and of how many different times they are.
type Kept = (Accumulators, i64, (i64, i64, i64));

/// The frames of all keys.
pub(super) struct Frames {
    calls: OverCalls,
    frame: Frame,
    pub(super) accumulators: ValueState<Kept>,
    /// The rows that may leave a frame, or that `LAG` looks back at, by time and number.
    rows: Option<MapState<(i64, i64), Row>>,
    /// Of frames without an end.
    distinct: Distinct,
    /// Whether a function needs all rows of its frame.
    reads_frame: bool,
}

/// Whether a function takes rows back from its accumulator.
fn takes_back(call: &AggregateCall) -> bool {
    let computed = matches!(
        call.kind,
        AggregateKind::Count
            | AggregateKind::Sum
            | AggregateKind::SumOrZero
            | AggregateKind::Avg
            | AggregateKind::Variance { .. }
    );
    computed && !call.distinct
}

/// A row in a frame: its time and number, and its place among the columns.
type InFrame = (i64, i64, u32);

/// A key in a call.
#[derive(Default)]
struct Running {
    /// The rows that may leave the frame, the oldest first.
    queue: VecDeque<InFrame>,
    /// Those that were kept and have left it.
    gone: Vec<(i64, i64)>,
}

impl Frames {
    pub(super) fn open(
        backend: &mut KeyedStateBackend<Row>,
        calls: OverCalls,
        frame: &Frame,
        ttl: Option<&StateTtlConfig>,
    ) -> Result<Self, OperatorError> {
        let has_end = !matches!(frame, Frame::Range(None) | Frame::Rows(None));
        // Rows of a frame that were forgotten one by one could not be taken back.
        let ttl = ttl.filter(|_| !has_end && calls.lag == 0);
        let mut descriptor = ValueStateDescriptor::new("accumulators");
        let mut of_rows = MapStateDescriptor::new("rows");
        if let Some(ttl) = ttl {
            descriptor = descriptor.with_ttl(*ttl);
            of_rows = of_rows.with_ttl(*ttl);
        }
        let accumulators = backend.register_value(descriptor)?;
        let rows = if has_end || calls.lag > 0 { Some(backend.register_map(of_rows)?) } else { None };
        // A frame that ends is read again for its distinct values.
        let of_distinct: &[AggregateCall] = if has_end { &[] } else { &calls.aggregates };
        let distinct = Distinct::of_groups(backend, of_distinct, false, ttl)?;
        let reads_frame = has_end && !calls.aggregates.iter().all(takes_back);
        Ok(Self { calls, frame: frame.clone(), accumulators, rows, distinct, reads_frame })
    }

    /// Forgets the current key when none of its rows is as new as `oldest`.
    pub(super) fn forget(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        oldest: i64,
    ) -> Result<(), OperatorError> {
        if self.accumulators.read(backend, |kept| kept.is_some_and(|kept| kept.1 < oldest))? {
            self.accumulators.clear(backend)?;
            if let Some(rows) = self.rows {
                rows.clear(backend)?;
            }
        }
        Ok(())
    }

    /// The results of `entries`, rows of `columns` that come in this order; those of a key and a time stand together.
    pub(super) fn compute(
        &mut self,
        backend: &mut KeyedStateBackend<Row>,
        columns: &[ArrayRef],
        entries: &[Entry],
        keys: &KeyBatch<'_, Row>,
        key_of: impl Fn(usize) -> (Row, u64),
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        let mut running: Vec<Running> = (0..keys.len()).map(|_| Running::default()).collect();
        let (kept, before) = self.leaving(backend, entries, keys, &key_of, &mut running)?;
        let new = self.calls.read.iter().filter_map(|column| columns.get(*column)).cloned();
        let columns: Vec<ArrayRef> = if before == 0 {
            new.collect()
        } else {
            let both = kept.iter().zip(new).map(|(kept, new)| concat(&[&**kept, &*new]));
            both.collect::<Result<_, _>>().map_err(|error| failed(&error))?
        };
        let functions = &self.calls.functions;
        let arguments = functions
            .all()
            .iter()
            .map(|function| Argument::new(function, &columns))
            .collect::<Result<Vec<_>, _>>()?;
        let skipped = self.note_distinct(backend, &columns, entries, before, &arguments, &key_of)?;

        let mut results = functions.results();
        let mut numbers: Vec<[i64; 3]> = Vec::with_capacity(entries.len());
        let mut lags: Vec<Vec<Option<u32>>> = vec![Vec::new(); self.calls.calls.len()];
        let distinct: Vec<Option<Vec<ArrayData>>> = self
            .calls
            .aggregates
            .iter()
            .map(|call| (self.reads_frame && call.distinct).then(|| column_data(&columns, &call.arguments)))
            .collect();
        let values =
            distinct.iter().map(|data| data.as_ref().map(|data| RowWriter::new(data, true))).collect();
        let step = Step { frames: self, arguments: &arguments, skipped: &skipped, values, before };
        let update = |slots: Slots<'_>, values: &mut [Kept]| -> Result<(), OperatorError> {
            let mut at = 0;
            while at < entries.len() {
                let first = entries[at];
                let together = match step.frames.frame {
                    Frame::Range(None) | Frame::Range(Some(_)) => entries[at..]
                        .iter()
                        .take_while(|entry| (entry.group, entry.time) == (first.group, first.time))
                        .count(),
                    Frame::Rows(_) => 1,
                };
                let kept = &mut values[slots.slots[first.group as usize] as usize];
                let running = &mut running[first.group as usize];
                let mut of_rows = Vec::with_capacity(together);
                for (index, entry) in entries.iter().enumerate().skip(at).take(together) {
                    of_rows.push(step.enter(kept, running, entry, index)?);
                }
                step.leave(kept, running, first.time)?;
                for (offset, of_row) in of_rows.into_iter().enumerate() {
                    results.push(&step.frames.calls.functions, &kept.0)?;
                    numbers.push(of_row);
                    step.look_back(running, &entries[at + offset], kept.2.0, &mut lags);
                }
                at += together;
            }
            Ok(())
        };
        let empty = || (functions.empty(), i64::MIN, (0, 0, 0));
        self.accumulators.update_batch(backend, keys, |_| empty(), update)??;
        self.keep(backend, &columns, before, running, &key_of)?;
        self.columns(&columns, results.finish()?, &numbers, &lags)
    }

    /// The rows in state that the new ones may push out of their frames, as columns, and how many they are.
    fn leaving(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        entries: &[Entry],
        keys: &KeyBatch<'_, Row>,
        key_of: &impl Fn(usize) -> (Row, u64),
        running: &mut [Running],
    ) -> Result<(Vec<ArrayRef>, usize), OperatorError> {
        let Some(rows) = self.rows else { return Ok((Vec::new(), 0)) };
        let mut of_groups = vec![(0usize, i64::MIN); running.len()];
        for entry in entries {
            let (count, last) = &mut of_groups[entry.group as usize];
            *count += 1;
            *last = (*last).max(entry.time);
        }
        let mut in_frame = vec![0; running.len()];
        self.accumulators.read_batch(backend, keys, |slots, values| {
            for (group, slot) in slots.iter().enumerate().filter(|(_, slot)| **slot != NO_SLOT) {
                in_frame[group] = self.calls.functions.rows(&values[*slot as usize].0);
            }
        })?;
        let mut reader = RowReader::new(&self.calls.kept);
        for (group, running) in running.iter_mut().enumerate() {
            let (count, last) = of_groups[group];
            let (most, until) = match self.frame {
                _ if self.reads_frame || self.calls.lag > 0 => (usize::MAX, i64::MAX),
                Frame::Range(Some(width)) => (usize::MAX, last.saturating_sub(width)),
                Frame::Rows(Some(before)) => {
                    let all = u64::try_from(in_frame[group]).unwrap_or(0).saturating_add(count as u64);
                    let leaving = all.saturating_sub(before.saturating_add(1));
                    (usize::try_from(leaving).unwrap_or(usize::MAX), i64::MAX)
                }
                Frame::Range(None) | Frame::Rows(None) => (0, i64::MIN),
            };
            if most == 0 || in_frame[group] == 0 {
                continue;
            }
            let (key, hash) = key_of(group);
            backend.set_current_key(&key, hash)?;
            let mut damage = None;
            rows.scan(backend, ..(until, i64::MIN), |at, row| {
                if let Err(error) = reader.push(row.bytes()) {
                    damage.get_or_insert(error);
                    return false;
                }
                let place = u32::try_from(reader.rows() - 1).unwrap_or(u32::MAX);
                running.queue.push_back((at.0, at.1, place));
                running.queue.len() < most
            })?;
            if let Some(error) = damage {
                return Err(error.into());
            }
        }
        let rows = reader.rows();
        if rows == 0 { Ok((Vec::new(), 0)) } else { Ok((reader.finish()?, rows)) }
    }

    fn note_distinct(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        columns: &[ArrayRef],
        entries: &[Entry],
        before: usize,
        arguments: &[Argument],
        key_of: &impl Fn(usize) -> (Row, u64),
    ) -> Result<Skipped, OperatorError> {
        if self.distinct.is_empty() {
            return Ok(vec![None; arguments.len()]);
        }
        let batch = ArrowBatch {
            records: record_batch(
                &self.calls.kept,
                columns.to_vec(),
                before + columns.first().map_or(entries.len(), |column| column.len() - before),
            )?,
            kinds: None,
            timestamps: Vec::new(),
            hashes: Vec::new(),
        };
        let mut keys: BTreeMap<u32, (Row, u64)> = BTreeMap::new();
        for entry in entries {
            keys.entry(entry.group).or_insert_with(|| key_of(entry.group as usize));
        }
        let of_groups = entries.iter().map(|entry| {
            let (key, hash) = &keys[&entry.group];
            RowOfGroup {
                row: before + entry.row as usize,
                group: entry.group,
                key,
                hash: *hash,
                namespace: 0,
            }
        });
        self.distinct.note(backend, &batch, arguments, of_groups)
    }

    /// Keeps the rows that are still in their frames, and forgets those that have left.
    fn keep(
        &self,
        backend: &mut KeyedStateBackend<Row>,
        columns: &[ArrayRef],
        before: usize,
        running: Vec<Running>,
        key_of: &impl Fn(usize) -> (Row, u64),
    ) -> Result<(), OperatorError> {
        let Some(rows) = self.rows else { return Ok(()) };
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let mut scratch = Vec::new();
        for (group, running) in running.into_iter().enumerate() {
            let (key, hash) = key_of(group);
            backend.set_current_key(&key, hash)?;
            for at in &running.gone {
                rows.remove(backend, at)?;
            }
            for (time, number, place) in running.queue {
                if place as usize >= before {
                    rows.put(backend, (time, number), writer.row(place as usize, &mut scratch))?;
                }
            }
        }
        Ok(())
    }

    /// The columns of results, in the order of the calls.
    fn columns(
        &self,
        columns: &[ArrayRef],
        results: Vec<ArrayRef>,
        numbers: &[[i64; 3]],
        lags: &[Vec<Option<u32>>],
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        let number = |index: usize| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(numbers.iter().map(|of_row| of_row[index])))
        };
        let of_calls = self.calls.calls.iter().zip(lags).map(|(call, lags)| match call {
            Call::Aggregate(index) => results
                .get(*index)
                .cloned()
                .ok_or_else(|| OperatorError::new("TM-SQL-OPERATOR", Fault::Internal, "a result is missing")),
            Call::RowNumber => Ok(number(0)),
            Call::Rank => Ok(number(1)),
            Call::DenseRank => Ok(number(2)),
            Call::Lag { column, default, .. } => {
                let internal =
                    |error: String| OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error);
                let default = default.to_array().map_err(|error| internal(error.to_string()))?;
                let values = &columns[*column];
                let all = concat(&[&**values, &*default]).map_err(|error| failed(&error))?;
                let behind = u32::try_from(values.len()).unwrap_or(u32::MAX);
                let places: UInt32Array = lags.iter().map(|place| Some(place.unwrap_or(behind))).collect();
                take(&all, &places, None).map_err(|error| failed(&error))
            }
        });
        of_calls.collect()
    }
}

/// What happens to a row's key when the row comes.
struct Step<'a> {
    frames: &'a Frames,
    arguments: &'a [Argument],
    skipped: &'a Skipped,
    /// Of functions over distinct values, what writes these.
    values: Vec<Option<RowWriter<'a>>>,
    /// How many rows from state stand in front of the new ones.
    before: usize,
}

impl Step<'_> {
    /// Takes a row into its frame; answers its number, rank and dense rank.
    fn enter(
        &self,
        kept: &mut Kept,
        running: &mut Running,
        entry: &Entry,
        index: usize,
    ) -> Result<[i64; 3], OperatorError> {
        let functions = &self.frames.calls.functions;
        let place = self.before + entry.row as usize;
        let (accumulators, last, (number, rank, dense)) = kept;
        *number += 1;
        if entry.time != *last || *number == 1 {
            *rank = *number;
            *dense += 1;
        }
        *last = entry.time;
        functions.add_rows(accumulators, 1);
        for (call, function) in functions.all().iter().enumerate() {
            if self.frames.reads_frame && function.call.distinct {
                continue;
            }
            if let Some(skipped) = &self.skipped[call]
                && skipped[index]
            {
                continue;
            }
            function.accumulate(&mut accumulators.0, &self.arguments[call], place, false)?;
        }
        if self.frames.rows.is_some() && self.frames.calls.lag == 0 {
            running.queue.push_back((entry.time, *number, u32::try_from(place).unwrap_or(u32::MAX)));
        }
        Ok([*number, *rank, *dense])
    }

    /// Takes what is older than the frame of the row at `time` out of it.
    fn leave(&self, kept: &mut Kept, running: &mut Running, time: i64) -> Result<(), OperatorError> {
        let functions = &self.frames.calls.functions;
        let accumulators = &mut kept.0;
        let mut again = vec![false; functions.all().len()];
        if self.frames.reads_frame {
            for (again, function) in again.iter_mut().zip(functions.all()) {
                *again = function.call.distinct;
            }
        }
        loop {
            let is_old = match self.frames.frame {
                Frame::Range(Some(width)) => {
                    running.queue.front().is_some_and(|row| row.0 < time.saturating_sub(width))
                }
                Frame::Rows(Some(before)) => {
                    u64::try_from(functions.rows(accumulators)).unwrap_or(0) > before.saturating_add(1)
                }
                Frame::Range(None) | Frame::Rows(None) => false,
            };
            if !is_old {
                break;
            }
            let Some((of_time, number, place)) = running.queue.pop_front() else { break };
            let place = place as usize;
            functions.add_rows(accumulators, -1);
            for (call, function) in functions.all().iter().enumerate() {
                let argument = &self.arguments[call];
                if takes_back(&function.call) {
                    function.accumulate(&mut accumulators.0, argument, place, true)?;
                } else if !again[call] && function.depends_on(&accumulators.0, argument, place) {
                    again[call] = true;
                }
            }
            if place < self.before {
                running.gone.push((of_time, number));
            }
        }
        for (call, _) in again.iter().enumerate().filter(|(_, again)| **again) {
            self.read_again(accumulators, running, call)?;
        }
        Ok(())
    }

    /// Computes a function from the rows of its frame.
    fn read_again(
        &self,
        accumulators: &mut Accumulators,
        running: &Running,
        call: usize,
    ) -> Result<(), OperatorError> {
        let functions = &self.frames.calls.functions;
        let function = &functions.all()[call];
        let argument = &self.arguments[call];
        functions.reset(call, accumulators);
        let mut seen = HashSet::new();
        let mut scratch = Vec::new();
        for (_, _, place) in &running.queue {
            let place = *place as usize;
            if let Some(values) = &self.values[call]
                && !(argument.counts(place) && seen.insert(values.row(place, &mut scratch)))
            {
                continue;
            }
            function.accumulate(&mut accumulators.0, argument, place, false)?;
        }
        Ok(())
    }

    /// Notes the rows that `LAG` of a row looks back at.
    fn look_back(&self, running: &mut Running, entry: &Entry, number: i64, lags: &mut [Vec<Option<u32>>]) {
        let most = self.frames.calls.lag;
        let place = u32::try_from(self.before + entry.row as usize).unwrap_or(u32::MAX);
        for (call, lags) in self.frames.calls.calls.iter().zip(lags) {
            if let Call::Lag { offset, .. } = call {
                lags.push(match offset {
                    0 => Some(place),
                    offset => running.queue.len().checked_sub(*offset).map(|index| running.queue[index].2),
                });
            }
        }
        if most > 0 {
            running.queue.push_back((entry.time, number, place));
            if running.queue.len() > most
                && let Some((time, number, place)) = running.queue.pop_front()
                && (place as usize) < self.before
            {
                running.gone.push((time, number));
            }
        }
    }
}

fn failed(error: &arrow_schema::ArrowError) -> OperatorError {
    OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string())
}
