//! `tidemill explain`: the plan of a job.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{self, Child, ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{Outcome, style};
use crate::Error;

#[derive(Args, Debug)]
pub(super) struct ExplainCommand {
    /// Show the plan as JSON
    #[arg(long)]
    json: bool,
    /// The program of the job, and what it is given beside --explain: its own arguments, and -c and -D
    ///
    /// What stands behind the program is the program's, --help and --json included.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        num_args = 1..,
        value_names = ["PROGRAM", "ARGS"]
    )]
    program: Vec<OsString>,
}

pub(super) fn run(
    command: &ExplainCommand,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Error> {
    let Some((program, args)) = command.program.split_first() else { return Ok(Outcome::Usage) };
    if program.as_encoded_bytes().starts_with(b"-") {
        // Otherwise a mistyped option would be a program that is not there.
        writeln!(
            err,
            "{} unexpected argument '{}': options of the program stand behind it",
            style::error_tag(),
            program.display()
        )?;
        return Ok(Outcome::Usage);
    }
    let start = |source| Error::Start { program: program.into(), source };
    // From here on, a signal for this process is one for the program.
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(start)?;
    let flag = if command.json { "--explain=json" } else { "--explain" };
    let mut child =
        process::Command::new(program).arg(flag).args(args).stdout(Stdio::piped()).spawn().map_err(start)?;
    let running = Arc::new(Mutex::new(pid(&child)));
    let forwarding = forward(signals, Arc::clone(&running));
    let shown = child.stdout.take().map_or(Ok(false), |plan| show(plan, command.json, out));
    let status = child.wait();
    *running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    forwarding?;
    let (shown, status) = (shown?, status?);
    if let Some(signal) = status.signal() {
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
        writeln!(err, "{} {} was ended by {name}", style::error_tag(), program.display())?;
        return Ok(Outcome::Code(u8::try_from(128 + signal).unwrap_or(1)));
    }
    match status.code() {
        // Whoever asks the program for help does not expect a plan.
        Some(0)
            if shown
                || args
                    .iter()
                    .any(|arg| ["-h", "--help", "-V", "--version"].iter().any(|help| arg == help)) =>
        {
            Ok(Outcome::Good)
        }
        Some(0) => Err(Error::NoPlan { program: program.into() }),
        // It has said what is wrong.
        code => Ok(Outcome::Code(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))),
    }
}

pub(super) fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Hands signals on to the program for as long as it runs.
pub(super) fn forward(mut signals: Signals, running: Arc<Mutex<Option<Pid>>>) -> Result<(), Error> {
    let serve = move || {
        for signal in signals.forever() {
            let signal = match signal {
                SIGINT => Signal::INT,
                SIGHUP => Signal::HUP,
                _ => Signal::TERM,
            };
            if let Some(pid) = *running.lock().unwrap_or_else(PoisonError::into_inner) {
                // It may have ended just now.
                let _ = kill_process(pid, signal);
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(serve)?;
    Ok(())
}

/// Passes on what the program writes; true if a plan is in it.
fn show(mut plan: ChildStdout, json: bool, out: &mut dyn Write) -> Result<bool, Error> {
    // What every plan has.
    let mark: &[u8] = if json { b"\"nodes\"" } else { b"': vertices " };
    let mut seen: Vec<u8> = Vec::new();
    let mut found = false;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match plan.read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let text = buffer.get(..read).unwrap_or_default();
        if text.is_empty() {
            return Ok(found);
        }
        out.write_all(text)?;
        out.flush()?;
        seen.extend_from_slice(text);
        found |= seen.windows(mark.len()).any(|window| window == mark);
        // The mark may lie across two reads.
        let keep = seen.len().min(mark.len());
        seen.drain(..seen.len() - keep);
    }
}
