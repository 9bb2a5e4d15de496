//! Checkpoints in S3, over its protocol, with a server that fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Method;
use tidemill_checkpoint::metadata::CheckpointKind;
use tidemill_checkpoint::storage::{InProgress, Placement, RetryPolicy};
use tidemill_checkpoint::{
    CheckpointError, CheckpointMetadata, CheckpointStorage, JobStorage, SharedFileRegistry, StateHandle,
    StorageSettings,
};
use tidemill_core::config::{Configuration, Origin};
use tidemill_core::{Classified, JobId};

use crate::support::{block_on, bytes, quick_retries, runtime};
use tidemill_testkit::s3_server::{ACCESS_KEY, S3Fault, S3Server, SECRET_KEY};

/// As a user would configure it, in the spellings of Flink's file system.
fn settings(server: &S3Server) -> StorageSettings {
    let endpoint = format!("http://{}", server.address);
    let mut configuration = Configuration::new();
    for (key, value) in [
        ("state.checkpoints.dir", "s3a://bucket/some/checkpoints"),
        ("fs.s3a.access.key", ACCESS_KEY),
        ("fs.s3a.secret.key", SECRET_KEY),
        ("fs.s3a.endpoint", &endpoint),
        ("fs.s3a.path.style.access", "true"),
        ("fs.s3a.endpoint.region", "eu-central-1"),
        ("s3.connection.maximum", "8"),
    ] {
        configuration.set_raw(key, value, Origin::CommandLine);
    }
    let settings = StorageSettings::from_configuration(&configuration).unwrap();
    assert_eq!(settings.max_connections, 8);
    StorageSettings { retry: quick_retries(), ..settings }
}

fn open(settings: StorageSettings) -> (CheckpointStorage, JobStorage) {
    let storage = CheckpointStorage::open(settings, runtime().handle().clone()).unwrap();
    let job = storage.job(JobId(1)).unwrap();
    (storage, job)
}

fn metadata(id: u64) -> CheckpointMetadata {
    CheckpointMetadata {
        checkpoint_id: id,
        kind: CheckpointKind::Checkpoint,
        timestamp_ms: 0,
        job_name: "job".into(),
        job_id: JobId(1),
        operators: Vec::new(),
    }
}

/// The files of the bucket, without those that the server keeps for itself.
fn objects(server: &S3Server) -> Vec<String> {
    fn walk(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&server.folder.path().join("bucket"), &mut found);
    found
}

fn no_secrets(text: &str) {
    assert!(!text.contains(SECRET_KEY) && !text.contains(ACCESS_KEY), "{text}");
}

const LARGE: usize = 12 << 20;

/// Writes small and large state and a large file, publishes, and reads everything back.
async fn write_and_read(job: &JobStorage, id: u64, local: &std::path::Path) -> Result<(), CheckpointError> {
    let folder = job.checkpoint(id);
    let writer = folder.writer(id);
    let small = writer.write(bytes(30_000)).await?;
    let large = writer.write(bytes(LARGE)).await?;
    let shared = writer.upload_file(local, Placement::Shared).await?;
    assert_eq!(writer.finish().await?.files.len(), 3);
    assert!(!folder.is_complete().await?);
    folder.publish(&metadata(id)).await?;
    assert_eq!(folder.read_metadata().await?, metadata(id));
    assert_eq!(folder.read(&small).await?, bytes(30_000));
    assert!(folder.read(&large).await? == bytes(LARGE));
    let target = local.with_extension("copy");
    folder.download(&shared, &target).await?;
    assert!(std::fs::read(&target).unwrap() == bytes(LARGE + 1));
    std::fs::remove_file(target).unwrap();
    Ok(())
}

#[test]
fn checkpoints_live_in_s3_also_while_it_fails() {
    let server = S3Server::start();
    let (_, job) = open(settings(&server));
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("large.sst");
    std::fs::write(&local, bytes(LARGE + 1)).unwrap();
    block_on(async {
        job.check_writable().await.unwrap();
        let faults = [
            None,
            Some((Method::PUT, S3Fault::Status(503))),
            Some((Method::PUT, S3Fault::Cut)),
            Some((Method::PUT, S3Fault::LostAnswer)),
            Some((Method::POST, S3Fault::Status(500))),
            Some((Method::POST, S3Fault::LostAnswer)),
            Some((Method::GET, S3Fault::Status(429))),
            Some((Method::GET, S3Fault::LostAnswer)),
            Some((Method::HEAD, S3Fault::Status(503))),
        ];
        for (id, fault) in (1..).zip(faults) {
            if let Some((method, fault)) = fault.clone() {
                // Fewer than the attempts of one request, should they all meet the same.
                server.first(3, method, fault);
            }
            write_and_read(&job, id, &local).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
            let found = job.list().await.unwrap();
            assert!(found[0].id == id && found[0].complete, "{found:?}");
            if id > 1 {
                job.checkpoint(id - 1).delete().await.unwrap();
            }
            assert_eq!(job.list().await.unwrap().len(), 1);
        }
        let swept =
            job.sweep(&SharedFileRegistry::new(), &InProgress { ids: Default::default(), next: 99 }).await;
        assert_eq!(swept.unwrap().files.len(), 9 + 3, "the shared files and the last checkpoint");
        assert_eq!(job.list().await.unwrap(), []);
        assert_eq!(objects(&server), Vec::<String>::new());
    });
}

#[test]
fn what_cannot_succeed_fails_in_bounded_time_and_says_why() {
    let server = S3Server::start();
    let retry = RetryPolicy {
        request_timeout: Duration::from_millis(200),
        deadline: Duration::from_millis(500),
        ..quick_retries()
    };
    let (storage, job) = open(StorageSettings { retry, ..settings(&server) });
    let cases = [
        (S3Fault::Status(503), "TM-CHECKPOINT-UNAVAILABLE", "503", 4),
        (S3Fault::Status(403), "TM-CHECKPOINT-PERMISSION", "right to read, write", 1),
        (S3Fault::Status(301), "TM-CHECKPOINT-WRONG-PLACE", "'s3.region'", 1),
        (S3Fault::Cut, "TM-CHECKPOINT-UNAVAILABLE", "s3.endpoint", 4),
        (S3Fault::Silence, "TM-CHECKPOINT-TIMEOUT", "no answer within", 3),
    ];
    for (fault, code, words, at_most) in cases {
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        server.set(move |method, _| {
            // What it has written is deleted in the background.
            counted.fetch_add(usize::from(method == Method::PUT), Ordering::Relaxed);
            Some(fault)
        });
        let error = block_on(async {
            let writer = job.checkpoint(1).writer(1);
            writer.write(bytes(30_000)).await.unwrap_err()
        });
        let made = requests.load(Ordering::Relaxed);
        assert_eq!(error.code(), code, "{fault:?}: {error}");
        assert!(
            error.to_string().contains(words) && error.to_string().contains("s3://bucket/some"),
            "{error}"
        );
        assert!(made <= at_most, "{fault:?}: {made} requests");
        no_secrets(&format!("{error} {error:?}"));
    }
    server.set(|_, _| None);
    block_on(storage.settle());
    assert_eq!(objects(&server), Vec::<String>::new());
}

#[test]
fn a_checkpoint_whose_upload_breaks_off_is_not_seen() {
    let server = S3Server::start();
    let (storage, job) = open(settings(&server));
    block_on(async {
        // The second part never arrives.
        server.set(|_, target| target.contains("partNumber=2").then_some(S3Fault::Cut));
        let writer = job.checkpoint(5).writer(5);
        writer.write(bytes(30_000)).await.unwrap();
        writer.write(bytes(LARGE)).await.unwrap_err();
        assert!(writer.finish().await.is_err());
        drop(writer);
        storage.settle().await;
        assert_eq!(job.list().await.unwrap(), []);
        assert_eq!(objects(&server), Vec::<String>::new());
        let parts = std::fs::read_dir(server.folder.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().contains(".part-"));
        assert_eq!(parts.count(), 0, "the upload was given up");

        // Nor is one whose metadata never arrives.
        server.set(|_, target| target.contains("_metadata").then_some(S3Fault::Cut));
        let folder = job.checkpoint(6);
        folder.publish(&metadata(6)).await.unwrap_err();
        server.set(|_, _| None);
        assert!(!folder.is_complete().await.unwrap());
    });
}

#[test]
fn wrong_keys_and_buckets_say_what_to_set() {
    let server = S3Server::start();
    let wrong = |change: fn(&mut StorageSettings)| {
        let mut settings = settings(&server);
        change(&mut settings);
        let (_, job) = open(settings);
        let error = block_on(async {
            job.list().await?;
            job.check_writable().await
        })
        .unwrap_err();
        no_secrets(&format!("{error} {error:?}"));
        error
    };
    let error = wrong(|settings| settings.checkpoint_dir = Some("s3://nowhere/a".into()));
    assert_eq!(error.code(), "TM-CHECKPOINT-BUCKET-MISSING", "{error}");
    let error =
        wrong(|settings| settings.s3.secret_key = Some(tidemill_core::config::Secret::new("another")));
    assert_eq!(error.code(), "TM-CHECKPOINT-CREDENTIALS", "{error}");
    assert!(
        !format!("{error:?}").contains("another") && error.to_string().contains("'s3.secret-key'"),
        "{error}"
    );
    let error = wrong(|settings| settings.s3.endpoint = Some("http://127.0.0.1:1".into()));
    assert_eq!(error.code(), "TM-CHECKPOINT-UNAVAILABLE", "{error}");
    assert!(error.to_string().contains("'s3.endpoint'"), "{error}");

    let mut half = settings(&server);
    half.s3.secret_key = None;
    let error = CheckpointStorage::open(half, runtime().handle().clone()).unwrap_err();
    assert_eq!(error.code(), "TM-CHECKPOINT-STORAGE-SETUP");
    assert!(error.to_string().contains("'s3.secret-key'"), "{error}");
}

#[test]
fn nothing_shows_the_keys() {
    let server = S3Server::start();
    let settings = settings(&server);
    no_secrets(&format!("{settings:?}"));
    let (storage, job) = open(settings);
    let folder = job.checkpoint(1);
    let writer = folder.writer(1);
    no_secrets(&format!("{storage:?} {job:?} {folder:?} {writer:?}"));
    no_secrets(&format!("{} {}", job.uri(), folder.uri()));
    // The server repeats the key in every answer.
    let handle = StateHandle::File {
        location: tidemill_checkpoint::FileLocation::Shared("a".into()),
        offset: 0,
        length: 1,
        checksum: 0,
    };
    for status in [400, 401, 403, 404, 409, 500, 503] {
        server.set(move |_, _| Some(S3Fault::Status(status)));
        let errors = block_on(async {
            [
                job.check_writable().await.err(),
                job.list().await.err(),
                folder.publish(&metadata(1)).await.err(),
                folder.read_metadata().await.err(),
                folder.read(&handle).await.err(),
                folder.delete().await.err(),
                job.checkpoint(2).writer(2).write(bytes(LARGE)).await.err(),
            ]
        });
        assert!(errors.iter().flatten().count() >= 4, "{errors:?}");
        errors.iter().flatten().for_each(|error| no_secrets(&format!("{error} {error:?} {error:#?}")));
    }
    block_on(storage.settle());
}
