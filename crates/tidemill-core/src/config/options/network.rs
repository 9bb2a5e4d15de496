//! How network buffers are handed out. Flink 2 has made four of these constants, with these defaults; here they are
//! still in effect.

use super::checks::{AT_LEAST_ONE, at_least_one};
use crate::config::ConfigOption;
use crate::config::option::declare_options;

declare_options! {
    /// The buffers of which each input channel has the exclusive use (fixed at 2 in Flink 2).
    BUFFERS_PER_CHANNEL: u32 =
        ConfigOption::new("taskmanager.network.memory.buffers-per-channel").default("2");

    /// The buffers that the channels of an input gate share (fixed at 8 in Flink 2).
    FLOATING_BUFFERS_PER_GATE: u32 =
        ConfigOption::new("taskmanager.network.memory.floating-buffers-per-gate").default("8").check(at_least_one).expected(AT_LEAST_ONE);

    /// The buffers that one output channel may queue before its task has to wait, so that one slow receiver does not take
    /// them all (fixed at 10 in Flink 2).
    MAX_BUFFERS_PER_CHANNEL: u32 =
        ConfigOption::new("taskmanager.network.memory.max-buffers-per-channel").default("10").check(at_least_one).expected(AT_LEAST_ONE);

    /// The buffers that an output may take beyond its own to finish what it has begun (fixed at 20 in Flink 2).
    MAX_OVERDRAFT_BUFFERS_PER_GATE: u32 =
        ConfigOption::new("taskmanager.network.memory.max-overdraft-buffers-per-gate").default("20");

    /// The most buffers that an input gate requires before it starts; more are taken when they are free, and by default there
    /// is no such limit.
    REQUIRED_BUFFERS_PER_GATE_MAX: u32 =
        ConfigOption::new("taskmanager.network.memory.read-buffer.required-per-gate.max").check(at_least_one).expected(AT_LEAST_ONE);
}
