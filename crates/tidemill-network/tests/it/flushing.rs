use std::time::{Duration, Instant};

use tidemill_core::time::Watermark;
use tidemill_network::router::{RoundRobin, ScatterRouter};
use tidemill_network::{BufferTimeout, Event};

use crate::support::{Exchange, SEGMENT, Shape, batch, drain, exchange};

fn with_timeout(timeout: BufferTimeout) -> Exchange {
    let router = ScatterRouter::<u32, _>::new(RoundRobin::default(), 2, SEGMENT);
    exchange(Box::new(router), Shape { timeout, partition_buffers: 20, ..Shape::of(2) })
}

#[test]
fn without_a_timeout_only_full_buffers_and_the_end_are_sent() {
    let mut exchange = with_timeout(BufferTimeout::Disabled);
    let now = Instant::now();
    exchange.partition.write(batch(0..33), now).unwrap();
    assert_eq!(exchange.partition.deadline(), None);
    exchange.partition.flush_due(now + Duration::from_secs(3600)).unwrap();
    // 16 records fill a buffer; the 33rd waits in the first channel.
    let [first, second] = &mut exchange.gates[..] else { panic!("two gates") };
    assert_eq!((drain(first).len(), drain(second).len()), (1, 1));
    exchange.partition.broadcast(Event::EndOfInput).unwrap();
    assert_eq!(drain(&mut exchange.gates[0]), ["32", "EndOfInput"]);
    assert_eq!(drain(&mut exchange.gates[1]), ["EndOfInput"]);
    let sent = exchange.partition.sent();
    assert_eq!((sent.buffers, sent.records, sent.bytes), (3, 33, 33 * 4));
}

#[test]
fn at_timeout_zero_each_batch_is_sent_at_once() {
    let mut exchange = with_timeout(BufferTimeout::of(Duration::ZERO));
    exchange.partition.write(batch(0..3), Instant::now()).unwrap();
    assert_eq!(exchange.partition.deadline(), None);
    assert_eq!(drain(&mut exchange.gates[0]), ["0,2"]);
    assert_eq!(drain(&mut exchange.gates[1]), ["1"]);
}

#[test]
fn a_timeout_counts_from_the_oldest_record() {
    let timeout = Duration::from_millis(100);
    let mut exchange = with_timeout(BufferTimeout::After(timeout));
    let start = Instant::now();
    exchange.partition.write(batch(0..1), start).unwrap();
    exchange.partition.write(batch(1..2), start + timeout / 2).unwrap();
    assert_eq!(exchange.partition.deadline(), Some(start + timeout));
    exchange.partition.flush_due(start + timeout - Duration::from_nanos(1)).unwrap();
    assert!(drain(&mut exchange.gates[0]).is_empty());
    exchange.partition.flush_due(start + timeout).unwrap();
    assert_eq!(
        (drain(&mut exchange.gates[0]), drain(&mut exchange.gates[1])),
        (vec!["0".into()], vec!["1".into()])
    );
    assert_eq!(exchange.partition.deadline(), None);
    // Buffers that got full leave nothing to wait for.
    exchange.partition.write(batch(0..32), start + timeout).unwrap();
    assert_eq!(exchange.partition.deadline(), None);
}

#[test]
fn a_timeout_that_never_passes_is_no_failure() {
    let mut exchange = with_timeout(BufferTimeout::After(Duration::MAX));
    exchange.partition.write(batch(0..1), Instant::now()).unwrap();
    assert_eq!(exchange.partition.deadline(), None);
    exchange.partition.flush().unwrap();
    assert_eq!(drain(&mut exchange.gates[0]), ["0"]);
}

#[test]
fn a_watermark_rides_behind_what_waits_and_does_not_push_it_out() {
    let mut exchange = with_timeout(BufferTimeout::Disabled);
    let now = Instant::now();
    exchange.partition.write(batch(0..1), now).unwrap();
    for watermark in [5, 6, 7] {
        exchange.partition.broadcast(Event::Watermark(Watermark(watermark))).unwrap();
    }
    assert!(drain(&mut exchange.gates[0]).is_empty());
    assert_eq!(drain(&mut exchange.gates[1]), ["Watermark(Watermark(7))"], "nothing waits in this channel");
    exchange.partition.flush().unwrap();
    assert_eq!(drain(&mut exchange.gates[0]), ["0", "Watermark(Watermark(7))"]);
}

#[test]
fn what_rides_arrives_in_an_order_in_which_nothing_is_ignored() {
    let idle = Event::Idle;
    let watermark = |timestamp| Event::Watermark(Watermark(timestamp));
    let cases: [(&[Event], &[&str]); 5] = [
        (&[watermark(5), idle(true)], &["Watermark(Watermark(5))", "Idle(true)"]),
        // A watermark of a channel that counts as idle would be ignored.
        (&[idle(false), watermark(5)], &["Idle(false)", "Watermark(Watermark(5))"]),
        (&[idle(false), watermark(5), idle(true)], &["Idle(false)", "Watermark(Watermark(5))", "Idle(true)"]),
        (&[watermark(4), idle(true), idle(false), watermark(5)], &["Idle(false)", "Watermark(Watermark(5))"]),
        (&[idle(true), idle(false)], &["Idle(false)"]),
    ];
    for (said, heard) in cases {
        let mut exchange = with_timeout(BufferTimeout::Disabled);
        exchange.partition.write(batch(0..1), Instant::now()).unwrap();
        for event in said {
            exchange.partition.broadcast(*event).unwrap();
        }
        exchange.partition.flush().unwrap();
        assert_eq!(drain(&mut exchange.gates[0])[1..], *heard, "{said:?}");
    }
}
