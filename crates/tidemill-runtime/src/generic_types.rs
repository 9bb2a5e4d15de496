//! Where a job uses the generic fallback of serialization, and whether it may.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};
use tidemill_serialization::SerializerSnapshot;
use tidemill_state::{StateError, StateListener};

/// A place where a job uses the generic fallback.
///
/// ```
/// use tidemill_runtime::generic_types::GenericUse;
///
/// let found = GenericUse { type_name: "job::Flight".to_owned(), place: "the state 'last'".to_owned() };
/// assert_eq!(found.to_string(), "job::Flight on the state 'last'");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GenericUse {
    /// The type that it writes.
    pub type_name: String,
    /// The edge or state, as messages call it.
    pub place: String,
}

impl fmt::Display for GenericUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.type_name, self.place)
    }
}

/// All uses of the generic fallback in one job. Where they are forbidden it also keeps tasks from starting before all of
/// them have declared their states: only then all uses are known.
pub(crate) struct GenericTypes {
    allowed: bool,
    uses: Mutex<BTreeSet<GenericUse>>,
    /// Tasks that have not opened their operators yet.
    closed: Mutex<usize>,
    changed: Condvar,
    is_running: AtomicBool,
}

impl GenericTypes {
    pub(crate) fn new(allowed: bool, tasks: usize) -> Self {
        Self {
            allowed,
            uses: Mutex::default(),
            closed: Mutex::new(tasks),
            changed: Condvar::new(),
            is_running: AtomicBool::new(false),
        }
    }

    /// Notes what is found in the serializers of a place, and answers with it.
    fn note(&self, place: &str, serializers: &[SerializerSnapshot]) -> Vec<String> {
        let types: Vec<String> =
            serializers.iter().flat_map(|serializer| serializer.schema.generic_types()).collect();
        for type_name in &types {
            let found = GenericUse { type_name: type_name.clone(), place: place.to_owned() };
            let is_new = self.uses.lock().insert(found);
            if is_new && self.allowed {
                tracing::warn!(
                    "{type_name} on {place} is written by the generic fallback: that is slow, takes more bytes, and \
                     does not evolve. Derive `Record` for it, or give it a serializer of its own"
                );
            }
        }
        types
    }

    /// Notes an edge between two operators.
    pub(crate) fn edge(&self, source: &str, target: &str, serializer: &SerializerSnapshot) {
        self.note(&format!("the edge from '{source}' to '{target}'"), std::slice::from_ref(serializer));
    }

    /// What is told of the states of an operator.
    pub(crate) fn listener(self: &Arc<Self>, operator: Arc<str>) -> Arc<dyn StateListener> {
        Arc::new(OfOperator { types: Arc::clone(self), operator })
    }

    /// A task has opened its operators. Waits until all have, where that matters; answers whether the task may go on.
    pub(crate) fn opened(&self, cancel: &AtomicBool) -> bool {
        if self.allowed {
            return true;
        }
        let mut closed = self.closed.lock();
        *closed = closed.saturating_sub(1);
        if *closed == 0 {
            self.is_running.store(true, Ordering::SeqCst);
            self.changed.notify_all();
        }
        while *closed > 0 && !cancel.load(Ordering::SeqCst) {
            self.changed.wait(&mut closed);
        }
        *closed == 0 && self.uses.lock().is_empty()
    }

    /// Wakes the tasks that wait, to see that they are cancelled.
    pub(crate) fn wake(&self) {
        // With the lock, so that nobody is between looking and waiting.
        let _closed = self.closed.lock();
        self.changed.notify_all();
    }

    /// The uses for which the job may not start, once all are known.
    pub(crate) fn forbidden(&self) -> Vec<GenericUse> {
        if self.allowed || !self.is_running.load(Ordering::SeqCst) {
            return Vec::new();
        }
        self.uses.lock().iter().cloned().collect()
    }
}

/// The states of one operator.
struct OfOperator {
    types: Arc<GenericTypes>,
    operator: Arc<str>,
}

impl StateListener for OfOperator {
    fn declared(&self, name: &str, types: &[SerializerSnapshot]) -> Result<(), StateError> {
        let is_running = self.types.is_running.load(Ordering::SeqCst);
        let found = self.types.note(&format!("the state '{name}' of '{}'", self.operator), types);
        if !is_running || found.is_empty() {
            return Ok(());
        }
        Err(StateError::GenericForbidden { name: name.to_owned(), types: found.join(", ") })
    }
}
