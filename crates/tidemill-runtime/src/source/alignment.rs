//! Sources of one group that wait for the slowest of them, in event time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::source::WatermarkAlignment;

/// The alignment groups of a job, by name.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use tidemill_runtime::source::{AlignmentGroups, WatermarkAlignment};
///
/// let settings = WatermarkAlignment {
///     group: "clicks".to_owned(),
///     max_drift: Duration::from_secs(30),
///     update_interval: Duration::from_secs(1),
/// };
/// let groups = AlignmentGroups::default();
/// assert!(Arc::ptr_eq(&groups.group(&settings), &groups.group(&settings)));
/// ```
#[derive(Default)]
pub struct AlignmentGroups(Mutex<HashMap<String, Arc<AlignmentGroup>>>);

impl AlignmentGroups {
    /// The group that these settings name. The first source to ask decides about drift and interval.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use tidemill_runtime::source::{AlignmentGroups, WatermarkAlignment};
    ///
    /// let settings = |group: &str| WatermarkAlignment {
    ///     group: group.to_owned(),
    ///     max_drift: Duration::from_secs(30),
    ///     update_interval: Duration::from_secs(1),
    /// };
    /// let groups = AlignmentGroups::default();
    /// assert!(!Arc::ptr_eq(&groups.group(&settings("clicks")), &groups.group(&settings("views"))));
    /// ```
    pub fn group(&self, settings: &WatermarkAlignment) -> Arc<AlignmentGroup> {
        let mut groups = self.0.lock();
        let group = groups.entry(settings.group.clone()).or_insert_with(|| {
            Arc::new(AlignmentGroup {
                max_drift: i64::try_from(settings.max_drift.as_millis()).unwrap_or(i64::MAX),
                update_interval: settings.update_interval,
                state: Mutex::new(GroupState { reported: Vec::new(), announced: i64::MAX, next: None }),
            })
        });
        Arc::clone(group)
    }
}

/// What the sources of a group know of each other.
///
/// ```
/// use std::time::{Duration, Instant};
/// use tidemill_runtime::source::{AlignmentGroups, WatermarkAlignment};
///
/// let settings = WatermarkAlignment {
///     group: "clicks".to_owned(),
///     max_drift: Duration::from_millis(30),
///     update_interval: Duration::from_secs(1),
/// };
/// let group = AlignmentGroups::default().group(&settings);
/// let (fast, slow) = (group.join(), group.join());
/// let start = Instant::now();
/// group.report(slow, 100, start);
/// assert_eq!(group.report(fast, 500, start + Duration::from_secs(1)), 130);
/// ```
pub struct AlignmentGroup {
    max_drift: i64,
    update_interval: Duration,
    state: Mutex<GroupState>,
}

struct GroupState {
    /// The watermark that each member has reported last; members that never did do not count.
    reported: Vec<Option<i64>>,
    announced: i64,
    next: Option<Instant>,
}

impl AlignmentGroup {
    /// Adds a source subtask; its number is used to [`report`](Self::report).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_runtime::source::{AlignmentGroups, WatermarkAlignment};
    ///
    /// let settings = WatermarkAlignment {
    ///     group: "clicks".to_owned(),
    ///     max_drift: Duration::from_millis(30),
    ///     update_interval: Duration::from_secs(1),
    /// };
    /// let group = AlignmentGroups::default().group(&settings);
    /// assert_eq!((group.join(), group.join()), (0, 1));
    /// ```
    pub fn join(&self) -> usize {
        let mut state = self.state.lock();
        state.reported.push(None);
        state.reported.len() - 1
    }

    /// Reports the watermark of a member (`i64::MAX` when it is idle or has ended) and answers up to which watermark
    /// it may go on: the slowest member's plus the drift, as of the last update.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use tidemill_runtime::source::{AlignmentGroups, WatermarkAlignment};
    ///
    /// let settings = WatermarkAlignment {
    ///     group: "clicks".to_owned(),
    ///     max_drift: Duration::from_millis(30),
    ///     update_interval: Duration::from_secs(1),
    /// };
    /// let group = AlignmentGroups::default().group(&settings);
    /// let (member, start) = (group.join(), Instant::now());
    /// assert_eq!(group.report(member, 100, start), i64::MAX, "the first update is yet to come");
    /// assert_eq!(group.report(member, 100, start + Duration::from_secs(1)), 130);
    /// ```
    pub fn report(&self, member: usize, watermark: i64, now: Instant) -> i64 {
        let mut state = self.state.lock();
        state.reported[member] = Some(watermark);
        let next = *state.next.get_or_insert(now + self.update_interval);
        if now >= next {
            let slowest = state.reported.iter().flatten().min().copied().unwrap_or(i64::MAX);
            state.announced = slowest.saturating_add(self.max_drift);
            state.next = Some(now + self.update_interval);
        }
        state.announced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_runs_ahead_of_the_slowest_by_more_than_the_drift() {
        let groups = AlignmentGroups::default();
        let settings = WatermarkAlignment {
            group: "g".into(),
            max_drift: Duration::from_millis(30),
            update_interval: Duration::from_secs(1),
        };
        let group = groups.group(&settings);
        assert!(Arc::ptr_eq(&group, &groups.group(&settings)));
        let (a, b) = (group.join(), group.join());
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(group.report(a, 500, at(0)), i64::MAX, "no limit before the first announcement");
        assert_eq!(group.report(b, 100, at(10)), i64::MAX);
        assert_eq!(group.report(a, 600, at(1001)), 130);
        assert_eq!(group.report(b, 400, at(1500)), 130);
        assert_eq!(group.report(b, 400, at(2100)), 430);
        assert_eq!(group.report(b, i64::MAX, at(3200)), 630, "an idle member holds nobody back");
        assert_eq!(group.report(a, i64::MAX, at(4300)), i64::MAX);
    }
}
