//! Session windows: rows of a key belong together until there is none for a while.
//!
//! A key's open sessions are one value, so that a batch reads and merges them at once. Each has one timer, which is moved only when it comes
//! due: rows that prolong a session touch no timers. Rows themselves are kept where results cannot be merged, of distinct
//! values, or are the rows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, ArrayRef, TimestampMillisecondArray};
use arrow_schema::SchemaRef;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    Clock, KeyBatch, KeyedStateBackend, ListState, ListStateDescriptor, Namespaces, Slots, SubtaskSnapshot,
    TimeDomain, Timers, ValueState, ValueStateDescriptor,
};

use super::accumulators::{Accumulators, Argument, Functions};
use super::aggregate_results::Results;
use super::event_time;
use super::groups::Groups;
use super::output::{changes, not_open};
use super::row::{Row, RowReader, RowWriter, column_data};
use crate::functions::aggregate::AggregateCall;
use crate::functions::temporal::LocalClock;

/// Session windows.
#[derive(Clone, Debug)]
pub(crate) struct SessionSpec {
    pub(crate) input: SchemaRef,
    /// In milliseconds.
    pub(crate) gap: i64,
    /// The column of time.
    pub(crate) time: usize,
    pub(crate) processing_time: bool,
    /// Whose clock windows begin and end by.
    pub(crate) zone: Option<chrono_tz::Tz>,
    /// The columns that each have sessions of their own.
    pub(crate) keys: Vec<usize>,
    /// What comes out of a session: results of functions, or with none given its rows.
    pub(crate) calls: Option<Vec<AggregateCall>>,
    /// The keys' columns and the results, or the columns of the input; then start, end and time of the window.
    pub(crate) output: SchemaRef,
}

impl OperatorFactory for SessionSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let calls = self.calls.clone().unwrap_or_default();
        Ok(Box::new(SessionWindows {
            functions: Functions::new(&calls),
            local: LocalClock::new(self.zone),
            keeps_rows: self.calls.is_none() || calls.iter().any(|call| call.distinct),
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

/// An open session: when it begins and ends, the name of its rows, its accumulators.
type Session = (i64, i64, i64, Accumulators);

struct State {
    backend: KeyedStateBackend<Row>,
    /// By their beginning.
    sessions: ValueState<Vec<Session>>,
    /// The rows of sessions by their names, where they are kept.
    rows: ListState<Row, i64>,
    timers: Timers<()>,
    clock: Arc<dyn Clock>,
    late: Arc<Counter>,
}

struct SessionWindows {
    spec: SessionSpec,
    local: LocalClock,
    functions: Functions,
    keeps_rows: bool,
    groups: Groups,
    watermark: i64,
    next_time: Option<Timestamp>,
    state: Option<State>,
}

/// Rows that one call says, about.
const ROWS_A_CALL: usize = 1 << 15;
/// Timers that one call looks at.
const TIMERS_A_CALL: usize = 4096;

impl Operator for SessionWindows {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        self.watermark = event_time::restored(restored.as_ref())?;
        let sessions = backend.register_value(ValueStateDescriptor::new("sessions"))?;
        let rows = backend.register_list(ListStateDescriptor::new("rows"))?;
        let timers = backend.register_timers("sessions-end")?;
        self.state = Some(State {
            backend,
            sessions,
            rows,
            timers,
            clock: Arc::clone(&context.clock),
            late: context.metrics.counter("numLateRecordsDropped"),
        });
        self.look_at_clock()
    }

    fn process(&mut self, _: usize, batch: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
        self.add(batch.downcast_ref::<ArrowBatch>()?)?;
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

impl SessionWindows {
    fn look_at_clock(&mut self) -> Result<(), OperatorError> {
        if self.spec.processing_time
            && let Some(state) = &mut self.state
        {
            self.next_time = state.timers.service(&mut state.backend)?.next_timestamp(TimeDomain::Processing);
        }
        Ok(())
    }

    /// Puts rows into their sessions.
    fn add(&mut self, batch: &ArrowBatch) -> Result<(), OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let rows = batch.records.num_rows();
        let columns = batch.records.columns();
        let now = state.clock.now();
        let mut ordered: Vec<(u32, u32, i64)> = Vec::with_capacity(rows);
        self.groups.find(columns, &self.spec.keys, rows);
        let groups = &self.groups;
        let times = columns
            .get(self.spec.time)
            .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
        for row in 0..rows {
            let time = match times {
                _ if self.spec.processing_time => now,
                Some(times) if times.is_valid(row) => times.value(row),
                _ => {
                    return Err(OperatorError::new(
                        "TM-SQL-ROWTIME",
                        Fault::User,
                        "the event time of a row is NULL: windows need one, filter such rows out",
                    ));
                }
            };
            let place = u32::try_from(row).unwrap_or(u32::MAX);
            ordered.push((groups.of_row[row], place, self.local.local(time)));
        }
        // In the order in which they came: whether a row is late depends on what came before it.
        ordered.sort_by_key(|(group, _, _)| *group);
        let arguments = self
            .functions
            .all()
            .iter()
            .map(|function| Argument::new(function, columns))
            .collect::<Result<Vec<_>, _>>()?;
        let reached = if self.spec.processing_time { i64::MIN } else { self.watermark };
        let local = &self.local;
        let is_late = |end: i64| local.moment(end - 1) <= reached;
        let functions = &self.functions;
        let (gap, keeps_rows) = (self.spec.gap, self.keeps_rows);
        let mut late = 0;
        // Sessions that begin, by key; those whose rows go to another; rows with the name of their session.
        let mut begun: Vec<(u32, i64)> = Vec::new();
        let mut merged: Vec<(u32, i64, i64)> = Vec::new();
        let mut taken: Vec<(u32, u32, i64)> = Vec::new();
        let mut empty: Vec<usize> = Vec::new();
        let update = |slots: Slots<'_>, values: &mut [Vec<Session>]| -> Result<(), OperatorError> {
            for (group, row, time) in &ordered {
                let sessions = &mut values[slots.slots[*group as usize] as usize];
                let Some(index) =
                    session_of(sessions, *time, gap, is_late, functions, |event| match event {
                        Event::Begun(end) => begun.push((*group, end)),
                        Event::Merged(into, from) => merged.push((*group, into, from)),
                    })?
                else {
                    late += 1;
                    continue;
                };
                let (_, _, name, accumulators) = &mut sessions[index];
                if keeps_rows {
                    taken.push((*group, *row, *name));
                    continue;
                }
                functions.add_rows(accumulators, 1);
                for (function, argument) in functions.all().iter().zip(&arguments) {
                    function.accumulate(&mut accumulators.0, argument, *row as usize, false)?;
                }
            }
            // Keys of which all rows have come too late.
            let is_empty = |group: &usize| values[slots.slots[*group] as usize].is_empty();
            empty.extend((0..slots.slots.len()).filter(is_empty));
            Ok(())
        };
        let keys = KeyBatch::new(&groups.hashes, &groups.keys)?;
        state.sessions.update_batch(&mut state.backend, &keys, |_| Vec::new(), update)??;
        if late > 0 {
            state.late.add(late);
        }
        for group in empty {
            state.backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
            state.sessions.clear(&mut state.backend)?;
        }
        let domain = if self.spec.processing_time { TimeDomain::Processing } else { TimeDomain::Event };
        for (group, end) in begun {
            let group = group as usize;
            let due = self.local.moment(end - 1);
            let timers = state.timers.service(&mut state.backend)?;
            timers.register(domain, due, (&groups.keys[group], groups.hashes[group]), &())?;
        }
        if keeps_rows {
            let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
            let writer = RowWriter::new(&data, false);
            let mut scratch = Vec::new();
            let (mut hashes, mut keys, mut names, mut rows): (Vec<u64>, Vec<Row>, Vec<i64>, Vec<Row>) =
                Default::default();
            for (group, row, name) in taken {
                hashes.push(groups.hashes[group as usize]);
                keys.push(groups.keys[group as usize].clone());
                names.push(name);
                rows.push(writer.row(row as usize, &mut scratch));
            }
            let keys = KeyBatch::with_namespaces(&hashes, &keys, Namespaces::Each(&names))?;
            state.rows.append_batch(&mut state.backend, &keys, &mut rows)?;
            // Behind the rows: some of them may have gone to what was merged later.
            for (group, into, from) in merged {
                let group = group as usize;
                state.backend.set_current_key(&groups.keys[group], groups.hashes[group])?;
                state.rows.merge_namespaces(&mut state.backend, &into, &[from])?;
            }
        }
        Ok(())
    }

    /// Says what comes out of sessions that end up to `time`; answers whether there are more.
    fn fire(&mut self, domain: TimeDomain, time: i64, out: &mut Output) -> Result<bool, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let mut ended = Ended::new(&self.spec, &self.functions);
        let mut fired = 0;
        while fired < TIMERS_A_CALL && ended.windows.len() < ROWS_A_CALL {
            let Some(timer) = state.timers.pop_due(&mut state.backend, domain, time)? else { break };
            fired += 1;
            let Some(mut sessions) = state.sessions.get(&mut state.backend)? else { continue };
            let open = sessions
                .split_off(sessions.partition_point(|session| self.local.moment(session.1 - 1) <= time));
            if let Some(next) = open.first() {
                let due = self.local.moment(next.1 - 1);
                state.timers.register(&mut state.backend, domain, due, &())?;
            }
            if sessions.is_empty() {
                continue;
            }
            if open.is_empty() {
                state.sessions.clear(&mut state.backend)?;
            } else {
                state.sessions.update(&mut state.backend, open)?;
            }
            for (start, end, name, accumulators) in sessions {
                if self.keeps_rows {
                    let rows = state.rows.get_in(&mut state.backend, &name)?;
                    state.rows.clear_in(&mut state.backend, &name)?;
                    ended.push_rows(&self.functions, &timer.key, &rows, (start, end))?;
                } else {
                    ended.push(&self.functions, &timer.key, &accumulators, (start, end))?;
                }
            }
        }
        let is_full = fired == TIMERS_A_CALL || ended.windows.len() >= ROWS_A_CALL;
        if let Some(batch) = ended.finish(&self.spec, &self.local)? {
            out.emit(Batch::new(batch));
        }
        Ok(is_full)
    }
}

/// What putting a row into a session did besides.
enum Event {
    /// A session began that ends then.
    Begun(i64),
    /// The rows of the second went to the first.
    Merged(i64, i64),
}

/// The place of the session that a row at `time` belongs to; none when it comes too late.
fn session_of(
    sessions: &mut Vec<Session>,
    time: i64,
    gap: i64,
    is_late: impl Fn(i64) -> bool,
    functions: &Functions,
    mut note: impl FnMut(Event),
) -> Result<Option<usize>, OperatorError> {
    let end = time.saturating_add(gap);
    // Those that touch the row's own window. They are apart from each other, so ends are in order too.
    let first = sessions.partition_point(|session| session.1 < time);
    let last = first + sessions[first..].partition_point(|session| session.0 <= end);
    if first == last {
        if is_late(end) {
            return Ok(None);
        }
        note(Event::Begun(end));
        sessions.insert(first, (time, end, time, functions.empty()));
        return Ok(Some(first));
    }
    for (_, until, name, accumulators) in sessions.drain(first + 1..last).collect::<Vec<_>>() {
        let into = &mut sessions[first];
        into.1 = into.1.max(until);
        functions.merge(&mut into.3, &accumulators)?;
        note(Event::Merged(into.2, name));
    }
    let session = &mut sessions[first];
    session.0 = session.0.min(time);
    session.1 = session.1.max(end);
    Ok(Some(first))
}

/// What comes out of sessions that have ended.
struct Ended {
    keys: RowReader,
    results: Results,
    rows: RowReader,
    windows: Vec<(i64, i64)>,
}

impl Ended {
    fn new(spec: &SessionSpec, functions: &Functions) -> Self {
        let types = spec.keys.iter().map(|key| spec.input.field(*key).data_type());
        Self {
            keys: RowReader::of_types(types),
            results: functions.results(),
            rows: RowReader::new(&spec.input),
            windows: Vec::new(),
        }
    }

    fn push(
        &mut self,
        functions: &Functions,
        key: &Row,
        accumulators: &Accumulators,
        window: (i64, i64),
    ) -> Result<(), OperatorError> {
        self.keys.push(key.bytes())?;
        self.results.push(functions, accumulators)?;
        self.windows.push(window);
        Ok(())
    }

    /// The rows of a session, or what functions make of them.
    fn push_rows(
        &mut self,
        functions: &Functions,
        key: &Row,
        rows: &[Row],
        window: (i64, i64),
    ) -> Result<(), OperatorError> {
        for row in rows {
            self.rows.push(row.bytes())?;
        }
        if functions.all().is_empty() {
            self.windows.extend(rows.iter().map(|_| window));
            return Ok(());
        }
        let columns = self.rows.finish()?;
        let accumulators = aggregated(functions, &columns, rows.len())?;
        self.push(functions, key, &accumulators, window)
    }

    fn finish(mut self, spec: &SessionSpec, local: &LocalClock) -> Result<Option<ArrowBatch>, OperatorError> {
        if self.windows.is_empty() {
            return Ok(None);
        }
        let mut columns: Vec<ArrayRef> = match spec.calls {
            Some(_) => self.keys.finish()?,
            None => self.rows.finish()?,
        };
        columns.extend(self.results.finish()?);
        for part in 0..3 {
            let values = self.windows.iter().map(|(start, end)| match part {
                0 => *start,
                1 => *end,
                _ => local.moment(end - 1),
            });
            let array = TimestampMillisecondArray::from_iter_values(values);
            let data_type = spec.output.field(columns.len()).data_type().clone();
            columns.push(Arc::new(array.with_data_type(data_type)));
        }
        let kinds = vec![RowKind::Insert; self.windows.len()];
        Ok(Some(changes(&spec.output, columns, kinds)?))
    }
}

/// The accumulators of all rows of `columns`.
fn aggregated(
    functions: &Functions,
    columns: &[ArrayRef],
    rows: usize,
) -> Result<Accumulators, OperatorError> {
    let mut accumulators = functions.empty();
    functions.add_rows(&mut accumulators, i64::try_from(rows).unwrap_or(i64::MAX));
    for function in functions.all() {
        let argument = Argument::new(function, columns)?;
        let data = column_data(columns, &function.call.arguments);
        let writer = RowWriter::new(&data, true);
        let (mut seen, mut scratch) = (std::collections::HashSet::new(), Vec::new());
        for row in 0..rows {
            if function.call.distinct && !(argument.counts(row) && seen.insert(writer.row(row, &mut scratch)))
            {
                continue;
            }
            function.accumulate(&mut accumulators.0, &argument, row, false)?;
        }
    }
    Ok(accumulators)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(times: &[i64], gap: i64, reached: i64) -> (Vec<(i64, i64)>, usize) {
        let functions = Functions::new(&[]);
        let mut sessions = Vec::new();
        let mut late = 0;
        for time in times {
            let found =
                session_of(&mut sessions, *time, gap, |end| end - 1 <= reached, &functions, |_| {}).unwrap();
            late += usize::from(found.is_none());
        }
        (sessions.iter().map(|session| (session.0, session.1)).collect(), late)
    }

    #[test]
    fn rows_that_touch_belong_together() {
        assert_eq!(sessions(&[0, 10, 21], 10, i64::MIN), (vec![(0, 20), (21, 31)], 0));
        // One between two sessions joins them.
        assert_eq!(sessions(&[0, 30, 15, 20], 10, i64::MIN), (vec![(0, 10), (15, 40)], 0));
        assert_eq!(sessions(&[0, 30, 15, 20, 8], 10, i64::MIN), (vec![(0, 40)], 0));
        // In front of a session.
        assert_eq!(sessions(&[20, 12], 10, i64::MIN), (vec![(12, 30)], 0));
    }

    #[test]
    fn a_late_row_is_taken_only_into_an_open_session() {
        assert_eq!(sessions(&[5], 10, 14), (vec![], 1));
        assert_eq!(sessions(&[5], 10, 13), (vec![(5, 15)], 0));
        assert_eq!(sessions(&[14, 4], 10, 14), (vec![(4, 24)], 0));
    }
}
