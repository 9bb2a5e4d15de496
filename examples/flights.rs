//! January 2013 at the airports of New York: 27,004 departures as a stream, by the time at which they should have left.
//!
//! ```text
//! cargo run --release --example flights [-- --seconds 10 --output DIR -D parallelism.default=2 --explain]
//! ```
//!
//! Three questions, answered while the flights come in, up to 19 hours out of order:
//! - **by airport and hour**: flights, cancellations, mean and 95th-percentile delay, and the weather of that hour;
//! - **by day**: the three routes with the largest total delay;
//! - **by plane**: gaps of more than 48 hours between two flights.
//!
//! The results equal those of a batch computation in `examples/reference`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use tidemill::connectors::{CsvHeader, CsvOptions, CsvOutput, FileSink, FileSource, FloatFormat, TableSink};
use tidemill::core::time::format_timestamp;
use tidemill::prelude::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A scheduled departure, as the file has it.
#[derive(Record, Clone, Debug)]
#[record(arrow)]
struct Flight {
    /// `None` when the flight was cancelled.
    dep_time: Option<i32>,
    /// Minutes; negative when it left early.
    dep_delay: Option<i32>,
    tailnum: Option<String>,
    origin: String,
    dest: String,
    minute: i32,
    time_hour: TimestampMs,
}

impl Flight {
    fn scheduled(&self) -> i64 {
        self.time_hour.0 + i64::from(self.minute) * MINUTE
    }
}

#[derive(Record, Clone, Debug)]
#[record(arrow)]
struct Weather {
    origin: String,
    time_hour: TimestampMs,
    temp: Option<f64>,
    wind_speed: Option<f64>,
    precip: Option<f64>,
    visib: Option<f64>,
}

#[derive(Record, Clone, Debug)]
#[record(arrow)]
struct Plane {
    tailnum: String,
    manufacturer: Option<String>,
    model: Option<String>,
}

/// What an airport did in an hour.
#[derive(Record, Clone, Debug)]
struct AirportHour {
    origin: String,
    start: i64,
    flights: u64,
    cancelled: u64,
    mean_dep_delay: Option<String>,
    p95_dep_delay: Option<i32>,
}

#[derive(Record, Clone, Debug)]
#[record(arrow)]
struct HourlyRow {
    hour: String,
    origin: String,
    flights: u64,
    cancelled: u64,
    mean_dep_delay: Option<String>,
    p95_dep_delay: Option<i32>,
    temp: Option<f64>,
    wind_speed: Option<f64>,
    precip: Option<f64>,
    visib: Option<f64>,
}

/// What a route did on a day.
#[derive(Record, Clone, Debug)]
struct RouteDay {
    day: i64,
    route: String,
    departures: u64,
    total_dep_delay: i64,
}

#[derive(Record, Clone, Debug)]
#[record(arrow)]
struct WorstRouteRow {
    day: String,
    rank: u32,
    route: String,
    departures: u64,
    total_dep_delay: i64,
}

/// A plane was not seen for long.
#[derive(Record, Clone, Debug)]
struct Gap {
    tailnum: String,
    from: i64,
    to: i64,
}

#[derive(Record, Clone, Debug)]
#[record(arrow)]
struct GapRow {
    tailnum: String,
    from: String,
    to: String,
    gap_hours: String,
    manufacturer: Option<String>,
    model: Option<String>,
}

/// `sum / count` with two places, rounded half away from zero, without floating point.
fn two_places(sum: i64, count: i64) -> String {
    let hundredths = (200 * sum.abs() + count) / (2 * count);
    let sign = if sum < 0 && hundredths > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", hundredths / 100, hundredths % 100)
}

/// `2013-01-01T10:00:00Z`.
fn time(ms: i64) -> String {
    let mut text = format_timestamp(ms);
    text.truncate(19);
    text.push('Z');
    text
}

/// `2013-01-01`.
fn day(ms: i64) -> String {
    let mut text = format_timestamp(ms);
    text.truncate(10);
    text
}

/// Counts flights and collects delays.
#[derive(Clone)]
struct HourStatistics;

#[derive(Record, Clone, Debug, Default)]
struct Delays {
    flights: u64,
    cancelled: u64,
    sum: i64,
    delays: Vec<i32>,
}

impl AggregateFunction for HourStatistics {
    type In = Flight;
    type Acc = Delays;
    type Out = Delays;

    fn create_accumulator(&self) -> Delays {
        Delays::default()
    }

    fn add(&self, all: &mut Delays, flight: Flight) {
        all.flights += 1;
        all.cancelled += u64::from(flight.dep_time.is_none());
        if let Some(delay) = flight.dep_delay {
            all.sum += i64::from(delay);
            all.delays.push(delay);
        }
    }

    fn get_result(&self, all: &Delays) -> Delays {
        all.clone()
    }

    fn merge(&self, all: &mut Delays, other: Delays) {
        all.flights += other.flights;
        all.cancelled += other.cancelled;
        all.sum += other.sum;
        all.delays.extend(other.delays);
    }
}

fn summarize(origin: &str, start: i64, mut all: Delays) -> AirportHour {
    all.delays.sort_unstable();
    let count = all.delays.len();
    AirportHour {
        origin: origin.to_owned(),
        start,
        flights: all.flights,
        cancelled: all.cancelled,
        mean_dep_delay: (count > 0).then(|| two_places(all.sum, count as i64)),
        // Nearest rank: the value at place ceil(0.95 n), counted from one.
        p95_dep_delay: (count > 0).then(|| all.delays[(95 * count).div_ceil(100) - 1]),
    }
}

/// Adds up the delays of a route.
#[derive(Clone)]
struct TotalDelay;

impl AggregateFunction for TotalDelay {
    type In = Flight;
    type Acc = (u64, i64);
    type Out = (u64, i64);

    fn create_accumulator(&self) -> (u64, i64) {
        (0, 0)
    }

    fn add(&self, total: &mut (u64, i64), flight: Flight) {
        if let Some(delay) = flight.dep_delay {
            total.0 += 1;
            total.1 += i64::from(delay);
        }
    }

    fn get_result(&self, total: &(u64, i64)) -> (u64, i64) {
        *total
    }

    fn merge(&self, total: &mut (u64, i64), other: (u64, i64)) {
        total.0 += other.0;
        total.1 += other.1;
    }
}

/// Keeps the routes of a day until event time has passed it, then emits the worst three.
#[derive(Clone, Default)]
struct WorstThree {
    routes: ListState<RouteDay>,
}

impl KeyedProcessFunction<i64, RouteDay, WorstRouteRow> for WorstThree {
    fn open(&mut self, states: &mut KeyedStateBackend<i64>) -> Result<(), BoxError> {
        self.routes = states.register_list(ListStateDescriptor::new("routes"))?;
        Ok(())
    }

    fn process(
        &mut self,
        route: RouteDay,
        context: &mut KeyedContext<'_, i64>,
        _out: &mut Collector<WorstRouteRow>,
    ) -> Result<(), BoxError> {
        context.register_event_time_timer(route.day + DAY)?;
        self.routes.add(context.state(), route)?;
        Ok(())
    }

    fn on_timer(
        &mut self,
        _timer: FiredTimer,
        context: &mut KeyedContext<'_, i64>,
        out: &mut Collector<WorstRouteRow>,
    ) -> Result<(), BoxError> {
        let mut routes = self.routes.get(context.state())?;
        self.routes.clear(context.state())?;
        routes.sort_by(|a, b| b.total_dep_delay.cmp(&a.total_dep_delay).then_with(|| a.route.cmp(&b.route)));
        for (rank, route) in (1..=3).zip(routes) {
            out.collect(WorstRouteRow {
                day: day(route.day),
                rank,
                route: route.route,
                departures: route.departures,
                total_dep_delay: route.total_dep_delay,
            });
        }
        Ok(())
    }
}

/// Puts the flights of a plane into order, by a timer for each, and compares neighbours.
#[derive(Clone, Default)]
struct LongGaps {
    last: ValueState<i64>,
}

impl KeyedProcessFunction<String, (String, i64), Gap> for LongGaps {
    fn open(&mut self, states: &mut KeyedStateBackend<String>) -> Result<(), BoxError> {
        self.last = states.register_value(ValueStateDescriptor::new("last-flight"))?;
        Ok(())
    }

    fn process(
        &mut self,
        (_, scheduled): (String, i64),
        context: &mut KeyedContext<'_, String>,
        _out: &mut Collector<Gap>,
    ) -> Result<(), BoxError> {
        // Timers of one key fire in order of time, however the flights came in.
        context.register_event_time_timer(scheduled)?;
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: FiredTimer,
        context: &mut KeyedContext<'_, String>,
        out: &mut Collector<Gap>,
    ) -> Result<(), BoxError> {
        let now = timer.timestamp;
        if let Some(last) = self.last.get(context.state())?
            && now - last > 48 * HOUR
        {
            out.collect(Gap { tailnum: context.key()?.clone(), from: last, to: now });
        }
        self.last.update(context.state(), now)?;
        Ok(())
    }
}

/// Joins each record of the first stream with the last record of the second that its key has, once event time has passed
/// both.
#[derive(Clone)]
struct Enrich<A, B, F> {
    waiting: MapState<i64, Vec<A>>,
    side: ValueState<B>,
    join: F,
}

impl<A, B, F> Enrich<A, B, F> {
    fn by(join: F) -> Self {
        Self { waiting: MapState::default(), side: ValueState::default(), join }
    }
}

impl<K, A, B, U, F> KeyedCoProcessFunction<K, A, B, U> for Enrich<A, B, F>
where
    K: Key,
    A: Data,
    B: Data,
    U: Data,
    F: Fn(A, Option<&B>) -> U + Clone + Send + Sync + 'static,
{
    fn open(&mut self, states: &mut KeyedStateBackend<K>) -> Result<(), BoxError> {
        self.waiting = states.register_map(MapStateDescriptor::new("waiting"))?;
        self.side = states.register_value(ValueStateDescriptor::new("side"))?;
        Ok(())
    }

    fn process1(
        &mut self,
        record: A,
        context: &mut KeyedContext<'_, K>,
        _out: &mut Collector<U>,
    ) -> Result<(), BoxError> {
        let due = context.timestamp().ok_or("a record to enrich needs a timestamp")?;
        context.register_event_time_timer(due)?;
        self.waiting.modify(context.state(), due, Vec::new, |records| records.push(record))?;
        Ok(())
    }

    fn process2(
        &mut self,
        record: B,
        context: &mut KeyedContext<'_, K>,
        _out: &mut Collector<U>,
    ) -> Result<(), BoxError> {
        self.side.update(context.state(), record)?;
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: FiredTimer,
        context: &mut KeyedContext<'_, K>,
        out: &mut Collector<U>,
    ) -> Result<(), BoxError> {
        let records = self.waiting.get(context.state(), &timer.timestamp)?.unwrap_or_default();
        self.waiting.remove(context.state(), &timer.timestamp)?;
        let side = self.side.get(context.state())?;
        for record in records {
            out.collect((self.join)(record, side.as_ref()));
        }
        Ok(())
    }
}

fn csv<T: ArrowRecord>(folder: &Path, file: &str) -> tidemill::Result<FileSource> {
    let options = CsvOptions::new().header(CsvHeader::ByName).null_literal("NA");
    Ok(FileSource::new(folder.join(file).display().to_string(), options, T::schema())?)
}

fn file<T: ArrowRecord>(folder: &Path, name: &str) -> tidemill::Result<FileSink> {
    Ok(FileSink::single_file(
        folder.join(name),
        CsvOutput::new().header(true).float_format(FloatFormat::Plain),
        T::schema(),
    )?)
}

/// January 2013 at the airports of New York, as a stream.
#[derive(Parser)]
struct Arguments {
    /// The folder with the files of flights, weather and planes (default: that of the checkout)
    #[arg(long, value_name = "DIR", default_value = DATA, hide_default_value = true)]
    data: PathBuf,
    /// The folder for the results
    #[arg(long, value_name = "DIR", default_value = "flights-results")]
    output: PathBuf,
    /// Play the month in so many seconds (default: as fast as it goes)
    #[arg(long, value_name = "NUMBER", value_parser = seconds)]
    seconds: Option<f64>,
}

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data");

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds > 0.0);
    seconds.ok_or_else(|| "expected a number over 0".to_owned())
}

fn main() -> tidemill::Result<()> {
    let (env, Arguments { data, output, seconds }) = tidemill::environment_with()?;
    let mut recorded = csv::<Flight>(&data, "flights-2013-01.csv")?;
    if let Some(seconds) = seconds {
        recorded = recorded.records_per_second(27_004.0 / seconds)?;
    }

    let flights = env.from_columns(
        recorded,
        WatermarkStrategy::for_bounded_out_of_orderness(Duration::from_secs(19 * 3600))
            .with_timestamp_assigner(|flight: &Flight, _| flight.scheduled()),
        "flights",
    );
    flights.uid("flights");
    let weather = env.from_columns(
        csv::<Weather>(&data, "weather-2013-01.csv")?,
        // The file has one airport after the other, each in order.
        WatermarkStrategy::for_bounded_out_of_orderness(Duration::from_secs(32 * 24 * 3600))
            .with_timestamp_assigner(|weather: &Weather, _| weather.time_hour.0),
        "weather",
    );
    weather.uid("weather");
    let planes =
        env.from_columns(csv::<Plane>(&data, "planes.csv")?, WatermarkStrategy::no_watermarks(), "planes");
    planes.uid("planes");

    // By airport and hour, with the weather of that hour.
    let hourly = flights
        .key_by_ref(|flight| &flight.origin)
        .window(TumblingEventTimeWindows::of(Duration::from_secs(3600)))
        .aggregate_with(
            HourStatistics,
            ApplyFunction::new(
                |origin: &String,
                 window: &TimeWindow,
                 all: Elements<Delays>,
                 out: &mut Collector<AirportHour>| {
                    all.for_each(|all| out.collect(summarize(origin, window.start, all)));
                    Ok(())
                },
            ),
        )
        .name("by airport and hour")
        .uid("hourly")
        .connect(&weather)
        .key_by(
            |hour| (hour.origin.clone(), hour.start),
            |weather| (weather.origin.clone(), weather.time_hour.0),
        )
        .process(Enrich::by(|hour: AirportHour, weather: Option<&Weather>| HourlyRow {
            hour: time(hour.start),
            origin: hour.origin,
            flights: hour.flights,
            cancelled: hour.cancelled,
            mean_dep_delay: hour.mean_dep_delay,
            p95_dep_delay: hour.p95_dep_delay,
            temp: weather.and_then(|weather| weather.temp),
            wind_speed: weather.and_then(|weather| weather.wind_speed),
            precip: weather.and_then(|weather| weather.precip),
            visib: weather.and_then(|weather| weather.visib),
        }))
        .name("with weather")
        .uid("hourly-weather");

    // By day, the three routes with the largest total delay.
    let worst = flights
        .key_by(|flight| format!("{}-{}", flight.origin, flight.dest))
        .window(TumblingEventTimeWindows::of(Duration::from_secs(24 * 3600)))
        .aggregate_with(
            TotalDelay,
            ApplyFunction::new(
                |route: &String,
                 window: &TimeWindow,
                 totals: Elements<(u64, i64)>,
                 out: &mut Collector<RouteDay>| {
                    // A route of which no flight left has no delay.
                    for (departures, total_dep_delay) in totals.filter(|total| total.0 > 0) {
                        let route = route.clone();
                        out.collect(RouteDay { day: window.start, route, departures, total_dep_delay });
                    }
                    Ok(())
                },
            ),
        )
        .name("by route and day")
        .uid("routes")
        .key_by(|route| route.day)
        .process(WorstThree::default())
        .name("worst three")
        .uid("worst-routes");

    // By plane, long gaps between flights.
    let gaps = flights
        .filter(|flight| flight.dep_time.is_some())
        .flat_map(|flight: Flight, out: &mut Collector<(String, i64)>| {
            let scheduled = flight.scheduled();
            if let Some(tailnum) = flight.tailnum {
                out.collect((tailnum, scheduled));
            }
        })
        .name("flown")
        .key_by_ref(|flight| &flight.0)
        .process(LongGaps::default())
        .name("long gaps")
        .uid("gaps")
        .connect(&planes)
        .key_by(|gap| gap.tailnum.clone(), |plane: &Plane| plane.tailnum.clone())
        .process(Enrich::by(|gap: Gap, plane: Option<&Plane>| GapRow {
            gap_hours: two_places((gap.to - gap.from) / MINUTE, 60),
            tailnum: gap.tailnum,
            from: time(gap.from),
            to: time(gap.to),
            manufacturer: plane.and_then(|plane| plane.manufacturer.clone()),
            model: plane.and_then(|plane| plane.model.clone()),
        }))
        .name("with plane")
        .uid("gaps-planes");

    hourly
        .sink_columns_to("hourly.csv", file::<HourlyRow>(&output, "hourly.csv")?)
        .uid("hourly.csv")
        .set_parallelism(1);
    worst
        .sink_columns_to("worst_routes.csv", file::<WorstRouteRow>(&output, "worst_routes.csv")?)
        .uid("worst_routes.csv")
        .set_parallelism(1);
    gaps.sink_columns_to("plane_gaps.csv", file::<GapRow>(&output, "plane_gaps.csv")?)
        .uid("plane_gaps.csv")
        .set_parallelism(1);

    // What people look at, on the terminal at the end.
    hourly
        .filter(|hour| hour.cancelled >= 5)
        .name("bad hours")
        .sink_columns_to(
            "table of hours",
            TableSink::new("Hours in which an airport cancelled five flights or more"),
        )
        .uid("table of hours")
        .set_parallelism(1);
    worst
        .filter(|route| route.rank == 1)
        .name("worst of day")
        .sink_columns_to("table of routes", TableSink::new("The route with the largest total delay, by day"))
        .uid("table of routes")
        .set_parallelism(1);
    gaps.filter(|gap| gap.gap_hours.parse::<f64>().is_ok_and(|hours| hours >= 600.0))
        .name("very long gaps")
        .sink_columns_to("table of gaps", TableSink::new("Planes that were away for 25 days or more"))
        .uid("table of gaps")
        .set_parallelism(1);

    env.execute("Flights")?;
    // Whoever reads this may have had enough, as in `flights | head`.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "\nResults:");
    for file in ["hourly.csv", "worst_routes.csv", "plane_gaps.csv"] {
        let _ = writeln!(out, "  {}", output.join(file).display());
    }
    Ok(())
}
