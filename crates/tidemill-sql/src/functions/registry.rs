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

/// The scalar function called `name`, which is in capitals.
pub(crate) fn scalar(name: &str) -> Option<&'static ScalarFunction> {
    BY_NAME.get(name).copied()
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
    scalar(name).is_some() || is_aggregate(name) || special::FUNCTIONS.iter().any(|other| other.name == name)
}

/// The function whose name is most like `name`, among the built-in ones and `others`.
pub(crate) fn nearest_function<'a>(name: &str, others: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let aggregates = aggregate::FUNCTIONS.iter().map(|function| function.name);
    let special = special::FUNCTIONS.iter().map(|function| function.name);
    let built_in = BY_NAME.keys().copied().chain(aggregates).chain(special);
    nearest(name, built_in.map(|name| -> &'a str { name }).chain(others))
}

/// All scalar functions, in the order of the documentation.
pub(crate) fn all_scalar() -> impl Iterator<Item = &'static ScalarFunction> {
    CHAPTERS.iter().flat_map(|chapter| chapter.iter())
}
