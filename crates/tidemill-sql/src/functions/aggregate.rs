//! Aggregate functions: which there are, and what their results are.

use crate::functions::kernel::Mismatch;
use crate::types::coercion::adjust_decimal;
use crate::types::{LogicalType, TypeRoot};

/// An aggregate function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AggregateKind {
    /// `COUNT(*)`, or of values that are not NULL.
    Count,
    Sum,
    /// The sum, 0 of nothing.
    SumOrZero,
    Avg,
    Min,
    Max,
    FirstValue,
    LastValue,
    /// The only value; two are an error. For sub-queries.
    SingleValue,
    /// The variance or deviation, of a sample or of all.
    Variance {
        sample: bool,
        root: bool,
    },
    /// The strings with a separator between them.
    ListAgg {
        separator: String,
    },
    /// A multiset of the values.
    Collect,
    /// An array of the values.
    ArrayAgg,
    /// A JSON array of the values.
    JsonArrayAgg {
        with_null: bool,
    },
    /// A JSON object of keys and values.
    JsonObjectAgg {
        with_null: bool,
    },
}

/// An aggregate function where it is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AggregateCall {
    /// The name of its column.
    pub(crate) name: String,
    /// The function.
    pub(crate) kind: AggregateKind,
    /// The columns of its arguments.
    pub(crate) arguments: Vec<usize>,
    /// Their types.
    pub(crate) types: Vec<LogicalType>,
    /// Each value once.
    pub(crate) distinct: bool,
    /// The column that says which rows count.
    pub(crate) filter: Option<usize>,
    /// The type of the result.
    pub(crate) returns: LogicalType,
}

/// The aggregate functions there are.
pub(crate) const NAMES: &[&str] = &[
    "COUNT",
    "SUM",
    "SUM0",
    "AVG",
    "MIN",
    "MAX",
    "FIRST_VALUE",
    "LAST_VALUE",
    "SINGLE_VALUE",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "STDDEV",
    "VAR_POP",
    "VAR_SAMP",
    "VARIANCE",
    "LISTAGG",
    "COLLECT",
    "ARRAY_AGG",
    "JSON_ARRAYAGG",
    "JSON_OBJECTAGG",
];

/// The function called `name` over arguments of `types`, and the type of its result when some rows may be counted in.
/// `grouped` says that no group is empty: then a result is NULL only if the values can be.
pub(crate) fn resolve(
    name: &str,
    types: &[LogicalType],
    grouped: bool,
    filtered: bool,
) -> Result<(AggregateKind, LogicalType), Mismatch> {
    let one = || match types {
        [one] => Ok(one),
        _ => Err(Mismatch::new(format!("expects one argument, not {}", types.len()))),
    };
    let number = || {
        let one = one()?;
        if one.root.is_numeric() {
            Ok(one)
        } else {
            Err(Mismatch::new(format!("expects a number, not {}", one.root)))
        }
    };
    let always_some = grouped && !filtered;
    let same = |one: &LogicalType| one.clone().with_nullable(one.nullable || !always_some);
    Ok(match name {
        "COUNT" => (AggregateKind::Count, TypeRoot::BigInt.not_null()),
        "SUM" | "SUM0" => {
            let one = number()?;
            let root = match one.root {
                TypeRoot::Decimal(_, scale) => TypeRoot::Decimal(38, scale),
                ref other => other.clone(),
            };
            if name == "SUM0" {
                (AggregateKind::SumOrZero, root.not_null())
            } else {
                (AggregateKind::Sum, same(&LogicalType { root, nullable: one.nullable }))
            }
        }
        "AVG" => {
            let one = number()?;
            let root = match one.root {
                TypeRoot::Decimal(_, scale) => {
                    // The quotient of the sum and the count.
                    adjust_decimal(38, u32::from(scale.max(6)))
                }
                ref other => other.clone(),
            };
            (AggregateKind::Avg, same(&LogicalType { root, nullable: one.nullable }))
        }
        "MIN" | "MAX" => {
            let one = one()?;
            if !one.root.is_ordered() {
                return Err(Mismatch::new(format!("expects values that have an order, not {}", one.root)));
            }
            (if name == "MIN" { AggregateKind::Min } else { AggregateKind::Max }, same(one))
        }
        "FIRST_VALUE" => (AggregateKind::FirstValue, one()?.clone().with_nullable(true)),
        "LAST_VALUE" => (AggregateKind::LastValue, one()?.clone().with_nullable(true)),
        "SINGLE_VALUE" => (AggregateKind::SingleValue, one()?.clone().with_nullable(true)),
        "STDDEV_POP" | "STDDEV_SAMP" | "STDDEV" | "VAR_POP" | "VAR_SAMP" | "VARIANCE" => {
            let one = number()?;
            let sample = !name.ends_with("_POP");
            let root = name.starts_with("STDDEV");
            let returns = match one.root {
                TypeRoot::Decimal(_, scale) => adjust_decimal(38, u32::from(scale.max(6))),
                ref other => other.clone(),
            };
            (AggregateKind::Variance { sample, root }, returns.nullable())
        }
        "LISTAGG" => {
            if types.is_empty() || types.iter().any(|one| !one.root.is_character()) {
                return Err(Mismatch::new("expects a string and a literal separator"));
            }
            (AggregateKind::ListAgg { separator: ",".to_owned() }, TypeRoot::STRING.nullable())
        }
        "COLLECT" => (
            AggregateKind::Collect,
            TypeRoot::Multiset(Box::new(one()?.clone().with_nullable(false))).not_null(),
        ),
        "ARRAY_AGG" => (AggregateKind::ArrayAgg, TypeRoot::Array(Box::new(one()?.clone())).nullable()),
        "JSON_ARRAYAGG" => {
            one()?;
            (AggregateKind::JsonArrayAgg { with_null: false }, TypeRoot::STRING.not_null())
        }
        "JSON_OBJECTAGG" => match types {
            [key, _] if key.root.is_character() => {
                (AggregateKind::JsonObjectAgg { with_null: true }, TypeRoot::STRING.not_null())
            }
            _ => return Err(Mismatch::new("expects a string as key and a value")),
        },
        _ => return Err(Mismatch::new("is no aggregate function")),
    })
}
