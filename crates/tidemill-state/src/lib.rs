//! Keyed state, operator state and timers, and how they are snapshotted and dealt out again.
