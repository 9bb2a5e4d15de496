//! Scripts of SQL, as a user runs them: their tables are those that Apache Flink 2.3.0 ends with (`tests/golden`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A file with the tables of the flights and a query.
struct Script {
    folder: tempfile::TempDir,
    path: PathBuf,
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn script(query: &str) -> Script {
    script_over("flights", "flights/data", query)
}

/// A query over the tables of `suite`, whose `${DATA}` is the folder `data`.
fn script_over(suite: &str, data: &str, query: &str) -> Script {
    let data = golden().join(data).display().to_string();
    let tables = std::fs::read_to_string(golden().join(suite).join("tables.sql")).unwrap();
    let tables = tables.replace("${DATA}", &data);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.sql");
    std::fs::write(&path, format!("{tables}\n{query}\n")).unwrap();
    Script { folder, path }
}

/// Runs a script; answers its exit code, standard output and standard error.
fn run(script: &Script, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .arg("run")
        .arg(&script.path)
        .args(["-D", "tidemill.rest.enabled=false"])
        .args(args)
        .current_dir(script.folder.path())
        .env_remove("TIDEMILL_CONF_DIR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// A row such that equal rows are equal texts: of doubles the digits that any order of summing gives.
pub(super) fn normal(line: &str) -> String {
    let Value::Array(cells) = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    else {
        panic!("not a row: {line}")
    };
    let cells = cells.into_iter().map(|cell| match cell.as_f64() {
        Some(number) if cell.is_f64() => format!("{number:.9e}"),
        _ => cell.to_string(),
    });
    cells.collect::<Vec<_>>().join(", ")
}

pub(crate) fn table(text: &str) -> Vec<String> {
    let mut rows: Vec<String> = text.lines().map(normal).collect();
    rows.sort_unstable();
    rows
}

fn check(name: &str, args: &[&str]) {
    check_over("flights", "flights/data", name, args);
}

/// Checks the query `name` over the tables of `suite`.
pub(super) fn check_over(suite: &str, data: &str, name: &str, args: &[&str]) {
    let file = |ending: &str| golden().join(suite).join(format!("{name}.{ending}"));
    let query = std::fs::read_to_string(file("sql")).unwrap();
    let expected = table(&std::fs::read_to_string(file("expected.jsonl")).unwrap());
    let script = script_over(suite, data, &query);
    let (code, out, err) = run(&script, &[&["--format", "jsonl"], args].concat());
    assert_eq!(code, 0, "{name} {args:?}: {err}");
    let found = table(&out);
    if let Some((found, expected)) = found.iter().zip(&expected).find(|(found, expected)| found != expected) {
        panic!("{name} {args:?}: {found} instead of {expected}");
    }
    assert_eq!(found.len(), expected.len(), "{name} {args:?}");
}

/// All queries of a suite that have a table, in order; there are at least so many.
pub(super) fn queries(suite: &str, least: usize) -> Vec<String> {
    let files = std::fs::read_dir(golden().join(suite))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        files.filter_map(|file| file.strip_suffix(".expected.jsonl").map(str::to_owned)).collect();
    names.sort_unstable();
    assert!(names.len() >= least, "{names:?}");
    names
}

#[test]
fn tables_are_those_of_flink() {
    for name in queries("flights", 40) {
        check(&name, &[]);
    }
}

#[test]
fn tables_are_the_same_at_another_parallelism_and_with_state_in_rocksdb() {
    // `18_first_last` depends on the order of arrival.
    for name in queries("flights", 40).iter().filter(|name| *name != "18_first_last") {
        check(name, &["-D", "parallelism.default=3", "-D", "state.backend.type=rocksdb"]);
    }
}

#[test]
fn grouping_sets_are_groups_of_each() {
    let script = script(
        "SELECT origin, carrier, GROUPING(origin) AS g, COUNT(*) AS n FROM flights WHERE carrier IN ('AA', 'B6')
         GROUP BY ROLLUP (origin, carrier);",
    );
    let (code, out, err) = run(&script, &["--format", "jsonl", "-D", "parallelism.default=2"]);
    assert_eq!(code, 0, "{err}");
    let rows = table(&out);
    let count = |row: &str| row.rsplit(", ").next().unwrap().parse::<u64>().unwrap();
    let of =
        |prefix: &str| rows.iter().filter(|row| row.starts_with(prefix)).map(|row| count(row)).sum::<u64>();
    assert_eq!(rows.len(), 3 * 2 + 3 + 1, "{out}");
    let of_origins: u64 =
        ["EWR", "JFK", "LGA"].iter().map(|origin| of(&format!("\"{origin}\", null, 0"))).sum();
    assert_eq!(of("null, null, 1"), of_origins, "{out}");
    for origin in ["EWR", "JFK", "LGA"] {
        let total = of(&format!("\"{origin}\", null, 0"));
        assert_eq!(of(&format!("\"{origin}\"")), 2 * total, "{out}");
    }
}

#[test]
fn results_are_tables_or_csv_or_json() {
    let of_planes = script("SELECT name, carrier FROM airlines WHERE carrier IN ('AA', 'B6');");
    let (code, out, err) = run(&of_planes, &[]);
    assert_eq!((code, out.lines().last()), (0, Some("2 rows")), "{out}{err}");
    let (_, out, _) = run(&of_planes, &["--format", "csv"]);
    let mut lines: Vec<&str> = out.lines().collect();
    lines[1..].sort_unstable();
    assert_eq!(lines, ["name,carrier", "American Airlines Inc.,AA", "JetBlue Airways,B6"]);
}

#[test]
fn what_is_wrong_is_shown_where_it_is_before_anything_runs() {
    let script = script("INSERT INTO nowhere SELECT 1;\nSELECT carier FROM flights;");
    let (code, out, err) = run(&script, &[]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(
        err.contains("there is no table or view 'nowhere'") && err.contains("INSERT INTO nowhere"),
        "{err}"
    );
}

#[test]
fn a_script_writes_files() {
    let script = script(
        "CREATE TABLE counts (origin STRING, n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'csv');
         CREATE VIEW hours AS SELECT window_start, origin, COUNT(*) AS n
           FROM TABLE(TUMBLE(TABLE flights, DESCRIPTOR(sched_dep), INTERVAL '1' DAY))
           GROUP BY window_start, window_end, origin;
         INSERT INTO counts SELECT origin, n FROM hours WHERE origin = 'JFK';",
    );
    let (code, _, err) = run(&script, &[]);
    assert_eq!(code, 0, "{err}");
    let files = std::fs::read_dir(script.folder.path().join("out")).unwrap();
    let text: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let flights: u64 =
        text.lines().map(|line| line.rsplit(',').next().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!((text.lines().count(), flights), (31, 9_161));
}

#[test]
fn a_sink_that_takes_new_rows_only_is_refused_before_it_runs() {
    let script = script(
        "CREATE TABLE counts (origin STRING, n BIGINT) WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'csv');
         INSERT INTO counts SELECT origin, COUNT(*) FROM flights GROUP BY origin;",
    );
    let (code, _, err) = run(&script, &[]);
    assert_eq!(code, 1);
    assert!(err.contains("takes new rows only") && err.contains("GroupAggregate"), "{err}");
}
