//! Barriers: channels that wait for each other, and barriers that overtake.

use std::sync::Arc;

use tidemill_core::{BarrierAlignment, Batch, CheckpointBarrier, TypedBatch, Watermark};
use tidemill_network::{
    Buffer, ChannelSender, Event, GateItem, InFlight, InputGate, LocalBufferPool, NetworkBufferPool,
};
use tidemill_serialization::TypedBatchSerializer;

/// A gate whose channels have `exclusive` buffers each and nothing else, so that all beyond waits for credit.
fn gate(channels: usize, exclusive: usize) -> (InputGate, Vec<ChannelSender>, Arc<LocalBufferPool>) {
    let buffers = NetworkBufferPool::new(1 << 20, 1024);
    let floating = buffers.create_pool(exclusive * channels, 0, 0, 0, Arc::default()).unwrap();
    let pool = buffers.create_pool(0, 1, 64, 0, Arc::default()).unwrap();
    let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    let gate = InputGate::new(channels, exclusive, floating, serializer, Arc::default());
    let senders = (0..channels).map(|channel| gate.sender(channel, Arc::clone(&pool), 100)).collect();
    (gate, senders, pool)
}

fn send(sender: &ChannelSender, pool: &Arc<LocalBufferPool>, number: u32) {
    let batch = Batch::new(TypedBatch::from_values(vec![number]));
    sender.send(Buffer::Batch(batch), 4, pool.force_acquire()).unwrap();
}

fn barrier(id: u64, alignment: BarrierAlignment) -> Event {
    Event::Barrier(CheckpointBarrier::new(id, 0).with_alignment(alignment))
}

/// What there is, as text.
fn drain(gate: &mut InputGate) -> Vec<String> {
    std::iter::from_fn(|| gate.poll().unwrap())
        .map(|(channel, item)| match item {
            GateItem::Batch(batch) => {
                let numbers = &batch.downcast_ref::<TypedBatch<u32>>().unwrap().values;
                format!("{channel}: {numbers:?}")
            }
            GateItem::Event(Event::Barrier(barrier)) => format!("{channel}: barrier {}", barrier.id),
            GateItem::Event(event) => format!("{channel}: {event:?}"),
            GateItem::Announced(barrier) => format!("{channel}: announced {}", barrier.id),
            GateItem::Overtaken(id) => format!("overtaken {id}"),
        })
        .collect()
}

/// How many batches of each channel a checkpoint has overtaken.
fn overtaken(gate: &InputGate, id: u64) -> Vec<usize> {
    let snapshot = gate.take_overtaken(id).unwrap().expect("all is known");
    let batches =
        |items: &[InFlight]| items.iter().filter(|item| matches!(item, InFlight::Buffer(_))).count();
    snapshot.channels.iter().map(|channel| batches(&channel.queued)).collect()
}

#[test]
fn a_blocked_channel_waits_and_keeps_its_order() {
    let (mut gate, senders, pool) = gate(2, 4);
    send(&senders[0], &pool, 1);
    senders[0].send_event(barrier(1, BarrierAlignment::Aligned));
    send(&senders[0], &pool, 2);
    assert!(matches!(gate.poll().unwrap(), Some((0, GateItem::Batch(_)))));
    assert!(matches!(gate.poll().unwrap(), Some((0, GateItem::Event(Event::Barrier(_))))));
    gate.block(0);
    send(&senders[0], &pool, 3);
    assert!(!gate.has_input() && drain(&mut gate).is_empty());
    send(&senders[1], &pool, 10);
    assert_eq!(drain(&mut gate), ["1: [10]"], "the other channel goes on");
    gate.unblock_all();
    assert_eq!(drain(&mut gate), ["0: [2]", "0: [3]"]);
}

#[test]
fn a_blocked_channel_leaves_the_floating_buffers_to_the_others() {
    // No channel has buffers of its own.
    let buffers = NetworkBufferPool::new(1 << 20, 1024);
    let floating = buffers.create_pool(0, 2, 2, 0, Arc::default()).unwrap();
    let pool = buffers.create_pool(0, 1, 64, 0, Arc::default()).unwrap();
    let serializer = Arc::new(TypedBatchSerializer::<u32>::default());
    let mut gate = InputGate::new(2, 0, floating, serializer, Arc::default());
    let senders: Vec<_> = (0..2).map(|channel| gate.sender(channel, Arc::clone(&pool), 100)).collect();
    senders[0].send_event(barrier(1, BarrierAlignment::Aligned));
    send(&senders[0], &pool, 1);
    send(&senders[0], &pool, 2);
    senders[0].send_event(Event::Watermark(Watermark(5)));
    send(&senders[0], &pool, 3);
    send(&senders[1], &pool, 10);
    assert!(matches!(gate.poll().unwrap(), Some((0, GateItem::Event(Event::Barrier(_))))));
    gate.block(0);
    send(&senders[0], &pool, 4);
    send(&senders[1], &pool, 11);
    send(&senders[1], &pool, 12);
    senders[1].send_event(barrier(1, BarrierAlignment::Aligned));
    assert_eq!(drain(&mut gate), ["1: [10]", "1: [11]", "1: [12]", "1: barrier 1"]);
    gate.unblock_all();
    assert_eq!(drain(&mut gate), ["0: [1]", "0: [2]", "0: Watermark(Watermark(5))", "0: [3]", "0: [4]"]);
    assert_eq!(pool.used(), 0, "all permits are back");
}

#[test]
fn what_lies_before_the_barrier_is_stored_with_credit_or_without() {
    let (mut gate, senders, pool) = gate(1, 2);
    for number in 0..5 {
        send(&senders[0], &pool, number);
    }
    senders[0].send_event(barrier(1, BarrierAlignment::Unaligned));
    send(&senders[0], &pool, 5);
    assert!(matches!(gate.poll().unwrap(), Some((0, GateItem::Announced(_)))), "before all records");
    gate.overtake(1);
    assert!(matches!(gate.poll().unwrap(), Some((_, GateItem::Overtaken(1)))));
    assert_eq!(overtaken(&gate, 1), [5]);
    // They are processed as ever, and the barrier does not come again.
    assert_eq!(drain(&mut gate), ["0: [0]", "0: [1]", "0: [2]", "0: [3]", "0: [4]", "0: [5]"]);
}

#[test]
fn what_comes_before_a_late_barrier_is_stored_too() {
    let (mut gate, senders, pool) = gate(2, 2);
    send(&senders[0], &pool, 1);
    senders[0].send_event(barrier(1, BarrierAlignment::Unaligned));
    for number in 10..14 {
        send(&senders[1], &pool, number);
    }
    gate.overtake(1);
    assert!(gate.take_overtaken(1).unwrap().is_none(), "a barrier is missing");
    send(&senders[1], &pool, 14);
    senders[1].send_event(Event::Watermark(Watermark(7)));
    assert_eq!(drain(&mut gate).len(), 7, "all are processed meanwhile");
    send(&senders[1], &pool, 15);
    senders[1].send_event(barrier(1, BarrierAlignment::Unaligned));
    send(&senders[1], &pool, 16);
    assert_eq!(drain(&mut gate), ["overtaken 1", "1: [15]", "1: [16]"]);
    assert_eq!(overtaken(&gate, 1), [1, 6]);
}

#[test]
fn channels_whose_barrier_was_taken_have_nothing_to_store() {
    let (mut gate, senders, pool) = gate(2, 4);
    senders[0].send_event(barrier(1, BarrierAlignment::AlignedFor(1)));
    senders[1].send_event(Event::Watermark(Watermark(1)));
    send(&senders[1], &pool, 1);
    assert_eq!(drain(&mut gate)[..2], ["0: announced 1", "0: barrier 1"]);
    gate.block(0);
    send(&senders[0], &pool, 2);
    gate.overtake(1);
    gate.unblock_all();
    senders[1].send_event(barrier(1, BarrierAlignment::AlignedFor(1)));
    assert_eq!(drain(&mut gate), ["overtaken 1", "0: [2]"], "the second barrier is used up");
    assert_eq!(overtaken(&gate, 1), [0, 0]);
}

#[test]
fn the_end_of_a_producer_stands_for_its_barrier() {
    let (mut gate, senders, pool) = gate(2, 4);
    send(&senders[1], &pool, 1);
    senders[1].send_event(Event::EndOfInput);
    gate.overtake(1);
    senders[0].send_event(barrier(1, BarrierAlignment::Unaligned));
    assert!(gate.take_overtaken(1).unwrap().is_none());
    senders[1].send_event(Event::EndOfPartition);
    assert_eq!(drain(&mut gate), ["overtaken 1", "1: [1]", "1: EndOfInput", "1: EndOfPartition"]);
    assert_eq!(overtaken(&gate, 1), [0, 1]);
    // It stays so for later checkpoints.
    gate.overtake(2);
    senders[0].send_event(barrier(2, BarrierAlignment::Unaligned));
    assert_eq!(drain(&mut gate), ["overtaken 2"]);
}

#[test]
fn an_aborted_checkpoint_leaves_nothing_behind() {
    let (mut gate, senders, pool) = gate(2, 4);
    senders[0].send_event(barrier(1, BarrierAlignment::Unaligned));
    gate.overtake(1);
    gate.abort_overtaking(1);
    send(&senders[1], &pool, 1);
    senders[1].send_event(barrier(1, BarrierAlignment::Unaligned));
    // The barrier of the aborted checkpoint comes in its place; nobody is told more of it.
    assert_eq!(drain(&mut gate), ["1: announced 1", "1: [1]", "1: barrier 1"]);
    assert!(gate.take_overtaken(1).unwrap().is_none());
    gate.overtake(2);
    senders.iter().for_each(|sender| sender.send_event(barrier(2, BarrierAlignment::Unaligned)));
    assert_eq!(drain(&mut gate), ["overtaken 2"]);
    assert_eq!(overtaken(&gate, 2), [0, 0]);
}

#[test]
fn where_nothing_may_overtake_barriers_are_not_announced() {
    let (gate, senders, pool) = gate(1, 4);
    let mut gate = gate.without_overtaking();
    send(&senders[0], &pool, 1);
    senders[0].send_event(barrier(1, BarrierAlignment::Unaligned));
    assert_eq!(drain(&mut gate), ["0: [1]", "0: barrier 1"]);
}
