//! Queries: their results are shown while they run.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use chrono_tz::Tz;
use tidemill_core::config::options::ResultMode;
use tidemill_runtime::JobError;
use tidemill_sql::results::cell;
use tidemill_sql::session::{SqlResultTable, SqlRows};
use tidemill_sql::types::LogicalType;
use tidemill_sql::{ResultBatch, ResultChanges};

use super::tableau::Tableau;
use super::view;
use crate::Error;
use crate::embedded::BackgroundJob;
use crate::embedded::signals::Interrupted;

/// How a result is shown.
pub(super) struct Showing {
    pub(super) mode: ResultMode,
    pub(super) most_rows: usize,
    pub(super) column_width: usize,
    pub(super) tells_time: bool,
    pub(super) zone: Tz,
}

/// How showing it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// With the query.
    Whole,
    /// Somebody had enough.
    Interrupted,
}

/// How long changes are waited for before signals are looked at.
const TICK: Duration = Duration::from_millis(50);

/// Shows the result of a job that was just started, until it has ended or somebody has enough: then the job is cancelled.
pub(super) fn show(
    result: &SqlResultTable,
    job: &BackgroundJob,
    showing: &Showing,
    interrupted: &Interrupted,
    out: &mut dyn Write,
) -> Result<Shown, Error> {
    let SqlRows::Changes(changes) = &result.rows else { return Ok(Shown::Whole) };
    let on_screen = showing.mode != ResultMode::Tableau
        && std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal();
    let shown = if on_screen {
        in_place(result, changes, job, showing, out)
    } else {
        line_by_line(result, changes, job, showing, interrupted, out)
    };
    // Whatever has happened, nobody takes changes out any more.
    changes.close();
    if !job.has_ended() {
        job.cancel();
        while !job.wait_for(Duration::from_secs(1)) {}
    }
    let shown = shown?;
    match job.take_error() {
        None | Some(JobError::Cancelled(_)) => Ok(shown),
        Some(error) => Err(error.into()),
    }
}

fn in_place(
    result: &SqlResultTable,
    changes: &ResultChanges,
    job: &BackgroundJob,
    showing: &Showing,
    out: &mut dyn Write,
) -> Result<Shown, Error> {
    let settings = view::Settings {
        changelog: showing.mode == ResultMode::Changelog,
        most: showing.most_rows,
        column_width: showing.column_width,
        zone: showing.zone,
    };
    let seen = view::show(result, changes, job, &settings)?;
    if seen.is_left_early {
        writeln!(out, "[INFO] Result retrieval cancelled.")?;
    } else {
        let what = if settings.changelog { "changes" } else { "rows" };
        writeln!(out, "[INFO] The query has ended with {} {what}.", seen.rows)?;
    }
    Ok(Shown::Whole)
}

fn line_by_line(
    result: &SqlResultTable,
    changes: &ResultChanges,
    job: &BackgroundJob,
    showing: &Showing,
    interrupted: &Interrupted,
    out: &mut dyn Write,
) -> Result<Shown, Error> {
    let began = Instant::now();
    let types: Vec<LogicalType> = result.columns.iter().map(|(_, logical)| logical.clone()).collect();
    let mut printer = Printer { types, zone: showing.zone, tableau: None, rows: 0 };
    // Rows whose order is that of the whole table are shown when all of it is there.
    let mut held = result.order.is_of_whole().then(|| result.materialized(usize::MAX));
    let mut shown = Shown::Whole;
    loop {
        if interrupted.take() {
            shown = Shown::Interrupted;
            break;
        }
        // Asked first: what came before the end is taken out behind it.
        let has_ended = job.has_ended();
        match (changes.next(if has_ended { Duration::ZERO } else { TICK }), &mut held) {
            (Some(batch), Some(table)) => table.apply(&batch),
            (Some(batch), None) => {
                let rows = result.order.shown(&batch.rows).map_err(Error::Result)?;
                printer.print(result, showing, &rows, &batch, out)?;
                out.flush()?;
            }
            (None, _) if has_ended => break,
            (None, _) => {}
        }
    }
    if let Some(error) = job.take_error().filter(|error| !matches!(error, JobError::Cancelled(_))) {
        return Err(error.into());
    }
    if let Some(table) = held.filter(|_| shown == Shown::Whole) {
        let all = table.rows(0, usize::MAX).map_err(Error::Result)?;
        let rows = result.order.apply(all).map_err(Error::Result)?;
        let batch = ResultBatch { rows: rows.clone(), kinds: None };
        printer.print(result, showing, &rows, &batch, out)?;
    }
    printer.end(showing, shown, began.elapsed(), out)?;
    Ok(shown)
}

struct Printer {
    types: Vec<LogicalType>,
    zone: Tz,
    tableau: Option<Tableau>,
    rows: u64,
}

impl Printer {
    fn print(
        &mut self,
        result: &SqlResultTable,
        showing: &Showing,
        rows: &RecordBatch,
        kinds: &ResultBatch,
        out: &mut dyn Write,
    ) -> Result<(), Error> {
        let tableau = match &self.tableau {
            Some(tableau) => tableau,
            None => self.tableau.insert(Tableau::begin(&result.columns, showing.column_width, out)?),
        };
        for row in 0..rows.num_rows() {
            let cells = rows.columns().iter().zip(&self.types);
            let cells: Vec<_> =
                cells.map(|(column, logical)| cell(column, logical, self.zone, row)).collect();
            tableau.row(kinds.kind(row), &cells, out)?;
        }
        self.rows += rows.num_rows() as u64;
        Ok(())
    }

    fn end(&self, showing: &Showing, shown: Shown, took: Duration, out: &mut dyn Write) -> Result<(), Error> {
        let rows = format!("{} {}", self.rows, if self.rows == 1 { "row" } else { "rows" });
        let took = match showing.tells_time {
            true => format!(" ({:.2} seconds)", took.as_secs_f64()),
            false => String::new(),
        };
        if shown == Shown::Interrupted {
            writeln!(out, "\nQuery terminated, received a total of {rows}")?;
            return Ok(());
        }
        match &self.tableau {
            Some(tableau) => {
                tableau.rule(out)?;
                writeln!(out, "Received a total of {rows}{took}")?;
            }
            None => writeln!(out, "Empty set{took}")?,
        }
        Ok(())
    }
}
