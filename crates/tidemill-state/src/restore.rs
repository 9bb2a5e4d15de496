//! Puts what a snapshot holds of a state into its table: some entries of a key group at a time, however many it has.

use crate::error::StateError;
use crate::migrate::StateMigration;
use crate::parts::Parts;
use crate::snapshot::{KeyedSnapshot, StateSchema};
use crate::spill::GroupBytes;
use crate::table::Table;

/// About how many bytes of entries are in memory at once.
const BLOCK: usize = 4 << 20;

/// Adds all parts to the table of a state that is `declared` so.
pub(crate) fn restore_into<K: 'static>(
    table: &mut dyn Table<K>,
    declared: &StateSchema,
    restored: &Parts,
) -> Result<(), StateError> {
    for part in restored.iter() {
        let migration = StateMigration::of(&part.name, &part.schema, declared)?;
        for (group, bytes) in &part.groups {
            let mut restore = |entries: &[u8]| table.restore_group(*group, entries, part.stamped);
            let large = !bytes.is_in_memory() && bytes.len() > BLOCK;
            match if large { StateMigration::unchanged(&part.schema) } else { None } {
                Some(passing) => {
                    let blocks = Blocks { part, passing, migration: migration.as_ref() };
                    blocks.restore(bytes, BLOCK, &mut restore)?;
                }
                None => {
                    let entries = bytes.read()?;
                    match &migration {
                        None => restore(&entries)?,
                        Some(migration) => restore(&migration.group(&part.name, &entries, part.stamped)?)?,
                    }
                }
            }
        }
    }
    table.finish_restore()
}

/// Takes the entries of a key group apart.
struct Blocks<'a> {
    part: &'a KeyedSnapshot,
    /// Finds out where entries end.
    passing: StateMigration,
    migration: Option<&'a StateMigration>,
}

impl Blocks<'_> {
    fn restore(
        &self,
        bytes: &GroupBytes,
        block: usize,
        restore: &mut dyn FnMut(&[u8]) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut left = bytes.len();
        let mut wanted = block;
        let mut entries = Vec::new();
        bytes.for_each(&mut |piece| {
            entries.extend_from_slice(piece);
            left -= piece.len();
            if left > 0 && entries.len() < wanted {
                return Ok(());
            }
            // What is left over at the end is damaged, which is said by whoever reads it.
            let end = if left == 0 { entries.len() } else { self.passing.whole(&entries, self.part.stamped) };
            if end == 0 {
                // One entry is larger.
                wanted = entries.len().saturating_mul(2);
                return Ok(());
            }
            match self.migration {
                None => restore(&entries[..end])?,
                Some(migration) => {
                    restore(&migration.group(&self.part.name, &entries[..end], self.part.stamped)?)?;
                }
            }
            entries.drain(..end);
            wanted = block;
            Ok(())
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::codec::put_entry;
    use crate::snapshot::{GroupWriter, StateKind};
    use crate::spill::Spill;
    use proptest::prelude::*;
    use std::sync::Arc;
    use tidemill_core::{KeyGroupRange, ScratchFolder};
    use tidemill_serialization::{Data, SerializerSnapshot};

    proptest! {
        /// Entries of all sizes, some larger than a block, in pieces that end anywhere.
        #[test]
        fn blocks_are_whole_entries_in_order(
            lengths in prop::collection::vec(prop_oneof![0..40usize, 1_000..400_000usize], 1..12),
            block in 1..9_000usize,
        ) {
            let types = vec![
                SerializerSnapshot::of::<u64>(),
                SerializerSnapshot::of::<()>(),
                SerializerSnapshot::of::<Vec<u8>>(),
            ];
            let schema = StateSchema { kind: StateKind::Value, types };
            let spill = Spill::new(ScratchFolder::within(std::env::temp_dir()), 100);
            let owned = KeyGroupRange::all(1);
            let mut writer = GroupWriter::cancellable(owned, 1, &Arc::default(), Some(spill.writer()));
            let mut whole = Vec::new();
            for (key, length) in lengths.iter().enumerate() {
                let mut entry = Vec::new();
                put_entry(&mut entry, &(key as u64), &());
                vec![key as u8; *length].encode(&mut entry);
                writer.of_group(0).unwrap().extend_from_slice(&entry);
                whole.push(entry);
            }
            let (groups, _) = writer.finish_spilling().unwrap();
            let passing = StateMigration::unchanged(&schema).unwrap();
            let part = KeyedSnapshot { name: "value".into(), schema, stamped: false, groups };
            let mut expected = whole.into_iter();
            let blocks = Blocks { part: &part, passing, migration: None };
            blocks.restore(&part.groups[0].1, block, &mut |mut entries| {
                assert!(!entries.is_empty());
                while !entries.is_empty() {
                    let next = expected.next().unwrap();
                    entries = entries.strip_prefix(&next[..]).unwrap();
                }
                Ok(())
            }).unwrap();
            prop_assert_eq!(expected.next(), None);
        }
    }
}
