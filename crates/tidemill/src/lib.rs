//! Where Tidemill is put together: configuration is loaded, memory is sized, and the command line is served.
//!
//! Only this crate reads files of configuration, and only this one asks the machine how much memory there is.
//!
//! A job begins by loading its configuration from its own command line:
//!
//! ```no_run
//! let loaded = tidemill::config::load(std::env::args_os().skip(1))?;
//! for warning in &loaded.warnings {
//!     eprintln!("warning: {warning}");
//! }
//! // `loaded.rest` holds the arguments that are the job's own.
//! # Ok::<(), tidemill::Error>(())
//! ```

pub mod cli;
pub mod config;
mod error;
pub mod memory;

pub use error::Error;
