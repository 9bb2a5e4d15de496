//! The functions that see one stream by record and another, the broadcast one, by the state that it has left.

use std::ops::{Deref, DerefMut};

use tidemill_runtime::BoxError;
use tidemill_serialization::Key;
use tidemill_state::{KeyedStateBackend, OperatorStateBackend, StateError};

use crate::functions::{Collector, FiredTimer, KeyedContext, ProcessContext};

/// What a function knows when it is called for a record that is not broadcast: broadcast state is to be read only, for it
/// would become different from subtask to subtask. Has all that a [`ProcessContext`] has.
///
/// ```
/// use tidemill_datastream::ReadOnlyContext;
/// use tidemill_state::{BroadcastState, StateError};
///
/// fn limit(
///     limits: BroadcastState<String, i64>,
///     context: &ReadOnlyContext<'_, '_>,
/// ) -> Result<Option<i64>, StateError> {
///     Ok(limits.get(context.broadcast_state(), &"daily".to_owned())?.copied())
/// }
/// ```
pub struct ReadOnlyContext<'a, 'b> {
    pub(crate) base: &'a mut ProcessContext<'b>,
    pub(crate) broadcast: &'a OperatorStateBackend,
}

impl ReadOnlyContext<'_, '_> {
    /// The broadcast state, to read by the handles that the function got when it was opened.
    ///
    /// ```
    /// use tidemill_datastream::ReadOnlyContext;
    /// use tidemill_state::{BroadcastState, StateError};
    ///
    /// fn is_blocked(
    ///     user: u64,
    ///     blocked: BroadcastState<u64, bool>,
    ///     context: &ReadOnlyContext<'_, '_>,
    /// ) -> Result<bool, StateError> {
    ///     Ok(blocked.get(context.broadcast_state(), &user)?.is_some())
    /// }
    /// ```
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
///
/// ```
/// use tidemill_datastream::BroadcastContext;
/// use tidemill_state::{BroadcastState, StateError};
///
/// fn set_limit(
///     limits: BroadcastState<String, i64>,
///     context: &mut BroadcastContext<'_, '_>,
///     limit: i64,
/// ) -> Result<(), StateError> {
///     limits.put(context.broadcast_state(), "daily".to_owned(), limit)
/// }
/// ```
pub struct BroadcastContext<'a, 'b> {
    pub(crate) base: &'a mut ProcessContext<'b>,
    pub(crate) broadcast: &'a mut OperatorStateBackend,
}

impl BroadcastContext<'_, '_> {
    /// The broadcast state, to use the handles on that the function got when it was opened.
    ///
    /// ```
    /// use tidemill_datastream::BroadcastContext;
    /// use tidemill_state::{BroadcastState, StateError};
    ///
    /// fn block(
    ///     user: u64,
    ///     blocked: BroadcastState<u64, bool>,
    ///     context: &mut BroadcastContext<'_, '_>,
    /// ) -> Result<(), StateError> {
    ///     blocked.put(context.broadcast_state(), user, true)
    /// }
    /// ```
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
///
/// ```
/// use tidemill_datastream::{BroadcastContext, BroadcastProcessFunction, Collector, ReadOnlyContext};
/// use tidemill_runtime::BoxError;
/// use tidemill_state::{BroadcastState, MapStateDescriptor, OperatorStateBackend};
///
/// /// Drops the records that the broadcast stream has blocked.
/// #[derive(Clone, Default)]
/// struct Blocked(Option<BroadcastState<u64, bool>>);
///
/// impl BroadcastProcessFunction<u64, u64, u64> for Blocked {
///     fn open(&mut self, broadcast: &mut OperatorStateBackend) -> Result<(), BoxError> {
///         self.0 = Some(broadcast.register_broadcast(MapStateDescriptor::new("blocked"))?);
///         Ok(())
///     }
///
///     fn process(
///         &mut self,
///         user: u64,
///         context: &mut ReadOnlyContext<'_, '_>,
///         out: &mut Collector<u64>,
///     ) -> Result<(), BoxError> {
///         let Some(blocked) = self.0 else { return Ok(()) };
///         if blocked.get(context.broadcast_state(), &user)?.is_none() {
///             out.collect(user);
///         }
///         Ok(())
///     }
///
///     fn process_broadcast(
///         &mut self,
///         user: u64,
///         context: &mut BroadcastContext<'_, '_>,
///         _: &mut Collector<u64>,
///     ) -> Result<(), BoxError> {
///         let Some(blocked) = self.0 else { return Ok(()) };
///         Ok(blocked.put(context.broadcast_state(), user, true)?)
///     }
/// }
/// ```
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
///
/// ```
/// use tidemill_datastream::KeyedReadOnlyContext;
/// use tidemill_state::{BroadcastState, StateError, ValueState};
///
/// /// Whether the spending of the key is above the limit.
/// fn is_above(
///     spent: ValueState<i64>,
///     limits: BroadcastState<u8, i64>,
///     context: &mut KeyedReadOnlyContext<'_, '_, String>,
/// ) -> Result<bool, StateError> {
///     let limit = limits.get(context.broadcast_state(), &0)?.copied();
///     Ok(spent.get(context.state())? > limit)
/// }
/// ```
pub struct KeyedReadOnlyContext<'a, 'b, K> {
    pub(crate) keyed: &'a mut KeyedContext<'b, K>,
    pub(crate) broadcast: &'a OperatorStateBackend,
}

impl<K> KeyedReadOnlyContext<'_, '_, K> {
    /// The broadcast state, to read by the handles that the function got when it was opened.
    ///
    /// ```
    /// use tidemill_datastream::KeyedReadOnlyContext;
    /// use tidemill_state::{BroadcastState, StateError};
    ///
    /// /// What is allowed to the key of the record.
    /// fn limit(
    ///     limits: BroadcastState<String, i64>,
    ///     context: &KeyedReadOnlyContext<'_, '_, String>,
    /// ) -> Result<Option<i64>, StateError> {
    ///     Ok(limits.get(context.broadcast_state(), context.key()?)?.copied())
    /// }
    /// ```
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
///
/// ```
/// use tidemill_datastream::KeyedBroadcastContext;
/// use tidemill_state::{StateError, ValueState};
///
/// /// Forgets what all keys have spent.
/// fn forget(spent: ValueState<i64>, context: &mut KeyedBroadcastContext<'_, '_, String>) -> Result<(), StateError> {
///     context.apply_to_keyed_state("spent", |_, states| spent.clear(states))
/// }
/// ```
pub struct KeyedBroadcastContext<'a, 'b, K> {
    pub(crate) base: &'a mut ProcessContext<'b>,
    pub(crate) keyed: &'a mut KeyedStateBackend<K>,
    pub(crate) broadcast: &'a mut OperatorStateBackend,
}

impl<K: Key> KeyedBroadcastContext<'_, '_, K> {
    /// The broadcast state, to use the handles on that the function got when it was opened.
    ///
    /// ```
    /// use tidemill_datastream::KeyedBroadcastContext;
    /// use tidemill_state::{BroadcastState, StateError};
    ///
    /// fn set_limit(
    ///     (name, limit): (String, i64),
    ///     limits: BroadcastState<String, i64>,
    ///     context: &mut KeyedBroadcastContext<'_, '_, String>,
    /// ) -> Result<(), StateError> {
    ///     limits.put(context.broadcast_state(), name, limit)
    /// }
    /// ```
    pub fn broadcast_state(&mut self) -> &mut OperatorStateBackend {
        self.broadcast
    }

    /// Calls `apply` for each key of this subtask that has something in the keyed state `name`, by ascending key, with the
    /// keyed state at that key. The state must have no namespace.
    ///
    /// ```
    /// use tidemill_datastream::KeyedBroadcastContext;
    /// use tidemill_state::{StateError, ValueState};
    ///
    /// /// What all keys of this subtask have spent.
    /// fn total(
    ///     spent: ValueState<i64>,
    ///     context: &mut KeyedBroadcastContext<'_, '_, String>,
    /// ) -> Result<i64, StateError> {
    ///     let mut total = 0;
    ///     context.apply_to_keyed_state("spent", |_, states| {
    ///         total += spent.get(states)?.unwrap_or(0);
    ///         Ok(())
    ///     })?;
    ///     Ok(total)
    /// }
    /// ```
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
///
/// ```
/// use tidemill_datastream::{
///     Collector, KeyedBroadcastContext, KeyedBroadcastProcessFunction, KeyedReadOnlyContext,
/// };
/// use tidemill_runtime::BoxError;
/// use tidemill_state::{KeyedStateBackend, OperatorStateBackend, ValueState, ValueStateDescriptor};
///
/// /// Sums by key, until a broadcast record has all keys begin anew.
/// #[derive(Clone, Default)]
/// struct Sums(Option<ValueState<i64>>);
///
/// impl KeyedBroadcastProcessFunction<String, (String, i64), (), (String, i64)> for Sums {
///     fn open(
///         &mut self,
///         states: &mut KeyedStateBackend<String>,
///         _: &mut OperatorStateBackend,
///     ) -> Result<(), BoxError> {
///         self.0 = Some(states.register_value(ValueStateDescriptor::new("sum"))?);
///         Ok(())
///     }
///
///     fn process(
///         &mut self,
///         (name, value): (String, i64),
///         context: &mut KeyedReadOnlyContext<'_, '_, String>,
///         out: &mut Collector<(String, i64)>,
///     ) -> Result<(), BoxError> {
///         let Some(sums) = self.0 else { return Ok(()) };
///         let sum = sums.get(context.state())?.unwrap_or(0) + value;
///         sums.update(context.state(), sum)?;
///         out.collect((name, sum));
///         Ok(())
///     }
///
///     fn process_broadcast(
///         &mut self,
///         _: (),
///         context: &mut KeyedBroadcastContext<'_, '_, String>,
///         _: &mut Collector<(String, i64)>,
///     ) -> Result<(), BoxError> {
///         let Some(sums) = self.0 else { return Ok(()) };
///         Ok(context.apply_to_keyed_state("sum", |_, states| sums.clear(states))?)
///     }
/// }
/// ```
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
