use chrono_tz::Tz;

use super::testing::{cast_in, check, column, null, type_of, value};
use super::{Failure, converter, java_double, java_float};

/// The columns of a small table, cast to many types: as Flink 2.3 answers.
#[test]
fn casts_as_flink() {
    check(&[], include_str!("flink.tsv"));
}

/// `TRY_CAST` of each string, and its value or NULL.
fn try_strings(to: &str, expected: &[(&str, &str)]) {
    for (text, wanted) in expected {
        let found = cast_in(Tz::UTC, &value("STRING", text), to, true);
        assert_eq!(found, format!("{to} {wanted}"), "TRY_CAST('{text}' AS {to})");
        let strict = cast_in(Tz::UTC, &value("STRING", text), to, false);
        match *wanted {
            "NULL" => {
                assert!(strict.starts_with(&format!("fails: cannot cast '{text}' to {to}: ")), "{strict}")
            }
            wanted => assert_eq!(strict, format!("{to} {wanted}")),
        }
    }
}

#[test]
fn strings_to_whole_numbers() {
    try_strings(
        "INT",
        &[
            ("12.7", "12"),
            ("-.5", "0"),
            (".", "0"),
            ("+", "NULL"),
            ("-", "NULL"),
            ("", "NULL"),
            ("  7 ", "7"),
            ("7\t", "NULL"),
            ("1e3", "NULL"),
            ("\u{663}", "NULL"),
            ("2147483648", "NULL"),
            ("-2147483648", "-2147483648"),
            ("2147483647.9", "2147483647"),
            ("0x10", "NULL"),
            ("1_0", "NULL"),
            ("+5", "5"),
            ("-0", "0"),
            ("00012", "12"),
            ("12.", "12"),
            ("12.a", "NULL"),
            (" ", "NULL"),
            ("- 5", "NULL"),
        ],
    );
    try_strings("TINYINT", &[("128", "NULL"), ("-128", "-128"), ("2147483647.9", "NULL"), ("127.99", "127")]);
    try_strings("SMALLINT", &[("32768", "NULL"), ("-32768", "-32768")]);
    try_strings(
        "BIGINT",
        &[
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "NULL"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("99999999999999999999999999", "NULL"),
        ],
    );
}

#[test]
fn strings_to_approximate_numbers() {
    let both = [
        ("1", "1.0"),
        (" 1.5 ", "1.5"),
        ("1e5", "100000.0"),
        ("1E-5", "1.0E-5"),
        ("1d", "1.0"),
        ("1.5F", "1.5"),
        ("NaN", "NaN"),
        ("nan", "NULL"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("inf", "NULL"),
        ("+1", "1.0"),
        (".5", "0.5"),
        ("5.", "5.0"),
        (".", "NULL"),
        ("e5", "NULL"),
        ("1e", "NULL"),
        ("0x1p3", "8.0"),
        ("0x1.8p1", "3.0"),
        ("0x10", "NULL"),
        ("1_0", "NULL"),
        ("", "NULL"),
        ("1e400", "Infinity"),
        ("-1e-400", "-0.0"),
        ("\t2", "2.0"),
        ("1,5", "NULL"),
        ("+NaN", "NaN"),
        ("-NaN", "NaN"),
    ];
    try_strings("DOUBLE", &both);
    try_strings("FLOAT", &both);
    try_strings("DOUBLE", &[("1.7976931348623157e308", "1.7976931348623157E308"), ("4.9e-324", "4.9E-324")]);
    try_strings("FLOAT", &[("3.4028236e38", "Infinity"), ("16777217", "1.6777216E7"), ("0.1", "0.1")]);
}

#[test]
fn strings_to_decimals() {
    try_strings(
        "DECIMAL(5, 2)",
        &[
            ("12", "12.00"),
            // The character that ends a number is skipped, as in Flink.
            ("12x", "12.00"),
            ("x", "0.00"),
            ("xy", "NULL"),
            ("12xy", "NULL"),
            ("12 x", "NULL"),
            ("1.5e", "1.50"),
            ("1e2", "100.00"),
            ("1e", "1.00"),
            ("+", "NULL"),
            ("-", "NULL"),
            ("", "NULL"),
            (" ", "NULL"),
            (" 12 ", "12.00"),
            ("0001.50", "NULL"),
            ("000001.5", "NULL"),
            ("12.345", "12.35"),
            ("-0.005", "-0.01"),
            ("0.005", "0.01"),
            ("-0.004", "0.00"),
            ("99999", "NULL"),
            ("999.994", "999.99"),
            ("1 2", "NULL"),
            ("1,000", "NULL"),
            (".5", "0.50"),
            ("5.", "5.00"),
            (".", "0.00"),
            ("1..2", "NULL"),
            ("1.2.3", "NULL"),
            ("e5", "NULL"),
            ("1e-3", "0.00"),
            ("1e+1", "10.00"),
            ("1e+", "NULL"),
            ("1E2", "100.00"),
            ("--1", "NULL"),
            ("+1", "1.00"),
            ("1e50", "NULL"),
            ("1e-50", "NULL"),
            ("NaN", "NULL"),
            ("12\t", "12.00"),
            ("-0", "0.00"),
            ("1.e1", "10.00"),
            ("0000000000000000000012.5", "12.50"),
            ("12.34500000000000000000", "12.35"),
            ("1e9999999999", "NULL"),
            ("1e99999999999", "NULL"),
            ("                    7", "7.00"),
            ("12.345000000000000000x", "NULL"),
            // Flink lets numbers through that have too many digits once they are rounded.
            ("999.995", "NULL"),
        ],
    );
    try_strings(
        "DECIMAL(20, 2)",
        &[
            ("12x", "NULL"),
            ("1.5e", "NULL"),
            ("0001.50", "1.50"),
            (".", "NULL"),
            ("999.995", "1000.00"),
            ("1e-50", "0.00"),
            ("12345678901234567890123", "NULL"),
            ("1e17", "100000000000000000.00"),
            ("1e18", "NULL"),
            ("0.0000000000000000000000000000005", "0.00"),
            ("123456789012345678901234567890e-12", "123456789012345678.90"),
            ("000000000000000000000000000000000012.5", "12.50"),
        ],
    );
}

#[test]
fn strings_to_truth_values() {
    try_strings(
        "BOOLEAN",
        &[
            ("true", "TRUE"),
            (" true ", "NULL"),
            ("TRUE", "TRUE"),
            ("on", "NULL"),
            ("off", "NULL"),
            ("T", "TRUE"),
            ("y", "TRUE"),
            ("YES", "TRUE"),
            ("0", "FALSE"),
            ("1", "TRUE"),
            ("2", "NULL"),
            ("f", "FALSE"),
            ("No", "FALSE"),
            ("", "NULL"),
            ("tRuE", "TRUE"),
        ],
    );
}

#[test]
fn strings_to_dates() {
    try_strings(
        "DATE",
        &[
            ("2024-01-31", "2024-01-31"),
            ("2024-1-5", "2024-01-05"),
            ("2024-02-30", "NULL"),
            ("2023-02-29", "NULL"),
            ("2024", "2024-01-01"),
            ("2024-05", "2024-05-01"),
            ("24-1-1", "0024-01-01"),
            ("0000-01-01", "0000-01-01"),
            ("9999-12-31", "9999-12-31"),
            ("10000-01-01", "NULL"),
            ("2024-01-31 10:00:00", "2024-01-31"),
            ("2024-01-31T10:00:00", "NULL"),
            ("2024-01-31 xyz", "2024-01-31"),
            (" 2024-01-31", "2024-01-31"),
            ("2024-01-31 ", "2024-01-31"),
            ("2024/01/31", "NULL"),
            ("-2024-01-01", "NULL"),
            ("2024-13-01", "NULL"),
            ("2024-01-32", "NULL"),
            ("2024-00-10", "NULL"),
            ("20240131", "NULL"),
            ("2024- 01 - 31", "NULL"),
            ("", "NULL"),
            ("abc", "NULL"),
            ("2024-01-", "NULL"),
            ("1-1-1", "0001-01-01"),
            ("2024-01-31-05", "NULL"),
            ("99999999999", "NULL"),
            ("2024-01-031", "2024-01-31"),
        ],
    );
}

#[test]
fn strings_to_times() {
    try_strings(
        "TIME(3)",
        &[
            ("12:34:56", "12:34:56.0"),
            ("12:34", "12:34:00.0"),
            ("12", "12:00:00.0"),
            ("1:2:3", "01:02:03.0"),
            ("12:34:56.7", "12:34:56.7"),
            ("12:34:56.789", "12:34:56.789"),
            ("12:34:56.7895", "12:34:56.79"),
            ("12:34:56.7894", "12:34:56.789"),
            ("12:34:56.", "12:34:56.0"),
            ("24:00:00", "NULL"),
            ("23:59:60", "NULL"),
            ("23:60:00", "NULL"),
            ("12:34:56.7a", "12:34:56.7"),
            ("12:34:56+01:00", "13:34:56.0"),
            ("12:34:56-01:30", "11:04:56.0"),
            ("12:34:56.5+2", "14:34:56.5"),
            ("00:30:00-01:00", "23:30:00.0"),
            ("23:30:00+01:00", "24:30:00.0"),
            (" 12:34:56 ", "12:34:56.0"),
            ("12:34:56 PM", "NULL"),
            ("", "NULL"),
            ("abc", "NULL"),
            ("12::34", "NULL"),
            ("12:34:56:78", "NULL"),
            ("12:34:56.789 ", "12:34:56.789"),
            ("-1:00:00", "NULL"),
            ("12:34:56.99999", "12:34:57.0"),
        ],
    );
    try_strings("TIME(0)", &[("12:34:56.789", "12:34:56"), ("12:34:56.9996", "12:34:57")]);
}

#[test]
fn strings_to_timestamps() {
    try_strings(
        "TIMESTAMP(6)",
        &[
            ("2024-01-31", "2024-01-31 00:00:00.000000"),
            ("2024-01-31 10:11:12", "2024-01-31 10:11:12.000000"),
            ("2024-01-31 10:11:12.5", "2024-01-31 10:11:12.500000"),
            ("2024-01-31 10:11:12.123456789", "2024-01-31 10:11:12.123456"),
            ("2024-01-31 10:11:12.1234567891", "NULL"),
            ("2024-01-31 10:11", "NULL"),
            ("2024-01-31 10", "NULL"),
            ("2024-1-5 1:2:3", "2024-01-05 01:02:03.000000"),
            ("2024-02-30 00:00:00", "2024-02-29 00:00:00.000000"),
            ("2023-02-30", "2023-02-28 00:00:00.000000"),
            ("2024-04-31", "2024-04-30 00:00:00.000000"),
            ("2024-01-32", "NULL"),
            ("2024-13-01", "NULL"),
            ("0000-01-01", "NULL"),
            ("0001-01-01", "0001-01-01 00:00:00.000000"),
            ("10000-01-01", "NULL"),
            // Only the last four digits of a year are shown.
            ("+10000-01-01", "0000-01-01 00:00:00.000000"),
            ("-0001-01-01", "NULL"),
            ("2024-01-31T10:11:12", "NULL"),
            ("2024-01-31 24:00:00", "2024-02-01 00:00:00.000000"),
            ("2024-01-31 24:00:01", "NULL"),
            ("2024-01-31 23:59:60", "NULL"),
            (" 2024-01-31", "NULL"),
            ("2024-01-31 ", "NULL"),
            ("2024-01-31 10:11:12 ", "NULL"),
            ("2024-01-31 10:11:12.", "2024-01-31 10:11:12.000000"),
            ("2024-01-31 10:11:12Z", "NULL"),
            ("2024-01-31  10:11:12", "NULL"),
            ("24-01-01", "NULL"),
            ("202-01-01", "NULL"),
            ("2024", "NULL"),
            ("2024-01", "NULL"),
            ("2024-001-01", "NULL"),
            ("2024-01-31 10:11:12,5", "NULL"),
            ("", "NULL"),
            ("2024-12-31 010:11:12", "NULL"),
        ],
    );
    try_strings("TIMESTAMP(3)", &[("1969-12-31 23:59:59.9995", "1969-12-31 23:59:59.999")]);
    try_strings("TIMESTAMP(0)", &[("2024-01-31 10:11:12.9", "2024-01-31 10:11:12")]);
    // Nanoseconds have room for the years from 1677 to 2262.
    try_strings(
        "TIMESTAMP(9)",
        &[("2024-01-31 10:11:12.123456789", "2024-01-31 10:11:12.123456789"), ("0001-01-01", "NULL")],
    );
}

/// Times that clocks skip are moved forward; of times that they show twice, the first is meant.
#[test]
fn time_zones() {
    let york = Tz::America__New_York;
    let moment = |text: &str| {
        let local = column("STRING", &[Some(text)]);
        let moment = converter(&local.logical, &type_of("TIMESTAMP_LTZ(3)"), york, Failure::Error).unwrap();
        let array = moment(&local.array).unwrap();
        let mut shown = String::new();
        super::format_value(&array, &type_of("TIMESTAMP_LTZ(3)"), Tz::UTC, 0, &mut shown);
        shown
    };
    for (local, utc) in [
        ("2024-03-10 01:59:59", "2024-03-10 06:59:59.000"),
        ("2024-03-10 02:00:00", "2024-03-10 07:00:00.000"),
        ("2024-03-10 02:30:00", "2024-03-10 07:30:00.000"),
        ("2024-03-10 03:00:00", "2024-03-10 07:00:00.000"),
        ("2024-11-03 00:59:59", "2024-11-03 04:59:59.000"),
        ("2024-11-03 01:00:00", "2024-11-03 05:00:00.000"),
        ("2024-11-03 01:30:00", "2024-11-03 05:30:00.000"),
        ("2024-11-03 02:00:00", "2024-11-03 07:00:00.000"),
        ("2024-07-01 00:00:00", "2024-07-01 04:00:00.000"),
        ("1800-01-01 00:00:00", "1800-01-01 04:56:02.000"),
    ] {
        assert_eq!(moment(local), utc, "{local}");
    }
    let cast_there = |logical: &str, text: &str, to: &str| cast_in(york, &value(logical, text), to, false);
    let shown = |logical: &str, text: &str, to: &str| {
        cast_there(logical, text, to).split_once(' ').unwrap().1.to_owned()
    };
    let ltz = "TIMESTAMP_LTZ(3)";
    assert_eq!(shown(ltz, "2024-01-31 12:34:56.789", "STRING"), "2024-01-31 07:34:56.789");
    assert_eq!(shown(ltz, "2024-01-31 12:34:56.789", "TIMESTAMP(3)"), "2024-01-31 07:34:56.789");
    assert_eq!(shown(ltz, "2024-01-31 02:00:00", "DATE"), "2024-01-30");
    assert_eq!(shown(ltz, "2024-01-31 12:34:56.789", "TIME(3)"), "07:34:56.789");
    // What follows is shown in UTC.
    assert_eq!(shown("TIMESTAMP(3)", "2024-01-31 12:34:56.789", ltz), "2024-01-31 17:34:56.789");
    assert_eq!(shown("DATE", "2024-03-10", ltz), "2024-03-10 05:00:00.000");
    assert_eq!(shown("TIME(0)", "12:34:56", ltz), "1970-01-01 17:34:56.000");
    // A whole day was left out there.
    let apia = Tz::Pacific__Apia;
    assert_eq!(
        cast_in(apia, &value("TIMESTAMP(0)", "2011-12-30 12:00:00"), "TIMESTAMP_LTZ(0)", false),
        "TIMESTAMP_LTZ(0) 2011-12-30 22:00:00"
    );
}

/// A session's zone does not matter where there is none in the types.
#[test]
fn timestamps_lose_digits() {
    let cut = |text: &str, from: &str, to: &str| cast_in(Tz::UTC, &value(from, text), to, false);
    assert_eq!(
        cut("2024-01-01 00:00:00.999999999", "TIMESTAMP(9)", "TIMESTAMP(4)"),
        "TIMESTAMP(4) 2024-01-01 00:00:00.9999"
    );
    assert_eq!(
        cut("1969-12-31 23:59:59.999999999", "TIMESTAMP(9)", "TIMESTAMP(6)"),
        "TIMESTAMP(6) 1969-12-31 23:59:59.999999"
    );
    assert_eq!(
        cut("9999-12-31 00:00:00", "TIMESTAMP(3)", "TIMESTAMP(9)"),
        "fails: cannot cast '9999-12-31 00:00:00.000' to TIMESTAMP(9): it is out of range"
    );
    assert_eq!(cast_in(Tz::UTC, &value("DATE", "9999-12-31"), "TIMESTAMP(9)", true), "TIMESTAMP(9) NULL");
    assert_eq!(cut("12:34:56.789", "TIME(3)", "TIME(1)"), "TIME(1) 12:34:56.7");
}

#[test]
fn numbers_are_narrowed_as_in_java() {
    for (double, tiny, small, int, big) in [
        ("1e30", "-1", "-1", "2147483647", "9223372036854775807"),
        ("-1e30", "0", "0", "-2147483648", "-9223372036854775808"),
        ("300.7", "44", "300", "300", "300"),
        ("-300.7", "-44", "-300", "-300", "-300"),
        ("1e10", "-1", "-1", "2147483647", "10000000000"),
        ("NaN", "0", "0", "0", "0"),
        ("1.9", "1", "1", "1", "1"),
        ("-1.9", "-1", "-1", "-1", "-1"),
    ] {
        for (to, wanted) in [("TINYINT", tiny), ("SMALLINT", small), ("INT", int), ("BIGINT", big)] {
            assert_eq!(
                cast_in(Tz::UTC, &value("DOUBLE", double), to, false),
                format!("{to} {wanted}"),
                "{double}"
            );
        }
    }
    let decimal = |from: &str, text: &str, to: &str| cast_in(Tz::UTC, &value(from, text), to, false);
    assert_eq!(
        decimal("DOUBLE", "NaN", "DECIMAL(5, 2)"),
        "fails: cannot cast 'NaN' to DECIMAL(5, 2): it is not finite"
    );
    assert_eq!(decimal("DOUBLE", "2.25e30", "DECIMAL(5, 2)"), "DECIMAL(5, 2) NULL");
    assert_eq!(
        decimal("DOUBLE", "0.30000000000000004", "DECIMAL(38, 20)"),
        "DECIMAL(38, 20) 0.30000000000000004000"
    );
    assert_eq!(decimal("FLOAT", "0.1", "DECIMAL(38, 18)"), "DECIMAL(38, 18) 0.100000001490116120");
    assert_eq!(decimal("DECIMAL(5, 3)", "12.345", "DECIMAL(4, 2)"), "DECIMAL(4, 2) 12.35");
    assert_eq!(decimal("DECIMAL(5, 3)", "12.345", "DECIMAL(3, 2)"), "DECIMAL(3, 2) NULL");
    assert_eq!(decimal("DECIMAL(2, 1)", "0.5", "BOOLEAN"), "BOOLEAN TRUE");
    assert_eq!(decimal("DOUBLE", "NaN", "BOOLEAN"), "BOOLEAN TRUE");
}

#[test]
fn numbers_as_java_writes_them() {
    for (value, wanted) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (100.0, "100.0"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (9_999_999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (12_345_678.9, "1.23456789E7"),
        (1.1 * 1.1, "1.2100000000000002"),
        (1e21, "1.0E21"),
        (123_456_789_012_345_680_000.0, "1.2345678901234568E20"),
        (9_007_199_254_740_992.0, "9.007199254740992E15"),
        // More digits than needed: those of Java up to 18.
        (5.722351919331477e17, "5.7223519193314771E17"),
        (1.6460676079539272e18, "1.64606760795392717E18"),
        // Halfway between two numbers of 16 digits, to the even one.
        (900_719_925_474_099.0 + 0.25, "9.007199254740992E14"),
        (f64::MAX, "1.7976931348623157E308"),
        (5e-324, "4.9E-324"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(java_double(value), wanted);
    }
    for (value, wanted) in [
        (123_456_789_012.0, "1.23456791E11"),
        (123_456_789.0, "1.23456792E8"),
        (217.0 / 512.0, "0.42382812"),
        (9_007_199_254_740_992.0, "9.0071993E15"),
        (1e10, "1.0E10"),
        (0.1, "0.1"),
        (1e-45, "1.4E-45"),
    ] {
        assert_eq!(java_float(value), wanted);
    }
}

#[test]
fn strings_have_their_length() {
    let cut = |text: &str, to: &str| cast_in(Tz::UTC, &value("STRING", text), to, false);
    assert_eq!(cut("äöü", "VARCHAR(2)"), "VARCHAR(2) äö");
    assert_eq!(cut("äöü", "CHAR(5)"), "CHAR(5) äöü  ");
    assert_eq!(cut("äöü", "CHAR(2)"), "CHAR(2) äö");
    assert_eq!(cut("😀😀", "CHAR(3)"), "CHAR(3) 😀😀 ");
    assert_eq!(cut("äöü", "BINARY(4)"), "BINARY(4) äö");
    assert_eq!(cut("ab", "BINARY(3)"), "BINARY(3) ab\0");
    assert_eq!(cut("abc", "VARBINARY(2)"), "VARBINARY(2) ab");
}

#[test]
fn inside_of_others() {
    let arrays = |rows: Vec<Option<Vec<Option<&str>>>>| {
        let mut builder = arrow_array::builder::ListBuilder::new(arrow_array::builder::StringBuilder::new());
        for row in rows {
            match row {
                Some(row) => builder.append_value(row),
                None => builder.append_null(),
            }
        }
        super::testing::Given {
            logical: type_of("ARRAY<STRING>"),
            array: std::sync::Arc::new(builder.finish()),
            literal: None,
        }
    };
    let one = |row: Vec<Option<&str>>| arrays(vec![Some(row)]);
    let cast_one = |row: Vec<Option<&str>>, to: &str, is_try: bool| cast_in(Tz::UTC, &one(row), to, is_try);
    assert_eq!(cast_one(vec![Some("1"), None], "ARRAY<INT>", false), "ARRAY<INT> [1, NULL]");
    assert_eq!(cast_one(vec![Some("1"), Some("x")], "ARRAY<INT>", true), "ARRAY<INT> NULL");
    assert_eq!(
        cast_one(vec![Some("1"), Some("x")], "ARRAY<INT>", false),
        "fails: cannot cast 'x' to INT: it is not a number"
    );
    assert_eq!(cast_one(vec![Some("a"), None], "STRING", false), "STRING [a, NULL]");
    assert_eq!(cast_one(vec![Some("ab"), Some("c")], "CHAR(4)", false), "CHAR(4) [ab,");
    assert_eq!(
        cast_one(vec![Some("1")], "ARRAY<ARRAY<INT>>", false),
        "refused: STRING cannot be cast to ARRAY<INT>"
    );
    // What fails in one row does not matter in others, and slices keep their rows.
    let some = arrays(vec![Some(vec![Some("x")]), None, Some(vec![Some("2")]), Some(vec![])]);
    let converter = converter(&some.logical, &type_of("ARRAY<INT>"), Tz::UTC, Failure::Null).unwrap();
    let shown = |array: &arrow_array::ArrayRef| -> Vec<String> {
        (0..array.len())
            .map(|row| {
                let mut text = String::new();
                super::format_value(array, &type_of("ARRAY<INT>"), Tz::UTC, row, &mut text);
                text
            })
            .collect()
    };
    assert_eq!(shown(&converter(&some.array).unwrap()), ["NULL", "NULL", "[2]", "[]"]);
    assert_eq!(shown(&converter(&some.array.slice(2, 2)).unwrap()), ["[2]", "[]"]);
    assert_eq!(shown(&converter(&some.array.slice(1, 2)).unwrap()), ["NULL", "[2]"]);
}

#[test]
fn what_cannot_be_cast() {
    let refused = |from: &str, to: &str| cast_in(Tz::UTC, &null(from), to, false);
    let advised = refused("INT", "TIMESTAMP(3)");
    assert!(advised.contains(": use TO_TIMESTAMP(FROM_UNIXTIME(number)) instead"), "{advised}");
    assert_eq!(
        refused("BIGINT", "TIMESTAMP_LTZ(3)"),
        "refused: BIGINT cannot be cast to TIMESTAMP_LTZ(3): use TO_TIMESTAMP_LTZ(number, precision) instead"
    );
    for (from, to) in [
        ("TIMESTAMP(3)", "BIGINT"),
        ("TIMESTAMP_LTZ(3)", "BIGINT"),
        ("DATE", "INT"),
        ("DATE", "TIME(0)"),
        ("TIME(0)", "DATE"),
        ("BOOLEAN", "DATE"),
        ("BYTES", "INT"),
        ("BYTES", "DATE"),
        ("INT", "BYTES"),
        ("DOUBLE", "INTERVAL YEAR TO MONTH"),
        ("DECIMAL(5, 2)", "INTERVAL DAY TO SECOND"),
        ("INTERVAL YEAR TO MONTH", "INT"),
        ("STRING", "INTERVAL YEAR TO MONTH"),
        ("STRING", "ARRAY<INT>"),
        ("INT", "ARRAY<INT>"),
    ] {
        // Columns of these types cannot be made of strings, so that only the types are given.
        let given = super::testing::Given {
            logical: type_of(from),
            array: arrow_array::new_null_array(&crate::types::arrow::data_type(&type_of(from).root), 1),
            literal: None,
        };
        let found = cast_in(Tz::UTC, &given, to, true);
        assert!(found.starts_with(&format!("refused: {from} cannot be cast to {to}")), "{found}");
    }
    assert_eq!(cast_in(Tz::UTC, &null("INT"), "STRING", false), "STRING NULL");
    let nothing = super::testing::Given {
        logical: type_of("NULL"),
        array: std::sync::Arc::new(arrow_array::NullArray::new(1)),
        literal: None,
    };
    assert_eq!(cast_in(Tz::UTC, &nothing, "ROW<a INT, b STRING>", false), "ROW<`a` INT, `b` STRING> NULL");
}
