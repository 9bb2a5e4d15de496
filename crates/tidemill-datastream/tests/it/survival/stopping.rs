//! What a job says when it is stopped, and what is left of a checkpoint that another job has claimed.

use std::path::Path;

use tidemill_core::{AfterSavepoint, SavepointFormat};
use tidemill_runtime::checkpoint::{ClaimMode, RestoreSettings};
use tidemill_runtime::cluster::{EmbeddedCluster, JobHandle, TaskManagerResources};
use tidemill_testkit::commits::Committed;
use tidemill_testkit::{Log, checkpoints, jobs};

use super::*;

fn cluster(folder: &Path, backend: &Backend) -> EmbeddedCluster {
    let resources = TaskManagerResources { managed_bytes: 16 << 20, ..jobs::small_resources() };
    EmbeddedCluster::new(resources)
        .with_state_backends(Arc::clone(&backend.factory))
        .with_checkpoints(checkpoints::environment(folder))
}

fn configuration(parallelism: u32) -> Configuration {
    let mut configuration = Configuration::new();
    for (key, value) in [
        ("parallelism.default", parallelism.to_string().as_str()),
        // Only those that the test asks for, and the last one.
        ("execution.checkpointing.interval", "1000 h"),
        ("execution.checkpointing.incremental", "true"),
        ("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION"),
        ("execution.buffer-timeout", "1 ms"),
    ] {
        configuration.set_raw(key, value, Origin::Api);
    }
    configuration
}

/// Starts a job that says, by key and second, how many events there were; from somewhere.
fn start(
    cluster: &EmbeddedCluster,
    log: &Log<Event>,
    committed: &Committed<String>,
    parallelism: u32,
    restore: Option<(&str, ClaimMode)>,
) -> JobHandle {
    let env = StreamExecutionEnvironment::new(configuration(parallelism), LocalExecutor::default());
    // Another reader, without a split, would hold event time back until it has found out that it is idle.
    let events = env.from_source(log.reader(), in_time(), "events").uid("events").set_parallelism(1);
    let windows = events.key_by(|event| event.0).window(TumblingEventTimeWindows::of(ms(1_000)));
    let counts = windows.apply(|key: &u32, window, events, out: &mut Collector<String>| {
        out.collect(format!("{key} {} {}", window.start, events.count()));
        Ok(())
    });
    counts.uid("windows").sink_to("results", committed.sink()).uid("results");
    let restore = restore.map(|(path, claim)| RestoreSettings {
        path: path.to_owned(),
        claim,
        allow_non_restored_state: false,
    });
    cluster.submit_restored(env.plan("stopping").unwrap(), restore.as_ref(), &|| false).unwrap()
}

/// Events of two keys, one each 10 ms.
fn fill(log: &Log<Event>, numbers: std::ops::Range<u64>) {
    log.push(0, numbers.map(|number| (((number % 2) as u32, number), number as i64 * STEP)));
}

fn lines(windows: std::ops::Range<i64>, count: usize) -> Vec<String> {
    let mut lines: Vec<String> =
        windows.flat_map(|start| (0..2).map(move |key| format!("{key} {} {count}", start * 1_000))).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn windows_fire_at_the_end_of_time_when_a_job_is_drained_and_only_then() {
    for backend in backends() {
        for after in [AfterSavepoint::Stop, AfterSavepoint::Drain] {
            let folder = tempfile::tempdir().unwrap();
            let cluster = cluster(folder.path(), &backend);
            let (log, committed) = (Log::new(1), Committed::default());
            let job = start(&cluster, &log, &committed, 2, None);
            // Two whole seconds, and half of one that event time has not left.
            fill(&log, 0..250);
            jobs::until("all is read", || log.read_in_all() == 250);
            let savepoint = job.savepoint(SavepointFormat::Canonical, after, None).unwrap();
            jobs::wait(&job).unwrap();
            let what = format!("{}, {after:?}", backend.name);
            let mut expected = lines(0..2, 50);
            if after == AfterSavepoint::Drain {
                expected.extend(lines(2..3, 25));
            }
            expected.sort_unstable();
            assert_eq!(committed.sorted(), expected, "{what}: when it has ended");

            if after == AfterSavepoint::Stop {
                // What was open goes on, each window fires once.
                fill(&log, 250..400);
                log.end_all();
                let restore = Some((savepoint.external_path.as_str(), ClaimMode::NoClaim));
                jobs::wait(&start(&cluster, &log, &committed, 3, restore)).unwrap();
                assert_eq!(committed.sorted(), lines(0..4, 50), "{what}: after the restart");
            }
        }
    }
}

#[test]
fn files_of_a_claimed_checkpoint_live_on_in_those_of_the_next_jobs() {
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = cluster(folder.path(), &backend);
        let (log, mut committed) = (Log::new(1), Committed::<String>::default());
        let mut from: Option<String> = None;
        for (part, parallelism) in [2, 2, 3].into_iter().enumerate() {
            let restore = from.as_deref().map(|path| (path, ClaimMode::Claim));
            let job = start(&cluster, &log, &committed, parallelism, restore);
            fill(&log, part as u64 * 130..(part as u64 + 1) * 130);
            jobs::until("all is read", || log.read_in_all() == (part + 1) * 130);
            job.checkpoint().unwrap();
            let newest = job.checkpoint().unwrap();
            if let Some(claimed) = &from {
                let claimed = Path::new(claimed.trim_start_matches("file://")).join("_metadata");
                jobs::until("the claimed checkpoint is deleted", || !claimed.exists());
            }
            job.cancel();
            assert!(jobs::wait(&job).is_err(), "it was cancelled");
            committed = committed.up_to(newest.id);
            from = Some(newest.external_path);
        }
        fill(&log, 390..400);
        log.end_all();
        let restore = from.as_deref().map(|path| (path, ClaimMode::Claim));
        jobs::wait(&start(&cluster, &log, &committed, 1, restore)).unwrap();
        assert_eq!(committed.sorted(), lines(0..4, 50), "{}", backend.name);
    }
}
