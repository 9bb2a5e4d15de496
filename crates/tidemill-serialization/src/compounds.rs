//! [`Data`] for types made of others: options, boxes, tuples, arrays, vectors, maps and sets.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

use arrayvec::ArrayVec;

use crate::data::Data;
use crate::input::{DecodeError, Input};
use crate::scalars::encode_length;
use crate::schema::{SchemaBuilder, Type};

impl<T: Data> Data for Option<T> {
    fn describe(schema: &mut SchemaBuilder) -> Type {
        Type::Option(Box::new(T::describe(schema)))
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.encode(out);
            }
        }
    }

    #[inline]
    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        match input.array("Option")? {
            [0] => Ok(None),
            [1] => T::decode(input).map(Some),
            [other] => Err(DecodeError::invalid("Option", format!("{other} is neither 0 nor 1"))),
        }
    }
}

impl<T: Data> Data for Box<T> {
    fn describe(schema: &mut SchemaBuilder) -> Type {
        T::describe(schema)
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        T::encode(self, out);
    }

    #[inline]
    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.nested("Box", T::decode).map(Box::new)
    }
}

impl<T: Data, const N: usize> Data for [T; N] {
    fn describe(schema: &mut SchemaBuilder) -> Type {
        Type::Array(Box::new(T::describe(schema)), u32::try_from(N).unwrap_or(u32::MAX))
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        for value in self {
            value.encode(out);
        }
    }

    #[inline]
    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        // On the stack: an array must not cost an allocation.
        let mut values = ArrayVec::<T, N>::new();
        while !values.is_full() {
            values.push(T::decode(input)?);
        }
        values.into_inner().map_err(|_| DecodeError::invalid("array", "it was not filled"))
    }
}

impl<T: Data> Data for Vec<T> {
    fn describe(schema: &mut SchemaBuilder) -> Type {
        Type::List(Box::new(T::describe(schema)))
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        encode_length(self.len(), out);
        T::encode_slice(self, out);
    }

    #[inline]
    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let count = input.length(T::FIXED_BYTES.unwrap_or(1), "Vec")?;
        input.nested("Vec", |input| T::decode_vec(count, input))
    }
}

/// Appends the entries of a map or set in the order given.
fn encode_entries<E>(
    entries: impl ExactSizeIterator<Item = E>,
    out: &mut Vec<u8>,
    encode: impl Fn(E, &mut Vec<u8>),
) {
    encode_length(entries.len(), out);
    for entry in entries {
        let before = out.len();
        encode(entry, out);
        if out.len() == before {
            out.push(0);
        }
    }
}

/// Reads the entries of a map or set; `add` tells whether the key was new.
#[inline]
fn decode_entries<E, C>(
    input: &mut Input<'_>,
    what: &'static str,
    read: impl Fn(&mut Input<'_>) -> Result<E, DecodeError>,
    make: impl FnOnce(usize) -> C,
    add: impl Fn(&mut C, E) -> bool,
) -> Result<C, DecodeError> {
    let count = input.length(1, what)?;
    input.nested(what, |input| {
        let mut collection = make(input.justified_capacity::<E>(count));
        for _ in 0..count {
            let entry = input.element(&read)?;
            if !add(&mut collection, entry) {
                return Err(DecodeError::invalid(what, "a key occurs twice"));
            }
        }
        Ok(collection)
    })
}

#[inline]
fn decode_pair<K: Data, V: Data>(input: &mut Input<'_>) -> Result<(K, V), DecodeError> {
    Ok((K::decode(input)?, V::decode(input)?))
}

fn encode_pair<K: Data, V: Data>((key, value): (&K, &V), out: &mut Vec<u8>) {
    key.encode(out);
    value.encode(out);
}

impl<K: Data + Ord, V: Data> Data for BTreeMap<K, V> {
    fn describe(schema: &mut SchemaBuilder) -> Type {
        Type::Map(Box::new(K::describe(schema)), Box::new(V::describe(schema)))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode_entries(self.iter(), out, encode_pair);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let add = |map: &mut Self, (key, value)| map.insert(key, value).is_none();
        decode_entries(input, "BTreeMap", decode_pair, |_| Self::new(), add)
    }
}

impl<K: Data + Ord> Data for BTreeSet<K> {
    fn describe(schema: &mut SchemaBuilder) -> Type {
        Type::Set(Box::new(K::describe(schema)))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode_entries(self.iter(), out, K::encode);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        decode_entries(input, "BTreeSet", K::decode, |_| Self::new(), Self::insert)
    }
}

impl<K, V, S> Data for HashMap<K, V, S>
where
    K: Data + Ord + Hash,
    V: Data,
    S: BuildHasher + Default + Clone + Send + Sync + 'static,
{
    fn describe(schema: &mut SchemaBuilder) -> Type {
        Type::Map(Box::new(K::describe(schema)), Box::new(V::describe(schema)))
    }

    /// In the order of the keys, so that equal maps have equal bytes.
    fn encode(&self, out: &mut Vec<u8>) {
        let mut entries: Vec<(&K, &V)> = self.iter().collect();
        entries.sort_unstable_by(|one, other| one.0.cmp(other.0));
        encode_entries(entries.into_iter(), out, encode_pair);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let make = |capacity| Self::with_capacity_and_hasher(capacity, S::default());
        let add = |map: &mut Self, (key, value)| map.insert(key, value).is_none();
        decode_entries(input, "HashMap", decode_pair, make, add)
    }
}

impl<K, S> Data for HashSet<K, S>
where
    K: Data + Ord + Hash,
    S: BuildHasher + Default + Clone + Send + Sync + 'static,
{
    fn describe(schema: &mut SchemaBuilder) -> Type {
        Type::Set(Box::new(K::describe(schema)))
    }

    /// In order, so that equal sets have equal bytes.
    fn encode(&self, out: &mut Vec<u8>) {
        let mut keys: Vec<&K> = self.iter().collect();
        keys.sort_unstable();
        encode_entries(keys.into_iter(), out, K::encode);
    }

    fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let make = |capacity| Self::with_capacity_and_hasher(capacity, S::default());
        decode_entries(input, "HashSet", K::decode, make, Self::insert)
    }
}

macro_rules! tuples {
    ($($($field:ident)*;)*) => {$(
        impl<$($field: Data),*> Data for ($($field,)*) {
            fn describe(schema: &mut SchemaBuilder) -> Type {
                Type::Tuple(vec![$($field::describe(schema)),*])
            }

            #[inline]
            #[allow(non_snake_case)]
            fn encode(&self, out: &mut Vec<u8>) {
                let ($($field,)*) = self;
                $($field.encode(out);)*
            }

            #[inline]
            fn decode(input: &mut Input<'_>) -> Result<Self, DecodeError> {
                Ok(($($field::decode(input)?,)*))
            }
        }
    )*};
}
tuples! {
    A; A B; A B C; A B C D; A B C D E; A B C D E F; A B C D E F G; A B C D E F G H;
    A B C D E F G H I; A B C D E F G H I J; A B C D E F G H I J K; A B C D E F G H I J K L;
}
