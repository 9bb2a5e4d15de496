//! Turns what a snapshot holds into what the program's types are written as, before it goes into tables.
//!
//! Works on the bytes alone, so it is the same for every backend. What a state's entries look like is decided where its table
//! writes them; this file follows them: [`put_entry`](crate::codec::put_entry), then by kind.

use tidemill_serialization::{Compatibility, Input, Migration, MigrationError, Schema, SerializerSnapshot};

use crate::codec::{get_bytes, put_bytes};
use crate::error::StateError;
use crate::snapshot::{StateKind, StateSchema};

/// What the type of each part of a state is called in messages.
fn part(kind: StateKind, position: usize) -> &'static str {
    match (kind, position) {
        (_, 0) => "the key",
        (_, 1) => "the namespace",
        (StateKind::List, _) => "the element",
        (StateKind::Map, 2) => "the map key",
        (StateKind::Map, _) => "the map value",
        (StateKind::Aggregating, _) => "the accumulator",
        _ => "the value",
    }
}

/// The migration of one part; `None` when it is read as it is.
fn resolve(
    name: &str,
    part: &'static str,
    keys: bool,
    stored: &Schema,
    declared: &Schema,
) -> Result<Option<Migration>, StateError> {
    match if keys { declared.read_keys_from(stored) } else { declared.read_from(stored) } {
        Compatibility::AsIs => Ok(None),
        Compatibility::AfterMigration(migration) => Ok(Some(migration)),
        Compatibility::Incompatible(source) => {
            Err(StateError::Incompatible { name: name.to_owned(), part, source })
        }
    }
}

/// How the entries of one keyed state, or timers, are made those of the program.
pub(crate) struct StateMigration {
    kind: StateKind,
    key: Migration,
    namespace: Migration,
    held: Vec<Migration>,
}

impl StateMigration {
    /// Compares a stored state to the declared one; `None` when its bytes are read as they are.
    pub(crate) fn of(
        name: &str,
        stored: &StateSchema,
        declared: &StateSchema,
    ) -> Result<Option<Self>, StateError> {
        if stored.kind != declared.kind || stored.types.len() != declared.types.len() {
            return Err(StateError::RestoredDifferently {
                name: name.to_owned(),
                stored: stored.to_string(),
                declared: declared.to_string(),
            });
        }
        let kind = declared.kind;
        let mut changed = false;
        let mut migrations = Vec::with_capacity(declared.types.len());
        for (i, (from, to)) in stored.types.iter().zip(&declared.types).enumerate() {
            // Namespaces and the keys of maps must stay different from each other, as keys must.
            let keys = i < 2 || (kind == StateKind::Map && i == 2);
            let migration = match resolve(name, part(kind, i), keys, &from.schema, &to.schema) {
                Ok(None) => Migration::unchanged(&from.schema),
                Ok(Some(migration)) if i > 0 => {
                    changed = true;
                    migration
                }
                Ok(Some(_)) => {
                    return Err(StateError::KeyChanged {
                        name: name.to_owned(),
                        stored: from.schema.describe(),
                        declared: to.schema.describe(),
                    });
                }
                Err(error) => return Err(error),
            };
            migrations.push(migration);
        }
        let mut migrations = migrations.into_iter();
        let (Some(key), Some(namespace)) = (migrations.next(), migrations.next()) else { return Ok(None) };
        Ok(changed.then(|| Self { kind, key, namespace, held: migrations.collect() }))
    }

    /// One that changes nothing, and so finds out where entries end.
    pub(crate) fn unchanged(schema: &StateSchema) -> Option<Self> {
        let mut types = schema.types.iter().map(|serializer| Migration::unchanged(&serializer.schema));
        let (key, namespace) = (types.next()?, types.next()?);
        Some(Self { kind: schema.kind, key, namespace, held: types.collect() })
    }

    /// How many bytes the entries take that are there as a whole.
    pub(crate) fn whole(&self, bytes: &[u8], stamped: bool) -> usize {
        let mut input = Input::new(bytes);
        let mut passed = Vec::new();
        let mut whole = 0;
        while input.remaining() > 0 && self.entry(&mut input, stamped, &mut passed).is_ok() {
            whole = bytes.len() - input.remaining();
            passed.clear();
        }
        whole
    }

    /// The entries of one key group.
    pub(crate) fn group(&self, name: &str, bytes: &[u8], stamped: bool) -> Result<Vec<u8>, StateError> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut input = Input::new(bytes);
        while input.remaining() > 0 {
            self.entry(&mut input, stamped, &mut out)
                .map_err(|source| StateError::Migrate { name: name.to_owned(), source })?;
        }
        Ok(out)
    }

    fn entry(&self, input: &mut Input<'_>, stamped: bool, out: &mut Vec<u8>) -> Result<(), MigrationError> {
        out.extend_from_slice(input.take(1, "start of an entry")?);
        self.key.value(input, out)?;
        self.namespace.value(input, out)?;
        match (self.kind, &self.held[..]) {
            (StateKind::List, [element]) => within(input, out, |input, out| {
                out.extend_from_slice(input.take(1, "start of an element")?);
                stamp(input, stamped, out)?;
                element.value(input, out)
            }),
            (StateKind::Map, [key, value]) => within(input, out, |input, out| {
                out.extend_from_slice(input.take(1, "start of a map's entry")?);
                key.value(input, out)?;
                stamp(input, stamped, out)?;
                value.value(input, out)
            }),
            (StateKind::Timers, _) => {
                out.extend_from_slice(input.take(1 + 8, "timer")?);
                // The place among those of the same time: a number of seven bits a byte.
                loop {
                    let [byte] = input.array("place of a timer")?;
                    out.push(byte);
                    if byte < 0x80 {
                        return Ok(());
                    }
                }
            }
            (_, held) => {
                stamp(input, stamped, out)?;
                held.iter().try_for_each(|value| value.value(input, out))
            }
        }
    }
}

fn stamp(input: &mut Input<'_>, stamped: bool, out: &mut Vec<u8>) -> Result<(), MigrationError> {
    out.extend_from_slice(input.take(if stamped { 8 } else { 0 }, "timestamp of an entry")?);
    Ok(())
}

/// Does all that is in a run of bytes with its length in front.
fn within(
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
    mut each: impl FnMut(&mut Input<'_>, &mut Vec<u8>) -> Result<(), MigrationError>,
) -> Result<(), MigrationError> {
    let bytes = get_bytes(input, "entries")?;
    let mut migrated = Vec::with_capacity(bytes.len());
    let mut own = Input::new(bytes);
    while own.remaining() > 0 {
        each(&mut own, &mut migrated)?;
    }
    put_bytes(out, &migrated);
    Ok(())
}

/// How the items of one operator state are made those of the program.
pub(crate) struct ItemMigration(Vec<Migration>);

impl ItemMigration {
    /// Compares the stored types to the declared ones; `None` when items are read as they are.
    pub(crate) fn of(
        name: &str,
        stored: &[SerializerSnapshot],
        declared: &[SerializerSnapshot],
    ) -> Result<Option<Self>, StateError> {
        let mut changed = false;
        let mut parts = Vec::with_capacity(declared.len());
        for (i, (from, to)) in stored.iter().zip(declared).enumerate() {
            let (part, keys) = match (declared.len(), i) {
                (1, _) => ("the element", false),
                (_, 0) => ("the map key", true),
                _ => ("the map value", false),
            };
            let migration = resolve(name, part, keys, &from.schema, &to.schema)?;
            changed |= migration.is_some();
            parts.push(migration.unwrap_or_else(|| Migration::unchanged(&from.schema)));
        }
        Ok(changed.then_some(Self(parts)))
    }

    /// One item.
    pub(crate) fn item(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, StateError> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut input = Input::new(bytes);
        let migrated = self
            .0
            .iter()
            .try_for_each(|part| part.value(&mut input, &mut out))
            .and_then(|()| Ok(input.finish("item of an operator state")?));
        migrated.map_err(|source| StateError::Migrate { name: name.to_owned(), source })?;
        Ok(out)
    }
}
