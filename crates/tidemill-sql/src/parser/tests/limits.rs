//! However deep a text is nested, it is read or refused.

use super::super::{parse_expression, parse_query, parse_script, parse_type};

/// `open` and `close` a number of times around `inner`.
fn nested(open: &str, inner: &str, close: &str, times: usize) -> String {
    format!("{}{inner}{}", open.repeat(times), close.repeat(times))
}

#[test]
fn deep_nesting_is_refused() {
    for (open, inner, close) in [
        ("(", "1", ")"),
        ("NOT ", "a", ""),
        ("- ", "1", ""),
        ("f(", "1", ")"),
        ("CASE WHEN ", "a", " THEN 1 END"),
        ("CASE ", "a", ""),
        ("CAST(", "1", " AS INT)"),
        ("a IN (", "1", ")"),
        ("a IN (SELECT ", "1", ")"),
        ("(SELECT ", "1", ")"),
        ("EXISTS (SELECT ", "1", ")"),
        ("a[", "1", "]"),
        ("MAP['a', ", "1", "]"),
        ("ARRAY[", "1", "]"),
        ("INTERVAL ", "'1'", " DAY"),
        ("JSON_VALUE(", "a", ", '$')"),
        ("JSON_OBJECT('a' VALUE ", "1", ")"),
        ("a BETWEEN (", "1", ") AND 2"),
        ("a BETWEEN SYMMETRIC (", "1", ") AND 2"),
        ("TRIM(BOTH FROM ", "a", ")"),
        ("FINAL LAST(", "a", ")"),
        ("SUM(1) OVER (ORDER BY ", "a", ")"),
        ("(a AND ", "b", ")"),
        ("(1, ", "2", ")"),
        ("(", "", ""),
        ("f(", "", ""),
        ("CAST(a AS ARRAY<", "INT", ">"),
    ] {
        let text = nested(open, inner, close, 10_000);
        assert!(parse_expression(&text).is_err(), "{open}");
        assert!(parse_script(&format!("SELECT {}", nested(open, inner, close, 1_000))).is_err(), "{open}");
    }
    for (open, inner, close) in [
        ("SELECT * FROM (", "SELECT 1", ")"),
        ("(SELECT 1 UNION ", "SELECT 2", ")"),
        ("WITH a AS (", "SELECT 1", ") SELECT 2"),
        ("SELECT * FROM (SELECT * FROM ", "t", ""),
        ("SELECT * FROM LATERAL TABLE(f((", "SELECT 1", ")))"),
        ("EXPLAIN ", "SELECT 1", ""),
        ("SELECT * FROM ", "t", " UNION ALL"),
    ] {
        assert!(parse_query(&nested(open, inner, close, 10_000)).is_err(), "{open}");
        assert!(parse_script(&nested(open, inner, close, 1_000)).is_err(), "{open}");
    }
    for (open, close) in
        [("ARRAY<", ">"), ("ROW<a ", ">"), ("ROW(a ", ")"), ("MAP<INT, ", ">"), ("", " ARRAY")]
    {
        assert!(parse_type(&nested(open, "INT", close, 10_000)).is_err(), "{open}");
    }
    for pattern in [nested("(", "A", ")", 10_000), format!("{}A", "A | ".repeat(10_000))] {
        let text =
            format!("SELECT * FROM t MATCH_RECOGNIZE (ORDER BY a PATTERN ({pattern}) DEFINE A AS TRUE)");
        assert!(parse_query(&text).is_err());
    }
}

#[test]
fn moderate_nesting_is_read() {
    assert!(parse_expression(&nested("(", "1", ")", 80)).is_ok());
    assert!(parse_expression(&nested("f(", "1", ")", 80)).is_ok());
    assert!(parse_query(&nested("SELECT * FROM (", "SELECT 1", ") t", 30)).is_ok());
    assert!(parse_query(&nested("SELECT a FROM t WHERE a IN (", "SELECT 1", ")", 30)).is_ok());
    assert!(parse_type(&nested("ARRAY<", "INT", ">", 30)).is_ok());
}

#[test]
fn long_chains() {
    for operator in ["AND", "OR"] {
        let chain = vec!["a = 1"; 5_000].join(&format!(" {operator} "));
        let expr = parse_expression(&chain).unwrap();
        // Copying and comparing go as deep as it is.
        assert_eq!(expr.clone(), expr);
        assert_eq!(expr.to_string(), chain);
    }
    let mixed = vec!["a AND b OR c"; 2_000].join(" OR ");
    assert_eq!(parse_expression(&mixed).unwrap().to_string(), mixed);
    assert!(parse_expression(&vec!["a"; 1000].join(" + ")).is_ok());
    assert!(parse_expression(&vec!["a"; 5_000].join(" + ")).is_err());
    assert!(parse_expression(&vec!["a"; 5_000].join(" || ")).is_err());
    assert!(parse_expression(&format!("a{}", " IS NULL".repeat(5_000))).is_err());
    assert!(parse_expression(&format!("a{}", ".b".repeat(5_000))).is_ok());
    assert!(parse_query(&vec!["SELECT 1"; 100].join(" UNION ALL ")).is_ok());
    assert!(parse_query(&vec!["SELECT 1"; 5_000].join(" UNION ALL ")).is_err());
    assert!(parse_query(&format!("VALUES {}", vec!["1"; 5_000].join(", "))).is_ok());
    assert!(parse_query(&format!("VALUES {}", vec!["(1, 'a')"; 5_000].join(", "))).is_ok());
    assert!(parse_query(&format!("SELECT * FROM t{}", " JOIN u ON TRUE".repeat(5_000))).is_ok());
}

#[test]
fn limits_say_where() {
    super::fails(&format!("SELECT {}", "(".repeat(200)), 1, 108, "brackets are nested more than 100 deep");
    let sum = vec!["a"; 1100].join(" + ");
    super::fails(&format!("SELECT {sum}"), 1, 4010, "at most 1000 operators may follow one another");
    let union = vec!["SELECT 1"; 200].join(" UNION ");
    let message = "a statement has at most 128 of UNION, EXCEPT and INTERSECT";
    super::fails(&union, 1, 1930, message);
    let (message, line, _, _) = super::failure(&format!("SELECT {}a", "NOT ".repeat(200)));
    assert_eq!((message.as_str(), line), ("this is nested too deeply", 1));
}
