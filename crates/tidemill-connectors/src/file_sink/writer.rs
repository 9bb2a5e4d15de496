//! One subtask of a file sink.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::batch::RowKind;
use tidemill_core::time::Timestamp;
use tidemill_core::{ArrowBatch, Batch, CheckpointId};
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress, SnapshotContext};
use tidemill_state::{Clock, SubtaskSnapshot};

use crate::error::ConnectorError;
use crate::file_sink::Shape;
use crate::file_sink::parts::{PartId, Target, commit, lock, publish, remove, sync_folder};
use crate::file_sink::restore::Stored;
use crate::format::RowEncoder;

/// Encoded rows are written when they are so many bytes.
const WRITE_BYTES: usize = 256 << 10;

pub(super) struct Part {
    pub(super) file: File,
    pub(super) hidden: PathBuf,
    pub(super) written: u64,
    pub(super) began: Timestamp,
    pub(super) last_write: Timestamp,
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
    /// The number of the part in progress, or of the next one.
    pub(super) next: u64,
    pub(super) part: Option<Part>,
    pub(super) pending: Vec<Pending>,
    /// Encoded, but not written yet.
    buffer: Vec<u8>,
    /// Whether a snapshot refers to what there is of a single file.
    pub(super) is_snapshotted: bool,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl FileSinkOperator {
    pub(crate) fn new(shape: Arc<Shape>) -> Self {
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
            part: None,
            pending: Vec::new(),
            buffer: Vec::new(),
            is_snapshotted: false,
        }
    }

    pub(super) fn is_single(&self) -> bool {
        matches!(self.shape.target, Target::Single(_))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.as_ref().map_or(0, |clock| clock.now())
    }

    /// The part in progress, or the next one.
    fn part_id(&self) -> PartId {
        if self.is_single() {
            return PartId::SINGLE;
        }
        PartId { run: self.run, subtask: self.subtask, number: self.next }
    }

    fn begin_part(&mut self) -> Result<(), ConnectorError> {
        if self.part.is_some() {
            return Ok(());
        }
        let hidden = self.shape.target.hidden(self.part_id());
        let fail = |error| ConnectorError::io("write", &hidden, error);
        // Emptied only once it is known that nobody else writes it.
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&hidden).map_err(fail)?;
        lock(&file, &hidden)?;
        if file.metadata().map_err(fail)?.len() > 0 {
            file.set_len(0).map_err(fail)?;
        }
        let now = self.now();
        self.part = Some(Part { file, hidden, written: 0, began: now, last_write: now });
        self.shape.format.header(&self.shape.schema, &mut self.buffer);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ConnectorError> {
        let Some(part) = &mut self.part else { return Ok(()) };
        let written = part.file.write_all(&self.buffer);
        written.map_err(|error| ConnectorError::io("write", &part.hidden, error))?;
        part.written += self.buffer.len() as u64;
        if let Some(bytes) = &self.bytes {
            bytes.add(self.buffer.len() as u64);
        }
        self.buffer.clear();
        Ok(())
    }

    /// Ends the part in progress. It is visible at once, or with the next checkpoint.
    fn complete_part(&mut self) -> Result<(), ConnectorError> {
        self.flush()?;
        let id = self.part_id();
        let Some(Part { file, hidden, written, .. }) = self.part.take() else { return Ok(()) };
        self.next += 1;
        if !self.checkpoints {
            return publish(&file, &hidden, &self.shape.target.complete(id));
        }
        file.sync_all().map_err(|error| ConnectorError::io("write", &hidden, error))?;
        let file = Some(file).filter(|_| self.is_single());
        self.pending.push(Pending { part: id, length: written, checkpoint: None, file });
        Ok(())
    }

    /// Has the parts that are pending be part of a checkpoint.
    fn assign(&mut self, checkpoint: CheckpointId) -> Result<(), ConnectorError> {
        let new = self.pending.iter_mut().filter(|pending| pending.checkpoint.is_none());
        let count = new.map(|pending| pending.checkpoint = Some(checkpoint)).count();
        let single_in_progress = self.checkpoints && self.is_single() && self.part.is_some();
        if count > 0 || single_in_progress { sync_folder(self.shape.target.folder()) } else { Ok(()) }
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
        let shape = Arc::clone(&self.shape);
        let mut encoder = RowEncoder::new(&shape.format, &batch.records)?;
        let limit = if self.is_single() { u64::MAX } else { shape.policy.file_bytes };
        for row in 0..batch.records.num_rows() {
            self.begin_part()?;
            encoder.encode(row, &mut self.buffer);
            let size = self.part.as_ref().map_or(0, |part| part.written) + self.buffer.len() as u64;
            if size >= limit {
                self.complete_part()?;
            } else if self.buffer.len() >= WRITE_BYTES {
                self.flush()?;
            }
        }
        let now = self.now();
        if let Some(part) = &mut self.part {
            part.last_write = now;
        }
        Ok(())
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
                path: self.shape.target.complete(PartId::SINGLE),
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

    fn next_processing_time(&self) -> Option<Timestamp> {
        let part = self.part.as_ref().filter(|_| !self.is_single())?;
        let policy = &self.shape.policy;
        let rollover = part.began.saturating_add(millis(policy.rollover_interval));
        Some(rollover.min(part.last_write.saturating_add(millis(policy.inactivity_interval))))
    }

    fn processing_time(&mut self, now: Timestamp, _out: &mut Output) -> Result<Progress, OperatorError> {
        if self.next_processing_time().is_some_and(|due| due <= now) {
            self.complete_part()?;
        }
        Ok(Progress::Done)
    }

    fn finish(&mut self, _out: &mut Output) -> Result<Progress, OperatorError> {
        if self.is_single() && self.next == 0 {
            // Also when there was no row: whoever waits for the file shall find it.
            self.begin_part()?;
        }
        self.complete_part()?;
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        if self.is_single() {
            self.flush()?;
            if let Some(part) = &self.part {
                // What counts must be there after a crash.
                part.file.sync_data().map_err(|error| ConnectorError::io("write", &part.hidden, error))?;
            }
            self.is_snapshotted = true;
        } else {
            self.complete_part()?;
        }
        self.assign(context.checkpoint)?;
        Ok(Stored::of(self).encode())
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        let is_due = |pending: &Pending| pending.checkpoint.is_some_and(|holds_it| holds_it <= checkpoint);
        let (due, wait) = std::mem::take(&mut self.pending).into_iter().partition(is_due);
        self.pending = wait;
        let due: Vec<Pending> = due;
        if due.is_empty() {
            return Ok(());
        }
        for Pending { part, length, file, .. } in due {
            commit(&self.shape.target, part, length)?;
            drop(file);
        }
        sync_folder(self.shape.target.folder())?;
        Ok(())
    }

    fn close(&mut self) {
        // What a snapshot refers to is needed to go on from there.
        let keeps_single = self.is_single() && self.is_snapshotted;
        // With the file goes its lock.
        let in_progress = self.part.take().map(|Part { hidden, .. }| hidden);
        let unknown = std::mem::take(&mut self.pending).into_iter().filter(|it| it.checkpoint.is_none());
        let unknown = unknown.map(|Pending { part, .. }| self.shape.target.hidden(part));
        let left_over: Vec<PathBuf> = in_progress.into_iter().chain(unknown).collect();
        let lock = self.lock.take().map(|(path, _)| path);
        for path in left_over.iter().filter(|_| !keeps_single).chain(&lock) {
            if let Err(error) = remove(path) {
                tracing::warn!("{error}");
            }
        }
    }
}
