//! What this module's own grammar asks of `sqlparser`'s parser, whose keywords are not Flink's.

use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments};
use sqlparser::ast::{Ident, ObjectName, Value};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Word};

use super::dialect::FlinkDialect;
use super::errors::{Fault, Parse};
use super::words;
use crate::error::nearest;

/// How deep expressions, queries and tables may be nested: `sqlparser` counts some of its own steps, not parentheses.
///
/// A level takes a good deal of the stack where nothing is optimized, and threads of tests have 2 MiB of it.
const DEPTH: usize = 100;

/// A parser of these tokens.
pub(super) fn parser(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&FlinkDialect).with_recursion_limit(DEPTH).with_tokens_with_locations(tokens)
}

/// Whether a token is this word, not in backquotes.
pub(super) fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

/// A token's word, unless it is in backquotes.
pub(super) fn plain_word(token: &Token) -> Option<&str> {
    match token {
        Token::Word(Word { value, quote_style: None, .. }) => Some(value),
        _ => None,
    }
}

/// A call of a function with these arguments.
pub(super) fn call(name: Ident, args: Vec<Expr>) -> Function {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Function {
        name: ObjectName::from(vec![name]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    }
}

/// A string literal.
pub(super) fn string_literal(text: impl Into<String>, span: Span) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.into()).with_span(span))
}

/// Reading words and lists.
pub(super) trait Cursor {
    /// Whether the next word is this one.
    fn at(&self, word: &str) -> bool;
    /// Whether the word after `n` tokens is this one.
    fn nth_at(&self, n: usize, word: &str) -> bool;
    /// Whether this token is next.
    fn at_token(&self, token: &Token) -> bool;
    /// Where the next token is.
    fn location(&self) -> Location;
    /// Takes the next word if it is this one.
    fn eat(&mut self, word: &str) -> bool;
    /// Takes the next words if they are these.
    fn eat_all(&mut self, words: &[&str]) -> bool;
    /// Takes this word or fails.
    fn require(&mut self, word: &str) -> Parse<()>;
    /// Takes these words or fails.
    fn require_all(&mut self, words: &[&str]) -> Parse<()>;
    /// Takes one of these words, of which it gives the number, or fails and says which one may be meant.
    fn one_of(&mut self, words: &[&str]) -> Parse<usize>;
    /// Takes this token or fails.
    fn require_token(&mut self, token: &Token) -> Parse<Span>;
    /// Takes a name.
    fn name(&mut self) -> Parse<Ident>;
    /// Takes names with dots.
    fn qualified_name(&mut self) -> Parse<ObjectName>;
    /// Takes a string.
    fn text(&mut self) -> Parse<String>;
    /// Takes an integer without sign.
    fn integer(&mut self) -> Parse<(u64, Location)>;
    /// Takes a list in parentheses.
    fn list<T>(&mut self, item: impl FnMut(&mut Self) -> Parse<T>) -> Parse<Vec<T>>;
    /// Takes the end, or fails.
    fn end(&mut self) -> Parse<()>;
    /// Says that the next token is not what it has to be.
    fn unexpected<T>(&self, expected: &str) -> Parse<T>;
}

impl Cursor for Parser<'_> {
    fn at(&self, word: &str) -> bool {
        self.nth_at(0, word)
    }

    fn nth_at(&self, n: usize, word: &str) -> bool {
        is_word(&self.peek_nth_token_ref(n).token, word)
    }

    fn at_token(&self, token: &Token) -> bool {
        self.peek_token_ref().token == *token
    }

    fn location(&self) -> Location {
        self.peek_token_ref().span.start
    }

    fn eat(&mut self, word: &str) -> bool {
        self.eat_all(&[word])
    }

    fn eat_all(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(n, word)| self.nth_at(n, word));
        if found {
            words.iter().for_each(|_| self.advance_token());
        }
        found
    }

    fn require(&mut self, word: &str) -> Parse<()> {
        if self.eat(word) { Ok(()) } else { self.unexpected(&format!("'{word}'")) }
    }

    fn require_all(&mut self, words: &[&str]) -> Parse<()> {
        words.iter().try_for_each(|word| self.require(word))
    }

    fn one_of(&mut self, words: &[&str]) -> Parse<usize> {
        if let Some(number) = words.iter().position(|word| self.eat(word)) {
            return Ok(number);
        }
        let TokenWithSpan { token, span } = self.peek_token_ref();
        let expected = match words {
            [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            words => words.join(""),
        };
        let mut fault = Fault::expected(&expected, token, span.start);
        if let Some(near) = plain_word(token).and_then(|word| nearest(word, words.iter().copied())) {
            fault.hint = Some(format!("did you mean {near}?"));
        }
        Err(fault.into())
    }

    fn require_token(&mut self, token: &Token) -> Parse<Span> {
        if self.at_token(token) { Ok(self.next_token().span) } else { self.unexpected(&format!("'{token}'")) }
    }

    fn name(&mut self) -> Parse<Ident> {
        let TokenWithSpan { token, span } = self.peek_token_ref();
        match token {
            Token::Word(word) if word.quote_style.is_some() || !words::is_reserved(&word.value) => {
                let name = word.to_ident(*span);
                self.advance_token();
                Ok(name)
            }
            _ => self.unexpected("a name"),
        }
    }

    fn qualified_name(&mut self) -> Parse<ObjectName> {
        let mut parts = vec![self.name()?];
        while self.consume_token(&Token::Period) {
            parts.push(self.name()?);
        }
        Ok(ObjectName::from(parts))
    }

    fn text(&mut self) -> Parse<String> {
        match &self.peek_token_ref().token {
            Token::SingleQuotedString(text) => {
                let text = text.clone();
                self.advance_token();
                Ok(text)
            }
            _ => self.unexpected("a string"),
        }
    }

    fn integer(&mut self) -> Parse<(u64, Location)> {
        let TokenWithSpan { token, span } = self.peek_token_ref();
        let location = span.start;
        let Token::Number(digits, _) = token else { return self.unexpected("a number") };
        match digits.parse() {
            Ok(number) => {
                self.advance_token();
                Ok((number, location))
            }
            Err(_) => self.unexpected("an integer"),
        }
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parse<T>) -> Parse<Vec<T>> {
        self.require_token(&Token::LParen)?;
        let mut items = vec![item(self)?];
        while self.consume_token(&Token::Comma) {
            items.push(item(self)?);
        }
        if self.consume_token(&Token::RParen) { Ok(items) } else { self.unexpected("')' or ','") }
    }

    fn end(&mut self) -> Parse<()> {
        if self.at_token(&Token::EOF) { Ok(()) } else { self.unexpected("the end of the statement") }
    }

    fn unexpected<T>(&self, expected: &str) -> Parse<T> {
        let TokenWithSpan { token, span } = self.peek_token_ref();
        Err(Fault::expected(expected, token, span.start).into())
    }
}
