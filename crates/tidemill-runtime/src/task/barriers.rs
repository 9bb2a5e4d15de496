//! When a task takes its part of a checkpoint: once the barrier has come on all channels, or has overtaken what is in them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tidemill_core::{BarrierAlignment, CheckpointBarrier, CheckpointId};

/// How long barriers of one checkpoint took to come together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AlignmentFigures {
    /// From the first barrier to the last.
    pub(crate) duration: Duration,
    /// Whether barriers overtook records.
    pub(crate) overtook: bool,
    /// Bytes of records that the task took meanwhile: known once the barriers have come, so not if they overtook.
    pub(crate) processed_bytes: u64,
}

impl AlignmentFigures {
    fn of(duration: Duration, overtook: bool) -> Self {
        Self { duration, overtook, processed_bytes: 0 }
    }
}

/// What a barrier, or the end of a channel, means for the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing yet.
    Wait,
    /// Take nothing more from this channel until the others have caught up.
    Block,
    /// All have come: take the snapshot now, and from all channels again.
    Complete(CheckpointBarrier, AlignmentFigures),
    /// Take the snapshot now, and store what is still on its way.
    Overtake(CheckpointBarrier, AlignmentFigures),
}

struct Pending {
    barrier: CheckpointBarrier,
    first: Instant,
    /// When it overtakes.
    deadline: Option<Instant>,
    /// Whether a channel waits for the others.
    blocks: bool,
    /// The channels whose barrier, or end, has come.
    arrived: Vec<bool>,
    left: usize,
}

/// The barriers of a task's channels, all gates counted through.
pub(crate) struct BarrierHandler {
    /// Which channels have ended.
    ended: Vec<bool>,
    open: usize,
    pending: Vec<Pending>,
    /// The newest checkpoint that the task has taken its part of.
    begun: CheckpointId,
    aborted: BTreeSet<CheckpointId>,
    may_overtake: bool,
    /// Whether channels wait for a checkpoint that was given up for a newer one.
    gave_up: bool,
}

impl BarrierHandler {
    /// `may_overtake`: whether barriers may overtake records in all channels.
    pub(crate) fn new(channels: usize, may_overtake: bool) -> Self {
        Self {
            ended: vec![false; channels],
            open: channels,
            pending: Vec::new(),
            begun: 0,
            aborted: BTreeSet::new(),
            may_overtake,
            gave_up: false,
        }
    }

    /// Whether a checkpoint was given up since this was asked: no channel waits for it any more.
    pub(crate) fn take_given_up(&mut self) -> bool {
        std::mem::take(&mut self.gave_up)
    }

    /// Whether all channels have ended.
    pub(crate) fn all_ended(&self) -> bool {
        self.open == 0
    }

    /// Whether a snapshot for this checkpoint is out of date: it was taken, or nobody wants it any more.
    pub(crate) fn is_over(&self, id: CheckpointId) -> bool {
        id <= self.begun || self.aborted.contains(&id)
    }

    /// Notes that the task takes its part of a checkpoint. Those before it will not be completed any more.
    pub(crate) fn begin(&mut self, id: CheckpointId) {
        self.begun = self.begun.max(id);
        self.pending.retain(|pending| pending.barrier.id > id);
        self.aborted.retain(|aborted| *aborted > id);
    }

    /// A barrier was taken from a channel, `age` after its checkpoint was triggered.
    pub(crate) fn barrier(
        &mut self,
        channel: usize,
        barrier: CheckpointBarrier,
        now: Instant,
        age: Duration,
    ) -> Verdict {
        if self.is_over(barrier.id) {
            return Verdict::Wait;
        }
        let aligned = barrier.alignment != BarrierAlignment::AtLeastOnce;
        if aligned {
            // An older one of which a channel knows nothing will never be complete.
            let before = self.pending.len();
            self.pending.retain(|pending| pending.barrier.id >= barrier.id);
            self.gave_up |= self.pending.len() < before;
        }
        let place = self.expect(barrier, now, age);
        self.pending[place].blocks = aligned;
        self.arrive(place, channel);
        match self.completed(now) {
            Verdict::Wait if aligned => Verdict::Block,
            verdict => verdict,
        }
    }

    fn expect(&mut self, barrier: CheckpointBarrier, now: Instant, age: Duration) -> usize {
        let known = self.pending.iter().position(|pending| pending.barrier.id == barrier.id);
        known.unwrap_or_else(|| {
            let deadline = match barrier.alignment {
                BarrierAlignment::AlignedFor(ms) if self.may_overtake => {
                    now.checked_add(Duration::from_millis(u64::from(ms)).saturating_sub(age))
                }
                _ => None,
            };
            let (arrived, left) = (self.ended.clone(), self.open);
            self.pending.push(Pending { barrier, first: now, deadline, blocks: false, arrived, left });
            self.pending.len() - 1
        })
    }

    /// A barrier that may overtake, at once or after a while, waits in a channel.
    pub(crate) fn announced(&mut self, barrier: CheckpointBarrier, now: Instant, age: Duration) -> Verdict {
        if self.is_over(barrier.id) || !self.may_overtake {
            return Verdict::Wait;
        }
        if barrier.alignment != BarrierAlignment::Unaligned {
            self.expect(barrier, now, age);
            return Verdict::Wait;
        }
        let first = self.pending.iter().find(|pending| pending.barrier.id == barrier.id);
        let duration = first.map_or(Duration::ZERO, |pending| now.saturating_duration_since(pending.first));
        self.begin(barrier.id);
        Verdict::Overtake(barrier, AlignmentFigures::of(duration, true))
    }

    /// A channel has ended: it counts as if its barriers had come.
    pub(crate) fn end(&mut self, channel: usize, now: Instant) -> Verdict {
        if !std::mem::replace(&mut self.ended[channel], true) {
            self.open -= 1;
        }
        (0..self.pending.len()).for_each(|place| self.arrive(place, channel));
        self.completed(now)
    }

    fn arrive(&mut self, place: usize, channel: usize) {
        let pending = &mut self.pending[place];
        if !std::mem::replace(&mut pending.arrived[channel], true) {
            pending.left -= 1;
        }
    }

    fn completed(&mut self, now: Instant) -> Verdict {
        let Some(place) = self.pending.iter().position(|pending| pending.left == 0) else {
            return Verdict::Wait;
        };
        let Pending { barrier, first, .. } = self.pending.remove(place);
        self.begin(barrier.id);
        let duration = now.saturating_duration_since(first);
        Verdict::Complete(barrier, AlignmentFigures::of(duration, false))
    }

    /// When barriers have waited long enough and overtake.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.pending.iter().filter_map(|pending| pending.deadline).min()
    }

    /// The checkpoint whose barriers have waited long enough.
    pub(crate) fn overdue(&mut self, now: Instant) -> Verdict {
        // The end of a channel may complete several at once.
        let complete = self.completed(now);
        if complete != Verdict::Wait {
            return complete;
        }
        let is_due = |pending: &Pending| pending.deadline.is_some_and(|deadline| deadline <= now);
        let Some(place) = self.pending.iter().position(is_due) else { return Verdict::Wait };
        let Pending { barrier, first, .. } = self.pending.remove(place);
        self.begin(barrier.id);
        let barrier = barrier.with_alignment(BarrierAlignment::Unaligned);
        let duration = now.saturating_duration_since(first);
        Verdict::Overtake(barrier, AlignmentFigures::of(duration, true))
    }

    /// Nobody wants this checkpoint any more.
    pub(crate) fn abort(&mut self, id: CheckpointId) {
        self.pending.retain(|pending| pending.barrier.id != id);
        if id > self.begun {
            self.aborted.insert(id);
        }
    }

    /// Whether channels wait for others.
    pub(crate) fn is_aligning(&self) -> bool {
        self.pending.iter().any(|pending| pending.blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn barrier(id: CheckpointId, alignment: BarrierAlignment) -> CheckpointBarrier {
        CheckpointBarrier::new(id, 0).with_alignment(alignment)
    }

    fn is_complete(verdict: Verdict, id: CheckpointId) -> bool {
        matches!(verdict, Verdict::Complete(barrier, _) if barrier.id == id)
    }

    #[test]
    fn channels_wait_for_each_other() {
        let mut handler = BarrierHandler::new(3, true);
        let now = Instant::now();
        let first = barrier(1, BarrierAlignment::Aligned);
        assert_eq!(handler.barrier(0, first, now, Duration::ZERO), Verdict::Block);
        assert_eq!(handler.barrier(2, first, now, Duration::ZERO), Verdict::Block);
        assert!(handler.is_aligning());
        let verdict = handler.barrier(1, first, now + Duration::from_millis(7), Duration::ZERO);
        let figures = AlignmentFigures::of(Duration::from_millis(7), false);
        assert_eq!(verdict, Verdict::Complete(first, figures));
        assert!(!handler.is_aligning() && handler.is_over(1));
    }

    #[test]
    fn an_ended_channel_holds_nobody_up() {
        let mut handler = BarrierHandler::new(2, true);
        let now = Instant::now();
        assert_eq!(
            handler.barrier(0, barrier(1, BarrierAlignment::Aligned), now, Duration::ZERO),
            Verdict::Block
        );
        assert!(is_complete(handler.end(1, now), 1));
        assert!(is_complete(
            handler.barrier(0, barrier(2, BarrierAlignment::Aligned), now, Duration::ZERO),
            2
        ));
        assert_eq!(handler.end(0, now), Verdict::Wait);
        assert!(handler.all_ended());
    }

    #[test]
    fn a_newer_barrier_ends_the_wait_for_an_older_one() {
        let mut handler = BarrierHandler::new(2, true);
        let now = Instant::now();
        assert_eq!(
            handler.barrier(0, barrier(1, BarrierAlignment::Aligned), now, Duration::ZERO),
            Verdict::Block
        );
        assert_eq!(
            handler.barrier(1, barrier(2, BarrierAlignment::Aligned), now, Duration::ZERO),
            Verdict::Block
        );
        assert!(handler.take_given_up() && !handler.take_given_up(), "the first channel need not wait");
        assert!(is_complete(
            handler.barrier(0, barrier(2, BarrierAlignment::Aligned), now, Duration::ZERO),
            2
        ));
        assert_eq!(
            handler.barrier(1, barrier(1, BarrierAlignment::Aligned), now, Duration::ZERO),
            Verdict::Wait
        );
    }

    #[test]
    fn an_aborted_checkpoint_begins_no_new_wait() {
        let mut handler = BarrierHandler::new(2, true);
        let now = Instant::now();
        assert_eq!(
            handler.barrier(0, barrier(1, BarrierAlignment::Aligned), now, Duration::ZERO),
            Verdict::Block
        );
        handler.abort(1);
        assert!(!handler.is_aligning());
        assert_eq!(
            handler.barrier(1, barrier(1, BarrierAlignment::Aligned), now, Duration::ZERO),
            Verdict::Wait
        );
        handler.abort(3);
        assert_eq!(
            handler.barrier(1, barrier(3, BarrierAlignment::Aligned), now, Duration::ZERO),
            Verdict::Wait
        );
    }

    #[test]
    fn at_least_once_several_are_counted_at_a_time() {
        let mut handler = BarrierHandler::new(2, true);
        let now = Instant::now();
        let (first, second) =
            (barrier(1, BarrierAlignment::AtLeastOnce), barrier(2, BarrierAlignment::AtLeastOnce));
        assert_eq!(handler.barrier(0, first, now, Duration::ZERO), Verdict::Wait);
        assert_eq!(handler.barrier(0, second, now, Duration::ZERO), Verdict::Wait);
        assert!(!handler.is_aligning());
        assert!(is_complete(handler.barrier(1, first, now, Duration::ZERO), 1));
        assert!(is_complete(handler.barrier(1, second, now, Duration::ZERO), 2));
    }

    #[test]
    fn what_has_waited_long_enough_overtakes() {
        let mut handler = BarrierHandler::new(2, true);
        let now = Instant::now();
        let patient = barrier(1, BarrierAlignment::AlignedFor(50));
        assert_eq!(handler.announced(patient, now, Duration::from_millis(20)), Verdict::Wait);
        assert!(handler.deadline() == Some(now + Duration::from_millis(30)), "since it was triggered");
        handler.abort(1);
        let mut handler = BarrierHandler::new(2, true);
        assert_eq!(handler.barrier(0, patient, now, Duration::ZERO), Verdict::Block);
        assert_eq!(handler.deadline(), Some(now + Duration::from_millis(50)));
        assert_eq!(handler.overdue(now + Duration::from_millis(49)), Verdict::Wait);
        let verdict = handler.overdue(now + Duration::from_millis(50));
        assert!(matches!(verdict, Verdict::Overtake(barrier, figures)
            if barrier.alignment == BarrierAlignment::Unaligned && figures.overtook));
        assert_eq!((handler.deadline(), handler.is_over(1)), (None, true));
    }

    #[test]
    fn where_nothing_may_overtake_barriers_keep_their_place() {
        let mut handler = BarrierHandler::new(2, false);
        let now = Instant::now();
        let unaligned = barrier(1, BarrierAlignment::Unaligned);
        assert_eq!(handler.announced(unaligned, now, Duration::ZERO), Verdict::Wait);
        assert_eq!(handler.barrier(0, unaligned, now, Duration::ZERO), Verdict::Block);
        assert!(is_complete(handler.barrier(1, unaligned, now, Duration::ZERO), 1));
        let patient = barrier(2, BarrierAlignment::AlignedFor(0));
        assert_eq!(handler.barrier(0, patient, now, Duration::ZERO), Verdict::Block);
        assert_eq!(handler.deadline(), None);
    }
}
