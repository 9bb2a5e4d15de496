//! One column as it is: each line of a file is the bytes of one value.

use arrow_schema::{DataType, SchemaRef};

use crate::cells::{Cells, Node, Tree};
use crate::error::ConnectorError;
use crate::file::input::{ByteInput, Line};
use crate::format::columns::Columns;
use crate::format::text::BadValue;
use crate::format::{Decoded, Decoder, MAX_RECORD_BYTES, Malformed};

/// How the bytes of a value are read and written.
///
/// ```
/// use tidemill_connectors::RawOptions;
///
/// let numbers = RawOptions::new().little_endian(true);
/// # let _ = numbers;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RawOptions {
    little_endian: bool,
}

impl RawOptions {
    /// Text in UTF-8, numbers with their highest byte first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the lowest byte of a number comes first (`raw.endianness`).
    pub fn little_endian(mut self, yes: bool) -> Self {
        self.little_endian = yes;
        self
    }

    /// Appends the bytes of a value; NULL has none.
    pub(crate) fn encode(self, tree: &Tree<'_>, row: usize, out: &mut Vec<u8>) {
        let Node::Single(cells) = &tree.node else { return };
        if tree.is_null(row) {
            return;
        }
        let from = out.len();
        match cells {
            Cells::Text(all) => return out.extend_from_slice(all.value(row).as_bytes()),
            Cells::Binary(all) => return out.extend_from_slice(all.value(row)),
            Cells::Boolean(all) => out.push(u8::from(all.value(row))),
            Cells::Int8(all) => out.extend_from_slice(&all[row].to_be_bytes()),
            Cells::Int16(all) => out.extend_from_slice(&all[row].to_be_bytes()),
            Cells::Int32(all) => out.extend_from_slice(&all[row].to_be_bytes()),
            Cells::Int64(all) => out.extend_from_slice(&all[row].to_be_bytes()),
            Cells::Float32(all) => out.extend_from_slice(&all[row].to_be_bytes()),
            Cells::Float64(all) => out.extend_from_slice(&all[row].to_be_bytes()),
            // Refused by `validate`.
            _ => {}
        }
        if self.little_endian {
            out[from..].reverse();
        }
    }
}

/// That there is one column, of a type whose values are bytes.
pub(crate) fn validate(schema: &SchemaRef) -> Result<(), ConnectorError> {
    match &schema.fields()[..] {
        // Nothing of a file may be asked for.
        [] => Ok(()),
        [field] => match field.data_type() {
            DataType::Utf8
            | DataType::Binary
            | DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64 => Ok(()),
            other => Err(ConnectorError::UnsupportedType {
                column: field.name().clone(),
                data_type: other.to_string(),
                format: "raw",
                supported: "STRING, BYTES, BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE",
            }),
        },
        fields => Err(ConnectorError::InvalidOption(format!(
            "the format 'raw' has one column, the table has {} beside its partitions",
            fields.len()
        ))),
    }
}

pub(crate) struct RawDecoder {
    options: RawOptions,
}

impl RawDecoder {
    pub(crate) fn new(options: &RawOptions) -> Self {
        Self { options: *options }
    }
}

impl Decoder for RawDecoder {
    fn read_header(&mut self, _: &mut ByteInput) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn decode(
        &mut self,
        input: &mut ByteInput,
        end: u64,
        columns: &mut Columns,
    ) -> Result<Decoded, ConnectorError> {
        let (offset, lines_before) = (input.offset(), input.line);
        if offset >= end {
            return Ok(Decoded::End);
        }
        let malformed = |column, problem: String| {
            Decoded::Malformed(Malformed { lines_before, offset, column, problem, skippable: false })
        };
        let length = match input.find_line()? {
            Line::End => return Ok(Decoded::End),
            Line::TooLong => {
                return Ok(malformed(None, format!("the line has more than {MAX_RECORD_BYTES} bytes")));
            }
            Line::Of(length) => length,
        };
        let mut problem: Option<BadValue> = None;
        let line = &input.available()[..length];
        if let Some(column) = columns.fields.columns.first_mut() {
            problem = column.push_bytes(line, self.options.little_endian).err();
        }
        input.consume_line(length);
        if let Some(problem) = problem {
            columns.abandon_row();
            let column = columns.fields.columns.first().map(|column| std::sync::Arc::clone(&column.name));
            return Ok(malformed(column, problem.to_string()));
        }
        columns.end_row();
        Ok(Decoded::Row)
    }
}
