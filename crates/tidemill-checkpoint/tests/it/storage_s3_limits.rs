//! What options say of requests to S3 is what a server sees; and answers that do not come to an end.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hyper::Method;
use tidemill_checkpoint::storage::RetryPolicy;
use tidemill_checkpoint::{CheckpointStorage, JobStorage, StateHandle, StorageSettings};
use tidemill_core::config::{Configuration, Origin};
use tidemill_core::{Classified, JobId};
use tidemill_testkit::s3_server::{S3Fault, S3Server};

use crate::support::{block_on, bytes, quick_retries, runtime};

fn settings(server: &S3Server, entries: &[(&str, &str)]) -> StorageSettings {
    let mut configuration = Configuration::new();
    configuration.set_raw("execution.checkpointing.dir", "s3://bucket/some", Origin::Api);
    for (key, value) in server.options() {
        configuration.set_raw(key, value, Origin::Api);
    }
    for (key, value) in entries {
        configuration.set_raw(*key, *value, Origin::CommandLine);
    }
    let settings = StorageSettings::from_configuration(&configuration).unwrap();
    StorageSettings { retry: quick_retries(), ..settings }
}

fn open(settings: StorageSettings) -> JobStorage {
    let storage = CheckpointStorage::open(settings, runtime().handle().clone()).unwrap();
    storage.job(JobId(1)).unwrap()
}

const LARGE: usize = 12 << 20;

/// The numbers of the parts in which 12 MiB arrive.
fn parts_of_an_upload(entries: &[(&str, &str)]) -> BTreeSet<u32> {
    let server = S3Server::start();
    let job = open(settings(&server, entries));
    let parts: Arc<Mutex<BTreeSet<u32>>> = Arc::default();
    let seen = Arc::clone(&parts);
    server.set(move |_, target| {
        let number = target.split_once("partNumber=").map(|(_, rest)| rest.split('&').next().unwrap());
        seen.lock().unwrap().extend(number.map(|number| number.parse::<u32>().unwrap()));
        None
    });
    block_on(async {
        let writer = job.checkpoint(1).writer(1);
        let handle = writer.write(bytes(LARGE)).await.unwrap();
        writer.finish().await.unwrap();
        assert!(job.checkpoint(1).read(&handle).await.unwrap() == bytes(LARGE));
    });
    let parts = parts.lock().unwrap();
    parts.clone()
}

#[test]
fn a_part_of_an_upload_is_as_large_as_is_said() {
    assert_eq!(parts_of_an_upload(&[]), [1, 2, 3].into(), "of 5 MiB");
    assert_eq!(parts_of_an_upload(&[("s3.upload.min.part.size", "6 mb")]), [1, 2].into());
    assert_eq!(parts_of_an_upload(&[("s3.upload.min.part.size", "12 mb")]), [].into(), "it is one request");
}

/// Waits until as many of the requests that `held` chooses are under way as are expected of `work`, and sees that there are no more,
/// however long they take.
fn under_way<F: Future<Output = ()> + Send + 'static>(
    entries: &[(&str, &str)],
    expected: usize,
    held: fn(&Method, &str) -> bool,
    work: impl FnOnce(JobStorage, Vec<StateHandle>) -> F,
) {
    let server = S3Server::start();
    let job = open(settings(&server, entries));
    // Another client, which is not held up.
    let other = open(settings(&server, &[]));
    let stored = block_on(async {
        let mut stored = Vec::new();
        for id in 0..OFFERED {
            let writer = job.checkpoint(id).writer(id);
            stored.push(writer.write(bytes(30_000)).await.unwrap());
            writer.finish().await.unwrap();
        }
        stored
    });
    server.set(move |method, target| held(method, target).then_some(S3Fault::Held));
    let working = runtime().spawn(work(job, stored));
    let deadline = Instant::now() + Duration::from_secs(60);
    while server.held() < expected {
        assert!(Instant::now() < deadline, "{entries:?}: only {} are under way", server.held());
        std::thread::yield_now();
    }
    for _ in 0..30 {
        block_on(other.checkpoint(1).is_complete()).unwrap();
        assert_eq!(server.held(), expected, "{entries:?}");
    }
    server.release();
    block_on(working).unwrap();
}

/// How many requests could be under way at once if nothing limited them.
const OFFERED: u64 = 6;

#[test]
fn so_many_uploads_are_under_way_as_are_said() {
    let small = |job: JobStorage, _| async move {
        let write = |id| {
            let writer = job.checkpoint(id).writer(id);
            async move { writer.write(bytes(30_000)).await.map(drop).unwrap() }
        };
        join_all((10..10 + OFFERED).map(write)).await;
    };
    let is_put: fn(&Method, &str) -> bool = |method, _| method == Method::PUT;
    under_way(&[], OFFERED as usize, is_put, small);
    under_way(&[("fs.s3a.threads.max", "2")], 2, is_put, small);
    // All requests together, of which uploads may be as many.
    under_way(&[("fs.s3a.connection.maximum", "3")], 3, is_put, small);

    let large = |job: JobStorage, _| async move {
        let writer = job.checkpoint(20).writer(20);
        writer.write(bytes(2 * LARGE)).await.map(drop).unwrap();
    };
    let is_part: fn(&Method, &str) -> bool = |_, target| target.contains("partNumber=");
    under_way(&[], 4, is_part, large);
    under_way(&[("s3.upload.max.concurrent.uploads", "2")], 2, is_part, large);
    under_way(&[("s3.upload.max.concurrent.uploads", "9")], 5, is_part, large);
}

#[test]
fn so_many_requests_are_under_way_as_are_said() {
    let read = |job: JobStorage, stored: Vec<StateHandle>| async move {
        let read = |(id, handle): (u64, StateHandle)| {
            let folder = job.checkpoint(id);
            async move { folder.read(&handle).await.map(drop).unwrap() }
        };
        join_all((0..).zip(stored).map(read)).await;
    };
    let is_read: fn(&Method, &str) -> bool = |method, _| method == Method::GET;
    under_way(&[("fs.s3a.connection.maximum", "2")], 2, is_read, read);
    // Reading is no upload.
    under_way(&[("fs.s3a.threads.max", "1")], OFFERED as usize, is_read, read);
}

#[test]
fn the_bucket_stands_in_the_path_or_in_the_name_of_the_host() {
    let server = S3Server::start();
    let targets: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&targets);
    server.set(move |_, target| {
        seen.lock().unwrap().push(target.to_owned());
        Some(S3Fault::Status(403))
    });
    let endpoint = format!("http://localhost:{}", server.address.port());
    let asked = |path_style: &str| {
        let entries = [("s3.endpoint", endpoint.as_str()), ("s3.path-style-access", path_style)];
        let error = block_on(open(settings(&server, &entries)).check_writable()).unwrap_err().to_string();
        (std::mem::take(&mut *targets.lock().unwrap()), error)
    };
    let (targets, error) = asked("true");
    assert!(
        !targets.is_empty() && targets.iter().all(|target| target.starts_with("/bucket/some/")),
        "{error}"
    );
    let (targets, error) = asked("false");
    assert!(targets.iter().all(|target| target.starts_with("/some/")), "{targets:?}");
    // Not every machine knows names below that of itself.
    let of_host = format!("http://bucket.localhost:{}/some/", server.address.port());
    assert!(!targets.is_empty() || error.contains(&of_host), "{error}");
}

#[test]
fn an_answer_that_stops_in_the_middle_is_asked_for_again() {
    let server = S3Server::start();
    let retry = RetryPolicy {
        attempts: 3,
        request_timeout: Duration::from_millis(200),
        deadline: Duration::from_secs(30),
        ..quick_retries()
    };
    let job = open(StorageSettings { retry, ..settings(&server, &[]) });
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let checkpoint = job.checkpoint(1);
        let writer = checkpoint.writer(1);
        let handle = writer.write(bytes(300_000)).await.unwrap();
        writer.finish().await.unwrap();
        assert!(matches!(handle, StateHandle::File { .. }));

        server.first(2, Method::GET, S3Fault::Stalled);
        assert!(checkpoint.read(&handle).await.unwrap() == bytes(300_000));
        let copy = folder.path().join("copy");
        server.first(2, Method::GET, S3Fault::Stalled);
        checkpoint.download(&handle, &copy).await.unwrap();
        assert!(std::fs::read(&copy).unwrap() == bytes(300_000));

        server.set(|method, _| (method == Method::GET).then_some(S3Fault::Stalled));
        let begin = Instant::now();
        let cut_short = folder.path().join("cut short");
        for error in [
            checkpoint.read(&handle).await.unwrap_err(),
            checkpoint.download(&handle, &cut_short).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), "TM-CHECKPOINT-TIMEOUT", "{error}");
            let text = error.to_string();
            assert!(text.contains("no answer within") && text.contains("s3://bucket/some"), "{text}");
            assert!(!error.is_damage(), "another checkpoint is no better: {text}");
        }
        assert!(begin.elapsed() >= 6 * Duration::from_millis(200), "each is asked for three times");
        assert!(!cut_short.exists());
    });
}
