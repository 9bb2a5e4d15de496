//! Joins of two streams.

mod interval;

pub(crate) use interval::LateTags;
pub use interval::{IntervalJoin, IntervalJoined, JoinContext, ProcessJoinFunction};
