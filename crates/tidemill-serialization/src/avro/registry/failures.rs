//! [`Failures`]: what failed a short while ago, and would fail again.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidemill_core::Classified;

use super::cache::Cache;
use crate::avro::AvroError;

/// Remembers so many failures for so long; the oldest make room. Without it each message with an id that nobody knows would be
/// a request to the registry.
pub(super) struct Failures<K> {
    known: Cache<K, (Instant, Arc<AvroError>)>,
    ttl: Duration,
}

impl<K: Hash + Eq + Copy> Failures<K> {
    pub(super) fn new(most: usize, ttl: Duration) -> Self {
        Self { known: Cache::new(most), ttl }
    }

    pub(super) fn get(&self, key: K) -> Option<AvroError> {
        let (at, error) = self.known.get(&key)?;
        (at.elapsed() < self.ttl).then(|| error.copied()).flatten()
    }

    /// Remembers what will not be any better when it is tried again at once.
    pub(super) fn insert(&mut self, key: K, error: &AvroError) {
        if let Some(error) = error.copied().filter(|error| !error.retryable()) {
            self.known.insert(key, (Instant::now(), Arc::new(error)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(1000);

    #[test]
    fn so_many_are_remembered_for_so_long() {
        let error = AvroError::schema("no");
        let mut failures = Failures::new(2, LONG);
        [1, 2, 1, 3].into_iter().for_each(|key| failures.insert(key, &error));
        let known = [1, 2, 3].map(|key| failures.get(key).map(|error| error.to_string()));
        assert_eq!(known, [None, Some(error.to_string()), Some(error.to_string())]);
        let mut failures = Failures::new(2, Duration::ZERO);
        failures.insert(1, &error);
        assert!(failures.get(1).is_none());
    }

    #[test]
    fn what_may_pass_is_not_remembered() {
        let mut failures = Failures::new(2, LONG);
        failures.insert(1, &AvroError::Io(std::io::ErrorKind::TimedOut.into()));
        assert!(failures.get(1).is_none());
        let (what, detail) = ("answer".to_owned(), "nobody there".to_owned());
        let error = crate::avro::registry::RegistryError::Unreachable { what, attempts: 1, detail };
        failures.insert(2, &error.into());
        assert!(failures.get(2).is_none());
    }
}
