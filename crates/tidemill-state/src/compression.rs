//! Compressed snapshots: a mark, then a Snappy frame, whose blocks have checksums of their own.

use std::io::{Read, Write};

use crate::error::StateError;

/// No snapshot begins so that is not compressed.
const MAGIC: &[u8; 4] = b"TMSC";

/// How much larger than its frame something may be: Snappy repeats at most 64 bytes by three.
const MAX_RATIO: u64 = 32;

pub(crate) fn compress(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
    out.extend_from_slice(MAGIC);
    let mut frame = snap::write::FrameEncoder::new(out);
    // A vector takes whatever it is given.
    let written = frame.write_all(bytes);
    match frame.into_inner() {
        Ok(out) if written.is_ok() => out,
        _ => bytes.to_vec(),
    }
}

/// What was compressed; `None` when it was not.
pub(crate) fn expand(bytes: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
    let Some(frame) = bytes.strip_prefix(MAGIC) else { return Ok(None) };
    let most = frame.len() as u64 * MAX_RATIO + 64;
    let mut expanded = Vec::with_capacity(frame.len() * 2);
    let read = snap::read::FrameDecoder::new(frame).take(most + 1).read_to_end(&mut expanded);
    let damaged = |what: String| Err(StateError::Snapshot(what));
    match read {
        Ok(length) if length as u64 > most => damaged("it is larger than compression can make it".to_owned()),
        Ok(_) => Ok(Some(expanded)),
        Err(error) => damaged(format!("it cannot be decompressed: {error}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_is_expanded_and_what_is_damaged_is_found() {
        let bytes: Vec<u8> = (0..200_000u32).map(|number| (number / 100) as u8).collect();
        let compressed = compress(&bytes);
        assert!(compressed.len() < bytes.len() / 4);
        assert_eq!(expand(&compressed).unwrap().unwrap(), bytes);
        assert!(expand(&bytes).unwrap().is_none(), "it was not compressed");
        // A copy from another place of what repeats is no damage.
        for place in (4..compressed.len()).step_by(101) {
            let mut damaged = compressed.clone();
            damaged[place] ^= 1;
            assert!(expand(&damaged).map_or(true, |found| found.unwrap() == bytes), "byte {place}");
        }
        let empty = compress(&[]);
        assert!(expand(&empty).unwrap().is_none());
    }
}
