//! Arguments of aggregate functions that are more than columns: JSON, percentages, the session's own functions.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use datafusion_common::ScalarValue;
use sqlparser::ast::{self, FunctionArgumentClause, NullTreatment};

use super::Binder;
use super::aggregates::BoundAggregate;
use super::calls::argument_list;
use super::own_calls::{described, mismatched};
use crate::error::{SqlError, SqlResult};
use crate::expr::Expr;
use crate::expr::compile::constant;
use crate::functions::aggregate::AggregateKind;
use crate::types::{LogicalType, TypeRoot};
use crate::udf::UserAggregate;

/// What the last argument of an aggregate function of JSON says about NULL, which the parser has put there.
pub(super) fn json_on_null(name: &str, arguments: &mut Vec<Expr>) -> Option<bool> {
    if !name.starts_with("JSON_") {
        return None;
    }
    match arguments.last().and_then(Expr::literal) {
        Some(ScalarValue::Utf8(Some(text))) if text.ends_with(" ON NULL") => {
            let with_null = text == "NULL ON NULL";
            arguments.pop();
            Some(with_null)
        }
        _ => None,
    }
}

/// Whether a call says `IGNORE NULLS`, in its parentheses or behind them.
pub(super) fn ignores_nulls(function: &ast::Function) -> SqlResult<bool> {
    let clauses = argument_list(function)?.map(|list| list.clauses.as_slice()).unwrap_or_default();
    let within = clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::IgnoreOrRespectNulls(treatment) => Some(*treatment),
        _ => None,
    });
    Ok(matches!(within.or(function.null_treatment), Some(NullTreatment::IgnoreNulls)))
}

impl Binder<'_> {
    /// The last of `arguments` as JSON.
    pub(super) fn as_json(&mut self, arguments: &mut [Expr]) -> SqlResult<()> {
        if let Some(value) = arguments.last_mut() {
            *value = self.call("JSON_STRING", vec![value.clone()])?;
        }
        Ok(())
    }

    /// Takes the parts out of the arguments of `PERCENTILE`, as the bits of doubles; a number and a frequency stay.
    pub(super) fn percentile(&mut self, arguments: &mut Vec<Expr>) -> SqlResult<Vec<u64>> {
        let double = TypeRoot::Double.nullable();
        let part = arguments.remove(1);
        let wanted = match part.logical().root {
            TypeRoot::Array(_) => TypeRoot::Array(Box::new(double.clone())).nullable(),
            _ => double.clone(),
        };
        let wrong = || {
            SqlError::types("PERCENTILE: the part must be a literal number from 0 to 1, or an array of such")
        };
        let part = self.cast_call(part, &wanted, false)?;
        if part.any(|expr| matches!(expr, Expr::Column { .. } | Expr::Pending { .. })) {
            return Err(wrong());
        }
        let parts: Vec<Option<f64>> = match constant(&part).map_err(|_| wrong())? {
            ScalarValue::Float64(value) => vec![value],
            ScalarValue::List(list) => {
                let values = list.value(0);
                values.as_primitive_opt::<Float64Type>().ok_or_else(wrong)?.iter().collect()
            }
            _ => return Err(wrong()),
        };
        if let [value, rest @ ..] = &mut arguments[..] {
            *value = self.implicit_cast(value.clone(), &double)?;
            if let [often] = rest {
                *often = self.implicit_cast(often.clone(), &TypeRoot::BigInt.nullable())?;
            }
        }
        let bits = parts.into_iter().map(|part| match part {
            Some(part) if (0.0..=1.0).contains(&part) => Ok(part.to_bits()),
            _ => Err(wrong()),
        });
        bits.collect()
    }

    /// A call of an aggregate function of the session's own.
    pub(super) fn own_aggregate(
        &mut self,
        function: UserAggregate,
        arguments: Vec<Expr>,
        filter: Option<Expr>,
    ) -> SqlResult<BoundAggregate> {
        let types: Vec<LogicalType> = arguments.iter().map(Expr::logical).collect();
        let signature = function
            .0
            .resolve(&described(&arguments, &types))
            .map_err(|mismatch| mismatched(function.0.name(), &types, &mismatch))?;
        let mut cast = Vec::with_capacity(arguments.len());
        for (argument, to) in arguments.into_iter().zip(&signature.arguments) {
            cast.push(self.implicit_cast(argument, to)?);
        }
        let (kind, returns) = (AggregateKind::User(function), signature.returns);
        Ok(BoundAggregate { kind, arguments: cast, distinct: false, filter, returns })
    }
}
