//! The Confluent wire format: messages that carry the id under which a registry knows their schema.
//!
//! A message is a zero byte, the id in four bytes, big endian, and the data. Where the schema is `bytes` and nothing else, these
//! are the bytes themselves, without their length: so Confluent's serializers have it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use super::bytes::{put_blob, take_long};
use super::error::AvroError;
use super::fit::conform;
use super::readable::check_written;
use super::resolution::Resolution;
use super::schema::{AvroSchema, Kind};
use super::specific::{AvroReader, schema_of};
use super::typed::AvroType;
use super::value::{Value, decode_value, encode_value};

/// What messages begin with.
const MAGIC: u8 = 0;

/// Schemas that are remembered by a decoder: more are only met by one that is fed with made-up ids.
const MAX_SCHEMAS: usize = 1000;

/// Where the schemas of messages are looked up, such as a `SchemaRegistry`.
///
/// ```
/// use std::collections::HashMap;
/// use tidemill_serialization::avro::{schema_of, wire::SchemaLookup};
///
/// let known = HashMap::from([(7, schema_of::<i32>()?)]);
/// assert_eq!(known.schema_by_id(7)?.name(), "int");
/// assert!(known.schema_by_id(8).is_err());
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
pub trait SchemaLookup {
    /// The schema that is known by this id.
    ///
    /// # Errors
    /// When there is none, or the registry cannot be asked.
    fn schema_by_id(&self, id: u32) -> Result<AvroSchema, AvroError>;
}

impl<L: SchemaLookup + ?Sized> SchemaLookup for &L {
    fn schema_by_id(&self, id: u32) -> Result<AvroSchema, AvroError> {
        (**self).schema_by_id(id)
    }
}

impl<L: SchemaLookup + ?Sized> SchemaLookup for std::sync::Arc<L> {
    fn schema_by_id(&self, id: u32) -> Result<AvroSchema, AvroError> {
        (**self).schema_by_id(id)
    }
}

/// Schemas that are there already, by their ids.
impl SchemaLookup for HashMap<u32, AvroSchema> {
    fn schema_by_id(&self, id: u32) -> Result<AvroSchema, AvroError> {
        let wrong = || AvroError::Wire { detail: format!("its schema has the id {id}, which is not known") };
        self.get(&id).cloned().ok_or_else(wrong)
    }
}

/// Takes a message apart: the id of its schema, and the data.
///
/// ```
/// use tidemill_serialization::avro::wire;
///
/// assert_eq!(wire::split(&[0, 0, 0, 0, 7, 14])?, (7, &[14][..]));
/// assert!(wire::split(&[1, 0, 0, 0, 7, 14]).is_err());
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
///
/// # Errors
/// When it is too short, or begins with something else.
pub fn split(message: &[u8]) -> Result<(u32, &[u8]), AvroError> {
    let wrong = |detail: String| Err(AvroError::Wire { detail });
    match message.split_first_chunk::<5>() {
        Some((&[MAGIC, a, b, c, d], data)) => Ok((u32::from_be_bytes([a, b, c, d]), data)),
        Some(([other, ..], _)) => wrong(format!(
            "it begins with {other}, not with 0: it was written by a serializer without a registry"
        )),
        None => {
            wrong(format!("it has {} bytes, at least 5 are needed for the id of its schema", message.len()))
        }
    }
}

/// Appends the beginning of a message, which the data follow.
///
/// ```
/// use tidemill_serialization::avro::wire;
///
/// let mut message = Vec::new();
/// wire::begin(7, &mut message);
/// assert_eq!(message, [0, 0, 0, 0, 7]);
/// ```
pub fn begin(id: u32, out: &mut Vec<u8>) {
    out.push(MAGIC);
    out.extend_from_slice(&id.to_be_bytes());
}

/// Appends a message with a value of a type whose schema is known by this id.
///
/// ```
/// use tidemill_serialization::avro::wire;
///
/// let mut message = Vec::new();
/// wire::encode_message(7, &7i32, &mut message)?;
/// assert_eq!(message, [0, 0, 0, 0, 7, 14]);
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
///
/// # Errors
/// When the type has no schema that can be used, or the value could not be [read again](super::check).
pub fn encode_message<T: AvroType>(id: u32, value: &T, out: &mut Vec<u8>) -> Result<(), AvroError> {
    let schema = schema_of::<T>()?;
    let start = out.len();
    begin(id, out);
    let data = out.len();
    value.encode(out);
    check_written(&schema, &out[data..]).inspect_err(|_| out.truncate(start))?;
    bare(&schema, data, out);
    Ok(())
}

fn is_bytes(schema: &AvroSchema) -> bool {
    matches!(schema.node(schema.root()).kind, Kind::Bytes)
}

/// Takes the length of bytes off the data of a message, which begin there.
fn bare(schema: &AvroSchema, data: usize, out: &mut Vec<u8>) {
    if is_bytes(schema) {
        let mut rest = &out[data..];
        if take_long(&mut rest).is_ok() {
            let length = rest.len();
            out.drain(data..out.len() - length);
        }
    }
}

/// The data of a message as Avro has them.
fn whole<'a>(schema: &AvroSchema, data: &'a [u8]) -> Cow<'a, [u8]> {
    match is_bytes(schema) {
        true => {
            let mut whole = Vec::with_capacity(data.len() + 10);
            put_blob(data, &mut whole);
            Cow::Owned(whole)
        }
        false => Cow::Borrowed(data),
    }
}

/// Appends a message with a generic value, which is made to fit the schema that is known by this id.
///
/// ```
/// use tidemill_serialization::avro::{Value, schema_of, wire};
///
/// let mut message = Vec::new();
/// wire::encode_value_message(7, &schema_of::<i64>()?, Value::Int(7), &mut message)?;
/// assert_eq!(message, [0, 0, 0, 0, 7, 14]);
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
///
/// # Errors
/// When it does not fit.
pub fn encode_value_message(
    id: u32,
    schema: &AvroSchema,
    value: Value,
    out: &mut Vec<u8>,
) -> Result<(), AvroError> {
    let value = conform(schema, value)?;
    let start = out.len();
    begin(id, out);
    let data = out.len();
    encode_value(schema, &value, out).inspect_err(|_| out.truncate(start))?;
    bare(schema, data, out);
    Ok(())
}

/// What was worked out for the schemas that messages were written with.
struct Cache<V> {
    /// What an id stands for never changes, so neither does what cannot be done with it.
    known: HashMap<u32, Result<V, AvroError>>,
    /// The id of the message before, which most share.
    last: Option<u32>,
}

impl<V> Cache<V> {
    fn new() -> Self {
        Self { known: HashMap::new(), last: None }
    }

    /// A schema that cannot be had is not remembered: whoever is asked for it knows best how long that stays so.
    fn get(
        &mut self,
        id: u32,
        lookup: &impl SchemaLookup,
        make: impl FnOnce(&AvroSchema) -> Result<V, AvroError>,
    ) -> Result<&V, AvroError> {
        if self.last != Some(id) && !self.known.contains_key(&id) {
            let made = make(&lookup.schema_by_id(id)?);
            if self.known.len() >= MAX_SCHEMAS {
                self.known.clear();
            }
            self.known.insert(id, made);
        }
        self.last = Some(id);
        let gone = || AvroError::Wire { detail: format!("its schema has the id {id}, which cannot be used") };
        match self.known.get(&id) {
            Some(Ok(made)) => Ok(made),
            Some(Err(error)) => Err(error.copied().unwrap_or_else(gone)),
            None => Err(gone()),
        }
    }
}

/// Reads messages as values of a type, whatever schema of its past they were written with.
///
/// ```
/// use std::collections::HashMap;
/// use tidemill_serialization::avro::{schema_of, wire::RecordDecoder};
///
/// let known = HashMap::from([(7, schema_of::<i32>()?)]);
/// let mut decoder = RecordDecoder::<i64, _>::new(known);
/// assert_eq!(decoder.decode(&[0, 0, 0, 0, 7, 14])?, 7);
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
pub struct RecordDecoder<T, L> {
    lookup: L,
    readers: Cache<AvroReader<T>>,
}

impl<T: AvroType, L: SchemaLookup> RecordDecoder<T, L> {
    /// Looks schemas up here, each once; those that cannot be had with each message.
    pub fn new(lookup: L) -> Self {
        Self { lookup, readers: Cache::new() }
    }

    /// Reads one message.
    ///
    /// # Errors
    /// When it is none, its schema cannot be had, the type cannot be made of it, or the data are damaged.
    pub fn decode(&mut self, message: &[u8]) -> Result<T, AvroError> {
        let (id, data) = split(message)?;
        let reader = self.readers.get(id, &self.lookup, AvroReader::lenient)?;
        reader.decode(&whole(reader.resolution().writer(), data))
    }
}

impl<T, L: fmt::Debug> fmt::Debug for RecordDecoder<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordDecoder({:?})", self.lookup)
    }
}

/// Reads messages as generic values.
///
/// ```
/// use std::collections::HashMap;
/// use tidemill_serialization::avro::{Value, schema_of, wire::ValueDecoder};
///
/// let known = HashMap::from([(7, schema_of::<i32>()?)]);
/// assert_eq!(ValueDecoder::new(known).decode(&[0, 0, 0, 0, 7, 14])?, Value::Int(7));
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
pub struct ValueDecoder<L> {
    lookup: L,
    reader: Option<AvroSchema>,
    resolutions: Cache<Resolution>,
}

impl<L: SchemaLookup> ValueDecoder<L> {
    /// Reads each message with the schema that it was written with.
    pub fn new(lookup: L) -> Self {
        Self { lookup, reader: None, resolutions: Cache::new() }
    }

    /// Reads all messages with this schema.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use tidemill_serialization::avro::{Value, schema_of, wire::ValueDecoder};
    ///
    /// let known = HashMap::from([(7, schema_of::<i32>()?)]);
    /// let mut decoder = ValueDecoder::with_reader(known, schema_of::<i64>()?);
    /// assert_eq!(decoder.decode(&[0, 0, 0, 0, 7, 14])?, Value::Long(7));
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    pub fn with_reader(lookup: L, reader: AvroSchema) -> Self {
        Self { lookup, reader: Some(reader), resolutions: Cache::new() }
    }

    /// Reads one message.
    ///
    /// # Errors
    /// When it is none, its schema cannot be had, or the data are damaged or have no place in the reader's schema.
    pub fn decode(&mut self, message: &[u8]) -> Result<Value, AvroError> {
        let (id, data) = split(message)?;
        let reader = &self.reader;
        let make = |writer: &AvroSchema| Resolution::new(writer, reader.as_ref().unwrap_or(writer));
        let resolution = self.resolutions.get(id, &self.lookup, make)?;
        decode_value(resolution, &whole(resolution.writer(), data))
    }
}

impl<L: fmt::Debug> fmt::Debug for ValueDecoder<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueDecoder({:?})", self.lookup)
    }
}
