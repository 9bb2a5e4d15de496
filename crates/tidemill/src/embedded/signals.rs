//! Ctrl-C, SIGTERM and SIGHUP cancel the running job and end the program; a second one, or one while no job runs, ends it at once.
//! In a shell, Ctrl-C ends what the shell is doing, and only the others end the program.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tidemill_runtime::cluster::{JobCanceller, JobStatus};
use tidemill_runtime::console;

/// What the next signal is for.
enum Target {
    /// The program.
    Program,
    /// A job that is about to start; with the signal that has come already.
    Starting(Option<i32>),
    /// A job that runs.
    Job(JobCanceller),
    /// A shell.
    Shell(Arc<Interrupted>, fn()),
}

/// Whether somebody has pressed Ctrl-C in a shell.
#[derive(Debug, Default)]
pub(crate) struct Interrupted(AtomicBool);

impl Interrupted {
    /// Whether somebody has since this was asked last.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }

    /// Whether somebody has.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Has Ctrl-C be told to a shell from here on; other signals call `end` and end the process.
pub(crate) fn shell(end: fn()) -> Arc<Interrupted> {
    let interrupted = Arc::new(Interrupted::default());
    *target() = Target::Shell(Arc::clone(&interrupted), end);
    hear();
    interrupted
}

static TARGET: Mutex<Target> = Mutex::new(Target::Program);
/// The signal that has cancelled the job, or 0.
static CANCELLED_BY: AtomicI32 = AtomicI32::new(0);
static LISTEN: Once = Once::new();

/// How long a program has to end when its job was cancelled. Only one that is held up needs longer, for example by a terminal
/// that takes no more output.
const GRACE: Duration = Duration::from_millis(500);

/// A signal that has cancelled a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signal(i32);

impl Signal {
    pub(super) fn name(self) -> &'static str {
        match self.0 {
            SIGINT => "Ctrl-C (SIGINT)",
            SIGHUP => "SIGHUP",
            _ => "SIGTERM",
        }
    }

    /// The number that shells give a process that a signal has ended.
    pub(super) fn exit_code(self) -> i32 {
        128 + self.0
    }
}

/// Keeps signals for a job until it is dropped.
pub(super) struct Listening(());

/// Has the first signal cancel the job that is about to start, and the second end the process. Where signals cannot be heard,
/// the job runs all the same.
pub(super) fn listen() -> Listening {
    CANCELLED_BY.store(0, Ordering::SeqCst);
    *target() = Target::Starting(None);
    hear();
    Listening(())
}

fn hear() {
    // Once heard, signals have no effect of their own any more, so the thread listens for as long as the process lives.
    LISTEN.call_once(|| {
        let listening = Signals::new(heard()).and_then(|signals| {
            std::thread::Builder::new().name("signals".to_owned()).spawn(|| serve(signals))
        });
        if let Err(error) = listening {
            tracing::warn!(%error, "cannot listen to signals");
        }
    });
}

impl Listening {
    /// Whether a signal has come already.
    pub(super) fn has_come(&self) -> bool {
        CANCELLED_BY.load(Ordering::SeqCst) != 0
    }

    /// The job has started, and can be cancelled.
    pub(super) fn cancel(&self, job: JobCanceller) {
        let mut target = target();
        match *target {
            Target::Starting(Some(signal)) => {
                *target = Target::Program;
                cancel(job, signal);
            }
            _ => *target = Target::Job(job),
        }
    }

    /// Stops, and says which signal has cancelled the job, if one has.
    pub(super) fn stop(self) -> Option<Signal> {
        drop(self);
        match CANCELLED_BY.swap(0, Ordering::SeqCst) {
            0 => None,
            signal => Some(Signal(signal)),
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        *target() = Target::Program;
    }
}

/// The signals that cancel a job. A program that was started with `nohup` goes on when its terminal is closed.
pub(crate) fn heard() -> Vec<i32> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut signals = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP, &status) {
        signals.push(SIGHUP);
    }
    signals
}

/// Whether a process ignores a signal, by what the system says of it.
fn is_ignored(signal: i32, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

fn target() -> MutexGuard<'static, Target> {
    TARGET.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut signals: Signals) {
    for signal in signals.forever() {
        let mut target = target();
        match std::mem::replace(&mut *target, Target::Program) {
            Target::Starting(None) => {
                *target = Target::Starting(Some(signal));
                CANCELLED_BY.store(signal, Ordering::SeqCst);
                announce();
            }
            Target::Job(job) => {
                CANCELLED_BY.store(signal, Ordering::SeqCst);
                cancel(job, signal);
                announce();
            }
            Target::Shell(interrupted, end) => {
                if signal == SIGINT {
                    interrupted.0.store(true, Ordering::SeqCst);
                } else {
                    aside(move || {
                        end();
                        std::process::exit(Signal(signal).exit_code());
                    });
                }
                *target = Target::Shell(interrupted, end);
            }
            Target::Program | Target::Starting(Some(_)) => std::process::exit(Signal(signal).exit_code()),
        }
    }
}

/// Cancels a job and sees that the program ends behind it.
fn cancel(job: JobCanceller, signal: i32) {
    job.cancel();
    aside(move || {
        match job.wait_ended() {
            JobStatus::Canceled => std::thread::sleep(GRACE),
            // It came to its end just before, so nothing was left to be cancelled but the program.
            JobStatus::Finished => {}
            // That is told instead.
            _ => return,
        }
        std::process::exit(Signal(signal).exit_code());
    });
}

fn announce() {
    // The next signal must be heard even if this cannot be said.
    aside(|| {
        console::print(|| {
            let _ = writeln!(anstream::stderr(), "Cancelling; once more to stop at once.");
        });
    });
}

/// Runs what may block beside the thread that listens.
fn aside(run: impl FnOnce() + Send + 'static) {
    if let Err(error) = std::thread::Builder::new().name("signal".to_owned()).spawn(run) {
        tracing::debug!(%error, "cannot start a thread");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_has_set_is_seen() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\tffffffffffffffff\n";
        assert!(is_ignored(SIGHUP, status) && !is_ignored(SIGTERM, status));
        assert!(!is_ignored(SIGHUP, ""));
    }
}
