//! The moments that variances are computed of: the sum of the squared distances from the mean, the mean, and how many values there are.
//!
//! Values are taken in one by one after Welford, so that no digits are lost where they are far from zero and close to each other, as
//! they would be with sums of squares. Of values that are taken out again the arithmetic is Flink's, rounding included.

use super::accumulators::Datum;

/// How many data moments are.
pub(super) const WIDTH: usize = 3;

struct Moments {
    squares: f64,
    mean: f64,
    count: i64,
}

impl Moments {
    fn of(state: &[Datum]) -> Self {
        Self { squares: state[0].float(), mean: state[1].float(), count: state[2].int() }
    }

    fn put(self, state: &mut [Datum]) {
        // Of no values, or fewer than none while a change is on its way, only the number is known.
        let (squares, mean) = if self.count > 0 { (self.squares, self.mean) } else { (0.0, 0.0) };
        state[0] = Datum::Float(squares);
        state[1] = Datum::Float(mean);
        state[2] = Datum::Int(self.count);
    }
}

/// Those of no values.
pub(super) fn clear(state: &mut [Datum]) {
    Moments { squares: 0.0, mean: 0.0, count: 0 }.put(state);
}

/// Takes a value in.
pub(super) fn accumulate(state: &mut [Datum], value: f64) {
    let Moments { squares, mean, count } = Moments::of(state);
    let count = count + 1;
    let before = value - mean;
    let mean = mean + before / count as f64;
    Moments { squares: squares + before * (value - mean), mean, count }.put(state);
}

/// Takes a value out again.
pub(super) fn retract(state: &mut [Datum], value: f64) {
    let Moments { squares, mean, count } = Moments::of(state);
    let count = count - 1;
    let with = value - mean;
    let mean = mean - with / count as f64;
    Moments { squares: squares - (value - mean) * with, mean, count }.put(state);
}

/// Adds the moments of other values, after Chan.
pub(super) fn merge(state: &mut [Datum], other: &[Datum]) {
    let (one, two) = (Moments::of(state), Moments::of(other));
    if one.count <= 0 || two.count <= 0 {
        let count = one.count + two.count;
        let (squares, mean) = if one.count > 0 { (one.squares, one.mean) } else { (two.squares, two.mean) };
        return Moments { squares, mean, count }.put(state);
    }
    let count = one.count + two.count;
    let apart = two.mean - one.mean;
    let part = two.count as f64 / count as f64;
    let mean = one.mean + part * apart;
    let between = one.count as f64 * two.count as f64 / count as f64 * apart * apart;
    Moments { squares: one.squares + two.squares + between, mean, count }.put(state);
}

/// The variance, of a sample or of all; `None` of too few values, and where rounding has left less than nothing of the squares.
pub(super) fn variance(state: &[Datum], sample: bool) -> Option<f64> {
    let Moments { squares, count, .. } = Moments::of(state);
    let divisor = if sample { count - 1 } else { count };
    (divisor > 0 && (squares >= 0.0 || squares.is_nan())).then(|| squares / divisor as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn none() -> Vec<Datum> {
        let mut state = vec![Datum::Null; WIDTH];
        clear(&mut state);
        state
    }

    fn of(values: &[f64]) -> Vec<Datum> {
        let mut state = none();
        values.iter().for_each(|value| accumulate(&mut state, *value));
        state
    }

    fn naive(values: &[f64]) -> f64 {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
    }

    #[test]
    fn values_far_from_zero_keep_their_digits() {
        let state = of(&[1e12 + 1.0, 1e12 + 2.0, 1e12 + 3.0]);
        assert_eq!(variance(&state, true), Some(1.0));
    }

    #[test]
    fn nothing_and_one_value() {
        assert_eq!((variance(&none(), false), variance(&none(), true)), (None, None));
        let one = of(&[7.5]);
        assert_eq!((variance(&one, false), variance(&one, true)), (Some(0.0), None));
        let mut empty = one;
        retract(&mut empty, 7.5);
        assert_eq!(empty, none());
    }

    proptest! {
        #[test]
        fn parts_and_values_taken_out(
            kept in prop::collection::vec(-1000i32..1000, 1..40),
            gone in prop::collection::vec(-1000i32..1000, 0..20),
            at in 0usize..40,
        ) {
            let offset = 1e5;
            let kept: Vec<f64> = kept.into_iter().map(|value| f64::from(value) + offset).collect();
            let gone: Vec<f64> = gone.into_iter().map(|value| f64::from(value) + offset).collect();
            let (left, right) = kept.split_at(at.min(kept.len()));
            let mut state = of(left);
            gone.iter().for_each(|value| accumulate(&mut state, *value));
            merge(&mut state, &of(right));
            gone.iter().for_each(|value| retract(&mut state, *value));
            let found = variance(&state, false).unwrap_or_default();
            let expected = naive(&kept);
            prop_assert!((found - expected).abs() <= 1e-3 + 1e-9 * expected, "{found} instead of {expected}");
        }
    }
}
