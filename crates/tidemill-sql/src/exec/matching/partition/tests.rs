//! Matches against those of a model that tries all ways to cut a stretch of rows into the variables of the pattern.

use proptest::prelude::*;
use tidemill_serialization::{Data, Input};

use super::*;
use crate::plan::Times;

/// For each row the variables that it could be of.
type Rows = Vec<Vec<bool>>;

#[derive(Clone, Debug)]
struct Pattern {
    times: Vec<Times>,
    skip: AfterMatch,
    within: Option<i64>,
}

impl Pattern {
    /// What the binder lets through.
    fn is_valid(&self) -> bool {
        let optional_behind_greedy = self
            .times
            .windows(2)
            .any(|pair| pair[0].greedy && pair[1].least == 0 && matches!(pair[1].most, None | Some(1)));
        self.times.iter().any(|times| times.least > 0)
            && !self.times.last().is_some_and(|times| times.greedy)
            && !optional_behind_greedy
            && match self.skip {
                AfterMatch::PastLastRow | AfterMatch::ToNextRow => true,
                // Neither missing nor the first.
                AfterMatch::ToFirst(variable) | AfterMatch::ToLast(variable) => {
                    self.times.get(variable).is_some_and(|times| times.least > 0)
                        && self.times[..variable].iter().any(|times| times.least > 0)
                }
            }
    }

    /// Where the variables end in each way to make the rows from `start` to before `end` a match.
    fn ways(&self, rows: &Rows, start: usize, end: usize) -> Vec<Vec<u64>> {
        let mut found = Vec::new();
        if self.within.is_none_or(|within| ((end - 1 - start) as i64) < within) {
            self.cut(rows, start, end, &mut Vec::new(), &mut found);
        }
        found.retain(|ends| self.greed_holds(rows, end, ends));
        found
    }

    fn cut(&self, rows: &Rows, from: usize, end: usize, ends: &mut Vec<u64>, found: &mut Vec<Vec<u64>>) {
        let variable = ends.len();
        let Some(times) = self.times.get(variable) else {
            if from == end {
                found.push(ends.clone());
            }
            return;
        };
        let most = times.most.map_or(end - from, |most| most as usize).min(end - from);
        for count in times.least as usize..=most {
            if (from..from + count).all(|row| rows[row][variable]) {
                ends.push((from + count) as u64);
                self.cut(rows, from + count, end, ends, found);
                ends.pop();
            }
        }
    }

    /// The row behind a greedy variable must be none that it could have taken; with nothing behind it, the last row.
    fn greed_holds(&self, rows: &Rows, end: usize, ends: &[u64]) -> bool {
        self.times.iter().enumerate().filter(|(_, times)| times.greedy).all(|(variable, _)| {
            let behind = ends[variable] as usize;
            !rows[behind.min(end - 1)][variable]
        })
    }
}

/// All matches that the automaton finds.
fn found(pattern: &Pattern, rows: &Rows) -> Vec<Run> {
    let matcher = Matcher {
        nfa: Nfa::new(pattern.times.iter().copied()),
        variables: pattern.times.iter().map(|_| "V".into()).collect(),
        skip: pattern.skip,
        within: pattern.within,
    };
    let mut partition = Partition::new(&matcher, Vec::new());
    let mut found = Vec::new();
    for (time, row) in rows.iter().enumerate() {
        let time = time as i64;
        matcher.advance(&mut partition, time, &mut found).unwrap();
        matcher
            .step(&mut partition, time, |_, variable| row[variable], |_, _| Ok(Vec::new()), &mut found)
            .unwrap();
        // What is kept is needed: a match begins there.
        let first = partition.first_needed();
        assert!(partition.partial.iter().chain(&partition.complete).all(|run| Some(run.start) >= first));
    }
    matcher.advance(&mut partition, i64::MAX, &mut found).unwrap();
    assert_eq!(partition.first_needed(), None, "the last row ends all matches");
    found.into_iter().map(|found| found.run).collect()
}

fn check(pattern: &Pattern, rows: &Rows) {
    let width = pattern.times.len();
    // A row that is of no variable lets nothing wait.
    let mut all = rows.clone();
    all.push(vec![false; width]);
    let mut found = found(pattern, &all).into_iter();
    let mut from = 0;
    loop {
        let next = (from..rows.len())
            .find(|start| (start + 1..=rows.len()).any(|end| !pattern.ways(rows, *start, end).is_empty()));
        let Some(start) = next else { break };
        let Some(run) = found.next() else { panic!("no match from {start} on: {pattern:?} {rows:?}") };
        assert_eq!(run.start, start as u64, "{pattern:?} {rows:?}");
        let end = run.rows(None).end as usize;
        let ways = pattern.ways(rows, start, end);
        assert!(ways.contains(&run.ends), "{run:?} {ways:?} {pattern:?} {rows:?}");
        from = match pattern.skip {
            AfterMatch::PastLastRow => end,
            AfterMatch::ToNextRow => start + 1,
            AfterMatch::ToFirst(variable) => run.rows(Some(variable)).start as usize,
            AfterMatch::ToLast(variable) => run.rows(Some(variable)).end as usize - 1,
        };
    }
    assert_eq!(found.next(), None, "{pattern:?} {rows:?}");
}

fn any_times() -> impl Strategy<Value = Times> {
    (0u32..3, prop::option::of(0u32..3), any::<bool>()).prop_map(|(least, more, greedy)| {
        let most = more.map(|more| (least + more).max(1));
        let is_fixed = most == Some(least) || (least, most) == (0, Some(1));
        Times { least, most, greedy: greedy && !is_fixed }
    })
}

fn any_pattern() -> impl Strategy<Value = Pattern> {
    let skip = prop_oneof![
        Just(AfterMatch::PastLastRow),
        Just(AfterMatch::ToNextRow),
        (1usize..4).prop_map(AfterMatch::ToFirst),
        (1usize..4).prop_map(AfterMatch::ToLast),
    ];
    (prop::collection::vec(any_times(), 1..5), skip, prop::option::of(1i64..8))
        .prop_map(|(times, skip, within)| Pattern { times, skip, within })
        .prop_filter("refused", Pattern::is_valid)
}

fn any_case() -> impl Strategy<Value = (Pattern, Rows)> {
    any_pattern().prop_flat_map(|pattern| {
        let row = prop::collection::vec(prop::bool::weighted(0.6), pattern.times.len());
        (Just(pattern), prop::collection::vec(row, 0..14))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn matches_are_those_of_the_model((pattern, rows) in any_case()) {
        check(&pattern, &rows);
    }
}

fn matcher(skip: AfterMatch, times: &[Times]) -> Matcher {
    Matcher {
        nfa: Nfa::new(times.iter().copied()),
        variables: ["A", "B"].map(Into::into).to_vec(),
        skip,
        within: None,
    }
}

const ONE: Times = Times { least: 1, most: Some(1), greedy: false };

fn first_failure(matcher: &Matcher, rows: &[[bool; 2]]) -> OperatorError {
    let mut partition = Partition::new(matcher, Vec::new());
    let mut found = Vec::new();
    let mut results = rows.iter().map(|row| {
        matcher.step(&mut partition, 0, |_, variable| row[variable], |_, _| Ok(Vec::new()), &mut found)
    });
    results.find_map(Result::err).unwrap()
}

#[test]
fn a_search_that_would_go_on_nowhere_fails() {
    let any = Times { least: 0, most: None, greedy: false };
    let missing = matcher(AfterMatch::ToLast(0), &[any, ONE]);
    let error = first_failure(&missing, &[[false, true]]).to_string();
    assert!(error.contains("no row of it"), "{error}");
    let same = matcher(AfterMatch::ToFirst(0), &[ONE, ONE]);
    let error = first_failure(&same, &[[true, false], [false, true]]).to_string();
    assert!(error.contains("the same match again"), "{error}");
}

#[test]
fn a_whole_match_waits_for_those_that_began_before_it() {
    // A B*? C: rows are B of the first match, and the second one is whole before it.
    let times = [ONE, Times { least: 0, most: None, greedy: false }, ONE];
    let matcher = Matcher {
        nfa: Nfa::new(times.into_iter()),
        variables: ["A", "B", "C"].map(Into::into).to_vec(),
        skip: AfterMatch::ToNextRow,
        within: Some(10),
    };
    let mut partition = Partition::new(&matcher, Vec::new());
    let mut found = Vec::new();
    for time in 0..3 {
        let starts: Vec<u64> = partition.partial.iter().map(|run| run.start).collect();
        let holds = |run: usize, variable: usize| match variable {
            0 => time < 2,
            1 => starts[run] == 0,
            _ => starts[run] == 1 && time == 2,
        };
        matcher.advance(&mut partition, time, &mut found).unwrap();
        matcher.step(&mut partition, time, holds, |_, _| Ok(Vec::new()), &mut found).unwrap();
    }
    assert_eq!((found.len(), partition.complete.len()), (0, 1));
    assert_eq!(partition.next_timeout(&matcher), Some(10));
    matcher.advance(&mut partition, 9, &mut found).unwrap();
    assert!(found.is_empty());
    // Nothing but the time says that the first match will not be whole.
    matcher.advance(&mut partition, 50, &mut found).unwrap();
    let [Found { run, time: 10 }] = &found[..] else { panic!("{found:?}") };
    assert_eq!((run.rows(None), run.rows(Some(1)), run.rows(Some(2))), (1..3, 2..2, 2..3));
    assert_eq!(partition.first_needed(), None);
}

#[test]
fn a_partition_is_read_as_it_was_written() {
    let matcher = matcher(AfterMatch::PastLastRow, &[Times { least: 1, most: None, greedy: false }, ONE]);
    let mut partition = Partition::new(&matcher, Vec::new());
    for time in 0..4 {
        let mut found = Vec::new();
        matcher
            .step(&mut partition, time, |_, variable| variable == 0, |_, _| Ok(Vec::new()), &mut found)
            .unwrap();
    }
    assert_eq!(partition.runs().len(), 5);
    let mut bytes = Vec::new();
    Data::encode(&partition, &mut bytes);
    assert_eq!(Partition::decode(&mut Input::new(&bytes)).unwrap(), partition);
}
