//! Sources that make their records.

use proptest::prelude::*;
use tidemill_connectors::{CollectionSource, GeneratorSource, SequenceSource};
use tidemill_core::TypedBatch;
use tidemill_runtime::source::{ReaderStatus, Source, SplitAssignment};
use tidemill_serialization::Data;

use crate::harness::{SourceDriver, read_all};

fn values<T: Data>(driver: &SourceDriver) -> Vec<T> {
    let batches = driver.batches.iter();
    batches.flat_map(|(_, batch)| batch.downcast_ref::<TypedBatch<T>>().unwrap().values.clone()).collect()
}

#[test]
fn a_bounded_generator_ends_and_says_how_far_it_is() {
    let source = GeneratorSource::bounded(10, |number| number * 2);
    let driver = read_all(&source, 4).unwrap();
    assert_eq!(values::<u64>(&driver), (0..10).map(|number| number * 2).collect::<Vec<_>>());
    assert!(driver.batches.iter().all(|(_, batch)| batch.len() <= 4));
    let progress = driver.reader.progress();
    assert_eq!((progress.done, progress.total), (10, Some(10)));
    assert!(read_all(&GeneratorSource::bounded(0, |number| number), 4).unwrap().batches.is_empty());
}

#[test]
fn an_unbounded_generator_deals_by_turns_and_never_ends() {
    let source = GeneratorSource::unbounded(|number| number);
    assert!(!source.is_bounded());
    let mut driver = SourceDriver::new(&source, 3, 4).unwrap();
    while driver.batches.len() < 2 {
        assert_ne!(driver.poll().unwrap(), ReaderStatus::End);
    }
    assert_eq!(values::<u64>(&driver), [0, 3, 6, 9, 12, 15, 18, 21]);
    assert_eq!(driver.reader.progress().total, None);
}

#[test]
fn an_unbounded_generator_goes_on_with_all_its_splits_at_a_lower_parallelism() {
    let source = GeneratorSource::unbounded(|number| number);
    let mut driver = SourceDriver::new(&source, 3, 4).unwrap();
    while driver.batches.is_empty() {
        driver.poll().unwrap();
    }
    assert_eq!(values::<u64>(&driver), [0, 3, 6, 9]);
    let mut driver = driver.restore(&source, 1, 2).unwrap();
    while driver.batches.len() < 16 {
        assert_ne!(driver.poll().unwrap(), ReaderStatus::End);
    }
    let mut numbers = values::<u64>(&driver);
    numbers.sort_unstable();
    // The others of the three splits catch up, and none is left behind by more than a batch of each.
    assert_eq!(numbers[..28], (0..28).collect::<Vec<_>>());
    // Two of the three at two subtasks: each is given its own.
    let mut enumerator = source.create_enumerator(3, None).unwrap();
    let restored = enumerator.snapshot();
    enumerator = source.create_enumerator(2, Some(restored)).unwrap();
    let mut of = |subtask| {
        let mut ids = Vec::new();
        while let SplitAssignment::Split(split) = enumerator.next_split(subtask).unwrap() {
            ids.push(split.id.to_string());
        }
        ids
    };
    assert_eq!((of(0), of(1)), (vec!["0".to_owned(), "2".to_owned()], vec!["1".to_owned()]));
}

#[test]
fn a_slow_generator_says_when_to_come_back() {
    assert!(GeneratorSource::bounded(1, |n| n).records_per_second(0.0).is_err());
    let source = GeneratorSource::bounded(100, |number| number).records_per_second(0.001).unwrap();
    let mut driver = SourceDriver::new(&source, 1, 10).unwrap();
    let deadline = loop {
        if let ReaderStatus::Pending(deadline) = driver.poll().unwrap() {
            break deadline.unwrap();
        }
    };
    assert_eq!(values::<u64>(&driver), [0]);
    assert!(deadline > std::time::Instant::now());
}

#[test]
fn sequences_include_both_ends() {
    assert_eq!(values::<i64>(&read_all(&SequenceSource::new(-2, 2), 100).unwrap()), [-2, -1, 0, 1, 2]);
    assert!(read_all(&SequenceSource::new(2, 1), 100).unwrap().batches.is_empty());
}

proptest! {
    #[test]
    fn restored_sources_emit_each_record_once(
        records in prop::collection::vec("[a-z]{0,3}", 0..60),
        steps in prop::collection::vec((1usize..9, 0usize..4), 1..10),
        parallelism in 1u32..4,
    ) {
        let source = CollectionSource::new(records.clone());
        let mut driver = SourceDriver::new(&source, parallelism, 5).unwrap();
        for (step, polls) in steps {
            for _ in 0..polls {
                if !driver.ended {
                    driver.poll().unwrap();
                }
            }
            driver = driver.restore(&source, parallelism, step).unwrap();
        }
        driver.run().unwrap();
        prop_assert_eq!(values::<String>(&driver), records);
    }
}
