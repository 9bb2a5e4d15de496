//! Chooses operators.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_schema::SchemaRef;
use tidemill_runtime::operator::boxed;
use tidemill_state::StateTtlConfig;

use super::calc::calculated;
use super::{Changes, Distribution, Input, PhysicalId, PhysicalKind, PhysicalNode, PhysicalPlan, Scanned};
use crate::connector::Connectors;
use crate::error::{SqlError, SqlResult};
use crate::exec::calc::CalcSpec;
use crate::exec::expand::ExpandSpec;
use crate::exec::lookup_points::AsyncSettings;
use crate::exec::rank::RankSpec;
use crate::exec::scan::ScanStages;
use crate::exec::set_operation::SetOperationSpec;
use crate::exec::temporal_sort::TemporalSortSpec;
use crate::exec::union::Union;
use crate::exec::unnest::UnnestSpec;
use crate::exec::values::ValuesSource;
use crate::expr::Expr;
use crate::expr::compile::{arrow_schema, record_batch};
use crate::functions::aggregate::AggregateCall;
use crate::functions::table::{TableFunction, TableFunctionCall};
use crate::plan::{JoinKind, Rel, RelKind, Schema, SortKey, TimeAttribute};
use crate::types::TypeRoot;

use super::group_aggregates::{Grouping, MiniBatch};
use super::own_functions::check_calls;
use super::rank::{Ranked, is_rank};
use super::windows::{window_below, windows_of};

/// What the session says about plans.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlanSettings {
    /// `table.exec.state.ttl`.
    pub(crate) ttl: Option<StateTtlConfig>,
    /// `table.exec.mini-batch.*`.
    pub(crate) mini_batch: Option<MiniBatch>,
    /// `table.optimizer.agg-phase-strategy`: never in two phases.
    pub(crate) one_phase: bool,
    /// `table.optimizer.distinct-agg.split.*`: over how many hashes.
    pub(crate) split_distinct: Option<i32>,
    /// `table.exec.source.cdc-events-duplicate`.
    pub(crate) duplicate_events: bool,
    /// `table.exec.async-lookup.*`.
    pub(crate) lookups: AsyncSettings,
}

/// Turns the plans of one job into operators, each shared node once.
pub(crate) struct Planner<'a> {
    pub(super) connectors: &'a Connectors,
    pub(super) settings: &'a PlanSettings,
    readers: HashMap<usize, usize>,
    done: HashMap<usize, PhysicalId>,
    /// Operators without the old rows of updates, for those that make them.
    pub(super) after_only: HashMap<PhysicalId, Arc<dyn tidemill_runtime::OperatorFactory>>,
    /// Operators that can be left out when nobody wants more than the new rows of updates.
    pub(super) optional: HashSet<PhysicalId>,
    /// Joins that keep rows by upsert key, and need not be told old rows of updates.
    pub(super) joins_by_key: HashSet<PhysicalId>,
    /// What the rows of operators are.
    pub(super) rels: HashMap<PhysicalId, Rel>,
    pub(crate) plan: PhysicalPlan,
}

pub(crate) fn columns(schema: &Schema) -> SchemaRef {
    arrow_schema(schema.types())
}

impl<'a> Planner<'a> {
    pub(crate) fn new(connectors: &'a Connectors, settings: &'a PlanSettings, roots: &[Rel]) -> Self {
        let readers = crate::rules::readers(roots);
        Self {
            connectors,
            settings,
            readers,
            done: HashMap::new(),
            after_only: HashMap::new(),
            optional: HashSet::new(),
            joins_by_key: HashSet::new(),
            rels: HashMap::new(),
            plan: PhysicalPlan::default(),
        }
    }

    pub(super) fn is_shared(&self, rel: &Rel) -> bool {
        self.readers.get(&rel.identity()).is_some_and(|readers| *readers > 1)
    }

    pub(crate) fn add(&mut self, node: PhysicalNode) -> PhysicalId {
        self.plan.nodes.push(node);
        self.plan.nodes.len() - 1
    }

    pub(crate) fn node(&self, id: PhysicalId) -> &PhysicalNode {
        &self.plan.nodes[id]
    }

    pub(crate) fn settings(&self) -> &PlanSettings {
        self.settings
    }

    /// The operator that gives the rows of `rel`.
    pub(crate) fn plan(&mut self, rel: &Rel) -> SqlResult<PhysicalId> {
        if let Some(done) = self.done.get(&rel.identity()) {
            return Ok(*done);
        }
        let id = self.plan_new(rel)?;
        self.done.insert(rel.identity(), id);
        self.rels.insert(id, rel.clone());
        Ok(id)
    }

    fn plan_new(&mut self, rel: &Rel) -> SqlResult<PhysicalId> {
        if let Some(source) = self.source(rel)? {
            return Ok(source);
        }
        if let Some(ranked) = self.ranked(rel)? {
            return Ok(ranked);
        }
        match rel.kind() {
            RelKind::Project { .. } | RelKind::Filter { .. } => self.calc(rel),
            RelKind::Values { rows } => self.values(rel, rows),
            RelKind::Aggregate { input, keys, calls } => self.aggregate(rel, input, keys, calls),
            RelKind::Join { left, right, kind, condition } => self.join(rel, left, right, *kind, condition),
            RelKind::Union { inputs } => {
                let mut of_union = Vec::with_capacity(inputs.len());
                let mut changes = Changes::INSERT;
                for input in inputs {
                    let node = self.plan(input)?;
                    changes = changes.or(self.node(node).changes);
                    of_union.push(Input { node, distribution: Distribution::Any });
                }
                let detail = format!("all=[true], union=[{}]", rel.schema().names().join(", "));
                Ok(self.operator("Union", detail, Arc::new(boxed(|| Union)), of_union, rel.schema(), changes))
            }
            RelKind::Sort { input, keys, offset, fetch } => self.sort(rel, input, keys, *offset, *fetch),
            RelKind::Scan(_) => Err(SqlError::internal("a scan was not planned as a source")),
            RelKind::Watermark { .. } => {
                Err(SqlError::unsupported("a watermark over something else than a table is not supported"))
            }
            RelKind::Window { input, spec } => self.window_function(rel, input, spec),
            RelKind::Temporal { left, right, kind, time, condition, position } => {
                self.temporal_join(rel, (left, right), *kind, time, condition, *position)
            }
            RelKind::Correlate { input, function, kind } => self.correlate(rel, input, function, *kind),
            RelKind::Over { input, partition, order, frame, calls } => {
                self.over(rel, input, partition, order, frame, calls)
            }
            RelKind::Match { input, spec } => self.pattern(rel, input, spec),
            RelKind::Expand { input, keys, sets } => {
                let node = self.plan(input)?;
                let names = input.schema().names();
                let shown = sets.iter().map(|set| {
                    let of_set: Vec<&str> = set.iter().map(|key| names[*key]).collect();
                    format!("{{{}}}", of_set.join(", "))
                });
                let detail = format!("projects=[{}]", shown.collect::<Vec<_>>().join(", "));
                let spec = ExpandSpec { keys: *keys, sets: sets.clone(), output: columns(rel.schema()) };
                let changes = self.node(node).changes;
                let inputs = vec![Input { node, distribution: Distribution::Any }];
                Ok(self.operator("Expand", detail, Arc::new(spec), inputs, rel.schema(), changes))
            }
            RelKind::SetOperation { left, right, except, all } => {
                self.set_operation(rel, [left, right], *except, *all)
            }
        }
    }

    pub(crate) fn operator(
        &mut self,
        name: &'static str,
        detail: String,
        factory: Arc<dyn tidemill_runtime::OperatorFactory>,
        inputs: Vec<Input>,
        schema: &Schema,
        changes: Changes,
    ) -> PhysicalId {
        // What comes from one subtask alone stays with one: changes of a row that are dealt out lose their order.
        let of_one = |input: &Input| input.distribution == Distribution::Any && self.node(input.node).single;
        let single = inputs.iter().any(|input| input.distribution == Distribution::Single)
            || (!inputs.is_empty() && inputs.iter().all(of_one));
        self.add(PhysicalNode {
            name,
            detail,
            kind: PhysicalKind::Operator(factory),
            inputs,
            schema: schema.clone(),
            changes,
            single,
            parallelism: None,
        })
    }

    fn calc(&mut self, rel: &Rel) -> SqlResult<PhysicalId> {
        let calc = calculated(rel, |rel| self.is_shared(rel) || is_rank(rel));
        let input = self.plan(&calc.input)?;
        Ok(self.calc_over(input, &calc.input.schema().clone(), calc.predicate, calc.exprs, rel.schema()))
    }

    pub(super) fn calc_over(
        &mut self,
        input: PhysicalId,
        of_input: &Schema,
        predicate: Option<Expr>,
        exprs: Option<Vec<Expr>>,
        schema: &Schema,
    ) -> PhysicalId {
        let names = of_input.names();
        let mut detail = match &exprs {
            Some(exprs) => {
                let shown = exprs.iter().zip(schema.names()).map(|(expr, name)| {
                    let text = expr.shown(&names).to_string();
                    if text == name { text } else { format!("{text} AS {name}") }
                });
                format!("select=[{}]", shown.collect::<Vec<_>>().join(", "))
            }
            None => format!("select=[{}]", names.join(", ")),
        };
        if let Some(predicate) = &predicate {
            detail += &format!(", where=[{}]", predicate.shown(&names));
        }
        let spec = CalcSpec { input: columns(of_input), predicate, exprs };
        let changes = self.node(input).changes;
        let single = self.node(input).single;
        self.add(PhysicalNode {
            name: "Calc",
            detail,
            kind: PhysicalKind::Calc(spec),
            inputs: vec![Input { node: input, distribution: Distribution::Any }],
            schema: schema.clone(),
            changes,
            single,
            parallelism: None,
        })
    }

    fn values(&mut self, rel: &Rel, rows: &[Vec<datafusion_common::ScalarValue>]) -> SqlResult<PhysicalId> {
        let internal = |error: String| SqlError::internal(format!("VALUES: {error}"));
        let schema = columns(rel.schema());
        let arrays = (0..rel.schema().len())
            .map(|column| {
                let values = rows.iter().filter_map(|row| row.get(column)).map(|value| {
                    if value.is_null() {
                        datafusion_common::ScalarValue::try_from(schema.field(column).data_type())
                    } else {
                        Ok(value.clone())
                    }
                });
                let values: Result<Vec<_>, _> = values.collect();
                datafusion_common::ScalarValue::iter_to_array(values.map_err(|e| internal(e.to_string()))?)
                    .map_err(|error| internal(error.to_string()))
            })
            .collect::<SqlResult<Vec<_>>>()?;
        let batch = record_batch(&schema, arrays, rows.len()).map_err(|error| internal(error.to_string()))?;
        let calc = CalcSpec { input: Arc::clone(&schema), predicate: None, exprs: None };
        let stages = ScanStages { input: schema, watermark: None, calc };
        let names = rel.schema().names();
        let detail = format!("tuples=[{} rows], fields=[{}]", rows.len(), names.join(", "));
        let columns = names.iter().map(|name| (*name).to_owned()).collect();
        let scanned = Scanned { table: detail.clone(), columns };
        let node = PhysicalNode {
            name: "Values",
            detail,
            kind: PhysicalKind::Source { source: Arc::new(ValuesSource(batch)), stages, scanned },
            inputs: Vec::new(),
            schema: rel.schema().clone(),
            changes: Changes::INSERT,
            single: true,
            parallelism: Some(1),
        };
        Ok(self.add(node))
    }

    fn aggregate(
        &mut self,
        rel: &Rel,
        input: &Rel,
        keys: &[usize],
        calls: &[AggregateCall],
    ) -> SqlResult<PhysicalId> {
        if let Some(window) = window_below(input, keys, calls)
            && window.is_of_partition(keys)
        {
            return self.window_aggregate(rel, &window, keys, calls);
        }
        let node = self.plan(input)?;
        let of_input = self.node(node).changes;
        if of_input.is_insert_only()
            && let Some(windows) = windows_of(input)
            && keys.contains(&windows.start)
            && keys.contains(&windows.end)
        {
            return Ok(self.attached_window_aggregate(rel, (input, node), &windows, keys, calls));
        }
        check_calls(calls, of_input)?;
        self.group_aggregate(&Grouping {
            node,
            input: input.schema(),
            keys,
            calls,
            output: rel.schema(),
            hints: rel.hints(),
            part: None,
        })
    }

    /// `WHERE place <= n` over `ROW_NUMBER()`.
    fn ranked(&mut self, rel: &Rel) -> SqlResult<Option<PhysicalId>> {
        let Some(ranked) = Ranked::of(rel) else { return Ok(None) };
        let RelKind::Over { input, partition, order, .. } = ranked.over.kind() else { return Ok(None) };
        let node = self.plan(input)?;
        let of_input = self.node(node).changes;
        let width = input.schema().len();
        let with_number = ranked.uses_number;
        let mut of_output = input.schema().columns().to_vec();
        of_output.iter_mut().for_each(|column| column.time = None);
        if with_number {
            of_output.extend(ranked.over.schema().column(width).cloned());
        }
        let schema = Schema::new(of_output);
        if of_input.is_insert_only()
            && let Some(windows) = windows_of(input)
            && partition.contains(&windows.start)
            && partition.contains(&windows.end)
        {
            return Ok(Some(self.window_rank(rel, (input, node), &windows, &ranked, &schema)));
        }
        let is_deduplication = ranked.last == 1
            && matches!(&order[..], [key] if input.schema().column(key.column).is_some_and(|c| c.time.is_some()));
        let newest_first = is_deduplication && order.first().is_some_and(|key| key.descending);
        let names = input.schema().names();
        let shown: Vec<String> = order.iter().map(|key| sort_detail(&names, *key)).collect();
        let of_partition: Vec<&str> = partition.iter().map(|column| names[*column]).collect();
        let detail = format!(
            "rankRange=[rankStart={}, rankEnd={}], partitionBy=[{}], orderBy=[{}], select=[{}]",
            ranked.first,
            ranked.last,
            of_partition.join(", "),
            shown.join(", "),
            schema.names().join(", ")
        );
        let spec = RankSpec {
            input: columns(input.schema()),
            partition: partition.clone(),
            order: order.clone(),
            first: ranked.first,
            last: ranked.last,
            with_number,
            retracting: !of_input.is_insert_only(),
            newest_first,
            output: columns(&schema),
            update_before: true,
            ttl: self.settings.ttl,
        };
        let inputs = vec![Input { node, distribution: by(partition) }];
        let name = if is_deduplication { "Deduplicate" } else { "Rank" };
        let after_only = RankSpec { update_before: false, ..spec.clone() };
        let node = self.operator(name, detail, Arc::new(spec), inputs, &schema, Changes::ALL);
        let node = self.or_after_only(node, after_only);
        let calc = ranked.calc;
        Ok(Some(self.calc_over(node, &schema, calc.0, Some(calc.1), rel.schema())))
    }

    fn correlate(
        &mut self,
        rel: &Rel,
        input: &Rel,
        function: &TableFunctionCall,
        kind: JoinKind,
    ) -> SqlResult<PhysicalId> {
        let with_ordinality = match &function.kind {
            TableFunction::Unnest { with_ordinality } => *with_ordinality,
            TableFunction::User(own) => return self.own_table(rel, input, (own, &function.arguments), kind),
        };
        let [collection] = &function.arguments[..] else {
            return Err(SqlError::internal("UNNEST of several collections"));
        };
        let node = self.plan(input)?;
        let names = input.schema().names();
        let detail = format!(
            "invocation=[UNNEST({})], joinType=[{}], select=[{}]",
            collection.shown(&names),
            kind.name(),
            rel.schema().names().join(", ")
        );
        let spec = UnnestSpec {
            input: columns(input.schema()),
            collection: collection.clone(),
            is_multiset: matches!(collection.logical().root, TypeRoot::Multiset(_)),
            with_ordinality,
            is_left: kind == JoinKind::Left,
            output: columns(rel.schema()),
        };
        let changes = self.node(node).changes;
        let inputs = vec![Input { node, distribution: Distribution::Any }];
        Ok(self.operator("Correlate", detail, Arc::new(spec), inputs, rel.schema(), changes))
    }

    fn set_operation(
        &mut self,
        rel: &Rel,
        sides: [&Rel; 2],
        except: bool,
        all: bool,
    ) -> SqlResult<PhysicalId> {
        let every: Vec<usize> = (0..rel.schema().len()).collect();
        let mut inputs = Vec::with_capacity(2);
        let mut is_append = true;
        for side in sides {
            let node = self.plan(side)?;
            is_append &= self.node(node).changes.is_insert_only();
            inputs.push(Input { node, distribution: by(&every) });
        }
        let name = if except { "Except" } else { "Intersect" };
        let detail = format!("all=[{all}], select=[{}]", rel.schema().names().join(", "));
        let schema = columns(rel.schema());
        let spec = SetOperationSpec { schema, except, all, ttl: self.settings.ttl };
        let changes =
            if is_append && !except { Changes::INSERT } else { Changes { delete: true, ..Changes::INSERT } };
        Ok(self.operator(name, detail, Arc::new(spec), inputs, rel.schema(), changes))
    }

    fn sort(
        &mut self,
        rel: &Rel,
        input: &Rel,
        keys: &[SortKey],
        offset: u64,
        fetch: Option<u64>,
    ) -> SqlResult<PhysicalId> {
        let node = self.plan(input)?;
        let of_input = self.node(node).changes;
        let Some(fetch) = fetch else {
            if offset == 0
                && of_input.is_insert_only()
                && let Some((first, order)) = keys.split_first()
                && !first.descending
                && input.schema().column(first.column).and_then(|c| c.time) == Some(TimeAttribute::Row)
            {
                let names = input.schema().names();
                let shown: Vec<String> = keys.iter().map(|key| sort_detail(&names, *key)).collect();
                let detail = format!("orderBy=[{}]", shown.join(", "));
                let schema = columns(rel.schema());
                let spec = TemporalSortSpec { schema, time: first.column, order: order.to_vec() };
                let inputs = vec![Input { node, distribution: Distribution::Single }];
                let insert = Changes::INSERT;
                return Ok(self.operator(
                    "TemporalSort",
                    detail,
                    Arc::new(spec),
                    inputs,
                    rel.schema(),
                    insert,
                ));
            }
            return Err(unsupported("ORDER BY without LIMIT is not supported on a stream").hint(
                "a stream has no end at which it could be sorted: add LIMIT, or order what comes out",
            ));
        };
        let names = input.schema().names();
        let shown: Vec<String> = keys.iter().map(|key| sort_detail(&names, *key)).collect();
        let detail = format!("orderBy=[{}], offset=[{offset}], fetch=[{fetch}]", shown.join(", "));
        let spec = RankSpec {
            input: columns(input.schema()),
            partition: Vec::new(),
            order: keys.to_vec(),
            first: offset.saturating_add(1),
            last: offset.saturating_add(fetch),
            with_number: false,
            retracting: !of_input.is_insert_only(),
            newest_first: false,
            output: columns(rel.schema()),
            update_before: true,
            ttl: None,
        };
        let changes =
            if keys.is_empty() && of_input.is_insert_only() { Changes::INSERT } else { Changes::ALL };
        let name = if keys.is_empty() { "Limit" } else { "SortLimit" };
        let inputs = vec![Input { node, distribution: Distribution::Single }];
        Ok(self.operator(name, detail, Arc::new(spec), inputs, rel.schema(), changes))
    }
}

pub(super) fn unsupported(what: &str) -> SqlError {
    SqlError::unsupported(what)
}

pub(super) fn by(keys: &[usize]) -> Distribution {
    if keys.is_empty() { Distribution::Single } else { Distribution::Hash(keys.to_vec()) }
}

pub(super) fn aggregate_detail(names: &[&str], keys: &[usize], calls: &[AggregateCall]) -> String {
    let name = |column: &usize| names.get(*column).copied().unwrap_or_default();
    let keys: Vec<&str> = keys.iter().map(name).collect();
    let mut selected: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    for call in calls {
        let arguments: Vec<&str> = call.arguments.iter().map(name).collect();
        let arguments = if arguments.is_empty() { "*".to_owned() } else { arguments.join(", ") };
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        let filter = call.filter.map(|filter| format!(" FILTER {}", name(&filter))).unwrap_or_default();
        let kind = call.kind.name();
        selected.push(format!("{kind}({distinct}{arguments}){filter} AS {}", call.name));
    }
    format!("groupBy=[{}], select=[{}]", keys.join(", "), selected.join(", "))
}

pub(crate) fn sort_detail(names: &[&str], key: SortKey) -> String {
    let name = names.get(key.column).copied().unwrap_or_default();
    format!("{name} {}", if key.descending { "DESC" } else { "ASC" })
}
