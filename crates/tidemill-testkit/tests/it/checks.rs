use std::time::Duration;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{NO_TIMESTAMP, Watermark};
use tidemill_runtime::operator::{boxed, stateful};
use tidemill_runtime::{OperatorError, Output, Progress};
use tidemill_testkit::{Emitted, OperatorHarness, faults, stamped, unstamped};

use crate::operators::{Copier, Doing, Record};

/// A harness of an operator that does in `process` what `act` says.
fn doing(act: fn(Batch, &mut Output) -> Progress) -> OperatorHarness<u32> {
    OperatorHarness::new(boxed(move || Doing(act)))
}

fn one() -> TypedBatch<u32> {
    unstamped([1u32])
}

#[test]
fn what_comes_out_is_taken_by_kind() {
    let mut harness = OperatorHarness::<Record>::new(stateful(|| Copier::new(false)))
        .side::<Record>("greetings")
        .batch_records(1)
        .starts_at(5);
    harness.process(0, stamped::<Record>([((1, 2), 10), ((2, 0), 11)])).unwrap();
    harness.watermark(20).unwrap();
    harness.idle(true).unwrap();
    assert_eq!(harness.next_processing_time(), Some(10));
    harness.processing_time(30).unwrap();
    assert_eq!(harness.next_processing_time(), None);
    harness.restart().unwrap();
    harness.idle(false).unwrap();
    harness.watermark(21).unwrap();
    harness.finish().unwrap();
    let all = harness.take();
    assert!(matches!(all[0], Emitted::Batch(_)), "{all:?}");
    assert_eq!(all.len(), 2 + 2 + 1 + 2 + 1 + 2, "{all:?}");

    let mut harness = OperatorHarness::<Record>::new(stateful(|| Copier::new(false)));
    harness.process(0, stamped::<Record>([((1, 2), 10)])).unwrap();
    harness.processing_time(10).unwrap();
    harness.watermark(20).unwrap();
    assert_eq!(harness.take_side::<Record>("greetings"), [((1, 1), 10)]);
    assert_eq!(harness.take_watermarks(), [20]);
    assert_eq!(harness.take_records(), [((1, 2), 10), ((1, 1), 10), ((1, 1), 20)]);
    assert!(harness.take().is_empty());
}

#[test]
fn a_batch_goes_on_in_a_restored_operator() {
    let mut harness = OperatorHarness::<Record>::new(stateful(|| Copier::new(false))).batch_records(2);
    harness.begin(0, stamped::<Record>([((1, 3), 10), ((2, 3), 11)]));
    assert_eq!(harness.step().unwrap(), Progress::More);
    assert_eq!(harness.take_values(), [(1, 3), (1, 2)]);
    harness.restart().unwrap();
    assert!(harness.is_pending());
    harness.complete().unwrap();
    assert_eq!(harness.take_values(), [(1, 1), (2, 3), (2, 2), (2, 1)]);
    assert_eq!(harness.restores(), 1);
}

#[test]
fn errors_of_the_operator_come_out() {
    let failing = faults::fails_at::<u32>(3, "no threes");
    let mut harness = OperatorHarness::<u32>::new(failing);
    harness.process(0, unstamped([1u32, 2])).unwrap();
    let error: OperatorError = harness.process(0, unstamped([3u32])).unwrap_err();
    assert_eq!(error.to_string(), "no threes");
    assert_eq!(harness.take_records(), [(1, NO_TIMESTAMP), (2, NO_TIMESTAMP)]);
}

#[test]
#[should_panic(expected = "answered More but kept no batch")]
fn more_without_a_batch() {
    let _ = doing(|_, _| Progress::More).process(0, one());
}

#[test]
#[should_panic(expected = "kept a batch but is done")]
fn done_with_a_batch() {
    let mut harness = doing(|batch, out| {
        out.keep(batch);
        Progress::Done
    });
    let _ = harness.process(0, one());
}

#[test]
#[should_panic(expected = "given 1 records and kept 2")]
fn a_batch_that_grows() {
    let mut harness = doing(|_, out| {
        out.keep(Batch::new(unstamped([1u32, 2])));
        Progress::More
    });
    let _ = harness.process(0, one());
}

#[test]
#[should_panic(expected = "times in a row without taking or emitting anything")]
fn round_in_circles() {
    let mut harness = doing(|batch, out| {
        out.keep(batch);
        Progress::More
    });
    let _ = harness.process(0, one());
}

#[test]
#[should_panic(expected = "emitted watermark 4 after 5")]
fn a_watermark_that_goes_back() {
    let mut harness = doing(|_, out| {
        out.watermark(Watermark(5));
        out.watermark(Watermark(4));
        Progress::Done
    });
    let _ = harness.process(0, one());
}

#[test]
#[should_panic(expected = "its main output has records of u32, and alloc::string::String was emitted")]
fn records_of_another_type() {
    let mut harness = doing(|_, out| {
        out.emit_typed(unstamped(["no number".to_owned()]));
        Progress::Done
    });
    let _ = harness.process(0, one());
}

#[test]
#[should_panic(expected = "a batch of 1 records has 2 timestamps")]
fn columns_of_unequal_length() {
    let mut harness = doing(|_, out| {
        out.emit_typed(TypedBatch { values: vec![1u32], timestamps: vec![1, 2], hashes: Vec::new() });
        Progress::Done
    });
    harness.process(0, one()).unwrap();
    harness.take_records();
}

#[test]
#[should_panic(expected = "was called on an operator that is Finished")]
fn input_after_the_end() {
    let mut harness = OperatorHarness::<u32>::new(faults::pass::<u32>());
    harness.finish().unwrap();
    let _ = harness.process(0, one());
}

#[test]
#[should_panic(expected = "waits for the outside, and nobody has woken it")]
fn waiting_for_nobody() {
    let mut harness = doing(|batch, out| {
        out.keep(batch);
        Progress::Wait
    })
    .patience(Duration::from_millis(10));
    let _ = harness.process(0, one());
}

#[test]
fn an_operator_that_waits_goes_on_when_it_is_woken() {
    let (factory, gate) = faults::waits_at::<u32>(2);
    let mut harness = OperatorHarness::<u32>::new(factory);
    harness.begin(0, unstamped([1u32, 2, 3]));
    assert_eq!(harness.step().unwrap(), Progress::Wait);
    assert_eq!(harness.take_values(), [1]);
    let opener = std::thread::spawn(move || gate.open());
    harness.complete().unwrap();
    opener.join().unwrap();
    assert_eq!(harness.take_values(), [2, 3]);
}
