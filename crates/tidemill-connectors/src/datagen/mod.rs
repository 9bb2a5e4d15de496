//! Rows of random values and of sequences, for trying queries out: Flink's connector `datagen`.

mod options;
mod values;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use tidemill_core::{ArrowBatch, Batch};
use tidemill_runtime::source::{Source, SourceReader, SourceSplit, SplitEnumerator};
use tidemill_runtime::{OperatorContext, OperatorError};

pub use options::DataGenField;

use crate::datagen::values::{Column, Made};
use crate::error::ConnectorError;
use crate::generator::numbers::{Deal, NumberEnumerator, NumberReader, Numbered, UNBOUNDED};
use crate::rate::check_rate;

/// How many rows a second there are when nothing else is said, as in Flink.
///
/// ```
/// assert_eq!(tidemill_connectors::DEFAULT_ROWS_PER_SECOND, 10_000.0);
/// ```
pub const DEFAULT_ROWS_PER_SECOND: f64 = 10_000.0;

/// Makes rows: each column has random values, or a sequence.
///
/// Rows are numbered, readers take them by turns, and a row is a function of its number and the seed: with a
/// seed, it is the same in every run, at every parallelism, and behind every restore. Without one, each
/// source has other values. A source ends with the shortest of its sequences, or after
/// [`number_of_rows`](Self::number_of_rows).
///
/// | type | random values |
/// |---|---|
/// | integers, intervals | from `min` to `max`, both included (all that the type has) |
/// | floating-point numbers, decimals | the same (all that are not negative, as in Flink) |
/// | strings | `length` hexadecimal digits (100), or up to so many with `var_len` |
/// | binaries | as many bytes |
/// | timestamps | the time at which the row is made, or up to `max_past` before it |
/// | dates, times | those at which the row is made |
/// | rows | of their fields, whose options have the path `row.field` |
/// | arrays | `length` elements (3), whose options have the path `array.element` |
///
/// With a seed, rows are taken to be made from 2026-01-01 00:00:00 on at their rate, so that times repeat,
/// too.
///
/// ```
/// use std::sync::Arc;
/// use arrow_schema::{DataType, Field, Schema};
/// use tidemill_connectors::{DataGenField, DataGenSource};
///
/// let schema = Arc::new(Schema::new(vec![
///     Field::new("id", DataType::Int64, true),
///     Field::new("price", DataType::Decimal128(10, 2), true),
/// ]));
/// let fields = [
///     ("id", DataGenField::sequence(1, 1_000)),
///     ("price", DataGenField::random().min("0.50").max(99).null_rate(0.1)),
/// ];
/// let orders = DataGenSource::new(schema, fields)?.seed(7).unlimited();
/// assert_eq!(orders.rows(0, 10)?.num_rows(), 10);
/// # Ok::<(), tidemill_connectors::ConnectorError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DataGenSource {
    schema: SchemaRef,
    columns: Arc<[Column]>,
    /// The length of the shortest sequence.
    sequence: u64,
    count: u64,
    per_second: Option<f64>,
    seed: Seed,
}

#[derive(Clone, Copy, Debug)]
enum Seed {
    Given(u64),
    Random(u64),
}

/// 2026-01-01T00:00:00Z in milliseconds.
const SEEDED_TIME: i64 = 1_767_225_600_000;

impl DataGenSource {
    /// Makes rows with the columns of `schema`, [`DEFAULT_ROWS_PER_SECOND`] of them, for ever unless a column
    /// is a sequence. `fields` says what is in the columns, by their names, and in what is inside of them, by
    /// their paths; what is not named is random.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_schema::{DataType, Field, Schema};
    /// use tidemill_connectors::{DataGenField, DataGenSource};
    /// use tidemill_runtime::source::Source;
    ///
    /// let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
    /// let random = DataGenSource::new(Arc::clone(&schema), [] as [(&str, DataGenField); 0])?;
    /// assert!(!random.is_bounded());
    /// let sequence = DataGenSource::new(Arc::clone(&schema), [("id", DataGenField::sequence(1, 10))])?;
    /// assert!(sequence.is_bounded());
    /// assert!(DataGenSource::new(schema, [("ID", DataGenField::random())]).is_err());
    /// # Ok::<(), tidemill_connectors::ConnectorError>(())
    /// ```
    ///
    /// # Errors
    /// When a type cannot be generated, a field does not exist, or its bounds make no sense for its type.
    pub fn new<P: Into<String>>(
        schema: SchemaRef,
        fields: impl IntoIterator<Item = (P, DataGenField)>,
    ) -> Result<Self, ConnectorError> {
        let mut fields: Vec<(String, DataGenField)> =
            fields.into_iter().map(|(path, field)| (path.into(), field)).collect();
        let columns = schema
            .fields()
            .iter()
            .map(|field| Column::new(field, field.name(), true, &mut fields))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some((path, _)) = fields.first() {
            return Err(ConnectorError::InvalidOption(format!(
                "'fields.{path}' is not about a column of the table, nor about what is inside of one"
            )));
        }
        let sequence = columns.iter().filter_map(Column::sequence_length).min().unwrap_or(UNBOUNDED);
        let seed = Seed::Random(RandomState::new().hash_one(0));
        let per_second = Some(DEFAULT_ROWS_PER_SECOND);
        let mut source =
            Self { schema, columns: columns.into(), sequence, count: sequence, per_second, seed };
        source.seed_columns();
        Ok(source)
    }

    /// Makes rows as the options of a table say: `rows-per-second`, `number-of-rows`, and for each column
    /// `fields.#.kind`, `min`, `max`, `length`, `var-len`, `null-rate`, `max-past`, `start` and `end`. A
    /// `seed` is Tidemill's own.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_schema::{DataType, Field, Schema};
    /// use tidemill_connectors::DataGenSource;
    ///
    /// let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
    /// let options = [("rows-per-second", "5"), ("fields.id.min", "1"), ("fields.id.max", "6")];
    /// assert!(DataGenSource::from_options(Arc::clone(&schema), options).is_ok());
    /// assert!(DataGenSource::from_options(schema, [("fields.id.kind", "constant")]).is_err());
    /// # Ok::<(), tidemill_connectors::ConnectorError>(())
    /// ```
    ///
    /// # Errors
    /// When an option is not known or has a value that makes no sense.
    pub fn from_options<K: AsRef<str>, V: AsRef<str>>(
        schema: SchemaRef,
        options: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConnectorError> {
        let parsed = options::parse(options)?;
        let mut source = Self::new(schema, parsed.fields)?;
        if let Some(per_second) = parsed.rows_per_second {
            source = source.rows_per_second(per_second)?;
        }
        if let Some(rows) = parsed.number_of_rows {
            source = source.number_of_rows(rows);
        }
        if let Some(seed) = parsed.seed {
            source = source.seed(seed);
        }
        Ok(source)
    }

    fn seed_columns(&mut self) {
        let (Seed::Given(seed) | Seed::Random(seed)) = self.seed;
        let mut place = 0;
        let mut columns = self.columns.to_vec();
        columns.iter_mut().for_each(|column| column.set_seed(seed, &mut place));
        self.columns = columns.into();
    }

    /// How many rows all subtasks together make in a second (`rows-per-second`).
    ///
    /// # Errors
    /// When it is not more than 0.
    pub fn rows_per_second(mut self, per_second: f64) -> Result<Self, ConnectorError> {
        self.per_second = Some(check_rate(per_second)?);
        Ok(self)
    }

    /// As many rows in a second as can be made.
    pub fn unlimited(mut self) -> Self {
        self.per_second = None;
        self
    }

    /// Ends after so many rows (`number-of-rows`), if no sequence ends before.
    pub fn number_of_rows(mut self, rows: u64) -> Self {
        // One less than all there are, so that it is not taken for a source without end.
        self.count = rows.min(UNBOUNDED - 1).min(self.sequence);
        self
    }

    /// Makes the same rows in every run.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Seed::Given(seed);
        self.seed_columns();
        self
    }

    /// The columns of the rows.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// So many rows from number `first` on.
    ///
    /// # Errors
    /// When there are more bytes in them than a column can have.
    pub fn rows(&self, first: u64, count: usize) -> Result<RecordBatch, ConnectorError> {
        let numbers: Vec<u64> = (0..count as u64).map(|row| first.saturating_add(row)).collect();
        self.make_rows(&numbers)
    }

    fn make_rows(&self, numbers: &[u64]) -> Result<RecordBatch, ConnectorError> {
        let made = match self.seed {
            Seed::Given(_) => {
                let per_second = self.per_second.unwrap_or(DEFAULT_ROWS_PER_SECOND);
                Made::At { first: SEEDED_TIME, millis_per_row: 1000.0 / per_second }
            }
            Seed::Random(_) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                Made::Now(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
            }
        };
        let options = RecordBatchOptions::new().with_row_count(Some(numbers.len()));
        let arrays = self.columns.iter().map(|column| column.make(numbers, numbers, made));
        arrays
            .collect::<Result<_, _>>()
            .and_then(|arrays| RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options))
            .map_err(|error| ConnectorError::Columns { reason: error.to_string() })
    }
}

#[derive(Clone)]
struct Rows {
    source: DataGenSource,
    numbers: Vec<u64>,
}

impl Numbered for Rows {
    fn make(&mut self, first: u64, step: u64, count: usize) -> Result<Option<Batch>, OperatorError> {
        self.numbers.clear();
        self.numbers.extend((0..count as u64).map(|row| first.saturating_add(row.saturating_mul(step))));
        let records = self.source.make_rows(&self.numbers)?;
        Ok(Some(Batch::new(ArrowBatch::inserts(records))))
    }
}

impl Source for DataGenSource {
    fn create_enumerator(
        &self,
        parallelism: u32,
        restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        Ok(NumberEnumerator::create(Deal::Turns, self.count, parallelism, restored))
    }

    fn create_reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        let rows = Rows { source: self.clone(), numbers: Vec::new() };
        Ok(NumberReader::create(rows, Deal::Turns, self.count, self.per_second, context))
    }

    fn is_bounded(&self) -> bool {
        self.count != UNBOUNDED
    }
}
