//! The options of the shell itself, as `SET` has set them.

use tidemill_core::config::{Configuration, options};
use tidemill_runtime::JobError;
use tidemill_sql::SqlSession;

/// Those of Flink's client that have no effect here.
const WITHOUT_EFFECT: [&str; 3] =
    ["sql-client.display.color-schema", "sql-client.display.show-line-numbers", "sql-client.verbose"];

/// A number of an option that is positive.
pub(super) fn count(
    job: &Configuration,
    option: &'static tidemill_core::config::ConfigOption<u32>,
) -> Result<usize, JobError> {
    Ok(usize::try_from(job.get(option)?).unwrap_or(usize::MAX))
}

/// Whether the shell waits for jobs that write; where nothing says so, `otherwise`.
pub(super) fn waits(job: &Configuration, otherwise: bool) -> Result<bool, JobError> {
    if !job.contains(&options::SQL_DML_SYNC) {
        return Ok(otherwise);
    }
    Ok(job.get(&options::SQL_DML_SYNC)?)
}

/// What is wrong with the value of an option that was just set: of those that are known here.
pub(super) fn problem(session: &SqlSession, key: &str) -> Option<String> {
    let (option, value) = (options::by_key(key)?, session.setting(key)?);
    let reason = option.canonical(value).err()?;
    Some(format!("'{key}' cannot be '{value}': {reason}"))
}

/// Whether a key is one of Flink's client that does nothing here.
pub(super) fn is_without_effect(key: &str) -> bool {
    WITHOUT_EFFECT.contains(&key)
}
