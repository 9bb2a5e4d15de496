//! [`Opaque`]: values that only their own serializer understands, as a part of a [`Schema`](crate::Schema).

use std::fmt;
use std::sync::Arc;

use crate::Record;
use crate::input::DecodeError;
use crate::unstored::Unstored;

/// The serializer of the generic fallback, as it is called in schemas.
///
/// ```
/// use tidemill_serialization::opaque::GENERIC;
/// use tidemill_serialization::schema::Type;
/// use tidemill_serialization::{Generic, Schema};
///
/// let Type::Opaque(opaque) = Schema::of::<Generic<String>>().root else { panic!() };
/// assert_eq!(opaque.serializer, GENERIC);
/// ```
pub const GENERIC: &str = "generic";

/// Bytes of a serializer of its own, as stored in a schema: enough for that serializer, in a later release of the program,
/// to read them back.
///
/// ```
/// use tidemill_serialization::schema::Type;
/// use tidemill_serialization::{Generic, Schema};
///
/// let Type::Opaque(opaque) = Schema::of::<Generic<String>>().root else { panic!() };
/// assert_eq!((opaque.type_name.as_str(), opaque.to_string().as_str()), ("String", "String (generic)"));
/// ```
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
    /// How this program reads what others wrote; nothing where only equal ones can be read.
    pub evolution: Unstored<Option<Arc<dyn Evolution>>>,
}

impl Opaque {
    /// Whether the generic fallback writes them, which is slow and does not evolve.
    ///
    /// ```
    /// use tidemill_serialization::schema::Type;
    /// use tidemill_serialization::{Generic, Schema};
    ///
    /// let Type::Opaque(opaque) = Schema::of::<Generic<String>>().root else { panic!() };
    /// assert!(opaque.is_generic());
    /// ```
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
///
/// ```
/// use tidemill_serialization::opaque::MigrateValue;
///
/// /// The second version has one byte more.
/// let migrate: &MigrateValue = &|stored, out| {
///     out.extend_from_slice(stored);
///     out.push(0);
///     Ok(())
/// };
/// let mut out = Vec::new();
/// migrate(&[7], &mut out)?;
/// assert_eq!(out, [7, 0]);
/// # Ok::<(), tidemill_serialization::DecodeError>(())
/// ```
pub type MigrateValue = dyn Fn(&[u8], &mut Vec<u8>) -> Result<(), DecodeError> + Send + Sync;

/// Whether the bytes of an [`Opaque`] can be read.
///
/// ```
/// use tidemill_serialization::opaque::{Opaque, Resolution};
///
/// /// Reads what has the same version.
/// fn resolve(stored: &Opaque, declared: &Opaque) -> Resolution {
///     match stored.version == declared.version {
///         true => Resolution::AsIs,
///         false => Resolution::Incompatible(format!("version {} is not read any more", stored.version)),
///     }
/// }
/// ```
pub enum Resolution {
    /// As they are.
    AsIs,
    /// Each value after this was done to it.
    AfterMigration(Arc<MigrateValue>),
    /// Not at all; why, as a clause behind a colon.
    Incompatible(String),
}

/// How a serializer of its own reads what an older release of it wrote.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_serialization::Unstored;
/// use tidemill_serialization::opaque::{Evolution, Opaque, Resolution};
///
/// /// All versions have the same bytes.
/// struct Same;
///
/// impl Evolution for Same {
///     fn resolve(&self, _: &Opaque, _: &Opaque) -> Resolution {
///         Resolution::AsIs
///     }
/// }
///
/// let evolution: Unstored<Option<Arc<dyn Evolution>>> = Unstored(Some(Arc::new(Same)));
/// # assert!(evolution.is_some());
/// ```
pub trait Evolution: Send + Sync + 'static {
    /// Decides how values that were written as `stored` are read by a program that writes them as `declared`. The
    /// serializers are the same.
    fn resolve(&self, stored: &Opaque, declared: &Opaque) -> Resolution;
}
