//! [`Element`]: what a [`TypedBatch`](crate::batch::TypedBatch) needs of its records.

/// A type whose values can be the records of a [`TypedBatch`](crate::TypedBatch).
///
/// Implemented for whatever can be serialized (`tidemill_serialization::Data`); here only what a batch
/// itself needs.
pub trait Element: Clone + Send + Sync + 'static {
    /// The logical bytes of every value, when all values take the same.
    const FIXED_BYTES: Option<usize>;

    /// The logical bytes of this value: about what it takes when encoded.
    fn logical_bytes(&self) -> usize;
}

macro_rules! fixed {
    ($($t:ty => $bytes:expr),* $(,)?) => {$(
        impl Element for $t {
            const FIXED_BYTES: Option<usize> = Some($bytes);
            #[inline(always)]
            fn logical_bytes(&self) -> usize {
                $bytes
            }
        }
    )*};
}
fixed!(() => 0, bool => 1, i8 => 1, u8 => 1, i16 => 2, u16 => 2, i32 => 4, u32 => 4, i64 => 8, u64 => 8,
    i128 => 16, u128 => 16, f32 => 4, f64 => 8, char => 4);

impl Element for String {
    const FIXED_BYTES: Option<usize> = None;
    #[inline]
    fn logical_bytes(&self) -> usize {
        4 + self.len()
    }
}
