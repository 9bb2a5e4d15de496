//! From the syntax of a query to a plan: resolves names, types, functions and sub-queries.
//!
//! A select is bound in the order in which it is computed: `FROM`, `WHERE`, `GROUP BY`, `HAVING`, windows of `OVER`, the list,
//! `DISTINCT`, `ORDER BY`. An expression that contains aggregates is bound over the input, with a
//! [`Pending`](crate::expr::Pending) in the place of each aggregate; once the aggregates have columns these take their place.

mod aggregate_arguments;
mod aggregates;
mod calls;
mod correlated;
mod expressions;
mod files;
mod from;
mod hints;
mod json;
mod operators;
mod over;
mod over_variances;
mod own_calls;
mod pattern_calls;
mod pattern_variables;
mod patterns;
mod query;
mod rows;
mod scope;
mod select;
mod subqueries;
mod tables;
mod tables_of_functions;
mod windows;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::catalog::{Catalogs, ObjectPath};
use crate::error::{SqlError, SqlResult};
use crate::expr::{Expr, Pending};
use crate::files::FileTables;
use crate::functions::kernel::FunctionContext;
use crate::plan::Rel;

use hints::BlockHints;

pub(crate) use hints::not_looked_up;
pub(crate) use scope::Scope;
pub(crate) use tables::{can_be_event_time, hinted_options, is_quoted_file};

/// Binds the queries of a script against its catalogs.
pub(crate) struct Binder<'a> {
    catalogs: &'a Catalogs,
    context: FunctionContext,
    /// What has been bound already, so that whatever reads it twice reads it from one node.
    shared: Rc<RefCell<Shared>>,
    /// The common table expressions that are visible, the innermost last.
    ctes: Vec<HashMap<String, Rel>>,
    /// The queries around the one that is bound whose columns it may read, the innermost last.
    around: Vec<Around>,
    /// How deep queries are nested in queries and views.
    depth: Rc<Cell<usize>>,
    /// The hints of the select that is being bound.
    hints: BlockHints,
}

/// What several readers share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    tables: HashMap<(ObjectPath, String), Rel>,
    views: HashMap<ObjectPath, Rel>,
    /// What finds files that stand in `FROM`.
    files: Option<Arc<dyn FileTables>>,
}

impl Shared {
    pub(crate) fn new(files: Option<Arc<dyn FileTables>>) -> Self {
        Self { files, ..Self::default() }
    }
}

/// A query around a sub-query.
struct Around {
    scope: Scope,
    /// What the sub-query reads of it, in the order of its [`Pending::Outer`].
    read: Vec<Expr>,
}

impl Around {
    /// What stands for `expr`, which is over the query around, in the sub-query.
    fn read(&mut self, expr: Expr) -> Expr {
        let logical = expr.logical();
        let index = self.read.iter().position(|known| *known == expr).unwrap_or_else(|| {
            self.read.push(expr);
            self.read.len() - 1
        });
        Expr::Pending { what: Pending::Outer, index, logical }
    }
}

/// Queries in queries, deeper than this, are refused.
const MAX_DEPTH: usize = 64;

impl<'a> Binder<'a> {
    /// Binds against `catalogs`; `shared` is what the queries of one job have in common.
    pub(crate) fn new(
        catalogs: &'a Catalogs,
        context: FunctionContext,
        shared: &Rc<RefCell<Shared>>,
    ) -> Self {
        Self {
            catalogs,
            context,
            shared: Rc::clone(shared),
            ctes: Vec::new(),
            around: Vec::new(),
            depth: Rc::default(),
            hints: BlockHints::default(),
        }
    }

    /// Calls `f` one level deeper.
    fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> SqlResult<T>) -> SqlResult<T> {
        let depth = self.depth.get() + 1;
        if depth > MAX_DEPTH {
            return Err(SqlError::semantic(format!(
                "queries and views are nested deeper than {MAX_DEPTH} levels"
            ))
            .hint("does a view read itself?"));
        }
        self.depth.set(depth);
        let result = f(self);
        self.depth.set(depth - 1);
        result
    }
}
