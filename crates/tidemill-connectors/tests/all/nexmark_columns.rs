//! The events of Nexmark as columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray};
use arrow_schema::{DataType, Field, Schema};
use proptest::prelude::*;
use tidemill_connectors::{CollectRowsSink, NexmarkColumns, NexmarkKind, NexmarkSettings};
use tidemill_core::{ArrowBatch, Batch};
use tidemill_runtime::OperatorFactory;
use tidemill_runtime::source::{ReaderStatus, Source, SourceOutput, SplitAssignment};
use tidemill_serialization::TimestampMs;

use crate::harness::{SinkDriver, SourceDriver, context, read_all};

const KINDS: [NexmarkKind; 3] = [NexmarkKind::Person, NexmarkKind::Auction, NexmarkKind::Bid];

/// Every field that there is.
fn paths() -> Vec<String> {
    let mut paths = vec!["event_type".to_owned()];
    for field in &NexmarkColumns::full_schema().fields()[1..] {
        let DataType::Struct(fields) = field.data_type() else { panic!("{field} is a row") };
        paths.extend(fields.iter().map(|inner| format!("{}.{}", field.name(), inner.name())));
    }
    paths
}

fn by_path(rows: &RecordBatch, path: &str) -> ArrayRef {
    match path.split_once('.') {
        None => Arc::clone(rows.column_by_name(path).unwrap()),
        Some((column, field)) => {
            Arc::clone(rows.column_by_name(column).unwrap().as_struct().column_by_name(field).unwrap())
        }
    }
}

fn longs<'a>(rows: &'a StructArray, field: &str) -> &'a [i64] {
    rows.column_by_name(field).unwrap().as_primitive::<Int64Type>().values()
}

fn texts(rows: Vec<RecordBatch>) -> Vec<String> {
    let sink = CollectRowsSink::new();
    let mut collect = SinkDriver::new(sink.create(0).unwrap(), 0, 1);
    for rows in rows {
        collect.write(Batch::new(ArrowBatch::inserts(rows))).unwrap();
    }
    sink.results().texts()
}

fn of_kind(rows: &RecordBatch, kind: NexmarkKind) -> StructArray {
    let name = ["person", "auction", "bid"][kind.event_type() as usize];
    rows.column_by_name(name).unwrap().as_struct().clone()
}

#[test]
fn the_columns_are_those_of_flinks_connector() {
    let bid = NexmarkColumns::full_schema().field_with_name("bid").unwrap().data_type().clone();
    let DataType::Struct(bid) = bid else { panic!("a bid is a row") };
    let bid: Vec<&str> = bid.iter().map(|field| field.name().as_str()).collect();
    assert_eq!(bid, ["auction", "bidder", "price", "channel", "url", "dateTime", "extra"]);
    assert_eq!(paths().len(), 1 + 8 + 10 + 7);
}

/// What events are must never change, or the results of queries would.
#[test]
fn events_are_what_they_were() {
    let all = NexmarkColumns::bounded(20_000);
    let short: Vec<String> = paths().into_iter().filter(|path| !path.ends_with("extra")).collect();
    let short: Vec<&str> = short.iter().map(String::as_str).collect();
    let rows = all.clone().project_paths(&short).unwrap().rows(10_050, 5).unwrap();
    let shown = texts(vec![rows.slice(0, 2), rows.slice(4, 1)]);
    let expected = [
        "+I[0, +I[1201, Sarah Spencer, vdjiy@sphn.com, 0869 2224 6079 6284, Bend, OR, \
         2026-01-01T00:00:01.005], null, null]",
        "+I[1, null, +I[1603, pxb hk, f obs pfjrb wetlb  jotkxxijtbf e yjvcclydqzamnxp qa xmztgeetpa \
         mnmpwnvfwdu gdqzivr xrp, 696970, 39075044, 2026-01-01T00:00:01.005, 2026-01-01T00:00:01.253, \
         1046, 13], null]",
        "+I[2, null, null, +I[1591, 1201, 7779416, channel-6821, \
         https://www.nexmark.com/cay/se_/jcgp/item.htm?query=1, 2026-01-01T00:00:01.005]]",
    ];
    assert_eq!(shown, expected);
    let text = texts(vec![all.rows(0, 20_000).unwrap()]).join("\n");
    assert_eq!(tidemill_core::hash::bytes(text.as_bytes()), 658_988_161_876_633_131);
}

#[test]
fn each_row_has_one_event() {
    let rows = NexmarkColumns::bounded(u64::MAX - 1).rows(1_000_025, 1000).unwrap();
    let types = rows.column(0).as_primitive::<Int32Type>();
    assert_eq!(types.null_count(), 0);
    for (row, kind) in types.values().iter().enumerate() {
        for column in KINDS {
            let events = of_kind(&rows, column);
            let expected = column.event_type() != *kind;
            assert_eq!(events.is_null(row), expected);
            assert!(events.columns().iter().all(|field| field.is_null(row) == expected));
        }
    }
    let count = |kind: i32| types.values().iter().filter(|value| **value == kind).count();
    assert_eq!((count(0), count(1), count(2)), (20, 60, 920));
}

#[test]
fn hot_ones_have_their_share_and_others_exist() {
    let source = NexmarkColumns::bounded(1_000_000);
    let bids = source.clone().only(NexmarkKind::Bid).rows(500_000, 200_000).unwrap();
    let bids = of_kind(&bids, NexmarkKind::Bid);
    let (auctions, bidders, prices) =
        (longs(&bids, "auction"), longs(&bids, "bidder"), longs(&bids, "price"));
    let count = bids.len() as f64;
    let share = |of: &dyn Fn(usize) -> bool| (0..bids.len()).filter(|row| of(*row)).count() as f64 / count;
    // The cold ones are hot by chance now and then.
    let hot_auctions = share(&|row| auctions[row] % 100 == 0);
    assert!((0.49..0.53).contains(&hot_auctions), "{hot_auctions}");
    let hot_bidders = share(&|row| bidders[row] % 100 == 1);
    assert!((0.74..0.77).contains(&hot_bidders), "{hot_bidders}");
    for decade in 0..6 {
        let (least, most) = (10i64.pow(decade + 2), 10i64.pow(decade + 3));
        let share = share(&|row| (least..most).contains(&prices[row]));
        assert!((0.16..0.174).contains(&share), "{share} of prices from {least} on");
    }
    assert!(prices.iter().all(|price| (100..=100_000_000).contains(price)));
    let channels = bids.column_by_name("channel").unwrap().as_string::<i32>();
    let hot = share(&|row| !channels.value(row).starts_with("channel-"));
    assert!((0.49..0.51).contains(&hot), "{hot}");
    // Auctions and persons so far, and ten more of each.
    let persons = 700_000 / 50;
    assert!(auctions.iter().all(|id| (1000..1000 + 3 * persons + 10).contains(id)));
    assert!(bidders.iter().all(|id| (1000..1000 + persons + 10).contains(id)));
    assert!(auctions.iter().all(|id| *id >= 1000 + 3 * 10_000 - 101 - 100));

    let auctions = source.clone().only(NexmarkKind::Auction).rows(0, 1_000_000).unwrap();
    let auctions = of_kind(&auctions, NexmarkKind::Auction);
    assert_eq!(longs(&auctions, "id"), (1000..61_000).collect::<Vec<i64>>());
    let sellers = longs(&auctions, "seller");
    let hot = sellers.iter().filter(|id| *id % 100 == 0).count() as f64 / sellers.len() as f64;
    assert!((0.74..0.77).contains(&hot), "{hot}");
    assert!(
        longs(&auctions, "reserve")
            .iter()
            .zip(longs(&auctions, "initialBid"))
            .all(|(most, first)| most > first)
    );
    assert!(longs(&auctions, "category").iter().all(|category| (10..15).contains(category)));
    let time = |name: &str| {
        auctions.column_by_name(name).unwrap().as_primitive::<TimestampMillisecondType>().clone()
    };
    let lengths: Vec<i64> =
        (0..auctions.len()).map(|row| time("expires").value(row) - time("dateTime").value(row)).collect();
    let mean = lengths.iter().sum::<i64>() as f64 / lengths.len() as f64;
    // A hundred auctions in flight, of which 600 are made in a second.
    assert!((160.0..175.0).contains(&mean) && lengths.iter().all(|length| *length > 0), "{mean}");
    let persons = source.only(NexmarkKind::Person).rows(0, 10_000).unwrap();
    let persons = of_kind(&persons, NexmarkKind::Person);
    assert_eq!(longs(&persons, "id"), (1000..1200).collect::<Vec<i64>>());
}

#[test]
fn events_have_about_the_size_that_they_should() {
    let rows = NexmarkColumns::bounded(100_000).rows(0, 100_000).unwrap();
    for (kind, fields, numbers, expected) in [
        (
            NexmarkKind::Person,
            &["name", "emailAddress", "creditCard", "city", "state", "extra"][..],
            8,
            200.0,
        ),
        (NexmarkKind::Auction, &["itemName", "description", "extra"], 48, 500.0),
        (NexmarkKind::Bid, &["extra"], 32, 100.0),
    ] {
        let events = of_kind(&rows, kind);
        let count = events.len() - events.null_count();
        let bytes: usize = fields
            .iter()
            .map(|field| events.column_by_name(field).unwrap().as_string::<i32>().value_data().len())
            .sum();
        let mean = bytes as f64 / count as f64 + f64::from(numbers);
        assert!((mean - expected).abs() < expected * 0.02, "{kind:?}: {mean}");
    }
}

#[test]
fn event_time_goes_up_at_its_rate() {
    let settings =
        NexmarkSettings { events_per_second: 300, base_time: TimestampMs(-5), ..NexmarkSettings::default() };
    let source = NexmarkColumns::bounded(1000).settings(settings).unwrap().timestamps(true);
    let driver = read_all(&source, 77).unwrap();
    let times: Vec<i64> = driver
        .batches
        .iter()
        .flat_map(|(_, batch)| batch.downcast_ref::<ArrowBatch>().unwrap().timestamps.clone())
        .collect();
    let expected: Vec<i64> = (0..1000).map(|event| -5 + event * 1000 / 300).collect();
    assert_eq!(times, expected);
    let only = read_all(&source.only(NexmarkKind::Auction), 77).unwrap();
    let batch = only.batches[0].1.downcast_ref::<ArrowBatch>().unwrap();
    let column = of_kind(&batch.records, NexmarkKind::Auction);
    let column = column.column_by_name("dateTime").unwrap().as_primitive::<TimestampMillisecondType>();
    assert_eq!(column.values().as_ref(), batch.timestamps);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let settings = |change: fn(&mut NexmarkSettings)| {
        let mut settings = NexmarkSettings::default();
        change(&mut settings);
        NexmarkColumns::bounded(10).settings(settings).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(settings(|_| {}), Ok(()));
    assert!(
        settings(|all| all.hot_bidders = 0).unwrap_err().contains("the ratio of hot bidders must not be 0")
    );
    assert!(settings(|all| all.persons = 0).is_err());
    assert!(settings(|all| all.bid_bytes = u32::MAX).unwrap_err().contains("may be 1048576 at most"));
    let project = |field: Field| {
        let schema = Arc::new(Schema::new(vec![field]));
        NexmarkColumns::bounded(10).project(schema).map(|_| ()).unwrap_err().to_string()
    };
    let row = |fields: Vec<Field>| DataType::Struct(fields.into());
    assert!(project(Field::new("bids", DataType::Int32, true)).contains("Nexmark has no column 'bids'"));
    assert!(
        project(Field::new("event_type", DataType::Int64, true)).contains("has the type Int32, but Int64")
    );
    assert!(
        project(Field::new("bid", DataType::Int64, true)).contains("'bid' of Nexmark has the type Struct")
    );
    assert!(
        project(Field::new("bid", row(Vec::new()), false)).contains("is NULL in the rows of other events")
    );
    let price = vec![Field::new("price", DataType::Int32, true)];
    assert!(
        project(Field::new("bid", row(price), true)).contains("'bid.price' of Nexmark has the type Int64")
    );
    let prize = vec![Field::new("prize", DataType::Int64, true)];
    assert!(project(Field::new("bid", row(prize), true)).contains("no column 'bid.prize'"));
}

/// What all readers make, in the order of the events.
fn parallel(source: &NexmarkColumns, parallelism: u32, step: usize) -> Vec<(i64, String)> {
    let mut enumerator = source.create_enumerator(parallelism, None).unwrap();
    let mut all = Vec::new();
    for subtask in 0..parallelism {
        let mut reader = source.create_reader(&context(subtask, parallelism)).unwrap();
        let mut out = SourceOutput::new(step);
        let mut last = i64::MIN;
        loop {
            let status = reader.poll(&mut out).unwrap();
            for (_, batch) in out.take().0 {
                let rows = batch.downcast_ref::<ArrowBatch>().unwrap();
                assert!(rows.timestamps.windows(2).all(|two| two[0] <= two[1]));
                assert!(last <= rows.timestamps[0], "event time goes up within a reader");
                last = rows.timestamps[rows.timestamps.len() - 1];
                all.extend(rows.timestamps.iter().copied().zip(texts(vec![rows.records.clone()])));
            }
            match status {
                ReaderStatus::End => break,
                ReaderStatus::NeedsSplit => match enumerator.next_split(subtask).unwrap() {
                    SplitAssignment::Split(split) => reader.add_split(split).unwrap(),
                    _ => reader.no_more_splits(),
                },
                _ => {}
            }
        }
    }
    // One event a millisecond, and two in some.
    all.sort();
    all
}

#[test]
fn all_readers_together_make_the_same_events() {
    let source = NexmarkColumns::bounded(70_000).project_paths(&["bid.auction", "event_type"]).unwrap();
    let settings = NexmarkSettings { events_per_second: 1000, ..NexmarkSettings::default() };
    let source = source.settings(settings).unwrap().timestamps(true);
    let one = parallel(&source, 1, 4096);
    assert_eq!(one.len(), 70_000);
    for parallelism in [2, 3, 7] {
        assert!(parallel(&source, parallelism, 1000) == one, "{parallelism} readers");
    }
    let persons = source.only(NexmarkKind::Person);
    let one = parallel(&persons, 1, 4096);
    assert_eq!(one.len(), 1400);
    assert!(parallel(&persons, 4, 100) == one);
}

#[test]
fn a_rate_limit_counts_all_events() {
    let source = NexmarkColumns::bounded(1000).only(NexmarkKind::Person).rate_limit(0.001).unwrap();
    let mut driver = SourceDriver::new(&source, 1, 10).unwrap();
    while !matches!(driver.poll().unwrap(), ReaderStatus::Pending(Some(_))) {}
    // The first event, which is a person, was due at once.
    assert_eq!(driver.rows().iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    assert_eq!(driver.reader.progress().done, 1);
}

fn settings() -> impl Strategy<Value = NexmarkSettings> {
    (1u32..4, 1u32..6, 0u32..60, 1u32..2000, any::<u64>(), 0u32..300).prop_map(
        |(persons, auctions, bids, events_per_second, seed, bytes)| NexmarkSettings {
            persons,
            auctions,
            bids,
            events_per_second,
            seed,
            person_bytes: bytes,
            auction_bytes: bytes,
            bid_bytes: bytes,
            ..NexmarkSettings::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// A field is the same whatever else is made, however events are cut into batches, and whichever kinds
    /// are left out.
    #[test]
    fn a_field_is_a_function_of_the_number(
        settings in settings(),
        chosen in prop::sample::subsequence(paths(), 0..=26).prop_shuffle(),
        first in prop_oneof![0u64..500, any::<u64>().prop_map(|first| first >> 8)],
        lengths in prop::collection::vec(0usize..130, 1..4),
        only in prop::option::of(prop::sample::select(KINDS.to_vec())),
    ) {
        let all = NexmarkColumns::unbounded().settings(settings).unwrap();
        let chosen_paths: Vec<&str> = chosen.iter().map(String::as_str).collect();
        let some = all.clone().project_paths(&chosen_paths).unwrap();
        let (all, some) = match only {
            Some(kind) => (all, some.only(kind)),
            None => (all.clone(), some),
        };
        let mut next = first;
        for length in lengths {
            let full = all.rows(next, length).unwrap();
            prop_assert_eq!(full.num_rows(), length);
            let part = some.rows(next, length).unwrap();
            let types = full.column(0).as_primitive::<Int32Type>();
            let kept: Vec<usize> = (0..length)
                .filter(|row| only.is_none_or(|kind| kind.event_type() == types.value(*row)))
                .collect();
            prop_assert_eq!(part.num_rows(), kept.len());
            for path in &chosen {
                let (from, to) = (by_path(&full, path), by_path(&part, path));
                for (row, original) in kept.iter().enumerate() {
                    prop_assert_eq!(&from.slice(*original, 1), &to.slice(row, 1), "{} of {}", path, next);
                }
            }
            next += length as u64;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn restored_readers_make_each_event_once(
        steps in prop::collection::vec((1usize..3000, 0usize..4), 1..10),
        parallelism in 1u32..4,
        only in prop::option::of(prop::sample::select(KINDS.to_vec())),
    ) {
        let mut source = NexmarkColumns::bounded(40_000).timestamps(true);
        if let Some(kind) = only {
            source = source.only(kind);
        }
        source = source.project_paths(&["person.id", "auction.id", "bid.price", "bid.dateTime"]).unwrap();
        let mut expected = parallel(&source, 1, 1000);
        let mut driver = SourceDriver::new(&source, parallelism, 500).unwrap();
        for (step, polls) in steps {
            for _ in 0..polls {
                if !driver.ended {
                    driver.poll().unwrap();
                }
            }
            driver = driver.restore(&source, parallelism, step).unwrap();
        }
        driver.run().unwrap();
        let mut made = Vec::new();
        for (_, batch) in &driver.batches {
            let rows = batch.downcast_ref::<ArrowBatch>().unwrap();
            made.extend(rows.timestamps.iter().copied().zip(texts(vec![rows.records.clone()])));
        }
        made.sort();
        if parallelism > 1 {
            // One reader of several has its own, and those of others that were dealt to it again.
            prop_assert!(made.len() >= expected.len() / (2 * parallelism as usize));
            let mut left = made.iter().peekable();
            expected.retain(|event| left.next_if_eq(&event).is_some());
            prop_assert!(left.next().is_none(), "each event once");
        }
        prop_assert!(made == expected);
    }
}
