//! A sink that shows records once the checkpoint that holds them is complete, as sinks do that write exactly once.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use tidemill_core::CheckpointId;
use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_runtime::operator::stateful;
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_serialization::Data;
use tidemill_state::{OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};

/// The checkpoint that a transaction waits for, and a number that no other transaction of the program has.
type Transaction = (u64, u64);

/// What sinks of all attempts have shown, by transaction.
pub struct Committed<T> {
    shared: Arc<(Mutex<BTreeMap<Transaction, Vec<T>>>, Condvar)>,
}

impl<T> Default for Committed<T> {
    fn default() -> Self {
        Self { shared: Arc::default() }
    }
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

    /// What was shown with checkpoints up to this one: what a job that goes on from it adds to.
    #[must_use]
    pub fn up_to(&self, checkpoint: u64) -> Self {
        let shown = self.shared.0.lock();
        let before = shown.range(..=(checkpoint, u64::MAX));
        let before = before.map(|(transaction, records)| (*transaction, records.clone())).collect();
        Self { shared: Arc::new((Mutex::new(before), Condvar::new())) }
    }

    /// A sink that shows its records here, as one that goes on where another has left off.
    pub fn sink(&self) -> impl OperatorFactory + use<T> {
        let shown = self.clone();
        stateful(move || Sink {
            shown: shown.clone(),
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
    let committed = Committed::default();
    (committed.sink(), committed)
}

struct Sink<T> {
    shown: Committed<T>,
    /// Records since the last snapshot.
    open: Vec<T>,
    waiting: Vec<(Transaction, Vec<T>)>,
    restored: Vec<(Transaction, Vec<T>)>,
}

/// The next transaction.
static NUMBER: AtomicU64 = AtomicU64::new(0);

const WAITING: &str = "transactions";

impl<T: Data + Debug> Sink<T> {
    fn show(&self, transaction: Transaction, records: Vec<T>) {
        let (shown, changed) = &*self.shown.shared;
        // A second time the same: it does no harm.
        shown.lock().insert(transaction, records);
        changed.notify_all();
    }
}

impl<T: Data + Debug> Operator for Sink<T> {
    fn open(
        &mut self,
        _context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        for state in restored.iter().flat_map(|snapshot| &snapshot.operator) {
            self.restored.extend(state.read::<(Transaction, Vec<T>)>()?);
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
            let transaction = (context.checkpoint, NUMBER.fetch_add(1, Ordering::Relaxed));
            self.waiting.push((transaction, std::mem::take(&mut self.open)));
        }
        let waiting: Vec<(Transaction, Vec<T>)> = self.waiting.clone();
        let state = OperatorSnapshot::of(WAITING, OperatorStateMode::Split, &waiting);
        Ok(SubtaskSnapshot { operator: vec![state], ..SubtaskSnapshot::default() })
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        let waiting = std::mem::take(&mut self.waiting);
        let (complete, waiting) = waiting.into_iter().partition(|((id, _), _)| *id <= checkpoint);
        self.waiting = waiting;
        let complete: Vec<(Transaction, Vec<T>)> = complete;
        complete.into_iter().for_each(|(transaction, records)| self.show(transaction, records));
        Ok(())
    }
}
