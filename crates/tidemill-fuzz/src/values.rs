//! Values and batches as they are.

use std::collections::{BTreeMap, HashMap, HashSet};

use tidemill_core::TypedBatch;
use tidemill_serialization::{
    BatchSerializer, Data, Input, SerializerSnapshot, TypedBatchSerializer, decode_batch, encode_batch,
};

use crate::evolved::{ForEach, for_pair};
use crate::shapes::{Event, Everything, Never, Scalars, Sparse, Tree, Unit, encoded};
use crate::{choice, evolved, meter};

/// Reads one value, which may take `factor` times its bytes in memory. What was read is written and read again; bytes
/// are compared, not values, because of NaN.
pub(crate) fn value<T: Data>(bytes: &[u8], factor: usize) {
    let mut input = Input::new(bytes);
    let Ok(value) = meter::within(factor, bytes.len(), || T::decode(&mut input)) else { return };
    let once = encoded(&value);
    assert_eq!(value.logical_bytes(), once.len(), "the logical bytes are those encoded");
    assert!(T::FIXED_BYTES.is_none_or(|fixed| fixed == once.len()));
    let mut again = Input::new(&once);
    let value = T::decode(&mut again).expect("what was written can be read");
    again.finish("value").unwrap();
    assert_eq!(encoded(&value), once, "what was read again is the same");
}

/// Reads values of every shape.
pub fn values(bytes: &[u8]) {
    let (which, bytes) = choice(bytes);
    match which % 13 {
        0 => value::<Scalars>(bytes, 16),
        1 => value::<Everything>(bytes, 256),
        2 => value::<Event<String>>(bytes, 16),
        3 => value::<Vec<Event<Vec<char>>>>(bytes, 256),
        4 => value::<HashMap<String, Tree>>(bytes, 256),
        5 => value::<Tree>(bytes, 256),
        // A byte of input may stand for 257 bytes of memory, and hash tables are at most three quarters full.
        6 => value::<Sparse>(bytes, 2048),
        7 => value::<(Vec<()>, Vec<Unit>, HashSet<Unit>, BTreeMap<(), ()>)>(bytes, 64),
        8 => value::<Vec<Vec<Vec<Option<Box<u8>>>>>>(bytes, 256),
        9 => value::<Vec<Never>>(bytes, 16),
        10 => value::<[Option<Vec<String>>; 4]>(bytes, 256),
        11 => value::<Vec<(i64, f32, bool)>>(bytes, 16),
        _ => value::<evolved::Change>(bytes, 512),
    }
}

fn batch<T: Data>(bytes: &[u8], factor: usize) {
    let Ok(batch) = meter::within(factor, bytes.len(), || decode_batch::<T>(bytes)) else { return };
    assert!(batch.timestamps.is_empty() || batch.timestamps.len() == batch.values.len());
    let mut once = Vec::new();
    encode_batch(&batch, &mut once).expect("what was read can be written");
    let batch = decode_batch::<T>(&once).expect("what was written can be read");
    let mut again = Vec::new();
    encode_batch(&batch, &mut again).unwrap();
    assert_eq!(once, again);
}

/// Reads batches.
pub fn batches(bytes: &[u8]) {
    let (which, bytes) = choice(bytes);
    match which % 6 {
        0 => batch::<u64>(bytes, 16),
        1 => batch::<()>(bytes, 16),
        2 => batch::<Everything>(bytes, 1024),
        3 => batch::<evolved::Order>(bytes, 256),
        4 => batch::<Tree>(bytes, 256),
        _ => batch::<(bool, String)>(bytes, 64),
    }
}

struct Migrated<'a>(&'a [u8]);

impl ForEach for Migrated<'_> {
    type Result = ();

    fn run<Old: Data, New: Data>(self) {
        let declared = TypedBatchSerializer::<New>::default();
        let stored = SerializerSnapshot::of::<Old>();
        let reader = declared.reading(&stored).expect("the second release reads what the first wrote");
        let Ok(batch) = meter::within(4096, self.0.len(), || reader.decode(self.0)) else { return };
        let records = batch.downcast_ref::<TypedBatch<New>>().unwrap();
        // The same as one value after the other.
        let mut once = Vec::new();
        reader.encode(&batch, &mut once).expect("what was migrated can be written");
        let again = declared.decode(&once).expect("what was written can be read");
        assert_eq!(again.len(), records.values.len());
        let old = decode_batch::<Old>(self.0);
        if let Ok(old) = old {
            assert_eq!(old.values.len(), records.values.len());
            assert_eq!(old.timestamps, records.timestamps);
        }
    }
}

/// Reads batches that the first release wrote in the second.
pub fn migrated_batches(bytes: &[u8]) {
    let (which, bytes) = choice(bytes);
    for_pair(which, Migrated(bytes));
}
