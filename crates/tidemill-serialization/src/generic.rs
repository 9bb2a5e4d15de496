//! [`Generic`]: any type that `serde` can serialize, slowly.

use std::io::{self, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::custom::{Custom, CustomSerializer, type_label};
use crate::input::{DecodeError, Input, MAX_DEPTH};
use crate::opaque::{GENERIC, Opaque};
use crate::unstored::Unstored;

/// A value of any type that `serde` can serialize: for streams and state of types that are no records.
///
/// It is written in a format that describes itself (MessagePack, with the names of all fields), so it takes several times the
/// bytes and the time of a record, and it does not evolve. A job may forbid it (`pipeline.generic-types`). In a field of a
/// record, `#[record(generic)]` does the same.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tidemill_serialization::{Data, Generic, Input, Record};
///
/// #[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
/// struct Foreign {
///     name: String,
/// }
///
/// #[derive(Record, Clone, Debug, PartialEq)]
/// struct Event {
///     at: i64,
///     #[record(generic)]
///     what: Foreign,
/// }
///
/// let event = Event { at: 7, what: Foreign { name: "x".into() } };
/// let mut bytes = Vec::new();
/// event.encode(&mut bytes);
/// assert_eq!(Event::decode(&mut Input::new(&bytes))?, event);
///
/// let alone = Generic::new(Foreign { name: "y".into() });
/// assert_eq!(alone.name, "y");
/// # Ok::<(), tidemill_serialization::DecodeError>(())
/// ```
pub type Generic<T> = Custom<T, GenericSerializer>;

/// The serializer of [`Generic`].
///
/// ```
/// use tidemill_serialization::{Custom, GenericSerializer, Schema};
///
/// let schema = Schema::of::<Custom<String, GenericSerializer>>();
/// assert_eq!(schema.generic_types(), ["String"]);
/// ```
pub struct GenericSerializer;

impl<T: Serialize + DeserializeOwned + 'static> CustomSerializer<T> for GenericSerializer {
    const NAME: &'static str = GENERIC;

    /// # Panics
    /// When the type refuses to be serialized, which only its own code can do; the task then fails with its message.
    fn encode(value: &T, out: &mut Vec<u8>) {
        write(value, out);
    }

    fn decode(input: &mut Input<'_>) -> Result<T, DecodeError> {
        check_counts(input.clone())?;
        let mut rest = input.take(input.remaining(), GENERIC)?;
        let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
        deserializer.set_max_depth(MAX_DEPTH as usize);
        let value = T::deserialize(&mut deserializer)
            .map_err(|error| {
                let detail = format!(
                    "{}: {error}; if the type was changed: generic types do not evolve, make it a record or write a serializer for it",
                    type_label::<T>()
                );
                DecodeError::invalid(GENERIC, detail)
            })?;
        match rest.len() {
            0 => Ok(value),
            left => Err(DecodeError::Trailing { what: GENERIC, left }),
        }
    }

    fn encoded_bytes(value: &T) -> usize {
        let mut counter = Counter(0);
        write(value, &mut counter);
        counter.0
    }

    /// Without an evolution: only values of a type of the same name can be read.
    fn opaque() -> Opaque {
        Opaque {
            serializer: GENERIC.to_owned(),
            type_name: type_label::<T>(),
            version: <Self as CustomSerializer<T>>::VERSION,
            configuration: Vec::new(),
            evolution: Unstored(None),
        }
    }
}

fn write<T: Serialize>(value: &T, out: impl Write) {
    let mut serializer = rmp_serde::Serializer::new(out).with_struct_map();
    if let Err(error) = value.serialize(&mut serializer) {
        refused(std::any::type_name::<T>(), &error);
    }
}

/// Encoding has no way to fail, because no other type can. The task catches it as a failure of the user's code.
#[cold]
#[allow(clippy::panic)]
fn refused(type_name: &str, error: &rmp_serde::encode::Error) -> ! {
    panic!("{type_name} cannot be serialized by the generic fallback: {error}")
}

/// Checks that the bytes have all the elements that lists and maps in them claim to have. `serde` reserves memory for up to
/// a megabyte of elements on such a claim, and lists may be nested.
fn check_counts(mut input: Input<'_>) -> Result<(), DecodeError> {
    fn number<const N: usize>(input: &mut Input<'_>) -> Result<usize, DecodeError> {
        Ok(input.array::<N>(GENERIC)?.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
    let mut open = 1usize;
    while open > 0 {
        let [marker] = input.array(GENERIC)?;
        let (bytes, values) = match marker {
            0x80..=0x8f => (0, 2 * usize::from(marker & 15)),
            0x90..=0x9f => (0, usize::from(marker & 15)),
            0xa0..=0xbf => (usize::from(marker & 31), 0),
            0xc4 | 0xd9 => (number::<1>(&mut input)?, 0),
            0xc5 | 0xda => (number::<2>(&mut input)?, 0),
            0xc6 | 0xdb => (number::<4>(&mut input)?, 0),
            // Extensions have a type besides.
            0xc7 => (number::<1>(&mut input)? + 1, 0),
            0xc8 => (number::<2>(&mut input)? + 1, 0),
            0xc9 => (number::<4>(&mut input)? + 1, 0),
            0xd4..=0xd8 => ((1 << (marker - 0xd4)) + 1, 0),
            0xcc | 0xd0 => (1, 0),
            0xcd | 0xd1 => (2, 0),
            0xca | 0xce | 0xd2 => (4, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            0xdc => (0, number::<2>(&mut input)?),
            0xdd => (0, number::<4>(&mut input)?),
            0xde => (0, 2 * number::<2>(&mut input)?),
            0xdf => (0, 2 * number::<4>(&mut input)?),
            // Small numbers, nothing, yes and no.
            _ => (0, 0),
        };
        input.take(bytes, GENERIC)?;
        open = open - 1 + values;
        input.check_count(open, 1, GENERIC)?;
    }
    Ok(())
}

/// Counts what is written.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
