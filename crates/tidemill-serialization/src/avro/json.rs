//! Values as JSON, as defaults of fields are written in schemas.

use serde_json::{Map, Value as Json};

use super::error::AvroError;
use super::resolution::Resolution;
use super::schema::{AvroSchema, Kind, NodeId};
use super::value::{Value, decode_value};

/// Encoded data as the default of a field of that schema.
pub(crate) fn value_to_json(
    schema: &AvroSchema,
    resolution: &Resolution,
    bytes: &[u8],
) -> Result<Json, AvroError> {
    let value = decode_value(resolution, bytes)?;
    json(schema, schema.root(), &value)
}

fn json(schema: &AvroSchema, id: NodeId, value: &Value) -> Result<Json, AvroError> {
    let latin = |bytes: &[u8]| Json::from(bytes.iter().map(|byte| char::from(*byte)).collect::<String>());
    let float = |number: f64| match (number.is_nan(), number.is_infinite()) {
        (true, _) => Json::from("NaN"),
        (_, true) => Json::from(if number > 0.0 { "Infinity" } else { "-Infinity" }),
        _ => Json::from(number),
    };
    Ok(match (&schema.node(id).kind, value) {
        (_, Value::Null) => Json::Null,
        (_, Value::Boolean(value)) => Json::from(*value),
        (_, Value::Int(number) | Value::Date(number) | Value::TimeMillis(number)) => Json::from(*number),
        (
            _,
            Value::Long(number)
            | Value::TimeMicros(number)
            | Value::TimestampMillis(number)
            | Value::TimestampMicros(number)
            | Value::TimestampNanos(number)
            | Value::LocalTimestampMillis(number)
            | Value::LocalTimestampMicros(number)
            | Value::LocalTimestampNanos(number),
        ) => Json::from(*number),
        (_, Value::Float(number)) => float(f64::from(*number)),
        (_, Value::Double(number)) => float(*number),
        (_, Value::String(text)) => Json::from(text.as_str()),
        (_, Value::Enum(_, symbol)) => Json::from(symbol.as_str()),
        (Kind::String, Value::Uuid(uuid)) => Json::from(uuid.to_string()),
        (_, Value::Uuid(uuid)) => latin(uuid.as_bytes()),
        (_, Value::Bytes(bytes) | Value::Fixed(_, bytes)) => latin(bytes),
        (_, Value::Duration(duration)) => latin(&<[u8; 12]>::from(duration)),
        (_, Value::Decimal(decimal)) => {
            latin(&Vec::<u8>::try_from(decimal).map_err(|error| AvroError::schema(error.to_string()))?)
        }
        (Kind::Array(items), Value::Array(values)) => {
            Json::Array(values.iter().map(|value| json(schema, *items, value)).collect::<Result<_, _>>()?)
        }
        (Kind::Map(of), Value::Map(values)) => {
            let entries = values.iter().map(|(key, value)| Ok((key.clone(), json(schema, *of, value)?)));
            Json::Object(entries.collect::<Result<Map<_, _>, AvroError>>()?)
        }
        (Kind::Union(branches), Value::Union(branch, value)) => {
            json(schema, branches.get(*branch as usize).copied().unwrap_or(id), value)?
        }
        (Kind::Record(record), Value::Record(values)) => {
            let fields = record.fields.iter().zip(values);
            let entries =
                fields.map(|(field, (name, value))| Ok((name.clone(), json(schema, field.node, value)?)));
            Json::Object(entries.collect::<Result<Map<_, _>, AvroError>>()?)
        }
        _ => return Err(AvroError::schema("a default has no form in JSON")),
    })
}
