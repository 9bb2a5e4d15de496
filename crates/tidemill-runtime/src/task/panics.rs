//! A panic in a function of the user fails its job, and is told with its location instead of printed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use tidemill_core::Fault;

use crate::graph::Place;
use crate::operator::OperatorError;

thread_local! {
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Makes panics on task threads silent and keeps their location; those of other threads are as they were.
pub fn install_hook() {
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IN_TASK.get() {
                let location = info.location().map(|location| Place(location).to_string());
                LOCATION.with(|slot| *slot.borrow_mut() = location);
            } else {
                previous(info);
            }
        }));
    });
}

/// Marks the calling thread as one of a task.
pub fn enter_task() {
    IN_TASK.set(true);
}

/// A panic as the failure of an operator, and where it was.
pub struct Panic {
    /// What is told of it.
    pub error: OperatorError,
    /// File, line and column, where they are known.
    pub location: Option<String>,
}

impl Panic {
    /// The panic of the calling thread that `catch_unwind` has answered with this.
    pub fn of(payload: &(dyn Any + Send)) -> Self {
        let error = OperatorError::new("TM-USER-PANIC", Fault::User, message(payload));
        Self { error, location: take_location() }
    }
}

/// Calls a function of the user on a thread that is no task's.
pub fn catch<T>(call: impl FnOnce() -> T) -> Result<T, Panic> {
    let before = IN_TASK.replace(true);
    let called = catch_unwind(AssertUnwindSafe(call));
    IN_TASK.set(before);
    called.map_err(|payload| Panic::of(&*payload))
}

/// Where the calling thread has panicked last.
pub fn take_location() -> Option<String> {
    LOCATION.with(|slot| slot.borrow_mut().take())
}

/// The message of a panic.
pub fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}
