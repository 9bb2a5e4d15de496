//! The client of the registry: against recorded exchanges with a real one, and against one that misbehaves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tidemill_core::Classified;
use tidemill_serialization::avro::registry::{
    RegistryConfig, RegistryError, SchemaRegistry, SubjectNameStrategy,
};
use tidemill_serialization::avro::{AvroError, AvroRecord, AvroSchema, Value, schema_of, wire};

/// A request as it came.
#[derive(Clone, Debug, Default)]
struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn read(stream: &mut impl Read) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace();
        let mut request =
            Self { method: words.next()?.to_owned(), path: words.next()?.to_owned(), ..Self::default() };
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            request.headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        request.body = String::from_utf8(body).ok()?;
        Some(request)
    }
}

struct Response {
    status: u16,
    headers: String,
    body: String,
}

impl Response {
    fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: String::new(), body: body.into() }
    }

    fn write(&self, stream: &mut impl Write) {
        let Self { status, headers, body } = self;
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        let _ = stream.flush();
    }
}

/// A server that answers as told, until the answers run out.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Request>>>,
    thread: Option<JoinHandle<()>>,
    address: std::net::SocketAddr,
}

impl Server {
    fn start(mut answer: impl FnMut(&Request) -> Option<Response> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let known = seen.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = Request::read(&mut stream) else { continue };
                if request.path == "/stop" {
                    return;
                }
                known.lock().unwrap().push(request.clone());
                // `None`: the connection is closed without a word.
                if let Some(response) = answer(&request) {
                    response.write(&mut stream);
                }
            }
        });
        Self { url: format!("http://{address}"), seen, thread: Some(thread), address }
    }

    /// Answers each request with the next of these.
    fn answering(responses: Vec<Response>) -> Self {
        let mut responses = responses.into_iter();
        Self::start(move |_| responses.next())
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let _ = stream.write_all(b"GET /stop HTTP/1.1\r\n\r\n");
        }
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            if !std::thread::panicking() {
                result.unwrap();
            }
        }
    }
}

/// Asks without waiting between the tries.
fn config(url: &str) -> RegistryConfig {
    RegistryConfig::new([url]).backoff(Duration::ZERO, Duration::ZERO)
}

fn client(url: &str) -> SchemaRegistry {
    SchemaRegistry::connect(config(url)).unwrap()
}

fn schema(json: &str) -> AvroSchema {
    AvroSchema::parse(json).unwrap()
}

mod first {
    use super::*;

    #[derive(AvroRecord, Debug, PartialEq)]
    #[avro(namespace = "city")]
    pub(super) struct Trip {
        pub(super) distance: i32,
    }
}

#[derive(AvroRecord, Debug, PartialEq)]
#[avro(namespace = "city")]
struct Trip {
    distance: f64,
    borough: Option<String>,
}

/// A request that the client has no method for.
fn raw(url: &str, method: &str, path: &str, body: &Json) -> (u16, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let address = format!("{url}{path}");
    let request = match method {
        "GET" => return answer_of(agent.get(&address).call().unwrap()),
        "PUT" => agent.put(&address),
        _ => agent.post(&address),
    };
    let content = "application/vnd.schemaregistry.v1+json";
    answer_of(request.header("Content-Type", content).send(body.to_string()).unwrap())
}

fn answer_of(mut response: ureq::http::Response<ureq::Body>) -> (u16, String) {
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

/// All that the client does, with what is expected of any registry.
fn exercise(url: &str) {
    let registry = client(url);
    assert_eq!(registry.subjects().unwrap(), Vec::<String>::new());

    let (old, new) = (schema_of::<first::Trip>().unwrap(), schema_of::<Trip>().unwrap());
    let subject = SubjectNameStrategy::TopicName.subject("trips", false, &old).unwrap();
    let first = registry.register(&subject, &old).unwrap();
    // Not asked twice.
    assert_eq!(registry.register(&subject, &old).unwrap(), first);
    assert_eq!(client(url).register(&subject, &old).unwrap(), first);
    assert_eq!(client(url).lookup(&subject, &old).unwrap(), first);
    assert_eq!(registry.subjects().unwrap(), std::slice::from_ref(&subject));
    let (status, answer) =
        raw(url, "PUT", &format!("/config/{subject}"), &json!({"compatibility": "BACKWARD"}));
    assert_eq!(status, 200, "{answer}");

    let check = registry.check_compatibility(&subject, &new).unwrap();
    assert!(check.is_compatible, "{check:?}");
    let second = registry.register(&subject, &new).unwrap();
    assert_ne!(first, second);
    assert_eq!(registry.versions(&subject).unwrap(), [1, 2]);
    let latest = registry.latest(&subject).unwrap();
    assert_eq!((latest.id, latest.version), (second, 2));
    assert_eq!(latest.schema.canonical_form(), new.canonical_form());
    assert_eq!(registry.latest(&subject).unwrap(), latest);
    let version = registry.version(&subject, 1).unwrap();
    assert_eq!((version.id, version.schema.canonical_form()), (first, old.canonical_form()));
    assert_eq!(registry.version(&subject, 1).unwrap(), version);

    // What is not compatible, in the registry's own words.
    let wrong = schema(
        r#"{"type": "record", "name": "Trip", "namespace": "city", "fields": [{"name": "distance", "type": "string"}]}"#,
    );
    let check = registry.check_compatibility(&subject, &wrong).unwrap();
    assert!(!check.is_compatible && check.messages.concat().contains("/fields/0/type"), "{check:?}");
    let error = registry.register(&subject, &wrong).unwrap_err();
    assert_eq!(error.code(), "TM-REGISTRY-INCOMPATIBLE");
    assert!(!error.retryable());
    assert!(
        matches!(&error, RegistryError::Refused { status: 409, error_code: Some(409), message, .. }
        if !message.is_empty() && error.to_string().ends_with(message.as_str())),
        "{error}"
    );

    // What is not there.
    let error = registry.schema(999_999).unwrap_err();
    assert_eq!(error.code(), "TM-REGISTRY-NOT-FOUND");
    assert!(error.to_string().contains("error 40403"), "{error}");
    let error = registry.latest("nothing").unwrap_err();
    assert!(error.to_string().contains("error 40401"), "{error}");
    assert!(registry.lookup(&subject, &wrong).is_err());

    // Messages of the past are read with the types of today.
    let mut message = Vec::new();
    wire::encode_message(first, &first::Trip { distance: 3 }, &mut message).unwrap();
    let reader = client(url);
    let mut decoder = wire::RecordDecoder::<Trip, _>::new(&reader);
    for _ in 0..3 {
        assert_eq!(decoder.decode(&message).unwrap(), Trip { distance: 3.0, borough: None });
    }
    let mut message = Vec::new();
    wire::encode_message(second, &Trip { distance: 1.5, borough: Some("Queens".into()) }, &mut message)
        .unwrap();
    assert_eq!(decoder.decode(&message).unwrap().borough.as_deref(), Some("Queens"));

    // A schema that refers to another one.
    let price = json!({"schema": r#"{"type": "fixed", "name": "city.Price", "size": 8}"#});
    let (status, answer) = raw(url, "POST", "/subjects/price/versions", &price);
    assert_eq!(status, 200, "{answer}");
    let fare =
        r#"{"type": "record", "name": "city.Fare", "fields": [{"name": "price", "type": "city.Price"}]}"#;
    let fare = json!({"schema": fare, "schemaType": "AVRO",
        "references": [{"name": "city.Price", "subject": "price", "version": 1}]});
    let (status, answer) = raw(url, "POST", "/subjects/fare/versions", &fare);
    assert_eq!(status, 200, "{answer}");
    let fare = registry.latest("fare").unwrap();
    assert_eq!(
        fare.schema.canonical_form(),
        r#"{"name":"city.Fare","type":"record","fields":[{"name":"price","type":{"name":"city.Price","type":"fixed","size":8}}]}"#,
    );
}

fn recording() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/avro/registry/apicurio.jsonl")
}

/// What Apicurio Registry said, recorded by `tests/avro/record-registry.sh`: all requests and answers are the same.
#[test]
fn a_real_registry_is_understood() {
    if let Ok(real) = std::env::var("TIDEMILL_RECORD_REGISTRY") {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let recorded = lines.clone();
        let server = Server::start(move |request| {
            let body = serde_json::from_str(&request.body).unwrap_or(Json::Null);
            let (status, answer) = raw(&real, &request.method, &request.path, &body);
            let exchange = json!({"method": request.method, "path": request.path, "body": request.body,
                "status": status, "answer": answer});
            recorded.lock().unwrap().push(exchange.to_string());
            Some(Response::new(status, answer))
        });
        exercise(&server.url);
        std::fs::create_dir_all(recording().parent().unwrap()).unwrap();
        std::fs::write(recording(), lines.lock().unwrap().join("\n") + "\n").unwrap();
    }
    let text = std::fs::read_to_string(recording()).unwrap();
    let exchanges: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = exchanges.len();
    let mut exchanges = exchanges.into_iter();
    let server = Server::start(move |request| {
        let exchange = exchanges.next().expect("one request more than was recorded");
        assert_eq!(exchange["method"], request.method.as_str());
        assert_eq!(exchange["path"], request.path.as_str());
        assert_eq!(exchange["body"], request.body.as_str());
        let status = exchange["status"].as_u64().unwrap() as u16;
        Some(Response::new(status, exchange["answer"].as_str().unwrap()))
    });
    exercise(&server.url);
    assert_eq!(server.seen().len(), count);
}

const SUBJECTS: &str = r#"["a"]"#;

#[test]
fn what_passes_is_tried_again_and_nothing_else() {
    let passing = |status| Response::new(status, r#"{"error_code": 50003, "message": "later"}"#);
    let server =
        Server::answering(vec![passing(503), passing(429), passing(500), Response::new(200, SUBJECTS)]);
    assert_eq!(client(&server.url).subjects().unwrap(), ["a"]);
    assert_eq!(server.seen().len(), 4);

    // At last the words of the registry.
    let server = Server::start(move |_| Some(passing(503)));
    let error = SchemaRegistry::connect(config(&server.url).retries(2)).unwrap().subjects().unwrap_err();
    assert_eq!(error.code(), "TM-REGISTRY-UNAVAILABLE");
    assert!(error.retryable());
    assert_eq!(
        error.to_string(),
        "the schema registry refused to list the subjects (status 503, error 50003): later"
    );
    assert_eq!(server.seen().len(), 3);

    for (status, code) in [
        (400, "TM-REGISTRY-REFUSED"),
        (401, "TM-REGISTRY-UNAUTHORIZED"),
        (403, "TM-REGISTRY-UNAUTHORIZED"),
        (404, "TM-REGISTRY-NOT-FOUND"),
        (409, "TM-REGISTRY-INCOMPATIBLE"),
        (422, "TM-REGISTRY-INVALID"),
        (302, "TM-REGISTRY-REFUSED"),
    ] {
        let server = Server::start(move |_| Some(Response::new(status, "<html>not the registry</html>")));
        let error = client(&server.url).register("s", &schema(r#""int""#)).unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains("<html>not the registry</html>"), "{error}");
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[test]
fn retry_after_is_heeded_within_bounds() {
    let busy = || Response { headers: "Retry-After: 86400\r\n".into(), ..Response::new(429, "{}") };
    let server = Server::answering(vec![busy(), Response::new(200, SUBJECTS)]);
    // Not for a day: for what the settings allow at most.
    assert_eq!(client(&server.url).subjects().unwrap(), ["a"]);
}

#[test]
fn the_next_address_is_asked_when_one_does_not_answer() {
    // Nobody listens there any more.
    let nobody = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let silent = Server::start(|_| None);
    let broken = Server::start(|_| Some(Response::new(502, "")));
    let server = Server::start(|_| Some(Response::new(200, SUBJECTS)));
    let urls = [&nobody, &silent.url, &broken.url, &server.url];
    let config = RegistryConfig::new(urls).backoff(Duration::ZERO, Duration::ZERO).retries(0);
    let registry = SchemaRegistry::connect(config).unwrap();
    for _ in 0..3 {
        assert_eq!(registry.subjects().unwrap(), ["a"]);
    }
    // The one that answered is asked first from then on.
    assert_eq!((silent.seen().len(), broken.seen().len(), server.seen().len()), (1, 1, 3));

    let config = RegistryConfig::new([&nobody]).backoff(Duration::ZERO, Duration::ZERO).retries(2);
    let error = SchemaRegistry::connect(config).unwrap().subjects().unwrap_err();
    assert_eq!(error.code(), "TM-REGISTRY-UNREACHABLE");
    assert!(error.retryable() && error.to_string().contains("tried 3 times"), "{error}");
    assert!(error.to_string().contains(&nobody), "{error}");
}

#[test]
fn a_registry_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = config(&url).retries(1).request_timeout(Duration::from_millis(50));
    let error = SchemaRegistry::connect(config).unwrap().subjects().unwrap_err();
    assert_eq!(error.code(), "TM-REGISTRY-UNREACHABLE");
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let server = Server::start(|_| Some(Response::new(401, r#"{"error_code": 401, "message": "no"}"#)));
    let basic = config(&server.url).basic("ann", "s3cret");
    let bearer = config(&server.url).bearer("t0ken");
    for (config, header) in [(basic, "Basic YW5uOnMzY3JldA=="), (bearer, "Bearer t0ken")] {
        let shown = format!("{config:?}");
        let registry = SchemaRegistry::connect(config).unwrap();
        let error = registry.subjects().unwrap_err();
        for text in [shown, format!("{registry:?}"), format!("{error:?}"), error.to_string()] {
            for secret in ["s3cret", "t0ken", "YW5u"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
        assert_eq!(server.seen().last().unwrap().header("authorization"), Some(header));
    }
    // A redirection does not take them elsewhere.
    let elsewhere = Server::start(|_| Some(Response::new(200, SUBJECTS)));
    let location = format!("Location: {}/subjects\r\n", elsewhere.url);
    let server =
        Server::start(move |_| Some(Response { headers: location.clone(), ..Response::new(307, "") }));
    assert!(SchemaRegistry::connect(config(&server.url).bearer("t0ken")).unwrap().subjects().is_err());
    assert!(elsewhere.seen().is_empty());

    let wrong = |config: RegistryConfig| {
        let error = SchemaRegistry::connect(config).unwrap_err();
        assert_eq!(error.code(), "TM-REGISTRY-CONFIG");
        assert!(!error.to_string().contains("s3cret") && !format!("{error:?}").contains("s3cret"), "{error}");
    };
    wrong(config("http://ann:s3cret@host"));
    wrong(config("ann:s3cret@host"));
    wrong(config("http://host/?token=").bearer("s3cret"));
    wrong(config("http://host").bearer("s3cret\r\nX-Other: 1"));
    wrong(config("https://host").ca_pem("s3cret"));
    wrong(RegistryConfig::new(Vec::<String>::new()));
}

#[test]
fn answers_that_make_no_sense_are_errors() {
    for body in ["", "[", "{}", "3", r#"{"id": -1}"#, r#"{"id": "1"}"#, r#"{"id": 99999999999}"#] {
        let server = Server::start(move |_| Some(Response::new(200, body)));
        let registry = client(&server.url);
        assert_eq!(registry.subjects().unwrap_err().code(), "TM-REGISTRY-ANSWER");
        assert_eq!(registry.register("s", &schema(r#""int""#)).unwrap_err().code(), "TM-REGISTRY-ANSWER");
        assert_eq!(registry.schema(1).unwrap_err().code(), "TM-REGISTRY-ANSWER");
        assert_eq!(registry.latest("s").unwrap_err().code(), "TM-REGISTRY-ANSWER");
    }
    let kinds = [
        (r#"{"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"}"#, "PROTOBUF"),
        (r#"{"schema": "{", "schemaType": "AVRO"}"#, "no JSON"),
        (r#"{"schema": "\"int\"", "references": [{"name": "x"}]}"#, "reference"),
    ];
    for (body, words) in kinds {
        let server = Server::start(move |_| Some(Response::new(200, body)));
        let error = client(&server.url).schema(1).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    // References without end.
    let mut next = 0;
    let server = Server::start(move |_| {
        next += 1;
        let body =
            json!({"schema": "\"int\"", "references": [{"name": "x", "subject": "s", "version": next}]});
        Some(Response::new(200, body.to_string()))
    });
    assert!(client(&server.url).schema(1).unwrap_err().to_string().contains("more than 100"));
    // More than is ever read.
    let large = format!("[\"{}\"]", "x".repeat(17 << 20));
    let server = Server::start(move |_| Some(Response::new(200, large.clone())));
    assert_eq!(client(&server.url).subjects().unwrap_err().code(), "TM-REGISTRY-ANSWER");
}

#[test]
fn what_was_learned_is_remembered_within_bounds() {
    let server =
        Server::start(|_| Some(Response::new(200, r#"{"schema": "\"int\"", "id": 1, "version": 1}"#)));
    let registry = SchemaRegistry::connect(config(&server.url).cached_schemas(2)).unwrap();
    for id in [1, 2, 1, 2] {
        registry.schema(id).unwrap();
    }
    assert_eq!(server.seen().len(), 2);
    registry.schema(3).unwrap();
    registry.schema(1).unwrap();
    assert_eq!(server.seen().len(), 4);
    // The latest version may change.
    let registry = SchemaRegistry::connect(config(&server.url).latest_ttl(Duration::ZERO)).unwrap();
    registry.latest("s").unwrap();
    registry.latest("s").unwrap();
    assert_eq!(server.seen().len(), 6);
}

#[test]
fn encrypted_connections_are_verified() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = key.cert.pem();
    let certificate = key.cert.der().clone();
    let private = rustls::pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls =
        Arc::new(tls.with_no_client_auth().with_single_cert(vec![certificate], private.into()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    // The client may give up the first connection before anything is asked.
    let thread = std::thread::spawn(move || {
        for _ in 0..2 {
            let (stream, _) = listener.accept().unwrap();
            let mut stream =
                rustls::StreamOwned::new(rustls::ServerConnection::new(tls.clone()).unwrap(), stream);
            if Request::read(&mut stream).is_some() {
                Response::new(200, SUBJECTS).write(&mut stream);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    let error = SchemaRegistry::connect(config(&url).retries(0)).unwrap().subjects().unwrap_err();
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
    let registry = SchemaRegistry::connect(config(&url).retries(0).ca_pem(pem)).unwrap();
    assert_eq!(registry.subjects().unwrap(), ["a"]);
    thread.join().unwrap();
}

#[test]
fn subjects_are_named_as_the_strategy_says() {
    let record = schema(r#"{"type": "record", "name": "city.Trip", "fields": []}"#);
    use SubjectNameStrategy::{RecordName, TopicName, TopicRecordName};
    assert_eq!(TopicName.subject("trips", false, &record).unwrap(), "trips-value");
    assert_eq!(TopicName.subject("trips", true, &record).unwrap(), "trips-key");
    assert_eq!(RecordName.subject("trips", false, &record).unwrap(), "city.Trip");
    assert_eq!(TopicRecordName.subject("trips", false, &record).unwrap(), "trips-city.Trip");
    let number = schema(r#""int""#);
    assert_eq!(TopicName.subject("trips", true, &number).unwrap(), "trips-key");
    assert_eq!(RecordName.subject("trips", true, &number).unwrap_err().code(), "TM-REGISTRY-CONFIG");
}

#[test]
fn messages_carry_the_id_of_their_schema() {
    let mut message = Vec::new();
    wire::encode_message(0x0102_0304, &first::Trip { distance: -1 }, &mut message).unwrap();
    assert_eq!(message, [0, 1, 2, 3, 4, 1]);
    assert_eq!(wire::split(&message).unwrap(), (0x0102_0304, &[1][..]));

    let old = schema_of::<first::Trip>().unwrap();
    let known = std::collections::HashMap::from([(0x0102_0304, old.clone())]);
    let mut values = wire::ValueDecoder::new(&known);
    assert_eq!(values.decode(&message).unwrap(), Value::Record(vec![("distance".into(), Value::Int(-1))]));
    let mut values = wire::ValueDecoder::with_reader(&known, schema_of::<Trip>().unwrap());
    let read = values.decode(&message).unwrap();
    let borough = Value::Union(0, Box::new(Value::Null));
    assert_eq!(
        read,
        Value::Record(vec![("distance".into(), Value::Double(-1.0)), ("borough".into(), borough)])
    );
    let mut again = Vec::new();
    let value = Value::Record(vec![("distance".into(), Value::Int(-1))]);
    wire::encode_value_message(0x0102_0304, &old, value, &mut again).unwrap();
    assert_eq!(again, message);

    for (wrong, words) in [
        (&[][..], "at least 5"),
        (&[0, 0, 0, 1], "at least 5"),
        (&[1, 0, 0, 0, 1, 2], "not with 0"),
        (&[0, 0, 0, 0, 9, 2], "id 9"),
        (&[0, 1, 2, 3, 4], "end within"),
        (&[0, 1, 2, 3, 4, 1, 1], "follow the end"),
    ] {
        let error = wire::RecordDecoder::<Trip, _>::new(&known).decode(wrong).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// Confluent's serializers leave the length of such bytes away.
#[test]
fn messages_of_bare_bytes_have_no_length() {
    use tidemill_serialization::avro::logical::AvroDecimal;

    let bytes = schema_of::<Vec<u8>>().unwrap();
    let decimal = schema_of::<AvroDecimal<5, 2>>().unwrap();
    let known = std::collections::HashMap::from([(7, bytes.clone()), (8, decimal)]);
    let within = |data: &[u8]| [&[0, 0, 0, 0, 7][..], data].concat();
    for data in [&[][..], &[1], &[4, 1, 2], &[0xff; 200]] {
        let (mut typed, mut generic) = (vec![9], Vec::new());
        wire::encode_message(7, &data.to_vec(), &mut typed).unwrap();
        wire::encode_value_message(7, &bytes, Value::Bytes(data.to_vec()), &mut generic).unwrap();
        assert_eq!((&typed[1..], &generic[..]), (&within(data)[..], &within(data)[..]));
        assert_eq!(wire::RecordDecoder::<Vec<u8>, _>::new(&known).decode(&generic).unwrap(), data);
        assert_eq!(wire::ValueDecoder::new(&known).decode(&generic).unwrap(), Value::Bytes(data.to_vec()));
    }
    // With a reader of another type, and what means something.
    assert_eq!(wire::RecordDecoder::<String, _>::new(&known).decode(&within(b"text")).unwrap(), "text");
    let mut message = Vec::new();
    let price = AvroDecimal::<5, 2>::new(1234).unwrap();
    wire::encode_message(8, &price, &mut message).unwrap();
    assert_eq!(message, [0, 0, 0, 0, 8, 4, 0xd2]);
    assert_eq!(wire::RecordDecoder::<AvroDecimal<5, 2>, _>::new(&known).decode(&message).unwrap(), price);
    // Bytes within something have their length.
    let mut message = Vec::new();
    wire::encode_message(9, &vec![vec![1u8]], &mut message).unwrap();
    assert_eq!(message, [0, 0, 0, 0, 9, 2, 2, 1, 0]);
}

#[test]
fn addresses_are_shown_without_what_is_secret_in_them() {
    for (url, shown) in [
        ("https://ann:s3cret@host:8081/x", "https://******@host:8081/x"),
        ("ann:s3cret@host", "******@host"),
        ("https://host/x?apikey=s3cret", "https://host/x?******"),
        ("https://host/x#s3cret", "https://host/x?******"),
        ("https://ann:s3c@ret@host?s3cret@x", "https://******@host?******"),
        ("https://host:8081", "https://host:8081"),
    ] {
        let config = RegistryConfig::new([url]);
        let debug = format!("{config:?}");
        assert!(debug.contains(&format!("[\"{shown}\"]")), "{debug}");
        if let Err(error) = SchemaRegistry::connect(config) {
            assert!(!error.to_string().contains("s3c") && !format!("{error:?}").contains("s3c"), "{error}");
        }
    }
}

/// Otherwise each message with such an id would be a request.
#[test]
fn ids_that_are_not_known_are_asked_for_once() {
    let unknown = || Response::new(404, r#"{"error_code": 40403, "message": "no such schema"}"#);
    let server = Server::start(move |_| Some(unknown()));
    let registry = client(&server.url);
    let first = registry.schema(5).unwrap_err();
    for _ in 0..3 {
        let again = registry.schema(5).unwrap_err();
        assert_eq!((again.code(), again.to_string()), ("TM-REGISTRY-NOT-FOUND", first.to_string()));
    }
    assert_eq!(server.seen().len(), 1);
    assert!(registry.schema(6).is_err());
    assert_eq!(server.seen().len(), 2);
    // Not for ever.
    let registry = SchemaRegistry::connect(config(&server.url).unknown_ttl(Duration::ZERO)).unwrap();
    assert!(registry.schema(5).is_err() && registry.schema(5).is_err());
    assert_eq!(server.seen().len(), 4);
    // A decoder leaves it to the registry.
    let mut decoder = wire::ValueDecoder::new(&registry);
    for _ in 0..3 {
        assert_eq!(decoder.decode(&[0, 0, 0, 0, 5, 0]).unwrap_err().code(), "TM-REGISTRY-NOT-FOUND");
    }
    assert_eq!(server.seen().len(), 7);
    let remembers = client(&server.url);
    let mut decoder = wire::ValueDecoder::new(&remembers);
    for _ in 0..3 {
        assert_eq!(decoder.decode(&[0, 0, 0, 0, 5, 0]).unwrap_err().code(), "TM-REGISTRY-NOT-FOUND");
    }
    assert_eq!(server.seen().len(), 8);
    // A schema that cannot be used is not had again each time, either.
    let server = Server::start(|_| Some(Response::new(200, r#"{"schema": "{"}"#)));
    let registry = client(&server.url);
    assert!(registry.schema(1).is_err() && registry.schema(1).is_err());
    assert_eq!(server.seen().len(), 1);
    // But what may pass is asked for again.
    let server = Server::start(|_| Some(Response::new(503, "")));
    let registry = SchemaRegistry::connect(config(&server.url).retries(0)).unwrap();
    let mut decoder = wire::ValueDecoder::new(&registry);
    for _ in 0..3 {
        assert!(decoder.decode(&[0, 0, 0, 0, 5, 0]).unwrap_err().retryable());
    }
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn what_a_registry_says_is_bounded() {
    // Each refers to one more, and all of them together are more than is ever parsed.
    let mut next = 0;
    let server = Server::start(move |_| {
        next += 1;
        let schema = format!("\"{}\"", "x".repeat(300_000));
        let body = json!({"schema": schema, "references": [{"name": "x", "subject": "s", "version": next}]});
        Some(Response::new(200, body.to_string()))
    });
    let error = client(&server.url).schema(1).unwrap_err().to_string();
    assert!(error.contains("more than 1048576 bytes in all") && error.len() < 1000, "{error}");
    assert_eq!(server.seen().len(), 4);
    // Its words are shown, but not without end.
    let words = "no! ".repeat(1 << 20);
    let server = Server::start(move |_| Some(Response::new(409, json!({"message": words}).to_string())));
    let error = client(&server.url).register("s", &schema(r#""int""#)).unwrap_err().to_string();
    assert!(error.contains("no! no!") && error.ends_with('…') && error.len() < 5000, "{} bytes", error.len());
    let kind = "x".repeat(1 << 20);
    let server = Server::start(move |_| {
        Some(Response::new(200, json!({"schema": "", "schemaType": kind}).to_string()))
    });
    assert!(client(&server.url).schema(1).unwrap_err().to_string().len() < 1000);
}

/// What cannot be read is found out once: to compare large schemas for each message would take long.
#[test]
fn a_schema_that_does_not_fit_is_looked_up_once() {
    let asked = std::cell::Cell::new(0);
    struct Counted<'a>(&'a std::cell::Cell<u32>);
    impl wire::SchemaLookup for Counted<'_> {
        fn schema_by_id(&self, _: u32) -> Result<AvroSchema, AvroError> {
            self.0.set(self.0.get() + 1);
            AvroSchema::parse("\"string\"")
        }
    }
    let mut decoder = wire::RecordDecoder::<i32, _>::new(Counted(&asked));
    let messages = [1, 1, 2, 1].map(|id| decoder.decode(&[0, 0, 0, 0, id, 2, b'x']).unwrap_err().to_string());
    assert!(messages.iter().all(|message| *message == messages[0]), "{messages:?}");
    assert_eq!(asked.get(), 2);
}
