//! What options of checkpoints do to a whole job.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_checkpoint::statistics::Counts;
use tidemill_checkpoint::storage::RetryPolicy;
use tidemill_checkpoint::{CheckpointSettings, CheckpointStorage, RestartStrategy, StorageSettings};
use tidemill_core::config::options::{
    CheckpointingMode, ExternalizedCheckpointRetention as Retention, FailoverStrategy,
};
use tidemill_core::config::{Configuration, Origin};
use tidemill_core::graph::ShipStrategy;
use tidemill_core::{AfterSavepoint, SavepointFormat};
use tidemill_runtime::cluster::{EmbeddedCluster, JobHandle, JobStatus};
use tidemill_runtime::graph::JobSettings;
use tidemill_runtime::{JobError, OperatorFactory};
use tidemill_testkit::jobs::Job;
use tidemill_testkit::s3_server::{S3Fault, S3Server};
use tidemill_testkit::{Log, checkpoints, commits, faults, jobs, sinks};

use crate::checkpoints::{
    SPLITS, assert_counted, cluster, counting, counting_into, fill, keys, restore, submit,
};

/// Checkpoints only when they are asked for.
fn rarely() -> CheckpointSettings {
    CheckpointSettings { interval: Some(Duration::from_secs(3600)), ..checkpoints::often() }
}

fn records(count: u32) -> impl Iterator<Item = (u32, i64)> {
    keys(count).map(|key| (key, 0))
}

#[test]
fn the_failover_strategy_is_a_setting_of_the_job() {
    let of = |value: &str| {
        let mut configuration = Configuration::new();
        configuration.set_raw("jobmanager.execution.failover-strategy", value, Origin::CommandLine);
        JobSettings::from_configuration(&configuration).map(|settings| settings.failover)
    };
    assert_eq!(
        (of("region").unwrap(), of("full").unwrap()),
        (FailoverStrategy::Region, FailoverStrategy::Full)
    );
    assert!(of("half").unwrap_err().to_string().contains("failover-strategy"));
}

/// Two logs, each read by one task, and counted together by two; the 101st record of the first log is held up.
struct Held {
    first: Log<u32>,
    second: Log<u32>,
    gate: faults::Gate,
    cluster: EmbeddedCluster,
    handle: Arc<JobHandle>,
    _folder: tempfile::TempDir,
}

impl Held {
    fn start(settings: CheckpointSettings, sink: impl OperatorFactory + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (Log::new(1), Log::new(1));
        let (blocks, gate) = faults::blocks_at::<u32>(101);
        let mut job = Job::new("counting").encoded(true);
        job.settings.checkpointing = settings;
        job.settings.restarts = RestartStrategy::fixed_delay(3, Duration::ZERO);
        let held = job.source("first", first.source());
        let passed = job.operator("pass", blocks);
        let free = job.source("second", second.source());
        let count = job.operator("count", checkpoints::counts());
        let target = job.sink("sink", sink);
        job.node(count).parallelism = Some(2);
        job.connect::<u32>(held, passed);
        for source in [passed, free] {
            job.connect_keyed::<u32>(source, count, |key| checkpoints::route(*key));
        }
        job.connect_by::<(u32, u64)>(count, target, ShipStrategy::Rebalance);
        let cluster = cluster(folder.path());
        let handle = Arc::new(submit(&cluster, &job, None));
        Self { first, second, gate, cluster, handle, _folder: folder }
    }

    fn counts(&self) -> Counts {
        self.handle.checkpoint_statistics().unwrap().counts()
    }

    /// How many subtasks have taken their snapshots for the first checkpoint.
    fn acknowledged(&self) -> usize {
        let statistics = self.handle.checkpoint_statistics();
        let tasks =
            statistics.as_ref().and_then(|statistics| statistics.get(1)).map(|first| first.tasks.iter());
        tasks.into_iter().flatten().map(|task| task.acknowledged().count()).sum()
    }
}

/// How often records were counted too often, in a job whose tasks get records behind a barrier of which another channel has none yet, and
/// that goes on from that checkpoint after a failure.
fn counted_twice(mode: CheckpointingMode) -> u64 {
    const BEHIND: u32 = 50;
    let (sink, collected) = sinks::collect::<(u32, u64)>();
    let job = Held::start(CheckpointSettings { mode, ..rarely() }, sink);
    job.first.push(0, records(100));
    collected.wait_for_records(100);
    // From here no barrier comes.
    job.first.push(0, records(1));
    job.gate.wait_for_arrivals(1);
    let asking = Arc::clone(&job.handle);
    let checkpoint = std::thread::spawn(move || asking.checkpoint());
    jobs::until("the other source has sent its barrier", || job.acknowledged() == 1);
    job.second.push(0, records(BEHIND));
    jobs::until("what is behind the barrier is read", || job.second.read(0) == BEHIND as usize);
    match mode {
        CheckpointingMode::AtLeastOnce => collected.wait_for_records(100 + BEHIND as usize),
        // There is nothing to wait for, but it must not have come.
        CheckpointingMode::ExactlyOnce => assert_eq!(collected.values().len(), 100),
    }
    assert_eq!(job.acknowledged(), 1, "{mode:?}");
    job.gate.open();
    checkpoint.join().unwrap().unwrap();
    job.second.fail_once_at(0, BEHIND as usize);
    job.second.push(0, records(20));
    job.first.end_all();
    job.second.end_all();
    jobs::wait(&job.handle).unwrap();
    assert_eq!(job.counts().restored, 1);
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for (key, count) in collected.values() {
        let newest = counts.entry(key).or_default();
        *newest = (*newest).max(count);
    }
    jobs::assert_clean(&job.cluster);
    counts.values().sum::<u64>() - u64::from(101 + BEHIND + 20)
}

#[test]
fn at_least_once_no_channel_waits_and_some_records_count_twice() {
    assert_eq!(counted_twice(CheckpointingMode::AtLeastOnce), 50);
    assert_eq!(counted_twice(CheckpointingMode::ExactlyOnce), 0);
}

#[test]
fn so_many_checkpoints_are_under_way_as_are_said() {
    for max_concurrent in [1, 3] {
        let (sink, committed) = commits::sink::<(u32, u64)>();
        let job = Held::start(CheckpointSettings { max_concurrent, ..checkpoints::often() }, sink);
        job.first.push(0, records(101));
        job.gate.wait_for_arrivals(1);
        // Those that are due meanwhile find no room.
        let most = u64::from(max_concurrent);
        let (mut settled, mut since) = (job.counts(), Instant::now());
        jobs::until("as many as may be are under way, and no more", || {
            let counts = job.counts();
            assert!(counts.in_progress <= most, "{counts:?}");
            if counts != settled {
                (settled, since) = (counts, Instant::now());
            }
            settled.in_progress == most && since.elapsed() > Duration::from_millis(100)
        });
        // The barriers of all of them lie in one channel, one behind the other.
        job.gate.open();
        jobs::until("all of them have ended", || job.counts().total() > settled.total() + 3);
        let statistics = job.handle.checkpoint_statistics().unwrap();
        let subsumed = statistics.latest_failed().and_then(|failed| failed.failure_message.as_deref());
        assert!(subsumed.is_none_or(|message| message.contains("subsumed")), "{subsumed:?}");
        assert!(statistics.counts().completed > settled.completed);
        job.second.fail_once_at(0, 0);
        job.second.push(0, records(200));
        job.first.end_all();
        job.second.end_all();
        jobs::wait(&job.handle).unwrap();
        assert_eq!(job.counts().restored, 1);
        assert_counted(committed.values(), keys(101).chain(keys(200)), &format!("{max_concurrent} at once"));
        jobs::assert_clean(&job.cluster);
    }
}

#[test]
fn when_a_task_has_finished_there_are_checkpoints_only_if_it_is_wanted() {
    for wanted in [true, false] {
        let settings = CheckpointSettings { checkpoints_after_tasks_finish: wanted, ..rarely() };
        let (sink, committed) = commits::sink::<(u32, u64)>();
        let job = Held::start(settings, sink);
        job.gate.open();
        job.first.push(0, records(100));
        job.second.push(0, records(100));
        jobs::until("all is read", || job.first.read(0) + job.second.read(0) == 200);
        job.handle.checkpoint().unwrap();
        committed.wait_until(|values| values.len() == 200);
        job.first.push(0, records(30));
        job.first.end_all();
        if !wanted {
            jobs::until("checkpoints are refused", || {
                let refused = job.handle.checkpoint().err().map(|error| error.to_string());
                refused.is_some_and(|error| error.contains("checkpoints-after-tasks-finish' is false"))
            });
        }
        let completed = job.counts().completed;
        job.second.push(0, records(40));
        job.second.end_all();
        jobs::wait(&job.handle).unwrap();
        assert_eq!(job.handle.status(), JobStatus::Finished);
        if wanted {
            let all = keys(100).chain(keys(100)).chain(keys(30)).chain(keys(40));
            assert_counted(committed.values(), all, "with a checkpoint that commits what came last");
        } else {
            assert_eq!(job.counts().completed, completed, "none was taken at the end");
            assert!(committed.values().len() <= 230, "what came last was never committed");
        }
        jobs::assert_clean(&job.cluster);
    }
}

/// How a job comes to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ending {
    Cancelled,
    Failed,
    Finished,
}

fn has_checkpoint(folder: &Path, handle: &JobHandle) -> bool {
    let of_job = std::fs::read_dir(folder.join(handle.id().to_string()));
    of_job.is_ok_and(|of_job| of_job.flatten().any(|entry| entry.path().join("_metadata").exists()))
}

#[test]
fn what_is_kept_of_a_job_that_has_ended_is_as_was_said() {
    for (retention, cancelled, failed) in [
        (Retention::DeleteOnCancellation, false, true),
        (Retention::RetainOnCancellation, true, true),
        (Retention::NoExternalizedCheckpoints, false, false),
    ] {
        for (ending, kept) in
            [(Ending::Cancelled, cancelled), (Ending::Failed, failed), (Ending::Finished, false)]
        {
            let folder = tempfile::tempdir().unwrap();
            let log = Log::new(1);
            let settings = CheckpointSettings { retention, ..rarely() };
            let (mut job, _) = counting(&log, faults::pass::<u32>(), settings, 1);
            job.settings.restarts = RestartStrategy::none();
            let handle = submit(&cluster(folder.path()), &job, None);
            log.push(0, records(100));
            jobs::until("all is read", || log.read_in_all() == 100);
            handle.checkpoint().unwrap();
            assert!(has_checkpoint(folder.path(), &handle), "while it runs");
            match ending {
                Ending::Cancelled => handle.cancel(),
                Ending::Failed => {
                    log.break_at(0, 100, "as the test wants");
                    log.push(0, records(1));
                }
                Ending::Finished => log.end_all(),
            }
            let ended = jobs::wait(&handle);
            assert_eq!(ended.is_ok(), ending == Ending::Finished, "{ended:?}");
            assert_eq!(has_checkpoint(folder.path(), &handle), kept, "{retention:?}, {ending:?}");
        }
    }
}

/// A cluster whose storage soon finds that a request takes too long.
fn impatient(server: &S3Server) -> EmbeddedCluster {
    let mut environment = checkpoints::environment_of(server);
    let retry = RetryPolicy {
        attempts: 2,
        first_pause: Duration::from_millis(1),
        request_timeout: Duration::from_secs(1),
        ..RetryPolicy::default()
    };
    let settings = StorageSettings { retry, ..environment.storage.settings().clone() };
    environment.storage = CheckpointStorage::open(settings, environment.runtime.clone()).unwrap();
    jobs::small_cluster().with_checkpoints(environment)
}

#[test]
fn a_restore_that_takes_too_long_says_so_and_is_tried_again() {
    let server = S3Server::start();
    let log = Log::new(SPLITS);
    let (job, committed) = counting(&log, faults::pass::<u32>(), rarely(), 2);
    let cluster = impatient(&server);
    let handle = submit(&cluster, &job, None);
    fill(&log, 500);
    jobs::until("all is read", || log.read_in_all() == 500);
    handle.checkpoint().unwrap();
    // The first time that the job starts again it gets no whole answer.
    let mut left = 2;
    server.set(move |method, _| {
        let meets_it = method.as_str() == "GET" && left > 0;
        left -= usize::from(meets_it);
        meets_it.then_some(S3Fault::Stalled)
    });
    log.fail_once_at(0, 125);
    fill(&log, 300);
    jobs::until("it is restored", || handle.checkpoint_statistics().unwrap().counts().restored == 1);
    jobs::until("the rest is read", || log.read_in_all() == 800);
    let savepoint = handle.savepoint(SavepointFormat::Canonical, AfterSavepoint::Stop, None).unwrap();
    jobs::wait(&handle).unwrap();
    assert_counted(committed.values(), keys(500).chain(keys(300)), "restored at the second attempt");

    // With nobody to try again.
    log.end_all();
    let job = counting_into(&log, faults::pass::<u32>(), rarely(), 1, committed.sink());
    server.set(|method, _| (method.as_str() == "GET").then_some(S3Fault::Stalled));
    let plan = job.plan().unwrap();
    let error = cluster.submit_restored(plan, Some(&restore(&savepoint)), &|| false).err().unwrap();
    assert!(matches!(error, JobError::Restore { damaged: false, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("no answer within") && text.contains("s3://bucket/checkpoints"), "{text}");
    server.set(|_, _| None);
    jobs::wait(&submit(&cluster, &job, Some(&restore(&savepoint)))).unwrap();
    assert_counted(committed.values(), keys(500).chain(keys(300)), "restored once the storage answers");
}
