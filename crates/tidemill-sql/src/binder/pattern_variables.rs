//! The variables of a row pattern and how often each may occur.

use sqlparser::ast::{Ident, MatchRecognizePattern, MatchRecognizeSymbol, RepetitionQuantifier};

use crate::error::{SqlError, SqlResult};
use crate::plan::Times;

/// Repetitions of a variable more often than this are refused: each of them is a state of its own.
const MOST_TIMES: u32 = 10_000;

/// The variables of a pattern, in order.
pub(super) fn variables(pattern: &MatchRecognizePattern) -> SqlResult<Vec<(Ident, Times)>> {
    let mut found = Vec::new();
    add(pattern, &mut found)?;
    for (index, (name, _)) in found.iter().enumerate() {
        if found[..index].iter().any(|(known, _): &(Ident, Times)| known.value == name.value) {
            return Err(SqlError::unsupported(format!("'{}' stands in PATTERN twice", name.value))
                .hint("the variables of a pattern must be unique, as in Flink; give one another name")
                .at(name.span));
        }
    }
    for pair in found.windows(2) {
        let [(before, greedy), (name, times)] = pair else { continue };
        if greedy.greedy && times.least == 0 && matches!(times.most, None | Some(1)) {
            return Err(SqlError::unsupported(format!(
                "'{}{times}' cannot stand behind '{}{greedy}', which is greedy, as in Flink",
                name.value, before.value
            ))
            .hint(format!("make '{}' reluctant by a '?' behind its quantifier", before.value))
            .at(name.span));
        }
    }
    if found.iter().all(|(_, times)| times.least == 0) {
        return Err(SqlError::unsupported("a pattern that matches no rows at all is not supported")
            .hint("at least one variable must have to occur, as in Flink"));
    }
    if let Some((name, times)) = found.last()
        && times.greedy
    {
        return Err(SqlError::unsupported(format!(
            "the last variable of a pattern cannot be greedy, as '{}{times}' is",
            name.value
        ))
        .hint("end the pattern with a variable without a quantifier, or with a reluctant one such as '+?'")
        .at(name.span));
    }
    Ok(found)
}

fn add(pattern: &MatchRecognizePattern, found: &mut Vec<(Ident, Times)>) -> SqlResult<()> {
    use MatchRecognizePattern as Pattern;
    let refused = |what: &str| Err(SqlError::unsupported(format!("{what} is not supported, as in Flink")));
    match pattern {
        Pattern::Symbol(MatchRecognizeSymbol::Named(name)) => {
            found.push((name.clone(), Times { least: 1, most: Some(1), greedy: false }));
            Ok(())
        }
        Pattern::Concat(parts) => parts.iter().try_for_each(|part| add(part, found)),
        Pattern::Group(inner) => add(inner, found),
        Pattern::Repetition(inner, quantifier) => {
            let mut inner = &**inner;
            while let Pattern::Group(within) = inner {
                inner = within;
            }
            let Pattern::Symbol(MatchRecognizeSymbol::Named(name)) = inner else {
                return refused("a quantifier of a group of variables");
            };
            let times = times(name, quantifier)?;
            found.push((name.clone(), times));
            Ok(())
        }
        Pattern::Alternation(_) => refused("'|' in PATTERN"),
        Pattern::Permute(_) => refused("PERMUTE in PATTERN"),
        Pattern::Exclude(_) => refused("'{- -}' in PATTERN"),
        Pattern::Symbol(MatchRecognizeSymbol::Start) => refused("'^' in PATTERN"),
        Pattern::Symbol(MatchRecognizeSymbol::End) => refused("'$' in PATTERN"),
    }
}

fn times(name: &Ident, quantifier: &RepetitionQuantifier) -> SqlResult<Times> {
    use RepetitionQuantifier as Quantifier;
    let (quantifier, reluctant) = match quantifier {
        Quantifier::Reluctant(inner) => (&**inner, true),
        other => (other, false),
    };
    let (least, most) = match *quantifier {
        Quantifier::ZeroOrMore => (0, None),
        Quantifier::OneOrMore => (1, None),
        Quantifier::AtMostOne => (0, Some(1)),
        Quantifier::Exactly(times) => (times, Some(times)),
        Quantifier::AtLeast(least) => (least, None),
        Quantifier::AtMost(most) => (0, Some(most)),
        Quantifier::Range(least, most) => (least, Some(most)),
        Quantifier::Reluctant(_) => return Err(SqlError::syntax("a quantifier has one '?' behind it")),
    };
    let most_of_both = most.unwrap_or(least).max(least);
    if most == Some(0) || most.is_some_and(|most| most < least) {
        return Err(SqlError::semantic(format!(
            "'{}' cannot occur as often as its quantifier says",
            name.value
        ))
        .hint("the greater number of a quantifier is at least 1 and not less than the other one")
        .at(name.span));
    }
    if most_of_both > MOST_TIMES {
        return Err(SqlError::unsupported(format!(
            "'{}' is to occur more than {MOST_TIMES} times",
            name.value
        ))
        .at(name.span));
    }
    let is_optional = (least, most) == (0, Some(1));
    if is_optional && reluctant {
        return Err(SqlError::unsupported(format!("'{}??' is not supported, as in Flink", name.value))
            .hint("a variable that may be missing is greedy: '?'")
            .at(name.span));
    }
    // Of an exact number there is nothing to choose, and Flink takes `?` as it comes.
    let greedy = !reluctant && !is_optional && Some(least) != most;
    Ok(Times { least, most, greedy })
}
