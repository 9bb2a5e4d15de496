//! Text on its way to standard output or standard error.
//!
//! A pipe that nobody reads and a terminal that was stopped hold up whoever writes to them, and no call can be cancelled that
//! waits in the kernel. So each of the two streams has a thread of its own that writes, and a task only waits for that thread:
//! as a task does, until it is woken or cancelled. Each sink has at most one text with the thread, which bounds both the memory
//! and what a job has said that nobody has seen yet.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tidemill_runtime::{OperatorWaker, console};

use crate::error::ConnectorError;
use crate::print::PrintTarget;

/// How long a sink that is closed early waits for its last text. A stream that takes anything at all takes it sooner.
const LINGER: Duration = Duration::from_millis(100);

#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

/// The text of one sink.
enum Text {
    /// There is none; the memory for the next.
    Free(String),
    Queued(Arc<String>),
    Writing(Arc<String>),
    Written(String, io::Result<()>),
}

struct Slot {
    text: Mutex<Text>,
    changed: Condvar,
    waker: OperatorWaker,
}

impl Slot {
    /// Writes the text unless it was withdrawn.
    fn write(&self, write: impl FnOnce(&[u8]) -> io::Result<()>) {
        let text = {
            let mut slot = self.text.lock();
            let Text::Queued(queued) = &*slot else { return };
            let text = Arc::clone(queued);
            *slot = Text::Writing(Arc::clone(&text));
            text
        };
        let written = write(text.as_bytes());
        {
            let mut slot = self.text.lock();
            *slot = Text::Free(String::new());
            // Nobody else has it any more.
            let mut buffer = Arc::into_inner(text).unwrap_or_default();
            buffer.clear();
            *slot = Text::Written(buffer, written);
        }
        self.changed.notify_all();
        self.waker.wake();
    }
}

/// What the threads of the two streams are given; they live as long as the process.
static QUEUES: [Mutex<Option<Sender<Arc<Slot>>>>; 2] = [const { Mutex::new(None) }; 2];

fn enqueue(stream: Stream, slot: &Arc<Slot>) -> io::Result<()> {
    let mut queue = QUEUES[stream as usize].lock();
    if let Some(sender) = &*queue
        && sender.send(Arc::clone(slot)).is_ok()
    {
        return Ok(());
    }
    let (sender, receiver) = channel();
    let name = match stream {
        Stream::Out => "standard output",
        Stream::Err => "standard error",
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(move || serve(stream, &receiver))?;
    // The receiver is alive: its thread has just been started with it.
    let _ = sender.send(Arc::clone(slot));
    *queue = Some(sender);
    Ok(())
}

fn serve(stream: Stream, queue: &Receiver<Arc<Slot>>) {
    let is_terminal = match stream {
        Stream::Out => io::stdout().is_terminal(),
        Stream::Err => io::stderr().is_terminal(),
    };
    for slot in queue {
        slot.write(|text| {
            let mut written = Ok(());
            let mut write = || {
                written = match stream {
                    Stream::Out => {
                        let mut out = io::stdout().lock();
                        out.write_all(text).and_then(|()| out.flush())
                    }
                    Stream::Err => io::stderr().lock().write_all(text),
                };
            };
            // The live line is in nobody's way elsewhere, and must not have to wait for a pipe.
            if is_terminal {
                console::print(write)
            } else {
                write()
            }
            written
        });
    }
}

/// One sink's way to its target.
pub(crate) struct Printer {
    target: PrintTarget,
    /// `None` where the task itself writes.
    slot: Option<(Stream, Arc<Slot>)>,
    buffer: String,
}

impl Printer {
    pub(crate) fn new(target: PrintTarget) -> Self {
        Self { target, slot: None, buffer: String::new() }
    }

    /// Says who is to be woken when a text was written.
    pub(crate) fn open(&mut self, waker: OperatorWaker) {
        let stream = match self.target {
            PrintTarget::Stdout => Stream::Out,
            PrintTarget::Stderr => Stream::Err,
            PrintTarget::Writer(_) => return,
        };
        let text = Mutex::new(Text::Free(String::new()));
        self.slot = Some((stream, Arc::new(Slot { text, changed: Condvar::new(), waker })));
    }

    /// Whether the last text was written and another one may be printed. If not, the waker will be used.
    pub(crate) fn poll(&mut self) -> Result<bool, ConnectorError> {
        let Some((_, slot)) = &self.slot else { return Ok(true) };
        let mut text = slot.text.lock();
        match std::mem::replace(&mut *text, Text::Free(String::new())) {
            Text::Free(buffer) => self.buffer = buffer,
            Text::Written(buffer, written) => {
                self.buffer = buffer;
                written.map_err(|source| self.error(source))?;
            }
            busy => {
                *text = busy;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// An empty text, with the memory of an earlier one where there is one.
    pub(crate) fn buffer(&mut self) -> String {
        std::mem::take(&mut self.buffer)
    }

    /// Prints a text as one, so that lines of different subtasks do not mix. To be called after [`poll`](Self::poll) has
    /// said that it may be.
    pub(crate) fn print(&mut self, mut text: String) -> Result<(), ConnectorError> {
        if let Some((stream, slot)) = &self.slot {
            *slot.text.lock() = Text::Queued(Arc::new(text));
            return enqueue(*stream, slot).map_err(|source| self.error(source));
        }
        let mut written = Ok(());
        console::print(|| {
            written = match &self.target {
                PrintTarget::Stdout => io::stdout().lock().write_all(text.as_bytes()),
                PrintTarget::Stderr => io::stderr().lock().write_all(text.as_bytes()),
                PrintTarget::Writer(writer) => writer.lock().write_all(text.as_bytes()),
            };
        });
        text.clear();
        self.buffer = text;
        written.map_err(|source| self.error(source))
    }

    /// The text that was printed last, unless it is known to have been written.
    pub(crate) fn unwritten(&self) -> Option<String> {
        let (_, slot) = self.slot.as_ref()?;
        match &*slot.text.lock() {
            Text::Queued(text) | Text::Writing(text) => Some(text.as_str().to_owned()),
            Text::Free(_) | Text::Written(..) => None,
        }
    }

    /// Puts a text before the thread of the stream without having it served.
    #[cfg(test)]
    pub(crate) fn hold(&mut self, text: &str) {
        let (_, slot) = self.slot.as_ref().unwrap();
        *slot.text.lock() = Text::Queued(Arc::new(text.to_owned()));
    }

    /// Waits a moment for the last text, and takes it back if its turn has not come by then.
    pub(crate) fn close(&mut self) {
        let Some((_, slot)) = self.slot.take() else { return };
        let deadline = Instant::now() + LINGER;
        let mut text = slot.text.lock();
        while matches!(*text, Text::Queued(_) | Text::Writing(_)) {
            if slot.changed.wait_until(&mut text, deadline).timed_out() {
                if matches!(*text, Text::Queued(_)) {
                    *text = Text::Free(String::new());
                }
                return;
            }
        }
    }

    fn error(&self, source: io::Error) -> ConnectorError {
        let stream = match self.target {
            PrintTarget::Stdout => "standard output",
            PrintTarget::Stderr => "standard error",
            PrintTarget::Writer(_) => "the writer of the sink",
        };
        match source.kind() {
            io::ErrorKind::BrokenPipe => ConnectorError::StreamClosed { stream },
            _ => ConnectorError::Stream { stream, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> (Printer, Arc<Slot>) {
        let mut printer = Printer::new(PrintTarget::Stderr);
        printer.open(OperatorWaker::new(Arc::default()));
        let slot = printer.slot.as_ref().map(|(_, slot)| Arc::clone(slot)).unwrap();
        (printer, slot)
    }

    #[test]
    fn a_text_is_out_until_it_is_written() {
        let (mut printer, slot) = slot();
        assert!(printer.poll().unwrap());
        *slot.text.lock() = Text::Queued(Arc::new("one".to_owned()));
        assert!(!printer.poll().unwrap());
        assert_eq!(printer.unwritten().as_deref(), Some("one"));
        slot.write(|text| {
            assert_eq!(text, b"one");
            assert_eq!(printer.unwritten().as_deref(), Some("one"), "nobody knows how much of it is out");
            assert!(!printer.poll().unwrap(), "it is being written");
            Ok(())
        });
        assert!(slot.waker.take());
        assert_eq!(printer.unwritten(), None);
        assert!(printer.poll().unwrap());
        let buffer = printer.buffer();
        assert!(buffer.is_empty() && buffer.capacity() >= 3, "its memory has come back");
        *slot.text.lock() = Text::Queued(Arc::new("two".to_owned()));
        slot.write(|_| Err(io::ErrorKind::BrokenPipe.into()));
        assert!(matches!(printer.poll(), Err(ConnectorError::StreamClosed { stream: "standard error" })));
    }

    #[test]
    fn what_is_still_queued_at_the_end_is_taken_back() {
        let (mut printer, slot) = slot();
        *slot.text.lock() = Text::Queued(Arc::new("late".to_owned()));
        let start = Instant::now();
        printer.close();
        assert!(start.elapsed() >= LINGER);
        slot.write(|_| panic!("it was withdrawn"));
        assert!(!slot.waker.is_woken());
    }
}
