//! Queries that programs write may be long, and wrong ones may be deep: they run, or are refused with a hint.

use std::collections::BTreeMap;

use tidemill_sql::{Connectors, SqlSession};

use super::running::run;

fn rows(query: &str) -> Result<Vec<String>, String> {
    run(&mut SqlSession::new(Connectors::default(), BTreeMap::new()), query)
}

fn selected(list: &str, condition: &str) -> Result<Vec<String>, String> {
    rows(&format!("SELECT {list} FROM (VALUES (1, 2), (3, 4)) AS t (a, b) WHERE {condition}"))
}

/// So many conditions or terms, with their number in the place of `#`.
fn chain(part: &str, separator: &str, times: usize) -> String {
    let parts: Vec<String> = (0..times).map(|number| part.replace('#', &number.to_string())).collect();
    parts.join(separator)
}

#[test]
fn long_conditions_are_evaluated() {
    let all = |part: &str, separator: &str| selected("a", &chain(part, separator, 10_000));
    assert_eq!(all("a + # <> 1", " AND "), Ok(vec!["[3]".to_owned()]));
    assert_eq!(all("b - # = 9999 OR a = 3", " OR "), Ok(vec!["[3]".to_owned()]));
    assert_eq!(all("a = # AND b = #", " OR "), Ok(vec![]));
    assert_eq!(all("(a = 3 OR b = #)", " AND "), Ok(vec!["[3]".to_owned()]));
    assert_eq!(
        selected("a", &format!("a IN ({})", chain("#", ", ", 10_000))),
        Ok(vec!["[1]".to_owned(), "[3]".to_owned()])
    );
}

#[test]
fn long_sums_are_computed() {
    // With the stack of a program's main thread: without optimization, a level takes some kilobytes.
    let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(long_sums);
    thread.unwrap().join().unwrap();
}

fn long_sums() {
    let sum = chain("a", " + ", 1_000);
    assert_eq!(selected(&sum, "a = 3"), Ok(vec!["[3000]".to_owned()]));
    assert_eq!(
        selected(&format!("CHAR_LENGTH({})", chain("'x'", " || ", 1_000)), "a = 1"),
        Ok(vec!["[1000]".to_owned()])
    );
    let error = selected(&chain("a", " + ", 10_000), "TRUE").unwrap_err();
    assert!(error.contains("at most 1000 operators") && error.contains("write parentheses"), "{error}");
}

#[test]
fn what_is_nested_too_deeply_is_refused() {
    for (open, inner, close, times, expected) in [
        ("(", "a", ")", 10_000, "nested more than 100 deep"),
        ("CASE WHEN a = 1 THEN ", "1", " ELSE 2 END", 5_000, "nested too deeply"),
        ("(SELECT ", "1", ")", 2_000, "nested more than 100 deep"),
        ("NOT ", "TRUE", "", 5_000, "nested too deeply"),
    ] {
        let error =
            selected(&format!("{}{inner}{}", open.repeat(times), close.repeat(times)), "TRUE").unwrap_err();
        assert!(error.contains(expected) && error.contains("--> line 1"), "{open}: {error}");
    }
    let nested =
        |times: usize| format!("{}SELECT 1 AS a{}", "SELECT * FROM (".repeat(times), ") AS t".repeat(times));
    assert_eq!(rows(&nested(20)), Ok(vec!["[1]".to_owned()]));
    assert!(rows(&nested(2_000)).unwrap_err().contains("nested"));
}

#[test]
fn sub_queries_in_sub_queries_take_no_longer_at_each_level() {
    let within = |times: usize| {
        format!(
            "{}SELECT 1{}",
            "SELECT a FROM (VALUES (1), (2)) AS t (a) WHERE a IN (".repeat(times),
            ")".repeat(times)
        )
    };
    assert_eq!(rows(&within(3)), Ok(vec!["[1]".to_owned()]));
    let mut session = SqlSession::new(Connectors::default(), BTreeMap::new());
    assert!(session.plan_script(&within(30)).is_ok());
}

#[test]
fn grouping_sets_do_not_multiply_without_bound() {
    let cube = "CUBE (a, b, a + 1, b + 1, a + 2, b + 2)";
    let error = selected("COUNT(*)", &format!("TRUE GROUP BY {cube}, {cube}, {cube}")).unwrap_err();
    assert!(error.contains("at most 4096 sets"), "{error}");
}
