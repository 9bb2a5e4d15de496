//! The columns of CSV files.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::{Guess, each_file, malformed, no_records};
use crate::error::ConnectorError;
use crate::file::input::ByteInput;
use crate::format::{CsvDecoder, CsvFields, CsvHeader, CsvOptions, Decoder};

/// The columns of CSV files that begin with a header line, named by it and typed by their first `max_records`
/// records.
///
/// A column whose fields are all whole numbers is a `BIGINT`, and by the same rule there are `DOUBLE`,
/// `BOOLEAN`, `DATE` and `TIMESTAMP`, the latter with 3, 6 or 9 digits of a second, and with a zone if all
/// have one. Everything else is a `STRING`: also numbers with zeros in front, which are codes, and such as do
/// not fit. Empty fields are NULL, as all columns may be.
///
/// `path` is a file, a folder or a pattern, compressed or not, as in [`FileSource`](crate::FileSource).
///
/// ```
/// use arrow_schema::DataType;
/// use tidemill_connectors::infer_csv_schema;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("delays.csv").to_str().unwrap().to_owned();
/// std::fs::write(&path, "airport,minutes\nJFK,12\nLGA,\n").unwrap();
/// let schema = infer_csv_schema(&path, 1_000)?;
/// assert_eq!(schema.field(1).name(), "minutes");
/// assert_eq!(schema.field(1).data_type(), &DataType::Int64);
/// # Ok::<(), tidemill_connectors::ConnectorError>(())
/// ```
///
/// # Errors
/// When there is no such file, it cannot be read, or it has no header.
pub fn infer_csv_schema(path: &str, max_records: usize) -> Result<SchemaRef, ConnectorError> {
    infer_csv_schema_with(path, &CsvOptions::new().header(CsvHeader::ByName), max_records)
}

/// The columns of CSV files of the form that options describe, as [`infer_csv_schema`] finds them. Without a
/// header, columns are named as the options say, and else `f0`, `f1` and so on.
///
/// ```
/// use tidemill_connectors::{CsvOptions, infer_csv_schema_with};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("delays.csv").to_str().unwrap().to_owned();
/// std::fs::write(&path, "JFK;12\nLGA;NA\n").unwrap();
/// let options = CsvOptions::new().field_delimiter(";").null_literal("NA");
/// let schema = infer_csv_schema_with(&path, &options, 1_000)?;
/// assert_eq!(schema.field(1).to_string(), r#"Field { "f1": nullable Int64 }"#);
/// # Ok::<(), tidemill_connectors::ConnectorError>(())
/// ```
///
/// # Errors
/// When an option makes no sense, there is no such file, or it cannot be read; when a record is malformed,
/// unless the options have such skipped.
pub fn infer_csv_schema_with(
    path: &str,
    options: &CsvOptions,
    max_records: usize,
) -> Result<SchemaRef, ConnectorError> {
    options.validate()?;
    let names = names(path, options)?;
    let texts = names.iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>();
    let texts: SchemaRef = Arc::new(Schema::new(texts));
    let mut guesses = vec![Guess::Unknown; names.len()];
    let mut left = max_records;
    each_file(path, |input| {
        let mut decoder = CsvDecoder::new(options, &texts)?;
        decoder.read_header(input)?;
        while left > 0 && read_record(&mut decoder, options, input, &mut guesses)? {
            left -= 1;
        }
        Ok(left > 0)
    })?;
    let field = |(name, guess): (&String, Guess)| Field::new(name, guess.data_type(), true);
    Ok(Arc::new(Schema::new(names.iter().zip(guesses).map(field).collect::<Vec<_>>())))
}

/// Widens the guesses by a record; false when there is none.
fn read_record(
    decoder: &mut CsvDecoder,
    options: &CsvOptions,
    input: &mut ByteInput,
    guesses: &mut [Guess],
) -> Result<bool, ConnectorError> {
    let (line, fields) = match decoder.next_fields(input)? {
        CsvFields::End => return Ok(false),
        CsvFields::Malformed { problem, skippable: true, .. } if options.ignore_parse_errors => {
            let _ = problem;
            return Ok(true);
        }
        CsvFields::Malformed { line, problem, .. } => {
            return Err(malformed(input, line, problem, Some("csv.ignore-parse-errors")));
        }
        CsvFields::Of { line, count } => (line, count),
    };
    if let Err(problem) = decoder.check_count(fields) {
        if options.ignore_parse_errors {
            return Ok(true);
        }
        return Err(malformed(input, line, problem, Some("csv.ignore-parse-errors")));
    }
    for (column, guess) in guesses.iter_mut().enumerate() {
        let text = decoder.column_text(column);
        if options.null_literal.as_ref().is_none_or(|literal| literal.as_bytes() != text) {
            *guess = guess.join(Guess::of_text(text));
        }
    }
    Ok(true)
}

/// What the columns are called.
fn names(path: &str, options: &CsvOptions) -> Result<Vec<String>, ConnectorError> {
    let mut names = None;
    each_file(path, |input| {
        let mut decoder = CsvDecoder::new(options, &Arc::new(Schema::empty()))?;
        let (line, count) = match decoder.next_fields(input)? {
            CsvFields::Of { line, count } => (line, count),
            // The next file may have something.
            CsvFields::End => return Ok(true),
            CsvFields::Malformed { line, problem, .. } => return Err(malformed(input, line, problem, None)),
        };
        names = Some(match (options.header, options.names()) {
            (CsvHeader::None, Some(names)) | (CsvHeader::Skip, Some(names)) => names.to_vec(),
            (CsvHeader::None, None) => (0..count).map(|field| format!("f{field}")).collect(),
            (CsvHeader::Skip | CsvHeader::ByName, _) => decoder.texts(count),
        });
        if let Some(names) = &names {
            let twice =
                names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|one| one == *name));
            if let Some((_, name)) = twice {
                let problem = format!("two columns have the name '{name}'");
                return Err(malformed(input, line, problem, None));
            }
        }
        Ok(false)
    })?;
    names.ok_or_else(|| no_records(path))
}
