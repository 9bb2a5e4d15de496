//! How far event time has come, as operators keep it in their snapshots: a row that came too late before a restore is too late after
//! it, because what it belongs to has said its result.

use tidemill_runtime::OperatorError;
use tidemill_state::{OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};

/// Under this name each subtask stores how far event time had come.
const WATERMARK: &str = "watermark";

/// How far event time had come at a snapshot: with subtasks of another number, where it was earliest.
pub(crate) fn restored(snapshot: Option<&SubtaskSnapshot>) -> Result<i64, OperatorError> {
    let mut reached = None;
    for stored in snapshot.iter().flat_map(|snapshot| &snapshot.operator) {
        if &*stored.name == WATERMARK {
            let least = stored.read::<i64>()?.into_iter().min();
            reached = least.into_iter().chain(reached).min();
        }
    }
    Ok(reached.unwrap_or(i64::MIN))
}

/// Adds to a snapshot how far event time has come.
pub(crate) fn store(reached: i64, snapshot: &mut SubtaskSnapshot) {
    snapshot.operator.push(OperatorSnapshot::of(WATERMARK, OperatorStateMode::Union, &[reached]));
}
