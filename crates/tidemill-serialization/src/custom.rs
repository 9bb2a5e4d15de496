//! [`CustomSerializer`]: serializers for types of other crates, and [`Custom`], a value with one.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use tidemill_core::element::{Element, length_bytes};
use tidemill_core::hash::RoutingHash;

use crate::data::Data;
use crate::input::{DecodeError, Input};
use crate::opaque::{Evolution, Opaque, Resolution};
use crate::scalars::encode_framed;
use crate::schema::{SchemaBuilder, Type, shortened};
use crate::unstored::Unstored;

/// Writes and reads a type that is no record itself, such as one of another crate.
///
/// A field uses it by `#[record(with = Name)]`, a stream or state by [`Custom`]. What it writes stands behind its
/// length, so that programs which do not know it can pass over it.
///
/// ```
/// use std::net::Ipv4Addr;
/// use tidemill_serialization::{CustomSerializer, Data, DecodeError, Input, Record};
///
/// struct Octets;
///
/// impl CustomSerializer<Ipv4Addr> for Octets {
///     const NAME: &'static str = "ipv4-octets";
///
///     fn encode(value: &Ipv4Addr, out: &mut Vec<u8>) {
///         out.extend_from_slice(&value.octets());
///     }
///
///     fn decode(input: &mut Input<'_>) -> Result<Ipv4Addr, DecodeError> {
///         input.array::<4>("address").map(Ipv4Addr::from)
///     }
/// }
///
/// #[derive(Record, Clone, Debug, PartialEq)]
/// struct Visit {
///     #[record(with = Octets)]
///     from: Ipv4Addr,
///     page: String,
/// }
///
/// let visit = Visit { from: Ipv4Addr::LOCALHOST, page: "/".into() };
/// let mut bytes = Vec::new();
/// visit.encode(&mut bytes);
/// assert_eq!(Visit::decode(&mut Input::new(&bytes))?, visit);
/// # Ok::<(), DecodeError>(())
/// ```
pub trait CustomSerializer<T>: Send + Sync + Sized + 'static {
    /// Its name in what is stored. Unique, and never changed.
    const NAME: &'static str;

    /// The version of what it writes; to be raised when that changes.
    const VERSION: u32 = 1;

    /// Appends the encoded value.
    fn encode(value: &T, out: &mut Vec<u8>);

    /// Reads one value; `input` has its bytes and no others.
    ///
    /// # Errors
    /// When the bytes are no value.
    fn decode(input: &mut Input<'_>) -> Result<T, DecodeError>;

    /// Exactly how many bytes [`encode`](Self::encode) appends. Encodes the value to find out, unless overridden.
    fn encoded_bytes(value: &T) -> usize {
        let mut bytes = Vec::new();
        Self::encode(value, &mut bytes);
        bytes.len()
    }

    /// Whether it reads what it wrote of the type of this name, as messages call types: without the paths of modules. That
    /// of `T` alone, unless overridden; a serializer of several types could take the bytes of one for another.
    ///
    /// A type that was renamed needs it, and a serializer that writes `Option<T>` as it writes `T`.
    fn reads_type(type_name: &str) -> bool {
        type_name == type_label::<T>()
    }

    /// Whether [`decode_version`](Self::decode_version) reads what an older version wrote.
    fn reads_version(version: u32) -> bool {
        version == Self::VERSION
    }

    /// Reads one value that an older version wrote.
    ///
    /// # Errors
    /// When the bytes are no value of that version.
    fn decode_version(version: u32, input: &mut Input<'_>) -> Result<T, DecodeError> {
        let _ = version;
        Self::decode(input)
    }

    /// What is stored beside the values.
    fn opaque() -> Opaque
    where
        T: 'static,
    {
        Opaque {
            serializer: Self::NAME.to_owned(),
            type_name: type_label::<T>(),
            version: Self::VERSION,
            configuration: Vec::new(),
            evolution: Unstored(Some(Arc::new(ByVersion::<T, Self>(PhantomData)))),
        }
    }
}

/// Reads older versions with the serializer's own code.
struct ByVersion<T, S>(PhantomData<fn() -> (T, S)>);

impl<T: 'static, S: CustomSerializer<T>> Evolution for ByVersion<T, S> {
    fn resolve(&self, stored: &Opaque, _: &Opaque) -> Resolution {
        let version = stored.version;
        if !S::reads_type(&stored.type_name) {
            return Resolution::Incompatible(format!(
                "the serializer '{}' does not read its {}: let it, by `reads_type`, if the bytes are the same",
                S::NAME,
                shortened(&stored.type_name)
            ));
        }
        if version == S::VERSION {
            return Resolution::AsIs;
        }
        if !S::reads_version(version) {
            return Resolution::Incompatible(format!(
                "the serializer '{}' does not read its version {version}: let it, by `reads_version` and `decode_version`",
                S::NAME
            ));
        }
        Resolution::AfterMigration(Arc::new(move |bytes, out| {
            let mut input = Input::new(bytes);
            let value = S::decode_version(version, &mut input)?;
            input.finish(S::NAME)?;
            S::encode(&value, out);
            Ok(())
        }))
    }
}

/// What [`Data::describe`] says of values with a serializer of their own.
pub fn describe<T: 'static, S: CustomSerializer<T>>() -> Type {
    Type::Opaque(S::opaque())
}

/// [`Element::logical_bytes`] of values with a serializer of their own.
pub fn logical_bytes<T, S: CustomSerializer<T>>(value: &T) -> usize {
    let bytes = S::encoded_bytes(value);
    length_bytes(bytes) + bytes
}

/// Appends a value behind its length.
pub fn encode<T, S: CustomSerializer<T>>(value: &T, out: &mut Vec<u8>) {
    encode_framed(out, |out| S::encode(value, out));
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// When the bytes are no such value.
pub fn decode<T, S: CustomSerializer<T>>(input: &mut Input<'_>) -> Result<T, DecodeError> {
    let length = input.length(1, S::NAME)?;
    let mut own = Input::new(input.take(length, S::NAME)?);
    let value = S::decode(&mut own)?;
    own.finish(S::NAME)?;
    Ok(value)
}

/// A value that is written and read by the serializer `S`: for streams and state of types of other crates.
///
/// It can be used as the value that it holds.
///
/// ```
/// use tidemill_serialization::{Custom, CustomSerializer, Data, DecodeError, Input};
///
/// /// Writes a path as text.
/// struct AsText;
///
/// impl CustomSerializer<std::path::PathBuf> for AsText {
///     const NAME: &'static str = "path as text";
///
///     fn encode(path: &std::path::PathBuf, out: &mut Vec<u8>) {
///         out.extend_from_slice(path.to_string_lossy().as_bytes());
///     }
///
///     fn decode(input: &mut Input<'_>) -> Result<std::path::PathBuf, DecodeError> {
///         let text = input.take(input.remaining(), "path")?;
///         Ok(String::from_utf8_lossy(text).into_owned().into())
///     }
/// }
///
/// let path = Custom::<_, AsText>::new(std::path::PathBuf::from("/tmp"));
/// let mut bytes = Vec::new();
/// path.encode(&mut bytes);
/// assert_eq!(bytes, *b"\x04/tmp");
/// let read = Custom::<std::path::PathBuf, AsText>::decode(&mut Input::new(&bytes))?;
/// assert_eq!(read.into_inner(), path.into_inner());
/// # Ok::<(), tidemill_serialization::DecodeError>(())
/// ```
pub struct Custom<T, S> {
    value: T,
    serializer: PhantomData<fn() -> S>,
}

impl<T, S> Custom<T, S> {
    /// Makes it of a value.
    ///
    /// ```
    /// use tidemill_serialization::Generic;
    ///
    /// let wrapped: Generic<String> = Generic::new("x".to_owned());
    /// assert_eq!(wrapped.len(), 1, "it can be used as what it holds");
    /// ```
    pub fn new(value: T) -> Self {
        Self { value, serializer: PhantomData }
    }

    /// The value.
    ///
    /// ```
    /// use tidemill_serialization::Generic;
    ///
    /// assert_eq!(Generic::new("x".to_owned()).into_inner(), "x");
    /// ```
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T, S> From<T> for Custom<T, S> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T, S> Deref for Custom<T, S> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T, S> DerefMut for Custom<T, S> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: Clone, S> Clone for Custom<T, S> {
    fn clone(&self) -> Self {
        Self::new(self.value.clone())
    }
}

impl<T: Copy, S> Copy for Custom<T, S> {}

impl<T: Default, S> Default for Custom<T, S> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug, S> fmt::Debug for Custom<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: fmt::Display, S> fmt::Display for Custom<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: PartialEq, S> PartialEq for Custom<T, S> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq, S> Eq for Custom<T, S> {}

impl<T: PartialOrd, S> PartialOrd for Custom<T, S> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord, S> Ord for Custom<T, S> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}

impl<T: std::hash::Hash, S> std::hash::Hash for Custom<T, S> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl<T: RoutingHash, S> RoutingHash for Custom<T, S> {
    fn routing_hash(&self) -> u64 {
        self.value.routing_hash()
    }
}

impl<T: Clone + Send + Sync + 'static, S: CustomSerializer<T>> Element for Custom<T, S> {
    const FIXED_BYTES: Option<usize> = None;

    fn logical_bytes(&self) -> usize {
        logical_bytes::<T, S>(&self.value)
    }
}

impl<T: Clone + Send + Sync + 'static, S: CustomSerializer<T>> Data for Custom<T, S> {
    fn describe(_: &mut SchemaBuilder) -> Type {
        describe::<T, S>()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode::<T, S>(&self.value, out);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        decode::<T, S>(input).map(Self::new)
    }
}

/// The name of a type without the paths of modules, which may change without the type changing, and without lifetimes, which
/// some compilers show.
pub fn type_label<T: ?Sized>() -> String {
    let full = std::any::type_name::<T>();
    let mut label = String::with_capacity(full.len());
    let mut rest = full;
    while let Some(first) = rest.chars().next() {
        if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            match after.strip_prefix("::") {
                Some(after_path) => rest = after_path,
                None => {
                    label.push_str(word);
                    rest = after;
                }
            }
        } else if first == '\'' {
            let lifetime = rest[1..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
            rest = lifetime.strip_prefix(", ").or(lifetime.strip_prefix(' ')).unwrap_or(lifetime);
        } else {
            label.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    label
}
