//! The store beside a tree in memory, as its users see it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemill_rocksdb::RocksDbStore;
use tidemill_state::{OrderedStore, TableId, WriteBatch};

use crate::settings;

fn put(store: &RocksDbStore, table: TableId, rows: &BTreeMap<Vec<u8>, u8>) {
    let mut batch = WriteBatch::default();
    rows.iter().for_each(|(key, value)| batch.put(key, |out| out.push(*value)));
    store.write(table, &batch).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn rows_are_in_order_and_tables_apart(
        rows in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 0..6), any::<u8>(), 0..80),
        from in prop::collection::vec(any::<u8>(), 0..3),
        to in prop::option::of(prop::collection::vec(any::<u8>(), 0..3)),
        at_most in 0..90usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = RocksDbStore::open(folder.path().join("db"), &settings(&[]), None).unwrap();
        let (table, other) = (store.open_table("a").unwrap(), store.open_table("b").unwrap());
        put(&store, table, &rows);
        put(&store, other, &BTreeMap::from([(vec![1], 1)]));
        store.flush().unwrap();
        let mut found = Vec::new();
        store
            .scan(table, &from, to.as_deref(), &mut |key, value| {
                if found.len() < at_most {
                    found.push((key.to_vec(), value[0]));
                }
                found.len() < at_most
            })
            .unwrap();
        let expected = rows.iter().filter(|(key, _)| **key >= from && to.as_ref().is_none_or(|to| *key < to));
        let expected: Vec<_> = expected.map(|(key, value)| (key.clone(), *value)).take(at_most).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_table_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let store = RocksDbStore::open(folder.path().join("db"), &settings(&[]), None).unwrap();
    let error = store.scan(TableId(7), &[], None, &mut |_, _| true).unwrap_err().to_string();
    assert!(error.contains("there is no table number 7"), "{error}");
}
