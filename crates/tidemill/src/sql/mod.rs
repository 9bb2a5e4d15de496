//! Scripts of SQL: planned as a whole, then run statement by statement.

mod connectors;
mod results;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use tidemill_core::config::{Configuration, Origin};
use tidemill_datastream::Executor;
use tidemill_runtime::graph::{ExecutionPlan, JobSettings};
use tidemill_sql::{Planned, SqlJob, SqlSession};

pub(crate) use results::ResultFormat;

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

/// Plans all of a script, then runs its jobs in order; results go to `out`.
pub(crate) fn run_script(
    text: &str,
    configuration: &Configuration,
    executor: &dyn Executor,
    format: ResultFormat,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let defaults: BTreeMap<String, String> =
        configuration.iter().map(|(key, entry)| (key.to_owned(), entry.value.clone())).collect();
    let mut session = SqlSession::new(connectors::all(), defaults);
    for planned in session.plan_script(text)? {
        match planned {
            Planned::Done => {}
            Planned::Text(text) => out.write_all(text.as_bytes())?,
            Planned::List(columns, rows) => results::write_list(&columns, &rows, format, out)?,
            Planned::Job(job) => run_job(job, configuration, executor, format, out)?,
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
    let mut configuration = configuration.clone();
    for (key, value) in &job.settings {
        configuration.set_raw(key.clone(), value.clone(), Origin::Api);
    }
    let zone = results::zone(&configuration)?;
    let settings = JobSettings::from_configuration(&configuration)?;
    let plan = ExecutionPlan::new(job.graph.0, &settings)?;
    executor.execute(plan, &configuration)?;
    match job.result {
        Some(result) => results::write_result(&result, zone, format, out),
        None => Ok(()),
    }
}
