//! Generic values: reading, checking and writing them by a schema that is known only at run time.

use std::collections::HashMap;

pub use apache_avro::types::Value;
use apache_avro::{Days, Decimal, Duration, Millis, Months, Uuid};

use super::bytes::{put_blob, put_long};
use super::decoder::{Decoder, Slot};
use super::error::AvroError;
use super::readable::check_written;
use super::resolution::{Op, Resolution};
use super::schema::{AvroSchema, Kind, Logical, Node, NodeId};
use crate::input::MAX_DEPTH;

/// Reads one value; the bytes must be that value and no more.
///
/// ```
/// use tidemill_serialization::avro::{Resolution, Value, decode_value, schema_of};
///
/// let resolution = Resolution::of(&schema_of::<i32>()?)?;
/// assert_eq!(decode_value(&resolution, &[14])?, Value::Int(7));
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
///
/// # Errors
/// When the bytes are no value of the writer's schema, or it has no place in the reader's. Never panics, and never
/// allocates more than the bytes justify.
pub fn decode_value(resolution: &Resolution, bytes: &[u8]) -> Result<Value, AvroError> {
    let mut decoder = Decoder::new(resolution, bytes);
    let value = value(&mut decoder)?;
    match decoder.rest().len() {
        0 => Ok(value),
        left => Err(AvroError::Trailing { left }),
    }
}

/// Reads the next value.
pub(crate) fn value(decoder: &mut Decoder<'_>) -> Result<Value, AvroError> {
    let root = decoder.root();
    slot_value(decoder, root)
}

fn slot_value(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Value, AvroError> {
    // Unions are gone through without a call for each, and what has no values within is read elsewhere: values may be nested as
    // deep as the stack of a thread just allows.
    let (mut slot, mut branch) = (slot, None);
    loop {
        match decoder.op(slot).0 {
            Op::Union(branches) => slot = decoder.branch_of(branches)?,
            Op::Branch(of_reader, inner) => (slot, branch) = (Slot(*inner), Some(*of_reader)),
            _ => break,
        }
    }
    let value = match decoder.op(slot).0 {
        Op::Array(_) => array(decoder, slot),
        Op::Map(_) => map(decoder, slot),
        Op::Record(position) => record(decoder, slot, *position),
        _ => scalar(decoder, slot),
    }?;
    Ok(match branch {
        Some(branch) => Value::Union(branch, Box::new(value)),
        None => value,
    })
}

fn array(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Value, AvroError> {
    let mut values = Vec::new();
    decoder.elements(slot, |decoder, item| {
        values.push(slot_value(decoder, item)?);
        Ok(())
    })?;
    Ok(Value::Array(values))
}

fn map(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Value, AvroError> {
    let mut values = HashMap::new();
    decoder.entries(slot, |decoder, key, value| {
        values.insert(key.to_owned(), slot_value(decoder, value)?);
        Ok(())
    })?;
    Ok(Value::Map(values))
}

fn record(decoder: &mut Decoder<'_>, slot: Slot, position: u32) -> Result<Value, AvroError> {
    let reader = decoder.reader();
    let Kind::Record(record) = &reader.node(decoder.op(slot).1).kind else {
        return Err(decoder.refused("its type is no record"));
    };
    let fields = decoder.record_of(position, |decoder, mut fields| {
        let mut values: Vec<Option<Value>> = Vec::with_capacity(record.fields.len());
        values.resize_with(record.fields.len(), || None);
        while let Some(field) = decoder.next_field(&mut fields)? {
            values[field.position] = Some(decoder.field(field, slot_value)?);
        }
        Ok(values)
    })?;
    let named = record.fields.iter().zip(fields);
    Ok(Value::Record(
        named.map(|(field, value)| (field.name.clone(), value.unwrap_or(Value::Null))).collect(),
    ))
}

fn scalar(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Value, AvroError> {
    let (op, makes) = decoder.op(slot);
    let reader = decoder.reader();
    let node = reader.node(makes);
    Ok(match op {
        Op::Refused(why) => return Err(decoder.refused(why)),
        Op::Null => Value::Null,
        Op::Boolean => Value::Boolean(decoder.boolean(slot)?),
        Op::Int => {
            let number = decoder.int(slot)?;
            match node.logical {
                Logical::Date => Value::Date(number),
                Logical::TimeMillis => Value::TimeMillis(number),
                _ => Value::Int(number),
            }
        }
        Op::Long | Op::IntToLong => of_long(node.logical, decoder.long(slot)?),
        Op::Float | Op::IntToFloat | Op::LongToFloat => Value::Float(decoder.float(slot)?),
        Op::Double | Op::IntToDouble | Op::LongToDouble | Op::FloatToDouble => {
            Value::Double(decoder.double(slot)?)
        }
        Op::String => {
            let text = decoder.text(slot)?;
            match node.logical {
                Logical::Uuid => {
                    let uuid = Uuid::try_parse(text).map_err(|error| {
                        AvroError::invalid("a uuid", format!("{:?} is none: {error}", shortened(text)))
                    })?;
                    Value::Uuid(uuid)
                }
                _ => Value::String(text.to_owned()),
            }
        }
        Op::Bytes => {
            let bytes = decoder.blob(slot)?;
            match node.logical {
                Logical::Decimal { .. } => decimal(bytes),
                _ => Value::Bytes(bytes.to_vec()),
            }
        }
        Op::Fixed(size) => {
            let bytes = decoder.blob(slot)?;
            match (node.logical, bytes) {
                (Logical::Decimal { .. }, bytes) => decimal(bytes),
                (Logical::Uuid, bytes) => match Uuid::from_slice(bytes) {
                    Ok(uuid) => Value::Uuid(uuid),
                    Err(_) => Value::Fixed(*size, bytes.to_vec()),
                },
                (Logical::Duration, &[a, b, c, d, e, f, g, h, i, j, k, l]) => Value::Duration(Duration::new(
                    Months::new(u32::from_le_bytes([a, b, c, d])),
                    Days::new(u32::from_le_bytes([e, f, g, h])),
                    Millis::new(u32::from_le_bytes([i, j, k, l])),
                )),
                (_, bytes) => Value::Fixed(*size, bytes.to_vec()),
            }
        }
        Op::Enum(symbols) => {
            let position = decoder.symbol_of(symbols)?;
            match &node.kind {
                Kind::Enum(of) => Value::Enum(position, of.symbols[position as usize].clone()),
                _ => return Err(decoder.refused("its type is no enum")),
            }
        }
        _ => return Err(decoder.refused("its type has others within")),
    })
}

fn decimal(bytes: &[u8]) -> Value {
    // No byte at all is a zero, which could not be written again.
    Value::Decimal(Decimal::from(if bytes.is_empty() { &[0] } else { bytes }))
}

fn shortened(text: &str) -> &str {
    match text.char_indices().nth(40) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// Appends a value that [`conform`](super::fit::conform) made fit the schema, or that was read with it.
///
/// ```
/// use tidemill_serialization::avro::{Value, encode_value, schema_of};
///
/// let mut bytes = Vec::new();
/// encode_value(&schema_of::<i32>()?, &Value::Int(7), &mut bytes)?;
/// assert_eq!(bytes, [14]);
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
///
/// # Errors
/// When it does not fit: which field, and why. Also when it could not be read again, because it is nested more than 256 records,
/// arrays and maps deep, or too many of its fields and elements take no bytes.
pub fn encode_value(schema: &AvroSchema, value: &Value, out: &mut Vec<u8>) -> Result<(), AvroError> {
    let start = out.len();
    let put = put(schema, schema.root(), value, 0, out).map_err(|wrong| wrong.at(&schema.name()));
    put.and_then(|()| check_written(schema, &out[start..])).inspect_err(|_| out.truncate(start))
}

/// Why a value does not fit, and where: the way to it, innermost first.
pub(super) struct Misfit {
    path: Vec<String>,
    detail: String,
}

impl Misfit {
    #[cold]
    pub(super) fn new(detail: String) -> Self {
        Self { path: Vec::new(), detail }
    }

    #[cold]
    pub(super) fn inside(mut self, part: String) -> Self {
        self.path.push(part);
        self
    }

    pub(super) fn at(self, root: &str) -> AvroError {
        let mut at = root.to_owned();
        self.path.iter().rev().for_each(|part| at.push_str(part));
        AvroError::Value { at, detail: self.detail }
    }
}

/// A long as a value of a logical type, if it is one.
pub(super) fn of_long(logical: Logical, number: i64) -> Value {
    match logical {
        Logical::TimeMicros => Value::TimeMicros(number),
        Logical::TimestampMillis => Value::TimestampMillis(number),
        Logical::TimestampMicros => Value::TimestampMicros(number),
        Logical::TimestampNanos => Value::TimestampNanos(number),
        Logical::LocalTimestampMillis => Value::LocalTimestampMillis(number),
        Logical::LocalTimestampMicros => Value::LocalTimestampMicros(number),
        Logical::LocalTimestampNanos => Value::LocalTimestampNanos(number),
        _ => Value::Long(number),
    }
}

/// One record, array or map deeper, as the decoder counts it.
pub(super) fn deeper(level: u32) -> Result<u32, Misfit> {
    match level < MAX_DEPTH {
        true => Ok(level + 1),
        false => Err(Misfit::new(format!("it is nested deeper than {MAX_DEPTH} levels"))),
    }
}

pub(super) fn put(
    schema: &AvroSchema,
    id: NodeId,
    value: &Value,
    level: u32,
    out: &mut Vec<u8>,
) -> Result<(), Misfit> {
    let (mut id, mut value) = (id, value);
    if let (Kind::Union(branches), Value::Union(branch, within)) = (&schema.node(id).kind, value) {
        let Some(of_branch) = branches.get(*branch as usize) else {
            return Err(Misfit::new(format!("there is no branch {branch} in {}", schema.label(id))));
        };
        put_long(i64::from(*branch), out);
        (id, value) = (*of_branch, within);
    }
    match (&schema.node(id).kind, value) {
        (Kind::Array(_) | Kind::Map(_) | Kind::Record(_), _) => {
            put_parts(schema, id, value, deeper(level)?, out)
        }
        _ => put_scalar(schema, id, value, out),
    }
}

#[cold]
pub(super) fn expected(schema: &AvroSchema, id: NodeId, value: &Value) -> Misfit {
    Misfit::new(format!("{} was expected, this is {}", schema.label(id), kind_of(value)))
}

fn put_parts(
    schema: &AvroSchema,
    id: NodeId,
    value: &Value,
    level: u32,
    out: &mut Vec<u8>,
) -> Result<(), Misfit> {
    match (&schema.node(id).kind, value) {
        (Kind::Array(items), Value::Array(values)) => {
            if !values.is_empty() {
                put_long(values.len() as i64, out);
            }
            for (i, value) in values.iter().enumerate() {
                put(schema, *items, value, level, out).map_err(|wrong| wrong.inside(format!("[{i}]")))?;
            }
            out.push(0);
        }
        (Kind::Map(of), Value::Map(values)) => {
            if !values.is_empty() {
                put_long(values.len() as i64, out);
            }
            // In the order of the keys, so that equal values are equal bytes.
            let mut entries: Vec<_> = values.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            for (key, value) in entries {
                put_blob(key.as_bytes(), out);
                put(schema, *of, value, level, out).map_err(|wrong| wrong.inside(format!("[{key:?}]")))?;
            }
            out.push(0);
        }
        (Kind::Record(record), Value::Record(values)) => {
            for (i, field) in record.fields.iter().enumerate() {
                // Mostly they stand in order.
                let value = match values.get(i) {
                    Some((name, value)) if *name == field.name => Some(value),
                    _ => values.iter().find(|(name, _)| *name == field.name).map(|(_, value)| value),
                };
                let part = || format!(".{}", field.name);
                let value = value.ok_or_else(|| Misfit::new("it is missing".to_owned()).inside(part()))?;
                put(schema, field.node, value, level, out).map_err(|wrong| wrong.inside(part()))?;
            }
            if values.len() > record.fields.len() {
                let unknown = values.iter().find(|(name, _)| !record.by_name.contains_key(name));
                let name = unknown.map_or("one", |(name, _)| name);
                return Err(Misfit::new(unknown_field(schema, id, name)));
            }
        }
        _ => return Err(expected(schema, id, value)),
    }
    Ok(())
}

fn put_scalar(schema: &AvroSchema, id: NodeId, value: &Value, out: &mut Vec<u8>) -> Result<(), Misfit> {
    let node = schema.node(id);
    let wrong = || expected(schema, id, value);
    match (&node.kind, value) {
        (Kind::Null, Value::Null) => {}
        (Kind::Boolean, Value::Boolean(value)) => out.push(u8::from(*value)),
        (Kind::Int, _) => put_long(i64::from(int(node, value).ok_or_else(wrong)?), out),
        (Kind::Long, _) => put_long(long(node, value).ok_or_else(wrong)?, out),
        (Kind::Float, Value::Float(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Kind::Double, Value::Double(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Kind::Bytes, Value::Bytes(bytes)) => put_blob(bytes, out),
        (Kind::Bytes, Value::Decimal(decimal)) => put_blob(&decimal_bytes(node, decimal)?, out),
        (Kind::String, Value::String(text)) => {
            if node.logical == Logical::Uuid && Uuid::try_parse(text).is_err() {
                return Err(wrong());
            }
            put_blob(text.as_bytes(), out);
        }
        (Kind::String, Value::Uuid(uuid)) if node.logical == Logical::Uuid => {
            put_blob(uuid.to_string().as_bytes(), out);
        }
        (Kind::Fixed(_, size), _) => {
            let bytes = match value {
                Value::Fixed(_, bytes) | Value::Bytes(bytes) => bytes.clone(),
                Value::Uuid(uuid) if node.logical == Logical::Uuid => uuid.as_bytes().to_vec(),
                Value::Duration(duration) if node.logical == Logical::Duration => {
                    <[u8; 12]>::from(*duration).to_vec()
                }
                Value::Decimal(decimal) => sign_extended(&decimal_bytes(node, decimal)?, *size)?,
                _ => return Err(wrong()),
            };
            if bytes.len() != *size {
                return Err(Misfit::new(format!(
                    "it has {} bytes, {} has {size}",
                    bytes.len(),
                    schema.label(id)
                )));
            }
            out.extend_from_slice(&bytes);
        }
        (Kind::Enum(of), Value::Enum(_, symbol) | Value::String(symbol)) => {
            let Some(position) = of.symbols.iter().position(|known| known == symbol) else {
                let mut all = of.symbols.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", ");
                if of.symbols.len() > 20 {
                    all.push_str(", …");
                }
                let symbol = shortened(symbol);
                return Err(Misfit::new(format!("{symbol:?} is no symbol of {}: {all}", of.name.full)));
            };
            put_long(position as i64, out);
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

/// The message for a field that a record does not have.
pub(crate) fn unknown_field(schema: &AvroSchema, id: NodeId, name: &str) -> String {
    let Kind::Record(record) = &schema.node(id).kind else {
        return format!("{} is no record, so it has no field {name:?}", schema.label(id));
    };
    let mut fields =
        record.fields.iter().take(20).map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ");
    if record.fields.len() > 20 {
        fields.push_str(", …");
    }
    format!("{} has no field {name:?}, only: {fields}", record.name.full)
}

fn int(node: &Node, value: &Value) -> Option<i32> {
    match (node.logical, value) {
        (_, Value::Int(number))
        | (Logical::Date, Value::Date(number))
        | (Logical::TimeMillis, Value::TimeMillis(number)) => Some(*number),
        _ => None,
    }
}

fn long(node: &Node, value: &Value) -> Option<i64> {
    match (node.logical, value) {
        (_, Value::Long(number))
        | (Logical::TimeMicros, Value::TimeMicros(number))
        | (Logical::TimestampMillis, Value::TimestampMillis(number))
        | (Logical::TimestampMicros, Value::TimestampMicros(number))
        | (Logical::TimestampNanos, Value::TimestampNanos(number))
        | (Logical::LocalTimestampMillis, Value::LocalTimestampMillis(number))
        | (Logical::LocalTimestampMicros, Value::LocalTimestampMicros(number))
        | (Logical::LocalTimestampNanos, Value::LocalTimestampNanos(number)) => Some(*number),
        _ => None,
    }
}

fn decimal_bytes(node: &Node, decimal: &Decimal) -> Result<Vec<u8>, Misfit> {
    let bytes = Vec::<u8>::try_from(decimal).map_err(|error| Misfit::new(error.to_string()))?;
    let Logical::Decimal { precision, .. } = node.logical else {
        return Err(Misfit::new("it is a decimal, which the schema does not say".to_owned()));
    };
    if !fits(&bytes, precision) {
        return Err(Misfit::new(format!("it has more than {precision} digits")));
    }
    Ok(bytes)
}

/// Whether a number, big endian, has so many digits at most.
pub(crate) fn fits(bytes: &[u8], precision: usize) -> bool {
    // 16 bytes hold 38 digits; more digits are not counted one by one, for that takes long.
    match i128_of(bytes) {
        Some(number) => match u32::try_from(precision).ok().and_then(|digits| 10u128.checked_pow(digits)) {
            Some(limit) => number.unsigned_abs() < limit,
            None => true,
        },
        None => precision > 38,
    }
}

/// A number, big endian, when it fits.
pub(crate) fn i128_of(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let filler = if negative { 0xff } else { 0 };
    let (ahead, last) = bytes.split_at(bytes.len().saturating_sub(16));
    if ahead.iter().any(|byte| *byte != filler) {
        return None;
    }
    let mut all = [filler; 16];
    all[16 - last.len()..].copy_from_slice(last);
    let number = i128::from_be_bytes(all);
    ((number < 0) == negative).then_some(number)
}

/// A number, big endian, in `size` bytes.
fn sign_extended(bytes: &[u8], size: usize) -> Result<Vec<u8>, Misfit> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let filler = if negative { 0xff } else { 0 };
    let extra = bytes.len().saturating_sub(size);
    let (ahead, last) = bytes.split_at(extra);
    let sign_kept = last.first().is_none_or(|first| (first & 0x80 != 0) == negative);
    if ahead.iter().any(|byte| *byte != filler) || (extra > 0 && !sign_kept) {
        return Err(Misfit::new(format!("the decimal takes {} bytes, there are {size}", bytes.len())));
    }
    let mut all = vec![filler; size];
    all[size - last.len()..].copy_from_slice(last);
    Ok(all)
}

/// What a value is called in messages.
pub(crate) fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => format!("the boolean {value}"),
        Value::Int(number) => format!("the int {number}"),
        Value::Long(number) => format!("the long {number}"),
        Value::Float(number) => format!("the float {number}"),
        Value::Double(number) => format!("the double {number}"),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::String(text) => format!("the string {:?}", shortened(text)),
        Value::Fixed(size, _) => format!("a fixed of {size}"),
        Value::Enum(_, symbol) => format!("the symbol {:?}", shortened(symbol)),
        Value::Union(branch, value) => format!("branch {branch} of a union, {}", kind_of(value)),
        Value::Array(values) => format!("an array of {}", values.len()),
        Value::Map(values) => format!("a map of {}", values.len()),
        Value::Record(_) => "a record".to_owned(),
        Value::Date(days) => format!("the date {days}"),
        Value::Decimal(_) | Value::BigDecimal(_) => "a decimal".to_owned(),
        Value::TimeMillis(number) => format!("the time-millis {number}"),
        Value::TimeMicros(number) => format!("the time-micros {number}"),
        Value::TimestampMillis(number) => format!("the timestamp-millis {number}"),
        Value::TimestampMicros(number) => format!("the timestamp-micros {number}"),
        Value::TimestampNanos(number) => format!("the timestamp-nanos {number}"),
        Value::LocalTimestampMillis(number) => format!("the local-timestamp-millis {number}"),
        Value::LocalTimestampMicros(number) => format!("the local-timestamp-micros {number}"),
        Value::LocalTimestampNanos(number) => format!("the local-timestamp-nanos {number}"),
        Value::Duration(_) => "a duration".to_owned(),
        Value::Uuid(uuid) => format!("the uuid {uuid}"),
    }
}
