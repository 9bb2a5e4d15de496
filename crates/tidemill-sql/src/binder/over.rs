//! Functions of `OVER`.

use datafusion_common::ScalarValue;
use sqlparser::ast::{
    self, NamedWindowExpr, Spanned, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType,
};

use super::Binder;
use super::aggregates::{name_of, project_unless_same};
use super::calls::{argument_list, plain_argument};
use super::expressions::Site;
use crate::error::{SqlError, SqlResult};
use crate::expr::{Expr, Pending, literal};
use crate::functions::aggregate::{AggregateCall, AggregateKind};
use crate::plan::{Column, Frame, OverCall, Rel, RelKind, Schema, SortKey};
use crate::types::{LogicalType, TypeRoot};

/// A function of `OVER`, over the input of the windows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BoundOver {
    function: OverFunction,
    arguments: Vec<Expr>,
    filter: Option<Expr>,
    partition: Vec<Expr>,
    order: Vec<(Expr, bool, bool)>,
    frame: Frame,
    returns: LogicalType,
}

#[derive(Clone, Debug, PartialEq)]
enum OverFunction {
    Aggregate { kind: AggregateKind, distinct: bool },
    RowNumber,
    Rank,
    DenseRank,
    Lag { offset: i64, default: ScalarValue },
}

impl BoundOver {
    /// All expressions in it.
    pub(super) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let order = self.order.iter().map(|(expr, _, _)| expr);
        self.arguments.iter().chain(&self.filter).chain(&self.partition).chain(order)
    }

    /// What it is of.
    pub(super) fn arguments(&self) -> &[Expr] {
        &self.arguments
    }

    /// The type of its result.
    pub(super) fn returns(&self) -> &LogicalType {
        &self.returns
    }

    /// The aggregate function `kind` of `argument` over the same rows.
    pub(super) fn with_aggregate(&self, kind: AggregateKind, argument: Expr, returns: LogicalType) -> Self {
        let distinct = matches!(self.function, OverFunction::Aggregate { distinct: true, .. });
        let function = OverFunction::Aggregate { kind, distinct };
        Self { function, arguments: vec![argument], returns, ..self.clone() }
    }

    /// All expressions in it, for replacing them.
    pub(super) fn map(&self, f: &mut impl FnMut(&Expr) -> SqlResult<Expr>) -> SqlResult<Self> {
        let all = |exprs: &[Expr], f: &mut dyn FnMut(&Expr) -> SqlResult<Expr>| -> SqlResult<Vec<Expr>> {
            exprs.iter().map(f).collect()
        };
        Ok(Self {
            function: self.function.clone(),
            arguments: all(&self.arguments, f)?,
            filter: self.filter.as_ref().map(&mut *f).transpose()?,
            partition: all(&self.partition, f)?,
            order: self
                .order
                .iter()
                .map(|(expr, descending, nulls)| Ok((f(expr)?, *descending, *nulls)))
                .collect::<SqlResult<_>>()?,
            frame: self.frame.clone(),
            returns: self.returns.clone(),
        })
    }
}

impl Binder<'_> {
    pub(super) fn over_call(
        &mut self,
        name: &str,
        function: &ast::Function,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        if let Err(what) = site.overs {
            return Err(SqlError::semantic(format!("{name}(…) OVER cannot stand in {what}"))
                .hint("compute it in a sub-query, and use its result outside"));
        }
        let overs = std::mem::replace(&mut site.overs, Err("another function of OVER"));
        let bound = self.bind_over(name, function, site);
        site.overs = overs;
        let bound = bound?;
        if let OverFunction::Aggregate { kind: AggregateKind::Variance { sample, root }, .. } = bound.function
        {
            return self.variance_over(&bound, sample, root, site);
        }
        if matches!(bound.function, OverFunction::Aggregate { kind: AggregateKind::Avg, .. })
            && bound.returns.root.is_integer()
        {
            return self.average_over(&bound, site);
        }
        Self::pending_over(bound, site)
    }

    /// The result of a function, once it has a column.
    pub(super) fn pending_over(bound: BoundOver, site: &mut Site<'_>) -> SqlResult<Expr> {
        let logical = bound.returns.clone();
        let Ok(all) = &mut site.overs else { return Err(SqlError::internal("windows went away")) };
        let index = all.iter().position(|known| *known == bound).unwrap_or_else(|| {
            all.push(bound);
            all.len() - 1
        });
        Ok(Expr::Pending { what: Pending::Over, index, logical })
    }

    fn bind_over(
        &mut self,
        name: &str,
        function: &ast::Function,
        site: &mut Site<'_>,
    ) -> SqlResult<BoundOver> {
        let spec = match &function.over {
            Some(WindowType::WindowSpec(spec)) => spec.clone(),
            Some(WindowType::NamedWindow(ident)) => named_window(ident, site.windows, 0)?,
            None => return Err(SqlError::internal("a window is expected")),
        };
        let spec = inherited(spec, site.windows)?;
        let partition =
            spec.partition_by.iter().map(|ast| self.expr(ast, site)).collect::<SqlResult<Vec<_>>>()?;
        let mut order = Vec::with_capacity(spec.order_by.len());
        for key in &spec.order_by {
            let (descending, nulls_first) = direction(key);
            order.push((self.expr(&key.expr, site)?, descending, nulls_first));
        }
        let list = argument_list(function)?;
        let args = list.map(|list| list.args.as_slice()).unwrap_or_default();
        let ranking = match name {
            "ROW_NUMBER" => Some(OverFunction::RowNumber),
            "RANK" => Some(OverFunction::Rank),
            "DENSE_RANK" => Some(OverFunction::DenseRank),
            _ => None,
        };
        if let Some(function) = ranking {
            if !args.is_empty() {
                return Err(SqlError::semantic(format!("{name} has no arguments")));
            }
            let returns = TypeRoot::BigInt.not_null();
            let frame = Frame::Rows(None);
            return Ok(BoundOver {
                function,
                arguments: Vec::new(),
                filter: None,
                partition,
                order,
                frame,
                returns,
            });
        }
        if matches!(name, "LAG" | "LEAD") {
            let mut arguments = args.iter().map(|arg| self.expr(plain_argument(arg, name)?, site));
            let Some(value) = arguments.next().transpose()? else {
                return Err(SqlError::semantic(format!("{name} expects a value")));
            };
            let offset = match arguments.next().transpose()? {
                None => 1,
                Some(expr) => match expr.literal() {
                    Some(ScalarValue::Int32(Some(rows))) if *rows >= 0 => i64::from(*rows),
                    _ => {
                        return Err(SqlError::semantic(format!(
                            "{name}: the number of rows must be a literal"
                        )));
                    }
                },
            };
            let default = match arguments.next().transpose()? {
                None => ScalarValue::Null,
                Some(expr) => {
                    drop(arguments);
                    let typed = self.implicit_cast(expr, &value.logical())?;
                    typed.literal().cloned().ok_or_else(|| {
                        SqlError::unsupported(format!("{name}: the default must be a literal"))
                    })?
                }
            };
            let returns = value.logical().with_nullable(true);
            let offset = if name == "LAG" { offset } else { -offset };
            return Ok(BoundOver {
                function: OverFunction::Lag { offset, default },
                arguments: vec![value],
                filter: None,
                partition,
                order,
                frame: Frame::Rows(None),
                returns,
            });
        }
        if !self.is_aggregate(name) {
            return Err(SqlError::name(format!("{name} is no function of OVER"))
                .hint("aggregate functions, ROW_NUMBER, RANK, DENSE_RANK, LAG and LEAD are"));
        }
        let grouped = std::mem::replace(&mut site.grouped, true);
        let aggregates = std::mem::replace(&mut site.aggregates, Err("a function of OVER"));
        // Over a grouped query its arguments may be aggregates.
        let bound = match aggregates {
            Ok(found) => {
                site.aggregates = Ok(found);
                self.bind_over_aggregate(name, function, site)
            }
            Err(what) => {
                site.aggregates = Err(what);
                self.bind_over_aggregate(name, function, site)
            }
        };
        site.grouped = grouped;
        let bound = bound?;
        let frame = self.frame(&spec, site)?;
        Ok(BoundOver {
            function: OverFunction::Aggregate { kind: bound.kind, distinct: bound.distinct },
            arguments: bound.arguments,
            filter: bound.filter,
            partition,
            order,
            frame,
            returns: bound.returns,
        })
    }

    fn bind_over_aggregate(
        &mut self,
        name: &str,
        function: &ast::Function,
        site: &mut Site<'_>,
    ) -> SqlResult<super::aggregates::BoundAggregate> {
        // The call itself is no aggregate of the query, so it is bound without its OVER.
        let mut plain = function.clone();
        plain.over = None;
        self.bind_aggregate(name, &plain, site)
    }

    fn frame(&mut self, spec: &WindowSpec, site: &mut Site<'_>) -> SqlResult<Frame> {
        let Some(frame) = &spec.window_frame else { return Ok(Frame::Range(None)) };
        match &frame.end_bound {
            None | Some(WindowFrameBound::CurrentRow) => {}
            Some(other) => {
                return Err(SqlError::unsupported(format!("a window cannot end at {other}"))
                    .hint("windows of OVER end at CURRENT ROW, as in Flink"));
            }
        }
        let before = match &frame.start_bound {
            WindowFrameBound::Preceding(None) => None,
            WindowFrameBound::Preceding(Some(expr)) => Some(&**expr),
            WindowFrameBound::CurrentRow => {
                return Ok(match frame.units {
                    WindowFrameUnits::Rows => Frame::Rows(Some(0)),
                    _ => Frame::Range(Some(0)),
                });
            }
            WindowFrameBound::Following(_) => {
                return Err(SqlError::unsupported("a window cannot begin behind the row")
                    .hint("windows of OVER begin at … PRECEDING, as in Flink"));
            }
        };
        match frame.units {
            WindowFrameUnits::Rows => match before {
                None => Ok(Frame::Rows(None)),
                Some(expr) => {
                    Ok(Frame::Rows(Some(super::expressions::literal_number(expr, "ROWS … PRECEDING")?)))
                }
            },
            WindowFrameUnits::Range => match before {
                None => Ok(Frame::Range(None)),
                Some(expr) => {
                    let bound = self.expr(expr, site)?;
                    let millis = literal::as_millis(&bound).ok_or_else(|| {
                        SqlError::semantic("RANGE … PRECEDING expects an interval of days to seconds")
                            .at(expr.span())
                    })?;
                    Ok(Frame::Range(Some(millis)))
                }
            },
            WindowFrameUnits::Groups => Err(SqlError::unsupported("Flink has no GROUPS in windows")),
        }
    }

    /// Computes `overs` over `rel`: the result has the columns of `rel`, then one for each of them.
    pub(super) fn windows_over(&mut self, rel: Rel, overs: &[BoundOver]) -> SqlResult<Rel> {
        let width = rel.schema().len();
        let mut exprs = rel.all_columns();
        let mut names: Vec<String> = rel.schema().names().into_iter().map(str::to_owned).collect();
        let mut place = |expr: &Expr| {
            if let Some(found) = exprs.iter().position(|known| known == expr) {
                return found;
            }
            names.push(name_of(&rel, expr, exprs.len()));
            exprs.push(expr.clone());
            exprs.len() - 1
        };
        // Functions over the same rows are computed together.
        let mut groups: Vec<(Vec<usize>, Vec<SortKey>, Frame, Vec<usize>, Vec<OverCall>)> = Vec::new();
        for (index, over) in overs.iter().enumerate() {
            let partition: Vec<usize> = over.partition.iter().map(&mut place).collect();
            let order = over.order.iter();
            let order: Vec<SortKey> = order
                .map(|(expr, descending, nulls_first)| SortKey {
                    column: place(expr),
                    descending: *descending,
                    nulls_first: *nulls_first,
                })
                .collect();
            let arguments: Vec<usize> = over.arguments.iter().map(&mut place).collect();
            let filter = over.filter.as_ref().map(&mut place);
            let call = match &over.function {
                OverFunction::RowNumber => OverCall::RowNumber,
                OverFunction::Rank => OverCall::Rank,
                OverFunction::DenseRank => OverCall::DenseRank,
                OverFunction::Lag { offset, default } => OverCall::Lag {
                    argument: arguments.first().copied().unwrap_or_default(),
                    offset: *offset,
                    default: default.clone(),
                    logical: over.returns.clone(),
                },
                OverFunction::Aggregate { kind, distinct } => OverCall::Aggregate(AggregateCall {
                    name: format!("w0$o{index}"),
                    kind: kind.clone(),
                    arguments,
                    types: over.arguments.iter().map(Expr::logical).collect(),
                    distinct: *distinct,
                    filter,
                    returns: over.returns.clone(),
                }),
            };
            match groups
                .iter_mut()
                .find(|group| (&group.0, &group.1, &group.2) == (&partition, &order, &over.frame))
            {
                Some(group) => {
                    group.3.push(index);
                    group.4.push(call);
                }
                None => groups.push((partition, order, over.frame.clone(), vec![index], vec![call])),
            }
        }
        let mut rel = project_unless_same(rel, exprs, names);
        let mut places = vec![0; overs.len()];
        for (partition, order, frame, indices, calls) in groups {
            let mut columns = rel.schema().columns().to_vec();
            for index in indices {
                places[index] = columns.len();
                columns.push(Column::new(format!("w0$o{index}"), overs[index].returns.clone()));
            }
            let kind = RelKind::Over { input: rel, partition, order, frame, calls };
            rel = Rel::new(Schema::new(columns), kind);
        }
        let mut exprs: Vec<Expr> = rel.all_columns().into_iter().take(width).collect();
        let mut names: Vec<String> =
            rel.schema().names().into_iter().take(width).map(str::to_owned).collect();
        for (index, place) in places.into_iter().enumerate() {
            exprs.push(Expr::column(place, rel.schema().logical(place)));
            names.push(format!("w0$o{index}"));
        }
        Ok(project_unless_same(rel, exprs, names))
    }
}

/// Whether a key of `ORDER BY` is descending, and whether NULLs come first: NULL is less than everything.
pub(super) fn direction(key: &ast::OrderByExpr) -> (bool, bool) {
    let descending = matches!(key.options.sort, Some(ast::OrderBySort::Desc));
    (descending, key.options.nulls_first.unwrap_or(!descending))
}

fn named_window(
    name: &ast::Ident,
    windows: &[ast::NamedWindowDefinition],
    depth: usize,
) -> SqlResult<WindowSpec> {
    let found = windows.iter().find(|window| window.0.value == name.value);
    match found.map(|window| &window.1) {
        Some(NamedWindowExpr::WindowSpec(spec)) => Ok(spec.clone()),
        Some(NamedWindowExpr::NamedWindow(other)) if depth < windows.len() => {
            named_window(other, windows, depth + 1)
        }
        _ => Err(SqlError::name(format!("there is no window '{}'", name.value))
            .hint("windows are named behind the query: WINDOW w AS (PARTITION BY … ORDER BY …)")
            .at(name.span)),
    }
}

/// A window with what it takes from the one that it names.
fn inherited(mut spec: WindowSpec, windows: &[ast::NamedWindowDefinition]) -> SqlResult<WindowSpec> {
    if let Some(name) = spec.window_name.take() {
        let base = inherited(named_window(&name, windows, 0)?, windows)?;
        if spec.partition_by.is_empty() {
            spec.partition_by = base.partition_by;
        }
        if spec.order_by.is_empty() {
            spec.order_by = base.order_by;
        }
        spec.window_frame = spec.window_frame.or(base.window_frame);
    }
    Ok(spec)
}
