//! Notes which columns the sources of a query are asked for, so that the same can be read without the query.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{DataType, Field, TimeUnit};
use tidemill_sql::SqlResult;
use tidemill_sql::connector::{
    ConnectorOption, MetadataKey, SinkRequest, SourceRequest, TableFactory, TableSink, TableSource,
};
use tidemill_sql::lookup::{LookupRequest, TableLookup};

use super::figures::SourceColumn;

/// The columns of each source that was asked for.
pub(super) type Noted = Arc<Mutex<Vec<Vec<SourceColumn>>>>;

/// A connector that notes the columns of its sources.
pub(super) struct Noting {
    pub(super) connector: Arc<dyn TableFactory>,
    pub(super) noted: Noted,
}

impl TableFactory for Noting {
    fn identifier(&self) -> &'static str {
        self.connector.identifier()
    }

    fn options(&self) -> &'static [ConnectorOption] {
        self.connector.options()
    }

    fn metadata(&self) -> &'static [MetadataKey] {
        self.connector.metadata()
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        let mut columns = Vec::new();
        request.schema.fields().iter().for_each(|field| leaves("", field, &mut columns));
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push(columns);
        self.connector.source(request)
    }

    fn lookup(&self, request: &LookupRequest<'_>) -> SqlResult<Option<TableLookup>> {
        self.connector.lookup(request)
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        self.connector.sink(request)
    }
}

/// Appends the fields of a column that have no fields themselves.
fn leaves(parent: &str, field: &Field, columns: &mut Vec<SourceColumn>) {
    let path =
        if parent.is_empty() { quoted(field.name()) } else { format!("{parent}.{}", quoted(field.name())) };
    match field.data_type() {
        DataType::Struct(fields) => fields.iter().for_each(|field| leaves(&path, field, columns)),
        data_type => columns.push(SourceColumn { path, sql_type: sql_type(data_type).to_owned() }),
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The type of a column of the events, all of which are among these.
fn sql_type(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int32 => "INT",
        DataType::Int64 => "BIGINT",
        DataType::Timestamp(TimeUnit::Millisecond, None) => "TIMESTAMP(3)",
        _ => "STRING",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_rows_are_named_by_their_path() {
        let time = DataType::Timestamp(TimeUnit::Millisecond, None);
        let bid = vec![Field::new("price", DataType::Int64, true), Field::new("dateTime", time, true)];
        let field = Field::new("bid", DataType::Struct(bid.into()), true);
        let mut columns = Vec::new();
        leaves("", &field, &mut columns);
        let shown: Vec<String> =
            columns.iter().map(|column| format!("{} {}", column.path, column.sql_type)).collect();
        assert_eq!(shown, ["`bid`.`price` BIGINT", "`bid`.`dateTime` TIMESTAMP(3)"]);
    }
}
