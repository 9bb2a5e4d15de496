//! [`HotRows`]: the rows of a store that are kept back from it because they change all the time, in a file beside those of a
//! checkpoint.
//!
//! The file is `TMHR`, a version, and blocks: length (4 bytes, little-endian), [hash](tidemill_core::hash::bytes) of what follows
//! (8 bytes), the name of a table, and its changes as kind, key and value. An empty block ends it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

use tidemill_core::hash;
use tidemill_serialization::{DecodeError, Input};

use crate::codec::{get_bytes, get_text, put_bytes};
use crate::error::StateError;
use crate::store::{Write, WriteBatch};

const MAGIC: &[u8; 4] = b"TMHR";
const VERSION: u8 = 1;
/// How many bytes a block has, about.
const BLOCK: usize = 256 * 1024;
/// Length and hash.
const FRAME: usize = 4 + 8;

const PUT: u8 = 1;
const APPEND: u8 = 2;
const DELETE: u8 = 3;

/// Writes such a file, which is made when the first row is added.
///
/// ```
/// use std::fs::File;
/// use tidemill_state::{HotRows, Write, WriteBatch};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join(HotRows::FILE_NAME);
/// let mut rows = HotRows::new(&path);
/// rows.begin("state/visits")?;
/// let mut batch = WriteBatch::default();
/// batch.put(b"JFK", |out| out.push(7));
/// rows.add(&batch)?;
/// assert!(rows.finish()?);
///
/// let mut read = Vec::new();
/// HotRows::read(&mut File::open(&path)?, &mut |table, change| {
///     assert_eq!(change, Write::Put(b"JFK", &[7]));
///     read.push(table.to_owned());
///     Ok(())
/// })?;
/// assert_eq!(read, ["state/visits"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct HotRows {
    path: PathBuf,
    file: Option<File>,
    table: String,
    /// The block that is being filled, with room for what stands before it.
    block: Vec<u8>,
    /// Where the changes begin in it.
    start: usize,
}

impl HotRows {
    /// What the file is called among those of a snapshot.
    pub const FILE_NAME: &'static str = "hot.rows";

    /// A file at `path`, which must not exist.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, table: String::new(), block: Vec::new(), start: 0 }
    }

    /// What is added from now on belongs to this table.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin(&mut self, table: &str) -> Result<(), StateError> {
        self.end_block()?;
        table.clone_into(&mut self.table);
        Ok(())
    }

    /// Adds changes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&mut self, batch: &WriteBatch) -> Result<(), StateError> {
        for change in batch.iter() {
            if self.block.is_empty() {
                self.block.resize(FRAME, 0);
                put_bytes(&mut self.block, self.table.as_bytes());
                self.start = self.block.len();
            }
            let (kind, key, value) = match change {
                Write::Put(key, value) => (PUT, key, Some(value)),
                Write::Append(key, value) => (APPEND, key, Some(value)),
                Write::Delete(key) => (DELETE, key, None),
            };
            self.block.push(kind);
            put_bytes(&mut self.block, key);
            if let Some(value) = value {
                put_bytes(&mut self.block, value);
            }
            if self.block.len() >= BLOCK {
                self.end_block()?;
            }
        }
        Ok(())
    }

    /// Ends the file; whether there is one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<bool, StateError> {
        self.end_block()?;
        let Some(file) = &mut self.file else { return Ok(false) };
        let mut end = [0; FRAME];
        end[4..].copy_from_slice(&hash::bytes(&[]).to_le_bytes());
        file.write_all(&end).map_err(|error| unwritable(&self.path, &error))?;
        Ok(true)
    }

    fn end_block(&mut self) -> Result<(), StateError> {
        if self.block.len() == self.start {
            return Ok(());
        }
        let path = &self.path;
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut file = File::create_new(path).map_err(|error| unwritable(path, &error))?;
                file.write_all(&[&MAGIC[..], &[VERSION]].concat())
                    .map_err(|error| unwritable(path, &error))?;
                self.file.insert(file)
            }
        };
        let checksum = hash::bytes(&self.block[FRAME..]);
        let length = u32::try_from(self.block.len() - FRAME).map_err(|_| StateError::NativeFile {
            path: path.clone(),
            reason: "a row is larger than 4 GiB".to_owned(),
        })?;
        self.block[..4].copy_from_slice(&length.to_le_bytes());
        self.block[4..FRAME].copy_from_slice(&checksum.to_le_bytes());
        file.write_all(&self.block).map_err(|error| unwritable(path, &error))?;
        self.block.clear();
        self.start = 0;
        Ok(())
    }

    /// Reads such a file, and shows each change with the name of its table.
    ///
    /// # Errors
    /// When it is damaged, cut off, or of a version that this release does not know, and those of `visit`.
    pub fn read(
        file: &mut dyn Read,
        visit: &mut dyn FnMut(&str, Write<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut start = [0; 5];
        read_exact(file, &mut start)?;
        if &start[..4] != MAGIC {
            return Err(damaged("it does not start as a file of rows does"));
        }
        if start[4] != VERSION {
            let version = start[4];
            return Err(damaged(&format!("it has version {version}, this release reads version {VERSION}")));
        }
        let mut block = Vec::new();
        loop {
            let (mut length, mut checksum) = ([0; 4], [0; 8]);
            read_exact(file, &mut length)?;
            read_exact(file, &mut checksum)?;
            let length = u64::from(u32::from_le_bytes(length));
            block.clear();
            // As much as there is, whatever a damaged length says.
            let read =
                file.take(length).read_to_end(&mut block).map_err(|error| damaged(&error.to_string()))?;
            if (read as u64) < length {
                return Err(damaged("it is cut off"));
            }
            if hash::bytes(&block) != u64::from_le_bytes(checksum) {
                return Err(damaged("a checksum is wrong"));
            }
            if length == 0 {
                let left =
                    file.take(1).read_to_end(&mut block).map_err(|error| damaged(&error.to_string()))?;
                return if left == 0 { Ok(()) } else { Err(damaged("bytes are left over at its end")) };
            }
            show_block(&block, visit)?;
        }
    }
}

fn show_block(
    block: &[u8],
    visit: &mut dyn FnMut(&str, Write<'_>) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let bad = |error: DecodeError| damaged(&error.to_string());
    let mut input = Input::new(block);
    let table = get_text(&mut input, "name of a table").map_err(bad)?;
    while input.remaining() > 0 {
        let [kind] = input.array("kind of a change").map_err(bad)?;
        let key = get_bytes(&mut input, "key of a row").map_err(bad)?;
        let mut value = || get_bytes(&mut input, "value of a row").map_err(bad);
        let change = match kind {
            PUT => Write::Put(key, value()?),
            APPEND => Write::Append(key, value()?),
            DELETE => Write::Delete(key),
            other => return Err(damaged(&format!("a change is of kind {other}"))),
        };
        visit(&table, change)?;
    }
    Ok(())
}

fn read_exact(file: &mut dyn Read, bytes: &mut [u8]) -> Result<(), StateError> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => damaged("it is cut off"),
        _ => damaged(&error.to_string()),
    })
}

fn damaged(reason: &str) -> StateError {
    StateError::Snapshot(format!("{reason} (of the rows beside the files of a state backend)"))
}

fn unwritable(path: &Path, error: &std::io::Error) -> StateError {
    StateError::NativeFile { path: path.to_owned(), reason: format!("it cannot be written: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Change = (u8, Vec<u8>, Vec<u8>);

    fn written(tables: &[(String, Vec<Change>)]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(HotRows::FILE_NAME);
        let mut rows = HotRows::new(&path);
        for (table, changes) in tables {
            rows.begin(table).unwrap();
            let mut batch = WriteBatch::default();
            for (kind, key, value) in changes {
                match kind {
                    0 => batch.put(key, |out| out.extend_from_slice(value)),
                    1 => batch.append(key, |out| out.extend_from_slice(value)),
                    _ => batch.delete(key),
                }
            }
            rows.add(&batch).unwrap();
        }
        let any = rows.finish().unwrap();
        assert_eq!(any, path.exists());
        if any { std::fs::read(path).unwrap() } else { Vec::new() }
    }

    fn read(bytes: &[u8]) -> Result<Vec<(String, Change)>, StateError> {
        let mut found = Vec::new();
        HotRows::read(&mut &*bytes, &mut |table, change| {
            let (kind, key, value): (_, _, &[u8]) = match change {
                Write::Put(key, value) => (0, key, value),
                Write::Append(key, value) => (1, key, value),
                Write::Delete(key) => (2, key, &[]),
            };
            found.push((table.to_owned(), (kind, key.to_vec(), value.to_vec())));
            Ok(())
        })?;
        Ok(found)
    }

    fn change() -> impl Strategy<Value = Change> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..20);
        // Some that fill a block, or more than one.
        let value = prop_oneof![20 => bytes(), 1 => (0..2 * BLOCK).prop_map(|length| vec![7; length])];
        (0..3u8, bytes(), value).prop_map(|(kind, key, value)| match kind {
            2 => (kind, key, Vec::new()),
            _ => (kind, key, value),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_is_read(
            tables in prop::collection::vec(("[a-z]{0,9}", prop::collection::vec(change(), 0..40)), 0..4)
        ) {
            let expected: Vec<_> = tables
                .iter()
                .flat_map(|(table, changes)| changes.iter().map(|change| (table.clone(), change.clone())))
                .collect();
            let bytes = written(&tables);
            if expected.is_empty() {
                prop_assert!(bytes.is_empty());
            } else {
                prop_assert_eq!(read(&bytes).unwrap(), expected);
            }
        }

        #[test]
        fn damage_is_noticed(at in 0..2_000usize, flip in 1..=255u8) {
            let changes: Vec<Change> = (0..40).map(|key| (key % 3, vec![key; 4], vec![])).collect();
            let mut bytes = written(&[("state/a".to_owned(), changes.clone()), ("state/b".to_owned(), changes)]);
            let at = at % bytes.len();
            prop_assert!(read(&bytes[..at]).is_err());
            bytes[at] ^= flip;
            prop_assert!(read(&bytes).is_err());
        }
    }
}
