//! A session: what a script has created and set so far, and what its statements become.

mod create_as;
mod ddl;
mod interactive;
mod results;
mod show;
mod sinks;
mod tuning;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::config::parse_duration;
use tidemill_runtime::graph::{NodeKind, StreamGraph};
use tidemill_runtime::source::WatermarkSettings;

use crate::binder::{Binder, Shared};
use crate::catalog::{CatalogObject, Catalogs, Table};
use crate::connector::Connectors;
use crate::error::{SqlError, SqlResult};
use crate::expr::Expr;
use crate::files::FileTables;
use crate::functions::kernel::FunctionContext;
use crate::parser::parse_script;
use crate::parser::statement::{ExplainDetail, Insert, OnConflict, ScriptStatement, Statement};
use crate::physical::{
    PhysicalId, PlanSettings, Planner, Shown, Wanted, add_assigners, build_graph, explain,
};
use crate::plan::Rel;
use crate::rules::optimize;
use crate::types::coercion::is_implicit;
use crate::udf::UserFunctions;

pub use interactive::{Command, Names};
pub use results::{ResultKind, ResultOrder, SqlResultTable, SqlRows};

use results::Ordered;

/// A session of a script or a shell.
#[derive(Debug)]
pub struct SqlSession {
    catalogs: Catalogs,
    connectors: Connectors,
    /// What `SET` has set, over what the session began with.
    settings: BTreeMap<String, String>,
    /// What the session began with.
    defaults: BTreeMap<String, String>,
    most_rows: usize,
    /// What finds files that stand in `FROM`.
    files: Option<Arc<dyn FileTables>>,
    results: ResultKind,
    /// Whether there is a shell that carries out what is no SQL.
    interactive: bool,
}

/// What a statement became.
#[derive(Debug)]
pub enum Planned {
    /// It is done: nothing is to be said.
    Done,
    /// Text to be shown, such as a plan.
    Text(String),
    /// A list to be shown: its columns, its rows.
    List(Vec<String>, Vec<Vec<String>>),
    /// A job to be run.
    Job(SqlJob),
    /// Something that the shell does.
    Command(Command),
}

/// A job that a statement became.
#[derive(Debug)]
pub struct SqlJob {
    /// Its name.
    pub name: String,
    /// Its graph.
    pub graph: SqlGraph,
    /// Of a query, the table that it ends in, and its columns.
    pub result: Option<SqlResultTable>,
    /// What `SET` has set until here: keys of the configuration.
    pub settings: BTreeMap<String, String>,
}

/// The graph of a job.
pub struct SqlGraph(pub StreamGraph);

impl std::fmt::Debug for SqlGraph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SqlGraph({} operators)", self.0.nodes.len())
    }
}

impl SqlJob {
    /// Whether all that it reads ends.
    pub fn is_bounded(&self) -> bool {
        self.graph.0.nodes.iter().all(|node| match &node.kind {
            NodeKind::Source(spec) => spec.source.is_bounded(),
            NodeKind::Operator(_) | NodeKind::Sink(_) => true,
        })
    }
}

/// Rows that the result of a query has at most, unless told otherwise: it is kept in memory.
pub const MOST_ROWS: usize = 10_000_000;

impl SqlSession {
    /// A session with `connectors`, in which options have the values of `defaults` unless `SET` says otherwise.
    pub fn new(connectors: Connectors, defaults: BTreeMap<String, String>) -> Self {
        Self {
            catalogs: Catalogs::default(),
            connectors,
            settings: BTreeMap::new(),
            defaults,
            most_rows: MOST_ROWS,
            files: None,
            results: ResultKind::Table,
            interactive: false,
        }
    }

    /// Lets queries call `functions`, besides the built-in ones.
    #[must_use]
    pub fn with_functions(mut self, functions: UserFunctions) -> Self {
        self.catalogs.functions = functions;
        self
    }

    /// The session with files that may stand in `FROM`.
    #[must_use]
    pub fn with_files(mut self, files: Arc<dyn FileTables>) -> Self {
        self.files = Some(files);
        self
    }

    /// Plans all statements of a script, in order; none of its jobs runs before all of it is known to be right.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn plan_script(&mut self, text: &str) -> SqlResult<Vec<Planned>> {
        let script = parse_script(text)?;
        let mut planned = Vec::with_capacity(script.statements.len());
        for statement in &script.statements {
            let result = self.plan(statement);
            planned.push(result.map_err(|error| error.at(statement.start).in_script(text))?);
        }
        Ok(planned)
    }

    fn option(&self, key: &str) -> Option<&str> {
        self.settings.get(key).or_else(|| self.defaults.get(key)).map(String::as_str)
    }

    fn context(&self) -> SqlResult<FunctionContext> {
        let time_zone = match self.option("table.local-time-zone") {
            None | Some("default") => chrono_tz::UTC,
            Some(name) => name.parse().map_err(|_| {
                SqlError::option(format!("'table.local-time-zone' is '{name}', which is no time zone"))
                    .hint("write its name, such as 'Europe/Berlin' or 'UTC'")
            })?,
        };
        Ok(FunctionContext { time_zone })
    }

    fn duration(&self, key: &str) -> SqlResult<Option<Duration>> {
        let Some(text) = self.option(key) else { return Ok(None) };
        match parse_duration(text) {
            Ok(duration) => Ok(Some(duration).filter(|duration| !duration.is_zero())),
            Err(_) => Err(SqlError::option(format!(
                "'{key}' is '{text}', but a duration is expected, such as '5 min'"
            ))),
        }
    }

    fn watermarks(&self) -> SqlResult<WatermarkSettings> {
        Ok(WatermarkSettings { idleness: self.duration("table.exec.source.idle-timeout")?, alignment: None })
    }

    fn plan(&mut self, statement: &ScriptStatement) -> SqlResult<Planned> {
        match &statement.statement {
            Statement::Query(query) => {
                let (mut planner_parts, name) = (self.begin()?, first_line(&statement.text));
                let rel = planner_parts.binder(&self.catalogs).query(query)?;
                self.job(vec![Root::Result(Ordered::of(rel))], name)
            }
            Statement::Insert(insert) => self.inserts(std::slice::from_ref(insert)),
            Statement::StatementSet(inserts) => self.inserts(inserts),
            Statement::CreateTableAs(create, query) => self.create_table_as(create, query),
            Statement::Explain { details, statement } => self.explain(details, statement),
            other => self.simple(other, statement),
        }
    }

    fn begin(&self) -> SqlResult<Begun> {
        let shared = Shared::new(self.files.clone());
        Ok(Begun { context: self.context()?, shared: Rc::new(RefCell::new(shared)) })
    }

    fn inserts(&mut self, inserts: &[Insert]) -> SqlResult<Planned> {
        let begun = self.begin()?;
        let roots =
            inserts.iter().map(|insert| self.insert(&begun, insert)).collect::<SqlResult<Vec<_>>>()?;
        let targets: Vec<String> =
            inserts.iter().map(|insert| insert.table.to_string().replace('`', "")).collect();
        self.job(roots, format!("insert-into_{}", targets.join(",")))
    }

    fn insert(&self, begun: &Begun, insert: &Insert) -> SqlResult<Root> {
        let table = match self.catalogs.find(&insert.table)? {
            CatalogObject::Table(table) => table,
            CatalogObject::View(view) => {
                return Err(SqlError::semantic(format!(
                    "'{}' is a view, which cannot be inserted into",
                    view.path
                ))
                .at(insert.position));
            }
        };
        if insert.overwrite {
            return Err(SqlError::unsupported("INSERT OVERWRITE is for batch jobs only, as in Flink")
                .hint("write INSERT INTO another path, or remove the files before")
                .at(insert.position));
        }
        let persisted = |(_, column): &(usize, &crate::catalog::TableColumn)| {
            matches!(column.source, crate::catalog::ColumnSource::Metadata { .. })
        };
        if let Some((_, column)) = table.written().find(persisted) {
            return Err(SqlError::semantic(format!(
                "the metadata '{}' of '{}' would be written, which no connector does",
                column.name, table.path
            ))
            .hint("declare it METADATA … VIRTUAL: it is read only then")
            .at(insert.position));
        }
        let mut begun = begun.clone();
        let rel = begun.binder(&self.catalogs).query(&insert.query)?;
        let rel = self.fitted(&begun, insert, &table, rel).map_err(|error| error.at(insert.position))?;
        let options = crate::binder::hinted_options(&insert.hints)?;
        Ok(Root::Table { rel, table, options, on_conflict: insert.on_conflict, position: insert.position })
    }

    /// The rows of `rel` as rows of `table`: columns in their order and of their types.
    fn fitted(&self, begun: &Begun, insert: &Insert, table: &Table, rel: Rel) -> SqlResult<Rel> {
        let written: Vec<_> = table.written().map(|(_, column)| column).collect();
        let mut begun = begun.clone();
        let mut binder = begun.binder(&self.catalogs);
        let mut values: Vec<Option<Expr>> = vec![None; written.len()];
        let place = |name: &str| {
            written.iter().position(|column| column.name == name).ok_or_else(|| {
                let known = written.iter().map(|column| column.name.as_str());
                let error =
                    SqlError::name(format!("'{}' has no column '{name}' that is written", table.path));
                match crate::error::nearest(name, known) {
                    Some(near) => error.hint(format!("did you mean '{near}'?")),
                    None => error,
                }
            })
        };
        let mut partitioned = Vec::new();
        for (name, value) in &insert.partition {
            let index = place(&name.value)?;
            let keys: Vec<&str> =
                table.partitioned_by.iter().map(|index| table.columns[*index].name.as_str()).collect();
            if !keys.contains(&name.value.as_str()) {
                let error =
                    SqlError::semantic(format!("'{}' is not partitioned by '{}'", table.path, name.value));
                return Err(match &keys[..] {
                    [] => error.hint("it has no partitions: write the value in the query"),
                    keys => error.hint(format!("it is by {}", keys.join(", "))),
                }
                .at(name.span));
            }
            let value = binder.column_expression(Vec::new(), value, "PARTITION")?;
            // A partition is named by a text, whatever type the column has.
            values[index] = Some(binder.cast(value, &written[index].logical)?);
            partitioned.push(index);
        }
        let targets: Vec<usize> = if insert.columns.is_empty() {
            (0..written.len()).filter(|index| !partitioned.contains(index)).collect()
        } else {
            insert.columns.iter().map(|name| place(&name.value)).collect::<SqlResult<_>>()?
        };
        let found = rel.schema().len();
        if found != targets.len() {
            let columns: Vec<String> = targets
                .iter()
                .map(|index| format!("{} {}", written[*index].name, written[*index].logical))
                .collect();
            return Err(SqlError::types(format!(
                "'{}' takes {} columns, the query has {found}",
                table.path,
                targets.len()
            ))
            .hint(format!("it takes ({})", columns.join(", "))));
        }
        for (column, target) in targets.into_iter().enumerate() {
            if values[target].is_some() {
                return Err(SqlError::semantic(format!(
                    "the column '{}' is given twice",
                    written[target].name
                )));
            }
            values[target] = Some(Expr::column(column, rel.schema().logical(column)));
        }
        let mut exprs = Vec::with_capacity(values.len());
        for (value, column) in values.into_iter().zip(&written) {
            let to = &column.logical;
            exprs.push(match value {
                Some(value) => {
                    let from = value.logical();
                    // NULL in a column that must not have it is found when it comes, as in Flink.
                    if !is_implicit(&from.clone().with_nullable(false), to) {
                        return Err(SqlError::types(format!(
                            "the column '{}' of '{}' is {}, the query gives {}",
                            column.name, table.path, to.root, from.root
                        ))
                        .hint(format!("write CAST(… AS {})", to.root)));
                    }
                    binder.coerce(value, &to.clone().with_nullable(from.nullable))?
                }
                None if to.nullable => binder.coerce(crate::expr::literal::null(), to)?,
                None => {
                    return Err(SqlError::semantic(format!(
                        "the column '{}' of '{}' must not be NULL, but gets no value",
                        column.name, table.path
                    )));
                }
            });
        }
        let names = written.iter().map(|column| column.name.clone()).collect();
        Ok(rel.project(exprs, names))
    }

    fn job(&mut self, roots: Vec<Root>, name: String) -> SqlResult<Planned> {
        let settings = self.plan_settings()?;
        let watermarks = self.watermarks()?;
        let planned = self.physical(roots, &settings)?;
        if planned.result.as_ref().is_some_and(|result| !result.is_bounded)
            && self.results == ResultKind::Table
        {
            return Err(SqlError::unsupported("the query never ends, so there is no table that it ends in").hint(
                "INSERT INTO a table with 'connector' = 'print', or run the query in the shell, tidemill sql, which shows changes",
            ));
        }
        let name = self.option("pipeline.name").map_or(name, str::to_owned);
        let graph = build_graph(&planned.planner.plan, &name, &watermarks);
        Ok(Planned::Job(SqlJob {
            name,
            graph: SqlGraph(graph),
            result: planned.result,
            settings: self.settings.clone(),
        }))
    }

    fn physical<'a>(&'a self, roots: Vec<Root>, settings: &'a PlanSettings) -> SqlResult<PlannedRoots<'a>> {
        let rels = optimize(roots.iter().map(|root| root.rel().clone()).collect());
        let mut planner = Planner::new(&self.connectors, settings, &rels);
        let mut sinks = Vec::with_capacity(roots.len());
        let mut wanted = Vec::with_capacity(roots.len());
        for (root, rel) in roots.iter().zip(&rels) {
            let sink = match root {
                Root::Result(_) => None,
                Root::Table { table, options, on_conflict, position, .. } => {
                    let sink = self.table_sink(table, options, *on_conflict);
                    Some(sink.map_err(|error| error.at(*position))?)
                }
            };
            let node = planner.plan(rel)?;
            wanted.push((node, sink.as_ref().map_or(Wanted::ALL, |sink| sink.wanted(&planner, node, rel))));
            sinks.push(sink);
        }
        let nodes = planner.settle_changes(&wanted);
        let mut result = None;
        let mut ids = Vec::with_capacity(roots.len());
        for (((root, rel), sink), node) in roots.iter().zip(&rels).zip(sinks).zip(nodes) {
            ids.push(match (root, sink) {
                (Root::Table { position, .. }, Some(sink)) => {
                    sink.add(&mut planner, node, rel).map_err(|error| error.at(*position))?
                }
                (Root::Result(ordered), _) => {
                    let (id, table) = self.collect(&mut planner, node, rel, ordered)?;
                    result = Some(table);
                    id
                }
                (Root::Table { .. }, None) => return Err(SqlError::internal("a table without a sink")),
            });
        }
        if let Some(mini_batch) = settings.mini_batch {
            add_assigners(&mut planner.plan, &mut ids, mini_batch.latency);
        }
        Ok(PlannedRoots { planner, ids, result })
    }

    fn explain(&mut self, details: &[ExplainDetail], statement: &ScriptStatement) -> SqlResult<Planned> {
        if details.contains(&ExplainDetail::EstimatedCost) {
            return Err(SqlError::unsupported(
                "EXPLAIN ESTIMATED_COST: plans are not chosen by costs, and none are estimated",
            )
            .at(statement.start)
            .hint("leave ESTIMATED_COST out; PLAN_ADVICE says what would serve the plan"));
        }
        let mut begun = self.begin()?;
        let roots = match &statement.statement {
            Statement::Query(query) => {
                vec![Root::Result(Ordered::of(begun.binder(&self.catalogs).query(query)?))]
            }
            Statement::Insert(insert) => vec![self.insert(&begun, insert)?],
            Statement::StatementSet(inserts) => {
                inserts.iter().map(|insert| self.insert(&begun, insert)).collect::<SqlResult<_>>()?
            }
            _ => return Err(SqlError::semantic("EXPLAIN takes a query or INSERT INTO").at(statement.start)),
        };
        let settings = self.plan_settings()?;
        let planned = self.physical(roots, &settings)?;
        let what = Shown {
            changes: details.contains(&ExplainDetail::ChangelogMode),
            advice: details.contains(&ExplainDetail::PlanAdvice),
        };
        let text = explain(&planned.planner.plan, &planned.ids, what);
        let title =
            if what.advice { "Optimized Physical Plan With Advice" } else { "Optimized Physical Plan" };
        let mut text = format!("== {title} ==\n{text}");
        if details.contains(&ExplainDetail::JsonExecutionPlan) {
            let graph = build_graph(&planned.planner.plan, "explained", &self.watermarks()?);
            text += &format!("\n== Physical Execution Plan ==\n{:#}\n", self.execution_plan(graph)?);
        }
        Ok(Planned::Text(text))
    }
}

/// What the queries of one job share while they are bound.
#[derive(Clone)]
struct Begun {
    context: FunctionContext,
    shared: Rc<RefCell<Shared>>,
}

impl Begun {
    fn binder<'a>(&mut self, catalogs: &'a Catalogs) -> Binder<'a> {
        Binder::new(catalogs, self.context, &self.shared)
    }
}

/// Where the rows of a plan go.
enum Root {
    /// To whoever asked.
    Result(Ordered),
    /// Into a table.
    Table {
        rel: Rel,
        table: Arc<Table>,
        options: Vec<(String, String)>,
        on_conflict: Option<OnConflict>,
        position: crate::error::Position,
    },
}

impl Root {
    fn rel(&self) -> &Rel {
        match self {
            Root::Result(Ordered { rel, .. }) | Root::Table { rel, .. } => rel,
        }
    }
}

/// A plan with its ends.
struct PlannedRoots<'a> {
    planner: Planner<'a>,
    ids: Vec<PhysicalId>,
    result: Option<SqlResultTable>,
}

fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("--"));
    line.unwrap_or("query").chars().take(60).collect()
}
