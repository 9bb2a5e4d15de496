//! Tests of the parser: what is read, what it is read as, and what errors say and where.

mod errors;
mod expressions;
mod limits;
mod queries;
mod statements;
mod types;

use sqlparser::ast::{Expr, Query, SelectItem, SetExpr, TableFactor};

use super::statement::Statement;
use super::{parse_expression, parse_query, parse_script};

/// The only statement of a script.
fn statement(text: &str) -> Statement {
    let mut statements = parse_script(text).unwrap_or_else(|error| panic!("{text}\n{error}")).statements;
    assert_eq!(statements.len(), 1, "{text}");
    statements.remove(0).statement
}

/// A query as `sqlparser` writes it.
fn query(text: &str) -> String {
    let query = parse_query(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let script = format!("/* a script too */ {text} ;");
    assert!(matches!(statement(&script), Statement::Query(again) if again == query), "{text}");
    query.to_string()
}

/// An expression as `sqlparser` writes it.
fn expression(text: &str) -> String {
    parse_expression(text).unwrap_or_else(|error| panic!("{text}\n{error}")).to_string()
}

/// The expression of a query that selects one.
fn selected(query: &Query) -> &Expr {
    let SetExpr::Select(select) = &*query.body else { panic!("no select: {query}") };
    let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] =
        select.projection.as_slice()
    else {
        panic!("not one expression: {query}")
    };
    expr
}

/// The first table of a query.
fn first_table(query: &Query) -> &TableFactor {
    let SetExpr::Select(select) = &*query.body else { panic!("no select: {query}") };
    &select.from[0].relation
}

/// What is wrong with a script: its message, line, column and hint.
fn failure(text: &str) -> (String, u32, u32, Option<String>) {
    let error = parse_script(text).err().unwrap_or_else(|| panic!("this is no error: {text}"));
    let shown = error.to_string();
    let hint = shown.rsplit_once("\nhint: ").map(|(_, hint)| hint.to_string());
    (error.message().to_string(), error.position().line, error.position().column, hint)
}

/// Checks where an error is and what it says.
#[track_caller]
fn fails(text: &str, line: u32, column: u32, message: &str) {
    let (found, found_line, found_column, _) = failure(text);
    assert_eq!((found.as_str(), found_line, found_column), (message, line, column), "{text}");
}

/// Checks the advice of an error.
#[track_caller]
fn advises(text: &str, hint: &str) {
    assert_eq!(failure(text).3.as_deref(), Some(hint), "{text}");
}
