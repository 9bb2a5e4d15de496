//! The commands for jobs that run: each talks to the REST interface of the job that it means.

pub(super) mod client;
mod control;
mod find;
mod list;
mod rescale;

pub(super) use control::{
    CancelCommand, CheckpointCommand, SavepointCommand, StopCommand, cancel, checkpoint, savepoint, stop,
};
pub(super) use list::{ListCommand, list};
pub(super) use rescale::{RescaleCommand, rescale};

use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use tidemill_core::config::OptionType;

use super::submit::Failure;
use crate::Error;
use client::{Client, Problem};

/// How long a command waits.
#[derive(Args, Clone, Debug)]
struct WaitArgs {
    /// How long to wait for the end, as in 90s or 10min; what was begun goes on behind it
    #[arg(long, value_name = "TIME", default_value = "10 min", value_parser = time)]
    timeout: Duration,
}

fn time(text: &str) -> Result<Duration, String> {
    Duration::parse(text).map_err(|error| error.to_string())
}

/// Shows on a terminal that a command waits, and for how long it has.
struct Waiting {
    bar: ProgressBar,
    since: Instant,
    what: String,
}

impl Waiting {
    fn new(what: impl Into<String>) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        Self { bar, since: Instant::now(), what: what.into() }
    }

    fn tick(&self) {
        self.bar.set_message(format!("{} … {} s", self.what, self.since.elapsed().as_secs()));
        self.bar.tick();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// What was asked for, and cannot be said to have happened.
struct Asked<'a> {
    client: &'a Client,
    /// Completes "cannot".
    what: &'a str,
}

impl Asked<'_> {
    fn problem(&self, problem: Problem) -> Error {
        problem.error(self.what, &self.client.address)
    }

    /// Waits until a request has its result, which is under `path` and its id, and returns what came of it.
    fn wait(&self, path: &str, limit: Duration, waiting: &Waiting) -> Result<Value, Error> {
        let done = self.client.poll(path, limit, &|| waiting.tick(), |answer| {
            let id = answer.get("status")?.get("id")?.as_str()?;
            (id == "COMPLETED").then(|| answer.get("operation").cloned().unwrap_or_default())
        });
        let Some(operation) = done.map_err(|problem| self.problem(problem))? else {
            return Err(Error::StillWaiting { what: self.what.to_owned(), seconds: limit.as_secs() });
        };
        match operation.get("failure-cause").filter(|cause| !cause.is_null()) {
            None => Ok(operation),
            Some(cause) => {
                let text =
                    |name: &str| cause.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
                let message = text("stack-trace").or_else(|| text("class")).unwrap_or("it says no reason");
                let message = Failure::of(&printable(message.trim_end())).message;
                Err(Error::JobRequest { what: self.what.to_owned(), message })
            }
        }
    }
}

/// A folder by its whole path or URI.
pub(super) fn whole(folder: &str) -> Result<String, Error> {
    if folder.trim().is_empty() {
        return Err(Error::Argument("a folder is expected, and the text is empty".to_owned()));
    }
    if folder.contains(':') {
        return Ok(folder.to_owned());
    }
    let path = std::path::absolute(folder)?.into_os_string();
    path.into_string().map_err(|path| {
        Error::Argument(format!("{} is not Unicode, which a folder of savepoints must be", path.display()))
    })
}

/// A text that others have written, without what a terminal would take for commands.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

/// A time in words: `850 ms`, `12.3 s`, `4 min 5 s`, `3 h 12 min`, `2 d 4 h`.
pub(super) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_no_commands_from_others() {
        assert_eq!(printable("a\u{1b}[2Jb\r\u{9b}c\n\td"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\n\td");
    }

    #[test]
    fn times_in_words() {
        for (millis, expected) in [
            (0, "0 ms"),
            (850, "850 ms"),
            (12_340, "12.3 s"),
            (245_000, "4 min 5 s"),
            (11_520_000, "3 h 12 min"),
            (187_200_000, "2 d 4 h"),
        ] {
            assert_eq!(in_words(Duration::from_millis(millis)), expected);
        }
    }
}
