//! The command line as a part of another program.

use std::io::Write;
use std::process::ExitCode;

use tidemill_sql::udf::{AggregateFunction, ScalarFunction, TableFunction};
use tidemill_sql::{SqlResult, UserFunctions};

use super::{main_with, style};

/// The `tidemill` command with functions of your own, for a program of a few lines:
///
/// ```no_run
/// use std::process::ExitCode;
/// # use std::sync::Arc;
/// # use tidemill::udf::arrow_array::{ArrayRef, StringArray};
/// # use tidemill::udf::{Argument, FunctionError, Inputs, Mismatch, ScalarFunction, Signature, TypeRoot};
/// # struct Initials;
/// # impl ScalarFunction for Initials {
/// #     fn name(&self) -> &str {
/// #         "INITIALS"
/// #     }
/// #     fn resolve(&self, arguments: &[Argument<'_>]) -> Result<Signature, Mismatch> {
/// #         Signature::exact(arguments, &[TypeRoot::STRING], TypeRoot::STRING.nullable())
/// #     }
/// #     fn evaluate(&self, arguments: &Inputs) -> Result<ArrayRef, FunctionError> {
/// #         Ok(Arc::new(StringArray::new_null(arguments.rows())))
/// #     }
/// # }
///
/// fn main() -> ExitCode {
///     tidemill::Cli::new().scalar_function(Initials).main()
/// }
/// ```
///
/// `my-program run job.sql` runs a script that may call `INITIALS`; all else is as with `tidemill`.
#[derive(Debug, Default)]
pub struct Cli {
    functions: UserFunctions,
    wrong: Vec<String>,
}

impl Cli {
    /// The command without functions besides the built-in ones.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function of the values of a row. One that cannot be added, since there is one of its name, is said by
    /// [`main`](Self::main).
    #[must_use]
    pub fn scalar_function(self, function: impl ScalarFunction) -> Self {
        self.added(|functions| functions.scalar(function))
    }

    /// Adds a function that makes rows of a row. See [`scalar_function`](Self::scalar_function).
    #[must_use]
    pub fn table_function(self, function: impl TableFunction) -> Self {
        self.added(|functions| functions.table(function))
    }

    /// Adds a function of the rows of a group. See [`scalar_function`](Self::scalar_function).
    #[must_use]
    pub fn aggregate_function(self, function: impl AggregateFunction) -> Self {
        self.added(|functions| functions.aggregate(function))
    }

    fn added(mut self, add: impl FnOnce(&mut UserFunctions) -> SqlResult<()>) -> Self {
        if let Err(error) = add(&mut self.functions) {
            self.wrong.push(error.to_string());
        }
        self
    }

    /// Runs the command line of this process.
    pub fn main(self) -> ExitCode {
        for line in self.wrong.iter().flat_map(|error| error.lines()) {
            // If stderr is gone, the exit code is all that is left to say.
            let _ = writeln!(anstream::stderr(), "{} {line}", style::error_tag());
        }
        if !self.wrong.is_empty() {
            return ExitCode::from(1);
        }
        main_with(&self.functions)
    }
}
