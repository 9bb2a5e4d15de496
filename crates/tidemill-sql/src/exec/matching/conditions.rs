//! What must hold of a row for a variable.
//!
//! What is told of the row alone is computed once for all rows of a call. The rest is computed row by row, but for all partitions
//! and all matches of them together: first that of the first row of each partition, then that of the second one, and so on.

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow_schema::SchemaRef;
use arrow_select::take::take;
use tidemill_core::Fault;
use tidemill_runtime::OperatorError;

use super::partition::{Partition, Run};
use super::reads::{AggregateSet, Computed, Source, at};
use super::slots::{Numbers, Slot};
use crate::exec::accumulators::{Accumulators, Argument};
use crate::expr::Expr;
use crate::expr::compile::{Compiled, record_batch};
use crate::plan::{MatchExprs, MatchRead, MatchVariable, RowPlace};

/// The conditions of all variables.
pub(super) struct Conditions {
    variables: Vec<Condition>,
    pub(super) sets: Vec<AggregateSet>,
}

struct Condition {
    /// What is told of the row alone.
    of_row: Vec<Compiled>,
    /// What is told of the row and the rows of the match before it.
    of_match: Option<Computed>,
}

impl Conditions {
    pub(super) fn new(variables: &[MatchVariable], input: &SchemaRef) -> Result<Self, OperatorError> {
        let split: Vec<(Vec<Expr>, MatchExprs)> = variables
            .iter()
            .enumerate()
            .map(|(index, variable)| split(index, &variable.conditions))
            .collect();
        let sets = AggregateSet::all(split.iter().flat_map(|(_, of_match)| &of_match.reads), input)?;
        let mut compiled = Vec::with_capacity(variables.len());
        for (of_row, of_match) in &split {
            let of_match = match of_match.exprs[..] {
                [] => None,
                _ => Some(Computed::new(of_match, &sets)?),
            };
            compiled.push(Condition { of_row: Compiled::all(of_row, input)?, of_match });
        }
        Ok(Self { variables: compiled, sets })
    }

    /// The accumulators of no rows.
    pub(super) fn empty(&self) -> Vec<Accumulators> {
        self.sets.iter().map(|set| set.functions.empty()).collect()
    }

    /// The rows of earlier calls that may be read for a match.
    pub(super) fn wanted(&self, run: &Run, wanted: &mut Numbers) {
        let sources = self.variables.iter().filter_map(|variable| variable.of_match.as_ref());
        for source in sources.flat_map(|computed| &computed.sources) {
            let Source::Row { variable, place, .. } = source else { continue };
            let rows = run.rows(*variable);
            match place {
                RowPlace::First(_) => wanted.extend(at(&rows, *place)),
                // Further rows of the variable move the place towards them.
                RowPlace::Last(before) => {
                    let first = rows.end.saturating_sub(u64::from(*before) + 1).max(rows.start);
                    wanted.extend(first..rows.end);
                }
            }
        }
    }

    /// Looks at the rows of a call.
    pub(super) fn look<'a>(&'a self, rows: &'a RecordBatch) -> Result<Looked<'a>, OperatorError> {
        let mut holds = Vec::with_capacity(self.variables.len());
        for variable in &self.variables {
            let mut all: Option<BooleanArray> = None;
            for condition in &variable.of_row {
                if rows.num_rows() == 0 {
                    break;
                }
                let Some(one) = condition.matches(rows)? else { continue };
                all = Some(match all {
                    None => one,
                    Some(all) => BooleanArray::new(all.values() & one.values(), None),
                });
            }
            holds.push(all);
        }
        let arguments = self.sets.iter().map(|set| set.arguments(rows)).collect::<Result<_, _>>()?;
        Ok(Looked { conditions: self, rows, holds, arguments })
    }
}

/// The conditions of a variable that are told of its row alone, over the input, and the others.
fn split(variable: usize, conditions: &MatchExprs) -> (Vec<Expr>, MatchExprs) {
    let own = |read: &MatchRead| match read {
        MatchRead::Row { variable: of, place: RowPlace::Last(0), column, .. }
            if of.is_none_or(|of| of == variable) =>
        {
            Some(*column)
        }
        _ => None,
    };
    let columns: Vec<Option<usize>> = conditions.reads.iter().map(own).collect();
    let column = |read: usize| columns.get(read).copied().flatten();
    let (mut of_row, mut others) = (Vec::new(), Vec::new());
    for (index, condition) in conditions.exprs.iter().enumerate() {
        let is_other = |expr: &Expr| expr.as_column().is_some_and(|read| column(read).is_none());
        if condition.any(is_other) {
            others.push(index);
        } else {
            of_row.push(condition.map_columns(&|read| column(read).unwrap_or(read)));
        }
    }
    (of_row, conditions.kept(&others))
}

/// The rows of a call, as far as they can be told alone.
pub(super) struct Looked<'a> {
    conditions: &'a Conditions,
    rows: &'a RecordBatch,
    /// For each variable, which rows could be of it.
    holds: Vec<Option<BooleanArray>>,
    /// For each set of aggregates, what its functions take.
    arguments: Vec<Vec<Argument>>,
}

/// A match of which a condition is asked.
struct Asked<'a> {
    slot: &'a Slot,
    run: &'a Run,
    /// The row, by number and by place.
    number: u64,
    place: u32,
    /// Where the answer goes.
    answer: usize,
}

/// The answers for one row of each of some partitions.
#[derive(Default)]
pub(super) struct Answers {
    /// Where those of each partition begin.
    starts: Vec<usize>,
    holds: Vec<bool>,
    variables: usize,
}

impl Answers {
    /// Whether the condition of `variable` holds for match `run` of partition `slot`.
    pub(super) fn holds(&self, slot: usize, run: usize, variable: usize) -> bool {
        self.holds[self.starts[slot] + run * self.variables + variable]
    }
}

impl Looked<'_> {
    /// Asks for row `wave` of each of the partitions at `active`.
    pub(super) fn ask(
        &self,
        wave: usize,
        slots: &[Slot],
        partitions: &[Partition],
        active: &[usize],
        matcher: &super::partition::Matcher,
        answers: &mut Answers,
    ) -> Result<(), OperatorError> {
        let width = self.holds.len();
        answers.variables = width;
        answers.starts.clear();
        answers.holds.clear();
        let mut asked: Vec<Vec<Asked<'_>>> = (0..width).map(|_| Vec::new()).collect();
        for index in active {
            let (slot, partition) = (&slots[*index], &partitions[*index]);
            let start = answers.holds.len();
            answers.starts.push(start);
            answers.holds.resize(start + partition.runs().len() * width, false);
            let number = slot.first() + wave as u64;
            let Some(place) = slot.place(number) else { continue };
            for (at, run) in partition.runs().iter().enumerate() {
                for variable in matcher.nfa.asked(run.state()) {
                    let alone = &self.holds[*variable];
                    if alone.as_ref().is_some_and(|holds| !holds.value(place as usize)) {
                        continue;
                    }
                    let answer = start + at * width + variable;
                    match self.conditions.variables[*variable].of_match {
                        None => answers.holds[answer] = true,
                        Some(_) => asked[*variable].push(Asked { slot, run, number, place, answer }),
                    }
                }
            }
        }
        for (variable, asked) in asked.iter().enumerate().filter(|(_, asked)| !asked.is_empty()) {
            let Some(condition) = &self.conditions.variables[variable].of_match else { continue };
            let read = self.read(variable, condition, asked)?;
            let mut holds = vec![true; asked.len()];
            for expr in &condition.exprs {
                let Some(matches) = expr.matches(&read)? else { continue };
                holds.iter_mut().zip(matches.values()).for_each(|(holds, one)| *holds &= one);
            }
            for (one, holds) in asked.iter().zip(holds) {
                answers.holds[one.answer] = holds;
            }
        }
        Ok(())
    }

    /// The columns that the condition of `variable` reads.
    fn read(
        &self,
        variable: usize,
        condition: &Computed,
        asked: &[Asked<'_>],
    ) -> Result<RecordBatch, OperatorError> {
        let mut aggregated: Vec<Option<Vec<ArrayRef>>> = self.arguments.iter().map(|_| None).collect();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(condition.sources.len());
        for source in &condition.sources {
            columns.push(match *source {
                Source::Row { variable: of, place, column } => {
                    let with = of.is_none_or(|of| of == variable);
                    let places = asked.iter().map(|one| {
                        let number = at(&one.run.rows_at(of, one.number, with), place)?;
                        if number == one.number { Some(one.place) } else { one.slot.place(number) }
                    });
                    let places = UInt32Array::from_iter(places);
                    take(self.rows.column(column), &places, None).map_err(|error| failed(&error))?
                }
                Source::Aggregate { set, function } => {
                    let results = match &aggregated[set] {
                        Some(results) => results,
                        None => aggregated[set].insert(self.aggregate(variable, set, asked)?),
                    };
                    std::sync::Arc::clone(&results[function])
                }
                Source::Time => {
                    return Err(OperatorError::new(
                        "TM-SQL-OPERATOR",
                        Fault::Internal,
                        "a condition reads the time of its match",
                    ));
                }
            });
        }
        record_batch(&condition.schema, columns, asked.len())
    }

    fn aggregate(
        &self,
        variable: usize,
        set: usize,
        asked: &[Asked<'_>],
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        let aggregates = &self.conditions.sets[set];
        let mut results = aggregates.functions.results();
        for one in asked {
            let before = &one.run.accumulators[set];
            if aggregates.takes(variable) {
                let mut with = before.clone();
                aggregates.accumulate(&mut with, &self.arguments[set], one.place as usize)?;
                results.push(&aggregates.functions, &with)?;
            } else {
                results.push(&aggregates.functions, before)?;
            }
        }
        results.finish()
    }

    /// The accumulators of a match with a further row, which is one of `variable`.
    pub(super) fn accumulated(
        &self,
        run: &Run,
        variable: usize,
        place: u32,
    ) -> Result<Vec<Accumulators>, OperatorError> {
        let mut all = run.accumulators.clone();
        for ((set, arguments), accumulators) in self.conditions.sets.iter().zip(&self.arguments).zip(&mut all)
        {
            if set.takes(variable) {
                set.accumulate(accumulators, arguments, place as usize)?;
            }
        }
        Ok(all)
    }
}

pub(super) fn failed(error: &arrow_schema::ArrowError) -> OperatorError {
    OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, error.to_string())
}
