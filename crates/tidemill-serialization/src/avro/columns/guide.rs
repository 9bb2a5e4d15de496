//! What the types of a file mean for the columns that are read of it, and the reader's schema that follows.

use arrow_schema::{DataType, Field, Fields, TimeUnit};
use serde_json::{Value as Json, json};

use super::entry_fields;
use crate::avro::error::AvroError;
use crate::avro::schema::{AvroSchema, Kind, Logical, NodeId};

/// What a column is made of.
#[derive(Debug, PartialEq)]
pub(super) enum Guide {
    /// As it is.
    Same,
    /// A decimal that was written with this scale.
    Scale(i8),
    /// A time or timestamp of which so many units of the file are a second.
    PerSecond(i64),
    Row(Vec<Guide>),
    List(Box<Guide>),
    Map(Box<Guide>),
}

/// Goes through the columns that are wanted, along the types of the file.
pub(super) struct Guided<'a> {
    writer: &'a AvroSchema,
    names: usize,
}

impl<'a> Guided<'a> {
    pub(super) fn new(writer: &'a AvroSchema) -> Self {
        Self { writer, names: 0 }
    }

    /// The reader's record of these columns.
    pub(super) fn root(&mut self, fields: &Fields) -> Result<(Json, Vec<Guide>), AvroError> {
        let root = self.writer.root();
        let node = self.without_null(root);
        if !matches!(self.writer.node(node).kind, Kind::Record(_)) {
            return Err(AvroError::schema(format!("the file holds values of {}, no records", self.writer)));
        }
        self.record(fields, Some(node))
    }

    /// The type beside null of a union of two; the type itself otherwise.
    fn without_null(&self, node: NodeId) -> NodeId {
        let Kind::Union(branches) = &self.writer.node(node).kind else { return node };
        let mut others =
            branches.iter().filter(|branch| !matches!(self.writer.node(**branch).kind, Kind::Null));
        match (others.next(), others.next()) {
            (Some(only), None) => *only,
            _ => node,
        }
    }

    fn record(&mut self, fields: &Fields, node: Option<NodeId>) -> Result<(Json, Vec<Guide>), AvroError> {
        let written = node.and_then(|node| match &self.writer.node(node).kind {
            Kind::Record(record) => Some(record),
            _ => None,
        });
        let (mut json, mut guides) = (Vec::new(), Vec::new());
        for field in fields {
            let place = written.and_then(|record| record.by_name.get(field.name()));
            let of_field = place.and_then(|place| written.map(|record| record.fields[*place].node));
            let (of_type, guide) = self.nullable(field, of_field)?;
            json.push(json!({"name": field.name(), "type": of_type, "default": null}));
            guides.push(guide);
        }
        let name = self.name();
        let aliases: Vec<&str> = written.iter().map(|record| record.name.full.as_str()).collect();
        let json = json!({"type": "record", "name": name, "aliases": aliases, "fields": json});
        Ok((json, guides))
    }

    /// A name that no other type has.
    fn name(&mut self) -> String {
        self.names += 1;
        format!("tidemill_table.type{}", self.names)
    }

    /// All may be NULL here: a file that is not what it should be is found when it is read.
    fn nullable(&mut self, field: &Field, node: Option<NodeId>) -> Result<(Json, Guide), AvroError> {
        let node = node.map(|node| self.without_null(node));
        let (json, guide) = self.data_type(field, node)?;
        Ok((json!(["null", json]), guide))
    }

    fn data_type(&mut self, field: &Field, node: Option<NodeId>) -> Result<(Json, Guide), AvroError> {
        let written = node.map(|node| self.writer.node(node));
        let logical = written.map_or(Logical::None, |node| node.logical);
        let same = |name: &str| Ok((Json::from(name), Guide::Same));
        match field.data_type() {
            DataType::Boolean => same("boolean"),
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Date32 => same("int"),
            DataType::Int64 => same("long"),
            DataType::Float32 => same("float"),
            DataType::Float64 => same("double"),
            DataType::Utf8 => same("string"),
            DataType::Binary => Ok((self.bytes(node), Guide::Same)),
            DataType::Decimal128(_, scale) => {
                let scale = match logical {
                    Logical::Decimal { scale, .. } => i8::try_from(scale)
                        .map_err(|_| AvroError::schema(format!("a decimal has the scale {scale}")))?,
                    _ => *scale,
                };
                Ok((self.bytes(node), Guide::Scale(scale)))
            }
            DataType::Time32(TimeUnit::Millisecond) => match logical {
                Logical::TimeMicros => Ok(("long".into(), Guide::PerSecond(1_000_000))),
                _ => Ok(("int".into(), Guide::PerSecond(1000))),
            },
            DataType::Timestamp(unit, _) => {
                let per_second = match logical {
                    Logical::TimestampMillis | Logical::LocalTimestampMillis => 1000,
                    Logical::TimestampMicros | Logical::LocalTimestampMicros => 1_000_000,
                    Logical::TimestampNanos | Logical::LocalTimestampNanos => 1_000_000_000,
                    // Of a number that says nothing else it is as it would be written.
                    _ => per_second(*unit),
                };
                Ok(("long".into(), Guide::PerSecond(per_second)))
            }
            DataType::Struct(fields) => {
                let (json, guides) = self.record(fields, node)?;
                Ok((json, Guide::Row(guides)))
            }
            DataType::List(item) => {
                let of_item = written.and_then(|node| match &node.kind {
                    Kind::Array(items) => Some(*items),
                    _ => None,
                });
                let (json, guide) = self.nullable(item, of_item)?;
                Ok((json!({"type": "array", "items": json}), Guide::List(Box::new(guide))))
            }
            DataType::Map(entries, _) if *entry_fields(entries)?.0.data_type() == DataType::Utf8 => {
                let (_, value) = entry_fields(entries)?;
                let of_value = written.and_then(|node| match &node.kind {
                    Kind::Map(values) => Some(*values),
                    _ => None,
                });
                let (json, guide) = self.nullable(value, of_value)?;
                Ok((json!({"type": "map", "values": json}), Guide::Map(Box::new(guide))))
            }
            other => {
                Err(AvroError::schema(format!("'{}' has the type {other}, which Avro has not", field.name())))
            }
        }
    }

    /// Bytes, or a fixed like that of the file.
    fn bytes(&mut self, node: Option<NodeId>) -> Json {
        match node.map(|node| &self.writer.node(node).kind) {
            Some(Kind::Fixed(name, size)) => {
                let full = name.full.clone();
                json!({"type": "fixed", "name": self.name(), "aliases": [full], "size": size})
            }
            _ => "bytes".into(),
        }
    }
}

pub(super) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}
