//! How deep and how large what is migrated may be: all that its own program reads, and nothing without end.

use std::time::{Duration, Instant};

use tidemill_serialization::schema::{Body, Definition, Field, Type};
use tidemill_serialization::{
    Compatibility, Data, Input, MAX_DEPTH, Migration, MigrationError, Record, Schema, pack, unpack,
};

mod old {
    #[derive(tidemill_serialization::Record, Clone)]
    pub(super) struct Node {
        pub(super) id: u32,
        pub(super) next: Option<(u8, (u8, (u8, Box<Node>)))>,
    }

    #[derive(tidemill_serialization::Record, Clone)]
    pub(super) struct Plain {
        pub(super) a: u32,
    }
}

#[derive(Record, Clone)]
struct Node {
    id: u64,
    next: Option<(u8, (u8, (u8, Box<Node>)))>,
}

/// With its fields in another order.
mod turned {
    #[derive(tidemill_serialization::Record, Clone)]
    pub(super) struct Node {
        pub(super) next: Option<(u8, (u8, (u8, Box<Node>)))>,
        pub(super) id: u64,
    }
}

/// Without what is nested.
mod flat {
    #[derive(tidemill_serialization::Record, Clone)]
    pub(super) struct Node {
        pub(super) id: u64,
    }
}

#[derive(Record, Clone, Debug, PartialEq)]
struct Plain {
    a: u64,
}

/// A chain with so many boxes.
fn chain(boxes: u32) -> old::Node {
    (1..=boxes).fold(old::Node { id: 0, next: None }, |node, id| old::Node {
        id,
        next: Some((1, (2, (3, Box::new(node))))),
    })
}

fn migration(stored: &Schema, declared: &Schema) -> Migration {
    match declared.read_from(stored) {
        Compatibility::AfterMigration(migration) => migration,
        other => panic!("{other:?}"),
    }
}

fn migrate(stored: &Schema, declared: &Schema, bytes: &[u8]) -> Result<Vec<u8>, MigrationError> {
    let mut out = Vec::new();
    migration(stored, declared).value(&mut Input::new(bytes), &mut out)?;
    Ok(out)
}

#[test]
fn what_its_own_program_reads_can_be_migrated() {
    let deepest = pack(&chain(MAX_DEPTH));
    assert!(unpack::<old::Node>(&deepest).is_ok());
    let mut node = &unpack::<Node>(&deepest).unwrap();
    let mut turned = &unpack::<turned::Node>(&deepest).unwrap();
    for id in (0..=u64::from(MAX_DEPTH)).rev() {
        assert_eq!((node.id, turned.id), (id, id));
        if let (Some((1, (2, (3, next)))), Some((1, (2, (3, next_turned))))) = (&node.next, &turned.next) {
            (node, turned) = (next, next_turned);
        }
    }
    assert!(node.next.is_none() && turned.next.is_none());
    assert_eq!(unpack::<flat::Node>(&deepest).unwrap().id, u64::from(MAX_DEPTH));
}

#[test]
fn what_is_nested_much_deeper_is_refused() {
    let mut bytes = Vec::new();
    for _ in 0..100_000 {
        bytes.extend([7, 0, 0, 0, 1, 1, 2, 3]);
    }
    let stored = Schema::of::<old::Node>();
    for declared in [Schema::of::<Node>(), Schema::of::<turned::Node>(), Schema::of::<flat::Node>()] {
        let error = migrate(&stored, &declared, &bytes).unwrap_err().to_string();
        assert!(error.contains("nested deeper than 256 levels"), "{error}");
        assert!(error.contains("next.…"), "{error}");
    }
}

#[test]
fn the_way_to_a_wrong_value_is_told() {
    let node = chain(2);
    let mut bytes = Vec::new();
    node.encode(&mut bytes);
    bytes.pop();
    bytes.push(9);
    let error = migrate(&Schema::of::<old::Node>(), &Schema::of::<Node>(), &bytes).unwrap_err().to_string();
    assert_eq!(error, "next.next.next: the bytes are no Option: 9 is neither 0 nor 1");
    let gone = migrate(&Schema::of::<old::Node>(), &Schema::of::<flat::Node>(), &bytes).unwrap_err();
    assert_eq!(gone.to_string(), error);
}

fn field(name: &str, ty: Type) -> Field {
    Field { name: name.into(), ty, ..Schema::of::<old::Plain>().definitions[0].fields()[0].clone() }
}

trait StructFields {
    fn fields(&self) -> &[Field];
}

impl StructFields for Definition {
    fn fields(&self) -> &[Field] {
        match &self.body {
            Body::Struct(fields) => fields,
            Body::Enum(_) => panic!("{} is an enum", self.name),
        }
    }
}

fn structure(name: &str, fields: Vec<Field>) -> Definition {
    Definition { name: name.into(), aliases: Default::default(), body: Body::Struct(fields) }
}

fn array(ty: Type, length: u32) -> Type {
    Type::Array(Box::new(ty), length)
}

/// A stored `Plain` with another field in front, whose type refers to itself.
fn plain_behind(first: Type, within: Type) -> Schema {
    let plain = structure("Plain", vec![field("x", first), field("a", Type::UInt(32))]);
    Schema { root: Type::Named(0), definitions: vec![plain, structure("L", vec![field("z", within)])] }
}

#[test]
fn arrays_of_nothing_take_no_time() {
    let many = || array(array(Type::Named(1), u32::MAX), u32::MAX);
    for itself in [array(Type::Named(1), 0), array(many(), 0)] {
        let stored = plain_behind(many(), itself);
        let migrated = migrate(&stored, &Schema::of::<Plain>(), &[7, 0, 0, 0]).unwrap();
        assert_eq!(migrated, [7, 0, 0, 0, 0, 0, 0, 0]);
    }
}

#[test]
fn a_type_without_values_is_not_followed_without_end() {
    let within = || Type::Tuple(vec![Type::Named(1), Type::Named(1)]);
    for within in [Type::Named(1), within(), array(within(), u32::MAX)] {
        let stored = plain_behind(Type::Named(1), within);
        let error = migrate(&stored, &Schema::of::<Plain>(), &[7, 0, 0, 0]).unwrap_err().to_string();
        assert!(error.contains("contains itself without end"), "{error}");
    }
    // And where it becomes something: `Option` was not there.
    let next = Type::Tuple(vec![
        Type::UInt(8),
        Type::Tuple(vec![Type::UInt(8), Type::Tuple(vec![Type::UInt(8), Type::Named(0)])]),
    ]);
    let node = structure("Node", vec![field("id", Type::UInt(32)), field("next", next)]);
    let stored = Schema { root: Type::Named(0), definitions: vec![node] };
    let error = migrate(&stored, &Schema::of::<Node>(), &[7; 70_000]).unwrap_err().to_string();
    assert!(error.contains("nested deeper than 256 levels"), "{error}");
}

/// The least time of several, which other programs do not make longer.
fn time_to_compare(depth: usize) -> Duration {
    let mut leaves = vec![Type::Unit; 20_000];
    leaves.push(Type::Text);
    let nested = (0..depth).fold(Type::Tuple(leaves), |ty, _| Type::Tuple(vec![ty]));
    let stored = plain_behind(nested, Type::Unit);
    let declared = Schema::of::<Plain>();
    let once = || {
        let start = Instant::now();
        migration(&stored, &declared);
        start.elapsed()
    };
    (0..5).map(|_| once()).min().unwrap()
}

#[test]
fn comparing_goes_over_a_stored_type_once() {
    let (flat, deep) = (time_to_compare(1), time_to_compare(200));
    assert!(deep < 20 * flat, "{deep:?} for 200 levels, {flat:?} for one");
}
