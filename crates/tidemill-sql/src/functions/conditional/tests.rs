use super::FUNCTIONS;
use crate::functions::cast::testing::{Given, call, check, literal, null, type_of, value};
use crate::types::coercion::{common_type, merged_type};

/// The columns of a small table: as Flink 2.3 answers.
#[test]
fn answers_as_flink() {
    check(FUNCTIONS, include_str!("flink.tsv"));
}

/// The types of `CASE WHEN … THEN one ELSE two END` of the columns of that table.
#[test]
fn common_types_as_in_flink() {
    let logical = |name: &str| {
        type_of(match name {
            "tn" => "TINYINT",
            "sm" => "SMALLINT",
            "i" => "INT",
            "b" => "BIGINT",
            "f" => "FLOAT",
            "d" => "DOUBLE",
            "d53" => "DECIMAL(5, 3)",
            "d100" => "DECIMAL(10, 0)",
            "d38" => "DECIMAL(38, 10)",
            other => panic!("{other}"),
        })
    };
    for line in include_str!("case.tsv").lines() {
        let (columns, wanted) = line.split_once('\t').unwrap();
        let (one, two) = columns.split_once(' ').unwrap();
        assert_eq!(common_type(&logical(one), &logical(two)).unwrap().to_string(), wanted, "{columns}");
    }
    for (one, two, wanted) in [
        ("DECIMAL(38, 0)", "DECIMAL(5, 3)", "DECIMAL(38, 0)"),
        ("CHAR(1)", "CHAR(1)", "CHAR(1)"),
        ("CHAR(1)", "CHAR(3)", "VARCHAR(3)"),
        ("TIMESTAMP(3)", "TIMESTAMP_LTZ(3)", "TIMESTAMP(3)"),
        ("TIMESTAMP_LTZ(3)", "TIMESTAMP(3)", "TIMESTAMP_LTZ(3)"),
        ("TIMESTAMP(0)", "TIMESTAMP_LTZ(3)", "TIMESTAMP_LTZ(3)"),
        ("TIMESTAMP(9)", "TIMESTAMP_LTZ(3)", "TIMESTAMP_LTZ(9)"),
        ("INT", "FLOAT", "FLOAT"),
        ("BIGINT", "FLOAT", "FLOAT"),
        ("FLOAT", "DECIMAL(5, 3)", "DOUBLE"),
    ] {
        assert_eq!(common_type(&type_of(one), &type_of(two)).unwrap().to_string(), wanted, "{one}, {two}");
    }
    for (one, two) in
        [("DATE", "TIMESTAMP(3)"), ("DATE", "TIMESTAMP_LTZ(3)"), ("INT", "STRING"), ("TIME(0)", "DATE")]
    {
        assert_eq!(common_type(&type_of(one), &type_of(two)), None, "{one}, {two}");
    }
    for (one, two, wanted) in [
        ("FLOAT", "DOUBLE", "DOUBLE"),
        ("DECIMAL(5, 3)", "FLOAT", "FLOAT"),
        ("FLOAT", "DECIMAL(5, 3)", "DOUBLE"),
        ("TIMESTAMP(3)", "TIMESTAMP_LTZ(3)", "TIMESTAMP_LTZ(3)"),
        ("TIMESTAMP(3)", "DATE", "DATE"),
        ("TIME(0)", "TIMESTAMP(9)", "TIME(0)"),
    ] {
        assert_eq!(merged_type(&type_of(one), &type_of(two)).unwrap().to_string(), wanted, "{one}, {two}");
    }
}

fn ask(name: &str, given: &[Given]) -> String {
    call(FUNCTIONS, name, given)
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
fn coalesce() {
    assert_eq!(ask("COALESCE", &[null("INT"), value("INT", "7")]), "INT 7");
    assert_eq!(ask("COALESCE", &[null("INT"), null("INT")]), "INT NULL");
    assert_eq!(ask("COALESCE", &[null("INT"), literal("INT", "1")]), "INT NOT NULL 1");
    assert_eq!(ask("COALESCE", &[literal("INT", "1"), null("INT")]), "INT NOT NULL 1");
    assert_eq!(ask("COALESCE", &[value("INT", "1")]), "INT 1");
    assert_eq!(ask("COALESCE", &[nothing(), literal("INT", "1")]), "INT NOT NULL 1");
    assert_eq!(
        ask("COALESCE", &[null("INT"), literal("DECIMAL(2, 1)", "1.5")]),
        "DECIMAL(11, 1) NOT NULL 1.5"
    );
    assert_eq!(
        ask("COALESCE", &[value("TINYINT", "100"), null("BIGINT"), null("DECIMAL(5, 3)")]),
        "DECIMAL(22, 3) 100.000"
    );
    assert_eq!(
        ask("COALESCE", &[value("DATE", "2024-01-31"), value("TIMESTAMP(3)", "2024-02-01")]),
        "DATE 2024-01-31"
    );
    assert_eq!(
        ask("COALESCE", &[literal("CHAR(1)", "a"), literal("CHAR(3)", "bcd")]),
        "VARCHAR(3) NOT NULL a"
    );
    assert_eq!(
        ask("COALESCE", &[null("INT"), value("STRING", "x")]),
        "refused: expects arguments of one type, which INT and STRING are not"
    );
    assert_eq!(
        ask("COALESCE", &[nothing(), nothing()]),
        "refused: expects an argument that is not the literal NULL"
    );
    assert_eq!(ask("COALESCE", &[]), "refused: expects arguments");
    assert_eq!(ask("IFNULL", &[null("INT"), value("DOUBLE", "2.25")]), "DOUBLE 2.25");
    assert_eq!(ask("IFNULL", &[value("INT", "7"), literal("INT", "5")]), "INT NOT NULL 7");
    assert_eq!(ask("IFNULL", &[value("INT", "7")]), "refused: expects 2 arguments");
}

#[test]
fn null_if() {
    assert_eq!(ask("NULLIF", &[value("INT", "7"), literal("INT", "7")]), "INT NULL");
    assert_eq!(ask("NULLIF", &[value("INT", "7"), literal("DECIMAL(2, 1)", "7.0")]), "INT NULL");
    assert_eq!(ask("NULLIF", &[literal("INT", "7"), literal("INT", "8")]), "INT 7");
    assert_eq!(ask("NULLIF", &[value("INT", "7"), nothing()]), "INT 7");
    assert_eq!(ask("NULLIF", &[null("INT"), value("INT", "7")]), "INT NULL");
    assert_eq!(ask("NULLIF", &[value("STRING", "abc"), literal("CHAR(3)", "abc")]), "STRING NULL");
    assert_eq!(ask("NULLIF", &[value("DATE", "2024-01-31"), literal("STRING", "2024-01-31")]), "DATE NULL");
    assert!(ask("NULLIF", &[value("INT", "7"), value("STRING", "7")]).starts_with("refused: cannot compare"));
    assert!(ask("NULLIF", &[nothing(), value("INT", "7")]).starts_with("refused"));
}

#[test]
fn choice() {
    let (yes, no, unknown) = (value("BOOLEAN", "true"), value("BOOLEAN", "false"), null("BOOLEAN"));
    let choose = |condition: &Given, one: Given, two: Given| ask("IF", &[condition.clone(), one, two]);
    assert_eq!(choose(&yes, literal("INT", "1"), literal("INT", "2")), "INT 1");
    assert_eq!(choose(&no, literal("INT", "1"), literal("INT", "2")), "INT 2");
    assert_eq!(choose(&unknown, literal("INT", "1"), literal("INT", "2")), "INT 2");
    assert_eq!(choose(&yes, value("INT", "7"), value("DECIMAL(5, 3)", "1")), "DECIMAL(13, 3) 7.000");
    assert_eq!(choose(&yes, literal("CHAR(1)", "a"), literal("CHAR(3)", "bcd")), "VARCHAR(3) a");
    assert_eq!(choose(&yes, value("FLOAT", "1.5"), value("DOUBLE", "2")), "FLOAT 1.5");
    assert_eq!(choose(&yes, value("DOUBLE", "2"), value("FLOAT", "1.5")), "DOUBLE 2.0");
    let timestamp = value("TIMESTAMP(3)", "2024-01-31 12:34:56.789");
    assert_eq!(
        choose(&yes, timestamp.clone(), value("TIMESTAMP(9)", "2024-01-31")),
        "TIMESTAMP(3) 2024-01-31 12:34:56.789"
    );
    assert!(choose(&yes, value("INT", "7"), value("STRING", "7")).starts_with("refused"));
    assert!(choose(&yes, value("DATE", "2024-01-31"), timestamp).starts_with("refused"));
    assert!(choose(&value("INT", "1"), value("INT", "2"), value("INT", "3")).starts_with("refused"));
}

#[test]
fn extremes() {
    assert_eq!(
        ask("GREATEST", &[literal("INT", "1"), literal("INT", "3"), literal("INT", "2")]),
        "INT NOT NULL 3"
    );
    assert_eq!(ask("LEAST", &[value("INT", "7"), value("DECIMAL(5, 3)", "12.345")]), "DECIMAL(13, 3) 7.000");
    for name in ["GREATEST", "LEAST"] {
        assert_eq!(ask(name, &[value("INT", "7"), null("INT"), value("INT", "8")]), "INT NULL");
        assert_eq!(ask(name, &[null("INT"), value("INT", "8")]), "INT NULL");
        assert_eq!(ask(name, &[value("INT", "8"), null("INT")]), "INT NULL");
        assert_eq!(ask(name, &[value("INT", "8")]), "INT 8");
        assert!(ask(name, &[value("INT", "8"), value("STRING", "8")]).starts_with("refused"));
        assert!(ask(name, &[value("BYTES", "8"), value("BYTES", "8")]).starts_with("refused"));
        assert!(
            ask(name, &[value("DATE", "2024-01-31"), value("TIMESTAMP(3)", "2024-01-31")])
                .starts_with("refused")
        );
        assert!(ask(name, &[value("INT", "8"), nothing()]).starts_with("refused"));
    }
    assert_eq!(ask("GREATEST", &[literal("CHAR(1)", "a"), literal("CHAR(1)", "B")]), "CHAR(1) NOT NULL a");
    let (nan, zero, minus) = (value("DOUBLE", "NaN"), value("DOUBLE", "0.0"), value("DOUBLE", "-0.0"));
    assert_eq!(ask("GREATEST", &[nan.clone(), zero.clone()]), "DOUBLE NaN");
    assert_eq!(ask("GREATEST", &[zero.clone(), nan.clone()]), "DOUBLE NaN");
    assert_eq!(ask("LEAST", &[nan, zero.clone()]), "DOUBLE 0.0");
    assert_eq!(ask("GREATEST", &[minus.clone(), zero.clone()]), "DOUBLE 0.0");
    assert_eq!(ask("LEAST", &[zero.clone(), minus.clone()]), "DOUBLE -0.0");
    assert_eq!(ask("LEAST", &[minus, zero]), "DOUBLE -0.0");
    assert_eq!(ask("GREATEST", &[value("BOOLEAN", "true"), value("BOOLEAN", "false")]), "BOOLEAN TRUE");
    assert_eq!(
        ask(
            "GREATEST",
            &[value("TIMESTAMP(3)", "2024-01-31"), value("TIMESTAMP(9)", "2024-01-31 00:00:00.000000001")]
        ),
        "TIMESTAMP(9) 2024-01-31 00:00:00.000000001"
    );
}

#[test]
fn questions() {
    for (name, text, wanted) in [
        ("IS_ALPHA", "abc", true),
        ("IS_ALPHA", "ab1", false),
        ("IS_ALPHA", "", false),
        ("IS_ALPHA", "äé", true),
        ("IS_ALPHA", "日本", true),
        ("IS_ALPHA", "a b", false),
        ("IS_ALPHA", "😀", false),
        ("IS_ALPHA", "𝒜", false),
        ("IS_DIGIT", "123", true),
        ("IS_DIGIT", "12.3", false),
        ("IS_DIGIT", "", false),
        ("IS_DIGIT", "-1", false),
        ("IS_DIGIT", "٣", true),
        ("IS_DIGIT", "½", false),
        ("IS_DECIMAL", "12.3", true),
        ("IS_DECIMAL", "1e5", true),
        ("IS_DECIMAL", "abc", false),
        ("IS_DECIMAL", "", false),
        ("IS_DECIMAL", " 1 ", true),
        ("IS_DECIMAL", "NaN", true),
        ("IS_DECIMAL", "0x1p3", true),
        ("IS_DECIMAL", "1d", true),
        ("IS_DECIMAL", "+5", true),
        ("IS_DECIMAL", "1_000", false),
        ("IS_DECIMAL", ".", false),
        ("IS_DECIMAL", "5.", true),
        ("IS_DECIMAL", "Infinity", true),
        ("IS_DECIMAL", "inf", false),
        ("IS_DECIMAL", "٣", true),
        ("IS_DECIMAL", "99999999999999999999", true),
    ] {
        let wanted = if wanted { "BOOLEAN NOT NULL TRUE" } else { "BOOLEAN NOT NULL FALSE" };
        assert_eq!(ask(name, &[value("STRING", text)]), wanted, "{name}('{text}')");
    }
    for (name, logical, wanted) in [
        ("IS_ALPHA", "INT", "FALSE"),
        ("IS_DIGIT", "BIGINT", "TRUE"),
        ("IS_DIGIT", "DOUBLE", "FALSE"),
        ("IS_DIGIT", "DECIMAL(5, 3)", "FALSE"),
        ("IS_DECIMAL", "TINYINT", "TRUE"),
        ("IS_DECIMAL", "FLOAT", "TRUE"),
        ("IS_DECIMAL", "DECIMAL(5, 3)", "FALSE"),
    ] {
        assert_eq!(ask(name, &[null(logical)]), format!("BOOLEAN NOT NULL {wanted}"), "{name} of {logical}");
    }
    assert_eq!(ask("IS_DIGIT", &[null("STRING")]), "BOOLEAN NOT NULL FALSE");
    assert_eq!(ask("IS_DECIMAL", &[value("BOOLEAN", "true")]), "refused: expects (string) or (numeric)");
}

#[test]
fn types() {
    for (logical, summary, serializable) in [
        ("INT", "INT", "INT"),
        ("INT NOT NULL", "INT NOT NULL", "INT NOT NULL"),
        ("STRING", "STRING", "VARCHAR(2147483647)"),
        ("BYTES", "BYTES", "VARBINARY(2147483647)"),
        ("CHAR(5)", "CHAR(5)", "CHAR(5)"),
        ("DECIMAL(5, 3)", "DECIMAL(5, 3)", "DECIMAL(5, 3)"),
        ("TIMESTAMP_LTZ(3)", "TIMESTAMP_LTZ(3)", "TIMESTAMP(3) WITH LOCAL TIME ZONE"),
        ("INTERVAL YEAR TO MONTH", "INTERVAL MONTH", "INTERVAL MONTH"),
        ("INTERVAL DAY TO SECOND", "INTERVAL SECOND(3)", "INTERVAL SECOND(3)"),
        ("ARRAY<STRING>", "ARRAY<STRING>", "ARRAY<VARCHAR(2147483647)>"),
        ("MAP<STRING, INT>", "MAP<STRING, INT>", "MAP<VARCHAR(2147483647), INT>"),
        ("MULTISET<INT>", "MULTISET<INT>", "MULTISET<INT>"),
        ("ROW<a INT, b STRING>", "ROW<`a` INT, `b` STRING>", "ROW<`a` INT, `b` VARCHAR(2147483647)>"),
        ("NULL", "NULL", "NULL"),
    ] {
        let given = Given {
            logical: type_of(logical),
            array: arrow_array::new_null_array(&crate::types::arrow::data_type(&type_of(logical).root), 1),
            literal: None,
        };
        assert_eq!(ask("TYPEOF", std::slice::from_ref(&given)), format!("STRING {summary}"));
        assert_eq!(ask("TYPEOF", &[given, literal("BOOLEAN", "true")]), format!("STRING {serializable}"));
    }
    assert!(ask("TYPEOF", &[value("INT", "1"), value("BOOLEAN", "true")]).starts_with("refused"));
}
