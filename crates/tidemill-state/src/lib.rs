//! Keyed state, operator state and timers, and how they are snapshotted and dealt out again.
//!
//! A [`KeyedStateBackend`] has the keyed state of one operator subtask: a job declares states by name and gets
//! light handles ([`ValueState`], [`ListState`], [`MapState`], [`ReducingState`], [`AggregatingState`],
//! [`Timers`]), with which it works on the current key or, faster, on a whole batch of keys. An [`OperatorStateBackend`] has
//! state that belongs to no key. Snapshots of both are [dealt out anew](redistribute) when a job is rescaled.

#[macro_use]
mod handle;

mod account;
mod batch;
mod clock;
mod codec;
mod descriptor;
mod error;
mod forms;
mod function;
mod heap;
mod heap_lists;
mod heap_maps;
mod heap_values;
mod keyed;
mod list_state;
mod map_state;
mod operator;
mod redistribute;
mod reducing_state;
mod snapshot;
mod store;
mod stored;
mod stored_lists;
mod stored_maps;
mod stored_values;
mod table;
mod timers;
mod ttl;
mod value_state;

pub use batch::{KeyBatch, NO_SLOT, Namespaces, Slots};
pub use clock::{Clock, ManualClock, SystemClock};
pub use descriptor::{
    AggregatingStateDescriptor, ListStateDescriptor, MapStateDescriptor, ReducingStateDescriptor,
    ValueStateDescriptor,
};
pub use error::StateError;
pub use function::{AggregateFunction, ReduceFunction};
pub use keyed::KeyedStateBackend;
pub use list_state::ListState;
pub use map_state::MapState;
pub use operator::{BroadcastState, OperatorListState, OperatorStateBackend};
pub use redistribute::redistribute;
pub use reducing_state::{AggregatingState, ReducingState};
pub use snapshot::{
    KeyedSnapshot, OperatorSnapshot, OperatorStateMode, StateKind, StateSchema, SubtaskSnapshot,
};
pub use store::{
    HashMapStateBackend, OrderedStore, RowKeys, StateBackend, Storage, SubtaskContext, TableId, Write,
    WriteBatch,
};
pub use timers::{TimeDomain, Timer, TimerService, Timers};
pub use ttl::{StateTtlConfig, TtlUpdate, TtlVisibility};
pub use value_state::ValueState;
