//! Models of operators, and operators against them.

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tidemill_testkit::{Random, assert_same_with_snapshots};

use crate::rows::{Row, Step, Table, adds, shown, steps};
use crate::subject::{Backend, Subject};

/// What an operator's results are.
pub(crate) trait Model {
    /// The same happens to it as to the operator.
    fn step(&mut self, step: &Step);

    /// The table that the operator's output folds to.
    fn table(&self) -> Table;
}

/// Results that depend on nothing but the tables that the inputs are.
pub(crate) struct Query<F> {
    inputs: Vec<Table>,
    query: F,
}

impl<F: Fn(&[Table]) -> Table> Query<F> {
    /// `query` of so many inputs.
    pub(crate) fn new(inputs: usize, query: F) -> Self {
        Self { inputs: vec![Table::new(); inputs], query }
    }
}

impl<F: Fn(&[Table]) -> Table> Model for Query<F> {
    fn step(&mut self, step: &Step) {
        let Step::Changes(input, changes) = step else { return };
        let table = &mut self.inputs[*input];
        for (kind, row) in changes {
            let count = table.entry(row.clone()).or_default();
            *count += if adds(*kind) { 1 } else { -1 };
            if *count == 0 {
                table.remove(row);
            }
        }
    }

    fn table(&self) -> Table {
        (self.query)(&self.inputs)
    }
}

/// Results that depend on the order of the rows of one input, too.
pub(crate) struct Sequence<F> {
    rows: Vec<Row>,
    /// How many columns the operator does not see.
    hidden: usize,
    query: F,
}

impl<F: Fn(&[Row]) -> Table> Sequence<F> {
    /// `query` of the rows in the order in which they have come.
    pub(crate) fn new(query: F) -> Self {
        Self { rows: Vec::new(), hidden: 0, query }
    }

    /// As [`new`](Self::new), of rows whose first column the operator does not see.
    pub(crate) fn without_id(query: F) -> Self {
        Self { rows: Vec::new(), hidden: 1, query }
    }
}

impl<F: Fn(&[Row]) -> Table> Model for Sequence<F> {
    fn step(&mut self, step: &Step) {
        let Step::Changes(_, changes) = step else { return };
        for (kind, row) in changes {
            let row = &row[self.hidden..];
            if adds(*kind) {
                self.rows.push(row.to_vec());
            } else if let Some(place) = self.rows.iter().position(|known| known == row) {
                self.rows.remove(place);
            }
        }
    }

    fn table(&self) -> Table {
        (self.query)(&self.rows)
    }
}

/// Results that come when a bundle ends: at each mark.
pub(crate) struct Bundled<M> {
    inner: M,
    reached: Option<i64>,
    table: Table,
}

impl<M: Model> Bundled<M> {
    /// The results of `inner`, as they are at marks.
    pub(crate) fn new(inner: M) -> Self {
        Self { inner, reached: None, table: Table::new() }
    }
}

impl<M: Model> Model for Bundled<M> {
    fn step(&mut self, step: &Step) {
        self.inner.step(step);
        if let Step::Watermark(mark) = step
            && self.reached.is_none_or(|reached| reached < *mark)
        {
            self.reached = Some(*mark);
            self.table = self.inner.table();
        }
    }

    fn table(&self) -> Table {
        self.table.clone()
    }
}

/// How many cases are tried with each backend; RocksDB takes its time to open.
const CASES: [(Backend, u32); 2] = [(Backend::HashMap, 6), (Backend::RocksDb, 1)];

/// Tries an operator with made-up inputs against models, with state in memory and in RocksDB.
pub(crate) fn survives<M: Model>(subject: &Subject, model: impl Fn() -> M) {
    for (backend, cases) in CASES {
        survives_with(subject, backend, cases, &model);
    }
}

/// As [`survives`], for an operator without state.
pub(crate) fn computes<M: Model>(subject: &Subject, model: impl Fn() -> M) {
    survives_with(subject, Backend::HashMap, CASES[0].1, &model);
}

fn survives_with<M: Model>(subject: &Subject, backend: Backend, cases: u32, model: &impl Fn() -> M) {
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |cases| cases.parse().unwrap());
    for seed in Random::seeds(1) {
        let config = Config { cases, max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let result = runner.run(&steps(&subject.domains), |steps| {
            check(subject, backend, &steps, model());
            Ok(())
        });
        if let Err(error) = result {
            panic!("with state in {backend:?} and TIDEMILL_SEED={seed}: {error}");
        }
    }
}

/// Runs an operator in all ways, and compares its output after each step with the model's.
fn check(subject: &Subject, backend: Backend, steps: &[Step], mut model: impl Model) {
    let mut script = subject.script(backend);
    let mut expected = Vec::new();
    let mut taken = Vec::new();
    for step in steps {
        model.step(step);
        script = match step {
            Step::Changes(input, changes) => {
                match subject.feed(*input, &subject.domains[*input].batch(changes)) {
                    Some(batch) => script.batch(*input, batch),
                    None => continue,
                }
            }
            Step::Watermark(time) => script.watermark(*time),
        };
        taken.push(step);
        expected.push(model.table());
    }
    let output = assert_same_with_snapshots(subject.operator(), &script);
    for (number, (expected, found)) in expected.iter().zip(&output.tables).enumerate() {
        let mut expected: Vec<String> = crate::rows::each(expected).map(shown).collect();
        expected.sort_unstable();
        assert!(
            expected == *found,
            "after step {number}, {:?}\n  expected: {expected:#?}\n  found:    {found:#?}",
            taken[number]
        );
    }
}
