//! Watermarks, idleness and alignment in whole jobs.

use std::time::Duration;

use tidemill_core::graph::ShipStrategy;
use tidemill_runtime::source::WatermarkAlignment;
use tidemill_testkit::jobs::{Job, assert_clean, small_cluster, until, wait};
use tidemill_testkit::sinks::{Arrival, collect};
use tidemill_testkit::{Log, faults};

use crate::functions::{map, numbers};

const TICK: Duration = Duration::from_millis(1);

#[test]
fn an_idle_partition_does_not_hold_event_time_back() {
    // One subtask with two partitions, and two subtasks with one each: both ways of being held back.
    for parallelism in [1, 2] {
        let log = Log::<u32>::new(2);
        let mut job = Job::new("idle").parallelism(parallelism);
        job.settings.auto_watermark_interval = TICK;
        let source = job.source("in", log.source_with(Some(TICK), None));
        let pass = job.operator("pass", faults::pass::<u32>());
        let (sink, collected) = collect::<u32>();
        let sink = job.sink("out", sink);
        job.connect_by::<u32>(source, pass, ShipStrategy::Rebalance);
        job.connect_by::<u32>(pass, sink, ShipStrategy::Global);
        let cluster = small_cluster();
        let handle = job.submit_to(&cluster).unwrap();
        log.push(0, numbers(0..10));
        let reaches = |timestamp: i64| {
            collected.wait_until(|arrivals| arrivals.contains(&Arrival::Watermark(0, timestamp)));
        };
        reaches(9);
        log.push(1, numbers(100..200));
        reaches(199);
        // What comes late from the partition that lags does not turn event time back; the sink's checks see to that.
        log.push(0, numbers(10..20));
        collected.wait_for_records(120);
        log.end_all();
        wait(&handle).unwrap();
        assert_eq!(collected.watermarks(0).last(), Some(&i64::MAX), "the end is heard though all were idle");
        assert_clean(&cluster);
    }
}

#[test]
fn an_input_that_ends_leaves_event_time_to_the_other() {
    let (one, two) = (Log::<u32>::new(1), Log::<u32>::new(1));
    let mut job = Job::new("two inputs");
    let first = job.source("one", one.source());
    let second = job.source("two", two.source());
    let join = job.operator("join", map(|_, number: &u32| *number));
    let (sink, collected) = collect::<u32>();
    let sink = job.sink("out", sink);
    job.connect::<u32>(first, join);
    job.connect::<u32>(second, join).input = 1;
    job.connect::<u32>(join, sink);
    let cluster = small_cluster();
    let handle = job.submit_to(&cluster).unwrap();
    one.push(0, numbers(0..10));
    one.end(0);
    two.push(0, numbers(0..5));
    collected.wait_until(|arrivals| arrivals.contains(&Arrival::Watermark(0, 4)));
    two.push(0, numbers(5..50));
    collected.wait_until(|arrivals| arrivals.contains(&Arrival::Watermark(0, 49)));
    assert_eq!(collected.watermarks(0), [4, 49]);
    two.end(0);
    wait(&handle).unwrap();
    assert_eq!(collected.watermarks(0), [4, 49, i64::MAX]);
}

/// The end of one input is not the end of event time while the other one is only idle.
#[test]
fn an_input_that_ends_does_not_end_one_that_is_idle() {
    for inputs in [1, 2] {
        let (one, two) = (Log::<u32>::new(1), Log::<u32>::new(1));
        let mut job = Job::new("ended and idle");
        job.settings.auto_watermark_interval = TICK;
        let first = job.source("one", one.source());
        let second = job.source("two", two.source_with(Some(TICK), None));
        let join = job.operator("join", map(|_, number: &u32| *number));
        let (sink, collected) = collect::<u32>();
        let sink = job.sink("out", sink);
        job.connect::<u32>(first, join);
        job.connect::<u32>(second, join).input = inputs - 1;
        job.connect::<u32>(join, sink);
        let cluster = small_cluster();
        let handle = job.submit_to(&cluster).unwrap();
        two.push(0, numbers(0..5));
        one.push(0, numbers(0..10));
        collected.wait_for_records(15);
        one.end(0);
        let idle = |arrivals: &[Arrival<u32>]| arrivals.last() == Some(&Arrival::Idle(0, true));
        collected.wait_until(idle);
        assert!(!collected.watermarks(0).contains(&i64::MAX), "{:?}", collected.watermarks(0));
        two.push(0, numbers(20..50));
        collected.wait_until(|arrivals| arrivals.contains(&Arrival::Watermark(0, 49)));
        two.end(0);
        wait(&handle).unwrap();
        assert_eq!(collected.watermarks(0).last(), Some(&i64::MAX));
    }
}

/// Two aligned sources; the slow one may go idle.
fn aligned(idleness: Option<Duration>) -> (Job, [Log<u32>; 2]) {
    let mut job = Job::new("aligned");
    job.settings.auto_watermark_interval = TICK;
    job.settings.alignment_buffer_size = 1;
    let alignment = WatermarkAlignment {
        group: "both".into(),
        max_drift: Duration::from_millis(50),
        update_interval: TICK,
    };
    let logs = [Log::<u32>::new(1), Log::<u32>::new(1)];
    let (sink, _) = collect::<u32>();
    let fast = job.source("fast", logs[0].source_with(None, Some(alignment.clone())));
    let slow = job.source("slow", logs[1].source_with(idleness, Some(alignment)));
    let sink = job.sink("out", sink);
    job.connect::<u32>(fast, sink);
    job.connect::<u32>(slow, sink);
    (job, logs)
}

#[test]
fn an_aligned_source_waits_for_the_slowest() {
    let (job, [fast, slow]) = aligned(None);
    let cluster = small_cluster();
    let handle = job.submit_to(&cluster).unwrap();
    let drift = || handle.metrics().tasks[0].operators[0].2.own_value("watermarkAlignmentDrift");
    slow.push(0, numbers(10..11));
    until("the slow source is read", || slow.read(0) == 1);
    fast.push(0, numbers(1000..1001));
    until("the fast one is 940 ms too far ahead", || drift() == Some(940));
    // It is paused by now, so what comes is not read, however often the sources compare notes.
    fast.push(0, numbers(1001..1002));
    slow.push(0, numbers(20..21));
    until("another comparison has been made", || drift() == Some(930));
    assert_eq!(fast.read(0), 1);
    slow.push(0, numbers(2000..2001));
    until("the fast source goes on", || fast.read(0) == 2);
    fast.end(0);
    slow.end(0);
    wait(&handle).unwrap();
    assert_clean(&cluster);
}

#[test]
fn an_idle_source_holds_no_aligned_one_back_for_good() {
    let (job, [fast, slow]) = aligned(Some(TICK));
    let cluster = small_cluster();
    let handle = job.submit_to(&cluster).unwrap();
    slow.push(0, numbers(10..11));
    until("the slow source is read", || slow.read(0) == 1);
    // It stays idle, so the fast one gets as far as it likes, also after many comparisons: it is behind the limit that only
    // it sets, by the drift.
    let metrics = handle.metrics();
    let metrics = &metrics.tasks[0].operators[0].2;
    for step in 1..=20u32 {
        fast.push(0, numbers(step * 1000..step * 1000 + 1));
        until("the fast source goes on", || fast.read(0) == step as usize);
        let reported = || metrics.output_watermark.get() == i64::from(step * 1000);
        until("its event time is compared", || {
            reported() && metrics.own_value("watermarkAlignmentDrift") == Some(-50)
        });
    }
    fast.end(0);
    slow.end(0);
    wait(&handle).unwrap();
}
