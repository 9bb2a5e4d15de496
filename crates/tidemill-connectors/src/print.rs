//! A sink on the terminal: one record a line.

use std::fmt::{Debug, Display, Write as _};
use std::io::Write;
use std::sync::Arc;

use arrow_array::RecordBatch;
use parking_lot::Mutex;
use tidemill_core::batch::RowKind;
use tidemill_core::{ArrowBatch, Batch, TypedBatch};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_serialization::Data;
use tidemill_state::{OperatorSnapshot, OperatorStateMode, SubtaskSnapshot};

use crate::cells::{Dialect, Tree, print};
use crate::error::ConnectorError;
use crate::printer::Printer;

/// Where a sink prints to.
///
/// ```
/// use std::sync::Arc;
/// use parking_lot::Mutex;
/// use tidemill_connectors::PrintTarget;
///
/// let written = Arc::new(Mutex::new(Vec::new()));
/// let target = PrintTarget::Writer(written.clone());
/// # let _ = target;
/// ```
#[derive(Clone, Default)]
pub enum PrintTarget {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
    /// Anything else. The task itself writes to it, so it should not block for long.
    Writer(Arc<Mutex<dyn Write + Send>>),
}

/// Appends the lines of a batch, each behind the prefix.
type Lines = fn(&Batch, &str, &mut String) -> Result<(), OperatorError>;

/// Prints records, as Flink's `print()`: with several subtasks, the number of the subtask (from 1) and `> ` stand
/// before each.
///
/// While nobody reads what is printed, the sink takes no more records; the job can be cancelled all the same. When the reader
/// has gone, as in `job | head`, the sink fails: there is nobody left to print for.
///
/// A snapshot holds the text that is not yet known to be out. A job that goes on from it prints this text first, so that each
/// record is printed at least once; as with Flink's `print()`, those from before the failure may be printed again.
///
/// ```
/// # use tidemill_core::{Batch, TypedBatch};
/// # use tidemill_runtime::{OperatorContext, OperatorFactory, Output};
/// # use tidemill_state::SystemClock;
/// use std::sync::Arc;
/// use parking_lot::Mutex;
/// use tidemill_connectors::{PrintSink, PrintTarget};
///
/// let written = Arc::new(Mutex::new(Vec::new()));
/// let sink = PrintSink::display::<u64>().name("numbers").target(PrintTarget::Writer(written.clone()));
/// # let mut sink = sink.create(0)?;
/// # sink.open(&OperatorContext::detached(0, 1, 128, Arc::new(SystemClock)), None)?;
/// # let out = &mut Output::default();
/// # sink.process(0, Batch::new(TypedBatch::from_values(vec![7u64])), out)?;
/// # sink.finish(out)?;
/// assert_eq!(*written.lock(), b"numbers> 7\n");
/// # Ok::<(), tidemill_runtime::OperatorError>(())
/// ```
#[derive(Clone)]
pub struct PrintSink {
    lines: Lines,
    name: String,
    target: PrintTarget,
}

impl PrintSink {
    fn new(lines: Lines) -> Self {
        Self { lines, name: String::new(), target: PrintTarget::default() }
    }

    /// Prints records by their `Display`.
    ///
    /// ```
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_runtime::{OperatorContext, OperatorFactory, Output};
    /// # use tidemill_state::SystemClock;
    /// use std::sync::Arc;
    /// use parking_lot::Mutex;
    /// use tidemill_connectors::{PrintSink, PrintTarget};
    ///
    /// let written = Arc::new(Mutex::new(Vec::new()));
    /// let sink = PrintSink::display::<String>().target(PrintTarget::Writer(written.clone()));
    /// # let mut sink = sink.create(0)?;
    /// # sink.open(&OperatorContext::detached(0, 1, 128, Arc::new(SystemClock)), None)?;
    /// # let out = &mut Output::default();
    /// # sink.process(0, Batch::new(TypedBatch::from_values(vec!["JFK".to_owned()])), out)?;
    /// # sink.finish(out)?;
    /// assert_eq!(*written.lock(), b"JFK\n");
    /// # Ok::<(), tidemill_runtime::OperatorError>(())
    /// ```
    pub fn display<T: Data + Display>() -> Self {
        Self::new(|batch, prefix, text| {
            for value in &batch.downcast_ref::<TypedBatch<T>>()?.values {
                let _ = writeln!(text, "{prefix}{value}");
            }
            Ok(())
        })
    }

    /// Prints records by their `Debug`.
    ///
    /// ```
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_runtime::{OperatorContext, OperatorFactory, Output};
    /// # use tidemill_state::SystemClock;
    /// use std::sync::Arc;
    /// use parking_lot::Mutex;
    /// use tidemill_connectors::{PrintSink, PrintTarget};
    ///
    /// let written = Arc::new(Mutex::new(Vec::new()));
    /// let sink = PrintSink::debug::<String>().target(PrintTarget::Writer(written.clone()));
    /// # let mut sink = sink.create(0)?;
    /// # sink.open(&OperatorContext::detached(0, 1, 128, Arc::new(SystemClock)), None)?;
    /// # let out = &mut Output::default();
    /// # sink.process(0, Batch::new(TypedBatch::from_values(vec!["JFK".to_owned()])), out)?;
    /// # sink.finish(out)?;
    /// assert_eq!(*written.lock(), b"\"JFK\"\n");
    /// # Ok::<(), tidemill_runtime::OperatorError>(())
    /// ```
    pub fn debug<T: Data + Debug>() -> Self {
        Self::new(|batch, prefix, text| {
            for value in &batch.downcast_ref::<TypedBatch<T>>()?.values {
                let _ = writeln!(text, "{prefix}{value:?}");
            }
            Ok(())
        })
    }

    /// Prints rows of columns with the kind of their change, in the words of SQL: `+I[JFK, 12, NULL]`.
    ///
    /// ```
    /// use tidemill_connectors::{PrintSink, PrintTarget};
    ///
    /// let sink = PrintSink::rows().target(PrintTarget::Stderr);
    /// # let _ = sink;
    /// ```
    pub fn rows() -> Self {
        Self::new(|batch, prefix, text| print_rows(batch, prefix, Dialect::Sql, text))
    }

    /// Prints rows of columns to the letter as Flink's connector `print` does, which has the objects of Java
    /// print themselves: `+I[JFK, 12, null, 2013-01-01T05:15]`, with rows in rows as `+I[…]`, arrays as
    /// `[a, b]`, maps as `{k=v}`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_runtime::{OperatorContext, OperatorFactory, Output};
    /// # use tidemill_state::SystemClock;
    /// use arrow_array::{ArrayRef, RecordBatch, TimestampMillisecondArray};
    /// # use parking_lot::Mutex;
    /// use tidemill_connectors::{PrintSink, PrintTarget};
    /// use tidemill_core::{ArrowBatch, Batch};
    ///
    /// let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![Some(1_357_017_300_000), None]));
    /// let rows = RecordBatch::try_from_iter([("at", times)]).unwrap();
    /// # let written = Arc::new(Mutex::new(Vec::new()));
    /// let sink = PrintSink::flink_rows().name("times").target(PrintTarget::Writer(written.clone()));
    /// # let mut sink = sink.create(0)?;
    /// # sink.open(&OperatorContext::detached(0, 1, 128, Arc::new(SystemClock)), None)?;
    /// # let out = &mut Output::default();
    /// # sink.process(0, Batch::new(ArrowBatch::inserts(rows)), out)?;
    /// # sink.finish(out)?;
    /// assert_eq!(*written.lock(), b"times> +I[2013-01-01T05:15]\ntimes> +I[null]\n");
    /// # Ok::<(), tidemill_runtime::OperatorError>(())
    /// ```
    pub fn flink_rows() -> Self {
        Self::new(|batch, prefix, text| print_rows(batch, prefix, Dialect::Java, text))
    }

    /// Something that stands before each record, to tell sinks apart.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whether to print to standard error instead of standard output (`standard-error`).
    pub fn standard_error(mut self, yes: bool) -> Self {
        self.target = if yes { PrintTarget::Stderr } else { PrintTarget::Stdout };
        self
    }

    /// Where to print to (default: standard output).
    pub fn target(mut self, target: PrintTarget) -> Self {
        self.target = target;
        self
    }
}

fn print_rows(batch: &Batch, prefix: &str, dialect: Dialect, text: &mut String) -> Result<(), OperatorError> {
    let rows = batch.downcast_ref::<ArrowBatch>()?;
    each_row(rows, dialect, |kind, row| {
        let _ = writeln!(text, "{prefix}{kind}[{row}]");
    });
    Ok(())
}

/// Calls `each` with the kind and the text of every row.
pub(crate) fn each_row(rows: &ArrowBatch, dialect: Dialect, mut each: impl FnMut(&str, &str)) {
    let columns: Vec<_> = trees(&rows.records);
    let (mut text, mut scratch) = (String::new(), Vec::new());
    for row in 0..rows.records.num_rows() {
        let kind = rows.kinds.as_ref().and_then(|kinds| kinds.get(row)).copied().unwrap_or(RowKind::Insert);
        text.clear();
        for (index, column) in columns.iter().enumerate() {
            text.push_str(if index > 0 { ", " } else { "" });
            cell_text(column.as_ref(), row, dialect, &mut scratch, &mut text);
        }
        each(kind_text(kind), &text);
    }
}

/// The columns of rows, downcast.
pub(crate) fn trees(records: &RecordBatch) -> Vec<Option<Tree<'_>>> {
    records.columns().iter().map(|array| Tree::of(array.as_ref(), &|_| Vec::new())).collect()
}

pub(crate) fn kind_text(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Insert => "+I",
        RowKind::UpdateBefore => "-U",
        RowKind::UpdateAfter => "+U",
        RowKind::Delete => "-D",
    }
}

/// Appends a value for people to read.
pub(crate) fn cell_text(
    column: Option<&Tree<'_>>,
    row: usize,
    dialect: Dialect,
    scratch: &mut Vec<u8>,
    text: &mut String,
) {
    match column {
        Some(column) => print(column, row, dialect, scratch, text),
        // A type that no table of SQL has.
        None => text.push('?'),
    }
}

impl OperatorFactory for PrintSink {
    fn create(&self, _subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        let printer = Printer::new(self.target.clone());
        let (sink, prefix, restored) = (self.clone(), String::new(), String::new());
        Ok(Box::new(PrintOperator { sink, prefix, restored, printer }))
    }

    fn is_stateful(&self) -> bool {
        true
    }
}

struct PrintOperator {
    sink: PrintSink,
    prefix: String,
    /// What an earlier run had to print, and may not have printed.
    restored: String,
    printer: Printer,
}

/// The name under which text on its way is stored.
const UNWRITTEN: &str = "print-unwritten";

impl PrintOperator {
    /// Whether all text is out.
    fn poll(&mut self) -> Result<bool, ConnectorError> {
        if !self.printer.poll()? {
            return Ok(false);
        }
        if self.restored.is_empty() {
            return Ok(true);
        }
        self.printer.print(std::mem::take(&mut self.restored))?;
        self.printer.poll()
    }
}

impl Operator for PrintOperator {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.printer.open(context.waker.clone());
        let states = restored.into_iter().flat_map(|snapshot| snapshot.operator);
        for state in states.filter(|state| state.name == UNWRITTEN) {
            self.restored.extend(state.read::<String>()?);
        }
        let name = &self.sink.name;
        let number = context.subtask + 1;
        self.prefix = match (name.is_empty(), context.parallelism > 1) {
            (true, false) => String::new(),
            (true, true) => format!("{number}> "),
            (false, false) => format!("{name}> "),
            (false, true) => format!("{name}:{number}> "),
        };
        Ok(())
    }

    fn process(&mut self, _input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        if !self.poll()? {
            out.keep(batch);
            return Ok(Progress::Wait);
        }
        let mut text = self.printer.buffer();
        (self.sink.lines)(&batch, &self.prefix, &mut text)?;
        self.printer.print(text)?;
        out.recycle(batch);
        Ok(Progress::Done)
    }

    fn finish(&mut self, _out: &mut Output) -> Result<Progress, OperatorError> {
        Ok(if self.poll()? { Progress::Done } else { Progress::Wait })
    }

    fn snapshot(&mut self, _: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        // At most one of the two: what was restored goes to the printer as a whole.
        let texts = [self.printer.unwritten().unwrap_or_default(), self.restored.clone()];
        let texts: Vec<String> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        if texts.is_empty() {
            return Ok(SubtaskSnapshot::default());
        }
        let state = OperatorSnapshot::of(UNWRITTEN, OperatorStateMode::Split, &texts);
        Ok(SubtaskSnapshot { operator: vec![state], ..SubtaskSnapshot::default() })
    }

    fn close(&mut self) {
        self.printer.close();
    }
}

#[cfg(test)]
mod tests {
    use tidemill_core::CheckpointBarrier;

    use tidemill_state::SystemClock;

    use super::*;

    fn open(sink: &PrintSink, restored: Option<SubtaskSnapshot>) -> PrintOperator {
        let printer = Printer::new(sink.target.clone());
        let (prefix, text) = (String::new(), String::new());
        let mut operator = PrintOperator { sink: sink.clone(), prefix, restored: text, printer };
        operator.open(&OperatorContext::detached(0, 1, 128, Arc::new(SystemClock)), restored).unwrap();
        operator
    }

    #[test]
    fn what_was_not_out_at_a_snapshot_is_printed_first() {
        let mut stuck = open(&PrintSink::display::<u32>().target(PrintTarget::Stderr), None);
        stuck.printer.hold("1\n2\n");
        let batch = || Batch::new(TypedBatch::from_values(vec![3u32]));
        let out = &mut Output::default();
        assert_eq!(stuck.process(0, batch(), out).unwrap(), Progress::Wait);
        let snapshot = stuck.snapshot(&SnapshotContext::of(CheckpointBarrier::new(1, 0))).unwrap();

        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = PrintSink::display::<u32>().target(PrintTarget::Writer(written.clone()));
        let mut restored = open(&sink, Some(snapshot));
        let again = restored.snapshot(&SnapshotContext::of(CheckpointBarrier::new(1, 0))).unwrap();
        assert_eq!(restored.process(0, batch(), out).unwrap(), Progress::Done);
        assert_eq!(written.lock().as_slice(), b"1\n2\n3\n");
        assert!(
            restored.snapshot(&SnapshotContext::of(CheckpointBarrier::new(1, 0))).unwrap().is_empty(),
            "all is out"
        );

        written.lock().clear();
        let mut without_input = open(&sink, Some(again));
        assert_eq!(without_input.finish(out).unwrap(), Progress::Done);
        assert_eq!(written.lock().as_slice(), b"1\n2\n");
    }
}
