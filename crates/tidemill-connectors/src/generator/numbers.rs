//! Sources whose records have numbers: what all of them share.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tidemill_core::Batch;
use tidemill_runtime::source::{
    ReaderStatus, SourceOutput, SourceProgress, SourceReader, SourceSplit, SplitAssignment, SplitEnumerator,
};
use tidemill_runtime::{OperatorContext, OperatorError};
use tidemill_serialization::{Record, pack, unpack};

use crate::error::ConnectorError;
use crate::rate::RateLimit;

/// Makes records of their numbers.
pub(crate) trait Numbered: Clone + Send + 'static {
    /// The records with the numbers `first`, `first + step`, …, `count` of them; `None` when there is no
    /// record for any of them.
    fn make(&mut self, first: u64, step: u64, count: usize) -> Result<Option<Batch>, OperatorError>;

    /// How many numbers make about so many records.
    fn numbers(&self, records: usize) -> u64 {
        records as u64
    }
}

/// Numbers from `next` on, each `step` after the one before, below `end`.
#[derive(Record, Clone, Debug, PartialEq, Eq)]
pub(crate) struct NumberSplit {
    index: u32,
    next: u64,
    step: u64,
    end: u64,
}

/// The end of a source that has none.
pub(crate) const UNBOUNDED: u64 = u64::MAX;

/// How numbers are dealt to the subtasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deal {
    /// Each a range.
    Ranges,
    /// By turns, so that all subtasks are about as far.
    Turns,
    /// By turns, so many numbers one after the other at a time. The step of a split is that from a block to
    /// its next one.
    #[cfg_attr(not(feature = "nexmark"), allow(dead_code))]
    Blocks(u64),
}

impl NumberSplit {
    /// The numbers below `count`, dealt to so many subtasks.
    pub(crate) fn deal(deal: Deal, count: u64, parallelism: u32) -> Vec<Self> {
        let parts = u64::from(parallelism.max(1));
        (0..parallelism.max(1))
            .map(|index| {
                let part = u64::from(index);
                let bound = |part: u64| {
                    let bound = u128::from(count) * u128::from(part) / u128::from(parts);
                    u64::try_from(bound).unwrap_or(count)
                };
                let (next, step, end) = match deal {
                    Deal::Turns => (part, parts, count),
                    Deal::Blocks(block) => (part.saturating_mul(block), parts.saturating_mul(block), count),
                    Deal::Ranges => (bound(part), 1, bound(part + 1)),
                };
                Self { index, next, step, end }
            })
            .filter(|split| split.left(deal) > 0)
            .collect()
    }

    /// How many numbers follow that can be made at once; none at the end.
    fn left(&self, deal: Deal) -> u64 {
        let left = self.end.saturating_sub(self.next);
        match deal {
            Deal::Ranges | Deal::Turns => left.div_ceil(self.step),
            Deal::Blocks(block) if self.step > block => left.min(block - self.next % block),
            // The only split has all blocks.
            Deal::Blocks(_) => left,
        }
    }

    /// The step between the numbers that can be made at once.
    fn step(&self, deal: Deal) -> u64 {
        if matches!(deal, Deal::Blocks(_)) { 1 } else { self.step }
    }

    /// Goes on behind so many numbers.
    fn advance(&mut self, count: u64, deal: Deal) {
        self.next = self.next.saturating_add(count.saturating_mul(self.step(deal)));
        if let Deal::Blocks(block) = deal
            && self.step > block
            && self.next.is_multiple_of(block)
        {
            self.next = self.next.saturating_add(self.step - block);
        }
    }

    fn to_split(&self) -> SourceSplit {
        SourceSplit { id: format!("{}", self.index).into(), state: pack(self) }
    }

    fn from_split(split: &SourceSplit) -> Result<Self, ConnectorError> {
        let fail = |detail: String| ConnectorError::State { what: "generator source", detail };
        let read: Self = unpack(&split.state).map_err(|error| fail(error.to_string()))?;
        if read.step == 0 {
            return Err(fail("its step is 0".to_owned()));
        }
        Ok(read)
    }
}

/// Hands out splits: ranges to whoever asks, those dealt by turns evenly to all, for each is read from its beginning to its
/// end.
pub(crate) struct NumberEnumerator {
    /// Each with the subtask that it is meant for, or `None` if for any.
    splits: VecDeque<(Option<u32>, SourceSplit)>,
}

impl NumberEnumerator {
    pub(crate) fn create(
        deal: Deal,
        count: u64,
        parallelism: u32,
        restored: Option<Vec<SourceSplit>>,
    ) -> Box<dyn SplitEnumerator> {
        let splits = restored.unwrap_or_else(|| {
            NumberSplit::deal(deal, count, parallelism).iter().map(NumberSplit::to_split).collect()
        });
        let subtasks =
            (0..parallelism.max(1)).cycle().map(|subtask| (deal != Deal::Ranges).then_some(subtask));
        Box::new(Self { splits: subtasks.zip(splits).collect() })
    }
}

impl SplitEnumerator for NumberEnumerator {
    fn next_split(&mut self, subtask: u32) -> Result<SplitAssignment, OperatorError> {
        let place = self.splits.iter().position(|(of, _)| of.is_none_or(|of| of == subtask));
        let split = place.and_then(|place| self.splits.remove(place));
        Ok(split.map_or(SplitAssignment::NoMore, |(_, split)| SplitAssignment::Split(split)))
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        self.splits.iter().map(|(_, split)| split.clone()).collect()
    }
}

/// Reads splits of numbers: ranges one after the other; those dealt by turns together, always going on where the lowest number
/// is, so that they stay about as far and all go on for ever where there is no end.
pub(crate) struct NumberReader<N> {
    make: N,
    deal: Deal,
    splits: Vec<(Arc<str>, NumberSplit)>,
    no_more: bool,
    rate: Option<RateLimit>,
    start: Option<Instant>,
    done: u64,
    total: Option<u64>,
}

impl<N: Numbered> NumberReader<N> {
    /// `per_second` is that of all subtasks together.
    pub(crate) fn create(
        make: N,
        deal: Deal,
        count: u64,
        per_second: Option<f64>,
        context: &OperatorContext,
    ) -> Box<dyn SourceReader> {
        let share = |per_second: f64| RateLimit::new(per_second / f64::from(context.parallelism.max(1)));
        Box::new(Self {
            make,
            deal,
            splits: Vec::new(),
            no_more: false,
            rate: per_second.map(share),
            start: None,
            done: 0,
            total: (count != UNBOUNDED).then_some(count),
        })
    }

    /// The split to read next.
    fn next(&self) -> usize {
        match self.deal {
            Deal::Ranges => 0,
            Deal::Turns | Deal::Blocks(_) => {
                let by_number = self.splits.iter().enumerate().min_by_key(|(_, (_, split))| split.next);
                by_number.map_or(0, |(place, _)| place)
            }
        }
    }
}

impl<N: Numbered> SourceReader for NumberReader<N> {
    fn add_split(&mut self, split: SourceSplit) -> Result<(), OperatorError> {
        let numbers = NumberSplit::from_split(&split)?;
        self.splits.push((split.id, numbers));
        Ok(())
    }

    fn no_more_splits(&mut self) {
        self.no_more = true;
    }

    fn poll(&mut self, out: &mut SourceOutput) -> Result<ReaderStatus, OperatorError> {
        if self.deal != Deal::Ranges && !self.no_more {
            return Ok(ReaderStatus::NeedsSplit);
        }
        let place = self.next();
        let Some((id, split)) = self.splits.get_mut(place) else {
            return Ok(if self.no_more { ReaderStatus::End } else { ReaderStatus::NeedsSplit });
        };
        let mut count = split.left(self.deal).min(self.make.numbers(out.max_records()).max(1));
        if let (Some(rate), true) = (&mut self.rate, count > 0) {
            let now = Instant::now();
            let start = *self.start.get_or_insert(now);
            let passed = now - start;
            count = count.min(rate.due(passed));
            if count == 0 {
                return Ok(ReaderStatus::Pending(Some(start + rate.next(passed))));
            }
            rate.emit(count);
        }
        if count > 0 {
            let numbers = usize::try_from(count).unwrap_or(usize::MAX);
            if let Some(records) = self.make.make(split.next, split.step(self.deal), numbers)? {
                out.emit(id, records);
            }
            split.advance(count, self.deal);
            self.done += count;
        }
        if split.left(self.deal) == 0 {
            out.finish_split(id);
            self.splits.remove(place);
        }
        Ok(ReaderStatus::Ready)
    }

    fn snapshot(&self) -> Vec<SourceSplit> {
        self.splits.iter().map(|(_, split)| split.to_split()).collect()
    }

    fn progress(&self) -> SourceProgress {
        SourceProgress { done: self.done, total: self.total }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_number_is_dealt_once(
            count in 0u64..500,
            parallelism in 1u32..9,
            deal in prop_oneof![Just(Deal::Ranges), Just(Deal::Turns), (1u64..70).prop_map(Deal::Blocks)],
            most in 1u64..40,
        ) {
            let mut all = Vec::new();
            for mut split in NumberSplit::deal(deal, count, parallelism) {
                prop_assert_eq!(NumberSplit::from_split(&split.to_split()).unwrap(), split.clone());
                while split.left(deal) > 0 {
                    let some = split.left(deal).min(most);
                    all.extend((0..some).map(|i| split.next + i * split.step(deal)));
                    split.advance(some, deal);
                }
            }
            prop_assert!(all.iter().all(|number| *number < count));
            all.sort_unstable();
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
        }

        #[test]
        fn damaged_states_do_not_panic(state in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = NumberSplit::from_split(&SourceSplit { id: "0".into(), state });
        }
    }
}
