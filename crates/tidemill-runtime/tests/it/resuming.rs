//! Jobs that go on as the same job after the process of the earlier run is gone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tidemill_checkpoint::CheckpointSettings;
use tidemill_checkpoint::storage::LeftBehind;
use tidemill_core::JobId;
use tidemill_core::config::options;
use tidemill_runtime::cluster::{EmbeddedCluster, JobHandle};
use tidemill_testkit::checkpoints;
use tidemill_testkit::commits::Committed;
use tidemill_testkit::jobs;
use tidemill_testkit::{Log, faults};

use crate::checkpoints::{SPLITS, assert_counted, cluster, counting, counting_into, fill, keys, submit};

fn left_in(folder: &Path) -> Option<LeftBehind> {
    let storage = checkpoints::environment(folder).storage;
    storage.block_on(storage.left_by("counting")).unwrap()
}

/// Checkpoints when they are asked for, of which the last three are kept however the job ends.
fn kept() -> CheckpointSettings {
    CheckpointSettings {
        interval: Some(Duration::from_secs(3600)),
        num_retained: 3,
        retention: options::ExternalizedCheckpointRetention::RetainOnCancellation,
        ..checkpoints::often()
    }
}

/// Runs a job until it has taken `checkpoints`, the keys before each, and ends it as a crash would leave it.
fn run_and_leave(folder: &Path, log: &Log<u32>, checkpoints: u32) -> Committed<(u32, u64)> {
    let (job, committed) = counting(log, faults::pass::<u32>(), kept(), 2);
    let handle = submit(&cluster(folder), &job, None);
    for round in 1..=checkpoints {
        fill(log, 300);
        jobs::until("all is read", || log.read_in_all() >= 300 * round as usize);
        handle.checkpoint().unwrap();
    }
    handle.cancel();
    handle.wait().unwrap_err();
    committed
}

fn resume(
    cluster: &EmbeddedCluster,
    log: &Log<u32>,
    committed: &Committed<(u32, u64)>,
    left: LeftBehind,
    parallelism: u32,
) -> JobHandle {
    let job = counting_into(log, faults::pass::<u32>(), kept(), parallelism, committed.sink());
    cluster.resume(job.plan().unwrap(), left, false, &|| false).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_resumed_job_is_the_same_job_and_tidies_up() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    let committed = run_and_leave(folder.path(), &log, 3);
    let left = left_in(folder.path()).unwrap();
    assert_eq!(left.checkpoints.len(), 3);
    let id = left.job_id;
    let of_job = folder.path().join(id.to_string());
    // What a process leaves that was killed while it took the next one.
    for name in ["chk-4/0123456789abcdef0123456789abcdef", "shared/chk-4-0123456789abcdef0123456789abcdef"] {
        let path = of_job.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"half").unwrap();
    }
    let left = left_in(folder.path()).unwrap();
    assert_eq!(left.last_id, 4);

    let cluster = cluster(folder.path());
    let handle = resume(&cluster, &log, &committed, left, 3);
    assert_eq!(handle.id(), id);
    fill(&log, 300);
    jobs::until("all is read", || log.read_in_all() >= 1_200);
    let next = handle.checkpoint().unwrap();
    assert_eq!(next.id, 5, "numbers go on after all that there are");
    handle.cancel();
    handle.wait().unwrap_err();
    let left = left_in(folder.path()).unwrap();
    let ids: Vec<u64> = left.checkpoints.iter().map(|(_, metadata)| metadata.checkpoint_id).collect();
    assert_eq!(ids, [5, 3, 2], "those of the earlier run count, too");
    let rest = files(&of_job);
    assert!(!rest.iter().any(|path| path.to_str().unwrap().contains("chk-4")), "{rest:?}");

    log.end_all();
    let handle = resume(&cluster, &log, &committed, left, 1);
    jobs::wait(&handle).unwrap();
    let all = (0..4).flat_map(|_| keys(300));
    assert_counted(committed.values(), all, "resumed twice");
    assert!(!of_job.exists(), "a job that has finished keeps nothing: {:?}", files(&of_job));
}

#[test]
fn what_is_damaged_gives_way_to_the_one_before_and_is_left_alone() {
    // The metadata of the newest, or the state that it names.
    for of_metadata in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(SPLITS);
        let committed = run_and_leave(folder.path(), &log, 2);
        let left = left_in(folder.path()).unwrap();
        let newest = folder.path().join(left.job_id.to_string()).join("chk-2");
        for path in files(&newest) {
            if (path.file_name().unwrap() == "_metadata") == of_metadata {
                let mut bytes = std::fs::read(&path).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 4;
                std::fs::write(path, bytes).unwrap();
            }
        }
        let left = left_in(folder.path()).unwrap();
        assert_eq!(left.damaged.len(), usize::from(of_metadata));
        let cluster = cluster(folder.path());
        let handle = resume(&cluster, &log, &committed, left, 2);
        assert_eq!(handle.checkpoint().unwrap().id, 3);
        handle.cancel();
        handle.wait().unwrap_err();
        assert!(newest.join("_metadata").exists(), "somebody may want to look at it");
        let statistics = handle.checkpoint_statistics().unwrap();
        assert_eq!(statistics.latest_restored().map(|restored| restored.id), Some(1));
    }
}

#[test]
fn checkpoints_that_nobody_can_read_are_an_error_and_not_a_new_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    run_and_leave(folder.path(), &log, 1);
    let left = left_in(folder.path()).unwrap();
    let metadata = folder.path().join(left.job_id.to_string()).join("chk-1/_metadata");
    std::fs::write(&metadata, b"nonsense").unwrap();
    let storage = checkpoints::environment(folder.path()).storage;
    let error = storage.block_on(storage.left_by("counting")).unwrap_err();
    assert!(error.to_string().contains("chk-1"), "{error}");
    std::fs::remove_file(metadata).unwrap();
    assert!(left_in(folder.path()).is_none(), "what is not complete is no checkpoint");
}

#[test]
fn a_job_that_runs_still_cannot_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(SPLITS);
    let (job, committed) = counting(&log, faults::pass::<u32>(), kept(), 1);
    let cluster = cluster(folder.path());
    let handle = submit(&cluster, &job, None);
    handle.checkpoint().unwrap();
    let left = left_in(folder.path()).unwrap();
    let job = counting_into(&log, faults::pass::<u32>(), kept(), 1, committed.sink());
    let error = cluster.resume(job.plan().unwrap(), left, false, &|| false).err().unwrap();
    assert!(error.to_string().contains("another process takes checkpoints into"), "{error}");
    assert!(error.to_string().contains(&handle.id().to_string()), "{error}");
}

#[test]
fn what_a_run_has_left_that_was_killed_before_its_first_checkpoint_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let environment = checkpoints::environment(folder.path());
    let storage = environment.storage;
    let run = |name: &str| {
        let job = storage.job(JobId::from_name(name)).unwrap();
        let lock = job.lock("counting").unwrap();
        let half = job.checkpoint(1).writer(1);
        storage
            .block_on(async {
                half.write(vec![1; 100_000]).await?;
                half.finish().await
            })
            .unwrap();
        (folder.path().join(JobId::from_name(name).to_string()), lock)
    };
    let (killed, lock) = run("killed");
    drop(lock);
    let (running, _lock) = run("running");
    let (other, lock) = run("other");
    drop(lock);
    std::fs::write(other.join("in-use"), "another job").unwrap();
    storage.block_on(storage.discard_unfinished("counting")).unwrap();
    assert!(!killed.exists() && running.exists() && other.exists());
}
