//! What the harnesses find, and that they find nothing where there is nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is tests")]
mod checks;
mod exchanges;
mod operators;
mod scripts;
mod sources;
mod survival;
