//! [`Run`]: one value on its way from a stored schema to that of the program.
//!
//! What is within each other is on a list of its own, not on the stack of the thread: stored values may be nested deeper
//! than that has room for.

use crate::data::Data;
use crate::depth::{Before, Depth, Kind, push};
use crate::input::Input;
use crate::migration::{Fields, MigrationError, Op, Pair, Part, Step};
use crate::opaque::MigrateValue;
use crate::scalars::{encode_framed, encode_length};
use crate::skip::SkipBody;
use crate::skipper::{Skipper, filler, length, no_variant, option};

/// One value on its way.
pub(crate) struct Run<'a> {
    pairs: &'a [Pair],
    /// For each pair the position of the definition in the new schema.
    targets: &'a [u32],
    skipper: Skipper<'a>,
    depth: Depth,
    levels: Vec<Level<'a>>,
    /// Where each field of the structs on the way ends that have their fields in another order.
    ends: Vec<usize>,
    /// Where their bytes are put into the new order.
    moved: Vec<u8>,
}

/// The bytes that were left of the input, and those that the output had.
type Lengths = (usize, usize);

/// Before the first element nothing was taken.
const NONE_YET: Lengths = (usize::MAX, usize::MAX);

/// What is left to do for a value that has parts.
enum Level<'a> {
    Parts(&'a [Step]),
    /// So many values; with what there was before the last one.
    Array(&'a Step, u32, Lengths),
    Sequence {
        value: &'a Step,
        left: usize,
        /// What there was before the last one.
        lengths: Lengths,
        boxes: u32,
    },
    Fields {
        fields: &'a Fields,
        next: usize,
        /// Where the fields begin in the output, and where their ends do in [`Run::ends`].
        start: usize,
        bottom: usize,
        before: Before,
    },
}

impl<'a> Run<'a> {
    pub(crate) fn new(pairs: &'a [Pair], targets: &'a [u32], definitions: &'a [SkipBody]) -> Self {
        Self {
            pairs,
            targets,
            skipper: Skipper::new(definitions),
            depth: Depth::default(),
            levels: Vec::new(),
            ends: Vec::new(),
            moved: Vec::new(),
        }
    }

    /// One value.
    pub(crate) fn value(
        mut self,
        step: &'a Step,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MigrationError> {
        let begun = self.begin(step, input, out);
        begun.and_then(|()| self.finish(input, out)).map_err(|error| self.located(error))
    }

    /// The elements of a sequence.
    pub(crate) fn sequence(
        mut self,
        step: &'a Step,
        count: usize,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MigrationError> {
        self.levels.push(Level::Sequence { value: step, left: count, lengths: NONE_YET, boxes: 0 });
        self.finish(input, out).map_err(|error| self.located(error))
    }

    /// Does it for a value that has no parts; puts others on the levels.
    fn begin(
        &mut self,
        mut step: &'a Step,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MigrationError> {
        loop {
            match step {
                Step::Copy(skip) => return copy(input, out, |input| self.skipper.value(skip, input)),
                Step::Integer { signed, from, to } => return integer(*signed, *from, *to, input, out),
                Step::Float => return float(input, out),
                Step::Opaque(migrate) => return opaque(&**migrate, input, out),
                Step::Some(value) => {
                    out.push(1);
                    step = value;
                }
                Step::Option(value) => {
                    let is_there = option(input)?;
                    out.push(u8::from(is_there));
                    if !is_there {
                        return Ok(());
                    }
                    step = value;
                }
                Step::Tuple(parts) => return push(&mut self.levels, Level::Parts(parts)),
                Step::Array(value, count) => {
                    return push(&mut self.levels, Level::Array(value, *count, NONE_YET));
                }
                Step::Sequence(value) => {
                    let left = length(input, "sequence")?;
                    encode_length(left, out);
                    let boxes = self.depth.enter_sequence()?;
                    let level = Level::Sequence { value, left, lengths: NONE_YET, boxes };
                    return push(&mut self.levels, level);
                }
                Step::Pair(position) => return self.pair(*position, input, out),
            }
        }
    }

    fn pair(
        &mut self,
        position: usize,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), MigrationError> {
        let fields = match &self.pairs[position] {
            Pair::Struct(fields) => fields,
            Pair::Enum(variants) => {
                let tag = u16::decode(input)?;
                let Some((position, fields)) = variants.get(usize::from(tag)) else {
                    return Err(no_variant(tag, variants.len()).into());
                };
                position.encode(out);
                fields
            }
        };
        if fields.unchanged {
            return copy(input, out, |input| self.skipper.fields(position, &fields.whole, input));
        }
        let (whole, boxed) = (Kind::Pair(position), Kind::Declared(self.targets[position]));
        let before = self.depth.enter(self.levels.len(), whole, boxed, input.remaining())?;
        let (start, bottom) = (out.len(), self.ends.len());
        push(&mut self.levels, Level::Fields { fields, next: 0, start, bottom, before })
    }

    /// Does what is left of all levels.
    fn finish(&mut self, input: &mut Input<'_>, out: &mut Vec<u8>) -> Result<(), MigrationError> {
        while let Some(level) = self.levels.last_mut() {
            let lengths_now = (input.remaining(), out.len());
            let next = match level {
                Level::Parts(parts) => match parts.split_first() {
                    Some((first, rest)) => {
                        *parts = rest;
                        Some(first)
                    }
                    None => None,
                },
                // If one takes no bytes and becomes none, none does.
                Level::Array(value, left, lengths) if *left > 0 && *lengths != lengths_now => {
                    *left -= 1;
                    *lengths = lengths_now;
                    Some(*value)
                }
                Level::Array(..) => None,
                Level::Sequence { value, left, lengths, .. } => {
                    fillers(*lengths, input, out)?;
                    let more = *left > 0;
                    *left = left.saturating_sub(1);
                    *lengths = (input.remaining(), out.len());
                    more.then_some(*value)
                }
                Level::Fields { fields, next, .. } => {
                    if fields.order.is_some() && next.checked_sub(1).is_some_and(|last| fields.takes(last)) {
                        self.ends.push(out.len());
                    }
                    let op = fields.ops.get(*next);
                    *next += 1;
                    match op {
                        Some(Op::Take(_, step)) => Some(step),
                        Some(Op::Default(bytes)) => {
                            out.extend_from_slice(bytes);
                            continue;
                        }
                        Some(Op::Skip(_, skip)) => {
                            self.skipper.value(skip, input)?;
                            continue;
                        }
                        None => None,
                    }
                }
            };
            match next {
                Some(step) => self.begin(step, input, out)?,
                None => self.leave(out),
            }
        }
        Ok(())
    }

    /// Ends the innermost level.
    fn leave(&mut self, out: &mut Vec<u8>) {
        match self.levels.pop() {
            Some(Level::Sequence { boxes, .. }) => self.depth.leave_sequence(boxes),
            Some(Level::Fields { fields, start, bottom, before, .. }) => {
                self.depth.leave(before);
                if let Some(order) = &fields.order {
                    self.put_in_order(order, start, bottom, out);
                }
            }
            Some(Level::Parts(_) | Level::Array(..)) | None => {}
        }
    }

    /// They were gone over once, in the order in which they were written: what is nested deeply would otherwise be gone over
    /// again at every level.
    fn put_in_order(&mut self, order: &[Part], start: usize, bottom: usize, out: &mut Vec<u8>) {
        let Self { ends, moved, .. } = self;
        moved.clear();
        moved.extend_from_slice(&out[start..]);
        out.truncate(start);
        let fields = &ends[bottom..];
        for part in order {
            match part {
                Part::Default(bytes) => out.extend_from_slice(bytes),
                Part::Taken(i) => {
                    let from = if *i == 0 { start } else { fields[i - 1] };
                    out.extend_from_slice(&moved[from - start..fields[*i] - start]);
                }
            }
        }
        ends.truncate(bottom);
    }

    /// The error with the way to where it happened.
    #[cold]
    fn located(&mut self, error: MigrationError) -> MigrationError {
        self.levels.drain(..).rev().fold(error, |error, level| match level {
            Level::Fields { fields, next, .. } => match next.checked_sub(1).and_then(|i| fields.ops.get(i)) {
                Some(Op::Skip(name, _) | Op::Take(name, _)) => error.in_field(name),
                Some(Op::Default(_)) | None => error,
            },
            Level::Parts(_) | Level::Array(..) | Level::Sequence { .. } => error,
        })
    }
}

impl Fields {
    fn takes(&self, op: usize) -> bool {
        matches!(self.ops.get(op), Some(Op::Take(..)))
    }
}

/// Appends the bytes that `skip` goes over.
fn copy(
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
    skip: impl FnOnce(&mut Input<'_>) -> Result<(), MigrationError>,
) -> Result<(), MigrationError> {
    let mut start = input.clone();
    skip(input)?;
    let length = start.remaining() - input.remaining();
    out.extend_from_slice(start.take(length, "stored value")?);
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

/// Ends an element of a sequence, with a filler on either side where it took no byte.
fn fillers(
    (remaining, written): Lengths,
    input: &mut Input<'_>,
    out: &mut Vec<u8>,
) -> Result<(), MigrationError> {
    filler(remaining, input)?;
    if out.len() == written {
        out.push(0);
    }
    Ok(())
}
