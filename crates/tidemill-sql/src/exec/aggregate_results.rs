//! Results of aggregate functions: columns of what accumulators come to.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Decimal128Builder, Float32Builder, Float64Builder, StringBuilder,
};
use arrow_array::{Array, ArrayRef, Int8Array, Int16Array, Int32Array, Int64Array, make_array};
use tidemill_runtime::OperatorError;

use super::accumulators::{Accumulators, Datum, Form, Function, Functions, failed, form, wrong_type};
use super::gathered;
use super::moments;
use super::row::RowReader;
use crate::functions::aggregate::AggregateKind;
use crate::types::arrow::data_type;
use crate::types::{LogicalType, TypeRoot};
use crate::udf::UserAggregate;

/// Columns of results that are being built.
pub(crate) struct Results(Vec<ResultBuilder>);

struct ResultBuilder {
    kind: AggregateKind,
    returns: LogicalType,
    argument_scale: u8,
    /// See [`Function`].
    is_quotient: bool,
    column: ResultColumn,
}

enum ResultColumn {
    Int(Vec<Option<i64>>),
    Float(Vec<Option<f64>>),
    Decimal(Vec<Option<i128>>),
    Text(StringBuilder),
    Rows(RowReader),
    /// The accumulators of a function of the session's own.
    Own(UserAggregate, Vec<Option<Box<[u8]>>>),
}

impl Results {
    /// Builders for the results of `functions`.
    pub(crate) fn new(functions: &Functions) -> Self {
        Self(functions.all().iter().map(ResultBuilder::new).collect())
    }

    /// Adds the results of a group.
    pub(crate) fn push(
        &mut self,
        functions: &Functions,
        accumulators: &Accumulators,
    ) -> Result<(), OperatorError> {
        for (builder, function) in self.0.iter_mut().zip(functions.all()) {
            builder.push(&accumulators.0[function.at..])?;
        }
        Ok(())
    }

    /// The columns; the builders are empty then.
    pub(crate) fn finish(&mut self) -> Result<Vec<ArrayRef>, OperatorError> {
        self.0.iter_mut().map(ResultBuilder::finish).collect()
    }
}

impl ResultBuilder {
    fn new(function: &Function) -> Self {
        let call = &function.call;
        let argument_scale = match call.types.first().map(|logical| &logical.root) {
            Some(TypeRoot::Decimal(_, scale)) => *scale,
            _ => 0,
        };
        let column = match &call.kind {
            AggregateKind::ListAgg { .. }
            | AggregateKind::JsonArrayAgg { .. }
            | AggregateKind::JsonObjectAgg { .. } => ResultColumn::Text(StringBuilder::new()),
            AggregateKind::User(function) => ResultColumn::Own(function.clone(), Vec::new()),
            _ => match form(&call.returns.root) {
                Form::Int => ResultColumn::Int(Vec::new()),
                Form::Float => ResultColumn::Float(Vec::new()),
                Form::Decimal => ResultColumn::Decimal(Vec::new()),
                Form::Bytes => ResultColumn::Rows(RowReader::of_types([&data_type(&call.returns.root)])),
            },
        };
        let (kind, returns, is_quotient) = (call.kind.clone(), call.returns.clone(), function.is_quotient);
        Self { kind, returns, argument_scale, is_quotient, column }
    }

    fn push(&mut self, state: &[Datum]) -> Result<(), OperatorError> {
        let value = match &self.kind {
            AggregateKind::Sum | AggregateKind::Avg if state[1].int() == 0 => Datum::Null,
            AggregateKind::Avg => {
                let count = state[1].int();
                match &state[0] {
                    Datum::Int(sum) if self.is_quotient => {
                        Datum::Int(wrapped(*sum, &self.returns.root).wrapping_div(count))
                    }
                    Datum::Int(sum) => Datum::Int(sum.wrapping_div(count)),
                    Datum::Float(sum) => Datum::Float(sum / count as f64),
                    sum => {
                        let digits = match self.returns.root {
                            TypeRoot::Decimal(_, scale) => scale.saturating_sub(self.argument_scale),
                            _ => 0,
                        };
                        match sum.as_decimal().checked_mul(10i128.pow(u32::from(digits))) {
                            Some(scaled) => Datum::decimal(rounded(scaled, i128::from(count))),
                            None => Datum::Null,
                        }
                    }
                }
            }
            AggregateKind::Variance { sample, root } => match moments::variance(state, *sample) {
                None => Datum::Null,
                Some(variance) => Datum::Float(if *root { variance.sqrt() } else { variance }),
            },
            kind if gathered::gathers(kind) => gathered::result(kind, &state[0])?,
            _ => state[0].clone(),
        };
        match &mut self.column {
            ResultColumn::Own(_, accumulators) => accumulators.push(match value {
                Datum::Bytes(bytes) => Some(bytes),
                _ => None,
            }),
            ResultColumn::Int(values) => values.push(match value {
                Datum::Null => None,
                // What is too large is the greatest number, of small types the last bits of that, as in Java.
                Datum::Float(value) if self.returns.root == TypeRoot::BigInt => Some(value as i64),
                Datum::Float(value) => Some(i64::from(value as i32)),
                other => Some(other.int()),
            }),
            ResultColumn::Float(values) => values.push(match value {
                Datum::Null => None,
                other => Some(other.float()),
            }),
            ResultColumn::Decimal(values) => {
                let TypeRoot::Decimal(precision, scale) = self.returns.root else { return Err(wrong_type()) };
                values.push(
                    match value {
                        Datum::Null => None,
                        Datum::Float(value) => decimal(value, usize::from(scale)),
                        other => Some(other.as_decimal()),
                    }
                    // What does not fit is NULL, as in Flink.
                    .filter(|value| value.unsigned_abs() < 10u128.pow(u32::from(precision))),
                );
            }
            ResultColumn::Text(values) => match value {
                Datum::Bytes(bytes) => values.append_value(String::from_utf8_lossy(&bytes)),
                _ => values.append_null(),
            },
            ResultColumn::Rows(values) => match value {
                Datum::Bytes(bytes) => values.push(&bytes)?,
                _ => values.push_nulls(),
            },
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef, OperatorError> {
        let wanted = data_type(&self.returns.root);
        Ok(match &mut self.column {
            ResultColumn::Int(values) => {
                let values = std::mem::take(values);
                match &self.returns.root {
                    TypeRoot::Boolean => {
                        let mut builder = BooleanBuilder::with_capacity(values.len());
                        values
                            .into_iter()
                            .for_each(|value| builder.append_option(value.map(|value| value != 0)));
                        Arc::new(builder.finish())
                    }
                    TypeRoot::TinyInt => {
                        Arc::new(values.into_iter().map(|v| v.map(|v| v as i8)).collect::<Int8Array>())
                    }
                    TypeRoot::SmallInt => {
                        Arc::new(values.into_iter().map(|v| v.map(|v| v as i16)).collect::<Int16Array>())
                    }
                    _ => {
                        let array: ArrayRef = if wanted.primitive_width() == Some(4) {
                            Arc::new(values.into_iter().map(|v| v.map(|v| v as i32)).collect::<Int32Array>())
                        } else {
                            Arc::new(values.into_iter().collect::<Int64Array>())
                        };
                        let data = array.to_data().into_builder().data_type(wanted).build();
                        make_array(data.map_err(|_| wrong_type())?)
                    }
                }
            }
            ResultColumn::Float(values) => {
                let values = std::mem::take(values);
                if self.returns.root == TypeRoot::Float {
                    let mut builder = Float32Builder::with_capacity(values.len());
                    values
                        .into_iter()
                        .for_each(|value| builder.append_option(value.map(|value| value as f32)));
                    Arc::new(builder.finish())
                } else {
                    let mut builder = Float64Builder::with_capacity(values.len());
                    values.into_iter().for_each(|value| builder.append_option(value));
                    Arc::new(builder.finish())
                }
            }
            ResultColumn::Decimal(values) => {
                let mut builder = Decimal128Builder::with_capacity(values.len()).with_data_type(wanted);
                std::mem::take(values).into_iter().for_each(|value| builder.append_option(value));
                Arc::new(builder.finish())
            }
            ResultColumn::Text(values) => Arc::new(values.finish()),
            ResultColumn::Own(function, accumulators) => {
                let accumulators = std::mem::take(accumulators);
                let encoded: Vec<Option<&[u8]>> = accumulators.iter().map(Option::as_deref).collect();
                let decoded = function.0.decode(&encoded).map_err(failed)?;
                function.0.results(&decoded, &self.returns).map_err(failed)?
            }
            ResultColumn::Rows(values) => {
                let mut columns = values.finish()?;
                columns.pop().ok_or_else(wrong_type)?
            }
        })
    }
}

/// A sum as a number of the type that it is of: it wraps around.
fn wrapped(sum: i64, root: &TypeRoot) -> i64 {
    match root {
        TypeRoot::TinyInt => i64::from(sum as i8),
        TypeRoot::SmallInt => i64::from(sum as i16),
        TypeRoot::Int => i64::from(sum as i32),
        _ => sum,
    }
}

/// The decimal with `scale` digits that is nearest to the shortest text of `value`, which is what Java makes decimals of.
fn decimal(value: f64, scale: usize) -> Option<i128> {
    let text = format!("{}", value.abs());
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let digits: String =
        whole.chars().chain(part.chars().chain(std::iter::repeat('0')).take(scale)).collect();
    let rounds_up = part.as_bytes().get(scale).is_some_and(|digit| *digit >= b'5');
    let digits = digits.parse::<i128>().ok()? + i128::from(rounds_up);
    Some(if value < 0.0 { -digits } else { digits })
}

/// The quotient, half away from zero.
fn rounded(value: i128, by: i128) -> i128 {
    let (quotient, rest) = (value / by, value % by);
    if rest.unsigned_abs() * 2 >= by.unsigned_abs() {
        quotient + value.signum() * by.signum()
    } else {
        quotient
    }
}
