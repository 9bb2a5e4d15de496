//! Flink's JSON functions, whose arguments are sentences.
//!
//! Each becomes an ordinary call. What it is told besides its values follows as string literals, in upper case and
//! without words that change nothing; [`statement`](super::statement) lists all of them.

use sqlparser::ast::{Expr, Function};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, call, string_literal};
use super::errors::{Fault, Parse};
use super::{expressions, types};

/// `JSON_VALUE`, `JSON_QUERY` and `JSON_EXISTS`.
pub(super) fn path_function(parser: &mut Parser<'_>, function: &str) -> Parse<Expr> {
    let name = expressions::open(parser)?;
    let mut args = vec![parser.parse_expr()?];
    refuse_format(parser)?;
    parser.require_token(&Token::Comma)?;
    args.push(parser.parse_expr()?);
    if parser.at("PASSING") {
        return Err(Fault::unsupported("PASSING is not supported", parser.location()).into());
    }
    if function != "JSON_EXISTS" && parser.at("RETURNING") {
        args.push(string_literal("RETURNING", parser.next_token().span));
        let span = parser.peek_token_ref().span;
        args.push(string_literal(types::cast_type(parser)?.to_string(), span));
    }
    match function {
        "JSON_VALUE" => {
            behaviours(parser, &mut args, &[&["NULL"], &["ERROR"], &["DEFAULT"]], &["EMPTY", "ERROR"])?;
        }
        "JSON_QUERY" => {
            wrapper(parser, &mut args)?;
            let values: [&[&str]; 4] = [&["NULL"], &["ERROR"], &["EMPTY", "ARRAY"], &["EMPTY", "OBJECT"]];
            behaviours(parser, &mut args, &values, &["EMPTY", "ERROR"])?;
        }
        _ => behaviours(parser, &mut args, &[&["TRUE"], &["FALSE"], &["UNKNOWN"], &["ERROR"]], &["ERROR"])?,
    }
    parser.require_token(&Token::RParen)?;
    Ok(Expr::Function(call(name, args)))
}

/// `value ON EMPTY | ERROR`, each at most once.
fn behaviours(
    parser: &mut Parser<'_>,
    args: &mut Vec<Expr>,
    values: &[&[&str]],
    events: &[&str],
) -> Parse<()> {
    let mut seen: Vec<usize> = Vec::new();
    loop {
        let location = parser.location();
        let span = parser.peek_token_ref().span;
        let Some(value) = values.iter().find(|value| parser.eat_all(value)) else { return Ok(()) };
        let default = if value.first() == Some(&"DEFAULT") { Some(parser.parse_expr()?) } else { None };
        parser.require("ON")?;
        let event = parser.one_of(events)?;
        let event_name = events.get(event).copied().unwrap_or_default();
        if seen.contains(&event) {
            return Err(Fault::syntax(format!("ON {event_name} is given twice"), location).into());
        }
        seen.push(event);
        args.push(string_literal(format!("{} ON {event_name}", value.join(" ")), span));
        args.extend(default);
    }
}

/// `WITHOUT [ARRAY] WRAPPER`, `WITH [CONDITIONAL | UNCONDITIONAL] [ARRAY] WRAPPER`.
fn wrapper(parser: &mut Parser<'_>, args: &mut Vec<Expr>) -> Parse<()> {
    let span = parser.peek_token_ref().span;
    let text = if parser.eat("WITHOUT") {
        "WITHOUT WRAPPER"
    } else if parser.eat("WITH") {
        if parser.eat("CONDITIONAL") {
            "WITH CONDITIONAL WRAPPER"
        } else {
            parser.eat("UNCONDITIONAL");
            "WITH UNCONDITIONAL WRAPPER"
        }
    } else {
        return Ok(());
    };
    parser.eat("ARRAY");
    parser.require("WRAPPER")?;
    args.push(string_literal(text, span));
    Ok(())
}

/// `JSON_OBJECT([KEY] k VALUE v | k : v, … [NULL | ABSENT ON NULL])`, and `JSON_OBJECTAGG` with one of these.
pub(super) fn object(parser: &mut Parser<'_>, aggregate: bool) -> Parse<Expr> {
    let name = expressions::open(parser)?;
    let mut args = Vec::new();
    if aggregate || !at_end(parser) {
        loop {
            // `KEY` may also be a column.
            if parser.at("KEY")
                && !parser.nth_at(1, "VALUE")
                && parser.peek_nth_token_ref(1).token != Token::Colon
            {
                parser.advance_token();
            }
            args.push(parser.parse_expr()?);
            if !parser.consume_token(&Token::Colon) && !parser.eat("VALUE") {
                return parser.unexpected("'VALUE' or ':'");
            }
            args.push(parser.parse_expr()?);
            refuse_format(parser)?;
            if aggregate || !parser.consume_token(&Token::Comma) {
                break;
            }
        }
    }
    args.push(on_null(parser, "NULL ON NULL")?);
    parser.require_token(&Token::RParen)?;
    Ok(Expr::Function(call(name, args)))
}

/// `JSON_ARRAY(v, … [NULL | ABSENT ON NULL])`, and `JSON_ARRAYAGG(v [ORDER BY …] …)`.
pub(super) fn array(parser: &mut Parser<'_>, aggregate: bool) -> Parse<Expr> {
    let name = expressions::open(parser)?;
    let mut args = Vec::new();
    if aggregate || !at_end(parser) {
        loop {
            args.push(parser.parse_expr()?);
            refuse_format(parser)?;
            if aggregate || !parser.consume_token(&Token::Comma) {
                break;
            }
        }
    }
    let mut within_group = Vec::new();
    if aggregate && parser.eat_all(&["ORDER", "BY"]) {
        within_group = parser.parse_comma_separated(Parser::parse_order_by_expr)?;
    }
    args.push(on_null(parser, "ABSENT ON NULL")?);
    parser.require_token(&Token::RParen)?;
    if aggregate && parser.eat_all(&["WITHIN", "GROUP"]) {
        parser.require_token(&Token::LParen)?;
        parser.require_all(&["ORDER", "BY"])?;
        within_group = parser.parse_comma_separated(Parser::parse_order_by_expr)?;
        parser.require_token(&Token::RParen)?;
    }
    Ok(Expr::Function(Function { within_group, ..call(name, args) }))
}

/// Whether there is no value any more.
fn at_end(parser: &Parser<'_>) -> bool {
    parser.at_token(&Token::RParen) || (parser.nth_at(1, "ON") && (parser.at("NULL") || parser.at("ABSENT")))
}

fn on_null(parser: &mut Parser<'_>, default: &str) -> Parse<Expr> {
    let span = parser.peek_token_ref().span;
    let text = if parser.eat_all(&["NULL", "ON", "NULL"]) {
        "NULL ON NULL"
    } else if parser.eat_all(&["ABSENT", "ON", "NULL"]) {
        "ABSENT ON NULL"
    } else {
        default
    };
    Ok(string_literal(text, span))
}

fn refuse_format(parser: &Parser<'_>) -> Parse<()> {
    if parser.at("FORMAT") {
        return Err(Fault::unsupported("FORMAT JSON is not supported", parser.location()).into());
    }
    Ok(())
}
