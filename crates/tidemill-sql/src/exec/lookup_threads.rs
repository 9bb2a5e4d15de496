//! Blocking lookups on threads of their own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use arrow_array::RecordBatch;
use parking_lot::Mutex;
use tidemill_runtime::{BoxError, panics};

use crate::lookup::{AsyncLookupFunction, LookupFunction, LookupReply, Make};

type Request = (RecordBatch, LookupReply);

/// Looks up on threads, each with a function of its own. When it is closed while a call is under way, the thread ends after the
/// call, and nobody waits for it.
pub(super) struct OnThreads {
    make: Make<dyn LookupFunction>,
    threads: usize,
    /// What is asked for is bounded by what the operator lets wait.
    requests: Option<Sender<Request>>,
}

impl OnThreads {
    pub(super) fn new(make: Make<dyn LookupFunction>, threads: usize) -> Self {
        Self { make, threads, requests: None }
    }
}

impl AsyncLookupFunction for OnThreads {
    fn open(&mut self) -> Result<(), BoxError> {
        panics::install_hook();
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..self.threads {
            let (make, receiver) = (Arc::clone(&self.make), Arc::clone(&receiver));
            std::thread::Builder::new()
                .name("tidemill-lookup".to_owned())
                .spawn(move || serve(&make, &receiver))?;
        }
        self.requests = Some(sender);
        Ok(())
    }

    fn most_keys(&self, capacity: usize) -> usize {
        capacity.div_ceil(self.threads)
    }

    fn lookup(&mut self, keys: RecordBatch, reply: LookupReply) {
        // A reply that cannot be sent says so when it is dropped.
        if let Some(requests) = &self.requests {
            let _ = requests.send((keys, reply));
        }
    }

    fn close(&mut self) {
        self.requests = None;
    }
}

fn serve(make: &Make<dyn LookupFunction>, requests: &Mutex<Receiver<Request>>) {
    panics::enter_task();
    let mut function = None;
    loop {
        let request = requests.lock().recv();
        let Ok((keys, reply)) = request else { break };
        reply.complete(guarded(|| {
            let opened = match &mut function {
                Some(opened) => opened,
                none => {
                    let mut opened = make();
                    opened.open()?;
                    none.insert(opened)
                }
            };
            opened.lookup(&keys)
        }));
    }
    if let Some(mut function) = function {
        let _ = guarded(|| {
            function.close();
            Ok(())
        });
    }
}

/// What `call` answers; a panic is an error.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, BoxError>) -> Result<T, BoxError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
        let message = panics::message(&*payload);
        Err(match panics::take_location() {
            Some(location) => format!("it panicked: {message} (at {location})").into(),
            None => format!("it panicked: {message}").into(),
        })
    })
}
