//! Back pressure: how far it reaches, and what is seen of it.

use tidemill_core::graph::ShipStrategy;
use tidemill_runtime::DEFAULT_BATCH_RECORDS;
use tidemill_runtime::metrics::{TimeTotals, Waiting};
use tidemill_testkit::faults::Gate;
use tidemill_testkit::jobs::{Job, assert_clean, small_cluster, small_resources, until, wait};
use tidemill_testkit::sinks::collect_through;
use tidemill_testkit::{Log, faults};

use crate::functions::numbers;

const RECORDS: u32 = 300_000;

#[test]
fn it_reaches_the_source_and_all_that_is_in_flight_is_bounded() {
    for encoded in [false, true] {
        let mut job = Job::new("pressed").encoded(encoded);
        let log = Log::bounded([numbers(0..RECORDS)]);
        let source = job.source("in", log.source());
        let pass = job.operator("pass", faults::pass::<u32>());
        let gate = Gate::default();
        let (sink, collected) = collect_through::<u32>(&gate);
        let sink = job.sink("out", sink);
        job.connect_by::<u32>(source, pass, ShipStrategy::Rebalance);
        job.connect_by::<u32>(pass, sink, ShipStrategy::Rebalance);
        let cluster = small_cluster();
        let handle = job.submit_to(&cluster).unwrap();
        gate.wait_for_arrivals(1);
        let tasks = handle.metrics().tasks.clone();
        let pressed = |task: usize| {
            let (state, nanoseconds) = tasks[task].times.current();
            matches!(state, Waiting::Output | Waiting::OutputWithin) && nanoseconds > 20_000_000
        };
        until("source and operator are back-pressured for good", || pressed(0) && pressed(1));

        // A record takes 4 bytes and its timestamp 8; each exchange has the buffers of a partition, with its overdraft,
        // and those of a gate; each task has what it took and could not write yet.
        let resources = small_resources();
        let per_buffer = resources.segment_size.div_ceil(12);
        let one_channel = resources.exclusive_buffers_per_channel + resources.floating_buffers_per_gate;
        let buffers = 2 * one_channel + resources.max_overdraft_buffers;
        let bound = 2 * buffers * per_buffer + DEFAULT_BATCH_RECORDS + 2 * per_buffer;
        assert!(log.read_in_all() <= bound, "{} read, at most {bound} may be in flight", log.read_in_all());
        assert!(bound < RECORDS as usize / 10);

        // It is seen while it lasts.
        let before = tasks[0].times.totals();
        until("time passes", || tasks[0].times.totals().elapsed > before.elapsed + 5_000_000);
        let since = tasks[0].times.totals().since(&before);
        assert_eq!(since.back_pressured(), since.elapsed, "the wait that has not ended counts");
        assert_eq!(tasks[2].times.current().0, Waiting::No, "a sink that blocks its thread is busy");
        let view = tasks[0].view();
        assert!(view.out_pool_usage >= 1.0, "{view:?}");
        assert!(tasks[2].view().in_pool_usage >= 1.0);
        assert!(tasks[2].view().input_queue_length > 0);

        gate.open();
        wait(&handle).unwrap();
        assert_eq!(collected.values(), (0..RECORDS).collect::<Vec<_>>(), "nothing lost, nothing overtaken");
        assert_clean(&cluster);
        for task in &tasks {
            adds_up(&task.times.totals());
        }
        assert!(tasks[0].times.totals().back_pressured() >= since.elapsed);
        assert_eq!(tasks[0].records_out.get(), u64::from(RECORDS));
        assert_eq!((tasks[1].records_in.get(), tasks[1].records_out.get()), (RECORDS.into(), RECORDS.into()));
        assert_eq!(tasks[2].records_in.get(), u64::from(RECORDS));
        assert_eq!(tasks[1].bytes_in.get(), u64::from(RECORDS) * 12);
    }
}

fn adds_up(times: &TimeTotals) {
    assert_eq!(times.busy() + times.idle() + times.back_pressured(), times.elapsed);
    assert_eq!(times.in_state.iter().sum::<u64>(), times.elapsed);
}

#[test]
fn one_slow_branch_holds_up_the_other_but_no_other_job() {
    let mut job = Job::new("two branches");
    let log = Log::bounded([numbers(0..RECORDS)]);
    let source = job.source("in", log.source());
    let (closed, open) = (Gate::default(), Gate::default());
    open.open();
    let (slow, slow_got) = collect_through::<u32>(&closed);
    let (fast, fast_got) = collect_through::<u32>(&open);
    let (slow, fast) = (job.sink("slow", slow), job.sink("fast", fast));
    job.connect_by::<u32>(source, slow, ShipStrategy::Rebalance);
    job.connect_by::<u32>(source, fast, ShipStrategy::Rebalance);
    let cluster = small_cluster();
    let handle = job.submit_to(&cluster).unwrap();
    closed.wait_for_arrivals(1);
    let tasks = handle.metrics().tasks.clone();
    until("the source is back-pressured", || {
        matches!(tasks[0].times.current().0, Waiting::Output | Waiting::OutputWithin)
    });
    until("the fast sink has nothing to do", || tasks[2].times.current().0 == Waiting::Input);
    assert!(fast_got.values().len() < RECORDS as usize / 10);

    let mut other = Job::new("other");
    let source = other.source("in", Log::bounded([numbers(0..1000)]).source());
    let (sink, got) = collect_through::<u32>(&open);
    let sink = other.sink("out", sink);
    other.connect_by::<u32>(source, sink, ShipStrategy::Rebalance);
    other.run_on(&cluster).unwrap();
    assert_eq!(got.values().len(), 1000);

    closed.open();
    wait(&handle).unwrap();
    assert_eq!((slow_got.values().len(), fast_got.values().len()), (RECORDS as usize, RECORDS as usize));
    assert_clean(&cluster);
}
