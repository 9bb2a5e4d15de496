//! `SELECT`.

use sqlparser::ast::{
    self, Distinct, GroupByExpr, OrderByExpr, Select, SelectItem, SelectItemQualifiedWildcardKind, Spanned,
};

use super::aggregates::{BoundAggregate, project_unless_same};
use super::expressions::Site;
use super::hints::BlockHints;
use super::over::{BoundOver, direction};
use super::query::ordinal;
use super::subqueries::{Attached, placed, read_in};
use super::{Binder, Scope};
use crate::error::{SqlError, SqlResult};
use crate::expr::{Expr, Pending, literal};
use crate::plan::{Rel, SortKey};
use crate::types::TypeRoot;

/// How many grouping sets a query may have: each multiplies the rows.
const MOST_SETS: usize = 4096;

/// What `GROUP BY` says.
#[derive(Default)]
struct Grouping {
    keys: Vec<Expr>,
    /// The same with the values of sub-queries in their places, where there are any.
    computed: Vec<Expr>,
    /// Where each key stands, for errors.
    sets: Option<Vec<Vec<usize>>>,
}

impl Binder<'_> {
    /// Binds a select with the `ORDER BY` behind it. The keys of the order are columns of the result, of which the first are
    /// those that the select says.
    pub(super) fn select(
        &mut self,
        select: &Select,
        order: &[OrderByExpr],
    ) -> SqlResult<(Rel, Vec<SortKey>, usize)> {
        refuse(select)?;
        let place = select.span();
        let hints = BlockHints::of(select).map_err(|error| error.at(place))?;
        let around = std::mem::replace(&mut self.hints, hints);
        let bound = self.select_hinted(select, order);
        let hints = std::mem::replace(&mut self.hints, around);
        let (rel, keys, visible) = bound?;
        let rel = hints
            .over_groups(rel, &select.from, &|name| self.full_name(name))
            .map_err(|error| error.at(place))?;
        Ok((rel, keys, visible))
    }

    fn select_hinted(
        &mut self,
        select: &Select,
        order: &[OrderByExpr],
    ) -> SqlResult<(Rel, Vec<SortKey>, usize)> {
        let (rel, scope) = self.from(&select.from)?;
        self.hints.input = Some(rel.identity());
        let (rel, scope) = match &select.selection {
            Some(condition) => self.filtered(rel, scope, condition)?,
            None => (rel, scope),
        };
        self.select_over(select, order, rel, scope)
    }

    /// Binds what follows `FROM` and `WHERE`.
    pub(super) fn select_over(
        &mut self,
        select: &Select,
        order: &[OrderByExpr],
        rel: Rel,
        scope: Scope,
    ) -> SqlResult<(Rel, Vec<SortKey>, usize)> {
        let (rel, scope, group_window) = self.group_windows(&select.group_by, rel, scope)?;
        let mut site = Site::plain(&scope, "SELECT");
        site.windows = &select.named_window;
        site.group_window = group_window;
        let mut grouping = self.grouping(&select.group_by, &mut site)?;
        let is_grouped = is_grouped(select);
        site.grouped = !grouping.keys.is_empty();
        site.aggregates = Ok(Vec::new());
        site.overs = Ok(Vec::new());
        let (mut exprs, mut names) = self.items(select, &mut site)?;
        let having = match &select.having {
            Some(having) => {
                let overs = std::mem::replace(&mut site.overs, Err("HAVING"));
                site.unknown_is_false = true;
                let bound = self.condition(having, &mut site, "HAVING")?;
                site.unknown_is_false = false;
                site.overs = overs;
                Some(bound)
            }
            None => None,
        };
        let visible = exprs.len();
        let mut keys = Vec::with_capacity(order.len());
        for key in order {
            let column = self.order_column(key, visible, &mut exprs, &mut names, &mut site)?;
            let (descending, nulls_first) = direction(key);
            keys.push(SortKey { column, descending, nulls_first });
        }
        let (mut aggregates, mut overs) =
            (site.aggregates.unwrap_or_default(), site.overs.unwrap_or_default());
        let mut attached = site.subqueries;
        let (mut rel, mut having) = (rel, having);
        if is_grouped || !aggregates.is_empty() || select.having.is_some() {
            let of_calls = aggregates.iter().flat_map(|call| call.arguments.iter().chain(&call.filter));
            let within = read_in(&attached, of_calls.chain(&grouping.keys));
            if !within.is_empty() {
                let (joined, values) = self.attach(rel, &within)?;
                rel = joined;
                for call in &mut aggregates {
                    for expr in call.arguments.iter_mut().chain(&mut call.filter) {
                        *expr = placed(expr, &values);
                    }
                }
                grouping.computed = grouping.keys.iter().map(|key| placed(key, &values)).collect();
            }
            (rel, exprs, having, overs, attached) =
                self.grouped(rel, &scope, &grouping, &aggregates, exprs, having, overs, &attached)?;
        }
        // Behind the groups: they are values beside those of each group.
        let of_overs = overs.iter().flat_map(BoundOver::exprs);
        let beside = read_in(&attached, exprs.iter().chain(&having).chain(of_overs));
        if !beside.is_empty() {
            let (joined, values) = self.attach(rel, &beside)?;
            rel = joined;
            let place = |expr: &Expr| Ok(placed(expr, &values));
            exprs = exprs.iter().map(place).collect::<SqlResult<_>>()?;
            having = having.as_ref().map(place).transpose()?;
            overs = overs.iter().map(|over| over.map(&mut |expr| place(expr))).collect::<SqlResult<_>>()?;
        }
        if let Some(having) = having {
            rel = rel.filter(having);
        }
        if !overs.is_empty() {
            let width = rel.schema().len();
            rel = self.windows_over(rel, &overs)?;
            let placed = rel.clone();
            let place = |expr: &Expr| match expr {
                Expr::Pending { what: Pending::Over, index, .. } => {
                    Some(Expr::column(width + index, placed.schema().logical(width + index)))
                }
                _ => None,
            };
            exprs = exprs.iter().map(|expr| expr.replace(&mut { place })).collect();
        }
        let mut rel = project_unless_same_named(rel, exprs, names);
        if matches!(select.distinct, Some(Distinct::Distinct)) {
            if visible < rel.schema().len() {
                return Err(SqlError::semantic(
                    "behind SELECT DISTINCT, ORDER BY takes columns of the result only",
                ));
            }
            let width = rel.schema().len();
            rel = rel.aggregate((0..width).collect(), Vec::new());
        }
        Ok((rel, keys, visible))
    }

    /// The column of the result that a key of `ORDER BY` is; one is added when it is none of the list.
    fn order_column(
        &mut self,
        key: &OrderByExpr,
        visible: usize,
        exprs: &mut Vec<Expr>,
        names: &mut Vec<String>,
        site: &mut Site<'_>,
    ) -> SqlResult<usize> {
        if let Some(column) = ordinal(&key.expr, visible)? {
            return Ok(column);
        }
        if let ast::Expr::Identifier(name) = &key.expr
            && let Some(column) = names.iter().take(visible).position(|known| *known == name.value)
        {
            return Ok(column);
        }
        let bound = self.expr(&key.expr, site)?;
        if let Some(column) = exprs.iter().position(|known| *known == bound) {
            return Ok(column);
        }
        names.push(format!("$s{}", exprs.len()));
        exprs.push(bound);
        Ok(exprs.len() - 1)
    }

    /// The list of a select, `*` written out.
    fn items(&mut self, select: &Select, site: &mut Site<'_>) -> SqlResult<(Vec<Expr>, Vec<String>)> {
        let mut exprs = Vec::new();
        let mut names = Vec::new();
        for item in &select.projection {
            match item {
                SelectItem::Wildcard(_) => {
                    if select.from.is_empty() {
                        return Err(SqlError::semantic("SELECT * needs a FROM").at(item.span()));
                    }
                    for (index, column) in site.scope.star() {
                        exprs.push(Expr::column(index, column.logical.clone()));
                        names.push(column.name.clone());
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(table), _) => {
                    let (parts, position) = crate::catalog::name_parts(table)?;
                    let name = parts.last().copied().unwrap_or_default();
                    if site.scope.has_table(name) {
                        for index in site.scope.of_table(name) {
                            let column = &site.scope.columns()[index];
                            exprs.push(Expr::column(index, column.logical.clone()));
                            names.push(column.name.clone());
                        }
                        continue;
                    }
                    // `row.*`: all fields of a row.
                    let name = ast::Ident::new(name);
                    let found = site.scope.find(None, &name)?;
                    let row =
                        found.map(|index| Expr::column(index, site.scope.columns()[index].logical.clone()));
                    let Some((row, TypeRoot::Row(fields))) = row.map(|row| (row.clone(), row.logical().root))
                    else {
                        return Err(
                            SqlError::name(format!("there is no table '{}' here", name.value)).at(position)
                        );
                    };
                    for field in &fields {
                        exprs.push(super::expressions::field(row.clone(), &field.name)?);
                        names.push(field.name.clone());
                    }
                }
                SelectItem::UnnamedExpr(expr) => {
                    let bound = self.expr(expr, site)?;
                    names.push(derived_name(expr, exprs.len()));
                    exprs.push(bound);
                }
                SelectItem::ExprWithAlias { alias, .. } if alias.quote_style == Some('\'') => {
                    return Err(SqlError::syntax(format!("the string '{}' is no name", alias.value))
                        .hint("names stand in backquotes where they must")
                        .at(alias.span));
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    exprs.push(self.expr(expr, site)?);
                    names.push(alias.value.clone());
                }
                other => {
                    return Err(
                        SqlError::unsupported(format!("'{other}' cannot stand in SELECT")).at(other.span())
                    );
                }
            }
        }
        // NULL alone is a string to whoever reads it.
        for expr in &mut exprs {
            if expr.logical().root == TypeRoot::Null {
                *expr = self.implicit_cast(literal::null(), &TypeRoot::STRING.nullable())?;
            }
        }
        Ok((exprs, names))
    }

    fn grouping(&mut self, group_by: &GroupByExpr, site: &mut Site<'_>) -> SqlResult<Grouping> {
        let GroupByExpr::Expressions(all, modifiers) = group_by else {
            return Err(SqlError::unsupported("Flink has no GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(SqlError::unsupported("Flink has no GROUP BY … WITH")
                .hint("write GROUP BY ROLLUP (…), CUBE (…) or GROUPING SETS (…)"));
        }
        let mut grouping = Grouping::default();
        let key = |binder: &mut Self,
                   ast: &ast::Expr,
                   keys: &mut Vec<Expr>,
                   site: &mut Site<'_>|
         -> SqlResult<usize> {
            let bound = match ast {
                ast::Expr::Function(function) if site.group_window.is_some() && is_group_window(function) => {
                    // Both ends, so that each window is a group.
                    let [start, end, time] = site.group_window.unwrap_or_default();
                    for column in [start, end] {
                        keys.push(Expr::column(column, site.scope.columns()[column].logical.clone()));
                    }
                    Expr::column(time, site.scope.columns()[time].logical.clone())
                }
                ast => binder.expr(ast, site)?,
            };
            Ok(keys.iter().position(|known| *known == bound).unwrap_or_else(|| {
                keys.push(bound);
                keys.len() - 1
            }))
        };
        // What each item of GROUP BY groups by: one set, or several of which each is taken with each of the others'.
        let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
        let mut has_sets = false;
        for item in all {
            let alternatives: Vec<Vec<&ast::Expr>> = match item {
                ast::Expr::GroupingSets(sets) => {
                    has_sets = true;
                    sets.iter().map(|set| set.iter().collect()).collect()
                }
                ast::Expr::Rollup(parts) => {
                    has_sets = true;
                    (0..=parts.len()).rev().map(|n| parts[..n].iter().flatten().collect()).collect()
                }
                ast::Expr::Cube(parts) => {
                    has_sets = true;
                    if parts.len() > 10 {
                        return Err(SqlError::semantic("CUBE takes at most 10 expressions").at(item.span()));
                    }
                    (0..1usize << parts.len())
                        .rev()
                        .map(|mask| {
                            let chosen = parts
                                .iter()
                                .enumerate()
                                .filter(|(i, _)| mask >> (parts.len() - 1 - i) & 1 == 1);
                            chosen.flat_map(|(_, part)| part).collect()
                        })
                        .collect()
                }
                // `GROUP BY ()`: all rows.
                ast::Expr::Tuple(none) if none.is_empty() => vec![Vec::new()],
                ast::Expr::Tuple(some) => vec![some.iter().collect()],
                plain => vec![vec![plain]],
            };
            if sets.len() * alternatives.len() > MOST_SETS {
                return Err(SqlError::semantic(format!("a query groups by at most {MOST_SETS} sets"))
                    .hint("ROLLUP, CUBE and GROUPING SETS beside one another multiply")
                    .at(item.span()));
            }
            let mut combined = Vec::with_capacity(sets.len() * alternatives.len());
            for before in &sets {
                for alternative in &alternatives {
                    let mut set = before.clone();
                    for ast in alternative {
                        let index = key(self, ast, &mut grouping.keys, site)?;
                        if !set.contains(&index) {
                            set.push(index);
                        }
                    }
                    combined.push(set);
                }
            }
            sets = combined;
        }
        if has_sets {
            grouping.sets = Some(sets);
        }
        Ok(grouping)
    }

    /// Groups, and brings everything that is computed of groups over the columns of the result.
    #[allow(clippy::too_many_arguments)] // All parts of one select.
    fn grouped(
        &mut self,
        rel: Rel,
        scope: &Scope,
        grouping: &Grouping,
        aggregates: &[BoundAggregate],
        exprs: Vec<Expr>,
        having: Option<Expr>,
        overs: Vec<BoundOver>,
        attached: &[Attached],
    ) -> SqlResult<(Rel, Vec<Expr>, Option<Expr>, Vec<BoundOver>, Vec<Attached>)> {
        let keys = if grouping.computed.is_empty() { &grouping.keys } else { &grouping.computed };
        let grouped = self.group(rel, keys, grouping.sets.as_deref(), aggregates)?;
        let schema = grouped.schema().clone();
        let set_column = grouping.keys.len() + aggregates.len();
        let mut regroup = |expr: &Expr| -> SqlResult<Expr> {
            let mut missing = None;
            let replaced = expr.replace(&mut |expr| {
                if let Some(key) = grouping.keys.iter().position(|key| key == expr) {
                    return Some(Expr::column(key, schema.logical(key)));
                }
                match expr {
                    Expr::Pending { what: Pending::Aggregate, index, .. } => {
                        let column = grouping.keys.len() + index;
                        Some(Expr::column(column, schema.logical(column)))
                    }
                    Expr::Call { function, arguments }
                        if matches!(&*function.name, "GROUPING" | "GROUPING_ID") =>
                    {
                        Some(grouping_id(arguments, grouping, set_column))
                    }
                    Expr::Column { index, .. } => {
                        missing.get_or_insert(*index);
                        None
                    }
                    _ => None,
                }
            });
            match missing.and_then(|index| scope.columns().get(index)) {
                None => Ok(replaced),
                Some(column) => Err(SqlError::semantic(format!(
                    "'{}' is neither in GROUP BY nor within an aggregate function",
                    column.name
                ))
                .hint("group by it, or take one of its values: MAX(…), FIRST_VALUE(…)")),
            }
        };
        let exprs = exprs.iter().map(&mut regroup).collect::<SqlResult<Vec<_>>>()?;
        let having = having.as_ref().map(&mut regroup).transpose()?;
        let overs = overs.iter().map(|over| over.map(&mut regroup)).collect::<SqlResult<Vec<_>>>()?;
        let of_overs = overs.iter().flat_map(BoundOver::exprs);
        let beside = read_in(attached, exprs.iter().chain(&having).chain(of_overs));
        let attached = beside.iter().map(|one| one.map(&mut regroup)).collect::<SqlResult<_>>()?;
        Ok((grouped, exprs, having, overs, attached))
    }
}

/// Which of `arguments` are not in the set of the row: a bit each, the first the highest.
fn grouping_id(arguments: &[Expr], grouping: &Grouping, set_column: usize) -> Expr {
    let Some(sets) = &grouping.sets else { return Expr::bigint(0) };
    let column = Expr::column(set_column, TypeRoot::BigInt.not_null());
    let branches = sets.iter().enumerate().map(|(number, set)| {
        let id = arguments.iter().fold(0i64, |id, argument| {
            let within =
                grouping.keys.iter().position(|key| key == argument).is_some_and(|key| set.contains(&key));
            id << 1 | i64::from(!within)
        });
        let number = i64::try_from(number).unwrap_or_default();
        let is_set = Expr::InList {
            input: Box::new(column.clone()),
            list: vec![datafusion_common::ScalarValue::Int64(Some(number))],
            negated: false,
        };
        (is_set, Expr::bigint(id))
    });
    Expr::Case {
        branches: branches.collect(),
        otherwise: Box::new(Expr::bigint(0)),
        logical: TypeRoot::BigInt.not_null(),
    }
}

fn project_unless_same_named(rel: Rel, exprs: Vec<Expr>, names: Vec<String>) -> Rel {
    if rel.schema().names() == names.iter().map(String::as_str).collect::<Vec<_>>() {
        return project_unless_same(rel, exprs, names);
    }
    rel.project(exprs, names)
}

fn is_grouped(select: &Select) -> bool {
    match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(all, _) => !all.is_empty(),
    }
}

/// Whether a call in `GROUP BY` is one of the older windows.
pub(super) fn is_group_window(function: &ast::Function) -> bool {
    let name = function.name.to_string().to_uppercase();
    matches!(name.as_str(), "TUMBLE" | "HOP" | "SESSION")
}

/// The name of a column that has none: that of the column or field that it is, else its number.
fn derived_name(expr: &ast::Expr, index: usize) -> String {
    match expr {
        ast::Expr::Identifier(name) => name.value.clone(),
        ast::Expr::CompoundIdentifier(parts) => {
            parts.last().map(|part| part.value.clone()).unwrap_or_default()
        }
        ast::Expr::Nested(inner) => derived_name(inner, index),
        _ => format!("EXPR${index}"),
    }
}

/// What `sqlparser` reads in a select, but Flink does not.
pub(super) fn refuse(select: &Select) -> SqlResult<()> {
    let what = if select.top.is_some() {
        "TOP"
    } else if select.into.is_some() {
        "SELECT INTO"
    } else if !select.lateral_views.is_empty() {
        "LATERAL VIEW"
    } else if select.qualify.is_some() {
        "QUALIFY"
    } else if !select.connect_by.is_empty() {
        "CONNECT BY"
    } else if !(select.cluster_by.is_empty() && select.distribute_by.is_empty() && select.sort_by.is_empty())
    {
        "CLUSTER BY, DISTRIBUTE BY or SORT BY"
    } else if matches!(select.distinct, Some(Distinct::On(_))) {
        "DISTINCT ON"
    } else {
        return Ok(());
    };
    Err(SqlError::unsupported(format!("Flink has no {what}")).at(select.span()))
}
