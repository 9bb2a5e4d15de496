//! The functions that a session has besides the built-in ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::aggregate::{AggregateFunction, ErasedAggregate, UserAggregate};
use super::scalar::{ScalarFunction, resolved};
use super::table::{TableFunction, UserTable};
use super::{Argument, Mismatch};
use crate::error::{SqlError, SqlResult};
use crate::functions::kernel::Resolved;
use crate::functions::registry;
use crate::types::LogicalType;

/// Functions of your own, by name. A copy has the same functions.
#[derive(Clone, Default)]
pub struct UserFunctions(BTreeMap<String, UserFunction>);

#[derive(Clone)]
enum UserFunction {
    Scalar(Arc<dyn ScalarFunction>),
    Table(Arc<dyn TableFunction>),
    Aggregate(Arc<dyn ErasedAggregate>),
}

impl UserFunctions {
    /// Adds a function of the values of a row.
    ///
    /// # Errors
    /// When there is a function of its name, or it is no name.
    pub fn scalar(&mut self, function: impl ScalarFunction) -> SqlResult<()> {
        let name = function.name().to_owned();
        self.add(&name, UserFunction::Scalar(Arc::new(function)))
    }

    /// Adds a function that makes rows of a row.
    ///
    /// # Errors
    /// As [`scalar`](Self::scalar).
    pub fn table(&mut self, function: impl TableFunction) -> SqlResult<()> {
        let name = function.name().to_owned();
        self.add(&name, UserFunction::Table(Arc::new(function)))
    }

    /// Adds a function of the rows of a group.
    ///
    /// # Errors
    /// As [`scalar`](Self::scalar).
    pub fn aggregate(&mut self, function: impl AggregateFunction) -> SqlResult<()> {
        let name = AggregateFunction::name(&function).to_owned();
        self.add(&name, UserFunction::Aggregate(Arc::new(function)))
    }

    fn add(&mut self, name: &str, function: UserFunction) -> SqlResult<()> {
        let is_word = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_word {
            return Err(SqlError::name(format!("a function cannot be called '{name}'"))
                .hint("its name is letters, digits and underscores, and begins with no digit"));
        }
        let upper = name.to_uppercase();
        if registry::is_built_in(&upper) {
            return Err(SqlError::name(format!("there is a built-in function '{upper}' already"))
                .hint("give yours another name"));
        }
        if self.0.insert(upper, function).is_some() {
            return Err(SqlError::name(format!("two functions are called '{name}'")));
        }
        Ok(())
    }

    /// The names, in capitals, in order.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// Whether `name`, which is in capitals, is an aggregate function.
    pub(crate) fn is_aggregate(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(UserFunction::Aggregate(_)))
    }

    /// Whether `name`, which is in capitals, is a scalar function.
    pub(crate) fn is_scalar(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(UserFunction::Scalar(_)))
    }

    /// Whether `name`, which is in capitals, is a table function.
    pub(crate) fn is_table(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(UserFunction::Table(_)))
    }

    /// A call of the scalar function `name`, and whether it is deterministic; `None` when there is none.
    pub(crate) fn resolve_scalar(
        &self,
        name: &str,
        arguments: &[Argument<'_>],
    ) -> Option<(bool, Result<Resolved, Mismatch>)> {
        match self.0.get(name) {
            Some(UserFunction::Scalar(function)) => {
                Some((function.is_deterministic(), resolved(function, arguments)))
            }
            _ => None,
        }
    }

    /// A call of the table function `name`; `None` when there is none.
    pub(crate) fn resolve_table(
        &self,
        name: &str,
        arguments: &[Argument<'_>],
    ) -> Option<Result<(UserTable, Vec<LogicalType>), Mismatch>> {
        match self.0.get(name) {
            Some(UserFunction::Table(function)) => Some(UserTable::resolved(function, arguments)),
            _ => None,
        }
    }

    /// The aggregate function `name`; `None` when there is none.
    pub(crate) fn find_aggregate(&self, name: &str) -> Option<UserAggregate> {
        match self.0.get(name) {
            Some(UserFunction::Aggregate(function)) => Some(UserAggregate(Arc::clone(function))),
            _ => None,
        }
    }

    /// What kind of a function `name` is, and what it does.
    pub(crate) fn describe(&self, name: &str) -> Option<(&'static str, &str)> {
        self.0.get(name).map(|function| match function {
            UserFunction::Scalar(function) => ("SCALAR", function.description()),
            UserFunction::Table(function) => ("TABLE", function.description()),
            UserFunction::Aggregate(function) => ("AGGREGATE", function.description()),
        })
    }
}

impl std::fmt::Debug for UserFunctions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
