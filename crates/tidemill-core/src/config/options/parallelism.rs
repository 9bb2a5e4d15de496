//! How many of what.

use std::collections::BTreeMap;

use super::checks::{self, AT_LEAST_ONE, at_least_one};
use crate::config::option::declare_options;
use crate::config::{BadValue, ConfigOption};

declare_options! {
    /// The parallelism of operators that neither the program nor the command line gives one.
    PARALLELISM: u32 = ConfigOption::new("parallelism.default").default("1").job().check(at_least_one).expected(AT_LEAST_ONE);

    /// The number of key groups of operators that the program gives none, fixed for the life of their state; `-1` derives
    /// it from the parallelism.
    MAX_PARALLELISM: i32 =
        ConfigOption::new("pipeline.max-parallelism").default("-1").job().check(checks::max_parallelism).expected(checks::MAX_PARALLELISM);

    /// The parallelism of single vertices by their id, over what the program says; the plan of the job shows the
    /// ids.
    PARALLELISM_OVERRIDES: BTreeMap<String, u32> =
        ConfigOption::new("pipeline.jobvertex-parallelism-overrides").default("").job().check(overrides);

    /// The number of slots, among which task memory, managed memory and network memory are divided evenly; an embedded
    /// engine without it has as many as the job needs.
    TASK_SLOTS: u32 =
        ConfigOption::new("taskmanager.numberOfTaskSlots").default("1").check(at_least_one).expected(AT_LEAST_ONE);

    /// The number of processor cores to declare, by default the number of slots; the engine checks that it is more than 0, as
    /// Flink does, and does not bind its threads by it.
    CPU_CORES: f64 = ConfigOption::new("taskmanager.cpu.cores");
}

fn overrides(map: &BTreeMap<String, u32>) -> Result<(), BadValue> {
    match map.iter().find(|(_, parallelism)| **parallelism == 0) {
        Some((vertex, _)) => Err(BadValue::new(format!("the parallelism of '{vertex}' must be at least 1"))),
        None => Ok(()),
    }
}
