//! [`NativeSnapshot`]: keyed state as the files of a store, which cost next to nothing to keep and nothing to keep again.
//!
//! Where a canonical snapshot is made by going through every entry, a native one is made of the files that the store has
//! anyway. Most of them never change once they are there, so that a checkpoint uploads only what is new.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidemill_core::{KeyGroup, KeyGroupRange, ScratchFolder, hash, key_group};
use tidemill_serialization::{DecodeError, Input};

use crate::codec::{get_bytes, get_count, get_text, get_varint, put_bytes, put_varint};
use crate::container::{decode_schema, encode_schema};
use crate::error::StateError;
use crate::hot_rows::HotRows;
use crate::snapshot::StateSchema;

const MAGIC: &[u8; 4] = b"TMSN";
/// Of descriptions without, and with, a file that releases before it would leave out: [`HotRows::FILE_NAME`].
const VERSIONS: [u8; 2] = [1, 2];
/// Magic, version and checksum.
const FRAME: usize = 4 + 1 + 8;

/// A folder with the files of a [`NativeSnapshot`].
///
/// ```
/// use std::path::Path;
/// use tidemill_state::NativeFolder;
///
/// let folder = NativeFolder::kept("/checkpoints/7");
/// assert_eq!(folder.path(), Path::new("/checkpoints/7"));
/// ```
#[derive(Debug)]
pub struct NativeFolder {
    path: PathBuf,
    temporary: bool,
    /// What it is in, and stays for as long.
    _scratch: Option<ScratchFolder>,
}

impl NativeFolder {
    /// A folder that is removed, with all that is in it, when the last snapshot in it is dropped.
    pub fn temporary(path: impl Into<PathBuf>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), temporary: true, _scratch: None })
    }

    /// As [`temporary`](Self::temporary), in a folder that stays for as long.
    pub fn temporary_in(scratch: Option<ScratchFolder>, path: impl Into<PathBuf>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), temporary: true, _scratch: scratch })
    }

    /// A folder that stays.
    pub fn kept(path: impl Into<PathBuf>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), temporary: false, _scratch: None })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for NativeFolder {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed is left to whoever clears the folders for temporary files.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// One file of a [`NativeSnapshot`].
///
/// ```
/// use tidemill_state::NativeFile;
///
/// let table = NativeFile {
///     name: "000012.sst".to_owned(),
///     path: "/tmp/count-0/000012.sst".into(),
///     bytes: 4_096,
///     shared_id: Some("5f1c-000012.sst".to_owned()),
/// };
/// assert_eq!(table, NativeFile { path: "/elsewhere/000012.sst".into(), ..table.clone() });
/// ```
#[derive(Clone, Debug)]
pub struct NativeFile {
    /// What the store calls it, and expects it to be called when it is restored: a name without folders.
    pub name: String,
    /// Where it is now.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// Of a file that never changes: what tells it from all others of any store. A file with the same id that was
    /// uploaded before, by whichever subtask or attempt, need not be uploaded again. `None` for files that are others in each
    /// snapshot: small ones, and [`HotRows`].
    pub shared_id: Option<String>,
}

/// Wherever they are.
impl PartialEq for NativeFile {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.bytes, &self.shared_id) == (&other.name, other.bytes, &other.shared_id)
    }
}

/// A table in the files of a [`NativeSnapshot`]: one state, or what is left of it as an earlier release of the program wrote it.
///
/// ```
/// use tidemill_serialization::SerializerSnapshot;
/// use tidemill_state::{NativeTable, StateKind, StateSchema};
///
/// let types = vec![SerializerSnapshot::of::<String>(), SerializerSnapshot::of::<()>(), SerializerSnapshot::of::<u64>()];
/// let visits = NativeTable {
///     state: "visits".to_owned(),
///     schema: StateSchema { kind: StateKind::Value, types },
///     stamped: false,
///     family: "state/visits".to_owned(),
/// };
/// assert_eq!(visits.schema.to_string(), "value state (key String, namespace (), holding u64)");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NativeTable {
    /// The name that the state was declared with.
    pub state: String,
    /// What it holds.
    pub schema: StateSchema,
    /// Whether each entry has the time at which it was last touched.
    pub stamped: bool,
    /// What the store calls the table.
    pub family: String,
}

/// The keyed state of one subtask as files of its store.
///
/// Two are equal when they say the same and have the same files, wherever these lie. The files stay as long as a clone
/// is there, and what is in them never changes: restoring from them links or copies them.
///
/// ```
/// use tidemill_core::KeyGroupRange;
/// use tidemill_state::{NativeFolder, NativeSnapshot};
///
/// let folder = NativeFolder::kept("/checkpoints/7");
/// let snapshot = NativeSnapshot {
///     backend: "rocksdb".to_owned(),
///     key_groups: KeyGroupRange::all(128),
///     max_parallelism: 128,
///     tables: Vec::new(),
///     files: Vec::new(),
///     folder: folder.clone(),
/// };
/// assert_eq!(NativeSnapshot::decode(&snapshot.descriptor(), folder)?, snapshot);
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct NativeSnapshot {
    /// The backend that wrote the files, and the only one that reads them.
    pub backend: String,
    /// The key groups that are in them.
    pub key_groups: KeyGroupRange,
    /// The max parallelism by which keys were put into key groups.
    pub max_parallelism: u32,
    /// The tables, by state.
    pub tables: Vec<NativeTable>,
    /// The files, by name.
    pub files: Vec<NativeFile>,
    /// Where the files are.
    pub folder: Arc<NativeFolder>,
}

impl PartialEq for NativeSnapshot {
    fn eq(&self, other: &Self) -> bool {
        self.backend == other.backend
            && self.key_groups == other.key_groups
            && self.max_parallelism == other.max_parallelism
            && self.tables == other.tables
            && self.files == other.files
    }
}

impl NativeSnapshot {
    /// The bytes of all files.
    pub fn byte_size(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// All but the contents of the files, as bytes with version and checksum.
    pub fn descriptor(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + 64 * self.files.len());
        out.extend_from_slice(MAGIC);
        let has_hot_rows = self.files.iter().any(|file| file.name == HotRows::FILE_NAME);
        out.push(VERSIONS[usize::from(has_hot_rows)]);
        put_bytes(&mut out, self.backend.as_bytes());
        put_varint(&mut out, u64::from(self.max_parallelism));
        let start = self.key_groups.bounds().map_or(0, |bounds| *bounds.start());
        put_varint(&mut out, u64::from(start));
        put_varint(&mut out, self.key_groups.len() as u64);
        put_varint(&mut out, self.tables.len() as u64);
        for table in &self.tables {
            put_bytes(&mut out, table.state.as_bytes());
            encode_schema(&table.schema, table.stamped, &mut out);
            put_bytes(&mut out, table.family.as_bytes());
        }
        put_varint(&mut out, self.files.len() as u64);
        for file in &self.files {
            put_bytes(&mut out, file.name.as_bytes());
            put_varint(&mut out, file.bytes);
            // An id is never empty.
            put_bytes(&mut out, file.shared_id.as_deref().unwrap_or_default().as_bytes());
        }
        let checksum = hash::bytes(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads what [`descriptor`](Self::descriptor) wrote, of a snapshot whose files are in `folder` now, by their names.
    ///
    /// ```
    /// use tidemill_state::{NativeFolder, NativeSnapshot};
    ///
    /// let damaged = NativeSnapshot::decode(b"TMSN?", NativeFolder::kept("/checkpoints/7")).unwrap_err();
    /// assert!(damaged.to_string().contains("too short"), "{damaged}");
    /// ```
    ///
    /// # Errors
    /// When the bytes are damaged, cut off, or of a version that this release does not know. Whether the files are there is
    /// not looked at: see [`check_files`](Self::check_files).
    pub fn decode(bytes: &[u8], folder: Arc<NativeFolder>) -> Result<Self, StateError> {
        let unreadable =
            |what: &str| Err(StateError::Snapshot(format!("{what} (of the files of a state backend)")));
        if bytes.len() < FRAME {
            return unreadable("it is too short to be a description");
        }
        if &bytes[..4] != MAGIC {
            return unreadable("it does not start as a description does");
        }
        if !VERSIONS.contains(&bytes[4]) {
            let (version, [from, to]) = (bytes[4], VERSIONS);
            return unreadable(&format!(
                "the description has version {version}, this release reads versions {from} to {to}"
            ));
        }
        let (body, checksum) = bytes.split_at(bytes.len() - 8);
        if hash::bytes(body).to_le_bytes() != checksum {
            return unreadable("the checksum of the description is wrong: the bytes were damaged or cut off");
        }
        let mut input = Input::new(&body[5..]);
        match decode_body(&mut input, folder) {
            Ok(snapshot) if input.remaining() == 0 => Ok(snapshot),
            Ok(_) => unreadable("bytes are left over at the end of the description"),
            Err(error) => unreadable(&error.to_string()),
        }
    }

    /// Checks that all files are there, and as long as they were.
    ///
    /// ```
    /// use tidemill_core::KeyGroupRange;
    /// use tidemill_state::{NativeFile, NativeFolder, NativeSnapshot};
    ///
    /// let file = NativeFile {
    ///     name: "000012.sst".to_owned(),
    ///     path: "/nonexistent/000012.sst".into(),
    ///     bytes: 4_096,
    ///     shared_id: None,
    /// };
    /// let snapshot = NativeSnapshot {
    ///     backend: "rocksdb".to_owned(),
    ///     key_groups: KeyGroupRange::all(128),
    ///     max_parallelism: 128,
    ///     tables: Vec::new(),
    ///     files: vec![file],
    ///     folder: NativeFolder::kept("/nonexistent"),
    /// };
    /// assert!(snapshot.check_files().unwrap_err().to_string().contains("/nonexistent/000012.sst"));
    /// ```
    ///
    /// # Errors
    /// When one is not; it is named.
    pub fn check_files(&self) -> Result<(), StateError> {
        for file in &self.files {
            let bad = |reason: String| StateError::NativeFile { path: file.path.clone(), reason };
            let found = fs::metadata(&file.path).map_err(|error| bad(error.to_string()))?.len();
            if found != file.bytes {
                return Err(bad(format!("it has {found} bytes, and had {} when it was written", file.bytes)));
            }
        }
        Ok(())
    }

    /// How many of its key groups are in `range`.
    pub(crate) fn overlap(&self, range: KeyGroupRange) -> usize {
        self.key_groups.iter().filter(|group| range.contains(*group)).count()
    }
}

fn decode_body(input: &mut Input<'_>, folder: Arc<NativeFolder>) -> Result<NativeSnapshot, DecodeError> {
    let backend = get_text(input, "name of a backend")?;
    let max_parallelism = get_varint(input, "max parallelism")?;
    let start = get_varint(input, "first key group")?;
    let count = get_varint(input, "count of key groups")?;
    if max_parallelism > u64::from(key_group::UPPER_BOUND_MAX_PARALLELISM) {
        let detail = format!("{max_parallelism} is too large");
        return Err(DecodeError::Invalid { what: "max parallelism", detail });
    }
    let end = start.saturating_add(count);
    if count == 0 || end > max_parallelism {
        let detail = format!("{count} from {start} on are not among {max_parallelism}");
        return Err(DecodeError::Invalid { what: "key groups", detail });
    }
    let key_groups = KeyGroupRange::new(start as KeyGroup, (end - 1) as KeyGroup);
    let tables = get_count(input, 5, "tables")?;
    let tables = (0..tables).map(|_| {
        let state = get_text(input, "name of a state")?;
        let (schema, stamped) = decode_schema(input)?;
        Ok(NativeTable { state, schema, stamped, family: get_text(input, "name of a table")? })
    });
    let tables = tables.collect::<Result<Vec<_>, DecodeError>>()?;
    let files = get_count(input, 3, "files")?;
    let files = (0..files).map(|_| {
        let name = get_text(input, "name of a file")?;
        // It becomes a path: no other folder may be reached by it.
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
            return Err(DecodeError::Invalid {
                what: "name of a file",
                detail: format!("{name:?} is not one"),
            });
        }
        let bytes = get_varint(input, "size of a file")?;
        let id = get_bytes(input, "id of a file")?;
        let shared_id = (!id.is_empty()).then(|| String::from_utf8_lossy(id).into_owned());
        Ok(NativeFile { path: folder.path().join(&name), name, bytes, shared_id })
    });
    let files = files.collect::<Result<Vec<_>, DecodeError>>()?;
    let max_parallelism = max_parallelism as u32;
    Ok(NativeSnapshot { backend, key_groups, max_parallelism, tables, files, folder })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::StateKind;
    use proptest::prelude::*;
    use tidemill_serialization::SerializerSnapshot;

    fn sample() -> NativeSnapshot {
        let types = vec![
            SerializerSnapshot::of::<u64>(),
            SerializerSnapshot::of::<()>(),
            SerializerSnapshot::of::<String>(),
        ];
        let schema = StateSchema { kind: StateKind::List, types };
        let folder = NativeFolder::kept("/native");
        let file = |name: &str, shared_id: Option<&str>| NativeFile {
            name: name.to_owned(),
            path: folder.path().join(name),
            bytes: 7_000,
            shared_id: shared_id.map(str::to_owned),
        };
        NativeSnapshot {
            backend: "rocksdb".into(),
            key_groups: KeyGroupRange::new(64, 127),
            max_parallelism: 128,
            tables: vec![NativeTable {
                state: "list".into(),
                schema,
                stamped: true,
                family: "state/list".into(),
            }],
            files: vec![file("000012.sst", Some("ab-000012.sst")), file("CURRENT", None)],
            folder: folder.clone(),
        }
    }

    #[test]
    fn what_is_described_can_be_read() {
        let sample = sample();
        let read = NativeSnapshot::decode(&sample.descriptor(), NativeFolder::kept("/elsewhere")).unwrap();
        assert_eq!(read, sample);
        assert_eq!(read.files[1].path, Path::new("/elsewhere/CURRENT"));
        assert_eq!((read.byte_size(), read.overlap(KeyGroupRange::new(120, 127))), (14_000, 8));
    }

    /// Releases that do not know the file would restore without what is in it.
    #[test]
    fn rows_beside_the_files_are_of_another_version() {
        let mut with = sample();
        assert_eq!(with.descriptor()[4], 1);
        HotRows::FILE_NAME.clone_into(&mut with.files[1].name);
        let descriptor = with.descriptor();
        assert_eq!(descriptor[4], 2);
        assert_eq!(NativeSnapshot::decode(&descriptor, with.folder.clone()).unwrap(), with);
    }

    #[test]
    fn a_file_elsewhere_is_refused() {
        for name in ["../000012.sst", "/etc/passwd", "", "..", "a\\b"] {
            let mut sample = sample();
            name.clone_into(&mut sample.files[0].name);
            let error =
                NativeSnapshot::decode(&sample.descriptor(), NativeFolder::kept("/native")).unwrap_err();
            assert!(error.to_string().contains("is not one"), "{error}");
        }
    }

    #[test]
    fn a_temporary_folder_goes_with_the_last_snapshot() {
        let path = std::env::temp_dir().join(format!("tidemill-native-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("CURRENT"), "7").unwrap();
        let first = NativeSnapshot { folder: NativeFolder::temporary(&path), ..sample() };
        let second = first.clone();
        drop(first);
        assert!(path.join("CURRENT").exists());
        drop(second);
        assert!(!path.exists());
    }

    proptest! {
        /// Also behind a checksum that is right.
        #[test]
        fn damaged_bytes_are_an_error_or_another_snapshot(at in 0..200usize, with: u8, cut in 0..200usize) {
            let mut bytes = sample().descriptor();
            let folder = NativeFolder::kept("/native");
            prop_assert!(NativeSnapshot::decode(&bytes[..bytes.len() - 1 - cut % bytes.len()], folder.clone()).is_err());
            bytes.truncate(bytes.len() - 8);
            let place = at % bytes.len();
            bytes[place] = with;
            let checksum = hash::bytes(&bytes);
            bytes.extend_from_slice(&checksum.to_le_bytes());
            if let Ok(read) = NativeSnapshot::decode(&bytes, folder.clone()) {
                prop_assert_eq!(NativeSnapshot::decode(&read.descriptor(), folder).unwrap(), read);
            }
        }
    }
}
