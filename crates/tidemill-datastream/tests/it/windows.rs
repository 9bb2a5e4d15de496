//! Windows against naive models.

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::Watermark;
use tidemill_datastream::ByValue;
use tidemill_datastream::operators::window_contents::{Accumulated, Aggregate, Direct};
use tidemill_datastream::operators::{Lateness, WindowOperator};
use tidemill_datastream::windows::{EventTimeTrigger, TumblingEventTimeWindows};
use tidemill_runtime::operator::Emission;
use tidemill_runtime::{Operator, OperatorContext, Output, Progress};
use tidemill_state::{AggregateFunction, ManualClock};

struct Sum;

impl AggregateFunction for Sum {
    type In = (u32, i64);
    type Acc = i64;
    type Out = i64;

    fn create_accumulator(&self) -> i64 {
        0
    }

    fn add(&self, accumulator: &mut i64, (_, value): (u32, i64)) {
        *accumulator += value;
    }

    fn get_result(&self, accumulator: &i64) -> i64 {
        *accumulator
    }

    fn merge(&self, accumulator: &mut i64, other: i64) {
        *accumulator += other;
    }
}

#[test]
fn tumbling() {
    let mut operator = WindowOperator::new(
        ByValue::new(|record: &(u32, i64)| record.0),
        TumblingEventTimeWindows::of(Duration::from_millis(10)),
        EventTimeTrigger,
        Accumulated::new(Aggregate(Arc::new(Sum)), Direct),
        Lateness::default(),
    );
    let context = OperatorContext::detached(0, 1, 128, Arc::new(ManualClock::at(0)));
    operator.open(&context, None).unwrap();
    let mut out = Output::default();
    let mut batch = TypedBatch::default();
    for (key, value, timestamp) in [(1u32, 1i64, 0), (2, 10, 3), (1, 2, 9), (1, 4, 10)] {
        batch.push((key, value), timestamp);
    }
    assert_eq!(operator.process(0, Batch::new(batch), &mut out).unwrap(), Progress::Done);
    assert_eq!(operator.watermark(Watermark(9), &mut out).unwrap(), Progress::Done);
    let emissions = out.take_emissions();
    let Emission::Batch(batch) = &emissions[0] else { panic!("{emissions:?}") };
    let batch = batch.downcast_ref::<TypedBatch<i64>>().unwrap();
    assert_eq!((&batch.values[..], &batch.timestamps[..]), (&[3, 10][..], &[9, 9][..]));
}
