//! Options of checkpoints and of recovery, set as a user sets them, and what a whole job does then.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidemill::prelude::*;
use tidemill_testkit::commits::Committed;
use tidemill_testkit::{Log, jobs};

use super::running::request;

/// A key, and what is kept of it.
type Row = (u32, String);

/// Keys below this one are counted apart.
const COLD: u32 = 20;
const HOT: u32 = 1_000;
const SPLITS: usize = 2;

/// Counts the rows of a key and keeps the last of them.
#[derive(Clone, Default)]
struct Keep {
    kept: ValueState<(u64, String)>,
}

impl KeyedProcessFunction<u32, Row, (u32, u64)> for Keep {
    fn open(&mut self, states: &mut KeyedStateBackend<u32>) -> Result<(), BoxError> {
        self.kept = states.register_value(ValueStateDescriptor::new("kept"))?;
        Ok(())
    }

    fn process(
        &mut self,
        (key, text): Row,
        context: &mut KeyedContext<'_, u32>,
        out: &mut Collector<(u32, u64)>,
    ) -> Result<(), BoxError> {
        let count = self.kept.get(context.state())?.map_or(0, |(count, _)| count) + 1;
        self.kept.update(context.state(), (count, text))?;
        out.collect((key, count));
        Ok(())
    }
}

/// What runs of one job have in common.
struct Place {
    folder: tempfile::TempDir,
    log: Log<Row>,
    committed: Committed<(u32, u64)>,
    pushed: BTreeMap<u32, u64>,
}

/// A run of the job, in this process.
struct Running {
    address: String,
    id: String,
    ending: JoinHandle<Result<(), String>>,
}

fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        // Something may be deleted meanwhile.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            _ => drop(found.insert(entry.path())),
        }
    }
    found
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, log: Log::new(SPLITS), committed: Committed::default(), pushed: BTreeMap::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn push(&mut self, keys: impl IntoIterator<Item = u32>) {
        for key in keys {
            let count = self.pushed.entry(key).or_default();
            *count += 1;
            // Nothing that could be compressed.
            let scattered =
                |part| RoutingHash::routing_hash(&(u64::from(key) * 1_000_003 + *count * 1_009 + part));
            let text: String = (0..6).map(|part| format!("{:016x}", scattered(part))).collect();
            self.log.push(key as usize % SPLITS, [((key, text), 0)]);
        }
    }

    fn pushed(&self) -> usize {
        self.pushed.values().sum::<u64>() as usize
    }

    /// Waits until all is read: what is read is in the next checkpoint.
    fn until_read(&self) {
        jobs::until("all is read", || self.log.read_in_all() == self.pushed());
    }

    /// Starts the job with some configuration and arguments; the operator for most keys has the uid `hot`.
    fn start(&self, hot: &'static str, options: &[&str], arguments: &[&str]) -> Running {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let fixed = [
            format!("rest.bind-port={port}"),
            format!("execution.checkpointing.dir={}", self.path("checkpoints").display()),
            format!("execution.checkpointing.savepoint-dir={}", self.path("savepoints").display()),
            format!("io.tmp.dirs={}", self.path("temporary").display()),
            // When they are asked for.
            "execution.checkpointing.interval=365 d".to_owned(),
            "execution.checkpointing.data-inline-threshold=0 b".to_owned(),
            "restart-strategy.type=fixed-delay".to_owned(),
            "restart-strategy.fixed-delay.delay=0 ms".to_owned(),
            "taskmanager.memory.process.size=1g".to_owned(),
            "parallelism.default=2".to_owned(),
        ];
        let options = fixed.into_iter().chain(options.iter().map(|option| (*option).to_owned()));
        let mut all: Vec<std::ffi::OsString> = options.map(|option| format!("-D{option}").into()).collect();
        all.extend(arguments.iter().map(Into::into));
        let (log, committed) = (self.log.clone(), self.committed.clone());
        let ending = std::thread::spawn(move || {
            let (env, _) = tidemill::environment_from(all).map_err(|error| error.to_string())?;
            let rows = env.from_source(log.reader(), WatermarkStrategy::<Row>::no_watermarks(), "rows");
            rows.uid("rows");
            let counts = |uid: &str, of: fn(&u32) -> bool| {
                let counts =
                    rows.filter(move |(key, _)| of(key)).key_by(|(key, _)| *key).process(Keep::default());
                counts.uid(uid).sink_to(uid, committed.sink()).uid(&format!("{uid} sink"));
            };
            counts("cold", |key| *key < COLD);
            counts(hot, |key| *key >= COLD);
            env.execute("Options").map(drop).map_err(|error| error.to_string())
        });
        let address = format!("127.0.0.1:{port}");
        let mut running = Running { address, id: String::new(), ending };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !running.ending.is_finished() && running.id.is_empty() {
            if let Some((200, _, jobs)) = request(&running.address, "GET", "/jobs/overview", &[], "")
                && jobs["jobs"][0]["state"] == "RUNNING"
            {
                running.id = jobs["jobs"][0]["jid"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < deadline, "it does not start");
            std::thread::sleep(Duration::from_millis(2));
        }
        running
    }

    /// The files of a run's checkpoints.
    fn checkpoint_files(&self, run: &Running) -> BTreeSet<PathBuf> {
        let all = files(&self.path("checkpoints").join(&run.id));
        all.into_iter().filter(|path| !path.ends_with("in-use")).collect()
    }

    /// Has the job end, and sees that each row was counted once.
    fn ends(&self, run: Running, what: &str) {
        self.log.end_all();
        run.ending.join().unwrap().unwrap_or_else(|error| panic!("{what}: {error}"));
        let all = self.pushed.iter().flat_map(|(key, count)| (1..=*count).map(|number| (*key, number)));
        assert!(self.committed.sorted() == all.collect::<Vec<_>>(), "{what}: not all was counted once");
    }
}

impl Running {
    fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let path = format!("/jobs/{}{path}", self.id);
        let (status, _, answer) = request(&self.address, method, &path, &[], body).unwrap();
        assert!(status < 300, "{method} {path}: {answer}");
        answer
    }

    /// Waits for what was asked for at one of these paths.
    fn done(&self, begun: &Value, path: &str) -> Value {
        let path = format!("{path}/{}", begun["request-id"].as_str().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.ask("GET", &path, "");
            if answer["status"]["id"] == "COMPLETED" {
                return answer["operation"].clone();
            }
            assert!(Instant::now() < deadline, "{answer}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes a checkpoint, and returns its figures.
    fn checkpoint(&self) -> Value {
        let done = self.done(&self.ask("POST", "/checkpoints", ""), "/checkpoints");
        let id = done["checkpointId"].as_u64().unwrap_or_else(|| panic!("{done}"));
        self.ask("GET", &format!("/checkpoints/details/{id}"), "")
    }

    /// Stops the job with a savepoint, and returns where that is.
    fn stop(self) -> String {
        let done = self.done(&self.ask("POST", "/stop", "{}"), "/savepoints");
        let path = done["location"].as_str().unwrap_or_else(|| panic!("{done}")).to_owned();
        self.ending.join().unwrap().unwrap();
        path
    }

    /// Cancels the job.
    fn cancel(self) {
        self.ask("PATCH", "", "");
        self.ending.join().unwrap().unwrap_err();
    }

    /// How often it was restored.
    fn restored(&self) -> Value {
        self.ask("GET", "/checkpoints", "")["counts"]["restored"].clone()
    }
}

/// The bytes of the whole state of a checkpoint, and of what it has stored of that.
fn sizes(checkpoint: &Value) -> (u64, u64) {
    (checkpoint["state_size"].as_u64().unwrap(), checkpoint["checkpointed_size"].as_u64().unwrap())
}

const ROCKSDB: &str = "state.backend.type=rocksdb";
const INCREMENTAL: &str = "execution.checkpointing.incremental=true";
const MERGING: &str = "execution.checkpointing.file-merging.enabled=true";

#[test]
fn a_checkpoint_stores_all_again_unless_it_is_incremental() {
    for incremental in [true, false] {
        let mut place = Place::new();
        let option = format!("execution.checkpointing.incremental={incremental}");
        let run = place.start("hot", &[ROCKSDB, &option], &[]);
        place.push(0..5 * HOT);
        place.until_read();
        let (state, stored) = sizes(&run.checkpoint());
        assert!(state > 400 * u64::from(HOT) && stored == state, "{stored} of {state}");
        place.push(0..5);
        place.until_read();
        let (state, stored) = sizes(&run.checkpoint());
        match incremental {
            true => assert!(stored * 4 < state, "{stored} of {state}"),
            false => assert_eq!(stored, state),
        }
        place.ends(run, &option);
    }
}

#[test]
fn a_checkpoint_of_a_small_job_is_few_files() {
    for (backend, merged) in [("hashmap", 2), ("rocksdb", 3)] {
        for merging in [true, false] {
            let mut place = Place::new();
            let options = [
                format!("state.backend.type={backend}"),
                format!("execution.checkpointing.file-merging.enabled={merging}"),
            ];
            let run = place.start("hot", &[&options[0], &options[1], INCREMENTAL], &[]);
            place.push(0..HOT);
            place.until_read();
            run.checkpoint();
            let found = place.checkpoint_files(&run);
            match merging {
                true => assert_eq!(found.len(), merged, "{backend}: {found:?}"),
                // One for each subtask that keeps something.
                false => assert!(found.len() > 6, "{backend}: {found:?}"),
            }
            // What was packed is found again.
            place.log.fail_once_at(0, HOT as usize / 2);
            place.push(0..COLD);
            place.until_read();
            jobs::until("it is restored", || run.restored() == 1);
            place.ends(run, &format!("{options:?}"));
        }
    }
}

/// Writes most keys anew again and again, so that of the first file hardly anything is needed in the end; the rounds that were made
/// until it was gone. Half of them each time: what changes before every checkpoint does not get to RocksDB.
fn rounds_until_garbage_is_gone(options: &[&str], most: u32) -> Option<u32> {
    let mut place = Place::new();
    let options = [&[ROCKSDB, INCREMENTAL, MERGING], options].concat();
    let run = place.start("hot", &options, &[]);
    place.push(0..HOT);
    place.until_read();
    let (first_size, _) = sizes(&run.checkpoint());
    let shared = |path: &PathBuf| path.parent().unwrap().ends_with("shared");
    let packed: Vec<_> = place.checkpoint_files(&run).into_iter().filter(shared).collect();
    assert_eq!(packed.len(), 1, "{packed:?}");
    let mut gone = None;
    let mut size = 0;
    for round in 1..=most {
        let half = COLD + (HOT - COLD) / 2;
        place.push(if round % 2 == 0 { COLD..half } else { half..HOT });
        place.until_read();
        (size, _) = sizes(&run.checkpoint());
        // What is not needed is deleted a moment later.
        if !packed[0].exists() {
            gone = Some(round);
            break;
        }
    }
    assert!(size < first_size * u64::from(most), "RocksDB has merged its files: {first_size}, then {size}");
    // What was stored again is found again.
    place.log.fail_once_at(0, place.log.pushed(0));
    place.push(0..COLD);
    place.until_read();
    jobs::until("it is restored", || run.restored() == 1);
    place.ends(run, &format!("{options:?}"));
    gone
}

#[test]
fn what_is_needed_of_a_file_of_garbage_is_stored_again() {
    let key = "execution.checkpointing.file-merging.max-space-amplification";
    let rounds = rounds_until_garbage_is_gone(&[], 40).expect("the file is still there");
    let kept = rounds_until_garbage_is_gone(&[&format!("{key}=0")], rounds + 5);
    assert_eq!(kept, None, "files may be as large as they come");
}

#[test]
fn files_of_rocksdb_are_read_from_this_machine_if_they_are_kept_there() {
    let enabled = "execution.checkpointing.local-backup.enabled";
    let recover = "execution.state-recovery.from-local";
    for (settings, dirs, recovers) in [
        ([("true", enabled), ("true", recover)], true, true),
        ([("true", enabled), ("true", recover)], false, true),
        ([("true", enabled), ("false", recover)], true, false),
        ([("false", enabled), ("true", recover)], true, false),
    ] {
        let mut place = Place::new();
        let copies = place.path("copies");
        let mut options = settings.map(|(value, key)| format!("{key}={value}")).to_vec();
        if dirs {
            options.push(format!("execution.checkpointing.local-backup.dirs={}", copies.display()));
        }
        options.extend([ROCKSDB, INCREMENTAL].map(str::to_owned));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let run = place.start("hot", &options, &[]);
        place.push(0..HOT);
        place.until_read();
        run.checkpoint();
        place.push(0..5);
        place.until_read();
        let newest = run.checkpoint();
        let kept = files(&copies).into_iter().filter_map(|path| std::fs::metadata(path).ok());
        let linked = kept.filter(|file| file.nlink() > 1).count();
        assert_eq!(linked > 0, dirs && settings[0].0 == "true", "RocksDB's own files, in {options:?}");

        let newest = newest["external_path"].as_str().unwrap().trim_start_matches("file://").to_owned();
        let metadata = Path::new(&newest).join("_metadata");
        // Those of the one before are being deleted by the job.
        jobs::until("only the metadata is there", || {
            let found = place.checkpoint_files(&run);
            found.iter().filter(|path| **path != metadata).for_each(|path| drop(std::fs::remove_file(path)));
            found.iter().eq([&metadata])
        });
        place.log.fail_once_at(0, place.log.pushed(0));
        place.push(0..COLD);
        if recovers {
            place.until_read();
            jobs::until("it is restored", || run.restored() == 1);
            place.ends(run, &format!("{options:?}"));
        } else {
            let error = run.ending.join().unwrap().unwrap_err();
            assert!(error.contains("the file is not there"), "{error}");
        }
        let left = files(&place.path("temporary")).into_iter().chain(files(&copies)).collect::<Vec<_>>();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn the_configuration_says_from_what_a_job_goes_on() {
    let mut place = Place::new();
    let run = place.start("hot", &[], &[]);
    place.push(0..HOT);
    place.until_read();
    let savepoint = run.stop();
    let there = Path::new(savepoint.trim_start_matches("file://")).join("_metadata");
    let path = format!("execution.state-recovery.path={savepoint}");

    // Another operator in the place of one: its state would be lost.
    let refused = place.start("warm", &[&path], &[]).ending.join().unwrap().unwrap_err();
    assert!(refused.contains("(uid 'hot')") && refused.contains("--allow-non-restored-state"), "{refused}");
    let allowing = [&*path, "execution.state-recovery.ignore-unclaimed-state=true"];
    let run = place.start("warm", &allowing, &[]);
    assert_eq!(run.restored(), 1);
    run.cancel();
    let run = place.start("warm", &[], &["--from-savepoint", &savepoint, "--allow-non-restored-state"]);
    assert_eq!(run.restored(), 1);
    run.checkpoint();
    run.checkpoint();
    assert!(there.exists(), "it is somebody else's");
    run.cancel();

    let run = place.start("hot", &[&path, "execution.state-recovery.claim-mode=CLAIM"], &[]);
    place.push(0..COLD);
    place.until_read();
    run.checkpoint();
    run.checkpoint();
    jobs::until("what was claimed is deleted", || !there.exists());
    place.ends(run, "claimed");
}
