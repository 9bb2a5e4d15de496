//! [`GroupWriter`]: collects the entries of one state by key group, in memory or in a file.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemill_core::{KeyGroup, KeyGroupRange, key_group};

use crate::error::StateError;
use crate::snapshot::check_owned;
use crate::spill::{GroupBytes, SpillWriter};

/// Collects the entries of one state by key group.
pub(crate) struct GroupWriter {
    owned: KeyGroupRange,
    max_parallelism: u32,
    first: KeyGroup,
    groups: Vec<Vec<u8>>,
    cancelled: Arc<AtomicBool>,
    spilling: Option<Spilling>,
}

/// What puts into a file what is too much to be held in memory.
struct Spilling {
    writer: SpillWriter,
    /// Where in the file what comes before the entries in memory is, for each key group.
    parts: Vec<Vec<Range<u64>>>,
    /// Bytes in memory, but for what was written since.
    held: usize,
    /// Which key group was written last, and how long it was before.
    last: (usize, usize),
}

impl GroupWriter {
    pub(crate) fn new(owned: KeyGroupRange, max_parallelism: u32) -> Self {
        Self::cancellable(owned, max_parallelism, &Arc::default(), None)
    }

    /// One that takes no more once `cancelled` is set, and holds no more in memory than `writer` has room for, if there is one.
    pub(crate) fn cancellable(
        owned: KeyGroupRange,
        max_parallelism: u32,
        cancelled: &Arc<AtomicBool>,
        writer: Option<SpillWriter>,
    ) -> Self {
        let first = owned.bounds().map_or(0, |bounds| *bounds.start());
        let groups = vec![Vec::new(); owned.len()];
        let parts = vec![Vec::new(); owned.len()];
        let spilling = writer.map(|writer| Spilling { writer, parts, held: 0, last: (0, 0) });
        Self { owned, max_parallelism, first, groups, cancelled: Arc::clone(cancelled), spilling }
    }

    /// Where the next entry of a key with this routing hash goes.
    pub(crate) fn of_hash(&mut self, routing_hash: u64) -> Result<&mut Vec<u8>, StateError> {
        self.of_group(key_group::key_group(routing_hash, self.max_parallelism))
    }

    /// Where the next entry of a key group goes: at the end of what is there.
    pub(crate) fn of_group(&mut self, group: KeyGroup) -> Result<&mut Vec<u8>, StateError> {
        check_owned(self.owned, group)?;
        self.check_wanted()?;
        let index = usize::from(group - self.first);
        if let Some(spilling) = &mut self.spilling {
            spilling.make_room(&mut self.groups, index)?;
        }
        Ok(&mut self.groups[index])
    }

    /// An error once nobody wants the snapshot any more.
    pub(crate) fn check_wanted(&self) -> Result<(), StateError> {
        if self.cancelled.load(Ordering::Relaxed) { Err(StateError::SnapshotGivenUp) } else { Ok(()) }
    }

    /// The entries of each key group that has any, all of them in memory: for one without a [`SpillWriter`].
    pub(crate) fn finish(self) -> Vec<(KeyGroup, GroupBytes)> {
        let groups = self.owned.iter().zip(self.groups).filter(|(_, bytes)| !bytes.is_empty());
        groups.map(|(group, bytes)| (group, bytes.into())).collect()
    }

    /// The entries of each key group that has any; all of them in a file once there is not room for all. And what may write more.
    pub(crate) fn finish_spilling(
        mut self,
    ) -> Result<(Vec<(KeyGroup, GroupBytes)>, Option<SpillWriter>), StateError> {
        let Some(mut spilling) = self.spilling.take() else { return Ok((self.finish(), None)) };
        if spilling.parts.iter().all(Vec::is_empty) {
            spilling.writer.hold(self.groups.iter().map(Vec::len).sum());
            return Ok((self.finish(), Some(spilling.writer)));
        }
        spilling.put_away(&mut self.groups)?;
        let Spilling { mut writer, parts, .. } = spilling;
        let Some(file) = writer.flush()? else { return Ok((Vec::new(), Some(writer))) };
        let groups = self.owned.iter().zip(parts).filter(|(_, parts)| !parts.is_empty());
        let in_file = |parts| GroupBytes::in_file(Arc::clone(&file), parts);
        Ok((groups.map(|(group, parts)| (group, in_file(parts))).collect(), Some(writer)))
    }
}

impl Spilling {
    /// Sees to it that there is room for one more entry, of this key group.
    fn make_room(&mut self, groups: &mut [Vec<u8>], next: usize) -> Result<(), StateError> {
        let (last, before) = self.last;
        self.held += groups[last].len() - before;
        if self.held >= self.writer.room() {
            self.put_away(groups)?;
        }
        self.last = (next, groups[next].len());
        Ok(())
    }

    fn put_away(&mut self, groups: &mut [Vec<u8>]) -> Result<(), StateError> {
        for (bytes, parts) in groups.iter_mut().zip(&mut self.parts) {
            if bytes.is_empty() {
                continue;
            }
            let part = self.writer.append(bytes)?;
            // With its memory: the key groups of a store come one after the other.
            *bytes = Vec::new();
            match parts.last_mut() {
                Some(last) if last.end == part.start => last.end = part.end,
                _ => parts.push(part),
            }
        }
        self.held = 0;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::spill::Spill;
    use proptest::prelude::*;
    use tidemill_core::ScratchFolder;

    proptest! {
        /// In whatever order entries come, and however little memory there is.
        #[test]
        fn what_is_put_into_a_file_is_what_is_held_in_memory(
            states in prop::collection::vec(prop::collection::vec((10..20u16, 0..90usize), 0..60), 1..4),
            memory in 1..900usize,
        ) {
            let folder = ScratchFolder::within(std::env::temp_dir());
            let mut writer = Some(Spill::new(folder.clone(), memory).writer());
            let owned = KeyGroupRange::of_subtask(1, 4, 40);
            let mut in_memory = 0;
            for entries in states {
                let mut held = GroupWriter::new(owned, 40);
                let mut spilled = GroupWriter::cancellable(owned, 40, &Arc::default(), writer.take());
                for (place, (group, length)) in entries.iter().enumerate() {
                    let entry = vec![place as u8; *length];
                    held.of_group(*group).unwrap().extend_from_slice(&entry);
                    spilled.of_group(*group).unwrap().extend_from_slice(&entry);
                }
                let (groups, next) = spilled.finish_spilling().unwrap();
                let expected = held.finish();
                let bytes: usize = expected.iter().map(|(_, bytes)| bytes.len()).sum();
                if !format!("{groups:?}").contains("in a file") {
                    in_memory += bytes;
                }
                prop_assert_eq!(groups, expected);
                writer = next;
            }
            prop_assert!(in_memory <= memory + 3 * (memory / 8 + 1 + 90));
            prop_assert_eq!(std::fs::read_dir(folder.create().unwrap()).unwrap().count(), 0, "no file has a name");
        }
    }
}
