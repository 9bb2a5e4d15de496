//! When periodic checkpoints are due.

use super::CheckpointSettings;
use super::settings::millis;

/// The periodic trigger. It is due at points that are an interval apart; one that finds no room waits, and the next point is an
/// interval after it went off at last. No matter how many points pass meanwhile, one waits.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    interval: Option<i64>,
    during_backlog: Option<i64>,
    min_pause: i64,
    backlog: bool,
    next: Option<i64>,
    waiting: bool,
    /// When the last checkpoint ended, complete or not.
    last_end: Option<i64>,
}

impl Schedule {
    pub(super) fn new(settings: &CheckpointSettings) -> Self {
        Self {
            interval: settings.interval.map(millis),
            during_backlog: settings.interval_during_backlog.map(millis),
            min_pause: millis(settings.min_pause),
            backlog: false,
            next: None,
            waiting: false,
            last_end: None,
        }
    }

    /// The interval as the backlog has it; `None` for no checkpoints.
    fn interval(&self) -> Option<i64> {
        let interval = self.interval?;
        let during_backlog = self.during_backlog.filter(|_| self.backlog);
        during_backlog.map_or(Some(interval), |interval| (interval > 0).then_some(interval))
    }

    pub(super) fn start(&mut self, now: i64, first_delay: i64) {
        self.waiting = false;
        self.next = self.interval().map(|_| now.saturating_add(first_delay.max(0)));
    }

    /// Begins again after a pause, an interval from now.
    pub(super) fn resume(&mut self, now: i64) {
        self.start(now, self.interval().unwrap_or(0));
    }

    pub(super) fn pause(&mut self) {
        self.waiting = false;
        self.next = None;
    }

    /// Forgets the backlog too: the sources of the next attempt report theirs anew.
    pub(super) fn reset(&mut self) {
        self.pause();
        self.backlog = false;
    }

    pub(super) fn ended(&mut self, now: i64) {
        self.last_end = Some(now);
    }

    /// A shorter interval brings the next trigger forward, a longer one counts from that trigger on, as in Flink; none at all
    /// cancels it.
    pub(super) fn set_backlog(&mut self, now: i64, backlog: bool, running: bool) {
        if std::mem::replace(&mut self.backlog, backlog) == backlog || !running {
            return;
        }
        match self.interval() {
            None => self.pause(),
            Some(interval) => {
                let fresh = now.saturating_add(interval);
                self.next = Some(self.next.map_or(fresh, |next| next.min(fresh)));
            }
        }
    }

    fn pause_ends(&self) -> Option<i64> {
        self.last_end.map(|end| end.saturating_add(self.min_pause))
    }

    /// Whether a checkpoint is to be triggered now, if there is room for one.
    pub(super) fn take_due(&mut self, now: i64, room: bool) -> bool {
        let Some(interval) = self.interval() else { return false };
        let late = self.waiting;
        if let Some(next) = self.next.filter(|next| *next <= now) {
            self.waiting = true;
            let following = next.saturating_add(interval);
            self.next = Some(if following > now { following } else { now.saturating_add(interval) });
        }
        if !self.waiting || !room || self.pause_ends().is_some_and(|end| now < end) {
            return false;
        }
        self.waiting = false;
        if late {
            self.next = Some(now.saturating_add(interval));
        }
        true
    }

    /// When [`take_due`](Self::take_due) may answer otherwise than now.
    pub(super) fn next_deadline(&self, room: bool) -> Option<i64> {
        let pause_ends = self.pause_ends().filter(|_| self.waiting && room);
        [self.next, pause_ends].into_iter().flatten().min()
    }
}
