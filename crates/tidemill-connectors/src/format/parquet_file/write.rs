//! Writes a file, a group of rows at a time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, GzipLevel, Repetition, Type as PhysicalType, ZstdLevel};
use parquet::data_type::{Int96, Int96Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use super::fit::{Way, fit, localize, with_unit};
use super::{ParquetCompression, ParquetOptions, ParquetTimestamps};
use crate::error::ConnectorError;
use crate::format::BatchWriter;

/// Begins a file.
pub(crate) fn writer(
    options: &ParquetOptions,
    schema: &SchemaRef,
    file: &File,
    path: &Path,
) -> Result<Box<dyn BatchWriter>, ConnectorError> {
    let file = file.try_clone().map_err(|error| ConnectorError::io("write", path, error))?;
    let begun = Writer::begin(options, schema, file, path);
    Ok(Box::new(begun.map_err(|error| failed(path, error))?))
}

fn failed(path: &Path, error: ParquetError) -> ConnectorError {
    match error {
        ParquetError::External(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => ConnectorError::io("write", path, *error),
            Err(other) => ConnectorError::Columns { reason: other.to_string() },
        },
        other => ConnectorError::Columns { reason: other.to_string() },
    }
}

fn properties(options: &ParquetOptions) -> WriterPropertiesPtr {
    let compression = match options.compression {
        ParquetCompression::Uncompressed => Compression::UNCOMPRESSED,
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::Gzip => Compression::GZIP(GzipLevel::default()),
        ParquetCompression::Zstd => Compression::ZSTD(ZstdLevel::default()),
        ParquetCompression::Lz4Raw => Compression::LZ4_RAW,
    };
    let created_by = format!("tidemill {}", env!("CARGO_PKG_VERSION"));
    Arc::new(
        WriterProperties::builder()
            .set_compression(compression)
            .set_created_by(created_by)
            // The names that the format gives to the elements of lists and maps.
            .set_coerce_types(true)
            .build(),
    )
}

/// The columns of a group of rows that is being put together.
struct Group {
    /// By the numbers of the columns of single values.
    writers: Vec<ArrowColumnWriter>,
    /// The values of columns of 96 bits, by column; empty for the others.
    wide: Vec<Wide>,
}

#[derive(Default)]
struct Wide {
    values: Vec<Int96>,
    /// 1 for a value, 0 for NULL.
    levels: Vec<i16>,
}

struct Writer {
    path: PathBuf,
    file: SerializedFileWriter<File>,
    factory: ArrowRowGroupWriterFactory,
    /// The columns as they are in the file.
    fields: Vec<FieldRef>,
    /// Whether they have 96 bits.
    is_wide: Vec<bool>,
    utc: bool,
    block_bytes: usize,
    group: Option<Group>,
    groups: usize,
}

impl Writer {
    fn begin(
        options: &ParquetOptions,
        schema: &SchemaRef,
        file: File,
        path: &Path,
    ) -> Result<Self, ParquetError> {
        let unit = options.timestamps.unit();
        let of_file = |field: &FieldRef| -> FieldRef {
            Arc::new(Field::clone(field).with_data_type(with_unit(field.data_type(), unit)))
        };
        let fields: Vec<FieldRef> = schema.fields().iter().map(of_file).collect();
        let is_wide: Vec<bool> = fields
            .iter()
            .map(|field| {
                options.timestamps == ParquetTimestamps::Int96
                    && matches!(field.data_type(), DataType::Timestamp(..))
            })
            .collect();
        let arrow: SchemaRef = Arc::new(Schema::new(fields.clone()));
        let types =
            ArrowSchemaConverter::new().with_coerce_types(true).schema_root("tidemill").convert(&arrow)?;
        let root = with_wide(types.root_schema(), &is_wide)?;
        let file = SerializedFileWriter::new(file, root, properties(options))?;
        let factory = ArrowRowGroupWriterFactory::new(&file, arrow);
        Ok(Self {
            path: path.to_path_buf(),
            file,
            factory,
            fields,
            is_wide,
            utc: options.utc,
            block_bytes: options.block_bytes,
            group: None,
            groups: 0,
        })
    }

    fn add(&mut self, rows: &RecordBatch) -> Result<(), ParquetError> {
        let mut group = match self.group.take() {
            Some(group) => group,
            None => Group {
                writers: self.factory.create_column_writers(self.groups)?,
                wide: self.fields.iter().map(|_| Wide::default()).collect(),
            },
        };
        let mut leaf = 0;
        for (index, field) in self.fields.iter().enumerate() {
            let column = rows.column(index);
            let column = if self.utc { Arc::clone(column) } else { localize(column, Way::Write)? };
            if self.is_wide[index] {
                group.wide[index].add(&column);
                leaf += 1;
                continue;
            }
            let column = fit(&column, field.data_type())?;
            for values in compute_leaves(field, &column)? {
                if let Some(writer) = group.writers.get_mut(leaf) {
                    writer.write(&values)?;
                }
                leaf += 1;
            }
        }
        let bytes = group.bytes();
        self.group = Some(group);
        if bytes >= self.block_bytes { self.flush() } else { Ok(()) }
    }

    /// Writes the rows that are in memory as a group.
    fn flush(&mut self) -> Result<(), ParquetError> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let mut writers = group.writers.into_iter();
        let mut rows = self.file.next_row_group()?;
        let wide = self.is_wide.iter().zip(&group.wide).zip(&self.fields);
        for ((is_wide, wide), field) in wide {
            if *is_wide {
                // The one that was made for it has got nothing.
                writers.next();
                if let Some(mut column) = rows.next_column()? {
                    let levels = field.is_nullable().then_some(&wide.levels[..]);
                    column.typed::<Int96Type>().write_batch(&wide.values, levels, None)?;
                    column.close()?;
                }
                continue;
            }
            for _ in 0..leaves(field.data_type()) {
                if let Some(writer) = writers.next() {
                    writer.close()?.append_to_row_group(&mut rows)?;
                }
            }
        }
        rows.close()?;
        self.groups += 1;
        Ok(())
    }
}

impl Group {
    fn bytes(&self) -> usize {
        let wide: usize = self.wide.iter().map(|wide| wide.values.len() * 12).sum();
        let others = self.writers.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum::<usize>();
        wide + others
    }
}

/// How many columns of single values a column has.
fn leaves(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        DataType::List(item) | DataType::Map(item, _) => leaves(item.data_type()),
        _ => 1,
    }
}

/// The types of a file, with 96 bits for some columns.
fn with_wide(root: &Type, is_wide: &[bool]) -> Result<TypePtr, ParquetError> {
    let mut fields = Vec::with_capacity(is_wide.len());
    for (field, is_wide) in root.get_fields().iter().zip(is_wide) {
        fields.push(match is_wide {
            false => Arc::clone(field),
            true => {
                let repetition =
                    if field.is_optional() { Repetition::OPTIONAL } else { Repetition::REQUIRED };
                let wide = Type::primitive_type_builder(field.name(), PhysicalType::INT96);
                Arc::new(wide.with_repetition(repetition).build()?)
            }
        });
    }
    Ok(Arc::new(Type::group_type_builder(root.name()).with_fields(fields).build()?))
}

/// The Julian day of 1970-01-01.
const JULIAN_EPOCH: i64 = 2_440_588;

impl Wide {
    fn add(&mut self, column: &ArrayRef) {
        let (values, per_second) = match column.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => {
                (column.as_primitive::<arrow_array::types::TimestampSecondType>().values(), 1)
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                (column.as_primitive::<arrow_array::types::TimestampMillisecondType>().values(), 1000)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                (column.as_primitive::<arrow_array::types::TimestampMicrosecondType>().values(), 1_000_000)
            }
            _ => (column.as_primitive::<TimestampNanosecondType>().values(), 1_000_000_000i64),
        };
        for (row, value) in values.iter().enumerate() {
            self.levels.push(i16::from(column.is_valid(row)));
            if column.is_valid(row) {
                self.values.push(int96(*value, per_second));
            }
        }
    }
}

fn int96(value: i64, per_second: i64) -> Int96 {
    let per_day = per_second * 86_400;
    let day = value.div_euclid(per_day) + JULIAN_EPOCH;
    let nanos = (value.rem_euclid(per_day) * (1_000_000_000 / per_second)).cast_unsigned();
    let mut wide = Int96::new();
    let low = u32::try_from(nanos & 0xffff_ffff).unwrap_or(0);
    let high = u32::try_from(nanos >> 32).unwrap_or(0);
    wide.set_data(low, high, u32::try_from(day).unwrap_or(0));
    wide
}

impl BatchWriter for Writer {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), ConnectorError> {
        self.add(rows).map_err(|error| failed(&self.path, error))
    }

    fn size(&self) -> u64 {
        (self.file.bytes_written() + self.group.as_ref().map_or(0, Group::bytes)) as u64
    }

    fn finish(mut self: Box<Self>) -> Result<u64, ConnectorError> {
        let finished = self.flush().and_then(|()| self.file.finish());
        finished.map_err(|error| failed(&self.path, error))?;
        Ok(self.file.bytes_written() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_nanoseconds_are_those_of_julius() {
        assert_eq!(int96(0, 1000).data(), [0, 0, 2_440_588]);
        assert_eq!(int96(-1, 1_000_000_000).data(), [0x914E_FFFF, 20116, 2_440_587]);
        for value in [-1_000_000_007, 0, 1_593_561_600_123] {
            assert_eq!(int96(value, 1000).to_millis(), value);
        }
    }
}
