//! Record types as harnesses know them, without being generic over each.

use std::fmt::Debug;
use std::sync::Arc;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{NO_TIMESTAMP, Timestamp};
use tidemill_serialization::{BatchSerializer, Data, TypedBatchSerializer};

/// A batch of records with timestamps.
///
/// ```
/// use tidemill_testkit::stamped;
///
/// assert_eq!(stamped([(7u64, 100)]).timestamps, [100]);
/// ```
pub fn stamped<T: Data>(records: impl IntoIterator<Item = (T, Timestamp)>) -> TypedBatch<T> {
    let mut batch = TypedBatch::default();
    for (value, timestamp) in records {
        batch.push(value, timestamp);
    }
    batch
}

/// A batch of records without timestamps.
///
/// ```
/// use tidemill_testkit::unstamped;
///
/// assert!(unstamped([7u64]).timestamps.is_empty());
/// ```
pub fn unstamped<T: Data>(records: impl IntoIterator<Item = T>) -> TypedBatch<T> {
    TypedBatch::from_values(records.into_iter().collect())
}

/// A record as something that can be compared and shown whatever its type is.
///
/// ```
/// use tidemill_testkit::Row;
///
/// let row = Row { bytes: vec![7], timestamp: 100, text: "7".to_owned() };
/// assert_eq!(format!("{row:?}"), "7 @ 100");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The encoded record.
    pub bytes: Vec<u8>,
    /// Its timestamp, or [`NO_TIMESTAMP`].
    pub timestamp: Timestamp,
    /// How its type shows it.
    pub text: String,
}

impl Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.timestamp {
            NO_TIMESTAMP => f.write_str(&self.text),
            timestamp => write!(f, "{} @ {timestamp}", self.text),
        }
    }
}

/// A type of records: how its batches are encoded, checked and compared.
///
/// ```
/// use tidemill_core::Batch;
/// use tidemill_testkit::{RecordType, stamped};
///
/// let numbers = RecordType::of::<u64>();
/// let rows = numbers.rows(&numbers.through_bytes(&Batch::new(stamped([(7u64, 100)]))));
/// assert_eq!((rows[0].text.as_str(), rows[0].timestamp), ("7", 100));
/// ```
#[derive(Clone)]
pub struct RecordType {
    name: &'static str,
    serializer: Arc<dyn BatchSerializer>,
    rows: Arc<dyn Fn(&Batch) -> Vec<Row> + Send + Sync>,
}

impl RecordType {
    /// The type of the typed API's batches of `T`.
    pub fn of<T: Data + Debug>() -> Self {
        Self::new(Arc::new(TypedBatchSerializer::<T>::default()), typed_rows::<T>)
    }

    /// A type with a serializer of its own; `rows` takes its batches apart.
    pub fn new(
        serializer: Arc<dyn BatchSerializer>,
        rows: impl Fn(&Batch) -> Vec<Row> + Send + Sync + 'static,
    ) -> Self {
        Self { name: serializer.type_name(), serializer, rows: Arc::new(rows) }
    }

    /// The name that batches of this type have.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The records of a batch.
    pub fn rows(&self, batch: &Batch) -> Vec<Row> {
        (self.rows)(batch)
    }

    /// The batch as it comes out of a checkpoint or another process.
    pub fn through_bytes(&self, batch: &Batch) -> Batch {
        let mut bytes = Vec::new();
        self.serializer.encode(batch, &mut bytes).expect("a batch can be encoded");
        self.serializer.decode(&bytes).expect("an encoded batch can be decoded")
    }
}

fn typed_rows<T: Data + Debug>(batch: &Batch) -> Vec<Row> {
    let records = batch.downcast_ref::<TypedBatch<T>>().unwrap_or_else(|error| panic!("{error}"));
    let count = records.values.len();
    for (column, len) in [("timestamps", records.timestamps.len()), ("hashes", records.hashes.len())] {
        assert!(len == 0 || len == count, "a batch of {count} records has {len} {column}");
    }
    (0..count)
        .map(|index| {
            let mut bytes = Vec::new();
            records.values[index].encode(&mut bytes);
            Row { bytes, timestamp: records.timestamp(index), text: format!("{:?}", records.values[index]) }
        })
        .collect()
}
