//! Functions of JSON.
//!
//! What stands in their calls beside values are literal strings behind the arguments:
//!
//! - `IS JSON`: `text[, 'VALUE' | 'OBJECT' | 'ARRAY' | 'SCALAR']`
//! - `JSON_EXISTS`: `text, path[, 'ON ERROR TRUE' | 'ON ERROR FALSE' | 'ON ERROR UNKNOWN' | 'ON ERROR
//!   ERROR']`
//! - `JSON_VALUE`: `text, path`, then in any order
//!   - `'RETURNING STRING'`, or `BOOLEAN`, `INTEGER`, `DOUBLE` instead of `STRING`,
//!   - `'ON EMPTY NULL'`, `'ON EMPTY ERROR'`, or the two arguments `'ON EMPTY DEFAULT', value`,
//!   - the same with `ON ERROR`.
//! - `JSON_QUERY`: `text, path`, then in any order
//!   - `'RETURNING STRING'` or `'RETURNING ARRAY<STRING>'`,
//!   - `'WITHOUT ARRAY WRAPPER'`, `'WITH CONDITIONAL ARRAY WRAPPER'` or `'WITH UNCONDITIONAL ARRAY WRAPPER'`,
//!   - `'ON EMPTY NULL'`, or `ERROR`, `EMPTY ARRAY`, `EMPTY OBJECT` instead of `NULL`,
//!   - the same with `ON ERROR`.
//! - `JSON_OBJECT`: `'NULL ON NULL'`, which is meant when nothing is said, or `'ABSENT ON NULL'`; then of
//!   each member `key, kind, value`.
//! - `JSON_ARRAY`: `'NULL ON NULL'` or `'ABSENT ON NULL'`, which is meant when nothing is said; then of each
//!   element `kind, value`.
//!
//! A `kind` is `'VALUE'`, or `'JSON'` where the value is a call of `JSON_OBJECT`, `JSON_ARRAY` or `JSON` and
//! goes in as it is. Flink allows `JSON` only there; that is for the planner to see to.

mod build;
mod evaluate;
mod filter;
mod path;
mod query;
mod value;

pub(crate) use value::{compare_keys, push_quoted};

use super::kernel::{Argument, FunctionContext, FunctionGroup, Mismatch, Resolved, ScalarFunction};

const fn json(
    name: &'static str,
    usage: &'static str,
    description: &'static str,
    resolve: fn(&FunctionContext, &[Argument<'_>]) -> Result<Resolved, Mismatch>,
) -> ScalarFunction {
    let group = FunctionGroup::Json;
    ScalarFunction { name, aliases: &[], group, usage, description, deterministic: true, resolve }
}

/// The functions of this chapter.
pub(crate) const FUNCTIONS: &[ScalarFunction] = &[
    json(
        "IS JSON",
        "value IS JSON [VALUE | SCALAR | ARRAY | OBJECT]",
        "Whether a string is JSON.",
        query::is_json,
    ),
    json(
        "JSON_EXISTS",
        "JSON_EXISTS(json, path [{TRUE | FALSE | UNKNOWN | ERROR} ON ERROR])",
        "Whether there is something at the path.",
        query::json_exists,
    ),
    json(
        "JSON_VALUE",
        "JSON_VALUE(json, path [RETURNING type] [{NULL | ERROR | DEFAULT value} ON EMPTY] […ON ERROR])",
        "The string, number or truth value at the path.",
        query::json_value,
    ),
    json(
        "JSON_QUERY",
        "JSON_QUERY(json, path [RETURNING type] [wrapper] [{NULL | EMPTY ARRAY | EMPTY OBJECT | ERROR} ON …])",
        "The array or object at the path, as JSON.",
        query::json_query,
    ),
    json("JSON_STRING", "JSON_STRING(value)", "The value as JSON.", build::json_string),
    json(
        "JSON_OBJECT",
        "JSON_OBJECT([[KEY] key VALUE value]* [{NULL | ABSENT} ON NULL])",
        "The JSON object with these members.",
        build::json_object,
    ),
    json(
        "JSON_ARRAY",
        "JSON_ARRAY([value]* [{NULL | ABSENT} ON NULL])",
        "The JSON array with these elements.",
        build::json_array,
    ),
    json(
        "JSON",
        "JSON(string)",
        "The string, which is JSON, as a value of JSON_OBJECT or JSON_ARRAY.",
        query::json,
    ),
    json("JSON_QUOTE", "JSON_QUOTE(string)", "The string as one of JSON, in quotes.", query::json_quote),
    json(
        "JSON_UNQUOTE",
        "JSON_UNQUOTE(string)",
        "What the string of JSON, in quotes, stands for.",
        query::json_unquote,
    ),
];

#[cfg(test)]
mod tests;
