//! [`Native`]: what the generic fallback writes no part of.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::custom::Custom;
use crate::{Date, Decimal, TimeOfDay, TimestampMicros, TimestampMs};

/// A type, or a serializer, that does without the generic fallback: a bound that keeps a program with a
/// `Generic` from being built.
///
/// Native types and what is made of native types have it; a record has it by `#[record(native)]`, which asks it of all
/// fields. A serializer of your own is native when you say so:
///
/// ```
/// use std::net::Ipv4Addr;
/// use tidemill_serialization::{CustomSerializer, DecodeError, Input, Native, Record};
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
/// impl Native for Octets {}
///
/// #[derive(Record, Clone)]
/// #[record(native)]
/// struct Visit {
///     #[record(with = Octets)]
///     from: Ipv4Addr,
///     pages: Vec<String>,
/// }
///
/// fn only_native<T: Native>() {}
/// only_native::<Option<Visit>>();
/// ```
///
/// ```compile_fail,E0277
/// # use tidemill_serialization::{Generic, Native};
/// fn only_native<T: Native>() {}
/// only_native::<Vec<Generic<String>>>(); // the generic fallback writes its elements
/// ```
#[diagnostic::on_unimplemented(
    message = "nobody says that `{Self}` does without the generic fallback",
    label = "not `Native`",
    note = "write #[record(native)] on a record, `impl Native for …` for a serializer of your own, and replace `Generic` by a record or such a serializer"
)]
pub trait Native {}

macro_rules! native {
    ($($t:ty),* $(,)?) => {$( impl Native for $t {} )*};
}
native!(
    (),
    bool,
    char,
    i8,
    u8,
    i16,
    u16,
    i32,
    u32,
    i64,
    u64,
    i128,
    u128,
    f32,
    f64,
    String,
    Arc<str>,
    Duration
);
native!(Date, TimeOfDay, TimestampMs, TimestampMicros);

impl<const P: u8, const S: u8> Native for Decimal<P, S> {}
impl<T> Native for PhantomData<T> {}
impl<T: Native> Native for Box<T> {}
impl<T: Native> Native for Option<T> {}
impl<T: Native> Native for Vec<T> {}
impl<T: Native, const N: usize> Native for [T; N] {}
impl<T: Native> Native for BTreeSet<T> {}
impl<T: Native, H> Native for HashSet<T, H> {}
impl<K: Native, V: Native> Native for BTreeMap<K, V> {}
impl<K: Native, V: Native, H> Native for HashMap<K, V, H> {}
impl<T, S: Native> Native for Custom<T, S> {}
#[cfg(feature = "avro")]
impl<T> Native for crate::avro::Avro<T> {}
#[cfg(feature = "avro")]
impl<S> Native for crate::avro::AvroValue<S> {}

macro_rules! tuples {
    ($($($field:ident)*;)*) => {$( impl<$($field: Native),*> Native for ($($field,)*) {} )*};
}
tuples! {
    A; A B; A B C; A B C D; A B C D E; A B C D E F; A B C D E F G; A B C D E F G H; A B C D E F G H I;
    A B C D E F G H I J; A B C D E F G H I J K; A B C D E F G H I J K L;
}
