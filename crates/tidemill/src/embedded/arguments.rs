//! The command line of a job: what every job takes, beside what is its own.

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::{Args, Command, FromArgMatches, Parser, ValueEnum};

use crate::Error;
use crate::config::ConfigArgs;

/// What every job takes from its command line.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of every job")]
pub(crate) struct JobArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,

    /// Show the plan instead of running the job
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    pub(super) explain: Option<Explain>,

    /// Show at the end what each vertex has done and where its time went
    #[arg(long)]
    pub(super) summary: bool,

    #[command(flatten)]
    pub(super) recovery: RecoveryArgs,
}

impl JobArgs {
    /// Those that only configure.
    pub(crate) fn of(config: ConfigArgs) -> Self {
        Self { config, ..Self::default() }
    }

    /// The first of the arguments that are for one job, and make no sense where there are several.
    pub(crate) fn of_one_job(&self) -> Option<&'static str> {
        let RecoveryArgs { from_savepoint, resume, allow_non_restored_state } = &self.recovery;
        [
            (self.explain.is_some(), "--explain"),
            (self.summary, "--summary"),
            (from_savepoint.is_some(), "--from-savepoint"),
            (*resume, "--resume"),
            (*allow_non_restored_state, "--allow-non-restored-state"),
        ]
        .into_iter()
        .find_map(|(given, name)| given.then_some(name))
    }
}

/// From what the job goes on.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RecoveryArgs {
    /// Go on from this checkpoint or savepoint
    #[arg(long, value_name = "PATH", conflicts_with = "resume")]
    pub(super) from_savepoint: Option<String>,

    /// Go on from the newest checkpoint that an earlier run of the job, by its name, has left
    #[arg(long)]
    pub(super) resume: bool,

    /// Leave out state of operators that the job does not have
    #[arg(long)]
    pub(super) allow_non_restored_state: bool,
}

/// How a plan is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Explain {
    Text,
    Json,
}

// A job without arguments of its own. No comment for the documentation: it would be the description of the job.
#[derive(Parser)]
pub(super) struct NoArguments {}

/// Parses the arguments of a process, its own name first, into those of every job and those of this one.
///
/// # Errors
/// The job's own arguments must leave those of every job alone. What is wrong with the command line itself is clap's to say,
/// as is help that was asked for: both are inside.
pub(super) fn parse<A: Parser>(
    args: impl IntoIterator<Item = OsString>,
) -> Result<Result<(JobArgs, A), clap::Error>, Error> {
    let own = A::command();
    check(&own)?;
    // What is added brings descriptions of its own.
    let about = Resettable::from(own.get_about().cloned());
    let long_about = Resettable::from(own.get_long_about().cloned());
    let command = JobArgs::augment_args(own).about(about).long_about(long_about);
    Ok(command.try_get_matches_from(args).and_then(|mut matches| {
        Ok((JobArgs::from_arg_matches_mut(&mut matches)?, A::from_arg_matches_mut(&mut matches)?))
    }))
}

/// Sees that a job has no argument that every job has already.
fn check(own: &Command) -> Result<(), Error> {
    let common = JobArgs::augment_args(Command::new("job"));
    for of_all in common.get_arguments() {
        let is_same = |arg: &&clap::Arg| {
            arg.get_id() == of_all.get_id()
                || (arg.get_long().is_some() && arg.get_long() == of_all.get_long())
                || (arg.get_short().is_some() && arg.get_short() == of_all.get_short())
        };
        if let Some(arg) = own.get_arguments().find(is_same) {
            return Err(Error::Argument(format!(
                "the job declares an argument '{}', but every job has '{}': give its own another name",
                arg.get_id(),
                of_all.get_id()
            )));
        }
    }
    Ok(())
}

/// The part of a `--help` that describes what every job takes: for programs that parse their arguments themselves, after
/// [`environment_from`](crate::environment_from).
pub fn job_help() -> String {
    let command = JobArgs::augment_args(Command::new("job").disable_help_flag(true));
    command.help_template("{all-args}").render_help().to_string()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Counts words.
    #[derive(Parser, Debug, PartialEq)]
    struct Own {
        /// What to read
        #[arg(long)]
        input: PathBuf,
        /// How often
        #[arg(short)]
        n: Option<u32>,
    }

    fn parse_words(words: &str) -> Result<(JobArgs, Own), String> {
        let words = words.split_whitespace().map(OsString::from);
        parse::<Own>(words).unwrap().map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_of_both_kinds_come_in_any_order() {
        let (job, own) = parse_words("job -Da=1 --input x --explain -n 3 -D b=2 --summary -c f").unwrap();
        assert_eq!(own, Own { input: "x".into(), n: Some(3) });
        assert_eq!((job.explain, job.summary), (Some(Explain::Text), true));
        assert_eq!((job.config.properties.len(), job.config.config), (2, Some("f".into())));
        assert_eq!(parse_words("job --input x --explain=json").unwrap().0.explain, Some(Explain::Json));
    }

    #[test]
    fn help_shows_both() {
        for flag in ["-h", "--help"] {
            let help = parse_words(&format!("job {flag}")).unwrap_err();
            for text in ["Counts words", "--input", "Options of every job", "KEY=VALUE", "--explain"] {
                assert!(help.contains(text), "'{text}' is missing in {help}");
            }
        }
        let help = job_help();
        assert!(help.contains("--config <FILE>") && help.contains("--summary"), "{help}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (words, expected) in [
            ("job", "--input"),
            ("job --input x --what", "unexpected argument '--what'"),
            ("job --input x -c a -c b", "cannot be used multiple times"),
            ("job --input x -D a", "-D must be followed by KEY=VALUE"),
            ("job --input x --explain=xml", "[possible values: text, json]"),
        ] {
            let error = parse_words(words).unwrap_err();
            assert!(error.contains(expected), "{words}: {error}");
        }
    }

    #[test]
    fn a_job_cannot_take_what_every_job_has() {
        #[derive(Parser, Debug)]
        struct Taken {
            #[arg(short = 'c')]
            #[allow(dead_code)]
            count: Option<u32>,
        }
        let error = parse::<Taken>(["job".into()]).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("'count'") && error.contains("'config'"), "{error}");
    }
}
