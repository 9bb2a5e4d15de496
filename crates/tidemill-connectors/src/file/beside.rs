//! Columns that are not in a file but beside it: the partition that it is in, and what the file system knows of it.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMillisecondArray,
    UInt32Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::error::ConnectorError;
use crate::file::listing;
use crate::format::columns::{Columns, Nesting};
use crate::partition::Partitions;

/// What is known of a file that is read, beside its rows.
///
/// ```
/// use tidemill_connectors::FileMetadata;
///
/// assert_eq!(FileMetadata::of_key("file.name"), Some(FileMetadata::Name));
/// assert!(FileMetadata::ALL.iter().all(|one| FileMetadata::of_key(one.key()) == Some(*one)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMetadata {
    /// Its path (`file.path`), text.
    Path,
    /// Its name (`file.name`), text.
    Name,
    /// Its bytes (`file.size`), a 64-bit number.
    Size,
    /// When it was last written (`file.modification-time`), a timestamp in milliseconds.
    ModificationTime,
}

impl FileMetadata {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Path, Self::Name, Self::Size, Self::ModificationTime];

    /// As it is called in Flink.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Path => "file.path",
            Self::Name => "file.name",
            Self::Size => "file.size",
            Self::ModificationTime => "file.modification-time",
        }
    }

    /// What is called so.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.key() == key)
    }

    /// Whether a column of a type can hold it.
    pub fn fits(self, data_type: &DataType) -> bool {
        match self {
            Self::Path | Self::Name => *data_type == DataType::Utf8,
            Self::Size => *data_type == DataType::Int64,
            Self::ModificationTime => matches!(data_type, DataType::Timestamp(TimeUnit::Millisecond, _)),
        }
    }

    /// The value of a file, as an array of one.
    fn value(self, path: &str, data_type: &DataType) -> Result<ArrayRef, ConnectorError> {
        let metadata = || std::fs::metadata(path).map_err(|error| ConnectorError::io("read", path, error));
        Ok(match self {
            Self::Path => Arc::new(StringArray::from(vec![path])),
            Self::Name => {
                let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
                Arc::new(StringArray::from(vec![name]))
            }
            Self::Size => {
                Arc::new(Int64Array::from(vec![i64::try_from(metadata()?.len()).unwrap_or(i64::MAX)]))
            }
            Self::ModificationTime => {
                let modified =
                    metadata()?.modified().map_err(|error| ConnectorError::io("look at", path, error))?;
                let since = modified.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
                let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
                Arc::new(TimestampMillisecondArray::from(vec![millis]).with_data_type(data_type.clone()))
            }
        })
    }
}

/// Columns of rows that are not in the files that the rows are in.
///
/// ```
/// use tidemill_connectors::{ColumnsBeside, Partitions};
///
/// let columns = ColumnsBeside { partitions: Some(Partitions::by(["day"])), ..ColumnsBeside::default() };
/// assert!(columns.metadata.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct ColumnsBeside {
    /// Those that the names of folders say.
    pub partitions: Option<Partitions>,
    /// The names of those that say what is known of a file.
    pub metadata: Vec<(String, FileMetadata)>,
}

/// Where a column of a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// That column of the file.
    File(usize),
    /// That of the partition's columns.
    Partition(usize),
    Metadata(FileMetadata),
}

/// Which rows of a batch of partitions are to be read: the columns of the batch are those of the partitions that are read.
pub type PartitionFilter =
    Arc<dyn Fn(&RecordBatch) -> Result<arrow_array::BooleanArray, String> + Send + Sync>;

/// Puts the columns of rows together.
#[derive(Clone)]
pub(crate) struct Beside {
    /// The columns of the rows.
    schema: SchemaRef,
    /// Those that are in the files.
    pub(crate) stored: SchemaRef,
    from: Vec<From>,
    pub(crate) partitions: Option<Partitions>,
    /// Those of the partitions' columns that are read, as columns of rows, and their numbers among the keys.
    keys: Vec<usize>,
    partition_schema: SchemaRef,
    root: String,
    pub(crate) filter: Option<PartitionFilter>,
}

impl Beside {
    pub(crate) fn new(
        path: &str,
        schema: &SchemaRef,
        partitions: Option<Partitions>,
        metadata: &[(String, FileMetadata)],
    ) -> Result<Self, ConnectorError> {
        let (mut from, mut stored, mut keys, mut of_keys) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for field in schema.fields() {
            let key =
                partitions.as_ref().and_then(|all| all.keys().iter().position(|key| key == field.name()));
            if let Some((_, one)) = metadata.iter().find(|(name, _)| name == field.name()) {
                if !one.fits(field.data_type()) {
                    return Err(ConnectorError::InvalidOption(format!(
                        "'{}' is no {}",
                        one.key(),
                        field.data_type()
                    )));
                }
                from.push(From::Metadata(*one));
            } else if let Some(key) = key {
                from.push(From::Partition(keys.len()));
                keys.push(key);
                of_keys.push(Field::new(field.name(), field.data_type().clone(), true));
            } else {
                from.push(From::File(stored.len()));
                stored.push(Arc::clone(field));
            }
        }
        let partition_schema: SchemaRef = Arc::new(Schema::new(of_keys));
        Columns::new(&partition_schema, "the names of partitions'", Nesting::OneLevel)?;
        Ok(Self {
            schema: Arc::clone(schema),
            stored: Arc::new(Schema::new(stored)),
            from,
            partitions,
            keys,
            partition_schema,
            root: listing::root(path).to_owned(),
            filter: None,
        })
    }

    /// Whether rows are those of the files as they are.
    pub(crate) fn is_plain(&self) -> bool {
        self.stored.fields().len() == self.schema.fields().len()
    }

    /// The values that the paths of files say, one row for each.
    fn partition_values<'a>(
        &self,
        paths: impl Iterator<Item = &'a str>,
    ) -> Result<RecordBatch, ConnectorError> {
        let mut columns =
            Columns::new(&self.partition_schema, "the names of partitions'", Nesting::OneLevel)?;
        for path in paths {
            let relative = listing::relative(&self.root, path);
            let values = match &self.partitions {
                Some(partitions) if !self.keys.is_empty() => {
                    partitions.values_of(relative).map_err(|key| ConnectorError::Malformed {
                        place: path.to_owned(),
                        problem: format!("the file is in no folder '{key}=…' of the table"),
                        column: Some(key),
                        option: None,
                    })?
                }
                _ => Vec::new(),
            };
            for (column, key) in columns.fields.columns.iter_mut().zip(&self.keys) {
                match values.get(*key).and_then(Option::as_deref) {
                    None => column.push_null(),
                    Some(text) => push(column, text).map_err(|problem| ConnectorError::Malformed {
                        place: path.to_owned(),
                        column: Some(column.name.to_string()),
                        problem,
                        option: None,
                    })?,
                }
            }
            columns.end_row();
        }
        columns.finish().map_err(|error| ConnectorError::Columns { reason: error.to_string() })
    }

    /// Which of these files are in partitions that are read.
    pub(crate) fn wanted(&self, paths: &[&str]) -> Result<Vec<bool>, ConnectorError> {
        let Some(filter) = self.filter.as_ref().filter(|_| !self.keys.is_empty()) else {
            return Ok(vec![true; paths.len()]);
        };
        // Files of one folder are in one partition.
        let folder = |path: &'_ str| path.rsplit_once('/').map_or(0, |(folder, _)| folder.len());
        let mut firsts: Vec<&str> = Vec::new();
        let mut of_paths = Vec::with_capacity(paths.len());
        for path in paths {
            let same = |first: &&str| first[..folder(first)] == path[..folder(path)];
            if !firsts.last().is_some_and(same) {
                firsts.push(path);
            }
            of_paths.push(firsts.len() - 1);
        }
        let values = self.partition_values(firsts.iter().copied())?;
        let kept = filter(&values).map_err(|reason| ConnectorError::Columns { reason })?;
        Ok(of_paths.into_iter().map(|row| kept.is_valid(row) && kept.value(row)).collect())
    }

    /// What stands beside the rows of a file.
    pub(crate) fn of_file(&self, path: &str) -> Result<OfFile, ConnectorError> {
        let partition = match self.keys.is_empty() {
            true => None,
            false => Some(self.partition_values(std::iter::once(path))?),
        };
        let mut constants = Vec::with_capacity(self.from.len());
        for (from, field) in self.from.iter().zip(self.schema.fields()) {
            constants.push(match from {
                From::File(_) => None,
                From::Partition(index) => partition.as_ref().map(|values| Arc::clone(values.column(*index))),
                From::Metadata(one) => Some(one.value(path, field.data_type())?),
            });
        }
        Ok(OfFile { constants })
    }

    /// Rows of a file with what stands beside them.
    pub(crate) fn rows(&self, file: &OfFile, rows: &RecordBatch) -> Result<RecordBatch, ConnectorError> {
        let wrong = |error: arrow_schema::ArrowError| ConnectorError::Columns { reason: error.to_string() };
        let count = rows.num_rows();
        let first = UInt32Array::from(vec![0; count]);
        let mut columns = Vec::with_capacity(self.from.len());
        for (from, constant) in self.from.iter().zip(&file.constants) {
            columns.push(match (from, constant) {
                (From::File(index), _) => Arc::clone(rows.column(*index)),
                (_, Some(value)) => arrow_select::take::take(value, &first, None).map_err(wrong)?,
                (_, None) => arrow_array::new_null_array(&DataType::Null, count),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(wrong)
    }
}

/// The value of a partition; of a date also in the number of days since 1970 that Flink writes.
fn push(column: &mut crate::format::columns::Column, text: &str) -> Result<(), String> {
    if column.is_date()
        && let Ok(days) = text.parse::<i32>()
    {
        column.push_days(days);
        return Ok(());
    }
    column.push(text.as_bytes(), None).map_err(|problem| problem.to_string())
}

/// The values that stand beside all rows of one file.
pub(crate) struct OfFile {
    /// By column; `None` for those that are in the file.
    constants: Vec<Option<ArrayRef>>,
}
