use sqlparser::ast::{DataType, ExactNumberInfo, TimezoneInfo};

use super::super::{logical_type, parse_expression, parse_type};
use crate::error::SqlErrorKind;
use crate::types::{LogicalType, MAX_LENGTH, TypeRoot};
use sqlparser::ast::Expr;

fn shown(text: &str) -> String {
    let logical = parse_type(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let again = parse_type(&logical.to_string()).unwrap_or_else(|error| panic!("{logical}\n{error}"));
    assert_eq!(logical, again, "{text}");
    logical.to_string()
}

fn wrong(text: &str) -> (SqlErrorKind, String, u32) {
    let error = parse_type(text).err().unwrap_or_else(|| panic!("this is no error: {text}"));
    (error.kind(), error.message().to_string(), error.position().column)
}

#[test]
fn simple_types() {
    for (written, meant) in [
        ("CHAR", "CHAR(1)"),
        ("char(3)", "CHAR(3)"),
        ("CHARACTER(3)", "CHAR(3)"),
        ("VARCHAR", "STRING"),
        ("VARCHAR(5)", "VARCHAR(5)"),
        ("VARCHAR(2147483647)", "STRING"),
        ("CHARACTER VARYING(7)", "VARCHAR(7)"),
        ("CHAR VARYING", "STRING"),
        ("string", "STRING"),
        ("BOOLEAN", "BOOLEAN"),
        ("BINARY", "BINARY(1)"),
        ("BINARY(4)", "BINARY(4)"),
        ("VARBINARY(4)", "VARBINARY(4)"),
        ("VARBINARY", "BYTES"),
        ("BINARY VARYING(2)", "VARBINARY(2)"),
        ("BYTES", "BYTES"),
        ("DECIMAL", "DECIMAL(10, 0)"),
        ("DECIMAL(38)", "DECIMAL(38, 0)"),
        ("DEC(5, 5)", "DECIMAL(5, 5)"),
        ("NUMERIC(4,2)", "DECIMAL(4, 2)"),
        ("TINYINT", "TINYINT"),
        ("SMALLINT", "SMALLINT"),
        ("INT", "INT"),
        ("INTEGER", "INT"),
        ("BIGINT", "BIGINT"),
        ("FLOAT", "FLOAT"),
        ("DOUBLE", "DOUBLE"),
        ("DOUBLE PRECISION", "DOUBLE"),
        ("DATE", "DATE"),
        ("TIME", "TIME(0)"),
        ("TIME(3) WITHOUT TIME ZONE", "TIME(3)"),
        ("TIMESTAMP", "TIMESTAMP(6)"),
        ("TIMESTAMP(3)", "TIMESTAMP(3)"),
        ("TIMESTAMP(9) WITHOUT TIME ZONE", "TIMESTAMP(9)"),
        ("TIMESTAMP(0) WITH LOCAL TIME ZONE", "TIMESTAMP_LTZ(0)"),
        ("TIMESTAMP WITH LOCAL TIME ZONE", "TIMESTAMP_LTZ(6)"),
        ("TIMESTAMP_LTZ", "TIMESTAMP_LTZ(6)"),
        ("TIMESTAMP_LTZ(3)", "TIMESTAMP_LTZ(3)"),
        ("NULL", "NULL"),
    ] {
        assert_eq!(shown(written), meant, "{written}");
        assert_eq!(shown(&format!("{written} NOT NULL")), format!("{meant} NOT NULL"));
        assert_eq!(shown(&format!("{written} NULL")), meant);
    }
}

#[test]
fn intervals() {
    for written in ["INTERVAL YEAR", "INTERVAL YEAR(4) TO MONTH", "INTERVAL MONTH", "interval quarter"] {
        assert_eq!(parse_type(written).unwrap().root, TypeRoot::IntervalMonths, "{written}");
    }
    for written in [
        "INTERVAL DAY",
        "INTERVAL DAY(3) TO SECOND(6)",
        "INTERVAL HOUR TO MINUTE",
        "INTERVAL MINUTE TO SECOND",
        "INTERVAL SECOND(2, 3)",
        "INTERVAL WEEK",
    ] {
        assert_eq!(parse_type(written).unwrap().root, TypeRoot::IntervalMillis, "{written}");
    }
    assert!(parse_type("INTERVAL HOUR TO DAY").is_err());
    assert!(parse_type("INTERVAL MONTH TO YEAR").is_err());
    assert!(parse_type("INTERVAL").is_err());
}

#[test]
fn collections() {
    for (written, meant) in [
        ("ARRAY<INT>", "ARRAY<INT>"),
        ("INT ARRAY", "ARRAY<INT>"),
        ("INT NOT NULL ARRAY NOT NULL", "ARRAY<INT NOT NULL> NOT NULL"),
        ("INT ARRAY ARRAY", "ARRAY<ARRAY<INT>>"),
        ("ARRAY<ARRAY<ARRAY<INT>>>", "ARRAY<ARRAY<ARRAY<INT>>>"),
        ("ARRAY<INT NOT NULL>NOT NULL", "ARRAY<INT NOT NULL> NOT NULL"),
        ("MULTISET<STRING>", "MULTISET<STRING>"),
        ("STRING MULTISET", "MULTISET<STRING>"),
        ("MAP<STRING, ARRAY<MAP<INT, DOUBLE>>>", "MAP<STRING, ARRAY<MAP<INT, DOUBLE>>>"),
        ("MAP<STRING NOT NULL, INT NOT NULL> NOT NULL", "MAP<STRING NOT NULL, INT NOT NULL> NOT NULL"),
        ("ROW<a INT, b STRING>", "ROW<`a` INT, `b` STRING>"),
        ("ROW(a INT, b STRING)", "ROW<`a` INT, `b` STRING>"),
        ("ROW<a INT 'with a comment', b STRING NOT NULL 'it''s' >", "ROW<`a` INT, `b` STRING NOT NULL>"),
        ("ROW<`a b` INT, `c``d` ROW<e ARRAY<DATE>>>", "ROW<`a b` INT, `c``d` ROW<`e` ARRAY<DATE>>>"),
        ("ROW<>", "ROW<>"),
        ("ROW()", "ROW<>"),
        ("ROW(a ROW(b INT) NOT NULL) ARRAY", "ARRAY<ROW<`a` ROW<`b` INT> NOT NULL>>"),
    ] {
        assert_eq!(shown(written), meant, "{written}");
    }
}

#[test]
fn ranges() {
    for (written, message, column) in [
        ("DECIMAL(0)", "the precision of DECIMAL is between 1 and 38, not 0", 9),
        ("DECIMAL(39, 2)", "the precision of DECIMAL is between 1 and 38, not 39", 9),
        ("DECIMAL(300)", "the precision of DECIMAL is between 1 and 38, not 300", 9),
        ("DECIMAL(5, 6)", "the scale of DECIMAL is between 0 and 5, not 6", 12),
        ("TIMESTAMP(10)", "the precision of TIMESTAMP is between 0 and 9, not 10", 11),
        ("TIMESTAMP_LTZ(10)", "the precision of TIMESTAMP_LTZ is between 0 and 9, not 10", 15),
        ("TIME(10)", "the precision of TIME is between 0 and 9, not 10", 6),
        ("CHAR(0)", "the length of CHAR is between 1 and 2147483647, not 0", 6),
        ("VARCHAR(2147483648)", "the length of VARCHAR is between 1 and 2147483647, not 2147483648", 9),
        ("BINARY(0)", "the length of BINARY is between 1 and 2147483647, not 0", 8),
        ("ROW<a INT, a STRING>", "the row has two fields 'a'", 12),
    ] {
        assert_eq!(wrong(written), (SqlErrorKind::Type, message.to_string(), column), "{written}");
    }
    assert_eq!(parse_type("VARCHAR(2147483647)").unwrap().root, TypeRoot::Varchar(MAX_LENGTH));
}

#[test]
fn what_is_no_type() {
    for (written, kind, message, column) in [
        ("VARCHR", SqlErrorKind::Type, "there is no type 'VARCHR'", 1),
        ("ARRAY<strng>", SqlErrorKind::Type, "there is no type 'strng'", 7),
        (
            "TIMESTAMP(3) WITH TIME ZONE",
            SqlErrorKind::Unsupported,
            "TIMESTAMP WITH TIME ZONE is not supported",
            1,
        ),
        ("RAW('a', 'b')", SqlErrorKind::Unsupported, "the type RAW is not supported", 1),
        ("INT(3)", SqlErrorKind::Syntax, "expected the end of the statement, found '('", 4),
        ("DECIMAL(3, -1)", SqlErrorKind::Syntax, "expected a number, found '-'", 12),
        ("DECIMAL(1.5)", SqlErrorKind::Syntax, "expected an integer, found '1.5'", 9),
        ("ARRAY<INT", SqlErrorKind::Syntax, "expected '>', found the end of the statement", 10),
        ("ROW<a INT b INT>", SqlErrorKind::Syntax, "expected '>' or ',', found 'b'", 11),
        ("ROW<INT>", SqlErrorKind::Syntax, "expected a name, found 'INT'", 5),
        ("", SqlErrorKind::Syntax, "expected a type, found the end of the statement", 1),
        ("5", SqlErrorKind::Syntax, "expected a type, found '5'", 1),
        ("INT NOT", SqlErrorKind::Syntax, "expected the end of the statement, found 'NOT'", 5),
    ] {
        assert_eq!(wrong(written), (kind, message.to_string(), column), "{written}");
    }
    let advice = |text: &str| parse_type(text).unwrap_err().to_string();
    assert!(advice("VARCHR").ends_with("hint: did you mean VARCHAR?"));
    assert!(advice("text").ends_with("hint: did you mean STRING?"));
    assert!(advice("TIMESTAMP WITH TIME ZONE").ends_with("hint: did you mean TIMESTAMP_LTZ?"));
}

#[test]
fn types_of_casts_are_read_again() {
    let cast = |text: &str| -> LogicalType {
        match parse_expression(&format!("CAST(a AS {text})")).unwrap() {
            Expr::Cast { data_type, .. } => logical_type(&data_type).unwrap(),
            other => panic!("{other}"),
        }
    };
    for text in [
        "ROW<a INT NOT NULL, `b c` ARRAY<STRING>>",
        "TIMESTAMP(3) WITH LOCAL TIME ZONE",
        "MAP<STRING, ROW<x DOUBLE>> ARRAY",
        "DECIMAL(10, 2)",
        "INTERVAL DAY TO SECOND",
        "STRING",
    ] {
        assert_eq!(cast(text), parse_type(text).unwrap(), "{text}");
    }
}

#[test]
fn types_of_sqlparser() {
    let read = |ast: &DataType| logical_type(ast).unwrap().to_string();
    assert_eq!(read(&DataType::Date), "DATE");
    assert_eq!(read(&DataType::Time(None, TimezoneInfo::None)), "TIME(0)");
    assert_eq!(read(&DataType::Timestamp(Some(3), TimezoneInfo::None)), "TIMESTAMP(3)");
    assert_eq!(read(&DataType::Decimal(ExactNumberInfo::PrecisionAndScale(5, 2))), "DECIMAL(5, 2)");
    assert_eq!(read(&DataType::Boolean), "BOOLEAN");
    assert!(logical_type(&DataType::Uuid).is_err());
}
