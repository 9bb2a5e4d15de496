//! Many changes of a table at once: written as files, which RocksDB takes in without having had them in its memory.

use std::fs;
use std::path::PathBuf;

use rust_rocksdb::{IngestExternalFileOptions, SstFileWriter};
use tidemill_state::{StateError, TableId, Write, WriteBatch};

use crate::database::{Opened, Setup, StoreFolder};
use crate::error::RocksDbError;
use crate::store::failed;

/// Writes the changes that `next` fills batches with, in the order of their keys, by way of files in `folder`, which must not exist.
pub(crate) fn write(
    opened: &Opened,
    setup: &Setup,
    table: TableId,
    folder: PathBuf,
    next: &mut dyn FnMut(&mut WriteBatch) -> Result<bool, StateError>,
) -> Result<(), StateError> {
    fs::create_dir(&folder)
        .map_err(|error| RocksDbError::Folder { path: folder.clone(), reason: error.to_string() })?;
    // What was not taken in goes with it.
    let folder = StoreFolder::new(folder, None);
    let mut files = Files { setup, folder, paths: Vec::new(), file: None, written: 0 };
    let mut batch = WriteBatch::default();
    let mut several = Vec::new();
    while next(&mut batch)? {
        let mut changes = batch.iter().map(Change::of).peekable();
        while let Some(mut change) = changes.next() {
            if changes.peek().is_none_or(|next| next.key != change.key) {
                files.add(change)?;
                continue;
            }
            // A file has one change of each key.
            several.clear();
            several.extend_from_slice(change.value);
            while let Some(next) = changes.next_if(|next| next.key == change.key) {
                change.kind = match (change.kind, next.kind) {
                    (Kind::Append, Kind::Append) => Kind::Append,
                    (_, Kind::Append) => Kind::Put,
                    (_, kind) => {
                        several.clear();
                        kind
                    }
                };
                several.extend_from_slice(next.value);
            }
            files.add(Change { value: &several, ..change })?;
        }
    }
    files.end()?;
    if files.paths.is_empty() {
        return Ok(());
    }
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    let taken = opened.db.ingest_external_file_cf_opts(&opened.family(table)?, &options, files.paths.clone());
    taken.map_err(|error| failed("take in a file", &error))
}

#[derive(Clone, Copy)]
enum Kind {
    Put,
    Append,
    Delete,
}

#[derive(Clone, Copy)]
struct Change<'a> {
    kind: Kind,
    key: &'a [u8],
    value: &'a [u8],
}

impl<'a> Change<'a> {
    fn of(write: Write<'a>) -> Self {
        match write {
            Write::Put(key, value) => Self { kind: Kind::Put, key, value },
            Write::Append(key, value) => Self { kind: Kind::Append, key, value },
            Write::Delete(key) => Self { kind: Kind::Delete, key, value: &[] },
        }
    }
}

/// Files of the size that RocksDB gives its own.
struct Files<'a> {
    setup: &'a Setup,
    folder: StoreFolder,
    paths: Vec<PathBuf>,
    file: Option<SstFileWriter<'a>>,
    /// Bytes in the last file.
    written: u64,
}

impl Files<'_> {
    fn add(&mut self, change: Change<'_>) -> Result<(), StateError> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let path = self.folder.path.join(format!("{}.sst", self.paths.len()));
                let mut file = SstFileWriter::create(&self.setup.of_table);
                file.open(&path).map_err(|error| failed("begin a file", &error))?;
                self.paths.push(path);
                self.file.insert(file)
            }
        };
        let Change { kind, key, value } = change;
        let added = match kind {
            Kind::Put => file.put(key, value),
            Kind::Append => file.merge(key, value),
            Kind::Delete => file.delete(key),
        };
        added.map_err(|error| failed("write a file", &error))?;
        self.written += (key.len() + value.len()) as u64;
        if self.written >= self.setup.settings.target_file_size { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), StateError> {
        self.written = 0;
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.finish().map_err(|error| failed("end a file", &error))
    }
}
