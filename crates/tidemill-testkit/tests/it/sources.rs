use tidemill_core::time::Timestamp;
use tidemill_testkit::{Log, Random, SourceHarness, SourceState};

fn log() -> (Log<u32>, Vec<(u32, Timestamp)>) {
    let splits = (0..5u32).map(|split| (0..40).map(|i| (split * 100 + i, i64::from(i))).collect::<Vec<_>>());
    let splits: Vec<_> = splits.collect();
    let all = splits.concat();
    (Log::bounded(splits), all)
}

#[test]
fn a_source_reads_each_record_once_however_often_it_is_interrupted() {
    for seed in Random::seeds(20) {
        let (log, expected) = log();
        let mut harness = SourceHarness::<u32>::open(log.source(), 2, 7).unwrap().random_snapshots(seed, 6);
        assert_eq!(harness.run().unwrap(), SourceState::Ended);
        let mut records = harness.take_records();
        records.sort_unstable();
        assert_eq!(records, expected, "seed {seed}");
        assert!(harness.restores() > 0);
        assert_eq!(harness.watermark(), Timestamp::MAX);
    }
}

#[test]
fn a_source_waits_for_what_the_test_adds() {
    let log = Log::<u32>::new(2);
    let mut harness = SourceHarness::<u32>::open(log.source(), 1, 7).unwrap();
    log.push(0, [(1, 10)]);
    assert_eq!(harness.run().unwrap(), SourceState::Waiting);
    assert_eq!(harness.take_records(), [(1, 10)]);
    assert_eq!(harness.watermark(), Timestamp::MIN, "the other split holds event time back");
    log.push(1, [(2, 5)]);
    log.end(1);
    assert_eq!(harness.run().unwrap(), SourceState::Waiting);
    assert_eq!((harness.take_records(), harness.watermark()), (vec![(2, 5)], 10));
    log.break_at(0, 2, "the disk is gone");
    log.push(0, [(3, 11), (4, 12)]);
    let error = harness.run().unwrap_err();
    assert_eq!(error.to_string(), "the disk is gone");
    assert_eq!(harness.take_records(), [(3, 11)]);
}

/// The last watermark of a source that has gone idle must not be ignored as that of an idle input.
#[test]
fn an_idle_source_is_active_again_when_it_ends() {
    let log = Log::<u32>::new(1);
    let idleness = Some(std::time::Duration::from_millis(500));
    let mut harness = SourceHarness::<u32>::open(log.source_with(idleness, None), 1, 7).unwrap();
    assert_eq!(harness.run().unwrap(), SourceState::Waiting);
    assert!(harness.is_idle());
    log.end(0);
    assert_eq!(harness.run().unwrap(), SourceState::Ended);
    assert!(!harness.is_idle());
    assert_eq!(harness.watermark(), Timestamp::MAX);
}
