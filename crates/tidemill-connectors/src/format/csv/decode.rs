//! Records of a file, and their fields in columns.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use csv_core::{ReadRecordResult, Reader};

use super::{CsvHeader, CsvOptions};
use crate::error::ConnectorError;
use crate::file::input::ByteInput;
use crate::format::columns::{Column, Columns, Shape};
use crate::format::text::shorten;
use crate::format::{Decoded, Decoder, MAX_RECORD_BYTES, Malformed};

pub(crate) struct CsvDecoder {
    reader: Reader,
    delimiter: u8,
    comments: bool,
    texts: Texts,
    header: CsvHeader,
    names: Vec<Arc<str>>,
    /// Which field of a record each column is.
    places: Vec<usize>,
    /// How many fields a record must have.
    fields: usize,
    record: Vec<u8>,
    ends: Vec<usize>,
}

/// How fields stand for values.
struct Texts {
    /// Whether a bad value is NULL instead of an error.
    lenient: bool,
    null_literal: Option<Vec<u8>>,
    /// Between the elements of an array.
    between: Vec<u8>,
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

/// The fields of a record, as far as they can be told apart.
pub(crate) enum CsvFields {
    /// So many, of the record on a line.
    Of {
        line: u64,
        count: usize,
    },
    Malformed {
        line: u64,
        problem: String,
        skippable: bool,
    },
    End,
}

/// No file has more columns than this on purpose.
const MAX_FIELDS: usize = 1 << 16;

impl CsvDecoder {
    pub(crate) fn new(options: &CsvOptions, schema: &SchemaRef) -> Result<Self, ConnectorError> {
        let names: Vec<Arc<str>> = schema.fields().iter().map(|field| field.name().as_str().into()).collect();
        let mut places: Vec<usize> = (0..names.len()).collect();
        let mut fields = names.len();
        if let Some(present) = &options.field_names {
            fields = present.len();
            bind(&names, &mut places, present, &|| "the option 'field_names'".to_owned())?;
        }
        Ok(Self {
            reader: options.reader()?,
            delimiter: options.delimiter_byte()?,
            comments: options.allow_comments,
            texts: Texts {
                lenient: options.ignore_parse_errors,
                null_literal: options.null_literal.as_ref().map(|literal| literal.as_bytes().to_vec()),
                between: options.array_element_delimiter.as_bytes().to_vec(),
            },
            header: options.header,
            places,
            fields,
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
        if fields > self.fields || !self.texts.lenient {
            self.check_count(fields).map_err(|problem| (None, problem))?;
        }
        let row = columns.rows;
        for (column, place) in columns.fields.columns.iter_mut().zip(&self.places) {
            if *place >= fields {
                if column.nullable {
                    column.fill(row + 1);
                    continue;
                }
                return Err((Some(Arc::clone(&column.name)), self.wrong_count(fields)));
            }
            let start = if *place == 0 { 0 } else { self.ends[*place - 1] };
            let text = &self.record[start..self.ends[*place]];
            if let Err(problem) = self.texts.push(column, text) {
                let path = format!("{}{}", column.name, problem.path);
                return Err((Some(path.into()), problem.text));
            }
        }
        Ok(())
    }

    /// Reads a record whose fields are wanted as texts.
    pub(crate) fn next_fields(&mut self, input: &mut ByteInput) -> Result<CsvFields, ConnectorError> {
        if !self.skip_to_record(input)? {
            return Ok(CsvFields::End);
        }
        let line = input.line;
        Ok(match self.read_record(input)? {
            Found::Record { fields } => CsvFields::Of { line, count: fields },
            Found::Malformed(problem, skippable) => {
                CsvFields::Malformed { line, problem: problem.to_owned(), skippable }
            }
            Found::End => CsvFields::End,
        })
    }

    /// Whether the last record has as many fields as it must.
    pub(crate) fn check_count(&self, fields: usize) -> Result<(), String> {
        if fields == self.fields { Ok(()) } else { Err(self.wrong_count(fields)) }
    }

    /// What the last record has for a column.
    pub(crate) fn column_text(&self, column: usize) -> &[u8] {
        let place = self.places.get(column).copied().unwrap_or(usize::MAX);
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(place).and_then(|end| self.record.get(start..*end)).unwrap_or_default()
    }

    /// The first so many fields of the last record, as names.
    pub(crate) fn texts(&self, fields: usize) -> Vec<String> {
        let mut texts: Vec<String> = Vec::with_capacity(fields);
        let mut start = 0;
        for end in self.ends.get(..fields).unwrap_or_default() {
            texts.push(String::from_utf8_lossy(self.record[start..*end].trim_ascii()).into_owned());
            start = *end;
        }
        texts
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
        let present = self.texts(fields);
        self.fields = fields;
        let file = || input.path().display().to_string();
        bind(&self.names, &mut self.places, &present, &|| format!("the header of '{}'", file()))
    }
}

/// Finds the fields of all columns by their names.
fn bind(
    names: &[Arc<str>],
    places: &mut [usize],
    present: &[String],
    place_of_names: &dyn Fn() -> String,
) -> Result<(), ConnectorError> {
    for (name, place) in names.iter().zip(places) {
        let mut found = present.iter().enumerate().filter(|(_, field)| field.as_str() == &**name);
        let Some((field, _)) = found.next() else {
            let mut all: Vec<String> =
                present.iter().take(50).map(|field| format!("'{}'", shorten(field.as_bytes()))).collect();
            if present.len() > all.len() {
                all.push("…".to_owned());
            }
            return Err(ConnectorError::MissingColumn {
                file: place_of_names(),
                column: name.to_string(),
                present: all.join(", "),
            });
        };
        if found.next().is_some() {
            return Err(ConnectorError::DuplicateColumn { file: place_of_names(), column: name.to_string() });
        }
        *place = field;
    }
    Ok(())
}

/// What is wrong with a field, and in which part of it.
struct BadField {
    path: String,
    text: String,
}

impl BadField {
    #[cold]
    fn new(text: String) -> Self {
        Self { path: String::new(), text }
    }
}

impl Texts {
    /// Appends the value that a field stands for; NULL of one that is bad, when those are ignored.
    #[inline]
    fn push(&self, column: &mut Column, text: &[u8]) -> Result<(), BadField> {
        if !self.lenient {
            return self.push_value(column, text);
        }
        let row = column.len();
        let pushed = match column.lenient_text(text, false) {
            Some(text) => self.push_value(column, text),
            None => Err(BadField::new(format!("'{}' is not written as such values are", shorten(text)))),
        };
        if pushed.is_err() && column.nullable {
            column.truncate(row);
            column.push_null();
            return Ok(());
        }
        pushed
    }

    /// See [`push`](Self::push).
    #[inline]
    fn push_value(&self, column: &mut Column, text: &[u8]) -> Result<(), BadField> {
        let is_null = match &self.null_literal {
            Some(literal) if literal == text => true,
            _ => text.is_empty() && !column.is_text() && !column.is_list(),
        };
        if is_null {
            return push_null(column, text);
        }
        if matches!(column.shape(), Shape::Single) {
            return column.push(text, None).map_err(|bad| BadField::new(bad.to_string()));
        }
        self.push_parts(column, text)
    }

    fn push_parts(&self, column: &mut Column, text: &[u8]) -> Result<(), BadField> {
        let row = column.len();
        match column.shape() {
            Shape::List(list) => {
                // An empty field is an empty array, as in Flink, not an array of one empty text.
                let parts = self.parts(text).take_while(|_| !text.trim_ascii().is_empty());
                for (index, part) in parts.enumerate() {
                    self.push(&mut list.item, part).map_err(|bad| inside(&format!("[{index}]"), bad))?;
                }
            }
            Shape::Row(fields) => {
                let mut parts = self.parts(text);
                for column in &mut fields.columns {
                    column.begin(row);
                    let Some(part) = parts.next() else {
                        if self.lenient && column.nullable {
                            column.push_null();
                            continue;
                        }
                        return Err(BadField::new(format!(
                            "'{}' has no part for the field '{}'",
                            shorten(text),
                            column.name
                        )));
                    };
                    self.push(column, part).map_err(|bad| inside(&format!(".{}", column.name), bad))?;
                }
                if !self.lenient && parts.next().is_some() {
                    let (shown, expected) = (shorten(text), fields.columns.len());
                    let text = format!("'{shown}' has more parts than the {expected} fields of the row");
                    return Err(BadField::new(text));
                }
            }
            Shape::Map(_) | Shape::Single => {
                return column.push(text, None).map_err(|bad| BadField::new(bad.to_string()));
            }
        }
        column.end_value();
        Ok(())
    }

    /// What is between the delimiters, at least one part.
    fn parts<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = Some(text);
        std::iter::from_fn(move || {
            let text = rest?;
            match memchr::memmem::find(text, &self.between) {
                Some(at) => {
                    rest = text.get(at + self.between.len()..);
                    text.get(..at)
                }
                None => rest.take(),
            }
        })
    }
}

#[cold]
fn inside(place: &str, mut bad: BadField) -> BadField {
    bad.path.insert_str(0, place);
    bad
}

fn push_null(column: &mut Column, text: &[u8]) -> Result<(), BadField> {
    if column.nullable {
        column.push_null();
        return Ok(());
    }
    let shown = if text.is_empty() { "the empty field".to_owned() } else { format!("'{}'", shorten(text)) };
    Err(BadField::new(format!("{shown} stands for NULL, which the column must not be")))
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
