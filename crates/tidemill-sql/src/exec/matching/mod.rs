//! `MATCH_RECOGNIZE`: matches of a row pattern in the rows of each partition.
//!
//! Rows wait in state, by their time, until a watermark says that none before them follows; then those of each partition go
//! through the automaton of the pattern in order. What is kept of a partition between two calls are its matches that are not
//! whole yet, a few numbers each, and the rows from the first one of the earliest of them on; a partition without such matches
//! keeps nothing.

mod conditions;
mod heap;
mod measures;
mod nfa;
mod partition;
mod reads;
mod slots;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    Clock, KeyBatch, KeyedStateBackend, ListState, ListStateDescriptor, MapState, MapStateDescriptor,
    NO_SLOT, Namespaces, SubtaskSnapshot, TimeDomain, Timers, ValueState, ValueStateDescriptor,
};

use self::conditions::{Answers, Conditions};
use self::measures::Measures;
use self::nfa::Nfa;
use self::partition::{Found, Matcher, Partition};
use self::slots::{Numbers, Slots};
use super::groups::Groups;
use super::output::{changes, not_open};
use super::row::{Row, RowReader, RowWriter, column_data};
use crate::exec::event_time;
use crate::plan::{MatchSpec, TimeAttribute};

/// A row pattern over rows of some columns.
#[derive(Clone, Debug)]
pub(crate) struct MatchOperatorSpec {
    pub(crate) input: SchemaRef,
    pub(crate) spec: Arc<MatchSpec>,
    /// The columns of the partition, then the measures.
    pub(crate) output: SchemaRef,
}

impl OperatorFactory for MatchOperatorSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let spec = &self.spec;
        let matcher = Matcher {
            nfa: Nfa::new(spec.variables.iter().map(|variable| variable.times)),
            variables: spec.variables.iter().map(|variable| Arc::clone(&variable.name)).collect(),
            skip: spec.skip,
            within: spec.within,
        };
        Ok(Box::new(Match {
            conditions: Conditions::new(&spec.variables, &self.input)?,
            measures: Measures::new(&spec.measures, &self.input)?,
            matcher,
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
    /// The rows that wait, by their time.
    waiting: ListState<Row, i64>,
    partitions: ValueState<Partition>,
    /// The rows of matches that are not whole yet, by their numbers.
    rows: MapState<u64, Row>,
    /// When rows that wait are due, by their time.
    due: Timers<i64>,
    /// When matches run out of time.
    timeouts: Timers,
    clock: Arc<dyn Clock>,
    late: Arc<Counter>,
}

struct Match {
    spec: MatchOperatorSpec,
    matcher: Matcher,
    conditions: Conditions,
    measures: Measures,
    groups: Groups,
    watermark: i64,
    /// When something is due in processing time.
    next_time: Option<Timestamp>,
    state: Option<State>,
}

/// Rows that one call takes through the automaton, about, and partitions whose matches it lets run out of time.
const ROWS_A_CALL: usize = 8192;

/// Matches that come out in one batch.
const MATCHES_A_BATCH: usize = 8192;

impl Operator for Match {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        self.watermark = event_time::restored(restored.as_ref())?;
        let waiting = backend.register_list(ListStateDescriptor::new("waiting"))?;
        let partitions = backend.register_value(ValueStateDescriptor::new("partitions"))?;
        let rows = backend.register_map(MapStateDescriptor::new("rows"))?;
        let due = backend.register_timers("due")?;
        let timeouts = backend.register_timers("timeouts")?;
        self.state = Some(State {
            backend,
            waiting,
            partitions,
            rows,
            due,
            timeouts,
            clock: Arc::clone(&context.clock),
            late: context.metrics.counter("numLateRecordsDropped"),
        });
        self.look_at_clock()
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let rows = batch.downcast_ref::<ArrowBatch>()?;
        match self.spec.spec.time {
            TimeAttribute::Row => self.wait_for_watermark(rows)?,
            // Nothing but the order of arrival counts.
            TimeAttribute::Processing if self.spec.spec.order.len() == 1 => self.take_at_once(rows, out)?,
            TimeAttribute::Processing => self.wait_for_clock(rows)?,
        }
        self.look_at_clock()?;
        Ok(Progress::Done)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.watermark = self.watermark.max(watermark.0);
        if self.spec.spec.time == TimeAttribute::Row && self.fire(TimeDomain::Event, watermark.0, out)? {
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

impl Match {
    fn domain(&self) -> TimeDomain {
        match self.spec.spec.time {
            TimeAttribute::Row => TimeDomain::Event,
            TimeAttribute::Processing => TimeDomain::Processing,
        }
    }

    fn look_at_clock(&mut self) -> Result<(), OperatorError> {
        if self.spec.spec.time == TimeAttribute::Processing
            && let Some(state) = &mut self.state
        {
            let due = state.due.service(&mut state.backend)?.next_timestamp(TimeDomain::Processing);
            let timeout = state.timeouts.service(&mut state.backend)?.next_timestamp(TimeDomain::Processing);
            self.next_time = due.into_iter().chain(timeout).min();
        }
        Ok(())
    }

    fn wait_for_watermark(&mut self, batch: &ArrowBatch) -> Result<(), OperatorError> {
        let rows = batch.records.num_rows();
        let time = self.spec.spec.order.first().map_or(0, |key| key.column);
        let times = batch.records.columns().get(time);
        let times = times.and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
        let mut entries: Vec<(u32, i64)> = Vec::with_capacity(rows);
        let mut late = 0;
        for row in 0..rows {
            let Some(times) = times.filter(|times| !times.is_null(row)) else {
                return Err(OperatorError::new(
                    "TM-SQL-ROWTIME",
                    Fault::User,
                    "the event time of a row is NULL: MATCH_RECOGNIZE needs one, filter such rows out",
                ));
            };
            let time = times.value(row);
            if time <= self.watermark {
                late += 1;
            } else {
                entries.push((u32::try_from(row).unwrap_or(u32::MAX), time));
            }
        }
        if late > 0
            && let Some(state) = &self.state
        {
            state.late.add(late);
        }
        self.wait(batch, &entries, TimeDomain::Event, 0)
    }

    /// Rows of one millisecond are put in order when it is over.
    fn wait_for_clock(&mut self, batch: &ArrowBatch) -> Result<(), OperatorError> {
        let Some(state) = &self.state else { return Err(not_open()) };
        let now = state.clock.now();
        let rows = u32::try_from(batch.records.num_rows()).unwrap_or(u32::MAX);
        let entries: Vec<(u32, i64)> = (0..rows).map(|row| (row, now)).collect();
        self.wait(batch, &entries, TimeDomain::Processing, 1)
    }

    /// Keeps rows until `delay` behind their time.
    fn wait(
        &mut self,
        batch: &ArrowBatch,
        entries: &[(u32, i64)],
        domain: TimeDomain,
        delay: i64,
    ) -> Result<(), OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        if entries.is_empty() {
            return Ok(());
        }
        let columns = batch.records.columns();
        self.groups.find_entries(&column_data(columns, &self.spec.spec.partition), entries);
        let groups = &self.groups;
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let mut scratch = Vec::new();
        let mut rows: Vec<Row> =
            entries.iter().map(|(row, _)| writer.row(*row as usize, &mut scratch)).collect();
        let group = |entry: usize| groups.of_row[entry] as usize;
        let hashes: Vec<u64> = (0..entries.len()).map(|entry| groups.hashes[group(entry)]).collect();
        let keys: Vec<&Row> = (0..entries.len()).map(|entry| &groups.keys[group(entry)]).collect();
        let times: Vec<i64> = entries.iter().map(|(_, time)| *time).collect();
        let addresses = KeyBatch::with_namespaces(&hashes, &keys, Namespaces::Each(&times))?;
        state.waiting.append_batch(&mut state.backend, &addresses, &mut rows)?;
        for (index, key) in groups.keys.iter().enumerate() {
            let time = groups.namespaces[index];
            state.backend.set_current_key(key, groups.hashes[index])?;
            state.due.register(&mut state.backend, domain, time.saturating_add(delay), &time)?;
        }
        Ok(())
    }

    fn take_at_once(&mut self, batch: &ArrowBatch, out: &mut Output) -> Result<(), OperatorError> {
        let Some(state) = &self.state else { return Err(not_open()) };
        let now = state.clock.now();
        let columns = batch.records.columns();
        let rows = batch.records.num_rows();
        self.groups.find(columns, &self.spec.spec.partition, rows);
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let mut scratch = Vec::new();
        let mut slots = Slots::default();
        for row in 0..rows {
            let group = self.groups.of_row[row] as usize;
            let slot = slots.of(&self.groups.keys[group], self.groups.hashes[group]);
            slot.rows.push((now, writer.row(row, &mut scratch)));
        }
        self.take(slots, None, out)
    }

    /// Takes rows that are due and lets matches run out of time, up to `time`; answers whether there are more.
    fn fire(&mut self, domain: TimeDomain, time: i64, out: &mut Output) -> Result<bool, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let mut slots = Slots::default();
        let (mut rows, mut more, mut until) = (0, false, time);
        while let Some(timer) = state.due.pop_due(&mut state.backend, domain, time)? {
            let due = state.waiting.get_in(&mut state.backend, &timer.namespace)?;
            state.waiting.clear_in(&mut state.backend, &timer.namespace)?;
            rows += due.len();
            let slot = slots.of(&timer.key, timer.hash);
            slot.rows.extend(due.into_iter().map(|row| (timer.namespace, row)));
            if rows >= ROWS_A_CALL {
                // No match may run out of time at which rows still wait.
                (more, until) = (true, timer.namespace.saturating_sub(1));
                break;
            }
        }
        if self.matcher.within.is_some() {
            let mut over = 0;
            while let Some(timer) = state.timeouts.pop_due(&mut state.backend, domain, until)? {
                slots.of(&timer.key, timer.hash).timeout = Some(timer.timestamp);
                over += 1;
                if over >= ROWS_A_CALL {
                    more = true;
                    break;
                }
            }
        }
        // As in Flink, all that has run out of time by then has, whether or not its timer was the one.
        self.take(slots, self.matcher.within.map(|_| until), out)?;
        Ok(more)
    }

    /// Takes the rows of some partitions through the automaton.
    fn take(&mut self, mut slots: Slots, until: Option<i64>, out: &mut Output) -> Result<(), OperatorError> {
        if slots.all.is_empty() {
            return Ok(());
        }
        let (mut partitions, known) = self.partitions(&slots)?;
        let kept = self.kept(&slots, &partitions)?;
        let rows = slots.decode(&partitions, kept, &self.spec.input, &self.spec.spec.order)?;
        let looked = self.conditions.look(&rows)?;
        let mut found: Vec<(usize, Found)> = Vec::new();
        let mut of_slot: Vec<Found> = Vec::new();
        let mut answers = Answers::default();
        // Partitions with many rows first: those with a further row are always the first ones.
        let mut active: Vec<usize> = (0..slots.all.len()).collect();
        active.sort_by_key(|slot| std::cmp::Reverse(slots.all[*slot].rows.len()));
        for wave in 0.. {
            let with_row = active.partition_point(|slot| slots.all[*slot].rows.len() > wave);
            active.truncate(with_row);
            if active.is_empty() {
                break;
            }
            for slot in &active {
                let (time, partition) = (slots.all[*slot].rows[wave].0, &mut partitions[*slot]);
                self.matcher.advance(partition, time, &mut of_slot)?;
                found.extend(of_slot.drain(..).map(|found| (*slot, found)));
            }
            looked.ask(wave, &slots.all, &partitions, &active, &self.matcher, &mut answers)?;
            for (index, slot) in active.iter().enumerate() {
                let time = slots.all[*slot].rows[wave].0;
                let place = slots.all[*slot].place(partitions[*slot].next).unwrap_or_default();
                self.matcher.step(
                    &mut partitions[*slot],
                    time,
                    |run, variable| answers.holds(index, run, variable),
                    |run, variable| looked.accumulated(run, variable, place),
                    &mut of_slot,
                )?;
                found.extend(of_slot.drain(..).map(|found| (*slot, found)));
            }
        }
        for (index, slot) in slots.all.iter().enumerate() {
            if slot.timeout.is_some() {
                partitions[index].timer = None;
            }
            let Some(until) = until else { continue };
            self.matcher.advance(&mut partitions[index], until, &mut of_slot)?;
            found.extend(of_slot.drain(..).map(|found| (index, found)));
        }
        for found in found.chunks(MATCHES_A_BATCH) {
            self.say(found, &slots, &rows, out)?;
        }
        self.keep(&slots, partitions, &known)
    }

    /// The partitions of `slots`, and which of them are in state.
    fn partitions(&mut self, slots: &Slots) -> Result<(Vec<Partition>, Vec<bool>), OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let (hashes, keys) = slots.keys();
        let fresh = Partition::new(&self.matcher, self.conditions.empty());
        let batch = KeyBatch::new(&hashes, &keys)?;
        let found = state.partitions.read_batch(&mut state.backend, &batch, |slots, values| {
            let partition = |slot: &u32| match *slot {
                NO_SLOT => (fresh.clone(), false),
                slot => (values[slot as usize].clone(), true),
            };
            slots.iter().map(partition).unzip()
        })?;
        Ok(found)
    }

    /// The rows of earlier calls that conditions may read.
    fn kept(
        &mut self,
        slots: &Slots,
        partitions: &[Partition],
    ) -> Result<Vec<(usize, u64, Row)>, OperatorError> {
        let mut wanted: Vec<(usize, u64)> = Vec::new();
        for (index, partition) in partitions.iter().enumerate() {
            let mut numbers = Numbers::new();
            partition.runs().iter().for_each(|run| self.conditions.wanted(run, &mut numbers));
            wanted.extend(numbers.into_iter().map(|number| (index, number)));
        }
        let rows = self.stored(slots, &wanted)?;
        Ok(wanted.into_iter().zip(rows).map(|((slot, number), row)| (slot, number, row)).collect())
    }

    /// The rows with these slots and numbers, out of state.
    fn stored(&mut self, slots: &Slots, wanted: &[(usize, u64)]) -> Result<Vec<Row>, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let hashes: Vec<u64> = wanted.iter().map(|(slot, _)| slots.all[*slot].hash).collect();
        let keys: Vec<&Row> = wanted.iter().map(|(slot, _)| &slots.all[*slot].key).collect();
        let numbers: Vec<u64> = wanted.iter().map(|(_, number)| *number).collect();
        let mut rows = vec![Row::default(); wanted.len()];
        let mut is_missing = false;
        let batch = KeyBatch::new(&hashes, &keys)?;
        state.rows.get_batch(&mut state.backend, &batch, &numbers, |index, row| match row {
            Some(row) => rows[index] = row.clone(),
            None => is_missing = true,
        })?;
        if is_missing {
            return Err(OperatorError::new(
                "TM-SQL-MATCH-STATE",
                Fault::Internal,
                "a row of a match is not in state any more",
            ));
        }
        Ok(rows)
    }

    /// Says matches.
    fn say(
        &mut self,
        found: &[(usize, Found)],
        slots: &Slots,
        rows: &RecordBatch,
        out: &mut Output,
    ) -> Result<(), OperatorError> {
        if found.is_empty() {
            return Ok(());
        }
        let mut wanted: Vec<(usize, u64)> = Vec::new();
        for (slot, found) in found {
            let mut numbers = Numbers::new();
            self.measures.wanted(found, &mut numbers);
            let missing = numbers.into_iter().filter(|number| slots.all[*slot].place(*number).is_none());
            wanted.extend(missing.map(|number| (*slot, number)));
        }
        wanted.sort_unstable();
        wanted.dedup();
        let stored = self.stored(slots, &wanted)?;
        let further = wanted.into_iter().zip(stored).collect();
        let types = self.spec.spec.partition.iter().map(|key| self.spec.input.field(*key).data_type());
        let mut keys = RowReader::of_types(types);
        for (slot, _) in found {
            keys.push(slots.all[*slot].key.bytes())?;
        }
        let mut columns: Vec<ArrayRef> = keys.finish()?;
        columns.extend(self.measures.compute(found, slots, rows, further)?);
        let kinds = vec![RowKind::Insert; found.len()];
        out.emit(Batch::new(changes(&self.spec.output, columns, kinds)?));
        Ok(())
    }

    /// Keeps what is left of the partitions. `known` says which are in state.
    fn keep(
        &mut self,
        slots: &Slots,
        mut partitions: Vec<Partition>,
        known: &[bool],
    ) -> Result<(), OperatorError> {
        let domain = self.domain();
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let backend = &mut state.backend;
        let (mut kept_hashes, mut kept_keys, mut kept_rows) = (Vec::new(), Vec::new(), Vec::new());
        let (mut alive, mut gone) = (Vec::new(), Vec::new());
        for (index, (slot, partition)) in slots.all.iter().zip(&mut partitions).enumerate() {
            let needed = partition.first_needed();
            let stored = partition.base..slot.first();
            let first = needed.unwrap_or(partition.next);
            if known[index] && first > stored.start {
                backend.set_current_key(&slot.key, slot.hash)?;
                if first >= stored.end {
                    state.rows.clear(backend)?;
                } else {
                    for number in stored.start..first {
                        state.rows.remove(backend, &number)?;
                    }
                }
            }
            partition.base = first;
            for number in first.max(slot.first())..partition.next {
                let Some(row) = slot.row(number) else { continue };
                kept_hashes.push(slot.hash);
                kept_keys.push(&slot.key);
                kept_rows.push((number, row.clone()));
            }
            let timeout = partition.next_timeout(&self.matcher);
            if (timeout.is_some() && partition.timer.is_none())
                || (timeout.is_none() && partition.timer.is_some())
            {
                backend.set_current_key(&slot.key, slot.hash)?;
                match (timeout, partition.timer) {
                    (Some(timeout), _) => state.timeouts.register(backend, domain, timeout, &())?,
                    (None, Some(timer)) => state.timeouts.delete(backend, domain, timer, &())?,
                    (None, None) => {}
                }
                partition.timer = timeout;
            }
            match needed {
                Some(_) => alive.push(index),
                None if known[index] => gone.push(index),
                None => {}
            }
        }
        let batch = KeyBatch::new(&kept_hashes, &kept_keys)?;
        state.rows.put_batch(backend, &batch, &mut kept_rows)?;
        let addresses = |of: &[usize]| -> (Vec<u64>, Vec<&Row>) {
            of.iter().map(|slot| (slots.all[*slot].hash, &slots.all[*slot].key)).unzip()
        };
        let (hashes, keys) = addresses(&gone);
        state.partitions.clear_batch(backend, &KeyBatch::new(&hashes, &keys)?)?;
        let (hashes, keys) = addresses(&alive);
        let mut partitions: Vec<Option<Partition>> = partitions.into_iter().map(Some).collect();
        let mut values: Vec<Option<Partition>> = alive.iter().map(|slot| partitions[*slot].take()).collect();
        let fresh = Partition::new(&self.matcher, Vec::new());
        let update = |slots: tidemill_state::Slots<'_>, stored: &mut [Partition]| {
            for (slot, value) in slots.slots.iter().zip(&mut values) {
                if let Some(value) = value.take() {
                    stored[*slot as usize] = value;
                }
            }
        };
        state.partitions.update_batch(backend, &KeyBatch::new(&hashes, &keys)?, |_| fresh.clone(), update)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
