//! Avro: records by schema, object container files, and the Schema Registry.
//!
//! - [`Avro<T>`](Avro): a value of a type that derives [`AvroRecord`], for streams and state.
//! - [`AvroValue<S>`](AvroValue): a value whose schema is known only at run time.
//! - [`Resolution`]: how data written with one schema are read with another.
//! - [`container`]: files that carry their schema.
//! - [`columns`]: those files as columns of a table.
//! - [`wire`] and [`registry`]: messages that carry the id of their schema.
//!
//! [`Value`]s, and their conversion from and to `serde` types, are those of `apache-avro`. Schemas and data are read and written
//! here: they may come from anywhere, so nothing in them is believed before it is checked, and the rules of resolution are those
//! of the specification to the letter.
//!
//! ```
//! use tidemill_serialization::avro::{self, AvroRecord};
//!
//! #[derive(AvroRecord, Debug, PartialEq)]
//! struct Trip {
//!     distance: f64,
//!     passengers: i32,
//! }
//!
//! let bytes = avro::encode(&Trip { distance: 0.0, passengers: 3 });
//! assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 6]);
//! assert_eq!(avro::decode::<Trip>(&bytes)?, Trip { distance: 0.0, passengers: 3 });
//! # Ok::<(), avro::AvroError>(())
//! ```

mod bytes;
mod canonical;
pub mod columns;
pub mod container;
mod decoder;
mod defaults;
mod error;
mod evolution;
mod fit;
#[doc(hidden)]
pub mod fuzzing;
mod generic;
mod json;
pub mod logical;
mod parse;
mod readable;
#[cfg(feature = "registry")]
pub mod registry;
mod resolution;
mod schema;
mod specific;
mod typed;
mod value;
pub mod wire;

pub use apache_avro;
pub use decoder::{Decoder, Fields, NextField, Slot};
pub use error::AvroError;
pub use evolution::SERIALIZER;
pub use fit::conform;
pub use generic::{AvroValue, RuntimeSchema, WorkedOut};
pub use resolution::Resolution;
pub use schema::AvroSchema;
pub use specific::{Avro, AvroReader, check, decode, encode, schema_of};
pub use tidemill_derive::AvroRecord;
pub use typed::{AvroType, Names};
pub use value::{Value, decode_value, encode_value};

/// What derived code refers to. No promise is made about it.
#[doc(hidden)]
pub mod __private {
    pub use super::bytes::{long_bytes, put_long};
    pub use super::specific::default_json;
    pub use serde_json::{Map, Value as Json};

    /// The error for a field that was not among those of a record, which its schema always has.
    #[cold]
    pub fn missing(field: &str) -> super::AvroError {
        super::AvroError::Schema { detail: format!("it has no field {field}, which the type has") }
    }

    /// The error for a branch or symbol that a type does not have, though its schema has.
    #[cold]
    pub fn unknown(of: &str) -> super::AvroError {
        super::AvroError::Schema { detail: format!("it has a branch or symbol that {of} has not") }
    }
}
