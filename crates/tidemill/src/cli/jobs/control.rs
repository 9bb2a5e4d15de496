//! `tidemill savepoint`, `checkpoint`, `stop` and `cancel`.

use std::io::Write;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::client::Problem;
use super::find::{self, Found, WhereArgs};
use super::{Asked, WaitArgs, Waiting, printable, whole};
use crate::Error;
use crate::cli::Outcome;

/// How a savepoint is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// As every state backend reads it
    Canonical,
    /// As the state backend has it, which is quicker
    Native,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Format::Canonical => "CANONICAL",
            Format::Native => "NATIVE",
        }
    }
}

/// What all of these commands take.
#[derive(Args, Debug)]
struct JobArgs {
    /// The job: its id, how that begins, or its name
    #[arg(value_name = "JOB")]
    job: String,
    #[command(flatten)]
    place: WhereArgs,
    #[command(flatten)]
    wait: WaitArgs,
    /// Show what came of it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct SavepointCommand {
    #[command(flatten)]
    job: JobArgs,
    /// The folder to put it into; without it, that of execution.checkpointing.savepoint-dir
    #[arg(value_name = "FOLDER")]
    folder: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value_t = Format::Canonical)]
    format: Format,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct StopCommand {
    #[command(flatten)]
    job: JobArgs,
    /// The folder to put the savepoint into; without it, that of execution.checkpointing.savepoint-dir
    #[arg(short = 'p', long, value_name = "FOLDER")]
    savepoint_path: Option<String>,
    /// How the savepoint is written
    #[arg(long, value_enum, default_value_t = Format::Canonical)]
    format: Format,
    /// Take event time to its end first, so that windows fire and timers too; for jobs that will not go on
    #[arg(short = 'd', long)]
    drain: bool,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct CheckpointCommand {
    #[command(flatten)]
    job: JobArgs,
    /// Store everything, also what earlier checkpoints have stored
    #[arg(long)]
    full: bool,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct CancelCommand {
    #[command(flatten)]
    job: JobArgs,
}

/// The folder for a savepoint, by its whole path: the job's program may have been started elsewhere.
fn folder(text: Option<&str>) -> Result<Option<String>, Error> {
    text.map(whole).transpose()
}

/// Sends a request and waits for what comes of it.
fn request(
    args: &JobArgs,
    (what, during): (&str, &str),
    path: &str,
    results: &str,
    body: &Value,
) -> Result<(Found, Value), Error> {
    let job = find::one(&args.job, &args.place)?;
    let asked = Asked { client: &job.client, what: &format!("{what} '{}'", job.name) };
    let waiting = Waiting::new(format!("{during} '{}'", job.name));
    waiting.tick();
    let answered = job.client.post(&format!("/jobs/{}/{path}", job.id), body);
    let answered = answered.map_err(|problem| asked.problem(problem))?;
    let id = answered.body.get("request-id").and_then(Value::as_str).unwrap_or_default();
    let operation = asked.wait(&format!("/jobs/{}/{results}/{id}", job.id), args.wait.timeout, &waiting)?;
    drop(waiting);
    Ok((job, operation))
}

fn location(operation: &Value) -> String {
    printable(operation.get("location").and_then(Value::as_str).unwrap_or_default())
}

pub(in crate::cli) fn savepoint(command: &SavepointCommand, out: &mut dyn Write) -> Result<Outcome, Error> {
    let body = json!({
        "target-directory": folder(command.folder.as_deref())?,
        "cancel-job": false,
        "formatType": command.format.name(),
    });
    let words = ("take a savepoint of", "Taking a savepoint of");
    let (job, operation) = request(&command.job, words, "savepoints", "savepoints", &body)?;
    let path = location(&operation);
    if command.job.json {
        writeln!(out, "{:#}", json!({ "id": job.id, "name": job.name, "savepoint": path }))?;
    } else {
        writeln!(out, "Savepoint of '{}': {path}", job.name)?;
    }
    Ok(Outcome::Good)
}

pub(in crate::cli) fn stop(command: &StopCommand, out: &mut dyn Write) -> Result<Outcome, Error> {
    let body = json!({
        "targetDirectory": folder(command.savepoint_path.as_deref())?,
        "drain": command.drain,
        "formatType": command.format.name(),
    });
    let words = ("stop", "Stopping");
    let (job, operation) = request(&command.job, words, "stop", "savepoints", &body)?;
    let path = location(&operation);
    if command.job.json {
        writeln!(out, "{:#}", json!({ "id": job.id, "name": job.name, "savepoint": path }))?;
    } else {
        writeln!(out, "Stopped '{}' with the savepoint {path}", job.name)?;
        match command.job.place.flink {
            None => writeln!(out, "It goes on from there with --from-savepoint {path}")?,
            Some(_) => writeln!(out, "It goes on from there with -D execution.state-recovery.path={path}")?,
        }
    }
    Ok(Outcome::Good)
}

pub(in crate::cli) fn checkpoint(command: &CheckpointCommand, out: &mut dyn Write) -> Result<Outcome, Error> {
    let body = json!({ "checkpointType": if command.full { "FULL" } else { "CONFIGURED" } });
    let words = ("take a checkpoint of", "Taking a checkpoint of");
    let (job, operation) = request(&command.job, words, "checkpoints", "checkpoints", &body)?;
    let number = operation.get("checkpointId").and_then(Value::as_u64).unwrap_or(0);
    // A job that ends meanwhile takes this knowledge with it.
    let details = job.client.get(&format!("/jobs/{}/checkpoints/details/{number}", job.id)).ok();
    let path = details.as_ref().and_then(|details| details.get("external_path")?.as_str().map(printable));
    if command.job.json {
        writeln!(out, "{:#}", json!({ "id": job.id, "name": job.name, "checkpoint": number, "path": path }))?;
    } else {
        let at = path.map(|path| format!(": {path}")).unwrap_or_default();
        writeln!(out, "Checkpoint {number} of '{}'{at}", job.name)?;
    }
    Ok(Outcome::Good)
}

pub(in crate::cli) fn cancel(command: &CancelCommand, out: &mut dyn Write) -> Result<Outcome, Error> {
    let JobArgs { job, place, wait, json: as_json } = &command.job;
    let job = find::one(job, place)?;
    let asked = Asked { client: &job.client, what: &format!("cancel '{}'", job.name) };
    let waiting = Waiting::new(format!("Cancelling '{}'", job.name));
    waiting.tick();
    job.client.patch(&format!("/jobs/{}?mode=cancel", job.id)).map_err(|problem| asked.problem(problem))?;
    let ended =
        job.client.poll(&format!("/jobs/{}/status", job.id), wait.timeout, &|| waiting.tick(), |answer| {
            let status = answer.get("status")?.as_str()?;
            ["CANCELED", "FINISHED", "FAILED"].contains(&status).then(|| status.to_owned())
        });
    drop(waiting);
    let state = match ended {
        Ok(Some(state)) => state,
        Ok(None) => {
            return Err(Error::StillWaiting { what: asked.what.to_owned(), seconds: wait.timeout.as_secs() });
        }
        // The interface has ended with its job, which ends with nothing else once it was told to; or another job's has its place.
        Err(Problem::Gone(_) | Problem::Refused { status: 404, .. }) => "CANCELED".to_owned(),
        // What is between here and a machine that has gone may say anything, or nothing.
        Err(Problem::Lost(reason)) => {
            if *as_json {
                let state = Value::Null;
                writeln!(out, "{:#}", json!({ "id": job.id, "name": job.name, "state": state }))?;
            } else {
                writeln!(out, "'{}' was told to end, and does not answer any more ({reason})", job.name)?;
            }
            return Ok(Outcome::Good);
        }
        Err(problem) => return Err(asked.problem(problem)),
    };
    if *as_json {
        writeln!(out, "{:#}", json!({ "id": job.id, "name": job.name, "state": state }))?;
    } else if state == "CANCELED" {
        writeln!(out, "Cancelled '{}'", job.name)?;
    } else {
        writeln!(out, "'{}' had ended before: {state}", job.name)?;
    }
    Ok(Outcome::Good)
}
