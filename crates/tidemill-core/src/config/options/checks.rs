//! Rules that values of several options follow beyond their type.

use crate::config::{BadValue, MemorySize};

pub(super) const AT_LEAST_ONE: &str = "expected a whole number from 1 to 2147483647";

pub(super) fn at_least_one(value: &u32) -> Result<(), BadValue> {
    if *value >= 1 { Ok(()) } else { Err(BadValue::new(AT_LEAST_ONE)) }
}

#[allow(clippy::ptr_arg)] // The type of the option's values.
pub(super) fn not_empty(value: &String) -> Result<(), BadValue> {
    if value.trim().is_empty() { Err(BadValue::new("must not be empty")) } else { Ok(()) }
}

pub(super) const MAX_PARALLELISM: &str =
    "expected a whole number from 1 to 32768, or -1 to derive it from the parallelism";

pub(super) fn share(value: &f64) -> Result<(), BadValue> {
    if *value > 0.0 && *value <= 1.0 { Ok(()) } else { Err(BadValue::new("must be above 0 and at most 1")) }
}

pub(super) fn open_share(value: &f64) -> Result<(), BadValue> {
    if *value > 0.0 && *value < 1.0 { Ok(()) } else { Err(BadValue::new("must be above 0 and below 1")) }
}

pub(super) fn max_parallelism(value: &i32) -> Result<(), BadValue> {
    match value {
        -1 | 1..=32768 => Ok(()),
        _ => Err(BadValue::new(MAX_PARALLELISM)),
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
