//! [`Data`]: what may cross an edge or live in state. [`Key`]: what a stream may be keyed by.

use std::hash::Hash;

use tidemill_core::element::Element;
use tidemill_core::hash::RoutingHash;

use crate::input::{DecodeError, Input};
use crate::schema::{SchemaBuilder, Type};

/// A type whose values may cross an edge and live in state.
///
/// Derived with `#[derive(Record)]` for structs and enums. The format is documented with the
/// [crate](crate#the-format).
///
/// ```compile_fail
/// use tidemill_serialization::Data;
///
/// struct NotARecord;
///
/// fn send<T: Data>(_: T) {}
/// send(NotARecord); // `NotARecord` cannot cross an edge or live in state: derive `Record` for it
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross an edge or live in state: derive `Record` for it",
    label = "not a `Record`",
    note = "records own their data: no references, and integers of a fixed width instead of `usize`"
)]
pub trait Data: Element {
    /// What values are written as; what [`Schema::of`](crate::Schema::of) asks for.
    fn describe(schema: &mut SchemaBuilder) -> Type;

    /// Appends the encoded value: exactly [`logical_bytes`](Element::logical_bytes) bytes.
    ///
    /// ```
    /// use tidemill_serialization::Data;
    ///
    /// let mut bytes = Vec::new();
    /// 258u16.encode(&mut bytes);
    /// assert_eq!(bytes, [2, 1]);
    /// ```
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads one value back.
    ///
    /// ```
    /// use tidemill_serialization::{Data, Input};
    ///
    /// assert_eq!(u16::decode(&mut Input::new(&[2, 1])), Ok(258));
    /// assert!(u16::decode(&mut Input::new(&[2])).is_err());
    /// ```
    ///
    /// # Errors
    /// When the bytes are not what [`encode`](Data::encode) wrote. Never panics, and never allocates more
    /// than the input justifies.
    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError>;

    /// Appends the values of a sequence, without their count. A value that is encoded as nothing takes one zero
    /// byte here.
    ///
    /// Override it for speed only: the bytes must stay the same.
    fn encode_slice(values: &[Self], out: &mut Vec<u8>) {
        out.reserve(Self::FIXED_BYTES.unwrap_or(1).max(1) * values.len());
        for value in values {
            let before = out.len();
            value.encode(out);
            if out.len() == before {
                out.push(0);
            }
        }
    }

    /// Reads the `count` values of a sequence back.
    ///
    /// Override it for speed only.
    ///
    /// # Errors
    /// As [`decode`](Data::decode); also when fewer bytes are left than `count` values take.
    fn decode_vec(count: usize, input: &mut Input<'_>) -> Result<Vec<Self>, DecodeError> {
        input.check_count(count, Self::FIXED_BYTES.unwrap_or(1), "sequence")?;
        // Values can take more memory than encoded bytes, so a wrong count must not reserve for all of them.
        let mut values = Vec::with_capacity(input.justified_capacity::<Self>(count));
        for _ in 0..count {
            values.push(input.element(Self::decode)?);
        }
        Ok(values)
    }
}

/// A type that a stream may be keyed by: equal values have equal routing hashes on every platform.
///
/// Floating-point numbers are no keys, for NaN does not equal itself.
///
/// ```compile_fail
/// use tidemill_serialization::Key;
///
/// fn key_by<K: Key>(_: K) {}
/// key_by(1.0f64);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    label = "not a key",
    note = "derive `Record`, `RoutingHash`, `PartialEq`, `Eq`, `PartialOrd`, `Ord`, `Hash`, `Debug` and `Clone` for it",
    note = "floating-point numbers are no keys, for NaN does not equal itself"
)]
pub trait Key: Data + Eq + Hash + Ord + RoutingHash + std::fmt::Debug {}

impl<T: Data + Eq + Hash + Ord + RoutingHash + std::fmt::Debug> Key for T {}
