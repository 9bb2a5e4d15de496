//! One JSON object a line, with Flink's options.

mod decode;

pub(crate) use decode::{JsonDecoder, describe};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use tidemill_runtime::OperatorError;

use crate::format::columns::{Columns, Nesting};
use crate::format::text::TimestampFormat;

/// What files of JSON lines look like. The setters are named after Flink's options
/// (`json.fail-on-missing-field` and so on).
///
/// A field that an object does not have, or that is `null`, is NULL. Fields that the schema does not have are
/// ignored, which costs little: a schema may have those fields only that are needed, of rows in rows as well.
/// Numbers and booleans may be in quotes, and a column of strings takes any value, as its JSON text. Empty
/// lines are skipped.
///
/// Rows are objects, arrays are arrays, and maps and multisets are objects whose fields are the keys; of a
/// key that comes twice the last value counts. Decimals are taken digit by digit; those behind the scale are
/// rounded half up.
///
/// ```
/// use tidemill_connectors::{JsonOptions, TimestampFormat};
///
/// let options = JsonOptions::new().timestamp_format(TimestampFormat::Iso8601).fail_on_missing_field(true);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
pub struct JsonOptions {
    pub(crate) fail_on_missing_field: bool,
    pub(crate) ignore_parse_errors: bool,
    pub(crate) timestamp_format: TimestampFormat,
}

impl JsonOptions {
    /// Flink's defaults.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::JsonOptions;
    ///
    /// let options = JsonOptions::new();
    /// assert_eq!(read(options, r#"{"airport": "JFK", "at": "2013-01-31 14:05:00"}"#)?, ["JFK, NULL, 2013-01-31 14:05:00"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether an object without one of the columns is malformed (default: no).
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::JsonOptions;
    ///
    /// let options = JsonOptions::new().fail_on_missing_field(true);
    /// let problem = read(options, r#"{"airport": "JFK", "delay": 12}"#).unwrap_err();
    /// assert!(problem.contains("the object has no field 'at'"), "{problem}");
    /// ```
    pub fn fail_on_missing_field(mut self, fail: bool) -> Self {
        self.fail_on_missing_field = fail;
        self
    }

    /// Whether bad values are NULL, and lines that are no objects are counted and skipped, instead of failing the job (default: no). As
    /// in Flink a boolean that is not true is false then, and timestamps must have the form of the format, with `Z` in a column of
    /// moments and without in others; a line with a bad value of a column that must not be NULL is skipped.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::JsonOptions;
    ///
    /// let options = JsonOptions::new().ignore_parse_errors(true);
    /// assert_eq!(read(options, "JFK 12\n{\"airport\": \"LGA\"}\n")?, ["LGA, NULL, NULL"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn ignore_parse_errors(mut self, ignore: bool) -> Self {
        self.ignore_parse_errors = ignore;
        self
    }

    /// How timestamps are written: `json.timestamp-format.standard` (default: SQL).
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::{JsonOptions, TimestampFormat};
    ///
    /// let options = JsonOptions::new().timestamp_format(TimestampFormat::Iso8601);
    /// assert_eq!(read(options, r#"{"at": "2013-01-31T14:05:00"}"#)?, ["NULL, NULL, 2013-01-31 14:05:00"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn timestamp_format(mut self, format: TimestampFormat) -> Self {
        self.timestamp_format = format;
        self
    }
}

/// The rows that JSON objects describe, as columns of `schema`: for those that hold objects already, instead of a file with them.
///
/// ```
/// use std::sync::Arc;
/// use arrow_schema::{DataType, Field, Schema};
/// use tidemill_connectors::{JsonOptions, json_rows};
///
/// let schema = Arc::new(Schema::new(vec![Field::new("delay", DataType::Int32, true)]));
/// let rows = json_rows(&schema, &JsonOptions::new(), ["{\"delay\": 12}", "{}"])?;
/// assert_eq!((rows.num_rows(), rows.column(0).null_count()), (2, 1));
/// assert!(json_rows(&schema, &JsonOptions::new(), ["{\"delay\": \"late\"}"]).is_err());
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
///
/// # Errors
/// When the schema has a type that JSON has no form for, or an object is no row of it.
pub fn json_rows<'a>(
    schema: &SchemaRef,
    options: &JsonOptions,
    objects: impl IntoIterator<Item = &'a str>,
) -> Result<RecordBatch, OperatorError> {
    let mut columns = Columns::new(schema, "json", Nesting::Any)?;
    let mut decoder = JsonDecoder::new(options);
    for object in objects {
        decoder.row(object, &mut columns)?;
    }
    columns.finish()
}
