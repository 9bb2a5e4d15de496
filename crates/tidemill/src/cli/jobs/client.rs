//! Asking the REST interface of a job, or of a Flink cluster.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

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
pub(super) enum Problem {
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
    pub(super) fn error(self, what: &str, address: &str) -> Error {
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
pub(super) struct Client {
    agent: Agent,
    /// Where it is, as `host:port`.
    pub(super) address: String,
}

/// What was answered.
pub(super) struct Answered {
    pub(super) body: Value,
    /// Where more can be heard.
    pub(super) location: Option<String>,
}

impl Client {
    /// Of `HOST:PORT`, or `http://HOST:PORT`.
    pub(super) fn new(address: &str) -> Result<Self, Error> {
        let trimmed = address.trim().trim_end_matches('/');
        let trimmed = trimmed.strip_prefix("http://").unwrap_or(trimmed);
        let wrong = || {
            Error::Argument(format!(
                "'{address}' is no address of a job: expected HOST:PORT, such as localhost:8081"
            ))
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if trimmed.is_empty() || !trimmed.chars().all(is_plain) {
            return Err(wrong());
        }
        let address = match trimmed.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                port.parse::<u16>().map_err(|_| wrong())?;
                if host.is_empty() || (host.contains(':') && !host.starts_with('[')) {
                    return Err(wrong());
                }
                trimmed.to_owned()
            }
            _ => format!("{trimmed}:{DEFAULT_PORT}"),
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // What is on this machine, or as near as that, is not asked for elsewhere.
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(REQUEST_TIMEOUT))
            .user_agent(concat!("tidemill/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self { agent, address })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/v1{path}", self.address)
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Problem> {
        read(self.agent.get(self.url(path)).call()).map(|answered| answered.body)
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Answered, Problem> {
        read(self.agent.post(self.url(path)).content_type("application/json").send(body.to_string()))
    }

    pub(super) fn put(&self, path: &str, body: &Value) -> Result<Answered, Problem> {
        read(self.agent.put(self.url(path)).content_type("application/json").send(body.to_string()))
    }

    pub(super) fn patch(&self, path: &str) -> Result<Answered, Problem> {
        read(self.agent.patch(self.url(path)).send_empty())
    }

    /// Asks again and again until `read` finds what it waits for; `None` when `limit` is over first. `tick` is called between. A few
    /// answers may be lost.
    pub(super) fn poll<T>(
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

fn read(response: Result<Response<ureq::Body>, ureq::Error>) -> Result<Answered, Problem> {
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
    let body: Option<Value> = serde_json::from_str(&text).ok();
    if status.is_success() {
        return match body {
            Some(body) => Ok(Answered { body, location }),
            None => Err(Problem::Nonsense("its answer is no JSON".to_owned())),
        };
    }
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
}
