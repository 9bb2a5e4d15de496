//! Records of every shape.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tidemill_serialization::{
    Data, Date, Decimal, DecodeError, Input, Record, RoutingHash, TimeOfDay, TimestampMicros, TimestampMs,
};

/// Values without parts.
#[derive(Record, Clone, Debug, Default)]
pub struct Scalars {
    /// Small ones.
    pub small: (bool, char, i8, u8, i16, u16),
    /// Wide ones.
    pub wide: (i32, u32, i64, u64, i128, u128),
    /// No bytes.
    pub nothing: (),
    /// Floating-point numbers.
    pub floats: (f32, f64),
    /// Nor here.
    pub marker: PhantomData<String>,
    /// Time.
    pub time: (Date, TimeOfDay, TimestampMs, TimestampMicros),
    /// Numbers of digits.
    pub decimals: (Decimal<1, 0>, Decimal<12, 3>, Decimal<38, 38>),
    /// A span.
    pub duration: Duration,
}

/// A struct without names.
#[derive(Record, RoutingHash, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point(pub i32, pub i64);

/// A struct without fields.
#[derive(Record, RoutingHash, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit;

/// An enum of which no value exists.
#[derive(Record, RoutingHash, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Never {}

/// A generic enum.
#[derive(Record, RoutingHash, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event<T> {
    /// No fields.
    Nothing,
    /// Fields without names.
    Moved(Point, T),
    /// Fields with names.
    Named {
        /// Text.
        name: String,
        /// A number.
        times: u8,
    },
}

/// Whatever else there is.
#[derive(Record, Clone, Debug, Default)]
pub struct Everything {
    /// Text.
    pub text: String,
    /// Shared text.
    pub shared: Arc<str>,
    /// A box.
    pub boxed: Box<i16>,
    /// Nested options.
    pub maybe: Option<Option<u32>>,
    /// Elements that take no bytes.
    pub nothings: (Vec<()>, Vec<Unit>, Vec<[u8; 0]>, Vec<[String; 0]>, Vec<Box<()>>, HashSet<()>),
    /// An array.
    pub array: [String; 3],
    /// A list.
    pub list: Vec<Event<u16>>,
    /// Bytes.
    pub bytes: Vec<u8>,
    /// A map with an order.
    pub sorted: BTreeMap<String, Vec<f64>>,
    /// A map without.
    pub hashed: HashMap<(u8, bool), Event<i64>>,
    /// A set with an order.
    pub set: BTreeSet<char>,
    /// A set without.
    pub hash_set: HashSet<String>,
    /// What can only be missing.
    pub never: Option<Never>,
}

/// Recursive by way of a box, a vector, a map and an option.
#[derive(Record, Clone, Debug, Default)]
pub enum Tree {
    /// Its end.
    #[default]
    Leaf,
    /// By a box.
    Binary(Box<Tree>, Box<Tree>),
    /// By a vector.
    Many(Vec<Tree>),
    /// By a map.
    Named(BTreeMap<String, Tree>),
    /// By an option.
    Maybe(Option<Box<Tree>>),
}

/// Much larger in memory than encoded.
#[derive(Record, Clone, Debug, Default)]
pub struct Sparse {
    /// One byte when nothing is there.
    pub maybe: Option<[u64; 32]>,
    /// Also when there are many.
    pub many: Vec<Option<[u64; 32]>>,
    /// And in a map.
    pub map: HashMap<u8, Option<[u64; 32]>>,
}

/// The encoded form of a value.
pub fn encoded<T: Data>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

/// Reads a value that takes all the bytes.
///
/// # Errors
/// When they are not exactly one.
pub fn decoded<T: Data>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut input = Input::new(bytes);
    let value = T::decode(&mut input)?;
    input.finish("value")?;
    Ok(value)
}
