//! Whole batches as bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version: 1 |
//! | 1 | 1 when the records have timestamps, else 0 |
//! | 4 | how many records |
//! | 8 each | their timestamps, if any |
//! | | the records, as the elements of a `Vec` |
//!
//! Routing hashes are not written: whoever needs them makes them of the keys.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::element::sequence_bytes;

use crate::compatibility::Compatibility;
use crate::data::Data;
use crate::error::SerializationError;
use crate::input::{DecodeError, Input, TOO_LONG};
use crate::migration::{Migration, MigrationError};
use crate::snapshot::SerializerSnapshot;

const VERSION: u8 = 1;
const HEADER: usize = 6;

/// Appends a whole batch.
///
/// ```
/// use tidemill_core::TypedBatch;
/// use tidemill_serialization::{decode_batch, encode_batch};
///
/// let batch = TypedBatch::from_values(vec![1u16, 2, 3]);
/// let mut bytes = Vec::new();
/// encode_batch(&batch, &mut bytes)?;
/// assert_eq!(bytes.len(), 6 + 3 * 2);
/// assert_eq!(decode_batch::<u16>(&bytes)?.values, [1, 2, 3]);
/// # Ok::<(), tidemill_serialization::SerializationError>(())
/// ```
///
/// # Errors
/// When it takes 4 GiB or more, or has another number of timestamps than records. Nothing is appended then.
pub fn encode_batch<T: Data>(batch: &TypedBatch<T>, out: &mut Vec<u8>) -> Result<(), SerializationError> {
    let type_name = std::any::type_name::<T>();
    let (records, timestamps) = (batch.values.len(), batch.timestamps.len());
    if timestamps != 0 && timestamps != records {
        return Err(SerializationError::Timestamps { type_name, records, timestamps });
    }
    let bytes = HEADER + timestamps * size_of::<i64>() + sequence_bytes(&batch.values);
    // A value takes no fewer bytes than it has elements, so all counts within fit their four bytes too.
    let count = match u32::try_from(bytes.max(records)) {
        Ok(largest) if largest < TOO_LONG => records as u32,
        _ => return Err(SerializationError::TooLarge { type_name, records, bytes }),
    };
    out.reserve(bytes);
    out.push(VERSION);
    out.push(u8::from(timestamps != 0));
    count.encode(out);
    i64::encode_slice(&batch.timestamps, out);
    T::encode_slice(&batch.values, out);
    Ok(())
}

/// Reads back what [`encode_batch`] wrote.
///
/// ```
/// use tidemill_serialization::decode_batch;
///
/// assert!(decode_batch::<u16>(b"\x01\0\x02\0\0\0").is_err(), "two records, but no bytes of them");
/// ```
///
/// # Errors
/// When the bytes are not exactly one batch of `T`.
pub fn decode_batch<T: Data>(bytes: &[u8]) -> Result<TypedBatch<T>, SerializationError> {
    let type_name = std::any::type_name::<T>();
    check_version(bytes, type_name)?;
    decode_contents(bytes).map_err(|source| SerializationError::Decode { type_name, source })
}

fn check_version(bytes: &[u8], type_name: &'static str) -> Result<(), SerializationError> {
    match bytes.first() {
        Some(&found) if found > VERSION => {
            Err(SerializationError::Version { type_name, found, supported: VERSION })
        }
        _ => Ok(()),
    }
}

/// Whether the records have timestamps, and how many there are; they take at least `record_bytes` each.
fn decode_header(input: &mut Input<'_>, record_bytes: usize) -> Result<(bool, usize), DecodeError> {
    let [version, stamped] = input.array("batch")?;
    if version != VERSION {
        return Err(DecodeError::invalid("batch", format!("{version} is no version of the format")));
    }
    if stamped > 1 {
        return Err(DecodeError::invalid("batch", format!("its second byte is {stamped}, neither 0 nor 1")));
    }
    let count = u32::from_le_bytes(input.array("batch")?) as usize;
    input.check_count(count, record_bytes, "batch")?;
    Ok((stamped == 1, count))
}

fn decode_contents<T: Data>(bytes: &[u8]) -> Result<TypedBatch<T>, DecodeError> {
    let input = &mut Input::new(bytes);
    let (stamped, count) = decode_header(input, T::FIXED_BYTES.unwrap_or(1))?;
    let timestamps = if stamped { i64::decode_vec(count, input)? } else { Vec::new() };
    let values = T::decode_vec(count, input)?;
    input.finish("batch")?;
    Ok(TypedBatch { values, timestamps, hashes: Vec::new() })
}

/// Writes and reads the batches of one edge, whatever is in them.
///
/// ```
/// use tidemill_core::{Batch, TypedBatch};
/// use tidemill_serialization::{BatchSerializer, TypedBatchSerializer};
///
/// let edge: &dyn BatchSerializer = &TypedBatchSerializer::<u16>::default();
/// let mut bytes = Vec::new();
/// edge.encode(&Batch::new(TypedBatch::from_values(vec![7u16])), &mut bytes)?;
/// assert_eq!(edge.decode(&bytes)?.len(), 1);
/// assert!(edge.encode(&Batch::new(TypedBatch::from_values(vec![7u64])), &mut bytes).is_err());
/// # Ok::<(), tidemill_serialization::SerializationError>(())
/// ```
pub trait BatchSerializer: Send + Sync + fmt::Debug {
    /// Appends a whole batch.
    ///
    /// # Errors
    /// When the batch is not of the type of the edge, or too large. Nothing is appended then.
    fn encode(&self, batch: &Batch, out: &mut Vec<u8>) -> Result<(), SerializationError>;

    /// Reads a whole batch back.
    ///
    /// # Errors
    /// When the bytes are not exactly one batch of the type of the edge.
    fn decode(&self, bytes: &[u8]) -> Result<Batch, SerializationError>;

    /// The name of the record type, for messages.
    fn type_name(&self) -> &'static str;

    /// What is stored beside the batches that it writes.
    fn snapshot(&self) -> SerializerSnapshot;

    /// A serializer that writes as this one does and reads batches that were written as `stored` says.
    ///
    /// # Errors
    /// When these batches cannot be read.
    fn reading(&self, stored: &SerializerSnapshot) -> Result<Arc<dyn BatchSerializer>, SerializationError>;
}

/// The serializer of batches of `T`.
///
/// ```
/// use tidemill_serialization::{BatchSerializer, TypedBatchSerializer};
///
/// assert_eq!(TypedBatchSerializer::<u16>::default().type_name(), "u16");
/// ```
pub struct TypedBatchSerializer<T>(PhantomData<fn() -> T>);

impl<T> Default for TypedBatchSerializer<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for TypedBatchSerializer<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for TypedBatchSerializer<T> {}

impl<T> fmt::Debug for TypedBatchSerializer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypedBatchSerializer<{}>", std::any::type_name::<T>())
    }
}

impl<T: Data> BatchSerializer for TypedBatchSerializer<T> {
    fn encode(&self, batch: &Batch, out: &mut Vec<u8>) -> Result<(), SerializationError> {
        encode_batch(batch.downcast_ref::<TypedBatch<T>>()?, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Batch, SerializationError> {
        decode_batch::<T>(bytes).map(Batch::new)
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<T>()
    }

    fn snapshot(&self) -> SerializerSnapshot {
        SerializerSnapshot::of::<T>()
    }

    fn reading(&self, stored: &SerializerSnapshot) -> Result<Arc<dyn BatchSerializer>, SerializationError> {
        match self.snapshot().read_from(stored) {
            Compatibility::AsIs => Ok(Arc::new(*self)),
            Compatibility::AfterMigration(migration) => {
                Ok(Arc::new(MigratingBatchSerializer { serializer: *self, migration: Arc::new(migration) }))
            }
            Compatibility::Incompatible(source) => {
                Err(SerializationError::Incompatible { type_name: std::any::type_name::<T>(), source })
            }
        }
    }
}

/// Reads batches that were written with another schema.
struct MigratingBatchSerializer<T> {
    serializer: TypedBatchSerializer<T>,
    migration: Arc<Migration>,
}

impl<T> fmt::Debug for MigratingBatchSerializer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {:?}", self.serializer, self.migration)
    }
}

impl<T: Data> BatchSerializer for MigratingBatchSerializer<T> {
    fn encode(&self, batch: &Batch, out: &mut Vec<u8>) -> Result<(), SerializationError> {
        self.serializer.encode(batch, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Batch, SerializationError> {
        let type_name = self.type_name();
        check_version(bytes, type_name)?;
        let migrated = migrate_contents(&self.migration, bytes)
            .map_err(|source| SerializationError::Decode { type_name, source })?;
        self.serializer.decode(&migrated)
    }

    fn type_name(&self) -> &'static str {
        self.serializer.type_name()
    }

    fn snapshot(&self) -> SerializerSnapshot {
        self.serializer.snapshot()
    }

    fn reading(&self, stored: &SerializerSnapshot) -> Result<Arc<dyn BatchSerializer>, SerializationError> {
        self.serializer.reading(stored)
    }
}

/// A whole batch with its records as another schema has them.
fn migrate_contents(migration: &Migration, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let input = &mut Input::new(bytes);
    let (stamped, count) = decode_header(input, 1)?;
    let timestamps = input.take(if stamped { count.saturating_mul(size_of::<i64>()) } else { 0 }, "batch")?;
    let mut migrated = Vec::with_capacity(bytes.len());
    migrated.extend_from_slice(&bytes[..HEADER]);
    migrated.extend_from_slice(timestamps);
    migration.sequence(count, input, &mut migrated).map_err(MigrationError::into_decode_error)?;
    input.finish("batch")?;
    Ok(migrated)
}
