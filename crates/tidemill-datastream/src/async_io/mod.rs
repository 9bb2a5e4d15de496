//! Calls to the outside, many at a time: a stream is not held up by the time that a single answer takes.
//!
//! A function makes a future of each record. The futures run on a tokio runtime beside the tasks; their results come back
//! to the task in the order of the records (`ordered_wait`) or as they are there (`unordered_wait`), in which case none
//! passes a watermark. Records that are under way are part of the state of the operator: after a restart they are asked for anew.

mod executor;
mod order;
mod retry;
mod stream;

use std::time::Duration;

use tidemill_runtime::{BoxError, OperatorContext};

pub(crate) use executor::{CallFailure, Completion, Executor, Mailbox, RunningCall};
pub(crate) use order::{Control, Order, Released};
pub use retry::RetryStrategy;

/// Asks the outside about a record.
///
/// A function or closure from a record to a future is one, too; its future answers with anything that can be iterated, such as
/// an `Option` or a `Vec` of records.
///
/// ```
/// use tidemill_datastream::AsyncFunction;
/// use tidemill_runtime::BoxError;
///
/// /// Asks a service for the name of a user; gives the number instead when the service is too slow.
/// #[derive(Clone)]
/// struct Names;
///
/// # async fn ask(user: u64) -> Result<String, std::io::Error> { Ok(user.to_string()) }
/// impl AsyncFunction<u64, String> for Names {
///     type Results = Option<String>;
///
///     fn invoke(&self, user: u64) -> impl Future<Output = Result<Self::Results, BoxError>> + Send + 'static {
///         async move { Ok(Some(ask(user).await?)) }
///     }
///
///     fn timeout(&self, user: u64, _: std::time::Duration) -> Result<Self::Results, BoxError> {
///         Ok(Some(user.to_string()))
///     }
/// }
/// ```
pub trait AsyncFunction<T, U>: Clone + Send + Sync + 'static {
    /// What the outside answers: any number of records.
    type Results: IntoIterator<Item = U> + Send + 'static;

    /// Prepares one subtask.
    ///
    /// # Errors
    /// What the function fails with, fails the job.
    fn open(&mut self, context: &OperatorContext) -> Result<(), BoxError> {
        let _ = context;
        Ok(())
    }

    /// Begins to ask about a record. This is called on the thread of the task and must not block it; what it returns runs
    /// beside it.
    ///
    /// # Errors
    /// What the future fails with, fails the job, unless the call is [tried again](RetryStrategy).
    fn invoke(&self, record: T) -> impl Future<Output = Result<Self::Results, BoxError>> + Send + 'static;

    /// Answers for a record about which the outside has not, retries included, within the time `limit`.
    ///
    /// # Errors
    /// What the function fails with, fails the job; so does the default, always.
    fn timeout(&self, record: T, limit: Duration) -> Result<Self::Results, BoxError> {
        let _ = record;
        Err(timed_out(limit))
    }

    /// Lets go of what `open` has taken.
    fn close(&mut self) {}
}

impl<T, U, O, F, A> AsyncFunction<T, U> for F
where
    F: Fn(T) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<O, BoxError>> + Send + 'static,
    O: IntoIterator<Item = U> + Send + 'static,
{
    type Results = O;

    fn invoke(&self, record: T) -> impl Future<Output = Result<O, BoxError>> + Send + 'static {
        self(record)
    }
}

pub(crate) fn timed_out(limit: Duration) -> BoxError {
    format!(
        "an asynchronous call has not completed within {limit:?}: allow it more time, or handle the timeout"
    )
    .into()
}

/// How long an answer may take, and how many are waited for at a time.
///
/// ```
/// use std::time::Duration;
/// use tidemill_datastream::AsyncOptions;
///
/// let options = AsyncOptions::new(Duration::from_secs(10)).with_capacity(1000);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsyncOptions {
    pub(crate) timeout: Duration,
    pub(crate) capacity: usize,
}

impl AsyncOptions {
    /// How many calls of a subtask are under way at most, if nothing else is said.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::AsyncOptions;
    ///
    /// let twice = AsyncOptions::new(Duration::from_secs(10)).with_capacity(2 * AsyncOptions::DEFAULT_CAPACITY);
    /// assert_ne!(twice, AsyncOptions::new(Duration::from_secs(10)));
    /// ```
    pub const DEFAULT_CAPACITY: usize = 100;

    /// An answer may take up to `timeout`, retries included, rounded to milliseconds; zero means as long as it likes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::AsyncOptions;
    ///
    /// let ten_seconds = AsyncOptions::new(Duration::from_secs(10));
    /// assert_eq!(ten_seconds, ten_seconds.with_capacity(AsyncOptions::DEFAULT_CAPACITY));
    /// ```
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, capacity: Self::DEFAULT_CAPACITY }
    }

    /// Has at most `capacity` calls of each subtask under way (at least 1); while there are as many, no input is taken.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::AsyncOptions;
    ///
    /// let options = AsyncOptions::new(Duration::from_secs(10));
    /// assert_eq!(options.with_capacity(0), options.with_capacity(1));
    /// ```
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity.max(1);
        self
    }
}
