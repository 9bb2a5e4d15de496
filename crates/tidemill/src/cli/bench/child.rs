//! Starts a process that runs one script and says what it has cost.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::process::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::figures::Figures;
use crate::Error;
use crate::cli::explain::{forward, pid};

/// Runs scripts, one after the other. A signal for this process is one for the process that runs.
pub(super) struct Runner {
    running: Arc<Mutex<Option<Pid>>>,
    /// The arguments that every script is run with.
    args: Vec<String>,
    timeout: Option<Duration>,
}

/// How a script ended.
pub(super) enum Ended {
    Well(Figures),
    /// What it said.
    Failed(String),
    /// A signal has ended it, which is the code to end with.
    Interrupted(u8),
}

/// How often it is looked whether a process has ended.
const POLL: Duration = Duration::from_millis(50);

impl Runner {
    pub(super) fn new(args: Vec<String>, timeout: Option<Duration>) -> Result<Self, Error> {
        let running = Arc::new(Mutex::new(None));
        forward(Signals::new([SIGINT, SIGTERM, SIGHUP])?, Arc::clone(&running))?;
        Ok(Self { running, args, timeout })
    }

    fn set_running(&self, pid: Option<Pid>) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = pid;
    }

    /// Runs a script with more arguments; `what` is shown on a terminal as long as it runs.
    pub(super) fn run(&self, script: &str, args: &[String], what: &str) -> Result<Ended, Error> {
        let program = std::env::current_exe()?;
        let mut child = process::Command::new(&program)
            .args(["bench", "script", "-"])
            .args(&self.args)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Start { program, source })?;
        self.set_running(pid(&child));
        let out = child.stdout.take().map(read_all);
        let err = child.stderr.take().map(read_all);
        if let Some(mut stdin) = child.stdin.take() {
            // If it ends before it has read its script, it says why.
            let _ = stdin.write_all(script.as_bytes());
        }
        let started = Instant::now();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        let mut timed_out = false;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if self.timeout.is_some_and(|timeout| started.elapsed() > timeout) && !timed_out {
                timed_out = true;
                child.kill()?;
            }
            bar.set_message(format!("{what} … {} s", started.elapsed().as_secs()));
            bar.tick();
            std::thread::sleep(POLL);
        };
        bar.finish_and_clear();
        self.set_running(None);
        let text =
            |reader: Option<JoinHandle<String>>| reader.and_then(|it| it.join().ok()).unwrap_or_default();
        let (out, err) = (text(out), text(err));
        if timed_out {
            let seconds = started.elapsed().as_secs();
            return Ok(Ended::Failed(format!("it was ended because it took more than {seconds} seconds")));
        }
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(match serde_json::from_str(&out) {
                Ok(figures) => Ended::Well(figures),
                Err(error) => Ended::Failed(format!("its figures cannot be read: {error}")),
            }),
            // What a process says that was ended by a signal which it has heard.
            (Some(code @ (129 | 130 | 143)), _) => Ok(Ended::Interrupted(u8::try_from(code).unwrap_or(1))),
            (_, Some(signal @ (SIGHUP | SIGINT | SIGTERM))) => {
                Ok(Ended::Interrupted(u8::try_from(128 + signal).unwrap_or(1)))
            }
            (_, Some(signal)) => {
                let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
                Ok(Ended::Failed(format!("its process was ended by {name}; {}", problem(&err))))
            }
            _ => Ok(Ended::Failed(problem(&err))),
        }
    }
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read until a problem is what there is.
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// What of standard error says why: from the first error on, or else all.
fn problem(err: &str) -> String {
    const MARK: &str = "error: ";
    let from = err.find(MARK).map_or(0, |at| at + MARK.len());
    let lines: Vec<&str> = err.get(from..).unwrap_or(err).lines().take(12).collect();
    lines.join("\n").replace("\nerror: ", "\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_problem_is_what_stands_behind_error() {
        assert_eq!(problem("warning: x\nerror: a is b\nerror:   here\n"), "a is b\n  here");
        assert_eq!(problem("killed\n"), "killed");
    }
}
