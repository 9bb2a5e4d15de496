//! Makes generic values fit a schema.

use apache_avro::{Decimal, Uuid};

use super::defaults;
use super::error::AvroError;
use super::resolution::Resolution;
use super::schema::{AvroSchema, FieldNode, Kind, Logical, NodeId, RecordNode};
use super::value::{Misfit, Value, decode_value, deeper, expected, of_long, put, unknown_field};

/// How many values may be looked at while the branch of a union is tried out, beside so many for each value within: values that
/// fit several branches alike could make it endless.
const STEPS: usize = 1 << 16;
const STEPS_FOR_EACH: usize = 2048;

/// Makes a value fit a schema, as programs write values: ints become longs, a plain value the branch of a union that
/// it fits, a number a date; fields that are missing get their defaults, and stand in order.
///
/// ```
/// use tidemill_serialization::avro::{Value, conform, schema_of};
///
/// assert_eq!(conform(&schema_of::<i64>()?, Value::Int(7))?, Value::Long(7));
/// let optional = conform(&schema_of::<Option<i32>>()?, Value::Int(7))?;
/// assert_eq!(optional, Value::Union(1, Box::new(Value::Int(7))));
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
///
/// # Errors
/// When it does not fit: which field, and why.
pub fn conform(schema: &AvroSchema, value: Value) -> Result<Value, AvroError> {
    let mut fitting = Fitting { schema, steps: None };
    fitting.fit(schema.root(), value, 0).map_err(|wrong| wrong.at(&schema.name()))
}

struct Fitting<'a> {
    schema: &'a AvroSchema,
    /// What is left of the steps, while branches are tried out.
    steps: Option<usize>,
}

impl Fitting<'_> {
    // What is done on the way to the values within has functions of its own: they may be nested as deep as the stack of a thread
    // just allows.
    fn fit(&mut self, id: NodeId, value: Value, level: u32) -> Result<Value, Misfit> {
        match (&self.schema.node(id).kind, &value) {
            (Kind::Union(branches), Value::Union(..)) => self.branch(id, branches, value, level),
            (Kind::Union(branches), _) => self.choose(id, branches, value, level),
            (Kind::Array(items), Value::Array(_)) => self.array(*items, value, level),
            (Kind::Map(of), Value::Map(_)) => self.map(*of, value, level),
            (Kind::Record(record), Value::Record(_)) => self.record(id, record, value, level),
            _ => self.scalar(id, value, level),
        }
    }

    fn scalar(&self, id: NodeId, value: Value, level: u32) -> Result<Value, Misfit> {
        let value = converted(self.schema, id, value);
        put(self.schema, id, &value, level, &mut Vec::new())?;
        Ok(value)
    }

    fn branch(&mut self, id: NodeId, branches: &[NodeId], value: Value, level: u32) -> Result<Value, Misfit> {
        let Value::Union(branch, mut within) = value else { return Ok(value) };
        let Some(inner) = branches.get(branch as usize) else {
            let label = self.schema.label(id);
            return Err(Misfit::new(format!("there is no branch {branch} in {label}")));
        };
        *within = self.fit(*inner, std::mem::replace(&mut *within, Value::Null), level)?;
        Ok(Value::Union(branch, within))
    }

    fn array(&mut self, items: NodeId, mut value: Value, level: u32) -> Result<Value, Misfit> {
        let level = deeper(level)?;
        if let Value::Array(values) = &mut value {
            for (i, slot) in values.iter_mut().enumerate() {
                match self.fit(items, std::mem::replace(slot, Value::Null), level) {
                    Ok(fitted) => *slot = fitted,
                    Err(wrong) => return Err(wrong.inside(format!("[{i}]"))),
                }
            }
        }
        Ok(value)
    }

    fn map(&mut self, of: NodeId, mut value: Value, level: u32) -> Result<Value, Misfit> {
        let level = deeper(level)?;
        if let Value::Map(values) = &mut value {
            for (key, slot) in values {
                match self.fit(of, std::mem::replace(slot, Value::Null), level) {
                    Ok(fitted) => *slot = fitted,
                    Err(wrong) => return Err(wrong.inside(format!("[{key:?}]"))),
                }
            }
        }
        Ok(value)
    }

    fn record(
        &mut self,
        id: NodeId,
        record: &RecordNode,
        mut value: Value,
        level: u32,
    ) -> Result<Value, Misfit> {
        let level = deeper(level)?;
        if let Value::Record(values) = &mut value {
            for (name, slot) in values.iter_mut() {
                let Some(&position) = record.by_name.get(name) else {
                    return Err(Misfit::new(unknown_field(self.schema, id, name)));
                };
                let node = record.fields[position].node;
                match self.fit(node, std::mem::replace(slot, Value::Null), level) {
                    Ok(fitted) => *slot = fitted,
                    Err(wrong) => return Err(wrong.inside(format!(".{name}"))),
                }
            }
        }
        completed(self.schema, record, value)
    }

    /// The branch of a union that a plain value fits: the first that it fits as it is, or else the first that it can be made to
    /// fit.
    fn choose(&mut self, id: NodeId, branches: &[NodeId], value: Value, level: u32) -> Result<Value, Misfit> {
        let schema = self.schema;
        let mut alike: Vec<usize> =
            (0..branches.len()).filter(|i| of_a_kind(&schema.node(branches[*i]).kind, &value)).collect();
        if alike.len() > 1 {
            alike.retain(|i| has_fields(&schema.node(branches[*i]).kind, &value));
        }
        match alike[..] {
            [] => Err(expected(schema, id, &value)),
            // Nothing to be tried out, and the error says what is wrong within.
            [only] => Ok(Value::Union(only as u32, Box::new(self.fit(branches[only], value, level)?))),
            _ => {
                let size = size(&value);
                let outermost = self.steps.is_none();
                if outermost {
                    self.steps = Some(size.saturating_mul(STEPS_FOR_EACH).saturating_add(STEPS));
                }
                let chosen = self.try_out(id, branches, &alike, (value, size), level);
                if outermost {
                    self.steps = None;
                }
                chosen
            }
        }
    }

    fn try_out(
        &mut self,
        id: NodeId,
        branches: &[NodeId],
        alike: &[usize],
        (value, size): (Value, usize),
        level: u32,
    ) -> Result<Value, Misfit> {
        for exactly in [true, false] {
            for &i in alike {
                self.step(size)?;
                if exactly && put(self.schema, branches[i], &value, level, &mut Vec::new()).is_err() {
                    continue;
                }
                match self.fit(branches[i], value.clone(), level) {
                    Ok(value) => return Ok(Value::Union(i as u32, Box::new(value))),
                    // Whoever tried out more around this is to give up, too.
                    Err(_) => self.step(0)?,
                }
            }
        }
        Err(expected(self.schema, id, &value))
    }

    fn step(&mut self, size: usize) -> Result<(), Misfit> {
        let left = self.steps.unwrap_or(usize::MAX).saturating_sub(size);
        self.steps = Some(left);
        match left {
            0 => Err(Misfit::new(
                "it fits several branches of unions so much alike that choosing takes too long: say the branch, by Value::Union".to_owned(),
            )),
            _ => Ok(()),
        }
    }
}

/// How many values there are in one, about.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Union(_, value) => size(value),
        Value::Array(values) => values.iter().map(size).sum(),
        Value::Map(values) => values.values().map(size).sum(),
        Value::Record(values) => values.iter().map(|(_, value)| size(value)).sum(),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => bytes.len() / 64,
        Value::String(text) => text.len() / 64,
        _ => 0,
    }
}

/// Whether a value may be made one of a type that is no union. Looks at nothing within.
fn of_a_kind(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Null => matches!(value, Value::Null),
        Kind::Boolean => matches!(value, Value::Boolean(_)),
        Kind::Int => matches!(value, Value::Int(_) | Value::Date(_) | Value::TimeMillis(_)),
        Kind::Long => matches!(
            value,
            Value::Int(_)
                | Value::Long(_)
                | Value::TimeMicros(_)
                | Value::TimestampMillis(_)
                | Value::TimestampMicros(_)
                | Value::TimestampNanos(_)
                | Value::LocalTimestampMillis(_)
                | Value::LocalTimestampMicros(_)
                | Value::LocalTimestampNanos(_)
        ),
        Kind::Float => matches!(value, Value::Int(_) | Value::Long(_) | Value::Float(_)),
        Kind::Double => {
            matches!(value, Value::Int(_) | Value::Long(_) | Value::Float(_) | Value::Double(_))
        }
        Kind::Bytes => matches!(value, Value::Bytes(_) | Value::Decimal(_) | Value::String(_)),
        Kind::String => matches!(value, Value::String(_) | Value::Uuid(_)),
        Kind::Fixed(..) => matches!(
            value,
            Value::Fixed(..)
                | Value::Bytes(_)
                | Value::Uuid(_)
                | Value::Duration(_)
                | Value::Decimal(_)
                | Value::String(_)
        ),
        Kind::Enum(_) => matches!(value, Value::Enum(..) | Value::String(_)),
        Kind::Array(_) => matches!(value, Value::Array(_)),
        Kind::Map(_) => matches!(value, Value::Map(_)),
        Kind::Record(_) => matches!(value, Value::Record(_)),
        Kind::Union(_) => false,
    }
}

/// Whether a record has all fields of a value, and defaults for those that the value does not have.
fn has_fields(kind: &Kind, value: &Value) -> bool {
    let (Kind::Record(record), Value::Record(values)) = (kind, value) else { return true };
    let mut there = vec![false; record.fields.len()];
    for (name, _) in values {
        match record.by_name.get(name) {
            Some(&position) => there[position] = true,
            None => return false,
        }
    }
    record.fields.iter().zip(there).all(|(field, there)| there || field.default.is_some())
}

/// A value that has none within, as a type has it; unchanged where it does not fit.
fn converted(schema: &AvroSchema, id: NodeId, value: Value) -> Value {
    let node = schema.node(id);
    match (&node.kind, node.logical, value) {
        (Kind::Int, Logical::Date, Value::Int(number)) => Value::Date(number),
        (Kind::Int, Logical::TimeMillis, Value::Int(number)) => Value::TimeMillis(number),
        (Kind::Long, logical, Value::Int(number)) => of_long(logical, i64::from(number)),
        (Kind::Long, logical, Value::Long(number)) => of_long(logical, number),
        (Kind::Float, _, Value::Int(number)) => Value::Float(number as f32),
        (Kind::Float, _, Value::Long(number)) => Value::Float(number as f32),
        (Kind::Double, _, Value::Int(number)) => Value::Double(f64::from(number)),
        (Kind::Double, _, Value::Long(number)) => Value::Double(number as f64),
        (Kind::Double, _, Value::Float(number)) => Value::Double(f64::from(number)),
        (Kind::Bytes | Kind::Fixed(..), Logical::Decimal { .. }, Value::Bytes(bytes)) => {
            Value::Decimal(Decimal::from(bytes))
        }
        (Kind::Fixed(_, size), Logical::None, Value::Bytes(bytes)) => Value::Fixed(*size, bytes),
        (Kind::Bytes, Logical::None, Value::String(text)) => Value::Bytes(text.into_bytes()),
        (Kind::String | Kind::Fixed(..), Logical::Uuid, Value::String(text)) => {
            match Uuid::try_parse(&text) {
                Ok(uuid) => Value::Uuid(uuid),
                Err(_) => Value::String(text),
            }
        }
        (Kind::Enum(of), _, Value::String(symbol)) => {
            match of.symbols.iter().position(|known| *known == symbol) {
                Some(position) => Value::Enum(position as u32, symbol),
                None => Value::String(symbol),
            }
        }
        (_, _, value) => value,
    }
}

/// A record with its fields in order, and defaults for those that are missing.
fn completed(schema: &AvroSchema, record: &RecordNode, value: Value) -> Result<Value, Misfit> {
    let Value::Record(values) = value else { return Ok(value) };
    let mut slots: Vec<Option<Value>> = Vec::with_capacity(record.fields.len());
    slots.resize_with(record.fields.len(), || None);
    for (name, value) in values {
        if let Some(&position) = record.by_name.get(&name) {
            slots[position] = Some(value);
        }
    }
    let mut fields = Vec::with_capacity(slots.len());
    for (field, slot) in record.fields.iter().zip(slots) {
        let value = match slot {
            Some(value) => value,
            None => default_of(schema, field)
                .map_err(|detail| Misfit::new(detail).inside(format!(".{}", field.name)))?,
        };
        fields.push((field.name.clone(), value));
    }
    Ok(Value::Record(fields))
}

fn default_of(schema: &AvroSchema, field: &FieldNode) -> Result<Value, String> {
    if field.default.is_none() {
        return Err("it is missing, and has no default".to_owned());
    }
    let mut steps = defaults::MAX_STEPS;
    let bytes =
        defaults::encode(schema, field, &mut steps).map_err(|detail| format!("its default {detail}"))?;
    let part = Resolution::part(schema, field.node).map_err(|error| error.to_string())?;
    decode_value(&part, &bytes).map_err(|error| error.to_string())
}
