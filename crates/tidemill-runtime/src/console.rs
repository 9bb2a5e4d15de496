//! One terminal for sinks that print and for whoever draws a live line on it.

use std::sync::Arc;

use parking_lot::RwLock;

/// Takes the live line away, calls the function, and draws the line again.
pub type Suspend = dyn Fn(&mut dyn FnMut()) + Send + Sync;

static LIVE_LINE: RwLock<Option<Arc<Suspend>>> = RwLock::new(None);

/// Says that a live line is drawn, and how it is taken away; `None` when it is gone.
pub fn set_live_line(suspend: Option<Arc<Suspend>>) {
    *LIVE_LINE.write() = suspend;
}

/// Calls `print` while no live line is in its way.
pub fn print(mut print: impl FnMut()) {
    let live = LIVE_LINE.read().clone();
    match live {
        Some(suspend) => suspend(&mut print),
        None => print(),
    }
}
