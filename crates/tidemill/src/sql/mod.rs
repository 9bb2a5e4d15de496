//! Scripts of SQL: planned as a whole, then run statement by statement.

pub(crate) mod connectors;
mod elsewhere;
mod files;
mod results;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use tidemill_core::config::{Configuration, Origin};
use tidemill_datastream::Executor;
use tidemill_runtime::graph::{ExecutionPlan, JobSettings};
use tidemill_sql::connector::Connectors;
use tidemill_sql::{Planned, SqlJob, SqlSession, UserFunctions};

pub(crate) use elsewhere::{Checked, check_script};
pub(crate) use results::{ResultFormat, write_batch, write_list, write_result, zone};

use crate::Error;

/// A script larger than this is none.
const MOST_BYTES: u64 = 16 << 20;

/// Reads a script; `-` is standard input.
pub(crate) fn read_script(path: &Path) -> Result<String, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    if path.as_os_str() == "-" {
        return std::io::read_to_string(std::io::stdin()).map_err(read);
    }
    let size = std::fs::metadata(path).map_err(read)?.len();
    if size > MOST_BYTES {
        return Err(Error::Argument(format!(
            "{} is larger than {MOST_BYTES} bytes; is it a script?",
            path.display()
        )));
    }
    std::fs::read_to_string(path).map_err(read)
}

/// The connectors that tables may name.
pub(crate) fn connectors() -> Connectors {
    connectors::all()
}

/// A session with all connectors, in which files may stand in `FROM`.
pub(crate) fn session(configuration: &Configuration, functions: &UserFunctions) -> SqlSession {
    session_over(connectors(), configuration, functions)
}

/// The same with other connectors.
pub(crate) fn session_over(
    connectors: Connectors,
    configuration: &Configuration,
    functions: &UserFunctions,
) -> SqlSession {
    let defaults: BTreeMap<String, String> =
        configuration.iter().map(|(key, entry)| (key.to_owned(), entry.value.clone())).collect();
    SqlSession::new(connectors, defaults)
        .with_functions(functions.clone())
        .with_files(Arc::new(files::Files::default()))
}

/// What a job of a session runs with: what the session began with, and what `SET` has set.
pub(crate) fn job_configuration(configuration: &Configuration, job: &SqlJob) -> Configuration {
    let mut configuration = configuration.clone();
    for (key, value) in &job.settings {
        configuration.set_raw(key.clone(), value.clone(), Origin::Api);
    }
    configuration
}

/// Plans all of some scripts, one behind the other, then runs their jobs in order; results go to `out`.
pub(crate) fn run_script(
    scripts: &[&str],
    functions: &UserFunctions,
    configuration: &Configuration,
    executor: &dyn Executor,
    format: ResultFormat,
    out: &mut dyn Write,
) -> Result<(), Error> {
    run_script_in(session(configuration, functions), scripts, configuration, executor, format, out)
}

/// The same in a session that is there already.
pub(crate) fn run_script_in(
    mut session: SqlSession,
    scripts: &[&str],
    configuration: &Configuration,
    executor: &dyn Executor,
    format: ResultFormat,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut all = Vec::new();
    for script in scripts {
        all.extend(session.plan_script(script)?);
    }
    for planned in all {
        match planned {
            Planned::Done => {}
            Planned::Text(text) => out.write_all(text.as_bytes())?,
            Planned::List(columns, rows) => results::write_list(&columns, &rows, format, out)?,
            Planned::Job(job) => run_job(job, configuration, executor, format, out)?,
            // Only shells have them planned.
            Planned::Command(_) => {}
        }
        out.flush()?;
    }
    Ok(())
}

fn run_job(
    job: SqlJob,
    configuration: &Configuration,
    executor: &dyn Executor,
    format: ResultFormat,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let configuration = job_configuration(configuration, &job);
    let zone = results::zone(&configuration)?;
    let settings = JobSettings::from_configuration(&configuration)?;
    let plan = ExecutionPlan::new(job.graph.0, &settings)?;
    executor.execute(plan, &configuration)?;
    match job.result {
        Some(result) => results::write_result(&result, zone, format, out),
        None => Ok(()),
    }
}
