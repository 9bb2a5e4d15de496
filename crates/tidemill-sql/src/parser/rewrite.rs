//! Turns what Flink writes and `sqlparser` cannot read into what it can: on tokens, each of which keeps its place.
//!
//! What comes out is described in [`statement`](super::statement).

use std::ops::Range;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::cursor::{is_word, parser, plain_word};
use super::errors::Fault;
use super::hints;
use super::statement::{SUBQUERY, WHEN_ANY, WITHIN};
use super::tokens::is_hint;
use super::words::is_reserved;

/// Tokens of a statement, to be read from places that may not exist.
struct Tokens(Vec<TokenWithSpan>);

/// Rewrites the tokens of a statement.
pub(super) fn rewrite(tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>, Fault> {
    let mut tokens = Tokens(tokens.to_vec());
    tokens.files();
    if tokens.0.iter().any(|token| is_hint(&token.token)) {
        tokens.table_hints()?;
    }
    tokens.rows_without_parentheses();
    tokens.tables_as_queries();
    tokens.group_by_all();
    tokens.lateral_tables();
    tokens.cases();
    tokens.matches()?;
    Ok(tokens.0)
}

impl Tokens {
    fn token(&self, index: usize) -> &Token {
        self.0.get(index).map_or(&Token::EOF, |token| &token.token)
    }

    fn before(&self, index: usize) -> &Token {
        index.checked_sub(1).map_or(&Token::EOF, |index| self.token(index))
    }

    fn span(&self, index: usize) -> Span {
        self.0.get(index).map_or(Span::empty(), |token| token.span)
    }

    fn at(&self, index: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| is_word(self.token(index + n), word))
    }

    fn at_any(&self, index: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.at(index, &[word]))
    }

    /// Whether a name stands here.
    fn at_name(&self, index: usize) -> bool {
        match self.token(index) {
            Token::Word(word) => word.quote_style.is_some() || !is_reserved(&word.value),
            _ => false,
        }
    }

    /// Where these words begin, from the last to the first.
    fn find_all(&self, words: &[&str]) -> Vec<usize> {
        (0..self.0.len()).rev().filter(|index| self.at(*index, words)).collect()
    }

    /// Where what is opened here is closed.
    fn close(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for index in open..self.0.len() {
            match self.token(index) {
                Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
                Token::RParen | Token::RBracket | Token::RBrace => match depth {
                    0 | 1 => return (depth == 1).then_some(index),
                    _ => depth -= 1,
                },
                _ => {}
            }
        }
        None
    }

    /// Where what is closed here is opened.
    fn open(&self, close: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for index in (0..=close).rev() {
            match self.token(index) {
                Token::RParen | Token::RBracket | Token::RBrace => depth += 1,
                Token::LParen | Token::LBracket | Token::LBrace => match depth {
                    0 | 1 => return (depth == 1).then_some(index),
                    _ => depth -= 1,
                },
                _ => {}
            }
        }
        None
    }

    /// Puts words and marks in the place of others.
    fn replace(&mut self, range: Range<usize>, tokens: impl IntoIterator<Item = Token>, span: Span) {
        self.0.splice(range, tokens.into_iter().map(|token| TokenWithSpan { token, span }));
    }

    /// Where a name with dots begins that ends before `index`.
    fn name_start(&self, index: usize) -> usize {
        let mut start = index.saturating_sub(1);
        while start >= 2 && *self.before(start) == Token::Period {
            start -= 2;
        }
        start
    }

    /// Strings where tables stand become names in such quotes: they are files.
    fn files(&mut self) {
        for index in 0..self.0.len() {
            if !matches!(self.token(index), Token::SingleQuotedString(_)) || !self.is_table_expected(index) {
                continue;
            }
            if let Some(TokenWithSpan { token, .. }) = self.0.get_mut(index)
                && let Token::SingleQuotedString(path) = token
            {
                let value = std::mem::take(path);
                *token = Token::Word(Word { value, quote_style: Some('\''), keyword: Keyword::NoKeyword });
            }
        }
    }

    /// Whether a table is expected here, and not what stands behind `FROM` in `TRIM(BOTH FROM x)` or `a IS DISTINCT FROM b`.
    fn is_table_expected(&self, index: usize) -> bool {
        let Some(before) = index.checked_sub(1) else { return false };
        if self.at(before, &["JOIN"]) {
            return true;
        }
        if before == 0 {
            return self.at_any(before, &["DESCRIBE", "DESC"]);
        }
        if !self.at(before, &["FROM"]) || self.at_distinct_comparison(before - 1) {
            return false;
        }
        // The FROM of a query has its SELECT in the same parentheses.
        let mut at = before;
        while let Some(previous) = at.checked_sub(1) {
            match self.token(previous) {
                Token::RParen | Token::RBracket => match self.open(previous) {
                    Some(open) => at = open,
                    None => return false,
                },
                Token::LParen | Token::LBracket => return false,
                _ if self.at(previous, &["SELECT"]) => return true,
                _ => at = previous,
            }
        }
        false
    }

    /// Whether this is the last word of `IS DISTINCT` or `IS NOT DISTINCT`.
    fn at_distinct_comparison(&self, index: usize) -> bool {
        self.at(index, &["DISTINCT"]) && ["IS", "NOT"].iter().any(|word| is_word(self.before(index), word))
    }

    /// Hints behind tables become `WITH (…)` behind their aliases.
    fn table_hints(&mut self) -> Result<(), Fault> {
        for index in (0..self.0.len()).rev() {
            if !is_hint(self.token(index)) {
                continue;
            }
            let span = self.span(index);
            let hint = hints::tokens(self.token(index), span)?;
            if is_word(self.before(index), "SELECT") {
                continue;
            }
            let before = self.name_start(index).checked_sub(1);
            let inserted = before.is_some_and(|before| self.at_any(before, &["INTO", "OVERWRITE"]));
            let read = before.is_some_and(|before| {
                self.at_any(before, &["FROM", "JOIN"])
                    || matches!(self.token(before), Token::Comma | Token::LParen)
            });
            if !self.at_name(index.saturating_sub(1)) || !(inserted || read) {
                return Err(hints::misplaced(span.start));
            }
            let end = if inserted { index + 1 } else { self.table_end(index + 1) };
            self.replace(end..end, [Token::RParen], span);
            self.0.splice(end..end, hint);
            self.replace(end..end, [Token::make_word("WITH", None), Token::LParen], span);
            self.0.remove(index);
        }
        Ok(())
    }

    /// Where a table in `FROM` ends, of which what follows its name begins here.
    fn table_end(&self, start: usize) -> usize {
        let mut end = start;
        if self.at(end, &["FOR", "SYSTEM_TIME", "AS", "OF"]) {
            let rest = self.0.get(end + 4..).unwrap_or_default();
            let mut expression = parser(rest.to_vec());
            // Where this fails, the whole fails there as well.
            if expression.parse_expr().is_err() {
                return start;
            }
            end += 4 + expression.index();
        }
        let alias = if self.at(end, &["AS"]) { end + 1 } else { end };
        if !self.at_name(alias) {
            return end;
        }
        end = alias + 1;
        match self.token(end) {
            Token::LParen => self.close(end).map_or(end, |close| close + 1),
            _ => end,
        }
    }

    /// `VALUES 1, 2` becomes `VALUES (1), (2)`.
    fn rows_without_parentheses(&mut self) {
        let mut added = Vec::new();
        for start in self.find_all(&["VALUES"]) {
            let mut row = start + 1;
            loop {
                let end = self.row_end(row);
                let inner = if self.at(row, &["ROW"]) { row + 1 } else { row };
                let enclosed = *self.token(inner) == Token::LParen && self.close(inner) == end.checked_sub(1);
                if end > row && !enclosed {
                    added.push((row, TokenWithSpan { token: Token::LParen, span: self.span(row) }));
                    added.push((end, TokenWithSpan { token: Token::RParen, span: self.span(end - 1) }));
                }
                if *self.token(end) != Token::Comma {
                    break;
                }
                row = end + 1;
            }
        }
        if added.is_empty() {
            return;
        }
        added.sort_by_key(|(index, _)| *index);
        let mut added = added.into_iter().peekable();
        let mut tokens = Vec::with_capacity(self.0.len() + added.len());
        for (index, token) in std::mem::take(&mut self.0).into_iter().enumerate() {
            while let Some((_, token)) = added.next_if(|(before, _)| *before == index) {
                tokens.push(token);
            }
            tokens.push(token);
        }
        tokens.extend(added.map(|(_, token)| token));
        self.0 = tokens;
    }

    /// Where a row of `VALUES` ends.
    fn row_end(&self, start: usize) -> usize {
        let mut index = start;
        while index < self.0.len() {
            match self.token(index) {
                Token::LParen | Token::LBracket | Token::LBrace => match self.close(index) {
                    Some(close) => index = close,
                    None => return self.0.len(),
                },
                Token::Comma | Token::RParen | Token::SemiColon => return index,
                token => {
                    let ends = ["UNION", "EXCEPT", "INTERSECT", "ORDER", "LIMIT", "OFFSET", "FETCH", "ON"];
                    if ends.iter().any(|word| is_word(token, word)) {
                        return index;
                    }
                }
            }
            index += 1;
        }
        index
    }

    /// `TABLE t` as a query becomes `SELECT * FROM t`: `sqlparser` would lose where the name stands, and its catalog.
    fn tables_as_queries(&mut self) {
        for index in self.find_all(&["TABLE"]) {
            if self.at_name(index + 1) && self.is_query_place(index) {
                let words = [Token::make_word("SELECT", None), Token::Mul, Token::make_word("FROM", None)];
                let span = self.span(index);
                self.replace(index..index + 1, words, span);
            }
        }
    }

    fn is_query_place(&self, index: usize) -> bool {
        #[rustfmt::skip]
        const LEADING: [&str; 13] = [
            "ALL", "AS", "CHANGELOG_MODE", "DISTINCT", "ESTIMATED_COST", "EXCEPT", "EXECUTE", "EXPLAIN", "FOR",
            "INTERSECT", "JSON_EXECUTION_PLAN", "PLAN_ADVICE", "UNION",
        ];
        let Some(before) = index.checked_sub(1) else { return true };
        match self.token(before) {
            // Behind a name, the parenthesis is a function's, where `TABLE t` is an argument.
            Token::LParen => !before.checked_sub(1).is_some_and(|function| self.at_name(function)),
            Token::RParen | Token::SemiColon => true,
            Token::Word(_) if self.at_any(before, &LEADING) => true,
            Token::Word(_) => {
                let table = self.name_start(index);
                table.checked_sub(1).is_some_and(|into| self.at_any(into, &["INTO", "OVERWRITE"]))
            }
            _ => false,
        }
    }

    /// `GROUP BY ALL a` is `GROUP BY a`.
    fn group_by_all(&mut self) {
        for index in self.find_all(&["GROUP", "BY", "ALL"]) {
            self.0.remove(index + 2);
        }
    }

    /// `LATERAL TABLE(f(x))` becomes `LATERAL f(x)`.
    fn lateral_tables(&mut self) {
        for index in self.find_all(&["LATERAL", "TABLE"]) {
            if *self.token(index + 2) == Token::LParen
                && let Some(close) = self.close(index + 2)
            {
                self.0.remove(close);
                self.0.drain(index + 1..index + 3);
            }
        }
    }

    /// `WHEN a, b THEN` becomes `WHEN $WHEN_ANY(a, b) THEN`.
    fn cases(&mut self) {
        for when in self.find_all(&["WHEN"]) {
            let (mut depth, mut several, mut index) = (0_usize, false, when + 1);
            loop {
                match self.token(index) {
                    Token::EOF => return,
                    Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
                    Token::RParen | Token::RBracket | Token::RBrace if depth == 0 => break,
                    Token::RParen | Token::RBracket | Token::RBrace => depth -= 1,
                    Token::Comma => several |= depth == 0,
                    _ if self.at(index, &["CASE"]) => depth += 1,
                    _ if self.at(index, &["END"]) => depth = depth.saturating_sub(1),
                    _ if depth == 0 && self.at(index, &["THEN"]) => break,
                    _ => {}
                }
                index += 1;
            }
            if several && self.at(index, &["THEN"]) {
                let span = self.span(when + 1);
                self.replace(index..index, [Token::RParen], span);
                let name =
                    Word { value: WHEN_ANY.to_owned(), quote_style: Some('`'), keyword: Keyword::NoKeyword };
                self.replace(when + 1..when + 1, [Token::Word(name), Token::LParen], span);
            }
        }
    }

    /// What `sqlparser` does not know of `MATCH_RECOGNIZE`.
    fn matches(&mut self) -> Result<(), Fault> {
        for nth in 0..self.find_all(&["MATCH_RECOGNIZE"]).len() {
            // One within the input of another moves when that input is enclosed, but stays the nth.
            let Some(index) = self.find_all(&["MATCH_RECOGNIZE"]).get(nth).copied() else { break };
            if *self.token(index + 1) == Token::LParen
                && let Some(close) = self.close(index + 1)
            {
                self.match_clauses(index + 2..close)?;
                self.matched_query(index);
            }
        }
        Ok(())
    }

    /// `WITHIN` becomes a symbol, `SKIP TO a` becomes `SKIP TO LAST a`, and `FINAL` goes.
    fn match_clauses(&mut self, range: Range<usize>) -> Result<(), Fault> {
        let mut pattern_end = None;
        let mut define = None;
        let mut skip = None;
        let mut measures = false;
        let mut finals = Vec::new();
        let mut index = range.start;
        while index < range.end {
            if *self.token(index) == Token::LParen {
                let close = self.close(index).unwrap_or(range.end);
                if self.at(index.saturating_sub(1), &["PATTERN"]) {
                    pattern_end = Some(close);
                }
                index = close;
            } else if self.at(index, &["DEFINE"]) {
                define.get_or_insert(index);
            } else if self.at(index, &["MEASURES"]) {
                measures = true;
            } else if self.at_any(index, &["PATTERN", "AFTER"]) {
                measures = false;
            } else if measures && self.at(index, &["FINAL"]) && self.is_before_operand(index) {
                finals.push(index);
            } else if measures && self.at(index, &["RUNNING"]) && self.is_before_operand(index) {
                return Err(Fault::unsupported(
                    "RUNNING is not supported, as in Flink",
                    self.span(index).start,
                ));
            } else if self.at(index, &["SUBSET"]) {
                return Err(Fault::unsupported("SUBSET is not supported", self.span(index).start));
            } else if self.at(index, &["SKIP", "TO"]) && !self.at_any(index + 2, &["FIRST", "LAST", "NEXT"]) {
                skip = Some(index + 2);
            }
            index += 1;
        }
        if let (Some(pattern_end), Some(define)) = (pattern_end, define)
            && self.at(pattern_end + 1, &["WITHIN"])
            && pattern_end + 1 < define
        {
            let span = self.span(pattern_end + 1);
            let mut within: Vec<TokenWithSpan> = self.0.drain(pattern_end + 1..define).skip(1).collect();
            let define = pattern_end + 1;
            within.push(TokenWithSpan { token: Token::Comma, span });
            self.0.splice(define + 1..define + 1, within);
            self.replace(
                define + 1..define + 1,
                [Token::make_word(WITHIN, None), Token::make_word("AS", None)],
                span,
            );
        }
        if let Some(skip) = skip {
            let span = self.span(skip);
            self.replace(skip..skip, [Token::make_word("LAST", None)], span);
        }
        // Of one row a match, all measures are final. They stand in front of all that was changed.
        for index in finals.into_iter().rev() {
            self.0.remove(index);
        }
        Ok(())
    }

    /// Whether the word at `index` is one in front of a measure, and not its name.
    fn is_before_operand(&self, index: usize) -> bool {
        matches!(self.token(index + 1), Token::Word(_)) && !self.at(index + 1, &["AS"])
    }

    /// `(query) MATCH_RECOGNIZE` becomes `$SUBQUERY((query)) MATCH_RECOGNIZE`: `sqlparser` has it behind names only.
    fn matched_query(&mut self, index: usize) {
        let mut close = index.saturating_sub(1);
        if self.at_name(close) {
            close = close.saturating_sub(1);
            if self.at(close, &["AS"]) {
                close = close.saturating_sub(1);
            }
        }
        if *self.token(close) != Token::RParen {
            return;
        }
        let Some(open) = self.open(close) else { return };
        let query =
            self.at_any(open + 1, &["SELECT", "WITH", "VALUES"]) || *self.token(open + 1) == Token::LParen;
        let free = match self.before(open) {
            Token::Comma | Token::LParen => true,
            token => plain_word(token)
                .is_some_and(|word| ["FROM", "JOIN"].iter().any(|w| w.eq_ignore_ascii_case(word))),
        };
        if query && free {
            let span = self.span(open);
            self.replace(close..close, [Token::RParen], span);
            self.replace(open..open, [Token::make_word(SUBQUERY, None), Token::LParen], span);
        }
    }
}
