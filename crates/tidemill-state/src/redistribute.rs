//! Deals the state of one operator to another number of subtasks, without decoding any of it.

use std::collections::BTreeMap;

use tidemill_core::KeyGroupRange;

use crate::error::StateError;
use crate::native::NativeSnapshot;
use crate::parts::Parts;
use crate::snapshot::{KeyedSnapshot, OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};

/// Deals the snapshots of all subtasks of an operator, in the order of subtasks, to `new_parallelism` subtasks.
///
/// Key groups go by range (those in files of a store with all that is in the same files, without copying them); the items of list state are dealt out one by one, in turn (at the same parallelism they
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
    let (mut keyed, mut timers) = (BTreeMap::new(), BTreeMap::new());
    let mut operator: BTreeMap<String, Vec<(usize, OperatorSnapshot)>> = BTreeMap::new();
    let old_parallelism = snapshots.len();
    for (subtask, snapshot) in snapshots.into_iter().enumerate() {
        let stored = snapshot.max_parallelism;
        if stored != max_parallelism
            && !(snapshot.keyed.is_empty() && snapshot.timers.is_empty() && snapshot.native.is_empty())
        {
            return Err(StateError::MaxParallelism { stored, declared: max_parallelism });
        }
        snapshot.keyed.into_iter().try_for_each(|state| collect(&mut keyed, state))?;
        snapshot.timers.into_iter().try_for_each(|state| collect(&mut timers, state))?;
        deal_native(&snapshot.native, &mut dealt)?;
        for state in snapshot.operator {
            operator.entry(state.name.clone()).or_default().push((subtask, state));
        }
    }
    for state in keyed.into_values().flat_map(Parts::into_iter) {
        deal_groups(state, max_parallelism, &mut dealt, |subtask| &mut subtask.keyed)?;
    }
    for state in timers.into_values().flat_map(Parts::into_iter) {
        deal_groups(state, max_parallelism, &mut dealt, |subtask| &mut subtask.timers)?;
    }
    for parts in operator.into_values() {
        deal_items(parts, old_parallelism, &mut dealt)?;
    }
    Ok(dealt)
}

/// Files go to every subtask that owns a key group in them, as a whole: what is not its own the restore leaves out.
fn deal_native(native: &[NativeSnapshot], dealt: &mut [SubtaskSnapshot]) -> Result<(), StateError> {
    let parallelism = dealt.len() as u32;
    for (subtask, snapshot) in dealt.iter_mut().enumerate() {
        let declared = snapshot.max_parallelism;
        let range = KeyGroupRange::of_subtask(subtask as u32, parallelism, declared);
        for part in native {
            if part.max_parallelism != declared {
                return Err(StateError::MaxParallelism { stored: part.max_parallelism, declared });
            }
            if part.overlap(range) > 0 {
                snapshot.native.push(part.clone());
            }
        }
    }
    Ok(())
}

fn collect(states: &mut BTreeMap<String, Parts>, state: KeyedSnapshot) -> Result<(), StateError> {
    states.entry(state.name.clone()).or_default().add(state)
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
    snapshots: &mut [SubtaskSnapshot],
) -> Result<(), StateError> {
    let Some((_, first)) = parts.first() else { return Ok(()) };
    let (name, mode) = (first.name.clone(), first.mode);
    if let Some((_, other)) = parts.iter().find(|(_, part)| part.mode != mode) {
        let (a, b) = (first.describe(), other.describe());
        return Err(StateError::Inconsistent(format!("the state '{name}' is {a} in one and {b} in another")));
    }
    let parallelism = snapshots.len();
    let mut dealt: Vec<Vec<OperatorSnapshot>> = vec![Vec::new(); parallelism];
    match mode {
        OperatorStateMode::Split if parallelism == old_parallelism => {
            parts.into_iter().for_each(|(subtask, part)| give(&mut dealt[subtask], part));
        }
        OperatorStateMode::Split => {
            let mut next = 0;
            for (_, part) in parts {
                let OperatorSnapshot { types, items, .. } = part;
                // A state without items is kept, so that its name stays taken.
                let empty = |types| OperatorSnapshot { name: name.clone(), mode, types, items: Vec::new() };
                let mut own: Vec<OperatorSnapshot> = (0..parallelism).map(|_| empty(types.clone())).collect();
                for item in items {
                    own[next % parallelism].items.push(item);
                    next += 1;
                }
                dealt.iter_mut().zip(own).for_each(|(subtask, part)| give(subtask, part));
            }
        }
        OperatorStateMode::Union => {
            let mut all = Vec::new();
            parts.into_iter().for_each(|(_, part)| give(&mut all, part));
            dealt.fill(all);
        }
        OperatorStateMode::Broadcast => {
            for (subtask, own) in dealt.iter_mut().enumerate() {
                // The copies should be equal; each subtask keeps to its own as long as it can.
                own.push(parts[subtask % parts.len()].1.clone());
            }
        }
    }
    for (snapshot, own) in snapshots.iter_mut().zip(dealt) {
        snapshot.operator.extend(own);
    }
    Ok(())
}

/// Adds what one subtask held to what another one gets: apart, where another release of the program wrote it.
fn give(own: &mut Vec<OperatorSnapshot>, part: OperatorSnapshot) {
    if let Some(known) = own.iter_mut().find(|known| known.types == part.types) {
        known.items.extend(part.items);
    } else if own.is_empty() || !part.items.is_empty() {
        own.retain(|known| !known.items.is_empty());
        own.push(part);
    }
}
