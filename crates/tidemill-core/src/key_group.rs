//! How a key finds its subtask: routing hash → key group → subtask, by Flink's arithmetic
//! (`KeyGroupRangeAssignment`, Flink 2.3). Only the first step, the hash of the key, is Tidemill's own.

use std::fmt;
use std::ops::RangeInclusive;

/// The unit in which keyed state moves between subtasks when a job is rescaled: `0..max_parallelism`.
///
/// ```
/// use tidemill_core::KeyGroup;
/// use tidemill_core::key_group::UPPER_BOUND_MAX_PARALLELISM;
///
/// assert!(UPPER_BOUND_MAX_PARALLELISM - 1 <= u32::from(KeyGroup::MAX));
/// ```
pub type KeyGroup = u16;

/// The smallest max parallelism that Flink derives by itself.
///
/// ```
/// use tidemill_core::KeyGroupRange;
/// use tidemill_core::key_group::DEFAULT_LOWER_BOUND_MAX_PARALLELISM;
///
/// assert_eq!(KeyGroupRange::all(DEFAULT_LOWER_BOUND_MAX_PARALLELISM).len(), 128);
/// ```
pub const DEFAULT_LOWER_BOUND_MAX_PARALLELISM: u32 = 128;
/// The largest parallelism and max parallelism.
///
/// ```
/// use tidemill_core::KeyGroupRange;
/// use tidemill_core::key_group::UPPER_BOUND_MAX_PARALLELISM;
///
/// assert_eq!(KeyGroupRange::all(UPPER_BOUND_MAX_PARALLELISM).bounds(), Some(0..=32_767));
/// ```
pub const UPPER_BOUND_MAX_PARALLELISM: u32 = 32_768;

/// Flink's `MathUtils.murmurHash` of one 32-bit word: never negative.
///
/// ```
/// use tidemill_core::key_group::murmur;
///
/// assert_eq!(murmur(42), 1_134_849_565);
/// ```
#[inline(always)]
pub const fn murmur(code: u32) -> u32 {
    let mut h = code.wrapping_mul(0xcc9e_2d51);
    h = h.rotate_left(15);
    h = h.wrapping_mul(0x1b87_3593);
    h = h.rotate_left(13);
    h = h.wrapping_mul(5).wrapping_add(0xe654_6b64);
    h ^= 4;
    h ^= h >> 16;
    h = h.wrapping_mul(0x85eb_ca6b);
    h ^= h >> 13;
    h = h.wrapping_mul(0xc2b2_ae35);
    h ^= h >> 16;
    let signed = h as i32;
    if signed >= 0 {
        signed as u32
    } else if signed == i32::MIN {
        0
    } else {
        -signed as u32
    }
}

/// The key group of a routing hash (see [`hash`](crate::hash)); `max_parallelism` is in 1..=32768.
///
/// ```
/// use tidemill_core::hash::RoutingHash;
/// use tidemill_core::key_group::{key_group, subtask_of};
///
/// let group = key_group("JFK".routing_hash(), 128);
/// assert!(group < 128 && subtask_of(group, 4, 128) < 4);
/// ```
#[inline(always)]
pub const fn key_group(routing_hash: u64, max_parallelism: u32) -> KeyGroup {
    (murmur((routing_hash >> 16) as u32) % max_parallelism) as KeyGroup
}

/// The subtask that owns a key group.
///
/// ```
/// use tidemill_core::key_group::subtask_of;
///
/// assert_eq!([0, 42, 43, 127].map(|group| subtask_of(group, 3, 128)), [0, 0, 1, 2]);
/// ```
#[inline(always)]
pub const fn subtask_of(key_group: KeyGroup, parallelism: u32, max_parallelism: u32) -> u32 {
    key_group as u32 * parallelism / max_parallelism
}

/// The max parallelism of an operator that was given none: 1.5 × the parallelism, rounded up to a power of
/// two, within 128..=32768.
///
/// ```
/// use tidemill_core::key_group::default_max_parallelism;
///
/// assert_eq!([1, 85, 86, 1000].map(default_max_parallelism), [128, 128, 256, 2048]);
/// ```
pub const fn default_max_parallelism(parallelism: u32) -> u32 {
    let wanted = (parallelism + parallelism / 2).next_power_of_two();
    if wanted < DEFAULT_LOWER_BOUND_MAX_PARALLELISM {
        DEFAULT_LOWER_BOUND_MAX_PARALLELISM
    } else if wanted > UPPER_BOUND_MAX_PARALLELISM {
        UPPER_BOUND_MAX_PARALLELISM
    } else {
        wanted
    }
}

/// The contiguous, inclusive run of key groups that one subtask owns. Empty when there are more subtasks
/// than key groups can be dealt to.
///
/// ```
/// use tidemill_core::KeyGroupRange;
///
/// let range = KeyGroupRange::of_subtask(1, 3, 128);
/// assert_eq!(range.bounds(), Some(43..=85));
/// assert!(range.contains(85) && !range.contains(86));
/// assert_eq!(range.len(), range.iter().count());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyGroupRange {
    start: u32,
    end: u32,
}

impl KeyGroupRange {
    /// The key groups `start..=end`.
    ///
    /// ```
    /// use tidemill_core::KeyGroupRange;
    ///
    /// assert_eq!(KeyGroupRange::new(43, 85), KeyGroupRange::of_subtask(1, 3, 128));
    /// ```
    pub const fn new(start: KeyGroup, end: KeyGroup) -> Self {
        Self { start: start as u32, end: end as u32 + 1 }
    }

    /// The range of subtask `index` of `parallelism`.
    ///
    /// ```
    /// use tidemill_core::KeyGroupRange;
    ///
    /// let groups: usize = (0..3).map(|subtask| KeyGroupRange::of_subtask(subtask, 3, 128).len()).sum();
    /// assert_eq!(groups, 128);
    /// ```
    pub const fn of_subtask(index: u32, parallelism: u32, max_parallelism: u32) -> Self {
        let start = (index * max_parallelism).div_ceil(parallelism);
        let end = ((index + 1) * max_parallelism).div_ceil(parallelism);
        Self { start, end }
    }

    /// All key groups there are.
    ///
    /// ```
    /// use tidemill_core::KeyGroupRange;
    ///
    /// assert_eq!(KeyGroupRange::all(128), KeyGroupRange::new(0, 127));
    /// ```
    pub const fn all(max_parallelism: u32) -> Self {
        Self { start: 0, end: max_parallelism }
    }

    /// Whether `key_group` is in the range.
    ///
    /// ```
    /// use tidemill_core::KeyGroupRange;
    ///
    /// let range = KeyGroupRange::new(43, 85);
    /// assert!(range.contains(43) && range.contains(85) && !range.contains(86));
    /// ```
    #[inline]
    pub const fn contains(self, key_group: KeyGroup) -> bool {
        self.start <= key_group as u32 && (key_group as u32) < self.end
    }

    /// How many key groups the range has.
    ///
    /// ```
    /// use tidemill_core::KeyGroupRange;
    ///
    /// assert_eq!(KeyGroupRange::new(43, 85).len(), 43);
    /// ```
    pub const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether the range has no key group.
    ///
    /// ```
    /// use tidemill_core::KeyGroupRange;
    ///
    /// assert!(!KeyGroupRange::new(43, 43).is_empty());
    /// assert!(KeyGroupRange::all(0).is_empty());
    /// ```
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The key groups, in order; `None` when there are none.
    ///
    /// ```
    /// use tidemill_core::KeyGroupRange;
    ///
    /// assert_eq!(KeyGroupRange::of_subtask(1, 2, 128).bounds(), Some(64..=127));
    /// ```
    pub fn bounds(self) -> Option<RangeInclusive<KeyGroup>> {
        (!self.is_empty()).then(|| self.start as KeyGroup..=(self.end - 1) as KeyGroup)
    }

    /// The key groups, in order.
    ///
    /// ```
    /// use tidemill_core::KeyGroupRange;
    ///
    /// assert!(KeyGroupRange::new(3, 5).iter().eq([3, 4, 5]));
    /// ```
    pub fn iter(self) -> impl Iterator<Item = KeyGroup> {
        (self.start..self.end).map(|group| group as KeyGroup)
    }
}

impl fmt::Debug for KeyGroupRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bounds() {
            Some(bounds) => write!(f, "{}..={}", bounds.start(), bounds.end()),
            None => f.write_str("empty"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn murmur_as_flink() {
        let cases: [(i32, u32); 6] = [
            (0, 593_689_054),
            (1, 68_075_478),
            (42, 1_134_849_565),
            (-1, 1_982_413_648),
            (i32::MAX, 1_653_689_534),
            (i32::MIN, 1_718_298_732),
        ];
        for (input, expected) in cases {
            assert_eq!(murmur(input as u32), expected, "{input}");
        }
    }

    #[test]
    fn key_groups_of_integers_as_flink() {
        let cases = [(0, 94), (1, 86), (2, 127), (3, 113), (42, 29), (-1, 80), (100, 64), (12_345, 1)];
        for (input, expected) in cases {
            assert_eq!(murmur(input as u32) % 128, expected, "{input}");
        }
    }

    #[test]
    fn derived_max_parallelism_as_flink() {
        let cases = [(1, 128), (85, 128), (86, 256), (171, 256), (200, 512), (500, 1024), (1000, 2048)];
        for (parallelism, expected) in cases {
            assert_eq!(default_max_parallelism(parallelism), expected, "{parallelism}");
        }
        assert_eq!(default_max_parallelism(10_000), 16_384);
        assert_eq!(default_max_parallelism(21_845), 32_768);
        assert_eq!(default_max_parallelism(32_768), 32_768);
    }

    #[test]
    fn ranges_as_flink() {
        let range = |i, p| KeyGroupRange::of_subtask(i, p, 128);
        assert_eq!(
            [range(0, 3), range(1, 3), range(2, 3)].map(|r| format!("{r:?}")),
            ["0..=42", "43..=85", "86..=127"]
        );
        assert_eq!(format!("{:?}", range(4, 10)), "52..=63");
        assert_eq!(format!("{:?}", range(9, 10)), "116..=127");
    }

    proptest! {
        #[test]
        fn every_group_has_one_owner(parallelism in 1u32..300, extra in 0u32..600) {
            let max = parallelism + extra;
            for group in 0..max as KeyGroup {
                let owner = subtask_of(group, parallelism, max);
                for subtask in 0..parallelism {
                    let owns = KeyGroupRange::of_subtask(subtask, parallelism, max).contains(group);
                    prop_assert_eq!(owns, subtask == owner);
                }
            }
        }
    }
}
