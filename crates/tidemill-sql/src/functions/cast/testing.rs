//! Calls functions on values that are written as text, and checks them against answers of Flink.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray};
use chrono_tz::Tz;
use datafusion_common::ScalarValue;

use super::{Failure, cast, converter, format_value};
use crate::functions::kernel::{
    Argument, FunctionContext, Input, Inputs, KernelError, Resolved, ScalarFunction,
};
use crate::types::{LogicalType, MAX_LENGTH, RowField, TypeRoot};

/// Some values of a type.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) logical: LogicalType,
    pub(crate) array: ArrayRef,
    pub(crate) literal: Option<ScalarValue>,
}

/// The session, in UTC.
pub(crate) fn context() -> FunctionContext {
    FunctionContext { time_zone: Tz::UTC }
}

/// The type that is written as `text`.
pub(crate) fn type_of(text: &str) -> LogicalType {
    let (name, nullable) = match text.strip_suffix(" NOT NULL") {
        Some(name) => (name, false),
        None => (text, true),
    };
    let inside = |prefix: &str| name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('>'));
    let numbers: Vec<u32> = match name.split_once('(') {
        Some((_, rest)) if !name.contains('<') => {
            rest.trim_end_matches(')').split(',').map(|number| number.trim().parse().unwrap()).collect()
        }
        _ => vec![],
    };
    let small = |index: usize| u8::try_from(numbers[index]).unwrap();
    let root = if let Some(element) = inside("ARRAY<") {
        TypeRoot::Array(Box::new(type_of(element)))
    } else if let Some(element) = inside("MULTISET<") {
        TypeRoot::Multiset(Box::new(type_of(element)))
    } else if let Some(both) = inside("MAP<") {
        let (key, value) = both.split_once(", ").unwrap();
        TypeRoot::Map(Box::new(type_of(key)), Box::new(type_of(value)))
    } else if let Some(fields) = inside("ROW<") {
        let field = |text: &str| {
            let (name, field_type) = text.split_once(' ').unwrap();
            RowField { name: name.trim_matches('`').to_owned(), field_type: type_of(field_type) }
        };
        TypeRoot::Row(fields.split(", ").map(field).collect())
    } else {
        match name.split('(').next().unwrap() {
            "NULL" => TypeRoot::Null,
            "BOOLEAN" => TypeRoot::Boolean,
            "TINYINT" => TypeRoot::TinyInt,
            "SMALLINT" => TypeRoot::SmallInt,
            "INT" => TypeRoot::Int,
            "BIGINT" => TypeRoot::BigInt,
            "FLOAT" => TypeRoot::Float,
            "DOUBLE" => TypeRoot::Double,
            "DECIMAL" => TypeRoot::Decimal(small(0), small(1)),
            "CHAR" => TypeRoot::Char(numbers[0]),
            "VARCHAR" => TypeRoot::Varchar(numbers[0]),
            "STRING" => TypeRoot::STRING,
            "BINARY" => TypeRoot::Binary(numbers[0]),
            "VARBINARY" => TypeRoot::Varbinary(numbers[0]),
            "BYTES" => TypeRoot::Varbinary(MAX_LENGTH),
            "DATE" => TypeRoot::Date,
            "TIME" => TypeRoot::Time(small(0)),
            "TIMESTAMP" => TypeRoot::Timestamp(small(0)),
            "TIMESTAMP_LTZ" => TypeRoot::TimestampLtz(small(0)),
            "INTERVAL YEAR TO MONTH" => TypeRoot::IntervalMonths,
            "INTERVAL DAY TO SECOND" => TypeRoot::IntervalMillis,
            other => panic!("no type {other}"),
        }
    };
    LogicalType { root, nullable }
}

/// Values of the type `logical`, written as text; intervals as their number of months or milliseconds.
pub(crate) fn column(logical: &str, values: &[Option<&str>]) -> Given {
    let logical = type_of(logical);
    let texts: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
    let array = match logical.root {
        TypeRoot::IntervalMonths | TypeRoot::IntervalMillis => {
            let numbers = convert(&texts, &TypeRoot::STRING.nullable(), &TypeRoot::BigInt.nullable());
            convert(&numbers, &TypeRoot::BigInt.nullable(), &logical)
        }
        _ => convert(&texts, &TypeRoot::STRING.nullable(), &logical),
    };
    Given { logical, array, literal: None }
}

fn convert(array: &ArrayRef, from: &LogicalType, to: &LogicalType) -> ArrayRef {
    converter(from, to, Tz::UTC, Failure::Error).unwrap()(array).unwrap()
}

/// One value.
pub(crate) fn value(logical: &str, value: &str) -> Given {
    column(logical, &[Some(value)])
}

/// One value that is NULL.
pub(crate) fn null(logical: &str) -> Given {
    column(logical, &[None])
}

/// One value that the query says.
pub(crate) fn literal(logical: &str, text: &str) -> Given {
    let mut given = value(&format!("{logical} NOT NULL"), text);
    given.literal = Some(ScalarValue::try_from_array(&given.array, 0).unwrap());
    given
}

fn run(
    resolved: &Resolved,
    arguments: &[Given],
    rows: usize,
    is_constant: impl Fn(usize) -> bool,
) -> Result<ArrayRef, KernelError> {
    let mut inputs = Vec::new();
    for (index, (given, wanted)) in arguments.iter().zip(&resolved.arguments).enumerate() {
        let converter = converter(&given.logical, wanted, Tz::UTC, Failure::Error).unwrap();
        let array = converter(&given.array)?;
        let input = Input::constant(Arc::clone(&array));
        inputs.push(match (array.len(), is_constant(index)) {
            (1, true) => input,
            (1, false) => Input::column(input.expanded(rows)?),
            _ => Input::column(array),
        });
    }
    (resolved.kernel)(&Inputs::new(inputs, rows))
}

/// The results of a call as text, by row: of columns, and of single values also as constants.
fn compute(resolved: &Resolved, arguments: &[Given]) -> Result<Vec<String>, String> {
    let most = arguments.iter().map(|given| given.array.len()).max().unwrap_or(1);
    let rows = if most == 1 { 3 } else { most };
    let text = |array: &ArrayRef| -> Vec<String> {
        assert_eq!(array.len(), rows, "a kernel answers as many rows as there are");
        let data_type = crate::types::arrow::data_type(&resolved.returns.root);
        assert_eq!(*array.data_type(), data_type, "the column is one of {}", resolved.returns);
        (0..rows)
            .map(|row| {
                let mut text = String::new();
                format_value(array, &resolved.returns, Tz::UTC, row, &mut text);
                text
            })
            .collect()
    };
    let columns =
        run(resolved, arguments, rows, |_| false).map(|array| text(&array)).map_err(|error| error.0);
    for constants in 1..4 {
        let computed = run(resolved, arguments, rows, |index| constants >> index.min(1) & 1 == 1);
        let constants = computed.map(|array| text(&array)).map_err(|error| error.0);
        assert_eq!(constants, columns, "constants give what columns give");
    }
    columns
}

/// Calls `name` on single values: the type and the value of the result, or what is wrong.
pub(crate) fn call(functions: &[ScalarFunction], name: &str, given: &[Given]) -> String {
    match resolve(functions, name, given) {
        Err(mismatch) => format!("refused: {mismatch}"),
        Ok(resolved) => match compute(&resolved, given) {
            Ok(rows) => format!("{} {}", resolved.returns, rows[0]),
            Err(error) => format!("fails: {error}"),
        },
    }
}

fn resolve(functions: &[ScalarFunction], name: &str, given: &[Given]) -> Result<Resolved, String> {
    let named = |function: &&ScalarFunction| function.name == name || function.aliases.contains(&name);
    let function = functions.iter().find(named).unwrap_or_else(|| panic!("there is no function {name}"));
    let arguments: Vec<Argument<'_>> = given
        .iter()
        .map(|given| Argument { logical: &given.logical, literal: given.literal.as_ref() })
        .collect();
    (function.resolve)(&context(), &arguments).map_err(|mismatch| mismatch.0)
}

/// Casts single values in a time zone: the type and the value of the result, or what is wrong.
pub(crate) fn cast_in(zone: Tz, given: &Given, to: &str, is_try: bool) -> String {
    let context = FunctionContext { time_zone: zone };
    match cast(&context, &given.logical, &type_of(to), is_try) {
        Err(mismatch) => format!("refused: {}", mismatch.0),
        Ok(resolved) => match compute(&resolved, std::slice::from_ref(given)) {
            Ok(rows) => format!("{} {}", resolved.returns, rows[0]),
            Err(error) => format!("fails: {error}"),
        },
    }
}

/// The columns of the table that the answers of Flink are of; it has three rows.
fn table(name: &str) -> Given {
    let of = |logical: &str, rows: [&str; 3]| column(logical, &rows.map(Some));
    let nested = |parts: &[(&str, &str)]| -> Given {
        let rows: Vec<ScalarValue> = parts
            .iter()
            .map(|(number, text)| {
                let number = value("INT", number).array;
                let text = value("STRING", text).array;
                let names = ["a", "b"].map(|name| name.to_owned());
                let data_type = crate::types::arrow::data_type(&type_of("ROW<a INT, b STRING>").root);
                let arrow_schema::DataType::Struct(fields) = data_type else { panic!("{names:?}") };
                let row: ArrayRef = Arc::new(arrow_array::StructArray::new(fields, vec![number, text], None));
                ScalarValue::try_from_array(&row, 0).unwrap()
            })
            .collect();
        Given {
            logical: type_of("ROW<a INT, b STRING>"),
            array: ScalarValue::iter_to_array(rows).unwrap(),
            literal: None,
        }
    };
    let lists = |rows: [[i32; 3]; 3]| -> ArrayRef {
        let values = rows.iter().map(|row| Some(row.iter().map(|value| Some(*value)).collect::<Vec<_>>()));
        Arc::new(arrow_array::ListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>(values))
    };
    match name {
        "tn" => of("TINYINT", ["100", "-7", "3"]),
        "sm" => of("SMALLINT", ["1000", "-300", "17"]),
        "i" => of("INT", ["7", "-2147483647", "123456"]),
        "b" => of("BIGINT", ["123456789012", "-9223372036854775807", "9007199254740993"]),
        "f" => of("FLOAT", ["1.5", "-0.1", "16777216"]),
        "d" => of("DOUBLE", ["2.25", "1.0E-3", "0.1"]),
        "d53" => of("DECIMAL(5, 3)", ["12.345", "-0.005", "99.995"]),
        "d100" => of("DECIMAL(10, 0)", ["42", "-999", "9999999999"]),
        "d38" => of(
            "DECIMAL(38, 10)",
            ["12345678901234567890.123456789", "-0.0000000001", "9999999999999999999999999999.9999999999"],
        ),
        "bo" => of("BOOLEAN", ["true", "false", "true"]),
        "st" => of("STRING", ["abc", "b c", "abc "]),
        // What a source delivers need not have the length of its type.
        "c5" => Given { logical: type_of("CHAR(5)"), ..of("STRING", ["ab", "éa", "abcde"]) },
        "v5" => of("VARCHAR(5)", ["abc", "zz", "abd"]),
        "bn" => Given {
            logical: type_of("BYTES"),
            array: Arc::new(arrow_array::BinaryArray::from(vec![&b"abc"[..], b"\x00\xff", b""])),
            literal: None,
        },
        "b3" => Given {
            logical: type_of("BINARY(3)"),
            array: Arc::new(arrow_array::BinaryArray::from(vec![&b"abc"[..], b"\x00\xffA", b"\x00\x00\x00"])),
            literal: None,
        },
        "da" => of("DATE", ["2024-01-31", "1969-12-31", "1999-12-31"]),
        "ti" => of("TIME(0)", ["12:34:56", "00:00:01", "23:59:59"]),
        "ts0" => of("TIMESTAMP(0)", ["2024-01-31 12:34:56", "1969-12-31 23:59:59", "1999-12-31 23:59:59"]),
        "ts3" => of(
            "TIMESTAMP(3)",
            ["2024-01-31 12:34:56.789", "1969-12-31 23:59:58.5", "1999-12-31 23:59:59.001"],
        ),
        "ts6" => of(
            "TIMESTAMP(6)",
            ["2024-01-31 12:34:56.789012", "1960-02-29 00:00:00.000001", "1999-12-31 23:59:59.000999"],
        ),
        "ts9" => of(
            "TIMESTAMP(9)",
            [
                "2024-01-31 12:34:56.789012345",
                "1969-12-31 23:59:59.999999999",
                "1999-12-31 23:59:59.999999999",
            ],
        ),
        "lt3" => of(
            "TIMESTAMP_LTZ(3)",
            ["2024-01-31 12:34:56.789", "1969-12-31 23:59:58.999", "1999-12-31 23:59:59.001"],
        ),
        "lt6" => of(
            "TIMESTAMP_LTZ(6)",
            ["2024-01-31 12:34:56.789012", "1960-02-29 00:00:00.000001", "1999-12-31 23:59:59.000999"],
        ),
        "ns" => of("STRING", ["12", "-3.7", "17"]),
        "ds" => of("STRING", ["2024-02-03", "1969-12-31", "1999-12-31"]),
        "tss" => {
            of("STRING", ["2024-02-03 04:05:06.7", "1969-12-31 23:59:58.9999", "1999-12-31 23:59:59.001"])
        }
        "im" => of("INTERVAL YEAR TO MONTH", ["140", "-42", "0"]),
        "id" => of("INTERVAL DAY TO SECOND", ["3094872165", "-187568010", "93784005"]),
        "arr" => Given {
            logical: type_of("ARRAY<INT>"),
            array: lists([[1, 2, 3], [-1, 0, 5], [9, 9, 9]]),
            literal: None,
        },
        "mp" => {
            let (keys, values) = (table("st"), table("i"));
            let data_type = crate::types::arrow::data_type(&type_of("MAP<STRING, INT>").root);
            let arrow_schema::DataType::Map(entries, _) = &data_type else { panic!("{data_type}") };
            let arrow_schema::DataType::Struct(fields) = entries.data_type() else { panic!("{entries}") };
            let both = arrow_array::StructArray::new(fields.clone(), vec![keys.array, values.array], None);
            let offsets = arrow_buffer::OffsetBuffer::from_lengths([1, 1, 1]);
            let maps = arrow_array::MapArray::new(Arc::clone(entries), offsets, both, None, false);
            Given { logical: type_of("MAP<STRING, INT> NOT NULL"), array: Arc::new(maps), literal: None }
        }
        "ro" => nested(&[("4", "xy"), ("-4", "b"), ("99", "xyz")]),
        number if number.parse::<i32>().is_ok() => literal("INT", number),
        other => panic!("there is no column {other}"),
    }
}

/// Checks the lines of `answers`: an expression, the type and the values of Flink, by tabulators.
pub(crate) fn check(functions: &[ScalarFunction], answers: &str) {
    check_by(functions, answers, |wanted, found| wanted == found);
}

/// Like [`check`], but the last bits of a `DOUBLE` may differ: no two libraries agree on all sines and
/// logarithms.
pub(crate) fn check_nearly(functions: &[ScalarFunction], answers: &str) {
    let number = |text: &str| text.contains('.').then(|| text.parse::<f64>().ok()).flatten();
    check_by(functions, answers, |wanted, found| match (number(wanted), number(found)) {
        (Some(wanted), Some(found)) => wanted == found || (wanted - found).abs() <= wanted.abs() * 4e-16,
        _ => wanted == found,
    });
}

fn check_by(functions: &[ScalarFunction], answers: &str, is_same: impl Fn(&str, &str) -> bool) {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in answers.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [expression, wanted_type, wanted @ ..] = fields.as_slice() else {
            panic!("not an answer: {line}")
        };
        count += 1;
        match evaluate(functions, expression) {
            Ok((logical, rows)) => {
                let is_right = logical.to_string() == *wanted_type
                    && rows.len() == wanted.len()
                    && rows.iter().zip(wanted).all(|(found, wanted)| is_same(wanted, found));
                if !is_right {
                    wrong.push(format!("{line}\n    found {logical}\t{}", rows.join("\t")));
                }
            }
            Err(error) => wrong.push(format!("{line}\n    found {error}")),
        }
    }
    assert!(count > 0, "there are answers");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn evaluate(functions: &[ScalarFunction], expression: &str) -> Result<(LogicalType, Vec<String>), String> {
    let (name, names): (&str, Vec<&str>) =
        match expression.strip_suffix(')').and_then(|call| call.split_once('(')) {
            Some((name @ ("CAST" | "TRY_CAST"), inside)) => {
                let (column, to) = inside.split_once(" AS ").unwrap();
                let given = table(column);
                let resolved = cast(&context(), &given.logical, &type_of(to), name == "TRY_CAST")
                    .map_err(|error| error.0)?;
                return Ok((resolved.returns.clone(), compute(&resolved, &[given])?));
            }
            Some((name, arguments)) => (name, arguments.split(", ").collect()),
            None => match expression.split_once(' ') {
                Some(("-", column)) => ("NEGATE", vec![column]),
                Some((left, rest)) => {
                    let (operator, right) = rest.rsplit_once(' ').unwrap();
                    (operator, vec![left, right])
                }
                None => panic!("not an expression: {expression}"),
            },
        };
    let given: Vec<Given> = names.into_iter().map(table).collect();
    let resolved = resolve(functions, name, &given)?;
    Ok((resolved.returns.clone(), compute(&resolved, &given)?))
}
