//! [`Data`]: what may cross an edge or live in state. [`Key`]: what a stream may be keyed by.

use std::hash::Hash;

use tidemill_core::element::Element;
use tidemill_core::hash::RoutingHash;

use crate::input::{DecodeError, Input};

/// A type whose values may cross an edge and live in state.
///
/// Derived with `#[derive(Record)]` for structs and enums; fields are written in the order of declaration.
pub trait Data: Element {
    /// Appends the encoded value.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads one value back.
    ///
    /// # Errors
    /// When the bytes are not what [`encode`](Data::encode) wrote. Never panics, and never allocates more
    /// than the input justifies.
    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError>;
}

/// A type that a stream may be keyed by: equal values have equal routing hashes on every platform.
pub trait Key: Data + Eq + Hash + Ord + RoutingHash + std::fmt::Debug {}

impl<T: Data + Eq + Hash + Ord + RoutingHash + std::fmt::Debug> Key for T {}
