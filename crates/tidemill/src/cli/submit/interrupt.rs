//! Ctrl-C, SIGTERM and SIGHUP: the first one is for the command to answer, the second one ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::flag;

use crate::embedded::heard_signals;

/// Listens to signals.
pub(super) struct Interrupt {
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Where signals cannot be heard, they end the command as they always do.
    pub(super) fn listen() -> Self {
        let signal = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        for number in heard_signals() {
            // In this order: the first signal finds the flag down, and raises it.
            let _ = flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&again));
            let _ = flag::register(number, Arc::clone(&again));
            let code = usize::try_from(128 + number).unwrap_or(1);
            let _ = flag::register_usize(number, Arc::clone(&signal), code);
        }
        Self { signal }
    }

    /// Whether a signal has come.
    pub(super) fn has_come(&self) -> bool {
        self.signal.load(Ordering::SeqCst) != 0
    }

    /// The code that shells give a process that the signal has ended.
    pub(super) fn exit_code(&self) -> u8 {
        u8::try_from(self.signal.load(Ordering::SeqCst)).unwrap_or(1)
    }
}
