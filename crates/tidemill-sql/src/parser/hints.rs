//! Hints, `/*+ … */`.

use sqlparser::ast::{BinaryOperator, Expr, OptimizerHint};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Whitespace};

use super::cursor::{Cursor, call, parser};
use super::errors::{Fault, Parse};
use super::tokens::{check, tokenize};
use crate::error::SqlResult;

/// Reads the hints behind a `SELECT`: calls, whose arguments are names, strings, and strings with `=` between.
///
/// Their places are counted within the text of the hint.
pub fn parse_hints(hint: &OptimizerHint) -> SqlResult<Vec<Expr>> {
    let end = Location { line: 1, column: 1 };
    let read = || {
        let tokens = tokenize(&hint.text)?;
        check(&tokens)?;
        all(tokens).map_err(|error| Fault::from_parser(error, end, end))
    };
    read().map_err(Fault::into_error)
}

/// The tokens of a hint, of which it is checked that they are calls.
pub(super) fn tokens(hint: &Token, span: Span) -> Result<Vec<TokenWithSpan>, Fault> {
    let Token::Whitespace(Whitespace::MultiLineComment(text)) = hint else { return Ok(Vec::new()) };
    // In front of the text is `/*+`.
    let start = Location { line: span.start.line, column: span.start.column + 3 };
    let place = |location: Location| match location.line {
        1 => Location { line: start.line, column: start.column + location.column - 1 },
        line => Location { line: start.line + line - 1, column: location.column },
    };
    let mut tokens = tokenize(text.strip_prefix('+').unwrap_or(text))
        .map_err(|fault| Fault { location: place(fault.location), ..fault })?;
    for token in &mut tokens {
        token.span = Span::new(place(token.span.start), place(token.span.end));
    }
    check(&tokens)?;
    all(tokens.clone()).map_err(|error| Fault::from_parser(error, span.end, span.end))?;
    Ok(with_parentheses(tokens))
}

/// Gives hints without arguments their parentheses, so that every hint is a call.
fn with_parentheses(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut result: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut depth = 0_usize;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        let ends = tokens.peek().is_none_or(|next| next.token == Token::Comma);
        let bare = depth == 0 && ends && matches!(token.token, Token::Word(_));
        let span = token.span;
        result.push(token);
        if bare {
            result.extend([Token::LParen, Token::RParen].map(|token| TokenWithSpan { token, span }));
        }
    }
    result
}

/// A hint where none can be.
pub(super) fn misplaced(location: Location) -> Fault {
    Fault::syntax("a hint stands behind SELECT or the name of a table only", location)
}

/// All of a hint.
fn all(tokens: Vec<TokenWithSpan>) -> Parse<Vec<Expr>> {
    let mut parser = parser(tokens);
    let hints = list(&mut parser)?;
    parser.end()?;
    Ok(hints)
}

/// A list of calls, whose parentheses may be missing where there are no arguments.
pub(super) fn list(parser: &mut Parser<'_>) -> Parse<Vec<Expr>> {
    let mut hints = Vec::new();
    loop {
        let name = parser.name()?;
        let mut args = Vec::new();
        if parser.consume_token(&Token::LParen) && !parser.consume_token(&Token::RParen) {
            args.push(argument(parser)?);
            while parser.consume_token(&Token::Comma) {
                args.push(argument(parser)?);
            }
            if !parser.consume_token(&Token::RParen) {
                return parser.unexpected("')' or ','");
            }
        }
        hints.push(Expr::Function(call(name, args)));
        if !parser.consume_token(&Token::Comma) {
            return Ok(hints);
        }
    }
}

/// A name, a string or a number, or two of them with `=` between.
fn argument(parser: &mut Parser<'_>) -> Parse<Expr> {
    let left = value(parser)?;
    if !parser.consume_token(&Token::Eq) {
        return Ok(left);
    }
    Ok(Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::Eq, right: Box::new(value(parser)?) })
}

fn value(parser: &mut Parser<'_>) -> Parse<Expr> {
    match &parser.peek_token_ref().token {
        Token::SingleQuotedString(_) | Token::Number(..) => parser.parse_value().map(Expr::Value),
        Token::Word(_) => parser.name().map(Expr::Identifier),
        _ => parser.unexpected("a name, a string or a number"),
    }
}
