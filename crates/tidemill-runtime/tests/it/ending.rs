//! How jobs end: at the end of their input, and when they are cancelled.

use std::time::Instant;

use tidemill_core::graph::ShipStrategy;
use tidemill_runtime::JobError;
use tidemill_runtime::cluster::JobStatus;
use tidemill_runtime::metrics::{TaskState, Waiting};
use tidemill_testkit::faults::Gate;
use tidemill_testkit::jobs::{Job, assert_clean, small_cluster, until, wait};
use tidemill_testkit::sinks::{Arrival, collect, collect_through};
use tidemill_testkit::{Log, faults};

use crate::functions::{endless, numbers};

#[test]
fn a_bounded_input_ends_with_the_last_watermark_through_several_hops() {
    for encoded in [false, true] {
        let mut job = Job::new("hops").parallelism(2).encoded(encoded);
        let mut last = job.source("in", Log::bounded([numbers(0..100), numbers(50..70)]).source());
        for (name, strategy) in [
            ("a", ShipStrategy::Rebalance),
            ("b", ShipStrategy::Broadcast),
            ("c", ShipStrategy::Shuffle),
            ("d", ShipStrategy::Forward),
            ("e", ShipStrategy::Rescale),
        ] {
            let next = job.operator(name, faults::pass::<u32>());
            job.connect_by::<u32>(last, next, strategy);
            last = next;
        }
        let (sink, collected) = collect::<u32>();
        let sink = job.sink("out", sink);
        job.connect_by::<u32>(last, sink, ShipStrategy::Rebalance);
        let cluster = small_cluster();
        let handle = job.run_on(&cluster).unwrap();
        assert_eq!(handle.status(), JobStatus::Finished);
        assert!(handle.metrics().tasks.iter().all(|task| task.state() == TaskState::Finished));
        assert_clean(&cluster);
        for subtask in 0..2 {
            let of_one: Vec<_> = collected
                .arrivals()
                .into_iter()
                .filter(|arrival| match arrival {
                    Arrival::Record(at, ..)
                    | Arrival::Watermark(at, _)
                    | Arrival::Idle(at, _)
                    | Arrival::End(at) => *at == subtask,
                })
                .collect();
            let end = [Arrival::Watermark(subtask, i64::MAX), Arrival::End(subtask)];
            assert!(of_one.ends_with(&end), "{:?}", &of_one[of_one.len() - 4..]);
            let ends = of_one.iter().filter(|arrival| end.contains(arrival)).count();
            assert_eq!(ends, 2, "each comes once");
        }
        assert_eq!(collected.values().len(), 240, "two of each, after one broadcast");
    }
}

#[test]
fn a_job_is_cancelled_while_it_is_idle() {
    let mut job = Job::new("idle").parallelism(2);
    let log = Log::<u32>::new(2);
    let source = job.source("in", log.source());
    let (sink, collected) = collect::<u32>();
    let sink = job.sink("out", sink);
    job.connect_by::<u32>(source, sink, ShipStrategy::Rebalance);
    let cluster = small_cluster();
    let handle = job.submit_to(&cluster).unwrap();
    log.push(0, numbers(0..4));
    collected.wait_for_records(4);
    until("all tasks are idle", || {
        handle.metrics().tasks.iter().all(|task| task.times.current().0 == Waiting::Input)
    });
    cancel_and_check(&handle);
    assert_clean(&cluster);
}

fn cancel_and_check(handle: &tidemill_runtime::cluster::JobHandle) {
    let start = Instant::now();
    handle.cancel();
    let error = wait(handle).unwrap_err();
    assert!(matches!(error, JobError::Cancelled(_)), "{error}");
    assert!(start.elapsed().as_secs() < 1, "cancelling took {:?}", start.elapsed());
    assert_eq!(handle.status(), JobStatus::Canceled);
}

#[test]
fn a_job_is_cancelled_while_it_is_back_pressured() {
    let mut job = Job::new("pressed");
    let source = job.source("in", Log::bounded([numbers(0..1_000_000)]).source());
    let pass = job.operator("pass", faults::pass::<u32>());
    let gate = Gate::default();
    let (sink, collected) = collect_through::<u32>(&gate);
    let sink = job.sink("out", sink);
    job.connect_by::<u32>(source, pass, ShipStrategy::Rebalance);
    job.connect_by::<u32>(pass, sink, ShipStrategy::Rebalance);
    let cluster = small_cluster();
    let handle = job.submit_to(&cluster).unwrap();
    gate.wait_for_arrivals(1);
    let pressed = |task: usize| {
        matches!(handle.metrics().tasks[task].times.current().0, Waiting::Output | Waiting::OutputWithin)
    };
    until("source and operator are back-pressured", || pressed(0) && pressed(1));
    handle.cancel();
    until("those before the sink have stopped", || {
        handle.metrics().tasks[..2].iter().all(|task| task.state() == TaskState::Canceled)
    });
    assert_eq!(handle.status(), JobStatus::Cancelling, "the sink is still within its batch");
    assert!(collected.values().is_empty());
    gate.open();
    cancel_and_check(&handle);
    assert_clean(&cluster);
}

#[test]
fn a_job_is_cancelled_while_an_operator_always_has_more_to_say() {
    let mut job = Job::new("endless");
    let source = job.source("in", Log::bounded([numbers(0..10)]).source());
    let endless = job.operator("endless", endless());
    let (sink, collected) = collect::<u32>();
    let sink = job.sink("out", sink);
    job.connect::<u32>(source, endless);
    job.connect_by::<u32>(endless, sink, ShipStrategy::Rebalance);
    let cluster = small_cluster();
    let handle = job.submit_to(&cluster).unwrap();
    collected.wait_for_records(1000);
    cancel_and_check(&handle);
    assert_clean(&cluster);
}

#[test]
fn cancelling_what_has_ended_changes_nothing() {
    let mut job = Job::new("over");
    let source = job.source("in", Log::bounded([numbers(0..10)]).source());
    let (sink, _) = collect::<u32>();
    let sink = job.sink("out", sink);
    job.connect::<u32>(source, sink);
    let cluster = small_cluster();
    let handle = job.run_on(&cluster).unwrap();
    handle.cancel();
    handle.canceller().cancel();
    assert_eq!(handle.status(), JobStatus::Finished);
    wait(&handle).unwrap();
}

#[test]
fn dropping_the_handle_cancels_the_job() {
    let log = Log::<u32>::new(1);
    let mut job = Job::new("dropped");
    let source = job.source("in", log.source());
    let (sink, _) = collect::<u32>();
    let sink = job.sink("out", sink);
    job.connect_by::<u32>(source, sink, ShipStrategy::Rebalance);
    let cluster = small_cluster();
    drop(job.submit_to(&cluster).unwrap());
    until("all buffers are given back", || cluster.network_buffers().used() == 0);
}
