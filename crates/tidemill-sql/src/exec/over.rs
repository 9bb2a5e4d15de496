//! Functions of `OVER`: for each row a result over the rows before it, in the order of a time attribute.
//!
//! In event time rows wait until the watermark has reached them, in lists by key and time, with a timer each. What comes due is computed a
//! batch at a time over columns. Accumulators hold what is in the frame of a key's last row; where a frame ends, the
//! rows in it are kept too, to be taken back when they leave it. Functions that cannot take back read their frame again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::{Schema, SchemaRef};
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{
    Clock, KeyBatch, KeyedStateBackend, ListState, ListStateDescriptor, NO_SLOT, Namespaces, StateTtlConfig,
    SubtaskSnapshot, TimeDomain, Timers,
};

use super::event_time;
use super::groups::Groups;
use super::output::not_open;
use super::over_frame::{Entry, OverCalls};
use super::over_kept::Frames;
use super::row::{Row, RowReader, RowWriter};
use crate::expr::compile::record_batch;
use crate::plan::{Frame, OverCall};

/// Functions over the same rows around each row.
#[derive(Clone, Debug)]
pub(crate) struct OverSpec {
    pub(crate) input: SchemaRef,
    pub(crate) partition: Vec<usize>,
    /// The column of event time, or none for the order of arrival.
    pub(crate) time: Option<usize>,
    pub(crate) frame: Frame,
    pub(crate) calls: Vec<OverCall>,
    /// The columns of the input, then a result of each function.
    pub(crate) output: SchemaRef,
    pub(crate) ttl: Option<StateTtlConfig>,
}

impl OperatorFactory for OverSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(Over {
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
    /// Rows whose time has not come yet, by their time.
    pending: ListState<Row, i64>,
    timers: Timers<()>,
    frames: Frames,
    clock: Arc<dyn Clock>,
    late: Arc<Counter>,
}

struct Over {
    spec: OverSpec,
    groups: Groups,
    watermark: i64,
    /// When the clock has to be looked at, in processing time.
    next_time: Option<Timestamp>,
    state: Option<State>,
}

/// Times of keys that one call computes.
const TIMES_A_CALL: usize = 4096;

impl Operator for Over {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut backend = context.keyed_state::<Row>(restored.as_ref())?;
        self.watermark = event_time::restored(restored.as_ref())?;
        let pending = backend.register_list(ListStateDescriptor::new("pending"))?;
        let timers = backend.register_timers("times")?;
        let calls = OverCalls::new(&self.spec.calls, &self.spec.input);
        let frames = Frames::open(&mut backend, calls, &self.spec.frame, self.spec.ttl.as_ref())?;
        self.state = Some(State {
            backend,
            pending,
            timers,
            frames,
            clock: Arc::clone(&context.clock),
            late: context.metrics.counter("numLateRecordsDropped"),
        });
        self.look_at_clock()
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let batch = batch.downcast_ref::<ArrowBatch>()?;
        match self.spec.time {
            Some(time) => self.wait(batch, time)?,
            None => {
                out.emit(Batch::new(self.arrived(batch)?));
                self.look_at_clock()?;
            }
        }
        Ok(Progress::Done)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.watermark = self.watermark.max(watermark.0);
        if self.spec.time.is_some() && self.fire(watermark.0, out)? {
            return Ok(Progress::More);
        }
        out.watermark(watermark);
        Ok(Progress::Done)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.next_time
    }

    fn processing_time(&mut self, now: Timestamp, _: &mut Output) -> Result<Progress, OperatorError> {
        let more = self.forget_idle(now)?;
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

impl State {
    /// Forgets the keys of `idle`, whose time it was to be looked at, when all their rows have left a range; and sees to it that those of
    /// `entries`, which have come, are looked at when all of them will have.
    fn forget(
        &mut self,
        frame: &Frame,
        domain: TimeDomain,
        entries: &[Entry],
        idle: &[(usize, i64)],
        (hashes, keys): (&[u64], &[Row]),
    ) -> Result<(), OperatorError> {
        let Frame::Range(Some(width)) = frame else { return Ok(()) };
        let mut last: BTreeMap<u32, i64> = BTreeMap::new();
        for entry in entries {
            let last = last.entry(entry.group).or_insert(entry.time);
            *last = entry.time.max(*last);
        }
        let timers = self.timers.service(&mut self.backend)?;
        for (group, time) in last {
            if let Some(out_of_range) = time.checked_add(*width).and_then(|time| time.checked_add(1)) {
                let of = (&keys[group as usize], hashes[group as usize]);
                timers.register(domain, out_of_range, of, &())?;
            }
        }
        for (group, time) in idle {
            self.backend.set_current_key(&keys[*group], hashes[*group])?;
            self.frames.forget(&mut self.backend, time.saturating_sub(*width))?;
        }
        Ok(())
    }
}

impl Over {
    fn look_at_clock(&mut self) -> Result<(), OperatorError> {
        if self.spec.time.is_none()
            && let Some(state) = &mut self.state
        {
            self.next_time = state.timers.service(&mut state.backend)?.next_timestamp(TimeDomain::Processing);
        }
        Ok(())
    }

    /// Forgets keys of which nothing has come for as long as a range is, by the clock; answers whether there are more.
    fn forget_idle(&mut self, now: i64) -> Result<bool, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let (mut hashes, mut keys, mut idle) = (Vec::new(), Vec::new(), Vec::new());
        while idle.len() < TIMES_A_CALL {
            let timers = state.timers.service(&mut state.backend)?;
            let Some(timer) = timers.pop_due(TimeDomain::Processing, now)? else { break };
            idle.push((keys.len(), timer.timestamp));
            hashes.push(timer.hash);
            keys.push(timer.key);
        }
        state.forget(&self.spec.frame, TimeDomain::Processing, &[], &idle, (&hashes, &keys))?;
        Ok(idle.len() == TIMES_A_CALL)
    }

    /// Keeps rows until their time comes.
    fn wait(&mut self, batch: &ArrowBatch, time: usize) -> Result<(), OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let columns = batch.records.columns();
        let rows = batch.records.num_rows();
        let times = columns
            .get(time)
            .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>())
            .ok_or_else(|| {
                OperatorError::new("TM-SQL-OPERATOR", Fault::Internal, "OVER without a column of time")
            })?;
        if times.null_count() > 0 {
            return Err(OperatorError::new(
                "TM-SQL-ROWTIME",
                Fault::User,
                "the event time of a row is NULL: OVER orders by it, filter such rows out",
            ));
        }
        self.groups.find(columns, &self.spec.partition, rows);
        let groups = &self.groups;
        // A frame that ends may take what has come late but not behind what its key has seen, as in Flink.
        let reached = match self.spec.frame {
            Frame::Range(None) | Frame::Rows(None) => vec![self.watermark; groups.len()],
            _ => {
                let mut reached = vec![i64::MIN; groups.len()];
                let keys = KeyBatch::new(&groups.hashes, &groups.keys)?;
                state.frames.accumulators.read_batch(&mut state.backend, &keys, |slots, values| {
                    for (group, slot) in slots.iter().enumerate().filter(|(_, slot)| **slot != NO_SLOT) {
                        reached[group] = values[*slot as usize].1;
                    }
                })?;
                reached
            }
        };
        let data: Vec<_> = columns.iter().map(|column| column.to_data()).collect();
        let writer = RowWriter::new(&data, false);
        let mut scratch = Vec::new();
        let mut waiting: (Vec<u64>, Vec<Row>, Vec<i64>, Vec<Row>) = Default::default();
        let mut late = 0;
        for row in 0..rows {
            let (group, time) = (groups.of_row[row] as usize, times.value(row));
            if time <= reached[group] {
                late += 1;
                continue;
            }
            waiting.0.push(groups.hashes[group]);
            waiting.1.push(groups.keys[group].clone());
            waiting.2.push(time);
            waiting.3.push(writer.row(row, &mut scratch));
        }
        if late > 0 {
            state.late.add(late);
        }
        let timers = state.timers.service(&mut state.backend)?;
        for (index, hash) in waiting.0.iter().enumerate() {
            timers.register(TimeDomain::Event, waiting.2[index], (&waiting.1[index], *hash), &())?;
        }
        let keys = KeyBatch::with_namespaces(&waiting.0, &waiting.1, Namespaces::Each(&waiting.2))?;
        state.pending.append_batch(&mut state.backend, &keys, &mut waiting.3)?;
        Ok(())
    }

    /// Computes rows in the order in which they come.
    fn arrived(&mut self, batch: &ArrowBatch) -> Result<ArrowBatch, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let columns = batch.records.columns();
        self.groups.find(columns, &self.spec.partition, batch.records.num_rows());
        let time = state.clock.now();
        let of_row = self.groups.of_row.iter().enumerate();
        let mut entries: Vec<Entry> = of_row
            .map(|(row, group)| Entry { group: *group, row: u32::try_from(row).unwrap_or(u32::MAX), time })
            .collect();
        if matches!(self.spec.frame, Frame::Range(Some(_))) {
            // What has come together is equal in time: the rows of a key are computed together.
            entries.sort_by_key(|entry| entry.group);
        }
        let keys = KeyBatch::new(&self.groups.hashes, &self.groups.keys)?;
        let groups = &self.groups;
        let key_of = |group: usize| (groups.keys[group].clone(), groups.hashes[group]);
        let results = state.frames.compute(&mut state.backend, columns, &entries, &keys, key_of)?;
        let of = (&groups.hashes[..], &groups.keys[..]);
        state.forget(&self.spec.frame, TimeDomain::Processing, &entries, &[], of)?;
        let places: UInt32Array = entries.iter().map(|entry| Some(entry.row)).collect();
        let mut all = Vec::with_capacity(columns.len() + results.len());
        for column in columns {
            all.push(arrow_select::take::take(column, &places, None).map_err(|error| failed(&error))?);
        }
        all.extend(results);
        inserts(&self.spec.output, all, entries.len())
    }

    /// Computes the rows whose time has come; answers whether there are more.
    fn fire(&mut self, watermark: i64, out: &mut Output) -> Result<bool, OperatorError> {
        let Some(state) = &mut self.state else { return Err(not_open()) };
        let mut group_of: HashMap<Row, u32> = HashMap::new();
        let (mut hashes, mut keys): (Vec<u64>, Vec<Row>) = Default::default();
        // One for each time of a key.
        let mut due: (Vec<u64>, Vec<Row>, Vec<i64>, Vec<u32>) = Default::default();
        while due.0.len() < TIMES_A_CALL {
            let timers = state.timers.service(&mut state.backend)?;
            let Some(timer) = timers.pop_due(TimeDomain::Event, watermark)? else { break };
            let group = *group_of.entry(timer.key.clone()).or_insert_with(|| {
                hashes.push(timer.hash);
                keys.push(timer.key.clone());
                u32::try_from(keys.len() - 1).unwrap_or(u32::MAX)
            });
            due.0.push(timer.hash);
            due.1.push(timer.key);
            due.2.push(timer.timestamp);
            due.3.push(group);
        }
        if due.0.is_empty() {
            return Ok(false);
        }
        let mut reader = RowReader::new(&self.spec.input);
        let mut entries: Vec<Entry> = Vec::new();
        let mut is_empty = vec![true; due.0.len()];
        let mut damage = None;
        let lists = KeyBatch::with_namespaces(&due.0, &due.1, Namespaces::Each(&due.2))?;
        state.pending.read_batch(&mut state.backend, &lists, |index, rows| {
            is_empty[index] &= rows.is_empty();
            for row in rows {
                if let Err(error) = reader.push(row.bytes()) {
                    damage.get_or_insert(error);
                    continue;
                }
                let row = u32::try_from(reader.rows() - 1).unwrap_or(u32::MAX);
                entries.push(Entry { group: due.3[index], row, time: due.2[index] });
            }
        })?;
        if let Some(error) = damage {
            return Err(error.into());
        }
        for index in (0..due.0.len()).filter(|index| !is_empty[*index]) {
            state.backend.set_current_key(&due.1[index], due.0[index])?;
            state.pending.clear_in(&mut state.backend, &due.2[index])?;
        }
        let mut columns: Vec<ArrayRef> = reader.finish()?;
        let batch = KeyBatch::new(&hashes, &keys)?;
        let key_of = |group: usize| (keys[group].clone(), hashes[group]);
        let results = state.frames.compute(&mut state.backend, &columns, &entries, &batch, key_of)?;
        columns.extend(results);
        if !entries.is_empty() {
            out.emit(Batch::new(inserts(&self.spec.output, columns, entries.len())?));
        }
        let idle = (0..due.0.len()).filter(|index| is_empty[*index]);
        let idle: Vec<(usize, i64)> = idle.map(|index| (due.3[index] as usize, due.2[index])).collect();
        state.forget(&self.spec.frame, TimeDomain::Event, &entries, &idle, (&hashes, &keys))?;
        Ok(due.0.len() == TIMES_A_CALL)
    }
}

fn inserts(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<ArrowBatch, OperatorError> {
    Ok(ArrowBatch {
        records: record_batch(schema, columns, rows)?,
        kinds: None,
        timestamps: Vec::new(),
        hashes: Vec::new(),
    })
}

fn failed(error: &arrow_schema::ArrowError) -> OperatorError {
    OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string())
}

/// The columns that functions read, in order, and what they are called by then: their places among these.
pub(super) fn columns_read(calls: &[OverCall]) -> Vec<usize> {
    let mut read = BTreeSet::new();
    for call in calls {
        match call {
            OverCall::Aggregate(call) => {
                read.extend(call.arguments.iter().copied());
                read.extend(call.filter);
            }
            OverCall::Lag { argument, .. } => {
                read.insert(*argument);
            }
            OverCall::RowNumber | OverCall::Rank | OverCall::DenseRank => {}
        }
    }
    read.into_iter().collect()
}

/// The schema of some columns of another.
pub(super) fn projected(schema: &SchemaRef, columns: &[usize]) -> SchemaRef {
    let fields: Vec<_> = columns.iter().filter_map(|column| schema.fields().get(*column).cloned()).collect();
    Arc::new(Schema::new(fields))
}
