//! Results of queries on standard output.

use std::io::Write;

use arrow_array::RecordBatch;
use chrono_tz::Tz;
use clap::ValueEnum;
use tidemill_core::config::Configuration;
use tidemill_sql::results::{cell, write_json_row};
use tidemill_sql::session::SqlResultTable;
use tidemill_sql::types::LogicalType;

use crate::Error;
use crate::cli::table::shorten;

/// How the rows of a result are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResultFormat {
    /// A table to read.
    #[default]
    Table,
    /// One JSON array a row.
    Jsonl,
    /// Comma-separated values below a line with the names of the columns.
    Csv,
}

/// The time zone of the session.
pub(crate) fn zone(configuration: &Configuration) -> Result<Tz, Error> {
    match configuration.get_raw("table.local-time-zone").map(|entry| entry.value.as_str()) {
        None | Some("default") => Ok(Tz::UTC),
        Some(name) => name.parse().map_err(|_| {
            Error::Argument(format!("'table.local-time-zone' is '{name}', which is no time zone"))
        }),
    }
}

/// Writes the table that a query ended in.
pub(crate) fn write_result(
    result: &SqlResultTable,
    zone: Tz,
    format: ResultFormat,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let batch = result.final_rows().map_err(Error::Result)?;
    write_batch(&result.columns, &batch, zone, format, out)
}

/// Writes rows of `columns`.
pub(crate) fn write_batch(
    columns: &[(String, LogicalType)],
    batch: &RecordBatch,
    zone: Tz,
    format: ResultFormat,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let types: Vec<LogicalType> = columns.iter().map(|(_, logical)| logical.clone()).collect();
    if format == ResultFormat::Jsonl {
        let mut line = String::new();
        for row in 0..batch.num_rows() {
            line.clear();
            write_json_row(batch, &types, zone, row, &mut line);
            line.push('\n');
            out.write_all(line.as_bytes())?;
        }
        return Ok(());
    }
    let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    let rows: Vec<Vec<Option<String>>> =
        (0..batch.num_rows()).map(|row| cells(batch, &types, zone, row)).collect();
    match format {
        ResultFormat::Csv => write_csv(&names, &rows, out),
        _ => {
            let numbers: Vec<bool> = types.iter().map(|logical| logical.root.is_numeric()).collect();
            write_table(&names, &rows, &numbers, out)?;
            let count = rows.len();
            writeln!(out, "{count} {}", if count == 1 { "row" } else { "rows" })?;
            Ok(())
        }
    }
}

/// Writes a list that a statement such as `SHOW TABLES` gives.
pub(crate) fn write_list(
    columns: &[String],
    rows: &[Vec<String>],
    format: ResultFormat,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let rows: Vec<Vec<Option<String>>> =
        rows.iter().map(|row| row.iter().map(|cell| Some(cell.clone())).collect()).collect();
    match format {
        ResultFormat::Table => write_table(columns, &rows, &vec![false; columns.len()], out),
        ResultFormat::Csv => write_csv(columns, &rows, out),
        ResultFormat::Jsonl => {
            for row in &rows {
                let cells: Vec<&str> = row.iter().flatten().map(String::as_str).collect();
                writeln!(out, "{}", serde_json::Value::from(cells))?;
            }
            Ok(())
        }
    }
}

fn cells(batch: &RecordBatch, types: &[LogicalType], zone: Tz, row: usize) -> Vec<Option<String>> {
    batch.columns().iter().zip(types).map(|(column, logical)| cell(column, logical, zone, row)).collect()
}

/// Cells longer than this are cut in tables.
const WIDEST: usize = 60;

fn write_table(
    names: &[String],
    rows: &[Vec<Option<String>>],
    numbers: &[bool],
    out: &mut dyn Write,
) -> Result<(), Error> {
    let shown = |cell: &Option<String>| match cell {
        Some(text) => shorten(&text.replace(|c: char| c.is_control(), " "), WIDEST).into_owned(),
        None => "<NULL>".to_owned(),
    };
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let width = |text: &str| text.chars().count();
    let mut widths: Vec<usize> = names.iter().map(|name| width(name)).collect();
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    let rule = format!("+{}+", rule.join("+"));
    let line = |cells: &[String], out: &mut dyn Write| -> Result<(), Error> {
        let padded = cells.iter().zip(&widths).zip(numbers).map(|((cell, wanted), is_number)| {
            let padding = " ".repeat(wanted - width(cell));
            if *is_number { format!(" {padding}{cell} ") } else { format!(" {cell}{padding} ") }
        });
        writeln!(out, "|{}|", padded.collect::<Vec<_>>().join("|"))?;
        Ok(())
    };
    writeln!(out, "{rule}")?;
    line(names, out)?;
    writeln!(out, "{rule}")?;
    for row in &rows {
        line(row, out)?;
    }
    writeln!(out, "{rule}")?;
    Ok(())
}

fn write_csv(names: &[String], rows: &[Vec<Option<String>>], out: &mut dyn Write) -> Result<(), Error> {
    let quoted = |text: &str| {
        if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let heads: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    writeln!(out, "{}", heads.join(","))?;
    for row in rows {
        let cells: Vec<String> =
            row.iter().map(|cell| cell.as_deref().map(quoted).unwrap_or_default()).collect();
        writeln!(out, "{}", cells.join(","))?;
    }
    Ok(())
}
