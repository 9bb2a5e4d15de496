//! Compressed snapshots: a mark, then a Snappy frame, whose blocks have checksums of their own.

use std::io::{self, Read, Write};

use crate::error::StateError;

/// No snapshot begins so that is not compressed.
const MAGIC: &[u8; 4] = b"TMSC";

/// The length of that mark.
pub(crate) const MARK: usize = MAGIC.len();

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

/// Compresses what `write` writes on its way to `out`.
pub(crate) fn compress_into(
    mut out: &mut dyn Write,
    failed: &dyn Fn(&io::Error) -> StateError,
    write: impl FnOnce(&mut dyn Write) -> Result<(), StateError>,
) -> Result<(), StateError> {
    out.write_all(MAGIC).map_err(|error| failed(&error))?;
    let mut frame = snap::write::FrameEncoder::new(&mut out);
    write(&mut frame)?;
    frame.flush().map_err(|error| failed(&error))
}

/// Whether what begins so was compressed.
pub(crate) fn is_compressed(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

/// What was compressed; `None` when it was not.
pub(crate) fn expand(bytes: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
    let Some(frame) = bytes.strip_prefix(MAGIC) else { return Ok(None) };
    let mut expanded = Vec::with_capacity(frame.len() * 2);
    expand_into(frame, bytes.len() as u64, &mut |piece| {
        expanded.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(Some(expanded))
}

/// Expands a frame of at most so many bytes, which follows the mark, piece by piece. Returns how many bytes it was.
pub(crate) fn expand_into(
    frame: impl Read,
    length: u64,
    put: &mut dyn FnMut(&[u8]) -> Result<(), StateError>,
) -> Result<u64, StateError> {
    let most = length * MAX_RATIO + 64;
    let damaged = |what: String| Err(StateError::Snapshot(what));
    let mut reader = snap::read::FrameDecoder::new(frame);
    let mut piece = vec![0; 64 << 10];
    let mut expanded = 0;
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(expanded),
            Ok(count) => {
                expanded += count as u64;
                if expanded > most {
                    return damaged("it is larger than compression can make it".to_owned());
                }
                put(&piece[..count])?;
            }
            Err(error) => return damaged(format!("it cannot be decompressed: {error}")),
        }
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
