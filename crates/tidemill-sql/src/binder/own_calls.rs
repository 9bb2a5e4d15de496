//! Calls of the session's own scalar functions, and what is said about calls that do not fit.

use super::Binder;
use super::expressions::folded;
use crate::error::{SqlError, SqlResult};
use crate::expr::{Expr, Function};
use crate::functions::kernel::{Argument, Mismatch};
use crate::types::LogicalType;

impl Binder<'_> {
    /// A call of a function of the session's own.
    pub(super) fn own_call(&mut self, name: &str, arguments: Vec<Expr>) -> SqlResult<Expr> {
        let types: Vec<LogicalType> = arguments.iter().map(Expr::logical).collect();
        let described = described(&arguments, &types);
        let Some((deterministic, resolved)) = self.catalogs.functions.resolve_scalar(name, &described) else {
            return Err(self.unknown_function(name));
        };
        let resolved = resolved.map_err(|mismatch| mismatched(name, &types, &mismatch))?;
        let mut cast = Vec::with_capacity(arguments.len());
        for (argument, to) in arguments.into_iter().zip(&resolved.arguments) {
            cast.push(self.implicit_cast(argument, to)?);
        }
        let function =
            Function { name: name.into(), returns: resolved.returns, deterministic, kernel: resolved.kernel };
        Ok(folded(Expr::Call { function, arguments: cast }))
    }
}

/// The arguments of a call as its function is asked about them.
pub(super) fn described<'a>(arguments: &'a [Expr], types: &'a [LogicalType]) -> Vec<Argument<'a>> {
    let both = arguments.iter().zip(types);
    both.map(|(argument, logical)| Argument { logical, literal: argument.literal() }).collect()
}

/// The error that a function does not take arguments of `types`.
pub(super) fn mismatched(name: &str, types: &[LogicalType], mismatch: &Mismatch) -> SqlError {
    let shown: Vec<String> = types.iter().map(|logical| logical.root.to_string()).collect();
    SqlError::types(format!("{name}({}): it {}", shown.join(", "), mismatch.0))
}
