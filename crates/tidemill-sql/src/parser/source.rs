//! The text of a script: places in it, and what is wrong with its characters.

use std::borrow::Cow;

use sqlparser::tokenizer::Location;

use super::errors::Fault;

/// A text with the beginnings of its lines.
pub(super) struct Source<'a> {
    text: &'a str,
    lines: Vec<Line>,
}

struct Line {
    start: usize,
    /// Whether places in it are bytes as well as characters.
    ascii: bool,
}

impl<'a> Source<'a> {
    /// Finds the lines of a text.
    pub(super) fn new(text: &'a str) -> Self {
        let mut start = 0;
        let mut line = |text: &str| {
            let line = Line { start, ascii: text.is_ascii() };
            start += text.len();
            line
        };
        Self { text, lines: text.split_inclusive('\n').map(&mut line).collect() }
    }

    /// The text between two places.
    pub(super) fn slice(&self, start: Location, end: Location) -> &'a str {
        self.text.get(self.offset(start)..self.offset(end)).unwrap_or_default()
    }

    fn offset(&self, location: Location) -> usize {
        let line = usize::try_from(location.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let column = usize::try_from(location.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(Line { start, ascii }) = self.lines.get(line) else { return self.text.len() };
        if *ascii {
            return start.saturating_add(column).min(self.text.len());
        }
        let rest = self.text.get(*start..).unwrap_or_default();
        start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
    }
}

/// What the characters at hand belong to.
#[derive(Clone, Copy)]
enum Within {
    Nothing,
    String,
    Name,
    LineComment,
    BlockComment,
}

/// Checks that strings, names and comments are closed, and writes the text so that `sqlparser` splits it as Flink does:
/// `//` begins a comment too. Every character keeps its place.
pub(super) fn normalize(text: &str) -> Result<Cow<'_, str>, Fault> {
    // Editors put a byte order mark in front of files; it says nothing.
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => Cow::Owned(format!(" {rest}")),
        None => Cow::Borrowed(text),
    };
    let comments = scan(&text)?;
    if comments.is_empty() {
        return Ok(text);
    }
    let mut result = String::with_capacity(text.len());
    let mut copied = 0;
    for at in comments {
        result.push_str(text.get(copied..at).unwrap_or_default());
        result.push_str("--");
        copied = at + 2;
    }
    result.push_str(text.get(copied..).unwrap_or_default());
    Ok(Cow::Owned(result))
}

/// Where comments begin by `//`.
fn scan(text: &str) -> Result<Vec<usize>, Fault> {
    let (comments, within, opened) = walk(text)?;
    let missing = match within {
        Within::String => "this string is not closed: a ' is missing",
        Within::Name => "this name is not closed: a ` is missing",
        Within::BlockComment => "this comment is not closed: a */ is missing",
        Within::Nothing | Within::LineComment => return Ok(comments),
    };
    Err(Fault::syntax(missing, opened))
}

/// Whether a text ends within a string, a name or a comment that goes on.
pub(super) fn is_open(text: &str) -> bool {
    matches!(walk(text), Ok((_, Within::String | Within::Name | Within::BlockComment, _)))
}

/// Where comments begin by `//`, and in what the text ends, and where that was opened.
fn walk(text: &str) -> Result<(Vec<usize>, Within, Location), Fault> {
    let mut comments = Vec::new();
    let mut within = Within::Nothing;
    let mut opened = Location { line: 1, column: 1 };
    let mut here = opened;
    let mut previous = '\0';
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        // What begins or ends here, and whether the next character belongs to that.
        let (then, pair) = match (within, c, next) {
            (Within::Nothing, '\'', _) => (Within::String, false),
            (Within::Nothing, '`', _) => (Within::Name, false),
            (Within::Nothing, '-', Some('-')) => (Within::LineComment, true),
            (Within::Nothing, '/', Some('*')) => (Within::BlockComment, true),
            // `://` and `:///` are no comments: settings without quotes may be addresses.
            (Within::Nothing, '/', Some('/')) if previous != ':' && previous != '/' => {
                comments.push(at);
                (Within::LineComment, true)
            }
            (Within::Nothing, '"', _) => {
                return Err(Fault::syntax("'\"' quotes nothing in Flink SQL", here)
                    .hint("names are written `name`, strings 'text'"));
            }
            (Within::String, '\'', Some('\'')) | (Within::Name, '`', Some('`')) => (within, true),
            (Within::String, '\'', _) | (Within::Name, '`', _) | (Within::LineComment, '\n', _) => {
                (Within::Nothing, false)
            }
            (Within::BlockComment, '*', Some('/')) => (Within::Nothing, true),
            _ => (within, false),
        };
        if matches!(within, Within::Nothing) {
            opened = here;
        }
        within = then;
        here = after(here, c);
        previous = c;
        if pair && let Some((_, second)) = chars.next() {
            here = after(here, second);
            previous = second;
        }
    }
    Ok((comments, within, opened))
}

fn after(here: Location, c: char) -> Location {
    if c == '\n' {
        Location { line: here.line + 1, column: 1 }
    } else {
        Location { line: here.line, column: here.column + 1 }
    }
}
