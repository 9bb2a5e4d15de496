//! [`SchemaRegistry`]: asks a registry for schemas, and remembers them.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::cache::Cache;
use super::config::RegistryConfig;
use super::error::RegistryError;
use super::failures::Failures;
use super::http::{Http, answer, shortened};
use crate::avro::error::AvroError;
use crate::avro::parse::MAX_SCHEMA_BYTES;
use crate::avro::schema::AvroSchema;
use crate::avro::wire::SchemaLookup;

/// Schemas that one refers to, and those that these refer to: more are refused.
const MAX_REFERENCES: usize = 100;

/// A schema as the registry has it.
///
/// ```
/// use tidemill_serialization::avro::AvroError;
/// use tidemill_serialization::avro::registry::SchemaRegistry;
///
/// fn latest_version(registry: &SchemaRegistry) -> Result<u32, AvroError> {
///     Ok(registry.latest("flights-value")?.version)
/// }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RegisteredSchema {
    /// The subject that it is registered under.
    pub subject: String,
    /// Which one of the subject's it is, from 1.
    pub version: u32,
    /// Its id, which messages carry.
    pub id: u32,
    /// The schema.
    pub schema: AvroSchema,
}

/// Whether a schema may become the next version of a subject.
///
/// ```
/// use tidemill_serialization::avro::registry::CompatibilityCheck;
///
/// fn reasons(check: &CompatibilityCheck) -> Option<String> {
///     (!check.is_compatible).then(|| check.messages.join("; "))
/// }
///
/// let refused = CompatibilityCheck { is_compatible: false, messages: vec!["a field is gone".into()] };
/// assert_eq!(reasons(&refused).as_deref(), Some("a field is gone"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompatibilityCheck {
    /// Whether it may.
    pub is_compatible: bool,
    /// Why not, as the registry says it.
    pub messages: Vec<String>,
}

/// A client of a registry of schemas. Can be shared by threads.
///
/// ```
/// use tidemill_serialization::avro::registry::{RegistryConfig, SchemaRegistry};
/// use tidemill_serialization::avro::{AvroError, AvroType, wire::RecordDecoder};
///
/// fn decoder<T: AvroType>(url: &str) -> Result<RecordDecoder<T, SchemaRegistry>, AvroError> {
///     Ok(RecordDecoder::new(SchemaRegistry::connect(RegistryConfig::new([url]))?))
/// }
///
/// assert!(decoder::<i32>("https://registry.example.org:8081").is_ok());
/// ```
pub struct SchemaRegistry {
    http: Http,
    latest_ttl: Duration,
    /// What an id stands for never changes.
    by_id: Mutex<Cache<u32, AvroSchema>>,
    /// What stands for nothing may stand for something soon.
    unknown: Mutex<Failures<u32>>,
    /// Nor does a version of a subject.
    by_version: Mutex<Cache<(String, u32), RegisteredSchema>>,
    latest: Mutex<Cache<String, (Instant, RegisteredSchema)>>,
    /// The ids of schemas that were registered or looked up, by subject and schema.
    ids: Mutex<Cache<(String, String), u32>>,
}

/// What is cached is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SchemaRegistry {
    /// Makes a client; nothing is asked yet.
    ///
    /// # Errors
    /// When the settings make no sense.
    pub fn connect(config: RegistryConfig) -> Result<Self, RegistryError> {
        let most = config.cached_schemas;
        Ok(Self {
            http: Http::new(&config)?,
            latest_ttl: config.latest_ttl,
            by_id: Mutex::new(Cache::new(most)),
            unknown: Mutex::new(Failures::new(most, config.unknown_ttl)),
            by_version: Mutex::new(Cache::new(most)),
            latest: Mutex::new(Cache::new(most)),
            ids: Mutex::new(Cache::new(most)),
        })
    }

    /// The names of all subjects.
    ///
    /// # Errors
    /// When the registry refuses or cannot be asked.
    pub fn subjects(&self) -> Result<Vec<String>, RegistryError> {
        let what = "list the subjects";
        let json = self.http.get("/subjects", what)?;
        let names =
            json.as_array().and_then(|all| all.iter().map(|name| name.as_str().map(str::to_owned)).collect());
        names.ok_or_else(|| answer(what, "it is no list of names"))
    }

    /// The versions of a subject.
    ///
    /// # Errors
    /// When there is no such subject, or the registry refuses or cannot be asked.
    pub fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
        let what = format!("list the versions of {subject}");
        let json = self.http.get(&format!("/subjects/{}/versions", escaped(subject)), &what)?;
        let versions = json.as_array().and_then(|all| all.iter().map(number).collect());
        versions.ok_or_else(|| answer(&what, "it is no list of versions"))
    }

    /// The schema that is known by an id.
    ///
    /// # Errors
    /// When there is none, or the registry refuses or cannot be asked.
    pub fn schema(&self, id: u32) -> Result<AvroSchema, AvroError> {
        if let Some(schema) = lock(&self.by_id).get(&id) {
            return Ok(schema);
        }
        if let Some(error) = lock(&self.unknown).get(id) {
            return Err(error);
        }
        let schema = self.ask_schema(id).inspect_err(|error| lock(&self.unknown).insert(id, error))?;
        lock(&self.by_id).insert(id, schema.clone());
        Ok(schema)
    }

    fn ask_schema(&self, id: u32) -> Result<AvroSchema, AvroError> {
        let what = format!("look up the schema {id}");
        let json = self.http.get(&format!("/schemas/ids/{id}"), &what)?;
        self.parse(&json, &what)
    }

    /// A version of a subject.
    ///
    /// # Errors
    /// When there is none, or the registry refuses or cannot be asked.
    pub fn version(&self, subject: &str, version: u32) -> Result<RegisteredSchema, AvroError> {
        let key = (subject.to_owned(), version);
        if let Some(registered) = lock(&self.by_version).get(&key) {
            return Ok(registered);
        }
        let registered = self.ask_version(subject, &version.to_string())?;
        lock(&self.by_version).insert(key, registered.clone());
        Ok(registered)
    }

    /// The latest version of a subject; one that was the latest a short while ago.
    ///
    /// # Errors
    /// When there is none, or the registry refuses or cannot be asked.
    pub fn latest(&self, subject: &str) -> Result<RegisteredSchema, AvroError> {
        if let Some((at, registered)) = lock(&self.latest).get(subject)
            && at.elapsed() < self.latest_ttl
        {
            return Ok(registered);
        }
        let registered = self.ask_version(subject, "latest")?;
        lock(&self.latest).insert(subject.to_owned(), (Instant::now(), registered.clone()));
        Ok(registered)
    }

    fn ask_version(&self, subject: &str, version: &str) -> Result<RegisteredSchema, AvroError> {
        let what = format!("look up version {version} of {subject}");
        let json = self.http.get(&format!("/subjects/{}/versions/{version}", escaped(subject)), &what)?;
        let field = |name: &str| {
            json.get(name).and_then(number).ok_or_else(|| answer(&what, format!("it has no number {name:?}")))
        };
        let (id, version) = (field("id")?, field("version")?);
        let schema = self.parse(&json, &what)?;
        lock(&self.by_id).insert(id, schema.clone());
        Ok(RegisteredSchema { subject: subject.to_owned(), version, id, schema })
    }

    /// Registers a schema under a subject: its id. Nothing happens if it is registered already.
    ///
    /// # Errors
    /// When the registry refuses, above all because the schema is not compatible with an earlier one; or cannot be asked.
    pub fn register(&self, subject: &str, schema: &AvroSchema) -> Result<u32, RegistryError> {
        let what = format!("register a schema under {subject}");
        self.id_of(subject, schema, &format!("/subjects/{}/versions", escaped(subject)), &what)
    }

    /// The id of a schema that is registered under a subject.
    ///
    /// # Errors
    /// When it is not registered, or the registry refuses or cannot be asked.
    pub fn lookup(&self, subject: &str, schema: &AvroSchema) -> Result<u32, RegistryError> {
        let what = format!("look up a schema under {subject}");
        self.id_of(subject, schema, &format!("/subjects/{}", escaped(subject)), &what)
    }

    fn id_of(
        &self,
        subject: &str,
        schema: &AvroSchema,
        path: &str,
        what: &str,
    ) -> Result<u32, RegistryError> {
        let key = (subject.to_owned(), schema.json().to_owned());
        if let Some(id) = lock(&self.ids).get(&key) {
            return Ok(id);
        }
        let json = self.http.post(path, &json!({"schema": schema.json()}), what)?;
        let id = json.get("id").and_then(number).ok_or_else(|| answer(what, "it has no number \"id\""))?;
        lock(&self.ids).insert(key, id);
        Ok(id)
    }

    /// Asks whether a schema may become the next version of a subject.
    ///
    /// # Errors
    /// When there is no such subject, or the registry refuses or cannot be asked.
    pub fn check_compatibility(
        &self,
        subject: &str,
        schema: &AvroSchema,
    ) -> Result<CompatibilityCheck, RegistryError> {
        let what = format!("check a schema against the latest of {subject}");
        let path = format!("/compatibility/subjects/{}/versions/latest?verbose=true", escaped(subject));
        let json = self.http.post(&path, &json!({"schema": schema.json()}), &what)?;
        let is_compatible = json.get("is_compatible").and_then(Json::as_bool);
        let is_compatible = is_compatible.ok_or_else(|| answer(&what, "it has no \"is_compatible\""))?;
        let messages = json.get("messages").and_then(Json::as_array).into_iter().flatten();
        // Apicurio has one of another name.
        let messages = messages
            .chain(json.get("reason"))
            .filter_map(|message| message.as_str().map(str::to_owned))
            .collect();
        Ok(CompatibilityCheck { is_compatible, messages })
    }

    /// Reads the schema in an answer, and those that it refers to.
    fn parse(&self, json: &Json, what: &str) -> Result<AvroSchema, AvroError> {
        if let Some(other) = json.get("schemaType").and_then(Json::as_str).filter(|kind| *kind != "AVRO") {
            let other = shortened(other, 40);
            return Err(answer(what, format!("it is a schema of the type {other}, not AVRO")).into());
        }
        let text = json.get("schema").and_then(Json::as_str);
        let text = text.ok_or_else(|| answer(what, "it has no \"schema\""))?;
        let mut others: Vec<String> = Vec::new();
        let mut bytes = text.len();
        let mut seen: Vec<(String, u32)> = Vec::new();
        let mut waiting = references(json, what)?;
        while let Some(reference) = waiting.pop() {
            if seen.contains(&reference) {
                continue;
            }
            if seen.len() == MAX_REFERENCES {
                return Err(answer(what, format!("it refers to more than {MAX_REFERENCES} others")).into());
            }
            let (subject, version) = &reference;
            let what = format!("look up version {version} of {subject}");
            let json = self.http.get(&format!("/subjects/{}/versions/{version}", escaped(subject)), &what)?;
            let text = json.get("schema").and_then(Json::as_str);
            let text = text.ok_or_else(|| answer(&what, "it has no \"schema\""))?;
            // As many as could not be used are not collected, either.
            bytes += text.len();
            if bytes > MAX_SCHEMA_BYTES {
                let detail = format!(
                    "the schemas that refer to each other have more than {MAX_SCHEMA_BYTES} bytes in all"
                );
                return Err(answer(&what, detail).into());
            }
            others.push(text.to_owned());
            waiting.extend(references(&json, &what)?);
            seen.push(reference);
        }
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        AvroSchema::parse_with(text, &others)
    }
}

/// The subjects and versions that a schema refers to.
fn references(json: &Json, what: &str) -> Result<Vec<(String, u32)>, RegistryError> {
    let all = json.get("references").and_then(Json::as_array).into_iter().flatten();
    let read = all.map(|reference| {
        let subject = reference.get("subject").and_then(Json::as_str)?.to_owned();
        Some((subject, reference.get("version").and_then(number)?))
    });
    read.collect::<Option<_>>().ok_or_else(|| answer(what, "a reference in it has no subject or no version"))
}

fn number(json: &Json) -> Option<u32> {
    json.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// A subject as a part of a path.
fn escaped(subject: &str) -> String {
    let mut out = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            // Dots alone would be taken for a way up.
            b'.' if subject.bytes().any(|byte| byte != b'.') => out.push('.'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

impl SchemaLookup for SchemaRegistry {
    fn schema_by_id(&self, id: u32) -> Result<AvroSchema, AvroError> {
        self.schema(id)
    }
}

impl fmt::Debug for SchemaRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SchemaRegistry({})", self.http.urls().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn subjects_stay_one_part_of_a_path() {
        assert_eq!(escaped("trips-value"), "trips-value");
        assert_eq!(escaped("city.Trip"), "city.Trip");
        assert_eq!(escaped("a/b?c#d e%"), "a%2Fb%3Fc%23d%20e%25");
        assert_eq!(escaped(".."), "%2E%2E");
    }
}
