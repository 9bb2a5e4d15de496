//! Values that stand alone: with the snapshot of their serializer in front of them.

use crate::compatibility::Compatibility;
use crate::data::Data;
use crate::error::SerializationError;
use crate::input::{DecodeError, Input};
use crate::migration::MigrationError;
use crate::snapshot::SerializerSnapshot;

/// The value as bytes that every later release can read by [`unpack`], as far as its type only changes as types may.
///
/// ```
/// use tidemill_serialization::{pack, unpack};
///
/// let bytes = pack(&(7u32, String::from("x")));
/// assert_eq!(unpack::<(i64, Option<String>)>(&bytes)?, (7, Some("x".into())));
/// assert!(unpack::<(u8, String)>(&bytes).is_err());
/// # Ok::<(), tidemill_serialization::SerializationError>(())
/// ```
pub fn pack<T: Data>(value: &T) -> Vec<u8> {
    let mut bytes = SerializerSnapshot::of::<T>().encode();
    value.encode(&mut bytes);
    bytes
}

/// Reads what [`pack`] wrote, in this release or an older one.
///
/// ```
/// use tidemill_serialization::{pack, unpack};
///
/// assert_eq!(unpack::<u64>(&pack(&7u32))?, 7, "integers may become wider");
/// assert!(unpack::<u64>(&pack(&"x".to_owned())).is_err());
/// # Ok::<(), tidemill_serialization::SerializationError>(())
/// ```
///
/// # Errors
/// When the bytes are damaged, or the stored value cannot be made a `T`.
pub fn unpack<T: Data>(bytes: &[u8]) -> Result<T, SerializationError> {
    let type_name = std::any::type_name::<T>();
    let unreadable = |source| SerializationError::Value { type_name, source };
    let mut input = Input::new(bytes);
    let stored = SerializerSnapshot::decode_from(&mut input).map_err(unreadable)?;
    match SerializerSnapshot::of::<T>().read_from(&stored) {
        Compatibility::AsIs => whole(&mut input).map_err(unreadable),
        Compatibility::AfterMigration(migration) => {
            let mut migrated = Vec::with_capacity(input.remaining());
            migration
                .value(&mut input, &mut migrated)
                .map_err(MigrationError::into_decode_error)
                .and_then(|()| input.finish("stored value"))
                .and_then(|()| whole(&mut Input::new(&migrated)))
                .map_err(unreadable)
        }
        Compatibility::Incompatible(source) => Err(SerializationError::Incompatible { type_name, source }),
    }
}

fn whole<T: Data>(input: &mut Input<'_>) -> Result<T, DecodeError> {
    let value = T::decode(input)?;
    input.finish("stored value")?;
    Ok(value)
}
