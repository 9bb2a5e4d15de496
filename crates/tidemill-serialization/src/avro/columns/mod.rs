//! Object container files as columns: a table's schema in Avro, and batches read and written without a value in between.
//!
//! Types are mapped as Flink's Avro format does: what may be NULL is a union with null, `TINYINT` and `SMALLINT` are int, decimals
//! are bytes, timestamps longs with a logical type. What was written otherwise is read as far as Avro's rules of resolution allow, in
//! whatever unit it says.
//!
//! ```
//! use std::io::Cursor;
//! use std::sync::Arc;
//! use arrow_array::{ArrayRef, Int32Array, RecordBatch};
//! use tidemill_serialization::avro::columns::{AvroColumns, ColumnReader, ColumnWriter};
//! use tidemill_serialization::avro::container::Codec;
//!
//! let ids: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
//! let rows = RecordBatch::try_from_iter_with_nullable([("id", ids, true)])?;
//! let schema = rows.schema();
//! let mut writer = ColumnWriter::new(Vec::new(), &schema, &AvroColumns::default(), Codec::Snappy)?;
//! writer.write(&rows)?;
//! let file = Cursor::new(writer.finish()?);
//! let mut reader = ColumnReader::open(file, &schema)?;
//! assert_eq!(reader.next_batch(1000)?, Some(rows));
//! assert_eq!(reader.next_batch(1000)?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod guide;
mod read;
mod write;

use arrow_schema::{DataType, Field, Fields, SchemaRef, TimeUnit};
use serde_json::{Value as Json, json};

pub use read::ColumnReader;
pub use write::ColumnWriter;

use super::error::AvroError;
use super::schema::AvroSchema;

/// How types of tables are written.
///
/// ```
/// use tidemill_serialization::avro::columns::AvroColumns;
///
/// assert!(AvroColumns::default().legacy_timestamps);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvroColumns {
    /// Whether timestamps without a zone are written as instants, and others not at all (`avro.timestamp_mapping.legacy`).
    pub legacy_timestamps: bool,
}

impl Default for AvroColumns {
    fn default() -> Self {
        Self { legacy_timestamps: true }
    }
}

/// The record that rows are, as Flink calls it.
const NAMESPACE: &str = "org.apache.flink.avro.generated";

impl AvroColumns {
    /// The Avro schema of rows.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_schema::{DataType, Field, Schema};
    /// use tidemill_serialization::avro::columns::AvroColumns;
    ///
    /// let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
    /// let avro = AvroColumns::default().schema(&schema)?;
    /// assert_eq!(avro.to_string(), "org.apache.flink.avro.generated.record");
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When a column has a type that Avro does not, or a name that Avro does not allow.
    pub fn schema(&self, schema: &SchemaRef) -> Result<AvroSchema, AvroError> {
        let mut json = self.record("record", schema.fields())?;
        json["namespace"] = NAMESPACE.into();
        AvroSchema::parse(&json.to_string())
    }

    fn record(&self, name: &str, fields: &Fields) -> Result<Json, AvroError> {
        let mut json = Vec::with_capacity(fields.len());
        for field in fields {
            let of_field = self.nullable(field, &format!("{name}_{}", field.name()))?;
            json.push(match field.is_nullable() {
                true => json!({"name": field.name(), "type": of_field, "default": null}),
                false => json!({"name": field.name(), "type": of_field}),
            });
        }
        Ok(json!({"type": "record", "name": name, "fields": json}))
    }

    fn nullable(&self, field: &Field, name: &str) -> Result<Json, AvroError> {
        let json = self.data_type(field, name)?;
        Ok(if field.is_nullable() { json!(["null", json]) } else { json })
    }

    fn data_type(&self, field: &Field, name: &str) -> Result<Json, AvroError> {
        let unsupported = |advice: &str| {
            let data_type = field.data_type();
            Err(AvroError::schema(format!(
                "'{}' has the type {data_type}, which Avro has not{advice}",
                field.name()
            )))
        };
        Ok(match field.data_type() {
            DataType::Boolean => "boolean".into(),
            DataType::Int8 | DataType::Int16 | DataType::Int32 => "int".into(),
            DataType::Int64 => "long".into(),
            DataType::Float32 => "float".into(),
            DataType::Float64 => "double".into(),
            DataType::Utf8 => "string".into(),
            DataType::Binary => "bytes".into(),
            DataType::Decimal128(precision, scale) => {
                json!({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale})
            }
            DataType::Date32 => json!({"type": "int", "logicalType": "date"}),
            DataType::Time32(TimeUnit::Millisecond) => json!({"type": "int", "logicalType": "time-millis"}),
            DataType::Timestamp(unit, zone) => {
                let logical = match (unit, zone, self.legacy_timestamps) {
                    (TimeUnit::Millisecond, None, true) => "timestamp-millis",
                    (_, _, true) => {
                        return unsupported(
                            ": without 'avro.timestamp_mapping.legacy' = 'false' only TIMESTAMP(3) is supported",
                        );
                    }
                    (TimeUnit::Millisecond, None, _) => "local-timestamp-millis",
                    (TimeUnit::Microsecond, None, _) => "local-timestamp-micros",
                    (TimeUnit::Millisecond, Some(_), _) => "timestamp-millis",
                    (TimeUnit::Microsecond, Some(_), _) => "timestamp-micros",
                    _ => return unsupported(": timestamps have at most 6 digits of a second"),
                };
                json!({"type": "long", "logicalType": logical})
            }
            DataType::Struct(fields) => self.record(name, fields)?,
            DataType::List(item) => json!({"type": "array", "items": self.nullable(item, name)?}),
            DataType::Map(entries, _) => {
                let (key, value) = entry_fields(entries)?;
                if *key.data_type() != DataType::Utf8 {
                    return unsupported(": the keys of maps are text");
                }
                json!({"type": "map", "values": self.nullable(value, name)?})
            }
            _ => return unsupported(""),
        })
    }
}

/// The key and the value of a map's entries.
fn entry_fields(entries: &Field) -> Result<(&Field, &Field), AvroError> {
    match entries.data_type() {
        DataType::Struct(fields) if fields.len() == 2 => Ok((&fields[0], &fields[1])),
        _ => Err(AvroError::schema("the entries of a map are no rows of two")),
    }
}
