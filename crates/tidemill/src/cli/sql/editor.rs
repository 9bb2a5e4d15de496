//! The line that is typed: several rows up to a semicolon, with history and completion.

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustyline::completion::{Completer, Pair};
use rustyline::config::CompletionType;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, ExternalPrinter, Helper, Prompt};
use tidemill_runtime::console;
use tidemill_sql::parser::is_complete;
use tidemill_sql::session::Names;

use super::complete::candidates;
use crate::Error;
use crate::cli::style::{KEY, warning_tag};

/// So many statements are remembered.
const REMEMBERED: usize = 10_000;

const PROMPT: &str = "Tidemill SQL> ";

/// What somebody has typed.
pub(super) enum Typed {
    /// Statements.
    Text(String),
    /// Ctrl-C, or nothing at all.
    Nothing,
    /// Ctrl-D.
    End,
}

/// The editor of a shell.
pub(super) struct Editor {
    line: rustyline::Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
    /// Takes the prompt away while a job prints, and shows it again.
    make_way: Option<Arc<console::Suspend>>,
}

/// What helps whoever types.
#[derive(Default)]
struct Assistant {
    names: Names,
    /// Whether an answer is typed, which is complete without a semicolon.
    asks: bool,
}

impl Helper for Assistant {}
impl Highlighter for Assistant {}

impl Hinter for Assistant {
    type Hint = String;
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if self.asks || is_complete(context.input()) {
            ValidationResult::Valid(None)
        } else {
            ValidationResult::Incomplete
        })
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        if self.asks {
            return Ok((at, Vec::new()));
        }
        let (start, found) = candidates(&self.names, line, at);
        Ok((start, found.into_iter().map(|text| Pair { display: text.clone(), replacement: text }).collect()))
    }
}

fn failed(error: ReadlineError) -> Error {
    match error {
        ReadlineError::Io(source) => Error::Write(source),
        other => Error::Argument(format!("the terminal cannot be read: {other}")),
    }
}

impl Editor {
    /// An editor that remembers in the file `history`, or else in the user's folder for data.
    pub(super) fn open(history: Option<PathBuf>) -> Result<Self, Error> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .max_history_size(REMEMBERED)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(failed)?
            .history_ignore_space(true)
            .build();
        let remembered = FileHistory::with_config(&config);
        let mut line = rustyline::Editor::with_history(config, remembered).map_err(failed)?;
        line.set_helper(Some(Assistant::default()));
        let history = history.or_else(usual_history);
        if let Some(path) = &history
            && let Err(error) = remember_in(path).and_then(|()| match line.load_history(path) {
                Err(ReadlineError::Io(error)) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            })
        {
            anstream::eprintln!(
                "{} what is typed is not remembered: {}: {error}",
                warning_tag(),
                path.display()
            );
        }
        let make_way = line.create_external_printer().ok().map(|printer| {
            let printer = Mutex::new(printer);
            let make_way: Arc<console::Suspend> = Arc::new(move |print: &mut dyn FnMut()| {
                let mut printer = printer.lock();
                let _ = std::io::stdout().write_all(b"\r\x1b[J");
                print();
                let _ = std::io::stdout().flush();
                // Has the prompt drawn again: what is printed goes to the line above, and back.
                let _ = printer.print("\x1b[A\n".to_owned());
            });
            make_way
        });
        Ok(Self { line, history, make_way })
    }

    fn read_line(&mut self, prompt: &(impl Prompt + ?Sized)) -> rustyline::Result<String> {
        console::set_live_line(self.make_way.clone());
        let line = self.line.readline(prompt);
        console::set_live_line(None);
        line
    }

    /// The names that can be completed from here on.
    pub(super) fn complete_with(&mut self, names: Names) {
        if let Some(assistant) = self.line.helper_mut() {
            assistant.names = names;
        }
    }

    /// Reads statements.
    pub(super) fn read(&mut self) -> Result<Typed, Error> {
        let styled = format!("{KEY}{PROMPT}{KEY:#}");
        match self.read_line(&(PROMPT, styled.as_str())) {
            Ok(text) if text.trim().is_empty() => Ok(Typed::Nothing),
            Ok(text) => {
                let is_new = self.line.add_history_entry(text.as_str()).unwrap_or(false);
                if let (true, Some(path)) = (is_new, &self.history) {
                    // That it cannot be remembered has been said.
                    let _ = self.line.append_history(path);
                }
                Ok(Typed::Text(text))
            }
            Err(ReadlineError::Interrupted) => Ok(Typed::Nothing),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(error) => Err(failed(error)),
        }
    }

    /// Asks a question; no answer when whoever is asked presses Ctrl-C or Ctrl-D.
    pub(super) fn ask(&mut self, question: &str) -> Result<Option<String>, Error> {
        let asks = |editor: &mut Self, asks| {
            if let Some(assistant) = editor.line.helper_mut() {
                assistant.asks = asks;
            }
        };
        asks(self, true);
        let answer = self.read_line(question);
        asks(self, false);
        match answer {
            Ok(text) => Ok(Some(text.trim().to_lowercase())),
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

/// In the folder that the desktop's standard names for data.
fn usual_history() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
    Some(data.join("tidemill").join("sql-history"))
}

fn remember_in(path: &Path) -> std::io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        // What is typed is for nobody else.
        Some(folder) => fs::DirBuilder::new().recursive(true).mode(0o700).create(folder),
        None => Ok(()),
    }
}
