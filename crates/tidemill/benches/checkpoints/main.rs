//! What checkpoints cost, and what their settings change. `cargo bench --bench checkpoints [incremental [MB] [universal]|throughput [hashmap|rocksdb]|alignment]`.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod alignment;
mod cluster;
mod incremental;
mod source;
mod throughput;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wants = |name: &str| {
        let names = ["incremental", "throughput", "alignment"];
        !chosen.iter().any(|arg| names.contains(&arg.as_str())) || chosen.iter().any(|arg| arg == name)
    };
    let megabytes = chosen.iter().find_map(|arg| arg.parse().ok());
    if wants("incremental") {
        let style = if chosen.iter().any(|arg| arg == "universal") { "UNIVERSAL" } else { "LEVEL" };
        incremental::run(megabytes.unwrap_or(1_000), style);
    }
    if wants("throughput") {
        let states = ["hashmap", "rocksdb"].map(str::to_owned).into_iter();
        throughput::run(&states.filter(|state| chosen.contains(state)).collect::<Vec<_>>());
    }
    if wants("alignment") {
        alignment::run();
    }
}

/// The median of some measurements.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
