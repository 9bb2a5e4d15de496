//! The formats: round trips, damage, golden bytes, columns.

// Clippy's exception for tests does not reach helpers outside of `#[test]` functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(feature = "avro")]
mod avro;
#[cfg(feature = "avro")]
mod avro_evolution;
#[cfg(feature = "avro")]
mod avro_hostile;
#[cfg(feature = "avro")]
mod avro_interop;
#[cfg(feature = "registry")]
mod avro_registry;
#[cfg(feature = "avro")]
mod avro_resolution;
#[cfg(feature = "avro")]
mod avro_schemas;
mod batches;
mod columns;
mod damage;
mod evolution;
mod evolution_model;
mod foreign;
mod golden;
mod migration_limits;
mod natives;
mod records;
mod round_trip;
