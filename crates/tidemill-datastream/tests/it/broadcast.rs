//! Broadcast state.

use proptest::prelude::*;
use tidemill_datastream::{
    BroadcastContext, BroadcastProcessFunction, Collector, FiredTimer, KeyedBroadcastContext,
    KeyedBroadcastProcessFunction, KeyedReadOnlyContext, ReadOnlyContext,
};
use tidemill_runtime::BoxError;
use tidemill_serialization::RoutingHash;
use tidemill_state::{
    BroadcastState, KeyedStateBackend, MapStateDescriptor, OperatorStateBackend, ValueState,
    ValueStateDescriptor,
};
use tidemill_testkit::{Script, assert_same_with_snapshots, stamped};

use crate::support::{shared, streams};

/// Multiplies numbers by all factors that have been broadcast; a factor of 0 removes what its name stands for.
#[derive(Clone, Default)]
struct Factors(Option<BroadcastState<String, u64>>);

impl BroadcastProcessFunction<u64, (String, u64), u64> for Factors {
    fn open(&mut self, broadcast: &mut OperatorStateBackend) -> Result<(), BoxError> {
        self.0 = Some(broadcast.register_broadcast(MapStateDescriptor::new("factors"))?);
        Ok(())
    }

    fn process(
        &mut self,
        number: u64,
        context: &mut ReadOnlyContext<'_, '_>,
        out: &mut Collector<u64>,
    ) -> Result<(), BoxError> {
        let factors = self.0.unwrap().entries(context.broadcast_state())?;
        out.collect(factors.map(|(_, factor)| factor).product::<u64>() * number);
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        (name, factor): (String, u64),
        context: &mut BroadcastContext<'_, '_>,
        _: &mut Collector<u64>,
    ) -> Result<(), BoxError> {
        let factors = self.0.unwrap();
        if factor == 0 {
            factors.remove(context.broadcast_state(), &name)?;
        } else {
            factors.put(context.broadcast_state(), name, factor)?;
        }
        Ok(())
    }
}

#[test]
fn every_subtask_has_the_state() {
    let (numbers, factors) = streams::<u64, (String, u64)>();
    let stream = numbers.connect_broadcast(&factors.broadcast_state()).process(Factors::default());
    let factor = |name: &str, factor: u64| ((name.to_owned(), factor), 0);
    let script = Script::new()
        .rebalanced_input::<u64>(0)
        .broadcast_input::<(String, u64)>(1)
        .output::<u64>()
        .records(0, stamped([(1u64, 0), (2, 0), (3, 0)]))
        .records(1, stamped([factor("a", 2), factor("b", 5)]))
        .records(0, stamped([(1u64, 0), (2, 0), (3, 0)]))
        .records(1, stamped([factor("a", 0), factor("b", 7)]))
        .records(0, stamped([(1u64, 0), (2, 0), (3, 0)]))
        .end();
    let output = assert_same_with_snapshots(shared(&stream), &script);
    let numbers = |step: usize| -> Vec<u64> {
        output.steps[step].iter().map(|(_, row)| row.text.parse().unwrap()).collect()
    };
    assert_eq!((numbers(0), numbers(2), numbers(4)), (vec![1, 2, 3], vec![10, 20, 30], vec![7, 14, 21]));
}

/// Adds up numbers by key, in broadcast units. A new unit converts all sums; a timer tells a sum.
#[derive(Clone, Default)]
struct Sums {
    sums: Option<ValueState<u64>>,
    unit: Option<BroadcastState<u8, u64>>,
}

impl KeyedBroadcastProcessFunction<u8, (u8, u64), u64, (u8, u64)> for Sums {
    fn open(
        &mut self,
        states: &mut KeyedStateBackend<u8>,
        broadcast: &mut OperatorStateBackend,
    ) -> Result<(), BoxError> {
        self.sums = Some(states.register_value(ValueStateDescriptor::new("sums"))?);
        self.unit = Some(broadcast.register_broadcast(MapStateDescriptor::new("unit"))?);
        Ok(())
    }

    fn process(
        &mut self,
        (_, number): (u8, u64),
        context: &mut KeyedReadOnlyContext<'_, '_, u8>,
        _: &mut Collector<(u8, u64)>,
    ) -> Result<(), BoxError> {
        let unit = self.unit.unwrap().get(context.broadcast_state(), &0)?.copied().unwrap_or(1);
        let sums = self.sums.unwrap();
        let sum = sums.get(context.state())?.unwrap_or(0) + number * unit;
        sums.update(context.state(), sum)?;
        let timestamp = context.timestamp().unwrap();
        Ok(context.register_event_time_timer(timestamp)?)
    }

    fn process_broadcast(
        &mut self,
        unit: u64,
        context: &mut KeyedBroadcastContext<'_, '_, u8>,
        _: &mut Collector<(u8, u64)>,
    ) -> Result<(), BoxError> {
        let sums = self.sums.unwrap();
        self.unit.unwrap().put(context.broadcast_state(), 0, unit)?;
        context.apply_to_keyed_state("sums", |_, states| {
            let sum = sums.get(states)?.unwrap_or(0);
            sums.update(states, sum + unit)
        })?;
        Ok(())
    }

    fn on_timer(
        &mut self,
        _: FiredTimer,
        context: &mut KeyedReadOnlyContext<'_, '_, u8>,
        out: &mut Collector<(u8, u64)>,
    ) -> Result<(), BoxError> {
        let sum = self.sums.unwrap().get(context.state())?.unwrap_or(0);
        out.collect((*context.key()?, sum));
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Numbers(Vec<(u8, u64)>),
    Unit(u64),
    Watermark,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn keyed_and_broadcast_state_go_together(steps in prop::collection::vec(prop_oneof![
        3 => prop::collection::vec((0u8..6, 1u64..100), 1..8).prop_map(Step::Numbers),
        1 => (1u64..10).prop_map(Step::Unit),
        1 => Just(Step::Watermark),
    ], 1..16)) {
        let (numbers, units) = streams::<(u8, u64), u64>();
        let stream = numbers
            .key_by(|record| record.0)
            .connect_broadcast(&units.broadcast_state())
            .process(Sums::default());
        let mut script = Script::new()
            .keyed_input(0, |record: &(u8, u64)| record.0.routing_hash())
            .broadcast_input::<u64>(1)
            .output::<(u8, u64)>();
        let mut sums = std::collections::BTreeMap::<u8, u64>::new();
        let mut unit = 1;
        let mut touched = std::collections::BTreeSet::new();
        let mut expected: Vec<Vec<String>> = Vec::new();
        let mut time = 0;
        for step in &steps {
            let mut said = Vec::new();
            match step {
                Step::Numbers(numbers) => {
                    for (key, number) in numbers {
                        *sums.entry(*key).or_default() += number * unit;
                        touched.insert(*key);
                    }
                    script = script.records(0, stamped(numbers.iter().map(|record| (*record, time))));
                }
                Step::Unit(new) => {
                    unit = *new;
                    sums.values_mut().for_each(|sum| *sum += unit);
                    script = script.records(1, stamped([(unit, time)]));
                }
                Step::Watermark => {
                    script = script.watermark(time);
                    time += 10;
                    for key in std::mem::take(&mut touched) {
                        said.push(format!("{:?}", (key, sums[&key])));
                    }
                }
            }
            expected.push(said);
        }
        let output = assert_same_with_snapshots(shared(&stream), &script);
        for (rows, mut expected) in output.steps.into_iter().zip(expected) {
            let mut found: Vec<String> = rows.into_iter().map(|(_, row)| row.text).collect();
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
