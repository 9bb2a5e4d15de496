//! Filters of paths: `@.price < 10 && @.name =~ /a.*/i`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use super::evaluate::read;
use super::path::{Step, compile};
use super::value::{self, Json};
use crate::functions::regex::JavaPattern;

/// What decides of a value whether it passes.
#[derive(Debug)]
pub(super) enum Filter {
    Or(Vec<Filter>),
    And(Vec<Filter>),
    Not(Box<Filter>),
    /// Whether there is something at a path, whatever it is.
    Exists(Operand),
    Compare(Operand, Comparison, Operand),
}

#[derive(Debug)]
pub(super) enum Operand {
    /// From the value that is looked at.
    Here(Vec<Step>),
    /// From the whole document.
    Root(Vec<Step>),
    Value(Json<'static>),
    Regex(Option<Arc<JavaPattern>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    In,
    NotIn,
    Contains,
    Size,
    Empty,
}

const COMPARISONS: [(&str, Comparison); 14] = [
    ("===", Comparison::Equal),
    ("!==", Comparison::NotEqual),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("=~", Comparison::Matches),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
    ("in", Comparison::In),
    ("nin", Comparison::NotIn),
    ("contains", Comparison::Contains),
    ("size", Comparison::Size),
    ("empty", Comparison::Empty),
];

type Parsed<T> = Result<T, &'static str>;

/// Reads a filter up to the parenthesis that closes it: the filter and its length.
pub(super) fn parse(text: &str) -> Parsed<(Filter, usize)> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let filter = reader.either()?;
    reader.blanks();
    Ok((filter, reader.at))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches(' ').len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.blanks();
        let is_next = self.rest().starts_with(token);
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    fn either(&mut self) -> Parsed<Filter> {
        let mut filters = vec![self.both()?];
        while self.eat("||") {
            filters.push(self.both()?);
        }
        Ok(if filters.len() == 1 { filters.remove(0) } else { Filter::Or(filters) })
    }

    fn both(&mut self) -> Parsed<Filter> {
        let mut filters = vec![self.single()?];
        while self.eat("&&") {
            filters.push(self.single()?);
        }
        Ok(if filters.len() == 1 { filters.remove(0) } else { Filter::And(filters) })
    }

    fn single(&mut self) -> Parsed<Filter> {
        self.depth += 1;
        if self.depth > 100 {
            return Err("a filter is nested too deep");
        }
        let filter = if self.eat("!") {
            Filter::Not(Box::new(self.single()?))
        } else if self.eat("(") {
            let inner = self.either()?;
            if !self.eat(")") {
                return Err("a parenthesis is not closed");
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn comparison(&mut self) -> Parsed<Filter> {
        let left = self.operand()?;
        self.blanks();
        let lower = self.rest().get(..8.min(self.rest().len())).unwrap_or_default().to_ascii_lowercase();
        let found = COMPARISONS.iter().find(|(token, _)| {
            let is_word = token.bytes().all(|byte| byte.is_ascii_alphabetic());
            let ends =
                || self.rest().as_bytes().get(token.len()).is_none_or(|byte| !byte.is_ascii_alphanumeric());
            self.rest().starts_with(token) || is_word && lower.starts_with(token) && ends()
        });
        let Some((token, comparison)) = found else {
            return match left {
                Operand::Here(_) | Operand::Root(_) => Ok(Filter::Exists(left)),
                _ => Err("a comparison is expected"),
            };
        };
        self.at += token.len();
        Ok(Filter::Compare(left, *comparison, self.operand()?))
    }

    fn operand(&mut self) -> Parsed<Operand> {
        self.blanks();
        let rest = self.rest();
        match rest.bytes().next() {
            Some(b'@') => self.path().map(Operand::Here),
            Some(b'$') => self.path().map(Operand::Root),
            Some(b'\'') => self.quoted('\'').map(|text| Operand::Value(Json::Text(Cow::Owned(text)))),
            Some(b'"') => self.quoted('"').map(|text| Operand::Value(Json::Text(Cow::Owned(text)))),
            Some(b'/') => self.regex(),
            Some(b'[' | b'{') => self.literal(),
            Some(_) => self.word(),
            None => Err("a filter ends too early"),
        }
    }

    /// A path ends with a blank or an operator, outside of brackets.
    fn path(&mut self) -> Parsed<Vec<Step>> {
        let mut depth = 0i32;
        let mut quote = None;
        let mut end = self.rest().len();
        for (at, c) in self.rest().char_indices().skip(1) {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') if depth > 0 => quote = Some(c),
                (None, '[' | '(') => depth += 1,
                (None, ']' | ')') if depth > 0 => depth -= 1,
                (None, ' ' | '=' | '!' | '<' | '>' | '&' | '|' | ')' | ',' | ']') if depth == 0 => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let path = self.rest().get(..end).unwrap_or_default();
        self.at += end;
        compile(path)
    }

    fn quoted(&mut self, quote: char) -> Parsed<String> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => text.push(chars.next().ok_or("a string does not end")?.1),
                c if c == quote => {
                    self.at += at + 1;
                    return Ok(text);
                }
                c => text.push(c),
            }
        }
        Err("a string does not end")
    }

    fn regex(&mut self) -> Parsed<Operand> {
        let rest = self.rest();
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '/' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let (end, _) = end.ok_or("a regular expression does not end")?;
        let flags: String =
            rest.get(end + 1..).unwrap_or_default().chars().take_while(|c| "dixmsuU".contains(*c)).collect();
        let body = rest.get(1..end).unwrap_or_default();
        self.at += end + 1 + flags.len();
        // All of the text has to match.
        let prefix = if flags.is_empty() { String::new() } else { format!("(?{flags})") };
        Ok(Operand::Regex(JavaPattern::new(&format!("{prefix}\\A(?:{body})\\z")).map(Arc::new)))
    }

    /// An array or object of JSON, in which strings may be in single quotes.
    fn literal(&mut self) -> Parsed<Operand> {
        let (mut depth, mut quote, mut json) = (0i32, None, String::new());
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match (quote, c) {
                (_, '\\') => {
                    json.push(c);
                    json.extend(chars.next().map(|(_, c)| c));
                    continue;
                }
                (Some(open), c) if c == open => {
                    quote = None;
                    json.push('"');
                }
                (Some('\''), '"') => json.push_str("\\\""),
                (Some(_), c) => json.push(c),
                (None, '\'' | '"') => {
                    quote = Some(c);
                    json.push('"');
                }
                (None, c) => {
                    depth += i32::from(matches!(c, '[' | '{')) - i32::from(matches!(c, ']' | '}'));
                    json.push(c);
                }
            }
            if depth == 0 && quote.is_none() {
                self.at += at + c.len_utf8();
                return value::parse(&json)
                    .map(|value| Operand::Value(owned(value)))
                    .map_err(|_| "a literal is no JSON");
            }
        }
        Err("a literal does not end")
    }

    fn word(&mut self) -> Parsed<Operand> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        self.at += end;
        match value::parse(word) {
            Ok(value) if end > 0 => Ok(Operand::Value(owned(value))),
            _ => Err("a value is expected"),
        }
    }
}

/// The value on its own.
pub(super) fn owned(value: Json<'_>) -> Json<'static> {
    let text = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    match value {
        Json::Null => Json::Null,
        Json::Bool(truth) => Json::Bool(truth),
        Json::Integer(number) => Json::Integer(text(number)),
        Json::Decimal(number) => Json::Decimal(text(number)),
        Json::Double(number) => Json::Double(number),
        Json::Text(inner) => Json::Text(text(inner)),
        Json::Array(elements) => Json::Array(elements.into_iter().map(owned).collect()),
        Json::Object(members) => {
            Json::Object(members.into_iter().map(|(key, value)| (text(key), owned(value))).collect())
        }
    }
}

impl Filter {
    /// Whether `here`, a value in `root`, passes.
    pub(super) fn accepts(&self, here: &Json<'_>, root: &Json<'_>) -> bool {
        match self {
            Filter::Or(filters) => filters.iter().any(|filter| filter.accepts(here, root)),
            Filter::And(filters) => filters.iter().all(|filter| filter.accepts(here, root)),
            Filter::Not(filter) => !filter.accepts(here, root),
            Filter::Exists(operand) => operand.value(here, root).is_some(),
            Filter::Compare(left, comparison, right) => {
                let (one, two) = (left.value(here, root), right.value(here, root));
                if let (Comparison::Matches, Some(text), Operand::Regex(Some(regex))) =
                    (comparison, &one, right)
                {
                    let mut plain = String::new();
                    text.write_plain(&mut plain);
                    return text.is_scalar() && regex.is_match(&plain).unwrap_or(false);
                }
                compare(one.as_deref(), *comparison, two.as_deref())
            }
        }
    }
}

impl Operand {
    fn value<'v>(&'v self, here: &'v Json<'v>, root: &'v Json<'v>) -> Option<Cow<'v, Json<'v>>> {
        match self {
            Operand::Here(steps) => read(steps, here, true).ok().flatten(),
            Operand::Root(steps) => read(steps, root, true).ok().flatten(),
            Operand::Value(value) => Some(Cow::Borrowed(value)),
            Operand::Regex(_) => None,
        }
    }
}

fn number(value: &Json<'_>) -> Option<f64> {
    match value {
        Json::Integer(number) | Json::Decimal(number) => number.parse().ok(),
        Json::Double(number) => Some(*number),
        _ => None,
    }
}

/// Equality, in which a number equals the string that says it.
fn equal(one: &Json<'_>, two: &Json<'_>) -> bool {
    match (one, two) {
        (Json::Text(one), Json::Text(two)) => one == two,
        (Json::Text(text), other) | (other, Json::Text(text)) => {
            number(other).is_some_and(|number| text.trim().parse() == Ok(number))
        }
        (Json::Array(one), Json::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| equal(one, two))
        }
        (Json::Object(members), Json::Object(others)) => {
            let same = |(key, value): &(Cow<'_, str>, Json<'_>)| {
                two.member(key).is_some_and(|other| equal(value, other))
            };
            members.len() == others.len() && members.iter().all(same)
        }
        _ => match (number(one), number(two)) {
            (Some(one), Some(two)) => one == two,
            _ => one == two,
        },
    }
}

fn order(one: Option<&Json<'_>>, two: Option<&Json<'_>>) -> Option<Ordering> {
    match (one?, two?) {
        (Json::Text(one), Json::Text(two)) => Some(one.cmp(two)),
        (one, two) => number(one)?.partial_cmp(&number(two)?),
    }
}

fn compare(one: Option<&Json<'_>>, comparison: Comparison, two: Option<&Json<'_>>) -> bool {
    let equals = || match (one, two) {
        (Some(one), Some(two)) => equal(one, two),
        (None, None) => true,
        _ => false,
    };
    let is_in = |element: Option<&Json<'_>>, list: Option<&Json<'_>>| match (element, list) {
        (Some(element), Some(Json::Array(elements))) => elements.iter().any(|other| equal(element, other)),
        _ => false,
    };
    let size = |value: Option<&Json<'_>>| match value? {
        Json::Array(elements) => Some(elements.len()),
        Json::Text(text) => Some(text.chars().count()),
        _ => None,
    };
    match comparison {
        Comparison::Equal => equals(),
        Comparison::NotEqual => !equals(),
        Comparison::Less => order(one, two) == Some(Ordering::Less),
        Comparison::LessOrEqual => order(one, two).is_some_and(Ordering::is_le),
        Comparison::Greater => order(one, two) == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => order(one, two).is_some_and(Ordering::is_ge),
        Comparison::Matches => false,
        Comparison::In => is_in(one, two),
        Comparison::NotIn => !is_in(one, two),
        Comparison::Contains => match (one, two) {
            (Some(Json::Text(text)), Some(Json::Text(part))) => text.contains(&**part),
            _ => is_in(two, one),
        },
        Comparison::Size => {
            let wanted = two.and_then(number);
            size(one).is_some_and(|size| wanted == Some(size as f64))
        }
        Comparison::Empty => {
            matches!(two, Some(Json::Bool(empty)) if size(one).map(|size| size == 0) == Some(*empty))
        }
    }
}
