//! How streams and state of Avro values evolve: what was stored is read by the rules of Avro, with the schema that it was
//! written with, which is kept beside it.

use std::sync::Arc;

use super::error::AvroError;
use super::resolution::Resolution;
use super::schema::AvroSchema;
use super::value::{decode_value, encode_value};
use crate::compatibility::Difference;
use crate::opaque::{Evolution, Opaque, Resolution as Outcome};
use crate::unstored::Unstored;

/// The serializer of Avro values, as it is called in what is stored.
pub const SERIALIZER: &str = "avro";

/// What is stored beside Avro values of a schema. Where there is none, what is wrong with it, so that the job does not start.
pub(crate) fn opaque(type_name: String, schema: Result<AvroSchema, AvroError>) -> Opaque {
    let (configuration, evolution) = match schema {
        Ok(schema) => (schema.json().as_bytes().to_vec(), AvroEvolution { schema: Ok(schema) }),
        Err(error) => (Vec::new(), AvroEvolution { schema: Err(error.to_string()) }),
    };
    Opaque {
        serializer: SERIALIZER.to_owned(),
        type_name,
        version: 1,
        configuration,
        evolution: Unstored(Some(Arc::new(evolution))),
    }
}

struct AvroEvolution {
    /// That of the program; else why there is none.
    schema: Result<AvroSchema, String>,
}

impl Evolution for AvroEvolution {
    fn resolve(&self, stored: &Opaque, _: &Opaque) -> Outcome {
        let reader = match &self.schema {
            Ok(schema) => schema,
            Err(why) => return Outcome::Incompatible(why.clone()),
        };
        if stored.version != 1 {
            let version = stored.version;
            return Outcome::Incompatible(format!(
                "it is in version {version} of the format: use a newer release"
            ));
        }
        let writer = match std::str::from_utf8(&stored.configuration) {
            Ok(text) => AvroSchema::parse_writer(text),
            Err(_) => Err(AvroError::schema("it is no UTF-8")),
        };
        let resolution = match writer.and_then(|writer| Resolution::new(&writer, reader)) {
            Ok(resolution) => resolution,
            Err(error) => return Outcome::Incompatible(format!("the stored schema cannot be used: {error}")),
        };
        if !resolution.doubts().is_empty() {
            let each: Vec<String> = resolution.doubts().iter().map(Difference::to_string).collect();
            return Outcome::Incompatible(each.join("; "));
        }
        // Bytes that mean something else must be looked at: not each text is a uuid, nor do all bytes make a decimal.
        if resolution.writer().means_the_same(reader) {
            return Outcome::AsIs;
        }
        let reader = reader.clone();
        Outcome::AfterMigration(Arc::new(move |bytes, out| {
            let migrated =
                decode_value(&resolution, bytes).and_then(|value| encode_value(&reader, &value, out));
            migrated.map_err(|error| error.into_decode_error("Avro value"))
        }))
    }
}
