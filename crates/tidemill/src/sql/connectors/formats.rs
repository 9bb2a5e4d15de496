//! The formats of files, and their options.

use std::sync::Arc;

use tidemill_connectors::{
    AvroOptions, ColumnCondition, Comparison, CsvHeader, CsvOptions, CsvOutput, FileFormat, InstantFormat,
    JsonOptions, JsonOutput, OutputFormat, ParquetCompression, ParquetOptions, ParquetTimestamps, RawOptions,
    TimestampFormat,
};
use tidemill_core::config::{MemorySize, OptionType};
use tidemill_sql::connector::{Compared, ConnectorOption, SourceRequest, TableOptions};
use tidemill_sql::{SqlError, SqlResult};

use super::{is_true, of_table, optional};

/// What they are called, and what their options begin with.
const FORMATS: [&str; 5] = ["csv", "json", "avro", "parquet", "raw"];

/// What Flink has besides, and this has not.
const MISSING: [&str; 6] =
    ["orc", "debezium-json", "canal-json", "maxwell-json", "ogg-json", "debezium-avro-confluent"];

/// The options of all formats.
pub(super) const OPTIONS: [ConnectorOption; 26] = [
    optional("csv.field-delimiter", "what stands between fields (',')"),
    optional("csv.disable-quote-character", "fields are not quoted"),
    optional("csv.quote-character", "what fields are quoted by ('\"')"),
    optional("csv.allow-comments", "lines that begin with # are comments"),
    optional("csv.ignore-parse-errors", "lines that cannot be read are skipped and counted"),
    optional("csv.array-element-delimiter", "what stands between the elements of an array (';')"),
    optional("csv.escape-character", "what stands before characters that are to be taken literally"),
    optional("csv.null-literal", "what stands for NULL"),
    optional(
        "csv.write-bigdecimal-in-scientific-notation",
        "decimals are written with an exponent where Java would (true)",
    ),
    optional("csv.header", "none, skip or by-name: what the first line of a file is (none)"),
    optional("json.fail-on-missing-field", "a field that is missing is an error"),
    optional("json.ignore-parse-errors", "lines that cannot be read are skipped and counted"),
    optional("json.timestamp-format.standard", "SQL or ISO-8601"),
    optional("json.map-null-key.mode", "FAIL, DROP or LITERAL; the keys of maps are never NULL here"),
    optional("json.map-null-key.literal", "what a key that is NULL is written as; there is none here"),
    optional("json.encode.decimal-as-plain-number", "decimals are written without an exponent"),
    optional("json.encode.ignore-null-fields", "fields that are NULL are not written"),
    optional("raw.charset", "UTF-8, which texts are in"),
    optional("raw.endianness", "big-endian or little-endian: the order of the bytes of numbers"),
    optional("avro.codec", "null, deflate, snappy or zstandard: how blocks are compressed (snappy)"),
    optional("avro.timestamp_mapping.legacy", "TIMESTAMP is an instant, and has 3 digits (true)"),
    optional("parquet.compression", "UNCOMPRESSED, SNAPPY, GZIP, ZSTD or LZ4_RAW (SNAPPY)"),
    optional("parquet.block.size", "how many bytes of rows are written together (32mb)"),
    optional("parquet.utc-timezone", "TIMESTAMP is that of UTC, not of the zone of the process (false)"),
    optional("parquet.write.int64.timestamp", "timestamps have 64 bits, not 96 (false)"),
    optional("parquet.timestamp.time.unit", "millis, micros or nanos, of timestamps of 64 bits (micros)"),
];

/// The format of a table, with the options of others refused.
fn format(options: &TableOptions) -> SqlResult<&str> {
    let format = options.required("format")?;
    if !FORMATS.contains(&format) {
        return Err(match MISSING.contains(&format) {
            true => SqlError::unsupported(format!("the format '{format}' is not supported"))
                .hint(format!("there are {}", FORMATS.join(", "))),
            false => options.wrong("format", &format!("one of {} is expected", FORMATS.join(", "))),
        });
    }
    let of_other = |key: &&str| {
        key.split_once('.').is_some_and(|(prefix, _)| FORMATS.contains(&prefix) && prefix != format)
    };
    match options.keys().find(of_other) {
        None => Ok(format),
        Some(key) => Err(options.wrong(key, &format!("the format of the table is '{format}'"))),
    }
}

/// How the files of a table are read.
pub(super) fn input(request: &SourceRequest<'_>, in_files: &[&str]) -> SqlResult<FileFormat> {
    let options = request.options;
    Ok(match format(options)? {
        "csv" => csv_in(options, in_files)?.into(),
        "json" => json_in(options)?.into(),
        "raw" => raw(options)?.into(),
        "avro" => avro(options, request.table)?.into(),
        _ => {
            let of_one_value = request.conditions.iter().filter(|condition| condition.values.len() == 1);
            let conditions = of_one_value.filter_map(|condition| {
                Some(ColumnCondition {
                    column: request.schema.fields().get(condition.column)?.name().clone(),
                    comparison: match condition.compared {
                        Compared::Equal => Comparison::Equal,
                        Compared::Less => Comparison::Less,
                        Compared::LessOrEqual => Comparison::LessOrEqual,
                        Compared::Greater => Comparison::Greater,
                        Compared::GreaterOrEqual => Comparison::GreaterOrEqual,
                    },
                    value: Arc::clone(&condition.values),
                })
            });
            parquet(options)?.conditions(conditions.collect()).into()
        }
    })
}

/// How the files of a table are written.
pub(super) fn output(options: &TableOptions, table: &str) -> SqlResult<OutputFormat> {
    Ok(match format(options)? {
        "csv" => csv_out(options)?.into(),
        "json" => json_out(options)?.into(),
        "raw" => raw(options)?.into(),
        "avro" => avro(options, table)?.into(),
        _ => parquet(options)?.into(),
    })
}

fn raw(options: &TableOptions) -> SqlResult<RawOptions> {
    if options.get("raw.charset").is_some_and(|charset| !charset.eq_ignore_ascii_case("UTF-8")) {
        return Err(options.wrong("raw.charset", "only UTF-8 is supported"));
    }
    match options.get("raw.endianness") {
        None | Some("big-endian") => Ok(RawOptions::new()),
        Some("little-endian") => Ok(RawOptions::new().little_endian(true)),
        Some(_) => Err(options.wrong("raw.endianness", "big-endian or little-endian is expected")),
    }
}

fn avro(options: &TableOptions, table: &str) -> SqlResult<AvroOptions> {
    let mut avro = AvroOptions::new();
    if let Some(codec) = options.get("avro.codec") {
        avro = avro.codec(codec).map_err(|error| of_table(table, &error))?;
    }
    if let Some(legacy) = is_true(options, "avro.timestamp_mapping.legacy")? {
        avro = avro.legacy_timestamps(legacy);
    }
    Ok(avro)
}

fn parquet(options: &TableOptions) -> SqlResult<ParquetOptions> {
    let mut parquet = ParquetOptions::new();
    const COMPRESSION: &str = "parquet.compression";
    if let Some(name) = options.get(COMPRESSION) {
        let all = ParquetCompression::ALL.map(ParquetCompression::name).join(", ");
        let found = ParquetCompression::of_name(name);
        parquet = parquet.compression(
            found.ok_or_else(|| options.wrong(COMPRESSION, &format!("one of {all} is expected")))?,
        );
    }
    const BLOCK: &str = "parquet.block.size";
    if let Some(size) = options.get(BLOCK) {
        let size = <MemorySize as OptionType>::parse(size)
            .map_err(|_| options.wrong(BLOCK, "a size is expected, such as 32mb"))?;
        parquet = parquet.block_bytes(usize::try_from(size.bytes()).unwrap_or(usize::MAX));
    }
    if let Some(utc) = is_true(options, "parquet.utc-timezone")? {
        parquet = parquet.utc_timezone(utc);
    }
    const UNIT: &str = "parquet.timestamp.time.unit";
    let unit = match options.get(UNIT) {
        None | Some("micros") => ParquetTimestamps::Micros,
        Some("millis") => ParquetTimestamps::Millis,
        Some("nanos") => ParquetTimestamps::Nanos,
        Some(_) => return Err(options.wrong(UNIT, "millis, micros or nanos is expected")),
    };
    Ok(match is_true(options, "parquet.write.int64.timestamp")? {
        Some(true) => parquet.timestamps(unit),
        _ if options.get(UNIT).is_some() => {
            return Err(options.wrong(UNIT, "it needs 'parquet.write.int64.timestamp' = 'true'"));
        }
        _ => parquet,
    })
}

/// One character of an option, `\t` and the like written out.
fn character(options: &TableOptions, key: &str) -> SqlResult<Option<char>> {
    let Some(text) = options.get(key) else { return Ok(None) };
    let text = match text {
        "\\t" => "\t",
        "\\n" => "\n",
        other => other,
    };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(only), None) => Ok(Some(only)),
        _ => Err(options.wrong(key, "one character is expected")),
    }
}

fn check_quotes(options: &TableOptions) -> SqlResult<()> {
    const QUOTE: &str = "csv.quote-character";
    let disabled = is_true(options, "csv.disable-quote-character")? == Some(true);
    match disabled && options.get(QUOTE).is_some() {
        true => Err(options.wrong(QUOTE, "'csv.disable-quote-character' is true")),
        false => Ok(()),
    }
}

/// The form of CSV files that are read; `in_files` are the columns that they have, where that is known.
pub(in crate::sql) fn csv_in(options: &TableOptions, in_files: &[&str]) -> SqlResult<CsvOptions> {
    check_quotes(options)?;
    let mut csv = CsvOptions::new();
    if let Some(delimiter) = character(options, "csv.field-delimiter")? {
        csv = csv.field_delimiter(delimiter);
    }
    if let Some(quote) = character(options, "csv.quote-character")? {
        csv = csv.quote_character(quote);
    }
    if is_true(options, "csv.disable-quote-character")? == Some(true) {
        csv = csv.disable_quote_character();
    }
    if let Some(escape) = character(options, "csv.escape-character")? {
        csv = csv.escape_character(escape);
    }
    if let Some(allow) = is_true(options, "csv.allow-comments")? {
        csv = csv.allow_comments(allow);
    }
    if let Some(ignore) = is_true(options, "csv.ignore-parse-errors")? {
        csv = csv.ignore_parse_errors(ignore);
    }
    if let Some(literal) = options.get("csv.null-literal") {
        csv = csv.null_literal(literal);
    }
    if let Some(delimiter) = options.get("csv.array-element-delimiter") {
        csv = csv.array_element_delimiter(delimiter);
    }
    let header = match options.get("csv.header") {
        None | Some("none") => CsvHeader::None,
        Some("skip") => CsvHeader::Skip,
        Some("by-name") => CsvHeader::ByName,
        Some(_) => return Err(options.wrong("csv.header", "none, skip or by-name is expected")),
    };
    csv = csv.header(header);
    if header != CsvHeader::ByName && !in_files.is_empty() {
        // Columns that are not read are still in the file.
        csv = csv.field_names(in_files.iter().copied());
    }
    Ok(csv)
}

/// The keys of maps are never NULL here, so that nothing is left to do; the values are checked.
fn check_null_keys(options: &TableOptions) -> SqlResult<()> {
    const MODE: &str = "json.map-null-key.mode";
    let mode = options.get(MODE).map(str::to_ascii_uppercase);
    if mode.is_some_and(|mode| !["FAIL", "DROP", "LITERAL"].contains(&mode.as_str())) {
        return Err(options.wrong(MODE, "FAIL, DROP or LITERAL is expected"));
    }
    let _ = options.get("json.map-null-key.literal");
    Ok(())
}

/// The form of JSON files that are read.
pub(in crate::sql) fn json_in(options: &TableOptions) -> SqlResult<JsonOptions> {
    check_null_keys(options)?;
    let both = ["json.fail-on-missing-field", "json.ignore-parse-errors"];
    if is_true(options, both[0])? == Some(true) && is_true(options, both[1])? == Some(true) {
        return Err(options.wrong(both[0], "it cannot be true together with 'json.ignore-parse-errors'"));
    }
    let mut json = JsonOptions::new();
    if let Some(fail) = is_true(options, "json.fail-on-missing-field")? {
        json = json.fail_on_missing_field(fail);
    }
    if let Some(ignore) = is_true(options, "json.ignore-parse-errors")? {
        json = json.ignore_parse_errors(ignore);
    }
    Ok(match options.get("json.timestamp-format.standard") {
        None | Some("SQL") => json,
        Some("ISO-8601") => json.timestamp_format(TimestampFormat::Iso8601),
        Some(_) => return Err(options.wrong("json.timestamp-format.standard", "SQL or ISO-8601 is expected")),
    })
}

fn csv_out(options: &TableOptions) -> SqlResult<CsvOutput> {
    check_quotes(options)?;
    let mut csv = CsvOutput::new();
    if let Some(delimiter) = character(options, "csv.field-delimiter")? {
        csv = csv.field_delimiter(delimiter);
    }
    if let Some(quote) = character(options, "csv.quote-character")? {
        csv = csv.quote_character(quote);
    }
    if is_true(options, "csv.disable-quote-character")? == Some(true) {
        csv = csv.disable_quote_character();
    }
    if let Some(escape) = character(options, "csv.escape-character")? {
        csv = csv.escape_character(escape);
    }
    if let Some(literal) = options.get("csv.null-literal") {
        csv = csv.null_literal(literal);
    }
    if let Some(delimiter) = options.get("csv.array-element-delimiter") {
        csv = csv.array_element_delimiter(delimiter);
    }
    if let Some(scientific) = is_true(options, "csv.write-bigdecimal-in-scientific-notation")? {
        csv = csv.write_bigdecimal_in_scientific_notation(scientific);
    }
    Ok(match options.get("csv.header") {
        None | Some("none") => csv,
        Some("skip" | "by-name") => csv.header(true),
        Some(_) => return Err(options.wrong("csv.header", "none, skip or by-name is expected")),
    })
}

fn json_out(options: &TableOptions) -> SqlResult<JsonOutput> {
    check_null_keys(options)?;
    let mut json = JsonOutput::new();
    if let Some(plain) = is_true(options, "json.encode.decimal-as-plain-number")? {
        json = json.decimal_as_plain_number(plain);
    }
    if let Some(ignore) = is_true(options, "json.encode.ignore-null-fields")? {
        json = json.ignore_null_fields(ignore);
    }
    Ok(match options.get("json.timestamp-format.standard") {
        None | Some("SQL") => json.timestamp_format(InstantFormat::Sql),
        Some("ISO-8601") => json.timestamp_format(InstantFormat::Iso8601),
        Some(_) => return Err(options.wrong("json.timestamp-format.standard", "SQL or ISO-8601 is expected")),
    })
}
