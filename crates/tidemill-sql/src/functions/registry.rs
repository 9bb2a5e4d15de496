//! Finding functions by name.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::error::nearest;
use crate::functions::aggregate;
use crate::functions::kernel::ScalarFunction;

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
    super::auxiliary::FUNCTIONS,
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

/// The aggregate function called `name`, which is in capitals.
pub(crate) fn is_aggregate(name: &str) -> bool {
    aggregate::NAMES.contains(&name)
}

/// The function whose name is most like `name`.
pub(crate) fn nearest_function(name: &str) -> Option<&'static str> {
    const OTHERS: [&str; 12] = [
        "ROW_NUMBER",
        "RANK",
        "DENSE_RANK",
        "LAG",
        "LEAD",
        "TUMBLE",
        "HOP",
        "CUMULATE",
        "SESSION",
        "PROCTIME",
        "CURRENT_WATERMARK",
        "UNNEST",
    ];
    let aggregates = aggregate::NAMES.iter().copied();
    nearest(name, BY_NAME.keys().copied().chain(aggregates).chain(OTHERS))
}

/// All scalar functions, in the order of the documentation.
pub(crate) fn all_scalar() -> impl Iterator<Item = &'static ScalarFunction> {
    CHAPTERS.iter().flat_map(|chapter| chapter.iter())
}
