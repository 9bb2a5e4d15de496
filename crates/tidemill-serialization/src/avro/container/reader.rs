//! [`ContainerReader`]: reads object container files, which may come from anywhere.

use std::fmt;
use std::io::{ErrorKind, Read};

use super::{CODEC_KEY, Codec, MAGIC, SCHEMA_KEY};
use crate::avro::bytes::{Wrong, take_long};
use crate::avro::decoder::Decoder;
use crate::avro::error::AvroError;
use crate::avro::resolution::Resolution;
use crate::avro::schema::AvroSchema;
use crate::avro::specific::AvroReader;
use crate::avro::typed::AvroType;
use crate::avro::value::{self, Value};

/// What a file may claim.
///
/// ```
/// use tidemill_serialization::avro::container::{ContainerReader, Limits};
///
/// # let mut writer = tidemill_serialization::avro::container::ContainerWriter::new(
/// #     Vec::new(),
/// #     &tidemill_serialization::avro::schema_of::<i32>()?,
/// # );
/// # writer.write(&7i32)?;
/// # writer.write(&8i32)?;
/// let file = writer.finish()?;
/// let limits = Limits { header_bytes: 10, ..Limits::default() };
/// assert!(ContainerReader::open_with(&file[..], limits).is_err(), "the header is longer");
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of a block, compressed or not. 64 MiB unless set.
    pub block_bytes: usize,
    /// The bytes of the header, which has the schema. 4 MiB unless set.
    pub header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { block_bytes: 64 << 20, header_bytes: 4 << 20 }
    }
}

/// The header of an object container file that was read. How its data are read is chosen next.
///
/// ```
/// use tidemill_serialization::avro::container::ContainerReader;
///
/// # let mut writer = tidemill_serialization::avro::container::ContainerWriter::new(
/// #     Vec::new(),
/// #     &tidemill_serialization::avro::schema_of::<i32>()?,
/// # );
/// # writer.write(&7i32)?;
/// # writer.write(&8i32)?;
/// let file = writer.finish()?;
/// let reader = ContainerReader::open(&file[..])?;
/// assert_eq!(reader.schema().json(), r#""int""#);
/// assert_eq!(reader.records::<i64>()?.next_batch(10)?, [7, 8], "an int can be read as a long");
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
pub struct ContainerReader<R> {
    input: R,
    limits: Limits,
    schema: AvroSchema,
    codec: Codec,
    sync: [u8; 16],
    metadata: Vec<(String, Vec<u8>)>,
}

impl<R: Read> ContainerReader<R> {
    /// Reads the header. The input should be buffered.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::ContainerReader;
    ///
    /// # let mut writer = tidemill_serialization::avro::container::ContainerWriter::new(
    /// #     Vec::new(),
    /// #     &tidemill_serialization::avro::schema_of::<i32>()?,
    /// # );
    /// # writer.write(&7i32)?;
    /// # writer.write(&8i32)?;
    /// let file = writer.finish()?;
    /// assert!(ContainerReader::open(&file[..]).is_ok());
    /// assert!(ContainerReader::open(&b"{}"[..]).is_err());
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When it is no such file, or cannot be read.
    pub fn open(input: R) -> Result<Self, AvroError> {
        Self::open_with(input, Limits::default())
    }

    /// As [`open`](Self::open), with limits other than the usual ones.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(mut input: R, limits: Limits) -> Result<Self, AvroError> {
        let mut magic = [0; 4];
        input.read_exact(&mut magic).map_err(ended("the beginning"))?;
        if magic != MAGIC {
            return Err(AvroError::container(format!("it begins with {magic:02x?}, not with {MAGIC:02x?}")));
        }
        let mut header = Header { input: &mut input, left: limits.header_bytes };
        let mut metadata: Vec<(String, Vec<u8>)> = Vec::new();
        loop {
            let mut count = header.long()?;
            if count < 0 {
                header.long()?;
                count = count.saturating_neg();
            }
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let key = String::from_utf8(header.blob()?);
                let key = key.map_err(|_| AvroError::container("a key of its header is no UTF-8"))?;
                metadata.push((key, header.blob()?));
            }
        }
        let mut sync = [0; 16];
        input.read_exact(&mut sync).map_err(ended("the header"))?;
        let entry = |key: &str| metadata.iter().find(|(known, _)| known == key).map(|(_, value)| &value[..]);
        let text = |key: &str| match entry(key).map(std::str::from_utf8) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(AvroError::container(format!("{key} in its header is no UTF-8"))),
        };
        let schema = text(SCHEMA_KEY)?.ok_or_else(|| AvroError::container("its header has no schema"))?;
        let schema = AvroSchema::parse_writer(schema)?;
        let codec = match text(CODEC_KEY)? {
            None | Some("") => Codec::Null,
            Some(name) => Codec::of_name(name)?,
        };
        Ok(Self { input, limits, schema, codec, sync, metadata })
    }

    /// The schema that the data were written with.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::ContainerReader;
    ///
    /// # let mut writer = tidemill_serialization::avro::container::ContainerWriter::new(
    /// #     Vec::new(),
    /// #     &tidemill_serialization::avro::schema_of::<i32>()?,
    /// # );
    /// # writer.write(&7i32)?;
    /// # writer.write(&8i32)?;
    /// let file = writer.finish()?;
    /// assert_eq!(ContainerReader::open(&file[..])?.schema().name(), "int");
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    pub fn schema(&self) -> &AvroSchema {
        &self.schema
    }

    /// How blocks are compressed.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::{Codec, ContainerReader};
    ///
    /// # let mut writer = tidemill_serialization::avro::container::ContainerWriter::new(
    /// #     Vec::new(),
    /// #     &tidemill_serialization::avro::schema_of::<i32>()?,
    /// # );
    /// # writer.write(&7i32)?;
    /// # writer.write(&8i32)?;
    /// let file = writer.finish()?;
    /// assert_eq!(ContainerReader::open(&file[..])?.codec(), Codec::Null);
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// An entry of the header.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::ContainerReader;
    ///
    /// # let mut writer = tidemill_serialization::avro::container::ContainerWriter::new(
    /// #     Vec::new(),
    /// #     &tidemill_serialization::avro::schema_of::<i32>()?,
    /// # );
    /// # writer.write(&7i32)?;
    /// # writer.write(&8i32)?;
    /// let file = writer.finish()?;
    /// assert_eq!(ContainerReader::open(&file[..])?.metadata("avro.schema"), Some(&br#""int""#[..]));
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    pub fn metadata(&self, key: &str) -> Option<&[u8]> {
        self.metadata.iter().find(|(known, _)| known == key).map(|(_, value)| &value[..])
    }

    /// Reads values of a type, whatever schema of its past they were written with.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::ContainerReader;
    ///
    /// # let mut writer = tidemill_serialization::avro::container::ContainerWriter::new(
    /// #     Vec::new(),
    /// #     &tidemill_serialization::avro::schema_of::<i32>()?,
    /// # );
    /// # writer.write(&7i32)?;
    /// # writer.write(&8i32)?;
    /// let file = writer.finish()?;
    /// assert_eq!(ContainerReader::open(&file[..])?.records::<i32>()?.next_batch(10)?, [7, 8]);
    /// assert!(ContainerReader::open(&file[..])?.records::<String>().is_err());
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When the type cannot be made of all that the schema of the file allows.
    pub fn records<T: AvroType>(self) -> Result<RecordReader<R, T>, AvroError> {
        let reader = AvroReader::new(&self.schema)?;
        Ok(RecordReader { blocks: self.blocks(), reader })
    }

    /// Reads generic values by the schema of the file.
    ///
    /// ```
    /// use tidemill_serialization::avro::Value;
    /// use tidemill_serialization::avro::container::ContainerReader;
    ///
    /// # let mut writer = tidemill_serialization::avro::container::ContainerWriter::new(
    /// #     Vec::new(),
    /// #     &tidemill_serialization::avro::schema_of::<i32>()?,
    /// # );
    /// # writer.write(&7i32)?;
    /// # writer.write(&8i32)?;
    /// let file = writer.finish()?;
    /// let values = ContainerReader::open(&file[..])?.values()?.next_batch(10)?;
    /// assert_eq!(values, [Value::Int(7), Value::Int(8)]);
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When the schema is too large.
    pub fn values(self) -> Result<ValueReader<R>, AvroError> {
        let schema = self.schema.clone();
        self.values_as(&schema)
    }

    /// Reads generic values by a schema of the program.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::ContainerReader;
    /// use tidemill_serialization::avro::{AvroSchema, Value};
    ///
    /// # let mut writer = tidemill_serialization::avro::container::ContainerWriter::new(
    /// #     Vec::new(),
    /// #     &tidemill_serialization::avro::schema_of::<i32>()?,
    /// # );
    /// # writer.write(&7i32)?;
    /// # writer.write(&8i32)?;
    /// let file = writer.finish()?;
    /// let long = AvroSchema::parse(r#""long""#)?;
    /// let values = ContainerReader::open(&file[..])?.values_as(&long)?.next_batch(10)?;
    /// assert_eq!(values, [Value::Long(7), Value::Long(8)]);
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When not all that the schema of the file allows can be read with it.
    pub fn values_as(self, reader: &AvroSchema) -> Result<ValueReader<R>, AvroError> {
        let resolution = Resolution::new(&self.schema, reader)?;
        resolution.check()?;
        Ok(ValueReader { blocks: self.blocks(), resolution })
    }

    pub(in crate::avro) fn blocks(self) -> Blocks<R> {
        Blocks {
            input: self.input,
            limits: self.limits,
            codec: self.codec,
            sync: self.sync,
            raw: Vec::new(),
            data: Vec::new(),
            at: 0,
            left: 0,
            empty: 0,
            failed: false,
        }
    }
}

impl<R> fmt::Debug for ContainerReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContainerReader({}, {})", self.schema, self.codec.name())
    }
}

fn ended(what: &'static str) -> impl Fn(std::io::Error) -> AvroError {
    move |error| match error.kind() {
        ErrorKind::UnexpectedEof => AvroError::container(format!("it ends within {what}")),
        _ => AvroError::Io(error),
    }
}

/// Reads the header, whose lengths are not believed.
struct Header<'a, R> {
    input: &'a mut R,
    left: usize,
}

impl<R: Read> Header<'_, R> {
    fn long(&mut self) -> Result<i64, AvroError> {
        let number = read_long(self.input, "the header")?;
        self.charge(1)?;
        number.ok_or_else(|| AvroError::container("it ends within the header"))
    }

    fn charge(&mut self, bytes: usize) -> Result<(), AvroError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(AvroError::container("its header is larger than the limit")),
        }
    }

    fn blob(&mut self) -> Result<Vec<u8>, AvroError> {
        let length = self.long()?;
        let length = usize::try_from(length)
            .map_err(|_| AvroError::container("a length in its header is negative"))?;
        self.charge(length)?;
        let mut bytes = Vec::new();
        read_bytes(self.input, length, &mut bytes, "the header")?;
        Ok(bytes)
    }
}

/// Reads a number; `None` where the input ends before it.
fn read_long(input: &mut impl Read, what: &'static str) -> Result<Option<i64>, AvroError> {
    let mut bytes = [0; 10];
    for i in 0..bytes.len() {
        let mut byte = [0];
        match input.read_exact(&mut byte) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && i == 0 => return Ok(None),
            Err(error) => return Err(ended(what)(error)),
        }
        bytes[i] = byte[0];
        match take_long(&mut &bytes[..=i]) {
            Ok(number) => return Ok(Some(number)),
            Err(Wrong::Truncated) => {}
            Err(Wrong::TooLong) => break,
        }
    }
    Err(AvroError::container(format!("a number in {what} has more than 64 bits")))
}

/// Reads exactly so many bytes; memory grows as they come.
fn read_bytes(
    input: &mut impl Read,
    count: usize,
    out: &mut Vec<u8>,
    what: &'static str,
) -> Result<(), AvroError> {
    out.clear();
    let read = input.take(count as u64).read_to_end(out)?;
    match read == count {
        true => Ok(()),
        false => Err(AvroError::container(format!(
            "it ends within {what}: {count} bytes were to come, {read} did"
        ))),
    }
}

/// The blocks of a file, one after the other.
pub(in crate::avro) struct Blocks<R> {
    pub(in crate::avro) input: R,
    limits: Limits,
    codec: Codec,
    sync: [u8; 16],
    /// As in the file.
    raw: Vec<u8>,
    /// Decompressed.
    data: Vec<u8>,
    /// How much of `data` was read.
    at: usize,
    /// How many values of the block are to come.
    pub(in crate::avro) left: u64,
    /// How many values took no bytes.
    empty: usize,
    failed: bool,
}

/// As many values may take no bytes at all, such as nulls, in one file.
pub(in crate::avro) const EMPTY_VALUES: usize = 1 << 20;

impl<R> Blocks<R> {
    /// What has not been read of the block.
    pub(in crate::avro) fn rest(&self) -> &[u8] {
        &self.data[self.at..]
    }

    /// So many values were read, and so many bytes of the block are left.
    pub(in crate::avro) fn passed(&mut self, values: u64, rest: usize) {
        self.left -= values;
        self.at = self.data.len() - rest;
    }

    /// Forgets the block: another one follows.
    pub(in crate::avro) fn forget(&mut self) {
        (self.at, self.left) = (0, 0);
        self.data.clear();
    }
}

impl<R: Read> Blocks<R> {
    /// Goes on to the next block if this one is read; whether there is one.
    pub(in crate::avro) fn advance(&mut self) -> Result<bool, AvroError> {
        while self.left == 0 {
            if self.at < self.data.len() {
                let rest = self.data.len() - self.at;
                return Err(AvroError::container(format!("{rest} bytes follow the last value of a block")));
            }
            let Some(count) = read_long(&mut self.input, "a block")? else { return Ok(false) };
            let size = read_long(&mut self.input, "a block")?;
            let size = size.ok_or_else(|| AvroError::container("it ends within a block"))?;
            let (Ok(count), Ok(size)) = (u64::try_from(count), usize::try_from(size)) else {
                return Err(AvroError::container(format!("a block has {count} values in {size} bytes")));
            };
            if size > self.limits.block_bytes {
                let limit = self.limits.block_bytes;
                return Err(AvroError::container(format!(
                    "a block has {size} bytes, at most {limit} are read: raise the limit if the file can be trusted"
                )));
            }
            let into = if self.codec == Codec::Null { &mut self.data } else { &mut self.raw };
            read_bytes(&mut self.input, size, into, "a block")?;
            let mut sync = [0; 16];
            self.input.read_exact(&mut sync).map_err(ended("a block"))?;
            if sync != self.sync {
                return Err(AvroError::container("the marker behind a block is wrong: the block is damaged"));
            }
            if self.codec != Codec::Null {
                self.codec.decompress(&self.raw, self.limits.block_bytes, &mut self.data)?;
            }
            (self.at, self.left) = (0, count);
        }
        Ok(true)
    }

    /// Reads up to `most` values with `read`.
    fn batch<T>(
        &mut self,
        most: usize,
        resolution: &Resolution,
        mut read: impl FnMut(&mut Decoder<'_>) -> Result<T, AvroError>,
    ) -> Result<Vec<T>, AvroError> {
        if self.failed {
            return Err(AvroError::container("it was damaged before here"));
        }
        let mut values = Vec::new();
        let result = self.read_into(most, resolution, &mut read, &mut values);
        self.failed = result.is_err();
        result.map(|()| values)
    }

    fn read_into<T>(
        &mut self,
        most: usize,
        resolution: &Resolution,
        read: &mut impl FnMut(&mut Decoder<'_>) -> Result<T, AvroError>,
        values: &mut Vec<T>,
    ) -> Result<(), AvroError> {
        while values.len() < most && self.advance()? {
            let mut decoder = Decoder::new(resolution, &self.data[self.at..]);
            while self.left > 0 && values.len() < most {
                // Each by itself: how many values a block has is nobody's concern.
                decoder.begin();
                let before = decoder.rest().len();
                values.push(read(&mut decoder)?);
                if decoder.rest().len() == before {
                    self.empty += 1;
                    if self.empty > EMPTY_VALUES {
                        let text = format!("more than {EMPTY_VALUES} of its values take no bytes at all");
                        return Err(AvroError::container(text));
                    }
                }
                self.left -= 1;
            }
            self.at = self.data.len() - decoder.rest().len();
        }
        Ok(())
    }
}

/// Reads the values of a file as those of a type. Made by [`ContainerReader::records`].
///
/// ```
/// use tidemill_serialization::avro::container::ContainerReader;
///
/// # let mut writer = tidemill_serialization::avro::container::ContainerWriter::new(
/// #     Vec::new(),
/// #     &tidemill_serialization::avro::schema_of::<i32>()?,
/// # );
/// # writer.write(&7i32)?;
/// # writer.write(&8i32)?;
/// let file = writer.finish()?;
/// let mut records = ContainerReader::open(&file[..])?.records::<i32>()?;
/// let mut sum = 0;
/// loop {
///     let batch = records.next_batch(1000)?;
///     if batch.is_empty() {
///         break;
///     }
///     sum += batch.iter().sum::<i32>();
/// }
/// assert_eq!(sum, 15);
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
pub struct RecordReader<R, T> {
    blocks: Blocks<R>,
    reader: AvroReader<T>,
}

impl<R: Read, T: AvroType> RecordReader<R, T> {
    /// The next values, at most so many; none at the end.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::ContainerReader;
    ///
    /// # let mut writer = tidemill_serialization::avro::container::ContainerWriter::new(
    /// #     Vec::new(),
    /// #     &tidemill_serialization::avro::schema_of::<i32>()?,
    /// # );
    /// # writer.write(&7i32)?;
    /// # writer.write(&8i32)?;
    /// let file = writer.finish()?;
    /// let mut records = ContainerReader::open(&file[..])?.records::<i32>()?;
    /// assert_eq!((records.next_batch(1)?, records.next_batch(10)?), (vec![7], vec![8]));
    /// assert!(records.next_batch(10)?.is_empty());
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When the file is damaged or cannot be read; whatever follows is lost.
    pub fn next_batch(&mut self, most: usize) -> Result<Vec<T>, AvroError> {
        self.blocks.batch(most, self.reader.resolution(), |decoder| {
            let root = decoder.root();
            T::decode(decoder, root)
        })
    }
}

/// Reads the values of a file as generic ones. Made by [`ContainerReader::values`].
///
/// ```
/// use tidemill_serialization::avro::Value;
/// use tidemill_serialization::avro::container::ContainerReader;
///
/// # let mut writer = tidemill_serialization::avro::container::ContainerWriter::new(
/// #     Vec::new(),
/// #     &tidemill_serialization::avro::schema_of::<i32>()?,
/// # );
/// # writer.write(&7i32)?;
/// # writer.write(&8i32)?;
/// let file = writer.finish()?;
/// let mut values = ContainerReader::open(&file[..])?.values()?;
/// assert_eq!(values.next_batch(1)?, [Value::Int(7)]);
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
pub struct ValueReader<R> {
    blocks: Blocks<R>,
    resolution: Resolution,
}

impl<R: Read> ValueReader<R> {
    /// The next values, at most so many; none at the end.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::ContainerReader;
    ///
    /// # let mut writer = tidemill_serialization::avro::container::ContainerWriter::new(
    /// #     Vec::new(),
    /// #     &tidemill_serialization::avro::schema_of::<i32>()?,
    /// # );
    /// # writer.write(&7i32)?;
    /// # writer.write(&8i32)?;
    /// let file = writer.finish()?;
    /// let mut values = ContainerReader::open(&file[..])?.values()?;
    /// assert_eq!((values.next_batch(10)?.len(), values.next_batch(10)?.len()), (2, 0));
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When the file is damaged or cannot be read; whatever follows is lost.
    pub fn next_batch(&mut self, most: usize) -> Result<Vec<Value>, AvroError> {
        self.blocks.batch(most, &self.resolution, value::value)
    }
}
