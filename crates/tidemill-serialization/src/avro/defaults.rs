//! Defaults of fields: JSON in a schema, encoded where data are read.

use serde_json::Value as Json;

use super::bytes::{put_blob, put_long};
use super::error::AvroError;
use super::schema::{AvroSchema, FieldNode, Kind, Logical, NodeId};

/// How deep the default of a record may bring in defaults of records.
const MAX_LEVELS: usize = 64;

/// Larger defaults are refused: those of records within records multiply.
const MAX_BYTES: usize = 1 << 20;

/// How many values may be looked at to work out the defaults of a schema: also those that take no bytes multiply.
pub(super) const MAX_STEPS: usize = 1 << 20;

/// Checks every default of a schema.
pub(super) fn check(schema: &AvroSchema) -> Result<(), AvroError> {
    let mut steps = MAX_STEPS;
    for node in schema.nodes() {
        let Kind::Record(record) = &node.kind else { continue };
        for field in record.fields.iter().filter(|field| field.default.is_some()) {
            if let Err(detail) = encode(schema, field, &mut steps) {
                let name = &record.name.full;
                return Err(AvroError::schema(format!("the default of {name}.{} {detail}", field.name)));
            }
        }
    }
    Ok(())
}

/// The default of a field as data; what is wrong with it, as the end of a sentence. The field has one. Takes what it needs off
/// the steps that are left.
pub(super) fn encode(schema: &AvroSchema, field: &FieldNode, steps: &mut usize) -> Result<Vec<u8>, String> {
    match &field.default {
        Some(json) => encode_json(schema, field.node, json, steps),
        None => Err("is missing".to_owned()),
    }
}

/// A default of a type.
pub(super) fn encode_json(
    schema: &AvroSchema,
    id: NodeId,
    json: &Json,
    steps: &mut usize,
) -> Result<Vec<u8>, String> {
    let mut encoder = Encoder { schema, out: Vec::new(), steps };
    encoder.value(id, json, 0)?;
    Ok(encoder.out)
}

struct Encoder<'a> {
    schema: &'a AvroSchema,
    out: Vec<u8>,
    steps: &'a mut usize,
}

impl Encoder<'_> {
    fn value(&mut self, id: NodeId, json: &Json, level: usize) -> Result<(), String> {
        if level > MAX_LEVELS || self.out.len() > MAX_BYTES {
            return Err("never ends, or is larger than 1 MiB".to_owned());
        }
        match self.steps.checked_sub(1) {
            Some(left) => *self.steps = left,
            None => {
                return Err(
                    "takes too long to be worked out: it brings in too many defaults of others".to_owned()
                );
            }
        }
        match (&self.schema.node(id).kind, json) {
            (Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Record(_), _) => {
                self.composite(id, json, level)
            }
            _ => self.scalar(id, json),
        }
    }

    fn composite(&mut self, id: NodeId, json: &Json, level: usize) -> Result<(), String> {
        let schema = self.schema;
        let wrong = || format!("is {}, which is no {}", shortened(json), schema.label(id));
        match (&schema.node(id).kind, json) {
            (Kind::Array(items), Json::Array(values)) => {
                if !values.is_empty() {
                    put_long(values.len() as i64, &mut self.out);
                }
                for item in values {
                    self.value(*items, item, level + 1)?;
                }
                self.out.push(0);
            }
            (Kind::Map(of), Json::Object(values)) => {
                if !values.is_empty() {
                    put_long(values.len() as i64, &mut self.out);
                }
                for (key, item) in values {
                    put_blob(key.as_bytes(), &mut self.out);
                    self.value(*of, item, level + 1)?;
                }
                self.out.push(0);
            }
            (Kind::Union(branches), _) => {
                // Of the first branch that it fits; older releases of the specification allow the very first one only.
                let start = self.out.len();
                for (i, branch) in branches.iter().enumerate() {
                    self.out.truncate(start);
                    put_long(i as i64, &mut self.out);
                    match self.value(*branch, json, level + 1) {
                        Ok(()) => return Ok(()),
                        Err(error) if *self.steps == 0 => return Err(error),
                        Err(_) => {}
                    }
                }
                return Err(wrong());
            }
            (Kind::Record(record), Json::Object(values)) => {
                for field in &record.fields {
                    let Some(json) = values.get(&field.name).or(field.default.as_ref()) else {
                        return Err(format!("is {}, where {} is missing", shortened(json), field.name));
                    };
                    self.value(field.node, json, level + 1)?;
                }
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }

    fn scalar(&mut self, id: NodeId, json: &Json) -> Result<(), String> {
        let (schema, out) = (self.schema, &mut self.out);
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
            _ => return Err(wrong()),
        }
        Ok(())
    }
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

/// The beginning of it, without writing all of it.
pub(super) fn shortened(json: &Json) -> String {
    struct Beginning(Vec<u8>);

    impl std::io::Write for Beginning {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.extend_from_slice(bytes);
            match self.0.len() > 300 {
                true => Err(std::io::ErrorKind::WriteZero.into()),
                false => Ok(bytes.len()),
            }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut beginning = Beginning(Vec::new());
    // An error only says that there is more.
    let _ = serde_json::to_writer(&mut beginning, json);
    let text = String::from_utf8_lossy(&beginning.0);
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
