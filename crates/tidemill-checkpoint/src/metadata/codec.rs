//! The few byte formats that the metadata is made of. Fixed numbers are little-endian; lengths are LEB128.

pub(super) const MAGIC: &[u8; 4] = b"TMCK";
pub(super) const VERSION: u8 = 1;
/// The bytes of the checksum at the end.
pub(super) const CHECKSUM: usize = 8;

/// What stands before a handle, and before a location.
pub(super) mod tag {
    pub(in crate::metadata) const INLINE: u8 = 0;
    pub(in crate::metadata) const FILE: u8 = 1;
    pub(in crate::metadata) const CHECKPOINT: u8 = 0;
    pub(in crate::metadata) const SHARED: u8 = 1;
    pub(in crate::metadata) const ABSOLUTE: u8 = 2;
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Bytes that are read from the front. An error says what was being read.
pub(super) struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(length)
            .ok_or_else(|| format!("{what}: {length} bytes where {} are left", self.bytes.len()))?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub(super) fn byte(&mut self, what: &str) -> Result<u8, String> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(super) fn varint(&mut self, what: &str) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                if shift == 63 && byte > 1 {
                    break;
                }
                return Ok(value);
            }
        }
        Err(format!("{what}: a number of more than 64 bits"))
    }

    pub(super) fn number(&mut self, what: &str) -> Result<u32, String> {
        let value = self.varint(what)?;
        u32::try_from(value).map_err(|_| format!("{what}: {value} is more than {}", u32::MAX))
    }

    /// A count of things that take at least `least` bytes each, so that a damaged one cannot ask for much memory.
    pub(super) fn count(&mut self, least: usize, what: &str) -> Result<usize, String> {
        let count = self.varint(what)?;
        let room = self.remaining() / least.max(1);
        match usize::try_from(count) {
            Ok(count) if count <= room => Ok(count),
            _ => Err(format!("{what}: {count} where at most {room} have room")),
        }
    }

    pub(super) fn bytes(&mut self, what: &str) -> Result<&'a [u8], String> {
        let length = self.count(1, what)?;
        self.take(length, what)
    }

    pub(super) fn text(&mut self, what: &str) -> Result<String, String> {
        let bytes = self.bytes(what)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| format!("{what}: {error}"))
    }

    pub(super) fn flag(&mut self, what: &str) -> Result<bool, String> {
        match self.byte(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("{what}: {other} is neither yes nor no")),
        }
    }

    pub(super) fn optional<T>(
        &mut self,
        what: &str,
        read: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        if self.flag(what)? { read(self).map(Some) } else { Ok(None) }
    }

    pub(super) fn list<T>(
        &mut self,
        least: usize,
        what: &str,
        mut read: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let count = self.count(least, what)?;
        (0..count).map(|_| read(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(Input::new(&bytes).varint("v").unwrap(), value);
        }
        assert!(Input::new(&[0xff; 10]).varint("v").is_err());
        assert!(Input::new(&[0x80]).varint("v").is_err());
        assert!(Input::new(&[5, 0, 0]).count(1, "v").is_err());
        assert!(Input::new(&[0xff, 0xff, 0xff, 0xff, 0x10]).number("v").is_err());
    }
}
