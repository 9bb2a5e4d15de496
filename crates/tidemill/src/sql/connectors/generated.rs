//! Sources that make rows up.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use tidemill_connectors::{DataGenSource, NexmarkColumns, NexmarkKind, NexmarkSettings};
use tidemill_sql::SqlResult;
use tidemill_sql::connector::{
    Compared, ConnectorOption, SinkRequest, SourceRequest, TableFactory, TableOptions, TableSink, TableSource,
};

use super::{of_table, only_source, optional};

/// Rows that are made up.
pub(super) struct DataGen;

const DATAGEN: &[ConnectorOption] = &[
    optional("rows-per-second", "how many rows are made in a second (10000)"),
    optional("number-of-rows", "how many rows are made in all (without end)"),
    optional("seed", "the same seed makes the same rows"),
    optional("scan.parallelism", "how many subtasks make rows"),
    optional(
        "fields.*",
        "what the values of a column are: fields.#.kind, min, max, length, start, end, null-rate, var-len, max-past",
    ),
];

impl TableFactory for DataGen {
    fn identifier(&self) -> &'static str {
        "datagen"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        DATAGEN
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        let options = request.options;
        let wrong = |error: tidemill_connectors::ConnectorError| of_table(request.table, &error);
        let is_read = |name: &str| request.schema.column_with_name(name).is_some();
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for key in options.keys().filter(|key| !matches!(*key, "connector" | "scan.parallelism")) {
            // Options of columns that nobody reads say nothing but when the source ends.
            if key.starts_with("fields.") && !of_column(request.stored, key).is_none_or(is_read) {
                continue;
            }
            pairs.extend(options.get(key).map(|value| (key, value)));
        }
        if let Some(key) = options.keys().find(|key| of_column(request.stored, key) == Some("")) {
            let error = options.wrong(key, "the table has no such column that is made up");
            return Err(error.hint(format!("its columns are {}", request.stored.join(", "))));
        }
        let mut source = DataGenSource::from_options(Arc::clone(&request.schema), pairs).map_err(wrong)?;
        let unread = request.stored.iter().filter(|name| !is_read(name));
        let mut ends: Option<u64> = options.parsed("number-of-rows", "a number of rows")?;
        let stated = ends;
        for name in unread {
            let of = |key: &str| format!("fields.{name}.{key}");
            if options.get(&of("kind")) != Some("sequence") {
                continue;
            }
            let start: Option<i64> = options.parsed(&of("start"), "a whole number")?;
            let end: Option<i64> = options.parsed(&of("end"), "a whole number")?;
            if let (Some(start), Some(end)) = (start, end) {
                let rows = u64::try_from(i128::from(end) - i128::from(start) + 1).unwrap_or(0);
                ends = Some(ends.map_or(rows, |ends| ends.min(rows)));
            }
        }
        if let Some(rows) = ends.filter(|_| ends != stated) {
            source = source.number_of_rows(rows);
        }
        Ok(TableSource { source: Arc::new(source) })
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        Err(only_source(request.table, "datagen"))
    }
}

/// The column that an option `fields.#.…` is of; empty when there is none of that name.
fn of_column<'a>(columns: &[&'a str], key: &str) -> Option<&'a str> {
    let rest = key.strip_prefix("fields.")?;
    let named = |column: &&&str| rest.strip_prefix(**column).is_some_and(|rest| rest.starts_with('.'));
    Some(columns.iter().find(named).copied().unwrap_or_default())
}

/// The events of the Nexmark benchmark.
pub(super) struct Nexmark;

const NEXMARK: &[ConnectorOption] = &[
    optional("events.num", "how many events there are (without end)"),
    optional("first-event.rate", "events a second of event time (10000)"),
    optional("next-event.rate", "as first-event.rate: the rate does not change"),
    optional("person.proportion", "how many persons a round of events has (1)"),
    optional("auction.proportion", "how many auctions (3)"),
    optional("bid.proportion", "how many bids (46)"),
    optional("person.avg-size", "how many bytes a person has on average (200)"),
    optional("auction.avg-size", "how many bytes an auction has on average (500)"),
    optional("bid.avg-size", "how many bytes a bid has on average (100)"),
    optional("auction.hot-ratio.sellers", "one of so many auctions is by another than the hot seller"),
    optional("bid.hot-ratio.auctions", "one of so many bids is for another than the hot auction"),
    optional("bid.hot-ratio.bidders", "one of so many bids is by another than the hot bidder"),
    optional("rows-per-second", "how many events are made in a second of the clock (as fast as possible)"),
    optional("scan.parallelism", "how many subtasks make events"),
];

fn nexmark_settings(options: &TableOptions) -> SqlResult<NexmarkSettings> {
    let mut settings = NexmarkSettings::default();
    let numbers: [(&str, &mut u32); 10] = [
        ("first-event.rate", &mut settings.events_per_second),
        ("person.proportion", &mut settings.persons),
        ("auction.proportion", &mut settings.auctions),
        ("bid.proportion", &mut settings.bids),
        ("person.avg-size", &mut settings.person_bytes),
        ("auction.avg-size", &mut settings.auction_bytes),
        ("bid.avg-size", &mut settings.bid_bytes),
        ("auction.hot-ratio.sellers", &mut settings.hot_sellers),
        ("bid.hot-ratio.auctions", &mut settings.hot_auctions),
        ("bid.hot-ratio.bidders", &mut settings.hot_bidders),
    ];
    for (key, setting) in numbers {
        if let Some(number) = options.parsed(key, "a whole number")? {
            *setting = number;
        }
    }
    const NEXT: &str = "next-event.rate";
    match options.parsed::<u32>(NEXT, "a whole number")? {
        Some(next) if next != settings.events_per_second => Err(options.wrong(
            NEXT,
            &format!(
                "it is not 'first-event.rate', {}, and the rate does not change",
                settings.events_per_second
            ),
        )),
        _ => Ok(settings),
    }
}

/// The source without the events whose type is not asked for.
fn wanted(request: &SourceRequest<'_>, mut source: NexmarkColumns) -> NexmarkColumns {
    for condition in request.conditions {
        let column = request.schema.fields().get(condition.column);
        let types = condition.values.as_primitive_opt::<Int32Type>();
        if condition.compared != Compared::Equal || column.is_none_or(|column| column.name() != "event_type")
        {
            continue;
        }
        for (number, kind) in (0..).zip([NexmarkKind::Person, NexmarkKind::Auction, NexmarkKind::Bid]) {
            if types.is_some_and(|types| !types.values().contains(&number)) {
                source = source.without(kind);
            }
        }
    }
    source
}

impl TableFactory for Nexmark {
    fn identifier(&self) -> &'static str {
        "nexmark"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        NEXMARK
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        let options = request.options;
        let wrong = |error: tidemill_connectors::ConnectorError| of_table(request.table, &error);
        let mut source = match options.parsed::<u64>("events.num", "a number of events")? {
            Some(events) => NexmarkColumns::bounded(events),
            None => NexmarkColumns::unbounded(),
        };
        source = source.settings(nexmark_settings(options)?).map_err(wrong)?;
        if let Some(rate) = options.parsed::<f64>("rows-per-second", "a number of events")? {
            source = source.rate_limit(rate).map_err(wrong)?;
        }
        let source = wanted(request, source).project(Arc::clone(&request.schema)).map_err(wrong)?;
        Ok(TableSource { source: Arc::new(source) })
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        Err(only_source(request.table, "nexmark"))
    }
}
