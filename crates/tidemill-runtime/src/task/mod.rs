//! One subtask: a chain of operators on a thread of its own.

mod barriers;
mod chain;
mod checkpointing;
mod commands;
mod input;
pub mod panics;
mod run;

pub(crate) use chain::{Chain, ChainNode, Link, Target, Work};
pub(crate) use commands::{Commands, TaskCommand};
pub(crate) use input::{GateInput, Gates, Overtaken};
pub(crate) use run::{Checkpoints, Task, TaskEnd};
