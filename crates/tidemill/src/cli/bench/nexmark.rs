//! `tidemill bench nexmark`: each query in a process of its own, with state in RocksDB, exactly-once and checkpoints.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::HumanCount;
use serde_json::json;
use tidemill_core::ScratchFolder;
use tidemill_sql::UserFunctions;

use super::child::{Ended, Runner};
use super::figures::{Figures, SourceColumn};
use super::queries::{self, Events, Query};
use super::report::{self, Row, Variant};
use crate::Error;
use crate::cli::Outcome;
use crate::config::ConfigArgs;
use crate::embedded::{JobArgs, sql_executor};
use crate::sql::{ResultFormat, run_script};

/// Run the queries of the Nexmark benchmark
///
/// Each query runs in a process of its own into a sink that forgets its rows, with state in RocksDB, exactly-once, and a checkpoint
/// every ten seconds. What the sources take by themselves is measured too. -D changes all of this.
#[derive(Args, Debug)]
pub(super) struct NexmarkCommand {
    /// How many events, such as 500k or 10M
    #[arg(long, value_name = "N", default_value = "10M", value_parser = count, conflicts_with_all = ["seconds", "record"])]
    events: u64,
    /// Which queries, such as q0,q5; all, unless some are named
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    queries: Vec<String>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Read events from a file with one JSON object a line, instead of making them
    #[arg(long, value_name = "FILE", conflicts_with_all = ["events", "seconds", "record"])]
    input: Option<PathBuf>,
    /// Make events without end and measure for so many seconds, behind a warm-up
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Do not measure the first seconds of events without end
    #[arg(long, value_name = "N", default_value_t = 10)]
    warm_up: u64,
    /// Measure for the record: for 60 seconds and five checkpoints at least, with all state in the cache, and again with three times as much
    /// state as cache
    #[arg(long)]
    record: bool,
    /// The process size, as taskmanager.memory.process.size
    #[arg(long, value_name = "SIZE", default_value = "4g")]
    memory: String,
    /// How many events are in a second of event time
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    event_rate: u32,
    /// End a query that takes longer than so many seconds
    #[arg(long, value_name = "N")]
    timeout: Option<u64>,
    /// Write the events to a file, one JSON object a line, instead of running queries
    #[arg(long, value_name = "FILE", conflicts_with_all = ["input", "seconds", "record", "queries"])]
    write_events: Option<PathBuf>,
    /// Write the scripts of the queries to this folder instead of running them, each as NAME.sql
    #[arg(long, value_name = "FOLDER", conflicts_with = "write_events")]
    write_scripts: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// A number of events.
fn count(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic()) {
        digits if digits.len() == text.trim().len() => (digits, 1),
        digits => match text.trim().get(digits.len()..) {
            Some("k" | "K") => (digits, 1_000),
            Some("m" | "M") => (digits, 1_000_000),
            _ => return Err("a number is expected, such as 20000, 500k or 10M".to_owned()),
        },
    };
    let number: Option<u64> = digits.replace('_', "").parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .filter(|number| *number > 0)
        .ok_or_else(|| "a number above 0 is expected, such as 20000, 500k or 10M".to_owned())
}

/// How long is measured for the record, and with how many checkpoints.
const RECORD_SECONDS: u64 = 60;
const RECORD_CHECKPOINTS: u64 = 5;
/// How long it is waited for the state of an earlier run.
const PATIENCE_SECONDS: u64 = 300;
/// RocksDB needs some memory, so a cache smaller than this says nothing.
const LEAST_CACHE: u64 = 32 << 20;
/// How long sources by themselves are measured when they do not end.
const SOURCE_SECONDS: u64 = 10;

pub(super) fn run(
    command: &NexmarkCommand,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Error> {
    if let Some(path) = &command.write_events {
        return write_events(command, path);
    }
    let selected = queries::select(&command.queries).map_err(Error::Argument)?;
    if let Some(folder) = &command.write_scripts {
        return write_scripts(command, &selected, folder);
    }
    let scratch = ScratchFolder::within(std::env::temp_dir());
    let folder = scratch.create()?;
    std::fs::write(folder.join("side_input.csv"), queries::side_input())?;
    let mut bench = Bench {
        command,
        runner: Runner::new(arguments(command), command.timeout.map(Duration::from_secs))?,
        events: events(command)?,
        folder: folder.display().to_string(),
        alone: BTreeMap::new(),
        interrupted: None,
        rows: Vec::new(),
    };
    for query in &selected {
        bench.measure(query, err)?;
        if let Some(code) = bench.interrupted {
            return Ok(Outcome::Code(code));
        }
    }
    if command.json {
        let rows: Vec<serde_json::Value> = bench.rows.iter().map(Row::json).collect();
        writeln!(out, "{:#}", json!({ "queries": rows }))?;
    } else {
        report::write(&bench.rows, out)?;
    }
    let all_good = bench.rows.iter().all(|row| row.result.is_ok());
    Ok(if all_good { Outcome::Good } else { Outcome::Problem })
}

/// What every query is run with. What the command line sets stands last, so that it counts.
fn arguments(command: &NexmarkCommand) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut args: Vec<String> = Vec::new();
    if let Some(file) = &command.config.config {
        args.extend(["-c".to_owned(), file.display().to_string()]);
    }
    let settings = [
        format!("taskmanager.memory.process.size={}", command.memory),
        format!("parallelism.default={cores}"),
        "state.backend.type=rocksdb".to_owned(),
        "execution.checkpointing.mode=EXACTLY_ONCE".to_owned(),
        "execution.checkpointing.interval=10s".to_owned(),
        "execution.checkpointing.incremental=true".to_owned(),
        // The figures are over all checkpoints.
        "web.checkpoints.history=10000".to_owned(),
        "tidemill.rest.enabled=false".to_owned(),
    ];
    let set = command.config.properties.iter().map(|property| format!("{}={}", property.key, property.value));
    for setting in settings.into_iter().chain(set) {
        args.extend(["-D".to_owned(), setting]);
    }
    args
}

fn absolute(path: &std::path::Path) -> Result<String, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    Ok(std::path::absolute(path).map_err(read)?.display().to_string())
}

fn events(command: &NexmarkCommand) -> Result<Events, Error> {
    if let Some(path) = &command.input {
        std::fs::metadata(path).map_err(|source| Error::Read { path: path.clone(), source })?;
        return Ok(Events::File(absolute(path)?));
    }
    let endless = command.seconds.is_some() || command.record;
    Ok(Events::Generated { count: (!endless).then_some(command.events), event_rate: command.event_rate })
}

/// Writes events in one process at parallelism 1, so that they stand in their order.
fn write_events(command: &NexmarkCommand, path: &std::path::Path) -> Result<Outcome, Error> {
    let script = queries::write_events(command.events, command.event_rate, &absolute(path)?);
    let mut config = command.config.clone();
    config.properties.insert(0, "parallelism.default=1".parse()?);
    config.properties.insert(0, "tidemill.rest.enabled=false".parse()?);
    let (configuration, executor) = sql_executor(&JobArgs::of(config))?;
    run_script(
        &[&script],
        &UserFunctions::default(),
        &configuration,
        &executor,
        ResultFormat::Jsonl,
        &mut std::io::sink(),
    )?;
    Ok(Outcome::Good)
}

fn write_scripts(
    command: &NexmarkCommand,
    selected: &[Query],
    folder: &std::path::Path,
) -> Result<Outcome, Error> {
    std::fs::create_dir_all(folder)?;
    let (events, absolute) = (events(command)?, absolute(folder)?);
    std::fs::write(folder.join("side_input.csv"), queries::side_input())?;
    for query in selected {
        std::fs::write(folder.join(format!("{}.sql", query.name)), query.script(&events, &absolute))?;
    }
    Ok(Outcome::Good)
}

/// What sources have cost by themselves; nothing is known if they have failed.
#[derive(Clone, Copy, Default)]
struct Alone {
    /// How many events they have read.
    events: Option<u64>,
    /// CPU seconds an event.
    seconds: Option<f64>,
}

/// A run of the benchmark.
struct Bench<'a> {
    command: &'a NexmarkCommand,
    runner: Runner,
    events: Events,
    /// For files beside the events.
    folder: String,
    /// What sources have cost by themselves, by what they read.
    alone: BTreeMap<Vec<Vec<SourceColumn>>, Alone>,
    interrupted: Option<u8>,
    rows: Vec<Row>,
}

impl Bench<'_> {
    fn measure(&mut self, query: &Query, err: &mut dyn Write) -> Result<(), Error> {
        if !self.command.record {
            let args = self.command.seconds.map_or_else(Vec::new, |seconds| self.endless(seconds, 1, 0));
            self.row(query, None, &args, err)?;
            return Ok(());
        }
        let seconds = self.command.seconds.unwrap_or(RECORD_SECONDS).max(RECORD_SECONDS);
        let args = self.endless(seconds, RECORD_CHECKPOINTS, 0);
        let Some(resident) = self.row(query, Some(Variant::Resident), &args, err)? else { return Ok(()) };
        // State that grows is compared where the first run began to be measured.
        let state = resident.state_bytes_range.map_or(0, |(first, _)| first);
        let cache = state / 3;
        if cache < LEAST_CACHE {
            let bytes = indicatif::HumanBytes(state);
            writeln!(err, "{}: {bytes} of state are too few for a cache of a third of them", query.name)?;
            return Ok(());
        }
        let mut args = self.endless(seconds, RECORD_CHECKPOINTS, state);
        args.extend(["-D".to_owned(), format!("taskmanager.memory.managed.size={cache}")]);
        self.row(query, Some(Variant::Third), &args, err)?;
        Ok(())
    }

    /// Arguments for events without end.
    fn endless(&self, seconds: u64, checkpoints: u64, state: u64) -> Vec<String> {
        let patience = if state > 0 { PATIENCE_SECONDS } else { 0 };
        [
            ("--seconds", seconds),
            ("--checkpoints", checkpoints),
            ("--warm-up", self.command.warm_up),
            ("--state-bytes", state),
            ("--patience", patience),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value.to_string()])
        .collect()
    }

    /// Runs a query and says how it went.
    fn row(
        &mut self,
        query: &Query,
        variant: Option<Variant>,
        args: &[String],
        err: &mut dyn Write,
    ) -> Result<Option<Figures>, Error> {
        let what = match variant {
            Some(variant) => format!("{} ({})", query.name, variant.name()),
            None => query.name.to_owned(),
        };
        let script = query.script(&self.events, &self.folder);
        let result = match self.runner.run(&script, args, &what)? {
            Ended::Well(figures) => Ok(figures),
            Ended::Failed(problem) => Err(problem),
            Ended::Interrupted(code) => {
                self.interrupted = Some(code);
                return Ok(None);
            }
        };
        let (events, source_seconds) = match &result {
            Ok(figures) => {
                let alone = self.sources_alone(&figures.sources)?;
                (self.count(figures, alone), alone.seconds)
            }
            Err(_) => (0, None),
        };
        let row = Row { query: query.name, variant, events, result, source_seconds };
        match row.per_second() {
            Some(rate) => writeln!(err, "{what}: {} events/s", HumanCount(rate as u64))?,
            None => writeln!(err, "{what}: failed")?,
        }
        let figures = row.result.as_ref().ok().cloned();
        self.rows.push(row);
        Ok(figures)
    }

    /// How many events there were. Files count their progress in bytes, and what leaves the source of a query has gone through
    /// the filters of the query; so the events of a file are those that are read without them.
    fn count(&self, figures: &Figures, alone: Alone) -> u64 {
        match self.events {
            Events::Generated { count: Some(count), .. } => count,
            Events::Generated { count: None, .. } => figures.source_progress,
            Events::File(_) => alone.events.unwrap_or(figures.source_records),
        }
    }

    /// Runs the sources of a query by themselves, unless others have read the same.
    fn sources_alone(&mut self, sources: &[Vec<SourceColumn>]) -> Result<Alone, Error> {
        let mut key = sources.to_vec();
        key.sort();
        if let Some(known) = self.alone.get(&key) {
            return Ok(*known);
        }
        let endless = self.command.record || self.command.seconds.is_some();
        let args = if endless { self.endless(SOURCE_SECONDS, 1, 0) } else { Vec::new() };
        let script = queries::sources_alone(sources, &self.events);
        let alone = match self.runner.run(&script, &args, "the sources alone")? {
            Ended::Well(figures) => {
                let read = Alone { events: Some(figures.source_records), seconds: None };
                let events = self.count(&figures, read);
                let seconds = figures.cpu_seconds.map(|seconds| seconds / events.max(1) as f64);
                Alone { events: Some(events), seconds }
            }
            // The query itself has succeeded.
            Ended::Failed(_) => Alone::default(),
            Ended::Interrupted(code) => {
                self.interrupted = Some(code);
                return Ok(Alone::default());
            }
        };
        self.alone.insert(key, alone);
        Ok(alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_units() {
        assert_eq!(count("20000"), Ok(20_000));
        assert_eq!(count("500k"), Ok(500_000));
        assert_eq!(count("10M"), Ok(10_000_000));
        assert_eq!(count("1_000"), Ok(1_000));
        for wrong in ["", "0", "M", "10G", "-1", "99999999999999999999"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }
}
