//! Expressions that Flink writes differently than `sqlparser` expects.

use sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, DataType, DateTimeField, Expr, ExtractSyntax, Ident, Interval,
    ObjectName, TimezoneInfo, TrimWhereField, TypedString, UnaryOperator, Value, WindowSpec, WindowType,
};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token, Word};

use super::cursor::{Cursor, call, is_word, plain_word};
use super::errors::{Fault, Parse};
use super::statement::{SYMMETRIC_BETWEEN, TABLE_ARGUMENT};
use super::{json, types, words};
use crate::error::nearest;
use crate::types::TypeRoot;

/// How many operators may follow one another without parentheses, other than `AND` and `OR`: they nest to the left,
/// and whoever walks over the expression goes as deep.
const CHAIN: usize = 1000;

/// From how many on the operands of `AND` and `OR` become a balanced tree instead of one that is as deep as they are
/// many.
const BALANCED: usize = 32;

/// The precedence of `BETWEEN`, above which its bounds are.
const BETWEEN: u8 = 22;

/// The precedence of `*`, above which the operand of a sign is.
const SIGN: u8 = 40;

/// What an expression begins with, where that is special to Flink.
pub(super) fn prefix(parser: &mut Parser<'_>) -> Parse<Option<Expr>> {
    let [first, second, third] = parser.peek_tokens_ref();
    let (word, span) = match &first.token {
        Token::Word(Word { value, quote_style: None, .. }) => (value.to_ascii_uppercase(), first.span),
        Token::Placeholder(_) => {
            return Err(Fault::unsupported("parameters are not supported", first.span.start).into());
        }
        Token::LParen if ["SELECT", "WITH", "VALUES"].iter().any(|word| is_word(&second.token, word)) => {
            return subquery(parser, first.span).map(Some);
        }
        _ => return Ok(None),
    };
    let called = second.token == Token::LParen;
    let indexed = second.token == Token::LBracket;
    let literal = matches!(second.token, Token::SingleQuotedString(_));
    let calls_another = matches!(second.token, Token::Word(_)) && third.token == Token::LParen;
    let zoned = is_word(&second.token, "WITH");
    let expr = match word.as_str() {
        "CAST" if called => cast(parser, CastKind::Cast)?,
        "TRY_CAST" if called => cast(parser, CastKind::TryCast)?,
        "DATE" if literal => typed(parser, DataType::Date)?,
        "TIME" if literal => typed(parser, DataType::Time(None, TimezoneInfo::None))?,
        "TIMESTAMP" if literal => typed(parser, DataType::Timestamp(None, TimezoneInfo::None))?,
        "TIMESTAMP" if zoned => zoned_timestamp(parser, span)?,
        "INTERVAL" => interval(parser)?,
        "UNKNOWN" => unknown(parser),
        // An argument may be a query in no more parentheses than the call's.
        "SELECT" | "WITH" | "VALUES" if parser.get_current_token().token == Token::LParen => {
            Expr::Subquery(parser.parse_query()?)
        }
        "DEFAULT" => Expr::Identifier(Ident::with_span(parser.next_token().span, word)),
        "TABLE" => table_argument(parser)?,
        "MAP" | "MULTISET" if indexed => collection(parser, word)?,
        "EXTRACT" if called => extract(parser)?,
        "CEIL" | "CEILING" | "FLOOR" if called => round(parser, word == "FLOOR")?,
        "POSITION" if called => position(parser)?,
        "TRIM" if called => trim(parser)?,
        "TIMESTAMPADD" | "TIMESTAMPDIFF" if called => timestamp_function(parser)?,
        "JSON_VALUE" | "JSON_QUERY" | "JSON_EXISTS" if called => json::path_function(parser, &word)?,
        "JSON_OBJECT" | "JSON_OBJECTAGG" if called => json::object(parser, word == "JSON_OBJECTAGG")?,
        "JSON_ARRAY" | "JSON_ARRAYAGG" if called => json::array(parser, word == "JSON_ARRAYAGG")?,
        "FINAL" | "RUNNING" if calls_another => {
            let prefix = Ident::with_span(parser.next_token().span, word);
            Expr::Prefixed { prefix, value: Box::new(parser.parse_subexpr(SIGN)?) }
        }
        _ if !words::is_reserved(&word) || words::begins_expression(&word, called || indexed) => {
            return Ok(None);
        }
        _ => return parser.unexpected("an expression"),
    };
    Ok(Some(expr))
}

/// Operators that Flink has and `sqlparser` has not, or not in this way.
pub(super) fn infix(parser: &mut Parser<'_>, left: &Expr, precedence: u8) -> Parse<Option<Expr>> {
    if matches!(left, Expr::Function(function) if function.name.to_string() == TABLE_ARGUMENT) {
        return parser.unexpected("')' or ','");
    }
    let negated = parser.at("NOT");
    let n = usize::from(negated);
    if parser.at("AND") {
        return connected(parser, left, "AND", precedence).map(Some);
    }
    if parser.at("OR") {
        return connected(parser, left, "OR", precedence).map(Some);
    }
    if depth_to_the_left(left) >= CHAIN {
        let message = format!("at most {CHAIN} operators may follow one another");
        return Err(Fault::syntax(message, parser.location()).hint("write parentheses").into());
    }
    if parser.nth_at(n, "BETWEEN")
        && (parser.nth_at(n + 1, "SYMMETRIC") || parser.nth_at(n + 1, "ASYMMETRIC"))
    {
        return between(parser, left, negated).map(Some);
    }
    let quantified = ["ANY", "SOME", "ALL"].iter().any(|word| parser.nth_at(n + 1, word));
    if parser.nth_at(n, "LIKE") && quantified {
        return Err(
            Fault::unsupported("LIKE with ANY, SOME or ALL is not supported", parser.location()).into()
        );
    }
    if parser.nth_at(n, "IN") && parser.peek_nth_token_ref(n + 1).token != Token::LParen {
        (0..=n).for_each(|_| parser.advance_token());
        return parser.unexpected("'('");
    }
    Ok(None)
}

/// All operands of `AND` or `OR` that follow one another.
fn connected(parser: &mut Parser<'_>, first: &Expr, word: &str, precedence: u8) -> Parse<Expr> {
    let mut operands = vec![first.clone()];
    while parser.eat(word) {
        operands.push(parser.parse_subexpr(precedence)?);
    }
    let operator = if word == "AND" { BinaryOperator::And } else { BinaryOperator::Or };
    let join = |left: Expr, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op: operator.clone(),
        right: Box::new(right),
    };
    if operands.len() < BALANCED {
        let first = operands.remove(0);
        return Ok(operands.into_iter().fold(first, join));
    }
    while operands.len() > 1 {
        let mut rest = operands.into_iter();
        let mut pairs = Vec::new();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => join(left, right),
                None => left,
            });
        }
        operands = pairs;
    }
    Ok(operands.remove(0))
}

/// How deep an expression is along its first operands.
fn depth_to_the_left(mut expr: &Expr) -> usize {
    let mut depth = 0;
    loop {
        expr = match expr {
            Expr::BinaryOp { left, .. } | Expr::AnyOp { left, .. } | Expr::AllOp { left, .. } => left,
            Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner)
            | Expr::IsDistinctFrom(inner, _)
            | Expr::IsNotDistinctFrom(inner, _) => inner,
            Expr::IsJson { expr, .. }
            | Expr::In { expr, .. }
            | Expr::Between { expr, .. }
            | Expr::Like { expr, .. }
            | Expr::SimilarTo { expr, .. } => expr,
            _ => return depth,
        };
        depth += 1;
    }
}

/// `BETWEEN SYMMETRIC | ASYMMETRIC`.
fn between(parser: &mut Parser<'_>, left: &Expr, negated: bool) -> Parse<Expr> {
    parser.eat("NOT");
    let span = parser.next_token().span;
    let symmetric = parser.next_token();
    let low = parser.parse_subexpr(BETWEEN)?;
    parser.require("AND")?;
    let high = parser.parse_subexpr(BETWEEN)?;
    let expr = left.clone();
    if is_word(&symmetric.token, "ASYMMETRIC") {
        return Ok(Expr::Between { expr: Box::new(expr), negated, low: Box::new(low), high: Box::new(high) });
    }
    let test = Expr::Function(call(Ident::with_span(span, SYMMETRIC_BETWEEN), vec![expr, low, high]));
    Ok(if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(test) } } else { test })
}

/// `(query) [PARTITION BY …]`.
fn subquery(parser: &mut Parser<'_>, span: Span) -> Parse<Expr> {
    parser.advance_token();
    let query = Expr::Subquery(parser.parse_query()?);
    parser.require_token(&Token::RParen)?;
    if parser.at("PARTITION") { partitioned(parser, query, span) } else { Ok(query) }
}

/// `TABLE t [PARTITION BY …] [ORDER BY …]`.
fn table_argument(parser: &mut Parser<'_>) -> Parse<Expr> {
    let span = parser.next_token().span;
    let table = column(parser)?;
    partitioned(parser, table, span)
}

fn partitioned(parser: &mut Parser<'_>, table: Expr, span: Span) -> Parse<Expr> {
    let partition_by = if parser.eat_all(&["PARTITION", "BY"]) {
        if parser.at_token(&Token::LParen) { parser.list(column)? } else { vec![column(parser)?] }
    } else {
        vec![]
    };
    let order_by = if parser.eat_all(&["ORDER", "BY"]) {
        if parser.at_token(&Token::LParen) {
            parser.list(|parser| parser.parse_order_by_expr())?
        } else {
            vec![parser.parse_order_by_expr()?]
        }
    } else {
        vec![]
    };
    let mut function = call(Ident::with_span(span, TABLE_ARGUMENT), vec![table]);
    if !partition_by.is_empty() || !order_by.is_empty() {
        let spec = WindowSpec { window_name: None, partition_by, order_by, window_frame: None };
        function.over = Some(WindowType::WindowSpec(spec));
    }
    Ok(Expr::Function(function))
}

/// A name with dots as an expression.
fn column(parser: &mut Parser<'_>) -> Parse<Expr> {
    let mut parts = vec![parser.name()?];
    while parser.consume_token(&Token::Period) {
        parts.push(parser.name()?);
    }
    Ok(if parts.len() == 1 { Expr::Identifier(parts.remove(0)) } else { Expr::CompoundIdentifier(parts) })
}

fn cast(parser: &mut Parser<'_>, kind: CastKind) -> Parse<Expr> {
    parser.advance_token();
    parser.require_token(&Token::LParen)?;
    let expr = Box::new(parser.parse_expr()?);
    parser.require("AS")?;
    let data_type = data_type(parser)?;
    parser.require_token(&Token::RParen)?;
    Ok(Expr::Cast { kind, expr, data_type, format: None })
}

/// A type as it stands in the AST of `sqlparser`.
pub(super) fn data_type(parser: &mut Parser<'_>) -> Parse<DataType> {
    let span = parser.peek_token_ref().span;
    // It is the type of the literal only.
    if parser.at("NULL") {
        return parser.unexpected("a type");
    }
    let logical = types::cast_type(parser)?;
    Ok(custom_type(&logical.root, span))
}

fn custom_type(root: &TypeRoot, span: Span) -> DataType {
    DataType::Custom(ObjectName::from(vec![Ident::with_span(span, root.to_string())]), vec![])
}

/// `DATE '…'` and the like.
fn typed(parser: &mut Parser<'_>, data_type: DataType) -> Parse<Expr> {
    parser.advance_token();
    Ok(Expr::TypedString(TypedString { data_type, value: parser.parse_value()?, uses_odbc_syntax: false }))
}

/// `TIMESTAMP WITH LOCAL TIME ZONE '…'`.
fn zoned_timestamp(parser: &mut Parser<'_>, span: Span) -> Parse<Expr> {
    parser.advance_token();
    parser.require_all(&["WITH", "LOCAL", "TIME", "ZONE"])?;
    if !matches!(parser.peek_token_ref().token, Token::SingleQuotedString(_)) {
        return parser.unexpected("a string");
    }
    let data_type = custom_type(&TypeRoot::TimestampLtz(6), span);
    Ok(Expr::TypedString(TypedString { data_type, value: parser.parse_value()?, uses_odbc_syntax: false }))
}

/// `UNKNOWN` is NULL as a BOOLEAN.
fn unknown(parser: &mut Parser<'_>) -> Expr {
    let span = parser.next_token().span;
    let null = Box::new(Expr::Value(Value::Null.with_span(span)));
    Expr::Cast {
        kind: CastKind::Cast,
        expr: null,
        data_type: custom_type(&TypeRoot::Boolean, span),
        format: None,
    }
}

/// `INTERVAL '1' DAY`, also with a sign, and with an expression instead of the string.
fn interval(parser: &mut Parser<'_>) -> Parse<Expr> {
    const UNITS: [&str; 8] = ["YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"];
    parser.advance_token();
    // This is counted as a level, so that an interval within an interval and so on ends.
    let value = Box::new(parser.parse_subexpr(SIGN)?);
    let leading = unit(parser, &UNITS)?;
    let (leading_precision, mut fractional_seconds_precision) =
        precisions(parser, leading == DateTimeField::Second)?;
    let mut last_field = None;
    if parser.at("TO") {
        let last: &[&str] = match leading {
            DateTimeField::Year => &["MONTH"],
            DateTimeField::Day => &["HOUR", "MINUTE", "SECOND"],
            DateTimeField::Hour => &["MINUTE", "SECOND"],
            DateTimeField::Minute => &["SECOND"],
            _ => return parser.unexpected(&format!("no 'TO' behind {leading}")),
        };
        parser.advance_token();
        let last = unit(parser, last)?;
        if last == DateTimeField::Second {
            (fractional_seconds_precision, _) = precisions(parser, false)?;
        }
        last_field = Some(last);
    }
    Ok(Expr::Interval(Interval {
        value,
        leading_field: Some(leading),
        leading_precision,
        last_field,
        fractional_seconds_precision,
    }))
}

fn precisions(parser: &mut Parser<'_>, two: bool) -> Parse<(Option<u64>, Option<u64>)> {
    if !parser.consume_token(&Token::LParen) {
        return Ok((None, None));
    }
    let (first, _) = parser.integer()?;
    let second = if two && parser.consume_token(&Token::Comma) { Some(parser.integer()?.0) } else { None };
    parser.require_token(&Token::RParen)?;
    Ok((Some(first), second))
}

/// A unit of time out of `allowed`, also in the plural.
fn unit(parser: &mut Parser<'_>, allowed: &[&str]) -> Parse<DateTimeField> {
    let token = parser.peek_token_ref();
    let word = plain_word(&token.token).unwrap_or_default().to_ascii_uppercase();
    let singular = word.strip_suffix('S').unwrap_or(&word);
    let Some(name) = allowed.iter().find(|name| **name == word || **name == singular) else {
        let fault = Fault::expected("a unit of time such as DAY", &token.token, token.span.start);
        return Err(match nearest(&word, allowed.iter().copied()) {
            Some(near) => fault.hint(format!("did you mean {near}?")),
            None => fault,
        }
        .into());
    };
    let field = match *name {
        "YEAR" => DateTimeField::Year,
        "QUARTER" => DateTimeField::Quarter,
        "MONTH" => DateTimeField::Month,
        "WEEK" => DateTimeField::Week(None),
        "DAY" => DateTimeField::Day,
        "HOUR" => DateTimeField::Hour,
        "MINUTE" => DateTimeField::Minute,
        "SECOND" => DateTimeField::Second,
        "MILLISECOND" => DateTimeField::Millisecond,
        "MICROSECOND" => DateTimeField::Microsecond,
        "NANOSECOND" => DateTimeField::Nanosecond,
        "DOW" | "DAYOFWEEK" => DateTimeField::Dow,
        "DOY" | "DAYOFYEAR" => DateTimeField::Doy,
        "ISODOW" => DateTimeField::Isodow,
        "ISOYEAR" => DateTimeField::Isoyear,
        "EPOCH" => DateTimeField::Epoch,
        "DECADE" => DateTimeField::Decade,
        "CENTURY" => DateTimeField::Century,
        _ => DateTimeField::Millennium,
    };
    parser.advance_token();
    Ok(field)
}

/// The units of `EXTRACT`, `CEIL` and `FLOOR`.
#[rustfmt::skip]
const UNITS: &[&str] = &[
    "YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND", "NANOSECOND",
    "DOW", "DAYOFWEEK", "DOY", "DAYOFYEAR", "ISODOW", "ISOYEAR", "EPOCH", "DECADE", "CENTURY", "MILLENNIUM",
];

fn extract(parser: &mut Parser<'_>) -> Parse<Expr> {
    open(parser)?;
    let field = unit(parser, UNITS)?;
    parser.require("FROM")?;
    let expr = Box::new(parser.parse_expr()?);
    parser.require_token(&Token::RParen)?;
    Ok(Expr::Extract { field, syntax: ExtractSyntax::From, expr })
}

fn round(parser: &mut Parser<'_>, down: bool) -> Parse<Expr> {
    open(parser)?;
    let expr = Box::new(parser.parse_expr()?);
    let field = if parser.eat("TO") { unit(parser, UNITS)? } else { DateTimeField::NoDateTime };
    let field = CeilFloorKind::DateTimeField(field);
    parser.require_token(&Token::RParen)?;
    Ok(if down { Expr::Floor { expr, field } } else { Expr::Ceil { expr, field } })
}

/// `POSITION(a IN b [FROM n])`: with `FROM`, a call with three arguments.
fn position(parser: &mut Parser<'_>) -> Parse<Expr> {
    let name = open(parser)?;
    let expr = parser.parse_subexpr(BETWEEN)?;
    parser.require("IN")?;
    let within = parser.parse_expr()?;
    let from = if parser.eat("FROM") { Some(parser.parse_expr()?) } else { None };
    parser.require_token(&Token::RParen)?;
    Ok(match from {
        Some(from) => Expr::Function(call(name, vec![expr, within, from])),
        None => Expr::Position { expr: Box::new(expr), r#in: Box::new(within) },
    })
}

/// `TRIM([BOTH | LEADING | TRAILING] [what] [FROM] text)`.
fn trim(parser: &mut Parser<'_>) -> Parse<Expr> {
    open(parser)?;
    let trim_where = if parser.eat("BOTH") {
        Some(TrimWhereField::Both)
    } else if parser.eat("LEADING") {
        Some(TrimWhereField::Leading)
    } else if parser.eat("TRAILING") {
        Some(TrimWhereField::Trailing)
    } else {
        None
    };
    let mut trim_what = None;
    let mut expr = None;
    if trim_where.is_none() || !parser.at("FROM") {
        expr = Some(parser.parse_expr()?);
    }
    if parser.eat("FROM") {
        trim_what = expr.map(Box::new);
        expr = Some(parser.parse_expr()?);
    }
    let Some(expr) = expr else { return parser.unexpected("'FROM'") };
    parser.require_token(&Token::RParen)?;
    Ok(Expr::Trim { trim_where, trim_what, expr: Box::new(expr), trim_characters: None })
}

/// `TIMESTAMPADD(unit, n, time)` and `TIMESTAMPDIFF(unit, time, time)`.
fn timestamp_function(parser: &mut Parser<'_>) -> Parse<Expr> {
    #[rustfmt::skip]
    const UNITS: [&str; 11] = [
        "YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND",
        "NANOSECOND",
    ];
    let name = open(parser)?;
    let span = parser.peek_token_ref().span;
    let word = plain_word(&parser.peek_token_ref().token).unwrap_or_default().to_ascii_uppercase();
    // ODBC's names of units.
    let unit = match word.strip_prefix("SQL_TSI_").unwrap_or(&word) {
        "FRAC_SECOND" => Some("MICROSECOND"),
        odbc if odbc != word => UNITS.iter().copied().find(|name| *name == odbc),
        _ => None,
    };
    let unit = match unit {
        Some(unit) => {
            parser.advance_token();
            unit.to_string()
        }
        None => self::unit(parser, &UNITS)?.to_string(),
    };
    let unit = Expr::Identifier(Ident::with_span(span, unit));
    parser.require_token(&Token::Comma)?;
    let first = parser.parse_expr()?;
    parser.require_token(&Token::Comma)?;
    let second = parser.parse_expr()?;
    parser.require_token(&Token::RParen)?;
    Ok(Expr::Function(call(name, vec![unit, first, second])))
}

/// Takes the name of a function and the parenthesis behind it.
pub(super) fn open(parser: &mut Parser<'_>) -> Parse<Ident> {
    let token = parser.next_token();
    let name = Ident::with_span(token.span, token.token.to_string());
    parser.require_token(&Token::LParen)?;
    Ok(name)
}

/// `MAP[k, v, …]` and `MULTISET[v, …]`.
fn collection(parser: &mut Parser<'_>, name: String) -> Parse<Expr> {
    let name = Ident::with_span(parser.next_token().span, name);
    parser.advance_token();
    let mut items = Vec::new();
    if !parser.consume_token(&Token::RBracket) {
        items = parser.parse_comma_separated(Parser::parse_expr)?;
        parser.require_token(&Token::RBracket)?;
    }
    Ok(Expr::Function(call(name, items)))
}
