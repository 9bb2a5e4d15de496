//! The same script gives the same table here and there.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Script, good};

/// The folders of golden queries: those of this repository, and those below the folder that `GOLDEN` names.
fn folders() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let roots = [Some(own), std::env::var_os("GOLDEN").map(PathBuf::from)];
    let mut folders: Vec<PathBuf> = roots
        .iter()
        .flatten()
        .flat_map(|root| std::fs::read_dir(root).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("tables.sql").exists())
        .collect();
    folders.sort();
    folders.dedup_by_key(|path| path.file_name().unwrap().to_owned());
    folders
}

/// Whether two values are the same: numbers that are no integers to nine digits.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
        }
        _ => one == other,
    }
}

/// Rows in an order in which those that are nearly the same stand in the same places.
fn table(text: &str) -> Vec<Value> {
    let mut rows: Vec<(String, Value)> = text
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let cells = row.as_array().unwrap().iter().map(|cell| match cell.as_f64() {
                Some(number) if cell.is_f64() => format!("{number:.7e}"),
                _ => cell.to_string(),
            });
            (cells.collect::<Vec<_>>().join(","), row)
        })
        .collect();
    rows.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The files of a folder that are packed, in another one: the distribution of Flink has no Zstandard.
fn unpacked(data: &Path) -> Option<tempfile::TempDir> {
    let files = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let packed: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().ends_with(".jsonl.zst")).collect();
    let folder = (!packed.is_empty()).then(|| tempfile::tempdir().unwrap())?;
    for path in packed {
        let to = folder.path().join(path.file_stem().unwrap());
        std::fs::write(to, zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap()).unwrap();
    }
    Some(folder)
}

/// The text of a file, which may be packed.
fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|_| {
        let packed = std::fs::File::open(path.with_extension("jsonl.zst")).unwrap();
        String::from_utf8(zstd::decode_all(packed).unwrap()).unwrap()
    })
}

fn difference(one: &[Value], other: &[Value]) -> Option<String> {
    if one.len() != other.len() {
        return Some(format!("{} rows and {} rows", one.len(), other.len()));
    }
    let (one, other) = one.iter().zip(other).find(|(one, other)| !is_same(one, other))?;
    Some(format!("{one} and {other}"))
}

#[test]
#[ignore = "needs a Flink cluster: make test-flink"]
fn golden_queries_give_the_same_tables_here_and_there() {
    let only = std::env::var("GOLDEN_ONLY").ok();
    let (mut compared, mut differ, mut missing) = (0, Vec::new(), Vec::new());
    for folder in folders() {
        let tables = std::fs::read_to_string(folder.join("tables.sql")).unwrap();
        let data = if tables.contains("${DATA}/match/") {
            folder.parent().unwrap().to_owned()
        } else {
            Some(folder.join("data")).filter(|data| data.exists()).unwrap_or(folder.clone())
        };
        let unpacked = unpacked(&data);
        let data = unpacked.as_ref().map_or(data.as_path(), |folder| folder.path());
        let tables = tables.replace("${DATA}", &format!("file://{}", data.display())).replace(".zst'", "'");
        let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let mut queries: Vec<PathBuf> = files
            .filter(|path| {
                path.extension().is_some_and(|ending| ending == "sql") && !path.ends_with("tables.sql")
            })
            .collect();
        queries.sort();
        for path in queries {
            let name =
                format!("{}/{}", folder.file_name().unwrap().display(), path.file_stem().unwrap().display());
            if only.as_ref().is_some_and(|only| !name.contains(only)) {
                continue;
            }
            let query = std::fs::read_to_string(&path).unwrap();
            let script = Script::new(&format!("{tables}\n{query}\n"));
            let here = script.run(&["--format", "jsonl"]);
            if here.code != 0 {
                let error = here.err.lines().find(|line| line.starts_with("error")).unwrap_or_default();
                missing.push(format!("{name}: {error}"));
                continue;
            }
            let there = script.submit(&["--format", "jsonl", "-D", "parallelism.default=1"]);
            let (here, there) = (table(&here.out), table(good(&there)));
            let expected = table(&text(&path.with_extension("expected.jsonl")));
            compared += 1;
            let wrong = difference(&here, &there).map(|what| format!("run and submit: {what}"));
            let wrong = wrong
                .or_else(|| difference(&there, &expected).map(|what| format!("submit and expected: {what}")));
            match wrong {
                Some(what) => differ.push(format!("{name}: {what}")),
                None => eprintln!("{name}: {} rows", here.len()),
            }
        }
    }
    eprintln!("{compared} queries compared");
    assert!(missing.is_empty(), "not run here:\n{}", missing.join("\n"));
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(compared > 0, "nothing was compared");
}

#[test]
#[ignore = "needs a Flink cluster: make test-flink"]
fn formats_of_results_are_the_same_here_and_there() {
    let script = Script::new(
        "SELECT a, b, CAST(a AS DECIMAL(10, 3)) AS d, CAST(NULL AS INT) AS n, t
         FROM (VALUES (1, 'x', TIMESTAMP '2020-01-02 03:04:05'), (2, 'y,\"z\"', TIMESTAMP '2020-01-02 03:04:05.678')) AS v (a, b, t);",
    );
    for format in ["table", "csv", "jsonl"] {
        let args = ["--format", format];
        assert_eq!(good(&script.submit(&args)), good(&script.run(&args)), "{format}");
    }
}

#[test]
#[ignore = "needs a Flink cluster: make test-flink"]
fn values_of_all_types_are_the_same_here_and_there() {
    let script = Script::new(
        "SELECT CAST('12345678901234567890.123' AS DECIMAL(38, 5)), CAST(1e300 AS DOUBLE), CAST(1.1 AS FLOAT), ARRAY[1, 2], MAP['k', 1.5],
           ROW(1, 'x', DATE '2020-01-02'), TIME '10:11:12', TIMESTAMP '2020-01-01 10:00:00.123456', X'00ff', TRUE, CAST('ab' AS CHAR(4)),
           CAST(5 AS TINYINT), CAST(-7 AS SMALLINT), CAST(9223372036854775807 AS BIGINT), 'ü\\n', CAST(NULL AS STRING);",
    );
    let args = ["--format", "jsonl"];
    assert_eq!(table(good(&script.submit(&args))), table(good(&script.run(&args))));
}
