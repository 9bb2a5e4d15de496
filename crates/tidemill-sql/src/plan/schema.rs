//! The columns of a plan's node.

use crate::types::LogicalType;

/// The columns of a relation, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Schema {
    columns: std::sync::Arc<[Column]>,
}

/// A column of a relation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    /// Its name; not unique.
    pub(crate) name: String,
    /// Its type.
    pub(crate) logical: LogicalType,
    /// Whether it is a time attribute: then windows and intervals over it follow the stream's progress.
    pub(crate) time: Option<TimeAttribute>,
}

/// What the progress of a time attribute is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TimeAttribute {
    /// Watermarks.
    Row,
    /// The clock.
    Processing,
}

impl Column {
    pub(crate) fn new(name: impl Into<String>, logical: LogicalType) -> Self {
        Self { name: name.into(), logical, time: None }
    }
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.logical.root)?;
        match self.time {
            Some(TimeAttribute::Row) => f.write_str(" *ROWTIME*")?,
            Some(TimeAttribute::Processing) => f.write_str(" *PROCTIME*")?,
            None => {}
        }
        f.write_str(if self.logical.nullable { "" } else { " NOT NULL" })
    }
}

impl Schema {
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self { columns: columns.into() }
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    pub(crate) fn column(&self, index: usize) -> Option<&Column> {
        self.columns.get(index)
    }

    pub(crate) fn logical(&self, index: usize) -> LogicalType {
        self.column(index)
            .map_or_else(|| crate::types::TypeRoot::Null.nullable(), |column| column.logical.clone())
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.name.as_str()).collect()
    }

    pub(crate) fn types(&self) -> impl Iterator<Item = &LogicalType> {
        self.columns.iter().map(|column| &column.logical)
    }
}
