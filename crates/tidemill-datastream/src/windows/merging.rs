//! The windows that a key has while windows merge.

use tidemill_runtime::OperatorError;
use tidemill_serialization::Key;
use tidemill_state::{KeyedStateBackend, ValueState, ValueStateDescriptor};

use crate::windows::window::Window;

/// The windows that the current key has, each with the window under which its contents are stored. When windows merge, the
/// contents stay where those of one of them are, so that a session that grows by an element copies nothing.
pub(crate) struct MergingWindowSet<W> {
    stored: Option<ValueState<Vec<(W, W)>>>,
    mapping: Vec<(W, W)>,
    changed: bool,
}

/// Windows that have become one.
pub(crate) struct Merge<W> {
    /// The windows that were there before.
    pub(crate) merged: Vec<W>,
    /// Where the contents of the merged window are, then where those are that have to go there.
    pub(crate) state_windows: Vec<W>,
}

impl<W> Default for Merge<W> {
    fn default() -> Self {
        Self { merged: Vec::new(), state_windows: Vec::new() }
    }
}

impl<W: Window> MergingWindowSet<W> {
    pub(crate) fn new() -> Self {
        Self { stored: None, mapping: Vec::new(), changed: false }
    }

    pub(crate) fn open<K: Key>(&mut self, backend: &mut KeyedStateBackend<K>) -> Result<(), OperatorError> {
        self.stored = Some(backend.register_value(ValueStateDescriptor::new("merging-window-set"))?);
        Ok(())
    }

    /// Reads the windows of the current key.
    pub(crate) fn load<K: Key>(&mut self, backend: &mut KeyedStateBackend<K>) -> Result<(), OperatorError> {
        let Self { stored, mapping, changed, .. } = self;
        mapping.clear();
        *changed = false;
        if let Some(stored) = stored {
            stored.read(backend, |windows| mapping.extend(windows.into_iter().flatten().cloned()))?;
        }
        Ok(())
    }

    /// Writes the windows of the current key back.
    pub(crate) fn persist<K: Key>(
        &mut self,
        backend: &mut KeyedStateBackend<K>,
    ) -> Result<(), OperatorError> {
        let Self { stored: Some(stored), mapping, changed: true, .. } = self else { return Ok(()) };
        if mapping.is_empty() {
            stored.clear(backend)?;
        } else {
            stored.modify(backend, Vec::new, |windows| windows.clone_from(mapping))?;
        }
        self.changed = false;
        Ok(())
    }

    /// The window under which the contents of a window are stored; none when there is no such window.
    pub(crate) fn state_window(&self, window: &W) -> Option<&W> {
        self.mapping.iter().find(|(known, _)| known == window).map(|(_, state_window)| state_window)
    }

    pub(crate) fn retire(&mut self, window: &W) {
        self.mapping.retain(|(known, _)| known != window);
        self.changed = true;
    }

    /// Adds a window and merges it with those that it meets; answers which window it is in now. `merge` gets the windows
    /// that were there and are no more, and none when the new one is apart from all, or within one.
    pub(crate) fn add(&mut self, new: W, meet: impl Fn(&W, &W) -> Option<W>, merge: &mut Merge<W>) -> W {
        let Merge { merged, state_windows } = merge;
        merged.clear();
        state_windows.clear();
        let mut result = new;
        loop {
            let met = self
                .mapping
                .iter()
                .enumerate()
                .find_map(|(place, (window, _))| meet(&result, window).map(|covering| (place, covering)));
            let Some((place, covering)) = met else { break };
            if merged.is_empty() && covering == self.mapping[place].0 {
                // Within one that is there, and so apart from the others.
                return covering;
            }
            let (window, state_window) = self.mapping.remove(place);
            merged.push(window);
            state_windows.push(state_window);
            result = covering;
        }
        let state_window = state_windows.first().unwrap_or(&result).clone();
        self.mapping.push((result.clone(), state_window));
        self.changed = true;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::TimeWindow;
    use proptest::prelude::*;

    proptest! {
        /// Point by point, with the halves between them: a window of [start, end) touches the point `end`.
        #[test]
        fn the_set_covers_what_was_added(added in prop::collection::vec((0i64..200, 1i64..20), 0..30)) {
            let mut set = MergingWindowSet::new();
            let mut merge = Merge::default();
            let mut all: Vec<TimeWindow> = Vec::new();
            for (start, gap) in added {
                let new = TimeWindow::new(start, start + gap);
                let before = set.mapping.clone();
                let meet = |one: &TimeWindow, other: &TimeWindow| one.intersects(other).then(|| one.cover(other));
                let within = set.add(new, meet, &mut merge);
                prop_assert!(within.start <= new.start && new.end <= within.end);
                prop_assert_eq!(merge.merged.len(), merge.state_windows.len());
                for (window, state_window) in merge.merged.iter().zip(&merge.state_windows) {
                    prop_assert!(before.contains(&(*window, *state_window)));
                    prop_assert!(*window == within || set.state_window(window).is_none());
                }
                all.push(new);
            }
            let now: Vec<TimeWindow> = set.mapping.iter().map(|(window, _)| *window).collect();
            let covered = |windows: &[TimeWindow], half: i64| {
                windows.iter().any(|window| window.start * 2 <= half && half <= window.end * 2)
            };
            for half in 0..450 {
                prop_assert_eq!(covered(&all, half), covered(&now, half));
            }
            for (place, one) in now.iter().enumerate() {
                prop_assert!(now[place + 1..].iter().all(|other| !one.intersects(other)));
            }
            // No two windows keep their contents in the same place.
            let mut places: Vec<TimeWindow> = set.mapping.iter().map(|(_, place)| *place).collect();
            places.sort();
            places.dedup();
            prop_assert_eq!(places.len(), now.len());
        }
    }
}
