//! Whether what was typed so far is all of it.

use super::cursor::plain_word;
use super::script::splits;
use super::source::is_open;
use super::tokens::tokenize;
use sqlparser::tokenizer::Token;

/// Whether a text that somebody types is complete: its last statement ends with a semicolon that is not within a string, a
/// comment or a set of statements. `QUIT`, `EXIT`, `HELP` and `CLEAR` need none. What is wrong is complete: it is to be told.
///
/// ```
/// use tidemill_sql::parser::is_complete;
///
/// assert!(!is_complete("SELECT ';'"));
/// assert!(is_complete("SELECT ';';"));
/// assert!(!is_complete("EXECUTE STATEMENT SET BEGIN INSERT INTO t SELECT 1;"));
/// assert!(is_complete("quit"));
/// ```
pub fn is_complete(text: &str) -> bool {
    if is_open(text) {
        return false;
    }
    let Ok(tokens) = tokenize(text) else { return true };
    match &tokens[..] {
        [] => true,
        [word] if is_command(&word.token) => true,
        [.., last] => last.token == Token::SemiColon && !splits(&tokens).1,
    }
}

fn is_command(token: &Token) -> bool {
    plain_word(token).is_some_and(|word| {
        ["QUIT", "EXIT", "HELP", "CLEAR"].iter().any(|command| word.eq_ignore_ascii_case(command))
    })
}

/// The words that a statement may begin with, and those that the grammar keeps for itself.
pub fn keywords() -> impl Iterator<Item = &'static str> {
    super::statements::FIRST_WORDS.iter().chain(super::words::RESERVED).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_complete_with_its_last_semicolon() {
        for complete in [
            "",
            "  -- nothing",
            "SELECT 1;",
            "SELECT 1; -- behind it",
            "SELECT ';' /* ; */;",
            "SELECT 1;\nSELECT 2;",
            "exit",
            "HELP",
            "BEGIN STATEMENT SET; INSERT INTO t SELECT 1; END;",
            "EXECUTE STATEMENT SET BEGIN INSERT INTO t SELECT 1; INSERT INTO u SELECT 2; END;",
            // Wrong, which is told when it is read.
            "SELECT \"a\"",
        ] {
            assert!(is_complete(complete), "{complete}");
        }
        for incomplete in [
            "SELECT 1",
            "SELECT 1; SELECT 2",
            "SELECT ';",
            "SELECT `;",
            "SELECT 1 /* ;",
            "SELECT 1 -- ;",
            "QUIT now",
            "BEGIN STATEMENT SET;",
            "BEGIN STATEMENT SET; INSERT INTO t SELECT 1; END",
            "EXPLAIN STATEMENT SET BEGIN INSERT INTO t SELECT 1;",
        ] {
            assert!(!is_complete(incomplete), "{incomplete}");
        }
    }
}
