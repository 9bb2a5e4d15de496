//! Random timers against a naive model.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{Classified, KeyGroupRange, Timestamp};
use tidemill_state::*;

const MAX_PARALLELISM: u32 = 8;

#[derive(Clone, Debug)]
enum Op {
    Register(TimeDomain, Timestamp, u64, i64),
    Delete(TimeDomain, Timestamp, u64, i64),
    Pop(TimeDomain, Timestamp),
    Restore,
}

fn domain() -> impl Strategy<Value = TimeDomain> {
    prop_oneof![Just(TimeDomain::Event), Just(TimeDomain::Processing)]
}

fn op() -> impl Strategy<Value = Op> {
    let timer = || (domain(), 0..6i64, 0..30u64, 0..3i64);
    prop_oneof![
        12 => timer().prop_map(|(d, t, k, n)| Op::Register(d, t, k, n)),
        4 => timer().prop_map(|(d, t, k, n)| Op::Delete(d, t, k, n)),
        5 => (domain(), 0..6i64).prop_map(|(d, t)| Op::Pop(d, t)),
        1 => Just(Op::Restore),
    ]
}

fn backend(subtask: u32, parallelism: u32) -> (KeyedStateBackend<u64>, Timers<i64>) {
    let range = KeyGroupRange::of_subtask(subtask, parallelism, MAX_PARALLELISM);
    let clock = Arc::new(ManualClock::at(0));
    let mut b = KeyedStateBackend::new(range, MAX_PARALLELISM, clock, MemoryBudget::unlimited("test"));
    let timers = b.register_timers("timers").unwrap();
    (b, timers)
}

/// By domain and time, in the order of registration.
type Model = BTreeMap<(TimeDomain, Timestamp), Vec<(u64, i64)>>;

fn all(b: &mut KeyedStateBackend<u64>, timers: Timers<i64>) -> Model {
    let mut found = Model::new();
    let service = timers.service(b).unwrap();
    for domain in [TimeDomain::Event, TimeDomain::Processing] {
        let mut count = 0;
        service
            .for_each(domain, |timestamp, key, namespace| {
                found.entry((domain, timestamp)).or_default().push((*key, *namespace));
                count += 1;
            })
            .unwrap();
        assert_eq!(service.len(domain).unwrap(), count);
    }
    found
}

fn count(b: &mut KeyedStateBackend<u64>, timers: Timers<i64>, domain: TimeDomain) -> usize {
    timers.service(b).unwrap().len(domain).unwrap()
}

fn count_in(model: &Model, domain: TimeDomain) -> usize {
    model.iter().filter(|((of, _), _)| *of == domain).map(|(_, bucket)| bucket.len()).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn timers_do_as_the_model(ops in prop::collection::vec(op(), 0..300), parallelism in 1..5u32) {
        let (mut b, mut timers) = backend(0, 1);
        let mut model = Model::new();
        for op in ops {
            match op {
                Op::Register(domain, time, key, namespace) => {
                    b.set_current_key(&key, key.routing_hash()).unwrap();
                    let bucket = model.entry((domain, time)).or_default();
                    if !bucket.contains(&(key, namespace)) {
                        bucket.push((key, namespace));
                    }
                    timers.register(&mut b, domain, time, &namespace).unwrap();
                    prop_assert_eq!(count(&mut b, timers, domain), count_in(&model, domain));
                }
                Op::Delete(domain, time, key, namespace) => {
                    b.set_current_key(&key, key.routing_hash()).unwrap();
                    let bucket = model.entry((domain, time)).or_default();
                    bucket.retain(|timer| *timer != (key, namespace));
                    timers.delete(&mut b, domain, time, &namespace).unwrap();
                    prop_assert_eq!(count(&mut b, timers, domain), count_in(&model, domain));
                }
                Op::Pop(domain, up_to) => {
                    let due = model.iter().find(|((d, _), bucket)| *d == domain && !bucket.is_empty());
                    let due = due.map(|(place, _)| *place);
                    prop_assert_eq!(
                        timers.service(&mut b).unwrap().next_timestamp(domain),
                        due.map(|(_, time)| time)
                    );
                    let expected = due.filter(|(_, time)| *time <= up_to).map(|place| {
                        let (key, namespace) = model.get_mut(&place).unwrap().remove(0);
                        (place.1, key, namespace)
                    });
                    let popped = timers.pop_due(&mut b, domain, up_to).unwrap();
                    prop_assert_eq!(popped.map(|t| (t.timestamp, t.key, t.namespace)), expected);
                }
                Op::Restore => {
                    let snapshot = b.snapshot().unwrap();
                    (b, timers) = backend(0, 1);
                    b.restore([&snapshot]).unwrap();
                }
            }
        }
        model.retain(|_, bucket| !bucket.is_empty());
        prop_assert_eq!(&all(&mut b, timers), &model);

        // Dealt to more subtasks and put together again, nothing is lost and nothing is doubled.
        let dealt = redistribute(vec![b.snapshot().unwrap()], MAX_PARALLELISM, parallelism).unwrap();
        let mut together = Model::new();
        for (subtask, snapshot) in dealt.iter().enumerate() {
            let (mut b, timers) = backend(subtask as u32, parallelism);
            b.restore([snapshot]).unwrap();
            for (place, bucket) in all(&mut b, timers) {
                together.entry(place).or_default().extend(bucket);
            }
        }
        together.values_mut().chain(model.values_mut()).for_each(|bucket| bucket.sort_unstable());
        prop_assert_eq!(together, model);
    }
}

#[test]
fn a_timer_of_another_subtask_is_refused() {
    let (mut b, timers) = backend(0, 8);
    let service = timers.service(&mut b).unwrap();
    let mut register =
        |key: u64| service.register(TimeDomain::Event, 1, (&key, key.routing_hash()), &0).err();
    let error = (0..100).find_map(&mut register).unwrap();
    assert_eq!(error.code(), "TM-STATE-WRONG-KEY-GROUP");
}
