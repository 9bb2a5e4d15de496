//! A sink that shows records once the checkpoint that holds them is complete, as sinks do that write exactly once.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tidemill_core::CheckpointId;
use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_runtime::operator::stateful;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_serialization::Data;
use tidemill_state::{OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};

/// What sinks of all attempts have shown, by transaction.
pub struct Committed<T> {
    shared: Arc<(Mutex<BTreeMap<String, Vec<T>>>, Condvar)>,
}

impl<T> Clone for Committed<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: Data + Debug> Committed<T> {
    /// Everything that was shown so far, in no order.
    pub fn values(&self) -> Vec<T> {
        self.shared.0.lock().values().flatten().cloned().collect()
    }

    /// A sink that shows its records here, as one that goes on where another has left off.
    pub fn sink(&self) -> impl OperatorFactory + use<T> {
        let shown = self.clone();
        stateful(move || Sink {
            shown: shown.clone(),
            subtask: 0,
            open: Vec::new(),
            waiting: Vec::new(),
            restored: Vec::new(),
        })
    }

    /// Everything that was shown so far, in order.
    pub fn sorted(&self) -> Vec<T>
    where
        T: Ord,
    {
        let mut values = self.values();
        values.sort_unstable();
        values
    }

    /// Waits until enough was shown.
    pub fn wait_until(&self, mut enough: impl FnMut(&[T]) -> bool) {
        let (shown, changed) = &*self.shared;
        let mut shown = shown.lock();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let values: Vec<T> = shown.values().flatten().cloned().collect();
            if enough(&values) {
                return;
            }
            let waited = changed.wait_until(&mut shown, deadline);
            assert!(!waited.timed_out(), "only this was committed: {values:?}");
        }
    }
}

/// A sink and what it shows.
///
/// ```
/// use tidemill_testkit::commits;
///
/// let (_sink, committed) = commits::sink::<u32>();
/// assert!(committed.values().is_empty());
/// ```
pub fn sink<T: Data + Debug>() -> (impl OperatorFactory + 'static, Committed<T>) {
    let committed = Committed { shared: Arc::default() };
    (committed.sink(), committed)
}

struct Sink<T> {
    shown: Committed<T>,
    subtask: u32,
    /// Records since the last snapshot.
    open: Vec<T>,
    /// Transactions by the checkpoint that they wait for.
    waiting: Vec<(CheckpointId, String, Vec<T>)>,
    restored: Vec<(String, Vec<T>)>,
}

const WAITING: &str = "transactions";

impl<T: Data + Debug> Sink<T> {
    fn show(&self, transaction: String, records: Vec<T>) {
        let (shown, changed) = &*self.shown.shared;
        // A second time the same: it does no harm.
        shown.lock().insert(transaction, records);
        changed.notify_all();
    }
}

impl<T: Data + Debug> Operator for Sink<T> {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.subtask = context.subtask;
        for state in restored.iter().flat_map(|snapshot| &snapshot.operator) {
            self.restored.extend(state.read::<(String, Vec<T>)>()?);
        }
        // The checkpoint that they are restored from is complete.
        for (transaction, records) in std::mem::take(&mut self.restored) {
            self.show(transaction, records);
        }
        Ok(())
    }

    fn process(&mut self, _: usize, mut batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        self.open.append(&mut batch.downcast_mut::<TypedBatch<T>>()?.values);
        out.recycle(batch);
        Ok(Progress::Done)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        if !self.open.is_empty() {
            let unique = format!("{}-{}-{:p}", context.checkpoint, self.subtask, self);
            self.waiting.push((context.checkpoint, unique, std::mem::take(&mut self.open)));
        }
        let waiting: Vec<(String, Vec<T>)> =
            self.waiting.iter().map(|(_, name, records)| (name.clone(), records.clone())).collect();
        let state = OperatorSnapshot::of(WAITING, OperatorStateMode::Split, &waiting);
        Ok(SubtaskSnapshot { operator: vec![state], ..SubtaskSnapshot::default() })
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        let (complete, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(id, ..)| *id <= checkpoint);
        self.waiting = waiting;
        let complete: Vec<(CheckpointId, String, Vec<T>)> = complete;
        complete.into_iter().for_each(|(_, transaction, records)| self.show(transaction, records));
        Ok(())
    }
}
