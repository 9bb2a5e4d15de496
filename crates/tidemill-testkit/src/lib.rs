//! What tests of operators, sources and whole jobs share.
//!
//! - [`OperatorHarness`] drives one operator subtask without a cluster, [`ParallelHarness`] several with key routing,
//!   [`SourceHarness`] a source, [`ExchangeHarness`] the channels between producers and consumers. They check what they
//!   drive, and can snapshot and restore it at random moments.
//! - [`Script`] is a list of inputs that [`assert_same_with_snapshots`] runs straight through, with random
//!   snapshots, and at changing parallelism.
//! - [`checked`] wraps the operators of a whole job in the same checks; [`faults`] has operators that fail, block or wait
//!   when the test says so, [`Log`] is a source that the test fills, [`sinks`] has sinks that it reads and holds up;
//!   [`jobs`] runs graphs built by hand.
//! - [`s3_server`] is a storage for checkpoints that fails as the test says.
//! - [`survival`] runs whole jobs straight, into failures and restored at other parallelisms, and compares what they say.
//!
//! A check that does not hold panics, as an assertion of the test itself would. Whatever is random comes from a seed
//! that is printed when the test fails; `TIDEMILL_SEED` repeats one.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "all of this is part of tests: it fails by panicking"
)]

mod checker;
pub mod checkpoints;
pub mod commits;
mod exchange;
pub mod faults;
mod harness;
pub mod jobs;
mod log_source;
mod parallel;
mod random;
mod records;
mod rescale;
pub mod s3_server;
mod script;
pub mod sinks;
mod source_harness;
mod subject;
pub mod survival;

pub use checker::{Contract, checked, checked_with};
pub use exchange::{ExchangeHarness, ExchangeShape, Seen};
pub use harness::OperatorHarness;
pub use log_source::Log;
pub use parallel::ParallelHarness;
pub use random::Random;
pub use records::{RecordType, Row, stamped, unstamped};
pub use rescale::redistribute;
pub use script::{Order, Script, ScriptOutput, assert_same_with_snapshots};
pub use source_harness::{SourceHarness, SourceState};
pub use subject::Emitted;
