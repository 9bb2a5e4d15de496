//! `tidemill explain`: the plan of a job.

use std::ffi::OsString;
use std::process;

use clap::Args;

use super::Outcome;
use crate::Error;

#[derive(Args, Debug)]
pub(super) struct ExplainCommand {
    /// Show the plan as JSON
    #[arg(long)]
    json: bool,
    /// The program of the job
    program: OsString,
    /// What the program is given beside --explain: its own arguments, and -c and -D
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

pub(super) fn run(command: &ExplainCommand) -> Result<Outcome, Error> {
    let flag = if command.json { "--explain=json" } else { "--explain" };
    // The program writes for itself: what it says is the plan, or why there is none.
    let status = process::Command::new(&command.program)
        .arg(flag)
        .args(&command.args)
        .status()
        .map_err(|source| Error::Start { program: command.program.clone().into(), source })?;
    Ok(if status.success() { Outcome::Good } else { Outcome::Problem })
}
