//! The files that are generated from the declarations are up to date. With `TIDEMILL_BLESS=1` they are written.

use std::path::Path;

use tidemill_core::config::{options, render};

use super::{Folder, tidemill};

fn assert_up_to_date(path: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("TIDEMILL_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, expected).unwrap();
    }
    let actual = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "{} is not what the declarations say; run TIDEMILL_BLESS=1 cargo test --release -p tidemill generated",
        path.display()
    );
}

#[test]
fn documentation_and_sample_are_up_to_date() {
    assert_up_to_date("docs/configuration.md", &render::docs());
    assert_up_to_date("conf/config.yaml", &render::sample());
    assert_up_to_date("docs/functions.md", &tidemill_sql::functions::reference::page());
}

#[test]
fn the_sample_can_be_used_as_it_is_and_with_every_line_in_effect() {
    let folder = Folder::new();
    let sample = render::sample();
    let run = tidemill(&["config", "check", "--strict", &folder.file("config.yaml", &sample)]);
    assert_eq!(
        (run.code, run.out.contains("no keys, no errors, no warnings, no notes")),
        (0, true),
        "{}",
        run.out
    );

    // A key that has no default stays without a value.
    let active: String = sample
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line).to_owned() + "\n"
        })
        .collect();
    let run = tidemill(&["config", "check", &folder.file("config.yaml", &active)]);
    let with_default = options::all().filter(|option| option.meta().default.is_some()).count();
    assert_eq!(run.code, 0, "{}", run.out);
    assert!(run.out.contains(&format!("{with_default} keys, no errors")), "{}", run.out);
}

#[test]
fn the_example_in_the_documentation_is_what_the_command_prints() {
    let run = tidemill(&["memory", "-D", "taskmanager.memory.process.size=8g"]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/memory.md");
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page.contains(&run.out), "docs/memory.md must show:\n{}", run.out);
}
