//! The automaton of a row pattern: states, and which of them follow when a row is taken.
//!
//! The rows of a match follow one another without gaps, so there are two kinds of steps: one takes the row for a variable, the
//! other goes on to the next variable without a row. The states and their steps are those of Flink's CEP library, in the same
//! order: where a row could go to several variables, that decides which match is found first.

use smallvec::{SmallVec, smallvec};

use crate::plan::Times;

/// The number of a state.
pub(crate) type StateId = u32;

/// An automaton.
#[derive(Clone, Debug)]
pub(crate) struct Nfa {
    states: Vec<State>,
    start: StateId,
}

#[derive(Clone, Debug, Default)]
struct State {
    steps: Vec<Step>,
    /// The variables whose conditions may be asked for.
    asked: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Step {
    /// The variable that takes the row, or none that goes on without it.
    takes: Option<usize>,
    target: StateId,
    /// Greedy variables before, which must not be able to take the row.
    unless: Vec<usize>,
}

/// A row taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) variable: usize,
    pub(crate) state: StateId,
    /// Whether the match may end here as well.
    pub(crate) complete: bool,
}

/// The state of a match that is complete.
pub(crate) const END: StateId = 0;

impl Nfa {
    /// The automaton of variables that occur one after the other.
    pub(crate) fn new(variables: impl DoubleEndedIterator<Item = Times> + ExactSizeIterator) -> Self {
        let mut nfa = Nfa { states: vec![State::default()], start: END };
        for (variable, times) in variables.enumerate().rev() {
            nfa.start = nfa.variable(variable, times, nfa.start);
        }
        for state in 0..nfa.states.len() {
            nfa.states[state].asked = nfa.asked_of(state);
        }
        nfa
    }

    pub(crate) fn start(&self) -> StateId {
        self.start
    }

    /// The variables whose conditions may be asked for in a state.
    pub(crate) fn asked(&self, state: StateId) -> &[usize] {
        &self.states[state as usize].asked
    }

    /// What becomes of a match in `state` with a row for which the conditions of those variables hold that `holds` says.
    pub(crate) fn step(&self, state: StateId, holds: impl Fn(usize) -> bool, found: &mut Vec<Taken>) {
        let goes = |step: &Step| {
            step.takes.is_none_or(&holds) && !step.unless.iter().any(|variable| holds(*variable))
        };
        found.clear();
        let mut waiting: SmallVec<[StateId; 8]> = smallvec![state];
        while let Some(state) = waiting.pop() {
            for step in &self.states[state as usize].steps {
                if !goes(step) {
                    continue;
                }
                match step.takes {
                    None => waiting.push(step.target),
                    Some(variable) => {
                        found.push(Taken { variable, state: step.target, complete: false });
                    }
                }
            }
        }
        for taken in found {
            taken.complete = self.reaches_end(taken.state, goes);
        }
    }

    /// Whether the end can be reached without a further row.
    fn reaches_end(&self, state: StateId, goes: impl Fn(&Step) -> bool) -> bool {
        if state == END {
            return true;
        }
        let mut waiting: SmallVec<[StateId; 8]> = smallvec![state];
        while let Some(state) = waiting.pop() {
            for step in &self.states[state as usize].steps {
                if step.takes.is_none() && goes(step) {
                    if step.target == END {
                        return true;
                    }
                    waiting.push(step.target);
                }
            }
        }
        false
    }

    /// The states of a variable in front of `sink`; answers the first of them.
    fn variable(&mut self, variable: usize, times: Times, sink: StateId) -> StateId {
        let optional = (times.least == 0).then_some(sink);
        let least = times.least.max(1);
        let Some(most) = times.most else {
            let looping = self.add(vec![Step { takes: None, target: sink, unless: Vec::new() }]);
            self.yield_to(times, variable, sink);
            self.states[looping as usize].steps.push(Step {
                takes: Some(variable),
                target: looping,
                unless: Vec::new(),
            });
            let mut next = looping;
            for _ in 1..least {
                next = self.single(variable, next, None);
            }
            return self.single(variable, next, optional);
        };
        self.yield_to(times, variable, sink);
        let mut next = sink;
        for _ in least..most {
            next = self.single(variable, next, Some(sink));
        }
        for _ in 1..least {
            next = self.single(variable, next, None);
        }
        self.single(variable, next, optional)
    }

    /// Rows that a greedy variable could take go no further.
    fn yield_to(&mut self, times: Times, variable: usize, sink: StateId) {
        if times.greedy {
            self.states[sink as usize].steps.iter_mut().for_each(|step| step.unless.push(variable));
        }
    }

    fn single(&mut self, variable: usize, target: StateId, without: Option<StateId>) -> StateId {
        let mut steps = vec![Step { takes: Some(variable), target, unless: Vec::new() }];
        steps.extend(without.map(|target| Step { takes: None, target, unless: Vec::new() }));
        self.add(steps)
    }

    fn add(&mut self, steps: Vec<Step>) -> StateId {
        self.states.push(State { steps, asked: Vec::new() });
        StateId::try_from(self.states.len() - 1).unwrap_or(StateId::MAX)
    }

    fn asked_of(&self, state: usize) -> Vec<usize> {
        let mut asked = Vec::new();
        let mut seen = vec![state];
        let mut next = 0;
        // The states that may be passed without a row, then those behind a row, of which only the way to the end counts.
        while let Some(state) = seen.get(next).copied() {
            next += 1;
            for step in &self.states[state].steps {
                asked.extend(step.takes);
                asked.extend(&step.unless);
                let target = step.target as usize;
                if step.takes.is_none() && !seen.contains(&target) {
                    seen.push(target);
                } else if step.takes.is_some() {
                    self.asked_on_the_way(target, &mut asked);
                }
            }
        }
        asked.sort_unstable();
        asked.dedup();
        asked
    }

    fn asked_on_the_way(&self, state: usize, asked: &mut Vec<usize>) {
        let mut seen = vec![state];
        let mut next = 0;
        while let Some(state) = seen.get(next).copied() {
            next += 1;
            for step in self.states[state].steps.iter().filter(|step| step.takes.is_none()) {
                asked.extend(&step.unless);
                let target = step.target as usize;
                if !seen.contains(&target) {
                    seen.push(target);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(least: u32, most: Option<u32>, greedy: bool) -> Times {
        Times { least, most, greedy }
    }

    fn one() -> Times {
        times(1, Some(1), false)
    }

    fn steps(nfa: &Nfa, state: StateId, holding: &[usize]) -> Vec<(usize, StateId, bool)> {
        let mut found = Vec::new();
        nfa.step(state, |variable| holding.contains(&variable), &mut found);
        found.into_iter().map(|taken| (taken.variable, taken.state, taken.complete)).collect()
    }

    #[test]
    fn a_greedy_variable_keeps_what_it_can_take() {
        // A+ B
        let greedy = Nfa::new([times(1, None, true), one()].into_iter());
        let [(0, looping, false)] = steps(&greedy, greedy.start(), &[0, 1])[..] else { panic!() };
        assert_eq!(steps(&greedy, looping, &[0, 1]), [(0, looping, false)]);
        assert_eq!(steps(&greedy, looping, &[1]), [(1, END, true)]);
        assert_eq!(steps(&greedy, looping, &[]), []);
        // A+? B
        let reluctant = Nfa::new([times(1, None, false), one()].into_iter());
        let [(0, looping, false)] = steps(&reluctant, reluctant.start(), &[0])[..] else { panic!() };
        assert_eq!(steps(&reluctant, looping, &[0, 1]), [(0, looping, false), (1, END, true)]);
    }

    #[test]
    fn variables_that_may_be_missing_are_passed() {
        // A B? C{2}
        let nfa = Nfa::new([one(), times(0, Some(1), false), times(2, Some(2), false)].into_iter());
        let [(0, next, false)] = steps(&nfa, nfa.start(), &[0, 1, 2])[..] else { panic!() };
        assert_eq!(nfa.asked(next), [1, 2]);
        let [(1, behind, false), (2, second, false)] = steps(&nfa, next, &[1, 2])[..] else { panic!() };
        assert_eq!(steps(&nfa, second, &[2]), [(2, END, true)]);
        assert_eq!(nfa.asked(behind), [2]);
        // A B*?: complete already with A.
        let nfa = Nfa::new([one(), times(0, None, false)].into_iter());
        assert!(matches!(steps(&nfa, nfa.start(), &[0])[..], [(0, _, true)]));
    }

    #[test]
    fn a_range_has_a_state_for_each_time() {
        // A{2,4} B, greedy.
        let nfa = Nfa::new([times(2, Some(4), true), one()].into_iter());
        let mut state = nfa.start();
        for _ in 0..2 {
            let [(0, next, false)] = steps(&nfa, state, &[0, 1])[..] else { panic!() };
            state = next;
        }
        // Two are enough for a row that is no A.
        assert_eq!(steps(&nfa, state, &[1]), [(1, END, true)]);
        for _ in 0..2 {
            let [(0, next, false)] = steps(&nfa, state, &[0, 1])[..] else { panic!() };
            state = next;
        }
        // The fifth A is none any more, and greed keeps it from B as well.
        assert_eq!(steps(&nfa, state, &[0, 1]), []);
        assert_eq!(steps(&nfa, state, &[1]), [(1, END, true)]);
    }
}
