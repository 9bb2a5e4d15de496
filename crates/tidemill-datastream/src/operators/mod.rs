//! One operator a file. Each works on whole batches and keeps its state, if it has any, where a snapshot finds it.

mod filter;
mod flat_map;
mod keyed_process;
mod map;
mod process;
mod support;
mod timestamps;

pub use filter::FilterOperator;
pub use flat_map::FlatMapOperator;
pub use keyed_process::KeyedProcessOperator;
pub use map::MapOperator;
pub use process::ProcessOperator;
pub use timestamps::TimestampsOperator;
