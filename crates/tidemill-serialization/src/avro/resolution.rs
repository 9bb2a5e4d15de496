//! [`Resolution`]: how data written with one schema are read with another, worked out once.
//!
//! The rules are those of the section "Schema Resolution" of the specification. Where it leaves a choice, this is what the
//! Java implementation does; `docs/avro.md` lists these places.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::defaults;
use super::error::AvroError;
use super::schema::{AvroSchema, EnumNode, Kind, Logical, NodeId, RecordNode, TypeName, simple};
use crate::compatibility::{Difference, Incompatible};

/// What may be spent on working it out, about a byte of memory or a few steps each: only schemas that were made for it need
/// more. An operation costs [`OP`].
const MAX_WORK: usize = 1 << 24;
const OP: usize = 16;

/// More differences help nobody.
const MAX_DOUBTS: usize = 100;

/// How data that were written with one schema are read with another.
///
/// ```
/// use tidemill_serialization::avro::{AvroSchema, Resolution};
///
/// let writer = AvroSchema::parse(r#"{"type": "record", "name": "Trip", "fields": [{"name": "miles", "type": "int"}]}"#)?;
/// let reader = AvroSchema::parse(r#"{"type": "record", "name": "Trip", "fields": [
///     {"name": "distance", "aliases": ["miles"], "type": "double"},
///     {"name": "passengers", "type": "int", "default": 1}
/// ]}"#)?;
/// Resolution::new(&writer, &reader)?.check()?;
///
/// let wrong = Resolution::new(&reader, &writer)?.check().unwrap_err().to_string();
/// assert!(wrong.contains("Trip.miles"), "{wrong}");
/// # Ok::<(), tidemill_serialization::avro::AvroError>(())
/// ```
pub struct Resolution {
    pub(crate) writer: AvroSchema,
    pub(crate) reader: AvroSchema,
    pub(crate) ops: Vec<Op>,
    /// The type of the reader's schema that each operation makes.
    pub(crate) makes: Vec<NodeId>,
    pub(crate) records: Vec<RecordPlan>,
    pub(crate) root: OpId,
    doubts: Vec<Difference>,
}

pub(crate) type OpId = u32;

/// How one value is read.
#[derive(Debug)]
pub(crate) enum Op {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    IntToLong,
    IntToFloat,
    IntToDouble,
    LongToFloat,
    LongToDouble,
    FloatToDouble,
    Fixed(usize),
    /// For each of the writer's symbols the position of the reader's; `None` where it has none.
    Enum(Arc<[Option<u32>]>),
    Array(OpId),
    Map(OpId),
    /// A record: the plan at this position.
    Record(u32),
    /// The writer's union: its branches.
    Union(Box<[OpId]>),
    /// A branch of the reader's union.
    Branch(u32, OpId),
    /// Not at all; why.
    Refused(Box<str>),
}

/// How a record is read.
#[derive(Debug, Default)]
pub(crate) struct RecordPlan {
    /// What is done, in the order in which it was written; then the fields that were not.
    pub(crate) steps: Vec<RecordStep>,
}

#[derive(Debug)]
pub(crate) struct RecordStep {
    /// The record and field, for messages.
    pub(crate) label: String,
    pub(crate) action: Action,
}

#[derive(Debug)]
pub(crate) enum Action {
    /// Reads a field: its position among the reader's.
    Read(usize, OpId),
    /// Passes over a value of this type of the writer's schema.
    Skip(NodeId),
    /// Takes the default of a field: its position, the bytes, and how they are read.
    Default(usize, Box<[u8]>, OpId),
    /// The field is nowhere to be found; why.
    Refused(usize),
}

impl fmt::Debug for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resolution from {} to {}", self.writer, self.reader)
    }
}

impl Resolution {
    /// Works out how data of `writer` are read with `reader`. Where some data cannot be read, [`check`](Self::check)
    /// tells; the others can.
    ///
    /// ```
    /// use tidemill_serialization::avro::{Resolution, Value, decode_value, schema_of};
    ///
    /// let resolution = Resolution::new(&schema_of::<i32>()?, &schema_of::<i64>()?)?;
    /// assert_eq!(decode_value(&resolution, &[14])?, Value::Long(7));
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// When the schemas are too large to be worked out.
    pub fn new(writer: &AvroSchema, reader: &AvroSchema) -> Result<Self, AvroError> {
        Self::between(writer, writer.root(), reader, reader.root())
    }

    /// By which data can only be passed over.
    pub(crate) fn to_skip(schema: &AvroSchema) -> Self {
        Self {
            writer: schema.clone(),
            reader: schema.clone(),
            ops: Vec::new(),
            makes: Vec::new(),
            records: Vec::new(),
            root: 0,
            doubts: Vec::new(),
        }
    }

    /// How data of a type within a schema are read with it.
    pub(crate) fn part(schema: &AvroSchema, node: NodeId) -> Result<Self, AvroError> {
        Self::between(schema, node, schema, node)
    }

    fn between(
        writer: &AvroSchema,
        from: NodeId,
        reader: &AvroSchema,
        to: NodeId,
    ) -> Result<Self, AvroError> {
        let mut compiler = Compiler {
            writer,
            reader,
            ops: Vec::new(),
            makes: Vec::new(),
            records: Vec::new(),
            known: HashMap::new(),
            symbols: HashMap::new(),
            unions: HashMap::new(),
            waiting: Vec::new(),
            doubts: Vec::new(),
            silent: false,
            left: MAX_WORK,
        };
        let root = compiler.op(Side::Writer, from, to, &reader.label(to));
        // A queue, not recursion: definitions may refer to each other as deep as they like.
        while let Some(waiting) = compiler.waiting.pop() {
            let plan = compiler.record(&waiting);
            compiler.records[waiting.position] = plan;
            if compiler.left == 0 {
                break;
            }
        }
        if compiler.left == 0 {
            return Err(AvroError::schema(
                "it is too large to be resolved against another, or too many of its types are alike",
            ));
        }
        let Compiler { ops, makes, records, doubts, .. } = compiler;
        Ok(Self { writer: writer.clone(), reader: reader.clone(), ops, makes, records, root, doubts })
    }

    /// How data of a schema are read with it.
    ///
    /// ```
    /// use tidemill_serialization::avro::{Resolution, schema_of};
    ///
    /// assert!(Resolution::of(&schema_of::<i32>()?)?.check().is_ok());
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of(schema: &AvroSchema) -> Result<Self, AvroError> {
        Self::new(schema, schema)
    }

    /// Whether all data of the writer's schema can be read, as Java's `SchemaCompatibility` understands it: every
    /// branch of a union, and every symbol of an enum.
    ///
    /// ```
    /// use tidemill_serialization::avro::{Resolution, schema_of};
    ///
    /// let (int, text) = (schema_of::<i32>()?, schema_of::<String>()?);
    /// assert!(Resolution::new(&int, &text)?.check().is_err());
    /// # Ok::<(), tidemill_serialization::avro::AvroError>(())
    /// ```
    ///
    /// # Errors
    /// All the reasons why not.
    pub fn check(&self) -> Result<(), AvroError> {
        match &self.doubts[..] {
            [] => Ok(()),
            doubts => Err(AvroError::Incompatible(Incompatible(doubts.to_vec()))),
        }
    }

    /// The schema that the data were written with.
    pub fn writer(&self) -> &AvroSchema {
        &self.writer
    }

    /// The schema that the data are read with.
    pub fn reader(&self) -> &AvroSchema {
        &self.reader
    }

    /// The differences that keep some data from being read.
    pub(crate) fn doubts(&self) -> &[Difference] {
        &self.doubts
    }

    pub(crate) fn op(&self, id: OpId) -> &Op {
        // Every id was made with its operation.
        &self.ops[id as usize]
    }
}

/// Whose type is read: defaults are data of the reader's own schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    Writer,
    Reader,
}

struct Waiting {
    position: usize,
    side: Side,
    from: NodeId,
    to: NodeId,
}

struct Compiler<'a> {
    writer: &'a AvroSchema,
    reader: &'a AvroSchema,
    ops: Vec<Op>,
    makes: Vec<NodeId>,
    records: Vec<RecordPlan>,
    /// The plans of pairs of records.
    known: HashMap<(Side, NodeId, NodeId), usize>,
    /// The symbols of pairs of enums.
    symbols: HashMap<(Side, NodeId, NodeId), Symbols>,
    /// The branches of the reader's unions by their names.
    unions: HashMap<NodeId, Rc<Branches<'a>>>,
    waiting: Vec<Waiting>,
    doubts: Vec<Difference>,
    /// Whether differences are only looked for.
    silent: bool,
    /// What is left of [`MAX_WORK`]. At 0 the result is no good.
    left: usize,
}

#[derive(Clone)]
struct Symbols {
    /// For each of the writer's the position of the reader's.
    positions: Arc<[Option<u32>]>,
    /// Those that the reader does not have.
    gone: Rc<str>,
}

/// The positions of the branches of a union.
#[derive(Default)]
struct Branches<'a> {
    /// By their full names and aliases.
    by_full: HashMap<&'a str, Vec<u32>>,
    /// By the same without namespaces.
    by_simple: HashMap<&'a str, Vec<u32>>,
    unnamed: Vec<u32>,
}

impl<'a> Branches<'a> {
    fn of(schema: &'a AvroSchema, branches: &[NodeId]) -> Self {
        let mut all = Self::default();
        for (&branch, i) in branches.iter().zip(0..) {
            let Some(name) = schema.node(branch).kind.name() else {
                all.unnamed.push(i);
                continue;
            };
            for full in std::iter::once(&name.full).chain(&name.aliases) {
                all.by_full.entry(full).or_default().push(i);
                all.by_simple.entry(simple(full)).or_default().push(i);
            }
        }
        all
    }
}

/// How well a branch of the reader's union suits what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    /// After a promotion.
    Promoted,
    /// Of the same kind, and with the same name but for its namespace.
    Similar,
    /// Of the same kind and full name.
    Same,
}

impl<'a> Compiler<'a> {
    fn source(&self, side: Side) -> &'a AvroSchema {
        match side {
            Side::Writer => self.writer,
            Side::Reader => self.reader,
        }
    }

    fn add(&mut self, op: Op, makes: NodeId) -> OpId {
        self.ops.push(op);
        self.makes.push(makes);
        (self.ops.len() - 1) as OpId
    }

    /// Takes what something costs off what is left.
    fn charge(&mut self, work: usize) {
        self.left = self.left.saturating_sub(work);
    }

    fn doubt(&mut self, difference: Difference) {
        if !self.silent && self.doubts.len() < MAX_DOUBTS && !self.doubts.contains(&difference) {
            self.doubts.push(difference);
        }
    }

    fn refuse(&mut self, stored: String, declared: String, advice: &str, to: NodeId, path: &str) -> OpId {
        let text = format!("it was written as {stored}, the reader has {declared} ({advice})");
        self.charge(text.len());
        self.doubt(Difference { path: path.to_owned(), stored, declared, advice: advice.to_owned() });
        self.add(Op::Refused(text.into()), to)
    }

    /// How a value of the type `from` is read as one of the type `to`.
    fn op(&mut self, side: Side, from: NodeId, to: NodeId, path: &str) -> OpId {
        self.charge(OP);
        if self.left == 0 {
            return 0;
        }
        match (&self.source(side).node(from).kind, &self.reader.node(to).kind) {
            (Kind::Union(branches), _) => {
                let mut ops = Vec::with_capacity(branches.len());
                for branch in branches {
                    ops.push(self.op(side, *branch, to, path));
                }
                self.add(Op::Union(ops.into()), to)
            }
            (_, Kind::Union(branches)) => match self.branch(side, from, to, branches) {
                Some((i, branch)) => {
                    let op = self.op(side, from, branch, path);
                    self.add(Op::Branch(i, op), to)
                }
                None => self.without_branch(side, from, to, path),
            },
            (Kind::Array(from), Kind::Array(items)) => {
                let op = self.op(side, *from, *items, &format!("{path}[]"));
                self.add(Op::Array(op), to)
            }
            (Kind::Map(from), Kind::Map(values)) => {
                let op = self.op(side, *from, *values, &format!("{path}.values"));
                self.add(Op::Map(op), to)
            }
            _ => self.single(side, from, to, path),
        }
    }

    #[cold]
    fn without_branch(&mut self, side: Side, from: NodeId, to: NodeId, path: &str) -> OpId {
        let (stored, declared) = (self.source(side).label(from), self.reader.label(to));
        self.refuse(stored, declared, "add a branch for it to the reader's union", to, path)
    }

    /// The branch of the reader's union that suits best; the first of those.
    #[inline(never)]
    fn branch(
        &mut self,
        side: Side,
        from: NodeId,
        to: NodeId,
        branches: &'a [NodeId],
    ) -> Option<(u32, NodeId)> {
        let (source, reader) = (self.source(side), self.reader);
        let all = match self.unions.get(&to) {
            Some(all) => all.clone(),
            None => {
                let all = Rc::new(Branches::of(reader, branches));
                self.charge(branches.len() * OP + all.by_full.len());
                self.unions.insert(to, all.clone());
                all
            }
        };
        let none = Vec::new();
        let candidates = match source.node(from).kind.name() {
            // What has the same full name suits best of all.
            Some(name) => [all.by_full.get(name.full.as_str()), all.by_simple.get(name.simple())],
            None => [Some(&all.unnamed), None],
        };
        for candidates in candidates {
            let mut best = None;
            for &i in candidates.unwrap_or(&none) {
                let branch = branches[i as usize];
                self.charge(breadth(source, from) + breadth(reader, branch));
                if self.left == 0 {
                    return None;
                }
                best = best.max(suits(source, from, reader, branch).map(|suits| (suits, Reverse(i))));
            }
            if let Some((_, Reverse(i))) = best {
                return Some((i, branches[i as usize]));
            }
        }
        None
    }

    /// As [`op`](Self::op), for types that have no others within but those of fields.
    #[inline(never)]
    fn single(&mut self, side: Side, from: NodeId, to: NodeId, path: &str) -> OpId {
        let (source, reader) = (self.source(side), self.reader);
        let (written, wanted) = (source.node(from), reader.node(to));
        if let Some(advice) = meanings_differ(written.logical, wanted.logical) {
            return self.refuse(source.label(from), reader.label(to), advice, to, path);
        }
        let op = match (&written.kind, &wanted.kind) {
            (Kind::Null, Kind::Null) => Op::Null,
            (Kind::Boolean, Kind::Boolean) => Op::Boolean,
            (Kind::Int, Kind::Int) => Op::Int,
            (Kind::Long, Kind::Long) => Op::Long,
            (Kind::Float, Kind::Float) => Op::Float,
            (Kind::Double, Kind::Double) => Op::Double,
            (Kind::Int, Kind::Long) => Op::IntToLong,
            (Kind::Int, Kind::Float) => Op::IntToFloat,
            (Kind::Int, Kind::Double) => Op::IntToDouble,
            (Kind::Long, Kind::Float) => Op::LongToFloat,
            (Kind::Long, Kind::Double) => Op::LongToDouble,
            (Kind::Float, Kind::Double) => Op::FloatToDouble,
            (Kind::Bytes | Kind::String, Kind::Bytes) => Op::Bytes,
            (Kind::Bytes | Kind::String, Kind::String) => Op::String,
            (Kind::Fixed(was, size), Kind::Fixed(name, length)) => {
                if !names_match(was, name) {
                    return self.renamed(was, name, to, path);
                }
                if size != length {
                    let advice =
                        "a fixed type cannot change its size: add a field with another name and a default";
                    return self.refuse(source.label(from), reader.label(to), advice, to, path);
                }
                Op::Fixed(*size)
            }
            (Kind::Enum(was), Kind::Enum(is)) => {
                if !names_match(&was.name, &is.name) {
                    return self.renamed(&was.name, &is.name, to, path);
                }
                let symbols = self.symbols(side, (from, was), (to, is));
                if !symbols.gone.is_empty() {
                    self.doubt(Difference {
                        path: path.to_owned(),
                        stored: format!("{} with {}", was.name.full, symbols.gone),
                        declared: format!("{} without, and without a default", is.name.full),
                        advice: "keep the symbols, or give the enum a default".to_owned(),
                    });
                }
                Op::Enum(symbols.positions)
            }
            (Kind::Record(was), Kind::Record(is)) => {
                if !names_match(&was.name, &is.name) {
                    return self.renamed(&was.name, &is.name, to, path);
                }
                let (records, waiting) = (&mut self.records, &mut self.waiting);
                let position = *self.known.entry((side, from, to)).or_insert_with(|| {
                    let position = records.len();
                    records.push(RecordPlan::default());
                    waiting.push(Waiting { position, side, from, to });
                    position
                });
                Op::Record(position as u32)
            }
            _ => {
                let advice = "keep the type, or add a field with another name and a default; int may become long, float or double, long may become float or double, float may become double, string and bytes each other, and any type a branch of a union";
                return self.refuse(source.label(from), reader.label(to), advice, to, path);
            }
        };
        self.add(op, to)
    }

    fn renamed(&mut self, was: &TypeName, is: &TypeName, to: NodeId, path: &str) -> OpId {
        let advice = format!("if it was renamed, give it the alias {:?}", was.full);
        self.refuse(was.full.clone(), is.full.clone(), &advice, to, path)
    }

    fn symbols(&mut self, side: Side, was: (NodeId, &EnumNode), is: (NodeId, &EnumNode)) -> Symbols {
        let key = (side, was.0, is.0);
        if let Some(symbols) = self.symbols.get(&key) {
            return symbols.clone();
        }
        let (was, is) = (was.1, is.1);
        self.charge((was.symbols.len() + is.symbols.len()) * OP);
        let positions: HashMap<&str, u32> =
            is.symbols.iter().zip(0u32..).map(|(symbol, i)| (symbol.as_str(), i)).collect();
        let default = is.default.as_deref().and_then(|default| positions.get(default).copied());
        let positions: Arc<[Option<u32>]> =
            was.symbols.iter().map(|symbol| positions.get(symbol.as_str()).copied().or(default)).collect();
        let gone = was.symbols.iter().zip(positions.iter()).filter(|(_, position)| position.is_none());
        let mut gone: Vec<&str> = gone.map(|(symbol, _)| symbol.as_str()).take(21).collect();
        if gone.len() > 20 {
            gone[20] = "…";
        }
        let symbols = Symbols { positions, gone: gone.join(", ").into() };
        self.symbols.insert(key, symbols.clone());
        symbols
    }

    /// How a record is read.
    fn record(&mut self, waiting: &Waiting) -> RecordPlan {
        let source = self.source(waiting.side);
        let (Kind::Record(was), Kind::Record(is)) =
            (&source.node(waiting.from).kind, &self.reader.node(waiting.to).kind)
        else {
            return RecordPlan::default();
        };
        let aliases: usize = is.fields.iter().map(|field| field.aliases.len()).sum();
        self.charge((was.fields.len() + is.fields.len()) * OP + aliases);
        if self.left == 0 {
            return RecordPlan::default();
        }
        // What a default is made of does not depend on what was written.
        self.silent = waiting.side == Side::Reader;
        let name = is.name.full.clone();
        let sources = sources(was, is);
        let mut targets: Vec<Option<usize>> = vec![None; was.fields.len()];
        for (i, source) in sources.iter().enumerate() {
            if let Some(position) = source {
                targets[*position] = Some(i);
            }
        }
        let mut steps = Vec::with_capacity(was.fields.len());
        for (field, target) in was.fields.iter().zip(targets) {
            let (label, action) = match target {
                Some(i) => {
                    let label = format!("{name}.{}", is.fields[i].name);
                    let op = self.op(waiting.side, field.node, is.fields[i].node, &label);
                    (label, Action::Read(i, op))
                }
                None => (format!("{}.{}", was.name.full, field.name), Action::Skip(field.node)),
            };
            self.charge(label.len());
            steps.push(RecordStep { label, action });
        }
        for (i, field) in is.fields.iter().enumerate().filter(|(i, _)| sources[*i].is_none()) {
            let label = format!("{name}.{}", field.name);
            self.charge(label.len());
            let reader = self.reader;
            let declared = |what: &str| format!("a new {} {what}", reader.label(field.node));
            let wrong = match &field.default {
                None => Some(declared("without a default")),
                Some(_) => match defaults::encode(reader, field, &mut self.left) {
                    Ok(bytes) => {
                        self.charge(bytes.len());
                        let op = self.op(Side::Reader, field.node, field.node, &label);
                        steps.push(RecordStep {
                            label: label.clone(),
                            action: Action::Default(i, bytes.into(), op),
                        });
                        None
                    }
                    Err(detail) => Some(declared(&format!("whose default {detail}"))),
                },
            };
            if let Some(declared) = wrong {
                self.charge(declared.len());
                self.doubt(Difference {
                    path: label.clone(),
                    stored: "not there".into(),
                    declared,
                    advice: "give it a default; if it was renamed, an alias".to_owned(),
                });
                steps.push(RecordStep { label, action: Action::Refused(i) });
            }
        }
        self.silent = false;
        RecordPlan { steps }
    }
}

/// For each of the reader's fields the one that was written: by name, then by alias.
fn sources(was: &RecordNode, is: &RecordNode) -> Vec<Option<usize>> {
    let mut sources: Vec<Option<usize>> =
        is.fields.iter().map(|field| was.by_name.get(&field.name).copied()).collect();
    let mut taken = vec![false; was.fields.len()];
    sources.iter().flatten().for_each(|&i| taken[i] = true);
    for (field, source) in is.fields.iter().zip(&mut sources).filter(|(_, source)| source.is_none()) {
        let aliases = field.aliases.iter().filter_map(|alias| was.by_name.get(alias).copied());
        *source = aliases.into_iter().find(|&i| !taken[i]);
        source.iter().for_each(|&i| taken[i] = true);
    }
    sources
}

/// Whether two names are the same but for the namespace, or one is an alias of the reader's.
fn names_match(was: &TypeName, is: &TypeName) -> bool {
    was.simple() == is.simple()
        || is.aliases.iter().any(|alias| *alias == was.full || simple(alias) == was.simple())
}

/// How much there is to be compared when a type may be one of another union.
fn breadth(schema: &AvroSchema, id: NodeId) -> usize {
    let node = schema.node(id);
    match &node.kind {
        Kind::Array(items) | Kind::Map(items) => match &schema.node(*items).kind {
            Kind::Union(branches) => branches.len() * OP,
            _ => OP,
        },
        kind => OP + kind.name().map_or(0, |name| name.aliases.len()),
    }
}

/// How well a branch of the reader's union suits a type that was written.
fn suits(source: &AvroSchema, from: NodeId, reader: &AvroSchema, to: NodeId) -> Option<Match> {
    let (written, wanted) = (source.node(from), reader.node(to));
    if meanings_differ(written.logical, wanted.logical).is_some() {
        return None;
    }
    let named = |was: &TypeName, is: &TypeName| match was.full == is.full || is.aliases.contains(&was.full) {
        true => Some(Match::Same),
        false => names_match(was, is).then_some(Match::Similar),
    };
    match (&written.kind, &wanted.kind) {
        (Kind::Null, Kind::Null)
        | (Kind::Boolean, Kind::Boolean)
        | (Kind::Int, Kind::Int)
        | (Kind::Long, Kind::Long)
        | (Kind::Float, Kind::Float)
        | (Kind::Double, Kind::Double)
        | (Kind::Bytes, Kind::Bytes)
        | (Kind::String, Kind::String) => {
            Some(if written.logical == wanted.logical { Match::Same } else { Match::Similar })
        }
        (Kind::Int, Kind::Long | Kind::Float | Kind::Double)
        | (Kind::Long, Kind::Float | Kind::Double)
        | (Kind::Float, Kind::Double)
        | (Kind::Bytes, Kind::String)
        | (Kind::String, Kind::Bytes) => Some(Match::Promoted),
        (Kind::Array(from), Kind::Array(to)) | (Kind::Map(from), Kind::Map(to)) => {
            elements_suit(source, *from, reader, *to)
        }
        (Kind::Fixed(was, size), Kind::Fixed(is, length)) if size == length => named(was, is),
        (Kind::Enum(was), Kind::Enum(is)) => named(&was.name, &is.name),
        (Kind::Record(was), Kind::Record(is)) => named(&was.name, &is.name),
        _ => None,
    }
}

/// As [`suits`], for the elements of arrays and maps, which may be unions themselves. Looks no deeper, for that could take
/// time without end.
fn elements_suit(source: &AvroSchema, from: NodeId, reader: &AvroSchema, to: NodeId) -> Option<Match> {
    match (&source.node(from).kind, &reader.node(to).kind) {
        (Kind::Union(_), Kind::Union(_)) => Some(Match::Same),
        (Kind::Union(branches), _) => {
            branches.iter().filter_map(|branch| elements_suit(source, *branch, reader, to)).max()
        }
        (_, Kind::Union(branches)) => {
            branches.iter().filter_map(|branch| elements_suit(source, from, reader, *branch)).max()
        }
        (Kind::Array(_), Kind::Array(_)) | (Kind::Map(_), Kind::Map(_)) => Some(Match::Same),
        _ => suits(source, from, reader, to),
    }
}

/// Whether a value that means one thing would be taken for another: what to do about it.
///
/// The specification lets data be read as the underlying type says, so that a time in milliseconds would silently be taken
/// for one in microseconds.
fn meanings_differ(written: Logical, wanted: Logical) -> Option<&'static str> {
    match (written, wanted) {
        (from, to) if from == to => None,
        (Logical::None, _) | (_, Logical::None) => None,
        (Logical::Decimal { precision: from, scale }, Logical::Decimal { precision: to, scale: other }) => {
            match (scale == other, from <= to) {
                (true, true) => None,
                (true, false) => Some("the precision of a decimal may only grow"),
                (false, _) => {
                    Some("the scale of a decimal cannot change: add a field with another name and a default")
                }
            }
        }
        _ => Some("the same number would mean something else: add a field with another name and a default"),
    }
}
