//! What barriers do to a gate: channels wait for each other, or a barrier overtakes what is in them.
//!
//! A barrier always lies in its channel in order, behind the records that belong to its checkpoint. One that may overtake is
//! announced besides. When the task hears of it, or has waited long enough, it calls
//! [`InputGate::overtake`]: what lies before the barrier in each channel, with credit or without, is copied, and so is what
//! is still sent on channels whose barrier has not come. The records themselves stay where they are and are processed as
//! ever: after a restart they are processed again, from the copy. So all that was on its way is stored by its receiver, once.

use tidemill_core::{BarrierAlignment, CheckpointId};

use super::{Channel, Copied, Credit, Entry, GateItem, InputGate, Queues, Waiting};
use crate::error::NetworkError;
use crate::event::Event;
use crate::snapshot::{GateSnapshot, InputChannelSnapshot};

/// What a barrier overtakes in a channel.
#[derive(Debug)]
pub(super) struct Recording {
    id: CheckpointId,
    items: Vec<Copied>,
    /// Whether the channel had ended before.
    ended: bool,
    /// Whether the barrier has come, or never will.
    complete: bool,
}

impl Channel {
    /// Notes what is sent while a barrier is still expected.
    #[inline]
    pub(super) fn record(&mut self, item: impl FnOnce() -> Copied) {
        if let Some(recording) = self.recording.as_mut().filter(|recording| !recording.complete) {
            recording.items.push(item());
        }
    }

    /// Copies what lies before the barrier, and takes the barrier out; without a barrier in sight, begins to record.
    fn overtake(&mut self, id: CheckpointId) {
        let mut recording = Recording {
            id,
            items: Vec::new(),
            ended: self.ended,
            complete: self.last_barrier >= id || self.partition_ended,
        };
        if !recording.complete {
            let is_last = |event: Event| match event {
                Event::Barrier(barrier) => barrier.id == id,
                event => event == Event::EndOfPartition,
            };
            let items = self.queue.iter().map(Entry::copy).chain(self.backlog.iter().map(Waiting::copy));
            let mut last = None;
            for (place, item) in items.enumerate() {
                if let Copied::Event(event) = item
                    && is_last(event)
                {
                    last = Some((place, event));
                    break;
                }
                recording.items.push(item);
            }
            recording.complete = last.is_some();
            if let Some((place, Event::Barrier(_))) = last {
                match place.checked_sub(self.queue.len()) {
                    None => drop(self.queue.remove(place)),
                    Some(place) => drop(self.backlog.remove(place)),
                }
                self.last_barrier = self.last_barrier.max(id);
            }
        }
        self.recording = Some(recording);
    }
}

impl Queues {
    /// Has what lies in a channel's queue, from the first buffer on that has floating credit, wait without any.
    fn give_credit_back(&mut self, index: usize) {
        let channel = &mut self.channels[index];
        let first = channel
            .queue
            .iter()
            .position(|entry| matches!(entry, Entry::Buffer { credit: Credit::Floating(_), .. }));
        let Some(first) = first else { return };
        for entry in channel.queue.drain(first..).rev() {
            channel.backlog.push_front(match entry {
                Entry::Event(event) => Waiting::Event(event),
                Entry::Buffer { buffer, bytes, credit: _ } => {
                    channel.backlogged_outside += 1;
                    self.queued_buffers -= 1;
                    self.queued_bytes -= bytes;
                    Waiting::Buffer { buffer, bytes, permit: None }
                }
            });
        }
        if !channel.is_starving {
            channel.is_starving = true;
            self.starving.push_back(index);
        }
    }

    /// Whether the event is what a recording waited for. A barrier is used up by that.
    pub(super) fn ends_recording(&mut self, index: usize, event: Event) -> bool {
        let channel = &mut self.channels[index];
        let Some(recording) = channel.recording.as_mut().filter(|recording| !recording.complete) else {
            return false;
        };
        let is_barrier = matches!(event, Event::Barrier(barrier) if barrier.id == recording.id);
        if !is_barrier && event != Event::EndOfPartition {
            return false;
        }
        recording.complete = true;
        let id = recording.id;
        if is_barrier {
            channel.last_barrier = channel.last_barrier.max(id);
        }
        self.notice_overtaken(id);
        is_barrier
    }

    /// Tells the task that all is recorded, if it is.
    fn notice_overtaken(&mut self, id: CheckpointId) {
        let complete =
            |channel: &Channel| channel.recording.as_ref().is_some_and(|recording| recording.complete);
        if self.channels.iter().all(complete) {
            self.notices.push_back((0, GateItem::Overtaken(id)));
        }
    }

    /// Announces a barrier that may overtake. True when there is something to announce.
    pub(super) fn announce(&mut self, index: usize, event: Event) -> bool {
        match event {
            Event::Barrier(barrier)
                if self.may_overtake
                    && matches!(
                        barrier.alignment,
                        BarrierAlignment::Unaligned | BarrierAlignment::AlignedFor(_)
                    ) =>
            {
                self.notices.push_back((index, GateItem::Announced(barrier)));
                true
            }
            _ => false,
        }
    }
}

impl InputGate {
    /// Has barriers keep their place: for exchanges whose records could not be dealt to another number of consumers.
    #[must_use]
    pub fn without_overtaking(self) -> Self {
        self.shared.queues.lock().may_overtake = false;
        self
    }

    /// Whether barriers may overtake what is in the channels.
    pub fn may_overtake(&self) -> bool {
        self.shared.queues.lock().may_overtake
    }

    /// What there is to hear of barriers, leaving records where they are.
    pub fn poll_notice(&self) -> Option<(usize, GateItem)> {
        self.shared.queues.lock().notices.pop_front()
    }

    /// Whether there is something to hear of barriers.
    pub fn has_notice(&self) -> bool {
        !self.shared.queues.lock().notices.is_empty()
    }

    /// Takes nothing from a channel until [`unblock_all`](Self::unblock_all): its barrier has come before those of others.
    pub fn block(&self, channel: usize) {
        let mut queues = self.shared.queues.lock();
        let state = &mut queues.channels[channel];
        state.is_blocked = true;
        if std::mem::take(&mut state.is_ready) {
            queues.ready.retain(|ready| *ready != channel);
        }
        if self.exclusive_per_channel == 0 {
            // The others may have no credit but this.
            queues.give_credit_back(channel);
            queues.promote_starving(&self.shared.floating);
        }
    }

    /// Takes from all channels again.
    pub fn unblock_all(&self) {
        let mut queues = self.shared.queues.lock();
        for index in 0..queues.channels.len() {
            let channel = &mut queues.channels[index];
            if !std::mem::take(&mut channel.is_blocked) {
                continue;
            }
            let (waits, lies) = (!channel.backlog.is_empty(), !channel.queue.is_empty());
            if waits {
                queues.promote(index, &self.shared.floating);
            }
            if lies {
                queues.mark_ready(index);
            }
        }
    }

    /// Begins to copy what lies, or is still to come, before the barriers of a checkpoint. Once all of it is known the gate
    /// says [`GateItem::Overtaken`], perhaps at once.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use tidemill_core::{Batch, TypedBatch};
    /// # use tidemill_network::{Buffer, Event, GateItem, InputGate, NetworkBufferPool};
    /// # use tidemill_serialization::TypedBatchSerializer;
    /// # let buffers = NetworkBufferPool::new(1 << 20, 32 * 1024);
    /// # let floating = buffers.create_pool(2, 1, 8, 0, Arc::default())?;
    /// # let pool = buffers.create_pool(0, 2, 8, 0, Arc::default())?;
    /// # let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    /// # let mut gate = InputGate::new(1, 2, floating, serializer.clone(), Arc::default());
    /// # let sender = gate.sender(0, pool.clone(), 4);
    /// use tidemill_core::{BarrierAlignment, CheckpointBarrier};
    ///
    /// let barrier = CheckpointBarrier::new(1, 0).with_alignment(BarrierAlignment::Unaligned);
    /// sender.send(Buffer::Batch(Batch::new(TypedBatch::from_values(vec![7u32]))), 4, pool.force_acquire())?;
    /// sender.send_event(Event::Barrier(barrier));
    /// assert!(matches!(gate.poll()?, Some((0, GateItem::Announced(_)))), "before the records");
    /// gate.overtake(1);
    /// assert!(matches!(gate.poll()?, Some((_, GateItem::Overtaken(1)))));
    /// assert_eq!(gate.take_overtaken(1)?.unwrap().channels[0].queued.len(), 1);
    /// assert!(matches!(gate.poll()?, Some((0, GateItem::Batch(_)))), "which stay where they are");
    /// assert!(gate.poll()?.is_none(), "the barrier is used up");
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn overtake(&self, id: CheckpointId) {
        let mut queues = self.shared.queues.lock();
        queues
            .notices
            .retain(|(_, notice)| !matches!(notice, GateItem::Announced(barrier) if barrier.id <= id));
        for index in 0..queues.channels.len() {
            let channel = &mut queues.channels[index];
            channel.overtake(id);
            if channel.queue.is_empty() && std::mem::take(&mut channel.is_ready) {
                queues.ready.retain(|ready| *ready != index);
            }
        }
        queues.notice_overtaken(id);
    }

    /// What the barriers of a checkpoint have overtaken; `None` when it is not all known yet, or was not asked for.
    ///
    /// # Errors
    /// When a batch cannot be encoded.
    pub fn take_overtaken(&self, id: CheckpointId) -> Result<Option<GateSnapshot>, NetworkError> {
        let recorded: Vec<Recording> = {
            let mut queues = self.shared.queues.lock();
            let complete = |channel: &Channel| {
                channel.recording.as_ref().is_some_and(|recording| recording.id == id && recording.complete)
            };
            if !queues.channels.iter().all(complete) {
                return Ok(None);
            }
            queues.channels.iter_mut().filter_map(|channel| channel.recording.take()).collect()
        };
        let channels = recorded.into_iter().map(|recording| {
            let queued = Copied::encode_all(recording.items, &*self.serializer)?;
            Ok(InputChannelSnapshot { queued, ended: recording.ended })
        });
        let channels = channels.collect::<Result<_, NetworkError>>()?;
        Ok(Some(GateSnapshot { serializer: self.serializer.snapshot(), channels }))
    }

    /// Forgets what was recorded for checkpoints up to this one, which were aborted.
    pub fn abort_overtaking(&self, id: CheckpointId) {
        let mut queues = self.shared.queues.lock();
        for channel in &mut queues.channels {
            if channel.recording.as_ref().is_some_and(|recording| recording.id <= id) {
                channel.recording = None;
            }
        }
        queues.notices.retain(|(_, notice)| match notice {
            GateItem::Announced(barrier) => barrier.id > id,
            GateItem::Overtaken(overtaken) => *overtaken > id,
            _ => true,
        });
    }
}
