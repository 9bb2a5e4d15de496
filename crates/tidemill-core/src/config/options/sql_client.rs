//! The SQL shell, and what it shows.

use super::checks::at_least_one;
use crate::config::ConfigOption;
use crate::config::enumeration::config_enum;
use crate::config::option::declare_options;

config_enum! {
    /// How the shell shows the results of queries.
    ///
    /// ```
    /// use tidemill_core::config::OptionType;
    /// use tidemill_core::config::options::ResultMode;
    ///
    /// assert_eq!(ResultMode::parse("TABLEAU"), Ok(ResultMode::Tableau));
    /// ```
    ResultMode {
        /// The table, updated in place.
        Table = "table",
        /// Its changes, in place.
        Changelog = "changelog",
        /// Its changes, line by line.
        Tableau = "tableau",
    }
}

declare_options! {
    /// How `tidemill sql` shows the results of queries: the `table` updated in place, its changes in place, or its changes line by
    /// line, as it does where there is no terminal.
    SQL_RESULT_MODE: ResultMode = ConfigOption::new("sql-client.execution.result-mode").default("table").job();

    /// How many rows are kept to be shown in place: of more, the oldest are forgotten.
    SQL_MAX_TABLE_ROWS: u32 =
        ConfigOption::new("sql-client.execution.max-table-result.rows").default("1000000").job().check(at_least_one);

    /// Whether it is said how long a query took.
    SQL_PRINT_TIME_COST: bool = ConfigOption::new("sql-client.display.print-time-cost").default("true").job();

    /// How wide columns of text are at most, in changes and in tables that are updated in place.
    SQL_COLUMN_WIDTH: u32 = ConfigOption::new("table.display.max-column-width")
        .default("30")
        .job()
        .check(at_least_one);

    /// Whether the shell waits until a job that writes has ended. Scripts and one-liners wait in any case unless this is set to
    /// `false`.
    SQL_DML_SYNC: bool = ConfigOption::new("table.dml-sync").default("false").job();
}
