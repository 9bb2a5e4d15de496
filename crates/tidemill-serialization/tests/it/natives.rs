//! Dates, times and decimal numbers.

use proptest::prelude::*;
use tidemill_core::Classified;
use tidemill_serialization::{
    ArrowRecord, Compatibility, Date, Decimal, Record, RoutingHash, Schema, TimeOfDay, TimestampMicros,
    TimestampMs,
};

use crate::records::*;

#[derive(Record, Clone, Debug, PartialEq)]
#[record(arrow)]
struct Row {
    day: Date,
    time: TimeOfDay,
    ms: TimestampMs,
    micros: Option<TimestampMicros>,
    price: Decimal<12, 3>,
    tax: Option<Decimal<38, 0>>,
}

proptest! {
    #[test]
    fn rows_come_back_from_bytes_and_columns(
        values in prop::collection::vec((any::<i32>(), any::<i64>(), -999_999_999_999i128..1_000_000_000_000, any::<bool>()), 0..20)
    ) {
        let rows: Vec<Row> = values
            .into_iter()
            .map(|(day, time, price, some)| Row {
                day: Date(day),
                time: TimeOfDay(time),
                ms: TimestampMs(time),
                micros: some.then_some(TimestampMicros(time)),
                price: Decimal::new(price).unwrap(),
                tax: (!some).then(|| Decimal::new(price * price).unwrap()),
            })
            .collect();
        prop_assert_eq!(&decoded::<Vec<Row>>(&encoded(&rows)).unwrap(), &rows);
        prop_assert_eq!(&Row::from_arrow(&Row::to_arrow(&rows).unwrap(), 0..rows.len()).unwrap(), &rows);
    }

    #[test]
    fn decimals_come_back_from_text(unscaled in -9_999_999_999i128..10_000_000_000) {
        let value = Decimal::<10, 4>::new(unscaled).unwrap();
        prop_assert_eq!(value.to_string().parse::<Decimal<10, 4>>().unwrap(), value);
        prop_assert_eq!(value.to_string().parse::<f64>().unwrap(), unscaled as f64 / 10_000.0);
    }
}

#[test]
fn decimals_are_exact_or_refused() {
    let parse = |text: &str| text.parse::<Decimal<5, 2>>().map(|value| value.to_string());
    for (text, shown) in [
        ("0", "0.00"),
        ("-0.5", "-0.50"),
        ("+.07", "0.07"),
        ("12.", "12.00"),
        ("999.99", "999.99"),
        ("1.2300", "1.23"),
        ("000123", "123.00"),
    ] {
        assert_eq!(parse(text).unwrap(), shown);
    }
    for (text, code) in [
        ("1000", "TM-SERIALIZATION-DECIMAL-RANGE"),
        ("1.234", "TM-SERIALIZATION-DECIMAL-RANGE"),
        (&"9".repeat(60), "TM-SERIALIZATION-DECIMAL-RANGE"),
        ("", "TM-SERIALIZATION-DECIMAL-SYNTAX"),
        (".", "TM-SERIALIZATION-DECIMAL-SYNTAX"),
        ("1e3", "TM-SERIALIZATION-DECIMAL-SYNTAX"),
        ("--1", "TM-SERIALIZATION-DECIMAL-SYNTAX"),
        ("1.2.3", "TM-SERIALIZATION-DECIMAL-SYNTAX"),
    ] {
        assert_eq!(parse(text).unwrap_err().code(), code, "{text}");
    }
    assert_eq!(
        format!("{:>8}|{:+}", "1.5".parse::<Decimal<5, 2>>().unwrap(), Decimal::<3, 0>::new(7).unwrap()),
        "    1.50|+7"
    );
    let most = Decimal::<3, 0>::new(999).unwrap();
    assert_eq!(most.checked_add(Decimal::new(1).unwrap()), None);
    assert_eq!(most.checked_sub(most), Some(Decimal::default()));
    assert_eq!(Decimal::<38, 38>::new(i128::MAX).unwrap_err().code(), "TM-SERIALIZATION-DECIMAL-RANGE");
    // More digits than the type has, in bytes.
    let error = decoded::<Decimal<2, 1>>(&100i128.to_le_bytes()).unwrap_err().to_string();
    assert_eq!(error, "the bytes are no Decimal: 100 does not fit DECIMAL(2, 1)");
}

#[test]
fn golden_bytes_and_hashes() {
    assert_eq!(encoded(&Date(-1)), [0xff; 4]);
    assert_eq!(encoded(&TimestampMs(1)), [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(encoded(&TimestampMicros(1)), [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(encoded(&TimeOfDay(258)), [2, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(encoded(&"0.2".parse::<Decimal<2, 1>>().unwrap())[..2], [2, 0]);
    // As a record with one field, which these were before.
    assert_eq!(TimestampMs(5).routing_hash(), (5i64,).routing_hash());
    assert_eq!(Date(5).routing_hash(), (5i32,).routing_hash());
}

#[test]
fn people_can_read_them() {
    assert_eq!(TimeOfDay(86_399_999_999).to_string(), "23:59:59.999999");
    assert_eq!(TimeOfDay(60_000_000).to_string(), "00:01:00");
    assert_eq!(TimestampMicros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
    assert_eq!(TimestampMicros(1_357_034_400_000_001).to_string(), "2013-01-01T10:00:00.000001Z");
}

#[test]
fn decimals_get_more_digits_and_no_other_scale() {
    let from = Schema::of::<Decimal<5, 2>>();
    assert!(matches!(Schema::of::<Decimal<9, 2>>().read_from(&from), Compatibility::AsIs));
    assert!(matches!(Schema::of::<Decimal<4, 2>>().read_from(&from), Compatibility::Incompatible(_)));
    assert!(matches!(Schema::of::<Decimal<9, 3>>().read_from(&from), Compatibility::Incompatible(_)));
    assert!(matches!(
        Schema::of::<TimestampMicros>().read_from(&Schema::of::<TimestampMs>()),
        Compatibility::Incompatible(_)
    ));
    assert!(matches!(
        Schema::of::<Option<TimestampMs>>().read_from(&Schema::of::<TimestampMs>()),
        Compatibility::AfterMigration(_)
    ));
}
