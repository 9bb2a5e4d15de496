//! Lookups: how a connector says which rows of a table have certain keys, while a job runs.
//!
//! A join `FOR SYSTEM_TIME AS OF` processing time asks about the distinct keys of many rows at once. Neither kind of function is
//! called where it would hold up the rows that need no answer: a blocking one runs on a thread of its own, an asynchronous one
//! begins, and hands its answer over when it has it.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use tidemill_runtime::BoxError;

use crate::connector::{Condition, ConnectorOption, TableOptions};

/// A table that is to be looked up.
pub struct LookupRequest<'a> {
    /// The full name of the table.
    pub table: &'a str,
    /// The columns of the rows that are wanted, in this order; its keys are among them.
    pub schema: SchemaRef,
    /// The numbers of the columns in it that are looked up, in the order in which keys have them.
    pub keys: &'a [usize],
    /// The numbers of columns that are metadata, and its keys, which are among those of the connector.
    pub metadata: &'a [(usize, &'a str)],
    /// What the rows fulfil that are read: others may come, they are dropped.
    pub conditions: &'a [Condition],
    /// The options of the table.
    pub options: &'a TableOptions,
}

/// Makes the functions of subtasks and threads.
pub type Make<T> = Arc<dyn Fn() -> Box<T> + Send + Sync>;

/// How a table is looked up: by blocking calls, by asynchronous ones, or by either as the query wants it. Without a wish it is
/// asynchronous where that is possible, as in Flink.
#[derive(Clone)]
pub struct TableLookup {
    pub(crate) blocking: Option<Make<dyn LookupFunction>>,
    pub(crate) asynchronous: Option<Asynchronous>,
}

/// How several calls are under way at a time.
#[derive(Clone)]
pub(crate) enum Asynchronous {
    /// Blocking ones, each on a thread.
    Threads(usize),
    Function(Make<dyn AsyncLookupFunction>),
}

impl TableLookup {
    /// Lookups by a function that blocks: one at a time in each subtask.
    pub fn blocking<F: LookupFunction + 'static>(make: impl Fn() -> F + Send + Sync + 'static) -> Self {
        Self { blocking: Some(Arc::new(move || Box::new(make()))), asynchronous: None }
    }

    /// Lookups by a function that does not block.
    pub fn asynchronous<F: AsyncLookupFunction + 'static>(
        make: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self {
            blocking: None,
            asynchronous: Some(Asynchronous::Function(Arc::new(move || Box::new(make())))),
        }
    }

    /// The same, which may be asynchronous, too: on `threads` threads of each subtask, each with a blocking function of its own.
    #[must_use]
    pub fn or_on_threads(mut self, threads: usize) -> Self {
        self.asynchronous = self.blocking.is_some().then_some(Asynchronous::Threads(threads.max(1)));
        self
    }

    /// The same, which may be asynchronous, too.
    #[must_use]
    pub fn or_asynchronous<F: AsyncLookupFunction + 'static>(
        mut self,
        make: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        self.asynchronous = Some(Asynchronous::Function(Arc::new(move || Box::new(make()))));
        self
    }
}

/// Says which rows have keys, and blocks until it knows. Lives on one thread, which is not that of a task: when a job is
/// cancelled while a call is under way, nobody waits for it.
pub trait LookupFunction: Send {
    /// Prepares for lookups.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn open(&mut self) -> Result<(), BoxError> {
        Ok(())
    }

    /// The rows with one of `keys`, which are distinct and not NULL. Rows with other keys are dropped, so a table that compares
    /// more loosely does no harm.
    ///
    /// # Errors
    /// What the function fails with, fails the job, when it does so again `lookup.max-retries` times.
    fn lookup(&mut self, keys: &RecordBatch) -> Result<RecordBatch, BoxError>;

    /// Lets go of what `open` has taken.
    fn close(&mut self) {}
}

/// Begins to find out which rows have keys. It is called on the thread of a task and must not block it.
pub trait AsyncLookupFunction: Send {
    /// Prepares for lookups.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn open(&mut self) -> Result<(), BoxError> {
        Ok(())
    }

    /// About how many keys one call is at most, when rows with `capacity` keys may be waited for in all.
    fn most_keys(&self, capacity: usize) -> usize {
        capacity
    }

    /// Begins to look for the rows with one of `keys`, as [`LookupFunction::lookup`] does, and hands them to `reply`.
    fn lookup(&mut self, keys: RecordBatch, reply: LookupReply);

    /// Lets go of what `open` has taken, and of calls that are under way: nobody waits for them any more.
    fn close(&mut self) {}
}

type Handler = Box<dyn FnOnce(Result<RecordBatch, BoxError>) + Send>;

/// Takes the answer to a lookup, on any thread. Dropped without one, it says that the lookup has failed.
///
/// ```
/// use tidemill_sql::lookup::LookupReply;
///
/// let (tell, told) = std::sync::mpsc::channel();
/// let reply = LookupReply::new(move |answer| tell.send(answer.is_err()).unwrap());
/// drop(reply);
/// assert_eq!(told.recv(), Ok(true));
/// ```
pub struct LookupReply(Option<Handler>);

impl std::fmt::Debug for LookupReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LookupReply")
    }
}

impl LookupReply {
    /// A reply that goes to `handler`.
    pub fn new(handler: impl FnOnce(Result<RecordBatch, BoxError>) + Send + 'static) -> Self {
        Self(Some(Box::new(handler)))
    }

    /// Answers with rows, or says why there are none.
    pub fn complete(mut self, answer: Result<RecordBatch, BoxError>) {
        if let Some(handler) = self.0.take() {
            handler(answer);
        }
    }
}

impl Drop for LookupReply {
    fn drop(&mut self) {
        if let Some(handler) = self.0.take() {
            handler(Err("the lookup was given up without an answer".into()));
        }
    }
}

const fn option(key: &'static str, description: &'static str) -> ConnectorOption {
    ConnectorOption { key, required: false, description }
}

/// The option that says what is kept of a table that is looked up.
pub const CACHE: ConnectorOption = option(
    "lookup.cache",
    "what is kept of a table that is looked up: NONE, PARTIAL (what was looked up) or FULL (all of it)",
);

/// The options of a cache of what was looked up: for connectors that answer lookups.
pub const PARTIAL_CACHE: [ConnectorOption; 5] = [
    option("lookup.partial-cache.max-rows", "how many keys are kept at most, those used last"),
    option("lookup.partial-cache.expire-after-write", "how long what was looked up is kept"),
    option(
        "lookup.partial-cache.expire-after-access",
        "how long what was looked up is kept after its last use",
    ),
    option("lookup.partial-cache.cache-missing-key", "whether it is kept that a key has no rows (true)"),
    option("lookup.max-retries", "how often a lookup that fails is tried again (3)"),
];

/// The options of a table that is kept whole: for connectors whose tables can be read from end to end.
pub const FULL_CACHE: [ConnectorOption; 5] = [
    option(
        "lookup.full-cache.reload-strategy",
        "when a table that is kept whole is read again: PERIODIC or TIMED (PERIODIC)",
    ),
    option("lookup.full-cache.periodic-reload.interval", "how often; without, it is read once"),
    option(
        "lookup.full-cache.periodic-reload.schedule-mode",
        "FIXED_DELAY counts from the end of the reading, FIXED_RATE from its beginning (FIXED_DELAY)",
    ),
    option(
        "lookup.full-cache.timed-reload.iso-time",
        "the time of day, such as 03:00 or 03:00+01:00; without an offset, UTC",
    ),
    option("lookup.full-cache.timed-reload.interval-in-days", "every how many days (1)"),
];
