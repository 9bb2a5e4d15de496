//! A job of windows, sessions and timers whose results go to files, each once: the tests kill it, take its disk away, and
//! start it again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use tidemill::connectors::{CsvOutput, FileSink};
use tidemill::core::batch::{Batch, TypedBatch};
use tidemill::core::time::Watermark;
use tidemill::prelude::*;
use tidemill::runtime::source::{
    ReaderStatus, Source, SourceOutput, SourceReader, SourceSplit, SplitAssignment, SplitEnumerator,
};
use tidemill::runtime::{OperatorContext, OperatorError};
use tidemill::serialization::{pack, unpack};

/// Counts, sums and lists made-up events.
#[derive(Parser)]
struct Arguments {
    /// The folder for the results
    #[arg(long)]
    output: PathBuf,
    /// How many events there are
    #[arg(long, default_value_t = 40_000)]
    events: u64,
    /// How many of them come in a second
    #[arg(long, default_value_t = 20_000)]
    per_second: u64,
    /// How many bytes each event carries, which are kept for a while
    #[arg(long, default_value_t = 8)]
    payload: usize,
}

const SPLITS: u64 = 6;
const KEYS: u64 = 50;
/// How many events a reader makes at once.
const BATCH: u64 = 32;
/// How far back event time goes at most, in milliseconds; an event comes each millisecond.
const DISORDER: i64 = 40;

#[derive(Record, Clone, Debug)]
struct Event {
    key: u32,
    number: u64,
    payload: String,
}

/// A line of results.
#[derive(Record, Clone, Debug)]
#[record(arrow)]
struct Line {
    text: String,
}

fn line(text: String) -> Line {
    Line { text }
}

fn scatter(number: u64) -> u64 {
    RoutingHash::routing_hash(&number)
}

fn timestamp(number: u64) -> i64 {
    DISORDER + number as i64 - (scatter(number + 1) % DISORDER as u64) as i64
}

/// Splits that are read at the same time, so that event time goes on in all of them: split `n` has each sixth event.
#[derive(Clone)]
struct Events {
    count: u64,
    per_second: u64,
    payload: usize,
}

/// Gives each subtask its share of the splits that nobody has read yet.
struct Shares {
    left: Vec<SourceSplit>,
    parallelism: u32,
}

impl SplitEnumerator for Shares {
    fn next_split(&mut self, subtask: u32) -> Result<SplitAssignment, OperatorError> {
        let parallelism = self.parallelism as usize;
        let mine = self.left.iter().position(|split| {
            split.id.parse::<usize>().is_ok_and(|index| index % parallelism == subtask as usize)
        });
        Ok(mine.map_or(SplitAssignment::NoMore, |index| SplitAssignment::Split(self.left.remove(index))))
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        self.left.clone()
    }
}

struct Reader {
    events: Events,
    parallelism: u64,
    splits: Vec<(Arc<str>, u64)>,
    all: bool,
    next: usize,
    begun: Instant,
    made: u64,
}

impl SourceReader for Reader {
    fn add_split(&mut self, split: SourceSplit) -> Result<(), OperatorError> {
        let position = unpack(&split.state).map_err(OperatorError::user)?;
        self.splits.push((split.id, position));
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.all = true;
    }

    fn poll(&mut self, out: &mut SourceOutput) -> Result<ReaderStatus, OperatorError> {
        if !self.all {
            return Ok(ReaderStatus::NeedsSplit);
        }
        let mine = self.events.per_second as f64 / self.parallelism as f64;
        let due = self.begun + Duration::from_secs_f64(self.made as f64 / mine);
        if due > Instant::now() {
            return Ok(ReaderStatus::Pending(Some(due)));
        }
        if self.splits.is_empty() {
            return Ok(ReaderStatus::End);
        }
        self.next = (self.next + 1) % self.splits.len();
        let (id, position) = &mut self.splits[self.next];
        let mut batch = TypedBatch::default();
        while (batch.values.len() as u64) < BATCH && *position < self.events.count {
            let number = *position;
            let payload = format!("{number:0>width$}", width = self.events.payload);
            let key = (scatter(number) % KEYS) as u32;
            batch.push(Event { key, number, payload }, timestamp(number));
            *position += SPLITS;
        }
        self.made += batch.values.len() as u64;
        if batch.values.is_empty() {
            let (ended, _) = self.splits.remove(self.next);
            out.finish_split(&ended);
        } else {
            out.emit(&Arc::clone(id), Batch::new(batch));
        }
        Ok(ReaderStatus::Ready)
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        let splits = self.splits.iter();
        splits.map(|(id, position)| SourceSplit { id: Arc::clone(id), state: pack(position) }).collect()
    }
}

impl Source for Events {
    fn create_enumerator(
        &self,
        parallelism: u32,
        restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        let all = || {
            let split = |index: u64| SourceSplit { id: index.to_string().into(), state: pack(&index) };
            (0..SPLITS).map(split).collect()
        };
        Ok(Box::new(Shares { left: restored.unwrap_or_else(all), parallelism }))
    }

    fn create_reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        Ok(Box::new(Reader {
            events: self.clone(),
            parallelism: u64::from(context.parallelism),
            splits: Vec::new(),
            all: false,
            next: 0,
            begun: Instant::now(),
            made: 0,
        }))
    }
}

/// Event time follows the events at once.
struct AtOnce;

impl WatermarkGenerator<Event> for AtOnce {
    fn on_event(&mut self, _: &Event, timestamp: i64) -> Option<Watermark> {
        Some(Watermark(timestamp - DISORDER - 1))
    }

    fn on_periodic(&mut self) -> Option<Watermark> {
        None
    }
}

#[derive(Clone)]
struct Totals;

impl AggregateFunction for Totals {
    type In = Event;
    type Acc = (u64, u64);
    type Out = (u64, u64);

    fn create_accumulator(&self) -> (u64, u64) {
        (0, 0)
    }

    fn add(&self, all: &mut (u64, u64), event: Event) {
        *all = (all.0 + 1, all.1 + event.number);
    }

    fn get_result(&self, all: &(u64, u64)) -> (u64, u64) {
        *all
    }

    fn merge(&self, all: &mut (u64, u64), other: (u64, u64)) {
        *all = (all.0 + other.0, all.1 + other.1);
    }
}

/// Keeps the events of a key and tells those of each second when it is over.
#[derive(Clone, Default)]
struct Seconds {
    kept: ListState<Event>,
    told: ValueState<u64>,
}

impl KeyedProcessFunction<u32, Event, Line> for Seconds {
    fn open(&mut self, states: &mut KeyedStateBackend<u32>) -> std::result::Result<(), BoxError> {
        self.kept = states.register_list(ListStateDescriptor::new("kept"))?;
        self.told = states.register_value(ValueStateDescriptor::new("told"))?;
        Ok(())
    }

    fn process(
        &mut self,
        event: Event,
        context: &mut KeyedContext<'_, u32>,
        _: &mut Collector<Line>,
    ) -> std::result::Result<(), BoxError> {
        context.register_event_time_timer((timestamp(event.number) / 1000 + 1) * 1000)?;
        Ok(self.kept.add(context.state(), event)?)
    }

    fn on_timer(
        &mut self,
        timer: FiredTimer,
        context: &mut KeyedContext<'_, u32>,
        out: &mut Collector<Line>,
    ) -> std::result::Result<(), BoxError> {
        let is_over = |event: &Event| timestamp(event.number) < timer.timestamp;
        let (over, left): (Vec<_>, Vec<_>) = self.kept.get(context.state())?.into_iter().partition(is_over);
        self.kept.update(context.state(), left)?;
        let told = self.told.get(context.state())?.unwrap_or(0) + over.len() as u64;
        self.told.update(context.state(), told)?;
        let (key, sum) = (*context.key()?, over.iter().map(|event| event.number).sum::<u64>());
        let payload: usize = over.iter().map(|event| event.payload.len()).sum();
        out.collect(line(format!("{key} {} {} {sum} {payload} {told}", timer.timestamp, over.len())));
        Ok(())
    }
}

fn files(folder: &Path, name: &str) -> tidemill::Result<FileSink> {
    Ok(FileSink::folder(folder.join(name), CsvOutput::new(), Line::schema())?)
}

fn main() -> tidemill::Result<()> {
    let (env, Arguments { output, events, per_second, payload }) = tidemill::environment_with()?;
    let events = Events { count: events, per_second, payload };
    let events = env.from_source(events, WatermarkStrategy::for_generator(|| AtOnce), "events").uid("events");
    let key: fn(&Event) -> u32 = |event| event.key;

    let describe =
        |key: &u32, window: &TimeWindow, totals: Elements<(u64, u64)>, out: &mut Collector<Line>| {
            for (count, sum) in totals {
                out.collect(line(format!("{key} {} {} {count} {sum}", window.start, window.end)));
            }
            Ok(())
        };
    let windows = events
        .key_by(key)
        .window(TumblingEventTimeWindows::of(Duration::from_millis(700)))
        .aggregate_with(Totals, ApplyFunction::new(describe))
        .uid("windows");
    let sessions = events
        .key_by(key)
        .window(EventTimeSessionWindows::with_gap(Duration::from_millis(60)))
        .aggregate_with(Totals, ApplyFunction::new(describe))
        .uid("sessions");
    let seconds = events.rebalance().key_by(key).process(Seconds::default()).uid("seconds");
    windows.sink_columns_to("windows", files(&output, "windows")?).uid("windows-files");
    sessions.sink_columns_to("sessions", files(&output, "sessions")?).uid("sessions-files");
    seconds.sink_columns_to("seconds", files(&output, "seconds")?).uid("seconds-files");
    env.execute("Survivor")?;
    Ok(())
}
