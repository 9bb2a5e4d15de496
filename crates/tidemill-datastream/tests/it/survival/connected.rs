//! Functions of two streams, broadcast state, and state that belongs to no key.

use tidemill_runtime::OperatorContext;
use tidemill_state::{BroadcastState, OperatorListState, OperatorStateBackend};

use super::*;

type Numbers = (u32, i64, Vec<u64>, Vec<u64>);

/// Collects the numbers of two streams by key, and tells those of each 500 ms.
#[derive(Clone, Default)]
struct Both {
    first: ListState<u64>,
    second: MapState<u64, ()>,
}

/// When all numbers up to this one have come.
fn due(number: u64) -> i64 {
    (number as i64 * STEP / 500 + 1) * 500 + 2 * DISORDER
}

impl Both {
    fn expect(&self, number: u64, context: &mut KeyedContext<'_, u32>) -> Result<(), BoxError> {
        Ok(context.register_event_time_timer(due(number))?)
    }
}

impl KeyedCoProcessFunction<u32, Event, Event, Numbers> for Both {
    fn open(&mut self, states: &mut KeyedStateBackend<u32>) -> Result<(), BoxError> {
        self.first = states.register_list(ListStateDescriptor::new("first"))?;
        self.second = states.register_map(MapStateDescriptor::new("second"))?;
        Ok(())
    }

    fn process1(
        &mut self,
        (_, number): Event,
        context: &mut KeyedContext<'_, u32>,
        _: &mut Collector<Numbers>,
    ) -> Result<(), BoxError> {
        self.first.add(context.state(), number)?;
        self.expect(number, context)
    }

    fn process2(
        &mut self,
        (_, number): Event,
        context: &mut KeyedContext<'_, u32>,
        _: &mut Collector<Numbers>,
    ) -> Result<(), BoxError> {
        self.second.put(context.state(), number, ())?;
        self.expect(number, context)
    }

    fn on_timer(
        &mut self,
        timer: FiredTimer,
        context: &mut KeyedContext<'_, u32>,
        out: &mut Collector<Numbers>,
    ) -> Result<(), BoxError> {
        let states = context.state();
        let is_due = |number: &u64| due(*number) <= timer.timestamp;
        let (mut first, left): (Vec<u64>, Vec<u64>) = self.first.get(states)?.into_iter().partition(is_due);
        self.first.update(states, left)?;
        let mut second: Vec<u64> =
            self.second.entries(states)?.into_iter().map(|(number, ())| number).collect();
        second.retain(is_due);
        for number in &second {
            self.second.remove(states, number)?;
        }
        first.sort_unstable();
        second.sort_unstable();
        out.collect((*context.key()?, timer.timestamp, first, second));
        Ok(())
    }
}

#[test]
fn keyed_functions_of_two_streams() {
    survives("keyed coProcess", || {
        let (first, second) = (events(), events());
        let (read, other) = (first.clone(), second.clone());
        let case = Case::new(80, move |stage| {
            let env = environment(stage);
            let first = env.from_source(read.reader(), in_time(), "first");
            let second = env.from_source(other.reader(), in_time(), "second");
            let second = second.filter(|event| event.1 % 2 == 0).key_by(|event| event.0);
            let both = first.key_by(|event| event.0).connect(&second).process(Both::default());
            sink(&both, "results", stage);
            env.plan("survival")
        });
        case.input(&first).input(&second)
    });
}

type Rule = (u32, u64);

/// Rules for eight classes of numbers, which come in the first part of the input, and again in the others.
fn rules() -> Input<Rule> {
    Input::new([(0..24u32)
        .map(|number| ((number % 8, u64::from(number % 8) * 1_000_000), 1_000_000))
        .collect()])
}

fn with_rules<U: Data + Debug>(
    at_least: usize,
    job: impl Fn(&DataStream<Event>, &BroadcastStream<Rule>) -> DataStream<U> + 'static,
) -> Case {
    let (events, rules) = (events(), rules());
    let (read, other) = (events.clone(), rules.clone());
    let case = Case::new(at_least, move |stage| {
        let env = environment(stage);
        let events = env.from_source(read.reader(), in_time(), "events");
        let rules = env.from_source(other.reader(), WatermarkStrategy::no_watermarks(), "rules");
        sink(&job(&events, &rules.broadcast_state()), "results", stage);
        env.plan("survival")
    });
    case.input(&events).input(&rules)
}

/// Applies the rules to numbers; those in the first half of the input come as they are.
#[derive(Clone, Default)]
struct Apply {
    rules: Option<BroadcastState<u32, u64>>,
}

impl BroadcastProcessFunction<Event, Rule, (u32, Option<u64>)> for Apply {
    fn open(&mut self, broadcast: &mut OperatorStateBackend) -> Result<(), BoxError> {
        self.rules = Some(broadcast.register_broadcast(MapStateDescriptor::new("rules"))?);
        Ok(())
    }

    fn process(
        &mut self,
        (key, number): Event,
        context: &mut ReadOnlyContext<'_, '_>,
        out: &mut Collector<(u32, Option<u64>)>,
    ) -> Result<(), BoxError> {
        let class = (number % 8) as u32;
        let rule = self.rules.unwrap().get(context.broadcast_state(), &class)?.copied();
        out.collect((key, if number < EVENTS / 2 { Some(number) } else { rule.map(|rule| rule + number) }));
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        (class, rule): Rule,
        context: &mut BroadcastContext<'_, '_>,
        _: &mut Collector<(u32, Option<u64>)>,
    ) -> Result<(), BoxError> {
        Ok(self.rules.unwrap().put(context.broadcast_state(), class, rule)?)
    }
}

#[test]
fn broadcast_state() {
    // What is broadcast is not stored on its way, so these are aligned.
    survive("broadcast", &backends(), || {
        let case = with_rules(EVENTS as usize, |events, rules| {
            events.rebalance().connect_broadcast(rules).process(Apply::default())
        });
        case.in_steps()
    });
}

/// As [`Apply`], by key, with numbers that wait for their rules.
#[derive(Clone, Default)]
struct Waits {
    waiting: ListState<u64>,
    rules: Option<BroadcastState<u32, u64>>,
}

impl KeyedBroadcastProcessFunction<u32, Event, Rule, (u32, u64)> for Waits {
    fn open(
        &mut self,
        states: &mut KeyedStateBackend<u32>,
        broadcast: &mut OperatorStateBackend,
    ) -> Result<(), BoxError> {
        self.waiting = states.register_list(ListStateDescriptor::new("waiting"))?;
        self.rules = Some(broadcast.register_broadcast(MapStateDescriptor::new("rules"))?);
        Ok(())
    }

    fn process(
        &mut self,
        (key, number): Event,
        context: &mut KeyedReadOnlyContext<'_, '_, u32>,
        out: &mut Collector<(u32, u64)>,
    ) -> Result<(), BoxError> {
        match self.rules.unwrap().get(context.broadcast_state(), &((number % 8) as u32))? {
            Some(rule) => out.collect((key, rule + number)),
            None => self.waiting.add(context.state(), number)?,
        }
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        (class, rule): Rule,
        context: &mut KeyedBroadcastContext<'_, '_, u32>,
        out: &mut Collector<(u32, u64)>,
    ) -> Result<(), BoxError> {
        self.rules.unwrap().put(context.broadcast_state(), class, rule)?;
        let waiting = self.waiting;
        context.apply_to_keyed_state("waiting", |key, states| {
            let of_class = |number: &u64| number % 8 == u64::from(class);
            let (now, left): (Vec<u64>, Vec<u64>) = waiting.get(states)?.into_iter().partition(of_class);
            now.into_iter().for_each(|number| out.collect((*key, rule + number)));
            waiting.update(states, left)
        })?;
        Ok(())
    }
}

#[test]
fn keyed_broadcast_state() {
    survive("keyed broadcast", &backends(), || {
        with_rules(EVENTS as usize, |events, rules| {
            events.key_by(|event| event.0).connect_broadcast(rules).process(Waits::default())
        })
    });
}

/// Holds numbers back until there are too many, or the last ones come.
#[derive(Clone, Default)]
struct Holds {
    union: bool,
    held: Vec<Event>,
    stored: Option<OperatorListState<Event>>,
}

/// These let go of all that is held. There are enough of them for each subtask to get some of each split.
const LAST: u64 = 150;

impl ProcessFunction<Event, Event> for Holds {
    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        if self.union {
            // Each subtask has got everything, and keeps its share.
            let mine = |event: &Event| event.1 % u64::from(context.parallelism) == u64::from(context.subtask);
            self.held.retain(mine);
        }
        Ok(())
    }

    fn process(
        &mut self,
        event: Event,
        _: &mut ProcessContext<'_>,
        out: &mut Collector<Event>,
    ) -> Result<(), BoxError> {
        self.held.push(event);
        let most = if event.1 >= EVENTS - LAST { 0 } else { 20 };
        while self.held.len() > most {
            out.collect(self.held.remove(0));
        }
        Ok(())
    }
}

impl CheckpointedFunction for Holds {
    fn initialize_state(&mut self, states: &mut OperatorStateBackend) -> Result<(), BoxError> {
        let descriptor = ListStateDescriptor::new("held");
        let stored = match self.union {
            true => states.register_union_list(descriptor)?,
            false => states.register_list(descriptor)?,
        };
        self.held = stored.get(states)?.to_vec();
        self.stored = Some(stored);
        Ok(())
    }

    fn snapshot_state(&mut self, states: &mut OperatorStateBackend) -> Result<(), BoxError> {
        Ok(self.stored.unwrap().update(states, self.held.iter().copied())?)
    }
}

#[test]
fn operator_state() {
    for (name, union) in [("list state", false), ("union list state", true)] {
        survives(name, || {
            of_events(EVENTS as usize, move |events| {
                events.rebalance().process_checkpointed(Holds { union, ..Holds::default() })
            })
        });
    }
}
