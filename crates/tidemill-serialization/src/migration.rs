//! [`Migration`]: turns bytes that were written with one schema into bytes of another, without the types of the program
//! that wrote them.

use std::fmt;
use std::sync::Arc;

use crate::data::Data;
use crate::input::{DecodeError, Input};
use crate::opaque::MigrateValue;
use crate::scalars::encode_length;
use crate::schema::{Body, Field, Schema, Type};

/// How deep values may be nested. Reading refuses those deeper than [`MAX_DEPTH`](crate::MAX_DEPTH) boxes and
/// sequences; this counts every level of a type, of which there are several to a box.
const MAX_LEVELS: u32 = 2048;

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
    stored: Schema,
    /// What all values of the definitions of `stored` take, where they take the same.
    fixed: Vec<Option<usize>>,
    root: Step,
    pairs: Vec<Pair>,
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Migration from {}", self.stored.describe())
    }
}

/// What becomes of one value.
pub(crate) enum Step {
    /// The same bytes.
    Copy(Type),
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
    /// A list or set.
    Sequence(Box<Step>),
    Map(Box<Step>, Box<Step>),
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
    /// The types of those that were written, in order.
    stored: Vec<Type>,
    /// Names and sources of those that are to be written, in order.
    declared: Vec<(String, FieldPlan)>,
    /// Whether those that stay are still in the same order.
    in_order: bool,
    /// Whether the bytes stay the same.
    unchanged: bool,
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {source}", path.iter().rev().map(String::as_str).collect::<Vec<_>>().join("."))]
pub struct MigrationError {
    /// The field, innermost first.
    path: Vec<String>,
    /// What is wrong with the bytes.
    source: DecodeError,
}

impl From<DecodeError> for MigrationError {
    fn from(source: DecodeError) -> Self {
        Self { path: Vec::new(), source }
    }
}

impl MigrationError {
    #[cold]
    fn in_field(mut self, name: &str) -> Self {
        self.path.push(name.to_owned());
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
        if self.path.is_empty() {
            return self.source;
        }
        DecodeError::invalid("stored value", self.to_string())
    }
}

impl Migration {
    /// `None` when all bytes stay the same.
    pub(crate) fn new(stored: Schema, root: Step, pairs: Vec<Pair>) -> Option<Self> {
        let unchanged = unchanged_pairs(&pairs);
        if root.is_copy(&unchanged) {
            return None;
        }
        let mut pairs = pairs;
        for pair in &mut pairs {
            match pair {
                Pair::Struct(fields) => fields.unchanged = fields.is_copy(&unchanged),
                Pair::Enum(variants) => {
                    variants.iter_mut().for_each(|(_, fields)| fields.unchanged = fields.is_copy(&unchanged))
                }
            }
        }
        Some(Self { fixed: stored.fixed_bytes(), stored, root, pairs })
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
        let root = Step::Copy(schema.root.clone());
        Self { fixed: schema.fixed_bytes(), stored: schema.clone(), root, pairs: Vec::new() }
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
        Run { migration: self, levels: 0 }.step(&self.root, input, out)
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
        Run { migration: self, levels: 0 }.elements(&self.root, count, input, out)
    }
}

/// Which pairs keep all their bytes: those that change nothing, when those within them change nothing either.
fn unchanged_pairs(pairs: &[Pair]) -> Vec<bool> {
    let mut unchanged = vec![true; pairs.len()];
    loop {
        let next: Vec<bool> = pairs.iter().map(|pair| pair.is_copy(&unchanged)).collect();
        if next == unchanged {
            return unchanged;
        }
        unchanged = next;
    }
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
}

impl Fields {
    pub(crate) fn new(stored: Vec<Type>, declared: Vec<(String, FieldPlan)>) -> Self {
        let sources = declared.iter().filter_map(|(_, plan)| match plan {
            FieldPlan::From(i, _) => Some(*i),
            FieldPlan::Default(_) => None,
        });
        let in_order = sources.is_sorted();
        Self { stored, declared, in_order, unchanged: false }
    }

    fn is_copy(&self, unchanged: &[bool]) -> bool {
        self.stored.len() == self.declared.len()
            && self.declared.iter().enumerate().all(|(i, (_, plan))| match plan {
                FieldPlan::From(from, step) => *from == i && step.is_copy(unchanged),
                FieldPlan::Default(_) => false,
            })
    }
}

impl Step {
    fn is_copy(&self, unchanged: &[bool]) -> bool {
        match self {
            Step::Copy(_) => true,
            Step::Integer { .. } | Step::Float | Step::Some(_) | Step::Opaque(_) => false,
            Step::Option(value) | Step::Array(value, _) | Step::Sequence(value) => value.is_copy(unchanged),
            Step::Map(key, value) => key.is_copy(unchanged) && value.is_copy(unchanged),
            Step::Tuple(parts) => parts.iter().all(|part| part.is_copy(unchanged)),
            Step::Pair(position) => unchanged[*position],
        }
    }
}

/// One value on its way.
struct Run<'a> {
    migration: &'a Migration,
    levels: u32,
}

impl Run<'_> {
    fn deeper<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, MigrationError>,
    ) -> Result<T, MigrationError> {
        if self.levels == MAX_LEVELS {
            return Err(DecodeError::TooDeep { what: "stored value" }.into());
        }
        self.levels += 1;
        let result = run(self);
        self.levels -= 1;
        result
    }

    fn step(&mut self, step: &Step, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), MigrationError> {
        self.deeper(|run| run.step_within(step, input, out))
    }

    fn step_within(
        &mut self,
        step: &Step,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MigrationError> {
        match step {
            Step::Copy(ty) => self.copy(input, out, |run, input| run.skip(ty, input)),
            Step::Integer { signed, from, to } => {
                let bytes = input.take(*from, "integer")?;
                out.extend_from_slice(bytes);
                let negative = *signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
                out.resize(out.len() + to - from, if negative { 0xff } else { 0 });
                Ok(())
            }
            Step::Float => {
                f64::from(f32::decode(input)?).encode(out);
                Ok(())
            }
            Step::Some(value) => {
                out.push(1);
                self.step(value, input, out)
            }
            Step::Option(value) => {
                if option(input)? {
                    out.push(1);
                    return self.step(value, input, out);
                }
                out.push(0);
                Ok(())
            }
            Step::Tuple(parts) => parts.iter().try_for_each(|part| self.step(part, input, out)),
            Step::Array(value, length) => (0..*length).try_for_each(|_| self.step(value, input, out)),
            Step::Sequence(value) => {
                let count = input.length(1, "sequence")?;
                encode_length(count, out);
                self.elements(value, count, input, out)
            }
            Step::Map(key, value) => {
                let count = input.length(1, "map")?;
                encode_length(count, out);
                (0..count).try_for_each(|_| {
                    element(input, out, |input, out| {
                        self.step(key, input, out)?;
                        self.step(value, input, out)
                    })
                })
            }
            Step::Pair(position) => self.pair(*position, input, out),
            Step::Opaque(migrate) => {
                let length = input.length(1, "opaque value")?;
                let bytes = input.take(length, "opaque value")?;
                let start = out.len();
                0u32.encode(out);
                migrate(bytes, out)?;
                let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
                out[start..start + 4].copy_from_slice(&length.to_le_bytes());
                Ok(())
            }
        }
    }

    fn elements(
        &mut self,
        step: &Step,
        count: usize,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MigrationError> {
        (0..count).try_for_each(|_| element(input, out, |input, out| self.step(step, input, out)))
    }

    fn pair(
        &mut self,
        position: usize,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MigrationError> {
        let migration = self.migration;
        match &migration.pairs[position] {
            Pair::Struct(fields) => self.fields(fields, input, out),
            Pair::Enum(variants) => {
                let tag = u16::decode(input)?;
                let Some((position, fields)) = variants.get(usize::from(tag)) else {
                    return Err(no_variant(tag, variants.len()).into());
                };
                position.encode(out);
                self.fields(fields, input, out)
            }
        }
    }

    fn fields(
        &mut self,
        fields: &Fields,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MigrationError> {
        if fields.unchanged {
            return self
                .copy(input, out, |run, input| fields.stored.iter().try_for_each(|ty| run.skip(ty, input)));
        }
        if fields.in_order {
            return self.fields_in_order(fields, input, out);
        }
        let mut starts: Vec<Input<'_>> = Vec::with_capacity(fields.stored.len());
        for ty in &fields.stored {
            starts.push(input.clone());
            self.skip(ty, input)?;
        }
        for (name, plan) in &fields.declared {
            match plan {
                FieldPlan::Default(bytes) => out.extend_from_slice(bytes),
                FieldPlan::From(i, step) => {
                    self.step(step, &mut starts[*i].clone(), out).map_err(|error| error.in_field(name))?;
                }
            }
        }
        Ok(())
    }

    /// Goes over the fields once: what is nested deeply is then not gone over again at every level.
    fn fields_in_order(
        &mut self,
        fields: &Fields,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MigrationError> {
        let mut next = 0;
        for (name, plan) in &fields.declared {
            match plan {
                FieldPlan::Default(bytes) => out.extend_from_slice(bytes),
                FieldPlan::From(i, step) => {
                    fields.stored[next..*i].iter().try_for_each(|ty| self.skip(ty, input))?;
                    self.step(step, input, out).map_err(|error| error.in_field(name))?;
                    next = i + 1;
                }
            }
        }
        fields.stored[next..].iter().try_for_each(|ty| self.skip(ty, input))
    }

    /// Appends the bytes that `skip` goes over.
    fn copy(
        &mut self,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
        skip: impl FnOnce(&mut Self, &mut Input<'_>) -> Result<(), MigrationError>,
    ) -> Result<(), MigrationError> {
        let start = input.clone();
        skip(self, input)?;
        let length = start.remaining() - input.remaining();
        out.extend_from_slice(start.clone().take(length, "stored value")?);
        Ok(())
    }

    /// Goes over a value of the old schema.
    fn skip(&mut self, ty: &Type, input: &mut Input<'_>) -> Result<(), MigrationError> {
        // Also what takes no bytes, of which a damaged schema may have any number.
        if let Some(bytes) = ty.fixed_bytes(&self.migration.fixed) {
            input.take(bytes, "stored value")?;
            return Ok(());
        }
        self.deeper(|run| run.skip_within(ty, input))
    }

    fn skip_within(&mut self, ty: &Type, input: &mut Input<'_>) -> Result<(), MigrationError> {
        match ty {
            Type::Text | Type::Opaque(_) => {
                let length = input.length(1, "stored value")?;
                input.take(length, "stored value")?;
            }
            Type::Option(value) => {
                let is_there = option(input)?;
                if is_there {
                    self.skip(value, input)?
                }
            }
            Type::Tuple(parts) => parts.iter().try_for_each(|part| self.skip(part, input))?,
            Type::Array(value, length) => (0..*length).try_for_each(|_| self.skip(value, input))?,
            Type::List(value) | Type::Set(value) => {
                let count = input.length(1, "stored sequence")?;
                if let Some(bytes @ 1..) = value.fixed_bytes(&self.migration.fixed) {
                    input.take(count.saturating_mul(bytes), "stored sequence")?;
                    return Ok(());
                }
                for _ in 0..count {
                    skip_element(input, |input| self.skip(value, input))?;
                }
            }
            Type::Map(key, value) => {
                let count = input.length(1, "stored map")?;
                for _ in 0..count {
                    skip_element(input, |input| {
                        self.skip(key, input)?;
                        self.skip(value, input)
                    })?;
                }
            }
            Type::Named(position) => {
                let migration = self.migration;
                match &migration.stored.definition(*position)?.body {
                    Body::Struct(fields) => self.skip_fields(fields, input)?,
                    Body::Enum(variants) => {
                        let tag = u16::decode(input)?;
                        match variants.get(usize::from(tag)) {
                            Some(variant) => self.skip_fields(&variant.fields, input)?,
                            None => return Err(no_variant(tag, variants.len()).into()),
                        }
                    }
                }
            }
            // All others are of a fixed size.
            _ => {}
        }
        Ok(())
    }

    fn skip_fields(&mut self, fields: &[Field], input: &mut Input<'_>) -> Result<(), MigrationError> {
        fields
            .iter()
            .try_for_each(|field| self.skip(&field.ty, input).map_err(|error| error.in_field(&field.name)))
    }
}

fn no_variant(tag: u16, variants: usize) -> DecodeError {
    DecodeError::invalid("stored enum", format!("it has {variants} variants, number {tag} is none of them"))
}

fn option(input: &mut Input<'_>) -> Result<bool, DecodeError> {
    match input.array("Option")? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => Err(DecodeError::invalid("Option", format!("{other} is neither 0 nor 1"))),
    }
}

/// Does one element of a sequence, with a filler on either side where it takes no byte.
fn element(
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
    run: impl FnOnce(&mut Input<'_>, &mut Vec<u8>) -> Result<(), MigrationError>,
) -> Result<(), MigrationError> {
    let before = out.len();
    skip_element(input, |input| run(input, out))?;
    if out.len() == before {
        out.push(0);
    }
    Ok(())
}

fn skip_element(
    input: &mut Input<'_>,
    run: impl FnOnce(&mut Input<'_>) -> Result<(), MigrationError>,
) -> Result<(), MigrationError> {
    let before = input.remaining();
    run(input)?;
    if input.remaining() == before {
        let [filler] = input.array("element of no size")?;
        if filler != 0 {
            let detail = format!("its filler is {filler}, not 0");
            return Err(DecodeError::invalid("element of no size", detail).into());
        }
    }
    Ok(())
}
