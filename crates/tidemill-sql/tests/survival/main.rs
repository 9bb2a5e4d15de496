//! The operators of queries against naive models of them.
//!
//! An operator gets made-up changes of its inputs and watermarks; after each of them, what it has let out so far must fold to
//! the table that the model says: straight through, with little room for output, snapshotted and restored at random moments, also in
//! the middle of a batch, and at changing parallelism; with state in memory and in RocksDB. See [`tidemill_testkit::Script`].
//!
//! To add an operator, write a test that
//! 1. makes a [`Subject`](subject::Subject) of a query, naming the operator as `EXPLAIN` does. It is driven with the operators
//!    beside it that compute columns only, so that rows go in as the tables or sub-queries below have them, and come out as the query
//!    selects them. A sub-query that aggregates, such as `t_updated`, makes an input whose rows are updated and taken
//!    away;
//! 2. says what rows are made of: a [`Domain`](rows::Domain) for each input;
//! 3. says what the table is: a function of the tables that the inputs are, or, where order or time matter, a
//!    [`Model`](model::Model) that is told of each step.
//!
//! What fails is shown as short as it can be; `TIDEMILL_SEED` repeats the choices of a run, and `PROPTEST_CASES` says how many
//! cases are tried.

// All of this is test code, helpers included: a failed unwrap is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod aggregates;
mod bundles;
mod changelogs;
mod hints;
mod joins;
mod model;
mod plans;
mod ranks;
mod rows;
mod singles;
mod sorted_rows;
mod subject;
mod windows;
