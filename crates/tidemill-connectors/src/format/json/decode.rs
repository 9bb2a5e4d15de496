//! From the text of an object straight into columns: the parser walks the text once and hands each value to
//! its column.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::JsonOptions;
use crate::error::ConnectorError;
use crate::file::input::{ByteInput, Line};
use crate::format::columns::{Column, Columns, Fields, List, Map, Shape};
use crate::format::text::{self, TimestampFormat, shorten};
use crate::format::{Decoded, Decoder, Malformed};

pub(crate) struct JsonDecoder {
    options: JsonOptions,
    /// Whether maps are looked through for keys that come twice before they are taken.
    careful: bool,
}

/// What is wrong, and in which column.
struct Problem {
    path: Option<String>,
    text: String,
}

impl Problem {
    /// The place is in a field, or in an element, of a value around it.
    #[cold]
    fn inside(&mut self, place: &str) {
        self.path = Some(match self.path.take() {
            None => place.to_owned(),
            Some(path) if path.starts_with('[') => format!("{place}{path}"),
            Some(path) => format!("{place}.{path}"),
        });
    }
}

/// What is the same for all values of a line.
struct Context {
    format: TimestampFormat,
    /// Whether a bad value is NULL instead of an error.
    lenient: bool,
    /// Whether an object must have all fields.
    strict: bool,
    careful: bool,
    /// A map has a key twice, or so many keys that they are better looked through at once.
    needs_care: bool,
    problem: Option<Problem>,
}

impl Context {
    #[cold]
    fn fail(&mut self, text: impl Into<String>) {
        if self.problem.is_none() {
            self.problem = Some(Problem { path: None, text: text.into() });
        }
    }
}

impl JsonDecoder {
    pub(crate) fn new(options: &JsonOptions) -> Self {
        Self { options: options.clone(), careful: false }
    }

    /// Appends the row that an object describes.
    pub(super) fn row(&mut self, object: &str, columns: &mut Columns) -> Result<(), ConnectorError> {
        match self.fill_row(object.as_bytes(), columns) {
            Ok(()) => {
                columns.end_row();
                Ok(())
            }
            Err(problem) => {
                columns.abandon_row();
                Err(ConnectorError::Malformed {
                    place: format!("row {}", columns.rows + 1),
                    column: problem.path,
                    problem: problem.text,
                    option: None,
                })
            }
        }
    }

    fn fill_row(&mut self, line: &[u8], columns: &mut Columns) -> Result<(), Problem> {
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(Problem { path: None, text: not_utf8(line) });
        };
        loop {
            let mut context = Context {
                format: self.options.timestamp_format,
                lenient: self.options.ignore_parse_errors,
                strict: self.options.fail_on_missing_field,
                careful: self.careful,
                needs_care: false,
                problem: None,
            };
            let row = columns.rows;
            let object = RootSeed { fields: &mut columns.fields, row, context: &mut context };
            let mut deserializer = serde_json::Deserializer::from_str(text);
            let mut read = object.deserialize(&mut deserializer);
            if !self.options.ignore_parse_errors {
                read = read.and_then(|()| deserializer.end());
            }
            if let Some(problem) = context.problem {
                return Err(problem);
            }
            if let Err(error) = read {
                return Err(Problem { path: None, text: describe(&error, line) });
            }
            if !context.needs_care || self.careful {
                return Ok(());
            }
            // Once more, and from now on at once: such maps seldom come alone.
            self.careful = true;
            columns.abandon_row();
        }
    }
}

fn not_utf8(line: &[u8]) -> String {
    format!("the line is not valid UTF-8: '{}'", shorten(line))
}

/// What serde_json says, without its line number, which is always 1.
pub(crate) fn describe(error: &serde_json::Error, line: &[u8]) -> String {
    if std::str::from_utf8(line).is_err() {
        return not_utf8(line);
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

/// The object of a line.
struct RootSeed<'a> {
    fields: &'a mut Fields,
    row: usize,
    context: &'a mut Context,
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
        read_fields(map, self.fields, self.row, self.context)
    }
}

/// Finds the column of a field without allocating its name.
struct NameSeed<'a> {
    columns: &'a [Column],
    guess: Option<usize>,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        if let Some(guess) = self.guess
            && self.columns.get(guess).is_some_and(|column| &*column.name == name)
        {
            return Ok(Some(guess));
        }
        Ok(self.columns.iter().position(|column| &*column.name == name))
    }
}

/// Reads the fields of an object that the columns are for; those that it does not have stay behind, as NULL.
fn read_fields<'de, A: MapAccess<'de>>(
    mut map: A,
    fields: &mut Fields,
    row: usize,
    context: &mut Context,
) -> Result<(), A::Error> {
    let mut at = 0;
    loop {
        let guess = fields.order.get(at).copied().flatten();
        let Some(found) = map.next_key_seed(NameSeed { columns: &fields.columns, guess })? else { break };
        // An object with thousands of fields must not make the memory of it grow.
        if at < fields.order.len() {
            fields.order[at] = found;
        } else if at < 4 * fields.columns.len() + 16 {
            fields.order.push(found);
        }
        at += 1;
        match found.and_then(|index| fields.columns.get_mut(index)) {
            Some(column) if context.problem.is_none() => {
                // Of a field that comes twice, the last counts.
                column.begin(row);
                map.next_value_seed(ValueSeed { column, context })?;
                if let Some(problem) = &mut context.problem {
                    problem.inside(&column.name);
                }
            }
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    if (context.strict || fields.has_required) && context.problem.is_none() {
        check_missing(fields, row, context);
    }
    Ok(())
}

fn check_missing(fields: &Fields, row: usize, context: &mut Context) {
    let missing = |column: &&Column| column.len() <= row && (context.strict || !column.nullable);
    let Some(column) = fields.columns.iter().find(missing) else { return };
    let why = if context.strict {
        "and 'json.fail-on-missing-field' is on"
    } else {
        "and the column must not be NULL"
    };
    context.fail(format!("the object has no field '{}', {why}", column.name));
    if let Some(problem) = &mut context.problem {
        problem.inside(&column.name);
    }
}

/// The value of a column.
struct ValueSeed<'a> {
    column: &'a mut Column,
    context: &'a mut Context,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if matches!(self.column.shape(), Shape::Single) {
            let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
            if self.context.lenient {
                if !push_lenient(self.column, raw.get(), self.context.format) {
                    let problem = push(self.column, raw.get(), self.context.format).err();
                    self.context.fail(problem.unwrap_or_else(|| NULL.to_owned()));
                }
            } else if let Err(problem) = push(self.column, raw.get(), self.context.format) {
                self.context.fail(problem);
            }
            return Ok(());
        }
        deserializer.deserialize_any(NestedVisitor(self))
    }
}

/// Appends the value that a text is in JSON, or NULL instead of a bad one; false when the column must not have that.
fn push_lenient(column: &mut Column, raw: &str, format: TimestampFormat) -> bool {
    let row = column.len();
    let is_pushed = match raw.as_bytes() {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => match column.lenient_text(inner, true) {
            // A boolean is another text then.
            Some(text) if text.as_ptr() != inner.as_ptr() => column.push(text, Some(format)).is_ok(),
            Some(_) => push(column, raw, format).is_ok(),
            None => false,
        },
        [b'{' | b'[', ..] => push(column, raw, format).is_ok(),
        b"null" => false,
        bytes => match column.lenient_text(bytes, true) {
            Some(text) if text.as_ptr() != bytes.as_ptr() => column.push(text, Some(format)).is_ok(),
            Some(_) => push(column, raw, format).is_ok(),
            None => false,
        },
    };
    if !is_pushed && column.nullable {
        column.truncate(row);
        column.push_null();
    }
    is_pushed || column.nullable
}

/// Appends the value that a text is in JSON.
fn push(column: &mut Column, raw: &str, format: TimestampFormat) -> Result<(), String> {
    let bytes = raw.as_bytes();
    let pushed = match bytes {
        b"null" if column.nullable => {
            column.push_null();
            return Ok(());
        }
        b"null" => return Err(NULL.to_owned()),
        [b'"', inner @ .., b'"'] => {
            if memchr::memchr(b'\\', inner).is_some() {
                match serde_json::from_str::<String>(raw) {
                    Ok(text) => column.push_str(&text, Some(format)),
                    Err(_) => return Err(format!("'{}' is not a valid JSON string", shorten(bytes))),
                }
            } else {
                column.push_str(raw.get(1..raw.len() - 1).unwrap_or_default(), Some(format))
            }
        }
        [b'{', ..] if !column.is_text() => {
            return Err(format!("'{}' is an object, but one value is expected", shorten(bytes)));
        }
        [b'[', ..] if !column.is_text() => {
            return Err(format!("'{}' is an array, but one value is expected", shorten(bytes)));
        }
        // A number with a fraction is cut off, as in Flink.
        [b'-' | b'0'..=b'9', ..] if column.takes_whole() && !text::is_integer(bytes) => {
            match text::cut_off(bytes) {
                Some(whole) => column.push(whole.to_string().as_bytes(), None),
                None => column.push(bytes, None),
            }
        }
        // Dates and timestamps are strings in JSON; a bare number must not be taken for one.
        _ if column.is_text() || column.is_unquoted() => column.push_str(raw, Some(format)),
        _ => {
            return Err(format!(
                "'{}' is not a string, as dates, timestamps and binaries are written",
                shorten(bytes)
            ));
        }
    };
    pushed.map_err(|bad| bad.to_string())
}

const NULL: &str = "null, which the column must not be";

/// A row, an array or a map.
struct NestedVisitor<'a>(ValueSeed<'a>);

impl NestedVisitor<'_> {
    #[cold]
    fn refuse(self, shown: &str, what: &str) {
        if self.0.context.lenient && self.0.column.nullable {
            return self.0.column.push_null();
        }
        let expected = match self.0.column.shape() {
            Shape::List(_) => "an array",
            Shape::Row(_) | Shape::Map(_) => "an object",
            Shape::Single => "one value",
        };
        let shown = shorten(shown.as_bytes());
        self.0.context.fail(format!("'{shown}' is {what}, but {expected} is expected"));
    }
}

/// No more is kept of what is shown of a value.
const SHOWN_BYTES: usize = 256;

impl<'de> Visitor<'de> for NestedVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        if self.0.column.nullable {
            self.0.column.push_null();
        } else {
            self.0.context.fail(NULL);
        }
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.refuse(&value.to_string(), "a boolean");
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.refuse(&value.to_string(), "a number");
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.refuse(&value.to_string(), "a number");
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.refuse(&value.to_string(), "a number");
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.refuse(value, "a string");
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if let Shape::List(list) = self.0.column.shape() {
            read_elements(seq, list, self.0.context)?;
            if self.0.context.problem.is_none() {
                self.0.column.end_value();
            }
            return Ok(());
        }
        let mut shown = "[".to_owned();
        while let Some(element) = seq.next_element::<&RawValue>()? {
            if shown.len() < SHOWN_BYTES {
                let comma = if shown.len() > 1 { "," } else { "" };
                shown.extend([comma, element.get()]);
            }
        }
        shown.push(']');
        self.refuse(&shown, "an array");
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let row = self.0.column.len();
        match self.0.column.shape() {
            Shape::Row(fields) => read_fields(map, fields, row, self.0.context)?,
            Shape::Map(entries) if self.0.context.careful => {
                read_entries_once(map, entries, self.0.context)?;
            }
            Shape::Map(entries) => read_entries(map, entries, self.0.context)?,
            Shape::List(_) | Shape::Single => {
                let mut shown = "{".to_owned();
                while let Some((Key(key), value)) = map.next_entry::<Key<'_>, &RawValue>()? {
                    if shown.len() < SHOWN_BYTES {
                        let comma = if shown.len() > 1 { "," } else { "" };
                        shown.extend([comma, "\"", &key, "\":", value.get()]);
                    }
                }
                shown.push('}');
                self.refuse(&shown, "an object");
                return Ok(());
            }
        }
        if self.0.context.problem.is_none() {
            self.0.column.end_value();
        }
        Ok(())
    }
}

fn read_elements<'de, A: SeqAccess<'de>>(
    mut seq: A,
    list: &mut List,
    context: &mut Context,
) -> Result<(), A::Error> {
    let mut index = 0usize;
    loop {
        if context.problem.is_some() {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let column = &mut *list.item;
        if seq.next_element_seed(ValueSeed { column, context: &mut *context })?.is_none() {
            return Ok(());
        }
        if let Some(problem) = &mut context.problem {
            problem.inside(&format!("[{index}]"));
        }
        index += 1;
    }
}

/// The name of a field, where it stands if it can be.
struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Owned(name.to_owned())))
    }
}

/// Up to so many keys are compared one by one.
const FEW_KEYS: usize = 16;

/// Reads the entries of a map as they come, unless a key comes twice.
fn read_entries<'de, A: MapAccess<'de>>(
    mut map: A,
    entries: &mut Map,
    context: &mut Context,
) -> Result<(), A::Error> {
    let first = entries.keys.len();
    while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
        let row = entries.keys.len();
        context.needs_care |= row - first >= FEW_KEYS
            || (first..row).any(|earlier| entries.keys.text(earlier) == key.as_bytes());
        if context.problem.is_some() || context.needs_care {
            map.next_value::<IgnoredAny>()?;
            continue;
        }
        push_entry(entries, &key, context, |seed| map.next_value_seed(seed))?;
    }
    Ok(())
}

/// Reads the entries of a map of which some may have the same key: the last value counts.
fn read_entries_once<'de, A: MapAccess<'de>>(
    mut map: A,
    entries: &mut Map,
    context: &mut Context,
) -> Result<(), A::Error> {
    let mut found: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
    while let Some((Key(key), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
        found.push((key, value));
    }
    let mut last: HashMap<&str, usize> = HashMap::with_capacity(found.len());
    for (at, (key, _)) in found.iter().enumerate() {
        last.insert(key, at);
    }
    for (at, (key, value)) in found.iter().enumerate() {
        if context.problem.is_some() {
            break;
        }
        if last.get(&**key) != Some(&at) {
            continue;
        }
        let mut deserializer = serde_json::Deserializer::from_str(value.get());
        push_entry(entries, key, context, |seed| {
            seed.deserialize(&mut deserializer).map_err(serde::de::Error::custom)
        })?;
    }
    Ok(())
}

fn push_entry<E>(
    entries: &mut Map,
    key: &str,
    context: &mut Context,
    value: impl FnOnce(ValueSeed<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let row = entries.keys.len();
    match entries.keys.push_str(key, None) {
        Ok(()) => {
            entries.values.begin(row);
            value(ValueSeed { column: &mut entries.values, context: &mut *context })?;
        }
        Err(bad) => context.fail(bad.to_string()),
    }
    if let Some(problem) = &mut context.problem {
        problem.inside(&format!("['{}']", shorten(key.as_bytes())));
    }
    Ok(())
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
            let malformed = |column: Option<Arc<str>>, problem, skippable| {
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
                Some(Err(problem)) => {
                    columns.abandon_row();
                    return malformed(problem.path.map(Arc::from), problem.text, true);
                }
            }
        }
    }
}
