//! Finds the default of a field at compile time, whether its type has one or not.
//!
//! A macro cannot ask whether a type implements a trait. But a call of `(&&Probe::<T>::NEW).default_bytes()` takes the method
//! with fewer references where it can: that of [`WithDefault`] when the type has a default, else that of [`NoDefault`].

use std::marker::PhantomData;

use crate::custom::{self, CustomSerializer};
use crate::data::Data;

/// The encoded form of a value.
pub fn encoded<T: Data>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.logical_bytes());
    value.encode(&mut bytes);
    bytes
}

/// The encoded form of a value that has a serializer of its own.
pub fn encoded_with<T, S: CustomSerializer<T>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    custom::encode::<T, S>(value, &mut bytes);
    bytes
}

/// Stands for a type.
pub struct Probe<T>(PhantomData<fn() -> T>);

impl<T> Probe<T> {
    /// The only value.
    pub const NEW: Self = Self(PhantomData);
}

/// The encoded default of a field, if any.
pub type Encoded = Option<Vec<u8>>;

/// Types with a default.
pub trait WithDefault {
    /// The default, encoded.
    fn default_bytes(&self) -> Encoded;
}

impl<T: Data + Default> WithDefault for &Probe<T> {
    fn default_bytes(&self) -> Encoded {
        Some(encoded(&T::default()))
    }
}

/// Types without.
pub trait NoDefault {
    /// `None`.
    fn default_bytes(&self) -> Encoded;
}

impl<T> NoDefault for Probe<T> {
    fn default_bytes(&self) -> Encoded {
        None
    }
}
