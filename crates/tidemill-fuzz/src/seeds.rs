//! What the corpus begins with: a right input for every decoder, and those wrong ones that chance finds hardly ever.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use tidemill_core::TypedBatch;
use tidemill_serialization::schema::{Body, Definition, Field, Type};
use tidemill_serialization::{Data, Date, Decimal, Generic, Schema, SerializerSnapshot, encode_batch, pack};

use crate::evolved::{self, ForEach, PAIRS, for_pair, old};
use crate::foreign::{Anything, Nested, Octets, OldOctets, Shape, Visit};
use crate::shapes::{Event, Everything, Point, Scalars, Sparse, Tree, Unit, encoded};
use crate::{channels, checkpoints, state};

/// One input: its target, the name of its file, its bytes.
pub type Seed = (&'static str, String, Vec<u8>);

/// All seeds.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    values(&mut seeds);
    batches(&mut seeds);
    snapshots(&mut seeds);
    hostile_schemas(&mut seeds);
    foreign(&mut seeds);
    states(&mut seeds);
    exchanges(&mut seeds);
    checkpoints(&mut seeds);
    configurations(&mut seeds);
    avro(&mut seeds);
    sql(&mut seeds);
    seeds
}

fn add(seeds: &mut Vec<Seed>, target: &'static str, name: impl Into<String>, which: u8, bytes: &[u8]) {
    seeds.push((target, name.into(), [&[which], bytes].concat()));
}

fn event() -> Event<u16> {
    Event::Named { name: "é".into(), times: 3 }
}

fn everything() -> Everything {
    Everything {
        text: "text".into(),
        shared: "shared".into(),
        boxed: Box::new(-2),
        maybe: Some(Some(7)),
        nothings: (
            vec![(); 3],
            vec![Unit; 2],
            vec![[]],
            vec![[], []],
            vec![Box::new(())],
            HashSet::from([()]),
        ),
        array: ["a".into(), String::new(), "ccc".into()],
        list: vec![Event::Nothing, Event::Moved(Point(1, -1), 9), event()],
        bytes: vec![0, 255],
        sorted: BTreeMap::from([("k".into(), vec![0.5, f64::NAN])]),
        hashed: HashMap::from([((1, true), Event::Nothing), ((2, false), Event::Moved(Point(0, 0), -1))]),
        set: BTreeSet::from(['a', 'é']),
        hash_set: HashSet::from(["x".into()]),
        never: None,
    }
}

fn tree() -> Tree {
    let named = BTreeMap::from([("a".into(), Tree::Leaf), ("b".into(), Tree::Many(vec![Tree::Leaf; 3]))]);
    Tree::Binary(Box::new(Tree::Named(named)), Box::new(Tree::Maybe(Some(Box::new(Tree::Leaf)))))
}

fn node(depth: usize) -> old::Node {
    let mut node = old::Node { gone: tree(), number: 1, ..Default::default() };
    for number in 0..depth {
        let many = vec![old::Node { number: 7, ..Default::default() }];
        node = old::Node { next: Some(Box::new(node)), gone: Tree::Leaf, many, number: number as u16 };
    }
    node
}

fn all() -> old::Change {
    let order = old::Order { price: 1.5, note: "n".into(), article: -3 };
    let place = old::Place { city: "c".into(), zip: 9 };
    old::Change::All {
        map: HashMap::from([(place.clone(), order.clone())]),
        set: BTreeSet::from([place]),
        array: [order.clone(), order],
        decimal: Decimal::new(125).unwrap(),
        address: OldOctets::new([127, 0, 0, 1].into()),
        shape: Generic::new(Shape::Circle(0.5)),
    }
}

fn scalars() -> Scalars {
    Scalars {
        small: (true, 'é', -1, 1, -2, 2),
        wide: (-3, 3, -4, 4, -5, 5),
        floats: (f32::INFINITY, f64::NAN),
        time: (Date(15_706), Default::default(), Default::default(), Default::default()),
        decimals: (Decimal::new(-9).unwrap(), Decimal::new(12_345).unwrap(), Decimal::default()),
        duration: Duration::new(5, 999_999_999),
        ..Default::default()
    }
}

fn values(seeds: &mut Vec<Seed>) {
    let mut add = |which, name: &str, bytes: Vec<u8>| add(seeds, "values", name, which, &bytes);
    add(0, "scalars", encoded(&scalars()));
    add(1, "everything", encoded(&everything()));
    add(2, "event", encoded(&Event::Moved(Point(1, 2), "x".to_owned())));
    add(3, "events", encoded(&vec![Event::Moved(Point(1, 2), vec!['x']), Event::Nothing]));
    add(4, "trees", encoded(&HashMap::from([("t".to_owned(), tree())])));
    add(5, "tree", encoded(&tree()));
    // One box more than may be nested, of two bytes each.
    add(5, "tree-too-deep", [4, 0, 1].repeat(300));
    add(5, "tree-deep", [[4, 0, 1].repeat(255), vec![0, 0]].concat());
    add(6, "sparse", encoded(&Sparse { many: vec![None; 9], ..Default::default() }));
    add(6, "sparse-many", [&[0][..], &900u32.to_le_bytes(), &[0; 900], &[0; 4]].concat());
    add(
        7,
        "nothings",
        encoded(&(vec![(); 3], vec![Unit], HashSet::from([Unit]), BTreeMap::from([((), ())]))),
    );
    add(7, "nothings-huge", [&0xffff_fffeu32.to_le_bytes()[..], &[0; 500]].concat());
    add(8, "nested", encoded(&vec![vec![vec![Some(Box::new(1u8)), None]]]));
    add(9, "never", encoded(&Vec::<u8>::new()));
    add(10, "array", encoded(&[Some(vec!["a".to_owned()]), None, None, Some(vec![])]));
    add(11, "rows", encoded(&vec![(1i64, 0.5f32, true), (-1, f32::NAN, false)]));
    add(11, "rows-huge", [&[0xff; 4][..], &[1; 100]].concat());
    add(12, "change", encoded(&evolved::Change::Nothing));
}

fn batch<T: Data>(values: Vec<T>, stamped: bool) -> Vec<u8> {
    let timestamps = if stamped { (0..values.len() as i64).collect() } else { vec![] };
    let mut bytes = Vec::new();
    encode_batch(&TypedBatch { values, timestamps, hashes: vec![] }, &mut bytes).unwrap();
    bytes
}

fn batches(seeds: &mut Vec<Seed>) {
    for stamped in [false, true] {
        let mut add = |target, which, name: &str, bytes: Vec<u8>| {
            add(
                seeds,
                target,
                format!("{name}-{}", if stamped { "stamped" } else { "plain" }),
                which,
                &bytes,
            );
        };
        add("batches", 0, "numbers", batch(vec![1u64, 2, 3], stamped));
        add("batches", 1, "nothings", batch(vec![(); 5], stamped));
        add("batches", 2, "everything", batch(vec![everything(); 2], stamped));
        add("batches", 3, "orders", batch(vec![evolved::Order::default(); 3], stamped));
        add("batches", 4, "trees", batch(vec![tree(), Tree::Leaf], stamped));
        add("batches", 5, "pairs", batch(vec![(true, "x".to_owned()), (false, String::new())], stamped));
        let order = old::Order { price: 1.5, note: "n".into(), article: -3 };
        add("migrated_batches", 0, "orders", batch(vec![order.clone(); 3], stamped));
        add("migrated_batches", 1, "lists", batch(vec![vec![order.clone(); 2], vec![]], stamped));
        add("migrated_batches", 2, "nodes", batch(vec![node(3), node(0)], stamped));
        let put = old::Change::Put(order, 2);
        add("migrated_batches", 3, "changes", batch(vec![all(), put], stamped));
        add("migrated_batches", 4, "tuples", batch(vec![(7u32, "x".to_owned(), 0.5f32)], stamped));
        let map = HashMap::from([(old::Place { city: "c".into(), zip: 1 }, node(1))]);
        add("migrated_batches", 5, "maps", batch(vec![map], stamped));
    }
    add(seeds, "migrated_batches", "deep", 2, &batch(vec![node(254)], false));
}

struct SnapshotSeeds<'a>(&'a mut Vec<Seed>, u8);

impl ForEach for SnapshotSeeds<'_> {
    type Result = ();

    fn run<Old: Data, New: Data>(self) {
        let Self(seeds, which) = self;
        for (release, schema) in [("first", Schema::of::<Old>()), ("second", Schema::of::<New>())] {
            let bytes = SerializerSnapshot { schema }.encode();
            seeds.push(("snapshots", format!("pair-{which}-{release}"), bytes));
        }
    }
}

fn snapshots(seeds: &mut Vec<Seed>) {
    for which in 0..PAIRS {
        for_pair(which, SnapshotSeeds(seeds, which));
    }
    let order = old::Order { price: 1.5, note: "n".into(), article: -3 };
    let map = HashMap::from([(old::Place { city: "c".into(), zip: 1 }, node(1))]);
    let mut add_packed = |which, name: &str, bytes: Vec<u8>| add(seeds, "packed", name, which, &bytes);
    add_packed(0, "order", pack(&order));
    add_packed(0, "order-of-now", pack(&evolved::Order::default()));
    add_packed(1, "orders", pack(&vec![order; 3]));
    add_packed(2, "node", pack(&node(3)));
    add_packed(2, "node-deep", pack(&node(254)));
    add_packed(2, "node-too-deep", pack(&node(300)));
    add_packed(3, "change", pack(&all()));
    add_packed(4, "tuple", pack(&(7u32, "x".to_owned(), 0.5f32)));
    add_packed(5, "map", pack(&map));
    add_packed(6, "arrays", pack(&Some([vec![1u8, 2], vec![]])));
    add_packed(7, "tree", pack(&tree()));
    // As the bytes of `migrations` decide: changes, then a value.
    for which in 0..PAIRS {
        let mut decisions = vec![255; 24];
        decisions.extend(encoded(&old::Order::default()));
        add(seeds, "migrations", format!("pair-{which}-nothing"), which, &decisions);
        let decisions: Vec<u8> = (0..200u32).map(|i| (i * 37 % 251) as u8).collect();
        add(seeds, "migrations", format!("pair-{which}-anything"), which, &decisions);
    }
    // In front of the fields of an order an array of arrays of `L { f0: [L; 0] }`, 2^64 of them, that take no bytes.
    let mut decisions = vec![1, 255, 255, 255, 0, 15, 15, 11, 1, 5, 5, 0, 255, 1, 15, 11, 1, 0, 7, 255];
    decisions.extend(encoded(&old::Order::default()));
    add(seeds, "migrations", "array-of-what-contains-none-of-itself", 0, &decisions);
}

fn field(name: &str, ty: Type) -> Field {
    Field {
        name: name.to_owned(),
        aliases: vec![].into(),
        ty,
        default: None.into(),
        column: Default::default(),
    }
}

fn definition(name: &str, fields: Vec<Field>) -> Definition {
    Definition { name: name.to_owned(), aliases: vec![].into(), body: Body::Struct(fields) }
}

fn empty_array() -> Type {
    Type::Array(Box::new(Type::Text), 0)
}

/// Definitions from 1 on, of which each holds the next one `times`; the last holds `leaf`.
fn doubling(levels: u32, times: usize, leaf: Type) -> Vec<Definition> {
    let each = |level: u32| {
        let ty = if level == levels { leaf.clone() } else { Type::Named(level + 1) };
        definition("Level", (0..times).map(|i| field(&format!("f{i}"), ty.clone())).collect())
    };
    (1..=levels).map(each).collect()
}

/// An order of the first release whose note, which is removed, is of another type.
fn order(note: Type, others: Vec<Definition>) -> Schema {
    let fields = vec![field("price", Type::Float(32)), field("note", note), field("article", Type::Int(32))];
    let mut definitions = vec![definition("Order", fields)];
    definitions.extend(others);
    Schema { root: Type::Named(0), definitions }
}

/// A chain of definitions of the same name, each with the next one within.
fn chain(length: u32, last: Vec<Field>, forwards: bool) -> Schema {
    let at = |step: u32| if forwards { step } else { length - 1 - step };
    let mut definitions = vec![definition("", vec![]); length as usize];
    for step in 0..length {
        let mut fields =
            vec![field("number", Type::UInt(16)), field("many", Type::List(Box::new(Type::Named(at(step)))))];
        if step + 1 < length {
            fields.push(field("next", Type::Option(Box::new(Type::Named(at(step + 1))))));
        } else {
            fields.extend(last.iter().cloned());
        }
        definitions[at(step) as usize] = definition("Node", fields);
    }
    Schema { root: Type::Named(at(0)), definitions }
}

/// Schemas that ask for work or memory beyond all measure.
fn hostile_schemas(seeds: &mut Vec<Seed>) {
    let mut add = |which, name: &str, schema: Schema, value: &[u8]| {
        let snapshot = SerializerSnapshot { schema }.encode();
        add(seeds, "packed", format!("hostile-{name}"), which, &[&snapshot, value].concat());
        seeds.push(("snapshots", format!("hostile-{name}"), snapshot));
    };
    let unit = || Box::new(Type::Unit);
    // Types that take no bytes, and would take a long time to go over.
    add(0, "doubling-of-nothing", order(Type::Named(1), doubling(60, 2, empty_array())), &[1; 8]);
    add(0, "huge-array-of-nothing", order(Type::Array(Box::new(empty_array()), u32::MAX), vec![]), &[1; 8]);
    let nested = (0..6).fold(empty_array(), |ty, _| Type::Array(Box::new(ty), 1_000_000));
    add(0, "nested-arrays-of-nothing", order(nested, vec![]), &[1; 8]);
    add(0, "array-of-units", order(Type::Array(unit(), u32::MAX), vec![]), &[1; 8]);
    add(0, "array-of-words", order(Type::Array(Box::new(Type::Int(64)), u32::MAX), vec![]), &[1; 80]);
    add(0, "doubling", order(Type::Named(1), doubling(60, 2, Type::Text)), &[0; 4000]);
    let none = vec![definition("L", vec![field("none", Type::Array(Box::new(Type::Named(1)), 0))])];
    let many = (0..2).fold(Type::Named(1), |ty, _| Type::Array(Box::new(ty), u32::MAX));
    add(0, "array-of-what-contains-none-of-itself", order(many, none), &[1; 8]);
    // Many parts without bytes beside one with a single byte.
    let mut parts = vec![Type::Unit; 4000];
    parts.push(Type::Option(Box::new(Type::Int(8))));
    let elements = order(Type::List(Box::new(Type::Tuple(parts))), vec![]);
    add(0, "many-units", elements, &[&[0; 4][..], &4000u32.to_le_bytes(), &[0; 4004]].concat());
    // Types without an end.
    add(
        0,
        "endless",
        order(Type::Named(1), vec![definition("A", vec![field("a", Type::Named(1))])]),
        &[1; 8],
    );
    let twice = vec![field("a", Type::Named(1)), field("b", Type::Named(1))];
    add(0, "endless-twice", order(Type::Named(1), vec![definition("A", twice)]), &[1; 8]);
    let endless = Type::List(Box::new(Type::Named(1)));
    add(
        0,
        "endless-list",
        order(Type::Named(1), vec![definition("A", vec![field("a", endless)])]),
        &[1].repeat(3000),
    );
    let maybe = Type::Option(Box::new(Type::Named(1)));
    let long = vec![definition("A", vec![field(&"name".repeat(500), maybe)])];
    add(0, "long-names-in-a-path", order(Type::Named(1), long), &[[0; 4].to_vec(), vec![1; 3000]].concat());
    let deep = (0..250).fold(Type::Text, |ty, _| Type::Option(Box::new(ty)));
    add(0, "deep-type", order(deep, vec![]), &[1; 400]);
    // Long ways to every difference, and many differences.
    add(2, "chain-forwards", chain(600, vec![], true), &[1; 400]);
    add(2, "chain-backwards", chain(600, vec![], false), &[1; 400]);
    add(2, "chain-with-differences", chain(600, vec![field("next", Type::Text)], true), &[]);
    let mut differing = chain(400, vec![], true);
    let name = "N".repeat(10_000);
    for definition in &mut differing.definitions {
        if let Body::Struct(fields) = &mut definition.body {
            fields[0].ty = Type::Named(400);
        }
    }
    differing.definitions.push(definition(&name, vec![]));
    add(2, "differences-of-long-names", differing, &[]);
    let many = Type::Tuple(vec![Type::Named(1); 2000]);
    add(0, "long-name-often", order(many, vec![definition(&name, vec![])]), &[1; 8]);
    // References to nowhere, and widths that do not exist.
    add(0, "nowhere", order(Type::Named(7), vec![]), &[1; 8]);
    add(0, "no-width", order(Type::Int(7), vec![]), &[1; 8]);
    let twins =
        vec![definition("Order", vec![field("price", Type::Float(32)), field("price", Type::Text)]); 3];
    add(0, "twins", Schema { root: Type::Named(0), definitions: twins }, &[0; 20]);
    // Fields in another order at every depth: nothing may be gone over again at each.
    let mut nodes = Schema::of::<old::Node>();
    if let Body::Struct(fields) = &mut nodes.definitions[0].body {
        fields.reverse();
    }
    let value = [[1, 0, 0, 0, 0, 1].repeat(250), vec![0; 12]].concat();
    add(2, "reversed-at-every-depth", nodes, &value);
}

fn foreign(seeds: &mut Vec<Seed>) {
    let anything = Anything {
        text: "é".into(),
        wide: (-1, u128::MAX),
        floats: (0.5, f64::NAN),
        letter: 'x',
        map: BTreeMap::from([(1, Shape::Named { name: "n".into(), sides: vec![Some(1), None] })]),
        within: HashMap::new(),
        nothing: (),
        bytes: vec![1, 2, 3],
    };
    let outer = Anything { within: HashMap::from([("w".into(), Box::new(anything.clone()))]), ..anything };
    let visit = Visit { from: [10, 0, 0, 1].into(), shape: Shape::Empty, page: "/".into() };
    let framed = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
    let mut add = |which, name: &str, bytes: Vec<u8>| add(seeds, "foreign", name, which, &bytes);
    add(0, "address", encoded(&Octets::new([127, 0, 0, 1].into())));
    add(1, "visit", encoded(&visit));
    add(2, "visits", encoded(&vec![visit; 2]));
    add(3, "anything", encoded(&Generic::new(outer)));
    add(4, "nested", encoded(&Generic::new(Nested(vec![Nested(vec![]), Nested(vec![Nested(vec![])])]))));
    add(4, "nested-too-deep", framed(&[0x91; 3000]));
    // Each list claims more elements than there are bytes.
    add(4, "nested-huge", framed(&[0xdd, 0xff, 0xff, 0xff, 0xff].repeat(200)));
    add(5, "lists-huge", framed(&[0xdd, 0, 0xff, 0xff, 0xff].repeat(3)));
    add(5, "lists", encoded(&Generic::new(vec![vec![vec![(1u64, "x".to_owned())]]])));
    add(3, "text-huge", framed(&[0x81, 0xdb, 0xff, 0xff, 0xff, 0xff, b'x']));
}

fn states(seeds: &mut Vec<Seed>) {
    for how in 0..8 {
        let snapshot = state::written(how & 1 != 0);
        add(seeds, "state", format!("whole-{how}"), how, &state::body(&snapshot));
    }
    let whole = state::written(false);
    for one in &whole.keyed {
        let mut snapshot = whole.clone();
        snapshot.keyed = vec![one.clone()];
        snapshot.timers.clear();
        snapshot.operator.clear();
        add(seeds, "state", format!("keyed-{}", one.name), 0, &state::body(&snapshot));
    }
    let mut snapshot = whole.clone();
    snapshot.keyed.clear();
    snapshot.operator.clear();
    add(seeds, "state", "timers", 2, &state::body(&snapshot));
    for one in &whole.operator {
        let snapshot = tidemill_state::SubtaskSnapshot { operator: vec![one.clone()], ..Default::default() };
        add(seeds, "state", format!("operator-{}", one.name), 0, &state::body(&snapshot));
    }
}

fn exchanges(seeds: &mut Vec<Seed>) {
    for how in 0..8 {
        let (gate, partition) = channels::written(how);
        add(seeds, "channels", format!("gate-{how}"), how, channels::body(&gate.encode()));
        add(seeds, "channels", format!("partition-{how}"), 128 | how, channels::body(&partition.encode()));
    }
}

fn configurations(seeds: &mut Vec<Seed>) {
    let texts = [
        "100 ms",
        "1min",
        " 3 Days ",
        "9223372036854775807s",
        "64kb",
        "1 g",
        "18446744073709551615 t",
        "a;b;'c;d'",
        "[a, 'b, c']",
        "k:v,'k,2':'v:2'",
        "{k: v, l: [1, 2]}",
        "'it''s'",
        "\"quoted",
        "",
        "true",
        "-5",
        "µs",
        "1 µs",
    ];
    for (i, text) in texts.into_iter().enumerate() {
        add(seeds, "configuration", format!("text-{i}"), 0, text.as_bytes());
    }
    let whole = "parallelism.default: 2\ntaskmanager.memory.process.size: 4gb\nparalelism.default: 3\n\
                 pipeline.jobvertex-parallelism-overrides: a:1,b:2\npipeline.auto-watermark-interval: x\n";
    add(seeds, "configuration", "whole", 1, whole.as_bytes());
}

fn checkpoints(seeds: &mut Vec<Seed>) {
    for (target, whole) in [
        ("checkpoint_metadata", checkpoints::metadata().encode()),
        ("native_snapshots", checkpoints::native().descriptor()),
    ] {
        add(seeds, target, "whole", 0, &whole);
        // Its checksum is made anew.
        let body = &whole[..whole.len() - 8];
        add(seeds, target, "body", 1, body);
        add(seeds, target, "cut", 1, &body[..body.len() / 2]);
        add(seeds, target, "too-many", 1, &[&body[..5], &[0xff; 9], &[1]].concat());
        add(seeds, target, "another-version", 1, &[&body[..4], &[9], &body[5..]].concat());
    }
    let whole = checkpoints::in_a_block(checkpoints::HOT_BLOCK);
    add(seeds, "hot_rows", "whole", 0, &whole);
    add(seeds, "hot_rows", "cut", 0, &whole[..whole.len() / 2]);
    add(seeds, "hot_rows", "too-long", 0, &[&whole[..5], &[0xff; 12], &whole[17..]].concat());
    add(seeds, "hot_rows", "block", 1, checkpoints::HOT_BLOCK);
    add(seeds, "hot_rows", "another-kind", 1, &[checkpoints::HOT_BLOCK, &[9, 1, 1]].concat());
}

fn avro(seeds: &mut Vec<Seed>) {
    // For the schema of `tidemill_serialization::avro::fuzzing`.
    let value = [&[0, 0][..], &[1; 12], &[0, 2, b'x', 2, 5, 0], &0.5f32.to_le_bytes()].concat();
    let nested = [&[2][..], &value, &[2], &[0; 12], &[6, 2, 5, 4, 0], &[0; 4]].concat();
    // Counts that are huge, and negative ones with a size behind them.
    let huge = [&[4][..], &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], &[3, 200, 0]].concat();
    for (name, bytes) in [("flat", &value), ("nested", &nested), ("huge", &huge), ("twice", &value.repeat(2))]
    {
        seeds.push(("avro_values", name.to_owned(), bytes.clone()));
        seeds.push(("avro_messages", name.to_owned(), [&[0; 5][..], bytes].concat()));
    }
    let schemas = [
        ("name", r#""string""#.to_owned()),
        (
            "recursive",
            r#"{"type":"record","name":"a.R","fields":[{"name":"r","type":["null","R"],"default":null}]}"#
                .to_owned(),
        ),
        (
            "enum",
            r#"{"type":"enum","name":"E","symbols":["A","B"],"default":"A","aliases":["F"]}"#.to_owned(),
        ),
        ("logical", r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#.to_owned()),
        ("fixed", r#"{"type":"fixed","name":"F","size":12,"logicalType":"duration"}"#.to_owned()),
        ("fixed-huge", r#"{"type":"fixed","name":"F","size":9223372036854775807}"#.to_owned()),
        ("deep", r#"{"type":"array","items":"#.repeat(500) + "\"int\"" + &"}".repeat(500)),
        ("map", r#"{"type":"map","values":["null","double",{"type":"array","items":"null"}]}"#.to_owned()),
    ];
    for (name, text) in schemas {
        seeds.push(("avro_schemas", name.to_owned(), text.into_bytes()));
    }
    // Metadata with a schema of nothing and one of numbers, the mark between blocks, then a block.
    for (name, schema, block) in
        [("nulls", r#""null""#, &[200, 1, 0][..]), ("longs", r#""long""#, &[4, 4, 2, 4])]
    {
        let mut file = vec![2, 22];
        file.extend(b"avro.schema");
        file.push(2 * schema.len() as u8);
        file.extend(schema.as_bytes());
        file.push(0);
        file.extend([7; 16]);
        file.extend(block);
        file.extend([7; 16]);
        seeds.push(("avro_files", name.to_owned(), file));
    }
}

/// The examples and the queries that are compared with Flink, and texts that ask for trouble.
fn sql(seeds: &mut Vec<Seed>) {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let goldens = ["flights", "match", "nexmark", "subqueries"]
        .map(|suite| format!("crates/tidemill/tests/golden/{suite}"));
    for folder in goldens.iter().map(String::as_str).chain(["examples/sql"]) {
        let name = folder.rsplit('/').next().unwrap_or_default();
        let files = std::fs::read_dir(project.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        for path in files.filter(|path| path.extension().is_some_and(|ending| ending == "sql")) {
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            seeds.push(("sql_scripts", format!("{name}-{stem}"), std::fs::read(path).unwrap()));
        }
    }
    let many = |open: &str, inner: &str, close: &str, times: usize| {
        format!("SELECT {}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let texts = [
        ("string-without-end", "SELECT 'abc".to_owned()),
        ("name-without-end", "SELECT `abc".to_owned()),
        ("comment-without-end", "SELECT 1 /* abc".to_owned()),
        ("hint-without-end", "SELECT /*+ OPTIONS('a' = 'b' 1".to_owned()),
        ("hints", "SELECT /*+ STATE_TTL('t' = '1d'), BROADCAST(u), LOOKUP('table' = 'u') */ * FROM t, u".to_owned()),
        ("huge-number", format!("SELECT {}.5e{}", "9".repeat(400), "9".repeat(30))),
        ("huge-precision", "SELECT CAST(1 AS DECIMAL(99999999999999999999, 3))".to_owned()),
        ("huge-interval", "SELECT INTERVAL '99999999999999999999' YEAR(99999999999) + DATE '9999-12-31'".to_owned()),
        ("huge-limit", "SELECT a FROM t ORDER BY a LIMIT 99999999999999999999".to_owned()),
        ("huge-repetition", "SELECT REPEAT('x', 2147483647), LPAD('x', 2147483647, 'y')".to_owned()),
        ("overflow", "SELECT -(-9223372036854775808), 9223372036854775807 + 1, -2147483648 / -1".to_owned()),
        ("unicode", "SELECT U&'\\d800', '\u{1f600}\u{0}\u{feff}\u{202e}', `\u{e4}` FROM `\u{1f600}` -- \u{2028}\n\u{a0}".to_owned()),
        ("alone", "; ; ;\n\r\u{b};\u{c}".to_owned()),
        ("set-without-end", "EXECUTE STATEMENT SET BEGIN INSERT INTO t SELECT * FROM t;".to_owned()),
        ("parentheses", many("(", "1", ")", 600)),
        ("brackets", many("a[", "1", "]", 600)),
        ("cases", many("CASE WHEN a = 1 THEN ", "1", " ELSE 2 END", 300)),
        ("queries", many("* FROM (SELECT ", "1 AS a", ") s", 300)),
        ("in-queries", many("a FROM t WHERE a IN (SELECT ", "1", ")", 24)),
        ("exists", many("a FROM t WHERE EXISTS (SELECT ", "1", ")", 24)),
        ("sums", many("a + ", "a", " FROM t", 1).replace("a + ", &"a + ".repeat(2000))),
        ("conditions", format!("SELECT a FROM t WHERE {} a = 1", "a = 1 OR a > 2 AND ".repeat(1000))),
        ("unions", format!("{} SELECT 1", "SELECT 1 UNION ALL ".repeat(300))),
        ("cubes", "SELECT a FROM t GROUP BY CUBE (a, b, s), CUBE (a, b, s), CUBE (a, b, s), CUBE (a, b, s), CUBE (a, b, s)".to_owned()),
        ("joins", format!("SELECT 1 FROM t {}", "JOIN u ON TRUE ".repeat(50))),
        ("types", format!("SELECT CAST(NULL AS {}INT{})", "ROW<a ARRAY<".repeat(200), ">>".repeat(200))),
    ];
    for (name, text) in texts {
        seeds.push(("sql_scripts", name.to_owned(), text.into_bytes()));
    }
}
