//! [`Opaque`]: values that only their own serializer understands, as a part of a [`Schema`](crate::Schema).

use std::fmt;
use std::sync::Arc;

use tidemill_core::element::Element;

use crate::Record;
use crate::data::Data;
use crate::input::{DecodeError, Input};
use crate::schema::{SchemaBuilder, Type};

/// The serializer of the generic fallback, as it is called in schemas.
pub const GENERIC: &str = "generic";

/// Bytes of a serializer of its own, as stored in a schema: enough for that serializer, in a later release of the program,
/// to read them back.
#[derive(Record, Clone)]
pub struct Opaque {
    /// The name of the serializer, unique and never changed.
    pub serializer: String,
    /// The type of the values, as messages call it.
    pub type_name: String,
    /// The version of what the serializer writes.
    pub version: u32,
    /// What the serializer needs to read the bytes back, such as the schema that they were written with.
    pub configuration: Vec<u8>,
    /// How this program reads what others wrote. Not stored.
    pub evolution: EvolutionHandle,
}

impl Opaque {
    /// Whether the generic fallback writes them, which is slow and does not evolve.
    pub fn is_generic(&self) -> bool {
        self.serializer == GENERIC
    }
}

impl PartialEq for Opaque {
    /// Whether the bytes are the same.
    fn eq(&self, other: &Self) -> bool {
        self.serializer == other.serializer
            && self.type_name == other.type_name
            && self.version == other.version
            && self.configuration == other.configuration
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opaque({self}, version {})", self.version)
    }
}

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.type_name, self.serializer)
    }
}

/// Turns a value as it was stored into one as this program writes it: appends the new bytes to the second argument.
pub type MigrateValue = dyn Fn(&[u8], &mut Vec<u8>) -> Result<(), DecodeError> + Send + Sync;

/// Whether the bytes of an [`Opaque`] can be read.
pub enum Resolution {
    /// As they are.
    AsIs,
    /// Each value after this was done to it.
    AfterMigration(Arc<MigrateValue>),
    /// Not at all; why, as a clause behind a colon.
    Incompatible(String),
}

/// How a serializer of its own reads what an older release of it wrote.
pub trait Evolution: Send + Sync + 'static {
    /// Decides how values that were written as `stored` are read by a program that writes them as `declared`. The
    /// serializers are the same.
    fn resolve(&self, stored: &Opaque, declared: &Opaque) -> Resolution;
}

/// The [`Evolution`] of this program, which is not stored.
#[derive(Clone, Default)]
pub struct EvolutionHandle(pub Option<Arc<dyn Evolution>>);

impl Element for EvolutionHandle {
    const FIXED_BYTES: Option<usize> = Some(0);

    fn logical_bytes(&self) -> usize {
        0
    }
}

impl Data for EvolutionHandle {
    fn describe(_: &mut SchemaBuilder) -> Type {
        Type::Unit
    }

    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(_: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Self(None))
    }
}
