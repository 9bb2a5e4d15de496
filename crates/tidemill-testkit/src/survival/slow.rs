//! Operators that are held up while the test wants records to be on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidemill_core::CheckpointId;
use tidemill_core::batch::Batch;
use tidemill_core::time::{Timestamp, Watermark};
use tidemill_runtime::{
    Operator, OperatorContext, OperatorError, OperatorFactory, Output, Progress, SnapshotContext,
};
use tidemill_state::SubtaskSnapshot;

/// How long a batch takes while the brake is on.
const DRAG: Duration = Duration::from_micros(500);

/// Holds a job up. Clones are the same brake.
///
/// ```
/// use tidemill_testkit::survival::Brake;
///
/// let brake = Brake::default();
/// assert!(!brake.is_on());
/// brake.set(true);
/// assert!(brake.clone().is_on());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Brake(Arc<AtomicBool>);

impl Brake {
    /// Whether operators take their time.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Has them do so, or not any more.
    pub fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }
}

/// Operators that the brake slows down.
pub(super) struct Slowed {
    pub(super) factory: Arc<dyn OperatorFactory>,
    pub(super) brake: Brake,
}

impl OperatorFactory for Slowed {
    fn create(&self, subtask: u32) -> Result<Box<dyn Operator>, OperatorError> {
        Ok(Box::new(Slow { inner: self.factory.create(subtask)?, brake: self.brake.clone() }))
    }

    fn is_stateful(&self) -> bool {
        self.factory.is_stateful()
    }
}

struct Slow {
    inner: Box<dyn Operator>,
    brake: Brake,
}

impl Operator for Slow {
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.inner.open(context, restored)
    }

    fn process(&mut self, input: usize, batch: Batch, out: &mut Output) -> Result<Progress, OperatorError> {
        if self.brake.is_on() {
            // Not to wait for anything, but to be slow: what comes in then waits in the channels.
            std::thread::sleep(DRAG);
        }
        self.inner.process(input, batch, out)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.inner.watermark(watermark, out)
    }

    fn idle(&mut self, idle: bool, out: &mut Output) -> Result<Progress, OperatorError> {
        self.inner.idle(idle, out)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.inner.next_processing_time()
    }

    fn processing_time(&mut self, now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        self.inner.processing_time(now, out)
    }

    fn woken(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.inner.woken(out)
    }

    fn has_room(&self) -> bool {
        self.inner.has_room()
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.inner.finish(out)
    }

    fn snapshot(&mut self, context: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        self.inner.snapshot(context)
    }

    fn checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.inner.checkpoint_complete(checkpoint)
    }

    fn checkpoint_aborted(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.inner.checkpoint_aborted(checkpoint)
    }

    fn close(&mut self) {
        self.inner.close();
    }
}
