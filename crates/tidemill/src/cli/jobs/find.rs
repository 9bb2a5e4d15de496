//! Which job a command means.

use clap::Args;
use serde_json::Value;

use super::client::{Client, Problem};
use super::printable;
use crate::Error;
use crate::cli::submit::job_manager;
use crate::running_jobs::{self, RunningJob};

/// Where to look for jobs.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct WhereArgs {
    /// Where the job's REST interface is; without it, the jobs of this machine are looked through
    #[arg(short = 'm', long = "jobmanager", value_name = "HOST:PORT")]
    pub(super) jobmanager: Option<String>,
    /// The Flink cluster where the job runs: the address of its JobManager, or of its SQL Gateway
    #[arg(long, value_name = "URL", conflicts_with = "jobmanager")]
    pub(super) flink: Option<String>,
}

/// A job that answers.
pub(super) struct Found {
    pub(super) client: Client,
    pub(super) id: String,
    /// Its name, as it may be shown.
    pub(super) name: String,
    pub(super) state: String,
    /// All that `/jobs/overview` says of it.
    pub(super) fields: Value,
    /// Its process, if it is one of this machine that has told so.
    pub(super) pid: Option<i32>,
}

/// All jobs that can be found, and what is to be said of those that do not answer.
pub(super) fn all(place: &WhereArgs) -> Result<(Vec<Found>, Vec<String>), Error> {
    let client = match (&place.jobmanager, &place.flink) {
        (Some(address), _) => Some(Client::new(address)?),
        (None, Some(url)) => Some(job_manager(url)?),
        (None, None) => None,
    };
    if let Some(client) = client {
        let found = at(&client, None).map_err(|problem| problem.error("list the jobs", &client.address))?;
        return Ok((found, Vec::new()));
    }
    let (mut found, mut silent) = (Vec::new(), Vec::new());
    for job in running_jobs::all().map_err(|error| Error::RunningJobs(error.to_string()))? {
        let client = Client::new(&job.address).map_err(|error| Problem::Nonsense(error.to_string()));
        match client.and_then(|client| at(&client, Some(&job))) {
            Ok(jobs) => found.extend(jobs),
            Err(problem) => {
                job.forget_if_gone();
                let reason = match problem {
                    Problem::Gone(reason) | Problem::Lost(reason) | Problem::Nonsense(reason) => reason,
                    Problem::Refused { message, .. } => message,
                };
                silent.push(format!(
                    "the job '{}' ({}, process {}) does not answer at {}: {reason}",
                    printable(&job.name),
                    job.id,
                    job.pid,
                    job.address
                ));
            }
        }
    }
    Ok((found, silent))
}

/// The jobs that an interface knows; only the one that is expected there, if any is.
fn at(client: &Client, expected: Option<&RunningJob>) -> Result<Vec<Found>, Problem> {
    let nonsense = || Problem::Nonsense("its answer is not that of Flink's REST interface".to_owned());
    let overview = client.get("/jobs/overview")?;
    let jobs = overview.get("jobs").and_then(Value::as_array).ok_or_else(nonsense)?;
    let mut found = Vec::new();
    for fields in jobs {
        let text =
            |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned).ok_or_else(nonsense);
        let shown = |name: &str| text(name).map(|text| printable(&text));
        let (id, name, state) = (shown("jid")?, shown("name")?, shown("state")?);
        if expected.is_none_or(|job| job.id == id) {
            let pid = expected.map(|job| job.pid);
            found.push(Found { client: client.clone(), id, name, state, fields: fields.clone(), pid });
        }
    }
    Ok(found)
}

/// The one job that a text means: by its id, by how that begins, or by its name.
pub(super) fn one(text: &str, place: &WhereArgs) -> Result<Found, Error> {
    let (mut jobs, silent) = all(place)?;
    // Those that have ended are known by their ids only: a name may have been used again.
    let is_over = |job: &Found| ["FINISHED", "CANCELED", "FAILED"].contains(&job.state.as_str());
    let lower = text.trim().to_ascii_lowercase();
    let matches: Vec<usize> = [
        &(|job: &Found| job.id == lower) as &dyn Fn(&Found) -> bool,
        &|job| !is_over(job) && job.name == printable(text),
        &|job| !is_over(job) && !lower.is_empty() && job.id.starts_with(&lower),
    ]
    .iter()
    .map(|rule| (0..jobs.len()).filter(|index| jobs.get(*index).is_some_and(rule)).collect::<Vec<_>>())
    .find(|found| !found.is_empty())
    .unwrap_or_default();
    match matches.as_slice() {
        [index] => Ok(jobs.swap_remove(*index)),
        [] => Err(Error::NoJob { text: text.to_owned(), jobs: describe(jobs.iter(), &silent) }),
        several => {
            let matching = several.iter().filter_map(|index| jobs.get(*index));
            Err(Error::AmbiguousJob { text: text.to_owned(), jobs: describe(matching, &[]) })
        }
    }
}

fn describe<'a>(jobs: impl Iterator<Item = &'a Found>, silent: &[String]) -> String {
    let lines: Vec<String> = jobs
        .map(|job| format!("\n  {}  {}  {}  at {}", job.id, job.state, job.name, job.client.address))
        .chain(silent.iter().map(|line| format!("\n  {line}")))
        .collect();
    lines.concat()
}
