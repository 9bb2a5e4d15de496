//! Functions of the rows of a group.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::ArrayRef;
use tidemill_serialization::{Data, Input as Bytes};

use super::scalar::complete;
use super::{Argument, FunctionError, Inputs, Mismatch, Signature, checked, guarded};
use crate::types::LogicalType;

/// A function that gives one value for each group of rows.
///
/// It keeps an accumulator a group, which is stored as it encodes itself (`#[derive(Record)]` does that for a struct).
/// A call hands over many rows of many groups: `accumulators` are those of the groups, and `groups` says of each row
/// which of them is its own.
///
/// ```
/// use std::sync::Arc;
/// use arrow_array::{ArrayRef, Float64Array, cast::AsArray, types::Float64Type};
/// use tidemill_sql::types::TypeRoot;
/// use tidemill_sql::udf::{AggregateFunction, Argument, FunctionError, Inputs, Mismatch, Signature};
///
/// /// `GEOMETRIC_MEAN(DOUBLE)`.
/// struct GeometricMean;
///
/// impl AggregateFunction for GeometricMean {
///     /// The sum of the logarithms, and how many there are.
///     type Accumulator = (f64, i64);
///
///     fn name(&self) -> &str {
///         "GEOMETRIC_MEAN"
///     }
///
///     fn resolve(&self, arguments: &[Argument<'_>]) -> Result<Signature, Mismatch> {
///         Signature::exact(arguments, &[TypeRoot::Double], TypeRoot::Double.nullable())
///     }
///
///     fn accumulate(
///         &self,
///         accumulators: &mut [(f64, i64)],
///         groups: &[u32],
///         arguments: &Inputs,
///     ) -> Result<(), FunctionError> {
///         let values = arguments.get(0)?.primitive::<Float64Type>()?;
///         for (row, group) in groups.iter().enumerate() {
///             if let Some(value) = values.get(row) {
///                 let (sum, count) = &mut accumulators[*group as usize];
///                 (*sum, *count) = (*sum + value.ln(), *count + 1);
///             }
///         }
///         Ok(())
///     }
///
///     fn merge(&self, into: &mut (f64, i64), other: &(f64, i64)) -> Result<(), FunctionError> {
///         *into = (into.0 + other.0, into.1 + other.1);
///         Ok(())
///     }
///
///     fn results(&self, accumulators: &[(f64, i64)]) -> Result<ArrayRef, FunctionError> {
///         let mean = |(sum, count): &(f64, i64)| (*count > 0).then(|| (sum / *count as f64).exp());
///         Ok(Arc::new(accumulators.iter().map(mean).collect::<Float64Array>()))
///     }
/// }
/// ```
pub trait AggregateFunction: Send + Sync + 'static {
    /// What is kept of a group; its default is that of no rows.
    type Accumulator: Data + Default;

    /// Its name.
    fn name(&self) -> &str;

    /// What it does, in one sentence, for `DESCRIBE FUNCTION`.
    fn description(&self) -> &str {
        ""
    }

    /// Whether rows can be taken away again, by [`retract`](Self::retract). Without that, the function is refused over rows that are
    /// updated or deleted.
    fn can_retract(&self) -> bool {
        false
    }

    /// Says which types a call takes and gives.
    ///
    /// # Errors
    /// When the function does not take such arguments: says what it expects.
    fn resolve(&self, arguments: &[Argument<'_>]) -> Result<Signature, Mismatch>;

    /// Takes rows in. Rows whose arguments are NULL are among them.
    ///
    /// # Errors
    /// When that cannot be: that fails the job.
    fn accumulate(
        &self,
        accumulators: &mut [Self::Accumulator],
        groups: &[u32],
        arguments: &Inputs,
    ) -> Result<(), FunctionError>;

    /// Takes rows out that were taken in before. Of one batch, all rows that come are taken in before any is taken out.
    ///
    /// # Errors
    /// When that cannot be: that fails the job.
    fn retract(
        &self,
        accumulators: &mut [Self::Accumulator],
        groups: &[u32],
        arguments: &Inputs,
    ) -> Result<(), FunctionError> {
        let _ = (accumulators, groups, arguments);
        Err(FunctionError("rows cannot be taken out of it".to_owned()))
    }

    /// Adds the rows of `other`, which are of the same group and came later, or of a later part of a window.
    ///
    /// # Errors
    /// When that cannot be: that fails the job.
    fn merge(&self, into: &mut Self::Accumulator, other: &Self::Accumulator) -> Result<(), FunctionError>;

    /// The results of some groups, one for each: a column of the type that [`resolve`](Self::resolve) has said.
    ///
    /// # Errors
    /// When a result cannot be computed: that fails the job.
    fn results(&self, accumulators: &[Self::Accumulator]) -> Result<ArrayRef, FunctionError>;
}

/// Accumulators of a type that only their function knows.
pub(crate) type AnyAccumulators = Box<dyn Any + Send>;

/// An aggregate function without the type of its accumulators.
pub(crate) trait ErasedAggregate: Send + Sync {
    fn name(&self) -> &str;
    fn description(&self) -> &str;
    fn can_retract(&self) -> bool;
    fn resolve(&self, arguments: &[Argument<'_>]) -> Result<Signature, Mismatch>;
    /// The accumulators that are encoded; those of no rows where nothing is.
    fn decode(&self, encoded: &[Option<&[u8]>]) -> Result<AnyAccumulators, FunctionError>;
    /// Takes rows in, or out.
    fn update(
        &self,
        accumulators: &mut AnyAccumulators,
        groups: &[u32],
        arguments: &Inputs,
        retract: bool,
    ) -> Result<(), FunctionError>;
    fn encode(&self, accumulators: &AnyAccumulators) -> Result<Vec<Box<[u8]>>, FunctionError>;
    fn merge(&self, into: &[u8], other: &[u8]) -> Result<Box<[u8]>, FunctionError>;
    fn results(
        &self,
        accumulators: &AnyAccumulators,
        returns: &LogicalType,
    ) -> Result<ArrayRef, FunctionError>;
}

fn mixed_up() -> FunctionError {
    FunctionError("accumulators of another function came".to_owned())
}

fn decoded<A: Data>(bytes: &[u8]) -> Result<A, FunctionError> {
    let mut input = Bytes::new(bytes);
    let accumulator = A::decode(&mut input);
    match accumulator {
        Ok(accumulator) if input.remaining() == 0 => Ok(accumulator),
        Ok(_) => Err(FunctionError(format!(
            "its stored accumulator has {} bytes more than it reads: was it of another type?",
            input.remaining()
        ))),
        Err(error) => Err(FunctionError(format!("its stored accumulator cannot be read: {error}"))),
    }
}

fn encoded<A: Data>(accumulator: &A) -> Box<[u8]> {
    let mut bytes = Vec::new();
    accumulator.encode(&mut bytes);
    bytes.into()
}

impl<F: AggregateFunction> ErasedAggregate for F {
    fn name(&self) -> &str {
        AggregateFunction::name(self)
    }

    fn description(&self) -> &str {
        AggregateFunction::description(self)
    }

    fn can_retract(&self) -> bool {
        AggregateFunction::can_retract(self)
    }

    fn resolve(&self, arguments: &[Argument<'_>]) -> Result<Signature, Mismatch> {
        let signature = AggregateFunction::resolve(self, arguments)?;
        complete(arguments.len(), &signature.arguments)?;
        Ok(signature)
    }

    fn decode(&self, bytes: &[Option<&[u8]>]) -> Result<AnyAccumulators, FunctionError> {
        guarded(AggregateFunction::name(self), || {
            let all = bytes.iter().map(|bytes| match bytes {
                Some(bytes) => decoded::<F::Accumulator>(bytes),
                None => Ok(F::Accumulator::default()),
            });
            Ok(Box::new(all.collect::<Result<Vec<_>, _>>()?) as AnyAccumulators)
        })
    }

    fn update(
        &self,
        accumulators: &mut AnyAccumulators,
        groups: &[u32],
        arguments: &Inputs,
        retract: bool,
    ) -> Result<(), FunctionError> {
        let all = accumulators.downcast_mut::<Vec<F::Accumulator>>().ok_or_else(mixed_up)?;
        guarded(AggregateFunction::name(self), || {
            if retract {
                AggregateFunction::retract(self, all, groups, arguments)
            } else {
                AggregateFunction::accumulate(self, all, groups, arguments)
            }
        })
    }

    fn encode(&self, accumulators: &AnyAccumulators) -> Result<Vec<Box<[u8]>>, FunctionError> {
        let all = accumulators.downcast_ref::<Vec<F::Accumulator>>().ok_or_else(mixed_up)?;
        Ok(all.iter().map(encoded).collect())
    }

    fn merge(&self, into: &[u8], other: &[u8]) -> Result<Box<[u8]>, FunctionError> {
        guarded(AggregateFunction::name(self), || {
            let (mut merged, other) = (decoded::<F::Accumulator>(into)?, decoded(other)?);
            AggregateFunction::merge(self, &mut merged, &other)?;
            Ok(encoded(&merged))
        })
    }

    fn results(
        &self,
        accumulators: &AnyAccumulators,
        returns: &LogicalType,
    ) -> Result<ArrayRef, FunctionError> {
        let all = accumulators.downcast_ref::<Vec<F::Accumulator>>().ok_or_else(mixed_up)?;
        guarded(AggregateFunction::name(self), || {
            checked(AggregateFunction::results(self, all)?, returns, all.len())
        })
    }
}

/// An aggregate function of a user where it is called.
#[derive(Clone)]
pub(crate) struct UserAggregate(pub(crate) Arc<dyn ErasedAggregate>);

impl std::fmt::Debug for UserAggregate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

impl PartialEq for UserAggregate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for UserAggregate {}

impl Hash for UserAggregate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name().hash(state);
    }
}
