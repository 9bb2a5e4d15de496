//! Paths into JSON, those of the library JsonPath: `$.a['b'][0][*]..c[?(@.d > 1)].length()`.

use std::iter::Peekable;
use std::str::CharIndices;

use super::filter::{self, Filter};

/// A path with its mode.
#[derive(Debug)]
pub(super) struct Path {
    /// Whether what is not there is no error.
    pub(super) is_lax: bool,
    /// The steps, or what is wrong with the path.
    pub(super) steps: Result<Vec<Step>, String>,
}

/// A step of a path.
#[derive(Debug)]
pub(super) enum Step {
    /// The members with these keys.
    Members(Vec<String>),
    /// All members or elements.
    All,
    /// The elements with these indices, from 0, or from the end when they are negative.
    Elements(Vec<i64>),
    /// The elements from one index to before another.
    Slice(Option<i64>, Option<i64>),
    /// All values inside, for the step that follows.
    Scan,
    /// The elements that pass.
    Filter(Filter),
    /// Something computed of the value.
    Function(Function),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Function {
    Length,
    Keys,
    Sum,
    Average,
    Least,
    Most,
    Deviation,
    /// The element with the index, from 0 or from the end.
    Element(i64),
}

impl Path {
    /// Reads `lax $.a` or `strict $.a`; a path without a word is strict.
    pub(super) fn new(spec: &str) -> Self {
        let trimmed = spec.trim_start();
        let word = |word: &str| -> Option<&str> {
            let (start, rest) = trimmed.split_at_checked(word.len())?;
            let rest_trimmed = rest.trim_start();
            let is_word = start.eq_ignore_ascii_case(word)
                && rest_trimmed.len() < rest.len()
                && !rest_trimmed.is_empty();
            is_word.then_some(rest_trimmed)
        };
        let (is_lax, path) = match (word("lax"), word("strict")) {
            (Some(path), _) => (true, path),
            (_, Some(path)) => (false, path),
            _ => (false, spec),
        };
        let invalid = |what: &str| {
            format!("Illegal jsonpath spec '{spec}', format of the spec should be: '<lax|strict> $': {what}")
        };
        Self { is_lax, steps: compile(path).map_err(invalid) }
    }
}

/// The steps of `path`.
pub(super) fn compile(path: &str) -> Result<Vec<Step>, &'static str> {
    // What does not start at the root is taken for what follows a dot behind it.
    let prefixed;
    let rest = match path.trim().strip_prefix(['$', '@']) {
        Some(rest) => rest,
        None => {
            prefixed = format!(".{}", path.trim_end());
            &prefixed
        }
    };
    let mut reader = Reader { text: rest, chars: rest.char_indices().peekable() };
    let mut steps = Vec::new();
    while let Some((_, c)) = reader.chars.next() {
        match c {
            '.' if reader.eat('.') => {
                steps.push(Step::Scan);
                match reader.chars.peek() {
                    Some((_, '[')) => {}
                    _ => steps.push(reader.member()?),
                }
            }
            '.' => match reader.chars.peek() {
                Some((_, '[')) => {}
                _ => steps.push(reader.member()?),
            },
            '[' => steps.push(reader.brackets()?),
            _ => return Err("a dot or a bracket is expected"),
        }
    }
    if matches!(steps.last(), Some(Step::Scan)) {
        return Err("a path must not end with '..'");
    }
    Ok(steps)
}

struct Reader<'a> {
    text: &'a str,
    chars: Peekable<CharIndices<'a>>,
}

impl<'a> Reader<'a> {
    fn eat(&mut self, c: char) -> bool {
        self.chars.next_if(|(_, next)| *next == c).is_some()
    }

    fn blanks(&mut self) {
        while self.eat(' ') {}
    }

    fn place(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    /// What stands behind a dot.
    fn member(&mut self) -> Result<Step, &'static str> {
        if self.eat('*') {
            return Ok(Step::All);
        }
        let start = self.place();
        while let Some((_, c)) = self.chars.peek() {
            match c {
                '.' | '[' => break,
                ' ' => return Err("a key with a blank stands in brackets and quotes"),
                '(' => {
                    let name = self.text.get(start..self.place()).unwrap_or_default();
                    self.chars.next();
                    return self.function(name);
                }
                _ => {
                    self.chars.next();
                }
            }
        }
        match self.text.get(start..self.place()) {
            Some(key) if !key.is_empty() => Ok(Step::Members(vec![key.to_owned()])),
            _ => Err("a key is missing"),
        }
    }

    fn function(&mut self, name: &str) -> Result<Step, &'static str> {
        let start = self.place();
        while self.chars.next_if(|(_, c)| *c != ')').is_some() {}
        let argument = self.text.get(start..self.place()).unwrap_or_default().trim();
        if !self.eat(')') {
            return Err("the parenthesis of a function is not closed");
        }
        let function = match (name, argument) {
            ("length" | "size", "") => Function::Length,
            ("keys", "") => Function::Keys,
            ("sum", "") => Function::Sum,
            ("avg", "") => Function::Average,
            ("min", "") => Function::Least,
            ("max", "") => Function::Most,
            ("stddev", "") => Function::Deviation,
            ("first", "") => Function::Element(0),
            ("last", "") => Function::Element(-1),
            ("index", index) => Function::Element(index.parse().map_err(|_| "an index is expected")?),
            _ => return Err("there is no such function"),
        };
        Ok(Step::Function(function))
    }

    /// What stands behind an opening bracket, with the closing one.
    fn brackets(&mut self) -> Result<Step, &'static str> {
        self.blanks();
        let step = match self.chars.peek() {
            Some((_, '*')) => {
                self.chars.next();
                Step::All
            }
            Some((_, '\'' | '"')) => self.quoted_keys()?,
            Some((_, '?')) => {
                self.chars.next();
                self.blanks();
                if !self.eat('(') {
                    return Err("a parenthesis is expected behind '?'");
                }
                let start = self.place();
                let (filter, length) = filter::parse(self.text.get(start..).unwrap_or_default())?;
                while self.place() < start + length {
                    self.chars.next();
                }
                self.blanks();
                if !self.eat(')') {
                    return Err("the parenthesis of a filter is not closed");
                }
                Step::Filter(filter)
            }
            _ => self.elements()?,
        };
        self.blanks();
        if self.eat(']') { Ok(step) } else { Err("a bracket is not closed") }
    }

    fn quoted_keys(&mut self) -> Result<Step, &'static str> {
        let mut keys = Vec::new();
        loop {
            self.blanks();
            let Some((_, quote @ ('\'' | '"'))) = self.chars.next() else {
                return Err("a quoted key is expected");
            };
            let mut key = String::new();
            loop {
                match self.chars.next() {
                    Some((_, '\\')) => key.push(match self.chars.next() {
                        Some((_, 'n')) => '\n',
                        Some((_, 't')) => '\t',
                        Some((_, 'r')) => '\r',
                        Some((_, 'b')) => '\x08',
                        Some((_, 'f')) => '\x0C',
                        Some((_, c)) => c,
                        None => return Err("a quoted key does not end"),
                    }),
                    Some((_, c)) if c == quote => break,
                    Some((_, c)) => key.push(c),
                    None => return Err("a quoted key does not end"),
                }
            }
            keys.push(key);
            self.blanks();
            if !self.eat(',') {
                return Ok(Step::Members(keys));
            }
        }
    }

    /// `0`, `0,2`, `1:3`, `:2` or `-1:`.
    fn elements(&mut self) -> Result<Step, &'static str> {
        let start = self.place();
        while self.chars.next_if(|(_, c)| *c != ']').is_some() {}
        let text = self.text.get(start..self.place()).unwrap_or_default();
        let number = |text: &str| -> Result<i64, &'static str> {
            text.trim().parse::<i32>().map(i64::from).map_err(|_| "an index is expected")
        };
        let Some((from, to)) = text.split_once(':') else {
            return text.split(',').map(number).collect::<Result<_, _>>().map(Step::Elements);
        };
        let bound = |text: &str| if text.trim().is_empty() { Ok(None) } else { number(text).map(Some) };
        match (bound(from)?, bound(to)?) {
            (None, None) => Err("a slice has no bound"),
            (from, to) => Ok(Step::Slice(from, to)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        assert!(Path::new("lax $.a").is_lax);
        assert!(Path::new(" LAX  $.a").is_lax);
        assert!(!Path::new("strict $.a").is_lax);
        assert!(!Path::new("$.a").is_lax);
        assert!(Path::new("lax").steps.is_ok(), "without a path it is a key");
    }

    #[test]
    fn steps() {
        let count = |path: &str| compile(path).map(|steps| steps.len());
        assert_eq!(count("$"), Ok(0));
        assert_eq!(count("a"), Ok(1));
        assert_eq!(count("$.a['b', \"c\"][0][*]..d[-1,2][1:2].length()"), Ok(9));
        assert_eq!(count("$[?(@.a == 1 && (@.b || !(@.c)))].x"), Ok(2));
        assert_eq!(count("$..*"), Ok(2));
        assert_eq!(count("$..[0]"), Ok(2));
        for path in [
            "$.",
            "$a",
            "$ .a",
            "$.a b",
            "$[",
            "$[x]",
            "$..",
            "$['a",
            "$[?]",
            "$[?(@.a == )]",
            "$.foo()",
            "$[:]",
        ] {
            assert!(compile(path).is_err(), "{path}");
        }
    }
}
