//! The watermarks of a reader's splits made one.

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::time::Watermark;

/// What follows for the whole subtask.
///
/// ```
/// use tidemill_core::Watermark;
/// use tidemill_runtime::source::{SplitWatermarks, WatermarkUpdate};
///
/// let mut splits = SplitWatermarks::new(None);
/// splits.add("only".into());
/// let update = splits.advance("only", Watermark(7));
/// assert_eq!(update, Some(WatermarkUpdate::Watermark(Watermark(7))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatermarkUpdate {
    /// Event time has advanced.
    Watermark(Watermark),
    /// All splits are idle (true), or one is active again.
    Idle(bool),
}

#[derive(Debug)]
struct Split {
    id: Arc<str>,
    watermark: Watermark,
    /// How long the source has been active without records of this split, from the first check that found none.
    quiet: Option<Duration>,
    had_records: bool,
    idle: bool,
}

/// Combines the splits of one source subtask: the minimum over those that are not idle.
///
/// ```
/// use tidemill_core::Watermark;
/// use tidemill_runtime::source::SplitWatermarks;
///
/// let mut splits = SplitWatermarks::new(None);
/// splits.add("a".into());
/// splits.add("b".into());
/// assert_eq!(splits.advance("a", Watermark(50)), None, "b is at the beginning");
/// splits.advance("b", Watermark(20));
/// assert_eq!(splits.current(), Watermark(20));
/// splits.remove("b");
/// assert_eq!(splits.current(), Watermark(50));
/// ```
#[derive(Debug)]
pub struct SplitWatermarks {
    splits: Vec<Split>,
    idleness: Option<Duration>,
    last: Watermark,
    idle: bool,
    /// How long there has been no split at all.
    without_splits: Duration,
}

impl SplitWatermarks {
    /// Splits without records for `idleness` do not count.
    ///
    /// ```
    /// use tidemill_core::Watermark;
    /// use tidemill_runtime::source::SplitWatermarks;
    ///
    /// assert_eq!(SplitWatermarks::new(None).current(), Watermark::MIN);
    /// ```
    pub fn new(idleness: Option<Duration>) -> Self {
        Self {
            splits: Vec::new(),
            idleness,
            last: Watermark::MIN,
            idle: false,
            without_splits: Duration::ZERO,
        }
    }

    /// The last combined watermark.
    pub fn current(&self) -> Watermark {
        self.last
    }

    /// Whether all splits are idle.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_runtime::source::SplitWatermarks;
    ///
    /// let mut splits = SplitWatermarks::new(Some(Duration::from_secs(1)));
    /// splits.add("a".into());
    /// splits.check_idleness(Duration::from_secs(2));
    /// splits.check_idleness(Duration::from_secs(2));
    /// assert!(splits.is_idle());
    /// ```
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// A split begins. It holds event time back until it has a watermark.
    ///
    /// ```
    /// use tidemill_core::Watermark;
    /// use tidemill_runtime::source::SplitWatermarks;
    ///
    /// let mut splits = SplitWatermarks::new(None);
    /// splits.add("a".into());
    /// splits.advance("a", Watermark(50));
    /// splits.add("b".into());
    /// assert_eq!(splits.advance("a", Watermark(60)), None, "b holds event time back");
    /// ```
    pub fn add(&mut self, id: Arc<str>) {
        self.splits.push(Split {
            id,
            watermark: Watermark::MIN,
            quiet: None,
            had_records: false,
            idle: false,
        });
    }

    /// A split has ended. When it was the last one, what it had reached stands.
    ///
    /// ```
    /// use tidemill_core::Watermark;
    /// use tidemill_runtime::source::SplitWatermarks;
    ///
    /// let mut splits = SplitWatermarks::new(None);
    /// splits.add("a".into());
    /// splits.add("b".into());
    /// splits.advance("a", Watermark(50));
    /// splits.remove("b");
    /// assert_eq!(splits.current(), Watermark(50));
    /// ```
    pub fn remove(&mut self, id: &str) -> Option<WatermarkUpdate> {
        let index = self.splits.iter().position(|split| &*split.id == id)?;
        if self.splits.len() == 1 {
            let update = self.combine();
            self.splits.clear();
            return update;
        }
        self.splits.remove(index);
        self.combine()
    }

    /// Records of a split have been read: it is active. Updates to pass on come first.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_runtime::source::SplitWatermarks;
    ///
    /// let mut splits = SplitWatermarks::new(Some(Duration::from_secs(1)));
    /// splits.add("a".into());
    /// splits.check_idleness(Duration::from_secs(2));
    /// splits.check_idleness(Duration::from_secs(2));
    /// assert!(splits.records("a").is_some(), "it is active again");
    /// assert!(!splits.is_idle());
    /// ```
    pub fn records(&mut self, id: &str) -> Option<WatermarkUpdate> {
        let split = self.splits.iter_mut().find(|split| &*split.id == id)?;
        split.had_records = true;
        split.quiet = None;
        split.idle = false;
        std::mem::take(&mut self.idle).then_some(WatermarkUpdate::Idle(false))
    }

    /// The watermark of a split has advanced; one that goes back is ignored.
    ///
    /// ```
    /// use tidemill_core::Watermark;
    /// use tidemill_runtime::source::SplitWatermarks;
    ///
    /// let mut splits = SplitWatermarks::new(None);
    /// splits.add("a".into());
    /// splits.advance("a", Watermark(50));
    /// splits.advance("a", Watermark(40));
    /// assert_eq!(splits.current(), Watermark(50), "time does not go back");
    /// ```
    pub fn advance(&mut self, id: &str, watermark: Watermark) -> Option<WatermarkUpdate> {
        let split = self.splits.iter_mut().find(|split| &*split.id == id)?;
        if watermark <= split.watermark {
            return None;
        }
        split.watermark = watermark;
        self.combine()
    }

    /// Checks for idleness, at every periodic call. `active` is how long, since the last check, the source was read or
    /// waited for records; back pressure and pauses for alignment do not count.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_runtime::source::SplitWatermarks;
    ///
    /// let mut splits = SplitWatermarks::new(Some(Duration::from_secs(1)));
    /// splits.add("a".into());
    /// splits.records("a");
    /// splits.check_idleness(Duration::from_secs(2));
    /// assert!(!splits.is_idle(), "it has just had records");
    /// ```
    pub fn check_idleness(&mut self, active: Duration) -> Vec<WatermarkUpdate> {
        let Some(timeout) = self.idleness else { return Vec::new() };
        for split in &mut self.splits {
            if std::mem::take(&mut split.had_records) {
                split.quiet = None;
            } else {
                let quiet = split.quiet.map_or(Duration::ZERO, |quiet| quiet + active);
                split.quiet = Some(quiet);
                split.idle |= quiet > timeout;
            }
        }
        // A source that waits for a split has nothing to say either.
        self.without_splits =
            if self.splits.is_empty() { self.without_splits + active } else { Duration::ZERO };
        let nothing_to_say = !self.splits.is_empty() || self.without_splits > timeout;
        let mut updates: Vec<WatermarkUpdate> = self.combine().into_iter().collect();
        if !self.idle && nothing_to_say && self.splits.iter().all(|split| split.idle) {
            // Nobody is held back by a split that has nothing to say: what the furthest had reached counts.
            let max = self.splits.iter().map(|split| split.watermark).max();
            updates.extend(max.and_then(|max| self.output(max)));
            self.idle = true;
            updates.push(WatermarkUpdate::Idle(true));
        }
        updates
    }

    fn combine(&mut self) -> Option<WatermarkUpdate> {
        let min = self.splits.iter().filter(|split| !split.idle).map(|split| split.watermark).min()?;
        self.output(min)
    }

    fn output(&mut self, watermark: Watermark) -> Option<WatermarkUpdate> {
        (watermark > self.last).then(|| {
            self.last = watermark;
            WatermarkUpdate::Watermark(watermark)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wm(ms: i64) -> Option<WatermarkUpdate> {
        Some(WatermarkUpdate::Watermark(Watermark(ms)))
    }

    #[test]
    fn the_slowest_split_counts_until_it_ends() {
        let mut splits = SplitWatermarks::new(None);
        splits.add("a".into());
        splits.add("b".into());
        assert_eq!(splits.advance("a", Watermark(10)), None);
        assert_eq!(splits.advance("b", Watermark(5)), wm(5));
        assert_eq!(splits.advance("b", Watermark(4)), None, "never back");
        assert_eq!(splits.remove("b"), wm(10));
        assert_eq!(splits.remove("a"), None);
        splits.add("c".into());
        assert_eq!(splits.advance("c", Watermark(7)), None, "a later file may begin earlier");
        assert_eq!(splits.advance("c", Watermark(11)), wm(11));
    }

    #[test]
    fn quiet_splits_go_idle_and_come_back() {
        let seconds = Duration::from_secs;
        let mut splits = SplitWatermarks::new(Some(seconds(5)));
        splits.add("a".into());
        splits.add("b".into());
        splits.records("a");
        splits.advance("a", Watermark(100));
        assert!(splits.check_idleness(seconds(1)).is_empty(), "the check that starts the clock of b");
        splits.records("a");
        assert!(splits.check_idleness(seconds(5)).is_empty());
        splits.records("a");
        assert_eq!(splits.check_idleness(seconds(1)), [WatermarkUpdate::Watermark(Watermark(100))]);
        assert!(splits.check_idleness(seconds(0)).is_empty(), "a pause is not idleness");
        assert!(splits.check_idleness(seconds(4)).is_empty());
        assert_eq!(splits.check_idleness(seconds(2)), [WatermarkUpdate::Idle(true)]);
        let mut none = SplitWatermarks::new(Some(seconds(5)));
        assert!(none.check_idleness(seconds(4)).is_empty());
        assert_eq!(none.check_idleness(seconds(2)), [WatermarkUpdate::Idle(true)]);
        none.add("late".into());
        assert_eq!(none.records("late"), Some(WatermarkUpdate::Idle(false)));
        assert_eq!(splits.records("b"), Some(WatermarkUpdate::Idle(false)));
        assert_eq!(splits.advance("b", Watermark(50)), None, "behind what was already said");
    }
}
