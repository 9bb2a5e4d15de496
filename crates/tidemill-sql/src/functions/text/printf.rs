//! `PRINTF`: `java.util.Formatter` of `Locale.US`.

use std::fmt::Write;

use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMillisecondType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalYearMonthType, Time32MillisecondType,
};

use crate::functions::java_number::{push_double, push_float};
use crate::functions::kernel::{Argument, FunctionContext, Input, KernelError, Mismatch, Resolved};
use crate::functions::support::{MAX_MADE_BYTES, Want, strings, targets};
use crate::functions::temporal::{TimestampColumn, push_local_date_time};
use crate::types::{LogicalType, TypeRoot};

type Arguments<'a> = &'a [Argument<'a>];

/// A value to print.
#[derive(Clone, Debug)]
enum Value {
    Null,
    Text(String),
    Boolean(bool),
    /// A whole number and how many bits Java has for it.
    Integer(i64, u32),
    Double(f64),
    Float(f32),
    /// What is printed by `%s` only.
    Other(String),
}

/// `%[index$][flags][width][.precision]conversion`.
#[derive(Clone, Debug)]
struct Conversion {
    index: Index,
    left: bool,
    alternate: bool,
    plus: bool,
    space: bool,
    zeros: bool,
    groups: bool,
    parentheses: bool,
    width: Option<usize>,
    precision: Option<usize>,
    kind: char,
    upper: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Index {
    Next,
    /// `<`: the one before.
    Same,
    /// From 1.
    Of(usize),
}

enum Piece {
    Text(String),
    Conversion(Conversion),
}

/// The pieces of a format; `None` when it is none, as when a flag does not go with its conversion.
fn parse(format: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        if at > 0 {
            pieces.push(Piece::Text(rest.get(..at)?.to_owned()));
        }
        let (conversion, behind) = parse_conversion(rest.get(at + 1..)?)?;
        pieces.push(match conversion.kind {
            'n' if conversion.width.is_none() => Piece::Text("\n".to_owned()),
            'n' => return None,
            _ => Piece::Conversion(conversion),
        });
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Some(pieces)
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn parse_conversion(text: &str) -> Option<(Conversion, &str)> {
    let mut conversion = Conversion {
        index: Index::Next,
        left: false,
        alternate: false,
        plus: false,
        space: false,
        zeros: false,
        groups: false,
        parentheses: false,
        width: None,
        precision: None,
        kind: 's',
        upper: false,
    };
    let (number, behind) = digits(text);
    let mut rest = match behind.strip_prefix('$') {
        Some(behind) if !number.is_empty() => {
            conversion.index = Index::Of(number.parse().ok()?);
            behind
        }
        _ => text,
    };
    loop {
        let flag = rest.chars().next()?;
        let seen = match flag {
            '<' => {
                conversion.index = Index::Same;
                rest = rest.get(1..)?;
                continue;
            }
            '-' => &mut conversion.left,
            '#' => &mut conversion.alternate,
            '+' => &mut conversion.plus,
            ' ' => &mut conversion.space,
            '0' => &mut conversion.zeros,
            ',' => &mut conversion.groups,
            '(' => &mut conversion.parentheses,
            _ => break,
        };
        if std::mem::replace(seen, true) {
            return None;
        }
        rest = rest.get(1..)?;
    }
    let (width, behind) = digits(rest);
    if !width.is_empty() {
        conversion.width = Some(width.parse().ok().filter(|width| *width <= MAX_MADE_BYTES)?);
    }
    rest = behind;
    if let Some(behind) = rest.strip_prefix('.') {
        let (precision, behind) = digits(behind);
        conversion.precision = Some(precision.parse().ok().filter(|precision| *precision <= 10_000)?);
        rest = behind;
    }
    let kind = rest.chars().next()?;
    conversion.upper = matches!(kind, 'B' | 'H' | 'S' | 'C' | 'X' | 'E' | 'G');
    conversion.kind = kind.to_ascii_lowercase();
    if kind.is_ascii_uppercase() && !conversion.upper {
        return None;
    }
    conversion.is_valid().then_some((conversion, rest.get(kind.len_utf8()..)?))
}

impl Conversion {
    fn is_valid(&self) -> bool {
        let numeric = self.plus || self.space || self.zeros || self.groups || self.parentheses;
        let contradict = (self.left && self.zeros) || (self.plus && self.space);
        let sides = !contradict;
        let has_width = self.width.is_some() || !(self.left || self.zeros);
        sides
            && has_width
            && match self.kind {
                's' | 'h' | 'b' => !numeric && !self.alternate,
                'c' => !numeric && !self.alternate && self.precision.is_none(),
                'd' => !self.alternate && self.precision.is_none(),
                'o' | 'x' => !self.groups && self.precision.is_none(),
                'e' => !self.groups,
                'f' => true,
                'g' => !self.alternate,
                '%' => !numeric && !self.alternate && self.precision.is_none(),
                'n' => !numeric && !self.left && !self.alternate && self.precision.is_none(),
                _ => false,
            }
    }

    /// Appends `value`; `None` when the conversion is not one for it.
    fn write(&self, value: &Value, out: &mut String) -> Option<()> {
        let mut made = String::new();
        match (self.kind, value) {
            ('%', _) => made.push('%'),
            ('b', Value::Null) => made.push_str("false"),
            ('b', Value::Boolean(truth)) => made.push_str(if *truth { "true" } else { "false" }),
            ('b', _) => made.push_str("true"),
            (_, Value::Null) => made.push_str("null"),
            ('s', value) => value.print(&mut made),
            ('h', value) => write!(made, "{:x}", value.hash()?).ok()?,
            ('c', Value::Integer(code, bits)) if *bits <= 32 => {
                made.push(char::from_u32(u32::try_from(*code).ok()?)?)
            }
            ('d', Value::Integer(number, _)) => {
                return self.write_number(*number < 0, &number.unsigned_abs().to_string(), out);
            }
            ('o' | 'x', Value::Integer(number, bits)) => {
                // Java writes the bits of a negative number.
                let pattern = if *bits == 64 {
                    number.cast_unsigned()
                } else {
                    number.cast_unsigned() & ((1 << bits) - 1)
                };
                let signed = self.plus || self.space || self.parentheses;
                if signed {
                    return None;
                }
                if self.alternate {
                    made.push_str(if self.kind == 'x' { "0x" } else { "0" });
                }
                let prefix = made.len();
                if self.kind == 'x' { write!(made, "{pattern:x}") } else { write!(made, "{pattern:o}") }
                    .ok()?;
                if self.zeros {
                    let missing = self.width.unwrap_or(0).saturating_sub(made.len());
                    made.insert_str(prefix, &"0".repeat(missing));
                }
            }
            ('e' | 'f' | 'g', Value::Double(number)) => return self.write_double(*number, out),
            ('e' | 'f' | 'g', Value::Float(number)) => {
                // Java takes the digits that the shorter number is written with.
                let mut shortest = String::new();
                push_float(&mut shortest, *number);
                return self.write_double(shortest.parse().unwrap_or(f64::from(*number)), out);
            }
            _ => return None,
        }
        if let Some(precision) = self.precision
            && (matches!(self.kind, 's' | 'b' | 'h') || matches!(value, Value::Null))
            && let Some((end, _)) = made.char_indices().nth(precision)
        {
            made.truncate(end);
        }
        self.justify(&made, out);
        Some(())
    }

    fn write_double(&self, number: f64, out: &mut String) -> Option<()> {
        if !number.is_finite() {
            let mut made = String::new();
            push_double(&mut made, number.abs());
            let plain = Conversion { zeros: false, groups: false, ..self.clone() };
            return plain.write_number(number < 0.0, &made, out);
        }
        let precision = self.precision.unwrap_or(6);
        let size = number.abs();
        let digits = match self.kind {
            'f' => fixed(size, precision),
            'e' => scientific(size, precision),
            _ => {
                let precision = precision.max(1);
                let rounded = scientific(size, precision - 1);
                let exponent =
                    rounded.split_once('e').and_then(|(_, exponent)| exponent.parse::<i64>().ok())?;
                let digits = i64::try_from(precision).ok()?;
                if size == 0.0 || (-4..digits).contains(&exponent) {
                    fixed(size, usize::try_from(digits - 1 - exponent).ok()?)
                } else {
                    rounded
                }
            }
        };
        let is_negative = number.is_sign_negative();
        self.write_number(is_negative, &digits, out)
    }

    /// Appends a number with its sign, groups of digits and zeros.
    fn write_number(&self, is_negative: bool, digits: &str, out: &mut String) -> Option<()> {
        let (whole, rest) = match digits.find(|c: char| !c.is_ascii_digit()) {
            Some(end) => digits.split_at_checked(end)?,
            None => (digits, ""),
        };
        let mut made = String::new();
        if is_negative {
            made.push(if self.parentheses { '(' } else { '-' });
        } else if self.plus {
            made.push('+');
        } else if self.space {
            made.push(' ');
        }
        let sign = made.len();
        for (index, digit) in whole.chars().enumerate() {
            if self.groups && index > 0 && (whole.len() - index) % 3 == 0 {
                made.push(',');
            }
            made.push(digit);
        }
        made.push_str(rest);
        let closing = is_negative && self.parentheses;
        if self.zeros {
            let length = made.chars().count() + usize::from(closing);
            made.insert_str(sign, &"0".repeat(self.width.unwrap_or(0).saturating_sub(length)));
        }
        if closing {
            made.push(')');
        }
        self.justify(&made, out);
        Some(())
    }

    fn justify(&self, made: &str, out: &mut String) {
        let missing = self.width.unwrap_or(0).saturating_sub(made.chars().count());
        let blanks = std::iter::repeat_n(' ', missing);
        if !self.left {
            out.extend(blanks.clone());
        }
        if self.upper {
            out.push_str(&made.to_uppercase());
        } else {
            out.push_str(made);
        }
        if self.left {
            out.extend(blanks);
        }
    }
}

/// `size` with `precision` digits behind the point, rounded half up as Java does with the digits that it
/// would print.
fn fixed(size: f64, precision: usize) -> String {
    let mut shortest = String::new();
    let _ = write!(shortest, "{size}");
    let (whole, fraction) = shortest.split_once('.').unwrap_or((&shortest, ""));
    round(whole, fraction, precision)
}

fn scientific(size: f64, precision: usize) -> String {
    let shortest = format!("{size:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let mut exponent: i32 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut rounded = round(whole, fraction, precision);
    if rounded.starts_with("10") {
        exponent += 1;
        rounded = round("1", "", precision);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{rounded}e{sign}{:02}", exponent.unsigned_abs())
}

/// The decimal number with `precision` digits behind the point, half of the last rounded up.
fn round(whole: &str, fraction: &str, precision: usize) -> String {
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes().take(precision)).collect();
    digits.resize(whole.len() + precision, b'0');
    if fraction.as_bytes().get(precision).copied().is_some_and(|digit| digit >= b'5') {
        let mut carries = true;
        for digit in digits.iter_mut().rev() {
            if *digit < b'9' {
                *digit += 1;
                carries = false;
                break;
            }
            *digit = b'0';
        }
        if carries {
            digits.insert(0, b'1');
        }
    }
    let point = digits.len() - precision;
    let mut out: String = digits.iter().map(|digit| char::from(*digit)).collect();
    if precision > 0 {
        out.insert(point, '.');
    }
    out
}

impl Value {
    fn print(&self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Text(text) | Value::Other(text) => out.push_str(text),
            Value::Boolean(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Value::Integer(number, _) => {
                let _ = write!(out, "{number}");
            }
            Value::Double(number) => push_double(out, *number),
            Value::Float(number) => push_float(out, *number),
        }
    }

    /// Java's `hashCode`.
    fn hash(&self) -> Option<u32> {
        let of_long = |bits: u64| u32::try_from((bits ^ (bits >> 32)) & 0xFFFF_FFFF).ok();
        match self {
            // Flink's strings hash their bytes in a way of their own.
            Value::Text(_) | Value::Other(_) | Value::Null => None,
            Value::Boolean(truth) => Some(if *truth { 1231 } else { 1237 }),
            Value::Integer(number, 64) => of_long(number.cast_unsigned()),
            Value::Integer(number, _) => Some(i32::try_from(*number).ok()?.cast_unsigned()),
            Value::Double(number) => of_long(number.to_bits()),
            Value::Float(number) => Some(number.to_bits()),
        }
    }
}

/// Writes `pieces` with `values`; whether they fit.
fn write_all(pieces: &[Piece], values: &[Value], out: &mut String) -> bool {
    let (mut next, mut last) = (0, None);
    for piece in pieces {
        let conversion = match piece {
            Piece::Text(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Conversion(conversion) => conversion,
        };
        let value = if conversion.kind == '%' {
            &Value::Null
        } else {
            let index = match conversion.index {
                Index::Of(index) => index.checked_sub(1),
                Index::Same => last,
                Index::Next => {
                    next += 1;
                    Some(next - 1)
                }
            };
            last = index;
            match index.and_then(|index| values.get(index)) {
                Some(value) => value,
                None => return false,
            }
        };
        if conversion.write(value, out).is_none() {
            return false;
        }
    }
    true
}

/// Reads the values of an argument.
type Reader<'a> = Box<dyn Fn(usize) -> Value + 'a>;

fn reader<'a>(input: &'a Input, logical: &LogicalType) -> Result<Reader<'a>, KernelError> {
    macro_rules! integers {
        ($kind:ty, $bits:expr) => {{
            let values = input.primitive::<$kind>()?;
            Box::new(move |row| {
                values.get(row).map_or(Value::Null, |number| Value::Integer(i64::from(number), $bits))
            })
        }};
    }
    Ok(match &logical.root {
        TypeRoot::Null => Box::new(|_| Value::Null),
        TypeRoot::Boolean => {
            let values = input.boolean()?;
            Box::new(move |row| values.get(row).map_or(Value::Null, Value::Boolean))
        }
        TypeRoot::TinyInt => integers!(Int8Type, 8),
        TypeRoot::SmallInt => integers!(Int16Type, 16),
        TypeRoot::Int => integers!(Int32Type, 32),
        TypeRoot::BigInt => integers!(Int64Type, 64),
        // Dates, times and intervals are numbers for Flink's own functions.
        TypeRoot::Date => integers!(Date32Type, 32),
        TypeRoot::Time(_) => integers!(Time32MillisecondType, 32),
        TypeRoot::IntervalMonths => integers!(IntervalYearMonthType, 32),
        TypeRoot::IntervalMillis => integers!(DurationMillisecondType, 64),
        TypeRoot::Float => {
            let values = input.primitive::<Float32Type>()?;
            Box::new(move |row| values.get(row).map_or(Value::Null, Value::Float))
        }
        TypeRoot::Double => {
            let values = input.primitive::<Float64Type>()?;
            Box::new(move |row| values.get(row).map_or(Value::Null, Value::Double))
        }
        TypeRoot::Decimal(_, scale) => {
            let values = input.primitive::<Decimal128Type>()?;
            let scale = usize::from(*scale);
            Box::new(move |row| {
                values.get(row).map_or(Value::Null, |number| Value::Other(plain_decimal(number, scale)))
            })
        }
        TypeRoot::Timestamp(_) | TypeRoot::TimestampLtz(_) => {
            let values = TimestampColumn::new(input)?;
            Box::new(move |row| match values.get(row) {
                Some((millis, nanos)) => {
                    let mut text = String::new();
                    push_local_date_time(&mut text, millis, nanos);
                    Value::Other(text)
                }
                None => Value::Null,
            })
        }
        _ => {
            let values = input.text()?;
            Box::new(move |row| values.get(row).map_or(Value::Null, |text| Value::Text(text.to_owned())))
        }
    })
}

/// A number of `scale` digits behind the point without exponent.
pub(crate) fn plain_decimal(number: i128, scale: usize) -> String {
    let mut digits = number.unsigned_abs().to_string();
    if scale > 0 {
        if digits.len() <= scale {
            digits.insert_str(0, &"0".repeat(scale + 1 - digits.len()));
        }
        digits.insert(digits.len() - scale, '.');
    }
    if number < 0 {
        digits.insert(0, '-');
    }
    digits
}

pub(super) fn printf(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    let expects = "(STRING, ANY, …)";
    let (format, values) =
        arguments.split_first().ok_or_else(|| Mismatch::new(format!("expects {expects}")))?;
    let mut types = targets(std::slice::from_ref(format), &[Want::Text], &[], expects)?;
    for value in values {
        use crate::types::TypeFamily::{Array, Binary, Map, Multiset, Row};
        if matches!(value.logical.root.family(), Array | Map | Multiset | Row | Binary) {
            return Err(Mismatch::new(format!("cannot print a value of type {}", value.logical.root)));
        }
        types.push(value.logical.clone());
    }
    let value_types: Vec<LogicalType> = values.iter().map(|value| value.logical.clone()).collect();
    let known = format.text().map(parse);
    Ok(Resolved::new(types, TypeRoot::STRING.nullable(), move |inputs| {
        let formats = inputs.get(0)?.text()?;
        let readers = inputs
            .iter()
            .skip(1)
            .zip(&value_types)
            .map(|(input, logical)| reader(input, logical))
            .collect::<Result<Vec<_>, _>>()?;
        let mut values = Vec::with_capacity(readers.len());
        strings(inputs, |row, out| {
            let Some(format) = formats.get(row) else { return Ok(false) };
            values.clear();
            values.extend(readers.iter().map(|read| read(row)));
            Ok(match &known {
                Some(pieces) => pieces.as_ref().is_some_and(|pieces| write_all(pieces, &values, out)),
                None => parse(format).is_some_and(|pieces| write_all(&pieces, &values, out)),
            })
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::super::FUNCTIONS;
    use crate::functions::support::testing::{Given, given, text};
    use crate::types::TypeRoot;
    use datafusion_common::ScalarValue;

    fn print(format: &str, values: &[Given]) -> Option<String> {
        let mut arguments = vec![Given::from(format)];
        arguments.extend_from_slice(values);
        text(FUNCTIONS, "PRINTF", &arguments)
    }

    #[test]
    fn simple() {
        assert_eq!(print("%d %s", &[1.into(), "a".into()]).as_deref(), Some("1 a"));
        assert_eq!(print("%s", &[None::<&str>.into()]).as_deref(), Some("null"));
        let null = None::<&str>;
        assert_eq!(
            print("%.3f|%5.1e|%.2s", &[null.into(), null.into(), null.into()]).as_deref(),
            Some("nul|    n|nu")
        );
        assert_eq!(print("%2$s %1$s %<s", &["a".into(), "b".into()]).as_deref(), Some("b a a"));
        assert_eq!(print("100%%%n", &[]).as_deref(), Some("100%\n"));
        assert_eq!(
            print("%5s|%.2s|%-4s|", &["abc".into(), "abc".into(), "é".into()]).as_deref(),
            Some("  abc|ab|é   |")
        );
        assert_eq!(
            print("%S %b %B", &["b".into(), None::<&str>.into(), true.into()]).as_deref(),
            Some("B false TRUE")
        );
        assert_eq!(print("%c%c", &[65.into(), 0x1F600.into()]).as_deref(), Some("A😀"));
    }

    #[test]
    fn numbers() {
        let values = [3.24159.into(), "ab".into(), 42.into(), 255.into(), 1_234_567.into()];
        assert_eq!(
            print("%5.2f|%-5s|%05d|%x|%,d", &values).as_deref(),
            Some(" 3.24|ab   |00042|ff|1,234,567")
        );
        assert_eq!(
            print("%10.3e|%-8d|%+d|%(d", &[3.5.into(), 5.into(), 5.into(), (-5).into()]).as_deref(),
            Some(" 3.500e+00|5       |+5|(5)")
        );
        assert_eq!(
            print("%o|%X|%#x", &[8.into(), (-1).into(), 255.into()]).as_deref(),
            Some("10|FFFFFFFF|0xff")
        );
        let tiny = given(TypeRoot::TinyInt, ScalarValue::Int8(Some(-1)));
        assert_eq!(print("%x", &[tiny]).as_deref(), Some("ff"));
        assert_eq!(print("%x", &[(-1i64).into()]).as_deref(), Some("ffffffffffffffff"));
        assert_eq!(
            print("%f %.0f %g", &[1.5.into(), 2.5.into(), 123_456_789.0.into()]).as_deref(),
            Some("1.500000 3 1.23457e+08")
        );
        assert_eq!(
            print("%e %g", &[12345.678.into(), 0.00012.into()]).as_deref(),
            Some("1.234568e+04 0.000120000")
        );
        assert_eq!(
            print("%,.2f|%08.2f|% d", &[1_234_567.891.into(), (-3.24159).into(), 3.into()]).as_deref(),
            Some("1,234,567.89|-0003.24| 3")
        );
        assert_eq!(print("%s %f", &[1e7.into(), f64::NAN.into()]).as_deref(), Some("1.0E7 NaN"));
        assert_eq!(print("%5g|%3.2g", &[9.9999999.into(), 9.9999999.into()]).as_deref(), Some("10.0000| 10"));
        assert_eq!(print("%.1e", &[9.96.into()]).as_deref(), Some("1.0e+01"));
        assert_eq!(print("%d", &[i64::MIN.into()]).as_deref(), Some("-9223372036854775808"));
    }

    #[test]
    fn other_types() {
        let decimal = || given(TypeRoot::Decimal(5, 2), ScalarValue::Decimal128(Some(-250), 5, 2));
        assert_eq!(print("%s", &[decimal()]).as_deref(), Some("-2.50"));
        assert_eq!(print("%d", &[decimal()]), None);
        let date = given(TypeRoot::Date, ScalarValue::Date32(Some(18263)));
        assert_eq!(print("%s", &[date]).as_deref(), Some("18263"));
        let timestamp =
            given(TypeRoot::Timestamp(3), ScalarValue::TimestampMillisecond(Some(1_577_934_245_000), None));
        assert_eq!(print("%s", &[timestamp]).as_deref(), Some("2020-01-02T03:04:05"));
        let midnight = given(TypeRoot::Timestamp(3), ScalarValue::TimestampMillisecond(Some(0), None));
        assert_eq!(print("%s", &[midnight]).as_deref(), Some("1970-01-01T00:00"));
    }

    #[test]
    fn what_does_not_fit_is_null() {
        assert_eq!(print("%d", &["a".into()]), None);
        assert_eq!(print("%d", &[]), None);
        assert_eq!(print("%c", &["a".into()]), None);
        assert_eq!(print("%f", &[1.into()]), None);
        assert_eq!(print("%", &[1.into()]), None);
        assert_eq!(print("%y", &[1.into()]), None);
        assert_eq!(print("%-d", &[1.into()]), None);
        assert_eq!(print("%D", &[1.into()]), None);
        assert_eq!(text(FUNCTIONS, "PRINTF", &[None::<&str>.into(), 1.into()]), None);
    }
}
