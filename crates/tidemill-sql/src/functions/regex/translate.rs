//! Regular expressions of `java.util.regex` in the syntax of the crates that run them here.
//!
//! Where the two read the same text differently, the translation says what Java means: `\d`, `\w` and `\s`
//! are of ASCII only, `.` is no line end of Unicode, `$` also matches before a last line end, `\p{Lower}` and
//! its like are of ASCII, `\Q…\E` quotes. What needs to look around, to refer back or not to give back is
//! marked, since not every engine can do it.
//!
//! Not as in Java: blocks of Unicode (`\p{InGreek}`) are unknown, with `(?m)` only `\n` ends a line, and
//! `(?i)` is of all of Unicode.

/// An expression in the other syntax.
#[derive(Debug)]
pub(super) struct Translated {
    /// The expression.
    pub(super) pattern: String,
    /// Whether only an engine that backtracks can run it.
    pub(super) backtracks: bool,
    /// Whether it has a `$` that also matches before a last line end.
    pub(super) has_end: bool,
}

/// How the end of the text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As the very end: right for texts that do not end with a line end.
    Plain,
    /// As Java means it, which needs to look around.
    Exact,
}

/// What is wrong with an expression; what exactly is not said, since Flink does not say it either.
#[derive(Debug)]
pub(super) struct Invalid;

/// The expression `java` in the other syntax.
pub(super) fn translate(java: &str, end: End) -> Result<Translated, Invalid> {
    let mut translator = Translator {
        chars: java.chars().collect(),
        at: 0,
        out: String::with_capacity(java.len() * 2),
        flags: Flags::default(),
        groups: 0,
        end,
        backtracks: false,
        has_end: false,
        depth: 0,
    };
    translator.alternatives()?;
    if translator.at < translator.chars.len() {
        return Err(Invalid);
    }
    let Translator { out: pattern, backtracks, has_end, .. } = translator;
    Ok(Translated { pattern, backtracks, has_end })
}

/// Groups in groups beyond this are not meant.
const DEEPEST: usize = 100;

const LINE_ENDS: &str = r"\n\r\x{85}\x{2028}\x{2029}";

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    /// `m`: lines have starts and ends.
    lines: bool,
    /// `s`: `.` matches line ends.
    dot_all: bool,
    /// `x`: white space and comments.
    comments: bool,
    /// `d`: only `\n` is a line end.
    unix_lines: bool,
}

struct Translator {
    chars: Vec<char>,
    at: usize,
    out: String,
    flags: Flags,
    groups: u32,
    end: End,
    backtracks: bool,
    has_end: bool,
    depth: usize,
}

/// What an escape stands for.
enum Escaped {
    Literal(char),
    /// What stands between the brackets of a class.
    Set {
        content: String,
        negated: bool,
    },
    /// Something that is no character.
    Other(String),
}

impl Translator {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn peek_second(&self) -> Option<char> {
        self.chars.get(self.at + 1).copied()
    }

    fn next(&mut self) -> Result<char, Invalid> {
        let c = self.peek().ok_or(Invalid)?;
        self.at += 1;
        Ok(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let is_next = text.chars().enumerate().all(|(index, c)| self.chars.get(self.at + index) == Some(&c));
        if is_next {
            self.at += text.chars().count();
        }
        is_next
    }

    fn skip_comments(&mut self) {
        while self.flags.comments {
            match self.peek() {
                Some(c) if c.is_ascii_whitespace() || c == '\x0B' => self.at += 1,
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n' && c != '\r') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    /// All up to the end or to a closing parenthesis.
    fn alternatives(&mut self) -> Result<(), Invalid> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Invalid);
        }
        loop {
            self.skip_comments();
            match self.peek() {
                None | Some(')') => break,
                Some('|') => {
                    self.at += 1;
                    self.out.push('|');
                }
                Some(_) => {
                    if self.atom()? {
                        self.quantifier()?;
                    }
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// One thing; whether it can be repeated.
    fn atom(&mut self) -> Result<bool, Invalid> {
        match self.next()? {
            '(' => return self.group(),
            '[' => self.class()?,
            '.' => self.dot(),
            '^' => self.out.push_str(if self.flags.lines { "(?m:^)" } else { r"\A" }),
            '$' if self.flags.lines => self.out.push_str("(?m:$)"),
            '$' => self.text_end(),
            '*' | '+' | '?' | '{' => return Err(Invalid),
            '\\' if self.eat("Q") => return self.quoted().map(|()| true),
            '\\' if self.eat("E") => return Ok(false),
            '\\' => match self.escape(false)? {
                Escaped::Literal(c) => self.literal(c),
                Escaped::Set { content, negated } => {
                    self.out.push_str(if negated { "[^" } else { "[" });
                    self.out.push_str(&content);
                    self.out.push(']');
                }
                Escaped::Other(text) => self.out.push_str(&text),
            },
            c => self.literal(c),
        }
        Ok(true)
    }

    fn literal(&mut self, c: char) {
        if c.is_ascii_punctuation() && !matches!(c, '<' | '>') || c == ' ' {
            push_code(&mut self.out, c);
        } else {
            self.out.push(c);
        }
    }

    /// What stands between `\Q` and `\E`.
    fn quoted(&mut self) -> Result<(), Invalid> {
        let mut is_empty = true;
        while self.at < self.chars.len() && !self.eat(r"\E") {
            let c = self.next()?;
            self.literal(c);
            is_empty = false;
        }
        if is_empty {
            self.out.push_str("(?:)");
        }
        Ok(())
    }

    fn dot(&mut self) {
        if self.flags.dot_all {
            self.out.push_str("(?s:.)");
        } else if self.flags.unix_lines {
            self.out.push_str(r"[^\n]");
        } else {
            self.out.push_str("[^");
            self.out.push_str(LINE_ENDS);
            self.out.push(']');
        }
    }

    fn text_end(&mut self) {
        self.has_end = true;
        self.out.push_str(match self.end {
            End::Plain => r"\z",
            End::Exact if self.flags.unix_lines => r"(?=\n?\z)",
            // Not between the two characters of a Windows line end.
            End::Exact => r"(?:(?=(?:\r\n|[\r\x{85}\x{2028}\x{2029}])?\z)|(?<!\r)(?=\n\z))",
        });
    }

    fn group(&mut self) -> Result<bool, Invalid> {
        let outer = self.flags;
        let mut is_look = false;
        if !self.eat("?") {
            self.groups += 1;
            self.out.push('(');
        } else if self.eat(":") {
            self.out.push_str("(?:");
        } else if let Some(look) = ["=", "!", "<=", "<!"].into_iter().find(|look| self.eat(look)) {
            self.backtracks = true;
            self.out.push_str("(?:(?");
            self.out.push_str(look);
            is_look = true;
        } else if self.eat(">") {
            self.backtracks = true;
            self.out.push_str("(?>");
        } else if self.eat("<") {
            self.groups += 1;
            let name = self.name('>')?;
            self.out.push_str("(?<");
            self.out.push_str(&name);
            self.out.push('>');
        } else if !self.flag_group()? {
            // Flags for the rest of the group around; there is nothing to repeat.
            return Ok(false);
        }
        self.alternatives()?;
        if self.next()? != ')' {
            return Err(Invalid);
        }
        self.out.push(')');
        if is_look {
            // An alternative that never matches makes something of it that can be repeated.
            let is_repeated = matches!(self.peek(), Some('*' | '+' | '?' | '{'));
            self.out.push_str(if is_repeated { r"|[^\s\S])" } else { ")" });
        }
        self.flags = outer;
        Ok(true)
    }

    fn name(&mut self, end: char) -> Result<String, Invalid> {
        let mut name = String::new();
        loop {
            match self.next()? {
                c if c == end && !name.is_empty() => return Ok(name),
                c if c.is_ascii_alphabetic() || c.is_ascii_digit() && !name.is_empty() => name.push(c),
                _ => return Err(Invalid),
            }
        }
    }

    /// `idmsux-idmsux` and `)` or `:`; whether a group follows.
    fn flag_group(&mut self) -> Result<bool, Invalid> {
        let mut on = true;
        let mut case = None;
        loop {
            match self.next()? {
                'i' => case = Some(on),
                'm' => self.flags.lines = on,
                's' => self.flags.dot_all = on,
                'x' => self.flags.comments = on,
                'd' => self.flags.unix_lines = on,
                'u' | 'U' => {}
                '-' if on => on = false,
                c @ (')' | ':') => {
                    self.out.push_str(match case {
                        Some(true) => "(?i",
                        Some(false) => "(?-i",
                        None if c == ':' => "(?",
                        None => return Ok(false),
                    });
                    self.out.push(c);
                    return Ok(c == ':');
                }
                _ => return Err(Invalid),
            }
        }
    }

    fn quantifier(&mut self) -> Result<(), Invalid> {
        self.skip_comments();
        match self.peek() {
            Some(c @ ('*' | '+' | '?')) => {
                self.at += 1;
                self.out.push(c);
            }
            Some('{') => {
                self.at += 1;
                self.repetition()?;
            }
            _ => return Ok(()),
        }
        match self.peek() {
            Some('?') => {
                self.at += 1;
                self.out.push('?');
            }
            Some('+') => {
                self.at += 1;
                self.out.push('+');
                self.backtracks = true;
            }
            _ => {}
        }
        match self.peek() {
            Some('*' | '+' | '?' | '{') => Err(Invalid),
            _ => Ok(()),
        }
    }

    fn count(&mut self) -> Option<u32> {
        let start = self.at;
        let mut count = 0u32;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            count = count.checked_mul(10)?.checked_add(digit)?;
            self.at += 1;
        }
        (self.at > start).then_some(count)
    }

    fn repetition(&mut self) -> Result<(), Invalid> {
        use std::fmt::Write;
        let least = self.count().ok_or(Invalid)?;
        let written = if self.eat("}") {
            write!(self.out, "{{{least}}}")
        } else if self.eat(",}") {
            write!(self.out, "{{{least},}}")
        } else if self.eat(",") {
            let most = self.count().filter(|most| *most >= least).ok_or(Invalid)?;
            if !self.eat("}") {
                return Err(Invalid);
            }
            write!(self.out, "{{{least},{most}}}")
        } else {
            return Err(Invalid);
        };
        written.map_err(|_| Invalid)
    }

    /// What stands between brackets, of which the first is read.
    fn class(&mut self) -> Result<(), Invalid> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Invalid);
        }
        self.out.push('[');
        if self.eat("^") {
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            self.skip_comments();
            let c = self.next()?;
            match c {
                ']' if !is_first => break,
                '[' => self.class()?,
                '&' if self.peek() == Some('&') => {
                    while self.eat("&") {}
                    self.out.push_str("&&");
                }
                '\\' if self.eat("Q") => {
                    while !self.eat(r"\E") {
                        let c = self.next()?;
                        push_code(&mut self.out, c);
                    }
                }
                '\\' => match self.escape(true)? {
                    Escaped::Literal(c) => self.range(c)?,
                    Escaped::Set { content, negated: false } => self.out.push_str(&content),
                    Escaped::Set { content, negated: true } => {
                        self.out.push_str("[^");
                        self.out.push_str(&content);
                        self.out.push(']');
                    }
                    Escaped::Other(_) => return Err(Invalid),
                },
                c => self.range(c)?,
            }
            is_first = false;
        }
        self.out.push(']');
        self.depth -= 1;
        Ok(())
    }

    /// A character of a class, or the range that starts with it.
    fn range(&mut self, from: char) -> Result<(), Invalid> {
        push_code(&mut self.out, from);
        if self.peek() != Some('-') || matches!(self.peek_second(), None | Some(']' | '[')) {
            return Ok(());
        }
        let dash = self.at;
        self.at += 1;
        let to = match self.next()? {
            '\\' => match self.escape(true)? {
                Escaped::Literal(to) => to,
                // `[a-\d]`: the dash is one character of the class.
                _ => {
                    self.at = dash + 1;
                    push_code(&mut self.out, '-');
                    return Ok(());
                }
            },
            to => to,
        };
        if to < from {
            return Err(Invalid);
        }
        self.out.push('-');
        push_code(&mut self.out, to);
        Ok(())
    }

    /// What stands behind a backslash.
    fn escape(&mut self, in_class: bool) -> Result<Escaped, Invalid> {
        let set = |content: &str, negated| Ok(Escaped::Set { content: content.to_owned(), negated });
        let other = |text: &str| Ok(Escaped::Other(text.to_owned()));
        const SPACES: &str = r"\x20\t\n\x0B\x0C\r";
        const HORIZONTAL: &str = r"\x20\t\x{A0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}";
        const VERTICAL: &str = r"\n\x0B\x0C\r\x{85}\x{2028}\x{2029}";
        let c = self.next()?;
        match c {
            'd' | 'D' => set("0-9", c == 'D'),
            'w' | 'W' => set("a-zA-Z0-9_", c == 'W'),
            's' | 'S' => set(SPACES, c == 'S'),
            'h' | 'H' => set(HORIZONTAL, c == 'H'),
            'v' | 'V' => set(VERTICAL, c == 'V'),
            'p' | 'P' => self.property(c == 'P'),
            't' => Ok(Escaped::Literal('\t')),
            'n' => Ok(Escaped::Literal('\n')),
            'r' => Ok(Escaped::Literal('\r')),
            'f' => Ok(Escaped::Literal('\x0C')),
            'a' => Ok(Escaped::Literal('\x07')),
            'e' => Ok(Escaped::Literal('\x1B')),
            'c' => {
                let control = u8::try_from(self.next()?).map_err(|_| Invalid)?;
                Ok(Escaped::Literal(char::from(control ^ 64)))
            }
            '0' => self.octal(),
            'x' => self.hexadecimal(),
            'u' => {
                let high = self.digits(4)?;
                let code = if (0xD800..0xDC00).contains(&high) && self.eat(r"\u") {
                    0x10000
                        + ((high - 0xD800) << 10)
                        + (self.digits(4)?.checked_sub(0xDC00).ok_or(Invalid)?)
                } else {
                    high
                };
                char::from_u32(code).map(Escaped::Literal).ok_or(Invalid)
            }
            _ if in_class => {
                if c.is_ascii_alphanumeric() {
                    Err(Invalid)
                } else {
                    Ok(Escaped::Literal(c))
                }
            }
            'b' => other(r"\b"),
            'B' => other(r"\B"),
            'A' => other(r"\A"),
            'z' => other(r"\z"),
            'Z' => {
                self.text_end();
                other("")
            }
            'G' => {
                self.backtracks = true;
                other(r"\G")
            }
            'R' => other(r"(?:\r\n|[\n\x0B\x0C\r\x{85}\x{2028}\x{2029}])"),
            'k' => {
                if !self.eat("<") {
                    return Err(Invalid);
                }
                let name = self.name('>')?;
                self.backtracks = true;
                Ok(Escaped::Other(format!(r"\k<{name}>")))
            }
            '1'..='9' => self.back_reference(c),
            c if c.is_ascii_alphabetic() => Err(Invalid),
            c => Ok(Escaped::Literal(c)),
        }
    }

    fn back_reference(&mut self, first: char) -> Result<Escaped, Invalid> {
        let mut group = first.to_digit(10).ok_or(Invalid)?;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            let longer = group * 10 + digit;
            if longer > self.groups {
                break;
            }
            group = longer;
            self.at += 1;
        }
        if group > self.groups {
            // A group that is not there never matches.
            return Ok(Escaped::Other(r"[^\s\S]".to_owned()));
        }
        self.backtracks = true;
        Ok(Escaped::Other(format!(r"(?:\{group})")))
    }

    fn digits(&mut self, count: usize) -> Result<u32, Invalid> {
        (0..count).try_fold(0, |code, _| Ok(code * 16 + self.next()?.to_digit(16).ok_or(Invalid)?))
    }

    fn hexadecimal(&mut self) -> Result<Escaped, Invalid> {
        let code = if self.eat("{") {
            let mut code = 0u32;
            loop {
                match self.next()? {
                    '}' => break code,
                    c => {
                        let digit = c.to_digit(16).ok_or(Invalid)?;
                        code =
                            code.checked_mul(16).and_then(|code| code.checked_add(digit)).ok_or(Invalid)?;
                    }
                }
            }
        } else {
            self.digits(2)?
        };
        char::from_u32(code).map(Escaped::Literal).ok_or(Invalid)
    }

    fn octal(&mut self) -> Result<Escaped, Invalid> {
        let mut code = self.next()?.to_digit(8).ok_or(Invalid)?;
        let most = if code <= 3 { 2 } else { 1 };
        for _ in 0..most {
            match self.peek().and_then(|c| c.to_digit(8)) {
                Some(digit) => {
                    code = code * 8 + digit;
                    self.at += 1;
                }
                None => break,
            }
        }
        char::from_u32(code).map(Escaped::Literal).ok_or(Invalid)
    }

    /// `\p{…}` or `\pL`.
    fn property(&mut self, negated: bool) -> Result<Escaped, Invalid> {
        let mut name = String::new();
        if self.eat("{") {
            loop {
                match self.next()? {
                    '}' => break,
                    c => name.push(c),
                }
            }
        } else {
            name.push(self.next()?);
        }
        let content = match name.as_str() {
            "Lower" => "a-z",
            "Upper" => "A-Z",
            "ASCII" => r"\x00-\x7F",
            "Alpha" => "a-zA-Z",
            "Digit" => "0-9",
            "Alnum" => "a-zA-Z0-9",
            "Punct" => r"\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E",
            "Graph" => r"\x21-\x7E",
            "Print" => r"\x20-\x7E",
            "Blank" => r"\x20\t",
            "Cntrl" => r"\x00-\x1F\x7F",
            "XDigit" => "0-9a-fA-F",
            "Space" => r"\x20\t\n\x0B\x0C\r",
            "javaLowerCase" => r"\p{Lowercase}",
            "javaUpperCase" => r"\p{Uppercase}",
            "javaWhitespace" => r"\p{White_Space}",
            "javaLetter" => r"\p{L}",
            "javaDigit" => r"\p{Nd}",
            "javaLetterOrDigit" => r"\p{L}\p{Nd}",
            "javaAlphabetic" => r"\p{Alphabetic}",
            "L1" | "LD" => return Err(Invalid),
            _ => {
                return unicode_property(&name)
                    .map(|content| Escaped::Set { content, negated })
                    .ok_or(Invalid);
            }
        };
        Ok(Escaped::Set { content: content.to_owned(), negated })
    }
}

/// `IsLatin`, `Lu`, `gc=Lu`, `script=Latin` and so on.
fn unicode_property(name: &str) -> Option<String> {
    let name = match name.split_once('=') {
        Some((key, value)) => match key.to_ascii_lowercase().as_str() {
            "gc" | "general_category" => value,
            "sc" | "script" => value,
            _ => return None,
        },
        None => name.strip_prefix("Is").unwrap_or(name),
    };
    let is_plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    // Blocks are written so; the engines do not know them.
    let is_block = name.starts_with("In") && name.len() > 2;
    (is_plain && !is_block).then(|| format!(r"\p{{{name}}}"))
}

/// A character that is nothing but itself, also between brackets.
fn push_code(out: &mut String, c: char) {
    use std::fmt::Write;
    if c.is_ascii_alphanumeric() || !c.is_ascii() {
        out.push(c);
    } else {
        // Writing to a string does not fail.
        let _ = write!(out, r"\x{:02X}", u32::from(c));
    }
}
