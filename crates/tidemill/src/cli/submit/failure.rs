//! What an exception of Flink comes down to.

use tidemill_sql::error::Position;

/// An exception of Flink.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Failure {
    /// The message of its root cause.
    pub(in crate::cli) message: String,
    /// The place in the statement, from one, where the exception names one.
    pub(super) place: Option<Position>,
    /// All of it.
    pub(in crate::cli) trace: String,
}

/// More lines of a message than this are for whoever wants to see all of it.
const MOST_LINES: usize = 12;

impl Failure {
    /// Of the text that an interface of Flink has answered.
    pub(in crate::cli) fn of(text: &str) -> Self {
        let causes = causes(text);
        let root = causes.iter().rev().find(|cause| !cause.is_empty());
        let message = root.cloned().unwrap_or_else(|| text.trim().to_owned());
        let place = causes.iter().find_map(|cause| place_in(cause));
        Self { message: shortened(&message), place, trace: text.trim_end().to_owned() }
    }
}

/// The messages of an exception and of its causes, from the outside to the inside. One without a message has its class instead.
fn causes(text: &str) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut within_message = false;
    for line in text.lines() {
        let is_frame = line.starts_with("\tat ") || line.starts_with("\t... ");
        if is_frame || line.starts_with("End of exception on server side") {
            within_message = false;
            continue;
        }
        let named = line.strip_prefix("Caused by: ").or_else(|| exception(line).then_some(line));
        if let Some(named) = named.filter(|_| !within_message || line.starts_with("Caused by: ")) {
            let (class, message) = named.split_once(": ").unwrap_or((named, ""));
            causes.push(if message.is_empty() { simple_name(class) } else { message.to_owned() });
            within_message = true;
        } else if within_message && let Some(cause) = causes.last_mut() {
            cause.push('\n');
            cause.push_str(line);
        }
    }
    causes.iter().map(|cause| cause.trim_end().to_owned()).collect()
}

/// Whether a line begins with the name of an exception.
fn exception(line: &str) -> bool {
    let class = line.split(": ").next().unwrap_or(line);
    class.contains('.')
        && class.chars().all(|c| c.is_ascii_alphanumeric() || "._$".contains(c))
        && (class.ends_with("Exception") || class.ends_with("Error"))
}

fn simple_name(class: &str) -> String {
    class.rsplit(['.', '$']).next().unwrap_or(class).to_owned()
}

/// A message without empty lines, and without what a parser would have taken instead.
fn shortened(message: &str) -> String {
    let message = message.split("\nWas expecting").next().unwrap_or(message);
    let lines: Vec<&str> = message.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let mut short = lines.iter().take(MOST_LINES).copied().collect::<Vec<_>>().join("\n");
    if lines.len() > MOST_LINES {
        short.push_str(&format!("\n… and {} lines more", lines.len() - MOST_LINES));
    }
    short
}

/// The first `line N, column M` of a message.
fn place_in(message: &str) -> Option<Position> {
    let number = |text: &str| {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..digits].parse::<u32>().ok().filter(|number| *number > 0)
    };
    message.match_indices("line ").find_map(|(at, found)| {
        let rest = &message[at + found.len()..];
        let column =
            rest.split_once(", column ").filter(|(line, _)| line.bytes().all(|b| b.is_ascii_digit()));
        Some(Position { line: number(rest)?, column: number(column?.1)? })
    })
}

/// A message about a statement that begins at `start`: the place within it as a place in the script. `above` is how many lines were
/// put before the statement when it was sent.
pub(super) fn in_script(place: Option<Position>, start: Position, above: u32) -> Position {
    match place {
        Some(Position { line, column }) if line > above => {
            let line = line - above;
            let column = if line == 1 { start.column + column - 1 } else { column };
            Position { line: start.line + line - 1, column }
        }
        _ => start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a gateway of Flink 2.3.0 has answered, most frames left out.
    const UNKNOWN_COLUMN: &str = "Internal server error.; <Exception on server side:
org.apache.flink.table.gateway.api.utils.SqlGatewayException: org.apache.flink.table.gateway.api.utils.SqlGatewayException: Failed to fetchResults.
\tat org.apache.flink.table.gateway.rest.handler.statement.FetchResultsHandler.handleRequest(FetchResultsHandler.java:91)
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: org.apache.flink.table.gateway.api.utils.SqlGatewayException: Failed to fetchResults.
\tat org.apache.flink.table.gateway.service.SqlGatewayServiceImpl.fetchResults(SqlGatewayServiceImpl.java:231)
\t... 40 more
Caused by: org.apache.flink.table.gateway.service.utils.SqlExecutionException: Failed to execute the operation 0228d5dc-f1dc-43f0-aabf-991f8d0deaca.
\t... 1 more
Caused by: org.apache.flink.table.api.ValidationException: SQL validation failed. From line 1, column 8 to line 1, column 10: Column 'foo' not found in any table
\t... 7 more
Caused by: org.apache.calcite.runtime.CalciteContextException: From line 1, column 8 to line 1, column 10: Column 'foo' not found in any table
\t... 15 more
Caused by: org.apache.calcite.sql.validate.SqlValidatorException: Column 'foo' not found in any table
\tat java.base/jdk.internal.reflect.NativeConstructorAccessorImpl.newInstance0(Native Method)
\t... 36 more

End of exception on server side>";

    const NO_CONNECTOR: &str = "<Exception on server side:
org.apache.flink.table.gateway.api.utils.SqlGatewayException: Failed to fetchResults.
\tat org.apache.flink.table.gateway.rest.handler.statement.FetchResultsHandler.handleRequest(FetchResultsHandler.java:91)
Caused by: org.apache.flink.table.api.ValidationException: Unable to create a source for reading table 'default_catalog.default_database.k'.

Table options are:

'connector'='kafka'
'password'='******'
\tat org.apache.flink.table.factories.FactoryUtil.createDynamicTableSource(FactoryUtil.java:228)
Caused by: org.apache.flink.table.api.ValidationException: Could not find any factory for identifier 'kafka' that implements 'org.apache.flink.table.factories.DynamicTableFactory' in the classpath.

Available factory identifiers are:

blackhole
datagen
\tat org.apache.flink.table.factories.FactoryUtil.discoverFactory(FactoryUtil.java:552)
\t... 33 more

End of exception on server side>";

    #[test]
    fn the_root_cause_is_told() {
        let failure = Failure::of(UNKNOWN_COLUMN);
        assert_eq!(failure.message, "Column 'foo' not found in any table");
        assert_eq!(failure.place, Some(Position { line: 1, column: 8 }));
        assert_eq!(failure.trace, UNKNOWN_COLUMN);
        let failure = Failure::of(NO_CONNECTOR);
        assert_eq!(
            failure.message,
            "Could not find any factory for identifier 'kafka' that implements 'org.apache.flink.table.factories.DynamicTableFactory' \
             in the classpath.\nAvailable factory identifiers are:\nblackhole\ndatagen"
        );
        assert_eq!(failure.place, None);
    }

    #[test]
    fn what_has_no_message_is_told_by_its_class() {
        let failure = Failure::of(
            "java.lang.RuntimeException: outer\n\tat a.b(C.java:1)\nCaused by: java.lang.NullPointerException\n\tat x.y(Z.java:2)",
        );
        assert_eq!(failure.message, "NullPointerException");
        assert_eq!(Failure::of("Not found: /v2/x").message, "Not found: /v2/x");
        assert_eq!(Failure::of("").message, "");
    }

    #[test]
    fn what_a_parser_expected_is_left_out() {
        let text = "a.ParseException: Encountered \")\" at line 3, column 26.\nWas expecting one of:\n    \"=\" ...\n\tat a.b(C.java:1)";
        let failure = Failure::of(text);
        assert_eq!(failure.message, "Encountered \")\" at line 3, column 26.");
        assert_eq!(failure.place, Some(Position { line: 3, column: 26 }));
        let long = format!("a.b.XException: Unsupported options:\n{}", "option\n".repeat(40));
        assert!(Failure::of(&long).message.ends_with("… and 29 lines more"));
    }

    #[test]
    fn places_in_statements_are_places_in_scripts() {
        let at = |line, column| Position { line, column };
        assert_eq!(in_script(Some(at(1, 8)), at(5, 3), 0), at(5, 10));
        assert_eq!(in_script(Some(at(2, 8)), at(5, 3), 0), at(6, 8));
        assert_eq!(in_script(Some(at(2, 8)), at(5, 3), 1), at(5, 10));
        assert_eq!(in_script(None, at(5, 3), 1), at(5, 3));
        assert_eq!(in_script(Some(at(1, 1)), at(5, 3), 1), at(5, 3));
        assert_eq!(place_in("on line 4294967296, column 1 or line 2, column 7"), Some(at(2, 7)));
        assert_eq!(place_in("Timeline, column"), None);
    }
}
