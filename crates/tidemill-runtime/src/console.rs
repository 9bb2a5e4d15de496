//! One terminal for sinks that print and for whoever draws a live line on it.

use std::sync::Arc;

use parking_lot::RwLock;

/// Takes the live line away, calls the function, and draws the line again.
///
/// ```
/// use std::sync::Arc;
/// use tidemill_runtime::console::Suspend;
///
/// let suspend: Arc<Suspend> = Arc::new(|print| {
///     // Take the line away here, and draw it again after this:
///     print();
/// });
/// suspend(&mut || println!("a record"));
/// ```
pub type Suspend = dyn Fn(&mut dyn FnMut()) + Send + Sync;

static LIVE_LINE: RwLock<Option<Arc<Suspend>>> = RwLock::new(None);

/// Says that a live line is drawn, and how it is taken away; `None` when it is gone.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use tidemill_runtime::console;
///
/// static SUSPENDED: AtomicBool = AtomicBool::new(false);
/// console::set_live_line(Some(Arc::new(|print| {
///     SUSPENDED.store(true, Ordering::SeqCst);
///     print();
/// })));
/// console::print(|| println!("a record"));
/// assert!(SUSPENDED.load(Ordering::SeqCst));
/// console::set_live_line(None);
/// ```
pub fn set_live_line(suspend: Option<Arc<Suspend>>) {
    *LIVE_LINE.write() = suspend;
}

/// Calls `print` while no live line is in its way.
///
/// ```
/// let mut printed = false;
/// tidemill_runtime::console::print(|| printed = true);
/// assert!(printed);
/// ```
pub fn print(mut print: impl FnMut()) {
    let live = LIVE_LINE.read().clone();
    match live {
        Some(suspend) => suspend(&mut print),
        None => print(),
    }
}
