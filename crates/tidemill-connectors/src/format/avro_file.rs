//! Avro's object container files.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use tidemill_serialization::avro::AvroError;
use tidemill_serialization::avro::columns::{AvroColumns, ColumnReader, ColumnWriter};
use tidemill_serialization::avro::container::Codec;

use crate::cells::is_single;
use crate::error::ConnectorError;
use crate::format::columns::Nesting;
use crate::format::{BatchReader, BatchWriter, Place};

/// How Avro is written; it is read in any way.
///
/// ```
/// use tidemill_connectors::AvroOptions;
///
/// assert!(AvroOptions::new().codec("zstandard").is_ok());
/// assert!(AvroOptions::new().codec("lzo").is_err());
/// ```
#[derive(Clone, Debug)]
pub struct AvroOptions {
    codec: Codec,
    types: AvroColumns,
}

impl Default for AvroOptions {
    fn default() -> Self {
        Self { codec: Codec::Snappy, types: AvroColumns::default() }
    }
}

impl AvroOptions {
    /// Flink's conventions: Snappy, and timestamps of three digits only.
    pub fn new() -> Self {
        Self::default()
    }

    /// How blocks are compressed (`avro.codec`): `null`, `deflate`, `snappy` or `zstandard`.
    ///
    /// # Errors
    /// When there is no such codec.
    pub fn codec(mut self, name: &str) -> Result<Self, ConnectorError> {
        self.codec = Codec::of_name(name).map_err(|_| {
            let all = Codec::ALL.map(Codec::name).join(", ");
            ConnectorError::InvalidOption(format!("there is no Avro codec '{name}', only {all}"))
        })?;
        Ok(self)
    }

    /// Whether timestamps are written as in the first releases of Flink (`avro.timestamp_mapping.legacy`, default: yes): those
    /// without a zone as instants. Otherwise they are local timestamps, those with a zone instants, of up to six digits.
    pub fn legacy_timestamps(mut self, legacy: bool) -> Self {
        self.types.legacy_timestamps = legacy;
        self
    }
}

/// That Avro has all types of a schema.
pub(crate) fn validate(options: &AvroOptions, schema: &SchemaRef) -> Result<(), ConnectorError> {
    let made = options.types.schema(schema);
    made.map(drop).map_err(|error| ConnectorError::InvalidOption(format!("{error}")))
}

/// That Avro has all types of a schema that is read: timestamps of any kind.
pub(crate) fn validate_read(schema: &SchemaRef) -> Result<(), ConnectorError> {
    let single = |data_type: &DataType| {
        let timestamp = matches!(data_type, DataType::Timestamp(..));
        timestamp
            || is_single(data_type) && !matches!(data_type, DataType::Duration(_) | DataType::Interval(_))
    };
    Nesting::Any.check(schema.fields(), "Avro", &single)
}

fn damaged(path: &Path, error: AvroError) -> ConnectorError {
    match error {
        AvroError::Io(error) => ConnectorError::io("read", path, error),
        other => {
            ConnectorError::Damaged { path: path.to_path_buf(), format: "Avro", reason: other.to_string() }
        }
    }
}

pub(crate) fn reader(
    path: &Path,
    schema: &SchemaRef,
    from: Place,
) -> Result<Box<dyn BatchReader>, ConnectorError> {
    let file = File::open(path).map_err(|error| ConnectorError::io("read", path, error))?;
    let mut reader =
        ColumnReader::open(BufReader::new(file), schema).map_err(|error| damaged(path, error))?;
    if from != Place::default() {
        reader.seek(from.position, from.rows).map_err(|error| damaged(path, error))?;
    }
    Ok(Box::new(Reader { path: path.to_path_buf(), reader }))
}

struct Reader {
    path: PathBuf,
    reader: ColumnReader<BufReader<File>>,
}

impl BatchReader for Reader {
    fn next(&mut self, most: usize) -> Result<Option<RecordBatch>, ConnectorError> {
        self.reader.next_batch(most).map_err(|error| damaged(&self.path, error))
    }

    fn place(&self) -> Place {
        let (position, rows) = self.reader.place();
        Place { position, rows }
    }

    fn bytes(&self) -> u64 {
        self.reader.bytes()
    }
}

pub(crate) fn writer(
    options: &AvroOptions,
    schema: &SchemaRef,
    file: &File,
    path: &Path,
) -> Result<Box<dyn BatchWriter>, ConnectorError> {
    let file = file.try_clone().map_err(|error| ConnectorError::io("write", path, error))?;
    let out = Counted { file, written: 0 };
    let writer = ColumnWriter::new(out, schema, &options.types, options.codec);
    let writer = writer.map_err(|error| failed(path, error))?;
    Ok(Box::new(Writer { path: path.to_path_buf(), writer }))
}

fn failed(path: &Path, error: AvroError) -> ConnectorError {
    match error {
        AvroError::Io(error) => ConnectorError::io("write", path, error),
        other => ConnectorError::Columns { reason: other.to_string() },
    }
}

/// Counts what is written.
struct Counted {
    file: File,
    written: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

struct Writer {
    path: PathBuf,
    writer: ColumnWriter<Counted>,
}

impl BatchWriter for Writer {
    fn write(&mut self, rows: &RecordBatch) -> Result<(), ConnectorError> {
        self.writer.write(rows).map_err(|error| failed(&self.path, error))
    }

    fn size(&self) -> u64 {
        self.writer.get_ref().written + self.writer.waiting() as u64
    }

    fn finish(self: Box<Self>) -> Result<u64, ConnectorError> {
        let Self { path, writer } = *self;
        writer.finish().map(|out| out.written).map_err(|error| failed(&path, error))
    }
}
