//! Pseudo-random numbers that are a function of a record's number and a field, and of nothing before them:
//! any reader makes the same record, whichever others it makes, and whichever fields are asked for.
//!
//! They are the output function of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
//! Generators"), each field with its own place in the sequence.

/// The step of SplitMix64: 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
const fn finalize(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The numbers of one field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field(u64);

impl Field {
    /// A field of its own under a seed.
    pub(crate) const fn new(seed: u64, field: u64) -> Self {
        Self(finalize(finalize(seed.wrapping_add(STEP)).wrapping_add(field.wrapping_mul(STEP))))
    }

    /// The number for a record.
    #[inline]
    pub(crate) const fn at(self, record: u64) -> u64 {
        finalize(record.wrapping_mul(STEP).wrapping_add(self.0))
    }

    /// As many numbers as are wanted for a record.
    #[inline]
    pub(crate) const fn stream(self, record: u64) -> Stream {
        Stream(self.at(record))
    }
}

/// Numbers one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream(u64);

impl Stream {
    #[inline]
    pub(crate) const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        finalize(self.0)
    }
}

/// A number below `bound`, from the upper half of a random one.
#[inline]
pub(crate) const fn upper_below(random: u64, bound: u32) -> u32 {
    (((random >> 32) * bound as u64) >> 32) as u32
}

/// A number below `bound`, from the lower half of a random one.
#[inline]
#[cfg_attr(not(feature = "nexmark"), allow(dead_code))]
pub(crate) const fn lower_below(random: u64, bound: u32) -> u32 {
    (((random & 0xffff_ffff) * bound as u64) >> 32) as u32
}

/// A number below 1.
#[inline]
#[cfg_attr(not(feature = "datagen"), allow(dead_code))]
pub(crate) fn unit(random: u64) -> f64 {
    const BITS: i32 = 53;
    (random >> (64 - BITS)) as f64 * (1.0 / (1u64 << BITS) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_fields_and_records_have_nothing_in_common() {
        let (one, other) = (Field::new(7, 1), Field::new(7, 2));
        let mut all: Vec<u64> = (0..10_000).flat_map(|n| [one.at(n), other.at(n)]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 20_000);
        let ones: u32 = all.iter().map(|number| number.count_ones()).sum();
        assert!((630_000..650_000).contains(&ones), "{ones} of 1280000 bits");
        assert!((0..1000).all(|n| upper_below(one.at(n), 7) < 7 && lower_below(one.at(n), 7) < 7));
        assert!((0..1000).all(|n| (0.0..1.0).contains(&unit(one.at(n)))));
        assert_eq!(unit(u64::MAX).to_string(), "0.9999999999999999");
    }
}
