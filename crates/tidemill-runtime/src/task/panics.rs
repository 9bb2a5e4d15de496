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
///
/// ```
/// use tidemill_runtime::panics;
///
/// panics::install_hook();
/// let panicked = std::thread::spawn(|| {
///     panics::enter_task();
///     let payload = std::panic::catch_unwind(|| panic!("no such airport")).unwrap_err();
///     (panics::message(&*payload), panics::take_location().is_some())
/// });
/// assert_eq!(panicked.join().unwrap(), ("no such airport".to_owned(), true));
/// ```
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
///
/// ```
/// use tidemill_runtime::panics;
///
/// std::thread::spawn(|| {
///     panics::install_hook();
///     panics::enter_task();
///     // From here on a panic of this thread is silent.
/// }).join().unwrap();
/// ```
pub fn enter_task() {
    IN_TASK.set(true);
}

/// A panic as the failure of an operator, and where it was.
///
/// ```
/// use tidemill_runtime::panics;
///
/// let panic = panics::catch(|| panic!("no such airport")).err().unwrap();
/// assert_eq!(panic.error.code(), "TM-USER-PANIC");
/// ```
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
///
/// ```
/// use tidemill_runtime::panics;
///
/// assert_eq!(panics::catch(|| 7).ok(), Some(7));
/// let panic = panics::catch(|| panic!("no such airport")).err().unwrap();
/// assert!(panic.error.to_string().contains("no such airport"));
/// ```
pub fn catch<T>(call: impl FnOnce() -> T) -> Result<T, Panic> {
    let before = IN_TASK.replace(true);
    let called = catch_unwind(AssertUnwindSafe(call));
    IN_TASK.set(before);
    called.map_err(|payload| Panic::of(&*payload))
}

/// Where the calling thread has panicked last.
///
/// ```
/// assert_eq!(tidemill_runtime::panics::take_location(), None, "this thread has not panicked");
/// ```
pub fn take_location() -> Option<String> {
    LOCATION.with(|slot| slot.borrow_mut().take())
}

/// The message of a panic.
///
/// ```
/// use tidemill_runtime::panics::message;
///
/// assert_eq!(message(&"no such airport"), "no such airport");
/// assert_eq!(message(&7), "a panic without a message");
/// ```
pub fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}
