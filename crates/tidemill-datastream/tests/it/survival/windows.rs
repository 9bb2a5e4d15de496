//! Windows: every assigner, trigger and evictor, lateness, and functions with state of their own.

use std::time::Duration;

use tidemill_runtime::graph::BufferTimeout;

use super::*;

/// The elements of a window, in order of their numbers, so that it does not matter how they came.
fn listed(
    key: &u32,
    window: &TimeWindow,
    elements: Elements<Event>,
    out: &mut Collector<Listed>,
) -> Result<(), BoxError> {
    let mut numbers: Vec<u64> = elements.map(|event| event.1).collect();
    numbers.sort_unstable();
    out.collect((*key, window.start, window.end, numbers));
    Ok(())
}

type Listed = (u32, i64, i64, Vec<u64>);

/// Adds up numbers.
#[derive(Clone)]
struct Sum;

impl AggregateFunction for Sum {
    type In = Event;
    type Acc = (u32, u64, u64);
    type Out = (u32, u64, u64);

    fn create_accumulator(&self) -> (u32, u64, u64) {
        (0, 0, 0)
    }

    fn add(&self, all: &mut (u32, u64, u64), (key, number): Event) {
        *all = (key, all.1 + 1, all.2 + number);
    }

    fn get_result(&self, all: &(u32, u64, u64)) -> (u32, u64, u64) {
        *all
    }

    fn merge(&self, all: &mut (u32, u64, u64), other: (u32, u64, u64)) {
        *all = (all.0.max(other.0), all.1 + other.1, all.2 + other.2);
    }
}

fn add(sum: &mut Event, (_, number): Event) {
    sum.1 += number;
}

type Job = fn(&KeyedEvents) -> DataStream<String>;
type KeyedEvents = KeyedStream<Event, ByValue<fn(&Event) -> u32, u32>>;

/// The jobs of a table, over events that are keyed.
fn keyed(name: &str, at_least: usize, input: fn() -> Input<Event>, job: Job) {
    survives(name, || {
        let input = input();
        // Where it matters how event time and events come, no other subtask may have a say in event time.
        let alone = input.splits() == 1;
        over(input, at_least, move |events| {
            if alone {
                // A watermark rides behind the records of its buffer, those that came after it included.
                events.set_parallelism(1).set_buffer_timeout(BufferTimeout::Immediate);
            }
            let key: fn(&Event) -> u32 = |event| event.0;
            job(&events.key_by(key))
        })
    });
}

fn text<T: Data + Debug>(stream: &DataStream<T>) -> DataStream<String> {
    stream.map(|value| format!("{value:?}"))
}

#[test]
fn tumbling_windows() {
    keyed("tumbling, reduced", 100, events, |events| {
        text(&events.window(TumblingEventTimeWindows::of(ms(300))).reduce(add))
    });
    keyed("tumbling, listed", 100, events, |events| {
        text(&events.window(TumblingEventTimeWindows::of(ms(300))).apply(listed))
    });
}

#[test]
fn sliding_windows() {
    keyed("sliding, aggregated", 200, events, |events| {
        text(&events.window(SlidingEventTimeWindows::of(ms(600), ms(200))).aggregate(Sum))
    });
    keyed("cumulating, aggregated", 200, events, |events| {
        text(&events.window(CumulateEventTimeWindows::of(ms(600), ms(200))).aggregate(Sum))
    });
}

#[test]
fn session_windows() {
    keyed("sessions, aggregated", 50, events, |events| {
        text(&events.window(EventTimeSessionWindows::with_gap(ms(80))).aggregate(Sum))
    });
    keyed("sessions of gaps that differ", 50, events, |events| {
        let gaps = EventTimeSessionWindows::with_dynamic_gap(|event: &Event| ms(40 + event.1 % 3 * 40));
        text(&events.window(gaps).apply(listed))
    });
}

#[test]
fn global_and_count_windows() {
    keyed("global, each fifth", 150, events, |events| {
        let fifth = PurgingTrigger::of(CountTrigger::of(5));
        text(&events.window(GlobalWindows::create()).trigger(fifth).aggregate(Sum))
    });
    keyed("counted", 200, events, |events| text(&events.count_window(4).aggregate(Sum)));
    keyed("counted and sliding", 200, events, |events| {
        text(&events.count_window_sliding(6, 3).aggregate(Sum))
    });
}

/// In one split, in order, so that it is known what event time is when an event comes.
fn ordered() -> Input<Event> {
    let numbers = 0..EVENTS;
    let key = |number| (scatter(number) % u64::from(KEYS)) as u32;
    Input::new([numbers.map(|number| ((key(number), number), number as i64 * STEP)).collect()])
}

#[test]
fn counting_triggers_in_windows_of_time() {
    keyed("each third of a window", 150, events, |events| {
        let third = PurgingTrigger::of(CountTrigger::of(3));
        text(&events.window(TumblingEventTimeWindows::of(ms(600))).trigger(third).aggregate(Sum))
    });
}

#[test]
fn continuous_triggers() {
    keyed("continuous trigger", 200, ordered, |events| {
        let windows = events.window(TumblingEventTimeWindows::of(ms(900)));
        text(&windows.trigger(ContinuousEventTimeTrigger::of(ms(200))).aggregate(Sum))
    });
}

#[test]
fn evictors() {
    keyed("evicted by count", 100, ordered, |events| {
        let windows = events.window(TumblingEventTimeWindows::of(ms(300)));
        text(&windows.evictor(CountEvictor::of(3)).apply(listed))
    });
    keyed("evicted by time", 100, ordered, |events| {
        let windows = events.window(SlidingEventTimeWindows::of(ms(400), ms(200)));
        text(&windows.evictor(TimeEvictor::of(ms(150))).reduce(add))
    });
    keyed("evicted by what changes", 100, ordered, |events| {
        let windows = events.window(TumblingEventTimeWindows::of(ms(300)));
        let near = DeltaEvictor::of(15.0, |old: &Event, last: &Event| (last.1 - old.1) as f64);
        text(&windows.evictor(near).apply(listed))
    });
    // What is evicted when the function has seen it is missing when it is called again.
    keyed("evicted afterwards", 200, ordered, |events| {
        let windows = events.window(TumblingEventTimeWindows::of(ms(900)));
        let windows = windows.trigger(ContinuousEventTimeTrigger::of(ms(200)));
        text(&windows.evictor(CountEvictor::of(3).after()).aggregate(Sum))
    });
}

/// In one split; in each block of eight the first four bring event time to the end of a window of 100 ms, and of the others
/// one is late for the window before and one for that before it.
fn late() -> Input<Event> {
    let split = (0..EVENTS / 8).flat_map(|block| {
        let time = 1_000 + block as i64 * 100;
        let times = [0, 10, 20, 99, 99, -30, -150, 60];
        let events = times.into_iter().zip(block * 8..);
        events.map(move |(offset, number)| (((number % 3) as u32, number), time + offset))
    });
    Input::new([split.collect()])
}

#[test]
fn lateness_and_side_outputs() {
    let case = || {
        let input = late();
        let read = input.clone();
        Case::new(300, move |stage| {
            let env = environment(stage);
            let in_order: WatermarkStrategy<Event> = WatermarkStrategy::for_generator(|| EachBatch(0));
            let events = env.from_source(read.reader(), in_order, "events").set_parallelism(1);
            let events = events.set_buffer_timeout(BufferTimeout::Immediate);
            let late = OutputTag::<Event>::new("late");
            let windows = events.key_by(|event| event.0).window(TumblingEventTimeWindows::of(ms(100)));
            let listed = windows.allowed_lateness(ms(100)).side_output_late_data(&late).apply(listed);
            sink(&listed, "windows", stage);
            sink(&listed.side_output(&late).map(|event| format!("late {event:?}")), "late", stage);
            env.plan("survival")
        })
        .input(&input)
    };
    survives("lateness", case);
}

#[test]
fn sessions_that_late_events_extend() {
    keyed("sessions with lateness", 200, late, |events| {
        let sessions = events.window(EventTimeSessionWindows::with_gap(ms(25)));
        text(&sessions.allowed_lateness(ms(120)).aggregate(Sum))
    });
}

#[test]
fn windows_of_all() {
    survives("window of all", || {
        // Which event comes first is not known.
        of_events(30, |events| {
            let numbers = events.map(|event| (0, event.1));
            // With one subtask what follows would be chained, but for the records that are on their way to it.
            numbers.window_all(TumblingEventTimeWindows::of(ms(300))).reduce(add)
        })
    });
    survives("counted windows of all", || {
        of_events(EVENTS as usize / 10, |events| events.map(|_| (0, 1)).count_window_all(10).reduce(add))
    });
}

#[test]
fn windows_of_processing_time() {
    let hour = Duration::from_secs(3600);
    let keys = KEYS as usize;
    survives("tumbling, processing time", || {
        let case = of_events(2 * keys, move |events| {
            let windows = TumblingProcessingTimeWindows::of(hour);
            events.key_by(|event| event.0).window(windows).aggregate(Sum)
        });
        case.jump_before_last_part(hour * 2).jump_before_end(hour * 2, 2 * keys)
    });
    survives("sliding, processing time", || {
        let case = of_events(4 * keys, move |events| {
            let windows = SlidingProcessingTimeWindows::of(hour * 2, hour);
            events.key_by(|event| event.0).window(windows).aggregate(Sum)
        });
        case.jump_before_last_part(hour * 3).jump_before_end(hour * 3, 4 * keys)
    });
    survives("sessions, processing time", || {
        let case = of_events(2 * keys, move |events| {
            let windows = ProcessingTimeSessionWindows::with_gap(hour);
            events.key_by(|event| event.0).window(windows).aggregate(Sum)
        });
        case.jump_before_last_part(hour * 2).jump_before_end(hour * 2, 2 * keys)
    });
    // The windows themselves are not over when the job ends.
    survives("continuous trigger, processing time", || {
        let case = of_events(keys, move |events| {
            let windows = TumblingProcessingTimeWindows::of(hour * 1_000);
            let each_hour = ContinuousProcessingTimeTrigger::of(hour);
            events.key_by(|event| event.0).window(windows).trigger(each_hour).aggregate(Sum)
        });
        case.jump_before_end(hour + hour / 2, keys)
    });
}

/// Numbers the windows of a key, in state that outlives them.
#[derive(Clone, Default)]
struct Numbered {
    count: ValueState<u64>,
}

impl ProcessWindowFunction<(u32, u64, u64), String, u32, TimeWindow> for Numbered {
    fn open(&mut self, states: &mut KeyedStateBackend<u32>) -> Result<(), BoxError> {
        self.count = states.register_value(ValueStateDescriptor::new("windows"))?;
        Ok(())
    }

    fn process(
        &mut self,
        key: &u32,
        context: &mut WindowContext<'_, u32, TimeWindow>,
        elements: Elements<(u32, u64, u64)>,
        out: &mut Collector<String>,
    ) -> Result<(), BoxError> {
        let count = self.count.get(context.state())?.unwrap_or(0) + 1;
        self.count.update(context.state(), count)?;
        let sums: Vec<_> = elements.collect();
        out.collect(format!("{key}: {count} at {} {sums:?}", context.window().start));
        Ok(())
    }
}

#[test]
fn functions_of_windows_with_state() {
    keyed("windows that are numbered", 100, events, |events| {
        events.window(TumblingEventTimeWindows::of(ms(300))).aggregate_with(Sum, Numbered::default())
    });
}
