//! What an operator subtask may know of where it runs.

use std::sync::Arc;

use tidemill_core::budget::MemoryBudget;
use tidemill_core::id::OperatorId;
use tidemill_core::key_group::KeyGroupRange;
use tidemill_serialization::Key;
use tidemill_state::{
    Clock, HashMapStateBackend, KeyedStateBackend, StateBackend, StateListener, SubtaskContext,
    SubtaskSnapshot,
};

use crate::metrics::OperatorMetrics;
use crate::operator::{OperatorError, OperatorWaker};

/// The place of one operator subtask in its job.
///
/// ```
/// use tidemill_core::Batch;
/// use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress};
/// use tidemill_state::SubtaskSnapshot;
///
/// /// Passes records on in its first subtask only.
/// struct First(bool);
///
/// impl Operator for First {
///     fn open(&mut self, context: &OperatorContext, _: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
///         self.0 = context.subtask == 0;
///         Ok(())
///     }
///
///     fn process(&mut self, _: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
///         if self.0 {
///             out.emit(batch);
///         }
///         Ok(Progress::Done)
///     }
/// }
/// ```
#[derive(Clone)]
pub struct OperatorContext {
    /// The name of the job.
    pub job_name: Arc<str>,
    /// The id that the operator's state is stored under.
    pub operator_id: OperatorId,
    /// The name of the operator.
    pub operator_name: Arc<str>,
    /// Which subtask this is, from 0.
    pub subtask: u32,
    /// How many subtasks there are.
    pub parallelism: u32,
    /// How many key groups there are.
    pub max_parallelism: u32,
    /// Is told of the states that the operator declares.
    pub state_listener: Option<Arc<dyn StateListener>>,
    /// Whether the job takes checkpoints by itself, and its tasks wait for one after their end: then a sink may leave to
    /// [`checkpoint_complete`](crate::Operator::checkpoint_complete) what is to be seen outside. Without, nobody would make that
    /// call, and the sink shows what it has as soon as it can.
    pub checkpoints: bool,
    /// How the slot keeps keyed state.
    pub state_backend: Arc<dyn StateBackend>,
    /// The memory that state in memory may use.
    pub state_budget: MemoryBudget,
    /// The managed memory of the slot, which all subtasks in it share.
    pub managed_memory: MemoryBudget,
    /// Processing time.
    pub clock: Arc<dyn Clock>,
    /// Counts what the operator does.
    pub metrics: Arc<OperatorMetrics>,
    /// Has the operator called from another thread.
    pub waker: OperatorWaker,
}

impl OperatorContext {
    /// A context outside of any job, for a harness that drives one operator: names are made up, memory is unlimited, there are
    /// no checkpoints, and the waker wakes nobody but remembers that it was used.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_runtime::OperatorContext;
    /// use tidemill_state::SystemClock;
    ///
    /// let second = OperatorContext::detached(1, 2, 128, Arc::new(SystemClock));
    /// assert_eq!(second.key_groups().bounds(), Some(64..=127));
    /// ```
    pub fn detached(subtask: u32, parallelism: u32, max_parallelism: u32, clock: Arc<dyn Clock>) -> Self {
        Self {
            job_name: "detached".into(),
            operator_id: OperatorId::from_name("operator"),
            operator_name: "operator".into(),
            subtask,
            parallelism,
            max_parallelism,
            state_listener: None,
            checkpoints: false,
            state_backend: Arc::new(HashMapStateBackend),
            state_budget: MemoryBudget::unlimited("state"),
            managed_memory: MemoryBudget::unlimited("managed memory"),
            clock,
            metrics: Arc::default(),
            waker: OperatorWaker::new(Arc::default()),
        }
    }

    /// The key groups that this subtask owns.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_runtime::OperatorContext;
    /// use tidemill_state::SystemClock;
    ///
    /// let first = OperatorContext::detached(0, 2, 128, Arc::new(SystemClock));
    /// assert_eq!(first.key_groups().bounds(), Some(0..=63));
    /// ```
    pub fn key_groups(&self) -> KeyGroupRange {
        KeyGroupRange::of_subtask(self.subtask, self.parallelism, self.max_parallelism)
    }

    /// The keyed state of this subtask, with what an earlier run left.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_runtime::OperatorContext;
    /// use tidemill_state::{SystemClock, ValueState, ValueStateDescriptor};
    ///
    /// let context = OperatorContext::detached(0, 1, 128, Arc::new(SystemClock));
    /// let mut backend = context.keyed_state::<String>(None)?;
    /// let count: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("count"))?;
    /// assert!(count.get(&mut backend).is_err(), "no key yet");
    /// # Ok::<(), tidemill_runtime::OperatorError>(())
    /// ```
    ///
    /// # Errors
    /// When the backend cannot be opened, or the restored state was written with another max parallelism or cannot be read.
    pub fn keyed_state<K: Key>(
        &self,
        restored: Option<&SubtaskSnapshot>,
    ) -> Result<KeyedStateBackend<K>, OperatorError> {
        let subtask = SubtaskContext {
            operator: self.operator_id,
            subtask: self.subtask,
            key_groups: self.key_groups(),
            max_parallelism: self.max_parallelism,
            clock: Arc::clone(&self.clock),
            budget: self.state_budget.clone(),
        };
        let mut backend = KeyedStateBackend::open(&*self.state_backend, subtask)?;
        backend.set_listener(self.state_listener.clone());
        backend.restore(restored)?;
        if let Some(store) = backend.native_metrics() {
            self.metrics.watch_store(store);
        }
        Ok(backend)
    }
}
