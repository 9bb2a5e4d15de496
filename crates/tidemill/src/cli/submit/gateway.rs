//! A session of a SQL Gateway of Apache Flink: statements go there one by one, and what they give comes back page by page.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::failure::Failure;
use super::interrupt::Interrupt;
use crate::Error;
use crate::cli::jobs::client::{Client, Problem};

/// Where a gateway is found when nothing else is said.
pub(super) const DEFAULT_PORT: u16 = 8083;
/// The first version of the interface that says how rows are written.
const VERSION: &str = "/v2";
/// How often a session says that it is still in use.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// The pauses between two questions for the next page grow up to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// How many answers in a row may be lost while a page is waited for.
const LOST_ANSWERS: u32 = 5;

/// A gateway that has answered.
pub(super) struct Gateway {
    client: Client,
    /// The version of Flink.
    pub(super) version: String,
}

impl Gateway {
    /// The gateway at `url`.
    pub(super) fn connect(url: &str) -> Result<Self, Error> {
        let client = Client::at_url(url, DEFAULT_PORT, VERSION)?;
        let unversioned = client.with_version("");
        let info = match unversioned.get("/info") {
            Ok(info) => info,
            Err(Problem::Gone(reason) | Problem::Lost(reason)) => {
                return Err(Error::NoGateway { address: client.address, reason });
            }
            Err(_) => return Err(not_a_gateway(&client, &unversioned)),
        };
        let product = info.get("productName").and_then(Value::as_str).unwrap_or_default();
        let version = info.get("version").and_then(Value::as_str).unwrap_or_default().to_owned();
        if product != "Apache Flink" || version.is_empty() {
            return Err(not_a_gateway(&client, &unversioned));
        }
        let major: Option<u32> = version.split('.').next().and_then(|major| major.parse().ok());
        if major != Some(2) {
            return Err(Error::FlinkVersion { address: client.address, version });
        }
        Ok(Self { client, version })
    }

    /// Where it is.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// A session in which options have these values.
    pub(super) fn session(&self, properties: &BTreeMap<String, String>) -> Result<Session<'_>, Error> {
        let body = json!({ "sessionName": "tidemill", "properties": properties });
        let answered = self.client.post("/sessions", &body);
        let answered = answered.map_err(|problem| self.error("open a session", problem))?;
        match answered.body.get("sessionHandle").and_then(Value::as_str).filter(|id| is_id(id)) {
            Some(id) => Ok(Session { gateway: self, id: id.to_owned(), heard: Cell::new(Instant::now()) }),
            None => Err(self.error("open a session", Problem::Nonsense("it names no session".to_owned()))),
        }
    }

    /// What the user is told about a request that has nothing to do with a statement.
    fn error(&self, what: &str, problem: Problem) -> Error {
        match problem {
            Problem::Gone(reason) | Problem::Lost(reason) => {
                Error::NoGateway { address: self.client.address.clone(), reason }
            }
            Problem::Refused { message, status } => Error::Refused {
                what: what.to_owned(),
                address: self.client.address.clone(),
                status,
                message: Failure::of(&message).message,
            },
            Problem::Nonsense(reason) => Error::NoGateway { address: self.client.address.clone(), reason },
        }
    }
}

/// What answers at the address, if it is the interface of a cluster itself.
fn not_a_gateway(client: &Client, unversioned: &Client) -> Error {
    let address = client.address.clone();
    let reason = match unversioned.get("/config") {
        Ok(config) if config.get("flink-version").is_some() => {
            "that is the REST interface of its JobManager, and the SQL Gateway has another address, mostly with port 8083"
        }
        _ => "what answers there is something else",
    };
    Error::NoGateway { address, reason: reason.to_owned() }
}

/// Whether a text can stand in a path as it is.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// A session, closed when it is dropped.
pub(super) struct Session<'a> {
    gateway: &'a Gateway,
    id: String,
    /// When the gateway has last heard of it.
    heard: Cell<Instant>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // It would end by itself some time later.
        let _ = self.gateway.client.delete(&format!("/sessions/{}", self.id));
    }
}

/// What a page of a result holds.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(rename = "resultType")]
    kind: String,
    #[serde(rename = "jobID")]
    job: Option<String>,
    #[serde(borrow)]
    results: Option<Rows<'a>>,
    #[serde(rename = "nextResultUri")]
    next: Option<String>,
}

/// Rows of a result.
#[derive(Deserialize)]
pub(super) struct Rows<'a> {
    /// The columns, as the gateway describes them.
    pub(super) columns: Vec<Column>,
    /// Changes of rows.
    #[serde(borrow)]
    pub(super) data: Vec<Change<'a>>,
}

/// A column of a result.
#[derive(Clone, Deserialize)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// Its type, as the gateway describes it.
    #[serde(rename = "logicalType")]
    pub(super) logical: Value,
}

/// A change of a row.
#[derive(Deserialize)]
pub(super) struct Change<'a> {
    /// What happens to the row.
    pub(super) kind: RowKind,
    /// The values, as JSON.
    #[serde(borrow)]
    pub(super) fields: Vec<&'a RawValue>,
}

/// What happens to a row.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum RowKind {
    Insert,
    UpdateBefore,
    UpdateAfter,
    Delete,
}

/// Why a statement did not come to its end.
pub(super) enum Stopped {
    /// It failed.
    Failed(Failure),
    /// The gateway cannot be asked.
    Error(Error),
    /// A signal has come.
    Interrupted,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Stopped::Error(error)
    }
}

/// What a statement that has come to its end is known by.
pub(super) struct Ended {
    /// The job that it started.
    pub(super) job: Option<String>,
}

impl Session<'_> {
    /// What options have in this session, those of the cluster included.
    pub(super) fn properties(&self) -> Result<BTreeMap<String, String>, Error> {
        let answer = self.gateway.client.get(&format!("/sessions/{}", self.id));
        let answer =
            answer.map_err(|problem| self.gateway.error("read the options of a session", problem))?;
        let properties = answer.get("properties").and_then(Value::as_object).into_iter().flatten();
        Ok(properties.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect())
    }

    /// Keeps the session alive while nothing is asked of it.
    pub(super) fn keep(&self) {
        if self.heard.get().elapsed() >= HEARTBEAT {
            self.heard.set(Instant::now());
            // If it is gone, the next statement says so.
            let _ = self.gateway.client.post(&format!("/sessions/{}/heartbeat", self.id), &json!({}));
        }
    }

    /// Executes a statement. Its changes go to `rows`, with its job if it has one; `waiting` is called while there are none.
    pub(super) fn execute(
        &self,
        statement: &str,
        interrupt: &Interrupt,
        rows: &mut dyn FnMut(Option<&str>, Rows<'_>) -> Result<(), Error>,
        waiting: &mut dyn FnMut(),
    ) -> Result<Ended, Stopped> {
        self.heard.set(Instant::now());
        let client = &self.gateway.client;
        let path = format!("/sessions/{}/statements", self.id);
        let answered = match client.post(&path, &json!({ "statement": statement })) {
            Ok(answered) => answered,
            Err(Problem::Refused { message, .. }) => return Err(Stopped::Failed(Failure::of(&message))),
            // Whether it was executed is not known, and it must not be executed twice.
            Err(problem) => return Err(Stopped::Error(self.gateway.error("send a statement", problem))),
        };
        let operation = answered.body.get("operationHandle").and_then(Value::as_str).filter(|id| is_id(id));
        let Some(operation) = operation else {
            let problem = Problem::Nonsense("it names no operation".to_owned());
            return Err(Stopped::Error(self.gateway.error("send a statement", problem)));
        };
        let operation = format!("/sessions/{}/operations/{operation}", self.id);
        let ended = self.pages(&operation, interrupt, rows, waiting);
        // This ends the job of a query that was not read to its end, too.
        let _ = client.delete(&format!("{operation}/close"));
        ended
    }

    fn pages(
        &self,
        operation: &str,
        interrupt: &Interrupt,
        rows: &mut dyn FnMut(Option<&str>, Rows<'_>) -> Result<(), Error>,
        waiting: &mut dyn FnMut(),
    ) -> Result<Ended, Stopped> {
        let client = &self.gateway.client;
        let mut path = format!("{operation}/result/0?rowFormat=JSON");
        let mut job = None;
        let (mut pause, mut lost) = (Duration::from_millis(10), 0);
        loop {
            if interrupt.has_come() {
                return Err(Stopped::Interrupted);
            }
            let text = match client.get_text(&path) {
                Ok(text) => text,
                // The same page may be asked for again.
                Err(Problem::Lost(_)) if lost < LOST_ANSWERS => {
                    lost += 1;
                    std::thread::sleep(LONGEST_PAUSE);
                    continue;
                }
                Err(Problem::Refused { message, .. }) => {
                    return Err(Stopped::Failed(Failure::of(&message)));
                }
                Err(problem) => return Err(Stopped::Error(self.gateway.error("read a result", problem))),
            };
            lost = 0;
            self.heard.set(Instant::now());
            let nonsense = |why: String| Stopped::Error(self.gateway.error("", Problem::Nonsense(why)));
            let page: Page<'_> = serde_json::from_str(&text)
                .map_err(|error| nonsense(format!("its page of a result is none: {error}")))?;
            if job.is_none() {
                job = page.job.filter(|id| is_id(id));
            }
            let mut is_empty = true;
            if let Some(found) = page.results {
                is_empty = found.data.is_empty();
                rows(job.as_deref(), found)?;
            }
            let next = match page.kind.as_str() {
                "EOS" => return Ok(Ended { job }),
                _ => page.next.as_deref(),
            };
            // Behind a proxy paths begin elsewhere; what follows the version is the same.
            let next = next.map(|next| next.find("/sessions/").map_or(next, |at| &next[at..]).to_owned());
            match next {
                Some(next) => path = next,
                None if page.kind == "NOT_READY" => {}
                None => return Ok(Ended { job }),
            }
            if is_empty {
                waiting();
                std::thread::sleep(pause);
                pause = (pause * 3 / 2).min(LONGEST_PAUSE);
            } else {
                pause = Duration::from_millis(10);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_with_all_digits() {
        // As a gateway of Flink 2.3.0 has answered.
        let text = r#"{"resultType":"PAYLOAD","isQueryResult":true,"jobID":"e7324bd2c0222c0aad746df096a57e71","resultKind":"SUCCESS_WITH_CONTENT","results":{"columns":[{"name":"c","logicalType":{"type":"DECIMAL","nullable":false,"precision":38,"scale":10},"comment":null}],"rowFormat":"JSON","data":[{"kind":"INSERT","fields":[1234567890123456789012345678.9012345678]},{"kind":"UPDATE_BEFORE","fields":[1]}]},"nextResultUri":"/v2/sessions/8/operations/9/result/283?rowFormat=JSON"}"#;
        let page: Page<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(
            (page.kind.as_str(), page.job.as_deref()),
            ("PAYLOAD", Some("e7324bd2c0222c0aad746df096a57e71"))
        );
        let rows = page.results.unwrap();
        assert_eq!(rows.columns[0].name, "c");
        assert_eq!(rows.data[0].fields[0].get(), "1234567890123456789012345678.9012345678");
        assert_eq!(rows.data[1].kind, RowKind::UpdateBefore);
        let text = r#"{"resultType":"NOT_READY","nextResultUri":"/v2/sessions/8/operations/9/result/0?rowFormat=JSON"}"#;
        let page: Page<'_> = serde_json::from_str(text).unwrap();
        assert!(page.results.is_none() && page.next.is_some());
    }
}
