//! How the key of a record is found.

use std::borrow::Borrow;
use std::marker::PhantomData;

use tidemill_serialization::{Key, RoutingHash};

/// Finds the key of a record.
///
/// ```
/// use tidemill_datastream::KeySelector;
///
/// /// The first two letters.
/// #[derive(Clone)]
/// struct Prefix;
///
/// impl KeySelector<String> for Prefix {
///     type Key = String;
///     type Ref<'a> = String;
///
///     fn key<'a>(&self, record: &'a String) -> String {
///         record.chars().take(2).collect()
///     }
/// }
///
/// assert_eq!(Prefix.key(&"JFK".to_owned()), "JF");
/// assert_eq!(Prefix.hash(&"JFK".to_owned()), Prefix.hash(&"JFX".to_owned()));
/// ```
pub trait KeySelector<T>: Clone + Send + Sync + 'static {
    /// The type of the key.
    type Key: Key;
    /// The key, or a reference to where it is in the record.
    type Ref<'a>: Borrow<Self::Key>
    where
        T: 'a;

    /// The key of a record.
    fn key<'a>(&self, record: &'a T) -> Self::Ref<'a>;

    /// The routing hash of the key of a record.
    #[inline]
    fn hash(&self, record: &T) -> u64 {
        self.key(record).borrow().routing_hash()
    }
}

/// A function that makes the key of a record.
///
/// ```
/// use tidemill_datastream::{ByValue, KeySelector};
///
/// let length = ByValue::new(|text: &String| text.len() as u64);
/// assert_eq!(length.key(&"JFK".to_owned()), 3);
/// ```
pub struct ByValue<F, K> {
    select: F,
    key: PhantomData<fn() -> K>,
}

/// A function that points to the key in a record, so that no key is copied to be looked up.
///
/// ```
/// use tidemill_datastream::{ByRef, KeySelector};
///
/// fn name(record: &(String, u64)) -> &String {
///     &record.0
/// }
/// assert_eq!(ByRef::new(name).key(&("JFK".to_owned(), 7)), "JFK");
/// ```
pub struct ByRef<F, K> {
    select: F,
    key: PhantomData<fn() -> K>,
}

impl<F, K> ByValue<F, K> {
    /// Wraps a function from a record to its key.
    ///
    /// ```
    /// use tidemill_datastream::{ByValue, KeySelector};
    ///
    /// let parity = ByValue::new(|number: &u64| number % 2);
    /// assert_eq!((parity.key(&7), parity.key(&8)), (1, 0));
    /// ```
    pub fn new(select: F) -> Self {
        Self { select, key: PhantomData }
    }
}

impl<F, K> ByRef<F, K> {
    /// Wraps a function from a record to a reference to its key.
    ///
    /// ```
    /// use tidemill_datastream::{ByRef, KeySelector};
    ///
    /// fn origin(flight: &(String, String)) -> &String {
    ///     &flight.0
    /// }
    /// assert_eq!(ByRef::new(origin).key(&("JFK".to_owned(), "LAX".to_owned())), "JFK");
    /// ```
    pub fn new(select: F) -> Self {
        Self { select, key: PhantomData }
    }
}

impl<F: Clone, K> Clone for ByValue<F, K> {
    fn clone(&self) -> Self {
        Self::new(self.select.clone())
    }
}

impl<F: Clone, K> Clone for ByRef<F, K> {
    fn clone(&self) -> Self {
        Self::new(self.select.clone())
    }
}

impl<T: 'static, K: Key, F: Fn(&T) -> K + Clone + Send + Sync + 'static> KeySelector<T> for ByValue<F, K> {
    type Key = K;
    type Ref<'a> = K;

    #[inline(always)]
    fn key(&self, record: &T) -> K {
        (self.select)(record)
    }
}

impl<T: 'static, K: Key, F: Fn(&T) -> &K + Clone + Send + Sync + 'static> KeySelector<T> for ByRef<F, K> {
    type Key = K;
    type Ref<'a> = &'a K;

    #[inline(always)]
    fn key<'a>(&self, record: &'a T) -> &'a K {
        (self.select)(record)
    }
}
