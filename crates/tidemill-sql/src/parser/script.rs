//! From a script to statements, and from an error to the most exact one.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::parser::{IsLateral, Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use super::cursor::{Cursor, is_word, parser, plain_word};
use super::errors::{Fault, Parse};
use super::hints;
use super::rewrite::rewrite;
use super::source::Source;
use super::statement::{Script, ScriptStatement};
use super::statements::Statements;
use super::tokens::{check, is_hint, tokenize};
use super::words::is_reserved;
use crate::error::{SqlErrorKind, nearest};

/// Reads all statements of a script.
pub(super) fn parse(text: &str) -> Result<Script, Fault> {
    let tokens = tokenize(text)?;
    let source = Source::new(text);
    let mut statements = Vec::new();
    for range in split(&tokens) {
        statements.push(statement(&source, tokens.get(range).unwrap_or_default())?);
    }
    Ok(Script { text: Arc::from(text), statements })
}

/// The tokens of each statement: without semicolons, but for those within a set of statements.
fn split(tokens: &[TokenWithSpan]) -> Vec<Range<usize>> {
    splits(tokens).0
}

/// As [`split`], and whether a set of statements has no end.
pub(super) fn splits(tokens: &[TokenWithSpan]) -> (Vec<Range<usize>>, bool) {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut within_set = false;
    let ends = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| token.token == Token::SemiColon)
        .map(|(index, _)| index);
    let mut part = 0;
    for end in ends.chain([tokens.len()]) {
        let words = tokens.get(part..end).unwrap_or_default();
        let first = words.first().map_or(&Token::EOF, |token| &token.token);
        within_set = if within_set { !is_word(first, "END") } else { opens_set(words) };
        part = end + 1;
        if !within_set || end == tokens.len() {
            if end > start {
                statements.push(start..end);
            }
            start = end + 1;
        }
    }
    (statements, within_set)
}

/// Whether a set of statements begins here that goes on behind the semicolon.
fn opens_set(words: &[TokenWithSpan]) -> bool {
    let at = |index: usize, word: &str| words.get(index).is_some_and(|token| is_word(&token.token, word));
    if at(0, "BEGIN") {
        return at(1, "STATEMENT");
    }
    // These words may stand behind details of EXPLAIN or the name of a plan.
    ["EXECUTE", "EXPLAIN", "COMPILE"].iter().any(|word| at(0, word))
        && (1..words.len())
            .any(|index| at(index, "STATEMENT") && at(index + 1, "SET") && at(index + 2, "BEGIN"))
}

/// Reads one statement.
fn statement(source: &Source<'_>, written: &[TokenWithSpan]) -> Result<ScriptStatement, Fault> {
    let start = written.first().map_or(Location::empty(), |token| token.span.start);
    let end = super::end_of(written);
    let text = || Arc::from(source.slice(start, end));
    if let Some(statement) = Statements::setting(source, written)? {
        return Ok(ScriptStatement { statement, start: start.into(), text: text() });
    }
    check(written)?;
    let mut statements = Statements { parser: parser(rewrite(written)?), source, end };
    match statements.all() {
        Ok(statement) => Ok(ScriptStatement { statement, start: start.into(), text: text() }),
        Err(error) => Err(explain(statements.parser, error, written)),
    }
}

/// What is wrong with the tokens of a parser that failed, and with those that were written.
pub(super) fn explain(parser: Parser<'static>, error: ParserError, written: &[TokenWithSpan]) -> Fault {
    let end = super::end_of(written);
    let deep = error == ParserError::RecursionLimitExceeded;
    let fault = Fault::from_parser(error, parser.location(), end);
    if deep || fault.kind != SqlErrorKind::Syntax {
        return fault;
    }
    // There the parser found what the hint was turned into.
    if written.iter().any(|token| is_hint(&token.token) && token.span.start == fault.location) {
        return hints::misplaced(fault.location);
    }
    let tokens = parser.into_tokens();
    suggest(&tokens, refine(&tokens, fault, end))
}

/// Names the keyword that may have been meant by the word at or before the error: a misspelled keyword is an alias.
fn suggest(tokens: &[TokenWithSpan], fault: Fault) -> Fault {
    #[rustfmt::skip]
    const CLAUSES: [&str; 19] = [
        "SELECT", "VALUES", "WITH", "FROM", "WHERE", "GROUP", "HAVING", "WINDOW", "QUALIFY", "ORDER", "LIMIT", "OFFSET",
        "UNION", "EXCEPT", "INTERSECT", "JOIN", "LEFT", "INNER", "CROSS",
    ];
    let Some(found) = tokens.iter().position(|token| token.span.start == fault.location) else {
        return fault;
    };
    for index in [Some(found), found.checked_sub(1)].into_iter().flatten() {
        let word = tokens.get(index).and_then(|token| plain_word(&token.token)).unwrap_or_default();
        if word.len() > 3
            && !is_reserved(word)
            && let Some(near) = nearest(word, CLAUSES)
        {
            return fault.hint(format!("did you mean {near} instead of '{word}'?"));
        }
    }
    fault
}

/// Finds the error that is the reason for another.
///
/// Where a table is expected, `sqlparser` tries a query in parentheses, and when that is wrong says only that there is
/// no table. So the queries are read again by themselves, the innermost first.
fn refine(tokens: &[TokenWithSpan], fault: Fault, end: Location) -> Fault {
    let begins_query = |open: usize| {
        let first = tokens.get(open + 1).map_or(&Token::EOF, |token| &token.token);
        ["SELECT", "WITH", "VALUES"].iter().any(|word| is_word(first, word))
    };
    let mut open = Vec::new();
    let mut queries = Vec::new();
    for (index, TokenWithSpan { token, .. }) in tokens.iter().enumerate() {
        match token {
            Token::LParen => open.push(index),
            Token::RParen => queries.extend(open.pop().map(|start| (start, index + 1))),
            _ => {}
        }
    }
    queries.extend(open.into_iter().rev().map(|start| (start, tokens.len())));
    queries.retain(|(start, _)| begins_query(*start));
    let read = |range: Range<usize>, read: fn(&mut Parser<'static>) -> Parse<()>| {
        let mut parser = parser(tokens.get(range).unwrap_or_default().to_vec());
        let error = read(&mut parser).err()?;
        Some(Fault::from_parser(error, parser.location(), end))
    };
    let query = |(start, end): (usize, usize)| {
        read(start + 1..end, |parser| {
            parser.parse_query()?;
            parser.require_token(&Token::RParen).map(|_| ())
        })
    };
    if let Some(fault) = queries.iter().find_map(|range| query(*range)) {
        return fault;
    }
    // Else what follows the query is wrong, its alias.
    let blamed = queries
        .iter()
        .find(|(start, _)| tokens.get(start + 1).is_some_and(|token| token.span.start == fault.location));
    let alias = blamed.and_then(|(start, _)| {
        read(start + 1..tokens.len(), |parser| {
            parser.parse_derived_table_factor(IsLateral::NotLateral).map(|_| ())
        })
    });
    alias.unwrap_or(fault)
}
