//! Keyed state in RocksDB: the backend `rocksdb`.
//!
//! Each stateful operator subtask has a RocksDB of its own with a column family for each state; all of a slot share one block
//! cache and one limit of write buffers ([`SlotMemory`]). Rows are those of an
//! [`OrderedStore`](tidemill_state::OrderedStore): what is in them, the crate `tidemill-state` decides.
//!
//! This is the only crate that names RocksDB, which takes a long time to compile.

mod backend;
mod bulk;
mod database;
mod error;
mod memory;
mod metrics;
mod options;
mod restore;
mod settings;
mod snapshot;
mod store;
mod ttl_filter;
mod view;

pub use backend::{RocksDbStateBackend, RocksDbStateBackends};
pub use error::RocksDbError;
pub use memory::{MemorySplit, SlotMemory};
pub use metrics::MetricSettings;
pub use rust_rocksdb::statistics::Ticker;
pub use settings::RocksDbSettings;
pub use store::RocksDbStore;
