//! Tables of files in scripts: partitions, formats, what is known of files, and how tables are created of queries.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs a script in a folder; answers its exit code, standard output and standard error.
fn run(folder: &Path, script: &str, args: &[&str]) -> (i32, String, String) {
    let path = folder.join("job.sql");
    std::fs::write(&path, script).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tidemill"))
        .arg("run")
        .arg(&path)
        .args(["--format", "jsonl", "-D", "tidemill.rest.enabled=false"])
        .args(args)
        .current_dir(folder)
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

/// The rows that the queries of a script end with, sorted.
fn rows(folder: &Path, script: &str, args: &[&str]) -> Vec<String> {
    let (code, out, err) = run(folder, script, args);
    assert_eq!(code, 0, "{err}");
    let compact = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap().to_string();
    let mut rows: Vec<String> = out.lines().map(compact).collect();
    rows.sort_unstable();
    rows
}

/// What is wrong with a script.
fn wrong(folder: &Path, script: &str) -> String {
    let (code, _, err) = run(folder, script, &[]);
    assert_eq!(code, 1, "{err}");
    err
}

/// The files in and below a folder, as paths from there.
fn files(folder: &Path) -> Vec<String> {
    fn below(folder: &Path, all: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { below(&path, all) } else { all.push(path) }
        }
    }
    let mut all = Vec::new();
    below(folder, &mut all);
    let mut all: Vec<String> =
        all.iter().map(|path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()).collect();
    all.sort();
    all
}

const VALUES: &str = "(1, 'x', '2020-01-01', '12:30'), (2, 'y', '2020-01-02', '12:30'), (3, CAST(NULL AS STRING), '2020-01-01', '00:00'), (4, 'z', CAST(NULL AS STRING), '00:00')";

#[test]
fn tables_in_partitions_are_written_and_read_in_all_formats() {
    let expected = [
        r#"[1,"x","2020-01-01","12:30"]"#,
        r#"[2,"y","2020-01-02","12:30"]"#,
        r#"[3,null,"2020-01-01","00:00"]"#,
        r#"[4,"z",null,"00:00"]"#,
    ];
    for format in ["csv", "json", "avro", "parquet"] {
        for args in [&[][..], &["-D", "execution.checkpointing.interval=10ms", "-D", "parallelism.default=2"]]
        {
            let dir = tempfile::tempdir().unwrap();
            let table = format!(
                "CREATE TABLE t (id INT, name STRING, dt DATE, hm STRING) PARTITIONED BY (dt, hm) WITH (
                   'connector' = 'filesystem', 'path' = 'out', 'format' = '{format}',
                   'sink.partition-commit.policy.kind' = 'success-file', 'sink.shuffle-by-partition.enable' = 'true');"
            );
            let (code, _, err) = run(
                dir.path(),
                &format!(
                    "{table} INSERT INTO t SELECT id, name, CAST(dt AS DATE), hm FROM (VALUES {VALUES}) AS v (id, name, dt, hm);"
                ),
                args,
            );
            assert_eq!(code, 0, "{format}: {err}");
            let written = files(&dir.path().join("out"));
            for folder in ["dt=2020-01-01/hm=12%3A30", "dt=__DEFAULT_PARTITION__/hm=00%3A00"] {
                let inside = |name: &&String| name.starts_with(folder);
                assert_eq!(written.iter().filter(inside).count(), 2, "{format}: {written:?}");
                assert!(written.contains(&format!("{folder}/_SUCCESS")), "{format}: {written:?}");
            }
            assert!(written.iter().all(|name| !name.contains("/.")), "{written:?}");
            // Without a literal for NULL, CSV has nothing for it but the empty text.
            let expected = expected
                .map(|row| if format == "csv" { row.replace("[3,null", "[3,\"\"") } else { row.to_owned() });
            assert_eq!(rows(dir.path(), &format!("{table} SELECT * FROM t;"), args), expected, "{format}");
            let pruned = format!("{table} SELECT id FROM t WHERE dt = DATE '2020-01-01' AND hm <> '12:30';");
            assert_eq!(rows(dir.path(), &pruned, args), ["[3]"], "{format}");
            let of_folders = format!("{table} SELECT hm, COUNT(*) FROM t GROUP BY hm;");
            assert_eq!(rows(dir.path(), &of_folders, args), [r#"["00:00",2]"#, r#"["12:30",2]"#], "{format}");
        }
    }
}

#[test]
fn folders_of_other_partitions_are_not_even_read() {
    let dir = tempfile::tempdir().unwrap();
    for (day, text) in [("2020-01-01", "1\n"), ("2020-01-02", "no number\n")] {
        let folder = dir.path().join("in").join(format!("dt={day}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("data"), text).unwrap();
    }
    let table = "CREATE TABLE t (id INT, dt DATE) PARTITIONED BY (dt)
                 WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');";
    let query = |condition: &str| format!("{table} SELECT id FROM t WHERE {condition};");
    assert_eq!(rows(dir.path(), &query("dt < DATE '2020-01-02' AND id > 0"), &[]), ["[1]"]);
    let (code, _, err) = run(dir.path(), &query("dt > DATE '2020-01-01'"), &[]);
    assert!(code != 0 && err.contains("'no number'"), "{err}");
}

#[test]
fn static_partitions_are_part_of_the_row() {
    let dir = tempfile::tempdir().unwrap();
    let table = "CREATE TABLE t (id INT, dt DATE, hm STRING) PARTITIONED BY (dt, hm)
                 WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'csv');";
    let script = format!(
        "{table} INSERT INTO t PARTITION (dt = '2021-05-05') SELECT 1, 'a';
         INSERT INTO t PARTITION (dt = '2021-05-05', hm = 'b') (id) SELECT 2;
         SELECT * FROM t;"
    );
    assert_eq!(rows(dir.path(), &script, &[]), [r#"[1,"2021-05-05","a"]"#, r#"[2,"2021-05-05","b"]"#]);
    let error = wrong(
        dir.path(),
        &format!("{table} INSERT INTO t PARTITION (id = 1) SELECT DATE '2021-05-05', 'a';"),
    );
    assert!(error.contains("is not partitioned by 'id'") && error.contains("dt, hm"), "{error}");
    let error = wrong(dir.path(), &format!("{table} INSERT OVERWRITE t SELECT 1, DATE '2021-05-05', 'a';"));
    assert!(error.contains("for batch jobs only"), "{error}");
}

#[test]
fn what_is_known_of_files_is_read_as_columns() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("in")).unwrap();
    std::fs::write(dir.path().join("in/a.csv"), "7,seven\n").unwrap();
    let table = |metadata: &str| {
        format!(
            "CREATE TABLE t (id INT, {metadata}, name STRING) WITH ('connector' = 'filesystem', 'path' = 'in', 'format' = 'csv');"
        )
    };
    let all = table(
        "`file.path` STRING NOT NULL METADATA VIRTUAL, f STRING METADATA FROM 'file.name', f2 STRING METADATA FROM 'file.name' VIRTUAL,
         size BIGINT METADATA FROM 'file.size' VIRTUAL, changed TIMESTAMP_LTZ(3) METADATA FROM 'file.modification-time' VIRTUAL",
    );
    let query =
        format!("{all} SELECT id, f, name, size, f2, changed > TIMESTAMP '2020-01-01 00:00:00' FROM t;");
    assert_eq!(rows(dir.path(), &query, &[]), [r#"[7,"a.csv","seven",8,"a.csv",true]"#]);
    assert_eq!(rows(dir.path(), &format!("{all} SELECT `file.path` FROM t;"), &[]), [r#"["in/a.csv"]"#]);
    let unknown = table("x STRING METADATA FROM 'file.nam' VIRTUAL");
    let error = wrong(dir.path(), &format!("{unknown} SELECT x FROM t;"));
    assert!(error.contains("metadata 'file.nam'") && error.contains("did you mean 'file.name'?"), "{error}");
    let unknown = table("x STRING METADATA FROM 'owner' VIRTUAL");
    let error = wrong(dir.path(), &format!("{unknown} SELECT x FROM t;"));
    assert!(error.contains("'file.modification-time' TIMESTAMP_LTZ(3)"), "{error}");
    let other_type = table("x INT METADATA FROM 'file.size' VIRTUAL");
    let error = wrong(dir.path(), &format!("{other_type} SELECT x FROM t;"));
    assert!(error.contains("is BIGINT"), "{error}");
    let error = wrong(dir.path(), &format!("{all} INSERT INTO t SELECT 1, 'a', 'b';"));
    assert!(error.contains("VIRTUAL") && error.contains("'f'"), "{error}");
    // Virtual ones are not written.
    let script = format!(
        "{} INSERT INTO t /*+ OPTIONS('path' = 'out') */ SELECT 1, 'one'; SELECT id, name FROM t /*+ OPTIONS('path' = 'out') */;",
        table("size BIGINT METADATA FROM 'file.size' VIRTUAL")
    );
    assert_eq!(rows(dir.path(), &script, &[]), [r#"[1,"one"]"#]);
}

#[test]
fn tables_are_created_of_queries() {
    let dir = tempfile::tempdir().unwrap();
    let with = "WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'json')";
    let source = format!("CREATE VIEW v AS SELECT * FROM (VALUES {VALUES}) AS v (id, name, dt, hm);");
    let script = format!(
        "{source} CREATE TABLE t {with} AS SELECT id, UPPER(name) AS name FROM v WHERE id < 3; SELECT * FROM t; DESCRIBE t;"
    );
    let found = rows(dir.path(), &script, &[]);
    assert!(
        found.contains(&r#"[1,"X"]"#.to_owned()) && found.contains(&r#"[2,"Y"]"#.to_owned()),
        "{found:?}"
    );
    assert!(found.iter().any(|row| row.starts_with(r#"["id","INT""#)), "{found:?}");
    std::fs::remove_dir_all(dir.path().join("out")).unwrap();
    let script = format!(
        "{source} CREATE TABLE t (extra STRING, twice AS id * 2, id BIGINT) PARTITIONED BY (dt) {with} AS
         SELECT name, id, dt FROM v WHERE id = 1; SELECT extra, twice, name, id, dt FROM t;"
    );
    assert_eq!(rows(dir.path(), &script, &[]), [r#"[null,2,"x",1,"2020-01-01"]"#]);
    assert!(files(&dir.path().join("out"))[0].starts_with("dt=2020-01-01/"));
    std::fs::remove_dir_all(dir.path().join("out")).unwrap();
    let script = format!(
        "{source} CREATE TABLE t (name, id) {with} AS SELECT id, name FROM v WHERE id = 2; SELECT * FROM t;"
    );
    assert_eq!(rows(dir.path(), &script, &[]), [r#"["y",2]"#]);
    for (statement, expected) in [
        (format!("CREATE TABLE t {with} AS SELECT id, id FROM v;"), "two columns 'id'"),
        (format!("CREATE TABLE t (name) {with} AS SELECT id, name FROM v;"), "1 columns are named"),
        (format!("CREATE TABLE t (nam, id) {with} AS SELECT id, name FROM v;"), "did you mean 'name'?"),
        (format!("CREATE TABLE t (id AS 1) {with} AS SELECT id FROM v;"), "computed or metadata"),
        ("CREATE TABLE t WITH ('connector' = 'nothing') AS SELECT id FROM v;".to_owned(), "'nothing'"),
        (
            format!("CREATE TABLE t (c AS 1) PARTITIONED BY (c) {with} AS SELECT id FROM v;"),
            "partitioned by columns",
        ),
    ] {
        let error = wrong(dir.path(), &format!("{source} {statement}"));
        assert!(error.contains(expected), "{statement}: {error}");
    }
}

#[test]
fn options_that_make_no_sense_are_refused_with_what_would() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&str, &str, &str); 18] = [
        ("'format' = 'orc'", "SELECT * FROM t", "there are csv, json, avro, parquet, raw"),
        ("'format' = 'exel'", "SELECT * FROM t", "one of csv, json, avro, parquet, raw is expected"),
        (
            "'format' = 'csv', 'csv.field-delimeter' = ';'",
            "SELECT * FROM t",
            "did you mean 'csv.field-delimiter'?",
        ),
        (
            "'format' = 'csv', 'json.ignore-parse-errors' = 'true'",
            "SELECT * FROM t",
            "the format of the table is 'csv'",
        ),
        (
            "'format' = 'csv', 'csv.disable-quote-character' = 'true', 'csv.quote-character' = '~'",
            "SELECT * FROM t",
            "'csv.disable-quote-character' is true",
        ),
        (
            "'format' = 'json', 'json.fail-on-missing-field' = 'true', 'json.ignore-parse-errors' = 'true'",
            "SELECT * FROM t",
            "cannot be true together",
        ),
        ("'format' = 'json', 'json.map-null-key.mode' = 'SKIP'", "SELECT * FROM t", "FAIL, DROP or LITERAL"),
        ("'format' = 'raw'", "SELECT * FROM t", "has one column"),
        ("'format' = 'avro', 'avro.codec' = 'lzo'", "SELECT * FROM t", "snappy"),
        ("'format' = 'parquet', 'parquet.compression' = 'LZO'", "SELECT * FROM t", "UNCOMPRESSED, SNAPPY"),
        (
            "'format' = 'parquet', 'parquet.timestamp.time.unit' = 'millis'",
            "SELECT * FROM t",
            "parquet.write.int64.timestamp",
        ),
        (
            "'format' = 'csv', 'auto-compaction' = 'true'",
            "INSERT INTO t SELECT 1, 'a'",
            "files are not merged",
        ),
        (
            "'format' = 'csv', 'sink.partition-commit.delay' = '1 h'",
            "INSERT INTO t SELECT 1, 'a'",
            "'sink.partition-commit.policy.kind' = 'success-file'",
        ),
        (
            "'format' = 'csv', 'sink.partition-commit.policy.kind' = 'metastore,success-file'",
            "INSERT INTO t SELECT 1, 'a'",
            "only success-file is supported",
        ),
        (
            "'format' = 'csv', 'sink.partition-commit.policy.kind' = 'success-file'",
            "INSERT INTO t SELECT 1, 'a'",
            "not PARTITIONED BY",
        ),
        (
            "'format' = 'csv', 'sink.shuffle-by-partition.enable' = 'true'",
            "INSERT INTO t SELECT 1, 'a'",
            "not PARTITIONED BY",
        ),
        (
            "'format' = 'csv', 'source.monitor-interval' = 'often'",
            "SELECT * FROM t",
            "a duration is expected",
        ),
        ("'format' = 'csv', 'source.path.regex-pattern' = '('", "SELECT * FROM t", "is not a pattern"),
    ];
    for (options, statement, expected) in cases {
        let script = format!(
            "CREATE TABLE t (id INT, name STRING) WITH ('connector' = 'filesystem', 'path' = 'files', {options}); {statement};"
        );
        let error = wrong(dir.path(), &script);
        assert!(error.contains(expected), "{options}: {error}");
    }
}

#[test]
fn options_of_formats_have_their_effects() {
    let dir = tempfile::tempdir().unwrap();
    let table = |format: &str, path: &str| {
        format!(
            "CREATE TABLE {path} (id INT, price DECIMAL(10, 2), name STRING, tags ARRAY<STRING>, made TIMESTAMP(3)) WITH (
               'connector' = 'filesystem', 'path' = '{path}', {format});
             INSERT INTO {path} VALUES (1, 100.00, 'a;b', ARRAY['x', 'y'], TIMESTAMP '2020-01-01 00:00:00'),
               (2, CAST(NULL AS DECIMAL(10, 2)), 'it''s', ARRAY['z'], CAST(NULL AS TIMESTAMP(3)));"
        )
    };
    let csv = "'format' = 'csv', 'csv.field-delimiter' = ';', 'csv.quote-character' = '''', 'csv.array-element-delimiter' = '|',
               'csv.null-literal' = 'NA', 'csv.escape-character' = '\\', 'csv.write-bigdecimal-in-scientific-notation' = 'false'";
    let plain = "'format' = 'csv', 'csv.disable-quote-character' = 'true', 'csv.field-delimiter' = '\\t'";
    let json = "'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601', 'json.encode.decimal-as-plain-number' = 'true',
                'json.encode.ignore-null-fields' = 'true'";
    let script =
        [table(csv, "c"), table(plain, "p"), table(json, "j"), table("'format' = 'json'", "d")].concat();
    let queries = "SELECT id, price, name, tags, made FROM c; SELECT id, price, name, tags, made FROM j;";
    let found = rows(dir.path(), &format!("{script} {queries}"), &[]);
    assert_eq!(found.len(), 4);
    assert_eq!((&found[0], &found[2]), (&found[1], &found[3]), "both formats have the same rows");
    let text = |name: &str| {
        let folder = dir.path().join(name);
        let lines: String =
            files(&folder).iter().map(|file| std::fs::read_to_string(folder.join(file)).unwrap()).collect();
        lines
    };
    assert_eq!(text("c"), "1;100;'a;b';x|y;2020-01-01 00:00:00\n2;NA;'it\\'s';z;NA\n");
    assert_eq!(text("p"), "1\t1E+2\ta;b\tx;y\t2020-01-01 00:00:00\n2\t\tit's\tz\t\n");
    assert_eq!(
        text("j"),
        "{\"id\":1,\"price\":100,\"name\":\"a;b\",\"tags\":[\"x\",\"y\"],\"made\":\"2020-01-01T00:00:00\"}\n{\"id\":2,\"name\":\"it's\",\"tags\":[\"z\"]}\n"
    );
    assert_eq!(
        text("d"),
        "{\"id\":1,\"price\":1E+2,\"name\":\"a;b\",\"tags\":[\"x\",\"y\"],\"made\":\"2020-01-01 00:00:00\"}\n{\"id\":2,\"price\":null,\"name\":\"it's\",\"tags\":[\"z\"],\"made\":null}\n"
    );
}

#[test]
fn lines_that_cannot_be_read_are_errors_or_skipped() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("in.csv"), "# a comment\n1,a\nx,b\n").unwrap();
    std::fs::write(dir.path().join("in.json"), "{\"id\":1,\"name\":\"a\"}\n{\"id\":\"x\"}\n{\"id\":2}\n")
        .unwrap();
    let script = |path: &str, options: &str| {
        format!(
            "CREATE TABLE t (id INT, name STRING) WITH ('connector' = 'filesystem', 'path' = '{path}', {options}); SELECT * FROM t;"
        )
    };
    let csv = "'format' = 'csv', 'csv.allow-comments' = 'true'";
    let error = run(dir.path(), &script("in.csv", csv), &[]).2;
    assert!(error.contains("line 3") && error.contains("csv.ignore-parse-errors"), "{error}");
    let skipping = format!("{csv}, 'csv.ignore-parse-errors' = 'true'");
    assert_eq!(rows(dir.path(), &script("in.csv", &skipping), &[]), [r#"[1,"a"]"#, r#"[null,"b"]"#]);
    let error = run(dir.path(), &script("in.json", "'format' = 'json'"), &[]).2;
    assert!(error.contains("line 2"), "{error}");
    let skipping = "'format' = 'json', 'json.ignore-parse-errors' = 'true'";
    assert_eq!(
        rows(dir.path(), &script("in.json", skipping), &[]),
        [r#"[1,"a"]"#, "[2,null]", "[null,null]"]
    );
    std::fs::write(dir.path().join("in.json"), "{\"id\":2}\n").unwrap();
    let strict = "'format' = 'json', 'json.fail-on-missing-field' = 'true'";
    let error = run(dir.path(), &script("in.json", strict), &[]).2;
    assert!(error.contains("'name'"), "{error}");
}

#[test]
fn rows_that_are_made_up_end_with_a_sequence_that_nobody_reads() {
    let dir = tempfile::tempdir().unwrap();
    let table = |options: &str| {
        format!(
            "CREATE TABLE t (id BIGINT, name STRING) WITH ('connector' = 'datagen', 'rows-per-second' = '100000', {options});"
        )
    };
    let sequence = "'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '10'";
    let query = "SELECT CHAR_LENGTH(name) AS n FROM t;";
    let names = format!("{} {query}", table(&format!("{sequence}, 'fields.name.length' = '3'")));
    assert_eq!(rows(dir.path(), &names, &[]), ["[3]"; 10]);
    let fewer = format!(
        "{} {query}",
        table(&format!("{sequence}, 'number-of-rows' = '4', 'fields.name.length' = '3'"))
    );
    assert_eq!(rows(dir.path(), &fewer, &[]).len(), 4);
    let nulls =
        format!("{} SELECT name FROM t;", table("'number-of-rows' = '5', 'fields.name.null-rate' = '1'"));
    assert_eq!(rows(dir.path(), &nulls, &[]), ["[null]"; 5]);
    let error = wrong(dir.path(), &format!("{} {query}", table("'fields.nam.length' = '3'")));
    assert!(error.contains("no such column") && error.contains("id, name"), "{error}");
}

#[test]
fn printed_rows_carry_their_identifier() {
    let dir = tempfile::tempdir().unwrap();
    let script = |options: &str| {
        format!(
            "CREATE TABLE p (id INT, name STRING) WITH ('connector' = 'print'{options}); INSERT INTO p SELECT 1, 'a';"
        )
    };
    let (code, out, _) = run(dir.path(), &script(", 'print-identifier' = 'mine'"), &[]);
    assert_eq!((code, out.as_str()), (0, "mine> +I[1, a]\n"));
    let (code, out, err) = run(dir.path(), &script(", 'standard-error' = 'true'"), &[]);
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.contains("+I[1, a]"), "{err}");
    let error = wrong(dir.path(), &script(", 'standard-eror' = 'true'"));
    assert!(error.contains("did you mean 'standard-error'?"), "{error}");
}
