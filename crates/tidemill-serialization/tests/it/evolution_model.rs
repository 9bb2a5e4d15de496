//! Random pairs of schemas: what a migration makes of random values is what the rules say, field by field.
//!
//! Both schemas, and both encoded forms of each value, are made side by side by a naive model that knows the rules but
//! neither compares schemas nor reads bytes.

use proptest::prelude::*;
use tidemill_serialization::schema::{Body, Definition, Field, Type, Variant};
use tidemill_serialization::{Compatibility, Data, Input, Schema, SerializerSnapshot};

/// A small generator of random numbers, so that a case is one number.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

/// How one type became another.
enum Change {
    Int { signed: bool, from: usize, to: usize },
    Float { to: usize },
    Text,
    Unit,
    Bool,
    Wrapped(Box<Change>),
    Option(Box<Change>),
    List(Box<Change>),
    Array(Box<Change>, usize),
    Map(Box<Change>, Box<Change>),
    Tuple(Vec<Change>),
    Struct(Fields),
    Enum { variants: Vec<(usize, Fields)> },
}

struct Fields {
    stored: Vec<Change>,
    declared: Vec<Source>,
}

enum Source {
    Stored(usize),
    Default(Vec<u8>),
}

#[derive(Default)]
struct Model {
    stored: Vec<Definition>,
    declared: Vec<Definition>,
    /// A change that is not allowed is still to be made.
    to_break: bool,
    broken: bool,
}

impl Model {
    /// A type and what became of it.
    fn change(&mut self, random: &mut Random, depth: u32, key: bool) -> (Type, Type, Change) {
        if self.to_break && random.below(8) == 0 {
            self.to_break = false;
            self.broken = true;
            return match random.below(3) {
                0 => (Type::Int(64), Type::Int(32), Change::Unit),
                1 => (Type::Text, Type::Int(64), Change::Unit),
                _ => (Type::Option(Box::new(Type::Bool)), Type::Bool, Change::Unit),
            };
        }
        let kinds = if depth == 0 { 6 } else { 13 };
        match random.below(kinds) {
            0 | 1 => {
                let widths = [1usize, 2, 4, 8, 16];
                let from = random.below(5) as usize;
                let mut to = from + random.below(5 - from as u64) as usize;
                let signed = random.below(2) == 0;
                // An unsigned integer may become a signed one that is wider.
                let becomes_signed = signed || (to > from && random.below(2) == 0);
                if random.below(3) == 0 && signed == becomes_signed {
                    to = from;
                }
                let name = |signed: bool, width: usize| {
                    let bits = 8 * width as u8;
                    if signed { Type::Int(bits) } else { Type::UInt(bits) }
                };
                let (from, to) = (widths[from], widths[to]);
                (name(signed, from), name(becomes_signed, to), Change::Int { signed, from, to })
            }
            2 if !key => match random.below(2) {
                0 => (Type::Float(32), Type::Float(64), Change::Float { to: 8 }),
                _ => (Type::Float(32), Type::Float(32), Change::Float { to: 4 }),
            },
            2 | 3 => (Type::Text, Type::Text, Change::Text),
            4 => (Type::Unit, Type::Unit, Change::Unit),
            5 => (Type::Bool, Type::Bool, Change::Bool),
            6 => {
                let (from, to, change) = self.change(random, depth - 1, key);
                // What is optional already is matched as such.
                if matches!(from, Type::Option(_)) {
                    return (from, to, change);
                }
                (from, Type::Option(Box::new(to)), Change::Wrapped(Box::new(change)))
            }
            7 => {
                let (from, to, change) = self.change(random, depth - 1, key);
                (Type::Option(Box::new(from)), Type::Option(Box::new(to)), Change::Option(Box::new(change)))
            }
            8 => {
                let (from, to, change) = self.change(random, depth - 1, key);
                (Type::List(Box::new(from)), Type::List(Box::new(to)), Change::List(Box::new(change)))
            }
            9 => {
                let (from, to, change) = self.change(random, depth - 1, key);
                let length = random.below(4) as usize;
                let array = |ty| Type::Array(Box::new(ty), length as u32);
                (array(from), array(to), Change::Array(Box::new(change), length))
            }
            10 => {
                let (key_from, key_to, keys) = self.change(random, depth - 1, true);
                let (from, to, values) = self.change(random, depth - 1, key);
                let map = |key, value| Type::Map(Box::new(key), Box::new(value));
                (map(key_from, from), map(key_to, to), Change::Map(Box::new(keys), Box::new(values)))
            }
            11 => {
                let parts: Vec<_> =
                    (0..random.below(4)).map(|_| self.change(random, depth - 1, key)).collect();
                let (mut from, mut to, mut changes) = (vec![], vec![], vec![]);
                for (stored, declared, change) in parts {
                    from.push(stored);
                    to.push(declared);
                    changes.push(change);
                }
                (Type::Tuple(from), Type::Tuple(to), Change::Tuple(changes))
            }
            _ => self.named(random, depth - 1, key),
        }
    }

    fn named(&mut self, random: &mut Random, depth: u32, key: bool) -> (Type, Type, Change) {
        let (from, to) = (self.stored.len(), self.declared.len());
        let name = format!("T{from}");
        let renamed = random.below(4) == 0;
        let placeholder = |name: &str| Definition {
            name: name.to_owned(),
            aliases: if renamed { vec![format!("T{from}"), "Older".into()] } else { vec![] }.into(),
            body: Body::Struct(vec![]),
        };
        self.stored.push(placeholder(&name));
        self.declared.push(placeholder(&if renamed { format!("New{to}") } else { name }));
        let (stored, declared, change) = if random.below(2) == 0 {
            let (stored, declared, fields) = self.fields(random, depth, key);
            (Body::Struct(stored), Body::Struct(declared), Change::Struct(fields))
        } else {
            self.variants(random, depth, key)
        };
        self.stored[from].body = stored;
        self.declared[to].body = declared;
        (Type::Named(from as u32), Type::Named(to as u32), change)
    }

    fn variants(&mut self, random: &mut Random, depth: u32, key: bool) -> (Body, Body, Change) {
        let count = 1 + random.below(3) as usize;
        let mut stored = Vec::new();
        let mut declared = Vec::new();
        let mut contents = Vec::new();
        for i in 0..count {
            let (from, to, fields) = self.fields(random, depth, key);
            let renamed = random.below(4) == 0;
            let name = |new: bool| format!("{}{i}", if new && renamed { "W" } else { "V" });
            stored.push(Variant { name: name(false), aliases: vec![].into(), fields: from });
            let aliases = if renamed { vec![name(false)] } else { vec![] };
            declared.push((Some(i), Variant { name: name(true), aliases: aliases.into(), fields: to }));
            contents.push(fields);
        }
        if random.below(2) == 0 {
            declared.push((None, Variant { name: "Added".into(), aliases: vec![].into(), fields: vec![] }));
        }
        random.shuffle(&mut declared);
        let place = |i| declared.iter().position(|(of, _)| *of == Some(i)).unwrap();
        let variants = contents.into_iter().enumerate().map(|(i, fields)| (place(i), fields)).collect();
        let declared = declared.iter().map(|(_, variant)| variant.clone()).collect();
        (Body::Enum(stored), Body::Enum(declared), Change::Enum { variants })
    }

    fn fields(&mut self, random: &mut Random, depth: u32, key: bool) -> (Vec<Field>, Vec<Field>, Fields) {
        let mut stored = Vec::new();
        let mut declared = Vec::new();
        let mut changes = Vec::new();
        for i in 0..random.below(5) as usize {
            let before = self.broken;
            let (from, to, change) = self.change(random, depth, key);
            let name = format!("f{i}");
            stored.push(Field {
                name: name.clone(),
                aliases: vec![].into(),
                ty: from,
                default: None.into(),
                column: Default::default(),
            });
            changes.push(change);
            // A field that is dropped says nothing of its type.
            if !key && self.broken == before && random.below(5) == 0 {
                continue;
            }
            let field = match random.below(4) {
                0 => Field {
                    name: format!("g{i}"),
                    aliases: vec!["old".into(), name].into(),
                    ty: to,
                    default: None.into(),
                    column: Default::default(),
                },
                _ => Field {
                    name,
                    aliases: vec![].into(),
                    ty: to,
                    default: Some(vec![9; 3]).into(),
                    column: Default::default(),
                },
            };
            declared.push((Source::Stored(i), field));
        }
        for i in 0..random.below(3) {
            let default = i32::encoded(random.next() as i32);
            let field = Field {
                name: format!("n{i}"),
                aliases: vec!["never".into()].into(),
                ty: Type::Int(32),
                default: Some(default.clone()).into(),
                column: Default::default(),
            };
            declared.push((Source::Default(default), field));
        }
        if random.below(2) == 0 {
            random.shuffle(&mut declared);
        }
        let (sources, fields) = declared.into_iter().unzip();
        (stored, fields, Fields { stored: changes, declared: sources })
    }
}

trait Encoded {
    fn encoded(self) -> Vec<u8>;
}

impl<T: Data> Encoded for T {
    fn encoded(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes
    }
}

impl Change {
    /// A random value: as it was written, and as it is to be read.
    fn value(&self, random: &mut Random) -> (Vec<u8>, Vec<u8>) {
        match self {
            Change::Unit => (vec![], vec![]),
            Change::Bool => {
                let byte = vec![random.below(2) as u8];
                (byte.clone(), byte)
            }
            Change::Int { signed, from, to } => {
                let bits = (u128::from(random.next()) << 64) | u128::from(random.next());
                let kept = bits << (128 - 8 * from);
                let value = match signed {
                    true => ((kept as i128) >> (128 - 8 * from)) as u128,
                    false => kept >> (128 - 8 * from),
                };
                (value.to_le_bytes()[..*from].to_vec(), value.to_le_bytes()[..*to].to_vec())
            }
            Change::Float { to } => {
                let value = random.next() as i32 as f32 / 7.0;
                (value.encoded(), if *to == 8 { f64::from(value).encoded() } else { value.encoded() })
            }
            Change::Text => {
                let text = "aé".repeat(random.below(4) as usize).encoded();
                (text.clone(), text)
            }
            Change::Wrapped(value) => {
                let (old, new) = value.value(random);
                (old, [vec![1], new].concat())
            }
            Change::Option(value) => match random.below(2) {
                0 => (vec![0], vec![0]),
                _ => {
                    let (old, new) = value.value(random);
                    ([vec![1], old].concat(), [vec![1], new].concat())
                }
            },
            Change::List(value) => {
                let count = random.below(4) as u8;
                sequence(count, (0..count).map(|_| value.value(random)))
            }
            Change::Map(key, value) => {
                let count = random.below(4) as u8;
                sequence(count, (0..count).map(|_| join([key.value(random), value.value(random)])))
            }
            Change::Array(value, length) => join((0..*length).map(|_| value.value(random))),
            Change::Tuple(parts) => join(parts.iter().map(|part| part.value(random))),
            Change::Struct(fields) => fields.value(random),
            Change::Enum { variants } => {
                let tag = random.below(variants.len() as u64) as usize;
                let (place, fields) = &variants[tag];
                join([((tag as u16).encoded(), (*place as u16).encoded()), fields.value(random)])
            }
        }
    }
}

impl Fields {
    fn value(&self, random: &mut Random) -> (Vec<u8>, Vec<u8>) {
        let values: Vec<_> = self.stored.iter().map(|change| change.value(random)).collect();
        let new = self.declared.iter().flat_map(|source| match source {
            Source::Stored(i) => values[*i].1.clone(),
            Source::Default(bytes) => bytes.clone(),
        });
        (values.iter().flat_map(|(old, _)| old.clone()).collect(), new.collect())
    }
}

fn join(parts: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> (Vec<u8>, Vec<u8>) {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for (from, to) in parts {
        old.extend(from);
        new.extend(to);
    }
    (old, new)
}

/// Elements of a sequence, behind their count; one that takes no byte gets one.
fn sequence(count: u8, elements: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> (Vec<u8>, Vec<u8>) {
    let filled = |bytes: Vec<u8>| if bytes.is_empty() { vec![0] } else { bytes };
    let elements = elements.map(|(old, new)| (filled(old), filled(new)));
    join(std::iter::once((count.encoded(), count.encoded())).chain(elements))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn migrated_values_follow_the_rules(seed: u64) {
        let mut random = Random(seed);
        let mut model = Model::default();
        let (from, to, change) = model.change(&mut random, 4, false);
        let stored = Schema { root: from, definitions: model.stored };
        let declared = Schema { root: to, definitions: model.declared };
        // What is stored comes back.
        let snapshot = SerializerSnapshot { schema: stored.clone() };
        prop_assert_eq!(&SerializerSnapshot::decode(&snapshot.encode()).unwrap(), &snapshot);
        let compatibility = declared.read_from(&stored);
        for _ in 0..4 {
            let (old, new) = change.value(&mut random);
            match &compatibility {
                Compatibility::AsIs => prop_assert_eq!(&old, &new),
                Compatibility::AfterMigration(migration) => {
                    let mut migrated = Vec::new();
                    let mut input = Input::new(&old);
                    let done = migration.value(&mut input, &mut migrated);
                    prop_assert!(done.is_ok(), "{:?} for {} to {}", done, stored.describe(), declared.describe());
                    prop_assert_eq!(input.remaining(), 0);
                    prop_assert_eq!(&migrated, &new, "{} to {}", stored.describe(), declared.describe());
                    for end in 0..old.len() {
                        prop_assert!(migration.value(&mut Input::new(&old[..end]), &mut Vec::new()).is_err());
                    }
                }
                Compatibility::Incompatible(why) => prop_assert!(false, "{why}"),
            }
        }
    }

    #[test]
    fn one_change_too_many_is_found(seed: u64) {
        let mut random = Random(seed);
        let mut model = Model { to_break: true, ..Model::default() };
        let (from, to, _) = model.change(&mut random, 4, false);
        let stored = Schema { root: from, definitions: model.stored };
        let declared = Schema { root: to, definitions: model.declared };
        match declared.read_from(&stored) {
            Compatibility::Incompatible(why) => {
                prop_assert!(model.broken);
                prop_assert_eq!(why.0.len(), 1, "{}", why);
            }
            _ => prop_assert!(!model.broken, "{} to {}", stored.describe(), declared.describe()),
        }
    }

    #[test]
    fn random_schemas_and_bytes_never_panic(seed: u64, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8)) {
        let mut random = Random(seed);
        let mut model = Model::default();
        let (from, to, change) = model.change(&mut random, 4, false);
        let stored = Schema { root: from, definitions: model.stored };
        let declared = Schema { root: to, definitions: model.declared };
        let mut snapshot = SerializerSnapshot { schema: stored }.encode();
        let (mut old, _) = change.value(&mut random);
        for (place, byte) in edits {
            let place = place.index(snapshot.len() + old.len());
            match place.checked_sub(snapshot.len()) {
                Some(place) => old[place] = byte,
                None => snapshot[place] = byte,
            }
        }
        if let Ok(stored) = SerializerSnapshot::decode(&snapshot)
            && let Compatibility::AfterMigration(migration) = declared.read_from(&stored.schema)
        {
            let _ = migration.value(&mut Input::new(&old), &mut Vec::new());
        }
    }
}
