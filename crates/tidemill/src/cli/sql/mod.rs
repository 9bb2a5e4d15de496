//! `tidemill sql`: a shell like Flink's SQL client, scripts run as it runs them, and one-liners over files.

mod complete;
mod editor;
mod help;
mod jobs;
mod options;
mod query;
mod screen;
mod shell;
mod tableau;
mod view;

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tidemill_sql::UserFunctions;

use self::editor::{Editor, Typed};
use self::shell::{Flow, Shell};
use super::Outcome;
use super::style::error_tag;
use crate::Error;
use crate::embedded::{JobArgs, sql_executor};
use crate::sql::{ResultFormat, read_script, run_script};

/// Run SQL in Flink's dialect: in a shell, from a file, or a one-liner
///
/// Without -e and -f, on a terminal, a shell is opened; else statements are read from standard input. A file may stand in FROM
/// in quotes: tidemill sql -e "SELECT origin, COUNT(*) FROM 'flights.csv' GROUP BY origin".
#[derive(Args, Debug)]
pub(super) struct SqlCommand {
    /// Run these statements, and print the tables that queries end in
    #[arg(short = 'e', long = "execute", value_name = "SQL", conflicts_with = "file")]
    execute: Option<String>,
    /// Run the statements of this file, '-' for standard input
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Run the statements of this file first
    #[arg(short = 'i', long = "init", value_name = "FILE")]
    init: Option<PathBuf>,
    /// Print the tables that queries end in, in this form
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<ResultFormat>,
    /// Where the shell keeps what was typed; without it, in the user's folder for data
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// What becomes of jobs that run when the shell is left
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    on_exit: OnExit,
    #[command(flatten)]
    job: JobArgs,
}

/// What becomes of jobs when the shell is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum OnExit {
    /// It is asked; where nobody can answer, they are cancelled
    #[default]
    Ask,
    /// They are cancelled
    Cancel,
    /// They run on, and the program ends with the last of them
    Wait,
}

pub(super) fn run(
    command: &SqlCommand,
    functions: &UserFunctions,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Error> {
    let init = command.init.as_deref().map(read_script).transpose()?;
    // As `tidemill run`: each job runs to its end, and results are tables.
    let text = match (&command.execute, &command.file, command.format) {
        (Some(text), _, format) => Some((text.clone(), format.unwrap_or_default())),
        (None, Some(file), Some(format)) => Some((read_script(file)?, format)),
        _ => None,
    };
    if let Some((text, format)) = text {
        let (configuration, executor) = sql_executor(&command.job)?;
        let scripts: Vec<&str> = init.iter().map(String::as_str).chain([text.as_str()]).collect();
        run_script(&scripts, functions, &configuration, &executor, format, out)?;
        return Ok(Outcome::Good);
    }
    if let Some(argument) = command.job.of_one_job() {
        writeln!(err, "{} {argument} is for one job: use it with tidemill run, or with -e", error_tag())?;
        return Ok(Outcome::Usage);
    }
    let (configuration, _) = sql_executor(&command.job)?;
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let script = match &command.file {
        Some(file) => Some(read_script(file)?),
        None if is_terminal => None,
        None => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|source| Error::Read { path: "-".into(), source })?;
            Some(text)
        }
    };
    let mut shell = Shell::new(configuration, functions, script.is_none(), command.format, out, err);
    if let Some(init) = &init {
        shell.script(init)?;
    }
    let flow = match script {
        Some(script) => shell.script(&script),
        None => converse(&mut shell, command),
    };
    let ended = shell.leave(command.on_exit);
    match flow? {
        Flow::Interrupted => Ok(Outcome::Code(130)),
        _ => ended,
    }
}

/// Reads and runs what is typed, until whoever types leaves.
fn converse(shell: &mut Shell<'_>, command: &SqlCommand) -> Result<Flow, Error> {
    let mut editor = Editor::open(command.history.clone())?;
    shell.greet()?;
    loop {
        editor.complete_with(shell.names());
        match editor.read()? {
            Typed::Text(text) => match shell.typed(&text)? {
                Flow::Quit if shell.may_leave(command.on_exit, &mut editor)? => return Ok(Flow::Quit),
                _ => {}
            },
            Typed::Nothing => {}
            Typed::End => {
                if shell.may_leave(command.on_exit, &mut editor)? {
                    return Ok(Flow::Quit);
                }
            }
        }
    }
}
