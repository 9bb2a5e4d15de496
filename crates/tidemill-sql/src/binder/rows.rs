//! Comparisons with rows that are written out, as `(a, b)` or `ROW(a, b)`, and with the values of `CASE`.

use datafusion_common::ScalarValue;
use sqlparser::ast;

use super::Binder;
use super::calls::{argument_list, plain_argument};
use super::expressions::Site;
use crate::error::{SqlError, SqlResult};
use crate::expr::Expr;
use crate::parser::statement::WHEN_ANY;
use crate::types::TypeRoot;

impl Binder<'_> {
    /// Whether two rows that are written out are equal: all their values are; unknown, where that is unknown of one and no other
    /// differs. `None` of anything else, which is compared as a whole.
    pub(super) fn equal_rows(&mut self, one: &Expr, two: &Expr) -> SqlResult<Option<Expr>> {
        let (Some(one), Some(two)) = (values(one)?, values(two)?) else { return Ok(None) };
        if one.len() != two.len() {
            return Ok(None);
        }
        let pairs = one.into_iter().zip(two);
        let equal = pairs.map(|(one, two)| self.call("=", vec![one, two]));
        Ok(Some(Expr::all(equal.collect::<SqlResult<_>>()?)))
    }
}

impl Binder<'_> {
    /// Whether a value of `CASE` is one of those behind a `WHEN`.
    pub(super) fn when_any(
        &mut self,
        operand: &Expr,
        condition: &ast::Expr,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        let several = match condition {
            ast::Expr::Function(function) if function.name.to_string().trim_matches('`') == WHEN_ANY => {
                argument_list(function)?
            }
            _ => None,
        };
        let Some(several) = several else {
            let value = self.expr(condition, site)?;
            return self.call("=", vec![operand.clone(), value]);
        };
        let mut equal = Vec::with_capacity(several.args.len());
        for arg in &several.args {
            let value = self.expr(plain_argument(arg, "WHEN")?, site)?;
            equal.push(self.call("=", vec![operand.clone(), value])?);
        }
        Ok(Expr::Or(equal))
    }
}

/// Whether all of these are rows that are written out.
pub(super) fn are_rows<'a>(mut all: impl Iterator<Item = &'a Expr>) -> bool {
    all.all(|expr| matches!(values(expr), Ok(Some(_))))
}

/// The values of a row that is written out.
fn values(row: &Expr) -> SqlResult<Option<Vec<Expr>>> {
    match row {
        Expr::Call { function, arguments } if &*function.name == "ROW" => Ok(Some(arguments.clone())),
        Expr::Literal { value: ScalarValue::Struct(values), logical } if !value_is_null(row) => {
            let TypeRoot::Row(fields) = &logical.root else { return Ok(None) };
            let columns = values.columns().iter().zip(fields);
            let literals = columns.map(|(column, field)| {
                let value = ScalarValue::try_from_array(column, 0)
                    .map_err(|error| SqlError::internal(error.to_string()))?;
                Ok(Expr::Literal { value, logical: field.field_type.clone() })
            });
            Ok(Some(literals.collect::<SqlResult<_>>()?))
        }
        _ => Ok(None),
    }
}

fn value_is_null(expr: &Expr) -> bool {
    expr.literal().is_some_and(ScalarValue::is_null)
}
