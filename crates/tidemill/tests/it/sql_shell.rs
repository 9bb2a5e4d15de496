//! `tidemill sql` on a terminal, as somebody uses it who types.

use rustix::process::Signal;

use super::pseudo_terminal::{CTRL_A, CTRL_C, CTRL_D, ENTER, TAB, Terminal, UP};

const FLIGHTS: &str = "origin,dest,delay\nJFK,LAX,12\nLGA,ORD,-3\nJFK,SFO,5\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("flights.csv"), FLIGHTS).unwrap();
    folder
}

fn shell(folder: &tempfile::TempDir, arguments: &[&str]) -> Terminal {
    let arguments = [&["sql", "-D", "rest.bind-port=0"], arguments].concat();
    let mut shell = Terminal::tidemill(folder.path(), &arguments);
    shell.wait_for_prompt();
    shell
}

const TABLEAU: [&str; 2] = ["-D", "sql-client.execution.result-mode=tableau"];

/// Rows without end, one every few milliseconds.
const ENDLESS: &str = "CREATE TABLE ticks (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '100', 'fields.n.kind' = 'random');";

#[test]
fn a_statement_goes_over_several_lines_up_to_its_semicolon() {
    let folder = folder();
    let mut shell = shell(&folder, &TABLEAU);
    shell.enter("SELECT origin,");
    shell.enter("  COUNT(*) AS n -- how many;");
    shell.enter("FROM 'flights.csv' GROUP BY origin ORDER BY origin;");
    let text = shell.wait_for("Received a total of 2 rows");
    assert!(text.contains("| op |                         origin |                    n |"), "{text}");
    assert!(text.contains("| +I |                            JFK |                    2 |"), "{text}");
    shell.wait_for_prompt();
    // The whole statement comes back.
    shell.press(UP);
    shell.wait_until("the statement", |text| text.trim_end().ends_with("GROUP BY origin ORDER BY origin;"));
    shell.press(ENTER);
    shell.wait_until("the result again", |text| text.matches("Received a total of 2 rows").count() == 2);
    shell.press(CTRL_D);
    assert_eq!(shell.end().0, 0);
}

#[test]
fn what_is_wrong_is_told_within_what_was_typed_and_the_shell_goes_on() {
    let folder = folder();
    let mut shell = shell(&folder, &TABLEAU);
    shell.enter("SELECT orgin");
    shell.enter("FROM 'flights.csv';");
    let text = shell.wait_for("did you mean");
    assert!(text.contains("line 1, column 8") && text.contains("1 | SELECT orgin"), "{text}");
    shell.wait_for_prompt();
    shell.enter("SELECT * FROM 'flihgts.csv';");
    let text = shell.wait_for("did you mean 'flights.csv'?");
    assert!(text.contains("there is no file 'flihgts.csv'") && text.contains("line 1, column 15"), "{text}");
    shell.enter("SELECT 1 AS a;");
    shell.wait_for("Received a total of 1 row");
    shell.wait_for_prompt();
    shell.enter("SET 'sql-client.execution.result-mode' = 'tabel';");
    shell.wait_for("cannot be 'tabel'");
    shell.wait_for_prompt();
    shell.enter("quit");
    assert_eq!(shell.end().0, 0);
}

#[test]
fn lines_are_edited_completed_and_remembered() {
    let folder = folder();
    let mut first = shell(&folder, &TABLEAU);
    first.press("1 AS a;");
    first.press(CTRL_A);
    first.press("SELECT ");
    first.enter("");
    first.wait_for("Received a total of 1 row");
    first.wait_for_prompt();
    first.press("SELECT origin FROM 'fli");
    first.press(TAB);
    first.wait_for("FROM 'flights.csv'");
    first.enter(" WHERE delay > 10;");
    first.wait_for("|                            JFK |");
    first.wait_for_prompt();
    // Ctrl-C empties the line.
    first.press("SELECT nothing");
    first.wait_for("SELECT nothing");
    first.press(CTRL_C);
    first.wait_for_prompt();
    first.enter("EXIT;");
    assert_eq!(first.end().0, 0);
    assert!(folder.path().join("tidemill/sql-history").exists());

    let mut second = shell(&folder, &TABLEAU);
    second.press(UP);
    second.wait_until("the last line", |text| text.trim_end().ends_with("EXIT;"));
    second.press(UP);
    second.wait_for("SELECT origin FROM 'flights.csv' WHERE delay > 10;");
    second.press(ENTER);
    second.wait_for("Received a total of 1 row");
}

#[test]
fn the_table_is_updated_in_place() {
    let folder = folder();
    let mut shell = shell(&folder, &[]);
    shell.enter("CREATE TABLE ticks (k INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000',");
    shell.enter("  'fields.k.min' = '1', 'fields.k.max' = '3');");
    shell.wait_for("succeeded");
    shell.enter("SELECT k, COUNT(*) AS n FROM ticks GROUP BY k ORDER BY k LIMIT 10;");
    let text = shell.wait_until("three rows", |text| {
        text.contains("SQL Query Result (Table)")
            && text.contains("Rows: 3")
            && text.contains("Query: running")
    });
    let count = |text: &str| -> u64 {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some("1")).unwrap();
        line.split_whitespace().last().unwrap().parse().unwrap()
    };
    let before = count(&text);
    // The same rows stand at the same place with other figures.
    let later = shell.wait_until("another count", |text| text.contains("Rows: 3") && count(text) > before);
    let keys = |text: &str| -> Vec<String> {
        text.lines()
            .skip(4)
            .take(3)
            .map(|line| line.split_whitespace().next().unwrap_or("").to_owned())
            .collect()
    };
    assert_eq!(keys(&later), ["1", "2", "3"], "{later}");
    shell.press("q");
    let text = shell.wait_for("Result retrieval cancelled.");
    assert!(!text.contains("SQL Query Result"), "{text}");
    shell.wait_for_prompt();
    shell.enter("SHOW JOBS;");
    shell.wait_for("CANCELED");
    shell.wait_for_prompt();
    shell.press(CTRL_D);
    assert_eq!(shell.end().0, 0);
}

#[test]
fn a_bounded_table_stays_until_it_is_left_and_pages_are_turned() {
    let folder = folder();
    let mut shell = shell(&folder, &[]);
    let rows: Vec<String> = (1..=50).map(|number| format!("({number})")).collect();
    std::fs::write(
        folder.path().join("rows.sql"),
        format!("CREATE VIEW numbers AS SELECT * FROM (VALUES {}) AS t (n);", rows.join(", ")),
    )
    .unwrap();
    let mut with_rows = self::shell(&folder, &["-i", "rows.sql"]);
    with_rows.enter("SELECT n FROM numbers ORDER BY n DESC;");
    let text = with_rows.wait_for("Query: finished");
    assert!(text.contains("Page: 1 of 3") && text.contains(" 50\n") && !text.contains(" 10\n"), "{text}");
    with_rows.press("n");
    with_rows.wait_until("the second page", |text| text.contains("Page: 2 of 3") && text.contains(" 30\n"));
    with_rows.press("l");
    with_rows.wait_until("the last page", |text| text.contains("Page: Last of 3") && text.contains(" 1\n"));
    with_rows.press("h");
    with_rows.wait_for("back to the shell");
    with_rows.press("hq");
    with_rows.wait_for("The query has ended with 50 rows.");
    shell.enter("SET 'sql-client.execution.result-mode' = 'changelog';");
    shell.wait_for("succeeded");
    shell.enter("SELECT origin, COUNT(*) AS n FROM 'flights.csv' GROUP BY origin;");
    let text = shell.wait_for("Query: finished");
    assert!(
        text.contains("SQL Query Result (Changelog)") && text.contains("+I") && text.contains(" op "),
        "{text}"
    );
    shell.press(CTRL_C);
    shell.wait_for("The query has ended with");
}

#[test]
fn ctrl_c_ends_the_query_but_not_the_shell() {
    let folder = folder();
    let mut shell = shell(&folder, &TABLEAU);
    shell.enter(ENDLESS);
    shell.wait_for("succeeded");
    shell.enter("SELECT n FROM ticks;");
    shell.wait_for("| +I |");
    shell.press(CTRL_C);
    shell.wait_for("Query terminated, received a total of");
    shell.wait_for_prompt();
    shell.enter("SELECT 7 AS seven;");
    shell.wait_for("Received a total of 1 row");
    shell.wait_for_prompt();
    shell.press(CTRL_D);
    assert_eq!(shell.end().0, 0);
}

#[test]
fn jobs_run_in_the_background_and_are_shown_and_stopped() {
    let folder = folder();
    let savepoints = folder.path().join("savepoints").display().to_string();
    let option = format!("execution.checkpointing.savepoint-dir={savepoints}");
    let mut shell = shell(&folder, &[&TABLEAU[..], &["-D", &option]].concat());
    shell.enter(ENDLESS);
    shell.enter("CREATE TABLE nowhere (n BIGINT) WITH ('connector' = 'blackhole');");
    shell.enter("INSERT INTO nowhere SELECT n FROM ticks;");
    let text = shell.wait_for("Job ID: ");
    let id: String = text.split("Job ID: ").nth(1).unwrap().chars().take(32).collect();
    shell.wait_for_prompt();
    shell.enter("SHOW JOBS;");
    shell.wait_until("the job", |text| text.contains(&format!("| {id} |")) && text.contains("RUNNING"));
    shell.wait_for_prompt();
    shell.enter("clear");
    shell.enter(&format!("DESCRIBE JOB '{id}';"));
    shell.wait_until("the job", |text| text.contains("insert-into_nowhere") && text.contains("1 row in set"));
    shell.wait_for_prompt();
    shell.enter("STOP JOB 'x';");
    shell.wait_for("this shell has started no job 'x'");
    shell.wait_for_prompt();
    shell.enter(&format!("STOP JOB '{id}' WITH SAVEPOINT;"));
    shell.wait_for("savepoint path");
    shell.wait_for(&folder.path().file_name().unwrap().to_string_lossy());
    shell.wait_for_prompt();
    assert_eq!(std::fs::read_dir(savepoints).unwrap().count(), 1);
    shell.enter("clear");
    shell.enter("SHOW JOBS;");
    shell.wait_for("FINISHED");
    // Nothing runs: nothing is asked.
    shell.enter("quit;");
    assert_eq!(shell.end().0, 0);
}

#[test]
fn who_leaves_is_asked_about_jobs_that_run() {
    let folder = folder();
    let mut shell = shell(&folder, &TABLEAU);
    shell.enter(ENDLESS);
    shell.enter("CREATE TABLE nowhere (n BIGINT) WITH ('connector' = 'blackhole');");
    shell.enter("INSERT INTO nowhere SELECT n FROM ticks;");
    shell.wait_for("Job ID: ");
    shell.wait_for_prompt();
    shell.press(CTRL_D);
    shell.wait_for("A job runs: [c]ancel and leave");
    shell.enter("s");
    shell.wait_for_prompt();
    shell.enter("QUIT;");
    shell.wait_until("the question again", |text| text.matches("A job runs:").count() == 2);
    shell.enter("w");
    shell.wait_for("Waiting for the job");
    shell.press(CTRL_C);
    assert_eq!(shell.end().0, 0);

    let mut other = self::shell(&folder, &[&TABLEAU[..], &["--on-exit", "cancel"]].concat());
    other.enter(ENDLESS);
    other.enter("CREATE TABLE nowhere (n BIGINT) WITH ('connector' = 'blackhole');");
    other.enter("INSERT INTO nowhere SELECT n FROM ticks;");
    other.wait_for("Job ID: ");
    other.wait_for_prompt();
    other.press(CTRL_D);
    assert_eq!(other.end().0, 0);
}

#[test]
fn what_jobs_print_does_not_spoil_the_line() {
    let folder = folder();
    let mut shell = shell(&folder, &TABLEAU);
    shell.enter("CREATE TABLE shown (n INT) WITH ('connector' = 'print');");
    shell.wait_for("succeeded");
    shell.enter("INSERT INTO shown VALUES (11), (12);");
    let text = shell.wait_until("the rows", |text| {
        text.contains("+I[11]") && text.contains("+I[12]") && text.trim_end().ends_with("Tidemill SQL>")
    });
    assert!(text.lines().any(|line| line == "+I[11]"), "{text}");
    shell.enter("SET 'table.dml-sync' = 'true';");
    shell.enter("INSERT INTO shown VALUES (13);");
    let text = shell.wait_for("Complete execution of the SQL update statement.");
    assert!(text.contains("+I[13]"), "{text}");
    shell.wait_for_prompt();
    shell.press(CTRL_D);
    assert_eq!(shell.end().0, 0);
}

#[test]
fn a_shell_that_is_told_to_end_ends_its_jobs() {
    let folder = folder();
    let mut shell = shell(&folder, &TABLEAU);
    shell.enter(ENDLESS);
    shell.enter("SELECT n FROM ticks;");
    shell.wait_for("| +I |");
    shell.signal(Signal::TERM);
    assert_eq!(shell.end().0, 143);
}
