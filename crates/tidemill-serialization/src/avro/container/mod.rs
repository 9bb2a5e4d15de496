//! Object container files: Avro data with their schema, in blocks that can be compressed.
//!
//! ```
//! use tidemill_serialization::avro::container::{Codec, ContainerReader, ContainerWriter};
//! use tidemill_serialization::avro::{AvroRecord, schema_of};
//!
//! #[derive(AvroRecord, Debug, PartialEq)]
//! struct Trip {
//!     distance: f64,
//! }
//!
//! let mut writer = ContainerWriter::new(Vec::new(), &schema_of::<Trip>()?).codec(Codec::Zstandard);
//! writer.write(&Trip { distance: 2.5 })?;
//! let file = writer.finish()?;
//!
//! let mut reader = ContainerReader::open(&file[..])?.records::<Trip>()?;
//! assert_eq!(reader.next_batch(1024)?, [Trip { distance: 2.5 }]);
//! assert!(reader.next_batch(1024)?.is_empty());
//! # Ok::<(), tidemill_serialization::avro::AvroError>(())
//! ```

mod codec;
mod reader;
mod writer;

pub use codec::Codec;
pub(in crate::avro) use reader::{Blocks, EMPTY_VALUES};
pub use reader::{ContainerReader, Limits, RecordReader, ValueReader};
pub use writer::ContainerWriter;

/// What files begin with.
const MAGIC: [u8; 4] = *b"Obj\x01";

/// The keys of the schema and the codec in the header.
const SCHEMA_KEY: &str = "avro.schema";
const CODEC_KEY: &str = "avro.codec";
