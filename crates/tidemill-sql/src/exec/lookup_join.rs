//! Joins with what a bounded table holds: it is read whole when the job starts, again when it starts again, and meanwhile as often as
//! its options say. It is read on a thread beside the task's and takes the place of what was read before as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use hashbrown::HashMap;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_core::time::Timestamp;
use tidemill_runtime::source::{ReaderStatus, Source, SourceOutput, SplitAssignment, SplitStageFactory};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, panics};
use tidemill_state::SubtaskSnapshot;

use super::lookup_pairs::{PairSpec, Pairs, failed};
use super::lookup_reload::Reload;
use super::output::{not_open, strict};
use super::row::{Row, RowWriter, column_data};
use super::scan::ScanStages;
use crate::expr::compile::record_batch;

/// A join with a table that is looked up.
#[derive(Clone)]
pub(crate) struct LookupJoinSpec {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) stages: ScanStages,
    pub(crate) keys: [Vec<usize>; 2],
    /// For each key whether NULL equals NULL.
    pub(crate) null_safe: Vec<bool>,
    pub(crate) right: SchemaRef,
    pub(crate) pairs: PairSpec,
    /// When the table is read again; `None` is never.
    pub(crate) reload: Option<Reload>,
}

impl OperatorFactory for LookupJoinSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let pairs = Pairs::new(&self.pairs)?;
        Ok(Box::new(LookupJoin {
            spec: self.clone(),
            pairs,
            table: None,
            context: None,
            reading: None,
            next: None,
        }))
    }
}

/// The rows of the table, and which of them have a key.
struct Table {
    columns: Vec<ArrayRef>,
    by_key: HashMap<Row, Vec<u32>>,
}

/// A table that is being read.
struct Reading {
    since: Timestamp,
    table: Receiver<Result<Table, OperatorError>>,
    /// Says that nobody wants the table any more.
    given_up: Arc<AtomicBool>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

struct LookupJoin {
    spec: LookupJoinSpec,
    pairs: Pairs,
    table: Option<Table>,
    context: Option<OperatorContext>,
    reading: Option<Reading>,
    /// When the table is to be read again.
    next: Option<Timestamp>,
}

/// Rows of the table that are read at once.
const ROWS_A_BATCH: usize = 8192;
/// Pairs of rows that are looked at in one call, about.
const PAIRS_A_CALL: usize = 1 << 15;

impl Operator for LookupJoin {
    fn open(&mut self, context: &OperatorContext, _: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        self.context = Some(context.clone());
        self.read()
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        self.take_table()?;
        let Some(table) = &self.table else {
            out.keep(batch);
            return Ok(Progress::Wait);
        };
        let rows = batch.downcast_ref::<ArrowBatch>()?;
        let all = rows.records.num_rows();
        let (joined, done) = join(&self.spec, &self.pairs, table, rows)?;
        if joined.records.num_rows() > 0 {
            out.emit(Batch::new(joined));
        }
        if done == all {
            return Ok(Progress::Done);
        }
        out.keep(Batch::new(ArrowBatch {
            records: rows.records.slice(done, all - done),
            kinds: rows.kinds.as_ref().map(|kinds| kinds[done..].into()),
            timestamps: Vec::new(),
            hashes: Vec::new(),
        }));
        Ok(Progress::More)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.next
    }

    fn processing_time(&mut self, now: Timestamp, _: &mut Output) -> Result<Progress, OperatorError> {
        if self.next.is_some_and(|next| next <= now) {
            self.next = None;
            self.read()?;
        }
        Ok(Progress::Done)
    }

    fn woken(&mut self, _: &mut Output) -> Result<Progress, OperatorError> {
        self.take_table()?;
        Ok(Progress::Done)
    }

    fn has_room(&self) -> bool {
        self.context.is_none() || self.table.is_some()
    }

    fn close(&mut self) {
        self.reading = None;
    }
}

impl LookupJoin {
    /// Begins to read the table.
    fn read(&mut self) -> Result<(), OperatorError> {
        let Some(context) = self.context.clone() else { return Err(not_open()) };
        let (sender, table) = channel();
        let given_up = Arc::new(AtomicBool::new(false));
        let since = context.clock.now();
        context.metrics.counter("cache.loadCount").add(1);
        let (spec, given_up_there) = (self.spec.clone(), Arc::clone(&given_up));
        panics::install_hook();
        let thread = std::thread::Builder::new().name("tidemill-lookup".to_owned());
        let started = thread.spawn(move || {
            panics::enter_task();
            let table = panics::catch(|| read(&spec, &context, &given_up_there));
            // Nobody is left to take it when the operator has been closed.
            let _ = sender.send(table.unwrap_or_else(|panic| Err(panic.error)));
            context.waker.wake();
        });
        started.map_err(|error| {
            let message = format!("the thread that reads a table cannot be started: {error}");
            OperatorError::new("TM-SQL-LOOKUP", Fault::External, message)
        })?;
        self.reading = Some(Reading { since, table, given_up });
        Ok(())
    }

    /// Takes the table when it has been read.
    fn take_table(&mut self) -> Result<(), OperatorError> {
        let (Some(reading), Some(context)) = (&self.reading, &self.context) else { return Ok(()) };
        let table = match reading.table.try_recv() {
            Ok(table) => table,
            Err(TryRecvError::Empty) => return Ok(()),
            Err(TryRecvError::Disconnected) => Err(not_open()),
        };
        let (began, ended) = (reading.since, context.clock.now());
        self.reading = None;
        if table.is_err() {
            context.metrics.counter("cache.numLoadFailures").add(1);
        }
        let table = table?;
        let rows = table.columns.first().map_or(0, |column| column.len());
        context.metrics.gauge("cache.latestLoadTime").set(ended.saturating_sub(began));
        context.metrics.gauge("cache.numCachedRecords").set(i64::try_from(rows).unwrap_or(i64::MAX));
        self.table = Some(table);
        self.next = self.spec.reload.as_ref().map(|reload| reload.next(began, ended));
        Ok(())
    }
}

/// Joins the first rows of a batch; answers how many.
fn join(
    spec: &LookupJoinSpec,
    pairs: &Pairs,
    table: &Table,
    batch: &ArrowBatch,
) -> Result<(ArrowBatch, usize), OperatorError> {
    let columns = batch.records.columns();
    let all = batch.records.num_rows();
    let of_keys = column_data(columns, &spec.keys[0]);
    let keys = RowWriter::new(&of_keys, true);
    let of_strict = column_data(columns, &strict(&spec.keys[0], &spec.null_safe));
    let strict_keys = RowWriter::new(&of_strict, true);
    let mut scratch = Vec::new();
    let (mut left, mut right): (Vec<u32>, Vec<u32>) = Default::default();
    let mut rows = Vec::new();
    while rows.len() < all && left.len() < PAIRS_A_CALL {
        let row = rows.len();
        let number = u32::try_from(row).unwrap_or(u32::MAX);
        let found = if strict_keys.has_null(row) {
            None
        } else {
            scratch.clear();
            keys.write(row, &mut scratch);
            table.by_key.get(&Row::of(&scratch))
        };
        for place in found.into_iter().flatten() {
            left.push(number);
            right.push(*place);
        }
        rows.push(number);
    }
    let joined = pairs.join(batch, &rows, &table.columns, (left, right))?;
    Ok((joined, rows.len()))
}

/// Reads the whole table.
fn read(
    spec: &LookupJoinSpec,
    context: &OperatorContext,
    given_up: &AtomicBool,
) -> Result<Table, OperatorError> {
    let mut splits = spec.source.create_enumerator(1, None)?;
    let mut reader = spec.source.create_reader(context)?;
    let mut stage = spec.stages.create();
    let mut batches: Vec<RecordBatch> = Vec::new();
    while !given_up.load(Ordering::Relaxed) {
        let mut out = SourceOutput::new(ROWS_A_BATCH);
        let status = reader.poll(&mut out)?;
        for (_, batch) in out.take().0 {
            let (batch, _) = stage.process(batch)?;
            let rows = batch.downcast_ref::<ArrowBatch>()?;
            batches.push(record_batch(
                &spec.right,
                rows.records.columns().to_vec(),
                rows.records.num_rows(),
            )?);
        }
        match status {
            ReaderStatus::Ready => {}
            ReaderStatus::NeedsSplit => match splits.next_split(0)? {
                SplitAssignment::Split(split) => reader.add_split(split)?,
                SplitAssignment::NoneYet | SplitAssignment::NoMore => reader.no_more_splits(),
            },
            ReaderStatus::End => break,
            ReaderStatus::Pending(_) => {
                return Err(OperatorError::new(
                    "TM-SQL-LOOKUP",
                    Fault::User,
                    "a table that is looked up waits for rows: only tables that are there as a whole can be",
                ));
            }
        }
    }
    reader.close();
    let all = arrow_select::concat::concat_batches(&spec.right, &batches).map_err(failed)?;
    let data = column_data(all.columns(), &spec.keys[1]);
    let keys = RowWriter::new(&data, true);
    let mut by_key: HashMap<Row, Vec<u32>> = HashMap::new();
    let mut scratch = Vec::new();
    let of_strict = column_data(all.columns(), &strict(&spec.keys[1], &spec.null_safe));
    let strict_keys = RowWriter::new(&of_strict, true);
    for row in 0..all.num_rows() {
        // NULL equals nothing.
        if !strict_keys.has_null(row) {
            let place = u32::try_from(row).unwrap_or(u32::MAX);
            by_key.entry(keys.row(row, &mut scratch)).or_default().push(place);
        }
    }
    Ok(Table { columns: all.columns().to_vec(), by_key })
}

#[cfg(test)]
mod tests;
