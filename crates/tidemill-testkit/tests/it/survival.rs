//! The runner of jobs whose state must survive: it lets those pass whose state does, and finds what is lost.

use std::sync::Arc;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::graph::ShipStrategy;
use tidemill_runtime::graph::JobSettings;
use tidemill_runtime::operator::boxed;
use tidemill_runtime::{Operator, OperatorError, OperatorFactory, Output, Progress};
use tidemill_state::HashMapStateBackend;
use tidemill_testkit::checkpoints::{counts, expected, route};
use tidemill_testkit::jobs::Job;
use tidemill_testkit::survival::{Backend, Case, Input, survive};

fn keys() -> impl Iterator<Item = u32> {
    (0..600).map(|number| (route(number) % 7) as u32)
}

/// Makes lines of what it gets.
struct Lines;

impl Operator for Lines {
    fn process(&mut self, _: usize, mut batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let mut lines = TypedBatch::default();
        for count in &batch.downcast_mut::<TypedBatch<(u32, u64)>>()?.values {
            lines.push(format!("{count:?}"), 0);
        }
        out.emit_typed(lines);
        Ok(Progress::Done)
    }
}

/// Counts keys with an operator.
fn counting<F: OperatorFactory + 'static>(counts: fn() -> F) -> Case {
    let input = Input::dealt(3, keys().map(|key| (key, 0)));
    let read = input.clone();
    let case = Case::new(600, move |stage| {
        let mut job = Job::new("counting");
        job.settings = JobSettings::from_configuration(&stage.configuration)?;
        let source = job.source("log", read.spec());
        let count = job.operator("count", counts());
        let lines = job.operator("lines", boxed(|| Lines));
        let sink = job.sink("commit", stage.sink());
        job.connect_keyed::<u32>(source, count, |key| route(*key));
        job.connect_by::<(u32, u64)>(count, lines, ShipStrategy::Rebalance);
        job.connect::<String>(lines, sink);
        job.plan()
    });
    let lines = expected(keys()).iter().map(|count| format!("{count:?}")).collect();
    case.input(&input).expecting(lines)
}

fn backends() -> [Backend; 1] {
    [Backend { name: "hashmap", factory: Arc::new(HashMapStateBackend) }]
}

#[test]
fn state_that_survives() {
    let survived = survive("counts", &backends(), || counting(counts));
    assert!(survived.runs >= 15, "{survived:?}");
    assert!(survived.in_flight_bytes > 0, "{survived:?}");
}

/// Counts by key in memory of its own, which no snapshot has.
#[derive(Default)]
struct Forgets(std::collections::HashMap<u32, u64>);

impl Operator for Forgets {
    fn process(&mut self, _: usize, mut batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let mut counted = TypedBatch::default();
        for key in &batch.downcast_mut::<TypedBatch<u32>>()?.values {
            let count = self.0.entry(*key).or_default();
            *count += 1;
            counted.push((*key, *count), 0);
        }
        out.emit_typed(counted);
        Ok(Progress::Done)
    }
}

#[test]
#[should_panic(expected = "lines come too often (+) or too seldom (-)")]
fn state_that_is_forgotten() {
    survive("forgotten", &backends(), || counting(|| boxed(Forgets::default)));
}
