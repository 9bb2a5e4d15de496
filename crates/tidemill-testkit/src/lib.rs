//! What tests of operators, sources and whole jobs share.
//!
//! - [`OperatorHarness`] drives one operator subtask without a cluster, [`ParallelHarness`] several with key routing.
//!   Both check what they drive, and can snapshot and restore it at random moments.
//! - [`Script`] is a list of inputs that [`assert_same_with_snapshots`] runs straight through, with random
//!   snapshots, and at changing parallelism.
//! - [`checked`] wraps the operators of a whole job in the same checks; [`faults`] has operators and sources that fail,
//!   block or wait when the test says so.
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
pub mod faults;
mod harness;
mod parallel;
mod random;
mod records;
mod rescale;
mod script;
mod subject;

pub use checker::{Contract, checked, checked_with};
pub use harness::OperatorHarness;
pub use parallel::ParallelHarness;
pub use random::Random;
pub use records::{RecordType, Row, stamped, unstamped};
pub use rescale::redistribute;
pub use script::{Order, Script, ScriptOutput, assert_same_with_snapshots};
pub use subject::Emitted;
