//! The first of two phases of an aggregation: what the rows that wait come to is sent, a row for each group, to where the state of
//! the group is. However many rows of a bundle are of one group, one goes there.

use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, Batch, BatchData};
use tidemill_core::time::Watermark;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::SubtaskSnapshot;

use super::accumulators::{Argument, Functions};
use super::bundle::{Dealt, nothing_of};
use super::groups::Groups;
use super::output::{is_retraction, kind};
use super::own_aggregates;
use super::partials::Partials;
use crate::functions::aggregate::AggregateCall;

/// An aggregation of the rows that wait.
#[derive(Clone, Debug)]
pub(crate) struct LocalAggregateSpec {
    /// The columns of the groups.
    pub(crate) keys: Vec<usize>,
    pub(crate) calls: Vec<AggregateCall>,
    /// The groups' columns, then the accumulators.
    pub(crate) partials: SchemaRef,
    /// How many rows wait at most.
    pub(crate) bundle: usize,
}

impl OperatorFactory for LocalAggregateSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(LocalAggregate {
            functions: Functions::new(&self.calls),
            groups: Groups::default(),
            partials: Partials::new(&self.partials, self.bundle, Dealt::Anywhere),
            spec: self.clone(),
        }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

struct LocalAggregate {
    spec: LocalAggregateSpec,
    functions: Functions,
    groups: Groups,
    partials: Partials,
}

impl Operator for LocalAggregate {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.partials.restore(context, restored.as_ref(), &self.functions)
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let rows = batch.downcast_ref::<ArrowBatch>()?;
        if !rows.is_empty() {
            self.fold(rows)?;
        }
        if !self.partials.is_full() || self.flush(out)? {
            return Ok(Progress::Done);
        }
        out.keep(Batch::new(nothing_of(rows)));
        Ok(Progress::More)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        if !self.flush(out)? {
            return Ok(Progress::More);
        }
        out.watermark(watermark);
        Ok(Progress::Done)
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        Ok(if self.flush(out)? { Progress::Done } else { Progress::More })
    }

    fn snapshot(&mut self, _: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        self.partials.snapshot(&self.functions)
    }
}

impl LocalAggregate {
    /// Folds the rows of a batch into the accumulators of their groups.
    fn fold(&mut self, batch: &ArrowBatch) -> Result<(), OperatorError> {
        let Self { spec, functions, groups, partials } = self;
        let (columns, rows) = (batch.records.columns(), batch.records.num_rows());
        groups.find(columns, &spec.keys, rows);
        let arguments = functions.all().iter().map(|function| Argument::new(function, columns));
        let arguments = arguments.collect::<Result<Vec<_>, _>>()?;
        let places = partials.places(groups, rows, functions);
        let place_of = |group: usize| places[group] as usize;
        let values = &mut partials.values;
        for (row, group) in groups.of_row.iter().enumerate() {
            let accumulators = &mut values[place_of(*group as usize)];
            let retract = is_retraction(kind(batch, row));
            functions.add_rows(accumulators, if retract { -1 } else { 1 });
            for (function, argument) in functions.all().iter().zip(&arguments) {
                if function.is_plain() {
                    function.accumulate(&mut accumulators.0, argument, row, retract)?;
                }
            }
        }
        let none_skipped = vec![None; functions.all().len()];
        let of_rows = groups.rows(None);
        own_aggregates::update(
            functions,
            batch,
            &arguments,
            &none_skipped,
            of_rows,
            values,
            groups.len(),
            place_of,
        )
    }

    /// Sends some of the groups. Answers whether none is left.
    fn flush(&mut self, out: &mut Output) -> Result<bool, OperatorError> {
        let part = self.partials.take_part(out.batch_records());
        if !part.keys.is_empty() {
            out.emit(Batch::new(Partials::sent(&self.spec.partials, &part, &self.functions)?));
        }
        Ok(self.partials.is_done())
    }
}
