//! The golden queries in whole jobs that fail, are stopped and go on elsewhere: see [`tidemill_testkit::survival`].
//!
//! A query whose files are in the folder of a [`Set`] is run; queries over other tables join as another set. Those whose results
//! depend on the order of their input are named in [`IN_ORDER`].
//!
//! The tables are read by the connectors that scripts name, and then fed to the job bit by bit. What it ends in is a
//! changelog, which must fold: at each step, after restores too, no row is taken away that is not there. What it folds to
//! must be the golden table.
//!
//! Each query is run in one way, the next one in the next: state in memory or in RocksDB, barriers aligned or not, and from
//! checkpoints, canonical and native savepoints at other parallelisms; of large sets not every query. With `SURVIVAL=all`, as `make
//! survival` sets it, each is run in all ways. `SURVIVAL_QUERY=over` runs those with `over` in their names, `SURVIVAL_QUERY=match/`
//! those of a set.

use std::collections::{BTreeMap, HashMap};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow_array::{RecordBatch, UInt32Array};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use parking_lot::Mutex;
use tidemill::core::batch::{ArrowBatch, Batch, RowKind, TypedBatch};
use tidemill::core::config::{Configuration, Origin};
use tidemill_rocksdb::{RocksDbSettings, RocksDbStateBackends};
use tidemill_runtime::graph::{ExecutionPlan, JobSettings, NodeKind, StreamEdge, StreamNode, TypedEdge};
use tidemill_runtime::operator::stateful;
use tidemill_runtime::source::{ReaderStatus, Source, SourceOutput, SplitAssignment};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_sql::connector::{
    ConnectorOption, SinkRequest, SourceRequest, TableFactory, TableOptions, TableSink, TableSource,
};
use tidemill_sql::results::write_json_row;
use tidemill_sql::types::LogicalType;
use tidemill_sql::{Connectors, Planned, SqlJob, SqlResult, SqlSession};
use tidemill_state::{
    HashMapStateBackend, OperatorSnapshot, OperatorStateMode, SubtaskSnapshot, SystemClock,
};
use tidemill_testkit::survival::{Backend, Case, Input, Stage, survive, survive_in_one_way};

use super::sql::normal;

/// Queries over the same tables.
struct Set {
    /// The folder of `tests/golden` with its tables and queries.
    folder: &'static str,
    /// What `${DATA}` is, in `tests/golden`.
    data: &'static str,
    /// Whether rows must come in the order of the files.
    in_order: bool,
    /// Each of how many queries is run, unless all are.
    of: usize,
}

const SETS: [Set; 3] = [
    Set { folder: "flights", data: "flights/data", in_order: false, of: 1 },
    Set { folder: "match", data: ".", in_order: true, of: 10 },
    Set { folder: "nexmark", data: "nexmark", in_order: true, of: 5 },
];

/// Queries of which rows must come in the order of the files.
const IN_ORDER: [&str; 7] = [
    "18_first_last",
    "22_over_unbounded",
    "23_over_rows_functions",
    "24_over_lag",
    "25_over_row_number",
    "29_window_dedup",
    "44_over_null_partition",
];

/// Into how many splits a table is cut, its rows dealt out in turn so that event time goes on alike in all of them.
const SPLITS: usize = 3;

/// How many rows are read at a time, at most: a small table is read in no less than some steps.
const BLOCK: usize = 512;

/// How often each job fails.
const CRASHES: u64 = 2;

/// All rows of a table, or of some of its columns.
fn load(source: &dyn Source, request: &SourceRequest<'_>) -> RecordBatch {
    let context = OperatorContext::detached(0, 1, 128, Arc::new(SystemClock));
    let mut enumerator = source.create_enumerator(1, None).unwrap();
    let mut reader = source.create_reader(&context).unwrap();
    let mut batches: Vec<RecordBatch> = Vec::new();
    loop {
        let mut out = SourceOutput::new(1 << 16);
        let status = reader.poll(&mut out).unwrap();
        let read = out.take().0.into_iter();
        batches.extend(read.map(|(_, batch)| batch.downcast_ref::<ArrowBatch>().unwrap().records.clone()));
        match status {
            ReaderStatus::End => return concat_batches(&request.schema, &batches).unwrap(),
            ReaderStatus::NeedsSplit => match enumerator.next_split(0).unwrap() {
                SplitAssignment::Split(split) => reader.add_split(split).unwrap(),
                _ => reader.no_more_splits(),
            },
            ReaderStatus::Ready | ReaderStatus::Pending(_) => {}
        }
    }
}

/// What was loaded, by file and columns.
static LOADED: OnceLock<Mutex<HashMap<String, Arc<RecordBatch>>>> = OnceLock::new();

/// Stands for a connector: what that would read is fed to the job.
#[derive(Clone)]
struct Fed {
    inner: Connectors,
    options: &'static [ConnectorOption],
    splits: usize,
    inputs: Arc<Mutex<Vec<Input<u32>>>>,
}

impl Fed {
    fn new(splits: usize) -> Self {
        let inner = tidemill::table_connectors();
        let some = ["connector", "path", "format"].map(|key| {
            let value = if key == "connector" { "filesystem" } else { "csv" };
            (key.to_owned(), value.to_owned())
        });
        let options = inner.find("some", &TableOptions::new("some", some.into())).unwrap().options();
        Self { inner, options, splits, inputs: Arc::default() }
    }
}

impl TableFactory for Fed {
    fn identifier(&self) -> &'static str {
        "filesystem"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        self.options
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        let read = || {
            let source = self.inner.find(request.table, request.options)?.source(request)?;
            Ok(Arc::new(load(&*source.source, request)))
        };
        let key = format!("{:?} {:?}", request.options.get("path"), request.schema);
        let mut loaded = LOADED.get_or_init(Mutex::default).lock();
        let rows = match loaded.get(&key) {
            Some(rows) => Arc::clone(rows),
            None => {
                let rows = read()?;
                loaded.insert(key, Arc::clone(&rows));
                rows
            }
        };
        drop(loaded);
        let count = rows.num_rows() as u32;
        let block = (count as usize / self.splits / 12).clamp(2, BLOCK);
        let input = Input::dealt(self.splits, (0..count).map(|row| (row, 0))).in_blocks(block).shaped(
            move |numbers| {
                let numbers: UInt32Array = numbers.iter().map(|(row, _)| *row).collect();
                Batch::new(ArrowBatch::inserts(take_record_batch(&rows, &numbers).unwrap()))
            },
        );
        let source = Arc::new(input.reader());
        self.inputs.lock().push(input);
        Ok(TableSource { source })
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        self.inner.find(request.table, request.options)?.sink(request)
    }
}

/// Makes lines of changes, those that take a row away with a `-` before the row, and sees that they fold.
struct Changes {
    types: Arc<[LogicalType]>,
    /// The table so far, which is restored with the job.
    table: BTreeMap<String, u64>,
    broken: Arc<Mutex<Vec<String>>>,
}

const TABLE: &str = "table";

impl Operator for Changes {
    fn open(&mut self, _: &OperatorContext, restored: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        for state in restored.iter().flat_map(|snapshot| &snapshot.operator) {
            self.table.extend(state.read::<(String, u64)>()?);
        }
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let batch = batch.downcast_ref::<ArrowBatch>()?;
        let mut lines = TypedBatch::default();
        for row in 0..batch.records.num_rows() {
            let mut text = String::new();
            write_json_row(&batch.records, &self.types, chrono_tz::UTC, row, &mut text);
            let kind = batch.kinds.as_ref().map_or(RowKind::Insert, |kinds| kinds[row]);
            if matches!(kind, RowKind::Insert | RowKind::UpdateAfter) {
                lines.push(format!("+{text}"), 0);
                *self.table.entry(text).or_default() += 1;
                continue;
            }
            lines.push(format!("-{text}"), 0);
            match self.table.get_mut(&text) {
                Some(1) => {
                    self.table.remove(&text);
                }
                Some(count) => *count -= 1,
                None => {
                    let what = format!("a row is taken away that is not there: {text}");
                    self.broken.lock().push(what.clone());
                    return Err(OperatorError::user(what));
                }
            }
        }
        out.emit_typed(lines);
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, _: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        let rows: Vec<(String, u64)> = self.table.iter().map(|(row, count)| (row.clone(), *count)).collect();
        let table = OperatorSnapshot::of(TABLE, OperatorStateMode::Split, &rows);
        Ok(SubtaskSnapshot { operator: vec![table], ..SubtaskSnapshot::default() })
    }
}

fn changes(types: &Arc<[LogicalType]>, broken: &Arc<Mutex<Vec<String>>>) -> impl OperatorFactory + 'static {
    let (types, broken) = (Arc::clone(types), Arc::clone(broken));
    stateful(move || Changes {
        types: Arc::clone(&types),
        table: BTreeMap::new(),
        broken: Arc::clone(&broken),
    })
}

/// The table that lines of changes fold to.
fn folded(lines: Vec<String>) -> Vec<String> {
    let mut table: BTreeMap<&str, i64> = BTreeMap::new();
    for line in &lines {
        let (sign, row) = line.split_at(1);
        *table.entry(row).or_default() += if sign == "+" { 1 } else { -1 };
    }
    let rows = table.into_iter().flat_map(|(row, count)| {
        assert!(count >= 0, "{row} was taken away more often than it was there");
        (0..count).map(move |_| normal(row))
    });
    rows.collect()
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

impl Set {
    fn file(&self, name: &str) -> PathBuf {
        golden().join(self.folder).join(name)
    }

    /// The queries with a table, in order.
    fn queries(&self) -> Vec<String> {
        let files = std::fs::read_dir(golden().join(self.folder)).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let named =
            names.filter_map(|name| name.split_once(".expected.jsonl").map(|(name, _)| name.to_owned()));
        let mut names: Vec<String> = named.collect();
        names.sort_unstable();
        assert!(names.len() > 15, "{names:?}");
        names
    }

    /// The table of a query.
    fn expected(&self, name: &str) -> Vec<String> {
        let packed = self.file(&format!("{name}.expected.jsonl.zst"));
        let text = if packed.exists() {
            String::from_utf8(zstd::decode_all(std::fs::File::open(packed).unwrap()).unwrap()).unwrap()
        } else {
            std::fs::read_to_string(self.file(&format!("{name}.expected.jsonl"))).unwrap()
        };
        text.lines().map(normal).collect()
    }
}

/// Settings with which rows wait to be aggregated, in two phases, and distinct values are split. A bundle ends when it is full or, what
/// also ends those of quiet subtasks, after a moment.
const BUNDLES: [(&str, &str); 5] = [
    ("table.exec.mini-batch.enabled", "true"),
    ("table.exec.mini-batch.allow-latency", "5 ms"),
    ("table.exec.mini-batch.size", "300"),
    ("table.optimizer.distinct-agg.split.enabled", "true"),
    ("table.optimizer.distinct-agg.split.bucket-num", "16"),
];

/// Queries of the first set that are run with bundles too.
const BUNDLED: [&str; 4] = ["08_join_group", "13_distinct_filter", "16_agg_on_agg", "17_semi_join"];

/// The job of a query, and what feeds it.
fn planned(set: &Set, name: &str, settings: &[(&str, &str)]) -> (SqlJob, Vec<Input<u32>>) {
    let tables = std::fs::read_to_string(set.file("tables.sql")).unwrap();
    let query = std::fs::read_to_string(set.file(&format!("{name}.sql"))).unwrap();
    let data = golden().join(set.data).display().to_string();
    let fed = Fed::new(if set.in_order || IN_ORDER.contains(&name) { 1 } else { SPLITS });
    let mut connectors = Connectors::default();
    connectors.add(fed.clone());
    let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let mut session = SqlSession::new(connectors, settings.collect::<BTreeMap<_, _>>());
    let script = format!("{}\n{query}", tables.replace("${DATA}", &data));
    let planned = session.plan_script(&script).unwrap_or_else(|error| panic!("{name}: {error}"));
    let Some(Planned::Job(job)) = planned.into_iter().last() else { panic!("{name} is no query") };
    let inputs = fed.inputs.lock().clone();
    (job, inputs)
}

fn case(set: &Set, name: &str, settings: &[(&str, &str)], broken: &Arc<Mutex<Vec<String>>>) -> Case {
    let expected = set.expected(name);
    let (job, inputs) = planned(set, name, settings);
    let types = job.result.as_ref().unwrap().columns.iter().map(|(_, logical)| logical.clone());
    let types: Arc<[LogicalType]> = types.collect();
    let graph = job.graph.0;
    let broken = Arc::clone(broken);
    let build = move |stage: &Stage| {
        let mut graph = graph.clone();
        let is_sink = |node: &StreamNode| matches!(node.kind, NodeKind::Sink(_));
        let result = graph.nodes.iter().position(is_sink).unwrap();
        graph.nodes[result].kind = NodeKind::Operator(Arc::new(changes(&types, &broken)));
        let sink = NodeKind::Sink(Arc::new(stage.sink()));
        let mut commit = StreamNode::new("commit", sink, Location::caller());
        (commit.uid, commit.parallelism) = (Some("commit".to_owned()), Some(1));
        let target = graph.add_node(commit);
        graph.add_edge(StreamEdge {
            source: result,
            side_output: None,
            target,
            input: 0,
            strategy: None,
            edge: Arc::new(TypedEdge::<String>::new()),
        });
        ExecutionPlan::new(graph, &JobSettings::from_configuration(&stage.configuration)?)
    };
    let case = Case::new(expected.len(), build)
        .expecting(expected)
        .standing_for(folded)
        .crashes(CRASHES)
        .segments_of(1024);
    inputs.iter().fold(case, Case::input)
}

/// Both state backends. RocksDB writes what it has all the time: little fits into its memory.
fn backends() -> [Backend; 2] {
    let mut configuration = Configuration::new();
    configuration.set_raw("state.backend.rocksdb.writebuffer.size", "64 kb", Origin::Api);
    let settings = RocksDbSettings::of(&configuration).unwrap();
    let rocksdb = RocksDbStateBackends::new(settings, vec![std::env::temp_dir()]);
    [
        Backend { name: "hashmap", factory: Arc::new(HashMapStateBackend) },
        Backend { name: "rocksdb", factory: Arc::new(rocksdb) },
    ]
}

/// Runs each query of all sets whose number leaves this rest when it is divided by two.
fn every_other_query_survives(rest: usize) {
    let in_all_ways = std::env::var("SURVIVAL").is_ok_and(|ways| ways == "all");
    let only = std::env::var("SURVIVAL_QUERY").ok();
    let all = SETS.iter().flat_map(|set| {
        let of = if in_all_ways || only.is_some() { 1 } else { set.of };
        set.queries().into_iter().step_by(of).map(move |name| (set, name))
    });
    for (number, (set, name)) in all.enumerate().filter(|(number, _)| number % 2 == rest) {
        let name = name.as_str();
        if only.as_deref().is_some_and(|only| !format!("{}/{name}", set.folder).contains(only)) {
            continue;
        }
        let broken = Arc::default();
        let case = || case(set, name, &[], &broken);
        if in_all_ways {
            survive(name, &backends(), case);
        } else {
            // Of two that follow each other here, one has its state in memory, and the other has not.
            survive_in_one_way(name, &backends(), number / 2, case);
        }
        assert!(broken.lock().is_empty(), "{name}: {:?}", broken.lock());
    }
}

#[test]
fn golden_queries_survive() {
    every_other_query_survives(0);
}

#[test]
fn other_golden_queries_survive() {
    every_other_query_survives(1);
}

#[test]
fn queries_whose_rows_wait_in_bundles_survive() {
    let set = &SETS[0];
    for (number, name) in BUNDLED.into_iter().enumerate() {
        let (job, _) = planned(set, name, &BUNDLES);
        let mut names = job.graph.0.nodes.iter().map(|node| &node.name);
        assert!(names.any(|name| name.contains("LocalGroupAggregate(")), "{name} is not in two phases");
        let broken = Arc::default();
        survive_in_one_way(name, &backends(), number, || case(set, name, &BUNDLES, &broken));
        assert!(broken.lock().is_empty(), "{name}: {:?}", broken.lock());
    }
}
