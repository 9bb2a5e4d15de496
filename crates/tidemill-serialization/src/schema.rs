//! [`Schema`]: what the values of a type are written as.
//!
//! It is stored beside whatever is kept, and is all that is needed to find one's way through the bytes, long after the
//! program that wrote them is gone.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;

use crate::Record;
use crate::data::Data;
use crate::input::DecodeError;
use crate::opaque::Opaque;
use crate::unstored::Unstored;

/// More definitions than any program has; a damaged schema may claim any number.
const MAX_DEFINITIONS: usize = 10_000;
/// The bytes that the name of a type has in messages, that of a struct or field, and the description of a whole schema.
const MAX_NAME: usize = 1_000;
const MAX_WORD: usize = 200;
const MAX_DESCRIPTION: usize = 20_000;

/// What values are written as.
///
/// ```
/// use tidemill_serialization::Schema;
/// use tidemill_serialization::schema::Type;
///
/// assert_eq!(Schema::of::<Vec<u16>>().root, Type::List(Box::new(Type::UInt(16))));
/// ```
#[derive(Record, Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Type {
    /// No bytes at all.
    Unit,
    /// 0 or 1.
    Bool,
    /// A signed integer of so many bits: 8, 16, 32, 64 or 128.
    Int(u8),
    /// An unsigned integer of so many bits.
    UInt(u8),
    /// A floating-point number of 32 or 64 bits.
    Float(u8),
    /// A Unicode scalar value.
    Char,
    /// UTF-8.
    Text,
    /// A span of time.
    Duration,
    /// Days since 1970-01-01.
    Date,
    /// Time of day; so many digits of a second.
    Time(u8),
    /// An instant; so many digits of a second.
    Timestamp(u8),
    /// A decimal number.
    Decimal {
        /// How many digits at most.
        precision: u8,
        /// How many of them are behind the point.
        scale: u8,
    },
    /// A value that may be missing.
    Option(Box<Type>),
    /// Values of several types.
    Tuple(Vec<Type>),
    /// A fixed number of values.
    Array(Box<Type>, u32),
    /// Any number of values.
    List(Box<Type>),
    /// Values of which no two are equal.
    Set(Box<Type>),
    /// Values by keys of which no two are equal.
    Map(Box<Type>, Box<Type>),
    /// The struct or enum with this position in [`Schema::definitions`].
    Named(u32),
    /// Bytes that only their own serializer understands, behind their length.
    Opaque(Opaque),
}

/// A struct or an enum.
///
/// ```
/// use tidemill_serialization::{Record, Schema};
///
/// #[derive(Record, Clone)]
/// #[record(alias = "Purchase")]
/// struct Order { price: f64 }
///
/// let definition = &Schema::of::<Order>().definitions[0];
/// assert_eq!((definition.name.as_str(), &definition.aliases[..]), ("Order", &["Purchase".to_owned()][..]));
/// ```
#[derive(Record, Clone, Debug, PartialEq)]
pub struct Definition {
    /// Its name, without the path of its module.
    pub name: String,
    /// The names that it had before.
    pub aliases: Unstored<Vec<String>>,
    /// What is in it.
    pub body: Body,
}

/// What is in a struct or an enum.
///
/// ```
/// use tidemill_serialization::schema::Body;
/// use tidemill_serialization::{Record, Schema};
///
/// #[derive(Record, Clone)]
/// enum Shape { Point, Circle(f64) }
///
/// let schema = Schema::of::<Shape>();
/// assert!(matches!(&schema.definitions[0].body, Body::Enum(variants) if variants.len() == 2));
/// ```
#[derive(Record, Clone, Debug, PartialEq)]
pub enum Body {
    /// The fields in the order in which they are written.
    Struct(Vec<Field>),
    /// The variants by their positions, which values begin with.
    Enum(Vec<Variant>),
}

/// A field. Those of tuples and tuple-like structs are named by their positions, from `0`.
///
/// ```
/// use tidemill_serialization::schema::{Body, Type};
/// use tidemill_serialization::{Record, Schema};
///
/// #[derive(Record, Clone)]
/// struct Order {
///     #[record(default = 1)]
///     pieces: u16,
/// }
///
/// let schema = Schema::of::<Order>();
/// let Body::Struct(fields) = &schema.definitions[0].body else { panic!() };
/// assert_eq!((fields[0].name.as_str(), &fields[0].ty), ("pieces", &Type::UInt(16)));
/// assert_eq!(fields[0].default.as_deref(), Some(&[1, 0][..]));
/// ```
#[derive(Record, Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The names that it had before.
    pub aliases: Unstored<Vec<String>>,
    /// Its type.
    pub ty: Type,
    /// What it is where it is missing: an encoded value.
    pub default: Unstored<Option<Vec<u8>>>,
    /// The name of its column, where it is not its own.
    pub column: Unstored<Option<String>>,
}

/// A variant of an enum.
///
/// ```
/// use tidemill_serialization::schema::Body;
/// use tidemill_serialization::{Record, Schema};
///
/// #[derive(Record, Clone)]
/// enum Shape { Point, Circle(f64) }
///
/// let schema = Schema::of::<Shape>();
/// let Body::Enum(variants) = &schema.definitions[0].body else { panic!() };
/// assert_eq!((variants[1].name.as_str(), variants[1].fields[0].name.as_str()), ("Circle", "0"));
/// ```
#[derive(Record, Clone, Debug, PartialEq)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// The names that it had before.
    pub aliases: Unstored<Vec<String>>,
    /// Its fields, in the order in which they are written.
    pub fields: Vec<Field>,
}

/// The type of some values, and the structs and enums that it is made of.
///
/// ```
/// use tidemill_serialization::{Record, Schema};
///
/// #[derive(Record, Clone)]
/// struct Order {
///     customer: String,
///     #[record(alias = "total")]
///     price: Option<f64>,
/// }
///
/// let schema = Schema::of::<Vec<Order>>();
/// assert_eq!(schema.to_string(), "Vec<Order>");
/// assert_eq!(schema.describe(), "Vec<Order>, where Order { customer: String, price: Option<f64> }");
/// ```
#[derive(Record, Clone, Debug, PartialEq)]
pub struct Schema {
    /// The type of the values.
    pub root: Type,
    /// What it refers to.
    pub definitions: Vec<Definition>,
}

/// Collects the structs and enums that a type is made of, each once.
///
/// ```
/// use tidemill_serialization::schema::Type;
/// use tidemill_serialization::{Data, SchemaBuilder};
///
/// let mut builder = SchemaBuilder::default();
/// assert_eq!(<Option<u8>>::describe(&mut builder), Type::Option(Box::new(Type::UInt(8))));
/// ```
#[derive(Default)]
pub struct SchemaBuilder {
    positions: HashMap<TypeId, u32>,
    /// `None` while the definition is being made.
    definitions: Vec<Option<Definition>>,
}

impl SchemaBuilder {
    /// Refers to the struct or enum `T`, which `make` defines when it is met for the first time.
    ///
    /// ```
    /// use tidemill_serialization::SchemaBuilder;
    /// use tidemill_serialization::schema::{Body, Definition, Type};
    ///
    /// struct Marker;
    ///
    /// let mut builder = SchemaBuilder::default();
    /// let define = |_: &mut SchemaBuilder| Definition {
    ///     name: "Marker".to_owned(),
    ///     aliases: Vec::new().into(),
    ///     body: Body::Struct(Vec::new()),
    /// };
    /// assert_eq!(builder.named::<Marker>(define), Type::Named(0));
    /// assert_eq!(builder.named::<Marker>(define), Type::Named(0), "each once");
    /// ```
    pub fn named<T: 'static>(&mut self, make: impl FnOnce(&mut Self) -> Definition) -> Type {
        if let Some(&position) = self.positions.get(&TypeId::of::<T>()) {
            return Type::Named(position);
        }
        let position = self.definitions.len();
        self.positions.insert(TypeId::of::<T>(), position as u32);
        self.definitions.push(None);
        let definition = make(self);
        self.definitions[position] = Some(definition);
        Type::Named(position as u32)
    }
}

impl Schema {
    /// What values of `T` are written as.
    ///
    /// ```
    /// use tidemill_serialization::Schema;
    ///
    /// assert_eq!(Schema::of::<(u32, Option<String>)>().to_string(), "(u32, Option<String>)");
    /// ```
    pub fn of<T: Data>() -> Self {
        let mut builder = SchemaBuilder::default();
        let root = T::describe(&mut builder);
        Self { root, definitions: builder.definitions.into_iter().flatten().collect() }
    }

    /// The struct or enum at a position; only a schema that was [checked](Self::check) has all it refers to.
    pub(crate) fn definition(&self, position: u32) -> Result<&Definition, DecodeError> {
        let missing = || DecodeError::invalid("schema", format!("it has no definition number {position}"));
        self.definitions.get(position as usize).ok_or_else(missing)
    }

    /// Checks that a schema which was read can be worked with.
    pub(crate) fn check(&self) -> Result<(), DecodeError> {
        if self.definitions.len() > MAX_DEFINITIONS {
            let detail =
                format!("{} definitions, at most {MAX_DEFINITIONS} are read", self.definitions.len());
            return Err(DecodeError::invalid("schema", detail));
        }
        let mut found = Ok(());
        self.visit(&mut |ty| {
            let wrong = match ty {
                Type::Int(bits) | Type::UInt(bits) => !matches!(bits, 8 | 16 | 32 | 64 | 128),
                Type::Float(bits) => !matches!(bits, 32 | 64),
                Type::Named(position) => *position as usize >= self.definitions.len(),
                _ => false,
            };
            if wrong {
                found = Err(DecodeError::invalid("schema", format!("there is no type {ty:?}")));
            }
        });
        found
    }

    /// Shows every type in it, those within others too.
    ///
    /// ```
    /// use tidemill_serialization::Schema;
    /// use tidemill_serialization::schema::Type;
    ///
    /// let mut texts = 0;
    /// Schema::of::<(String, Vec<String>)>().visit(&mut |ty| texts += usize::from(*ty == Type::Text));
    /// assert_eq!(texts, 2);
    /// ```
    pub fn visit(&self, visit: &mut dyn FnMut(&Type)) {
        let visit = &mut |ty: &Type| {
            visit(ty);
            true
        };
        self.root.visit(visit);
        self.definitions.iter().for_each(|definition| definition.visit(visit));
    }

    /// The values in it that the slow generic fallback writes: the names of their types, each once.
    ///
    /// ```
    /// use tidemill_serialization::{Generic, Schema};
    ///
    /// assert_eq!(Schema::of::<(u32, Generic<String>)>().generic_types(), ["String"]);
    /// assert!(Schema::of::<(u32, String)>().generic_types().is_empty());
    /// ```
    pub fn generic_types(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.visit(&mut |ty| match ty {
            Type::Opaque(opaque) if opaque.is_generic() && !names.contains(&opaque.type_name) => {
                names.push(opaque.type_name.clone());
            }
            _ => {}
        });
        names
    }

    /// The type with all its structs and enums spelled out; cut off where that gets too long to read.
    ///
    /// ```
    /// use tidemill_serialization::{Record, Schema};
    ///
    /// #[derive(Record, Clone)]
    /// enum Shape { Point, Circle(f64) }
    ///
    /// assert_eq!(Schema::of::<Shape>().describe(), "Shape, where Shape = Point | Circle { 0: f64 }");
    /// ```
    pub fn describe(&self) -> String {
        let mut text = Text::at_most(MAX_DESCRIPTION);
        self.write(&self.root, &mut text);
        for (i, definition) in self.definitions.iter().enumerate() {
            text.push(if i == 0 { ", where " } else { ", " });
            text.push(&definition.name);
            match &definition.body {
                Body::Struct(fields) => self.fields(fields, &mut text),
                Body::Enum(variants) => {
                    text.push(" = ");
                    for (i, variant) in variants.iter().enumerate() {
                        text.push(if i == 0 { "" } else { " | " });
                        text.push(&variant.name);
                        self.fields(&variant.fields, &mut text);
                    }
                }
            }
        }
        text.text
    }

    fn fields(&self, fields: &[Field], text: &mut Text) {
        for (i, field) in fields.iter().enumerate() {
            text.push(if i == 0 { " { " } else { ", " });
            text.push(&field.name);
            text.push(": ");
            self.write(&field.ty, text);
        }
        text.push(if fields.is_empty() { "" } else { " }" });
    }

    /// What a type is called; cut off where that gets too long to read.
    ///
    /// ```
    /// use tidemill_serialization::Schema;
    /// use tidemill_serialization::schema::Type;
    ///
    /// let schema = Schema::of::<u32>();
    /// assert_eq!(schema.name(&Type::List(Box::new(Type::Int(64)))), "Vec<i64>");
    /// ```
    pub fn name(&self, ty: &Type) -> String {
        let mut text = Text::at_most(MAX_NAME);
        self.write(ty, &mut text);
        text.text
    }

    fn write(&self, ty: &Type, text: &mut Text) {
        let mut around = |before: &str, value: &Type, after: &str| {
            text.push(before);
            self.write(value, text);
            text.push(after);
        };
        match ty {
            Type::Unit => text.push("()"),
            Type::Bool => text.push("bool"),
            Type::Int(bits) => text.push(&format!("i{bits}")),
            Type::UInt(bits) => text.push(&format!("u{bits}")),
            Type::Float(bits) => text.push(&format!("f{bits}")),
            Type::Char => text.push("char"),
            Type::Text => text.push("String"),
            Type::Duration => text.push("Duration"),
            Type::Date => text.push("Date"),
            Type::Time(digits) => text.push(&format!("Time({digits})")),
            Type::Timestamp(digits) => text.push(&format!("Timestamp({digits})")),
            Type::Decimal { precision, scale } => text.push(&format!("Decimal<{precision}, {scale}>")),
            Type::Option(value) => around("Option<", value, ">"),
            Type::Tuple(parts) => {
                for (i, part) in parts.iter().enumerate() {
                    text.push(if i == 0 { "(" } else { ", " });
                    if text.full {
                        return;
                    }
                    self.write(part, text);
                }
                text.push(match parts.len() {
                    0 => "()",
                    1 => ",)",
                    _ => ")",
                });
            }
            Type::Array(value, length) => around("[", value, &format!("; {length}]")),
            Type::List(value) => around("Vec<", value, ">"),
            Type::Set(value) => around("Set<", value, ">"),
            Type::Map(key, value) => {
                around("Map<", key, ", ");
                around("", value, ">");
            }
            Type::Named(position) => match self.definitions.get(*position as usize) {
                Some(definition) => text.push(&definition.name),
                None => text.push(&format!("type {position}")),
            },
            Type::Opaque(opaque) => {
                text.push(&opaque.type_name);
                text.push(" (");
                text.push(&opaque.serializer);
                text.push(")");
            }
        }
    }

    /// The bytes of every value of each definition, where all values take the same. Those that go in circles have none.
    pub(crate) fn fixed_bytes(&self) -> Vec<Option<usize>> {
        let mut known = vec![None; self.definitions.len()];
        // How many references within each are not known yet, and who refers to each: so that all are looked at once.
        let mut waiting_for = vec![0usize; self.definitions.len()];
        let mut users = vec![Vec::new(); self.definitions.len()];
        for (i, definition) in self.definitions.iter().enumerate() {
            definition.visit(&mut |ty| {
                if let Type::Named(position) = ty
                    && let Some(users) = users.get_mut(*position as usize)
                {
                    users.push(i);
                    waiting_for[i] += 1;
                }
                // What an array of no elements refers to is not a part of any value: a type may contain itself there and
                // still be of a fixed size.
                !matches!(ty, Type::Array(_, 0))
            });
        }
        let mut ready: Vec<usize> = (0..known.len()).filter(|i| waiting_for[*i] == 0).collect();
        while let Some(i) = ready.pop() {
            known[i] = match &self.definitions[i].body {
                Body::Struct(fields) => fixed_sum(fields, &known),
                Body::Enum(variants) => {
                    let mut sizes = variants.iter().map(|variant| fixed_sum(&variant.fields, &known));
                    let first = sizes.next().flatten();
                    if sizes.all(|size| size == first) {
                        first.map(|size| size.saturating_add(2))
                    } else {
                        None
                    }
                }
            };
            for user in std::mem::take(&mut users[i]) {
                waiting_for[user] -= 1;
                if waiting_for[user] == 0 {
                    ready.push(user);
                }
            }
        }
        known
    }
}

impl Definition {
    /// As [`Type::visit`], for every field.
    fn visit(&self, visit: &mut dyn FnMut(&Type) -> bool) {
        let mut fields = |fields: &[Field]| fields.iter().for_each(|field| field.ty.visit(visit));
        match &self.body {
            Body::Struct(of) => fields(of),
            Body::Enum(variants) => variants.iter().for_each(|variant| fields(&variant.fields)),
        }
    }
}

/// Text that ends where it gets too long: names in a damaged schema may be of any length and occur any number of times.
struct Text {
    text: String,
    limit: usize,
    full: bool,
}

impl Text {
    fn at_most(limit: usize) -> Self {
        Self { text: String::new(), limit, full: false }
    }

    fn push(&mut self, more: &str) {
        if self.full {
            return;
        }
        let room = self.limit - self.text.len();
        if more.len() <= room {
            self.text.push_str(more);
        } else {
            self.text.push_str(&more[..more.floor_char_boundary(room)]);
            self.text.push('…');
            self.full = true;
        }
    }
}

/// A name from a schema, cut off where it is too long for a message.
pub(crate) fn shortened(name: &str) -> String {
    let mut text = Text::at_most(MAX_WORD);
    text.push(name);
    text.text
}

fn fixed_sum(fields: &[Field], known: &[Option<usize>]) -> Option<usize> {
    fields.iter().try_fold(0, |sum: usize, field| Some(sum.saturating_add(field.ty.fixed_bytes(known)?)))
}

impl Type {
    /// Shows the type; those within it too, where the answer is yes.
    fn visit(&self, visit: &mut dyn FnMut(&Type) -> bool) {
        if !visit(self) {
            return;
        }
        match self {
            Type::Option(value) | Type::Array(value, _) | Type::List(value) | Type::Set(value) => {
                value.visit(visit);
            }
            Type::Map(key, value) => {
                key.visit(visit);
                value.visit(visit);
            }
            Type::Tuple(parts) => parts.iter().for_each(|part| part.visit(visit)),
            _ => {}
        }
    }

    /// The bytes of every value, where all values take the same; `known` has those of the definitions.
    pub(crate) fn fixed_bytes(&self, known: &[Option<usize>]) -> Option<usize> {
        match self {
            Type::Unit => Some(0),
            Type::Bool => Some(1),
            Type::Int(bits) | Type::UInt(bits) | Type::Float(bits) => Some(usize::from(bits / 8)),
            Type::Char | Type::Date => Some(4),
            Type::Duration => Some(12),
            Type::Time(_) | Type::Timestamp(_) => Some(8),
            Type::Decimal { .. } => Some(16),
            Type::Option(value) => match value.fixed_bytes(known) {
                Some(0) => Some(1),
                _ => None,
            },
            Type::Tuple(parts) => parts
                .iter()
                .try_fold(0, |sum: usize, part| Some(sum.saturating_add(part.fixed_bytes(known)?))),
            // Without elements it takes none, whatever they would take.
            Type::Array(_, 0) => Some(0),
            Type::Array(value, length) => Some(value.fixed_bytes(known)?.saturating_mul(*length as usize)),
            Type::Named(position) => known.get(*position as usize).copied().flatten(),
            Type::Text | Type::List(_) | Type::Set(_) | Type::Map(..) | Type::Opaque(_) => None,
        }
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name(&self.root))
    }
}
