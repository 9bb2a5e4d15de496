//! Aggregations of distinct values that are split: first by group and a hash of the value, then by group. The values of a group that has
//! most of them are spread over all subtasks then.
//!
//! Values of several columns are hashed each on their own: each row is aggregated once for each of them, and functions count
//! those of their own only.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion_common::ScalarValue;

use super::group_aggregates::Grouping;
use super::planner::{Planner, columns};
use super::{Distribution, Input, PhysicalId};
use crate::error::{SqlError, SqlResult};
use crate::exec::expand::ExpandSpec;
use crate::expr::{Expr, Function};
use crate::functions::aggregate::{AggregateCall, AggregateKind, averages_are_quotients};
use crate::functions::cast::cast;
use crate::functions::kernel::{Argument, FunctionContext};
use crate::functions::registry;
use crate::plan::{Column, Schema};
use crate::types::{LogicalType, TypeRoot};

/// How a function is split.
struct SplitCall<'a> {
    call: &'a AggregateCall,
    /// Which of the hashes it is grouped by.
    hashes: BTreeSet<usize>,
    /// The functions by group and hash, and what each of their results is put together with.
    parts: Vec<(AggregateCall, AggregateKind)>,
}

/// An aggregation that can be split.
struct Split<'a> {
    calls: Vec<SplitCall<'a>>,
    /// The columns that are hashed.
    hashed: Vec<usize>,
}

impl<'a> Split<'a> {
    /// `None` when nothing is to be split, or something cannot be.
    fn of(grouping: &Grouping<'a>) -> Option<Self> {
        let is_new = |column: &usize| !grouping.keys.contains(column);
        let is_hashed = |call: &AggregateCall| {
            call.distinct || matches!(call.kind, AggregateKind::Min | AggregateKind::Max)
        };
        let mut hashed: BTreeSet<usize> = BTreeSet::new();
        for call in grouping.calls.iter().filter(|call| is_hashed(call)) {
            for (column, logical) in call.arguments.iter().zip(&call.types) {
                if is_new(column) && has_hash(&logical.root) {
                    hashed.insert(*column);
                } else if is_new(column) && call.distinct {
                    return None;
                }
            }
        }
        let is_split = |call: &AggregateCall| call.distinct && call.arguments.iter().any(is_new);
        if !grouping.calls.iter().any(is_split) {
            return None;
        }
        let hashed: Vec<usize> = hashed.into_iter().collect();
        let is_quotient = averages_are_quotients(grouping.calls);
        let calls = grouping.calls.iter().map(|call| {
            let places = call.arguments.iter().filter_map(|column| hashed.iter().position(|at| at == column));
            let hashes = if is_hashed(call) { places.collect() } else { BTreeSet::new() };
            Some(SplitCall { call, hashes, parts: parts(call, is_quotient)? })
        });
        Some(Self { calls: calls.collect::<Option<_>>()?, hashed })
    }

    /// The sets of hashes that rows are grouped by, each row once by each; one alone when no function minds the others.
    fn sets(&self) -> Vec<BTreeSet<usize>> {
        let own: BTreeSet<_> =
            self.calls.iter().map(|call| &call.hashes).filter(|set| !set.is_empty()).collect();
        if own.len() < 2 {
            return Vec::new();
        }
        let all: BTreeSet<_> = self.calls.iter().map(|call| &call.hashes).collect();
        all.into_iter().cloned().collect()
    }
}

/// Whether values of this type have a hash that is the same for equal values. Of `FLOAT` and `DOUBLE`, `0.0` and `-0.0` are equal.
fn has_hash(root: &TypeRoot) -> bool {
    root.is_character()
        || root.is_integer()
        || root.is_timestamp()
        || matches!(root, TypeRoot::Boolean | TypeRoot::Date | TypeRoot::Time(_) | TypeRoot::Decimal(..))
}

/// The functions that compute `call` of parts of a group.
fn parts(call: &AggregateCall, is_quotient: bool) -> Option<Vec<(AggregateCall, AggregateKind)>> {
    let part = |kind: AggregateKind, returns: LogicalType| AggregateCall { kind, returns, ..call.clone() };
    let same = |kind: &AggregateKind| vec![(part(kind.clone(), call.returns.clone()), kind.clone())];
    Some(match &call.kind {
        AggregateKind::Count => vec![(call.clone(), AggregateKind::SumOrZero)],
        kind @ (AggregateKind::Sum | AggregateKind::SumOrZero | AggregateKind::Min | AggregateKind::Max) => {
            same(kind)
        }
        AggregateKind::Avg => {
            let sum = match &call.types.first()?.root {
                root if root.is_integer() && !is_quotient => TypeRoot::BigInt,
                root if root.is_integer() || root.is_approximate() => root.clone(),
                // The quotient of decimals has other digits than their mean.
                _ => return None,
            };
            let count = TypeRoot::BigInt.not_null();
            vec![
                (part(AggregateKind::SumOrZero, sum.not_null()), AggregateKind::SumOrZero),
                (part(AggregateKind::Count, count), AggregateKind::SumOrZero),
            ]
        }
        _ => return None,
    })
}

impl Planner<'_> {
    /// The operators of an aggregation, split over so many hashes; `None` when there is nothing to split.
    pub(super) fn split_aggregate(
        &mut self,
        grouping: &Grouping<'_>,
        buckets: i32,
    ) -> SqlResult<Option<PhysicalId>> {
        let Some(split) = Split::of(grouping) else { return Ok(None) };
        let (node, hashed) = self.with_hashes(grouping, &split, buckets)?;
        let sets = split.sets();
        let (node, input, filters) = match sets.is_empty() {
            true => (node, hashed, Vec::new()),
            false => self.for_each_set(node, &hashed, grouping, &split, &sets)?,
        };
        // By group and hashes.
        let width = grouping.input.len();
        let keys: Vec<usize> =
            grouping.keys.iter().copied().chain(width..width + split.hashed.len()).collect();
        let mut of_partial: Vec<Column> =
            keys.iter().filter_map(|key| input.column(*key)).map(untimed).collect();
        let mut partial_calls: Vec<AggregateCall> = Vec::new();
        let mut final_calls: Vec<AggregateCall> = Vec::new();
        for (index, of_call) in split.calls.iter().enumerate() {
            for (part, kind) in &of_call.parts {
                let at = of_partial.len();
                let mut part = AggregateCall { name: unused(&of_partial, format!("$f{at}")), ..part.clone() };
                if let Some(filter) = filters.get(index) {
                    part.filter = Some(*filter);
                }
                of_partial.push(Column::new(part.name.clone(), part.returns.clone()));
                final_calls.push(AggregateCall {
                    name: of_call.call.name.clone(),
                    kind: kind.clone(),
                    arguments: vec![at],
                    types: vec![part.returns.clone()],
                    distinct: false,
                    filter: None,
                    returns: part.returns.clone(),
                });
                partial_calls.push(part);
            }
        }
        let of_partial = Schema::new(of_partial);
        let node = self.in_phases(&Grouping {
            node,
            input: &input,
            keys: &keys,
            calls: &partial_calls,
            output: &of_partial,
            hints: grouping.hints,
            part: Some("PARTIAL"),
        })?;
        // By group.
        let keys: Vec<usize> = (0..grouping.keys.len()).collect();
        let mut of_final: Vec<Column> =
            grouping.output.columns().iter().take(keys.len()).map(untimed).collect();
        of_final.extend(final_calls.iter().map(|call| Column::new(call.name.clone(), call.returns.clone())));
        let of_final = Schema::new(of_final);
        let node = self.in_phases(&Grouping {
            node,
            input: &of_partial,
            keys: &keys,
            calls: &final_calls,
            output: &of_final,
            hints: grouping.hints,
            part: Some("FINAL"),
        })?;
        if split.calls.iter().all(|call| call.parts.len() == 1) {
            return Ok(Some(node));
        }
        let exprs = results(&split, &of_final, keys.len())?;
        Ok(Some(self.calc_over(node, &of_final, None, Some(exprs), grouping.output)))
    }

    /// The rows with the hashes of their values behind.
    fn with_hashes(
        &mut self,
        grouping: &Grouping<'_>,
        split: &Split<'_>,
        buckets: i32,
    ) -> SqlResult<(PhysicalId, Schema)> {
        let mut of_hashed: Vec<Column> = grouping.input.columns().iter().map(untimed).collect();
        let mut exprs: Vec<Expr> =
            of_hashed.iter().enumerate().map(|(at, of)| Expr::column(at, of.logical.clone())).collect();
        for column in &split.hashed {
            let mut value = Expr::column(*column, grouping.input.logical(*column));
            if matches!(value.logical().root, TypeRoot::Decimal(..)) || value.logical().root.is_timestamp() {
                let nullable = value.is_nullable();
                value = cast_to(value, &TypeRoot::STRING.not_null().with_nullable(nullable))?;
            }
            let hash = call("MOD", vec![call("HASH_CODE", vec![value])?, Expr::bigint(buckets.into())])?;
            of_hashed.push(Column::new(format!("$f{}", of_hashed.len()), hash.logical()));
            exprs.push(hash);
        }
        let of_hashed = Schema::new(of_hashed);
        let node = self.calc_over(grouping.node, grouping.input, None, Some(exprs), &of_hashed);
        Ok((node, of_hashed))
    }

    /// Each row once for each set of hashes; and for each function the column that says whether the row is for it.
    fn for_each_set(
        &mut self,
        node: PhysicalId,
        hashed: &Schema,
        grouping: &Grouping<'_>,
        split: &Split<'_>,
        sets: &[BTreeSet<usize>],
    ) -> SqlResult<(PhysicalId, Schema, Vec<usize>)> {
        let width = grouping.input.len();
        let names = hashed.names();
        let mut of_expanded: Vec<Column> = hashed.columns().to_vec();
        of_expanded.iter_mut().skip(width).for_each(|column| column.logical.nullable = true);
        let set_column = of_expanded.len();
        of_expanded.push(Column::new("$e", TypeRoot::BigInt.not_null()));
        let expanded = Schema::new(of_expanded);
        let of_set = |set: &BTreeSet<usize>| -> Vec<usize> {
            (0..width).chain(set.iter().map(|hash| width + hash)).collect()
        };
        let sets_of_columns: Vec<Vec<usize>> = sets.iter().map(of_set).collect();
        let shown = sets_of_columns.iter().map(|set| {
            let of_set: Vec<&str> = set.iter().map(|column| names[*column]).collect();
            format!("{{{}}}", of_set.join(", "))
        });
        let detail = format!("projects=[{}]", shown.collect::<Vec<_>>().join(", "));
        let spec = ExpandSpec { keys: set_column, sets: sets_of_columns, output: columns(&expanded) };
        let changes = self.node(node).changes;
        let inputs = vec![Input { node, distribution: Distribution::Any }];
        let node = self.operator("Expand", detail, Arc::new(spec), inputs, &expanded, changes);

        let mut of_filtered: Vec<Column> = expanded.columns().iter().take(set_column).cloned().collect();
        let mut exprs: Vec<Expr> =
            of_filtered.iter().enumerate().map(|(at, of)| Expr::column(at, of.logical.clone())).collect();
        let mut known: Vec<(usize, Option<usize>)> = Vec::new();
        let mut filters = Vec::with_capacity(split.calls.len());
        for of_call in &split.calls {
            let set = sets.iter().position(|set| *set == of_call.hashes).unwrap_or_default();
            let filter = (set, of_call.call.filter);
            let place = known.iter().position(|other| *other == filter);
            filters.push(set_column + place.unwrap_or(known.len()));
            if place.is_some() {
                continue;
            }
            known.push(filter);
            let number = Expr::bigint(i64::try_from(set).unwrap_or_default());
            let mut is_for = call("=", vec![Expr::column(set_column, TypeRoot::BigInt.not_null()), number])?;
            if let Some(own) = of_call.call.filter {
                is_for = Expr::And(vec![is_for, Expr::column(own, expanded.logical(own))]);
            }
            of_filtered.push(Column::new(format!("$g_{set}"), is_for.logical()));
            exprs.push(is_for);
        }
        let of_filtered = Schema::new(of_filtered);
        let node = self.calc_over(node, &expanded, None, Some(exprs), &of_filtered);
        Ok((node, of_filtered, filters))
    }
}

/// The results of all functions, over what their parts came to: those of a mean are a sum and a count.
fn results(split: &Split<'_>, of_final: &Schema, keys: usize) -> SqlResult<Vec<Expr>> {
    let column = |at: usize| Expr::column(at, of_final.logical(at));
    let mut exprs: Vec<Expr> = (0..keys).map(column).collect();
    let mut at = keys;
    for of_call in &split.calls {
        let returns = &of_call.call.returns;
        exprs.push(match of_call.parts.len() {
            1 => column(at),
            _ => {
                let none = call("=", vec![column(at + 1), Expr::bigint(0)])?;
                let null = ScalarValue::try_from(crate::types::arrow::data_type(&returns.root))
                    .map_err(|error| SqlError::internal(error.to_string()))?;
                let null = Expr::Literal { value: null, logical: returns.root.clone().nullable() };
                let mean = cast_to(call("/", vec![column(at), column(at + 1)])?, returns)?;
                let logical = returns.root.clone().nullable();
                Expr::Case { branches: vec![(none, null)], otherwise: Box::new(mean), logical }
            }
        });
        at += of_call.parts.len();
    }
    Ok(exprs)
}

/// `name`, or one that no column has yet.
fn unused(columns: &[Column], name: String) -> String {
    let is_free = |name: &String| columns.iter().all(|column| column.name != *name);
    let numbered = (0..=columns.len()).map(|number| format!("{name}_{number}"));
    std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or(name)
}

fn untimed(column: &Column) -> Column {
    Column { time: None, ..column.clone() }
}

/// What the functions that are called here know of the session: nothing, since equal values have equal hashes in any time zone.
const CONTEXT: FunctionContext = FunctionContext { time_zone: chrono_tz::UTC };

/// A call of a function of the registry.
fn call(name: &str, arguments: Vec<Expr>) -> SqlResult<Expr> {
    let Some(function) = registry::scalar(name) else {
        return Err(SqlError::internal(format!("there is no function {name}")));
    };
    let types: Vec<LogicalType> = arguments.iter().map(Expr::logical).collect();
    let described: Vec<Argument<'_>> = arguments
        .iter()
        .zip(&types)
        .map(|(argument, logical)| Argument { logical, literal: argument.literal() })
        .collect();
    let resolved = (function.resolve)(&CONTEXT, &described)
        .map_err(|mismatch| SqlError::internal(format!("{name}: {}", mismatch.0)))?;
    let arguments = arguments.into_iter().zip(&resolved.arguments).map(|(value, to)| cast_to(value, to));
    let function = Function {
        name: function.name.into(),
        returns: resolved.returns,
        deterministic: function.deterministic,
        kernel: resolved.kernel,
    };
    Ok(Expr::Call { function, arguments: arguments.collect::<SqlResult<_>>()? })
}

fn cast_to(value: Expr, to: &LogicalType) -> SqlResult<Expr> {
    let from = value.logical();
    if from.root == to.root {
        return Ok(value);
    }
    let resolved = cast(&CONTEXT, &from, to, false)
        .map_err(|mismatch| SqlError::internal(format!("a cast of {}: {}", from.root, mismatch.0)))?;
    let function = Function {
        name: Arc::from("CAST"),
        returns: resolved.returns,
        deterministic: true,
        kernel: resolved.kernel,
    };
    Ok(Expr::Call { function, arguments: vec![value] })
}
