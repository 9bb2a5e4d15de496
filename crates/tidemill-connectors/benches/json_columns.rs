//! Writes events of Nexmark as nested JSON, and reads them back with all columns and with few; prints how
//! fast on one core.

#![allow(clippy::print_stdout)] // A table of results is what it is for.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_schema::SchemaRef;
use tidemill_connectors::{ConnectorError, FileSink, FileSource, JsonOptions, JsonOutput, NexmarkColumns};
use tidemill_core::{ArrowBatch, Batch};
use tidemill_runtime::source::{ReaderStatus, Source, SourceOutput, SplitAssignment};
use tidemill_runtime::{OperatorContext, OperatorError, OperatorFactory, Output};
use tidemill_state::SystemClock;

const EVENTS: usize = 1_000_000;
const BATCH: usize = 4096;
const ROUNDS: usize = 3;

fn context() -> OperatorContext {
    OperatorContext::detached(0, 1, 128, Arc::new(SystemClock))
}

fn report(what: &str, seconds: f64, bytes: u64) {
    let (events, megabytes) = (EVENTS as f64 / seconds / 1e6, bytes as f64 / seconds / 1e6);
    println!("{what:<44} {events:>8.2} million events/s {megabytes:>8.0} MB/s of text");
}

fn read(path: &str, schema: SchemaRef) -> Result<f64, OperatorError> {
    let source = FileSource::new(path, JsonOptions::new(), schema)?;
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let mut splits = source.create_enumerator(1, None)?;
        let mut reader = source.create_reader(&context())?;
        let mut out = SourceOutput::new(BATCH);
        let mut rows = 0;
        loop {
            let status = reader.poll(&mut out)?;
            rows += out.take().0.into_iter().map(|(_, batch)| black_box(batch).len()).sum::<usize>();
            match status {
                ReaderStatus::End => break,
                ReaderStatus::NeedsSplit => match splits.next_split(0)? {
                    SplitAssignment::Split(split) => reader.add_split(split)?,
                    _ => reader.no_more_splits(),
                },
                _ => {}
            }
        }
        assert_eq!(rows, EVENTS);
        best = best.min(began.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn main() -> Result<(), OperatorError> {
    let fail = |error| ConnectorError::io("write", "a temporary folder", error);
    let folder = tempfile::tempdir().map_err(fail)?;
    let path = folder.path().join("events.json");
    let all = NexmarkColumns::bounded(EVENTS as u64);
    let batches: Vec<_> = (0..EVENTS)
        .step_by(BATCH)
        .map(|first| all.rows(first as u64, BATCH.min(EVENTS - first)))
        .collect::<Result<_, _>>()?;
    let began = Instant::now();
    let sink = FileSink::single_file(&path, JsonOutput::new().ignore_null_fields(true), all.schema())?;
    let mut sink = sink.create(0)?;
    sink.open(&context(), None)?;
    for rows in batches {
        sink.process(0, Batch::new(ArrowBatch::inserts(rows)), &mut Output::default())?;
    }
    sink.finish(&mut Output::default())?;
    sink.close();
    let bytes = std::fs::metadata(&path).map_err(fail)?.len();
    report("written, all columns", began.elapsed().as_secs_f64(), bytes);

    let path = &path.to_string_lossy();
    report("read, all columns", read(path, all.schema())?, bytes);
    for paths in [
        &["bid.auction", "bid.bidder", "bid.price", "bid.dateTime"][..],
        &["bid.auction", "bid.price"],
        &["bid"],
        &["event_type"],
    ] {
        let some = all.clone().project_paths(paths)?.schema();
        report(&format!("read, {}", paths.join(", ")), read(path, some)?, bytes);
    }
    Ok(())
}
