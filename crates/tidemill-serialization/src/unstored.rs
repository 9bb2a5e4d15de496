//! [`Unstored`]: what a schema of this program says besides what is stored.

use std::ops::Deref;

use tidemill_core::element::Element;

use crate::data::Data;
use crate::input::{DecodeError, Input};
use crate::schema::{SchemaBuilder, Type};

/// A part of a schema which says how this program reads what others wrote. It is not stored, and no two of them differ: they
/// change no byte of a value, so schemas that differ in nothing else are those of the same values.
///
/// ```
/// use tidemill_serialization::{Data, Input, Unstored};
///
/// let mut bytes = Vec::new();
/// Unstored(7u32).encode(&mut bytes);
/// assert!(bytes.is_empty());
/// assert_eq!(*Unstored::<u32>::decode(&mut Input::new(&bytes))?, 0, "the default of its type");
/// assert_eq!(Unstored(7u32), Unstored(8));
/// # Ok::<(), tidemill_serialization::DecodeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Unstored<T>(pub T);

impl<T> From<T> for Unstored<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Unstored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> PartialEq for Unstored<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T: Clone + Send + Sync + 'static> Element for Unstored<T> {
    const FIXED_BYTES: Option<usize> = Some(0);

    fn logical_bytes(&self) -> usize {
        0
    }
}

impl<T: Clone + Default + Send + Sync + 'static> Data for Unstored<T> {
    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Unit
    }

    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(_: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self::default())
    }
}
