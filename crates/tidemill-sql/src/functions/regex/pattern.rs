//! Compiled regular expressions and the search for what they match.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use super::translate::{End, translate};
use crate::functions::kernel::{Argument, KernelError};

/// A regular expression with Java's meaning.
#[derive(Debug)]
pub(crate) struct JavaPattern {
    engine: Engine,
    /// For texts with a line end at their end, when the expression has a `$`.
    before_line_end: Option<Exact>,
    groups: usize,
}

#[derive(Debug)]
enum Engine {
    /// Looks at each character once.
    Automaton(regex::Regex),
    /// Tries one way after the other.
    Backtracking(fancy_regex::Regex),
}

/// An expression that is compiled when it is needed.
#[derive(Debug)]
struct Exact {
    pattern: String,
    compiled: OnceLock<Option<fancy_regex::Regex>>,
}

/// The largest automaton.
const SIZE_LIMIT: usize = 32 << 20;

impl JavaPattern {
    /// The expression `java`; `None` when it is none.
    pub(crate) fn new(java: &str) -> Option<Self> {
        let plain = translate(java, End::Plain).ok()?;
        if !plain.backtracks
            && let Ok(regex) = regex::RegexBuilder::new(&plain.pattern).size_limit(SIZE_LIMIT).build()
        {
            let before_line_end = if plain.has_end {
                let pattern = translate(java, End::Exact).ok()?.pattern;
                Some(Exact { pattern, compiled: OnceLock::new() })
            } else {
                None
            };
            let groups = regex.captures_len() - 1;
            return Some(Self { engine: Engine::Automaton(regex), before_line_end, groups });
        }
        let exact = translate(java, End::Exact).ok()?;
        let regex = fancy_regex::Regex::new(&exact.pattern).ok()?;
        let groups = regex.captures_len() - 1;
        Some(Self { engine: Engine::Backtracking(regex), before_line_end: None, groups })
    }

    /// How many groups it has.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// The engine for `text`.
    fn engine(&self, text: &str) -> Result<Running<'_>, KernelError> {
        match (&self.engine, &self.before_line_end) {
            (Engine::Automaton(_), Some(exact))
                if text.ends_with(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) =>
            {
                let regex = exact.compiled.get_or_init(|| fancy_regex::Regex::new(&exact.pattern).ok());
                regex.as_ref().map(Running::Backtracking).ok_or_else(|| {
                    KernelError(format!("the regular expression {} is too large", exact.pattern))
                })
            }
            (Engine::Automaton(regex), _) => Ok(Running::Automaton(regex)),
            (Engine::Backtracking(regex), _) => Ok(Running::Backtracking(regex)),
        }
    }

    /// Whether it matches anywhere in `text`.
    pub(crate) fn is_match(&self, text: &str) -> Result<bool, KernelError> {
        match self.engine(text)? {
            Running::Automaton(regex) => Ok(regex.is_match(text)),
            Running::Backtracking(regex) => regex.is_match(text).map_err(too_long),
        }
    }

    /// The first match that starts at `from` or behind.
    pub(crate) fn find(&self, text: &str, from: usize) -> Result<Option<(usize, usize)>, KernelError> {
        match self.engine(text)? {
            Running::Automaton(regex) => {
                Ok(regex.find_at(text, from).map(|found| (found.start(), found.end())))
            }
            Running::Backtracking(regex) => {
                let found = regex.find_from_pos(text, from).map_err(too_long)?;
                Ok(found.map(|found| (found.start(), found.end())))
            }
        }
    }
}

enum Running<'a> {
    Automaton(&'a regex::Regex),
    Backtracking(&'a fancy_regex::Regex),
}

#[allow(clippy::needless_pass_by_value, reason = "an error is mapped")]
fn too_long(error: fancy_regex::Error) -> KernelError {
    KernelError(format!("a regular expression takes too long: {error}"))
}

/// Where the search goes on behind a match, as `Matcher.find` does; `None` at the end of the text.
fn behind(text: &str, (start, end): (usize, usize)) -> Option<usize> {
    if start < end {
        return Some(end);
    }
    let next = text.get(end..)?.chars().next()?;
    Some(end + next.len_utf8())
}

/// A search for groups: keeps the room for what it finds.
#[derive(Debug)]
pub(crate) struct Matcher {
    pattern: Arc<JavaPattern>,
    locations: Option<regex::CaptureLocations>,
    spans: Vec<Option<(usize, usize)>>,
    uses_spans: bool,
}

impl Matcher {
    /// A search for `pattern`.
    pub(crate) fn new(pattern: Arc<JavaPattern>) -> Self {
        Self { pattern, locations: None, spans: Vec::new(), uses_spans: false }
    }

    /// What is searched for.
    pub(crate) fn pattern(&self) -> &JavaPattern {
        &self.pattern
    }

    /// The first match at `from` or behind; its groups can be asked for then.
    pub(crate) fn captures(
        &mut self,
        text: &str,
        from: usize,
    ) -> Result<Option<(usize, usize)>, KernelError> {
        match self.pattern.engine(text)? {
            Running::Automaton(regex) => {
                let locations = self.locations.get_or_insert_with(|| regex.capture_locations());
                self.uses_spans = false;
                let found = regex.captures_read_at(locations, text, from);
                Ok(found.map(|found| (found.start(), found.end())))
            }
            Running::Backtracking(regex) => {
                self.uses_spans = true;
                self.spans.clear();
                let Some(captures) = regex.captures_from_pos(text, from).map_err(too_long)? else {
                    return Ok(None);
                };
                self.spans
                    .extend(captures.iter().map(|group| group.map(|group| (group.start(), group.end()))));
                Ok(self.spans.first().copied().flatten())
            }
        }
    }

    /// Group `index` of the last match; `None` when it took no part.
    pub(crate) fn group(&self, index: usize) -> Option<(usize, usize)> {
        if self.uses_spans {
            return self.spans.get(index).copied().flatten();
        }
        self.locations.as_ref().and_then(|locations| locations.get(index))
    }

    /// Calls `visit` for each match in `text`, until it answers `false`.
    pub(crate) fn each(
        &mut self,
        text: &str,
        mut visit: impl FnMut((usize, usize)) -> bool,
    ) -> Result<(), KernelError> {
        let mut from = Some(0);
        while let Some(at) = from {
            let Some(found) = self.pattern.find(text, at)? else { break };
            if !visit(found) {
                break;
            }
            from = behind(text, found);
        }
        Ok(())
    }

    /// Calls `visit` with group `index` of each match in `text`.
    pub(crate) fn each_group(
        &mut self,
        text: &str,
        index: usize,
        mut visit: impl FnMut(Option<(usize, usize)>) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        let mut from = Some(0);
        while let Some(at) = from {
            let found = if index == 0 { self.pattern.find(text, at)? } else { self.captures(text, at)? };
            let Some(found) = found else { break };
            visit(if index == 0 { Some(found) } else { self.group(index) })?;
            from = behind(text, found);
        }
        Ok(())
    }
}

/// The expressions of an argument: compiled once when it is a literal, else kept by their text.
#[derive(Debug)]
pub(crate) struct Patterns {
    known: Option<Option<Arc<JavaPattern>>>,
    kept: Mutex<HashMap<String, Option<Arc<JavaPattern>>>>,
}

/// How many expressions of a column are kept.
const KEPT: usize = 256;

impl Patterns {
    /// The expressions of `argument`.
    pub(crate) fn of(argument: Option<&Argument<'_>>) -> Self {
        let known = argument.and_then(Argument::text).map(|java| JavaPattern::new(java).map(Arc::new));
        Self { known, kept: Mutex::default() }
    }

    /// Whether the expression is known and valid.
    pub(crate) fn is_valid(&self) -> bool {
        matches!(self.known, Some(Some(_)))
    }

    /// Whether the expression is known to be none.
    pub(crate) fn is_invalid(&self) -> bool {
        matches!(self.known, Some(None))
    }

    fn get(&self, java: &str) -> Option<Arc<JavaPattern>> {
        if let Some(known) = &self.known {
            return known.clone();
        }
        let mut kept = self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(pattern) = kept.get(java) {
            return pattern.clone();
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        let pattern = JavaPattern::new(java).map(Arc::new);
        kept.insert(java.to_owned(), pattern.clone());
        pattern
    }

    /// Searches of the rows of one batch.
    pub(crate) fn session(&self) -> Session<'_> {
        let known = self.known.clone().flatten().map(Matcher::new);
        Session { patterns: self, is_known: self.known.is_some(), java: None, matcher: known }
    }
}

/// Searches row by row, each with the expression of its row.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    patterns: &'a Patterns,
    is_known: bool,
    java: Option<String>,
    matcher: Option<Matcher>,
}

impl Session<'_> {
    /// The search for `java`; `None` when that is no expression.
    pub(crate) fn matcher(&mut self, java: &str) -> Option<&mut Matcher> {
        if !self.is_known && self.java.as_deref() != Some(java) {
            self.matcher = self.patterns.get(java).map(Matcher::new);
            self.java = Some(java.to_owned());
        }
        self.matcher.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(java: &str, text: &'a str) -> Option<&'a str> {
        let pattern = JavaPattern::new(java).unwrap_or_else(|| panic!("{java} is refused"));
        pattern.find(text, 0).unwrap().map(|(start, end)| &text[start..end])
    }

    fn is_automaton(java: &str) -> bool {
        matches!(JavaPattern::new(java).unwrap().engine, Engine::Automaton(_))
    }

    #[test]
    fn classes_are_of_ascii() {
        assert_eq!(found(r"\d+", "٣1"), Some("1"));
        assert_eq!(found(r"\w+", "éab_1é"), Some("ab_1"));
        assert_eq!(found(r"\W", "aé"), Some("é"));
        assert_eq!(found(r"[\w-]+", "é a-b"), Some("a-b"));
        assert_eq!(found(r"[^\d\s]+", "1 ab2"), Some("ab"));
        assert_eq!(found(r"\p{Lower}+", "éABcd"), Some("cd"));
        assert_eq!(found(r"\p{L}+", "1éa"), Some("éa"));
        assert_eq!(found(r"\p{IsLatin}+\pN", "日ab1"), Some("ab1"));
        assert_eq!(found(r"[\p{Upper}&&[^A]]", "AB"), Some("B"));
        assert_eq!(found(r"\P{ASCII}", "aé"), Some("é"));
        assert!(is_automaton(r"[a-z&&[^m-p]]+\d{2,3}?"));
    }

    #[test]
    fn lines() {
        assert_eq!(found("b.c", "ab\rc"), None);
        assert_eq!(found("b.c", "ab\u{2028}c"), None);
        assert_eq!(found("(?s)b.c", "ab\nc"), Some("b\nc"));
        assert_eq!(found("(?d)b.c", "ab\rc"), Some("b\rc"));
        assert_eq!(found("c$", "abc"), Some("c"));
        assert_eq!(found("c$", "abc\n"), Some("c"));
        assert_eq!(found("c$", "abc\r\n"), Some("c"));
        assert_eq!(found("c\r$", "abc\r\n"), None);
        assert_eq!(found("c$", "abc\n\n"), None);
        assert_eq!(found(r"c\z", "abc\n"), None);
        assert_eq!(found(r"c\Z", "abc\n"), Some("c"));
        assert_eq!(found("(?m)^b$", "a\nb\nc"), Some("b"));
        assert_eq!(found(r"a\Rb", "a\r\nb"), Some("a\r\nb"));
        assert!(is_automaton("^abc$"));
    }

    #[test]
    fn quotes_and_codes() {
        assert_eq!(found(r"\Qa.b\E+", "aab a.bb"), Some("a.bb"));
        assert_eq!(found(r"[\Q^]\E]+", "a^]"), Some("^]"));
        assert_eq!(found(r"\x41\u0042\x{43}\0104", "ABCD"), Some("ABCD"));
        assert_eq!(found(r"\ud83d\ude00", "a😀"), Some("😀"));
        assert_eq!(found(r"\.\-\/\#", ".-/#"), Some(".-/#"));
        assert_eq!(found("[]a]+", "a]"), Some("a]"));
        assert_eq!(found("[+-]", "-"), Some("-"));
        assert_eq!(found("(?x) a b # c\n d", "abd"), Some("abd"));
        assert_eq!(found("(?i)B(?-i)C", "abC"), Some("bC"));
        assert_eq!(found("(?i:b)c", "aBc"), Some("Bc"));
    }

    #[test]
    fn what_only_backtracking_can() {
        assert_eq!(found("(?<=a)b", "bab"), Some("b"));
        assert_eq!(found("a(?!b)", "abac"), Some("a"));
        assert_eq!(found(r"(\w)\1", "abccd"), Some("cc"));
        assert_eq!(found(r"(?<x>\w)\k<x>", "abccd"), Some("cc"));
        assert_eq!(found("a++b", "aab"), Some("aab"));
        assert_eq!(found("(?>a+)ab", "aab"), None);
        assert_eq!(found(r"a\2", "aa"), None);
        assert_eq!(found("(?<!b){2}1", "A1bC2"), Some("1"));
        assert_eq!(found("(?=b)?+c", "abc"), Some("c"));
        assert!(!is_automaton("(?=a)"));
    }

    #[test]
    fn what_is_no_expression() {
        for java in [
            "(",
            ")",
            "a**",
            "*",
            "a{2",
            "a{3,2}",
            "{1}",
            "[",
            "[b-a]",
            r"\y",
            "(?<1>a)",
            r"\p{Nope}",
            "a{,2}",
        ] {
            assert!(JavaPattern::new(java).is_none(), "{java}");
        }
        let deep = "(".repeat(5000) + &")".repeat(5000);
        assert!(JavaPattern::new(&deep).is_none());
    }

    #[test]
    fn matches_go_on_as_in_java() {
        let all = |java: &str, text: &str| {
            let mut matcher = Matcher::new(Arc::new(JavaPattern::new(java).unwrap()));
            let mut found = Vec::new();
            matcher
                .each(text, |span| {
                    found.push(span);
                    true
                })
                .unwrap();
            found
        };
        assert_eq!(all("a*", "baaac"), [(0, 0), (1, 4), (4, 4), (5, 5)]);
        assert_eq!(all("", "é"), [(0, 0), (2, 2)]);
    }
}
