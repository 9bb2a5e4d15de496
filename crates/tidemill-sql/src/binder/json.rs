//! Arguments of the functions of JSON: from the sentences that the parser has made lists of to the forms that the functions take.

use sqlparser::ast;

use crate::error::{SqlError, SqlResult};
use crate::expr::{Expr, literal};

/// The arguments of `name` as it takes them; `written` are the same as they were parsed.
pub(super) fn json_arguments(
    name: &str,
    written: &[&ast::Expr],
    arguments: Vec<Expr>,
) -> SqlResult<Vec<Expr>> {
    match name {
        "JSON_EXISTS" | "JSON_VALUE" | "JSON_QUERY" => options(arguments),
        "JSON_OBJECT" => members(written, arguments, 2),
        "JSON_ARRAY" => members(written, arguments, 1),
        _ => Ok(arguments),
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr.literal() {
        Some(datafusion_common::ScalarValue::Utf8(Some(text))) => Some(text),
        _ => None,
    }
}

/// `'NULL ON EMPTY'` becomes `'ON EMPTY NULL'`, `'RETURNING', 'INT'` becomes `'RETURNING INTEGER'`.
fn options(arguments: Vec<Expr>) -> SqlResult<Vec<Expr>> {
    let mut arguments = arguments.into_iter();
    let mut out: Vec<Expr> = arguments.by_ref().take(2).collect();
    while let Some(argument) = arguments.next() {
        let Some(option) = text(&argument) else {
            return Err(SqlError::internal("an option of JSON is no text"));
        };
        if option == "RETURNING" {
            let wanted = arguments.next();
            let wanted = wanted.as_ref().and_then(text).unwrap_or_default().to_uppercase();
            let wanted = match wanted.as_str() {
                "INT" => "INTEGER",
                other if other.starts_with("VARCHAR") || other.starts_with("CHAR") => "STRING",
                other => other,
            };
            out.push(literal::text(&format!("RETURNING {wanted}")));
            continue;
        }
        if let Some(wrapper) = option.strip_suffix(" WRAPPER") {
            out.push(literal::text(&format!("{} ARRAY WRAPPER", wrapper.trim_end_matches(" ARRAY"))));
            continue;
        }
        let Some((value, event)) = option.rsplit_once(" ON ") else {
            return Err(SqlError::internal(format!("an unknown option of JSON: {option}")));
        };
        out.push(literal::text(&format!("ON {event} {value}")));
        if value == "DEFAULT" {
            out.extend(arguments.next());
        }
    }
    Ok(out)
}

/// What is done with NULL goes first, and before each value stands whether it is JSON already.
fn members(written: &[&ast::Expr], mut arguments: Vec<Expr>, width: usize) -> SqlResult<Vec<Expr>> {
    let Some(on_null) = arguments.pop() else {
        return Err(SqlError::internal("nothing is said about NULL in JSON"));
    };
    let mut out = vec![on_null];
    for (index, argument) in arguments.into_iter().enumerate() {
        if index % width == width - 1 {
            let is_json = written.get(index).is_some_and(|ast| is_json(ast));
            out.push(literal::text(if is_json { "JSON" } else { "VALUE" }));
        }
        out.push(argument);
    }
    Ok(out)
}

fn is_json(ast: &ast::Expr) -> bool {
    match ast {
        ast::Expr::Function(function) => {
            let name = function.name.to_string().to_uppercase();
            matches!(name.as_str(), "JSON_OBJECT" | "JSON_ARRAY" | "JSON")
        }
        ast::Expr::Nested(inner) => is_json(inner),
        _ => false,
    }
}
