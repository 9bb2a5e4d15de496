//! The operator that waits for answers from the outside.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tidemill_core::Fault;
use tidemill_core::batch::{Batch, TypedBatch};
use tidemill_core::time::{NO_TIMESTAMP, Timestamp, Watermark};
use tidemill_runtime::{Operator, OperatorContext, OperatorError, Output, Progress, SnapshotContext};
use tidemill_serialization::Data;
use tidemill_state::{Clock, ListStateDescriptor, OperatorListState, OperatorStateBackend, SubtaskSnapshot};

use crate::async_io::{
    AsyncOptions, CallFailure, Completion, Control, Executor, Mailbox, Order, Released, RetryStrategy,
    RunningCall,
};
use crate::functions::Collector;
use crate::operators::async_calls::Calls;
use crate::operators::support::operator_state;

/// The name under which the calls that are under way are stored.
const STATE: &str = "_async_wait_operator_state_";

/// Calls the outside about records and emits its answers.
pub(crate) struct AsyncWaitOperator<T, U, C: Calls<T, U>> {
    calls: C,
    options: AsyncOptions,
    retry: RetryStrategy<C::Answer>,
    order: Order<C::Answer>,
    opened: Option<Opened<T, U, C>>,
    next_processing_time: Option<Timestamp>,
    types: PhantomData<fn(T) -> U>,
}

struct Opened<T, U, C: Calls<T, U>> {
    executor: Executor,
    mailbox: Arc<Mailbox<C::Answer>>,
    outcomes: Receiver<Completion<C::Answer>>,
    clock: Arc<dyn Clock>,
    state: OperatorStateBackend,
    stored: OperatorListState<(C::Request, C::Stamp)>,
    slots: Vec<Option<Slot<C::Request, C::Stamp>>>,
    free: Vec<usize>,
    /// Not called about yet, for want of room: at most what was restored, or one batch.
    backlog: VecDeque<(C::Request, C::Stamp)>,
    /// By time: when a call is given up.
    deadlines: VecDeque<(Timestamp, Call)>,
    /// When a call is to be made again.
    retries: BinaryHeap<Reverse<(Timestamp, Call)>>,
    next_number: u64,
    next_ticket: u64,
}

/// A call that may have come to its end since: its slot, and which of the calls that have had the slot it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    slot: usize,
    number: u64,
}

/// A call whose answer has not been emitted.
struct Slot<R, S> {
    request: R,
    stamp: S,
    /// Counts calls in their order.
    number: u64,
    place: u64,
    attempts: u32,
    /// The attempt whose outcome counts; `None` when none is under way.
    ticket: Option<u64>,
    answered: bool,
    running: Option<RunningCall>,
}

impl<T, U, C: Calls<T, U>> AsyncWaitOperator<T, U, C> {
    /// Makes `calls`; `order` makes an empty order.
    pub(crate) fn new(
        calls: C,
        order: fn() -> Order<C::Answer>,
        options: AsyncOptions,
        retry: RetryStrategy<C::Answer>,
    ) -> Self {
        Self {
            calls,
            options,
            retry,
            order: order(),
            opened: None,
            next_processing_time: None,
            types: PhantomData,
        }
    }
}

impl<T, U, C: Calls<T, U>> Opened<T, U, C> {
    fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn is_full(&self, options: &AsyncOptions) -> bool {
        self.in_flight() >= options.capacity
    }

    /// The slot of a call that has not been answered.
    fn waiting(&mut self, call: Call) -> Option<&mut Slot<C::Request, C::Stamp>> {
        let slot = self.slots.get_mut(call.slot)?.as_mut()?;
        (slot.number == call.number && !slot.answered).then_some(slot)
    }

    /// Begins a new call.
    fn begin(
        &mut self,
        calls: &C,
        order: &mut Order<C::Answer>,
        options: &AsyncOptions,
        (request, stamp): (C::Request, C::Stamp),
    ) -> Result<(), OperatorError> {
        let number = self.next_number;
        self.next_number += 1;
        let place = order.push();
        let slot =
            Slot { request, stamp, number, place, attempts: 0, ticket: None, answered: false, running: None };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index] = Some(slot);
                index
            }
            None => {
                self.slots.push(Some(slot));
                self.slots.len() - 1
            }
        };
        let call = Call { slot: index, number };
        if !options.timeout.is_zero() {
            self.expect_by(self.after(options.timeout), call);
        }
        self.attempt(calls, call)
    }

    fn after(&self, delay: std::time::Duration) -> Timestamp {
        let ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        self.clock.now().saturating_add(ms)
    }

    fn expect_by(&mut self, deadline: Timestamp, call: Call) {
        // Most calls have long been answered at their deadline: their entries must not pile up behind one that is not.
        if self.deadlines.len() > 64 + 4 * self.slots.len() {
            let slots = &self.slots;
            self.deadlines.retain(|(_, call)| {
                slots[call.slot].as_ref().is_some_and(|slot| slot.number == call.number && !slot.answered)
            });
        }
        self.deadlines.push_back((deadline, call));
    }

    /// Makes a call, for the first time or again.
    fn attempt(&mut self, calls: &C, call: Call) -> Result<(), OperatorError> {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let Some(slot) = self.waiting(call) else { return Ok(()) };
        slot.attempts = slot.attempts.saturating_add(1);
        slot.ticket = Some(ticket);
        let future = calls.invoke(slot.request.clone());
        let running = self.executor.spawn(&self.mailbox, call.slot, ticket, future);
        if let Some(slot) = self.waiting(call) {
            slot.running = running;
        }
        Ok(())
    }

    /// When there is something to do again that the outside does not wake the task for.
    fn next_time(&mut self) -> Option<Timestamp> {
        while let Some((_, call)) = self.deadlines.front().copied()
            && self.waiting(call).is_none()
        {
            self.deadlines.pop_front();
        }
        while let Some(Reverse((_, call))) = self.retries.peek().copied()
            && self.waiting(call).is_none()
        {
            self.retries.pop();
        }
        let deadline = self.deadlines.front().map(|(deadline, _)| *deadline);
        let retry = self.retries.peek().map(|Reverse((due, _))| *due);
        deadline.into_iter().chain(retry).min()
    }
}

impl<T, U, C> AsyncWaitOperator<T, U, C>
where
    T: Data,
    U: Data,
    C: Calls<T, U>,
{
    /// Takes what has come back, gives up what is too late, tries again what is due, and emits what may go on: up to a batch,
    /// then the answer is [`Progress::More`].
    fn drive(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.take_outcomes()?;
        self.check_time()?;
        let progress = self.emit(out)?;
        self.refill()?;
        self.note_time();
        Ok(progress)
    }

    fn take_outcomes(&mut self) -> Result<(), OperatorError> {
        let Self { retry, order, opened: Some(opened), .. } = self else { return Ok(()) };
        opened.mailbox.begin_taking();
        while let Ok(Completion { slot: index, ticket, outcome }) = opened.outcomes.try_recv() {
            let Some(slot) = opened.slots.get_mut(index).and_then(Option::as_mut) else { continue };
            if slot.ticket != Some(ticket) {
                // It was given up in the meantime.
                continue;
            }
            slot.ticket = None;
            slot.running = None;
            let outcome = match outcome {
                Ok(answer) => Ok(answer),
                Err(CallFailure::Error(error)) => Err(error),
                Err(CallFailure::Panic(message)) => {
                    let message = format!("the asynchronous function panicked: {message}");
                    return Err(OperatorError::new("TM-USER-PANIC", Fault::User, message));
                }
            };
            let call = Call { slot: index, number: slot.number };
            if let Some(delay) = retry.delay(slot.attempts, &outcome) {
                let due = opened.after(delay);
                opened.retries.push(Reverse((due, call)));
                continue;
            }
            slot.answered = true;
            order.complete(slot.place, index, outcome.map_err(OperatorError::user)?);
        }
        Ok(())
    }

    fn check_time(&mut self) -> Result<(), OperatorError> {
        let Self { calls, options, order, opened: Some(opened), .. } = self else { return Ok(()) };
        if opened.deadlines.is_empty() && opened.retries.is_empty() {
            return Ok(());
        }
        let now = opened.clock.now();
        while let Some((deadline, call)) = opened.deadlines.front().copied()
            && deadline <= now
        {
            opened.deadlines.pop_front();
            if let Some(slot) = opened.waiting(call) {
                slot.ticket = None;
                slot.running = None;
                slot.answered = true;
                let answer = calls.timeout(slot.request.clone(), options.timeout);
                order.complete(slot.place, call.slot, answer.map_err(OperatorError::user)?);
            }
        }
        while let Some(Reverse((due, call))) = opened.retries.peek().copied()
            && due <= now
        {
            opened.retries.pop();
            opened.attempt(calls, call)?;
        }
        Ok(())
    }

    fn emit(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        let Self { calls, order, opened: Some(opened), .. } = self else { return Ok(Progress::Done) };
        if !order.is_ready() {
            return Ok(Progress::Done);
        }
        let enough = out.batch_records();
        let mut collector = Collector::into(out.fresh());
        while let Some(released) = order.pop() {
            match released {
                Released::Answer { slot: index, answer } => {
                    if let Some(slot) = opened.slots[index].take() {
                        opened.free.push(index);
                        calls.emit(answer, &slot.stamp, &mut collector).map_err(OperatorError::user)?;
                    }
                    if collector.len() >= enough {
                        break;
                    }
                }
                Released::Control(control) => {
                    out.emit_typed(std::mem::take(&mut collector.batch));
                    match control {
                        Control::Watermark(watermark) => out.watermark(watermark),
                        Control::Idle(idle) => out.idle(idle),
                    }
                }
            }
        }
        out.emit_typed(collector.batch);
        Ok(if order.is_ready() { Progress::More } else { Progress::Done })
    }

    /// Begins calls about what has waited for room.
    fn refill(&mut self) -> Result<(), OperatorError> {
        let Self { calls, options, order, opened: Some(opened), .. } = self else { return Ok(()) };
        while !opened.backlog.is_empty() && !opened.is_full(options) {
            if let Some(request) = opened.backlog.pop_front() {
                opened.begin(calls, order, options, request)?;
            }
        }
        Ok(())
    }

    fn note_time(&mut self) {
        self.next_processing_time = self.opened.as_mut().and_then(Opened::next_time);
    }

    /// Adds a control behind what is under way. What has come back before is emitted first, so that a control that nothing is
    /// before goes on at once.
    fn control(&mut self, control: Control, out: &mut Output) -> Result<Progress, OperatorError> {
        if self.drive(out)? == Progress::More {
            return Ok(Progress::More);
        }
        if self.opened.as_ref().is_some_and(|opened| !opened.backlog.is_empty()) {
            // The records that came before have not all been called about.
            return Ok(Progress::Wait);
        }
        self.order.control(control);
        self.emit(out)
    }
}

impl<T, U, C> Operator for AsyncWaitOperator<T, U, C>
where
    T: Data,
    U: Data,
    C: Calls<T, U>,
{
    fn open(
        &mut self,
        context: &OperatorContext,
        restored: Option<SubtaskSnapshot>,
    ) -> Result<(), OperatorError> {
        self.calls.open(context).map_err(OperatorError::user)?;
        let mut state = operator_state(context, restored.as_ref())?;
        let stored: OperatorListState<(C::Request, C::Stamp)> =
            state.register_list(ListStateDescriptor::new(STATE))?;
        let backlog = stored.get(&state)?.iter().cloned().collect();
        stored.clear(&mut state)?;
        let (mailbox, outcomes) = Mailbox::new(context.waker.clone());
        self.opened = Some(Opened {
            executor: Executor::shared()?,
            mailbox,
            outcomes,
            clock: Arc::clone(&context.clock),
            state,
            stored,
            slots: Vec::new(),
            free: Vec::new(),
            backlog,
            deadlines: VecDeque::new(),
            retries: BinaryHeap::new(),
            next_number: 0,
            next_ticket: 0,
        });
        self.refill()?;
        self.note_time();
        Ok(())
    }

    fn process(
        &mut self,
        _input: usize,
        mut batch: Batch,
        out: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let records = batch.downcast_mut::<TypedBatch<T>>()?;
        if self.drive(out)? == Progress::More {
            out.keep(batch);
            return Ok(Progress::More);
        }
        let Self { calls, options, order, opened: Some(opened), .. } = self else {
            return Ok(Progress::Done);
        };
        if !opened.backlog.is_empty() {
            out.keep(batch);
            return Ok(Progress::Wait);
        }
        let TypedBatch { values, timestamps, .. } = records;
        let stamps = timestamps.drain(..).chain(std::iter::repeat(NO_TIMESTAMP));
        let mut records = values.drain(..).zip(stamps);
        while let Some(request) = calls.next(&mut records) {
            if opened.is_full(options) {
                opened.backlog.push_back(request);
            } else {
                opened.begin(calls, order, options, request)?;
            }
        }
        drop(records);
        out.recycle(batch);
        self.note_time();
        Ok(Progress::Done)
    }

    fn watermark(&mut self, watermark: Watermark, out: &mut Output) -> Result<Progress, OperatorError> {
        self.control(Control::Watermark(watermark), out)
    }

    fn idle(&mut self, idle: bool, out: &mut Output) -> Result<Progress, OperatorError> {
        self.control(Control::Idle(idle), out)
    }

    fn next_processing_time(&self) -> Option<Timestamp> {
        self.next_processing_time
    }

    fn processing_time(&mut self, _now: Timestamp, out: &mut Output) -> Result<Progress, OperatorError> {
        self.drive(out)
    }

    fn woken(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        self.drive(out)
    }

    fn has_room(&self) -> bool {
        self.opened.as_ref().is_none_or(|opened| opened.backlog.is_empty() && !opened.is_full(&self.options))
    }

    fn finish(&mut self, out: &mut Output) -> Result<Progress, OperatorError> {
        if self.drive(out)? == Progress::More {
            return Ok(Progress::More);
        }
        let waits =
            self.opened.as_ref().is_some_and(|opened| opened.in_flight() > 0 || !opened.backlog.is_empty());
        Ok(if waits { Progress::Wait } else { Progress::Done })
    }

    fn snapshot(&mut self, _: &SnapshotContext) -> Result<SubtaskSnapshot, OperatorError> {
        let Some(opened) = &mut self.opened else { return Ok(SubtaskSnapshot::default()) };
        let mut under_way: Vec<_> = opened.slots.iter().flatten().collect();
        under_way.sort_unstable_by_key(|slot| slot.number);
        let under_way = under_way.into_iter().map(|slot| (slot.request.clone(), slot.stamp.clone()));
        opened.stored.update(&mut opened.state, under_way.chain(opened.backlog.iter().cloned()))?;
        let snapshot = opened.state.snapshot();
        opened.stored.clear(&mut opened.state)?;
        Ok(snapshot)
    }

    fn close(&mut self) {
        // Drops the futures that are under way.
        if self.opened.take().is_some() {
            self.calls.close();
        }
    }
}
