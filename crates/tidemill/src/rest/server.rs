//! Connections: few at a time, none of which may dawdle.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// How many connections there may be; more wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// How long the head of a request may take, also of the next one on a connection that is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last: whoever reads its answer slower than this, is cut off.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(600);
/// How long answers that are under way have when the interface ends.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Server {
    runtime: Option<Runtime>,
    stop: watch::Sender<bool>,
    connections: Arc<Semaphore>,
}

impl Server {
    pub(super) fn start(socket: std::net::TcpListener, router: Router) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tidemill-rest")
            .enable_all()
            .build()?;
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(socket)?
        };
        let (stop, stopped) = watch::channel(false);
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        runtime.spawn(accept(listener, router, Arc::clone(&connections), stopped));
        Ok(Self { runtime: Some(runtime), stop, connections })
    }

    /// Takes no more requests, and finishes those that are being answered.
    pub(super) fn stop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        self.stop.send_replace(true);
        let (done, ended) = std::sync::mpsc::channel();
        let connections = Arc::clone(&self.connections);
        runtime.spawn(async move {
            let idle = connections.acquire_many(MAX_CONNECTIONS as u32).await;
            let _ = done.send(idle.is_ok());
        });
        // Whoever has not read his answer by then does not want it.
        let _ = ended.recv_timeout(STOP_TIMEOUT);
        runtime.shutdown_background();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    connections: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(serve(TokioIo::new(stream), router.clone(), permit, stopped.clone()));
            }
            Err(error) => {
                // Too many open files, as a rule: that passes.
                tracing::debug!(%error, "the REST interface cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(
    stream: TokioIo<tokio::net::TcpStream>,
    router: Router,
    _permit: OwnedSemaphorePermit,
    mut stopped: watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(stream, TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let limit = tokio::time::sleep(CONNECTION_TIMEOUT);
    let stopping = async { drop(stopped.wait_for(|stopped| *stopped).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = limit => return,
        () = stopping => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection of the REST interface has ended early");
    }
}
