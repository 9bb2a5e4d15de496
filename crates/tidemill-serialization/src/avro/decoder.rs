//! [`Decoder`]: reads encoded values, defensively.
//!
//! What is read comes from elsewhere: no length or count is believed before the bytes for it are seen, nesting is bounded,
//! and values that take no bytes at all, which could be claimed to be there without number, are counted.

use super::bytes::{Wrong, take_long};
use super::error::AvroError;
use super::resolution::{Action, Op, OpId, RecordStep, Resolution};
use super::schema::{AvroSchema, Kind, NodeId};
use crate::input::MAX_DEPTH;

/// How many fields and elements of a value may take no bytes, such as nulls, beside one for each byte of it before them.
const EMPTY_VALUES: usize = 1 << 16;

/// Encoded values that are being read. What derived code works with; programs use
/// [`decode`](super::decode) and the like.
pub struct Decoder<'a> {
    resolution: &'a Resolution,
    rest: &'a [u8],
    depth: u32,
    /// Where the value began, as bytes that were left.
    start: usize,
    /// How many of its fields and elements took no bytes.
    empty_values: usize,
}

/// The fields of a record that is being read, in the order in which they come.
pub struct Fields<'a> {
    steps: std::slice::Iter<'a, RecordStep>,
}

/// A field that is to be read next.
#[derive(Clone, Copy)]
pub struct NextField<'a> {
    /// The position of the field in the reader's schema.
    pub position: usize,
    step: &'a RecordStep,
}

/// A value that is to be read next.
#[derive(Clone, Copy, Debug)]
pub struct Slot(pub(crate) OpId);

impl<'a> Decoder<'a> {
    pub(crate) fn new(resolution: &'a Resolution, bytes: &'a [u8]) -> Self {
        Self { resolution, rest: bytes, depth: 0, start: bytes.len(), empty_values: 0 }
    }

    /// Begins another value, which is measured by itself.
    pub(crate) fn begin(&mut self) {
        (self.start, self.empty_values) = (self.rest.len(), 0);
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The value as a whole.
    pub(crate) fn root(&self) -> Slot {
        Slot(self.resolution.root)
    }

    pub(crate) fn reader(&self) -> &'a AvroSchema {
        &self.resolution.reader
    }

    /// The operation of a value, and the type in the reader's schema that it makes.
    pub(crate) fn op(&self, slot: Slot) -> (&'a Op, NodeId) {
        (self.resolution.op(slot.0), self.resolution.makes[slot.0 as usize])
    }

    #[inline]
    pub(crate) fn take(&mut self, count: u64, what: &str) -> Result<&'a [u8], AvroError> {
        if count > self.rest.len() as u64 {
            return Err(self.truncated(count, what));
        }
        let (taken, rest) = self.rest.split_at(count as usize);
        self.rest = rest;
        Ok(taken)
    }

    #[cold]
    fn truncated(&self, needed: u64, what: &str) -> AvroError {
        AvroError::Truncated { at: what.to_owned(), needed, left: self.rest.len() }
    }

    #[inline]
    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], AvroError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, what)?);
        Ok(array)
    }

    #[inline]
    fn raw_long(&mut self, what: &str) -> Result<i64, AvroError> {
        take_long(&mut self.rest).map_err(|wrong| match wrong {
            Wrong::Truncated => self.truncated(1, what),
            Wrong::TooLong => AvroError::invalid(what, "a number has more than 64 bits"),
        })
    }

    #[inline]
    fn raw_int(&mut self, what: &str) -> Result<i32, AvroError> {
        let number = self.raw_long(what)?;
        i32::try_from(number)
            .map_err(|_| AvroError::invalid(what, format!("{number} is more than an int can be")))
    }

    #[inline]
    fn raw_blob(&mut self, what: &str) -> Result<&'a [u8], AvroError> {
        let length = self.raw_long(what)?;
        match u64::try_from(length) {
            Ok(length) => self.take(length, what),
            Err(_) => Err(AvroError::invalid(what, format!("the length is {length}"))),
        }
    }

    fn raw_text(&mut self, what: &str) -> Result<&'a str, AvroError> {
        let bytes = self.raw_blob(what)?;
        std::str::from_utf8(bytes)
            .map_err(|error| AvroError::invalid(what, format!("the text is no UTF-8: {error}")))
    }

    /// Goes through the branches of unions to the value itself.
    #[inline]
    fn enter(&mut self, slot: Slot) -> Result<&'a Op, AvroError> {
        let mut slot = slot;
        loop {
            match self.resolution.op(slot.0) {
                Op::Union(branches) => slot = self.branch_of(branches)?,
                Op::Branch(_, inner) => slot = Slot(*inner),
                Op::Refused(why) => return Err(self.refused(why)),
                op => return Ok(op),
            }
        }
    }

    #[cold]
    pub(crate) fn refused(&self, why: &str) -> AvroError {
        AvroError::Unreadable { at: "the value".to_owned(), detail: why.to_owned() }
    }

    /// Reads which branch of the writer's union follows.
    pub(crate) fn branch_of(&mut self, branches: &[OpId]) -> Result<Slot, AvroError> {
        let branch = self.raw_long("a union")?;
        match usize::try_from(branch).ok().and_then(|branch| branches.get(branch)) {
            Some(op) => Ok(Slot(*op)),
            None => {
                let detail = format!("there is no branch {branch}, the union has {}", branches.len());
                Err(AvroError::invalid("a union", detail))
            }
        }
    }

    #[cold]
    fn mismatch(&self, expected: &str) -> AvroError {
        // Only when a type's schema and its code do not agree, which derived ones always do.
        AvroError::schema(format!("the type of the program reads a {expected} where its schema has none"))
    }

    /// Reads a null.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn null(&mut self, slot: Slot) -> Result<(), AvroError> {
        match self.enter(slot)? {
            Op::Null => Ok(()),
            _ => Err(self.mismatch("null")),
        }
    }

    /// Reads a boolean.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn boolean(&mut self, slot: Slot) -> Result<bool, AvroError> {
        match self.enter(slot)? {
            Op::Boolean => match self.array::<1>("a boolean")? {
                [0] => Ok(false),
                [1] => Ok(true),
                [other] => Err(AvroError::invalid("a boolean", format!("{other} is neither 0 nor 1"))),
            },
            _ => Err(self.mismatch("boolean")),
        }
    }

    /// Reads an int.
    ///
    /// # Errors
    /// When the bytes are none.
    #[inline]
    pub fn int(&mut self, slot: Slot) -> Result<i32, AvroError> {
        match self.enter(slot)? {
            Op::Int => self.raw_int("an int"),
            _ => Err(self.mismatch("int")),
        }
    }

    /// Reads a long, or what becomes one.
    ///
    /// # Errors
    /// When the bytes are none.
    #[inline]
    pub fn long(&mut self, slot: Slot) -> Result<i64, AvroError> {
        match self.enter(slot)? {
            Op::Long => self.raw_long("a long"),
            Op::IntToLong => self.raw_int("an int").map(i64::from),
            _ => Err(self.mismatch("long")),
        }
    }

    /// Reads a float, or what becomes one.
    ///
    /// # Errors
    /// When the bytes are none.
    #[inline]
    pub fn float(&mut self, slot: Slot) -> Result<f32, AvroError> {
        match self.enter(slot)? {
            Op::Float => Ok(f32::from_le_bytes(self.array("a float")?)),
            Op::IntToFloat => self.raw_int("an int").map(|number| number as f32),
            Op::LongToFloat => self.raw_long("a long").map(|number| number as f32),
            _ => Err(self.mismatch("float")),
        }
    }

    /// Reads a double, or what becomes one.
    ///
    /// # Errors
    /// When the bytes are none.
    #[inline]
    pub fn double(&mut self, slot: Slot) -> Result<f64, AvroError> {
        match self.enter(slot)? {
            Op::Double => Ok(f64::from_le_bytes(self.array("a double")?)),
            Op::FloatToDouble => Ok(f64::from(f32::from_le_bytes(self.array("a float")?))),
            Op::IntToDouble => self.raw_int("an int").map(f64::from),
            Op::LongToDouble => self.raw_long("a long").map(|number| number as f64),
            _ => Err(self.mismatch("double")),
        }
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// When the input ends before.
    pub fn blob(&mut self, slot: Slot) -> Result<&'a [u8], AvroError> {
        match self.enter(slot)? {
            Op::Bytes => self.raw_blob("bytes"),
            Op::Fixed(size) => self.take(*size as u64, "a fixed"),
            _ => Err(self.mismatch("bytes")),
        }
    }

    /// Reads a string.
    ///
    /// # Errors
    /// When the bytes are none.
    #[inline]
    pub fn text(&mut self, slot: Slot) -> Result<&'a str, AvroError> {
        match self.enter(slot)? {
            Op::String => self.raw_text("a string"),
            _ => Err(self.mismatch("string")),
        }
    }

    /// Reads a symbol of an enum: its position in the reader's schema.
    ///
    /// # Errors
    /// When the bytes are none, or the reader does not know it.
    pub fn symbol(&mut self, slot: Slot) -> Result<u32, AvroError> {
        match self.enter(slot)? {
            Op::Enum(symbols) => self.symbol_of(symbols),
            _ => Err(self.mismatch("enum")),
        }
    }

    pub(crate) fn symbol_of(&mut self, symbols: &[Option<u32>]) -> Result<u32, AvroError> {
        let symbol = self.raw_int("an enum")?;
        match usize::try_from(symbol).ok().and_then(|symbol| symbols.get(symbol)) {
            Some(Some(position)) => Ok(*position),
            Some(None) => {
                let detail = format!(
                    "symbol number {symbol} of the writer's enum is unknown, and there is no default"
                );
                Err(AvroError::Unreadable { at: "an enum".to_owned(), detail })
            }
            None => {
                let detail = format!("there is no symbol {symbol}, the enum has {}", symbols.len());
                Err(AvroError::invalid("an enum", detail))
            }
        }
    }

    /// Reads which branch of the reader's union follows, and the value.
    ///
    /// # Errors
    /// When the bytes are none, and those of `read`.
    pub fn union<T>(
        &mut self,
        slot: Slot,
        read: impl FnOnce(&mut Self, u32, Slot) -> Result<T, AvroError>,
    ) -> Result<T, AvroError> {
        let mut slot = slot;
        loop {
            match self.resolution.op(slot.0) {
                Op::Union(branches) => slot = self.branch_of(branches)?,
                Op::Branch(branch, inner) => return read(self, *branch, Slot(*inner)),
                Op::Refused(why) => return Err(self.refused(why)),
                _ => return Err(self.mismatch("union")),
            }
        }
    }

    /// Reads a record: `read` is called with its fields.
    ///
    /// # Errors
    /// Those of `read`, with the name of the record.
    pub fn record<T>(
        &mut self,
        slot: Slot,
        read: impl FnOnce(&mut Self, Fields<'a>) -> Result<T, AvroError>,
    ) -> Result<T, AvroError> {
        match self.enter(slot)? {
            Op::Record(position) => self.record_of(*position, read),
            _ => Err(self.mismatch("record")),
        }
    }

    pub(crate) fn record_of<T>(
        &mut self,
        position: u32,
        read: impl FnOnce(&mut Self, Fields<'a>) -> Result<T, AvroError>,
    ) -> Result<T, AvroError> {
        let plan = &self.resolution.records[position as usize];
        self.deeper(|decoder| read(decoder, Fields { steps: plan.steps.iter() }))
    }

    /// The next field of a record; passes over those that the reader does not have.
    ///
    /// # Errors
    /// When the bytes of those are damaged.
    #[inline]
    pub fn next_field(&mut self, fields: &mut Fields<'a>) -> Result<Option<NextField<'a>>, AvroError> {
        for step in &mut fields.steps {
            match &step.action {
                Action::Skip(node) => self.skip(*node).map_err(|error| error.in_field(&step.label))?,
                Action::Read(position, _) | Action::Default(position, ..) | Action::Refused(position) => {
                    return Ok(Some(NextField { position: *position, step }));
                }
            }
        }
        Ok(None)
    }

    /// Reads a field.
    ///
    /// # Errors
    /// Those of `read`, with the name of the field.
    #[inline]
    pub fn field<T>(
        &mut self,
        field: NextField<'a>,
        read: impl FnOnce(&mut Self, Slot) -> Result<T, AvroError>,
    ) -> Result<T, AvroError> {
        let result = match &field.step.action {
            Action::Read(_, op) => {
                let before = self.rest.len();
                let result = read(self, Slot(*op));
                match result.is_ok() && self.rest.len() == before {
                    true => self.count_empty("a record").and(result),
                    false => result,
                }
            }
            Action::Default(_, bytes, op) => {
                // The bytes of the default count for what follows in it, not those of the value.
                let start = self.start;
                self.start = start - self.rest.len() + bytes.len();
                let rest = std::mem::replace(&mut self.rest, bytes);
                let result = read(self, Slot(*op));
                (self.rest, self.start) = (rest, start);
                result
            }
            Action::Skip(_) | Action::Refused(_) => {
                let detail =
                    "it was not written, and has no default that can be used: give it one".to_owned();
                Err(AvroError::Unreadable { at: "the field".to_owned(), detail })
            }
        };
        result.map_err(|error| error.in_field(&field.step.label))
    }

    /// Reads an array: `read` is called for each element.
    ///
    /// # Errors
    /// Those of `read`; also when the bytes are none.
    pub fn elements(
        &mut self,
        slot: Slot,
        mut read: impl FnMut(&mut Self, Slot) -> Result<(), AvroError>,
    ) -> Result<(), AvroError> {
        let item = match self.enter(slot)? {
            Op::Array(item) => Slot(*item),
            _ => return Err(self.mismatch("array")),
        };
        self.blocks("an array", |decoder| read(decoder, item))
    }

    /// Reads a map: `read` is called for each key.
    ///
    /// # Errors
    /// Those of `read`; also when the bytes are none.
    pub fn entries(
        &mut self,
        slot: Slot,
        mut read: impl FnMut(&mut Self, &'a str, Slot) -> Result<(), AvroError>,
    ) -> Result<(), AvroError> {
        let value = match self.enter(slot)? {
            Op::Map(value) => Slot(*value),
            _ => return Err(self.mismatch("map")),
        };
        self.blocks("a map", |decoder| {
            let key = decoder.raw_text("a key of a map")?;
            read(decoder, key, value)
        })
    }

    /// Reads the blocks of an array or map.
    fn blocks(
        &mut self,
        what: &'static str,
        mut read: impl FnMut(&mut Self) -> Result<(), AvroError>,
    ) -> Result<(), AvroError> {
        self.deeper(|decoder| {
            loop {
                let count = decoder.block(what)?.0;
                if count == 0 {
                    return Ok(());
                }
                for _ in 0..count {
                    let before = decoder.rest.len();
                    read(decoder)?;
                    if decoder.rest.len() == before {
                        decoder.count_empty(what)?;
                    }
                }
            }
        })
    }

    pub(crate) fn count_empty(&mut self, what: &'static str) -> Result<(), AvroError> {
        self.empty_values += 1;
        match self.empty_values <= EMPTY_VALUES + (self.start - self.rest.len()) {
            true => Ok(()),
            false => {
                let detail = format!(
                    "more than {EMPTY_VALUES} fields and elements in it, beside one for each byte, take no bytes at all"
                );
                Err(AvroError::invalid(what, detail))
            }
        }
    }

    /// The count of the next block, and its bytes where they were written.
    fn block(&mut self, what: &'static str) -> Result<(u64, Option<u64>), AvroError> {
        let count = self.raw_long(what)?;
        if count >= 0 {
            return Ok((count as u64, None));
        }
        let bytes = self.raw_long(what)?;
        match u64::try_from(bytes) {
            Ok(bytes) if bytes <= self.rest.len() as u64 => Ok((count.unsigned_abs(), Some(bytes))),
            Ok(bytes) => Err(self.truncated(bytes, what)),
            Err(_) => Err(AvroError::invalid(what, format!("a block has {bytes} bytes"))),
        }
    }

    /// Reads what is one level deeper.
    #[inline]
    pub(crate) fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, AvroError>,
    ) -> Result<T, AvroError> {
        if self.depth == MAX_DEPTH {
            return Err(AvroError::TooDeep { at: "the value".to_owned() });
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Passes over a value of the writer's schema.
    pub(crate) fn skip(&mut self, node: NodeId) -> Result<(), AvroError> {
        let writer = &self.resolution.writer;
        let mut kind = &writer.node(node).kind;
        // The branch of a union is no level of its own.
        while let Kind::Union(branches) = kind {
            kind = &writer.node(self.branch_of(branches)?.0).kind;
        }
        match kind {
            Kind::Array(items) => self.skip_blocks("an array", None, *items),
            Kind::Map(values) => self.skip_blocks("a map", Some("a key of a map"), *values),
            Kind::Record(record) => self.deeper(|decoder| {
                for field in &record.fields {
                    let before = decoder.rest.len();
                    decoder.skip(field.node)?;
                    if decoder.rest.len() == before {
                        decoder.count_empty("a record")?;
                    }
                }
                Ok(())
            }),
            scalar => self.skip_scalar(scalar),
        }
    }

    fn skip_scalar(&mut self, kind: &Kind) -> Result<(), AvroError> {
        match kind {
            Kind::Boolean => self.take(1, "a boolean").map(drop),
            Kind::Int | Kind::Long | Kind::Enum(_) => self.raw_long("a number").map(drop),
            Kind::Float => self.take(4, "a float").map(drop),
            Kind::Double => self.take(8, "a double").map(drop),
            Kind::Bytes | Kind::String => self.raw_blob("bytes").map(drop),
            Kind::Fixed(_, size) => self.take(*size as u64, "a fixed").map(drop),
            _ => Ok(()),
        }
    }

    /// Passes over the blocks of an array, or of a map, which has keys.
    fn skip_blocks(
        &mut self,
        what: &'static str,
        key: Option<&'static str>,
        element: NodeId,
    ) -> Result<(), AvroError> {
        self.deeper(|decoder| {
            loop {
                match decoder.block(what)? {
                    (0, _) => return Ok(()),
                    (_, Some(bytes)) => {
                        decoder.take(bytes, what)?;
                    }
                    (count, None) => {
                        for _ in 0..count {
                            let before = decoder.rest.len();
                            if let Some(key) = key {
                                decoder.raw_blob(key)?;
                            }
                            decoder.skip(element)?;
                            if decoder.rest.len() == before {
                                decoder.count_empty(what)?;
                            }
                        }
                    }
                }
            }
        })
    }
}
