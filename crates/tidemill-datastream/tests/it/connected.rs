//! Connected streams, and functions with operator state.

use tidemill_datastream::windows::GlobalWindows;
use tidemill_datastream::{
    CheckpointedFunction, CoProcessFunction, Collector, DataStream, FiredTimer, KeyedCoProcessFunction,
    KeyedContext, OutputTag, ProcessContext, ProcessFunction, StreamExecutionEnvironment, WatermarkStrategy,
};
use tidemill_runtime::{BoxError, JobError};
use tidemill_serialization::RoutingHash;
use tidemill_state::{
    KeyedStateBackend, ListStateDescriptor, OperatorListState, OperatorStateBackend, TimeDomain, ValueState,
    ValueStateDescriptor,
};
use tidemill_testkit::{
    Contract, OperatorHarness, ParallelHarness, Script, assert_same_with_snapshots, stamped, unstamped,
};

use crate::support::{Never, operator, shared, stream, streams};

#[test]
fn each_stream_has_a_function_of_its_own() {
    let (numbers, texts) = streams::<u32, String>();
    let connected = numbers.connect(&texts);
    let mut map = OperatorHarness::<String>::of(operator(
        &connected.map(|number| format!("number {number}"), |text| format!("text {text}")),
    ));
    map.process(0, stamped([(1u32, 10)])).unwrap();
    map.process(1, stamped([("a".to_owned(), 20)])).unwrap();
    map.watermark(5).unwrap();
    assert_eq!(map.take_records(), [("number 1".to_owned(), 10), ("text a".to_owned(), 20)]);
    assert_eq!(map.take_watermarks(), [5]);

    let times = connected.flat_map(
        |number, out: &mut Collector<String>| (0..number).for_each(|i| out.collect(i.to_string())),
        |text, out: &mut Collector<String>| text.chars().for_each(|c| out.collect(c.to_string())),
    );
    let mut flat_map = OperatorHarness::<String>::of(operator(&times)).batch_records(2);
    flat_map.process(0, stamped([(3u32, 1), (1, 2)])).unwrap();
    flat_map.process(1, unstamped(["xy".to_owned()])).unwrap();
    assert_eq!(flat_map.take_values(), ["0", "1", "2", "0", "x", "y"]);
}

/// Numbers that are larger than the last limit; others go aside.
#[derive(Clone)]
struct Above(u32);

impl CoProcessFunction<u32, u32, u32> for Above {
    fn process1(
        &mut self,
        number: u32,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<u32>,
    ) -> Result<(), BoxError> {
        if number <= self.0 {
            return context.output(&OutputTag::new("below"), number);
        }
        out.collect(number);
        Ok(())
    }

    fn process2(
        &mut self,
        limit: u32,
        context: &mut ProcessContext<'_>,
        _: &mut Collector<u32>,
    ) -> Result<(), BoxError> {
        if context.timestamp().is_none() {
            return Err("a limit needs a timestamp".into());
        }
        self.0 = limit;
        Ok(())
    }
}

#[test]
fn a_function_sees_both_streams() {
    let (numbers, limits) = streams::<u32, u32>();
    let factory = operator(&numbers.connect(&limits).process(Above(0)));
    let mut harness = OperatorHarness::<u32>::of(factory).side::<u32>("below").batch_records(1);
    harness.process(0, stamped([(5u32, 1), (6, 2)])).unwrap();
    harness.process(1, stamped([(5u32, 3)])).unwrap();
    harness.process(0, stamped([(5u32, 4), (6, 5)])).unwrap();
    assert_eq!(harness.take_side::<u32>("below"), [(5, 4)]);
    assert_eq!(harness.take_records(), [(5, 1), (6, 2), (6, 5)]);
    let error = harness.process(1, unstamped([1u32])).unwrap_err();
    assert_eq!(error.to_string(), "a limit needs a timestamp");
}

/// Pairs a request with its response; after 10 ms of event time, or 100 ms of the machine's, gives up on a request.
#[derive(Clone, Default)]
struct Responses {
    request: Option<ValueState<u32>>,
    response: Option<ValueState<u32>>,
}

impl KeyedCoProcessFunction<u8, (u8, u32), (u32, u8), (u8, u32, u32)> for Responses {
    fn open(&mut self, states: &mut KeyedStateBackend<u8>) -> Result<(), BoxError> {
        self.request = Some(states.register_value(ValueStateDescriptor::new("request"))?);
        self.response = Some(states.register_value(ValueStateDescriptor::new("response"))?);
        Ok(())
    }

    fn process1(
        &mut self,
        (key, request): (u8, u32),
        context: &mut KeyedContext<'_, u8>,
        out: &mut Collector<(u8, u32, u32)>,
    ) -> Result<(), BoxError> {
        assert_eq!(*context.key()?, key);
        match self.response.unwrap().get(context.state())? {
            Some(response) => {
                self.response.unwrap().clear(context.state())?;
                out.collect((key, request, response));
            }
            None => {
                self.request.unwrap().update(context.state(), request)?;
                let now = context.current_processing_time();
                context.register_processing_time_timer(now + 100)?;
                let timestamp = context.timestamp().unwrap();
                context.register_event_time_timer(timestamp + 10)?;
            }
        }
        Ok(())
    }

    fn process2(
        &mut self,
        (response, key): (u32, u8),
        context: &mut KeyedContext<'_, u8>,
        out: &mut Collector<(u8, u32, u32)>,
    ) -> Result<(), BoxError> {
        match self.request.unwrap().get(context.state())? {
            Some(request) => {
                self.request.unwrap().clear(context.state())?;
                out.collect((key, request, response));
            }
            None => self.response.unwrap().update(context.state(), response)?,
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        timer: FiredTimer,
        context: &mut KeyedContext<'_, u8>,
        out: &mut Collector<(u8, u32, u32)>,
    ) -> Result<(), BoxError> {
        if let Some(request) = self.request.unwrap().get(context.state())? {
            self.request.unwrap().clear(context.state())?;
            let why = if timer.domain == TimeDomain::Event { 1_000 } else { 2_000 };
            out.collect((*context.key()?, request, why));
        }
        Ok(())
    }
}

#[test]
fn keyed_streams_share_state_and_timers() {
    let (requests, responses) = streams::<(u8, u32), (u32, u8)>();
    let joined = requests
        .connect(&responses)
        .key_by(|request| request.0, |response| response.1)
        .process(Responses::default());
    let script = Script::new()
        .keyed_input(0, |record: &(u8, u32)| record.0.routing_hash())
        .keyed_input(1, |record: &(u32, u8)| record.1.routing_hash())
        .output::<(u8, u32, u32)>()
        .records(0, stamped([((1u8, 11u32), 0), ((2, 12), 0), ((3, 13), 5), ((4, 14), 20)]))
        .records(1, stamped([((21u32, 1u8), 1), ((25, 5), 2)]))
        .watermark(10)
        .records(0, stamped([((5u8, 15u32), 11), ((6, 16), 12)]))
        .processing_time(100)
        .end();
    let output = assert_same_with_snapshots(shared(&joined), &script);
    let steps: Vec<Vec<String>> =
        output.steps.into_iter().map(|rows| rows.into_iter().map(|(_, row)| row.text).collect()).collect();
    assert_eq!(steps[1], ["(1, 11, 21)"]);
    assert_eq!(steps[2], ["(2, 12, 1000)"]);
    assert_eq!(steps[3], ["(5, 15, 25)"]);
    let mut by_the_clock = steps[4].clone();
    by_the_clock.sort();
    assert_eq!(by_the_clock, ["(3, 13, 2000)", "(4, 14, 2000)", "(6, 16, 2000)"]);
    assert!(steps[5].is_empty() && steps[6].is_empty(), "{steps:?}");
}

/// Remembers records, and emits them when a zero comes: its own, and how many all had at the last restart.
#[derive(Clone, Default)]
struct Remember {
    own: Vec<u32>,
    before: u64,
    list: Option<OperatorListState<u32>>,
    union: Option<OperatorListState<u64>>,
}

impl ProcessFunction<u32, (Vec<u32>, u64)> for Remember {
    fn process(
        &mut self,
        record: u32,
        _: &mut ProcessContext<'_>,
        out: &mut Collector<(Vec<u32>, u64)>,
    ) -> Result<(), BoxError> {
        if record == 0 {
            out.collect((self.own.clone(), self.before))
        } else {
            self.own.push(record)
        }
        Ok(())
    }
}

impl CheckpointedFunction for Remember {
    fn initialize_state(&mut self, states: &mut OperatorStateBackend) -> Result<(), BoxError> {
        let list = states.register_list(ListStateDescriptor::new("own"))?;
        let union = states.register_union_list(ListStateDescriptor::new("counts"))?;
        self.own = list.get(states)?.to_vec();
        self.before = union.get(states)?.iter().sum();
        (self.list, self.union) = (Some(list), Some(union));
        Ok(())
    }

    fn snapshot_state(&mut self, states: &mut OperatorStateBackend) -> Result<(), BoxError> {
        self.list.unwrap().update(states, self.own.iter().copied())?;
        self.union.unwrap().update(states, [self.own.len() as u64])?;
        Ok(())
    }
}

#[test]
fn functions_keep_lists_through_restarts() {
    let factory = operator(&stream::<u32>().process_checkpointed(Remember::default()));
    let mut harness =
        ParallelHarness::open(factory, Contract::default(), 2, 128).unwrap().rebalanced_input::<u32>(0);
    harness.process(0, unstamped([1u32, 2, 3, 4, 5])).unwrap();
    harness.rescale(3).unwrap();
    harness.process(0, unstamped([0u32, 0, 0])).unwrap();
    let mut own: Vec<u32> = Vec::new();
    for emitted in harness.take() {
        let [tidemill_testkit::Emitted::Batch(batch)] = &emitted[..] else { panic!("{emitted:?}") };
        let records = batch.downcast_ref::<tidemill_core::batch::TypedBatch<(Vec<u32>, u64)>>().unwrap();
        assert_eq!(records.values[0].1, 5, "the counts of all, at each");
        own.extend(&records.values[0].0);
    }
    own.sort_unstable();
    assert_eq!(own, [1, 2, 3, 4, 5], "each record at one");
}

#[test]
fn streams_of_different_environments_make_no_job() {
    let told = |build: fn(&DataStream<u32>, &DataStream<u32>)| {
        let envs = [StreamExecutionEnvironment::default(), StreamExecutionEnvironment::default()];
        let [one, other] = envs.each_ref().map(|env| {
            // Of different lengths, so that the operators of one are none of the other.
            env.from_source(Never, WatermarkStrategy::no_watermarks(), "source").map(|number: u32| number)
        });
        build(&one, &other.map(|number| number));
        envs.map(|env| match env.execute("job").map(drop).unwrap_err() {
            JobError::InvalidGraph(message) => message,
            error => panic!("{error}"),
        })
    };
    for (build, what) in [
        (
            (|one, other| drop(one.connect(other).map(|a| a, |b| b).name("both")))
                as fn(&DataStream<u32>, &DataStream<u32>),
            "operator 'Co-Map'",
        ),
        (|one, other| drop(one.union(&[other]).name("united").map(|a| a)), "a union"),
        (
            |one, other| {
                let windows =
                    one.co_group(other).where_key(|a| *a).equal_to(|b| *b).window(GlobalWindows::create());
                drop(windows.apply(|_, _, _, _, _: &mut Collector<u32>| Ok(())));
            },
            "a union",
        ),
        (
            |one, other| {
                let (one, other) = (one.key_by(|a| *a), other.key_by(|b| *b));
                drop(one.interval_join(&other).between(-1, 1).apply(|a, _| *a));
            },
            "operator 'Interval Join'",
        ),
    ] {
        for message in told(build) {
            assert!(message.starts_with(what) && message.contains("connected.rs:"), "{message}");
            assert!(message.contains("two environments"), "{message}");
        }
    }
}
