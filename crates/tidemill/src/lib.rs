//! Where Tidemill is put together: configuration is loaded, memory is sized, jobs are run in this process, and the command
//! line is served.
//!
//! Only this crate reads files of configuration, and only this one asks the machine how much memory there is.
//!
//! A job is a program whose `main` begins with [`environment`]:
//!
//! ```no_run
//! fn main() -> tidemill::Result<()> {
//!     let env = tidemill::environment()?;
//!     // Add sources, operators and sinks here.
//!     env.execute("My job")?;
//!     Ok(())
//! }
//! ```
//!
//! A program with functions of its own for SQL is this command line with more functions: see [`Cli`] and [`udf`].

pub mod cli;
pub mod config;
mod embedded;
mod error;
mod failure;
pub mod memory;
mod rest;
mod running_jobs;
mod sql;

pub use cli::Cli;
pub use embedded::{environment, environment_from, environment_with, job_help};
pub use error::Error;
pub use failure::{Failure, Result};
pub use tidemill_connectors as connectors;
pub use tidemill_core as core;
pub use tidemill_datastream as datastream;
pub use tidemill_runtime as runtime;
pub use tidemill_serialization as serialization;
pub use tidemill_serialization::avro;
pub use tidemill_sql::udf;
pub use tidemill_state as state;

/// The connectors that tables of scripts may name, for programs that plan scripts themselves.
///
/// ```
/// use std::collections::BTreeMap;
/// use tidemill_sql::{Planned, SqlSession};
///
/// let mut session = SqlSession::new(tidemill::table_connectors(), BTreeMap::new());
/// let planned = session.plan_script("SELECT 1 + 1;")?;
/// assert!(matches!(&planned[..], [Planned::Job(_)]));
/// # Ok::<(), tidemill_sql::SqlError>(())
/// ```
pub fn table_connectors() -> tidemill_sql::Connectors {
    sql::connectors::all()
}

/// What most jobs need.
pub mod prelude {
    pub use tidemill_datastream::windows::*;
    pub use tidemill_datastream::*;
    pub use tidemill_runtime::BoxError;
    pub use tidemill_serialization::{ArrowRecord, Data, Date, Key, Record, RoutingHash, TimestampMs};
    pub use tidemill_state::{
        AggregateFunction, KeyedStateBackend, ListState, ListStateDescriptor, MapState, MapStateDescriptor,
        ReduceFunction, StateTtlConfig, ValueState, ValueStateDescriptor,
    };
}

/// The job in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
