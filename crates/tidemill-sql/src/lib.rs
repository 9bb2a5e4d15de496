//! Flink SQL on streams: a script is parsed, its names and types are resolved against a catalog, the queries become
//! relational plans, the plans become changelogs, and the changelogs become operators of a job.
//!
//! The dialect, the types, the functions and the answers are those of Apache Flink 2.3. Parsing stands on `sqlparser`,
//! evaluation of expressions over columns on DataFusion's physical expressions; names, types, time attributes,
//! changelogs and operators are this crate's own.

pub(crate) mod binder;
pub(crate) mod catalog;
pub mod connector;
pub mod error;
pub(crate) mod exec;
pub(crate) mod expr;
pub mod files;
pub mod functions;
pub mod lookup;
pub mod parser;
pub(crate) mod physical;
pub(crate) mod plan;
pub mod portable;
pub mod results;
pub(crate) mod rules;
pub mod session;
pub mod types;
pub mod udf;

pub use connector::{Connectors, TableFactory};
pub use error::{SqlError, SqlResult};
pub use exec::collect::CollectedTable;
pub use exec::materialized::MaterializedTable;
pub use exec::result_changes::{ResultBatch, ResultChanges};
pub use session::{Planned, SqlJob, SqlSession};
pub use udf::UserFunctions;
