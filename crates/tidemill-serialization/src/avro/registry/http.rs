//! [`Http`]: requests to any of the addresses of a registry, again where that may help.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::config::{Authentication, RegistryConfig, Secret};
use super::error::RegistryError;

/// A registry never has more to say.
const MAX_ANSWER: u64 = 16 << 20;

/// So many characters of what it refuses are shown.
const MAX_MESSAGE: usize = 4000;

/// What registries expect, and how they answer.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

pub(super) struct Http {
    agent: Agent,
    urls: Vec<String>,
    /// Of the header `Authorization`.
    authorization: Option<Secret>,
    retries: u32,
    backoff: Duration,
    max_backoff: Duration,
    /// Which address answered last.
    current: AtomicUsize,
}

/// What came of one request.
enum Attempt {
    Answer(Json),
    /// There is no point in asking again.
    Final(RegistryError),
    /// It may help to ask again; not before so long.
    Passing(RegistryError, Option<Duration>),
}

impl Http {
    pub(super) fn new(config: &RegistryConfig) -> Result<Self, RegistryError> {
        config.check()?;
        let roots = match &config.ca_pem {
            None => RootCerts::PlatformVerifier,
            Some(pem) => {
                let mut certificates = Vec::new();
                for item in parse_pem(pem) {
                    match item {
                        Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
                        Ok(_) => {}
                        Err(_) => return Err(wrong("the certificates to be trusted are no PEM")),
                    }
                }
                if certificates.is_empty() {
                    return Err(wrong("there is no certificate among those to be trusted"));
                }
                RootCerts::new_with_certs(&certificates)
            }
        };
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // A redirection could lead credentials astray.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(config.connect_timeout))
            .timeout_global(Some(config.request_timeout))
            .user_agent(concat!("tidemill/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let authorization = match &config.authentication {
            Authentication::None => None,
            Authentication::Basic { user, password } => {
                Some(Secret(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.0)))))
            }
            Authentication::Bearer(token) => Some(Secret(format!("Bearer {}", token.0))),
        };
        if authorization.as_ref().is_some_and(|value| value.0.chars().any(|c| c.is_control())) {
            return Err(wrong("the token has control characters in it, such as the end of a line"));
        }
        Ok(Self {
            agent,
            urls: config.urls.clone(),
            authorization,
            retries: config.retries,
            backoff: config.backoff,
            max_backoff: config.max_backoff,
            current: AtomicUsize::new(0),
        })
    }

    pub(super) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Asks for something; `what` completes "asked to".
    pub(super) fn get(&self, path: &str, what: &str) -> Result<Json, RegistryError> {
        self.request(path, None, what)
    }

    /// Sends something. Only what may be sent twice.
    pub(super) fn post(&self, path: &str, body: &Json, what: &str) -> Result<Json, RegistryError> {
        self.request(path, Some(&body.to_string()), what)
    }

    fn request(&self, path: &str, body: Option<&str>, what: &str) -> Result<Json, RegistryError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut backoff = self.backoff;
        let mut attempts = 0;
        for round in 0..=self.retries {
            let mut last = None;
            for i in 0..self.urls.len() {
                let address = (first + i) % self.urls.len();
                attempts += 1;
                match self.attempt(&self.urls[address], path, body, what, attempts) {
                    Attempt::Answer(json) => {
                        self.current.store(address, Ordering::Relaxed);
                        return Ok(json);
                    }
                    Attempt::Final(error) => return Err(error),
                    Attempt::Passing(error, wait) => last = Some((error, wait)),
                }
            }
            match last {
                Some((error, _)) if round == self.retries => return Err(error),
                Some((_, wait)) => {
                    std::thread::sleep(wait.unwrap_or(backoff).min(self.max_backoff));
                    backoff = backoff.saturating_mul(2).min(self.max_backoff);
                }
                None => break,
            }
        }
        Err(wrong("there is no address: give at least one"))
    }

    fn attempt(&self, url: &str, path: &str, body: Option<&str>, what: &str, attempts: u32) -> Attempt {
        let address = format!("{url}{path}");
        let result = match body {
            None => {
                let mut request = self.agent.get(&address).header("Accept", CONTENT_TYPE);
                if let Some(value) = &self.authorization {
                    request = request.header("Authorization", &value.0);
                }
                request.call()
            }
            Some(body) => {
                let mut request = self
                    .agent
                    .post(&address)
                    .header("Accept", CONTENT_TYPE)
                    .header("Content-Type", CONTENT_TYPE);
                if let Some(value) = &self.authorization {
                    request = request.header("Authorization", &value.0);
                }
                request.send(body)
            }
        };
        let unreachable = |error: ureq::Error| {
            let passing = is_passing(&error);
            let detail = format!("{url}: {error}");
            let error = RegistryError::Unreachable { what: what.to_owned(), attempts, detail };
            match passing {
                true => Attempt::Passing(error, None),
                false => Attempt::Final(error),
            }
        };
        let mut response = match result {
            Ok(response) => response,
            Err(error) => return unreachable(error),
        };
        let status = response.status().as_u16();
        let wait =
            response.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let text = match response.body_mut().with_config().limit(MAX_ANSWER).read_to_string() {
            Ok(text) => text,
            Err(ureq::Error::BodyExceedsLimit(limit)) => {
                return Attempt::Final(answer(what, format!("it has more than {limit} bytes")));
            }
            Err(error) => return unreachable(error),
        };
        if (200..300).contains(&status) {
            return match serde_json::from_str(&text) {
                Ok(json) => Attempt::Answer(json),
                Err(error) => Attempt::Final(answer(what, format!("it is no JSON: {error}"))),
            };
        }
        let error = refused(what, status, &text);
        match RegistryError::is_passing(status) {
            true => Attempt::Passing(error, wait.map(Duration::from_secs)),
            false => Attempt::Final(error),
        }
    }
}

/// The beginning of a text.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What the registry said; where it said nothing in its own form, the beginning of what came instead.
fn refused(what: &str, status: u16, text: &str) -> RegistryError {
    let json: Option<Json> = serde_json::from_str(text).ok();
    let field = |name: &str| json.as_ref().and_then(|json| json.get(name));
    let message = match field("message").and_then(Json::as_str) {
        Some(message) => shortened(message, MAX_MESSAGE),
        None => shortened(text, 500),
    };
    let error_code = field("error_code").and_then(Json::as_i64);
    RegistryError::Refused { what: what.to_owned(), status, error_code, message }
}

/// Whether asking again may help: the connection failed, not what was said over it.
fn is_passing(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput),
        ureq::Error::Timeout(_) | ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        _ => false,
    }
}

fn wrong(detail: &str) -> RegistryError {
    RegistryError::Config { detail: detail.to_owned() }
}

pub(super) fn answer(what: &str, detail: impl Into<String>) -> RegistryError {
    RegistryError::Answer { what: what.to_owned(), detail: detail.into() }
}
