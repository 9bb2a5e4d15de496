//! Local times of moments, for windows that follow the clock of the session.

use chrono_tz::Tz;

use super::zone::{Offsets, Twice, Zone};

/// The clock of a session, or the one of Greenwich.
#[derive(Debug)]
pub(crate) struct LocalClock {
    zone: Option<(Zone, Offsets)>,
}

impl LocalClock {
    /// The clock of `zone`; without one that of Greenwich.
    pub(crate) fn new(zone: Option<Tz>) -> Self {
        let zone = zone.map(Zone::of_session).filter(|zone| *zone != Zone::UTC);
        Self { zone: zone.map(|zone| (zone, Offsets::new(zone))) }
    }

    /// What the clock shows at a moment; both in milliseconds.
    #[inline]
    pub(crate) fn local(&self, moment: i64) -> i64 {
        match &self.zone {
            // The ends of time are no moments of a calendar.
            Some((_, offsets)) if !matches!(moment, i64::MIN | i64::MAX) => offsets.local(moment),
            _ => moment,
        }
    }

    /// The moment at which the clock shows `local`: the later one, when there are two.
    #[inline]
    pub(crate) fn moment(&self, local: i64) -> i64 {
        match &self.zone {
            Some((zone, _)) if !matches!(local, i64::MIN | i64::MAX) => zone.to_moment(local, Twice::Second),
            _ => local,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times() {
        let hour = 3_600_000;
        let greenwich = LocalClock::new(Some(Tz::UTC));
        assert_eq!((greenwich.local(5), greenwich.moment(5)), (5, 5));
        let tokyo = LocalClock::new(Some(Tz::Asia__Tokyo));
        assert_eq!((tokyo.local(0), tokyo.moment(9 * hour)), (9 * hour, 0));
        assert_eq!((tokyo.local(i64::MAX), tokyo.local(i64::MIN)), (i64::MAX, i64::MIN));
        // Clocks in Berlin were set back at 01:00 UTC of 2023-10-29: 02:30 came twice.
        let berlin = LocalClock::new(Some(Tz::Europe__Berlin));
        let set_back = 1_698_541_200_000;
        let twice = set_back + hour + hour / 2;
        assert_eq!(berlin.local(set_back - hour / 2), twice);
        assert_eq!(berlin.moment(twice), set_back + hour / 2);
    }
}
