//! Rows as lines of CSV or JSON.

use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::cells::{Cell, CellStyle, Cells, FloatFormat, InstantFormat, is_supported};
use crate::error::ConnectorError;

/// What the lines of a written file look like.
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

/// How CSV is written. A field is quoted only when it has to be: when it contains the delimiter, the quote character
/// or a line break; quotes in it are doubled. Lines end with `\n`, binaries are in Base64.
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
    quote: char,
    null_literal: String,
    header: bool,
    style: CellStyle,
}

impl Default for CsvOutput {
    fn default() -> Self {
        Self {
            delimiter: ',',
            quote: '"',
            null_literal: String::new(),
            header: false,
            style: CellStyle::default(),
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
        self.quote = quote;
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
///
/// ```
/// use tidemill_connectors::{InstantFormat, JsonOutput};
///
/// let output = JsonOutput::new().ignore_null_fields(true).timestamp_format(InstantFormat::Iso8601);
/// # let _ = output;
/// ```
#[derive(Clone, Debug, Default)]
pub struct JsonOutput {
    style: CellStyle,
    ignore_null_fields: bool,
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

    /// Leaves fields out that are NULL (`json.encode.ignore-null-fields`).
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
        }
    }

    fn style(&self) -> CellStyle {
        match self {
            OutputFormat::Csv(csv) => csv.style,
            OutputFormat::Json(json) => json.style,
        }
    }

    /// Checks options and schema.
    pub(crate) fn validate(&self, schema: &SchemaRef) -> Result<(), ConnectorError> {
        if let OutputFormat::Csv(csv) = self {
            let fits = |c: char| c.is_ascii() && !matches!(c, '\n' | '\r');
            if !fits(csv.delimiter) || !fits(csv.quote) || csv.delimiter == csv.quote {
                return Err(ConnectorError::InvalidOption(
                    "'csv.field-delimiter' and 'csv.quote-character' must be two different ASCII characters"
                        .to_owned(),
                ));
            }
        }
        match schema.fields().iter().find(|field| !is_supported(field.data_type())) {
            None => Ok(()),
            Some(field) => Err(ConnectorError::UnsupportedType {
                column: field.name().clone(),
                data_type: field.data_type().to_string(),
                format: if matches!(self, OutputFormat::Csv(_)) { "CSV" } else { "JSON" },
                supported: "BOOLEAN, integers, floats, strings, timestamps, Date32 and binaries",
            }),
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
            csv.text(field.name(), out);
        }
        out.push(b'\n');
    }
}

/// Encodes the rows of one batch.
pub(crate) struct RowEncoder<'a> {
    format: &'a OutputFormat,
    columns: Vec<(Vec<u8>, &'a dyn Array, Cells<'a>)>,
    scratch: Vec<u8>,
}

impl<'a> RowEncoder<'a> {
    pub(crate) fn new(format: &'a OutputFormat, batch: &'a RecordBatch) -> Result<Self, ConnectorError> {
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let cells = Cells::of(array.as_ref()).ok_or_else(|| ConnectorError::WrongInput {
                sink: "file",
                reason: format!("column '{}' has the type {}", field.name(), field.data_type()),
            })?;
            let mut name = Vec::new();
            if matches!(format, OutputFormat::Json(_)) {
                json_text(field.name(), &mut name);
                name.push(b':');
            }
            columns.push((name, array.as_ref(), cells));
        }
        Ok(Self { format, columns, scratch: Vec::new() })
    }

    /// Appends a row with its newline.
    pub(crate) fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        match self.format {
            OutputFormat::Csv(csv) => self.encode_csv(csv, row, out),
            OutputFormat::Json(json) => self.encode_json(json, row, out),
        }
        out.push(b'\n');
    }

    fn encode_csv(&mut self, csv: &CsvOutput, row: usize, out: &mut Vec<u8>) {
        let style = self.format.style();
        for (index, (_, array, cells)) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(csv.delimiter as u8);
            }
            if array.is_null(row) {
                out.extend_from_slice(csv.null_literal.as_bytes());
                continue;
            }
            match cells.write(row, style, out) {
                Cell::Text(text) => csv.text(text, out),
                Cell::Binary(bytes) => base64(bytes, &mut self.scratch, out),
                Cell::Number | Cell::Boolean | Cell::Plain => {}
            }
        }
    }

    fn encode_json(&mut self, json: &JsonOutput, row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut is_first = true;
        for (name, array, cells) in &self.columns {
            let is_null = array.is_null(row) || matches!(cells, Cells::Null);
            if is_null && json.ignore_null_fields {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            out.extend_from_slice(name);
            if is_null {
                out.extend_from_slice(b"null");
                continue;
            }
            let from = out.len();
            match cells.write(row, json.style, out) {
                Cell::Number | Cell::Boolean => {}
                Cell::Plain => {
                    out.insert(from, b'"');
                    out.push(b'"');
                }
                Cell::Text(text) => json_text(text, out),
                Cell::Binary(bytes) => {
                    out.push(b'"');
                    base64(bytes, &mut self.scratch, out);
                    out.push(b'"');
                }
            }
        }
        out.push(b'}');
    }
}

fn base64(bytes: &[u8], scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    scratch.resize(bytes.len().div_ceil(3) * 4, 0);
    if let Ok(length) = BASE64.encode_slice(bytes, scratch) {
        out.extend_from_slice(&scratch[..length]);
    }
}

fn json_text(text: &str, out: &mut Vec<u8>) {
    // A string can always be written.
    let _ = serde_json::to_writer(out, text);
}

impl CsvOutput {
    fn text(&self, text: &str, out: &mut Vec<u8>) {
        let (delimiter, quote) = (self.delimiter as u8, self.quote as u8);
        let special = |byte: &u8| *byte == delimiter || *byte == quote || matches!(byte, b'\n' | b'\r');
        let bytes = text.as_bytes();
        if !bytes.iter().any(special) {
            out.extend_from_slice(bytes);
            return;
        }
        out.push(quote);
        for byte in bytes {
            if *byte == quote {
                out.push(quote);
            }
            out.push(*byte);
        }
        out.push(quote);
    }
}
