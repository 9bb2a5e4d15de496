//! [`AvroSchema`]: a schema whose names are resolved, ready to read and write with.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use apache_avro::Schema as Parsed;
use apache_avro::schema::{InnerDecimalSchema, Name, UuidSchema};
use serde_json::Value as Json;

use super::defaults;
use super::error::AvroError;

/// Longer schemas are refused: none is written by people, and working one out takes time and memory.
const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// How deep the JSON of a schema and of those that it refers to may be nested, in all.
const MAX_LEVELS: usize = 256;

/// Where the default of a field is put, away from the parser, which refuses some that the specification allows.
const DEFAULT: &str = "tidemill.default";

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
#[derive(Debug)]
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
        let json_value = parse_json(json)?;
        let mut levels = depth(&json_value);
        let mut texts = Vec::with_capacity(others.len());
        for other in others {
            let mut other = parse_json(other)?;
            levels += depth(&other);
            move_defaults(&mut other);
            texts.push(other.to_string());
        }
        // What refers to each other is parsed one within the other.
        if levels > MAX_LEVELS {
            return Err(AvroError::schema(format!(
                "it is nested {levels} levels deep, at most {MAX_LEVELS} are read"
            )));
        }
        let mut moved = json_value.clone();
        move_defaults(&mut moved);
        let failed = |error: apache_avro::Error| AvroError::schema(error.to_string());
        let (parsed, known) = match others {
            [] => (Parsed::parse(&moved).map_err(failed)?, Vec::new()),
            _ => Parsed::parse_str_with_list(&moved.to_string(), &texts).map_err(failed)?,
        };
        let mut builder =
            Builder { nodes: Vec::new(), names: HashMap::new(), parsed: HashMap::new(), levels: 0 };
        for other in &known {
            builder.collect(other);
        }
        let root = builder.node(&parsed, None)?;
        let json = match others {
            [] => json_value.to_string(),
            // One text that needs no other.
            _ => write_json(&builder.nodes, root).to_string(),
        };
        let canonical = canonical(&builder.nodes, root);
        let nodes = builder.nodes.into_iter().collect::<Option<Vec<_>>>();
        let nodes = nodes.ok_or_else(|| AvroError::schema("it refers to a type that is not there"))?;
        Ok(Self(Arc::new(Inner { json, canonical, nodes, root })))
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
        match &self.node(self.0.root).kind {
            Kind::Record(record) => Some(&record.name.full),
            Kind::Enum(symbols) => Some(&symbols.name.full),
            Kind::Fixed(name, _) => Some(&name.full),
            _ => None,
        }
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

    pub(crate) fn root(&self) -> NodeId {
        self.0.root
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
        let node = self.node(id);
        let base = match &node.kind {
            Kind::Null => "null".to_owned(),
            Kind::Boolean => "boolean".to_owned(),
            Kind::Int => "int".to_owned(),
            Kind::Long => "long".to_owned(),
            Kind::Float => "float".to_owned(),
            Kind::Double => "double".to_owned(),
            Kind::Bytes => "bytes".to_owned(),
            Kind::String => "string".to_owned(),
            Kind::Array(items) => format!("array of {}", self.label(*items)),
            Kind::Map(values) => format!("map of {}", self.label(*values)),
            Kind::Union(branches) => {
                let mut all: Vec<String> =
                    branches.iter().take(8).map(|branch| self.label(*branch)).collect();
                if branches.len() > all.len() {
                    all.push("…".to_owned());
                }
                format!("[{}]", all.join(", "))
            }
            Kind::Record(record) => record.name.full.clone(),
            Kind::Enum(symbols) => symbols.name.full.clone(),
            Kind::Fixed(name, size) => format!("{} (fixed of {size})", name.full),
        };
        match node.logical {
            Logical::None => base,
            logical => format!("{logical} ({base})"),
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

fn parse_json(text: &str) -> Result<Json, AvroError> {
    match serde_json::from_str(text) {
        Ok(json) => Ok(json),
        // The bare name of a type, as some tools write it.
        Err(_)
            if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') =>
        {
            Ok(Json::String(text.to_owned()))
        }
        Err(error) => Err(AvroError::schema(format!("it is no JSON: {error}"))),
    }
}

/// How deep it is nested; its parser bounds that.
fn depth(json: &Json) -> usize {
    1 + match json {
        Json::Array(parts) => parts.iter().map(depth).max().unwrap_or(0),
        Json::Object(parts) => parts.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Puts the defaults of fields under another key. Only where a schema has fields: a default is no schema.
fn move_defaults(json: &mut Json) {
    match json {
        Json::Array(branches) => branches.iter_mut().for_each(move_defaults),
        Json::Object(object) => {
            for (key, value) in object.iter_mut() {
                match (key.as_str(), value) {
                    ("fields", Json::Array(fields)) => {
                        for field in fields.iter_mut().filter_map(Json::as_object_mut) {
                            if let Some(ty) = field.get_mut("type") {
                                move_defaults(ty);
                            }
                            if let Some(default) = field.remove("default") {
                                field.insert(DEFAULT.to_owned(), default);
                            }
                        }
                    }
                    ("type" | "items" | "values", value) => move_defaults(value),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

struct Builder<'a> {
    /// `None` while the fields of a record are being looked at.
    nodes: Vec<Option<Node>>,
    /// By the full name.
    names: HashMap<String, NodeId>,
    /// Named types of other schemas.
    parsed: HashMap<String, &'a Parsed>,
    levels: usize,
}

impl<'a> Builder<'a> {
    /// Remembers the named types in a schema, so that they can be referred to.
    fn collect(&mut self, schema: &'a Parsed) {
        match schema {
            Parsed::Array(array) => self.collect(&array.items),
            Parsed::Map(map) => self.collect(&map.types),
            Parsed::Union(union) => union.variants().iter().for_each(|variant| self.collect(variant)),
            Parsed::Record(record) => {
                self.parsed.insert(record.name.fullname(None), schema);
                record.fields.iter().for_each(|field| self.collect(&field.schema));
            }
            Parsed::Enum(of) => {
                self.parsed.insert(of.name.fullname(None), schema);
            }
            Parsed::Fixed(of) | Parsed::Duration(of) | Parsed::Uuid(UuidSchema::Fixed(of)) => {
                self.parsed.insert(of.name.fullname(None), schema);
            }
            Parsed::Decimal(of) => {
                if let InnerDecimalSchema::Fixed(fixed) = &of.inner {
                    self.parsed.insert(fixed.name.fullname(None), schema);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, kind: Kind, logical: Logical) -> NodeId {
        self.nodes.push(Some(Node { kind, logical }));
        (self.nodes.len() - 1) as NodeId
    }

    fn plain(&mut self, kind: Kind) -> NodeId {
        self.add(kind, Logical::None)
    }

    fn name(
        &mut self,
        name: &Name,
        aliases: &apache_avro::schema::Aliases,
        namespace: Option<&str>,
    ) -> Result<TypeName, AvroError> {
        let full = name.fullname(namespace);
        if self.names.contains_key(&full) {
            return Err(AvroError::schema(format!(
                "it defines {full} twice: refer to a type by its name alone"
            )));
        }
        let own = name.namespace().or(namespace);
        let aliases = aliases.iter().flatten().map(|alias| alias.fullname(own)).collect();
        Ok(TypeName { full, aliases })
    }

    fn fixed(
        &mut self,
        fixed: &apache_avro::schema::FixedSchema,
        logical: Logical,
        namespace: Option<&str>,
    ) -> Result<NodeId, AvroError> {
        let name = self.name(&fixed.name, &fixed.aliases, namespace)?;
        let full = name.full.clone();
        let id = self.add(Kind::Fixed(name, fixed.size), logical);
        self.names.insert(full, id);
        Ok(id)
    }

    /// Makes the node of a schema.
    fn node(&mut self, schema: &'a Parsed, namespace: Option<&str>) -> Result<NodeId, AvroError> {
        // Types of one other schema may refer to each other, which the levels of its JSON do not show.
        if self.levels == MAX_LEVELS {
            return Err(AvroError::schema(format!("its types are nested deeper than {MAX_LEVELS} levels")));
        }
        self.levels += 1;
        let node = self.node_within(schema, namespace);
        self.levels -= 1;
        node
    }

    fn node_within(&mut self, schema: &'a Parsed, namespace: Option<&str>) -> Result<NodeId, AvroError> {
        Ok(match schema {
            Parsed::Null => self.plain(Kind::Null),
            Parsed::Boolean => self.plain(Kind::Boolean),
            Parsed::Int => self.plain(Kind::Int),
            Parsed::Long => self.plain(Kind::Long),
            Parsed::Float => self.plain(Kind::Float),
            Parsed::Double => self.plain(Kind::Double),
            // A decimal that carries its scale is no logical type of the specification: its bytes are passed on.
            Parsed::Bytes | Parsed::BigDecimal => self.plain(Kind::Bytes),
            Parsed::String => self.plain(Kind::String),
            Parsed::Date => self.add(Kind::Int, Logical::Date),
            Parsed::TimeMillis => self.add(Kind::Int, Logical::TimeMillis),
            Parsed::TimeMicros => self.add(Kind::Long, Logical::TimeMicros),
            Parsed::TimestampMillis => self.add(Kind::Long, Logical::TimestampMillis),
            Parsed::TimestampMicros => self.add(Kind::Long, Logical::TimestampMicros),
            Parsed::TimestampNanos => self.add(Kind::Long, Logical::TimestampNanos),
            Parsed::LocalTimestampMillis => self.add(Kind::Long, Logical::LocalTimestampMillis),
            Parsed::LocalTimestampMicros => self.add(Kind::Long, Logical::LocalTimestampMicros),
            Parsed::LocalTimestampNanos => self.add(Kind::Long, Logical::LocalTimestampNanos),
            Parsed::Duration(fixed) => self.fixed(fixed, Logical::Duration, namespace)?,
            Parsed::Uuid(UuidSchema::String) => self.add(Kind::String, Logical::Uuid),
            // Bytes are none of the types that the specification has for it.
            Parsed::Uuid(UuidSchema::Bytes) => self.plain(Kind::Bytes),
            Parsed::Uuid(UuidSchema::Fixed(fixed)) => self.fixed(fixed, Logical::Uuid, namespace)?,
            Parsed::Decimal(decimal) => {
                let logical = Logical::Decimal { precision: decimal.precision, scale: decimal.scale };
                match &decimal.inner {
                    InnerDecimalSchema::Bytes => self.add(Kind::Bytes, logical),
                    InnerDecimalSchema::Fixed(fixed) => self.fixed(fixed, logical, namespace)?,
                }
            }
            Parsed::Fixed(fixed) => self.fixed(fixed, Logical::None, namespace)?,
            Parsed::Array(array) => {
                let items = self.node(&array.items, namespace)?;
                self.plain(Kind::Array(items))
            }
            Parsed::Map(map) => {
                let values = self.node(&map.types, namespace)?;
                self.plain(Kind::Map(values))
            }
            Parsed::Union(union) => {
                let branches = union.variants().iter().map(|variant| self.node(variant, namespace));
                let branches = branches.collect::<Result<Vec<_>, _>>()?;
                if branches.is_empty() {
                    return Err(AvroError::schema("a union in it has no branches"));
                }
                self.plain(Kind::Union(branches))
            }
            Parsed::Enum(of) => {
                let name = self.name(&of.name, &of.aliases, namespace)?;
                let full = name.full.clone();
                let (symbols, default) = (of.symbols.clone(), of.default.clone());
                let id = self.plain(Kind::Enum(EnumNode { name, symbols, default }));
                self.names.insert(full, id);
                id
            }
            Parsed::Record(record) => {
                let name = self.name(&record.name, &record.aliases, namespace)?;
                let id = self.nodes.len() as NodeId;
                self.nodes.push(None);
                self.names.insert(name.full.clone(), id);
                let own = record.name.namespace().or(namespace);
                let mut fields = Vec::with_capacity(record.fields.len());
                let mut by_name = HashMap::with_capacity(record.fields.len());
                for field in &record.fields {
                    let node = self.node(&field.schema, own)?;
                    by_name.insert(field.name.clone(), fields.len());
                    fields.push(FieldNode {
                        name: field.name.clone(),
                        aliases: field.aliases.clone(),
                        node,
                        default: field.custom_attributes.get(DEFAULT).cloned(),
                    });
                }
                let kind = Kind::Record(RecordNode { name, fields, by_name });
                self.nodes[id as usize] = Some(Node { kind, logical: Logical::None });
                id
            }
            Parsed::Ref { name } => {
                let full = name.fullname(namespace);
                match (self.names.get(&full), self.parsed.get(&full)) {
                    (Some(&id), _) => id,
                    (None, Some(schema)) => self.node(schema, None)?,
                    (None, None) => {
                        return Err(AvroError::schema(format!("it refers to {full}, which is not defined")));
                    }
                }
            }
        })
    }
}

/// Writes a schema out; types that were written are referred to.
struct Writing<'a> {
    nodes: &'a [Option<Node>],
    written: Vec<bool>,
    /// Whether only what the canonical form has is written.
    canonical: bool,
}

fn write_json(nodes: &[Option<Node>], root: NodeId) -> Json {
    Writing { nodes, written: vec![false; nodes.len()], canonical: false }.json(root)
}

/// The Parsing Canonical Form.
fn canonical(nodes: &[Option<Node>], root: NodeId) -> String {
    let mut out = String::new();
    Writing { nodes, written: vec![false; nodes.len()], canonical: true }.text(root, &mut out);
    out
}

fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

impl Writing<'_> {
    /// With keys in the order of the canonical form, which a map of JSON would lose.
    fn text(&mut self, id: NodeId, out: &mut String) {
        let nodes = self.nodes;
        let Some(node) = &nodes[id as usize] else { return };
        let named = match &node.kind {
            Kind::Record(of) => Some(&of.name),
            Kind::Enum(of) => Some(&of.name),
            Kind::Fixed(name, _) => Some(name),
            _ => None,
        };
        if let Some(name) = named
            && std::mem::replace(&mut self.written[id as usize], true)
        {
            out.push_str(&quoted(&name.full));
            return;
        }
        let logical = if self.canonical { Logical::None } else { node.logical };
        let before = out.len();
        let primitive = match &node.kind {
            Kind::Null => Some("null"),
            Kind::Boolean => Some("boolean"),
            Kind::Int => Some("int"),
            Kind::Long => Some("long"),
            Kind::Float => Some("float"),
            Kind::Double => Some("double"),
            Kind::Bytes => Some("bytes"),
            Kind::String => Some("string"),
            _ => None,
        };
        match (&node.kind, primitive) {
            (_, Some(name)) if logical == Logical::None => out.push_str(&quoted(name)),
            (_, Some(name)) => out.push_str(&format!("{{\"type\":{}}}", quoted(name))),
            (Kind::Array(items), _) => {
                out.push_str("{\"type\":\"array\",\"items\":");
                self.text(*items, out);
                out.push('}');
            }
            (Kind::Map(values), _) => {
                out.push_str("{\"type\":\"map\",\"values\":");
                self.text(*values, out);
                out.push('}');
            }
            (Kind::Union(branches), _) => {
                out.push('[');
                for (i, branch) in branches.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { "," });
                    self.text(*branch, out);
                }
                out.push(']');
            }
            (Kind::Fixed(name, size), _) => {
                out.push_str(&format!("{{\"name\":{},\"type\":\"fixed\"", quoted(&name.full)));
                self.aliases(&name.aliases, out);
                out.push_str(&format!(",\"size\":{size}}}"));
            }
            (Kind::Enum(of), _) => {
                out.push_str(&format!("{{\"name\":{},\"type\":\"enum\"", quoted(&of.name.full)));
                self.aliases(&of.name.aliases, out);
                out.push_str(&format!(",\"symbols\":{}", Json::from(of.symbols.clone())));
                if let Some(default) = of.default.as_ref().filter(|_| !self.canonical) {
                    out.push_str(&format!(",\"default\":{}", quoted(default)));
                }
                out.push('}');
            }
            (Kind::Record(of), _) => {
                out.push_str(&format!("{{\"name\":{},\"type\":\"record\"", quoted(&of.name.full)));
                self.aliases(&of.name.aliases, out);
                out.push_str(",\"fields\":[");
                for (i, field) in of.fields.iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { "," });
                    out.push_str(&format!("{{\"name\":{},\"type\":", quoted(&field.name)));
                    self.text(field.node, out);
                    self.aliases(&field.aliases, out);
                    if let Some(default) = field.default.as_ref().filter(|_| !self.canonical) {
                        out.push_str(&format!(",\"default\":{default}"));
                    }
                    out.push('}');
                }
                out.push_str("]}");
            }
            _ => {}
        }
        if logical != Logical::None && out.len() > before {
            out.pop();
            out.push_str(&format!(",\"logicalType\":\"{}\"", logical.avro_name()));
            if let Logical::Decimal { precision, scale } = logical {
                out.push_str(&format!(",\"precision\":{precision},\"scale\":{scale}"));
            }
            out.push('}');
        }
    }

    fn aliases(&self, aliases: &[String], out: &mut String) {
        if !self.canonical && !aliases.is_empty() {
            out.push_str(&format!(",\"aliases\":{}", Json::from(aliases.to_vec())));
        }
    }

    fn json(&mut self, id: NodeId) -> Json {
        let mut out = String::new();
        self.text(id, &mut out);
        serde_json::from_str(&out).unwrap_or(Json::Null)
    }
}
