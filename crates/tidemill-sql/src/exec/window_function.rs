//! A windowing table function whose windows do not depend on other rows: each row once for each of its windows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use arrow_array::{Array, ArrayRef, TimestampMillisecondArray, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_runtime::metrics::Counter;
use tidemill_runtime::{Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress};
use tidemill_state::{Clock, SubtaskSnapshot};

use super::output::not_open;
use crate::expr::compile::record_batch;
use crate::functions::temporal::LocalClock;
use crate::plan::WindowKind;

/// A windowing table function.
#[derive(Clone, Debug)]
pub(crate) struct WindowFunctionSpec {
    pub(crate) window: WindowKind,
    /// The column of time.
    pub(crate) time: usize,
    pub(crate) processing_time: bool,
    /// Whose clock windows begin and end by.
    pub(crate) zone: Option<chrono_tz::Tz>,
    /// The input's columns, then start, end and time of the window.
    pub(crate) output: SchemaRef,
}

impl OperatorFactory for WindowFunctionSpec {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let local = LocalClock::new(self.zone);
        Ok(Box::new(WindowFunction { spec: self.clone(), local, opened: None }))
    }
}

struct WindowFunction {
    spec: WindowFunctionSpec,
    local: LocalClock,
    opened: Option<(Arc<dyn Clock>, Arc<Counter>)>,
}

/// Rows that one call makes, about.
const ROWS_A_CALL: usize = 1 << 14;

impl Operator for WindowFunction {
    fn open(&mut self, context: &OperatorContext, _: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        let dropped = context.metrics.counter("numNullRowTimeRecordsDropped");
        self.opened = Some((Arc::clone(&context.clock), dropped));
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        let Some((clock, dropped)) = &self.opened else { return Err(not_open()) };
        let batch = batch.downcast_ref::<ArrowBatch>()?;
        let columns = batch.records.columns();
        let window = self.spec.window;
        let now = self.spec.processing_time.then(|| clock.now());
        let times = columns
            .get(self.spec.time)
            .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>());
        let (mut places, mut ends): (Vec<u32>, Vec<i64>) = Default::default();
        let (mut done, all) = (0, batch.records.num_rows());
        while done < all && places.len() < ROWS_A_CALL {
            let time = match (now, times) {
                (Some(now), _) => Some(now),
                (None, Some(times)) if times.is_valid(done) => Some(times.value(done)),
                _ => None,
            };
            match time {
                Some(time) => window.windows_of_slice(window.slice_end(self.local.local(time)), |end| {
                    places.push(u32::try_from(done).unwrap_or(u32::MAX));
                    ends.push(end);
                }),
                // It is in no window, as in Flink.
                None => dropped.add(1),
            }
            done += 1;
        }
        let rows = places.len();
        let kinds = batch.kinds.as_ref().map(|kinds| places.iter().map(|row| kinds[*row as usize]).collect());
        let places = UInt32Array::from(places);
        let taken = columns.iter().map(|column| take(column, &places, None));
        let mut made: Vec<ArrayRef> = taken
            .collect::<Result<_, _>>()
            .map_err(|error| OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string()))?;
        for part in 0..3 {
            let values = ends.iter().map(|end| match part {
                0 => window.window_start(*end),
                1 => *end,
                _ => self.local.moment(end - 1),
            });
            let array = TimestampMillisecondArray::from_iter_values(values);
            let data_type = self.spec.output.field(made.len()).data_type().clone();
            made.push(Arc::new(array.with_data_type(data_type)));
        }
        if rows > 0 {
            out.emit(Batch::new(ArrowBatch {
                records: record_batch(&self.spec.output, made, rows)?,
                kinds,
                timestamps: Vec::new(),
                hashes: Vec::new(),
            }));
        }
        if done == all {
            return Ok(Progress::Done);
        }
        out.keep(Batch::new(ArrowBatch {
            records: batch.records.slice(done, all - done),
            kinds: batch.kinds.as_ref().map(|kinds| kinds[done..].into()),
            timestamps: Vec::new(),
            hashes: Vec::new(),
        }));
        Ok(Progress::More)
    }
}
