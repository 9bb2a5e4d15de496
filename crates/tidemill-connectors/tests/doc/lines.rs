// What the examples of the formats read and write with: a file each, as a job would.

/// The rows of a file with the columns `airport` (text), `delay` (a number) and `at` (a time), as they are printed; or why it
/// cannot be read.
pub fn read(format: impl Into<tidemill_connectors::FileFormat>, text: &str) -> Result<Vec<String>, String> {
    use arrow_schema::{DataType, Field, Schema, TimeUnit};
    use tidemill_connectors::{FileSource, PrintSink, PrintTarget};
    use tidemill_runtime::source::{ReaderStatus, Source, SourceOutput, SplitAssignment};
    use tidemill_runtime::{OperatorContext, OperatorFactory, Output};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, text).unwrap();
    let schema = std::sync::Arc::new(Schema::new(vec![
        Field::new("airport", DataType::Utf8, true),
        Field::new("delay", DataType::Float64, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]));
    let source = FileSource::new(path.to_str().unwrap(), format, schema).map_err(|error| error.to_string())?;
    let context = || OperatorContext::detached(0, 1, 128, std::sync::Arc::new(tidemill_state::SystemClock));
    let printed = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let mut print = PrintSink::rows().target(PrintTarget::Writer(printed.clone())).create(0).unwrap();
    print.open(&context(), None).unwrap();
    let mut splits = source.create_enumerator(1, None).unwrap();
    let mut reader = source.create_reader(&context()).unwrap();
    let mut out = SourceOutput::new(100);
    loop {
        let status = reader.poll(&mut out).map_err(|error| error.to_string())?;
        for (_, batch) in out.take().0 {
            print.process(0, batch, &mut Output::default()).unwrap();
        }
        match status {
            ReaderStatus::End => break,
            ReaderStatus::NeedsSplit => match splits.next_split(0).unwrap() {
                SplitAssignment::Split(split) => reader.add_split(split).unwrap(),
                _ => reader.no_more_splits(),
            },
            _ => {}
        }
    }
    let printed = String::from_utf8(printed.lock().clone()).unwrap();
    let row = |line: &str| line.trim_start_matches("+I[").trim_end_matches(']').to_owned();
    Ok(printed.lines().map(row).collect())
}

/// What is written for two rows: JFK, 12.0, 2013-01-31 14:05:00; and one whose airport is a text with all that is special in
/// CSV, and whose other columns are NULL.
pub fn written(format: impl Into<tidemill_connectors::OutputFormat>) -> String {
    use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMillisecondArray};
    use tidemill_connectors::FileSink;
    use tidemill_core::{ArrowBatch, Batch};
    use tidemill_runtime::{OperatorContext, OperatorFactory, Output};

    let airports: ArrayRef = std::sync::Arc::new(StringArray::from(vec!["JFK", "a;b,~"]));
    let delays: ArrayRef = std::sync::Arc::new(Float64Array::from(vec![Some(12.0), None]));
    let times: ArrayRef = std::sync::Arc::new(TimestampMillisecondArray::from(vec![Some(1_359_641_100_000), None]));
    let columns = [("airport", airports, true), ("delay", delays, true), ("at", times, true)];
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let sink = FileSink::single_file(&path, format, rows.schema()).unwrap();
    let mut sink = sink.create(0).unwrap();
    sink.open(&OperatorContext::detached(0, 1, 128, std::sync::Arc::new(tidemill_state::SystemClock)), None).unwrap();
    let out = &mut Output::default();
    sink.process(0, Batch::new(ArrowBatch::inserts(rows)), out).unwrap();
    sink.finish(out).unwrap();
    std::fs::read_to_string(path).unwrap()
}
