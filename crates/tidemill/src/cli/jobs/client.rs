//! Asking the REST interface of a job, of a Flink cluster, or of its SQL Gateway.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use super::printable;
use crate::Error;

/// No answer is longer.
const MAX_ANSWER: u64 = 64 << 20;
/// How long one answer may take: what takes longer is asked for again and again.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many questions in a row may be lost while something is waited for.
const LOST_QUESTIONS: u32 = 5;
/// The pauses between two questions grow up to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// The port of an address that has none.
const DEFAULT_PORT: u16 = 8081;

/// Why something could not be asked for.
#[derive(Debug)]
pub(in crate::cli) enum Problem {
    /// Nobody listens there.
    Gone(String),
    /// A question was lost, or its answer.
    Lost(String),
    /// What was answered instead.
    Refused { status: u16, message: String },
    /// What no such interface answers.
    Nonsense(String),
}

impl Problem {
    /// What the user is told; `what` completes "cannot".
    pub(in crate::cli) fn error(self, what: &str, address: &str) -> Error {
        match self {
            Problem::Gone(reason) | Problem::Lost(reason) => {
                Error::Unreachable { address: address.to_owned(), reason }
            }
            Problem::Refused { status, message } => {
                Error::Refused { what: what.to_owned(), address: address.to_owned(), status, message }
            }
            Problem::Nonsense(reason) => Error::NoInterface { address: address.to_owned(), reason },
        }
    }
}

/// A REST interface.
#[derive(Clone)]
pub(in crate::cli) struct Client {
    agent: Agent,
    /// What stands before all paths: scheme, host, port, and the path of a proxy.
    root: String,
    /// The version of the interface, as it stands before all paths.
    version: &'static str,
    /// Where it is, for people: `host:port`, or the whole URL where that says more.
    pub(in crate::cli) address: String,
}

/// What was answered.
pub(in crate::cli) struct Answered {
    pub(in crate::cli) body: Value,
    /// Where more can be heard.
    pub(in crate::cli) location: Option<String>,
}

impl Client {
    /// Of `HOST:PORT`, or `http://HOST:PORT`.
    pub(in crate::cli) fn new(address: &str) -> Result<Self, Error> {
        let trimmed = address.trim().trim_end_matches('/');
        let trimmed = trimmed.strip_prefix("http://").unwrap_or(trimmed);
        let Some(address) = host_and_port(trimmed, DEFAULT_PORT) else {
            return Err(Error::Argument(format!(
                "'{address}' is no address of a job: expected HOST:PORT, such as localhost:8081"
            )));
        };
        Ok(Self { agent: agent(), root: format!("http://{address}"), version: "/v1", address })
    }

    /// Of a URL, or of `HOST:PORT`: of a Flink cluster, which may be behind a proxy that encrypts or has a path.
    pub(in crate::cli) fn at_url(url: &str, default_port: u16, version: &'static str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Err(Error::Argument(format!(
                "'{url}' is no address of a cluster: {why}; expected a URL such as http://localhost:{default_port}"
            )))
        };
        let trimmed = url.trim().trim_end_matches('/');
        let (scheme, rest) = trimmed.split_once("://").unwrap_or(("http", trimmed));
        if !["http", "https"].contains(&scheme) {
            return wrong("it begins with neither http:// nor https://");
        }
        let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if place.contains('@') {
            return Err(Error::Argument(
                "a name and a password do not belong into the URL of a cluster, where others can see them"
                    .to_owned(),
            ));
        }
        let default_port = if scheme == "https" { 443 } else { default_port };
        let Some(place) = host_and_port(place, default_port) else {
            return wrong("that is no host and port");
        };
        if !path.chars().all(|c| c.is_ascii_alphanumeric() || "-._~/%".contains(c)) {
            return wrong("its path has characters that no path has");
        }
        let root = format!("{scheme}://{place}{path}");
        let address = if scheme == "http" && path.is_empty() { place } else { root.clone() };
        Ok(Self { agent: agent(), root, version, address })
    }

    /// The same interface, asked by another version.
    pub(in crate::cli) fn with_version(&self, version: &'static str) -> Self {
        Self { version, ..self.clone() }
    }

    /// Scheme, host and port, and the path of a proxy.
    pub(in crate::cli) fn root(&self) -> &str {
        &self.root
    }

    fn url(&self, path: &str) -> String {
        format!("{}{}{path}", self.root, self.version)
    }

    pub(in crate::cli) fn get(&self, path: &str) -> Result<Value, Problem> {
        read(self.agent.get(self.url(path)).call()).map(|answered| answered.body)
    }

    /// The text of an answer, for what is read in another way than as a value.
    pub(in crate::cli) fn get_text(&self, path: &str) -> Result<String, Problem> {
        read_text(self.agent.get(self.url(path)).call()).map(|(text, _)| text)
    }

    pub(in crate::cli) fn post(&self, path: &str, body: &Value) -> Result<Answered, Problem> {
        read(self.agent.post(self.url(path)).content_type("application/json").send(body.to_string()))
    }

    pub(in crate::cli) fn put(&self, path: &str, body: &Value) -> Result<Answered, Problem> {
        read(self.agent.put(self.url(path)).content_type("application/json").send(body.to_string()))
    }

    pub(in crate::cli) fn patch(&self, path: &str) -> Result<Answered, Problem> {
        read(self.agent.patch(self.url(path)).send_empty())
    }

    pub(in crate::cli) fn delete(&self, path: &str) -> Result<Answered, Problem> {
        read(self.agent.delete(self.url(path)).call())
    }

    /// Asks again and again until `read` finds what it waits for; `None` when `limit` is over first. `tick` is called between. A few
    /// answers may be lost.
    pub(in crate::cli) fn poll<T>(
        &self,
        path: &str,
        limit: Duration,
        tick: &dyn Fn(),
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let deadline = Instant::now() + limit;
        let mut pause = Duration::from_millis(20);
        let mut lost = 0;
        loop {
            match self.get(path) {
                Ok(answer) => match read(&answer) {
                    Some(found) => return Ok(Some(found)),
                    None => lost = 0,
                },
                Err(Problem::Lost(_)) if lost < LOST_QUESTIONS => lost += 1,
                Err(problem) => return Err(problem),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            tick();
            std::thread::sleep(pause.min(left));
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }
}

/// `HOST:PORT` of a text, which may lack the port.
fn host_and_port(text: &str, default_port: u16) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if text.is_empty() || !text.chars().all(is_plain) {
        return None;
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            port.parse::<u16>().ok()?;
            let is_host = !host.is_empty() && (!host.contains(':') || host.starts_with('['));
            is_host.then(|| text.to_owned())
        }
        _ => Some(format!("{text}:{default_port}")),
    }
}

fn agent() -> Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // What is on this machine, or as near as that, is not asked for elsewhere.
        .proxy(None)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(REQUEST_TIMEOUT))
        .user_agent(concat!("tidemill/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

fn read(response: Result<Response<ureq::Body>, ureq::Error>) -> Result<Answered, Problem> {
    let (text, location) = read_text(response)?;
    match serde_json::from_str(&text) {
        Ok(body) => Ok(Answered { body, location }),
        Err(_) => Err(Problem::Nonsense("its answer is no JSON".to_owned())),
    }
}

/// The text of an answer, and where more can be heard.
fn read_text(
    response: Result<Response<ureq::Body>, ureq::Error>,
) -> Result<(String, Option<String>), Problem> {
    let mut response = response.map_err(|error| match &error {
        ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => Problem::Gone(error.to_string()),
        ureq::Error::Io(reason) if reason.kind() == ErrorKind::ConnectionRefused => {
            Problem::Gone(error.to_string())
        }
        _ => Problem::Lost(error.to_string()),
    })?;
    let status = response.status();
    let location = response.headers().get("location").and_then(|path| path.to_str().ok()).map(str::to_owned);
    let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
    let text = text.map_err(|error| Problem::Lost(error.to_string()))?;
    if status.is_success() {
        return Ok((text, location));
    }
    let body: Option<Value> = serde_json::from_str(&text).ok();
    let errors = body.as_ref().and_then(|body| body.get("errors")?.as_array());
    match errors {
        Some(errors) => {
            let texts: Vec<&str> = errors.iter().filter_map(Value::as_str).collect();
            Err(Problem::Refused { status: status.as_u16(), message: printable(&texts.join("; ")) })
        }
        None => Err(Problem::Nonsense(format!("it answers {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, expected) in [
            ("localhost:9000", "localhost:9000"),
            (" http://localhost:9000/ ", "localhost:9000"),
            ("localhost", "localhost:8081"),
            ("[::1]:8082", "[::1]:8082"),
            ("[::1]", "[::1]:8081"),
        ] {
            assert_eq!(
                Client::new(text).map(|client| client.address).ok().as_deref(),
                Some(expected),
                "{text}"
            );
        }
        for text in
            ["", "https://localhost", "a b", "localhost:x", "localhost:70000", ":8081", "::1:80", "a/b"]
        {
            assert!(Client::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn urls_of_clusters_are_read() {
        let read = |text: &str| {
            let client = Client::at_url(text, 8083, "/v2");
            client.map(|client| (client.url("/info"), client.address)).map_err(|error| error.to_string())
        };
        for (text, url, address) in [
            ("localhost", "http://localhost:8083/v2/info", "localhost:8083"),
            ("http://gate:80/", "http://gate:80/v2/info", "gate:80"),
            ("https://gate", "https://gate:443/v2/info", "https://gate:443"),
            ("https://gate/flink/sql/", "https://gate:443/flink/sql/v2/info", "https://gate:443/flink/sql"),
        ] {
            assert_eq!(read(text), Ok((url.to_owned(), address.to_owned())), "{text}");
        }
        for text in ["", "ftp://gate", "http://", "gate:x", "http://gate/a b", "http://gate/?x=1"] {
            assert!(read(text).is_err(), "{text}");
        }
        let error = read("https://me:geheim@gate").unwrap_err();
        assert!(!error.contains("geheim"), "{error}");
    }
}
