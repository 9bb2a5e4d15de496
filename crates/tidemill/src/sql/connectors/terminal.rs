//! Sinks that keep nothing.

use std::sync::Arc;

use tidemill_connectors::{BlackholeSink, PrintSink};
use tidemill_sql::SqlResult;
use tidemill_sql::connector::{
    ConnectorOption, SinkChanges, SinkRequest, SourceRequest, TableFactory, TableSink, TableSource,
};

use super::{is_true, only_sink, optional};

/// Rows on the terminal.
pub(super) struct Print;

const PRINT: &[ConnectorOption] = &[
    optional("print-identifier", "what stands before each row"),
    optional("standard-error", "rows go to standard error instead of standard output"),
    optional("sink.parallelism", "how many subtasks print"),
];

impl TableFactory for Print {
    fn identifier(&self) -> &'static str {
        "print"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        PRINT
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        Err(only_sink(request.table, "print"))
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        let mut sink = PrintSink::flink_rows();
        if let Some(name) = request.options.get("print-identifier") {
            sink = sink.name(name);
        }
        if let Some(yes) = is_true(request.options, "standard-error")? {
            sink = sink.standard_error(yes);
        }
        Ok(TableSink { operator: Arc::new(sink), changes: SinkChanges::All, shuffled_by: Vec::new() })
    }
}

/// Counts and forgets.
pub(super) struct Blackhole;

const BLACKHOLE: &[ConnectorOption] = &[optional("sink.parallelism", "how many subtasks take rows")];

impl TableFactory for Blackhole {
    fn identifier(&self) -> &'static str {
        "blackhole"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        BLACKHOLE
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        Err(only_sink(request.table, "blackhole"))
    }

    fn sink(&self, _: &SinkRequest<'_>) -> SqlResult<TableSink> {
        Ok(TableSink {
            operator: Arc::new(BlackholeSink),
            changes: SinkChanges::NoUpdateBefore,
            shuffled_by: Vec::new(),
        })
    }
}
