//! Queries: what each of Flink's clauses is found as.

use sqlparser::ast::{
    AfterMatchSkip, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, MatchRecognizePattern,
    ObjectNamePart, RepetitionQuantifier, SetExpr, TableFactor, TableVersion, WindowType,
};

use super::super::statement::{SUBQUERY, TABLE_ARGUMENT, WITHIN};
use super::super::{parse_hints, parse_query};
use super::{fails, first_table, query};

#[test]
fn clauses() {
    for text in [
        "SELECT ALL a FROM t",
        "SELECT DISTINCT a, b FROM t",
        "SELECT t.*, u.a FROM t, u",
        "SELECT a FROM cat.db.t AS x (a, b) WHERE a > 1 GROUP BY a HAVING COUNT(*) > 1 WINDOW w AS (ORDER BY a)",
        "SELECT a FROM t QUALIFY ROW_NUMBER() OVER (PARTITION BY b ORDER BY c) = 1",
        "SELECT a FROM t GROUP BY GROUPING SETS ((a, b), (a), ()), CUBE (a, (b, c)), ROLLUP (a)",
        "SELECT a FROM t GROUP BY ()",
        "SELECT a FROM t GROUP BY TUMBLE(ts, INTERVAL '1' HOUR), HOP(ts, INTERVAL '1' HOUR, INTERVAL '2' HOUR)",
        "SELECT TUMBLE_START(ts, INTERVAL '1' HOUR) FROM t GROUP BY TUMBLE(ts, INTERVAL '1' HOUR)",
        "SELECT a FROM t ORDER BY a DESC NULLS LAST, b LIMIT 5 OFFSET 3",
        "SELECT a FROM t OFFSET 3 ROWS FETCH FIRST 2 ROWS ONLY",
        "SELECT * FROM a JOIN b ON a.x = b.x LEFT JOIN c USING(x) CROSS JOIN d NATURAL JOIN e",
        "SELECT * FROM a FULL JOIN b ON true RIGHT OUTER JOIN c ON true",
        "SELECT * FROM (a JOIN b ON true) JOIN c ON true",
        "SELECT * FROM (SELECT 1), (VALUES (1, 'a'), (2, 'b')) AS t (x, y)",
        "SELECT * FROM a, LATERAL (SELECT * FROM b WHERE b.x = a.x) AS k",
        "WITH a (x) AS (SELECT 1), b AS (VALUES (1)) SELECT * FROM a, b",
        "WITH a AS (SELECT 1) (SELECT * FROM a) UNION ALL SELECT 2 ORDER BY 1",
        "(SELECT 1) UNION (SELECT 2) INTERSECT SELECT 3 EXCEPT ALL SELECT 4",
        "VALUES (1, 'a'), (2, 'b')",
        "SELECT a FROM t WHERE a IN (SELECT b FROM u) AND EXISTS (SELECT 1 FROM v WHERE v.x = t.x)",
        "SELECT a FROM t WHERE (a, b) IN (SELECT c, d FROM u)",
        "SELECT CASE WHEN a > 1 THEN 'x' END FROM t",
    ] {
        assert_eq!(query(text), text);
    }
    assert_eq!(query("SELECT a FROM t GROUP BY ALL a"), "SELECT a FROM t GROUP BY a");
    assert_eq!(query("SELECT a FROM t LIMIT ALL"), "SELECT a FROM t");
}

#[test]
fn comments() {
    let text = "SELECT a -- no ' quote; here\n// nor `here`\n FROM /* not; here ' */ t // end";
    assert_eq!(query(text), "SELECT a FROM t");
    assert_eq!(query("SELECT 'a//b', '--', '/*' FROM `x//y`"), "SELECT 'a//b', '--', '/*' FROM `x//y`");
    assert_eq!(query("SELECT 4 / 2 /**/ / 1"), "SELECT 4 / 2 / 1");
}

#[test]
fn rows_and_tables() {
    assert_eq!(query("VALUES 1, 2"), "VALUES (1), (2)");
    assert_eq!(query("VALUES 1 + (2), (3), (4) + 5, f(6, 7)"), "VALUES (1 + (2)), (3), ((4) + 5), (f(6, 7))");
    assert_eq!(query("VALUES ROW(1, 2), (3, 4)"), "VALUES ROW(1, 2), ROW(3, 4)");
    assert_eq!(query("SELECT * FROM (VALUES 1, 2) AS t(a)"), "SELECT * FROM (VALUES (1), (2)) AS t (a)");
    assert_eq!(query("VALUES 1 UNION ALL VALUES 2 ORDER BY 1"), "VALUES (1) UNION ALL VALUES (2) ORDER BY 1");
    assert_eq!(query("TABLE c.d.t"), "SELECT * FROM c.d.t");
    assert_eq!(query("TABLE t UNION ALL (TABLE u)"), "SELECT * FROM t UNION ALL (SELECT * FROM u)");
    assert_eq!(query("SELECT (VALUES 1), (TABLE t)"), "SELECT (VALUES (1)), (SELECT * FROM t)");
}

#[test]
fn window_functions_of_tables() {
    let call = "TUMBLE($TABLE(t), DESCRIPTOR(c), INTERVAL '1' HOUR)";
    assert_eq!(
        query("SELECT * FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(c), INTERVAL '1' HOUR))"),
        format!("SELECT * FROM TABLE({call})")
    );
    assert_eq!(
        query("SELECT * FROM TUMBLE(TABLE t, DESCRIPTOR(c), INTERVAL '1' HOUR) AS w"),
        format!("SELECT * FROM {call} AS w")
    );
    assert_eq!(
        query(
            "SELECT * FROM TABLE(HOP(DATA => TABLE a.b.t, TIMECOL => DESCRIPTOR(c), SLIDE => INTERVAL '1' HOUR, \
             SIZE => INTERVAL '2' HOUR))"
        ),
        "SELECT * FROM TABLE(HOP(DATA => $TABLE(a.b.t), TIMECOL => DESCRIPTOR(c), SLIDE => INTERVAL '1' HOUR, \
         SIZE => INTERVAL '2' HOUR))"
    );
    assert_eq!(
        query(
            "SELECT * FROM TABLE(SESSION(TABLE t PARTITION BY (a, b) ORDER BY c DESC, DESCRIPTOR(c), \
             INTERVAL '1' HOUR))"
        ),
        "SELECT * FROM TABLE(SESSION($TABLE(t) OVER (PARTITION BY a, b ORDER BY c DESC), DESCRIPTOR(c), \
         INTERVAL '1' HOUR))"
    );
    assert_eq!(
        query(
            "SELECT * FROM TABLE(CUMULATE((SELECT * FROM t), DESCRIPTOR(c), INTERVAL '1' HOUR, INTERVAL '1' DAY))"
        ),
        "SELECT * FROM TABLE(CUMULATE((SELECT * FROM t), DESCRIPTOR(c), INTERVAL '1' HOUR, INTERVAL '1' DAY))"
    );
    assert_eq!(
        query("SELECT * FROM f(r => (SELECT * FROM t) PARTITION BY a, n => 1)"),
        "SELECT * FROM f(r => $TABLE((SELECT * FROM t)) OVER (PARTITION BY a), n => 1)"
    );
    fails("SELECT * FROM f(TABLE t PARTITION BY a + 1)", 1, 40, "expected ')' or ',', found '+'");
    fails("SELECT * FROM f(TABLE (SELECT 1))", 1, 23, "expected a name, found '('");
}

#[test]
fn table_arguments_keep_their_parts() {
    let query = parse_query(
        "SELECT * FROM TABLE(SESSION(TABLE d.t PARTITION BY a, DESCRIPTOR(c), INTERVAL '1' HOUR))",
    )
    .unwrap();
    let TableFactor::TableFunction { expr: Expr::Function(session), .. } = first_table(&query) else {
        panic!()
    };
    let FunctionArguments::List(list) = &session.args else { panic!() };
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(table))) = &list.args[0] else { panic!() };
    assert_eq!(table.name.to_string(), TABLE_ARGUMENT);
    let Some(WindowType::WindowSpec(spec)) = &table.over else { panic!() };
    assert_eq!((spec.partition_by.len(), spec.order_by.len()), (1, 0));
    let FunctionArguments::List(arguments) = &table.args else { panic!() };
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(name))) = &arguments.args[0]
    else {
        panic!()
    };
    assert_eq!((name.len(), name[1].span.start.column), (2, 37));
}

#[test]
fn table_functions() {
    let query = parse_query("SELECT * FROM o, LATERAL TABLE(split(o.x, ',')) AS t(a, b)").unwrap();
    let SetExpr::Select(select) = &*query.body else { panic!() };
    let TableFactor::Function { lateral: true, name, args, alias: Some(alias), .. } =
        &select.from[1].relation
    else {
        panic!()
    };
    assert_eq!((name.to_string(), args.len(), alias.columns.len()), ("split".to_string(), 2, 2));
    assert_eq!(
        super::query("SELECT * FROM o LEFT JOIN LATERAL TABLE(f(g(x))) AS t(a) ON TRUE"),
        "SELECT * FROM o LEFT JOIN LATERAL f(g(x)) AS t (a) ON true"
    );
    let query = parse_query("SELECT * FROM o CROSS JOIN UNNEST(o.xs) WITH ORDINALITY AS t(x, n)").unwrap();
    let SetExpr::Select(select) = &*query.body else { panic!() };
    let TableFactor::UNNEST { array_exprs, with_ordinality: true, alias: Some(alias), .. } =
        &select.from[0].joins[0].relation
    else {
        panic!()
    };
    assert_eq!((array_exprs.len(), alias.columns.len()), (1, 2));
    assert!(matches!(
        first_table(&parse_query("SELECT * FROM UNNEST(ARRAY[1, 2])").unwrap()),
        TableFactor::UNNEST { with_ordinality: false, alias: None, .. }
    ));
    assert!(matches!(
        first_table(&parse_query("SELECT * FROM f(1, 2)").unwrap()),
        TableFactor::Table { args: Some(args), .. } if args.args.len() == 2
    ));
}

#[test]
fn temporal_tables() {
    for text in [
        "SELECT * FROM o JOIN r FOR SYSTEM_TIME AS OF o.time_ AS x ON o.c = x.c",
        "SELECT * FROM o JOIN r FOR SYSTEM_TIME AS OF o.time_ - INTERVAL '1' DAY x ON o.c = x.c",
        "SELECT * FROM o JOIN r FOR SYSTEM_TIME AS OF o.time_ ON o.c = r.c",
    ] {
        let query = parse_query(text).unwrap();
        let SetExpr::Select(select) = &*query.body else { panic!() };
        let TableFactor::Table { version: Some(TableVersion::ForSystemTimeAsOf(_)), alias, .. } =
            &select.from[0].joins[0].relation
        else {
            panic!("{text}")
        };
        assert_eq!(alias.is_some(), text.contains("x ON"), "{text}");
    }
    fails("SELECT * FROM t FOR SYSTEM_TIME OF x", 1, 21, "expected SYSTEM_TIME AS OF, found 'SYSTEM_TIME'");
}

#[test]
fn hints_of_tables() {
    let hints = |text: &str| -> (Vec<String>, Option<String>) {
        let query = parse_query(text).unwrap_or_else(|error| panic!("{error}"));
        let TableFactor::Table { with_hints, alias, .. } = first_table(&query) else { panic!("{query}") };
        assert!(with_hints.iter().all(|hint| matches!(hint, Expr::Function(_))), "{text}");
        (with_hints.iter().map(ToString::to_string).collect(), alias.as_ref().map(ToString::to_string))
    };
    let found = (vec!["OPTIONS('a' = 'b')".to_string()], None);
    assert_eq!(hints("SELECT * FROM t /*+ OPTIONS('a' = 'b') */"), found);
    assert_eq!(hints("SELECT * FROM t /*+OPTIONS('a'='b')*/ WHERE x"), found);
    assert_eq!(hints("SELECT * FROM c.d.t /*+ OPTIONS('a'='b') */, u"), found);
    let aliased = |alias: &str| (found.0.clone(), Some(alias.to_string()));
    assert_eq!(
        hints("SELECT * FROM t /*+ OPTIONS('a'='b') */ AS x (a, b) JOIN u ON TRUE"),
        aliased("AS x (a, b)")
    );
    assert_eq!(hints("SELECT * FROM t /*+ OPTIONS('a'='b') */ x"), aliased("x"));
    let temporal =
        "SELECT * FROM t /*+ OPTIONS('a'='b') */ FOR SYSTEM_TIME AS OF o.p - INTERVAL '1' DAY AS d WHERE x";
    assert_eq!(hints(temporal), aliased("AS d"));
    assert_eq!(hints("SELECT * FROM t /*+ A, B('x' = 'y', c), C() */").0, ["A()", "B('x' = 'y', c)", "C()"]);
    assert_eq!(
        query(
            "SELECT * FROM (SELECT * FROM t /*+ OPTIONS('a'='b') */) AS s JOIN u /*+ OPTIONS('c'='d') */ v ON TRUE"
        ),
        "SELECT * FROM (SELECT * FROM t WITH (OPTIONS('a' = 'b'))) AS s JOIN u v WITH (OPTIONS('c' = 'd')) ON true"
    );
    let matched =
        "SELECT * FROM t /*+ OPTIONS('a'='b') */ MATCH_RECOGNIZE (ORDER BY a PATTERN (A) DEFINE A AS TRUE)";
    assert!(query(matched).contains("t WITH (OPTIONS('a' = 'b')) MATCH_RECOGNIZE"));
    for text in [
        "SELECT a /*+ OPTIONS('a'='b') */ FROM t",
        "SELECT * FROM t AS x /*+ OPTIONS('a'='b') */",
        "SELECT * FROM (SELECT 1) /*+ OPTIONS('a'='b') */",
        "SELECT a, b /*+ OPTIONS('a'='b') */ FROM t",
        "SELECT DISTINCT /*+ BROADCAST(a) */ a FROM t",
    ] {
        let column = u32::try_from(text.find("/*+").unwrap() + 1).unwrap();
        fails(text, 1, column, "a hint stands behind SELECT or the name of a table only");
    }
    fails(
        "SELECT * FROM t /*+\n OPTIONS('a'='b' */",
        2,
        20,
        "expected ')' or ',', found the end of the statement",
    );
    fails("SELECT * FROM t /*+ OPTIONS('a'=) */", 1, 33, "expected a name, a string or a number, found ')'");
}

#[test]
fn hints_of_queries() {
    let text = "SELECT /*+ STATE_TTL('a'='1d', 'b' = '2h'), LOOKUP('table'='D'), BROADCAST(a), X */ a FROM t";
    let query = parse_query(text).unwrap();
    let SetExpr::Select(select) = &*query.body else { panic!() };
    let [hint] = select.optimizer_hints.as_slice() else { panic!() };
    let hints: Vec<String> = parse_hints(hint).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(hints, ["STATE_TTL('a' = '1d', 'b' = '2h')", "LOOKUP('table' = 'D')", "BROADCAST(a)", "X()"]);
    fails("SELECT /*+ BROADCAST(a b) */ a FROM t", 1, 24, "expected ')' or ',', found 'b'");
    let plain = parse_query("SELECT /* no hint */ a --+ neither\n FROM t").unwrap();
    let SetExpr::Select(select) = &*plain.body else { panic!() };
    assert!(select.optimizer_hints.is_empty());
}

/// The only `MATCH_RECOGNIZE` of a query, which is its table.
fn matched(text: &str) -> TableFactor {
    let query = parse_query(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let table = first_table(&query).clone();
    assert!(matches!(table, TableFactor::MatchRecognize { .. }), "{text}");
    table
}

#[test]
fn patterns() {
    let text = "SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY a, b ORDER BY c MEASURES A.x AS x, LAST(B.y, 1) AS y \
                ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A B+ C) WITHIN INTERVAL '1' DAY \
                DEFINE A AS A.x > 1, B AS B.y > PREV(B.y, 1) AND B.y < FIRST(A.x)) AS m";
    let TableFactor::MatchRecognize { table, partition_by, measures, symbols, alias, rows_per_match, .. } =
        matched(text)
    else {
        panic!()
    };
    assert!(matches!(*table, TableFactor::Table { .. }));
    assert_eq!((partition_by.len(), measures.len(), alias.unwrap().name.value.as_str()), (2, 2, "m"));
    assert!(rows_per_match.is_some());
    let defined: Vec<String> = symbols.iter().map(ToString::to_string).collect();
    assert_eq!(symbols[0].symbol.value, WITHIN);
    assert_eq!(defined[0], "$WITHIN AS INTERVAL '1' DAY");
    assert_eq!(defined[1], "A AS A.x > 1");
    assert_eq!(defined.len(), 3);

    let pattern = |written: &str| match matched(&format!(
        "SELECT * FROM t MATCH_RECOGNIZE (ORDER BY c PATTERN ({written}) DEFINE A AS TRUE)"
    )) {
        TableFactor::MatchRecognize { pattern, .. } => pattern,
        _ => panic!(),
    };
    for written in [
        "A B",
        "A* B+ C? D{2} E{2,} F{,3} G{2,3}",
        "A+? B*? C?? D{2}? E{2,3}?",
        "( A | B )+ C",
        "^ A $",
        "PERMUTE(A, B)",
        "{- A -} B",
    ] {
        assert_eq!(pattern(written).to_string(), written);
    }
    let MatchRecognizePattern::Repetition(_, RepetitionQuantifier::Reluctant(inner)) = pattern("A{2,3}?")
    else {
        panic!()
    };
    assert_eq!(*inner, RepetitionQuantifier::Range(2, 3));
}

#[test]
fn matches_and_what_follows_them() {
    let skip = |written: &str| {
        let text = format!(
            "SELECT * FROM t MATCH_RECOGNIZE (ORDER BY c AFTER MATCH SKIP {written} PATTERN (A B) DEFINE A AS TRUE)"
        );
        match matched(&text) {
            TableFactor::MatchRecognize { after_match_skip: Some(skip), .. } => skip,
            _ => panic!(),
        }
    };
    assert_eq!(skip("PAST LAST ROW"), AfterMatchSkip::PastLastRow);
    assert_eq!(skip("TO NEXT ROW"), AfterMatchSkip::ToNextRow);
    assert_eq!(skip("TO FIRST A"), AfterMatchSkip::ToFirst("A".into()));
    assert_eq!(skip("TO LAST B"), AfterMatchSkip::ToLast("B".into()));
    assert_eq!(skip("TO B"), AfterMatchSkip::ToLast("B".into()));
    fails(
        "SELECT * FROM t MATCH_RECOGNIZE (ORDER BY c PATTERN (A) SUBSET X = (A) DEFINE A AS TRUE)",
        1,
        57,
        "SUBSET is not supported",
    );
    assert!(parse_query("SELECT * FROM t MATCH_RECOGNIZE (ORDER BY c PATTERN (A B))").is_err());
    assert!(
        parse_query("SELECT * FROM t MATCH_RECOGNIZE (ORDER BY c PATTERN (A B) WITHIN DEFINE A AS TRUE)")
            .is_err()
    );
}

#[test]
fn matches_over_queries() {
    let inner =
        "(SELECT * FROM u WHERE x IN (1, 2)) MATCH_RECOGNIZE (ORDER BY c PATTERN (A) DEFINE A AS TRUE) AS m";
    let TableFactor::MatchRecognize { table, .. } = matched(&format!("SELECT * FROM {inner}")) else {
        panic!()
    };
    let TableFactor::Table { name, args: Some(args), .. } = *table else { panic!() };
    assert_eq!(name.to_string(), SUBQUERY);
    assert!(matches!(&args.args[0], FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(_)))));
    // One within the input of another.
    let outer = format!(
        "SELECT * FROM (SELECT * FROM {inner}) AS s MATCH_RECOGNIZE (ORDER BY c PATTERN (B) WITHIN INTERVAL '2' HOUR \
         DEFINE B AS TRUE)"
    );
    let TableFactor::MatchRecognize { table, symbols, .. } = matched(&outer) else { panic!() };
    assert_eq!(symbols.len(), 2);
    let TableFactor::Table { alias: Some(alias), args: Some(_), .. } = *table else { panic!() };
    assert_eq!(alias.name.value, "s");
}

#[test]
fn queries_of_the_nexmark_suite() {
    for text in [
        "WITH counts AS (
           SELECT auction, window_start, window_end, COUNT(*) AS n
           FROM TABLE(HOP(TABLE bid, DESCRIPTOR(event_time), INTERVAL '2' SECOND, INTERVAL '10' SECOND))
           GROUP BY auction, window_start, window_end
         )
         SELECT c.auction, c.n FROM counts c
         JOIN (SELECT MAX(n) AS top, window_start, window_end FROM counts GROUP BY window_start, window_end) m
           ON c.window_start = m.window_start AND c.window_end = m.window_end AND c.n >= m.top",
        "SELECT id, item_name, state FROM (
           SELECT a.*, b.auction, ROW_NUMBER() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.event_time ASC) AS place
           FROM auction a JOIN bid b ON a.id = b.auction AND b.event_time BETWEEN a.event_time AND a.expires
         ) WHERE place <= 1",
        "SELECT auction, CASE WHEN HOUR(event_time) BETWEEN 8 AND 18 THEN 'day' ELSE 'between' END AS part_of_day,
           CHAR_LENGTH(extra) - CHAR_LENGTH(REPLACE(extra, 'c', '')) AS c_count
         FROM bid WHERE 0.908 * price > 1000000 AND 0.908 * price < 50000000",
        "SELECT auction, CASE LOWER(channel) WHEN 'apple' THEN '0'
           ELSE REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2) END
         FROM bid WHERE LOWER(channel) IN ('apple', 'google')",
        "SELECT b.auction FROM bid b JOIN (SELECT MAX(price) AS top, window_end AS until_time
           FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(event_time), INTERVAL '10' SECOND))
           GROUP BY window_start, window_end) w
         ON b.price = w.top WHERE b.event_time BETWEEN w.until_time - INTERVAL '10' SECOND AND w.until_time",
        "SELECT flight, SUBSTRING(tailnum FROM 2 FOR 3) AS mid, CAST(NULL AS STRING),
           EXTRACT(DOW FROM sched_dep) AS dow,
           TIMESTAMPDIFF(HOUR, TIMESTAMP '2013-01-01 00:00:00', sched_dep) AS hrs, MOD(flight, 7) AS m7
         FROM flights JOIN airlines ON flights.carrier = airlines.carrier WHERE MOD(flight, 13) = 0",
        "SELECT origin, AVG(CAST(dep_delay AS DOUBLE)) OVER w AS mean10, COUNT(*) OVER w AS n FROM flights
         WINDOW w AS (PARTITION BY origin, flight ORDER BY sched_dep ROWS BETWEEN 9 PRECEDING AND CURRENT ROW)",
    ] {
        query(text);
    }
}

/// The name of the table that a query reads, when it is that of a file.
fn file(text: &str) -> Option<String> {
    let query = parse_query(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let SetExpr::Select(select) = *query.body else { panic!("{text}") };
    let TableFactor::Table { name, .. } = &select.from[0].relation else { return None };
    let ObjectNamePart::Identifier(ident) = &name.0[0] else { return None };
    (ident.quote_style == Some('\'')).then(|| ident.value.clone())
}

#[test]
fn files_stand_where_tables_do() {
    for (text, expected) in [
        ("SELECT * FROM 'a b.csv'", Some("a b.csv")),
        ("SELECT * FROM 'it''s.csv' AS f WHERE x IS DISTINCT FROM 'y'", Some("it's.csv")),
        ("SELECT TRIM(BOTH FROM 'x'), (1) FROM 'f.csv' /*+ OPTIONS('a' = 'b') */ AS t", Some("f.csv")),
        ("SELECT x IS NOT DISTINCT FROM 'y' FROM t", None),
        ("SELECT EXTRACT(DAY FROM 'y') FROM (SELECT 1 FROM 'f.csv')", None),
    ] {
        assert_eq!(file(text).as_deref(), expected, "{text}");
    }
    let joined = parse_query("SELECT * FROM a JOIN 'b.csv' ON TRUE").unwrap();
    let SetExpr::Select(select) = *joined.body else { panic!() };
    assert_eq!(select.from[0].joins[0].relation.to_string(), "'b.csv'");
}
