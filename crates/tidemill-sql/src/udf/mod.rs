//! Functions of your own, written in Rust: scalar, table and aggregate functions, which take whole columns.
//!
//! A function implements [`ScalarFunction`], [`TableFunction`] or [`AggregateFunction`] and is added to the [`UserFunctions`] of
//! a session. Where a query calls it, `resolve` is asked with the types of the arguments; it answers which types it wants,
//! to which they are cast where Flink casts implicitly, and which type it gives. Names are matched in any case.
//!
//! ```
//! use std::sync::Arc;
//! use arrow_array::{ArrayRef, cast::AsArray};
//! use tidemill_sql::types::TypeRoot;
//! use tidemill_sql::udf::{Argument, FunctionError, Inputs, Mismatch, ScalarFunction, Signature, UserFunctions};
//!
//! /// `INITIALS(STRING)`: the first letter of each word.
//! struct Initials;
//!
//! impl ScalarFunction for Initials {
//!     fn name(&self) -> &str {
//!         "INITIALS"
//!     }
//!
//!     fn resolve(&self, arguments: &[Argument<'_>]) -> Result<Signature, Mismatch> {
//!         Signature::exact(arguments, &[TypeRoot::STRING], TypeRoot::STRING.nullable())
//!     }
//!
//!     fn evaluate(&self, arguments: &Inputs) -> Result<ArrayRef, FunctionError> {
//!         let names = arguments.get(0)?.text()?;
//!         let initials = (0..arguments.rows()).map(|row| {
//!             let words = names.get(row)?.split_whitespace();
//!             Some(words.filter_map(|word| word.chars().next()).collect::<String>())
//!         });
//!         Ok(Arc::new(initials.collect::<arrow_array::StringArray>()))
//!     }
//! }
//!
//! let mut functions = UserFunctions::default();
//! functions.scalar(Initials)?;
//! assert_eq!(functions.names(), ["INITIALS"]);
//! # Ok::<(), tidemill_sql::SqlError>(())
//! ```

mod aggregate;
mod registered;
mod scalar;
mod table;

pub use crate::functions::kernel::{Argument, Input, Inputs, KernelError as FunctionError, Mismatch, Values};
pub use crate::types::{LogicalType, RowField, TypeRoot};
pub use aggregate::AggregateFunction;
pub use arrow_array;
pub use registered::UserFunctions;
pub use scalar::{ScalarFunction, Signature};
pub use table::{TableFunction, TableRows, TableSignature};

pub(crate) use aggregate::UserAggregate;
pub(crate) use table::UserTable;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// How functions of one's own come to be.
pub(crate) const HOW_TO_ADD: &str = "functions of your own are written in Rust and added by a program of a few lines: \
     tidemill::Cli::new().scalar_function(…).main(), see examples/functions.rs";

/// Calls a function of a user: a panic in it is an error that names the function, as is an error that it gives itself.
fn guarded<T>(name: &str, call: impl FnOnce() -> Result<T, FunctionError>) -> Result<T, FunctionError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| FunctionError(format!("the function {name}: {error}"))),
        Err(panic) => {
            let why = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no reason is given".to_owned());
            Err(FunctionError(format!("the function {name} panicked: {why}")))
        }
    }
}

/// That a column that a function of a user gave is what it said it would be.
fn checked(
    array: arrow_array::ArrayRef,
    logical: &crate::types::LogicalType,
    rows: usize,
) -> Result<arrow_array::ArrayRef, FunctionError> {
    let wanted = crate::types::arrow::data_type(&logical.root);
    if *array.data_type() != wanted {
        return Err(FunctionError(format!(
            "it gave a column of {} where {logical} needs one of {wanted}",
            array.data_type()
        )));
    }
    if array.len() != rows {
        return Err(FunctionError(format!("it gave {} values for {rows} rows", array.len())));
    }
    if !logical.nullable && array.null_count() > 0 {
        return Err(FunctionError(format!("it gave NULL, but said that its result is {logical}")));
    }
    Ok(array)
}
