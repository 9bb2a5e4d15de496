//! Asynchronous calls: what is under way when a checkpoint is taken is called again.

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
