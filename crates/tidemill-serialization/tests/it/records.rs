//! Records of every shape, and how to make random ones.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::{btree_map, btree_set, hash_map, hash_set, vec};
use proptest::option;
use proptest::prelude::*;
use tidemill_serialization::{Data, Input, Record, RoutingHash};

#[derive(Record, Clone, Debug, PartialEq)]
pub(crate) struct Scalars {
    pub(crate) small: (bool, char, i8, u8, i16, u16),
    pub(crate) wide: (i32, u32, i64, u64, i128, u128),
    pub(crate) nothing: (),
    pub(crate) ratio: f32,
    pub(crate) r#type: f64,
    pub(crate) marker: PhantomData<String>,
}

#[derive(Record, RoutingHash, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Point(pub(crate) i32, pub(crate) i64);

#[derive(Record, RoutingHash, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Unit;

#[derive(Record, RoutingHash, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Event<T> {
    Nothing,
    Moved(Point, T),
    Named { name: String, times: u8 },
}

#[derive(Record, Clone, Debug, PartialEq)]
pub(crate) struct Everything {
    pub(crate) text: String,
    pub(crate) shared: Arc<str>,
    pub(crate) boxed: Box<i16>,
    pub(crate) maybe: Option<Option<u32>>,
    pub(crate) nothings: (Vec<()>, Vec<Unit>, Vec<[u8; 0]>, Vec<Box<()>>),
    pub(crate) array: [String; 3],
    pub(crate) list: Vec<Event<u16>>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) sorted: BTreeMap<String, Vec<f64>>,
    pub(crate) hashed: HashMap<(u8, bool), Event<i64>>,
    pub(crate) set: BTreeSet<char>,
    pub(crate) hash_set: HashSet<String>,
    pub(crate) duration: Duration,
}

/// Recursive by way of a box, a vector and a map.
#[derive(Record, Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Leaf,
    Binary(Box<Tree>, Box<Tree>),
    Many(Vec<Tree>),
    Named(BTreeMap<String, Tree>),
}

#[derive(Record, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, RoutingHash)]
pub(crate) enum Never {}

pub(crate) fn scalars() -> impl Strategy<Value = Scalars> {
    (any::<(bool, char, i8, u8, i16, u16)>(), any::<(i32, u32, i64, u64, i128, u128)>(), any::<(f32, f64)>())
        .prop_map(|(small, wide, (ratio, r#type))| Scalars {
            small,
            wide,
            nothing: (),
            ratio,
            r#type,
            marker: PhantomData,
        })
}

pub(crate) fn event<T: Arbitrary + Clone + 'static>() -> impl Strategy<Value = Event<T>> {
    prop_oneof![
        Just(Event::Nothing),
        any::<(i32, i64, T)>().prop_map(|(x, y, what)| Event::Moved(Point(x, y), what)),
        (".{0,5}", any::<u8>()).prop_map(|(name, times)| Event::Named { name, times }),
    ]
}

pub(crate) fn everything() -> impl Strategy<Value = Everything> {
    let simple = (".{0,9}", ".{0,9}", any::<i16>(), option::of(option::of(any::<u32>())), 0usize..5);
    let sequences = (["a?", ".{0,3}", "é*"], vec(event(), 0..4), any::<[u8; 12]>());
    let maps = (
        btree_map(".{0,3}", vec(any::<f64>(), 0..4), 0..4),
        hash_map(any::<(u8, bool)>(), event(), 0..6),
        btree_set(any::<char>(), 0..5),
        hash_set(".{0,3}", 0..6),
    );
    let duration = (any::<u64>(), 0u32..1_000_000_000);
    (simple, sequences, maps, duration).prop_map(|(simple, sequences, maps, duration)| Everything {
        text: simple.0,
        shared: simple.1.into(),
        boxed: Box::new(simple.2),
        maybe: simple.3,
        nothings: (
            vec![(); simple.4],
            vec![Unit; simple.4 * 2],
            vec![[]; simple.4 + 1],
            vec![Box::new(()); simple.4],
        ),
        array: sequences.0,
        list: sequences.1,
        bytes: sequences.2.into(),
        sorted: maps.0,
        hashed: maps.1,
        set: maps.2,
        hash_set: maps.3,
        duration: Duration::new(duration.0, duration.1),
    })
}

pub(crate) fn tree() -> impl Strategy<Value = Tree> {
    Just(Tree::Leaf).prop_recursive(5, 30, 4, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(l, r)| Tree::Binary(Box::new(l), Box::new(r))),
            vec(inner.clone(), 0..4).prop_map(Tree::Many),
            btree_map("[a-c]", inner, 0..3).prop_map(Tree::Named),
        ]
    })
}

pub(crate) fn encoded<T: Data>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

pub(crate) fn decoded<T: Data>(bytes: &[u8]) -> Result<T, tidemill_serialization::DecodeError> {
    let mut input = Input::new(bytes);
    let value = T::decode(&mut input)?;
    input.finish("test value")?;
    Ok(value)
}
