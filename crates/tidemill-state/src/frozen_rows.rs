//! Rows of a stored table on their way into a snapshot: read from a view of the store beside the task, or from the store itself while
//! the task waits.

use tidemill_core::{KeyGroup, Timestamp};
use tidemill_serialization::Input;

use crate::codec::in_state;
use crate::error::StateError;
use crate::pending::FrozenTable;
use crate::snapshot::GroupWriter;
use crate::store::{OrderedStore, TableId, TableView};
use crate::ttl::Ttl;

/// The rows of a table that is not changed while they are read.
pub(crate) struct LiveTable<'a> {
    pub(crate) store: &'a dyn OrderedStore,
    pub(crate) table: TableId,
}

impl TableView for LiveTable<'_> {
    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        self.store.scan(self.table, from, to, visit)
    }
}

/// Writes the rows of one kind of table.
pub(crate) type EncodeRows = fn(&FrozenRows<'_>, &mut GroupWriter) -> Result<(), StateError>;

/// The rows of a state, at one moment.
pub(crate) struct FrozenRows<'a> {
    pub(crate) name: String,
    /// What has expired is left out by this, when it is to be.
    pub(crate) cleanup: Option<Ttl>,
    /// When that moment was.
    pub(crate) now: Timestamp,
    view: Box<dyn TableView + 'a>,
}

impl<'a> FrozenRows<'a> {
    pub(crate) fn new(name: &str, ttl: Option<&Ttl>, view: Box<dyn TableView + 'a>) -> Self {
        let cleanup = ttl.filter(|ttl| ttl.full_snapshot()).cloned();
        Self { name: name.to_owned(), now: cleanup.as_ref().map_or(0, Ttl::now), cleanup, view }
    }

    /// Shows all rows for as long as the snapshot is wanted: key group, what follows it in the row key, value.
    pub(crate) fn for_each(
        &self,
        out: &mut GroupWriter,
        mut visit: impl FnMut(&mut GroupWriter, KeyGroup, &[u8], &[u8]) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut failure = None;
        self.view.scan(&[], None, &mut |row_key, row| {
            let shown = out.check_wanted().and_then(|()| {
                let group = Input::new(row_key).array("key group of a row");
                let group = KeyGroup::from_be_bytes(in_state(&self.name, group)?);
                visit(out, group, &row_key[size_of::<KeyGroup>()..], row)
            });
            failure = shown.err();
            failure.is_none()
        })?;
        failure.map_or(Ok(()), Err)
    }
}

impl FrozenRows<'static> {
    pub(crate) fn into_table(self, encode: EncodeRows) -> Box<dyn FrozenTable> {
        Box::new(StoredTable { rows: self, encode })
    }
}

/// The rows of a view, and what they are.
struct StoredTable {
    rows: FrozenRows<'static>,
    encode: EncodeRows,
}

impl FrozenTable for StoredTable {
    fn encode(self: Box<Self>, out: &mut GroupWriter) -> Result<(), StateError> {
        (self.encode)(&self.rows, out)
    }
}
