//! Calls: scalar functions, aggregates, functions of `OVER`, and the few that are none of these.

use std::sync::Arc;

use sqlparser::ast::{
    self, DuplicateTreatment, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Spanned,
};

use super::Binder;
use super::expressions::{Site, unknown_function};
use crate::catalog::name_parts;
use crate::error::{SqlError, SqlResult};
use crate::expr::{Expr, Function, literal};
use crate::functions::kernel::KernelError;
use crate::functions::registry;
use crate::parser::statement::SYMMETRIC_BETWEEN;
use crate::types::TypeRoot;

/// Functions whose first argument is a unit of time, written as a bare word.
const WITH_UNIT: [&str; 3] = ["TIMESTAMPADD", "TIMESTAMPDIFF", "EXTRACT"];

impl Binder<'_> {
    pub(super) fn function(&mut self, function: &ast::Function, site: &mut Site<'_>) -> SqlResult<Expr> {
        let (parts, position) = name_parts(&function.name)?;
        let [name] = parts[..] else {
            return Err(SqlError::name(format!("there is no function '{}'", function.name)).at(position));
        };
        let name = name.to_uppercase();
        if !matches!(function.parameters, FunctionArguments::None) || function.null_treatment.is_some() {
            return Err(SqlError::unsupported(format!(
                "{name}: neither parameters nor IGNORE NULLS are supported"
            ))
            .at(position));
        }
        if function.over.is_some() {
            return self.over_call(&name, function, site);
        }
        if registry::is_aggregate(&name) {
            return self.aggregate_call(&name, function, site);
        }
        if let Some(column) = site.group_window_column(&name) {
            return Ok(column);
        }
        if matches!(name.as_str(), "GROUPING" | "GROUPING_ID") {
            return self.grouping_call(&name, function, site).map_err(|error| error.at(position));
        }
        let list = argument_list(function)?;
        if list.is_some_and(|list| list.duplicate_treatment.is_some()) || function.filter.is_some() {
            return Err(SqlError::semantic(format!("{name} is no aggregate function"))
                .hint("DISTINCT and FILTER go with aggregate functions only")
                .at(position));
        }
        if matches!(name.as_str(), "ROW_NUMBER" | "RANK" | "DENSE_RANK" | "LAG" | "LEAD" | "NTILE") {
            return Err(SqlError::semantic(format!("{name} needs an OVER clause"))
                .hint(format!("such as {name}() OVER (PARTITION BY … ORDER BY …)"))
                .at(position));
        }
        let args = list.map(|list| list.args.as_slice()).unwrap_or_default();
        let mut arguments = Vec::with_capacity(args.len());
        for (index, arg) in args.iter().enumerate() {
            let ast = plain_argument(arg, &name)?;
            if index == 0
                && WITH_UNIT.contains(&name.as_str())
                && let ast::Expr::Identifier(unit) = ast
            {
                let unit = unit.value.to_uppercase();
                arguments.push(literal::text(unit.strip_prefix("SQL_TSI_").unwrap_or(&unit)));
                continue;
            }
            arguments.push(self.expr(ast, site)?);
        }
        if registry::scalar(&name).is_none() && name != SYMMETRIC_BETWEEN {
            return Err(unknown_function(&name).at(position));
        }
        let call = match (name.as_str(), &arguments[..]) {
            (_, [value, one, two]) if name == SYMMETRIC_BETWEEN => self.symmetric_between(value, one, two),
            ("IF", [condition, one, two]) => {
                let (condition, one, two) = (condition.clone(), one.clone(), two.clone());
                let logical = self.call(&name, arguments)?.logical();
                // Only the side that is chosen is computed.
                Ok(Expr::Case {
                    branches: vec![(condition, self.implicit_cast(one, &logical)?)],
                    otherwise: Box::new(self.implicit_cast(two, &logical)?),
                    logical,
                })
            }
            _ => self.call(&name, arguments),
        };
        call.map_err(|error| error.at(position))
    }

    /// `GROUPING(key, …)`, which the grouping computes of the number of the set.
    fn grouping_call(
        &mut self,
        name: &str,
        function: &ast::Function,
        site: &mut Site<'_>,
    ) -> SqlResult<Expr> {
        if !site.grouped {
            return Err(SqlError::semantic(format!("{name} needs a GROUP BY")));
        }
        let mut arguments = Vec::new();
        for arg in argument_list(function)?.map(|list| list.args.as_slice()).unwrap_or_default() {
            arguments.push(self.expr(plain_argument(arg, name)?, site)?);
        }
        let function = Function {
            name: name.into(),
            returns: TypeRoot::BigInt.not_null(),
            deterministic: true,
            kernel: Arc::new(|_| Err(KernelError("GROUPING was not resolved".to_owned()))),
        };
        Ok(Expr::Call { function, arguments })
    }

    /// `value BETWEEN SYMMETRIC one AND two`.
    fn symmetric_between(&mut self, value: &Expr, one: &Expr, two: &Expr) -> SqlResult<Expr> {
        let mut between = |least: &Expr, most: &Expr| -> SqlResult<Expr> {
            let least = self.call(">=", vec![value.clone(), least.clone()])?;
            let most = self.call("<=", vec![value.clone(), most.clone()])?;
            Ok(Expr::And(vec![least, most]))
        };
        Ok(Expr::Or(vec![between(one, two)?, between(two, one)?]))
    }
}

/// The arguments of a call, when it has any.
pub(super) fn argument_list(function: &ast::Function) -> SqlResult<Option<&FunctionArgumentList>> {
    match &function.args {
        FunctionArguments::None => Ok(None),
        FunctionArguments::List(list) => Ok(Some(list)),
        FunctionArguments::Subquery(query) => {
            Err(SqlError::unsupported("a query cannot be the argument of a function here").at(query.span()))
        }
    }
}

/// The expression that an argument is.
pub(super) fn plain_argument<'a>(arg: &'a FunctionArg, of: &str) -> SqlResult<&'a ast::Expr> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
        FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. } => {
            Err(SqlError::unsupported(format!("{of} has no named arguments")).at(expr.span()))
        }
        other => Err(SqlError::syntax(format!("'{other}' cannot be an argument of {of}"))),
    }
}

/// Whether a call says `DISTINCT`.
pub(super) fn is_distinct(list: Option<&FunctionArgumentList>) -> bool {
    list.is_some_and(|list| matches!(list.duplicate_treatment, Some(DuplicateTreatment::Distinct)))
}
