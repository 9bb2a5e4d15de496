//! One operator subtask, driven call by call.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::batch::TypedBatch;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::{OperatorContext, OperatorError, OperatorFactory, Progress};
use tidemill_serialization::Data;
use tidemill_state::{ManualClock, SubtaskSnapshot};

use crate::checker::{Contract, checked_with};
use crate::records::RecordType;
use crate::subject::{Call, Emitted, Setup, Subject};

/// Drives one subtask of an operator whose main output has records of type `U`.
///
/// The operator is opened by the first call. Every call is repeated until the operator is done, as a task does; what it
/// emits is kept until it is taken.
///
/// ```
/// use tidemill_testkit::{OperatorHarness, faults, stamped};
///
/// let mut harness = OperatorHarness::<u32>::new(faults::pass::<u32>());
/// harness.process(0, stamped([(7u32, 100)])).unwrap();
/// harness.watermark(50).unwrap();
/// assert_eq!(harness.take_records(), [(7, 100)]);
/// assert_eq!(harness.take_watermarks(), [50]);
/// ```
pub struct OperatorHarness<U> {
    setup: Setup,
    contract: Contract,
    factory: Arc<dyn OperatorFactory>,
    restored: Option<SubtaskSnapshot>,
    subject: Option<Subject>,
    output: PhantomData<fn() -> U>,
}

impl<U: Data + Debug> OperatorHarness<U> {
    /// A harness for subtask 0 of 1, with 128 key groups, at processing time 0.
    ///
    /// ```
    /// use tidemill_testkit::{OperatorHarness, faults};
    ///
    /// let mut harness = OperatorHarness::<u64>::new(faults::pass::<u64>());
    /// assert!(harness.open().is_ok());
    /// ```
    pub fn new(factory: impl OperatorFactory + 'static) -> Self {
        Self::of(Arc::new(factory))
    }

    /// As [`new`](Self::new), for a factory that is shared already.
    pub fn of(factory: Arc<dyn OperatorFactory>) -> Self {
        Self {
            setup: Setup::new(Arc::clone(&factory)),
            contract: Contract::default().main(RecordType::of::<U>().name()),
            factory,
            restored: None,
            subject: None,
            output: PhantomData,
        }
    }

    fn before_open(mut self, change: impl FnOnce(&mut Setup)) -> Self {
        assert!(self.subject.is_none(), "the operator is open already");
        change(&mut self.setup);
        self
    }

    /// Sets which subtask this is, of how many.
    #[must_use]
    pub fn subtask(self, subtask: u32, parallelism: u32) -> Self {
        self.before_open(|setup| (setup.subtask, setup.parallelism) = (subtask, parallelism))
    }

    /// Sets the number of key groups.
    #[must_use]
    pub fn max_parallelism(self, max_parallelism: u32) -> Self {
        self.before_open(|setup| setup.max_parallelism = max_parallelism)
    }

    /// Sets how many records the operator emits in one call; a small number makes it answer *more*.
    #[must_use]
    pub fn batch_records(self, records: usize) -> Self {
        self.before_open(|setup| setup.batch_records = records)
    }

    /// Sets where processing time begins, in milliseconds.
    #[must_use]
    pub fn starts_at(self, now: Timestamp) -> Self {
        self.before_open(|setup| setup.clock = ManualClock::at(now))
    }

    /// Sets how long the operator may wait for the outside before the test fails (10 s).
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        self.before_open(|setup| setup.patience = patience)
    }

    /// Has the operator snapshotted, thrown away and restored once in `one_in` pauses between two calls, those within a
    /// batch included.
    #[must_use]
    pub fn random_snapshots(self, seed: u64, one_in: u64) -> Self {
        self.before_open(|setup| (setup.seed, setup.snapshot_one_in) = (seed, Some(one_in.max(1))))
    }

    /// Declares the type of a side output.
    #[must_use]
    pub fn side<V: Data + Debug>(mut self, tag: &str) -> Self {
        assert!(self.subject.is_none(), "the operator is open already");
        self.contract = self.contract.side(tag, RecordType::of::<V>().name());
        self
    }

    /// Has the operator go on from a snapshot.
    #[must_use]
    pub fn restored(mut self, snapshot: SubtaskSnapshot) -> Self {
        assert!(self.subject.is_none(), "the operator is open already");
        self.restored = Some(snapshot);
        self
    }

    /// Opens the operator.
    ///
    /// # Errors
    /// What the operator fails with; as do all other calls.
    pub fn open(&mut self) -> Result<(), OperatorError> {
        self.opened().map(|_| ())
    }

    fn opened(&mut self) -> Result<&mut Subject, OperatorError> {
        if self.subject.is_none() {
            let checked = checked_with(Arc::clone(&self.factory), self.contract.clone());
            self.setup.factory = Arc::new(checked);
            self.subject = Some(Subject::open(self.setup.clone(), self.restored.take())?);
        }
        Ok(self.subject.as_mut().expect("it was just opened"))
    }

    fn subject(&mut self) -> &mut Subject {
        self.opened().unwrap_or_else(|error| panic!("the operator cannot be opened: {error}"))
    }

    /// Processes a batch of input `input`.
    ///
    /// # Errors
    /// What the operator fails with.
    pub fn process<T: Data + Debug>(
        &mut self,
        input: usize,
        batch: TypedBatch<T>,
    ) -> Result<(), OperatorError> {
        self.opened()?.run(batch_call(input, batch))
    }

    /// Advances event time, in milliseconds.
    ///
    /// # Errors
    /// What the operator fails with.
    pub fn watermark(&mut self, timestamp: Timestamp) -> Result<(), OperatorError> {
        self.opened()?.run(Call::Watermark(Watermark(timestamp)))
    }

    /// All inputs go idle, or one is active again.
    ///
    /// # Errors
    /// What the operator fails with.
    pub fn idle(&mut self, idle: bool) -> Result<(), OperatorError> {
        self.opened()?.run(Call::Idle(idle))
    }

    /// Moves processing time to `now` and fires what is due.
    ///
    /// # Errors
    /// What the operator fails with.
    pub fn processing_time(&mut self, now: Timestamp) -> Result<(), OperatorError> {
        self.opened()?;
        self.setup.clock.set(now);
        self.opened()?.fire_processing_time()
    }

    /// Calls the operator when its waker was used. True when it was.
    ///
    /// # Errors
    /// What the operator fails with.
    pub fn woken(&mut self) -> Result<bool, OperatorError> {
        self.opened()?.poll_woken()
    }

    /// Ends the input.
    ///
    /// # Errors
    /// What the operator fails with.
    pub fn finish(&mut self) -> Result<(), OperatorError> {
        self.opened()?.run(Call::Finish)
    }

    /// Begins to process a batch; [`step`](Self::step) makes one call at a time.
    pub fn begin<T: Data + Debug>(&mut self, input: usize, batch: TypedBatch<T>) {
        self.subject().begin(batch_call(input, batch));
    }

    /// Makes the call that was begun once.
    ///
    /// # Errors
    /// What the operator fails with.
    pub fn step(&mut self) -> Result<Progress, OperatorError> {
        self.opened()?.step()
    }

    /// Brings the call that was begun to its end.
    ///
    /// # Errors
    /// What the operator fails with.
    pub fn complete(&mut self) -> Result<(), OperatorError> {
        self.opened()?.complete()
    }

    /// Whether a call that was begun is not at its end.
    pub fn is_pending(&mut self) -> bool {
        self.subject().is_pending()
    }

    /// Changes how many records the operator emits in one call from now on.
    pub fn set_batch_records(&mut self, records: usize) {
        self.subject().set_batch_records(records);
    }

    /// Snapshots the operator, through bytes and back. Allowed at any moment, also in the middle of a batch, which the
    /// snapshot then does not hold.
    ///
    /// # Errors
    /// What the operator fails with.
    pub fn snapshot(&mut self) -> Result<SubtaskSnapshot, OperatorError> {
        self.opened()?.snapshot()
    }

    /// Replaces the operator by a new one that is restored from a snapshot of it, in the middle of a batch too.
    ///
    /// # Errors
    /// What the operator fails with.
    pub fn restart(&mut self) -> Result<(), OperatorError> {
        self.opened()?.replace()
    }

    /// How often the operator was replaced.
    pub fn restores(&mut self) -> u64 {
        self.subject().restores
    }

    /// Whether the operator would take a batch.
    pub fn has_room(&mut self) -> bool {
        self.subject().has_room()
    }

    /// When the operator wants to be called in processing time.
    pub fn next_processing_time(&mut self) -> Option<Timestamp> {
        self.subject().next_processing_time()
    }

    /// The context of the operator as it is now: its metrics and its waker.
    pub fn context(&mut self) -> &OperatorContext {
        self.subject().context()
    }

    /// The clock that the operator reads.
    pub fn clock(&self) -> &ManualClock {
        &self.setup.clock
    }

    /// What the operator has emitted since it was last taken, in order.
    pub fn take(&mut self) -> Vec<Emitted> {
        std::mem::take(&mut self.subject().emitted)
    }

    fn take_where<A>(&mut self, wanted: impl FnMut(Emitted) -> Result<A, Emitted>) -> Vec<A> {
        let mut taken = Vec::new();
        let emitted = self.take().into_iter().map(wanted);
        let left = emitted.filter_map(|each| each.map(|wanted| taken.push(wanted)).err()).collect();
        self.subject().emitted = left;
        taken
    }

    /// Takes the records of the main output, with their timestamps.
    pub fn take_records(&mut self) -> Vec<(U, Timestamp)> {
        self.take_where(|emitted| match emitted {
            Emitted::Batch(mut batch) => Ok(records_of::<U>(&mut batch)),
            other => Err(other),
        })
        .into_iter()
        .flatten()
        .collect()
    }

    /// Takes the records of the main output.
    pub fn take_values(&mut self) -> Vec<U> {
        self.take_records().into_iter().map(|(value, _)| value).collect()
    }

    /// Takes the records of a side output, with their timestamps.
    pub fn take_side<V: Data + Debug>(&mut self, wanted: &str) -> Vec<(V, Timestamp)> {
        self.take_where(|emitted| match emitted {
            Emitted::Side(tag, mut batch) if &*tag == wanted => Ok(records_of::<V>(&mut batch)),
            other => Err(other),
        })
        .into_iter()
        .flatten()
        .collect()
    }

    /// Takes the watermarks.
    pub fn take_watermarks(&mut self) -> Vec<Timestamp> {
        self.take_where(|emitted| match emitted {
            Emitted::Watermark(watermark) => Ok(watermark.0),
            other => Err(other),
        })
    }

    /// Takes what was said about idleness.
    pub fn take_idleness(&mut self) -> Vec<bool> {
        self.take_where(|emitted| match emitted {
            Emitted::Idle(idle) => Ok(idle),
            other => Err(other),
        })
    }
}

fn batch_call<T: Data + Debug>(input: usize, batch: TypedBatch<T>) -> Call {
    let batch = tidemill_core::batch::Batch::new(batch);
    Call::Batch { input, batch, records: RecordType::of::<T>() }
}

fn records_of<T: Data + Debug>(batch: &mut tidemill_core::batch::Batch) -> Vec<(T, Timestamp)> {
    // Checks that the columns are of equal length.
    RecordType::of::<T>().rows(batch);
    let records = batch.downcast_mut::<TypedBatch<T>>().unwrap_or_else(|error| panic!("{error}"));
    let values = std::mem::take(&mut records.values);
    values.into_iter().enumerate().map(|(index, value)| (value, records.timestamp(index))).collect()
}
