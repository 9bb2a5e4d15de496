//! Records that change from one release of a program to the next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;

use tidemill_core::TypedBatch;
use tidemill_core::batch::Batch;
use tidemill_serialization::{
    BatchSerializer, Compatibility, Data, Input, Record, RoutingHash, Schema, SerializerSnapshot,
    TypedBatchSerializer,
};

use crate::records::*;

/// What a program with the type `New` makes of what one with the type `Old` stored, by way of bytes.
fn read<Old: Data, New: Data>(value: &Old) -> Result<New, String> {
    let stored = SerializerSnapshot::decode(&SerializerSnapshot::of::<Old>().encode()).unwrap();
    match SerializerSnapshot::of::<New>().read_from(&stored) {
        Compatibility::AsIs => Ok(decoded(&encoded(value)).unwrap()),
        Compatibility::AfterMigration(migration) => {
            let (bytes, mut migrated) = (encoded(value), Vec::new());
            let mut input = Input::new(&bytes);
            migration.value(&mut input, &mut migrated).unwrap();
            input.finish("stored value").unwrap();
            // Bytes that were cut short are found, wherever that is.
            for end in 0..bytes.len() {
                migration.value(&mut Input::new(&bytes[..end]), &mut Vec::new()).unwrap_err();
            }
            Ok(decoded(&migrated).unwrap())
        }
        Compatibility::Incompatible(differences) => Err(differences.to_string()),
    }
}

fn becomes<Old: Data, New: Data + PartialEq + Debug>(old: Old, new: New) {
    assert_eq!(read::<Old, New>(&old), Ok(new));
}

fn same<Old: Data, New: Data>() {
    let (old, new) = (Schema::of::<Old>(), Schema::of::<New>());
    assert!(matches!(new.read_from(&old), Compatibility::AsIs), "{} to {}", old.describe(), new.describe());
}

fn refused<Old: Data, New: Data>(message: &str) {
    match Schema::of::<New>().read_from(&Schema::of::<Old>()) {
        Compatibility::Incompatible(differences) => assert_eq!(differences.to_string(), message),
        other => panic!("{other:?}"),
    }
}

mod old {
    use super::*;

    #[derive(Record, Clone)]
    pub(super) struct Order {
        pub(super) id: i32,
        pub(super) customer: String,
        pub(super) price: f32,
        pub(super) note: String,
        pub(super) lines: Vec<Line>,
        pub(super) state: State,
    }

    #[derive(Record, Clone)]
    pub(super) struct Line {
        pub(super) article: String,
        pub(super) pieces: u16,
    }

    #[derive(Record, Clone)]
    pub(super) enum State {
        Open,
        Paid { at: i64 },
        Sent(i32, String),
    }
}

#[derive(Record, Clone, Debug, PartialEq)]
struct Order {
    /// Added, with the default of its type.
    tags: Vec<String>,
    /// Reordered and renamed.
    #[record(alias = "buyer", alias = "customer")]
    client: String,
    /// Widened, and now optional.
    id: Option<i64>,
    price: f64,
    lines: Vec<Line>,
    #[record(default = "new".to_owned())]
    channel: String,
    state: State,
}

#[derive(Record, Clone, Debug, PartialEq)]
struct Line {
    #[record(default = 1.5)]
    weight: f64,
    pieces: i32,
    article: String,
}

#[derive(Record, Clone, Debug, PartialEq)]
enum State {
    Returned,
    #[record(alias = "Sent")]
    Shipped(i64, Option<String>, u8),
    Paid {
        by: Option<String>,
        at: i64,
    },
    Open,
}

#[test]
fn records_evolve_at_every_depth() {
    let order = |state| old::Order {
        id: -7,
        customer: "Ann".into(),
        price: 2.5,
        note: "dropped".into(),
        lines: vec![
            old::Line { article: "a".into(), pieces: 65_535 },
            old::Line { article: String::new(), pieces: 0 },
        ],
        state,
    };
    let now = |state| Order {
        tags: vec![],
        client: "Ann".into(),
        id: Some(-7),
        price: 2.5,
        lines: vec![
            Line { weight: 1.5, pieces: 65_535, article: "a".into() },
            Line { weight: 1.5, pieces: 0, article: String::new() },
        ],
        channel: "new".into(),
        state,
    };
    becomes(order(old::State::Open), now(State::Open));
    becomes(order(old::State::Paid { at: 9 }), now(State::Paid { by: None, at: 9 }));
    becomes(order(old::State::Sent(-1, "x".into())), now(State::Shipped(-1, Some("x".into()), 0)));
}

#[test]
fn integers_and_floats_are_widened() {
    becomes(-5i8, -5i16);
    becomes(-5i8, -5i128);
    becomes(200u8, 200i16);
    becomes(200u8, 200u128);
    becomes(u32::MAX, i64::from(u32::MAX));
    becomes(i64::MIN, i128::from(i64::MIN));
    becomes(0.1f32, f64::from(0.1f32));
    becomes(f32::NEG_INFINITY, f64::NEG_INFINITY);
    becomes(Some(3i32), Some(Some(3i64)));
    becomes((1u8, "x".to_owned()), (1u64, Some("x".to_owned())));
    becomes([1i32, 2], [Some(1i64), Some(2)]);
    becomes(BTreeMap::from([(1i32, 2f32)]), HashMap::<i64, Option<f64>>::from([(1, Some(2.0))]));
    becomes(BTreeSet::from([-1i8, 1]), BTreeSet::from([-1i64, 1]));
    becomes(Box::new(1i32), 1i64);
}

#[test]
fn elements_without_bytes_keep_their_fillers() {
    #[derive(Record, Clone)]
    struct Mark;
    mod now {
        #[derive(tidemill_serialization::Record, Clone, Debug, PartialEq)]
        pub(super) struct Mark {
            pub(super) level: u8,
        }
    }
    becomes(vec![Mark, Mark], vec![now::Mark { level: 0 }; 2]);
    // And back: the field goes, the filler comes.
    #[derive(Record, Clone, Debug, PartialEq)]
    #[record(alias = "Mark")]
    struct Bare;
    becomes((vec![now::Mark { level: 3 }], 7i32), (vec![Bare], 7i64));
}

#[test]
fn what_makes_no_difference_is_read_as_it_is() {
    same::<Everything, Everything>();
    same::<Tree, Tree>();
    same::<Vec<Event<u8>>, Vec<Event<u8>>>();
    same::<String, std::sync::Arc<str>>();
    same::<BTreeMap<String, u8>, HashMap<String, u8>>();
    same::<Option<Box<u8>>, Option<u8>>();

    #[derive(Record, Clone)]
    struct Renamed {
        a: i32,
        b: String,
    }
    mod now {
        #[derive(tidemill_serialization::Record, Clone)]
        #[record(alias = "Renamed")]
        #[allow(dead_code)]
        pub(super) struct Named {
            #[record(alias = "a")]
            first: i32,
            #[record(alias = "b")]
            second: String,
        }
    }
    same::<Renamed, now::Named>();

    mod more {
        #[derive(tidemill_serialization::Record, Clone)]
        #[allow(dead_code)]
        pub(super) enum State {
            Open,
            Paid { at: i64 },
            Sent(i32, String),
            New,
        }
    }
    same::<old::State, more::State>();
}

#[test]
fn recursive_types_evolve() {
    #[derive(Record, Clone)]
    enum List {
        End,
        Item(i32, Box<List>),
    }
    mod now {
        #[derive(tidemill_serialization::Record, Clone, Debug, PartialEq)]
        pub(super) enum List {
            Item(i64, Box<List>, bool),
            End,
        }
    }
    let list = List::Item(1, Box::new(List::Item(2, Box::new(List::End))));
    let end = now::List::Item(2, Box::new(now::List::End), false);
    becomes(list, now::List::Item(1, Box::new(end), false));
}

#[test]
fn values_deeper_than_can_be_read_are_refused_and_not_followed() {
    #[derive(Record, Clone)]
    struct Deep {
        next: Vec<Deep>,
        id: i32,
    }
    mod now {
        #[derive(tidemill_serialization::Record, Clone)]
        #[allow(dead_code)]
        pub(super) struct Deep {
            id: i64,
            next: Vec<Deep>,
        }
    }
    let bytes = vec![1; 1_000_000];
    let stored = Schema::of::<Deep>();
    let Compatibility::AfterMigration(migration) = Schema::of::<now::Deep>().read_from(&stored) else {
        panic!()
    };
    let error = migration.value(&mut Input::new(&bytes), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("nested deeper"), "{error}");
}

#[test]
fn everything_else_is_refused_and_says_why() {
    mod gone {
        #[derive(tidemill_serialization::Record, Clone)]
        #[allow(dead_code)]
        pub(super) enum State {
            Open,
            Sent(i32, String),
        }
    }
    let keep = "keep the type, or add a field with another name and a default; integers may only be widened, f32 become \
                f64, and T become Option<T>";
    refused::<i64, i32>(&format!("i32 was i64 and is now i32 ({keep})"));
    refused::<i32, u64>(&format!("u64 was i32 and is now u64 ({keep})"));
    refused::<Option<i32>, i32>(&format!("i32 was Option<i32> and is now i32 ({keep})"));
    refused::<i32, f64>(&format!("f64 was i32 and is now f64 ({keep})"));
    refused::<(u8, u8), (u8, u8, u8)>(
        "(u8, u8, u8) was (u8, u8) and is now (u8, u8, u8) (keep its length, or use a struct, whose fields may be added \
         with a default)",
    );
    refused::<old::State, gone::State>(
        "State::Paid was a variant and is now gone (keep the variant, or write #[record(alias = \"…\")] on the one that \
         it has become)",
    );
    refused::<old::Line, old::State>(
        "State was Line and is now State (if it was renamed, write #[record(alias = \"Line\")] on it)",
    );

    #[derive(Record, Clone)]
    struct Outer {
        lines: BTreeMap<String, Vec<old::Line>>,
    }
    mod now {
        use super::*;

        /// Has no default.
        #[derive(Record, Clone)]
        pub(super) enum Kind {
            Own,
        }

        #[derive(Record, Clone)]
        #[allow(dead_code)]
        pub(super) struct Outer {
            pub(super) lines: BTreeMap<String, Vec<Line>>,
        }

        #[derive(Record, Clone)]
        #[allow(dead_code)]
        pub(super) struct Line {
            pub(super) article: i64,
            pub(super) pieces: u16,
            pub(super) kind: Kind,
        }
    }
    refused::<Outer, now::Outer>(&format!(
        "Outer.lines.values[].article was String and is now i64 ({keep}); Outer.lines.values[].kind was not there and is \
         now a new Kind without a default (write #[record(default = …)] on it, or #[record(default)] for that of its type, \
         which is not looked for where a parameter is not said to have one (T: Default); if it was renamed, \
         #[record(alias = \"old name\")])"
    ));
}

#[test]
fn keys_stay_different_from_each_other() {
    #[derive(Record, RoutingHash, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Place {
        city: String,
        street: String,
    }
    mod now {
        use super::*;

        #[derive(Record, RoutingHash, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) struct Place {
            pub(super) city: String,
        }
    }
    becomes(
        Some(Place { city: "Ulm".into(), street: "Weg".into() }),
        Some(now::Place { city: "Ulm".into() }),
    );
    let message = "Set<Place>[].street was String and is now gone from a key (without it two keys could become one: keep \
                   the field, or use another name for the state)";
    refused::<BTreeSet<Place>, BTreeSet<now::Place>>(message);
    refused::<HashMap<Place, u8>, HashMap<now::Place, u8>>(
        &message.replace("Set<Place>[]", "Map<Place, u8>.keys"),
    );
}

#[test]
fn batches_of_another_release_are_read() {
    let old = TypedBatchSerializer::<old::Line>::default();
    let new = TypedBatchSerializer::<Line>::default();
    let reader = new.reading(&old.snapshot()).unwrap();
    for timestamps in [vec![], vec![5, 6]] {
        let values =
            vec![old::Line { article: "a".into(), pieces: 1 }, old::Line { article: "b".into(), pieces: 2 }];
        let batch = TypedBatch { values, timestamps: timestamps.clone(), hashes: vec![] };
        let mut bytes = Vec::new();
        old.encode(&Batch::new(batch), &mut bytes).unwrap();
        let read = reader.decode(&bytes).unwrap();
        let read = read.downcast_ref::<TypedBatch<Line>>().unwrap();
        assert_eq!(read.timestamps, timestamps);
        assert_eq!(read.values[1], Line { weight: 1.5, pieces: 2, article: "b".into() });
        for end in 0..bytes.len() {
            reader.decode(&bytes[..end]).unwrap_err();
        }
    }
    let error = TypedBatchSerializer::<u8>::default().reading(&old.snapshot()).unwrap_err().to_string();
    assert!(error.starts_with("stored records cannot be read as u8: u8 was Line and is now u8 ("), "{error}");
}

#[test]
fn defaults_of_parameters_are_found_where_they_are_said_to_have_one() {
    #[derive(Record, Clone)]
    struct Event {
        id: u8,
    }
    mod now {
        #[derive(tidemill_serialization::Record, Clone, Debug, PartialEq)]
        #[record(alias = "Event")]
        pub(super) struct Said<T: Default> {
            pub(super) id: u8,
            pub(super) value: T,
        }

        #[derive(tidemill_serialization::Record, Clone, Debug, PartialEq)]
        #[record(alias = "Event")]
        pub(super) struct Asked<T: Default> {
            pub(super) id: u8,
            #[record(default)]
            pub(super) value: Vec<T>,
        }

        #[derive(tidemill_serialization::Record, Clone)]
        #[record(alias = "Event")]
        #[allow(dead_code)]
        pub(super) struct Unsaid<T> {
            pub(super) id: u8,
            pub(super) value: T,
        }
    }
    becomes(Event { id: 7 }, now::Said { id: 7, value: 0u32 });
    becomes(Event { id: 7 }, now::Asked::<u32> { id: 7, value: vec![] });
    let read = Schema::of::<now::Unsaid<u32>>().read_from(&Schema::of::<Event>());
    let Compatibility::Incompatible(why) = read else { panic!() };
    assert!(why.to_string().contains("(T: Default)"), "{why}");
}

#[test]
fn names_come_before_aliases() {
    #[derive(Record, Clone)]
    struct Pair {
        left: i32,
        right: i32,
    }
    mod now {
        // `left` is a new one; the old one is now `first`.
        #[derive(tidemill_serialization::Record, Clone, Debug, PartialEq)]
        pub(super) struct Pair {
            #[record(alias = "right", alias = "older")]
            pub(super) second: i32,
            pub(super) left: i32,
        }
    }
    becomes(Pair { left: 1, right: 2 }, now::Pair { second: 2, left: 1 });
}

#[test]
fn variants_of_keys_stay_apart() {
    #[derive(Record, RoutingHash, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    enum Kind {
        Card,
        Debit,
        Cash,
    }
    mod now {
        use super::*;

        #[derive(Record, RoutingHash, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) enum Kind {
            #[record(alias = "Debit")]
            Card,
            Cash,
        }
    }
    becomes(
        vec![Kind::Card, Kind::Debit, Kind::Cash],
        vec![now::Kind::Card, now::Kind::Card, now::Kind::Cash],
    );
    refused::<BTreeMap<Kind, u8>, BTreeMap<now::Kind, u8>>(
        "Map<Kind, u8>.keys::Debit was Debit and is now the same as Card (two keys could become one: keep both variants, \
         or use another name for the state)",
    );
}

/// Without names, only the positions tell which field is which.
#[test]
fn fields_without_names_are_only_appended() {
    #[derive(Record, Clone)]
    struct Move(u32, u32, String);
    #[derive(Record, Clone)]
    enum Shape {
        Circle(f64),
        Box { side: f64 },
    }
    mod appended {
        #[derive(tidemill_serialization::Record, Clone, Debug, PartialEq)]
        pub(super) struct Move(pub(super) u64, pub(super) u32, pub(super) String, pub(super) Option<u8>);
    }
    mod removed {
        #[derive(tidemill_serialization::Record, Clone)]
        pub(super) struct Move(#[allow(dead_code)] u64);
    }
    mod named {
        #[derive(tidemill_serialization::Record, Clone, Debug, PartialEq)]
        pub(super) struct Move {
            #[record(alias = "1")]
            pub(super) to: u32,
            #[record(alias = "0")]
            pub(super) from: u32,
            #[record(alias = "2")]
            pub(super) by: String,
        }
    }
    mod exchanged {
        #[derive(tidemill_serialization::Record, Clone)]
        #[allow(dead_code)]
        pub(super) enum Shape {
            Circle { radius: f64 },
            Box(f64),
        }
    }
    let stored = Move(1, 2, "x".into());
    becomes(stored.clone(), appended::Move(1, 2, "x".into(), None));
    becomes(stored, named::Move { to: 2, from: 1, by: "x".into() });
    let advice = "fields without names may only be appended: keep it, or name all fields, with their positions as aliases, \
                  as in #[record(alias = \"0\")], in one release and remove it in the next";
    refused::<Move, removed::Move>(&format!(
        "Move.1 was u32 and is now gone ({advice}); Move.2 was String and is now gone ({advice})"
    ));
    refused::<Shape, exchanged::Shape>(&format!(
        "Shape::Circle.0 was f64 and is now gone ({advice}); Shape::Box.side was f64 and is now gone ({advice})"
    ));
}
