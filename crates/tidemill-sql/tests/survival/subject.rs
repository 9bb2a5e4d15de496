//! An operator of a query, with what computes columns before and behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use tidemill_core::CheckpointId;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_core::config::{Configuration, Origin};
use tidemill_core::graph::ShipStrategy;
use tidemill_core::time::{NO_TIMESTAMP, Timestamp, Watermark};
use tidemill_rocksdb::{RocksDbSettings, RocksDbStateBackends};
use tidemill_runtime::graph::{NodeKind, StreamEdge, StreamGraph};
use tidemill_runtime::operator::boxed;
use tidemill_runtime::source::{Source, SourceReader, SourceSpec, SourceSplit, SplitEnumerator};
use tidemill_runtime::{
    Emission, Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_sql::connector::{
    ConnectorOption, SinkChanges, SinkRequest, SourceChanges, SourceRequest, TableFactory, TableOptions,
    TableSink, TableSource,
};
use tidemill_sql::{Connectors, Planned, SqlResult, SqlSession};
use tidemill_state::SubtaskSnapshot;
use tidemill_testkit::{Order, RecordType, Row, Script};

use crate::rows::{Domain, adds, shown, value};

/// The name of an operator whose rows may come to any subtask.
const LOCAL: &str = "LocalGroupAggregate";

/// Where state is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend {
    HashMap,
    RocksDb,
}

/// Tables that nobody reads: their rows are made up.
struct MadeUp;

impl TableFactory for MadeUp {
    fn identifier(&self) -> &'static str {
        "made-up"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        const fn optional(key: &'static str, description: &'static str) -> ConnectorOption {
            ConnectorOption { key, required: false, description }
        }
        const {
            &[
                optional("sink.parallelism", "how many subtasks write"),
                optional("by-key", "changes are by primary key"),
            ]
        }
    }

    fn source_changes(&self, options: &TableOptions) -> SqlResult<SourceChanges> {
        Ok(match options.get("by-key") {
            Some(_) => SourceChanges::Upsert { key_only_deletes: false },
            None => SourceChanges::Insert,
        })
    }

    fn source(&self, _: &SourceRequest<'_>) -> SqlResult<TableSource> {
        Ok(TableSource { source: Arc::new(MadeUp) })
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        let operator = Arc::new(boxed(|| Forgets));
        let changes = match request.options.get("by-key") {
            Some(_) => SinkChanges::Upsert { key_only_deletes: false },
            None => SinkChanges::All,
        };
        Ok(TableSink { operator, changes, shuffled_by: Vec::new() })
    }
}

/// Takes rows and does nothing with them.
struct Forgets;

impl Operator for Forgets {
    fn process(&mut self, _: usize, _: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
        Ok(Progress::Done)
    }
}

impl Source for MadeUp {
    fn create_enumerator(
        &self,
        _: u32,
        _: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        Err(OperatorError::user("a made-up table is not read"))
    }

    fn create_reader(&self, _: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        Err(OperatorError::user("a made-up table is not read"))
    }
}

/// An input of the operator.
struct Feed {
    /// Of a table, what is done with its rows as they are read.
    stage: Option<Arc<SourceSpec>>,
    /// What computes columns or folds rows before the operator, in order.
    before: Vec<Arc<dyn OperatorFactory>>,
    edge: StreamEdge,
}

/// An operator of a query.
pub(crate) struct Subject {
    pub(crate) domains: Vec<Domain>,
    feeds: Vec<Feed>,
    /// The operator, then what computes columns behind it.
    chain: Vec<Arc<dyn OperatorFactory>>,
    out: StreamEdge,
    scales: bool,
}

/// Tables of all columns that tests have rows of. `t` and `u` have no time, `ts` of `e` and `f` is event time. Changes of `by_key` are by
/// primary key, and of `values_by_key`.
const TABLES: &str = "
    CREATE TABLE t (id BIGINT, k BIGINT, v BIGINT, s STRING, b BOOLEAN, l ARRAY<BIGINT>) WITH ('connector' = 'made-up');
    CREATE TABLE u (id BIGINT, k BIGINT, v BIGINT, s STRING, b BOOLEAN) WITH ('connector' = 'made-up');
    CREATE TABLE e (k BIGINT, v BIGINT, s STRING, b BOOLEAN, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
      WITH ('connector' = 'made-up');
    CREATE TABLE f (k BIGINT, v BIGINT, s STRING, b BOOLEAN, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
      WITH ('connector' = 'made-up');
    CREATE TABLE by_key (id BIGINT, k BIGINT, v BIGINT, s STRING, b BOOLEAN, PRIMARY KEY (id) NOT ENFORCED)
      WITH ('connector' = 'made-up', 'by-key' = 'true');
    CREATE TABLE values_by_key (v BIGINT, PRIMARY KEY (v) NOT ENFORCED) WITH ('connector' = 'made-up', 'by-key' = 'true');
    CREATE VIEW t_updated AS SELECT id, LAST_VALUE(k) AS k, LAST_VALUE(v) AS v, LAST_VALUE(s) AS s, LAST_VALUE(b) AS b
      FROM t GROUP BY id;
    CREATE VIEW u_updated AS SELECT id, LAST_VALUE(k) AS k, LAST_VALUE(v) AS v, LAST_VALUE(s) AS s, LAST_VALUE(b) AS b
      FROM u GROUP BY id;
";

/// Whether an operator does nothing but compute columns of each row.
fn computes(graph: &StreamGraph, node: usize) -> Option<Arc<dyn OperatorFactory>> {
    match &graph.nodes[node].kind {
        NodeKind::Operator(factory) if graph.nodes[node].name.starts_with("Calc(") => {
            Some(Arc::clone(factory))
        }
        _ => None,
    }
}

/// Whether an operator marks where bundles end, or folds the rows of one.
fn folds(graph: &StreamGraph, node: usize) -> Option<Arc<dyn OperatorFactory>> {
    let is_one = |name: &&str| graph.nodes[node].name.starts_with(*name);
    match &graph.nodes[node].kind {
        NodeKind::Operator(factory) if ["MiniBatchAssigner(", "LocalGroupAggregate("].iter().any(is_one) => {
            Some(Arc::clone(factory))
        }
        _ => None,
    }
}

/// The job of a query over the tables.
pub(crate) fn planned(query: &str) -> StreamGraph {
    let mut connectors = Connectors::default();
    connectors.add(MadeUp);
    let mut session = SqlSession::new(connectors, BTreeMap::new());
    let planned = session.plan_script(&format!("{TABLES}{query};"));
    let planned = planned.unwrap_or_else(|error| panic!("{query}: {error}"));
    let Some(Planned::Job(job)) = planned.into_iter().last() else { panic!("{query} is no query") };
    job.graph.0
}

impl Subject {
    /// The last operator called `name` of a query over the tables `t`, `u`, `e` and `f`, or the sub-queries `t_updated` and
    /// `u_updated`, whose rows are updated and taken away. Its inputs have rows of `domains`: the columns of those tables that the
    /// query reads, in their order.
    pub(crate) fn new(query: &str, name: &str, domains: impl Into<Vec<Domain>>) -> Self {
        let graph = planned(query);
        let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        let is_it = |shown: &&str| shown.strip_prefix(name).is_some_and(|rest| rest.starts_with('('));
        let node =
            names.iter().rposition(is_it).unwrap_or_else(|| panic!("{query} has no {name}: {names:#?}"));
        let NodeKind::Operator(factory) = &graph.nodes[node].kind else { panic!("{name} is no operator") };
        let mut chain = vec![Arc::clone(factory)];
        let only_reader = |node| {
            let mut edges = graph.outputs(node).map(|(_, edge)| edge.clone());
            let edge = edges.next().expect("somebody reads it");
            assert!(edges.next().is_none(), "{query}: more than one operator reads {}", names[node]);
            edge
        };
        let mut out = only_reader(node);
        while let Some(factory) = computes(&graph, out.target) {
            chain.push(factory);
            out = only_reader(out.target);
        }
        let mut edges: Vec<StreamEdge> = graph.inputs(node).map(|(_, edge)| edge.clone()).collect();
        edges.sort_by_key(|edge| edge.input);
        let feeds: Vec<Feed> = edges
            .into_iter()
            .map(|edge| {
                let (mut before, mut from) = (Vec::new(), edge.source);
                while let Some(factory) = computes(&graph, from).or_else(|| folds(&graph, from)) {
                    before.insert(0, factory);
                    from = graph.inputs(from).next().expect("it reads something").1.source;
                }
                let stage = match &graph.nodes[from].kind {
                    NodeKind::Source(source) => Some(Arc::clone(source)),
                    _ => None,
                };
                Feed { stage, before, edge }
            })
            .collect();
        let domains = domains.into();
        assert_eq!(domains.len(), feeds.len(), "{query}: {name} has so many inputs");
        // Rows that are dealt out without a key do not meet those that they take away; what counts them need not meet them.
        let mut feeds = feeds;
        if name == LOCAL {
            feeds.iter_mut().for_each(|feed| feed.edge.strategy = Some(ShipStrategy::Rebalance));
        }
        let scales = name == LOCAL || feeds.iter().all(|feed| feed.edge.strategy == Some(ShipStrategy::Hash));
        Self { domains, feeds, chain, out, scales }
    }

    /// What the operator gets for a batch of an input; `None` when its rows come to nothing.
    pub(crate) fn feed(&self, input: usize, batch: &ArrowBatch) -> Option<Batch> {
        let mut batch = Batch::new(batch.clone());
        if let Some(source) = &self.feeds[input].stage {
            batch = source.stage.create().process(batch).unwrap().0;
        }
        for factory in &self.feeds[input].before {
            let mut out = Output::default();
            let mut operator = factory.create(0).unwrap();
            let progress = operator.process(0, batch.clone(), &mut out).unwrap();
            assert_eq!(progress, Progress::Done, "columns are computed in one go");
            assert_eq!(operator.finish(&mut out).unwrap(), Progress::Done);
            batch = match out.take_emissions().pop() {
                Some(Emission::Batch(batch)) => batch,
                None if factory.is_stateful() => return None,
                _ => panic!("the query filters rows of an input: have it read them all"),
            };
        }
        Some(batch)
    }

    /// The operator and what computes columns behind it.
    pub(crate) fn operator(&self) -> impl OperatorFactory + 'static {
        Chained(self.chain.clone())
    }

    /// A script without steps for it.
    pub(crate) fn script(&self, backend: Backend) -> Script {
        let out = records(&self.out);
        let marked = self.domains.iter().any(|domain| domain.marked);
        let order = if marked { Order::TableAtWatermarks } else { Order::Table };
        let mut script = Script::new().order(order).output_of(out).max_parallelism(16);
        for feed in &self.feeds {
            let strategy = feed.edge.strategy.unwrap_or(ShipStrategy::Forward);
            script =
                script.input(feed.edge.input, records(&feed.edge), Arc::clone(&feed.edge.edge), strategy);
        }
        if !self.scales {
            script = script.without_rescaling();
        }
        match backend {
            Backend::HashMap => script.seeds(2),
            Backend::RocksDb => script.seeds(1).seldom(8).backend(&rocksdb()).unwrap(),
        }
    }
}

fn rocksdb() -> RocksDbStateBackends {
    let mut configuration = Configuration::new();
    configuration.set_raw("state.backend.rocksdb.writebuffer.size", "64 kb", Origin::Api);
    let settings = RocksDbSettings::of(&configuration).unwrap();
    RocksDbStateBackends::new(settings, vec![std::env::temp_dir()])
}

/// How many rows a local aggregate has counted: its last accumulator, that of `COUNT(*)`.
fn counted(accumulators: &ArrayRef, row: usize) -> usize {
    let bytes = accumulators.as_binary::<i32>().value(row);
    usize::try_from(i64::from_le_bytes(*bytes.last_chunk().unwrap())).unwrap()
}

/// The rows of an edge; of those that a local aggregate sends, the keys as often as it has counted them.
fn records(edge: &StreamEdge) -> RecordType {
    RecordType::new(edge.edge.serializer(), |batch| {
        let batch = batch.downcast_ref::<ArrowBatch>().unwrap();
        let rows = 0..batch.records.num_rows();
        rows.flat_map(|row| {
            let (columns, count) = match batch.records.columns().split_last() {
                Some((last, keys)) if *last.data_type() == DataType::Binary => (keys, counted(last, row)),
                _ => (batch.records.columns(), 1),
            };
            let values: Vec<_> = columns.iter().map(|column| value(column, row)).collect();
            let text = shown(&values);
            let adds = batch.kinds.as_ref().is_none_or(|kinds| adds(kinds[row]));
            let bytes = text.clone().into_bytes();
            let text = format!("{}{text}", if adds { '+' } else { '-' });
            vec![Row { bytes, timestamp: NO_TIMESTAMP, text }; count]
        })
        .collect()
    })
}

/// An operator with others behind it that have no state.
struct Chained(Vec<Arc<dyn OperatorFactory>>);

impl OperatorFactory for Chained {
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let operators = self.0.iter().map(|factory| factory.create(subtask));
        let mut operators: Vec<_> = operators.collect::<Result<_, _>>()?;
        let behind = operators.split_off(1);
        Ok(Box::new(Chain { first: operators.remove(0), behind }))
    }

    fn is_stateful(&self) -> bool {
        self.0.iter().any(|factory| factory.is_stateful())
    }
}

struct Chain {
    first: Box<dyn Operator>,
    behind: Vec<Box<dyn Operator>>,
}

impl Chain {
    /// Makes a call of the first operator, and has the others see what it says.
    fn pass(
        &mut self,
        out: &mut Output,
        call: impl FnOnce(&mut dyn Operator, &mut Output) -> Result<Progress, OperatorError>,
    ) -> Result<Progress, OperatorError> {
        let mut said = Output::default();
        said.set_batch_records(out.batch_records());
        let progress = call(&mut *self.first, &mut said)?;
        if let Some(kept) = said.take_kept() {
            out.keep(kept);
        }
        for emission in said.take_emissions() {
            match emission {
                Emission::Batch(batch) => self.compute(batch, out)?,
                Emission::Side(tag, batch) => out.emit_side(&tag, batch),
                Emission::Watermark(watermark) => out.watermark(watermark),
                Emission::Idle(idle) => out.idle(idle),
            }
        }
        Ok(progress)
    }

    fn compute(&mut self, batch: Batch, out: &mut Output) -> Result<(), OperatorError> {
        let mut batches = vec![batch];
        for operator in &mut self.behind {
            let mut said = Output::default();
            for batch in batches.drain(..) {
                assert_eq!(operator.process(0, batch, &mut said)?, Progress::Done);
            }
            batches.extend(said.take_emissions().into_iter().filter_map(|emission| match emission {
                Emission::Batch(batch) => Some(batch),
                _ => None,
            }));
        }
        batches.into_iter().for_each(|batch| out.emit(batch));
        Ok(())
    }
}

impl Operator for Chain {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.first.open(context, restored)
    }

    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        self.pass(out, |first, out| first.process(input, batch, out))
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.pass(out, |first, out| first.watermark(watermark, out))
    }

    fn idle(&mut self, idle: bool, out: &mut Output) -> Result<Progress, OperatorError> {
        self.pass(out, |first, out| first.idle(idle, out))
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.first.next_processing_time()
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        self.pass(out, |first, out| first.processing_time(now, out))
    }

    fn woken(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.pass(out, |first, out| first.woken(out))
    }

    fn has_room(&self) -> bool {
        self.first.has_room()
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.pass(out, |first, out| first.finish(out))
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        self.first.snapshot(context)
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.first.checkpoint_complete(checkpoint)
    }

    fn checkpoint_aborted(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.first.checkpoint_aborted(checkpoint)
    }

    fn close(&mut self) {
        self.first.close();
        self.behind.iter_mut().for_each(|operator| operator.close());
    }
}
