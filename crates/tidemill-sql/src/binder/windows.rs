//! Windowing table functions, and the older windows of `GROUP BY`.

use sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, GroupByExpr, ObjectName, Spanned, TableAlias, WindowType,
};

use super::expressions::Site;
use super::from::{Right, aliased};
use super::select::is_group_window;
use super::{Binder, Scope};
use crate::catalog::name_parts;
use crate::error::{SqlError, SqlResult};
use crate::expr::{Expr, literal};
use crate::parser::statement::TABLE_ARGUMENT;
use crate::plan::{Column, Rel, RelKind, Schema, TimeAttribute, WindowKind, WindowSpec};
use crate::types::TypeRoot;

/// The windowing table functions with the names of their arguments.
const FUNCTIONS: [(&str, &[&str]); 4] = [
    ("TUMBLE", &["DATA", "TIMECOL", "SIZE", "OFFSET"]),
    ("HOP", &["DATA", "TIMECOL", "SLIDE", "SIZE", "OFFSET"]),
    ("CUMULATE", &["DATA", "TIMECOL", "STEP", "SIZE", "OFFSET"]),
    ("SESSION", &["DATA", "TIMECOL", "GAP"]),
];

impl Binder<'_> {
    /// A table function in `FROM`.
    pub(super) fn table_function(
        &mut self,
        name: &ObjectName,
        args: &[FunctionArg],
        alias: Option<&TableAlias>,
        left: Option<&Scope>,
    ) -> SqlResult<Right> {
        let (parts, position) = name_parts(name)?;
        let name = parts.last().copied().unwrap_or_default().to_uppercase();
        if let Some((_, names)) = FUNCTIONS.iter().find(|(known, _)| *known == name) {
            let rel = self.window_function(&name, names, args).map_err(|error| error.at(position))?;
            let (rel, scope) = aliased(rel, alias, None)?;
            return Ok(Right::rel(rel, scope));
        }
        if name == "UNNEST" {
            return Err(SqlError::syntax("UNNEST stands in FROM without TABLE").at(position));
        }
        self.own_table(&name, args, alias, left).map_err(|error| error.at(position))
    }

    fn window_function(&mut self, name: &str, names: &[&str], args: &[FunctionArg]) -> SqlResult<Rel> {
        let mut places: Vec<Option<&ast::Expr>> = vec![None; names.len()];
        for (index, arg) in args.iter().enumerate() {
            let (place, expr) = match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => (index, expr),
                FunctionArg::Named { name: argument, arg: FunctionArgExpr::Expr(expr), .. } => {
                    let wanted = argument.value.to_uppercase();
                    let found = names.iter().position(|known| *known == wanted).ok_or_else(|| {
                        SqlError::name(format!("{name} has no argument '{}'", argument.value))
                            .hint(format!("its arguments are {}", names.join(", ")))
                            .at(argument.span)
                    })?;
                    (found, expr)
                }
                other => return Err(SqlError::syntax(format!("'{other}' cannot be an argument of {name}"))),
            };
            match places.get_mut(place) {
                Some(free @ None) => *free = Some(expr),
                Some(Some(_)) => return Err(SqlError::semantic(format!("{} is given twice", names[place]))),
                None => {
                    return Err(SqlError::semantic(format!(
                        "{name} takes at most {} arguments",
                        names.len()
                    ))
                    .hint(format!("they are {}", names.join(", ")))
                    .at(expr.span()));
                }
            }
        }
        let required = |index: usize| {
            places.get(index).copied().flatten().ok_or_else(|| {
                SqlError::semantic(format!(
                    "{name}: {} is missing",
                    names.get(index).copied().unwrap_or_default()
                ))
                .hint(format!("its arguments are {}", names.join(", ")))
            })
        };
        let data = required(0)?;
        let (input, scope, partition) = self.table_argument(data)?;
        let descriptor = required(1)?;
        let time = descriptor_column(descriptor, &scope)?;
        let mut lengths = Vec::new();
        for (index, argument) in names.iter().enumerate().skip(2) {
            let Some(ast) = places.get(index).copied().flatten() else {
                if *argument != "OFFSET" {
                    required(index)?;
                }
                lengths.push(0);
                continue;
            };
            let mut site = Site::plain(&scope, "the arguments of a window");
            let bound = self.expr(ast, &mut site)?;
            let millis = literal::as_millis(&bound).ok_or_else(|| {
                SqlError::types(format!("{argument} of {name} is an interval of days to seconds"))
                    .hint("such as INTERVAL '10' MINUTE")
                    .at(ast.span())
            })?;
            if millis <= 0 && *argument != "OFFSET" {
                return Err(
                    SqlError::semantic(format!("{argument} of {name} must be positive")).at(ast.span())
                );
            }
            lengths.push(millis);
        }
        let kind = match (name, &lengths[..]) {
            ("TUMBLE", [size, offset]) => WindowKind::Tumble { size: *size, offset: *offset },
            ("HOP", [slide, size, offset]) => WindowKind::Hop { size: *size, slide: *slide, offset: *offset },
            ("CUMULATE", [step, size, offset]) => {
                WindowKind::Cumulate { size: *size, step: *step, offset: *offset }
            }
            ("SESSION", [gap]) => WindowKind::Session { gap: *gap },
            _ => return Err(SqlError::internal("a window of another kind")),
        };
        match kind {
            WindowKind::Hop { size, slide, .. } if size % slide != 0 => {
                return Err(SqlError::semantic(format!(
                    "HOP needs a size that is a multiple of the slide: {size} ms is none of {slide} ms"
                )));
            }
            WindowKind::Cumulate { size, step, .. } if size % step != 0 => {
                return Err(SqlError::semantic(format!(
                    "CUMULATE needs a size that is a multiple of the step: {size} ms is none of {step} ms"
                )));
            }
            _ => {}
        }
        if !matches!(kind, WindowKind::Session { .. }) && !partition.is_empty() {
            return Err(SqlError::semantic(format!("{name} takes no PARTITION BY")).hint(
                "group by the column instead; only SESSION has windows of its own for each partition",
            ));
        }
        self.windowed(input, time, kind, partition).map_err(|error| error.at(descriptor.span()))
    }

    /// `TABLE t [PARTITION BY …]` or a sub-query as an argument.
    fn table_argument(&mut self, ast: &ast::Expr) -> SqlResult<(Rel, Scope, Vec<usize>)> {
        match ast {
            ast::Expr::Nested(inner) => self.table_argument(inner),
            ast::Expr::Subquery(query) => {
                let rel = self.query(query)?;
                let scope = Scope::of(&rel, None);
                Ok((rel, scope, Vec::new()))
            }
            ast::Expr::Function(function) if function.name.to_string() == TABLE_ARGUMENT => {
                let args = super::calls::argument_list(function)?.map(|list| list.args.as_slice());
                let (rel, scope) = match args.unwrap_or_default() {
                    [FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Subquery(query)))] => {
                        let rel = self.query(query)?;
                        let scope = Scope::of(&rel, None);
                        (rel, scope)
                    }
                    [FunctionArg::Unnamed(FunctionArgExpr::Expr(named))] => {
                        let name = match named {
                            ast::Expr::Identifier(name) => ObjectName::from(vec![name.clone()]),
                            ast::Expr::CompoundIdentifier(parts) => ObjectName::from(parts.clone()),
                            other => {
                                return Err(SqlError::syntax("a table's name is expected").at(other.span()));
                            }
                        };
                        let rel = self.table(&name, &[])?;
                        let scope = Scope::of(&rel, name_parts(&name)?.0.last().copied());
                        (rel, scope)
                    }
                    _ => {
                        return Err(
                            SqlError::syntax("TABLE and the name of a table are expected").at(ast.span())
                        );
                    }
                };
                let mut partition = Vec::new();
                if let Some(WindowType::WindowSpec(spec)) = &function.over {
                    for expr in &spec.partition_by {
                        let mut site = Site::plain(&scope, "PARTITION BY");
                        let column = self.expr(expr, &mut site)?.as_column().ok_or_else(|| {
                            SqlError::unsupported("PARTITION BY takes columns").at(expr.span())
                        })?;
                        partition.push(column);
                    }
                }
                Ok((rel, scope, partition))
            }
            other => Err(SqlError::syntax("a table is expected: TABLE and its name").at(other.span())),
        }
    }

    /// `TUMBLE(time, size)` and its like in `GROUP BY`: adds the columns of the window to what is grouped.
    pub(super) fn group_windows(
        &mut self,
        group_by: &GroupByExpr,
        rel: Rel,
        scope: Scope,
    ) -> SqlResult<(Rel, Scope, Option<[usize; 3]>)> {
        let GroupByExpr::Expressions(all, _) = group_by else { return Ok((rel, scope, None)) };
        let mut found = all.iter().filter_map(|ast| match ast {
            ast::Expr::Function(function) if is_group_window(function) => Some(function),
            _ => None,
        });
        let Some(function) = found.next() else { return Ok((rel, scope, None)) };
        if let Some(second) = found.next() {
            return Err(SqlError::semantic("GROUP BY takes one window").at(second.name.span()));
        }
        let name = function.name.to_string().to_uppercase();
        let list =
            super::calls::argument_list(function)?.map(|list| list.args.as_slice()).unwrap_or_default();
        let mut bound = Vec::with_capacity(list.len());
        for arg in list {
            let mut site = Site::plain(&scope, "a window");
            bound.push(self.expr(super::calls::plain_argument(arg, &name)?, &mut site)?);
        }
        let Some(time) = bound.first().and_then(Expr::as_column) else {
            return Err(SqlError::types(format!("{name} takes a time attribute and its lengths"))
                .at(function.name.span()));
        };
        let lengths: Option<Vec<i64>> = bound.iter().skip(1).map(literal::as_millis).collect();
        let kind = match (name.as_str(), lengths.as_deref()) {
            ("TUMBLE", Some([size])) => WindowKind::Tumble { size: *size, offset: 0 },
            ("HOP", Some([slide, size])) => WindowKind::Hop { size: *size, slide: *slide, offset: 0 },
            ("SESSION", Some([gap])) => WindowKind::Session { gap: *gap },
            _ => {
                return Err(SqlError::semantic(format!("{name} takes a time attribute and intervals"))
                    .hint("TUMBLE(time, size), HOP(time, slide, size), SESSION(time, gap)")
                    .at(function.name.span()));
            }
        };
        // Each group has sessions of its own: those of the other columns of GROUP BY.
        let mut partition = Vec::new();
        if matches!(kind, WindowKind::Session { .. }) {
            for ast in all {
                if matches!(ast, ast::Expr::Function(function) if is_group_window(function)) {
                    continue;
                }
                let mut site = Site::plain(&scope, "GROUP BY");
                partition.push(self.expr(ast, &mut site)?.as_column().ok_or_else(|| {
                    SqlError::unsupported("beside SESSION, GROUP BY takes columns").at(ast.span())
                })?);
            }
        }
        let width = rel.schema().len();
        let rel =
            self.windowed(rel, time, kind, partition).map_err(|error| error.at(function.name.span()))?;
        let scope = scope.extended_hidden(&rel);
        Ok((rel, scope, Some([width, width + 1, width + 2])))
    }
}

/// The column that `DESCRIPTOR(column)` says.
fn descriptor_column(ast: &ast::Expr, scope: &Scope) -> SqlResult<usize> {
    if let ast::Expr::Function(function) = ast
        && function.name.to_string().eq_ignore_ascii_case("DESCRIPTOR")
        && let Some(list) = super::calls::argument_list(function)?
        && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Identifier(name)))] = &list.args[..]
    {
        return scope.find(None, name)?.ok_or_else(|| scope.unknown(name));
    }
    Err(SqlError::syntax("DESCRIPTOR and a column in parentheses are expected").at(ast.span()))
}

impl Binder<'_> {
    /// `input` with the columns of its windows.
    fn windowed(&self, input: Rel, time: usize, kind: WindowKind, partition: Vec<usize>) -> SqlResult<Rel> {
        let Some(column) = input.schema().column(time).cloned() else {
            return Err(SqlError::internal("a window without a time"));
        };
        let Some(attribute) = column.time else {
            return Err(SqlError::semantic(format!(
                "'{}' is no time attribute, it is a {}",
                column.name, column.logical.root
            ))
            .hint("windows need a column with a WATERMARK, or one AS PROCTIME(), passed on unchanged"));
        };
        let root = match column.logical.root {
            TypeRoot::TimestampLtz(_) => TypeRoot::TimestampLtz(3),
            _ => TypeRoot::Timestamp(3),
        };
        let bounds = TypeRoot::Timestamp(3);
        let mut columns = input.schema().columns().to_vec();
        columns.push(Column::new("window_start", bounds.clone().not_null()));
        columns.push(Column::new("window_end", bounds.not_null()));
        columns.push(Column {
            name: "window_time".to_owned(),
            logical: root.not_null(),
            time: Some(attribute),
        });
        let processing_time = attribute == TimeAttribute::Processing;
        let is_moment = matches!(column.logical.root, TypeRoot::TimestampLtz(_));
        let zone = is_moment.then_some(self.context.time_zone);
        let spec = WindowSpec { time, kind, partition, processing_time, zone };
        Ok(Rel::new(Schema::new(columns), RelKind::Window { input, spec }))
    }
}
