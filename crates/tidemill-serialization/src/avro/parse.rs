//! Reads the JSON of schemas: resolves names, checks what the specification demands, and bounds everything, for a schema may
//! come with the data.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json};

use super::error::AvroError;
use super::schema::{EnumNode, FieldNode, Kind, Logical, Node, NodeId, RecordNode, TypeName, namespace_of};

/// Longer schemas are refused: none is written by people, and working one out takes time and memory.
pub(super) const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// How deep the objects and arrays of a schema may be nested, those included that it refers to: as deep as JSON is read.
const MAX_LEVELS: usize = 127;

/// Names are in every label and every generic value, so long ones multiply.
const MAX_NAME_BYTES: usize = 1024;

/// All are compared where names differ.
const MAX_ALIASES: usize = 256;

/// More branches than that are not told apart by anybody.
const MAX_BRANCHES: usize = 4096;

/// Memory for a fixed may be taken before there are bytes for it.
const MAX_FIXED_BYTES: u64 = 16 << 20;

/// Reads the text of a schema.
pub(super) fn json_of(text: &str) -> Result<Json, AvroError> {
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

/// The types of a schema, which may refer to definitions in others, and which of them it is itself.
pub(super) fn nodes(json: &Json, others: &[Json]) -> Result<(Vec<Node>, NodeId), AvroError> {
    let mut builder = Builder::default();
    others.iter().try_for_each(|other| builder.collect(other, ""))?;
    let root = builder.node(json, "", 0)?;
    let nodes = builder.nodes.into_iter().collect::<Option<Vec<_>>>();
    let nodes = nodes.ok_or_else(|| AvroError::schema("it refers to a type that is not there"))?;
    for (id, twin) in &builder.twins {
        let node = &nodes[*id as usize];
        if !same(&nodes, node, twin) {
            let name = node.kind.name().map_or("a type", |name| &name.full);
            return Err(AvroError::schema(format!(
                "it defines {name} twice, and not alike: refer to a type by its name alone, or make the definitions the same"
            )));
        }
    }
    Ok((nodes, root))
}

type Object = Map<String, Json>;

/// A definition in another schema, and the namespace around it.
#[derive(Clone)]
struct Site<'a> {
    object: &'a Object,
    namespace: String,
}

#[derive(Default)]
struct Builder<'a> {
    /// `None` while the fields of a record are being looked at.
    nodes: Vec<Option<Node>>,
    /// By the full name, with the definition that was met first.
    names: HashMap<String, (NodeId, &'a Object)>,
    /// What else was defined with a name that was taken. It must be the same, which is seen when all is there.
    twins: Vec<(NodeId, Node)>,
    /// Definitions in other schemas, by the full name.
    sites: HashMap<String, Site<'a>>,
    /// Types without a name that mean nothing beyond themselves are kept once.
    primitives: [Option<NodeId>; 8],
}

/// One object or array deeper.
fn enter(level: usize) -> Result<usize, AvroError> {
    match level < MAX_LEVELS {
        true => Ok(level + 1),
        false => Err(AvroError::schema(format!(
            "it is nested more than {MAX_LEVELS} levels deep, the schemas that it refers to included"
        ))),
    }
}

/// How deep it is nested; its parser bounds that.
fn depth(json: &Json) -> usize {
    match json {
        Json::Array(parts) => 1 + parts.iter().map(depth).max().unwrap_or(0),
        Json::Object(parts) => 1 + parts.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn primitive(name: &str) -> Option<(usize, Kind)> {
    Some(match name {
        "null" => (0, Kind::Null),
        "boolean" => (1, Kind::Boolean),
        "int" => (2, Kind::Int),
        "long" => (3, Kind::Long),
        "float" => (4, Kind::Float),
        "double" => (5, Kind::Double),
        "bytes" => (6, Kind::Bytes),
        "string" => (7, Kind::String),
        _ => return None,
    })
}

/// The beginning of a text, for messages.
fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn is_name(part: &str) -> bool {
    let begins = part.bytes().next().is_some_and(|first| first == b'_' || first.is_ascii_alphabetic());
    begins && part.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

fn check_length(name: &str) -> Result<(), AvroError> {
    match name.len() <= MAX_NAME_BYTES {
        true => Ok(()),
        false => Err(AvroError::schema(format!(
            "the name {} has {} bytes, at most {MAX_NAME_BYTES} are read",
            short(name),
            name.len()
        ))),
    }
}

/// Checks a name with its namespace, if it may have one.
fn check_name(name: &str, may_have_dots: bool) -> Result<(), AvroError> {
    check_length(name)?;
    let valid = match may_have_dots {
        true => name.split('.').all(is_name),
        false => is_name(name),
    };
    match valid {
        true => Ok(()),
        false => Err(AvroError::schema(format!(
            "{} is no name: one has letters, digits and underscores, and begins with no digit",
            short(name)
        ))),
    }
}

/// A name as it is written, with its namespace. A dot in front stands for no namespace.
fn qualified(name: &str, namespace: &str) -> String {
    match (name.contains('.'), namespace) {
        (true, _) => name.strip_prefix('.').unwrap_or(name).to_owned(),
        (false, "") => name.to_owned(),
        (false, namespace) => format!("{namespace}.{name}"),
    }
}

/// The full name that a definition gives.
fn full_name(object: &Object, enclosing: &str) -> Result<String, AvroError> {
    let name = match object.get("name") {
        Some(Json::String(name)) => name,
        _ => {
            let kind = object.get("type").and_then(Json::as_str).unwrap_or("type");
            return Err(AvroError::schema(format!("a definition of the type {kind} has no name")));
        }
    };
    let namespace = match object.get("namespace") {
        Some(Json::String(namespace)) => namespace,
        _ => enclosing,
    };
    check_length(namespace)?;
    let full = qualified(name, namespace);
    check_name(&full, true)?;
    if primitive(&full).is_some() {
        return Err(AvroError::schema(format!("a type cannot be called {full}, as one of Avro's own")));
    }
    Ok(full)
}

/// What a type or a field was called before, as it is written.
fn aliases<'a>(object: &'a Object, of: &str) -> Result<Vec<&'a str>, AvroError> {
    let aliases = match object.get("aliases") {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Array(aliases)) => aliases,
        Some(_) => return Err(AvroError::schema(format!("the aliases of {of} are no list"))),
    };
    if aliases.len() > MAX_ALIASES {
        let count = aliases.len();
        return Err(AvroError::schema(format!("{of} has {count} aliases, at most {MAX_ALIASES} are read")));
    }
    let texts = aliases.iter().map(|alias| {
        let alias =
            alias.as_str().ok_or_else(|| AvroError::schema(format!("an alias of {of} is no text")))?;
        check_length(alias).map(|()| alias)
    });
    texts.collect()
}

/// What a type means. What is said about a type that it does not suit is left out of account, as the specification has it.
fn logical(object: &Object, kind: &Kind) -> Logical {
    let Some(name) = object.get("logicalType").and_then(Json::as_str) else { return Logical::None };
    match (name, kind) {
        ("decimal", Kind::Bytes) => decimal(object, None),
        ("decimal", Kind::Fixed(_, size)) => decimal(object, Some(*size)),
        ("uuid", Kind::String | Kind::Fixed(_, 16)) => Logical::Uuid,
        ("duration", Kind::Fixed(_, 12)) => Logical::Duration,
        ("date", Kind::Int) => Logical::Date,
        ("time-millis", Kind::Int) => Logical::TimeMillis,
        ("time-micros", Kind::Long) => Logical::TimeMicros,
        ("timestamp-millis", Kind::Long) => Logical::TimestampMillis,
        ("timestamp-micros", Kind::Long) => Logical::TimestampMicros,
        ("timestamp-nanos", Kind::Long) => Logical::TimestampNanos,
        ("local-timestamp-millis", Kind::Long) => Logical::LocalTimestampMillis,
        ("local-timestamp-micros", Kind::Long) => Logical::LocalTimestampMicros,
        ("local-timestamp-nanos", Kind::Long) => Logical::LocalTimestampNanos,
        _ => Logical::None,
    }
}

fn decimal(object: &Object, fixed: Option<usize>) -> Logical {
    let number = |key: &str| object.get(key).map(|number| number.as_u64().filter(|n| *n <= i32::MAX as u64));
    let (Some(Some(precision)), scale @ (None | Some(Some(_)))) = (number("precision"), number("scale"))
    else {
        return Logical::None;
    };
    let (precision, scale) = (precision as usize, scale.flatten().unwrap_or(0) as usize);
    // One bit is that of the sign.
    let most =
        fixed.map(|size| ((8 * size).saturating_sub(1) as f64 * std::f64::consts::LOG10_2).floor() as usize);
    match precision >= 1 && scale <= precision && most.is_none_or(|most| precision <= most) {
        true => Logical::Decimal { precision, scale },
        false => Logical::None,
    }
}

impl<'a> Builder<'a> {
    /// Remembers the definitions in another schema, so that they can be referred to.
    fn collect(&mut self, json: &'a Json, namespace: &str) -> Result<(), AvroError> {
        let object = match json {
            Json::Array(branches) => {
                return branches.iter().try_for_each(|branch| self.collect(branch, namespace));
            }
            Json::Object(object) => object,
            _ => return Ok(()),
        };
        let ty = match object.get("type") {
            Some(Json::String(ty)) => ty.as_str(),
            Some(within) => return self.collect(within, namespace),
            None => return Ok(()),
        };
        match ty {
            "record" | "enum" | "fixed" => {
                let full = full_name(object, namespace)?;
                let own = namespace_of(&full).to_owned();
                let site = || Site { object, namespace: namespace.to_owned() };
                self.sites.entry(full).or_insert_with(site);
                let fields = object.get("fields").and_then(Json::as_array).into_iter().flatten();
                fields.filter_map(|field| field.get("type")).try_for_each(|ty| self.collect(ty, &own))
            }
            "array" => object.get("items").map_or(Ok(()), |items| self.collect(items, namespace)),
            "map" => object.get("values").map_or(Ok(()), |values| self.collect(values, namespace)),
            _ => Ok(()),
        }
    }

    fn add(&mut self, kind: Kind, logical: Logical) -> NodeId {
        self.nodes.push(Some(Node { kind, logical }));
        (self.nodes.len() - 1) as NodeId
    }

    fn primitive(&mut self, position: usize, kind: Kind) -> NodeId {
        match self.primitives[position] {
            Some(id) => id,
            None => {
                let id = self.add(kind, Logical::None);
                self.primitives[position] = Some(id);
                id
            }
        }
    }

    /// Makes the node of a schema that is `level` objects and arrays deep.
    fn node(&mut self, json: &'a Json, namespace: &str, level: usize) -> Result<NodeId, AvroError> {
        match json {
            Json::String(name) => self.reference(name, namespace, level),
            Json::Array(branches) => self.union(branches, namespace, enter(level)?),
            Json::Object(object) => self.object(object, namespace, enter(level)?),
            other => Err(AvroError::schema(format!("{other} is no type"))),
        }
    }

    fn reference(&mut self, name: &str, namespace: &str, level: usize) -> Result<NodeId, AvroError> {
        if let Some((position, kind)) = primitive(name) {
            return Ok(self.primitive(position, kind));
        }
        check_length(name)?;
        let full = qualified(name, namespace);
        // As Java has it: one in no namespace when there is none in that of the type around it.
        for full in [full.as_str(), name] {
            if let Some((id, _)) = self.names.get(full) {
                return Ok(*id);
            }
            if let Some(Site { object, namespace }) = self.sites.get(full).cloned() {
                return self.named(object, &namespace, enter(level)?);
            }
        }
        let hint = match name {
            "bool" => "; perhaps boolean is meant",
            "integer" => "; perhaps int is meant",
            "str" | "text" => "; perhaps string is meant",
            _ => ": define it before, or give the schema that does",
        };
        Err(AvroError::schema(format!("it refers to {}, which is not defined{hint}", short(&full))))
    }

    fn union(&mut self, branches: &'a [Json], namespace: &str, level: usize) -> Result<NodeId, AvroError> {
        if branches.is_empty() {
            return Err(AvroError::schema("a union in it has no branches"));
        }
        if branches.len() > MAX_BRANCHES {
            let count = branches.len();
            return Err(AvroError::schema(format!(
                "a union in it has {count} branches, at most {MAX_BRANCHES} are read"
            )));
        }
        let mut ids = Vec::with_capacity(branches.len());
        let mut named = HashSet::new();
        let mut kinds = HashSet::new();
        for branch in branches {
            let id = self.node(branch, namespace, level)?;
            // A record that is being looked at is not there yet; it has a name.
            let (new, what) = match &self.nodes[id as usize] {
                Some(Node { kind: Kind::Union(_), .. }) => {
                    return Err(AvroError::schema("a union in it has a union as a branch"));
                }
                Some(Node { kind, .. }) if kind.name().is_none() => {
                    (kinds.insert(std::mem::discriminant(kind)), kind.label())
                }
                Some(Node { kind, .. }) => {
                    (named.insert(id), kind.name().map_or("a type", |name| &name.full))
                }
                None => (named.insert(id), "the type around it"),
            };
            if !new {
                return Err(AvroError::schema(format!("a union in it has {what} as a branch twice")));
            }
            ids.push(id);
        }
        Ok(self.add(Kind::Union(ids), Logical::None))
    }

    /// `level` has been entered.
    fn object(&mut self, object: &'a Object, namespace: &str, level: usize) -> Result<NodeId, AvroError> {
        let within = |key: &str, of: &str| {
            object.get(key).ok_or_else(|| AvroError::schema(format!("{of} in it has no {key:?}")))
        };
        match within("type", "an object")? {
            Json::String(ty) => match ty.as_str() {
                "record" | "enum" | "fixed" => self.named(object, namespace, level),
                "array" => {
                    let items = self.node(within("items", "an array")?, namespace, level)?;
                    Ok(self.add(Kind::Array(items), Logical::None))
                }
                "map" => {
                    let values = self.node(within("values", "a map")?, namespace, level)?;
                    Ok(self.add(Kind::Map(values), Logical::None))
                }
                name => match primitive(name) {
                    Some((position, kind)) => Ok(match logical(object, &kind) {
                        Logical::None => self.primitive(position, kind),
                        logical => self.add(kind, logical),
                    }),
                    None => self.reference(name, namespace, level),
                },
            },
            // An object around a type, as some tools write it. What it says about a primitive type holds.
            inner => {
                let id = self.node(inner, namespace, level)?;
                let known = match &self.nodes[id as usize] {
                    Some(Node { kind, logical: Logical::None }) => primitive(kind.label()),
                    _ => None,
                };
                match known.map(|(_, kind)| (logical(object, &kind), kind)) {
                    None | Some((Logical::None, _)) => Ok(id),
                    Some((logical, kind)) => Ok(self.add(kind, logical)),
                }
            }
        }
    }

    /// Makes the node of a record, an enum or a fixed.
    fn named(&mut self, object: &'a Object, enclosing: &str, level: usize) -> Result<NodeId, AvroError> {
        let full = full_name(object, enclosing)?;
        let known = self.names.get(&full).copied();
        if let Some((id, definition)) = known
            && std::ptr::eq(definition, object)
        {
            return Ok(id);
        }
        let namespace = namespace_of(&full);
        let aliases = aliases(object, &full)?.into_iter().map(|alias| {
            let alias = qualified(alias, namespace);
            check_name(&alias, true).map(|()| alias)
        });
        let name = TypeName { full: full.clone(), aliases: aliases.collect::<Result<_, _>>()? };
        if let Some((id, _)) = known {
            let twin = self.definition(object, name, level)?;
            self.twins.push((id, twin));
            return Ok(id);
        }
        let id = self.nodes.len() as NodeId;
        self.nodes.push(None);
        self.names.insert(full, (id, object));
        self.nodes[id as usize] = Some(self.definition(object, name, level)?);
        Ok(id)
    }

    fn definition(&mut self, object: &'a Object, name: TypeName, level: usize) -> Result<Node, AvroError> {
        let kind = match object.get("type").and_then(Json::as_str) {
            Some("record") => Kind::Record(self.record(object, name, level)?),
            Some("enum") => Kind::Enum(enumeration(object, name)?),
            _ => {
                let size = object.get("size").and_then(Json::as_u64);
                let full = &name.full;
                let size =
                    size.ok_or_else(|| AvroError::schema(format!("{full} has no size, a number from 0 on")))?;
                if size > MAX_FIXED_BYTES {
                    return Err(AvroError::schema(format!(
                        "{full} is a fixed of {size} bytes, at most {MAX_FIXED_BYTES} are read: use bytes"
                    )));
                }
                Kind::Fixed(name, size as usize)
            }
        };
        let logical = logical(object, &kind);
        Ok(Node { kind, logical })
    }

    fn record(&mut self, object: &'a Object, name: TypeName, level: usize) -> Result<RecordNode, AvroError> {
        let namespace = namespace_of(&name.full).to_owned();
        let wrong = |what: String| AvroError::schema(what);
        let Some(Json::Array(all)) = object.get("fields") else {
            return Err(wrong(format!("the record {} has no list of fields", name.full)));
        };
        let list = enter(level)?;
        let mut fields = Vec::with_capacity(all.len());
        let mut by_name = HashMap::with_capacity(all.len());
        for field in all {
            let (Some(field), Some(own)) = (field.as_object(), field.get("name").and_then(Json::as_str))
            else {
                return Err(wrong(format!("a field of {} is no object with a name", name.full)));
            };
            check_name(own, false)?;
            let level = enter(list)?;
            let label = || format!("{}.{own}", name.full);
            let ty = field.get("type").ok_or_else(|| wrong(format!("the field {} has no type", label())))?;
            let node = self.node(ty, &namespace, level)?;
            if by_name.insert(own.to_owned(), fields.len()).is_some() {
                return Err(wrong(format!("there are two fields {}", label())));
            }
            let default = field.get("default");
            if let Some(default) = default {
                enter((level + depth(default)).saturating_sub(1))?;
            }
            let aliases = aliases(field, &label())?.into_iter().map(str::to_owned).collect();
            fields.push(FieldNode { name: own.to_owned(), aliases, node, default: default.cloned() });
        }
        Ok(RecordNode { name, fields, by_name })
    }
}

fn enumeration(object: &Object, name: TypeName) -> Result<EnumNode, AvroError> {
    let wrong = |what: &str| AvroError::schema(format!("the enum {} {what}", name.full));
    let Some(Json::Array(all)) = object.get("symbols") else { return Err(wrong("has no list of symbols")) };
    let mut symbols = Vec::with_capacity(all.len());
    let mut seen = HashSet::with_capacity(all.len());
    for symbol in all {
        let symbol = symbol.as_str().ok_or_else(|| wrong("has a symbol that is no text"))?;
        check_name(symbol, false)?;
        if !seen.insert(symbol) {
            return Err(wrong(&format!("has the symbol {} twice", short(symbol))));
        }
        symbols.push(symbol.to_owned());
    }
    let default = match object.get("default") {
        None | Some(Json::Null) => None,
        Some(Json::String(default)) if seen.contains(default.as_str()) => Some(default.clone()),
        Some(other) => {
            return Err(wrong(&format!(
                "has the default {}, which is none of its symbols",
                short(&other.to_string())
            )));
        }
    };
    Ok(EnumNode { name, symbols, default })
}

/// Whether two definitions say the same. What has a name is there once, so that types within are told apart by their ids.
fn same(nodes: &[Node], a: &Node, b: &Node) -> bool {
    let same_id = |a: NodeId, b: NodeId| {
        let (left, right) = (&nodes[a as usize], &nodes[b as usize]);
        a == b || (left.kind.name().is_none() && right.kind.name().is_none() && same(nodes, left, right))
    };
    a.logical == b.logical
        && match (&a.kind, &b.kind) {
            (Kind::Array(a), Kind::Array(b)) | (Kind::Map(a), Kind::Map(b)) => same_id(*a, *b),
            (Kind::Union(a), Kind::Union(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_id(*a, *b))
            }
            (Kind::Record(a), Kind::Record(b)) => {
                let fields = a.fields.iter().zip(&b.fields);
                a.name == b.name
                    && a.fields.len() == b.fields.len()
                    && fields.into_iter().all(|(a, b)| {
                        (&a.name, &a.aliases, &a.default) == (&b.name, &b.aliases, &b.default)
                            && same_id(a.node, b.node)
                    })
            }
            (Kind::Enum(a), Kind::Enum(b)) => {
                (&a.name, &a.symbols, &a.default) == (&b.name, &b.symbols, &b.default)
            }
            (Kind::Fixed(a, size), Kind::Fixed(b, other)) => a == b && size == other,
            (a, b) => {
                a.name().is_none()
                    && b.name().is_none()
                    && std::mem::discriminant(a) == std::mem::discriminant(b)
            }
        }
}
