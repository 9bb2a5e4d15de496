use super::super::FUNCTIONS;
use super::super::tests::{date, ltz, shown, timestamp};
use crate::functions::kernel::FunctionContext;
use crate::functions::support::testing::{Given, call, call_in, context, given, number, text};
use crate::types::TypeRoot;
use arrow_array::cast::AsArray;
use datafusion_common::ScalarValue;

fn none() -> Given {
    Given::from(None::<&str>)
}

fn shows(name: &str, arguments: &[Given]) -> String {
    shown(&call(FUNCTIONS, name, arguments).unwrap_or_else(|error| panic!("{name}: {error}")))
}

#[test]
fn formats_of_timestamps() {
    let format = |value: Given, pattern: &str| text(FUNCTIONS, "DATE_FORMAT", &[value, pattern.into()]);
    let moment = || timestamp("2021-01-02 03:04:05.678");
    assert_eq!(format(moment(), "yyyy-MM-dd HH:mm:ss.SSS").as_deref(), Some("2021-01-02 03:04:05.678"));
    assert_eq!(format(moment(), "yyyy-MM-dd").as_deref(), Some("2021-01-02"));
    assert_eq!(format(timestamp("1969-12-31 23:59:59.999"), "HH:mm").as_deref(), Some("23:59"));
    assert_eq!(format(ltz(0), "yyyy-MM-dd HH:mm").as_deref(), Some("1970-01-01 00:00"));
    assert_eq!(format(timestamp("NULL"), "yyyy"), None);
    assert_eq!(text(FUNCTIONS, "DATE_FORMAT", &[moment(), none()]), None);
    let refused =
        |value: Given, pattern: &str| call(FUNCTIONS, "DATE_FORMAT", &[value, pattern.into()]).unwrap_err();
    assert_eq!(refused(moment(), "jj"), "Unknown pattern letter: j");
    assert!(refused(moment(), "z").contains("time zone"));
    assert!(refused(date("2021-01-02"), "yyyyMMdd").starts_with("expects"));
    let column = call(FUNCTIONS, "DATE_FORMAT", &[moment(), Given::from("jj").into_column()]);
    assert_eq!(column, Err("Unknown pattern letter: j".to_owned()));
}

fn shown_in(context: &FunctionContext, name: &str, arguments: &[Given]) -> String {
    let (array, _) = call_in(context, FUNCTIONS, name, arguments).unwrap();
    array.as_string::<i32>().value(1).to_owned()
}

#[test]
fn formats_in_the_zone_of_the_session() {
    let mut there = context();
    there.time_zone = chrono_tz::Tz::Asia__Shanghai;
    let in_shanghai = |name: &str, arguments: &[Given]| shown_in(&there, name, arguments);
    assert_eq!(in_shanghai("DATE_FORMAT", &[ltz(0), "yyyy-MM-dd HH:mm".into()]), "1970-01-01 08:00");
    assert_eq!(in_shanghai("DATE_FORMAT", &["2021-01-02 13:04:05".into(), "HH z Z".into()]), "13 UTC +0000");
    assert_eq!(in_shanghai("FROM_UNIXTIME", &[44.into()]), "1970-01-01 08:00:44");
    there.time_zone = chrono_tz::Tz::America__New_York;
    let in_new_york = |name: &str, arguments: &[Given]| shown_in(&there, name, arguments);
    assert_eq!(in_new_york("FROM_UNIXTIME", &[(-5_000_000_000i64).into()]), "1811-07-23 10:06:40");
    assert_eq!(in_new_york("FROM_UNIXTIME", &[1_636_270_200.into(), "HH:mm z".into()]), "02:30 EST");
    assert_eq!(in_new_york("DATE_FORMAT", &[ltz(1_615_705_200_000), "HH:mm".into()]), "03:00");
    there.time_zone = chrono_tz::Tz::Asia__Shanghai;
    let (seconds, _) = call_in(&there, FUNCTIONS, "UNIX_TIMESTAMP", &["1970-01-01 08:00:00".into()]).unwrap();
    assert_eq!(seconds.as_primitive::<arrow_array::types::Int64Type>().value(0), 0);
}

#[test]
fn many_rows_are_formatted_alike() {
    use crate::functions::kernel::{Argument, Input, Inputs};
    let millis: Vec<i64> =
        (0..5000).map(|row| 1_609_556_645_678 + row * 977_123).chain([-1, 0, -86_400_001]).collect();
    let column = std::sync::Arc::new(arrow_array::TimestampMillisecondArray::from(millis.clone()));
    for pattern in ["yyyy-MM-dd", "HH:mm", "a h", "yyyy-MM-dd HH:mm:ss", "ss.SSS"] {
        let (logical, literal) = (TypeRoot::Timestamp(3).not_null(), ScalarValue::from(pattern));
        let pattern_type = TypeRoot::STRING.not_null();
        let arguments = [
            Argument { logical: &logical, literal: None },
            Argument { logical: &pattern_type, literal: Some(&literal) },
        ];
        let resolved = super::date_format(&context(), &arguments).unwrap();
        let inputs = Inputs::new(
            vec![Input::column(column.clone()), Input::constant(literal.to_array().unwrap())],
            millis.len(),
        );
        let array = (resolved.kernel)(&inputs).unwrap();
        let formatter = super::Formatter::new(pattern).unwrap();
        for (row, millis) in millis.iter().enumerate() {
            let mut expected = String::new();
            formatter.print(&super::Local::of_millis(*millis, 0), &mut expected).unwrap();
            assert_eq!(array.as_string::<i32>().value(row), expected);
        }
    }
}

#[test]
fn formats_of_texts() {
    let format = |value: &str, pattern: &str| text(FUNCTIONS, "DATE_FORMAT", &[value.into(), pattern.into()]);
    assert_eq!(format("2021-01-02", "yyyy"), None);
    assert_eq!(format("2021-01-02 13:04:05", "yyyy/MM/dd'T'HH").as_deref(), Some("2021/01/02T13"));
    assert_eq!(format("2021-01-02 13:04:05", "YYYY 'week' w, S SSS").as_deref(), Some("2021 week 1, 0 000"));
    let refused = call(FUNCTIONS, "DATE_FORMAT", &["2021-01-02 13:04:05".into(), "jj".into()]);
    assert_eq!(refused, Err("Illegal pattern character 'j'".to_owned()));
}

#[test]
fn timestamps_of_texts() {
    for (said, expected) in [
        ("2021-01-02 03:04:05", "2021-01-02T03:04:05"),
        ("2021-1-2 3:4:5.1234567", "2021-01-02T03:04:05.123"),
        ("2021-01-02", "2021-01-02T00:00"),
        ("2021-02-30", "2021-02-28T00:00"),
        ("2021-01-02 24:00:00", "2021-01-03T00:00"),
        ("2021-01-02 03:04:05.", "2021-01-02T03:04:05"),
        ("+12345-01-02", "+12345-01-02T00:00"),
        ("2021-03-", "2021-03-01T00:00"),
        ("2021-03-04 0::13", "2021-03-04T00:00:13"),
        ("2021-03-04 00:16:000", "2021-03-04T00:16"),
        ("2021-01-02T03:04:05", "NULL"),
        ("bad", "NULL"),
        ("", "NULL"),
        (" 2021-01-02", "NULL"),
        ("2021-01-02 03:04", "NULL"),
        ("2021-13-02", "NULL"),
        ("12345-01-02", "NULL"),
        ("2021-01-02 25:00:00", "NULL"),
        ("2021-01-02 03:04:05.1234567890", "NULL"),
    ] {
        assert_eq!(shows("TO_TIMESTAMP", &[said.into()]), expected, "{said}");
    }
    for (said, pattern, expected) in [
        ("20210102030405123", "yyyyMMddHHmmssSSS", "2021-01-02T03:04:05.123"),
        ("2021-01-02 03:04:05.1239", "yyyy-MM-dd HH:mm:ss.SSSS", "2021-01-02T03:04:05.123"),
        // What is not of the pattern is still read when it is as SQL has it.
        ("2021-01-02 10:20:30", "dd.MM.yyyy", "2021-01-02T10:20:30"),
        ("2021-02-30", "dd.MM.yyyy", "2021-03-02T00:00"),
        ("2021-02-31 25:00:00", "yyyy-MM-dd HH:mm:ss", "2021-03-04T01:00"),
        ("bad", "dd.MM.yyyy", "NULL"),
        ("2021-01-02", "jjj", "NULL"),
        ("2021-13-02", "yyyy-MM-dd", "NULL"),
        ("2021-13", "yyyy-MM", "NULL"),
        ("2021-02", "yyyy-MM", "2021-02-01T00:00"),
    ] {
        assert_eq!(shows("TO_TIMESTAMP", &[said.into(), pattern.into()]), expected, "{said} as {pattern}");
    }
    assert_eq!(shows("TO_TIMESTAMP", &[none()]), "NULL");
}

#[test]
fn moments() {
    let show = |arguments: &[Given]| shows("TO_TIMESTAMP_LTZ", arguments);
    let decimal = |number: i128| given(TypeRoot::Decimal(2, 1), ScalarValue::Decimal128(Some(number), 2, 1));
    assert_eq!(show(&[1_234_567_890_123i64.into(), 3.into()]), "2009-02-13T23:31:30.123");
    assert_eq!(show(&[1_234_567_890.into(), 0.into()]), "2009-02-13T23:31:30");
    assert_eq!(show(&[decimal(15), 0.into()]), "1970-01-01T00:00:01");
    assert_eq!(show(&[1.5.into(), 0.into()]), "1970-01-01T00:00:01.500");
    assert_eq!(show(&[100.into()]), "1970-01-01T00:00:00.100");
    assert_eq!(show(&[(-1).into()]), "1969-12-31T23:59:59.999");
    assert_eq!(show(&[i64::MAX.into(), 3.into()]), "NULL");
    assert_eq!(show(&[f64::MAX.into()]), "NULL");
    assert_eq!(show(&["2023-01-01 00:00:00".into()]), "2023-01-01T00:00");
    assert_eq!(show(&["2023-01-01".into(), "yyyy-MM-dd".into()]), "2023-01-01T00:00");
    let shanghai = ["2023-01-01 00:00:00".into(), "yyyy-MM-dd HH:mm:ss".into(), "Asia/Shanghai".into()];
    assert_eq!(show(&shanghai), "2022-12-31T16:00");
    assert_eq!(show(&["bad".into(), "yyyy-MM-dd".into()]), "NULL");
    assert_eq!(show(&["2023-01-01".into(), "yyyy-MM-dd".into(), Given::from("Nope").into_column()]), "NULL");
    let fails = |arguments: &[Given]| call(FUNCTIONS, "TO_TIMESTAMP_LTZ", arguments).unwrap_err();
    assert_eq!(
        fails(&[1.into(), 10.into()]),
        "Precision for TO_TIMESTAMP_LTZ must be between 0 and 9 but was 10."
    );
    assert!(fails(&[1.into(), Given::from(10).into_column()]).contains("from 0 to 9"));
    assert!(fails(&["bad".into()]).contains("no timestamp"));
    assert!(fails(&["2023-01-01".into(), "jj".into()]).contains("Unknown pattern letter"));
    assert!(
        fails(&["2023-01-01".into(), "yyyy-MM-dd".into(), "Nope/Zone".into()]).contains("Unknown time-zone")
    );
    assert!(fails(&[true.into()]).starts_with("expects"));
    let fine = ["2023-01-01 00:00:00.123456".into(), "yyyy-MM-dd HH:mm:ss.SSSSSS".into()];
    let (array, returns) = call_in(&context(), FUNCTIONS, "TO_TIMESTAMP_LTZ", &fine).unwrap();
    assert_eq!(returns, TypeRoot::TimestampLtz(6).nullable());
    assert_eq!(shown(&ScalarValue::try_from_array(&array, 0).unwrap()), "2023-01-01T00:00:00.123456");
    let (array, returns) =
        call_in(&context(), FUNCTIONS, "TO_TIMESTAMP_LTZ", &[7i64.into(), 9.into()]).unwrap();
    assert_eq!(returns, TypeRoot::TimestampLtz(9).nullable());
    assert_eq!(shown(&ScalarValue::try_from_array(&array, 0).unwrap()), "1970-01-01T00:00:00.000000007");
}

#[test]
fn dates_of_texts() {
    for (said, expected) in [
        ("2021-01-02", "2021-01-02"),
        ("2021-1-2", "2021-01-02"),
        ("2021", "2021-01-01"),
        ("2021-3", "2021-03-01"),
        ("2021-02-30", "NULL"),
        ("2021-04-31", "NULL"),
        ("2021-01-02 10:00:00", "2021-01-02"),
        ("bad", "NULL"),
        ("", "NULL"),
        ("-1", "NULL"),
        ("99999999999-01-01", "NULL"),
    ] {
        assert_eq!(shows("TO_DATE", &[said.into()]), expected, "{said}");
    }
    let by = |said: &str, pattern: &str| shows("TO_DATE", &[said.into(), pattern.into()]);
    assert_eq!(by("02.01.2021", "dd.MM.yyyy"), "2021-01-02");
    assert_eq!(by("32.01.2021", "dd.MM.yyyy"), "2021-02-01");
    assert_eq!(by("bad", "dd.MM.yyyy"), "5471-09-27");
    assert!(call(FUNCTIONS, "TO_DATE", &["bad".into(), "jj".into()]).is_err());
}

#[test]
fn seconds_since_1970() {
    let from = |arguments: &[Given]| text(FUNCTIONS, "FROM_UNIXTIME", arguments);
    assert_eq!(from(&[44.into()]).as_deref(), Some("1970-01-01 00:00:44"));
    assert_eq!(from(&[44.into(), "yyyy:MM:dd".into()]).as_deref(), Some("1970:01:01"));
    assert_eq!(from(&[(-100_000_000_000i64).into()]).as_deref(), Some("1200-02-26 14:13:20"));
    assert_eq!(from(&[44.into(), "HH:mm:ss.SSS Z".into()]).as_deref(), Some("00:00:44.000 +0000"));
    assert!(from(&[i64::MAX.into()]).is_some());
    assert_eq!(from(&[44.into(), none()]), None);
    assert!(call(FUNCTIONS, "FROM_UNIXTIME", &[44.0.into()]).is_err());
    assert!(call(FUNCTIONS, "FROM_UNIXTIME", &[44.into(), "jj".into()]).is_err());
    let to = |arguments: &[Given]| number(FUNCTIONS, "UNIX_TIMESTAMP", arguments);
    assert_eq!(to(&["2021-01-02 03:04:05".into()]), Some(1_609_556_645));
    assert_eq!(to(&["2021-01-02".into(), "yyyy-MM-dd".into()]), Some(1_609_545_600));
    assert_eq!(to(&["bad".into()]), Some(i64::MIN));
    assert_eq!(to(&["1970-01-01 08:00:00.001 +0800".into(), "yyyy-MM-dd HH:mm:ss.SSS X".into()]), Some(0));
    assert_eq!(to(&[none()]), None);
}

#[test]
fn zones() {
    let convert = |said: &str, from: &str, to: &str| {
        text(FUNCTIONS, "CONVERT_TZ", &[said.into(), from.into(), to.into()])
    };
    let start = "1970-01-01 00:00:00";
    assert_eq!(convert(start, "UTC", "America/Los_Angeles").as_deref(), Some("1969-12-31 16:00:00"));
    assert_eq!(convert(start, "UTC", "GMT+8").as_deref(), Some("1970-01-01 08:00:00"));
    assert_eq!(convert(start, "UTC", "Nope").as_deref(), Some(start));
    assert_eq!(convert(start, "UTC", "PST").as_deref(), Some("1969-12-31 16:00:00"));
    assert_eq!(convert("bad", "UTC", "UTC"), None);
    assert_eq!(text(FUNCTIONS, "CONVERT_TZ", &[none(), "UTC".into(), "UTC".into()]), None);
}
