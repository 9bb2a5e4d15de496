//! An operator that fails, and what becomes of the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tidemill_core::graph::ShipStrategy;
use tidemill_core::{Batch, Classified, Fault, TypedBatch};
use tidemill_runtime::cluster::{EmbeddedCluster, JobStatus, TaskManagerResources};
use tidemill_runtime::graph::NodeKind;
use tidemill_runtime::operator::boxed;
use tidemill_runtime::source::{Source, SourceReader, SourceSpec, SourceSplit, SplitEnumerator};
use tidemill_runtime::{
    JobError, Operator, OperatorContext, OperatorError, OperatorFactory, OperatorFailure, Output, Progress,
};
use tidemill_testkit::jobs::{Job, assert_clean, small_cluster, small_resources, wait};
use tidemill_testkit::sinks::collect;
use tidemill_testkit::{Log, faults};

use crate::functions::numbers;

/// A source that goes on for ever, the operator at parallelism 2, a sink.
fn job(operator: impl OperatorFactory + 'static, chained: bool) -> (Job, Log<u32>, u32) {
    let mut job = Job::new("unlucky").parallelism(2);
    if !chained {
        job = job.unchained();
    }
    let log = Log::<u32>::new(2);
    log.push(0, numbers(0..5000));
    log.push(1, numbers(5000..10_000));
    let source = job.source("in", log.source());
    let line = line!() + 1;
    let operator = job.operator("shaky", operator);
    let (sink, _) = collect::<u32>();
    let sink = job.sink("out", sink);
    job.connect::<u32>(source, operator);
    job.connect_keyed::<u32>(operator, sink, |number| u64::from(*number) << 20);
    (job, log, line)
}

fn failure(error: JobError) -> Box<OperatorFailure> {
    match error {
        JobError::Operator(failure) => failure,
        other => panic!("an operator failed, but the job says: {other}"),
    }
}

#[test]
fn an_error_names_operator_subtask_and_place_and_ends_the_job() {
    for chained in [true, false] {
        let (job, _log, line) = job(faults::fails_at::<u32>(777, "the number of the beast"), chained);
        let cluster = small_cluster();
        let handle = job.submit_to(&cluster).unwrap();
        let start = Instant::now();
        let error = wait(&handle).unwrap_err();
        assert!(start.elapsed().as_secs() < 1, "it took {:?}", start.elapsed());
        assert_eq!(error.code(), "TM-USER-FUNCTION");
        assert_eq!(error.fault(), Fault::User);
        let text = error.to_string();
        let failure = failure(error);
        assert_eq!((&*failure.job, &*failure.operator, failure.parallelism), ("unlucky", "shaky", 2));
        assert!(failure.subtask < 2 && !failure.panicked);
        let expected = format!(
            "operator 'shaky' (subtask {} of 2) failed: the number of the beast\n  added to the job at {}:{line}:",
            failure.subtask + 1,
            file!()
        );
        assert!(text.starts_with(&expected), "{text}\nbut expected\n{expected}");
        assert_eq!(handle.status(), JobStatus::Failed);
        assert_clean(&cluster);
        assert!(matches!(wait(&handle).unwrap_err(), JobError::Operator(_)), "it says so again");
        runs_another(&cluster);
    }
}

#[test]
fn a_panic_is_a_failure_of_its_job_alone() {
    for chained in [true, false] {
        let (job, _log, _) = job(faults::panics_at::<u32>(777, "boom"), chained);
        let cluster = small_cluster();
        let handle = job.submit_to(&cluster).unwrap();
        let start = Instant::now();
        let error = wait(&handle).unwrap_err();
        assert!(start.elapsed().as_secs() < 1, "it took {:?}", start.elapsed());
        assert_eq!(error.code(), "TM-USER-PANIC");
        let text = error.to_string();
        let failure = failure(error);
        assert!(failure.panicked && &*failure.operator == "shaky", "{text}");
        assert!(text.contains("panicked: boom\n  panicked at ") && text.contains("faults.rs"), "{text}");
        assert_clean(&cluster);
        runs_another(&cluster);
    }
}

/// Makes one operator and panics when it is asked for another.
struct PanickingFactory;

impl OperatorFactory for PanickingFactory {
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        assert!(subtask < 1, "no operator for you");
        faults::pass::<u32>().create(subtask)
    }
}

/// A source that panics when the job is deployed.
struct PanickingSource;

impl Source for PanickingSource {
    fn create_enumerator(
        &self,
        _parallelism: u32,
        _restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        panic!("no splits for you")
    }

    fn create_reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        panic!("nobody gets here")
    }
}

#[test]
fn a_panic_while_a_job_is_deployed_is_a_failure_of_its_job_alone() {
    let cluster = small_cluster();
    let (mut creates, _log, _) = job(faults::pass::<u32>(), false);
    creates.graph.nodes[1].kind = NodeKind::Operator(Arc::new(PanickingFactory));
    let (mut enumerates, _log, _) = job(faults::pass::<u32>(), false);
    let columns = Log::<u32>::bounded([numbers(0..1)]).source();
    enumerates.graph.nodes[0].kind = NodeKind::Source(Arc::new(SourceSpec {
        source: Arc::new(PanickingSource),
        stage: Arc::clone(&columns.stage),
        watermarks: columns.watermarks.clone(),
    }));
    for (job, operator, subtask, message) in
        [(creates, "shaky", 1, "no operator for you"), (enumerates, "in", 0, "no splits for you")]
    {
        let Err(error) = job.submit_to(&cluster) else { panic!("{operator} must panic") };
        assert_eq!((error.code(), error.fault()), ("TM-USER-PANIC", Fault::User));
        let text = error.to_string();
        let failure = failure(error);
        assert_eq!(
            (&*failure.operator, failure.subtask, failure.parallelism),
            (operator, subtask, 2),
            "{text}"
        );
        let expected = format!("panicked: {message}\n  panicked at {}:", file!());
        assert!(failure.panicked && text.contains(&expected), "{text}");
        assert_clean(&cluster);
        runs_another(&cluster);
    }
}

/// Answers *done*, and keeps a batch all the same: while it processes one, or when it is given none.
struct Keeps {
    in_process: bool,
}

impl Operator for Keeps {
    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        if self.in_process {
            out.keep(batch);
        } else {
            out.emit(batch);
        }
        Ok(Progress::Done)
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        out.keep(Batch::new(TypedBatch::from_values(vec![1u32])));
        Ok(Progress::Done)
    }
}

#[test]
fn a_batch_that_is_kept_where_it_must_not_be_fails_the_job_instead_of_being_lost() {
    for in_process in [true, false] {
        let mut job = Job::new("keeps");
        let source = job.source("in", Log::bounded([numbers(0..10)]).source());
        let keeps = job.operator("keeps", faults::pass::<u32>());
        // Without the checks that the testkit puts around operators.
        job.graph.nodes[keeps].kind = NodeKind::Operator(Arc::new(boxed(move || Keeps { in_process })));
        let (sink, _) = collect::<u32>();
        let sink = job.sink("out", sink);
        job.connect::<u32>(source, keeps);
        job.connect::<u32>(keeps, sink);
        let error = job.run().unwrap_err();
        assert_eq!((error.code(), error.fault()), ("TM-OPERATOR-CONTRACT", Fault::Internal), "{error}");
        assert_eq!(&*failure(error).operator, "keeps");
    }
}

/// A second job runs on the same cluster.
fn runs_another(cluster: &EmbeddedCluster) {
    let (sink, collected) = collect::<u32>();
    let mut second = Job::new("second");
    let source = second.source("in", Log::bounded([numbers(0..100)]).source());
    let sink = second.sink("out", sink);
    second.connect_by::<u32>(source, sink, ShipStrategy::Rebalance);
    second.run_on(cluster).unwrap();
    assert_eq!(collected.sorted(), (0..100).collect::<Vec<_>>());
    assert_clean(cluster);
}

/// The operator that fails is blamed, not those whose buffers nobody takes any more. Many rounds, for it is a race.
#[test]
fn the_first_cause_is_told() {
    for round in 0..100u64 {
        let (sink, _) = (faults::fails_at::<u32>(1 + round % 7 * 100, "the sink broke"), ());
        let mut job = Job::new("blame").parallelism(2);
        let log = Log::bounded([numbers(0..20_000), numbers(20_000..40_000)]);
        let source = job.source("in", log.source());
        let pass = job.operator("pass", faults::pass::<u32>());
        let sink = job.sink("out", sink);
        job.connect_by::<u32>(source, pass, ShipStrategy::Rebalance);
        job.connect_by::<u32>(pass, sink, ShipStrategy::Rebalance);
        let error = failure(job.run().unwrap_err());
        assert_eq!(
            (&*error.operator, error.to_string().contains("the sink broke")),
            ("Sink: out", true),
            "{error}"
        );
    }
}

#[test]
fn a_source_that_cannot_be_read_fails_its_job() {
    let (job, log, _) = job(faults::pass::<u32>(), true);
    log.break_at(1, 4321, "line 4322 is malformed");
    let error = failure(job.run().unwrap_err());
    assert_eq!(&*error.operator, "Source: in");
    assert!(error.to_string().contains("line 4322 is malformed"), "{error}");
}

/// Fails where a test does not expect it.
struct Rude(Where);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    Open,
    Watermark,
    Finish,
    Close,
    Drop,
}

impl Operator for Rude {
    fn open(
        &mut self,
        _: &tidemill_runtime::OperatorContext,
        _: Option<tidemill_state::SubtaskSnapshot>,
    ) -> Result<(), tidemill_runtime::OperatorError> {
        assert_ne!(self.0, Where::Open);
        Ok(())
    }

    fn process(
        &mut self,
        _: usize,
        batch: tidemill_core::batch::Batch,
        out: &mut Output,
    ) -> Result<Progress, tidemill_runtime::OperatorError> {
        out.emit(batch);
        Ok(Progress::Done)
    }

    fn watermark(
        &mut self,
        watermark: tidemill_core::time::Watermark,
        out: &mut Output,
    ) -> Result<Progress, tidemill_runtime::OperatorError> {
        assert_ne!(self.0, Where::Watermark);
        out.watermark(watermark);
        Ok(Progress::Done)
    }

    fn finish(&mut self, _: &mut Output) -> Result<Progress, tidemill_runtime::OperatorError> {
        assert_ne!(self.0, Where::Finish);
        Ok(Progress::Done)
    }

    fn close(&mut self) {
        assert_ne!(self.0, Where::Close);
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        assert_ne!(self.0, Where::Drop);
    }
}

#[test]
fn a_panic_anywhere_ends_the_job_and_gives_everything_back() {
    for place in [Where::Open, Where::Watermark, Where::Finish, Where::Close, Where::Drop] {
        let mut job = Job::new("rude");
        let source = job.source("in", Log::bounded([numbers(0..10)]).source());
        let rude = job.operator("rude", boxed(move || Rude(place)));
        let (sink, _) = collect::<u32>();
        let sink = job.sink("out", sink);
        job.connect_by::<u32>(source, rude, ShipStrategy::Rebalance);
        job.connect_by::<u32>(rude, sink, ShipStrategy::Rebalance);
        let ended = job.run();
        match place {
            // All was said and done by then.
            Where::Close => ended.unwrap(),
            _ => assert!(failure(ended.unwrap_err()).panicked, "{place:?}"),
        }
    }
}

#[test]
fn a_task_that_does_not_stop_is_named() {
    let (blocks, gate) = faults::blocks_at::<u32>(5);
    let mut job = Job::new("stuck");
    let source = job.source("in", Log::bounded([numbers(0..10)]).source());
    let blocks = job.operator("sleepy", blocks);
    job.connect_by::<u32>(source, blocks, ShipStrategy::Rebalance);
    let resources = TaskManagerResources {
        cancellation_timeout: std::time::Duration::from_millis(20),
        ..small_resources()
    };
    let cluster = EmbeddedCluster::new(resources);
    let handle = job.submit_to(&cluster).unwrap();
    gate.wait_for_arrivals(1);
    handle.cancel();
    let error = handle.wait().unwrap_err();
    assert!(matches!(error, JobError::Stuck { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("sleepy (1/1)") && text.contains("task.cancellation.timeout"), "{text}");
    gate.open();
    tidemill_testkit::jobs::until("it stops after all", || handle.status() == JobStatus::Canceled);
    assert_clean(&cluster);
}

#[test]
fn too_few_buffers_are_told_before_anything_runs() {
    let mut job = Job::new("wide").parallelism(40);
    let log = Log::bounded([numbers(0..10)]);
    let source = job.source("in", log.source());
    let (sink, _) = collect::<u32>();
    let sink = job.sink("out", sink);
    job.connect_by::<u32>(source, sink, ShipStrategy::Rebalance);
    let cluster = small_cluster();
    let error = job.submit_to(&cluster).err().unwrap();
    assert_eq!(error.code(), "TM-NETWORK-INSUFFICIENT-BUFFERS");
    let text = error.to_string();
    for part in [
        "job 'wide' cannot be deployed",
        // For 40 gates of 2 * 40 + 1 and 40 partitions of 40 + 1.
        "Insufficient number of network buffers: required 4880, but only",
        "the whole job needs",
        "taskmanager.memory.network.fraction",
        "taskmanager.memory.network.min",
        "taskmanager.memory.network.max",
    ] {
        assert!(text.contains(part), "'{part}' in: {text}");
    }
    assert_eq!(log.read_in_all(), 0);
    assert_clean(&cluster);
    runs_another(&cluster);
}

/// What a thousand million channels would need is told at once, and not after they have been made.
#[test]
fn too_few_buffers_of_the_widest_job_are_told_too() {
    let mut job = Job::new("widest").parallelism(32_768);
    let source = job.source("in", Log::bounded([numbers(0..10)]).source());
    let (sink, _) = collect::<u32>();
    let sink = job.sink("out", sink);
    job.connect_by::<u32>(source, sink, ShipStrategy::Rebalance);
    let error = job.submit_to(&small_cluster()).err().unwrap();
    assert_eq!(error.code(), "TM-NETWORK-INSUFFICIENT-BUFFERS");
    // Of each subtask a gate of 2 * 32,768 + 1 and a partition of 32,768 + 1.
    assert!(error.to_string().contains("required 3221291008, but only"), "{error}");
}

#[test]
fn a_job_that_is_cancelled_while_it_is_deployed_leaves_nothing_behind() {
    let cluster = small_cluster();
    let mut before = 0;
    // Whichever task it is that the cancellation comes before.
    for allowed in 0.. {
        let (asked, log) = (AtomicU64::new(0), Log::<u32>::new(2));
        let mut job = Job::new("hasty").parallelism(2).unchained();
        let source = job.source("in", log.source());
        let (sink, _) = collect::<u32>();
        let sink = job.sink("out", sink);
        job.connect_by::<u32>(source, sink, ShipStrategy::Rebalance);
        let is_cancelled = || asked.fetch_add(1, Ordering::SeqCst) >= allowed;
        match cluster.submit_unless(job.plan().unwrap(), &is_cancelled) {
            Err(error) => assert!(matches!(error, JobError::Cancelled(_)), "{error}"),
            Ok(handle) => {
                before = allowed;
                handle.cancel();
                assert!(matches!(handle.wait(), Err(JobError::Cancelled(_))));
            }
        }
        assert_clean(&cluster);
        if before > 0 {
            break;
        }
    }
    // Two partitions, four tasks to put together, four to start.
    assert_eq!(before, 10);
    runs_another(&cluster);
}
