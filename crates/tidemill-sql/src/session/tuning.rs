//! What the session says about how queries are planned.

use tidemill_core::config::options::{
    AggPhaseStrategy, AsyncOutputMode, TABLE_AGG_PHASE_STRATEGY, TABLE_ASYNC_LOOKUP_CAPACITY,
    TABLE_ASYNC_LOOKUP_OUTPUT_MODE, TABLE_ASYNC_LOOKUP_TIMEOUT, TABLE_DISTINCT_AGG_SPLIT_BUCKETS,
    TABLE_DISTINCT_AGG_SPLIT_ENABLED, TABLE_MINI_BATCH_ENABLED, TABLE_MINI_BATCH_LATENCY,
    TABLE_MINI_BATCH_SIZE, TABLE_SOURCE_CDC_EVENTS_DUPLICATE,
};
use tidemill_core::config::{AnyOption, ConfigOption, OptionType};
use tidemill_state::StateTtlConfig;

use super::SqlSession;
use crate::error::{SqlError, SqlResult};
use crate::exec::lookup_points::AsyncSettings;
use crate::physical::{MiniBatch, PlanSettings};

impl SqlSession {
    pub(super) fn plan_settings(&self) -> SqlResult<PlanSettings> {
        let split = self.tuned(&TABLE_DISTINCT_AGG_SPLIT_ENABLED)?;
        let buckets = self.tuned(&TABLE_DISTINCT_AGG_SPLIT_BUCKETS)?;
        let strategy = self.tuned(&TABLE_AGG_PHASE_STRATEGY)?;
        Ok(PlanSettings {
            ttl: self.duration("table.exec.state.ttl")?.map(StateTtlConfig::new),
            mini_batch: self.mini_batch()?,
            one_phase: strategy == AggPhaseStrategy::OnePhase,
            duplicate_events: self.tuned(&TABLE_SOURCE_CDC_EVENTS_DUPLICATE)?,
            split_distinct: split.then(|| i32::try_from(buckets).unwrap_or(i32::MAX)),
            lookups: AsyncSettings {
                ordered: self.tuned(&TABLE_ASYNC_LOOKUP_OUTPUT_MODE)? == AsyncOutputMode::Ordered,
                timeout: self.tuned(&TABLE_ASYNC_LOOKUP_TIMEOUT)?,
                capacity: usize::try_from(self.tuned(&TABLE_ASYNC_LOOKUP_CAPACITY)?).unwrap_or(usize::MAX),
            },
        })
    }

    fn mini_batch(&self) -> SqlResult<Option<MiniBatch>> {
        let is_enabled = self.tuned(&TABLE_MINI_BATCH_ENABLED)?;
        let latency = self.tuned(&TABLE_MINI_BATCH_LATENCY)?.as_millis();
        let size = self.tuned(&TABLE_MINI_BATCH_SIZE)?;
        if !is_enabled {
            return Ok(None);
        }
        let latency = i64::try_from(latency).unwrap_or(i64::MAX);
        if latency == 0 {
            return Err(SqlError::option(
                "'table.exec.mini-batch.allow-latency' must be greater than 0 ms when 'table.exec.mini-batch.enabled' is true",
            )
            .hint("SET 'table.exec.mini-batch.allow-latency' = '2 s'"));
        }
        Ok(Some(MiniBatch { latency, size }))
    }

    pub(super) fn tuned<T: OptionType>(&self, option: &ConfigOption<T>) -> SqlResult<T> {
        let text = self.option(option.key()).or(option.meta().default).unwrap_or_default();
        option
            .parse(text)
            .map_err(|reason| SqlError::option(format!("'{}' is '{text}': {reason}", option.key())))
    }
}
