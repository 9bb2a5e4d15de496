//! Joins of two streams.

mod interval;
mod tagged;
mod window;

pub(crate) use interval::LateTags;
pub use interval::{IntervalJoin, IntervalJoined, JoinContext, ProcessJoinFunction};
pub use tagged::{EitherRef, Tagged, TaggedSelector};
pub(crate) use window::Pairs;
pub use window::{CoGroup, EqualTo, Join, TwoStreams, TwoWindowed, Where};
