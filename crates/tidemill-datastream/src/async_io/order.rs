//! In which order what comes back goes on.

use std::collections::VecDeque;

use tidemill_core::time::Watermark;

/// What travels between the records and is not passed by any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    Watermark(Watermark),
    Idle(bool),
}

impl Control {
    /// Whether `later`, following at once, makes this one superfluous.
    fn is_replaced_by(self, later: Control) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&later)
    }
}

/// What may go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Released<O> {
    /// The answer to the record in this slot.
    Answer {
        slot: usize,
        answer: O,
    },
    Control(Control),
}

enum Entry<O> {
    Waiting,
    Ready(Released<O>),
}

/// Records up to the next controls.
struct Segment<O> {
    waiting: usize,
    ready: VecDeque<(usize, O)>,
    end: VecDeque<Control>,
}

impl<O> Default for Segment<O> {
    fn default() -> Self {
        Self { waiting: 0, ready: VecDeque::new(), end: VecDeque::new() }
    }
}

/// Records that are under way, and the watermarks between them.
pub(crate) enum Order<O> {
    /// As they came.
    Ordered(Queue<O>),
    /// As they are answered, but never past a control.
    Unordered(Segments<O>),
}

pub(crate) struct Queue<O> {
    entries: VecDeque<Entry<O>>,
    /// The place of the first entry.
    head: u64,
}

pub(crate) struct Segments<O> {
    segments: VecDeque<Segment<O>>,
    /// The place of the first segment.
    head: u64,
}

impl<O> Order<O> {
    pub(crate) fn ordered() -> Self {
        Order::Ordered(Queue { entries: VecDeque::new(), head: 0 })
    }

    pub(crate) fn unordered() -> Self {
        Order::Unordered(Segments { segments: VecDeque::new(), head: 0 })
    }

    /// Adds a record; what it is [completed](Self::complete) with.
    pub(crate) fn push(&mut self) -> u64 {
        match self {
            Order::Ordered(Queue { entries, head }) => {
                entries.push_back(Entry::Waiting);
                *head + entries.len() as u64 - 1
            }
            Order::Unordered(Segments { segments, head }) => {
                match segments.back_mut() {
                    Some(open) if open.end.is_empty() => open.waiting += 1,
                    _ => segments.push_back(Segment { waiting: 1, ..Segment::default() }),
                }
                *head + segments.len() as u64 - 1
            }
        }
    }

    /// Adds a control behind all records so far.
    pub(crate) fn control(&mut self, control: Control) {
        match self {
            Order::Ordered(Queue { entries, .. }) => {
                let entry = Entry::Ready(Released::Control(control));
                match entries.back_mut() {
                    Some(Entry::Ready(Released::Control(last))) if last.is_replaced_by(control) => {
                        *last = control;
                    }
                    _ => entries.push_back(entry),
                }
            }
            Order::Unordered(Segments { segments, .. }) => {
                if segments.is_empty() {
                    segments.push_back(Segment::default());
                }
                let Some(Segment { end, .. }) = segments.back_mut() else { return };
                match end.back_mut() {
                    Some(last) if last.is_replaced_by(control) => *last = control,
                    _ => end.push_back(control),
                }
            }
        }
    }

    /// The answer to a record is there.
    pub(crate) fn complete(&mut self, place: u64, slot: usize, answer: O) {
        match self {
            Order::Ordered(Queue { entries, head }) => {
                if let Some(entry) = entries.get_mut((place - *head) as usize) {
                    *entry = Entry::Ready(Released::Answer { slot, answer });
                }
            }
            Order::Unordered(Segments { segments, head }) => {
                if let Some(segment) = segments.get_mut((place - *head) as usize) {
                    segment.waiting -= 1;
                    segment.ready.push_back((slot, answer));
                }
            }
        }
    }

    /// Whether something may go on.
    pub(crate) fn is_ready(&self) -> bool {
        match self {
            Order::Ordered(Queue { entries, .. }) => matches!(entries.front(), Some(Entry::Ready(_))),
            Order::Unordered(Segments { segments, .. }) => segments.front().is_some_and(|first| {
                !first.ready.is_empty() || (first.waiting == 0 && !first.end.is_empty())
            }),
        }
    }

    /// Takes what may go on next.
    pub(crate) fn pop(&mut self) -> Option<Released<O>> {
        match self {
            Order::Ordered(Queue { entries, head }) => {
                if !matches!(entries.front(), Some(Entry::Ready(_))) {
                    return None;
                }
                *head += 1;
                match entries.pop_front() {
                    Some(Entry::Ready(released)) => Some(released),
                    _ => None,
                }
            }
            Order::Unordered(Segments { segments, head }) => {
                let first = segments.front_mut()?;
                if let Some((slot, answer)) = first.ready.pop_front() {
                    return Some(Released::Answer { slot, answer });
                }
                if first.waiting > 0 {
                    return None;
                }
                let control = first.end.pop_front()?;
                if first.end.is_empty() {
                    segments.pop_front();
                    *head += 1;
                }
                Some(Released::Control(control))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(order: &mut Order<u32>) -> Vec<Released<u32>> {
        std::iter::from_fn(|| {
            let ready = order.is_ready();
            let released = order.pop();
            assert_eq!(ready, released.is_some());
            released
        })
        .collect()
    }

    fn answer(slot: usize) -> Released<u32> {
        Released::Answer { slot, answer: slot as u32 }
    }

    fn watermark(time: i64) -> Released<u32> {
        Released::Control(Control::Watermark(Watermark(time)))
    }

    /// Records 0 and 1, watermarks 5 and 7, records 2 and 3, idle.
    fn filled(mut order: Order<u32>) -> (Order<u32>, Vec<u64>) {
        let mut places = vec![order.push(), order.push()];
        order.control(Control::Watermark(Watermark(5)));
        order.control(Control::Watermark(Watermark(7)));
        places.extend([order.push(), order.push()]);
        order.control(Control::Idle(true));
        (order, places)
    }

    #[test]
    fn ordered_goes_on_as_it_came() {
        let (mut order, places) = filled(Order::ordered());
        order.complete(places[1], 1, 1);
        order.complete(places[3], 3, 3);
        assert!(drain(&mut order).is_empty());
        order.complete(places[0], 0, 0);
        assert_eq!(drain(&mut order), [answer(0), answer(1), watermark(7)]);
        order.complete(places[2], 2, 2);
        assert_eq!(drain(&mut order), [answer(2), answer(3), Released::Control(Control::Idle(true))]);
        let place = order.push();
        order.complete(place, 4, 4);
        assert_eq!(drain(&mut order), [answer(4)]);
    }

    #[test]
    fn unordered_goes_on_as_answered_but_not_past_a_watermark() {
        let (mut order, places) = filled(Order::unordered());
        order.complete(places[1], 1, 1);
        order.complete(places[3], 3, 3);
        assert_eq!(drain(&mut order), [answer(1)]);
        order.complete(places[0], 0, 0);
        assert_eq!(drain(&mut order), [answer(0), watermark(7), answer(3)]);
        order.complete(places[2], 2, 2);
        assert_eq!(drain(&mut order), [answer(2), Released::Control(Control::Idle(true))]);
        let place = order.push();
        order.control(Control::Watermark(Watermark(9)));
        order.complete(place, 4, 4);
        assert_eq!(drain(&mut order), [answer(4), watermark(9)]);
    }

    #[test]
    fn a_control_with_nothing_before_it_goes_on_at_once() {
        for mut order in [Order::ordered(), Order::unordered()] {
            order.control(Control::Watermark(Watermark(1)));
            assert_eq!(drain(&mut order), [watermark(1)]);
        }
    }
}
