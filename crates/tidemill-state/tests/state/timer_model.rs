//! Random timers against a naive model, over backends that keep few of them in memory.
//!
//! The tests of the crates that have a store use this file.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use tidemill_core::budget::MemoryBudget;
use tidemill_core::hash::RoutingHash;
use tidemill_core::{KeyGroupRange, OperatorId, Timestamp, key_group};
use tidemill_state::*;

const GROUPS: u32 = 12;
const DOMAINS: [TimeDomain; 2] = [TimeDomain::Event, TimeDomain::Processing];

/// A backend with so many timers in memory.
pub(crate) struct Few<B>(pub(crate) B, pub(crate) TimerPlacement);

impl<B: StateBackend> StateBackend for Few<B> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn open(&self, subtask: &SubtaskContext) -> Result<Storage, StateError> {
        self.0.open(subtask)
    }

    fn timers(&self, _: &SubtaskContext) -> TimerPlacement {
        self.1
    }
}

pub(crate) fn in_memory(count: usize) -> TimerPlacement {
    TimerPlacement::Store { in_memory: count }
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Register(TimeDomain, Timestamp, u64, i64),
    Delete(TimeDomain, Timestamp, u64, i64),
    /// Fires what is due, at most so many of each subtask, which registers some of them again for so much later.
    Fire(TimeDomain, Timestamp, usize, Timestamp),
    /// Goes through all.
    Look,
    /// Goes on with another parallelism and backend, from a snapshot that may be native; without declaring the timers in between
    /// if the last says so.
    Restore(u32, usize, bool, bool),
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![8 => 0..6i64, 2 => -300..300i64, 1 => Just(Timestamp::MIN), 1 => Just(Timestamp::MAX)]
}

pub(crate) fn ops() -> impl Strategy<Value = Vec<Op>> {
    let domain = || prop_oneof![2 => Just(TimeDomain::Event), 1 => Just(TimeDomain::Processing)];
    let timer = move || (domain(), time(), 0..40u64, 0..3i64);
    let op = prop_oneof![
        30 => timer().prop_map(|(d, t, k, n)| Op::Register(d, t, k, n)),
        8 => timer().prop_map(|(d, t, k, n)| Op::Delete(d, t, k, n)),
        4 => (domain(), time(), prop_oneof![1..8usize, Just(usize::MAX)], 1..4i64)
            .prop_map(|(d, t, most, later)| Op::Fire(d, t, most, later)),
        1 => Just(Op::Look),
        1 => (1..4u32, 0..8usize, any::<bool>(), any::<bool>())
            .prop_map(|(p, backend, native, twice)| Op::Restore(p, backend, native, twice)),
    ];
    prop::collection::vec(op, 0..300)
}

type Timer = (TimeDomain, Timestamp, u64, i64);

struct Subtask {
    backend: KeyedStateBackend<u64>,
    timers: Timers<i64>,
    placement: TimerPlacement,
}

fn open(
    backend: &dyn StateBackend,
    (subtask, parallelism): (u32, u32),
    from: Option<&SubtaskSnapshot>,
) -> (KeyedStateBackend<u64>, TimerPlacement) {
    let context = SubtaskContext {
        operator: OperatorId::from_name("timers"),
        subtask,
        key_groups: KeyGroupRange::of_subtask(subtask, parallelism, GROUPS),
        max_parallelism: GROUPS,
        clock: Arc::new(ManualClock::at(0)),
        budget: MemoryBudget::unlimited("test"),
    };
    let placement = backend.timers(&context);
    let mut backend = KeyedStateBackend::open(backend, context).unwrap();
    backend.restore(from).unwrap();
    (backend, placement)
}

fn declare((mut backend, placement): (KeyedStateBackend<u64>, TimerPlacement)) -> Subtask {
    // A state of the same name is another thing.
    let same = backend.register_value::<(), u64>(ValueStateDescriptor::new("due")).unwrap();
    assert_eq!(backend.keys("due", &()).unwrap().len(), 0, "{same:?}");
    let timers = backend.register_timers("due").unwrap();
    Subtask { backend, timers, placement }
}

fn snapshots<'a>(
    backends: impl Iterator<Item = &'a mut KeyedStateBackend<u64>>,
    native: bool,
) -> Vec<SubtaskSnapshot> {
    let snapshot = |backend: &mut KeyedStateBackend<u64>| {
        if native { backend.snapshot_native().unwrap() } else { backend.snapshot().unwrap() }
    };
    backends.map(snapshot).collect()
}

struct Run<'a> {
    backends: &'a [&'a dyn StateBackend],
    /// Which of them it is that is run on.
    at: usize,
    subtasks: Vec<Subtask>,
    model: BTreeSet<Timer>,
    fired: Vec<Timer>,
}

impl Run<'_> {
    fn of(&mut self, key: u64) -> &mut Subtask {
        let group = key_group::key_group(key.routing_hash(), GROUPS);
        let subtask = self.subtasks.iter_mut().find(|subtask| subtask.backend.key_groups().contains(group));
        let subtask = subtask.unwrap();
        subtask.backend.set_current_key(&key, key.routing_hash()).unwrap();
        subtask
    }

    fn look(&mut self) {
        let mut all = BTreeSet::new();
        for subtask in &mut self.subtasks {
            let service = subtask.timers.service(&mut subtask.backend).unwrap();
            for domain in DOMAINS {
                let (before, mut last) = (all.len(), None);
                let see = |time, key: &u64, namespace: &i64| {
                    assert!(last.replace(time).is_none_or(|last| last <= time), "they come by time");
                    assert!(all.insert((domain, time, *key, *namespace)), "one is there twice");
                };
                service.for_each(domain, see).unwrap();
                assert_eq!(service.len(domain).unwrap(), all.len() - before);
            }
            assert_eq!(
                service.is_empty(),
                service.len(DOMAINS[0]).unwrap() + service.len(DOMAINS[1]).unwrap() == 0
            );
        }
        assert_eq!(all, self.model);
        self.check();
    }

    /// What is cheap to see.
    fn check(&mut self) {
        for subtask in &mut self.subtasks {
            let owned = subtask.backend.key_groups();
            let service = subtask.timers.service(&mut subtask.backend).unwrap();
            for domain in DOMAINS {
                if let TimerPlacement::Store { in_memory } = subtask.placement {
                    assert!(service.in_memory(domain) <= in_memory.max(2));
                }
                let own = |timer: &&Timer| {
                    timer.0 == domain && owned.contains(key_group::key_group(timer.2.routing_hash(), GROUPS))
                };
                let next = self.model.iter().find(own).map(|timer| timer.1);
                // A row that was deleted unseen is found to be gone when the next ones are read, so there is always one in memory.
                assert_eq!(service.next_timestamp(domain), next);
            }
        }
    }

    fn fire(&mut self, domain: TimeDomain, up_to: Timestamp, most: usize, later: Timestamp) {
        for subtask in &mut self.subtasks {
            let mut last = Timestamp::MIN;
            for _ in 0..most {
                let due = subtask.timers.pop_due(&mut subtask.backend, domain, up_to).unwrap();
                let Some(timer) = due else { break };
                assert!(last <= timer.timestamp && timer.timestamp <= up_to);
                let next = timer.timestamp.saturating_add(later);
                last = timer.timestamp;
                let timer = (domain, timer.timestamp, timer.key, timer.namespace);
                assert!(self.model.remove(&timer), "{timer:?} fires and is not there");
                self.fired.push(timer);
                if (timer.2 + later.cast_unsigned()).is_multiple_of(3)
                    && next > up_to.saturating_sub(2)
                    && next > last
                {
                    subtask.timers.register(&mut subtask.backend, domain, next, &timer.3).unwrap();
                    self.model.insert((domain, next, timer.2, timer.3));
                }
            }
        }
        if most == usize::MAX {
            let due = self.model.iter().find(|timer| timer.0 == domain && timer.1 <= up_to);
            assert_eq!(due, None, "it has not fired");
        }
    }

    fn restore(&mut self, parallelism: u32, at: usize, native: bool, twice: bool) {
        let at = at % self.backends.len();
        let native = native && self.backends[at].name() == self.backends[self.at].name();
        let mut taken = snapshots(self.subtasks.iter_mut().map(|subtask| &mut subtask.backend), native);
        self.at = at;
        let backend = self.backends[at];
        if twice {
            // Nobody asks for the timers: they stay as they were restored, and are in the next snapshot all the same.
            let dealt = redistribute(taken, GROUPS, 2).unwrap();
            let subtasks = dealt.iter().zip(0..);
            let mut opened: Vec<_> =
                subtasks.map(|(from, subtask)| open(backend, (subtask, 2), Some(from)).0).collect();
            taken = snapshots(opened.iter_mut(), native && parallelism != 2);
        }
        let dealt = redistribute(taken, GROUPS, parallelism).unwrap();
        let opened =
            dealt.iter().zip(0..).map(|(from, subtask)| open(backend, (subtask, parallelism), Some(from)));
        self.subtasks = opened.map(declare).collect();
    }
}

/// Does the steps, over the first of the backends until one of them says otherwise, and looks after each that all is as in the
/// model. Returns what has fired, in order.
pub(crate) fn run(backends: &[&dyn StateBackend], ops: &[Op]) -> Vec<(TimeDomain, Timestamp, u64, i64)> {
    let subtasks = vec![declare(open(backends[0], (0, 1), None))];
    let mut run = Run { backends, at: 0, subtasks, model: BTreeSet::new(), fired: Vec::new() };
    for op in ops {
        match *op {
            Op::Register(domain, time, key, namespace) => {
                let Subtask { backend, timers, .. } = run.of(key);
                timers.register(backend, domain, time, &namespace).unwrap();
                run.model.insert((domain, time, key, namespace));
            }
            Op::Delete(domain, time, key, namespace) => {
                let Subtask { backend, timers, .. } = run.of(key);
                timers.delete(backend, domain, time, &namespace).unwrap();
                run.model.remove(&(domain, time, key, namespace));
            }
            Op::Fire(domain, up_to, most, later) => run.fire(domain, up_to, most, later),
            Op::Look => run.look(),
            Op::Restore(parallelism, at, native, twice) => {
                run.restore(parallelism, at, native, twice);
                run.look();
            }
        }
        run.check();
    }
    run.look();
    for parallelism in [3, 2] {
        run.restore(parallelism, 0, true, false);
        run.look();
    }
    DOMAINS.into_iter().for_each(|domain| run.fire(domain, Timestamp::MAX, usize::MAX, 1));
    assert!(
        run.model.is_empty()
            && run
                .subtasks
                .iter_mut()
                .all(|subtask| { subtask.timers.service(&mut subtask.backend).unwrap().is_empty() })
    );
    run.fired
}

/// Thousands of timers come and go while snapshots, begun every so often, have those in memory as they were: each holds what there was
/// when it was begun. The backend keeps 4,000 in memory. Returns how many snapshots shared those with the task.
pub(crate) fn snapshots_beside(backend: &dyn StateBackend, native: bool) -> usize {
    let mut run = Run {
        backends: &[backend],
        at: 0,
        subtasks: vec![declare(open(backend, (0, 1), None))],
        model: BTreeSet::new(),
        fired: Vec::new(),
    };
    let mut random = 7u64;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut pending: Vec<(SubtaskSnapshot, BTreeSet<Timer>)> = Vec::new();
    let (mut frozen, mut now) = (0, 0);
    for round in 0..60u64 {
        // At first few enough for memory; many of one time now and then; at last they get fewer.
        for _ in 0..if round < 40 { 700 } else { 50 } {
            let time = if round % 5 == 4 { now + 500 } else { now + draw(1_000).cast_signed() };
            let (key, namespace) = (draw(3_000), draw(2).cast_signed());
            let Subtask { backend, timers, .. } = run.of(key);
            timers.register(backend, TimeDomain::Event, time, &namespace).unwrap();
            run.model.insert((TimeDomain::Event, time, key, namespace));
        }
        let gone: Vec<Timer> = run.model.iter().step_by(17).copied().collect();
        for (domain, time, key, namespace) in gone {
            let Subtask { backend, timers, .. } = run.of(key);
            timers.delete(backend, domain, time, &namespace).unwrap();
            run.model.remove(&(domain, time, key, namespace));
        }
        if round % 3 == 0 {
            let state = &mut run.subtasks[0].backend;
            let snapshot =
                if native { state.begin_native_snapshot() } else { state.begin_snapshot() }.unwrap();
            frozen += usize::from(!snapshot.pending.is_empty());
            pending.push((snapshot, run.model.clone()));
        }
        now += draw(60).cast_signed();
        run.fire(TimeDomain::Event, now, usize::MAX, 2);
        run.check();
        if pending.len() > 2 {
            let (mut snapshot, then) = pending.remove(0);
            snapshot.complete(&Arc::default()).unwrap();
            let subtasks = vec![declare(open(backend, (0, 1), Some(&snapshot)))];
            Run { backends: &[backend], at: 0, subtasks, model: then, fired: Vec::new() }.look();
        }
    }
    run.look();
    run.fire(TimeDomain::Event, Timestamp::MAX, usize::MAX, 1);
    frozen
}
