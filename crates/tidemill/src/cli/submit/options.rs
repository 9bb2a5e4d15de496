//! Which options go with a job to a Flink cluster, and which stay behind.

use std::collections::BTreeMap;
use std::fmt;

use tidemill_core::config::known::{Known, lookup};
use tidemill_core::config::{Configuration, options};

use crate::Error;

/// The options of a job, by how their keys begin; all others are those of processes.
const OF_JOBS: &[&str] =
    &["execution.", "parallelism.default", "pipeline.", "restart-strategy.", "state.", "table."];

/// Among these, what says where a job runs and who waits for it: that is what the command is told.
const OF_SUBMISSION: &[&str] = &[
    "execution.attached",
    "execution.job-listeners",
    "execution.shutdown-on-",
    "execution.submit-failed-job-on-application-error",
    "execution.target",
    "sql-client.",
    "table.dml-sync",
];

/// What a job has unless the configuration says otherwise, since the defaults of a cluster may differ from Tidemill's.
const DEFAULTS: &[(&str, &str)] =
    &[("execution.runtime-mode", "streaming"), ("table.local-time-zone", "UTC")];

/// Why an option stays behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stays {
    /// Tidemill has it, and Flink does not.
    Own,
    /// It is of processes, which the cluster has configured itself.
    OfCluster,
    /// It says where the job runs and who waits for it.
    OfSubmission,
    /// Flink 2 does not have it any more.
    Removed,
    /// Nobody has it.
    Unknown,
}

impl fmt::Display for Stays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stays::Own => "only Tidemill has them",
            Stays::OfCluster => "they belong to the cluster's own configuration",
            Stays::OfSubmission => "this command decides them",
            Stays::Removed => "Flink 2 has them no more",
            Stays::Unknown => "Flink does not know them",
        })
    }
}

/// What becomes of an option.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes along, under this key.
    Goes(String),
    /// It does not.
    Stays(Stays),
}

/// What becomes of the option with this key.
pub(super) fn fate(key: &str) -> Fate {
    let declared = options::all()
        .map(|option| option.meta())
        .find(|meta| meta.key == key || meta.deprecated.contains(&key));
    let current = declared.map_or(key, |meta| meta.key);
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| current.starts_with(prefix));
    if current.starts_with("tidemill.") {
        return Fate::Stays(Stays::Own);
    }
    if begins(OF_SUBMISSION) {
        return Fate::Stays(Stays::OfSubmission);
    }
    let current = match lookup(current) {
        Some(Known::Flink { option, spelled_as, .. }) if !option.of_connector => {
            spelled_as.unwrap_or(current)
        }
        Some(Known::Pattern { .. }) => current,
        Some(Known::Removed { .. }) => return Fate::Stays(Stays::Removed),
        _ if declared.is_some() => return Fate::Stays(Stays::Own),
        _ => return Fate::Stays(Stays::Unknown),
    };
    if OF_JOBS.iter().any(|prefix| current.starts_with(prefix)) {
        Fate::Goes(current.to_owned())
    } else {
        Fate::Stays(Stays::OfCluster)
    }
}

/// What of a configuration goes along, and what stays.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// What the session is opened with.
    pub(super) properties: BTreeMap<String, String>,
    /// The keys that stay behind, by why.
    pub(super) left: BTreeMap<Stays, Vec<String>>,
}

impl Carried {
    /// Of what was configured, without what has its default.
    pub(super) fn of(configuration: &Configuration) -> Result<Self, Error> {
        let mut carried = Carried::default();
        for (key, entry) in configuration.iter() {
            match fate(key) {
                Fate::Goes(current) => {
                    check(&current, &entry.value)?;
                    carried.properties.insert(current, entry.value.clone());
                }
                Fate::Stays(why) => carried.left.entry(why).or_default().push(key.to_owned()),
            }
        }
        for (key, value) in DEFAULTS {
            carried.properties.entry((*key).to_owned()).or_insert_with(|| (*value).to_owned());
        }
        Ok(carried)
    }

    /// Of a `SET` in the script: whether it goes along.
    pub(super) fn set(&mut self, key: &str, value: Option<&str>) -> Result<bool, Error> {
        match fate(key) {
            Fate::Goes(current) => {
                if let Some(value) = value {
                    check(&current, value)?;
                }
                Ok(true)
            }
            Fate::Stays(why) => {
                let keys = self.left.entry(why).or_default();
                if !keys.iter().any(|known| known == key) {
                    keys.push(key.to_owned());
                }
                Ok(false)
            }
        }
    }

    /// What the user is told about those that stay, a sentence each. Values are never among it.
    pub(super) fn remarks(&self) -> Vec<String> {
        let remark = |(why, keys): (&Stays, &Vec<String>)| {
            format!("options that are not sent, since {why}: {}", keys.join(", "))
        };
        self.left.iter().map(remark).collect()
    }
}

/// That Flink takes a value that Tidemill takes. The value is not told: it may be a secret.
fn check(key: &str, value: &str) -> Result<(), Error> {
    match lookup(key) {
        Some(Known::Flink { option, .. }) if option.check(value).is_err() => Err(Error::Argument(format!(
            "the value of '{key}' is none that Apache Flink takes: it expects {}",
            expected(option.type_name)
        ))),
        _ => Ok(()),
    }
}

fn expected(type_name: &str) -> String {
    match type_name.strip_prefix("Enum{").and_then(|rest| rest.strip_suffix('}')) {
        Some(words) => format!("one of {}", words.replace('/', ", ")),
        None => format!("a value of the type {type_name}"),
    }
}

#[cfg(test)]
mod tests {
    use tidemill_core::config::Origin;

    use super::*;

    #[test]
    fn options_of_jobs_go_along_and_others_stay() {
        let goes = |key: &str| Fate::Goes(key.to_owned());
        for (key, expected) in [
            ("parallelism.default", goes("parallelism.default")),
            ("execution.checkpointing.interval", goes("execution.checkpointing.interval")),
            ("table.exec.mini-batch.enabled", goes("table.exec.mini-batch.enabled")),
            ("table.exec.state.ttl", goes("table.exec.state.ttl")),
            ("pipeline.name", goes("pipeline.name")),
            ("state.backend.type", goes("state.backend.type")),
            (
                "state.backend.rocksdb.compression.per.level",
                goes("state.backend.rocksdb.compression.per.level"),
            ),
            ("restart-strategy.fixed-delay.attempts", goes("restart-strategy.fixed-delay.attempts")),
            ("execution.buffer-timeout", goes("execution.buffer-timeout.interval")),
            ("tidemill.rest.enabled", Fate::Stays(Stays::Own)),
            ("taskmanager.memory.process.size", Fate::Stays(Stays::OfCluster)),
            ("taskmanager.numberOfTaskSlots", Fate::Stays(Stays::OfCluster)),
            ("rest.port", Fate::Stays(Stays::OfCluster)),
            ("s3.secret-key", Fate::Stays(Stays::OfCluster)),
            ("execution.target", Fate::Stays(Stays::OfSubmission)),
            ("table.dml-sync", Fate::Stays(Stays::OfSubmission)),
            ("sql-client.execution.result-mode", Fate::Stays(Stays::OfSubmission)),
            ("no.such.option", Fate::Stays(Stays::Unknown)),
        ] {
            assert_eq!(fate(key), expected, "{key}");
        }
    }

    #[test]
    fn every_option_of_tidemill_has_a_fate_that_flink_agrees_with() {
        for option in options::all() {
            let key = option.meta().key;
            if let Fate::Goes(current) = fate(key) {
                assert!(
                    lookup(&current).is_some(),
                    "{key} goes along as {current}, which Flink does not know"
                );
            }
        }
    }

    #[test]
    fn remarks_name_keys_and_no_values() {
        let mut configuration = Configuration::new();
        for (key, value) in
            [("tidemill.rest.enabled", "false"), ("s3.secret-key", "geheim"), ("parallelism.default", "3")]
        {
            configuration.set_raw(key, value, Origin::CommandLine);
        }
        let mut carried = Carried::of(&configuration).unwrap();
        assert!(!carried.set("tidemill.cli.progress", Some("x")).unwrap());
        assert!(carried.set("parallelism.default", Some("4")).unwrap());
        let expected: BTreeMap<String, String> = [
            ("execution.runtime-mode", "streaming"),
            ("parallelism.default", "3"),
            ("table.local-time-zone", "UTC"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        assert_eq!(carried.properties, expected);
        assert_eq!(
            carried.remarks(),
            [
                "options that are not sent, since only Tidemill has them: tidemill.rest.enabled, tidemill.cli.progress",
                "options that are not sent, since they belong to the cluster's own configuration: s3.secret-key",
            ]
        );
    }

    #[test]
    fn a_value_that_flink_does_not_take_is_refused_without_being_told() {
        let error =
            Carried::default().set("execution.checkpointing.interval", Some("soon")).unwrap_err().to_string();
        assert!(error.contains("execution.checkpointing.interval") && error.contains("Duration"), "{error}");
        assert!(!error.contains("soon"), "{error}");
        assert!(Carried::default().set("execution.checkpointing.mode", Some("EXACTLY_ONCE")).unwrap());
        let error =
            Carried::default().set("execution.checkpointing.mode", Some("TWICE")).unwrap_err().to_string();
        assert!(error.contains("EXACTLY_ONCE"), "{error}");
    }
}
