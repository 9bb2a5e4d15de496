//! Flink's types as they are written.

use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token};

use super::cursor::{Cursor, plain_word};
use super::errors::{Fault, Parse};
use crate::error::nearest;
use crate::types::{LogicalType, MAX_LENGTH, MAX_PRECISION, RowField, TypeRoot};

/// How deep types may be nested.
const DEPTH: usize = 32;

/// The names of types.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    "ARRAY", "BIGINT", "BINARY", "BOOLEAN", "BYTES", "CHAR", "DATE", "DECIMAL", "DOUBLE", "FLOAT", "INT", "INTEGER",
    "INTERVAL", "MAP", "MULTISET", "NUMERIC", "ROW", "SMALLINT", "STRING", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ",
    "TINYINT", "VARBINARY", "VARCHAR",
];

/// What other systems call a type.
#[rustfmt::skip]
const FOREIGN: &[(&str, &str)] = &[
    ("BLOB", "BYTES"), ("BOOL", "BOOLEAN"), ("BYTEA", "BYTES"), ("CLOB", "STRING"), ("DATETIME", "TIMESTAMP"),
    ("FLOAT4", "FLOAT"), ("FLOAT8", "DOUBLE"), ("INT2", "SMALLINT"), ("INT32", "INT"), ("INT4", "INT"),
    ("INT64", "BIGINT"), ("INT8", "BIGINT"), ("JSON", "STRING"), ("LONG", "BIGINT"), ("NUMBER", "DECIMAL"),
    ("NVARCHAR", "STRING"), ("REAL", "FLOAT"), ("SHORT", "SMALLINT"), ("STRUCT", "ROW"), ("TEXT", "STRING"),
    ("TIMESTAMPTZ", "TIMESTAMP_LTZ"), ("UUID", "STRING"),
];

/// A type with `NULL` or `NOT NULL` behind it.
pub(super) fn logical_type(parser: &mut Parser<'_>) -> Parse<LogicalType> {
    with_suffixes(parser, 0, true)
}

/// A type of `CAST`: values decide whether there is NULL.
pub(super) fn cast_type(parser: &mut Parser<'_>) -> Parse<LogicalType> {
    with_suffixes(parser, 0, false)
}

/// A type with `ARRAY`, `MULTISET`, `NULL` and `NOT NULL` behind it.
fn with_suffixes(parser: &mut Parser<'_>, depth: usize, nullability: bool) -> Parse<LogicalType> {
    let mut logical = root(parser, depth)?.nullable();
    let mut wrapped = depth;
    loop {
        let location = parser.location();
        if parser.eat("ARRAY") {
            logical = TypeRoot::Array(Box::new(logical)).nullable();
        } else if parser.eat("MULTISET") {
            logical = TypeRoot::Multiset(Box::new(logical)).nullable();
        } else if nullability && parser.eat_all(&["NOT", "NULL"]) {
            logical.nullable = false;
            continue;
        } else if nullability && parser.eat("NULL") {
            logical.nullable = true;
            continue;
        } else {
            return Ok(logical);
        }
        wrapped += 1;
        check_depth(wrapped, location)?;
    }
}

fn check_depth(depth: usize, location: Location) -> Parse<()> {
    if depth > DEPTH {
        return Err(Fault::types(format!("types are nested at most {DEPTH} deep"), location).into());
    }
    Ok(())
}

fn root(parser: &mut Parser<'_>, depth: usize) -> Parse<TypeRoot> {
    let location = parser.location();
    check_depth(depth, location)?;
    let Some(word) = plain_word(&parser.peek_token_ref().token) else { return parser.unexpected("a type") };
    let (written, name) = (word.to_string(), word.to_ascii_uppercase());
    parser.advance_token();
    Ok(match name.as_str() {
        "NULL" => TypeRoot::Null,
        "BOOLEAN" => TypeRoot::Boolean,
        "TINYINT" => TypeRoot::TinyInt,
        "SMALLINT" => TypeRoot::SmallInt,
        "INT" | "INTEGER" => TypeRoot::Int,
        "BIGINT" => TypeRoot::BigInt,
        "FLOAT" => TypeRoot::Float,
        "DOUBLE" => {
            parser.eat("PRECISION");
            TypeRoot::Double
        }
        "DECIMAL" | "DEC" | "NUMERIC" => decimal(parser)?,
        "CHAR" | "CHARACTER" if parser.eat("VARYING") => {
            TypeRoot::Varchar(length(parser, "VARCHAR", MAX_LENGTH)?)
        }
        "CHAR" | "CHARACTER" => TypeRoot::Char(length(parser, "CHAR", 1)?),
        "VARCHAR" => TypeRoot::Varchar(length(parser, "VARCHAR", MAX_LENGTH)?),
        "STRING" => TypeRoot::STRING,
        "BINARY" if parser.eat("VARYING") => TypeRoot::Varbinary(length(parser, "VARBINARY", MAX_LENGTH)?),
        "BINARY" => TypeRoot::Binary(length(parser, "BINARY", 1)?),
        "VARBINARY" => TypeRoot::Varbinary(length(parser, "VARBINARY", MAX_LENGTH)?),
        "BYTES" => TypeRoot::BYTES,
        "DATE" => TypeRoot::Date,
        "TIME" => {
            let precision = fraction(parser, "TIME", 0)?;
            if parser.at("WITH") {
                return Err(Fault::unsupported("TIME WITH TIME ZONE is not supported", location)
                    .hint("use TIME")
                    .into());
            }
            if parser.eat("WITHOUT") {
                parser.require_all(&["TIME", "ZONE"])?;
            }
            TypeRoot::Time(precision)
        }
        "TIMESTAMP" => timestamp(parser, location)?,
        "TIMESTAMP_LTZ" => TypeRoot::TimestampLtz(fraction(parser, "TIMESTAMP_LTZ", 6)?),
        "INTERVAL" => interval(parser)?,
        "ARRAY" => TypeRoot::Array(Box::new(element(parser, depth)?)),
        "MULTISET" => TypeRoot::Multiset(Box::new(element(parser, depth)?)),
        "MAP" => {
            parser.require_token(&Token::Lt)?;
            let key = with_suffixes(parser, depth + 1, true)?;
            parser.require_token(&Token::Comma)?;
            let value = with_suffixes(parser, depth + 1, true)?;
            parser.require_token(&Token::Gt)?;
            TypeRoot::Map(Box::new(key), Box::new(value))
        }
        "ROW" => TypeRoot::Row(fields(parser, depth)?),
        "RAW" | "STRUCTURED" | "VARIANT" | "BITMAP" => {
            return Err(Fault::unsupported(format!("the type {name} is not supported"), location).into());
        }
        _ => {
            let fault = Fault::types(format!("there is no type '{written}'"), location);
            let foreign = FOREIGN.iter().find(|(foreign, _)| *foreign == name).map(|(_, flink)| *flink);
            let near = foreign.or_else(|| nearest(&name, NAMES.iter().copied()));
            return Err(match near {
                Some(near) => fault.hint(format!("did you mean {near}?")),
                None => fault,
            }
            .into());
        }
    })
}

fn element(parser: &mut Parser<'_>, depth: usize) -> Parse<LogicalType> {
    parser.require_token(&Token::Lt)?;
    let element = with_suffixes(parser, depth + 1, true)?;
    parser.require_token(&Token::Gt)?;
    Ok(element)
}

fn fields(parser: &mut Parser<'_>, depth: usize) -> Parse<Vec<RowField>> {
    // `<>` is one token.
    if parser.consume_token(&Token::Neq) {
        return Ok(Vec::new());
    }
    let close = match &parser.peek_token_ref().token {
        Token::Lt => Token::Gt,
        Token::LParen => Token::RParen,
        _ => return parser.unexpected("'<' or '('"),
    };
    parser.advance_token();
    let mut fields: Vec<RowField> = Vec::new();
    if parser.consume_token(&close) {
        return Ok(fields);
    }
    loop {
        let location = parser.location();
        let name = parser.name()?.value;
        if fields.iter().any(|field| field.name == name) {
            return Err(Fault::types(format!("the row has two fields '{name}'"), location).into());
        }
        let field_type = with_suffixes(parser, depth + 1, true)?;
        fields.push(RowField { name, field_type });
        // Its comment is for readers only.
        if matches!(parser.peek_token_ref().token, Token::SingleQuotedString(_)) {
            parser.advance_token();
        }
        if parser.consume_token(&close) {
            return Ok(fields);
        }
        if !parser.consume_token(&Token::Comma) {
            return parser.unexpected(&format!("'{close}' or ','"));
        }
    }
}

fn decimal(parser: &mut Parser<'_>) -> Parse<TypeRoot> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(TypeRoot::Decimal(10, 0));
    }
    let precision = number(parser, "the precision of DECIMAL", 1, MAX_PRECISION)?;
    let scale = if parser.consume_token(&Token::Comma) {
        number(parser, "the scale of DECIMAL", 0, precision)?
    } else {
        0
    };
    parser.require_token(&Token::RParen)?;
    Ok(TypeRoot::Decimal(precision, scale))
}

fn timestamp(parser: &mut Parser<'_>, location: Location) -> Parse<TypeRoot> {
    let precision = fraction(parser, "TIMESTAMP", 6)?;
    if parser.eat("WITHOUT") {
        parser.require_all(&["TIME", "ZONE"])?;
    } else if parser.eat_all(&["WITH", "TIME"]) {
        let fault = Fault::unsupported("TIMESTAMP WITH TIME ZONE is not supported", location);
        return Err(fault.hint("did you mean TIMESTAMP_LTZ?").into());
    } else if parser.eat("WITH") {
        parser.require_all(&["LOCAL", "TIME", "ZONE"])?;
        return Ok(TypeRoot::TimestampLtz(precision));
    }
    Ok(TypeRoot::Timestamp(precision))
}

/// `YEAR [(p)] [TO MONTH]`, `DAY [(p)] [TO SECOND [(p)]]` and so on. Precisions change nothing.
fn interval(parser: &mut Parser<'_>) -> Parse<TypeRoot> {
    const UNITS: [&str; 8] = ["YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"];
    const MONTHS: usize = 3;
    let first = parser.one_of(&UNITS)?;
    if parser.at_token(&Token::LParen) {
        parser.list(Cursor::integer)?;
    }
    if parser.eat("TO") {
        let last: &[&str] = match UNITS.get(first) {
            Some(&"YEAR") => &["MONTH"],
            Some(&"DAY") => &["HOUR", "MINUTE", "SECOND"],
            Some(&"HOUR") => &["MINUTE", "SECOND"],
            Some(&"MINUTE") => &["SECOND"],
            _ => return parser.unexpected("no 'TO' behind this unit"),
        };
        parser.one_of(last)?;
        if parser.at_token(&Token::LParen) {
            parser.list(Cursor::integer)?;
        }
    }
    Ok(if first < MONTHS { TypeRoot::IntervalMonths } else { TypeRoot::IntervalMillis })
}

fn fraction(parser: &mut Parser<'_>, name: &str, default: u8) -> Parse<u8> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(default);
    }
    let precision = number(parser, &format!("the precision of {name}"), 0, 9)?;
    parser.require_token(&Token::RParen)?;
    Ok(precision)
}

fn length(parser: &mut Parser<'_>, name: &str, default: u32) -> Parse<u32> {
    if !parser.consume_token(&Token::LParen) {
        return Ok(default);
    }
    let length = number(parser, &format!("the length of {name}"), 1, MAX_LENGTH)?;
    parser.require_token(&Token::RParen)?;
    Ok(length)
}

fn number<T>(parser: &mut Parser<'_>, what: &str, least: T, most: T) -> Parse<T>
where
    T: TryFrom<u64> + PartialOrd + std::fmt::Display + Copy,
{
    let (number, location) = parser.integer()?;
    match T::try_from(number) {
        Ok(value) if value >= least && value <= most => Ok(value),
        _ => {
            Err(Fault::types(format!("{what} is between {least} and {most}, not {number}"), location).into())
        }
    }
}
