//! The session's own table functions in `FROM`.

use sqlparser::ast::{FunctionArg, TableAlias};

use super::calls::plain_argument;
use super::expressions::Site;
use super::from::Right;
use super::own_calls::{described, mismatched};
use super::{Binder, Scope};
use crate::error::{SqlError, SqlResult};
use crate::expr::Expr;
use crate::functions::registry;
use crate::functions::table::{TableFunction, TableFunctionCall};
use crate::plan::Column;
use crate::types::LogicalType;

impl Binder<'_> {
    /// `LATERAL TABLE(name(…))`: of each row on the left, or once without one.
    pub(super) fn own_table(
        &mut self,
        name: &str,
        args: &[FunctionArg],
        alias: Option<&TableAlias>,
        left: Option<&Scope>,
    ) -> SqlResult<Right> {
        if !self.catalogs.functions.is_table(name) {
            let is_other = registry::is_built_in(name) || self.catalogs.functions.describe(name).is_some();
            return Err(if is_other {
                SqlError::semantic(format!("{name} is no table function"))
                    .hint("it stands where values do, such as in SELECT")
            } else {
                self.unknown_function(name)
            });
        }
        let none = Scope::default();
        let mut site = Site::plain(left.unwrap_or(&none), "the arguments of a table function");
        let mut arguments = Vec::with_capacity(args.len());
        for arg in args {
            arguments.push(self.expr(plain_argument(arg, name)?, &mut site)?);
        }
        if !site.subqueries.is_empty() {
            return Err(SqlError::unsupported("a sub-query cannot be the argument of a table function"));
        }
        let types: Vec<LogicalType> = arguments.iter().map(Expr::logical).collect();
        let resolved = self.catalogs.functions.resolve_table(name, &described(&arguments, &types));
        let (function, taken) = resolved
            .ok_or_else(|| SqlError::internal("a table function went away"))?
            .map_err(|mismatch| mismatched(name, &types, &mismatch))?;
        let cast = arguments.into_iter().zip(&taken).map(|(argument, to)| self.implicit_cast(argument, to));
        let arguments = cast.collect::<SqlResult<_>>()?;
        let columns =
            function.columns().iter().map(|(name, logical)| Column::new(name.clone(), logical.clone()));
        let columns = columns.collect();
        let call = TableFunctionCall { kind: TableFunction::User(function), arguments, columns };
        self.correlated(call, alias, left)
    }
}
