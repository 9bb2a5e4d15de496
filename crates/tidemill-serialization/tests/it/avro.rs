//! Types with an Avro schema, and generic values: their bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use tidemill_core::Classified;
use tidemill_core::element::Element;
use tidemill_serialization::avro::container::ContainerWriter;
use tidemill_serialization::avro::logical::{
    AvroDecimal, AvroDuration, AvroUuid, LocalTimestampMicros, LocalTimestampMillis, LocalTimestampNanos,
    TimeMicros, TimeMillis, TimestampMicros, TimestampNanos,
};
use tidemill_serialization::avro::{
    self, Avro, AvroError, AvroRecord, AvroSchema, AvroType, AvroValue, Resolution, RuntimeSchema, Value,
    WorkedOut, conform, decode_value, encode_value, schema_of,
};
use tidemill_serialization::{Data, Date, Input, TimestampMs};

#[derive(AvroRecord, Clone, Debug, PartialEq)]
#[avro(namespace = "shop")]
pub(crate) struct Order {
    id: String,
    at: TimestampMs,
    price: AvroDecimal<12, 2>,
    lines: Vec<Line>,
    payment: Payment,
    delivery: Delivery,
    tags: BTreeMap<String, i32>,
    notes: HashMap<String, bool>,
    #[avro(name = "hash_code")]
    hash: [u8; 4],
    raw: Vec<u8>,
    parent: Option<Box<Order>>,
}

#[derive(AvroRecord, Clone, Debug, PartialEq)]
struct Line {
    product: Arc<str>,
    #[avro(default = 1)]
    pieces: u32,
    weight: f32,
    size: (),
}

#[derive(AvroRecord, Clone, Copy, Debug, PartialEq)]
enum Payment {
    Cash,
    Card,
    #[avro(default)]
    Other,
}

/// How it gets there.
#[derive(AvroRecord, Clone, Debug, PartialEq)]
enum Delivery {
    Collected,
    Sent {
        to: String,
        on: Date,
    },
    #[avro(name = "Handed")]
    Given(String, i64),
    Dropped(Line),
    Thrown(f64),
}

#[derive(AvroRecord, Clone, Debug, PartialEq)]
struct Times {
    time_millis: TimeMillis,
    time_micros: TimeMicros,
    micros: TimestampMicros,
    nanos: TimestampNanos,
    local_millis: LocalTimestampMillis,
    local_micros: LocalTimestampMicros,
    local_nanos: LocalTimestampNanos,
    span: AvroDuration,
    id: AvroUuid,
    small: Small,
}

#[derive(AvroRecord, Clone, Debug, PartialEq)]
struct Small(i8, i16, u16);

fn line() -> impl Strategy<Value = Line> {
    (any::<String>(), any::<u32>(), -1e30f32..1e30).prop_map(|(product, pieces, weight)| Line {
        product: product.into(),
        pieces,
        weight,
        size: (),
    })
}

fn delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![
        Just(Delivery::Collected),
        (any::<String>(), any::<i32>()).prop_map(|(to, day)| Delivery::Sent { to, on: Date(day) }),
        (any::<String>(), any::<i64>()).prop_map(|(to, number)| Delivery::Given(to, number)),
        line().prop_map(Delivery::Dropped),
        (-1e300..1e300).prop_map(Delivery::Thrown),
    ]
}

pub(crate) fn order() -> impl Strategy<Value = Order> {
    let scalars = (any::<String>(), any::<i64>(), -999_999_999_999i128..=999_999_999_999);
    let payment = prop_oneof![Just(Payment::Cash), Just(Payment::Card), Just(Payment::Other)];
    let parts = (
        proptest::collection::vec(line(), 0..4),
        payment,
        delivery(),
        any::<BTreeMap<String, i32>>(),
        any::<HashMap<String, bool>>(),
        any::<[u8; 4]>(),
        any::<Vec<u8>>(),
    );
    let leaf =
        (scalars, parts).prop_map(|((id, at, price), (lines, payment, delivery, tags, notes, hash, raw))| {
            let price = AvroDecimal::new(price).unwrap();
            let at = TimestampMs(at);
            Order { id, at, price, lines, payment, delivery, tags, notes, hash, raw, parent: None }
        });
    leaf.prop_recursive(4, 4, 1, |inner| {
        (inner.clone(), inner).prop_map(|(mut order, parent)| {
            order.parent = Some(Box::new(parent));
            order
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn types_come_back(order in order()) {
        let bytes = avro::encode(&order);
        prop_assert_eq!(bytes.len(), order.encoded_bytes());
        prop_assert_eq!(&avro::decode::<Order>(&bytes).unwrap(), &order);

        let wrapped = Avro(order);
        let mut bytes = Vec::new();
        wrapped.encode(&mut bytes);
        prop_assert_eq!(bytes.len(), wrapped.logical_bytes());
        prop_assert_eq!(Avro::<Order>::decode(&mut Input::new(&bytes)).unwrap(), wrapped);
    }

    /// Read as generic values and written again, the bytes are the same.
    #[test]
    fn generic_values_are_the_same_bytes(order in order()) {
        let schema = schema_of::<Order>().unwrap();
        let bytes = avro::encode(&order);
        let value = decode_value(&Resolution::of(&schema).unwrap(), &bytes).unwrap();
        let mut again = Vec::new();
        encode_value(&schema, &value, &mut again).unwrap();
        prop_assert_eq!(&again, &bytes);
        prop_assert_eq!(&conform(&schema, value.clone()).unwrap(), &value);
    }

    #[test]
    fn logical_types_come_back(millis: i32, micros: i64, nanos: i64, months: u32, id: u128) {
        let times = Times {
            time_millis: TimeMillis(millis),
            time_micros: TimeMicros(micros),
            micros: TimestampMicros(nanos),
            nanos: TimestampNanos(micros),
            local_millis: LocalTimestampMillis(nanos),
            local_micros: LocalTimestampMicros(micros),
            local_nanos: LocalTimestampNanos(nanos),
            span: AvroDuration { months, days: months.rotate_left(7), millis: months.rotate_left(17) },
            id: AvroUuid(avro::apache_avro::Uuid::from_u128(id)),
            small: Small(millis as i8, millis as i16, millis as u16),
        };
        let bytes = avro::encode(&times);
        prop_assert_eq!(bytes.len(), times.encoded_bytes());
        prop_assert_eq!(avro::decode::<Times>(&bytes).unwrap(), times);
    }

    #[test]
    fn decimals_come_back(digits in -99_999_999_999_999_999_999_999_999_999_999_999_999i128..=99_999_999_999_999_999_999_999_999_999_999_999_999) {
        #[derive(AvroRecord, Debug, PartialEq)]
        struct Large {
            number: AvroDecimal<38, 10>,
        }
        let large = Large { number: AvroDecimal::new(digits).unwrap() };
        let bytes = avro::encode(&large);
        prop_assert_eq!(bytes.len(), large.encoded_bytes());
        prop_assert_eq!(avro::decode::<Large>(&bytes).unwrap(), large);
    }
}

#[test]
fn the_bytes_are_those_of_the_specification() {
    let order = Order {
        id: "a".into(),
        at: TimestampMs(-2),
        price: AvroDecimal::new(-128).unwrap(),
        lines: vec![Line { product: "b".into(), pieces: 3, weight: 1.0, size: () }],
        payment: Payment::Card,
        delivery: Delivery::Sent { to: "c".into(), on: Date(1) },
        tags: BTreeMap::from([("k".into(), 64)]),
        notes: HashMap::from([("z".into(), true), ("a".into(), false)]),
        hash: [1, 2, 3, 4],
        raw: vec![0xff],
        parent: None,
    };
    let expected: &[u8] = &[
        2, b'a', 3, 2, 0x80, // id, at, price
        2, 2, b'b', 6, 0, 0, 0x80, 0x3f, 0, // lines
        2, 2, 2, b'c', 2, // payment, delivery
        2, 2, b'k', 0x80, 1, 0, // tags
        4, 2, b'a', 0, 2, b'z', 1, 0, // notes, in the order of their keys
        1, 2, 3, 4, 2, 0xff, 0, // hash, raw, parent
    ];
    assert_eq!(avro::encode(&order), expected);
    assert_eq!(avro::decode::<Order>(expected).unwrap(), order);

    // On an edge and in state: behind their length.
    let mut bytes = Vec::new();
    Avro(Payment::Other).encode(&mut bytes);
    assert_eq!(bytes, [1, 4]);
}

#[test]
fn schemas_are_as_declared() {
    let schema = schema_of::<Order>().unwrap();
    let expected = concat!(
        r#"{"name":"shop.Order","type":"record","fields":[{"name":"id","type":"string"},{"name":"at","type":"long"},"#,
        r#"{"name":"price","type":"bytes"},{"name":"lines","type":{"type":"array","items":{"name":"shop.Line","#,
        r#""type":"record","fields":[{"name":"product","type":"string"},{"name":"pieces","type":"long"},"#,
        r#"{"name":"weight","type":"float"},{"name":"size","type":"null"}]}}},{"name":"payment","type":{"name":"#,
        r#""shop.Payment","type":"enum","symbols":["Cash","Card","Other"]}},{"name":"delivery","type":["#,
        r#"{"name":"shop.Collected","type":"record","fields":[]},{"name":"shop.Sent","type":"record","fields":["#,
        r#"{"name":"to","type":"string"},{"name":"on","type":"int"}]},{"name":"shop.Handed","type":"record","fields":["#,
        r#"{"name":"field0","type":"string"},{"name":"field1","type":"long"}]},"shop.Line","double"]},"#,
        r#"{"name":"tags","type":{"type":"map","values":"int"}},{"name":"notes","type":{"type":"map","values":"boolean"}},"#,
        r#"{"name":"hash_code","type":{"name":"shop.fixed4","type":"fixed","size":4}},{"name":"raw","type":"bytes"},"#,
        r#"{"name":"parent","type":["null","shop.Order"]}]}"#,
    );
    assert_eq!(schema.canonical_form(), expected);
    let json: serde_json::Value = serde_json::from_str(schema.json()).unwrap();
    assert_eq!(json["fields"][3]["type"]["items"]["fields"][1]["default"], 1);
    assert_eq!(json["fields"][2]["type"]["logicalType"], "decimal");
    assert_eq!(json["fields"][4]["type"]["default"], "Other");
    assert_eq!(json["fields"][10]["default"], serde_json::Value::Null);
    assert_eq!(AvroSchema::parse(schema.json()).unwrap(), schema);

    // Where there are no logical types, which the library leaves traces of, it is that of the library.
    let plain = schema_of::<Line>().unwrap();
    let library = avro::apache_avro::Schema::parse_str(plain.json()).unwrap();
    assert_eq!(library.canonical_form(), plain.canonical_form());
}

#[test]
fn types_without_a_schema_say_why() {
    #[derive(AvroRecord, Clone)]
    struct Optional {
        #[allow(dead_code)]
        delivery: Option<Delivery>,
    }
    let error = schema_of::<Optional>().unwrap_err();
    assert_eq!(error.code(), "TM-AVRO-SCHEMA");
    assert!(error.to_string().contains("Option<Delivery> would be a union within a union"), "{error}");

    mod other {
        use super::*;

        #[derive(AvroRecord, Clone)]
        pub(super) struct Line {
            pub(super) length: f64,
        }
    }
    #[derive(AvroRecord, Clone)]
    struct Both {
        first: Line,
        second: other::Line,
    }
    let error = schema_of::<Both>().unwrap_err().to_string();
    assert!(error.contains("two types in it are called Line"), "{error}");
    // Its records cannot be read; that the job does not start is seen to by its schema.
    let both = Both {
        first: Line { product: "".into(), pieces: 0, weight: 0.0, size: () },
        second: other::Line { length: 1.0 },
    };
    let mut bytes = Vec::new();
    Avro(both).encode(&mut bytes);
    assert!(Avro::<Both>::decode(&mut Input::new(&bytes)).is_err());

    #[derive(AvroRecord, Clone, Default)]
    struct Endless {
        #[avro(default)]
        next: Vec<Endless>,
        #[avro(default)]
        number: f64,
    }
    let error = schema_of::<Endless>().unwrap_err().to_string();
    assert!(error.contains("is of that type"), "{error}");
    drop(Endless::default());
}

struct Trips;

impl RuntimeSchema for Trips {
    const NAME: &'static str = "trips";

    fn load() -> Result<AvroSchema, AvroError> {
        AvroSchema::parse(
            r#"{"type": "record", "name": "Trip", "fields": [
                {"name": "distance", "type": "double"},
                {"name": "day", "type": {"type": "int", "logicalType": "date"}, "default": 7},
                {"name": "borough", "type": ["null", "string"], "default": null},
                {"name": "stops", "type": {"type": "array", "items": {"type": "record", "name": "Stop", "fields": [
                    {"name": "minutes", "type": "int", "default": 5}]}}, "default": [{}]}
            ]}"#,
        )
    }

    fn cell() -> &'static OnceLock<WorkedOut> {
        static CELL: OnceLock<WorkedOut> = OnceLock::new();
        &CELL
    }
}

#[test]
fn generic_values_cross_edges() {
    let trip = AvroValue::<Trips>::record([("borough", Value::from("Queens")), ("distance", Value::Int(3))])
        .unwrap();
    assert_eq!(trip.get("distance").unwrap(), &Value::Double(3.0));
    assert_eq!(trip.get("borough").unwrap(), &Value::from("Queens"));
    assert_eq!(trip.get("day").unwrap(), &Value::Date(7));
    let stops = Value::Array(vec![Value::Record(vec![("minutes".into(), Value::Int(5))])]);
    assert_eq!(trip.get("stops").unwrap(), &stops);

    let mut bytes = Vec::new();
    trip.encode(&mut bytes);
    assert_eq!(bytes.len(), trip.logical_bytes());
    assert_eq!(AvroValue::<Trips>::decode(&mut Input::new(&bytes)).unwrap(), trip);

    let trip = trip.with("borough", Value::Null).unwrap().with("distance", 2.5).unwrap();
    assert_eq!(trip.get("borough").unwrap(), &Value::Null);
    assert_eq!(trip.get("distance").unwrap(), &Value::Double(2.5));
}

#[test]
fn generic_values_that_do_not_fit_say_where_and_why() {
    let wrong = |fields: Vec<(&str, Value)>| AvroValue::<Trips>::record(fields).unwrap_err().to_string();
    assert_eq!(wrong(vec![]), "Trip.distance: it is missing, and has no default");
    assert_eq!(
        wrong(vec![("distance", Value::from("far"))]),
        "Trip.distance: double was expected, this is the string \"far\""
    );
    assert_eq!(
        wrong(vec![("fare", Value::Int(1))]),
        "Trip: Trip has no field \"fare\", only: distance, day, borough, stops"
    );
    let stops =
        Value::Array(vec![Value::Record(vec![]), Value::Record(vec![("minutes".into(), Value::Null)])]);
    assert_eq!(
        wrong(vec![("distance", Value::Double(1.0)), ("stops", stops)]),
        "Trip.stops[1].minutes: int was expected, this is null"
    );
    let trip = AvroValue::<Trips>::record([("distance", Value::Double(1.0))]).unwrap();
    assert_eq!(trip.get("Distance").unwrap_err().code(), "TM-AVRO-VALUE");
    assert!(trip.with("distance", Value::Null).is_err());
}

/// What the library makes of `serde` types can be written, and the other way round.
#[test]
fn serde_types_can_be_used_by_way_of_values() {
    #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
    struct Trip {
        distance: f64,
        borough: Option<String>,
    }
    let trip = Trip { distance: 2.0, borough: Some("Queens".into()) };
    let value = AvroValue::<Trips>::new(avro::apache_avro::to_value(&trip).unwrap()).unwrap();
    assert_eq!(value.get("borough").unwrap(), &Value::from("Queens"));
    assert_eq!(avro::apache_avro::from_value::<Trip>(value.value()).unwrap(), trip);
}

#[test]
fn defaults_that_would_become_another_variant_are_refused() {
    #[derive(AvroRecord, Clone, Debug, PartialEq)]
    enum Number {
        Whole(i64),
        Part(f64),
        Named { name: String },
        Called { name: String },
    }
    macro_rules! with_default {
        ($default:expr) => {{
            #[derive(AvroRecord, Clone)]
            struct Holder {
                #[avro(default = $default)]
                #[allow(dead_code)]
                number: Number,
            }
            schema_of::<Holder>()
        }};
    }
    assert!(with_default!(Number::Whole(5)).is_ok());
    assert!(with_default!(Number::Part(5.5)).is_ok());
    assert!(with_default!(Number::Named { name: "x".into() }).is_ok());
    for (schema, json) in [
        (with_default!(Number::Part(5.0)), "5.0"),
        (with_default!(Number::Called { name: "x".into() }), r#"{"name":"x"}"#),
    ] {
        let error = schema.unwrap_err().to_string();
        assert!(error.contains("would be read as another variant") && error.contains(json), "{error}");
    }
    drop([Number::Whole(1), Number::Part(0.5)]);
}

#[test]
fn files_hold_what_means_the_same() {
    mod millis {
        use super::*;

        #[derive(AvroRecord, Clone)]
        pub(super) struct Visit {
            pub(super) at: TimestampMs,
        }
    }
    mod micros {
        use super::*;

        #[derive(AvroRecord, Clone)]
        pub(super) struct Visit {
            pub(super) at: TimestampMicros,
        }
    }
    let schema = schema_of::<millis::Visit>().unwrap();
    let mut writer = ContainerWriter::new(Vec::new(), &schema);
    writer.write(&millis::Visit { at: TimestampMs(1) }).unwrap();
    let error = writer.write(&micros::Visit { at: TimestampMicros(1) }).unwrap_err().to_string();
    assert!(error.contains("has other logical types"), "{error}");
    assert!(writer.write(&7i64).unwrap_err().to_string().contains("a long cannot be added"));
    // What it is called before, and what stands for what is missing, are no matter.
    let aliased =
        schema.json().replace("\"name\":\"at\"", "\"name\":\"at\",\"aliases\":[\"when\"],\"default\":0");
    assert_ne!(aliased, schema.json());
    let mut writer = ContainerWriter::new(Vec::new(), &AvroSchema::parse(&aliased).unwrap());
    writer.write(&millis::Visit { at: TimestampMs(1) }).unwrap();
}
