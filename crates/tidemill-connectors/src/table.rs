//! A sink that prints a table when its input has ended.

mod layout;

use std::sync::Arc;

use arrow_array::RecordBatch;
use parking_lot::Mutex;
use tidemill_core::batch::RowKind;
use tidemill_core::{ArrowBatch, Batch};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_serialization::Record;
use tidemill_state::{OperatorSnapshot, OperatorStateMode, StateError, SubtaskSnapshot};

use crate::cells::{Cells, Dialect, Node};
use crate::error::ConnectorError;
use crate::print::{PrintTarget, cell_text, kind_text, trees};
use crate::printer::Printer;

/// How many rows a table shows when nothing else is said.
pub const DEFAULT_TABLE_ROWS: usize = 20;

/// Shows the first rows of a bounded input as a table, in the order in which they came, and says how many more there
/// were. On a terminal the table is made to fit: names of columns take two lines, long texts are cut as far as they can still be
/// told apart, and the last columns are left out, which a line below says. Floating-point numbers are rounded to six digits, or to
/// one behind the point where there are more before it.
///
/// Its rows are operator state: a job that goes on from a snapshot shows those from before it too. A table that was shown just
/// before may be shown again.
///
/// ```
/// use tidemill_connectors::TableSink;
///
/// let top = TableSink::new("The ten busiest airports").max_rows(10).width(80);
/// # let _ = top;
/// ```
#[derive(Clone)]
pub struct TableSink {
    title: String,
    max_rows: usize,
    target: PrintTarget,
    width: Option<usize>,
    collected: Arc<Mutex<Collected>>,
}

#[derive(Default)]
struct Collected {
    table: Table,
    /// The number of the next row of any subtask: rows are shown in the order in which they came.
    next: u64,
    /// Subtasks that have seen the end of their input.
    finished: u32,
}

impl TableSink {
    /// A table under a title, of at most [`DEFAULT_TABLE_ROWS`] rows, on standard output.
    ///
    /// ```
    /// use tidemill_connectors::TableSink;
    ///
    /// let airports = TableSink::new("Airports");
    /// # let _ = airports;
    /// ```
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            max_rows: DEFAULT_TABLE_ROWS,
            target: PrintTarget::default(),
            width: None,
            collected: Arc::default(),
        }
    }

    /// How many rows to show at most.
    pub fn max_rows(mut self, rows: usize) -> Self {
        self.max_rows = rows;
        self
    }

    /// Where to print to (default: standard output).
    pub fn target(mut self, target: PrintTarget) -> Self {
        self.target = target;
        self
    }

    /// How many characters a line may have (default: what the terminal has; as many as it takes where there is none).
    pub fn width(mut self, characters: usize) -> Self {
        self.width = Some(characters);
        self
    }

    fn available_width(&self) -> Option<usize> {
        self.width.or_else(|| {
            let size = match self.target {
                PrintTarget::Stdout => terminal_size::terminal_size_of(std::io::stdout()),
                PrintTarget::Stderr => terminal_size::terminal_size_of(std::io::stderr()),
                PrintTarget::Writer(_) => None,
            };
            size.map(|(width, _)| usize::from(width.0))
        })
    }
}

/// A column as its first line has it.
#[derive(Record, Clone, Debug, PartialEq, Eq)]
struct Heading {
    name: String,
    is_number: bool,
}

/// A row as it is shown.
#[derive(Record, Clone, Debug, PartialEq, Eq)]
struct Row {
    /// Which row of all subtasks it was.
    number: u64,
    /// `None` for a row that was inserted.
    change: Option<String>,
    cells: Vec<String>,
}

/// The rows that are shown, and how many are not.
#[derive(Clone, Debug, Default)]
struct Table {
    headings: Vec<Heading>,
    rows: Vec<Row>,
    more: u64,
}

/// The names under which the parts of a table are stored.
const HEADINGS: &str = "table-headings";
const ROWS: &str = "table-rows";
const MORE: &str = "table-more";

impl Table {
    /// Keeps so many of the first rows.
    fn keep_first(&mut self, rows: usize) {
        self.rows.sort_by_key(|row| row.number);
        self.more += self.rows.len().saturating_sub(rows) as u64;
        self.rows.truncate(rows);
    }

    fn absorb(&mut self, other: &Table, max_rows: usize) {
        if self.headings.is_empty() {
            self.headings.clone_from(&other.headings);
        }
        self.rows.extend_from_slice(&other.rows);
        self.more += other.more;
        self.keep_first(max_rows);
    }

    fn snapshot(&self) -> SubtaskSnapshot {
        let operator = vec![
            OperatorSnapshot::of(HEADINGS, OperatorStateMode::Union, [&self.headings]),
            OperatorSnapshot::of(ROWS, OperatorStateMode::Split, &self.rows),
            OperatorSnapshot::of(MORE, OperatorStateMode::Split, &[self.more]),
        ];
        SubtaskSnapshot { operator, ..SubtaskSnapshot::default() }
    }

    fn restore(snapshot: &SubtaskSnapshot, max_rows: usize) -> Result<Self, StateError> {
        let mut table = Self::default();
        for state in &snapshot.operator {
            match state.name.as_str() {
                // Those of any subtask that has had a row; they are the same.
                HEADINGS => {
                    table.headings =
                        state.read::<Vec<Heading>>()?.into_iter().max_by_key(Vec::len).unwrap_or_default()
                }
                ROWS => table.rows.extend(state.read::<Row>()?),
                MORE => table.more += state.read::<u64>()?.into_iter().sum::<u64>(),
                _ => {}
            }
        }
        table.keep_first(max_rows);
        Ok(table)
    }
}

impl OperatorFactory for TableSink {
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        if subtask == 0 {
            // A graph may be executed again. What a restored job has is in the state of its subtasks.
            *self.collected.lock() = Collected::default();
        }
        let printer = Printer::new(self.target.clone());
        let table = Table::default();
        Ok(Box::new(TableOperator { sink: self.clone(), parallelism: 1, printer, table, ended: false }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

struct TableOperator {
    sink: TableSink,
    parallelism: u32,
    printer: Printer,
    /// What has come to this subtask.
    table: Table,
    /// Whether the end of the input was seen.
    ended: bool,
}

impl Operator for TableOperator {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.parallelism = context.parallelism;
        self.printer.open(context.waker.clone());
        if let Some(snapshot) = restored {
            self.table = Table::restore(&snapshot, self.sink.max_rows)?;
            let next = self.table.rows.last().map_or(0, |row| row.number + 1);
            let mut collected = self.sink.collected.lock();
            collected.next = collected.next.max(next);
        }
        Ok(())
    }

    fn process(&mut self, _input: usize, batch: Batch, _out: &mut Output) -> Result<Progress, OperatorError> {
        let rows = batch.downcast_ref::<ArrowBatch>()?;
        let count = rows.records.num_rows();
        let take = count.min(self.sink.max_rows.saturating_sub(self.table.rows.len()));
        if take > 0 {
            let first = {
                let mut collected = self.sink.collected.lock();
                let first = collected.next;
                collected.next += take as u64;
                first
            };
            if self.table.headings.is_empty() {
                self.table.headings = headings(&rows.records);
            }
            append(&rows.records.slice(0, take), rows.kinds.as_deref(), first, &mut self.table.rows);
        }
        self.table.more += (count - take) as u64;
        Ok(Progress::Done)
    }

    fn finish(&mut self, _out: &mut Output) -> Result<Progress, OperatorError> {
        match self.show() {
            Ok(true) => Ok(Progress::Done),
            Ok(false) => Ok(Progress::Wait),
            Err(ConnectorError::StreamClosed { stream }) => {
                // All input was read, and what other sinks have of it is not to be lost.
                tracing::warn!(
                    "nobody reads {stream} any more: the table '{}' is not shown",
                    self.sink.title
                );
                Ok(Progress::Done)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn snapshot(&mut self, _: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        Ok(self.table.snapshot())
    }

    fn close(&mut self) {
        self.printer.close();
    }
}

impl TableOperator {
    /// Prints the table if this is the last subtask. True when nothing is left to be printed.
    fn show(&mut self) -> Result<bool, ConnectorError> {
        if !std::mem::replace(&mut self.ended, true) {
            let mut collected = self.sink.collected.lock();
            collected.finished += 1;
            collected.table.absorb(&self.table, self.sink.max_rows);
            if collected.finished == self.parallelism {
                let all = std::mem::take(&mut *collected).table;
                self.printer.print(layout::render(&self.sink.title, &all, self.sink.available_width()))?;
            }
        }
        self.printer.poll()
    }
}

fn headings(batch: &RecordBatch) -> Vec<Heading> {
    let fields = batch.schema_ref().fields().iter();
    fields
        .map(|field| Heading { name: printable(field.name()), is_number: field.data_type().is_numeric() })
        .collect()
}

/// Appends the rows of a batch as texts, numbered from `first`.
fn append(batch: &RecordBatch, kinds: Option<&[RowKind]>, first: u64, rows: &mut Vec<Row>) {
    let columns = trees(batch);
    let mut scratch = Vec::new();
    for row in 0..batch.num_rows() {
        let kind = kinds.and_then(|kinds| kinds.get(row)).filter(|kind| **kind != RowKind::Insert);
        let mut texts = Vec::with_capacity(columns.len());
        for column in &columns {
            let number =
                match column.as_ref().filter(|column| !column.is_null(row)).map(|column| &column.node) {
                    Some(Node::Single(Cells::Float64(values))) => Some(values[row]),
                    Some(Node::Single(Cells::Float32(values))) => Some(f64::from(values[row])),
                    _ => None,
                };
            texts.push(match number.filter(|number| number.is_normal()) {
                Some(number) => rounded(number),
                None => {
                    let mut text = String::new();
                    cell_text(column.as_ref(), row, Dialect::Sql, &mut scratch, &mut text);
                    printable(&text)
                }
            });
        }
        let change = kind.map(|kind| kind_text(*kind).to_owned());
        rows.push(Row { number: first + row as u64, change, cells: texts });
    }
}

/// Six digits of a number, without zeros at the end.
fn rounded(number: f64) -> String {
    const DIGITS: usize = 6;
    let scientific = format!("{number:.*E}", DIGITS - 1);
    let Some((mantissa, exponent)) = scientific.split_once('E') else { return scientific };
    let short = |text: &str| match text.trim_end_matches('0') {
        text if text.ends_with('.') => format!("{text}0"),
        text => text.to_owned(),
    };
    match exponent.parse::<i32>() {
        Ok(exponent @ -4..=14) => {
            let places = usize::try_from(DIGITS as i32 - 1 - exponent).unwrap_or(1).max(1);
            short(&format!("{number:.places$}"))
        }
        _ => format!("{}E{exponent}", short(mantissa)),
    }
}

/// A line break or an escape sequence in a value must not tear the table.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people_have_six_digits() {
        for (number, expected) in [
            (12.658_579_999_999_999, "12.6586"),
            (0.1 + 0.2, "0.3"),
            (f64::from(0.1f32), "0.1"),
            (10.0, "10.0"),
            (-1.5, "-1.5"),
            (999_999.96, "1000000.0"),
            (1_234_567.891, "1234567.9"),
            (123_456_789_012.34, "123456789012.3"),
            (0.000_123_456_789, "0.000123457"),
            (0.000_012_345_678_9, "1.23457E-5"),
            (1e300, "1.0E300"),
        ] {
            assert_eq!(rounded(number), expected);
        }
    }
}
