//! What is done with each statement of a script, decided before anything is sent.

use std::sync::Arc;

use tidemill_sql::parser::statement::{ScriptStatement, Statement};
use tidemill_sql::{Planned, SqlError};

use super::options::Carried;
use crate::Error;
use crate::sql::Checked;

/// Which jobs are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// Those that end by themselves.
    Auto,
    /// All.
    Wait,
    /// None.
    Detach,
}

/// What is done with a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It says nothing to Flink.
    Skip,
    /// It changes the session.
    Define,
    /// It lists something.
    List,
    /// It is a query, whose rows are told apart by these columns if that is known.
    Query { key: Option<Vec<usize>> },
    /// It starts a job that is waited for, or is not.
    Insert { wait: bool },
}

/// A script, a step for each statement.
pub(super) struct Plan {
    pub(super) steps: Vec<(Step, ScriptStatement)>,
}

impl Plan {
    /// Decides about the statements of a script that was checked.
    pub(super) fn of(checked: Checked, policy: Policy, carried: &mut Carried) -> Result<Self, Error> {
        let text = Arc::clone(&checked.script.text);
        let steps = checked.script.statements.into_iter().zip(checked.planned).map(|(statement, planned)| {
            let step = step(&statement.statement, &planned, policy, carried);
            let step = step.map_err(|error| error.at(statement.start).in_script(&text))?;
            Ok((step, statement))
        });
        Ok(Plan { steps: steps.collect::<Result<_, SqlError>>()? })
    }

    /// Whether the script creates a catalog.
    pub(super) fn creates_catalogs(&self) -> bool {
        self.steps.iter().any(|(_, statement)| matches!(statement.statement, Statement::CreateCatalog { .. }))
    }
}

fn step(
    statement: &Statement,
    planned: &Planned,
    policy: Policy,
    carried: &mut Carried,
) -> Result<Step, SqlError> {
    let mut goes = |key: &str, value: Option<&str>| {
        let goes = carried.set(key, value).map_err(|error| SqlError::option(error.to_string()))?;
        Ok::<_, SqlError>(if goes { Step::Define } else { Step::Skip })
    };
    match statement {
        Statement::Set { key: Some(key), value: Some(value) } => goes(key, Some(value)),
        Statement::Reset { key: Some(key) } => goes(key, None),
        Statement::Set { .. }
        | Statement::Show(_)
        | Statement::Describe { .. }
        | Statement::Explain { .. } => Ok(Step::List),
        Statement::Query(_) => {
            let Planned::Job(job) = planned else {
                return Err(SqlError::internal("a query is no job"));
            };
            if policy == Policy::Detach {
                return Err(SqlError::semantic(
                    "the rows of a SELECT come here, so it cannot be left alone with --detach",
                )
                .hint("write them into a table, with INSERT INTO"));
            }
            if !job.is_bounded() {
                return Err(SqlError::semantic("this SELECT does not end, so there is no table to be printed")
                    .hint("write its rows into a table, with INSERT INTO; or read less, such as 'number-of-rows' of 'datagen'"));
            }
            Ok(Step::Query { key: job.result.as_ref().and_then(|result| result.key.clone()) })
        }
        Statement::Insert(_) | Statement::StatementSet(_) => {
            let is_bounded = matches!(planned, Planned::Job(job) if job.is_bounded());
            let wait = match policy {
                Policy::Auto => is_bounded,
                Policy::Wait => true,
                Policy::Detach => false,
            };
            Ok(Step::Insert { wait })
        }
        _ => Ok(Step::Define),
    }
}

/// The text of a statement as a gateway takes it: a set of statements is one statement there.
pub(super) fn sent(statement: &ScriptStatement) -> String {
    if let Statement::StatementSet(_) = statement.statement
        && let Some((head, rest)) = statement.text.split_once(';')
        && head.split_whitespace().map(str::to_uppercase).eq(["BEGIN", "STATEMENT", "SET"])
    {
        return format!("EXECUTE STATEMENT SET BEGIN{rest}");
    }
    statement.text.to_string()
}

/// How many lines [`rehearsed`] puts above a statement.
pub(super) const LINES_ABOVE: u32 = 1;

/// The text that has a gateway plan a query or an insert. The lines and columns of the statement stay what they are.
pub(super) fn rehearsed(statement: &ScriptStatement) -> String {
    let text = sent(statement);
    match (&statement.statement, text.get(..7)) {
        // Within EXPLAIN it is called by its other name.
        (Statement::StatementSet(_), Some(first)) if first.eq_ignore_ascii_case("EXECUTE") => {
            format!("EXPLAIN\n       {}", &text[7..])
        }
        _ => format!("EXPLAIN\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use tidemill_core::config::Configuration;

    use super::*;
    use crate::sql::check_script;

    const TABLES: &str = "CREATE TABLE few (a INT) WITH ('connector' = 'datagen', 'number-of-rows' = '5');
CREATE TABLE many (a INT) WITH ('connector' = 'datagen');
CREATE TABLE gone (a INT) WITH ('connector' = 'blackhole');
";

    fn plan(script: &str, policy: Policy) -> Result<Vec<Step>, String> {
        let checked = check_script(&format!("{TABLES}{script}"), &Configuration::new()).unwrap();
        let plan = Plan::of(checked, policy, &mut Carried::default()).map_err(|error| error.to_string())?;
        Ok(plan.steps.into_iter().skip(3).map(|(step, _)| step).collect())
    }

    #[test]
    fn jobs_that_end_are_waited_for() {
        let script = "INSERT INTO gone SELECT a FROM few; INSERT INTO gone SELECT a FROM many;";
        let insert = |wait| Step::Insert { wait };
        assert_eq!(plan(script, Policy::Auto), Ok(vec![insert(true), insert(false)]));
        assert_eq!(plan(script, Policy::Wait), Ok(vec![insert(true), insert(true)]));
        assert_eq!(plan(script, Policy::Detach), Ok(vec![insert(false), insert(false)]));
        let script = "EXECUTE STATEMENT SET BEGIN INSERT INTO gone SELECT a FROM few; INSERT INTO gone SELECT a FROM many; END;";
        assert_eq!(plan(script, Policy::Auto), Ok(vec![insert(false)]));
    }

    #[test]
    fn queries_must_end_and_be_waited_for() {
        let script = "SELECT a, COUNT(*) FROM few GROUP BY a;";
        assert_eq!(plan(script, Policy::Auto), Ok(vec![Step::Query { key: Some(vec![0]) }]));
        let error = plan(script, Policy::Detach).unwrap_err();
        assert!(error.contains("--detach") && error.contains("line 4, column 1"), "{error}");
        let checked = check_script(&format!("{TABLES}SELECT a FROM many;"), &Configuration::new());
        let error = checked.err().unwrap().to_string();
        assert!(error.contains("never ends") && error.contains("line 4, column 1"), "{error}");
    }

    #[test]
    fn what_only_tidemill_has_is_not_sent() {
        let script = "SET 'tidemill.cli.progress' = 'never'; SET 'parallelism.default' = '2'; RESET 'parallelism.default';
            SET; SHOW TABLES; DROP TABLE few;";
        let steps = [Step::Skip, Step::Define, Step::Define, Step::List, Step::List, Step::Define];
        assert_eq!(plan(script, Policy::Auto), Ok(steps.to_vec()));
        let error = plan("\nSET 'table.exec.state.ttl' = 'long';", Policy::Auto);
        assert!(error.is_ok() || error.unwrap_err().contains("line 5"));
    }

    #[test]
    fn the_key_of_the_first_rows_is_that_of_their_partition() {
        let script = "SELECT b, a FROM (SELECT a, a * 2 AS b, ROW_NUMBER() OVER (PARTITION BY a ORDER BY PROCTIME() DESC) AS n
            FROM few) WHERE n = 1;";
        assert_eq!(plan(script, Policy::Auto), Ok(vec![Step::Query { key: Some(vec![1]) }]));
    }

    #[test]
    fn sets_of_statements_are_one_statement() {
        let texts = |script: &str| {
            let checked = check_script(&format!("{TABLES}{script}"), &Configuration::new()).unwrap();
            let statement = checked.script.statements.last().unwrap();
            (sent(statement), rehearsed(statement))
        };
        let (run, explained) = texts("BEGIN STATEMENT  SET;\nINSERT INTO gone SELECT a FROM few;\nEND;");
        assert_eq!(run, "EXECUTE STATEMENT SET BEGIN\nINSERT INTO gone SELECT a FROM few;\nEND");
        assert_eq!(
            explained,
            "EXPLAIN\n        STATEMENT SET BEGIN\nINSERT INTO gone SELECT a FROM few;\nEND"
        );
        let (run, explained) = texts("SELECT a FROM few");
        assert_eq!((run.as_str(), explained.as_str()), ("SELECT a FROM few", "EXPLAIN\nSELECT a FROM few"));
    }
}
