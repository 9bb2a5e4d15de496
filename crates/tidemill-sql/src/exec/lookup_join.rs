//! Joins with what a bounded table holds: it is read whole when the job starts, and again when it starts again.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use hashbrown::HashMap;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_runtime::source::{ReaderStatus, Source, SourceOutput, SplitAssignment, SplitStageFactory};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress};
use tidemill_state::SubtaskSnapshot;

use super::output::{not_open, strict};
use super::pair_condition::PairCondition;
use super::row::{Row, RowWriter, column_data};
use super::scan::ScanStages;
use crate::expr::Expr;
use crate::expr::compile::record_batch;

/// A join with a table that is looked up.
#[derive(Clone)]
pub(crate) struct LookupJoinSpec {
    /// Whether rows that find nothing come out too.
    pub(crate) is_left: bool,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) stages: ScanStages,
    pub(crate) keys: [Vec<usize>; 2],
    /// For each key whether NULL equals NULL.
    pub(crate) null_safe: Vec<bool>,
    pub(crate) right: SchemaRef,
    /// What must hold besides the keys being equal, over the columns of both sides.
    pub(crate) condition: Option<Expr>,
    pub(crate) both: SchemaRef,
}

impl OperatorFactory for LookupJoinSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let condition =
            self.condition.as_ref().map(|expr| PairCondition::new(expr, &self.both)).transpose()?;
        Ok(Box::new(LookupJoin { spec: self.clone(), condition, table: None }))
    }
}

/// The rows of the table, and which of them have a key.
struct Table {
    columns: Vec<ArrayRef>,
    by_key: HashMap<Row, Vec<u32>>,
}

struct LookupJoin {
    spec: LookupJoinSpec,
    condition: Option<PairCondition>,
    table: Option<Table>,
}

/// Rows of the table that are read at once.
const ROWS_A_BATCH: usize = 8192;
/// Pairs of rows that are looked at in one call, about.
const PAIRS_A_CALL: usize = 1 << 15;

impl Operator for LookupJoin {
    fn open(&mut self, context: &OperatorContext, _: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        self.table = Some(read(&self.spec, context)?);
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let batch = batch.downcast_ref::<ArrowBatch>()?;
        let all = batch.records.num_rows();
        let (joined, done) = self.join(batch)?;
        if joined.records.num_rows() > 0 {
            out.emit(Batch::new(joined));
        }
        if done == all {
            return Ok(Progress::Done);
        }
        out.keep(Batch::new(ArrowBatch {
            records: batch.records.slice(done, all - done),
            kinds: batch.kinds.as_ref().map(|kinds| kinds[done..].into()),
            timestamps: Vec::new(),
            hashes: Vec::new(),
        }));
        Ok(Progress::More)
    }
}

impl LookupJoin {
    /// Joins the first rows of a batch; answers how many.
    fn join(&self, batch: &ArrowBatch) -> Result<(ArrowBatch, usize), OperatorError> {
        let Some(table) = &self.table else { return Err(not_open()) };
        let columns = batch.records.columns();
        let all = batch.records.num_rows();
        let of_keys = column_data(columns, &self.spec.keys[0]);
        let keys = RowWriter::new(&of_keys, true);
        let of_strict = column_data(columns, &strict(&self.spec.keys[0], &self.spec.null_safe));
        let strict_keys = RowWriter::new(&of_strict, true);
        let mut scratch = Vec::new();
        let (mut left, mut right): (Vec<u32>, Vec<Option<u32>>) = Default::default();
        let mut done = 0;
        while done < all && left.len() < PAIRS_A_CALL {
            let row = u32::try_from(done).unwrap_or(u32::MAX);
            let found = if strict_keys.has_null(done) {
                None
            } else {
                scratch.clear();
                keys.write(done, &mut scratch);
                table.by_key.get(&Row::of(&scratch))
            };
            for place in found.into_iter().flatten() {
                left.push(row);
                right.push(Some(*place));
            }
            done += 1;
        }
        if let Some(condition) = &self.condition
            && !left.is_empty()
        {
            let of_right: Vec<u32> = right.iter().flatten().copied().collect();
            if let Some(holds) = condition.matches([(columns, &left), (&table.columns, &of_right)])? {
                let kept: Vec<usize> = (0..left.len()).filter(|pair| holds.value(*pair)).collect();
                left = kept.iter().map(|pair| left[*pair]).collect();
                right = kept.iter().map(|pair| right[*pair]).collect();
            }
        }
        if self.spec.is_left {
            (left, right) = with_unmatched(done, &left, &right);
        }
        let kinds = batch.kinds.as_ref().map(|kinds| left.iter().map(|row| kinds[*row as usize]).collect());
        let made = self.columns(columns, table, &left, &right)?;
        let records = record_batch(&self.spec.both, made, left.len())?;
        Ok((ArrowBatch { records, kinds, timestamps: Vec::new(), hashes: Vec::new() }, done))
    }

    fn columns(
        &self,
        columns: &[ArrayRef],
        table: &Table,
        left: &[u32],
        right: &[Option<u32>],
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        let (left, right) = (UInt32Array::from(left.to_vec()), UInt32Array::from(right.to_vec()));
        let of_left = columns.iter().map(|column| take(column, &left, None));
        let of_right = table.columns.iter().map(|column| take(column, &right, None));
        of_left.chain(of_right).collect::<Result<_, _>>().map_err(failed)
    }
}

/// The pairs of the first `rows` rows, and those rows that are in none.
fn with_unmatched(rows: usize, left: &[u32], right: &[Option<u32>]) -> (Vec<u32>, Vec<Option<u32>>) {
    let mut all = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    let mut pairs = left.iter().zip(right).peekable();
    for row in 0..u32::try_from(rows).unwrap_or(u32::MAX) {
        let before = all.0.len();
        while let Some((_, place)) = pairs.next_if(|(left, _)| **left == row) {
            all.0.push(row);
            all.1.push(*place);
        }
        if all.0.len() == before {
            all.0.push(row);
            all.1.push(None);
        }
    }
    all
}

/// Reads the whole table.
fn read(spec: &LookupJoinSpec, context: &OperatorContext) -> Result<Table, OperatorError> {
    let mut splits = spec.source.create_enumerator(1, None)?;
    let mut reader = spec.source.create_reader(context)?;
    let mut stage = spec.stages.create();
    let mut batches: Vec<RecordBatch> = Vec::new();
    loop {
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

fn failed(error: arrow_schema::ArrowError) -> OperatorError {
    OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string())
}
