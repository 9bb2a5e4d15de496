//! The functions of windows.

use tidemill_datastream::windows::{
    Elements, ProcessWindowFunction, TimeWindow, TumblingEventTimeWindows, WindowContext,
};
use tidemill_datastream::{Collector, DataStream, OutputTag};
use tidemill_runtime::BoxError;
use tidemill_serialization::RoutingHash;
use tidemill_state::{KeyedStateBackend, ValueState, ValueStateDescriptor};
use tidemill_testkit::{OperatorHarness, Script, assert_same_with_snapshots, stamped};

use crate::operators::last_operator;
use crate::window_model::{Rec, lines};
use crate::windows::{KeyedSum, ms};

/// Numbers the windows of a key and the firings of a window; small windows go to a side output.
#[derive(Clone, Default)]
struct Numbering {
    windows: Option<ValueState<u32>>,
    firings: Option<ValueState<u32, TimeWindow>>,
}

type Numbered = (u32, i64, u32, u32, u32);

impl ProcessWindowFunction<Rec, Numbered, u32, TimeWindow> for Numbering {
    fn open(&mut self, states: &mut KeyedStateBackend<u32>) -> Result<(), BoxError> {
        self.windows = Some(states.register_value(ValueStateDescriptor::new("windows"))?);
        self.firings = Some(states.register_value(ValueStateDescriptor::new("firings"))?);
        Ok(())
    }

    fn process(
        &mut self,
        key: &u32,
        context: &mut WindowContext<'_, u32, TimeWindow>,
        elements: Elements<Rec>,
        out: &mut Collector<Numbered>,
    ) -> Result<(), BoxError> {
        let window = *context.window();
        let count = |number: &mut u32| {
            *number += 1;
            *number
        };
        let firing = self.firings.unwrap().modify_in(context.state(), &window, || 0, count)?;
        let number = if firing == 1 {
            self.windows.unwrap().modify(context.state(), || 0, count)?
        } else {
            self.windows.unwrap().get(context.state())?.unwrap()
        };
        if elements.len() == 1 {
            context.output(&OutputTag::new("small"), *key)?;
        }
        out.collect((*key, window.start, number, firing, elements.len() as u32));
        Ok(())
    }

    fn clear(&mut self, context: &mut WindowContext<'_, u32, TimeWindow>) -> Result<(), BoxError> {
        let window = *context.window();
        Ok(self.firings.unwrap().clear_in(context.state(), &window)?)
    }
}

#[test]
fn a_function_with_state_and_side_output() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        stream
            .key_by(|record| record.0)
            .window(TumblingEventTimeWindows::of(ms(10)))
            .allowed_lateness(ms(5))
            .process(Numbering::default())
    });
    let script = Script::new()
        .keyed_input(0, |record: &Rec| record.0.routing_hash())
        .output::<Numbered>()
        .side::<u32>("small")
        .records(0, stamped([((1u32, 1i64), 3), ((1, 1), 4), ((2, 1), 5), ((1, 1), 12)]))
        .watermark(9)
        .records(0, stamped([((2u32, 1i64), 6)]))
        .end();
    let output = lines(&assert_same_with_snapshots(factory, &script));
    let small = |key: u32, end| (Some("small".to_owned()), key.to_string(), end);
    let main = |numbered: Numbered| (None, format!("{numbered:?}"), numbered.1 + 9);
    assert_eq!(output[1], [main((1, 0, 1, 1, 2)), main((2, 0, 1, 1, 1)), small(2, 9)]);
    assert_eq!(output[2], [main((2, 0, 1, 2, 2))]);
    assert_eq!(output[3], [main((1, 10, 2, 1, 1)), small(1, 19)]);
}

#[test]
fn the_state_of_a_window_goes_with_it() {
    let (factory, _) = last_operator(|stream: DataStream<Rec>| {
        stream
            .key_by(|record| record.0)
            .window(TumblingEventTimeWindows::of(ms(10)))
            .allowed_lateness(ms(5))
            .process(Numbering::default())
    });
    let mut harness = OperatorHarness::<Numbered>::new(factory).side::<u32>("small");
    harness.process(0, stamped::<Rec>([((1u32, 1i64), 3)])).unwrap();
    harness.watermark(13).unwrap();
    let entries = |harness: &mut OperatorHarness<Numbered>| -> Vec<String> {
        let snapshot = harness.snapshot().unwrap();
        let states = snapshot.keyed.into_iter().chain(snapshot.timers);
        states.filter(|state| !state.groups.is_empty()).map(|state| state.name).collect()
    };
    assert_eq!(entries(&mut harness), ["firings", "window-contents", "windows", "window-timers"]);
    harness.watermark(14).unwrap();
    assert_eq!(entries(&mut harness), ["windows"]);
}

#[test]
fn windows_of_all_records_have_one_subtask() {
    let (factory, parallelism) = last_operator(|stream: DataStream<Rec>| {
        let windows = stream.window_all(TumblingEventTimeWindows::of(ms(10)));
        windows.reduce_apply(
            |sum: &mut Rec, record: Rec| sum.1 += record.1,
            |(), window, (_, sum), out| {
                out.collect((window.start, sum));
                Ok(())
            },
        )
    });
    assert_eq!(parallelism, 1);
    let mut harness = OperatorHarness::<(i64, i64)>::new(factory).max_parallelism(1).random_snapshots(1, 2);
    harness.process(0, stamped::<Rec>([((1, 1), 3), ((2, 2), 4), ((3, 4), 15)])).unwrap();
    harness.watermark(i64::MAX).unwrap();
    assert_eq!(harness.take_records(), [((0, 3), 9), ((10, 4), 19)]);
}

#[test]
fn counted_windows_of_all_records() {
    let (factory, parallelism) =
        last_operator(|stream: DataStream<Rec>| stream.count_window_all(2).aggregate(KeyedSum));
    assert_eq!(parallelism, 1);
    let mut harness = OperatorHarness::<Rec>::new(factory).max_parallelism(1);
    harness.process(0, stamped::<Rec>([((1, 1), 3), ((2, 2), 4), ((3, 4), 15)])).unwrap();
    assert_eq!(harness.take_values(), [(2, 3)]);
}
