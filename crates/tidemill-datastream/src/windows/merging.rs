//! The windows that a key has while windows merge.

use tidemill_runtime::OperatorError;
use tidemill_serialization::Key;
use tidemill_state::{KeyedStateBackend, ValueState, ValueStateDescriptor};

use crate::windows::window::Window;

/// Per key: the windows there are, each with the window under which its contents are stored. When windows merge, the
/// contents stay where those of one of them are, so that a session that grows by an element copies nothing.
#[derive(Clone)]
pub(crate) struct MergingWindowSet<W> {
    stored: Option<ValueState<Vec<(W, W)>>>,
    mapping: Vec<(W, W)>,
    changed: bool,
    scratch: Vec<W>,
}

/// Windows that have become one.
pub(crate) struct Merge<W> {
    pub(crate) result: W,
    /// The windows that were there before.
    pub(crate) merged: Vec<W>,
    /// Where the contents of the result are.
    pub(crate) state_window: W,
    /// Where contents are that have to go there.
    pub(crate) merged_state_windows: Vec<W>,
}

impl<W: Window> MergingWindowSet<W> {
    pub(crate) fn new() -> Self {
        Self { stored: None, mapping: Vec::new(), changed: false, scratch: Vec::new() }
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

    /// Adds a window, merges what `merge` says, and answers which window the new one is in now.
    pub(crate) fn add(
        &mut self,
        new: W,
        merge: impl FnOnce(&[W]) -> Vec<(W, Vec<W>)>,
        merges: &mut Vec<Merge<W>>,
    ) -> W {
        if self.state_window(&new).is_some() {
            return new;
        }
        let mut groups = Vec::new();
        if !self.mapping.is_empty() {
            self.scratch.clear();
            self.scratch.extend(self.mapping.iter().map(|(window, _)| window.clone()));
            self.scratch.push(new.clone());
            groups = merge(&self.scratch);
        }
        let mut within = None;
        for (result, mut merged) in groups {
            let before = merged.len();
            merged.retain(|window| *window != new);
            if merged.len() < before {
                within = Some(result.clone());
            }
            if let [only] = &merged[..]
                && *only == result
            {
                // The new window lies within one that is there.
                continue;
            }
            let mut state_windows: Vec<W> = Vec::with_capacity(merged.len());
            self.mapping.retain(|(window, state_window)| {
                let stays = !merged.contains(window);
                if !stays {
                    state_windows.push(state_window.clone());
                }
                stays
            });
            if state_windows.is_empty() {
                continue;
            }
            let state_window = state_windows.remove(0);
            self.mapping.push((result.clone(), state_window.clone()));
            self.changed = true;
            merges.push(Merge { result, merged, state_window, merged_state_windows: state_windows });
        }
        within.unwrap_or_else(|| {
            self.mapping.push((new.clone(), new.clone()));
            self.changed = true;
            new
        })
    }
}
