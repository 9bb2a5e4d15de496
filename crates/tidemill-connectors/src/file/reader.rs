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
use crate::file::input::{ByteInput, Compression};
use crate::file::split::FileSplit;
use crate::file::{FileSourceInner, ParseErrors};
use crate::format::columns::Columns;
use crate::format::{Decoded, Decoder, Malformed};
use crate::rate::RateLimit;

/// A batch ends after so many bytes of the file, however few rows they are.
const STEP_BYTES: u64 = 2 << 20;

pub(crate) struct FileReader {
    source: Arc<FileSourceInner>,
    columns: Columns,
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
        let columns = Columns::new(&source.schema, source.format.name(), source.format.nesting())?;
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
        let begin = open.input.offset();
        let mut ended = false;
        let mut seen = 0;
        while seen < max_records && open.input.offset() - begin < STEP_BYTES {
            match open.decoder.decode(&mut open.input, open.split.end, &mut self.columns)? {
                Decoded::Row => {}
                Decoded::Malformed(malformed) => {
                    skip_or_fail(&self.source, open, malformed, &self.counter)?;
                }
                Decoded::End => {
                    ended = true;
                    break;
                }
            }
            seen += 1;
        }
        open.split.position = Some(open.input.offset());
        open.split.lines = open.input.line;
        let batch = (self.columns.rows > 0)
            .then(|| self.columns.finish())
            .transpose()?
            .map(|records| Batch::new(ArrowBatch::inserts(records)));
        Ok((batch, ended))
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
        if !open.reach_start()? {
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
            let read = open.input.file_bytes().saturating_sub(open.split.start);
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
        let compression = source.compression.of(path)?;
        let metadata = std::fs::metadata(path).map_err(|error| ConnectorError::io("read", path, error))?;
        if metadata.is_dir() {
            return Err(ConnectorError::NotAFile { path: path.to_path_buf(), found: "now a folder" });
        }
        if let (Some(position), Compression::None) = (split.position, compression)
            && position > metadata.len()
        {
            return Err(ConnectorError::Resume {
                path: path.to_path_buf(),
                reason: format!(
                    "{position} bytes of it had been read, but now it has only {}",
                    metadata.len()
                ),
            });
        }
        let mut input = ByteInput::open(path, compression)?;
        let mut decoder = source.format.decoder(&source.schema)?;
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
        Ok(Self { id: split.id(), split, input, decoder, target: Some(target), skip_line })
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

fn skip_or_fail(
    source: &FileSourceInner,
    open: &OpenSplit,
    malformed: Malformed,
    counter: &Counter,
) -> Result<(), ConnectorError> {
    let Malformed { lines_before, offset, column, problem, skippable } = malformed;
    let path = &open.split.path;
    if source.format.ignores_parse_errors() && skippable {
        let errors: &ParseErrors = &source.errors;
        errors.add(|| {
            let place = if open.split.start == 0 {
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
    let place = match open.split.start {
        0 => format!("{path} line {}", lines_before + 1),
        _ => match count_lines(Path::new(path), offset) {
            Ok(lines) => format!("{path} line {}", lines + 1),
            Err(_) => format!("{path} byte {offset}"),
        },
    };
    let option = skippable.then(|| source.format.skip_option());
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
