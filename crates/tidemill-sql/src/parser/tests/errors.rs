//! What errors say, and where.

use super::super::{parse_expression, parse_query, parse_script};
use super::{advises, fails, failure};
use crate::error::SqlErrorKind;

#[test]
fn statements_that_are_none() {
    fails("SELCT a FROM t", 1, 1, "expected a statement, found 'SELCT'");
    advises("SELCT a FROM t", "did you mean SELECT?");
    advises("INSRT INTO t SELECT 1", "did you mean INSERT?");
    fails("SELECT 1;\n 5", 2, 2, "expected a statement, found '5'");
    fails("'a'", 1, 1, "expected a statement, found the string 'a'");
    fails("END", 1, 1, "END without BEGIN STATEMENT SET");
    advises("CREATE TABEL t (a INT)", "did you mean TABLE?");
    advises("DROP VEIW t", "did you mean VIEW?");
    advises("SHOW TABELS", "did you mean TABLES?");
    advises("EXPLAIN CHANGELOG_MDE SELECT 1", "did you mean CHANGELOG_MODE?");
}

#[test]
fn places_are_exact() {
    fails("SELECT a,\n  FROM t", 2, 3, "expected an expression, found 'FROM'");
    fails("SELECT a FROM t;\n\nSELECT a b c FROM t", 3, 12, "expected the end of the statement, found 'c'");
    fails("SELECT 'ä€😀', AND FROM t", 1, 15, "expected an expression, found 'AND'");
    fails(
        "SELECT a -- one\n/* two\n */ FROM\tt WHERE",
        3,
        17,
        "expected an expression, found the end of the statement",
    );
    fails("SELECT f(a, b FROM t", 1, 15, "expected ')', found 'FROM'");
    fails("SELECT a FROM t WHERE a = 1)", 1, 28, "expected the end of the statement, found ')'");
    fails("SELECT a FROM t WHERE (a = 1", 1, 29, "expected ')', found the end of the statement");
    fails("SELECT CASE WHEN a THEN b FROM t", 1, 27, "expected 'END', found 'FROM'");
    fails("SELECT a FROM t WHERE a BETWEEN 1", 1, 34, "expected 'AND', found the end of the statement");
    fails("SELECT CAST(a INT) FROM t", 1, 15, "expected 'AS', found 'INT'");
    fails("SELECT a[1 FROM t", 1, 12, "expected ']', found 'FROM'");
    fails("SELECT a[1:2] FROM t", 1, 11, "expected ']', found ':'");
    fails("SELECT a FROM t CROSS u", 1, 23, "expected JOIN after CROSS, found 'u'");
    fails("SELECT a FROM t LEFT u", 1, 22, "expected OUTER or JOIN after LEFT");
    fails("SELECT a FROM t LIMIT", 1, 22, "expected an expression, found the end of the statement");
    fails("WITH a AS SELECT 1 SELECT 2", 1, 11, "expected '(', found 'SELECT'");
    fails("SELECT a FROM t AS 'x'", 1, 20, "expected a name after AS, found the string 'x'");
    fails("SELECT a FROM t, 'x'", 1, 18, "expected a table, found the string 'x'");
    fails("\u{feff}SELECT a,", 1, 11, "expected an expression, found the end of the statement");
}

#[test]
fn errors_quote_the_line() {
    let error = parse_script("SELECT 1;\nSELECT a,\n  FROM t;").unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected an expression, found 'FROM'\n --> line 3, column 3\n  |\n3 |   FROM t;\n  |   ^"
    );
    let error = parse_query("SELECT a\nFROM").unwrap_err();
    assert!(error.to_string().contains("2 | FROM\n  |     ^"), "{error}");
    assert!(parse_expression("a +").unwrap_err().to_string().contains("1 | a +\n"));
}

#[test]
fn errors_within_queries_are_those_of_the_innermost() {
    fails("SELECT a FROM (SELECT b FROM u WHERE) x", 1, 37, "expected an expression, found ')'");
    fails("SELECT a FROM t JOIN (SELECT b, FROM u) x ON TRUE", 1, 33, "expected an expression, found 'FROM'");
    fails("SELECT a FROM (SELECT b FROM u) AS 5", 1, 36, "expected a name after AS, found '5'");
    fails("SELECT a FROM (SELECT b FROM u x y) z", 1, 34, "expected ')', found 'y'");
    fails("SELECT a FROM (SELECT b FROM u", 1, 31, "expected ')', found the end of the statement");
    fails("SELECT a FROM t WHERE a IN (SELECT b FROM WHERE x)", 1, 43, "expected a table, found 'WHERE'");
    fails("SELECT a FROM (SELECT b FROM (SELECT c FROM d,) e) f", 1, 47, "expected a table, found ')'");
    fails(
        "INSERT INTO s\nSELECT a FROM (\n  SELECT b,, c FROM u\n) x",
        3,
        12,
        "expected an expression, found ','",
    );
}

#[test]
fn characters_that_mean_nothing() {
    fails("SELECT a FROM t;\nSELECT 'abc", 2, 8, "this string is not closed: a ' is missing");
    fails("SELECT `abc FROM t", 1, 8, "this name is not closed: a ` is missing");
    fails("SELECT a\n /* b FROM t", 2, 2, "this comment is not closed: a */ is missing");
    fails("SELECT \"a\" FROM t", 1, 8, "'\"' quotes nothing in Flink SQL");
    advises("SELECT \"a\" FROM t", "names are written `name`, strings 'text'");
    for (text, column, token) in [
        ("SELECT a :: INT", 10, "::"),
        ("SELECT a == b", 10, "=="),
        ("SELECT a # b", 10, "#"),
        ("SELECT @a", 8, "@"),
        ("SELECT a & b", 10, "&"),
        ("SELECT a << b", 10, "<<"),
        ("SELECT a -> b", 10, "->"),
        ("SELECT ~a", 8, "~"),
        ("SELECT a <=> b", 10, "<=>"),
        ("SELECT a ! b", 10, "!"),
        ("SELECT \\", 8, "\\"),
        ("SELECT §", 8, "§"),
    ] {
        fails(text, 1, column, &format!("'{token}' has no meaning in Flink SQL"));
    }
    advises("SELECT a :: INT", "write CAST(value AS type)");
    fails("SELECT a >> b", 1, 11, "expected an expression, found '>'");
    fails("SELECT 10L", 1, 8, "'10L' is no number");
    fails("SELECT ?", 1, 8, "parameters are not supported");
    fails("SELECT $1", 1, 8, "parameters are not supported");
    fails("SELECT U&'\\zzzz'", 1, 13, "Invalid hex digit in escaped unicode string: z");
    fails("SELECT U&'!zzzz' UESCAPE '!'", 1, 8, "'!zzzz' is no character");
}

#[test]
fn reserved_words_are_no_names() {
    fails("SELECT date FROM t", 1, 8, "expected an expression, found 'date'");
    advises("SELECT date FROM t", "DATE is a reserved word: a name is written `date`");
    advises("SELECT a AS user FROM t", "USER is a reserved word: a name is written `user`");
    advises("SELECT a count FROM t", "COUNT is a reserved word: a name is written `count`");
    advises("SELECT a FROM value", "VALUE is a reserved word: a name is written `value`");
    advises("CREATE TABLE t (time INT)", "TIME is a reserved word: a name is written `time`");
    fails("CREATE TABLE t (time INT)", 1, 17, "expected a name, found 'time'");
    assert_eq!(failure("SELECT a, FROM t").3, None);
    assert_eq!(failure("SELECT a FROM t WHERE AND b").3, None);
}

#[test]
fn misspelled_keywords_are_named() {
    advises("SELECT a FORM t", "did you mean FROM instead of 'FORM'?");
    advises("SELECT a FROM t WEHRE x = 1", "did you mean WHERE instead of 'WEHRE'?");
    advises("SELECT a FROM t x GRUOP BY a", "did you mean GROUP instead of 'GRUOP'?");
    advises("INSERT INTO t SELEC 1", "did you mean SELECT instead of 'SELEC'?");
    advises("CREATE TABLE t (a INT) WIHT ('a' = 'b')", "did you mean WITH?");
    advises("SELECT INTERVAL '1' DAI", "did you mean DAY?");
    advises("SELECT EXTRACT(YER FROM a)", "did you mean YEAR?");
    advises("SELECT TIMESTAMPDIFF(MINUT, a, b)", "did you mean MINUTE?");
    advises("SELECT CAST(a AS VARCHR)", "did you mean VARCHAR?");
    advises("SELECT JSON_VALUE(a, '$.x' NULL ON EMTPY)", "did you mean EMPTY?");
}

#[test]
fn what_is_not_supported() {
    for (text, message) in [
        ("SELECT * FROM t PIVOT (SUM(a) FOR b IN (1))", "PIVOT is not supported"),
        ("SELECT * FROM t TABLESAMPLE BERNOULLI (10)", "TABLESAMPLE is not supported"),
        ("SELECT a LIKE ANY ('x')", "LIKE with ANY, SOME or ALL is not supported"),
        ("SELECT JSON_VALUE(a FORMAT JSON, '$')", "FORMAT JSON is not supported"),
        ("SELECT JSON_VALUE(a, '$' PASSING 1 AS b)", "PASSING is not supported"),
        ("CREATE TABLE t (a INT UNIQUE)", "UNIQUE is not supported"),
        ("INSERT INTO t (a.b) SELECT 1", "columns within rows cannot be inserted by themselves"),
        ("SELECT CAST(a AS RAW('x', 'y'))", "the type RAW is not supported"),
    ] {
        let error = parse_script(text).unwrap_err();
        assert_eq!((error.kind(), error.message()), (SqlErrorKind::Unsupported, message), "{text}");
    }
}

#[test]
fn kinds_of_errors() {
    let kind = |text: &str| parse_script(text).unwrap_err().kind();
    assert_eq!(kind("SELECT"), SqlErrorKind::Syntax);
    assert_eq!(kind("SELECT CAST(a AS DECIMAL(40))"), SqlErrorKind::Type);
    assert_eq!(kind("CREATE TABLE t (a FOO)"), SqlErrorKind::Type);
    assert_eq!(kind("CREATE TABLE t (a INT) WITH ('a' = 'b', 'a' = 'c')"), SqlErrorKind::Option);
}
