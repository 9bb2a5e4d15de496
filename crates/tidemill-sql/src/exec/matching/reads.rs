//! Expressions of patterns, ready to be computed: what they read, and the aggregates among it.

use std::ops::Range;

use arrow_array::{RecordBatch, new_empty_array};
use arrow_schema::{DataType, SchemaRef};
use tidemill_runtime::OperatorError;

use crate::exec::accumulators::{Accumulators, Argument, Functions};
use crate::expr::Expr;
use crate::expr::compile::{Compiled, arrow_schema};
use crate::functions::aggregate::AggregateCall;
use crate::plan::{MatchAggregate, MatchExprs, MatchRead, RowPlace};
use crate::types::LogicalType;
use crate::types::arrow::data_type;

/// Where the values of a column that an expression reads come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Row {
        variable: Option<usize>,
        place: RowPlace,
        column: usize,
    },
    /// Function `function` of aggregates number `set`.
    Aggregate {
        set: usize,
        function: usize,
    },
    Time,
}

/// Expressions over what they read.
pub(super) struct Computed {
    pub(super) sources: Vec<Source>,
    /// The columns that are read.
    pub(super) schema: SchemaRef,
    pub(super) exprs: Vec<Compiled>,
}

impl Computed {
    pub(super) fn new(exprs: &MatchExprs, sets: &[AggregateSet]) -> Result<Self, OperatorError> {
        let types: Vec<LogicalType> = exprs.reads.iter().map(MatchRead::logical).collect();
        let schema = arrow_schema(&types);
        let sources = exprs.reads.iter().map(|read| match read {
            MatchRead::Row { variable, place, column, .. } => {
                Source::Row { variable: *variable, place: *place, column: *column }
            }
            MatchRead::Aggregate { variable, aggregate } => {
                let found = sets.iter().enumerate().find(|(_, set)| set.variable == *variable);
                let (set, of_set) = found.map(|(index, set)| (index, &*set.aggregates)).unwrap_or_default();
                let function = of_set.iter().position(|known| known == aggregate).unwrap_or_default();
                Source::Aggregate { set, function }
            }
            MatchRead::Time { .. } => Source::Time,
        });
        Ok(Self { sources: sources.collect(), exprs: Compiled::all(&exprs.exprs, &schema)?, schema })
    }
}

/// The number of the row at `place` among `rows`, when there is one.
pub(super) fn at(rows: &Range<u64>, place: RowPlace) -> Option<u64> {
    let number = match place {
        RowPlace::First(behind) => rows.start.checked_add(u64::from(behind))?,
        RowPlace::Last(before) => rows.end.checked_sub(u64::from(before) + 1)?,
    };
    rows.contains(&number).then_some(number)
}

/// Aggregates of the rows of one variable, or of all rows.
pub(super) struct AggregateSet {
    pub(super) variable: Option<usize>,
    aggregates: Vec<MatchAggregate>,
    pub(super) functions: Functions,
    /// What the functions take, over a row of the input, and its type.
    inputs: Vec<(Compiled, DataType)>,
}

impl AggregateSet {
    /// The aggregates that `reads` name, those of each variable together.
    pub(super) fn all<'r>(
        reads: impl IntoIterator<Item = &'r MatchRead>,
        input: &SchemaRef,
    ) -> Result<Vec<Self>, OperatorError> {
        let mut of_variables: Vec<(Option<usize>, Vec<MatchAggregate>)> = Vec::new();
        for read in reads {
            let MatchRead::Aggregate { variable, aggregate } = read else { continue };
            match of_variables.iter_mut().find(|(known, _)| known == variable) {
                Some((_, all)) if all.contains(aggregate) => {}
                Some((_, all)) => all.push(aggregate.clone()),
                None => of_variables.push((*variable, vec![aggregate.clone()])),
            }
        }
        of_variables.into_iter().map(|(variable, all)| Self::new(variable, all, input)).collect()
    }

    fn new(
        variable: Option<usize>,
        aggregates: Vec<MatchAggregate>,
        input: &SchemaRef,
    ) -> Result<Self, OperatorError> {
        let mut exprs: Vec<Expr> = Vec::new();
        let mut place = |expr: &Expr| {
            exprs.iter().position(|known| known == expr).unwrap_or_else(|| {
                exprs.push(expr.clone());
                exprs.len() - 1
            })
        };
        let calls: Vec<AggregateCall> = aggregates
            .iter()
            .map(|aggregate| AggregateCall {
                name: String::new(),
                kind: aggregate.kind.clone(),
                arguments: aggregate.arguments.iter().map(&mut place).collect(),
                types: aggregate.arguments.iter().map(Expr::logical).collect(),
                distinct: false,
                filter: aggregate.filter.as_ref().map(&mut place),
                returns: aggregate.returns.clone(),
            })
            .collect();
        let types = exprs.iter().map(|expr| data_type(&expr.logical().root));
        let inputs = Compiled::all(&exprs, input)?.into_iter().zip(types).collect();
        Ok(Self { variable, aggregates, functions: Functions::new(&calls), inputs })
    }

    /// What the functions take of the rows of `batch`.
    pub(super) fn arguments(&self, batch: &RecordBatch) -> Result<Vec<Argument>, OperatorError> {
        let column = |(input, of_type): &(Compiled, DataType)| match batch.num_rows() {
            0 => Ok(new_empty_array(of_type)),
            _ => input.evaluate(batch),
        };
        let columns = self.inputs.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        self.functions.all().iter().map(|function| Argument::new(function, &columns)).collect()
    }

    /// Takes a row in.
    pub(super) fn accumulate(
        &self,
        accumulators: &mut Accumulators,
        arguments: &[Argument],
        row: usize,
    ) -> Result<(), OperatorError> {
        for (function, argument) in self.functions.all().iter().zip(arguments) {
            function.accumulate(&mut accumulators.0, argument, row, false)?;
        }
        Ok(())
    }

    /// Whether the rows of `variable` are among those that are aggregated.
    pub(super) fn takes(&self, variable: usize) -> bool {
        self.variable.is_none_or(|own| own == variable)
    }
}
