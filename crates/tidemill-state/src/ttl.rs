//! Time to live: state that nobody has touched for a while disappears.

use std::sync::Arc;
use std::time::Duration;

use tidemill_core::Timestamp;

use crate::clock::Clock;
use crate::error::StateError;

/// When the time to live of an entry starts anew.
///
/// ```
/// use tidemill_state::TtlUpdate;
///
/// assert_eq!(TtlUpdate::default(), TtlUpdate::OnCreateAndWrite);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TtlUpdate {
    /// Never: the state does not expire.
    Disabled,
    /// When the entry is made and when it is written.
    #[default]
    OnCreateAndWrite,
    /// Also when it is read.
    OnReadAndWrite,
}

/// Whether an expired entry that is still there can be seen.
///
/// ```
/// use tidemill_state::TtlVisibility;
///
/// assert_eq!(TtlVisibility::default(), TtlVisibility::NeverReturnExpired);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TtlVisibility {
    /// No: it is as if it were gone.
    #[default]
    NeverReturnExpired,
    /// Once: the read that finds it expired returns and removes it.
    ReturnExpiredIfNotCleanedUp,
}

/// How long state lives, and how what has expired goes away.
///
/// Time is processing time. In lists and maps each element and each entry lives for itself.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use tidemill_core::{KeyGroupRange, budget::MemoryBudget, hash::RoutingHash};
/// use tidemill_state::{KeyedStateBackend, ManualClock, StateTtlConfig, ValueState, ValueStateDescriptor};
///
/// let clock = ManualClock::at(0);
/// let budget = MemoryBudget::unlimited("state");
/// let mut backend = KeyedStateBackend::new(KeyGroupRange::all(128), 128, Arc::new(clock.clone()), budget);
/// let day = StateTtlConfig::new(Duration::from_secs(86_400)).cleanup_full_snapshot();
/// let last: ValueState<i64> = backend.register_value(ValueStateDescriptor::new("last").with_ttl(day))?;
///
/// backend.set_current_key(&7u64, 7u64.routing_hash())?;
/// last.update(&mut backend, 1)?;
/// clock.advance(86_399_999);
/// assert_eq!(last.get(&mut backend)?, Some(1));
/// clock.advance(1);
/// assert_eq!(last.get(&mut backend)?, None);
/// # Ok::<(), tidemill_state::StateError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateTtlConfig {
    ttl: Duration,
    update: TtlUpdate,
    visibility: TtlVisibility,
    incremental: usize,
    full_snapshot: bool,
    background: bool,
    look_again_after: Option<u64>,
}

impl StateTtlConfig {
    /// State that expires `ttl` (at least 1 ms) after it was last written; each access looks at 5 further
    /// entries and removes those that have expired.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_state::StateTtlConfig;
    ///
    /// let hour = StateTtlConfig::new(Duration::from_secs(3600));
    /// assert!(hour.is_enabled() && hour.ttl().as_secs() == 3600);
    /// ```
    pub fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            update: TtlUpdate::OnCreateAndWrite,
            visibility: TtlVisibility::NeverReturnExpired,
            incremental: 5,
            full_snapshot: false,
            background: true,
            look_again_after: None,
        }
    }

    /// Sets when the time to live of an entry starts anew.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_state::{StateTtlConfig, TtlUpdate};
    ///
    /// let hour = StateTtlConfig::new(Duration::from_secs(3600));
    /// assert_ne!(hour.update(TtlUpdate::OnReadAndWrite), hour);
    /// assert!(!hour.update(TtlUpdate::Disabled).is_enabled());
    /// ```
    pub fn update(mut self, update: TtlUpdate) -> Self {
        self.update = update;
        self
    }

    /// Sets whether an expired entry that is still there can be seen.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_state::{StateTtlConfig, TtlVisibility};
    ///
    /// let hour = StateTtlConfig::new(Duration::from_secs(3600));
    /// assert_eq!(hour.visibility(TtlVisibility::NeverReturnExpired), hour, "the default");
    /// ```
    pub fn visibility(mut self, visibility: TtlVisibility) -> Self {
        self.visibility = visibility;
        self
    }

    /// Sets how many entries each access (of a key or of a batch) looks at to remove what has expired; 0 for none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_state::StateTtlConfig;
    ///
    /// let hour = StateTtlConfig::new(Duration::from_secs(3600));
    /// assert_eq!(hour.cleanup_incrementally(5), hour, "the default");
    /// ```
    pub fn cleanup_incrementally(mut self, entries: usize) -> Self {
        self.incremental = entries;
        self
    }

    /// Leaves what has expired out of snapshots.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_state::StateTtlConfig;
    ///
    /// let hour = StateTtlConfig::new(Duration::from_secs(3600));
    /// assert_ne!(hour.cleanup_full_snapshot(), hour);
    /// ```
    pub fn cleanup_full_snapshot(mut self) -> Self {
        self.full_snapshot = true;
        self
    }

    /// Has RocksDB leave out what has expired when it merges its files, which is the default. The time is looked at again
    /// after so many entries; otherwise as `state.backend.rocksdb.compaction.filter.query-time-after-num-entries` says.
    ///
    /// Elements that were appended to a list and not merged into one value yet are seen by a later merge.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_state::StateTtlConfig;
    ///
    /// let hour = StateTtlConfig::new(Duration::from_secs(3600));
    /// assert_ne!(hour.cleanup_in_rocksdb_compact_filter(10), hour);
    /// ```
    pub fn cleanup_in_rocksdb_compact_filter(mut self, query_time_after: u64) -> Self {
        self.background = true;
        self.look_again_after = Some(query_time_after);
        self
    }

    /// Leaves it to reads, snapshots and restores to remove what has expired: no access looks at further entries, and
    /// RocksDB keeps them when it merges its files.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_state::StateTtlConfig;
    ///
    /// let hour = StateTtlConfig::new(Duration::from_secs(3600));
    /// assert_ne!(hour.disable_cleanup_in_background(), hour);
    /// ```
    pub fn disable_cleanup_in_background(mut self) -> Self {
        self.background = false;
        self.incremental = 0;
        self
    }

    /// The time to live.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_state::StateTtlConfig;
    ///
    /// let hour = StateTtlConfig::new(Duration::from_secs(3600));
    /// assert_eq!(hour.ttl().as_secs(), 3600);
    /// ```
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Whether state expires at all.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidemill_state::{StateTtlConfig, TtlUpdate};
    ///
    /// let hour = StateTtlConfig::new(Duration::from_secs(3600));
    /// assert!(hour.is_enabled() && !hour.update(TtlUpdate::Disabled).is_enabled());
    /// ```
    pub fn is_enabled(&self) -> bool {
        self.update != TtlUpdate::Disabled
    }
}

/// What a read finds out about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// It lives, and its time is left as it is.
    Live,
    /// It lives, and its time starts anew.
    Renewed,
    /// It has expired and is to be removed; this read still sees it.
    LastSeen,
    /// It has expired and is to be removed unseen.
    Gone,
}

impl Liveness {
    pub(crate) fn is_visible(self) -> bool {
        self != Liveness::Gone
    }

    pub(crate) fn is_expired(self) -> bool {
        matches!(self, Liveness::LastSeen | Liveness::Gone)
    }
}

/// The time to live of one state, with the clock that it goes by.
#[derive(Clone)]
pub(crate) struct Ttl {
    millis: i64,
    config: StateTtlConfig,
    clock: Arc<dyn Clock>,
}

impl Ttl {
    /// `None` when the state does not expire.
    pub(crate) fn new(
        name: &str,
        config: Option<StateTtlConfig>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Self>, StateError> {
        let Some(config) = config.filter(StateTtlConfig::is_enabled) else { return Ok(None) };
        let millis = i64::try_from(config.ttl.as_millis()).unwrap_or(i64::MAX);
        if millis < 1 {
            return Err(StateError::InvalidTtl { name: name.to_owned(), millis });
        }
        Ok(Some(Self { millis, config, clock: Arc::clone(clock) }))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn is_expired(&self, stamp: Timestamp, now: Timestamp) -> bool {
        stamp.saturating_add(self.millis) <= now
    }

    /// What a read at `now` makes of an entry that was last touched at `stamp`.
    pub(crate) fn on_read(&self, stamp: Timestamp, now: Timestamp) -> Liveness {
        if !self.is_expired(stamp, now) {
            match self.config.update {
                TtlUpdate::OnReadAndWrite => Liveness::Renewed,
                _ => Liveness::Live,
            }
        } else {
            match self.config.visibility {
                TtlVisibility::NeverReturnExpired => Liveness::Gone,
                TtlVisibility::ReturnExpiredIfNotCleanedUp => Liveness::LastSeen,
            }
        }
    }

    /// How many entries an access looks at to remove what has expired.
    pub(crate) fn incremental(&self) -> usize {
        self.config.incremental
    }

    /// Whether a store leaves out what has expired when it rewrites its files.
    pub(crate) fn in_background(&self) -> bool {
        self.config.background
    }

    /// After how many entries a store looks at the time again; `None` for as it is configured.
    pub(crate) fn look_again_after(&self) -> Option<u64> {
        self.config.look_again_after
    }

    /// Whether snapshots leave out what has expired.
    pub(crate) fn full_snapshot(&self) -> bool {
        self.config.full_snapshot
    }
}
