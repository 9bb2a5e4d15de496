//! Joins of two streams.

use super::*;

/// A case with two inputs, one with fewer events than the other.
fn of_two<U: Data + Debug>(
    at_least: usize,
    job: impl Fn(&DataStream<Event>, &DataStream<Event>) -> DataStream<U> + 'static,
) -> Case {
    let (first, second) = (events(), events());
    let (read, other) = (first.clone(), second.clone());
    Case::new(at_least, move |stage| {
        let env = environment(stage);
        let first = env.from_source(read.reader(), in_time(), "first");
        let second = env.from_source(other.reader(), in_time(), "second");
        sink(&job(&first, &second.filter(|event| event.1 % 3 != 0)), "results", stage);
        env.plan("survival")
    })
    .input(&first)
    .input(&second)
}

#[test]
fn interval_join() {
    survives("interval join", || {
        of_two(900, |first, second| {
            first
                .key_by(|event| event.0)
                .interval_join(&second.key_by(|event| event.0))
                .between(-90, 60)
                .apply(|left, right| (*left, right.1))
        })
    });
}

#[test]
fn window_join() {
    survives("window join", || {
        of_two(900, |first, second| {
            first
                .join(second)
                .where_key(|event| event.0)
                .equal_to(|event| event.0)
                .window(TumblingEventTimeWindows::of(ms(200)))
                .apply(|left, right| (*left, right.1))
        })
    });
    survives("window join with a trigger", || {
        of_two(900, |first, second| {
            first
                .join(second)
                .where_key(|event| event.0)
                .equal_to(|event| event.0)
                .window(TumblingEventTimeWindows::of(ms(200)))
                .trigger(PurgingTrigger::of(EventTimeTrigger))
                .allowed_lateness(ms(100))
                .apply(|left, right| (*left, right.1))
        })
    });
}

#[test]
fn co_group() {
    survives("coGroup", || {
        of_two(200, |first, second| {
            first
                .co_group(second)
                .where_key(|event| event.0)
                .equal_to(|event| event.0)
                .window(SlidingEventTimeWindows::of(ms(400), ms(200)))
                .apply(|key: &u32, window, first, second, out: &mut Collector<String>| {
                    let sorted = |events: Vec<Event>| {
                        let mut numbers: Vec<u64> = events.into_iter().map(|event| event.1).collect();
                        numbers.sort_unstable();
                        numbers
                    };
                    let start = window.start;
                    out.collect(format!("{key} at {start}: {:?} and {:?}", sorted(first), sorted(second)));
                    Ok(())
                })
        })
    });
}
