//! Loads a configuration: a file, then what the command line sets.
//!
//! The file is the one given by `-c` (or `--config`), else the one in the folder that `TIDEMILL_CONF_DIR` names, else the one in
//! the folder that `FLINK_CONF_DIR` names, else none. What each key does is declared in
//! [`tidemill_core::config::options`].

mod args;
mod config_files;
mod legacy;
mod yaml;

use std::ffi::OsString;
use std::path::PathBuf;

pub use args::{ConfigArgs, Property, split};
use tidemill_core::config::{Configuration, Diagnosis, Origin};

use crate::Error;

/// A configuration that was loaded and checked: reading any declared option from it succeeds.
///
/// ```
/// use tidemill::config::load;
/// use tidemill::core::config::options;
///
/// let loaded = load(["-Dparallelism.default=4", "flights.csv"].map(Into::into))?;
/// assert_eq!(loaded.configuration.get(&options::PARALLELISM)?, 4);
/// assert_eq!(loaded.rest, ["flights.csv"]);
/// # Ok::<(), tidemill::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct LoadedConfiguration {
    /// What is set.
    pub configuration: Configuration,
    /// The file that was read, if one was.
    pub file: Option<PathBuf>,
    /// What should be changed, one sentence each.
    pub warnings: Vec<String>,
    /// Keys of Flink that have no effect, one sentence each.
    pub notes: Vec<String>,
    /// The arguments that were not for the configuration.
    pub rest: Vec<OsString>,
}

/// Loads the configuration that the arguments of a program ask for; the program's own name must not be among them.
///
/// ```
/// use tidemill::config::load;
///
/// let error = load(["-Dparallelism.defalt=4".into()]).unwrap_err();
/// assert!(error.to_string().contains("the nearest known one is 'parallelism.default'"));
/// ```
///
/// # Errors
/// If an argument or a file cannot be used, or any key or value is wrong: then all of them are in the error.
pub fn load(args: impl IntoIterator<Item = OsString>) -> Result<LoadedConfiguration, Error> {
    let (args, rest) = split(args)?;
    let mut loaded = load_args(&args)?;
    loaded.rest = rest;
    Ok(loaded)
}

/// Loads the configuration that parsed arguments ask for.
///
/// ```
/// use tidemill::config::{ConfigArgs, load_args};
/// use tidemill::core::config::options;
///
/// let loaded = load_args(&ConfigArgs { properties: vec!["parallelism.default=2".parse()?], config: None })?;
/// assert_eq!(loaded.configuration.get(&options::PARALLELISM)?, 2);
/// # Ok::<(), tidemill::Error>(())
/// ```
///
/// # Errors
/// As [`load`].
pub fn load_args(args: &ConfigArgs) -> Result<LoadedConfiguration, Error> {
    let (mut loaded, diagnosis) = inspect(args)?;
    if !diagnosis.errors.is_empty() {
        return Err(Error::Configuration(diagnosis.errors));
    }
    loaded.warnings.extend(diagnosis.warnings.iter().map(ToString::to_string));
    loaded.notes.extend(diagnosis.notes.iter().map(ToString::to_string));
    Ok(loaded)
}

/// Loads a configuration together with all that is to be said about its keys and values, errors among it. The
/// warnings in the loaded configuration are those about the file itself.
///
/// ```
/// use tidemill::config::{ConfigArgs, inspect};
///
/// let (_, diagnosis) = inspect(&ConfigArgs { properties: vec!["parallelism.default=many".parse()?], config: None })?;
/// assert_eq!(diagnosis.errors.len(), 1);
/// # Ok::<(), tidemill::Error>(())
/// ```
///
/// # Errors
/// If an argument or a file cannot be used.
pub fn inspect(args: &ConfigArgs) -> Result<(LoadedConfiguration, Diagnosis), Error> {
    let mut loaded = LoadedConfiguration::default();
    if let Some(path) =
        config_files::find(args.config.as_deref(), |name| std::env::var_os(name), &mut loaded.warnings)?
    {
        let file = config_files::read(&path)?;
        loaded.configuration = file.configuration;
        loaded.warnings.extend(file.warnings);
        loaded.file = Some(path);
    }
    let mut above = Configuration::new();
    for property in &args.properties {
        above.set_raw(&property.key, &property.value, Origin::CommandLine);
    }
    loaded.configuration.overlay(&above);
    let diagnosis = loaded.configuration.diagnose();
    Ok((loaded, diagnosis))
}
