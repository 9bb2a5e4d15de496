//! [`ContainerWriter`]: writes object container files.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::Write;

use super::{CODEC_KEY, Codec, MAGIC, SCHEMA_KEY};
use crate::avro::bytes::{put_blob, put_long};
use crate::avro::error::AvroError;
use crate::avro::fit::conform;
use crate::avro::readable::check_written;
use crate::avro::schema::AvroSchema;
use crate::avro::specific::schema_of;
use crate::avro::typed::AvroType;
use crate::avro::value::{Value, encode_value};

/// The bytes of a block before it is compressed, as most implementations have it.
const BLOCK_BYTES: usize = 64_000;

/// Writes an object container file, block by block.
///
/// ```
/// use tidemill_serialization::avro::container::{Codec, ContainerReader, ContainerWriter};
/// use tidemill_serialization::avro::schema_of;
///
/// let mut writer = ContainerWriter::new(Vec::new(), &schema_of::<i32>()?).codec(Codec::Deflate);
/// for number in [7, 8] {
///     writer.write(&number)?;
/// }
/// let file = writer.finish()?;
/// assert_eq!(ContainerReader::open(&file[..])?.records::<i32>()?.next_batch(10)?, [7, 8]);
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
pub struct ContainerWriter<W> {
    out: W,
    schema: AvroSchema,
    codec: Codec,
    block_bytes: usize,
    sync: [u8; 16],
    metadata: Vec<(String, Vec<u8>)>,
    header_written: bool,
    block: Vec<u8>,
    count: i64,
    /// The type that was last seen to have the schema of the file.
    checked: Option<std::any::TypeId>,
    /// Whether something could not be written, so that the file ends who knows where.
    failed: bool,
}

impl<W: Write> ContainerWriter<W> {
    /// Begins a file of data of a schema. Nothing is written before the first block is full.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::{ContainerReader, ContainerWriter};
    /// use tidemill_serialization::avro::schema_of;
    ///
    /// let empty = ContainerWriter::new(Vec::new(), &schema_of::<i32>()?).finish()?;
    /// assert!(ContainerReader::open(&empty[..])?.values()?.next_batch(10)?.is_empty());
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    pub fn new(out: W, schema: &AvroSchema) -> Self {
        // Told apart from others is all that the marker of a file must be.
        let half = || RandomState::new().build_hasher().finish().to_le_bytes();
        let mut sync = [0; 16];
        sync[..8].copy_from_slice(&half());
        sync[8..].copy_from_slice(&half());
        Self {
            out,
            schema: schema.clone(),
            codec: Codec::Null,
            block_bytes: BLOCK_BYTES,
            sync,
            metadata: Vec::new(),
            header_written: false,
            block: Vec::new(),
            count: 0,
            checked: None,
            failed: false,
        }
    }

    /// How blocks are compressed. To be set before anything is written.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::{Codec, ContainerReader, ContainerWriter};
    /// use tidemill_serialization::avro::schema_of;
    ///
    /// let file = ContainerWriter::new(Vec::new(), &schema_of::<i32>()?).codec(Codec::Snappy).finish()?;
    /// assert_eq!(ContainerReader::open(&file[..])?.codec(), Codec::Snappy);
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// After how many bytes a block is written, before they are compressed; at least 1.
    #[must_use]
    pub fn block_bytes(mut self, bytes: usize) -> Self {
        self.block_bytes = bytes.max(1);
        self
    }

    /// What stands between blocks. Random unless set, which makes files reproducible.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::ContainerWriter;
    /// use tidemill_serialization::avro::schema_of;
    ///
    /// let schema = schema_of::<i32>()?;
    /// let file = || ContainerWriter::new(Vec::new(), &schema).sync_marker([7; 16]).finish();
    /// assert_eq!(file()?, file()?);
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    #[must_use]
    pub fn sync_marker(mut self, marker: [u8; 16]) -> Self {
        self.sync = marker;
        self
    }

    /// Adds an entry of the program's own to the header.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::{ContainerReader, ContainerWriter};
    /// use tidemill_serialization::avro::schema_of;
    ///
    /// let writer = ContainerWriter::new(Vec::new(), &schema_of::<i32>()?);
    /// let file = writer.metadata("origin", b"JFK")?.finish()?;
    /// assert_eq!(ContainerReader::open(&file[..])?.metadata("origin"), Some(&b"JFK"[..]));
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When the key begins with `avro.`, which is reserved.
    pub fn metadata(mut self, key: &str, value: &[u8]) -> Result<Self, AvroError> {
        if key.starts_with("avro.") {
            return Err(AvroError::container(format!(
                "the key {key} is reserved: choose one that does not begin with avro."
            )));
        }
        self.metadata.push((key.to_owned(), value.to_vec()));
        Ok(self)
    }

    /// Adds a value of a type that has the schema of the file.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::ContainerWriter;
    /// use tidemill_serialization::avro::schema_of;
    ///
    /// let mut writer = ContainerWriter::new(Vec::new(), &schema_of::<i32>()?);
    /// assert!(writer.write(&7i32).is_ok());
    /// assert!(writer.write(&"x".to_owned()).is_err(), "the file holds ints");
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When it has another, could not be [read again](crate::avro::check), or the file cannot be written. After the last of these
    /// nothing more can be written to it.
    pub fn write<T: AvroType>(&mut self, value: &T) -> Result<(), AvroError> {
        let id = std::any::TypeId::of::<T>();
        if self.checked != Some(id) {
            let schema = schema_of::<T>()?;
            if !schema.means_the_same(&self.schema) {
                let differs = match schema.canonical_form() == self.schema.canonical_form() {
                    true => " that has other logical types",
                    false => "",
                };
                return Err(AvroError::container(format!(
                    "it holds {}, a {schema}{differs} cannot be added: begin it with the schema of the type",
                    self.schema
                )));
            }
            self.checked = Some(id);
        }
        self.check_failed()?;
        let start = self.block.len();
        value.encode(&mut self.block);
        if let Err(error) = check_written(&self.schema, &self.block[start..]) {
            self.block.truncate(start);
            return Err(error);
        }
        self.added()
    }

    /// Adds a generic value, which is made to fit the schema.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::ContainerWriter;
    /// use tidemill_serialization::avro::{Value, schema_of};
    ///
    /// let mut writer = ContainerWriter::new(Vec::new(), &schema_of::<i64>()?);
    /// writer.write_value(Value::Int(7))?;
    /// assert!(writer.write_value(Value::Null).is_err());
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When it does not fit, or the file cannot be written.
    pub fn write_value(&mut self, value: Value) -> Result<(), AvroError> {
        self.check_failed()?;
        let value = conform(&self.schema, value)?;
        encode_value(&self.schema, &value, &mut self.block)?;
        self.added()
    }

    /// Adds a value that `encode` appends by the schema of the file, which is not checked.
    pub(in crate::avro) fn write_encoded(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), AvroError> {
        self.check_failed()?;
        encode(&mut self.block);
        self.added()
    }

    /// How many bytes are in the block that is not written yet.
    pub(in crate::avro) fn waiting(&self) -> usize {
        self.block.len()
    }

    /// Where the file is written to.
    pub(in crate::avro) fn get_ref(&self) -> &W {
        &self.out
    }

    fn added(&mut self) -> Result<(), AvroError> {
        self.count += 1;
        match self.block.len() >= self.block_bytes {
            true => self.write_block(),
            false => Ok(()),
        }
    }

    fn check_failed(&self) -> Result<(), AvroError> {
        match self.failed {
            true => Err(AvroError::container(
                "an earlier write to it failed, so that it ends within a block: write it anew",
            )),
            false => Ok(()),
        }
    }

    fn write_block(&mut self) -> Result<(), AvroError> {
        self.check_failed()?;
        let written = self.write_all();
        self.failed = written.is_err();
        written
    }

    fn write_all(&mut self) -> Result<(), AvroError> {
        self.write_header()?;
        if self.count == 0 {
            return Ok(());
        }
        let compressed = self.codec.compress(&self.block)?;
        let mut head = Vec::with_capacity(20);
        put_long(self.count, &mut head);
        put_long(compressed.len() as i64, &mut head);
        self.out.write_all(&head)?;
        self.out.write_all(&compressed)?;
        self.out.write_all(&self.sync)?;
        self.block.clear();
        self.count = 0;
        Ok(())
    }

    fn write_header(&mut self) -> Result<(), AvroError> {
        if self.header_written {
            return Ok(());
        }
        let mut head = MAGIC.to_vec();
        put_long(2 + self.metadata.len() as i64, &mut head);
        let own = [(SCHEMA_KEY, self.schema.json().as_bytes()), (CODEC_KEY, self.codec.name().as_bytes())];
        let others = self.metadata.iter().map(|(key, value)| (key.as_str(), &value[..]));
        for (key, value) in own.into_iter().chain(others) {
            put_blob(key.as_bytes(), &mut head);
            put_blob(value, &mut head);
        }
        head.push(0);
        head.extend_from_slice(&self.sync);
        self.out.write_all(&head)?;
        self.header_written = true;
        Ok(())
    }

    /// Writes what was added so far, as a block.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::ContainerWriter;
    /// use tidemill_serialization::avro::schema_of;
    ///
    /// let mut file = Vec::new();
    /// let mut writer = ContainerWriter::new(&mut file, &schema_of::<i32>()?);
    /// writer.write(&7)?;
    /// writer.flush()?;
    /// drop(writer);
    /// assert!(!file.is_empty());
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> Result<(), AvroError> {
        self.write_block()?;
        let flushed = self.out.flush();
        self.failed = flushed.is_err();
        Ok(flushed?)
    }

    /// Writes the last block. A file without it is whole but for what was added last.
    ///
    /// ```
    /// use tidemill_serialization::avro::container::ContainerWriter;
    /// use tidemill_serialization::avro::schema_of;
    ///
    /// let file = ContainerWriter::new(Vec::new(), &schema_of::<i32>()?).finish()?;
    /// assert!(file.starts_with(b"Obj\x01"));
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<W, AvroError> {
        self.flush()?;
        Ok(self.out)
    }
}
