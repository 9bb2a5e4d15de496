//! What the options of a table say of how it is looked up: `lookup.*`.

use std::time::Duration;

use crate::connector::TableOptions;
use crate::error::{SqlError, SqlResult};
use crate::exec::lookup_cache::CacheSettings;
use crate::exec::lookup_reload::{Reload, time_of_day};

const PARTIAL: &str = "lookup.partial-cache.";
const FULL: &str = "lookup.full-cache.";
const INTERVAL: &str = "lookup.full-cache.periodic-reload.interval";
const MODE: &str = "lookup.full-cache.periodic-reload.schedule-mode";
const STRATEGY: &str = "lookup.full-cache.reload-strategy";
const TIME: &str = "lookup.full-cache.timed-reload.iso-time";
const DAYS: &str = "lookup.full-cache.timed-reload.interval-in-days";
const RETRIES: &str = "lookup.max-retries";

/// `lookup.cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CacheKind {
    None,
    Partial,
    Full,
}

/// What a table says of its cache; `None` when it says nothing. Options of another kind of cache are refused.
pub(super) fn cache_kind(options: &TableOptions) -> SqlResult<Option<CacheKind>> {
    const KEY: &str = "lookup.cache";
    let kind = match options.get(KEY).map(str::to_uppercase).as_deref() {
        None => None,
        Some("NONE") => Some(CacheKind::None),
        Some("PARTIAL") => Some(CacheKind::Partial),
        Some("FULL") => Some(CacheKind::Full),
        Some(_) => return Err(options.wrong(KEY, "it is NONE, PARTIAL or FULL")),
    };
    let idle = [(PARTIAL, CacheKind::Partial, "PARTIAL"), (FULL, CacheKind::Full, "FULL")];
    for (prefix, of, name) in idle {
        if kind.is_some_and(|kind| kind != of)
            && let Some(key) = options.keys().find(|key| key.starts_with(prefix))
        {
            return Err(options.wrong(key, &format!("it is about another cache: set '{KEY}' = '{name}'")));
        }
    }
    Ok(kind)
}

/// What a partial cache keeps.
pub(super) fn partial_cache(options: &TableOptions) -> SqlResult<CacheSettings> {
    const ROWS: &str = "lookup.partial-cache.max-rows";
    const MISSING: &str = "lookup.partial-cache.cache-missing-key";
    let positive = |key: &str| -> SqlResult<Option<Duration>> {
        match options.duration(key)? {
            Some(duration) if duration.is_zero() => Err(options.wrong(key, "more than 0 is expected")),
            duration => Ok(duration),
        }
    };
    let settings = CacheSettings {
        most: options.parsed::<usize>(ROWS, "a number of rows")?,
        after_write: positive("lookup.partial-cache.expire-after-write")?,
        after_access: positive("lookup.partial-cache.expire-after-access")?,
        missing: flag(options, MISSING)?.unwrap_or(true),
    };
    if settings.most.is_none() && settings.after_write.is_none() && settings.after_access.is_none() {
        return Err(SqlError::option("a cache with 'lookup.cache' = 'PARTIAL' would grow without bounds").hint(
            format!("set '{ROWS}', 'lookup.partial-cache.expire-after-write' or 'lookup.partial-cache.expire-after-access'"),
        ));
    }
    Ok(settings)
}

/// How often a lookup that fails is made again.
pub(super) fn max_retries(options: &TableOptions) -> SqlResult<u32> {
    Ok(options.parsed(RETRIES, "a number of retries")?.unwrap_or(3))
}

/// When a table that is kept whole is read again; `None` is never.
pub(super) fn reload(options: &TableOptions) -> SqlResult<Option<Reload>> {
    let is_timed = match options.get(STRATEGY).map(str::to_uppercase).as_deref() {
        None | Some("PERIODIC") => false,
        Some("TIMED") => true,
        Some(_) => return Err(options.wrong(STRATEGY, "it is PERIODIC or TIMED")),
    };
    let (others, other) = if is_timed { ([INTERVAL, MODE], "PERIODIC") } else { ([TIME, DAYS], "TIMED") };
    if let Some(key) = others.into_iter().find(|key| options.get(key).is_some()) {
        return Err(
            options.wrong(key, &format!("it is about another strategy: set '{STRATEGY}' = '{other}'"))
        );
    }
    if is_timed {
        let text = options.required(TIME)?;
        let wrong = || options.wrong(TIME, "a time of day is expected, such as 03:00 or 03:00+01:00");
        let (time, offset) = time_of_day(text).ok_or_else(wrong)?;
        let days = options.parsed::<u32>(DAYS, "a number of days")?.unwrap_or(1);
        if days == 0 {
            return Err(options.wrong(DAYS, "at least 1 is expected"));
        }
        return Ok(Some(Reload::Timed { time, offset, days }));
    }
    let from_beginning = match options.get(MODE).map(str::to_uppercase).as_deref() {
        None | Some("FIXED_DELAY") => false,
        Some("FIXED_RATE") => true,
        Some(_) => return Err(options.wrong(MODE, "it is FIXED_DELAY or FIXED_RATE")),
    };
    match options.duration(INTERVAL)? {
        Some(interval) if interval.is_zero() => Err(options.wrong(INTERVAL, "more than 0 is expected")),
        Some(interval) => Ok(Some(Reload::Periodic { interval, from_beginning })),
        None if options.get(STRATEGY).is_some() || options.get(MODE).is_some() => {
            options.required(INTERVAL).map(|_| None)
        }
        None => Ok(None),
    }
}

fn flag(options: &TableOptions, key: &str) -> SqlResult<Option<bool>> {
    match options.get(key).map(str::to_lowercase).as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(options.wrong(key, "true or false is expected")),
    }
}
