//! Rules that values of several options follow beyond their type.

use std::time::Duration;

use crate::config::{BadValue, MemorySize};

pub(super) const AT_LEAST_ONE: &str = "expected a whole number from 1 to 2147483647";

pub(super) fn at_least_one(value: &u32) -> Result<(), BadValue> {
    if *value >= 1 { Ok(()) } else { Err(BadValue::new(AT_LEAST_ONE)) }
}

#[allow(clippy::ptr_arg)] // The type of the option's values.
pub(super) fn not_empty(value: &String) -> Result<(), BadValue> {
    if value.trim().is_empty() { Err(BadValue::new("must not be empty")) } else { Ok(()) }
}

pub(super) fn port(value: &u32) -> Result<(), BadValue> {
    if *value <= 65535 { Ok(()) } else { Err(BadValue::new("expected a whole number from 0 to 65535")) }
}

#[allow(clippy::ptr_arg)] // The type of the option's values.
pub(super) fn port_ranges(value: &String) -> Result<(), BadValue> {
    super::port_range_list(value).map(|_| ()).map_err(BadValue::new)
}

pub(super) const MAX_PARALLELISM: &str =
    "expected a whole number from 1 to 32768, or -1 to derive it from the parallelism";

pub(super) fn share(value: &f64) -> Result<(), BadValue> {
    if *value > 0.0 && *value <= 1.0 { Ok(()) } else { Err(BadValue::new("must be above 0 and at most 1")) }
}

pub(super) fn part(value: &f64) -> Result<(), BadValue> {
    if *value >= 0.0 && *value < 1.0 { Ok(()) } else { Err(BadValue::new("must be at least 0 and below 1")) }
}

pub(super) fn open_share(value: &f64) -> Result<(), BadValue> {
    if *value > 0.0 && *value < 1.0 { Ok(()) } else { Err(BadValue::new("must be above 0 and below 1")) }
}

pub(super) fn positive(value: &i64) -> Result<(), BadValue> {
    if *value >= 1 { Ok(()) } else { Err(BadValue::new("must be at least 1")) }
}

pub(super) fn fraction(value: &f64) -> Result<(), BadValue> {
    if (0.0..=1.0).contains(value) { Ok(()) } else { Err(BadValue::new("must be from 0 to 1")) }
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

#[allow(clippy::ptr_arg)] // The type of the option's values.
pub(super) fn restart_strategy(value: &String) -> Result<(), BadValue> {
    match super::restart_strategy_name(value) {
        Some(_) => Ok(()),
        None => Err(BadValue::new("expected one of none, fixed-delay, failure-rate, exponential-delay")),
    }
}

pub(super) fn at_least_one_milli(value: &Duration) -> Result<(), BadValue> {
    if value.as_millis() >= 1 { Ok(()) } else { Err(BadValue::new("must be at least 1 ms")) }
}

pub(super) fn at_least_ten_millis(value: &Duration) -> Result<(), BadValue> {
    if value.as_millis() >= 10 { Ok(()) } else { Err(BadValue::new("must be at least 10 ms")) }
}

pub(super) fn zero_or_at_least_ten_millis(value: &Duration) -> Result<(), BadValue> {
    if value.is_zero() || value.as_millis() >= 10 {
        Ok(())
    } else {
        Err(BadValue::new("must be at least 10 ms, or 0 for no checkpoints during backlog"))
    }
}

pub(super) fn multiplier(value: &f64) -> Result<(), BadValue> {
    if *value >= 1.0 { Ok(()) } else { Err(BadValue::new("must be at least 1")) }
}

pub(super) fn share_or_none(value: &f64) -> Result<(), BadValue> {
    if (0.0..=1.0).contains(value) { Ok(()) } else { Err(BadValue::new("must be from 0 to 1")) }
}
