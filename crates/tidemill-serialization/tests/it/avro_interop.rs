//! Files and records of another implementation, `fastavro`; `tests/avro/interop.py` makes them, and reads ours.

use std::path::PathBuf;

use tidemill_serialization::avro::apache_avro::{Days, Decimal, Duration, Millis, Months, Uuid};
use tidemill_serialization::avro::container::{Codec, ContainerReader, ContainerWriter};
use tidemill_serialization::avro::{AvroSchema, Resolution, Value, conform, decode_value, encode_value};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/avro").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

fn everything() -> AvroSchema {
    AvroSchema::parse(&text("everything.avsc")).unwrap()
}

fn nested(name: &str, inner: Value) -> Value {
    Value::Record(vec![("name".into(), Value::from(name)), ("inner".into(), inner)])
}

/// The same values as in the script.
fn values() -> Vec<Value> {
    let decimal = |digits: i64| Value::Decimal(Decimal::from(digits.to_be_bytes()));
    let micros = |i: i64| {
        // 2013-01-02T03:04:05.678901Z and the years after.
        let days = [15707i64, 16072, 16437][i as usize];
        ((days * 24 + 3) * 60 + 4) * 60_000_000 + 5_678_901
    };
    let record = |i: usize| {
        let n = i as i64;
        let choice = match i {
            0 => Value::Int(7),
            1 => Value::from("seven"),
            _ => nested("nested", Value::Null),
        };
        let inner = if i == 0 { Value::Null } else { nested("inner", Value::Null) };
        let id = (n as u128).wrapping_mul(0x1234_5678_90AB_CDEF_1234_5678_90AB_CDEF);
        let clock = (n * 60 + 2) * 60_000 + 3004;
        let fields: Vec<(&str, Value)> = vec![
            ("nothing", Value::Null),
            ("flag", Value::Boolean(i != 1)),
            ("small", Value::Int([0, i32::MIN, i32::MAX][i])),
            ("large", Value::Long([0, i64::MIN, i64::MAX][i])),
            ("single", Value::Float([0.0, -1.5, 3.25][i])),
            ("double", Value::Double([0.0, -1e300, 2.5e-300][i])),
            ("blob", Value::Bytes((0..i as u8 * 5).collect())),
            ("text", Value::from(["", "naïve café", "🚕 taxi"][i])),
            ("list", Value::Array((0..i as i32 * 70).map(Value::Int).collect())),
            ("map", Value::Map((0..n).map(|k| (format!("key {k}"), Value::Long(k))).collect())),
            ("optional", if i == 1 { Value::from("there") } else { Value::Null }),
            ("choice", choice),
            ("symbol", Value::from(["CASH", "CARD", "OTHER"][i])),
            ("fixed", Value::Fixed(4, vec![i as u8; 4])),
            ("nested", nested(&format!("outer {i}"), inner)),
            ("price", decimal([0, -1_234_567, 9_999_999_999][i])),
            ("price_fixed", decimal([0, -15_000, 1_234_567_890][i])),
            ("id", Value::Uuid(Uuid::from_u128(id))),
            ("day", Value::Date([0, -1, 20000][i])),
            ("time_ms", Value::TimeMillis(clock as i32)),
            ("time_us", Value::TimeMicros(clock * 1000 + 5)),
            ("at_ms", Value::TimestampMillis(micros(n).div_euclid(1000))),
            ("at_us", Value::TimestampMicros(micros(n))),
            ("local_ms", Value::LocalTimestampMillis(micros(n).div_euclid(1000))),
            ("local_us", Value::LocalTimestampMicros(micros(n))),
            ("at_ns", Value::TimestampNanos(1_700_000_000_123_456_789 + n)),
            (
                "span",
                Value::Duration(Duration::new(
                    Months::new(i as u32),
                    Days::new(i as u32 * 2),
                    Millis::new(i as u32 * 3),
                )),
            ),
        ];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
        conform(&everything(), Value::Record(fields.collect())).unwrap()
    };
    (0..3).map(record).collect()
}

fn unhex(line: &str) -> Vec<u8> {
    (0..line.len() / 2).map(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).unwrap()).collect()
}

#[test]
fn records_of_fastavro_are_read_and_written_byte_by_byte() {
    let schema = everything();
    let resolution = Resolution::of(&schema).unwrap();
    let lines = text("fastavro/records.hex");
    assert_eq!(lines.lines().count(), 3);
    for (line, expected) in lines.lines().zip(values()) {
        let bytes = unhex(line);
        assert_eq!(decode_value(&resolution, &bytes).unwrap(), expected);
        let mut ours = Vec::new();
        encode_value(&schema, &expected, &mut ours).unwrap();
        // Decimals as short as they can be; ours was made of eight bytes.
        let again = decode_value(&resolution, &ours).unwrap();
        assert_eq!(again, expected);
        let mut same = Vec::new();
        encode_value(&schema, &decode_value(&resolution, &bytes).unwrap(), &mut same).unwrap();
        assert_eq!(same, bytes);
    }
}

#[test]
fn files_of_fastavro_are_read_with_every_codec() {
    for codec in Codec::ALL {
        let file = file(&format!("fastavro/{}.avro", codec.name()));
        let reader = ContainerReader::open(&file[..]).unwrap();
        assert_eq!(reader.codec(), codec);
        assert_eq!(reader.schema().canonical_form(), everything().canonical_form());
        let mut reader = reader.values().unwrap();
        let mut read = Vec::new();
        loop {
            // Two at a time, so that a batch ends within the file.
            let batch = reader.next_batch(2).unwrap();
            if batch.is_empty() {
                break;
            }
            read.extend(batch);
        }
        assert_eq!(read, values(), "{codec:?}");
    }
}

#[test]
fn codecs_that_are_not_supported_are_named() {
    for name in ["bzip2", "xz"] {
        let file = file(&format!("fastavro/{name}.avro"));
        let error = ContainerReader::open(&file[..]).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("only: null, deflate, snappy, zstandard"), "{error}");
    }
}

#[test]
fn files_are_resolved_as_fastavro_does() {
    let reader = AvroSchema::parse(&text("evolved.avsc")).unwrap();
    // A branch and symbols are missing in the reader's, but met by no record of the file but by way of a default.
    let file = file("fastavro/null.avro");
    let mut values = ContainerReader::open(&file[..]).unwrap().values_as(&reader).unwrap();
    let read = values.next_batch(10).unwrap();
    let expected: Vec<serde_json::Value> =
        text("fastavro/evolved.json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let read: Vec<serde_json::Value> = read.into_iter().map(json).collect();
    assert_eq!(read, expected);
}

fn json(value: Value) -> serde_json::Value {
    match value {
        Value::Union(_, value) => json(*value),
        Value::Record(fields) => fields.into_iter().map(|(name, value)| (name, json(value))).collect(),
        Value::Map(values) => values.into_iter().map(|(name, value)| (name, json(value))).collect(),
        Value::Array(values) => values.into_iter().map(json).collect(),
        Value::Enum(_, symbol) => symbol.into(),
        other => serde_json::Value::try_from(other).unwrap(),
    }
}

/// Ours were read by fastavro: `tests/avro/expected.txt` is what it said.
#[test]
fn our_files_are_those_that_fastavro_reads() {
    let schema = everything();
    for codec in Codec::ALL {
        let mut writer = ContainerWriter::new(Vec::new(), &schema)
            .codec(codec)
            .sync_marker(*b"tidemill--marker")
            .block_bytes(600);
        writer = writer.metadata("made.by", b"tidemill").unwrap();
        values().into_iter().try_for_each(|value| writer.write_value(value)).unwrap();
        let ours = writer.finish().unwrap();
        let name = format!("ours/{}.avro", codec.name());
        if std::env::var_os("TIDEMILL_WRITE_AVRO").is_some() {
            std::fs::create_dir_all(path("ours")).unwrap();
            std::fs::write(path(&name), &ours).unwrap();
        }
        let stored = file(&name);
        // How well others compress may change with the release of a library.
        if matches!(codec, Codec::Null | Codec::Snappy) {
            assert!(stored == ours, "the bytes of {name} have changed");
        }
        let reader = ContainerReader::open(&stored[..]).unwrap();
        assert_eq!(reader.metadata("made.by"), Some(&b"tidemill"[..]));
        assert_eq!(reader.values().unwrap().next_batch(10).unwrap(), values());
    }
    let said = text("expected.txt");
    assert!(!said.contains("is not"), "{said}");
    assert_eq!(said.matches(": equal").count(), 27 * 3 * Codec::ALL.len());
}
