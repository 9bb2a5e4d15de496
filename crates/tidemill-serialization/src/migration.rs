//! [`Migration`]: turns bytes that were written with one schema into bytes of another, without the types of the program
//! that wrote them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

#[cfg(doc)]
use crate::data::Data;
use crate::input::{DecodeError, Input};
use crate::opaque::MigrateValue;
use crate::run::Run;
use crate::schema::{Schema, shortened};
use crate::skip::{Skip, SkipBody, SkipFields};

/// How many fields the way to a wrong value has in messages: the innermost ones, and the outermost.
const MAX_PATH: usize = 32;

/// How values of one schema become values of another. Made by [`Schema::read_from`].
///
/// ```
/// use tidemill_serialization::{Compatibility, Data, Input, Schema};
///
/// let read = Schema::of::<Option<u64>>().read_from(&Schema::of::<u32>());
/// let Compatibility::AfterMigration(migration) = read else { panic!() };
/// let mut out = Vec::new();
/// migration.value(&mut Input::new(&7u32.to_le_bytes()), &mut out)?;
/// assert_eq!(Option::<u64>::decode(&mut Input::new(&out))?, Some(7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Migration {
    /// The stored schema, for messages.
    described: String,
    /// How to go over the definitions of the stored schema.
    definitions: Vec<SkipBody>,
    root: Step,
    pairs: Vec<Pair>,
    /// For each pair the position of the definition in the new schema.
    targets: Vec<u32>,
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Migration from {}", self.described)
    }
}

/// What becomes of one value.
pub(crate) enum Step {
    /// The same bytes.
    Copy(Skip),
    /// An integer gets more bytes.
    Integer {
        signed: bool,
        from: usize,
        to: usize,
    },
    /// An `f32` becomes an `f64`.
    Float,
    /// What was always there becomes optional.
    Some(Box<Step>),
    Option(Box<Step>),
    Tuple(Vec<Step>),
    Array(Box<Step>, u32),
    /// A list or set; the entries of a map are tuples.
    Sequence(Box<Step>),
    /// A struct or enum: what the pair at this position says.
    Pair(usize),
    Opaque(Arc<MigrateValue>),
}

/// A stored struct or enum and what it becomes.
pub(crate) enum Pair {
    Struct(Fields),
    /// For each stored variant its position in the new enum, and its fields.
    Enum(Vec<(u16, Fields)>),
}

impl Default for Pair {
    fn default() -> Self {
        Self::Enum(Vec::new())
    }
}

/// The fields of a struct or variant.
pub(crate) struct Fields {
    /// What is done with those that were written, in their order. Where the new ones are in the same order, their defaults
    /// stand between them.
    pub(crate) ops: Vec<Op>,
    /// Where that is not so: what the new ones are made of, in their order.
    pub(crate) order: Option<Vec<Part>>,
    /// How to go over all of them.
    pub(crate) whole: SkipFields,
    /// Whether each new field is the old one at its position.
    in_place: bool,
    /// Whether the bytes stay the same.
    pub(crate) unchanged: bool,
}

/// What is done with the next stored field.
pub(crate) enum Op {
    Skip(String, Skip),
    Take(String, Step),
    /// With none: these bytes are added.
    Default(Vec<u8>),
}

/// A new field.
pub(crate) enum Part {
    Default(Vec<u8>),
    /// The field that was taken as number so and so.
    Taken(usize),
}

/// Where a field comes from.
pub(crate) enum FieldPlan {
    /// A stored field.
    From(usize, Step),
    /// These bytes.
    Default(Vec<u8>),
}

/// A stored value that could not be migrated.
///
/// ```
/// use tidemill_serialization::{Compatibility, Input, Schema};
///
/// let read = Schema::of::<u64>().read_from(&Schema::of::<u32>());
/// let Compatibility::AfterMigration(migration) = read else { panic!() };
/// assert!(migration.value(&mut Input::new(&[7]), &mut Vec::new()).is_err(), "three bytes are missing");
/// ```
// A pointer, because results are passed around for every part of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct MigrationError(Box<Wrong>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {source}", path.iter().rev().map(String::as_str).collect::<Vec<_>>().join("."))]
struct Wrong {
    /// The field, innermost first.
    path: Vec<String>,
    /// What is wrong with the bytes.
    source: DecodeError,
}

impl From<DecodeError> for MigrationError {
    fn from(source: DecodeError) -> Self {
        Self(Box::new(Wrong { path: Vec::new(), source }))
    }
}

impl MigrationError {
    #[cold]
    pub(crate) fn in_field(mut self, name: &str) -> Self {
        if self.0.path.len() == MAX_PATH {
            self.0.path.truncate(MAX_PATH - 2);
            self.0.path.push("…".to_owned());
        }
        self.0.path.push(shortened(name));
        self
    }

    /// The error of the bytes; a path is put into its text.
    ///
    /// ```
    /// use tidemill_serialization::{DecodeError, MigrationError};
    ///
    /// let cause = DecodeError::invalid("Color", "7 is no color");
    /// assert_eq!(MigrationError::from(cause.clone()).into_decode_error(), cause);
    /// ```
    pub fn into_decode_error(self) -> DecodeError {
        if self.0.path.is_empty() {
            return self.0.source;
        }
        DecodeError::invalid("stored value", self.to_string())
    }
}

impl Migration {
    /// `None` when all bytes stay the same. `fixed` has what values of the definitions of `stored` take, where all take the
    /// same.
    pub(crate) fn new(
        stored: &Schema,
        fixed: &[Option<usize>],
        root: Step,
        mut pairs: Vec<Pair>,
        targets: Vec<u32>,
    ) -> Option<Self> {
        let unchanged = unchanged_pairs(&pairs);
        if root.is_copy(&unchanged) {
            return None;
        }
        for fields in pairs.iter_mut().flat_map(Pair::fields_mut) {
            fields.unchanged = fields.is_copy(&unchanged);
        }
        Some(Self { root, pairs, targets, ..Self::over(stored, fixed) })
    }

    /// Goes over values without changing them: for what stands beside values that are changed.
    ///
    /// ```
    /// use tidemill_serialization::{Input, Migration, Schema};
    ///
    /// let mut out = Vec::new();
    /// Migration::unchanged(&Schema::of::<u16>()).value(&mut Input::new(&[2, 1, 9]), &mut out)?;
    /// assert_eq!(out, [2, 1], "the value, and nothing behind it");
    /// # Ok::<(), tidemill_serialization::MigrationError>(())
    /// ```
    pub fn unchanged(schema: &Schema) -> Self {
        Self::over(schema, &schema.fixed_bytes())
    }

    fn over(schema: &Schema, fixed: &[Option<usize>]) -> Self {
        Self {
            described: schema.describe(),
            definitions: schema.definitions.iter().map(|one| SkipBody::of(one, fixed)).collect(),
            root: Step::Copy(Skip::of(&schema.root, fixed)),
            pairs: Vec::new(),
            targets: Vec::new(),
        }
    }

    fn run(&self) -> Run<'_> {
        Run::new(&self.pairs, &self.targets, &self.definitions)
    }

    /// Reads one value of the old schema and appends it as one of the new.
    ///
    /// ```
    /// use tidemill_serialization::{Compatibility, Input, Schema};
    ///
    /// let read = Schema::of::<u32>().read_from(&Schema::of::<u16>());
    /// let Compatibility::AfterMigration(migration) = read else { panic!() };
    /// let mut out = Vec::new();
    /// migration.value(&mut Input::new(&[2, 1]), &mut out)?;
    /// assert_eq!(out, [2, 1, 0, 0]);
    /// # Ok::<(), tidemill_serialization::MigrationError>(())
    /// ```
    ///
    /// # Errors
    /// When the bytes are no value of the old schema. Never panics, never allocates more than the input and the defaults
    /// justify.
    pub fn value(&self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), MigrationError> {
        self.run().value(&self.root, input, out)
    }

    /// The elements of a sequence, without their count, as [`Data::encode_slice`] writes them.
    ///
    /// ```
    /// use tidemill_serialization::{Compatibility, Input, Schema};
    ///
    /// let read = Schema::of::<u16>().read_from(&Schema::of::<u8>());
    /// let Compatibility::AfterMigration(migration) = read else { panic!() };
    /// let mut out = Vec::new();
    /// migration.sequence(2, &mut Input::new(&[7, 8]), &mut out)?;
    /// assert_eq!(out, [7, 0, 8, 0]);
    /// # Ok::<(), tidemill_serialization::MigrationError>(())
    /// ```
    ///
    /// # Errors
    /// As [`value`](Self::value).
    pub fn sequence(
        &self,
        count: usize,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MigrationError> {
        self.run().sequence(&self.root, count, input, out)
    }
}

/// Which pairs keep all their bytes: those that change nothing, when those within them change nothing either.
fn unchanged_pairs(pairs: &[Pair]) -> Vec<bool> {
    let mut users = vec![Vec::new(); pairs.len()];
    for (i, pair) in pairs.iter().enumerate() {
        pair.visit(&mut |within| users[within].push(i));
    }
    let mut unchanged = vec![true; pairs.len()];
    let mut changed: Vec<usize> = (0..pairs.len()).filter(|i| !pairs[*i].is_copy(&unchanged)).collect();
    while let Some(i) = changed.pop() {
        unchanged[i] = false;
        // Each is looked at once.
        changed.append(&mut users[i]);
    }
    unchanged
}

impl Pair {
    fn is_copy(&self, unchanged: &[bool]) -> bool {
        match self {
            Pair::Struct(fields) => fields.is_copy(unchanged),
            Pair::Enum(variants) => variants
                .iter()
                .enumerate()
                .all(|(i, (position, fields))| usize::from(*position) == i && fields.is_copy(unchanged)),
        }
    }

    fn fields(&self) -> impl Iterator<Item = &Fields> {
        let (one, many) = match self {
            Pair::Struct(fields) => (Some(fields), &[][..]),
            Pair::Enum(variants) => (None, &variants[..]),
        };
        one.into_iter().chain(many.iter().map(|(_, fields)| fields))
    }

    fn fields_mut(&mut self) -> impl Iterator<Item = &mut Fields> {
        let (one, many) = match self {
            Pair::Struct(fields) => (Some(fields), &mut [][..]),
            Pair::Enum(variants) => (None, &mut variants[..]),
        };
        one.into_iter().chain(many.iter_mut().map(|(_, fields)| fields))
    }

    /// Shows all pairs directly within it.
    fn visit(&self, visit: &mut dyn FnMut(usize)) {
        let ops = self.fields().flat_map(|fields| &fields.ops);
        ops.for_each(|op| match op {
            Op::Take(_, step) => step.visit(visit),
            Op::Skip(..) | Op::Default(_) => {}
        });
    }
}

impl Fields {
    /// Of the stored fields, with their names, those that are declared.
    pub(crate) fn new(stored: Vec<(String, Skip)>, declared: Vec<(String, FieldPlan)>) -> Self {
        let in_place = stored.len() == declared.len()
            && declared
                .iter()
                .enumerate()
                .all(|(i, (_, plan))| matches!(plan, FieldPlan::From(from, _) if *from == i));
        let whole: SkipFields = stored.iter().filter(|(_, skip)| skip.takes_bytes()).cloned().collect();
        let sources = declared.iter().filter_map(|(_, plan)| match plan {
            FieldPlan::From(i, _) => Some(*i),
            FieldPlan::Default(_) => None,
        });
        let in_order = sources.clone().is_sorted();
        let mut taken: Vec<usize> = sources.collect();
        taken.sort_unstable();
        let mut steps = HashMap::new();
        let mut order = Vec::with_capacity(declared.len());
        let mut ops = Vec::new();
        let mut stored = stored.into_iter().enumerate().peekable();
        // Stored fields before this one, that nobody wants.
        let mut pass = |ops: &mut Vec<Op>, end: usize| {
            while let Some((_, (name, skip))) = stored.next_if(|(i, _)| *i < end) {
                if skip.takes_bytes() {
                    ops.push(Op::Skip(name, skip));
                }
            }
            // The one that is taken.
            stored.next_if(|(i, _)| *i == end);
        };
        for (name, plan) in declared {
            match plan {
                FieldPlan::Default(bytes) if in_order => ops.push(Op::Default(bytes)),
                FieldPlan::Default(bytes) => order.push(Part::Default(bytes)),
                FieldPlan::From(i, step) if in_order => {
                    pass(&mut ops, i);
                    ops.push(Op::Take(name, step));
                }
                FieldPlan::From(i, step) => {
                    order.push(Part::Taken(taken.partition_point(|source| *source < i)));
                    steps.insert(i, (name, step));
                }
            }
        }
        for i in taken {
            if let Some((name, step)) = steps.remove(&i) {
                pass(&mut ops, i);
                ops.push(Op::Take(name, step));
            }
        }
        pass(&mut ops, usize::MAX);
        Self { ops, order: (!in_order).then_some(order), whole, in_place, unchanged: false }
    }

    fn is_copy(&self, unchanged: &[bool]) -> bool {
        self.in_place
            && self.ops.iter().all(|op| match op {
                Op::Take(_, step) => step.is_copy(unchanged),
                Op::Skip(..) | Op::Default(_) => false,
            })
    }
}

impl Step {
    fn is_copy(&self, unchanged: &[bool]) -> bool {
        match self {
            Step::Copy(_) => true,
            Step::Integer { .. } | Step::Float | Step::Some(_) | Step::Opaque(_) => false,
            Step::Option(value) | Step::Array(value, _) | Step::Sequence(value) => value.is_copy(unchanged),
            Step::Tuple(parts) => parts.iter().all(|part| part.is_copy(unchanged)),
            Step::Pair(position) => unchanged[*position],
        }
    }

    /// Shows all pairs directly within it.
    fn visit(&self, visit: &mut dyn FnMut(usize)) {
        match self {
            Step::Copy(_) | Step::Integer { .. } | Step::Float | Step::Opaque(_) => {}
            Step::Some(value) | Step::Option(value) | Step::Array(value, _) | Step::Sequence(value) => {
                value.visit(visit);
            }
            Step::Tuple(parts) => parts.iter().for_each(|part| part.visit(visit)),
            Step::Pair(position) => visit(*position),
        }
    }
}
