//! `MATCH_RECOGNIZE`.

use std::sync::Arc;

use sqlparser::ast::{
    self, AfterMatchSkip, FunctionArg, FunctionArgExpr, Ident, OrderByExpr, RowsPerMatch, Spanned,
    SymbolDefinition, TableFactor,
};

use super::expressions::Site;
use super::from::aliased;
use super::over::direction;
use super::pattern_calls::{PatternSite, pattern_scope};
use super::pattern_variables::variables;
use super::{Binder, Scope};
use crate::error::{SqlError, SqlResult, nearest};
use crate::expr::{Expr, literal};
use crate::parser::statement::{SUBQUERY, WITHIN};
use crate::plan::{
    AfterMatch, Column, MatchExprs, MatchRead, MatchSpec, MatchVariable, Rel, RelKind, Schema, SortKey,
    TimeAttribute,
};
use crate::types::TypeRoot;

impl Binder<'_> {
    pub(super) fn match_recognize(&mut self, factor: &TableFactor) -> SqlResult<(Rel, Scope)> {
        let TableFactor::MatchRecognize {
            table,
            partition_by,
            order_by,
            measures,
            rows_per_match,
            after_match_skip,
            pattern,
            symbols,
            alias,
        } = factor
        else {
            return Err(SqlError::internal("MATCH_RECOGNIZE is expected"));
        };
        if matches!(rows_per_match, Some(RowsPerMatch::AllRows(_))) {
            return Err(SqlError::unsupported("ALL ROWS PER MATCH is not supported, as in Flink")
                .hint("ONE ROW PER MATCH is"));
        }
        let (input, scope) = self.matched_input(table)?;
        let mut partition = Vec::with_capacity(partition_by.len());
        for ast in partition_by {
            let mut site = Site::plain(&scope, "PARTITION BY");
            partition.push(self.expr(ast, &mut site)?.as_column().ok_or_else(|| {
                SqlError::unsupported("PARTITION BY of MATCH_RECOGNIZE takes columns")
                    .hint("compute it in a sub-query in front of MATCH_RECOGNIZE")
                    .at(ast.span())
            })?);
        }
        let (order, time) = self.match_order(order_by, &input, &scope)?;
        let found = variables(pattern)?;
        let names: Vec<&str> = found.iter().map(|(name, _)| name.value.as_str()).collect();
        let (within, symbols) = self.within(symbols)?;
        for (index, symbol) in symbols.iter().enumerate() {
            if symbols[..index].iter().any(|known| known.symbol.value == symbol.symbol.value) {
                return Err(SqlError::semantic(format!("'{}' is defined twice", symbol.symbol.value))
                    .at(symbol.symbol.span));
            }
        }
        let over = pattern_scope(input.schema(), &names);
        let rowtime = match (time, order.first()) {
            (TimeAttribute::Row, Some(key)) => Some(match input.schema().logical(key.column).root {
                TypeRoot::TimestampLtz(_) => TypeRoot::TimestampLtz(3).nullable(),
                _ => TypeRoot::Timestamp(3).nullable(),
            }),
            _ => None,
        };
        let width = input.schema().len();
        let mut of_pattern = Vec::with_capacity(found.len());
        for (index, (name, times)) in found.iter().enumerate() {
            let defined = symbols.iter().find(|symbol| symbol.symbol.value == name.value);
            let conditions = match defined {
                None => MatchExprs::default(),
                Some(symbol) => {
                    self.condition_of(symbol, PatternSite::new(width, Some(index), None), &over)?
                }
            };
            of_pattern.push(MatchVariable { name: name.value.as_str().into(), times: *times, conditions });
        }
        // Flink looks at definitions of variables that do not occur, and makes nothing of them.
        for symbol in symbols.iter().filter(|symbol| !names.contains(&symbol.symbol.value.as_str())) {
            self.condition_of(symbol, PatternSite::new(width, Some(usize::MAX), None), &over)?;
        }
        let measured = self.measures(measures, PatternSite::new(width, None, rowtime), &over)?;
        let skip = match after_match_skip {
            Some(AfterMatchSkip::PastLastRow) => AfterMatch::PastLastRow,
            // Neither Flink nor Calcite follow the standard here.
            None | Some(AfterMatchSkip::ToNextRow) => AfterMatch::ToNextRow,
            Some(AfterMatchSkip::ToFirst(name)) => AfterMatch::ToFirst(variable(name, &names)?),
            Some(AfterMatchSkip::ToLast(name)) => AfterMatch::ToLast(variable(name, &names)?),
        };
        // In the order of the table, whatever the order of PARTITION BY is.
        partition.sort_unstable();
        partition.dedup();
        let mut columns: Vec<Column> = Vec::with_capacity(partition.len() + measures.len());
        for key in &partition {
            let Some(column) = input.schema().column(*key) else { continue };
            columns.push(Column { time: None, ..column.clone() });
        }
        for (measure, expr) in measures.iter().zip(&measured.exprs) {
            let name = measure.alias.value.clone();
            if columns.iter().any(|column| column.name == name) {
                return Err(SqlError::semantic(format!("there are two columns '{name}' in the result"))
                    .at(measure.alias.span));
            }
            columns.push(Column { name, logical: expr.logical(), time: time_of(expr, &measured) });
        }
        if columns.is_empty() {
            return Err(SqlError::semantic(
                "a match has neither PARTITION BY nor MEASURES: it has no columns",
            ));
        }
        let spec =
            MatchSpec { partition, order, time, variables: of_pattern, skip, within, measures: measured };
        let rel = Rel::new(Schema::new(columns), RelKind::Match { input, spec: Arc::new(spec) });
        aliased(rel, alias.as_ref(), None)
    }

    /// What stands in front of `MATCH_RECOGNIZE`.
    fn matched_input(&mut self, table: &TableFactor) -> SqlResult<(Rel, Scope)> {
        if let TableFactor::Table { name, alias, args: Some(args), .. } = table
            && name.to_string() == SUBQUERY
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Subquery(query)))] = &args.args[..]
        {
            let rel = self.query(query)?;
            return aliased(rel, alias.as_ref(), None);
        }
        self.factor(table, None)?.alone()
    }

    fn match_order(
        &mut self,
        order_by: &[OrderByExpr],
        input: &Rel,
        scope: &Scope,
    ) -> SqlResult<(Vec<SortKey>, TimeAttribute)> {
        let mut order = Vec::with_capacity(order_by.len());
        for key in order_by {
            let mut site = Site::plain(scope, "ORDER BY");
            let column = self.expr(&key.expr, &mut site)?.as_column().ok_or_else(|| {
                SqlError::unsupported("ORDER BY of MATCH_RECOGNIZE takes columns").at(key.expr.span())
            })?;
            let (descending, nulls_first) = direction(key);
            order.push(SortKey { column, descending, nulls_first });
        }
        let (Some(first), Some(ast)) = (order.first(), order_by.first()) else {
            return Err(SqlError::semantic(
                "MATCH_RECOGNIZE needs an ORDER BY that begins with a time attribute",
            ));
        };
        let column = input.schema().column(first.column);
        let Some(time) = column.and_then(|column| column.time) else {
            return Err(SqlError::semantic("ORDER BY of MATCH_RECOGNIZE must begin with a time attribute")
                .hint("a column with a WATERMARK, or one AS PROCTIME(), passed on unchanged")
                .at(ast.expr.span()));
        };
        if first.descending {
            return Err(SqlError::semantic("the time that MATCH_RECOGNIZE orders by must be ascending")
                .at(ast.expr.span()));
        }
        Ok((order, time))
    }

    /// The length of `WITHIN`, and the definitions.
    fn within<'d>(
        &mut self,
        symbols: &'d [SymbolDefinition],
    ) -> SqlResult<(Option<i64>, &'d [SymbolDefinition])> {
        let [first, rest @ ..] = symbols else { return Ok((None, symbols)) };
        if first.symbol.value != WITHIN {
            return Ok((None, symbols));
        }
        let none = Scope::default();
        let mut site = Site::plain(&none, "WITHIN");
        let bound = self.expr(&first.definition, &mut site)?;
        let millis = literal::as_millis(&bound).ok_or_else(|| {
            SqlError::unsupported("WITHIN takes a literal interval of days to seconds, as in Flink")
                .at(first.definition.span())
        })?;
        Ok((Some(millis).filter(|millis| *millis > 0), rest))
    }

    fn condition_of(
        &mut self,
        symbol: &SymbolDefinition,
        pattern: PatternSite,
        scope: &Scope,
    ) -> SqlResult<MatchExprs> {
        let mut site = Site::plain(scope, "DEFINE");
        site.pattern = Some(pattern);
        let condition = self.condition(&symbol.definition, &mut site, "DEFINE")?;
        finished(site, condition.conjuncts()).map_err(|error| error.at(symbol.definition.span()))
    }

    fn measures(
        &mut self,
        measures: &[ast::Measure],
        pattern: PatternSite,
        scope: &Scope,
    ) -> SqlResult<MatchExprs> {
        let mut site = Site::plain(scope, "MEASURES");
        site.pattern = Some(pattern);
        let mut bound = Vec::with_capacity(measures.len());
        for measure in measures {
            bound.push(self.expr(&measure.expr, &mut site)?);
        }
        finished(site, bound)
    }
}

fn finished(site: Site<'_>, exprs: Vec<Expr>) -> SqlResult<MatchExprs> {
    if !site.subqueries.is_empty() {
        return Err(SqlError::unsupported("a sub-query cannot stand in MATCH_RECOGNIZE"));
    }
    site.pattern.map(|pattern| pattern.finish(exprs)).ok_or_else(|| SqlError::internal("a pattern went away"))
}

/// The variable called `name`.
fn variable(name: &Ident, names: &[&str]) -> SqlResult<usize> {
    names.iter().position(|known| *known == name.value).ok_or_else(|| {
        let error = SqlError::name(format!("there is no variable '{}' in PATTERN", name.value)).at(name.span);
        match nearest(&name.value, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean '{near}'?")),
            None => error.hint(format!("there are: {}", names.join(", "))),
        }
    })
}

/// Which time attribute a measure is.
fn time_of(measure: &Expr, measures: &MatchExprs) -> Option<TimeAttribute> {
    if measure.as_call().is_some_and(|(name, _)| name == "PROCTIME") {
        return Some(TimeAttribute::Processing);
    }
    match measures.reads.get(measure.as_column()?)? {
        MatchRead::Time { .. } => Some(TimeAttribute::Row),
        _ => None,
    }
}
