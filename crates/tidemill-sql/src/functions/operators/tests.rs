use super::FUNCTIONS;
use crate::functions::cast::testing::{Given, call, check, literal, null, type_of, value};

/// The columns of a small table, in pairs: as Flink 2.3 answers.
#[test]
fn answers_as_flink() {
    check(FUNCTIONS, include_str!("flink.tsv"));
}

fn ask(name: &str, left: (&str, &str), right: (&str, &str)) -> String {
    call(FUNCTIONS, name, &[value(left.0, left.1), value(right.0, right.1)])
}

/// The literal `NULL`.
fn nothing() -> Given {
    Given {
        logical: type_of("NULL"),
        array: std::sync::Arc::new(arrow_array::NullArray::new(1)),
        literal: None,
    }
}

#[test]
fn whole_numbers_wrap() {
    assert_eq!(ask("+", ("TINYINT", "127"), ("TINYINT", "1")), "TINYINT -128");
    assert_eq!(ask("*", ("INT", "2147483647"), ("INT", "2")), "INT -2");
    assert_eq!(ask("/", ("BIGINT", "-9223372036854775808"), ("INT", "-1")), "BIGINT -9223372036854775808");
    assert_eq!(ask("/", ("TINYINT", "-128"), ("TINYINT", "-1")), "TINYINT -128");
    assert_eq!(ask("%", ("BIGINT", "-9223372036854775808"), ("INT", "-1")), "INT 0");
    assert_eq!(ask("%", ("BIGINT", "-9223372036854775808"), ("BIGINT", "-1")), "BIGINT 0");
    assert_eq!(ask("/", ("INT", "-5"), ("INT", "2")), "INT -2");
    assert_eq!(ask("%", ("INT", "-5"), ("INT", "3")), "INT -2");
    assert_eq!(call(FUNCTIONS, "NEGATE", &[value("TINYINT", "-128")]), "TINYINT -128");
    assert_eq!(call(FUNCTIONS, "NEGATE", &[value("INT", "-2147483648")]), "INT -2147483648");
}

#[test]
fn division_by_zero() {
    for (left, right) in
        [("INT", "INT"), ("TINYINT", "BIGINT"), ("DECIMAL(5, 2)", "INT"), ("INT", "DECIMAL(5, 2)")]
    {
        assert_eq!(ask("/", (left, "1"), (right, "0")), "fails: division by zero");
        assert_eq!(ask("%", (left, "1"), (right, "0")), "fails: division by zero");
        // NULL divided by zero is NULL.
        let found = call(FUNCTIONS, "/", &[null(left), value(right, "0")]);
        assert!(found.ends_with("NULL"), "{found}");
    }
    assert_eq!(ask("/", ("DOUBLE", "1"), ("INT", "0")), "DOUBLE Infinity");
    assert_eq!(ask("/", ("DOUBLE", "-1"), ("INT", "0")), "DOUBLE -Infinity");
    assert_eq!(ask("/", ("DOUBLE", "0"), ("DOUBLE", "0")), "DOUBLE NaN");
}

#[test]
fn decimals() {
    assert_eq!(
        ask("*", ("DECIMAL(3, 3)", ".908"), ("BIGINT", "123456789012")),
        "DECIMAL(23, 3) 112098764422.896"
    );
    assert_eq!(
        ask("*", ("DECIMAL(4, 3)", "0.908"), ("BIGINT", "123456789012")),
        "DECIMAL(24, 3) 112098764422.896"
    );
    let most = ("DECIMAL(38, 0)", "99999999999999999999999999999999999999");
    assert_eq!(ask("+", most, ("INT", "7")), "DECIMAL(38, 0) NULL");
    assert_eq!(
        ask("*", most, ("DECIMAL(2, 1)", "0.1")),
        "DECIMAL(38, 1) 9999999999999999999999999999999999999.9"
    );
    assert_eq!(ask("/", most, ("INT", "7")), "DECIMAL(38, 6) NULL");
    assert_eq!(ask("/", ("DECIMAL(2, 1)", "1.0"), ("INT", "3")), "DECIMAL(13, 12) 0.333333333333");
    assert_eq!(ask("/", ("INT", "2"), ("DECIMAL(2, 1)", "3.0")), "DECIMAL(17, 6) 0.666667");
    assert_eq!(ask("%", ("DECIMAL(2, 1)", "7.5"), ("INT", "2")), "DECIMAL(2, 1) 1.5");
    // A DECIMAL without a fraction is made a BIGINT beside a whole number, of its lowest bits.
    assert_eq!(ask("%", most, ("TINYINT", "100")), "TINYINT 79");
}

#[test]
fn nulls() {
    for name in ["+", "-", "*", "/", "%"] {
        assert_eq!(call(FUNCTIONS, name, &[null("INT"), value("INT", "1")]), "INT NULL");
        assert_eq!(call(FUNCTIONS, name, &[value("INT", "1"), null("INT")]), "INT NULL");
        assert!(call(FUNCTIONS, name, &[null("DECIMAL(5, 2)"), value("INT", "1")]).ends_with(" NULL"));
        assert_eq!(
            call(FUNCTIONS, name, &[literal("INT", "6"), literal("INT", "4")]).split(' ').nth(1),
            Some("NOT")
        );
        let found = call(FUNCTIONS, name, &[nothing(), value("INT", "1")]);
        assert!(found.starts_with("refused: expects ("), "{found}");
    }
    for name in ["=", "<>", "<", "<=", ">", ">="] {
        assert_eq!(call(FUNCTIONS, name, &[null("INT"), value("INT", "1")]), "BOOLEAN NULL");
        assert_eq!(call(FUNCTIONS, name, &[null("STRING"), value("STRING", "1")]), "BOOLEAN NULL");
        assert_eq!(call(FUNCTIONS, name, &[nothing(), value("INT", "1")]), "BOOLEAN NULL");
    }
    let both = |name: &str, left: Given, right: Given| call(FUNCTIONS, name, &[left, right]);
    for (left, right, is_distinct) in [
        (null("INT"), null("INT"), "FALSE"),
        (null("INT"), value("INT", "1"), "TRUE"),
        (value("INT", "1"), null("BIGINT"), "TRUE"),
        (value("INT", "1"), value("INT", "1"), "FALSE"),
        (value("INT", "1"), value("DECIMAL(2, 1)", "1.5"), "TRUE"),
        (nothing(), null("INT"), "FALSE"),
    ] {
        let not = if is_distinct == "TRUE" { "FALSE" } else { "TRUE" };
        assert_eq!(
            both("IS DISTINCT FROM", left.clone(), right.clone()),
            format!("BOOLEAN NOT NULL {is_distinct}")
        );
        assert_eq!(both("IS NOT DISTINCT FROM", left, right), format!("BOOLEAN NOT NULL {not}"));
    }
}

#[test]
fn what_is_refused() {
    for (name, left, right) in [
        ("+", "INT", "STRING"),
        ("+", "STRING", "STRING"),
        ("+", "DATE", "INT"),
        ("+", "BOOLEAN", "INT"),
        ("-", "INTERVAL YEAR TO MONTH", "DATE"),
        ("-", "DATE", "DATE"),
        ("-", "TIMESTAMP(3)", "TIMESTAMP(3)"),
        ("+", "INTERVAL YEAR TO MONTH", "INTERVAL DAY TO SECOND"),
        ("*", "INTERVAL YEAR TO MONTH", "DOUBLE"),
        ("*", "DECIMAL(5, 2)", "INTERVAL DAY TO SECOND"),
        ("/", "INTERVAL YEAR TO MONTH", "INT"),
        ("%", "DOUBLE", "INT"),
        ("%", "INT", "FLOAT"),
        ("||", "STRING", "INT"),
        ("=", "INT", "STRING"),
        ("<>", "STRING", "DECIMAL(5, 2)"),
        ("IS DISTINCT FROM", "STRING", "INT"),
        ("=", "BOOLEAN", "STRING"),
        ("=", "INT", "BOOLEAN"),
        ("=", "DATE", "TIMESTAMP(3)"),
        ("<", "TIMESTAMP(3)", "DATE"),
        ("=", "STRING", "BYTES"),
        ("=", "STRING", "INTERVAL YEAR TO MONTH"),
        ("LIKE", "INT", "STRING"),
        ("SIMILAR TO", "STRING", "INT"),
    ] {
        let given = |logical: &str| Given {
            logical: type_of(logical),
            array: arrow_array::new_null_array(&crate::types::arrow::data_type(&type_of(logical).root), 1),
            literal: None,
        };
        let found = call(FUNCTIONS, name, &[given(left), given(right)]);
        assert!(found.starts_with("refused: "), "{left} {name} {right}: {found}");
    }
    assert_eq!(call(FUNCTIONS, "+", &[value("INT", "1")]), "refused: expects 2 arguments");
    assert_eq!(
        call(FUNCTIONS, "NEGATE", &[value("STRING", "1")]),
        "refused: expects (numeric) or (interval)"
    );
}

#[test]
fn intervals() {
    let months = |text: &str| value("INTERVAL YEAR TO MONTH", text);
    let millis = |text: &str| value("INTERVAL DAY TO SECOND", text);
    let moved = |name: &str, logical: &str, text: &str, interval: Given| {
        call(FUNCTIONS, name, &[value(logical, text), interval])
    };
    assert_eq!(moved("+", "DATE", "2024-01-31", months("1")), "DATE 2024-02-29");
    assert_eq!(moved("+", "DATE", "2024-02-29", months("12")), "DATE 2025-02-28");
    assert_eq!(moved("-", "DATE", "1960-03-31", months("1")), "DATE 1960-02-29");
    assert_eq!(moved("-", "DATE", "2024-01-31", months("11")), "DATE 2023-02-28");
    // A DATE has no hours: what is less than a day is cut off.
    assert_eq!(moved("+", "DATE", "2024-01-31", millis("129600000")), "DATE 2024-02-01");
    assert_eq!(moved("-", "DATE", "2024-01-31", millis("129600000")), "DATE 2024-01-30");
    assert_eq!(moved("+", "TIME(0)", "23:59:59", millis("2000")), "TIME(0) 00:00:01");
    assert_eq!(moved("-", "TIME(0)", "00:00:01", millis("86402000")), "TIME(0) 23:59:59");
    assert_eq!(moved("+", "TIME(0)", "12:00:00", millis("108000000")), "TIME(0) 18:00:00");
    assert_eq!(moved("+", "TIME(0)", "12:34:56", months("14")), "TIME(0) 12:34:56");
    assert_eq!(
        moved("+", "TIMESTAMP(1)", "1960-01-31 10:00:00.5", months("1")),
        "TIMESTAMP(1) 1960-02-29 10:00:00.5"
    );
    assert_eq!(
        moved("-", "TIMESTAMP(9)", "2024-01-31 12:34:56.789012345", millis("1000")),
        "TIMESTAMP(9) 2024-01-31 12:34:55.789012345"
    );
    assert_eq!(
        call(FUNCTIONS, "+", &[millis("1000"), value("TIMESTAMP_LTZ(6)", "2024-01-31 12:34:56.789")]),
        "TIMESTAMP_LTZ(6) 2024-01-31 12:34:57.789000"
    );
    assert_eq!(
        moved("+", "TIMESTAMP(9)", "2262-01-01 00:00:00", months("1200")),
        "fails: a TIMESTAMP(9) that an interval was added to is out of range"
    );
    assert_eq!(
        moved("+", "DATE", "2024-01-01", millis("9223372036854775807")),
        "fails: a DATE that an interval was added to is out of range"
    );
    assert_eq!(moved("+", "DATE", "2024-01-01", null("INTERVAL YEAR TO MONTH")), "DATE NULL");
    let number = |name: &str, left: Given, right: Given| call(FUNCTIONS, name, &[left, right]);
    assert_eq!(number("*", months("14"), value("INT", "2")), "INTERVAL YEAR TO MONTH +2-04");
    assert_eq!(number("*", value("TINYINT", "-1"), months("14")), "INTERVAL YEAR TO MONTH -1-02");
    // As many bits as months have.
    assert_eq!(number("*", months("14"), value("BIGINT", "4294967298")), "INTERVAL YEAR TO MONTH +2-04");
    assert_eq!(number("-", millis("1"), millis("1001")), "INTERVAL DAY TO SECOND -0 00:00:01.000");
}

#[test]
fn doubles_compare_as_in_java() {
    let is = |name: &str, left: (&str, &str), right: (&str, &str)| ask(name, left, right) == "BOOLEAN TRUE";
    let (nan, zero, minus) = (("DOUBLE", "NaN"), ("DOUBLE", "0.0"), ("DOUBLE", "-0.0"));
    assert!(!is("=", nan, nan) && is("<>", nan, nan) && !is("<", nan, nan) && !is(">=", nan, nan));
    assert!(!is("<", nan, zero) && !is(">", nan, zero));
    assert!(is("=", minus, zero) && !is("<", minus, zero) && is("<=", minus, zero));
    // Beside a DECIMAL, in the order of Java's Double.compare.
    let decimal = ("DECIMAL(3, 1)", "0.0");
    assert!(is(">", nan, decimal) && is("<", decimal, nan) && !is("=", nan, decimal));
    assert!(is("<", minus, decimal) && is("=", minus, decimal));
    // A FLOAT and a DOUBLE are equal as what the first of them is.
    let (float, double) = (("FLOAT", "0.1"), ("DOUBLE", "0.1"));
    assert!(is("=", float, double) && !is("=", double, float) && is(">", float, double));
    assert_eq!(ask("IS DISTINCT FROM", float, double), "BOOLEAN NOT NULL TRUE");
    // A whole number is made a FLOAT beside one.
    assert!(
        is("=", ("INT", "16777217"), ("FLOAT", "16777216"))
            && !is(">", ("INT", "16777217"), ("FLOAT", "16777216"))
    );
    assert!(!is("=", ("FLOAT", "0.1"), ("DECIMAL(2, 1)", "0.1")));
}

#[test]
fn decimals_compare_exactly_but_for_equality() {
    let (whole, fraction) = (("DECIMAL(38, 0)", "12"), ("DECIMAL(5, 3)", "12.345"));
    // Their common type has no room for a fraction.
    assert_eq!(ask("=", whole, fraction), "BOOLEAN TRUE");
    assert_eq!(ask("<", whole, fraction), "BOOLEAN TRUE");
    assert_eq!(ask("IS DISTINCT FROM", whole, fraction), "BOOLEAN NOT NULL TRUE");
    assert_eq!(ask(">", ("DECIMAL(38, 38)", "0.1"), ("BIGINT", "0")), "BOOLEAN TRUE");
}

#[test]
fn strings_compare_with_others() {
    assert_eq!(ask("<", ("INT", "7"), ("STRING", "7.5")), "BOOLEAN FALSE");
    assert_eq!(ask("<", ("TINYINT", "100"), ("STRING", "3000000000")), "BOOLEAN TRUE");
    assert_eq!(ask("<", ("DECIMAL(5, 3)", "12.345"), ("STRING", "12.3451")), "BOOLEAN FALSE");
    assert_eq!(ask("<", ("DECIMAL(5, 3)", "12.345"), ("STRING", "12.4")), "BOOLEAN TRUE");
    assert_eq!(
        ask("<", ("DECIMAL(5, 3)", "12.345"), ("STRING", "12345678901234567890")),
        "fails: cannot cast '12345678901234567890' to DECIMAL(22, 3): it is out of range"
    );
    assert_eq!(
        ask("<", ("BIGINT", "1"), ("STRING", "x")),
        "fails: cannot cast 'x' to BIGINT: it is not a number"
    );
    assert_eq!(ask("<", ("BOOLEAN", "false"), ("STRING", "yes")), "BOOLEAN TRUE");
    let (date, text) = (("DATE", "2024-01-31"), ("STRING", "2024-01-31 10:00:00"));
    assert_eq!(ask("=", date, text), "BOOLEAN TRUE");
    assert_eq!(ask("=", text, date), "BOOLEAN TRUE");
    assert_eq!(ask("=", ("TIMESTAMP(3)", "2024-01-31"), ("STRING", "2024-01-31")), "BOOLEAN TRUE");
    assert_eq!(ask("=", ("TIME(0)", "12:34:56"), ("STRING", "12:34:56.5")), "BOOLEAN TRUE");
    assert_eq!(
        ask("<", ("TIMESTAMP(3)", "2024-01-31"), ("STRING", "2024-01-31 00:00:00.0009")),
        "BOOLEAN FALSE"
    );
    // No date is equal to no date or any other; but it cannot be put in order.
    assert_eq!(ask("=", date, ("STRING", "x")), "BOOLEAN NULL");
    assert_eq!(ask("<>", date, ("STRING", "x")), "BOOLEAN NULL");
    assert_eq!(ask("IS DISTINCT FROM", date, ("STRING", "x")), "BOOLEAN NOT NULL TRUE");
    let wrong = "fails: cannot cast 'x' to DATE: it is not a date such as 2024-12-31";
    assert_eq!(ask("<", date, ("STRING", "x")), wrong);
    assert_eq!(call(FUNCTIONS, "=", &[value("DATE", "2024-01-31"), literal("STRING", "x")]), wrong);
    // Strings are compared as they are, blanks and all.
    assert_eq!(ask("=", ("CHAR(5)", "ab"), ("STRING", "ab")), "BOOLEAN FALSE");
    assert_eq!(ask("<", ("STRING", "B"), ("STRING", "a")), "BOOLEAN TRUE");
    assert_eq!(ask("<", ("STRING", "z"), ("STRING", "é")), "BOOLEAN TRUE");
}

#[test]
fn inside_of_others() {
    let arrays = |values: Vec<Option<f64>>| Given {
        logical: type_of("ARRAY<DOUBLE>"),
        array: std::sync::Arc::new(arrow_array::ListArray::from_iter_primitive::<
            arrow_array::types::Float64Type,
            _,
            _,
        >([Some(values)])),
        literal: None,
    };
    let is = |name: &str, left: Vec<Option<f64>>, right: Vec<Option<f64>>| {
        call(FUNCTIONS, name, &[arrays(left), arrays(right)])
    };
    assert_eq!(is("=", vec![Some(1.0), None], vec![Some(1.0), None]), "BOOLEAN TRUE");
    assert_eq!(is("=", vec![Some(1.0), None], vec![Some(1.0), Some(2.0)]), "BOOLEAN FALSE");
    assert_eq!(is("<>", vec![Some(1.0)], vec![Some(1.0), Some(2.0)]), "BOOLEAN TRUE");
    assert_eq!(is("=", vec![Some(f64::NAN)], vec![Some(-f64::NAN)]), "BOOLEAN TRUE");
    assert_eq!(is("IS DISTINCT FROM", vec![], vec![]), "BOOLEAN NOT NULL FALSE");
    assert!(is("<", vec![], vec![]).starts_with("refused: cannot compare ARRAY<DOUBLE> and ARRAY<DOUBLE>"));
}

#[test]
fn concatenation() {
    assert_eq!(ask("||", ("STRING", "a"), ("STRING", "bc")), "STRING abc");
    assert_eq!(ask("||", ("VARCHAR(3)", "a"), ("CHAR(2)", "b")), "VARCHAR(5) ab ");
    assert_eq!(
        call(FUNCTIONS, "||", &[literal("CHAR(1)", "a"), literal("CHAR(1)", "b")]),
        "CHAR(2) NOT NULL ab"
    );
    assert_eq!(call(FUNCTIONS, "||", &[null("STRING"), value("STRING", "a")]), "STRING NULL");
}

/// As a literal pattern and as one of a column.
fn matches(name: &str, text: &str, pattern: &str, escape: Option<&str>) -> String {
    let mut literals = vec![value("STRING", text), literal("STRING", pattern)];
    let mut columns = vec![value("STRING", text), value("STRING", pattern)];
    if let Some(escape) = escape {
        literals.push(literal("STRING", escape));
        columns.push(value("STRING", escape));
    }
    let found = call(FUNCTIONS, name, &literals);
    let of_columns = call(FUNCTIONS, name, &columns);
    assert_eq!(found.replace("refused: ", "fails: "), of_columns, "'{text}' {name} '{pattern}'");
    found.trim_start_matches("BOOLEAN ").to_owned()
}

#[test]
fn like() {
    for (text, pattern, wanted) in [
        ("abc", "a%", "TRUE"),
        ("abc", "%c", "TRUE"),
        ("abc", "%b%", "TRUE"),
        ("abc", "a_c", "TRUE"),
        ("abc", "ABC", "FALSE"),
        ("abc", "abc", "TRUE"),
        ("a%c", "a\\%c", "FALSE"),
        ("a\\xc", "a\\%c", "TRUE"),
        ("a\nc", "a%c", "TRUE"),
        ("a\nc", "a_c", "FALSE"),
        ("a.c", "a.c", "TRUE"),
        ("abc", "a.c", "FALSE"),
        ("a+b", "a+b", "TRUE"),
        ("", "%", "TRUE"),
        ("", "", "TRUE"),
        ("abc", "", "FALSE"),
        ("😀b", "_b", "TRUE"),
        ("😀b", "__b", "FALSE"),
        ("a%b%c", "a%b%c", "TRUE"),
        ("axbxc", "a%b%c", "TRUE"),
        ("axcxb", "a%b%c", "FALSE"),
        ("aa", "a%a", "TRUE"),
        ("a", "a%a", "FALSE"),
        ("abab", "%ab%ab", "TRUE"),
        ("aab", "%ab%ab", "FALSE"),
        ("a[b]", "a[b]", "TRUE"),
        ("abc", "%%", "TRUE"),
        ("ab", "_%_", "TRUE"),
        ("a", "_%_", "FALSE"),
        ("mississippi", "%s_i_p%", "TRUE"),
        ("mississippi", "m%iss_p%i", "TRUE"),
        ("mississippi", "m%iss_x%i", "FALSE"),
    ] {
        assert_eq!(matches("LIKE", text, pattern, None), wanted, "'{text}' LIKE '{pattern}'");
    }
    for (text, pattern, escape, wanted) in [
        ("a%c", "a#%c", "#", "TRUE"),
        ("abc", "a#%c", "#", "FALSE"),
        ("a#c", "a##c", "#", "TRUE"),
        ("a_c", "a\\_c", "\\", "TRUE"),
        ("abc", "a%", "a", "FALSE"),
        ("%", "a%", "a", "TRUE"),
        ("abc", "a#bc", "#", "refused: invalid escape sequence 'a#bc', 1"),
        ("abc", "abc#", "#", "refused: invalid escape sequence 'abc#', 3"),
        ("abc", "abc", "ab", "refused: invalid escape character 'ab'"),
        ("abc", "a_c", "", "refused: invalid escape character ''"),
    ] {
        assert_eq!(
            matches("LIKE", text, pattern, Some(escape)),
            wanted,
            "'{text}' LIKE '{pattern}' ESCAPE '{escape}'"
        );
    }
    // A literal escape may be empty where nothing is to be escaped.
    let empty = [value("STRING", "abc"), literal("STRING", "ab%"), literal("STRING", "")];
    assert_eq!(call(FUNCTIONS, "LIKE", &empty), "BOOLEAN TRUE");
    assert_eq!(call(FUNCTIONS, "LIKE", &[value("STRING", "a"), null("STRING")]), "BOOLEAN NULL");
    assert_eq!(call(FUNCTIONS, "LIKE", &[null("STRING"), literal("STRING", "%")]), "BOOLEAN NULL");
    assert_eq!(
        call(FUNCTIONS, "LIKE", &[value("STRING", "a"), value("STRING", "%"), null("STRING")]),
        "BOOLEAN NULL"
    );
}

#[test]
fn similar() {
    for (text, pattern, wanted) in [
        ("abc", "a%", "TRUE"),
        ("abc", "(a|b)%", "TRUE"),
        ("abc", "a(b|x)c", "TRUE"),
        ("abc", "[a-c]+", "TRUE"),
        ("abc", "a_c", "TRUE"),
        ("abc", "a.c", "TRUE"),
        ("a.c", "a\\.c", "FALSE"),
        ("a\\.c", "a\\.c", "TRUE"),
        ("aaa", "a{3}", "TRUE"),
        ("aaa", "a*", "TRUE"),
        ("ab", "ab?", "TRUE"),
        ("abc", "abc|def", "TRUE"),
        ("abcd", "abc|def", "FALSE"),
        ("1", "[[:digit:]]", "TRUE"),
        ("x", "[[:ALPHA:]_]", "refused: invalid regular expression '[[:ALPHA:]_]'"),
        ("x", "[[:ALPHA:]]", "TRUE"),
        ("1", "[:digit:]", "FALSE"),
        ("a", "[^b]", "TRUE"),
        ("x", "(%)", "TRUE"),
        ("a\nc", "a%c", "TRUE"),
        ("a\nc", "a_c", "FALSE"),
        ("a^b", "a^b", "FALSE"),
        ("a$", "a$", "TRUE"),
        ("&", "[a&&b]", "TRUE"),
        ("ab", "a(b", "refused: invalid regular expression 'a(b'"),
        ("ab", "a]b", "refused: invalid regular expression 'a]b'"),
        ("ab", "[ab", "refused: invalid regular expression '[ab'"),
    ] {
        assert_eq!(matches("SIMILAR TO", text, pattern, None), wanted, "'{text}' SIMILAR TO '{pattern}'");
    }
    assert_eq!(matches("SIMILAR TO", "a%c", "a#%c", Some("#")), "TRUE");
    assert_eq!(matches("SIMILAR TO", "abc", "a#%c", Some("#")), "FALSE");
    assert_eq!(matches("SIMILAR TO", "abc", "a#bc", Some("#")), "refused: invalid escape sequence 'a#bc', 1");
    assert_eq!(matches("SIMILAR TO", "a", "a", Some("##")), "refused: invalid escape character '##'");
}
