//! The shell: statements one after another, and the jobs that they start.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tidemill_core::config::options::ResultMode;
use tidemill_core::config::{Configuration, options as config_options};
use tidemill_runtime::JobError;
use tidemill_runtime::graph::{ExecutionPlan, JobSettings};
use tidemill_sql::parser::parse_script;
use tidemill_sql::parser::statement::{ShellCommand, Statement};
use tidemill_sql::session::{Command, Names, ResultKind};
use tidemill_sql::{Planned, SqlJob, SqlSession, UserFunctions};

use super::OnExit;
use super::editor::Editor;
use super::help::HELP;
use super::jobs::{Jobs, cancel_all};
use super::options;
use super::query::{self, Showing, Shown};
use crate::Error;
use crate::cli::Outcome;
use crate::cli::style::{error_tag, note_tag};
use crate::embedded::signals::{self, Interrupted};
use crate::embedded::{BackgroundJob, LiveLine};
use crate::sql::{ResultFormat, job_configuration, session, write_list, write_result, zone};

/// How it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Quit,
    /// Somebody had enough.
    Interrupted,
}

/// How often it is looked whether somebody has enough.
const TICK: Duration = Duration::from_millis(100);

pub(super) struct Shell<'a> {
    session: SqlSession,
    configuration: Configuration,
    jobs: Jobs,
    interrupted: Arc<Interrupted>,
    /// Whether somebody types.
    is_interactive: bool,
    /// Final tables in this form, instead of changes.
    format: Option<ResultFormat>,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl<'a> Shell<'a> {
    pub(super) fn new(
        configuration: Configuration,
        functions: &UserFunctions,
        is_interactive: bool,
        format: Option<ResultFormat>,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Self {
        let mut session = session(&configuration, functions).interactive();
        if format.is_none() {
            session.set_results(ResultKind::Changes);
        }
        let interrupted = signals::shell(cancel_all);
        let jobs = Jobs::default();
        Self { session, configuration, jobs, interrupted, is_interactive, format, out, err }
    }

    pub(super) fn greet(&mut self) -> Result<(), Error> {
        writeln!(
            self.out,
            "Tidemill {} speaks the SQL of Apache Flink. Statements end with ';'. HELP helps, QUIT leaves.",
            env!("CARGO_PKG_VERSION")
        )?;
        Ok(())
    }

    pub(super) fn names(&self) -> Names {
        self.session.names()
    }

    /// Runs a script: all of it is checked before anything of it runs, and the first problem ends it.
    pub(super) fn script(&mut self, text: &str) -> Result<Flow, Error> {
        let all = self.session.plan_script(text)?;
        for planned in all {
            let flow = self.carry_out(planned)?;
            self.out.flush()?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    /// Runs what was typed. What is wrong is told.
    pub(super) fn typed(&mut self, text: &str) -> Result<Flow, Error> {
        // Ctrl-C while nothing ran was about the line.
        self.interrupted.take();
        let script = match parse_script(text) {
            Ok(script) => script,
            Err(error) => {
                self.tell(&error.into())?;
                return Ok(Flow::Next);
            }
        };
        let mut flow = Flow::Next;
        for statement in &script.statements {
            let planned = self.session.plan_statement(text, statement).map_err(Error::from);
            let done = planned
                .and_then(|planned| self.remark(&statement.statement).map(|()| planned))
                .and_then(|planned| self.carry_out(planned));
            match done {
                Ok(Flow::Next) => {}
                Ok(other) => {
                    flow = other;
                    break;
                }
                // Nobody is there to be told.
                Err(error @ Error::Write(_)) => return Err(error),
                Err(error) => {
                    self.tell(&error)?;
                    break;
                }
            }
        }
        for (job, error) in self.jobs.take_failures() {
            writeln!(self.err, "{} the job {job} has failed:", error_tag())?;
            self.tell(&error.into())?;
        }
        self.out.flush()?;
        Ok(flow)
    }

    fn tell(&mut self, error: &Error) -> Result<(), Error> {
        self.out.flush()?;
        for line in error.to_string().lines() {
            writeln!(self.err, "{} {line}", error_tag())?;
        }
        Ok(())
    }

    /// What is to be said about an option that was just set.
    fn remark(&mut self, statement: &Statement) -> Result<(), Error> {
        let Statement::Set { key: Some(key), value: Some(_) } = statement else { return Ok(()) };
        if options::is_without_effect(key) {
            writeln!(self.err, "{} '{key}' has no effect in Tidemill", note_tag())?;
        }
        let Some(problem) = options::problem(&self.session, key) else { return Ok(()) };
        // It is as if it were not set, or else nothing would run any more.
        self.session.plan_script(&format!("RESET '{key}'"))?;
        Err(Error::Argument(problem))
    }

    fn info(&mut self, text: &str) -> Result<(), Error> {
        // Scripts have results only on standard output.
        let to: &mut dyn Write = if self.is_interactive { &mut *self.out } else { &mut *self.err };
        writeln!(to, "[INFO] {text}")?;
        Ok(())
    }

    fn carry_out(&mut self, planned: Planned) -> Result<Flow, Error> {
        match planned {
            Planned::Done if self.is_interactive => self.info("Execute statement succeeded.")?,
            Planned::Done => {}
            Planned::Text(text) => self.out.write_all(text.as_bytes())?,
            Planned::List(columns, rows) => self.list(&columns, &rows)?,
            Planned::Job(job) => return self.job(job),
            Planned::Command(command) => return self.command(command),
        }
        Ok(Flow::Next)
    }

    fn list(&mut self, columns: &[String], rows: &[Vec<String>]) -> Result<(), Error> {
        if rows.is_empty() && self.format.is_none() {
            writeln!(self.out, "Empty set")?;
            return Ok(());
        }
        write_list(columns, rows, self.format.unwrap_or_default(), self.out)?;
        if self.format.is_none() {
            writeln!(self.out, "{} {} in set", rows.len(), if rows.len() == 1 { "row" } else { "rows" })?;
        }
        Ok(())
    }

    fn command(&mut self, command: Command) -> Result<Flow, Error> {
        match command {
            Command::Shell(ShellCommand::Help) => self.out.write_all(HELP.as_bytes())?,
            Command::Shell(ShellCommand::Clear) => self.out.write_all(b"\x1b[H\x1b[2J\x1b[3J")?,
            Command::Shell(ShellCommand::Quit) => return Ok(Flow::Quit),
            Command::ShowJobs => {
                let (columns, rows) = self.jobs.list();
                self.list(&columns, &rows)?;
            }
            Command::DescribeJob(id) => {
                let (columns, rows) = self.jobs.describe(&id)?;
                self.list(&columns, &rows)?;
            }
            Command::StopJob { job, savepoint, drain } => self.stop(&job, savepoint, drain)?,
        }
        Ok(Flow::Next)
    }

    fn stop(&mut self, id: &str, savepoint: bool, drain: bool) -> Result<(), Error> {
        let job = Arc::clone(self.jobs.find(id)?);
        if job.has_ended() {
            return Err(Error::Argument(format!("the job {} has ended: it is {}", job.id(), job.status())));
        }
        if savepoint {
            let path = job.stop(drain)?;
            self.list(&["savepoint path".to_owned()], &[vec![path]])?;
            return Ok(());
        }
        job.cancel();
        while !job.wait_for(TICK) {
            if self.interrupted.take() {
                return self.info("The job is being cancelled.");
            }
        }
        self.info("The specified job is stopped.")
    }

    fn job(&mut self, job: SqlJob) -> Result<Flow, Error> {
        let configuration = job_configuration(&self.configuration, &job);
        let settings = JobSettings::from_configuration(&configuration)?;
        let plan = ExecutionPlan::new(job.graph.0, &settings)?;
        if job.result.is_none() {
            self.info("Submitting SQL update statement to the cluster...")?;
        }
        self.out.flush()?;
        let interrupted = Arc::clone(&self.interrupted);
        let started = match BackgroundJob::start(plan, &configuration, &|| interrupted.is_set()) {
            Err(JobError::Cancelled(_)) if interrupted.take() => return Ok(self.enough()),
            started => self.jobs.add(started?),
        };
        let Some(result) = &job.result else {
            self.info("SQL update statement has been successfully submitted to the cluster:")?;
            self.info(&format!("Job ID: {}", started.id()))?;
            return self.written(&started, &configuration);
        };
        let zone = zone(&configuration)?;
        if let Some(format) = self.format {
            let flow = self.wait(&started, &configuration)?;
            if flow == Flow::Next {
                write_result(result, zone, format, self.out)?;
            }
            return Ok(flow);
        }
        let wanted = |option| configuration.get(option).map_err(JobError::from);
        let showing = Showing {
            mode: match self.is_interactive {
                true => configuration.get(&config_options::SQL_RESULT_MODE).map_err(JobError::from)?,
                false => ResultMode::Tableau,
            },
            most_rows: options::count(&configuration, &config_options::SQL_MAX_TABLE_ROWS)?,
            column_width: options::count(&configuration, &config_options::SQL_COLUMN_WIDTH)?,
            tells_time: wanted(&config_options::SQL_PRINT_TIME_COST)?,
            zone,
        };
        Ok(match query::show(result, &started, &showing, &self.interrupted, self.out)? {
            Shown::Whole => Flow::Next,
            Shown::Interrupted => self.enough(),
        })
    }

    /// In a shell, Ctrl-C is about what ran; in a script, about the script.
    fn enough(&self) -> Flow {
        if self.is_interactive { Flow::Next } else { Flow::Interrupted }
    }

    /// A job that writes: waited for when that is asked, or when nobody would be there while it runs.
    fn written(&mut self, job: &BackgroundJob, configuration: &Configuration) -> Result<Flow, Error> {
        if !options::waits(configuration, !self.is_interactive)? {
            return Ok(Flow::Next);
        }
        let flow = self.wait(job, configuration)?;
        if flow == Flow::Next && !self.interrupted.is_set() {
            self.info("Complete execution of the SQL update statement.")?;
        }
        Ok(flow)
    }

    /// Waits for the end of a job, with a live line; Ctrl-C cancels it.
    fn wait(&mut self, job: &BackgroundJob, configuration: &Configuration) -> Result<Flow, Error> {
        let progress = configuration.get(&config_options::PROGRESS).map_err(JobError::from)?;
        let mut live = LiveLine::new(progress);
        let mut is_cancelled = false;
        while !job.wait_for(TICK) {
            live.update(job.handle());
            if self.interrupted.take() {
                is_cancelled = true;
                job.cancel();
            }
        }
        let error = job.take_error();
        live.finish(job.handle(), error.is_none());
        match error {
            Some(JobError::Cancelled(_)) if is_cancelled => {
                self.info("The job was cancelled.")?;
                Ok(self.enough())
            }
            Some(error) => Err(error.into()),
            None => Ok(Flow::Next),
        }
    }

    /// Whether the shell may be left: asks when jobs run, and nobody has said what is to become of them.
    pub(super) fn may_leave(&mut self, on_exit: OnExit, editor: &mut Editor) -> Result<bool, Error> {
        let running = self.jobs.running();
        if running.is_empty() || on_exit != OnExit::Ask {
            return Ok(true);
        }
        let what = match running.len() {
            1 => "A job runs".to_owned(),
            count => format!("{count} jobs run"),
        };
        loop {
            let question =
                format!("{what}: [c]ancel and leave, [w]ait for the end and leave, or [s]tay here? ");
            match editor.ask(&question)?.as_deref() {
                Some("c" | "cancel") => return Ok(true),
                Some("w" | "wait") => {
                    drop(running);
                    self.wait_for_all()?;
                    return Ok(true);
                }
                Some("s" | "stay") | None => return Ok(false),
                Some(_) => {}
            }
        }
    }

    /// Waits for the jobs that run; Ctrl-C cancels them.
    fn wait_for_all(&mut self) -> Result<(), Error> {
        let running = self.jobs.running();
        let Some(last) = running.last() else { return Ok(()) };
        self.info(&format!(
            "{} to end. Ctrl-C cancels.",
            match running.len() {
                1 => format!("Waiting for the job {}", last.id()),
                count => format!("Waiting for {count} jobs"),
            }
        ))?;
        for job in &running {
            while !job.wait_for(TICK) {
                if self.interrupted.take() {
                    running.iter().for_each(|job| job.cancel());
                }
            }
        }
        Ok(())
    }

    /// The end: what runs is waited for or cancelled.
    pub(super) fn leave(&mut self, on_exit: OnExit) -> Result<Outcome, Error> {
        if on_exit == OnExit::Wait {
            self.wait_for_all()?;
        }
        cancel_all();
        let mut outcome = Outcome::Good;
        for (job, error) in self.jobs.take_failures() {
            writeln!(self.err, "{} the job {job} has failed:", error_tag())?;
            self.tell(&error.into())?;
            outcome = Outcome::Problem;
        }
        Ok(outcome)
    }
}
