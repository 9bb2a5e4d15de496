//! What of a snapshot is too large to be held in memory: it lies in a file without a name, which goes with whoever uses it.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidemill_core::ScratchFolder;

use crate::error::StateError;

/// How much of a file is in memory while it is gone through.
const WINDOW: usize = 256 << 10;

/// Numbers the files of this process.
static UNIQUE: AtomicU64 = AtomicU64::new(0);

/// Where snapshots are put that are larger than what is held of one in memory.
///
/// ```
/// use tidemill_core::ScratchFolder;
/// use tidemill_state::Spill;
///
/// let spill = Spill::new(ScratchFolder::within(std::env::temp_dir()), 8 << 20);
/// assert!(spill.is_large(10 << 20) && !spill.is_large(8 << 20));
/// ```
#[derive(Clone, Debug)]
pub struct Spill {
    folder: ScratchFolder,
    memory: usize,
}

impl Spill {
    /// In files in `folder`, but for the first `memory` bytes.
    pub fn new(folder: ScratchFolder, memory: usize) -> Self {
        Self { folder, memory }
    }

    /// Whether so many bytes are too many to be held in memory.
    pub fn is_large(&self, bytes: u64) -> bool {
        bytes > self.memory as u64
    }

    /// The place of a new file, which is not there yet.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new_file(&self) -> Result<TemporaryFile, StateError> {
        let folder = self.folder.create().map_err(|error| self.failed("make a folder in", &error))?;
        let path = folder.join(format!("snapshot-{}", UNIQUE.fetch_add(1, Ordering::Relaxed)));
        Ok(TemporaryFile { path, _folder: self.folder.clone() })
    }

    fn failed(&self, action: &'static str, error: &io::Error) -> StateError {
        StateError::Spill { action, path: self.folder.parent().to_owned(), reason: error.to_string() }
    }

    /// An empty file.
    pub(crate) fn file(&self) -> Result<Arc<SpilledFile>, StateError> {
        let place = self.new_file()?;
        let made = File::options().read(true).write(true).create_new(true).open(&place.path);
        let file = made.map_err(|error| self.failed("make a file in", &error))?;
        // It needs no name, and without one it goes by itself, whatever becomes of the process.
        Ok(Arc::new(SpilledFile { file, path: place.path.clone() }))
    }

    pub(crate) fn writer(&self) -> SpillWriter {
        SpillWriter { spill: self.clone(), out: None, end: 0, held: 0 }
    }
}

/// A file, if it is there, that is removed when this is dropped. Whoever has it open still reads it.
///
/// ```
/// use tidemill_core::ScratchFolder;
/// use tidemill_state::Spill;
///
/// let file = Spill::new(ScratchFolder::within(std::env::temp_dir()), 0).new_file()?;
/// let path = file.path().to_owned();
/// std::fs::write(&path, "rows").unwrap();
/// drop(file);
/// assert!(!path.exists());
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Debug)]
pub struct TemporaryFile {
    path: PathBuf,
    /// What it is in, and stays for as long.
    _folder: ScratchFolder,
}

impl TemporaryFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, with what `write` writes.
    pub(crate) fn write(
        &self,
        write: &mut dyn FnMut(&mut dyn Write, &dyn Fn(&io::Error) -> StateError) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let failed = |error: &io::Error| {
            let (path, reason) = (self.path.clone(), error.to_string());
            StateError::Spill { action: "write", path, reason }
        };
        let file = File::create_new(&self.path).map_err(|error| failed(&error))?;
        let mut out = BufWriter::with_capacity(WINDOW, file);
        write(&mut out, &failed)?;
        out.flush().map_err(|error| failed(&error))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_file(&self.path);
    }
}

/// A file that parts of a snapshot lie in.
pub(crate) struct SpilledFile {
    file: File,
    /// Where it was made.
    path: PathBuf,
}

impl SpilledFile {
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, StateError> {
        let (opened, path) = (File::open(path), path.to_owned());
        match opened {
            Ok(file) => Ok(Arc::new(Self { file, path })),
            Err(error) => Err(StateError::Spill { action: "open", path, reason: error.to_string() }),
        }
    }

    fn failed(&self, action: &'static str, error: &io::Error) -> StateError {
        StateError::Spill { action, path: self.path.clone(), reason: error.to_string() }
    }

    pub(crate) fn length(&self) -> Result<u64, StateError> {
        Ok(self.file.metadata().map_err(|error| self.failed("look at", &error))?.len())
    }

    pub(crate) fn read_at(&self, at: u64, bytes: &mut [u8]) -> Result<(), StateError> {
        self.file.read_exact_at(bytes, at).map_err(|error| self.failed("read", &error))
    }

    /// Shows a part of it, piece by piece.
    pub(crate) fn for_each(
        &self,
        part: Range<u64>,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut buffer = vec![0; window(part.end - part.start)];
        let mut at = part.start;
        while at < part.end {
            let piece = window(part.end - at);
            self.read_at(at, &mut buffer[..piece])?;
            visit(&buffer[..piece])?;
            at += piece as u64;
        }
        Ok(())
    }
}

fn window(length: u64) -> usize {
    usize::try_from(length).map_or(WINDOW, |length| length.min(WINDOW))
}

/// Writes at the end of a file that others have, too.
struct Appending(Arc<SpilledFile>);

impl Write for Appending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0.file).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts pieces into one file, which is made when there is a first one.
pub(crate) struct SpillWriter {
    spill: Spill,
    out: Option<(Arc<SpilledFile>, BufWriter<Appending>)>,
    end: u64,
    /// Bytes that what was not put there takes in memory.
    held: usize,
}

impl SpillWriter {
    /// How many more bytes may be held in memory. Never nothing: a piece for each entry would be many.
    pub(crate) fn room(&self) -> usize {
        self.spill.memory.saturating_sub(self.held).max(self.spill.memory / 8).max(1)
    }

    /// So many bytes stay in memory.
    pub(crate) fn hold(&mut self, bytes: usize) {
        self.held += bytes;
    }

    /// Writes a piece, and says where it is; it can be read once [`flush`](Self::flush) was called.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<Range<u64>, StateError> {
        let (file, out) = match &mut self.out {
            Some(out) => out,
            None => {
                let file = self.spill.file()?;
                let out = BufWriter::with_capacity(WINDOW, Appending(Arc::clone(&file)));
                self.out.insert((file, out))
            }
        };
        out.write_all(bytes).map_err(|error| file.failed("write", &error))?;
        let start = self.end;
        self.end += bytes.len() as u64;
        Ok(start..self.end)
    }

    /// The file, if there is one, with all that was written.
    pub(crate) fn flush(&mut self) -> Result<Option<Arc<SpilledFile>>, StateError> {
        let Some((file, out)) = &mut self.out else { return Ok(None) };
        out.flush().map_err(|error| file.failed("write", &error))?;
        Ok(Some(Arc::clone(file)))
    }
}

/// The encoded entries of one key group of a state: in memory, or in a file for temporary files, where large ones are put.
///
/// ```
/// use tidemill_state::GroupBytes;
///
/// let entries = GroupBytes::from(vec![1, 2, 3]);
/// assert_eq!((entries.len(), &*entries.read()?), (3, &[1, 2, 3][..]));
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Clone)]
pub struct GroupBytes(Place);

#[derive(Clone)]
enum Place {
    Memory(Vec<u8>),
    File {
        file: Arc<SpilledFile>,
        /// In order, none of them empty.
        parts: Vec<Range<u64>>,
    },
}

impl From<Vec<u8>> for GroupBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Place::Memory(bytes))
    }
}

impl GroupBytes {
    pub(crate) fn in_file(file: Arc<SpilledFile>, parts: Vec<Range<u64>>) -> Self {
        Self(Place::File { file, parts })
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        match &self.0 {
            Place::Memory(bytes) => bytes.len(),
            Place::File { parts, .. } => {
                let bytes: u64 = parts.iter().map(|part| part.end - part.start).sum();
                usize::try_from(bytes).unwrap_or(usize::MAX)
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.0, Place::Memory(_))
    }

    /// All of them, in memory.
    ///
    /// # Errors
    /// When their file cannot be read.
    pub fn read(&self) -> Result<Cow<'_, [u8]>, StateError> {
        if let Place::Memory(bytes) = &self.0 {
            return Ok(Cow::Borrowed(bytes));
        }
        let mut all = Vec::with_capacity(self.len());
        self.for_each(&mut |piece| {
            all.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(Cow::Owned(all))
    }

    /// Puts others behind them, all in memory.
    pub(crate) fn append(&mut self, others: &GroupBytes) -> Result<(), StateError> {
        let mut all = self.read()?.into_owned();
        all.extend_from_slice(&others.read()?);
        self.0 = Place::Memory(all);
        Ok(())
    }

    /// Shows them, piece by piece.
    pub(crate) fn for_each(
        &self,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        match &self.0 {
            Place::Memory(bytes) => visit(bytes),
            Place::File { file, parts } => {
                parts.iter().try_for_each(|part| file.for_each(part.clone(), visit))
            }
        }
    }
}

/// Whether they are the same bytes, wherever they lie; those of a file that cannot be read are not.
impl PartialEq for GroupBytes {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && matches!((self.read(), other.read()), (Ok(a), Ok(b)) if a == b)
    }
}

impl fmt::Debug for GroupBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Memory(bytes) => bytes.fmt(f),
            Place::File { parts, .. } => write!(f, "{} bytes in a file in {} parts", self.len(), parts.len()),
        }
    }
}
