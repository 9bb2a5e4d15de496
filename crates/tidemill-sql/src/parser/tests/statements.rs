//! Statements and scripts.

use sqlparser::ast::{ObjectName, SetExpr};

use super::super::parse_script;
use super::super::statement::*;
use super::{fails, statement};
use crate::error::{Position, SqlErrorKind};

fn place(line: u32, column: u32) -> Position {
    Position { line, column }
}

fn names(columns: &[sqlparser::ast::Ident]) -> Vec<&str> {
    columns.iter().map(|name| name.value.as_str()).collect()
}

fn name(text: &str) -> String {
    text.to_string()
}

fn shown(name: &ObjectName) -> String {
    name.to_string()
}

fn options(options: &[TableOption]) -> Vec<(&str, &str)> {
    options.iter().map(|option| (option.key.as_str(), option.value.as_str())).collect()
}

fn table(text: &str) -> CreateTable {
    match statement(text) {
        Statement::CreateTable(table) => *table,
        other => panic!("{other:?}"),
    }
}

fn insert(text: &str) -> Insert {
    match statement(text) {
        Statement::Insert(insert) => insert,
        other => panic!("{other:?}"),
    }
}

#[test]
fn scripts_are_split() {
    let text = "SELECT ';' AS `;` -- ; none\n;;; /* ; */ ;\n SET 'a' = ';';\nSELECT 2 ";
    let script = parse_script(text).unwrap();
    let found: Vec<(&str, Position)> = script.statements.iter().map(|s| (&*s.text, s.start)).collect();
    assert_eq!(
        found,
        [("SELECT ';' AS `;`", place(1, 1)), ("SET 'a' = ';'", place(3, 2)), ("SELECT 2", place(4, 1))]
    );
    assert_eq!(&*script.text, text);
    assert!(parse_script("").unwrap().statements.is_empty());
    assert!(parse_script(" ;; -- nothing").unwrap().statements.is_empty());
    let texts = parse_script("SELECT 'ä€😀' FROM ü;\nSELECT '\n\n' FROM x").unwrap();
    assert_eq!(&*texts.statements[0].text, "SELECT 'ä€😀' FROM ü");
    assert_eq!(&*texts.statements[1].text, "SELECT '\n\n' FROM x");
}

#[test]
fn sets_of_statements() {
    let count = |text: &str| {
        let script = parse_script(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert_eq!(script.statements.len(), 2, "{text}");
        assert_eq!(script.statements[1].text.as_ref(), "SELECT 3");
        match &script.statements[0].statement {
            Statement::StatementSet(inserts) => inserts.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        count("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END; SELECT 3"),
        2
    );
    assert_eq!(
        count("BEGIN STATEMENT SET; INSERT INTO a SELECT CASE WHEN x THEN 1 END FROM t; END; SELECT 3;"),
        1
    );
    assert_eq!(count("execute statement set\nbegin\ninsert into a select 1;\nend;\nSELECT 3"), 1);
    let script = parse_script("BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END;").unwrap();
    assert_eq!(&*script.statements[0].text, "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END");

    fails("EXECUTE STATEMENT SET BEGIN END", 1, 29, "expected 'INSERT', found 'END'");
    let text = "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1;\nSELECT 2; END";
    fails(text, 2, 1, "expected 'INSERT' or 'END', found 'SELECT'");
    let text = "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1 INSERT INTO b SELECT 2; END";
    fails(text, 1, 52, "expected ';', found 'INSERT'");
    let text = "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; INSERT INTO b SELECT 2;";
    fails(text, 1, 69, "expected 'INSERT' or 'END', found the end of the statement");
    fails("SELECT 1; END", 1, 11, "END without BEGIN STATEMENT SET");
}

#[test]
fn inserts() {
    let simple = insert("INSERT INTO c.d.t SELECT * FROM s");
    assert_eq!((shown(&simple.table), simple.position), (name("c.d.t"), place(1, 13)));
    assert!(simple.columns.is_empty() && simple.partition.is_empty() && simple.hints.is_empty());
    assert!(!simple.overwrite && simple.on_conflict.is_none());
    assert_eq!(simple.query.to_string(), "SELECT * FROM s");

    let full = insert(
        "INSERT OVERWRITE t /*+ OPTIONS('a' = 'b'), X */ PARTITION (p = 1, q = 'x', r = -2, s = DATE '2020-01-01') \
         (a, `b c`) SELECT 1, 2 FROM x ON CONFLICT DO DEDUPLICATE",
    );
    assert!(full.overwrite);
    assert_eq!(names(&full.columns), ["a", "b c"]);
    let partition: Vec<String> =
        full.partition.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(partition, ["p=1", "q='x'", "r=-2", "s=DATE '2020-01-01'"]);
    let hints: Vec<String> = full.hints.iter().map(ToString::to_string).collect();
    assert_eq!(hints, ["OPTIONS('a' = 'b')", "X()"]);
    assert_eq!(full.on_conflict, Some(OnConflict::Deduplicate));

    for (text, query) in [
        ("INSERT INTO t (SELECT 1)", "(SELECT 1)"),
        ("INSERT INTO t ((SELECT 1) UNION ALL SELECT 2)", "((SELECT 1) UNION ALL SELECT 2)"),
        ("INSERT INTO t (a) (SELECT 1)", "(SELECT 1)"),
        ("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "VALUES (1, 'a'), (2, 'b')"),
        ("INSERT INTO t WITH a AS (SELECT 1) SELECT * FROM a", "WITH a AS (SELECT 1) SELECT * FROM a"),
        (
            "INSERT INTO t /*+ OPTIONS('a'='b') */ WITH a AS (SELECT 1) SELECT * FROM a",
            "WITH a AS (SELECT 1) SELECT * FROM a",
        ),
        ("INSERT INTO t TABLE u", "SELECT * FROM u"),
        (
            "INSERT INTO t SELECT 1 FROM a JOIN b ON a.x = b.x ON CONFLICT DO NOTHING",
            "SELECT 1 FROM a JOIN b ON a.x = b.x",
        ),
        ("INSERT INTO t VALUES 1, 2 ON CONFLICT DO ERROR", "VALUES (1), (2)"),
        ("INSERT INTO t (a) TABLE u", "SELECT * FROM u"),
        ("EXECUTE INSERT INTO t SELECT 1", "SELECT 1"),
    ] {
        assert_eq!(insert(text).query.to_string(), query, "{text}");
    }
    fails("INSERT INTO t PARTITION (a = b) SELECT 1", 1, 30, "a partition has literals only");
    fails("INSERT INTO t PARTITION (a) SELECT 1", 1, 27, "expected '=', found ')'");
    fails("INSERT INTO t (a, b SELECT 1", 1, 21, "expected ')' or ',', found 'SELECT'");
    fails(
        "INSERT INTO t AS x SELECT 1",
        1,
        15,
        "expected SELECT, VALUES or a query in parentheses, found 'AS'",
    );
    fails("INSERT t SELECT 1", 1, 8, "expected INTO or OVERWRITE, found 't'");
    fails(
        "INSERT INTO t SELECT 1 ON CONFLICT DO UPDATE",
        1,
        39,
        "expected ERROR, NOTHING or DEDUPLICATE, found 'UPDATE'",
    );
}

#[test]
fn tables() {
    let t = table(
        "CREATE TEMPORARY TABLE IF NOT EXISTS c.d.t (
           id BIGINT NOT NULL COMMENT 'the key',
           `time` TIMESTAMP(3) METADATA FROM 'timestamp' VIRTUAL COMMENT 'when',
           part INT METADATA,
           person ROW<id BIGINT, name STRING>,
           doubled AS id * 2 COMMENT 'twice',
           at_ AS PROCTIME(),
           WATERMARK FOR person.ts AS person.ts - INTERVAL '4' SECOND,
           CONSTRAINT pk PRIMARY KEY (id, part) NOT ENFORCED
         ) COMMENT 'a table' PARTITIONED BY (part, id)
         WITH ('connector' = 'kafka', 'a.b' = 'it''s')",
    );
    assert!(t.temporary && t.if_not_exists && t.distributed.is_none() && t.like.is_none());
    assert_eq!((shown(&t.name), t.position), (name("c.d.t"), place(1, 38)));
    assert_eq!(t.columns.len(), 6);
    let kinds: Vec<String> = t
        .columns
        .iter()
        .map(|column| match &column.kind {
            ColumnKind::Physical(logical) => format!("{} {logical}", column.name.value),
            ColumnKind::Metadata { logical, key, is_virtual } => {
                format!("{} {logical} {key:?} {is_virtual}", column.name.value)
            }
            ColumnKind::Computed(expr) => format!("{} = {expr}", column.name.value),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "id BIGINT NOT NULL",
            "time TIMESTAMP(3) Some(\"timestamp\") true",
            "part INT None false",
            "person ROW<`id` BIGINT, `name` STRING>",
            "doubled = id * 2",
            "at_ = PROCTIME()"
        ]
    );
    let comments: Vec<Option<&str>> = t.columns.iter().map(|column| column.comment.as_deref()).collect();
    assert_eq!(comments, [Some("the key"), Some("when"), None, None, Some("twice"), None]);
    let watermark = t.watermark.unwrap();
    assert_eq!((names(&watermark.column), watermark.position), (vec!["person", "ts"], place(8, 12)));
    assert_eq!(watermark.expression.to_string(), "person.ts - INTERVAL '4' SECOND");
    let key = t.primary_key.unwrap();
    assert_eq!(
        (names(&key.columns), key.not_enforced, key.position),
        (vec!["id", "part"], true, place(9, 26))
    );
    assert_eq!(t.comment.as_deref(), Some("a table"));
    assert_eq!(names(&t.partitioned_by), ["part", "id"]);
    assert_eq!(options(&t.options), [("connector", "kafka"), ("a.b", "it's")]);
    assert_eq!(t.options[1].position, place(11, 39));
}

#[test]
fn keys_of_columns() {
    let t = table("CREATE TABLE t (a INT NOT NULL PRIMARY KEY NOT ENFORCED COMMENT 'x', b STRING) WITH ()");
    let key = t.primary_key.unwrap();
    assert_eq!((names(&key.columns), key.not_enforced), (vec!["a"], true));
    assert_eq!(t.columns[0].comment.as_deref(), Some("x"));
    assert!(t.options.is_empty());
    let t = table("CREATE TABLE t (a INT CONSTRAINT k PRIMARY KEY, b STRING)");
    assert!(!t.primary_key.unwrap().not_enforced);
    let text = "CREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED, PRIMARY KEY (a) NOT ENFORCED)";
    fails(text, 1, 49, "a table has one primary key only");
    fails("CREATE TABLE t (a INT COMMENT 'x' PRIMARY KEY)", 1, 35, "expected ')' or ',', found 'PRIMARY'");
}

#[test]
fn tables_with_mistakes() {
    fails("CREATE TABLE t (a INT b INT)", 1, 23, "expected ')' or ',', found 'b'");
    fails("CREATE TABLE t (a INT,\n)", 2, 1, "expected a name, found ')'");
    fails("CREATE TABLE t ()", 1, 17, "expected a name, found ')'");
    fails("CREATE TABLE t (a INTT)", 1, 19, "there is no type 'INTT'");
    fails("CREATE TABLE t (a INT, WATERMARK FOR a a)", 1, 40, "expected 'AS', found 'a'");
    let text = "CREATE TABLE t (a INT, WATERMARK FOR a AS a, WATERMARK FOR b AS b)";
    fails(text, 1, 46, "a table has one watermark only");
    fails(
        "CREATE TABLE t (a INT) WITH ('a' = 'b', 'c' = 'd', 'a' = 'e')",
        1,
        52,
        "the option 'a' is given twice",
    );
    assert_eq!(
        parse_script("CREATE TABLE t (a INT) WITH ('a'='b', 'a'='b')").unwrap_err().kind(),
        SqlErrorKind::Option
    );
    fails("CREATE TABLE t (a INT) WITH ('a' 'b')", 1, 34, "expected '=', found the string 'b'");
    fails("CREATE TABLE t (a INT) WITH (a = 'b')", 1, 30, "expected a string, found 'a'");
    fails("CREATE TABLE t (a INT) WITH ('a' = 1)", 1, 36, "expected a string, found '1'");
    fails(
        "CREATE TABLE t (a INT) WITH ('a' = 'b' 'c' = 'd')",
        1,
        40,
        "expected ')' or ',', found the string 'c'",
    );
    fails("CREATE TABLE t (a.b INT)", 1, 18, "expected a type, found '.'");
    fails(
        "CREATE TEMP TABLE t (a INT)",
        1,
        8,
        "expected TABLE, VIEW, FUNCTION, CATALOG, DATABASE, MATERIALIZED, MODEL or CONNECTION, found 'TEMP'",
    );
    fails("CREATE TABLE t (a) WITH ('a' = 'b')", 1, 16, "columns without types need AS and a query");
    fails("CREATE TABLE t (a, b INT) AS SELECT 1, 2", 1, 20, "either all columns have types or none has");
}

#[test]
fn distributed_tables() {
    for text in [
        "CREATE TABLE t (a INT) DISTRIBUTED BY HASH (a) INTO 3 BUCKETS WITH ('a' = 'b')",
        "CREATE TABLE t (a INT) DISTRIBUTED BY (a) WITH ('a' = 'b')",
        "CREATE TABLE t (a INT) DISTRIBUTED INTO 3 BUCKETS PARTITIONED BY (a)",
    ] {
        assert_eq!(table(text).distributed, Some(place(1, 24)), "{text}");
    }
}

#[test]
fn tables_like_others() {
    let like = table("CREATE TABLE t LIKE c.d.u").like.unwrap();
    assert_eq!((shown(&like.table), like.position, like.options.len()), (name("c.d.u"), place(1, 21), 0));
    let t = table(
        "CREATE TABLE t (a INT) WITH ('a' = 'b') LIKE u (INCLUDING ALL EXCLUDING CONSTRAINTS OVERWRITING OPTIONS \
         EXCLUDING DISTRIBUTION INCLUDING GENERATED OVERWRITING METADATA INCLUDING PARTITIONS OVERWRITING WATERMARKS)",
    );
    let found = t.like.unwrap().options;
    assert_eq!(found.len(), 8);
    assert_eq!(found[0], (MergeStrategy::Including, LikeFeature::All));
    assert_eq!(found[2], (MergeStrategy::Overwriting, LikeFeature::Options));
    assert_eq!(found[7], (MergeStrategy::Overwriting, LikeFeature::Watermarks));
    let text = "CREATE TABLE t LIKE u (OVERWRITING ALL)";
    fails(text, 1, 24, "OVERWRITING is for GENERATED, METADATA, OPTIONS and WATERMARKS only");
    fails(
        "CREATE TABLE t LIKE u (INCLUDING ALL, EXCLUDING OPTIONS)",
        1,
        37,
        "expected INCLUDING, EXCLUDING or OVERWRITING, found ','",
    );
}

#[test]
fn tables_as_queries() {
    let created = |text: &str| match statement(text) {
        Statement::CreateTableAs(table, query) => (*table, query.to_string()),
        other => panic!("{other:?}"),
    };
    let (table, query) = created("CREATE TABLE t WITH ('a' = 'b') AS WITH x AS (SELECT 1) SELECT * FROM x");
    assert_eq!(options(&table.options), [("a", "b")]);
    assert_eq!(query, "WITH x AS (SELECT 1) SELECT * FROM x");
    let (table, query) = created("CREATE TABLE t (b, a) AS (SELECT 1 AS a, 2 AS b)");
    assert_eq!((names(&table.column_order), query.as_str()), (vec!["b", "a"], "(SELECT 1 AS a, 2 AS b)"));
    let (table, _) = created("CREATE TABLE t (a INT, PRIMARY KEY (a) NOT ENFORCED) AS VALUES (1)");
    assert!(table.primary_key.is_some() && table.columns.len() == 1);
    assert_eq!(created("CREATE TABLE t AS TABLE u").1, "SELECT * FROM u");
}

#[test]
fn views() {
    let text =
        "CREATE TEMPORARY VIEW IF NOT EXISTS c.v (a, b) COMMENT 'x' AS\n  SELECT 1, /* two */ 2 -- end\n ;";
    let Statement::CreateView(view) = statement(text) else { panic!() };
    assert!(view.temporary && view.if_not_exists);
    assert_eq!(
        (shown(&view.name), view.position, names(&view.columns)),
        (name("c.v"), place(1, 37), vec!["a", "b"])
    );
    assert_eq!(view.comment.as_deref(), Some("x"));
    assert_eq!(&*view.text, "SELECT 1, /* two */ 2");
    assert_eq!(view.query.to_string(), "SELECT 1, 2");
    assert!(matches!(statement("CREATE OR REPLACE VIEW v AS SELECT 1"), Statement::CreateView(_)));
    let Statement::AlterView { name: found, action: AlterView::Rename(to) } =
        statement("ALTER VIEW v RENAME TO w")
    else {
        panic!()
    };
    assert_eq!((shown(&found), shown(&to)), (name("v"), name("w")));
    let Statement::AlterView { action: AlterView::As(query, text), .. } =
        statement("ALTER VIEW v AS SELECT  1")
    else {
        panic!()
    };
    assert_eq!((query.to_string(), &*text), (name("SELECT 1"), "SELECT  1"));
    fails("CREATE VIEW v SELECT 1", 1, 15, "expected 'AS', found 'SELECT'");
}

#[test]
fn catalogs_databases_and_functions() {
    let text = "CREATE CATALOG IF NOT EXISTS c COMMENT 'x' WITH ('type' = 'generic_in_memory')";
    let Statement::CreateCatalog { name: found, if_not_exists: true, comment, options: with } =
        statement(text)
    else {
        panic!()
    };
    assert_eq!((found.value.as_str(), comment.as_deref()), ("c", Some("x")));
    assert_eq!(options(&with), [("type", "generic_in_memory")]);
    let text = "CREATE DATABASE c.d COMMENT 'x' WITH ('a' = 'b')";
    let Statement::CreateDatabase { name: found, if_not_exists: false, options: with, .. } = statement(text)
    else {
        panic!()
    };
    assert_eq!((shown(&found), with.len()), (name("c.d"), 1));
    let Statement::AlterDatabase { options: with, .. } = statement("ALTER DATABASE d SET ('a' = 'b')") else {
        panic!()
    };
    assert_eq!(options(&with), [("a", "b")]);
    let text = "CREATE TEMPORARY SYSTEM FUNCTION IF NOT EXISTS f AS 'x.Y' LANGUAGE java \
                USING JAR '/a', JAR '/b' WITH ('a'='b')";
    let Statement::CreateFunction { class, language, .. } = statement(text) else { panic!() };
    assert_eq!((class.as_str(), language.as_deref()), ("x.Y", Some("JAVA")));
    assert!(matches!(
        statement("CREATE FUNCTION c.d.f AS 'x'"),
        Statement::CreateFunction { language: None, .. }
    ));
    assert!(parse_script("CREATE TEMPORARY CATALOG c").is_err());
}

#[test]
fn altered_tables() {
    let action = |text: &str| match statement(text) {
        Statement::AlterTable { action, if_exists, .. } => (action, if_exists),
        other => panic!("{other:?}"),
    };
    let (AlterTable::Rename(to), true) = action("ALTER TABLE IF EXISTS t RENAME TO c.u") else { panic!() };
    assert_eq!(shown(&to), "c.u");
    let (AlterTable::Set(set), false) = action("ALTER TABLE t SET ('a' = 'b')") else { panic!() };
    assert_eq!(options(&set), [("a", "b")]);
    let (AlterTable::Reset(keys), _) = action("ALTER TABLE t RESET ('a', 'b')") else { panic!() };
    assert_eq!(keys, ["a", "b"]);
    for (text, rest) in [
        ("ALTER TABLE t ADD (c INT AFTER d)", "ADD (c INT AFTER d)"),
        ("ALTER TABLE t MODIFY c INT", "MODIFY c INT"),
        ("ALTER TABLE t DROP c", "DROP c"),
        ("ALTER TABLE t RENAME a TO b", "RENAME a TO b"),
    ] {
        let (AlterTable::Unsupported(words), _) = action(text) else { panic!() };
        assert_eq!(words, rest);
    }
}

#[test]
fn drops() {
    for (text, kind, dropped, if_exists, temporary, cascade) in [
        ("DROP TABLE t", ObjectKind::Table, "t", false, false, false),
        ("DROP TEMPORARY TABLE IF EXISTS c.d.t", ObjectKind::Table, "c.d.t", true, true, false),
        ("DROP VIEW v", ObjectKind::View, "v", false, false, false),
        ("DROP TEMPORARY VIEW v", ObjectKind::View, "v", false, true, false),
        ("DROP DATABASE IF EXISTS d CASCADE", ObjectKind::Database, "d", true, false, true),
        ("DROP DATABASE d RESTRICT", ObjectKind::Database, "d", false, false, false),
        ("DROP CATALOG IF EXISTS c", ObjectKind::Catalog, "c", true, false, false),
        ("DROP TEMPORARY SYSTEM FUNCTION IF EXISTS f", ObjectKind::Function, "f", true, true, false),
    ] {
        let Statement::Drop { kind: k, name, if_exists: e, temporary: t, cascade: c } = statement(text)
        else {
            panic!()
        };
        assert_eq!(
            (k, shown(&name).as_str(), e, t, c),
            (kind, dropped, if_exists, temporary, cascade),
            "{text}"
        );
    }
    fails("DROP TEMPORARY DATABASE d", 1, 16, "there is no TEMPORARY DATABASE");
    fails("DROP TABLE t CASCADE", 1, 14, "expected the end of the statement, found 'CASCADE'");
}

#[test]
fn settings() {
    let set = |text: &str| match statement(text) {
        Statement::Set { key, value } => (key.unwrap_or_default(), value.unwrap_or_default()),
        other => panic!("{other:?}"),
    };
    assert_eq!(set("SET"), (name(""), name("")));
    assert_eq!(set("SET 'a.b' = 'c d'"), (name("a.b"), name("c d")));
    assert_eq!(set("SET 'a.b'"), (name("a.b"), name("")));
    assert_eq!(
        set("SET execution.runtime-mode = streaming ;"),
        (name("execution.runtime-mode"), name("streaming"))
    );
    assert_eq!(set("set table.exec.state.ttl=1 h"), (name("table.exec.state.ttl"), name("1 h")));
    assert_eq!(set("SET a = file:///tmp/x@y -- why"), (name("a"), name("file:///tmp/x@y")));
    assert_eq!(set("SET a.b = 'it''s'"), (name("a.b"), name("it's")));
    assert_eq!(set("SET a.b"), (name("a.b"), name("")));
    assert!(matches!(statement("RESET"), Statement::Reset { key: None }));
    assert!(matches!(statement("RESET 'a.b'"), Statement::Reset { key: Some(key) } if key == "a.b"));
    assert!(matches!(statement("RESET a.b-c"), Statement::Reset { key: Some(key) } if key == "a.b-c"));
    fails("SET 'a' = 'b' 'c'", 1, 15, "expected the end of the statement, found the string 'c'");
    fails("SET = 'b'", 1, 5, "expected a key, found '='");
}

#[test]
fn explanations() {
    let explained = |text: &str| match statement(text) {
        Statement::Explain { details, statement } => (details, *statement),
        other => panic!("{other:?}"),
    };
    let (details, inner) =
        explained("EXPLAIN ESTIMATED_COST, CHANGELOG_MODE, JSON_EXECUTION_PLAN, PLAN_ADVICE SELECT 1");
    assert_eq!(
        details,
        [
            ExplainDetail::EstimatedCost,
            ExplainDetail::ChangelogMode,
            ExplainDetail::JsonExecutionPlan,
            ExplainDetail::PlanAdvice
        ]
    );
    assert_eq!((&*inner.text, inner.start), ("SELECT 1", place(1, 74)));
    assert!(matches!(explained("EXPLAIN PLAN FOR INSERT INTO t SELECT 1").1.statement, Statement::Insert(_)));
    assert!(matches!(explained("EXPLAIN (SELECT 1)").1.statement, Statement::Query(_)));
    assert!(matches!(explained("EXPLAIN TABLE t").1.statement, Statement::Query(_)));
    assert!(matches!(
        explained("EXPLAIN CREATE TABLE t AS SELECT 1").1.statement,
        Statement::CreateTableAs(..)
    ));
    for text in [
        "EXPLAIN STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END",
        "EXPLAIN CHANGELOG_MODE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END",
        "EXPLAIN EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END",
        "EXPLAIN PLAN FOR STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END",
    ] {
        let Statement::StatementSet(inserts) = explained(text).1.statement else { panic!("{text}") };
        assert_eq!(inserts.len(), 2);
    }
    fails(
        "EXPLAIN EXPLAIN SELECT 1",
        1,
        9,
        "expected a query, INSERT, STATEMENT SET or a detail of plans, found 'EXPLAIN'",
    );
}

#[test]
fn shows() {
    let show = |text: &str| match statement(text) {
        Statement::Show(show) => format!("{show:?}"),
        other => panic!("{other:?}"),
    };
    for (text, found) in [
        ("SHOW CATALOGS", "Catalogs"),
        ("SHOW CURRENT CATALOG", "CurrentCatalog"),
        ("SHOW DATABASES", "Databases"),
        ("SHOW CURRENT DATABASE", "CurrentDatabase"),
        ("SHOW TABLES", "Tables { from: None, like: None }"),
        ("SHOW TABLES NOT LIKE 'x%'", "Tables { from: None, like: Some((true, \"x%\")) }"),
        ("SHOW VIEWS", "Views"),
        ("SHOW FUNCTIONS", "Functions { user: false }"),
        ("SHOW USER FUNCTIONS", "Functions { user: true }"),
        ("SHOW MODULES", "Modules"),
        ("SHOW JARS", "Jars"),
        ("SHOW JOBS", "Jobs"),
    ] {
        assert_eq!(show(text), found);
    }
    let Statement::Show(Show::Tables { from: Some(from), like: Some((false, pattern)) }) =
        statement("SHOW TABLES FROM c.d LIKE 'x%'")
    else {
        panic!()
    };
    assert_eq!((shown(&from), pattern.as_str()), (name("c.d"), "x%"));
    let Statement::Show(Show::Columns { table, like: None }) = statement("SHOW COLUMNS IN c.d.t") else {
        panic!()
    };
    assert_eq!(shown(&table), "c.d.t");
    assert!(matches!(statement("SHOW CREATE TABLE t"), Statement::Show(Show::CreateTable(_))));
    assert!(matches!(statement("SHOW CREATE VIEW v"), Statement::Show(Show::CreateView(_))));
    assert!(matches!(statement("SHOW CREATE CATALOG c"), Statement::Show(Show::CreateCatalog(_))));
    let Statement::Show(Show::Filtered { show, from: Some(from), like: Some(like) }) =
        statement("SHOW DATABASES IN c NOT ILIKE 'x'")
    else {
        panic!()
    };
    assert!(matches!(*show, Show::Databases));
    assert_eq!(shown(&from), "c");
    assert_eq!(like, LikePattern { negated: true, ignore_case: true, pattern: name("x") });
    assert!(matches!(
        statement("SHOW USER FUNCTIONS FROM d LIKE 'x'"),
        Statement::Show(Show::Filtered { show, .. }) if matches!(*show, Show::Functions { user: true })
    ));
}

#[test]
fn other_statements() {
    let Statement::Query(query) = statement("(SELECT 1) UNION SELECT 2") else { panic!() };
    assert!(matches!(*query.body, SetExpr::SetOperation { .. }));
    assert!(matches!(statement("USE CATALOG c"), Statement::UseCatalog(name) if name.value == "c"));
    assert!(matches!(statement("USE c.d"), Statement::UseDatabase(name) if shown(&name) == "c.d"));
    assert!(matches!(statement("USE catalog"), Statement::UseDatabase(_)));
    assert!(matches!(statement("DESCRIBE EXTENDED c.t"), Statement::Describe { extended: true, .. }));
    assert!(matches!(statement("DESC t"), Statement::Describe { extended: false, .. }));
    assert!(matches!(statement("DESC job"), Statement::Describe { .. }));
    assert!(
        matches!(statement("DESC FUNCTION f"), Statement::DescribeFunction(name) if name.to_string() == "f")
    );
    assert!(matches!(statement("DESCRIBE FUNCTION EXTENDED f"), Statement::DescribeFunction(_)));
    assert!(matches!(statement("DESCRIBE JOB 'x'"), Statement::DescribeJob(id) if id == "x"));
    assert!(matches!(statement("ADD JAR '/a.jar'"), Statement::Jar { path } if path == "/a.jar"));
    assert!(matches!(statement("REMOVE JAR '/a.jar'"), Statement::Jar { .. }));
    let Statement::StopJob { job, savepoint: true, drain: true } =
        statement("STOP JOB 'x' WITH SAVEPOINT WITH DRAIN")
    else {
        panic!()
    };
    assert_eq!(job, "x");
    assert!(matches!(statement("STOP JOB 'x'"), Statement::StopJob { savepoint: false, drain: false, .. }));
    fails("STOP JOB 'x' WITH DRAIN", 1, 14, "WITH DRAIN stands behind WITH SAVEPOINT only");
    for (text, command) in [
        ("HELP", ShellCommand::Help),
        ("quit;", ShellCommand::Quit),
        ("EXIT", ShellCommand::Quit),
        ("CLEAR", ShellCommand::Clear),
    ] {
        assert!(matches!(statement(text), Statement::Shell(found) if found == command));
    }
    for (text, words) in [
        ("TRUNCATE TABLE t", "TRUNCATE TABLE"),
        ("DELETE FROM t WHERE a = 1", "DELETE FROM"),
        ("UPDATE t SET a = 1", "UPDATE"),
        ("ANALYZE TABLE t COMPUTE STATISTICS", "ANALYZE TABLE"),
        ("CALL p(1, 'x')", "CALL"),
        ("LOAD MODULE m WITH ('a' = 'b')", "LOAD MODULE"),
        ("UNLOAD MODULE m", "UNLOAD MODULE"),
        ("USE MODULES a, b", "USE MODULES"),
        ("UPSERT INTO t SELECT 1", "UPSERT INTO"),
        ("EXECUTE PLAN '/x'", "EXECUTE PLAN"),
        ("COMPILE PLAN '/x' FOR INSERT INTO t SELECT 1", "COMPILE PLAN"),
        ("COMPILE PLAN '/x' FOR STATEMENT SET BEGIN INSERT INTO t SELECT 1; END", "COMPILE PLAN"),
        ("COMPILE AND EXECUTE PLAN '/x' FOR INSERT INTO t SELECT 1", "COMPILE AND EXECUTE PLAN"),
        ("CREATE OR REPLACE TABLE t AS SELECT 1", "CREATE OR REPLACE TABLE"),
        ("CREATE MATERIALIZED TABLE t AS SELECT 1", "CREATE MATERIALIZED TABLE"),
        ("CREATE MODEL m WITH ('a' = 'b')", "CREATE MODEL"),
        ("ALTER CATALOG c SET ('a' = 'b')", "ALTER CATALOG"),
        ("ALTER FUNCTION f AS 'x'", "ALTER FUNCTION"),
        ("DROP MODEL m", "DROP MODEL"),
        ("SHOW PARTITIONS t", "SHOW PARTITIONS"),
        ("SHOW FULL MODULES", "SHOW FULL MODULES"),
        ("SHOW CREATE MODEL m", "SHOW CREATE MODEL"),
        ("DESCRIBE CATALOG c", "DESCRIBE CATALOG"),
        ("DESCRIBE DATABASE EXTENDED d", "DESCRIBE DATABASE"),
    ] {
        let Statement::Unsupported { what } = statement(text) else { panic!("{text}") };
        assert_eq!(what, words);
    }
}
