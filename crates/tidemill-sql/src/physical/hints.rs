//! What hints change of operators.

use tidemill_state::StateTtlConfig;

use crate::plan::{NodeHints, StateTtl};

/// How details of operators begin to say what hints say of their state.
const STATE_TTL: &str = ", stateTtlHints=[[[STATE_TTL options:";

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

/// The details of an operator without what hints say: its state is the same, however long it is kept.
pub(super) fn without_ttl(detail: &str) -> &str {
    detail.split(STATE_TTL).next().unwrap_or(detail)
}
