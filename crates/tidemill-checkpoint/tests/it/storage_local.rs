//! Checkpoints in folders of this machine.

use std::path::Path;
use std::process::Command;

use tidemill_checkpoint::metadata::CheckpointKind;
use tidemill_checkpoint::storage::{InProgress, Placement};
use tidemill_checkpoint::{CheckpointMetadata, CheckpointStorage, SharedFileRegistry, StorageSettings};
use tidemill_core::{Classified, JobId};

use crate::support::{block_on, bytes, runtime, settings};

fn open(settings: StorageSettings) -> CheckpointStorage {
    CheckpointStorage::open(settings, runtime().handle().clone()).unwrap()
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

fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.push(format!("{name}/"));
            found.extend(files_below(&path).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

#[test]
fn the_layout_is_flinks() {
    for create_subdir in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        // A name that a URI would write differently.
        let dir = folder.path().join("my checkpoints %20#1");
        let local = folder.path().join("000012.sst");
        std::fs::write(&local, bytes(2_500)).unwrap();
        let storage = open(StorageSettings { create_subdir, ..settings(dir.to_str().unwrap()) });
        let job = storage.job(JobId(0xabc)).unwrap();
        block_on(async {
            job.check_writable().await.unwrap();
            let checkpoint = job.checkpoint(7);
            let writer = checkpoint.writer(7);
            let shared = writer.upload_file(&local, Placement::Shared).await.unwrap();
            let exclusive = writer.write(bytes(2_000)).await.unwrap();
            writer.finish().await.unwrap();
            checkpoint.publish(&metadata(7)).await.unwrap();

            let base = if create_subdir { dir.join(JobId(0xabc).to_string()) } else { dir.clone() };
            assert_eq!(job.uri(), format!("file://{}", base.display()));
            let own = exclusive.location().unwrap().to_string();
            let name = shared.location().unwrap().to_string().replace("../", "");
            assert!(name.starts_with("shared/chk-7-"), "{name}");
            let mut expected = vec![
                "chk-7/".to_owned(),
                format!("chk-7/{own}"),
                "chk-7/_metadata".into(),
                "shared/".into(),
                name,
            ];
            expected.sort();
            assert_eq!(files_below(&base), expected);
            for uri in [checkpoint.uri(), base.join("chk-7/_metadata").to_str().unwrap().to_owned()] {
                let restored = storage.at(&uri).unwrap();
                assert_eq!(restored.read_metadata().await.unwrap(), metadata(7));
                assert_eq!(restored.read(&shared).await.unwrap(), bytes(2_500));
                assert_eq!(restored.read(&exclusive).await.unwrap(), bytes(2_000));
            }
            checkpoint.delete().await.unwrap();
            assert_eq!(files_below(&base).len(), 2, "only the shared file and its folder");
        });
    }
}

#[test]
fn a_savepoint_can_be_moved() {
    let folder = tempfile::tempdir().unwrap();
    let settings = StorageSettings {
        savepoint_dir: Some(folder.path().to_str().unwrap().into()),
        ..settings("memory://m/c")
    };
    let storage = open(settings);
    block_on(async {
        let savepoint = storage.savepoint(JobId(1), None).unwrap();
        let writer = savepoint.writer(1);
        let handle = writer.write(bytes(500)).await.unwrap();
        writer.finish().await.unwrap();
        savepoint.publish(&metadata(1)).await.unwrap();
        let from = savepoint.uri();
        let to = folder.path().join("moved");
        std::fs::rename(from.strip_prefix("file://").unwrap(), &to).unwrap();
        let moved = storage.at(to.to_str().unwrap()).unwrap();
        assert_eq!(moved.read_metadata().await.unwrap(), metadata(1));
        assert_eq!(moved.read(&handle).await.unwrap(), bytes(500));
        assert_eq!(savepoint.read_metadata().await.unwrap_err().code(), "TM-CHECKPOINT-INCOMPLETE");
    });
}

#[test]
fn what_was_given_up_leaves_neither_files_nor_folders() {
    for merge_files in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let local = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(local.path(), bytes(5_000)).unwrap();
        let settings = settings(folder.path().to_str().unwrap());
        let storage = open(StorageSettings { merge_files, create_subdir: false, ..settings });
        block_on(async {
            let job = storage.job(JobId(1)).unwrap();
            let writer = job.checkpoint(1).writer(1);
            for size in [500, 5_000, 3_000] {
                writer.write(bytes(size)).await.unwrap();
            }
            writer.upload_file(local.path(), Placement::Shared).await.unwrap();
            assert!(!files_below(folder.path()).is_empty());
            drop(writer);
            storage.settle().await;
            assert_eq!(files_below(folder.path()), ["shared/"]);
        });
    }
}

#[test]
fn a_sweep_takes_what_a_crash_left() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(StorageSettings { create_subdir: false, ..settings(folder.path().to_str().unwrap()) });
    let job = storage.job(JobId(1)).unwrap();
    block_on(async {
        let kept = job.checkpoint(3);
        kept.publish(&metadata(3)).await.unwrap();
        for name in [
            "chk-1/a",
            "chk-3/_metadata.00ff.inprogress",
            "chk-3/a",
            "chk-9/a.00ff.inprogress",
            "shared/chk-2-a",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        std::fs::create_dir(folder.path().join("chk-2")).unwrap();
        let mut registry = SharedFileRegistry::new();
        registry.retain(3, job.files_of(&kept, &metadata(3)).unwrap()).unwrap();
        let in_progress = InProgress { ids: Default::default(), next: 9 };
        let swept = job.sweep(&registry, &in_progress).await.unwrap();
        assert_eq!(swept.files.len(), 4, "{swept:?}");
        let left = files_below(folder.path());
        assert_eq!(left, ["chk-3/", "chk-3/_metadata", "chk-9/", "chk-9/a.00ff.inprogress", "shared/"]);
    });
}

#[test]
fn metadata_replaces_metadata_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(settings(folder.path().to_str().unwrap()));
    let checkpoint = storage.job(JobId(1)).unwrap().checkpoint(1);
    block_on(async {
        for name in ["a", &"b".repeat(5_000), ""] {
            let metadata = CheckpointMetadata { job_name: name.into(), ..metadata(1) };
            checkpoint.publish(&metadata).await.unwrap();
            assert_eq!(checkpoint.read_metadata().await.unwrap(), metadata);
        }
        let path = checkpoint.uri();
        assert_eq!(files_below(Path::new(path.strip_prefix("file://").unwrap())), ["_metadata"]);
    });
}

#[test]
fn a_folder_that_cannot_be_says_so() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for dir in [file.path().to_str().unwrap(), "/proc/checkpoints", "/dev/full/checkpoints"] {
        let job = open(settings(dir)).job(JobId(1)).unwrap();
        let error = block_on(job.check_writable()).unwrap_err();
        assert_eq!(error.code(), "TM-CHECKPOINT-UNWRITABLE", "{error}");
        let text = error.to_string();
        assert!(text.contains(dir) && text.contains("set 'execution.checkpointing.dir'"), "{text}");
    }
}

/// The process that the test below starts: it can write files of 8 kb at most.
#[test]
fn in_a_limited_process() {
    let Some(dir) = std::env::var_os("TIDEMILL_TEST_LIMITED_DIR") else { return };
    let storage = open(StorageSettings { create_subdir: false, ..settings(dir.to_str().unwrap()) });
    let job = storage.job(JobId(1)).unwrap();
    block_on(async {
        let writer = job.checkpoint(1).writer(1);
        writer.write(bytes(4_000)).await.unwrap();
        let error = writer.write(bytes(100_000)).await.unwrap_err();
        assert_eq!(error.code(), "TM-CHECKPOINT-DISK-FULL", "{error}");
        drop(writer);
        storage.settle().await;
    });
    std::fs::write(Path::new(&dir).join("passed"), "").unwrap();
}

#[test]
fn a_real_limit_of_the_disk_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" --exact storage_local::in_a_limited_process"])
        .arg(std::env::current_exe().unwrap())
        .env("TIDEMILL_TEST_LIMITED_DIR", folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(files_below(folder.path()), ["passed"]);
}
