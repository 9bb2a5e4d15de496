//! Functions that are no functions of values: they belong to `OVER`, to windows, to grouping or to `FROM`, and are known where these
//! are bound.

/// Where a function may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before `OVER`.
    Over,
    /// Within `TABLE(…)` in `FROM`.
    Window,
    /// In a query that is grouped.
    Grouped,
    /// In `FROM`.
    From,
}

/// A function that belongs to a clause.
pub(crate) struct SpecialFunction {
    /// Its name, in capitals.
    pub(crate) name: &'static str,
    /// Where it stands.
    pub(crate) place: Place,
    /// How it is written.
    pub(crate) usage: &'static str,
    /// One sentence.
    pub(crate) description: &'static str,
}

const fn special(
    name: &'static str,
    place: Place,
    usage: &'static str,
    description: &'static str,
) -> SpecialFunction {
    SpecialFunction { name, place, usage, description }
}

/// All of them.
pub(crate) const FUNCTIONS: &[SpecialFunction] = &[
    special(
        "ROW_NUMBER",
        Place::Over,
        "ROW_NUMBER() OVER (…)",
        "The place of the row in its partition, from 1.",
    ),
    special(
        "RANK",
        Place::Over,
        "RANK() OVER (…)",
        "The place of the row, the same for rows of equal order.",
    ),
    special("DENSE_RANK", Place::Over, "DENSE_RANK() OVER (…)", "As RANK, without gaps behind equal rows."),
    special(
        "LAG",
        Place::Over,
        "LAG(value [, rows [, default]]) OVER (…)",
        "The value of a row before this one.",
    ),
    special(
        "LEAD",
        Place::Over,
        "LEAD(value [, rows [, default]]) OVER (…)",
        "The value of a row behind this one.",
    ),
    special(
        "TUMBLE",
        Place::Window,
        "TUMBLE(TABLE table, DESCRIPTOR(time), size [, offset])",
        "Windows of one size, one behind the other.",
    ),
    special(
        "HOP",
        Place::Window,
        "HOP(TABLE table, DESCRIPTOR(time), slide, size [, offset])",
        "Windows of one size that overlap: one begins every slide.",
    ),
    special(
        "CUMULATE",
        Place::Window,
        "CUMULATE(TABLE table, DESCRIPTOR(time), step, size [, offset])",
        "Windows that grow by steps up to a size and begin anew.",
    ),
    special(
        "SESSION",
        Place::Window,
        "SESSION(TABLE table [PARTITION BY …], DESCRIPTOR(time), gap)",
        "Windows that end when no row has come for the gap.",
    ),
    special(
        "TUMBLE_START",
        Place::Grouped,
        "TUMBLE_START(time, size)",
        "The start of the window that GROUP BY TUMBLE(…) makes.",
    ),
    special("TUMBLE_END", Place::Grouped, "TUMBLE_END(time, size)", "The end of the window, exclusive."),
    special(
        "TUMBLE_ROWTIME",
        Place::Grouped,
        "TUMBLE_ROWTIME(time, size)",
        "The event time of the window: the last millisecond in it.",
    ),
    special(
        "TUMBLE_PROCTIME",
        Place::Grouped,
        "TUMBLE_PROCTIME(time, size)",
        "The processing time of the window.",
    ),
    special(
        "HOP_START",
        Place::Grouped,
        "HOP_START(time, slide, size)",
        "The start of the window that GROUP BY HOP(…) makes.",
    ),
    special("HOP_END", Place::Grouped, "HOP_END(time, slide, size)", "The end of the window, exclusive."),
    special(
        "HOP_ROWTIME",
        Place::Grouped,
        "HOP_ROWTIME(time, slide, size)",
        "The event time of the window: the last millisecond in it.",
    ),
    special(
        "HOP_PROCTIME",
        Place::Grouped,
        "HOP_PROCTIME(time, slide, size)",
        "The processing time of the window.",
    ),
    special(
        "SESSION_START",
        Place::Grouped,
        "SESSION_START(time, gap)",
        "The start of the window that GROUP BY SESSION(…) makes.",
    ),
    special("SESSION_END", Place::Grouped, "SESSION_END(time, gap)", "The end of the window, exclusive."),
    special(
        "SESSION_ROWTIME",
        Place::Grouped,
        "SESSION_ROWTIME(time, gap)",
        "The event time of the window: the last millisecond in it.",
    ),
    special(
        "SESSION_PROCTIME",
        Place::Grouped,
        "SESSION_PROCTIME(time, gap)",
        "The processing time of the window.",
    ),
    special(
        "GROUPING",
        Place::Grouped,
        "GROUPING(key [, key]*)",
        "A bit for each key: 1 when the row is of a grouping set without it.",
    ),
    special("GROUPING_ID", Place::Grouped, "GROUPING_ID(key [, key]*)", "The same as GROUPING."),
    special(
        "UNNEST",
        Place::From,
        "UNNEST(array | map | multiset) [WITH ORDINALITY]",
        "A row for each element, with its place from 1 if asked for.",
    ),
];
