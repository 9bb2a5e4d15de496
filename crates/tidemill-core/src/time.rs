//! Event time: timestamps and watermarks.

use std::fmt;

/// An instant in milliseconds since 1970-01-01T00:00:00Z.
///
/// ```
/// use tidemill_core::Timestamp;
/// use tidemill_core::time::format_timestamp;
///
/// let billion: Timestamp = 1_000_000_000_000;
/// assert_eq!(format_timestamp(billion), "2001-09-09T01:46:40.000Z");
/// ```
pub type Timestamp = i64;

/// What a record carries that was never given a timestamp.
///
/// ```
/// use tidemill_core::TypedBatch;
/// use tidemill_core::time::NO_TIMESTAMP;
///
/// assert_eq!(TypedBatch::from_values(vec!['a']).timestamp(0), NO_TIMESTAMP);
/// ```
pub const NO_TIMESTAMP: Timestamp = Timestamp::MIN;

/// A promise that no further record with a timestamp at or before it follows.
///
/// A stream starts at [`Watermark::MIN`] and, when its input is bounded, ends with [`Watermark::MAX`].
///
/// ```
/// use tidemill_core::Watermark;
///
/// assert!(Watermark::MIN < Watermark(0) && Watermark(0) < Watermark::MAX);
/// assert_eq!(Watermark(0).to_string(), "1970-01-01T00:00:00.000Z");
/// assert_eq!(Watermark::MAX.to_string(), "end");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watermark(pub Timestamp);

impl Watermark {
    /// The watermark before any was seen.
    ///
    /// ```
    /// use tidemill_core::Watermark;
    ///
    /// assert_eq!(Watermark::MIN.to_string(), "none");
    /// ```
    pub const MIN: Watermark = Watermark(Timestamp::MIN);
    /// The watermark after the last record of a bounded input.
    ///
    /// ```
    /// use tidemill_core::Watermark;
    ///
    /// assert_eq!(Watermark::MAX.to_string(), "end");
    /// ```
    pub const MAX: Watermark = Watermark(Timestamp::MAX);
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Watermark::MIN => f.write_str("none"),
            Watermark::MAX => f.write_str("end"),
            Watermark(ms) => f.write_str(&format_timestamp(ms)),
        }
    }
}

/// Formats a timestamp as `2013-01-31T14:05:00.000Z` (proleptic Gregorian calendar, UTC).
///
/// Timestamps outside of the years -9999 to 9999 are shown as a number of milliseconds.
///
/// ```
/// use tidemill_core::time::format_timestamp;
///
/// assert_eq!(format_timestamp(1_357_034_400_000), "2013-01-01T10:00:00.000Z");
/// ```
pub fn format_timestamp(ms: Timestamp) -> String {
    let days = ms.div_euclid(86_400_000);
    let in_day = ms.rem_euclid(86_400_000);
    let (year, month, day) = civil_from_days(days);
    if !(-9999..=9999).contains(&year) {
        return format!("{ms} ms");
    }
    let (h, m, s, milli) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{milli:03}Z")
}

/// Days since 1970-01-01 to (year, month, day). Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`.
///
/// ```
/// use tidemill_core::time::civil_from_days;
///
/// assert_eq!(civil_from_days(15_706), (2013, 1, 1));
/// ```
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days.saturating_add(719_468);
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// (year, month, day) to days since 1970-01-01; the inverse of [`civil_from_days`].
///
/// ```
/// use tidemill_core::time::{civil_from_days, days_from_civil};
///
/// assert_eq!(days_from_civil(2000, 2, 29), 11_016);
/// assert_eq!(civil_from_days(11_016), (2000, 2, 29));
/// ```
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = (i64::from(month) + 9) % 12;
    let doy = (153 * mp + 2) / 5 + i64::from(day) - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_inverts() {
        assert_eq!(format_timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(format_timestamp(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(format_timestamp(1_357_034_400_000), "2013-01-01T10:00:00.000Z");
        assert_eq!(format_timestamp(i64::MAX), format!("{} ms", i64::MAX));
        for days in (-800_000..800_000).step_by(37) {
            let (y, m, d) = civil_from_days(days);
            assert_eq!(days_from_civil(y, m, d), days);
        }
    }
}
