//! Choices that can be repeated.

use tidemill_core::hash;

/// A seeded generator. When the test that uses it panics, it prints its seed.
///
/// ```
/// use tidemill_testkit::Random;
///
/// let (mut one, mut other) = (Random::seeded(7), Random::seeded(7));
/// assert_eq!(one.below(1000), other.below(1000));
/// ```
#[derive(Clone, Debug)]
pub struct Random {
    seed: u64,
    state: u64,
    /// Whether any choice was made.
    used: bool,
}

impl Random {
    /// The same seed gives the same choices.
    pub fn seeded(seed: u64) -> Self {
        Self { seed, state: hash::uint(seed), used: false }
    }

    /// The seeds that a test tries: `count` fixed ones, or only that of the environment variable `TIDEMILL_SEED`.
    pub fn seeds(count: u64) -> Vec<u64> {
        match std::env::var("TIDEMILL_SEED").ok().map(|seed| seed.parse()) {
            Some(Ok(seed)) => vec![seed],
            Some(Err(error)) => panic!("TIDEMILL_SEED is no number: {error}"),
            None => (1..=count).collect(),
        }
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.used = true;
        self.state = self.state.wrapping_add(1);
        hash::uint(self.state) % bound.max(1)
    }

    /// True once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if self.used && std::thread::panicking() {
            #[allow(clippy::print_stderr, reason = "shown with the output of the test that failed")]
            {
                eprintln!("the random choices came from seed {0}: TIDEMILL_SEED={0} repeats them", self.seed);
            }
        }
    }
}
