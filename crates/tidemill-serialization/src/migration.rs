//! [`Migration`]: turns bytes that were written with one schema into bytes of another, without the types of the program
//! that wrote them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::data::Data;
use crate::input::{DecodeError, Input};
use crate::opaque::MigrateValue;
use crate::scalars::{encode_framed, encode_length};
use crate::schema::{Schema, shortened};
use crate::skip::{Skip, SkipBody, SkipFields};

/// How deep values may be nested. Reading refuses those deeper than [`MAX_DEPTH`](crate::MAX_DEPTH) boxes and
/// sequences; this counts every level of a type, of which there are several to a box. Each takes more of the stack here than
/// a box does there.
const MAX_LEVELS: u32 = 1024;
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
    /// What is done with those that were written, in their order. Where the new ones are in the same order, their defaults
    /// stand between them.
    ops: Vec<Op>,
    /// Where that is not so: what the new ones are made of, in their order.
    order: Option<Vec<Part>>,
    /// How to go over all of them.
    whole: SkipFields,
    /// Whether each new field is the old one at its position.
    in_place: bool,
    /// Whether the bytes stay the same.
    unchanged: bool,
}

/// What is done with the next stored field.
enum Op {
    Skip(String, Skip),
    Take(String, Step),
    /// With none: these bytes are added.
    Default(Vec<u8>),
}

/// A new field.
enum Part {
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
// A pointer, because functions that call themselves have many of it on the stack.
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
    fn in_field(mut self, name: &str) -> Self {
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
    ) -> Option<Self> {
        let unchanged = unchanged_pairs(&pairs);
        if root.is_copy(&unchanged) {
            return None;
        }
        for fields in pairs.iter_mut().flat_map(Pair::fields_mut) {
            fields.unchanged = fields.is_copy(&unchanged);
        }
        Some(Self { root, pairs, ..Self::over(stored, fixed) })
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
        }
    }

    fn run(&self) -> Run<'_> {
        Run { migration: self, levels: 0, ends: Vec::new(), moved: Vec::new() }
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
        self.run().step(&self.root, input, out)
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
        self.run().elements(&self.root, count, input, out)
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
            Step::Map(key, value) => key.is_copy(unchanged) && value.is_copy(unchanged),
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
            Step::Map(key, value) => {
                key.visit(visit);
                value.visit(visit);
            }
            Step::Tuple(parts) => parts.iter().for_each(|part| part.visit(visit)),
            Step::Pair(position) => visit(*position),
        }
    }
}

/// One value on its way.
struct Run<'a> {
    migration: &'a Migration,
    levels: u32,
    /// Where each field of the structs on the way ends that have their fields in another order.
    ends: Vec<usize>,
    /// Where their bytes are put into the new order.
    moved: Vec<u8>,
}

impl Run<'_> {
    // What recurses has plain loops, without closures: each takes a frame of the stack, and those of programs without
    // optimization are large.

    fn go_deeper(&mut self) -> Result<(), MigrationError> {
        if self.levels == MAX_LEVELS {
            return Err(DecodeError::TooDeep { what: "stored value" }.into());
        }
        self.levels += 1;
        Ok(())
    }

    fn step(&mut self, step: &Step, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), MigrationError> {
        self.go_deeper()?;
        let result = self.step_within(step, input, out);
        self.levels -= 1;
        result
    }

    fn step_within(
        &mut self,
        step: &Step,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MigrationError> {
        match step {
            Step::Copy(skip) => self.copy(input, out, |run, input| run.skip(skip, input)),
            Step::Integer { signed, from, to } => integer(*signed, *from, *to, input, out),
            Step::Float => float(input, out),
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
            Step::Tuple(parts) => {
                for part in parts {
                    self.step(part, input, out)?;
                }
                Ok(())
            }
            Step::Array(value, length) => {
                for _ in 0..*length {
                    self.step(value, input, out)?;
                }
                Ok(())
            }
            Step::Sequence(value) => {
                let count = length(input, "sequence")?;
                encode_length(count, out);
                self.elements(value, count, input, out)
            }
            Step::Map(key, value) => {
                let count = length(input, "map")?;
                encode_length(count, out);
                for _ in 0..count {
                    let before = (input.remaining(), out.len());
                    self.step(key, input, out)?;
                    self.step(value, input, out)?;
                    fillers(before, input, out)?;
                }
                Ok(())
            }
            Step::Pair(position) => self.pair(*position, input, out),
            Step::Opaque(migrate) => opaque(&**migrate, input, out),
        }
    }

    fn elements(
        &mut self,
        step: &Step,
        count: usize,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MigrationError> {
        for _ in 0..count {
            let before = (input.remaining(), out.len());
            self.step(step, input, out)?;
            fillers(before, input, out)?;
        }
        Ok(())
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
                let tag = tag(input)?;
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
            return self.copy(input, out, |run, input| run.skip_fields(&fields.whole, input));
        }
        let (start, bottom) = (out.len(), self.ends.len());
        for op in &fields.ops {
            match op {
                Op::Skip(name, skip) => {
                    if let Err(error) = self.skip(skip, input) {
                        return Err(error.in_field(name));
                    }
                }
                Op::Default(bytes) => out.extend_from_slice(bytes),
                Op::Take(name, step) => {
                    if let Err(error) = self.step(step, input, out) {
                        return Err(error.in_field(name));
                    }
                    if fields.order.is_some() {
                        self.ends.push(out.len());
                    }
                }
            }
        }
        let Some(order) = &fields.order else { return Ok(()) };
        // They were gone over once, in the order in which they were written: what is nested deeply would otherwise be gone
        // over again at every level.
        let Self { ends, moved, .. } = self;
        moved.clear();
        moved.extend_from_slice(&out[start..]);
        out.truncate(start);
        let ends = &ends[bottom..];
        for part in order {
            match part {
                Part::Default(bytes) => out.extend_from_slice(bytes),
                Part::Taken(i) => {
                    let from = if *i == 0 { start } else { ends[i - 1] };
                    out.extend_from_slice(&moved[from - start..ends[*i] - start]);
                }
            }
        }
        self.ends.truncate(bottom);
        Ok(())
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
    fn skip(&mut self, skip: &Skip, input: &mut Input<'_>) -> Result<(), MigrationError> {
        if let Skip::Bytes(bytes) = skip {
            return pass(*bytes, input);
        }
        self.go_deeper()?;
        let result = self.skip_within(skip, input);
        self.levels -= 1;
        result
    }

    fn skip_within(&mut self, skip: &Skip, input: &mut Input<'_>) -> Result<(), MigrationError> {
        match skip {
            Skip::Bytes(bytes) => pass(*bytes, input)?,
            Skip::Prefixed => pass(length(input, "stored value")?, input)?,
            Skip::Option(value) => {
                let is_there = option(input)?;
                if is_there {
                    return self.skip(value, input);
                }
            }
            Skip::Tuple(parts) => {
                for part in parts {
                    self.skip(part, input)?;
                }
            }
            Skip::Array(value, length) => {
                for _ in 0..*length {
                    self.skip(value, input)?;
                }
            }
            Skip::Sequence(value) => {
                let count = length(input, "stored sequence")?;
                if let Skip::Bytes(bytes @ 1..) = **value {
                    return pass(count.saturating_mul(bytes), input);
                }
                for _ in 0..count {
                    let before = input.remaining();
                    self.skip(value, input)?;
                    filler(before, input)?;
                }
            }
            Skip::Map(key, value) => {
                let count = length(input, "stored map")?;
                for _ in 0..count {
                    let before = input.remaining();
                    self.skip(key, input)?;
                    self.skip(value, input)?;
                    filler(before, input)?;
                }
            }
            Skip::Named(position) => {
                let migration = self.migration;
                let fields = stored_fields(&migration.definitions, *position, input)?;
                return self.skip_fields(fields, input);
            }
        }
        Ok(())
    }

    fn skip_fields(&mut self, fields: &SkipFields, input: &mut Input<'_>) -> Result<(), MigrationError> {
        for (name, skip) in fields {
            if let Err(error) = self.skip(skip, input) {
                return Err(error.in_field(name));
            }
        }
        Ok(())
    }
}

/// The fields of the struct, or of the variant that comes next, at a position of the stored schema.
fn stored_fields<'a>(
    definitions: &'a [SkipBody],
    position: u32,
    input: &mut Input<'_>,
) -> Result<&'a SkipFields, MigrationError> {
    match definitions.get(position as usize) {
        Some(SkipBody::Struct(fields)) => Ok(fields),
        Some(SkipBody::Enum(variants)) => {
            let tag = u16::decode(input)?;
            variants.get(usize::from(tag)).ok_or_else(|| no_variant(tag, variants.len()).into())
        }
        None => Err(DecodeError::invalid("schema", format!("it has no definition number {position}")).into()),
    }
}

// Apart from what calls itself: there, each of these would have its errors on the stack at every level.

fn length(input: &mut Input<'_>, what: &'static str) -> Result<usize, MigrationError> {
    Ok(input.length(1, what)?)
}

fn pass(bytes: usize, input: &mut Input<'_>) -> Result<(), MigrationError> {
    input.take(bytes, "stored value")?;
    Ok(())
}

fn integer(
    signed: bool,
    from: usize,
    to: usize,
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
) -> Result<(), MigrationError> {
    let bytes = input.take(from, "integer")?;
    out.extend_from_slice(bytes);
    let negative = signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    out.resize(out.len() + to - from, if negative { 0xff } else { 0 });
    Ok(())
}

fn float(input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), MigrationError> {
    f64::from(f32::decode(input)?).encode(out);
    Ok(())
}

fn opaque(migrate: &MigrateValue, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), MigrationError> {
    let length = input.length(1, "opaque value")?;
    let bytes = input.take(length, "opaque value")?;
    Ok(encode_framed(out, |out| migrate(bytes, out))?)
}

fn tag(input: &mut Input<'_>) -> Result<u16, MigrationError> {
    Ok(u16::decode(input)?)
}

fn no_variant(tag: u16, variants: usize) -> DecodeError {
    DecodeError::invalid("stored enum", format!("it has {variants} variants, number {tag} is none of them"))
}

fn option(input: &mut Input<'_>) -> Result<bool, MigrationError> {
    match input.array("Option")? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => Err(DecodeError::invalid("Option", format!("{other} is neither 0 nor 1")).into()),
    }
}

/// Ends an element of a sequence, with a filler on either side where it took no byte.
fn fillers(
    (input_before, out_before): (usize, usize),
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
) -> Result<(), MigrationError> {
    filler(input_before, input)?;
    if out.len() == out_before {
        out.push(0);
    }
    Ok(())
}

fn filler(before: usize, input: &mut Input<'_>) -> Result<(), MigrationError> {
    if input.remaining() == before {
        let [filler] = input.array("element of no size")?;
        if filler != 0 {
            let detail = format!("its filler is {filler}, not 0");
            return Err(DecodeError::invalid("element of no size", detail).into());
        }
    }
    Ok(())
}
