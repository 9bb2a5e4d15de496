//! How SQL is planned and executed.

use std::time::Duration;

use super::checks::at_least_one;
use crate::config::ConfigOption;
use crate::config::enumeration::config_enum;
use crate::config::option::declare_options;

config_enum! {
    /// In how many phases groups are aggregated.
    ///
    /// ```
    /// use tidemill_core::config::OptionType;
    /// use tidemill_core::config::options::AggPhaseStrategy;
    ///
    /// assert_eq!(AggPhaseStrategy::parse("two_phase"), Ok(AggPhaseStrategy::TwoPhase));
    /// ```
    AggPhaseStrategy {
        /// In two where that is possible and saves work.
        Auto = "AUTO",
        /// In one.
        OnePhase = "ONE_PHASE",
        /// In two where that is possible.
        TwoPhase = "TWO_PHASE",
    }
}

config_enum! {
    /// Whether an operator in front of a sink that takes rows by primary key keeps all rows of each key, so that the last that is
    /// left is the one that the table has.
    SinkUpsertMaterialize {
        /// Never.
        None = "NONE",
        /// Where rows of several keys of the query may have one primary key.
        Auto = "AUTO",
        /// Before every such sink.
        Force = "FORCE",
    }
}

config_enum! {
    /// Whether rows are dealt out by primary key before a sink.
    SinkKeyedShuffle {
        /// Only where they would lose their order otherwise.
        None = "NONE",
        /// Where as many subtasks write as the table says.
        Auto = "AUTO",
        /// Wherever the table has a primary key.
        Force = "FORCE",
    }
}

config_enum! {
    /// What becomes of rows with NULL in a column that must not be NULL.
    NotNullEnforcer {
        /// The job fails.
        Error = "ERROR",
        /// They are dropped.
        Drop = "DROP",
    }
}

config_enum! {
    /// Whether rows keep their order while tables are looked up for them.
    ///
    /// ```
    /// use tidemill_core::config::OptionType;
    /// use tidemill_core::config::options::AsyncOutputMode;
    ///
    /// assert_eq!(AsyncOutputMode::parse("allow_unordered"), Ok(AsyncOutputMode::AllowUnordered));
    /// ```
    AsyncOutputMode {
        /// They do.
        Ordered = "ORDERED",
        /// They go on as they are answered, between watermarks and where rows are only added.
        AllowUnordered = "ALLOW_UNORDERED",
    }
}

declare_options! {
    /// The time zone of a SQL session, in which `TIMESTAMP_LTZ` is shown and read: its name, such as `Europe/Berlin`; `default`
    /// is UTC.
    TABLE_LOCAL_TIME_ZONE: String = ConfigOption::new("table.local-time-zone").default("default").job();

    /// How long operators of SQL keep state that is not touched; `0 ms` is for ever. After that a group or a row that comes
    /// again is taken for a new one, so results can be wrong: let it be longer than the longest pause of a key.
    TABLE_STATE_TTL: Duration = ConfigOption::new("table.exec.state.ttl").default("0 ms").job();

    /// How long a split of a table of SQL says nothing until event time goes on without it; `0 ms` is never.
    TABLE_SOURCE_IDLE_TIMEOUT: Duration =
        ConfigOption::new("table.exec.source.idle-timeout").default("0 ms").job();

    /// Whether aggregations of groups let rows wait, so that a bundle of them costs one access of state and one change of the result for
    /// each group. `table.exec.mini-batch.allow-latency` and `table.exec.mini-batch.size` must be set then.
    TABLE_MINI_BATCH_ENABLED: bool = ConfigOption::new("table.exec.mini-batch.enabled").default("false").job();

    /// How long rows wait to be aggregated at most, with `table.exec.mini-batch.enabled`. Must be above 0 then. In queries that go by
    /// event time, it is event time that passes.
    TABLE_MINI_BATCH_LATENCY: Duration =
        ConfigOption::new("table.exec.mini-batch.allow-latency").default("0 ms").job();

    /// How many rows wait to be aggregated at most in each subtask, with `table.exec.mini-batch.enabled`. Must be above 0 then.
    TABLE_MINI_BATCH_SIZE: i64 = ConfigOption::new("table.exec.mini-batch.size").default("-1").job();

    /// Whether groups are aggregated in two phases: where the rows are, then, of what that came to, by group. That takes the load off a
    /// subtask whose group has most of the rows. Needs `table.exec.mini-batch.enabled` and functions whose results can be put
    /// together of parts; whatever else there is takes `ONE_PHASE`. `AUTO` is `TWO_PHASE` where both hold.
    TABLE_AGG_PHASE_STRATEGY: AggPhaseStrategy =
        ConfigOption::new("table.optimizer.agg-phase-strategy").default("AUTO").job();

    /// Whether aggregations of `DISTINCT` values are split: first by group and a hash of the value, then by group. That spreads the
    /// values of a group that has most of them over all subtasks.
    TABLE_DISTINCT_AGG_SPLIT_ENABLED: bool =
        ConfigOption::new("table.optimizer.distinct-agg.split.enabled").default("false").job();

    /// Over how many hashes the values of a group are spread, with `table.optimizer.distinct-agg.split.enabled`.
    TABLE_DISTINCT_AGG_SPLIT_BUCKETS: u32 = ConfigOption::new("table.optimizer.distinct-agg.split.bucket-num")
        .default("1024")
        .job()
        .check(at_least_one);

    /// Whether an operator in front of a sink that takes rows by primary key keeps all rows of each key, so that the last that is left is
    /// the one that the table has. `AUTO` does so where rows of several keys of the query may have one primary key.
    TABLE_SINK_UPSERT_MATERIALIZE: SinkUpsertMaterialize =
        ConfigOption::new("table.exec.sink.upsert-materialize").default("AUTO").job();

    /// Whether a query whose rows are told apart by other columns than the primary key of the table is refused unless `INSERT INTO` says
    /// what becomes of rows with the same one: `ON CONFLICT DO DEDUPLICATE`.
    TABLE_SINK_REQUIRE_ON_CONFLICT: bool =
        ConfigOption::new("table.exec.sink.require-on-conflict").default("true").job();

    /// Whether rows are dealt out by primary key before a sink. `AUTO` does so where `sink.parallelism` says how many subtasks write.
    TABLE_SINK_KEYED_SHUFFLE: SinkKeyedShuffle =
        ConfigOption::new("table.exec.sink.keyed-shuffle").default("AUTO").job();

    /// What becomes of rows with NULL in a column of the table that must not be NULL: the job fails, or they are dropped.
    TABLE_SINK_NOT_NULL_ENFORCER: NotNullEnforcer =
        ConfigOption::new("table.exec.sink.not-null-enforcer").default("ERROR").job();

    /// Whether tables whose rows are updated may say changes twice, as after a failure of what captures them. The last row of each primary
    /// key, which they need, is kept then.
    TABLE_SOURCE_CDC_EVENTS_DUPLICATE: bool =
        ConfigOption::new("table.exec.source.cdc-events-duplicate").default("false").job();

    /// How many rows of a subtask wait at most while a table is looked up for them by several calls at a time.
    TABLE_ASYNC_LOOKUP_CAPACITY: u32 = ConfigOption::new("table.exec.async-lookup.buffer-capacity")
        .default("100")
        .job()
        .check(at_least_one);

    /// How long a lookup may take, those of its calls that are made again included. After that the job fails.
    TABLE_ASYNC_LOOKUP_TIMEOUT: Duration =
        ConfigOption::new("table.exec.async-lookup.timeout").default("3 min").job();

    /// Whether rows keep their order when several lookups are under way. Rows that are updated or removed always do.
    TABLE_ASYNC_LOOKUP_OUTPUT_MODE: AsyncOutputMode =
        ConfigOption::new("table.exec.async-lookup.output-mode").default("ORDERED").job();
}
