//! Storage that fails under a whole program: it does what its options say, tells what to do about it, and loses nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::example;

/// The lines of the program's results.
type Results = BTreeMap<String, Vec<String>>;

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort_unstable();
    paths
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// The rows that everyone may see.
fn results(output: &Path) -> Results {
    let lines = |folder: &PathBuf| {
        let shown = entries(folder).into_iter().filter(|path| !name(path).starts_with('.'));
        let text: String = shown.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    entries(output).iter().map(|folder| (name(folder).to_owned(), lines(folder))).collect()
}

/// A place for a program, and the program.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn output(&self) -> PathBuf {
        self.0.path().join("output")
    }

    fn checkpoints(&self) -> PathBuf {
        self.0.path().join("checkpoints")
    }

    /// The arguments of the program, with some configuration.
    fn arguments(&self, options: &[&str]) -> Vec<String> {
        let fixed = [
            format!("execution.checkpointing.dir={}", self.checkpoints().display()),
            "execution.checkpointing.interval=50 ms".to_owned(),
            "execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION".to_owned(),
            "execution.checkpointing.data-inline-threshold=256 b".to_owned(),
            "restart-strategy.type=none".to_owned(),
            "taskmanager.memory.process.size=1g".to_owned(),
            "parallelism.default=2".to_owned(),
        ];
        let mut arguments = vec!["--output".to_owned(), self.output().display().to_string()];
        // As many events as in all other runs, with something to keep.
        arguments.extend(["--events", "20000", "--payload", "100"].map(str::to_owned));
        let options = fixed.into_iter().chain(options.iter().map(|option| (*option).to_owned()));
        arguments.extend(options.flat_map(|option| ["-D".to_owned(), option]));
        arguments
    }

    fn program(&self, options: &[&str]) -> Command {
        let mut command = Command::new(example("survivor"));
        command.args(self.arguments(options));
        self.detached(command)
    }

    fn detached(&self, mut command: Command) -> Command {
        command
            .env_remove("TIDEMILL_CONF_DIR")
            .env_remove("FLINK_CONF_DIR")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, options: &[&str], arguments: &[&str]) -> Output {
        self.program(options).args(arguments).output().unwrap()
    }

    /// Starts it again, with nothing in its way.
    fn resumes(&self) {
        let ended = self.run(&[], &["--resume"]);
        assert!(ended.status.success(), "{}", said(&ended));
        self.has_all();
    }

    fn has_all(&self) {
        let (found, expected) = (results(&self.output()), &*EXPECTED);
        for (name, lines) in expected {
            assert!(found.get(name) == Some(lines), "{name} is not as it is when nothing is in the way");
        }
    }

    /// Nothing is lost. What was committed after the checkpoint that is gone on from is there twice.
    fn has_lost_nothing(&self) {
        let (found, expected) = (results(&self.output()), &*EXPECTED);
        for (name, lines) in expected {
            let mut left = found.get(name).cloned().unwrap_or_default().into_iter();
            for line in lines {
                assert!(left.any(|found| found == *line), "{name} lacks {line}");
            }
        }
    }

    /// The complete checkpoints, the newest last.
    fn complete(&self) -> Vec<PathBuf> {
        let number = |path: &PathBuf| name(path).trim_start_matches("chk-").parse::<u64>().unwrap_or(0);
        let mut found: Vec<PathBuf> = entries(&self.checkpoints())
            .iter()
            .flat_map(|job| entries(job))
            .filter(|path| path.join("_metadata").exists())
            .collect();
        found.sort_by_key(number);
        found
    }

    /// Runs it until there are some complete checkpoints, and kills it.
    fn killed_after(&self, checkpoints: usize, options: &[&str]) {
        let mut child = self.program(options).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.complete().len() < checkpoints {
            assert!(
                child.try_wait().unwrap().is_none() && Instant::now() < deadline,
                "it takes no checkpoints"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn said(ended: &Output) -> String {
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

/// What the program says when nothing is in its way.
static EXPECTED: LazyLock<Results> = LazyLock::new(|| {
    let place = Place::new();
    let ended = place.run(&[], &[]);
    assert!(ended.status.success(), "{}", said(&ended));
    let expected = results(&place.output());
    assert!(expected.len() == 3 && expected.values().all(|lines| lines.len() > 500));
    expected
});

/// Fails with a message that has all of these.
fn fails_with(ended: &Output, parts: &[&str]) {
    let said = said(ended);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    for part in parts {
        assert!(said.contains(part), "'{part}' is missing in: {said}");
    }
}

#[test]
fn a_file_in_the_place_of_the_folder() {
    let place = Place::new();
    std::fs::write(place.checkpoints(), "a file").unwrap();
    let ended = place.run(&[], &[]);
    fails_with(&ended, &["execution.checkpointing.dir", place.checkpoints().to_str().unwrap()]);
    std::fs::remove_file(place.checkpoints()).unwrap();
    place.resumes();
}

/// Bash runs a script with the program as its arguments.
fn script(place: &Place, script: &str, options: &[&str]) -> Command {
    let mut command = Command::new("bash");
    command.arg("-c").arg(script).arg("bash").arg(example("survivor")).args(place.arguments(options));
    place.detached(command)
}

#[test]
fn files_that_may_not_grow() {
    // Sooner or later a file would have to be larger than what the process may write.
    let place = Place::new();
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
    let merged = [
        "execution.checkpointing.file-merging.enabled=true",
        "execution.checkpointing.file-merging.max-file-size=16 mb",
    ];
    let ended = script(&place, limited, &merged).output().unwrap();
    fails_with(&ended, &["execution.checkpointing.tolerable-failed-checkpoints", "File too large"]);
    place.resumes();
}

/// Runs a script, with the program as its arguments, where `$mount` gives the folder of checkpoints a disk of its own that is soon full,
/// and `$enlarge` makes it large. `None` where nobody may mount anything.
#[allow(clippy::print_stderr)] // What is left out must be seen.
fn on_a_small_disk(place: &Place, script: &str, options: &[&str]) -> Option<Output> {
    std::fs::create_dir_all(place.checkpoints()).unwrap();
    let mount = format!("mount -t tmpfs -o size=48k tidemill-test '{}'", place.checkpoints().display());
    let enlarge = format!("mount -o remount,size=64m '{}'", place.checkpoints().display());
    let namespace = ["--map-root-user", "--mount", "bash", "-c"];
    let may = Command::new("unshare").args(namespace).arg(&mount).output();
    if !may.is_ok_and(|ended| ended.status.success()) {
        eprintln!(
            "SKIPPED: this machine lets nobody mount a file system of his own (unshare --map-root-user --mount)"
        );
        return None;
    }
    let text = format!("{mount} || exit 9; enlarge() {{ {enlarge} || exit 9; }}; {script}");
    let mut command = Command::new("unshare");
    command.args(namespace).arg(text).arg("bash").arg(example("survivor")).args(place.arguments(options));
    Some(place.detached(command).output().unwrap())
}

#[test]
fn a_full_disk() {
    let place = Place::new();
    // Full at first, then with room: it goes on from what was complete when the disk was full, if anything was.
    let text = "\"$@\"; echo \"it ended with $?\" >&2; enlarge; \"$@\" --resume";
    let Some(ended) = on_a_small_disk(&place, text, &[]) else { return };
    let said = said(&ended);
    assert!(ended.status.success(), "{said}");
    for part in ["it ended with 1", "execution.checkpointing."] {
        assert!(said.contains(part), "'{part}' is missing in: {said}");
    }
    place.has_all();
}

#[test]
fn a_full_disk_that_is_tolerated() {
    let place = Place::new();
    // The disk gets room when a checkpoint has failed for want of it. The same process goes on, and commits all.
    let log = place.checkpoints().with_extension("log");
    let text = format!(
        "\"$@\" 2>'{0}' & while kill -0 $! && ! grep -q 'checkpoint .* has failed' '{0}'; do sleep 0.02; done; \
         enlarge; wait $!; ended=$?; cat '{0}' >&2; exit $ended",
        log.display()
    );
    let tolerant = ["execution.checkpointing.tolerable-failed-checkpoints=100000"];
    let Some(ended) = on_a_small_disk(&place, &text, &tolerant) else { return };
    let said = said(&ended);
    assert!(ended.status.success(), "{said}");
    for part in ["checkpoint ", " has failed: ", "No space left on device"] {
        assert!(said.contains(part), "'{part}' is missing in: {said}");
    }
    place.has_all();
}

#[test]
fn a_newest_checkpoint_that_is_damaged() {
    let place = Place::new();
    place.killed_after(3, &["execution.checkpointing.num-retained=3"]);
    let newest = place.complete().pop().unwrap();
    let metadata = newest.join("_metadata");
    let mut bytes = std::fs::read(&metadata).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&metadata, bytes).unwrap();
    let ended = place.run(&[], &["--resume"]);
    let said = said(&ended);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains(name(&newest)) && said.contains("checksum"), "{said}");
    place.has_lost_nothing();
}

#[test]
fn a_file_of_state_that_is_missing() {
    for backend in ["hashmap", "rocksdb"] {
        let place = Place::new();
        let backend = format!("state.backend.type={backend}");
        place.killed_after(3, &["execution.checkpointing.num-retained=3", &backend]);
        let complete = place.complete();
        let newest = complete.last().unwrap();
        let files: Vec<_> = entries(newest).into_iter().filter(|path| name(path) != "_metadata").collect();
        assert!(!files.is_empty(), "it has files");
        files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
        let ended = place.run(&[&backend], &["--resume"]);
        let said = said(&ended);
        assert!(ended.status.success(), "the one before it is whole: {said}");
        assert!(files.iter().any(|file| said.contains(name(file))), "it names the file: {said}");
        assert!(said.contains("the one before it is tried"), "{said}");
        place.has_lost_nothing();
    }
}
