use super::FUNCTIONS;
use crate::functions::cast::testing::{Given, call, check_nearly, literal, null, value};

/// The columns of a small table: as Flink 2.3 answers.
#[test]
fn answers_as_flink() {
    check_nearly(FUNCTIONS, include_str!("flink.tsv"));
}

fn ask(name: &str, given: &[Given]) -> String {
    call(FUNCTIONS, name, given)
}

fn one(name: &str, logical: &str, text: &str) -> String {
    ask(name, &[value(logical, text)])
}

fn two(name: &str, logical: &str, text: &str, digits: &str) -> String {
    ask(name, &[value(logical, text), literal("INT", digits)])
}

#[test]
fn rounding() {
    for (logical, text, digits, wanted) in [
        ("DECIMAL(2, 1)", "2.5", "0", "DECIMAL(2, 0) 3"),
        ("DECIMAL(2, 1)", "-2.5", "0", "DECIMAL(2, 0) -3"),
        ("DOUBLE", "2.5", "0", "DOUBLE 3.0"),
        ("DOUBLE", "-2.5", "0", "DOUBLE -3.0"),
        // The digits that the number is written with count, not its bits.
        ("DOUBLE", "1.005", "2", "DOUBLE 1.01"),
        ("DOUBLE", "0.285", "2", "DOUBLE 0.29"),
        ("DOUBLE", "-0.4", "0", "DOUBLE 0.0"),
        ("DOUBLE", "-0.5", "0", "DOUBLE -1.0"),
        ("DOUBLE", "9.995", "2", "DOUBLE 10.0"),
        ("DOUBLE", "0.5", "0", "DOUBLE 1.0"),
        ("DOUBLE", "1e-10", "5", "DOUBLE 0.0"),
        ("DOUBLE", "1e300", "2", "DOUBLE 1.0E300"),
        ("DOUBLE", "1e300", "-400", "DOUBLE 0.0"),
        ("DOUBLE", "1.25e-5", "6", "DOUBLE 1.3E-5"),
        ("DOUBLE", "12345.6", "-2", "DOUBLE 12300.0"),
        ("DOUBLE", "2.25", "400", "DOUBLE 2.25"),
        ("FLOAT", "1.15", "1", "FLOAT 1.1"),
        ("FLOAT", "2.5", "0", "FLOAT 3.0"),
        ("DECIMAL(5, 3)", "12.345", "2", "DECIMAL(5, 2) 12.35"),
        ("DECIMAL(5, 3)", "12.345", "5", "DECIMAL(5, 3) 12.345"),
        ("DECIMAL(5, 3)", "12.345", "-1", "DECIMAL(3, 0) 10"),
        ("DECIMAL(5, 3)", "12.345", "-2", "DECIMAL(3, 0) 0"),
        ("DECIMAL(5, 3)", "12.345", "-2147483648", "DECIMAL(3, 0) 0"),
        ("DECIMAL(4, 2)", "99.95", "1", "DECIMAL(4, 1) 100.0"),
        ("DECIMAL(38, 0)", "99999999999999999999999999999999999999", "-1", "DECIMAL(38, 0) NULL"),
        ("INT", "12345", "-2", "INT 12300"),
        ("INT", "7", "400", "INT 7"),
        ("TINYINT", "127", "-1", "TINYINT -126"),
        ("INT", "2147483647", "-1", "INT -2147483646"),
        ("BIGINT", "9223372036854775807", "-1", "BIGINT -9223372036854775806"),
        ("BIGINT", "9223372036854775807", "-2147483648", "BIGINT 0"),
    ] {
        assert_eq!(two("ROUND", logical, text, digits), wanted, "ROUND({text}, {digits})");
    }
    assert_eq!(one("ROUND", "DOUBLE", "NaN"), "fails: NaN cannot be rounded");
    assert_eq!(one("ROUND", "DOUBLE", "-Infinity"), "fails: -Infinity cannot be rounded");
    // How many digits there are is not known when the type is.
    let decimal = |digits: &str| ask("ROUND", &[value("DECIMAL(5, 3)", "12.345"), value("INT", digits)]);
    assert_eq!(decimal("1"), "DECIMAL(5, 3) 12.300");
    assert_eq!(decimal("7"), "DECIMAL(5, 3) 12.345");
    assert_eq!(ask("ROUND", &[value("INT", "1"), null("INT")]), "INT NULL");
    assert_eq!(ask("ROUND", &[null("DECIMAL(5, 3)"), literal("INT", "1")]), "DECIMAL(4, 1) NULL");
    assert_eq!(one("ROUND", "STRING", "1"), "refused: expects (numeric) or (numeric, integer)");
    assert!(two("ROUND", "STRING", "1", "1").starts_with("refused"));
}

#[test]
fn truncation() {
    for (logical, text, digits, wanted) in [
        ("DECIMAL(5, 3)", "-12.345", "2", "DECIMAL(5, 2) -12.34"),
        ("DECIMAL(5, 3)", "12.345", "-1", "DECIMAL(3, 0) 10"),
        ("DOUBLE", "1.999", "2", "DOUBLE 1.99"),
        ("DOUBLE", "-1.999", "2", "DOUBLE -1.99"),
        ("DOUBLE", "28.999999999999996", "0", "DOUBLE 28.0"),
        ("DOUBLE", "1e-20", "30", "DOUBLE 0.0"),
        ("DOUBLE", "1e25", "2", "DOUBLE 1.0E25"),
        ("FLOAT", "3.14159", "3", "FLOAT 3.141"),
        ("INT", "-12399", "-2", "INT -12300"),
        ("BIGINT", "123456789012", "-3", "BIGINT 123456789000"),
        ("TINYINT", "127", "-1", "TINYINT 120"),
    ] {
        assert_eq!(two("TRUNCATE", logical, text, digits), wanted, "TRUNCATE({text}, {digits})");
    }
    assert_eq!(one("TRUNCATE", "DOUBLE", "NaN"), "fails: NaN cannot be rounded");
}

#[test]
fn extremes_of_whole_numbers() {
    assert_eq!(one("ABS", "TINYINT", "-128"), "TINYINT -128");
    assert_eq!(one("ABS", "INT", "-2147483648"), "INT -2147483648");
    assert_eq!(one("ABS", "BIGINT", "-9223372036854775808"), "BIGINT -9223372036854775808");
    assert_eq!(one("ABS", "DECIMAL(5, 3)", "-12.345"), "DECIMAL(5, 3) 12.345");
    assert_eq!(one("CEIL", "DECIMAL(3, 1)", "99.9"), "DECIMAL(3, 0) 100");
    assert_eq!(one("CEILING", "DECIMAL(2, 1)", "-1.5"), "DECIMAL(2, 0) -1");
    assert_eq!(one("FLOOR", "DECIMAL(2, 1)", "-1.5"), "DECIMAL(2, 0) -2");
    assert_eq!(one("FLOOR", "DECIMAL(2, 1)", "-2.0"), "DECIMAL(2, 0) -2");
    assert_eq!(one("FLOOR", "FLOAT", "-1.5"), "FLOAT -2.0");
    assert_eq!(one("SIGN", "DECIMAL(5, 3)", "-12.345"), "DECIMAL(5, 3) -1.000");
    assert_eq!(one("SIGN", "DOUBLE", "-0.0"), "DOUBLE -0.0");
    assert_eq!(one("SIGN", "DOUBLE", "NaN"), "DOUBLE NaN");
    assert_eq!(one("SIGN", "TINYINT", "-5"), "TINYINT -1");
    assert!(one("ABS", "INTERVAL YEAR TO MONTH", "1").starts_with("refused"));
    assert_eq!(one("ABS", "STRING", "1"), "refused: expects (numeric)");
}

#[test]
fn doubles() {
    assert_eq!(one("SQRT", "INT", "-1"), "DOUBLE NaN");
    assert_eq!(one("LN", "INT", "0"), "DOUBLE -Infinity");
    assert_eq!(one("LOG", "INT", "1"), "DOUBLE 0.0");
    assert_eq!(two("LOG", "INT", "2", "8"), "DOUBLE 3.0");
    assert_eq!(two("LOG", "INT", "1", "5"), "DOUBLE Infinity");
    assert_eq!(two("POWER", "INT", "0", "-1"), "DOUBLE Infinity");
    assert_eq!(two("ATAN2", "INT", "1", "2"), "DOUBLE 0.4636476090008061");
    assert_eq!(one("COT", "INT", "0"), "DOUBLE Infinity");
    assert_eq!(ask("PI", &[]), "DOUBLE NOT NULL 3.141592653589793");
    assert_eq!(ask("E", &[]), "DOUBLE NOT NULL 2.718281828459045");
    assert_eq!(ask("SIN", &[null("DECIMAL(5, 3)")]), "DOUBLE NULL");
    assert_eq!(two("POWER", "STRING", "0", "1"), "refused: expects (numeric, numeric)");
    assert_eq!(two("MOD", "INT", "-7", "3"), "INT -1");
    assert_eq!(two("MOD", "DOUBLE", "-7", "3"), "refused: expects (exact numeric, exact numeric)");
}

#[test]
fn other_bases() {
    assert_eq!(one("BIN", "INT", "4"), "STRING 100");
    assert_eq!(one("BIN", "TINYINT", "-1"), format!("STRING {}", "1".repeat(64)));
    assert_eq!(ask("BIN", &[literal("INT", "0")]), "STRING NOT NULL 0");
    assert_eq!(one("HEX", "INT", "20"), "STRING 14");
    assert_eq!(one("HEX", "INT", "-1"), "STRING FFFFFFFFFFFFFFFF");
    assert_eq!(one("HEX", "STRING", "é"), "STRING C3A9");
    assert_eq!(ask("HEX", &[null("STRING")]), "STRING NULL");
    assert_eq!(one("HEX", "DOUBLE", "1"), "refused: expects (integer) or (string)");
    assert_eq!(one("UNHEX", "STRING", "41"), "BYTES A");
    assert_eq!(one("UNHEX", "STRING", "xx"), "BYTES NULL");
    assert_eq!(one("UNHEX", "STRING", ""), "BYTES ");
    assert_eq!(one("UNHEX", "STRING", "4a4B"), "BYTES JK");
    // The first of an odd number of digits is lost, but must be one.
    assert_eq!(one("UNHEX", "STRING", "A4B"), "BYTES \0K");
    assert_eq!(one("UNHEX", "STRING", "x4B"), "BYTES NULL");
}

/// Results of `rows` rows, without the type.
fn draw(name: &str, given: &[Given], rows: usize) -> Vec<String> {
    use crate::functions::cast::testing::context;
    use crate::functions::kernel::{Argument, Input, Inputs};
    let function = FUNCTIONS.iter().find(|function| function.name == name).unwrap();
    let arguments: Vec<_> = given
        .iter()
        .map(|given| Argument { logical: &given.logical, literal: given.literal.as_ref() })
        .collect();
    let resolved = (function.resolve)(&context(), &arguments).unwrap();
    let inputs = given.iter().map(|given| Input::constant(given.array.clone())).collect();
    let array = (resolved.kernel)(&Inputs::new(inputs, rows)).unwrap();
    (0..rows)
        .map(|row| {
            let mut text = String::new();
            crate::functions::cast::format_value(
                &array,
                &resolved.returns,
                chrono_tz::Tz::UTC,
                row,
                &mut text,
            );
            text
        })
        .collect()
}

#[test]
fn random_numbers() {
    assert!(FUNCTIONS.iter().filter(|function| !function.deterministic).count() == 3);
    assert_eq!(draw("RAND", &[literal("INT", "1")], 1), ["0.7308781907032909"]);
    assert_eq!(draw("RAND", &[literal("INT", "42")], 1), ["0.7275636800328681"]);
    assert_eq!(draw("RAND_INTEGER", &[literal("INT", "42"), literal("INT", "7")], 2), ["1", "5"]);
    assert_eq!(draw("RAND_INTEGER", &[literal("INT", "1"), literal("INT", "100")], 1), ["85"]);
    assert_eq!(draw("RAND_INTEGER", &[literal("INT", "7"), literal("INT", "16")], 1), ["11"]);
    assert_eq!(draw("RAND_INTEGER", &[literal("INT", "7"), literal("INT", "2147483647")], 1), ["1569164236"]);
    assert_eq!(draw("RAND_INTEGER", &[literal("INT", "-5"), literal("INT", "1073741824")], 1), ["289159705"]);
    // A seed of a column starts anew for each row.
    let seeds = draw("RAND_INTEGER", &[value("INT", "42"), literal("INT", "7")], 3);
    assert_eq!(seeds, ["1", "1", "1"]);
    assert_eq!(
        ask("RAND_INTEGER", &[literal("INT", "0")]),
        "fails: the bound of a random number is 0, not positive"
    );
    for number in draw("RAND", &[], 1000) {
        let number: f64 = number.parse().unwrap();
        assert!((0.0..1.0).contains(&number));
    }
    assert!(
        draw("RAND_INTEGER", &[literal("INT", "3")], 100)
            .iter()
            .all(|number| "012".contains(number.as_str()))
    );
    assert_eq!(draw("RAND", &[null("INT")], 1), ["NULL"]);
}

#[test]
fn identifiers() {
    let all = draw("UUID", &[], 1000);
    for text in &all {
        assert_eq!(text.len(), 36);
        assert_eq!(text.match_indices('-').map(|(index, _)| index).collect::<Vec<_>>(), [8, 13, 18, 23]);
        assert_eq!(&text[14..15], "4");
        assert!("89ab".contains(&text[19..20]));
    }
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
}
