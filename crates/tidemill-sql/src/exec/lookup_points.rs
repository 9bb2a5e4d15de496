//! Joins with rows of a table that is asked for them, key by key, while the job runs.
//!
//! Rows whose keys are not in the cache wait in a [`Flight`]. Of each batch the distinct keys that nobody has asked for yet are asked
//! for together. Rows that wait are part of the snapshot and are asked for anew after a restart. Nothing is waited for on the
//! thread of the task, so a job can be cancelled while a lookup hangs.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use hashbrown::{HashMap, HashSet};
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::metrics::{Counter, Gauge};
use tidemill_runtime::source::{SplitStage, SplitStageFactory};
use tidemill_runtime::{
    BoxError, Operator, OperatorContext, OperatorError, OperatorFactory, OperatorWaker, Output, Progress,
    SnapshotContext,
};
use tidemill_state::{Clock, SubtaskSnapshot};

use super::bundle::{Dealt, Stored};
use super::edge::taken;
use super::lookup_cache::{CacheSettings, Found, LookupCache};
use super::lookup_flight::{Control, Flight, Released, Waiting};
use super::lookup_pairs::{PairSpec, Pairs, failed};
use super::lookup_threads::OnThreads;
use super::output::not_open;
use super::row::{Row, RowReader, RowWriter, column_data};
use super::scan::ScanStages;
use crate::expr::compile::record_batch;
use crate::lookup::{AsyncLookupFunction, LookupFunction, LookupReply, Make};

/// What is called.
#[derive(Clone)]
pub(crate) enum Calls {
    Blocking { make: Make<dyn LookupFunction>, threads: usize },
    Function(Make<dyn AsyncLookupFunction>),
}

impl Calls {
    fn function(&self) -> Box<dyn AsyncLookupFunction> {
        match self {
            Calls::Blocking { make, threads } => Box::new(OnThreads::new(Arc::clone(make), *threads)),
            Calls::Function(make) => make(),
        }
    }
}

/// How lookups are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PointSettings {
    /// What is said of calls that do not block; `None` is one call at a time, about all rows of a batch.
    pub(crate) asynchronous: Option<AsyncSettings>,
    /// How keys without rows are asked for again.
    pub(crate) retry: Option<RetryMisses>,
    /// How often calls that fail are made again.
    pub(crate) max_retries: u32,
    pub(crate) cache: Option<CacheSettings>,
}

/// How many lookups are under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AsyncSettings {
    pub(crate) ordered: bool,
    pub(crate) timeout: Duration,
    /// How many rows wait at most.
    pub(crate) capacity: usize,
}

impl Default for AsyncSettings {
    fn default() -> Self {
        Self { ordered: true, timeout: Duration::from_secs(180), capacity: 100 }
    }
}

/// `'retry-predicate' = 'lookup_miss'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RetryMisses {
    pub(crate) delay: Duration,
    /// How often, after the first time.
    pub(crate) attempts: u32,
}

/// A join with a table that is asked for rows.
#[derive(Clone)]
pub(crate) struct PointLookupSpec {
    pub(crate) calls: Calls,
    pub(crate) settings: PointSettings,
    pub(crate) left: SchemaRef,
    /// The columns of the left side that are looked up.
    pub(crate) keys: Vec<usize>,
    /// What keys are called when they are asked for, and their types.
    pub(crate) asked: SchemaRef,
    /// Where they are among the columns of the table.
    pub(crate) of_table: Vec<usize>,
    /// What becomes of the rows of the table.
    pub(crate) stages: ScanStages,
    /// Where keys are afterwards.
    pub(crate) of_right: Vec<usize>,
    pub(crate) right: SchemaRef,
    pub(crate) pairs: PairSpec,
}

impl OperatorFactory for PointLookupSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let pairs = Pairs::new(&self.pairs)?;
        Ok(Box::new(PointLookup { spec: self.clone(), pairs, opened: None, next_time: None }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

struct PointLookup {
    spec: PointLookupSpec,
    pairs: Pairs,
    opened: Option<Opened>,
    next_time: Option<Timestamp>,
}

/// A key that has been asked for.
struct Asked {
    since: Timestamp,
    /// How often it was asked for again because there were no rows.
    again: u32,
    waiting: Vec<Waiting>,
}

/// A call that has not been answered, or that is to be made again.
struct Call {
    keys: Vec<Row>,
    failures: u32,
}

type Answer = (u64, Result<RecordBatch, BoxError>);

struct Opened {
    function: Box<dyn AsyncLookupFunction>,
    stage: Box<dyn SplitStage>,
    answers: Receiver<Answer>,
    answer: Sender<Answer>,
    waker: OperatorWaker,
    clock: Arc<dyn Clock>,
    flight: Flight,
    asked: HashMap<Row, Asked>,
    calls: HashMap<u64, Call>,
    next_call: u64,
    /// Calls that are to be made again, by when.
    again: BTreeMap<(Timestamp, Reverse<u64>), Call>,
    /// When it is to be seen next whether something has taken too long.
    look_at: Option<Timestamp>,
    /// Restored rows that have not been asked for, for want of room.
    backlog: VecDeque<ArrowBatch>,
    cache: Option<LookupCache>,
    loads: Arc<Counter>,
    failures: Arc<Counter>,
    /// How long the last call took.
    latest: Arc<Gauge>,
}

/// How long a call that has failed waits before it is made again, times how often it has failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

fn after(now: Timestamp, delay: Duration) -> Timestamp {
    now.saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX))
}

fn lookup_failed(message: String) -> OperatorError {
    OperatorError::new("TM-SQL-LOOKUP", Fault::External, message)
}

impl PointSettings {
    /// How many rows may be waited for.
    fn capacity(&self) -> usize {
        self.asynchronous.as_ref().map_or(usize::MAX, |settings| settings.capacity)
    }
}

impl Opened {
    /// Whether more rows may come.
    fn has_room(&self, settings: &PointSettings) -> bool {
        match &settings.asynchronous {
            Some(settings) => self.flight.rows() < settings.capacity,
            None => self.flight.rows() == 0,
        }
    }

    /// Takes the first rows of a batch, as many as there is room for, and asks for their keys; answers how many.
    fn begin(&mut self, spec: &PointLookupSpec, batch: &ArrowBatch) -> Result<usize, OperatorError> {
        let room = spec.settings.capacity().saturating_sub(self.flight.rows());
        let all = batch.records.num_rows();
        let data = column_data(batch.records.columns(), &spec.keys);
        let keys = RowWriter::new(&data, true);
        let nothing: Found = Arc::new([]);
        let part = self.flight.next_part();
        let now = self.clock.now();
        let (mut known, mut new, mut scratch) = (Vec::with_capacity(all), Vec::new(), Vec::new());
        let mut waiting = 0;
        while known.len() < all && waiting < room {
            let row = known.len();
            if keys.has_null(row) {
                // NULL equals nothing.
                known.push(Some(Arc::clone(&nothing)));
                continue;
            }
            let key = keys.row(row, &mut scratch);
            let place = (part, u32::try_from(row).unwrap_or(u32::MAX));
            if let Some(asked) = self.asked.get_mut(&key) {
                asked.waiting.push(place);
            } else if let Some(found) = self.cache.as_mut().and_then(|cache| cache.get(&key, now)) {
                known.push(Some(found));
                continue;
            } else {
                new.push(key.clone());
                self.asked.insert(key, Asked { since: now, again: 0, waiting: vec![place] });
            }
            known.push(None);
            waiting += 1;
        }
        let taken = known.len();
        let rows = ArrowBatch {
            records: batch.records.slice(0, taken),
            kinds: batch.kinds.as_ref().map(|kinds| kinds[..taken].into()),
            timestamps: Vec::new(),
            hashes: Vec::new(),
        };
        self.flight.add(rows, known);
        if !new.is_empty()
            && let Some(settings) = &spec.settings.asynchronous
            && self.look_at.is_none()
        {
            self.look_at = Some(after(now, settings.timeout));
        }
        let most = self.function.most_keys(spec.settings.capacity()).max(1);
        let mut new = new.into_iter().peekable();
        while new.peek().is_some() {
            let keys = new.by_ref().take(most).collect();
            self.call(spec, Call { keys, failures: 0 })?;
        }
        Ok(taken)
    }

    fn call(&mut self, spec: &PointLookupSpec, call: Call) -> Result<(), OperatorError> {
        let mut reader = RowReader::new(&spec.asked);
        for key in &call.keys {
            reader.push(key.bytes())?;
        }
        let keys = record_batch(&spec.asked, reader.finish()?, call.keys.len())?;
        let number = self.next_call;
        self.next_call += 1;
        self.calls.insert(number, call);
        let (answer, waker) = (self.answer.clone(), self.waker.clone());
        self.loads.add(1);
        let (latest, clock, began) = (Arc::clone(&self.latest), Arc::clone(&self.clock), self.clock.now());
        self.function.lookup(
            keys,
            LookupReply::new(move |rows| {
                latest.set(clock.now().saturating_sub(began));
                // Nobody is left to take it when the operator has been closed.
                let _ = answer.send((number, rows));
                waker.wake();
            }),
        );
        Ok(())
    }

    fn take_answers(&mut self, spec: &PointLookupSpec) -> Result<(), OperatorError> {
        while let Ok((number, answer)) = self.answers.try_recv() {
            let Some(call) = self.calls.remove(&number) else { continue };
            match answer {
                Ok(rows) => self.answered(spec, call, rows)?,
                Err(error) => {
                    self.failures.add(1);
                    if call.failures >= spec.settings.max_retries {
                        return Err(lookup_failed(format!("a lookup has failed: {error}")));
                    }
                    let failures = call.failures + 1;
                    let due = after(self.clock.now(), AFTER_FAILURE.saturating_mul(failures));
                    self.try_again(due, Call { failures, ..call });
                }
            }
        }
        Ok(())
    }

    fn try_again(&mut self, due: Timestamp, call: Call) {
        let number = self.next_call;
        self.next_call += 1;
        self.again.insert((due, Reverse(number)), call);
    }

    fn answered(
        &mut self,
        spec: &PointLookupSpec,
        call: Call,
        rows: RecordBatch,
    ) -> Result<(), OperatorError> {
        let (wanted, got) = (spec.stages.input.fields(), rows.schema());
        if rows.num_columns() != wanted.len()
            || wanted.iter().zip(got.fields()).any(|(one, two)| one.data_type() != two.data_type())
        {
            return Err(OperatorError::new(
                "TM-SQL-LOOKUP",
                Fault::Internal,
                format!("a lookup was answered with columns {got:?}, asked for were {:?}", spec.stages.input),
            ));
        }
        let mut scratch = Vec::new();
        let known: HashSet<Row> = {
            let data = column_data(rows.columns(), &spec.of_table);
            let keys = RowWriter::new(&data, true);
            (0..rows.num_rows()).map(|row| keys.row(row, &mut scratch)).collect()
        };
        let (rows, _) = self.stage.process(Batch::new(ArrowBatch::inserts(rows)))?;
        let rows = &rows.downcast_ref::<ArrowBatch>()?.records;
        let (of_keys, of_rows) =
            (column_data(rows.columns(), &spec.of_right), column_data(rows.columns(), &all(&spec.right)));
        let (keys, values) = (RowWriter::new(&of_keys, true), RowWriter::new(&of_rows, false));
        let mut by_key: HashMap<Row, Vec<Row>> = HashMap::with_capacity(call.keys.len());
        for row in 0..rows.num_rows() {
            let key = keys.row(row, &mut scratch);
            by_key.entry(key).or_default().push(values.row(row, &mut scratch));
        }
        let now = self.clock.now();
        let mut missed = Vec::new();
        for key in call.keys {
            let is_missing = !known.contains(&key);
            let Some(asked) = self.asked.get_mut(&key) else { continue };
            if let Some(retry) = &spec.settings.retry
                && is_missing
                && asked.again < retry.attempts
            {
                asked.again += 1;
                missed.push(key);
                continue;
            }
            let found: Found = by_key.remove(&key).unwrap_or_default().into();
            if let Some(cache) = &mut self.cache {
                cache.put(&key, &found, is_missing, now);
            }
            let waiting = self.asked.remove(&key).map(|asked| asked.waiting).unwrap_or_default();
            waiting.into_iter().for_each(|place| self.flight.answer(place, &found));
        }
        if let Some(retry) = &spec.settings.retry
            && !missed.is_empty()
        {
            self.try_again(after(now, retry.delay), Call { keys: missed, failures: 0 });
        }
        Ok(())
    }

    fn check_time(&mut self, spec: &PointLookupSpec) -> Result<(), OperatorError> {
        if self.look_at.is_none() && self.again.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        if let Some(settings) = &spec.settings.asynchronous
            && self.look_at.is_some_and(|at| at <= now)
        {
            let oldest = self.asked.values().map(|asked| asked.since).min();
            self.look_at = oldest.map(|since| after(since, settings.timeout));
            if self.look_at.is_some_and(|at| at <= now) {
                return Err(OperatorError::new(
                    "TM-SQL-LOOKUP-TIMEOUT",
                    Fault::External,
                    format!(
                        "a lookup was not answered within {:?}: raise 'table.exec.async-lookup.timeout', or 'timeout' of the hint LOOKUP",
                        settings.timeout
                    ),
                ));
            }
        }
        while let Some(first) = self.again.first_entry()
            && first.key().0 <= now
        {
            let call = first.remove();
            self.call(spec, call)?;
        }
        Ok(())
    }

    /// Asks for restored rows, as far as there is room.
    fn refill(&mut self, spec: &PointLookupSpec) -> Result<(), OperatorError> {
        while self.has_room(&spec.settings)
            && let Some(batch) = self.backlog.pop_front()
        {
            let (taken, all) = (self.begin(spec, &batch)?, batch.records.num_rows());
            if taken < all {
                self.backlog.push_front(rest(&batch, taken));
            }
        }
        Ok(())
    }

    fn next_time(&self) -> Option<Timestamp> {
        let again = self.again.first_key_value().map(|((due, _), _)| *due);
        again.into_iter().chain(self.look_at).min()
    }
}

/// What is left of a batch of which the first rows were taken.
fn rest(batch: &ArrowBatch, taken: usize) -> ArrowBatch {
    ArrowBatch {
        records: batch.records.slice(taken, batch.records.num_rows() - taken),
        kinds: batch.kinds.as_ref().map(|kinds| kinds[taken..].into()),
        timestamps: Vec::new(),
        hashes: Vec::new(),
    }
}

fn all(schema: &SchemaRef) -> Vec<usize> {
    (0..schema.fields().len()).collect()
}

impl PointLookup {
    /// Takes what has come back, gives up what is too late, tries again what is due, and emits what may go on: up to a batch, then
    /// the answer is [`Progress::More`].
    fn drive(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        let Some(opened) = &mut self.opened else { return Err(not_open()) };
        opened.take_answers(&self.spec)?;
        opened.check_time(&self.spec)?;
        opened.refill(&self.spec)?;
        let progress = self.emit(out)?;
        if let Some(opened) = &mut self.opened {
            opened.refill(&self.spec)?;
        }
        self.note_time();
        Ok(progress)
    }

    fn note_time(&mut self) {
        self.next_time = self.opened.as_ref().and_then(Opened::next_time);
    }

    fn emit(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        let Some(opened) = &mut self.opened else { return Err(not_open()) };
        let enough = out.batch_records();
        let mut emitted = 0;
        while emitted < enough {
            match opened.flight.release(enough - emitted) {
                None => return Ok(Progress::Done),
                Some(Released::Control(Control::Watermark(watermark))) => out.watermark(watermark),
                Some(Released::Control(Control::Idle(idle))) => out.idle(idle),
                Some(Released::Rows { batch, rows, found }) => {
                    let mut reader = RowReader::new(&self.spec.right);
                    let (mut of_chosen, mut places) = (Vec::new(), Vec::new());
                    for (row, found) in (0_u32..).zip(&found) {
                        for of_table in found.iter() {
                            places.push(u32::try_from(reader.rows()).unwrap_or(u32::MAX));
                            of_chosen.push(row);
                            reader.push(of_table.bytes())?;
                        }
                    }
                    let joined = self.pairs.join(&batch, &rows, &reader.finish()?, (of_chosen, places))?;
                    emitted += joined.records.num_rows().max(rows.len());
                    if joined.records.num_rows() > 0 {
                        out.emit(Batch::new(joined));
                    }
                }
            }
        }
        Ok(if opened.flight.is_ready() { Progress::More } else { Progress::Done })
    }

    fn control(&mut self, control: Control, out: &mut Output) -> Result<Progress, OperatorError> {
        if self.drive(out)? == Progress::More {
            return Ok(Progress::More);
        }
        let Some(opened) = &mut self.opened else { return Err(not_open()) };
        if !opened.backlog.is_empty() {
            // The rows that came before have not all been asked for.
            return Ok(Progress::Wait);
        }
        opened.flight.control(control);
        self.emit(out)
    }
}

impl Operator for PointLookup {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let mut function = self.spec.calls.function();
        function.open().map_err(|error| lookup_failed(format!("lookups cannot be made: {error}")))?;
        let settings = &self.spec.settings;
        let stored = Stored::new(&self.spec.left, &[], Dealt::Anywhere);
        let backlog: VecDeque<ArrowBatch> = stored.read(context, restored.as_ref())?.into();
        if !backlog.is_empty() {
            // Rows that need no answer go on without one.
            context.waker.wake();
        }
        let (answer, answers) = channel();
        let ordered = settings.asynchronous.as_ref().is_none_or(|settings| settings.ordered);
        self.opened = Some(Opened {
            function,
            stage: self.spec.stages.create(),
            answers,
            answer,
            waker: context.waker.clone(),
            clock: Arc::clone(&context.clock),
            flight: Flight::new(ordered),
            asked: HashMap::new(),
            calls: HashMap::new(),
            next_call: 0,
            again: BTreeMap::new(),
            look_at: None,
            backlog,
            cache: settings.cache.as_ref().map(|settings| LookupCache::new(settings, context)),
            loads: context.metrics.counter("cache.loadCount"),
            failures: context.metrics.counter("cache.numLoadFailures"),
            latest: context.metrics.gauge("cache.latestLoadTime"),
        });
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        if self.drive(out)? == Progress::More {
            out.keep(batch);
            return Ok(Progress::More);
        }
        let Some(opened) = &mut self.opened else { return Err(not_open()) };
        let rows = batch.downcast_ref::<ArrowBatch>()?;
        if rows.records.num_rows() == 0 {
            return Ok(Progress::Done);
        }
        if !opened.backlog.is_empty() || !opened.has_room(&self.spec.settings) {
            out.keep(batch);
            return Ok(Progress::Wait);
        }
        let (taken, all) = (opened.begin(&self.spec, rows)?, rows.records.num_rows());
        self.note_time();
        if taken < all {
            out.keep(Batch::new(rest(rows, taken)));
            return Ok(Progress::More);
        }
        if self.emit(out)? == Progress::More {
            // What is known already does not wait for the next batch.
            out.keep(Batch::new(rest(rows, all)));
            return Ok(Progress::More);
        }
        Ok(Progress::Done)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.control(Control::Watermark(watermark), out)
    }

    fn idle(&mut self, idle: bool, out: &mut Output) -> Result<Progress, OperatorError> {
        self.control(Control::Idle(idle), out)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.next_time
    }

    fn processing_time(&mut self, _: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        self.drive(out)
    }

    fn woken(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.drive(out)
    }

    fn has_room(&self) -> bool {
        self.opened
            .as_ref()
            .is_none_or(|opened| opened.backlog.is_empty() && opened.has_room(&self.spec.settings))
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        if self.drive(out)? == Progress::More {
            return Ok(Progress::More);
        }
        let waits =
            self.opened.as_ref().is_some_and(|opened| opened.flight.rows() > 0 || !opened.backlog.is_empty());
        Ok(if waits { Progress::Wait } else { Progress::Done })
    }

    fn snapshot(&mut self, _: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        let Some(opened) = &self.opened else { return Ok(SubtaskSnapshot::default()) };
        let mut batches = Vec::new();
        for (batch, rows) in opened.flight.remaining() {
            if !rows.is_empty() {
                batches.push(taken(batch, &rows).map_err(failed)?);
            }
        }
        batches.extend(opened.backlog.iter().cloned());
        Stored::new(&self.spec.left, &[], Dealt::Anywhere).write(batches)
    }

    fn close(&mut self) {
        if let Some(mut opened) = self.opened.take() {
            opened.function.close();
        }
    }
}

#[cfg(test)]
mod tests;
