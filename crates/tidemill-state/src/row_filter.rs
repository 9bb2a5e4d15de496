//! Which rows of stored tables have expired: what a store is told for the time when it rewrites its files.

use std::marker::PhantomData;
use std::sync::Arc;

use tidemill_core::Timestamp;
use tidemill_serialization::Data;

use crate::native_store::{RowFate, RowFilter};
use crate::stored::Verdict;
use crate::stored_lists;
use crate::stored_values::row_stamp;
use crate::ttl::Ttl;

/// Of values and of the rows of maps: their time stamp stands at the start.
struct ByStamp(Ttl);

impl RowFilter for ByStamp {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn judge(&self, row: &[u8], now: Timestamp, _: &mut Vec<u8>) -> RowFate {
        match row_stamp(row) {
            Ok(stamp) if self.0.is_expired(stamp, now) => RowFate::Remove,
            _ => RowFate::Keep,
        }
    }

    fn look_again_after(&self) -> Option<u64> {
        self.0.look_again_after()
    }
}

/// Of lists: each element has a time stamp of its own.
struct ByElement<E>(Ttl, PhantomData<fn() -> E>);

impl<E: Data> RowFilter for ByElement<E> {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn judge(&self, row: &[u8], now: Timestamp, replaced: &mut Vec<u8>) -> RowFate {
        match stored_lists::judge::<E>(&self.0, row, now) {
            Ok(Verdict::Delete) => RowFate::Remove,
            Ok(Verdict::Replace(bytes)) => {
                *replaced = bytes;
                RowFate::Replace
            }
            Ok(Verdict::Keep) | Err(_) => RowFate::Keep,
        }
    }

    fn look_again_after(&self) -> Option<u64> {
        self.0.look_again_after()
    }
}

pub(crate) fn by_stamp(ttl: &Ttl) -> Arc<dyn RowFilter> {
    Arc::new(ByStamp(ttl.clone()))
}

pub(crate) fn by_element<E: Data>(ttl: &Ttl) -> Arc<dyn RowFilter> {
    Arc::new(ByElement::<E>(ttl.clone(), PhantomData))
}
