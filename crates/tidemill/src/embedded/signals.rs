//! Ctrl-C and SIGTERM cancel the running job; a second one, or one while no job runs, ends the process.

use std::io::Write;
use std::sync::Mutex;
use std::sync::Once;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tidemill_runtime::cluster::JobCanceller;
use tidemill_runtime::console;

/// The job that the next signal cancels.
static RUNNING: Mutex<Option<JobCanceller>> = Mutex::new(None);
static LISTEN: Once = Once::new();

/// Hands signals to a job until it is dropped.
pub(super) struct Listening(());

/// Has the first signal cancel a job and the second end the process. Where signals cannot be heard, the job runs all the same.
pub(super) fn cancel_on_signal(canceller: JobCanceller) -> Listening {
    set(Some(canceller));
    // Once heard, signals have no effect of their own any more, so the thread listens for as long as the process lives.
    LISTEN.call_once(|| {
        let listening = Signals::new([SIGINT, SIGTERM]).and_then(|signals| {
            std::thread::Builder::new().name("signals".to_owned()).spawn(move || listen(signals))
        });
        if let Err(error) = listening {
            tracing::warn!(%error, "cannot listen to signals");
        }
    });
    Listening(())
}

fn set(job: Option<JobCanceller>) -> Option<JobCanceller> {
    let mut running = RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    std::mem::replace(&mut *running, job)
}

fn listen(mut signals: Signals) {
    for signal in signals.forever() {
        match set(None) {
            Some(job) => {
                // First of all, for nothing may be in its way: not even a terminal that takes no more output.
                job.cancel();
                console::print(|| {
                    let _ = writeln!(anstream::stderr(), "Cancelling; once more to stop at once.");
                });
            }
            // The number that shells give a process that a signal has ended.
            None => std::process::exit(128 + signal),
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        set(None);
    }
}
