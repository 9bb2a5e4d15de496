//! One subtask: a chain of operators on a thread of its own.

mod chain;
mod input;
pub mod panics;
mod run;

pub(crate) use chain::{Chain, ChainNode, Link, Target, Work};
pub(crate) use input::{GateInput, Gates};
pub(crate) use run::{Task, TaskEnd};
