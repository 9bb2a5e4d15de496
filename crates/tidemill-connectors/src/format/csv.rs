//! Comma-separated values, with Flink's options.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use crate::error::ConnectorError;
use crate::file::input::ByteInput;
use crate::format::columns::Columns;
use crate::format::text::shorten;
use crate::format::{Decoded, Decoder, MAX_RECORD_BYTES, Malformed};

/// What the first line of a file is.
///
/// ```
/// use tidemill_connectors::{CsvHeader, CsvOptions};
///
/// assert_eq!(CsvHeader::default(), CsvHeader::None);
/// let by_name = CsvOptions::new().header(CsvHeader::ByName);
/// # let _ = by_name;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CsvHeader {
    /// A record like the others, as Flink has it.
    #[default]
    None,
    /// Skipped; fields belong to columns by their position.
    Skip,
    /// The names of the fields: columns are found by name, fields that the schema does not have are ignored, and a
    /// column that the file does not have is an error.
    ByName,
}

/// What CSV files look like. The setters are named after Flink's options (`csv.field-delimiter` and so on);
/// `header` and `lines_are_records` are Tidemill's own.
///
/// An empty field is the empty string for a column of strings, unless [`null_literal`](Self::null_literal) is
/// empty; for all other columns it is NULL. Numbers, booleans, dates and timestamps may have white space around
/// them. Empty lines are skipped. Binaries are in Base64.
///
/// ```
/// use tidemill_connectors::{CsvHeader, CsvOptions};
///
/// let options = CsvOptions::new()
///     .field_delimiter(";")
///     .header(CsvHeader::ByName)
///     .null_literal("NA")
///     .ignore_parse_errors(true);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct CsvOptions {
    delimiter: String,
    quote: Option<char>,
    escape: Option<char>,
    allow_comments: bool,
    pub(crate) ignore_parse_errors: bool,
    null_literal: Option<String>,
    pub(crate) header: CsvHeader,
    lines_are_records: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: ",".to_owned(),
            quote: Some('"'),
            escape: None,
            allow_comments: false,
            ignore_parse_errors: false,
            null_literal: None,
            header: CsvHeader::None,
            lines_are_records: false,
        }
    }
}

impl CsvOptions {
    /// Flink's defaults: `,` between fields, `"` around them, no header.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::CsvOptions;
    ///
    /// let options = CsvOptions::new();
    /// assert_eq!(read(options, "JFK,12,\n\"a, b\",,2013-01-31 14:05:00\n")?, [
    ///     "JFK, 12.0, NULL",
    ///     "a, b, NULL, 2013-01-31 14:05:00"
    /// ]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// What separates fields: one ASCII character, or its escaped form `\t` (default `,`).
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::CsvOptions;
    ///
    /// let options = CsvOptions::new().field_delimiter(";");
    /// assert_eq!(read(options, "JFK;12;\n")?, ["JFK, 12.0, NULL"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn field_delimiter(mut self, delimiter: impl Into<String>) -> Self {
        self.delimiter = delimiter.into();
        self
    }

    /// What encloses a field: one ASCII character (default `"`).
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::CsvOptions;
    ///
    /// let options = CsvOptions::new().quote_character('\'');
    /// assert_eq!(read(options, "'a, b',12,\n")?, ["a, b, 12.0, NULL"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn quote_character(mut self, quote: char) -> Self {
        self.quote = Some(quote);
        self
    }

    /// No character encloses fields.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::CsvOptions;
    ///
    /// let options = CsvOptions::new().disable_quote_character();
    /// assert_eq!(read(options, "24\",12,\n")?, ["24\", 12.0, NULL"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn disable_quote_character(mut self) -> Self {
        self.quote = None;
        self
    }

    /// Makes the quote character after it, inside of quotes, one of the field (default: none; quotes are doubled).
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::CsvOptions;
    ///
    /// let options = CsvOptions::new().escape_character('~');
    /// assert_eq!(read(options, "\"say ~\"hi~\"\",12,\n")?, ["say \"hi\", 12.0, NULL"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn escape_character(mut self, escape: char) -> Self {
        self.escape = Some(escape);
        self
    }

    /// Whether lines that begin with `#` are skipped (default: no).
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::CsvOptions;
    ///
    /// let options = CsvOptions::new().allow_comments(true);
    /// assert_eq!(read(options, "# airports\nJFK,12,\n")?, ["JFK, 12.0, NULL"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn allow_comments(mut self, allow: bool) -> Self {
        self.allow_comments = allow;
        self
    }

    /// Whether malformed lines are counted and skipped instead of failing the job (default: no).
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::CsvOptions;
    ///
    /// let options = CsvOptions::new().ignore_parse_errors(true);
    /// assert_eq!(read(options, "JFK,late,\nLGA,7,\n")?, ["LGA, 7.0, NULL"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn ignore_parse_errors(mut self, ignore: bool) -> Self {
        self.ignore_parse_errors = ignore;
        self
    }

    /// The text that stands for NULL (default: none).
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::CsvOptions;
    ///
    /// let options = CsvOptions::new().null_literal("NA");
    /// assert_eq!(read(options, "NA,12,NA\n")?, ["NULL, 12.0, NULL"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn null_literal(mut self, literal: impl Into<String>) -> Self {
        self.null_literal = Some(literal.into());
        self
    }

    /// What the first line is (default: a record).
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::{CsvHeader, CsvOptions};
    ///
    /// let options = CsvOptions::new().header(CsvHeader::Skip);
    /// assert_eq!(read(options, "place,minutes,when\nJFK,12,\n")?, ["JFK, 12.0, NULL"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn header(mut self, header: CsvHeader) -> Self {
        self.header = header;
        self
    }

    /// Promises that no quoted field contains a newline, so that several subtasks can read one large file
    /// (default: no).
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::CsvOptions;
    ///
    /// let options = CsvOptions::new().lines_are_records(true);
    /// assert_eq!(read(options, "\"a, b\",12,\nLGA,7,\n")?, ["a, b, 12.0, NULL", "LGA, 7.0, NULL"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn lines_are_records(mut self, yes: bool) -> Self {
        self.lines_are_records = yes;
        self
    }

    pub(crate) fn is_line_based(&self) -> bool {
        self.quote.is_none() || self.lines_are_records
    }

    pub(crate) fn delimiter_byte(&self) -> Result<u8, ConnectorError> {
        let delimiter = if self.delimiter == "\\t" { "\t" } else { &self.delimiter };
        match delimiter.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(*byte),
            _ => Err(ConnectorError::InvalidOption(format!(
                "'csv.field-delimiter' must be one ASCII character (such as ',' or '\\t'), not '{}'",
                self.delimiter.escape_debug()
            ))),
        }
    }

    pub(crate) fn reader(&self) -> Result<Reader, ConnectorError> {
        let byte = |character: char, option: &str| {
            u8::try_from(character).ok().filter(|b| b.is_ascii() && !matches!(b, b'\n' | b'\r')).ok_or_else(
                || {
                    ConnectorError::InvalidOption(format!(
                        "'{option}' must be one ASCII character, not '{}'",
                        character.escape_debug()
                    ))
                },
            )
        };
        let mut builder = ReaderBuilder::new();
        let delimiter = self.delimiter_byte()?;
        builder.delimiter(delimiter);
        match self.quote {
            Some(quote) => {
                let quote = byte(quote, "csv.quote-character")?;
                if quote == delimiter {
                    return Err(ConnectorError::InvalidOption(
                        "'csv.quote-character' and 'csv.field-delimiter' must not be the same".to_owned(),
                    ));
                }
                builder.quote(quote);
            }
            None => {
                builder.quoting(false);
            }
        }
        if let Some(escape) = self.escape {
            builder.escape(Some(byte(escape, "csv.escape-character")?));
        }
        let mut reader = builder.build();
        // The library drops a byte-order mark from what it sees first, which need not be the start of the file.
        let _ = reader.read_record(b"\n", &mut [], &mut []);
        Ok(reader)
    }
}

pub(crate) struct CsvDecoder {
    reader: Reader,
    delimiter: u8,
    comments: bool,
    null_literal: Option<Vec<u8>>,
    header: CsvHeader,
    names: Vec<Arc<str>>,
    /// Which field of a record each column is.
    places: Vec<usize>,
    /// How many fields a record must have.
    fields: usize,
    record: Vec<u8>,
    ends: Vec<usize>,
}

/// A record of the file, as far as it can be told from others.
enum Found {
    /// So many bytes and fields are in the buffers.
    Record {
        fields: usize,
    },
    Malformed(&'static str, bool),
    End,
}

/// No file has more columns than this on purpose.
const MAX_FIELDS: usize = 1 << 16;

impl CsvDecoder {
    pub(crate) fn new(options: &CsvOptions, schema: &SchemaRef) -> Result<Self, ConnectorError> {
        let names: Vec<Arc<str>> = schema.fields().iter().map(|field| field.name().as_str().into()).collect();
        Ok(Self {
            reader: options.reader()?,
            delimiter: options.delimiter_byte()?,
            comments: options.allow_comments,
            null_literal: options.null_literal.as_ref().map(|literal| literal.as_bytes().to_vec()),
            header: options.header,
            places: (0..names.len()).collect(),
            fields: names.len(),
            names,
            record: vec![0; 4096],
            ends: vec![0; 64],
        })
    }

    /// Skips empty lines and comments; false at the end of the file.
    fn skip_to_record(&self, input: &mut ByteInput) -> Result<bool, ConnectorError> {
        loop {
            let Some(byte) = input.available().first().copied() else {
                if input.fill()? {
                    continue;
                }
                return Ok(false);
            };
            match byte {
                b'\n' => {
                    input.line += 1;
                    input.consume(1);
                }
                b'\r' => input.consume(1),
                b'#' if self.comments => input.skip_line()?,
                _ => return Ok(true),
            }
        }
    }

    fn read_record(&mut self, input: &mut ByteInput) -> Result<Found, ConnectorError> {
        let (mut bytes, mut fields) = (0, 0);
        self.reader.set_line(input.line);
        loop {
            let mut at_end = false;
            let available = match input.available() {
                [] => {
                    if input.fill()? {
                        continue;
                    }
                    // A newline ends the last record, unless a quote is open.
                    at_end = true;
                    b"\n"
                }
                available => available,
            };
            let (result, read, written, ended) =
                self.reader.read_record(available, &mut self.record[bytes..], &mut self.ends[fields..]);
            if !at_end {
                input.consume(read);
                input.line = self.reader.line();
            }
            bytes += written;
            fields += ended;
            match result {
                ReadRecordResult::Record => return Ok(Found::Record { fields }),
                ReadRecordResult::InputEmpty if at_end => {
                    self.reader.reset();
                    return Ok(Found::Malformed("the quote of a field is not closed", true));
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if bytes >= MAX_RECORD_BYTES => {
                    return Ok(Found::Malformed(
                        "the record is longer than 16 MiB: is a quote not closed, or is this no CSV file?",
                        false,
                    ));
                }
                ReadRecordResult::OutputFull => self.record.resize(self.record.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if fields >= MAX_FIELDS => {
                    return Ok(Found::Malformed("the record has more than 65536 fields", false));
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::End => return Ok(Found::End),
            }
        }
    }

    fn fill_row(&mut self, fields: usize, columns: &mut Columns) -> Result<(), (Option<Arc<str>>, String)> {
        if fields != self.fields {
            return Err((None, self.wrong_count(fields)));
        }
        for (column, place) in columns.columns.iter_mut().zip(&self.places) {
            let start = if *place == 0 { 0 } else { self.ends[*place - 1] };
            let text = &self.record[start..self.ends[*place]];
            let is_null = match &self.null_literal {
                Some(literal) if literal == text => true,
                _ => text.is_empty() && !column.is_text(),
            };
            if is_null {
                if !column.nullable {
                    let shown = if text.is_empty() {
                        "the empty field".to_owned()
                    } else {
                        format!("'{}'", shorten(text))
                    };
                    let problem = format!("{shown} stands for NULL, which the column must not be");
                    return Err((Some(Arc::clone(&column.name)), problem));
                }
                column.push_null();
            } else if let Err(bad) = column.push(text, None) {
                return Err((Some(Arc::clone(&column.name)), bad.to_string()));
            }
        }
        Ok(())
    }

    /// What is wrong with a record that has too few or too many fields.
    fn wrong_count(&self, fields: usize) -> String {
        let ends = self.ends.get(..fields).unwrap_or_default();
        let named = |field: usize| {
            let name = self.places.iter().position(|place| *place == field).and_then(|at| self.names.get(at));
            name.map(|name| format!(" ('{name}')")).unwrap_or_default()
        };
        let problem = format!(
            "the line '{}' has {fields} fields, but {} are expected",
            self.joined(ends, 0),
            self.fields
        );
        if fields > self.fields {
            return format!(
                "{problem}: too much is field {}, '{}'",
                self.fields + 1,
                self.joined(ends, self.fields)
            );
        }
        format!("{problem}: the first that is missing is field {}{}", fields + 1, named(fields))
    }

    /// The fields of a record from one on, shortened.
    fn joined(&self, ends: &[usize], first: usize) -> String {
        // More than is shown of any text.
        const ENOUGH: usize = 256;
        let mut text = Vec::new();
        let mut start = first.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
        for (index, end) in ends.iter().enumerate().skip(first) {
            if index > first {
                text.push(self.delimiter);
            }
            let field = self.record.get(start..*end).unwrap_or_default();
            text.extend_from_slice(field.get(..ENOUGH).unwrap_or(field));
            start = *end;
            if text.len() > ENOUGH {
                break;
            }
        }
        shorten(&text)
    }

    fn bind_header(&mut self, fields: usize, input: &ByteInput) -> Result<(), ConnectorError> {
        let mut present: Vec<String> = Vec::with_capacity(fields);
        let mut start = 0;
        for end in &self.ends[..fields] {
            present.push(String::from_utf8_lossy(self.record[start..*end].trim_ascii()).into_owned());
            start = *end;
        }
        let file = || input.path().display().to_string();
        self.fields = fields;
        for (name, place) in self.names.iter().zip(&mut self.places) {
            let mut found = present.iter().enumerate().filter(|(_, field)| field.as_str() == &**name);
            let Some((field, _)) = found.next() else {
                let mut all: Vec<String> =
                    present.iter().take(50).map(|field| format!("'{}'", shorten(field.as_bytes()))).collect();
                if present.len() > all.len() {
                    all.push("…".to_owned());
                }
                return Err(ConnectorError::MissingColumn {
                    file: file(),
                    column: name.to_string(),
                    present: all.join(", "),
                });
            };
            if found.next().is_some() {
                return Err(ConnectorError::DuplicateColumn { file: file(), column: name.to_string() });
            }
            *place = field;
        }
        Ok(())
    }
}

impl Decoder for CsvDecoder {
    fn read_header(&mut self, input: &mut ByteInput) -> Result<(), ConnectorError> {
        if self.header == CsvHeader::None {
            return Ok(());
        }
        if !self.skip_to_record(input)? {
            return match self.header {
                CsvHeader::ByName => Err(ConnectorError::Malformed {
                    place: format!("{} line 1", input.path().display()),
                    column: None,
                    problem: "the file is empty, but a header line with the names of the columns is expected"
                        .to_owned(),
                    option: None,
                }),
                _ => Ok(()),
            };
        }
        let line = input.line;
        match self.read_record(input)? {
            Found::Record { fields } if self.header == CsvHeader::ByName => self.bind_header(fields, input),
            Found::Record { .. } | Found::End => Ok(()),
            Found::Malformed(problem, _) => Err(ConnectorError::Malformed {
                place: format!("{} line {}", input.path().display(), line + 1),
                column: None,
                problem: problem.to_owned(),
                option: None,
            }),
        }
    }

    fn decode(
        &mut self,
        input: &mut ByteInput,
        end: u64,
        columns: &mut Columns,
    ) -> Result<Decoded, ConnectorError> {
        if !self.skip_to_record(input)? || input.offset() >= end {
            return Ok(Decoded::End);
        }
        let (lines_before, offset) = (input.line, input.offset());
        let (column, problem, skippable) = match self.read_record(input)? {
            Found::Record { fields } => match self.fill_row(fields, columns) {
                Ok(()) => {
                    columns.end_row();
                    return Ok(Decoded::Row);
                }
                Err((column, problem)) => {
                    columns.abandon_row();
                    (column, problem, true)
                }
            },
            Found::Malformed(problem, skippable) => (None, problem.to_owned(), skippable),
            Found::End => return Ok(Decoded::End),
        };
        Ok(Decoded::Malformed(Malformed { lines_before, offset, column, problem, skippable }))
    }
}
