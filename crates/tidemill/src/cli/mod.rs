//! The command line. Each subcommand is a file here: its arguments, and a `run` that writes to the output it is given.
//!
//! The exit code is 0 if all went well, 1 if there was a problem, 2 if the command line made no sense; for `explain`, it is that of
//! the program.

mod bench;
mod config;
mod explain;
mod jobs;
mod memory;
mod program;
mod run;
mod sql;
mod state;
pub(crate) mod style;
mod submit;
pub(crate) mod table;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use tidemill_sql::UserFunctions;

use crate::Error;
use crate::config::LoadedConfiguration;

pub use program::Cli;

/// A stateful stream processor that speaks Apache Flink's language.
#[derive(Debug, Parser)]
#[command(name = "tidemill", version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List and explain options, and check a configuration
    Config(config::ConfigCommand),
    /// Show how the memory of a process is divided
    Memory(memory::MemoryCommand),
    /// Show the plan of a job instead of running it
    ///
    /// Runs PROGRAM with --explain, which every job takes: it builds its job, and shows the plan where it would run it. What
    /// it does before that, it does.
    Explain(explain::ExplainCommand),
    Run(run::RunCommand),
    Sql(sql::SqlCommand),
    Submit(submit::SubmitCommand),
    /// List the jobs that run
    List(jobs::ListCommand),
    /// Take a savepoint of a job that goes on
    Savepoint(jobs::SavepointCommand),
    /// End a job with a savepoint
    Stop(jobs::StopCommand),
    /// End a job as it is
    Cancel(jobs::CancelCommand),
    /// Take a checkpoint of a job now
    Checkpoint(jobs::CheckpointCommand),
    /// Give a job another parallelism
    ///
    /// The job stops with a savepoint and goes on from it. What it cost is said at the end.
    Rescale(jobs::RescaleCommand),
    /// Show what a checkpoint or savepoint holds
    State(state::StateCommand),
    /// Measure what queries cost on this machine
    Bench(bench::BenchCommand),
}

/// How a command that could be carried out ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Nothing is wrong.
    Good,
    /// What it was asked to judge is wrong; it has said so.
    Problem,
    /// The command line makes no sense; it has said so.
    Usage,
    /// It ran a program that has ended with this code.
    Code(u8),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    main_with(&UserFunctions::default())
}

/// As [`main`], with functions that scripts may call.
fn main_with(functions: &UserFunctions) -> ExitCode {
    let cli = Arguments::parse();
    // Not locked: sinks that print and the log have threads of their own.
    let mut out = anstream::stdout();
    let mut err = anstream::stderr();
    let outcome = run(cli.command, functions, &mut out, &mut err).and_then(|outcome| {
        out.flush()?;
        Ok(outcome)
    });
    match outcome {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Problem) => ExitCode::from(1),
        Ok(Outcome::Usage) => ExitCode::from(2),
        Ok(Outcome::Code(code)) => ExitCode::from(code),
        // Whoever reads has enough, as in `tidemill config list | head`.
        Err(Error::Write(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr is gone too, the exit code is all that is left to say.
            for line in error.to_string().lines() {
                let _ = writeln!(err, "{} {line}", style::error_tag());
            }
            ExitCode::from(1)
        }
    }
}

fn run(
    command: Command,
    functions: &UserFunctions,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Error> {
    match command {
        Command::Config(command) => config::run(command, out, err),
        Command::Memory(command) => memory::run(command, out, err),
        Command::Explain(command) => explain::run(&command, out, err),
        Command::Run(command) => run::run(&command, functions, out),
        Command::Sql(command) => sql::run(&command, functions, out, err),
        Command::Submit(command) => submit::run(&command, out, err),
        Command::List(command) => jobs::list(&command, out, err),
        Command::Savepoint(command) => jobs::savepoint(&command, out),
        Command::Stop(command) => jobs::stop(&command, out),
        Command::Cancel(command) => jobs::cancel(&command, out),
        Command::Checkpoint(command) => jobs::checkpoint(&command, out),
        Command::Rescale(command) => jobs::rescale(&command, out, err),
        Command::State(command) => state::run(command, out, err),
        Command::Bench(command) => bench::run(command, out, err),
    }
}

/// Shows what is to be said about a loaded configuration that is no error. Keys without effect are only counted: `config
/// check` lists them.
pub(crate) fn show_remarks(loaded: &LoadedConfiguration, err: &mut dyn Write) -> Result<(), Error> {
    for warning in &loaded.warnings {
        writeln!(err, "{} {warning}", style::warning_tag())?;
    }
    // A few are told in full; many are for `config check`.
    const TOLD: usize = 3;
    match (loaded.notes.len(), &loaded.file) {
        (count, Some(file)) if count > TOLD => writeln!(
            err,
            "{} {count} keys have no effect: see tidemill config check {}",
            style::note_tag(),
            file.display()
        )?,
        _ => {
            for note in &loaded.notes {
                writeln!(err, "{} {note}", style::note_tag())?;
            }
        }
    }
    Ok(())
}
