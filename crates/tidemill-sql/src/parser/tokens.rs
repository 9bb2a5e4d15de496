//! From text to the tokens that the grammar reads.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Whitespace, Word};

use super::cursor::{is_word, plain_word};
use super::dialect::FlinkDialect;
use super::errors::{Fault, describe};
use super::source::normalize;

/// How deep brackets may be nested. The parser's own limit is lower for most of what they enclose, but not for all.
const BRACKETS: usize = 100;

/// How many set operations a statement may have: they nest to the left without the parser noticing.
const SET_OPERATIONS: usize = 128;

/// How many alternatives the patterns of a statement may have: they nest to the right without the parser noticing.
const ALTERNATIVES: usize = 128;

/// The keywords that `sqlparser` is to see.
///
/// It knows those of many dialects, and gives them a meaning wherever they stand: `FROM t changes` would be
/// Snowflake's. Words that mean nothing in Flink's queries are therefore made plain names.
#[rustfmt::skip]
const KEYWORDS: &[Keyword] = &[
    Keyword::AFTER, Keyword::ALL, Keyword::AND, Keyword::ANY, Keyword::ARRAY, Keyword::AS, Keyword::ASC,
    Keyword::BETWEEN, Keyword::BOTH, Keyword::BY, Keyword::CASE, Keyword::CROSS, Keyword::CUBE,
    Keyword::CURRENT, Keyword::CURRENT_DATE, Keyword::CURRENT_TIME, Keyword::CURRENT_TIMESTAMP, Keyword::DEFINE,
    Keyword::DESC, Keyword::DISTINCT, Keyword::ELSE, Keyword::EMPTY, Keyword::END, Keyword::ESCAPE,
    Keyword::EXCEPT, Keyword::EXISTS, Keyword::FALSE, Keyword::FETCH, Keyword::FILTER, Keyword::FIRST,
    Keyword::FN, Keyword::FOLLOWING, Keyword::FOR, Keyword::FROM, Keyword::FULL, Keyword::GROUP,
    Keyword::GROUPING, Keyword::HAVING, Keyword::IGNORE, Keyword::IN, Keyword::INNER, Keyword::INTERSECT,
    Keyword::IS, Keyword::JOIN, Keyword::JSON, Keyword::LAST, Keyword::LATERAL, Keyword::LEFT, Keyword::LIKE,
    Keyword::LIMIT, Keyword::LOCALTIME, Keyword::LOCALTIMESTAMP, Keyword::MATCH, Keyword::MATCHES,
    Keyword::MATCH_RECOGNIZE, Keyword::MEASURES, Keyword::NATURAL, Keyword::NEXT, Keyword::NOT, Keyword::NULL,
    Keyword::NULLS, Keyword::OBJECT, Keyword::OF, Keyword::OFFSET, Keyword::OMIT, Keyword::ON, Keyword::ONE,
    Keyword::ONLY, Keyword::OR, Keyword::ORDER, Keyword::ORDINALITY, Keyword::OUTER, Keyword::OVER,
    Keyword::OVERLAPS, Keyword::OVERLAY, Keyword::PARTITION, Keyword::PAST, Keyword::PATTERN, Keyword::PER,
    Keyword::PLACING, Keyword::PRECEDING, Keyword::QUALIFY, Keyword::RANGE, Keyword::RECURSIVE,
    Keyword::RESPECT, Keyword::RIGHT, Keyword::ROLLUP, Keyword::ROW, Keyword::ROWS, Keyword::SCALAR,
    Keyword::SELECT, Keyword::SETS, Keyword::SHOW, Keyword::SIMILAR, Keyword::SKIP, Keyword::SOME,
    Keyword::SUBSTR, Keyword::SUBSTRING, Keyword::SYSTEM_TIME, Keyword::TABLE, Keyword::THEN, Keyword::TO,
    Keyword::TRUE, Keyword::UNBOUNDED, Keyword::UNION, Keyword::UNKNOWN, Keyword::UNMATCHED, Keyword::UNNEST,
    Keyword::USING, Keyword::VALUES, Keyword::WHEN, Keyword::WHERE, Keyword::WINDOW, Keyword::WITH,
    Keyword::WITHIN,
];

/// Splits a text into tokens without space and comments, but with hints, which are comments that begin with `+`.
pub(super) fn tokenize(text: &str) -> Result<Vec<TokenWithSpan>, Fault> {
    let text = normalize(text)?;
    let all = Tokenizer::new(&FlinkDialect, &text)
        .tokenize_with_location()
        .map_err(|error| Fault::syntax(error.message, error.location))?;
    let mut tokens: Vec<TokenWithSpan> = Vec::with_capacity(all.len() / 2);
    // Where the last U&'…' is.
    let mut unicode = None;
    for TokenWithSpan { token, span } in all {
        let token = match token {
            Token::Whitespace(Whitespace::MultiLineComment(text)) if text.starts_with('+') => {
                Token::Whitespace(Whitespace::MultiLineComment(text))
            }
            Token::Whitespace(_) => continue,
            Token::Word(word) => Token::Word(plain(word, tokens.last())),
            Token::NationalStringLiteral(text) => Token::SingleQuotedString(text),
            Token::UnicodeStringLiteral(text) => {
                unicode = Some(tokens.len());
                Token::SingleQuotedString(text)
            }
            Token::SingleQuotedString(escape) if unicode.is_some_and(|at| escapes(&tokens, at)) => {
                unescape(&mut tokens, &escape, span)?;
                unicode = None;
                continue;
            }
            // Only types have it, where it closes two.
            Token::ShiftRight => {
                let middle = Location { line: span.start.line, column: span.start.column + 1 };
                tokens.push(TokenWithSpan::at(Token::Gt, span.start, middle));
                tokens.push(TokenWithSpan::at(Token::Gt, middle, span.end));
                continue;
            }
            token => token,
        };
        // A string goes on in another one on a later line.
        if let Token::SingleQuotedString(text) = &token
            && let Some(TokenWithSpan { token: Token::SingleQuotedString(before), span: place }) =
                tokens.last_mut()
            && place.end.line < span.start.line
        {
            before.push_str(text);
            place.end = span.end;
            continue;
        }
        tokens.push(TokenWithSpan { token, span });
    }
    Ok(tokens)
}

/// Whether the last tokens are `U&'…' UESCAPE`, of which the string is at `unicode`.
fn escapes(tokens: &[TokenWithSpan], unicode: usize) -> bool {
    unicode + 2 == tokens.len() && tokens.last().is_some_and(|token| is_word(&token.token, "UESCAPE"))
}

/// Replaces the characters that `U&'…' UESCAPE '!'` says by their numbers, as in `!00e4` and `!+01f600`.
fn unescape(tokens: &mut Vec<TokenWithSpan>, escape: &str, span: Span) -> Result<(), Fault> {
    let mut characters = escape.chars();
    let (Some(escape), None) = (characters.next(), characters.next()) else {
        return Err(Fault::syntax("UESCAPE has one character", span.start));
    };
    tokens.pop();
    let Some(TokenWithSpan { token: Token::SingleQuotedString(text), span: place }) = tokens.last_mut()
    else {
        return Ok(());
    };
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != escape {
            result.push(c);
        } else if chars.next_if_eq(&escape).is_some() {
            result.push(escape);
        } else {
            let digits = if chars.next_if_eq(&'+').is_some() { 6 } else { 4 };
            let number: String = chars.by_ref().take(digits).collect();
            let character = u32::from_str_radix(&number, 16).ok().and_then(char::from_u32);
            let Some(character) = character.filter(|_| number.len() == digits) else {
                return Err(Fault::syntax(format!("'{escape}{number}' is no character"), place.start));
            };
            result.push(character);
        }
    }
    *text = result;
    place.end = span.end;
    Ok(())
}

/// Makes words that are no keywords of Flink's queries plain names.
fn plain(mut word: Word, before: Option<&TokenWithSpan>) -> Word {
    let keeps = match word.keyword {
        Keyword::NoKeyword => true,
        // Everywhere else it would separate the name of an argument from its value.
        Keyword::VALUE => before.is_some_and(|token| is_word(&token.token, "JSON")),
        keyword => KEYWORDS.contains(&keyword),
    };
    if !keeps {
        word.keyword = Keyword::NoKeyword;
    }
    word
}

/// Whether a token is a hint.
pub(super) fn is_hint(token: &Token) -> bool {
    matches!(token, Token::Whitespace(_))
}

/// Refuses what no statement of Flink has, and what is nested so deeply that reading it would exhaust the stack.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<(), Fault> {
    let mut open = Vec::new();
    let mut set_operations = 0;
    let mut alternatives = 0;
    for TokenWithSpan { token, span } in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => open.push(token),
            Token::RParen | Token::RBracket | Token::RBrace => {
                open.pop();
            }
            // `sqlparser` would read a part of an array.
            Token::Colon if open.last() == Some(&&Token::LBracket) => {
                return Err(Fault::syntax("expected ']', found ':'", span.start));
            }
            Token::Pipe => alternatives += 1,
            Token::Word(_) => {
                let word = plain_word(token).unwrap_or_default();
                if ["UNION", "EXCEPT", "INTERSECT"].iter().any(|name| word.eq_ignore_ascii_case(name)) {
                    set_operations += 1;
                }
                let unsupported = ["PIVOT", "UNPIVOT", "TABLESAMPLE"];
                if let Some(name) = unsupported.into_iter().find(|name| word.eq_ignore_ascii_case(name)) {
                    return Err(Fault::unsupported(format!("{name} is not supported"), span.start));
                }
            }
            token => check_token(token, span.start)?,
        }
        if open.len() > BRACKETS {
            return Err(Fault::syntax(format!("brackets are nested more than {BRACKETS} deep"), span.start));
        }
        if set_operations > SET_OPERATIONS {
            let message = format!("a statement has at most {SET_OPERATIONS} of UNION, EXCEPT and INTERSECT");
            return Err(Fault::syntax(message, span.start));
        }
        if alternatives > ALTERNATIVES {
            return Err(Fault::syntax(
                format!("patterns have at most {ALTERNATIVES} alternatives"),
                span.start,
            ));
        }
    }
    Ok(())
}

/// Refuses tokens that Flink does not have.
fn check_token(token: &Token, location: Location) -> Result<(), Fault> {
    let fault = Fault::syntax(format!("{} has no meaning in Flink SQL", describe(token)), location);
    match token {
        Token::Number(digits, true) => {
            let message = format!("'{digits}L' is no number");
            Err(Fault::syntax(message, location).hint(format!("write CAST({digits} AS BIGINT)")))
        }
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::HexStringLiteral(_)
        | Token::Comma
        | Token::Eq
        | Token::Neq
        | Token::Lt
        | Token::Gt
        | Token::LtEq
        | Token::GtEq
        | Token::Plus
        | Token::Minus
        | Token::Mul
        | Token::Div
        | Token::Mod
        | Token::StringConcat
        | Token::Period
        | Token::Colon
        | Token::SemiColon
        | Token::RArrow
        | Token::Caret
        | Token::Placeholder(_)
        | Token::Whitespace(_) => Ok(()),
        Token::DoubleEq => Err(fault.hint("write = to compare")),
        Token::Spaceship => Err(fault.hint("write IS NOT DISTINCT FROM")),
        Token::DoubleColon => Err(fault.hint("write CAST(value AS type)")),
        Token::Overlap => Err(fault.hint("write AND")),
        Token::ExclamationMark => Err(fault.hint("write NOT, or <> for not equal")),
        _ => Err(fault),
    }
}
