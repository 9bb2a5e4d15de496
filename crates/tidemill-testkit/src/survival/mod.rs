//! Whole jobs whose state must survive: run straight through, then with a crash, then restored at other parallelisms and by
//! other state backends, with one result.
//!
//! A [`Case`] has a job's [`Input`]s, how the job is built, and what it must say. [`survive`] runs it:
//!
//! 1. straight through, which gives the expected result unless the case has one;
//! 2. for each state backend, with aligned and with unaligned checkpoints: at parallelism 2 until a third of the input is in a
//!    checkpoint, then into a failure in the second third, then on from there to a checkpoint and two savepoints while the job
//!    is held up, so that records are on their way;
//! 3. from each of these at parallelism 3, with another failure, and at 1, the canonical savepoint also by the other backend.
//!
//! What is shown is shown once: the sink commits with checkpoints.

mod case;
mod run;
mod slow;

pub use case::{Case, Input, Stage};
pub use run::{Backend, Survived, survive, survive_in_one_way};
pub use slow::Brake;
