//! Aggregates of windows over time.
//!
//! Windows that overlap are made of slices, and each row goes into one slice; when a window ends its slices are merged. Values of
//! `DISTINCT` cannot be merged by their accumulators, so with them each row goes into each of its windows.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{ArrayRef, TimestampMillisecondArray};
use arrow_schema::SchemaRef;
use std::sync::Arc;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    Clock, KeyBatch, KeyedStateBackend, NO_SLOT, Namespaces, SubtaskSnapshot, TimeDomain, Timers, ValueState,
    ValueStateDescriptor,
};

use super::accumulators::{Accumulators, Argument, Function, Functions};
use super::distinct::Distinct;
use super::entries::{Entries, EntryForm};
use super::event_time;
use super::groups::Groups;
use super::output::{changes, not_open};
use super::own_aggregates;
use super::row::{Row, RowReader, column_data};
use crate::functions::aggregate::AggregateCall;
use crate::functions::temporal::LocalClock;
use crate::plan::WindowKind;

/// An aggregation of windows.
#[derive(Clone, Debug)]
pub(crate) struct WindowAggregateSpec {
    pub(crate) input: SchemaRef,
    pub(crate) window: WindowKind,
    /// Whether rows say which window they are of: then the column of time is where it ends, and its start is among the keys.
    pub(crate) attached: bool,
    /// The column of time.
    pub(crate) time: usize,
    pub(crate) processing_time: bool,
    /// Whose clock windows begin and end by.
    pub(crate) zone: Option<chrono_tz::Tz>,
    /// The columns of the groups besides the window.
    pub(crate) keys: Vec<usize>,
    pub(crate) calls: Vec<AggregateCall>,
    /// The groups' columns, the results, then start, end and time of the window, in milliseconds.
    pub(crate) output: SchemaRef,
}

impl OperatorFactory for WindowAggregateSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(WindowAggregate {
            functions: Functions::with_entries(&self.calls, |call| EntryForm::of(call, false)),
            local: LocalClock::new(self.zone),
            by_window: self.attached || self.calls.iter().any(|call| call.distinct),
            spec: self.clone(),
            groups: Groups::default(),
            watermark: i64::MIN,
            next_time: None,
            state: None,
        }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

struct State {
    backend: KeyedStateBackend<Row>,
    /// By the end of the slice.
    accumulators: ValueState<Accumulators, i64>,
    distinct: Distinct,
    /// By the end of the slice.
    entries: Entries,
    /// By the end of the window.
    timers: Timers<i64>,
    clock: Arc<dyn Clock>,
    late: Arc<Counter>,
}

struct WindowAggregate {
    spec: WindowAggregateSpec,
    /// By which windows begin and end.
    local: LocalClock,
    functions: Functions,
    /// Whether rows go into windows instead of slices.
    by_window: bool,
    groups: Groups,
    watermark: i64,
    /// When the next window of processing time ends.
    next_time: Option<Timestamp>,
    state: Option<State>,
}

/// Windows that one call lets end.
const WINDOWS_A_CALL: usize = 4096;

impl Operator for WindowAggregate {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        let accumulators = backend.register_value(ValueStateDescriptor::new("accumulators"))?;
        let distinct = Distinct::of_windows(&mut backend, &self.spec.calls)?;
        let entries = Entries::open(&mut backend, &self.spec.calls, false, None)?;
        let timers = backend.register_timers("windows")?;
        self.watermark = event_time::restored(restored.as_ref())?;
        self.state = Some(State {
            backend,
            accumulators,
            distinct,
            entries,
            timers,
            clock: Arc::clone(&context.clock),
            late: context.metrics.counter("numLateRecordsDropped"),
        });
        self.look_at_clock()
    }

    fn process(&mut self, _: usize, batch: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
        self.aggregate(batch.downcast_ref::<ArrowBatch>()?)?;
        self.look_at_clock()?;
        Ok(Progress::Done)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.watermark = self.watermark.max(watermark.0);
        if !self.spec.processing_time && self.fire(TimeDomain::Event, watermark.0, out)? {
            return Ok(Progress::More);
        }
        out.watermark(watermark);
        Ok(Progress::Done)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.next_time
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        let more = self.fire(TimeDomain::Processing, now, out)?;
        self.look_at_clock()?;
        Ok(if more { Progress::More } else { Progress::Done })
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        let Some(state) = &mut self.state else { return Ok(SubtaskSnapshot::default()) };
        let mut snapshot = context.keyed(&mut state.backend)?;
        event_time::store(self.watermark, &mut snapshot);
        Ok(snapshot)
    }
}

/// Windows that end at the same time.
#[derive(Default)]
struct Due {
    hashes: Vec<u64>,
    keys: Vec<Row>,
    ends: Vec<i64>,
}

impl State {
    /// The next windows of those that end up to `time`, at most so many. They end at the same time: the next window of a key, which
    /// one that ends makes, is never among them.
    fn due(&mut self, domain: TimeDomain, time: i64, most: usize) -> Result<Due, OperatorError> {
        let mut due = Due::default();
        let timers = self.timers.service(&mut self.backend)?;
        let Some(first) = timers.next_timestamp(domain).filter(|first| *first <= time) else {
            return Ok(due);
        };
        while due.ends.len() < most {
            let Some(timer) = timers.pop_due(domain, first)? else { break };
            due.hashes.push(timer.hash);
            due.keys.push(timer.key);
            due.ends.push(timer.namespace);
        }
        Ok(due)
    }
}

impl WindowAggregate {
    fn domain(&self) -> TimeDomain {
        if self.spec.processing_time { TimeDomain::Processing } else { TimeDomain::Event }
    }

    fn look_at_clock(&mut self) -> Result<(), OperatorError> {
        if self.spec.processing_time
            && let Some(state) = &mut self.state
        {
            self.next_time = state.timers.service(&mut state.backend)?.next_timestamp(TimeDomain::Processing);
        }
        Ok(())
    }

    fn aggregate(&mut self, batch: &ArrowBatch) -> Result<(), OperatorError> {
        let domain = self.domain();
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let window = self.spec.window;
        let rows = batch.records.num_rows();
        let columns = batch.records.columns();
        let now = self.spec.processing_time.then(|| state.clock.now());
        let times = columns
            .get(self.spec.time)
            .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
        let reached = if self.spec.processing_time { i64::MIN } else { self.watermark };
        let local = &self.local;
        let is_late = |end: i64| local.moment(end.saturating_sub(1)) <= reached;
        // Which row goes into which slice or window.
        let mut entries: Vec<(u32, i64)> = Vec::with_capacity(rows);
        let mut late = 0;
        for row in 0..rows {
            let time = match (now, times) {
                (Some(now), _) => now,
                (None, Some(times)) if !arrow_array::Array::is_null(times, row) => times.value(row),
                _ => {
                    return Err(OperatorError::new(
                        "TM-SQL-ROWTIME",
                        Fault::User,
                        "the event time of a row is NULL: windows need one, filter such rows out",
                    ));
                }
            };
            if self.spec.attached {
                if is_late(time) {
                    late += 1;
                } else {
                    entries.push((u32::try_from(row).unwrap_or(u32::MAX), time));
                }
                continue;
            }
            let time = self.local.local(time);
            let slice = window.slice_end(time);
            if is_late(window.last_window(slice)) {
                late += 1;
                continue;
            }
            let row = u32::try_from(row).unwrap_or(u32::MAX);
            if self.by_window {
                window.windows_of_slice(slice, |end| {
                    if !is_late(end) {
                        entries.push((row, end));
                    }
                });
            } else {
                entries.push((row, slice));
            }
        }
        if late > 0 {
            state.late.add(late);
        }
        if entries.is_empty() {
            return Ok(());
        }
        let data = column_data(columns, &self.spec.keys);
        self.groups.find_entries(&data, &entries);
        let groups = &self.groups;
        let arguments = self
            .functions
            .all()
            .iter()
            .map(|function| Argument::new(function, columns))
            .collect::<Result<Vec<_>, _>>()?;
        let of_rows = groups.rows(Some(&entries));
        let skipped = state.distinct.note(&mut state.backend, batch, &arguments, of_rows.clone())?;
        state.entries.count(
            &mut state.backend,
            &self.spec.calls,
            batch,
            &arguments,
            &skipped,
            of_rows.clone(),
        )?;
        let keys =
            KeyBatch::with_namespaces(&groups.hashes, &groups.keys, Namespaces::Each(&groups.namespaces))?;
        let functions = &self.functions;
        let mut created: Vec<u32> = Vec::new();
        let mut numbers = Vec::new();
        let of_functions = &state.entries;
        let update = |slots: tidemill_state::Slots<'_>,
                      values: &mut [Accumulators]|
         -> Result<(), OperatorError> {
            created.extend_from_slice(slots.created);
            for (place, ((row, _), group)) in entries.iter().zip(&groups.of_row).enumerate() {
                let accumulators = &mut values[slots.slots[*group as usize] as usize];
                functions.add_rows(accumulators, 1);
                for (index, function) in functions.all().iter().enumerate() {
                    let is_skipped = skipped[index].as_ref().is_some_and(|skipped| skipped[place]);
                    if function.is_plain() && !is_skipped {
                        function.accumulate(&mut accumulators.0, &arguments[index], *row as usize, false)?;
                    }
                }
            }
            let place_of = |group: usize| slots.slots[group] as usize;
            own_aggregates::update(
                functions,
                batch,
                &arguments,
                &skipped,
                of_rows.clone(),
                values,
                groups.len(),
                place_of,
            )?;
            (numbers, _) = of_functions.number(
                functions,
                batch,
                &arguments,
                &skipped,
                of_rows.clone(),
                &[],
                values,
                |group| place_of(group as usize),
            );
            Ok(())
        };
        state.accumulators.update_batch(&mut state.backend, &keys, |_| functions.empty(), update)??;
        let rows = groups.rows(Some(&entries));
        state.entries.apply(
            &mut state.backend,
            functions,
            batch,
            &arguments,
            &skipped,
            rows,
            &numbers,
            &[],
        )?;
        for group in created {
            let group = group as usize;
            let namespace = groups.namespaces[group];
            let mut first = None;
            if self.by_window {
                first = Some(namespace);
            } else {
                window.windows_of_slice(namespace, |end| {
                    if !is_late(end) {
                        first.get_or_insert(end);
                    }
                });
            }
            let Some(end) = first else { continue };
            state.backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
            state.timers.register(&mut state.backend, domain, self.local.moment(end - 1), &end)?;
        }
        Ok(())
    }

    /// Says the results of windows that end up to `time`; answers whether there are more.
    fn fire(&mut self, domain: TimeDomain, time: i64, out: &mut Output) -> Result<bool, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let window = self.spec.window;
        let types = self.spec.keys.iter().map(|key| self.spec.input.field(*key).data_type());
        let mut keys = RowReader::of_types(types);
        let mut results = self.functions.results();
        let mut ends: Vec<i64> = Vec::new();
        let is_plain = state.distinct.is_empty() && self.functions.all().iter().all(Function::is_plain);
        let mut fired = 0;
        while fired < WINDOWS_A_CALL {
            let due = state.due(domain, time, WINDOWS_A_CALL - fired)?;
            if due.ends.is_empty() {
                break;
            }
            fired += due.ends.len();
            // The slices of all windows, looked up at once.
            let (mut hashes, mut of_keys, mut slices) = (Vec::new(), Vec::new(), Vec::new());
            let mut of_window = Vec::with_capacity(due.ends.len());
            for (index, end) in due.ends.iter().enumerate() {
                let first = slices.len();
                if self.by_window {
                    slices.push(*end);
                } else {
                    window.slices_of_window(*end, |slice| slices.push(slice));
                }
                hashes.resize(slices.len(), due.hashes[index]);
                of_keys.resize(slices.len(), &due.keys[index]);
                of_window.push(first..slices.len());
            }
            let parts = KeyBatch::with_namespaces(&hashes, &of_keys, Namespaces::Each(&slices))?;
            let mut merged: Vec<Option<Accumulators>> = vec![None; due.ends.len()];
            let mut is_there = vec![false; slices.len()];
            let functions = &self.functions;
            let merge = |slots: &[u32], values: &[Accumulators]| -> Result<(), OperatorError> {
                for (merged, of_window) in merged.iter_mut().zip(&of_window) {
                    for part in of_window.clone().filter(|part| slots[*part] != NO_SLOT) {
                        is_there[part] = true;
                        let value = &values[slots[part] as usize];
                        match merged {
                            None => *merged = Some(value.clone()),
                            Some(merged) => functions.merge(merged, value)?,
                        }
                    }
                }
                Ok(())
            };
            // Slices of one window each, as those of TUMBLE are, go as they are read.
            let is_last = |slice: &i64, end: &i64| self.by_window || window.last_window(*slice) <= *end;
            let are_taken = slices.len() == due.ends.len()
                && slices.iter().zip(&due.ends).all(|(slice, end)| is_last(slice, end));
            if are_taken {
                state.accumulators.take_batch(&mut state.backend, &parts, merge)??;
            } else {
                state.accumulators.read_batch(&mut state.backend, &parts, merge)??;
            }
            let mut gone: (Vec<u64>, Vec<&Row>, Vec<i64>) = Default::default();
            for (index, of_window) in of_window.into_iter().enumerate() {
                let (end, key, hash) = (due.ends[index], &due.keys[index], due.hashes[index]);
                if !is_plain {
                    state.backend.set_current_key(key, hash)?;
                }
                if state.entries.gathers()
                    && let Some(merged) = &mut merged[index]
                {
                    let mut gathered = functions.empty();
                    let slices = &slices[of_window.clone()];
                    state.entries.fill(&mut state.backend, functions, slices, &mut gathered)?;
                    functions.take_gathered(merged, gathered);
                }
                let mut next = None;
                for slice in of_window.filter(|part| is_there[*part]).map(|part| slices[part]) {
                    if is_last(&slice, &end) {
                        if !are_taken {
                            gone.0.push(hash);
                            gone.1.push(key);
                            gone.2.push(slice);
                        }
                        if !is_plain {
                            state.distinct.clear(&mut state.backend, slice)?;
                            state.entries.clear(&mut state.backend, slice)?;
                        }
                    } else if next.is_none() {
                        window.windows_of_slice(slice, |other| {
                            if other > end {
                                next.get_or_insert(other);
                            }
                        });
                    }
                }
                if let Some(next) = next {
                    let timers = state.timers.service(&mut state.backend)?;
                    timers.register(domain, self.local.moment(next - 1), (key, hash), &next)?;
                }
                if let Some(merged) = &merged[index] {
                    keys.push(key.bytes())?;
                    results.push(functions, merged)?;
                    ends.push(end);
                }
            }
            if !gone.0.is_empty() {
                let gone = KeyBatch::with_namespaces(&gone.0, &gone.1, Namespaces::Each(&gone.2))?;
                state.accumulators.clear_batch(&mut state.backend, &gone)?;
            }
        }
        if !ends.is_empty() {
            let mut columns: Vec<ArrayRef> = keys.finish()?;
            columns.extend(results.finish()?);
            columns.extend(window_columns(
                &self.spec.output,
                columns.len(),
                |end| window.window_start(end),
                &ends,
                &self.local,
            )?);
            let kinds = vec![tidemill_core::batch::RowKind::Insert; ends.len()];
            out.emit(Batch::new(changes(&self.spec.output, columns, kinds)?));
        }
        Ok(fired == WINDOWS_A_CALL)
    }
}

/// The columns of start, end and time of windows that end at `ends`.
pub(crate) fn window_columns(
    schema: &SchemaRef,
    at: usize,
    start: impl Fn(i64) -> i64,
    ends: &[i64],
    local: &LocalClock,
) -> Result<Vec<ArrayRef>, OperatorError> {
    let column = |index: usize, values: Vec<i64>| -> ArrayRef {
        let array = TimestampMillisecondArray::from(values);
        Arc::new(array.with_data_type(schema.field(at + index).data_type().clone()))
    };
    Ok(vec![
        column(0, ends.iter().map(|end| start(*end)).collect()),
        column(1, ends.to_vec()),
        column(2, ends.iter().map(|end| local.moment(end - 1)).collect()),
    ])
}
