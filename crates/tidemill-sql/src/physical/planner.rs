//! Chooses operators.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use tidemill_runtime::operator::boxed;
use tidemill_state::StateTtlConfig;

use super::calc::calculated;
use super::{Changes, Distribution, Input, PhysicalId, PhysicalKind, PhysicalNode, PhysicalPlan};
use crate::connector::Connectors;
use crate::error::{SqlError, SqlResult};
use crate::exec::calc::CalcSpec;
use crate::exec::expand::ExpandSpec;
use crate::exec::group_aggregate::GroupAggregateSpec;
use crate::exec::join::{JoinSide, JoinSpec};
use crate::exec::rank::RankSpec;
use crate::exec::scan::ScanStages;
use crate::exec::union::Union;
use crate::exec::unnest::UnnestSpec;
use crate::exec::values::ValuesSource;
use crate::exec::window_aggregate::WindowAggregateSpec;
use crate::expr::Expr;
use crate::expr::compile::{arrow_schema, record_batch};
use crate::functions::aggregate::{AggregateCall, AggregateKind};
use crate::functions::table::{TableFunction, TableFunctionCall};
use crate::plan::{Column, JoinKind, Rel, RelKind, Schema, SortKey, WindowKind, WindowSpec};
use crate::types::TypeRoot;

use super::rank::{Ranked, is_rank};
use super::windows::{WindowBelow, window_below};

/// What the session says about plans.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlanSettings {
    /// `table.exec.state.ttl`.
    pub(crate) ttl: Option<StateTtlConfig>,
}

/// Turns the plans of one job into operators, each shared node once.
pub(crate) struct Planner<'a> {
    pub(super) connectors: &'a Connectors,
    settings: &'a PlanSettings,
    readers: HashMap<usize, usize>,
    done: HashMap<usize, PhysicalId>,
    pub(crate) plan: PhysicalPlan,
}

fn columns(schema: &Schema) -> SchemaRef {
    arrow_schema(schema.types())
}

impl<'a> Planner<'a> {
    pub(crate) fn new(connectors: &'a Connectors, settings: &'a PlanSettings, roots: &[Rel]) -> Self {
        let readers = crate::rules::readers(roots);
        Self { connectors, settings, readers, done: HashMap::new(), plan: PhysicalPlan::default() }
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

    /// The operator that gives the rows of `rel`.
    pub(crate) fn plan(&mut self, rel: &Rel) -> SqlResult<PhysicalId> {
        if let Some(done) = self.done.get(&rel.identity()) {
            return Ok(*done);
        }
        let id = self.plan_new(rel)?;
        self.done.insert(rel.identity(), id);
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
            RelKind::Window { .. } => Err(unsupported(
                "a windowing table function without GROUP BY window_start, window_end is not supported yet",
            )),
            RelKind::Temporal { position, .. } => {
                Err(unsupported("joins FOR SYSTEM_TIME AS OF are not supported yet").at(*position))
            }
            RelKind::Correlate { input, function, kind } => self.unnest(rel, input, function, *kind),
            RelKind::Over { .. } => {
                Err(unsupported("functions of OVER are supported for the first rows of partitions only, yet")
                    .hint("such as WHERE row_num <= 10 over ROW_NUMBER() OVER (PARTITION BY … ORDER BY …)"))
            }
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
            RelKind::SetOperation { .. } => Err(unsupported("INTERSECT and EXCEPT are not supported yet")),
        }
    }

    pub(super) fn operator(
        &mut self,
        name: &'static str,
        detail: String,
        factory: Arc<dyn tidemill_runtime::OperatorFactory>,
        inputs: Vec<Input>,
        schema: &Schema,
        changes: Changes,
    ) -> PhysicalId {
        let single = inputs.iter().any(|input| input.distribution == Distribution::Single);
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

    fn calc_over(
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
        let node = PhysicalNode {
            name: "Values",
            detail: format!("tuples=[{} rows], fields=[{}]", rows.len(), rel.schema().names().join(", ")),
            kind: PhysicalKind::Source { source: Arc::new(ValuesSource(batch)), stages },
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
        if let Some(window) = window_below(input, keys) {
            return self.window_aggregate(rel, &window, keys, calls);
        }
        let node = self.plan(input)?;
        let of_input = self.node(node).changes;
        check_calls(calls, of_input)?;
        let names = input.schema().names();
        let detail = aggregate_detail(&names, keys, calls);
        let spec = GroupAggregateSpec {
            input: columns(input.schema()),
            keys: keys.to_vec(),
            calls: calls.to_vec(),
            output: columns(rel.schema()),
            retracting: !of_input.is_insert_only(),
            update_before: true,
            ttl: self.settings.ttl,
        };
        let changes = if calls.is_empty() && of_input.is_insert_only() {
            // A group comes once, and stays as it is.
            Changes::INSERT
        } else {
            Changes { update: !calls.is_empty(), delete: !of_input.is_insert_only() }
        };
        let inputs = vec![Input { node, distribution: by(keys) }];
        Ok(self.operator("GroupAggregate", detail, Arc::new(spec), inputs, rel.schema(), changes))
    }

    fn window_aggregate(
        &mut self,
        rel: &Rel,
        window: &WindowBelow,
        keys: &[usize],
        calls: &[AggregateCall],
    ) -> SqlResult<PhysicalId> {
        let WindowSpec { time, kind, processing_time, .. } = &window.spec;
        if matches!(kind, WindowKind::Session { .. }) {
            return Err(unsupported("aggregates of SESSION windows are not supported yet"));
        }
        // What is computed between the window and its aggregation, then the time attribute.
        let mut exprs = window.exprs.clone();
        let at = exprs.len();
        exprs.push(Expr::column(*time, window.input.schema().logical(*time)));
        let of_time = window.input.schema().column(*time);
        if of_time.and_then(|column| column.time).is_none() {
            return Err(SqlError::semantic(
                "a window needs a time attribute, and its column is none any more",
            ));
        }
        let node = self.plan(&window.input)?;
        if !self.node(node).changes.is_insert_only() {
            return Err(SqlError::changelog(
                "windows cannot be aggregated over rows that are updated or taken away",
            )
            .hint("aggregate by windows first, or group without a window"));
        }
        let mut of_calc: Vec<Column> =
            exprs.iter().enumerate().map(|(i, expr)| Column::new(format!("f{i}"), expr.logical())).collect();
        for (column, name) in of_calc.iter_mut().zip(&window.names) {
            column.name.clone_from(name);
        }
        let calc_schema = Schema::new(of_calc);
        let input_schema = window.input.schema().clone();
        let node = self.calc_over(node, &input_schema, window.predicate.clone(), Some(exprs), &calc_schema);
        // Which of the keys are the window's, and which are columns.
        let plain: Vec<usize> =
            keys.iter().copied().filter(|key| window.parts.iter().all(|(column, _)| column != key)).collect();
        let mut of_output: Vec<Column> =
            plain.iter().filter_map(|key| calc_schema.column(*key)).cloned().collect();
        of_output.extend(calls.iter().map(|call| Column::new(call.name.clone(), call.returns.clone())));
        let ends = of_output.len();
        for part in 0..3 {
            of_output.push(window.columns[part].clone());
        }
        let output_schema = Schema::new(of_output);
        let names = calc_schema.names();
        let mut detail = format!("window=[{kind}], ");
        detail += &aggregate_detail(&names, &plain, calls);
        let spec = WindowAggregateSpec {
            input: columns(&calc_schema),
            window: *kind,
            time: at,
            processing_time: *processing_time,
            keys: plain.clone(),
            calls: calls.to_vec(),
            output: columns(&output_schema),
        };
        let inputs = vec![Input { node, distribution: by(&plain) }];
        let node =
            self.operator("WindowAggregate", detail, Arc::new(spec), inputs, &output_schema, Changes::INSERT);
        // The columns in the order of the aggregation.
        let exprs = (0..rel.schema().len()).map(|column| {
            let place = match keys.get(column) {
                Some(key) => match window.parts.iter().find(|(column, _)| column == key) {
                    Some((_, part)) => ends + part,
                    None => plain.iter().position(|plain| plain == key).unwrap_or_default(),
                },
                None => plain.len() + column - keys.len(),
            };
            Expr::column(place, output_schema.logical(place))
        });
        let exprs = exprs.collect();
        Ok(self.calc_over(node, &output_schema, None, Some(exprs), rel.schema()))
    }

    fn join(
        &mut self,
        rel: &Rel,
        left: &Rel,
        right: &Rel,
        kind: JoinKind,
        condition: &Expr,
    ) -> SqlResult<PhysicalId> {
        let width = left.schema().len();
        let (mut keys, mut rest) = ((Vec::new(), Vec::new(), Vec::new()), Vec::new());
        for part in condition.clone().conjuncts() {
            match equality(&part, width) {
                Some((one, two, null_safe)) => {
                    keys.0.push(one);
                    keys.1.push(two);
                    keys.2.push(null_safe);
                }
                None => rest.push(part),
            }
        }
        let (left_node, left_keys, left_width) = self.keyed(left, &keys.0)?;
        let (right_node, right_keys, right_width) = self.keyed(right, &keys.1)?;
        let (of_left, of_right) = (self.node(left_node).changes, self.node(right_node).changes);
        // The columns of computed keys stand behind those of each side.
        let shifted = |column: usize| if column < width { column } else { column - width + left_width };
        let condition = (!rest.is_empty()).then(|| Expr::all(rest).map_columns(&shifted));
        let left_schema = self.node(left_node).schema.clone();
        let right_schema = self.node(right_node).schema.clone();
        let mut both: Vec<Column> = left_schema.columns().to_vec();
        both.extend(right_schema.columns().iter().cloned());
        let both = Schema::new(both);
        let out = if kind.is_semi() { left_schema.clone() } else { both.clone() };
        let names = both.names();
        let equal = left_keys
            .iter()
            .zip(&right_keys)
            .map(|(one, two)| format!("{} = {}", names[*one], names[left_width + *two]));
        let mut shown: Vec<String> = equal.collect();
        shown.extend(condition.iter().map(|condition| condition.shown(&names).to_string()));
        let detail = format!(
            "joinType=[{}], where=[{}], select=[{}]",
            kind.name(),
            shown.join(" AND "),
            out.names().join(", ")
        );
        let side = |schema: &Schema, keys: &[usize], changes: Changes| JoinSide {
            schema: columns(schema),
            keys: keys.to_vec(),
            null_safe: Vec::new(),
            retracting: !changes.is_insert_only(),
            ttl: self.settings.ttl,
        };
        let mut sides = [side(&left_schema, &left_keys, of_left), side(&right_schema, &right_keys, of_right)];
        sides.iter_mut().for_each(|side| side.null_safe.clone_from(&keys.2));
        let spec = JoinSpec { kind, sides, condition, both: columns(&both), output: columns(&out) };
        let changes = match kind {
            JoinKind::Inner => of_left.or(of_right),
            JoinKind::Semi if of_right.is_insert_only() => of_left,
            _ => Changes::ALL,
        };
        let inputs = vec![
            Input { node: left_node, distribution: by(&left_keys) },
            Input { node: right_node, distribution: by(&right_keys) },
        ];
        let node = self.operator("Join", detail, Arc::new(spec), inputs, &out, changes);
        if left_width == width && (kind.is_semi() || right_width == right.schema().len()) {
            return Ok(node);
        }
        let kept = (0..width).chain((0..right.schema().len()).map(|column| left_width + column));
        let exprs =
            kept.take(rel.schema().len()).map(|column| Expr::column(column, out.logical(column))).collect();
        Ok(self.calc_over(node, &out, None, Some(exprs), rel.schema()))
    }

    /// `rel` with the columns of `keys`, which are computed where they are none yet; and how many columns it has then.
    fn keyed(&mut self, rel: &Rel, keys: &[Expr]) -> SqlResult<(PhysicalId, Vec<usize>, usize)> {
        let node = self.plan(rel)?;
        let mut exprs = rel.all_columns();
        let mut of_keys = Vec::with_capacity(keys.len());
        for key in keys {
            let place = match key.as_column() {
                Some(column) => Some(column),
                None => exprs.iter().position(|known| known == key),
            };
            of_keys.push(place.unwrap_or_else(|| {
                exprs.push(key.clone());
                exprs.len() - 1
            }));
        }
        let width = exprs.len();
        if width == rel.schema().len() {
            return Ok((node, of_keys, width));
        }
        let mut columns = rel.schema().columns().to_vec();
        for (index, expr) in exprs.iter().enumerate().skip(columns.len()) {
            columns.push(Column::new(format!("$k{index}"), expr.logical()));
        }
        let schema = Schema::new(columns);
        let of_input = rel.schema().clone();
        Ok((self.calc_over(node, &of_input, None, Some(exprs), &schema), of_keys, width))
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
        let node = self.operator(name, detail, Arc::new(spec), inputs, &schema, Changes::ALL);
        let calc = ranked.calc;
        Ok(Some(self.calc_over(node, &schema, calc.0, Some(calc.1), rel.schema())))
    }

    fn unnest(
        &mut self,
        rel: &Rel,
        input: &Rel,
        function: &TableFunctionCall,
        kind: JoinKind,
    ) -> SqlResult<PhysicalId> {
        let TableFunction::Unnest { with_ordinality } = function.kind;
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

fn unsupported(what: &str) -> SqlError {
    SqlError::unsupported(what)
}

fn by(keys: &[usize]) -> Distribution {
    if keys.is_empty() { Distribution::Single } else { Distribution::Hash(keys.to_vec()) }
}

fn aggregate_detail(names: &[&str], keys: &[usize], calls: &[AggregateCall]) -> String {
    let name = |column: &usize| names.get(*column).copied().unwrap_or_default();
    let keys: Vec<&str> = keys.iter().map(name).collect();
    let mut selected: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    for call in calls {
        let arguments: Vec<&str> = call.arguments.iter().map(name).collect();
        let arguments = if arguments.is_empty() { "*".to_owned() } else { arguments.join(", ") };
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        let filter = call.filter.map(|filter| format!(" FILTER {}", name(&filter))).unwrap_or_default();
        let kind = format!("{:?}", call.kind).to_uppercase();
        let kind = kind.split([' ', '{']).next().unwrap_or_default().to_owned();
        selected.push(format!("{kind}({distinct}{arguments}){filter} AS {}", call.name));
    }
    format!("groupBy=[{}], select=[{}]", keys.join(", "), selected.join(", "))
}

fn sort_detail(names: &[&str], key: SortKey) -> String {
    let name = names.get(key.column).copied().unwrap_or_default();
    format!("{name} {}", if key.descending { "DESC" } else { "ASC" })
}

/// That the functions can take back what they have been given, when rows are taken away.
fn check_calls(calls: &[AggregateCall], changes: Changes) -> SqlResult<()> {
    for call in calls {
        let computed = matches!(
            call.kind,
            AggregateKind::Count
                | AggregateKind::Sum
                | AggregateKind::SumOrZero
                | AggregateKind::Avg
                | AggregateKind::Min
                | AggregateKind::Max
                | AggregateKind::Variance { .. }
                | AggregateKind::SingleValue
        );
        let in_order = matches!(
            call.kind,
            AggregateKind::FirstValue | AggregateKind::LastValue | AggregateKind::ListAgg { .. }
        );
        let is_fine = computed || (in_order && changes.is_insert_only());
        if !is_fine {
            let why = if in_order { " over rows that are updated or taken away" } else { "" };
            return Err(unsupported(&format!(
                "the aggregate function {:?}{why} is not supported yet",
                call.kind
            )));
        }
    }
    Ok(())
}

/// The sides of an equality of an expression over the left columns and one over the right, and whether NULL equals NULL.
fn equality(condition: &Expr, width: usize) -> Option<(Expr, Expr, bool)> {
    let (name, [one, two]) = condition.as_call()? else { return None };
    let null_safe = match name {
        "=" => false,
        "IS NOT DISTINCT FROM" => true,
        _ => return None,
    };
    if one.logical().root != two.logical().root {
        return None;
    }
    let side = |expr: &Expr| {
        let mut columns = std::collections::BTreeSet::new();
        expr.columns(&mut columns);
        match (columns.first(), columns.last()) {
            (Some(_), Some(last)) if *last < width => Some(0),
            (Some(first), Some(_)) if *first >= width => Some(1),
            _ => None,
        }
    };
    let right = |expr: &Expr| expr.map_columns(&|column| column - width);
    match (side(one)?, side(two)?) {
        (0, 1) => Some((one.clone(), right(two), null_safe)),
        (1, 0) => Some((two.clone(), right(one), null_safe)),
        _ => None,
    }
}
