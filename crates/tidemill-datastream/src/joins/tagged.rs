//! Records of two streams in one.

use std::borrow::Borrow;
use std::marker::PhantomData;

use tidemill_serialization::{Data, Key, Record};

use crate::key::KeySelector;

/// A record of either of two streams that are grouped by the same windows.
///
/// ```
/// use tidemill_datastream::joins::Tagged;
///
/// let records = [Tagged::First(7u64), Tagged::Second("seven")];
/// assert_eq!(records.iter().filter(|record| matches!(record, Tagged::First(_))).count(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Record)]
pub enum Tagged<A, B> {
    /// Of the first.
    First(A),
    /// Of the second.
    Second(B),
}

/// Finds the key of a record of either stream.
///
/// ```
/// use std::borrow::Borrow;
/// use tidemill_datastream::joins::{Tagged, TaggedSelector};
/// use tidemill_datastream::{ByValue, KeySelector};
///
/// let selector = TaggedSelector::new(ByValue::new(|number: &u64| *number), ByValue::new(|text: &String| text.len() as u64));
/// let record: Tagged<u64, String> = Tagged::Second("seven".to_owned());
/// assert_eq!(*Borrow::<u64>::borrow(&selector.key(&record)), 5);
/// ```
pub struct TaggedSelector<S, R> {
    first: S,
    second: R,
}

impl<S, R> TaggedSelector<S, R> {
    /// Uses `first` for records of the first stream, `second` for those of the second.
    pub fn new(first: S, second: R) -> Self {
        Self { first, second }
    }
}

impl<S: Clone, R: Clone> Clone for TaggedSelector<S, R> {
    fn clone(&self) -> Self {
        Self::new(self.first.clone(), self.second.clone())
    }
}

/// A key as either selector gives it.
///
/// ```
/// use std::borrow::Borrow;
/// use tidemill_datastream::joins::{EitherRef, Tagged, TaggedSelector};
/// use tidemill_datastream::{ByValue, KeySelector};
///
/// let selector = TaggedSelector::new(
///     ByValue::new(|order: &(u64, String)| order.0),
///     ByValue::new(|user: &u64| *user),
/// );
/// let record: Tagged<(u64, String), u64> = Tagged::First((7, "seven".to_owned()));
/// let key: EitherRef<u64, u64, u64> = selector.key(&record);
/// assert_eq!(*Borrow::<u64>::borrow(&key), 7);
/// ```
pub struct EitherRef<X, Y, K> {
    key: Either<X, Y>,
    kind: PhantomData<fn() -> K>,
}

enum Either<X, Y> {
    First(X),
    Second(Y),
}

impl<K, X: Borrow<K>, Y: Borrow<K>> Borrow<K> for EitherRef<X, Y, K> {
    fn borrow(&self) -> &K {
        match &self.key {
            Either::First(key) => key.borrow(),
            Either::Second(key) => key.borrow(),
        }
    }
}

impl<A, B, K, S, R> KeySelector<Tagged<A, B>> for TaggedSelector<S, R>
where
    A: Data,
    B: Data,
    K: Key,
    S: KeySelector<A, Key = K>,
    R: KeySelector<B, Key = K>,
{
    type Key = K;
    type Ref<'a> = EitherRef<S::Ref<'a>, R::Ref<'a>, K>;

    fn key<'a>(&self, record: &'a Tagged<A, B>) -> Self::Ref<'a> {
        let key = match record {
            Tagged::First(record) => Either::First(self.first.key(record)),
            Tagged::Second(record) => Either::Second(self.second.key(record)),
        };
        EitherRef { key, kind: PhantomData }
    }
}
