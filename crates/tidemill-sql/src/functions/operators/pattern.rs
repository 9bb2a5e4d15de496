//! `LIKE` and `SIMILAR TO`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::BooleanArray;
use regex::Regex;

use crate::functions::kernel::{Argument, Inputs, KernelError, Mismatch, Resolved};
use crate::types::{LogicalType, TypeRoot};

/// What `.` of Java does not stand for: `_` does not either.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// What stands for one character in a regular expression.
const ANY: &str = r"[^\n\r\x{85}\x{2028}\x{2029}]";

/// How many patterns that are no literals are remembered.
const REMEMBERED: usize = 1000;

/// What is wrong with a pattern.
type Invalid = String;

/// Resolves `string LIKE pattern [ESCAPE escape]`.
pub(super) fn like(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    resolve(arguments, Like::compile, Like::matches)
}

/// Resolves `string SIMILAR TO pattern [ESCAPE escape]`.
pub(super) fn similar(arguments: &[Argument<'_>]) -> Result<Resolved, Mismatch> {
    resolve(arguments, compile_similar, |regex, text| regex.is_match(text))
}

fn resolve<P: Send + Sync + 'static>(
    arguments: &[Argument<'_>],
    compile: fn(&str, Option<&str>, bool) -> Result<P, Invalid>,
    matches: fn(&P, &str) -> bool,
) -> Result<Resolved, Mismatch> {
    if !matches!(arguments.len(), 2 | 3)
        || !arguments.iter().all(|argument| argument.logical.root.is_character())
    {
        return Err(Mismatch::new("expects (string, string) or (string, string, string)"));
    }
    let nullable = arguments.iter().any(|argument| argument.logical.nullable);
    let types = arguments.iter().map(|argument| argument.logical.clone()).collect();
    let returns = LogicalType { root: TypeRoot::Boolean, nullable };
    let pattern = arguments.get(1).and_then(Argument::text);
    let escape = arguments.get(2).map(Argument::text);
    if let (Some(pattern), None | Some(Some(_))) = (pattern, escape) {
        let compiled = compile(pattern, escape.flatten(), true).map_err(Mismatch)?;
        return Ok(Resolved::new(types, returns, move |inputs| {
            let texts = inputs.get(0)?.text()?;
            let answers = (0..inputs.rows()).map(|row| texts.get(row).map(|text| matches(&compiled, text)));
            Ok(Arc::new(answers.collect::<BooleanArray>()))
        }));
    }
    let known: Mutex<HashMap<(String, Option<String>), Arc<P>>> = Mutex::default();
    let compiled = move |pattern: &str, escape: Option<&str>| -> Result<Arc<P>, KernelError> {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (pattern.to_owned(), escape.map(str::to_owned));
        if let Some(found) = known.get(&key) {
            return Ok(Arc::clone(found));
        }
        let made = Arc::new(compile(pattern, escape, false).map_err(KernelError)?);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, Arc::clone(&made));
        Ok(made)
    };
    Ok(Resolved::new(types, returns, move |inputs: &Inputs| {
        let (texts, patterns) = (inputs.get(0)?.text()?, inputs.get(1)?.text()?);
        let escapes = if inputs.len() > 2 { Some(inputs.get(2)?.text()?) } else { None };
        let mut last: Option<(&str, Option<&str>, Arc<P>)> = None;
        let mut answers = Vec::with_capacity(inputs.rows());
        for row in 0..inputs.rows() {
            let escape = escapes.as_ref().map(|escapes| escapes.get(row));
            let (Some(text), Some(pattern), None | Some(Some(_))) =
                (texts.get(row), patterns.get(row), escape)
            else {
                answers.push(None);
                continue;
            };
            let escape = escape.flatten();
            let is_last = last.as_ref().is_some_and(|(before, by, _)| *before == pattern && *by == escape);
            if !is_last {
                last = Some((pattern, escape, compiled(pattern, escape)?));
            }
            answers.push(last.as_ref().map(|(_, _, pattern)| matches(pattern, text)));
        }
        Ok(Arc::new(BooleanArray::from(answers)))
    }))
}

fn invalid_escape(escape: &str) -> Invalid {
    format!("invalid escape character '{escape}'")
}

fn invalid_sequence(pattern: &str, index: usize) -> Invalid {
    format!("invalid escape sequence '{pattern}', {index}")
}

/// The one character that an escape must be.
fn escape_character(escape: Option<&str>) -> Result<Option<char>, Invalid> {
    let Some(text) = escape else { return Ok(None) };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(escape), None) if escape != '\0' => Ok(Some(escape)),
        _ => Err(invalid_escape(text)),
    }
}

/// A part of a pattern of `LIKE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A character that stands for itself.
    Literal(char),
    /// `_`
    One,
    /// `%`
    Many,
}

fn parts(pattern: &str, escape: Option<char>) -> Result<Vec<Part>, Invalid> {
    let mut parts = Vec::with_capacity(pattern.len());
    let mut characters = pattern.chars().enumerate();
    while let Some((index, character)) = characters.next() {
        parts.push(match character {
            escaped if Some(escaped) == escape => match characters.next() {
                Some((_, next)) if matches!(next, '_' | '%') || next == escaped => Part::Literal(next),
                _ => return Err(invalid_sequence(pattern, index)),
            },
            '_' => Part::One,
            '%' => Part::Many,
            other => Part::Literal(other),
        });
    }
    Ok(parts)
}

/// A pattern of `LIKE`, by what is quickest to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Like {
    /// No `%` and no `_`.
    Exact(String),
    /// `%` at the end only.
    Prefix(String),
    /// `%` at the start only.
    Suffix(String),
    /// `%` at both ends only.
    Contains(String),
    /// Any `%`, but no `_`: what is between them, each behind the one before.
    Pieces(Vec<String>),
    /// Any.
    Parts(Vec<Part>),
}

impl Like {
    fn compile(pattern: &str, escape: Option<&str>, is_literal: bool) -> Result<Self, Invalid> {
        // Flink lets a literal escape be empty where there is nothing that it could escape.
        let escape = match escape {
            Some("") if is_literal && !pattern.contains('_') => None,
            escape => escape_character(escape)?,
        };
        let parts = parts(pattern, escape)?;
        if parts.contains(&Part::One) {
            return Ok(Like::Parts(parts));
        }
        let mut pieces = vec![String::new()];
        for part in &parts {
            match (part, pieces.last_mut()) {
                (Part::Literal(character), Some(piece)) => piece.push(*character),
                (Part::Many, _) => pieces.push(String::new()),
                _ => {}
            }
        }
        Ok(match pieces.as_mut_slice() {
            [only] => Like::Exact(std::mem::take(only)),
            [first, last] if last.is_empty() => Like::Prefix(std::mem::take(first)),
            [first, last] if first.is_empty() => Like::Suffix(std::mem::take(last)),
            [first, middle, last] if first.is_empty() && last.is_empty() => {
                Like::Contains(std::mem::take(middle))
            }
            _ => Like::Pieces(pieces),
        })
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Like::Exact(exact) => text == exact,
            Like::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Like::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Like::Contains(part) => text.contains(part.as_str()),
            Like::Pieces(pieces) => matches_pieces(pieces, text),
            Like::Parts(parts) => matches_parts(parts, text),
        }
    }
}

fn matches_pieces(pieces: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = pieces else { return false };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for piece in middle {
        let Some((_, after)) = rest.split_once(piece.as_str()) else { return false };
        rest = after;
    }
    rest.ends_with(last.as_str())
}

/// Takes as little as possible for each `%`, and more of the last one where the rest does not match: what was
/// taken for those before it need not change then.
fn matches_parts(parts: &[Part], text: &str) -> bool {
    let (mut position, mut rest) = (0, text);
    let mut retry: Option<(usize, &str)> = None;
    loop {
        let next = rest.chars().next();
        let step = match (parts.get(position), next) {
            (None, None) => return true,
            (Some(Part::Many), _) => {
                position += 1;
                retry = Some((position, rest));
                continue;
            }
            (Some(Part::Literal(expected)), Some(found)) if *expected == found => Some(found),
            (Some(Part::One), Some(found)) if !LINE_ENDS.contains(&found) => Some(found),
            _ => None,
        };
        if let Some(found) = step {
            position += 1;
            rest = rest.get(found.len_utf8()..).unwrap_or_default();
            continue;
        }
        let Some((after, from)) = retry else { return false };
        let Some(skipped) = from.chars().next() else { return false };
        rest = from.get(skipped.len_utf8()..).unwrap_or_default();
        position = after;
        retry = Some((after, rest));
    }
}

/// What has a meaning in a pattern of `SIMILAR TO`.
const SPECIALS: &str = "[]()|^-+*_%?{}";

fn compile_similar(pattern: &str, escape: Option<&str>, _: bool) -> Result<Regex, Invalid> {
    let escape = escape_character(escape)?;
    let translated = translate_similar(pattern, escape)?;
    Regex::new(&format!(r"\A(?:{translated})\z")).map_err(|_| invalid_expression(pattern))
}

fn invalid_expression(pattern: &str) -> Invalid {
    format!("invalid regular expression '{pattern}'")
}

/// The regular expression that a pattern of `SIMILAR TO` stands for. As in Flink, a point is any character
/// too, and what has no meaning in SQL but in regular expressions has it.
fn translate_similar(pattern: &str, escape: Option<char>) -> Result<String, Invalid> {
    let characters: Vec<char> = pattern.chars().collect();
    check_escapes(pattern, &characters, escape)?;
    let mut regex = String::with_capacity(pattern.len() * 2);
    let mut index = 0;
    while let Some(character) = characters.get(index).copied() {
        match character {
            escaped if Some(escaped) == escape => {
                index += 1;
                match characters.get(index).copied() {
                    Some(next) if SPECIALS.contains(next) || next == escaped => {
                        push_literal(next, &mut regex)
                    }
                    _ => return Err(invalid_sequence(pattern, index - 1)),
                }
            }
            '_' | '.' => regex.push_str(ANY),
            '%' => regex.push_str("(?s:.*)"),
            '[' => index = translate_enumeration(pattern, &characters, index, escape, &mut regex)?,
            ']' => return Err(invalid_expression(pattern)),
            '\\' | '$' => push_literal(character, &mut regex),
            other => regex.push(other),
        }
        index += 1;
    }
    Ok(regex)
}

/// An escape that has a meaning itself must stand before one that has too; `:` must be a part of a class.
fn check_escapes(pattern: &str, characters: &[char], escape: Option<char>) -> Result<(), Invalid> {
    let Some(escape) = escape else { return Ok(()) };
    if SPECIALS.contains(escape) {
        for (index, _) in characters.iter().enumerate().filter(|(_, character)| **character == escape) {
            match characters.get(index + 1) {
                Some(next) if SPECIALS.contains(*next) || *next == escape => {}
                _ => return Err(invalid_sequence(pattern, index)),
            }
        }
    }
    if escape == ':' && !(pattern.contains("[:") && pattern.contains(":]")) {
        return Err(invalid_sequence(pattern, 0));
    }
    Ok(())
}

fn push_literal(character: char, regex: &mut String) {
    if regex_syntax_meaning(character) {
        regex.push('\\');
    }
    regex.push(character);
}

fn regex_syntax_meaning(character: char) -> bool {
    matches!(
        character,
        '\\' | '.'
            | '+'
            | '*'
            | '?'
            | '('
            | ')'
            | '|'
            | '['
            | ']'
            | '{'
            | '}'
            | '^'
            | '$'
            | '#'
            | '&'
            | '-'
            | '~'
    )
}

/// Translates from the `[` at `start` and answers where its `]` is.
fn translate_enumeration(
    pattern: &str,
    characters: &[char],
    start: usize,
    escape: Option<char>,
    regex: &mut String,
) -> Result<usize, Invalid> {
    const CLASSES: [(&str, &str); 7] = [
        ("[:alpha:]", "A-Za-z"),
        ("[:upper:]", "A-Z"),
        ("[:lower:]", "a-z"),
        ("[:digit:]", "0-9"),
        ("[:space:]", " "),
        ("[:whitespace:]", r" \t\n\x0B\f\r"),
        ("[:alnum:]", "A-Za-z0-9"),
    ];
    regex.push('[');
    let mut index = start + 1;
    while let Some(character) = characters.get(index).copied() {
        match character {
            ']' => {
                regex.push(']');
                return Ok(index);
            }
            escaped if Some(escaped) == escape => {
                index += 1;
                match characters.get(index).copied() {
                    Some(next) if SPECIALS.contains(next) || next == escaped => push_literal(next, regex),
                    _ => return Err(invalid_expression(pattern)),
                }
            }
            '-' | '^' => regex.push(character),
            '[' if characters.get(index + 1) == Some(&':') => {
                let rest: String = characters.get(index..).unwrap_or_default().iter().collect();
                let class = CLASSES
                    .iter()
                    .find(|(name, _)| rest.starts_with(name) || rest.starts_with(&name.to_uppercase()));
                let Some((name, class)) = class else { return Err(invalid_expression(pattern)) };
                regex.push_str(class);
                index += name.len() - 1;
            }
            other if SPECIALS.contains(other) => return Err(invalid_expression(pattern)),
            other => push_literal(other, regex),
        }
        index += 1;
    }
    Err(invalid_expression(pattern))
}
