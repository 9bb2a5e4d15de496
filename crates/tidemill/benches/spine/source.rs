//! A source that costs next to nothing: it copies the same records into a fresh batch, over and over.

use std::sync::Arc;

use tidemill::core::Element;
use tidemill::core::batch::{Batch, TypedBatch};
use tidemill::runtime::source::{
    ReaderStatus, Source, SourceOutput, SourceReader, SourceSplit, SplitAssignment, SplitEnumerator,
};
use tidemill::runtime::{OperatorContext, OperatorError};

/// Each subtask emits `batches` batches, one after the other, taken in turn from `templates`.
pub(crate) struct TemplateSource<T> {
    pub(crate) templates: Arc<Vec<Vec<T>>>,
    pub(crate) batches: usize,
}

struct Enumerator;

impl SplitEnumerator for Enumerator {
    fn next_split(&mut self, subtask: u32) -> Result<SplitAssignment, OperatorError> {
        let id = subtask.to_string().into();
        Ok(SplitAssignment::Split(SourceSplit { id, state: Vec::new() }))
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        Vec::new()
    }
}

struct Reader<T> {
    templates: Arc<Vec<Vec<T>>>,
    left: usize,
    split: Option<Arc<str>>,
}

impl<T: Element> SourceReader for Reader<T> {
    fn add_split(&mut self, split: SourceSplit) -> Result<(), OperatorError> {
        self.split = Some(split.id);
        Ok(())
    }

    fn no_more_splits(&mut self) {}

    fn poll(&mut self, out: &mut SourceOutput) -> Result<ReaderStatus, OperatorError> {
        let Some(split) = &self.split else { return Ok(ReaderStatus::NeedsSplit) };
        if self.left == 0 {
            return Ok(ReaderStatus::End);
        }
        self.left -= 1;
        let template = &self.templates[self.left % self.templates.len()];
        out.emit(split, Batch::new(TypedBatch::from_values(template.clone())));
        Ok(ReaderStatus::Ready)
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        Vec::new()
    }
}

impl<T: Element> Source for TemplateSource<T> {
    fn create_enumerator(
        &self,
        _parallelism: u32,
        _restored: Option<Vec<SourceSplit>>,
    ) -> Result<Box<dyn SplitEnumerator>, OperatorError> {
        Ok(Box::new(Enumerator))
    }

    fn create_reader(&self, _context: &OperatorContext) -> Result<Box<dyn SourceReader>, OperatorError> {
        Ok(Box::new(Reader { templates: Arc::clone(&self.templates), left: self.batches, split: None }))
    }
}
