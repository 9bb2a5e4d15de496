//! Functions of a stream's progress.

use std::sync::Arc;

use arrow_array::TimestampMillisecondArray;

use super::kernel::{FunctionGroup, KernelError, Mismatch, Resolved, ScalarFunction};
use crate::types::TypeRoot;
use crate::types::arrow::UTC;

/// The functions of this chapter.
pub(crate) const FUNCTIONS: &[ScalarFunction] = &[ScalarFunction {
    name: "PROCTIME",
    aliases: &[],
    group: FunctionGroup::Temporal,
    usage: "PROCTIME()",
    description: "The time of the clock, as a time attribute.",
    deterministic: false,
    resolve: |_, arguments| {
        if !arguments.is_empty() {
            return Err(Mismatch::new("has no arguments"));
        }
        Ok(Resolved::new(Vec::new(), TypeRoot::TimestampLtz(3).not_null(), |inputs| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let millis = now.map_err(|_| KernelError("the clock is before 1970".to_owned()))?.as_millis();
            let millis = i64::try_from(millis).unwrap_or(i64::MAX);
            Ok(Arc::new(TimestampMillisecondArray::from(vec![millis; inputs.rows()]).with_timezone(UTC)))
        }))
    },
}];
