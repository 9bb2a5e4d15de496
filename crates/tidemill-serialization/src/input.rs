//! Reading encoded bytes back, defensively.

/// Bytes that are still to be decoded.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes the next `count` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        if count > self.rest.len() {
            return Err(DecodeError::Truncated { what, needed: count, left: self.rest.len() });
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    /// Takes the next `N` bytes as an array.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }
}

/// Bytes that are not an encoded value of the type that was to be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DecodeError {
    /// The input ends within a value.
    #[error("the bytes of {what} end too early: {needed} more needed, {left} left")]
    Truncated {
        /// The type or field that was being read.
        what: &'static str,
        /// Bytes wanted.
        needed: usize,
        /// Bytes there.
        left: usize,
    },
    /// A byte or word that no value is encoded as.
    #[error("the bytes are no {what}: {detail}")]
    Invalid {
        /// The type or field that was being read.
        what: &'static str,
        /// What is wrong with them.
        detail: String,
    },
}
