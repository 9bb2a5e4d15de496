//! Aggregations whose rows wait against the one whose rows do not: the same results, of fewer changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use proptest::prelude::*;
use tidemill_core::CheckpointBarrier;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_core::time::Watermark;
use tidemill_runtime::{
    Emission, Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::{SubtaskSnapshot, SystemClock};

use super::edge::joined;
use super::global_aggregate::GlobalAggregateSpec;
use super::group_aggregate::GroupAggregateSpec;
use super::local_aggregate::LocalAggregateSpec;
use super::output::{changes, is_retraction, kind};
use crate::functions::aggregate::{AggregateCall, AggregateKind};
use crate::types::TypeRoot;

/// A key and a value, and whether they come or go.
type Change = (i64, Option<i64>, bool);

fn schema(types: &[DataType]) -> SchemaRef {
    let fields = types.iter().enumerate().map(|(n, of)| Field::new(format!("c{n}"), of.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn longs(count: usize) -> SchemaRef {
    schema(&vec![DataType::Int64; count])
}

fn calls() -> Vec<AggregateCall> {
    let call = |kind: AggregateKind, arguments: &[usize]| AggregateCall {
        name: kind.name().to_owned(),
        kind,
        arguments: arguments.to_vec(),
        types: vec![TypeRoot::BigInt.nullable(); arguments.len()],
        distinct: false,
        filter: None,
        returns: TypeRoot::BigInt.nullable(),
    };
    vec![
        call(AggregateKind::Count, &[]),
        call(AggregateKind::Count, &[1]),
        call(AggregateKind::Sum, &[1]),
        call(AggregateKind::Avg, &[1]),
    ]
}

fn batch(rows: &[Change]) -> ArrowBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
    ];
    let kinds = rows.iter().map(|row| if row.2 { RowKind::Insert } else { RowKind::Delete }).collect();
    changes(&longs(2), columns, kinds).unwrap()
}

/// An operator that is driven by hand.
struct Driven {
    operator: Box<dyn Operator>,
    out: Output,
}

impl Driven {
    fn new(factory: &dyn OperatorFactory) -> Self {
        Self::restored(factory, None, (0, 1))
    }

    fn restored(
        factory: &dyn OperatorFactory,
        snapshot: Option<SubtaskSnapshot>,
        (subtask, parallelism): (u32, u32),
    ) -> Self {
        let mut operator = factory.create(subtask).unwrap();
        let context = OperatorContext::detached(subtask, parallelism, 128, Arc::new(SystemClock));
        operator.open(&context, snapshot).unwrap();
        let mut out = Output::default();
        // So few that bundles go out in parts.
        out.set_batch_records(3);
        Self { operator, out }
    }

    fn emitted(&mut self) -> Vec<ArrowBatch> {
        let said = self.out.take_emissions().into_iter();
        said.filter_map(|said| match said {
            Emission::Batch(batch) => Some(batch.downcast_ref::<ArrowBatch>().unwrap().clone()),
            _ => None,
        })
        .collect()
    }

    fn until_done(
        &mut self,
        mut call: impl FnMut(&mut dyn Operator, &mut Output) -> Result<Progress, OperatorError>,
    ) -> Vec<ArrowBatch> {
        while call(&mut *self.operator, &mut self.out).unwrap() != Progress::Done {}
        self.emitted()
    }

    fn take(&mut self, rows: &ArrowBatch) -> Vec<ArrowBatch> {
        let mut next = Batch::new(rows.clone());
        self.until_done(|operator, out| {
            let progress = operator.process(0, std::mem::replace(&mut next, Batch::new(batch(&[]))), out)?;
            next = out.take_kept().unwrap_or_else(|| Batch::new(batch(&[])));
            Ok(progress)
        })
    }

    fn mark(&mut self, at: i64) -> Vec<ArrowBatch> {
        self.until_done(|operator, out| operator.watermark(Watermark(at), out))
    }

    fn snapshot(&mut self) -> SubtaskSnapshot {
        let context = SnapshotContext::of(CheckpointBarrier::new(1, 0));
        let mut snapshot = self.operator.snapshot(&context).unwrap();
        snapshot.complete(&Arc::default()).unwrap();
        snapshot
    }
}

/// What a changelog folds to, and how many changes it has.
#[derive(Default)]
struct Folded {
    table: BTreeMap<Vec<Option<i64>>, i64>,
    changes: usize,
}

impl Folded {
    fn take(&mut self, batches: Vec<ArrowBatch>) {
        for batch in batches {
            for row in 0..batch.records.num_rows() {
                let values = batch.records.columns().iter().map(|column| {
                    let column = column.as_primitive::<Int64Type>();
                    (!column.is_null(row)).then(|| column.value(row))
                });
                let values: Vec<Option<i64>> = values.collect();
                let count = self.table.entry(values.clone()).or_default();
                *count += if is_retraction(kind(&batch, row)) { -1 } else { 1 };
                assert!(*count >= 0, "a row is taken away that is not there: {values:?}");
                if *count == 0 {
                    self.table.remove(&values);
                }
                self.changes += 1;
            }
        }
    }
}

fn group(retracting: bool, bundle: Option<usize>) -> GroupAggregateSpec {
    GroupAggregateSpec {
        input: longs(2),
        keys: vec![0],
        calls: calls(),
        output: longs(5),
        retracting,
        update_before: true,
        ttl: None,
        bundle,
    }
}

fn partials() -> SchemaRef {
    schema(&[DataType::Int64, DataType::Binary])
}

fn local(bundle: usize) -> LocalAggregateSpec {
    LocalAggregateSpec { keys: vec![0], calls: calls(), partials: partials(), bundle }
}

fn global(bundle: usize) -> GlobalAggregateSpec {
    GlobalAggregateSpec {
        partials: partials(),
        calls: calls(),
        output: longs(5),
        update_before: true,
        ttl: None,
        bundle,
    }
}

/// Batches of changes, such that nothing goes that has not come, and marks (`None`) between them.
fn steps() -> impl Strategy<Value = Vec<Option<Vec<Change>>>> {
    let change = (0i64..5, proptest::option::weighted(0.8, -9i64..9), proptest::bool::weighted(0.7));
    let step = prop_oneof![
        3 => proptest::collection::vec(change, 1..12).prop_map(Some),
        1 => Just(None),
    ];
    proptest::collection::vec(step, 1..30).prop_map(|mut steps| {
        let mut there: Vec<(i64, Option<i64>)> = Vec::new();
        for change in steps.iter_mut().flatten().flatten() {
            if change.2 || there.is_empty() {
                change.2 = true;
                there.push((change.0, change.1));
            } else {
                let place = (change.0.unsigned_abs() as usize * 7 + there.len()) % there.len();
                (change.0, change.1) = there.swap_remove(place);
            }
        }
        steps
    })
}

proptest! {
    #[test]
    fn bundles_come_to_what_single_batches_come_to(steps in steps(), sizes in (1usize..30, 1usize..30, 1usize..30)) {
        let mut plain = (Driven::new(&group(true, None)), Folded::default());
        let mut bundled = (Driven::new(&group(true, Some(sizes.0))), Folded::default());
        // Rows are dealt to two local operators by their values, so that what goes follows what has come.
        let mut locals = [Driven::new(&local(sizes.1)), Driven::new(&local(sizes.1))];
        let mut merged = (Driven::new(&global(sizes.2)), Folded::default());
        let last = steps.len() as i64;
        for (number, step) in steps.into_iter().chain([None]).enumerate() {
            let Some(rows) = step else {
                let at = number as i64;
                bundled.1.take(bundled.0.mark(at));
                for local in &mut locals {
                    for sent in local.mark(at) {
                        merged.1.take(merged.0.take(&sent));
                    }
                }
                merged.1.take(merged.0.mark(at));
                prop_assert_eq!(&bundled.1.table, &plain.1.table);
                prop_assert_eq!(&merged.1.table, &plain.1.table);
                continue;
            };
            plain.1.take(plain.0.take(&batch(&rows)));
            bundled.1.take(bundled.0.take(&batch(&rows)));
            for (which, local) in locals.iter_mut().enumerate() {
                let own = |row: &&Change| row.1.unwrap_or(0).unsigned_abs() as usize % 2 == which;
                let own: Vec<Change> = rows.iter().filter(own).copied().collect();
                for sent in local.take(&batch(&own)) {
                    merged.1.take(merged.0.take(&sent));
                }
            }
        }
        prop_assert!(last >= 0 && bundled.1.changes <= plain.1.changes);
    }
}

/// A hundred batches, most of whose rows have the same key.
fn skewed() -> Vec<ArrowBatch> {
    let row = |n: i64| (if n % 50 == 0 { 1 + n % 3 } else { 0 }, Some(n), true);
    (0..100).map(|number| batch(&(number * 100..(number + 1) * 100).map(row).collect::<Vec<_>>())).collect()
}

fn rows_in(batches: &[ArrowBatch]) -> usize {
    batches.iter().map(|batch| batch.records.num_rows()).sum()
}

#[test]
fn a_bundle_makes_one_change_of_a_group() {
    let mut plain = (Driven::new(&group(false, None)), Folded::default());
    let mut bundled = (Driven::new(&group(false, Some(2_500))), Folded::default());
    for batch in skewed() {
        plain.1.take(plain.0.take(&batch));
        bundled.1.take(bundled.0.take(&batch));
    }
    assert_eq!(plain.1.table, bundled.1.table);
    // Four bundles of four groups: inserts, then updates of two rows each. A batch has three groups at most, two of them every time.
    assert_eq!(bundled.1.changes, 4 + 3 * 2 * 4);
    assert!(plain.1.changes > 2 * 2 * 90, "{}", plain.1.changes);
}

#[test]
fn of_a_hot_key_one_row_a_bundle_goes_to_the_global_side() {
    let mut local = Driven::new(&local(2_500));
    let mut merged = (Driven::new(&global(1)), Folded::default());
    let mut sent = Vec::new();
    for batch in skewed() {
        sent.extend(local.take(&batch));
    }
    assert_eq!(rows_in(&sent), 4 * 4, "bundles of groups, of 10000 rows");
    sent.iter().for_each(|rows| merged.1.take(merged.0.take(rows)));
    assert_eq!(merged.1.table.len(), 4);
    // What comes and goes in one bundle is not sent.
    assert!(local.take(&batch(&[(7, Some(1), true), (7, Some(1), false)])).is_empty());
    assert!(local.mark(1).is_empty());
}

/// Rows that wait when snapshots are taken come to the subtasks that have their keys.
#[test]
fn rows_that_wait_follow_their_keys() {
    let rows: Vec<Change> = (0..40).map(|key| (key, Some(key), true)).collect();
    let keyed: [(&dyn OperatorFactory, ArrowBatch); 2] = [
        (&group(false, Some(1_000)), batch(&rows)),
        (&global(1_000), {
            let mut local = Driven::new(&local(1_000));
            assert!(local.take(&batch(&rows)).is_empty());
            joined(local.mark(1), &partials()).unwrap().unwrap()
        }),
    ];
    for (factory, rows) in keyed {
        let mut before = Driven::new(factory);
        assert!(before.take(&rows).is_empty());
        let snapshot = before.snapshot();
        assert_eq!(snapshot.operator.len(), 1);
        let (mut table, mut least) = (Folded::default(), usize::MAX);
        for subtask in 0..3 {
            // Without keyed state: none of these keys has any yet.
            let shared =
                SubtaskSnapshot { operator: snapshot.operator.clone(), ..SubtaskSnapshot::default() };
            let mut after = Driven::restored(factory, Some(shared), (subtask, 3));
            let before = table.changes;
            table.take(after.mark(1));
            least = least.min(table.changes - before);
        }
        assert!(least > 0, "each subtask has some");
        assert_eq!((table.table.len(), table.changes), (40, 40));
    }
}

/// A job whose rows waited goes on without mini-batches.
#[test]
fn rows_that_waited_are_not_forgotten_when_none_are_to_wait() {
    let mut before = Driven::new(&group(false, Some(1_000)));
    assert!(before.take(&batch(&[(1, Some(5), true)])).is_empty());
    let snapshot = before.snapshot();
    let mut after = Driven::restored(&group(false, None), Some(snapshot), (0, 1));
    assert!(after.operator.next_processing_time().is_some(), "they are aggregated at once");
    let mut table = Folded::default();
    table.take(after.until_done(|operator, out| operator.processing_time(0, out)));
    assert_eq!((table.changes, after.operator.next_processing_time()), (1, None));
    table.take(after.take(&batch(&[(1, Some(6), true)])));
    assert!(table.table.contains_key(&vec![Some(1), Some(2), Some(2), Some(11), Some(5)]));
    assert!(after.snapshot().operator.is_empty());
}

#[test]
fn a_snapshot_amid_a_bundle_holds_the_rest() {
    let rows: Vec<Change> = (0..20).map(|key| (key, Some(key), true)).collect();
    let factory = group(false, Some(1_000));
    let mut before = Driven::new(&factory);
    assert!(before.take(&batch(&rows)).is_empty());
    let mut table = Folded::default();
    assert_eq!(before.operator.watermark(Watermark(1), &mut before.out).unwrap(), Progress::More);
    table.take(before.emitted());
    assert!((1..20).contains(&table.changes));
    let mut after = Driven::restored(&factory, Some(before.snapshot()), (0, 1));
    table.take(after.mark(1));
    assert_eq!((table.table.len(), table.changes), (20, 20));
}
