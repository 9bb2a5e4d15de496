//! The functions that see one stream by record and another, the broadcast one, by the state that it has left.

use std::ops::{Deref, DerefMut};

use tidemill_runtime::BoxError;
use tidemill_serialization::Key;
use tidemill_state::{KeyedStateBackend, OperatorStateBackend, StateError};

use crate::functions::{Collector, FiredTimer, KeyedContext, ProcessContext};

/// What a function knows when it is called for a record that is not broadcast: broadcast state is to be read only, for it
/// would become different from subtask to subtask. Has all that a [`ProcessContext`] has.
pub struct ReadOnlyContext<'a, 'b> {
    pub(crate) base: &'a mut ProcessContext<'b>,
    pub(crate) broadcast: &'a OperatorStateBackend,
}

impl ReadOnlyContext<'_, '_> {
    /// The broadcast state, to read by the handles that the function got when it was opened.
    pub fn broadcast_state(&self) -> &OperatorStateBackend {
        self.broadcast
    }
}

impl<'b> Deref for ReadOnlyContext<'_, 'b> {
    type Target = ProcessContext<'b>;

    fn deref(&self) -> &ProcessContext<'b> {
        self.base
    }
}

impl DerefMut for ReadOnlyContext<'_, '_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.base
    }
}

/// What a function knows when it is called for a broadcast record, which every subtask gets: whatever it does to broadcast
/// state must depend on the broadcast records alone. Has all that a [`ProcessContext`] has.
pub struct BroadcastContext<'a, 'b> {
    pub(crate) base: &'a mut ProcessContext<'b>,
    pub(crate) broadcast: &'a mut OperatorStateBackend,
}

impl BroadcastContext<'_, '_> {
    /// The broadcast state, to use the handles on that the function got when it was opened.
    pub fn broadcast_state(&mut self) -> &mut OperatorStateBackend {
        self.broadcast
    }
}

impl<'b> Deref for BroadcastContext<'_, 'b> {
    type Target = ProcessContext<'b>;

    fn deref(&self) -> &ProcessContext<'b> {
        self.base
    }
}

impl DerefMut for BroadcastContext<'_, '_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.base
    }
}

/// Any number of records from each record of a stream and of a broadcast one.
pub trait BroadcastProcessFunction<T, B, Out>: Clone + Send + Sync + 'static {
    /// Declares the broadcast states of the function and keeps their handles.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn open(&mut self, broadcast: &mut OperatorStateBackend) -> Result<(), BoxError>;

    /// Takes one record that is not broadcast.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn process(
        &mut self,
        record: T,
        context: &mut ReadOnlyContext<'_, '_>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError>;

    /// Takes one broadcast record.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn process_broadcast(
        &mut self,
        record: B,
        context: &mut BroadcastContext<'_, '_>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError>;

    /// Lets go of what `open` has taken.
    fn close(&mut self) {}
}

/// As [`ReadOnlyContext`], with the state and the timers of a key: has all that a [`KeyedContext`] has.
pub struct KeyedReadOnlyContext<'a, 'b, K> {
    pub(crate) keyed: &'a mut KeyedContext<'b, K>,
    pub(crate) broadcast: &'a OperatorStateBackend,
}

impl<K> KeyedReadOnlyContext<'_, '_, K> {
    /// The broadcast state, to read by the handles that the function got when it was opened.
    pub fn broadcast_state(&self) -> &OperatorStateBackend {
        self.broadcast
    }
}

impl<'b, K> Deref for KeyedReadOnlyContext<'_, 'b, K> {
    type Target = KeyedContext<'b, K>;

    fn deref(&self) -> &KeyedContext<'b, K> {
        self.keyed
    }
}

impl<K> DerefMut for KeyedReadOnlyContext<'_, '_, K> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.keyed
    }
}

/// As [`BroadcastContext`], of an operator that has keyed state, too.
pub struct KeyedBroadcastContext<'a, 'b, K> {
    pub(crate) base: &'a mut ProcessContext<'b>,
    pub(crate) keyed: &'a mut KeyedStateBackend<K>,
    pub(crate) broadcast: &'a mut OperatorStateBackend,
}

impl<K: Key> KeyedBroadcastContext<'_, '_, K> {
    /// The broadcast state, to use the handles on that the function got when it was opened.
    pub fn broadcast_state(&mut self) -> &mut OperatorStateBackend {
        self.broadcast
    }

    /// Calls `apply` for each key of this subtask that has something in the keyed state `name`, by ascending key, with the
    /// keyed state at that key. The state must have no namespace.
    ///
    /// # Errors
    /// When the state cannot be reached, or `apply` fails.
    pub fn apply_to_keyed_state(
        &mut self,
        name: &str,
        mut apply: impl FnMut(&K, &mut KeyedStateBackend<K>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        for key in self.keyed.keys(name, &())? {
            self.keyed.set_current_key(&key, key.routing_hash())?;
            apply(&key, self.keyed)?;
        }
        self.keyed.clear_current_key();
        Ok(())
    }
}

impl<'b, K> Deref for KeyedBroadcastContext<'_, 'b, K> {
    type Target = ProcessContext<'b>;

    fn deref(&self) -> &ProcessContext<'b> {
        self.base
    }
}

impl<K> DerefMut for KeyedBroadcastContext<'_, '_, K> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.base
    }
}

/// Any number of records from each record of a keyed stream, with the state and the timers of its key, and of a broadcast one.
pub trait KeyedBroadcastProcessFunction<K, T, B, Out>: Clone + Send + Sync + 'static {
    /// Declares the keyed and the broadcast states of the function and keeps their handles.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn open(
        &mut self,
        states: &mut KeyedStateBackend<K>,
        broadcast: &mut OperatorStateBackend,
    ) -> Result<(), BoxError>;

    /// Takes one record of the keyed stream.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn process(
        &mut self,
        record: T,
        context: &mut KeyedReadOnlyContext<'_, '_, K>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError>;

    /// Takes one broadcast record.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn process_broadcast(
        &mut self,
        record: B,
        context: &mut KeyedBroadcastContext<'_, '_, K>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError>;

    /// A timer of this key has come due.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn on_timer(
        &mut self,
        timer: FiredTimer,
        context: &mut KeyedReadOnlyContext<'_, '_, K>,
        out: &mut Collector<Out>,
    ) -> Result<(), BoxError> {
        let _ = (timer, context, out);
        Ok(())
    }

    /// Lets go of what `open` has taken.
    fn close(&mut self) {}
}
