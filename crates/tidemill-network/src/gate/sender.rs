//! The sending end of a channel.

use std::sync::Arc;

use super::{Copied, Entry, Shared, Waiting, credit};
use crate::error::NetworkError;
use crate::event::{Buffer, Event};
use crate::pool::{LocalBufferPool, Permit};
use crate::snapshot::InFlight;
use crate::waker::Wake;

/// The sending end of one channel.
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
/// sender.send(Buffer::Batch(Batch::new(TypedBatch::from_values(vec![7u32]))), 4, pool.force_acquire())?;
/// drop(gate);
/// let permit = pool.force_acquire();
/// assert!(sender.send(Buffer::Encoded(Vec::new()), 0, permit).is_err(), "the consumer has gone");
/// # Ok::<(), tidemill_network::NetworkError>(())
/// ```
#[derive(Debug)]
pub struct ChannelSender {
    pub(super) shared: Arc<Shared>,
    pub(super) channel: usize,
    pub(super) pool: Arc<LocalBufferPool>,
}

impl ChannelSender {
    /// Sends a buffer of `bytes` logical bytes; `permit` is given back as soon as there is credit for it.
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
    /// let permit = pool.try_acquire().unwrap();
    /// sender.send(Buffer::Batch(Batch::new(TypedBatch::from_values(vec![7u32]))), 4, permit)?;
    /// assert_eq!(pool.used(), 0, "there is credit, so the buffer is the consumer's");
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    ///
    /// # Errors
    /// [`NetworkError::ConsumerGone`] when the consuming task has ended.
    pub fn send(&self, buffer: Buffer, bytes: usize, permit: Permit) -> Result<(), NetworkError> {
        let mut queues = self.shared.queues.lock();
        if queues.closed {
            return Err(NetworkError::ConsumerGone);
        }
        let channel = &mut queues.channels[self.channel];
        channel.record(|| Copied::Buffer(buffer.clone()));
        let credit = if channel.backlog.is_empty() { credit(channel, &self.shared.floating) } else { None };
        match credit {
            Some(credit) => {
                channel.queue.push_back(Entry::Buffer { buffer, bytes, credit });
                queues.queued_buffers += 1;
                queues.queued_bytes += bytes;
                queues.mark_ready(self.channel);
                drop(queues);
                drop(permit);
                self.shared.waker.wake(Wake::Input);
            }
            None => {
                channel.backlog.push_back(Waiting::Buffer { buffer, bytes, permit: Some(permit) });
                channel.backlogged_buffers += 1;
                if channel.backlogged_buffers >= channel.max_backlog && channel.congestion.is_none() {
                    self.pool.congest();
                    channel.congestion = Some(Arc::clone(&self.pool));
                }
                if !channel.is_starving {
                    channel.is_starving = true;
                    queues.starving.push_back(self.channel);
                }
            }
        }
        Ok(())
    }

    /// Sends a control element behind all buffers sent so far.
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
    /// use tidemill_core::Watermark;
    ///
    /// sender.send_event(Event::Watermark(Watermark(10)));
    /// sender.send_event(Event::Watermark(Watermark(20)));
    /// let item = gate.poll()?;
    /// assert!(matches!(item, Some((0, GateItem::Event(Event::Watermark(Watermark(20)))))), "the last one counts");
    /// # Ok::<(), tidemill_network::NetworkError>(())
    /// ```
    pub fn send_event(&self, event: Event) {
        let mut queues = self.shared.queues.lock();
        if queues.closed {
            return;
        }
        if queues.ends_recording(self.channel, event) {
            drop(queues);
            self.shared.waker.wake(Wake::Input);
            return;
        }
        let channel = &mut queues.channels[self.channel];
        channel.record(|| Copied::Event(event));
        // Of watermarks in a row only the last one says something, and a consumer that does not come must not let them
        // pile up.
        if let Event::Watermark(_) = event {
            let last = match channel.backlog.back_mut() {
                Some(Waiting::Event(last)) => Some(last),
                Some(Waiting::Buffer { .. }) => None,
                None => match channel.queue.back_mut() {
                    Some(Entry::Event(last)) => Some(last),
                    _ => None,
                },
            };
            if let Some(last @ Event::Watermark(_)) = last {
                *last = event;
                return;
            }
        }
        let waits = !channel.backlog.is_empty();
        if waits {
            channel.backlog.push_back(Waiting::Event(event));
        } else {
            channel.queue.push_back(Entry::Event(event));
            queues.mark_ready(self.channel);
        }
        // The end of a producer may be what a recording waited for.
        if queues.announce(self.channel, event) || !waits || event == Event::EndOfPartition {
            drop(queues);
            self.shared.waker.wake(Wake::Input);
        }
    }

    /// What was sent on this channel and has no credit yet.
    pub(crate) fn waiting(&self) -> Vec<Copied> {
        let queues = self.shared.queues.lock();
        queues.channels[self.channel].backlog.iter().map(Waiting::copy).collect()
    }

    /// Sends again what waited for credit when a snapshot was taken. The buffers hold permits again as far as there are
    /// any.
    pub(crate) fn recover(&self, items: Vec<InFlight>) -> Result<(), NetworkError> {
        if items.is_empty() {
            return Ok(());
        }
        let mut queues = self.shared.queues.lock();
        if queues.closed {
            return Err(NetworkError::ConsumerGone);
        }
        let channel = &mut queues.channels[self.channel];
        for item in items {
            channel.recover(item, || self.pool.try_acquire().or_else(|| self.pool.try_overdraw()));
        }
        if channel.is_congested() && channel.congestion.is_none() {
            self.pool.congest();
            channel.congestion = Some(Arc::clone(&self.pool));
        }
        queues.promote(self.channel, &self.shared.floating);
        drop(queues);
        self.shared.waker.wake(Wake::Input);
        Ok(())
    }
}
