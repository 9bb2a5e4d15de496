//! Programs that are killed at random moments, with `kill -9`, and started again with `--resume` until they end: their
//! output is that of a run that nobody disturbs.
//!
//! `CHAOS_KILLS` says how many kills each test makes (5), `CHAOS_SEED` where the random moments come from; both are shown.
//! `make chaos` makes 50.

mod leftovers;
mod script;
mod victim;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tidemill_testkit::Random;
use victim::{Moment, Victim};

/// Most kills in one run from beginning to end: each of them costs work that is done again.
const KILLS_A_RUN: u64 = 8;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
        Err(_) => default,
    }
}

/// Goes to the terminal also where tests are silent unless they fail: `make chaos` shows how far it is.
fn show(line: &str) {
    use std::io::Write;
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// How a run takes its checkpoints.
struct Manner {
    rocksdb: bool,
    unaligned: bool,
    interval: u64,
}

impl Manner {
    /// The four combinations in turn, with an interval by chance.
    fn of_run(run: u64, random: &mut Random) -> Self {
        Self {
            rocksdb: run.is_multiple_of(2),
            unaligned: (run / 2).is_multiple_of(2),
            interval: 50 + random.below(150),
        }
    }

    fn options(&self) -> Vec<String> {
        let backend = if self.rocksdb { "rocksdb" } else { "hashmap" };
        [
            format!("state.backend.type={backend}"),
            "execution.checkpointing.incremental=true".to_owned(),
            format!("execution.checkpointing.unaligned.enabled={}", self.unaligned),
            format!("execution.checkpointing.interval={} ms", self.interval),
            "execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION".to_owned(),
            "execution.checkpointing.num-retained=2".to_owned(),
            // State goes into files, not all of it into the metadata.
            "execution.checkpointing.data-inline-threshold=256 b".to_owned(),
            "taskmanager.memory.process.size=1g".to_owned(),
        ]
        .into()
    }
}

/// A program, and what its output must be.
struct Subject<'a> {
    program: &'a str,
    /// The program with its arguments, such that its output goes to this folder.
    command: &'a dyn Fn(&Path) -> Command,
    /// Reads its output from the folder that it was given.
    output: fn(&Path) -> BTreeMap<String, Vec<String>>,
}

impl Subject<'_> {
    /// Runs it with nobody disturbing it, without checkpoints.
    fn undisturbed(&self) -> BTreeMap<String, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let mut victim = Victim::start(self, folder.path(), &[], 2, false);
        victim.wait();
        (self.output)(&folder.path().join("output"))
    }

    fn survives(&self, kills: u64, seed: u64, expected: &BTreeMap<String, Vec<String>>) {
        let mut random = Random::seeded(seed);
        show(&format!("{}: {kills} kills, CHAOS_SEED={seed}", self.program));
        let (mut done, mut run) = (0, random.below(4));
        while done < kills {
            let manner = Manner::of_run(run, &mut random);
            let most = KILLS_A_RUN.min(kills - done);
            let killed = self.run(&manner, most, &mut random, expected, seed);
            run += 1;
            done += killed;
            show(&format!("{}: survived {done} of {kills} kills", self.program));
        }
    }

    /// One run from beginning to end, with so many kills at most; how many there were.
    fn run(
        &self,
        manner: &Manner,
        most: u64,
        random: &mut Random,
        expected: &BTreeMap<String, Vec<String>>,
        seed: u64,
    ) -> u64 {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = folder.path().join("checkpoints");
        let mut history = vec![format!("{:?}", manner.options())];
        let (mut killed, mut had_checkpoints) = (0, false);
        let ended_well = loop {
            let parallelism = 1 + random.below(3) as u32;
            let moment = if killed == most { Moment::Never } else { Moment::choose(random) };
            history.push(format!("parallelism {parallelism}, {moment:?}"));
            let mut victim = Victim::start(self, folder.path(), &manner.options(), parallelism, true);
            let tell = |what: &str| format!("{}, CHAOS_SEED={seed}: {what}: {history:#?}", self.program);
            match moment.wait(&mut victim, &checkpoints) {
                victim::Came::Moment => {
                    victim.kill();
                    killed += 1;
                    // A job that has ended well keeps no checkpoint; one that is killed always has one, once it had any.
                    let has_checkpoints = victim::has_complete(&checkpoints);
                    if had_checkpoints && !has_checkpoints {
                        break false;
                    }
                    had_checkpoints |= has_checkpoints;
                }
                victim::Came::End(true) => break true,
                victim::Came::End(false) => panic!("{}\n{}", tell("it fails"), victim.said()),
            }
        };
        let found = (self.output)(&folder.path().join("output"));
        for (name, lines) in expected {
            let found = found.get(name).map(Vec::as_slice).unwrap_or_default();
            if let Some(difference) = victim::difference(found, lines) {
                panic!("{}, CHAOS_SEED={seed}: {name}: {difference}; {history:#?}", self.program);
            }
        }
        leftovers::check(folder.path(), ended_well, &history);
        killed
    }
}

/// The lines of the visible files of each folder in a folder, in order.
fn folders(output: &Path) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for folder in entries(output) {
        let mut lines: Vec<String> = entries(&folder)
            .into_iter()
            .filter(|path| !leftovers::is_hidden(path))
            .flat_map(|path| {
                let text = std::fs::read_to_string(path).unwrap();
                text.lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        lines.sort_unstable();
        found.insert(folder.file_name().unwrap().to_str().unwrap().to_owned(), lines);
    }
    found
}

/// The lines of each file in a folder, in order.
fn single_files(output: &Path) -> BTreeMap<String, Vec<String>> {
    let visible = entries(output).into_iter().filter(|path| !leftovers::is_hidden(path));
    visible
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), lines)
        })
        .collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// An example with its arguments.
fn example(program: &'static str, arguments: &'static [&'static str]) -> impl Fn(&Path) -> Command {
    move |output| {
        let mut command = Command::new(crate::example(program));
        command.args(arguments).arg("--output").arg(output);
        command
    }
}

#[test]
fn a_job_of_windows_sessions_and_timers() {
    let subject = Subject { program: "survivor", command: &example("survivor", &[]), output: folders };
    let expected = subject.undisturbed();
    assert!(["windows", "sessions", "seconds"].iter().all(|name| expected[*name].len() > 1_000));
    subject.survives(number("CHAOS_KILLS", 5), number("CHAOS_SEED", 1), &expected);
}

#[test]
fn the_flights() {
    let command = example("flights", &["--seconds", "2"]);
    let subject = Subject { program: "flights", command: &command, output: single_files };
    let expected = subject.undisturbed();
    assert_eq!(expected.len(), 3, "{:?}", expected.keys());
    subject.survives(number("CHAOS_KILLS", 5), number("CHAOS_SEED", 1) + 1, &expected);
}

#[test]
fn a_script_of_sql() {
    let subject = Subject { program: "a script", command: &script::command, output: folders };
    let expected = subject.undisturbed();
    let least = [("windows", 1_000), ("longer", 1_000), ("won", 10_000), ("bidders", 100)];
    for (folder, lines) in least {
        assert!(expected[folder].len() > lines, "{folder}: {}", expected[folder].len());
    }
    subject.survives(number("CHAOS_KILLS", 5), number("CHAOS_SEED", 1) + 2, &expected);
}

/// How long a program may take before something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(60);

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}
