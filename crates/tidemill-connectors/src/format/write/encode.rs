//! The rows of a batch, column by column downcast once, as lines.

use arrow_array::RecordBatch;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{CsvOutput, JsonOutput, OutputFormat};
use crate::cells::{Cell, Node, Tree, range};
use crate::error::ConnectorError;

/// Encodes the rows of one batch.
pub(crate) struct RowEncoder<'a> {
    format: &'a OutputFormat,
    /// Each with the name that is written before its values.
    columns: Vec<(Vec<u8>, Tree<'a>)>,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    base64: Vec<u8>,
    /// The parts of an array or a row, before they are quoted as one field.
    field: Vec<u8>,
}

impl<'a> RowEncoder<'a> {
    pub(crate) fn new(format: &'a OutputFormat, batch: &'a RecordBatch) -> Result<Self, ConnectorError> {
        let wrong = |reason: String| ConnectorError::WrongInput { sink: "file", reason };
        let label: &dyn Fn(&str) -> Vec<u8> = match format {
            OutputFormat::Json(_) => &json_name,
            _ => &|_| Vec::new(),
        };
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            let tree = Tree::of(array.as_ref(), label).ok_or_else(|| {
                wrong(format!("column '{}' has the type {}", field.name(), field.data_type()))
            })?;
            columns.push((label(field.name()), tree));
        }
        Ok(Self { format, columns, scratch: Scratch::default() })
    }

    /// Appends a row with its newline.
    pub(crate) fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        match self.format {
            OutputFormat::Csv(csv) => {
                for (index, (_, tree)) in self.columns.iter().enumerate() {
                    if index > 0 {
                        out.push(csv.delimiter as u8);
                    }
                    csv.field(tree, row, &mut self.scratch, out);
                }
            }
            OutputFormat::Json(json) => json.object(&self.columns, row, &mut self.scratch.base64, out),
            OutputFormat::Raw(raw) => {
                for (_, tree) in &self.columns {
                    raw.encode(tree, row, out);
                }
            }
            // Written as columns.
            OutputFormat::Avro(_) | OutputFormat::Parquet(_) => return,
        }
        out.push(b'\n');
    }
}

fn base64(bytes: &[u8], scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    scratch.resize(bytes.len().div_ceil(3) * 4, 0);
    if let Ok(length) = BASE64.encode_slice(bytes, scratch) {
        out.extend_from_slice(&scratch[..length]);
    }
}

fn json_text(text: &str, out: &mut Vec<u8>) {
    // A string can always be written.
    let _ = serde_json::to_writer(out, text);
}

fn json_name(name: &str) -> Vec<u8> {
    let mut text = Vec::new();
    json_text(name, &mut text);
    text.push(b':');
    text
}

impl JsonOutput {
    fn object(&self, fields: &[(Vec<u8>, Tree<'_>)], row: usize, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut is_first = true;
        for (name, tree) in fields {
            if self.ignore_null_fields && tree.is_null(row) {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            out.extend_from_slice(name);
            self.value(tree, row, scratch, out);
        }
        out.push(b'}');
    }

    fn value(&self, tree: &Tree<'_>, row: usize, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        if tree.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match &tree.node {
            Node::Single(cells) => {
                let from = out.len();
                match cells.write(row, self.style, out) {
                    Cell::Number | Cell::Boolean => {}
                    Cell::Plain => {
                        out.insert(from, b'"');
                        out.push(b'"');
                    }
                    Cell::Text(text) => json_text(text, out),
                    Cell::Binary(bytes) => {
                        out.push(b'"');
                        base64(bytes, scratch, out);
                        out.push(b'"');
                    }
                }
            }
            Node::Row(fields) => self.object(fields, row, scratch, out),
            Node::List { ends, item } => {
                out.push(b'[');
                for (index, element) in range(ends, row).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    self.value(item, element, scratch, out);
                }
                out.push(b']');
            }
            Node::Map { ends, keys, values } => {
                out.push(b'{');
                for (index, entry) in range(ends, row).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    // Keys are text, and in columns never NULL.
                    self.value(keys, entry, scratch, out);
                    out.push(b':');
                    self.value(values, entry, scratch, out);
                }
                out.push(b'}');
            }
        }
    }
}

impl CsvOutput {
    fn field(&self, tree: &Tree<'_>, row: usize, scratch: &mut Scratch, out: &mut Vec<u8>) {
        if tree.is_null(row) {
            out.extend_from_slice(self.null_literal.as_bytes());
            return;
        }
        match &tree.node {
            Node::Single(cells) => match cells.write(row, self.style, out) {
                Cell::Text(text) => self.text(text.as_bytes(), out),
                Cell::Binary(bytes) => base64(bytes, &mut scratch.base64, out),
                Cell::Number | Cell::Boolean | Cell::Plain => {}
            },
            nested => {
                let mut field = std::mem::take(&mut scratch.field);
                field.clear();
                self.parts(nested, row, &mut scratch.base64, &mut field);
                self.text(&field, out);
                scratch.field = field;
            }
        }
    }

    /// The parts of an array or a row as one text.
    fn parts(&self, node: &Node<'_>, row: usize, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        let between = self.array_element_delimiter.as_bytes();
        match node {
            Node::List { ends, item } => {
                for (index, element) in range(ends, row).enumerate() {
                    out.extend_from_slice(if index > 0 { between } else { b"" });
                    self.part(item, element, scratch, out);
                }
            }
            Node::Row(fields) => {
                for (index, (_, field)) in fields.iter().enumerate() {
                    out.extend_from_slice(if index > 0 { between } else { b"" });
                    self.part(field, row, scratch, out);
                }
            }
            // Not in schemas that were found valid.
            Node::Map { .. } | Node::Single(_) => {}
        }
    }

    fn part(&self, tree: &Tree<'_>, row: usize, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        match &tree.node {
            _ if tree.is_null(row) => out.extend_from_slice(self.null_literal.as_bytes()),
            Node::Single(cells) => match cells.write(row, self.style, out) {
                Cell::Text(text) => out.extend_from_slice(text.as_bytes()),
                Cell::Binary(bytes) => base64(bytes, scratch, out),
                Cell::Number | Cell::Boolean | Cell::Plain => {}
            },
            nested => self.parts(nested, row, scratch, out),
        }
    }

    /// Appends a field, in quotes if it needs them.
    pub(super) fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        let Some(quote) = self.quote.map(|quote| quote as u8) else {
            out.extend_from_slice(text);
            return;
        };
        let (delimiter, escape) = (self.delimiter as u8, self.escape.map(|escape| escape as u8));
        let special = |byte: &u8| {
            *byte == delimiter || *byte == quote || matches!(byte, b'\n' | b'\r') || Some(*byte) == escape
        };
        if !text.iter().any(special) {
            out.extend_from_slice(text);
            return;
        }
        out.push(quote);
        for byte in text {
            if *byte == quote || Some(*byte) == escape {
                out.push(escape.unwrap_or(quote));
            }
            out.push(*byte);
        }
        out.push(quote);
    }
}
