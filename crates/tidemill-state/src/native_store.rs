//! [`NativeStore`]: what a store can do beyond rows: snapshots of its files, clean-up while it rewrites them, and figures.

use std::sync::Arc;

use tidemill_core::{KeyGroupRange, Timestamp};

use crate::error::StateError;
use crate::hot_rows::HotRows;
use crate::native::{NativeFile, NativeFolder, NativeSnapshot};
use crate::snapshot::StateSchema;
use crate::store::TableId;

/// The files of a whole store at one moment.
///
/// ```
/// use tidemill_state::{NativeFiles, NativeFolder};
///
/// let files = NativeFiles { files: Vec::new(), folder: NativeFolder::kept("/tmp/count-0.checkpoint-1") };
/// assert!(files.files.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct NativeFiles {
    /// The files, by name.
    pub files: Vec<NativeFile>,
    /// Where they are.
    pub folder: Arc<NativeFolder>,
}

/// A table that was restored from files. It has no name until a state with such entries is declared.
///
/// ```
/// use tidemill_state::RestoredTable;
///
/// /// The states that have a table in an older form, too.
/// fn in_several_forms(tables: &[RestoredTable]) -> Vec<&str> {
///     let names = tables.iter().map(|table| table.state.as_str());
///     names.clone().filter(|name| names.clone().filter(|other| other == name).count() > 1).collect()
/// }
///
/// assert!(in_several_forms(&[]).is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct RestoredTable {
    /// The name that the state was declared with.
    pub state: String,
    /// What it holds.
    pub schema: StateSchema,
    /// Whether each entry has the time at which it was last touched.
    pub stamped: bool,
    /// The table.
    pub table: TableId,
}

/// What is to become of a row.
///
/// ```
/// use tidemill_state::RowFate;
///
/// assert_ne!(RowFate::Keep, RowFate::Remove);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFate {
    /// It stays as it is.
    Keep,
    /// It goes.
    Remove,
    /// It gets another value.
    Replace,
}

/// Finds out which rows of a table have expired, so that a store drops them when it rewrites its files.
///
/// ```
/// use tidemill_core::Timestamp;
/// use tidemill_state::{RowFate, RowFilter};
///
/// /// Rows expire at the second that their first byte says.
/// struct FirstByte;
///
/// impl RowFilter for FirstByte {
///     fn now(&self) -> Timestamp {
///         7_000
///     }
///
///     fn judge(&self, row: &[u8], now: Timestamp, _: &mut Vec<u8>) -> RowFate {
///         let expired = row.first().is_some_and(|second| i64::from(*second) * 1_000 <= now);
///         if expired { RowFate::Remove } else { RowFate::Keep }
///     }
///
///     fn look_again_after(&self) -> Option<u64> {
///         None
///     }
/// }
///
/// assert_eq!(FirstByte.judge(&[3], FirstByte.now(), &mut Vec::new()), RowFate::Remove);
/// ```
pub trait RowFilter: Send + Sync + 'static {
    /// The time by the clock of the state, in milliseconds.
    fn now(&self) -> Timestamp;

    /// What becomes of the value of a row at `now`; with [`RowFate::Replace`] its new value is in `replaced`, which is empty
    /// before. A value that it does not understand stays.
    fn judge(&self, row: &[u8], now: Timestamp, replaced: &mut Vec<u8>) -> RowFate;

    /// After how many rows it wants to be asked for the time again; `None` for as the store is configured.
    fn look_again_after(&self) -> Option<u64>;
}

/// What an [`OrderedStore`](crate::OrderedStore) can do whose files can be kept and restored.
///
/// ```
/// use tidemill_state::NativeStore;
///
/// fn is_that_of(store: &dyn NativeStore, backend: &str) -> bool {
///     store.backend() == backend
/// }
/// ```
pub trait NativeStore {
    /// The backend whose files these are.
    fn backend(&self) -> &'static str;

    /// What the store calls a table, in all its snapshots.
    ///
    /// # Errors
    /// When there is no such table.
    fn family(&self, table: TableId) -> Result<String, StateError>;

    /// The files with all that has been written so far. Short enough to be waited for: no table is gone through, what is
    /// only in memory is written, and the rest is linked. Beside them is a file with the rows that `hot` adds, if there are any:
    /// restored, these stand for what the other files have of the same keys.
    ///
    /// # Errors
    /// When the store fails, or `hot` does.
    fn checkpoint(
        &self,
        hot: &mut dyn FnMut(&mut HotRows) -> Result<(), StateError>,
    ) -> Result<NativeFiles, StateError>;

    /// Takes over the key groups `owned` from snapshots of other stores, which stay as they are. At best before any table
    /// is opened: then one of them is taken over as files.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the store fails.
    fn restore(
        &self,
        sources: &[&NativeSnapshot],
        owned: KeyGroupRange,
    ) -> Result<Vec<RestoredTable>, StateError>;

    /// Makes a restored table that of `state`, so that [`open_table`](crate::OrderedStore::open_table) finds it.
    ///
    /// # Errors
    /// When there is no such table, or the state has one.
    fn bind(&self, table: TableId, state: &str) -> Result<(), StateError>;

    /// Removes a restored table that is no state's.
    ///
    /// # Errors
    /// When the store fails.
    fn drop_table(&self, table: TableId) -> Result<(), StateError>;

    /// Has the store drop rows of a state that have expired, whenever it suits it. Said before the table of the state is opened.
    ///
    /// # Errors
    /// When the store fails.
    fn set_row_filter(&self, state: &str, filter: Arc<dyn RowFilter>) -> Result<(), StateError>;
}

/// A figure of a store.
///
/// ```
/// use tidemill_state::NativeMetric;
///
/// let hits = NativeMetric { state: None, name: "rocksdb.block_cache_hit", value: 7 };
/// assert_eq!(hits.value, 7);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NativeMetric<'a> {
    /// The state that it is of; `None` when it is of all together.
    pub state: Option<&'a str>,
    /// Its name, without that of the state.
    pub name: &'a str,
    /// How much or how many.
    pub value: u64,
}

/// The figures of the store of one subtask, which can be read from any thread, also when the store is gone: there are
/// none then.
///
/// ```
/// use tidemill_state::{NativeMetric, NativeMetrics};
///
/// /// One figure that never changes.
/// struct Seven;
///
/// impl NativeMetrics for Seven {
///     fn state_as_variable(&self) -> bool {
///         false
///     }
///
///     fn read(&self, report: &mut dyn FnMut(NativeMetric<'_>)) {
///         report(NativeMetric { state: None, name: "seven", value: 7 });
///     }
/// }
///
/// let mut values = Vec::new();
/// Seven.read(&mut |metric| values.push(metric.value));
/// assert_eq!(values, [7]);
/// ```
pub trait NativeMetrics: Send + Sync {
    /// Whether the name of a state is a variable of its gauges, `column_family`, rather than a part of their names.
    fn state_as_variable(&self) -> bool;

    /// Reports every figure that is switched on. The same ones each time, but that states are added while they are declared.
    fn read(&self, report: &mut dyn FnMut(NativeMetric<'_>));
}
