//! `tidemill list`: which jobs run.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::Style;
use clap::Args;
use serde_json::{Value, json};
use tidemill_serialization::TimestampMs;

use super::find::{self, Found, WhereArgs};
use super::in_words;
use crate::Error;
use crate::cli::Outcome;
use crate::cli::style::{DIM, KEY, warning_tag};
use crate::cli::table::{Align, Column, Table, shorten};

#[derive(Args, Debug)]
pub(in crate::cli) struct ListCommand {
    #[command(flatten)]
    place: WhereArgs,
    /// Show them as JSON
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn list(
    command: &ListCommand,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Error> {
    let (jobs, silent) = find::all(&command.place)?;
    for line in &silent {
        writeln!(err, "{} {line}", warning_tag())?;
    }
    if command.json {
        let jobs: Vec<Value> = jobs.iter().map(describe).collect();
        writeln!(out, "{:#}", Value::Array(jobs))?;
        return Ok(Outcome::Good);
    }
    if jobs.is_empty() {
        match command.place.jobmanager.as_ref().or(command.place.flink.as_ref()) {
            Some(address) => writeln!(out, "No jobs at {address}.")?,
            None => writeln!(out, "No jobs run on this machine.")?,
        }
        return Ok(Outcome::Good);
    }
    let column = |heading, align, style| Column { heading, align, style };
    let mut table = Table::new(vec![
        column("ID", Align::Left, KEY),
        column("NAME", Align::Left, Style::new()),
        column("STATE", Align::Left, Style::new()),
        column("STARTED", Align::Left, DIM),
        column("FOR", Align::Right, Style::new()),
        column("TASKS", Align::Right, Style::new()),
        column("AT", Align::Left, DIM),
    ]);
    for job in &jobs {
        table.row(row(job));
    }
    match terminal_size::terminal_size_of(io::stdout()) {
        // An id that is cut is none.
        Some((width, _)) if width.0 >= 100 => table.write_within(usize::from(width.0), out)?,
        _ => table.write(out)?,
    }
    Ok(Outcome::Good)
}

fn number(fields: &Value, name: &str) -> i64 {
    fields.get(name).and_then(Value::as_i64).unwrap_or(0)
}

/// Names of jobs longer than this are cut.
const WIDEST_NAME: usize = 60;

fn row(job: &Found) -> Vec<String> {
    let tasks = job.fields.get("tasks").unwrap_or(&Value::Null);
    let lasts = Duration::from_millis(u64::try_from(number(&job.fields, "duration")).unwrap_or(0));
    vec![
        job.id.clone(),
        // A query that has no other name is called by its text, which may have several lines.
        shorten(&job.name.replace(['\n', '\t'], " "), WIDEST_NAME).into_owned(),
        job.state.clone(),
        TimestampMs(number(&job.fields, "start-time")).to_string(),
        in_words(lasts),
        format!("{}/{}", number(tasks, "running"), number(tasks, "total")),
        job.client.address.clone(),
    ]
}

fn describe(job: &Found) -> Value {
    json!({
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "start-time": number(&job.fields, "start-time"),
        "end-time": number(&job.fields, "end-time"),
        "duration": number(&job.fields, "duration"),
        "tasks": job.fields.get("tasks"),
        "address": job.client.address,
        "pid": job.pid,
    })
}
