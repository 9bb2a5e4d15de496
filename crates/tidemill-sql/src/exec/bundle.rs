//! Bundles: rows that wait so that more of them are aggregated together.
//!
//! A bundle is aggregated when it is full, when a watermark comes (in processing time those of the
//! [assigner](super::mini_batch_assigner)), and at the end of the input. Flink's operators do so before a checkpoint's barrier too.
//! Here what waits becomes part of the snapshot instead: a barrier then never waits for output to have room, so that unaligned
//! checkpoints are as quick as without bundles, and nothing has to pass through the operators behind before they may be
//! snapshotted. After a change of the parallelism, rows that belong to a key come to the subtask that has it now: each
//! subtask is shown all rows that waited, and takes its own.

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch, BatchData};
use tidemill_core::key_group::key_group;
use tidemill_runtime::graph::EdgeType;
use tidemill_runtime::{OperatorContext, OperatorError};
use tidemill_serialization::BatchSerializer;
use tidemill_state::{OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};

use super::edge::{RowEdge, hashes, joined, taken};
use super::groups::Groups;

/// To which subtasks the rows of a snapshot go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dealt {
    /// Those of a key to the one that has its state.
    ByKey,
    /// Any.
    Anywhere,
}

/// The name of the state that holds rows that wait.
const STATE: &str = "bundle";

/// How many rows are stored as one item, at most.
const STORED_ROWS: usize = 4096;

/// Rows in a snapshot, and how they are read and written.
pub(super) struct Stored {
    schema: SchemaRef,
    keys: Vec<usize>,
    dealt: Dealt,
    serializer: Arc<dyn BatchSerializer>,
}

impl Stored {
    pub(super) fn new(schema: &SchemaRef, keys: &[usize], dealt: Dealt) -> Self {
        let serializer = RowEdge::new(Arc::clone(schema)).serializer();
        Self { schema: Arc::clone(schema), keys: keys.to_vec(), dealt, serializer }
    }

    /// The snapshot of rows; nothing of none.
    pub(super) fn write(
        &self,
        batches: impl IntoIterator<Item = ArrowBatch>,
    ) -> Result<SubtaskSnapshot, OperatorError> {
        let mut items: Vec<Vec<u8>> = Vec::new();
        for batch in batches {
            for start in (0..batch.len()).step_by(STORED_ROWS) {
                let rows = start..(start + STORED_ROWS).min(batch.len());
                let part = match rows.len() == batch.len() {
                    true => batch.clone(),
                    false => rows_of(&batch, &rows.map(number).collect::<Vec<u32>>())?,
                };
                let mut bytes = Vec::new();
                self.serializer.encode(&Batch::new(part), &mut bytes)?;
                items.push(bytes);
            }
        }
        if items.is_empty() {
            return Ok(SubtaskSnapshot::default());
        }
        let mode = match self.dealt {
            Dealt::ByKey => OperatorStateMode::Union,
            Dealt::Anywhere => OperatorStateMode::Split,
        };
        let operator = vec![OperatorSnapshot::of(STATE, mode, &items)];
        Ok(SubtaskSnapshot { operator, ..SubtaskSnapshot::default() })
    }

    /// The rows of a snapshot that are this subtask's.
    pub(super) fn read(
        &self,
        context: &OperatorContext,
        snapshot: Option<&SubtaskSnapshot>,
    ) -> Result<Vec<ArrowBatch>, OperatorError> {
        let mut batches = Vec::new();
        let states = snapshot.iter().flat_map(|snapshot| &snapshot.operator);
        for state in states.filter(|state| state.name == STATE) {
            for item in state.read::<Vec<u8>>()? {
                let batch = self.serializer.decode(&item)?.downcast_ref::<ArrowBatch>()?.clone();
                batches.extend(match self.dealt {
                    Dealt::ByKey => self.own(context, &batch)?,
                    Dealt::Anywhere => Some(batch),
                });
            }
        }
        Ok(batches)
    }

    /// Those of `batch` whose keys are this subtask's.
    fn own(
        &self,
        context: &OperatorContext,
        batch: &ArrowBatch,
    ) -> Result<Option<ArrowBatch>, OperatorError> {
        let (mut of_rows, own) = (Vec::new(), context.key_groups());
        hashes(batch.records.columns(), &self.keys, batch.len(), &mut of_rows);
        let is_own = |row: &usize| own.contains(key_group(of_rows[*row], context.max_parallelism));
        let rows: Vec<u32> = (0..batch.len()).filter(is_own).map(number).collect();
        Ok(match rows.len() {
            0 => None,
            all if all == batch.len() => Some(batch.clone()),
            _ => Some(rows_of(batch, &rows)?),
        })
    }
}

/// Rows that wait.
pub(super) struct RowBundle {
    stored: Stored,
    /// How many wait at most; 0 when none do.
    size: usize,
    batches: Vec<ArrowBatch>,
    rows: usize,
    /// What is being aggregated.
    parts: Option<Parts>,
}

/// A bundle that is aggregated in parts: all rows of a group are in one of them, so that each gets one change.
struct Parts {
    whole: ArrowBatch,
    /// The rows, group by group, those of a group in their order.
    order: Vec<u32>,
    /// Where in that order each group ends.
    ends: Vec<usize>,
    /// How many of the groups have been taken.
    taken: usize,
}

impl RowBundle {
    /// A bundle of at most `size` rows of `schema`, whose groups are told by the columns at `keys`.
    pub(super) fn new(schema: &SchemaRef, keys: &[usize], size: usize, dealt: Dealt) -> Self {
        let stored = Stored::new(schema, keys, dealt);
        Self { stored, size, batches: Vec::new(), rows: 0, parts: None }
    }

    /// Whether no rows wait, and none are to.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.size == 0 && self.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0 && self.parts.is_none()
    }

    /// Whether rows wait that waited in a snapshot, though none are to any more.
    pub(super) fn is_left_over(&self) -> bool {
        self.size == 0 && !self.is_empty()
    }

    /// Whether its rows are to be aggregated now.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= self.size || self.parts.is_some()
    }

    pub(super) fn add(&mut self, batch: &ArrowBatch) {
        if !batch.is_empty() {
            self.rows += batch.len();
            self.batches.push(batch.clone());
        }
    }

    /// Takes rows out to be aggregated: about `limit`, but all of a group. `None` when none are left.
    pub(super) fn take_part(&mut self, limit: usize) -> Result<Option<ArrowBatch>, OperatorError> {
        if self.parts.is_none() {
            self.rows = 0;
            let batches = std::mem::take(&mut self.batches);
            let Some(whole) = joined(batches, &self.stored.schema)? else { return Ok(None) };
            if whole.len() <= limit {
                return Ok(Some(whole));
            }
            self.parts = Some(Parts::new(whole, &self.stored.keys));
        }
        let Some(parts) = &mut self.parts else { return Ok(None) };
        let rows = parts.take(limit);
        let part = rows_of(&parts.whole, &parts.order[rows])?;
        if parts.taken == parts.ends.len() {
            self.parts = None;
        }
        Ok(Some(part))
    }

    /// The rows that wait.
    pub(super) fn snapshot(&self) -> Result<SubtaskSnapshot, OperatorError> {
        let mut batches = self.batches.clone();
        if let Some(parts) = &self.parts {
            batches.insert(0, rows_of(&parts.whole, parts.rest())?);
        }
        self.stored.write(joined(batches, &self.stored.schema)?)
    }

    /// Has the rows wait that waited in a snapshot.
    pub(super) fn restore(
        &mut self,
        context: &OperatorContext,
        snapshot: Option<&SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.stored.read(context, snapshot)?.iter().for_each(|batch| self.add(batch));
        Ok(())
    }
}

impl Parts {
    fn new(whole: ArrowBatch, keys: &[usize]) -> Self {
        let mut groups = Groups::default();
        groups.find(whole.records.columns(), keys, whole.len());
        let mut ends = vec![0; groups.len()];
        groups.of_row.iter().for_each(|group| ends[*group as usize] += 1);
        let mut next = Vec::with_capacity(ends.len());
        let mut end = 0;
        for count in &mut ends {
            next.push(end);
            end += *count;
            *count = end;
        }
        let mut order = vec![0; whole.len()];
        for (row, group) in groups.of_row.iter().enumerate() {
            let place = &mut next[*group as usize];
            order[*place] = number(row);
            *place += 1;
        }
        Self { whole, order, ends, taken: 0 }
    }

    fn start(&self) -> usize {
        self.taken.checked_sub(1).map_or(0, |last| self.ends[last])
    }

    fn rest(&self) -> &[u32] {
        &self.order[self.start()..]
    }

    fn take(&mut self, limit: usize) -> Range<usize> {
        let start = self.start();
        let mut end = start;
        while end - start < limit && self.taken < self.ends.len() {
            end = self.ends[self.taken];
            self.taken += 1;
        }
        start..end
    }
}

/// A batch like `batch` without rows: what is kept for the next call when all rows of the input have been taken over.
pub(super) fn nothing_of(batch: &ArrowBatch) -> ArrowBatch {
    ArrowBatch { records: batch.records.slice(0, 0), kinds: None, timestamps: Vec::new(), hashes: Vec::new() }
}

fn number(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}

fn rows_of(batch: &ArrowBatch, rows: &[u32]) -> Result<ArrowBatch, OperatorError> {
    let failed = |error: arrow_schema::ArrowError| {
        OperatorError::new("TM-SQL-COLUMNS", Fault::Internal, error.to_string())
    };
    taken(batch, rows).map_err(failed)
}
