//! One-liners and scripts over files, without tables: `tidemill sql -e`, `-f`, standard input, and the examples.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const FLIGHTS: &str = "origin,dest,delay,at\nJFK,LAX,12,2013-01-01 05:00:00\nLGA,ORD,-3,2013-01-01 06:00:00\n\
                       JFK,SFO,,2013-01-02 05:00:00\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("flights.csv"), FLIGHTS).unwrap();
    folder
}

/// Runs `tidemill` in `folder` with `input`; answers its exit code, standard output and standard error.
fn tidemill(folder: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .args(arguments)
        .args(["-D", "tidemill.rest.enabled=false"])
        .current_dir(folder)
        .env_remove("TIDEMILL_CONF_DIR")
        .env_remove("FLINK_CONF_DIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn one_liner(folder: &Path, sql: &str, format: &str) -> String {
    let (code, out, err) = tidemill(folder, &["sql", "-e", sql, "--format", format], "");
    assert_eq!(code, 0, "{sql}: {err}");
    out
}

#[test]
fn a_file_stands_in_from() {
    let folder = folder();
    let place = folder.path();
    let sql = "SELECT origin, COUNT(*) AS n, SUM(delay) AS delay FROM 'flights.csv' GROUP BY origin ORDER BY origin";
    assert_eq!(one_liner(place, sql, "jsonl"), "[\"JFK\", 2, 12]\n[\"LGA\", 1, -3]\n");
    assert_eq!(one_liner(place, sql, "csv"), "origin,n,delay\nJFK,2,12\nLGA,1,-3\n");
    assert_eq!(
        one_liner(place, sql, "table"),
        "+--------+---+-------+\n| origin | n | delay |\n+--------+---+-------+\n| JFK    | 2 |    12 |\n\
         | LGA    | 1 |    -3 |\n+--------+---+-------+\n2 rows\n"
    );
    // Columns have types, and an alias names the file.
    let sql = "SELECT f.dest, EXTRACT(DAY FROM f.at) AS d FROM 'flights.csv' AS f WHERE f.delay IS NULL";
    assert_eq!(one_liner(place, sql, "jsonl"), "[\"SFO\", 2]\n");
    // The same in a script that tidemill run runs, also through a view.
    std::fs::write(
        place.join("job.sql"),
        "CREATE VIEW f AS SELECT * FROM 'flights.csv'; DESCRIBE f; SELECT MAX(delay) AS worst FROM f;",
    )
    .unwrap();
    let (code, out, err) = tidemill(place, &["run", "job.sql", "--format", "csv"], "");
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("delay,BIGINT,TRUE") && out.ends_with("worst\n12\n"), "{out}");
}

#[test]
fn files_are_lines_of_json_and_compressed_and_in_folders() {
    let folder = folder();
    let place = folder.path();
    std::fs::create_dir(place.join("bids")).unwrap();
    std::fs::write(
        place.join("bids/a.jsonl"),
        "{\"price\": 3, \"by\": {\"name\": \"Ada\"}, \"tags\": [\"x\", \"y\"]}\n",
    )
    .unwrap();
    std::fs::write(place.join("bids/b.jsonl"), "{\"price\": 4.5, \"by\": {\"name\": \"Bob\"}}\n").unwrap();
    let by_name = |path: &str| {
        one_liner(
            place,
            &format!("SELECT by.name, price, CARDINALITY(tags) AS tags FROM '{path}' AS t (price, by, tags) ORDER BY by.name")
                .replace("by.", "`by`.")
                .replace("(price, by,", "(price, `by`,"),
            "jsonl",
        )
    };
    let both = "[\"Ada\", 3.0, 2]\n[\"Bob\", 4.5, null]\n";
    assert_eq!(by_name("bids"), both);
    assert_eq!(by_name("bids/*.jsonl"), both);
    assert_eq!(by_name(&place.join("bids").display().to_string()), both);
    let status = Command::new("gzip").arg("-k").arg(place.join("flights.csv")).status();
    if status.is_ok_and(|status| status.success()) {
        assert_eq!(one_liner(place, "SELECT COUNT(*) AS n FROM 'flights.csv.gz'", "jsonl"), "[3]\n");
    }
}

#[test]
fn standard_input_is_a_file_too() {
    let folder = folder();
    let read = |sql: &str, input: &str| {
        let (code, out, err) = tidemill(folder.path(), &["sql", "-e", sql, "--format", "jsonl"], input);
        assert_eq!(code, 0, "{err}");
        out
    };
    assert_eq!(read("SELECT MAX(delay) AS worst FROM '-'", FLIGHTS), "[12]\n");
    let lines = "{\"a\": 1}\n{\"a\": 2}\n";
    assert_eq!(read("SELECT SUM(a) AS a FROM '/dev/stdin'", lines), "[3]\n");
    // Read once, however often it stands there.
    assert_eq!(read("SELECT COUNT(*) AS n FROM '-' AS x JOIN '-' AS y ON x.a = y.a", lines), "[2]\n");
    let (code, _, err) = tidemill(folder.path(), &["sql", "-f", "-"], "SELECT * FROM '-';");
    assert!(code == 1 && err.contains("standard input is empty"), "{err}");
}

#[test]
fn what_a_file_has_not_is_told_with_line_and_column() {
    let folder = folder();
    let fails = |sql: &str| {
        let (code, out, err) = tidemill(folder.path(), &["sql", "-e", sql], "");
        assert_eq!((code, out.as_str()), (1, ""), "{sql}: {err}");
        err
    };
    let err = fails("SELECT *\nFROM 'flights.cvs'");
    assert!(err.contains("there is no file 'flights.cvs'") && err.contains("line 2, column 6"), "{err}");
    assert!(err.contains("did you mean 'flights.csv'?"), "{err}");
    assert!(fails("SELECT orgin FROM 'flights.csv'").contains("did you mean 'origin'?"));
    let err = fails("SELECT * FROM 'flights.csv' /*+ OPTIONS('csv.feild-delimiter' = ';') */");
    assert!(err.contains("csv.field-delimiter"), "{err}");
    assert!(fails("SELECT * FROM 'flights.txt'").contains("did you mean 'flights.csv'?"));
    std::fs::write(folder.path().join("notes"), "x\n").unwrap();
    assert!(fails("SELECT * FROM 'notes'").contains("OPTIONS('format' = 'csv')"));
    assert!(fails("SELECT * FROM 's3://bucket/flights.csv'").contains("only local files"));
}

#[test]
fn rows_are_printed_in_the_order_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    // More than come in one batch, in another order.
    let mut text = String::from("n,name\n");
    for number in 0..20_000u32 {
        let scattered = number.wrapping_mul(7_919) % 20_000;
        text += &format!(
            "{scattered},{}\n",
            if scattered % 10 == 0 { String::new() } else { format!("x{}", scattered % 7) }
        );
    }
    std::fs::write(place.join("numbers.csv"), text).unwrap();
    let numbers = |sql: &str| -> Vec<u32> {
        one_liner(place, sql, "csv")
            .lines()
            .skip(1)
            .map(|line| line.split(',').next().unwrap().parse().unwrap())
            .collect()
    };
    assert_eq!(numbers("SELECT n FROM 'numbers.csv' ORDER BY n"), (0..20_000).collect::<Vec<_>>());
    assert_eq!(numbers("SELECT n FROM 'numbers.csv' ORDER BY n DESC LIMIT 3"), [19_999, 19_998, 19_997]);
    assert_eq!(numbers("SELECT n FROM 'numbers.csv' ORDER BY n LIMIT 3 OFFSET 2"), [2, 3, 4]);
    assert_eq!(numbers("SELECT n FROM 'numbers.csv' ORDER BY n OFFSET 19997"), [19_997, 19_998, 19_999]);
    // By what is not shown, with NULL where Flink has it: first, and last when descending.
    let by_name = numbers("SELECT n FROM 'numbers.csv' WHERE n < 30 ORDER BY name, n");
    assert_eq!(by_name[..3], [0, 10, 20]);
    let expected = {
        let mut rest: Vec<u32> = (0..30).filter(|n| n % 10 != 0).collect();
        rest.sort_by_key(|n| (n % 7, *n));
        rest
    };
    assert_eq!(by_name[3..], expected);
    assert_eq!(numbers("SELECT n FROM 'numbers.csv' WHERE n < 30 ORDER BY name DESC, n")[27..], [0, 10, 20]);
    // Where the rows go into a table, nobody would see the order.
    let sql = "CREATE TABLE t (n BIGINT) WITH ('connector' = 'blackhole'); INSERT INTO t SELECT n FROM 'numbers.csv' ORDER BY n";
    let (code, _, err) = tidemill(place, &["sql", "-e", sql], "");
    assert_eq!(code, 1);
    assert!(err.contains("ORDER BY without LIMIT") && err.contains("add LIMIT"), "{err}");
    let endless = "CREATE TABLE t (n BIGINT) WITH ('connector' = 'datagen');";
    let (code, _, err) =
        tidemill(place, &["sql", "-e", &format!("{endless} SELECT n FROM t ORDER BY n")], "");
    assert!(code == 1 && err.contains("ORDER BY without LIMIT"), "{err}");
    let (code, _, err) = tidemill(place, &["sql", "-e", &format!("{endless} SELECT n FROM t")], "");
    assert!(code == 1 && err.contains("the query never ends"), "{err}");
}

#[test]
fn scripts_run_as_in_flinks_client() {
    let folder = folder();
    let place = folder.path();
    std::fs::write(place.join("init.sql"), "CREATE VIEW f AS SELECT * FROM 'flights.csv';").unwrap();
    std::fs::write(
        place.join("job.sql"),
        "SHOW VIEWS;\nSELECT origin, COUNT(*) AS n FROM f GROUP BY origin;\nSHOW JOBS;\n\
         CREATE TABLE late (n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'csv');\n\
         INSERT INTO late SELECT delay FROM f WHERE delay > 0;",
    )
    .unwrap();
    let (code, out, err) = tidemill(place, &["sql", "-i", "init.sql", "-f", "job.sql"], "");
    assert_eq!(code, 0, "{err}");
    for expected in [
        "| view name |",
        "1 row in set",
        // Of one batch, only what is left of the changes.
        "| +I |                            JFK |                    2 |",
        "Received a total of 2 rows",
        "FINISHED",
    ] {
        assert!(out.contains(expected), "'{expected}' is missing in {out}");
    }
    assert!(err.contains("[INFO] Job ID: ") && err.contains("Complete execution"), "{err}");
    let written = std::fs::read_dir(place.join("out"))
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    assert_eq!(written.collect::<String>(), "12\n");

    // From standard input, and as final tables.
    let (code, out, err) = tidemill(place, &["sql"], "SELECT dest FROM 'flights.csv' WHERE delay = 12;");
    assert!(code == 0 && out.contains("| +I |                            LAX |"), "{out}{err}");
    let sql = "SELECT origin, COUNT(*) AS n FROM 'flights.csv' GROUP BY origin ORDER BY n;";
    let (code, out, err) = tidemill(place, &["sql", "--format", "jsonl"], sql);
    assert_eq!((code, out.as_str()), (0, "[\"LGA\", 1]\n[\"JFK\", 2]\n"), "{err}");

    // What is wrong anywhere keeps all of it from running.
    let (code, out, err) = tidemill(place, &["sql", "-f", "-"], "SELECT 1;\nSELECT x FROM 'flights.csv';");
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("line 2, column 8"), "{err}");
    let (code, _, err) = tidemill(place, &["sql", "--resume"], "SELECT 1;");
    assert!(code == 2 && err.contains("--resume is for one job"), "{err}");
}

#[test]
fn a_query_that_fails_says_why_and_the_exit_code_tells() {
    let folder = folder();
    std::fs::write(folder.path().join("bad.csv"), format!("n\n{}x\n", "1\n".repeat(30_000))).unwrap();
    for arguments in [&["sql", "-e", "SELECT SUM(n) AS n FROM 'bad.csv'"][..], &["sql"]] {
        let (code, out, err) = tidemill(folder.path(), arguments, "SELECT SUM(n) AS n FROM 'bad.csv';");
        assert_eq!(code, 1, "{out}");
        assert!(err.contains("bad.csv line 30002") && !out.contains("Received a total"), "{out}{err}");
    }
}

#[test]
fn plans_are_shown_as_json_too() {
    let folder = folder();
    let sql = "EXPLAIN CHANGELOG_MODE, JSON_EXECUTION_PLAN SELECT origin, COUNT(*) FROM 'flights.csv' GROUP BY origin";
    let out = one_liner(folder.path(), sql, "table");
    let (text, json) = out.split_once("== Physical Execution Plan ==\n").unwrap();
    assert!(
        text.starts_with("== Optimized Physical Plan ==\n") && text.contains("changelogMode=[I,UB,UA]"),
        "{text}"
    );
    let plan: serde_json::Value = serde_json::from_str(json).unwrap();
    let nodes = plan["nodes"].as_array().unwrap();
    let pacts: Vec<&str> = nodes.iter().map(|node| node["pact"].as_str().unwrap()).collect();
    assert_eq!(pacts, ["Data Source", "Operator", "Operator", "Data Sink"]);
    for node in nodes {
        for key in ["id", "type", "contents", "parallelism"] {
            assert!(!node[key].is_null(), "{key}: {node}");
        }
    }
    let from = &nodes[1]["predecessors"][0];
    assert_eq!((from["id"].as_i64(), from["ship_strategy"].as_str()), (Some(1), Some("HASH")), "{from}");
}

/// The number of tables, and the rows of all of them, that a script prints.
fn printed(out: &str) -> (usize, usize) {
    let counts = out.lines().filter_map(|line| {
        line.strip_suffix(" rows").or_else(|| line.strip_suffix(" row"))?.parse::<usize>().ok()
    });
    counts.fold((0, 0), |(tables, rows), count| (tables + 1, rows + count))
}

#[test]
fn the_examples_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files: Vec<_> =
        std::fs::read_dir(root.join("examples/sql")).unwrap().map(|file| file.unwrap().path()).collect();
    files.push(root.join("examples/flights.sql"));
    files.sort();
    assert!(files.len() > 10);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        assert!(
            text.starts_with("-- ") && text.contains(&format!("tidemill run {name}"))
                || text.contains(&format!("-- run {name}")),
            "{name} says what it shows, and how it is run"
        );
        let (code, out, err) = tidemill(&root, &["run", &name], "");
        assert_eq!(code, 0, "{name}: {err}");
        let queries =
            text.lines().filter(|line| line.starts_with("SELECT ") || line.starts_with("WITH ")).count();
        let (tables, rows) = printed(&out);
        assert!(tables > 0 || out.contains("+I["), "{name}: {out}");
        assert!(rows >= tables, "{name}: a query has no result: {out}");
        assert!(tables <= queries, "{name}: {out}");
    }
}
