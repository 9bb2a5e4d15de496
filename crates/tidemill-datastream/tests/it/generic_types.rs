//! Jobs with types that only the generic fallback can write.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tidemill_core::Classified;
use tidemill_datastream::{
    Collector, DataStream, KeyedContext, KeyedProcessFunction, StreamExecutionEnvironment,
};
use tidemill_runtime::operator::boxed;
use tidemill_runtime::{BoxError, JobError};
use tidemill_serialization::{Generic, Record};
use tidemill_state::{KeyedStateBackend, ValueState, ValueStateDescriptor};

use crate::jobs::{Collect, numbers};

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Foreign {
    number: u64,
}

#[derive(Record, Clone)]
struct Wrapped {
    #[record(generic)]
    foreign: Foreign,
}

/// Counts the records of a key in a state of a generic type, declared at once or with the first record.
#[derive(Clone, Default)]
struct Count {
    late: bool,
    state: Option<ValueState<Option<Generic<Foreign>>>>,
}

impl Count {
    fn declare(
        states: &mut KeyedStateBackend<u64>,
    ) -> Result<ValueState<Option<Generic<Foreign>>>, BoxError> {
        Ok(states.register_value(ValueStateDescriptor::new("last"))?)
    }
}

impl KeyedProcessFunction<u64, Wrapped, u64> for Count {
    fn open(&mut self, states: &mut KeyedStateBackend<u64>) -> Result<(), BoxError> {
        if !self.late {
            self.state = Some(Self::declare(states)?);
        }
        Ok(())
    }

    fn process(
        &mut self,
        record: Wrapped,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<u64>,
    ) -> Result<(), BoxError> {
        let state = match self.state {
            Some(state) => state,
            None => Self::declare(context.state())?,
        };
        state.update(context.state(), Some(Generic::new(record.foreign.clone())))?;
        out.collect(record.foreign.number);
        Ok(())
    }
}

/// Runs a job; what came out, and how many records were mapped.
fn run(
    env: &StreamExecutionEnvironment,
    build: impl FnOnce(DataStream<u64>) -> DataStream<u64>,
) -> Result<Vec<u64>, JobError> {
    env.set_parallelism(2).unwrap();
    let found: Arc<Mutex<Vec<u64>>> = Arc::default();
    let sink = Arc::clone(&found);
    build(numbers(env, 100)).sink_to("Collect", boxed(move || Collect(Arc::clone(&sink))));
    env.execute("foreign")?;
    let mut found = std::mem::take(&mut *found.lock().unwrap());
    found.sort_unstable();
    Ok(found)
}

fn generic(late: bool, mapped: Arc<AtomicUsize>) -> impl FnOnce(DataStream<u64>) -> DataStream<u64> {
    move |numbers| {
        numbers
            .map(move |number| {
                mapped.fetch_add(1, Ordering::Relaxed);
                Wrapped { foreign: Foreign { number } }
            })
            .key_by(|record| record.foreign.number % 7)
            .process(Count { late, state: None })
    }
}

#[test]
fn they_work_where_they_are_allowed() {
    let env = StreamExecutionEnvironment::default();
    assert_eq!(run(&env, generic(false, Arc::default())).unwrap(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_job_that_forbids_them_does_not_start_and_lists_all_places() {
    let env = StreamExecutionEnvironment::default();
    env.disable_generic_types().unwrap();
    let mapped = Arc::new(AtomicUsize::new(0));
    let error = run(&env, generic(false, Arc::clone(&mapped))).unwrap_err();
    assert_eq!(error.code(), "TM-SERIALIZATION-GENERIC-FORBIDDEN");
    assert_eq!(
        error.to_string(),
        "job 'foreign' does not start: 'pipeline.generic-types' is false, and these are of types that only the slow generic \
         fallback can write:\n  Foreign on the edge from 'Map' to 'KeyedProcess'\n  Foreign on the state 'last' of \
         'KeyedProcess'\nDerive `Record` for them, or give them serializers of their own"
    );
    assert_eq!(mapped.load(Ordering::Relaxed), 0, "nothing was processed");
}

#[test]
fn a_state_that_is_declared_later_fails_the_job_then() {
    let env = StreamExecutionEnvironment::default();
    env.disable_generic_types().unwrap();
    let error = run(&env, |numbers| numbers.key_by(|number| number % 7).process(LateState)).unwrap_err();
    // It comes by way of the function of the user, who could have gone on without the state.
    assert_eq!(error.code(), "TM-USER-FUNCTION");
    assert!(error.to_string().contains("the state 'late' holds Foreign"), "{error}");
}

#[derive(Clone)]
struct LateState;

impl KeyedProcessFunction<u64, u64, u64> for LateState {
    fn process(
        &mut self,
        _: u64,
        context: &mut KeyedContext<'_, u64>,
        _: &mut Collector<u64>,
    ) -> Result<(), BoxError> {
        let descriptor = ValueStateDescriptor::<Generic<Foreign>>::new("late");
        let _: ValueState<Generic<Foreign>> = context.state().register_value(descriptor)?;
        Ok(())
    }
}

#[test]
fn native_jobs_run_where_they_are_forbidden() {
    let env = StreamExecutionEnvironment::default();
    env.disable_generic_types().unwrap();
    let found = run(&env, |numbers| numbers.key_by(|number| number % 3).reduce(|sum, number| *sum += number));
    assert_eq!(found.unwrap().len(), 100);
}
