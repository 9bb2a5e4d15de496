//! Variances, deviations and averages of `OVER`: as in Flink they are computed of sums and a count, in the type of their argument.

use datafusion_common::ScalarValue;

use super::Binder;
use super::expressions::Site;
use super::over::BoundOver;
use crate::error::{SqlError, SqlResult};
use crate::expr::Expr;
use crate::functions::aggregate::{AggregateKind, resolve};
use crate::types::{LogicalType, TypeRoot};

impl Binder<'_> {
    /// `SUM(x) / COUNT(x)` of integers, whose sum wraps around.
    pub(super) fn average_over(&mut self, bound: &BoundOver, site: &mut Site<'_>) -> SqlResult<Expr> {
        let [value] = bound.arguments() else {
            return Err(SqlError::internal("an average is of one value"));
        };
        let sum = bound.with_aggregate(AggregateKind::Sum, value.clone(), bound.returns().clone());
        let sum = Self::pending_over(sum, site)?;
        let counted = TypeRoot::BigInt.not_null();
        let count = bound.with_aggregate(AggregateKind::Count, value.clone(), counted);
        let count = Self::pending_over(count, site)?;
        self.typed("/", [&sum, &count], bound.returns())
    }

    /// `(SUM(x * x) - SUM(x) * SUM(x) / COUNT(x)) / COUNT(x)`, of a sample `/ (COUNT(x) - 1)`, each step a value of the type of the
    /// result: sums of integers wrap around, quotients are cut off.
    pub(super) fn variance_over(
        &mut self,
        bound: &BoundOver,
        sample: bool,
        root: bool,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        let whole = bound.returns().clone();
        let [argument] = bound.arguments() else {
            return Err(SqlError::internal("a variance is of one value"));
        };
        let value = self.explicit_cast(argument.clone(), &whole, false)?;
        let mut sum = |binder: &mut Self, of: Expr| -> SqlResult<Expr> {
            let (kind, returns) = resolve("SUM", &[of.logical()], false, true)
                .map_err(|mismatch| SqlError::internal(mismatch.0))?;
            let sum = Self::pending_over(bound.with_aggregate(kind, of, returns), site)?;
            binder.explicit_cast(sum, &whole, false)
        };
        let square = self.typed("*", [&value, &value], &whole)?;
        let squares = sum(self, square)?;
        let sum = sum(self, value.clone())?;
        let counted = TypeRoot::BigInt.not_null();
        let count = Self::pending_over(bound.with_aggregate(AggregateKind::Count, value, counted), site)?;
        // In Flink a number of rows that is too large for a small type wraps around too, and may be divided by as 0.
        let is_small = matches!(whole.root, TypeRoot::TinyInt | TypeRoot::SmallInt);
        let divisor =
            if is_small { count.clone() } else { self.explicit_cast(count.clone(), &whole, false)? };
        let squared = self.typed("*", [&sum, &sum], &whole)?;
        let of_mean = self.typed("/", [&squared, &divisor], &whole)?;
        let distances = self.typed("-", [&squares, &of_mean], &whole)?;
        let divisor = if sample { self.without_one(count)? } else { divisor };
        let variance = self.typed("/", [&distances, &divisor], &whole)?;
        if !root {
            return Ok(variance);
        }
        let root = self.call("SQRT", vec![variance])?;
        self.explicit_cast(root, &whole, false)
    }

    /// What an operator gives, as a value of the type `to`.
    fn typed(&mut self, operator: &str, sides: [&Expr; 2], to: &LogicalType) -> SqlResult<Expr> {
        let result = self.call(operator, sides.map(Expr::clone).to_vec())?;
        self.explicit_cast(result, to, false)
    }

    /// One less than a number of rows; `NULL` instead of none.
    fn without_one(&mut self, count: Expr) -> SqlResult<Expr> {
        let nullable = TypeRoot::BigInt.nullable();
        let none = Expr::Literal { value: ScalarValue::Int64(None), logical: nullable.clone() };
        let is_one = self.call("=", vec![count.clone(), Expr::bigint(1)])?;
        let less = self.call("-", vec![count, Expr::bigint(1)])?;
        Ok(Expr::Case { branches: vec![(is_one, none)], otherwise: Box::new(less), logical: nullable })
    }
}
