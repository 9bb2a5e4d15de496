//! Expressions whose names and types are resolved: what plans hold.

pub(crate) mod compile;
mod display;
pub(crate) mod literal;

use std::sync::Arc;

use datafusion_common::ScalarValue;

use crate::functions::kernel::Kernel;
use crate::types::{LogicalType, TypeRoot};

/// A resolved expression over the columns of one input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    /// A column of the input.
    Column { index: usize, logical: LogicalType },
    /// A value.
    Literal { value: ScalarValue, logical: LogicalType },
    /// A field of a row.
    Field { input: Box<Expr>, index: usize, name: Arc<str>, logical: LogicalType },
    /// A function, an operator or a cast.
    Call { function: Function, arguments: Vec<Expr> },
    /// `CASE WHEN … THEN … ELSE … END`, with `NULL` written out.
    Case { branches: Vec<(Expr, Expr)>, otherwise: Box<Expr>, logical: LogicalType },
    /// All are true.
    And(Vec<Expr>),
    /// One is true.
    Or(Vec<Expr>),
    /// The contrary.
    Not(Box<Expr>),
    /// `IS NULL`, or `IS NOT NULL`.
    IsNull { input: Box<Expr>, negated: bool },
    /// `IS [NOT] TRUE | FALSE`.
    IsTruth { input: Box<Expr>, truth: bool, negated: bool },
    /// `IN` over values of the type of `input`.
    InList { input: Box<Expr>, list: Vec<ScalarValue>, negated: bool },
    /// While a query is bound: one of its aggregates, windows or scalar sub-queries, which have no column yet.
    Pending { what: Pending, index: usize, logical: LogicalType },
}

/// What has no column yet while a query is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    Aggregate,
    Over,
    Subquery,
    /// A column of the query around this one.
    Outer,
    /// What an expression reads of the rows of a match.
    Match,
}

/// A resolved function.
#[derive(Clone)]
pub(crate) struct Function {
    /// Its name, `CAST` and operators included.
    pub(crate) name: Arc<str>,
    /// The type of the result.
    pub(crate) returns: LogicalType,
    /// Whether the same arguments give the same result.
    pub(crate) deterministic: bool,
    /// Computes it.
    pub(crate) kernel: Kernel,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.returns)
    }
}

impl PartialEq for Function {
    /// The kernel follows from the name, the types and the literal arguments, which are compared beside it.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.returns == other.returns
    }
}

impl Expr {
    pub(crate) fn column(index: usize, logical: LogicalType) -> Self {
        Expr::Column { index, logical }
    }

    pub(crate) fn boolean(value: bool) -> Self {
        Expr::Literal { value: ScalarValue::Boolean(Some(value)), logical: TypeRoot::Boolean.not_null() }
    }

    pub(crate) fn bigint(value: i64) -> Self {
        Expr::Literal { value: ScalarValue::Int64(Some(value)), logical: TypeRoot::BigInt.not_null() }
    }

    /// Whether this is always true.
    pub(crate) fn is_true(&self) -> bool {
        matches!(self, Expr::Literal { value: ScalarValue::Boolean(Some(true)), .. })
            || matches!(self, Expr::And(all) if all.iter().all(Expr::is_true))
    }

    /// The type of its values.
    pub(crate) fn logical(&self) -> LogicalType {
        let boolean = |nullable| LogicalType { root: TypeRoot::Boolean, nullable };
        match self {
            Expr::Column { logical, .. }
            | Expr::Literal { logical, .. }
            | Expr::Field { logical, .. }
            | Expr::Case { logical, .. }
            | Expr::Pending { logical, .. } => logical.clone(),
            Expr::Call { function, .. } => function.returns.clone(),
            Expr::And(all) | Expr::Or(all) => boolean(all.iter().any(Expr::is_nullable)),
            Expr::Not(input) | Expr::InList { input, .. } => boolean(input.is_nullable()),
            Expr::IsNull { .. } | Expr::IsTruth { .. } => boolean(false),
        }
    }

    pub(crate) fn is_nullable(&self) -> bool {
        self.logical().nullable
    }

    /// The value, when it is a literal.
    pub(crate) fn literal(&self) -> Option<&ScalarValue> {
        match self {
            Expr::Literal { value, .. } => Some(value),
            _ => None,
        }
    }

    /// The column that this is, when it is one.
    pub(crate) fn as_column(&self) -> Option<usize> {
        match self {
            Expr::Column { index, .. } => Some(*index),
            _ => None,
        }
    }

    /// The name and the arguments, when this is a call.
    pub(crate) fn as_call(&self) -> Option<(&str, &[Expr])> {
        match self {
            Expr::Call { function, arguments } => Some((&function.name, arguments)),
            _ => None,
        }
    }

    /// The expressions directly inside this one.
    pub(crate) fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Column { .. } | Expr::Literal { .. } | Expr::Pending { .. } => Vec::new(),
            Expr::Field { input, .. }
            | Expr::Not(input)
            | Expr::IsNull { input, .. }
            | Expr::IsTruth { input, .. }
            | Expr::InList { input, .. } => vec![input],
            Expr::Call { arguments, .. } => arguments.iter().collect(),
            Expr::Case { branches, otherwise, .. } => {
                let pairs = branches.iter().flat_map(|(condition, result)| [condition, result]);
                pairs.chain([&**otherwise]).collect()
            }
            Expr::And(all) | Expr::Or(all) => all.iter().collect(),
        }
    }

    /// Calls `f` with this expression and all inside it; does not go into those for which it answers `false`.
    pub(crate) fn visit(&self, f: &mut impl FnMut(&Expr) -> bool) {
        if f(self) {
            for child in self.children() {
                child.visit(f);
            }
        }
    }

    /// Whether `f` holds for this expression or one inside it.
    pub(crate) fn any(&self, f: impl Fn(&Expr) -> bool) -> bool {
        let mut found = false;
        self.visit(&mut |expr| {
            found |= f(expr);
            !found
        });
        found
    }

    /// This expression with each one for which `f` has another replaced by it, from the outside in.
    pub(crate) fn replace(&self, f: &mut impl FnMut(&Expr) -> Option<Expr>) -> Expr {
        if let Some(other) = f(self) {
            return other;
        }
        match self {
            Expr::Column { .. } | Expr::Literal { .. } | Expr::Pending { .. } => self.clone(),
            Expr::Field { input, index, name, logical } => Expr::Field {
                input: Box::new(input.replace(f)),
                index: *index,
                name: Arc::clone(name),
                logical: logical.clone(),
            },
            Expr::Call { function, arguments } => Expr::Call {
                function: function.clone(),
                arguments: arguments.iter().map(|argument| argument.replace(f)).collect(),
            },
            Expr::Case { branches, otherwise, logical } => Expr::Case {
                branches: branches.iter().map(|(when, then)| (when.replace(f), then.replace(f))).collect(),
                otherwise: Box::new(otherwise.replace(f)),
                logical: logical.clone(),
            },
            Expr::And(all) => Expr::And(all.iter().map(|expr| expr.replace(f)).collect()),
            Expr::Or(all) => Expr::Or(all.iter().map(|expr| expr.replace(f)).collect()),
            Expr::Not(input) => Expr::Not(Box::new(input.replace(f))),
            Expr::IsNull { input, negated } => {
                Expr::IsNull { input: Box::new(input.replace(f)), negated: *negated }
            }
            Expr::IsTruth { input, truth, negated } => {
                Expr::IsTruth { input: Box::new(input.replace(f)), truth: *truth, negated: *negated }
            }
            Expr::InList { input, list, negated } => {
                Expr::InList { input: Box::new(input.replace(f)), list: list.clone(), negated: *negated }
            }
        }
    }

    /// This expression with column `i` called `map(i)`.
    pub(crate) fn map_columns(&self, map: &impl Fn(usize) -> usize) -> Expr {
        self.replace(&mut |expr| match expr {
            Expr::Column { index, logical } => {
                Some(Expr::Column { index: map(*index), logical: logical.clone() })
            }
            _ => None,
        })
    }

    /// This expression with column `i` replaced by `inputs[i]`: over what `inputs` are over.
    pub(crate) fn substitute(&self, inputs: &[Expr]) -> Expr {
        self.replace(&mut |expr| match expr {
            Expr::Column { index, .. } => inputs.get(*index).cloned(),
            _ => None,
        })
    }

    /// The columns that this reads.
    pub(crate) fn columns(&self, found: &mut std::collections::BTreeSet<usize>) {
        self.visit(&mut |expr| {
            if let Expr::Column { index, .. } = expr {
                found.insert(*index);
            }
            true
        });
    }

    /// Whether the same row always gives the same value.
    pub(crate) fn is_deterministic(&self) -> bool {
        !self.any(|expr| matches!(expr, Expr::Call { function, .. } if !function.deterministic))
    }

    /// The column and the values of which it has one where this holds, when this says so: `a = 1`, `a IN (1, 2)`. None is NULL.
    pub(crate) fn wanted_values(&self) -> Option<(usize, Vec<ScalarValue>)> {
        let (column, values) = match self {
            Expr::InList { input, list, negated: false } => (input.as_column()?, list.clone()),
            _ => {
                let ("=", [one, other]) = self.as_call()? else { return None };
                match (one.as_column(), other.as_column()) {
                    (Some(column), None) => (column, vec![other.literal()?.clone()]),
                    (None, Some(column)) => (column, vec![one.literal()?.clone()]),
                    _ => return None,
                }
            }
        };
        (!values.iter().any(ScalarValue::is_null)).then_some((column, values))
    }

    /// The conditions of which all must hold for this to hold.
    pub(crate) fn conjuncts(self) -> Vec<Expr> {
        match self {
            Expr::And(all) => all.into_iter().flat_map(Expr::conjuncts).collect(),
            other if other.is_true() => Vec::new(),
            other => vec![other],
        }
    }

    /// What holds when all of `all` do.
    pub(crate) fn all(mut all: Vec<Expr>) -> Expr {
        match all.len() {
            0 => Expr::boolean(true),
            1 => all.remove(0),
            _ => Expr::And(all),
        }
    }
}
