//! Functions of your own in SQL: this program is the `tidemill` command with three functions more.
//!
//! ```text
//! cargo run --release --example functions -- run examples/functions.sql
//! ```
//!
//! - `INITIALS(STRING)` gives a value for each row;
//! - `WORDS(STRING)` makes rows of a row: `LATERAL TABLE(WORDS(text)) AS w (word, place)`;
//! - `GEOMETRIC_MEAN(DOUBLE)` gives a value for each group, also over rows that are updated.

use std::process::ExitCode;
use std::sync::Arc;

use tidemill::udf::arrow_array::types::Float64Type;
use tidemill::udf::arrow_array::{ArrayRef, Float64Array, Int32Array, StringArray};
use tidemill::udf::{
    AggregateFunction, Argument, FunctionError, Inputs, Mismatch, ScalarFunction, Signature, TableFunction,
    TableRows, TableSignature, TypeRoot,
};

fn main() -> ExitCode {
    tidemill::Cli::new()
        .scalar_function(Initials)
        .table_function(Words)
        .aggregate_function(GeometricMean)
        .main()
}

/// The first letter of each word of a name.
struct Initials;

impl ScalarFunction for Initials {
    fn name(&self) -> &str {
        "INITIALS"
    }

    fn description(&self) -> &str {
        "The first letter of each word."
    }

    fn resolve(&self, arguments: &[Argument<'_>]) -> Result<Signature, Mismatch> {
        Signature::exact(arguments, &[TypeRoot::STRING], TypeRoot::STRING.nullable())
    }

    fn evaluate(&self, arguments: &Inputs) -> Result<ArrayRef, FunctionError> {
        let names = arguments.get(0)?.text()?;
        let initials = (0..arguments.rows()).map(|row| {
            let words = names.get(row)?.split_whitespace();
            Some(words.filter_map(|word| word.chars().next()).collect::<String>())
        });
        Ok(Arc::new(initials.collect::<StringArray>()))
    }
}

/// A row for each word of a text, with its place from 1.
struct Words;

impl TableFunction for Words {
    fn name(&self) -> &str {
        "WORDS"
    }

    fn description(&self) -> &str {
        "A row for each word, with its place."
    }

    fn resolve(&self, arguments: &[Argument<'_>]) -> Result<TableSignature, Mismatch> {
        let columns = [("word", TypeRoot::STRING.not_null()), ("place", TypeRoot::Int.not_null())];
        TableSignature::exact(arguments, &[TypeRoot::STRING], columns)
    }

    fn evaluate(&self, arguments: &Inputs) -> Result<TableRows, FunctionError> {
        let texts = arguments.get(0)?.text()?;
        let (mut of, mut words, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..arguments.rows() {
            for (place, word) in texts.get(row).unwrap_or_default().split_whitespace().enumerate() {
                of.push(row as u32);
                words.push(word);
                places.push(place as i32 + 1);
            }
        }
        let columns: Vec<ArrayRef> =
            vec![Arc::new(StringArray::from(words)), Arc::new(Int32Array::from(places))];
        Ok(TableRows { of, columns })
    }
}

/// The geometric mean of positive numbers.
struct GeometricMean;

/// The sum of logarithms, and how many there are.
type Logarithms = (f64, i64);

impl GeometricMean {
    fn add(
        accumulators: &mut [Logarithms],
        groups: &[u32],
        arguments: &Inputs,
        sign: i64,
    ) -> Result<(), FunctionError> {
        let values = arguments.get(0)?.primitive::<Float64Type>()?;
        for (row, group) in groups.iter().enumerate() {
            if let Some(value) = values.get(row) {
                let (sum, count) = &mut accumulators[*group as usize];
                *sum += sign as f64 * value.ln();
                *count += sign;
            }
        }
        Ok(())
    }
}

impl AggregateFunction for GeometricMean {
    type Accumulator = Logarithms;

    fn name(&self) -> &str {
        "GEOMETRIC_MEAN"
    }

    fn description(&self) -> &str {
        "The geometric mean of positive numbers."
    }

    fn can_retract(&self) -> bool {
        true
    }

    fn resolve(&self, arguments: &[Argument<'_>]) -> Result<Signature, Mismatch> {
        Signature::exact(arguments, &[TypeRoot::Double], TypeRoot::Double.nullable())
    }

    fn accumulate(
        &self,
        accumulators: &mut [Logarithms],
        groups: &[u32],
        arguments: &Inputs,
    ) -> Result<(), FunctionError> {
        Self::add(accumulators, groups, arguments, 1)
    }

    fn retract(
        &self,
        accumulators: &mut [Logarithms],
        groups: &[u32],
        arguments: &Inputs,
    ) -> Result<(), FunctionError> {
        Self::add(accumulators, groups, arguments, -1)
    }

    fn merge(&self, into: &mut Logarithms, other: &Logarithms) -> Result<(), FunctionError> {
        *into = (into.0 + other.0, into.1 + other.1);
        Ok(())
    }

    fn results(&self, accumulators: &[Logarithms]) -> Result<ArrayRef, FunctionError> {
        let mean = |(sum, count): &Logarithms| (*count > 0).then(|| (sum / *count as f64).exp());
        Ok(Arc::new(accumulators.iter().map(mean).collect::<Float64Array>()))
    }
}
