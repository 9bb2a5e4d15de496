//! `tidemill bench`: what queries cost on this machine.

mod child;
mod columns;
mod figures;
mod measure;
mod nexmark;
mod queries;
mod report;
mod script;

use std::io::Write;

use clap::{Args, Subcommand};

use super::Outcome;
use crate::Error;

#[derive(Args, Debug)]
pub(super) struct BenchCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    Nexmark(nexmark::NexmarkCommand),
    #[command(hide = true)]
    Script(script::ScriptCommand),
}

pub(super) fn run(command: BenchCommand, out: &mut dyn Write, err: &mut dyn Write) -> Result<Outcome, Error> {
    match command.command {
        Subcommands::Nexmark(command) => nexmark::run(&command, out, err),
        Subcommands::Script(command) => script::run(&command, out),
    }
}
