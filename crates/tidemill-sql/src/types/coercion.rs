//! Which type two types have in common, and which values may stand where another type is expected.

use super::{LogicalType, MAX_LENGTH, MAX_PRECISION, TypeFamily, TypeRoot};

/// The `DECIMAL` that keeps as many digits before the point as fit, as Flink adjusts precision and scale.
pub fn adjust_decimal(precision: u32, scale: u32) -> TypeRoot {
    let most = u32::from(MAX_PRECISION);
    let (precision, scale) = if precision <= most {
        (precision, scale)
    } else {
        let digits = precision - scale;
        let least_scale = scale.min(6);
        (most, (most.saturating_sub(digits)).max(least_scale))
    };
    TypeRoot::Decimal(u8::try_from(precision).unwrap_or(MAX_PRECISION), u8::try_from(scale).unwrap_or(0))
}

/// The type of the values of a column that holds values of both types: of `CASE`, `UNION`, arrays,
/// comparisons. `None` when there is none.
///
/// As in Flink, the first of two counts when one is a `FLOAT` and the other a `DOUBLE`, and when one of two
/// timestamps of the same precision has a time zone. See [`merged_type`] for functions.
pub fn common_type(one: &LogicalType, two: &LogicalType) -> Option<LogicalType> {
    let nullable = one.nullable || two.nullable;
    common_root(&one.root, &two.root).map(|root| LogicalType { root, nullable })
}

fn common_root(one: &TypeRoot, two: &TypeRoot) -> Option<TypeRoot> {
    use TypeRoot::*;
    Some(match (one, two) {
        (one, two) if one == two => one.clone(),
        (Null, other) | (other, Null) => other.clone(),
        (Char(a), Char(b)) => Varchar(*a.max(b)),
        (Char(a) | Varchar(a), Char(b) | Varchar(b)) => Varchar(*a.max(b)),
        (Binary(a) | Varbinary(a), Binary(b) | Varbinary(b)) => Varbinary(*a.max(b)),
        (Time(a), Time(b)) => Time(*a.max(b)),
        (Timestamp(a), Timestamp(b)) => Timestamp(*a.max(b)),
        (Timestamp(a), TimestampLtz(b)) if a == b => Timestamp(*a),
        (TimestampLtz(a), TimestampLtz(b) | Timestamp(b)) | (Timestamp(a), TimestampLtz(b)) => {
            TimestampLtz(*a.max(b))
        }
        (Array(a), Array(b)) => Array(Box::new(common_type(a, b)?)),
        (Multiset(a), Multiset(b)) => Multiset(Box::new(common_type(a, b)?)),
        (Map(k1, v1), Map(k2, v2)) => Map(Box::new(common_type(k1, k2)?), Box::new(common_type(v1, v2)?)),
        (Row(a), Row(b)) if a.len() == b.len() => {
            let mut fields = Vec::with_capacity(a.len());
            for (a, b) in a.iter().zip(b) {
                let field_type = common_type(&a.field_type, &b.field_type)?;
                fields.push(super::RowField { name: a.name.clone(), field_type });
            }
            Row(fields)
        }
        (one, two) if one.is_numeric() && two.is_numeric() => common_number(one, two)?,
        _ => return None,
    })
}

fn common_number(one: &TypeRoot, two: &TypeRoot) -> Option<TypeRoot> {
    use TypeRoot::*;
    if one.is_approximate() || two.is_approximate() {
        // Of a FLOAT and an integer, FLOAT; of a FLOAT and a DECIMAL, DOUBLE.
        let is_decimal = matches!(one, Decimal(..)) || matches!(two, Decimal(..));
        let first = if one.is_approximate() { one } else { two };
        return Some(if is_decimal { Double } else { first.clone() });
    }
    if one.is_integer() && two.is_integer() {
        return Some(if width(one) >= width(two) { one.clone() } else { two.clone() });
    }
    let (p1, s1) = one.as_decimal()?;
    let (p2, s2) = two.as_decimal()?;
    // What is before the point is kept, and as much after it as there is room for.
    let digits = (p1 - s1).max(p2 - s2).min(MAX_PRECISION);
    let scale = s1.max(s2).min(MAX_PRECISION - digits);
    Some(Decimal(digits + scale, scale))
}

/// The type that functions give their arguments that must be of one type, such as those of `COALESCE` and
/// `GREATEST`: like [`common_type`], but whatever the order, a `FLOAT` and a `DOUBLE` are a `DOUBLE`, a
/// timestamp and one with a time zone are one with a time zone, and dates and times go together with the
/// `TIMESTAMP`s that they are a part of; a `DECIMAL` and a `FLOAT` are a `FLOAT` in this order only.
pub fn merged_type(one: &LogicalType, two: &LogicalType) -> Option<LogicalType> {
    use TypeRoot::*;
    let root = match (&one.root, &two.root) {
        (Float, Double) | (Double, Float) => Double,
        (Decimal(..), Float) => Float,
        (Timestamp(a), TimestampLtz(b)) | (TimestampLtz(a), Timestamp(b)) => TimestampLtz(*a.max(b)),
        (Date, Timestamp(_)) | (Timestamp(_), Date) => Date,
        (Time(p), Timestamp(_)) | (Timestamp(_), Time(p)) => Time(*p),
        _ => return common_type(one, two),
    };
    Some(LogicalType { root, nullable: one.nullable || two.nullable })
}

fn width(root: &TypeRoot) -> u8 {
    match root {
        TypeRoot::TinyInt => 1,
        TypeRoot::SmallInt => 2,
        TypeRoot::Int => 4,
        _ => 8,
    }
}

/// Whether a value of `from` may stand where `to` is expected without a `CAST`, as in `INSERT INTO`.
pub fn is_implicit(from: &LogicalType, to: &LogicalType) -> bool {
    use TypeRoot::*;
    if from.nullable && !to.nullable {
        return false;
    }
    match (&from.root, &to.root) {
        (one, two) if one == two => true,
        (Null, _) => true,
        (Char(_) | Varchar(_), Char(_) | Varchar(_))
        | (Binary(_) | Varbinary(_), Binary(_) | Varbinary(_)) => true,
        (one, two) if one.is_integer() && two.is_integer() => width(one) <= width(two),
        (one, Decimal(..)) if one.as_decimal().is_some() => true,
        (one, Float | Double) if one.is_numeric() => true,
        (Date, Timestamp(_) | TimestampLtz(_))
        | (Time(_), Time(_))
        | (Timestamp(_) | TimestampLtz(_), Timestamp(_) | TimestampLtz(_)) => true,
        (Array(a), Array(b)) | (Multiset(a), Multiset(b)) => is_implicit(a, b),
        (Map(k1, v1), Map(k2, v2)) => is_implicit(k1, k2) && is_implicit(v1, v2),
        (Row(a), Row(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_implicit(&a.field_type, &b.field_type))
        }
        _ => false,
    }
}

/// The types that both sides of a comparison are brought to, where Flink compares values of different
/// families: a string next to a number, a date or a time is read as one.
pub fn comparison_type(one: &LogicalType, two: &LogicalType) -> Option<LogicalType> {
    if let Some(common) = common_type(one, two) {
        return Some(common);
    }
    let nullable = one.nullable || two.nullable;
    let root = match (one.root.family(), two.root.family()) {
        (TypeFamily::Character, TypeFamily::Numeric) | (TypeFamily::Numeric, TypeFamily::Character) => {
            let number = if one.root.is_numeric() { &one.root } else { &two.root };
            common_number(number, &TypeRoot::BigInt)?
        }
        (
            TypeFamily::Character,
            TypeFamily::Date | TypeFamily::Time | TypeFamily::Timestamp | TypeFamily::Boolean,
        ) => two.root.clone(),
        (
            TypeFamily::Date | TypeFamily::Time | TypeFamily::Timestamp | TypeFamily::Boolean,
            TypeFamily::Character,
        ) => one.root.clone(),
        _ => return None,
    };
    Some(LogicalType { root, nullable })
}

/// The type of `one + two` or `one - two` (both exact numbers, one a `DECIMAL`).
pub fn decimal_sum(one: (u8, u8), two: (u8, u8)) -> TypeRoot {
    let scale = one.1.max(two.1);
    let digits = (one.0 - one.1).max(two.0 - two.1);
    adjust_decimal(u32::from(digits) + u32::from(scale) + 1, u32::from(scale))
}

/// The type of `one * two` (both exact numbers, one a `DECIMAL`).
pub fn decimal_product(one: (u8, u8), two: (u8, u8)) -> TypeRoot {
    adjust_decimal(u32::from(one.0) + u32::from(two.0) + 1, u32::from(one.1) + u32::from(two.1))
}

/// The type of `one / two` (both exact numbers, one a `DECIMAL`).
pub fn decimal_quotient(one: (u8, u8), two: (u8, u8)) -> TypeRoot {
    let scale = (u32::from(one.1) + u32::from(two.0) + 1).max(6);
    adjust_decimal(u32::from(one.0) - u32::from(one.1) + u32::from(two.1) + scale, scale)
}

/// The type of `one % two` (both exact numbers, one a `DECIMAL`), unless neither has a fraction: then it is
/// that of `two`.
pub fn decimal_remainder(one: (u8, u8), two: (u8, u8)) -> TypeRoot {
    let scale = one.1.max(two.1);
    let digits = (one.0 - one.1).min(two.0 - two.1);
    adjust_decimal(u32::from(digits) + u32::from(scale), u32::from(scale))
}

/// The type of two strings joined.
pub fn concat_length(one: &TypeRoot, two: &TypeRoot) -> TypeRoot {
    match (one, two) {
        (TypeRoot::Char(a) | TypeRoot::Varchar(a), TypeRoot::Char(b) | TypeRoot::Varchar(b)) => {
            TypeRoot::Varchar(a.saturating_add(*b).min(MAX_LENGTH))
        }
        _ => TypeRoot::STRING,
    }
}
