//! A process that is killed, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use tidemill_testkit::Random;

use super::{Subject, deadline, entries};

/// A program that runs.
pub(super) struct Victim {
    child: Child,
    log: PathBuf,
    program: String,
}

impl Victim {
    /// Starts it over the folders `output` and `checkpoints` in `folder`.
    pub(super) fn start(
        subject: &Subject<'_>,
        folder: &Path,
        options: &[String],
        parallelism: u32,
        resume: bool,
    ) -> Self {
        let mut command = (subject.command)(&folder.join("output"));
        let temporary = folder.join("temporary");
        std::fs::create_dir_all(&temporary).unwrap();
        let log = folder.join("stderr");
        command
            .args(["-D", &format!("parallelism.default={parallelism}")])
            .args(["-D", &format!("io.tmp.dirs={}", temporary.display())])
            .args(options.iter().flat_map(|option| ["-D", option]))
            .env_remove("TIDEMILL_CONF_DIR")
            .env_remove("FLINK_CONF_DIR")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap());
        if resume {
            let checkpoints = folder.join("checkpoints");
            command.args([
                "--resume",
                "-D",
                &format!("execution.checkpointing.dir={}", checkpoints.display()),
            ]);
        }
        Self { child: command.spawn().unwrap(), log, program: subject.program.to_owned() }
    }

    /// Whether it has ended, and if so whether well.
    fn has_ended(&mut self) -> Option<bool> {
        self.child.try_wait().unwrap().map(|status| status.success())
    }

    /// Waits for its end, which must be a good one.
    pub(super) fn wait(&mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{}: {status}: {}", self.program, self.said());
    }

    pub(super) fn kill(&mut self) {
        // `kill -9` on Unix.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// What it has said on stderr.
    pub(super) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// When a program is killed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// So many milliseconds after its start.
    AfterStart(u64),
    /// When it has completed so many checkpoints, and so many microseconds later.
    AfterCheckpoint(u64, u64),
    /// When it has begun so many checkpoints, and so many microseconds later.
    InCheckpoint(u64, u64),
    /// It comes to its end.
    Never,
}

/// What came first.
pub(super) enum Came {
    Moment,
    /// The end of the program, a good one or not.
    End(bool),
}

/// Where the checkpoints are that have begun, and whether they are complete.
fn checkpoints(folder: &Path) -> BTreeMap<PathBuf, bool> {
    let jobs = entries(folder).into_iter();
    let checkpoints = jobs.flat_map(|job| entries(&job)).filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("chk-"))
    });
    checkpoints.map(|path| (path.clone(), path.join("_metadata").exists())).collect()
}

impl Moment {
    pub(super) fn choose(random: &mut Random) -> Self {
        match random.below(8) {
            0 => Self::AfterStart(random.below(200)),
            1..=3 => Self::InCheckpoint(1 + random.below(4), random.below(20_000)),
            _ => Self::AfterCheckpoint(1 + random.below(4), random.below(60_000)),
        }
    }

    /// Waits for the moment, or the end of the program.
    pub(super) fn wait(self, victim: &mut Victim, folder: &Path) -> Came {
        let (mut seen, mut completed) = (BTreeSet::new(), BTreeSet::new());
        let before = checkpoints(folder);
        let deadline = deadline();
        let mut pause = match self {
            Self::AfterStart(ms) => Some(Duration::from_millis(ms)),
            _ => None,
        };
        loop {
            if let Some(well) = victim.has_ended() {
                return Came::End(well);
            }
            if let Some(pause) = pause.take() {
                // Not for anything to happen: so that the moment is any.
                std::thread::sleep(pause);
                return Came::Moment;
            }
            for (path, complete) in checkpoints(folder) {
                if complete && before.get(&path) != Some(&true) {
                    completed.insert(path.clone());
                }
                if !before.contains_key(&path) {
                    seen.insert(path);
                }
            }
            pause = match self {
                Self::AfterCheckpoint(count, us) if completed.len() as u64 >= count => {
                    Some(Duration::from_micros(us))
                }
                Self::InCheckpoint(count, us) if seen.len() as u64 >= count => {
                    Some(Duration::from_micros(us))
                }
                _ => None,
            };
            if pause.is_none() {
                let late = std::time::Instant::now() > deadline;
                assert!(!late, "{} neither ends nor comes to {self:?}: {}", victim.program, victim.said());
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Whether there is a checkpoint to go on from.
pub(super) fn has_complete(folder: &Path) -> bool {
    checkpoints(folder).values().any(|complete| *complete)
}

/// What is missing and what is too much.
pub(super) fn difference(found: &[String], expected: &[String]) -> Option<String> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for (lines, sign) in [(found, 1), (expected, -1)] {
        lines.iter().for_each(|line| *counts.entry(line).or_default() += sign);
    }
    counts.retain(|_, count| *count != 0);
    let first: Vec<_> = counts.iter().take(10).collect();
    (!counts.is_empty()).then(|| {
        format!("{} of {} lines differ (+ too often, - too seldom): {first:?}", counts.len(), expected.len())
    })
}
