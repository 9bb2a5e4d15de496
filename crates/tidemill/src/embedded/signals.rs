//! Ctrl-C and SIGTERM cancel the job; a second one ends the process.

use std::io::Write;
use std::thread::JoinHandle;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use tidemill_runtime::cluster::JobCanceller;

/// Listens until it is dropped.
pub(super) struct Listening {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Cancels a job on the first signal and ends the process on the second. `None` when signals cannot be heard, which is no
/// reason not to run.
pub(super) fn cancel_on_signal(canceller: JobCanceller) -> Option<Listening> {
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .inspect_err(|error| tracing::warn!(%error, "cannot listen to signals"))
        .ok()?;
    let handle = signals.handle();
    let thread = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut heard = false;
            for signal in signals.forever() {
                if heard {
                    // The number that shells give a process that a signal has ended.
                    std::process::exit(128 + signal);
                }
                heard = true;
                tidemill_runtime::console::print(|| {
                    let _ = writeln!(anstream::stderr(), "Cancelling; once more to stop at once.");
                });
                canceller.cancel();
            }
        })
        .inspect_err(|error| tracing::warn!(%error, "cannot listen to signals"))
        .ok()?;
    Some(Listening { handle, thread: Some(thread) })
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // The thread only fails by a panic, which has been printed.
            let _ = thread.join();
        }
    }
}
