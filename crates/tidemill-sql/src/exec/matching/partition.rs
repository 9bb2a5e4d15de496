//! The matches of a partition that are not whole yet, and what a row makes of them.
//!
//! The rows of a partition are numbered. A match has no gaps, so its rows are those from its first one on, and where each
//! variable ends says which of them are whose.

use tidemill_core::Fault;
use tidemill_runtime::OperatorError;
use tidemill_serialization::Record;

use super::heap::{Ranked, pop, push, remove};
use super::nfa::{END, Nfa, StateId, Taken};
use crate::exec::accumulators::Accumulators;
use crate::plan::AfterMatch;

/// A match from its first row on, or one that waits for that.
#[derive(Clone, Debug, PartialEq, Record)]
pub(crate) struct Run {
    state: StateId,
    /// The number of the first row; the greatest number for one that has none.
    start: u64,
    /// The time of the first row.
    time: i64,
    /// For each variable the number behind its last row.
    ends: Vec<u64>,
    /// What aggregates that conditions read have come to.
    pub(super) accumulators: Vec<Accumulators>,
}

const NONE: u64 = u64::MAX;

impl Ranked for Run {
    fn rank(&self) -> u64 {
        self.start
    }
}

impl Run {
    pub(super) fn state(&self) -> StateId {
        self.state
    }

    /// The numbers of the rows of a variable, or of all.
    pub(super) fn rows(&self, variable: Option<usize>) -> std::ops::Range<u64> {
        if self.start == NONE {
            return 0..0;
        }
        let end = |variable: usize| self.ends.get(variable).copied().unwrap_or(self.start);
        match variable {
            None => self.start..self.ends.last().copied().unwrap_or(self.start),
            Some(0) => self.start..end(0),
            Some(variable) => end(variable - 1)..end(variable),
        }
    }

    /// The rows of a variable, or of all, when row `number` is looked at, and `with` it is one of them.
    pub(super) fn rows_at(&self, variable: Option<usize>, number: u64, with: bool) -> std::ops::Range<u64> {
        let mut rows = if self.start == NONE { number..number } else { self.rows(variable) };
        if with {
            rows.end = number + 1;
        }
        rows
    }

    /// This with row `number` behind it.
    fn with(&self, taken: Taken, number: u64, time: i64, accumulators: Vec<Accumulators>) -> Run {
        let mut next = Run {
            state: taken.state,
            start: self.start,
            time: self.time,
            ends: self.ends.clone(),
            accumulators,
        };
        if self.start == NONE {
            (next.start, next.time) = (number, time);
            next.ends.fill(number);
        }
        next.ends[taken.variable..].fill(number + 1);
        next
    }
}

/// The matches of a partition.
#[derive(Clone, Debug, PartialEq, Record)]
pub(crate) struct Partition {
    /// The number of the next row.
    pub(super) next: u64,
    /// The number of the first row that is kept.
    pub(super) base: u64,
    /// Matches that may go on, the one that waits for its first row among them.
    partial: Vec<Run>,
    /// Whole matches that wait for others that began before them.
    complete: Vec<Run>,
    /// The timer that is registered.
    pub(super) timer: Option<i64>,
}

/// A match that is found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(super) run: Run,
    /// The time at which it was found.
    pub(super) time: i64,
}

/// What rows make of the matches of a partition.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    pub(super) nfa: Nfa,
    pub(super) variables: Vec<std::sync::Arc<str>>,
    pub(super) skip: AfterMatch,
    pub(super) within: Option<i64>,
}

impl Partition {
    /// A partition without rows; `accumulators` are those of no rows.
    pub(super) fn new(matcher: &Matcher, accumulators: Vec<Accumulators>) -> Self {
        let waiting = Run {
            state: matcher.nfa.start(),
            start: NONE,
            time: 0,
            ends: vec![0; matcher.variables.len()],
            accumulators,
        };
        Self { next: 0, base: 0, partial: vec![waiting], complete: Vec::new(), timer: None }
    }

    pub(super) fn runs(&self) -> &[Run] {
        &self.partial
    }

    /// The number of the first row that a match still has.
    pub(super) fn first_needed(&self) -> Option<u64> {
        let starts = self.partial.first().into_iter().chain(self.complete.first()).map(|run| run.start);
        starts.min().filter(|start| *start != NONE)
    }

    /// When the earliest match runs out of time.
    pub(super) fn next_timeout(&self, matcher: &Matcher) -> Option<i64> {
        let earliest = self.partial.first().filter(|run| run.start != NONE)?;
        Some(earliest.time.saturating_add(matcher.within?))
    }
}

impl Matcher {
    /// No row before `time` follows: matches whose time is over are given up, and others may not have to wait any more.
    pub(super) fn advance(
        &self,
        partition: &mut Partition,
        time: i64,
        found: &mut Vec<Found>,
    ) -> Result<(), OperatorError> {
        let Some(within) = self.within else { return Ok(()) };
        // One start after the other, so that the time of what is found does not depend on how far time went at once.
        while let Some(over) = partition.next_timeout(self).filter(|over| *over <= time) {
            let begun = over.saturating_sub(within);
            let runs = std::mem::take(&mut partition.partial);
            let runs = runs.into_iter().filter(|run| run.start == NONE || run.time > begun);
            runs.for_each(|run| push(&mut partition.partial, run));
            self.settle(partition, over, found)?;
        }
        Ok(())
    }

    /// Takes the next row in. `holds` says for each run whether the conditions of a variable hold, `accumulate` gives the
    /// accumulators with the row as one of a variable.
    pub(super) fn step(
        &self,
        partition: &mut Partition,
        time: i64,
        holds: impl Fn(usize, usize) -> bool,
        mut accumulate: impl FnMut(&Run, usize) -> Result<Vec<Accumulators>, OperatorError>,
        found: &mut Vec<Found>,
    ) -> Result<(), OperatorError> {
        let number = partition.next;
        partition.next += 1;
        let runs = std::mem::take(&mut partition.partial);
        let mut potential: Vec<Run> = Vec::new();
        let mut taken = Vec::new();
        for (index, run) in runs.into_iter().enumerate() {
            self.nfa.step(run.state, |variable| holds(index, variable), &mut taken);
            for one in &taken {
                let next = run.with(*one, number, time, accumulate(&run, one.variable)?);
                if one.state == END {
                    push(&mut potential, next);
                    continue;
                }
                if one.complete {
                    push(&mut potential, next.clone());
                }
                push(&mut partition.partial, next);
            }
            if run.start == NONE {
                push(&mut partition.partial, run);
            }
        }
        potential.into_iter().for_each(|run| push(&mut partition.complete, run));
        self.settle(partition, time, found)
    }

    /// Finds the whole matches that no earlier one can take rows from any more.
    fn settle(
        &self,
        partition: &mut Partition,
        time: i64,
        found: &mut Vec<Found>,
    ) -> Result<(), OperatorError> {
        while let Some(earliest) = partition.complete.first() {
            if partition.partial.first().is_some_and(|partial| partial.start < earliest.start) {
                break;
            }
            let Some(run) = pop(&mut partition.complete) else { break };
            let behind = self.skip_to(&run)?;
            remove(&mut partition.partial, |other| other.start < behind);
            remove(&mut partition.complete, |other| other.start < behind);
            found.push(Found { run, time });
        }
        Ok(())
    }

    /// The number of the first row that the next match may begin with.
    fn skip_to(&self, run: &Run) -> Result<u64, OperatorError> {
        let refused = |message: String| OperatorError::new("TM-SQL-MATCH-SKIP", Fault::User, message);
        let (variable, is_first) = match self.skip {
            AfterMatch::PastLastRow => return Ok(run.rows(None).end),
            AfterMatch::ToNextRow => return Ok(run.start + 1),
            AfterMatch::ToFirst(variable) => (variable, true),
            AfterMatch::ToLast(variable) => (variable, false),
        };
        let name = self.variables.get(variable).map(|name| &**name).unwrap_or_default();
        let rows = run.rows(Some(variable));
        if rows.is_empty() {
            return Err(refused(format!(
                "AFTER MATCH SKIP TO '{name}': a match has no row of it; make the variable one that has to occur"
            )));
        }
        let target = if is_first { rows.start } else { rows.end - 1 };
        if target == run.start {
            return Err(refused(format!(
                "AFTER MATCH SKIP TO '{name}' would go to the first row of a match, and find the same match again"
            )));
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests;
