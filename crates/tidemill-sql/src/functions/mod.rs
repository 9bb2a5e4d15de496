//! The functions that queries may call: the registry, and the built-in ones, a chapter of Flink's documentation a module.

pub(crate) mod aggregate;
pub(crate) mod arithmetic;
pub mod cast;
pub(crate) mod collection;
pub(crate) mod conditional;
pub(crate) mod decimal;
pub(crate) mod hash;
pub(crate) mod java_number;
pub(crate) mod json;
pub mod kernel;
pub(crate) mod operators;
pub mod reference;
pub(crate) mod regex;
pub(crate) mod registry;
pub(crate) mod special;
pub(crate) mod streaming;
pub(crate) mod support;
pub(crate) mod table;
pub(crate) mod temporal;
pub(crate) mod text;
