//! `tidemill run`: a script of SQL.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use tidemill_sql::UserFunctions;

use super::Outcome;
use crate::Error;
use crate::embedded::{JobArgs, sql_executor};
use crate::sql::{ResultFormat, read_script, run_script};

/// Run a script of SQL, in Flink's dialect.
///
/// All of the script is checked before anything of it runs. A SELECT over tables that end prints the table that it ends in.
#[derive(Args, Debug)]
pub(super) struct RunCommand {
    /// The script, '-' for standard input
    script: PathBuf,
    /// How the results of queries are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: ResultFormat,
    #[command(flatten)]
    job: JobArgs,
}

pub(super) fn run(
    command: &RunCommand,
    functions: &UserFunctions,
    out: &mut dyn Write,
) -> Result<Outcome, Error> {
    let text = read_script(&command.script)?;
    let (configuration, executor) = sql_executor(&command.job)?;
    run_script(&[&text], functions, &configuration, &executor, command.format, out)?;
    Ok(Outcome::Good)
}
