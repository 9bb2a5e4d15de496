//! [`AvroSchema`]: a schema whose names are resolved, ready to read and write with.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

use super::error::AvroError;
use super::parse::MAX_SCHEMA_BYTES;
use super::{canonical, defaults, parse, readable};

/// What a type is called in messages has not many more bytes: in a union of unions there is much to be named.
const MAX_LABEL_BYTES: usize = 1000;

/// The position of a type among those of a schema.
pub(crate) type NodeId = u32;

/// An Avro schema: parsed, its names resolved. Cheap to clone.
///
/// ```
/// use tidemill_serialization::avro::AvroSchema;
///
/// let schema = AvroSchema::parse(r#"{"type": "record", "name": "Trip", "namespace": "city", "fields": [
///     {"name": "fare", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}
/// ]}"#)?;
/// assert_eq!(schema.to_string(), "city.Trip");
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
#[derive(Clone)]
pub struct AvroSchema(Arc<Inner>);

struct Inner {
    json: String,
    canonical: String,
    nodes: Vec<Node>,
    root: NodeId,
    /// Whether it has values that are nested too deeply, or take too few bytes, to be read.
    may_be_unreadable: bool,
}

/// A type.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) logical: Logical,
}

/// What a type is written as.
#[derive(Debug)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record(RecordNode),
    Enum(EnumNode),
    Fixed(TypeName, usize),
}

/// What a type means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logical {
    None,
    Decimal { precision: usize, scale: usize },
    Uuid,
    Date,
    TimeMillis,
    TimeMicros,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    LocalTimestampMillis,
    LocalTimestampMicros,
    LocalTimestampNanos,
    Duration,
}

/// The name of a record, an enum or a fixed, and those that it had before.
#[derive(Debug, PartialEq)]
pub(crate) struct TypeName {
    /// With its namespace.
    pub(crate) full: String,
    pub(crate) aliases: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct RecordNode {
    pub(crate) name: TypeName,
    pub(crate) fields: Vec<FieldNode>,
    /// Positions by names.
    pub(crate) by_name: HashMap<String, usize>,
}

#[derive(Debug)]
pub(crate) struct FieldNode {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) node: NodeId,
    /// As written in the schema; not checked.
    pub(crate) default: Option<Json>,
}

#[derive(Debug)]
pub(crate) struct EnumNode {
    pub(crate) name: TypeName,
    pub(crate) symbols: Vec<String>,
    pub(crate) default: Option<String>,
}

impl TypeName {
    /// The name without its namespace.
    pub(crate) fn simple(&self) -> &str {
        simple(&self.full)
    }
}

pub(crate) fn simple(full: &str) -> &str {
    full.rsplit('.').next().unwrap_or(full)
}

/// The namespace in a full name; empty where there is none.
pub(crate) fn namespace_of(full: &str) -> &str {
    full.rsplit_once('.').map_or("", |(namespace, _)| namespace)
}

impl Kind {
    /// The name of a type that has one.
    pub(crate) fn name(&self) -> Option<&TypeName> {
        match self {
            Self::Record(record) => Some(&record.name),
            Self::Enum(symbols) => Some(&symbols.name),
            Self::Fixed(name, _) => Some(name),
            _ => None,
        }
    }

    /// As it is called in schemas.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Record(_) => "record",
            Self::Enum(_) => "enum",
            Self::Fixed(..) => "fixed",
        }
    }
}

impl AvroSchema {
    /// Parses the schema of a program: everything is checked, defaults included.
    ///
    /// ```
    /// use tidemill_serialization::avro::AvroSchema;
    ///
    /// assert!(AvroSchema::parse(r#"{"type": "array", "items": "int"}"#).is_ok());
    /// assert!(AvroSchema::parse(r#""integer""#).is_err());
    /// ```
    ///
    /// # Errors
    /// When it is no schema, or a default is no value of its field.
    pub fn parse(json: &str) -> Result<Self, AvroError> {
        let schema = Self::parse_writer(json)?;
        defaults::check(&schema)?;
        Ok(schema)
    }

    /// Parses a schema that data were written with. Its defaults have no meaning then and are not looked at, as
    /// other implementations let wrong ones pass.
    ///
    /// ```
    /// use tidemill_serialization::avro::AvroSchema;
    ///
    /// let wrong_default =
    ///     r#"{"type": "record", "name": "Trip", "fields": [{"name": "km", "type": "int", "default": "x"}]}"#;
    /// assert!(AvroSchema::parse_writer(wrong_default).is_ok() && AvroSchema::parse(wrong_default).is_err());
    /// ```
    ///
    /// # Errors
    /// When it is no schema.
    pub fn parse_writer(json: &str) -> Result<Self, AvroError> {
        Self::parse_with(json, &[])
    }

    /// Parses a schema that refers to types of others, which may refer to each other.
    ///
    /// ```
    /// use tidemill_serialization::avro::AvroSchema;
    ///
    /// let place = r#"{"type": "enum", "name": "Place", "symbols": ["JFK", "LGA"]}"#;
    /// let places = AvroSchema::parse_with(r#"{"type": "array", "items": "Place"}"#, &[place])?;
    /// assert!(places.json().contains("JFK"));
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When it is no schema, or refers to a type that is not there.
    pub fn parse_with(json: &str, others: &[&str]) -> Result<Self, AvroError> {
        let length: usize = others.iter().map(|other| other.len()).sum::<usize>() + json.len();
        if length > MAX_SCHEMA_BYTES {
            return Err(AvroError::schema(format!(
                "it has {length} bytes, at most {MAX_SCHEMA_BYTES} are read"
            )));
        }
        let json_value = parse::json_of(json)?;
        let parsed = others.iter().map(|other| parse::json_of(other)).collect::<Result<Vec<_>, _>>()?;
        let (nodes, root) = parse::nodes(&json_value, &parsed)?;
        let canonical = canonical::canonical(&nodes, root)?;
        let json = match others {
            [] => json_value.to_string(),
            // One text that needs no other.
            _ => canonical::whole(&nodes, root)?,
        };
        // Else what was written with it could not be read again.
        if json.len() > MAX_SCHEMA_BYTES {
            let length = json.len();
            return Err(AvroError::schema(format!(
                "with those that it refers to it has {length} bytes, at most {MAX_SCHEMA_BYTES} are read"
            )));
        }
        let may_be_unreadable = readable::may_be_unreadable(&nodes, root);
        Ok(Self(Arc::new(Inner { json, canonical, nodes, root, may_be_unreadable })))
    }

    /// The schema as JSON.
    ///
    /// ```
    /// use tidemill_serialization::avro::AvroSchema;
    ///
    /// assert_eq!(AvroSchema::parse(r#"{"type":"int"}"#)?.json(), r#"{"type":"int"}"#);
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    pub fn json(&self) -> &str {
        &self.0.json
    }

    /// The Parsing Canonical Form: what two schemas have in common when data of one can be read as the other's, byte by
    /// byte. It has no defaults, no aliases and no logical types.
    ///
    /// ```
    /// use tidemill_serialization::avro::AvroSchema;
    ///
    /// assert_eq!(AvroSchema::parse(r#"{"type": "int"}"#)?.canonical_form(), r#""int""#);
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    pub fn canonical_form(&self) -> &str {
        &self.0.canonical
    }

    /// The name of the type with its namespace; the kind of a type that has no name.
    ///
    /// ```
    /// use tidemill_serialization::avro::schema_of;
    ///
    /// assert_eq!(schema_of::<Vec<i32>>()?.name(), "array of int");
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    pub fn name(&self) -> String {
        self.label(self.0.root)
    }

    /// The name of a record, an enum or a fixed, with its namespace.
    ///
    /// ```
    /// use tidemill_serialization::avro::AvroSchema;
    ///
    /// let json = r#"{"type": "fixed", "name": "Hash", "namespace": "job", "size": 16}"#;
    /// assert_eq!(AvroSchema::parse(json)?.full_name(), Some("job.Hash"));
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    pub fn full_name(&self) -> Option<&str> {
        self.node(self.0.root).kind.name().map(|name| name.full.as_str())
    }

    /// The names of the fields of a record, in order; empty for other types.
    ///
    /// ```
    /// use tidemill_serialization::avro::{AvroRecord, schema_of};
    ///
    /// #[derive(AvroRecord)]
    /// struct Trip { distance: f64, passengers: i32 }
    ///
    /// assert_eq!(schema_of::<Trip>()?.field_names(), ["distance", "passengers"]);
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    pub fn field_names(&self) -> Vec<&str> {
        match &self.node(self.0.root).kind {
            Kind::Record(record) => record.fields.iter().map(|field| field.name.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether each type is written as in the other schema, and means the same there.
    pub(crate) fn means_the_same(&self, other: &Self) -> bool {
        let meaning = |schema: &Self| canonical::meaning(&schema.0.nodes, schema.0.root).ok();
        self.0.canonical == other.0.canonical
            && (self == other || meaning(self).is_some_and(|own| Some(own) == meaning(other)))
    }

    pub(crate) fn root(&self) -> NodeId {
        self.0.root
    }

    /// Whether it has values that the [`Decoder`](super::Decoder) does not read.
    pub(crate) fn may_be_unreadable(&self) -> bool {
        self.0.may_be_unreadable
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.0.nodes
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        // Every id was made with its node.
        &self.0.nodes[id as usize]
    }

    /// What a type is called in messages.
    pub(crate) fn label(&self, id: NodeId) -> String {
        let mut label = String::new();
        self.add_label(id, &mut label);
        label
    }

    fn add_label(&self, id: NodeId, out: &mut String) {
        if out.len() > MAX_LABEL_BYTES {
            out.push('…');
            return;
        }
        let node = self.node(id);
        if node.logical != Logical::None {
            out.push_str(&format!("{} (", node.logical));
        }
        match &node.kind {
            Kind::Array(items) => {
                out.push_str("array of ");
                self.add_label(*items, out);
            }
            Kind::Map(values) => {
                out.push_str("map of ");
                self.add_label(*values, out);
            }
            Kind::Union(branches) => {
                out.push('[');
                for (i, branch) in branches.iter().take(8).enumerate() {
                    out.push_str(if i == 0 { "" } else { ", " });
                    self.add_label(*branch, out);
                }
                out.push_str(if branches.len() > 8 { ", …]" } else { "]" });
            }
            Kind::Fixed(name, size) => out.push_str(&format!("{} (fixed of {size})", name.full)),
            kind => out.push_str(kind.name().map_or(kind.label(), |name| &name.full)),
        }
        if node.logical != Logical::None {
            out.push(')');
        }
    }
}

impl PartialEq for AvroSchema {
    /// Whether their texts are the same.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.json == other.0.json
    }
}

impl Eq for AvroSchema {}

impl fmt::Display for AvroSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Debug for AvroSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AvroSchema({})", self.0.json)
    }
}

impl fmt::Display for Logical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("plain"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision}, {scale})"),
            _ => f.write_str(self.avro_name()),
        }
    }
}

impl Logical {
    /// As it is called in schemas.
    pub(crate) fn avro_name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Decimal { .. } => "decimal",
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::TimeMillis => "time-millis",
            Self::TimeMicros => "time-micros",
            Self::TimestampMillis => "timestamp-millis",
            Self::TimestampMicros => "timestamp-micros",
            Self::TimestampNanos => "timestamp-nanos",
            Self::LocalTimestampMillis => "local-timestamp-millis",
            Self::LocalTimestampMicros => "local-timestamp-micros",
            Self::LocalTimestampNanos => "local-timestamp-nanos",
            Self::Duration => "duration",
        }
    }
}
