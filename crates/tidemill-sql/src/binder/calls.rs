//! Calls: scalar functions, aggregates, functions of `OVER`, and the few that are none of these.

use std::sync::Arc;

use sqlparser::ast::{
    self, DuplicateTreatment, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArgumentList,
    FunctionArguments, Spanned,
};

use super::Binder;
use super::expressions::Site;
use super::json::json_arguments;
use crate::catalog::name_parts;
use crate::error::{SqlError, SqlResult};
use crate::expr::{Expr, Function, literal};
use crate::functions::kernel::KernelError;
use crate::functions::registry;
use crate::parser::statement::SYMMETRIC_BETWEEN;
use crate::types::TypeRoot;

/// Why there is no order within aggregate functions.
const IN_ORDER_OF_ARRIVAL: &str =
    "values are in the order in which rows come, as in Flink; sort the result: ARRAY_SORT(…)";

/// Functions whose first argument is a unit of time, written as a bare word.
const WITH_UNIT: [&str; 3] = ["TIMESTAMPADD", "TIMESTAMPDIFF", "EXTRACT"];

impl Binder<'_> {
    pub(super) fn function(&mut self, function: &ast::Function, site: &mut Site<'_>) -> SqlResult<Expr> {
        let (parts, position) = name_parts(&function.name)?;
        let [name] = parts[..] else {
            return Err(SqlError::name(format!("there is no function '{}'", function.name)).at(position));
        };
        // The parser gives forms these names, which without quotes no call can have.
        let is_form = ["MAP", SYMMETRIC_BETWEEN].contains(&function.name.to_string().as_str());
        let name = name.to_uppercase();
        self.check_clauses(&name, function).map_err(|error| error.at(position))?;
        if function.over.is_some() {
            return self.over_call(&name, function, site);
        }
        if site.pattern.is_some()
            && let Some(read) =
                self.pattern_call(&name, function, site).map_err(|error| error.at(position))?
        {
            return Ok(read);
        }
        if self.is_aggregate(&name) {
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
        let mut written = Vec::with_capacity(args.len());
        for (index, arg) in args.iter().enumerate() {
            let ast = plain_argument(arg, &name)?;
            written.push(ast);
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
        let arguments = json_arguments(&name, &written, arguments).map_err(|error| error.at(position))?;
        if self.catalogs.functions.is_table(&name) {
            return Err(SqlError::semantic(format!("{name} is a table function"))
                .hint(format!("it stands in FROM: FROM t, LATERAL TABLE({name}(…)) AS u(…)"))
                .at(position));
        }
        let is_built_in = is_form || registry::callable(&name).is_some();
        if !is_built_in && !self.catalogs.functions.is_scalar(&name) {
            return Err(self.unknown_function(&name).at(position));
        }
        let call = match (name.as_str(), &arguments[..]) {
            (SYMMETRIC_BETWEEN, [value, one, two]) if is_form => self.symmetric_between(value, one, two),
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
            _ if !is_built_in => self.own_call(&name, arguments),
            _ => self.call(&name, arguments),
        };
        call.map_err(|error| error.at(position))
    }

    /// Refuses what may be written in a call, but means nothing to the function.
    fn check_clauses(&self, name: &str, function: &ast::Function) -> SqlResult<()> {
        let refuse = |what: &str| Err(SqlError::unsupported(format!("{name}: {what} is not supported")));
        if !matches!(function.parameters, FunctionArguments::None) {
            return refuse("a second list of parameters");
        }
        if !function.within_group.is_empty() {
            return refuse("ORDER BY").map_err(|error| error.hint(IN_ORDER_OF_ARRIVAL));
        }
        if function.null_treatment.is_some() && name != "ARRAY_AGG" {
            return refuse("IGNORE NULLS or RESPECT NULLS");
        }
        for clause in argument_list(function)?.map(|list| list.clauses.as_slice()).unwrap_or_default() {
            match clause {
                FunctionArgumentClause::IgnoreOrRespectNulls(_) if name == "ARRAY_AGG" => {}
                FunctionArgumentClause::IgnoreOrRespectNulls(_) => {
                    return refuse("IGNORE NULLS or RESPECT NULLS");
                }
                FunctionArgumentClause::OrderBy(_) => {
                    return refuse("ORDER BY").map_err(|error| error.hint(IN_ORDER_OF_ARRIVAL));
                }
                other => return refuse(&format!("'{other}'")),
            }
        }
        Ok(())
    }

    /// Whether there is an aggregate function called `name`, built in or the session's own.
    pub(super) fn is_aggregate(&self, name: &str) -> bool {
        registry::is_aggregate(name) || self.catalogs.functions.is_aggregate(name)
    }

    /// The error that there is no function called `name`.
    pub(crate) fn unknown_function(&self, name: &str) -> SqlError {
        if name == "APPROX_COUNT_DISTINCT" {
            return SqlError::unsupported("APPROX_COUNT_DISTINCT is for batch jobs only, as in Flink")
                .hint("COUNT(DISTINCT …) is exact");
        }
        let error = SqlError::name(format!("there is no function '{name}'"));
        match registry::nearest_function(name, self.catalogs.functions.names()) {
            Some(near) => error.hint(format!("did you mean '{near}'?")),
            None => error.hint(crate::udf::HOW_TO_ADD),
        }
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
