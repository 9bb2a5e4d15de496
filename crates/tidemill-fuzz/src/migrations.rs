//! Migration with schemas that nobody's program has: those of the first release with parts replaced by whatever the bytes
//! decide, and values of any bytes. Mutated bytes of a schema are hardly ever one; here all are.

use tidemill_serialization::schema::{Body, Definition, Field, Type};
use tidemill_serialization::{Compatibility, Data, Input, Schema, SerializerSnapshot};

use crate::choices::Choices;
use crate::evolved::{ForEach, for_pair};
use crate::shapes::encoded;
use crate::snapshots::COMPARING;
use crate::{choice, meter};

/// Counts that are not tried by chance.
const COUNTS: [u32; 6] = [0, 1, 2, 3, 1000, u32::MAX];

fn any_type(choices: &mut Choices<'_>, definitions: u32, depth: u32) -> Type {
    let within = |choices: &mut Choices<'_>| Box::new(any_type(choices, definitions, depth + 1));
    match if depth < 8 { choices.below(19) } else { choices.below(12) } {
        0 => Type::Unit,
        1 => Type::Bool,
        2 => Type::Int(8 << choices.below(5)),
        3 => Type::UInt(8 << choices.below(5)),
        4 => Type::Float(32 << choices.below(2)),
        5 => Type::Char,
        6 => Type::Text,
        7 => Type::Duration,
        8 => Type::Date,
        9 => Type::Time(choices.byte()),
        10 => Type::Decimal { precision: choices.byte(), scale: choices.byte() },
        11 | 12 => Type::Named(choices.byte() as u32 % definitions.max(1)),
        13 => Type::Option(within(choices)),
        14 => Type::Tuple((0..choices.below(5)).map(|_| *within(choices)).collect()),
        15 => Type::Array(within(choices), COUNTS[choices.below(COUNTS.len())]),
        16 => Type::List(within(choices)),
        17 => Type::Set(within(choices)),
        _ => Type::Map(within(choices), within(choices)),
    }
}

fn change_fields(fields: &mut Vec<Field>, choices: &mut Choices<'_>, definitions: u32) {
    for field in &mut *fields {
        if choices.rarely() {
            field.ty = any_type(choices, definitions, 0);
        }
    }
    if choices.rarely() {
        let ty = any_type(choices, definitions, 0);
        let at = choices.below(fields.len() + 1);
        fields.insert(
            at,
            Field {
                name: format!("added{at}"),
                aliases: vec![].into(),
                ty,
                default: None.into(),
                column: Default::default(),
            },
        );
    }
    if !fields.is_empty() && choices.rarely() {
        let by = choices.below(fields.len());
        fields.rotate_left(by);
    }
}

/// Changes a schema as the bytes decide.
fn change(schema: &mut Schema, choices: &mut Choices<'_>) {
    let added = choices.below(4) as u32;
    let definitions = schema.definitions.len() as u32 + added;
    for definition in &mut schema.definitions {
        match &mut definition.body {
            Body::Struct(fields) => change_fields(fields, choices, definitions),
            Body::Enum(variants) => {
                variants
                    .iter_mut()
                    .for_each(|variant| change_fields(&mut variant.fields, choices, definitions));
                if !variants.is_empty() && choices.rarely() {
                    let by = choices.below(variants.len());
                    variants.rotate_left(by);
                }
            }
        }
    }
    for position in 0..added {
        let mut fields = Vec::new();
        for i in 0..choices.below(4) {
            let ty = any_type(choices, definitions, 0);
            fields.push(Field {
                name: format!("f{i}"),
                aliases: vec![].into(),
                ty,
                default: None.into(),
                column: Default::default(),
            });
        }
        // Also another one with a name that the program knows.
        let name = match schema.definitions.get(choices.below(8)) {
            Some(definition) => definition.name.clone(),
            None => format!("Added{position}"),
        };
        schema.definitions.push(Definition { name, aliases: vec![].into(), body: Body::Struct(fields) });
    }
    if choices.rarely() {
        schema.root = any_type(choices, definitions, 0);
    }
}

struct Migrate<'a>(&'a [u8]);

impl ForEach for Migrate<'_> {
    type Result = ();

    fn run<Old: Data, New: Data>(self) {
        let mut choices = Choices::new(self.0);
        let mut stored = SerializerSnapshot::of::<Old>();
        change(&mut stored.schema, &mut choices);
        let bytes = stored.encode();
        let Ok(stored) = SerializerSnapshot::decode(&bytes) else { return };
        let values = choices.rest();
        let compare = || SerializerSnapshot::of::<New>().read_from(&stored);
        let Compatibility::AfterMigration(migration) = meter::within(COMPARING, bytes.len(), compare) else {
            return;
        };
        let mut input = Input::new(values);
        let mut out = Vec::new();
        // A value takes at least a byte; defaults and what is wider stand for it.
        let one = meter::within(512, values.len(), || migration.value(&mut input, &mut out));
        if one.is_ok()
            && let Ok(value) = New::decode(&mut Input::new(&out))
        {
            let once = encoded(&value);
            let value = New::decode(&mut Input::new(&once)).expect("what was written can be read");
            assert_eq!(encoded(&value), once);
        }
        // A sequence of one is the value.
        let mut sequence = Vec::new();
        let of_one = migration.sequence(1, &mut Input::new(values), &mut sequence);
        if input.remaining() < values.len() {
            assert_eq!(one.is_ok(), of_one.is_ok());
            assert!(one.is_err() || out == sequence);
        }
        let mut many = Vec::new();
        let _ = meter::within(512, values.len(), || {
            migration.sequence(values.len().min(1000), &mut Input::new(values), &mut many)
        });
    }
}

/// Reads values of any bytes by schemas that nobody has.
pub fn migrations(bytes: &[u8]) {
    let (which, bytes) = choice(bytes);
    for_pair(which, Migrate(bytes));
}
