//! The queries of Nexmark, and the scripts that they are run as.

use std::fmt::Write;

use super::figures::SourceColumn;

/// A query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    pub(super) name: &'static str,
    text: &'static str,
}

macro_rules! queries {
    ($($name:literal)*) => {
        &[$(Query { name: $name, text: include_str!(concat!("../../../../../benchmarks/nexmark/", $name, ".sql")) }),*]
    };
}

const TABLES: &str = include_str!("../../../../../benchmarks/nexmark/tables.sql");

/// All queries, in their order.
pub(super) const QUERIES: &[Query] = queries![
    "q0" "q1" "q2" "q3" "q4" "q5" "q6" "q7" "q8" "q9" "q10" "q11" "q12" "q13" "q14" "q15" "q16" "q17" "q18" "q19" "q20" "q21"
    "q22" "q23"
];

/// Those that a list of names means.
pub(super) fn select(names: &[String]) -> Result<Vec<Query>, String> {
    if names.is_empty() {
        return Ok(QUERIES.to_vec());
    }
    let find = |name: &String| {
        QUERIES.iter().find(|query| query.name == name.trim()).copied().ok_or_else(|| {
            format!("there is no query '{name}' of Nexmark, only q0 to q{}", QUERIES.len().saturating_sub(1))
        })
    };
    names.iter().map(find).collect()
}

/// Where events come from.
#[derive(Clone, Debug)]
pub(super) enum Events {
    /// They are made: so many, or without end; and so many in a second of event time.
    Generated { count: Option<u64>, event_rate: u32 },
    /// They are in a file, one JSON object a line.
    File(String),
}

impl Events {
    /// The options of their table.
    fn options(&self) -> String {
        match self {
            Self::Generated { count, event_rate } => {
                let mut options = format!("'connector' = 'nexmark', 'first-event.rate' = '{event_rate}'");
                if let Some(count) = count {
                    let _ = write!(options, ", 'events.num' = '{count}'");
                }
                options
            }
            Self::File(path) => {
                format!(
                    "'connector' = 'filesystem', 'path' = '{}', 'format' = 'json'",
                    path.replace('\'', "''")
                )
            }
        }
    }

    fn tables(&self) -> String {
        TABLES.replace("${SOURCE}", &self.options())
    }
}

impl Query {
    /// Tables and query. `folder` is for files beside the events.
    pub(super) fn script(&self, events: &Events, folder: &str) -> String {
        format!("{}\n{}", events.tables(), self.text.replace("${FOLDER}", folder))
    }
}

/// Reads columns as sources of a query do, and nothing else.
pub(super) fn sources_alone(sources: &[Vec<SourceColumn>], events: &Events) -> String {
    let physical = TABLES.split_once("  event_time AS").map_or(TABLES, |(physical, _)| physical);
    let physical = physical.trim_end().trim_end_matches(',');
    let mut script = String::new();
    let mut inserts = String::new();
    for (index, columns) in sources.iter().enumerate() {
        // A table of its own each, so that each is read for itself as in the query.
        let source = physical.replace("CREATE TABLE nexmark", &format!("CREATE TABLE source{index}"));
        let _ = writeln!(script, "{source}\n) WITH ({});", events.options());
        let number = SourceColumn { path: "1".to_owned(), sql_type: "INT".to_owned() };
        // A query that counts reads no column.
        let columns = if columns.is_empty() { std::slice::from_ref(&number) } else { columns };
        let typed: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| format!("c{index} {}", column.sql_type))
            .collect();
        let paths: Vec<&str> = columns.iter().map(|column| column.path.as_str()).collect();
        let _ = writeln!(
            script,
            "CREATE TABLE sink{index} ({}) WITH ('connector' = 'blackhole');",
            typed.join(", ")
        );
        let _ = writeln!(inserts, "INSERT INTO sink{index} SELECT {} FROM source{index};", paths.join(", "));
    }
    script + "EXECUTE STATEMENT SET BEGIN\n" + &inserts + "END;\n"
}

/// Writes events to a file.
pub(super) fn write_events(count: u64, event_rate: u32, path: &str) -> String {
    let events = Events::Generated { count: Some(count), event_rate };
    let physical = TABLES.split_once("  event_time AS").map_or(TABLES, |(physical, _)| physical);
    let physical = physical.trim_end().trim_end_matches(',');
    let file = physical.replace("CREATE TABLE nexmark", "CREATE TABLE file");
    let path = path.replace('\'', "''");
    format!(
        "{}\n{file}\n) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'json', \
         'json.encode.ignore-null-fields' = 'true', 'sink.single-file' = 'true', 'sink.parallelism' = '1');\n\
         INSERT INTO file SELECT event_type, person, auction, bid FROM nexmark;\n",
        events.tables()
    )
}

/// The rows of the file in which `q13` looks up.
pub(super) fn side_input() -> String {
    (0..10_000).fold(String::new(), |mut rows, key| {
        let _ = writeln!(rows, "{key},value-{key}");
        rows
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_selected_by_name() {
        let names = |list: &[&str]| -> Result<Vec<&str>, String> {
            let list: Vec<String> = list.iter().map(|name| (*name).to_owned()).collect();
            select(&list).map(|queries| queries.iter().map(|query| query.name).collect())
        };
        assert_eq!(names(&["q5", "q0"]), Ok(vec!["q5", "q0"]));
        assert_eq!(names(&[]).unwrap().len(), 24);
        assert_eq!(names(&["q24"]), Err("there is no query 'q24' of Nexmark, only q0 to q23".to_owned()));
    }

    #[test]
    fn scripts_have_nothing_left_to_put_in() {
        for events in [
            Events::Generated { count: Some(7), event_rate: 10_000 },
            Events::Generated { count: None, event_rate: 10_000 },
            Events::File("/tmp/it's.jsonl".to_owned()),
        ] {
            for query in QUERIES {
                let script = query.script(&events, "/tmp/folder");
                assert!(!script.contains("${"), "{script}");
                assert!(script.contains(&format!("INSERT INTO {}\n", query.name)), "{script}");
            }
        }
    }

    #[test]
    fn sources_alone_read_each_for_itself() {
        let column = |path: &str, sql_type: &str| SourceColumn {
            path: path.to_owned(),
            sql_type: sql_type.to_owned(),
        };
        let sources = [vec![column("`event_type`", "INT"), column("`bid`.`price`", "BIGINT")], vec![]];
        let script = sources_alone(&sources, &Events::Generated { count: Some(7), event_rate: 9 });
        for part in [
            "CREATE TABLE source0 (\n  event_type INT,\n  person ROW<id BIGINT",
            ") WITH ('connector' = 'nexmark', 'first-event.rate' = '9', 'events.num' = '7');",
            "CREATE TABLE sink0 (c0 INT, c1 BIGINT) WITH ('connector' = 'blackhole');",
            "INSERT INTO sink0 SELECT `event_type`, `bid`.`price` FROM source0;",
            "INSERT INTO sink1 SELECT 1 FROM source1;",
        ] {
            assert!(script.contains(part), "{script}");
        }
        assert!(!script.contains("event_time"), "{script}");
    }
}
