//! Sub-queries that refer to the query around them, made into plans that do not.
//!
//! Conditions over columns of the query around are pulled up out of the sub-query until they can be the condition of a join
//! with that query; what is in their way (groups, windows of `OVER`, limits) is computed for each of the values that they
//! compare with. Where conditions do not compare for equality, or columns of the query around are computed with, the sub-query
//! is joined with the distinct values of those columns first (its domain), as in "Unnesting Arbitrary Queries" by Neumann and
//! Kemper.

use super::Binder;
use crate::error::{SqlError, SqlResult};
use crate::expr::{Expr, Pending};
use crate::functions::aggregate::{AggregateCall, AggregateKind};
use crate::plan::{Column, Frame, JoinKind, OverCall, Rel, RelKind, Schema, SortKey};
use crate::types::TypeRoot;

/// A sub-query as it was bound.
#[derive(Clone, Debug)]
pub(super) struct Subquery {
    /// Its plan, in which [`Pending::Outer`] stands for columns of the query around.
    pub(super) rel: Rel,
    /// What these are, over the columns of the query around.
    pub(super) outer: Vec<Expr>,
}

/// A plan without columns of the query around, and what was pulled up out of it. The expressions are over the columns of `rel`
/// and those of the query around.
pub(super) struct PulledUp {
    pub(super) rel: Rel,
    /// What the sub-query gives.
    pub(super) outputs: Vec<Expr>,
    /// What must hold for a row to belong to a row of the query around.
    pub(super) predicates: Vec<Expr>,
    /// Whether a row of the query around to which none belongs has one nevertheless, in which the columns of `rel` are NULL.
    pub(super) one_row: bool,
}

/// Pulls up what a sub-query has of the query around.
pub(super) struct PullUp<'b, 'a> {
    pub(super) binder: &'b mut Binder<'a>,
    /// The query around.
    pub(super) around: Rel,
    /// What the sub-query reads of it.
    pub(super) outer: Vec<Expr>,
    /// Whether an aggregate of no rows is a row, as in SQL; in `FROM` it is none, as in Flink.
    pub(super) has_rows_of_nothing: bool,
    /// The distinct values of `outer`, once they are needed.
    pub(super) domain: Option<Rel>,
}

impl PullUp<'_, '_> {
    pub(super) fn pull(&mut self, rel: &Rel) -> SqlResult<PulledUp> {
        if !reads_outer(rel) {
            let outputs = rel.all_columns();
            return Ok(PulledUp { rel: rel.clone(), outputs, predicates: Vec::new(), one_row: false });
        }
        match rel.kind() {
            RelKind::Filter { input, predicate } => self.filter(input, predicate),
            RelKind::Project { input, exprs } => {
                let pulled = self.pull(input)?;
                let outputs = exprs.iter().map(|expr| expr.substitute(&pulled.outputs)).collect();
                Ok(PulledUp { outputs, ..pulled })
            }
            RelKind::Join { left, right, kind, condition } => self.join(left, right, *kind, condition),
            RelKind::Aggregate { input, keys, calls } => self.aggregate(rel, input, keys, calls),
            RelKind::Over { input, partition, order, frame, calls } => {
                let (input, width, correlation) = self.comparable(input)?;
                let mut columns = input.rel.schema().columns().to_vec();
                columns.extend(rel.schema().columns().iter().skip(width).cloned());
                let kind = RelKind::Over {
                    partition: [partition.as_slice(), &correlation].concat(),
                    input: input.rel,
                    order: order.clone(),
                    frame: frame.clone(),
                    calls: calls.clone(),
                };
                let over = Rel::new(Schema::new(columns), kind).with_hints(rel.hints());
                Ok(behind(over, width, correlation.len(), input.predicates))
            }
            RelKind::Sort { input, keys, offset, fetch } => self.sort(input, keys, *offset, *fetch),
            RelKind::Union { inputs } => {
                let inputs = inputs
                    .iter()
                    .map(|input| self.with_domain_columns(input))
                    .collect::<SqlResult<Vec<_>>>()?;
                let Some(first) = inputs.first().cloned() else {
                    return Err(SqlError::internal("nothing to unite"));
                };
                self.over_domain(rel, &first, RelKind::Union { inputs })
            }
            RelKind::SetOperation { left, right, except, all } => {
                let (left, right) = (self.with_domain_columns(left)?, self.with_domain_columns(right)?);
                let kind = RelKind::SetOperation { left: left.clone(), right, except: *except, all: *all };
                self.over_domain(rel, &left, kind)
            }
            RelKind::Expand { input, keys, sets } => {
                let (input, width, correlation) = self.comparable(input)?;
                let mut columns = input.rel.schema().columns().to_vec();
                columns.iter_mut().zip(rel.schema().columns()).take(width).for_each(|(column, expanded)| {
                    column.logical = expanded.logical.clone();
                });
                columns.extend(rel.schema().columns().last().cloned());
                let kind = RelKind::Expand { input: input.rel, keys: *keys, sets: sets.clone() };
                Ok(behind(Rel::new(Schema::new(columns), kind), width, correlation.len(), input.predicates))
            }
            RelKind::Window { input, spec } => {
                let (input, width, correlation) = self.comparable(input)?;
                let mut spec = spec.clone();
                if spec.kind.slice().is_none() {
                    spec.partition.extend(&correlation);
                }
                let mut columns = input.rel.schema().columns().to_vec();
                columns.extend(rel.schema().columns().iter().skip(width).cloned());
                let window = Rel::new(Schema::new(columns), RelKind::Window { input: input.rel, spec });
                Ok(behind(window, width, correlation.len(), input.predicates))
            }
            RelKind::Correlate { input, function, kind } => {
                let mut pulled = self.pull_rows(input)?;
                let mut function = function.clone();
                let reads = |pulled: &PulledUp| {
                    function.arguments.iter().any(|argument| has_outer(&argument.substitute(&pulled.outputs)))
                };
                if reads(&pulled) {
                    pulled = self.with_domain(pulled)?;
                }
                let own = pulled.rel.schema().len().saturating_sub(self.outer.len());
                for argument in &mut function.arguments {
                    *argument = over_domain_behind(&argument.substitute(&pulled.outputs), own);
                }
                let made = function.columns.len();
                let mut columns = pulled.rel.schema().columns().to_vec();
                columns.extend(rel.schema().columns().iter().skip(input.schema().len()).cloned());
                let kind = RelKind::Correlate { input: pulled.rel, function, kind: *kind };
                let rel = Rel::new(Schema::new(columns), kind);
                let width = rel.schema().len();
                let mut outputs = pulled.outputs;
                outputs.extend(rel.all_columns().drain(width - made..));
                Ok(PulledUp { rel, outputs, predicates: pulled.predicates, one_row: false })
            }
            _ => Err(SqlError::unsupported("a sub-query cannot refer to the query around it within this")
                .hint("join the tables instead")),
        }
    }

    /// As [`pull`](Self::pull), without rows that are there although none is.
    fn pull_rows(&mut self, rel: &Rel) -> SqlResult<PulledUp> {
        let pulled = self.pull(rel)?;
        if pulled.one_row { self.outer_joined_with_domain(pulled) } else { Ok(pulled) }
    }

    fn filter(&mut self, input: &Rel, predicate: &Expr) -> SqlResult<PulledUp> {
        let mut pulled = self.pull_rows(input)?;
        let conditions = predicate.substitute(&pulled.outputs).conjuncts();
        let (correlated, plain): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(has_outer);
        pulled.predicates.extend(correlated);
        pulled.rel = pulled.rel.filter(Expr::all(plain));
        Ok(pulled)
    }

    fn join(&mut self, left: &Rel, right: &Rel, kind: JoinKind, condition: &Expr) -> SqlResult<PulledUp> {
        let (mut one, mut two) = (self.pull_rows(left)?, self.pull_rows(right)?);
        let is_plain =
            two.predicates.is_empty() && !two.outputs.iter().any(has_outer) && !has_outer(condition);
        let keeps_right = matches!(kind, JoinKind::Right | JoinKind::Full);
        if keeps_right && !(is_plain && one.predicates.is_empty() && !one.outputs.iter().any(has_outer)) {
            return Err(SqlError::unsupported(
                "a sub-query cannot refer to the query around it within a RIGHT or FULL JOIN",
            )
            .hint("write a LEFT JOIN"));
        }
        if kind != JoinKind::Inner && !is_plain {
            // Which rows have a match depends on the query around: the left side has its columns.
            one = self.with_domain(one)?;
            if !kind.is_semi() {
                two = self.with_columns(two)?;
            }
        }
        let (width, domain) = (one.rel.schema().len(), self.outer.len());
        let onto = |expr: &Expr| {
            expr.replace(&mut |expr| match expr {
                Expr::Column { index, logical } => {
                    let nullable = logical.nullable || kind.keeps_left();
                    Some(Expr::column(width + index, logical.clone().with_nullable(nullable)))
                }
                Expr::Pending { what: Pending::Outer, index, logical }
                    if kind != JoinKind::Inner && !is_plain =>
                {
                    Some(Expr::column(width - domain + index, logical.clone()))
                }
                _ => None,
            })
        };
        let mut conditions: Vec<Expr> = two.predicates.iter().map(onto).collect();
        let mut outputs = one.outputs.clone();
        outputs.extend(two.outputs.iter().map(onto));
        let substituted = if kind != JoinKind::Inner && !is_plain {
            condition.substitute(&outputs).replace(&mut |expr| match expr {
                Expr::Pending { what: Pending::Outer, index, logical } => {
                    Some(Expr::column(width - domain + index, logical.clone()))
                }
                _ => None,
            })
        } else {
            condition.substitute(&outputs)
        };
        conditions.extend(substituted.conjuncts());
        let (correlated, plain): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(has_outer);
        let rel = Rel::join(one.rel, two.rel, kind, Expr::all(plain));
        if kind.is_semi() {
            outputs = one.outputs;
        }
        let mut predicates = one.predicates;
        predicates.extend(correlated);
        Ok(PulledUp { rel, outputs, predicates, one_row: false })
    }

    fn aggregate(
        &mut self,
        rel: &Rel,
        input: &Rel,
        keys: &[usize],
        calls: &[AggregateCall],
    ) -> SqlResult<PulledUp> {
        let is_one = keys.is_empty() && self.has_rows_of_nothing;
        let names = |call: &AggregateCall| !is_null_of_nothing(&call.kind) && !is_count(&call.kind);
        let (input, correlation, calls) = if is_one && calls.iter().any(names) {
            // What these are of nothing only they know: nothing is a row in which the mark is not set.
            let pulled = self.pull_rows(input)?;
            let pulled =
                if pulled.outputs.iter().any(has_outer) { self.with_domain(pulled)? } else { pulled };
            let mut pulled = materialized(pulled);
            let width = pulled.outputs.len();
            let mut exprs = pulled.rel.all_columns();
            exprs.push(Expr::boolean(true));
            pulled.rel = named(pulled.rel, exprs);
            let marker = pulled.rel.schema().len() - 1;
            let pulled = self.outer_joined_with_domain(pulled)?;
            let shift = pulled.rel.schema().len() - marker - 1;
            // Behind the domain's columns: the mark, as a condition, with each call's own.
            let mut exprs = pulled.outputs.clone();
            exprs.extend(pulled.rel.all_columns().drain(..shift));
            let mut calls = calls.to_vec();
            for call in &mut calls {
                let mark = Expr::column(marker + shift, TypeRoot::Boolean.nullable());
                let mark = Expr::IsNull { input: Box::new(mark), negated: true };
                exprs.push(match call.filter {
                    None => mark,
                    Some(own) => Expr::And(vec![mark, pulled.outputs[own].clone()]),
                });
                call.filter = Some(exprs.len() - 1);
            }
            let rel = named(pulled.rel, exprs);
            let correlation: Vec<usize> = (width..width + shift).collect();
            let predicates = self.same_as_outer(&rel, width)?;
            let outputs = rel.all_columns();
            (PulledUp { rel, outputs, predicates, one_row: false }, correlation, calls)
        } else {
            let (input, _, correlation) = self.comparable(input)?;
            (input, correlation, calls.to_vec())
        };
        let grouped =
            input.rel.aggregate([keys, &correlation].concat(), calls.clone()).with_hints(rel.hints());
        let own = keys.len();
        let mut outputs: Vec<Expr> = grouped.all_columns();
        outputs.drain(own..own + correlation.len());
        let has_own_nothing = calls.iter().any(names);
        if is_one && !has_own_nothing {
            for (output, call) in outputs.iter_mut().zip(&calls) {
                let logical = output.logical();
                let column = output.replace(&mut |expr| match expr {
                    Expr::Column { index, logical } => {
                        Some(Expr::column(*index, logical.clone().with_nullable(true)))
                    }
                    _ => None,
                });
                *output = column.clone();
                if is_count(&call.kind) {
                    let zero = self.binder.implicit_cast(Expr::bigint(0), &logical)?;
                    let is_null = Expr::IsNull { input: Box::new(column.clone()), negated: false };
                    *output =
                        Expr::Case { branches: vec![(is_null, zero)], otherwise: Box::new(column), logical };
                }
            }
        }
        // The columns that conditions compare have moved behind the keys.
        let predicates = input.predicates.iter().map(|predicate| {
            predicate.map_columns(&|column| {
                own + correlation.iter().position(|known| *known == column).unwrap_or_default()
            })
        });
        let predicates = predicates.collect();
        Ok(PulledUp { rel: grouped, outputs, predicates, one_row: is_one && !has_own_nothing })
    }

    /// The first rows for each row of the query around, by the number that each has in the order.
    fn sort(
        &mut self,
        input: &Rel,
        keys: &[SortKey],
        offset: u64,
        fetch: Option<u64>,
    ) -> SqlResult<PulledUp> {
        if fetch.is_none() && offset == 0 {
            return self.pull(input);
        }
        let (input, width, correlation) = self.comparable(input)?;
        // Without an order any rows will do.
        let any = [SortKey { column: 0, descending: false, nulls_first: false }];
        let keys = if keys.is_empty() { &any } else { keys };
        let mut columns = input.rel.schema().columns().to_vec();
        let number = TypeRoot::BigInt.not_null();
        let place = columns.len();
        columns.push(Column::new("$rank", number.clone()));
        let kind = RelKind::Over {
            input: input.rel,
            partition: correlation.clone(),
            order: keys.to_vec(),
            frame: Frame::Rows(None),
            calls: vec![OverCall::RowNumber],
        };
        let ranked = Rel::new(Schema::new(columns), kind);
        let rank = || Expr::column(place, number.clone());
        let bound = |rows: u64| Expr::bigint(i64::try_from(rows).unwrap_or(i64::MAX));
        let mut conditions = Vec::new();
        if let Some(fetch) = fetch {
            conditions.push(self.binder.call("<=", vec![rank(), bound(fetch.saturating_add(offset))])?);
        }
        if offset > 0 {
            conditions.push(self.binder.call(">", vec![rank(), bound(offset)])?);
        }
        let ranked = ranked.filter(Expr::all(conditions));
        let mut pulled = behind(ranked, width, correlation.len(), input.predicates);
        pulled.outputs.truncate(width);
        Ok(pulled)
    }

    /// `input` with columns of its own for what it gives, which are the first of so many, and behind them for what its
    /// conditions compare, all of which compare such a column with the query around. These columns are given, too.
    fn comparable(&mut self, input: &Rel) -> SqlResult<(PulledUp, usize, Vec<usize>)> {
        let mut pulled = self.pull_rows(input)?;
        let mut sides: Option<Vec<(Expr, Expr)>> = pulled.predicates.iter().map(compared).collect();
        if sides.is_none() || pulled.outputs.iter().any(has_outer) {
            pulled = self.with_domain(pulled)?;
            sides = pulled.predicates.iter().map(compared).collect();
        }
        let sides = sides.ok_or_else(|| SqlError::internal("a domain is compared"))?;
        let width = pulled.outputs.len();
        let mut exprs = pulled.outputs;
        let mut predicates = Vec::with_capacity(sides.len());
        for ((inner, _), predicate) in sides.iter().zip(&pulled.predicates) {
            let place = exprs.iter().skip(width).position(|known| known == inner).map_or_else(
                || {
                    exprs.push(inner.clone());
                    exprs.len() - 1
                },
                |place| width + place,
            );
            let column = Expr::column(place, inner.logical());
            predicates.push(predicate.replace(&mut |expr| (expr == inner).then(|| column.clone())));
        }
        let correlation = (width..exprs.len()).collect();
        let rel = named(pulled.rel, exprs);
        let outputs = rel.all_columns().drain(..width).collect();
        Ok((PulledUp { rel, outputs, predicates, one_row: false }, width, correlation))
    }

    /// `pulled` so that it gives columns.
    pub(super) fn with_columns(&mut self, mut pulled: PulledUp) -> SqlResult<PulledUp> {
        if pulled.outputs.iter().all(|output| output.as_column().is_some()) {
            return Ok(pulled);
        }
        if pulled.outputs.iter().any(has_outer) {
            pulled = self.with_domain(pulled)?;
        }
        Ok(materialized(pulled))
    }

    /// `pulled` once for each value of the query around: behind its columns are the domain's.
    fn with_domain(&mut self, pulled: PulledUp) -> SqlResult<PulledUp> {
        let domain = self.domain();
        let (width, pulled) = (domain.schema().len(), pulled);
        let own = pulled.rel.schema().len();
        let onto = |expr: &Expr| over_domain_behind(expr, own);
        let condition = Expr::all(pulled.predicates.iter().map(onto).collect());
        let rel = Rel::join(pulled.rel.clone(), domain, JoinKind::Inner, condition);
        debug_assert_eq!(rel.schema().len(), own + width);
        let outputs = pulled.outputs.iter().map(onto).collect();
        let predicates = self.same_as_outer(&rel, own)?;
        Ok(PulledUp { rel, outputs, predicates, one_row: false })
    }

    /// Each value of the query around with the rows of `pulled`, or a row of NULLs: in front of its columns are the domain's.
    fn outer_joined_with_domain(&mut self, pulled: PulledUp) -> SqlResult<PulledUp> {
        let domain = self.domain();
        let width = domain.schema().len();
        let onto = |expr: &Expr, is_joined: bool| {
            expr.replace(&mut |expr| match expr {
                Expr::Column { index, logical } => Some(Expr::column(
                    width + index,
                    logical.clone().with_nullable(logical.nullable || is_joined),
                )),
                Expr::Pending { what: Pending::Outer, index, logical } => {
                    Some(Expr::column(*index, logical.clone()))
                }
                _ => None,
            })
        };
        let condition = Expr::all(pulled.predicates.iter().map(|expr| onto(expr, false)).collect());
        let rel = Rel::join(domain, pulled.rel, JoinKind::Left, condition);
        let outputs = pulled.outputs.iter().map(|expr| onto(expr, true)).collect();
        let predicates = self.same_as_outer(&rel, 0)?;
        Ok(PulledUp { rel, outputs, predicates, one_row: false })
    }

    /// That the columns of `rel` from `first` on are those of the query around.
    fn same_as_outer(&mut self, rel: &Rel, first: usize) -> SqlResult<Vec<Expr>> {
        let outer = self.outer.clone();
        let conditions = outer.iter().enumerate().map(|(index, expr)| {
            let logical = expr.logical();
            let name = if logical.nullable { "IS NOT DISTINCT FROM" } else { "=" };
            let column = Expr::column(first + index, rel.schema().logical(first + index));
            self.binder.call(name, vec![column, Expr::Pending { what: Pending::Outer, index, logical }])
        });
        conditions.collect()
    }

    fn domain(&mut self) -> Rel {
        let (around, outer) = (&self.around, &self.outer);
        let domain = self.domain.get_or_insert_with(|| {
            let width = outer.len();
            named(around.clone(), outer.clone()).aggregate((0..width).collect(), Vec::new())
        });
        domain.clone()
    }

    /// What `input` gives for each value of the query around, with those values behind.
    fn with_domain_columns(&mut self, input: &Rel) -> SqlResult<Rel> {
        let pulled = self.pull_rows(input)?;
        let pulled = self.with_domain(pulled)?;
        let width = pulled.rel.schema().len();
        let mut exprs = pulled.outputs;
        exprs.extend(pulled.rel.all_columns().drain(width - self.outer.len()..));
        Ok(named(pulled.rel, exprs))
    }

    /// A node over inputs which have the columns of the domain behind those that `rel` has.
    fn over_domain(&mut self, rel: &Rel, first: &Rel, kind: RelKind) -> SqlResult<PulledUp> {
        let width = rel.schema().len();
        let mut columns = rel.schema().columns().to_vec();
        columns.extend(first.schema().columns().iter().skip(width).cloned());
        let over = Rel::new(Schema::new(columns), kind).with_hints(rel.hints());
        let predicates = self.same_as_outer(&over, width)?;
        let outputs = over.all_columns().drain(..width).collect();
        Ok(PulledUp { rel: over, outputs, predicates, one_row: false })
    }
}

/// What a node gives whose input has `width` columns of its own, and `compared` behind them that conditions compare.
fn behind(rel: Rel, width: usize, compared: usize, predicates: Vec<Expr>) -> PulledUp {
    let mut outputs = rel.all_columns();
    outputs.drain(width..width + compared);
    PulledUp { rel, outputs, predicates, one_row: false }
}

/// `pulled` with a column for each of its outputs.
fn materialized(pulled: PulledUp) -> PulledUp {
    let own = pulled.outputs.len();
    let width = pulled.rel.schema().len();
    let mut exprs = pulled.outputs;
    exprs.extend(pulled.rel.all_columns());
    debug_assert_eq!(exprs.len(), own + width);
    let predicates = pulled.predicates.iter().map(|expr| expr.map_columns(&|column| own + column)).collect();
    let rel = named(pulled.rel, exprs);
    let outputs = rel.all_columns().drain(..own).collect();
    PulledUp { rel, outputs, predicates, one_row: pulled.one_row }
}

/// `expr`, of a sub-query behind whose `width` columns those of the domain are.
fn over_domain_behind(expr: &Expr, width: usize) -> Expr {
    expr.replace(&mut |expr| match expr {
        Expr::Pending { what: Pending::Outer, index, logical } => {
            Some(Expr::column(width + index, logical.clone()))
        }
        _ => None,
    })
}

fn named(rel: Rel, exprs: Vec<Expr>) -> Rel {
    let names = exprs.iter().enumerate().map(|(index, expr)| super::aggregates::name_of(&rel, expr, index));
    let names = names.collect();
    rel.project(exprs, names)
}

/// The two sides of a comparison for equality, when one is of the sub-query alone and the other of the query around.
fn compared(predicate: &Expr) -> Option<(Expr, Expr)> {
    let ("=" | "IS NOT DISTINCT FROM", [one, other]) = predicate.as_call()? else { return None };
    let is_inner = |expr: &Expr| !has_outer(expr);
    let is_outer = |expr: &Expr| has_outer(expr) && !expr.any(|expr| matches!(expr, Expr::Column { .. }));
    match (one, other) {
        (inner, outer) if is_inner(inner) && is_outer(outer) => Some((inner.clone(), outer.clone())),
        (outer, inner) if is_inner(inner) && is_outer(outer) => Some((inner.clone(), outer.clone())),
        _ => None,
    }
}

pub(super) fn has_outer(expr: &Expr) -> bool {
    expr.any(|expr| matches!(expr, Expr::Pending { what: Pending::Outer, .. }))
}

fn is_count(kind: &AggregateKind) -> bool {
    matches!(kind, AggregateKind::Count | AggregateKind::SumOrZero)
}

/// Whether a function of no rows is NULL.
fn is_null_of_nothing(kind: &AggregateKind) -> bool {
    matches!(
        kind,
        AggregateKind::Sum
            | AggregateKind::Avg
            | AggregateKind::Min
            | AggregateKind::Max
            | AggregateKind::FirstValue
            | AggregateKind::LastValue
            | AggregateKind::SingleValue
            | AggregateKind::Variance { .. }
            | AggregateKind::ListAgg { .. }
            | AggregateKind::Percentile { .. }
    )
}

/// Whether a plan reads columns of the query around it.
fn reads_outer(rel: &Rel) -> bool {
    let mut seen = std::collections::HashSet::new();
    let mut waiting = vec![rel.clone()];
    while let Some(rel) = waiting.pop() {
        if !seen.insert(rel.identity()) {
            continue;
        }
        let reads = match rel.kind() {
            RelKind::Project { exprs, .. } => exprs.iter().any(has_outer),
            RelKind::Filter { predicate, .. } => has_outer(predicate),
            RelKind::Watermark { watermark, .. } => has_outer(watermark),
            RelKind::Join { condition, .. } => has_outer(condition),
            RelKind::Temporal { condition, time, .. } => has_outer(condition) || has_outer(time),
            RelKind::Correlate { function, .. } => function.arguments.iter().any(has_outer),
            _ => false,
        };
        if reads {
            return true;
        }
        waiting.extend(crate::rules::inputs(&rel));
    }
    false
}
