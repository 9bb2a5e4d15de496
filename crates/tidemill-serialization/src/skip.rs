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
    /// A list or set.
    Sequence(Box<Skip>),
    Map(Box<Skip>, Box<Skip>),
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
        if let Some(bytes) = ty.fixed_bytes(fixed) {
            return Skip::Bytes(bytes);
        }
        let within = |ty: &Type| Box::new(Skip::of(ty, fixed));
        match ty {
            Type::Option(value) => Skip::Option(within(value)),
            Type::Tuple(parts) => {
                let parts = parts.iter().map(|part| Skip::of(part, fixed));
                Skip::Tuple(parts.filter(Skip::takes_bytes).collect())
            }
            Type::Array(value, length) => Skip::Array(within(value), *length),
            Type::List(value) | Type::Set(value) => Skip::Sequence(within(value)),
            Type::Map(key, value) => Skip::Map(within(key), within(value)),
            Type::Named(position) => Skip::Named(*position),
            // Text, and bytes of a serializer of its own; all others are of a fixed size.
            _ => Skip::Prefixed,
        }
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
