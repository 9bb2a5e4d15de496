//! Whole batches.

use proptest::prelude::*;
use tidemill_core::batch::{ArrowBatch, Batch, TypedBatch};
use tidemill_core::time::NO_TIMESTAMP;
use tidemill_core::{Classified, Fault};
use tidemill_serialization::{
    BatchSerializer, Data, SerializationError, TypedBatchSerializer, decode_batch, encode_batch,
};

use crate::records::*;

fn check<T: Data + PartialEq + std::fmt::Debug>(batch: &TypedBatch<T>) {
    let mut bytes = vec![9];
    encode_batch(batch, &mut bytes).unwrap();
    let bytes = &bytes[1..];
    // Routing hashes count, too, but are not written.
    assert_eq!(bytes.len() + size_of_val(&batch.hashes[..]), 6 + batch.bytes());
    let back = decode_batch::<T>(bytes).unwrap();
    assert_eq!(back.values, batch.values);
    assert_eq!(back.timestamps, batch.timestamps);
    assert!(back.hashes.is_empty());
    for end in 0..bytes.len() {
        decode_batch::<T>(&bytes[..end]).expect_err("a batch cut short");
    }
    decode_batch::<T>(&[bytes, &[0]].concat()).expect_err("a byte too many");
}

proptest! {
    #[test]
    fn batches_come_back(
        events in prop::collection::vec((event::<String>(), any::<i64>()), 0..8),
        points in prop::collection::vec(any::<(i32, i64)>(), 0..50),
        stamped: bool,
    ) {
        let mut batch = TypedBatch::default();
        for (event, timestamp) in events {
            batch.push(event, if stamped { timestamp } else { NO_TIMESTAMP });
        }
        batch.hashes = vec![1; batch.len()];
        check(&batch);
        check(&TypedBatch::from_values(vec![(); points.len()]));
        check(&TypedBatch::from_values(points.into_iter().map(|(x, y)| Point(x, y)).collect()));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(prop_oneof![3 => 0u8..3, 1 => any::<u8>()], 0..100)) {
        let _ = decode_batch::<Event<String>>(&bytes);
        let _ = decode_batch::<Tree>(&bytes);
        if let Ok(batch) = decode_batch::<u16>(&bytes) {
            let mut again = Vec::new();
            encode_batch(&batch, &mut again).unwrap();
            prop_assert_eq!(again, bytes);
        }
    }
}

#[test]
fn golden_bytes() {
    let mut batch = TypedBatch::from_values(vec![7u16, 8]);
    let mut bytes = Vec::new();
    encode_batch(&batch, &mut bytes).unwrap();
    assert_eq!(bytes, [1, 0, 2, 0, 0, 0, 7, 0, 8, 0]);
    batch.timestamps = vec![-1, 5];
    bytes.clear();
    encode_batch(&batch, &mut bytes).unwrap();
    let stamps = [[0xff; 8], [5, 0, 0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(bytes, [&[1, 1, 2, 0, 0, 0][..], &stamps, &[7, 0, 8, 0]].concat());
}

#[test]
fn errors_say_what_is_wrong() {
    let message = |bytes: &[u8]| decode_batch::<u16>(bytes).unwrap_err().to_string();
    let newer = message(&[2, 0, 0, 0, 0, 0]);
    assert_eq!(newer, "a batch of u16 is in format 2, this release reads up to 1: use a newer one");
    assert!(message(&[0, 0, 0, 0, 0, 0]).contains("0 is no version of the format"));
    assert!(message(&[1, 2, 0, 0, 0, 0]).contains("its second byte is 2, neither 0 nor 1"));
    assert!(
        message(&[1, 0, 2, 0, 0, 0, 0]).contains("the bytes of batch end too early: 4 more needed, 1 left")
    );
    let error = decode_batch::<u16>(&[1]).unwrap_err();
    assert_eq!((error.code(), error.fault()), ("TM-SERIALIZATION-TRUNCATED", Fault::External));

    let odd = TypedBatch { values: vec![1u8, 2], timestamps: vec![1], hashes: Vec::new() };
    let mut out = vec![1];
    let error = encode_batch(&odd, &mut out).unwrap_err();
    assert!(matches!(error, SerializationError::Timestamps { records: 2, timestamps: 1, .. }));
    assert_eq!(out, [1]);
}

#[test]
fn a_batch_of_four_gibibytes_is_refused_before_it_is_written() {
    /// Pretends to be large.
    #[derive(Clone, Debug)]
    struct Large;
    impl tidemill_core::Element for Large {
        const FIXED_BYTES: Option<usize> = Some(1 << 31);
        fn logical_bytes(&self) -> usize {
            1 << 31
        }
    }
    impl Data for Large {
        fn describe(_: &mut tidemill_serialization::SchemaBuilder) -> tidemill_serialization::schema::Type {
            tidemill_serialization::schema::Type::Unit
        }

        fn encode(&self, _: &mut Vec<u8>) {
            unreachable!("the batch is refused before")
        }
        fn decode(
            _: &mut tidemill_serialization::Input<'_>,
        ) -> Result<Self, tidemill_serialization::DecodeError> {
            Ok(Self)
        }
    }
    let mut out = Vec::new();
    let error = encode_batch(&TypedBatch::from_values(vec![Large, Large]), &mut out).unwrap_err();
    assert!(
        matches!(error, SerializationError::TooLarge { records: 2, bytes: 4_294_967_302, .. }),
        "{error}"
    );
    assert!(out.is_empty());
}

#[test]
fn the_serializer_of_an_edge_knows_its_type() {
    let serializer: Box<dyn BatchSerializer> = Box::new(TypedBatchSerializer::<u16>::default());
    let mut bytes = Vec::new();
    serializer.encode(&Batch::new(TypedBatch::from_values(vec![1u16, 2])), &mut bytes).unwrap();
    let back = serializer.decode(&bytes).unwrap();
    assert_eq!(back.downcast_ref::<TypedBatch<u16>>().unwrap().values, [1, 2]);
    let error = serializer.encode(&Batch::new(TypedBatch::from_values(vec![1u8])), &mut bytes).unwrap_err();
    assert!(matches!(error, SerializationError::WrongBatchType(_)));
    let rows = arrow_array::RecordBatch::new_empty(std::sync::Arc::new(arrow_schema::Schema::empty()));
    serializer.encode(&Batch::new(ArrowBatch::inserts(rows)), &mut bytes).expect_err("columns");
    assert_eq!(serializer.type_name(), "u16");
    assert_eq!(format!("{serializer:?}"), "TypedBatchSerializer<u16>");
}
