//! Operators between two values: however many follow one another, nothing here goes as deep as they are many.

use sqlparser::ast::{self, BinaryOperator, Spanned};

use super::Binder;
use super::expressions::Site;
use crate::error::{SqlError, SqlResult};
use crate::expr::Expr;

impl Binder<'_> {
    pub(super) fn binary(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        match op {
            BinaryOperator::And | BinaryOperator::Or => return self.chain(left, op, right, site),
            BinaryOperator::Overlaps => return self.overlaps(left, right, site),
            _ => {}
        }
        // Operators that follow one another are as deep as they are many: no recursion along them.
        let mut behind = vec![(operator_name(op)?, right)];
        let mut first = left;
        while let ast::Expr::BinaryOp { left, op, right } = first
            && let Ok(name) = operator_name(op)
        {
            behind.push((name, right));
            first = left;
        }
        let mut bound = self.expr(first, site)?;
        for (name, right) in behind.into_iter().rev() {
            let value = self.expr(right, site)?;
            let place = first.span().union(&right.span());
            bound = self.call(name, vec![bound, value]).map_err(|error| error.at(place))?;
        }
        Ok(bound)
    }

    /// A chain of `AND` or of `OR`, of any length, without recursion along it.
    fn chain(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        let is_and = *op == BinaryOperator::And;
        let name = if is_and { "AND" } else { "OR" };
        let mut parts = vec![right];
        let mut next = left;
        while let ast::Expr::BinaryOp { left, op: inner, right } = next
            && inner == op
        {
            parts.push(right);
            next = left;
        }
        parts.push(next);
        let all = parts.into_iter().rev().map(|part| self.condition(part, site, name));
        let all = all.collect::<SqlResult<Vec<_>>>()?;
        Ok(if is_and { Expr::And(all) } else { Expr::Or(all) })
    }
}

/// The function that an operator is.
fn operator_name(op: &BinaryOperator) -> SqlResult<&'static str> {
    Ok(match op {
        BinaryOperator::Plus => "+",
        BinaryOperator::Minus => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
        BinaryOperator::Modulo => "%",
        BinaryOperator::Eq => "=",
        BinaryOperator::NotEq => "<>",
        BinaryOperator::Lt => "<",
        BinaryOperator::LtEq => "<=",
        BinaryOperator::Gt => ">",
        BinaryOperator::GtEq => ">=",
        BinaryOperator::StringConcat => "||",
        other => return Err(SqlError::unsupported(format!("Flink has no operator '{other}'"))),
    })
}
