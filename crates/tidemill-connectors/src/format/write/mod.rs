//! Rows as lines of CSV or JSON, or as files of columns.

mod encode;

use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

pub(crate) use encode::RowEncoder;

use crate::cells::{CellStyle, FloatFormat, InstantFormat, is_single};
use crate::decimal::DecimalFormat;
use crate::error::ConnectorError;
use crate::format::avro_file::{self, AvroOptions};
use crate::format::columns::Nesting;
use crate::format::parquet_file::{self, ParquetOptions};
use crate::format::raw::{self, RawOptions};

/// What a written file looks like.
///
/// ```
/// use tidemill_connectors::{CsvOutput, JsonOutput, OutputFormat};
///
/// assert!(matches!(CsvOutput::new().into(), OutputFormat::Csv(_)));
/// assert!(matches!(JsonOutput::new().into(), OutputFormat::Json(_)));
/// ```
#[derive(Clone, Debug)]
pub enum OutputFormat {
    /// Comma-separated values.
    Csv(CsvOutput),
    /// One JSON object a line.
    Json(JsonOutput),
    /// The bytes of one column, a line each.
    Raw(RawOptions),
    /// Avro's object container files.
    Avro(AvroOptions),
    /// Parquet.
    Parquet(ParquetOptions),
}

impl From<CsvOutput> for OutputFormat {
    fn from(output: CsvOutput) -> Self {
        OutputFormat::Csv(output)
    }
}

impl From<JsonOutput> for OutputFormat {
    fn from(output: JsonOutput) -> Self {
        OutputFormat::Json(output)
    }
}

impl From<RawOptions> for OutputFormat {
    fn from(options: RawOptions) -> Self {
        OutputFormat::Raw(options)
    }
}

impl From<AvroOptions> for OutputFormat {
    fn from(options: AvroOptions) -> Self {
        OutputFormat::Avro(options)
    }
}

impl From<ParquetOptions> for OutputFormat {
    fn from(options: ParquetOptions) -> Self {
        OutputFormat::Parquet(options)
    }
}

/// Writes the batches of one file, of a format that is not made of lines.
pub(crate) trait BatchWriter: Send {
    /// Adds rows.
    fn write(&mut self, rows: &RecordBatch) -> Result<(), ConnectorError>;

    /// How many bytes the file has about, with what is not written yet.
    fn size(&self) -> u64;

    /// Writes the rest; how many bytes the file has.
    fn finish(self: Box<Self>) -> Result<u64, ConnectorError>;
}

/// How CSV is written. A field is quoted only when it has to be: when it contains the delimiter, the quote
/// character or a line break; quotes in it are doubled. Lines end with `\n`, binaries are in Base64. Arrays
/// and rows of single values are one field, with [`array_element_delimiter`](Self::array_element_delimiter)
/// between their parts.
///
/// ```
/// use tidemill_connectors::{CsvOutput, FloatFormat};
///
/// let output = CsvOutput::new().header(true).null_literal("NA").float_format(FloatFormat::Plain);
/// # let _ = output;
/// ```
#[derive(Clone, Debug)]
pub struct CsvOutput {
    delimiter: char,
    quote: Option<char>,
    escape: Option<char>,
    array_element_delimiter: String,
    null_literal: String,
    header: bool,
    style: CellStyle,
}

impl Default for CsvOutput {
    fn default() -> Self {
        Self {
            delimiter: ',',
            quote: Some('"'),
            escape: None,
            array_element_delimiter: ";".to_owned(),
            null_literal: String::new(),
            header: false,
            style: CellStyle { decimals: DecimalFormat::JavaStripped, ..CellStyle::default() },
        }
    }
}

impl CsvOutput {
    /// Flink's conventions: `,` and `"`, NULL is the empty field, no header.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::written;
    /// use tidemill_connectors::CsvOutput;
    ///
    /// let output = CsvOutput::new();
    /// assert_eq!(written(output), "JFK,12.0,2013-01-31 14:05:00\n\"a;b,~\",,\n");
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// What separates fields, one ASCII character.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::written;
    /// use tidemill_connectors::CsvOutput;
    ///
    /// let output = CsvOutput::new().field_delimiter(';');
    /// assert_eq!(written(output), "JFK;12.0;2013-01-31 14:05:00\n\"a;b,~\";;\n");
    /// ```
    pub fn field_delimiter(mut self, delimiter: char) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// What encloses fields, one ASCII character.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::written;
    /// use tidemill_connectors::CsvOutput;
    ///
    /// let output = CsvOutput::new().quote_character('~');
    /// assert_eq!(written(output), "JFK,12.0,2013-01-31 14:05:00\n~a;b,~~~,,\n");
    /// ```
    pub fn quote_character(mut self, quote: char) -> Self {
        self.quote = Some(quote);
        self
    }

    /// No character encloses fields: what is in them is written as it is.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::written;
    /// use tidemill_connectors::CsvOutput;
    ///
    /// let output = CsvOutput::new().field_delimiter('|').disable_quote_character();
    /// assert_eq!(written(output), "JFK|12.0|2013-01-31 14:05:00\na;b,~||\n");
    /// ```
    pub fn disable_quote_character(mut self) -> Self {
        self.quote = None;
        self
    }

    /// What is written before a quote character in a quoted field, and before itself, one ASCII character
    /// (default: none; quotes are doubled).
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::written;
    /// use tidemill_connectors::CsvOutput;
    ///
    /// let output = CsvOutput::new().escape_character('~');
    /// assert_eq!(written(output), "JFK,12.0,2013-01-31 14:05:00\n\"a;b,~~\",,\n");
    /// ```
    pub fn escape_character(mut self, escape: char) -> Self {
        self.escape = Some(escape);
        self
    }

    /// What separates the elements of an array, and the fields of a row in a row (default `;`).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_schema::{DataType, Field, Schema};
    /// use tidemill_connectors::{CsvOutput, FileSink};
    ///
    /// let numbers = DataType::new_list(DataType::Int64, true);
    /// let schema = Arc::new(Schema::new(vec![Field::new("numbers", numbers, true)]));
    /// // Writes an array of three as `1|2|3`.
    /// let output = CsvOutput::new().array_element_delimiter("|");
    /// assert!(FileSink::single_file("numbers.csv", output, schema).is_ok());
    /// ```
    pub fn array_element_delimiter(mut self, delimiter: impl Into<String>) -> Self {
        self.array_element_delimiter = delimiter.into();
        self
    }

    /// Whether decimals are written as Java writes them without the zeros at their end, so that 100.00
    /// becomes `1E+2` (`csv.write-bigdecimal-in-scientific-notation`, default: yes, as in Flink); otherwise
    /// it becomes `100`.
    ///
    /// ```
    /// use tidemill_connectors::CsvOutput;
    ///
    /// let output = CsvOutput::new().write_bigdecimal_in_scientific_notation(false);
    /// # let _ = output;
    /// ```
    pub fn write_bigdecimal_in_scientific_notation(mut self, scientific: bool) -> Self {
        self.style.decimals = if scientific { DecimalFormat::JavaStripped } else { DecimalFormat::Stripped };
        self
    }

    /// What NULL is written as.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::written;
    /// use tidemill_connectors::CsvOutput;
    ///
    /// let output = CsvOutput::new().null_literal("NA");
    /// assert_eq!(written(output), "JFK,12.0,2013-01-31 14:05:00\n\"a;b,~\",NA,NA\n");
    /// ```
    pub fn null_literal(mut self, literal: impl Into<String>) -> Self {
        self.null_literal = literal.into();
        self
    }

    /// Whether each file begins with the names of the columns.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::written;
    /// use tidemill_connectors::CsvOutput;
    ///
    /// let output = CsvOutput::new().header(true);
    /// assert_eq!(written(output).lines().next(), Some("airport,delay,at"));
    /// ```
    pub fn header(mut self, header: bool) -> Self {
        self.header = header;
        self
    }

    /// How floating-point numbers are written.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::written;
    /// use tidemill_connectors::{CsvOutput, FloatFormat};
    ///
    /// let output = CsvOutput::new().float_format(FloatFormat::Plain);
    /// assert_eq!(written(output).lines().next(), Some("JFK,12,2013-01-31 14:05:00"));
    /// ```
    pub fn float_format(mut self, format: FloatFormat) -> Self {
        self.style.floats = format;
        self
    }

    /// How timestamps are written.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::written;
    /// use tidemill_connectors::{CsvOutput, InstantFormat};
    ///
    /// let output = CsvOutput::new().timestamp_format(InstantFormat::Iso8601);
    /// assert_eq!(written(output).lines().next(), Some("JFK,12.0,2013-01-31T14:05:00"));
    /// ```
    pub fn timestamp_format(mut self, format: InstantFormat) -> Self {
        self.style.instants = format;
        self
    }
}

/// How JSON lines are written. NULL is `null`, NaN and the infinities are strings, binaries are in Base64.
/// Rows and maps are objects, arrays are arrays.
///
/// ```
/// use tidemill_connectors::{InstantFormat, JsonOutput};
///
/// let output = JsonOutput::new().ignore_null_fields(true).timestamp_format(InstantFormat::Iso8601);
/// # let _ = output;
/// ```
#[derive(Clone, Debug)]
pub struct JsonOutput {
    style: CellStyle,
    ignore_null_fields: bool,
}

impl Default for JsonOutput {
    fn default() -> Self {
        let style = CellStyle { decimals: DecimalFormat::JavaStripped, ..CellStyle::default() };
        Self { style, ignore_null_fields: false }
    }
}

impl JsonOutput {
    /// Flink's conventions.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::written;
    /// use tidemill_connectors::JsonOutput;
    ///
    /// let output = JsonOutput::new();
    /// assert_eq!(written(output).lines().next(), Some(r#"{"airport":"JFK","delay":12.0,"at":"2013-01-31 14:05:00"}"#));
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves fields out that are NULL, in rows in rows as well (`json.encode.ignore-null-fields`).
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::written;
    /// use tidemill_connectors::JsonOutput;
    ///
    /// let output = JsonOutput::new().ignore_null_fields(true);
    /// assert_eq!(written(output).lines().last(), Some(r#"{"airport":"a;b,~"}"#));
    /// ```
    pub fn ignore_null_fields(mut self, ignore: bool) -> Self {
        self.ignore_null_fields = ignore;
        self
    }

    /// Whether decimals are written without an exponent: `100` and `0.000000027`, not `1E+2` and `2.7E-8`
    /// (`json.encode.decimal-as-plain-number`, default: no, as in Flink). Zeros at their end are left out
    /// either way.
    ///
    /// ```
    /// use tidemill_connectors::JsonOutput;
    ///
    /// let output = JsonOutput::new().decimal_as_plain_number(true);
    /// # let _ = output;
    /// ```
    pub fn decimal_as_plain_number(mut self, plain: bool) -> Self {
        self.style.decimals = if plain { DecimalFormat::Stripped } else { DecimalFormat::JavaStripped };
        self
    }

    /// How timestamps are written (`json.timestamp-format.standard`).
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::written;
    /// use tidemill_connectors::{InstantFormat, JsonOutput};
    ///
    /// let output = JsonOutput::new().timestamp_format(InstantFormat::Iso8601);
    /// assert_eq!(written(output).lines().next(), Some(r#"{"airport":"JFK","delay":12.0,"at":"2013-01-31T14:05:00"}"#));
    /// ```
    pub fn timestamp_format(mut self, format: InstantFormat) -> Self {
        self.style.instants = format;
        self
    }

    /// How floating-point numbers are written.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::written;
    /// use tidemill_connectors::{FloatFormat, JsonOutput};
    ///
    /// let output = JsonOutput::new().float_format(FloatFormat::Plain);
    /// assert_eq!(written(output).lines().next(), Some(r#"{"airport":"JFK","delay":12,"at":"2013-01-31 14:05:00"}"#));
    /// ```
    pub fn float_format(mut self, format: FloatFormat) -> Self {
        self.style.floats = format;
        self
    }
}

impl OutputFormat {
    pub(crate) fn extension(&self) -> &'static str {
        match self {
            OutputFormat::Csv(_) => "csv",
            OutputFormat::Json(_) => "json",
            OutputFormat::Raw(_) => "raw",
            OutputFormat::Avro(_) => "avro",
            OutputFormat::Parquet(_) => "parquet",
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            OutputFormat::Csv(_) => "CSV",
            OutputFormat::Json(_) => "JSON",
            OutputFormat::Raw(_) => "raw",
            OutputFormat::Avro(_) => "Avro",
            OutputFormat::Parquet(_) => "Parquet",
        }
    }

    /// Whether batches are written as a whole, by a [`BatchWriter`].
    pub(crate) fn is_columnar(&self) -> bool {
        matches!(self, OutputFormat::Avro(_) | OutputFormat::Parquet(_))
    }

    /// Begins a file of a format that is columnar; none of the others.
    pub(crate) fn batch_writer(
        &self,
        schema: &SchemaRef,
        file: &File,
        path: &Path,
    ) -> Result<Option<Box<dyn BatchWriter>>, ConnectorError> {
        match self {
            OutputFormat::Csv(_) | OutputFormat::Json(_) | OutputFormat::Raw(_) => Ok(None),
            OutputFormat::Avro(options) => avro_file::writer(options, schema, file, path).map(Some),
            OutputFormat::Parquet(options) => parquet_file::writer(options, schema, file, path).map(Some),
        }
    }

    /// Checks options and schema.
    pub(crate) fn validate(&self, schema: &SchemaRef) -> Result<(), ConnectorError> {
        match self {
            OutputFormat::Csv(csv) => {
                csv.validate()?;
                Nesting::OneLevel.check(schema.fields(), self.name(), &is_single)
            }
            OutputFormat::Json(_) => Nesting::Any.check(schema.fields(), self.name(), &is_single),
            OutputFormat::Raw(_) => raw::validate(schema),
            OutputFormat::Avro(options) => avro_file::validate(options, schema),
            OutputFormat::Parquet(options) => parquet_file::validate(options, schema),
        }
    }

    /// What a file begins with.
    pub(crate) fn header(&self, schema: &SchemaRef, out: &mut Vec<u8>) {
        let OutputFormat::Csv(csv) = self else { return };
        if !csv.header {
            return;
        }
        for (index, field) in schema.fields().iter().enumerate() {
            if index > 0 {
                out.push(csv.delimiter as u8);
            }
            csv.text(field.name().as_bytes(), out);
        }
        out.push(b'\n');
    }
}

impl CsvOutput {
    fn validate(&self) -> Result<(), ConnectorError> {
        let fail = |message: &str| Err(ConnectorError::InvalidOption(message.to_owned()));
        let fits = |c: char| c.is_ascii() && !matches!(c, '\n' | '\r');
        let quote_fits = self.quote.is_none_or(|quote| fits(quote) && quote != self.delimiter);
        if !fits(self.delimiter) || !quote_fits {
            return fail(
                "'csv.field-delimiter' and 'csv.quote-character' must be two different ASCII characters",
            );
        }
        if !self.escape.is_none_or(|escape| fits(escape) && escape != self.delimiter) {
            return fail(
                "'csv.escape-character' must be an ASCII character other than 'csv.field-delimiter'",
            );
        }
        if self.array_element_delimiter.is_empty() {
            return fail("'csv.array-element-delimiter' must not be empty");
        }
        Ok(())
    }
}
