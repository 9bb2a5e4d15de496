//! Keyed state, operator state and timers, and how they are snapshotted and dealt out again.
//!
//! A [`KeyedStateBackend`] has the keyed state of one operator subtask: a job declares states by name and gets
//! light handles ([`ValueState`], [`ListState`], [`MapState`], [`ReducingState`], [`AggregatingState`],
//! [`Timers`]), with which it works on the current key or, faster, on a whole batch of keys. An [`OperatorStateBackend`] has
//! state that belongs to no key. Snapshots of both are [dealt out anew](redistribute) when a job is rescaled.
//!
//! ```
//! use std::sync::Arc;
//! use tidemill_core::KeyGroupRange;
//! use tidemill_core::budget::MemoryBudget;
//! use tidemill_core::hash::RoutingHash;
//! use tidemill_state::{KeyBatch, KeyedStateBackend, SystemClock, ValueState, ValueStateDescriptor};
//!
//! let budget = MemoryBudget::new("task heap", 64 << 20, "taskmanager.memory.task.heap.size");
//! let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
//! let count: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("count"))?;
//!
//! // A batch of keys at once: the values of the batch are places in a column.
//! let keys = ["JFK", "LGA", "JFK"].map(String::from);
//! let hashes: Vec<u64> = keys.iter().map(RoutingHash::routing_hash).collect();
//! let batch = KeyBatch::new(&hashes, &keys)?;
//! count.update_batch(&mut backend, &batch, |_| 0, |slots, counts| {
//!     slots.slots.iter().for_each(|slot| counts[*slot as usize] += 1);
//! })?;
//!
//! // Key by key.
//! backend.set_current_key(&keys[0], hashes[0])?;
//! assert_eq!(count.get(&mut backend)?, Some(2));
//! # Ok::<(), tidemill_state::StateError>(())
//! ```

#[macro_use]
mod handle;

mod account;
mod batch;
mod cache;
mod cache_table;
mod clock;
mod codec;
mod compression;
mod container;
mod cow;
mod descriptor;
mod error;
mod forms;
mod frozen_rows;
mod function;
mod group_writer;
mod heap;
mod heap_cells;
mod heap_lists;
mod heap_maps;
mod heap_values;
mod hot_rows;
mod keyed;
mod keyed_native;
mod keyed_snapshot;
mod list_state;
mod map_state;
mod migrate;
mod native;
mod native_rows;
mod native_store;
mod operator;
mod parts;
mod pending;
mod redistribute;
mod reducing_state;
mod restore;
mod row_filter;
mod snapshot;
mod spill;
mod store;
mod stored;
mod stored_lists;
mod stored_maps;
mod stored_values;
mod table;
mod timer_bucket;
mod timer_queues;
mod timer_spill;
mod timer_store;
mod timers;
mod ttl;
mod value_state;

pub use batch::{KeyBatch, NO_SLOT, Namespaces, Slots};
pub use cache::StateCache;
pub use clock::{Clock, ManualClock, SystemClock};
pub use descriptor::{
    AggregatingStateDescriptor, ListStateDescriptor, MapStateDescriptor, ReducingStateDescriptor,
    ValueStateDescriptor,
};
pub use error::StateError;
pub use function::{AggregateFunction, ReduceFunction};
pub use hot_rows::HotRows;
pub use keyed::KeyedStateBackend;
pub use list_state::ListState;
pub use map_state::MapState;
pub use native::{NativeFile, NativeFolder, NativeSnapshot, NativeTable};
pub use native_store::{
    NativeFiles, NativeMetric, NativeMetrics, NativeStore, RestoredTable, RowFate, RowFilter,
};
pub use operator::{BroadcastState, OperatorListState, OperatorStateBackend};
pub use pending::PendingStates;
pub use redistribute::redistribute;
pub use reducing_state::{AggregatingState, ReducingState};
pub use snapshot::{
    KeyedSnapshot, OperatorSnapshot, OperatorStateMode, StateKind, StateListener, StateSchema,
    SubtaskSnapshot,
};
pub use spill::{GroupBytes, Spill, TemporaryFile};
pub use store::{
    HashMapStateBackend, OrderedStore, RowKeys, StateBackend, StateBackendFactory, Storage, SubtaskContext,
    TableId, TableView, TimerPlacement, Write, WriteBatch,
};
pub use timers::{TimeDomain, Timer, TimerService, Timers};
pub use ttl::{StateTtlConfig, TtlUpdate, TtlVisibility};
pub use value_state::ValueState;
