//! The connectors, driven as their tasks drive them.

mod csv_files;
mod generators;
mod harness;
