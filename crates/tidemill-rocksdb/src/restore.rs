//! Restoring from native snapshots: one of them is taken over as files, and cut to the key groups that are owned; from the
//! others what is owned is copied. The rows beside the files of each are written over these.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use rust_rocksdb::{
    BoundColumnFamily, Error, IngestExternalFileOptions, ReadOptions, SstFileWriter, WriteBatch, WriteOptions,
};
use tidemill_core::{KeyGroup, KeyGroupRange};
use tidemill_state::{HotRows, NativeSnapshot, NativeTable, RestoredTable, StateError, TableId, Write};

use crate::database::{Database, Family, Opened, Setup, StoreFolder};
use crate::options;
use crate::store::failed;

/// How many bytes of restored rows are written at once, about.
const AT_ONCE: usize = 1 << 20;

/// The snapshot whose files are worth being taken over, if there is one.
pub(crate) fn base<'a>(
    sources: &[&'a NativeSnapshot],
    owned: KeyGroupRange,
    threshold: f64,
) -> Option<&'a NativeSnapshot> {
    let overlap =
        |source: &NativeSnapshot| source.key_groups.iter().filter(|group| owned.contains(*group)).count();
    let best = sources.iter().copied().max_by_key(|source| overlap(source))?;
    let share = overlap(best) as f64 / best.key_groups.len().max(1) as f64;
    (share > 0.0 && share >= threshold).then_some(best)
}

/// Links what never changes and copies the rest.
fn link(source: &NativeSnapshot, to: &Path) -> Result<(), StateError> {
    source.check_files()?;
    for file in source.files.iter().filter(|file| file.name != HotRows::FILE_NAME) {
        let target = to.join(&file.name);
        let linked = file.shared_id.is_some() && fs::hard_link(&file.path, &target).is_ok();
        if !linked {
            let copied = fs::copy(&file.path, &target);
            copied.map_err(|error| StateError::NativeFile {
                path: file.path.clone(),
                reason: error.to_string(),
            })?;
        }
    }
    Ok(())
}

/// Names the file of the snapshot that RocksDB complains about.
fn unreadable(source: &NativeSnapshot, error: &Error) -> StateError {
    let reason = error.to_string();
    let named = source.files.iter().filter(|file| reason.contains(&file.name));
    let path = named.max_by_key(|file| file.name.len()).map_or(source.folder.path(), |file| &file.path);
    StateError::NativeFile { path: path.to_path_buf(), reason }
}

fn families(source: &NativeSnapshot) -> Vec<Family> {
    let own = source.tables.iter().map(|table| Family::new(&table.family, table.stamped));
    own.chain([Family::new("default", false)]).collect()
}

/// Opens the files of a snapshot in `folder`, which is empty, and removes what is not owned.
pub(crate) fn open_base(
    setup: &Arc<Setup>,
    folder: &Arc<StoreFolder>,
    source: &NativeSnapshot,
    owned: KeyGroupRange,
) -> Result<(Opened, Vec<RestoredTable>), StateError> {
    link(source, &folder.path)?;
    let inherited: HashMap<String, String> =
        source.files.iter().filter_map(|file| Some((file.name.clone(), file.shared_id.clone()?))).collect();
    let opened = Opened::open(setup, folder, families(source), inherited);
    let opened = opened.map_err(|error| unreadable(source, &error))?;
    let tables: Vec<_> =
        source.tables.iter().zip(0..).map(|(table, number)| restored(table, TableId(number))).collect();
    for table in &tables {
        clip(&opened, &setup.settings, table.table, source.key_groups, owned)?;
    }
    let ids = source.tables.iter().zip(&tables).map(|(from, to)| (from.family.as_str(), to.table)).collect();
    add_hot_rows(&opened, source, owned, &ids)?;
    Ok((opened, tables))
}

/// Writes the rows of the key groups that are owned which lie beside the files of a snapshot, into tables that have what was in the files.
fn add_hot_rows(
    opened: &Opened,
    source: &NativeSnapshot,
    owned: KeyGroupRange,
    tables: &HashMap<&str, TableId>,
) -> Result<(), StateError> {
    let Some(file) = source.files.iter().find(|file| file.name == HotRows::FILE_NAME) else { return Ok(()) };
    let bad = |reason: String| StateError::NativeFile { path: file.path.clone(), reason };
    let mut rows = BufReader::new(File::open(&file.path).map_err(|error| bad(error.to_string()))?);
    let mut writes = WriteOptions::default();
    writes.disable_wal(true);
    let mut batch = WriteBatch::default();
    let write = |batch: &mut WriteBatch| {
        let written = opened.db.write_opt(batch, &writes);
        batch.clear();
        written.map_err(|error| failed("write restored rows", &error))
    };
    let read = HotRows::read(&mut rows, &mut |table, change| {
        let id = tables.get(table).ok_or_else(|| bad(format!("there is no table {table}")))?;
        let (Write::Put(key, _) | Write::Append(key, _) | Write::Delete(key)) = change;
        let group = key.first_chunk().ok_or_else(|| bad("the key of a row is too short".to_owned()))?;
        if !owned.contains(KeyGroup::from_be_bytes(*group)) {
            return Ok(());
        }
        let family = opened.family(*id)?;
        match change {
            Write::Put(key, value) => batch.put_cf(&family, key, value),
            Write::Append(key, value) => batch.merge_cf(&family, key, value),
            Write::Delete(key) => batch.delete_cf(&family, key),
        }
        if batch.size_in_bytes() < AT_ONCE { Ok(()) } else { write(&mut batch) }
    });
    read.map_err(|error| match error {
        StateError::Snapshot(reason) => bad(reason),
        error => error,
    })?;
    write(&mut batch)
}

fn restored(table: &NativeTable, id: TableId) -> RestoredTable {
    RestoredTable {
        state: table.state.clone(),
        schema: table.schema.clone(),
        stamped: table.stamped,
        table: id,
    }
}

/// Removes the rows of key groups that are not owned.
fn clip(
    opened: &Opened,
    settings: &crate::settings::RocksDbSettings,
    table: TableId,
    has: KeyGroupRange,
    owned: KeyGroupRange,
) -> Result<(), StateError> {
    let (Some(has), Some(owned)) = (has.bounds(), owned.bounds()) else { return Ok(()) };
    let below = (has.start() < owned.start()).then(|| (*has.start(), *owned.start()));
    let above = (has.end() > owned.end()).then(|| (owned.end() + 1, has.end() + 1));
    let family = opened.family(table)?;
    let mut writes = WriteOptions::default();
    writes.disable_wal(true);
    for (from, to) in below.into_iter().chain(above) {
        if settings.delete_files_in_range {
            // The end belongs to it: one that is below all rows of the first key group that stays.
            let mut last = (to - 1).to_be_bytes().to_vec();
            last.extend_from_slice(&[0xff; 32]);
            let removed = opened.db.delete_file_in_range_cf(&family, from.to_be_bytes().to_vec(), last);
            removed.map_err(|error| failed("remove files of other key groups", &error))?;
        }
        let removed = opened.db.delete_range_cf_opt(&family, from.to_be_bytes(), to.to_be_bytes(), &writes);
        removed.map_err(|error| failed("remove rows of other key groups", &error))?;
    }
    Ok(())
}

/// Copies what is owned out of the files of a snapshot, which are opened in a folder of their own.
pub(crate) fn copy(
    opened: &Opened,
    setup: &Setup,
    source: &NativeSnapshot,
    owned: KeyGroupRange,
    workplace: &Path,
    tables: &mut Vec<RestoredTable>,
) -> Result<(), StateError> {
    let Some((from, to)) = overlap(source.key_groups, owned) else { return Ok(()) };
    let made = fs::create_dir(workplace);
    made.map_err(|error| StateError::NativeFile {
        path: workplace.to_path_buf(),
        reason: error.to_string(),
    })?;
    let workplace = StoreFolder::new(workplace.to_path_buf(), None);
    link(source, &workplace.path)?;
    let mut of_database = options::database(&setup.settings, None, false);
    of_database.set_db_log_dir(&workplace.path);
    // No filter: what has expired is for the state to judge.
    let descriptors =
        families(source).into_iter().map(|family| Family::new(family.name, false).descriptor(setup));
    let from_db = Database::open_cf_descriptors_read_only(&of_database, &workplace.path, descriptors, false);
    let from_db = from_db.map_err(|error| unreadable(source, &error))?;
    let mut ids = HashMap::new();
    for table in &source.tables {
        let same = |known: &&RestoredTable| {
            (&known.state, &known.schema, known.stamped) == (&table.state, &table.schema, table.stamped)
        };
        let id = match tables.iter().find(same) {
            Some(known) => known.table,
            None => {
                let id = opened.new_table(&table.state, table.stamped)?;
                tables.push(restored(table, id));
                id
            }
        };
        ids.insert(table.family.as_str(), id);
        let family = from_db.cf_handle(&table.family).ok_or_else(|| StateError::NativeFile {
            path: source.folder.path().to_path_buf(),
            reason: format!("there is no table {}", table.family),
        })?;
        let mut read = ReadOptions::default();
        read.set_iterate_upper_bound(to);
        // What is read once would only push out what is read again.
        read.fill_cache(false);
        let mut rows = from_db.raw_iterator_cf_opt(&family, read);
        rows.seek(from);
        let target = opened.family(id)?;
        let mut sink = Sink::new(opened, setup, &target, &workplace.path);
        while let Some((key, value)) = rows.item() {
            sink.row(key, value)?;
            rows.next();
        }
        rows.status().map_err(|error| unreadable(source, &error))?;
        sink.finish()?;
    }
    add_hot_rows(opened, source, owned, &ids)
}

/// Where the rows of the key groups in both ranges begin, and where they end.
fn overlap(has: KeyGroupRange, owned: KeyGroupRange) -> Option<([u8; 2], [u8; 2])> {
    let (has, owned) = (has.bounds()?, owned.bounds()?);
    let (from, to) = (*has.start().max(owned.start()), *has.end().min(owned.end()));
    (from <= to).then(|| (from.to_be_bytes(), (to + 1).to_be_bytes()))
}

/// Takes rows in their order, in batches or as files.
struct Sink<'a> {
    opened: &'a Opened,
    setup: &'a Setup,
    family: &'a Arc<BoundColumnFamily<'a>>,
    workplace: &'a Path,
    writes: WriteOptions,
    batch: WriteBatch,
    file: Option<SstFileWriter<'a>>,
    written: u64,
    files: Vec<std::path::PathBuf>,
}

impl<'a> Sink<'a> {
    fn new(
        opened: &'a Opened,
        setup: &'a Setup,
        family: &'a Arc<BoundColumnFamily<'a>>,
        workplace: &'a Path,
    ) -> Self {
        let mut writes = WriteOptions::default();
        writes.disable_wal(true);
        let (batch, file, written, files) = (WriteBatch::default(), None, 0, Vec::new());
        Self { opened, setup, family, workplace, writes, batch, file, written, files }
    }

    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<(), StateError> {
        if !self.setup.settings.ingest {
            self.batch.put_cf(self.family, key, value);
            // By count alone where no size is set.
            let limit = self.setup.settings.write_batch_size;
            let full = (limit > 0 && self.batch.size_in_bytes() as u64 >= limit) || self.batch.len() >= 500;
            return if full { self.write() } else { Ok(()) };
        }
        if self.file.is_none() {
            let path = self.workplace.join(format!("copied-{}.sst", self.files.len()));
            let mut file = SstFileWriter::create(&self.setup.of_table);
            file.open(&path).map_err(|error| failed("begin a file", &error))?;
            self.files.push(path);
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            file.put(key, value).map_err(|error| failed("write a file", &error))?;
        }
        self.written += (key.len() + value.len()) as u64;
        if self.written >= self.setup.settings.target_file_size { self.end_file() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StateError> {
        let batch = std::mem::take(&mut self.batch);
        let written = self.opened.db.write_opt(&batch, &self.writes);
        written.map_err(|error| failed("write copied rows", &error))
    }

    fn end_file(&mut self) -> Result<(), StateError> {
        self.written = 0;
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.finish().map_err(|error| failed("end a file", &error))
    }

    fn finish(mut self) -> Result<(), StateError> {
        if !self.batch.is_empty() {
            self.write()?;
        }
        self.end_file()?;
        if self.files.is_empty() {
            return Ok(());
        }
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        let files = std::mem::take(&mut self.files);
        let taken = self.opened.db.ingest_external_file_cf_opts(self.family, &options, files);
        taken.map_err(|error| failed("take in a file", &error))
    }
}
