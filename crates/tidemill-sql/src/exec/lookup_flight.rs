//! Rows whose answers have not all come, and in which order they go on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tidemill_core::batch::ArrowBatch;
use tidemill_core::time::Watermark;

use super::lookup_cache::Found;

/// What travels between the rows and is not passed by any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Watermark(Watermark),
    Idle(bool),
}

/// A row that waits: where it is.
pub(super) type Waiting = (u64, u32);

enum Answer {
    Awaited,
    Known(Found),
    Gone,
}

/// Rows that have come together.
struct Part {
    batch: ArrowBatch,
    answers: Vec<Answer>,
    /// Those that are answered and have not gone on; used where they may pass each other.
    ready: Vec<u32>,
    /// Those before it have gone on; used where they may not.
    next: usize,
    left: usize,
}

enum Item {
    Part(Part),
    Control(Control),
}

/// What may go on.
pub(super) enum Released {
    /// Some rows of a batch with what was found for each.
    Rows {
        batch: ArrowBatch,
        rows: Vec<u32>,
        found: Vec<Found>,
    },
    Control(Control),
}

/// Rows that are under way, and the watermarks between them.
pub(super) struct Flight {
    /// Whether rows go on as they came, or as they are answered, but never past a control.
    ordered: bool,
    items: BTreeMap<u64, Item>,
    next: u64,
    /// Parts with rows that could go on, where they may pass each other.
    ready: BTreeSet<u64>,
    controls: VecDeque<u64>,
    rows: usize,
}

impl Flight {
    pub(super) fn new(ordered: bool) -> Self {
        Self {
            ordered,
            items: BTreeMap::new(),
            next: 0,
            ready: BTreeSet::new(),
            controls: VecDeque::new(),
            rows: 0,
        }
    }

    /// How many rows have not gone on.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The number that the next rows will have.
    pub(super) fn next_part(&self) -> u64 {
        self.next
    }

    /// Adds rows with what is known of each already.
    pub(super) fn add(&mut self, batch: ArrowBatch, known: Vec<Option<Found>>) {
        let left = known.len();
        if left == 0 {
            return;
        }
        let mut ready = Vec::new();
        if !self.ordered {
            let numbers = (0_u32..).zip(&known);
            ready.extend(numbers.filter(|(_, found)| found.is_some()).map(|(row, _)| row));
        }
        if !ready.is_empty() {
            self.ready.insert(self.next);
        }
        let answers = known.into_iter().map(|found| found.map_or(Answer::Awaited, Answer::Known)).collect();
        self.items.insert(self.next, Item::Part(Part { batch, answers, ready, next: 0, left }));
        self.next += 1;
        self.rows += left;
    }

    /// Adds a control behind all rows so far.
    pub(super) fn control(&mut self, control: Control) {
        self.controls.push_back(self.next);
        self.items.insert(self.next, Item::Control(control));
        self.next += 1;
    }

    /// What was found for a row.
    pub(super) fn answer(&mut self, (part, row): Waiting, found: &Found) {
        let Some(Item::Part(of)) = self.items.get_mut(&part) else { return };
        let Some(answer @ Answer::Awaited) = of.answers.get_mut(row as usize) else { return };
        *answer = Answer::Known(Found::clone(found));
        if !self.ordered {
            of.ready.push(row);
            self.ready.insert(part);
        }
    }

    /// The part or control that may go on.
    fn first_ready(&self) -> Option<u64> {
        let (number, first) = self.items.first_key_value()?;
        match first {
            Item::Control(_) => return Some(*number),
            Item::Part(part) if self.ordered => {
                return matches!(part.answers.get(part.next), Some(Answer::Known(_))).then_some(*number);
            }
            Item::Part(_) => {}
        }
        let part = self.ready.first().copied()?;
        (self.controls.front().is_none_or(|control| part < *control)).then_some(part)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.first_ready().is_some()
    }

    /// What may go on: rows for which about `limit` were found together.
    pub(super) fn release(&mut self, limit: usize) -> Option<Released> {
        let number = self.first_ready()?;
        let part = match self.items.get_mut(&number)? {
            Item::Part(part) => part,
            Item::Control(control) => {
                let control = *control;
                self.items.remove(&number);
                self.controls.pop_front();
                return Some(Released::Control(control));
            }
        };
        let (mut rows, mut found, mut pairs) = (Vec::new(), Vec::new(), 0);
        if !self.ordered {
            part.ready.sort_unstable();
        }
        let mut taken = 0;
        while pairs < limit {
            let row =
                if self.ordered { u32::try_from(part.next).ok() } else { part.ready.get(taken).copied() };
            let Some(row) = row else { break };
            let Some(answer @ Answer::Known(_)) = part.answers.get_mut(row as usize) else { break };
            let Answer::Known(of_row) = std::mem::replace(answer, Answer::Gone) else { break };
            pairs += of_row.len().max(1);
            rows.push(row);
            found.push(of_row);
            taken += 1;
            part.next += 1;
        }
        if !self.ordered {
            part.ready.drain(..taken);
            if part.ready.is_empty() {
                self.ready.remove(&number);
            }
        }
        part.left -= taken;
        self.rows -= taken;
        let is_over = part.left == 0;
        let batch = part.batch.clone();
        if is_over {
            self.items.remove(&number);
        }
        Some(Released::Rows { batch, rows, found })
    }

    /// The rows that have not gone on, as they came.
    pub(super) fn remaining(&self) -> impl Iterator<Item = (&ArrowBatch, Vec<u32>)> {
        self.items.values().filter_map(|item| match item {
            Item::Control(_) => None,
            Item::Part(part) => {
                let rows = (0_u32..).zip(&part.answers);
                let rows = rows.filter(|(_, answer)| !matches!(answer, Answer::Gone)).map(|(row, _)| row);
                Some((&part.batch, rows.collect()))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, RecordBatch, cast::AsArray, types::Int64Type};
    use proptest::prelude::*;

    use super::*;

    fn batch(numbers: &[i64]) -> ArrowBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
        ArrowBatch::inserts(RecordBatch::try_from_iter([("n", numbers)]).unwrap())
    }

    #[derive(Clone, Debug, PartialEq)]
    enum Out {
        Row(i64),
        Control(i64),
    }

    fn drained(flight: &mut Flight, limit: usize) -> Vec<Out> {
        let mut out = Vec::new();
        while let Some(released) = flight.release(limit) {
            match released {
                Released::Control(Control::Watermark(at)) => out.push(Out::Control(at.0)),
                Released::Control(Control::Idle(_)) => {}
                Released::Rows { batch, rows, .. } => {
                    let numbers = batch.records.column(0).as_primitive::<Int64Type>();
                    out.extend(rows.iter().map(|row| Out::Row(numbers.value(*row as usize))));
                }
            }
        }
        assert!(!flight.is_ready());
        out
    }

    #[derive(Clone, Debug)]
    enum Step {
        Rows(Vec<bool>),
        Control,
        Answer(prop::sample::Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            proptest::collection::vec(any::<bool>(), 1..5).prop_map(Step::Rows),
            Just(Step::Control),
            any::<prop::sample::Index>().prop_map(Step::Answer),
            any::<prop::sample::Index>().prop_map(Step::Answer),
        ]
    }

    proptest! {
        #[test]
        fn rows_go_on_once_and_never_past_a_control(
            ordered: bool, limit in 1usize..4, steps in proptest::collection::vec(step(), 1..60),
        ) {
            let nothing: Found = Arc::new([]);
            let mut flight = Flight::new(ordered);
            let (mut came, mut went, mut awaited) = (Vec::new(), Vec::new(), Vec::new());
            let mut next = 0;
            for step in steps {
                match step {
                    Step::Rows(known) => {
                        let numbers: Vec<i64> = (next..).take(known.len()).collect();
                        next += numbers.len() as i64;
                        let part = flight.next_part();
                        for (row, is_known) in known.iter().enumerate() {
                            if !is_known {
                                awaited.push((part, row as u32));
                            }
                        }
                        came.extend(numbers.iter().copied().map(Out::Row));
                        let known = known.into_iter().map(|known| known.then(|| Arc::clone(&nothing)));
                        flight.add(batch(&numbers), known.collect());
                    }
                    Step::Control => {
                        came.push(Out::Control(next));
                        flight.control(Control::Watermark(Watermark(next)));
                    }
                    Step::Answer(which) => {
                        if !awaited.is_empty() {
                            let waiting = awaited.swap_remove(which.index(awaited.len()));
                            flight.answer(waiting, &nothing);
                        }
                    }
                }
                went.extend(drained(&mut flight, limit));
                let rows = |all: &[Out]| all.iter().filter(|out| matches!(out, Out::Row(_))).count();
                let stored: usize = flight.remaining().map(|(_, rows)| rows.len()).sum();
                prop_assert_eq!(rows(&came), rows(&went) + stored);
                prop_assert_eq!(flight.rows(), stored);
            }
            for waiting in awaited {
                flight.answer(waiting, &nothing);
            }
            went.extend(drained(&mut flight, limit));
            if ordered {
                prop_assert_eq!(went, came);
            } else {
                let segments = |all: &[Out]| -> Vec<Vec<i64>> {
                    all.split(|out| matches!(out, Out::Control(_)))
                        .map(|rows| {
                            let mut rows: Vec<i64> = rows.iter().map(|out| match out {
                                Out::Row(number) | Out::Control(number) => *number,
                            }).collect();
                            rows.sort_unstable();
                            rows
                        })
                        .collect()
                };
                prop_assert_eq!(segments(&went), segments(&came));
            }
        }
    }
}
