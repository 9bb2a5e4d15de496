//! What tasks and operators count, by Flink's names; [`JobMetrics`] reads it.

mod registry;
mod stores;
mod times;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use tidemill_state::NativeMetrics;

pub use registry::{JobMetrics, Metric, MetricScope, TaskMetrics, TaskState, TaskView};
pub use stores::StoreGauge;
pub use times::{TaskTimes, TimeTotals, Waiting};

use stores::StoreMetrics;

/// A count that only grows.
///
/// ```
/// use tidemill_runtime::metrics::Counter;
///
/// let records = Counter::default();
/// records.add(2);
/// records.add(3);
/// assert_eq!(records.get(), 5);
/// ```
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the count.
    ///
    /// ```
    /// use tidemill_runtime::metrics::Counter;
    ///
    /// let records = Counter::default();
    /// records.add(2);
    /// records.add(3);
    /// assert_eq!(records.get(), 5);
    /// ```
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Replaces the count by one that was kept elsewhere.
    ///
    /// ```
    /// use tidemill_runtime::metrics::Counter;
    ///
    /// let bytes = Counter::default();
    /// bytes.add(2);
    /// bytes.set(100);
    /// assert_eq!(bytes.get(), 100);
    /// ```
    #[inline]
    pub fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// The count.
    ///
    /// ```
    /// use tidemill_runtime::metrics::Counter;
    ///
    /// assert_eq!(Counter::default().get(), 0);
    /// ```
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that goes up and down.
///
/// ```
/// use tidemill_runtime::metrics::Gauge;
///
/// let open = Gauge::new(1);
/// open.set(-1);
/// assert_eq!(open.get(), -1);
/// ```
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// A gauge that starts at `value`.
    ///
    /// ```
    /// use tidemill_runtime::metrics::Gauge;
    ///
    /// assert_eq!(Gauge::new(7).get(), 7);
    /// ```
    pub const fn new(value: i64) -> Self {
        Self(AtomicI64::new(value))
    }

    /// Sets the value.
    ///
    /// ```
    /// use tidemill_runtime::metrics::Gauge;
    ///
    /// let open = Gauge::default();
    /// open.set(7);
    /// open.set(5);
    /// assert_eq!(open.get(), 5);
    /// ```
    #[inline]
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value.
    ///
    /// ```
    /// use tidemill_runtime::metrics::Gauge;
    ///
    /// assert_eq!(Gauge::new(-1).get(), -1);
    /// ```
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one operator subtask counts.
///
/// ```
/// use tidemill_runtime::metrics::OperatorMetrics;
///
/// let metrics = OperatorMetrics::default();
/// metrics.counter("numRetries").add(1);
/// metrics.counter("numRetries").add(1);
/// metrics.gauge("queueLength").set(7);
/// assert_eq!((metrics.own_value("numRetries"), metrics.own_value("queueLength")), (Some(2), Some(7)));
/// ```
#[derive(Debug)]
pub struct OperatorMetrics {
    /// Records that came in (`numRecordsIn`).
    pub records_in: Counter,
    /// Records that went out, main and side outputs (`numRecordsOut`).
    pub records_out: Counter,
    /// Records that came after their windows had closed (`numLateRecordsDropped`).
    pub late_records_dropped: Counter,
    /// Timers fired (`numFiredTimers`).
    pub fired_timers: Counter,
    /// The last watermark that came in, in milliseconds (`currentInputWatermark`).
    pub input_watermark: Gauge,
    /// The last watermark that went out (`currentOutputWatermark`).
    pub output_watermark: Gauge,
    own: Mutex<Vec<(String, Own)>>,
    stores: StoreMetrics,
}

#[derive(Clone, Debug)]
enum Own {
    Counter(Arc<Counter>),
    Gauge(Arc<Gauge>),
}

impl Default for OperatorMetrics {
    fn default() -> Self {
        Self {
            records_in: Counter::default(),
            records_out: Counter::default(),
            late_records_dropped: Counter::default(),
            fired_timers: Counter::default(),
            input_watermark: Gauge::new(i64::MIN),
            output_watermark: Gauge::new(i64::MIN),
            own: Mutex::new(Vec::new()),
            stores: StoreMetrics::default(),
        }
    }
}

impl OperatorMetrics {
    /// A counter of the operator's own. Asking twice for one name gives the same counter.
    ///
    /// ```
    /// use tidemill_runtime::metrics::OperatorMetrics;
    ///
    /// let metrics = OperatorMetrics::default();
    /// let retries = metrics.counter("numRetries");
    /// retries.add(1);
    /// assert_eq!(metrics.counter("numRetries").get(), 1, "it is the same counter");
    /// ```
    pub fn counter(&self, name: &str) -> Arc<Counter> {
        let mut own = self.own.lock();
        for (known, metric) in own.iter() {
            if let (true, Own::Counter(counter)) = (known == name, metric) {
                return Arc::clone(counter);
            }
        }
        let counter = Arc::new(Counter::default());
        own.push((name.to_owned(), Own::Counter(Arc::clone(&counter))));
        counter
    }

    /// A gauge of the operator's own. Asking twice for one name gives the same gauge.
    ///
    /// ```
    /// use tidemill_runtime::metrics::OperatorMetrics;
    ///
    /// let metrics = OperatorMetrics::default();
    /// let length = metrics.gauge("queueLength");
    /// length.set(7);
    /// assert_eq!(metrics.gauge("queueLength").get(), 7, "it is the same gauge");
    /// ```
    pub fn gauge(&self, name: &str) -> Arc<Gauge> {
        let mut own = self.own.lock();
        for (known, metric) in own.iter() {
            if let (true, Own::Gauge(gauge)) = (known == name, metric) {
                return Arc::clone(gauge);
            }
        }
        let gauge = Arc::new(Gauge::default());
        own.push((name.to_owned(), Own::Gauge(Arc::clone(&gauge))));
        gauge
    }

    /// The value of a counter or gauge of the operator's own.
    ///
    /// ```
    /// use tidemill_runtime::metrics::OperatorMetrics;
    ///
    /// let metrics = OperatorMetrics::default();
    /// metrics.gauge("queueLength").set(7);
    /// assert_eq!((metrics.own_value("queueLength"), metrics.own_value("numRetries")), (Some(7), None));
    /// ```
    pub fn own_value(&self, name: &str) -> Option<i64> {
        self.own_values().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// All counters and gauges of the operator's own.
    ///
    /// ```
    /// use tidemill_runtime::metrics::OperatorMetrics;
    ///
    /// let metrics = OperatorMetrics::default();
    /// metrics.counter("numRetries").add(2);
    /// metrics.gauge("queueLength").set(7);
    /// assert_eq!(metrics.own_values(), [("numRetries".to_owned(), 2), ("queueLength".to_owned(), 7)]);
    /// ```
    pub fn own_values(&self) -> Vec<(String, i64)> {
        let own = self.own.lock();
        own.iter()
            .map(|(name, metric)| {
                let value = match metric {
                    Own::Counter(counter) => i64::try_from(counter.get()).unwrap_or(i64::MAX),
                    Own::Gauge(gauge) => gauge.get(),
                };
                (name.clone(), value)
            })
            .collect()
    }

    /// Has the figures of the store in which the operator keeps its state among its metrics.
    pub fn watch_store(&self, store: Arc<dyn NativeMetrics>) {
        self.stores.watch(store);
    }

    /// Takes a new reading of the figures of its store, on the calling thread; see [`TaskMetrics::sample`].
    pub fn sample_store(&self) {
        self.stores.sample();
    }

    /// The last reading of the figures of its store.
    ///
    /// ```
    /// use tidemill_runtime::metrics::OperatorMetrics;
    ///
    /// assert!(OperatorMetrics::default().store_gauges().is_empty(), "it has no store");
    /// ```
    pub fn store_gauges(&self) -> Vec<StoreGauge> {
        self.stores.gauges()
    }
}
