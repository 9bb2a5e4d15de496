//! Events as columns: those fields only that somebody reads.

use std::sync::Arc;

use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{
    ArrayRef, Int32Array, PrimitiveArray, RecordBatch, RecordBatchOptions, StringArray, StructArray,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef};
use tidemill_core::time::Timestamp;
use tidemill_core::{ArrowBatch, Batch};
use tidemill_runtime::source::{Source, SourceReader, SourceSplit, SplitEnumerator};
use tidemill_runtime::{OperatorContext, OperatorError};

use super::model::{Leaf, Model, NexmarkKind, NexmarkSettings, Run};
use crate::error::ConnectorError;
use crate::generator::numbers::{Deal, NumberEnumerator, NumberReader, Numbered, UNBOUNDED};
use crate::rate::check_rate;

/// Makes the events of Nexmark as rows with the columns of Flink's Nexmark connector: `event_type`, and
/// `person`, `auction` and `bid`, of which each row has one and the others are NULL.
///
/// An event is a function of its number: it does not depend on which columns are asked for, on which reader
/// makes it, or on what was made before. So a source that is restored, also at another parallelism, goes on
/// with the same events, and two queries over two sources with the same settings see the same. Only what
/// [`project`](Self::project) asks for is computed.
///
/// Readers take blocks of some thousand events by turns, so that their event time is about the same; within a
/// reader it goes up. It advances by [`events_per_second`](NexmarkSettings::events_per_second), whatever time
/// it takes to make the events.
///
/// With [`only`](Self::only) or [`without`](Self::without), the other events are skipped without being made. They are not needed for
/// watermarks either: every round of events (50 of them unless the settings say something else) has all three
/// kinds, so the watermark that follows from the rows of one kind is behind that of all rows by less than the
/// event time of one round.
///
/// ```
/// use tidemill_connectors::{NexmarkColumns, NexmarkKind};
///
/// // The prices of bids, and nothing else.
/// let bids = NexmarkColumns::bounded(100).only(NexmarkKind::Bid);
/// let bids = bids.project_paths(&["bid.auction", "bid.price"])?;
/// let rows = bids.rows(0, 100)?;
/// assert_eq!(rows.num_rows(), 92);
/// assert_eq!(rows.schema().field(0).name(), "bid");
/// # Ok::<(), tidemill_connectors::ConnectorError>(())
/// ```
#[derive(Clone, Debug)]
pub struct NexmarkColumns {
    count: u64,
    model: Arc<Model>,
    schema: SchemaRef,
    columns: Arc<[Column]>,
    kinds: Kinds,
    per_second: Option<f64>,
    timestamps: bool,
}

#[derive(Clone, Debug)]
enum Column {
    EventType,
    Events { kind: NexmarkKind, fields: Fields, leaves: Vec<Leaf> },
}

/// Which events are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds([bool; 3]);

impl Default for Kinds {
    fn default() -> Self {
        Self([true; 3])
    }
}

impl Kinds {
    fn leave_out(&mut self, kind: NexmarkKind) {
        self.0[kind as usize] = false;
    }

    pub(super) fn has(self, kind: NexmarkKind) -> bool {
        self.0[kind as usize]
    }
}

/// How many events a reader makes before the next one's turn.
const BLOCK: u64 = 16_000;

const KINDS: [NexmarkKind; 3] = [NexmarkKind::Person, NexmarkKind::Auction, NexmarkKind::Bid];

impl NexmarkColumns {
    /// The first `count` events, as fast as they can be made.
    ///
    /// ```
    /// use tidemill_connectors::NexmarkColumns;
    /// use tidemill_runtime::source::Source;
    ///
    /// assert!(NexmarkColumns::bounded(1_000).is_bounded());
    /// ```
    pub fn bounded(count: u64) -> Self {
        let schema = Self::full_schema();
        let event_type = std::iter::once(Column::EventType);
        let events = KINDS.into_iter().map(|kind| Column::Events {
            kind,
            fields: kind.fields(),
            leaves: kind.leaves().iter().map(|(_, leaf)| *leaf).collect(),
        });
        Self {
            count,
            model: Arc::new(Model::new(&NexmarkSettings::default())),
            schema,
            columns: event_type.chain(events).collect(),
            kinds: Kinds::default(),
            per_second: None,
            timestamps: false,
        }
    }

    /// Events for ever, as fast as they can be made.
    ///
    /// ```
    /// use tidemill_connectors::NexmarkColumns;
    /// use tidemill_runtime::source::Source;
    ///
    /// assert!(!NexmarkColumns::unbounded().is_bounded());
    /// ```
    pub fn unbounded() -> Self {
        Self::bounded(UNBOUNDED)
    }

    /// All columns that there are.
    ///
    /// ```
    /// use tidemill_connectors::NexmarkColumns;
    ///
    /// let names: Vec<String> =
    ///     NexmarkColumns::full_schema().fields().iter().map(|field| field.name().clone()).collect();
    /// assert_eq!(names, ["event_type", "person", "auction", "bid"]);
    /// ```
    pub fn full_schema() -> SchemaRef {
        let event_type = std::iter::once(Field::new("event_type", DataType::Int32, true));
        let events =
            KINDS.into_iter().map(|kind| Field::new(kind.column(), DataType::Struct(kind.fields()), true));
        Arc::new(Schema::new(event_type.chain(events).collect::<Vec<_>>()))
    }

    /// The columns of the rows that are made.
    ///
    /// ```
    /// use tidemill_connectors::NexmarkColumns;
    ///
    /// assert_eq!(NexmarkColumns::bounded(10).schema(), NexmarkColumns::full_schema());
    /// ```
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// How many events there are of each kind, and what they are like.
    ///
    /// # Errors
    /// When a proportion or a ratio is 0, or something is too large.
    pub fn settings(mut self, settings: NexmarkSettings) -> Result<Self, ConnectorError> {
        settings.validate()?;
        self.model = Arc::new(Model::new(&settings));
        Ok(self)
    }

    /// Makes these columns only, in their order: some of all, and of `person`, `auction` and `bid` some of
    /// their fields.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use arrow_schema::{DataType, Field, Schema};
    /// use tidemill_connectors::NexmarkColumns;
    ///
    /// let price = Field::new("price", DataType::Int64, true);
    /// let bid = Field::new("bid", DataType::Struct(vec![price].into()), true);
    /// let source = NexmarkColumns::bounded(1_000).project(Arc::new(Schema::new(vec![bid])))?;
    /// # let _ = source;
    /// # Ok::<(), tidemill_connectors::ConnectorError>(())
    /// ```
    ///
    /// # Errors
    /// When a column or field is not one of Nexmark's, or not of its type, or must not be NULL.
    pub fn project(mut self, schema: SchemaRef) -> Result<Self, ConnectorError> {
        self.columns = schema.fields().iter().map(|field| column(field)).collect::<Result<_, _>>()?;
        self.schema = schema;
        Ok(self)
    }

    /// Makes these columns and fields only, each by its name: `event_type`, `bid` (all of it) or `bid.price`.
    /// The fields of one column stand together, where the first of them is.
    ///
    /// ```
    /// use tidemill_connectors::NexmarkColumns;
    ///
    /// let paths = ["bid.price", "event_type", "bid.auction"];
    /// let source = NexmarkColumns::bounded(1_000).project_paths(&paths)?;
    /// assert_eq!(source.schema().fields().len(), 2);
    /// assert!(NexmarkColumns::bounded(1_000).project_paths(&["bid.prize"]).is_err());
    /// # Ok::<(), tidemill_connectors::ConnectorError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such column or field.
    pub fn project_paths(self, paths: &[&str]) -> Result<Self, ConnectorError> {
        let full = Self::full_schema();
        let mut columns: Vec<(String, Option<Vec<Field>>)> = Vec::new();
        for path in paths {
            let (name, inner) = match path.split_once('.') {
                Some((name, inner)) => (name, Some(inner)),
                None => (*path, None),
            };
            let place = columns.iter().position(|(known, _)| known == name).unwrap_or(columns.len());
            if place == columns.len() {
                columns.push((name.to_owned(), inner.map(|_| Vec::new())));
            }
            let Some((_, fields)) = columns.get_mut(place) else { continue };
            match (inner, fields) {
                (Some(inner), Some(fields)) => {
                    let kind = KINDS.into_iter().find(|kind| kind.column() == name);
                    let all = kind.map(NexmarkKind::fields).unwrap_or_default();
                    let Some((_, field)) = all.find(inner) else { return Err(unknown(path)) };
                    if fields.iter().all(|known| known.name() != inner) {
                        fields.push(field.as_ref().clone());
                    }
                }
                (None, fields) => *fields = None,
                // All fields are there.
                (Some(_), None) => {}
            }
        }
        let column = |(name, fields): (String, Option<Vec<Field>>)| match fields {
            Some(fields) => Ok(Field::new(name, DataType::Struct(fields.into()), true)),
            None => full.field_with_name(&name).cloned().map_err(|_| unknown(&name)),
        };
        let columns = columns.into_iter().map(column).collect::<Result<Vec<_>, _>>()?;
        self.project(Arc::new(Schema::new(columns)))
    }

    /// Makes rows of these events only; the numbers of events, and what they are, stay the same.
    ///
    /// ```
    /// use tidemill_connectors::{NexmarkColumns, NexmarkKind};
    ///
    /// let persons = NexmarkColumns::bounded(1_000).only(NexmarkKind::Person);
    /// assert_eq!(persons.rows(0, 1_000)?.num_rows(), 20);
    /// # Ok::<(), tidemill_connectors::ConnectorError>(())
    /// ```
    pub fn only(mut self, kind: NexmarkKind) -> Self {
        for other in KINDS.into_iter().filter(|other| *other != kind) {
            self.kinds.leave_out(other);
        }
        self
    }

    /// Makes no rows of these events; the numbers of events, and what the others are, stay the same.
    ///
    /// ```
    /// use tidemill_connectors::{NexmarkColumns, NexmarkKind};
    ///
    /// let source = NexmarkColumns::bounded(1_000).without(NexmarkKind::Bid);
    /// assert_eq!(source.rows(0, 1_000)?.num_rows(), 80);
    /// # Ok::<(), tidemill_connectors::ConnectorError>(())
    /// ```
    pub fn without(mut self, kind: NexmarkKind) -> Self {
        self.kinds.leave_out(kind);
        self
    }

    /// How many events all subtasks together make in a second of real time, those counted that
    /// [`without`](Self::without) leaves out (default: as many as they can).
    ///
    /// ```
    /// use tidemill_connectors::NexmarkColumns;
    ///
    /// assert!(NexmarkColumns::unbounded().rate_limit(10_000.0).is_ok());
    /// assert!(NexmarkColumns::unbounded().rate_limit(0.0).is_err());
    /// ```
    ///
    /// # Errors
    /// When it is not more than 0.
    pub fn rate_limit(mut self, per_second: f64) -> Result<Self, ConnectorError> {
        self.per_second = Some(check_rate(per_second)?);
        Ok(self)
    }

    /// Whether records carry the times of their events as timestamps (default: no, for tables find them in
    /// their columns).
    ///
    /// ```
    /// use tidemill_connectors::NexmarkColumns;
    ///
    /// let source = NexmarkColumns::bounded(1_000).timestamps(true);
    /// # let _ = source;
    /// ```
    pub fn timestamps(mut self, yes: bool) -> Self {
        self.timestamps = yes;
        self
    }

    /// The rows of `events` events from number `first` on.
    ///
    /// # Errors
    /// When there are more texts in them than a column can have.
    pub fn rows(&self, first: u64, events: usize) -> Result<RecordBatch, ConnectorError> {
        self.make_rows(first, events, &mut Vec::new())
    }

    fn make_rows(
        &self,
        first: u64,
        events: usize,
        runs: &mut Vec<Run>,
    ) -> Result<RecordBatch, ConnectorError> {
        let rows = self.model.runs(first, events as u64, self.kinds, runs);
        let arrays = self.columns.iter().map(|column| match column {
            Column::EventType => Ok(event_types(runs, rows)),
            Column::Events { kind, fields, leaves } => {
                let of_kind: Vec<Run> = runs.iter().filter(|run| run.kind == *kind).copied().collect();
                self.events(&of_kind, rows, fields, leaves)
            }
        });
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        arrays
            .collect::<Result<_, _>>()
            .and_then(|arrays| RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options))
            .map_err(|error| ConnectorError::Columns { reason: error.to_string() })
    }

    fn events(
        &self,
        runs: &[Run],
        rows: usize,
        fields: &Fields,
        leaves: &[Leaf],
    ) -> Result<ArrayRef, ArrowError> {
        let nulls = nulls(runs, rows);
        let array = |leaf: &Leaf| -> Result<ArrayRef, ArrowError> {
            // What is inside of NULL is NULL as well, to those who take a field by itself.
            let nulls = nulls.clone();
            Ok(match leaf.data_type() {
                DataType::Utf8 => Arc::new(self.texts(*leaf, runs, rows, nulls)?),
                DataType::Int64 => {
                    Arc::new(PrimitiveArray::<Int64Type>::new(self.numbers(*leaf, runs, rows), nulls))
                }
                _ => Arc::new(PrimitiveArray::<TimestampMillisecondType>::new(
                    self.numbers(*leaf, runs, rows),
                    nulls,
                )),
            })
        };
        let arrays = leaves.iter().map(array).collect::<Result<_, _>>()?;
        Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, nulls.clone(), rows)?))
    }

    fn numbers(&self, leaf: Leaf, runs: &[Run], rows: usize) -> ScalarBuffer<i64> {
        let mut values = Vec::with_capacity(rows);
        for run in runs {
            values.resize(run.row, 0);
            self.model.numbers(leaf, run, &mut values);
        }
        values.resize(rows, 0);
        values.into()
    }

    fn texts(
        &self,
        leaf: Leaf,
        runs: &[Run],
        rows: usize,
        nulls: Option<NullBuffer>,
    ) -> Result<StringArray, ArrowError> {
        let mut ends: Vec<i32> = Vec::with_capacity(rows + 1);
        ends.push(0);
        let mut bytes = Vec::new();
        let end = |bytes: &Vec<u8>| i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        for run in runs {
            ends.resize(run.row + 1, end(&bytes));
            for event in run.events() {
                self.model.text(leaf, run.kind, event, &mut bytes);
                ends.push(end(&bytes));
            }
        }
        ends.resize(rows + 1, end(&bytes));
        if i32::try_from(bytes.len()).is_err() {
            return Err(ArrowError::OffsetOverflowError(bytes.len()));
        }
        StringArray::try_new(OffsetBuffer::new(ends.into()), Buffer::from_vec(bytes), nulls)
    }

    fn event_times(&self, runs: &[Run]) -> Vec<Timestamp> {
        let mut times = Vec::new();
        runs.iter().for_each(|run| self.model.timestamps(run, &mut times));
        times
    }
}

fn event_types(runs: &[Run], rows: usize) -> ArrayRef {
    let mut types = Vec::with_capacity(rows);
    for run in runs {
        types.resize(run.row + run.length, run.kind.event_type());
    }
    Arc::new(Int32Array::from(types))
}

/// Which rows are of a kind; `None` when all are.
fn nulls(runs: &[Run], rows: usize) -> Option<NullBuffer> {
    if runs.iter().map(|run| run.length).sum::<usize>() == rows {
        return None;
    }
    let mut valid = BooleanBufferBuilder::new(rows);
    for run in runs {
        valid.append_n(run.row - valid.len(), false);
        valid.append_n(run.length, true);
    }
    valid.append_n(rows - valid.len(), false);
    Some(NullBuffer::new(valid.finish()))
}

fn unknown(path: &str) -> ConnectorError {
    let names = |kind: NexmarkKind| {
        let names = kind.leaves().iter().map(|(name, _)| format!("{}.{name}", kind.column()));
        names.collect::<Vec<_>>().join(", ")
    };
    let all = KINDS.map(names).join(", ");
    ConnectorError::InvalidOption(format!("Nexmark has no column '{path}': it has event_type, {all}"))
}

fn column(field: &Field) -> Result<Column, ConnectorError> {
    let wrong = |path: &str, expected: &DataType, found: &DataType| {
        ConnectorError::InvalidOption(format!(
            "the column '{path}' of Nexmark has the type {expected}, but {found} was asked for"
        ))
    };
    if field.name() == "event_type" {
        return match field.data_type() {
            DataType::Int32 => Ok(Column::EventType),
            found => Err(wrong(field.name(), &DataType::Int32, found)),
        };
    }
    let kind = KINDS.into_iter().find(|kind| kind.column() == field.name());
    let Some(kind) = kind else { return Err(unknown(field.name())) };
    let DataType::Struct(fields) = field.data_type() else {
        return Err(wrong(field.name(), &DataType::Struct(kind.fields()), field.data_type()));
    };
    if !field.is_nullable() {
        let message = format!("the column '{}' of Nexmark is NULL in the rows of other events", field.name());
        return Err(ConnectorError::InvalidOption(message));
    }
    let leaf = |inner: &Arc<Field>| {
        let path = format!("{}.{}", field.name(), inner.name());
        let Some((_, leaf)) = kind.leaves().iter().find(|(name, _)| name == inner.name()) else {
            return Err(unknown(&path));
        };
        if leaf.data_type() != *inner.data_type() {
            return Err(wrong(&path, &leaf.data_type(), inner.data_type()));
        }
        Ok(*leaf)
    };
    let leaves = fields.iter().map(leaf).collect::<Result<_, _>>()?;
    Ok(Column::Events { kind, fields: fields.clone(), leaves })
}

#[derive(Clone)]
struct Rows {
    source: NexmarkColumns,
    runs: Vec<Run>,
}

impl Numbered for Rows {
    fn make(&mut self, first: u64, _step: u64, count: usize) -> Result<Option<Batch>, OperatorError> {
        let records = self.source.make_rows(first, count, &mut self.runs)?;
        if records.num_rows() == 0 {
            return Ok(None);
        }
        let mut batch = ArrowBatch::inserts(records);
        if self.source.timestamps {
            batch.timestamps = self.source.event_times(&self.runs);
        }
        Ok(Some(Batch::new(batch)))
    }

    fn numbers(&self, records: usize) -> u64 {
        let settings = &self.source.model.settings;
        let made = KINDS.into_iter().filter(|kind| self.source.kinds.has(*kind)).map(|kind| match kind {
            NexmarkKind::Person => settings.persons,
            NexmarkKind::Auction => settings.auctions,
            NexmarkKind::Bid => settings.bids,
        });
        let part = made.sum::<u32>().max(1);
        (records as u64).saturating_mul(settings.round()) / u64::from(part)
    }
}

impl Source for NexmarkColumns {
    fn create_enumerator(
        &self,
        parallelism: u32,
        restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        Ok(NumberEnumerator::create(Deal::Blocks(BLOCK), self.count, parallelism, restored))
    }

    fn create_reader(&self, context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        let rows = Rows { source: self.clone(), runs: Vec::new() };
        Ok(NumberReader::create(rows, Deal::Blocks(BLOCK), self.count, self.per_second, context))
    }

    fn is_bounded(&self) -> bool {
        self.count != UNBOUNDED
    }
}
