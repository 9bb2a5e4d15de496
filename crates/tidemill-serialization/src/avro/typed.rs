//! [`AvroType`]: types whose Avro schema follows from themselves.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::bytes::{blob_bytes, long_bytes, put_blob, put_long};
use super::decoder::{Decoder, Slot};
use super::error::AvroError;

/// A type whose Avro schema follows from itself: `#[derive(AvroRecord)]` makes structs and enums such.
///
/// | type | schema |
/// |---|---|
/// | `()`, `bool`, `f32`, `f64`, `String`, `Arc<str>` | null, boolean, float, double, string |
/// | `i8`, `i16`, `i32`, `u16` | int |
/// | `i64`, `u32` | long |
/// | `Vec<u8>`, `[u8; N]` | bytes, a fixed called `fixed{N}` |
/// | `Option<T>` | a union of null and `T` |
/// | `Vec<T>`, `HashMap<String, T>`, `BTreeMap<String, T>` | array, map |
/// | `Date`, `TimestampMs`, those of [`logical`](super::logical) | the logical types |
/// | structs | records |
/// | enums whose variants have no fields | enums |
/// | other enums | a union: of a record for each variant; of the type itself for a variant that holds just one |
///
/// `u64` has no counterpart in Avro.
///
/// ```
/// use tidemill_serialization::avro::{self, AvroType};
///
/// assert_eq!(avro::schema_of::<Option<i64>>()?.json(), r#"["null","long"]"#);
/// assert_eq!(Some(7i64).encoded_bytes(), avro::encode(&Some(7i64)).len());
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no Avro schema",
    label = "not an Avro type",
    note = "derive `AvroRecord` for it",
    note = "for `u64`, `usize`, `u8` and 128-bit integers Avro has no types: use `i64`, `i32`, `u16` or a decimal"
)]
pub trait AvroType: Sized + 'static {
    /// Its schema; a type with a name is defined where it is met first.
    fn schema(names: &mut Names) -> Json;

    /// Appends the encoded value.
    fn encode(&self, out: &mut Vec<u8>);

    /// Exactly how many bytes [`encode`](Self::encode) appends.
    fn encoded_bytes(&self) -> usize;

    /// Reads a value.
    ///
    /// # Errors
    /// When the bytes are none, or one that the type cannot hold.
    fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError>;
}

/// The names that are taken while the schema of a type is put together.
///
/// ```
/// use tidemill_serialization::avro::{AvroType, Names};
///
/// let schema = <[u8; 4]>::schema(&mut Names::default());
/// assert_eq!(schema["name"], "fixed4");
/// ```
#[derive(Default)]
pub struct Names {
    taken: HashMap<String, TypeId>,
    /// That of the record whose fields are being described.
    namespace: String,
    clashes: Vec<String>,
}

impl Names {
    /// Refers to the type `T` of this name, which `define` defines, given its full name, when it is met for the first time.
    /// Without a namespace of its own it is in that of the record which it is met in.
    pub fn named<T: 'static>(
        &mut self,
        name: &str,
        namespace: Option<&str>,
        define: impl FnOnce(&mut Self, &str) -> Json,
    ) -> Json {
        let namespace = namespace.filter(|own| !own.is_empty()).unwrap_or(&self.namespace).to_owned();
        let full = match namespace.is_empty() {
            true => name.to_owned(),
            false => format!("{namespace}.{name}"),
        };
        if let Some(id) = self.taken.get(&full) {
            if *id != TypeId::of::<T>() {
                self.clashes.push(full.clone());
            }
            return Json::from(full);
        }
        self.taken.insert(full.clone(), TypeId::of::<T>());
        let outer = std::mem::replace(&mut self.namespace, namespace);
        let json = define(self, &full);
        self.namespace = outer;
        json
    }

    /// Notes that the schema cannot be used; why.
    pub fn refuse(&mut self, why: String) {
        self.clashes.push(why);
    }

    pub(crate) fn check(self) -> Result<(), AvroError> {
        match self.clashes.first() {
            None => Ok(()),
            Some(name) if self.taken.contains_key(name) => Err(AvroError::schema(format!(
                "two types in it are called {name}: give one another by #[avro(name = \"…\")] or #[avro(namespace = \"…\")]"
            ))),
            Some(why) => Err(AvroError::schema(why.clone())),
        }
    }
}

/// Checks that a number fits the type of a field.
fn narrow<T: TryFrom<i64>>(number: i64, name: &str) -> Result<T, AvroError> {
    T::try_from(number).map_err(|_| AvroError::invalid(name, format!("{number} does not fit")))
}

macro_rules! whole {
    ($($t:ty: $schema:literal, $read:ident;)*) => {$(
        impl AvroType for $t {
            fn schema(_: &mut Names) -> Json {
                Json::from($schema)
            }

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                put_long(i64::from(*self), out);
            }

            #[inline]
            fn encoded_bytes(&self) -> usize {
                long_bytes(i64::from(*self))
            }

            #[inline]
            fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
                narrow(i64::from(decoder.$read(slot)?), stringify!($t))
            }
        }
    )*};
}
whole! {
    i8: "int", int;
    i16: "int", int;
    u16: "int", int;
    i32: "int", int;
    u32: "long", long;
    i64: "long", long;
}

macro_rules! float {
    ($($t:ty: $schema:literal, $read:ident;)*) => {$(
        impl AvroType for $t {
            fn schema(_: &mut Names) -> Json {
                Json::from($schema)
            }

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            #[inline]
            fn encoded_bytes(&self) -> usize {
                size_of::<$t>()
            }

            #[inline]
            fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
                decoder.$read(slot)
            }
        }
    )*};
}
float! {
    f32: "float", float;
    f64: "double", double;
}

impl AvroType for () {
    fn schema(_: &mut Names) -> Json {
        Json::from("null")
    }

    fn encode(&self, _: &mut Vec<u8>) {}

    fn encoded_bytes(&self) -> usize {
        0
    }

    fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
        decoder.null(slot)
    }
}

impl AvroType for bool {
    fn schema(_: &mut Names) -> Json {
        Json::from("boolean")
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn encoded_bytes(&self) -> usize {
        1
    }

    fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
        decoder.boolean(slot)
    }
}

macro_rules! text {
    ($($t:ty),*) => {$(
        impl AvroType for $t {
            fn schema(_: &mut Names) -> Json {
                Json::from("string")
            }

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                put_blob(self.as_bytes(), out);
            }

            #[inline]
            fn encoded_bytes(&self) -> usize {
                blob_bytes(self.len())
            }

            #[inline]
            fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
                decoder.text(slot).map(Self::from)
            }
        }
    )*};
}
text!(String, Arc<str>);

impl AvroType for Vec<u8> {
    fn schema(_: &mut Names) -> Json {
        Json::from("bytes")
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_blob(self, out);
    }

    fn encoded_bytes(&self) -> usize {
        blob_bytes(self.len())
    }

    fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
        decoder.blob(slot).map(<[u8]>::to_vec)
    }
}

impl<const N: usize> AvroType for [u8; N] {
    fn schema(names: &mut Names) -> Json {
        let name = format!("fixed{N}");
        names.named::<Self>(&name, None, |_, full| json!({"type": "fixed", "name": full, "size": N}))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn encoded_bytes(&self) -> usize {
        N
    }

    fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
        let bytes = decoder.blob(slot)?;
        let length = bytes.len();
        Self::try_from(bytes)
            .map_err(|_| AvroError::invalid("a fixed", format!("it has {length} bytes, not {N}")))
    }
}

impl<T: AvroType> AvroType for Box<T> {
    fn schema(names: &mut Names) -> Json {
        T::schema(names)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }

    fn encoded_bytes(&self) -> usize {
        (**self).encoded_bytes()
    }

    fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
        T::decode(decoder, slot).map(Box::new)
    }
}

impl<T: AvroType> AvroType for Option<T> {
    fn schema(names: &mut Names) -> Json {
        let schema = T::schema(names);
        if schema.is_array() || schema == "null" {
            names.refuse(format!(
                "Option<{}> would be a union within a union: make a variant of the enum of what may be missing",
                crate::custom::type_label::<T>()
            ));
        }
        json!(["null", schema])
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(2);
                value.encode(out);
            }
        }
    }

    #[inline]
    fn encoded_bytes(&self) -> usize {
        1 + self.as_ref().map_or(0, T::encoded_bytes)
    }

    #[inline]
    fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
        decoder.union(slot, |decoder, branch, slot| match branch {
            0 => decoder.null(slot).map(|()| None),
            _ => T::decode(decoder, slot).map(Some),
        })
    }
}

impl<T: AvroType> AvroType for Vec<T> {
    fn schema(names: &mut Names) -> Json {
        json!({"type": "array", "items": T::schema(names)})
    }

    fn encode(&self, out: &mut Vec<u8>) {
        if !self.is_empty() {
            put_long(self.len() as i64, out);
            self.iter().for_each(|value| value.encode(out));
        }
        out.push(0);
    }

    fn encoded_bytes(&self) -> usize {
        match self.len() {
            0 => 1,
            length => 1 + long_bytes(length as i64) + self.iter().map(T::encoded_bytes).sum::<usize>(),
        }
    }

    fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
        let mut values = Vec::new();
        decoder.elements(slot, |decoder, slot| {
            values.push(T::decode(decoder, slot)?);
            Ok(())
        })?;
        Ok(values)
    }
}

fn encode_entries<'a, T: AvroType>(
    entries: impl ExactSizeIterator<Item = (&'a String, &'a T)>,
    out: &mut Vec<u8>,
) {
    if entries.len() > 0 {
        put_long(entries.len() as i64, out);
        for (key, value) in entries {
            put_blob(key.as_bytes(), out);
            value.encode(out);
        }
    }
    out.push(0);
}

fn entries_bytes<'a, T: AvroType>(entries: impl ExactSizeIterator<Item = (&'a String, &'a T)>) -> usize {
    match entries.len() {
        0 => 1,
        length => {
            let each = entries.map(|(key, value)| blob_bytes(key.len()) + value.encoded_bytes());
            1 + long_bytes(length as i64) + each.sum::<usize>()
        }
    }
}

impl<T: AvroType> AvroType for BTreeMap<String, T> {
    fn schema(names: &mut Names) -> Json {
        json!({"type": "map", "values": T::schema(names)})
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode_entries(self.iter(), out);
    }

    fn encoded_bytes(&self) -> usize {
        entries_bytes(self.iter())
    }

    fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
        let mut values = Self::new();
        decoder.entries(slot, |decoder, key, slot| {
            values.insert(key.to_owned(), T::decode(decoder, slot)?);
            Ok(())
        })?;
        Ok(values)
    }
}

impl<T: AvroType> AvroType for HashMap<String, T> {
    fn schema(names: &mut Names) -> Json {
        json!({"type": "map", "values": T::schema(names)})
    }

    fn encode(&self, out: &mut Vec<u8>) {
        // In the order of the keys, so that equal maps are equal bytes.
        let mut entries: Vec<_> = self.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        encode_entries(entries.into_iter(), out);
    }

    fn encoded_bytes(&self) -> usize {
        entries_bytes(self.iter())
    }

    fn decode(decoder: &mut Decoder<'_>, slot: Slot) -> Result<Self, AvroError> {
        let mut values = Self::new();
        decoder.entries(slot, |decoder, key, slot| {
            values.insert(key.to_owned(), T::decode(decoder, slot)?);
            Ok(())
        })?;
        Ok(values)
    }
}
