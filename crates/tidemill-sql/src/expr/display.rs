//! How plans show expressions: as Flink does, operators between their arguments and columns by their names.

use std::fmt::{self, Write};

use datafusion_common::ScalarValue;

use super::{Expr, Pending};

/// An expression with the names of the columns that it is over.
pub(crate) struct Shown<'a> {
    expr: &'a Expr,
    names: &'a [&'a str],
}

impl Expr {
    /// This expression as text, its columns called `names`.
    pub(crate) fn shown<'a>(&'a self, names: &'a [&'a str]) -> Shown<'a> {
        Shown { expr: self, names }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sub = |expr| Shown { expr, names: self.names };
        match self.expr {
            Expr::Column { index, .. } => match self.names.get(*index) {
                Some(name) => f.write_str(name),
                None => write!(f, "${index}"),
            },
            Expr::Literal { value, .. } => literal(value, f),
            Expr::Field { input, name, .. } => write!(f, "{}.{name}", sub(input)),
            Expr::Call { function, arguments } => match (&*function.name, &arguments[..]) {
                ("CAST", [input]) => write!(f, "CAST({} AS {})", sub(input), function.returns.root),
                ("TRY_CAST", [input]) => write!(f, "TRY_CAST({} AS {})", sub(input), function.returns.root),
                ("ITEM", [input, index]) => write!(f, "{}[{}]", sub(input), sub(index)),
                (name, [one, two]) if is_infix(name) => write!(f, "({} {name} {})", sub(one), sub(two)),
                (name, arguments) => {
                    write!(f, "{name}(")?;
                    list(f, ", ", arguments.iter().map(sub))?;
                    f.write_char(')')
                }
            },
            Expr::Case { branches, otherwise, .. } => {
                f.write_str("CASE")?;
                for (when, then) in branches {
                    write!(f, " WHEN {} THEN {}", sub(when), sub(then))?;
                }
                write!(f, " ELSE {} END", sub(otherwise))
            }
            Expr::And(all) => joined(f, " AND ", all.iter().map(sub)),
            Expr::Or(all) => joined(f, " OR ", all.iter().map(sub)),
            Expr::Not(input) => write!(f, "NOT {}", sub(input)),
            Expr::IsNull { input, negated } => {
                write!(f, "{} IS {}NULL", sub(input), if *negated { "NOT " } else { "" })
            }
            Expr::IsTruth { input, truth, negated } => {
                let not = if *negated { "NOT " } else { "" };
                write!(f, "{} IS {not}{}", sub(input), if *truth { "TRUE" } else { "FALSE" })
            }
            Expr::InList { input, list: values, negated } => {
                write!(f, "{} {}IN (", sub(input), if *negated { "NOT " } else { "" })?;
                for (index, value) in values.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    literal(value, f)?;
                }
                f.write_char(')')
            }
            Expr::Pending { what, index, .. } => {
                let what = match what {
                    Pending::Aggregate => "aggregate",
                    Pending::Over => "over",
                    Pending::Subquery => "subquery",
                    Pending::Outer => "outer",
                    Pending::Match => "match",
                };
                write!(f, "{what}#{index}")
            }
        }
    }
}

fn is_infix(name: &str) -> bool {
    matches!(
        name,
        "+" | "-"
            | "*"
            | "/"
            | "%"
            | "="
            | "<>"
            | "<"
            | "<="
            | ">"
            | ">="
            | "||"
            | "LIKE"
            | "IS DISTINCT FROM"
            | "IS NOT DISTINCT FROM"
    )
}

fn list(
    f: &mut fmt::Formatter<'_>,
    between: &str,
    items: impl Iterator<Item = impl fmt::Display>,
) -> fmt::Result {
    for (index, item) in items.enumerate() {
        f.write_str(if index == 0 { "" } else { between })?;
        write!(f, "{item}")?;
    }
    Ok(())
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    between: &str,
    items: impl Iterator<Item = impl fmt::Display>,
) -> fmt::Result {
    f.write_char('(')?;
    list(f, between, items)?;
    f.write_char(')')
}

fn literal(value: &ScalarValue, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        value if value.is_null() => f.write_str("NULL"),
        ScalarValue::Utf8(Some(text)) => write!(f, "'{}'", text.replace('\'', "''")),
        other => write!(f, "{other}"),
    }
}
