//! What Flink has no option for.

use super::checks::{not_empty, part, share};
use crate::config::ConfigOption;
use crate::config::enumeration::config_enum;
use crate::config::option::declare_options;

config_enum! {
    /// How much is logged.
    ///
    /// ```
    /// use tidemill_core::config::OptionType;
    /// use tidemill_core::config::options::LogLevel;
    ///
    /// assert_eq!(LogLevel::parse("WARN"), Ok(LogLevel::Warn));
    /// assert_eq!(LogLevel::ALL.len(), 6);
    /// ```
    LogLevel {
        /// Nothing.
        Off = "off",
        /// What made something fail.
        Error = "error",
        /// Also what should be looked at.
        Warn = "warn",
        /// Also what a job does: starting, ended, cancelled.
        Info = "info",
        /// Also what its tasks do: started, ended.
        Debug = "debug",
        /// Also which splits its sources read.
        Trace = "trace",
    }
}

config_enum! {
    /// How log lines look.
    ///
    /// ```
    /// use tidemill_core::config::options::LogFormat;
    ///
    /// assert_eq!(LogFormat::Json.as_str(), "json");
    /// ```
    LogFormat {
        /// One line of text for each.
        Text = "text",
        /// One JSON object for each.
        Json = "json",
    }
}

config_enum! {
    /// When the live line of a running job is shown.
    ///
    /// ```
    /// use tidemill_core::config::Configuration;
    /// use tidemill_core::config::options::{self, Progress};
    ///
    /// assert_eq!(Configuration::new().get(&options::PROGRESS)?, Progress::Auto);
    /// # Ok::<(), tidemill_core::config::ConfigError>(())
    /// ```
    Progress {
        /// If stderr is a terminal.
        Auto = "auto",
        /// Always, a line at a time where there is no terminal.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

declare_options! {
    /// The least severe level that is logged.
    LOG_LEVEL: LogLevel = ConfigOption::new("tidemill.log.level").default("warn");

    /// The file that log lines are added to; by default they go to stderr.
    LOG_FILE: String = ConfigOption::new("tidemill.log.file").check(not_empty);

    /// Whether log lines are text or JSON.
    LOG_FORMAT: LogFormat = ConfigOption::new("tidemill.log.format").default("text");

    /// Whether a running job shows a live line: `auto` means if stderr is a terminal.
    PROGRESS: Progress = ConfigOption::new("tidemill.progress").default("auto");

    /// The share of the machine's memory that an engine takes as its process size when no size is configured; a smaller
    /// limit of its container counts instead.
    MACHINE_FRACTION: f64 = ConfigOption::new("tidemill.memory.machine-fraction").default("0.6").check(share);

    /// The share of RocksDB's memory, which is the managed memory of a slot as a rule, in which states keep values as they are, in
    /// front of RocksDB; Flink's formula divides the rest. `0` divides all of it as Flink does, and nothing is kept.
    STATE_CACHE_FRACTION: f64 = ConfigOption::new("tidemill.state.cache.fraction").default("0.5").job().check(part);
}
