//! The columns of files of JSON lines, with what is inside of them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{Guess, each_file, malformed, no_records};
use crate::error::ConnectorError;
use crate::file::input::Line;
use crate::format::{JsonOptions, TimestampFormat, describe_json_error};

/// The columns of files of JSON lines, by their first `max_records` objects, in the order in which their
/// fields come first.
///
/// Whole numbers are `BIGINT`, others `DOUBLE`; strings are `DATE` or `TIMESTAMP` when all of them are, as in
/// [`infer_csv_schema`](crate::infer_csv_schema), and else `STRING`; objects are rows, and arrays are arrays.
/// What is an object here and a number there is a `STRING`, which takes the JSON text of anything. All
/// columns may be NULL.
///
/// `path` is a file, a folder or a pattern, compressed or not, as in [`FileSource`](crate::FileSource).
///
/// ```
/// use tidemill_connectors::infer_json_schema;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("bids.json").to_str().unwrap().to_owned();
/// std::fs::write(&path, r#"{"bid": {"price": 12, "tags": ["a"]}, "at": "2013-01-31 14:05:00"}"#).unwrap();
/// let schema = infer_json_schema(&path, 1_000)?;
/// assert_eq!(schema.field(0).name(), "bid");
/// assert_eq!(schema.field(1).data_type().to_string(), "Timestamp(ms)");
/// # Ok::<(), tidemill_connectors::ConnectorError>(())
/// ```
///
/// # Errors
/// When there is no such file, it cannot be read, or a line is not a JSON object.
pub fn infer_json_schema(path: &str, max_records: usize) -> Result<SchemaRef, ConnectorError> {
    infer_json_schema_with(path, &JsonOptions::new(), max_records)
}

/// The columns of files of JSON lines, as [`infer_json_schema`] finds them, with timestamps of the form that
/// the options say.
///
/// ```
/// use tidemill_connectors::{JsonOptions, TimestampFormat, infer_json_schema_with};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("bids.json").to_str().unwrap().to_owned();
/// std::fs::write(&path, "{\"at\": \"2013-01-31T14:05:00\"}\nno JSON\n").unwrap();
/// let options = JsonOptions::new().timestamp_format(TimestampFormat::Iso8601).ignore_parse_errors(true);
/// let schema = infer_json_schema_with(&path, &options, 1_000)?;
/// assert_eq!(schema.field(0).data_type().to_string(), "Timestamp(ms)");
/// # Ok::<(), tidemill_connectors::ConnectorError>(())
/// ```
///
/// # Errors
/// When there is no such file or it cannot be read; when a line is not a JSON object, unless the options have
/// such skipped.
pub fn infer_json_schema_with(
    path: &str,
    options: &JsonOptions,
    max_records: usize,
) -> Result<SchemaRef, ConnectorError> {
    let mut all = Object::default();
    let mut left = max_records;
    let mut found = false;
    each_file(path, |input| {
        while left > 0 {
            let at = input.line;
            let length = match input.find_line()? {
                Line::End => break,
                Line::TooLong => {
                    let problem = "the line is longer than 16 MiB: is this a file of JSON lines?".to_owned();
                    return Err(malformed(input, at, problem, None));
                }
                Line::Of(length) => length,
            };
            let line = input.available()[..length].trim_ascii();
            let read =
                if line.is_empty() { Ok(false) } else { read_line(line, options, &mut all).map(|()| true) };
            input.consume_line(length);
            match read {
                Ok(true) => {
                    found = true;
                    left -= 1;
                }
                Ok(false) => {}
                Err(_) if options.ignore_parse_errors => left -= 1,
                Err(problem) => return Err(malformed(input, at, problem, Some("json.ignore-parse-errors"))),
            }
        }
        Ok(left > 0)
    })?;
    if found { Ok(Arc::new(Schema::new(all.fields()))) } else { Err(no_records(path)) }
}

fn read_line(line: &[u8], options: &JsonOptions, all: &mut Object) -> Result<(), String> {
    // The whole line must be valid before it has any effect.
    let mut check = serde_json::Deserializer::from_slice(line);
    let check = serde::Deserialize::deserialize(&mut check).and_then(|IgnoredAny| check.end());
    check.map_err(|error| describe_json_error(&error, line))?;
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let root = RootSeed { object: all, format: options.timestamp_format };
    root.deserialize(&mut deserializer).map_err(|error| describe_json_error(&error, line))
}

/// What values have been so far.
#[derive(Debug)]
enum Shape {
    Single(Guess),
    Object(Object),
    Array(Box<Shape>),
}

/// The fields that objects have had.
#[derive(Debug, Default)]
struct Object {
    fields: Vec<(Arc<str>, Shape)>,
    places: HashMap<Arc<str>, usize>,
}

/// An object with more fields is rather a map, of which every object has others.
const MOST_FIELDS: usize = 4096;

impl Default for Shape {
    fn default() -> Self {
        Shape::Single(Guess::Unknown)
    }
}

impl Object {
    fn field(&mut self, name: &str) -> &mut Shape {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => {
                let name: Arc<str> = name.into();
                self.places.insert(Arc::clone(&name), self.fields.len());
                self.fields.push((name, Shape::default()));
                self.fields.len() - 1
            }
        };
        &mut self.fields[place].1
    }

    fn fields(&self) -> Fields {
        self.fields.iter().map(|(name, shape)| Field::new(&**name, shape.data_type(), true)).collect()
    }
}

impl Shape {
    fn single(&mut self, guess: Guess) {
        *self = Shape::Single(match self {
            Shape::Single(known) => known.join(guess),
            // NULL is a value of everything.
            _ if guess == Guess::Unknown => return,
            Shape::Object(_) | Shape::Array(_) => Guess::Text,
        });
    }

    fn data_type(&self) -> DataType {
        match self {
            Shape::Single(guess) => guess.data_type(),
            // A row without fields could hold nothing of what comes later.
            Shape::Object(object) if object.fields.is_empty() || object.fields.len() > MOST_FIELDS => {
                DataType::Utf8
            }
            Shape::Object(object) => DataType::Struct(object.fields()),
            Shape::Array(item) => DataType::new_list(item.data_type(), true),
        }
    }
}

struct RootSeed<'a> {
    object: &'a mut Object,
    format: TimestampFormat,
}

impl<'de> DeserializeSeed<'de> for RootSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RootSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        read_object(map, self.object, self.format)
    }
}

fn read_object<'de, A: MapAccess<'de>>(
    mut map: A,
    object: &mut Object,
    format: TimestampFormat,
) -> Result<(), A::Error> {
    while let Some(name) = map.next_key::<String>()? {
        if object.fields.len() > MOST_FIELDS {
            map.next_value::<IgnoredAny>()?;
        } else {
            map.next_value_seed(ShapeSeed { shape: object.field(&name), format })?;
        }
    }
    Ok(())
}

/// Widens a shape by a value.
struct ShapeSeed<'a> {
    shape: &'a mut Shape,
    format: TimestampFormat,
}

impl<'de> DeserializeSeed<'de> for ShapeSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ShapeSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.shape.single(Guess::Boolean);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.shape.single(Guess::BigInt);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.shape.single(if i64::try_from(value).is_ok() { Guess::BigInt } else { Guess::Text });
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.shape.single(Guess::Double);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.shape.single(Guess::of_time(value.as_bytes(), Some(self.format)));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if matches!(self.shape, Shape::Single(Guess::Unknown)) {
            *self.shape = Shape::Array(Box::default());
        }
        let Shape::Array(item) = self.shape else {
            self.shape.single(Guess::Text);
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        while seq.next_element_seed(ShapeSeed { shape: item, format: self.format })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if matches!(self.shape, Shape::Single(Guess::Unknown)) {
            *self.shape = Shape::Object(Object::default());
        }
        let Shape::Object(object) = self.shape else {
            self.shape.single(Guess::Text);
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        read_object(map, object, self.format)
    }
}
