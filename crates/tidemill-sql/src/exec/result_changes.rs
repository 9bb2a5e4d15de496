//! The changes of a query's result on their way to whoever shows them while the job runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use parking_lot::{Condvar, Mutex};
use tidemill_core::Fault;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress};
use tidemill_state::SubtaskSnapshot;

/// Changes of rows.
#[derive(Clone, Debug)]
pub struct ResultBatch {
    /// The rows.
    pub rows: RecordBatch,
    /// What happens to each; `None` when all are inserted.
    pub kinds: Option<Arc<[RowKind]>>,
}

impl ResultBatch {
    /// What happens to row `row`.
    pub fn kind(&self, row: usize) -> RowKind {
        self.kinds.as_ref().and_then(|kinds| kinds.get(row)).copied().unwrap_or(RowKind::Insert)
    }
}

/// So many rows may wait to be shown before the job waits.
const MOST_WAITING: usize = 1 << 16;

#[derive(Debug, Default)]
struct Queue {
    batches: VecDeque<ResultBatch>,
    rows: usize,
    /// Whether rows have been put in.
    used: bool,
    closed: bool,
}

/// The changes of a result: the sink of the job puts them in and waits when nobody takes them out.
#[derive(Clone, Debug, Default)]
pub struct ResultChanges(Arc<(Mutex<Queue>, Condvar)>);

impl ResultChanges {
    /// The next changes, waiting for them for `timeout` at most.
    pub fn next(&self, timeout: Duration) -> Option<ResultBatch> {
        let (queue, changed) = &*self.0;
        let mut queue = queue.lock();
        if queue.batches.is_empty() {
            changed.wait_for(&mut queue, timeout);
        }
        let batch = queue.batches.pop_front()?;
        queue.rows -= batch.rows.num_rows();
        changed.notify_all();
        Some(batch)
    }

    /// Nobody takes changes out any more: what comes is dropped, and the job does not wait.
    pub fn close(&self) {
        let (queue, changed) = &*self.0;
        let mut queue = queue.lock();
        queue.closed = true;
        queue.batches.clear();
        queue.rows = 0;
        changed.notify_all();
    }

    fn put(&self, batch: ResultBatch) {
        let (queue, changed) = &*self.0;
        let mut queue = queue.lock();
        while queue.rows >= MOST_WAITING && !queue.closed {
            changed.wait(&mut queue);
        }
        if !queue.closed {
            queue.used = true;
            queue.rows += batch.rows.num_rows();
            queue.batches.push_back(batch);
            changed.notify_all();
        }
    }
}

struct Put(ResultChanges);

impl OperatorFactory for ResultChanges {
    fn create(&self, _: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(Put(self.clone())))
    }

    fn is_stateful(&self) -> bool {
        false
    }
}

impl Operator for Put {
    fn open(&mut self, _: &OperatorContext, _: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        if self.0.0.0.lock().used {
            return Err(OperatorError::new(
                "TM-SQL-RESULT-RESTART",
                Fault::External,
                "the job of the query has failed and begins anew, but what it has shown cannot be taken back: run the query \
                 again, or INSERT INTO a table",
            ));
        }
        Ok(())
    }

    fn process(&mut self, _: usize, batch: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
        let batch = batch.downcast_ref::<ArrowBatch>()?;
        self.0.put(ResultBatch { rows: batch.records.clone(), kinds: batch.kinds.clone() });
        Ok(Progress::Done)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int64Array;

    use super::*;

    fn batch(rows: usize) -> ResultBatch {
        let numbers: Arc<dyn arrow_array::Array> = Arc::new(Int64Array::from(vec![1; rows]));
        ResultBatch { rows: RecordBatch::try_from_iter([("n", numbers)]).unwrap(), kinds: None }
    }

    #[test]
    fn a_full_queue_makes_the_job_wait_until_it_is_emptied_or_closed() {
        let changes = ResultChanges::default();
        changes.put(batch(MOST_WAITING));
        let of_job = changes.clone();
        let job = std::thread::spawn(move || {
            of_job.put(batch(2));
            of_job.put(batch(MOST_WAITING));
            // Waits for the end.
            of_job.put(batch(3));
        });
        let taken: Vec<usize> =
            (0..2).map(|_| changes.next(Duration::from_secs(60)).unwrap().rows.num_rows()).collect();
        assert_eq!(taken, [MOST_WAITING, 2]);
        changes.close();
        job.join().unwrap();
        assert!(changes.next(Duration::ZERO).is_none());
    }
}
