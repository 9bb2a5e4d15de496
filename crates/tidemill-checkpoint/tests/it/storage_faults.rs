//! Stores that fail: what is made again, what ends, what is left behind, and what the message says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use object_store::Error;
use object_store::path::Path;
use tidemill_checkpoint::storage::{Placement, RetryPolicy};
use tidemill_checkpoint::{
    CheckpointError, CheckpointStorage, FileLocation, JobStorage, StateHandle, StorageFailure,
    StorageSettings,
};
use tidemill_core::{Classified, Fault as Whose, JobId};

use crate::faults::{Fault, Faulty, of_system, status};
use crate::support::{block_on, bytes, names, quick_retries, runtime, settings};

fn open(store: &Arc<Faulty>, settings: StorageSettings) -> (CheckpointStorage, JobStorage) {
    let handle = runtime().handle().clone();
    let storage =
        CheckpointStorage::with_store(settings, handle, "s3://b", store.clone(), store.clone()).unwrap();
    let job = storage.job(JobId(1)).unwrap();
    (storage, job)
}

fn merging() -> StorageSettings {
    StorageSettings { merge_files: true, ..settings("s3://b/c") }
}

/// Fails the first `n` calls of a name.
fn first(
    n: usize,
    name: &'static str,
    error: fn() -> Error,
) -> impl FnMut(&'static str, &Path) -> Option<Fault> {
    let mut left = n;
    move |call, _| {
        if call != name || left == 0 {
            return None;
        }
        left -= 1;
        Some(Fault::Error(error()))
    }
}

#[test]
fn what_passes_is_tried_again() {
    for name in ["put", "create", "part", "complete", "get", "head"] {
        let store = Arc::new(Faulty::new(first(3, name, || status("503 Slow Down: "))));
        let (_, job) = open(&store, settings("s3://b/c"));
        block_on(async {
            let folder = job.checkpoint(1);
            let writer = folder.writer(1);
            let handles =
                [writer.write(bytes(500)).await.unwrap(), writer.write(bytes(5_000)).await.unwrap()];
            writer.finish().await.unwrap();
            for handle in handles {
                let read = folder.read(&handle).await.unwrap();
                assert_eq!(read, bytes(read.len()), "{name}");
            }
            assert!(store.open_uploads.lock().unwrap().is_empty());
        });
    }
}

#[test]
fn attempts_end() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let store = Arc::new(Faulty::new(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        Some(Fault::Error(status("503 Service Unavailable: ")))
    }));
    let (_, job) = open(&store, settings("s3://b/c"));
    // Lives on, so that it does not take back what it may have written, which are calls, too.
    let writer = job.checkpoint(1).writer(1);
    let error = block_on(writer.write(bytes(500))).unwrap_err();
    assert!(matches!(
        error,
        CheckpointError::Storage { failure: StorageFailure::Unavailable, attempts: 4, .. }
    ));
    assert!(error.retryable() && error.fault() == Whose::External);
    assert!(error.to_string().contains("tried 4 times"), "{error}");
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[test]
fn what_does_not_answer_ends_in_time() {
    let retry = RetryPolicy {
        deadline: Duration::from_millis(50),
        request_timeout: Duration::from_millis(20),
        ..quick_retries()
    };
    let store = Arc::new(Faulty::new(|_, _| Some(Fault::Hang)));
    let (_, job) = open(&store, StorageSettings { retry, ..settings("s3://b/c") });
    let error = block_on(job.check_writable()).unwrap_err();
    assert_eq!(error.code(), "TM-CHECKPOINT-TIMEOUT");
    assert!(error.to_string().contains("fs.s3a.connection.maximum"), "{error}");

    // Waiting for a place among the requests counts, too.
    let store = Arc::new(Faulty::new(|_, _| Some(Fault::Hang)));
    let retry = RetryPolicy { request_timeout: Duration::from_secs(60), ..retry };
    let (_, job) = open(&store, StorageSettings { retry, max_connections: 1, ..settings("s3://b/c") });
    block_on(async {
        let (a, b) = tokio::join!(job.check_writable(), job.list());
        assert!(a.is_err() && b.is_err());
    });
}

#[test]
fn failures_say_what_to_do() {
    type Case = (fn() -> Error, &'static str, &'static str, Whose);
    let cases: [Case; 9] = [
        (|| of_system(28), "TM-CHECKPOINT-DISK-FULL", "make room", Whose::External),
        (|| of_system(27), "TM-CHECKPOINT-DISK-FULL", "execution.checkpointing.dir", Whose::External),
        (|| of_system(30), "TM-CHECKPOINT-UNWRITABLE", "execution.checkpointing.dir", Whose::User),
        (|| of_system(13), "TM-CHECKPOINT-PERMISSION", "right to read, write", Whose::User),
        (
            || Error::NotFound { path: "a".into(), source: "<Code>NoSuchBucket</Code>".into() },
            "TM-CHECKPOINT-BUCKET-MISSING",
            "create the bucket",
            Whose::User,
        ),
        (
            || Error::Unauthenticated { path: "a".into(), source: "401".into() },
            "TM-CHECKPOINT-CREDENTIALS",
            "'s3.access-key'",
            Whose::User,
        ),
        (
            || Error::PermissionDenied { path: "a".into(), source: "AccessDenied".into() },
            "TM-CHECKPOINT-PERMISSION",
            "role or key",
            Whose::User,
        ),
        (|| status("301 Moved Permanently: "), "TM-CHECKPOINT-WRONG-PLACE", "'s3.region'", Whose::User),
        (
            || status("400 Bad Request: what"),
            "TM-CHECKPOINT-STORAGE",
            "400 Bad Request: what",
            Whose::External,
        ),
    ];
    for (error, code, advice, fault) in cases {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let store = Arc::new(Faulty::new(move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
            Some(Fault::Error(error()))
        }));
        let (_, job) = open(&store, settings("s3://b/c"));
        let error = block_on(job.check_writable()).unwrap_err();
        let text = error.to_string();
        assert_eq!((error.code(), error.fault(), error.retryable()), (code, fault, false), "{text}");
        assert!(text.contains(advice) && text.contains("s3://b/c/"), "{text}");
        assert_eq!(calls.load(Ordering::Relaxed), 1, "it does not help to try again: {text}");
    }
}

#[test]
fn a_lost_answer_of_a_completion_does_no_harm() {
    let mut lost = false;
    let store = Arc::new(Faulty::new(move |call, _| {
        if call != "complete" || std::mem::replace(&mut lost, true) {
            return None;
        }
        Some(Fault::LostAnswer(status("502 Bad Gateway: ")))
    }));
    let (_, job) = open(&store, settings("s3://b/c"));
    block_on(async {
        let folder = job.checkpoint(1);
        let writer = folder.writer(1);
        let handle = writer.write(bytes(5_000)).await.unwrap();
        assert_eq!(folder.read(&handle).await.unwrap(), bytes(5_000));
    });
}

#[test]
fn a_disk_that_fills_up_leaves_nothing() {
    for settings in [settings("s3://b/c"), merging()] {
        let mut parts = 0;
        let store = Arc::new(Faulty::new(move |call, _| {
            parts += usize::from(call == "part");
            (parts >= 3).then(|| Fault::Error(of_system(28))).filter(|_| call == "part")
        }));
        let (storage, job) = open(&store, settings);
        block_on(async {
            let writer = job.checkpoint(1).writer(1);
            writer.write(bytes(900)).await.unwrap();
            let error = writer.write(bytes(5_000)).await.unwrap_err();
            assert_eq!(error.code(), "TM-CHECKPOINT-DISK-FULL", "{error}");
            let error = writer.write(bytes(500)).await.unwrap_err();
            assert_eq!(error.code(), "TM-CHECKPOINT-WRITER-CLOSED", "{error}");
            assert!(writer.finish().await.is_err());
            drop(writer);
            storage.settle().await;
            assert!(names(&store.memory).await.is_empty());
            assert!(store.open_uploads.lock().unwrap().is_empty());
        });
    }
}

#[test]
fn a_dropped_call_leaves_nothing() {
    for (at, merge) in
        [("part", true), ("part", false), ("put", false), ("create", false), ("complete", false)]
    {
        let store = Arc::new(Faulty::new(|_, _| None));
        let retry = RetryPolicy { deadline: Duration::from_millis(20), ..quick_retries() };
        let settings = StorageSettings { merge_files: merge, retry, ..settings("s3://b/c") };
        let (storage, job) = open(&store, settings);
        block_on(async {
            let writer = job.checkpoint(1).writer(1);
            writer.write(bytes(500)).await.unwrap();
            store.set(move |call, _| (call == at).then_some(Fault::Hang));
            let mut hanging = store.hanging.subscribe();
            let size = if at == "put" { 600 } else { 5_000 };
            tokio::select! {
                handle = writer.write(bytes(size)) => panic!("{at}: {handle:?}"),
                hangs = hanging.wait_for(|hanging| *hanging > 0) => assert!(hangs.is_ok()),
            }
            store.set(|_, _| None);
            let error = writer.finish().await.unwrap_err();
            assert_eq!(error.code(), "TM-CHECKPOINT-WRITER-CLOSED", "{at}: the cancelled write is missing");
            drop(writer);
            storage.settle().await;
            assert!(names(&store.memory).await.is_empty(), "{at}");
            assert!(store.open_uploads.lock().unwrap().is_empty(), "{at}");
        });
    }
}

#[test]
fn files_are_few_and_full() {
    let store = Arc::new(Faulty::new(|_, _| None));
    let (_, job) = open(&store, merging());
    block_on(async {
        let folder = job.checkpoint(1);
        let writer = folder.writer(1);
        let sizes: Vec<usize> = (0..200).map(|i| i * 5).chain([20_000]).collect();
        // All tasks at once.
        let writes = sizes.iter().map(|size| writer.write(bytes(*size)));
        let handles = futures_util::future::try_join_all(writes).await.unwrap();
        let written = writer.finish().await.unwrap();
        let in_files: usize = sizes.iter().filter(|size| **size > 100).sum();
        assert_eq!(written.bytes, in_files as u64);
        assert_eq!(written.files.len(), (in_files - 20_000) / 10_240 + 1 + 1, "and the large one");
        assert_eq!(names(&store.memory).await.len(), written.files.len());
        for (handle, size) in handles.iter().zip(&sizes) {
            assert_eq!(matches!(handle, StateHandle::Inline(_)), *size <= 100);
            assert_eq!(folder.read(handle).await.unwrap(), bytes(*size));
        }
        assert_eq!(writer.finish().await.unwrap_err().code(), "TM-CHECKPOINT-WRITER-CLOSED");
    });
}

#[test]
fn without_merging_a_subtask_writes_one_file() {
    let store = Arc::new(Faulty::new(|_, _| None));
    let (_, job) = open(&store, settings("s3://b/c"));
    block_on(async {
        let writer = job.checkpoint(1).writer(1);
        for _ in 0..3 {
            let pieces = [bytes(300), bytes(20), bytes(5_000)].map(Bytes::from);
            let handles = writer.write_all(pieces).await.unwrap();
            assert!(matches!(handles[1], StateHandle::Inline(_)));
            assert_eq!(handles[0].location(), handles[2].location());
        }
        assert_eq!(writer.finish().await.unwrap().files.len(), 3);
    });
}

#[test]
fn damaged_state_is_found() {
    let store = Arc::new(Faulty::new(|_, _| None));
    let (_, job) = open(&store, settings("s3://b/c"));
    let folder = job.checkpoint(1);
    let local = tempfile::tempdir().unwrap();
    block_on(async {
        use object_store::{ObjectStoreExt, PutPayload};
        let writer = folder.writer(1);
        let handle = writer.write(bytes(500)).await.unwrap();
        writer.finish().await.unwrap();
        let path = Path::from(names(&store.memory).await.pop_first().unwrap());
        let mut flipped = bytes(500);
        flipped[250] ^= 4;
        for (content, reason) in [(flipped, "checksum"), (bytes(499), "499 bytes"), (Vec::new(), "0 bytes")] {
            store.memory.put(&path, PutPayload::from(content)).await.unwrap();
            let target = local.path().join("state");
            for error in [
                folder.read(&handle).await.unwrap_err(),
                folder.download(&handle, &target).await.unwrap_err(),
            ] {
                assert_eq!(error.code(), "TM-CHECKPOINT-STATE-DAMAGED");
                let text = error.to_string();
                assert!(text.contains(reason) && text.contains(path.as_ref()), "{text}");
            }
            assert!(!target.exists());
        }
        store.memory.delete(&path).await.unwrap();
        let error = folder.read(&handle).await.unwrap_err();
        assert!(error.to_string().contains("the file is not there"), "{error}");
        let StateHandle::File { offset, checksum, .. } = handle else { panic!("{handle:?}") };
        let location = FileLocation::Checkpoint("none".into());
        let huge = StateHandle::File { location, offset, length: u64::MAX - 1, checksum };
        assert!(folder.read(&huge).await.is_err(), "no memory is taken for it");
    });
}

#[test]
fn a_checkpoint_without_metadata_is_none() {
    let store = Arc::new(Faulty::new(|_, _| None));
    let (_, job) = open(&store, settings("s3://b/c"));
    block_on(async {
        let folder = job.checkpoint(3);
        let writer = folder.writer(3);
        writer.write(bytes(500)).await.unwrap();
        writer.finish().await.unwrap();
        let error = folder.read_metadata().await.unwrap_err();
        assert_eq!(error.code(), "TM-CHECKPOINT-INCOMPLETE");
        let found = job.list().await.unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].id == 3 && !found[0].complete);
        folder.delete().await.unwrap();
        assert!(names(&store.memory).await.is_empty());
    });
}

#[test]
fn deleting_begins_with_the_metadata() {
    let store = Arc::new(Faulty::new(|_, _| None));
    let (_, job) = open(&store, settings("s3://b/c"));
    block_on(async {
        use object_store::ObjectStoreExt;
        for name in ["chk-1/a", "chk-1/_metadata", "shared/chk-1-b"] {
            store.memory.put(&Path::from(format!("c/{}/{name}", JobId(1))), "x".into()).await.unwrap();
        }
        store.set(|call, path| {
            let fails = call == "delete" && path.filename() != Some("_metadata");
            fails.then(|| Fault::Error(status("403 Forbidden: ")))
        });
        job.checkpoint(1).delete().await.unwrap_err();
        assert!(!job.list().await.unwrap()[0].complete, "what is left is no checkpoint");
    });
}

#[test]
fn blocking_calls_are_refused_on_the_runtime() {
    let store = Arc::new(Faulty::new(|_, _| None));
    let (storage, job) = open(&store, settings("s3://b/c"));
    assert_eq!(storage.block_on(job.list()).unwrap(), []);
    let error = block_on(async { storage.block_on(job.list()).unwrap_err() });
    assert_eq!(error.code(), "TM-CHECKPOINT-BLOCKING-IN-RUNTIME");
}

#[test]
fn shared_files_of_a_savepoint_are_its_own() {
    let store = Arc::new(Faulty::new(|_, _| None));
    let (storage, _) = open(&store, settings("s3://b/c"));
    let local = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(local.path(), bytes(5_000)).unwrap();
    let folder = storage.savepoint(JobId(0x1234 << 112), Some("s3a://b/savepoints")).unwrap();
    assert!(folder.uri().starts_with("s3://b/savepoints/savepoint-123400-"), "{}", folder.uri());
    block_on(async {
        let writer = folder.writer(9);
        let handle = writer.upload_file(local.path(), Placement::Shared).await.unwrap();
        writer.finish().await.unwrap();
        assert!(matches!(handle.location(), Some(FileLocation::Checkpoint(_))));
        let target = local.path().with_extension("copy");
        folder.download(&handle, &target).await.unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), bytes(5_000));
        let again = folder.download(&handle, &target).await.unwrap_err();
        assert_eq!(again.code(), "TM-CHECKPOINT-LOCAL-FILE");
        assert!(target.exists(), "what was there before stays");
        std::fs::remove_file(target).unwrap();
    });
}

#[test]
fn folders_must_be_set() {
    let handle = runtime().handle().clone();
    let settings = StorageSettings { checkpoint_dir: None, ..settings("s3://b/c") };
    let storage = CheckpointStorage::open(settings, handle).unwrap();
    let error = storage.job(JobId(1)).unwrap_err().to_string();
    assert!(error.contains("'execution.checkpointing.dir'"), "{error}");
    let error = storage.savepoint(JobId(1), None).unwrap_err().to_string();
    assert!(error.contains("'execution.checkpointing.savepoint-dir'"), "{error}");
}
