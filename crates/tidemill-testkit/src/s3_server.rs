//! A server that speaks the protocol of S3, over a folder, with faults that a test injects before it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::checkpoints::runtime;

/// The name that clients give.
pub const ACCESS_KEY: &str = "AKIACANARYACCESS";
/// Their password, which must be seen nowhere.
pub const SECRET_KEY: &str = "canary/secret+key/of/the/server";

/// What happens to a request instead of being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3Fault {
    /// It gets this status.
    Status(u16),
    /// It never gets an answer.
    Silence,
    /// The connection is cut after the first bytes of its body.
    Cut,
    /// It is served, and the connection is cut before the answer.
    LostAnswer,
    /// It waits until the test [releases](S3Server::release) what is held, and is served then.
    Held,
    /// It is served, and its answer stops in the middle: the rest never comes, and the connection stays.
    Stalled,
}

type Decide = dyn FnMut(&Method, &str) -> Option<S3Fault> + Send;

/// A running server; ends when it is dropped.
///
/// ```
/// use tidemill_testkit::s3_server::S3Server;
///
/// let server = S3Server::start();
/// assert!(server.folder.path().join("bucket").is_dir());
/// ```
pub struct S3Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it keeps its buckets.
    pub folder: tempfile::TempDir,
    faults: Arc<Faults>,
    accepting: JoinHandle<()>,
}

struct Faults {
    decide: Mutex<Box<Decide>>,
    /// How many requests wait to be released.
    held: watch::Sender<usize>,
    released: watch::Sender<bool>,
}

impl S3Server {
    /// With the bucket `bucket`.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bucket")).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let faults = Arc::new(Faults {
            decide: Mutex::new(Box::new(|_, _| None)),
            held: watch::Sender::new(0),
            released: watch::Sender::new(false),
        });
        let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let of_connections = faults.clone();
        let accepting = runtime().spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = Faulting { service: service.clone(), faults: of_connections.clone() };
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service);
                tokio::spawn(connection);
            }
        });
        Self { address, folder, faults, accepting }
    }

    /// What a client must be configured with.
    pub fn options(&self) -> [(&'static str, String); 5] {
        [
            ("s3.endpoint", format!("http://{}", self.address)),
            ("s3.region", "test-region".to_owned()),
            ("s3.path-style-access", "true".to_owned()),
            ("s3.access-key", ACCESS_KEY.to_owned()),
            ("s3.secret-key", SECRET_KEY.to_owned()),
        ]
    }

    /// Decides anew, from method and path with query, what happens to requests.
    pub fn set(&self, decide: impl FnMut(&Method, &str) -> Option<S3Fault> + Send + 'static) {
        *self.faults.decide.lock().unwrap() = Box::new(decide);
    }

    /// How many requests are held.
    pub fn held(&self) -> usize {
        *self.faults.held.borrow()
    }

    /// Serves what is held, and all that would be from now on.
    pub fn release(&self) {
        self.faults.released.send_replace(true);
    }

    /// The first `count` requests of a method meet a fault.
    pub fn first(&self, count: usize, method: Method, fault: S3Fault) {
        let mut left = count;
        self.set(move |of, _| {
            if *of != method || left == 0 {
                return None;
            }
            left -= 1;
            Some(fault)
        });
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Faulting {
    service: S3Service,
    faults: Arc<Faults>,
}

fn cut() -> Box<dyn std::error::Error + Send + Sync> {
    "the test cuts the connection".into()
}

/// The first bytes of a body.
async fn first_frame<B: Body<Data = Bytes>>(body: B) -> Option<Bytes> {
    let mut body = Box::pin(body);
    let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
    frame?.ok()?.into_data().ok()
}

/// A body that has some bytes, and never ends.
struct Stalled(Option<Bytes>);

impl Body for Stalled {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |bytes| Poll::Ready(Some(Ok(Frame::data(bytes)))))
    }
}

impl Service<Request<Incoming>> for Faulting {
    type Response = Response<s3s::Body>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let fault = (self.faults.decide.lock().unwrap())(request.method(), &target);
        let (service, faults) = (self.service.clone(), self.faults.clone());
        Box::pin(async move {
            match fault {
                None => Ok(Service::call(&service, request).await.map_err(|error| format!("{error:?}"))?),
                Some(S3Fault::Status(status)) => {
                    let body = format!("<Error><Code>Injected{status}</Code><Key>{SECRET_KEY}</Key></Error>");
                    let mut response = Response::new(s3s::Body::from(body));
                    *response.status_mut() = StatusCode::from_u16(status)?;
                    Ok(response)
                }
                Some(S3Fault::Silence) => std::future::pending().await,
                Some(S3Fault::Held) => {
                    faults.held.send_modify(|held| *held += 1);
                    let _ = faults.released.subscribe().wait_for(|released| *released).await;
                    faults.held.send_modify(|held| *held -= 1);
                    Ok(Service::call(&service, request).await.map_err(|error| format!("{error:?}"))?)
                }
                Some(S3Fault::Cut) => {
                    first_frame(request.into_body()).await;
                    Err(cut())
                }
                Some(S3Fault::Stalled) => {
                    let answer = Service::call(&service, request).await;
                    let (head, body) = answer.map_err(|error| format!("{error:?}"))?.into_parts();
                    let first = first_frame(body).await.unwrap_or_default();
                    let half = first.slice(..first.len() / 2);
                    Ok(Response::from_parts(head, s3s::Body::http_body(Stalled(Some(half)))))
                }
                Some(S3Fault::LostAnswer) => {
                    let _ = Service::call(&service, request).await;
                    Err(cut())
                }
            }
        })
    }
}
