//! [`AvroValue`]: a value by a schema that is known only at run time, for streams and state.

use std::fmt;
use std::marker::PhantomData;

use tidemill_core::element::{Element, length_bytes};

use super::decoder::Decoder;
use super::error::AvroError;
use super::evolution;
use super::fit::conform;
use super::resolution::Resolution;
use super::schema::{AvroSchema, Kind};
use super::value::{self, Value, encode_value, kind_of, unknown_field};
use crate::data::Data;
use crate::input::{DecodeError, Input};
use crate::scalars::encode_framed;
use crate::schema::{SchemaBuilder, Type};

/// Supplies a schema that is known only at run time, such as one from a file or a registry.
///
/// A stream's type must say how its values are written wherever they are read, also in another thread and after a
/// restart. So each schema has a type of its own, which stands for it:
///
/// ```
/// use std::sync::OnceLock;
/// use tidemill_serialization::avro::{AvroError, AvroSchema, AvroValue, RuntimeSchema, Value, WorkedOut};
///
/// struct Trips;
///
/// impl RuntimeSchema for Trips {
///     const NAME: &'static str = "trips";
///
///     fn load() -> Result<AvroSchema, AvroError> {
///         // From a file, a registry, ...
///         AvroSchema::parse(r#"{"type": "record", "name": "Trip", "fields": [
///             {"name": "distance", "type": "double"},
///             {"name": "borough", "type": ["null", "string"], "default": null}
///         ]}"#)
///     }
///
///     fn cell() -> &'static OnceLock<WorkedOut> {
///         static CELL: OnceLock<WorkedOut> = OnceLock::new();
///         &CELL
///     }
/// }
///
/// let trip = AvroValue::<Trips>::record([("distance", Value::Double(2.5))])?;
/// assert_eq!(trip.get("distance")?, &Value::Double(2.5));
/// assert_eq!(trip.get("fare").unwrap_err().to_string(), "Trip: Trip has no field \"fare\", only: distance, borough");
/// # Ok::<(), AvroError>(())
/// ```
pub trait RuntimeSchema: Send + Sync + 'static {
    /// What the values are called in messages.
    const NAME: &'static str;

    /// Supplies the schema. Called once; an error is remembered.
    ///
    /// # Errors
    /// When there is none.
    fn load() -> Result<AvroSchema, AvroError>;

    /// Where it is kept.
    fn cell() -> &'static std::sync::OnceLock<WorkedOut>;
}

/// A schema that was supplied, and how data of it are read.
#[derive(Debug)]
pub struct WorkedOut(Result<(AvroSchema, Resolution), String>);

fn worked_out<S: RuntimeSchema>() -> Result<&'static (AvroSchema, Resolution), AvroError> {
    let WorkedOut(result) = S::cell().get_or_init(|| {
        let loaded = S::load().and_then(|schema| Ok((schema.clone(), Resolution::of(&schema)?)));
        WorkedOut(loaded.map_err(|error| format!("the schema of {} is not there: {error}", S::NAME)))
    });
    result.as_ref().map_err(|detail| AvroError::schema(detail.clone()))
}

/// A value by a schema that is known only at run time, for streams and state. It always fits its schema.
///
/// ```
/// # use std::sync::OnceLock;
/// # use tidemill_serialization::avro::{AvroError, AvroSchema, RuntimeSchema, WorkedOut};
/// # struct Trips;
/// # impl RuntimeSchema for Trips {
/// #     const NAME: &'static str = "trips";
/// #     fn load() -> Result<AvroSchema, AvroError> {
/// #         AvroSchema::parse(
/// #             r#"{"type": "record", "name": "Trip", "fields": [
/// #                 {"name": "distance", "type": "double"},
/// #                 {"name": "passengers", "type": "int", "default": 1}]}"#,
/// #         )
/// #     }
/// #     fn cell() -> &'static OnceLock<WorkedOut> {
/// #         static CELL: OnceLock<WorkedOut> = OnceLock::new();
/// #         &CELL
/// #     }
/// # }
/// use tidemill_serialization::avro::{AvroValue, Value};
///
/// let trip = AvroValue::<Trips>::record([("distance", Value::Double(7.5))])?;
/// assert_eq!(trip.get("passengers")?, &Value::Int(1), "the default");
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
pub struct AvroValue<S> {
    value: Value,
    /// What it takes encoded.
    bytes: usize,
    schema: PhantomData<fn() -> S>,
}

impl<S: RuntimeSchema> AvroValue<S> {
    /// Makes it of a value, which is [made to fit](conform).
    ///
    /// ```
    /// # use std::sync::OnceLock;
    /// # use tidemill_serialization::avro::{AvroError, AvroSchema, RuntimeSchema, WorkedOut};
    /// # struct Trips;
    /// # impl RuntimeSchema for Trips {
    /// #     const NAME: &'static str = "trips";
    /// #     fn load() -> Result<AvroSchema, AvroError> {
    /// #         AvroSchema::parse(
    /// #             r#"{"type": "record", "name": "Trip", "fields": [
    /// #                 {"name": "distance", "type": "double"},
    /// #                 {"name": "passengers", "type": "int", "default": 1}]}"#,
    /// #         )
    /// #     }
    /// #     fn cell() -> &'static OnceLock<WorkedOut> {
    /// #         static CELL: OnceLock<WorkedOut> = OnceLock::new();
    /// #         &CELL
    /// #     }
    /// # }
    /// use tidemill_serialization::avro::{AvroValue, Value};
    ///
    /// assert!(AvroValue::<Trips>::new(Value::Null).is_err(), "it is no trip");
    /// ```
    ///
    /// # Errors
    /// When it does not fit, or there is no schema.
    pub fn new(value: Value) -> Result<Self, AvroError> {
        let (schema, _) = worked_out::<S>()?;
        Self::fitted(conform(schema, value)?, schema)
    }

    /// Makes a record of its fields; those that are missing get their defaults.
    ///
    /// ```
    /// # use std::sync::OnceLock;
    /// # use tidemill_serialization::avro::{AvroError, AvroSchema, RuntimeSchema, WorkedOut};
    /// # struct Trips;
    /// # impl RuntimeSchema for Trips {
    /// #     const NAME: &'static str = "trips";
    /// #     fn load() -> Result<AvroSchema, AvroError> {
    /// #         AvroSchema::parse(
    /// #             r#"{"type": "record", "name": "Trip", "fields": [
    /// #                 {"name": "distance", "type": "double"},
    /// #                 {"name": "passengers", "type": "int", "default": 1}]}"#,
    /// #         )
    /// #     }
    /// #     fn cell() -> &'static OnceLock<WorkedOut> {
    /// #         static CELL: OnceLock<WorkedOut> = OnceLock::new();
    /// #         &CELL
    /// #     }
    /// # }
    /// use tidemill_serialization::avro::{AvroValue, Value};
    ///
    /// let trip = AvroValue::<Trips>::record([("distance", Value::Double(7.5)), ("passengers", Value::Int(3))])?;
    /// assert_eq!(trip.get("passengers")?, &Value::Int(3));
    /// assert!(AvroValue::<Trips>::record([("passengers", Value::Int(3))]).is_err(), "how far?");
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn record<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Result<Self, AvroError> {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        Self::new(Value::Record(fields.collect()))
    }

    fn fitted(value: Value, schema: &AvroSchema) -> Result<Self, AvroError> {
        let mut out = Vec::new();
        encode_value(schema, &value, &mut out)?;
        Ok(Self { value, bytes: out.len(), schema: PhantomData })
    }

    /// The schema.
    ///
    /// ```
    /// # use std::sync::OnceLock;
    /// # use tidemill_serialization::avro::{AvroError, AvroSchema, RuntimeSchema, WorkedOut};
    /// # struct Trips;
    /// # impl RuntimeSchema for Trips {
    /// #     const NAME: &'static str = "trips";
    /// #     fn load() -> Result<AvroSchema, AvroError> {
    /// #         AvroSchema::parse(
    /// #             r#"{"type": "record", "name": "Trip", "fields": [
    /// #                 {"name": "distance", "type": "double"},
    /// #                 {"name": "passengers", "type": "int", "default": 1}]}"#,
    /// #         )
    /// #     }
    /// #     fn cell() -> &'static OnceLock<WorkedOut> {
    /// #         static CELL: OnceLock<WorkedOut> = OnceLock::new();
    /// #         &CELL
    /// #     }
    /// # }
    /// use tidemill_serialization::avro::{AvroValue, Value};
    ///
    /// assert_eq!(AvroValue::<Trips>::schema()?.field_names(), ["distance", "passengers"]);
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When there is none.
    pub fn schema() -> Result<AvroSchema, AvroError> {
        worked_out::<S>().map(|(schema, _)| schema.clone())
    }

    /// The value.
    ///
    /// ```
    /// # use std::sync::OnceLock;
    /// # use tidemill_serialization::avro::{AvroError, AvroSchema, RuntimeSchema, WorkedOut};
    /// # struct Trips;
    /// # impl RuntimeSchema for Trips {
    /// #     const NAME: &'static str = "trips";
    /// #     fn load() -> Result<AvroSchema, AvroError> {
    /// #         AvroSchema::parse(
    /// #             r#"{"type": "record", "name": "Trip", "fields": [
    /// #                 {"name": "distance", "type": "double"},
    /// #                 {"name": "passengers", "type": "int", "default": 1}]}"#,
    /// #         )
    /// #     }
    /// #     fn cell() -> &'static OnceLock<WorkedOut> {
    /// #         static CELL: OnceLock<WorkedOut> = OnceLock::new();
    /// #         &CELL
    /// #     }
    /// # }
    /// use tidemill_serialization::avro::{AvroValue, Value};
    ///
    /// let trip = AvroValue::<Trips>::record([("distance", Value::Double(7.5))])?;
    /// assert!(matches!(trip.value(), Value::Record(fields) if fields.len() == 2));
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The value.
    ///
    /// ```
    /// # use std::sync::OnceLock;
    /// # use tidemill_serialization::avro::{AvroError, AvroSchema, RuntimeSchema, WorkedOut};
    /// # struct Trips;
    /// # impl RuntimeSchema for Trips {
    /// #     const NAME: &'static str = "trips";
    /// #     fn load() -> Result<AvroSchema, AvroError> {
    /// #         AvroSchema::parse(
    /// #             r#"{"type": "record", "name": "Trip", "fields": [
    /// #                 {"name": "distance", "type": "double"},
    /// #                 {"name": "passengers", "type": "int", "default": 1}]}"#,
    /// #         )
    /// #     }
    /// #     fn cell() -> &'static OnceLock<WorkedOut> {
    /// #         static CELL: OnceLock<WorkedOut> = OnceLock::new();
    /// #         &CELL
    /// #     }
    /// # }
    /// use tidemill_serialization::avro::{AvroValue, Value};
    ///
    /// let trip = AvroValue::<Trips>::record([("distance", Value::Double(7.5))])?;
    /// assert!(matches!(trip.into_value(), Value::Record(fields) if fields.len() == 2));
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    pub fn into_value(self) -> Value {
        self.value
    }

    /// A field of a record. The branch of a union is left away: what is optional is `Value::Null` or the value.
    ///
    /// ```
    /// # use std::sync::OnceLock;
    /// # use tidemill_serialization::avro::{AvroError, AvroSchema, RuntimeSchema, WorkedOut};
    /// # struct Trips;
    /// # impl RuntimeSchema for Trips {
    /// #     const NAME: &'static str = "trips";
    /// #     fn load() -> Result<AvroSchema, AvroError> {
    /// #         AvroSchema::parse(
    /// #             r#"{"type": "record", "name": "Trip", "fields": [
    /// #                 {"name": "distance", "type": "double"},
    /// #                 {"name": "passengers", "type": "int", "default": 1}]}"#,
    /// #         )
    /// #     }
    /// #     fn cell() -> &'static OnceLock<WorkedOut> {
    /// #         static CELL: OnceLock<WorkedOut> = OnceLock::new();
    /// #         &CELL
    /// #     }
    /// # }
    /// use tidemill_serialization::avro::{AvroValue, Value};
    ///
    /// let trip = AvroValue::<Trips>::record([("distance", Value::Double(7.5))])?;
    /// assert_eq!(trip.get("distance")?, &Value::Double(7.5));
    /// assert!(trip.get("driver").is_err());
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When it is no record, or has no such field.
    pub fn get(&self, field: &str) -> Result<&Value, AvroError> {
        let (schema, _) = worked_out::<S>()?;
        let wrong = |detail| AvroError::Value { at: schema.name(), detail };
        let Value::Record(fields) = &self.value else {
            return Err(wrong(format!("it is {}, which has no field {field:?}", kind_of(&self.value))));
        };
        let position = match &schema.node(schema.root()).kind {
            Kind::Record(record) => record.by_name.get(field).copied(),
            _ => fields.iter().position(|(name, _)| name == field),
        };
        match position.and_then(|position| fields.get(position)) {
            Some((_, Value::Union(_, value))) => Ok(value),
            Some((_, value)) => Ok(value),
            None => Err(wrong(unknown_field(schema, schema.root(), field))),
        }
    }

    /// The record with a field changed.
    ///
    /// ```
    /// # use std::sync::OnceLock;
    /// # use tidemill_serialization::avro::{AvroError, AvroSchema, RuntimeSchema, WorkedOut};
    /// # struct Trips;
    /// # impl RuntimeSchema for Trips {
    /// #     const NAME: &'static str = "trips";
    /// #     fn load() -> Result<AvroSchema, AvroError> {
    /// #         AvroSchema::parse(
    /// #             r#"{"type": "record", "name": "Trip", "fields": [
    /// #                 {"name": "distance", "type": "double"},
    /// #                 {"name": "passengers", "type": "int", "default": 1}]}"#,
    /// #         )
    /// #     }
    /// #     fn cell() -> &'static OnceLock<WorkedOut> {
    /// #         static CELL: OnceLock<WorkedOut> = OnceLock::new();
    /// #         &CELL
    /// #     }
    /// # }
    /// use tidemill_serialization::avro::{AvroValue, Value};
    ///
    /// let trip = AvroValue::<Trips>::record([("distance", Value::Double(7.5))])?;
    /// assert_eq!(trip.with("passengers", 3)?.get("passengers")?, &Value::Int(3));
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When it is no record, has no such field, or the value does not fit it.
    pub fn with(self, field: &str, value: impl Into<Value>) -> Result<Self, AvroError> {
        self.get(field)?;
        let Value::Record(mut fields) = self.value else { return Self::new(self.value) };
        fields.iter_mut().filter(|(name, _)| name == field).for_each(|(_, old)| *old = Value::Null);
        let value = value.into();
        match fields.iter_mut().find(|(name, _)| name == field) {
            Some((_, slot)) => *slot = value,
            None => fields.push((field.to_owned(), value)),
        }
        Self::new(Value::Record(fields))
    }

    /// The value as Avro data, without its schema.
    ///
    /// ```
    /// # use std::sync::OnceLock;
    /// # use tidemill_serialization::avro::{AvroError, AvroSchema, RuntimeSchema, WorkedOut};
    /// # struct Trips;
    /// # impl RuntimeSchema for Trips {
    /// #     const NAME: &'static str = "trips";
    /// #     fn load() -> Result<AvroSchema, AvroError> {
    /// #         AvroSchema::parse(
    /// #             r#"{"type": "record", "name": "Trip", "fields": [
    /// #                 {"name": "distance", "type": "double"},
    /// #                 {"name": "passengers", "type": "int", "default": 1}]}"#,
    /// #         )
    /// #     }
    /// #     fn cell() -> &'static OnceLock<WorkedOut> {
    /// #         static CELL: OnceLock<WorkedOut> = OnceLock::new();
    /// #         &CELL
    /// #     }
    /// # }
    /// use tidemill_serialization::avro::{AvroValue, Value};
    ///
    /// let trip = AvroValue::<Trips>::record([("distance", Value::Double(0.0))])?;
    /// assert_eq!(trip.to_bytes(), [0, 0, 0, 0, 0, 0, 0, 0, 2]);
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes);
        self.put(&mut out);
        out
    }

    fn put(&self, out: &mut Vec<u8>) {
        if let Ok((schema, _)) = worked_out::<S>() {
            // It fits: that was seen to when it was made.
            let fits = encode_value(schema, &self.value, out);
            debug_assert!(fits.is_ok());
        }
    }

    fn read(resolution: &Resolution, input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let length = input.length(1, "Avro value")?;
        let bytes = input.take(length, "Avro value")?;
        let mut decoder = Decoder::new(resolution, bytes);
        let read = value::value(&mut decoder).and_then(|value| match decoder.rest().len() {
            0 => Self::fitted(value, resolution.reader()),
            left => Err(AvroError::Trailing { left }),
        });
        read.map_err(|error| error.into_decode_error("Avro value"))
    }
}

impl<S> Clone for AvroValue<S> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), bytes: self.bytes, schema: PhantomData }
    }
}

impl<S> PartialEq for AvroValue<S> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<S> fmt::Debug for AvroValue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<S: RuntimeSchema> Element for AvroValue<S> {
    const FIXED_BYTES: Option<usize> = None;

    fn logical_bytes(&self) -> usize {
        length_bytes(self.bytes) + self.bytes
    }
}

impl<S: RuntimeSchema> Data for AvroValue<S> {
    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Opaque(evolution::opaque(S::NAME.to_owned(), Self::schema()))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode_framed(out, |out| self.put(out));
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let (_, resolution) = worked_out::<S>().map_err(|error| error.into_decode_error("Avro value"))?;
        Self::read(resolution, input)
    }
}
