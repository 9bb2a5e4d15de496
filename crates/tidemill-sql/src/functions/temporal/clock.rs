//! Functions that tell the time. A query that does not end asks the clock again and again, so none of them is
//! a constant.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_array::types::{Date32Type, Int64Type, Time32MillisecondType};

use super::calendar::{DAY, SECOND};
use super::column::timestamps;
use super::zone::Zone;
use crate::functions::kernel::{Argument, FunctionContext, KernelError, Mismatch, Resolved};
use crate::functions::support::primitives;
use crate::types::TypeRoot;

type Arguments<'a> = &'a [Argument<'a>];

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

fn no_arguments(arguments: Arguments<'_>) -> Result<(), Mismatch> {
    if arguments.is_empty() { Ok(()) } else { Err(Mismatch::new("expects no arguments")) }
}

fn local(zone: Zone) -> i64 {
    let now = now();
    now.saturating_add(zone.offset_at(now))
}

fn too_late<E>(_: E) -> KernelError {
    KernelError("the clock is out of range".to_owned())
}

pub(super) fn current_date(
    context: &FunctionContext,
    arguments: Arguments<'_>,
) -> Result<Resolved, Mismatch> {
    no_arguments(arguments)?;
    let zone = Zone::of_session(context.time_zone);
    Ok(Resolved::new(Vec::new(), TypeRoot::Date.not_null(), move |inputs| {
        let today = i32::try_from(local(zone).div_euclid(DAY)).map_err(too_late)?;
        Ok(Arc::new(primitives::<Date32Type>(inputs, |_| Ok(Some(today)))?))
    }))
}

pub(super) fn current_time(
    context: &FunctionContext,
    arguments: Arguments<'_>,
) -> Result<Resolved, Mismatch> {
    no_arguments(arguments)?;
    let zone = Zone::of_session(context.time_zone);
    Ok(Resolved::new(Vec::new(), TypeRoot::Time(0).not_null(), move |inputs| {
        let time = local(zone).rem_euclid(DAY) / SECOND * SECOND;
        let time = i32::try_from(time).map_err(too_late)?;
        Ok(Arc::new(primitives::<Time32MillisecondType>(inputs, |_| Ok(Some(time)))?))
    }))
}

pub(super) fn local_timestamp(
    context: &FunctionContext,
    arguments: Arguments<'_>,
) -> Result<Resolved, Mismatch> {
    no_arguments(arguments)?;
    let zone = Zone::of_session(context.time_zone);
    let root = TypeRoot::Timestamp(3);
    Ok(Resolved::new(Vec::new(), root.clone().not_null(), move |inputs| {
        let time = local(zone);
        timestamps(inputs, &root, |_| Ok(Some((time, 0))))
    }))
}

pub(super) fn current_timestamp(_: &FunctionContext, arguments: Arguments<'_>) -> Result<Resolved, Mismatch> {
    no_arguments(arguments)?;
    let root = TypeRoot::TimestampLtz(3);
    Ok(Resolved::new(Vec::new(), root.clone().not_null(), move |inputs| {
        let time = now();
        timestamps(inputs, &root, |_| Ok(Some((time, 0))))
    }))
}

/// Seconds since 1970: `UNIX_TIMESTAMP()`.
pub(super) fn unix_timestamp() -> Resolved {
    Resolved::new(Vec::new(), TypeRoot::BigInt.not_null(), |inputs| {
        let seconds = now() / SECOND;
        Ok(Arc::new(primitives::<Int64Type>(inputs, |_| Ok(Some(seconds)))?))
    })
}

#[cfg(test)]
mod tests {
    use super::super::FUNCTIONS;
    use super::now;
    use crate::functions::support::testing::{call, number};

    #[test]
    fn tell_the_time() {
        let before = now();
        let stamp = number(FUNCTIONS, "CURRENT_TIMESTAMP", &[]).unwrap();
        assert!(before <= stamp && stamp <= now());
        for name in ["NOW", "CURRENT_ROW_TIMESTAMP", "LOCALTIMESTAMP"] {
            assert!(number(FUNCTIONS, name, &[]).unwrap() >= before);
        }
        let seconds = number(FUNCTIONS, "UNIX_TIMESTAMP", &[]).unwrap();
        assert!(seconds >= before / 1000);
        let day = number(FUNCTIONS, "CURRENT_DATE", &[]).unwrap();
        assert!((before / 86_400_000..=now() / 86_400_000).contains(&day));
        let time = number(FUNCTIONS, "LOCALTIME", &[]).unwrap();
        assert!((0..86_400_000).contains(&time) && time % 1000 == 0);
        assert!(call(FUNCTIONS, "CURRENT_TIMESTAMP", &[3.into()]).is_err());
    }
}
