//! Sources with splits, and how records are dealt.

use super::*;

/// Says what was read.
fn read_as(name: &str, job: fn(&DataStream<Event>) -> DataStream<Event>) {
    survives(name, || of_events(EVENTS as usize, job));
}

#[test]
fn splits() {
    survives("more splits than subtasks", || {
        let input = Input::dealt(7, (0..EVENTS).map(|number| (((number % 5) as u32, number), number as i64)));
        over(input, EVENTS as usize, |events| events.rebalance())
    });
    survives("one split", || {
        let input = Input::dealt(1, (0..EVENTS).map(|number| (((number % 5) as u32, number), number as i64)));
        over(input, EVENTS as usize, |events| events.rebalance())
    });
}

#[test]
fn records_that_are_dealt_out() {
    read_as("rebalanced", |events| events.rebalance());
    read_as("shuffled", |events| events.shuffle().map(|event| event));
    read_as("to one", |events| events.global().map(|event| event));
}

#[test]
fn records_that_are_not_dealt_anew() {
    // Checkpoints of these are aligned, whatever was asked for.
    let survived = |name: &str, job: fn(&DataStream<Event>) -> DataStream<Event>| {
        survive(name, &backends(), || of_events(EVENTS as usize, job))
    };
    survived("forwarded", |events| events.disable_chaining().forward().map(|event| event).disable_chaining());
    survived("rescaled", |events| events.rescale().map(|event| event));
    survived("by a function", |events| {
        events.partition_custom(|event: &Event, channels| event.1 as usize % channels).map(|event| event)
    });
}

#[test]
fn streams_that_are_united() {
    survives("united", || {
        let (first, second) = (events(), events());
        let (read, other) = (first.clone(), second.clone());
        let case = Case::new(2 * EVENTS as usize, move |stage| {
            let env = environment(stage);
            let first = env.from_source(read.reader(), in_time(), "first");
            let second = env.from_source(other.reader(), in_time(), "second");
            let both = first.union(&[&second.map(|(key, number)| (key + 100, number))]);
            sink(
                &both.key_by(|event| event.0).reduce(|sum: &mut Event, (_, more)| sum.1 += more),
                "sums",
                stage,
            );
            env.plan("survival")
        });
        case.input(&first).input(&second)
    });
}

#[test]
fn watermark_alignment() {
    survives("aligned watermarks", || {
        let (first, second) = (events(), events());
        let (read, other) = (first.clone(), second.clone());
        let case = Case::new(100, move |stage| {
            let env = environment(stage);
            let together = || in_time().with_watermark_alignment("both", ms(400), ms(2));
            let first = env.from_source(read.reader(), together(), "first");
            let second = env.from_source(other.reader(), together(), "second");
            let windows = first.union(&[&second]).key_by(|event| event.0);
            let windows = windows.window(TumblingEventTimeWindows::of(ms(300)));
            sink(&windows.reduce(|sum: &mut Event, (_, more)| sum.1 += more), "sums", stage);
            env.plan("survival")
        });
        case.input(&first).input(&second)
    });
}
