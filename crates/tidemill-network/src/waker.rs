//! One parker per task: everything that a task may wait for wakes the same thread.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering, fence};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// What happened that a task may be waiting for.
///
/// ```
/// use tidemill_network::{TaskWaker, Wake};
///
/// // Nobody waits, so nothing happens.
/// TaskWaker::new().wake(Wake::Input);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Wake {
    /// Input arrived.
    Input = 1,
    /// A buffer or credit of the output was freed.
    Output = 2,
    /// A command, the completion of asynchronous work, or cancellation: always wakes.
    Command = 4,
}

/// Wakes one task thread, and only for what it said it is waiting for.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use tidemill_network::{TaskWaker, Wake};
///
/// let waker = Arc::new(TaskWaker::new());
/// waker.attach();
/// let arrived = Arc::new(AtomicBool::new(false));
/// let (there, wakes) = (arrived.clone(), waker.clone());
/// std::thread::spawn(move || {
///     there.store(true, Ordering::SeqCst);
///     wakes.wake(Wake::Input);
/// });
/// while !arrived.load(Ordering::SeqCst) {
///     waker.wait(&[Wake::Input], None, || !arrived.load(Ordering::SeqCst));
/// }
/// ```
#[derive(Debug, Default)]
pub struct TaskWaker {
    thread: OnceLock<Thread>,
    interest: AtomicU8,
}

impl TaskWaker {
    /// A waker whose thread is not known yet; it remembers nothing until [`attach`](Self::attach).
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that the calling thread is the one to wake.
    ///
    /// ```
    /// use tidemill_network::{TaskWaker, Wake};
    ///
    /// let waker = TaskWaker::new();
    /// waker.attach();
    /// waker.wake(Wake::Command);
    /// waker.wait(&[Wake::Input], None, || true); // Returns at once: it was woken before.
    /// ```
    pub fn attach(&self) {
        // A second attach keeps the first thread: a task never moves.
        let _ = self.thread.set(std::thread::current());
    }

    /// Wakes the task when it waits for `what`. The change that it waits for must be visible before.
    ///
    /// ```
    /// use tidemill_network::{TaskWaker, Wake};
    ///
    /// let waker = TaskWaker::new();
    /// waker.attach();
    /// waker.wake(Wake::Input); // Nobody waits for input, so nothing is remembered.
    /// waker.wake(Wake::Command); // A command always wakes.
    /// waker.wait(&[Wake::Input], None, || true);
    /// ```
    #[inline]
    pub fn wake(&self, what: Wake) {
        fence(Ordering::SeqCst);
        if what == Wake::Command || self.interest.load(Ordering::Relaxed) & what as u8 != 0 {
            self.unpark();
        }
    }

    fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Parks the calling thread until one of `interest` happens or `deadline` passes. `still_waiting` is asked
    /// once more after the interest is announced, so that nothing that happens in between is missed.
    ///
    /// May return early.
    ///
    /// ```
    /// use std::time::Instant;
    /// use tidemill_network::{TaskWaker, Wake};
    ///
    /// let waker = TaskWaker::new();
    /// waker.attach();
    /// waker.wait(&[Wake::Input], None, || false); // What it would wait for is there already.
    /// waker.wait(&[Wake::Input], Some(Instant::now()), || true); // It has waited long enough.
    /// ```
    pub fn wait(&self, interest: &[Wake], deadline: Option<Instant>, still_waiting: impl FnOnce() -> bool) {
        let bits = interest.iter().fold(0, |bits, wake| bits | *wake as u8);
        self.interest.store(bits, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if still_waiting() {
            match deadline {
                None => std::thread::park(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left > Duration::ZERO {
                        std::thread::park_timeout(left);
                    }
                }
            }
        }
        self.interest.store(0, Ordering::Relaxed);
    }
}
