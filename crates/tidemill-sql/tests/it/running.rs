//! Runs scripts in this process.

use serde_json::Value;
use tidemill_sql::results::write_json_row;
use tidemill_sql::types::LogicalType;
use tidemill_sql::{Planned, SqlJob, SqlSession};
use tidemill_testkit::jobs::Job;

/// The rows of the queries of a script, as JSON arrays.
pub(super) fn run(session: &mut SqlSession, script: &str) -> Result<Vec<String>, String> {
    run_at(session, script, 1)
}

/// As [`run`], at a parallelism.
pub(super) fn run_at(
    session: &mut SqlSession,
    script: &str,
    parallelism: u32,
) -> Result<Vec<String>, String> {
    let planned = session.plan_script(script).map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for planned in planned {
        match planned {
            Planned::Done => {}
            Planned::Text(text) => rows.extend(text.lines().map(|line| Value::from(vec![line]).to_string())),
            Planned::List(_, list) => rows.extend(list.into_iter().map(|row| Value::from(row).to_string())),
            Planned::Job(job) => rows.extend(result(job, parallelism)?),
            Planned::Command(command) => return Err(format!("{command:?} is for shells")),
        }
    }
    Ok(rows)
}

fn result(job: SqlJob, parallelism: u32) -> Result<Vec<String>, String> {
    let mut running = Job::new(&job.name).parallelism(parallelism);
    running.graph = job.graph.0;
    running.run().map_err(|error| error.to_string())?;
    let result = job.result.expect("a query");
    let rows = result.final_rows().map_err(|error| error.to_string())?;
    let types: Vec<LogicalType> = result.columns.into_iter().map(|(_, logical)| logical).collect();
    let row = |row| {
        let mut out = String::new();
        write_json_row(&rows, &types, chrono_tz::UTC, row, &mut out);
        out
    };
    Ok((0..rows.num_rows()).map(row).collect())
}
