//! From the text of a script to its [statements](statement).
//!
//! The text is checked and split into tokens (`source`, `tokens`), these into statements (`script`). What `sqlparser`
//! cannot read is rewritten (`rewrite`) or read by code that `sqlparser` calls (`dialect`, `expressions`, `json`);
//! Flink's statements are read here (`statements`, `ddl`, `types`, `hints`).

mod complete;
mod cursor;
mod ddl;
mod dialect;
mod errors;
mod expressions;
mod hints;
mod json;
mod rewrite;
mod script;
mod source;
pub mod statement;
mod statements;
#[cfg(test)]
mod tests;
mod tokens;
mod types;
mod words;

use sqlparser::ast::{DataType, Expr, Query};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, TokenWithSpan};

use self::cursor::Cursor;
use self::errors::{Fault, Parse};
use self::statement::Script;
use crate::error::{SqlErrorKind, SqlResult};
use crate::types::LogicalType;

pub use self::complete::{is_complete, keywords};
pub use self::hints::parse_hints;

/// Reads a script.
///
/// ```
/// use tidemill_sql::parser::parse_script;
/// use tidemill_sql::parser::statement::Statement;
///
/// let script = parse_script("SET 'pipeline.name' = 'bids'; SELECT price FROM bid;")?;
/// assert!(matches!(script.statements[1].statement, Statement::Query(_)));
///
/// let error = parse_script("SELECT price\nFORM bid").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "expected the end of the statement, found 'bid'\n --> line 2, column 6\n  |\n2 | FORM bid\n  |      ^\n\
///      hint: did you mean FROM instead of 'FORM'?"
/// );
/// # Ok::<(), tidemill_sql::error::SqlError>(())
/// ```
pub fn parse_script(text: &str) -> SqlResult<Script> {
    on_large_stack(|| script::parse(text)).map_err(|fault| fault.into_error().in_script(text))
}

/// Reads one expression.
pub fn parse_expression(text: &str) -> SqlResult<Expr> {
    on_large_stack(|| parse(text, |parser| parser.parse_expr()))
        .map_err(|fault| fault.into_error().in_script(text))
}

/// Reads one query.
pub fn parse_query(text: &str) -> SqlResult<Box<Query>> {
    on_large_stack(|| parse(text, |parser| parser.parse_query()))
        .map_err(|fault| fault.into_error().in_script(text))
}

/// Reads a type, such as `ROW<a INT NOT NULL, b ARRAY<STRING>>`.
pub fn parse_type(text: &str) -> SqlResult<LogicalType> {
    parse(text, types::logical_type).map_err(|fault| fault.into_error().in_script(text))
}

/// The type that an expression names: the parser leaves types as [`statement`] says.
pub fn logical_type(ast: &DataType) -> SqlResult<LogicalType> {
    parse_type(&ast.to_string())
}

/// Reads all of a text.
fn parse<T>(text: &str, read: impl FnOnce(&mut Parser<'static>) -> Parse<T>) -> Result<T, Fault> {
    let written = tokens::tokenize(text)?;
    tokens::check(&written)?;
    let mut parser = cursor::parser(rewrite::rewrite(&written)?);
    match read(&mut parser).and_then(|value| parser.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(error) => Err(script::explain(parser, error, &written)),
    }
}

/// Where the last token ends.
fn end_of(tokens: &[TokenWithSpan]) -> Location {
    tokens.last().map_or(Location { line: 1, column: 1 }, |token| token.span.end)
}

/// Runs `work` where the deepest nesting that the parser lets pass fits, whatever is left of the caller's stack:
/// without optimization, a query in `FROM` takes `sqlparser` some 200 KiB.
fn on_large_stack<T: Send>(work: impl FnOnce() -> Result<T, Fault> + Send) -> Result<T, Fault> {
    const STACK: usize = 64 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("sql-parser".into()).stack_size(STACK);
        match thread.spawn_scoped(scope, work).map(|thread| thread.join()) {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => {
                let message = format!("there is no thread to parse on: {error}");
                Err(Fault::new(SqlErrorKind::Internal, message, Location::empty()))
            }
        }
    })
}
