//! Expressions.

use std::str::FromStr;
use std::sync::Arc;

use datafusion_common::ScalarValue;
use sqlparser::ast::{
    self, AccessExpr, CastKind, CeilFloorKind, DateTimeField, Ident, InTarget, Spanned, Subscript,
    TrimWhereField, UnaryOperator, Value,
};

use super::own_calls::{described, mismatched};
use super::{Binder, Scope};
use crate::error::{Position, SqlError, SqlResult, nearest};
use crate::expr::compile::constant;
use crate::expr::{Expr, Function, literal};
use crate::functions::cast;
use crate::functions::registry;
use crate::parser::logical_type;
use crate::types::coercion::{common_type, comparison_type};
use crate::types::{LogicalType, TypeRoot};

use super::aggregates::BoundAggregate;
use super::over::BoundOver;
use super::pattern_calls::PatternSite;
use super::rows::are_rows;
use super::subqueries::Attached;

/// Where an expression stands, and what is found while it is bound.
pub(super) struct Site<'s> {
    /// The columns.
    pub(super) scope: &'s Scope,
    /// Aggregates that were found; `None` where there may be none, and why.
    pub(super) aggregates: Result<Vec<BoundAggregate>, &'static str>,
    /// Functions of `OVER` that were found; likewise.
    pub(super) overs: Result<Vec<BoundOver>, &'static str>,
    /// Scalar sub-queries that were found.
    pub(super) subqueries: Vec<Attached>,
    /// Whether it makes no difference if the expression is not true but NULL.
    pub(super) unknown_is_false: bool,
    /// The windows that `WINDOW` has named.
    pub(super) windows: &'s [ast::NamedWindowDefinition],
    /// Whether the rows are grouped, so that no group is empty.
    pub(super) grouped: bool,
    /// The start, end and time of the windows that `GROUP BY` says, as columns.
    pub(super) group_window: Option<[usize; 3]>,
    /// The pattern whose rows the expression is over, in `MATCH_RECOGNIZE`.
    pub(super) pattern: Option<PatternSite>,
    /// How deep the expression is nested.
    depth: usize,
}

/// Expressions deeper than this are refused: they are walked by recursion.
const MAX_EXPRESSION_DEPTH: usize = 400;

impl<'s> Site<'s> {
    /// A place where neither aggregates nor windows may stand, because it is `what`.
    pub(super) fn plain(scope: &'s Scope, what: &'static str) -> Self {
        Site {
            scope,
            aggregates: Err(what),
            overs: Err(what),
            subqueries: Vec::new(),
            unknown_is_false: false,
            windows: &[],
            grouped: false,
            group_window: None,
            pattern: None,
            depth: 0,
        }
    }

    /// What `TUMBLE_START(…)` and the like mean.
    pub(super) fn group_window_column(&self, name: &str) -> Option<Expr> {
        let (window, part) = name.split_once('_')?;
        if !matches!(window, "TUMBLE" | "HOP" | "SESSION") {
            return None;
        }
        let part = match part {
            "START" => 0,
            "END" => 1,
            "ROWTIME" | "PROCTIME" => 2,
            _ => return None,
        };
        let column = self.group_window?[part];
        self.scope.columns().get(column).map(|found| Expr::column(column, found.logical.clone()))
    }
}

impl Binder<'_> {
    /// Binds an expression.
    pub(super) fn expr(&mut self, ast: &ast::Expr, site: &mut Site<'_>) -> SqlResult<Expr> {
        site.depth += 1;
        if site.depth > MAX_EXPRESSION_DEPTH {
            return Err(SqlError::semantic(format!(
                "an expression is nested deeper than {MAX_EXPRESSION_DEPTH} levels"
            ))
            .at(ast.span()));
        }
        let unknown_is_false = site.unknown_is_false;
        site.unknown_is_false &= keeps_unknown(ast);
        let bound = self.expr_inner(ast, site).map_err(|error| error.at(ast.span()));
        site.unknown_is_false = unknown_is_false;
        site.depth -= 1;
        bound
    }

    fn exprs(&mut self, all: &[ast::Expr], site: &mut Site<'_>) -> SqlResult<Vec<Expr>> {
        all.iter().map(|ast| self.expr(ast, site)).collect()
    }

    fn expr_inner(&mut self, ast: &ast::Expr, site: &mut Site<'_>) -> SqlResult<Expr> {
        use ast::Expr as Ast;
        match ast {
            Ast::Identifier(name) => self.identifier(std::slice::from_ref(name), site),
            Ast::CompoundIdentifier(parts) => self.identifier(parts, site),
            Ast::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain, site),
            Ast::Nested(inner) => self.expr(inner, site),
            Ast::Value(value) => self.value(&value.value),
            Ast::TypedString(typed) => {
                let to = logical_type(&typed.data_type)?;
                let Value::SingleQuotedString(text) = &typed.value.value else {
                    return Err(SqlError::syntax("a string in quotes is expected"));
                };
                self.typed_literal(text, to)
            }
            Ast::Interval(interval) => self.interval(interval, site),
            Ast::BinaryOp { left, op, right } => self.binary(left, op, right, site),
            Ast::UnaryOp { op, expr } => match op {
                UnaryOperator::Not => {
                    let inner = self.condition(expr, site, "NOT")?;
                    Ok(negate(inner))
                }
                UnaryOperator::Plus => self.expr(expr, site),
                UnaryOperator::Minus => {
                    if let Ast::Value(value) = &**expr
                        && let Value::Number(text, _) = &value.value
                        && let Expr::Literal { value, logical } = literal::number(&format!("-{text}"))?
                    {
                        return Ok(Expr::Literal { value, logical });
                    }
                    let inner = self.expr(expr, site)?;
                    self.call("NEGATE", vec![inner])
                }
                other => Err(SqlError::unsupported(format!("Flink has no operator '{other}'"))),
            },
            Ast::IsNull(inner) => self.is_null(inner, false, site),
            Ast::IsNotNull(inner) => self.is_null(inner, true, site),
            Ast::IsUnknown(inner) => self.is_null(inner, false, site),
            Ast::IsNotUnknown(inner) => self.is_null(inner, true, site),
            Ast::IsTrue(inner) => self.is_truth(inner, true, false, site),
            Ast::IsNotTrue(inner) => self.is_truth(inner, true, true, site),
            Ast::IsFalse(inner) => self.is_truth(inner, false, false, site),
            Ast::IsNotFalse(inner) => self.is_truth(inner, false, true, site),
            Ast::IsDistinctFrom(one, two) => self.named("IS DISTINCT FROM", &[one, two], site),
            Ast::IsNotDistinctFrom(one, two) => self.named("IS NOT DISTINCT FROM", &[one, two], site),
            Ast::Between { expr, negated, low, high } => {
                let value = self.expr(expr, site)?;
                let low = self.expr(low, site)?;
                let high = self.expr(high, site)?;
                let least = self.call(">=", vec![value.clone(), low])?;
                let most = self.call("<=", vec![value, high])?;
                let between = Expr::And(vec![least, most]);
                Ok(if *negated { negate(between) } else { between })
            }
            Ast::In { expr, target, negated, .. } => match target {
                InTarget::List(list) => self.in_list(expr, list, *negated, site),
                InTarget::Subquery(query) => self.in_subquery(expr, query, *negated, site),
                other => Err(SqlError::unsupported(format!("Flink has no IN over '{other}'"))
                    .hint("IN takes values or a query in parentheses")),
            },
            Ast::Exists { subquery, negated } => self.exists(subquery, *negated, site),
            Ast::Subquery(query) => self.scalar_subquery(query, site),
            Ast::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like("LIKE", *negated, expr, pattern, escape_char.as_deref(), site)
            }
            Ast::SimilarTo { negated, expr, pattern, escape_char } => {
                self.like("SIMILAR TO", *negated, expr, pattern, escape_char.as_deref(), site)
            }
            Ast::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), site)
            }
            Ast::Cast { kind, expr, data_type, .. } => {
                let is_try = match kind {
                    CastKind::Cast => false,
                    CastKind::TryCast | CastKind::SafeCast => true,
                    CastKind::DoubleColon => {
                        return Err(SqlError::syntax("Flink has no '::'").hint("write CAST(value AS type)"));
                    }
                };
                let input = self.expr(expr, site)?;
                let to = logical_type(data_type)?;
                self.explicit_cast(input, &to, is_try)
            }
            Ast::Extract { field, expr, .. } => {
                let input = self.expr(expr, site)?;
                self.call("EXTRACT", vec![literal::text(&unit_name(field)), input])
            }
            Ast::Ceil { expr, field } => self.rounded_to_unit("CEIL", "CEIL_TO", expr, field, site),
            Ast::Floor { expr, field } => self.rounded_to_unit("FLOOR", "FLOOR_TO", expr, field, site),
            Ast::Position { expr, r#in } => self.named("POSITION", &[expr, r#in], site),
            Ast::Substring { expr, substring_from, substring_for, .. } => {
                let mut arguments = vec![self.expr(expr, site)?];
                arguments.push(match substring_from {
                    Some(from) => self.expr(from, site)?,
                    None => literal::number("1")?,
                });
                if let Some(length) = substring_for {
                    arguments.push(self.expr(length, site)?);
                }
                self.call("SUBSTRING", arguments)
            }
            Ast::Trim { expr, trim_where, trim_what, .. } => {
                let side = match trim_where {
                    None | Some(TrimWhereField::Both) => "BOTH",
                    Some(TrimWhereField::Leading) => "LEADING",
                    Some(TrimWhereField::Trailing) => "TRAILING",
                };
                let what = match trim_what {
                    Some(what) => self.expr(what, site)?,
                    None => literal::text(" "),
                };
                let input = self.expr(expr, site)?;
                self.call("TRIM", vec![literal::text(side), what, input])
            }
            Ast::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut parts: Vec<&ast::Expr> = vec![expr, overlay_what, overlay_from];
                parts.extend(overlay_for.as_deref());
                self.named("OVERLAY", &parts, site)
            }
            Ast::Array(array) => {
                let elements = self.exprs(&array.elem, site)?;
                self.call("ARRAY", elements)
            }
            Ast::Tuple(fields) => {
                let fields = self.exprs(fields, site)?;
                self.call("ROW", fields)
            }
            Ast::Function(function) => self.function(function, site),
            Ast::IsJson { expr, kind, negated, .. } => {
                let input = self.expr(expr, site)?;
                let kind = kind.as_ref().map_or_else(|| "VALUE".to_owned(), ToString::to_string);
                let is_json = self.call("IS JSON", vec![input, literal::text(&kind)])?;
                Ok(if *negated { negate(is_json) } else { is_json })
            }
            Ast::AnyOp { left, compare_op, right, .. } => {
                self.quantified(left, compare_op, right, false, site)
            }
            Ast::AllOp { left, compare_op, right } => self.quantified(left, compare_op, right, true, site),
            Ast::AtTimeZone { .. } => Err(SqlError::unsupported("Flink has no AT TIME ZONE")
                .hint("use CONVERT_TZ, or set 'table.local-time-zone'")),
            other => Err(SqlError::unsupported(format!("'{other}' is no expression of Flink SQL"))),
        }
    }

    /// A condition: its type is `BOOLEAN`.
    pub(super) fn condition(&mut self, ast: &ast::Expr, site: &mut Site<'_>, of: &str) -> SqlResult<Expr> {
        let bound = self.expr(ast, site)?;
        let logical = bound.logical();
        match logical.root {
            TypeRoot::Boolean => Ok(bound),
            TypeRoot::Null => self.implicit_cast(bound, &TypeRoot::Boolean.nullable()),
            other => {
                Err(SqlError::types(format!("{of} expects a condition, not a value of {other}"))
                    .at(ast.span()))
            }
        }
    }

    /// A column, or fields of one.
    fn identifier(&mut self, parts: &[Ident], site: &Site<'_>) -> SqlResult<Expr> {
        let [first, rest @ ..] = parts else { return Err(SqlError::syntax("a name is expected")) };
        if let Some((found, used)) = self.resolve(parts, site.scope)? {
            let column = &site.scope.columns()[found];
            let expr = Expr::column(found, column.logical.clone());
            return self.fields(expr, parts.get(used..).unwrap_or_default());
        }
        if let Some((column, used)) = self.outer_column(parts)? {
            return self.fields(column, parts.get(used..).unwrap_or_default());
        }
        if rest.is_empty() {
            // Functions without parentheses, where no column has their name.
            let name = first.value.to_uppercase();
            if first.quote_style.is_none() && registry::is_niladic(&name) {
                return self.call(&name, Vec::new());
            }
            if first.quote_style == Some('"') {
                return Err(SqlError::syntax(format!("\"{}\" is not a name in Flink", first.value))
                    .hint("names are quoted by backquotes, strings by single quotes")
                    .at(first.span));
            }
        }
        if let [table, column, ..] = parts
            && site.scope.has_table(&table.value)
        {
            let columns = site.scope.of_table(&table.value).map(|i| site.scope.columns()[i].name.as_str());
            let error =
                SqlError::name(format!("'{}' has no column '{}'", table.value, column.value)).at(column.span);
            return Err(match nearest(&column.value, columns) {
                Some(near) => error.hint(format!("did you mean '{near}'?")),
                None => error,
            });
        }
        if let [table, _, ..] = parts {
            let tables: Vec<&str> =
                site.scope.columns().iter().filter_map(|column| column.table.as_deref()).collect();
            if let Some(near) = nearest(&table.value, tables.iter().copied()) {
                return Err(SqlError::name(format!("there is no table or column '{}' here", table.value))
                    .hint(format!("did you mean '{near}'?"))
                    .at(table.span));
            }
        }
        Err(site.scope.unknown(first))
    }

    /// A column of a query around this one, the nearest that has it, and how many of `parts` say it.
    fn outer_column(&mut self, parts: &[Ident]) -> SqlResult<Option<(Expr, usize)>> {
        for level in (0..self.around.len()).rev() {
            let scope = &self.around[level].scope;
            let Some((index, used)) = self.resolve(parts, scope)? else { continue };
            let mut column = Expr::column(index, scope.columns()[index].logical.clone());
            // Every query in between has it from the one around it.
            for around in &mut self.around[level..] {
                column = around.read(column);
            }
            return Ok(Some((column, used)));
        }
        Ok(None)
    }

    /// The column that the first of `parts` say, and how many of them do.
    fn resolve(&self, parts: &[Ident], scope: &Scope) -> SqlResult<Option<(usize, usize)>> {
        for qualifiers in (1..parts.len().min(4)).rev() {
            // Of catalog.database.table.column, the table's name is what counts.
            let Some(table) = parts.get(qualifiers - 1) else { continue };
            let Some(column) = parts.get(qualifiers) else { continue };
            if let Some(found) = scope.find(Some(&table.value), column)? {
                return Ok(Some((found, qualifiers + 1)));
            }
        }
        let Some(first) = parts.first() else { return Ok(None) };
        Ok(scope.find(None, first)?.map(|found| (found, 1)))
    }

    /// `names`, each a field of what is before it.
    fn fields(&self, mut expr: Expr, names: &[Ident]) -> SqlResult<Expr> {
        for name in names {
            expr = field(expr, &name.value).map_err(|error| error.at(name.span))?;
        }
        Ok(expr)
    }

    fn access(&mut self, root: &ast::Expr, chain: &[AccessExpr], site: &mut Site<'_>) -> SqlResult<Expr> {
        let mut expr = self.expr(root, site)?;
        for access in chain {
            expr = match access {
                AccessExpr::Dot(ast::Expr::Identifier(name)) => {
                    field(expr, &name.value).map_err(|error| error.at(name.span))?
                }
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    let index = self.expr(index, site)?;
                    self.call("ITEM", vec![expr, index])?
                }
                other => {
                    return Err(SqlError::syntax(format!("'{other}' is no access to a field or an element")));
                }
            };
        }
        Ok(expr)
    }

    fn value(&self, value: &Value) -> SqlResult<Expr> {
        match value {
            Value::Number(text, _) => literal::number(text),
            Value::SingleQuotedString(text)
            | Value::UnicodeStringLiteral(text)
            | Value::NationalStringLiteral(text) => Ok(literal::text(text)),
            Value::Boolean(value) => Ok(Expr::boolean(*value)),
            Value::Null => Ok(literal::null()),
            Value::HexStringLiteral(text) => {
                let digits: Vec<u8> = text.bytes().collect();
                let bytes: Option<Vec<u8>> = digits
                    .chunks(2)
                    .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                    .collect();
                let bytes = bytes.filter(|_| digits.len().is_multiple_of(2)).ok_or_else(|| {
                    SqlError::syntax(format!("X'{text}' is not made of pairs of hexadecimal digits"))
                })?;
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                Ok(Expr::Literal {
                    value: ScalarValue::Binary(Some(bytes)),
                    logical: TypeRoot::Binary(length).not_null(),
                })
            }
            Value::DoubleQuotedString(text) => {
                Err(SqlError::syntax(format!("\"{text}\" is no string in Flink"))
                    .hint("strings are quoted by single quotes, names by backquotes"))
            }
            other => Err(SqlError::unsupported(format!("'{other}' is no literal of Flink SQL"))),
        }
    }

    /// `DATE '…'`, `TIMESTAMP '…'` and the like: a timestamp has as many digits of a second as are written.
    fn typed_literal(&mut self, text: &str, to: LogicalType) -> SqlResult<Expr> {
        let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len());
        let digits = u8::try_from(digits.min(9)).unwrap_or(9);
        let root = match to.root {
            TypeRoot::Timestamp(_) => TypeRoot::Timestamp(digits),
            TypeRoot::TimestampLtz(_) => TypeRoot::TimestampLtz(digits),
            TypeRoot::Time(_) => TypeRoot::Time(digits.min(3)),
            other => other,
        };
        let target = root.not_null();
        let cast = self.cast_call(literal::text(text), &target, false)?;
        let invalid = || SqlError::syntax(format!("'{text}' is no {}", target.root));
        let value = constant(&cast).map_err(|_| invalid())?;
        if value.is_null() {
            return Err(invalid());
        }
        Ok(Expr::Literal { value, logical: target })
    }

    fn interval(&mut self, interval: &ast::Interval, site: &mut Site<'_>) -> SqlResult<Expr> {
        let Some(leading) = &interval.leading_field else {
            return Err(SqlError::syntax("an interval needs a unit").hint("such as INTERVAL '5' MINUTE"));
        };
        let leading = unit_name(leading);
        let last = interval.last_field.as_ref().map(unit_name);
        match &*interval.value {
            ast::Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) | Value::Number(text, _) => {
                    literal::interval(text, &leading, last.as_deref())
                }
                other => Err(SqlError::syntax(format!("an interval's length is a string, not {other}"))),
            },
            other => {
                // `INTERVAL n MINUTE` with an expression: that many of the unit.
                let count = self.expr(other, site)?;
                let one = literal::interval("1", &leading, None)?;
                self.call("*", vec![count, one])
            }
        }
    }

    /// `(start, end) OVERLAPS (start, end)`.
    pub(super) fn overlaps(
        &mut self,
        left: &ast::Expr,
        right: &ast::Expr,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        let mut arguments = Vec::with_capacity(4);
        for side in [left, right] {
            match side {
                ast::Expr::Tuple(period) if period.len() == 2 => arguments.extend(self.exprs(period, site)?),
                other => {
                    return Err(SqlError::syntax("OVERLAPS stands between two periods: (start, end)")
                        .at(other.span()));
                }
            }
        }
        self.call("OVERLAPS", arguments)
    }

    fn named(&mut self, name: &str, arguments: &[&ast::Expr], site: &mut Site<'_>) -> SqlResult<Expr> {
        let bound = arguments.iter().map(|ast| self.expr(ast, site)).collect::<SqlResult<Vec<_>>>()?;
        self.call(name, bound)
    }

    fn is_null(&mut self, inner: &ast::Expr, negated: bool, site: &mut Site<'_>) -> SqlResult<Expr> {
        let input = self.expr(inner, site)?;
        if !input.is_nullable() && !matches!(input, Expr::Pending { .. }) {
            return Ok(Expr::boolean(negated));
        }
        Ok(Expr::IsNull { input: Box::new(input), negated })
    }

    fn is_truth(
        &mut self,
        inner: &ast::Expr,
        truth: bool,
        negated: bool,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        let input = self.condition(inner, site, "IS TRUE")?;
        Ok(Expr::IsTruth { input: Box::new(input), truth, negated })
    }

    fn like(
        &mut self,
        name: &str,
        negated: bool,
        expr: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::Expr>,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        let mut arguments = vec![self.expr(expr, site)?, self.expr(pattern, site)?];
        if let Some(escape) = escape {
            arguments.push(self.expr(escape, site)?);
        }
        let like = self.call(name, arguments)?;
        Ok(if negated { negate(like) } else { like })
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        else_result: Option<&ast::Expr>,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        let operand = operand.map(|operand| self.expr(operand, site)).transpose()?;
        let mut branches = Vec::with_capacity(conditions.len());
        for when in conditions {
            let condition = match &operand {
                None => self.condition(&when.condition, site, "WHEN")?,
                Some(operand) => self.when_any(operand, &when.condition, site)?,
            };
            branches.push((condition, self.expr(&when.result, site)?));
        }
        let otherwise = match else_result {
            Some(ast) => self.expr(ast, site)?,
            None => literal::null(),
        };
        let mut common = otherwise.logical();
        for (_, result) in &branches {
            common = common_type(&common, &result.logical()).ok_or_else(|| {
                SqlError::types(format!(
                    "the results of CASE have no type in common: {} and {}",
                    common.root,
                    result.logical().root
                ))
            })?;
        }
        let branches = branches
            .into_iter()
            .map(|(condition, result)| Ok((condition, self.implicit_cast(result, &common)?)))
            .collect::<SqlResult<_>>()?;
        let otherwise = Box::new(self.implicit_cast(otherwise, &common)?);
        Ok(Expr::Case { branches, otherwise, logical: common })
    }

    fn in_list(
        &mut self,
        expr: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        let mut input = self.expr(expr, site)?;
        let mut values = self.exprs(list, site)?;
        if are_rows(std::iter::once(&input).chain(&values)) {
            let equal = values.into_iter().map(|value| self.call("=", vec![input.clone(), value]));
            let any = Expr::Or(equal.collect::<SqlResult<_>>()?);
            return Ok(if negated { negate(any) } else { any });
        }
        let mut common = input.logical();
        for (value, ast) in values.iter().zip(list) {
            common = comparison_type(&common, &value.logical()).ok_or_else(|| {
                SqlError::types(format!(
                    "{} cannot be compared with {}",
                    input.logical().root,
                    value.logical().root
                ))
                .at(ast.span())
            })?;
        }
        input = self.implicit_cast(input, &common)?;
        for value in &mut values {
            *value = self.implicit_cast(value.clone(), &common.clone().with_nullable(value.is_nullable()))?;
        }
        let literals: Option<Vec<ScalarValue>> =
            values.iter().map(|value| value.literal().cloned()).collect();
        if let Some(list) = literals
            && !matches!(common.root, TypeRoot::Row(_) | TypeRoot::Float | TypeRoot::Double)
            && !list.is_empty()
        {
            return Ok(Expr::InList { input: Box::new(input), list, negated });
        }
        let equal = values.into_iter().map(|value| self.call("=", vec![input.clone(), value]));
        let any = Expr::Or(equal.collect::<SqlResult<_>>()?);
        Ok(if negated { negate(any) } else { any })
    }

    fn rounded_to_unit(
        &mut self,
        of_number: &str,
        of_time: &str,
        expr: &ast::Expr,
        field: &CeilFloorKind,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        let input = self.expr(expr, site)?;
        match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => self.call(of_number, vec![input]),
            CeilFloorKind::DateTimeField(unit) => {
                self.call(of_time, vec![input, literal::text(&unit_name(unit))])
            }
            CeilFloorKind::Scale(_) => {
                Err(SqlError::unsupported(format!("Flink has no {of_number} with a scale"))
                    .hint("use ROUND or TRUNCATE"))
            }
        }
    }

    /// A call of the scalar function called `name`.
    pub(super) fn call(&mut self, name: &str, arguments: Vec<Expr>) -> SqlResult<Expr> {
        let Some(function) = registry::scalar(name) else {
            return self.own_call(name, arguments);
        };
        if name == "="
            && let [one, two] = &arguments[..]
            && let Some(equal) = self.equal_rows(one, two)?
        {
            return Ok(equal);
        }
        let types: Vec<LogicalType> = arguments.iter().map(Expr::logical).collect();
        let described = described(&arguments, &types);
        let resolved = (function.resolve)(&self.context, &described).map_err(|mismatch| {
            mismatched(name, &types, &mismatch).hint(format!("usage: {}", function.usage))
        })?;
        let mut cast = Vec::with_capacity(arguments.len());
        for (argument, to) in arguments.into_iter().zip(&resolved.arguments) {
            cast.push(self.implicit_cast(argument, to)?);
        }
        let call = Expr::Call {
            function: Function {
                name: function.name.into(),
                returns: resolved.returns,
                deterministic: function.deterministic,
                kernel: resolved.kernel,
            },
            arguments: cast,
        };
        Ok(folded(call))
    }

    /// `input` as a value of the type that stands where it does: a cast where the types differ.
    pub(super) fn implicit_cast(&mut self, input: Expr, to: &LogicalType) -> SqlResult<Expr> {
        let from = input.logical();
        if from.root == to.root {
            return Ok(input);
        }
        if let Expr::Literal { value, .. } = &input
            && value.is_null()
        {
            let value = ScalarValue::try_from(crate::types::arrow::data_type(&to.root))
                .map_err(|error| SqlError::internal(error.to_string()))?;
            return Ok(Expr::Literal { value, logical: to.root.clone().nullable() });
        }
        if from.root.is_character() && matches!(to.root, TypeRoot::Varchar(_)) && fits(&from.root, &to.root) {
            // The same bytes under another name.
            return Ok(match input {
                Expr::Literal { value, logical } => Expr::Literal {
                    value,
                    logical: LogicalType { root: to.root.clone(), nullable: logical.nullable },
                },
                other => self.cast_call(other, to, false)?,
            });
        }
        self.cast_call(input, to, false).map(folded)
    }

    pub(super) fn explicit_cast(&mut self, input: Expr, to: &LogicalType, is_try: bool) -> SqlResult<Expr> {
        if input.logical().root == to.root {
            return Ok(input);
        }
        if matches!(&input, Expr::Literal { value, .. } if value.is_null()) {
            return self.implicit_cast(input, to);
        }
        self.cast_call(input, to, is_try).map(folded)
    }

    pub(super) fn cast_call(&mut self, input: Expr, to: &LogicalType, is_try: bool) -> SqlResult<Expr> {
        let from = input.logical();
        let resolved = cast::cast(&self.context, &from, to, is_try).map_err(|mismatch| {
            SqlError::types(format!("{} cannot be cast to {}: {}", from.root, to.root, mismatch.0))
        })?;
        let function = Function {
            name: Arc::from(if is_try { "TRY_CAST" } else { "CAST" }),
            returns: resolved.returns,
            deterministic: true,
            kernel: resolved.kernel,
        };
        Ok(Expr::Call { function, arguments: vec![input] })
    }
}

fn fits(from: &TypeRoot, to: &TypeRoot) -> bool {
    match (from, to) {
        (TypeRoot::Char(from) | TypeRoot::Varchar(from), TypeRoot::Varchar(to)) => from <= to,
        _ => false,
    }
}

/// The field `name` of a row.
pub(super) fn field(input: Expr, name: &str) -> SqlResult<Expr> {
    let logical = input.logical();
    let TypeRoot::Row(fields) = &logical.root else {
        return Err(SqlError::types(format!(
            "'{name}' cannot be a field of {}, which is no ROW",
            logical.root
        )));
    };
    let Some(index) = fields.iter().position(|field| field.name == name) else {
        let error = SqlError::name(format!("the row has no field '{name}'"));
        return Err(match nearest(name, fields.iter().map(|field| field.name.as_str())) {
            Some(near) => error.hint(format!("did you mean '{near}'?")),
            None => error,
        });
    };
    let of_field = &fields[index].field_type;
    let nullable = of_field.nullable || logical.nullable;
    let logical = of_field.clone().with_nullable(nullable);
    Ok(Expr::Field { input: Box::new(input), index, name: Arc::from(name), logical })
}

/// The contrary of a condition.
pub(super) fn negate(condition: Expr) -> Expr {
    match condition {
        Expr::Not(inner) => *inner,
        Expr::IsNull { input, negated } => Expr::IsNull { input, negated: !negated },
        Expr::InList { input, list, negated } => Expr::InList { input, list, negated: !negated },
        Expr::IsTruth { input, truth, negated } => Expr::IsTruth { input, truth, negated: !negated },
        other => Expr::Not(Box::new(other)),
    }
}

/// Whether in a condition that is as good as false when it is NULL the conditions directly inside are so too.
fn keeps_unknown(ast: &ast::Expr) -> bool {
    use ast::BinaryOperator::{And, Or};
    match ast {
        ast::Expr::BinaryOp { op, .. } => matches!(op, And | Or),
        ast::Expr::Nested(_) | ast::Expr::AnyOp { .. } | ast::Expr::AllOp { .. } => true,
        ast::Expr::In { target, .. } => matches!(target, InTarget::Subquery(_)),
        _ => false,
    }
}

/// The value of a call of literals, when it has one; an error in it is left to when, and if, it is computed.
pub(super) fn folded(call: Expr) -> Expr {
    let Expr::Call { function, arguments } = &call else { return call };
    if !function.deterministic || !arguments.iter().all(|argument| argument.literal().is_some()) {
        return call;
    }
    match constant(&call) {
        Ok(value) => {
            let value = cut_to(value, &function.returns.root);
            let logical = function.returns.clone();
            let logical = if value.is_null() { logical.with_nullable(true) } else { logical };
            Expr::Literal { value, logical }
        }
        Err(_) => call,
    }
}

/// A string of a type with a length has no more characters than that: one that is known before the query runs, as in Flink.
fn cut_to(value: ScalarValue, root: &TypeRoot) -> ScalarValue {
    match (&value, root) {
        (ScalarValue::Utf8(Some(text)), TypeRoot::Char(length) | TypeRoot::Varchar(length)) => {
            match text.char_indices().nth(usize::try_from(*length).unwrap_or(usize::MAX)) {
                Some((end, _)) => ScalarValue::Utf8(text.get(..end).map(str::to_owned)),
                None => value,
            }
        }
        _ => value,
    }
}

/// A unit of time, in capitals.
fn unit_name(unit: &DateTimeField) -> String {
    match unit {
        DateTimeField::Custom(name) => name.value.to_uppercase(),
        other => other.to_string().to_uppercase(),
    }
}

/// The number that a literal is.
pub(super) fn literal_number<T: FromStr>(ast: &ast::Expr, what: &str) -> SqlResult<T> {
    if let ast::Expr::Value(value) = ast
        && let Value::Number(text, _) = &value.value
        && let Ok(number) = text.parse()
    {
        return Ok(number);
    }
    Err(SqlError::syntax(format!("{what} expects a whole number, not '{ast}'"))
        .at(Position::from(ast.span())))
}
