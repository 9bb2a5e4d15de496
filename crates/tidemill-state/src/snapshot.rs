//! What a snapshot of one subtask's state holds, and how it becomes bytes.
//!
//! Keyed state and timers are kept per key group, so that they can be dealt out anew without being decoded;
//! operator state is kept per item. Every state says its name, its kind and, by the snapshots of their serializers, what its
//! types are written as.
//! All backends write the same bytes.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tidemill_core::{KeyGroup, KeyGroupRange};
use tidemill_serialization::SerializerSnapshot;

use crate::compression;
use crate::container;
use crate::error::StateError;
pub(crate) use crate::group_writer::GroupWriter;
use crate::native::NativeSnapshot;
use crate::pending::PendingStates;
use crate::spill::{GroupBytes, Spill, SpilledFile, TemporaryFile};

/// What a keyed state is.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{StateKind, ValueState, ValueStateDescriptor};
///
/// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
/// visits.update(&mut backend, 1)?;
/// assert_eq!(backend.snapshot()?.keyed[0].schema.kind, StateKind::Value);
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateKind {
    /// One value a key.
    Value,
    /// A list a key.
    List,
    /// A map a key.
    Map,
    /// One value a key, into which values are reduced.
    Reducing,
    /// One accumulator a key.
    Aggregating,
    /// Timers.
    Timers,
}

impl StateKind {
    pub(crate) const ALL: [StateKind; 6] = [
        StateKind::Value,
        StateKind::List,
        StateKind::Map,
        StateKind::Reducing,
        StateKind::Aggregating,
        StateKind::Timers,
    ];
}

/// What a keyed state holds.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{ListState, ListStateDescriptor};
///
/// let _: ListState<u64> = backend.register_list(ListStateDescriptor::new("delays"))?;
/// let schema = &backend.snapshot()?.keyed[0].schema;
/// assert_eq!(schema.to_string(), "list state (key String, namespace (), holding u64)");
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct StateSchema {
    /// What the state is.
    pub kind: StateKind,
    /// The serializers of key, namespace and then what is kept: the value, the element, or user key and user value.
    pub types: Vec<SerializerSnapshot>,
}

impl fmt::Display for StateSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            StateKind::Value => "value state",
            StateKind::List => "list state",
            StateKind::Map => "map state",
            StateKind::Reducing => "reducing state",
            StateKind::Aggregating => "aggregating state",
            StateKind::Timers => "timers",
        };
        write!(f, "{kind} (")?;
        for (i, serializer) in self.types.iter().enumerate() {
            let role = match i {
                0 => "key ",
                1 => ", namespace ",
                2 => ", holding ",
                _ => " to ",
            };
            write!(f, "{role}{}", serializer.schema)?;
        }
        f.write_str(")")
    }
}

/// One keyed state, or one set of timers, of a subtask.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{ValueState, ValueStateDescriptor};
///
/// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
/// visits.update(&mut backend, 1)?;
/// let state = &backend.snapshot()?.keyed[0];
/// assert_eq!((state.name.as_str(), state.stamped, state.groups.len()), ("visits", false, 1));
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct KeyedSnapshot {
    /// The name that the state was declared with.
    pub name: String,
    /// What it holds.
    pub schema: StateSchema,
    /// Whether each entry has the time at which it was last touched.
    pub stamped: bool,
    /// The encoded entries of each key group that has any, by ascending key group.
    pub groups: Vec<(KeyGroup, GroupBytes)>,
}

/// How operator state is dealt to the subtasks when a job is restored.
///
/// ```
/// use tidemill_state::OperatorStateMode;
///
/// assert_eq!(OperatorStateMode::Union.to_string(), "union list state");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OperatorStateMode {
    /// Each item to one subtask.
    Split,
    /// All items to every subtask.
    Union,
    /// A map that is the same in every subtask.
    Broadcast,
}

impl OperatorStateMode {
    pub(crate) const ALL: [OperatorStateMode; 3] =
        [OperatorStateMode::Split, OperatorStateMode::Union, OperatorStateMode::Broadcast];
}

impl fmt::Display for OperatorStateMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OperatorStateMode::Split => "list state",
            OperatorStateMode::Union => "union list state",
            OperatorStateMode::Broadcast => "broadcast state",
        })
    }
}

/// One operator state of a subtask.
///
/// ```
/// use tidemill_core::budget::MemoryBudget;
/// use tidemill_state::{ListStateDescriptor, OperatorStateBackend, OperatorStateMode};
///
/// let mut backend = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
/// let open = backend.register_list(ListStateDescriptor::<u16>::new("open"))?;
/// open.update(&mut backend, [1, 2])?;
/// let state = &backend.snapshot().operator[0];
/// assert_eq!((state.mode, &state.items[1]), (OperatorStateMode::Split, &vec![2, 0]));
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorSnapshot {
    /// The name that the state was declared with.
    pub name: String,
    /// How it is dealt out.
    pub mode: OperatorStateMode,
    /// The serializers of what it holds: the element, or key and value.
    pub types: Vec<SerializerSnapshot>,
    /// The encoded items, in order.
    pub items: Vec<Vec<u8>>,
}

impl OperatorSnapshot {
    pub(crate) fn describe(&self) -> String {
        describe_operator(self.mode, &self.types)
    }
}

/// Is told of every state that an operator declares, before it is there.
///
/// ```
/// use std::sync::Mutex;
/// use tidemill_serialization::SerializerSnapshot;
/// use tidemill_state::{StateError, StateListener};
///
/// /// Remembers the names of all states.
/// #[derive(Default)]
/// struct Names(Mutex<Vec<String>>);
///
/// impl StateListener for Names {
///     fn declared(&self, name: &str, _: &[SerializerSnapshot]) -> Result<(), StateError> {
///         self.0.lock().unwrap().push(name.to_owned());
///         Ok(())
///     }
/// }
///
/// let names = Names::default();
/// names.declared("visits", &[])?;
/// assert_eq!(*names.0.lock().unwrap(), ["visits"]);
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
pub trait StateListener: Send + Sync {
    /// The operator declares the state `name`, or timers of that name, which hold values of `types`.
    ///
    /// # Errors
    /// When the job may not have such a state; it is not declared then.
    fn declared(&self, name: &str, types: &[SerializerSnapshot]) -> Result<(), StateError>;
}

/// What an operator state holds, in words.
pub(crate) fn describe_operator(mode: OperatorStateMode, types: &[SerializerSnapshot]) -> String {
    let types: Vec<String> = types.iter().map(|serializer| serializer.schema.to_string()).collect();
    format!("{mode} of {}", types.join(" to "))
}

/// All state of one operator subtask at one moment.
///
/// ```
/// # use std::sync::Arc;
/// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// # use tidemill_state::{KeyedStateBackend, SystemClock};
/// # let budget = MemoryBudget::unlimited("state");
/// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
/// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
/// use tidemill_state::{SubtaskSnapshot, ValueState, ValueStateDescriptor};
///
/// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
/// visits.update(&mut backend, 1)?;
/// let snapshot = backend.snapshot()?;
/// assert_eq!(SubtaskSnapshot::decode(&snapshot.encode())?, snapshot);
/// assert!(SubtaskSnapshot::decode(&snapshot.encode()[1..]).is_err());
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SubtaskSnapshot {
    /// The max parallelism by which keys were put into key groups; 0 when there is no keyed state.
    pub max_parallelism: u32,
    /// Keyed states, by name.
    pub keyed: Vec<KeyedSnapshot>,
    /// Timers, by name.
    pub timers: Vec<KeyedSnapshot>,
    /// Operator states, by name.
    pub operator: Vec<OperatorSnapshot>,
    /// Keyed states as files of their store, one part for each subtask that they come from. They are stored apart from
    /// the rest: [`encode`](Self::encode) leaves them out.
    pub native: Vec<NativeSnapshot>,
    /// Keyed states and timers that are still to be encoded, by [`complete`](Self::complete).
    pub pending: PendingStates,
}

impl SubtaskSnapshot {
    /// Whether there is nothing in it.
    ///
    /// ```
    /// use tidemill_state::{OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};
    ///
    /// let mut snapshot = SubtaskSnapshot::default();
    /// assert!(snapshot.is_empty());
    /// snapshot.operator.push(OperatorSnapshot::of("open", OperatorStateMode::Split, &[7u64]));
    /// assert!(!snapshot.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.keyed.is_empty()
            && self.timers.is_empty()
            && self.operator.is_empty()
            && self.native.is_empty()
            && self.pending.is_empty()
    }

    /// Encodes what is [pending](Self::pending), which may take long and is done beside the task. Whoever sets `cancelled`
    /// meanwhile has it end with an error soon, and let go of the memory.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ValueState, ValueStateDescriptor};
    ///
    /// let visits: ValueState<u64> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.update(&mut backend, 1)?;
    /// let expected = backend.snapshot()?;
    /// let mut snapshot = backend.begin_snapshot()?;
    /// visits.update(&mut backend, 2)?;
    /// snapshot.complete(&Arc::default())?;
    /// assert_eq!(snapshot, expected, "it has what was there when it began");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When it was cancelled, or a key does not belong to this subtask; the snapshot is of no use then.
    pub fn complete(&mut self, cancelled: &Arc<AtomicBool>) -> Result<(), StateError> {
        self.complete_within(cancelled, None)
    }

    /// As [`complete`](Self::complete), but that of what is encoded no more is held in memory than `spill` says, however much it is;
    /// the rest goes into a file of it. What does not fit into memory is a single map.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, ScratchFolder, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{Spill, ValueState, ValueStateDescriptor};
    ///
    /// let visits: ValueState<Vec<u8>> = backend.register_value(ValueStateDescriptor::new("visits"))?;
    /// visits.update(&mut backend, vec![7; 100_000])?;
    /// let mut snapshot = backend.begin_snapshot()?;
    /// let spill = Spill::new(ScratchFolder::within(std::env::temp_dir()), 1 << 10);
    /// snapshot.complete_spilling(&Arc::default(), &spill)?;
    /// assert_eq!(snapshot, backend.snapshot()?);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`complete`](Self::complete), and when a file cannot be written.
    pub fn complete_spilling(
        &mut self,
        cancelled: &Arc<AtomicBool>,
        spill: &Spill,
    ) -> Result<(), StateError> {
        self.complete_within(cancelled, Some(spill))
    }

    fn complete_within(
        &mut self,
        cancelled: &Arc<AtomicBool>,
        spill: Option<&Spill>,
    ) -> Result<(), StateError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut writer = spill.map(Spill::writer);
        if let Some(writer) = &mut writer {
            writer.hold(self.canonical_bytes());
        }
        let (keyed, timers) = std::mem::take(&mut self.pending).complete(cancelled, writer)?;
        self.keyed.extend(keyed);
        self.timers.extend(timers);
        self.sort();
        Ok(())
    }

    /// Puts states into the order of their names.
    pub(crate) fn sort(&mut self) {
        self.keyed.sort_by(|a, b| a.name.cmp(&b.name));
        self.timers.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// The bytes of all entries, without names; and those of all files.
    ///
    /// ```
    /// use tidemill_state::{OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};
    ///
    /// let open = OperatorSnapshot::of("open", OperatorStateMode::Split, &[7u64, 8]);
    /// let bytes = open.items[0].len() + open.items[1].len();
    /// let snapshot = SubtaskSnapshot { operator: vec![open], ..SubtaskSnapshot::default() };
    /// assert_eq!(snapshot.byte_size(), bytes);
    /// ```
    pub fn byte_size(&self) -> usize {
        let native = self.native.iter().map(NativeSnapshot::byte_size).sum::<u64>();
        self.canonical_bytes() + usize::try_from(native).unwrap_or(usize::MAX)
    }

    fn canonical_bytes(&self) -> usize {
        let keyed = self.keyed.iter().chain(&self.timers).flat_map(|state| &state.groups);
        let items = self.operator.iter().flat_map(|state| &state.items);
        keyed.map(|(_, bytes)| bytes.len()).sum::<usize>() + items.map(Vec::len).sum::<usize>()
    }

    /// Adds what `other`, a snapshot of another part of the same subtask, holds.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
    /// # use tidemill_state::{KeyedStateBackend, SystemClock};
    /// # let budget = MemoryBudget::unlimited("state");
    /// # let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(SystemClock), budget);
    /// # backend.set_current_key(&"JFK".to_owned(), "JFK".routing_hash())?;
    /// use tidemill_state::{ListStateDescriptor, OperatorStateBackend};
    ///
    /// let mut lists = OperatorStateBackend::new(MemoryBudget::unlimited("state"));
    /// lists.register_list(ListStateDescriptor::<u64>::new("open"))?;
    /// let mut snapshot = backend.snapshot()?;
    /// snapshot.absorb(lists.snapshot());
    /// assert_eq!((snapshot.max_parallelism, snapshot.operator.len()), (128, 1));
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn absorb(&mut self, other: SubtaskSnapshot) {
        self.max_parallelism = self.max_parallelism.max(other.max_parallelism);
        self.keyed.extend(other.keyed);
        self.timers.extend(other.timers);
        self.operator.extend(other.operator);
        self.native.extend(other.native);
        self.pending.absorb(other.pending);
    }

    /// The snapshot as bytes, with version and checksum, but for its [`native`](Self::native) parts: whoever keeps it keeps
    /// their files, and a [descriptor](NativeSnapshot::descriptor) of each, beside it. What is pending must have been
    /// [completed](Self::complete): a snapshot that is not complete has no bytes, and none can be read from them; nor has one whose
    /// temporary file cannot be read. [`write_file`](Self::write_file) needs no memory for all of it.
    ///
    /// ```
    /// use tidemill_state::{OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};
    ///
    /// let open = OperatorSnapshot::of("open", OperatorStateMode::Split, &[7u64]);
    /// let snapshot = SubtaskSnapshot { operator: vec![open], ..SubtaskSnapshot::default() };
    /// assert_eq!(SubtaskSnapshot::decode(&snapshot.encode())?, snapshot);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn encode(&self) -> Vec<u8> {
        self.try_encode(false).unwrap_or_default()
    }

    /// As [`encode`](Self::encode), but that it says why there are no bytes; compressed by Snappy if that is wanted, as
    /// `execution.checkpointing.snapshot-compression` does. [`decode`](Self::decode) reads both.
    ///
    /// ```
    /// use tidemill_state::{OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};
    ///
    /// let open = OperatorSnapshot::of("open", OperatorStateMode::Split, &vec!["the same again".to_owned(); 1_000]);
    /// let snapshot = SubtaskSnapshot { operator: vec![open], ..SubtaskSnapshot::default() };
    /// let bytes = snapshot.try_encode(true)?;
    /// assert!(bytes.len() < snapshot.try_encode(false)?.len() / 5);
    /// assert_eq!(SubtaskSnapshot::decode(&bytes)?, snapshot);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the snapshot is not complete, or its temporary file cannot be read.
    pub fn try_encode(&self, compressed: bool) -> Result<Vec<u8>, StateError> {
        if !self.pending.is_empty() {
            return Err(StateError::SnapshotGivenUp);
        }
        let bytes = container::encode(self)?;
        Ok(if compressed { compression::compress(&bytes) } else { bytes })
    }

    /// How many bytes [`encode`](Self::encode) makes, but for names and lengths.
    pub fn canonical_size(&self) -> u64 {
        self.canonical_bytes() as u64
    }

    /// Writes what [`try_encode`](Self::try_encode) makes, compressed or not, into a file, without having it in
    /// memory. Ends with an error soon when `cancelled` is set meanwhile.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tidemill_core::ScratchFolder;
    /// use tidemill_state::{OperatorSnapshot, OperatorStateMode, Spill, SubtaskSnapshot};
    ///
    /// let open = OperatorSnapshot::of("open", OperatorStateMode::Split, &[7u64]);
    /// let snapshot = SubtaskSnapshot { operator: vec![open], ..SubtaskSnapshot::default() };
    /// let spill = Spill::new(ScratchFolder::within(std::env::temp_dir()), 8 << 20);
    /// let file = spill.new_file()?;
    /// snapshot.write_file(&file, true, &Arc::default())?;
    /// assert_eq!(SubtaskSnapshot::open(file, &spill)?, snapshot);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When what is pending was not completed, the file is there or cannot be written, or a temporary one cannot be read.
    pub fn write_file(
        &self,
        file: &TemporaryFile,
        compress: bool,
        cancelled: &AtomicBool,
    ) -> Result<(), StateError> {
        if !self.pending.is_empty() {
            return Err(StateError::SnapshotGivenUp);
        }
        file.write(&mut |out, failed| {
            if compress {
                let write = |out: &mut dyn Write| container::write(self, out, cancelled, failed);
                compression::compress_into(out, failed, write)
            } else {
                container::write(self, out, cancelled, failed)
            }
        })
    }

    /// Reads what [`write_file`](Self::write_file) wrote, or [`encode`](Self::encode), from a file. The entries of keyed states stay
    /// there: each key group is read when it is asked for, and what was compressed is expanded into a file of `spill` before. The
    /// files lose their names, and go when nothing of the snapshot is left.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and when the file cannot be read.
    pub fn open(file: TemporaryFile, spill: &Spill) -> Result<Self, StateError> {
        container::open(SpilledFile::open(file.path())?, spill)
    }

    /// Reads what [`encode`](Self::encode) wrote; without native parts.
    ///
    /// ```
    /// use tidemill_state::SubtaskSnapshot;
    ///
    /// let mut bytes = SubtaskSnapshot::default().encode();
    /// assert!(SubtaskSnapshot::decode(&bytes)?.is_empty());
    /// bytes.pop();
    /// assert!(SubtaskSnapshot::decode(&bytes).is_err(), "it is cut off");
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    ///
    /// # Errors
    /// When the bytes are damaged, cut off, or of a version that this release does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, StateError> {
        match compression::expand(bytes)? {
            Some(expanded) => container::decode(&expanded),
            None => container::decode(bytes),
        }
    }
}

pub(crate) fn check_owned(owned: KeyGroupRange, group: KeyGroup) -> Result<(), StateError> {
    if owned.contains(group) {
        Ok(())
    } else {
        Err(StateError::WrongKeyGroup { key_group: group, owned: format!("{owned:?}") })
    }
}
