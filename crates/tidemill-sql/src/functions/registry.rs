//! Finding functions by name.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::error::nearest;
use crate::functions::kernel::ScalarFunction;
use crate::functions::{aggregate, special};

/// All built-in scalar functions, a chapter each.
const CHAPTERS: &[&[ScalarFunction]] = &[
    super::operators::FUNCTIONS,
    super::arithmetic::FUNCTIONS,
    super::conditional::FUNCTIONS,
    super::collection::FUNCTIONS,
    super::json::FUNCTIONS,
    super::text::FUNCTIONS,
    super::regex::FUNCTIONS,
    super::temporal::FUNCTIONS,
    super::streaming::FUNCTIONS,
    super::hash::FUNCTIONS,
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static ScalarFunction>> = LazyLock::new(|| {
    let all = CHAPTERS.iter().flat_map(|chapter| chapter.iter());
    all.flat_map(|function| {
        [function.name].into_iter().chain(function.aliases.iter().copied()).map(move |name| (name, function))
    })
    .collect()
});

/// The scalar function called `name`, which is in capitals: also one that has a form of its own, under the name that plans have
/// for it, such as `ITEM` for `map[key]`.
pub(crate) fn scalar(name: &str) -> Option<&'static ScalarFunction> {
    BY_NAME.get(name).copied()
}

/// The scalar function that queries call by `name`, which is in capitals.
pub(crate) fn callable(name: &str) -> Option<&'static ScalarFunction> {
    scalar(name).filter(|function| is_callable(function))
}

/// Whether a function is written as its name and its arguments in parentheses, or none, and not in a form of its own.
pub(crate) fn is_callable(function: &ScalarFunction) -> bool {
    let behind = function.usage.strip_prefix(function.name);
    behind.is_some_and(|behind| behind.is_empty() || behind.starts_with('('))
}

/// Whether the function called `name` is written without parentheses, as `CURRENT_DATE` is.
pub(crate) fn is_niladic(name: &str) -> bool {
    matches!(
        name,
        "CURRENT_DATE" | "CURRENT_TIME" | "CURRENT_TIMESTAMP" | "LOCALTIME" | "LOCALTIMESTAMP" | "NOW"
    )
}

/// Whether there is an aggregate function called `name`, which is in capitals.
pub(crate) fn is_aggregate(name: &str) -> bool {
    aggregate::FUNCTIONS.iter().any(|function| function.name == name)
}

/// Whether `name`, which is in capitals, is taken.
pub(crate) fn is_built_in(name: &str) -> bool {
    callable(name).is_some()
        || is_aggregate(name)
        || special::FUNCTIONS.iter().any(|other| other.name == name)
}

/// The function whose name is most like `name`, among the built-in ones and `others`.
pub(crate) fn nearest_function<'a>(name: &str, others: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let aggregates = aggregate::FUNCTIONS.iter().map(|function| function.name);
    let special = special::FUNCTIONS.iter().map(|function| function.name);
    let scalar = BY_NAME.keys().copied().filter(|name| callable(name).is_some());
    let built_in = scalar.chain(aggregates).chain(special);
    nearest(name, built_in.map(|name| -> &'a str { name }).chain(others))
}

/// All scalar functions, in the order of the documentation.
pub(crate) fn all_scalar() -> impl Iterator<Item = &'static ScalarFunction> {
    CHAPTERS.iter().flat_map(|chapter| chapter.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_form_of_its_own_is_not_called_by_name() {
        let is_word = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let mut formed: Vec<&str> = all_scalar()
            .filter(|function| !is_callable(function) && is_word(function.name))
            .map(|function| function.name)
            .collect();
        formed.sort_unstable();
        let expected = ["ARRAY", "CEIL_TO", "FLOOR_TO", "ITEM", "LIKE", "MAP", "NEGATE", "OVERLAPS"];
        assert_eq!(formed, expected);
        for name in expected {
            assert!(scalar(name).is_some() && callable(name).is_none() && !is_built_in(name), "{name}");
            assert_ne!(nearest_function(name, []), Some(name));
        }
        for name in ["UPPER", "CEILING", "CURRENT_DATE", "ROW", "FLOOR", "JSON_VALUE", "TO_TIMESTAMP_LTZ"] {
            assert!(callable(name).is_some(), "{name}");
        }
    }
}
