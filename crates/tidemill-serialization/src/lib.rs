//! How records, keys and state become bytes, and how columns become records.
//!
//! ```
//! use tidemill_serialization::{Data, Input, Record, RoutingHash};
//!
//! #[derive(Record, RoutingHash, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
//! struct Route {
//!     origin: String,
//!     destination: String,
//! }
//!
//! let route = Route { origin: "JFK".into(), destination: "LAX".into() };
//! let mut bytes = Vec::new();
//! route.encode(&mut bytes);
//! assert_eq!(bytes, *b"\x03JFK\x03LAX");
//! assert_eq!(Route::decode(&mut Input::new(&bytes)).unwrap(), route);
//! ```
//!
//! # The format
//!
//! | type | bytes |
//! |---|---|
//! | integers, `f32`, `f64` | their width, little endian |
//! | `bool` | 0 or 1 |
//! | `char` | its code, as a `u32` |
//! | `String`, `Arc<str>` | length as a `u32`, then UTF-8 |
//! | `Date` | days since 1970-01-01, as an `i32` |
//! | `TimestampMs`, `TimestampMicros`, `TimeOfDay` | an `i64` |
//! | `Decimal` | the number of units of its last digit, as an `i128` |
//! | `Duration` | seconds as a `u64`, nanoseconds as a `u32` |
//! | `Option` | 0, or 1 and the value |
//! | `Box`, tuples, arrays, structs | the parts in order of declaration, nothing between them |
//! | enums | the position of the variant as a `u16`, then its fields |
//! | `Vec`, sets, maps | count as a `u32`, then the elements; sets and maps in the order of their keys |
//! | `Custom`, `Generic` | length as a `u32`, then what their serializer writes |
//!
//! In a vector, set or map every element takes at least one byte: one that would take none (such as `()`) is
//! written as one zero byte. So no count can be larger than the bytes that follow it, and a wrong one is found
//! before anything is allocated. Boxes, vectors, sets and maps nest at most [`MAX_DEPTH`] levels deep.
//!
//! The order of encoded values is not that of the values.
//!
//! # Evolution
//!
//! [`SerializerSnapshot`] is what is stored beside values: the version of this format and the [`Schema`] of the type.
//! [`Schema::read_from`] compares it to that of the program, and gives a [`Migration`] where the bytes have to change.
//!
//! `usize` and `isize` are no records: their width differs between platforms.

#[cfg(feature = "avro")]
pub mod avro;
pub mod batch;
mod columns;
pub mod compatibility;
mod compounds;
pub mod custom;
pub mod data;
pub mod decimal;
mod defaults;
mod depth;
pub mod error;
#[cfg(feature = "generic")]
pub mod generic;
pub mod input;
pub mod migration;
mod native;
pub mod opaque;
mod packed;
mod run;
mod scalars;
pub mod schema;
mod skip;
mod skipper;
pub mod snapshot;
mod tables;
pub mod time;
mod unstored;

pub use batch::{BatchSerializer, TypedBatchSerializer, decode_batch, encode_batch};
pub use columns::{ArrowField, ArrowRecord, ArrowValue};
pub use compatibility::{Compatibility, Difference, Incompatible};
pub use custom::{Custom, CustomSerializer};
pub use data::{Data, Key};
pub use decimal::{Decimal, DecimalError};
pub use error::SerializationError;
#[cfg(feature = "generic")]
pub use generic::{Generic, GenericSerializer};
pub use input::{DecodeError, Input, MAX_DEPTH};
pub use migration::{Migration, MigrationError};
pub use native::Native;
pub use packed::{pack, unpack};
pub use schema::{Schema, SchemaBuilder};
pub use snapshot::SerializerSnapshot;
pub use tidemill_core::hash::RoutingHash;
pub use tidemill_derive::{Record, RoutingHash};
pub use time::{Date, TimeOfDay, TimestampMicros, TimestampMs};
pub use unstored::Unstored;

// So that derived code finds this crate by its name from within it too.
#[allow(unused_extern_crates)] // Only what uses a derive does.
extern crate self as tidemill_serialization;

/// What derived code refers to. No promise is made about it.
#[doc(hidden)]
pub mod __private {
    pub use crate::columns::{bind_column, check_rows, column_definition, find_column, record_batch, schema};
    pub use crate::custom;
    pub use crate::defaults::{Encoded, NoDefault, Probe, WithDefault, encoded, encoded_with};
    pub use crate::schema::{Body, Definition, Field, Type, Variant};
    pub use crate::unstored::Unstored;
    pub use arrow_array::RecordBatch;
    pub use arrow_schema::SchemaRef;
    pub use tidemill_core::element::{Element, fixed_same, fixed_sum};
    pub use tidemill_core::hash::{RoutingHash, combine, int};
}
