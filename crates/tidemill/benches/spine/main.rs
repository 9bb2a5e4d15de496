//! What the engine costs over hand-written loops, measured in one run. `cargo bench --bench spine [chain|count|latency|memory|serialization]`.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod chain;
mod count;
mod latency;
mod memory;
mod serialization;
mod source;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wants = |name: &str| chosen.is_empty() || chosen.iter().any(|arg| arg == name);
    if wants("chain") {
        chain::run();
    }
    if wants("count") {
        count::run();
    }
    if wants("serialization") {
        serialization::run();
    }
    if wants("memory") {
        memory::run();
    }
    if wants("latency") {
        latency::run();
    }
}

/// The median of some measurements.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
