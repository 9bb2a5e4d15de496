//! Memory that is counted: a named pool with a limit, from which its users reserve before they allocate.
//!
//! A budget does not hold memory, it only counts; whoever goes over it gets an error that says which
//! configuration key to raise, instead of a process that grows until something outside kills it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Classified, Fault};

/// A named amount of memory that several threads share. Cloning gives another handle on the same pool.
///
/// ```
/// use tidemill_core::budget::MemoryBudget;
/// let heap = MemoryBudget::new("task heap", 1024, "taskmanager.memory.task.heap.size");
/// let half = heap.reserve(512)?;
/// assert!(heap.reserve(513).is_err());
/// drop(half);
/// assert_eq!(heap.used(), 0);
/// # Ok::<(), tidemill_core::budget::BudgetExceeded>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    name: String,
    limit: usize,
    config_key: String,
    used: AtomicUsize,
    peak: AtomicUsize,
}

impl MemoryBudget {
    /// A pool of `limit` bytes; `config_key` is the option that sets the limit.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    ///
    /// let heap = MemoryBudget::new("task heap", 1024, "taskmanager.memory.task.heap.size");
    /// assert_eq!((heap.name(), heap.limit(), heap.available()), ("task heap", 1024, 1024));
    /// ```
    pub fn new(name: impl Into<String>, limit: usize, config_key: impl Into<String>) -> Self {
        Self(Arc::new(Pool {
            name: name.into(),
            limit,
            config_key: config_key.into(),
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }))
    }

    /// A pool without a limit, for tests and tools.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    ///
    /// let heap = MemoryBudget::unlimited("a test's heap");
    /// assert!(heap.reserve(1 << 40).is_ok());
    /// assert_eq!((heap.used(), heap.peak()), (0, 1 << 40));
    /// ```
    pub fn unlimited(name: impl Into<String>) -> Self {
        Self::new(name, usize::MAX, "")
    }

    /// Reserves `bytes` until the returned guard is dropped.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    ///
    /// let heap = MemoryBudget::new("task heap", 100, "taskmanager.memory.task.heap.size");
    /// let held = heap.reserve(60)?;
    /// assert!(heap.reserve(60).is_err());
    /// drop(held);
    /// assert!(heap.reserve(60).is_ok());
    /// # Ok::<(), tidemill_core::budget::BudgetExceeded>(())
    /// ```
    ///
    /// # Errors
    /// When fewer bytes are free; nothing is reserved then.
    pub fn reserve(&self, bytes: usize) -> Result<Reservation, BudgetExceeded> {
        let mut reservation = self.empty_reservation();
        reservation.grow(bytes)?;
        Ok(reservation)
    }

    /// A guard that holds nothing yet, to be [grown](Reservation::grow) later.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    ///
    /// let heap = MemoryBudget::new("task heap", 100, "taskmanager.memory.task.heap.size");
    /// let mut held = heap.empty_reservation();
    /// held.grow(70)?;
    /// assert_eq!(heap.used(), 70);
    /// # Ok::<(), tidemill_core::budget::BudgetExceeded>(())
    /// ```
    pub fn empty_reservation(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }

    /// Bytes that are reserved now.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    ///
    /// let heap = MemoryBudget::unlimited("a test's heap");
    /// let _held = heap.reserve(60)?;
    /// assert_eq!(heap.used(), 60);
    /// # Ok::<(), tidemill_core::budget::BudgetExceeded>(())
    /// ```
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// The most bytes that were ever reserved at once.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    ///
    /// let heap = MemoryBudget::unlimited("a test's heap");
    /// drop(heap.reserve(60)?);
    /// assert_eq!((heap.used(), heap.peak()), (0, 60));
    /// # Ok::<(), tidemill_core::budget::BudgetExceeded>(())
    /// ```
    pub fn peak(&self) -> usize {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// Bytes that may be reserved in all.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Bytes that are free now.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    ///
    /// let heap = MemoryBudget::new("task heap", 100, "taskmanager.memory.task.heap.size");
    /// let _held = heap.reserve(60)?;
    /// assert_eq!(heap.available(), 40);
    /// # Ok::<(), tidemill_core::budget::BudgetExceeded>(())
    /// ```
    pub fn available(&self) -> usize {
        self.0.limit - self.used()
    }

    /// The name of the pool.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    fn take(&self, bytes: usize) -> Result<(), BudgetExceeded> {
        let pool = &*self.0;
        let taken = pool.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|total| *total <= pool.limit)
        });
        match taken {
            Ok(before) => {
                pool.peak.fetch_max(before + bytes, Ordering::Relaxed);
                Ok(())
            }
            Err(used) => Err(BudgetExceeded {
                pool: pool.name.clone(),
                limit: pool.limit,
                used,
                wanted: bytes,
                config_key: pool.config_key.clone(),
            }),
        }
    }

    fn give_back(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes that are reserved from a [`MemoryBudget`]; dropping it gives them back.
///
/// ```
/// use tidemill_core::budget::MemoryBudget;
///
/// let heap = MemoryBudget::new("task heap", 100, "taskmanager.memory.task.heap.size");
/// let mut held = heap.empty_reservation();
/// held.grow(70)?;
/// held.release(20);
/// assert_eq!((held.bytes(), heap.available()), (50, 50));
/// # Ok::<(), tidemill_core::budget::BudgetExceeded>(())
/// ```
#[derive(Debug)]
pub struct Reservation {
    budget: MemoryBudget,
    bytes: usize,
}

impl Reservation {
    /// Bytes that this guard holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The pool that they come from.
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Reserves `bytes` more.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    ///
    /// let heap = MemoryBudget::new("task heap", 100, "taskmanager.memory.task.heap.size");
    /// let mut held = heap.reserve(60)?;
    /// assert!(held.grow(60).is_err());
    /// held.grow(40)?;
    /// assert_eq!(held.bytes(), 100);
    /// # Ok::<(), tidemill_core::budget::BudgetExceeded>(())
    /// ```
    ///
    /// # Errors
    /// When fewer bytes are free; the guard keeps what it has.
    pub fn grow(&mut self, bytes: usize) -> Result<(), BudgetExceeded> {
        self.budget.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives `bytes` back, all of them when it holds no more.
    ///
    /// ```
    /// use tidemill_core::budget::MemoryBudget;
    ///
    /// let heap = MemoryBudget::new("task heap", 100, "taskmanager.memory.task.heap.size");
    /// let mut held = heap.reserve(60)?;
    /// held.release(20);
    /// assert_eq!((held.bytes(), heap.available()), (40, 60));
    /// # Ok::<(), tidemill_core::budget::BudgetExceeded>(())
    /// ```
    pub fn release(&mut self, bytes: usize) {
        let released = bytes.min(self.bytes);
        self.bytes -= released;
        self.budget.give_back(released);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// A reservation for which a pool has no room.
///
/// ```
/// use tidemill_core::budget::MemoryBudget;
///
/// let heap = MemoryBudget::new("task heap", 100, "taskmanager.memory.task.heap.size");
/// let error = heap.reserve(101).unwrap_err();
/// assert_eq!((error.wanted, error.used, error.limit), (101, 0, 100));
/// assert!(error.to_string().ends_with("raise 'taskmanager.memory.task.heap.size'"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the memory pool '{pool}' is full: {wanted} bytes wanted, {used} of {limit} bytes in use{}",
    hint(config_key)
)]
pub struct BudgetExceeded {
    /// The name of the pool.
    pub pool: String,
    /// Bytes that the pool has.
    pub limit: usize,
    /// Bytes that were in use.
    pub used: usize,
    /// Bytes that were to be reserved.
    pub wanted: usize,
    /// The option that sets the limit.
    pub config_key: String,
}

fn hint(config_key: &str) -> String {
    if config_key.is_empty() { String::new() } else { format!("; raise '{config_key}'") }
}

impl Classified for BudgetExceeded {
    fn code(&self) -> &'static str {
        "TM-MEMORY-EXCEEDED"
    }

    fn fault(&self) -> Fault {
        Fault::User
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_pool_limit_wish_and_key() {
        let budget = MemoryBudget::new("task heap", 100, "taskmanager.memory.task.heap.size");
        let _held = budget.reserve(70).unwrap();
        let error = budget.reserve(31).unwrap_err();
        let text = error.to_string();
        for part in ["task heap", "31", "70", "100", "taskmanager.memory.task.heap.size"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(budget.used(), 70);
        assert!(budget.reserve(usize::MAX).is_err(), "no overflow");
    }

    #[test]
    fn a_guard_gives_back_what_it_holds() {
        let budget = MemoryBudget::new("p", 100, "k");
        let mut guard = budget.reserve(10).unwrap();
        guard.grow(50).unwrap();
        assert!(guard.grow(41).is_err());
        assert_eq!((guard.bytes(), budget.available()), (60, 40));
        guard.release(100);
        assert_eq!((guard.bytes(), budget.used(), budget.peak()), (0, 0, 60));
        guard.grow(5).unwrap();
        drop(guard);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn threads_never_hold_more_than_the_limit_together() {
        let budget = MemoryBudget::new("p", 1000, "k");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for size in (1..400).cycle().take(20_000) {
                        let guard = budget.reserve(size);
                        assert!(budget.used() <= 1000);
                        drop(guard);
                    }
                });
            }
        });
        assert_eq!(budget.used(), 0);
        assert!(budget.peak() <= 1000);
    }
}
