//! [`Depth`]: how deep in a stored value the migration is.
//!
//! Reading counts boxes and sequences, and refuses what is nested deeper than [`MAX_DEPTH`] of them. A schema does not say
//! where the boxes are; but a struct or enum that contains itself has one or a sequence on the way from itself to itself, or
//! it could have no value at all. So these are counted instead. They are never more than what reading counts: a value that
//! its own program reads is not too deep here.

use std::collections::HashMap;

use crate::input::{DecodeError, MAX_DEPTH};
use crate::migration::MigrationError;

/// What is gone over at the same time, one within the other: no program nests boxes and sequences so deep that each has
/// this many types around it. They take memory, not stack; a damaged schema could otherwise have any number of them.
const MAX_LEVELS: usize = 256 * MAX_DEPTH as usize;
/// The outermost levels, of which no notes are taken: most values have no more.
const WITHOUT_NOTES: usize = 32;

/// A type that may contain itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A struct or enum that becomes another one.
    Pair(usize),
    /// A struct or enum of the new schema.
    Declared(u32),
    /// One of the stored schema.
    Stored(u32),
}

/// Where one of them was met last.
#[derive(Clone, Copy)]
struct Met {
    /// The boxes and sequences around it.
    boxes: u32,
    /// The bytes that were left.
    remaining: usize,
}

/// What was so before a struct or enum was entered.
pub(crate) struct Before {
    boxes: u32,
    noted: bool,
}

/// How deep in a value one is.
#[derive(Default)]
pub(crate) struct Depth {
    /// At least so many boxes and sequences are around.
    boxes: u32,
    met: HashMap<Kind, Met>,
    /// What `met` had before, for each change to it.
    changes: Vec<(Kind, Option<Met>)>,
}

impl Depth {
    /// Into a sequence; [`leave_sequence`](Self::leave_sequence) gets the answer.
    pub(crate) fn enter_sequence(&mut self) -> Result<u32, MigrationError> {
        let before = self.boxes;
        self.boxes = deeper(before)?;
        Ok(before)
    }

    pub(crate) fn leave_sequence(&mut self, before: u32) {
        self.boxes = before;
    }

    /// Into a struct or enum that is `level` levels deep: `whole` takes the same way whenever it is met at the same byte,
    /// `boxed` has a box or sequence wherever it contains itself. [`leave`](Self::leave) gets the answer.
    pub(crate) fn enter(
        &mut self,
        level: usize,
        whole: Kind,
        boxed: Kind,
        remaining: usize,
    ) -> Result<Before, MigrationError> {
        let before = Before { boxes: self.boxes, noted: level >= WITHOUT_NOTES };
        if before.noted {
            if self.met.get(&whole).is_some_and(|met| met.remaining == remaining) {
                return Err(
                    DecodeError::invalid("stored value", "its type contains itself without end").into()
                );
            }
            if self.met.get(&boxed).is_some_and(|met| met.boxes == self.boxes) {
                self.boxes = deeper(self.boxes)?;
            }
            for kind in [whole, boxed] {
                let met = self.met.insert(kind, Met { boxes: self.boxes, remaining });
                self.changes.push((kind, met));
            }
        }
        Ok(before)
    }

    pub(crate) fn leave(&mut self, before: Before) {
        self.boxes = before.boxes;
        let changes = if before.noted { 2 } else { 0 };
        for (kind, met) in self.changes.drain(self.changes.len() - changes..).rev() {
            match met {
                Some(met) => self.met.insert(kind, met),
                None => self.met.remove(&kind),
            };
        }
    }
}

fn deeper(boxes: u32) -> Result<u32, MigrationError> {
    if boxes == MAX_DEPTH {
        return Err(too_deep());
    }
    Ok(boxes + 1)
}

/// Puts a level on the others.
pub(crate) fn push<T>(levels: &mut Vec<T>, level: T) -> Result<(), MigrationError> {
    if levels.len() == MAX_LEVELS {
        return Err(too_deep());
    }
    levels.push(level);
    Ok(())
}

#[cold]
fn too_deep() -> MigrationError {
    DecodeError::TooDeep { what: "stored value" }.into()
}
