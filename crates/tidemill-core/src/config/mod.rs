//! Configuration: options declared once, with Flink's keys, types and defaults, and the values that a user gave them.
//!
//! An option is a [`ConfigOption`] in one of the files of [`options`]. From these declarations come the typed access of
//! [`Configuration`], the checks of [`diagnose`](Configuration::diagnose), and the texts of [`render`].
//! Keys that Flink has and Tidemill does not declare are in [`known`].
//!
//! Nothing here reads a file: the crate `tidemill` does, and says with an [`Origin`] where each value came from.
//!
//! ```
//! use std::time::Duration;
//! use tidemill_core::config::{Configuration, Origin, options};
//!
//! let mut configuration = Configuration::new();
//! configuration.set_raw("pipeline.auto-watermark-interval", "1 s", Origin::CommandLine);
//! assert_eq!(configuration.get(&options::AUTO_WATERMARK_INTERVAL)?, Duration::from_secs(1));
//! assert_eq!(configuration.get(&options::PARALLELISM)?, 1);
//! # Ok::<(), tidemill_core::config::ConfigError>(())
//! ```

mod configuration;
mod diagnose;
mod duration;
mod enumeration;
mod error;
pub mod known;
mod memory_size;
mod option;
pub mod options;
pub mod render;
mod secret;
mod structured;
mod values;

pub use configuration::{Configuration, Entry, Origin};
pub use diagnose::{Diagnosis, Remark};
pub use duration::{format_duration, parse_duration};
pub use error::{BadValue, ConfigError};
pub use memory_size::MemorySize;
pub use option::{AnyOption, ConfigOption, OptionMeta, OptionType, Scope};
pub use secret::{Secret, is_sensitive};
pub use structured::{join_list, join_map};
