//! Windows over time.

use std::fmt;

/// A windowing table function over a time attribute. All lengths in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WindowSpec {
    /// The time attribute.
    pub(crate) time: usize,
    /// The windows.
    pub(crate) kind: WindowKind,
    /// Of sessions, the columns that each have sessions of their own.
    pub(crate) partition: Vec<usize>,
    /// Whether the windows follow the clock instead of watermarks.
    pub(crate) processing_time: bool,
    /// Whose clock windows begin and end by, where the time is a moment and not what some clock shows.
    pub(crate) zone: Option<chrono_tz::Tz>,
}

/// Which windows a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WindowKind {
    /// One of `size`.
    Tumble { size: i64, offset: i64 },
    /// All of `size` that begin every `slide` and hold the row.
    Hop { size: i64, slide: i64, offset: i64 },
    /// All that begin with the one of `size` and end a multiple of `step` later, behind the row.
    Cumulate { size: i64, step: i64, offset: i64 },
    /// From the first row until there is none for `gap`.
    Session { gap: i64 },
}

impl WindowKind {
    /// The length of the slices that all windows are made of; none for sessions.
    pub(crate) fn slice(&self) -> Option<i64> {
        match *self {
            WindowKind::Tumble { size, .. } => Some(size),
            WindowKind::Hop { size, slide, .. } => Some(gcd(size, slide)),
            WindowKind::Cumulate { step, .. } => Some(step),
            WindowKind::Session { .. } => None,
        }
    }

    /// By how much windows begin later than the epoch.
    pub(crate) fn offset(&self) -> i64 {
        match *self {
            WindowKind::Tumble { offset, .. }
            | WindowKind::Hop { offset, .. }
            | WindowKind::Cumulate { offset, .. } => offset,
            WindowKind::Session { .. } => 0,
        }
    }

    /// The end of the slice that holds `time`.
    pub(crate) fn slice_end(&self, time: i64) -> i64 {
        let slice = self.slice().unwrap_or(1);
        start(time, self.offset(), slice).saturating_add(slice)
    }

    /// Calls `f` with the end of every window that the slice ending at `slice_end` belongs to, earliest first.
    pub(crate) fn windows_of_slice(&self, slice_end: i64, mut f: impl FnMut(i64)) {
        match *self {
            WindowKind::Tumble { .. } | WindowKind::Session { .. } => f(slice_end),
            WindowKind::Hop { size, slide, offset } => {
                let slice = gcd(size, slide);
                // The first window end at or behind the slice's end.
                let mut end = start(slice_end.saturating_sub(1), offset.saturating_add(size), slide)
                    .saturating_add(slide);
                let last = slice_end.saturating_sub(slice).saturating_add(size);
                while end <= last {
                    f(end);
                    end = end.saturating_add(slide);
                }
            }
            WindowKind::Cumulate { size, step, offset } => {
                let last = start(slice_end.saturating_sub(1), offset, size).saturating_add(size);
                let mut end = slice_end;
                while end <= last {
                    f(end);
                    end = end.saturating_add(step);
                }
            }
        }
    }

    /// Calls `f` with the ends of all slices of the window that ends at `end`.
    pub(crate) fn slices_of_window(&self, end: i64, mut f: impl FnMut(i64)) {
        let slice = self.slice().unwrap_or(1);
        let mut slice_end = self.window_start(end).saturating_add(slice);
        while slice_end <= end {
            f(slice_end);
            slice_end = slice_end.saturating_add(slice);
        }
    }

    /// When the last window that the slice belongs to ends.
    pub(crate) fn last_window(&self, slice_end: i64) -> i64 {
        let mut last = slice_end;
        self.windows_of_slice(slice_end, |end| last = end);
        last
    }

    /// When the window that ends at `end` begins.
    pub(crate) fn window_start(&self, end: i64) -> i64 {
        match *self {
            WindowKind::Tumble { size, .. } | WindowKind::Hop { size, .. } => end.saturating_sub(size),
            WindowKind::Cumulate { size, offset, .. } => start(end.saturating_sub(1), offset, size),
            WindowKind::Session { .. } => end,
        }
    }
}

/// When the window of `size` that holds `time` begins.
pub(crate) fn start(time: i64, offset: i64, size: i64) -> i64 {
    let into = time.wrapping_sub(offset).rem_euclid(size);
    time.saturating_sub(into)
}

fn gcd(one: i64, two: i64) -> i64 {
    if two == 0 { one } else { gcd(two, one % two) }
}

/// A length as Flink's plans show it.
struct Length(i64);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, millis) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)] {
            if self.0 != 0 && self.0 % millis == 0 {
                return write!(f, "{} {unit}", self.0 / millis);
            }
        }
        write!(f, "{} ms", self.0)
    }
}

impl fmt::Display for WindowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            WindowKind::Tumble { size, .. } => write!(f, "TUMBLE(size=[{}]", Length(size))?,
            WindowKind::Hop { size, slide, .. } => {
                write!(f, "HOP(size=[{}], slide=[{}]", Length(size), Length(slide))?;
            }
            WindowKind::Cumulate { size, step, .. } => {
                write!(f, "CUMULATE(max_size=[{}], step=[{}]", Length(size), Length(step))?;
            }
            WindowKind::Session { gap } => write!(f, "SESSION(gap=[{}]", Length(gap))?,
        }
        match self.offset() {
            0 => f.write_str(")"),
            offset => write!(f, ", offset=[{}])", Length(offset)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(kind: WindowKind, time: i64) -> Vec<(i64, i64)> {
        let mut found = Vec::new();
        kind.windows_of_slice(kind.slice_end(time), |end| found.push((kind.window_start(end), end)));
        found
    }

    #[test]
    fn a_row_is_in_the_windows_that_hold_it() {
        assert_eq!(windows(WindowKind::Tumble { size: 10, offset: 0 }, 19), [(10, 20)]);
        assert_eq!(windows(WindowKind::Tumble { size: 10, offset: 3 }, 2), [(-7, 3)]);
        assert_eq!(
            windows(WindowKind::Hop { size: 10, slide: 4, offset: 0 }, 9),
            [(0, 10), (4, 14), (8, 18)]
        );
        assert_eq!(windows(WindowKind::Cumulate { size: 10, step: 5, offset: 0 }, 3), [(0, 5), (0, 10)]);
        assert_eq!(windows(WindowKind::Cumulate { size: 10, step: 5, offset: 0 }, 7), [(0, 10)]);
    }

    #[test]
    fn hops_are_those_that_begin_at_multiples_of_the_slide() {
        for (size, slide, offset) in [(10, 2, 0), (10, 5, 1), (12, 4, -3), (6, 6, 0)] {
            let kind = WindowKind::Hop { size, slide, offset };
            for time in -50..50 {
                let expected: Vec<(i64, i64)> = (-100..100)
                    .map(|n| n * slide + offset)
                    .filter(|begin| *begin <= time && time < begin + size)
                    .map(|begin| (begin, begin + size))
                    .collect();
                assert_eq!(windows(kind, time), expected, "{kind} {time}");
            }
        }
    }

    #[test]
    fn slices_of_a_window_are_those_that_belong_to_it() {
        for kind in [
            WindowKind::Tumble { size: 10, offset: 2 },
            WindowKind::Hop { size: 12, slide: 8, offset: 1 },
            WindowKind::Cumulate { size: 12, step: 3, offset: 0 },
        ] {
            let slice = kind.slice().unwrap();
            for time in (-60..60).step_by(1) {
                let slice_end = kind.slice_end(time);
                kind.windows_of_slice(slice_end, |end| {
                    let mut slices = Vec::new();
                    kind.slices_of_window(end, |slice| slices.push(slice));
                    assert!(slices.contains(&slice_end), "{kind}: {slice_end} in {end}: {slices:?}");
                    assert_eq!(slices.len() as i64 * slice, end - kind.window_start(end));
                });
            }
        }
    }
}
