//! [`ColumnReader`]: reads a file into batches, from any place where it has been before.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

use super::build::{Column, read_row};
use super::guide::Guided;
use crate::avro::container::{Blocks, ContainerReader, EMPTY_VALUES};
use crate::avro::decoder::Decoder;
use crate::avro::error::AvroError;
use crate::avro::resolution::Resolution;
use crate::avro::schema::AvroSchema;

/// Counts the bytes that were read.
struct Counted<R> {
    input: R,
    at: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Reads the records of a file as rows of columns: those of a table, found by their names; what the file does not have is NULL.
///
/// The example of the [module](super) reads with it.
pub struct ColumnReader<R> {
    blocks: Blocks<Counted<R>>,
    resolution: Resolution,
    schema: SchemaRef,
    columns: Vec<Column>,
    /// Where the block begins that is being read, and how many values of it were.
    block: u64,
    in_block: u64,
    /// How many records took no bytes.
    empty: usize,
}

impl<R: Read + Seek> ColumnReader<R> {
    /// Opens a file at its first record. The input should be buffered.
    ///
    /// # Errors
    /// When it is no such file, or its records cannot be read as rows of these columns.
    pub fn open(input: R, schema: &SchemaRef) -> Result<Self, AvroError> {
        let reader = ContainerReader::open(Counted { input, at: 0 })?;
        let (json, guides) = Guided::new(reader.schema()).root(schema.fields())?;
        let wanted = AvroSchema::parse(&json.to_string())?;
        let resolution = Resolution::new(reader.schema(), &wanted)?;
        // A record that may be null is read as long as it is not.
        let wrong = resolution.doubts().iter().find(|doubt| doubt.stored != "null");
        if let Some(doubt) = wrong {
            let column = doubt.path.split_once('.').map_or("", |(_, column)| column);
            return Err(AvroError::schema(format!(
                "'{column}' was written as {}, the column is {}",
                doubt.stored, doubt.declared
            )));
        }
        let columns = Column::all(schema.fields(), &guides)?;
        let blocks = reader.blocks();
        let block = blocks.input.at;
        Ok(Self { blocks, resolution, schema: Arc::clone(schema), columns, block, in_block: 0, empty: 0 })
    }

    /// Where the next record is: the place of its block in the file, and how many records of the block are before it.
    pub fn place(&self) -> (u64, u64) {
        match self.blocks.left {
            0 => (self.blocks.input.at, 0),
            _ => (self.block, self.in_block),
        }
    }

    /// How many bytes of the file were read.
    pub fn bytes(&self) -> u64 {
        self.blocks.input.at
    }

    /// Goes to a place where a reader of this file has been.
    ///
    /// # Errors
    /// When the file has no such place any more.
    pub fn seek(&mut self, block: u64, records: u64) -> Result<(), AvroError> {
        self.blocks.input.input.seek(SeekFrom::Start(block)).map_err(AvroError::Io)?;
        self.blocks.input.at = block;
        self.blocks.forget();
        (self.block, self.in_block) = (block, 0);
        let mut left = usize::try_from(records).unwrap_or(usize::MAX);
        while left > 0 {
            let passed = self.read(left.min(8192))?;
            self.finish(passed)?;
            if passed == 0 {
                return Err(AvroError::container("it has fewer records than were read of it"));
            }
            left -= passed;
        }
        Ok(())
    }

    /// The next rows, at most so many; none at the end.
    ///
    /// # Errors
    /// When the file is damaged, or has a value that its column has not.
    pub fn next_batch(&mut self, most: usize) -> Result<Option<RecordBatch>, AvroError> {
        match self.read(most.max(1))? {
            0 => Ok(None),
            rows => self.finish(rows).map(Some),
        }
    }

    fn read(&mut self, most: usize) -> Result<usize, AvroError> {
        let mut rows = 0;
        while rows < most {
            if self.blocks.left == 0 {
                self.block = self.blocks.input.at;
                self.in_block = 0;
                if !self.blocks.advance()? {
                    break;
                }
            }
            let mut decoder = Decoder::new(&self.resolution, self.blocks.rest());
            let mut read = 0;
            while read < self.blocks.left && rows < most {
                decoder.begin();
                let before = decoder.rest().len();
                let root = decoder.root();
                read_row(&mut self.columns, &mut decoder, root)?;
                if decoder.rest().len() == before {
                    self.empty += 1;
                    if self.empty > EMPTY_VALUES {
                        let text = format!("more than {EMPTY_VALUES} of its records take no bytes at all");
                        return Err(AvroError::container(text));
                    }
                }
                read += 1;
                rows += 1;
            }
            let rest = decoder.rest().len();
            self.blocks.passed(read, rest);
            self.in_block += read;
        }
        Ok(rows)
    }

    fn finish(&mut self, rows: usize) -> Result<RecordBatch, AvroError> {
        let columns = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>, _>>()?;
        for (field, column) in self.schema.fields().iter().zip(&columns) {
            if !field.is_nullable() && column.null_count() > 0 {
                let text = format!("'{}' is NULL, which the column must not be", field.name());
                return Err(AvroError::container(text));
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| AvroError::schema(error.to_string()))
    }
}

impl<R> fmt::Debug for ColumnReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ColumnReader({})", self.resolution.writer())
    }
}
