//! Deals the state of one operator to another number of subtasks, without decoding any of it.

use std::collections::BTreeMap;

use tidemill_core::KeyGroupRange;

use crate::error::StateError;
use crate::keyed::join;
use crate::snapshot::{KeyedSnapshot, OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};

/// Deals the snapshots of all subtasks of an operator, in the order of subtasks, to `new_parallelism` subtasks.
///
/// Key groups go by range; the items of list state are dealt out one by one, in turn (at the same parallelism they
/// stay where they are); union list state goes to everyone as a whole; broadcast state is copied.
///
/// ```
/// use tidemill_core::budget::MemoryBudget;
/// use tidemill_state::{ListStateDescriptor, OperatorStateBackend, redistribute};
///
/// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
/// let open = backend.register_list(ListStateDescriptor::<u64>::new("open"))?;
/// open.update(&mut backend, [1, 2, 3])?;
///
/// let dealt = redistribute(vec![backend.snapshot()], 128, 2)?;
/// assert_eq!([0, 1].map(|subtask: usize| dealt[subtask].operator[0].items.len()), [2, 1]);
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
///
/// # Errors
/// When the snapshots do not belong together, `new_parallelism` is 0 or more than `max_parallelism`, or keyed
/// state was written with another max parallelism.
pub fn redistribute(
    snapshots: Vec<SubtaskSnapshot>,
    max_parallelism: u32,
    new_parallelism: u32,
) -> Result<Vec<SubtaskSnapshot>, StateError> {
    if new_parallelism == 0 || new_parallelism > max_parallelism {
        let what = format!("parallelism {new_parallelism} is not in 1..={max_parallelism}");
        return Err(StateError::Inconsistent(what));
    }
    let mut dealt: Vec<SubtaskSnapshot> =
        (0..new_parallelism).map(|_| SubtaskSnapshot { max_parallelism, ..Default::default() }).collect();
    let mut keyed = BTreeMap::new();
    let mut timers = BTreeMap::new();
    let mut operator: BTreeMap<String, Vec<(usize, OperatorSnapshot)>> = BTreeMap::new();
    let old_parallelism = snapshots.len();
    for (subtask, snapshot) in snapshots.into_iter().enumerate() {
        let stored = snapshot.max_parallelism;
        if stored != max_parallelism && !(snapshot.keyed.is_empty() && snapshot.timers.is_empty()) {
            return Err(StateError::MaxParallelism { stored, declared: max_parallelism });
        }
        snapshot.keyed.into_iter().try_for_each(|state| collect(&mut keyed, state))?;
        snapshot.timers.into_iter().try_for_each(|state| collect(&mut timers, state))?;
        for state in snapshot.operator {
            operator.entry(state.name.clone()).or_default().push((subtask, state));
        }
    }
    for state in keyed.into_values() {
        deal_groups(state, max_parallelism, &mut dealt, |subtask| &mut subtask.keyed)?;
    }
    for state in timers.into_values() {
        deal_groups(state, max_parallelism, &mut dealt, |subtask| &mut subtask.timers)?;
    }
    for parts in operator.into_values() {
        deal_items(parts, old_parallelism, &mut dealt)?;
    }
    Ok(dealt)
}

fn collect(states: &mut BTreeMap<String, KeyedSnapshot>, state: KeyedSnapshot) -> Result<(), StateError> {
    let joined = match states.remove(&state.name) {
        None => state,
        Some(other) => join(other, state)?,
    };
    states.insert(joined.name.clone(), joined);
    Ok(())
}

fn deal_groups(
    state: KeyedSnapshot,
    max_parallelism: u32,
    dealt: &mut [SubtaskSnapshot],
    states: impl Fn(&mut SubtaskSnapshot) -> &mut Vec<KeyedSnapshot>,
) -> Result<(), StateError> {
    if let Some((group, _)) = state.groups.last()
        && u32::from(*group) >= max_parallelism
    {
        let what = format!("key group {group} of the state '{}' is not below {max_parallelism}", state.name);
        return Err(StateError::Inconsistent(what));
    }
    let parallelism = dealt.len() as u32;
    let mut groups = state.groups.into_iter().peekable();
    for (subtask, snapshot) in dealt.iter_mut().enumerate() {
        let range = KeyGroupRange::of_subtask(subtask as u32, parallelism, max_parallelism);
        let mut own = Vec::new();
        while let Some(group) = groups.next_if(|(group, _)| range.contains(*group)) {
            own.push(group);
        }
        // A state without entries is kept, so that its name stays taken.
        states(snapshot).push(KeyedSnapshot {
            name: state.name.clone(),
            schema: state.schema.clone(),
            stamped: state.stamped,
            groups: own,
        });
    }
    Ok(())
}

fn deal_items(
    parts: Vec<(usize, OperatorSnapshot)>,
    old_parallelism: usize,
    dealt: &mut [SubtaskSnapshot],
) -> Result<(), StateError> {
    let Some((_, first)) = parts.first() else { return Ok(()) };
    let (name, mode, types) = (first.name.clone(), first.mode, first.types.clone());
    if let Some((_, other)) = parts.iter().find(|(_, part)| part.mode != mode || part.types != types) {
        let (a, b) = (first.describe(), other.describe());
        return Err(StateError::Inconsistent(format!("the state '{name}' is {a} in one and {b} in another")));
    }
    let parallelism = dealt.len();
    let mut items: Vec<Vec<Vec<u8>>> = vec![Vec::new(); parallelism];
    match mode {
        OperatorStateMode::Split if parallelism == old_parallelism => {
            for (subtask, part) in parts {
                items[subtask].extend(part.items);
            }
        }
        OperatorStateMode::Split => {
            let all = parts.into_iter().flat_map(|(_, part)| part.items);
            for (i, item) in all.enumerate() {
                items[i % parallelism].push(item);
            }
        }
        OperatorStateMode::Union => {
            let all: Vec<Vec<u8>> = parts.into_iter().flat_map(|(_, part)| part.items).collect();
            items.fill(all);
        }
        OperatorStateMode::Broadcast => {
            for (subtask, items) in items.iter_mut().enumerate() {
                // The copies should be equal; each subtask keeps to its own as long as it can.
                *items = parts[subtask % parts.len()].1.items.clone();
            }
        }
    }
    for (snapshot, items) in dealt.iter_mut().zip(items) {
        snapshot.operator.push(OperatorSnapshot { name: name.clone(), mode, types: types.clone(), items });
    }
    Ok(())
}
