//! What several subtasks hold of one keyed state.

use tidemill_core::KeyGroup;

use crate::error::StateError;
use crate::snapshot::KeyedSnapshot;

/// What some subtasks hold of one state, each key group once. One part for each way in which entries are written: a subtask
/// that has not asked for its state since it was restored still has it as the previous release of the program wrote it.
#[derive(Default)]
pub(crate) struct Parts(Vec<KeyedSnapshot>);

impl Parts {
    /// Adds what another subtask holds.
    ///
    /// # Errors
    /// When a key group of it is there already.
    pub(crate) fn add(&mut self, state: KeyedSnapshot) -> Result<(), StateError> {
        let known = |group: KeyGroup| {
            self.0.iter().any(|part| part.groups.binary_search_by_key(&group, |(group, _)| *group).is_ok())
        };
        let own = state.groups.windows(2).find(|pair| pair[0].0 >= pair[1].0).map(|pair| pair[1].0);
        if let Some(group) = own.or(state.groups.iter().map(|(group, _)| *group).find(|&group| known(group)))
        {
            let name = &state.name;
            let what = format!("key group {group} of the state '{name}' is in two of them");
            return Err(StateError::Inconsistent(what));
        }
        let same = |part: &&mut KeyedSnapshot| part.schema == state.schema && part.stamped == state.stamped;
        if let Some(part) = self.0.iter_mut().find(same) {
            part.groups.extend(state.groups);
            part.groups.sort_unstable_by_key(|(group, _)| *group);
            return Ok(());
        }
        // What has no entries only keeps the name taken, which the others do as well.
        if self.0.is_empty() || !state.groups.is_empty() {
            self.0.retain(|part| !part.groups.is_empty());
            self.0.push(state);
        }
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &KeyedSnapshot> {
        self.0.iter()
    }

    pub(crate) fn into_iter(self) -> impl Iterator<Item = KeyedSnapshot> {
        self.0.into_iter()
    }
}
