//! Functions of the values of a row.

use std::sync::Arc;

use arrow_array::ArrayRef;

use super::{Argument, FunctionError, Inputs, Mismatch, checked, guarded};
use crate::functions::kernel::{Kernel, Resolved};
use crate::types::coercion::is_implicit;
use crate::types::{LogicalType, TypeRoot};

/// A function that gives one value for each row. See [the module](super).
pub trait ScalarFunction: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &str;

    /// What it does, in one sentence, for `DESCRIBE FUNCTION`.
    fn description(&self) -> &str {
        ""
    }

    /// Whether the same arguments always give the same result. Calls of such a function over literals are computed while a query
    /// is planned.
    fn is_deterministic(&self) -> bool {
        true
    }

    /// Says which types a call takes and gives.
    ///
    /// # Errors
    /// When the function does not take such arguments: says what it expects.
    fn resolve(&self, arguments: &[Argument<'_>]) -> Result<Signature, Mismatch>;

    /// The results of some rows, one for each: a column of the type that [`resolve`](Self::resolve) has said.
    ///
    /// # Errors
    /// When a result cannot be computed: that fails the job.
    fn evaluate(&self, arguments: &Inputs) -> Result<ArrayRef, FunctionError>;
}

/// The types that a call takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The types that the arguments are cast to, one for each.
    pub arguments: Vec<LogicalType>,
    /// The type of the result.
    pub returns: LogicalType,
}

impl Signature {
    /// Of a call that takes exactly arguments of `types`, or what Flink casts to them implicitly.
    ///
    /// ```
    /// use tidemill_sql::types::TypeRoot;
    /// use tidemill_sql::udf::{Argument, Signature};
    ///
    /// let int = TypeRoot::Int.not_null();
    /// let given = [Argument { logical: &int, literal: None }];
    /// let taken = Signature::exact(&given, &[TypeRoot::BigInt], TypeRoot::BigInt.nullable())?;
    /// assert_eq!(taken.arguments, [TypeRoot::BigInt.not_null()]);
    /// assert!(Signature::exact(&[], &[TypeRoot::BigInt], TypeRoot::BigInt.nullable()).is_err());
    /// # Ok::<(), tidemill_sql::udf::Mismatch>(())
    /// ```
    ///
    /// # Errors
    /// When there are more or fewer arguments, or one is of another type.
    pub fn exact(
        arguments: &[Argument<'_>],
        types: &[TypeRoot],
        returns: LogicalType,
    ) -> Result<Self, Mismatch> {
        Ok(Self { arguments: exact(arguments, types)?, returns })
    }
}

/// The types that arguments are cast to when they must be of `types`.
pub(super) fn exact(arguments: &[Argument<'_>], types: &[TypeRoot]) -> Result<Vec<LogicalType>, Mismatch> {
    let fits = |(argument, wanted): (&Argument<'_>, &TypeRoot)| {
        let from = argument.logical.clone().with_nullable(false);
        argument.logical.root == TypeRoot::Null || is_implicit(&from, &wanted.clone().not_null())
    };
    if arguments.len() != types.len() || !arguments.iter().zip(types).all(fits) {
        let shown: Vec<String> = types.iter().map(ToString::to_string).collect();
        return Err(Mismatch::new(format!("expects ({})", shown.join(", "))));
    }
    let cast = types.iter().zip(arguments);
    Ok(cast
        .map(|(root, argument)| {
            let nullable = argument.logical.nullable || argument.logical.root == TypeRoot::Null;
            LogicalType { root: root.clone(), nullable }
        })
        .collect())
}

/// That there is a type for each argument of a call.
pub(super) fn complete(given: usize, taken: &[LogicalType]) -> Result<(), Mismatch> {
    if given == taken.len() {
        return Ok(());
    }
    Err(Mismatch::new(format!("was given {given} arguments, but says the types of {}", taken.len())))
}

/// A call as the binder has it.
pub(super) fn resolved(
    function: &Arc<dyn ScalarFunction>,
    arguments: &[Argument<'_>],
) -> Result<Resolved, Mismatch> {
    let Signature { arguments: taken, returns } = function.resolve(arguments)?;
    complete(arguments.len(), &taken)?;
    let (function, logical) = (Arc::clone(function), returns.clone());
    let kernel: Kernel = Arc::new(move |inputs: &Inputs| {
        let name = function.name();
        guarded(name, || checked(function.evaluate(inputs)?, &logical, inputs.rows()))
    });
    Ok(Resolved { arguments: taken, returns, kernel })
}
