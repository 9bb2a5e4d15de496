//! Where futures run, and how their results come back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;

use tidemill_core::Fault;
use tidemill_runtime::{BoxError, OperatorError, OperatorWaker, panics};
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

/// Threads that drive futures: they wait for the outside most of the time.
const MOST_THREADS: usize = 4;

/// One runtime for all operators of the process that are alive.
static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

struct Shared(Option<Runtime>);

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // The thread of a task must not wait for futures that block against all advice.
            runtime.shutdown_background();
        }
    }
}

/// Runs futures beside the tasks.
#[derive(Clone)]
pub(crate) struct Executor(Arc<Shared>);

impl Executor {
    /// The runtime of this process: started by the first operator, ended with the last.
    pub(crate) fn shared() -> Result<Self, OperatorError> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(alive) = shared.upgrade() {
            return Ok(Self(alive));
        }
        panics::install_hook();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("tidemill-async")
            .on_thread_start(panics::enter_task)
            .enable_all()
            .build()
            .map_err(|error| {
                let message = format!("the threads of asynchronous calls could not be started: {error}");
                OperatorError::new("TM-ASYNC-RUNTIME", Fault::External, message)
            })?;
        let started = Arc::new(Shared(Some(runtime)));
        *shared = Arc::downgrade(&started);
        Ok(Self(started))
    }

    /// Runs a call; its outcome goes to the mailbox under `slot` and `ticket`.
    pub(crate) fn spawn<O: Send + 'static>(
        &self,
        mailbox: &Arc<Mailbox<O>>,
        slot: usize,
        ticket: u64,
        call: impl Future<Output = Result<O, BoxError>> + Send + 'static,
    ) -> Option<RunningCall> {
        let mailbox = Arc::clone(mailbox);
        let runtime = self.0.0.as_ref()?;
        let task = runtime.spawn(async move {
            let outcome = guarded(call).await;
            mailbox.put(Completion { slot, ticket, outcome });
        });
        Some(RunningCall(task.abort_handle()))
    }
}

/// A call that is under way; dropping it drops the future.
pub(crate) struct RunningCall(AbortHandle);

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a call has no result.
pub(crate) enum CallFailure {
    Error(BoxError),
    /// It panicked, with this message and where.
    Panic(String),
}

/// What has become of a call.
pub(crate) struct Completion<O> {
    pub(crate) slot: usize,
    pub(crate) ticket: u64,
    pub(crate) outcome: Result<O, CallFailure>,
}

/// Drives a future to its end, through which a panic does not pass.
async fn guarded<O>(call: impl Future<Output = Result<O, BoxError>>) -> Result<O, CallFailure> {
    let mut call = pin!(call);
    std::future::poll_fn(|context| {
        // After a panic the future is not polled again.
        match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => Poll::Ready(outcome.map_err(CallFailure::Error)),
            Err(payload) => {
                let message = panics::message(&*payload);
                Poll::Ready(Err(CallFailure::Panic(match panics::take_location() {
                    Some(location) => format!("{message} (at {location})"),
                    None => message,
                })))
            }
        }
    })
    .await
}

/// Hands outcomes to the task. The task is woken by the first since it has looked, not by each.
pub(crate) struct Mailbox<O> {
    outcomes: Sender<Completion<O>>,
    signalled: AtomicBool,
    waker: OperatorWaker,
}

impl<O> Mailbox<O> {
    pub(crate) fn new(waker: OperatorWaker) -> (Arc<Self>, Receiver<Completion<O>>) {
        let (outcomes, receiver) = channel();
        (Arc::new(Self { outcomes, signalled: AtomicBool::new(false), waker }), receiver)
    }

    fn put(&self, completion: Completion<O>) {
        // Nobody is left to take it when the operator has been closed.
        let _ = self.outcomes.send(completion);
        if !self.signalled.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// To be called before the outcomes are taken: later ones wake the task again.
    pub(crate) fn begin_taking(&self) {
        self.signalled.swap(false, Ordering::AcqRel);
    }
}
