//! The least, the most, the mean and quantiles of a figure.

use std::collections::VecDeque;

/// Collects values. The least, the most and the mean are over all of them, quantiles over the last 10,000.
///
/// ```
/// use tidemill_checkpoint::statistics::Summary;
///
/// let mut summary = Summary::default();
/// assert_eq!(summary.snapshot().p50, None);
/// for value in 1..=4 {
///     summary.add(value);
/// }
/// let snapshot = summary.snapshot();
/// assert_eq!((snapshot.min, snapshot.max, snapshot.avg, snapshot.p50), (1, 4, 2, Some(2.5)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Summary {
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
    last: VecDeque<u64>,
}

/// What was collected up to some moment. All values are 0, and there are no quantiles, if nothing was.
///
/// ```
/// use tidemill_checkpoint::statistics::{Summary, SummarySnapshot};
///
/// assert_eq!(Summary::default().snapshot(), SummarySnapshot::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SummarySnapshot {
    /// How many values there were.
    pub count: u64,
    /// The least.
    pub min: u64,
    /// The most.
    pub max: u64,
    /// The mean, rounded down.
    pub avg: u64,
    /// The median.
    pub p50: Option<f64>,
    /// What nine of ten are not above.
    pub p90: Option<f64>,
    /// What 95 of 100 are not above.
    pub p95: Option<f64>,
    /// What 99 of 100 are not above.
    pub p99: Option<f64>,
    /// What 999 of 1000 are not above.
    pub p999: Option<f64>,
}

impl Summary {
    const WINDOW: usize = 10_000;

    /// Adds a value.
    pub fn add(&mut self, value: u64) {
        self.min = if self.count == 0 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.count += 1;
        self.sum += u128::from(value);
        if self.last.len() == Self::WINDOW {
            self.last.pop_front();
        }
        self.last.push_back(value);
    }

    /// The figures over the values so far. Takes a sort of the last 10,000.
    pub fn snapshot(&self) -> SummarySnapshot {
        let mut sorted: Vec<u64> = self.last.iter().copied().collect();
        sorted.sort_unstable();
        let mean = self.sum.checked_div(u128::from(self.count)).unwrap_or(0);
        SummarySnapshot {
            count: self.count,
            min: self.min,
            max: self.max,
            avg: u64::try_from(mean).unwrap_or(u64::MAX),
            p50: quantile(&sorted, 0.5),
            p90: quantile(&sorted, 0.9),
            p95: quantile(&sorted, 0.95),
            p99: quantile(&sorted, 0.99),
            p999: quantile(&sorted, 0.999),
        }
    }
}

/// As Flink's library estimates it: at the place `p * (n + 1)`, counted from 1, between the two values around it.
fn quantile(sorted: &[u64], p: f64) -> Option<f64> {
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let place = p * (sorted.len() as f64 + 1.0);
    let below = place.floor();
    if below < 1.0 {
        return Some(first as f64);
    }
    let index = below as usize;
    match (sorted.get(index - 1), sorted.get(index)) {
        (Some(lower), Some(upper)) => Some(*lower as f64 + (place - below) * (*upper as f64 - *lower as f64)),
        _ => Some(last as f64),
    }
}
