//! Whether bytes that one program wrote can be read by another, and how.

use std::collections::HashMap;
use std::fmt;

use crate::migration::{FieldPlan, Fields, Migration, Pair, Step};
use crate::opaque::Resolution;
use crate::schema::{Body, Definition, Field, Schema, Type, shortened};
use crate::skip::Skip;

/// What becomes of values that were written with one schema in a program that writes another.
///
/// ```
/// use tidemill_serialization::{Compatibility, Schema};
///
/// let read = |declared: Schema| declared.read_from(&Schema::of::<u32>());
/// assert!(matches!(read(Schema::of::<u32>()), Compatibility::AsIs));
/// assert!(matches!(read(Schema::of::<u64>()), Compatibility::AfterMigration(_)));
/// assert!(matches!(read(Schema::of::<String>()), Compatibility::Incompatible(_)));
/// ```
#[derive(Debug)]
pub enum Compatibility {
    /// They can be read as they are.
    AsIs,
    /// They can be read once they were migrated.
    AfterMigration(Migration),
    /// They cannot be read. All the reasons.
    Incompatible(Incompatible),
}

/// More are not looked for: who reads messages has enough with these.
const MAX_DIFFERENCES: usize = 64;
/// The parts of a way that are shown, when it has more of them.
const SHOWN_PARTS: usize = 16;

/// The differences that keep a program from reading what another wrote: all of them, or the first 64.
///
/// ```
/// use tidemill_serialization::{Compatibility, Schema};
///
/// let declared = Schema::of::<(u8, String)>();
/// let read = declared.read_from(&Schema::of::<(u32, f64)>());
/// let Compatibility::Incompatible(reasons) = read else { panic!() };
/// assert_eq!(reasons.0.len(), 2, "both parts are told of");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incompatible(pub Vec<Difference>);

impl fmt::Display for Incompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, difference) in self.0.iter().enumerate() {
            write!(f, "{}{difference}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Incompatible {}

/// A difference that keeps a program from reading what another wrote.
///
/// ```
/// use tidemill_serialization::{Compatibility, Schema};
///
/// let read = Schema::of::<String>().read_from(&Schema::of::<u32>());
/// let Compatibility::Incompatible(reasons) = read else { panic!() };
/// let difference = &reasons.0[0];
/// assert_eq!((difference.stored.as_str(), difference.declared.as_str()), ("u32", "String"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where: the type, and the way from it to the field.
    pub path: String,
    /// The type as stored.
    pub stored: String,
    /// The type in the program, or that there is none.
    pub declared: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, stored, declared, advice } = self;
        write!(f, "{path} was {stored} and is now {declared} ({advice})")
    }
}

impl Schema {
    /// Compares the schema that values were written with, `stored`, to that of the program, `self`.
    ///
    /// The rules, for structs and enums at every depth:
    /// - fields and variants are matched by name, then by alias; so they may be reordered and renamed;
    /// - fields may be removed, and added where there is a default;
    /// - fields without names are matched by position; they may only be appended, where there is a default, and get names
    ///   that have the positions as aliases;
    /// - variants may be added; two may become one, by an alias;
    /// - integers may become wider ones that hold all their values, `f32` may become `f64`, `T` may become `Option<T>`;
    /// - keys of maps and elements of sets stay different from each other: they lose no field, no two of their variants become
    ///   one, and those with a serializer of their own keep their bytes.
    ///
    /// ```
    /// use tidemill_serialization::{Compatibility, Data, Input, Schema};
    ///
    /// let stored = Schema::of::<Vec<u32>>();
    /// let Compatibility::AfterMigration(migration) = Schema::of::<Vec<u64>>().read_from(&stored) else { panic!() };
    /// let (mut before, mut after) = (Vec::new(), Vec::new());
    /// vec![7u32, 8].encode(&mut before);
    /// migration.value(&mut Input::new(&before), &mut after)?;
    /// assert_eq!(Vec::<u64>::decode(&mut Input::new(&after))?, [7, 8]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_from(&self, stored: &Schema) -> Compatibility {
        Resolver::resolve(stored, self, false)
    }

    /// As [`read_from`](Self::read_from), for values that must stay different from each other, such as the keys of
    /// a map.
    ///
    /// ```
    /// use tidemill_serialization::{Compatibility, Record, Schema};
    ///
    /// mod before {
    ///     #[derive(tidemill_serialization::Record, Clone)]
    ///     pub struct Seat { pub row: u32, pub letter: char }
    /// }
    /// #[derive(Record, Clone)]
    /// struct Seat { row: u32 }
    ///
    /// let (stored, declared) = (Schema::of::<before::Seat>(), Schema::of::<Seat>());
    /// assert!(matches!(declared.read_from(&stored), Compatibility::AfterMigration(_)));
    /// assert!(matches!(declared.read_keys_from(&stored), Compatibility::Incompatible(_)), "7A and 7B are not one");
    /// ```
    pub fn read_keys_from(&self, stored: &Schema) -> Compatibility {
        Resolver::resolve(stored, self, true)
    }
}

/// Two definitions, one for the other: their positions, and whether keys are made of them.
type PairId = (u32, u32, bool);

/// A way from the root to a part of a value: its position in [`Resolver::ways`].
#[derive(Clone, Copy)]
struct Way(usize);

struct Resolver<'a> {
    stored: &'a Schema,
    /// What values of its definitions take, where all take the same.
    fixed: Vec<Option<usize>>,
    declared: &'a Schema,
    positions: HashMap<PairId, usize>,
    /// Pairs to be resolved, with the ways to them. A queue, not recursion: a stored schema may be as deep as it likes.
    waiting: Vec<(PairId, Way)>,
    /// The last part of each way and where it goes on: they are written out for differences only, since those in a
    /// damaged schema may be of any length.
    ways: Vec<(Way, String)>,
    differences: Vec<Difference>,
}

impl<'a> Resolver<'a> {
    fn resolve(stored: &'a Schema, declared: &'a Schema, keys: bool) -> Compatibility {
        let mut resolver = Resolver {
            stored,
            fixed: stored.fixed_bytes(),
            declared,
            positions: HashMap::new(),
            waiting: Vec::new(),
            ways: vec![(Way(0), declared.to_string())],
            differences: Vec::new(),
        };
        let root = resolver.step(&stored.root, &declared.root, keys, Way(0));
        let mut pairs = Vec::new();
        while pairs.len() < resolver.waiting.len() && resolver.differences.len() < MAX_DIFFERENCES {
            let (id, way) = resolver.waiting[pairs.len()];
            let pair = resolver.pair(id, way);
            pairs.push(pair);
        }
        if !resolver.differences.is_empty() {
            return Compatibility::Incompatible(Incompatible(resolver.differences));
        }
        let targets = resolver.waiting.iter().map(|((_, to, _), _)| *to).collect();
        match Migration::new(stored, &resolver.fixed, root, pairs, targets) {
            None => Compatibility::AsIs,
            Some(migration) => Compatibility::AfterMigration(migration),
        }
    }

    fn further(&mut self, way: Way, part: impl Into<String>) -> Way {
        self.ways.push((way, part.into()));
        Way(self.ways.len() - 1)
    }

    fn written(&self, way: Way) -> String {
        let mut parts = Vec::new();
        let mut way = way;
        while way.0 != 0 {
            let (next, part) = &self.ways[way.0];
            parts.push(part.as_str());
            way = *next;
        }
        let mut text = self.ways[0].1.clone();
        if parts.len() > SHOWN_PARTS {
            parts.truncate(SHOWN_PARTS);
            text.push('…');
        }
        parts.iter().rev().for_each(|part| text.push_str(part));
        text
    }

    fn differ(&mut self, way: Way, stored: String, declared: String, advice: impl Into<String>) -> Step {
        if self.differences.len() < MAX_DIFFERENCES {
            let (path, advice) = (self.written(way), advice.into());
            self.differences.push(Difference { path, stored, declared, advice });
        }
        Step::Copy(Skip::Bytes(0))
    }

    fn copy(&self, stored: &Type) -> Step {
        Step::Copy(Skip::of(stored, &self.fixed))
    }

    /// How a value of the type `stored` becomes one of the type `declared`.
    fn step(&mut self, stored: &Type, declared: &Type, key: bool, way: Way) -> Step {
        match (stored, declared) {
            (Type::Named(from), Type::Named(to)) => Step::Pair(self.pair_position((*from, *to, key), way)),
            (Type::Option(from), Type::Option(to)) => Step::Option(Box::new(self.step(from, to, key, way))),
            (Type::List(from), Type::List(to)) => {
                let within = self.further(way, "[]");
                Step::Sequence(Box::new(self.step(from, to, key, within)))
            }
            (Type::Set(from), Type::Set(to)) => {
                let within = self.further(way, "[]");
                Step::Sequence(Box::new(self.step(from, to, true, within)))
            }
            (Type::Map(from_key, from), Type::Map(to_key, to)) => {
                let (to_keys, to_values) = (self.further(way, ".keys"), self.further(way, ".values"));
                let keys = self.step(from_key, to_key, true, to_keys);
                let values = self.step(from, to, key, to_values);
                Step::Sequence(Box::new(Step::Tuple(vec![keys, values])))
            }
            (Type::Array(from, many), Type::Array(to, length)) if many == length => {
                let within = self.further(way, "[]");
                Step::Array(Box::new(self.step(from, to, key, within)), *length)
            }
            (Type::Tuple(from), Type::Tuple(to)) if from.len() == to.len() => {
                let parts = from.iter().zip(to).enumerate();
                let each = parts.map(|(i, (from, to))| {
                    let part = self.further(way, format!(".{i}"));
                    self.step(from, to, key, part)
                });
                Step::Tuple(each.collect())
            }
            (Type::Opaque(from), Type::Opaque(to)) if from.serializer == to.serializer => {
                let resolution = match &to.evolution.0 {
                    Some(evolution) => evolution.resolve(from, to),
                    None if from == to => Resolution::AsIs,
                    None => Resolution::Incompatible("values of this serializer do not evolve".to_owned()),
                };
                match resolution {
                    Resolution::AsIs => self.copy(stored),
                    Resolution::AfterMigration(_) if key => {
                        let advice = "nobody knows whether different keys would stay different: keep the bytes of keys";
                        let now = format!("{}, with other bytes", self.declared.name(declared));
                        self.differ(way, self.stored.name(stored), now, advice)
                    }
                    Resolution::AfterMigration(migrate) => Step::Opaque(migrate),
                    Resolution::Incompatible(why) => {
                        self.differ(way, self.stored.name(stored), self.declared.name(declared), why)
                    }
                }
            }
            _ if stored == declared => self.copy(stored),
            (from, Type::Option(to)) => Step::Some(Box::new(self.step(from, to, key, way))),
            _ => match widening(stored, declared) {
                Some(step) => step,
                None => {
                    let names = (self.stored.name(stored), self.declared.name(declared));
                    let advice = match declared {
                        Type::Tuple(_) | Type::Array(..) => {
                            "keep its length, or use a struct, whose fields may be added with a default"
                        }
                        _ => {
                            "keep the type, or add a field with another name and a default; integers may only be widened, f32 become f64, and T become Option<T>"
                        }
                    };
                    self.differ(way, names.0, names.1, advice)
                }
            },
        }
    }

    fn pair_position(&mut self, id: PairId, way: Way) -> usize {
        let waiting = &mut self.waiting;
        *self.positions.entry(id).or_insert_with(|| {
            waiting.push((id, way));
            waiting.len() - 1
        })
    }

    fn pair(&mut self, (from, to, key): PairId, way: Way) -> Pair {
        // Both schemas were checked.
        let (Ok(stored), Ok(declared)) = (self.stored.definition(from), self.declared.definition(to)) else {
            return Pair::default();
        };
        if stored.name != declared.name && !declared.aliases.contains(&stored.name) {
            let advice =
                format!("if it was renamed, write #[record(alias = \"{}\")] on it", shortened(&stored.name));
            self.differ(way, shortened(&stored.name), declared.name.clone(), advice);
            return Pair::default();
        }
        match (&stored.body, &declared.body) {
            (Body::Struct(from), Body::Struct(to)) => Pair::Struct(self.fields(from, to, key, way)),
            (Body::Enum(_), Body::Enum(_)) => self.variants(stored, declared, key, way),
            (Body::Struct(_), Body::Enum(_)) => {
                self.differ(way, "a struct".into(), "an enum".into(), "give the new type another name");
                Pair::default()
            }
            (Body::Enum(_), Body::Struct(_)) => {
                self.differ(way, "an enum".into(), "a struct".into(), "give the new type another name");
                Pair::default()
            }
        }
    }

    fn variants(&mut self, stored: &Definition, declared: &Definition, key: bool, way: Way) -> Pair {
        let (Body::Enum(from), Body::Enum(to)) = (&stored.body, &declared.body) else {
            return Pair::default();
        };
        let names = |aliased: bool| {
            to.iter().enumerate().flat_map(move |(i, variant)| {
                let names = if aliased { &variant.aliases[..] } else { std::slice::from_ref(&variant.name) };
                names.iter().map(move |name| (name.as_str(), i))
            })
        };
        let (by_name, by_alias): (HashMap<_, _>, HashMap<_, _>) =
            (names(false).collect(), names(true).collect());
        let mut variants = Vec::with_capacity(from.len());
        // Which stored variant became each.
        let mut became: Vec<Option<&str>> = vec![None; to.len()];
        for variant in from {
            let name = variant.name.as_str();
            let Some(&position) = by_name.get(name).or_else(|| by_alias.get(name)) else {
                let advice =
                    "keep the variant, or write #[record(alias = \"…\")] on the one that it has become";
                let way = self.further(way, format!("::{}", shortened(name)));
                self.differ(way, "a variant".into(), "gone".into(), advice);
                continue;
            };
            let way = self.further(way, format!("::{}", shortened(name)));
            if let (Some(other), true) = (became[position].replace(name), key) {
                let (was, now) = (shortened(name), format!("the same as {}", shortened(other)));
                let advice =
                    "two keys could become one: keep both variants, or use another name for the state";
                self.differ(way, was, now, advice);
            }
            let fields = self.fields(&variant.fields, &to[position].fields, key, way);
            variants.push((position as u16, fields));
        }
        Pair::Enum(variants)
    }

    /// Which field becomes which: by name first, then by alias.
    fn fields(&mut self, stored: &[Field], declared: &[Field], key: bool, way: Way) -> Fields {
        let positions: HashMap<&str, usize> =
            stored.iter().enumerate().map(|(i, field)| (field.name.as_str(), i)).collect();
        let mut sources: Vec<Option<usize>> =
            declared.iter().map(|field| positions.get(field.name.as_str()).copied()).collect();
        let mut taken = vec![false; stored.len()];
        sources.iter().flatten().for_each(|&i| taken[i] = true);
        for (field, source) in declared.iter().zip(&mut sources).filter(|(_, source)| source.is_none()) {
            let aliases = field.aliases.iter().filter_map(|alias| positions.get(alias.as_str()));
            *source = aliases.copied().find(|&i| !taken[i]);
            source.iter().for_each(|&i| taken[i] = true);
        }
        // What has no name is known by its position alone: were one taken out, the next would be read in its place.
        let nameless = stored.iter().chain(declared).any(|field| is_position(&field.name));
        let (gone, advice) = match (key, nameless) {
            (true, _) => (
                "gone from a key",
                "without it two keys could become one: keep the field, or use another name for the state",
            ),
            (_, true) => (
                "gone",
                "fields without names may only be appended: keep it, or name all fields, with their positions as aliases, as in #[record(alias = \"0\")], in one release and remove it in the next",
            ),
            _ => ("", ""),
        };
        for (field, _) in stored.iter().zip(&taken).filter(|(_, taken)| !**taken && !gone.is_empty()) {
            let was = self.stored.name(&field.ty);
            let way = self.further(way, format!(".{}", shortened(&field.name)));
            self.differ(way, was, gone.into(), advice);
        }
        let mut plans = Vec::with_capacity(declared.len());
        for (field, source) in declared.iter().zip(sources) {
            let at = self.further(way, format!(".{}", field.name));
            match (source, &*field.default) {
                (Some(i), _) => {
                    let step = self.step(&stored[i].ty, &field.ty, key, at);
                    plans.push((field.name.clone(), FieldPlan::From(i, step)));
                }
                (None, Some(default)) => {
                    plans.push((field.name.clone(), FieldPlan::Default(default.clone())))
                }
                (None, None) => {
                    let now = format!("a new {} without a default", self.declared.name(&field.ty));
                    let advice = "write #[record(default = …)] on it, or #[record(default)] for that of its type, which is not looked for where a parameter is not said to have one (T: Default); if it was renamed, #[record(alias = \"old name\")]";
                    self.differ(at, "not there".into(), now, advice);
                }
            }
        }
        let stored = stored.iter().map(|field| (shortened(&field.name), Skip::of(&field.ty, &self.fixed)));
        Fields::new(stored.collect(), plans)
    }
}

/// Whether a field of this name has none.
fn is_position(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_digit())
}

fn widening(stored: &Type, declared: &Type) -> Option<Step> {
    let (signed, from, to) = match (stored, declared) {
        (Type::Int(from), Type::Int(to)) => (true, from, to),
        (Type::UInt(from), Type::UInt(to) | Type::Int(to)) => (false, from, to),
        (Type::Float(32), Type::Float(64)) => return Some(Step::Float),
        (Type::Decimal { precision: from, scale }, Type::Decimal { precision: to, scale: other })
            if from < to && scale == other =>
        {
            return Some(Step::Copy(Skip::Bytes(16)));
        }
        _ => return None,
    };
    (from < to).then(|| Step::Integer { signed, from: usize::from(from / 8), to: usize::from(to / 8) })
}
