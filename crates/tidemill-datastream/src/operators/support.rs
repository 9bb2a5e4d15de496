//! What several operators do.

use std::borrow::Borrow;

use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::Timestamp;
use tidemill_runtime::{OperatorContext, OperatorError, Output, Progress};
use tidemill_serialization::{Data, Key, RoutingHash};

use tidemill_state::{OperatorStateBackend, SubtaskSnapshot};

use crate::key::KeySelector;

/// What became of a record that was taken out of a batch.
pub(crate) enum Taken<T> {
    /// It is done with; the next one may come.
    Next,
    /// It is done with, and enough for one call.
    Enough,
    /// It is not done with: it comes first in the next call.
    Unfinished(T),
}

/// Takes the records of a batch one by one until `take` says that it has enough; what is left is kept for the
/// next call, an emptied batch goes back to where it came from.
pub(crate) fn take_records<T: Data>(
    batch: Batch,
    out: &mut Output,
    mut take: impl FnMut(T, Timestamp, &mut Output) -> Result<bool, OperatorError>,
) -> Result<Progress, OperatorError> {
    take_or_return_records(batch, out, |record, timestamp, out| {
        Ok(if take(record, timestamp, out)? { Taken::Next } else { Taken::Enough })
    })
}

/// Like [`take_records`], for a `take` that may give a record back.
pub(crate) fn take_or_return_records<T: Data>(
    mut batch: Batch,
    out: &mut Output,
    mut take: impl FnMut(T, Timestamp, &mut Output) -> Result<Taken<T>, OperatorError>,
) -> Result<Progress, OperatorError> {
    let records = batch.downcast_mut::<TypedBatch<T>>()?;
    let count = records.len();
    let mut taken = 0;
    let rest: Vec<T> = {
        let TypedBatch { values, timestamps, .. } = &mut *records;
        let mut values = values.drain(..);
        loop {
            let Some(value) = values.next() else { break Vec::new() };
            let timestamp = timestamps.get(taken).copied().unwrap_or(tidemill_core::time::NO_TIMESTAMP);
            taken += 1;
            match take(value, timestamp, out)? {
                Taken::Next => {}
                Taken::Enough => break values.collect(),
                Taken::Unfinished(value) => {
                    taken -= 1;
                    break std::iter::once(value).chain(values).collect();
                }
            }
        }
    };
    if taken == count {
        out.recycle(batch);
        return Ok(Progress::Done);
    }
    records.values = rest;
    drop_front(&mut records.timestamps, taken);
    drop_front(&mut records.hashes, taken);
    out.keep(batch);
    Ok(Progress::More)
}

/// The operator state of a subtask, with what an earlier run left.
pub(crate) fn operator_state(
    context: &OperatorContext,
    restored: Option<&SubtaskSnapshot>,
) -> Result<OperatorStateBackend, OperatorError> {
    let mut backend = OperatorStateBackend::new(context.state_budget.clone());
    backend.set_listener(context.state_listener.clone());
    if let Some(restored) = restored {
        backend.restore(restored)?;
    }
    Ok(backend)
}

fn drop_front<A>(column: &mut Vec<A>, count: usize) {
    column.drain(..count.min(column.len()));
}

/// Makes sure that a batch has the routing hash of each record's key.
pub(crate) fn ensure_hashes<T: Data, S: KeySelector<T>>(records: &mut TypedBatch<T>, selector: &S) {
    if records.hashes.len() != records.values.len() {
        records.hashes.clear();
        let TypedBatch { values, hashes, .. } = records;
        hashes.extend(values.iter().map(|value| selector.key(value).borrow().routing_hash()));
    }
}

/// The function that an edge to a keyed operator deals records by.
pub(crate) fn key_hash<T: Data, S: KeySelector<T>>(
    selector: S,
) -> impl Fn(&T) -> u64 + Clone + Send + Sync + 'static
where
    S::Key: Key,
{
    move |record| selector.hash(record)
}
