//! The frames of functions of `OVER`, and the results of rows that come in order.

use std::collections::{HashSet, VecDeque};

use arrow_array::{Array, ArrayRef, Int64Array, UInt32Array};
use arrow_data::ArrayData;
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;
use arrow_select::take::take;
use datafusion_common::ScalarValue;
use std::sync::Arc;
use tidemill_core::Fault;
use tidemill_runtime::OperatorError;

use super::accumulators::{Accumulators, Argument, Functions};
use super::aggregate_results::Results;
use super::distinct::Skipped;
use super::over::{columns_read, projected};
use super::row::{RowWriter, column_data};
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
    pub(super) read: Vec<usize>,
    pub(super) kept: SchemaRef,
    pub(super) functions: Functions,
    pub(super) aggregates: Vec<AggregateCall>,
    calls: Vec<Call>,
    /// How many rows `LAG` looks back at most.
    pub(super) lag: usize,
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
pub(super) type Kept = (Accumulators, i64, (i64, i64, i64));

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
pub(super) struct Running {
    /// The rows that may leave the frame, the oldest first.
    pub(super) queue: VecDeque<InFrame>,
    /// Those that were kept and have left it.
    pub(super) gone: Vec<(i64, i64)>,
}

/// Functions, and the frames that they see.
pub(super) struct OverFrame {
    pub(super) calls: OverCalls,
    pub(super) frame: Frame,
    /// Whether rows are looked at again after they have come: they may leave their frame, or `LAG` looks back at them.
    pub(super) keeps_rows: bool,
    /// Whether a function needs all rows of its frame.
    pub(super) reads_frame: bool,
}

/// The results of rows, in their order.
pub(super) struct Computed {
    results: Results,
    /// Of each row its number, rank and dense rank.
    numbers: Vec<[i64; 3]>,
    /// Of each call the rows that `LAG` looks back at.
    lags: Vec<Vec<Option<u32>>>,
}

impl OverFrame {
    pub(super) fn new(calls: OverCalls, frame: &Frame) -> Self {
        let has_end = !matches!(frame, Frame::Range(None) | Frame::Rows(None));
        let keeps_rows = has_end || calls.lag > 0;
        let reads_frame = has_end && !calls.aggregates.iter().all(takes_back);
        Self { calls, frame: frame.clone(), keeps_rows, reads_frame }
    }

    /// Whether a frame leaves rows behind.
    pub(super) fn has_end(&self) -> bool {
        !matches!(self.frame, Frame::Range(None) | Frame::Rows(None))
    }

    /// What a key without rows keeps.
    pub(super) fn empty(&self) -> Kept {
        (self.calls.functions.empty(), i64::MIN, (0, 0, 0))
    }

    /// The columns that the functions read, of those of the input.
    pub(super) fn read(&self, columns: &[ArrayRef]) -> Vec<ArrayRef> {
        self.calls.read.iter().filter_map(|column| columns.get(*column)).cloned().collect()
    }

    /// What the functions read, of these columns.
    pub(super) fn arguments(&self, columns: &[ArrayRef]) -> Result<Vec<Argument>, OperatorError> {
        self.calls.functions.all().iter().map(|function| Argument::new(function, columns)).collect()
    }

    pub(super) fn nothing_computed(&self) -> Computed {
        Computed {
            results: self.calls.functions.results(),
            numbers: Vec::new(),
            lags: vec![Vec::new(); self.calls.calls.len()],
        }
    }

    /// The results of `entries`, which are all rows of their keys in their order; those of a key stand together. `columns` are those of
    /// the input, and there are as many keys as `groups`.
    pub(super) fn of_all(
        &self,
        columns: &[ArrayRef],
        entries: &[Entry],
        groups: usize,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        let columns = self.read(columns);
        let arguments = self.arguments(&columns)?;
        let aggregates = self.calls.aggregates.iter().zip(&arguments);
        let skipped: Skipped = aggregates
            .map(|(call, argument)| {
                (call.distinct && !self.reads_frame).then(|| {
                    let data = column_data(&columns, &call.arguments);
                    let values = RowWriter::new(&data, true);
                    let (mut seen, mut scratch) = (HashSet::new(), Vec::new());
                    let is_known = |entry: &Entry| {
                        let row = entry.row as usize;
                        argument.counts(row) && !seen.insert((entry.group, values.row(row, &mut scratch)))
                    };
                    entries.iter().map(is_known).collect()
                })
            })
            .collect();
        let distinct = self.distinct_values(&columns);
        let step = Step::new(self, &arguments, &skipped, &distinct, 0);
        let mut running: Vec<Running> = (0..groups).map(|_| Running::default()).collect();
        let mut kept: Vec<Kept> = (0..groups).map(|_| self.empty()).collect();
        let mut computed = self.nothing_computed();
        step.run(entries, &mut running, &mut kept, |group| group as usize, &mut computed)?;
        self.columns(&columns, computed)
    }

    /// Of functions over distinct values that read their frame again, these values.
    pub(super) fn distinct_values(&self, columns: &[ArrayRef]) -> Vec<Option<Vec<ArrayData>>> {
        let of_call = |call: &AggregateCall| {
            (self.reads_frame && call.distinct).then(|| column_data(columns, &call.arguments))
        };
        self.calls.aggregates.iter().map(of_call).collect()
    }

    /// The columns of results, in the order of the calls.
    pub(super) fn columns(
        &self,
        columns: &[ArrayRef],
        computed: Computed,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        let Computed { mut results, numbers, lags } = computed;
        let results = results.finish()?;
        let number = |index: usize| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(numbers.iter().map(|of_row| of_row[index])))
        };
        let of_calls = self.calls.calls.iter().zip(&lags).map(|(call, lags)| match call {
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
pub(super) struct Step<'a> {
    frames: &'a OverFrame,
    arguments: &'a [Argument],
    skipped: &'a Skipped,
    /// Of functions over distinct values, what writes these.
    values: Vec<Option<RowWriter<'a>>>,
    /// How many rows from state stand in front of the new ones.
    before: usize,
}

impl<'a> Step<'a> {
    /// `distinct` are the values of functions over distinct ones that read their frame again.
    pub(super) fn new(
        frames: &'a OverFrame,
        arguments: &'a [Argument],
        skipped: &'a Skipped,
        distinct: &'a [Option<Vec<ArrayData>>],
        before: usize,
    ) -> Self {
        let values =
            distinct.iter().map(|data| data.as_ref().map(|data| RowWriter::new(data, true))).collect();
        Self { frames, arguments, skipped, values, before }
    }

    /// Takes `entries` into their frames one after the other, and adds their results to `computed`. What the key of a group keeps is at its
    /// place among `kept`.
    pub(super) fn run(
        &self,
        entries: &[Entry],
        running: &mut [Running],
        kept: &mut [Kept],
        place_of: impl Fn(u32) -> usize,
        computed: &mut Computed,
    ) -> Result<(), OperatorError> {
        let mut at = 0;
        while at < entries.len() {
            let first = entries[at];
            let together = match self.frames.frame {
                Frame::Range(None) | Frame::Range(Some(_)) => entries[at..]
                    .iter()
                    .take_while(|entry| (entry.group, entry.time) == (first.group, first.time))
                    .count(),
                Frame::Rows(_) => 1,
            };
            let kept = &mut kept[place_of(first.group)];
            let running = &mut running[first.group as usize];
            for (index, entry) in entries.iter().enumerate().skip(at).take(together) {
                computed.numbers.push(self.enter(kept, running, entry, index)?);
            }
            self.leave(kept, running, first.time)?;
            for entry in &entries[at..at + together] {
                computed.results.push(&self.frames.calls.functions, &kept.0)?;
                self.look_back(running, entry, kept.2.0, &mut computed.lags);
            }
            at += together;
        }
        Ok(())
    }

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
        if self.frames.keeps_rows && self.frames.calls.lag == 0 {
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

pub(super) fn failed(error: &arrow_schema::ArrowError) -> OperatorError {
    OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string())
}
