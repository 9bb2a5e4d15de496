//! Operator state, and how it is dealt out.

use proptest::prelude::*;
use tidemill_core::Classified;
use tidemill_core::budget::MemoryBudget;
use tidemill_state::*;

fn backend() -> OperatorStateBackend {
    OperatorStateBackend::new(MemoryBudget::unlimited("test"))
}

#[test]
fn lists_and_maps_by_name() {
    let mut b = backend();
    let offsets = b.register_list(ListStateDescriptor::<(String, u64)>::new("offsets")).unwrap();
    let rules = b.register_broadcast(MapStateDescriptor::<u32, String>::new("rules")).unwrap();
    offsets.add(&mut b, ("a".to_owned(), 1)).unwrap();
    offsets.update(&mut b, [("a".to_owned(), 2), ("b".to_owned(), 3)]).unwrap();
    rules.put(&mut b, 2, "two".to_owned()).unwrap();
    rules.put(&mut b, 1, "one".to_owned()).unwrap();
    rules.put(&mut b, 2, "deux".to_owned()).unwrap();
    assert_eq!(rules.get(&b, &2).unwrap().unwrap(), "deux");
    let entries: Vec<u32> = rules.entries(&b).unwrap().map(|(key, _)| *key).collect();
    assert_eq!(entries, [1, 2]);
    assert_eq!(rules.remove(&mut b, &1).unwrap().as_deref(), Some("one"));

    let taken = b.register_union_list(ListStateDescriptor::<(String, u64)>::new("offsets")).unwrap_err();
    assert_eq!(taken.code(), "TM-STATE-DECLARED-DIFFERENTLY");

    let snapshot = SubtaskSnapshot::decode(&b.snapshot().encode()).unwrap();
    let mut restored = backend();
    let offsets = restored.register_list(ListStateDescriptor::<(String, u64)>::new("offsets")).unwrap();
    restored.restore(&snapshot).unwrap();
    assert_eq!(restored.snapshot(), snapshot, "what nobody has asked for yet is not lost");
    let wrong = restored.register_broadcast(MapStateDescriptor::<u32, u32>::new("rules")).unwrap_err();
    assert_eq!(wrong.code(), "TM-STATE-INCOMPATIBLE");
    let rules = restored.register_broadcast(MapStateDescriptor::<u32, String>::new("rules")).unwrap();
    assert_eq!(offsets.get(&restored).unwrap().len(), 2);
    assert_eq!(rules.get(&restored, &2).unwrap().unwrap(), "deux");
    rules.clear(&mut restored).unwrap();
    offsets.clear(&mut restored).unwrap();
    assert!(restored.snapshot().operator.iter().all(|state| state.items.is_empty()));
}

#[test]
fn operator_state_is_counted() {
    let budget = MemoryBudget::new("task heap", 300_000, "taskmanager.memory.task.heap.size");
    let mut b = OperatorStateBackend::new(budget.clone());
    let list = b.register_list(ListStateDescriptor::<String>::new("list")).unwrap();
    let error = (0..1000).find_map(|_| list.add(&mut b, "x".repeat(1000)).err()).unwrap();
    assert_eq!(error.code(), "TM-STATE-OUT-OF-MEMORY");
    drop(b);
    assert_eq!(budget.used(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn items_are_dealt_by_mode(
        parts in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..20), 1..6),
        parallelism in 1..8u32,
    ) {
        let snapshots: Vec<SubtaskSnapshot> = parts.iter().map(|items| {
            let mut b = backend();
            let split = b.register_list(ListStateDescriptor::new("split")).unwrap();
            let union = b.register_union_list(ListStateDescriptor::new("union")).unwrap();
            let rules = b.register_broadcast(MapStateDescriptor::new("rules")).unwrap();
            split.update(&mut b, items.clone()).unwrap();
            union.update(&mut b, items.clone()).unwrap();
            parts[0].iter().for_each(|item| rules.put(&mut b, *item, *item).unwrap());
            b.snapshot()
        }).collect();
        let dealt = redistribute(snapshots, 8, parallelism).unwrap();
        prop_assert_eq!(dealt.len(), parallelism as usize);
        let all: Vec<u32> = parts.concat();
        let mut splits = Vec::new();
        for snapshot in &dealt {
            let mut b = backend();
            b.restore(snapshot).unwrap();
            let split = b.register_list(ListStateDescriptor::<u32>::new("split")).unwrap();
            let union = b.register_union_list(ListStateDescriptor::<u32>::new("union")).unwrap();
            let rules = b.register_broadcast(MapStateDescriptor::<u32, u32>::new("rules")).unwrap();
            prop_assert_eq!(union.get(&b).unwrap(), &all[..]);
            let copied: Vec<u32> = rules.entries(&b).unwrap().map(|(key, _)| *key).collect();
            let mut expected = parts[0].clone();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(copied, expected);
            splits.push(split.get(&b).unwrap().to_vec());
        }
        if parallelism as usize == parts.len() {
            prop_assert_eq!(&splits, &parts);
        } else {
            let sizes: Vec<usize> = splits.iter().map(Vec::len).collect();
            prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{:?}", sizes);
        }
        let mut left = splits.concat();
        let mut right = all;
        left.sort_unstable();
        right.sort_unstable();
        prop_assert_eq!(left, right);
    }
}
