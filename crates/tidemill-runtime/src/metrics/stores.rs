//! The figures of the stores in which operators keep their state.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tidemill_state::NativeMetrics;

/// A figure of a store, when it was read last.
///
/// ```
/// use tidemill_runtime::metrics::StoreGauge;
///
/// let keys = StoreGauge { name: "count.rocksdb.estimate-num-keys".to_owned(), column_family: None, value: 7 };
/// assert_eq!(keys.value, 7);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreGauge {
    /// Flink's name: with that of the state in front, if the figure is of one and is not told by the variable.
    pub name: String,
    /// The variable `column_family`: the state that the figure is of, if its name does not say so.
    pub column_family: Option<String>,
    /// How much or how many.
    pub value: u64,
}

/// The stores of one operator subtask, and what they said last.
#[derive(Default)]
pub(crate) struct StoreMetrics(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    stores: Vec<Arc<dyn NativeMetrics>>,
    last: Vec<StoreGauge>,
}

impl StoreMetrics {
    pub(crate) fn watch(&self, store: Arc<dyn NativeMetrics>) {
        self.0.lock().stores.push(store);
    }

    /// Reads all. What a store that is gone said last stays.
    pub(crate) fn sample(&self) {
        let stores = self.0.lock().stores.clone();
        let mut read = Vec::new();
        for store in &stores {
            let as_variable = store.state_as_variable();
            store.read(&mut |figure| {
                let (name, column_family) = match figure.state {
                    None => (figure.name.to_owned(), None),
                    Some(state) if as_variable => (figure.name.to_owned(), Some(state.to_owned())),
                    Some(state) => (format!("{state}.{}", figure.name), None),
                };
                read.push(StoreGauge { name, column_family, value: figure.value });
            });
        }
        if !read.is_empty() {
            self.0.lock().last = read;
        }
    }

    /// The last reading; the first one, if there was none yet.
    pub(crate) fn gauges(&self) -> Vec<StoreGauge> {
        let unread = {
            let watched = self.0.lock();
            watched.last.is_empty() && !watched.stores.is_empty()
        };
        if unread {
            self.sample();
        }
        self.0.lock().last.clone()
    }
}

impl fmt::Debug for StoreMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0.lock().last).finish()
    }
}
