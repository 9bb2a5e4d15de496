//! [`SchemaRegistry`]: a client of the Confluent Schema Registry, and of others that speak its protocol.
//!
//! ```no_run
//! use tidemill_serialization::avro::registry::{RegistryConfig, SchemaRegistry, SubjectNameStrategy};
//! use tidemill_serialization::avro::{AvroRecord, schema_of, wire};
//!
//! #[derive(AvroRecord, Debug)]
//! struct Trip {
//!     distance: f64,
//! }
//!
//! let config = RegistryConfig::new(["https://registry.example.org"]).basic("reader", "a secret");
//! let registry = SchemaRegistry::connect(config)?;
//!
//! let schema = schema_of::<Trip>()?;
//! let subject = SubjectNameStrategy::TopicName.subject("trips", false, &schema)?;
//! let id = registry.register(&subject, &schema)?;
//! let mut message = Vec::new();
//! wire::encode_message(id, &Trip { distance: 2.5 }, &mut message)?;
//!
//! let mut decoder = wire::RecordDecoder::<Trip, _>::new(&registry);
//! println!("{:?}", decoder.decode(&message)?);
//! # Ok::<(), tidemill_serialization::avro::AvroError>(())
//! ```

mod cache;
mod client;
mod config;
mod error;
mod failures;
mod http;
mod subject;

pub use client::{CompatibilityCheck, RegisteredSchema, SchemaRegistry};
pub use config::RegistryConfig;
pub use error::RegistryError;
pub use subject::SubjectNameStrategy;
