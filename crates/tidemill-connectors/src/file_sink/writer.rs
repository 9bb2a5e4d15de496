//! One subtask of a file sink.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use tidemill_core::batch::RowKind;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_core::{ArrowBatch, Batch, CheckpointId};
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress, SnapshotContext};
use tidemill_state::{Clock, SubtaskSnapshot};

use crate::error::ConnectorError;
use crate::file_sink::Shape;
use crate::file_sink::partitioner::{Group, Partitioner};
use crate::file_sink::parts::{PartId, Target, commit, lock, publish, remove, sync_folder};
use crate::file_sink::restore::Stored;
use crate::format::{BatchWriter, RowEncoder};

/// Encoded rows are written when they are so many bytes.
const WRITE_BYTES: usize = 256 << 10;

/// With more parts in progress than these, what is encoded is written after each batch, so that it does not fill the memory.
const BUFFERED_PARTS: usize = 64;

/// A part that is being written.
pub(super) struct Part {
    pub(super) id: PartId,
    pub(super) file: File,
    pub(super) hidden: PathBuf,
    pub(super) written: u64,
    began: Timestamp,
    last_write: Timestamp,
    /// Encoded, but not written yet.
    buffer: Vec<u8>,
    /// What writes the part in a format that is not made of lines.
    batches: Option<Box<dyn BatchWriter>>,
}

impl Part {
    pub(super) fn new(id: PartId, file: File, hidden: PathBuf, written: u64, now: Timestamp) -> Self {
        Self { id, file, hidden, written, began: now, last_write: now, buffer: Vec::new(), batches: None }
    }

    /// How large the part is about.
    fn size(&self) -> u64 {
        match &self.batches {
            Some(batches) => batches.size(),
            None => self.written + self.buffer.len() as u64,
        }
    }

    /// Writes what is encoded; how many bytes that was.
    fn flush(&mut self) -> Result<u64, ConnectorError> {
        let written = self.file.write_all(&self.buffer);
        written.map_err(|error| ConnectorError::io("write", &self.hidden, error))?;
        let bytes = self.buffer.len() as u64;
        self.written += bytes;
        self.buffer.clear();
        Ok(bytes)
    }
}

/// A part that has been written to its end, and is not visible yet.
pub(super) struct Pending {
    pub(super) part: PartId,
    pub(super) length: u64,
    /// The first checkpoint that holds it, once there is one. That one's failure is none of the part's: the next one holds it
    /// as well.
    pub(super) checkpoint: Option<CheckpointId>,
    /// Of a single file, which stays locked.
    file: Option<File>,
}

pub(crate) struct FileSinkOperator {
    pub(super) shape: Arc<Shape>,
    pub(super) subtask: u32,
    clock: Option<Arc<dyn Clock>>,
    records: Option<Arc<Counter>>,
    bytes: Option<Arc<Counter>>,
    /// Whether parts wait for checkpoints before they are visible.
    pub(super) checkpoints: bool,
    /// What the names of parts carry with checkpoints.
    pub(super) run: Option<u64>,
    /// Tells that parts of this run are being written.
    pub(super) lock: Option<(PathBuf, File)>,
    /// The number of the next part; of a single file that is in progress, its own.
    pub(super) next: u64,
    partitioner: Option<Partitioner>,
    /// The parts in progress, by the paths of their partitions.
    pub(super) parts: BTreeMap<Arc<str>, Part>,
    pub(super) pending: Vec<Pending>,
    /// Whether a snapshot refers to what there is of a single file.
    pub(super) is_snapshotted: bool,
    /// Whether the input has ended.
    ended: bool,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl FileSinkOperator {
    pub(crate) fn new(shape: Arc<Shape>) -> Self {
        let partitioner =
            shape.partitions.as_ref().map(|(partitions, columns)| Partitioner::new(partitions, columns));
        Self {
            shape,
            subtask: 0,
            clock: None,
            records: None,
            bytes: None,
            checkpoints: false,
            run: None,
            lock: None,
            next: 0,
            partitioner,
            parts: BTreeMap::new(),
            pending: Vec::new(),
            is_snapshotted: false,
            ended: false,
        }
    }

    pub(super) fn is_single(&self) -> bool {
        matches!(self.shape.target, Target::Single(_))
    }

    /// The single file, when it is in progress.
    pub(super) fn single_part(&self) -> Option<&Part> {
        self.parts.values().next().filter(|_| self.is_single())
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.as_ref().map_or(0, |clock| clock.now())
    }

    /// Takes the part of a partition that is in progress, or begins one.
    fn take_part(&mut self, partition: &Arc<str>) -> Result<Part, ConnectorError> {
        if let Some(part) = self.parts.remove(partition) {
            return Ok(part);
        }
        let shape = Arc::clone(&self.shape);
        let id = match self.is_single() {
            true => PartId::single(),
            false => {
                let number = self.next;
                self.next += 1;
                PartId { run: self.run, subtask: self.subtask, number, partition: Arc::clone(partition) }
            }
        };
        shape.target.make_partition(partition)?;
        let hidden = shape.target.hidden(&id);
        let fail = |error| ConnectorError::io("write", &hidden, error);
        // Emptied only once it is known that nobody else writes it.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&hidden).map_err(fail)?;
        lock(&file, &hidden)?;
        if file.metadata().map_err(fail)?.len() > 0 {
            file.set_len(0).map_err(fail)?;
        }
        let batches = shape.format.batch_writer(&shape.stored, &file, &hidden)?;
        let mut part = Part { batches, ..Part::new(id, file, hidden, 0, self.now()) };
        shape.format.header(&shape.stored, &mut part.buffer);
        if let Some(commits) = &shape.commits {
            commits.began(self.subtask, partition, self.now());
        }
        Ok(part)
    }

    fn count_bytes(&self, bytes: u64) {
        if let Some(counter) = &self.bytes {
            counter.add(bytes);
        }
    }

    /// Ends a part. It is visible at once, or with the next checkpoint.
    fn complete_part(&mut self, mut part: Part) -> Result<(), ConnectorError> {
        if let Some(batches) = part.batches.take() {
            part.written = batches.finish()?;
            self.count_bytes(part.written);
        } else {
            self.count_bytes(part.flush()?);
        }
        let Part { id, file, hidden, written, .. } = part;
        if self.is_single() {
            self.next += 1;
        }
        if !self.checkpoints {
            return publish(&file, &hidden, &self.shape.target.complete(&id));
        }
        file.sync_all().map_err(|error| ConnectorError::io("write", &hidden, error))?;
        let file = Some(file).filter(|_| self.is_single());
        self.pending.push(Pending { part: id, length: written, checkpoint: None, file });
        Ok(())
    }

    /// Ends all parts.
    fn complete_parts(&mut self) -> Result<(), ConnectorError> {
        while let Some((_, part)) = self.parts.pop_first() {
            self.complete_part(part)?;
        }
        Ok(())
    }

    /// Has the parts that are pending be part of a checkpoint.
    fn assign(&mut self, checkpoint: CheckpointId) -> Result<(), ConnectorError> {
        let mut folders = BTreeSet::new();
        for pending in self.pending.iter_mut().filter(|pending| pending.checkpoint.is_none()) {
            pending.checkpoint = Some(checkpoint);
            folders.insert(Arc::clone(&pending.part.partition));
        }
        if self.checkpoints && self.single_part().is_some() {
            folders.insert("".into());
        }
        folders.iter().try_for_each(|partition| sync_folder(&self.shape.target.partition(partition)))
    }

    fn write(&mut self, batch: &ArrowBatch) -> Result<(), ConnectorError> {
        let wrong = |reason: String| Err(ConnectorError::WrongInput { sink: "file", reason });
        let expected = self.shape.schema.fields();
        let found = batch.records.schema_ref().fields();
        if expected.len() != found.len()
            || expected.iter().zip(found).any(|(one, other)| one.data_type() != other.data_type())
        {
            return wrong(format!("rows have the columns {found:?} instead of {expected:?}"));
        }
        if let Some(kinds) = &batch.kinds
            && kinds.iter().any(|kind| *kind != RowKind::Insert)
        {
            return wrong("rows are updated or deleted, but a file only takes new ones".to_owned());
        }
        let rows = batch.records.num_rows();
        if rows == 0 {
            return Ok(());
        }
        let shape = Arc::clone(&self.shape);
        // Batches come with names of their own; what is in the files is called as in the table.
        let stored = shape.stored_columns(&batch.records)?;
        let groups = match &mut self.partitioner {
            None => vec![Group::all(rows)],
            Some(partitioner) => partitioner.groups(&batch.records)?,
        };
        if shape.format.is_columnar() {
            for group in groups {
                let rows = group.take(&stored)?;
                self.write_batch(&group.partition, &rows)?;
            }
        } else {
            let mut encoder = RowEncoder::new(&shape.format, &stored)?;
            for group in groups {
                self.encode(&group, &mut encoder)?;
            }
        }
        if self.parts.len() > BUFFERED_PARTS {
            let flushed = self.parts.values_mut().map(Part::flush).sum::<Result<u64, _>>()?;
            self.count_bytes(flushed);
        }
        Ok(())
    }

    /// Writes rows of one partition as lines.
    fn encode(&mut self, group: &Group, encoder: &mut RowEncoder<'_>) -> Result<(), ConnectorError> {
        let limit = if self.is_single() { u64::MAX } else { self.shape.policy.file_bytes };
        let now = self.now();
        let mut part = self.take_part(&group.partition)?;
        let mut rows = group.rows().peekable();
        while let Some(row) = rows.next() {
            encoder.encode(row, &mut part.buffer);
            if part.size() >= limit {
                self.complete_part(part)?;
                if rows.peek().is_none() {
                    return Ok(());
                }
                part = self.take_part(&group.partition)?;
            } else if part.buffer.len() >= WRITE_BYTES {
                self.count_bytes(part.flush()?);
            }
        }
        part.last_write = now;
        self.parts.insert(Arc::clone(&group.partition), part);
        Ok(())
    }

    /// Writes rows of one partition as columns.
    fn write_batch(&mut self, partition: &Arc<str>, rows: &RecordBatch) -> Result<(), ConnectorError> {
        let now = self.now();
        let mut part = self.take_part(partition)?;
        if let Some(batches) = &mut part.batches {
            batches.write(rows)?;
        }
        part.last_write = now;
        if part.size() >= self.shape.policy.file_bytes {
            return self.complete_part(part);
        }
        self.parts.insert(Arc::clone(partition), part);
        Ok(())
    }

    /// When a part is to end that nothing else ends.
    fn due(&self, part: &Part) -> Timestamp {
        let policy = &self.shape.policy;
        let rollover = part.began.saturating_add(millis(policy.rollover_interval));
        rollover.min(part.last_write.saturating_add(millis(policy.inactivity_interval)))
    }

    /// Makes the parts visible that a complete checkpoint holds.
    fn commit_until(&mut self, checkpoint: CheckpointId) -> Result<(), ConnectorError> {
        let is_due = |pending: &Pending| pending.checkpoint.is_some_and(|holds_it| holds_it <= checkpoint);
        let (due, wait) = std::mem::take(&mut self.pending).into_iter().partition(is_due);
        self.pending = wait;
        let due: Vec<Pending> = due;
        let mut folders = BTreeSet::new();
        for Pending { part, length, file, .. } in due {
            commit(&self.shape.target, &part, length)?;
            folders.insert(part.partition);
            drop(file);
        }
        folders.iter().try_for_each(|partition| sync_folder(&self.shape.target.partition(partition)))
    }
}

impl Operator for FileSinkOperator {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        if self.is_single() && context.parallelism > 1 {
            return Err(ConnectorError::BadTarget {
                path: self.shape.target.complete(&PartId::single()),
                reason: format!(
                    "one file cannot be written by {} subtasks: set the parallelism of the sink to 1, or write parts to a folder",
                    context.parallelism
                ),
            }
            .into());
        }
        self.subtask = context.subtask;
        self.clock = Some(Arc::clone(&context.clock));
        self.records = Some(context.metrics.counter("numRecordsSend"));
        self.bytes = Some(context.metrics.counter("numBytesSend"));
        self.checkpoints = context.checkpoints;
        self.shape.target.prepare()?;
        let stored = restored.as_ref().map(Stored::decode).transpose()?;
        if let Some(commits) = &self.shape.commits {
            let known = stored.as_ref().map(Stored::partitions).unwrap_or_default();
            commits.open(context.subtask, context.parallelism, known);
        }
        self.recover(context, stored)?;
        Ok(())
    }

    fn process(&mut self, _input: usize, batch: Batch, _out: &mut Output) -> Result<Progress, OperatorError> {
        let rows = batch.downcast_ref::<ArrowBatch>()?;
        self.write(rows)?;
        if let Some(records) = &self.records {
            records.add(rows.records.num_rows() as u64);
        }
        Ok(Progress::Done)
    }

    fn watermark(&mut self, watermark: Watermark, _out: &mut Output) -> Result<Progress, OperatorError> {
        if let Some(commits) = &self.shape.commits {
            commits.watermark(self.subtask, watermark);
        }
        Ok(Progress::Done)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        if self.is_single() {
            return None;
        }
        self.parts.values().map(|part| self.due(part)).min()
    }

    fn processing_time(&mut self, now: Timestamp, _out: &mut Output) -> Result<Progress, OperatorError> {
        if self.is_single() {
            return Ok(Progress::Done);
        }
        let due = self.parts.values().filter(|part| self.due(part) <= now);
        let due: Vec<Arc<str>> = due.map(|part| Arc::clone(&part.id.partition)).collect();
        for partition in due {
            if let Some(part) = self.parts.remove(&partition) {
                self.complete_part(part)?;
            }
        }
        Ok(Progress::Done)
    }

    fn finish(&mut self, _out: &mut Output) -> Result<Progress, OperatorError> {
        if self.is_single() && self.next == 0 {
            // Also when there was no row: whoever waits for the file shall find it.
            let whole: Arc<str> = "".into();
            let part = self.take_part(&whole)?;
            self.parts.insert(whole, part);
        }
        self.complete_parts()?;
        self.ended = true;
        if let Some(commits) = &self.shape.commits {
            commits.ended(self.subtask);
            if !self.checkpoints {
                commits.commit_all(&self.shape.target)?;
            }
        }
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        if self.is_single() {
            let mut bytes = 0;
            for part in self.parts.values_mut() {
                bytes += part.flush()?;
                // What counts must be there after a crash.
                part.file.sync_data().map_err(|error| ConnectorError::io("write", &part.hidden, error))?;
            }
            self.count_bytes(bytes);
            self.is_snapshotted = true;
        } else {
            self.complete_parts()?;
        }
        self.assign(context.checkpoint)?;
        if let Some(commits) = &self.shape.commits {
            commits.snapshot(self.subtask, context.checkpoint);
        }
        Ok(Stored::of(self).encode())
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.commit_until(checkpoint)?;
        if let Some(commits) = &self.shape.commits {
            commits.checkpoint_complete(&self.shape.target, self.subtask, checkpoint, self.now())?;
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some(commits) = &self.shape.commits
            && self.ended
            && self.pending.is_empty()
        {
            commits.finished(self.subtask);
        }
        // What a snapshot refers to is needed to go on from there.
        let keeps_single = self.is_single() && self.is_snapshotted;
        // With the file goes its lock.
        let in_progress = std::mem::take(&mut self.parts).into_values().map(|Part { hidden, .. }| hidden);
        let unknown = std::mem::take(&mut self.pending).into_iter().filter(|it| it.checkpoint.is_none());
        let unknown = unknown.map(|Pending { part, .. }| self.shape.target.hidden(&part));
        let left_over: Vec<PathBuf> = in_progress.chain(unknown).collect();
        let lock = self.lock.take().map(|(path, _)| path);
        for path in left_over.iter().filter(|_| !keeps_single).chain(&lock) {
            if let Err(error) = remove(path) {
                tracing::warn!("{error}");
            }
        }
    }
}
