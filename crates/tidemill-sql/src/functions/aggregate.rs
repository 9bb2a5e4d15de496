//! Aggregate functions: which there are, and what their results are.

use crate::functions::kernel::Mismatch;
use crate::types::coercion::adjust_decimal;
use crate::types::{LogicalType, TypeRoot};
use crate::udf::UserAggregate;

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
    ArrayAgg {
        ignore_nulls: bool,
    },
    /// A JSON array of the values, which are JSON already.
    JsonArrayAgg {
        with_null: bool,
    },
    /// A JSON object of keys and values, which are JSON already.
    JsonObjectAgg {
        with_null: bool,
    },
    /// The values that so many of all values are below, interpolated; each as often as a second argument says.
    Percentile {
        /// The bits of the parts of one.
        at: Vec<u64>,
        /// Whether the result is an array.
        is_array: bool,
    },
    /// A function of the session's own.
    User(UserAggregate),
}

impl AggregateKind {
    /// Whether the order in which rows come changes the result.
    pub(crate) fn is_ordered(&self) -> bool {
        matches!(
            self,
            AggregateKind::FirstValue
                | AggregateKind::LastValue
                | AggregateKind::ListAgg { .. }
                | AggregateKind::ArrayAgg { .. }
                | AggregateKind::JsonArrayAgg { .. }
                | AggregateKind::User(_)
        )
    }

    /// Whether a row whose argument is NULL changes the result.
    pub(crate) fn takes_null(&self) -> bool {
        matches!(
            self,
            AggregateKind::ArrayAgg { ignore_nulls: false }
                | AggregateKind::JsonArrayAgg { with_null: true }
                | AggregateKind::JsonObjectAgg { .. }
                | AggregateKind::SingleValue
                | AggregateKind::User(_)
        )
    }

    /// Its name, as plans show it.
    pub(crate) fn name(&self) -> &str {
        match self {
            AggregateKind::Count => "COUNT",
            AggregateKind::Sum => "SUM",
            AggregateKind::SumOrZero => "$SUM0",
            AggregateKind::Avg => "AVG",
            AggregateKind::Min => "MIN",
            AggregateKind::Max => "MAX",
            AggregateKind::FirstValue => "FIRST_VALUE",
            AggregateKind::LastValue => "LAST_VALUE",
            AggregateKind::SingleValue => "SINGLE_VALUE",
            AggregateKind::Variance { sample: false, root: false } => "VAR_POP",
            AggregateKind::Variance { sample: true, root: false } => "VAR_SAMP",
            AggregateKind::Variance { sample: false, root: true } => "STDDEV_POP",
            AggregateKind::Variance { sample: true, root: true } => "STDDEV_SAMP",
            AggregateKind::ListAgg { .. } => "LISTAGG",
            AggregateKind::Collect => "COLLECT",
            AggregateKind::ArrayAgg { .. } => "ARRAY_AGG",
            AggregateKind::JsonArrayAgg { .. } => "JSON_ARRAYAGG",
            AggregateKind::JsonObjectAgg { .. } => "JSON_OBJECTAGG",
            AggregateKind::Percentile { .. } => "PERCENTILE",
            AggregateKind::User(function) => function.0.name(),
        }
    }
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

/// Whether the averages of an aggregation are quotients of sums that wrap around in the type of their values. Flink computes them so
/// beside variances, which need that, and where it makes fewer functions of them all; alone they sum up `BIGINT`.
pub(crate) fn averages_are_quotients(calls: &[AggregateCall]) -> bool {
    if calls.iter().any(|call| matches!(call.kind, AggregateKind::Variance { .. })) {
        return true;
    }
    let (averages, others): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.kind == AggregateKind::Avg);
    let mut parts: Vec<(AggregateKind, &[usize], bool, Option<usize>)> = Vec::new();
    for call in &averages {
        let is_nullable = call.types.first().is_none_or(|logical| logical.nullable);
        let counted: &[usize] = if is_nullable || call.distinct { &call.arguments } else { &[] };
        for part in [(AggregateKind::Sum, &call.arguments[..]), (AggregateKind::Count, counted)] {
            let part = (part.0, part.1, call.distinct, call.filter);
            let is_same = |known: &&AggregateCall| {
                (&known.kind, &known.arguments[..], known.distinct, known.filter)
                    == (&part.0, part.1, part.2, part.3)
            };
            if !others.iter().any(is_same) && !parts.contains(&part) {
                parts.push(part);
            }
        }
    }
    parts.len() < averages.len()
}

/// An aggregate function as the registry has it.
pub(crate) struct AggregateInfo {
    /// Its name, in capitals.
    pub(crate) name: &'static str,
    /// How it is written.
    pub(crate) usage: &'static str,
    /// One sentence.
    pub(crate) description: &'static str,
}

const fn info(name: &'static str, usage: &'static str, description: &'static str) -> AggregateInfo {
    AggregateInfo { name, usage, description }
}

/// The aggregate functions there are.
pub(crate) const FUNCTIONS: &[AggregateInfo] = &[
    info(
        "COUNT",
        "COUNT(*) | COUNT([DISTINCT] value [, value]*)",
        "How many rows there are, or rows of which no value is NULL.",
    ),
    info("SUM", "SUM([DISTINCT] number)", "The sum, of the type of the numbers; NULL of none."),
    info(
        "AVG",
        "AVG([DISTINCT] number)",
        "The mean, of the type of the numbers: of integers without digits behind the point.",
    ),
    info("MIN", "MIN(value)", "The least value."),
    info("MAX", "MAX(value)", "The greatest value."),
    info("FIRST_VALUE", "FIRST_VALUE(value)", "The value that came first and is not NULL."),
    info("LAST_VALUE", "LAST_VALUE(value)", "The value that came last and is not NULL."),
    info("SINGLE_VALUE", "SINGLE_VALUE(value)", "The only value; a second row is an error."),
    info("STDDEV_POP", "STDDEV_POP([DISTINCT] number)", "The standard deviation of all values."),
    info("STDDEV_SAMP", "STDDEV_SAMP([DISTINCT] number)", "The standard deviation of a sample."),
    info("STDDEV", "STDDEV([DISTINCT] number)", "The same as STDDEV_SAMP."),
    info("VAR_POP", "VAR_POP([DISTINCT] number)", "The variance of all values."),
    info("VAR_SAMP", "VAR_SAMP([DISTINCT] number)", "The variance of a sample."),
    info("VARIANCE", "VARIANCE([DISTINCT] number)", "The same as VAR_SAMP."),
    info(
        "LISTAGG",
        "LISTAGG([DISTINCT] string [, separator])",
        "The strings in the order in which they came, with a separator, else a comma, between them.",
    ),
    info("COLLECT", "COLLECT([DISTINCT] value)", "The multiset of the values that are not NULL."),
    info(
        "ARRAY_AGG",
        "ARRAY_AGG([DISTINCT] value [RESPECT NULLS | IGNORE NULLS])",
        "The array of the values in the order in which they came; NULL of no row.",
    ),
    info(
        "JSON_ARRAYAGG",
        "JSON_ARRAYAGG(value [{NULL | ABSENT} ON NULL])",
        "The JSON array of the values in the order in which they came, without NULLs unless asked for.",
    ),
    info(
        "JSON_OBJECTAGG",
        "JSON_OBJECTAGG([KEY] key VALUE value [{NULL | ABSENT} ON NULL])",
        "The JSON object of keys and values; a key that comes twice is an error.",
    ),
    info(
        "PERCENTILE",
        "PERCENTILE(number, part [, frequency])",
        "The value that this part of all values (0 to 1, or an array of such) is below, interpolated.",
    ),
];

const PERCENTILE: &str =
    "expects a number, a literal part of one or an array of such, and perhaps an integer frequency";

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
        "SUM" | "$SUM0" => {
            let one = number()?;
            let root = match one.root {
                TypeRoot::Decimal(_, scale) => TypeRoot::Decimal(38, scale),
                ref other => other.clone(),
            };
            if name == "$SUM0" {
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
        "ARRAY_AGG" => (
            AggregateKind::ArrayAgg { ignore_nulls: false },
            TypeRoot::Array(Box::new(one()?.clone())).nullable(),
        ),
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
        "PERCENTILE" => {
            let array = |root: &TypeRoot| match root {
                TypeRoot::Array(element) => element.root.is_numeric(),
                _ => false,
            };
            let (part, is_fine) = match types {
                [value, part] => (part, value.root.is_numeric()),
                [value, part, often] => (part, value.root.is_numeric() && often.root.is_integer()),
                _ => return Err(Mismatch::new(PERCENTILE)),
            };
            let is_array = array(&part.root);
            if !is_fine || !(is_array || part.root.is_numeric()) {
                return Err(Mismatch::new(PERCENTILE));
            }
            let double = TypeRoot::Double;
            let root = if is_array { TypeRoot::Array(Box::new(double.nullable())) } else { double };
            (AggregateKind::Percentile { at: Vec::new(), is_array }, root.nullable())
        }
        _ => return Err(Mismatch::new("is no aggregate function")),
    })
}
