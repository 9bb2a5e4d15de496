//! The few byte formats that snapshots are made of. Numbers are little-endian; lengths are LEB128.

use tidemill_core::Timestamp;
use tidemill_serialization::{Data, DecodeError, Input};

use crate::error::StateError;

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn get_varint(input: &mut Input<'_>, what: &'static str) -> Result<u64, DecodeError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let [byte] = input.array::<1>(what)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            if shift == 63 && byte > 1 {
                break;
            }
            return Ok(value);
        }
    }
    Err(DecodeError::Invalid { what, detail: "a length of more than 64 bits".into() })
}

/// A count of things that take at least `least` bytes each, so that a damaged one cannot ask for much memory.
pub(crate) fn get_count(
    input: &mut Input<'_>,
    least: usize,
    what: &'static str,
) -> Result<usize, DecodeError> {
    let count = get_varint(input, what)?;
    let room = input.remaining() / least.max(1);
    match usize::try_from(count) {
        Ok(count) if count <= room => Ok(count),
        _ => Err(DecodeError::Invalid { what, detail: format!("{count} where at most {room} have room") }),
    }
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn get_bytes<'a>(input: &mut Input<'a>, what: &'static str) -> Result<&'a [u8], DecodeError> {
    let length = get_count(input, 1, what)?;
    input.take(length, what)
}

pub(crate) fn get_text(input: &mut Input<'_>, what: &'static str) -> Result<String, DecodeError> {
    let bytes = get_bytes(input, what)?;
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(DecodeError::Invalid { what, detail: error.to_string() }),
    }
}

/// Stands before each entry: key and value may both take no bytes.
const ENTRY: u8 = 1;

/// Starts an entry of a snapshot.
#[inline]
pub(crate) fn put_entry<K: Data, N: Data>(out: &mut Vec<u8>, key: &K, namespace: &N) {
    out.push(ENTRY);
    key.encode(out);
    namespace.encode(out);
}

/// Starts an entry whose key and namespace are encoded already.
pub(crate) fn put_raw_entry(out: &mut Vec<u8>, key_and_namespace: &[u8]) {
    out.push(ENTRY);
    out.extend_from_slice(key_and_namespace);
}

/// Reads what [`put_entry`] wrote.
#[inline]
pub(crate) fn get_entry<K: Data, N: Data>(input: &mut Input<'_>) -> Result<(K, N), DecodeError> {
    match input.array("start of an entry")? {
        [ENTRY] => Ok((K::decode(input)?, N::decode(input)?)),
        [other] => Err(DecodeError::Invalid { what: "start of an entry", detail: format!("it is {other}") }),
    }
}

/// Writes the time at which an entry was last touched, in states that expire.
#[inline]
pub(crate) fn put_stamp(out: &mut Vec<u8>, stamp: Option<Timestamp>) {
    if let Some(stamp) = stamp {
        out.extend_from_slice(&stamp.to_le_bytes());
    }
}

/// Reads what [`put_stamp`] wrote; `now` where nothing was written.
#[inline]
pub(crate) fn get_stamp(
    input: &mut Input<'_>,
    stamped: bool,
    now: Timestamp,
) -> Result<Timestamp, DecodeError> {
    if stamped { Ok(Timestamp::from_le_bytes(input.array("timestamp of an entry")?)) } else { Ok(now) }
}

/// The encoded form of one value.
pub(crate) fn encoded<T: Data>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.logical_bytes());
    value.encode(&mut bytes);
    bytes
}

/// Reads one value that must fill `bytes`.
pub(crate) fn decode_all<T: Data>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut input = Input::new(bytes);
    let value = T::decode(&mut input)?;
    if input.remaining() > 0 {
        let detail = format!("{} bytes are left over", input.remaining());
        return Err(DecodeError::Invalid { what: std::any::type_name::<T>(), detail });
    }
    Ok(value)
}

/// Names the state whose bytes could not be decoded.
pub(crate) fn in_state<T>(name: &str, result: Result<T, DecodeError>) -> Result<T, StateError> {
    result.map_err(|source| StateError::Decode { name: name.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(get_varint(&mut Input::new(&bytes), "v").unwrap(), value);
        }
        assert!(get_varint(&mut Input::new(&[0xff; 10]), "v").is_err());
        assert!(get_varint(&mut Input::new(&[0x80]), "v").is_err());
        assert!(get_count(&mut Input::new(&[5, 0, 0]), 1, "v").is_err());
    }
}
