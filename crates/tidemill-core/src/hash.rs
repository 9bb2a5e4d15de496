//! The routing hash: the same value gives the same 64 bits on every platform and in every release.
//!
//! State restored from a checkpoint sits on the subtask that this hash chose when it was written, so the
//! function is frozen: `golden` in the tests below holds its values. It hashes *logical* values: all integer
//! widths of one number agree, `-0.0` equals `0.0`, every NaN equals every other, and NULL has a hash of its own.
//!
//! Hash tables use the low bits and the top seven; key groups use bits 16 to 47 (see
//! [`key_group`](crate::key_group)), so that the keys of one subtask still spread over a table.
//!
//! The mixing step folds a 64 × 64 → 128 bit product as wyhash does (Wang Yi, <https://github.com/wangyi-fudan/wyhash>,
//! public domain); the composition is our own.

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const P1: u64 = 0xa076_1d64_78bd_642f;
const P2: u64 = 0xe703_7ed1_a0b4_28db;

/// The hash of NULL.
///
/// ```
/// use tidemill_core::hash::{NULL, RoutingHash};
///
/// assert_eq!(None::<String>.routing_hash(), NULL);
/// ```
pub const NULL: u64 = 0x6a09_e667_f3bc_c908;

#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Hashes an integer; every width is sign-extended to 64 bits first.
///
/// ```
/// use tidemill_core::hash;
///
/// assert_eq!(hash::int(i64::from(7u8)), hash::int(7));
/// assert_ne!(hash::int(7), hash::int(-7));
/// ```
#[inline(always)]
pub const fn int(value: i64) -> u64 {
    fold(value as u64 ^ P1, fold(value as u64 ^ SEED, P2) ^ P2)
}

/// Hashes an unsigned integer; values up to `i64::MAX` agree with [`int`].
///
/// ```
/// use tidemill_core::hash;
///
/// assert_eq!(hash::uint(7), hash::int(7));
/// ```
#[inline(always)]
pub const fn uint(value: u64) -> u64 {
    int(value as i64)
}

/// Hashes a 128-bit integer; values that fit into 64 bits agree with [`int`].
///
/// ```
/// use tidemill_core::hash;
///
/// assert_eq!(hash::int128(7), hash::int(7));
/// ```
#[inline]
pub const fn int128(value: i128) -> u64 {
    if value == value as i64 as i128 {
        return int(value as i64);
    }
    combine(int(value as i64), int((value >> 64) as i64))
}

/// Hashes a boolean.
///
/// ```
/// use tidemill_core::hash;
///
/// assert_eq!(hash::bool(true), hash::int(1));
/// ```
#[inline]
pub const fn bool(value: bool) -> u64 {
    int(if value { 1 } else { 0 })
}

/// Hashes a floating-point number (an `f32` is widened first): `-0.0` as `0.0`, all NaN alike.
///
/// ```
/// use tidemill_core::hash;
///
/// assert_eq!(hash::float(-0.0), hash::float(0.0));
/// assert_eq!(hash::float(f64::NAN), hash::float(-f64::NAN));
/// ```
#[inline]
pub fn float(value: f64) -> u64 {
    let canonical = if value == 0.0 {
        0.0
    } else if value.is_nan() {
        f64::NAN
    } else {
        value
    };
    // The bits of `f64::NAN` are not promised to be the same everywhere, so they are written out.
    let bits = if canonical.is_nan() { 0x7ff8_0000_0000_0000 } else { canonical.to_bits() };
    fold(bits ^ P2, fold(bits ^ P1, SEED) ^ P1)
}

/// Hashes bytes; a string is hashed by its UTF-8 bytes.
///
/// ```
/// use tidemill_core::hash::{self, RoutingHash};
///
/// assert_eq!(hash::bytes(b"JFK"), "JFK".routing_hash());
/// ```
#[inline]
pub fn bytes(value: &[u8]) -> u64 {
    let mut state = SEED ^ fold(value.len() as u64 ^ P1, P2);
    let mut chunks = value.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        state = fold(state ^ u64::from_le_bytes(word), P1);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        state = fold(state ^ u64::from_le_bytes(word), P1);
    }
    fold(state ^ P2, SEED)
}

/// The hash of bytes that come piece by piece: the one that [`bytes`] gives all of them together.
///
/// ```
/// use tidemill_core::hash::{self, PieceHash};
///
/// let mut hash = PieceHash::of_length(3);
/// hash.update(b"J");
/// hash.update(b"FK");
/// assert_eq!(hash.finish(), hash::bytes(b"JFK"));
/// ```
#[derive(Clone, Debug)]
pub struct PieceHash {
    state: u64,
    /// The bytes that do not fill a word yet.
    word: [u8; 8],
    filled: usize,
}

impl PieceHash {
    /// Of so many bytes, all pieces together.
    pub const fn of_length(length: u64) -> Self {
        Self { state: SEED ^ fold(length ^ P1, P2), word: [0; 8], filled: 0 }
    }

    /// Adds a piece.
    pub fn update(&mut self, mut piece: &[u8]) {
        if self.filled > 0 {
            let taken = piece.len().min(8 - self.filled);
            self.word[self.filled..self.filled + taken].copy_from_slice(&piece[..taken]);
            self.filled += taken;
            piece = &piece[taken..];
            if self.filled < 8 {
                return;
            }
            self.state = fold(self.state ^ u64::from_le_bytes(self.word), P1);
            (self.word, self.filled) = ([0; 8], 0);
        }
        let mut chunks = piece.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.state = fold(self.state ^ u64::from_le_bytes(word), P1);
        }
        let rest = chunks.remainder();
        self.word[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    /// The hash.
    pub const fn finish(&self) -> u64 {
        let state = match self.filled {
            0 => self.state,
            _ => fold(self.state ^ u64::from_le_bytes(self.word), P1),
        };
        fold(state ^ P2, SEED)
    }
}

/// Adds the hash of a further field to the hash of those before it; the order of fields counts.
///
/// ```
/// use tidemill_core::hash;
///
/// let (a, b) = (hash::int(1), hash::int(2));
/// assert_ne!(hash::combine(a, b), hash::combine(b, a));
/// ```
#[inline(always)]
pub const fn combine(so_far: u64, next: u64) -> u64 {
    fold(so_far.rotate_left(23) ^ P2, next ^ P1)
}

/// A value that can be a key: hashed by the routing hash above.
///
/// Equal values must have equal hashes.
///
/// ```
/// use tidemill_core::hash::{self, RoutingHash};
///
/// struct Flight(String, u16);
///
/// impl RoutingHash for Flight {
///     fn routing_hash(&self) -> u64 {
///         hash::combine(self.0.routing_hash(), self.1.routing_hash())
///     }
/// }
///
/// let flight = Flight("UA".to_owned(), 15);
/// assert_eq!(flight.routing_hash(), ("UA".to_owned(), 15u16).routing_hash());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key, for it has no routing hash: derive `RoutingHash` for it",
    label = "no routing hash",
    note = "floating-point numbers are no keys, for NaN does not equal itself; maps are none either"
)]
pub trait RoutingHash {
    /// The routing hash of this value.
    fn routing_hash(&self) -> u64;
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl RoutingHash for $t {
            #[inline(always)]
            fn routing_hash(&self) -> u64 {
                int(*self as i64)
            }
        }
    )*};
}
integers!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

impl RoutingHash for i128 {
    #[inline]
    fn routing_hash(&self) -> u64 {
        int128(*self)
    }
}

impl RoutingHash for u128 {
    #[inline]
    fn routing_hash(&self) -> u64 {
        int128(*self as i128)
    }
}

impl RoutingHash for bool {
    #[inline]
    fn routing_hash(&self) -> u64 {
        bool(*self)
    }
}

impl RoutingHash for char {
    #[inline]
    fn routing_hash(&self) -> u64 {
        int(i64::from(u32::from(*self)))
    }
}

impl RoutingHash for str {
    #[inline]
    fn routing_hash(&self) -> u64 {
        bytes(self.as_bytes())
    }
}

impl RoutingHash for String {
    #[inline]
    fn routing_hash(&self) -> u64 {
        bytes(self.as_bytes())
    }
}

impl RoutingHash for std::sync::Arc<str> {
    #[inline]
    fn routing_hash(&self) -> u64 {
        bytes(self.as_bytes())
    }
}

impl RoutingHash for () {
    #[inline]
    fn routing_hash(&self) -> u64 {
        int(0)
    }
}

impl<T: RoutingHash> RoutingHash for Option<T> {
    #[inline]
    fn routing_hash(&self) -> u64 {
        self.as_ref().map_or(NULL, T::routing_hash)
    }
}

impl<T: RoutingHash + ?Sized> RoutingHash for &T {
    #[inline]
    fn routing_hash(&self) -> u64 {
        (**self).routing_hash()
    }
}

impl<T: RoutingHash + ?Sized> RoutingHash for Box<T> {
    #[inline]
    fn routing_hash(&self) -> u64 {
        T::routing_hash(self)
    }
}

/// The number of elements, then each of them.
impl<T: RoutingHash> RoutingHash for [T] {
    #[inline]
    fn routing_hash(&self) -> u64 {
        self.iter().fold(int(self.len() as i64), |h, item| combine(h, item.routing_hash()))
    }
}

impl<T: RoutingHash> RoutingHash for Vec<T> {
    #[inline]
    fn routing_hash(&self) -> u64 {
        self.as_slice().routing_hash()
    }
}

impl<T: RoutingHash, const N: usize> RoutingHash for [T; N] {
    #[inline]
    fn routing_hash(&self) -> u64 {
        self.as_slice().routing_hash()
    }
}

impl<T: RoutingHash> RoutingHash for std::collections::BTreeSet<T> {
    #[inline]
    fn routing_hash(&self) -> u64 {
        self.iter().fold(int(self.len() as i64), |h, item| combine(h, item.routing_hash()))
    }
}

/// Seconds, then nanoseconds.
impl RoutingHash for std::time::Duration {
    #[inline]
    fn routing_hash(&self) -> u64 {
        combine(uint(self.as_secs()), int(i64::from(self.subsec_nanos())))
    }
}

macro_rules! tuples {
    ($($first:ident $($rest:ident)*;)*) => {$(
        impl<$first: RoutingHash, $($rest: RoutingHash),*> RoutingHash for ($first, $($rest,)*) {
            #[inline]
            #[allow(non_snake_case)]
            fn routing_hash(&self) -> u64 {
                let ($first, $($rest,)*) = self;
                let hash = $first.routing_hash();
                $(let hash = combine(hash, $rest.routing_hash());)*
                hash
            }
        }
    )*};
}
tuples! {
    A; A B; A B C; A B C D; A B C D E; A B C D E F; A B C D E F G; A B C D E F G H;
    A B C D E F G H I; A B C D E F G H I J; A B C D E F G H I J K; A B C D E F G H I J K L;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn logical_equality() {
        assert_eq!(7i8.routing_hash(), 7i64.routing_hash());
        assert_eq!((-7i32).routing_hash(), (-7i64).routing_hash());
        assert_eq!(7u16.routing_hash(), 7i64.routing_hash());
        assert_eq!(float(0.0), float(-0.0));
        assert_eq!(float(f64::NAN), float(-f64::NAN));
        assert_ne!(None::<i64>.routing_hash(), Some(0i64).routing_hash());
        assert_ne!((1i64, 2i64).routing_hash(), (2i64, 1i64).routing_hash());
        assert_ne!("".routing_hash(), "\0".routing_hash());
        assert_eq!("abc".routing_hash(), String::from("abc").routing_hash());
    }

    /// What the checkpoints of all releases rest on. A failure here means that restored state would sit on the
    /// wrong subtask: the function must be mended, never these values.
    #[test]
    fn golden() {
        // Each with its key group for a max parallelism of 128 and of 32,768.
        let cases: Vec<(u64, u64, u16, u16)> = vec![
            (0i64.routing_hash(), 0x8be4_8c6e_a7c3_62dc, 96, 19_936),
            (1i64.routing_hash(), 0x296b_d0fb_053c_cca5, 62, 22_974),
            ((-1i64).routing_hash(), 0x66a0_5465_b40a_36d1, 59, 12_987),
            (2i64.routing_hash(), 0x73c0_0a64_3954_c413, 123, 1_275),
            (42i64.routing_hash(), 0x7ef1_c20d_85d2_7164, 81, 19_153),
            ((-42i8).routing_hash(), 0x5685_c305_a66d_6e27, 115, 28_403),
            (127i8.routing_hash(), 0x35d5_a4f3_bef0_cfec, 111, 30_319),
            (1_000u16.routing_hash(), 0xa9b3_b400_d0c4_129e, 54, 26_166),
            ((1u32 << 31).routing_hash(), 0xd4da_24ab_0f69_17c2, 36, 22_180),
            (i32::MIN.routing_hash(), 0x5187_2906_77dd_be53, 21, 31_381),
            (i64::MAX.routing_hash(), 0x5cb0_0eb2_7cf0_fab5, 99, 12_515),
            (i64::MIN.routing_hash(), 0x16b5_f093_eacc_1034, 126, 9_726),
            (float(0.0), 0x436f_49e0_a973_c325, 57, 26_169),
            (float(-0.0), 0x436f_49e0_a973_c325, 57, 26_169),
            (float(1.0), 0x81e6_b6c4_a1b4_5d9b, 55, 8_503),
            (float(-1.0), 0xb100_1deb_4735_c4a4, 109, 749),
            (float(0.1), 0xddcf_3a32_6107_4e23, 111, 5_103),
            (float(1e300), 0xcabd_84ef_ed46_b1d2, 101, 9_317),
            (float(f64::INFINITY), 0xa256_ecd0_94fc_fc24, 78, 14_158),
            (float(f64::NEG_INFINITY), 0xcd79_64cf_a7b9_abc8, 116, 1_396),
            (float(f64::NAN), 0x1b4c_72cb_c592_fee5, 89, 24_793),
            (float(f64::MIN_POSITIVE), 0x30fb_c8bd_35ea_336c, 105, 19_305),
            ("né".routing_hash(), 0x81c1_a0dc_7c37_9af0, 84, 9_556),
            (None::<i64>.routing_hash(), 0x6a09_e667_f3bc_c908, 38, 9_638),
            (Some(42i64).routing_hash(), 0x7ef1_c20d_85d2_7164, 81, 19_153),
            (false.routing_hash(), 0x8be4_8c6e_a7c3_62dc, 96, 19_936),
            (true.routing_hash(), 0x296b_d0fb_053c_cca5, 62, 22_974),
            (().routing_hash(), 0x8be4_8c6e_a7c3_62dc, 96, 19_936),
            ('x'.routing_hash(), 0xef2d_08b2_9aef_8627, 20, 18_836),
            ((1i64,).routing_hash(), 0x296b_d0fb_053c_cca5, 62, 22_974),
            ((1i64, 2i64).routing_hash(), 0x27ec_2d65_1a00_318f, 7, 3_463),
            (("JFK", "LAX").routing_hash(), 0x770e_7a3b_7804_bf2a, 87, 8_919),
            (("JFK", None::<i64>, true).routing_hash(), 0xac5e_b665_4528_e6f5, 103, 20_583),
            (Vec::<i64>::new().routing_hash(), 0x8be4_8c6e_a7c3_62dc, 96, 19_936),
            (vec![1i64, 2].routing_hash(), 0x3d5c_6810_410f_fada, 70, 582),
            ([1i64, 2].routing_hash(), 0x3d5c_6810_410f_fada, 70, 582),
            (std::time::Duration::new(1, 2).routing_hash(), 0x27ec_2d65_1a00_318f, 7, 3_463),
        ];
        for (i, (hash, expected, of_128, of_32768)) in cases.into_iter().enumerate() {
            assert_eq!(hash, expected, "case {i}");
            assert_eq!(crate::key_group::key_group(hash, 128), of_128, "case {i}");
            assert_eq!(crate::key_group::key_group(hash, 32_768), of_32768, "case {i}");
        }
    }

    /// As `golden`, for the strings `""`, `"a"`, `"ab"` and so on, of 0 to 17 bytes.
    #[test]
    fn golden_strings() {
        let cases: [(u64, u16, u16); 18] = [
            (0xdcad_9688_50a9_6dcd, 68, 5_188),
            (0xfd45_ba30_e0c7_ed44, 65, 19_265),
            (0xfe8f_7abc_1acd_cb7c, 72, 32_584),
            (0xea29_4eb1_d1ac_4c82, 5, 24_453),
            (0xb96e_71f6_979e_18b8, 33, 5_921),
            (0xfd67_1649_9518_a8cd, 91, 5_467),
            (0xddcd_0439_d748_28db, 25, 17_689),
            (0x347e_7018_5a82_2470, 73, 12_361),
            (0xd969_da9d_ce97_7592, 22, 32_534),
            (0x3200_8be2_9e1b_c3df, 66, 27_202),
            (0x1c8b_5c9c_ee62_ac25, 70, 18_886),
            (0x35ec_2c62_09da_4bff, 119, 26_743),
            (0x3c21_db06_491c_b633, 24, 10_776),
            (0x960f_04be_ca20_9a1f, 125, 8_317),
            (0x4b6c_16ca_522b_38a7, 76, 28_620),
            (0xe3d5_aa3c_188e_3687, 75, 25_035),
            (0xbb42_51b6_8807_eb5a, 9, 30_857),
            (0x9dfb_5660_0960_8dd2, 74, 3_146),
        ];
        for (length, (expected, of_128, of_32768)) in cases.into_iter().enumerate() {
            let text = &"abcdefghijklmnopq"[..length];
            let hash = text.routing_hash();
            assert_eq!(hash, expected, "{text:?}");
            assert_eq!(crate::key_group::key_group(hash, 128), of_128, "{text:?}");
            assert_eq!(crate::key_group::key_group(hash, 32_768), of_32768, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(value in prop::collection::vec(any::<u8>(), 0..60), cuts in prop::collection::vec(0..60usize, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(value.len())).collect();
            cuts.sort_unstable();
            let mut hash = PieceHash::of_length(value.len() as u64);
            let mut start = 0;
            for cut in cuts.into_iter().chain([value.len()]) {
                hash.update(&value[start..cut]);
                start = cut;
            }
            prop_assert_eq!(hash.finish(), bytes(&value));
        }
    }

    proptest! {
        #[test]
        fn low_bits_spread(base in any::<i64>()) {
            // 1,024 neighbours over 1,024 places: a good hash leaves about 1/e of the places empty.
            let places: std::collections::HashSet<u64> =
                (0..1024).map(|i| int(base.wrapping_add(i)) & 1023).collect();
            prop_assert!(places.len() > 560, "only {} places of 1024", places.len());
        }
    }
}
