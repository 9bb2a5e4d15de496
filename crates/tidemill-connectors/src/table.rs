//! A sink that prints a table when its input has ended.

use std::sync::Arc;

use arrow_array::RecordBatch;
use parking_lot::Mutex;
use tidemill_core::batch::RowKind;
use tidemill_core::{ArrowBatch, Batch};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress};
use tidemill_state::SubtaskSnapshot;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::cells::Cells;
use crate::error::ConnectorError;
use crate::print::{PrintTarget, cell_text, kind_text};
use crate::printer::Printer;

/// How many rows a table shows when nothing else is said.
pub const DEFAULT_TABLE_ROWS: usize = 20;

/// Shows the first rows of a bounded input as a table, in the order in which they came, and says how many more there
/// were. On a terminal the table is made to fit; long texts are cut. Floating-point numbers are rounded to six digits, or to one
/// behind the point where there are more before it.
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
    batches: Vec<(RecordBatch, Option<Arc<[RowKind]>>)>,
    rows: usize,
    more: u64,
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

impl OperatorFactory for TableSink {
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        if subtask == 0 {
            // A graph may be executed again.
            *self.collected.lock() = Collected::default();
        }
        let printer = Printer::new(self.target.clone());
        Ok(Box::new(TableOperator { sink: self.clone(), parallelism: 1, printer, ended: false }))
    }
}

struct TableOperator {
    sink: TableSink,
    parallelism: u32,
    printer: Printer,
    /// Whether the end of the input was seen.
    ended: bool,
}

impl Operator for TableOperator {
    fn open(&mut self, context: &OperatorContext, _: Option<SubtaskSnapshot>) -> Result<(), OperatorError> {
        self.parallelism = context.parallelism;
        self.printer.open(context.waker.clone());
        Ok(())
    }

    fn process(&mut self, _input: usize, batch: Batch, _out: &mut Output) -> Result<Progress, OperatorError> {
        let rows = batch.downcast_ref::<ArrowBatch>()?;
        let mut collected = self.sink.collected.lock();
        let take = rows.records.num_rows().min(self.sink.max_rows.saturating_sub(collected.rows));
        if take > 0 {
            collected.batches.push((rows.records.slice(0, take), rows.kinds.clone()));
            collected.rows += take;
        }
        collected.more += (rows.records.num_rows() - take) as u64;
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
            if collected.finished == self.parallelism {
                let all = std::mem::take(&mut *collected);
                self.printer.print(render(&self.sink.title, &all, self.sink.available_width()))?;
            }
        }
        self.printer.poll()
    }
}

struct Column {
    cells: Vec<String>,
    is_number: bool,
    width: usize,
}

impl Column {
    fn new(header: String, is_number: bool) -> Self {
        Self { cells: vec![header], is_number, width: 0 }
    }
}

/// No column is made narrower than this.
const NARROWEST: usize = 6;
const GAP: usize = 2;

fn render(title: &str, all: &Collected, available: Option<usize>) -> String {
    let mut text = format!("\n{title}\n");
    let mut columns = columns(all);
    if let Some(available) = available {
        fit(&mut columns, available);
    }
    for row in 0..columns.first().map_or(0, |column| column.cells.len()) {
        let mut line = String::new();
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            let cell = cut(&column.cells[row], column.width);
            let padding = " ".repeat(column.width.saturating_sub(cell.width()));
            if column.is_number {
                line.extend([padding.as_str(), &cell]);
            } else {
                line.extend([cell.as_str(), &padding]);
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
        if row == 0 {
            let rules: Vec<String> = columns.iter().map(|column| "─".repeat(column.width)).collect();
            text.push_str(&rules.join(&" ".repeat(GAP)));
            text.push('\n');
        }
    }
    match (all.rows, all.more) {
        (0, 0) => text.push_str("(no rows)\n"),
        (_, 0) => {}
        (_, 1) => text.push_str("… and 1 more row\n"),
        (_, more) => text.push_str(&format!("… and {more} more rows\n")),
    }
    text
}

fn columns(all: &Collected) -> Vec<Column> {
    let Some((first, _)) = all.batches.first() else { return Vec::new() };
    let inserts_only = |kinds: &Arc<[RowKind]>| kinds.iter().all(|kind| *kind == RowKind::Insert);
    let has_kinds =
        all.batches.iter().any(|(_, kinds)| kinds.as_ref().is_some_and(|kinds| !inserts_only(kinds)));
    let mut columns = Vec::new();
    if has_kinds {
        let mut column = Column::new("op".to_owned(), false);
        for (batch, kinds) in &all.batches {
            let kind = |row| kinds.as_ref().map_or(RowKind::Insert, |kinds: &Arc<[RowKind]>| kinds[row]);
            column.cells.extend((0..batch.num_rows()).map(|row| kind_text(kind(row)).to_owned()));
        }
        columns.push(column);
    }
    let mut scratch = Vec::new();
    for (index, field) in first.schema_ref().fields().iter().enumerate() {
        let mut column = Column::new(printable(field.name()), field.data_type().is_numeric());
        for (batch, _) in &all.batches {
            let array = batch.column(index);
            let cells = Cells::of(array.as_ref());
            for row in 0..batch.num_rows() {
                let mut cell = String::new();
                let number = match &cells {
                    Some(Cells::Float64(values)) => Some(values[row]),
                    Some(Cells::Float32(values)) => Some(f64::from(values[row])),
                    _ => None,
                };
                match number.filter(|number| !array.is_null(row) && number.is_normal()) {
                    Some(number) => cell = rounded(number),
                    None => cell_text(array.is_null(row), cells.as_ref(), row, &mut scratch, &mut cell),
                }
                column.cells.push(printable(&cell));
            }
        }
        columns.push(column);
    }
    for column in &mut columns {
        column.width = column.cells.iter().map(|cell| cell.width()).max().unwrap_or(0);
    }
    columns
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

/// Takes from the widest column of text, one character at a time, until all fit.
fn fit(columns: &mut [Column], available: usize) {
    let gaps = GAP * columns.len().saturating_sub(1);
    let mut total = columns.iter().map(|column| column.width).sum::<usize>() + gaps;
    while total > available {
        let texts = columns.iter_mut().filter(|column| !column.is_number && column.width > NARROWEST);
        let Some(widest) = texts.max_by_key(|column| column.width) else { return };
        widest.width -= 1;
        total -= 1;
    }
}

fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut taken = 0;
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken + 1 > width {
            break;
        }
        shown.push(c);
    }
    shown.push('…');
    shown
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
