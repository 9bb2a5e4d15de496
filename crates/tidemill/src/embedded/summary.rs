//! What a job has done, as a table: one row a vertex. Skew shows as the distance between median and maximum.

use std::io::{self, Write};

use anstyle::Style;
use indicatif::{HumanBytes, HumanCount};
use tidemill_core::graph::JobVertex;
use tidemill_runtime::cluster::JobHandle;
use tidemill_runtime::metrics::TaskMetrics;

use crate::cli::table::{Align, Column, Table, shorten};

/// Writes the table, to standard error: as wide as its terminal allows.
pub(super) fn write(job: &JobHandle, out: &mut dyn Write) -> io::Result<()> {
    let column = |heading, align| Column { heading, align, style: Style::new() };
    let mut table = Table::new(vec![
        column("vertex", Align::Left),
        column("subtasks", Align::Right),
        column("records in", Align::Right),
        column("records out", Align::Right),
        column("bytes out", Align::Right),
        column("late", Align::Right),
        column("busy %", Align::Right),
        column("idle %", Align::Right),
        column("back-pr. %", Align::Right),
        column("outside %", Align::Right),
    ]);
    let metrics = job.metrics();
    for vertex in &job.graph().vertices {
        let tasks: Vec<&TaskMetrics> =
            metrics.tasks.iter().filter(|task| task.vertex == vertex.id).map(|task| &**task).collect();
        table.row(row(vertex, &tasks));
    }
    writeln!(out)?;
    match terminal_size::terminal_size_of(io::stderr()) {
        Some((width, _)) => table.write_within(usize::from(width.0), out)?,
        None => table.write(out)?,
    }
    writeln!(out, "Shares of time: of the median subtask, then the highest.")
}

fn row(vertex: &JobVertex, tasks: &[&TaskMetrics]) -> Vec<String> {
    let ends = |pick: fn(&TaskMetrics) -> u64| tasks.iter().map(|task| pick(task)).sum::<u64>();
    let records_in =
        ends(|task| task.operators.first().map_or(0, |(_, _, metrics)| metrics.records_in.get()));
    // What leaves a chain: over the network, or to the outside, which takes what its last operator is given.
    let records_out = ends(|task| {
        let last = task.operators.last().map_or(0, |(_, _, metrics)| metrics.records_out.get());
        task.records_out.get().max(last)
    });
    let late =
        ends(|task| task.operators.iter().map(|(_, _, metrics)| metrics.late_records_dropped.get()).sum());
    let shares = |pick: fn(&tidemill_runtime::metrics::TimeTotals) -> u64| -> (f64, f64) {
        let mut shares: Vec<f64> = tasks
            .iter()
            .map(|task| {
                let totals = task.times.totals();
                pick(&totals) as f64 * 100.0 / totals.elapsed.max(1) as f64
            })
            .collect();
        shares.sort_by(f64::total_cmp);
        let median = shares.get(shares.len() / 2).copied().unwrap_or(0.0);
        (median, shares.last().copied().unwrap_or(0.0))
    };
    let both = |(median, max): (f64, f64)| format!("{median:.0}, {max:.0}");
    vec![
        shorten(&vertex.name, 48).into_owned(),
        vertex.parallelism.to_string(),
        HumanCount(records_in).to_string(),
        HumanCount(records_out).to_string(),
        HumanBytes(ends(|task| task.bytes_out.get())).to_string(),
        HumanCount(late).to_string(),
        both(shares(|times| times.busy())),
        both(shares(|times| times.idle())),
        both(shares(|times| times.back_pressured())),
        both(shares(|times| times.outside())),
    ]
}
