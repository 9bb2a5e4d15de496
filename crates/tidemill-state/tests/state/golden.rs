//! Snapshots of the first version, frozen as files: what was stored once is restored for good.

use std::time::Duration;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{KeyGroupRange, key_group};
use tidemill_serialization::SerializerSnapshot;
use tidemill_state::*;

use crate::basics::{Mean, at, backend};

const KEYS: u64 = 20;
const GROUPS: u32 = 128;

/// A frozen file. One that is not there yet is written with `TIDEMILL_BLESS=1`; one that is there never is.
fn golden(name: &str, sample: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = format!("{}/tests/golden/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("TIDEMILL_BLESS").is_some() && !std::fs::exists(&path).unwrap() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).unwrap();
        std::fs::write(&path, sample()).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn state() -> Vec<u8> {
    golden("state-1", || sample().encode())
}

/// One state of each kind.
struct States {
    backend: KeyedStateBackend<u64>,
    value: ValueState<String, i64>,
    stamped: ValueState<u64>,
    list: ListState<u32>,
    map: MapState<String, u64>,
    sum: ReducingState<u64>,
    mean: AggregatingState<i64, (i64, u64), i64>,
    timers: Timers<i64>,
}

impl States {
    fn restored(from: Option<&SubtaskSnapshot>) -> Self {
        let mut b = backend();
        b.restore(from).unwrap();
        let hour = StateTtlConfig::new(Duration::from_secs(3600));
        Self {
            value: b.register_value(ValueStateDescriptor::new("value")).unwrap(),
            stamped: b.register_value(ValueStateDescriptor::new("stamped").with_ttl(hour)).unwrap(),
            list: b.register_list(ListStateDescriptor::new("list")).unwrap(),
            map: b.register_map(MapStateDescriptor::new("map")).unwrap(),
            sum: b
                .register_reducing(ReducingStateDescriptor::new("sum", |all: &mut u64, more| *all += more))
                .unwrap(),
            mean: b.register_aggregating(AggregatingStateDescriptor::new("mean", Mean)).unwrap(),
            timers: b.register_timers("timers").unwrap(),
            backend: b,
        }
    }
}

fn operator() -> OperatorStateBackend {
    OperatorStateBackend::new(MemoryBudget::unlimited("test"))
}

/// With every kind of state. The golden files are made of it: it must not change.
fn sample() -> SubtaskSnapshot {
    let States { backend: mut b, value, stamped, list, map, sum, mean, timers } = States::restored(None);
    for key in 0..KEYS {
        at(&mut b, &key);
        value.update_in(&mut b, &(key as i64 % 3 - 1), format!("é{key}")).unwrap();
        stamped.update(&mut b, key << 40).unwrap();
        list.add_all(&mut b, 0..key as u32 % 4).unwrap();
        map.put(&mut b, format!("u{key}"), key).unwrap();
        map.put(&mut b, String::new(), 7).unwrap();
        sum.add(&mut b, key).unwrap();
        sum.add(&mut b, 300).unwrap();
        mean.add(&mut b, -(key as i64)).unwrap();
        timers.register(&mut b, TimeDomain::Event, key as i64 % 5 - 2, &(key as i64 % 2)).unwrap();
        timers.register(&mut b, TimeDomain::Processing, 1_700_000_000_000, &0).unwrap();
    }
    let mut o = operator();
    let split = o.register_list(ListStateDescriptor::<u64>::new("split")).unwrap();
    split.update(&mut o, [1, 2, 1 << 50]).unwrap();
    let union = o.register_union_list(ListStateDescriptor::<String>::new("union")).unwrap();
    union.update(&mut o, ["all".to_owned()]).unwrap();
    let rules = o.register_broadcast(MapStateDescriptor::<u16, String>::new("rules")).unwrap();
    rules.put(&mut o, 9, "nine".to_owned()).unwrap();
    let mut snapshot = b.snapshot().unwrap();
    snapshot.absorb(o.snapshot());
    snapshot
}

/// Sees that all of [`sample`] is in a snapshot.
fn holds_all(snapshot: &SubtaskSnapshot) {
    assert_eq!(snapshot.max_parallelism, GROUPS);
    let States { backend: mut b, value, stamped, list, map, sum, mean, timers } =
        States::restored(Some(snapshot));
    for key in 0..KEYS {
        at(&mut b, &key);
        for namespace in -1..2 {
            let expected = (namespace == key as i64 % 3 - 1).then(|| format!("é{key}"));
            assert_eq!(value.get_in(&mut b, &namespace).unwrap(), expected);
        }
        assert_eq!(stamped.get(&mut b).unwrap(), Some(key << 40));
        assert_eq!(list.get(&mut b).unwrap(), (0..key as u32 % 4).collect::<Vec<_>>());
        let mut entries = map.entries(&mut b).unwrap();
        entries.sort_unstable();
        assert_eq!(entries, [(String::new(), 7), (format!("u{key}"), key)]);
        assert_eq!(sum.get(&mut b).unwrap(), Some(key + 300));
        assert_eq!(mean.get(&mut b).unwrap(), Some(-(key as i64)));
    }
    let mut found = Vec::new();
    for domain in [TimeDomain::Event, TimeDomain::Processing] {
        let service = timers.service(&mut b).unwrap();
        service
            .for_each(domain, |timestamp, key, namespace| found.push((domain, timestamp, *key, *namespace)))
            .unwrap();
    }
    let key = |key: u64| {
        let event = (TimeDomain::Event, key as i64 % 5 - 2, key, key as i64 % 2);
        [event, (TimeDomain::Processing, 1_700_000_000_000, key, 0)]
    };
    let mut expected: Vec<_> = (0..KEYS).flat_map(key).collect();
    let order = |(domain, timestamp, key, _): &(TimeDomain, i64, u64, i64)| (*domain as u8, *timestamp, *key);
    found.sort_by_key(order);
    expected.sort_by_key(order);
    assert_eq!(found, expected);

    let mut o = operator();
    o.restore(snapshot).unwrap();
    let split = o.register_list(ListStateDescriptor::<u64>::new("split")).unwrap();
    assert_eq!(split.get(&o).unwrap(), [1, 2, 1 << 50]);
    let union = o.register_union_list(ListStateDescriptor::<String>::new("union")).unwrap();
    assert_eq!(union.get(&o).unwrap(), ["all"]);
    let rules = o.register_broadcast(MapStateDescriptor::<u16, String>::new("rules")).unwrap();
    assert_eq!(rules.get(&o, &9).unwrap().map(String::as_str), Some("nine"));
}

#[test]
fn the_first_version_of_snapshots_is_restored() {
    let bytes = state();
    let frozen = SubtaskSnapshot::decode(&bytes).unwrap();
    holds_all(&frozen);
    assert_eq!(frozen.encode(), bytes, "its frame is as it was");
    let compressed = golden("state-1-snappy", || frozen.try_encode(true).unwrap());
    assert_ne!(compressed, bytes);
    assert_eq!(SubtaskSnapshot::decode(&compressed).unwrap(), frozen);
    // A table may put its entries down in another order, but not otherwise.
    let now = sample();
    holds_all(&now);
    assert_eq!(now.encode().len(), bytes.len());
    let described = |snapshot: &SubtaskSnapshot| {
        let keyed = snapshot.keyed.iter().chain(&snapshot.timers);
        let keyed = keyed.map(|state| (state.name.clone(), state.schema.clone(), state.stamped));
        keyed.collect::<Vec<_>>()
    };
    assert_eq!(described(&now), described(&frozen));
    assert_eq!(now.operator, frozen.operator);
}

/// The golden file is made of it: it must not change.
fn native_sample() -> NativeSnapshot {
    let folder = NativeFolder::kept("/checkpoints/7");
    let file = |name: &str, bytes: u64, shared_id: Option<&str>| NativeFile {
        name: name.to_owned(),
        path: folder.path().join(name),
        bytes,
        shared_id: shared_id.map(str::to_owned),
    };
    let table = |state: &str, kind: StateKind, types: Vec<SerializerSnapshot>, stamped: bool| NativeTable {
        state: state.to_owned(),
        schema: StateSchema { kind, types },
        stamped,
        family: format!("state/{state}"),
    };
    let (key, none) = (SerializerSnapshot::of::<u64>(), SerializerSnapshot::of::<()>());
    let texts = SerializerSnapshot::of::<String>();
    NativeSnapshot {
        backend: "rocksdb".to_owned(),
        key_groups: KeyGroupRange::of_subtask(2, 3, GROUPS),
        max_parallelism: GROUPS,
        tables: vec![
            table(
                "names",
                StateKind::Map,
                vec![key.clone(), none.clone(), texts.clone(), key.clone()],
                false,
            ),
            table("visits", StateKind::Value, vec![key, none, texts], true),
        ],
        files: vec![
            file("000012.sst", 1 << 33, Some("0123456789abcdef-000012.sst")),
            file("CURRENT", 16, None),
            file("MANIFEST-000004", 0, None),
        ],
        folder,
    }
}

#[test]
fn the_first_version_of_descriptions_of_files_is_read() {
    let sample = native_sample();
    let bytes = golden("native-1", || sample.descriptor());
    let frozen = NativeSnapshot::decode(&bytes, NativeFolder::kept("/elsewhere")).unwrap();
    assert_eq!(frozen, sample);
    assert_eq!(sample.descriptor(), bytes);
    assert_eq!(frozen.files[1].path, std::path::Path::new("/elsewhere/CURRENT"));
}

/// In which key group a key is, and so where its rows are, is frozen as well.
#[test]
fn keys_are_where_they_were() {
    let frozen = SubtaskSnapshot::decode(&state()).unwrap();
    let groups: std::collections::BTreeSet<_> =
        (0..KEYS).map(|key| key_group::key_group(key.routing_hash(), GROUPS)).collect();
    for state in frozen.keyed.iter().filter(|state| state.name == "stamped") {
        assert!(state.groups.iter().map(|(group, _)| *group).eq(groups.iter().copied()));
    }
}

#[test]
fn rows_beside_the_files_of_the_first_version_are_read_for_ever() {
    let write = || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(HotRows::FILE_NAME);
        let mut rows = HotRows::new(&path);
        let mut batch = WriteBatch::default();
        batch.put(&[0, 5], |out| out.push(7));
        batch.append(&[0, 6], |out| out.extend_from_slice(&[8, 9]));
        batch.delete(&[0, 7]);
        for table in ["state/a", "state/b"] {
            rows.begin(table).unwrap();
            rows.add(&batch).unwrap();
        }
        assert!(rows.finish().unwrap());
        std::fs::read(path).unwrap()
    };
    let frozen = golden("hot-rows-1", write);
    assert_eq!(frozen, write());
    let mut read = Vec::new();
    HotRows::read(&mut &*frozen, &mut |table, change| {
        read.push(format!("{table} {change:?}"));
        Ok(())
    })
    .unwrap();
    let rows = ["Put([0, 5], [7])", "Append([0, 6], [8, 9])", "Delete([0, 7])"];
    let expected = ["state/a", "state/b"].map(|table| rows.map(|row| format!("{table} {row}")));
    assert_eq!(read, expected.concat());
}
