//! Dealing snapshots out to another number of subtasks.

use tidemill_core::key_group::KeyGroupRange;
use tidemill_state::{KeyedSnapshot, OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};

/// Deals what the subtasks of one operator snapshotted out to `parallelism` subtasks: keyed state and timers by key group,
/// split lists evenly and in order, union lists whole to each, broadcast state from the first to each.
///
/// ```
/// use tidemill_state::SubtaskSnapshot;
/// use tidemill_testkit::redistribute;
///
/// assert_eq!(redistribute(&[SubtaskSnapshot::default()], 3, 128).len(), 3);
/// ```
pub fn redistribute(
    snapshots: &[SubtaskSnapshot],
    parallelism: u32,
    max_parallelism: u32,
) -> Vec<SubtaskSnapshot> {
    for snapshot in snapshots {
        assert!(
            snapshot.max_parallelism == 0 || snapshot.max_parallelism == max_parallelism,
            "a snapshot was made at max parallelism {}, not {max_parallelism}",
            snapshot.max_parallelism
        );
    }
    let keyed = merge_keyed(snapshots.iter().flat_map(|snapshot| &snapshot.keyed));
    let timers = merge_keyed(snapshots.iter().flat_map(|snapshot| &snapshot.timers));
    let operator = merge_operator(snapshots);
    (0..parallelism)
        .map(|subtask| {
            let owned = KeyGroupRange::of_subtask(subtask, parallelism, max_parallelism);
            SubtaskSnapshot {
                max_parallelism: snapshots.iter().map(|snapshot| snapshot.max_parallelism).max().unwrap_or(0),
                keyed: keyed.iter().map(|state| owned_part(state, owned)).collect(),
                timers: timers.iter().map(|state| owned_part(state, owned)).collect(),
                operator: operator.iter().map(|state| share(state, subtask, parallelism)).collect(),
                ..SubtaskSnapshot::default()
            }
        })
        .collect()
}

fn merge_keyed<'a>(states: impl Iterator<Item = &'a KeyedSnapshot>) -> Vec<KeyedSnapshot> {
    let mut merged: Vec<KeyedSnapshot> = Vec::new();
    for state in states {
        match merged.iter_mut().find(|other| other.name == state.name) {
            None => merged.push(state.clone()),
            Some(other) => {
                assert_eq!(other.schema, state.schema, "state '{}' differs between subtasks", state.name);
                if other.groups.is_empty() {
                    other.stamped = state.stamped;
                }
                other.groups.extend(state.groups.iter().cloned());
            }
        }
    }
    for state in &mut merged {
        state.groups.sort_by_key(|(group, _)| *group);
        let twice = state.groups.windows(2).find(|pair| pair[0].0 == pair[1].0);
        assert!(
            twice.is_none(),
            "two subtasks have key group {:?} of '{}'",
            twice.map(|pair| pair[0].0),
            state.name
        );
    }
    merged
}

fn owned_part(state: &KeyedSnapshot, owned: KeyGroupRange) -> KeyedSnapshot {
    let groups = state.groups.iter().filter(|(group, _)| owned.contains(*group)).cloned().collect();
    KeyedSnapshot { groups, ..state.clone() }
}

fn merge_operator(snapshots: &[SubtaskSnapshot]) -> Vec<OperatorSnapshot> {
    let mut merged: Vec<OperatorSnapshot> = Vec::new();
    for state in snapshots.iter().flat_map(|snapshot| &snapshot.operator) {
        match merged.iter_mut().find(|other| other.name == state.name) {
            None => merged.push(state.clone()),
            Some(_) if state.mode == OperatorStateMode::Broadcast => {}
            Some(other) => other.items.extend(state.items.iter().cloned()),
        }
    }
    merged
}

fn share(state: &OperatorSnapshot, subtask: u32, parallelism: u32) -> OperatorSnapshot {
    if state.mode != OperatorStateMode::Split {
        return state.clone();
    }
    let (count, subtask, parallelism) = (state.items.len(), subtask as usize, parallelism as usize);
    let part = count * subtask / parallelism..count * (subtask + 1) / parallelism;
    OperatorSnapshot { items: state.items[part].to_vec(), ..state.clone() }
}
