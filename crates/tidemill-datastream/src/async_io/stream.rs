//! The methods of streams that call the outside.

use std::panic::Location;

use tidemill_runtime::BoxError;
use tidemill_runtime::operator::stateful;
use tidemill_serialization::Data;

use crate::async_io::{AsyncFunction, AsyncOptions, Order, RetryStrategy};
use crate::operators::{AsyncWaitOperator, CallBatch, CallEach};
use crate::stream::DataStream;

impl<T: Data> DataStream<T> {
    /// One record from each, by a function that asks the outside. The order of the records stays.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::{AsyncOptions, DataStream};
    ///
    /// async fn name_of(user: u64) -> Result<String, std::io::Error> {
    ///     Ok(format!("user {user}"))
    /// }
    ///
    /// fn names(users: &DataStream<u64>) -> DataStream<String> {
    ///     users.async_map(|user| async move { Ok(name_of(user).await?) }, AsyncOptions::new(Duration::from_secs(5)))
    /// }
    /// ```
    #[track_caller]
    pub fn async_map<U, F, A>(&self, function: F, options: AsyncOptions) -> DataStream<U>
    where
        U: Data,
        F: Fn(T) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<U, BoxError>> + Send + 'static,
    {
        let function = move |record| {
            let answer = function(record);
            async move { answer.await.map(Some) }
        };
        self.wait_for("Async Map", true, function, options, RetryStrategy::none(), Location::caller())
    }

    /// Any number of records from each, by a function that asks the outside. The order of the records stays.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::{AsyncOptions, DataStream};
    ///
    /// # async fn friends_of(user: u64) -> Result<Vec<u64>, std::io::Error> { Ok(vec![user]) }
    /// fn friends(users: &DataStream<u64>) -> DataStream<u64> {
    ///     users.ordered_wait(|user| async move { Ok(friends_of(user).await?) }, AsyncOptions::new(Duration::from_secs(5)))
    /// }
    /// ```
    #[track_caller]
    pub fn ordered_wait<U, F>(&self, function: F, options: AsyncOptions) -> DataStream<U>
    where
        U: Data,
        F: AsyncFunction<T, U>,
    {
        self.wait_for("Ordered Wait", true, function, options, RetryStrategy::none(), Location::caller())
    }

    /// Like [`ordered_wait`](Self::ordered_wait), but what is answered first goes on first. No record passes a watermark.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::{AsyncOptions, DataStream};
    ///
    /// # async fn is_known(user: u64) -> Result<bool, std::io::Error> { Ok(user > 0) }
    /// fn known(users: &DataStream<u64>) -> DataStream<u64> {
    ///     users.unordered_wait(
    ///         |user| async move { Ok(is_known(user).await?.then_some(user)) },
    ///         AsyncOptions::new(Duration::from_secs(5)).with_capacity(500),
    ///     )
    /// }
    /// ```
    #[track_caller]
    pub fn unordered_wait<U, F>(&self, function: F, options: AsyncOptions) -> DataStream<U>
    where
        U: Data,
        F: AsyncFunction<T, U>,
    {
        self.wait_for("Unordered Wait", false, function, options, RetryStrategy::none(), Location::caller())
    }

    /// Like [`ordered_wait`](Self::ordered_wait), with calls that are made again when they fail.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::{AsyncOptions, DataStream, RetryStrategy};
    ///
    /// # async fn price_of(article: u64) -> Result<Option<i64>, std::io::Error> { Ok(Some(article as i64)) }
    /// fn prices(articles: &DataStream<u64>) -> DataStream<i64> {
    ///     articles.ordered_wait_with_retry(
    ///         |article| async move { Ok(price_of(article).await?) },
    ///         AsyncOptions::new(Duration::from_secs(30)),
    ///         RetryStrategy::fixed_delay(3, Duration::from_millis(200)),
    ///     )
    /// }
    /// ```
    #[track_caller]
    pub fn ordered_wait_with_retry<U, F>(
        &self,
        function: F,
        options: AsyncOptions,
        retry: RetryStrategy<F::Results>,
    ) -> DataStream<U>
    where
        U: Data,
        F: AsyncFunction<T, U>,
    {
        self.wait_for("Ordered Wait", true, function, options, retry, Location::caller())
    }

    /// Like [`unordered_wait`](Self::unordered_wait), with calls that are made again when they fail.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::{AsyncOptions, DataStream, RetryStrategy};
    ///
    /// # async fn price_of(article: u64) -> Result<Option<i64>, std::io::Error> { Ok(Some(article as i64)) }
    /// fn prices(articles: &DataStream<u64>) -> DataStream<i64> {
    ///     articles.unordered_wait_with_retry(
    ///         |article| async move { Ok(price_of(article).await?) },
    ///         AsyncOptions::new(Duration::from_secs(30)),
    ///         RetryStrategy::fixed_delay(3, Duration::from_millis(200)).if_result(Option::is_none),
    ///     )
    /// }
    /// ```
    #[track_caller]
    pub fn unordered_wait_with_retry<U, F>(
        &self,
        function: F,
        options: AsyncOptions,
        retry: RetryStrategy<F::Results>,
    ) -> DataStream<U>
    where
        U: Data,
        F: AsyncFunction<T, U>,
    {
        self.wait_for("Unordered Wait", false, function, options, retry, Location::caller())
    }

    /// One record from each, by a function that asks the outside about up to `most` records in one call, and answers for each, in
    /// their order. It gets what is there, without waiting for more. The capacity is in calls.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_datastream::{AsyncOptions, DataStream};
    ///
    /// async fn names_of(users: &[u64]) -> Result<Vec<String>, std::io::Error> {
    ///     Ok(users.iter().map(|user| format!("user {user}")).collect())
    /// }
    ///
    /// fn names(users: &DataStream<u64>) -> DataStream<String> {
    ///     users.async_map_batch(
    ///         500,
    ///         |users| async move { Ok(names_of(&users).await?) },
    ///         AsyncOptions::new(Duration::from_secs(5)).with_capacity(8),
    ///     )
    /// }
    /// ```
    #[track_caller]
    pub fn async_map_batch<U, F, A>(&self, most: usize, function: F, options: AsyncOptions) -> DataStream<U>
    where
        U: Data,
        F: Fn(Vec<T>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<Vec<U>, BoxError>> + Send + 'static,
    {
        let factory = stateful(move || {
            let calls = CallBatch::new(most, function.clone());
            AsyncWaitOperator::new(calls, Order::ordered, options, RetryStrategy::none())
        });
        self.add_operator("Async Map Batch", factory, Location::caller())
    }

    fn wait_for<U, F>(
        &self,
        name: &str,
        ordered: bool,
        function: F,
        options: AsyncOptions,
        retry: RetryStrategy<F::Results>,
        location: &'static Location<'static>,
    ) -> DataStream<U>
    where
        U: Data,
        F: AsyncFunction<T, U>,
    {
        let factory = stateful(move || {
            let order = if ordered { Order::ordered } else { Order::unordered };
            AsyncWaitOperator::new(CallEach::new(function.clone()), order, options, retry.clone())
        });
        self.add_operator(name, factory, location)
    }
}
