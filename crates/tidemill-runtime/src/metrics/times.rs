//! Where a task's time goes: busy, or waiting for something that has a name.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Instant;

/// What a task is doing.
///
/// ```
/// use tidemill_runtime::metrics::{TaskTimes, Waiting};
///
/// let times = TaskTimes::default();
/// assert_eq!(times.current().0, Waiting::No);
/// times.enter(Waiting::Output);
/// assert_eq!(times.current().0, Waiting::Output);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Waiting {
    /// It is working.
    No = 0,
    /// It has no input (`idleTimeMsPerSecond`).
    Input = 1,
    /// It could take input but its output has no buffer (`softBackPressuredTimeMsPerSecond`).
    Output = 2,
    /// It is in the middle of some output that has no buffer (`hardBackPressuredTimeMsPerSecond`).
    OutputWithin = 3,
    /// An operator waits for something outside of the process.
    Outside = 4,
}

impl Waiting {
    const ALL: [Waiting; 5] =
        [Waiting::No, Waiting::Input, Waiting::Output, Waiting::OutputWithin, Waiting::Outside];
}

/// The accumulated times of one task. Written by its thread, read by any.
///
/// What a task is doing counts while it lasts: a reader sees a wait that has not ended yet.
///
/// ```
/// use tidemill_runtime::metrics::{TaskTimes, Waiting};
///
/// let times = TaskTimes::default();
/// times.enter(Waiting::Input);
/// times.enter(Waiting::No);
/// times.finish();
/// let totals = times.totals();
/// assert_eq!(totals.busy() + totals.idle() + totals.back_pressured(), totals.elapsed);
/// ```
#[derive(Debug)]
pub struct TaskTimes {
    start: Instant,
    /// Odd while the writer is between two states.
    version: AtomicU64,
    state: AtomicU64,
    since: AtomicU64,
    totals: [AtomicU64; 5],
    /// When the task ended, in nanoseconds since its start; `u64::MAX` while it has not.
    end: AtomicU64,
}

/// Nanoseconds in each state since the task began, what lasts included.
///
/// ```
/// use tidemill_runtime::metrics::TimeTotals;
///
/// let totals = TimeTotals { elapsed: 1_000, in_state: [500, 300, 100, 100, 0] };
/// assert_eq!((totals.busy(), totals.idle(), totals.back_pressured()), (500, 300, 200));
/// assert_eq!(totals.ms_per_second(totals.busy()), 500);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeTotals {
    /// Since the task began.
    pub elapsed: u64,
    /// In each state, by [`Waiting`].
    pub in_state: [u64; 5],
}

impl TimeTotals {
    /// Nanoseconds without input.
    ///
    /// ```
    /// use tidemill_runtime::metrics::TimeTotals;
    ///
    /// let totals = TimeTotals { elapsed: 1_000, in_state: [500, 300, 100, 100, 0] };
    /// assert_eq!(totals.idle(), 300);
    /// ```
    pub fn idle(&self) -> u64 {
        self.in_state[Waiting::Input as usize]
    }

    /// Nanoseconds without a buffer for the output, before or within a batch.
    ///
    /// ```
    /// use tidemill_runtime::metrics::TimeTotals;
    ///
    /// let totals = TimeTotals { elapsed: 1_000, in_state: [500, 300, 150, 50, 0] };
    /// assert_eq!(totals.back_pressured(), totals.soft_back_pressured() + totals.hard_back_pressured());
    /// ```
    pub fn back_pressured(&self) -> u64 {
        self.soft_back_pressured() + self.hard_back_pressured()
    }

    /// Nanoseconds without a buffer, before the next input was taken.
    ///
    /// ```
    /// use tidemill_runtime::metrics::TimeTotals;
    ///
    /// let totals = TimeTotals { elapsed: 1_000, in_state: [500, 300, 150, 50, 0] };
    /// assert_eq!(totals.soft_back_pressured(), 150);
    /// ```
    pub fn soft_back_pressured(&self) -> u64 {
        self.in_state[Waiting::Output as usize]
    }

    /// Nanoseconds without a buffer, in the middle of some output.
    ///
    /// ```
    /// use tidemill_runtime::metrics::TimeTotals;
    ///
    /// let totals = TimeTotals { elapsed: 1_000, in_state: [500, 300, 150, 50, 0] };
    /// assert_eq!(totals.hard_back_pressured(), 50);
    /// ```
    pub fn hard_back_pressured(&self) -> u64 {
        self.in_state[Waiting::OutputWithin as usize]
    }

    /// Nanoseconds that an operator waited for something outside.
    ///
    /// ```
    /// use tidemill_runtime::metrics::TimeTotals;
    ///
    /// let totals = TimeTotals { elapsed: 1_000, in_state: [500, 300, 0, 0, 200] };
    /// assert_eq!((totals.outside(), totals.busy()), (200, 700), "a wait for the outside is work");
    /// ```
    pub fn outside(&self) -> u64 {
        self.in_state[Waiting::Outside as usize]
    }

    /// Nanoseconds at work: all that are neither idle nor back-pressured. As in Flink, a task that waits for the outside
    /// counts as busy: it is the bottleneck.
    ///
    /// ```
    /// use tidemill_runtime::metrics::TimeTotals;
    ///
    /// let totals = TimeTotals { elapsed: 1_000, in_state: [500, 300, 100, 100, 0] };
    /// assert_eq!(totals.busy(), 500);
    /// ```
    pub fn busy(&self) -> u64 {
        self.elapsed.saturating_sub(self.idle() + self.back_pressured())
    }

    /// What has come since an earlier reading.
    ///
    /// ```
    /// use tidemill_runtime::metrics::TimeTotals;
    ///
    /// let minute = TimeTotals { elapsed: 60_000, in_state: [40_000, 20_000, 0, 0, 0] };
    /// let later = TimeTotals { elapsed: 70_000, in_state: [41_000, 29_000, 0, 0, 0] };
    /// assert_eq!((later.since(&minute).elapsed, later.since(&minute).idle()), (10_000, 9_000));
    /// ```
    pub fn since(&self, earlier: &TimeTotals) -> TimeTotals {
        let mut in_state = [0; 5];
        for (index, total) in in_state.iter_mut().enumerate() {
            *total = self.in_state[index].saturating_sub(earlier.in_state[index]);
        }
        TimeTotals { elapsed: self.elapsed.saturating_sub(earlier.elapsed), in_state }
    }

    /// Milliseconds per second of a part of the elapsed time, 0 to 1000.
    ///
    /// ```
    /// use tidemill_runtime::metrics::TimeTotals;
    ///
    /// let totals = TimeTotals { elapsed: 2_000, in_state: [500, 1_500, 0, 0, 0] };
    /// assert_eq!(totals.ms_per_second(totals.idle()), 750);
    /// assert_eq!(TimeTotals::default().ms_per_second(7), 0, "no time has passed");
    /// ```
    pub fn ms_per_second(&self, part: u64) -> u64 {
        (part.saturating_mul(1000)).checked_div(self.elapsed).unwrap_or(0).min(1000)
    }
}

impl Default for TaskTimes {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            version: AtomicU64::new(0),
            state: AtomicU64::new(0),
            since: AtomicU64::new(0),
            totals: Default::default(),
            end: AtomicU64::new(u64::MAX),
        }
    }
}

impl TaskTimes {
    fn now(&self) -> u64 {
        let elapsed = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        elapsed.min(self.end.load(Ordering::Relaxed))
    }

    /// The task has ended: no time passes for it any more.
    ///
    /// ```
    /// use tidemill_runtime::metrics::TaskTimes;
    ///
    /// let times = TaskTimes::default();
    /// times.finish();
    /// assert_eq!(times.totals().elapsed, times.totals().elapsed);
    /// ```
    pub fn finish(&self) {
        self.end.store(self.now(), Ordering::Relaxed);
    }

    /// The task's thread begins something else.
    ///
    /// ```
    /// use tidemill_runtime::metrics::{TaskTimes, Waiting};
    ///
    /// let times = TaskTimes::default();
    /// times.enter(Waiting::Input);
    /// assert_eq!(times.current().0, Waiting::Input);
    /// ```
    pub fn enter(&self, state: Waiting) {
        let old = self.state.load(Ordering::Relaxed) as usize;
        if old == state as usize {
            return;
        }
        let now = self.now();
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        let since = self.since.load(Ordering::Relaxed);
        let total = self.totals[old].load(Ordering::Relaxed) + now.saturating_sub(since);
        self.totals[old].store(total, Ordering::Relaxed);
        self.since.store(now, Ordering::Relaxed);
        self.state.store(state as u64, Ordering::Relaxed);
        self.version.store(version + 2, Ordering::Release);
    }

    /// What the task is doing at this moment, and for how many nanoseconds it has.
    ///
    /// ```
    /// use tidemill_runtime::metrics::{TaskTimes, Waiting};
    ///
    /// assert_eq!(TaskTimes::default().current().0, Waiting::No);
    /// ```
    pub fn current(&self) -> (Waiting, u64) {
        let (state, since, _) = self.consistent();
        (Waiting::ALL[state], self.now().saturating_sub(since))
    }

    /// All times up to this moment.
    ///
    /// ```
    /// use tidemill_runtime::metrics::{TaskTimes, Waiting};
    ///
    /// let times = TaskTimes::default();
    /// times.enter(Waiting::Input);
    /// times.enter(Waiting::No);
    /// let totals = times.totals();
    /// assert_eq!(totals.in_state.iter().sum::<u64>(), totals.elapsed);
    /// ```
    pub fn totals(&self) -> TimeTotals {
        let (state, since, mut in_state) = self.consistent();
        let now = self.now();
        in_state[state] += now.saturating_sub(since);
        TimeTotals { elapsed: now, in_state }
    }

    fn consistent(&self) -> (usize, u64, [u64; 5]) {
        loop {
            let before = self.version.load(Ordering::Acquire);
            let state = self.state.load(Ordering::Relaxed) as usize;
            let since = self.since.load(Ordering::Relaxed);
            let totals = std::array::from_fn(|index| self.totals[index].load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before {
                return (state.min(4), since, totals);
            }
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_while_it_lasts_and_all_adds_up() {
        let times = TaskTimes::default();
        times.enter(Waiting::Input);
        let first = times.totals();
        let second = loop {
            let totals = times.totals();
            if totals.idle() > first.idle() {
                break totals;
            }
        };
        assert_eq!(times.current().0, Waiting::Input);
        times.enter(Waiting::Output);
        times.enter(Waiting::No);
        let end = times.totals();
        assert!(end.idle() >= second.idle());
        let sum: u64 = end.in_state.iter().sum();
        assert_eq!(sum, end.elapsed);
        assert_eq!(end.busy() + end.idle() + end.back_pressured(), end.elapsed);
    }
}
