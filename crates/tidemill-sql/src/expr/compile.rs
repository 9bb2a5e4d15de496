//! From resolved expressions to DataFusion's physical ones, which evaluate them over columns.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{DataFusionError, ScalarValue};
use datafusion_expr::{
    ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::ScalarFunctionExpr;
use datafusion_physical_expr::expressions::{
    BinaryExpr, CaseExpr, Column, IsNotNullExpr, IsNullExpr, Literal, NotExpr, in_list,
};
use tidemill_core::Fault;
use tidemill_runtime::OperatorError;

use super::{Expr, Function};
use crate::functions::kernel::{Input, Inputs, Kernel, KernelError};
use crate::types::LogicalType;
use crate::types::arrow::data_type;

/// An expression that can be evaluated.
#[derive(Clone)]
pub(crate) struct Compiled {
    expr: Arc<dyn PhysicalExpr>,
    /// A column of the input is passed on as it is.
    column: Option<usize>,
}

impl Compiled {
    /// Compiles `expr` over columns of types `input`.
    pub(crate) fn new(expr: &Expr, input: &SchemaRef) -> Result<Self, OperatorError> {
        let column = expr.as_column();
        let compiled = physical(expr, input).map_err(|error| failed(&error))?;
        Ok(Self { expr: compiled, column })
    }

    /// All of `exprs`.
    pub(crate) fn all<'a>(
        exprs: impl IntoIterator<Item = &'a Expr>,
        input: &SchemaRef,
    ) -> Result<Vec<Self>, OperatorError> {
        exprs.into_iter().map(|expr| Self::new(expr, input)).collect()
    }

    /// The value of each row.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef, OperatorError> {
        if let Some(column) = self.column
            && let Some(array) = batch.columns().get(column)
        {
            return Ok(Arc::clone(array));
        }
        let value = self.expr.evaluate(batch).map_err(|error| failed(&error))?;
        value.into_array(batch.num_rows()).map_err(|error| failed(&error))
    }

    /// Whether it holds, for each row; NULL is `false`. `None` when it holds for all of them.
    pub(crate) fn matches(&self, batch: &RecordBatch) -> Result<Option<BooleanArray>, OperatorError> {
        let value = self.evaluate(batch)?;
        let Some(booleans) = value.as_boolean_opt() else {
            let found = value.data_type();
            let message = format!("a condition gave values of type {found} instead of truth values");
            return Err(OperatorError::new("TM-SQL-EVALUATION", Fault::Internal, message));
        };
        let matches = match booleans.nulls() {
            Some(nulls) if nulls.null_count() > 0 => {
                BooleanArray::new(booleans.values() & nulls.inner(), None)
            }
            _ => booleans.clone(),
        };
        Ok((matches.true_count() < matches.len()).then_some(matches))
    }
}

/// The schema of columns called by their number.
pub(crate) fn arrow_schema<'a>(types: impl IntoIterator<Item = &'a LogicalType>) -> SchemaRef {
    let fields: Vec<Field> = types
        .into_iter()
        .enumerate()
        .map(|(index, logical)| Field::new(format!("f{index}"), data_type(&logical.root), true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// A batch of `rows` rows of `columns`.
pub(crate) fn record_batch(
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch, OperatorError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(|error| {
        OperatorError::new("TM-SQL-COLUMNS", Fault::Internal, format!("columns do not make a batch: {error}"))
    })
}

/// Evaluates an expression without columns.
pub(crate) fn constant(expr: &Expr) -> Result<ScalarValue, OperatorError> {
    let schema = arrow_schema([]);
    let batch = record_batch(&schema, Vec::new(), 1)?;
    let array = Compiled::new(expr, &schema)?.evaluate(&batch)?;
    ScalarValue::try_from_array(&array, 0).map_err(|error| failed(&error))
}

fn failed(error: &DataFusionError) -> OperatorError {
    let (message, fault) = match error.find_root() {
        DataFusionError::External(inner) if inner.is::<KernelError>() => (inner.to_string(), Fault::User),
        DataFusionError::ArrowError(inner, _) => (inner.to_string(), Fault::User),
        other => (other.to_string(), Fault::Internal),
    };
    OperatorError::new("TM-SQL-EVALUATION", fault, message)
}

fn physical(expr: &Expr, input: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let sub = |expr: &Expr| physical(expr, input);
    Ok(match expr {
        Expr::Column { index, .. } => Arc::new(Column::new(input.field(*index).name(), *index)),
        Expr::Literal { value, logical } => {
            // A NULL has the type of where it stands.
            let typed = if value.is_null() {
                ScalarValue::try_from(data_type(&logical.root))?
            } else {
                value.clone()
            };
            Arc::new(Literal::new(typed))
        }
        Expr::Field { input: row, index, logical, .. } => {
            let index = *index;
            let kernel: Kernel = Arc::new(move |inputs: &Inputs| field(inputs.get(0)?, index));
            let function =
                Function { name: "FIELD".into(), returns: logical.clone(), deterministic: true, kernel };
            call(&function, vec![sub(row)?])
        }
        Expr::Call { function, arguments } => {
            call(function, arguments.iter().map(sub).collect::<Result<_, _>>()?)
        }
        Expr::Case { branches, otherwise, .. } => {
            let branches = branches.iter().map(|(when, then)| Ok((sub(when)?, sub(then)?)));
            let branches = branches.collect::<Result<Vec<_>, DataFusionError>>()?;
            Arc::new(CaseExpr::try_new(None, branches, Some(sub(otherwise)?))?)
        }
        Expr::And(all) => chained(all, Operator::And, input)?,
        Expr::Or(all) => chained(all, Operator::Or, input)?,
        Expr::Not(inner) => Arc::new(NotExpr::new(sub(inner)?)),
        Expr::IsNull { input: inner, negated: false } => Arc::new(IsNullExpr::new(sub(inner)?)),
        Expr::IsNull { input: inner, negated: true } => Arc::new(IsNotNullExpr::new(sub(inner)?)),
        Expr::IsTruth { input: inner, truth, negated } => {
            // `x IS TRUE` is `x AND x IS NOT NULL`, which is never NULL.
            let value = sub(inner)?;
            let wanted: Arc<dyn PhysicalExpr> =
                if *truth { Arc::clone(&value) } else { Arc::new(NotExpr::new(Arc::clone(&value))) };
            let known: Arc<dyn PhysicalExpr> = Arc::new(IsNotNullExpr::new(value));
            let holds: Arc<dyn PhysicalExpr> = Arc::new(BinaryExpr::new(known, Operator::And, wanted));
            if *negated { Arc::new(NotExpr::new(holds)) } else { holds }
        }
        Expr::InList { input: inner, list, negated } => {
            let values =
                list.iter().map(|value| Arc::new(Literal::new(value.clone())) as Arc<dyn PhysicalExpr>);
            in_list(sub(inner)?, values.collect(), negated, input)?
        }
        Expr::Pending { .. } => {
            return Err(DataFusionError::Internal("an expression was not resolved to the end".to_owned()));
        }
    })
}

/// Longer chains become balanced trees: they are evaluated, and dropped, as deep as they are.
const LONG: usize = 64;

fn chained(
    all: &[Expr],
    operator: Operator,
    input: &SchemaRef,
) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    if all.len() > LONG {
        let (one, other) = all.split_at(all.len() / 2);
        let (one, other) = (chained(one, operator, input)?, chained(other, operator, input)?);
        return Ok(Arc::new(BinaryExpr::new(one, operator, other)));
    }
    let mut result: Option<Arc<dyn PhysicalExpr>> = None;
    for expr in all {
        let next = physical(expr, input)?;
        result = Some(match result {
            None => next,
            Some(before) => Arc::new(BinaryExpr::new(before, operator, next)),
        });
    }
    Ok(result
        .unwrap_or_else(|| Arc::new(Literal::new(ScalarValue::Boolean(Some(operator == Operator::And))))))
}

fn field(row: &Input, index: usize) -> Result<ArrayRef, KernelError> {
    let Some(rows) = row.array().as_any().downcast_ref::<StructArray>() else {
        return Err(KernelError("a field was asked of what is no row".to_owned()));
    };
    let Some(column) = rows.columns().get(index) else {
        return Err(KernelError(format!("a row has no field {index}")));
    };
    if rows.null_count() == 0 {
        return Ok(Arc::clone(column));
    }
    // The fields of a row that is NULL are NULL.
    let nulls = NullBuffer::union(rows.nulls(), column.nulls());
    let data = column.to_data().into_builder().nulls(nulls);
    Ok(arrow_array::make_array(data.build()?))
}

fn call(function: &Function, arguments: Vec<Arc<dyn PhysicalExpr>>) -> Arc<dyn PhysicalExpr> {
    let returns = data_type(&function.returns.root);
    let udf = KernelFunction {
        function: function.clone(),
        returns: returns.clone(),
        signature: Signature::variadic_any(if function.deterministic {
            Volatility::Immutable
        } else {
            Volatility::Volatile
        }),
    };
    let field = Arc::new(Field::new(&*function.name, returns, true));
    let udf = Arc::new(ScalarUDF::new_from_impl(udf));
    Arc::new(ScalarFunctionExpr::new(
        &function.name,
        udf,
        arguments,
        field,
        Arc::new(ConfigOptions::default()),
    ))
}

/// A kernel as a function of DataFusion's.
#[derive(Debug)]
struct KernelFunction {
    function: Function,
    returns: DataType,
    signature: Signature,
}

impl PartialEq for KernelFunction {
    fn eq(&self, other: &Self) -> bool {
        // Two calls with the same name and type may have patterns of their own in their kernels.
        Arc::ptr_eq(&self.function.kernel, &other.function.kernel)
    }
}

impl Eq for KernelFunction {}

impl Hash for KernelFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for KernelFunction {
    fn name(&self) -> &str {
        &self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let constant = self.function.deterministic
            && args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let inputs = args.args.into_iter().map(|value| match value {
            ColumnarValue::Array(array) => Ok(Input::column(array)),
            ColumnarValue::Scalar(scalar) => Ok(Input::constant(scalar.to_array_of_size(1)?)),
        });
        let inputs = Inputs::new(inputs.collect::<Result<_, DataFusionError>>()?, rows);
        let result =
            (self.function.kernel)(&inputs).map_err(|error| DataFusionError::External(Box::new(error)))?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}
