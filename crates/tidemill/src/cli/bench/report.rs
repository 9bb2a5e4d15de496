//! Figures for people and for programs.

use std::collections::BTreeSet;
use std::io::{self, Write};

use anstyle::Style;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Map, Value, json};

use super::figures::Figures;
use crate::cli::style::{DIM, KEY};
use crate::cli::table::{Align, Column, Table};

/// What is known of one run of a query.
pub(super) struct Row {
    pub(super) query: &'static str,
    /// Which run of several this is.
    pub(super) variant: Option<Variant>,
    pub(super) events: u64,
    /// The figures, or why there are none.
    pub(super) result: Result<Figures, String>,
    /// What the sources have cost by themselves for an event, in seconds of CPU time.
    pub(super) source_seconds: Option<f64>,
}

/// How much of its state a query has in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// All of it.
    Resident,
    /// A third.
    Third,
}

impl Variant {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Resident => "resident",
            Self::Third => "3 × cache",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Resident => "resident",
            Self::Third => "three_times_cache",
        }
    }
}

impl Row {
    pub(super) fn per_second(&self) -> Option<f64> {
        let figures = self.result.as_ref().ok()?;
        Some(self.events as f64 / figures.seconds.max(1e-9))
    }

    /// CPU time of the sources by themselves.
    fn of_sources(&self) -> Option<f64> {
        Some(self.source_seconds? * self.events as f64)
    }

    /// CPU time without that of the sources.
    fn net(&self) -> Option<f64> {
        let cpu = self.result.as_ref().ok()?.cpu_seconds?;
        Some((cpu - self.of_sources()?).max(0.0))
    }

    pub(super) fn json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("query".to_owned(), json!(self.query));
        if let Some(variant) = self.variant {
            fields.insert("variant".to_owned(), json!(variant.key()));
        }
        let figures = match &self.result {
            Err(error) => json!({ "error": error }),
            Ok(figures) => json!({
                "events": self.events,
                "seconds": figures.seconds,
                "events_per_second": self.per_second(),
                "cpu_seconds": figures.cpu_seconds,
                "cpu_seconds_net": self.net(),
                "cpu_seconds_source": self.of_sources(),
                "peak_memory_bytes": figures.peak_memory_bytes,
                "managed_memory_bytes": figures.managed_memory_bytes,
                "state_bytes": figures.state_bytes,
                "state_bytes_first": figures.state_bytes_range.map(|range| range.0),
                "state_bytes_last": figures.state_bytes_range.map(|range| range.1),
                "checkpoints": figures.checkpoints,
                "checkpoints_failed": figures.checkpoint_failures.len(),
                "checkpoint_failures": figures.checkpoint_failures,
                "checkpoint_millis": figures.checkpoint_millis,
                "checkpointed_bytes": figures.checkpointed_bytes,
            }),
        };
        if let Value::Object(figures) = figures {
            fields.extend(figures);
        }
        Value::Object(fields)
    }
}

/// Writes a table of all rows, and below it what has failed.
pub(super) fn write(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    let right = |heading| Column { heading, align: Align::Right, style: Style::new() };
    let has_variants = rows.iter().any(|row| row.variant.is_some());
    let mut columns = vec![Column { heading: "query", align: Align::Left, style: KEY }];
    if has_variants {
        columns.push(Column { heading: "state", align: Align::Left, style: Style::new() });
    }
    columns.extend([
        right("events/s"),
        right("seconds"),
        right("CPU s"),
        right("net CPU s"),
        right("net ns/event"),
        right("peak memory"),
        right("state"),
        right("cache"),
        right("checkpoints"),
        right("median ms"),
    ]);
    let count = columns.len();
    let mut table = Table::new(columns);
    for row in rows {
        let mut cells = vec![row.query.to_owned()];
        if has_variants {
            cells.push(row.variant.map_or(String::new(), |variant| variant.name().to_owned()));
        }
        match &row.result {
            Err(_) => cells.push("failed".to_owned()),
            Ok(figures) => cells.extend(of_figures(row, figures)),
        }
        cells.resize(count, String::new());
        table.row(cells);
    }
    table.write(out)?;
    for row in rows {
        match &row.result {
            Err(error) => writeln!(out, "\n{KEY}{}{KEY:#} {}", row.query, error.replace('\n', "\n   "))?,
            Ok(figures) => {
                let reasons: BTreeSet<&String> = figures.checkpoint_failures.iter().collect();
                for reason in reasons {
                    writeln!(out, "\n{KEY}{}{KEY:#} a checkpoint failed: {reason}", row.query)?;
                }
            }
        }
    }
    writeln!(
        out,
        "\n{DIM}Net: without what the sources take by themselves for the same columns. State: in the largest checkpoint. Cache: \
         the managed memory, in which are RocksDB's caches and buffers and the cache of values.{DIM:#}"
    )
}

fn of_figures(row: &Row, figures: &Figures) -> Vec<String> {
    let bytes = |bytes: Option<u64>| bytes.map_or_else(unknown, |bytes| HumanBytes(bytes).to_string());
    let seconds = |seconds: Option<f64>| seconds.map_or_else(unknown, |seconds| format!("{seconds:.2}"));
    let nanos = row.net().map(|net| net * 1e9 / row.events.max(1) as f64);
    let state = match figures.state_bytes_range {
        Some((first, last)) if row.variant.is_some() => {
            format!("{} to {}", HumanBytes(first), HumanBytes(last))
        }
        _ => bytes(figures.state_bytes),
    };
    let failed = figures.checkpoint_failures.len();
    vec![
        row.per_second().map_or_else(unknown, |rate| HumanCount(rate as u64).to_string()),
        format!("{:.2}", figures.seconds),
        seconds(figures.cpu_seconds),
        seconds(row.net()),
        nanos.map_or_else(unknown, |nanos| format!("{nanos:.0}")),
        bytes(figures.peak_memory_bytes),
        state,
        bytes(Some(figures.managed_memory_bytes)),
        if failed > 0 {
            format!("{} ({failed} failed)", figures.checkpoints)
        } else {
            figures.checkpoints.to_string()
        },
        figures.checkpoint_millis.map_or_else(unknown, |millis| format!("{millis:.0}")),
    ]
}

fn unknown() -> String {
    "–".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let figures = Figures { seconds: 2.0, cpu_seconds: Some(3.0), checkpoints: 1, ..Figures::default() };
        Row { query: "q0", variant: None, events: 1000, result: Ok(figures), source_seconds: Some(0.001) }
    }

    #[test]
    fn net_is_without_the_sources() {
        let json = row().json();
        assert_eq!((&json["cpu_seconds_net"], &json["cpu_seconds_source"]), (&json!(2.0), &json!(1.0)));
        assert_eq!(json["events_per_second"], json!(500.0));
        let faster = Row { source_seconds: Some(1.0), ..row() };
        assert_eq!(faster.json()["cpu_seconds_net"], json!(0.0));
        let unknown = Row { source_seconds: None, ..row() };
        assert_eq!(unknown.json()["cpu_seconds_net"], Value::Null);
    }

    #[test]
    fn what_failed_says_why() {
        let failed = Row { query: "q6", result: Err("no\nway".to_owned()), ..row() };
        assert_eq!(failed.json(), json!({ "query": "q6", "error": "no\nway" }));
        let mut out = anstream::StripStream::new(Vec::new());
        write(&[row(), failed], &mut out).unwrap();
        let text = String::from_utf8(out.into_inner()).unwrap();
        assert!(text.contains("q6       failed\n") && text.contains("q6 no\n   way"), "{text}");
    }
}
