//! Has RocksDB leave out what has expired when it merges files.
//!
//! The one `unsafe` expression is here because the binding takes the new value of a row as `&'static [u8]`, which no value made
//! at run time is without leaking it.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::sync::{Arc, PoisonError, RwLock};

use rust_rocksdb::CompactionDecision;
use rust_rocksdb::compaction_filter::CompactionFilter;
use rust_rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};
use tidemill_core::Timestamp;
use tidemill_state::{RowFate, RowFilter};

/// The filter of one table, which is known when its state is declared.
#[derive(Default)]
pub(crate) struct FilterCell(RwLock<Option<Arc<dyn RowFilter>>>);

impl FilterCell {
    pub(crate) fn set(&self, filter: Arc<dyn RowFilter>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(filter);
    }

    fn get(&self) -> Option<Arc<dyn RowFilter>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Makes a filter for each compaction.
pub(crate) struct TtlFilterFactory {
    cell: Arc<FilterCell>,
    /// After how many rows the time is looked at again, where the state does not say.
    look_again_after: u64,
}

impl TtlFilterFactory {
    pub(crate) fn new(cell: Arc<FilterCell>, look_again_after: u64) -> Self {
        Self { cell, look_again_after }
    }
}

impl CompactionFilterFactory for TtlFilterFactory {
    type Filter = TtlFilter;

    fn create(&mut self, _: CompactionFilterContext) -> TtlFilter {
        let filter = self.cell.get();
        let look_again_after = filter.as_ref().and_then(|filter| filter.look_again_after());
        let look_again_after = look_again_after.unwrap_or(self.look_again_after).max(1);
        TtlFilter { filter, now: 0, left: 0, look_again_after, replaced: Vec::new() }
    }

    fn name(&self) -> &CStr {
        c"tidemill-ttl"
    }
}

/// The filter of one compaction, which one thread runs.
pub(crate) struct TtlFilter {
    filter: Option<Arc<dyn RowFilter>>,
    now: Timestamp,
    /// How many rows until the time is looked at again.
    left: u64,
    look_again_after: u64,
    replaced: Vec<u8>,
}

impl CompactionFilter for TtlFilter {
    fn filter(&mut self, _: u32, _: &[u8], row: &[u8]) -> CompactionDecision {
        let Some(filter) = &self.filter else { return CompactionDecision::Keep };
        if self.left == 0 {
            self.now = filter.now();
            self.left = self.look_again_after;
        }
        self.left -= 1;
        self.replaced.clear();
        match filter.judge(row, self.now, &mut self.replaced) {
            RowFate::Keep => CompactionDecision::Keep,
            RowFate::Remove => CompactionDecision::Remove,
            RowFate::Replace => {
                let replaced: *const [u8] = self.replaced.as_slice();
                // SAFETY: RocksDB copies the value before it calls this filter again or drops it, on the one thread that
                // runs the compaction; and only then does the buffer change.
                CompactionDecision::Change(unsafe { &*replaced })
            }
        }
    }

    fn name(&self) -> &CStr {
        c"tidemill-ttl"
    }
}
