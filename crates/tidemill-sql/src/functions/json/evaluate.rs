//! What is at the end of a path, as the library JsonPath finds it.
//!
//! A path is definite when it leads to one value at most: its value is that one. Of others the value is the
//! array of all that are found, which may be empty.

use std::borrow::Cow;

use super::path::{Function, Step};
use super::value::Json;

/// Why there is nothing at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The path leads nowhere.
    NotFound(String),
    /// A step cannot be taken at all, not even in lax mode.
    Impossible(&'static str),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::NotFound(reason) => f.write_str(reason),
            Failure::Impossible(reason) => f.write_str(reason),
        }
    }
}

type Found<'d> = Vec<Cow<'d, Json<'d>>>;

impl Step {
    /// Whether it leads to one value at most.
    fn is_definite(&self) -> bool {
        match self {
            Step::Members(_) | Step::Function(_) => true,
            Step::Elements(indices) => indices.len() == 1,
            Step::All | Step::Slice(..) | Step::Scan | Step::Filter(_) => false,
        }
    }
}

/// The value at the end of `steps` from `root`; `None` when nothing is there and that is no error.
///
/// # Errors
/// When nothing is there and `is_lax` is false, or it cannot be computed.
pub(super) fn read<'d>(
    steps: &'d [Step],
    root: &'d Json<'d>,
    is_lax: bool,
) -> Result<Option<Cow<'d, Json<'d>>>, Failure> {
    if let Some((Step::Function(function), before)) = steps.split_last()
        && before.iter().any(|step| matches!(step, Step::Scan))
    {
        // Of all that is found anywhere one thing is computed.
        let all = read(before, root, is_lax)?.unwrap_or_else(|| Cow::Owned(Json::Array(Vec::new())));
        return Ok(Some(Cow::Owned(super::filter::owned(compute(*function, &all)?.into_owned()))));
    }
    let mut found = Vec::new();
    let index = match steps.iter().rev().nth(1) {
        Some(Step::Elements(indices)) => match indices.as_slice() {
            [index] => Some(*index),
            _ => None,
        },
        _ => None,
    };
    Walk { root, is_lax, found: &mut found, index, last: None }.go(steps, root, true)?;
    let is_definite = steps.iter().enumerate().all(|(index, step)| {
        // Of more than one key an object is made, when nothing follows.
        step.is_definite()
            && !matches!(step, Step::Members(keys) if keys.len() > 1 && index + 1 < steps.len())
    });
    if !is_definite {
        return Ok(Some(Cow::Owned(Json::Array(found.into_iter().map(Cow::into_owned).collect()))));
    }
    match found.pop() {
        None if is_lax => Ok(None),
        None => Err(Failure::NotFound("No results for path".to_owned())),
        value => Ok(value),
    }
}

struct Walk<'w, 'd> {
    root: &'d Json<'d>,
    is_lax: bool,
    found: &'w mut Found<'d>,
    /// The index that the step before the last one asks for, when it asks for one.
    index: Option<i64>,
    /// Which element of an array the last step was taken from while all values inside were looked at.
    last: Option<i64>,
}

impl<'d> Walk<'_, 'd> {
    /// Takes `steps` from `value`; `definite` says whether all steps before were.
    fn go(&mut self, steps: &'d [Step], value: &'d Json<'d>, definite: bool) -> Result<(), Failure> {
        let Some((step, rest)) = steps.split_first() else {
            self.found.push(Cow::Borrowed(value));
            return Ok(());
        };
        let is_forgiving = self.is_lax || !definite;
        let behind = definite && step.is_definite();
        match step {
            Step::Members(keys) => self.members(keys, rest, value, definite),
            Step::All => {
                match value {
                    Json::Object(members) => {
                        for (_, member) in members {
                            self.forgive(rest, member)?;
                        }
                    }
                    Json::Array(elements) => {
                        for element in elements {
                            self.forgive(rest, element)?;
                        }
                    }
                    _ => {}
                }
                Ok(())
            }
            Step::Elements(indices) => match value {
                Json::Array(elements) => {
                    for index in indices {
                        if let Some(element) = element(elements, *index) {
                            self.go(rest, element, behind)?;
                        }
                    }
                    Ok(())
                }
                _ if is_forgiving => Ok(()),
                _ => Err(Failure::NotFound("an index can only be applied to arrays".to_owned())),
            },
            Step::Slice(from, to) => match value {
                Json::Array(elements) => {
                    for index in slice(elements.len(), *from, *to) {
                        if let Some(element) = element(elements, index) {
                            self.go(rest, element, behind)?;
                        }
                    }
                    Ok(())
                }
                _ if is_forgiving => Ok(()),
                _ => Err(Failure::NotFound("a slice can only be applied to arrays".to_owned())),
            },
            Step::Scan => self.scan(rest, value),
            Step::Filter(filter) => match value {
                Json::Object(_) if filter.accepts(value, self.root) => self.go(rest, value, behind),
                Json::Object(_) => Ok(()),
                Json::Array(elements) => {
                    for element in elements {
                        if filter.accepts(element, self.root) {
                            self.go(rest, element, behind)?;
                        }
                    }
                    Ok(())
                }
                _ if definite => Err(Failure::Impossible("a filter can not be applied to primitives")),
                _ => Ok(()),
            },
            Step::Function(function) => {
                let result = compute(*function, value)?;
                match rest {
                    [] => self.found.push(result),
                    // What is computed of what was computed.
                    _ => {
                        let mut result = result;
                        for step in rest {
                            let Step::Function(function) = step else {
                                return Err(Failure::Impossible("only a function can follow a function"));
                            };
                            result =
                                Cow::Owned(super::filter::owned(compute(*function, &result)?.into_owned()));
                        }
                        self.found.push(result);
                    }
                }
                Ok(())
            }
        }
    }

    /// As [`go`](Self::go), where a way that leads nowhere is left out.
    fn forgive(&mut self, rest: &'d [Step], value: &'d Json<'d>) -> Result<(), Failure> {
        let count = self.found.len();
        match self.go(rest, value, false) {
            Err(Failure::NotFound(_)) => {
                self.found.truncate(count);
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn members(
        &mut self,
        keys: &'d [String],
        rest: &'d [Step],
        value: &'d Json<'d>,
        definite: bool,
    ) -> Result<(), Failure> {
        if !matches!(value, Json::Object(_)) {
            return if self.is_lax || !definite {
                Ok(())
            } else {
                Err(Failure::NotFound(format!("Expected to find an object with property {keys:?}")))
            };
        }
        match keys {
            [key] => match value.member(key) {
                // As the library does it: behind an index, `$..[1].a`, only the element with the index counts.
                Some(_) if rest.is_empty() && self.last.is_some() && self.last != self.index => Ok(()),
                Some(member) => self.go(rest, member, definite),
                None if rest.is_empty() || self.is_lax || !definite => Ok(()),
                None => Err(Failure::NotFound(format!("Missing property in path: '{key}'"))),
            },
            _ if rest.is_empty() => {
                let members = keys
                    .iter()
                    .filter_map(|key| Some((Cow::Borrowed(key.as_str()), value.member(key)?.clone())));
                self.found.push(Cow::Owned(Json::Object(members.collect())));
                Ok(())
            }
            _ => {
                for member in keys.iter().filter_map(|key| value.member(key)) {
                    self.go(rest, member, false)?;
                }
                Ok(())
            }
        }
    }

    /// Takes `steps` from `value` and all values in it, as far as the first of them can be taken.
    fn scan(&mut self, steps: &'d [Step], value: &'d Json<'d>) -> Result<(), Failure> {
        let Some((step, rest)) = steps.split_first() else { return Ok(()) };
        let fits = match step {
            Step::Members(keys) => keys.iter().all(|key| value.member(key).is_some()),
            Step::Elements(_) | Step::Slice(..) => matches!(value, Json::Array(_)),
            Step::All => true,
            Step::Filter(filter) => filter.accepts(value, self.root),
            Step::Scan | Step::Function(_) => false,
        };
        match value {
            Json::Object(members) => {
                if fits {
                    self.go(steps, value, false)?;
                }
                for (_, member) in members {
                    self.scan(steps, member)?;
                }
            }
            Json::Array(elements) => {
                if fits && rest.is_empty() {
                    self.go(steps, value, false)?;
                } else if fits {
                    // As the library does it: behind an array all of its elements are looked at.
                    for (index, element) in elements.iter().enumerate() {
                        if rest.len() == 1 {
                            self.last = i64::try_from(index).ok();
                        }
                        self.go(rest, element, false)?;
                    }
                }
                for element in elements {
                    self.scan(steps, element)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn element<'e, 'd>(elements: &'e [Json<'d>], index: i64) -> Option<&'e Json<'d>> {
    let count = i64::try_from(elements.len()).ok()?;
    let index = if index < 0 { count + index } else { index };
    usize::try_from(index).ok().and_then(|index| elements.get(index))
}

fn slice(count: usize, from: Option<i64>, to: Option<i64>) -> std::ops::Range<i64> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    match (from, to) {
        (Some(from), Some(to)) => from..to.min(count),
        (Some(from), None) => (if from < 0 { count + from } else { from }).max(0)..count,
        (None, Some(to)) => 0..(if to < 0 { count + to } else { to }).min(count),
        (None, None) => 0..count,
    }
}

fn compute<'d>(function: Function, value: &'d Json<'d>) -> Result<Cow<'d, Json<'d>>, Failure> {
    let integer = |number: usize| Cow::Owned(Json::Integer(Cow::Owned(number.to_string())));
    let elements: &[Json<'_>] = match value {
        Json::Array(elements) => elements,
        _ => &[],
    };
    let numbers = || {
        elements.iter().filter_map(|element| match element {
            Json::Integer(number) | Json::Decimal(number) => number.parse::<f64>().ok(),
            Json::Double(number) => Some(*number),
            _ => None,
        })
    };
    let folded = |of: fn(&mut dyn Iterator<Item = f64>) -> Option<f64>| {
        of(&mut numbers()).map(|number| Cow::Owned(Json::Double(number))).ok_or({
            Failure::Impossible("Aggregation function attempted to calculate value using empty array")
        })
    };
    Ok(match function {
        Function::Length => match value {
            Json::Array(elements) => integer(elements.len()),
            Json::Object(members) => integer(members.len()),
            _ => Cow::Owned(Json::Null),
        },
        Function::Keys => match value {
            Json::Object(members) => {
                Cow::Owned(Json::Array(members.iter().map(|(key, _)| Json::Text(key.clone())).collect()))
            }
            _ => Cow::Owned(Json::Null),
        },
        Function::Element(index) => match element(elements, index) {
            Some(element) => Cow::Borrowed(element),
            None => {
                return Err(Failure::Impossible(
                    "Aggregation function attempted to calculate value using empty array",
                ));
            }
        },
        Function::Sum => folded(|numbers| numbers.reduce(|one, two| one + two))?,
        Function::Least => folded(|numbers| numbers.reduce(f64::min))?,
        Function::Most => folded(|numbers| numbers.reduce(f64::max))?,
        Function::Average => folded(|numbers| {
            let (sum, count) = numbers.fold((0.0, 0.0), |(sum, count), number| (sum + number, count + 1.0));
            (count > 0.0).then_some(sum / count)
        })?,
        Function::Deviation => folded(|numbers| {
            let (sum, squares, count) = numbers.fold((0.0, 0.0, 0.0), |(sum, squares, count), number| {
                (sum + number, squares + number * number, count + 1.0)
            });
            (count > 0.0).then(|| (squares / count - sum * sum / count / count).sqrt())
        })?,
    })
}
