//! Table functions: which make rows of a row.

use std::sync::Arc;

use crate::expr::Expr;
use crate::plan::Column;
use crate::udf::UserTable;

/// A table function where it is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TableFunctionCall {
    /// The function.
    pub(crate) kind: TableFunction,
    /// Its arguments, over the columns of the row.
    pub(crate) arguments: Vec<Expr>,
    /// The columns of the rows that it makes.
    pub(crate) columns: Arc<[Column]>,
}

/// A table function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TableFunction {
    /// `UNNEST(array | map | multiset)`, with the place of each element behind if asked for.
    Unnest { with_ordinality: bool },
    /// A function of the session's own.
    User(UserTable),
}
