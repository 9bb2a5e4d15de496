//! What `sqlparser` is to do differently for Flink SQL.

use std::any::TypeId;

use sqlparser::ast::{DataType, Expr};
use sqlparser::dialect::{Dialect, GenericDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, plain_word};
use super::expressions;
use super::words::is_reserved;

/// Flink SQL.
#[derive(Debug)]
pub(super) struct FlinkDialect;

impl Dialect for FlinkDialect {
    // `UNNEST` in `FROM` is for few dialects only.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_identifier_start(&self, c: char) -> bool {
        c.is_alphabetic() || c == '_'
    }

    fn is_identifier_part(&self, c: char) -> bool {
        c.is_alphanumeric() || c == '_' || c == '$'
    }

    fn is_delimited_identifier_start(&self, c: char) -> bool {
        c == '`'
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    // The end of a line in `MATCH_RECOGNIZE` is `$`, and must not begin a string up to the next one.
    fn supports_dollar_placeholder(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_match_recognize(&self) -> bool {
        true
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_comment_optimizer_hint(&self) -> bool {
        true
    }

    fn supports_string_literal_column_alias(&self, _explicit: bool) -> bool {
        false
    }

    fn supports_string_literal_table_alias(&self, _explicit: bool) -> bool {
        false
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        is_reserved(&format!("{keyword:?}"))
    }

    fn is_column_alias(&self, _keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        is_name(parser)
    }

    fn is_table_alias(&self, _keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        is_name(parser)
    }

    fn is_select_item_alias(&self, _explicit: bool, _keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        is_name(parser)
    }

    fn is_table_factor_alias(&self, _explicit: bool, _keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        is_name(parser)
    }

    fn is_table_factor(&self, _keyword: &Keyword, parser: &mut Parser<'_>) -> bool {
        is_name(parser)
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        expressions::prefix(parser).transpose()
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        left: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        expressions::infix(parser, left, precedence).transpose()
    }

    // Types are read by this module wherever Flink has them. Here `sqlparser` would only try whether an expression
    // begins with one.
    fn parse_data_type(&self, _parser: &mut Parser<'_>) -> Option<Result<DataType, ParserError>> {
        Some(Err(ParserError::ParserError(String::new())))
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        match precedence {
            Precedence::Period => 100,
            Precedence::DoubleColon => 50,
            Precedence::AtTz => 41,
            Precedence::MulDivModOp => 40,
            Precedence::PlusMinus => 30,
            // These bind more than comparisons, unlike in PostgreSQL: `a LIKE b = c` compares booleans.
            Precedence::Between | Precedence::Like => 22,
            Precedence::Eq => 20,
            Precedence::Is => 17,
            Precedence::UnaryNot => 15,
            Precedence::And => 10,
            Precedence::Or => 5,
            Precedence::Xor
            | Precedence::Ampersand
            | Precedence::Caret
            | Precedence::Pipe
            | Precedence::Colon
            | Precedence::PgOther => 0,
        }
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        match &parser.peek_token_ref().token {
            // They are tokens, but no operators.
            Token::Colon
            | Token::Pipe
            | Token::Caret
            | Token::Placeholder(_)
            | Token::LBracket
            | Token::RArrow => Some(Ok(0)),
            token if plain_word(token).is_some_and(|word| word.eq_ignore_ascii_case("IS")) => {
                // Other than the rest of what begins with IS, this compares two operands.
                let distinct =
                    parser.nth_at(1, "DISTINCT") || (parser.nth_at(1, "NOT") && parser.nth_at(2, "DISTINCT"));
                distinct.then_some(Ok(self.prec_value(Precedence::Eq)))
            }
            _ => None,
        }
    }
}

/// Whether the token that the parser has just taken may be a name.
fn is_name(parser: &Parser<'_>) -> bool {
    match &parser.get_current_token().token {
        Token::Word(word) => word.quote_style.is_some() || !is_reserved(&word.value),
        _ => false,
    }
}
