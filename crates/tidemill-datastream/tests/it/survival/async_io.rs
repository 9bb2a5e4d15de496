//! Asynchronous calls: what is under way when a checkpoint is taken is called again.

use std::collections::HashSet;
use std::sync::Mutex;

use tidemill_testkit::survival::Brake;

use super::*;

/// Every fifth call does not come back while the job is held up.
async fn call(event: Event, brake: Brake) -> Result<Event, BoxError> {
    while event.1.is_multiple_of(5) && brake.is_on() {
        tokio::time::sleep(ms(1)).await;
    }
    Ok((event.0, event.1 * 2))
}

fn calls(at_least: usize, job: impl Fn(&DataStream<Event>, Brake) -> DataStream<Event> + 'static) -> Case {
    let input = events();
    let read = input.clone();
    let case = Case::new(at_least, move |stage| {
        let env = environment(stage);
        let events = env.from_source(read.reader(), in_time(), "events");
        sink(&job(&events.rebalance(), stage.brake()), "results", stage);
        env.plan("survival")
    });
    case.input(&input)
}

fn options() -> AsyncOptions {
    // More than are held back: a checkpoint waits for room.
    AsyncOptions::new(ms(600_000)).with_capacity(2 * EVENTS as usize)
}

#[test]
fn asynchronous_calls() {
    survives("ordered", || {
        calls(EVENTS as usize, |events, brake| {
            events.ordered_wait(
                move |event| {
                    let brake = brake.clone();
                    async move { call(event, brake).await.map(Some) }
                },
                options(),
            )
        })
    });
    survives("unordered", || {
        calls(EVENTS as usize, |events, brake| {
            events.unordered_wait(
                move |event| {
                    let brake = brake.clone();
                    async move { call(event, brake).await.map(Some) }
                },
                options(),
            )
        })
    });
    survives("in batches", || {
        calls(EVENTS as usize, |events, brake| {
            events.async_map_batch(
                10,
                move |batch: Vec<Event>| {
                    let brake = brake.clone();
                    async move {
                        let mut results = Vec::new();
                        for event in batch {
                            results.push(call(event, brake.clone()).await?);
                        }
                        Ok(results)
                    }
                },
                options(),
            )
        })
    });
}

/// Each third call fails the first time that it is made, and each seventh finds nothing; what waits to be tried again when a
/// checkpoint is taken is called again from the beginning.
#[test]
fn calls_that_are_made_again() {
    let case = |ordered: bool| {
        calls(EVENTS as usize, move |events, brake| {
            let failed: Arc<Mutex<HashSet<u64>>> = Arc::default();
            let function = move |event: Event| {
                let (brake, failed) = (brake.clone(), failed.clone());
                async move {
                    let is_first = failed.lock().unwrap().insert(event.1);
                    match event.1 {
                        number if is_first && number.is_multiple_of(3) => Err("it fails at first".into()),
                        number if is_first && number.is_multiple_of(7) => Ok(None),
                        _ => call(event, brake).await.map(Some),
                    }
                }
            };
            let retry = RetryStrategy::fixed_delay(1, ms(5)).if_result(Option::is_none);
            match ordered {
                true => events.ordered_wait_with_retry(function, options(), retry),
                false => events.unordered_wait_with_retry(function, options(), retry),
            }
        })
    };
    survives("ordered, again", || case(true));
    survives("unordered, again", || case(false));
}
