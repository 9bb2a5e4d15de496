//! Takes decisions from bytes.

/// Bytes that decide; when they are used up, zeros do.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// Begins with the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = crate::choice(self.0);
        self.0 = rest;
        first
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// Yes for the bytes below 64.
    pub fn rarely(&mut self) -> bool {
        !self.0.is_empty() && self.byte() < 64
    }

    /// The bytes that are left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
