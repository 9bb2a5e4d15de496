//! Calls to the outside whose answers come when the test says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidemill_datastream::{AsyncFunction, AsyncOptions, DataStream, RetryStrategy};
use tidemill_runtime::{BoxError, OperatorError, Progress};
use tidemill_testkit::{Contract, OperatorHarness, ParallelHarness, stamped};
use tokio::sync::oneshot;

use crate::support::{operator, stream};

type Answer = Result<Vec<String>, BoxError>;

/// The outside: it keeps what it is asked until the test has it answered.
#[derive(Clone, Default)]
struct Outside {
    asked: Arc<Mutex<BTreeMap<u32, oneshot::Sender<Answer>>>>,
    /// Every question, in order.
    all: Arc<Mutex<Vec<u32>>>,
    on_timeout: bool,
}

impl AsyncFunction<u32, String> for Outside {
    type Results = Vec<String>;

    fn invoke(&self, record: u32) -> impl Future<Output = Answer> + Send + 'static {
        let (sender, answer) = oneshot::channel();
        self.asked.lock().unwrap().insert(record, sender);
        self.all.lock().unwrap().push(record);
        async move { answer.await? }
    }

    fn timeout(&self, record: u32, limit: Duration) -> Answer {
        if self.on_timeout {
            return Ok(vec![format!("{record} took more than {limit:?}")]);
        }
        Err("too slow".into())
    }
}

impl Outside {
    fn answer(&self, record: u32) {
        self.say(record, Ok(vec![record.to_string()]));
    }

    fn say(&self, record: u32, answer: Answer) {
        let asked = self.asked.lock().unwrap().remove(&record).expect("it was asked");
        asked.send(answer).expect("somebody listens");
    }

    fn all(&self) -> Vec<u32> {
        self.all.lock().unwrap().clone()
    }

    fn listens(&self, record: u32) -> bool {
        self.asked.lock().unwrap().get(&record).is_some_and(|sender| !sender.is_closed())
    }
}

fn options() -> AsyncOptions {
    AsyncOptions::new(Duration::from_millis(1000)).with_capacity(4)
}

fn harness(stream: &DataStream<String>) -> OperatorHarness<String> {
    OperatorHarness::of(operator(stream))
}

fn records(numbers: impl IntoIterator<Item = u32>) -> tidemill_core::batch::TypedBatch<u32> {
    stamped(numbers.into_iter().map(|number| (number, i64::from(number))))
}

/// Tells the operator what has come back, until it has emitted `count` records; answers them.
fn await_records(harness: &mut OperatorHarness<String>, count: usize) -> Vec<String> {
    let mut found = harness.take_values();
    while found.len() < count {
        if !harness.woken().unwrap() {
            std::thread::yield_now();
        }
        found.extend(harness.take_values());
    }
    found
}

/// Waits until the operator is woken, and tells it.
fn await_wake(harness: &mut OperatorHarness<String>) -> Result<(), OperatorError> {
    while !harness.woken()? {
        std::thread::yield_now();
    }
    Ok(())
}

#[test]
fn ordered_keeps_the_order_and_the_timestamps() {
    let outside = Outside::default();
    let mut harness = harness(&stream().ordered_wait(outside.clone(), options()));
    harness.process(0, records([1, 2])).unwrap();
    harness.watermark(2).unwrap();
    harness.process(0, records([3])).unwrap();
    outside.answer(3);
    await_wake(&mut harness).unwrap();
    outside.answer(2);
    await_wake(&mut harness).unwrap();
    assert!(harness.take().is_empty());
    outside.say(1, Ok(vec!["1".into(), "one".into()]));
    let mut emitted = Vec::new();
    while emitted.len() < 3 {
        await_wake(&mut harness).unwrap();
        emitted.extend(harness.take());
    }
    let shown: Vec<String> = emitted
        .iter()
        .map(|emission| match emission {
            tidemill_testkit::Emitted::Batch(batch) => {
                let batch = batch.downcast_ref::<tidemill_core::batch::TypedBatch<String>>().unwrap();
                format!("{:?} {:?}", batch.values, batch.timestamps)
            }
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(shown, [r#"["1", "one", "2"] [1, 1, 2]"#, "Watermark(Watermark(2))", r#"["3"] [3]"#]);
}

#[test]
fn unordered_goes_on_as_answered_up_to_a_watermark() {
    let outside = Outside::default();
    let mut harness = harness(&stream().unordered_wait(outside.clone(), options()));
    harness.process(0, records([1, 2])).unwrap();
    harness.watermark(2).unwrap();
    harness.process(0, records([3])).unwrap();
    harness.idle(true).unwrap();
    outside.answer(3);
    await_wake(&mut harness).unwrap();
    assert!(harness.take().is_empty(), "3 is behind the watermark");
    outside.answer(2);
    assert_eq!(await_records(&mut harness, 1), ["2"]);
    assert!(harness.take_watermarks().is_empty());
    outside.answer(1);
    assert_eq!(await_records(&mut harness, 2), ["1", "3"]);
    assert_eq!(harness.take_watermarks(), [2]);
    assert_eq!(harness.take_idleness(), [true]);
    harness.watermark(9).unwrap();
    assert_eq!(harness.take_watermarks(), [9], "nothing is before it");
}

#[test]
fn no_more_calls_than_there_is_capacity_for() {
    let outside = Outside::default();
    let mut harness = harness(&stream().unordered_wait(outside.clone(), options()));
    assert!(harness.has_room());
    harness.process(0, records(0..7)).unwrap();
    assert!(!harness.has_room());
    assert_eq!(outside.all(), [0, 1, 2, 3]);
    harness.begin(0, records([7]));
    assert_eq!(harness.step().unwrap(), Progress::Wait, "the last batch has not all been asked about");
    outside.answer(2);
    outside.answer(0);
    while outside.all().len() < 6 {
        await_wake(&mut harness).unwrap();
    }
    assert_eq!(outside.all(), [0, 1, 2, 3, 4, 5]);
    assert!(harness.is_pending());
    [1, 3, 4].into_iter().for_each(|record| outside.answer(record));
    while outside.all().len() < 7 {
        await_wake(&mut harness).unwrap();
    }
    harness.complete().unwrap();
    outside.answer(5);
    outside.answer(6);
    while outside.all().len() < 8 {
        await_wake(&mut harness).unwrap();
    }
    outside.answer(7);
    let mut found = await_records(&mut harness, 8);
    found.sort();
    assert_eq!(found, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    assert!(harness.has_room());
}

#[test]
fn the_end_waits_for_all_answers() {
    let outside = Outside::default();
    let mut harness = harness(&stream().ordered_wait(outside.clone(), options()));
    harness.process(0, records([1, 2])).unwrap();
    let answers = std::thread::spawn({
        let outside = outside.clone();
        move || {
            outside.answer(2);
            outside.answer(1);
        }
    });
    harness.watermark(i64::MAX).unwrap();
    harness.finish().unwrap();
    answers.join().unwrap();
    assert_eq!(harness.take_values(), ["1", "2"]);
    assert_eq!(harness.take_watermarks(), [i64::MAX]);
}

#[test]
fn what_takes_too_long_is_given_up() {
    let outside = Outside { on_timeout: true, ..Outside::default() };
    let mut harness = harness(&stream().ordered_wait(outside.clone(), options()));
    harness.process(0, records([1])).unwrap();
    assert_eq!(harness.next_processing_time(), Some(1000));
    harness.processing_time(500).unwrap();
    harness.process(0, records([2])).unwrap();
    harness.processing_time(999).unwrap();
    assert!(harness.take().is_empty());
    harness.processing_time(1000).unwrap();
    assert_eq!(harness.take_records(), [("1 took more than 1s".to_owned(), 1)]);
    assert_eq!(harness.next_processing_time(), Some(1500));
    while outside.listens(1) {
        std::thread::yield_now();
    }
    outside.answer(2);
    assert_eq!(await_records(&mut harness, 1), ["2"]);
    assert_eq!(harness.next_processing_time(), None);
}

#[test]
fn a_timeout_that_is_not_handled_fails_the_job() {
    let outside = Outside::default();
    let mut harness = harness(&stream().unordered_wait(outside, options()));
    harness.process(0, records([1])).unwrap();
    let error = harness.processing_time(1000).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("TM-USER-FUNCTION", "too slow"));
    let silent = stream().async_map(|_: u32| std::future::pending::<Result<String, BoxError>>(), options());
    let mut harness = OperatorHarness::<String>::of(operator(&silent));
    harness.process(0, records([1])).unwrap();
    let error = harness.processing_time(1000).unwrap_err().to_string();
    assert!(error.contains("has not completed within 1s"), "{error}");
}

#[test]
fn failed_calls_are_made_again() {
    let outside = Outside { on_timeout: true, ..Outside::default() };
    let retry =
        RetryStrategy::exponential_backoff(2, Duration::from_millis(10), Duration::from_millis(900), 30.0)
            .if_result(Vec::is_empty)
            .if_error(|error| error.to_string() == "busy");
    let stream = stream().ordered_wait_with_retry(outside.clone(), options(), retry);
    let mut harness = harness(&stream);
    harness.process(0, records([1])).unwrap();
    outside.say(1, Err("busy".into()));
    await_wake(&mut harness).unwrap();
    assert_eq!(harness.next_processing_time(), Some(10));
    harness.processing_time(10).unwrap();
    outside.say(1, Ok(vec![]));
    await_wake(&mut harness).unwrap();
    assert_eq!(harness.next_processing_time(), Some(310));
    harness.processing_time(310).unwrap();
    assert_eq!(outside.all(), [1, 1, 1]);
    // No retry is left: an answer is taken as it is.
    outside.say(1, Ok(vec![]));
    await_wake(&mut harness).unwrap();
    assert_eq!(harness.next_processing_time(), None);
    // Retries do not prolong the time that an answer may take.
    harness.process(0, records([2])).unwrap();
    for due in [320, 620] {
        outside.say(2, Err("busy".into()));
        await_wake(&mut harness).unwrap();
        harness.processing_time(due).unwrap();
    }
    harness.processing_time(1310).unwrap();
    assert_eq!(harness.take_values(), ["2 took more than 1s"]);
    harness.process(0, records([3])).unwrap();
    outside.say(3, Err("broken".into()));
    let error = await_wake(&mut harness).unwrap_err();
    assert_eq!(error.to_string(), "broken");
}

#[test]
fn a_panic_is_told() {
    let stream = stream::<u32>().async_map(
        |record| async move {
            assert!(record != 2, "no {record}");
            Ok(record.to_string())
        },
        options(),
    );
    let mut harness = harness(&stream);
    harness.process(0, records([1, 2])).unwrap();
    let error = loop {
        if let Err(error) = await_wake(&mut harness) {
            break error;
        }
    };
    assert_eq!(error.code(), "TM-USER-PANIC");
    let message = error.to_string();
    assert!(message.contains("panicked: no 2 (at ") && message.contains("async_io.rs:"), "{message}");
}

#[test]
fn what_was_under_way_is_asked_anew() {
    for ordered in [true, false] {
        let outside = Outside::default();
        let stream = if ordered {
            stream().ordered_wait(outside.clone(), options())
        } else {
            stream().unordered_wait(outside.clone(), options())
        };
        let mut before = harness(&stream);
        before.process(0, records(1..=6)).unwrap();
        // Answered, but not emitted where the order is kept.
        outside.answer(2);
        await_wake(&mut before).unwrap();
        let emitted = before.take_values();
        assert_eq!(emitted.len(), usize::from(!ordered));
        let snapshot = before.snapshot().unwrap();
        drop(before);
        while [1, 3, 4].into_iter().any(|record| outside.listens(record)) {
            std::thread::yield_now();
        }
        outside.all.lock().unwrap().clear();
        let mut after = harness(&stream).restored(snapshot);
        after.open().unwrap();
        let left: Vec<u32> = (1..=6).filter(|record| ordered || *record != 2).collect();
        assert_eq!(outside.all(), left[..4], "as many as there is room for");
        assert!(!after.has_room(), "restored records come first");
        let mut found = emitted;
        for record in &left {
            while !outside.listens(*record) {
                await_wake(&mut after).unwrap();
            }
            outside.answer(*record);
            found.extend(await_records(&mut after, 1));
        }
        assert_eq!(outside.all(), left);
        found.sort();
        assert_eq!(found, ["1", "2", "3", "4", "5", "6"]);
    }
}

#[test]
fn calls_go_to_other_subtasks_when_rescaled() {
    let outside = Outside::default();
    let factory = operator(&stream().unordered_wait(outside.clone(), options()));
    let mut harness =
        ParallelHarness::open(factory, Contract::default(), 2, 128).unwrap().rebalanced_input::<u32>(0);
    harness.process(0, records(0..6)).unwrap();
    harness.rescale(3).unwrap();
    (0..6).for_each(|record| outside.answer(record));
    harness.finish().unwrap();
    let per_subtask: Vec<usize> = harness
        .take()
        .into_iter()
        .map(|emitted| {
            let batches = emitted.iter().filter_map(|emission| match emission {
                tidemill_testkit::Emitted::Batch(batch) => Some(batch.len()),
                _ => None,
            });
            batches.sum()
        })
        .collect();
    assert_eq!(per_subtask, [2, 2, 2]);
}

#[test]
fn batches_are_asked_about_in_one_call() {
    let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let seen = Arc::clone(&sizes);
    let stream = stream::<u32>().async_map_batch(
        4,
        move |numbers| {
            seen.lock().unwrap().push(numbers.len());
            async move { Ok(numbers.iter().map(ToString::to_string).collect()) }
        },
        options(),
    );
    let mut harness = harness(&stream);
    harness.process(0, records(0..10)).unwrap();
    harness.finish().unwrap();
    assert_eq!(*sizes.lock().unwrap(), [4, 4, 2]);
    let expected: Vec<(String, i64)> = (0..10).map(|number| (number.to_string(), number)).collect();
    assert_eq!(harness.take_records(), expected);
}

#[test]
fn an_answer_for_each_record_of_a_batch() {
    let stream = stream::<u32>().async_map_batch(4, |_| async { Ok(vec![String::new()]) }, options());
    let mut harness = harness(&stream);
    harness.process(0, records(0..2)).unwrap();
    let error = await_wake(&mut harness).unwrap_err().to_string();
    assert!(error.contains("2 records was answered with 1"), "{error}");
}
