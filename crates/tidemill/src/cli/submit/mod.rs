//! `tidemill submit`: a script of SQL on an Apache Flink cluster, through its SQL Gateway.
//!
//! The script is checked three times before anything of it runs: as `tidemill run` does, for what Flink does not have, and by the
//! cluster itself, which plans all of it in a session of its own. Then its statements go there one by one.

mod cluster;
mod failure;
mod gateway;
mod interrupt;
mod options;
mod plan;
mod result;
mod secrets;
mod session;
mod watch;

pub(super) use cluster::job_manager;
pub(super) use failure::Failure;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use tidemill_core::config::options as declared;

use self::gateway::{Gateway, Stopped};
use self::interrupt::Interrupt;
use self::options::Carried;
use self::plan::{Plan, Policy};
use self::secrets::Secrets;
use self::session::Submission;
use super::Outcome;
use super::jobs::client::Client;
use super::style::{note_tag, warning_tag};
use crate::Error;
use crate::config::{ConfigArgs, load_args};
use crate::sql::{ResultFormat, check_script, read_script, zone};

/// Send a script of SQL to an Apache Flink cluster
///
/// The script is checked as a whole before anything of it runs: here, and by the cluster. Options of jobs that are set in the
/// configuration, with -D and with SET go along. The table that a SELECT ends in is printed as `tidemill run` does.
///
/// A job that ends is waited for, and the next statement comes after it; a job that does not end is left running, and its id
/// is printed. On Ctrl-C a job of INSERT goes on unless you say otherwise, and a SELECT is cancelled.
#[derive(Args, Debug)]
pub(super) struct SubmitCommand {
    /// The script, '-' for standard input
    script: PathBuf,
    /// The cluster's SQL Gateway, such as http://localhost:8083
    #[arg(long, value_name = "URL")]
    flink: String,
    /// The REST interface of the cluster's JobManager, where the gateway does not say it
    #[arg(long, value_name = "URL")]
    rest_url: Option<String>,
    /// Wait for all jobs, also for those that do not end by themselves
    #[arg(long, conflicts_with = "detach")]
    wait: bool,
    /// Wait for no job; print the ids of all
    #[arg(long)]
    detach: bool,
    /// How the results of queries, and the ids of jobs, are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: ResultFormat,
    /// Show exceptions of Flink as a whole, not only their root causes
    #[arg(short = 'v', long)]
    verbose: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(
    command: &SubmitCommand,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Error> {
    let mut secrets = Secrets::default();
    submit(command, &mut secrets, out, err).map_err(|error| secrets.hide_in(error))
}

fn submit(
    command: &SubmitCommand,
    secrets: &mut Secrets,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Outcome, Error> {
    let text = read_script(&command.script)?;
    let loaded = load_args(&command.config)?;
    for warning in &loaded.warnings {
        writeln!(err, "{} {warning}", warning_tag())?;
    }
    let configuration = loaded.configuration;
    secrets.add_configuration(&configuration);
    secrets.add_script(&text);
    let policy = match (command.wait, command.detach) {
        (true, _) => Policy::Wait,
        (_, true) => Policy::Detach,
        _ => Policy::Auto,
    };
    let mut carried = Carried::of(&configuration)?;
    let checked = check_script(&text, &configuration)?;
    tidemill_sql::portable::check(&checked.script)?;
    let plan = Plan::of(checked, policy, &mut carried)?;
    for remark in carried.remarks() {
        writeln!(err, "{} {remark}", note_tag())?;
    }
    err.flush()?;
    let interrupt = Interrupt::listen();
    let gateway = Gateway::connect(&command.flink)?;
    if !gateway.version.starts_with("2.3") {
        let version = &gateway.version;
        writeln!(
            err,
            "{} the cluster is of Flink {version}, the script is checked as one of Flink 2.3",
            warning_tag()
        )?;
    }
    let cluster = find_cluster(command, &gateway, &carried, policy, err)?;
    let mut submission = Submission {
        command,
        text: &text,
        interrupt: &interrupt,
        cluster: cluster.as_ref(),
        zone: zone(&configuration)?,
        progress: configuration.get(&declared::PROGRESS)?,
    };
    let ended = submission
        .rehearse(&gateway, &carried, &plan, err)
        .and_then(|()| submission.perform(&gateway, &carried, &plan, out, err));
    match ended {
        Ok(()) => Ok(Outcome::Good),
        Err(Stopped::Interrupted) => Ok(Outcome::Code(interrupt.exit_code())),
        Err(Stopped::Error(error)) => Err(error),
        Err(Stopped::Failed(failure)) => Err(Error::Flink(failure.message)),
    }
}

/// The JobManager, if it can be found. Without it jobs are submitted, but not followed.
fn find_cluster(
    command: &SubmitCommand,
    gateway: &Gateway,
    carried: &Carried,
    policy: Policy,
    err: &mut dyn Write,
) -> Result<Option<Client>, Error> {
    if let Some(url) = &command.rest_url {
        return job_manager(url).map(Some);
    }
    let properties = gateway.session(&carried.properties)?.properties()?;
    match cluster::behind(gateway, &properties) {
        Ok(client) => Ok(Some(client)),
        Err(reason) if policy == Policy::Wait => Err(Error::Argument(format!(
            "jobs of this gateway cannot be waited for, since {reason}: give the address of the JobManager with --rest-url"
        ))),
        Err(reason) => {
            writeln!(
                err,
                "{} {reason}, so jobs cannot be followed; --rest-url says where it is",
                warning_tag()
            )?;
            Ok(None)
        }
    }
}
