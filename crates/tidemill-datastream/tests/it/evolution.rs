//! Operators of one release of a program that go on from what those of the last one stored.

use std::fmt::Debug;
use std::time::Duration;

use tidemill_datastream::DataStream;
use tidemill_datastream::windows::TumblingEventTimeWindows;
use tidemill_serialization::{Data, Record};
use tidemill_state::SubtaskSnapshot;
use tidemill_testkit::{OperatorHarness, stamped};

use crate::support::{operator, stream, streams};

mod last {
    #[derive(tidemill_serialization::Record, Clone, Debug, PartialEq)]
    pub(super) struct Event {
        pub(super) key: u8,
        pub(super) amount: f32,
        pub(super) note: String,
    }
}

#[derive(Record, Clone, Debug, PartialEq)]
struct Event {
    amount: f64,
    #[record(default = "web".to_owned())]
    channel: String,
    #[record(alias = "key")]
    shop: u8,
}

fn old(key: u8, amount: f32) -> last::Event {
    last::Event { key, amount, note: "n".into() }
}

fn new(shop: u8, amount: f64, channel: &str) -> Event {
    Event { amount, channel: channel.into(), shop }
}

/// What a harness stores, by way of bytes.
fn stored<U: Data + Debug>(harness: &mut OperatorHarness<U>) -> SubtaskSnapshot {
    SubtaskSnapshot::decode(&harness.snapshot().unwrap().encode()).unwrap()
}

#[test]
fn windows_go_on_with_changed_records() {
    let size = Duration::from_millis(100);
    let before: DataStream<last::Event> = stream::<last::Event>()
        .key_by(|event| event.key)
        .window(TumblingEventTimeWindows::of(size))
        .reduce(|sum: &mut last::Event, event: last::Event| sum.amount += event.amount);
    let mut before = OperatorHarness::<last::Event>::of(operator(&before));
    before.process(0, stamped([(old(1, 1.5), 10), (old(2, 4.0), 20), (old(1, 2.0), 150)])).unwrap();

    let after: DataStream<Event> = stream::<Event>()
        .key_by(|event| event.shop)
        .window(TumblingEventTimeWindows::of(size))
        .reduce(|sum: &mut Event, event: Event| sum.amount += event.amount);
    let mut after = OperatorHarness::<Event>::of(operator(&after)).restored(stored(&mut before));
    after.process(0, stamped([(new(1, 0.25, "shop"), 50), (new(3, 7.0, "shop"), 60)])).unwrap();
    after.watermark(99).unwrap();
    let mut first = after.take_values();
    first.sort_by_key(|event| event.shop);
    // The sum begun with the old type keeps what that did not know.
    assert_eq!(first, [new(1, 1.75, "web"), new(2, 4.0, "web"), new(3, 7.0, "shop")]);
    after.watermark(1000).unwrap();
    assert_eq!(after.take_values(), [new(1, 2.0, "web")]);
}

#[test]
fn joins_go_on_with_changed_records() {
    let (left, right) = streams::<last::Event, (u8, u32)>();
    let before = left
        .key_by(|event| event.key)
        .interval_join(&right.key_by(|record| record.0))
        .between(-10, 10)
        .apply(|left, right| (left.clone(), *right));
    let mut before = OperatorHarness::<(last::Event, (u8, u32))>::of(operator(&before));
    before.process(0, stamped([(old(1, 1.5), 10)])).unwrap();
    before.process(1, stamped([((2u8, 5u32), 12)])).unwrap();

    let (left, right) = streams::<Event, (u8, u64)>();
    let after = left
        .key_by(|event| event.shop)
        .interval_join(&right.key_by(|record| record.0))
        .between(-10, 10)
        .apply(|left, right| (left.clone(), *right));
    let mut after = OperatorHarness::<(Event, (u8, u64))>::of(operator(&after)).restored(stored(&mut before));
    after.process(1, stamped([((1u8, 6u64), 15)])).unwrap();
    after.process(0, stamped([(new(2, 3.0, "shop"), 5)])).unwrap();
    assert_eq!(after.take_values(), [(new(1, 1.5, "web"), (1, 6)), (new(2, 3.0, "shop"), (2, 5))]);
}

#[test]
fn what_cannot_go_on_does_not_start() {
    let size = Duration::from_millis(100);
    let before: DataStream<(u8, f64)> = stream::<(u8, f64)>()
        .key_by(|event| event.0)
        .window(TumblingEventTimeWindows::of(size))
        .reduce(|sum: &mut (u8, f64), event: (u8, f64)| sum.1 += event.1);
    let mut before = OperatorHarness::<(u8, f64)>::of(operator(&before));
    before.process(0, stamped([((1u8, 1.5f64), 10)])).unwrap();

    let after: DataStream<(u8, f32)> = stream::<(u8, f32)>()
        .key_by(|event| event.0)
        .window(TumblingEventTimeWindows::of(size))
        .reduce(|sum: &mut (u8, f32), event: (u8, f32)| sum.1 += event.1);
    let mut after = OperatorHarness::<(u8, f32)>::of(operator(&after)).restored(stored(&mut before));
    let error = after.open().unwrap_err();
    assert_eq!(error.code(), "TM-STATE-INCOMPATIBLE");
    assert!(error.to_string().contains("(u8, f32).1 was f64 and is now f32 ("), "{error}");
}
