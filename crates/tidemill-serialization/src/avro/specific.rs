//! [`Avro`]: a value of a type with an Avro schema, for streams and state. And reading and writing such types.

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use tidemill_core::element::{Element, length_bytes};
use tidemill_core::hash::RoutingHash;

use super::decoder::Decoder;
use super::defaults;
use super::error::AvroError;
use super::evolution;
use super::readable::check_written;
use super::resolution::Resolution;
use super::schema::AvroSchema;
use super::typed::{AvroType, Names};
use crate::custom::type_label;
use crate::data::Data;
use crate::input::{DecodeError, Input};
use crate::scalars::encode_framed;
use crate::schema::{SchemaBuilder, Type};

/// The schema of a type, and how data of it are read. Worked out once for each type.
struct Codec {
    schema: AvroSchema,
    resolution: Resolution,
}

type Shared = &'static Result<Codec, String>;

/// One for each type of the program that is read or written.
static CODECS: Mutex<Option<HashMap<TypeId, Shared>>> = Mutex::new(None);

/// How deep records may be nested whose fields have defaults.
const MAX_DEFAULTS: u32 = 32;

thread_local! {
    /// How many defaults are being written, one for the sake of the other.
    static DEFAULTS: Cell<u32> = const { Cell::new(0) };

    /// What this thread has asked for, so that no lock is taken for a record.
    static KNOWN: RefCell<HashMap<TypeId, Shared>> = RefCell::default();
}

fn codec<T: AvroType>() -> Result<&'static Codec, AvroError> {
    let id = TypeId::of::<T>();
    let known = KNOWN.with_borrow(|known| known.get(&id).copied());
    let shared = known.unwrap_or_else(|| {
        // Before the lock is taken: the defaults of its fields ask for the schemas of their types.
        let made = make::<T>().map_err(|error| match error {
            AvroError::Schema { detail } => detail,
            other => other.to_string(),
        });
        let mut codecs = CODECS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let shared = *codecs.get_or_insert_default().entry(id).or_insert_with(|| Box::leak(Box::new(made)));
        KNOWN.with_borrow_mut(|known| known.insert(id, shared));
        shared
    });
    shared.as_ref().map_err(|detail| AvroError::schema(detail.clone()))
}

fn make<T: AvroType>() -> Result<Codec, AvroError> {
    let mut names = Names::default();
    let json = T::schema(&mut names);
    names.check()?;
    let schema = AvroSchema::parse(&json.to_string())?;
    let resolution = Resolution::of(&schema)?;
    Ok(Codec { schema, resolution })
}

/// The schema of a type.
///
/// ```
/// use tidemill_serialization::avro::schema_of;
///
/// assert_eq!(schema_of::<Vec<i32>>()?.canonical_form(), r#"{"type":"array","items":"int"}"#);
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
///
/// # Errors
/// When it has none that can be used: two types of the same name in it, or a union within a union.
pub fn schema_of<T: AvroType>() -> Result<AvroSchema, AvroError> {
    codec::<T>().map(|codec| codec.schema.clone())
}

/// Checks that a value can be read again: values are read that are nested up to 256 records, arrays and maps deep, and of which
/// up to 65,536 fields and elements, beside one for each byte before them, take no bytes. [`encode`] cannot fail, so this is to
/// be asked where values of a type that is within itself come from outside. Files, messages and [`Avro::new`] do so.
///
/// ```
/// use tidemill_serialization::avro;
///
/// assert!(avro::check(&vec![(); 1000]).is_ok());
/// assert!(avro::check(&vec![(); 100_000]).is_err(), "a few bytes would stand for very many values");
/// # Ok::<(), avro::AvroError>(())
/// ```
///
/// # Errors
/// When it cannot, or its type has no schema that can be used.
pub fn check<T: AvroType>(value: &T) -> Result<(), AvroError> {
    let schema = &codec::<T>()?.schema;
    match schema.may_be_unreadable() {
        true => check_written(schema, &encode(value)),
        false => Ok(()),
    }
}

/// A value as Avro data, without its schema.
///
/// Whether it can be read again is told by [`check`].
///
/// ```
/// use tidemill_serialization::avro;
///
/// assert_eq!(avro::encode(&"ab".to_owned()), *b"\x04ab");
/// ```
pub fn encode<T: AvroType>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.encoded_bytes());
    value.encode(&mut out);
    out
}

/// Reads one value that was written with the schema of the type; the bytes must be that value and no more.
///
/// ```
/// use tidemill_serialization::avro;
///
/// assert_eq!(avro::decode::<String>(b"\x04ab")?, "ab");
/// assert!(avro::decode::<String>(b"\x04a").is_err());
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
///
/// # Errors
/// When the bytes are no such value.
pub fn decode<T: AvroType>(bytes: &[u8]) -> Result<T, AvroError> {
    read_one(&codec::<T>()?.resolution, bytes)
}

fn read_one<T: AvroType>(resolution: &Resolution, bytes: &[u8]) -> Result<T, AvroError> {
    let mut decoder = Decoder::new(resolution, bytes);
    let root = decoder.root();
    let value = T::decode(&mut decoder, root)?;
    match decoder.rest().len() {
        0 => Ok(value),
        left => Err(AvroError::Trailing { left }),
    }
}

/// Reads values of a type that were written with another schema.
///
/// ```
/// use tidemill_serialization::avro::{AvroReader, AvroRecord, AvroSchema};
///
/// #[derive(AvroRecord, Debug, PartialEq)]
/// struct Trip {
///     distance: f64,
///     #[avro(default = 1)]
///     passengers: i32,
/// }
///
/// let writer = AvroSchema::parse_writer(
///     r#"{"type": "record", "name": "Trip", "fields": [{"name": "distance", "type": "int"}]}"#,
/// )?;
/// let reader = AvroReader::<Trip>::new(&writer)?;
/// assert_eq!(reader.decode(&[14])?, Trip { distance: 7.0, passengers: 1 });
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
pub struct AvroReader<T> {
    resolution: Resolution,
    of: PhantomData<fn() -> T>,
}

impl<T: AvroType> AvroReader<T> {
    /// For data of this schema.
    ///
    /// ```
    /// use tidemill_serialization::avro::{AvroReader, schema_of};
    ///
    /// assert!(AvroReader::<i64>::new(&schema_of::<i32>()?).is_ok());
    /// assert!(AvroReader::<i32>::new(&schema_of::<i64>()?).is_err(), "not all longs are ints");
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When the type has no schema that can be used, or not all data can be read: all the reasons.
    pub fn new(writer: &AvroSchema) -> Result<Self, AvroError> {
        let reader = Self::lenient(writer)?;
        reader.resolution.check()?;
        Ok(reader)
    }

    /// For data of this schema of which some may be unreadable: those are errors when they are met.
    ///
    /// ```
    /// use tidemill_serialization::avro::{AvroReader, schema_of};
    ///
    /// let reader = AvroReader::<i32>::lenient(&schema_of::<Option<i32>>()?)?;
    /// assert_eq!(reader.decode(&[2, 14])?, 7);
    /// assert!(reader.decode(&[0]).is_err(), "null is no int");
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When the type has no schema that can be used.
    pub fn lenient(writer: &AvroSchema) -> Result<Self, AvroError> {
        let resolution = Resolution::new(writer, &codec::<T>()?.schema)?;
        Ok(Self { resolution, of: PhantomData })
    }

    /// Reads one value; the bytes must be that value and no more.
    ///
    /// ```
    /// use tidemill_serialization::avro::{AvroReader, schema_of};
    ///
    /// assert_eq!(AvroReader::<i64>::new(&schema_of::<i32>()?)?.decode(&[14])?, 7);
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When the bytes are no value of the writer's schema, or one that the type cannot hold.
    pub fn decode(&self, bytes: &[u8]) -> Result<T, AvroError> {
        read_one(&self.resolution, bytes)
    }

    pub(crate) fn resolution(&self) -> &Resolution {
        &self.resolution
    }
}

impl<T> fmt::Debug for AvroReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.resolution.fmt(f)
    }
}

/// A default as JSON that is read as the same value again. A union takes the first branch that suits the JSON, which has no
/// name of a variant in it.
fn written_default(codec: &Codec, bytes: &[u8]) -> Result<serde_json::Value, AvroError> {
    let json = super::json::value_to_json(&codec.schema, &codec.resolution, bytes)?;
    let mut steps = defaults::MAX_STEPS;
    let again = defaults::encode_json(&codec.schema, codec.schema.root(), &json, &mut steps);
    match again.map_err(|detail| AvroError::schema(format!("it {detail}")))? == bytes {
        true => Ok(json),
        false => Err(AvroError::schema(format!(
            "as JSON it is {}, which would be read as another variant, the first that this suits: choose another default, or put the variants in another order",
            defaults::shortened(&json)
        ))),
    }
}

/// The default of a field as JSON. What `#[avro(default = …)]` asks for.
pub fn default_json<T: AvroType>(value: &T, names: &mut Names) -> serde_json::Value {
    // A type whose field is of the type itself asks for its own schema, while that is being made.
    let depth = DEFAULTS.get();
    if depth > MAX_DEFAULTS {
        names.refuse(format!("the default of a field of the type {} is of that type", type_label::<T>()));
        return serde_json::Value::Null;
    }
    DEFAULTS.set(depth + 1);
    let read = codec::<T>().and_then(|codec| written_default(codec, &encode(value)));
    DEFAULTS.set(depth);
    read.unwrap_or_else(|error| {
        names.refuse(format!("the default of a field cannot be written: {error}"));
        serde_json::Value::Null
    })
}

/// A value of a type with an Avro schema, for streams and state.
///
/// Values of a type that is within itself, such as a list or a tree, are best made by [`Avro::new`]: those that are nested too
/// deeply are written, for writing cannot fail, but not read.
///
/// It crosses edges and is kept in state as Avro data, and evolves by the rules of Avro: the schema that data were written
/// with is stored beside them. It can be used as the value that it holds.
///
/// ```
/// use tidemill_serialization::avro::{Avro, AvroRecord};
/// use tidemill_serialization::{Data, Input};
///
/// #[derive(AvroRecord, Clone, Debug, PartialEq)]
/// #[avro(namespace = "city")]
/// struct Trip {
///     /// In miles.
///     distance: f64,
///     borough: Option<String>,
/// }
///
/// let trip = Avro(Trip { distance: 2.5, borough: Some("Queens".into()) });
/// let mut bytes = Vec::new();
/// trip.encode(&mut bytes);
/// assert_eq!(Avro::<Trip>::decode(&mut Input::new(&bytes))?, trip);
/// # Ok::<(), tidemill_serialization::DecodeError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Avro<T>(pub T);

impl<T: AvroType> Avro<T> {
    /// Wraps a value that can be read again.
    ///
    /// ```
    /// use tidemill_serialization::avro::Avro;
    ///
    /// assert!(Avro::new(7i32).is_ok());
    /// assert!(Avro::new(vec![(); 100_000]).is_err());
    /// ```
    ///
    /// # Errors
    /// Those of [`check`].
    pub fn new(value: T) -> Result<Self, AvroError> {
        check(&value).map(|()| Self(value))
    }
}

impl<T> Avro<T> {
    /// The value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Avro<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Avro<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Avro<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Avro<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: RoutingHash> RoutingHash for Avro<T> {
    fn routing_hash(&self) -> u64 {
        self.0.routing_hash()
    }
}

impl<T: AvroType + Clone + Send + Sync> Element for Avro<T> {
    const FIXED_BYTES: Option<usize> = None;

    fn logical_bytes(&self) -> usize {
        let bytes = self.0.encoded_bytes();
        length_bytes(bytes) + bytes
    }
}

impl<T: AvroType + Clone + Send + Sync> Avro<T> {
    fn decode_with(codec: &Codec, input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let length = input.length(1, "Avro record")?;
        let bytes = input.take(length, "Avro record")?;
        read_one(&codec.resolution, bytes).map(Self).map_err(|error| error.into_decode_error("Avro record"))
    }
}

impl<T: AvroType + Clone + Send + Sync> Data for Avro<T> {
    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Opaque(evolution::opaque(type_label::<T>(), schema_of::<T>()))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode_framed(out, |out| self.0.encode(out));
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let codec = codec::<T>().map_err(|error| error.into_decode_error("Avro record"))?;
        Self::decode_with(codec, input)
    }

    fn decode_vec(count: usize, input: &mut Input<'_>) -> Result<Vec<Self>, DecodeError> {
        let codec = codec::<T>().map_err(|error| error.into_decode_error("Avro record"))?;
        // Each has its length in front.
        input.check_count(count, 1, "sequence")?;
        let mut values = Vec::with_capacity(input.justified_capacity::<Self>(count));
        for _ in 0..count {
            values.push(Self::decode_with(codec, input)?);
        }
        Ok(values)
    }
}
