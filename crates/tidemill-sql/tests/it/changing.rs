//! Tables whose rows change, for tests: what is read is given, what is written is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_schema::SchemaRef;
use tidemill_core::batch::{ArrowBatch, Batch, RowKind};
use tidemill_runtime::operator::boxed;
use tidemill_runtime::source::{
    ReaderStatus, Source, SourceOutput, SourceReader, SourceSplit, SplitAssignment, SplitEnumerator,
};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress};
use tidemill_sql::SqlResult;
use tidemill_sql::connector::{
    ConnectorOption, SinkChanges, SinkRequest, SourceChanges, SourceRequest, TableFactory, TableOptions,
    TableSink, TableSource,
};

/// The values of a row.
pub(super) type Values = Vec<Option<i64>>;

/// Changes of rows.
pub(super) type Changes = Vec<(RowKind, Values)>;

/// What tables are given and were told, by name. All their columns are BIGINT.
#[derive(Clone, Default)]
pub(super) struct Changing {
    pub(super) given: Arc<Mutex<BTreeMap<String, Vec<Changes>>>>,
    pub(super) told: Arc<Mutex<BTreeMap<String, Changes>>>,
}

fn plain(table: &str) -> String {
    table.rsplit('.').next().unwrap().to_owned()
}

impl TableFactory for Changing {
    fn identifier(&self) -> &'static str {
        "changing"
    }

    fn options(&self) -> &'static [ConnectorOption] {
        const fn optional(key: &'static str) -> ConnectorOption {
            ConnectorOption { key, required: false, description: "" }
        }
        const { &[optional("changes"), optional("scan.parallelism"), optional("sink.parallelism")] }
    }

    fn source_changes(&self, options: &TableOptions) -> SqlResult<SourceChanges> {
        Ok(match options.get("changes") {
            Some("all") => SourceChanges::All,
            Some("upsert") => SourceChanges::Upsert { key_only_deletes: false },
            Some("upsert-keys") => SourceChanges::Upsert { key_only_deletes: true },
            _ => SourceChanges::Insert,
        })
    }

    fn source(&self, request: &SourceRequest<'_>) -> SqlResult<TableSource> {
        let given = self.given.lock().unwrap().get(&plain(request.table)).cloned().unwrap_or_default();
        let place = |name: &str| request.stored.iter().position(|stored| *stored == name).unwrap();
        let places: Vec<usize> = request.schema.fields().iter().map(|field| place(field.name())).collect();
        let batches = given.iter().map(|changes| batch(&request.schema, &places, changes)).collect();
        Ok(TableSource { source: Arc::new(Given(batches)) })
    }

    fn sink(&self, request: &SinkRequest<'_>) -> SqlResult<TableSink> {
        let changes = match request.options.get("changes") {
            Some("all") => SinkChanges::All,
            Some("upsert") => SinkChanges::Upsert { key_only_deletes: false },
            Some("upsert-keys") => SinkChanges::Upsert { key_only_deletes: true },
            Some("no-update-before") => SinkChanges::NoUpdateBefore,
            _ => SinkChanges::Insert,
        };
        let (table, told) = (plain(request.table), Arc::clone(&self.told));
        let operator = Arc::new(boxed(move || Told { table: table.clone(), told: Arc::clone(&told) }));
        Ok(TableSink { operator, changes, shuffled_by: Vec::new() })
    }
}

fn batch(schema: &SchemaRef, places: &[usize], changes: &Changes) -> ArrowBatch {
    let column = |place: &usize| -> ArrayRef {
        Arc::new(changes.iter().map(|(_, values)| values[*place]).collect::<Int64Array>())
    };
    let columns = places.iter().map(column).collect();
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(changes.len()));
    let records = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).unwrap();
    let kinds = changes.iter().map(|(kind, _)| *kind).collect();
    ArrowBatch { records, kinds: Some(kinds), timestamps: Vec::new(), hashes: Vec::new() }
}

/// Keeps what it is told.
struct Told {
    table: String,
    told: Arc<Mutex<BTreeMap<String, Changes>>>,
}

impl Operator for Told {
    fn process(&mut self, _: usize, batch: Batch, _: &mut Output) -> Result<Progress, OperatorError> {
        let batch = batch.downcast_ref::<ArrowBatch>()?;
        let value = |column: &ArrayRef, row: usize| {
            column.is_valid(row).then(|| column.as_primitive::<Int64Type>().value(row))
        };
        let mut told = self.told.lock().unwrap();
        let told = told.entry(self.table.clone()).or_default();
        for row in 0..batch.records.num_rows() {
            let kind = batch.kinds.as_ref().map_or(RowKind::Insert, |kinds| kinds[row]);
            told.push((kind, batch.records.columns().iter().map(|column| value(column, row)).collect()));
        }
        Ok(Progress::Done)
    }
}

/// One split of some batches.
struct Given(Vec<ArrowBatch>);

struct Once(bool);

struct Reader {
    left: Vec<ArrowBatch>,
    split: Option<Arc<str>>,
    ended: bool,
}

impl Source for Given {
    fn create_enumerator(
        &self,
        _: u32,
        _: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        Ok(Box::new(Once(false)))
    }

    fn create_reader(&self, _: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        let left = self.0.iter().rev().cloned().collect();
        Ok(Box::new(Reader { left, split: None, ended: false }))
    }
}

impl SplitEnumerator for Once {
    fn next_split(&mut self, _: u32) -> Result<SplitAssignment, OperatorError> {
        Ok(if std::mem::replace(&mut self.0, true) {
            SplitAssignment::NoMore
        } else {
            SplitAssignment::Split(SourceSplit { id: "given".into(), state: Vec::new() })
        })
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        Vec::new()
    }
}

impl SourceReader for Reader {
    fn add_split(&mut self, split: SourceSplit) -> Result<(), OperatorError> {
        self.split = Some(split.id);
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.ended = true;
    }

    fn poll(&mut self, out: &mut SourceOutput) -> Result<ReaderStatus, OperatorError> {
        let Some(split) = &self.split else {
            return Ok(if self.ended { ReaderStatus::End } else { ReaderStatus::NeedsSplit });
        };
        match self.left.pop() {
            Some(batch) => out.emit(split, Batch::new(batch)),
            None => {
                out.finish_split(split);
                self.split = None;
            }
        }
        Ok(ReaderStatus::Ready)
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        Vec::new()
    }
}
