//! The bytes of a file, decompressed, with the place where they are.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::ConnectorError;
use crate::format::MAX_RECORD_BYTES;

/// How files are compressed.
///
/// ```
/// use tidemill_connectors::Compression;
///
/// assert_eq!(Compression::default(), Compression::ByExtension);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// By the extension of each file: `.gz` and `.gzip`, `.zst` and `.zstd`, anything else is not compressed.
    #[default]
    ByExtension,
    /// Not at all.
    None,
    /// gzip, also of several members.
    Gzip,
    /// Zstandard, also of several frames.
    Zstd,
}

impl Compression {
    /// What a file is compressed with.
    pub(crate) fn of(self, path: &Path) -> Result<Compression, ConnectorError> {
        if self != Compression::ByExtension {
            return Ok(self);
        }
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let unknown =
            |compression| Err(ConnectorError::UnknownCompression { path: path.to_path_buf(), compression });
        match extension.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => Ok(Compression::Gzip),
            "zst" | "zstd" => Ok(Compression::Zstd),
            "bz2" => unknown("bzip2"),
            "xz" | "lzma" => unknown("xz"),
            "lz4" => unknown("lz4"),
            "zip" => unknown("zip"),
            "br" => unknown("brotli"),
            "snappy" | "sz" => unknown("snappy"),
            "deflate" => unknown("deflate"),
            _ => Ok(Compression::None),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::None | Compression::ByExtension => "uncompressed",
        }
    }
}

/// Counts what is read of a file, compressed as it is.
struct Counted {
    file: File,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Where the next line is.
pub(crate) enum Line {
    /// The first so many bytes of what is available, without the newline.
    Of(usize),
    /// It does not end within the longest that a record may be.
    TooLong,
    /// There is none.
    End,
}

const CHUNK: usize = 256 << 10;

/// Reads a file in chunks; the decoders take their records from what is available.
pub(crate) struct ByteInput {
    path: PathBuf,
    compression: Compression,
    source: Box<dyn Read + Send>,
    /// For files that are not compressed: the same file, to be positioned.
    seekable: Option<File>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    at_end: bool,
    read: Arc<AtomicU64>,
    /// Newlines that have been consumed.
    pub(crate) line: u64,
}

impl ByteInput {
    /// Opens a file at its start, behind a byte-order mark.
    pub(crate) fn open(path: &Path, compression: Compression) -> Result<Self, ConnectorError> {
        let fail = |error| ConnectorError::io("read", path, error);
        let file = File::open(path).map_err(fail)?;
        let read = Arc::new(AtomicU64::new(0));
        let mut seekable = None;
        let counted = |file| Counted { file, read: Arc::clone(&read) };
        let source: Box<dyn Read + Send> = match compression {
            Compression::Gzip => {
                let buffered = io::BufReader::with_capacity(CHUNK / 4, counted(file));
                Box::new(flate2::bufread::MultiGzDecoder::new(buffered))
            }
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(counted(file)).map_err(fail)?),
            Compression::None | Compression::ByExtension => {
                seekable = Some(file.try_clone().map_err(fail)?);
                Box::new(counted(file))
            }
        };
        let mut input = Self {
            path: path.to_path_buf(),
            compression,
            source,
            seekable,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            offset: 0,
            at_end: false,
            read,
            line: 0,
        };
        while input.end < 3 && input.fill()? {}
        if input.available().starts_with(b"\xef\xbb\xbf") {
            input.consume(3);
        }
        Ok(input)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes of the file itself have been taken.
    pub(crate) fn file_bytes(&self) -> u64 {
        match self.seekable {
            Some(_) => self.offset,
            None => self.read.load(Ordering::Relaxed),
        }
    }

    /// Where, in what the file holds when decompressed, the available bytes begin.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn available(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(crate) fn consume(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Makes more bytes available, after those that are; false at the end of the file.
    pub(crate) fn fill(&mut self) -> Result<bool, ConnectorError> {
        if self.at_end {
            return Ok(false);
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            // Doubled, and only by decoders that bound how much they ask for.
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let read = loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(error)),
                Ok(read) => break read,
            }
        };
        self.end += read;
        self.at_end = read == 0;
        Ok(read > 0)
    }

    fn failure(&self, error: io::Error) -> ConnectorError {
        let path = self.path.clone();
        let compression = self.compression.name();
        if self.seekable.is_some() || error.raw_os_error().is_some() {
            ConnectorError::io("read", path, error)
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            ConnectorError::TruncatedCompression { path, compression }
        } else {
            ConnectorError::CorruptCompression { path, compression, source: error }
        }
    }

    /// Finds the end of the line that begins here.
    pub(crate) fn find_line(&mut self) -> Result<Line, ConnectorError> {
        let mut searched = 0;
        loop {
            if let Some(at) = find_newline(&self.available()[searched..]) {
                return Ok(Line::Of(searched + at));
            }
            searched = self.available().len();
            if searched > MAX_RECORD_BYTES {
                return Ok(Line::TooLong);
            }
            if !self.fill()? {
                return Ok(if searched == 0 { Line::End } else { Line::Of(searched) });
            }
        }
    }

    /// Consumes a line that was found, with its newline.
    pub(crate) fn consume_line(&mut self, length: usize) {
        let newline = self.available().len() > length;
        self.consume(length + usize::from(newline));
        self.line += 1;
    }

    /// Consumes what is left of a line, however long.
    pub(crate) fn skip_line(&mut self) -> Result<(), ConnectorError> {
        loop {
            if let Some(at) = find_newline(self.available()) {
                self.consume_line(at);
                return Ok(());
            }
            self.consume(self.available().len());
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    /// Goes to a place behind this one: at once in a plain file, by reading in a compressed one, there at most `most`
    /// bytes. True when the place is reached.
    pub(crate) fn advance_to(&mut self, offset: u64, most: u64) -> Result<bool, ConnectorError> {
        if let Some(file) = &mut self.seekable {
            if offset != self.offset {
                file.seek(SeekFrom::Start(offset))
                    .map_err(|error| ConnectorError::io("read", &self.path, error))?;
                (self.start, self.end, self.offset, self.at_end) = (0, 0, offset, false);
            }
            return Ok(true);
        }
        let mut left = most;
        while self.offset < offset && left > 0 {
            if self.available().is_empty() && !self.fill()? {
                return Err(ConnectorError::Resume {
                    path: self.path.clone(),
                    reason: format!(
                        "{offset} bytes of it had been read, but now it has only {}",
                        self.offset
                    ),
                });
            }
            let step = (offset - self.offset).min(self.available().len() as u64).min(left);
            self.consume(usize::try_from(step).unwrap_or(usize::MAX));
            left -= step;
        }
        Ok(self.offset == offset)
    }
}

fn find_newline(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes)
}
