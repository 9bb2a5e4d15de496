//! A source of rows that are written in the query.

use std::sync::Arc;

use arrow_array::RecordBatch;
use tidemill_core::batch::{ArrowBatch, Batch};
use tidemill_runtime::source::{
    ReaderStatus, Source, SourceOutput, SourceReader, SourceSplit, SplitAssignment, SplitEnumerator,
};
use tidemill_runtime::{OperatorContext, OperatorError};

/// One split of some rows.
pub(crate) struct ValuesSource(pub(crate) RecordBatch);

struct Once(bool);

struct ValuesReader {
    rows: RecordBatch,
    split: Option<Arc<str>>,
    ended: bool,
}

impl Source for ValuesSource {
    fn create_enumerator(
        &self,
        _: u32,
        restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        Ok(Box::new(Once(restored.is_some_and(|splits| splits.is_empty()))))
    }

    fn create_reader(&self, _: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        Ok(Box::new(ValuesReader { rows: self.0.clone(), split: None, ended: false }))
    }
}

fn only() -> SourceSplit {
    SourceSplit { id: "values".into(), state: Vec::new() }
}

impl SplitEnumerator for Once {
    fn next_split(&mut self, _: u32) -> Result<SplitAssignment, OperatorError> {
        Ok(if std::mem::replace(&mut self.0, true) {
            SplitAssignment::NoMore
        } else {
            SplitAssignment::Split(only())
        })
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        if self.0 { Vec::new() } else { vec![only()] }
    }
}

impl SourceReader for ValuesReader {
    fn add_split(&mut self, split: SourceSplit) -> Result<(), OperatorError> {
        self.split = Some(split.id);
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.ended = true;
    }

    fn poll(&mut self, out: &mut SourceOutput) -> Result<ReaderStatus, OperatorError> {
        match self.split.take() {
            Some(split) => {
                out.emit(&split, Batch::new(ArrowBatch::inserts(self.rows.clone())));
                out.finish_split(&split);
                Ok(ReaderStatus::Ready)
            }
            None if self.ended => Ok(ReaderStatus::End),
            None => Ok(ReaderStatus::NeedsSplit),
        }
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        self.split.iter().map(|_| only()).collect()
    }
}
