//! The reader of one subtask: one split after the other, a batch of rows at a time.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tidemill_core::{ArrowBatch, Batch};
use tidemill_runtime::OperatorError;
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::source::{ReaderStatus, SourceOutput, SourceProgress, SourceReader, SourceSplit};

use crate::error::ConnectorError;
use crate::file::beside::OfFile;
use crate::file::input::{ByteInput, Compression};
use crate::file::split::FileSplit;
use crate::file::{FileSourceInner, ParseErrors};
use crate::format::columns::Columns;
use crate::format::{BatchReader, Decoded, Decoder, Malformed, Place};
use crate::rate::RateLimit;

/// A batch ends after so many bytes of the file, however few rows they are.
const STEP_BYTES: u64 = 2 << 20;

pub(crate) struct FileReader {
    source: Arc<FileSourceInner>,
    /// Of formats that are read row by row.
    columns: Option<Columns>,
    waiting: VecDeque<FileSplit>,
    current: Option<OpenSplit>,
    no_more: bool,
    /// Bytes of the splits that have been read to their ends.
    done: u64,
    counter: Arc<Counter>,
    rate: Option<RateLimit>,
    /// When the reader was first polled: what its rate is counted from.
    began: Option<Instant>,
}

struct OpenSplit {
    id: Arc<str>,
    split: FileSplit,
    content: Content,
    beside: Option<OfFile>,
}

/// What a file is read by.
enum Content {
    Rows(RowInput),
    Batches(Box<dyn BatchReader>),
}

struct RowInput {
    input: ByteInput,
    decoder: Box<dyn Decoder>,
    /// Where reading goes on, while that has not been reached.
    target: Option<u64>,
    /// The place reached is in the middle of a line that belongs to the split before.
    skip_line: bool,
}

impl FileReader {
    pub(crate) fn new(
        source: Arc<FileSourceInner>,
        counter: Arc<Counter>,
        rate: Option<RateLimit>,
    ) -> Result<Self, ConnectorError> {
        let stored = &source.beside.stored;
        let columns = match source.format.is_columnar() {
            true => None,
            false => Some(Columns::new(stored, source.format.name(), source.format.nesting())?),
        };
        Ok(Self {
            source,
            columns,
            waiting: VecDeque::new(),
            current: None,
            no_more: false,
            done: 0,
            counter,
            rate,
            began: None,
        })
    }

    fn read_batch(&mut self, max_records: usize) -> Result<(Option<Batch>, bool), OperatorError> {
        let Some(open) = &mut self.current else { return Ok((None, false)) };
        let (records, ended) = match (&mut open.content, &mut self.columns) {
            (Content::Batches(batches), _) => {
                let records = batches.next(max_records)?;
                let Place { position, rows } = batches.place();
                (open.split.position, open.split.lines) = (Some(position), rows);
                let ended = records.is_none();
                (records, ended)
            }
            (Content::Rows(rows), Some(columns)) => {
                let ended = rows.read(&self.source, &open.split, columns, max_records, &self.counter)?;
                open.split.position = Some(rows.input.offset());
                open.split.lines = rows.input.line;
                ((columns.rows > 0).then(|| columns.finish()).transpose()?, ended)
            }
            (Content::Rows(_), None) => (None, true),
        };
        let records = match (records, &open.beside) {
            (Some(records), Some(beside)) => Some(self.source.beside.rows(beside, &records)?),
            (records, _) => records,
        };
        Ok((records.map(|records| Batch::new(ArrowBatch::inserts(records))), ended))
    }
}

impl RowInput {
    /// Reads rows of a split, at most so many; whether it has no more.
    fn read(
        &mut self,
        source: &FileSourceInner,
        split: &FileSplit,
        columns: &mut Columns,
        max_records: usize,
        counter: &Counter,
    ) -> Result<bool, ConnectorError> {
        let begin = self.input.offset();
        let mut seen = 0;
        while seen < max_records && self.input.offset() - begin < STEP_BYTES {
            match self.decoder.decode(&mut self.input, split.end, columns)? {
                Decoded::Row => {}
                Decoded::Malformed(malformed) => skip_or_fail(source, split, malformed, counter)?,
                Decoded::End => return Ok(true),
            }
            seen += 1;
        }
        Ok(false)
    }

    /// Goes on towards the place where reading begins; true when it is reached.
    fn reach_start(&mut self) -> Result<bool, ConnectorError> {
        if let Some(target) = self.target {
            if !self.input.advance_to(target, STEP_BYTES * 4)? {
                return Ok(false);
            }
            self.target = None;
        }
        if std::mem::take(&mut self.skip_line) {
            self.input.skip_line()?;
            // Lines are counted from the first that is ours.
            self.input.line = 0;
        }
        Ok(true)
    }
}

impl SourceReader for FileReader {
    fn add_split(&mut self, split: SourceSplit) -> Result<(), OperatorError> {
        self.waiting.push_back(FileSplit::from_split(&split)?);
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.no_more = true;
    }

    fn poll(&mut self, out: &mut SourceOutput) -> Result<ReaderStatus, OperatorError> {
        if self.current.is_none() {
            let Some(split) = self.waiting.front() else {
                return Ok(if self.no_more { ReaderStatus::End } else { ReaderStatus::NeedsSplit });
            };
            self.current = Some(OpenSplit::open(&self.source, split.clone())?);
            self.waiting.pop_front();
        }
        let Some(open) = &mut self.current else { return Ok(ReaderStatus::Ready) };
        if let Content::Rows(rows) = &mut open.content
            && !rows.reach_start()?
        {
            return Ok(ReaderStatus::Ready);
        }
        let id = Arc::clone(&open.id);
        let mut max_records = out.max_records();
        if let Some(rate) = &mut self.rate {
            let now = Instant::now();
            let began = *self.began.get_or_insert(now);
            let due = rate.due(now - began);
            if due == 0 {
                return Ok(ReaderStatus::Pending(Some(began + rate.next(now - began))));
            }
            max_records = max_records.min(usize::try_from(due).unwrap_or(usize::MAX));
        }
        let (batch, ended) = self.read_batch(max_records)?;
        if let Some(batch) = batch {
            if let Some(rate) = &mut self.rate {
                rate.emit(batch.len() as u64);
            }
            out.emit(&id, batch);
        }
        if ended && let Some(open) = self.current.take() {
            self.done += open.split.length;
            out.finish_split(&id);
        }
        Ok(ReaderStatus::Ready)
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        let current = self.current.as_ref().map(|open| &open.split);
        current.into_iter().chain(&self.waiting).map(FileSplit::to_split).collect()
    }

    fn progress(&self) -> SourceProgress {
        let current = self.current.as_ref().map_or(0, |open| {
            let read = match &open.content {
                Content::Rows(rows) => rows.input.file_bytes().saturating_sub(open.split.start),
                Content::Batches(batches) => batches.bytes(),
            };
            // A split is done when its end has been seen, not before.
            read.min(open.split.length)
        });
        SourceProgress { done: self.done + current, total: self.source.total() }
    }

    fn close(&mut self) {
        self.current = None;
        self.waiting.clear();
    }
}

impl OpenSplit {
    fn open(source: &FileSourceInner, split: FileSplit) -> Result<Self, ConnectorError> {
        let path = Path::new(&split.path);
        let metadata = std::fs::metadata(path).map_err(|error| ConnectorError::io("read", path, error))?;
        if metadata.is_dir() {
            return Err(ConnectorError::NotAFile { path: path.to_path_buf(), found: "now a folder" });
        }
        let beside = match source.beside.is_plain() {
            true => None,
            false => Some(source.beside.of_file(&split.path)?),
        };
        let from = Place { position: split.position.unwrap_or(0), rows: split.lines };
        let content = match source.format.batch_reader(path, &source.beside.stored, from)? {
            Some(batches) => Content::Batches(batches),
            None => Content::Rows(RowInput::open(source, &split, metadata.len())?),
        };
        Ok(Self { id: split.id(), split, content, beside })
    }
}

impl RowInput {
    fn open(source: &FileSourceInner, split: &FileSplit, length: u64) -> Result<Self, ConnectorError> {
        let path = Path::new(&split.path);
        let compression = source.compression.of(path)?;
        if let (Some(position), Compression::None) = (split.position, compression)
            && position > length
        {
            return Err(ConnectorError::Resume {
                path: path.to_path_buf(),
                reason: format!("{position} bytes of it had been read, but now it has only {length}"),
            });
        }
        let mut input = ByteInput::open(path, compression)?;
        let mut decoder = source.format.decoder(&source.beside.stored)?;
        if source.format.has_header() {
            decoder.read_header(&mut input)?;
        }
        let first_record = input.offset();
        let (target, skip_line, line) = match split.position {
            Some(position) => (position.max(first_record), false, split.lines),
            // A record that begins exactly here is ours, so the newline before it is looked for too.
            None if split.start > first_record => (split.start - 1, true, 0),
            None => (first_record, false, input.line),
        };
        input.line = line;
        Ok(Self { input, decoder, target: Some(target), skip_line })
    }
}

fn skip_or_fail(
    source: &FileSourceInner,
    split: &FileSplit,
    malformed: Malformed,
    counter: &Counter,
) -> Result<(), ConnectorError> {
    let Malformed { lines_before, offset, column, problem, skippable } = malformed;
    let path = &split.path;
    if source.format.ignores_parse_errors() && skippable {
        let errors: &ParseErrors = &source.errors;
        errors.add(|| {
            let place = if split.start == 0 {
                format!("{path} line {}", lines_before + 1)
            } else {
                // To count the lines before it would mean to read the file again from its start.
                format!("{path} byte {offset}")
            };
            ConnectorError::Malformed {
                place,
                column: column.as_deref().map(str::to_owned),
                problem,
                option: None,
            }
            .to_string()
        });
        counter.add(1);
        return Ok(());
    }
    let place = match split.start {
        0 => format!("{path} line {}", lines_before + 1),
        _ => match count_lines(Path::new(path), offset) {
            Ok(lines) => format!("{path} line {}", lines + 1),
            Err(_) => format!("{path} byte {offset}"),
        },
    };
    let option = source.format.skip_option().filter(|_| skippable);
    Err(ConnectorError::Malformed { place, column: column.as_deref().map(str::to_owned), problem, option })
}

/// How many newlines a file has before a place.
fn count_lines(path: &Path, offset: u64) -> std::io::Result<u64> {
    let mut file = File::open(path)?.take(offset);
    let mut chunk = vec![0; 256 << 10];
    let mut lines = 0;
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(lines),
            read => lines += memchr::memchr_iter(b'\n', &chunk[..read]).count() as u64,
        }
    }
}
