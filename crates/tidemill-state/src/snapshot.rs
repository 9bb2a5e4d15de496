//! What a snapshot of one subtask's state holds, and how it becomes bytes.
//!
//! Keyed state and timers are kept per key group, so that they can be dealt out anew without being decoded;
//! operator state is kept per item. Every state says its name, its kind and, by the snapshots of their serializers, what its
//! types are written as.
//! All backends write the same bytes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemill_core::{KeyGroup, KeyGroupRange, hash, key_group};
use tidemill_serialization::{DecodeError, Input, SerializerSnapshot};

use crate::codec::{get_bytes, get_count, get_text, get_varint, put_bytes, put_varint};
use crate::compression;
use crate::error::StateError;
use crate::native::NativeSnapshot;
use crate::pending::PendingStates;

const MAGIC: &[u8; 4] = b"TMST";
const VERSION: u8 = 1;
/// Magic, version and checksum.
const FRAME: usize = 4 + 1 + 8;

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
    const ALL: [StateKind; 6] = [
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
    pub groups: Vec<(KeyGroup, Vec<u8>)>,
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
    const ALL: [OperatorStateMode; 3] =
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
        if self.pending.is_empty() {
            return Ok(());
        }
        let (keyed, timers) = std::mem::take(&mut self.pending).complete(cancelled)?;
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
    /// [completed](Self::complete): a snapshot that is not complete has no bytes, and none can be read from them.
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
        if !self.pending.is_empty() {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(self.canonical_bytes() + 256);
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        put_varint(&mut out, u64::from(self.max_parallelism));
        for states in [&self.keyed, &self.timers] {
            put_varint(&mut out, states.len() as u64);
            states.iter().for_each(|state| encode_keyed(state, &mut out));
        }
        put_varint(&mut out, self.operator.len() as u64);
        for state in &self.operator {
            put_bytes(&mut out, state.name.as_bytes());
            out.push(position(&OperatorStateMode::ALL, &state.mode));
            encode_types(&state.types, &mut out);
            put_varint(&mut out, state.items.len() as u64);
            state.items.iter().for_each(|item| put_bytes(&mut out, item));
        }
        let checksum = hash::bytes(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// As [`encode`](Self::encode), compressed by Snappy, as `execution.checkpointing.snapshot-compression` wants it.
    /// [`decode`](Self::decode) reads both.
    ///
    /// ```
    /// use tidemill_state::{OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};
    ///
    /// let open = OperatorSnapshot::of("open", OperatorStateMode::Split, &vec!["the same again".to_owned(); 1_000]);
    /// let snapshot = SubtaskSnapshot { operator: vec![open], ..SubtaskSnapshot::default() };
    /// let bytes = snapshot.encode_compressed();
    /// assert!(bytes.len() < snapshot.encode().len() / 5);
    /// assert_eq!(SubtaskSnapshot::decode(&bytes)?, snapshot);
    /// # Ok::<(), tidemill_state::StateError>(())
    /// ```
    pub fn encode_compressed(&self) -> Vec<u8> {
        compression::compress(&self.encode())
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
            Some(expanded) => Self::decode_plain(&expanded),
            None => Self::decode_plain(bytes),
        }
    }

    fn decode_plain(bytes: &[u8]) -> Result<Self, StateError> {
        let unreadable = |what: &str| Err(StateError::Snapshot(what.to_owned()));
        if bytes.len() < FRAME {
            return unreadable("it is too short to be one");
        }
        if &bytes[..4] != MAGIC {
            return unreadable("it does not start as a state snapshot does");
        }
        if bytes[4] != VERSION {
            let version = bytes[4];
            return unreadable(&format!("it has version {version}, this release reads version {VERSION}"));
        }
        let (body, checksum) = bytes.split_at(bytes.len() - 8);
        if hash::bytes(body).to_le_bytes() != checksum {
            return unreadable("its checksum is wrong: the bytes were damaged or cut off");
        }
        let mut input = Input::new(&body[5..]);
        match decode_body(&mut input) {
            Ok(snapshot) if input.remaining() == 0 => Ok(snapshot),
            Ok(_) => unreadable("bytes are left over at its end"),
            Err(error) => unreadable(&error.to_string()),
        }
    }
}

fn position<T: PartialEq>(all: &[T], value: &T) -> u8 {
    all.iter().position(|other| other == value).unwrap_or(all.len()) as u8
}

fn at_position<T: Copy>(all: &[T], input: &mut Input<'_>, what: &'static str) -> Result<T, DecodeError> {
    let [place] = input.array::<1>(what)?;
    all.get(usize::from(place))
        .copied()
        .ok_or_else(|| DecodeError::Invalid { what, detail: format!("{place} stands for none") })
}

fn encode_types(types: &[SerializerSnapshot], out: &mut Vec<u8>) {
    put_varint(out, types.len() as u64);
    types.iter().for_each(|serializer| serializer.encode_into(out));
}

fn decode_types(input: &mut Input<'_>) -> Result<Vec<SerializerSnapshot>, DecodeError> {
    let count = get_count(input, 1, "serializers of a state")?;
    (0..count).map(|_| SerializerSnapshot::decode_from(input)).collect()
}

/// What a state holds, and whether its entries have time stamps.
pub(crate) fn encode_schema(schema: &StateSchema, stamped: bool, out: &mut Vec<u8>) {
    out.push(position(&StateKind::ALL, &schema.kind));
    out.push(u8::from(stamped));
    encode_types(&schema.types, out);
}

/// Reads what [`encode_schema`] wrote.
pub(crate) fn decode_schema(input: &mut Input<'_>) -> Result<(StateSchema, bool), DecodeError> {
    let kind = at_position(&StateKind::ALL, input, "kind of a state")?;
    let stamped = at_position(&[false, true], input, "flag of a state")?;
    Ok((StateSchema { kind, types: decode_types(input)? }, stamped))
}

fn encode_keyed(state: &KeyedSnapshot, out: &mut Vec<u8>) {
    put_bytes(out, state.name.as_bytes());
    encode_schema(&state.schema, state.stamped, out);
    put_varint(out, state.groups.len() as u64);
    for (group, bytes) in &state.groups {
        out.extend_from_slice(&group.to_le_bytes());
        put_bytes(out, bytes);
    }
}

fn decode_keyed(input: &mut Input<'_>) -> Result<KeyedSnapshot, DecodeError> {
    let name = get_text(input, "name of a state")?;
    let (schema, stamped) = decode_schema(input)?;
    let count = get_count(input, 3, "key groups of a state")?;
    let mut groups: Vec<(KeyGroup, Vec<u8>)> = Vec::with_capacity(count);
    for _ in 0..count {
        let group = KeyGroup::from_le_bytes(input.array("key group")?);
        if groups.last().is_some_and(|(last, _)| *last >= group) {
            let detail = format!("key group {group} is out of order");
            return Err(DecodeError::Invalid { what: "key groups of a state", detail });
        }
        groups.push((group, get_bytes(input, "entries of a key group")?.to_vec()));
    }
    Ok(KeyedSnapshot { name, schema, stamped, groups })
}

fn decode_operator(input: &mut Input<'_>) -> Result<OperatorSnapshot, DecodeError> {
    let name = get_text(input, "name of a state")?;
    let mode = at_position(&OperatorStateMode::ALL, input, "mode of an operator state")?;
    let types = decode_types(input)?;
    let count = get_count(input, 1, "items of an operator state")?;
    let items = (0..count)
        .map(|_| get_bytes(input, "item of an operator state").map(<[u8]>::to_vec))
        .collect::<Result<_, _>>()?;
    Ok(OperatorSnapshot { name, mode, types, items })
}

fn decode_body(input: &mut Input<'_>) -> Result<SubtaskSnapshot, DecodeError> {
    let max_parallelism = u32::try_from(get_varint(input, "max parallelism")?).unwrap_or(u32::MAX);
    if max_parallelism > key_group::UPPER_BOUND_MAX_PARALLELISM {
        let detail = format!("{max_parallelism} is more than {}", key_group::UPPER_BOUND_MAX_PARALLELISM);
        return Err(DecodeError::Invalid { what: "max parallelism", detail });
    }
    let mut keyed_states = || -> Result<Vec<KeyedSnapshot>, DecodeError> {
        let count = get_count(input, 5, "keyed states")?;
        (0..count).map(|_| decode_keyed(input)).collect()
    };
    let keyed = keyed_states()?;
    let timers = keyed_states()?;
    let count = get_count(input, 4, "operator states")?;
    let operator = (0..count).map(|_| decode_operator(input)).collect::<Result<_, _>>()?;
    Ok(SubtaskSnapshot { max_parallelism, keyed, timers, operator, ..Default::default() })
}

/// Collects the entries of one state by key group.
pub(crate) struct GroupWriter {
    owned: KeyGroupRange,
    max_parallelism: u32,
    first: KeyGroup,
    groups: Vec<Vec<u8>>,
    cancelled: Arc<AtomicBool>,
}

impl GroupWriter {
    pub(crate) fn new(owned: KeyGroupRange, max_parallelism: u32) -> Self {
        Self::cancellable(owned, max_parallelism, &Arc::default())
    }

    /// One that takes no more once `cancelled` is set.
    pub(crate) fn cancellable(
        owned: KeyGroupRange,
        max_parallelism: u32,
        cancelled: &Arc<AtomicBool>,
    ) -> Self {
        let first = owned.bounds().map_or(0, |bounds| *bounds.start());
        let groups = vec![Vec::new(); owned.len()];
        Self { owned, max_parallelism, first, groups, cancelled: Arc::clone(cancelled) }
    }

    /// Where the entries of a key with this routing hash go.
    pub(crate) fn of_hash(&mut self, routing_hash: u64) -> Result<&mut Vec<u8>, StateError> {
        self.of_group(key_group::key_group(routing_hash, self.max_parallelism))
    }

    pub(crate) fn of_group(&mut self, group: KeyGroup) -> Result<&mut Vec<u8>, StateError> {
        check_owned(self.owned, group)?;
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(StateError::SnapshotGivenUp);
        }
        Ok(&mut self.groups[usize::from(group - self.first)])
    }

    pub(crate) fn finish(self) -> Vec<(KeyGroup, Vec<u8>)> {
        self.owned.iter().zip(self.groups).filter(|(_, bytes)| !bytes.is_empty()).collect()
    }
}

pub(crate) fn check_owned(owned: KeyGroupRange, group: KeyGroup) -> Result<(), StateError> {
    if owned.contains(group) {
        Ok(())
    } else {
        Err(StateError::WrongKeyGroup { key_group: group, owned: format!("{owned:?}") })
    }
}
