//! Encode, decode, round trip and bytes of a batch of records, in our formats and in others. One run, one table.
//! `cargo bench --manifest-path benchmarks/formats/Cargo.toml`

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use serde::de::DeserializeOwned;
use tidemill_format_benchmarks::{Cart, Order, OrderTuple, Sample, Wide, avro, generic, samples};
use tidemill_serialization::{Data, Input};

const RECORDS: usize = 1000;

/// What one format takes for one shape: nanoseconds a record, and bytes a record.
#[derive(Default, Clone, Copy)]
struct Row {
    encode: f64,
    decode: f64,
    round_trip: f64,
    bytes: f64,
}

struct Table {
    criterion: Criterion,
    rows: BTreeMap<(usize, &'static str), Vec<(String, Row)>>,
}

impl Table {
    /// Measures one format: `encode` appends all records, `decode` reads them all.
    fn format<T: PartialEq>(
        &mut self,
        shape: (usize, &'static str),
        name: &str,
        records: &[T],
        mut encode: impl FnMut(&[T], &mut Vec<u8>),
        mut decode: impl FnMut(&[u8]) -> Vec<T>,
    ) {
        let mut bytes = Vec::new();
        encode(records, &mut bytes);
        assert!(decode(&bytes) == records, "{name} does not give {} back", shape.1);
        let mut group = self.criterion.benchmark_group(format!("{}/{name}", shape.1));
        settings(&mut group);
        let mut out = Vec::with_capacity(bytes.len());
        group.bench_function("encode", |bencher| {
            bencher.iter(|| {
                out.clear();
                encode(black_box(records), &mut out);
                black_box(&out);
            });
        });
        group.bench_function("decode", |bencher| bencher.iter(|| black_box(decode(black_box(&bytes)))));
        group.bench_function("round trip", |bencher| {
            bencher.iter(|| {
                out.clear();
                encode(black_box(records), &mut out);
                black_box(decode(black_box(&out)))
            });
        });
        group.finish();
        let median = |what: &str| estimate(&[&format!("{}/{name}", shape.1), what]) / RECORDS as f64;
        let row = Row {
            encode: median("encode"),
            decode: median("decode"),
            round_trip: median("round trip"),
            bytes: bytes.len() as f64 / RECORDS as f64,
        };
        self.rows.entry(shape).or_default().push((name.to_owned(), row));
    }

    fn native<T: Data + PartialEq>(&mut self, shape: (usize, &'static str), name: &str, records: &[T]) {
        let encode = |records: &[T], out: &mut Vec<u8>| T::encode_slice(records, out);
        self.format(shape, name, records, encode, |bytes| {
            T::decode_vec(RECORDS, &mut Input::new(bytes)).expect("own bytes")
        });
    }

    fn others<T>(&mut self, shape: (usize, &'static str), records: &[T])
    where
        T: Sample + DeserializeOwned + bincode::Encode + bincode::Decode<()>,
        T: rkyv::Archive + for<'a> rkyv::Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, Error>>,
        T::Archived: for<'a> CheckBytes<HighValidator<'a, Error>> + rkyv::Deserialize<T, HighDeserializer<Error>>,
    {
        let config = bincode::config::standard();
        let fixed = config.with_fixed_int_encoding();
        self.format(
            shape,
            "bincode (varint)",
            records,
            |records, out| each(records, |record| bincode::encode_into_std_write(record, out, config).map(drop)),
            |mut bytes| {
                read(|| {
                    let (value, length) = bincode::decode_from_slice(bytes, config).expect("own bytes");
                    bytes = &bytes[length..];
                    value
                })
            },
        );
        self.format(
            shape,
            "bincode (fixed)",
            records,
            |records, out| each(records, |record| bincode::encode_into_std_write(record, out, fixed).map(drop)),
            |mut bytes| {
                read(|| {
                    let (value, length) = bincode::decode_from_slice(bytes, fixed).expect("own bytes");
                    bytes = &bytes[length..];
                    value
                })
            },
        );
        self.format(
            shape,
            "postcard",
            records,
            |records, out| {
                each(records, |record| {
                    *out = postcard::to_extend(record, std::mem::take(out))?;
                    Ok::<_, postcard::Error>(())
                });
            },
            |mut bytes| {
                read(|| {
                    let (value, rest) = postcard::take_from_bytes(bytes).expect("own bytes");
                    bytes = rest;
                    value
                })
            },
        );
        // rkyv writes a whole archive at a time, so it gets the whole batch; reading checks it and makes owned values.
        let archive = |records: &[T]| {
            let mut whole = AlignedVec::<16>::new();
            for record in records {
                let one = rkyv::to_bytes::<Error>(record).expect("an archive");
                whole.extend_from_slice(&(one.len() as u64).to_le_bytes());
                whole.extend_from_slice(&[0; 8]);
                whole.extend_from_slice(&one);
                whole.resize(whole.len().next_multiple_of(16), 0);
            }
            whole
        };
        self.format(
            shape,
            "rkyv (a record)",
            records,
            |records, out| out.extend_from_slice(&archive(records)),
            |bytes| {
                let mut aligned = AlignedVec::<16>::with_capacity(bytes.len());
                aligned.extend_from_slice(bytes);
                let mut place = 0;
                read(|| {
                    let length = u64::from_le_bytes(aligned[place..place + 8].try_into().expect("8 bytes")) as usize;
                    let one = &aligned[place + 16..place + 16 + length];
                    place = (place + 16 + length).next_multiple_of(16);
                    rkyv::from_bytes::<T, Error>(one).expect("own bytes")
                })
            },
        );
        self.format(
            shape,
            "serde_json",
            records,
            |records, out| each(records, |record| serde_json::to_writer(&mut *out, record)),
            |bytes| {
                serde_json::Deserializer::from_slice(bytes)
                    .into_iter()
                    .collect::<Result<Vec<T>, _>>()
                    .expect("own bytes")
            },
        );
    }

    fn shape<T>(&mut self, shape: (usize, &'static str))
    where
        T: Sample + DeserializeOwned + bincode::Encode + bincode::Decode<()>,
        T: rkyv::Archive + for<'a> rkyv::Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, Error>>,
        T::Archived: for<'a> CheckBytes<HighValidator<'a, Error>> + rkyv::Deserialize<T, HighDeserializer<Error>>,
    {
        let records = samples::<T>(RECORDS);
        self.native(shape, RECORD, &records);
        self.native(shape, "Avro", &avro(&records));
        self.native(shape, "Generic", &generic(&records));
        self.others(shape, &records);
    }

    fn print(&self) {
        for ((_, shape), rows) in &self.rows {
            let best = |of: fn(&Row) -> f64| {
                let others = rows.iter().filter(|(name, _)| !OURS.contains(&name.as_str()));
                others.map(|(_, row)| of(row)).fold(f64::INFINITY, f64::min)
            };
            let columns: [fn(&Row) -> f64; 4] =
                [|row| row.encode, |row| row.decode, |row| row.round_trip, |row| row.bytes];
            println!("\n{shape}: nanoseconds and bytes a record (× the best of the others)");
            println!("{:<18}{:>18}{:>18}{:>18}{:>18}", "", "encode", "decode", "round trip", "bytes");
            for (name, row) in rows {
                print!("{name:<18}");
                for column in columns {
                    print!("{:>18}", format!("{:.1} ({:.2})", column(row), column(row) / best(column)));
                }
                println!();
            }
            let row = |name: &str| rows.iter().find(|(other, _)| other == name).map(|(_, row)| *row);
            if let (Some(record), Some(generic)) = (row(RECORD), row("Generic")) {
                println!(
                    "the generic fallback takes {:.1} × the time of a record to encode, {:.1} × to decode, and {:.1} × the bytes",
                    generic.encode / record.encode,
                    generic.decode / record.decode,
                    generic.bytes / record.bytes
                );
            }
        }
    }
}

const RECORD: &str = "Record";
const OURS: [&str; 4] = ["native tuple", RECORD, "Generic", "Avro"];

fn settings(group: &mut BenchmarkGroup<'_, WallTime>) {
    group
        .throughput(Throughput::Elements(RECORDS as u64))
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
}

fn each<T, E: std::fmt::Debug>(records: &[T], mut encode: impl FnMut(&T) -> Result<(), E>) {
    records.iter().for_each(|record| encode(record).expect("a writer that takes everything"));
}

fn read<T>(mut next: impl FnMut() -> T) -> Vec<T> {
    let mut values = Vec::with_capacity(RECORDS);
    for _ in 0..RECORDS {
        values.push(next());
    }
    values
}

/// The median that criterion has written down, in nanoseconds.
fn estimate(path: &[&str]) -> f64 {
    let mut file = target().join("criterion");
    file.extend(path.iter().map(|part| part.replace('/', "_")));
    let text = std::fs::read(file.join("new/estimates.json")).expect("criterion's estimates");
    let estimates: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    estimates["median"]["point_estimate"].as_f64().expect("a median")
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from)
}

fn main() {
    let criterion = Criterion::default().configure_from_args();
    let mut table = Table { criterion, rows: BTreeMap::new() };
    let order = (0, "order event");
    let tuples: Vec<OrderTuple> =
        samples::<Order>(RECORDS).into_iter().map(|order| (order.customer, order.time, order.amount)).collect();
    table.native(order, "native tuple", &tuples);
    table.shape::<Order>(order);
    table.shape::<Wide>((1, "wide record"));
    table.shape::<Cart>((2, "nested record"));
    table.print();
}

