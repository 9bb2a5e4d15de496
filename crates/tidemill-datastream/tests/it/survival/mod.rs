//! The operators that keep state, sources and sinks of files aside, in whole jobs that fail, are stopped and go on elsewhere: see
//! [`tidemill_testkit::survival`]. One function a family, so that what is broken is soon found.

mod async_io;
mod connected;
mod joins;
mod keyed;
mod sources;
mod stopping;
mod windows;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::config::{Configuration, Origin};
use tidemill_core::time::Watermark;
use tidemill_datastream::windows::*;
use tidemill_datastream::*;
use tidemill_rocksdb::{RocksDbSettings, RocksDbStateBackends};
use tidemill_runtime::BoxError;
use tidemill_serialization::{Data, RoutingHash};
use tidemill_state::{
    AggregateFunction, HashMapStateBackend, KeyedStateBackend, ListState, ListStateDescriptor, MapState,
    MapStateDescriptor, StateBackend, StateBackendFactory, StateError, StateTtlConfig, Storage,
    SubtaskContext, TimerPlacement, ValueState, ValueStateDescriptor,
};
use tidemill_testkit::survival::{Backend, Case, Input, Stage, Survived, survive};

/// A key and a number.
type Event = (u32, u64);

const KEYS: u32 = 7;
const SPLITS: u32 = 3;
/// How many events an input has.
const EVENTS: u64 = 900;
/// Between one event and the next, in event time.
const STEP: i64 = 10;
/// How far event time goes back at most.
const DISORDER: i64 = 60;

fn ms(duration: u64) -> Duration {
    Duration::from_millis(duration)
}

/// Some number that has nothing to do with another one.
fn scatter(number: u64) -> u64 {
    RoutingHash::routing_hash(&number)
}

/// Events out of order, those of a key in one split, so that they come to it in an order that is known.
fn events() -> Input<Event> {
    let mut splits = vec![Vec::new(); SPLITS as usize];
    for number in 0..EVENTS {
        let key = (scatter(number) % u64::from(KEYS)) as u32;
        let behind = (scatter(number + EVENTS) % DISORDER as u64) as i64;
        splits[(key % SPLITS) as usize].push(((key, number), DISORDER + number as i64 * STEP - behind));
    }
    Input::new(splits)
}

/// Event time goes as far as out-of-order events allow.
fn in_time() -> WatermarkStrategy<Event> {
    WatermarkStrategy::for_generator(|| EachBatch(DISORDER))
}

/// A watermark behind each batch, so that event time does not depend on how long anything takes.
struct EachBatch(i64);

impl<T> WatermarkGenerator<T> for EachBatch {
    fn on_event(&mut self, _record: &T, timestamp: i64) -> Option<Watermark> {
        Some(Watermark(timestamp - self.0 - 1))
    }

    fn on_periodic(&mut self) -> Option<Watermark> {
        None
    }
}

fn environment(stage: &Stage) -> StreamExecutionEnvironment {
    StreamExecutionEnvironment::new(stage.configuration.clone(), LocalExecutor::default())
}

/// The lines of a stream go to the sink of the stage.
fn sink<T: Data + Debug>(stream: &DataStream<T>, name: &str, stage: &Stage) {
    let lines = stream.map(move |value| format!("{value:?}"));
    lines.sink_to(name, stage.sink());
}

/// A case with one input of events, whose job is what `job` makes of their stream.
fn of_events<U: Data + Debug>(
    at_least: usize,
    job: impl Fn(&DataStream<Event>) -> DataStream<U> + 'static,
) -> Case {
    over(events(), at_least, job)
}

fn over<U: Data + Debug>(
    input: Input<Event>,
    at_least: usize,
    job: impl Fn(&DataStream<Event>) -> DataStream<U> + 'static,
) -> Case {
    let read = input.clone();
    Case::new(at_least, move |stage| {
        let env = environment(stage);
        let stream = env.from_source(read.reader(), in_time(), "events");
        sink(&job(&stream), "results", stage);
        env.plan("survival")
    })
    .input(&input)
}

/// RocksDB with next to no room for timers in memory.
struct FewTimers(RocksDbStateBackends);

impl StateBackendFactory for FewTimers {
    fn of_slot(&self, managed: &MemoryBudget) -> Result<Arc<dyn StateBackend>, StateError> {
        Ok(Arc::new(OfFewTimers(self.0.of_slot(managed)?)))
    }
}

struct OfFewTimers(Arc<dyn StateBackend>);

impl StateBackend for OfFewTimers {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn open(&self, subtask: &SubtaskContext) -> Result<Storage, StateError> {
        self.0.open(subtask)
    }

    fn timers(&self, subtask: &SubtaskContext) -> TimerPlacement {
        assert_ne!(self.0.timers(subtask), TimerPlacement::Heap);
        TimerPlacement::Store { in_memory: 4 }
    }
}

/// Both state backends. RocksDB writes what it has all the time, timers too: little fits into its memory.
fn backends() -> Vec<Backend> {
    let mut configuration = Configuration::new();
    configuration.set_raw("state.backend.rocksdb.writebuffer.size", "64 kb", Origin::Api);
    let settings = RocksDbSettings::of(&configuration).unwrap();
    vec![
        Backend { name: "hashmap", factory: Arc::new(HashMapStateBackend) },
        Backend {
            name: "rocksdb",
            factory: Arc::new(FewTimers(RocksDbStateBackends::new(settings, vec![std::env::temp_dir()]))),
        },
    ]
}

/// Runs a case, which unaligned checkpoints must have caught with records on their way.
fn survives(name: &str, case: impl Fn() -> Case) -> Survived {
    let survived = survive(name, &backends(), case);
    assert!(survived.in_flight_bytes > 0, "{name}: no record was ever on its way: {survived:?}");
    survived
}
