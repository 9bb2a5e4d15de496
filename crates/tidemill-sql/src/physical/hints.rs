//! What hints change of operators.

use tidemill_state::StateTtlConfig;

use crate::plan::{NodeHints, StateTtl};

/// How details of operators begin to say what hints say of their state.
const STATE_TTL: &str = ", stateTtlHints=[[[STATE_TTL options:";

/// What a join is called that looks a table up.
pub(super) const LOOKUP_JOIN: &str = "LookupJoin";

/// How long state is kept: as a hint says, else as the session does.
pub(super) fn state_ttl(hint: Option<&StateTtl>, session: Option<StateTtlConfig>) -> Option<StateTtlConfig> {
    match hint {
        None => session,
        // For ever.
        Some(hint) if hint.duration.is_zero() => None,
        Some(hint) => Some(StateTtlConfig::new(hint.duration)),
    }
}

/// What hints say of the state of the sides of a join, for its details.
pub(super) fn shown_ttl(hints: &NodeHints) -> String {
    let sides = ["LEFT", "RIGHT"].into_iter().zip(&hints.ttl);
    let sides: Vec<String> =
        sides.filter_map(|(side, ttl)| Some(format!("{side}={}", ttl.as_ref()?.text))).collect();
    if sides.is_empty() { String::new() } else { format!("{STATE_TTL}{{{}}}]]]", sides.join(", ")) }
}

/// What hints say of the state of groups, for their details.
pub(super) fn shown_group_ttl(hints: &NodeHints) -> String {
    hints.ttl[0].as_ref().map(|ttl| format!("{STATE_TTL}[{}]]]]", ttl.text)).unwrap_or_default()
}

/// How details of joins begin to say how a table is looked up.
pub(super) const LOOKUPS: [&str; 3] = [", async=[", ", shuffle=[", ", retry=["];

/// The details of an operator without what hints say: its state is the same, however long it is kept, and rows that wait for
/// lookups are, however these are made.
pub(super) fn of_state<'a>(name: &str, detail: &'a str) -> &'a str {
    let detail = detail.split(STATE_TTL).next().unwrap_or(detail);
    let ends = LOOKUPS.iter().filter(|_| name == LOOKUP_JOIN).filter_map(|says| detail.find(says));
    &detail[..ends.min().unwrap_or(detail.len())]
}
