//! `tidemill bench script`: runs a script and says what it has cost. A process for each query: so memory and CPU time are those of
//! the query.

use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use clap::Args;
use tidemill_runtime::JobError;
use tidemill_sql::UserFunctions;

use super::columns::{Noted, Noting};
use super::measure::{Measurement, SteadyState};
use crate::Error;
use crate::cli::Outcome;
use crate::config::ConfigArgs;
use crate::embedded::observed_executor;
use crate::sql::{ResultFormat, connectors, read_script, run_script_in, session_over};

/// Run a script of SQL with one job, and print what it has cost as JSON
#[derive(Args, Debug)]
pub(super) struct ScriptCommand {
    /// The script, '-' for standard input
    script: PathBuf,
    /// Measure for so many seconds, behind the warm-up, then end the job; without it, measure all of the job
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Go on measuring until there are so many checkpoints
    #[arg(long, value_name = "N", default_value_t = 1, requires = "seconds")]
    checkpoints: u64,
    /// Do not measure the first seconds
    #[arg(long, value_name = "N", default_value_t = 0, requires = "seconds")]
    warm_up: u64,
    /// Begin to measure when state has so many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 0, requires = "seconds")]
    state_bytes: u64,
    /// Wait no longer than so many seconds for that
    #[arg(long, value_name = "N", default_value_t = 0, requires = "seconds")]
    patience: u64,
    #[command(flatten)]
    config: ConfigArgs,
}

impl ScriptCommand {
    fn steady_state(&self) -> Option<SteadyState> {
        self.seconds.map(|seconds| SteadyState {
            warm_up: Duration::from_secs(self.warm_up),
            state_bytes: self.state_bytes,
            patience: Duration::from_secs(self.patience),
            at_least: Duration::from_secs(seconds),
            checkpoints: self.checkpoints,
        })
    }
}

pub(super) fn run(command: &ScriptCommand, out: &mut dyn Write) -> Result<Outcome, Error> {
    let text = read_script(&command.script)?;
    let measurement = Rc::new(Measurement::new(command.steady_state()));
    let (configuration, executor) =
        observed_executor(&command.config, Rc::<Measurement>::clone(&measurement))?;
    let noted = Noted::default();
    let connectors = connectors().map(|connector| Arc::new(Noting { connector, noted: Arc::clone(&noted) }));
    let ended = run_script_in(
        session_over(connectors, &configuration, &UserFunctions::default()),
        &[&text],
        &configuration,
        &executor,
        ResultFormat::Jsonl,
        &mut std::io::sink(),
    );
    let result = measurement.result();
    match ended {
        // Behind what was to be measured, the job was ended.
        Err(Error::Job(JobError::Cancelled(_))) if result.is_some() => {}
        other => other?,
    }
    let mut figures = result.ok_or_else(|| Error::Argument("the script has no job to measure".to_owned()))?;
    figures.sources = std::mem::take(&mut *noted.lock().unwrap_or_else(PoisonError::into_inner));
    let line = serde_json::to_string(&figures).map_err(|error| Error::Write(error.into()))?;
    writeln!(out, "{line}")?;
    Ok(Outcome::Good)
}
