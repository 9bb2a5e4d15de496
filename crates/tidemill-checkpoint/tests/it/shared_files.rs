//! The registry of files against a naive model, and with a store: after whatever happened, exactly the files of the retained
//! checkpoints are left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object_store::memory::InMemory;
use proptest::prelude::*;
use tidemill_checkpoint::metadata::{
    CheckpointKind, NativeFileHandle, NativeState, OperatorState, SubtaskState,
};
use tidemill_checkpoint::storage::{InProgress, Placement};
use tidemill_checkpoint::{
    CheckpointFolder, CheckpointMetadata, CheckpointStorage, CheckpointWriter, FileLocation, JobStorage,
    SharedFileRegistry, StateFile, StateHandle,
};
use tidemill_core::{JobId, OperatorId};

use crate::support::{block_on, names, runtime, settings};

fn file(name: u8) -> StateFile {
    StateFile::Shared(format!("chk-0-{name}"))
}

fn files(names: &BTreeSet<u8>) -> BTreeSet<StateFile> {
    names.iter().copied().map(file).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Begin,
    /// A pending checkpoint completes with these of the files that may be named, and these new ones.
    Complete {
        which: prop::sample::Index,
        old: Vec<prop::sample::Index>,
        new: BTreeSet<u8>,
        unused: BTreeSet<u8>,
    },
    Abort {
        which: prop::sample::Index,
        new: BTreeSet<u8>,
    },
    Discard {
        which: prop::sample::Index,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    let new = || prop::collection::btree_set(0u8..8, 0..3);
    prop_oneof![
        3 => Just(Step::Begin),
        3 => (index(), prop::collection::vec(index(), 0..4), new(), new())
            .prop_map(|(which, old, new, unused)| Step::Complete { which, old, new, unused }),
        1 => (index(), new()).prop_map(|(which, new)| Step::Abort { which, new }),
        2 => index().prop_map(|which| Step::Discard { which }),
    ]
}

fn pick<T: Copy>(from: impl Iterator<Item = T>, index: &prop::sample::Index) -> Option<T> {
    let all: Vec<T> = from.collect();
    (!all.is_empty()).then(|| *index.get(&all))
}

proptest! {
    /// A pending checkpoint may name every file that a retained one had when it began. The registry returns a file exactly when no
    /// retained checkpoint has it, and none that is pending may name it.
    #[test]
    fn files_are_kept_as_long_as_they_may_be_named(steps in prop::collection::vec(step(), 0..60)) {
        let mut registry = SharedFileRegistry::new();
        let mut retained: BTreeMap<u64, BTreeSet<StateFile>> = BTreeMap::new();
        let mut pending: BTreeMap<u64, BTreeSet<StateFile>> = BTreeMap::new();
        let mut existing: BTreeSet<StateFile> = BTreeSet::new();
        let mut next = 1;
        for step in steps {
            let fresh = |id: u64, names: &BTreeSet<u8>, kind: &str| -> BTreeSet<StateFile> {
                names.iter().map(|name| StateFile::Shared(format!("chk-{id}-{kind}{name}"))).collect()
            };
            let unused = match step {
                Step::Begin => {
                    registry.begin(next).unwrap();
                    pending.insert(next, retained.values().flatten().cloned().collect());
                    next += 1;
                    continue;
                }
                Step::Complete { which, old, new, unused } => {
                    let Some(id) = pick(pending.keys().copied(), &which) else { continue };
                    let may = pending.remove(&id).unwrap();
                    let (new, unused) = (fresh(id, &new, "n"), fresh(id, &unused, "u"));
                    let all: Vec<StateFile> = new.union(&unused).cloned().collect();
                    existing.extend(all.iter().cloned());
                    prop_assert_eq!(registry.written(id, all), []);
                    let mut of_checkpoint: BTreeSet<StateFile> = new;
                    for index in old {
                        of_checkpoint.extend(pick(may.iter(), &index).cloned());
                    }
                    prop_assert!(of_checkpoint.is_subset(&existing), "all that it names exists");
                    retained.insert(id, of_checkpoint.clone());
                    registry.complete(id, of_checkpoint).unwrap()
                }
                Step::Abort { which, new } => {
                    let Some(id) = pick(pending.keys().copied(), &which) else { continue };
                    pending.remove(&id);
                    let new = fresh(id, &new, "a");
                    existing.extend(new.iter().cloned());
                    registry.written(id, new.clone());
                    let mut unused = registry.abort(id).unwrap();
                    let metadata = StateFile::Checkpoint { id, name: "_metadata".into() };
                    let before = unused.len();
                    unused.retain(|file| *file != metadata);
                    prop_assert_eq!(unused.len() + 1, before, "the metadata that may be there");
                    unused
                }
                Step::Discard { which } => {
                    let Some(id) = pick(retained.keys().copied(), &which) else { continue };
                    retained.remove(&id);
                    registry.discard(id).unwrap()
                }
            };
            for file in unused {
                prop_assert!(existing.remove(&file), "{:?} is returned once", file);
            }
            // The model: what has to be there, and no more.
            let needed: BTreeSet<&StateFile> = retained.values().chain(pending.values()).flatten().collect();
            prop_assert!(needed.iter().all(|file| existing.contains(*file)), "a needed file was returned");
            if pending.is_empty() {
                let needed: BTreeSet<StateFile> = retained.values().flatten().cloned().collect();
                prop_assert_eq!(&existing, &needed);
            }
            prop_assert!(existing.iter().all(|file| registry.is_known(file)));
            prop_assert!(registry.retained().eq(retained.keys().copied()));
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let mut registry = SharedFileRegistry::new();
    registry.begin(1).unwrap();
    assert!(registry.begin(1).is_err() && registry.retain(1, BTreeSet::new()).is_err());
    assert!(registry.discard(1).is_err(), "it is pending");
    registry.complete(1, files(&[1].into())).unwrap();
    assert!(registry.complete(1, BTreeSet::new()).is_err() && registry.abort(1).is_err());
    let error = registry.abort(2).unwrap_err();
    assert_eq!(error.to_string(), "checkpoint 2 is not pending");
}

#[test]
fn protected_files_are_never_returned() {
    let mut registry = SharedFileRegistry::new();
    registry.protect([file(1)]);
    registry.begin(1).unwrap();
    registry.complete(1, [file(1), file(2)].into()).unwrap();
    assert_eq!(registry.discard(1).unwrap(), [file(2)]);
    assert!(registry.is_known(&file(1)));
}

// ---- With a store. ----

fn job_id() -> JobId {
    JobId(0xabc)
}

fn metadata_of(id: u64, handles: &[StateHandle]) -> CheckpointMetadata {
    let files = handles
        .iter()
        .enumerate()
        .map(|(i, handle)| NativeFileHandle { name: format!("{i}.sst"), handle: handle.clone() });
    let native = vec![NativeState { descriptor: Vec::new(), files: files.collect() }];
    let operator = OperatorState {
        id: OperatorId(1),
        uid: None,
        name: "a".into(),
        parallelism: 1,
        max_parallelism: 128,
        subtasks: vec![SubtaskState { native, ..SubtaskState::new(0) }],
        coordinator: None,
    };
    CheckpointMetadata {
        checkpoint_id: id,
        kind: CheckpointKind::Checkpoint,
        timestamp_ms: 0,
        job_name: "job".into(),
        job_id: job_id(),
        operators: vec![operator],
    }
}

/// What a process knows; lost in a crash.
struct Process {
    storage: CheckpointStorage,
    job: JobStorage,
    registry: SharedFileRegistry,
    pending: BTreeMap<u64, (CheckpointWriter, Vec<StateHandle>)>,
    /// The handles of the newest complete checkpoint, which the next one may name again.
    base: Vec<StateHandle>,
}

struct World {
    memory: Arc<InMemory>,
    local: tempfile::NamedTempFile,
    retained: BTreeMap<u64, Vec<StateHandle>>,
    next: u64,
}

impl World {
    fn start(&self) -> Process {
        let settings = settings("memory://m/checkpoints");
        let (memory, handle) = (self.memory.clone(), runtime().handle().clone());
        let storage =
            CheckpointStorage::with_store(settings, handle, "memory://m", memory.clone(), memory).unwrap();
        let job = storage.job(job_id()).unwrap();
        Process {
            job,
            storage,
            registry: SharedFileRegistry::new(),
            pending: BTreeMap::new(),
            base: Vec::new(),
        }
    }

    async fn recover(&self) -> Process {
        let mut process = self.start();
        for found in process.job.list().await.unwrap() {
            // Complete ones that were being discarded are gone for good once their metadata is.
            if found.complete && self.retained.contains_key(&found.id) {
                let folder = process.job.checkpoint(found.id);
                let metadata = folder.read_metadata().await.unwrap();
                process.registry.retain(found.id, process.job.files_of(&folder, &metadata).unwrap()).unwrap();
            }
        }
        process.base = self.retained.values().last().cloned().unwrap_or_default();
        let in_progress = InProgress { ids: BTreeSet::new(), next: self.next };
        process.job.sweep(&process.registry, &in_progress).await.unwrap();
        process
    }

    fn expected(&self) -> BTreeSet<String> {
        let job = job_id();
        let mut files = BTreeSet::new();
        for (id, handles) in &self.retained {
            files.insert(format!("checkpoints/{job}/chk-{id}/_metadata"));
            for handle in handles {
                files.insert(match handle.location().unwrap() {
                    FileLocation::Checkpoint(name) => format!("checkpoints/{job}/chk-{id}/{name}"),
                    FileLocation::Shared(name) => format!("checkpoints/{job}/shared/{name}"),
                    FileLocation::Absolute(uri) => panic!("{uri}"),
                });
            }
        }
        files
    }
}

#[derive(Clone, Debug)]
enum Move {
    Begin,
    /// A task of the pending checkpoint writes: exclusive state, shared files.
    Write {
        which: prop::sample::Index,
        exclusive: u8,
        shared: u8,
    },
    Complete {
        which: prop::sample::Index,
        keep: u8,
    },
    Abort {
        which: prop::sample::Index,
    },
    /// The writer is dropped before it is finished, and the checkpoint aborted.
    Fail {
        which: prop::sample::Index,
    },
    Crash,
}

fn a_move() -> impl Strategy<Value = Move> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => Just(Move::Begin),
        5 => (index(), 0u8..3, 0u8..3)
            .prop_map(|(which, exclusive, shared)| Move::Write { which, exclusive, shared }),
        4 => (index(), any::<u8>()).prop_map(|(which, keep)| Move::Complete { which, keep }),
        1 => index().prop_map(|which| Move::Abort { which }),
        1 => index().prop_map(|which| Move::Fail { which }),
        1 => Just(Move::Crash),
    ]
}

async fn play(world: &mut World, moves: Vec<Move>) -> Result<(), TestCaseError> {
    let mut process = world.start();
    for a_move in moves {
        let which =
            |index: &prop::sample::Index, process: &Process| pick(process.pending.keys().copied(), index);
        match a_move {
            Move::Begin => {
                let id = world.next;
                world.next += 1;
                process.registry.begin(id).unwrap();
                let writer = process.job.checkpoint(id).writer(id);
                process.pending.insert(id, (writer, Vec::new()));
            }
            Move::Write { which: index, exclusive, shared } => {
                let Some(id) = which(&index, &process) else { continue };
                let (writer, handles) = process.pending.get_mut(&id).unwrap();
                for i in 0..exclusive {
                    handles.push(writer.write(vec![i; 200]).await.unwrap());
                }
                for _ in 0..shared {
                    handles.push(writer.upload_file(world.local.path(), Placement::Shared).await.unwrap());
                }
            }
            Move::Complete { which: index, keep } => {
                let Some(id) = which(&index, &process) else { continue };
                let (writer, mut handles) = process.pending.remove(&id).unwrap();
                let folder = process.job.checkpoint(id);
                let written = writer.finish().await.unwrap();
                let state_file = |location| process.job.state_file(&folder, location).unwrap();
                let written: Vec<StateFile> = written.files.iter().map(state_file).collect();
                prop_assert_eq!(process.registry.written(id, written), []);
                // Some of what was written is not needed, and some of the base is named again.
                let (mut i, mut j) = (0, 0);
                handles.retain(|_| {
                    (i, keep >> (i % 8) & 1).1 == 0 || {
                        i += 1;
                        i % 3 != 0
                    }
                });
                let base = process
                    .base
                    .iter()
                    .filter(|handle| matches!(handle.location(), Some(FileLocation::Shared(_))));
                handles.extend(
                    base.filter(|_| {
                        j += 1;
                        keep >> (j % 8) & 1 == 1
                    })
                    .cloned(),
                );
                let metadata = metadata_of(id, &handles);
                folder.publish(&metadata).await.unwrap();
                let files = process.job.files_of(&folder, &metadata).unwrap();
                let mut unused = process.registry.complete(id, files).unwrap();
                world.retained.insert(id, handles.clone());
                // One is retained: older ones are subsumed, as the newest is now. A late one is subsumed at once.
                let newest = *world.retained.keys().last().unwrap();
                let older: Vec<u64> = world.retained.keys().copied().filter(|id| *id != newest).collect();
                for id in older {
                    world.retained.remove(&id);
                    unused.extend(process.registry.discard(id).unwrap());
                }
                process.job.delete(&unused).await.unwrap();
                process.base = world.retained[&newest].clone();
            }
            Move::Abort { which: index } => {
                let Some(id) = which(&index, &process) else { continue };
                let (writer, _) = process.pending.remove(&id).unwrap();
                let folder = process.job.checkpoint(id);
                let written = writer.finish().await.unwrap();
                let written =
                    written.files.iter().map(|location| process.job.state_file(&folder, location).unwrap());
                process.registry.written(id, written);
                let unused = process.registry.abort(id).unwrap();
                process.job.delete(&unused).await.unwrap();
            }
            Move::Fail { which: index } => {
                let Some(id) = which(&index, &process) else { continue };
                process.pending.remove(&id);
                process.storage.settle().await;
                let unused = process.registry.abort(id).unwrap();
                process.job.delete(&unused).await.unwrap();
            }
            Move::Crash => {
                // Nothing of the process goes on; what it has written stays.
                process.pending.into_values().for_each(|(writer, _)| std::mem::forget(writer));
                process = world.recover().await;
                prop_assert_eq!(names(&*world.memory).await, world.expected(), "after a sweep");
            }
        }
        if process.pending.is_empty() {
            prop_assert_eq!(names(&*world.memory).await, world.expected());
        }
    }
    process.pending.into_values().for_each(|(writer, _)| std::mem::forget(writer));
    let process = world.recover().await;
    prop_assert_eq!(names(&*world.memory).await, world.expected());
    // What is retained can be read.
    for (id, handles) in &world.retained {
        let folder: CheckpointFolder = process.job.checkpoint(*id);
        for handle in handles {
            prop_assert_eq!(folder.read(handle).await.unwrap().len() as u64, handle.length());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn nothing_is_leaked_and_nothing_is_lost(moves in prop::collection::vec(a_move(), 0..40)) {
        let local = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(local.path(), [7; 300]).unwrap();
        let mut world = World { memory: Arc::new(InMemory::new()), local, retained: BTreeMap::new(), next: 1 };
        block_on(play(&mut world, moves))?;
    }
}

#[test]
fn a_sweep_leaves_what_is_in_progress_alone() {
    let local = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(local.path(), [7; 300]).unwrap();
    let world = World { memory: Arc::new(InMemory::new()), local, retained: BTreeMap::new(), next: 1 };
    block_on(async {
        let write = async |process: &Process, id| {
            let writer = process.job.checkpoint(id).writer(id);
            let handles = [
                writer.write(vec![1; 200]).await.unwrap(),
                writer.upload_file(world.local.path(), Placement::Shared).await.unwrap(),
            ];
            writer.finish().await.unwrap();
            handles
        };
        let other = world.start();
        // 12 is not an older spelling of 1: names are compared by number.
        for id in [1, 2, 12, 20] {
            write(&other, id).await;
        }
        let process = world.start();
        let in_progress = InProgress { ids: [2].into(), next: 20 };
        let swept = process.job.sweep(&process.registry, &in_progress).await.unwrap();
        assert_eq!(swept.files.len(), 4, "{swept:?}");
        let left = names(&*world.memory).await;
        let of = |id: u64| {
            left.iter()
                .filter(|name| name.contains(&format!("chk-{id}/")) || name.contains(&format!("/chk-{id}-")))
                .count()
        };
        assert_eq!([1, 2, 12, 20].map(of), [0, 2, 0, 2], "{left:?}");

        // The attempt whose files were spared completes its checkpoint.
        let mut process = process;
        process.registry.begin(21).unwrap();
        let handles = write(&process, 21).await;
        let nothing = InProgress { ids: BTreeSet::new(), next: 22 };
        process.job.sweep(&process.registry, &nothing).await.unwrap();
        let folder = process.job.checkpoint(21);
        folder.publish(&metadata_of(21, &handles)).await.unwrap();
        assert_eq!(folder.read(&handles[1]).await.unwrap(), vec![7; 300]);
        let names = names(&*world.memory).await;
        assert_eq!(
            names.len(),
            3,
            "pending in the registry counts as in progress, all others are gone: {names:?}"
        );
    });
}

#[test]
fn what_no_checkpoint_writes_is_left_alone() {
    let memory = Arc::new(InMemory::new());
    let world =
        World { memory, local: tempfile::NamedTempFile::new().unwrap(), retained: BTreeMap::new(), next: 9 };
    block_on(async {
        use object_store::{ObjectStoreExt, path::Path};
        let job = format!("checkpoints/{}", job_id());
        let foreign =
            ["readme.txt", "shared/readme.txt", "chk-x/a", "chk-07/a", "savepoint-1/a", "shared/chk-a-b"];
        for name in foreign.iter().chain(&[
            "chk-3/deep/a",
            "chk-3/a.0011.inprogress",
            "shared/chk-3-a.0011.inprogress",
        ]) {
            world.memory.put(&Path::from(format!("{job}/{name}")), "x".into()).await.unwrap();
        }
        world.memory.put(&Path::from("checkpoints/other/chk-1/a"), "x".into()).await.unwrap();
        let process = world.recover().await;
        let left = names(&*world.memory).await;
        let expected: BTreeSet<String> = foreign
            .iter()
            .map(|name| format!("{job}/{name}"))
            .chain(["checkpoints/other/chk-1/a".to_owned()])
            .collect();
        assert_eq!(left, expected);
        assert_eq!(process.job.list().await.unwrap(), []);
    });
}

#[test]
fn claimed_and_unclaimed_checkpoints_of_another_job() {
    let local = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(local.path(), [7; 300]).unwrap();
    let world = World { memory: Arc::new(InMemory::new()), local, retained: BTreeMap::new(), next: 1 };
    block_on(async {
        let process = world.start();
        let old_job = process.storage.job(JobId(1)).unwrap();
        let old = old_job.checkpoint(4);
        let writer = old.writer(4);
        let exclusive = writer.write(vec![1; 200]).await.unwrap();
        let shared = writer.upload_file(world.local.path(), Placement::Shared).await.unwrap();
        writer.finish().await.unwrap();
        let metadata = metadata_of(4, &[exclusive, shared.clone()]);
        old.publish(&metadata).await.unwrap();
        let before = names(&*world.memory).await;
        assert_eq!(before.len(), 3);

        for claim in [false, true] {
            let mut registry = SharedFileRegistry::new();
            let restored = process.storage.at(&old.uri()).unwrap();
            let read = restored.read_metadata().await.unwrap();
            let files = process.job.files_of(&restored, &read).unwrap();
            assert_eq!(files.len(), 3);
            if claim {
                registry.retain(4, files).unwrap();
            } else {
                registry.protect(files);
            }
            // The next checkpoint names the shared file again, wherever it is.
            let again = process.job.handle_for(5, &restored, &shared).unwrap();
            assert!(
                matches!(again.location(), Some(FileLocation::Absolute(uri)) if uri.starts_with("memory://m/"))
            );
            let folder = process.job.checkpoint(5);
            let metadata = metadata_of(5, std::slice::from_ref(&again));
            registry.begin(5).unwrap();
            folder.publish(&metadata).await.unwrap();
            let files = process.job.files_of(&folder, &metadata).unwrap();
            process.job.delete(&registry.complete(5, files).unwrap()).await.unwrap();
            if claim {
                process.job.delete(&registry.discard(4).unwrap()).await.unwrap();
            }
            assert_eq!(folder.read(&again).await.unwrap(), vec![7; 300]);
            assert_eq!(names(&*world.memory).await.len(), if claim { 2 } else { 4 });
            process.job.delete(&registry.discard(5).unwrap()).await.unwrap();
            let left = names(&*world.memory).await;
            assert_eq!(left, if claim { BTreeSet::new() } else { before.clone() });
        }
    });
}
