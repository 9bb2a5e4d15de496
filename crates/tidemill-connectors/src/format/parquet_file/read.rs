//! Reads a file, one group of rows after the other.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, RecordBatchOptions, new_null_array};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::fit::{Way, fit, localize};
use super::prune::groups_to_read;
use super::{ParquetOptions, validate_read};
use crate::error::ConnectorError;
use crate::format::columns::entry_fields;
use crate::format::{BatchReader, Place};

/// How many rows are decoded at once.
const BATCH_ROWS: usize = 8192;

/// Opens a file to be read from its row number `from.position` on.
pub(crate) fn reader(
    options: &ParquetOptions,
    path: &Path,
    schema: &SchemaRef,
    from: Place,
) -> Result<Box<dyn BatchReader>, ConnectorError> {
    validate_read(schema)?;
    let file = File::open(path).map_err(|error| ConnectorError::io("read", path, error))?;
    let damaged = |error: &dyn std::fmt::Display| damaged(path, error);
    let native = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let plain = ArrowReaderMetadata::load(&file, native.clone()).map_err(|error| damaged(&error))?;
    check_places(plain.metadata()).map_err(|error| damaged(&error))?;
    let mut walk = Walk { file: &plain, leaf: 0, leaves: Vec::new() };
    let fields: Vec<FieldRef> = plain
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let wanted = schema.column_with_name(field.name()).map(|(_, wanted)| wanted.data_type());
            walk.field(field, wanted)
        })
        .collect();
    let mask = ProjectionMask::leaves(plain.parquet_schema(), walk.leaves);
    let hinted = native.with_schema(Arc::new(Schema::new(fields)));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), hinted)
        .map_err(|error| damaged(&error))?;
    let rows: Vec<u64> = metadata
        .metadata()
        .row_groups()
        .iter()
        .map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
        .collect();
    let groups = groups_to_read(&options.conditions, schema, &metadata).map_err(|error| damaged(&error))?;
    let bytes = file.metadata().map_err(|error| ConnectorError::io("read", path, error))?.len();
    Ok(Box::new(Reader {
        path: path.to_path_buf(),
        file,
        schema: Arc::clone(schema),
        utc: options.utc,
        metadata,
        mask,
        rows,
        groups,
        bytes,
        position: from.position,
        current: None,
        waiting: None,
    }))
}

fn damaged(path: &Path, error: &dyn std::fmt::Display) -> ConnectorError {
    ConnectorError::Damaged { path: path.to_path_buf(), format: "Parquet", reason: error.to_string() }
}

/// Goes through the columns of a file with what is wanted of them.
struct Walk<'a> {
    file: &'a ArrowReaderMetadata,
    /// The number of the next column of single values.
    leaf: usize,
    /// Those that are read.
    leaves: Vec<usize>,
}

impl Walk<'_> {
    /// The field as it is to be read; `wanted` is the type that it becomes, `None` when it is not read.
    fn field(&mut self, field: &FieldRef, wanted: Option<&DataType>) -> FieldRef {
        let data_type = match (field.data_type(), wanted) {
            (DataType::Struct(fields), wanted) => {
                let of = |name: &str| match wanted {
                    Some(DataType::Struct(wanted)) => {
                        wanted.iter().find(|field| field.name() == name).map(|field| field.data_type())
                    }
                    _ => None,
                };
                let before = (self.leaf, self.leaves.len());
                let read: Vec<FieldRef> =
                    fields.iter().map(|field| self.field(field, of(field.name()))).collect();
                if wanted.is_some() && self.leaves.len() == before.1 {
                    // Whether the row is NULL is told by any column in it.
                    self.leaves.push(before.0);
                }
                DataType::Struct(read.into())
            }
            (DataType::List(item), wanted) => {
                let of_item = match wanted {
                    Some(DataType::List(wanted)) => Some(wanted.data_type()),
                    _ => None,
                };
                DataType::List(self.field(item, of_item))
            }
            (DataType::Map(entries, sorted), wanted) => {
                let of_entries = match wanted {
                    Some(DataType::Map(wanted, _)) => entry_fields(wanted),
                    _ => None,
                };
                let read: Vec<FieldRef> = match entries.data_type() {
                    DataType::Struct(fields) => fields
                        .iter()
                        .enumerate()
                        .map(|(index, field)| {
                            let wanted = of_entries.map(|(key, value)| if index == 0 { key } else { value });
                            self.field(field, wanted.map(|wanted| wanted.data_type()))
                        })
                        .collect(),
                    _ => Vec::new(),
                };
                let read = Field::clone(entries).with_data_type(DataType::Struct(read.into()));
                DataType::Map(Arc::new(read), *sorted)
            }
            (single, wanted) => {
                let leaf = self.leaf;
                self.leaf += 1;
                if wanted.is_some() {
                    self.leaves.push(leaf);
                }
                self.single(leaf, single, wanted)
            }
        };
        Arc::new(Field::clone(field).with_data_type(data_type))
    }

    /// 96 bits hold years that 64 bits of nanoseconds do not.
    fn single(&self, leaf: usize, single: &DataType, wanted: Option<&DataType>) -> DataType {
        let schema = self.file.parquet_schema();
        let is_96 = leaf < schema.num_columns() && schema.column(leaf).physical_type() == PhysicalType::INT96;
        match wanted {
            Some(DataType::Timestamp(unit, _)) if is_96 => DataType::Timestamp(*unit, None),
            _ if is_96 => DataType::Timestamp(TimeUnit::Microsecond, None),
            _ => single.clone(),
        }
    }
}

struct Reader {
    path: PathBuf,
    file: File,
    schema: SchemaRef,
    utc: bool,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    /// How many rows each group has.
    rows: Vec<u64>,
    /// Which groups are read.
    groups: Vec<bool>,
    bytes: u64,
    /// The number of the next row in the file.
    position: u64,
    /// What reads the group that the next row is in, and where that group ends.
    current: Option<(ParquetRecordBatchReader, u64)>,
    /// Decoded rows that were not asked for yet.
    waiting: Option<RecordBatch>,
}

impl Reader {
    /// Opens the group that the next row is in, behind those that are not read; false when there is none.
    fn open_group(&mut self) -> Result<bool, ConnectorError> {
        let mut begin = 0;
        for (group, rows) in self.rows.iter().enumerate() {
            let end = begin + rows;
            if self.position < end {
                if self.groups.get(group) == Some(&true) {
                    let skipped = usize::try_from(self.position - begin).unwrap_or(usize::MAX);
                    let file = self
                        .file
                        .try_clone()
                        .map_err(|error| ConnectorError::io("read", &self.path, error))?;
                    let built =
                        ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                            .with_projection(self.mask.clone())
                            .with_batch_size(BATCH_ROWS)
                            .with_row_groups(vec![group])
                            .with_offset(skipped)
                            .build();
                    self.current = Some((built.map_err(|error| damaged(&self.path, &error))?, end));
                    return Ok(true);
                }
                self.position = end;
            }
            begin = end;
        }
        Ok(false)
    }

    /// Rows of a file as those of the table.
    fn fitted(&self, rows: &RecordBatch) -> Result<RecordBatch, ConnectorError> {
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            let column = match rows.column_by_name(field.name()) {
                None => new_null_array(field.data_type(), rows.num_rows()),
                Some(column) => {
                    let wrong = |error: arrow_schema::ArrowError| ConnectorError::Damaged {
                        path: self.path.clone(),
                        format: "Parquet",
                        reason: format!("its column '{}' cannot be read: {error}", field.name()),
                    };
                    let fitted = fit(column, field.data_type()).map_err(wrong)?;
                    if self.utc { fitted } else { localize(&fitted, Way::Read).map_err(wrong)? }
                }
            };
            if !field.is_nullable() && column.null_count() > 0 {
                return Err(ConnectorError::Damaged {
                    path: self.path.clone(),
                    format: "Parquet",
                    reason: format!("its column '{}' has NULL, which the table does not", field.name()),
                });
            }
            columns.push(column);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| ConnectorError::Columns { reason: error.to_string() })
    }
}

impl BatchReader for Reader {
    fn next(&mut self, most: usize) -> Result<Option<RecordBatch>, ConnectorError> {
        while self.waiting.is_none() {
            if self.current.is_none() && !self.open_group()? {
                return Ok(None);
            }
            let Some((reader, end)) = &mut self.current else { return Ok(None) };
            match reader.next().transpose().map_err(|error| damaged(&self.path, &error))? {
                None => {
                    self.position = *end;
                    self.current = None;
                }
                Some(rows) => self.waiting = Some(self.fitted(&rows)?),
            }
        }
        let Some(rows) = self.waiting.take() else { return Ok(None) };
        let most = most.max(1);
        if rows.num_rows() > most {
            self.waiting = Some(rows.slice(most, rows.num_rows() - most));
        }
        let rows = rows.slice(0, most.min(rows.num_rows()));
        self.position += rows.num_rows() as u64;
        Ok(Some(rows))
    }

    fn place(&self) -> Place {
        Place { position: self.position, rows: 0 }
    }

    fn bytes(&self) -> u64 {
        let rows: u64 = self.rows.iter().sum();
        // Of each row as much: where they lie is known for whole columns only.
        self.bytes * self.position.min(rows) / rows.max(1)
    }
}

/// That columns lie somewhere: the library trusts the numbers of a damaged file, and would panic.
fn check_places(metadata: &ParquetMetaData) -> Result<(), ParquetError> {
    let is_wrong = |column: &ColumnChunkMetaData| {
        let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
        start < 0 || column.compressed_size() < 0 || column.num_values() < 0
    };
    for (number, group) in metadata.row_groups().iter().enumerate() {
        if group.num_rows() < 0 || group.columns().iter().any(is_wrong) {
            return Err(ParquetError::General(format!(
                "row group {number} says that something is less than 0"
            )));
        }
    }
    Ok(())
}
