//! A list of inputs that is run in several ways, which must all end the same.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::budget::MemoryBudget;
use tidemill_core::graph::ShipStrategy;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::graph::EdgeType;
use tidemill_runtime::{OperatorError, OperatorFactory};
use tidemill_serialization::Data;
use tidemill_state::{StateBackend, StateBackendFactory};

use crate::checker::{Contract, checked_with};
use crate::parallel::{InputType, ParallelHarness};
use crate::random::Random;
use crate::records::{RecordType, Row};
use crate::subject::{Emitted, Setup};

/// What an operator promises about the order of its output.
///
/// ```
/// use tidemill_testkit::{Order, Script};
///
/// let script = Script::new().order(Order::Overall);
/// # let _ = script;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// At one parallelism, records come in the very same order. At another one, as with [`EachStep`](Order::EachStep).
    Exact,
    /// Each step of the script lets out the same records, in any order.
    EachStep,
    /// The whole script lets out the same records.
    Overall,
    /// The records are changes of a table, and after each step the table is the same. The text of a record that takes a row
    /// away begins with `-`, that of one that adds a row with `+`; its bytes are the row's. No row is ever taken away that is
    /// not there.
    Table,
    /// As [`Table`](Order::Table), but the table is the same only where event time goes on: between watermarks, rows wait for as
    /// long as the operator likes.
    TableAtWatermarks,
}

impl Order {
    fn is_table(self) -> bool {
        matches!(self, Order::Table | Order::TableAtWatermarks)
    }
}

#[derive(Clone)]
enum Step {
    Batch { input: usize, batch: Batch },
    Watermark(Timestamp),
    Idle(bool),
    ProcessingTime(Timestamp),
    Finish,
}

/// Inputs in their order, with the types of inputs and outputs.
///
/// ```
/// use tidemill_testkit::{Script, assert_same_with_snapshots, faults, stamped};
///
/// let script = Script::new()
///     .rebalanced_input::<u64>(0)
///     .output::<u64>()
///     .records(0, stamped([(7u64, 100)]))
///     .watermark(50);
/// let output = assert_same_with_snapshots(faults::pass::<u64>(), &script);
/// assert_eq!(output.reached, [i64::MIN, 50]);
/// ```
#[derive(Clone)]
pub struct Script {
    inputs: BTreeMap<usize, InputType>,
    main: Option<RecordType>,
    sides: BTreeMap<Arc<str>, RecordType>,
    steps: Vec<Step>,
    order: Order,
    max_parallelism: u32,
    rescales: bool,
    seeds: u64,
    seldom: u64,
    backend: Option<Arc<dyn StateBackend>>,
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

impl Script {
    /// A script without steps.
    pub fn new() -> Self {
        Self {
            inputs: BTreeMap::new(),
            main: None,
            sides: BTreeMap::new(),
            steps: Vec::new(),
            order: Order::EachStep,
            max_parallelism: 128,
            rescales: true,
            seeds: 6,
            seldom: 1,
            backend: None,
        }
    }

    /// Declares an input of any type, whose records are dealt out by an edge as `strategy` says.
    #[must_use]
    pub fn input(
        mut self,
        input: usize,
        records: RecordType,
        edge: Arc<dyn EdgeType>,
        strategy: ShipStrategy,
    ) -> Self {
        self.inputs.insert(input, InputType::new(records, edge, strategy));
        self
    }

    /// Declares an input whose records are dealt by the routing hash of their key.
    #[must_use]
    pub fn keyed_input<T: Data + Debug>(
        mut self,
        input: usize,
        hash: impl Fn(&T) -> u64 + Clone + Send + Sync + 'static,
    ) -> Self {
        self.inputs.insert(input, InputType::keyed(hash));
        self
    }

    /// Declares an input whose records are dealt in equal parts.
    #[must_use]
    pub fn rebalanced_input<T: Data + Debug>(mut self, input: usize) -> Self {
        self.inputs.insert(input, InputType::rebalanced::<T>());
        self
    }

    /// Declares an input whose records go to every subtask.
    #[must_use]
    pub fn broadcast_input<T: Data + Debug>(mut self, input: usize) -> Self {
        self.inputs.insert(input, InputType::broadcast::<T>());
        self
    }

    /// Declares the type of the main output.
    #[must_use]
    pub fn output<U: Data + Debug>(mut self) -> Self {
        self.main = Some(RecordType::of::<U>());
        self
    }

    /// Declares the type of the main output, whatever it is.
    #[must_use]
    pub fn output_of(mut self, records: RecordType) -> Self {
        self.main = Some(records);
        self
    }

    /// Declares the type of a side output.
    #[must_use]
    pub fn side<V: Data + Debug>(mut self, tag: &str) -> Self {
        self.sides.insert(tag.into(), RecordType::of::<V>());
        self
    }

    /// Says what is promised about the order of the output; [`Order::EachStep`] otherwise.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Sets the number of key groups, 128 otherwise.
    #[must_use]
    pub fn max_parallelism(mut self, max_parallelism: u32) -> Self {
        self.max_parallelism = max_parallelism;
        self
    }

    /// Says that the operator's output depends on its parallelism, so that only snapshots are tried.
    #[must_use]
    pub fn without_rescaling(mut self) -> Self {
        self.rescales = false;
        self
    }

    /// Sets how many seeds are tried, 6 otherwise.
    #[must_use]
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// Has random snapshots come so many times more seldom, for operators that take long to open.
    #[must_use]
    pub fn seldom(mut self, times: u64) -> Self {
        self.seldom = times.max(1);
        self
    }

    /// Sets where the operator keeps its keyed state, in memory otherwise.
    ///
    /// # Errors
    /// When the backend cannot be set up.
    pub fn backend(mut self, backend: &dyn StateBackendFactory) -> Result<Self, OperatorError> {
        self.backend = Some(backend.of_slot(&MemoryBudget::new("managed memory", 64 << 20, "none"))?);
        Ok(self)
    }

    /// Adds a batch of an input.
    #[must_use]
    pub fn batch(self, input: usize, batch: Batch) -> Self {
        self.step(Step::Batch { input, batch })
    }

    /// Adds records of an input.
    #[must_use]
    pub fn records<T: Data + Debug>(self, input: usize, batch: TypedBatch<T>) -> Self {
        self.step(Step::Batch { input, batch: Batch::new(batch) })
    }

    /// Adds a watermark.
    #[must_use]
    pub fn watermark(self, timestamp: Timestamp) -> Self {
        self.step(Step::Watermark(timestamp))
    }

    /// Adds a change of idleness.
    #[must_use]
    pub fn idle(self, idle: bool) -> Self {
        self.step(Step::Idle(idle))
    }

    /// Adds a move of processing time to `now`.
    #[must_use]
    pub fn processing_time(self, now: Timestamp) -> Self {
        self.step(Step::ProcessingTime(now))
    }

    /// Adds the end of a bounded input: the last watermark, and the end.
    #[must_use]
    pub fn end(self) -> Self {
        self.step(Step::Watermark(Watermark::MAX.0)).step(Step::Finish)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Runs the script straight through, at parallelism 1.
    ///
    /// # Errors
    /// What the operator fails with.
    pub fn run(&self, factory: &Arc<dyn OperatorFactory>) -> Result<ScriptOutput, OperatorError> {
        self.run_with(factory, &Plan::default())
    }

    fn run_with(
        &self,
        factory: &Arc<dyn OperatorFactory>,
        plan: &Plan,
    ) -> Result<ScriptOutput, OperatorError> {
        let mut contract = Contract::default();
        if let Some(main) = &self.main {
            contract = contract.main(main.name());
        }
        for (tag, side) in &self.sides {
            contract = contract.side(tag, side.name());
        }
        let setup = Setup {
            max_parallelism: self.max_parallelism,
            snapshot_one_in: plan.snapshot_one_in,
            batch_records: plan.batch_records.unwrap_or(tidemill_runtime::DEFAULT_BATCH_RECORDS),
            seed: plan.seed,
            backend: self.backend.clone(),
            ..Setup::new(Arc::new(checked_with(Arc::clone(factory), contract)))
        };
        let mut random = Random::seeded(plan.seed);
        let mut rescales = plan.rescales.iter().copied();
        let first = rescales.next().unwrap_or(1);
        let mut harness = ParallelHarness::of(setup, self.inputs.clone(), first)?;
        let every = self.steps.len().div_ceil(plan.rescales.len().max(1)).max(1);
        let shift = random.below(every as u64) as usize;
        let mut output = ScriptOutput::default();
        for (index, step) in self.steps.iter().enumerate() {
            let over = matches!(step, Step::Finish);
            if index > 0
                && (index + shift).is_multiple_of(every)
                && !over
                && let Some(next) = rescales.next()
            {
                harness.rescale(next)?;
                output.restores += 1;
                // New subtasks go on where event time was, without saying so again.
                let reached = output.reached.last().copied().unwrap_or(Timestamp::MIN);
                output.watermarks = vec![reached; next as usize];
            }
            match step {
                Step::Batch { input, batch } => harness.process_batch(*input, batch.clone())?,
                Step::Watermark(timestamp) => harness.watermark(*timestamp)?,
                Step::Idle(idle) => harness.idle(*idle)?,
                Step::ProcessingTime(now) => harness.processing_time(*now)?,
                Step::Finish => harness.finish()?,
            }
            self.note(harness.take(), &mut output);
        }
        output.restores += harness.restores();
        output.channel_restores += harness.channel_restores();
        Ok(output)
    }

    fn note(&self, emitted: Vec<Vec<Emitted>>, output: &mut ScriptOutput) {
        let mut rows = Vec::new();
        let mut watermark = Timestamp::MAX;
        for (subtask, emitted) in emitted.into_iter().enumerate() {
            if output.watermarks.len() <= subtask {
                output.watermarks.resize(subtask + 1, Timestamp::MIN);
            }
            for emission in emitted {
                match emission {
                    Emitted::Batch(batch) => {
                        let main = self.main.as_ref().expect("the script declares the output's type");
                        rows.extend(main.rows(&batch).into_iter().map(|row| (None, row)));
                    }
                    Emitted::Side(tag, batch) => {
                        let side = self.sides.get(&tag);
                        let side =
                            side.unwrap_or_else(|| panic!("the script declares no side output '{tag}'"));
                        rows.extend(side.rows(&batch).into_iter().map(|row| (Some(Arc::clone(&tag)), row)));
                    }
                    Emitted::Watermark(Watermark(timestamp)) => output.watermarks[subtask] = timestamp,
                    Emitted::Idle(_) => {}
                }
            }
            watermark = watermark.min(output.watermarks[subtask]);
        }
        if self.order.is_table() {
            let changes = rows.iter().filter(|(side, _)| side.is_none());
            output.table.apply(changes.map(|(_, row)| row));
            let last = output.reached.last().copied().unwrap_or(Timestamp::MIN);
            let is_same = self.order == Order::Table || watermark > last;
            let unchanged = output.tables.last().cloned().unwrap_or_default();
            output.tables.push(if is_same { output.table.rows() } else { unchanged });
        }
        output.steps.push(rows);
        output.reached.push(watermark);
    }
}

/// The rows of a table, with how often each is there.
#[derive(Clone, Debug, Default)]
struct Table(BTreeMap<Vec<u8>, (u64, String)>);

impl Table {
    fn apply<'a>(&mut self, changes: impl Iterator<Item = &'a Row>) {
        for change in changes {
            let (sign, text) = change.text.split_at(1);
            let there = self.0.get_mut(&change.bytes);
            match (sign, there) {
                ("+", Some((count, _))) => *count += 1,
                ("+", None) => {
                    self.0.insert(change.bytes.clone(), (1, text.to_owned()));
                }
                ("-", Some((count, _))) => {
                    *count -= 1;
                    if *count == 0 {
                        self.0.remove(&change.bytes);
                    }
                }
                ("-", None) => panic!("the operator takes away a row that is not there: {text}"),
                _ => panic!("'{}' is no change of a table", change.text),
            }
        }
    }

    fn rows(&self) -> Vec<String> {
        let rows = self.0.values();
        let mut rows: Vec<String> =
            rows.flat_map(|(count, text)| (0..*count).map(|_| text.clone())).collect();
        rows.sort_unstable();
        rows
    }
}

#[derive(Clone, Debug, Default)]
struct Plan {
    seed: u64,
    snapshot_one_in: Option<u64>,
    batch_records: Option<usize>,
    /// The parallelisms that the run goes through.
    rescales: Vec<u32>,
}

/// What a script let out.
///
/// ```
/// use tidemill_testkit::ScriptOutput;
///
/// assert!(ScriptOutput::default().steps.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct ScriptOutput {
    /// The records after each step: side output or main, and the record.
    pub steps: Vec<Vec<(Option<Arc<str>>, Row)>>,
    /// With [`Order::Table`], the rows of the table after each step, in order; with [`Order::TableAtWatermarks`], those of the last step
    /// with which event time went on.
    pub tables: Vec<Vec<String>>,
    /// The lowest watermark of all subtasks after each step.
    pub reached: Vec<Timestamp>,
    table: Table,
    watermarks: Vec<Timestamp>,
    restores: u64,
    channel_restores: u64,
}

impl ScriptOutput {
    fn assert_equals(&self, other: &Self, order: Order, how: &Plan) {
        if order.is_table() {
            for (index, (ours, theirs)) in self.tables.iter().zip(&other.tables).enumerate() {
                assert!(
                    ours == theirs,
                    "after step {index} there is another table with {how:?} than straight through\n  straight: {ours:?}\n  \
                     then:     {theirs:?}"
                );
            }
            assert_eq!(self.reached, other.reached, "event time after each step, with {how:?}");
            return;
        }
        let (mut ours, mut theirs) = (self.steps.clone(), other.steps.clone());
        if order == Order::Overall {
            ours = vec![ours.concat()];
            theirs = vec![theirs.concat()];
        }
        for (index, (ours, theirs)) in ours.iter_mut().zip(&mut theirs).enumerate() {
            if order != Order::Exact {
                ours.sort();
                theirs.sort();
            }
            assert!(
                ours == theirs,
                "step {index} lets out other records with {how:?} than straight through\n  straight: {ours:?}\n  \
                 then:     {theirs:?}"
            );
        }
        assert_eq!(self.reached, other.reached, "event time after each step, with {how:?}");
    }
}

/// Runs a script straight through, with little room for output, with snapshots of operators and of the channels to them at
/// random moments, and while the parallelism changes; all must let out the same. Answers what it was.
///
/// ```
/// use tidemill_testkit::{Script, assert_same_with_snapshots, faults, unstamped};
///
/// let script = Script::new().rebalanced_input::<u64>(0).output::<u64>().records(0, unstamped([7u64]));
/// let output = assert_same_with_snapshots(faults::pass::<u64>(), &script);
/// assert_eq!(output.steps[0][0].1.text, "7");
/// ```
pub fn assert_same_with_snapshots(factory: impl OperatorFactory + 'static, script: &Script) -> ScriptOutput {
    let factory: Arc<dyn OperatorFactory> = Arc::new(factory);
    let run = |plan: &Plan| {
        script
            .run_with(&factory, plan)
            .unwrap_or_else(|error| panic!("the operator fails with {plan:?}: {error}"))
    };
    let straight = run(&Plan::default());
    let at_other_parallelism = if script.order == Order::Exact { Order::EachStep } else { script.order };
    let (mut restores, mut channel_restores) = (0, 0);
    for seed in Random::seeds(script.seeds) {
        let mut random = Random::seeded(seed);
        let batch_records = Some(1 + random.below(5) as usize);
        let snapshot_one_in = Some((1 + random.below(4)) * script.seldom);
        let small = Plan { seed, batch_records, ..Plan::default() };
        straight.assert_equals(&run(&small), script.order, &small);
        let snapshots = Plan { snapshot_one_in, ..small.clone() };
        let output = run(&snapshots);
        restores += output.restores;
        channel_restores += output.channel_restores;
        straight.assert_equals(&output, script.order, &snapshots);
        if script.rescales {
            for rescales in [vec![1, 2, 3], vec![3, 1], vec![2, 5, 2]] {
                let plan = Plan { rescales, ..snapshots.clone() };
                straight.assert_equals(&run(&plan), at_other_parallelism, &plan);
            }
        }
    }
    // With few seeds, chance may not have it that a short script is interrupted.
    let some = script.seeds < 6 || script.steps.is_empty();
    assert!(restores > 0 || some, "no run was interrupted by a snapshot");
    let has_records = script.steps.iter().any(|step| matches!(step, Step::Batch { .. }));
    assert!(channel_restores > 0 || some || !has_records, "no channel was interrupted by a snapshot");
    straight
}
