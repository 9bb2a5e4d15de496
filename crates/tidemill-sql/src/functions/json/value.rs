//! JSON as Flink reads and writes it, which is as Jackson does: what stands behind the first value is not
//! looked at, the last of equal keys counts, objects are written with their keys in order, and numbers with a
//! point keep the digits that they have.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::functions::java_number::{push_decimal, push_double};
use crate::functions::text::push_utf16;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    /// A number without point and exponent, as it is written.
    Integer(Cow<'a, str>),
    /// Another number, as it is written.
    Decimal(Cow<'a, str>),
    /// A number that was computed.
    Double(f64),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    /// The keys are different from each other.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// What is wrong with a text that is no JSON, and where, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub(super) struct NoJson {
    what: &'static str,
    at: usize,
}

/// Arrays and objects in each other beyond this are refused, as by Jackson.
const DEEPEST: usize = 1000;

/// Reads the value that `text` starts with.
pub(super) fn parse(text: &str) -> Result<Json<'_>, NoJson> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    parser.blanks();
    let value = parser.value()?;
    // A number alone has to end, so that `1x` is none.
    let next = text.as_bytes().get(parser.at);
    if matches!(value, Json::Integer(_) | Json::Decimal(_))
        && next.is_some_and(|byte| !b" \t\r\n".contains(byte))
    {
        return Err(parser.wrong("a number goes on with another character"));
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn wrong(&self, what: &'static str) -> NoJson {
        NoJson { what, at: self.at }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn value(&mut self) -> Result<Json<'a>, NoJson> {
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(_) => Err(self.wrong("there is no value")),
            None => Err(self.wrong("the text ends where a value is expected")),
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, NoJson> {
        let rest = self.text.get(self.at..).and_then(|rest| rest.strip_prefix(word));
        match rest.map(|rest| rest.chars().next()) {
            None => Err(self.wrong("there is no value")),
            Some(Some(next)) if next.is_alphanumeric() || next == '_' => {
                Err(self.wrong("there is no such word"))
            }
            _ => {
                self.at += word.len();
                Ok(value)
            }
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Json<'a>, NoJson> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let first = self.peek();
        match self.digits() {
            0 => return Err(self.wrong("a number has no digits")),
            1 => {}
            _ if first == Some(b'0') => return Err(self.wrong("a number starts with a zero")),
            _ => {}
        }
        let mut is_integer = true;
        if self.peek() == Some(b'.') {
            self.at += 1;
            is_integer = false;
            if self.digits() == 0 {
                return Err(self.wrong("no digit follows a point"));
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            is_integer = false;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.wrong("no digit follows the mark of an exponent"));
            }
        }
        let number = Cow::Borrowed(self.since(start));
        Ok(match is_integer {
            true if number == "-0" => Json::Integer(Cow::Borrowed("0")),
            true => Json::Integer(number),
            false => Json::Decimal(number),
        })
    }

    fn string(&mut self) -> Result<Cow<'a, str>, NoJson> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let text = self.since(start);
                    self.at += 1;
                    return Ok(Cow::Borrowed(text));
                }
                Some(b'\\') => break,
                Some(0..0x20) => return Err(self.wrong("a control character stands in a string")),
                Some(_) => self.at += 1,
                None => return Err(self.wrong("a string does not end")),
            }
        }
        let mut out = self.since(start).to_owned();
        loop {
            let plain = self.at;
            while self.peek().is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
                self.at += 1;
            }
            out.push_str(self.since(plain));
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(out));
                }
                Some(b'\\') => self.escape(&mut out)?,
                Some(_) => return Err(self.wrong("a control character stands in a string")),
                None => return Err(self.wrong("a string does not end")),
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), NoJson> {
        self.at += 1;
        let escaped = self.peek().ok_or_else(|| self.wrong("a string does not end"))?;
        self.at += 1;
        out.push(match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\x08',
            b'f' => '\x0C',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.code()?;
                let rest = self.text.get(self.at..).unwrap_or_default();
                let second = if (0xD800..0xDC00).contains(&first) && rest.starts_with(r"\u") {
                    self.at += 2;
                    Some(self.code()?)
                } else {
                    None
                };
                push_utf16(out, [first].into_iter().chain(second));
                return Ok(());
            }
            _ => return Err(self.wrong("there is no such escape")),
        });
        Ok(())
    }

    fn code(&mut self) -> Result<u16, NoJson> {
        let digits = self.text.get(self.at..self.at + 4).filter(|digits| !digits.starts_with('+'));
        let code = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.wrong("four hexadecimal digits are expected"))?;
        self.at += 4;
        Ok(code)
    }

    fn enter(&mut self) -> Result<(), NoJson> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEEPEST { Err(self.wrong("values are nested too deep")) } else { Ok(()) }
    }

    fn array(&mut self) -> Result<Json<'a>, NoJson> {
        self.enter()?;
        let mut elements = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            self.depth -= 1;
            return Ok(Json::Array(elements));
        }
        loop {
            self.blanks();
            elements.push(self.value()?);
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.wrong("a comma or the end of an array is expected")),
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(Json::Array(elements))
    }

    fn object(&mut self) -> Result<Json<'a>, NoJson> {
        self.enter()?;
        let mut members = Vec::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.depth -= 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a key is expected"));
            }
            let key = self.string()?;
            self.blanks();
            if self.peek() != Some(b':') {
                return Err(self.wrong("a colon is expected"));
            }
            self.at += 1;
            self.blanks();
            let value = self.value()?;
            members.push((key, value));
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.wrong("a comma or the end of an object is expected")),
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(Json::Object(without_equal_keys(members)))
    }
}

/// Members of which each key is there once: with the last value, in the place of the first.
fn without_equal_keys<'a>(members: Vec<(Cow<'a, str>, Json<'a>)>) -> Vec<(Cow<'a, str>, Json<'a>)> {
    let has_equal = if members.len() <= 12 {
        let mut rest = members.as_slice();
        let mut found = false;
        while let [(key, _), behind @ ..] = rest {
            found |= behind.iter().any(|(other, _)| other == key);
            rest = behind;
        }
        found
    } else {
        let mut keys: Vec<&str> = members.iter().map(|(key, _)| &**key).collect();
        keys.sort_unstable();
        keys.windows(2).any(|pair| matches!(pair, [one, two] if one == two))
    };
    if !has_equal {
        return members;
    }
    let mut places = std::collections::HashMap::new();
    let mut kept: Vec<(Cow<'a, str>, Json<'a>)> = Vec::with_capacity(members.len());
    for (key, value) in members {
        match places.get(&*key).and_then(|place: &usize| kept.get_mut(*place)) {
            Some(member) => member.1 = value,
            None => {
                places.insert(key.clone().into_owned(), kept.len());
                kept.push((key, value));
            }
        }
    }
    kept
}

/// The order of Java's strings, which is that of their `char`s.
pub(crate) fn compare_keys(one: &str, two: &str) -> Ordering {
    if one.is_ascii() || two.is_ascii() { one.cmp(two) } else { one.encode_utf16().cmp(two.encode_utf16()) }
}

impl<'a> Json<'a> {
    /// Whether it is neither an array nor an object.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self, Json::Array(_) | Json::Object(_))
    }

    /// The member called `key`.
    pub(super) fn member(&self, key: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(members) => members.iter().find(|(known, _)| known == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Appends the value as JSON.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Json::Integer(number) => out.push_str(number),
            Json::Decimal(number) => push_decimal(out, number),
            Json::Double(number) => push_double(out, *number),
            Json::Text(text) => push_quoted(out, text),
            Json::Array(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    element.write(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                let mut sorted: Vec<&(Cow<'_, str>, Json<'_>)> = members.iter().collect();
                sorted.sort_by(|(one, _), (two, _)| compare_keys(one, two));
                out.push('{');
                for (index, (key, value)) in sorted.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    push_quoted(out, key);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// Appends the value as a string: a text without quotes.
    pub(super) fn write_plain(&self, out: &mut String) {
        match self {
            Json::Text(text) => out.push_str(text),
            other => other.write(out),
        }
    }
}

/// Appends `text` in quotes.
pub(crate) fn push_quoted(out: &mut String, text: &str) {
    use std::fmt::Write;
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        out.push_str(rest.get(..at).unwrap_or_default());
        let mut behind = rest.get(at..).unwrap_or_default().chars();
        match behind.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\x08') => out.push_str("\\b"),
            Some('\t') => out.push_str("\\t"),
            Some('\n') => out.push_str("\\n"),
            Some('\x0C') => out.push_str("\\f"),
            Some('\r') => out.push_str("\\r"),
            // Writing to a string does not fail.
            Some(c) => drop(write!(out, "\\u{:04X}", u32::from(c))),
            None => {}
        }
        rest = behind.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> Result<String, NoJson> {
        let mut out = String::new();
        parse(text)?.write(&mut out);
        Ok(out)
    }

    #[test]
    fn reads_and_writes() {
        for (text, expected) in [
            (
                r#"{"b":1,"a":{"z":1, "y": [1.50, null, "é/\""]}}"#,
                r#"{"a":{"y":[1.50,null,"é/\""],"z":1},"b":1}"#,
            ),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            ("[ ]", "[]"),
            (" { } ", "{}"),
            ("-0", "0"),
            ("1e2", "1E+2"),
            (r#"{"a":1} xyz"#, r#"{"a":1}"#),
            ("1 2", "1"),
            (r#""\u00e9\ud83d\ude00\n\u0001""#, r#""é😀\n\u0001""#),
            (r#""\ud83d""#, "\"?\""),
            ("true}", "true"),
            ("12345678901234567890", "12345678901234567890"),
        ] {
            assert_eq!(rewritten(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            " ",
            "abc",
            "1abc",
            "01",
            "-01",
            "{a:1}",
            "NaN",
            r#"{"a":1,}"#,
            "[1,]",
            r#""a"#,
            "\"a\tb\"",
            "+1",
            "1.",
            ".5",
            "-",
            r#""\x""#,
            "tru",
            "true1",
            "1}",
            "/*c*/1",
            "[1",
            "{\"a\"}",
            "1e",
            "\"\\u12\"",
            "\"\\u+123\"",
            "]",
        ] {
            assert!(rewritten(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&("[".repeat(900) + &"]".repeat(900))).is_ok());
    }

    #[test]
    fn many_equal_keys() {
        let text =
            format!("{{{}}}", (0..50).map(|n| format!("\"k{}\":{n}", n % 20)).collect::<Vec<_>>().join(","));
        let Json::Object(members) = parse(&text).unwrap() else { panic!() };
        assert_eq!(members.len(), 20);
        assert_eq!(members[0], (Cow::from("k0"), Json::Integer("40".into())));
    }
}
