//! [`Element`]: what a [`TypedBatch`](crate::batch::TypedBatch) needs of its records.
//!
//! The sizes here are those of the encoding of `tidemill-serialization`: integers take their width, a
//! length takes one byte up to 254 and five beyond, an `Option` one more than its value. A recursive type must pass through [`Box`], a
//! vector, a map or a set; those never ask for the size of what they hold, so that the computation of a
//! constant cannot run in a circle.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A type whose values can be the records of a [`TypedBatch`](crate::batch::TypedBatch).
///
/// Implemented for whatever can be serialized (`tidemill_serialization::Data`); here only what a batch
/// itself needs.
///
/// ```
/// use tidemill_core::Element;
///
/// assert_eq!(u64::FIXED_BYTES, Some(8));
/// assert_eq!((String::FIXED_BYTES, "four".to_owned().logical_bytes()), (None, 5));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot cross an edge or live in state: derive `Record` for it",
    label = "not a `Record`",
    note = "records own their data: no references, and integers of a fixed width instead of `usize`"
)]
pub trait Element: Clone + Send + Sync + 'static {
    /// The logical bytes of every value, when all values take the same.
    const FIXED_BYTES: Option<usize>;

    /// The logical bytes of this value: exactly what it takes when encoded on its own.
    fn logical_bytes(&self) -> usize;
}

/// The bytes of some fields one after the other: fixed when all of them are.
///
/// ```
/// use tidemill_core::element::fixed_sum;
///
/// assert_eq!(fixed_sum(&[Some(4), Some(8)]), Some(12));
/// assert_eq!(fixed_sum(&[Some(4), None]), None);
/// ```
pub const fn fixed_sum(fields: &[Option<usize>]) -> Option<usize> {
    let mut sum = 0;
    let mut i = 0;
    while i < fields.len() {
        match fields[i] {
            Some(bytes) => sum += bytes,
            None => return None,
        }
        i += 1;
    }
    Some(sum)
}

/// The bytes of one of several variants: fixed when all take the same.
///
/// ```
/// use tidemill_core::element::fixed_same;
///
/// assert_eq!(fixed_same(&[Some(4), Some(4)]), Some(4));
/// assert_eq!(fixed_same(&[Some(4), Some(8)]), None);
/// ```
pub const fn fixed_same(variants: &[Option<usize>]) -> Option<usize> {
    if variants.is_empty() {
        return None;
    }
    let mut i = 0;
    while i < variants.len() {
        match (variants[i], variants[0]) {
            (Some(one), Some(first)) if one == first => {}
            _ => return None,
        }
        i += 1;
    }
    variants[0]
}

/// The logical bytes of a sequence without its length. In a sequence every element takes at least one byte, so
/// that a length can be checked against the bytes that are left.
///
/// ```
/// use tidemill_core::element::sequence_bytes;
///
/// assert_eq!(sequence_bytes(&[1u32, 2, 3]), 12);
/// assert_eq!(sequence_bytes(&[(), ()]), 2, "nothing takes a byte in a sequence");
/// ```
pub fn sequence_bytes<T: Element>(elements: &[T]) -> usize {
    match T::FIXED_BYTES {
        Some(bytes) => bytes.max(1) * elements.len(),
        None => elements.iter().map(|element| element.logical_bytes().max(1)).sum(),
    }
}

/// What the length of a string, sequence, map or set takes. Most are short, and a byte that is 255 says that four more
/// follow: one branch, which is nearly always taken the same way.
///
/// ```
/// use tidemill_core::element::length_bytes;
///
/// assert_eq!((length_bytes(254), length_bytes(255)), (1, 5));
/// ```
#[inline]
pub const fn length_bytes(length: usize) -> usize {
    if length < 255 { 1 } else { 5 }
}

macro_rules! fixed {
    ($($t:ty => $bytes:expr),* $(,)?) => {$(
        impl Element for $t {
            const FIXED_BYTES: Option<usize> = Some($bytes);
            #[inline(always)]
            fn logical_bytes(&self) -> usize {
                $bytes
            }
        }
    )*};
}
fixed!(() => 0, bool => 1, i8 => 1, u8 => 1, i16 => 2, u16 => 2, i32 => 4, u32 => 4, i64 => 8, u64 => 8,
    i128 => 16, u128 => 16, f32 => 4, f64 => 8, char => 4, Duration => 12);

impl Element for String {
    const FIXED_BYTES: Option<usize> = None;
    #[inline]
    fn logical_bytes(&self) -> usize {
        length_bytes(self.len()) + self.len()
    }
}

impl Element for Arc<str> {
    const FIXED_BYTES: Option<usize> = None;
    #[inline]
    fn logical_bytes(&self) -> usize {
        length_bytes(self.len()) + self.len()
    }
}

impl<T: Send + Sync + 'static> Element for PhantomData<T> {
    const FIXED_BYTES: Option<usize> = Some(0);
    #[inline]
    fn logical_bytes(&self) -> usize {
        0
    }
}

impl<T: Element> Element for Box<T> {
    const FIXED_BYTES: Option<usize> = None;
    #[inline]
    fn logical_bytes(&self) -> usize {
        T::logical_bytes(self)
    }
}

impl<T: Element> Element for Option<T> {
    const FIXED_BYTES: Option<usize> = match T::FIXED_BYTES {
        Some(0) => Some(1),
        _ => None,
    };
    #[inline]
    fn logical_bytes(&self) -> usize {
        1 + self.as_ref().map_or(0, T::logical_bytes)
    }
}

impl<T: Element, const N: usize> Element for [T; N] {
    const FIXED_BYTES: Option<usize> = match T::FIXED_BYTES {
        Some(bytes) => Some(bytes * N),
        None => None,
    };
    #[inline]
    fn logical_bytes(&self) -> usize {
        match Self::FIXED_BYTES {
            Some(bytes) => bytes,
            None => self.iter().map(T::logical_bytes).sum(),
        }
    }
}

impl<T: Element> Element for Vec<T> {
    const FIXED_BYTES: Option<usize> = None;
    #[inline]
    fn logical_bytes(&self) -> usize {
        length_bytes(self.len()) + sequence_bytes(self)
    }
}

macro_rules! collections {
    ($($collection:ident<$key:ident $(, $value:ident)?; $($hasher:ident)?>: |$each:pat_param| $bytes:expr;)*) => {$(
        impl<$key: Element, $($value: Element,)? $($hasher: Clone + Send + Sync + 'static)?> Element
            for $collection<$key, $($value,)? $($hasher)?>
        {
            const FIXED_BYTES: Option<usize> = None;
            fn logical_bytes(&self) -> usize {
                length_bytes(self.len()) + self.iter().map(|$each| $bytes.max(1)).sum::<usize>()
            }
        }
    )*};
}
collections! {
    BTreeMap<K, V;>: |(key, value)| (key.logical_bytes() + value.logical_bytes());
    HashMap<K, V; S>: |(key, value)| (key.logical_bytes() + value.logical_bytes());
    BTreeSet<K;>: |key| key.logical_bytes();
    HashSet<K; S>: |key| key.logical_bytes();
}

macro_rules! tuples {
    ($($($field:ident)*;)*) => {$(
        impl<$($field: Element),*> Element for ($($field,)*) {
            const FIXED_BYTES: Option<usize> = fixed_sum(&[$($field::FIXED_BYTES),*]);
            #[inline]
            #[allow(non_snake_case)]
            fn logical_bytes(&self) -> usize {
                let ($($field,)*) = self;
                0 $(+ $field.logical_bytes())*
            }
        }
    )*};
}
tuples! {
    A; A B; A B C; A B C D; A B C D E; A B C D E F; A B C D E F G; A B C D E F G H;
    A B C D E F G H I; A B C D E F G H I J; A B C D E F G H I J K; A B C D E F G H I J K L;
}
