//! Checks every key and value that was set.

use super::known::{self, Known};
use super::{ConfigError, Configuration, Entry, Origin, options};

/// Something to say about a key that is no error.
///
/// ```
/// use tidemill_core::config::{Configuration, Origin};
///
/// let mut configuration = Configuration::new();
/// configuration.set_raw("execution.buffer-timeout", "5 ms", Origin::CommandLine);
/// let remark = &configuration.diagnose().warnings[0];
/// assert_eq!(remark.key, "execution.buffer-timeout");
/// assert!(remark.to_string().starts_with("-D: 'execution.buffer-timeout' "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The key as the user spelled it.
    pub key: String,
    /// Where it was set.
    pub origin: Origin,
    /// What there is to say, without key and origin.
    pub text: String,
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: '{}' {}", self.origin, self.key, self.text)
    }
}

/// All that is to be said about a configuration.
///
/// ```
/// use tidemill_core::config::{Configuration, Origin};
///
/// let mut configuration = Configuration::new();
/// configuration.set_raw("parallelism.defalt", "4", Origin::CommandLine);
/// configuration.set_raw("pipeline.name", "flights", Origin::CommandLine);
/// let diagnosis = configuration.diagnose();
/// assert_eq!(
///     diagnosis.errors[0].to_string(),
///     "-D: unknown key 'parallelism.defalt'; the nearest known one is 'parallelism.default'",
/// );
/// assert!(diagnosis.warnings.is_empty() && diagnosis.notes.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// What makes it unusable.
    pub errors: Vec<ConfigError>,
    /// What should be changed: older spellings, removed keys, values without effect.
    pub warnings: Vec<Remark>,
    /// Keys of Flink that Tidemill has no use for, or none yet.
    pub notes: Vec<Remark>,
}

impl Configuration {
    /// Checks every key and value. Errors come in the order of the file, as far as there is one.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, Origin};
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set_raw("parallelism.default", "2", Origin::CommandLine);
    /// assert!(configuration.diagnose().errors.is_empty());
    /// configuration.set_raw("parallelism.defalt", "2", Origin::CommandLine);
    /// assert_eq!(configuration.diagnose().errors.len(), 1);
    /// ```
    pub fn diagnose(&self) -> Diagnosis {
        let mut diagnosis = Diagnosis::default();
        for (key, entry) in self.iter() {
            self.diagnose_key(key, entry, &mut diagnosis);
        }
        for option in options::all() {
            if let Err(error) = self.check(option) {
                diagnosis.errors.push(error);
            }
        }
        diagnosis.errors.sort_by_key(|error| line(error.origin()));
        diagnosis.warnings.sort_by_key(|remark| line(Some(&remark.origin)));
        diagnosis.notes.sort_by_key(|remark| line(Some(&remark.origin)));
        diagnosis
    }

    fn diagnose_key(&self, key: &str, entry: &Entry, diagnosis: &mut Diagnosis) {
        let origin = &entry.origin;
        let remark = |text: String| Remark { key: key.to_owned(), origin: origin.clone(), text };
        let mut declared = false;
        for option in options::spelled(key) {
            declared = true;
            let meta = option.meta();
            let is_older = |older: &str| older == key || key.starts_with(&format!("{older}."));
            if key == meta.key || !meta.deprecated.iter().any(|older| is_older(older)) {
                continue;
            }
            diagnosis.warnings.push(remark(match self.get_raw(meta.key) {
                Some(exact) => {
                    format!("is ignored: it is an older spelling of '{}', set at {}", meta.key, exact.origin)
                }
                None => format!("is an older spelling; use '{}'", meta.key),
            }));
        }
        if declared {
            return;
        }
        match known::lookup(key) {
            Some(Known::Removed { advice }) => {
                diagnosis
                    .warnings
                    .push(remark(format!("was removed in Flink 2 and has no effect; {advice}")));
            }
            Some(Known::Flink { option, spelled_as, use_of }) => {
                if let Some(current) = spelled_as {
                    diagnosis.warnings.push(remark(format!("is an older spelling; use '{current}'")));
                }
                if let Err(reason) = option.check(&entry.value) {
                    let kind = option.type_name;
                    diagnosis.warnings.push(remark(format!(
                        "is '{}', which Flink would refuse ({kind}): {reason}",
                        entry.value
                    )));
                }
                diagnosis.notes.push(remark(use_of.to_string()));
            }
            Some(Known::Pattern { use_of }) => diagnosis.notes.push(remark(use_of.to_string())),
            None => diagnosis.errors.push(unknown(key, origin)),
        }
    }
}

/// The error for a key that nobody knows.
pub(super) fn unknown(key: &str, origin: &Origin) -> ConfigError {
    let (key, origin) = (Box::from(key), origin.clone());
    if let Some(example) = known::example_below(&key) {
        return ConfigError::GroupAsKey { key, example, origin };
    }
    if let Some(option) = options::all().find(|option| key.starts_with(&format!("{}.", option.meta().key))) {
        let expected = option.type_name().into();
        return ConfigError::ValueAsGroup { key, option: option.meta().key, expected, origin };
    }
    let nearest = known::nearest(&key);
    ConfigError::UnknownKey { key, nearest, origin }
}

fn line(origin: Option<&Origin>) -> usize {
    match origin {
        Some(Origin::File { line, .. }) => *line,
        _ => usize::MAX,
    }
}

impl ConfigError {
    /// Where the value was set, if it was.
    ///
    /// ```
    /// use tidemill_core::config::{Configuration, Origin, options};
    ///
    /// let mut configuration = Configuration::new();
    /// configuration.set_raw("parallelism.default", "many", Origin::CommandLine);
    /// let error = configuration.get(&options::PARALLELISM).unwrap_err();
    /// assert_eq!(error.origin(), Some(&Origin::CommandLine));
    /// ```
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            ConfigError::InvalidValue { origin, .. }
            | ConfigError::UnknownKey { origin, .. }
            | ConfigError::GroupAsKey { origin, .. }
            | ConfigError::ValueAsGroup { origin, .. } => Some(origin),
            ConfigError::Missing { .. } | ConfigError::NotForJobs { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn diagnose(entries: &[(&str, &str)]) -> Diagnosis {
        let mut configuration = Configuration::new();
        for (index, (key, value)) in entries.iter().enumerate() {
            let origin = Origin::File { path: "config.yaml".into(), line: index + 1 };
            configuration.insert(*key, Entry { value: (*value).to_owned(), origin });
        }
        configuration.diagnose()
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let errors =
            diagnose(&[("paralelism.default", "4"), ("taskmanager.memory.proces.size", "1g")]).errors;
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "config.yaml:1: unknown key 'paralelism.default'; the nearest known one is 'parallelism.default'",
                "config.yaml:2: unknown key 'taskmanager.memory.proces.size'; the nearest known one is \
                 'taskmanager.memory.process.size'",
            ]
        );
    }

    #[test]
    fn groups_and_values_are_told_apart() {
        let diagnosis = diagnose(&[("taskmanager.memory", "4g"), ("parallelism.default.a", "4")]);
        assert!(matches!(diagnosis.errors.first(), Some(ConfigError::GroupAsKey { .. })), "{diagnosis:?}");
        assert!(matches!(diagnosis.errors.get(1), Some(ConfigError::ValueAsGroup { .. })), "{diagnosis:?}");
    }

    #[test]
    fn every_bad_value_is_found() {
        let diagnosis = diagnose(&[
            ("parallelism.default", "0"),
            ("taskmanager.memory.segment-size", "33kb"),
            ("pipeline.auto-generate-uids", "maybe"),
            ("tidemill.log.level", "WARN"),
        ]);
        assert_eq!(diagnosis.errors.len(), 3, "{diagnosis:?}");
        assert!(diagnosis.warnings.is_empty() && diagnosis.notes.is_empty(), "{diagnosis:?}");
    }

    #[test]
    fn older_spellings_warn() {
        let diagnosis = diagnose(&[
            ("execution.buffer-timeout", "-1"),
            ("taskmanager.memory.size", "1g"),
            ("taskmanager.memory.managed.size", "2g"),
            ("state.backend.incremental", "true"),
        ]);
        let texts: Vec<String> = diagnosis.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "config.yaml:1: 'execution.buffer-timeout' is an older spelling; use 'execution.buffer-timeout.interval'",
                "config.yaml:2: 'taskmanager.memory.size' is ignored: it is an older spelling of \
                 'taskmanager.memory.managed.size', set at config.yaml:3",
                "config.yaml:4: 'state.backend.incremental' is an older spelling; use \
                 'execution.checkpointing.incremental'",
            ]
        );
        assert!(diagnosis.notes.is_empty() && diagnosis.errors.is_empty());
    }

    #[test]
    fn keys_without_use_are_noted_and_removed_ones_warned_of() {
        let diagnosis = diagnose(&[
            ("taskmanager.heap.size", "2g"),
            ("env.java.opts.all", "-XX:+UseG1GC"),
            ("metrics.reporter.prom.factory.class", "x"),
            ("execution.checkpointing.file-merging.pool-blocking", "true"),
            ("heartbeat.interval", "often"),
            ("taskmanager.network.memory.buffers-per-channel", "2"),
        ]);
        assert!(diagnosis.errors.is_empty(), "{diagnosis:?}");
        assert_eq!(diagnosis.notes.len(), 4, "{diagnosis:?}");
        let warnings: Vec<&str> = diagnosis.warnings.iter().map(|w| w.key.as_str()).collect();
        assert_eq!(warnings, ["taskmanager.heap.size", "heartbeat.interval"]);
    }

    proptest! {
        #[test]
        fn any_key_and_value_give_an_answer(key in "[a-z.-]{0,40}|.{0,12}", value in any::<String>()) {
            let _ = diagnose(&[(&key, &value)]);
        }
    }
}
