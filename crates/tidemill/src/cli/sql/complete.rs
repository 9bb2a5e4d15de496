//! What the word before the cursor may become.

use std::path::Path;

use tidemill_core::config::options;
use tidemill_sql::parser::keywords;
use tidemill_sql::session::Names;

/// More than this are of no help.
const MOST: usize = 200;

/// What may stand at `at` in `line` instead of the word there, and where that word begins.
pub(super) fn candidates(names: &Names, line: &str, at: usize) -> (usize, Vec<String>) {
    let before = line.get(..at).unwrap_or(line);
    let (start, mut found) = match open_quote(before) {
        Some(start) => {
            (start, in_quotes(names, before.get(..start - 1).unwrap_or_default(), &before[start..]))
        }
        None => {
            let start = before.rfind(|c: char| !is_of_word(c)).map_or(0, |last| {
                last + before.get(last..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
            });
            (start, words(names, line, before.get(..start).unwrap_or_default(), &before[start..]))
        }
    };
    found.sort_unstable();
    found.dedup();
    found.truncate(MOST);
    (start, found)
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Behind the quote that is open at the end of a text.
fn open_quote(text: &str) -> Option<usize> {
    let mut open = None;
    for (at, c) in text.char_indices().filter(|(_, c)| *c == '\'') {
        open = match open {
            None => Some(at + c.len_utf8()),
            Some(_) => None,
        };
    }
    open
}

/// The word in front, in capitals.
fn last_word(text: &str) -> String {
    let text = text.trim_end();
    let start = text.rfind(|c: char| !is_of_word(c)).map_or(0, |at| at + 1);
    text.get(start..).unwrap_or_default().to_uppercase()
}

fn in_quotes(names: &Names, before: &str, typed: &str) -> Vec<String> {
    let trimmed = before.trim_end();
    match last_word(before).as_str() {
        "SET" | "RESET" => {
            return whole(typed, options::all().map(|option| option.meta().key));
        }
        "FROM" | "JOIN" => return files(typed),
        _ => {}
    }
    if trimmed.ends_with('=') {
        return match key_before(trimmed) {
            Some("connector") => whole(typed, names.connectors.iter().copied()),
            Some("format") => whole(typed, ["avro", "csv", "json", "parquet", "raw"]),
            Some("path") => files(typed),
            Some("sql-client.execution.result-mode") => whole(typed, ["table", "changelog", "tableau"]),
            _ => Vec::new(),
        };
    }
    if trimmed.ends_with('(') || trimmed.ends_with(',') {
        let options = names.table_options.iter().copied().map(|key| key.trim_end_matches(['*', '#']));
        return whole(typed, options.chain(["connector"]));
    }
    Vec::new()
}

/// Those of some texts that begin so, and the quote behind.
fn whole<'a>(typed: &str, texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let begun = texts.into_iter().filter(|text| text.starts_with(typed));
    begun.map(|text| format!("{text}'")).collect()
}

/// The key that stands in quotes before `=`.
fn key_before(text: &str) -> Option<&str> {
    let key = text.strip_suffix('=')?.trim_end().strip_suffix('\'')?;
    key.rsplit_once('\'').map(|(_, key)| key)
}

/// Files and folders that begin so.
fn files(typed: &str) -> Vec<String> {
    let (folder, begin) = typed.rsplit_once('/').map_or(("", typed), |(folder, begin)| (folder, begin));
    let place = match (folder, typed.starts_with('/')) {
        ("", true) => Path::new("/"),
        ("", false) => Path::new("."),
        (folder, _) => Path::new(folder),
    };
    let lead = typed.get(..typed.len() - begin.len()).unwrap_or_default();
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let is_wanted = name.starts_with(begin) && (begin.starts_with('.') || !name.starts_with('.'));
        is_wanted.then(|| format!("{lead}{name}{}", if entry.path().is_dir() { "/" } else { "'" }))
    });
    names.collect()
}

fn words(names: &Names, line: &str, before: &str, typed: &str) -> Vec<String> {
    let tables = names.tables.iter().map(|(name, _)| name.as_str());
    let begins = |name: &&str| name.get(..typed.len()).is_some_and(|start| start.eq_ignore_ascii_case(typed));
    // A column of a table that is named in front.
    if let Some(rest) = before.strip_suffix('.') {
        let start = rest.rfind(|c: char| !is_of_word(c)).map_or(0, |at| at + 1);
        let table = rest.get(start..).unwrap_or_default();
        let of_table = names.tables.iter().filter(|(name, _)| name.eq_ignore_ascii_case(table));
        return of_table
            .flat_map(|(_, columns)| columns)
            .map(String::as_str)
            .filter(begins)
            .map(str::to_owned)
            .collect();
    }
    let is_about_tables =
        ["FROM", "JOIN", "INTO", "TABLE", "DESCRIBE", "DESC", "VIEW"].contains(&last_word(before).as_str());
    if is_about_tables {
        let keywords = ["TABLE", "STATEMENT"].into_iter().filter(|_| !typed.is_empty());
        let found: Vec<String> = tables.clone().chain(keywords).filter(begins).map(str::to_owned).collect();
        if !found.is_empty() {
            return found;
        }
    }
    if last_word(before) == "USE" {
        return names.places.iter().map(String::as_str).filter(begins).map(str::to_owned).collect();
    }
    if typed.is_empty() {
        return Vec::new();
    }
    let is_lower = typed.chars().all(|c| !c.is_uppercase());
    let cased = |name: &str| if is_lower { name.to_lowercase() } else { name.to_uppercase() };
    // Columns of the tables that the statement names.
    let is_named = |table: &str| line.split(|c: char| !is_of_word(c)).any(|word| word == table);
    let columns = names.tables.iter().filter(|(name, _)| is_named(name)).flat_map(|(_, columns)| columns);
    let mut found: Vec<String> =
        columns.map(String::as_str).chain(tables).filter(begins).map(str::to_owned).collect();
    found.extend(keywords().filter(begins).map(cased));
    found.extend(names.functions.iter().map(String::as_str).filter(begins).map(|name| cased(name) + "("));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            tables: vec![
                ("flights".to_owned(), vec!["origin".to_owned(), "dest".to_owned()]),
                ("airlines".to_owned(), vec!["carrier".to_owned()]),
            ],
            functions: vec!["COUNT".to_owned(), "COUNTIF".to_owned(), "UPPER".to_owned()],
            places: vec!["default_database".to_owned()],
            table_options: vec!["path", "csv.header"],
            connectors: vec!["filesystem", "print"],
        }
    }

    fn found(line: &str) -> Vec<String> {
        // The cursor is where the bar is.
        let at = line.find('|').unwrap();
        let (start, found) = candidates(&names(), &line.replacen('|', "", 1), at);
        found.into_iter().map(|text| format!("{}{text}", &line[..start])).collect()
    }

    #[test]
    fn words_become_what_fits_there() {
        for (line, expected) in [
            ("SELECT * FROM fl|", &["SELECT * FROM flights"][..]),
            ("select upp|", &["select upper", "select upper("]),
            ("SELECT or| FROM flights", &["SELECT or", "SELECT order", "SELECT ordinal", "SELECT origin"]),
            ("SELECT flights.d|", &["SELECT flights.dest"]),
            ("CREATE TABLE t (a INT) WITH ('con|", &["CREATE TABLE t (a INT) WITH ('connector'"]),
            ("WITH ('connector' = 'fi|", &["WITH ('connector' = 'filesystem'"]),
            ("WITH ('a' = 'b', 'csv|", &["WITH ('a' = 'b', 'csv.header'"]),
            ("SET 'parallelism.d|", &["SET 'parallelism.default'"]),
            (
                "SET 'sql-client.execution.result-mode' = 'tablea|",
                &["SET 'sql-client.execution.result-mode' = 'tableau'"],
            ),
            ("USE def|", &["USE default_database"]),
            ("SELECT 'it''s' FROM air|", &["SELECT 'it''s' FROM airlines"]),
            ("SELECT 'x|", &[]),
            ("sel|", &["select"]),
            ("ü|", &[]),
        ] {
            assert_eq!(found(line), expected, "{line}");
        }
    }

    #[test]
    fn files_stand_in_quotes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("flights.csv"), "a\n").unwrap();
        std::fs::create_dir(folder.path().join("flown")).unwrap();
        let line = format!("SELECT * FROM '{}/fl", folder.path().display());
        let (start, found) = candidates(&names(), &line, line.len());
        let lead = format!("{}/", folder.path().display());
        assert_eq!((start, found), (15, vec![format!("{lead}flights.csv'"), format!("{lead}flown/")]));
    }
}
