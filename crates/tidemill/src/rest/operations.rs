//! Requests that take longer than an answer may: each has an id, by which its result can be asked for.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::throwable;

/// How many may be under way.
const MAX_UNDER_WAY: usize = 64;
/// How many results are kept, and how long: as long as by Flink's `rest.async.store-duration`.
const MAX_KEPT: usize = 256;
const KEPT_FOR: Duration = Duration::from_secs(300);

/// What kind of request it is: ids are told apart within each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A savepoint, whether the job ends with it or not.
    Savepoint,
    /// A checkpoint.
    Checkpoint,
    /// Disposing of a savepoint.
    Disposal,
}

/// What came of a request: what Flink calls its operation, without its failure.
pub(super) type Outcome = Result<Value, Failed>;

/// Why a request has failed.
#[derive(Debug)]
pub(super) struct Failed {
    /// A stable code.
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// Whether a request is a new one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begun {
    New,
    /// It was made before, with the same id.
    Known,
    /// There are too many already.
    TooMany,
}

struct Operation {
    finished: Option<Finished>,
}

struct Finished {
    at: Instant,
    /// Behind `status`.
    body: Value,
    /// Whether somebody has asked for it since.
    told: bool,
}

/// All requests of a job.
#[derive(Default)]
pub(super) struct Operations {
    all: Mutex<HashMap<(Kind, u128), Operation>>,
    changed: Condvar,
}

impl Operations {
    fn lock(&self) -> MutexGuard<'_, HashMap<(Kind, u128), Operation>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come.
    pub(super) fn begin(&self, kind: Kind, id: u128) -> Begun {
        let mut all = self.lock();
        forget(&mut all);
        if all.contains_key(&(kind, id)) {
            return Begun::Known;
        }
        if all.values().filter(|operation| operation.finished.is_none()).count() >= MAX_UNDER_WAY {
            return Begun::TooMany;
        }
        all.insert((kind, id), Operation { finished: None });
        Begun::New
    }

    /// A request has its result.
    pub(super) fn finish(&self, kind: Kind, id: u128, outcome: Outcome) {
        let body = outcome.unwrap_or_else(
            |failed| json!({ "failure-cause": throwable::json(failed.code, &failed.message) }),
        );
        if let Some(operation) = self.lock().get_mut(&(kind, id)) {
            operation.finished = Some(Finished { at: Instant::now(), body, told: false });
        }
        self.changed.notify_all();
    }

    /// How it is with a request, in Flink's form; `None` if there is none with this id.
    pub(super) fn ask(&self, kind: Kind, id: u128) -> Option<Value> {
        let mut all = self.lock();
        let operation = all.get_mut(&(kind, id))?;
        let answer = match &mut operation.finished {
            None => json!({ "status": { "id": "IN_PROGRESS" }, "operation": null }),
            Some(finished) => {
                finished.told = true;
                json!({ "status": { "id": "COMPLETED" }, "operation": finished.body })
            }
        };
        self.changed.notify_all();
        Some(answer)
    }

    /// Waits until all results have been asked for that are newer than `limit`, for no longer than that.
    pub(super) fn wait_until_told(&self, limit: Duration, is_urgent: &dyn Fn() -> bool) {
        /// How often is asked whether there is time.
        const STEP: Duration = Duration::from_millis(50);
        let start = Instant::now();
        let mut all = self.lock();
        while start.elapsed() < limit && !is_urgent() {
            let is_waited_for = |operation: &Operation| match &operation.finished {
                None => true,
                Some(finished) => !finished.told && finished.at.elapsed() < limit,
            };
            if !all.values().any(is_waited_for) {
                return;
            }
            all = self.changed.wait_timeout(all, STEP).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn forget(all: &mut HashMap<(Kind, u128), Operation>) {
    let age = |operation: &Operation| operation.finished.as_ref().map(|finished| finished.at.elapsed());
    all.retain(|_, operation| age(operation).is_none_or(|age| age < KEPT_FOR));
    let mut ages: Vec<Duration> = all.values().filter_map(age).collect();
    if ages.len() >= MAX_KEPT {
        ages.sort_unstable();
        if let Some(oldest) = ages.get(MAX_KEPT - 1) {
            all.retain(|_, operation| age(operation).is_none_or(|age| age < *oldest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_done_once_and_tells_its_kind_apart() {
        let operations = Operations::default();
        assert_eq!(operations.begin(Kind::Savepoint, 1), Begun::New);
        assert_eq!(operations.begin(Kind::Savepoint, 1), Begun::Known);
        assert_eq!(operations.begin(Kind::Checkpoint, 1), Begun::New);
        assert_eq!(operations.ask(Kind::Savepoint, 1).unwrap()["status"]["id"], "IN_PROGRESS");
        operations.finish(Kind::Savepoint, 1, Ok(json!({ "location": "file:///a" })));
        let failed = Failed { code: "TM-X", message: "no\nroom".to_owned() };
        operations.finish(Kind::Checkpoint, 1, Err(failed));
        let answer = operations.ask(Kind::Savepoint, 1).unwrap();
        assert_eq!(
            (&answer["status"]["id"], &answer["operation"]["location"]),
            (&json!("COMPLETED"), &json!("file:///a"))
        );
        let cause = &operations.ask(Kind::Checkpoint, 1).unwrap()["operation"]["failure-cause"];
        assert!(cause["stack-trace"].as_str().unwrap().contains("no\nroom"), "{cause}");
        assert_eq!(operations.ask(Kind::Disposal, 1), None);
    }

    #[test]
    fn neither_requests_nor_results_grow_without_bound() {
        let operations = Operations::default();
        for id in 0..MAX_UNDER_WAY as u128 {
            assert_eq!(operations.begin(Kind::Savepoint, id), Begun::New);
        }
        assert_eq!(operations.begin(Kind::Savepoint, 1_000), Begun::TooMany);
        for id in 0..10 * MAX_KEPT as u128 {
            operations.finish(Kind::Savepoint, id, Ok(Value::Null));
            operations.begin(Kind::Savepoint, id + MAX_UNDER_WAY as u128);
        }
        let kept = operations.lock().len();
        assert!(kept <= MAX_KEPT + MAX_UNDER_WAY, "{kept}");
        assert!(operations.ask(Kind::Savepoint, 0).is_none(), "the oldest goes first");
    }

    #[test]
    fn results_wait_for_whoever_asks_but_not_for_long() {
        let operations = Operations::default();
        operations.wait_until_told(Duration::from_secs(3600), &|| false);
        operations.begin(Kind::Savepoint, 1);
        operations.wait_until_told(Duration::from_secs(3600), &|| true);
        let start = Instant::now();
        operations.wait_until_told(Duration::from_millis(20), &|| false);
        assert!(start.elapsed() >= Duration::from_millis(20));
        std::thread::scope(|scope| {
            scope.spawn(|| operations.wait_until_told(Duration::from_secs(3600), &|| false));
            operations.finish(Kind::Savepoint, 1, Ok(Value::Null));
            operations.ask(Kind::Savepoint, 1);
        });
    }
}
