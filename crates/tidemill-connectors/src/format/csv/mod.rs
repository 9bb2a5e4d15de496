//! Comma-separated values, with Flink's options.

mod decode;

use csv_core::{Reader, ReaderBuilder};

pub(crate) use decode::{CsvDecoder, CsvFields};

use crate::error::ConnectorError;

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
    /// The names of the fields: columns are found by name, fields that the schema does not have are ignored,
    /// and a column that the file does not have is an error.
    ByName,
}

/// What CSV files look like. The setters are named after Flink's options (`csv.field-delimiter` and so on);
/// `header` and `lines_are_records` are Tidemill's own.
///
/// An empty field is the empty string for a column of strings and the empty array for one of arrays, unless
/// [`null_literal`](Self::null_literal) is empty; for all other columns it is NULL. Numbers, booleans, dates
/// and timestamps may have white space around them. Empty lines are skipped. Binaries are in Base64. Arrays
/// and rows of single values are one field, with [`array_element_delimiter`](Self::array_element_delimiter)
/// between their parts.
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
    pub(crate) null_literal: Option<String>,
    array_element_delimiter: String,
    field_names: Option<Vec<String>>,
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
            array_element_delimiter: ";".to_owned(),
            field_names: None,
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

    /// Makes the quote character after it, inside of quotes, one of the field (default: none; quotes are
    /// doubled).
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

    /// Whether bad values are NULL, and malformed lines are counted and skipped, instead of failing the job (default: no). As in
    /// Flink the fields that a line lacks are NULL then, and a boolean that is not true is false; a line with a bad value of a column
    /// that must not be NULL is skipped.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::CsvOptions;
    ///
    /// let options = CsvOptions::new().ignore_parse_errors(true);
    /// assert_eq!(read(options, "JFK,late,\nLGA,7,\n")?, ["JFK, NULL, NULL", "LGA, 7.0, NULL"]);
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

    /// What separates the elements of an array, and the fields of a row in a row (default `;`).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_schema::{DataType, Field, Schema};
    /// use tidemill_connectors::{CsvOptions, FileSource};
    ///
    /// let numbers = DataType::new_list(DataType::Int64, true);
    /// let schema = Arc::new(Schema::new(vec![Field::new("numbers", numbers, true)]));
    /// // Reads `1|2|3` as an array of three.
    /// let options = CsvOptions::new().array_element_delimiter("|");
    /// assert!(FileSource::new("numbers.csv", options, schema).is_ok());
    /// ```
    pub fn array_element_delimiter(mut self, delimiter: impl Into<String>) -> Self {
        self.array_element_delimiter = delimiter.into();
        self
    }

    /// Names all fields of files without a header, in their order, so that a schema may have some of them
    /// only, in any order. What a header names ([`CsvHeader::ByName`]) goes before it.
    ///
    /// ```
    /// # mod lines { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/lines.rs")); }
    /// # use lines::read;
    /// use tidemill_connectors::CsvOptions;
    ///
    /// let options = CsvOptions::new().field_names(["at", "carrier", "delay", "airport"]);
    /// assert_eq!(read(options, ",UA,12,JFK\n")?, ["JFK, 12.0, NULL"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn field_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.field_names = Some(names.into_iter().map(Into::into).collect());
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

    /// The names that all fields of files were given.
    pub(crate) fn names(&self) -> Option<&[String]> {
        self.field_names.as_deref()
    }

    pub(crate) fn validate(&self) -> Result<(), ConnectorError> {
        if self.array_element_delimiter.is_empty() {
            let message = "'csv.array-element-delimiter' must not be empty".to_owned();
            return Err(ConnectorError::InvalidOption(message));
        }
        self.reader().map(drop)
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
        // The library drops a byte-order mark from what it sees first, which need not be the start of the
        // file.
        let _ = reader.read_record(b"\n", &mut [], &mut []);
        Ok(reader)
    }
}
