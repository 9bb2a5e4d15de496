//! One operator a file. Each works on whole batches and keeps its state, if it has any, where a snapshot finds it.

mod async_calls;
mod async_wait;
mod co_each;
mod co_keyed_process;
mod co_process;
mod filter;
mod flat_map;
mod keyed_process;
mod keyed_reduce;
mod map;
mod process;
pub(crate) mod support;
mod timestamps;
mod to_columns;
mod window;
mod window_batch;
pub mod window_contents;

pub(crate) use async_calls::{CallBatch, CallEach};
pub(crate) use async_wait::AsyncWaitOperator;
pub use co_each::EachInputOperator;
pub use co_keyed_process::KeyedCoProcessOperator;
pub use co_process::CoProcessOperator;
pub use filter::FilterOperator;
pub use flat_map::FlatMapOperator;
pub use keyed_process::KeyedProcessOperator;
pub use keyed_reduce::KeyedReduceOperator;
pub use map::MapOperator;
pub use process::ProcessOperator;
pub use timestamps::TimestampsOperator;
pub use to_columns::ToColumnsOperator;
pub use window::{Lateness, WindowOperator};
