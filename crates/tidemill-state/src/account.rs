//! Counts the memory of one table against the budget of the subtask.

use tidemill_core::budget::{MemoryBudget, Reservation};

use crate::error::StateError;

/// Reserving is an atomic operation on a counter that all subtasks share, so it is done in pieces of this size.
const CHUNK: usize = 256 * 1024;

/// The memory of one table: the exact figure here, reserved from the budget in chunks.
pub(crate) struct Account {
    name: String,
    reservation: Reservation,
    used: usize,
}

impl Account {
    pub(crate) fn new(name: &str, budget: &MemoryBudget) -> Self {
        Self { name: name.to_owned(), reservation: budget.empty_reservation(), used: 0 }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Counts `grown` bytes that have come and `shrunk` bytes that have gone.
    ///
    /// The change is counted even when it fails, for the memory is already in use then; nothing more may be added.
    #[inline]
    pub(crate) fn change(&mut self, grown: usize, shrunk: usize) -> Result<(), StateError> {
        self.used = (self.used + grown).saturating_sub(shrunk);
        let reserved = self.reservation.bytes();
        if self.used > reserved {
            self.reserve(self.used - reserved)
        } else {
            if reserved - self.used >= 4 * CHUNK {
                self.reservation.release(reserved - self.used - CHUNK);
            }
            Ok(())
        }
    }

    #[cold]
    fn reserve(&mut self, missing: usize) -> Result<(), StateError> {
        let whole_chunks = missing.next_multiple_of(CHUNK);
        // The last bytes of a budget need not be a whole chunk.
        if self.reservation.grow(whole_chunks).is_ok() {
            return Ok(());
        }
        self.reservation
            .grow(missing)
            .map_err(|source| StateError::OutOfMemory { name: self.name.clone(), source })
    }
}
