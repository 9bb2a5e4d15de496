//! What every decoder must do with bytes that nobody has written: answer with a value or an error, never panic, take no
//! more memory than the bytes justify; and what it has read it must be able to write and read again.
//!
//! Each of the [`TARGETS`] is a function of bytes that panics when this is not so. `make fuzz` drives them with bytes
//! that it makes up (`fuzz/` has a program of three lines for each), and this crate's test replays what is kept in
//! `fuzz/corpus`: the [`seeds`] and every input that was once handled wrongly.
//!
//! To add a target: a function here, its line in [`TARGETS`], its seeds, its program in `fuzz/`, its corpus. The test
//! says what is missing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is tests")]

pub mod avro;
pub mod channels;
pub mod checkpoints;
pub mod choices;
pub mod configuration;
pub mod evolved;
pub mod foreign;
pub mod meter;
pub mod migrations;
pub mod seeds;
pub mod shapes;
pub mod snapshots;
pub mod sql;
pub mod state;
pub mod values;

/// What is done with the bytes of one input.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 18] = [
    ("values", values::values),
    ("batches", values::batches),
    ("migrated_batches", values::migrated_batches),
    ("snapshots", snapshots::snapshots),
    ("packed", snapshots::packed),
    ("migrations", migrations::migrations),
    ("foreign", foreign::foreign),
    ("state", state::state),
    ("channels", channels::channels),
    ("checkpoint_metadata", checkpoints::checkpoint_metadata),
    ("native_snapshots", checkpoints::native_snapshots),
    ("hot_rows", checkpoints::hot_rows),
    ("configuration", configuration::configuration),
    ("avro_schemas", avro::avro_schemas),
    ("avro_values", avro::avro_values),
    ("avro_files", avro::avro_files),
    ("avro_messages", avro::avro_messages),
    ("sql_scripts", sql::sql_scripts),
];

/// Takes the first byte of an input off: it chooses which of several things is done with the others.
pub(crate) fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest))
}
