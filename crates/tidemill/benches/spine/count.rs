//! tmp
pub(crate) fn run() {}
