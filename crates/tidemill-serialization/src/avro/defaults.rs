//! Defaults of fields: JSON in a schema, encoded where data are read.

use serde_json::Value as Json;

use super::bytes::{put_blob, put_long};
use super::error::AvroError;
use super::schema::{AvroSchema, FieldNode, Kind, Logical, NodeId};

/// How deep the default of a record may bring in defaults of records.
const MAX_LEVELS: usize = 64;

/// Larger defaults are refused: those of records within records multiply.
const MAX_BYTES: usize = 1 << 20;

/// Checks every default of a schema.
pub(super) fn check(schema: &AvroSchema) -> Result<(), AvroError> {
    for node in schema.nodes() {
        let Kind::Record(record) = &node.kind else { continue };
        for field in record.fields.iter().filter(|field| field.default.is_some()) {
            if let Err(detail) = encode(schema, field) {
                let name = &record.name.full;
                return Err(AvroError::schema(format!("the default of {name}.{} {detail}", field.name)));
            }
        }
    }
    Ok(())
}

/// The default of a field as data; what is wrong with it, as the end of a sentence. The field has one.
pub(super) fn encode(schema: &AvroSchema, field: &FieldNode) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    match &field.default {
        Some(json) => value(schema, field.node, json, 0, &mut out)?,
        None => return Err("is missing".to_owned()),
    }
    Ok(out)
}

fn value(
    schema: &AvroSchema,
    id: NodeId,
    json: &Json,
    level: usize,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    if level > MAX_LEVELS || out.len() > MAX_BYTES {
        return Err("never ends, or is larger than 1 MiB".to_owned());
    }
    let node = schema.node(id);
    let wrong = || format!("is {}, which is no {}", shortened(json), schema.label(id));
    match (&node.kind, json) {
        (Kind::Null, Json::Null) => {}
        (Kind::Boolean, Json::Bool(value)) => out.push(u8::from(*value)),
        (Kind::Int, Json::Number(number)) => {
            let number = whole(number).and_then(|number| i32::try_from(number).ok());
            put_long(i64::from(number.ok_or_else(wrong)?), out);
        }
        (Kind::Long, Json::Number(number)) => put_long(whole(number).ok_or_else(wrong)?, out),
        (Kind::Float, Json::Number(number)) => {
            let number = number.as_f64().ok_or_else(wrong)? as f32;
            out.extend_from_slice(&number.to_le_bytes());
        }
        (Kind::Double, Json::Number(number)) => {
            out.extend_from_slice(&number.as_f64().ok_or_else(wrong)?.to_le_bytes());
        }
        // JSON has no such numbers; this is how other implementations write them.
        (Kind::Float, Json::String(text)) => {
            out.extend_from_slice(&(not_finite(text).ok_or_else(wrong)? as f32).to_le_bytes());
        }
        (Kind::Double, Json::String(text)) => {
            out.extend_from_slice(&not_finite(text).ok_or_else(wrong)?.to_le_bytes());
        }
        (Kind::Bytes, Json::String(text)) => put_blob(&latin(text).ok_or_else(wrong)?, out),
        (Kind::Fixed(_, size), Json::String(text)) => {
            let bytes = latin(text).filter(|bytes| bytes.len() == *size);
            out.extend_from_slice(&bytes.ok_or_else(wrong)?);
        }
        (Kind::String, Json::String(text)) => {
            if node.logical == Logical::Uuid && apache_avro::Uuid::try_parse(text).is_err() {
                return Err(wrong());
            }
            put_blob(text.as_bytes(), out);
        }
        (Kind::Enum(of), Json::String(symbol)) => {
            let position = of.symbols.iter().position(|known| known == symbol).ok_or_else(wrong)?;
            put_long(position as i64, out);
        }
        (Kind::Array(items), Json::Array(values)) => {
            if !values.is_empty() {
                put_long(values.len() as i64, out);
            }
            values.iter().try_for_each(|item| value(schema, *items, item, level + 1, out))?;
            out.push(0);
        }
        (Kind::Map(of), Json::Object(values)) => {
            if !values.is_empty() {
                put_long(values.len() as i64, out);
            }
            for (key, item) in values {
                put_blob(key.as_bytes(), out);
                value(schema, *of, item, level + 1, out)?;
            }
            out.push(0);
        }
        (Kind::Union(branches), _) => {
            // Of the first branch that it fits; older releases of the specification allow the very first one only.
            let start = out.len();
            for (i, branch) in branches.iter().enumerate() {
                out.truncate(start);
                put_long(i as i64, out);
                if value(schema, *branch, json, level + 1, out).is_ok() {
                    return Ok(());
                }
            }
            return Err(wrong());
        }
        (Kind::Record(record), Json::Object(values)) => {
            for field in &record.fields {
                let Some(json) = values.get(&field.name).or(field.default.as_ref()) else {
                    return Err(format!("is {}, where {} is missing", shortened(json), field.name));
                };
                value(schema, field.node, json, level + 1, out)?;
            }
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

/// Also such as `1.0`, which some tools write.
fn whole(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
    })
}

fn not_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" | "INF" => Some(f64::INFINITY),
        "-Infinity" | "-INF" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Each character stands for the byte with its number.
fn latin(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

fn shortened(json: &Json) -> String {
    let text = json.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
