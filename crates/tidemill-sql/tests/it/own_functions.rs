//! Functions of a session's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidemill_sql::connector::Connectors;
use tidemill_sql::udf::arrow_array::types::Int64Type;
use tidemill_sql::udf::arrow_array::{Array, ArrayRef, Int32Array, Int64Array, StringArray};
use tidemill_sql::udf::{
    AggregateFunction, Argument, FunctionError, Inputs, Mismatch, ScalarFunction, Signature, TableFunction,
    TableRows, TableSignature, TypeRoot,
};
use tidemill_sql::{SqlSession, UserFunctions};

use super::running::{run, run_at};

/// A scalar function of a number that does what its name says.
struct Scalar(&'static str);

impl ScalarFunction for Scalar {
    fn name(&self) -> &str {
        self.0
    }

    fn is_deterministic(&self) -> bool {
        // So that it is called while the job runs.
        false
    }

    fn resolve(&self, arguments: &[Argument<'_>]) -> Result<Signature, Mismatch> {
        Signature::exact(arguments, &[TypeRoot::BigInt], TypeRoot::BigInt.nullable())
    }

    fn evaluate(&self, arguments: &Inputs) -> Result<ArrayRef, FunctionError> {
        let values = arguments.get(0)?.primitive::<Int64Type>()?;
        match self.0 {
            "PANICS" => panic!("no such luck"),
            "FAILS" => Err(FunctionError("does not feel like it".to_owned())),
            "WRONG_TYPE" => Ok(Arc::new(Int32Array::from(vec![1; arguments.rows()]))),
            "TOO_FEW" => Ok(Arc::new(Int64Array::from(Vec::<i64>::new()))),
            _ => Ok(Arc::new(
                (0..arguments.rows()).map(|row| values.get(row).map(|v| v * 2)).collect::<Int64Array>(),
            )),
        }
    }
}

/// The numbers from 1 to each number.
struct UpTo;

impl TableFunction for UpTo {
    fn name(&self) -> &str {
        "up_to"
    }

    fn resolve(&self, arguments: &[Argument<'_>]) -> Result<TableSignature, Mismatch> {
        TableSignature::exact(arguments, &[TypeRoot::BigInt], [("n", TypeRoot::BigInt.not_null())])
    }

    fn evaluate(&self, arguments: &Inputs) -> Result<TableRows, FunctionError> {
        let ends = arguments.get(0)?.primitive::<Int64Type>()?;
        let (mut of, mut numbers) = (Vec::new(), Vec::new());
        for row in 0..arguments.rows() {
            for number in 1..=ends.get(row).unwrap_or(0) {
                of.push(row as u32);
                numbers.push(number);
            }
        }
        Ok(TableRows { of, columns: vec![Arc::new(Int64Array::from(numbers))] })
    }
}

/// The strings of a group, each once, in order.
struct Words {
    retracts: bool,
}

impl AggregateFunction for Words {
    type Accumulator = BTreeMap<String, i64>;

    fn name(&self) -> &str {
        if self.retracts { "WORDS" } else { "WORDS_ADDED" }
    }

    fn can_retract(&self) -> bool {
        self.retracts
    }

    fn resolve(&self, arguments: &[Argument<'_>]) -> Result<Signature, Mismatch> {
        Signature::exact(arguments, &[TypeRoot::STRING], TypeRoot::STRING.nullable())
    }

    fn accumulate(
        &self,
        accumulators: &mut [BTreeMap<String, i64>],
        groups: &[u32],
        arguments: &Inputs,
    ) -> Result<(), FunctionError> {
        let words = arguments.get(0)?.text()?;
        for (row, group) in groups.iter().enumerate() {
            if let Some(word) = words.get(row) {
                *accumulators[*group as usize].entry(word.to_owned()).or_default() += 1;
            }
        }
        Ok(())
    }

    fn retract(
        &self,
        accumulators: &mut [BTreeMap<String, i64>],
        groups: &[u32],
        arguments: &Inputs,
    ) -> Result<(), FunctionError> {
        let words = arguments.get(0)?.text()?;
        for (row, group) in groups.iter().enumerate() {
            if let Some(word) = words.get(row) {
                *accumulators[*group as usize].entry(word.to_owned()).or_default() -= 1;
            }
        }
        accumulators.iter_mut().for_each(|words| words.retain(|_, count| *count != 0));
        Ok(())
    }

    fn merge(
        &self,
        into: &mut BTreeMap<String, i64>,
        other: &BTreeMap<String, i64>,
    ) -> Result<(), FunctionError> {
        other.iter().for_each(|(word, count)| *into.entry(word.clone()).or_default() += count);
        Ok(())
    }

    fn results(&self, accumulators: &[BTreeMap<String, i64>]) -> Result<ArrayRef, FunctionError> {
        let joined = accumulators.iter().map(|words| words.keys().cloned().collect::<Vec<_>>().join(" "));
        let result = StringArray::from_iter_values(joined);
        assert_eq!(result.null_count(), 0);
        Ok(Arc::new(result))
    }
}

fn session() -> SqlSession {
    let mut functions = UserFunctions::default();
    for name in ["TWICE", "PANICS", "FAILS", "WRONG_TYPE", "TOO_FEW"] {
        functions.scalar(Scalar(name)).unwrap();
    }
    functions.table(UpTo).unwrap();
    functions.aggregate(Words { retracts: true }).unwrap();
    functions.aggregate(Words { retracts: false }).unwrap();
    SqlSession::new(Connectors::default(), BTreeMap::new()).with_functions(functions)
}

fn rows(query: &str) -> Vec<String> {
    let mut rows = run(&mut session(), query).unwrap();
    rows.sort_unstable();
    rows
}

fn error(query: &str) -> String {
    run(&mut session(), query).unwrap_err()
}

const NUMBERS: &str = "(VALUES (1, 'a'), (2, 'b'), (CAST(NULL AS INT), 'c'), (3, 'b')) AS t (n, s)";

#[test]
fn scalar_functions_are_called_in_any_case_and_arguments_are_cast() {
    assert_eq!(rows(&format!("SELECT Twice(n) FROM {NUMBERS}")), ["[2]", "[4]", "[6]", "[null]"]);
    let wrong = error("SELECT TWICE('a')");
    assert!(wrong.contains("TWICE(CHAR(1)): it expects (BIGINT)"), "{wrong}");
}

#[test]
fn what_goes_wrong_in_a_function_names_it() {
    for (name, expected) in [
        ("PANICS", "the function PANICS panicked: no such luck"),
        ("FAILS", "the function FAILS: does not feel like it"),
        ("WRONG_TYPE", "the function WRONG_TYPE: it gave a column of Int32 where BIGINT needs one of Int64"),
        ("TOO_FEW", "the function TOO_FEW: it gave 0 values for 4 rows"),
    ] {
        let said = error(&format!("SELECT {name}(n) FROM {NUMBERS}"));
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn table_functions_are_joined() {
    let cross = format!("SELECT t.n, u.n FROM {NUMBERS}, LATERAL TABLE(UP_TO(t.n)) AS u (n)");
    assert_eq!(rows(&cross), ["[1, 1]", "[2, 1]", "[2, 2]", "[3, 1]", "[3, 2]", "[3, 3]"]);
    let left = format!(
        "SELECT t.s, u.m FROM {NUMBERS} LEFT JOIN LATERAL TABLE(UP_TO(n - 1)) AS u (m) ON TRUE WHERE t.s <> 'b'"
    );
    assert_eq!(rows(&left), ["[\"a\", null]", "[\"c\", null]"]);
    assert_eq!(rows("SELECT SUM(n) FROM TABLE(UP_TO(4)) AS u (n)"), ["[10]"]);
}

#[test]
fn a_table_function_may_make_more_rows_than_go_into_a_batch() {
    let many = "SELECT COUNT(*), SUM(u.n) FROM (VALUES (50000), (1), (20000)) AS t (n), LATERAL TABLE(UP_TO(t.n)) AS u (n)";
    assert_eq!(rows(many), [format!("[70001, {}]", 50_000i64 * 50_001 / 2 + 1 + 20_000i64 * 20_001 / 2)]);
}

#[test]
fn aggregate_functions_take_rows_out_again() {
    let grouped = format!(
        "SELECT MOD(n, 2), WORDS(s), WORDS(DISTINCT s) FILTER (WHERE n > 1) FROM {NUMBERS} GROUP BY MOD(n, 2)"
    );
    assert_eq!(rows(&grouped), [r#"[0, "b", "b"]"#, r#"[1, "a b", "b"]"#, r#"[null, "c", ""]"#]);
    let updated = "SELECT WORDS(s) FROM (SELECT k, MAX(s) AS s FROM (VALUES (1, 'a'), (1, 'c'), (2, 'b'), (2, 'd')) AS t (k, s) GROUP BY k)";
    assert_eq!(rows(updated), [r#"["c d"]"#]);
    let refused = error(&updated.replace("WORDS(", "WORDS_ADDED("));
    assert!(refused.contains("WORDS_ADDED is computed over rows that are updated"), "{refused}");
}

#[test]
fn aggregate_functions_work_at_any_parallelism() {
    let many = "SELECT MOD(n, 7) AS k, WORDS(CAST(MOD(n, 3) AS STRING)) FROM TABLE(UP_TO(5000)) AS u (n) GROUP BY MOD(n, 7)";
    for parallelism in [1, 3] {
        let mut found = run_at(&mut session(), many, parallelism).unwrap();
        found.sort_unstable();
        let expected: Vec<String> = (0..7).map(|k| format!("[{k}, \"0 1 2\"]")).collect();
        assert_eq!(found, expected, "at parallelism {parallelism}");
    }
}

#[test]
fn names_that_are_taken_or_none_are_refused() {
    let mut functions = UserFunctions::default();
    assert!(functions.scalar(Scalar("UPPER")).unwrap_err().to_string().contains("built-in"));
    assert!(functions.scalar(Scalar("two words")).is_err());
    functions.scalar(Scalar("MINE")).unwrap();
    assert!(functions.scalar(Scalar("mine")).unwrap_err().to_string().contains("two functions"));
}

#[test]
fn functions_are_listed_and_described() {
    let mut shown = run(&mut session(), "SHOW USER FUNCTIONS").unwrap();
    shown.sort_unstable();
    assert_eq!(shown.len(), 8);
    assert!(shown.contains(&"[\"up_to\"]".to_owned()), "{shown:?}");
    let described = run(&mut session(), "DESCRIBE FUNCTION EXTENDED `upper`").unwrap();
    assert!(described.iter().any(|row| row.contains("UPPER(string)")), "{described:?}");
    let unknown = error("DESCRIBE FUNCTION uper");
    assert!(unknown.contains("did you mean 'UPPER'?"), "{unknown}");
    assert!(error("SELECT TWICEE(1)").contains("did you mean 'TWICE'?"));
}
