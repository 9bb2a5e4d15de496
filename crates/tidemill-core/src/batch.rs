//! What flows along an edge: a [`Batch`] of records.
//!
//! The runtime neither knows nor cares what is inside: it counts records, measures logical bytes, clones
//! (a pointer) and hands the batch to the edge's partitioner and serializer, which do know. Two kinds exist:
//! [`TypedBatch`] (a vector of some Rust type, for the typed API) and [`ArrowBatch`] (columns, for connectors and SQL).

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};

use crate::element::{Element, sequence_bytes};
use crate::error::{Classified, Fault};
use crate::time::{NO_TIMESTAMP, Timestamp};

/// The inside of a batch.
///
/// ```
/// use std::any::type_name;
/// use std::sync::Arc;
/// use tidemill_core::{Batch, BatchData};
///
/// /// Pages of bytes.
/// #[derive(Clone)]
/// struct Pages(Vec<[u8; 512]>);
///
/// impl BatchData for Pages {
///     fn len(&self) -> usize {
///         self.0.len()
///     }
///     fn byte_size(&self) -> usize {
///         self.0.len() * 512
///     }
///     fn duplicate(&self) -> Arc<dyn BatchData> {
///         Arc::new(self.clone())
///     }
///     fn type_name(&self) -> &'static str {
///         Self::record_type()
///     }
///     fn record_type() -> &'static str {
///         type_name::<[u8; 512]>()
///     }
/// }
///
/// assert_eq!(Batch::new(Pages(vec![[0; 512]; 3])).byte_size(), 1536);
/// ```
pub trait BatchData: Any + Send + Sync {
    /// How many records.
    fn len(&self) -> usize;

    /// Whether there is no record.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Logical bytes: what the records would take in a network buffer, about; never the size of a parent
    /// buffer that a slice pins.
    fn byte_size(&self) -> usize;

    /// A copy that shares nothing mutable with this one.
    fn duplicate(&self) -> Arc<dyn BatchData>;

    /// The name of the record type, for messages.
    fn type_name(&self) -> &'static str;

    /// The name of the record type of all batches of this kind, for messages.
    fn record_type() -> &'static str
    where
        Self: Sized;
}

/// Some records that travel together; cloning is a pointer copy.
///
/// ```
/// use tidemill_core::{ArrowBatch, Batch, TypedBatch};
///
/// let mut batch = Batch::new(TypedBatch::from_values(vec![1u32, 2, 3]));
/// let kept = batch.clone();
/// batch.downcast_mut::<TypedBatch<u32>>()?.values.push(4);
/// assert_eq!((batch.len(), kept.len()), (4, 3));
/// assert_eq!(kept.byte_size(), 12);
/// assert!(kept.downcast_ref::<ArrowBatch>().is_err());
/// # Ok::<(), tidemill_core::batch::WrongBatchType>(())
/// ```
#[derive(Clone)]
pub struct Batch(Arc<dyn BatchData>);

impl Batch {
    /// Wraps what a partitioner, operator or source made.
    ///
    /// ```
    /// use tidemill_core::{Batch, TypedBatch};
    ///
    /// assert_eq!(Batch::new(TypedBatch::from_values(vec![1u32, 2])).len(), 2);
    /// ```
    pub fn new<D: BatchData>(data: D) -> Self {
        Self(Arc::new(data))
    }

    /// How many records.
    ///
    /// ```
    /// use tidemill_core::{Batch, TypedBatch};
    ///
    /// assert_eq!(Batch::new(TypedBatch::from_values(vec!['a', 'b', 'c'])).len(), 3);
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no record.
    ///
    /// ```
    /// use tidemill_core::{Batch, TypedBatch};
    ///
    /// assert!(Batch::new(TypedBatch::<u32>::default()).is_empty());
    /// ```
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Logical bytes; see [`BatchData::byte_size`].
    ///
    /// ```
    /// use tidemill_core::{Batch, TypedBatch};
    ///
    /// assert_eq!(Batch::new(TypedBatch::from_values(vec![1u32, 2])).byte_size(), 8);
    /// ```
    #[inline]
    pub fn byte_size(&self) -> usize {
        self.0.byte_size()
    }

    /// The name of the record type, for messages.
    ///
    /// ```
    /// use tidemill_core::{Batch, TypedBatch};
    ///
    /// assert_eq!(Batch::new(TypedBatch::from_values(vec![1u32])).type_name(), "u32");
    /// ```
    pub fn type_name(&self) -> &'static str {
        self.0.type_name()
    }

    /// The inside, when it is a `D`.
    ///
    /// ```
    /// use tidemill_core::{Batch, TypedBatch};
    ///
    /// let batch = Batch::new(TypedBatch::from_values(vec![1u32, 2]));
    /// assert_eq!(batch.downcast_ref::<TypedBatch<u32>>()?.values, [1, 2]);
    /// assert!(batch.downcast_ref::<TypedBatch<u64>>().is_err());
    /// # Ok::<(), tidemill_core::batch::WrongBatchType>(())
    /// ```
    #[inline]
    pub fn downcast_ref<D: BatchData>(&self) -> Result<&D, WrongBatchType> {
        let any: &dyn Any = &*self.0;
        any.downcast_ref().ok_or_else(|| self.wrong_type::<D>())
    }

    /// The inside, to be changed or emptied. Copies first when other clones of this batch are alive.
    ///
    /// ```
    /// use tidemill_core::{Batch, TypedBatch};
    ///
    /// let mut batch = Batch::new(TypedBatch::from_values(vec![1u32, 2]));
    /// let kept = batch.clone();
    /// batch.downcast_mut::<TypedBatch<u32>>()?.clear();
    /// assert_eq!((batch.len(), kept.len()), (0, 2));
    /// # Ok::<(), tidemill_core::batch::WrongBatchType>(())
    /// ```
    #[inline]
    pub fn downcast_mut<D: BatchData>(&mut self) -> Result<&mut D, WrongBatchType> {
        if !(*self.0).type_id().eq(&std::any::TypeId::of::<D>()) {
            return Err(self.wrong_type::<D>());
        }
        if Arc::get_mut(&mut self.0).is_none() {
            self.0 = self.0.duplicate();
        }
        let found = self.0.type_name();
        let unique: Option<&mut dyn Any> = Arc::get_mut(&mut self.0).map(|data| data as &mut dyn Any);
        unique.and_then(|any| any.downcast_mut()).ok_or(WrongBatchType { expected: D::record_type(), found })
    }

    fn wrong_type<D: BatchData>(&self) -> WrongBatchType {
        WrongBatchType { expected: D::record_type(), found: self.0.type_name() }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} × {}, {} bytes)", self.len(), self.type_name(), self.byte_size())
    }
}

/// A batch of another type than the operator or edge was built for: a graph that was put together wrongly.
///
/// ```
/// use tidemill_core::{Batch, Classified, TypedBatch};
///
/// let batch = Batch::new(TypedBatch::from_values(vec![1u32]));
/// let error = batch.downcast_ref::<TypedBatch<String>>().unwrap_err();
/// assert_eq!((error.found, error.code()), ("u32", "TM-BATCH-WRONG-TYPE"));
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[error("a batch of {found} arrived where one of {expected} was expected")]
pub struct WrongBatchType {
    /// The record type that the receiver was built for.
    pub expected: &'static str,
    /// The record type that came.
    pub found: &'static str,
}

impl Classified for WrongBatchType {
    fn code(&self) -> &'static str {
        "TM-BATCH-WRONG-TYPE"
    }

    fn fault(&self) -> Fault {
        Fault::Internal
    }
}

/// Records of one Rust type, with their timestamps and, once a partitioner has made them, their routing hashes.
///
/// ```
/// use tidemill_core::TypedBatch;
/// use tidemill_core::time::NO_TIMESTAMP;
///
/// let mut batch = TypedBatch::default();
/// batch.push('a', 1_000);
/// batch.push('b', NO_TIMESTAMP);
/// assert_eq!((batch.timestamp(0), batch.timestamp(1)), (1_000, NO_TIMESTAMP));
/// ```
#[derive(Clone, Debug)]
pub struct TypedBatch<T> {
    /// The records.
    pub values: Vec<T>,
    /// One timestamp a record, or empty when no record has one.
    pub timestamps: Vec<Timestamp>,
    /// One routing hash a record, of the key by which the batch was last partitioned; or empty.
    pub hashes: Vec<u64>,
}

impl<T> Default for TypedBatch<T> {
    fn default() -> Self {
        Self { values: Vec::new(), timestamps: Vec::new(), hashes: Vec::new() }
    }
}

impl<T: Element> TypedBatch<T> {
    /// An empty batch with room for `records`.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    ///
    /// let batch = TypedBatch::<u64>::with_capacity(100);
    /// assert!(batch.is_empty() && batch.values.capacity() >= 100);
    /// ```
    pub fn with_capacity(records: usize) -> Self {
        Self { values: Vec::with_capacity(records), ..Self::default() }
    }

    /// Records without timestamps.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    ///
    /// let batch = TypedBatch::from_values(vec![1u64, 2]);
    /// assert_eq!((batch.len(), batch.bytes()), (2, 16));
    /// ```
    pub fn from_values(values: Vec<T>) -> Self {
        Self { values, ..Self::default() }
    }

    /// How many records.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    ///
    /// assert_eq!(TypedBatch::from_values(vec![1u32, 2]).len(), 2);
    /// ```
    #[inline]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no record.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    ///
    /// assert!(TypedBatch::<u32>::default().is_empty());
    /// ```
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The timestamp of record `index`, [`NO_TIMESTAMP`] when it has none.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    /// use tidemill_core::time::NO_TIMESTAMP;
    ///
    /// assert_eq!(TypedBatch::from_values(vec![1u32]).timestamp(0), NO_TIMESTAMP);
    /// ```
    #[inline]
    pub fn timestamp(&self, index: usize) -> Timestamp {
        self.timestamps.get(index).copied().unwrap_or(NO_TIMESTAMP)
    }

    /// Adds a record; [`NO_TIMESTAMP`] leaves it without a timestamp.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    ///
    /// let mut batch = TypedBatch::default();
    /// batch.push('a', 1_000);
    /// batch.push('b', 2_000);
    /// assert_eq!((batch.values, batch.timestamps), (vec!['a', 'b'], vec![1_000, 2_000]));
    /// ```
    #[inline]
    pub fn push(&mut self, value: T, timestamp: Timestamp) {
        if timestamp != NO_TIMESTAMP || !self.timestamps.is_empty() {
            // A batch in which only some records have a timestamp marks the others.
            self.timestamps.resize(self.values.len(), NO_TIMESTAMP);
            self.timestamps.push(timestamp);
        }
        self.values.push(value);
    }

    /// Removes all records; keeps the memory.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    ///
    /// let mut batch = TypedBatch::from_values(vec![1u32, 2]);
    /// batch.clear();
    /// assert!(batch.is_empty() && batch.values.capacity() >= 2);
    /// ```
    pub fn clear(&mut self) {
        self.values.clear();
        self.timestamps.clear();
        self.hashes.clear();
    }

    /// The logical bytes of all records, at least one for each, with their timestamps and hashes.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    ///
    /// let mut batch = TypedBatch::default();
    /// batch.push(7u32, 1_000);
    /// assert_eq!(batch.bytes(), 4 + 8, "record and timestamp");
    /// ```
    pub fn bytes(&self) -> usize {
        let stamps = self.timestamps.len() * size_of::<Timestamp>();
        stamps + self.hashes.len() * size_of::<u64>() + sequence_bytes(&self.values)
    }
}

impl<T: Element> BatchData for TypedBatch<T> {
    fn len(&self) -> usize {
        self.values.len()
    }

    fn byte_size(&self) -> usize {
        self.bytes()
    }

    fn duplicate(&self) -> Arc<dyn BatchData> {
        Arc::new(self.clone())
    }

    fn type_name(&self) -> &'static str {
        Self::record_type()
    }

    fn record_type() -> &'static str {
        std::any::type_name::<T>()
    }
}

/// What a row of a changelog does to the table that the changelog describes.
///
/// ```
/// use tidemill_core::batch::RowKind;
///
/// let update = [RowKind::UpdateBefore, RowKind::UpdateAfter];
/// assert_eq!(update.map(|kind| kind as u8), [1, 2]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RowKind {
    /// Adds a row (`+I`).
    Insert = 0,
    /// Takes away the old version of a row that is updated (`-U`).
    UpdateBefore = 1,
    /// Adds the new version of a row that is updated (`+U`).
    UpdateAfter = 2,
    /// Removes a row (`-D`).
    Delete = 3,
}

/// Columns, with the kind of each row's change beside them.
///
/// ```
/// use std::sync::Arc;
/// use arrow_array::{Int64Array, RecordBatch};
/// use tidemill_core::{ArrowBatch, Batch};
///
/// let numbers = Int64Array::from(vec![1, 2, 3]);
/// let columns = RecordBatch::try_from_iter([("number", Arc::new(numbers) as _)])?;
/// let batch = Batch::new(ArrowBatch::inserts(columns));
/// assert_eq!((batch.len(), batch.byte_size()), (3, 24));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ArrowBatch {
    /// The columns.
    pub records: RecordBatch,
    /// One kind a row; `None` means that all rows are inserts.
    pub kinds: Option<Arc<[RowKind]>>,
    /// One timestamp a row, or empty.
    pub timestamps: Vec<Timestamp>,
    /// One routing hash a row, of the key by which the batch was last partitioned; or empty.
    pub hashes: Vec<u64>,
}

impl ArrowBatch {
    /// Inserted rows without timestamps.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_array::{ArrayRef, Int64Array, RecordBatch};
    /// use tidemill_core::{ArrowBatch, Batch};
    ///
    /// let delays: ArrayRef = Arc::new(Int64Array::from(vec![7, -2]));
    /// let rows = ArrowBatch::inserts(RecordBatch::try_from_iter([("delay", delays)])?);
    /// assert!(rows.kinds.is_none());
    /// assert_eq!(Batch::new(rows).len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn inserts(records: RecordBatch) -> Self {
        Self { records, kinds: None, timestamps: Vec::new(), hashes: Vec::new() }
    }
}

impl BatchData for ArrowBatch {
    fn len(&self) -> usize {
        self.records.num_rows()
    }

    fn byte_size(&self) -> usize {
        let columns: usize = self
            .records
            .columns()
            .iter()
            .map(|column| {
                // Nested types do not know the size of a slice; their parent is the best bound there is.
                column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
            })
            .sum();
        // Rows without columns take something, too.
        columns.max(self.len())
            + self.timestamps.len() * size_of::<Timestamp>()
            + self.hashes.len() * size_of::<u64>()
    }

    fn duplicate(&self) -> Arc<dyn BatchData> {
        Arc::new(self.clone())
    }

    fn type_name(&self) -> &'static str {
        Self::record_type()
    }

    fn record_type() -> &'static str {
        "rows"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_batch_is_copied_before_it_is_changed() {
        let mut one = Batch::new(TypedBatch::from_values(vec![1u32, 2, 3]));
        let two = one.clone();
        one.downcast_mut::<TypedBatch<u32>>().unwrap().values.push(4);
        assert_eq!((one.len(), two.len()), (4, 3));
        let before: *const u32 = one.downcast_ref::<TypedBatch<u32>>().unwrap().values.as_ptr();
        let after: *const u32 = one.downcast_mut::<TypedBatch<u32>>().unwrap().values.as_ptr();
        assert_eq!(before, after, "an unshared batch is changed in place");
    }

    #[test]
    fn the_wrong_type_is_an_error_that_names_both() {
        let batch = Batch::new(TypedBatch::from_values(vec![1u32]));
        let error = batch.downcast_ref::<ArrowBatch>().unwrap_err().to_string();
        assert!(error.contains("a batch of u32 arrived where one of rows"), "{error}");
    }

    #[test]
    fn timestamps_may_start_late() {
        let mut batch = TypedBatch::default();
        batch.push(1u32, NO_TIMESTAMP);
        assert!(batch.timestamps.is_empty());
        batch.push(2, 7);
        batch.push(3, NO_TIMESTAMP);
        assert_eq!(batch.timestamps, [NO_TIMESTAMP, 7, NO_TIMESTAMP]);
        assert_eq!(batch.bytes(), 3 * 4 + 3 * 8);
    }

    #[test]
    fn all_that_travels_is_counted() {
        let mut batch = TypedBatch::from_values(vec![(); 3]);
        assert_eq!(batch.bytes(), 3, "records that take no byte take one");
        batch.hashes = vec![1, 2, 3];
        assert_eq!(batch.bytes(), 3 + 3 * 8);
        let mut rows = ArrowBatch::inserts(RecordBatch::new_empty(Arc::new(arrow_schema::Schema::empty())));
        rows.hashes = vec![1];
        assert_eq!(rows.byte_size(), 8);
    }
}
