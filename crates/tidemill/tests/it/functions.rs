//! A program with functions of its own: `examples/functions.rs`.

use std::process::{Command, Stdio};

use super::{Folder, Run, example};

fn run(script: &str) -> Run {
    let folder = Folder::new();
    let path = folder.file("job.sql", script);
    let output = Command::new(example("functions"))
        .args(["run", &path, "--format", "jsonl", "-D", "tidemill.rest.enabled=false"])
        .env_remove("TIDEMILL_CONF_DIR")
        .env_remove("FLINK_CONF_DIR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn the_example_calls_functions_of_its_own() {
    let run = run(include_str!("../../../../examples/functions.sql"));
    assert_eq!(run.code, 0, "{}", run.err);
    let mut lines: Vec<&str> = run.out.lines().collect();
    lines.sort_unstable();
    let expected = [
        r#"["Ada Lovelace", "AL"]"#,
        r#"["Ada Lovelace", "analyst", 1]"#,
        r#"["Ada Lovelace", "engine", 2]"#,
        r#"["Ada Lovelace", "notes", 3]"#,
        r#"["Alan Turing", "AT"]"#,
        r#"["Alan Turing", "machine", 1]"#,
        r#"["Grace Hopper", "GH"]"#,
        r#"["Grace Hopper", "compiler", 1]"#,
        r#"["Grace Hopper", "notes", 2]"#,
        r#"["Kurt Gödel", "KG"]"#,
        r#"["Kurt Gödel", null, null]"#,
        r#"["analyst", 1.0]"#,
        r#"["compiler", 4.0]"#,
        r#"["engine", 1.0]"#,
        r#"["machine", 2.0]"#,
        r#"["notes", 2.0]"#,
    ];
    let (means, rest): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| line.starts_with("[1."));
    assert_eq!(rest, expected, "{}", run.out);
    // Of 1, 1, 1, 1 and 2.
    let mean: f64 = means[0].trim_matches(['[', ']']).parse().unwrap();
    assert!((mean - 2f64.powf(0.2)).abs() < 1e-9, "{mean}");
}

#[test]
fn functions_of_ones_own_are_shown_described_and_meant() {
    let shown = run("SHOW USER FUNCTIONS; DESCRIBE FUNCTION words;");
    assert_eq!(shown.code, 0, "{}", shown.err);
    let names = ["[\"geometric_mean\"]", "[\"initials\"]", "[\"words\"]"];
    assert!(names.iter().all(|name| shown.out.contains(name)), "{}", shown.out);
    assert!(shown.out.contains("A row for each word, with its place."), "{}", shown.out);
    let misspelled = run("SELECT INITIALZ('a b');");
    assert!(
        misspelled.code == 1 && misspelled.err.contains("did you mean 'INITIALS'?"),
        "{}",
        misspelled.err
    );
    let wrong = run("SELECT INITIALS(1, 2);");
    assert!(wrong.code == 1 && wrong.err.contains("expects (STRING)"), "{}", wrong.err);
    let misplaced = run("SELECT WORDS('a');");
    assert!(misplaced.code == 1 && misplaced.err.contains("LATERAL TABLE(WORDS(…))"), "{}", misplaced.err);
}

#[test]
fn functions_in_other_languages_are_refused_with_a_hint() {
    for statement in ["CREATE FUNCTION f AS 'com.example.F' LANGUAGE PYTHON", "ADD JAR '/tmp/f.jar'"] {
        let refused = run(&format!("{statement};"));
        assert!(refused.code == 1 && refused.err.contains("tidemill::Cli::new()"), "{}", refused.err);
    }
}
