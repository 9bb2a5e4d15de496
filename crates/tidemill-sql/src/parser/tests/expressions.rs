//! Expressions: what Flink has, and which operator takes what.

use sqlparser::ast::{BinaryOperator, DateTimeField, Expr, FunctionArguments, UnaryOperator, Value};

use super::super::{parse_expression, parse_query};
use super::{expression, selected};

/// Writes an expression with parentheses around every operator.
fn grouped(expr: &Expr) -> String {
    let not = |negated: &bool| if *negated { "NOT " } else { "" };
    match expr {
        Expr::Nested(inner) => grouped(inner),
        Expr::BinaryOp { left, op, right } => format!("({} {op} {})", grouped(left), grouped(right)),
        Expr::UnaryOp { op, expr } => format!("({op} {})", grouped(expr)),
        Expr::IsNull(inner) => format!("({} IS NULL)", grouped(inner)),
        Expr::IsTrue(inner) => format!("({} IS TRUE)", grouped(inner)),
        Expr::IsDistinctFrom(left, right) => {
            format!("({} IS DISTINCT FROM {})", grouped(left), grouped(right))
        }
        Expr::Between { expr, negated, low, high } => {
            format!("({} {}BETWEEN {} AND {})", grouped(expr), not(negated), grouped(low), grouped(high))
        }
        Expr::Like { expr, negated, pattern, .. } => {
            format!("({} {}LIKE {})", grouped(expr), not(negated), grouped(pattern))
        }
        other => other.to_string(),
    }
}

#[test]
fn precedence_is_that_of_flink() {
    for (written, meant) in [
        ("a + b * c - d", "((a + (b * c)) - d)"),
        ("a / b % c", "((a / b) % c)"),
        ("a || b * c", "((a || b) * c)"),
        ("a + b || c", "(a + (b || c))"),
        ("a || b = c", "((a || b) = c)"),
        ("-a * b", "((- a) * b)"),
        ("- a[1]", "(- a[1])"),
        ("NOT a = b", "(NOT (a = b))"),
        ("NOT a IS NULL", "(NOT (a IS NULL))"),
        ("NOT a AND b", "((NOT a) AND b)"),
        ("a OR b AND NOT c", "(a OR (b AND (NOT c)))"),
        ("a = b IS NULL", "((a = b) IS NULL)"),
        ("a + b IS NULL", "((a + b) IS NULL)"),
        ("a < b < c", "((a < b) < c)"),
        ("a LIKE b = c", "((a LIKE b) = c)"),
        ("a = b LIKE c", "(a = (b LIKE c))"),
        ("a LIKE b || '%'", "(a LIKE (b || '%'))"),
        ("a BETWEEN b + 1 AND c * 2 AND d", "((a BETWEEN (b + 1) AND (c * 2)) AND d)"),
        ("NOT a BETWEEN 1 AND 2", "(NOT (a BETWEEN 1 AND 2))"),
        ("a NOT BETWEEN 1 AND 2 OR b", "((a NOT BETWEEN 1 AND 2) OR b)"),
        ("a >= b IS DISTINCT FROM c", "((a >= b) IS DISTINCT FROM c)"),
        ("a IS DISTINCT FROM b AND c", "((a IS DISTINCT FROM b) AND c)"),
        ("a IS DISTINCT FROM b + 1", "(a IS DISTINCT FROM (b + 1))"),
        ("a NOT LIKE b IS TRUE", "((a NOT LIKE b) IS TRUE)"),
        ("a <> b AND c >= d OR e", "(((a <> b) AND (c >= d)) OR e)"),
    ] {
        assert_eq!(grouped(&parse_expression(written).unwrap()), meant, "{written}");
    }
}

#[test]
fn predicates() {
    for text in [
        "a IS NOT DISTINCT FROM b",
        "a IS UNKNOWN",
        "a IS NOT UNKNOWN",
        "a IS TRUE",
        "a IS NOT FALSE",
        "a LIKE 'x' ESCAPE '!'",
        "a NOT SIMILAR TO 'x' ESCAPE '!'",
        "a IS JSON",
        "a IS NOT JSON",
        "a IS JSON VALUE",
        "a IS JSON OBJECT",
        "a IS JSON ARRAY",
        "a IS NOT JSON SCALAR",
        "a IN (1, 2)",
        "(a, b) IN ((1, 2), (3, 4))",
        "ROW(a, b) NOT IN (SELECT 1, 2)",
        "a IN (VALUES (1), (2))",
        "(a, b) OVERLAPS (c, d)",
        "EXISTS (SELECT 1)",
        "NOT EXISTS (SELECT 1)",
        "a = ANY(SELECT 1)",
        "a > ALL(VALUES (1))",
        "a < SOME((1, 2))",
        "(SELECT MAX(b) FROM u) = 3",
    ] {
        assert_eq!(expression(text), text);
    }
    assert_eq!(expression("a <> 1"), expression("a != 1"));
    assert_eq!(expression("a BETWEEN ASYMMETRIC 1 AND 2"), "a BETWEEN 1 AND 2");
    assert_eq!(expression("a BETWEEN SYMMETRIC 1 AND 2 AND b"), "$SYMMETRIC_BETWEEN(a, 1, 2) AND b");
    let negated = parse_expression("a NOT BETWEEN SYMMETRIC 1 AND 2").unwrap();
    assert!(matches!(negated, Expr::UnaryOp { op: UnaryOperator::Not, .. }), "{negated}");
    assert!(matches!(
        parse_expression("(a, b) OVERLAPS (c, d)").unwrap(),
        Expr::BinaryOp { op: BinaryOperator::Overlaps, .. }
    ));
    assert_eq!(expression("UNKNOWN"), "CAST(NULL AS BOOLEAN)");
}

#[test]
fn literals() {
    for text in [
        "1",
        "1.5",
        ".5",
        "1.5E-3",
        "'it''s'",
        "X'1F'",
        "TRUE",
        "NULL",
        "DATE '2020-01-01'",
        "TIME '10:00:00'",
        "TIMESTAMP '2020-01-01 00:00:00.123'",
        "INTERVAL '1' DAY",
        "INTERVAL -'1' DAY",
        "INTERVAL '1-2' YEAR TO MONTH",
        "INTERVAL '1 2:3:4.5' DAY (3) TO SECOND (3)",
        "INTERVAL '1' SECOND (2, 3)",
        "INTERVAL '5' HOUR TO MINUTE",
        "INTERVAL a + 1 MONTH",
    ] {
        if text.starts_with("INTERVAL a") {
            assert!(parse_expression(text).is_err());
            continue;
        }
        assert_eq!(expression(text).to_uppercase(), text.to_uppercase());
    }
    assert_eq!(expression("INTERVAL '3' DAYS"), "INTERVAL '3' DAY");
    assert_eq!(expression("interval (a + 1) weeks"), "INTERVAL (a + 1) WEEK");
    assert_eq!(expression("INTERVAL 1 QUARTER"), "INTERVAL 1 QUARTER");
    assert_eq!(expression("U&'\\00e4\\+01F600'"), "'ä😀'");
    assert_eq!(expression("U&'!00e4!!' UESCAPE '!'"), "'ä!'");
    assert_eq!(expression("N'a'"), "'a'");
    assert_eq!(expression("'a'\n'b' -- here\n 'c'"), "'abc'");
    assert!(parse_expression("'a' 'b'").is_err());
    assert_eq!(
        expression("TIMESTAMP WITH LOCAL TIME ZONE '2020-01-01 00:00:00'"),
        "TIMESTAMP_LTZ(6) '2020-01-01 00:00:00'"
    );
    assert_eq!(expression("{d '2020-01-01'}"), "{d '2020-01-01'}");
    for text in ["INTERVAL '1'", "INTERVAL '1' HOUR TO DAY", "INTERVAL '1' MILLISECOND", "DATETIME 'x'"] {
        assert!(parse_expression(text).is_err(), "{text}");
    }
    // A backslash is a character like any other.
    let Expr::Value(value) = parse_expression(r"'a\'").unwrap() else { panic!() };
    assert_eq!(value.value, Value::SingleQuotedString(r"a\".to_string()));
}

#[test]
fn functions_with_words() {
    for (written, meant) in [
        ("EXTRACT(year FROM a)", "EXTRACT(YEAR FROM a)"),
        ("EXTRACT(DOW FROM a)", "EXTRACT(DOW FROM a)"),
        ("EXTRACT(MILLISECOND FROM a)", "EXTRACT(MILLISECOND FROM a)"),
        ("POSITION('a' IN b || c)", "POSITION('a' IN b || c)"),
        ("POSITION('a' IN b FROM 3)", "POSITION('a', b, 3)"),
        ("OVERLAY(a PLACING b FROM 1 FOR 2)", "OVERLAY(a PLACING b FROM 1 FOR 2)"),
        ("SUBSTRING(a FROM 2 FOR 3)", "SUBSTRING(a FROM 2 FOR 3)"),
        ("SUBSTRING(a, 2, 3)", "SUBSTRING(a, 2, 3)"),
        ("TRIM(a)", "TRIM(a)"),
        ("TRIM(BOTH 'x' FROM a)", "TRIM(BOTH 'x' FROM a)"),
        ("TRIM(LEADING FROM a)", "TRIM(LEADING a)"),
        ("TRIM('x' FROM a)", "TRIM('x' FROM a)"),
        ("CEIL(a)", "CEIL(a)"),
        ("CEILING(a TO DAY)", "CEIL(a TO DAY)"),
        ("FLOOR(a TO HOUR)", "FLOOR(a TO HOUR)"),
        ("TIMESTAMPADD(days, 1, a)", "TIMESTAMPADD(DAY, 1, a)"),
        ("TIMESTAMPDIFF(SQL_TSI_HOUR, a, b)", "TIMESTAMPDIFF(HOUR, a, b)"),
        (
            "TIMESTAMPDIFF(SECOND, TIMESTAMP '2020-01-01 00:00:00', a)",
            "TIMESTAMPDIFF(SECOND, TIMESTAMP '2020-01-01 00:00:00', a)",
        ),
        ("TRY_CAST(a AS timestamp_ltz(3))", "TRY_CAST(a AS TIMESTAMP_LTZ(3))"),
        ("CAST(a AS ROW<a INT, b STRING>)", "CAST(a AS ROW<`a` INT, `b` STRING>)"),
        ("CASE a WHEN 1 THEN 'x' ELSE 'y' END", "CASE a WHEN 1 THEN 'x' ELSE 'y' END"),
        ("CASE WHEN a THEN b END", "CASE WHEN a THEN b END"),
        ("CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP"),
        ("LOCALTIMESTAMP(3)", "LOCALTIMESTAMP(3)"),
        ("IF(a, LEFT(b, 1), RIGHT(b, 1))", "IF(a, LEFT(b, 1), RIGHT(b, 1))"),
        ("YEAR(a) + MONTH(a) + DAYOFMONTH(a)", "YEAR(a) + MONTH(a) + DAYOFMONTH(a)"),
        ("cat.db.f(1, DEFAULT)", "cat.db.f(1, DEFAULT)"),
        ("f(a => 1, b => 'x')", "f(a => 1, b => 'x')"),
        ("{fn ABS(1)}", "{fn ABS(1)}"),
        ("FINAL LAST(a.b)", "FINAL LAST(a.b)"),
    ] {
        assert_eq!(expression(written), meant, "{written}");
    }
    let Expr::Extract { field, .. } = parse_expression("EXTRACT(WEEKS FROM a)").unwrap() else { panic!() };
    assert_eq!(field, DateTimeField::Week(None));
    let Expr::Function(function) = parse_expression("TIMESTAMPADD(SQL_TSI_FRAC_SECOND, 1, a)").unwrap()
    else {
        panic!()
    };
    assert!(function.to_string().contains("MICROSECOND"));
    for text in
        ["TIMESTAMPADD(DAY, 1)", "CEIL(a, 2)", "TRIM(BOTH)", "CAST(a AS NULL)", "CAST(a AS INT NOT NULL)"]
    {
        assert!(parse_expression(text).is_err(), "{text}");
    }
}

#[test]
fn aggregates() {
    for text in [
        "COUNT(*)",
        "COUNT(DISTINCT a, b)",
        "SUM(ALL a)",
        "COUNT(*) FILTER (WHERE a > 1)",
        "LISTAGG(a, ',')",
        "LISTAGG(DISTINCT a) WITHIN GROUP (ORDER BY b)",
        "ARRAY_AGG(a ORDER BY b DESC)",
        "ARRAY_AGG(a IGNORE NULLS)",
        "LAG(a, 1) IGNORE NULLS OVER w",
        "ROW_NUMBER() OVER (PARTITION BY a, b ORDER BY c DESC NULLS LAST)",
        "SUM(a) FILTER (WHERE b) OVER (PARTITION BY c ORDER BY d RANGE BETWEEN INTERVAL '1' HOUR PRECEDING \
         AND CURRENT ROW)",
        "SUM(a) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 2 FOLLOWING)",
        "SUM(a) OVER (ORDER BY d ROWS 3 PRECEDING)",
    ] {
        assert_eq!(expression(text), text);
    }
}

#[test]
fn rows_arrays_and_maps() {
    for text in [
        "ARRAY[1, 2]",
        "ARRAY[]",
        "ROW(1, 'a')",
        "(a, b)",
        "a[1]",
        "m['k']",
        "a[i + 1]",
        "r.f",
        "arr[1].f.g",
        "f(x).g",
        "(r).f",
        "`a b`.`c`",
        "MAP['a', 1][k]",
    ] {
        let text = if text.starts_with("MAP") { continue } else { text };
        assert_eq!(expression(text), text);
    }
    assert_eq!(expression("MAP['a', 1, 'b', 2]"), "MAP('a', 1, 'b', 2)");
    assert_eq!(expression("MAP['a', 1]['a']"), "MAP('a', 1)['a']");
    assert_eq!(expression("MAP[]"), "MAP()");
    assert_eq!(expression("MULTISET[1, 2]"), "MULTISET(1, 2)");
    let Expr::Function(map) = parse_expression("MAP['a', ARRAY[1]]").unwrap() else { panic!() };
    assert!(matches!(map.args, FunctionArguments::List(list) if list.args.len() == 2));
}

#[test]
fn json_functions() {
    for (written, meant) in [
        ("JSON_VALUE(a, '$.x')", "JSON_VALUE(a, '$.x')"),
        (
            "JSON_VALUE(a, '$.x' RETURNING INT NULL ON EMPTY DEFAULT b + 1 ON ERROR)",
            "JSON_VALUE(a, '$.x', 'RETURNING', 'INT', 'NULL ON EMPTY', 'DEFAULT ON ERROR', b + 1)",
        ),
        (
            "json_value(a, 'lax $.x' DEFAULT -1 ON EMPTY ERROR ON ERROR)",
            "json_value(a, 'lax $.x', 'DEFAULT ON EMPTY', -1, 'ERROR ON ERROR')",
        ),
        (
            "JSON_QUERY(a, '$.x' RETURNING ARRAY<STRING> WITH CONDITIONAL ARRAY WRAPPER EMPTY ARRAY ON EMPTY \
             EMPTY OBJECT ON ERROR)",
            "JSON_QUERY(a, '$.x', 'RETURNING', 'ARRAY<STRING>', 'WITH CONDITIONAL WRAPPER', 'EMPTY ARRAY ON EMPTY', \
             'EMPTY OBJECT ON ERROR')",
        ),
        ("JSON_QUERY(a, '$' WITH WRAPPER)", "JSON_QUERY(a, '$', 'WITH UNCONDITIONAL WRAPPER')"),
        (
            "JSON_QUERY(a, '$' WITHOUT ARRAY WRAPPER NULL ON EMPTY)",
            "JSON_QUERY(a, '$', 'WITHOUT WRAPPER', 'NULL ON EMPTY')",
        ),
        ("JSON_EXISTS(a, '$.x' UNKNOWN ON ERROR)", "JSON_EXISTS(a, '$.x', 'UNKNOWN ON ERROR')"),
        ("JSON_EXISTS(a, '$.x')", "JSON_EXISTS(a, '$.x')"),
        ("JSON_OBJECT()", "JSON_OBJECT('NULL ON NULL')"),
        (
            "JSON_OBJECT(KEY 'a' VALUE b, 'c': d, e VALUE JSON_ARRAY(1) ABSENT ON NULL)",
            "JSON_OBJECT('a', b, 'c', d, e, JSON_ARRAY(1, 'ABSENT ON NULL'), 'ABSENT ON NULL')",
        ),
        ("JSON_OBJECT(KEY VALUE 1)", "JSON_OBJECT(KEY, 1, 'NULL ON NULL')"),
        ("JSON_ARRAY()", "JSON_ARRAY('ABSENT ON NULL')"),
        ("JSON_ARRAY(NULL ON NULL)", "JSON_ARRAY('NULL ON NULL')"),
        ("JSON_ARRAY(a, NULL NULL ON NULL)", "JSON_ARRAY(a, NULL, 'NULL ON NULL')"),
        ("JSON_OBJECTAGG(KEY a VALUE b)", "JSON_OBJECTAGG(a, b, 'NULL ON NULL')"),
        ("JSON_OBJECTAGG(a : b ABSENT ON NULL)", "JSON_OBJECTAGG(a, b, 'ABSENT ON NULL')"),
        ("JSON_ARRAYAGG(a)", "JSON_ARRAYAGG(a, 'ABSENT ON NULL')"),
        (
            "JSON_ARRAYAGG(a ORDER BY b NULL ON NULL)",
            "JSON_ARRAYAGG(a, 'NULL ON NULL') WITHIN GROUP (ORDER BY b)",
        ),
        ("JSON_STRING(a)", "JSON_STRING(a)"),
    ] {
        assert_eq!(expression(written), meant, "{written}");
    }
    for text in [
        "JSON_VALUE(a)",
        "JSON_VALUE(a, '$' NULL ON EMPTY NULL ON EMPTY)",
        "JSON_VALUE(a, '$' NULL ON EMPTY RETURNING INT)",
        "JSON_QUERY(a, '$' DEFAULT 1 ON EMPTY)",
        "JSON_EXISTS(a, '$' TRUE ON EMPTY)",
        "JSON_OBJECT('a', 1)",
        "JSON_OBJECTAGG(a VALUE b, c VALUE d)",
    ] {
        assert!(parse_expression(text).is_err(), "{text}");
    }
}

#[test]
fn common_words_are_names() {
    for word in [
        "name", "state", "type", "data", "status", "id", "key", "version", "path", "level", "length",
        "comments", "source", "changes", "top", "first", "last", "offset_", "format", "object", "plan",
        "model", "catalog", "database", "week", "quarter", "session", "hop", "tumble", "final", "map",
        "json", "view", "schema", "sample", "option", "after", "before", "index", "operator", "signed",
        "text", "uuid", "xml", "minus_", "settings", "semi", "anti",
    ] {
        let text = format!(
            "SELECT {word}, t.{word} AS {word}, a {word} FROM {word} AS {word} WHERE {word} = 1 GROUP BY {word}"
        );
        assert_eq!(
            parse_query(&text).unwrap_or_else(|error| panic!("{error}")).to_string().replace(" AS ", " "),
            text.replace(" AS ", " ")
        );
    }
    // Upper and lower case of names stay.
    let query = parse_query("select MyColumn from T").unwrap();
    assert_eq!(selected(&query).to_string(), "MyColumn");
}

#[test]
fn places_of_expressions_are_kept() {
    let query = parse_query("SELECT\n  `a b` FROM t").unwrap();
    let Expr::Identifier(name) = selected(&query) else { panic!() };
    assert_eq!((name.span.start.line, name.span.start.column, name.quote_style), (2, 3, Some('`')));
    let query = parse_query("SELECT CAST(a AS\n INT) FROM t").unwrap();
    let Expr::Cast { data_type: sqlparser::ast::DataType::Custom(name, _), .. } = selected(&query) else {
        panic!()
    };
    let place = name.0[0].as_ident().unwrap().span.start;
    assert_eq!((place.line, place.column), (2, 2));
}
