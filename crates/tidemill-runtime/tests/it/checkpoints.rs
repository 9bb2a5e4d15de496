//! Jobs that take checkpoints, fail and go on.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tidemill_checkpoint::coordinator::CompletedSnapshot;
use tidemill_checkpoint::{CheckpointSettings, RestartStrategy};
use tidemill_core::graph::ShipStrategy;
use tidemill_core::{AfterSavepoint, SavepointFormat};
use tidemill_runtime::checkpoint::{ClaimMode, LocalBackupSettings, RestoreSettings};
use tidemill_runtime::cluster::{EmbeddedCluster, JobHandle, JobStatus};
use tidemill_runtime::{JobError, OperatorFactory};
use tidemill_testkit::checkpoints::{self, counts, expected, route};
use tidemill_testkit::commits::{self, Committed};
use tidemill_testkit::jobs::{self, Job};
use tidemill_testkit::{Log, faults};

pub(crate) const SPLITS: usize = 4;

pub(crate) fn cluster(folder: &Path) -> EmbeddedCluster {
    jobs::small_cluster().with_checkpoints(checkpoints::environment(folder))
}

/// Log → pass → count by key → sink that commits, the last two apart.
pub(crate) fn counting(
    log: &Log<u32>,
    pass: impl OperatorFactory + 'static,
    settings: CheckpointSettings,
    parallelism: u32,
) -> (Job, Committed<(u32, u64)>) {
    let (sink, committed) = commits::sink::<(u32, u64)>();
    (counting_into(log, pass, settings, parallelism, sink), committed)
}

pub(crate) fn counting_into(
    log: &Log<u32>,
    pass: impl OperatorFactory + 'static,
    settings: CheckpointSettings,
    parallelism: u32,
    sink: impl OperatorFactory + 'static,
) -> Job {
    let mut job = Job::new("counting").parallelism(parallelism).encoded(parallelism > 1);
    job.settings.checkpointing = settings;
    job.settings.restarts = RestartStrategy::fixed_delay(3, Duration::ZERO);
    let source = job.source("log", log.source());
    let passed = job.operator("pass", pass);
    let count = job.operator("count", counts());
    let target = job.sink("commit", sink);
    for (node, uid) in [(source, "log"), (passed, "pass"), (count, "count"), (target, "commit")] {
        job.node(node).uid = Some(uid.to_owned());
    }
    job.connect::<u32>(source, passed);
    job.connect_keyed::<u32>(passed, count, |key| route(*key));
    job.connect_by::<(u32, u64)>(count, target, ShipStrategy::Rebalance);
    job
}

/// What is missing and what is too much, which is shorter than all that there is.
pub(crate) fn assert_counted(found: Vec<(u32, u64)>, keys: impl IntoIterator<Item = u32>, what: &str) {
    let mut difference = BTreeMap::new();
    for (sign, counts) in [(1, found), (-1, expected(keys))] {
        counts.into_iter().for_each(|count| *difference.entry(count).or_insert(0) += sign);
    }
    difference.retain(|_, times| *times != 0);
    let first: Vec<_> = difference.iter().take(20).collect();
    assert!(difference.is_empty(), "{what}: {} differ, among them {first:?}", difference.len());
}

pub(crate) fn keys(count: u32) -> impl Iterator<Item = u32> + Clone {
    (0..count).map(|number| number.wrapping_mul(2_654_435_761) % 17)
}

pub(crate) fn fill(log: &Log<u32>, count: u32) {
    for (number, key) in keys(count).enumerate() {
        log.push(number % SPLITS, [(key, i64::from(key))]);
    }
}

pub(crate) fn submit(cluster: &EmbeddedCluster, job: &Job, restore: Option<&RestoreSettings>) -> JobHandle {
    cluster.submit_restored(job.plan().unwrap(), restore, &|| false).unwrap()
}

pub(crate) fn restore(savepoint: &CompletedSnapshot) -> RestoreSettings {
    RestoreSettings {
        path: savepoint.external_path.clone(),
        claim: ClaimMode::NoClaim,
        allow_non_restored_state: false,
    }
}

pub(crate) fn settings() -> [(&'static str, CheckpointSettings); 3] {
    // One of them with all that can be stored otherwise.
    let aligned = CheckpointSettings { compression: true, ..checkpoints::often() };
    let unaligned = CheckpointSettings { unaligned: true, ..checkpoints::often() };
    let patient =
        CheckpointSettings { aligned_checkpoint_timeout: Duration::from_millis(5), ..unaligned.clone() };
    [("aligned", aligned), ("unaligned", unaligned), ("aligned, then unaligned", patient)]
}

#[test]
fn a_bounded_job_ends_with_a_checkpoint_that_commits_the_rest() {
    for parallelism in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(SPLITS);
        fill(&log, 1_000);
        log.end_all();
        let rarely = CheckpointSettings { interval: Some(Duration::from_secs(3600)), ..checkpoints::often() };
        let (job, committed) = counting(&log, faults::pass::<u32>(), rarely, parallelism);
        let cluster = cluster(folder.path());
        let handle = submit(&cluster, &job, None);
        jobs::wait(&handle).unwrap();
        assert_counted(committed.values(), keys(1_000), &format!("parallelism {parallelism}"));
        assert_eq!(handle.status(), JobStatus::Finished);
        jobs::assert_clean(&cluster);
    }
}

#[test]
fn what_fails_goes_on_from_the_last_checkpoint() {
    for (name, settings) in settings() {
        for parallelism in [1, 2] {
            let folder = tempfile::tempdir().unwrap();
            let log = Log::new(SPLITS);
            let (fails, fuse) = faults::fails_once::<u32>("as the test wants");
            let (job, committed) = counting(&log, fails, settings.clone(), parallelism);
            let cluster = cluster(folder.path());
            let handle = submit(&cluster, &job, None);
            fill(&log, 2_000);
            // Something was stored and committed, so that not all begins anew.
            committed.wait_until(|values| values.len() >= 2_000);
            fill(&log, 1_000);
            fuse.light();
            fill(&log, 1_000);
            log.end_all();
            jobs::wait(&handle).unwrap();
            let all = keys(2_000).chain(keys(1_000)).chain(keys(1_000));
            assert_counted(committed.values(), all, &format!("{name}, parallelism {parallelism}"));
            let statistics = handle.checkpoint_statistics().unwrap();
            assert_eq!(statistics.counts().restored, 1, "{name}");
            assert!(statistics.counts().completed > 1);
            jobs::assert_clean(&cluster);
        }
    }
}

#[test]
fn tasks_read_their_state_from_this_machine_if_it_is_kept_there() {
    for recover in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let copies = tempfile::tempdir().unwrap();
        let mut environment = checkpoints::environment(folder.path());
        environment.local_backup = LocalBackupSettings { folders: vec![copies.path().to_owned()], recover };
        let cluster = jobs::small_cluster().with_checkpoints(environment);
        let log = Log::new(SPLITS);
        let (fails, fuse) = faults::fails_once::<u32>("as the test wants");
        let rarely = CheckpointSettings { interval: Some(Duration::from_secs(3600)), ..checkpoints::often() };
        let (job, committed) = counting(&log, fails, rarely, 2);
        let handle = submit(&cluster, &job, None);
        fill(&log, 500);
        jobs::until("all is read", || log.read_in_all() == 500);
        handle.checkpoint().unwrap();
        let newest = handle.checkpoint().unwrap();
        // Beside it is the file that is locked while it is in use.
        let mut folders = std::fs::read_dir(copies.path()).unwrap().map(|entry| entry.unwrap().path());
        let of_job = folders.find(|path| path.is_dir()).unwrap();
        let copied = || std::fs::read_dir(&of_job).map_or(0, Iterator::count);
        let kept = copied();
        assert!((2..=8).contains(&kept), "what only the first needed has gone: {kept}");
        // All but the metadata, which the job knows.
        let newest = Path::new(newest.external_path.trim_start_matches("file://")).to_owned();
        for entry in std::fs::read_dir(newest).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() != "_metadata" {
                std::fs::remove_file(path).unwrap();
            }
        }
        fuse.light();
        fill(&log, 500);
        log.end_all();
        if recover {
            jobs::wait(&handle).unwrap();
            assert_counted(committed.values(), keys(500).chain(keys(500)), "from this machine");
        } else {
            let error = handle.wait().unwrap_err();
            assert!(error.to_string().contains("the file is not there"), "{error}");
        }
        assert_eq!(copied(), 0, "nothing is left");
    }
}

#[test]
fn while_a_source_has_a_backlog_checkpoints_have_another_interval() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    log.set_backlog(true);
    let none = CheckpointSettings { interval_during_backlog: Some(Duration::ZERO), ..checkpoints::often() };
    let (job, committed) = counting(&log, faults::pass::<u32>(), none, 1);
    let handle = submit(&cluster(folder.path()), &job, None);
    fill(&log, 1_000);
    jobs::until("all is read", || log.read_in_all() == 1_000);
    assert_eq!(handle.checkpoint().unwrap().id, 1, "none was taken before this one, which was asked for");
    log.set_backlog(false);
    let completed = || handle.checkpoint_statistics().unwrap().counts().completed;
    jobs::until("there are more", || completed() > 3);
    log.end_all();
    jobs::wait(&handle).unwrap();
    assert_counted(committed.values(), keys(1_000), "with a backlog");
}

#[test]
fn a_job_that_fails_too_often_tells_why_and_what_its_strategy_says() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    fill(&log, 100);
    log.end_all();
    let fails = faults::fails_at::<u32>(10, "the tenth is bad");
    let (job, _committed) = counting(&log, fails, checkpoints::often(), 1);
    let handle = submit(&cluster(folder.path()), &job, None);
    let error = handle.wait().unwrap_err();
    assert!(matches!(error, JobError::GaveUp { .. }), "{error}");
    assert!(error.to_string().contains("the tenth is bad"), "{error}");
    assert_eq!(handle.status(), JobStatus::Failed);
    // It is told again to whoever asks again.
    assert!(handle.wait().unwrap_err().to_string().contains("the tenth is bad"));
}

#[test]
fn a_savepoint_is_restored_at_any_parallelism() {
    for (name, settings) in settings() {
        for (before, after) in [(1, 3), (3, 2), (2, 2)] {
            for format in [SavepointFormat::Canonical, SavepointFormat::Native] {
                let folder = tempfile::tempdir().unwrap();
                let log = Log::new(SPLITS);
                fill(&log, 500);
                let (job, committed) = counting(&log, faults::pass::<u32>(), settings.clone(), before);
                let cluster = cluster(folder.path());
                let handle = submit(&cluster, &job, None);
                committed.wait_until(|values| !values.is_empty());
                let savepoint = handle.savepoint(format, AfterSavepoint::Stop, None).unwrap();
                jobs::wait(&handle).unwrap();
                assert_eq!(handle.status(), JobStatus::Finished);

                fill(&log, 500);
                log.end_all();
                let sink = committed.sink();
                let job = counting_into(&log, faults::pass::<u32>(), settings.clone(), after, sink);
                let handle = submit(&cluster, &job, Some(&restore(&savepoint)));
                jobs::wait(&handle).unwrap();
                let what = format!("{name}, {before} to {after}, {format:?}");
                assert_counted(committed.values(), keys(500).chain(keys(500)), &what);
                jobs::assert_clean(&cluster);
            }
        }
    }
}

#[test]
fn a_drained_job_has_said_all() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    fill(&log, 300);
    let (job, committed) = counting(&log, faults::pass::<u32>(), CheckpointSettings::default(), 2);
    let handle = submit(&cluster(folder.path()), &job, None);
    jobs::until("all is read", || log.read_in_all() == 300);
    handle.savepoint(SavepointFormat::Canonical, AfterSavepoint::Drain, None).unwrap();
    jobs::wait(&handle).unwrap();
    assert_counted(committed.values(), keys(300), "drained");
}

#[test]
fn state_that_would_be_lost_is_an_error_unless_it_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    fill(&log, 100);
    let (job, _) = counting(&log, faults::pass::<u32>(), CheckpointSettings::default(), 1);
    let cluster = cluster(folder.path());
    let handle = submit(&cluster, &job, None);
    jobs::until("all is read", || log.read_in_all() == 100);
    let savepoint = handle.savepoint(SavepointFormat::Canonical, AfterSavepoint::Stop, None).unwrap();
    jobs::wait(&handle).unwrap();
    log.end_all();
    let (mut job, _) = counting(&log, faults::pass::<u32>(), CheckpointSettings::default(), 1);
    let renamed = job.graph.nodes.iter().position(|node| node.name == "count").unwrap();
    job.node(renamed).uid = Some("tally".to_owned());
    let settings = restore(&savepoint);
    let error = cluster.submit_restored(job.plan().unwrap(), Some(&settings), &|| false).err().unwrap();
    assert!(error.to_string().contains("'count' (uid 'count')"), "{error}");
    let settings = RestoreSettings { allow_non_restored_state: true, ..settings };
    jobs::wait(&submit(&cluster, &job, Some(&settings))).unwrap();
}

#[test]
fn a_savepoint_that_is_not_there_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(1);
    let (job, _) = counting(&log, faults::pass::<u32>(), CheckpointSettings::default(), 1);
    let path = folder.path().join("none").to_str().unwrap().to_owned();
    let settings = RestoreSettings { path, claim: ClaimMode::NoClaim, allow_non_restored_state: false };
    let plan = job.plan().unwrap();
    let error = cluster(folder.path()).submit_restored(plan, Some(&settings), &|| false).err().unwrap();
    assert!(error.to_string().contains("none"), "{error}");
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    let (fails, fuse) = faults::fails_once::<u32>("as the test wants");
    let settings = CheckpointSettings { num_retained: 2, interval: None, ..checkpoints::often() };
    let (job, committed) = counting(&log, fails, settings, 2);
    let cluster = cluster(folder.path());
    let handle = submit(&cluster, &job, None);
    fill(&log, 500);
    jobs::until("all is read", || log.read_in_all() == 500);
    handle.checkpoint().unwrap();
    fill(&log, 500);
    jobs::until("all is read", || log.read_in_all() == 1_000);
    let newest = handle.checkpoint().unwrap();
    let newest = Path::new(newest.external_path.trim_start_matches("file://")).to_owned();
    for entry in std::fs::read_dir(newest).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() != "_metadata" {
            std::fs::write(path, b"damaged").unwrap();
        }
    }
    fuse.light();
    fill(&log, 100);
    log.end_all();
    jobs::wait(&handle).unwrap();
    // Without periodic checkpoints nothing was committed since.
    assert!(committed.values().len() < 1_100);
    assert_eq!(handle.status(), JobStatus::Finished);
}
