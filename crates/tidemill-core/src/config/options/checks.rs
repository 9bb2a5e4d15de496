//! Rules that values of several options follow beyond their type.

use crate::config::{BadValue, MemorySize};

pub(super) fn at_least_one(value: &u32) -> Result<(), BadValue> {
    if *value >= 1 { Ok(()) } else { Err(BadValue::new("must be at least 1")) }
}

pub(super) fn share(value: &f64) -> Result<(), BadValue> {
    if *value > 0.0 && *value <= 1.0 { Ok(()) } else { Err(BadValue::new("must be above 0 and at most 1")) }
}

pub(super) fn max_parallelism(value: &i32) -> Result<(), BadValue> {
    match value {
        -1 | 1..=32768 => Ok(()),
        _ => Err(BadValue::new("must be from 1 to 32768, or -1 to derive it from the parallelism")),
    }
}

pub(super) fn segment_size(value: &MemorySize) -> Result<(), BadValue> {
    let bytes = value.bytes();
    if bytes.is_power_of_two() && (256..=1 << 30).contains(&bytes) {
        Ok(())
    } else {
        Err(BadValue::new("must be a power of two from 256 bytes to 1 gb"))
    }
}
