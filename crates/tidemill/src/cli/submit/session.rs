//! Sending the statements of a script, in a session to try them and in one that counts.

use std::cell::RefCell;
use std::io::{BufRead, IsTerminal, Write};
use std::time::{Duration, Instant};

use chrono_tz::Tz;
use serde_json::Value;
use tidemill_core::config::is_sensitive;
use tidemill_core::config::options::Progress;
use tidemill_sql::error::{SqlError, SqlErrorKind};
use tidemill_sql::parser::statement::{ScriptStatement, Statement};

use super::SubmitCommand;
use super::cluster::{ClusterJob, JobStatus};
use super::failure::{Failure, in_script};
use super::gateway::{Gateway, Rows, Session, Stopped};
use super::interrupt::Interrupt;
use super::options::Carried;
use super::plan::{LINES_ABOVE, Plan, Step, rehearsed, sent};
use super::result::ResultTable;
use super::secrets::HIDDEN;
use super::watch::{REFRESH, Watch, ended};
use crate::Error;
use crate::cli::jobs::client::{Client, Problem};
use crate::cli::jobs::printable;
use crate::cli::style::note_tag;
use crate::sql::{write_batch, write_list};

/// How long a job that is left running is watched until it runs.
const STARTING: Duration = Duration::from_secs(60);
/// How many answers about a job may be lost in a row.
const LOST_ANSWERS: u32 = 20;

/// What a submission goes by.
pub(super) struct Submission<'a> {
    pub(super) command: &'a SubmitCommand,
    pub(super) text: &'a str,
    pub(super) interrupt: &'a Interrupt,
    pub(super) cluster: Option<&'a Client>,
    pub(super) zone: Tz,
    pub(super) progress: Progress,
}

/// How waiting for a job went.
enum Waited {
    Over(JobStatus),
    Running,
    Interrupted,
}

impl Submission<'_> {
    /// Has the cluster plan all of the script, in a session that is closed again.
    pub(super) fn rehearse(
        &self,
        gateway: &Gateway,
        carried: &Carried,
        plan: &Plan,
        err: &mut dyn Write,
    ) -> Result<(), Stopped> {
        let watch = Watch::new(self.progress);
        let session = gateway.session(&carried.properties)?;
        let store = session.properties()?.remove("table.catalog-store.kind");
        if plan.creates_catalogs() && store.is_some_and(|kind| kind != "generic_in_memory") {
            // What is tried would stay.
            writeln!(
                err,
                "{} the cluster keeps catalogs, so it has not checked the script before running it",
                note_tag()
            )
            .map_err(Error::from)?;
            return Ok(());
        }
        for (step, statement) in &plan.steps {
            let (text, above) = match step {
                Step::Skip | Step::List => continue,
                Step::Define => (sent(statement), 0),
                Step::Query { .. } | Step::Insert { .. } => (rehearsed(statement), LINES_ABOVE),
            };
            watch.say(&format!("The cluster checks the statement of line {}", statement.start.line));
            let done = session.execute(&text, self.interrupt, &mut |_, _| Ok(()), &mut || watch.say("…"));
            done.map_err(|stopped| self.told(stopped, statement, above))?;
        }
        Ok(())
    }

    /// Executes all of the script.
    pub(super) fn perform(
        &mut self,
        gateway: &Gateway,
        carried: &Carried,
        plan: &Plan,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), Stopped> {
        let session = gateway.session(&carried.properties)?;
        for (step, statement) in &plan.steps {
            match step {
                Step::Skip => {}
                Step::Define => {
                    let done =
                        session.execute(&sent(statement), self.interrupt, &mut |_, _| Ok(()), &mut || {});
                    done.map_err(|stopped| self.told(stopped, statement, 0))?;
                }
                Step::List => self.list(&session, statement, out)?,
                Step::Query { key } => self.query(&session, statement, key.clone(), out, err)?,
                Step::Insert { wait } => self.insert(&session, statement, *wait, out, err)?,
            }
            out.flush().map_err(Error::from)?;
        }
        Ok(())
    }

    /// What the user is told about a statement that did not come to its end.
    fn told(&self, stopped: Stopped, statement: &ScriptStatement, above: u32) -> Stopped {
        match stopped {
            Stopped::Failed(failure) => Stopped::Error(self.failed(&failure, statement, above)),
            other => other,
        }
    }

    fn failed(&self, failure: &Failure, statement: &ScriptStatement, above: u32) -> Error {
        let place = in_script(failure.place, statement.start, above);
        let message = format!("Apache Flink: {}", failure.message);
        let mut error = SqlError::new(SqlErrorKind::Semantic, message).at(place);
        if failure.message.starts_with("No match found for function signature") {
            error = error.hint("the cluster has no such function; those in Rust run in Tidemill only");
        } else if failure.message.starts_with("Could not find any factory for identifier") {
            error = error.hint("the cluster lacks the jar of that connector or format in its lib folder");
        }
        let mut text = error.in_script(self.text).to_string();
        if self.command.verbose {
            text.push_str("\n\n");
            text.push_str(&failure.trace);
        } else if failure.trace.contains("\n\tat ") {
            text.push_str("\n-v shows the whole exception");
        }
        Error::Flink(text)
    }

    /// Lists what a statement such as `SHOW TABLES` gives.
    fn list(
        &self,
        session: &Session<'_>,
        statement: &ScriptStatement,
        out: &mut dyn Write,
    ) -> Result<(), Stopped> {
        let (mut names, mut rows): (Vec<String>, Vec<Vec<String>>) = (Vec::new(), Vec::new());
        let mut take = |_: Option<&str>, page: Rows<'_>| {
            names = page.columns.iter().map(|column| printable(&column.name)).collect();
            rows.extend(page.data.iter().map(|change| {
                let cells = change.fields.iter().map(|field| match serde_json::from_str(field.get()) {
                    Ok(Value::String(text)) => printable(&text),
                    Ok(Value::Null) => String::new(),
                    _ => field.get().to_owned(),
                });
                cells.collect()
            }));
            Ok(())
        };
        let done = session.execute(&sent(statement), self.interrupt, &mut take, &mut || {});
        done.map_err(|stopped| self.told(stopped, statement, 0))?;
        if let Statement::Set { .. } = statement.statement {
            for row in &mut rows {
                if let [key, value] = &mut row[..]
                    && is_sensitive(key)
                {
                    *value = HIDDEN.to_owned();
                }
            }
        }
        if matches!(statement.statement, Statement::Explain { .. }) {
            for row in &rows {
                writeln!(out, "{}", row.concat().trim_end()).map_err(Error::from)?;
            }
        } else {
            write_list(&names, &rows, self.command.format, out)?;
        }
        Ok(())
    }

    fn query(
        &self,
        session: &Session<'_>,
        statement: &ScriptStatement,
        key: Option<Vec<usize>>,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), Stopped> {
        let mut table = ResultTable::new(key);
        let job: RefCell<Option<ClusterJob<'_>>> = RefCell::new(None);
        let mut watch = Watch::new(self.progress);
        let mut take = |id: Option<&str>, page: Rows<'_>| {
            let is_new = job.borrow().is_none();
            if let (Some(id), Some(client), true) = (id, self.cluster, is_new) {
                let found = ClusterJob { client, id: id.to_owned() };
                writeln!(err, "Job {id}: {}", found.dashboard())?;
                err.flush()?;
                *job.borrow_mut() = Some(found);
            }
            table.apply(page)
        };
        let done = session.execute(&sent(statement), self.interrupt, &mut take, &mut || {
            watch.tick(job.borrow().as_ref());
        });
        let job = job.into_inner();
        if let Err(stopped) = done {
            // Nobody reads its rows any more.
            if let (Stopped::Interrupted | Stopped::Error(_), Some(job)) = (&stopped, &job) {
                let _ = job.cancel();
            }
            drop(watch);
            if let Stopped::Interrupted = stopped {
                writeln!(err, "Cancelled the query of line {}", statement.start.line).map_err(Error::from)?;
            }
            return Err(self.told(stopped, statement, 0));
        }
        self.say_ended(job.as_ref(), watch, err)?;
        let (columns, batch) = table.finish()?;
        write_batch(&columns, &batch, self.zone, self.command.format, out)?;
        Ok(())
    }

    /// Says in a line how a job went, where something is shown at all.
    fn say_ended(
        &self,
        job: Option<&ClusterJob<'_>>,
        watch: Watch,
        err: &mut dyn Write,
    ) -> Result<(), Stopped> {
        let is_silent = watch.is_silent();
        drop(watch);
        if let Some(job) = job.filter(|_| !is_silent)
            && let Ok(status) = job.status()
        {
            writeln!(err, "{}", ended(&status, job.checkpoints())).map_err(Error::from)?;
        }
        Ok(())
    }

    fn insert(
        &self,
        session: &Session<'_>,
        statement: &ScriptStatement,
        wait: bool,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), Stopped> {
        let mut watch = Watch::new(self.progress);
        watch.say("The cluster starts a job");
        let started = session.execute(&sent(statement), self.interrupt, &mut |_, _| Ok(()), &mut || {
            watch.say("The cluster starts a job");
        });
        let started = started.map_err(|stopped| self.told(stopped, statement, 0))?;
        let Some(id) = started.job else {
            drop(watch);
            writeln!(err, "{} the cluster names no job of line {}", note_tag(), statement.start.line)
                .map_err(Error::from)?;
            return Ok(());
        };
        let job = self.cluster.map(|client| ClusterJob { client, id: id.clone() });
        let dashboard = job.as_ref().map(ClusterJob::dashboard).unwrap_or_default();
        let Some(job) = job else {
            drop(watch);
            self.hand_back(&id, &dashboard, out)?;
            return Ok(());
        };
        if wait {
            writeln!(err, "Job {id}: {dashboard}").map_err(Error::from)?;
            err.flush().map_err(Error::from)?;
        }
        if !wait && self.command.detach {
            drop(watch);
            return self.hand_back(&id, &dashboard, out);
        }
        match self.wait_for(&job, session, wait, &mut watch)? {
            Waited::Over(status) => match status.state.as_str() {
                "FINISHED" => self.say_ended(Some(&job), watch, err),
                "FAILED" => {
                    let trace = job.failure().unwrap_or_else(|| "it does not say why".to_owned());
                    let mut failure = Failure::of(&trace);
                    // Places in it are those of other texts.
                    failure.place = None;
                    failure.message = format!("the job {id} has failed: {}", failure.message);
                    Err(Stopped::Error(self.failed(&failure, statement, 0)))
                }
                state => {
                    let message = format!("the job {id} of line {} ended: {state}", statement.start.line);
                    Err(Stopped::Error(Error::Flink(message)))
                }
            },
            Waited::Running => {
                drop(watch);
                self.hand_back(&id, &dashboard, out)
            }
            Waited::Interrupted => {
                drop(watch);
                self.leave(&job, err)?;
                Err(Stopped::Interrupted)
            }
        }
    }

    /// Prints what a job that goes on behind the command is found by.
    fn hand_back(&self, id: &str, dashboard: &str, out: &mut dyn Write) -> Result<(), Stopped> {
        let columns = ["job id", "dashboard"].map(str::to_owned);
        let row = vec![id.to_owned(), dashboard.to_owned()];
        // A link that is cut is none, so it stands in no table.
        if self.command.format == crate::sql::ResultFormat::Table {
            writeln!(out, "Job {id}: {dashboard}").map_err(Error::from)?;
            return Ok(());
        }
        Ok(write_list(&columns, &[row], self.command.format, out)?)
    }

    /// Waits for the end of a job, or until it runs.
    fn wait_for(
        &self,
        job: &ClusterJob<'_>,
        session: &Session<'_>,
        to_the_end: bool,
        watch: &mut Watch,
    ) -> Result<Waited, Stopped> {
        let began = Instant::now();
        let mut lost = 0;
        loop {
            if self.interrupt.has_come() {
                return Ok(Waited::Interrupted);
            }
            match job.status() {
                Ok(status) => {
                    lost = 0;
                    if status.is_over() {
                        return Ok(Waited::Over(status));
                    }
                    if !to_the_end && (status.state == "RUNNING" || began.elapsed() > STARTING) {
                        return Ok(Waited::Running);
                    }
                    watch.show(&status, job.checkpoints());
                }
                // A JobManager that is started again takes its time.
                Err(Problem::Gone(_) | Problem::Lost(_) | Problem::Refused { status: 503 | 404, .. })
                    if lost < LOST_ANSWERS =>
                {
                    lost += 1;
                }
                Err(problem) => {
                    let what = format!("follow the job {}, which may go on", job.id);
                    return Err(Stopped::Error(problem.error(&what, &job.client.address)));
                }
            }
            session.keep();
            let quick = Duration::from_millis(100).max(began.elapsed() / 10);
            std::thread::sleep(REFRESH.min(quick));
        }
    }

    /// After a signal: leaves a job to the cluster, or cancels it if someone is there to say so.
    fn leave(&self, job: &ClusterJob<'_>, err: &mut dyn Write) -> Result<(), Error> {
        if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
            write!(err, "Cancel the job {} on the cluster? It goes on otherwise. [y/N] ", job.id)?;
            err.flush()?;
            let mut answer = String::new();
            let _ = std::io::stdin().lock().read_line(&mut answer);
            if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
                return match job.cancel() {
                    Ok(()) => Ok(writeln!(err, "Cancelled {}", job.id)?),
                    Err(problem) => {
                        Err(problem.error(&format!("cancel the job {}", job.id), &job.client.address))
                    }
                };
            }
        }
        let (id, url) = (&job.id, job.client.root());
        writeln!(err, "The job {id} goes on on the cluster; 'tidemill cancel {id} --flink {url}' ends it")?;
        Ok(())
    }
}
