//! Types with serializers of their own, and the generic fallback.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use tidemill_serialization::{Custom, CustomSerializer, DecodeError, Generic, Input, Record};

use crate::choice;
use crate::values::value;

/// The second version of a serializer: behind a mark.
pub struct OctetsSerializer;

impl CustomSerializer<Ipv4Addr> for OctetsSerializer {
    const NAME: &'static str = "octets";
    const VERSION: u32 = 2;

    fn encode(value: &Ipv4Addr, out: &mut Vec<u8>) {
        out.push(b'4');
        out.extend_from_slice(&value.octets());
    }

    fn decode(input: &mut Input<'_>) -> Result<Ipv4Addr, DecodeError> {
        match input.array("mark of an address")? {
            [b'4'] => input.array::<4>("address").map(Ipv4Addr::from),
            [other] => Err(DecodeError::invalid("mark of an address", format!("it is {other}"))),
        }
    }

    fn reads_version(version: u32) -> bool {
        version <= 2
    }

    fn decode_version(_: u32, input: &mut Input<'_>) -> Result<Ipv4Addr, DecodeError> {
        OldOctetsSerializer::decode(input)
    }
}

/// Its first version.
pub struct OldOctetsSerializer;

impl CustomSerializer<Ipv4Addr> for OldOctetsSerializer {
    const NAME: &'static str = "octets";

    fn encode(value: &Ipv4Addr, out: &mut Vec<u8>) {
        out.extend_from_slice(&value.octets());
    }

    fn decode(input: &mut Input<'_>) -> Result<Ipv4Addr, DecodeError> {
        input.array::<4>("address").map(Ipv4Addr::from)
    }
}

/// An address as it is written now.
pub type Octets = Custom<Ipv4Addr, OctetsSerializer>;
/// An address as it was written.
pub type OldOctets = Custom<Ipv4Addr, OldOctetsSerializer>;

/// An enum for the generic fallback.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub enum Shape {
    /// No fields.
    Empty,
    /// A number.
    Circle(f64),
    /// Named fields.
    Named {
        /// Text.
        name: String,
        /// Numbers.
        sides: Vec<Option<u16>>,
    },
}

/// A struct for the generic fallback.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Anything {
    /// Text.
    pub text: String,
    /// The widest numbers.
    pub wide: (i128, u128),
    /// Floating-point numbers.
    pub floats: (f32, f64),
    /// A letter.
    pub letter: char,
    /// A map.
    pub map: BTreeMap<i64, Shape>,
    /// Recursion.
    pub within: HashMap<String, Box<Anything>>,
    /// No bytes in a format that does not describe itself.
    pub nothing: (),
    /// Bytes.
    pub bytes: Vec<u8>,
}

/// Recursion by lists alone: each level takes one byte.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Nested(pub Vec<Nested>);

/// A record with fields of both kinds.
#[derive(Record, Clone, Debug)]
pub struct Visit {
    /// By a serializer.
    #[record(with = OctetsSerializer)]
    pub from: Ipv4Addr,
    /// By the fallback.
    #[record(generic)]
    pub shape: Shape,
    /// Behind them.
    pub page: String,
}

/// Reads values that only their own serializer understands.
pub fn foreign(bytes: &[u8]) {
    let (which, bytes) = choice(bytes);
    match which % 6 {
        0 => value::<Octets>(bytes, 64),
        1 => value::<Visit>(bytes, 256),
        2 => value::<Vec<Visit>>(bytes, 256),
        3 => value::<Generic<Anything>>(bytes, 512),
        4 => value::<Generic<Nested>>(bytes, 256),
        _ => value::<Generic<Vec<Vec<Vec<(u64, String)>>>>>(bytes, 256),
    }
}
