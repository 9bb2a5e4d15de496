//! [`Skip`]: how to go over a value of a stored schema without looking at it.
//!
//! Made once, so that what a damaged schema says costs nothing per value: types that take no bytes are left out, and so
//! every step that is left takes a byte or ends with an error.

use crate::schema::{Body, Definition, Type};

/// How to go over one value.
#[derive(Clone, Debug)]
pub(crate) enum Skip {
    /// So many bytes.
    Bytes(usize),
    /// As many bytes as the length in front says.
    Prefixed,
    Option(Box<Skip>),
    Tuple(Vec<Skip>),
    Array(Box<Skip>, u32),
    /// A list or set; the entries of a map are tuples.
    Sequence(Box<Skip>),
    /// The struct or enum at this position.
    Named(u32),
}

/// How to go over the fields of a struct or variant, with their names.
pub(crate) type SkipFields = Vec<(String, Skip)>;

/// How to go over a struct or enum.
pub(crate) enum SkipBody {
    Struct(SkipFields),
    Enum(Vec<SkipFields>),
}

impl Skip {
    /// `fixed` has what the values of the definitions take, where all take the same.
    pub(crate) fn of(ty: &Type, fixed: &[Option<usize>]) -> Self {
        // What a type takes follows from what its parts were found to take: to ask each level anew would go over the
        // innermost ones once for every level around them.
        match ty {
            // Without elements it takes none, whatever they would take.
            Type::Array(_, 0) => Skip::Bytes(0),
            Type::Option(value) => match Skip::of(value, fixed) {
                Skip::Bytes(0) => Skip::Bytes(1),
                value => Skip::Option(Box::new(value)),
            },
            Type::Tuple(parts) => Skip::tuple(parts.iter().map(|part| Skip::of(part, fixed))),
            Type::Array(value, length) => match Skip::of(value, fixed) {
                Skip::Bytes(bytes) => Skip::Bytes(bytes.saturating_mul(*length as usize)),
                value => Skip::Array(Box::new(value), *length),
            },
            Type::List(value) | Type::Set(value) => Skip::Sequence(Box::new(Skip::of(value, fixed))),
            Type::Map(key, value) => {
                let entry = [Skip::of(key, fixed), Skip::of(value, fixed)];
                Skip::Sequence(Box::new(Skip::tuple(entry.into_iter())))
            }
            Type::Named(position) => match fixed.get(*position as usize) {
                Some(Some(bytes)) => Skip::Bytes(*bytes),
                _ => Skip::Named(*position),
            },
            // What is left has no parts: text, and bytes of a serializer of its own, or a fixed size.
            _ => ty.fixed_bytes(fixed).map_or(Skip::Prefixed, Skip::Bytes),
        }
    }

    fn tuple(parts: impl Iterator<Item = Self>) -> Self {
        let (mut together, mut kept) = (Some(0usize), Vec::new());
        for part in parts {
            together = match (together, &part) {
                (Some(sum), Skip::Bytes(bytes)) => Some(sum.saturating_add(*bytes)),
                _ => None,
            };
            if part.takes_bytes() {
                kept.push(part);
            }
        }
        together.map_or(Skip::Tuple(kept), Skip::Bytes)
    }

    /// Whether there is anything to go over.
    pub(crate) fn takes_bytes(&self) -> bool {
        !matches!(self, Skip::Bytes(0))
    }
}

impl SkipBody {
    pub(crate) fn of(definition: &Definition, fixed: &[Option<usize>]) -> Self {
        let fields = |fields: &[crate::schema::Field]| -> SkipFields {
            let each = fields.iter().map(|field| (field.name.clone(), Skip::of(&field.ty, fixed)));
            each.filter(|(_, skip)| skip.takes_bytes()).collect()
        };
        match &definition.body {
            Body::Struct(of) => SkipBody::Struct(fields(of)),
            Body::Enum(variants) => {
                SkipBody::Enum(variants.iter().map(|variant| fields(&variant.fields)).collect())
            }
        }
    }
}
