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
pub const NULL: u64 = 0x6a09_e667_f3bc_c908;

#[inline(always)]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Hashes an integer; every width is sign-extended to 64 bits first.
#[inline(always)]
pub const fn int(value: i64) -> u64 {
    fold(value as u64 ^ P1, fold(value as u64 ^ SEED, P2) ^ P2)
}

/// Hashes an unsigned integer; values up to `i64::MAX` agree with [`int`].
#[inline(always)]
pub const fn uint(value: u64) -> u64 {
    int(value as i64)
}

/// Hashes a 128-bit integer.
#[inline]
pub const fn int128(value: i128) -> u64 {
    combine(int(value as i64), int((value >> 64) as i64))
}

/// Hashes a boolean.
#[inline]
pub const fn bool(value: bool) -> u64 {
    int(if value { 1 } else { 0 })
}

/// Hashes a floating-point number (an `f32` is widened first): `-0.0` as `0.0`, all NaN alike.
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

/// Adds the hash of a further field to the hash of those before it; the order of fields counts.
#[inline(always)]
pub const fn combine(so_far: u64, next: u64) -> u64 {
    fold(so_far.rotate_left(23) ^ P2, next ^ P1)
}

/// A value that can be a key: hashed by the routing hash above.
///
/// Equal values must have equal hashes.
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
