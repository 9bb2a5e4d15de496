//! A wrapper that holds an operator to its contract.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_core::CheckpointId;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::{
    Emission, Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::SubtaskSnapshot;

/// After how many calls in a row that neither took nor emitted anything an operator counts as going round in circles.
const FRUITLESS_CALLS: u32 = 1000;

/// What an operator may emit.
///
/// ```
/// use tidemill_testkit::{Contract, checked_with, faults};
/// use std::sync::Arc;
///
/// let numbers = Contract::default().main("u64").side("late", "u64");
/// let factory = checked_with(Arc::new(faults::pass::<u64>()), numbers);
/// # let _ = factory;
/// ```
#[derive(Clone, Debug, Default)]
pub struct Contract {
    main: Option<&'static str>,
    /// Of rows, the types of their columns, which the first batch says.
    columns: Option<Vec<String>>,
    sides: BTreeMap<Arc<str>, &'static str>,
}

impl Contract {
    /// Says that the main output has batches of this type; otherwise the first one decides.
    #[must_use]
    pub fn main(mut self, type_name: &'static str) -> Self {
        self.main = Some(type_name);
        self
    }

    /// Says that a side output has batches of this type; otherwise its first one decides.
    #[must_use]
    pub fn side(mut self, tag: &str, type_name: &'static str) -> Self {
        self.sides.insert(tag.into(), type_name);
        self
    }
}

/// Wraps the operators of a factory in checks: watermarks that never go back, one type per output, *more* only with a kept
/// batch, *done* only without one, nothing after the end. What does not hold panics.
///
/// ```
/// use tidemill_runtime::OperatorFactory;
/// use tidemill_testkit::{checked, faults};
///
/// assert!(checked(faults::pass::<u64>()).create(0).is_ok());
/// ```
pub fn checked(factory: impl OperatorFactory + 'static) -> impl OperatorFactory + 'static {
    checked_with(Arc::new(factory), Contract::default())
}

/// As [`checked`], with the types of the outputs known beforehand.
pub fn checked_with(factory: Arc<dyn OperatorFactory>, contract: Contract) -> impl OperatorFactory + 'static {
    CheckedFactory { factory, contract }
}

struct CheckedFactory {
    factory: Arc<dyn OperatorFactory>,
    contract: Contract,
}

impl OperatorFactory for CheckedFactory {
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(Checked {
            inner: self.factory.create(subtask)?,
            contract: self.contract.clone(),
            stage: Stage::Created,
            watermark_in: Watermark::MIN,
            watermark_out: Watermark::MIN,
            fruitless: 0,
            emitted: false,
        }))
    }

    fn is_stateful(&self) -> bool {
        self.factory.is_stateful()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Created,
    Open,
    Finishing,
    Finished,
    Failed,
    Closed,
}

struct Checked {
    inner: Box<dyn Operator>,
    contract: Contract,
    stage: Stage,
    watermark_in: Watermark,
    watermark_out: Watermark,
    fruitless: u32,
    /// Whether the last call emitted anything.
    emitted: bool,
}

fn broken(what: impl std::fmt::Display) -> ! {
    panic!("the operator breaks its contract: {what}")
}

impl Checked {
    /// A call of the runtime: only an open operator takes one.
    fn enter(&self, call: &str, out: &mut Output) {
        let expected = if call == "finish" { [Stage::Open, Stage::Finishing] } else { [Stage::Open; 2] };
        // Until it has finished, an operator that waits in `finish` is still woken and its timers still fire.
        let in_finish = self.stage == Stage::Finishing && matches!(call, "processing_time" | "woken");
        assert!(
            expected.contains(&self.stage) || in_finish,
            "the runtime breaks its contract: {call} was called on an operator that is {:?}",
            self.stage
        );
        assert!(out.take_kept().is_none(), "the runtime breaks its contract: a kept batch was left behind");
    }

    /// Looks at what a call has emitted.
    fn leave(
        &mut self,
        call: &str,
        given: Option<&Given>,
        result: Result<Progress, OperatorError>,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let emissions = out.take_emissions();
        self.emitted = !emissions.is_empty();
        for emission in emissions {
            match emission {
                Emission::Batch(batch) => {
                    check_batch("its main output", &mut self.contract.main, &batch);
                    if let Ok(rows) = batch.downcast_ref::<ArrowBatch>() {
                        check_rows(&mut self.contract.columns, rows);
                    }
                    out.emit(batch);
                }
                Emission::Side(tag, batch) => {
                    let mut declared = self.contract.sides.get(&tag).copied();
                    check_batch(&format!("side output '{tag}'"), &mut declared, &batch);
                    self.contract.sides.extend(declared.map(|declared| (Arc::clone(&tag), declared)));
                    out.emit_side(&tag, batch);
                }
                Emission::Watermark(watermark) => {
                    if watermark < self.watermark_out {
                        broken(format_args!(
                            "{call} emitted watermark {} after {}",
                            watermark.0, self.watermark_out.0
                        ));
                    }
                    self.watermark_out = watermark;
                    out.watermark(watermark);
                }
                Emission::Idle(idle) => out.idle(idle),
            }
        }
        let Ok(progress) = result else {
            // What an operator kept when it failed is lost with it.
            let _ = out.take_kept();
            self.stage = Stage::Failed;
            return result;
        };
        let kept = out.take_kept();
        match (given, &kept, progress) {
            (Some(_), Some(_), Progress::Done) => broken(format_args!("{call} kept a batch but is done")),
            (Some(_), None, Progress::More | Progress::Wait) => {
                broken(format_args!("{call} answered {progress:?} but kept no batch"));
            }
            (None, Some(_), _) => broken(format_args!("{call} kept a batch, which only process may")),
            (Some(given), Some(kept), _) => {
                if kept.type_name() != given.type_name {
                    broken(format_args!(
                        "{call} was given a batch of {} and kept one of {}",
                        given.type_name,
                        kept.type_name()
                    ));
                }
                if kept.len() > given.records {
                    broken(format_args!(
                        "{call} was given {} records and kept {}",
                        given.records,
                        kept.len()
                    ));
                }
            }
            _ => {}
        }
        let took = given.is_some_and(|given| kept.as_ref().is_none_or(|kept| kept.len() < given.records));
        self.fruitless =
            if progress != Progress::More || self.emitted || took { 0 } else { self.fruitless + 1 };
        if self.fruitless >= FRUITLESS_CALLS {
            broken(format_args!(
                "{call} answered More {FRUITLESS_CALLS} times in a row without taking or emitting anything"
            ));
        }
        if let Some(kept) = kept {
            out.keep(kept);
        }
        Ok(progress)
    }
}

/// What `process` was given.
struct Given {
    type_name: &'static str,
    records: usize,
}

fn check_batch(output: &str, declared: &mut Option<&'static str>, batch: &Batch) {
    let declared = declared.get_or_insert(batch.type_name());
    if *declared != batch.type_name() {
        broken(format_args!("{output} has records of {declared}, and {} was emitted", batch.type_name()));
    }
}

/// Rows have columns of the same types in each batch, and one kind and one hash each or none.
fn check_rows(columns: &mut Option<Vec<String>>, batch: &ArrowBatch) {
    let schema = batch.records.schema();
    let found: Vec<String> = schema.fields().iter().map(|field| field.data_type().to_string()).collect();
    let rows = batch.records.num_rows();
    match columns {
        None => *columns = Some(found),
        Some(known) if *known != found => {
            broken(format_args!("its rows have columns of {known:?}, and of {found:?} were emitted"));
        }
        Some(_) => {}
    }
    let lengths = [
        ("kinds", batch.kinds.as_ref().map_or(rows, |kinds| kinds.len())),
        ("hashes", if batch.hashes.is_empty() { rows } else { batch.hashes.len() }),
        ("timestamps", if batch.timestamps.is_empty() { rows } else { batch.timestamps.len() }),
    ];
    for (what, length) in lengths {
        if length != rows {
            broken(format_args!("a batch of {rows} rows with {length} {what} was emitted"));
        }
    }
}

impl Operator for Checked {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        assert_eq!(self.stage, Stage::Created, "the runtime breaks its contract: open comes once and first");
        self.stage = Stage::Open;
        self.inner.open(context, restored).inspect_err(|_| self.stage = Stage::Failed)
    }

    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        self.enter("process", out);
        let given = Given { type_name: batch.type_name(), records: batch.len() };
        let result = self.inner.process(input, batch, out);
        self.leave("process", Some(&given), result, out)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.enter("watermark", out);
        assert!(
            watermark >= self.watermark_in,
            "the runtime breaks its contract: watermark {} came in after {}",
            watermark.0,
            self.watermark_in.0
        );
        self.watermark_in = watermark;
        let result = self.inner.watermark(watermark, out);
        self.leave("watermark", None, result, out)
    }

    fn idle(&mut self, idle: bool, out: &mut Output) -> Result<Progress, OperatorError> {
        self.enter("idle", out);
        let result = self.inner.idle(idle, out);
        self.leave("idle", None, result, out)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.inner.next_processing_time()
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        self.enter("processing_time", out);
        let due = self.inner.next_processing_time();
        let result = self.inner.processing_time(now, out);
        let result = self.leave("processing_time", None, result, out);
        if matches!(result, Ok(Progress::Done)) && self.inner.next_processing_time() == due && !self.emitted {
            self.fruitless += 1;
            if due.is_some_and(|due| due <= now) && self.fruitless >= FRUITLESS_CALLS {
                broken(format_args!("processing_time({now}) leaves {due:?} due however often it is called"));
            }
        }
        result
    }

    fn woken(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.enter("woken", out);
        let result = self.inner.woken(out);
        self.leave("woken", None, result, out)
    }

    fn has_room(&self) -> bool {
        self.inner.has_room()
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.enter("finish", out);
        self.stage = Stage::Finishing;
        let result = self.inner.finish(out);
        let result = self.leave("finish", None, result, out);
        if matches!(result, Ok(Progress::Done)) {
            self.stage = Stage::Finished;
        }
        result
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        assert!(
            matches!(self.stage, Stage::Open | Stage::Finishing | Stage::Finished),
            "the runtime breaks its contract: snapshot of an operator that is {:?}",
            self.stage
        );
        self.inner.snapshot(context)
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.inner.checkpoint_complete(checkpoint)
    }

    fn checkpoint_aborted(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.inner.checkpoint_aborted(checkpoint)
    }

    fn close(&mut self) {
        assert_ne!(self.stage, Stage::Closed, "the runtime breaks its contract: close comes once");
        self.stage = Stage::Closed;
        self.inner.close();
    }
}
