//! Tables: columns, event time, key, options.

use std::collections::BTreeMap;

use sqlparser::ast::Expr as AstExpr;

use super::ObjectPath;
use crate::types::LogicalType;

/// A table of a catalog.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) path: ObjectPath,
    pub(crate) columns: Vec<TableColumn>,
    pub(crate) watermark: Option<Watermark>,
    /// The columns of the primary key, by number.
    pub(crate) primary_key: Vec<usize>,
    /// The columns that it is partitioned by, by number.
    pub(crate) partitioned_by: Vec<usize>,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) comment: Option<String>,
}

/// A column of a table.
#[derive(Clone, Debug)]
pub(crate) struct TableColumn {
    pub(crate) name: String,
    pub(crate) logical: LogicalType,
    pub(crate) source: ColumnSource,
    pub(crate) comment: Option<String>,
}

/// Where the values of a column come from.
#[derive(Clone, Debug)]
pub(crate) enum ColumnSource {
    /// The table stores it.
    Physical,
    /// The connector has it beside the record.
    Metadata { key: String, is_virtual: bool },
    /// It is computed of others.
    Computed(AstExpr),
}

/// The event time of a table.
#[derive(Clone, Debug)]
pub(crate) struct Watermark {
    /// The column.
    pub(crate) column: usize,
    /// The watermark, over the columns.
    pub(crate) expression: AstExpr,
}

impl Table {
    /// The columns that the connector gives: not the computed ones.
    pub(crate) fn stored(&self) -> impl Iterator<Item = (usize, &TableColumn)> {
        self.columns
            .iter()
            .enumerate()
            .filter(|(_, column)| !matches!(column.source, ColumnSource::Computed(_)))
    }

    /// The columns that `INSERT INTO` writes: neither computed nor virtual.
    pub(crate) fn written(&self) -> impl Iterator<Item = (usize, &TableColumn)> {
        self.columns.iter().enumerate().filter(|(_, column)| {
            matches!(column.source, ColumnSource::Physical | ColumnSource::Metadata { is_virtual: false, .. })
        })
    }
}
