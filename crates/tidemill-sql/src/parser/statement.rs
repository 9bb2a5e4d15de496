//! What a script says: Flink's statements. Queries and expressions within them are `sqlparser`'s.
//!
//! Where Flink's queries have something that `sqlparser` has no place for, or several, the parser puts it here:
//!
//! # Tables
//!
//! - `TABLE t PARTITION BY a ORDER BY b` as an argument of a table function is a call of [`TABLE_ARGUMENT`] with the
//!   name as its only argument, an identifier or a compound one; partitioning and order are in its `OVER`.
//! - `(SELECT …)` as an argument is an `Expr::Subquery`; with `PARTITION BY` behind it, it is the only argument of a
//!   call of [`TABLE_ARGUMENT`].
//! - `name => value` in a call is a `FunctionArg::Named`; `DEFAULT` as a value is an identifier without quotes.
//! - `FROM 'flights.csv'`, also behind `JOIN` and `DESCRIBE`, is a table whose name is in these quotes: a file.
//! - `FROM TABLE(f(…))` is a `TableFactor::TableFunction` with the call.
//! - `FROM f(…)` is a `TableFactor::Table` with arguments.
//! - `LATERAL TABLE(f(…)) AS t(a, b)` is a `TableFactor::Function` called `f`, lateral.
//! - `UNNEST(x) WITH ORDINALITY AS t(a, b)` is a `TableFactor::UNNEST`.
//! - `FOR SYSTEM_TIME AS OF x` is the `version` of the table, also when a hint or an alias stands next to it.
//! - `(SELECT …) MATCH_RECOGNIZE (…)` has as its input a table called [`SUBQUERY`] with the query as its only argument.
//! - `WITHIN INTERVAL '1' DAY` in `MATCH_RECOGNIZE` is the first symbol of `DEFINE`, called [`WITHIN`].
//! - `SKIP TO a` in `MATCH_RECOGNIZE` is `AfterMatchSkip::ToLast`.
//! - `TABLE t` as a query is `SELECT * FROM t`; `VALUES 1, 2` is `VALUES (1), (2)`.
//! - `GROUP BY ALL a` is `GROUP BY a`.
//!
//! # Hints
//!
//! - `/*+ OPTIONS('a' = 'b') */` behind a table is in the table's `with_hints`: calls, whose arguments are names,
//!   strings, numbers, or comparisons of two of them as in `'a' = 'b'`.
//! - `/*+ STATE_TTL('t' = '1d') */` behind `SELECT` is in the select's `optimizer_hints`, as text that
//!   [`parse_hints`](super::parse_hints) reads. Its syntax has been checked.
//!
//! # Expressions
//!
//! - A type in `CAST` and `TRY_CAST` is a `DataType::Custom` with the text of the type as its name:
//!   [`logical_type`](super::logical_type) reads every type.
//! - `DATE '…'`, `TIME '…'` and `TIMESTAMP '…'` are an `Expr::TypedString` with `sqlparser`'s own types;
//!   `TIMESTAMP WITH LOCAL TIME ZONE '…'` is one with a custom type.
//! - `INTERVAL '1' DAYS` is an `Expr::Interval` with units in the singular. A sign is a `UnaryOp` around the value,
//!   which may be any expression.
//! - `U&'…'`, `N'…'` and strings that go on in the next line are ordinary strings.
//! - `UNKNOWN` is `CAST(NULL AS BOOLEAN)`.
//! - `MAP['k', v]`, `MULTISET[v]` and `ROW(a, b)` are calls of `MAP`, `MULTISET` and `ROW`; `(a, b)` is an
//!   `Expr::Tuple`.
//! - Many operands of `AND` or `OR` in a row are a balanced tree.
//! - `x BETWEEN SYMMETRIC a AND b` is a call of [`SYMMETRIC_BETWEEN`] with the three, within a `NOT` when negated.
//! - `WHEN a, b THEN` is `WHEN` with a call of [`WHEN_ANY`] with the two.
//! - `CEIL(x)` and `CEILING(x TO DAY)` are `Expr::Ceil`, where no unit is `DateTimeField::NoDateTime`; so with `FLOOR`.
//! - `POSITION(a IN b FROM n)` is a call with three arguments; without `FROM` it is an `Expr::Position`.
//! - `TIMESTAMPADD(DAY, n, t)` and `TIMESTAMPDIFF(SQL_TSI_DAY, t, u)` are calls whose first argument is an identifier:
//!   the unit, in upper case, in the singular and without prefix.
//! - `FINAL LAST(a.b)` and `RUNNING LAST(a.b)` are an `Expr::Prefixed`.
//!
//! # JSON
//!
//! What the functions are told besides values are string literals among the arguments:
//!
//! - `JSON_VALUE(x, p RETURNING INT NULL ON EMPTY DEFAULT 1 ON ERROR)` is a call with `x`, `p`, `'RETURNING'`, `'INT'`,
//!   `'NULL ON EMPTY'`, `'DEFAULT ON ERROR'`, `1`. Behind the path stands only what is written, as it is written: the
//!   type behind `'RETURNING'`, then `'NULL ON …'`, `'ERROR ON …'` or `'DEFAULT ON …'` and its value, for `EMPTY` and
//!   `ERROR` in either order.
//! - `JSON_QUERY` is the same with, behind the type, one of `'WITHOUT WRAPPER'`, `'WITH CONDITIONAL WRAPPER'` and
//!   `'WITH UNCONDITIONAL WRAPPER'`, and with `'EMPTY ARRAY ON …'` and `'EMPTY OBJECT ON …'` instead of a default.
//! - `JSON_EXISTS(x, p TRUE ON ERROR)` is a call with `x`, `p` and, when written, one of `'TRUE ON ERROR'`,
//!   `'FALSE ON ERROR'`, `'UNKNOWN ON ERROR'` and `'ERROR ON ERROR'`.
//! - `JSON_OBJECT(KEY k VALUE v, l : w)` and `JSON_OBJECTAGG(k VALUE v)` are calls with `k`, `v`, `l`, `w`, and always
//!   `'NULL ON NULL'` or `'ABSENT ON NULL'` as the last argument.
//! - `JSON_ARRAY(v, w)` and `JSON_ARRAYAGG(v ORDER BY x)` are calls with `v`, `w`, and always `'ABSENT ON NULL'` or
//!   `'NULL ON NULL'` as the last argument; an order is in `within_group`.

use std::sync::Arc;

use sqlparser::ast::{Expr, Ident, ObjectName, Query};

use crate::error::Position;
use crate::types::LogicalType;

/// The function that stands for `TABLE t` as an argument.
pub const TABLE_ARGUMENT: &str = "$TABLE";

/// The symbol that stands for the time that a match may take.
pub const WITHIN: &str = "$WITHIN";

/// The table that stands for a query in parentheses in front of `MATCH_RECOGNIZE`.
pub const SUBQUERY: &str = "$SUBQUERY";

/// The function that stands for `BETWEEN SYMMETRIC`: of the value, one bound and the other.
pub const SYMMETRIC_BETWEEN: &str = "$SYMMETRIC_BETWEEN";

/// The function that stands for several values behind a `WHEN`.
pub const WHEN_ANY: &str = "$WHEN_ANY";

/// A script.
#[derive(Clone, Debug)]
pub struct Script {
    /// All of its text.
    pub text: Arc<str>,
    /// Its statements in order.
    pub statements: Vec<ScriptStatement>,
}

/// A statement and where it stands.
#[derive(Clone, Debug)]
pub struct ScriptStatement {
    /// What it says.
    pub statement: Statement,
    /// Where it begins.
    pub start: Position,
    /// Its text, without the semicolon.
    pub text: Arc<str>,
}

/// What a statement says.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The names are the statements'.
pub enum Statement {
    /// `SELECT`, `WITH`, `VALUES`, also `TABLE t`.
    Query(Box<Query>),
    /// `INSERT INTO | OVERWRITE`.
    Insert(Insert),
    /// `EXECUTE STATEMENT SET BEGIN … END`, or `BEGIN STATEMENT SET; … END;`.
    StatementSet(Vec<Insert>),
    /// `CREATE [TEMPORARY] TABLE`.
    CreateTable(Box<CreateTable>),
    /// `CREATE TABLE … AS SELECT …`: the table, mostly without columns, as they are those of the query, and the query.
    CreateTableAs(Box<CreateTable>, Box<Query>),
    /// `CREATE [TEMPORARY] VIEW`.
    CreateView(Box<CreateView>),
    /// `CREATE CATALOG`.
    CreateCatalog { name: Ident, if_not_exists: bool, comment: Option<String>, options: Vec<TableOption> },
    /// `CREATE DATABASE`.
    CreateDatabase {
        name: ObjectName,
        if_not_exists: bool,
        comment: Option<String>,
        options: Vec<TableOption>,
    },
    /// `CREATE [TEMPORARY [SYSTEM]] FUNCTION`: kept as written, to be refused with advice.
    CreateFunction { name: ObjectName, class: String, language: Option<String> },
    /// `ALTER TABLE`.
    AlterTable { name: ObjectName, if_exists: bool, action: AlterTable },
    /// `ALTER VIEW`.
    AlterView { name: ObjectName, action: AlterView },
    /// `ALTER DATABASE … SET (…)`.
    AlterDatabase { name: ObjectName, options: Vec<TableOption> },
    /// `DROP CATALOG | DATABASE | TABLE | VIEW | FUNCTION`.
    Drop { kind: ObjectKind, name: ObjectName, if_exists: bool, temporary: bool, cascade: bool },
    /// `USE CATALOG c`.
    UseCatalog(Ident),
    /// `USE [c.]d`.
    UseDatabase(ObjectName),
    /// `SHOW …`.
    Show(Show),
    /// `DESCRIBE t`, `DESC t`.
    Describe { name: ObjectName, extended: bool },
    /// `DESCRIBE FUNCTION [EXTENDED] f`.
    DescribeFunction(ObjectName),
    /// `DESCRIBE JOB 'id'`.
    DescribeJob(String),
    /// `EXPLAIN [details] statement` and `EXPLAIN PLAN FOR statement`.
    Explain { details: Vec<ExplainDetail>, statement: Box<ScriptStatement> },
    /// `SET 'key' = 'value'`; without both: show all; without the value: show one.
    Set { key: Option<String>, value: Option<String> },
    /// `RESET 'key'`; without: all.
    Reset { key: Option<String> },
    /// `ADD JAR`, `REMOVE JAR`, `SHOW JARS` with the path.
    Jar { path: String },
    /// `SHOW JOBS` is in [`Show`]; `STOP JOB 'id' [WITH SAVEPOINT] [WITH DRAIN]`.
    StopJob { job: String, savepoint: bool, drain: bool },
    /// `TRUNCATE TABLE`, `DELETE FROM`, `UPDATE`, `ANALYZE TABLE`, `CALL`, `LOAD MODULE` and others that are known but
    /// not supported: its first words.
    Unsupported { what: String },
    /// `HELP`, `QUIT`, `EXIT`, `CLEAR` of the shell.
    Shell(ShellCommand),
}

/// A command of the shell that is no SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ShellCommand {
    Help,
    Quit,
    Clear,
}

/// `INSERT INTO | OVERWRITE t [PARTITION (a = 1)] [(columns)] query`.
#[derive(Clone, Debug)]
pub struct Insert {
    /// Into what.
    pub table: ObjectName,
    /// Where that stands.
    pub position: Position,
    /// The columns, when they are named.
    pub columns: Vec<Ident>,
    /// Static partitions.
    pub partition: Vec<(Ident, Expr)>,
    /// `OVERWRITE`.
    pub overwrite: bool,
    /// Hints behind the table: calls.
    pub hints: Vec<Expr>,
    /// What.
    pub query: Box<Query>,
    /// `ON CONFLICT DO …`.
    pub on_conflict: Option<OnConflict>,
}

/// What `INSERT … ON CONFLICT DO` does with rows of one key from several keys of the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum OnConflict {
    Error,
    Nothing,
    Deduplicate,
}

/// `'key' = 'value'` in `WITH (…)` and `SET (…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableOption {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// Where the key stands.
    pub position: Position,
}

/// `CREATE TABLE`.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// Its name.
    pub name: ObjectName,
    /// Where that stands.
    pub position: Position,
    /// `TEMPORARY`.
    pub temporary: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Its columns.
    pub columns: Vec<ColumnDefinition>,
    /// `(a, b)` in `CREATE TABLE t (a, b) … AS`: names only, in which order the query's columns are taken.
    pub column_order: Vec<Ident>,
    /// `WATERMARK FOR column AS expression`.
    pub watermark: Option<WatermarkDefinition>,
    /// `PRIMARY KEY (…) NOT ENFORCED`.
    pub primary_key: Option<PrimaryKey>,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// `PARTITIONED BY (…)`.
    pub partitioned_by: Vec<Ident>,
    /// `DISTRIBUTED BY …`: known, but refused.
    pub distributed: Option<Position>,
    /// `WITH (…)`.
    pub options: Vec<TableOption>,
    /// `LIKE other (…)`.
    pub like: Option<LikeTable>,
}

/// `PRIMARY KEY (…)`.
#[derive(Clone, Debug)]
pub struct PrimaryKey {
    /// Its columns.
    pub columns: Vec<Ident>,
    /// `NOT ENFORCED` was written.
    pub not_enforced: bool,
    /// Where it stands.
    pub position: Position,
}

/// A column of `CREATE TABLE`.
#[derive(Clone, Debug)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: Ident,
    /// What it is.
    pub kind: ColumnKind,
    /// `COMMENT`.
    pub comment: Option<String>,
}

/// What a column is.
#[derive(Clone, Debug)]
pub enum ColumnKind {
    /// `name type`.
    Physical(LogicalType),
    /// `name type METADATA [FROM 'key'] [VIRTUAL]`.
    Metadata {
        /// Its type.
        logical: LogicalType,
        /// `FROM 'key'`.
        key: Option<String>,
        /// Not written by sinks.
        is_virtual: bool,
    },
    /// `name AS expression`.
    Computed(Expr),
}

/// `WATERMARK FOR column AS expression`.
#[derive(Clone, Debug)]
pub struct WatermarkDefinition {
    /// The column, a field of a row when there are several names.
    pub column: Vec<Ident>,
    /// The watermark.
    pub expression: Expr,
    /// Where it stands.
    pub position: Position,
}

/// `LIKE table [(INCLUDING ALL EXCLUDING OPTIONS …)]`.
#[derive(Clone, Debug)]
pub struct LikeTable {
    /// The other table.
    pub table: ObjectName,
    /// What is merged, in order.
    pub options: Vec<(MergeStrategy, LikeFeature)>,
    /// Where it stands.
    pub position: Position,
}

/// How a feature of the other table is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MergeStrategy {
    Including,
    Excluding,
    Overwriting,
}

/// A feature of a table that `LIKE` takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LikeFeature {
    All,
    Constraints,
    Distribution,
    Generated,
    Metadata,
    Options,
    Partitions,
    Watermarks,
}

/// `CREATE VIEW`.
#[derive(Clone, Debug)]
pub struct CreateView {
    /// Its name.
    pub name: ObjectName,
    /// Where that stands.
    pub position: Position,
    /// `TEMPORARY`.
    pub temporary: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// Names of its columns, when they are given.
    pub columns: Vec<Ident>,
    /// `COMMENT`.
    pub comment: Option<String>,
    /// The query.
    pub query: Box<Query>,
    /// Its text.
    pub text: Arc<str>,
}

/// What `ALTER TABLE` does.
#[derive(Clone, Debug)]
pub enum AlterTable {
    /// `RENAME TO`.
    Rename(ObjectName),
    /// `SET (…)`.
    Set(Vec<TableOption>),
    /// `RESET (…)`.
    Reset(Vec<String>),
    /// Anything else: its words.
    Unsupported(String),
}

/// What `ALTER VIEW` does.
#[derive(Clone, Debug)]
pub enum AlterView {
    /// `RENAME TO`.
    Rename(ObjectName),
    /// `AS query` with its text.
    As(Box<Query>, Arc<str>),
}

/// What `DROP` drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ObjectKind {
    Catalog,
    Database,
    Table,
    View,
    Function,
}

/// What `SHOW` shows.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Show {
    Catalogs,
    CurrentCatalog,
    Databases,
    CurrentDatabase,
    /// `SHOW TABLES [FROM d] [[NOT] LIKE 'pattern']`: whether there is `NOT`, and the pattern.
    Tables {
        from: Option<ObjectName>,
        like: Option<(bool, String)>,
    },
    Views,
    Functions {
        user: bool,
    },
    /// `SHOW COLUMNS FROM t [[NOT] LIKE 'pattern']`, likewise.
    Columns {
        table: ObjectName,
        like: Option<(bool, String)>,
    },
    CreateTable(ObjectName),
    CreateView(ObjectName),
    CreateCatalog(Ident),
    Modules,
    Jars,
    Jobs,
    /// `SHOW … [FROM d] [[NOT] LIKE | ILIKE 'pattern']` of what has no place for these above.
    Filtered {
        show: Box<Show>,
        from: Option<ObjectName>,
        like: Option<LikePattern>,
    },
}

/// `[NOT] LIKE | ILIKE 'pattern'` of `SHOW`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LikePattern {
    /// `NOT`.
    pub negated: bool,
    /// `ILIKE`: upper and lower case are the same.
    pub ignore_case: bool,
    /// The pattern.
    pub pattern: String,
}

/// A detail that `EXPLAIN` is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ExplainDetail {
    EstimatedCost,
    ChangelogMode,
    JsonExecutionPlan,
    PlanAdvice,
}
