//! Functions that keep state of their own, which belongs to no key.

use std::panic::Location;

use tidemill_runtime::BoxError;
use tidemill_runtime::operator::stateful;
use tidemill_serialization::Data;
use tidemill_state::OperatorStateBackend;

use crate::functions::ProcessFunction;
use crate::operators::CheckpointedProcessOperator;
use crate::stream::DataStream;

/// A function whose fields are stored in snapshots as operator state: list state, whose elements are dealt to the subtasks when a
/// job is restored, or union list state, all of which every subtask gets.
///
/// ```
/// use tidemill_datastream::CheckpointedFunction;
/// use tidemill_runtime::BoxError;
/// use tidemill_state::{ListStateDescriptor, OperatorListState, OperatorStateBackend};
///
/// /// A count of its subtask; after a restart at another parallelism the counts of old subtasks are added up.
/// #[derive(Clone, Default)]
/// struct Count {
///     count: u64,
///     stored: Option<OperatorListState<u64>>,
/// }
///
/// impl CheckpointedFunction for Count {
///     fn initialize_state(&mut self, states: &mut OperatorStateBackend) -> Result<(), BoxError> {
///         let stored = states.register_list(ListStateDescriptor::new("count"))?;
///         self.count = stored.get(states)?.iter().sum();
///         self.stored = Some(stored);
///         Ok(())
///     }
///
///     fn snapshot_state(&mut self, states: &mut OperatorStateBackend) -> Result<(), BoxError> {
///         let Some(stored) = self.stored else { return Ok(()) };
///         Ok(stored.update(states, [self.count])?)
///     }
/// }
/// ```
pub trait CheckpointedFunction {
    /// Declares the states of the function, and takes over what is restored in them. Called before `open`.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn initialize_state(&mut self, states: &mut OperatorStateBackend) -> Result<(), BoxError>;

    /// Writes what is to be stored into the states.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn snapshot_state(&mut self, states: &mut OperatorStateBackend) -> Result<(), BoxError>;
}

impl<T: Data> DataStream<T> {
    /// Like [`process`](Self::process), with a function that has operator state.
    ///
    /// ```
    /// use tidemill_datastream::{
    ///     CheckpointedFunction, Collector, DataStream, ProcessContext, ProcessFunction,
    /// };
    /// use tidemill_runtime::BoxError;
    /// use tidemill_state::{ListStateDescriptor, OperatorListState, OperatorStateBackend};
    ///
    /// /// Emits records in groups of three.
    /// #[derive(Clone, Default)]
    /// struct Groups {
    ///     begun: Vec<u64>,
    ///     stored: Option<OperatorListState<u64>>,
    /// }
    ///
    /// impl ProcessFunction<u64, Vec<u64>> for Groups {
    ///     fn process(
    ///         &mut self,
    ///         record: u64,
    ///         _: &mut ProcessContext<'_>,
    ///         out: &mut Collector<Vec<u64>>,
    ///     ) -> Result<(), BoxError> {
    ///         self.begun.push(record);
    ///         if self.begun.len() == 3 {
    ///             out.collect(std::mem::take(&mut self.begun));
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// impl CheckpointedFunction for Groups {
    ///     fn initialize_state(&mut self, states: &mut OperatorStateBackend) -> Result<(), BoxError> {
    ///         let stored = states.register_list(ListStateDescriptor::new("begun"))?;
    ///         self.begun = stored.get(states)?.to_vec();
    ///         self.stored = Some(stored);
    ///         Ok(())
    ///     }
    ///
    ///     fn snapshot_state(&mut self, states: &mut OperatorStateBackend) -> Result<(), BoxError> {
    ///         if let Some(stored) = self.stored {
    ///             stored.update(states, self.begun.iter().copied())?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// fn groups(numbers: &DataStream<u64>) -> DataStream<Vec<u64>> {
    ///     numbers.process_checkpointed(Groups::default())
    /// }
    /// ```
    #[track_caller]
    pub fn process_checkpointed<U: Data, F>(&self, function: F) -> DataStream<U>
    where
        F: ProcessFunction<T, U> + CheckpointedFunction,
    {
        let factory = stateful(move || CheckpointedProcessOperator::new(function.clone()));
        self.add_operator("Process", factory, Location::caller())
    }
}
