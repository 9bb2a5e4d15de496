//! One JSON object a line, with Flink's options.

use std::fmt;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use serde_json::value::RawValue;

use crate::error::ConnectorError;
use crate::file::input::{ByteInput, Line};
use crate::format::columns::{Column, Columns};
use crate::format::text::{TimestampFormat, shorten};
use crate::format::{Decoded, Decoder, Malformed};

/// What files of JSON lines look like. The setters are named after Flink's options (`json.fail-on-missing-field`
/// and so on).
///
/// A field that an object does not have, or that is `null`, is NULL. Fields that the schema does not have are ignored. Numbers
/// and booleans may be in quotes, and a column of strings takes any value, as its JSON text. Empty lines are skipped.
///
/// ```
/// use tidemill_connectors::{JsonOptions, TimestampFormat};
///
/// let options = JsonOptions::new().timestamp_format(TimestampFormat::Iso8601).fail_on_missing_field(true);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
pub struct JsonOptions {
    fail_on_missing_field: bool,
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

    /// Whether malformed lines are counted and skipped instead of failing the job (default: no).
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

pub(crate) struct JsonDecoder {
    options: JsonOptions,
    names: Vec<Arc<str>>,
    /// Where the last object had its columns: the next one likely has them in the same order.
    order: Vec<Option<usize>>,
}

/// What is wrong, and in which column.
type Problem = (Option<Arc<str>>, String);

impl JsonDecoder {
    pub(crate) fn new(options: &JsonOptions, schema: &SchemaRef) -> Self {
        let names: Vec<Arc<str>> = schema.fields().iter().map(|field| field.name().as_str().into()).collect();
        Self { options: options.clone(), names, order: Vec::new() }
    }

    fn fill_row(&mut self, line: &[u8], columns: &mut Columns) -> Result<(), Problem> {
        let mut problem = None;
        let row = columns.rows;
        let object = ObjectSeed {
            names: &self.names,
            order: &mut self.order,
            columns: &mut columns.columns,
            row,
            format: self.options.timestamp_format,
            problem: &mut problem,
        };
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let read = serde::de::DeserializeSeed::deserialize(object, &mut deserializer)
            .and_then(|()| deserializer.end());
        if let Some(problem) = problem {
            return Err(problem);
        }
        if let Err(error) = read {
            return Err((None, describe(&error, line)));
        }
        for column in &mut columns.columns {
            if column.len() > row {
                continue;
            }
            let missing = |why: &str| {
                let name = &column.name;
                Err((Some(Arc::clone(name)), format!("the object has no field '{name}', {why}")))
            };
            if self.options.fail_on_missing_field {
                return missing("and 'json.fail-on-missing-field' is on");
            }
            if !column.nullable {
                return missing("and the column must not be NULL");
            }
            column.push_null();
        }
        Ok(())
    }
}

/// What serde_json says, without its line number, which is always 1.
fn describe(error: &serde_json::Error, line: &[u8]) -> String {
    if std::str::from_utf8(line).is_err() {
        return format!("the line is not valid UTF-8: '{}'", shorten(line));
    }
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    if error.is_data() {
        return format!("'{}' is not a JSON object", shorten(line));
    }
    // Where it stopped says more than the beginning of a long line.
    let at = error.column().saturating_sub(1).min(line.len());
    let from = at.saturating_sub(20);
    format!(
        "the line is not valid JSON: {what}, at character {} near '{}'",
        error.column(),
        shorten(&line[from..])
    )
}

struct ObjectSeed<'a> {
    names: &'a [Arc<str>],
    order: &'a mut Vec<Option<usize>>,
    columns: &'a mut [Column],
    row: usize,
    format: TimestampFormat,
    problem: &'a mut Option<Problem>,
}

/// Finds the column of a field without allocating its name.
struct NameSeed<'a> {
    names: &'a [Arc<str>],
    guess: Option<usize>,
}

impl<'de> serde::de::DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl serde::de::Visitor<'_> for NameSeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        if let Some(guess) = self.guess
            && self.names.get(guess).is_some_and(|known| &**known == name)
        {
            return Ok(Some(guess));
        }
        Ok(self.names.iter().position(|known| &**known == name))
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for ObjectSeed<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> serde::de::Visitor<'de> for ObjectSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut at = 0;
        loop {
            let guess = self.order.get(at).copied().flatten();
            let Some(found) = map.next_key_seed(NameSeed { names: self.names, guess })? else {
                return Ok(());
            };
            // An object with thousands of fields must not make the memory of it grow.
            if at < self.order.len() {
                self.order[at] = found;
            } else if at < 4 * self.names.len() + 16 {
                self.order.push(found);
            }
            at += 1;
            let Some(index) = found else {
                map.next_value::<serde::de::IgnoredAny>()?;
                continue;
            };
            let value: &RawValue = map.next_value()?;
            let column = &mut self.columns[index];
            // Of a field that comes twice, the last counts.
            column.truncate(self.row);
            if self.problem.is_none()
                && let Err(problem) = push(column, value.get(), self.format)
            {
                *self.problem = Some((Some(Arc::clone(&column.name)), problem));
            }
        }
    }
}

fn push(column: &mut Column, raw: &str, format: TimestampFormat) -> Result<(), String> {
    let bytes = raw.as_bytes();
    let pushed = match bytes {
        b"null" if column.nullable => {
            column.push_null();
            return Ok(());
        }
        b"null" => return Err("null, which the column must not be".to_owned()),
        [b'"', inner @ .., b'"'] => {
            if inner.contains(&b'\\') {
                match serde_json::from_str::<String>(raw) {
                    Ok(text) => column.push(text.as_bytes(), Some(format)),
                    Err(_) => return Err(format!("'{}' is not a valid JSON string", shorten(bytes))),
                }
            } else {
                column.push(inner, Some(format))
            }
        }
        [b'{', ..] if !column.is_text() => {
            return Err(format!("'{}' is an object, but one value is expected", shorten(bytes)));
        }
        [b'[', ..] if !column.is_text() => {
            return Err(format!("'{}' is an array, but one value is expected", shorten(bytes)));
        }
        // Dates and timestamps are strings in JSON; a bare number must not be taken for one.
        _ if column.is_text() || column.is_boolean_or_number() => column.push(bytes, Some(format)),
        _ => {
            return Err(format!(
                "'{}' is not a string, as dates, timestamps and binaries are written",
                shorten(bytes)
            ));
        }
    };
    pushed.map_err(|bad| bad.to_string())
}

impl Decoder for JsonDecoder {
    fn read_header(&mut self, _input: &mut ByteInput) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn decode(
        &mut self,
        input: &mut ByteInput,
        end: u64,
        columns: &mut Columns,
    ) -> Result<Decoded, ConnectorError> {
        loop {
            let (lines_before, offset) = (input.line, input.offset());
            if offset >= end {
                return Ok(Decoded::End);
            }
            let malformed = |column, problem, skippable| {
                Ok(Decoded::Malformed(Malformed { lines_before, offset, column, problem, skippable }))
            };
            let length = match input.find_line()? {
                Line::End => return Ok(Decoded::End),
                Line::TooLong => {
                    let problem = "the line is longer than 16 MiB: is this a file of JSON lines?".to_owned();
                    return malformed(None, problem, false);
                }
                Line::Of(length) => length,
            };
            let line = input.available()[..length].trim_ascii();
            let filled = if line.is_empty() { None } else { Some(self.fill_row(line, columns)) };
            input.consume_line(length);
            match filled {
                None => {}
                Some(Ok(())) => {
                    columns.end_row();
                    return Ok(Decoded::Row);
                }
                Some(Err((column, problem))) => {
                    columns.abandon_row();
                    return malformed(column, problem, true);
                }
            }
        }
    }
}
