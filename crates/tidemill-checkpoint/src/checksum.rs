//! The checksum of stored state, which grows piece by piece: state of any size is checked as it streams.

use tidemill_core::hash;

/// Bytes that are hashed as one. Part of the format of checkpoints: it never changes.
const BLOCK: usize = 64 << 10;

/// The checksum of the bytes that were added so far.
#[derive(Default)]
pub(crate) struct Checksum {
    so_far: u64,
    /// What does not fill a block yet.
    rest: Vec<u8>,
}

impl Checksum {
    pub(crate) fn of(bytes: &[u8]) -> u64 {
        let mut checksum = Self::default();
        checksum.update(bytes);
        checksum.finish()
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        if !self.rest.is_empty() {
            let taken = bytes.len().min(BLOCK - self.rest.len());
            self.rest.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.rest.len() < BLOCK {
                return;
            }
            self.so_far = hash::combine(self.so_far, hash::bytes(&self.rest));
            self.rest.clear();
        }
        let blocks = bytes.chunks_exact(BLOCK);
        self.rest.extend_from_slice(blocks.remainder());
        for block in blocks {
            self.so_far = hash::combine(self.so_far, hash::bytes(block));
        }
    }

    pub(crate) fn finish(&self) -> u64 {
        hash::combine(self.so_far, hash::bytes(&self.rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_make_no_difference(length in 0usize..200_000, cuts in prop::collection::vec(0usize..200_000, 0..6)) {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 31 % 251) as u8).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(length)).collect();
            cuts.sort_unstable();
            let mut checksum = Checksum::default();
            let mut start = 0;
            for cut in cuts.into_iter().chain([length]) {
                checksum.update(&bytes[start..cut]);
                start = cut;
            }
            prop_assert_eq!(checksum.finish(), Checksum::of(&bytes));
        }
    }

    /// What the checkpoints of all releases rest on.
    #[test]
    fn frozen() {
        let bytes: Vec<u8> = (0..BLOCK + 1).map(|i| i as u8).collect();
        assert_eq!(
            [Checksum::of(b""), Checksum::of(b"state"), Checksum::of(&bytes)],
            [0xc90e_54a0_95fc_de3a, 0x205e_25db_a80a_2626, 0xc67a_2ecc_39fc_5412]
        );
    }
}
