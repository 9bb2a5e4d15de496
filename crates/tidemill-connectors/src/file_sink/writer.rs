//! One subtask of a file sink.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::batch::RowKind;
use tidemill_core::time::Timestamp;
use tidemill_core::{ArrowBatch, Batch};
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress};
use tidemill_serialization::Record;
use tidemill_state::{Clock, OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};

use crate::error::ConnectorError;
use crate::file_sink::Shape;
use crate::file_sink::parts::{Target, lock, publish, remove, reopen};
use crate::format::RowEncoder;

/// Encoded rows are written when they are so many bytes.
const WRITE_BYTES: usize = 256 << 10;

/// The name under which the part in progress is stored.
const PARTS: &str = "file-sink-parts";

/// What a snapshot says of one subtask. All subtasks get all of these back: each sees to its own parts, and to
/// those of subtasks that are not there any more.
#[derive(Record, Clone, Debug, PartialEq, Eq)]
struct StoredPart {
    subtask: u32,
    /// The number of the part in progress, or of the next one.
    number: u64,
    /// How many bytes of the part in progress count; `None` when there is none.
    length: Option<u64>,
}

struct Part {
    file: File,
    in_progress: PathBuf,
    written: u64,
    began: Timestamp,
    last_write: Timestamp,
}

pub(crate) struct FileSinkOperator {
    shape: Arc<Shape>,
    subtask: u32,
    clock: Option<Arc<dyn Clock>>,
    records: Option<Arc<Counter>>,
    bytes: Option<Arc<Counter>>,
    next: u64,
    part: Option<Part>,
    /// Encoded, but not written yet.
    buffer: Vec<u8>,
    is_snapshotted: bool,
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
            next: 0,
            part: None,
            buffer: Vec::new(),
            is_snapshotted: false,
        }
    }

    fn is_single(&self) -> bool {
        matches!(self.shape.target, Target::Single(_))
    }

    fn now(&self) -> Timestamp {
        self.clock.as_ref().map_or(0, |clock| clock.now())
    }

    /// Removes what earlier runs have left in progress, and finds the first number that is free.
    fn start_afresh(&mut self, parallelism: u32) -> Result<(), ConnectorError> {
        if self.is_single() {
            return remove(&self.shape.target.in_progress(0, 0));
        }
        for (subtask, number, is_complete) in self.shape.target.parts()? {
            if !is_complete && subtask % parallelism == self.subtask {
                remove(&self.shape.target.in_progress(subtask, number))?;
            }
            if is_complete && subtask == self.subtask {
                self.next = self.next.max(number + 1);
            }
        }
        Ok(())
    }

    fn restore(&mut self, stored: &[StoredPart], parallelism: u32) -> Result<(), ConnectorError> {
        let target = &self.shape.target;
        if self.is_single() {
            self.next = stored.iter().map(|part| part.number).max().unwrap_or(0);
            if let Some(length) = stored.iter().find_map(|part| part.length) {
                let in_progress = target.in_progress(0, 0);
                let file = reopen(&in_progress, &target.complete(0, 0), length)?;
                let now = self.now();
                self.part = Some(Part { file, in_progress, written: length, began: now, last_write: now });
            }
            return Ok(());
        }
        let there = target.parts()?;
        for part in stored.iter().filter(|part| part.subtask % parallelism == self.subtask) {
            let StoredPart { subtask, number, length } = *part;
            if let Some(length) = length {
                let (in_progress, complete) =
                    (target.in_progress(subtask, number), target.complete(subtask, number));
                let file = reopen(&in_progress, &complete, length)?;
                publish(&file, &in_progress, &complete)?;
            }
            let first_to_go = number + u64::from(length.is_some());
            for (_, later, is_complete) in
                there.iter().filter(|part| part.0 == subtask && part.1 >= first_to_go)
            {
                let path = if *is_complete {
                    target.complete(subtask, *later)
                } else {
                    target.in_progress(subtask, *later)
                };
                remove(&path)?;
            }
            if subtask == self.subtask {
                self.next = self.next.max(first_to_go);
            }
        }
        if stored.iter().any(|part| part.subtask == self.subtask) {
            return Ok(());
        }
        self.start_afresh(parallelism)
    }

    fn begin_part(&mut self) -> Result<(), ConnectorError> {
        if self.part.is_some() {
            return Ok(());
        }
        let in_progress = self.shape.target.in_progress(self.subtask, self.next);
        let fail = |error| ConnectorError::io("write", &in_progress, error);
        // Emptied only once it is known that nobody else writes it.
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).open(&in_progress).map_err(fail)?;
        lock(&file, &in_progress)?;
        if file.metadata().map_err(fail)?.len() > 0 {
            file.set_len(0).map_err(fail)?;
        }
        let now = self.now();
        self.part = Some(Part { file, in_progress, written: 0, began: now, last_write: now });
        self.shape.format.header(&self.shape.schema, &mut self.buffer);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), ConnectorError> {
        let Some(part) = &mut self.part else { return Ok(()) };
        let written = part.file.write_all(&self.buffer);
        written.map_err(|error| ConnectorError::io("write", &part.in_progress, error))?;
        part.written += self.buffer.len() as u64;
        if let Some(bytes) = &self.bytes {
            bytes.add(self.buffer.len() as u64);
        }
        self.buffer.clear();
        Ok(())
    }

    fn complete_part(&mut self) -> Result<(), ConnectorError> {
        self.flush()?;
        if let Some(part) = self.part.take() {
            publish(&part.file, &part.in_progress, &self.shape.target.complete(self.subtask, self.next))?;
            self.next += 1;
        }
        Ok(())
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
                path: self.shape.target.complete(0, 0),
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
        self.shape.target.prepare()?;
        match restored {
            Some(snapshot) => self.restore(&decode(&snapshot)?, context.parallelism)?,
            None => self.start_afresh(context.parallelism)?,
        }
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

    fn snapshot(&mut self) -> Result<SubtaskSnapshot, OperatorError> {
        self.flush()?;
        if let Some(part) = &self.part {
            // What counts must be there after a crash.
            part.file.sync_data().map_err(|error| ConnectorError::io("write", &part.in_progress, error))?;
        }
        self.is_snapshotted = true;
        let stored = StoredPart {
            subtask: self.subtask,
            number: self.next,
            length: self.part.as_ref().map(|part| part.written),
        };
        let state = OperatorSnapshot::of(PARTS, OperatorStateMode::Union, &[stored]);
        Ok(SubtaskSnapshot { operator: vec![state], ..SubtaskSnapshot::default() })
    }

    fn close(&mut self) {
        // A part that a snapshot refers to is needed to go on from there.
        if let Some(Part { file, in_progress, .. }) = self.part.take()
            && !self.is_snapshotted
        {
            // With the file goes its lock.
            drop(file);
            if let Err(error) = remove(&in_progress) {
                tracing::warn!("{error}");
            }
        }
    }
}

fn decode(snapshot: &SubtaskSnapshot) -> Result<Vec<StoredPart>, tidemill_state::StateError> {
    let mut parts = Vec::new();
    for state in snapshot.operator.iter().filter(|state| state.name == PARTS) {
        parts.extend(state.read::<StoredPart>()?);
    }
    Ok(parts)
}
