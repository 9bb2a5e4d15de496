//! What an operator is to the runtime.
//!
//! An operator is called with whole batches on the one thread of its task. Every call may produce output and answers
//! whether it is [`Done`](Progress::Done) or has [`More`](Progress::More): a call that would produce much output
//! produces one bounded batch of it, says *more*, and is called again with what it kept. Between two such calls the
//! task looks whether its outputs have room, and whether it has been cancelled; so neither ever waits behind a join with a
//! million matches.

use std::error::Error as StdError;
use std::sync::Arc;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::element::Element;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_core::{CheckpointId, Classified, Fault};
use tidemill_network::{TaskWaker, Wake};
use tidemill_state::SubtaskSnapshot;

use crate::context::OperatorContext;
use crate::snapshot_context::SnapshotContext;

/// Whether a call has said all that it had to say.
///
/// ```
/// use tidemill_core::{Batch, TypedBatch};
/// use tidemill_runtime::{Operator, OperatorError, Output, Progress};
///
/// /// Emits each number as often as it says, one number a call.
/// struct Repeat;
///
/// impl Operator for Repeat {
///     fn process(&mut self, _: usize, mut batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
///         let numbers = batch.downcast_mut::<TypedBatch<u32>>()?;
///         let Some(number) = numbers.values.pop() else { return Ok(Progress::Done) };
///         out.emit_typed(TypedBatch::from_values(vec![number; number as usize]));
///         out.keep(batch);
///         Ok(Progress::More)
///     }
/// }
///
/// let mut out = Output::default();
/// let batch = Batch::new(TypedBatch::from_values(vec![2u32, 3]));
/// assert_eq!(Repeat.process(0, batch, &mut out)?, Progress::More);
/// assert_eq!(out.take_kept().unwrap().len(), 1);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Yes.
    Done,
    /// No: call again, with the batch that was handed to [`Output::keep`], as soon as the outputs have room.
    More,
    /// No, and a further call is of no use before the operator's [`OperatorWaker`] has been used: it waits for
    /// something outside of the process. Meanwhile it may be called by [`Operator::woken`] and, when its timers are due,
    /// by [`Operator::processing_time`].
    Wait,
}

/// An operator of a chain: one subtask of it, on its own thread.
///
/// The runtime calls, in this order: [`open`](Self::open); then any of the calls that take an [`Output`];
/// [`finish`](Self::finish) once, when all inputs have ended; [`close`](Self::close). After an error it calls only `close`.
///
/// ```
/// use tidemill_core::{Batch, TypedBatch};
/// use tidemill_runtime::{Emission, Operator, OperatorError, Output, Progress};
///
/// /// Doubles numbers in place.
/// struct Double;
///
/// impl Operator for Double {
///     fn process(&mut self, _: usize, mut batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
///         batch.downcast_mut::<TypedBatch<u32>>()?.values.iter_mut().for_each(|number| *number *= 2);
///         out.emit(batch);
///         Ok(Progress::Done)
///     }
/// }
///
/// let mut out = Output::default();
/// Double.process(0, Batch::new(TypedBatch::from_values(vec![1u32, 2])), &mut out)?;
/// let emitted = out.take_emissions();
/// let Some(Emission::Batch(batch)) = emitted.first() else { panic!("nothing was emitted") };
/// assert_eq!(batch.downcast_ref::<TypedBatch<u32>>()?.values, [2, 4]);
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
pub trait Operator: Send {
    /// Prepares for input; `restored` is what an earlier run of this operator answered to [`snapshot`](Self::snapshot),
    /// dealt out for this subtask.
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        let _ = (context, restored);
        Ok(())
    }

    /// Takes a batch of input number `input`.
    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError>;

    /// Event time has advanced on all inputs. The operator fires what is due and passes the watermark on.
    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        out.watermark(watermark);
        Ok(Progress::Done)
    }

    /// All inputs have gone idle, or one is active again.
    fn idle(&mut self, idle: bool, out: &mut Output) -> Result<Progress, OperatorError> {
        out.idle(idle);
        Ok(Progress::Done)
    }

    /// When, in processing time (milliseconds since the epoch), the operator wants
    /// [`processing_time`](Self::processing_time) to be called.
    fn next_processing_time(&self) -> Option<Timestamp> {
        None
    }

    /// Processing time has reached what [`next_processing_time`](Self::next_processing_time) asked for.
    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        let _ = (now, out);
        Ok(Progress::Done)
    }

    /// The operator's waker was used: something that it waited for has happened outside.
    fn woken(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        let _ = out;
        Ok(Progress::Done)
    }

    /// Whether the operator would take a batch. While it would not, its task takes no input.
    fn has_room(&self) -> bool {
        true
    }

    /// No input follows: says what is left to say.
    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        let _ = out;
        Ok(Progress::Done)
    }

    /// All that this subtask would need to go on from here. May be called between any two other calls, also while
    /// the operator has *more* to say; the batch that it [kept](Output::keep) is no part of it, and whoever asks for the
    /// snapshot has to store that batch beside it.
    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        let _ = context;
        Ok(SubtaskSnapshot::default())
    }

    /// A checkpoint that holds an earlier [`snapshot`](Self::snapshot) of this operator is complete: what has waited for that
    /// may be made visible outside. The call for a later checkpoint stands for those before it. It may be lost with its
    /// attempt: an operator that is restored knows by that alone that the checkpoint it is restored from is complete.
    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        let _ = checkpoint;
        Ok(())
    }

    /// A checkpoint will not be complete. What was kept for it alone may go.
    fn checkpoint_aborted(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        let _ = checkpoint;
        Ok(())
    }

    /// Frees what is held outside of the process. Called once, whatever happened before.
    fn close(&mut self) {}
}

/// Makes the operator of each subtask.
///
/// ```
/// use tidemill_runtime::{Operator, OperatorError, OperatorFactory};
/// # use tidemill_testkit::faults;
///
/// /// Has the operators of another factory, in the first two subtasks only.
/// struct Two<F>(F);
///
/// impl<F: OperatorFactory> OperatorFactory for Two<F> {
///     fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
///         if subtask > 1 {
///             return Err(OperatorError::user("at most two subtasks: lower the parallelism"));
///         }
///         self.0.create(subtask)
///     }
/// }
///
/// let two = Two(faults::pass::<u32>());
/// assert!(two.create(1).is_ok() && two.create(2).is_err() && !two.is_stateful());
/// ```
pub trait OperatorFactory: Send + Sync {
    /// The operator for one subtask; it is opened later.
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError>;

    /// Whether the operator keeps state: then it should have a uid.
    fn is_stateful(&self) -> bool {
        false
    }
}

struct Boxed<F> {
    make: F,
    stateful: bool,
}

impl<O: Operator + 'static, F: Fn() -> O + Send + Sync> OperatorFactory for Boxed<F> {
    fn create(&self, _subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new((self.make)()))
    }

    fn is_stateful(&self) -> bool {
        self.stateful
    }
}

/// A factory of operators without state: `make` is called once a subtask.
///
/// ```
/// use tidemill_core::Batch;
/// use tidemill_runtime::operator::boxed;
/// use tidemill_runtime::{Operator, OperatorError, OperatorFactory, Output, Progress};
///
/// struct Drops;
///
/// impl Operator for Drops {
///     fn process(&mut self, _: usize, _: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
///         Ok(Progress::Done)
///     }
/// }
///
/// assert!(!boxed(|| Drops).is_stateful());
/// ```
pub fn boxed<O: Operator + 'static>(
    make: impl Fn() -> O + Send + Sync + 'static,
) -> impl OperatorFactory + 'static {
    Boxed { make, stateful: false }
}

/// A factory of operators that keep state: `make` is called once a subtask.
///
/// ```
/// use tidemill_core::Batch;
/// use tidemill_core::budget::MemoryBudget;
/// use tidemill_runtime::operator::stateful;
/// use tidemill_runtime::{Operator, OperatorError, OperatorFactory, Output, Progress, SnapshotContext};
/// use tidemill_state::{ListStateDescriptor, OperatorStateBackend, SubtaskSnapshot};
///
/// /// Counts records.
/// #[derive(Default)]
/// struct Counts(usize);
///
/// impl Operator for Counts {
///     fn process(&mut self, _: usize, batch: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
///         self.0 += batch.len();
///         Ok(Progress::Done)
///     }
///
///     fn snapshot(&mut self, _: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
///         let mut states = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
///         let counts = states.register_list(ListStateDescriptor::<u64>::new("counts"))?;
///         counts.add(&mut states, self.0 as u64)?;
///         Ok(states.snapshot())
///     }
/// }
///
/// assert!(stateful(Counts::default).is_stateful());
/// ```
pub fn stateful<O: Operator + 'static>(
    make: impl Fn() -> O + Send + Sync + 'static,
) -> impl OperatorFactory + 'static {
    Boxed { make, stateful: true }
}

/// What an operator says in one call.
///
/// ```
/// use tidemill_core::Watermark;
/// use tidemill_runtime::{Emission, Output};
///
/// let mut out = Output::default();
/// out.watermark(Watermark(7));
/// out.idle(true);
/// let said = out.take_emissions();
/// assert!(matches!(said[..], [Emission::Watermark(Watermark(7)), Emission::Idle(true)]));
/// ```
#[derive(Debug)]
pub enum Emission {
    /// Records of the main output.
    Batch(Batch),
    /// Records of a side output.
    Side(Arc<str>, Batch),
    /// Event time has advanced.
    Watermark(Watermark),
    /// The output has gone idle (true) or is active again.
    Idle(bool),
}

/// Where an operator puts what it has to say.
///
/// ```
/// use tidemill_core::TypedBatch;
/// use tidemill_runtime::Output;
///
/// let mut out = Output::default();
/// let mut batch: TypedBatch<u32> = out.fresh();
/// while batch.len() < out.batch_records() {
///     batch.push(7, 0);
/// }
/// out.emit_typed(batch);
/// assert_eq!(out.take_emissions().len(), 1);
/// ```
#[derive(Debug)]
pub struct Output {
    emissions: Vec<Emission>,
    kept: Option<Batch>,
    recycled: Option<Batch>,
    spare: Option<Batch>,
    batch_records: usize,
}

/// How many records an operator puts into one batch, about, when nothing else bounds it.
///
/// ```
/// use tidemill_runtime::{DEFAULT_BATCH_RECORDS, Output};
///
/// assert_eq!(Output::default().batch_records(), DEFAULT_BATCH_RECORDS);
/// ```
pub const DEFAULT_BATCH_RECORDS: usize = 4096;

impl Default for Output {
    fn default() -> Self {
        Self {
            emissions: Vec::new(),
            kept: None,
            recycled: None,
            spare: None,
            batch_records: DEFAULT_BATCH_RECORDS,
        }
    }
}

impl Output {
    /// How many records one call should emit at most; a single input record may exceed it.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    /// use tidemill_runtime::Output;
    ///
    /// let mut out = Output::default();
    /// let mut batch: TypedBatch<u32> = out.fresh();
    /// while batch.len() < out.batch_records() {
    ///     batch.push(7, 0);
    /// }
    /// # assert_eq!(batch.len(), tidemill_runtime::DEFAULT_BATCH_RECORDS);
    /// ```
    #[inline]
    pub fn batch_records(&self) -> usize {
        self.batch_records
    }

    /// Sets how many records one call should emit at most.
    ///
    /// ```
    /// use tidemill_runtime::Output;
    ///
    /// let mut out = Output::default();
    /// out.set_batch_records(16);
    /// assert_eq!(out.batch_records(), 16);
    /// out.set_batch_records(0);
    /// assert_eq!(out.batch_records(), 1, "something must come out");
    /// ```
    pub fn set_batch_records(&mut self, records: usize) {
        self.batch_records = records.max(1);
    }

    /// Emits records; nothing when there are none.
    ///
    /// ```
    /// use tidemill_core::{Batch, TypedBatch};
    /// use tidemill_runtime::Output;
    ///
    /// let mut out = Output::default();
    /// out.emit(Batch::new(TypedBatch::from_values(vec![7u32])));
    /// out.emit(Batch::new(TypedBatch::<u32>::default()));
    /// assert_eq!(out.take_emissions().len(), 1, "of the two only one has records");
    /// ```
    #[inline]
    pub fn emit(&mut self, batch: Batch) {
        if !batch.is_empty() {
            self.emissions.push(Emission::Batch(batch));
        }
    }

    /// Emits typed records; nothing when there are none.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    /// use tidemill_runtime::{Emission, Output};
    ///
    /// let mut out = Output::default();
    /// out.emit_typed(TypedBatch::from_values(vec![7u32, 8]));
    /// assert!(matches!(&out.take_emissions()[..], [Emission::Batch(batch)] if batch.len() == 2));
    /// ```
    #[inline]
    pub fn emit_typed<T: Element>(&mut self, batch: TypedBatch<T>) {
        if !batch.is_empty() {
            self.emissions.push(Emission::Batch(Batch::new(batch)));
        }
    }

    /// Emits records to the side output of this name; nothing when there are none.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_core::{Batch, TypedBatch};
    /// use tidemill_runtime::{Emission, Output};
    ///
    /// let mut out = Output::default();
    /// let late: Arc<str> = "late".into();
    /// out.emit_side(&late, Batch::new(TypedBatch::from_values(vec![7u32])));
    /// assert!(matches!(&out.take_emissions()[..], [Emission::Side(tag, _)] if **tag == *"late"));
    /// ```
    pub fn emit_side(&mut self, tag: &Arc<str>, batch: Batch) {
        if !batch.is_empty() {
            self.emissions.push(Emission::Side(Arc::clone(tag), batch));
        }
    }

    /// Passes on that event time has advanced.
    ///
    /// ```
    /// use tidemill_core::Watermark;
    /// use tidemill_runtime::{Emission, Output};
    ///
    /// let mut out = Output::default();
    /// out.watermark(Watermark(1_000));
    /// assert!(matches!(&out.take_emissions()[..], [Emission::Watermark(Watermark(1_000))]));
    /// ```
    pub fn watermark(&mut self, watermark: Watermark) {
        self.emissions.push(Emission::Watermark(watermark));
    }

    /// Passes on that the output is idle, or active again.
    ///
    /// ```
    /// use tidemill_runtime::{Emission, Output};
    ///
    /// let mut out = Output::default();
    /// out.idle(true);
    /// assert!(matches!(&out.take_emissions()[..], [Emission::Idle(true)]));
    /// ```
    pub fn idle(&mut self, idle: bool) {
        self.emissions.push(Emission::Idle(idle));
    }

    /// Keeps what is left of the input for the next call; goes with [`Progress::More`] and [`Progress::Wait`], and only in
    /// [`Operator::process`]: the job fails otherwise.
    ///
    /// ```
    /// use tidemill_core::batch::WrongBatchType;
    /// use tidemill_core::{Batch, TypedBatch};
    /// use tidemill_runtime::{Output, Progress};
    ///
    /// /// Emits at most two records a call; they have no timestamps.
    /// fn in_pairs(mut batch: Batch, out: &mut Output) -> Result<Progress, WrongBatchType> {
    ///     let records = batch.downcast_mut::<TypedBatch<u32>>()?;
    ///     let pair = records.values.drain(..records.len().min(2)).collect();
    ///     out.emit_typed(TypedBatch::from_values(pair));
    ///     if batch.is_empty() {
    ///         return Ok(Progress::Done);
    ///     }
    ///     out.keep(batch);
    ///     Ok(Progress::More)
    /// }
    ///
    /// let mut out = Output::default();
    /// in_pairs(Batch::new(TypedBatch::from_values(vec![7u32, 8, 9])), &mut out)?;
    /// assert!(out.take_kept().is_some_and(|rest| rest.len() == 1));
    /// # Ok::<(), WrongBatchType>(())
    /// ```
    pub fn keep(&mut self, batch: Batch) {
        self.kept = Some(batch);
    }

    /// Hands back an input batch that has been emptied, so that the operator before can use its memory again.
    ///
    /// ```
    /// use tidemill_core::batch::WrongBatchType;
    /// use tidemill_core::{Batch, TypedBatch};
    /// use tidemill_runtime::Output;
    ///
    /// /// Counts records, and leaves the batch to whoever fills the next one.
    /// fn count(mut batch: Batch, out: &mut Output) -> Result<usize, WrongBatchType> {
    ///     let records = batch.len();
    ///     batch.downcast_mut::<TypedBatch<u32>>()?.clear();
    ///     out.recycle(batch);
    ///     Ok(records)
    /// }
    ///
    /// assert_eq!(count(Batch::new(TypedBatch::from_values(vec![7u32, 8])), &mut Output::default())?, 2);
    /// # Ok::<(), WrongBatchType>(())
    /// ```
    #[inline]
    pub fn recycle(&mut self, batch: Batch) {
        self.recycled = Some(batch);
    }

    /// An empty batch to fill: with the memory of an earlier one where there is one.
    ///
    /// ```
    /// use tidemill_core::TypedBatch;
    /// use tidemill_runtime::Output;
    ///
    /// let mut out = Output::default();
    /// let mut batch: TypedBatch<u32> = out.fresh();
    /// assert!(batch.is_empty());
    /// batch.push(7, 1_000);
    /// out.emit_typed(batch);
    /// ```
    #[inline]
    pub fn fresh<T: Element>(&mut self) -> TypedBatch<T> {
        if let Some(mut spare) = self.spare.take()
            && let Ok(batch) = spare.downcast_mut::<TypedBatch<T>>()
        {
            batch.clear();
            return std::mem::take(batch);
        }
        TypedBatch::default()
    }

    /// What has been emitted since it was last taken.
    ///
    /// ```
    /// use tidemill_core::Watermark;
    /// use tidemill_runtime::Output;
    ///
    /// let mut out = Output::default();
    /// out.watermark(Watermark(1_000));
    /// assert_eq!((out.take_emissions().len(), out.take_emissions().len()), (1, 0));
    /// ```
    pub fn take_emissions(&mut self) -> Vec<Emission> {
        std::mem::take(&mut self.emissions)
    }

    /// Moves what has been emitted out, last first, keeping the memory.
    pub(crate) fn drain_reversed(&mut self) -> impl Iterator<Item = Emission> + '_ {
        self.emissions.drain(..).rev()
    }

    /// The batch that the operator kept.
    ///
    /// ```
    /// use tidemill_core::{Batch, TypedBatch};
    /// use tidemill_runtime::Output;
    ///
    /// let mut out = Output::default();
    /// out.keep(Batch::new(TypedBatch::from_values(vec![7u32])));
    /// assert!(out.take_kept().is_some());
    /// assert!(out.take_kept().is_none(), "it was taken");
    /// ```
    pub fn take_kept(&mut self) -> Option<Batch> {
        self.kept.take()
    }

    pub(crate) fn take_recycled(&mut self) -> Option<Batch> {
        self.recycled.take()
    }

    pub(crate) fn exchange_spare(&mut self, spare: Option<Batch>) -> Option<Batch> {
        std::mem::replace(&mut self.spare, spare)
    }
}

/// Wakes the task of an operator from another thread, so that it calls [`Operator::woken`].
///
/// ```
/// use std::sync::Arc;
/// use tidemill_runtime::OperatorContext;
/// use tidemill_state::SystemClock;
///
/// let context = OperatorContext::detached(0, 1, 128, Arc::new(SystemClock));
/// let waker = context.waker.clone();
/// std::thread::spawn(move || waker.wake()).join().unwrap();
/// assert!(context.waker.take() && !context.waker.is_woken());
/// ```
#[derive(Clone, Debug)]
pub struct OperatorWaker {
    task: Arc<TaskWaker>,
    woken: Arc<std::sync::atomic::AtomicBool>,
}

impl OperatorWaker {
    /// A waker of a task.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_runtime::OperatorWaker;
    ///
    /// let waker = OperatorWaker::new(Arc::default());
    /// assert!(!waker.is_woken());
    /// ```
    pub fn new(task: Arc<TaskWaker>) -> Self {
        Self { task, woken: Arc::default() }
    }

    /// Has the operator called soon.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_runtime::OperatorWaker;
    ///
    /// let waker = OperatorWaker::new(Arc::default());
    /// let elsewhere = waker.clone();
    /// std::thread::spawn(move || elsewhere.wake()).join().unwrap();
    /// assert!(waker.is_woken());
    /// ```
    pub fn wake(&self) {
        self.woken.store(true, std::sync::atomic::Ordering::Release);
        self.task.wake(Wake::Command);
    }

    /// Whether it was used since it was last [taken](Self::take).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_runtime::OperatorWaker;
    ///
    /// let waker = OperatorWaker::new(Arc::default());
    /// waker.wake();
    /// assert!(waker.is_woken() && waker.is_woken(), "looking changes nothing");
    /// ```
    pub fn is_woken(&self) -> bool {
        self.woken.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Whether it was used; it counts as unused from now on.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_runtime::OperatorWaker;
    ///
    /// let waker = OperatorWaker::new(Arc::default());
    /// waker.wake();
    /// assert!(waker.take() && !waker.take());
    /// ```
    pub fn take(&self) -> bool {
        self.woken.swap(false, std::sync::atomic::Ordering::Acquire)
    }
}

/// What a function of the user may fail with.
///
/// ```
/// use tidemill_runtime::BoxError;
///
/// fn number(text: &str) -> Result<u32, BoxError> {
///     if text.is_empty() {
///         return Err("no text".into());
///     }
///     Ok(text.parse()?)
/// }
///
/// assert_eq!(number("").unwrap_err().to_string(), "no text");
/// assert!(number("x").is_err());
/// ```
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why an operator failed.
///
/// ```
/// use tidemill_core::Fault;
/// use tidemill_runtime::OperatorError;
///
/// let error = OperatorError::new("MY-DISK-FULL", Fault::External, "the disk is full; make room");
/// assert_eq!((error.code(), error.fault(), error.retryable()), ("MY-DISK-FULL", Fault::External, false));
/// ```
#[derive(Debug)]
pub struct OperatorError {
    code: &'static str,
    fault: Fault,
    retryable: bool,
    message: String,
    source: Option<BoxError>,
}

impl OperatorError {
    /// A failure of a function of the user.
    ///
    /// ```
    /// use tidemill_core::Fault;
    /// use tidemill_runtime::OperatorError;
    ///
    /// let error = OperatorError::user("no such airport");
    /// assert_eq!((error.fault(), error.to_string().as_str()), (Fault::User, "no such airport"));
    /// ```
    pub fn user(error: impl Into<BoxError>) -> Self {
        let error = error.into();
        Self {
            code: "TM-USER-FUNCTION",
            fault: Fault::User,
            retryable: false,
            message: error.to_string(),
            source: Some(error),
        }
    }

    /// A failure with a code of its own.
    ///
    /// ```
    /// use tidemill_core::Fault;
    /// use tidemill_runtime::OperatorError;
    ///
    /// let error = OperatorError::new("MY-DISK-FULL", Fault::External, "the disk is full; make room");
    /// assert_eq!(error.to_string(), "the disk is full; make room");
    /// ```
    pub fn new(code: &'static str, fault: Fault, message: impl Into<String>) -> Self {
        Self { code, fault, retryable: false, message: message.into(), source: None }
    }

    /// The stable code.
    ///
    /// ```
    /// use tidemill_runtime::OperatorError;
    ///
    /// assert_eq!(OperatorError::user("no such airport").code(), "TM-USER-FUNCTION");
    /// ```
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Whose fault it is.
    ///
    /// ```
    /// use tidemill_core::Fault;
    /// use tidemill_runtime::OperatorError;
    ///
    /// assert_eq!(OperatorError::user("no such airport").fault(), Fault::User);
    /// ```
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Whether the same may succeed when tried again.
    ///
    /// ```
    /// use tidemill_runtime::OperatorError;
    ///
    /// assert!(!OperatorError::user("no such airport").retryable());
    /// ```
    pub fn retryable(&self) -> bool {
        self.retryable
    }

    /// The errors behind this one, outermost first, without those that only repeat what was said.
    ///
    /// ```
    /// use tidemill_core::Fault;
    /// use tidemill_runtime::OperatorError;
    ///
    /// assert!(OperatorError::new("MY-CODE", Fault::External, "nothing behind it").causes().is_empty());
    /// ```
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = self.source.as_deref().map(|error| error as &dyn StdError);
        while let Some(error) = next {
            let text = error.to_string();
            if !self.message.contains(&text) && !causes.iter().any(|cause| cause.contains(&text)) {
                causes.push(text);
            }
            next = error.source();
        }
        causes
    }
}

impl std::fmt::Display for OperatorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: Classified> From<E> for OperatorError {
    fn from(error: E) -> Self {
        Self {
            code: error.code(),
            fault: error.fault(),
            retryable: error.retryable(),
            message: error.to_string(),
            source: Some(Box::new(error)),
        }
    }
}
