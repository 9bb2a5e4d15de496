//! What can be wrong while parsing, and how it gets through `sqlparser`, whose errors are text.

use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, Token};

use super::words;
use crate::error::{SqlError, SqlErrorKind};

/// What a step of parsing gives. `sqlparser` calls this module's code and the other way round, so both have its error.
pub(super) type Parse<T> = Result<T, ParserError>;

/// Between the parts of a [`Fault`] within the text of a [`ParserError`].
const SEPARATOR: char = '\u{1}';

/// Something wrong, with everything that a [`SqlError`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: SqlErrorKind,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) location: Location,
}

impl Fault {
    /// A fault of any kind.
    pub(super) fn new(kind: SqlErrorKind, message: impl Into<String>, location: Location) -> Self {
        Self { kind, message: message.into(), hint: None, location }
    }

    /// The text does not follow the grammar.
    pub(super) fn syntax(message: impl Into<String>, location: Location) -> Self {
        Self::new(SqlErrorKind::Syntax, message, location)
    }

    /// The text is Flink's, but Tidemill does not have it.
    pub(super) fn unsupported(message: impl Into<String>, location: Location) -> Self {
        Self::new(SqlErrorKind::Unsupported, message, location)
    }

    /// A type that cannot be.
    pub(super) fn types(message: impl Into<String>, location: Location) -> Self {
        Self::new(SqlErrorKind::Type, message, location)
    }

    /// `expected …, found …`, with a hint when a reserved word was meant as a name.
    pub(super) fn expected(expected: &str, found: &Token, location: Location) -> Self {
        let fault = Self::syntax(format!("expected {expected}, found {}", describe(found)), location);
        match found {
            Token::Word(word) if word.quote_style.is_none() => {
                fault.reserved_word_hint(expected, &word.value)
            }
            _ => fault,
        }
    }

    /// Says what to do, unless that has been said.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    fn reserved_word_hint(self, expected: &str, word: &str) -> Self {
        let meant = match expected {
            END => words::is_plausible_alias(word),
            "a table" | "an expression" => words::is_plausible_name(word),
            expected => expected.starts_with("a name") && words::is_plausible_name(word),
        };
        if meant {
            self.hint(format!("{} is a reserved word: a name is written `{word}`", word.to_ascii_uppercase()))
        } else {
            self
        }
    }

    /// Reads an error of the parser. Where that does not know its place, it is at the end of the text, or `here`.
    pub(super) fn from_parser(error: ParserError, here: Location, end: Location) -> Self {
        let here = if here.line > 0 { here } else { end };
        let text = match error {
            ParserError::RecursionLimitExceeded => return Self::syntax("this is nested too deeply", here),
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        };
        let (text, location) = split_location(&text);
        let short = text.ends_with("found: EOF") || text.contains(END);
        let location = location.unwrap_or(if short { end } else { here });
        let parts: Vec<&str> = text.split(SEPARATOR).collect();
        if let ["", kind, message, hint] = parts.as_slice() {
            let fault = Self::new(kind_of(kind), *message, location);
            return if hint.is_empty() { fault } else { fault.hint(*hint) };
        }
        let text = text.strip_prefix("sql parser error: ").unwrap_or(text);
        let Some(rest) = text.strip_prefix("Expected: ").or_else(|| text.strip_prefix("Expected ")) else {
            let text = lower_first(text).replace("OUTER, SEMI, ANTI or JOIN", "OUTER or JOIN");
            return Self::syntax(text, location);
        };
        let Some((expected, found)) = rest.rsplit_once(", found: ") else {
            return Self::syntax(format!("expected {rest}"), location);
        };
        let found_text = if found == "EOF" { END.to_string() } else { quote(found) };
        let expected = reword(expected);
        Self::syntax(format!("expected {expected}, found {found_text}"), location)
            .reserved_word_hint(&expected, found)
    }

    /// The error for the outside.
    pub(super) fn into_error(self) -> SqlError {
        let error = SqlError::new(self.kind, self.message).at(self.location);
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl From<Fault> for ParserError {
    fn from(fault: Fault) -> Self {
        let Fault { kind, message, hint, location } = fault;
        let [message, hint] = [message, hint.unwrap_or_default()].map(|text| text.replace(SEPARATOR, " "));
        ParserError::ParserError(format!(
            "{SEPARATOR}{kind:?}{SEPARATOR}{message}{SEPARATOR}{hint}{location}"
        ))
    }
}

fn kind_of(name: &str) -> SqlErrorKind {
    let kinds = [SqlErrorKind::Unsupported, SqlErrorKind::Type, SqlErrorKind::Option];
    kinds.into_iter().find(|kind| format!("{kind:?}") == name).unwrap_or(SqlErrorKind::Syntax)
}

/// Takes ` at Line: 1, Column: 2` off the end.
fn split_location(text: &str) -> (&str, Option<Location>) {
    let parse = |tail: &str| {
        let (line, column) = tail.split_once(", Column: ")?;
        Some(Location { line: line.parse().ok()?, column: column.parse().ok()? })
    };
    let Some((head, tail)) = text.rsplit_once(" at Line: ") else { return (text, None) };
    match parse(tail) {
        Some(location) => (head, Some(location)),
        None => (text, None),
    }
}

const END: &str = "the end of the statement";

/// A token as errors name it.
pub(super) fn describe(token: &Token) -> String {
    match token {
        Token::EOF => END.to_string(),
        token => quote(&token.to_string()),
    }
}

fn quote(text: &str) -> String {
    if text.starts_with('\'') { format!("the string {text}") } else { format!("'{text}'") }
}

/// What `sqlparser` expected, in this module's words.
fn reword(expected: &str) -> String {
    let text = match expected {
        "identifier" => "a name",
        "an identifier after AS" => "a name after AS",
        "an identifier or a '*' after '.'" => "a name or '*' behind '.'",
        "end of statement" => END,
        "table name" => "a table",
        "joined table" => "a join",
        "SELECT, VALUES, or a subquery in the query body" => "SELECT, VALUES or a query in parentheses",
        "a value" | "a concrete value" => "a literal",
        "literal number" | "literal int" => "a number",
        "literal string" => "a string",
        "date/time field" => "a unit of time such as DAY",
        // Inside of brackets, what else may follow is refused before.
        ":" => "']'",
        "one of UPDATE or SHARE" => "SYSTEM_TIME AS OF",
        "IN or BETWEEN after NOT" => "IN, BETWEEN, LIKE or SIMILAR TO after NOT",
        "ROWS, RANGE, GROUPS" => "ROWS or RANGE",
        "LEFT, RIGHT, or FULL" => "LEFT, RIGHT or FULL",
        "JOIN or APPLY after CROSS" => "JOIN after CROSS",
        "after match skip option" => "PAST LAST ROW, TO NEXT ROW, TO FIRST or TO LAST after SKIP",
        "quantifier range" | "} or upper bound" => "a number or '}'",
        text if text.contains("NORMALIZED") || text == "unicode normalization form" => {
            "NULL, TRUE, FALSE, UNKNOWN, JSON or DISTINCT FROM after IS"
        }
        text if text.chars().any(|c| c.is_ascii_lowercase() || c == ' ') => text,
        token => return quote(token),
    };
    text.to_string()
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
