//! Records that are made: by a function of their number, the numbers themselves, or what is at hand in a vector.

pub(crate) mod numbers;

use std::sync::Arc;

use tidemill_core::{Batch, TypedBatch};
use tidemill_runtime::source::{Source, SourceReader, SourceSplit, SplitEnumerator};
use tidemill_runtime::{OperatorContext, OperatorError};
use tidemill_serialization::Data;

use crate::error::ConnectorError;
use crate::generator::numbers::{Deal, NumberEnumerator, NumberReader, Numbered, UNBOUNDED};
use crate::rate::check_rate;

/// Makes each record by a function of its number: 0, 1, 2, …
///
/// A bounded source gives each subtask a range of numbers, as Flink does; an unbounded one deals them out by turns.
/// A source that is restored goes on behind the last number that it had emitted.
///
/// ```
/// use tidemill_connectors::GeneratorSource;
///
/// let squares = GeneratorSource::bounded(1_000_000, |number| number * number).records_per_second(50_000.0)?;
/// # Ok::<(), tidemill_connectors::ConnectorError>(())
/// ```
#[derive(Clone, Debug)]
pub struct GeneratorSource<F> {
    function: F,
    count: u64,
    per_second: Option<f64>,
}

impl<T: Data, F: Fn(u64) -> T + Clone + Send + Sync + 'static> GeneratorSource<F> {
    /// Makes `count` records.
    ///
    /// ```
    /// use tidemill_connectors::GeneratorSource;
    /// use tidemill_runtime::source::Source;
    ///
    /// assert!(GeneratorSource::bounded(100, |number| number * number).is_bounded());
    /// ```
    pub fn bounded(count: u64, function: F) -> Self {
        Self { function, count, per_second: None }
    }

    /// Makes records for ever.
    ///
    /// ```
    /// use tidemill_connectors::GeneratorSource;
    /// use tidemill_runtime::source::Source;
    ///
    /// assert!(!GeneratorSource::unbounded(|number| number % 7).is_bounded());
    /// ```
    pub fn unbounded(function: F) -> Self {
        Self { function, count: UNBOUNDED, per_second: None }
    }

    /// How many records all subtasks together make in a second (default: as many as they can). After a pause, at
    /// most what one second would have given is made up for.
    ///
    /// ```
    /// use tidemill_connectors::GeneratorSource;
    ///
    /// let source = GeneratorSource::unbounded(|number| number);
    /// assert!(source.clone().records_per_second(1000.0).is_ok());
    /// assert!(source.records_per_second(0.0).is_err());
    /// ```
    ///
    /// # Errors
    /// When it is not more than 0.
    pub fn records_per_second(mut self, per_second: f64) -> Result<Self, ConnectorError> {
        self.per_second = Some(check_rate(per_second)?);
        Ok(self)
    }
}

impl<F> GeneratorSource<F> {
    fn deal(&self) -> Deal {
        if self.count == UNBOUNDED { Deal::Turns } else { Deal::Ranges }
    }
}

#[derive(Clone)]
struct ByFunction<F>(F);

impl<T: Data, F: Fn(u64) -> T + Clone + Send + Sync + 'static> Numbered for ByFunction<F> {
    fn make(&mut self, first: u64, step: u64, count: usize) -> Result<Option<Batch>, OperatorError> {
        let function = &self.0;
        let values: Vec<T> = if step == 1 {
            (first..first + count as u64).map(function).collect()
        } else {
            (0..count as u64).map(|index| function(first + index * step)).collect()
        };
        Ok(Some(Batch::new(TypedBatch::from_values(values))))
    }
}

impl<T: Data, F: Fn(u64) -> T + Clone + Send + Sync + 'static> Source for GeneratorSource<F> {
    fn create_enumerator(
        &self,
        parallelism: u32,
        restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        Ok(NumberEnumerator::create(self.deal(), self.count, parallelism, restored))
    }

    fn create_reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        let make = ByFunction(self.function.clone());
        Ok(NumberReader::create(make, self.deal(), self.count, self.per_second, context))
    }

    fn is_bounded(&self) -> bool {
        self.count != UNBOUNDED
    }
}

/// The numbers of a range.
///
/// ```
/// use tidemill_connectors::SequenceSource;
///
/// let hundred = SequenceSource::new(1, 100);
/// assert!(hundred.records_per_second(10.0).is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct SequenceSource {
    from: i64,
    count: u64,
    per_second: Option<f64>,
}

impl SequenceSource {
    /// The numbers from `from` to `to`, both included, as Flink's `fromSequence`; none when `to` is smaller.
    ///
    /// ```
    /// use tidemill_connectors::SequenceSource;
    /// use tidemill_runtime::source::Source;
    ///
    /// assert!(SequenceSource::new(i64::MIN, i64::MAX).is_bounded());
    /// ```
    pub fn new(from: i64, to: i64) -> Self {
        let count = if to < from { 0 } else { from.abs_diff(to).saturating_add(1) };
        // One less than all there are, so that it is not taken for a source without end.
        Self { from, count: count.min(UNBOUNDED - 1), per_second: None }
    }

    /// How many numbers all subtasks together emit in a second (default: as many as they can).
    ///
    /// ```
    /// use tidemill_connectors::SequenceSource;
    ///
    /// assert!(SequenceSource::new(1, 100).records_per_second(-1.0).is_err());
    /// ```
    ///
    /// # Errors
    /// When it is not more than 0.
    pub fn records_per_second(mut self, per_second: f64) -> Result<Self, ConnectorError> {
        self.per_second = Some(check_rate(per_second)?);
        Ok(self)
    }
}

impl Source for SequenceSource {
    fn create_enumerator(
        &self,
        parallelism: u32,
        restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        Ok(NumberEnumerator::create(Deal::Ranges, self.count, parallelism, restored))
    }

    fn create_reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        let from = self.from;
        let make = ByFunction(move |number| from.wrapping_add_unsigned(number));
        Ok(NumberReader::create(make, Deal::Ranges, self.count, self.per_second, context))
    }
}

/// Records that are at hand.
///
/// ```
/// use tidemill_connectors::CollectionSource;
/// use tidemill_runtime::source::Source;
///
/// let airports = CollectionSource::new(["JFK", "LGA"].map(String::from));
/// assert!(airports.is_bounded());
/// ```
#[derive(Clone, Debug)]
pub struct CollectionSource<T> {
    records: Arc<Vec<T>>,
}

impl<T: Data> CollectionSource<T> {
    /// Emits these records; each subtask takes a part of them, in their order.
    pub fn new(records: impl Into<Vec<T>>) -> Self {
        Self { records: Arc::new(records.into()) }
    }
}

impl<T: Data> Numbered for CollectionSource<T> {
    fn make(&mut self, first: u64, _step: u64, count: usize) -> Result<Option<Batch>, OperatorError> {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let some = self.records.get(first..first.saturating_add(count)).unwrap_or_default();
        Ok(Some(Batch::new(TypedBatch::from_values(some.to_vec()))))
    }
}

impl<T: Data> Source for CollectionSource<T> {
    fn create_enumerator(
        &self,
        parallelism: u32,
        restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        Ok(NumberEnumerator::create(Deal::Ranges, self.records.len() as u64, parallelism, restored))
    }

    fn create_reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        Ok(NumberReader::create(self.clone(), Deal::Ranges, self.records.len() as u64, None, context))
    }
}
