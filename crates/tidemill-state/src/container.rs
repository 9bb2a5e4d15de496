//! How the snapshot of a subtask is laid out as bytes, and how it is read from a file without having it in memory.
//!
//! Mark, version, max parallelism, keyed states, timers, operator states, checksum. Keyed states, and timers, say how many key groups
//! they have, and each of these how long it is, so that a reader may pass over it.

use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidemill_core::{KeyGroup, hash, key_group};
use tidemill_serialization::{DecodeError, Input, SerializerSnapshot};

use crate::codec::{get_bytes, get_count, get_text, get_varint, put_bytes, put_varint};
use crate::compression;
use crate::error::StateError;
use crate::snapshot::{
    KeyedSnapshot, OperatorSnapshot, OperatorStateMode, StateKind, StateSchema, SubtaskSnapshot,
};
use crate::spill::{GroupBytes, Spill, SpilledFile};

const MAGIC: &[u8; 4] = b"TMST";
const VERSION: u8 = 1;
/// Magic and version.
const HEAD: usize = 4 + 1;
/// The checksum.
const TAIL: usize = 8;

/// How much of a file is looked at for the beginning of a state, at first.
const LOOK: usize = 4 << 10;
/// More than any beginning of a state has.
const LOOK_AT_MOST: usize = 64 << 20;

/// A piece of the bytes of a snapshot.
enum Piece<'a> {
    Bytes(&'a [u8]),
    Group(&'a GroupBytes),
}

/// Shows all of a snapshot but the checksum.
fn for_each_piece(
    snapshot: &SubtaskSnapshot,
    visit: &mut dyn FnMut(Piece<'_>) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let mut head = Vec::with_capacity(256);
    head.extend_from_slice(MAGIC);
    head.push(VERSION);
    put_varint(&mut head, u64::from(snapshot.max_parallelism));
    for states in [&snapshot.keyed, &snapshot.timers] {
        put_varint(&mut head, states.len() as u64);
        for state in states {
            put_bytes(&mut head, state.name.as_bytes());
            encode_schema(&state.schema, state.stamped, &mut head);
            put_varint(&mut head, state.groups.len() as u64);
            for (group, bytes) in &state.groups {
                head.extend_from_slice(&group.to_le_bytes());
                put_varint(&mut head, bytes.len() as u64);
                visit(Piece::Bytes(&head))?;
                head.clear();
                visit(Piece::Group(bytes))?;
            }
        }
    }
    put_varint(&mut head, snapshot.operator.len() as u64);
    for state in &snapshot.operator {
        put_bytes(&mut head, state.name.as_bytes());
        head.push(position(&OperatorStateMode::ALL, &state.mode));
        encode_types(&state.types, &mut head);
        put_varint(&mut head, state.items.len() as u64);
        for item in &state.items {
            put_varint(&mut head, item.len() as u64);
            visit(Piece::Bytes(&head))?;
            head.clear();
            visit(Piece::Bytes(item))?;
        }
    }
    visit(Piece::Bytes(&head))
}

/// How many bytes there are in front of the checksum.
fn length(snapshot: &SubtaskSnapshot) -> Result<u64, StateError> {
    let mut length = 0;
    for_each_piece(snapshot, &mut |piece| {
        length += match piece {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Group(bytes) => bytes.len() as u64,
        };
        Ok(())
    })?;
    Ok(length)
}

/// The bytes of a snapshot, in memory.
pub(crate) fn encode(snapshot: &SubtaskSnapshot) -> Result<Vec<u8>, StateError> {
    let length = usize::try_from(length(snapshot)?).unwrap_or(0);
    let mut out = Vec::with_capacity(length + TAIL);
    for_each_piece(snapshot, &mut |piece| match piece {
        Piece::Bytes(bytes) => {
            out.extend_from_slice(bytes);
            Ok(())
        }
        Piece::Group(bytes) => bytes.for_each(&mut |bytes| {
            out.extend_from_slice(bytes);
            Ok(())
        }),
    })?;
    let checksum = hash::bytes(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    Ok(out)
}

/// Writes the bytes of a snapshot for as long as it is wanted. `failed` says what could not be written.
pub(crate) fn write(
    snapshot: &SubtaskSnapshot,
    out: &mut dyn Write,
    cancelled: &AtomicBool,
    failed: &dyn Fn(&io::Error) -> StateError,
) -> Result<(), StateError> {
    let mut checksum = hash::PieceHash::of_length(length(snapshot)?);
    let mut put = |bytes: &[u8]| {
        if cancelled.load(Ordering::Relaxed) {
            return Err(StateError::SnapshotGivenUp);
        }
        checksum.update(bytes);
        out.write_all(bytes).map_err(|error| failed(&error))
    };
    for_each_piece(snapshot, &mut |piece| match piece {
        Piece::Bytes(bytes) => put(bytes),
        Piece::Group(bytes) => bytes.for_each(&mut put),
    })?;
    out.write_all(&checksum.finish().to_le_bytes()).map_err(|error| failed(&error))
}

fn unreadable<T>(what: impl Into<String>) -> Result<T, StateError> {
    Err(StateError::Snapshot(what.into()))
}

/// Looks at what all snapshots begin with.
fn check_head(head: [u8; HEAD]) -> Result<(), StateError> {
    if &head[..4] != MAGIC {
        return unreadable("it does not start as a state snapshot does");
    }
    if head[4] != VERSION {
        let version = head[4];
        return unreadable(format!("it has version {version}, this release reads version {VERSION}"));
    }
    Ok(())
}

const TOO_SHORT: &str = "it is too short to be one";
const DAMAGED: &str = "its checksum is wrong: the bytes were damaged or cut off";
const LEFT_OVER: &str = "bytes are left over at its end";

/// Reads what [`encode`] wrote.
pub(crate) fn decode(bytes: &[u8]) -> Result<SubtaskSnapshot, StateError> {
    let (Some(head), true) = (bytes.first_chunk::<HEAD>(), bytes.len() >= HEAD + TAIL) else {
        return unreadable(TOO_SHORT);
    };
    check_head(*head)?;
    let (body, checksum) = bytes.split_at(bytes.len() - TAIL);
    if hash::bytes(body).to_le_bytes() != checksum {
        return unreadable(DAMAGED);
    }
    let mut input = Input::new(&body[HEAD..]);
    match decode_body(&mut input) {
        Ok(snapshot) if input.remaining() == 0 => Ok(snapshot),
        Ok(_) => unreadable(LEFT_OVER),
        Err(error) => unreadable(error.to_string()),
    }
}

/// Reads what [`write`] wrote, compressed or not, from a file, where the entries of keyed states stay. What was compressed is expanded
/// into another one.
pub(crate) fn open(mut file: Arc<SpilledFile>, spill: &Spill) -> Result<SubtaskSnapshot, StateError> {
    let mut bytes = file.length()?;
    let mut mark = [0; HEAD];
    if bytes < (HEAD + TAIL) as u64 {
        return unreadable(TOO_SHORT);
    }
    file.read_at(0, &mut mark)?;
    if compression::is_compressed(&mark) {
        (file, bytes) = expand(&file, bytes, spill)?;
        if bytes < (HEAD + TAIL) as u64 {
            return unreadable(TOO_SHORT);
        }
        file.read_at(0, &mut mark)?;
    }
    check_head(mark)?;
    let end = bytes - TAIL as u64;
    let mut checksum = hash::PieceHash::of_length(end);
    file.for_each(0..end, &mut |piece| {
        checksum.update(piece);
        Ok(())
    })?;
    let mut stored = [0; TAIL];
    file.read_at(end, &mut stored)?;
    if checksum.finish().to_le_bytes() != stored {
        return unreadable(DAMAGED);
    }
    let mut reader = Reader { file, at: HEAD as u64, end };
    let snapshot = reader.snapshot()?;
    if reader.at < end { unreadable(LEFT_OVER) } else { Ok(snapshot) }
}

/// Expands a file that was compressed.
fn expand(file: &Arc<SpilledFile>, bytes: u64, spill: &Spill) -> Result<(Arc<SpilledFile>, u64), StateError> {
    let mut writer = spill.writer();
    let frame = BufReader::with_capacity(64 << 10, Part { file, rest: compression::MARK as u64..bytes });
    let expanded = compression::expand_into(frame, bytes, &mut |piece| writer.append(piece).map(drop))?;
    match writer.flush()? {
        Some(file) => Ok((file, expanded)),
        None => unreadable(TOO_SHORT),
    }
}

/// What is left to be read of a file.
struct Part<'a> {
    file: &'a SpilledFile,
    rest: Range<u64>,
}

impl Read for Part<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX);
        let count = left.min(bytes.len());
        self.file.read_at(self.rest.start, &mut bytes[..count]).map_err(io::Error::other)?;
        self.rest.start += count as u64;
        Ok(count)
    }
}

/// Reads a snapshot from a file whose checksum is right, and passes over the entries of keyed states.
struct Reader {
    file: Arc<SpilledFile>,
    at: u64,
    end: u64,
}

impl Reader {
    fn left(&self) -> u64 {
        self.end - self.at
    }

    /// Reads something of which it is not known how long it is.
    fn read<T>(&mut self, read: impl Fn(&mut Input<'_>) -> Result<T, DecodeError>) -> Result<T, StateError> {
        let mut look = LOOK;
        loop {
            let window = usize::try_from(self.left()).unwrap_or(usize::MAX).min(look);
            let mut bytes = vec![0; window];
            self.file.read_at(self.at, &mut bytes)?;
            let mut input = Input::new(&bytes);
            match read(&mut input) {
                Ok(found) => {
                    self.at += (window - input.remaining()) as u64;
                    return Ok(found);
                }
                Err(error) if window < look || look >= LOOK_AT_MOST => return unreadable(error.to_string()),
                // More may be needed to make sense of it.
                Err(_) => look = look.saturating_mul(8),
            }
        }
    }

    /// A count of things that take at least `least` bytes each.
    fn count(&mut self, least: u64, what: &'static str) -> Result<usize, StateError> {
        let count = self.read(|input| get_varint(input, what))?;
        match usize::try_from(count) {
            Ok(small) if count <= self.left() / least => Ok(small),
            _ => unreadable(format!("the {what} are {count}, for which it is too short")),
        }
    }

    fn snapshot(&mut self) -> Result<SubtaskSnapshot, StateError> {
        let max_parallelism = self.read(decode_max_parallelism)?;
        let keyed = self.keyed_states()?;
        let timers = self.keyed_states()?;
        let count = self.count(4, "operator states")?;
        let operator = (0..count).map(|_| self.operator_state()).collect::<Result<_, _>>()?;
        Ok(SubtaskSnapshot { max_parallelism, keyed, timers, operator, ..Default::default() })
    }

    fn keyed_states(&mut self) -> Result<Vec<KeyedSnapshot>, StateError> {
        let count = self.count(5, "keyed states")?;
        (0..count).map(|_| self.keyed_state()).collect()
    }

    fn keyed_state(&mut self) -> Result<KeyedSnapshot, StateError> {
        let (name, (schema, stamped)) =
            self.read(|input| Ok((get_text(input, "name of a state")?, decode_schema(input)?)))?;
        let count = self.count(3, "key groups of a state")?;
        let mut groups: Vec<(KeyGroup, GroupBytes)> = Vec::with_capacity(count.min(1 << 16));
        for _ in 0..count {
            let last = groups.last().map(|(last, _)| *last);
            let (group, length) = self.read(|input| {
                Ok((decode_group(input, last)?, get_varint(input, "entries of a key group")?))
            })?;
            if length > self.left() {
                return unreadable(format!("the entries of key group {group} of '{name}' are cut off"));
            }
            let part = self.at..self.at + length;
            self.at = part.end;
            let parts = if length == 0 { Vec::new() } else { vec![part] };
            groups.push((group, GroupBytes::in_file(Arc::clone(&self.file), parts)));
        }
        Ok(KeyedSnapshot { name, schema, stamped, groups })
    }

    fn operator_state(&mut self) -> Result<OperatorSnapshot, StateError> {
        let (name, mode, types) = self.read(decode_operator_head)?;
        let count = self.count(1, "items of an operator state")?;
        let mut items = Vec::new();
        for _ in 0..count {
            let mut item = vec![0; self.count(1, "bytes of an item of an operator state")?];
            self.file.read_at(self.at, &mut item)?;
            self.at += item.len() as u64;
            items.push(item);
        }
        Ok(OperatorSnapshot { name, mode, types, items })
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

/// A key group that comes after `last`.
fn decode_group(input: &mut Input<'_>, last: Option<KeyGroup>) -> Result<KeyGroup, DecodeError> {
    let group = KeyGroup::from_le_bytes(input.array("key group")?);
    if last.is_some_and(|last| last >= group) {
        let detail = format!("key group {group} is out of order");
        return Err(DecodeError::Invalid { what: "key groups of a state", detail });
    }
    Ok(group)
}

fn decode_keyed(input: &mut Input<'_>) -> Result<KeyedSnapshot, DecodeError> {
    let name = get_text(input, "name of a state")?;
    let (schema, stamped) = decode_schema(input)?;
    let count = get_count(input, 3, "key groups of a state")?;
    let mut groups: Vec<(KeyGroup, GroupBytes)> = Vec::with_capacity(count);
    for _ in 0..count {
        let group = decode_group(input, groups.last().map(|(last, _)| *last))?;
        groups.push((group, get_bytes(input, "entries of a key group")?.to_vec().into()));
    }
    Ok(KeyedSnapshot { name, schema, stamped, groups })
}

fn decode_operator_head(
    input: &mut Input<'_>,
) -> Result<(String, OperatorStateMode, Vec<SerializerSnapshot>), DecodeError> {
    let name = get_text(input, "name of a state")?;
    let mode = at_position(&OperatorStateMode::ALL, input, "mode of an operator state")?;
    Ok((name, mode, decode_types(input)?))
}

fn decode_operator(input: &mut Input<'_>) -> Result<OperatorSnapshot, DecodeError> {
    let (name, mode, types) = decode_operator_head(input)?;
    let count = get_count(input, 1, "items of an operator state")?;
    let items = (0..count)
        .map(|_| get_bytes(input, "item of an operator state").map(<[u8]>::to_vec))
        .collect::<Result<_, _>>()?;
    Ok(OperatorSnapshot { name, mode, types, items })
}

fn decode_max_parallelism(input: &mut Input<'_>) -> Result<u32, DecodeError> {
    let max_parallelism = u32::try_from(get_varint(input, "max parallelism")?).unwrap_or(u32::MAX);
    if max_parallelism > key_group::UPPER_BOUND_MAX_PARALLELISM {
        let detail = format!("{max_parallelism} is more than {}", key_group::UPPER_BOUND_MAX_PARALLELISM);
        return Err(DecodeError::Invalid { what: "max parallelism", detail });
    }
    Ok(max_parallelism)
}

fn decode_body(input: &mut Input<'_>) -> Result<SubtaskSnapshot, DecodeError> {
    let max_parallelism = decode_max_parallelism(input)?;
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
