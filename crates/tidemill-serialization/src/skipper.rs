//! [`Skipper`]: goes over values of a stored schema.
//!
//! What is within each other is on a list of its own, not on the stack of the thread: stored values may be nested deeper
//! than that has room for.

use crate::data::Data;
use crate::depth::{Before, Depth, Kind, push};
use crate::input::{DecodeError, Input};
use crate::migration::MigrationError;
use crate::skip::{Skip, SkipBody, SkipFields};

/// Before the first element nothing was taken.
const NONE_YET: usize = usize::MAX;

/// Goes over values.
pub(crate) struct Skipper<'a> {
    definitions: &'a [SkipBody],
    depth: Depth,
    levels: Vec<Level<'a>>,
}

/// What is left to go over of a value that has parts.
enum Level<'a> {
    Parts(&'a [Skip]),
    /// So many values; there were so many bytes before the last one.
    Array(&'a Skip, u32, usize),
    Sequence {
        value: &'a Skip,
        left: usize,
        /// The bytes that there were before the last one.
        remaining: usize,
        boxes: u32,
    },
    Fields {
        fields: &'a SkipFields,
        next: usize,
        before: Before,
    },
}

impl<'a> Skipper<'a> {
    pub(crate) fn new(definitions: &'a [SkipBody]) -> Self {
        Self { definitions, depth: Depth::default(), levels: Vec::new() }
    }

    /// Goes over a value.
    pub(crate) fn value(&mut self, skip: &'a Skip, input: &mut Input<'_>) -> Result<(), MigrationError> {
        let begun = self.begin(skip, input);
        begun.and_then(|()| self.finish(input)).map_err(|error| self.located(error))
    }

    /// Goes over the fields of the stored struct or variant of a pair.
    pub(crate) fn fields(
        &mut self,
        pair: usize,
        fields: &'a SkipFields,
        input: &mut Input<'_>,
    ) -> Result<(), MigrationError> {
        let begun = self.enter(Kind::Pair(pair), fields, input);
        begun.and_then(|()| self.finish(input)).map_err(|error| self.located(error))
    }

    /// Goes over a value that has no parts; puts others on the levels.
    fn begin(&mut self, mut skip: &'a Skip, input: &mut Input<'_>) -> Result<(), MigrationError> {
        loop {
            match skip {
                Skip::Bytes(bytes) => return pass(*bytes, input),
                Skip::Prefixed => return pass(length(input, "stored value")?, input),
                Skip::Option(value) => {
                    if !option(input)? {
                        return Ok(());
                    }
                    skip = value;
                }
                Skip::Tuple(parts) => return push(&mut self.levels, Level::Parts(parts)),
                Skip::Array(value, count) => {
                    return push(&mut self.levels, Level::Array(value, *count, NONE_YET));
                }
                Skip::Sequence(value) => {
                    let left = length(input, "stored sequence")?;
                    if let Skip::Bytes(bytes @ 1..) = **value {
                        return pass(left.saturating_mul(bytes), input);
                    }
                    let boxes = self.depth.enter_sequence()?;
                    let level = Level::Sequence { value, left, remaining: NONE_YET, boxes };
                    return push(&mut self.levels, level);
                }
                Skip::Named(position) => {
                    let fields = stored_fields(self.definitions, *position, input)?;
                    return self.enter(Kind::Stored(*position), fields, input);
                }
            }
        }
    }

    fn enter(&mut self, kind: Kind, fields: &'a SkipFields, input: &Input<'_>) -> Result<(), MigrationError> {
        let before = self.depth.enter(self.levels.len(), kind, kind, input.remaining())?;
        push(&mut self.levels, Level::Fields { fields, next: 0, before })
    }

    /// Goes over what is left of all levels.
    fn finish(&mut self, input: &mut Input<'_>) -> Result<(), MigrationError> {
        while let Some(level) = self.levels.last_mut() {
            let next = match level {
                Level::Parts(parts) => match parts.split_first() {
                    Some((first, rest)) => {
                        *parts = rest;
                        Some(first)
                    }
                    None => None,
                },
                // If one takes no bytes, none does.
                Level::Array(value, left, remaining) if *left > 0 && *remaining != input.remaining() => {
                    *left -= 1;
                    *remaining = input.remaining();
                    Some(*value)
                }
                Level::Array(..) => None,
                Level::Sequence { value, left, remaining, .. } => {
                    filler(*remaining, input)?;
                    let more = *left > 0;
                    *left = left.saturating_sub(1);
                    *remaining = input.remaining();
                    more.then_some(*value)
                }
                Level::Fields { fields, next, .. } => {
                    let field = fields.get(*next);
                    *next += 1;
                    field.map(|(_, skip)| skip)
                }
            };
            match next {
                Some(skip) => self.begin(skip, input)?,
                None => match self.levels.pop() {
                    Some(Level::Sequence { boxes, .. }) => self.depth.leave_sequence(boxes),
                    Some(Level::Fields { before, .. }) => self.depth.leave(before),
                    Some(Level::Parts(_) | Level::Array(..)) | None => {}
                },
            }
        }
        Ok(())
    }

    /// The error with the way to where it happened.
    #[cold]
    fn located(&mut self, error: MigrationError) -> MigrationError {
        self.levels.drain(..).rev().fold(error, |error, level| match level {
            Level::Fields { fields, next, .. } => match next.checked_sub(1).and_then(|i| fields.get(i)) {
                Some((name, _)) => error.in_field(name),
                None => error,
            },
            Level::Parts(_) | Level::Array(..) | Level::Sequence { .. } => error,
        })
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

pub(crate) fn no_variant(tag: u16, variants: usize) -> DecodeError {
    DecodeError::invalid("stored enum", format!("it has {variants} variants, number {tag} is none of them"))
}

pub(crate) fn length(input: &mut Input<'_>, what: &'static str) -> Result<usize, MigrationError> {
    Ok(input.length(1, what)?)
}

fn pass(bytes: usize, input: &mut Input<'_>) -> Result<(), MigrationError> {
    input.take(bytes, "stored value")?;
    Ok(())
}

pub(crate) fn option(input: &mut Input<'_>) -> Result<bool, MigrationError> {
    match input.array("Option")? {
        [0] => Ok(false),
        [1] => Ok(true),
        [other] => Err(DecodeError::invalid("Option", format!("{other} is neither 0 nor 1")).into()),
    }
}

/// Ends an element of a sequence, with a filler where it took no byte: `before` were left in front of it.
pub(crate) fn filler(before: usize, input: &mut Input<'_>) -> Result<(), MigrationError> {
    if input.remaining() == before {
        let [filler] = input.array("element of no size")?;
        if filler != 0 {
            let detail = format!("its filler is {filler}, not 0");
            return Err(DecodeError::invalid("element of no size", detail).into());
        }
    }
    Ok(())
}
