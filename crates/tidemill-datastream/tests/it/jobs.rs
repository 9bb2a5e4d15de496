//! Whole jobs with connected streams, joins and asynchronous calls.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_datastream::windows::TumblingEventTimeWindows;
use tidemill_datastream::{AsyncOptions, DataStream, StreamExecutionEnvironment, WatermarkStrategy};
use tidemill_runtime::operator::boxed;
use tidemill_runtime::source::{
    ReaderStatus, Source, SourceOutput, SourceReader, SourceSplit, SplitAssignment, SplitEnumerator,
};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress};
use tidemill_serialization::Data;

/// The numbers below a limit, each as its own timestamp, in one split.
struct Numbers(u64);

struct OneSplit(Option<u64>);

impl SplitEnumerator for OneSplit {
    fn next_split(&mut self, _subtask: u32) -> Result<SplitAssignment, OperatorError> {
        let split = |limit: u64| SourceSplit { id: "numbers".into(), state: limit.to_le_bytes().to_vec() };
        Ok(self.0.take().map_or(SplitAssignment::NoMore, |limit| SplitAssignment::Split(split(limit))))
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        Vec::new()
    }
}

#[derive(Default)]
struct NumberReader {
    split: Option<(SourceSplit, std::ops::Range<u64>)>,
    ends: bool,
}

impl SourceReader for NumberReader {
    fn add_split(&mut self, split: SourceSplit) -> Result<(), OperatorError> {
        let limit = u64::from_le_bytes(split.state[..8].try_into().expect("eight bytes"));
        self.split = Some((split, 0..limit));
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.ends = true;
    }

    fn poll(&mut self, out: &mut SourceOutput) -> Result<ReaderStatus, OperatorError> {
        let Some((split, left)) = &mut self.split else {
            return Ok(if self.ends { ReaderStatus::End } else { ReaderStatus::NeedsSplit });
        };
        let some: Vec<u64> = left.by_ref().take(100).collect();
        if some.is_empty() {
            out.finish_split(&split.id);
            self.split = None;
        } else {
            out.emit(&split.id, Batch::new(TypedBatch::from_values(some)));
        }
        Ok(ReaderStatus::Ready)
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        Vec::new()
    }
}

impl Source for Numbers {
    fn create_enumerator(
        &self,
        _parallelism: u32,
        _restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        Ok(Box::new(OneSplit(Some(self.0))))
    }

    fn create_reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        Ok(Box::new(NumberReader::default()))
    }
}

pub(crate) fn numbers(env: &StreamExecutionEnvironment, limit: u64) -> DataStream<u64> {
    let time = WatermarkStrategy::for_monotonous_timestamps()
        .with_timestamp_assigner(|number: &u64, _| *number as i64);
    env.from_source(Numbers(limit), time, "Numbers")
}

pub(crate) struct Collect<T>(pub(crate) Arc<Mutex<Vec<T>>>);

impl<T: Data> Operator for Collect<T> {
    fn process(
        &mut self,
        _input: usize,
        mut batch: Batch,
        _out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.0.lock().unwrap().append(&mut batch.downcast_mut::<TypedBatch<T>>()?.values);
        Ok(Progress::Done)
    }
}

fn collected<T: Data + Ord>(env: &StreamExecutionEnvironment, stream: &DataStream<T>) -> Vec<T> {
    let found: Arc<Mutex<Vec<T>>> = Arc::default();
    let sink = Arc::clone(&found);
    stream.sink_to("Collect", boxed(move || Collect(Arc::clone(&sink))));
    env.execute("test").unwrap();
    let mut found = std::mem::take(&mut *found.lock().unwrap());
    found.sort_unstable();
    found
}

fn environment() -> StreamExecutionEnvironment {
    let env = StreamExecutionEnvironment::default();
    env.set_parallelism(2).unwrap();
    env
}

#[test]
fn joins_and_calls() {
    let env = environment();
    let (left, right) = (numbers(&env, 3000), numbers(&env, 2000).map(|number| number * 2));
    let evens = left
        .unordered_wait(
            |number| async move {
                tokio::task::yield_now().await;
                Ok((number % 2 == 0).then_some(number))
            },
            AsyncOptions::new(Duration::from_secs(60)).with_capacity(7),
        )
        .key_by(|number| number % 10);
    // The timestamps of the right are half their numbers.
    let joined = evens
        .interval_join(&right.key_by(|number| number % 10))
        .between(-20, 20)
        .apply(|left, right| (*left, *right))
        .async_map_batch(
            50,
            |pairs| async move { Ok(pairs) },
            AsyncOptions::new(Duration::from_secs(60)).with_capacity(2),
        );
    let mut expected = Vec::new();
    for left in (0..3000u64).step_by(2) {
        for time in left.saturating_sub(20)..=(left + 20).min(1999) {
            if left % 10 == time * 2 % 10 {
                expected.push((left, time * 2));
            }
        }
    }
    assert_eq!(collected(&env, &joined), expected);
}

#[test]
fn windows_of_two_streams() {
    let env = environment();
    let joined = numbers(&env, 1000)
        .join(&numbers(&env, 500))
        .where_key(|number| number % 5)
        .equal_to(|number| number % 5)
        .window(TumblingEventTimeWindows::of(Duration::from_millis(20)))
        .apply(|first, second| (*first, *second));
    let mut expected = Vec::new();
    for first in 0..1000u64 {
        for second in (0..500).filter(|second| second % 5 == first % 5 && second / 20 == first / 20) {
            expected.push((first, second));
        }
    }
    assert_eq!(collected(&env, &joined), expected);
}

#[test]
fn a_failing_call_fails_the_job_and_drops_the_others() {
    let env = environment();
    let stream = numbers(&env, 1000).async_map(
        |number| async move {
            if number == 17 {
                return Err("no seventeen".into());
            }
            // Those after it never end.
            if number > 17 { std::future::pending().await } else { Ok(number) }
        },
        AsyncOptions::new(Duration::ZERO),
    );
    stream.sink_to("Collect", boxed(|| Collect::<u64>(Arc::default())));
    let error = env.execute("test").err().expect("it fails").to_string();
    assert!(error.contains("'Async Map'") && error.contains("no seventeen"), "{error}");
}
