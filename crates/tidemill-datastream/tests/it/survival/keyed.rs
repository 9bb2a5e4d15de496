//! Keyed functions: each kind of state, its time to live, and timers.

use std::time::Duration;

use tidemill_state::{
    AggregatingState, AggregatingStateDescriptor, ReducingState, ReducingStateDescriptor, TimeDomain,
};

use super::*;

/// Keeps numbers in one kind of state, and says for each number what it has become.
#[derive(Clone, Default)]
struct Keeps {
    kind: Kind,
    value: ValueState<u64>,
    list: ListState<u64>,
    map: MapState<u64, u64>,
    reducing: ReducingState<u64>,
    aggregating: AggregatingState<u64, (u64, u64), String>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Kind {
    #[default]
    Value,
    List,
    Map,
    Reducing,
    Aggregating,
    All,
}

/// The numbers and their sum.
struct Mean;

impl AggregateFunction for Mean {
    type In = u64;
    type Acc = (u64, u64);
    type Out = String;

    fn create_accumulator(&self) -> (u64, u64) {
        (0, 0)
    }

    fn add(&self, all: &mut (u64, u64), number: u64) {
        *all = (all.0 + 1, all.1 + number);
    }

    fn get_result(&self, (count, sum): &(u64, u64)) -> String {
        format!("{sum}/{count}")
    }

    fn merge(&self, all: &mut (u64, u64), other: (u64, u64)) {
        *all = (all.0 + other.0, all.1 + other.1);
    }
}

type Said = (u32, String);

impl Keeps {
    fn value(&self, states: &mut KeyedStateBackend<u32>, number: u64) -> Result<String, BoxError> {
        let before = self.value.get(states)?;
        self.value.update(states, number)?;
        Ok(format!("{number} after {before:?}"))
    }

    fn list(&self, states: &mut KeyedStateBackend<u32>, number: u64) -> Result<String, BoxError> {
        self.list.add(states, number)?;
        let all = self.list.get(states)?;
        if all.len() == 9 {
            self.list.update(states, all[7..].to_vec())?;
        }
        Ok(format!("{all:?}"))
    }

    fn map(&self, states: &mut KeyedStateBackend<u32>, number: u64) -> Result<String, BoxError> {
        let class = number % 11;
        let count = self.map.get(states, &class)?.unwrap_or(0) + 1;
        self.map.put(states, class, count)?;
        if count == 4 {
            self.map.remove(states, &class)?;
        }
        let mut entries = self.map.entries(states)?;
        entries.sort_unstable();
        Ok(format!("{entries:?}"))
    }

    fn reducing(&self, states: &mut KeyedStateBackend<u32>, number: u64) -> Result<String, BoxError> {
        self.reducing.add(states, number)?;
        Ok(format!("{:?}", self.reducing.get(states)?))
    }

    fn aggregating(&self, states: &mut KeyedStateBackend<u32>, number: u64) -> Result<String, BoxError> {
        self.aggregating.add(states, number)?;
        Ok(format!("{:?}", self.aggregating.get(states)?))
    }
}

impl KeyedProcessFunction<u32, Event, Said> for Keeps {
    fn open(&mut self, states: &mut KeyedStateBackend<u32>) -> Result<(), BoxError> {
        let greater = |a: &mut u64, b: u64| *a = (*a).max(b);
        match self.kind {
            Kind::Value => self.value = states.register_value(ValueStateDescriptor::new("value"))?,
            Kind::List => self.list = states.register_list(ListStateDescriptor::new("list"))?,
            Kind::Map => self.map = states.register_map(MapStateDescriptor::new("map"))?,
            Kind::Reducing => {
                self.reducing =
                    states.register_reducing(ReducingStateDescriptor::new("reducing", greater))?;
            }
            Kind::Aggregating => {
                self.aggregating =
                    states.register_aggregating(AggregatingStateDescriptor::new("aggregating", Mean))?;
            }
            Kind::All => {
                self.value = states.register_value(ValueStateDescriptor::new("value"))?;
                self.list = states.register_list(ListStateDescriptor::new("list"))?;
                self.map = states.register_map(MapStateDescriptor::new("map"))?;
                self.reducing =
                    states.register_reducing(ReducingStateDescriptor::new("reducing", greater))?;
                self.aggregating =
                    states.register_aggregating(AggregatingStateDescriptor::new("aggregating", Mean))?;
            }
        }
        Ok(())
    }

    fn process(
        &mut self,
        (key, number): Event,
        context: &mut KeyedContext<'_, u32>,
        out: &mut Collector<Said>,
    ) -> Result<(), BoxError> {
        let states = context.state();
        let said = match self.kind {
            Kind::Value => self.value(states, number)?,
            Kind::List => self.list(states, number)?,
            Kind::Map => self.map(states, number)?,
            Kind::Reducing => self.reducing(states, number)?,
            Kind::Aggregating => self.aggregating(states, number)?,
            Kind::All => [Self::value, Self::list, Self::map, Self::reducing, Self::aggregating]
                .iter()
                .map(|keep| keep(self, states, number))
                .collect::<Result<Vec<_>, _>>()?
                .join(", "),
        };
        out.collect((key, said));
        Ok(())
    }
}

#[test]
fn keyed_state_of_each_kind() {
    for kind in [Kind::Value, Kind::List, Kind::Map, Kind::Reducing, Kind::Aggregating, Kind::All] {
        survives(&format!("keyed state: {kind:?}"), || {
            of_events(EVENTS as usize, move |events| {
                events.key_by(|event| event.0).process(Keeps { kind, ..Keeps::default() })
            })
        });
    }
}

/// Counts by key, once for an hour and once for a hundred.
#[derive(Clone, Default)]
struct Expires {
    hour: ValueState<u64>,
    days: MapState<u32, u64>,
}

const HOUR: Duration = Duration::from_secs(3600);

impl KeyedProcessFunction<u32, Event, (u32, u64, u64)> for Expires {
    fn open(&mut self, states: &mut KeyedStateBackend<u32>) -> Result<(), BoxError> {
        let hour = ValueStateDescriptor::new("hour").with_ttl(StateTtlConfig::new(HOUR));
        let days = MapStateDescriptor::new("days").with_ttl(StateTtlConfig::new(HOUR * 100));
        self.hour = states.register_value(hour)?;
        self.days = states.register_map(days)?;
        Ok(())
    }

    fn process(
        &mut self,
        (key, _): Event,
        context: &mut KeyedContext<'_, u32>,
        out: &mut Collector<(u32, u64, u64)>,
    ) -> Result<(), BoxError> {
        let states = context.state();
        let hour = self.hour.get(states)?.unwrap_or(0) + 1;
        self.hour.update(states, hour)?;
        let days = self.days.get(states, &key)?.unwrap_or(0) + 1;
        self.days.put(states, key, days)?;
        out.collect((key, hour, days));
        Ok(())
    }
}

#[test]
fn time_to_live() {
    let case = || {
        let case =
            of_events(EVENTS as usize, |events| events.key_by(|event| event.0).process(Expires::default()));
        case.jump_before_last_part(HOUR * 2)
    };
    survives("time to live", case);
}

/// Collects the numbers of a key for a while: a timer says and forgets them. A number that is a multiple of 5 puts it off.
#[derive(Clone, Default)]
struct Timed {
    numbers: ListState<u64>,
    due: ValueState<i64>,
}

impl KeyedProcessFunction<u32, Event, (u32, i64, Vec<u64>)> for Timed {
    fn open(&mut self, states: &mut KeyedStateBackend<u32>) -> Result<(), BoxError> {
        self.numbers = states.register_list(ListStateDescriptor::new("numbers"))?;
        self.due = states.register_value(ValueStateDescriptor::new("due"))?;
        Ok(())
    }

    fn process(
        &mut self,
        (_, number): Event,
        context: &mut KeyedContext<'_, u32>,
        _: &mut Collector<(u32, i64, Vec<u64>)>,
    ) -> Result<(), BoxError> {
        // By the hundred, and only put off where that is no later than event time can be.
        let end = (number as i64 * STEP / 700 + 1) * 700 + 2 * DISORDER;
        context.register_event_time_timer(end)?;
        if number.is_multiple_of(5) {
            context.register_event_time_timer(end + 350)?;
            context.delete_event_time_timer(end)?;
        }
        self.due.update(context.state(), end)?;
        self.numbers.add(context.state(), number)?;
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: FiredTimer,
        context: &mut KeyedContext<'_, u32>,
        out: &mut Collector<(u32, i64, Vec<u64>)>,
    ) -> Result<(), BoxError> {
        let numbers = self.numbers.get(context.state())?;
        // Those that came before the timer in event time, whatever else has come.
        let (mut due, left): (Vec<u64>, Vec<u64>) =
            numbers.into_iter().partition(|number| (*number as i64) * STEP + 3 * DISORDER < timer.timestamp);
        due.sort_unstable();
        self.numbers.update(context.state(), left)?;
        out.collect((*context.key()?, timer.timestamp, due));
        Ok(())
    }
}

#[test]
fn event_time_timers() {
    survives("event-time timers", || {
        of_events(50, |events| events.key_by(|event| event.0).process(Timed::default()))
    });
}

/// Counts the numbers of a key until a timer of each hour.
#[derive(Clone, Default)]
struct Hourly {
    count: ValueState<u64>,
}

impl KeyedProcessFunction<u32, Event, (u32, i64, u64)> for Hourly {
    fn open(&mut self, states: &mut KeyedStateBackend<u32>) -> Result<(), BoxError> {
        self.count = states.register_value(ValueStateDescriptor::new("count"))?;
        Ok(())
    }

    fn process(
        &mut self,
        (key, number): Event,
        context: &mut KeyedContext<'_, u32>,
        _: &mut Collector<(u32, i64, u64)>,
    ) -> Result<(), BoxError> {
        let count = self.count.get(context.state())?.unwrap_or(0) + 1;
        self.count.update(context.state(), count)?;
        let hour = HOUR.as_millis() as i64;
        context.register_processing_time_timer(hour + i64::from(key))?;
        context.register_processing_time_timer(hour * 4 + number as i64)?;
        context.delete_processing_time_timer(hour * 4 + (number / 2 * 2) as i64)?;
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: FiredTimer,
        context: &mut KeyedContext<'_, u32>,
        out: &mut Collector<(u32, i64, u64)>,
    ) -> Result<(), BoxError> {
        assert_eq!(timer.domain, TimeDomain::Processing);
        let count = self.count.get(context.state())?.unwrap_or(0);
        out.collect((*context.key()?, timer.timestamp, count));
        Ok(())
    }
}

#[test]
fn processing_time_timers() {
    // One for each key in the first hour, and one for each odd number in the fourth.
    let odd = (0..EVENTS).filter(|number| number % 2 == 1).count();
    survives("processing-time timers", move || {
        let case = of_events(odd + KEYS as usize, |events| {
            events.key_by(|event| event.0).process(Hourly::default())
        });
        case.jump_before_end(HOUR * 5, odd + KEYS as usize)
    });
}

#[test]
fn reduce() {
    survives("reduce", || {
        of_events(EVENTS as usize, |events| {
            events.key_by(|event| event.0).reduce(|sum: &mut Event, (_, number)| sum.1 += number)
        })
    });
}
