//! Running cases.

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tidemill_checkpoint::coordinator::CompletedSnapshot;
use tidemill_core::config::{Configuration, Origin};
use tidemill_core::time::Timestamp;
use tidemill_core::{AfterSavepoint, SavepointFormat};
use tidemill_runtime::JobError;
use tidemill_runtime::checkpoint::{ClaimMode, RestoreSettings};
use tidemill_runtime::cluster::{EmbeddedCluster, JobHandle, TaskManagerResources};
use tidemill_runtime::graph::{ExecutionPlan, NodeKind};
use tidemill_state::{Clock, StateBackendFactory};

use super::case::{Case, PARTS, Stage};
use super::slow::{Brake, Slowed};
use crate::checker::{Contract, checked_with};
use crate::checkpoints;
use crate::commits::Committed;
use crate::jobs;
use crate::random::Random;

/// A state backend that cases are run with.
#[derive(Clone)]
pub struct Backend {
    /// Its name, for messages.
    pub name: &'static str,
    /// Makes it for the slots.
    pub factory: Arc<dyn StateBackendFactory>,
}

/// What a case has gone through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Survived {
    /// Jobs that were run.
    pub runs: u32,
    /// Bytes of records on their way that unaligned checkpoints have stored.
    pub in_flight_bytes: u64,
}

/// Processing time: from 0, as time goes, but for jumps.
struct JumpingClock {
    start: Instant,
    jumped: AtomicI64,
}

impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.start.elapsed().as_millis()).unwrap_or(i64::MAX);
        passed.saturating_add(self.jumped.load(Ordering::SeqCst))
    }
}

impl JumpingClock {
    fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), jumped: AtomicI64::new(0) })
    }

    fn jump(&self, duration: Duration) {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.jumped.fetch_add(ms, Ordering::SeqCst);
    }
}

/// What is being done.
#[derive(Clone)]
struct Telling {
    case: String,
    backend: &'static str,
    unaligned: bool,
    what: String,
    parallelism: u32,
    seed: u64,
}

impl Telling {
    fn straight(name: &str, backends: &[Backend], seed: u64) -> Self {
        Self {
            case: name.to_owned(),
            backend: backends[0].name,
            unaligned: false,
            what: "straight through".to_owned(),
            parallelism: 1,
            seed,
        }
    }
}

impl Display for Telling {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let alignment = if self.unaligned { "unaligned" } else { "aligned" };
        write!(
            f,
            "{}: {}, backend {}, {alignment}, parallelism {}, TIDEMILL_SEED={}",
            self.case, self.what, self.backend, self.parallelism, self.seed
        )
    }
}

/// Says on a failure what was being done, also where it is not said by the failure.
struct OnFailure<'a>(&'a Telling);

impl Drop for OnFailure<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            #[allow(clippy::print_stderr, reason = "shown with the output of the test that failed")]
            {
                eprintln!("{}", self.0);
            }
        }
    }
}

/// Runs a case in all the ways that the module's documentation lists, and fails the test where a result differs. `case`
/// makes it anew for each run.
pub fn survive(name: &str, backends: &[Backend], case: impl Fn() -> Case) -> Survived {
    let mut survived = Survived::default();
    for seed in Random::seeds(1) {
        let telling = Telling::straight(name, backends, seed);
        let expected = straight(&telling, &case(), &backends[0]);
        survived.runs += 1;
        for cell in 0..2 * backends.len() {
            let cell = Cell::of(cell, &telling, backends, &case, &expected);
            cell.run(&mut survived, |_| true);
        }
    }
    survived
}

/// As [`survive`], but of the backends and ways to take checkpoints only number `way` is run, and restored twice, at 3 and at 1,
/// from two of what there is to restore from: for cases that are many, or large, of which each is run in another way.
pub fn survive_in_one_way(name: &str, backends: &[Backend], way: usize, case: impl Fn() -> Case) -> Survived {
    let mut survived = Survived::default();
    for seed in Random::seeds(1) {
        let telling = Telling::straight(name, backends, seed);
        let expected = straight(&telling, &case(), &backends[0]);
        survived.runs += 1;
        let cell = Cell::of(way % (2 * backends.len()), &telling, backends, &case, &expected);
        // Each of the three kinds in turn, and the one behind it, so that one is restored at 3 and the other at 1.
        let kind = way / (2 * backends.len());
        let chosen = [2 * (kind % 3), 2 * ((kind + 1) % 3) + 1];
        cell.run(&mut survived, |restore| chosen.contains(&restore));
    }
    survived
}

fn straight(telling: &Telling, case: &Case, backend: &Backend) -> Vec<String> {
    let _tell = OnFailure(telling);
    let folder = tempfile::tempdir().expect("a folder");
    let clock = JumpingClock::new();
    let stage = Stage {
        configuration: configuration(1, false, "1000 h"),
        committed: Committed::default(),
        brake: Brake::default(),
    };
    let cluster = cluster(folder.path(), backend, &clock, case);
    let handle = cluster.submit(plan(case, &stage, false)).expect("the job starts");
    go_on(case, &stage, &clock, &handle);
    let found = case.results_of(&stage);
    assert!(found.len() >= case.at_least, "{telling}: only {} results: {found:?}", found.len());
    if let Some(expected) = &case.expected {
        compare(&found, expected, telling);
    }
    found
}

/// Between one checkpoint and the next.
const OFTEN: &str = "10 ms";

/// What jobs are configured with.
fn configuration(parallelism: u32, unaligned: bool, interval: &str) -> Configuration {
    let mut configuration = Configuration::new();
    for (key, value) in [
        ("parallelism.default", parallelism.to_string().as_str()),
        ("pipeline.max-parallelism", "32"),
        ("pipeline.auto-watermark-interval", "2 ms"),
        ("execution.buffer-timeout", "1 ms"),
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "3"),
        ("restart-strategy.fixed-delay.delay", "0 ms"),
        ("execution.checkpointing.interval", interval),
        // Jumps of the clock are no reason to give one up.
        ("execution.checkpointing.timeout", "300 d"),
        ("execution.checkpointing.num-retained", "1000"),
        ("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION"),
        ("execution.checkpointing.incremental", "true"),
        ("execution.checkpointing.unaligned.enabled", unaligned.to_string().as_str()),
    ] {
        configuration.set_raw(key, value, Origin::Api);
    }
    configuration
}

fn cluster(folder: &Path, backend: &Backend, clock: &Arc<JumpingClock>, case: &Case) -> EmbeddedCluster {
    let resources = TaskManagerResources {
        // Little fits into the channels, so that something waits outside them.
        segment_size: case.segment_bytes,
        managed_bytes: 16 << 20,
        ..jobs::small_resources()
    };
    EmbeddedCluster::with_clock(resources, Arc::<JumpingClock>::clone(clock))
        .with_state_backends(Arc::clone(&backend.factory))
        .with_checkpoints(checkpoints::environment(folder))
}

/// The plan of a case's job, with operators that are checked and that can be held up.
fn plan(case: &Case, stage: &Stage, encoded: bool) -> ExecutionPlan {
    let built = (case.build)(stage).expect("a plan");
    let (mut graph, mut settings) = (built.graph, built.settings);
    settings.encoded_edges = encoded;
    for (index, node) in graph.nodes.iter_mut().enumerate() {
        node.uid.get_or_insert_with(|| format!("node-{index}"));
        let wrap = |factory: &Arc<_>| {
            let factory = Arc::new(checked_with(Arc::clone(factory), Contract::default()));
            Arc::new(Slowed { factory, brake: stage.brake.clone() })
        };
        node.kind = match &node.kind {
            NodeKind::Source(source) => NodeKind::Source(Arc::clone(source)),
            NodeKind::Operator(factory) => NodeKind::Operator(wrap(factory)),
            NodeKind::Sink(factory) => NodeKind::Sink(wrap(factory)),
        };
    }
    ExecutionPlan::new(graph, &settings).expect("the plan once more")
}

/// Lets the job have its inputs, and waits for its end.
fn go_on(case: &Case, stage: &Stage, clock: &JumpingClock, handle: &JobHandle) {
    for part in 0..=PARTS {
        if case.in_steps && part > 0 {
            settle(case, handle);
        }
        case.jumps.iter().filter(|(before, _)| *before == part).for_each(|(_, by)| clock.jump(*by));
        case.inputs.iter().filter(|_| part < PARTS).for_each(|input| input.feed(part));
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while stage.committed.values().len() < case.ends_after {
        // What has come is shown with a checkpoint.
        taken("a checkpoint", handle, JobHandle::checkpoint);
        assert!(Instant::now() < deadline, "only this was committed: {:?}", stage.committed.sorted());
    }
    case.inputs.iter().for_each(|input| input.end());
    jobs::wait(handle).expect("the job comes to its end");
}

/// Waits until all that was fed has been processed.
fn settle(case: &Case, handle: &JobHandle) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !case.inputs.iter().all(|input| input.is_read()) {
        let seen: Vec<_> = case.inputs.iter().map(|input| input.seen()).collect();
        assert!(
            Instant::now() < deadline,
            "not all is read, split by split: {seen:?}; {:?}",
            handle.status()
        );
        std::thread::yield_now();
    }
    loop {
        let checkpoint = taken("a checkpoint", handle, JobHandle::checkpoint);
        let statistics = handle.checkpoint_statistics().expect("it takes checkpoints");
        // What was read before it has been processed, but for what it has stored.
        if statistics.get(checkpoint.id).is_some_and(|checkpoint| checkpoint.persisted_data() == 0) {
            return;
        }
    }
}

fn compare(found: &[String], expected: &[String], telling: &Telling) {
    let mut difference: BTreeMap<&str, i64> = BTreeMap::new();
    for (lines, sign) in [(found, 1), (expected, -1)] {
        lines.iter().for_each(|line| *difference.entry(line).or_default() += sign);
    }
    difference.retain(|_, times| *times != 0);
    let first: Vec<_> = difference.iter().take(20).collect();
    assert!(
        difference.is_empty(),
        "{telling}: {} lines come too often (+) or too seldom (-), among them {first:?}",
        difference.len()
    );
}

/// One backend and one way to take checkpoints.
struct Cell<'a, F> {
    telling: Telling,
    backend: &'a Backend,
    other: &'a Backend,
    unaligned: bool,
    case: &'a F,
    expected: &'a [String],
}

/// What a first job has left behind.
struct Left {
    committed: Committed<String>,
    retained: CompletedSnapshot,
    canonical: CompletedSnapshot,
    native: CompletedSnapshot,
}

impl<'a, F: Fn() -> Case> Cell<'a, F> {
    /// Number `cell` of those that there are with these backends.
    fn of(
        cell: usize,
        telling: &Telling,
        backends: &'a [Backend],
        case: &'a F,
        expected: &'a [String],
    ) -> Self {
        let (index, unaligned) = (cell / 2, cell % 2 == 1);
        let (backend, other) = (&backends[index], &backends[(index + 1) % backends.len()]);
        let telling = Telling { backend: backend.name, unaligned, ..telling.clone() };
        Cell { telling, backend, other, unaligned, case, expected }
    }

    /// Runs it, and restores it in those of the ways, from 0 to 5, that are chosen.
    fn run(&self, survived: &mut Survived, chosen: impl Fn(usize) -> bool) {
        let folder = tempfile::tempdir().expect("a folder");
        let left = self.crash(folder.path(), survived);
        let restores = [
            ("the retained checkpoint", &left.retained, self.backend, 3),
            ("the retained checkpoint", &left.retained, self.backend, 1),
            ("the canonical savepoint", &left.canonical, self.backend, 3),
            ("the canonical savepoint of the other backend", &left.canonical, self.other, 1),
            ("the native savepoint", &left.native, self.backend, 3),
            ("the native savepoint", &left.native, self.backend, 1),
        ];
        let restores = restores.into_iter().enumerate().filter(|(number, _)| chosen(*number));
        for (_, (what, snapshot, backend, parallelism)) in restores {
            let telling = Telling {
                what: format!("from {what}"),
                backend: backend.name,
                parallelism,
                ..self.telling.clone()
            };
            self.restored(folder.path(), &left, snapshot, backend, &telling);
            survived.runs += 1;
        }
    }

    /// A job that fails once and is stopped for good in the middle, while records are on their way.
    fn crash(&self, folder: &Path, survived: &mut Survived) -> Left {
        let telling = Telling { what: "with a crash".to_owned(), parallelism: 2, ..self.telling.clone() };
        let _tell = OnFailure(&telling);
        let mut random = Random::seeded(telling.seed);
        let clock = JumpingClock::new();
        let case = (self.case)();
        let stage = Stage {
            configuration: configuration(2, self.unaligned, OFTEN),
            committed: Committed::default(),
            brake: Brake::default(),
        };
        let cluster = cluster(folder, self.backend, &clock, &case);
        let handle = cluster.submit(plan(&case, &stage, self.unaligned)).expect("the job starts");
        survived.runs += 1;
        case.inputs.iter().for_each(|input| input.feed(0));
        settle(&case, &handle);

        case.fail_in(1, &mut random);
        stage.brake.set(true);
        case.inputs.iter().for_each(|input| input.feed(1));
        jobs::until("the job goes on after its failures", || {
            handle
                .checkpoint_statistics()
                .is_some_and(|statistics| statistics.counts().restored == case.crashes)
        });
        let retained = taken("a checkpoint", &handle, JobHandle::checkpoint);
        let savepoint =
            |format| move |handle: &JobHandle| handle.savepoint(format, AfterSavepoint::GoOn, None);
        let canonical = taken("a savepoint", &handle, savepoint(SavepointFormat::Canonical));
        let native = taken("a savepoint", &handle, savepoint(SavepointFormat::Native));
        let statistics = handle.checkpoint_statistics().expect("it takes checkpoints");
        survived.in_flight_bytes +=
            statistics.history().map(|checkpoint| checkpoint.persisted_data()).sum::<u64>();
        handle.cancel();
        let ended = jobs::wait(&handle);
        assert!(matches!(ended, Err(JobError::Cancelled(_))), "{telling}: {ended:?}");
        jobs::assert_clean(&cluster);
        Left { committed: stage.committed, retained, canonical, native }
    }

    fn restored(
        &self,
        folder: &Path,
        left: &Left,
        snapshot: &CompletedSnapshot,
        backend: &Backend,
        telling: &Telling,
    ) {
        let _tell = OnFailure(telling);
        let mut random = Random::seeded(telling.seed + u64::from(telling.parallelism));
        let clock = JumpingClock::new();
        let case = (self.case)();
        let stage = Stage {
            configuration: configuration(telling.parallelism, self.unaligned, OFTEN),
            committed: left.committed.up_to(snapshot.id),
            brake: Brake::default(),
        };
        // It starts again from where it was restored, or from a checkpoint of its own.
        let fails = telling.parallelism > 1;
        if fails {
            case.fail_in(PARTS - 1, &mut random);
        }
        let cluster = cluster(folder, backend, &clock, &case);
        let restore = RestoreSettings {
            path: snapshot.external_path.clone(),
            claim: ClaimMode::NoClaim,
            allow_non_restored_state: false,
        };
        let plan = plan(&case, &stage, !self.unaligned);
        let handle = cluster.submit_restored(plan, Some(&restore), &|| false).expect("the job is restored");
        go_on(&case, &stage, &clock, &handle);
        let restored = handle.checkpoint_statistics().expect("it takes checkpoints").counts().restored;
        assert_eq!(restored, 1 + u64::from(fails) * case.crashes, "{telling}: it was restored so often");
        compare(&case.results_of(&stage), self.expected, telling);
        jobs::assert_clean(&cluster);
    }
}

/// Asks for a snapshot until there is one: not while the job is started anew.
fn taken(
    what: &str,
    handle: &JobHandle,
    take: impl Fn(&JobHandle) -> Result<CompletedSnapshot, JobError>,
) -> CompletedSnapshot {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match take(handle) {
            Ok(snapshot) => return snapshot,
            Err(error) => assert!(Instant::now() < deadline, "{what} is never complete: {error}"),
        }
        std::thread::yield_now();
    }
}
